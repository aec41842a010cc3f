package hypergrad_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// The ways to a hypergradient.
var estimators = map[string]hypergrad.AID{
	"default":         {},
	"dense, cg":       {Inner: inner.Newton{DenseDim: 100}, Linear: linsolve.CG{}},
	"newton-cg":       {Inner: inner.Newton{DenseDim: -1}},
	"lbfgs, direct":   {Inner: inner.LBFGS{}, Linear: linsolve.Direct{}},
	"lbfgs, cg":       {Inner: inner.LBFGS{}, Linear: linsolve.CG{}},
	"newton, k steps": {Linear: linsolve.CG{Steps: 200}},
}

func distance(x, y []float64) float64 {
	s := 0.0
	for i := range x {
		s += (x[i] - y[i]) * (x[i] - y[i])
	}
	return math.Sqrt(s)
}

func norm(x []float64) float64 { return distance(x, make([]float64, len(x))) }

// products hides all optional interfaces.
type products struct{ bilevel.SecondOrder }

type matrix struct {
	bilevel.SecondOrder
	calls int
}

// Hessian by products, to see that the matrix path is the same.
func (m *matrix) Hessian(_ context.Context, dst, z, x []float64, b bilevel.Batch) error {
	m.calls++
	d := len(z)
	unit, column := make([]float64, d), make([]float64, d)
	for j := range d {
		clear(unit)
		unit[j] = 1
		m.Products(nil, column, nil, z, x, unit, b)
		for i := range d {
			if dst[i*d+j] = column[i]; i < j {
				dst[i*d+j] = math.NaN() // the upper triangle is unspecified
			}
		}
	}
	return nil
}

type linearized struct {
	bilevel.SecondOrder
	z, x  []float64
	b     bilevel.Batch
	calls int
}

func (l *linearized) Linearize(z, x []float64, b bilevel.Batch) {
	l.z, l.x, l.b = slices.Clone(z), slices.Clone(x), b
}

func (l *linearized) Apply(hv, cv, v []float64) {
	l.calls++
	l.Products(nil, hv, cv, l.z, l.x, v, l.b)
}

// Closed forms: z*, v*, h and ∇h of the quadratic (p ≠ d, asymmetric cross matrix) and of the four ridges.
func TestClosedForms(t *testing.T) {
	for _, c := range bileveltest.Cases() {
		if c.Problem.Inner == nil {
			continue
		}
		d, p := c.Problem.Dims()
		rng := rand.New(rand.NewPCG(uint64(d), uint64(p)))
		for range 3 {
			x := slices.Clone(c.X)
			for j := range x {
				x[j] += rng.Float64()
			}
			c.Problem.ProjectX(x)
			want := c.Solve(x)
			for name, e := range estimators {
				for _, offer := range []string{"all", "products", "matrix", "linearized"} {
					problem := *c.Problem
					second := problem.Inner.(bilevel.SecondOrder)
					switch offer {
					case "products":
						problem.Inner = products{second}
					case "matrix":
						problem.Inner = &matrix{SecondOrder: second}
					case "linearized":
						problem.Inner = &linearized{SecondOrder: second}
					}
					h, err := e.Start(&problem, nil)
					if err != nil {
						t.Fatal(err)
					}
					at := bilevel.Point{Z: make([]float64, d), X: x, V: make([]float64, d)}
					grad := make([]float64, p)
					rep, err := h.At(context.Background(), grad, at, hypergrad.Effort{Inner: 1e-13, LinearTol: 1e-13})
					if err != nil || rep.Inner.GradNorm > 1e-10 {
						t.Errorf("%s, %s, %s: %+v, %v", c.Name, name, offer, rep, err)
					}
					for _, q := range []struct {
						name      string
						got, want []float64
					}{{"z", at.Z, want.Z}, {"v", at.V, want.V}, {"∇h", grad, want.Grad}, {"h", []float64{rep.Value},
						[]float64{want.Value}}} {
						if e := distance(q.got, q.want) / norm(q.want); !(e <= 1e-10) {
							t.Errorf("%s, %s, %s: %s has relative error %.2g", c.Name, name, offer, q.name, e)
						}
					}
				}
			}
		}
	}
}

// The value is corrected to second order: with an inner error of size e it is off by e².
func TestCorrection(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 40, 30, 1)
	x := make([]float64, 4)
	want := c.Solve(x)
	for _, e := range []float64{1e-2, 1e-4} {
		z := slices.Clone(want.Z)
		for i := range z {
			z[i] += e
		}
		h, err := hypergrad.AID{}.Start(c.Problem, nil)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := h.At(context.Background(), make([]float64, 4), bilevel.Point{Z: z, X: x, V: make([]float64, 6)},
			hypergrad.Effort{Inner: 1e3, LinearTol: 1e-12})
		if err != nil || rep.Inner.Iterations != 0 {
			t.Fatal(rep, err)
		}
		if off := math.Abs(rep.Value - want.Value); off > 20*e*e || math.Abs(rep.Value-rep.Correction-want.Value) < 20*e*e {
			t.Errorf("error %g in z: the value is off by %g, uncorrected by %g", e, off,
				math.Abs(rep.Value-rep.Correction-want.Value))
		}
	}
}

// logistic is a problem with one strength e^{x_j} for each of d features, n training and m validation rows.
func logistic(tb testing.TB, n, m, d int) *bilevel.Problem {
	tb.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), uint64(d)))
	level := func(n int) *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			s := 0.0
			for j := range d {
				a.Row(i)[j] = rng.NormFloat64()
				if j%2 == 0 {
					s += a.Row(i)[j]
				}
			}
			if y[i] = 1; s+3*rng.NormFloat64() < 0 {
				y[i] = -1
			}
		}
		l, err := model.NewLogistic(a, y, d)
		if err != nil {
			tb.Fatal(err)
		}
		return l
	}
	loss := level(n)
	pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	g, err := model.Regularize(loss, pen)
	if err != nil {
		tb.Fatal(err)
	}
	p := &bilevel.Problem{Outer: level(m), Inner: g, Lower: make([]float64, d), Upper: make([]float64, d)}
	for j := range d {
		p.Lower[j], p.Upper[j] = -12, 12
	}
	return p
}

func TestFiniteDifferences(t *testing.T) {
	p := logistic(t, 120, 90, 5)
	e, err := hypergrad.NewEvaluator(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.Tol = hypergrad.Effort{Inner: 1e-13, LinearTol: 1e-13}
	x := []float64{-3, -1, 0, -5, 1}
	grad := make([]float64, 5)
	if _, err := e.Evaluate(context.Background(), grad, x); err != nil {
		t.Fatal(err)
	}
	for j := range x {
		const step = 1e-4
		at := func(s float64) float64 {
			y := slices.Clone(x)
			y[j] += s
			h, err := e.Evaluate(context.Background(), nil, y)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		fd := (8*(at(step)-at(-step)) - (at(2*step) - at(-2*step))) / (12 * step)
		if math.Abs(fd-grad[j]) > 1e-9+1e-8*norm(grad) {
			t.Errorf("∂h/∂x[%d] = %v, differences say %v", j, grad[j], fd)
		}
	}
}

// Every optional interface is used where it should be.
func TestOptionalInterfaces(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 40, 30, 1)
	second := c.Problem.Inner.(bilevel.SecondOrder)
	point := func() bilevel.Point {
		return bilevel.Point{Z: make([]float64, 6), X: make([]float64, 4), V: make([]float64, 6)}
	}
	tol := hypergrad.Effort{Inner: 1e-9, LinearTol: 1e-9}
	m := &matrix{SecondOrder: second}
	p := *c.Problem
	p.Inner = m
	h, err := hypergrad.AID{}.Start(&p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := h.At(context.Background(), make([]float64, 4), point(), tol); err != nil || m.calls != 1 ||
		rep.Linear.Products != 1 {
		t.Errorf("a quadratic took %d Hessians and %d products for the adjoint, %v", m.calls, rep.Linear.Products, err)
	}
	l := &linearized{SecondOrder: second}
	p.Inner = l
	if h, err = (hypergrad.AID{Inner: inner.LBFGS{}}).Start(&p, nil); err != nil {
		t.Fatal(err)
	}
	if rep, err := h.At(context.Background(), make([]float64, 4), point(), tol); err != nil ||
		l.calls < rep.Linear.Products-1 {
		t.Errorf("%d products, %d of them at the fixed point, %v", rep.Linear.Products, l.calls, err)
	}
}

func allHOAG() map[string]hypergrad.HOAG {
	methods := map[string]hypergrad.HOAG{}
	for _, s := range []hypergrad.Sequence{hypergrad.AutoTolerance, hypergrad.Exponential, hypergrad.Quadratic,
		hypergrad.Cubic} {
		for _, r := range []hypergrad.Rule{hypergrad.QuasiNewton, hypergrad.Adaptive} {
			methods[fmt.Sprint(s, ", ", r)] = hypergrad.HOAG{Tolerance: s, Step: r}
		}
	}
	methods["newton-cg"] = hypergrad.HOAG{Estimator: hypergrad.AID{Inner: inner.Newton{DenseDim: -1}}}
	methods["lbfgs"] = hypergrad.HOAG{Estimator: hypergrad.AID{Inner: inner.LBFGS{}}}
	return methods
}

// The conformance suite: answers, bits, checkpoints, budgets, cancellation.
func TestMethod(t *testing.T) {
	for name, m := range allHOAG() {
		t.Run(name, func(t *testing.T) {
			o := bileveltest.MethodOptions{Allocates: true, Horizon: 25}
			if m.Step == hypergrad.Adaptive {
				o.Steps = 5000
			}
			bileveltest.Method(t, m, o)
		})
	}
}

// Optima to high accuracy, from several starts, with and without an active box.
func TestOptimum(t *testing.T) {
	free := bileveltest.Quadratic(9, 5, 60, 50, 3)
	lower, upper := slices.Clone(free.X), slices.Clone(free.X)
	for j := range lower {
		lower[j] -= 2
		upper[j] += 2
	}
	lower[0], upper[1] = free.X[0]+.3, free.X[1]-.2
	boxed := free.Box("box", lower, upper)
	for _, c := range []bileveltest.Case{free, boxed} {
		for name, m := range allHOAG() {
			for start := range 3 {
				rng := rand.New(rand.NewPCG(uint64(start), 1))
				x := make([]float64, 5)
				for j := range x {
					x[j] = 5 * rng.NormFloat64()
				}
				res, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{
					Start: bilevel.Point{X: x}, MaxSteps: 3000,
				})
				if err != nil {
					t.Fatal(err)
				}
				tol := 1e-6
				if m.Step == hypergrad.Adaptive {
					tol = 1e-4
				}
				if e := distance(res.Point.X, c.X); e > tol*(1+norm(c.X)) {
					t.Errorf("%s, %s: x is off by %.2g after %d steps (%v)", c.Name, name, e, res.Steps, res.Reason)
				}
				if m.Step == hypergrad.QuasiNewton && (res.Reason != bilevel.Done || res.Steps > 150) {
					t.Errorf("%s, %s: %v after %d steps", c.Name, name, res.Reason, res.Steps)
				}
				if s := c.Solve(res.Point.X); math.Abs(s.Value-res.Value) > 1e-9*(1+math.Abs(s.Value)) {
					t.Errorf("%s, %s: says h = %v, it is %v", c.Name, name, res.Value, s.Value)
				}
			}
		}
	}
}

// A general convex set: the projected spectral gradient stops where P(x − ∇h) = x.
func TestProjection(t *testing.T) {
	c := bileveltest.Quadratic(9, 5, 60, 50, 3)
	radius := norm(c.X) / 2
	p := *c.Problem
	p.Project = func(x []float64) {
		if n := norm(x); n > radius {
			for j := range x {
				x[j] *= radius / n
			}
		}
	}
	for name, m := range allHOAG() {
		res, err := bilevel.Minimize(context.Background(), &p, m, bilevel.Settings{MaxSteps: 2000})
		if err != nil {
			t.Fatal(err)
		}
		tol := 1e-6
		if m.Step == hypergrad.Adaptive {
			tol = 1e-3
		}
		pg := make([]float64, 5)
		p.ProjectedGrad(pg, res.Point.X, c.Solve(res.Point.X).Grad)
		if math.Abs(norm(res.Point.X)-radius) > 1e-9 || norm(pg) > tol {
			t.Errorf("%s: ‖x‖ = %v of %v, projected gradient %.2g after %d steps",
				name, norm(res.Point.X), radius, norm(pg), res.Steps)
		}
	}
}

// Scaling x does not matter much: steps find their own length.
func TestUnits(t *testing.T) {
	for _, scale := range []float64{1e-4, 1, 1e4} {
		c := bileveltest.Quadratic(9, 5, 60, 50, 3)
		f, g := c.Problem.Outer, c.Problem.Inner.(bilevel.SecondOrder)
		// The outer variable is u = scale·x.
		p := &bilevel.Problem{Outer: scaled{f, nil, scale}, Inner: scaled{g, g, scale}}
		res, err := bilevel.Minimize(context.Background(), p, hypergrad.HOAG{}, bilevel.Settings{MaxSteps: 300})
		if err != nil {
			t.Fatal(err)
		}
		x := res.Point.X
		for j := range x {
			x[j] /= scale
		}
		if e := distance(x, c.X); e > 1e-5 || res.Steps > 120 {
			t.Errorf("scale %g: x is off by %.2g after %d steps", scale, e, res.Steps)
		}
	}
}

// scaled takes u = scale·x as its outer variable.
type scaled struct {
	bilevel.Objective
	second bilevel.SecondOrder
	scale  float64
}

func (s scaled) x(u []float64) []float64 {
	x := slices.Clone(u)
	for j := range x {
		x[j] /= s.scale
	}
	return x
}

func (s scaled) back(dx []float64) {
	for j := range dx {
		dx[j] /= s.scale
	}
}

func (s scaled) Value(z, u []float64, b bilevel.Batch) float64 {
	return s.Objective.Value(z, s.x(u), b)
}

func (s scaled) Grad(dz, dx, z, u []float64, b bilevel.Batch) {
	s.Objective.Grad(dz, dx, z, s.x(u), b)
	s.back(dx)
}

func (s scaled) Products(dz, hv, cv, z, u, v []float64, b bilevel.Batch) {
	s.second.Products(dz, hv, cv, z, s.x(u), v, b)
	s.back(cv)
}

// A run on real losses, saved and resumed in the middle of everything, and on any number of processors, goes
// the same way bit for bit.
func TestSameBits(t *testing.T) {
	p := logistic(t, 3000, 2000, 9)
	run := func(m hypergrad.HOAG, s bilevel.Settings) *bilevel.Result {
		t.Helper()
		res, err := bilevel.Minimize(context.Background(), p, m, s)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	same := func(a, b *bilevel.Result) bool {
		return slices.Equal(a.Last.X, b.Last.X) && slices.Equal(a.Last.Z, b.Last.Z) && slices.Equal(a.Last.V, b.Last.V) &&
			a.Counts == b.Counts && a.Steps == b.Steps
	}
	for name, m := range allHOAG() {
		want := run(m, bilevel.Settings{MaxSteps: 30})
		for _, procs := range []int{1, 3} {
			old := runtime.GOMAXPROCS(procs)
			got := run(m, bilevel.Settings{MaxSteps: 30})
			runtime.GOMAXPROCS(old)
			if !same(got, want) {
				t.Errorf("%s: other bits with GOMAXPROCS = %d", name, procs)
			}
		}
		for _, at := range []int64{1, 2, 7, 20} {
			file := filepath.Join(t.TempDir(), "run")
			run(m, bilevel.Settings{MaxSteps: at, Checkpoint: file})
			if !same(run(m, bilevel.Settings{MaxSteps: 30, Checkpoint: file, Resume: true}), want) {
				t.Errorf("%s: other bits when resumed after step %d", name, at)
			}
		}
	}
}

// flaky is not finite beyond a limit of x.
type flaky struct {
	bilevel.SecondOrder
	limit float64
}

func (f flaky) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	f.SecondOrder.Grad(dz, dx, z, x, b)
	if norm(x) > f.limit {
		for i := range dz {
			dz[i] = math.NaN()
		}
	}
}

// A step into a region without numbers is taken back.
func TestNonFiniteTrial(t *testing.T) {
	c := bileveltest.Quadratic(9, 5, 60, 50, 3)
	p := *c.Problem
	p.Inner = flaky{p.Inner.(bilevel.SecondOrder), 1.02 * norm(c.X)}
	for name, m := range allHOAG() {
		res, err := bilevel.Minimize(context.Background(), &p, m, bilevel.Settings{MaxSteps: 2000})
		if err != nil || distance(res.Point.X, c.X) > 1e-3 {
			t.Errorf("%s: off by %g, %v", name, distance(res.Point.X, c.X), err)
		}
	}
	p.Inner = flaky{p.Inner.(flaky).SecondOrder, -1}
	if _, err := bilevel.Minimize(context.Background(), &p, hypergrad.HOAG{}, bilevel.Settings{MaxSteps: 9}); err == nil {
		t.Error("no error where nothing is finite")
	}
}

func TestWarnings(t *testing.T) {
	p := logistic(t, 200, 100, 9)
	for want, e := range map[string]hypergrad.AID{
		"the adjoint system was not solved": {Linear: linsolve.CG{MaxIter: 1}},
		"the inner problem was not solved":  {Inner: inner.LBFGS{MaxIter: 1}},
	} {
		res, err := bilevel.Minimize(context.Background(), p, hypergrad.HOAG{Estimator: e}, bilevel.Settings{MaxSteps: 5})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, r := range res.Trace {
			for _, n := range r.Notes {
				found = found || strings.Contains(n, want)
			}
		}
		if !found {
			t.Errorf("no note says that %s", want)
		}
		v, err := hypergrad.NewEvaluator(p, e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Evaluate(context.Background(), make([]float64, 9), make([]float64, 9)); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("the evaluator's error is %v, not that %s", err, want)
		}
	}
}

// An inner problem that is not convex gives a warning, and damping helps.
func TestIndefinite(t *testing.T) {
	saddle := &bilevel.Func{
		InnerDim: 2, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (z[0]*z[0] - z[1]*z[1]) / 2 },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dz[1], dx[0] = z[0], -z[1], 0 },
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0], hv[1] = v[0], -v[1] },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = 0 },
	}
	outer := &bilevel.Func{
		InnerDim: 2, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return z[0] + z[1] },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dz[1], dx[0] = 1, 1, 0 },
	}
	p := &bilevel.Problem{Outer: outer, Inner: saddle}
	for _, e := range []hypergrad.AID{{Linear: linsolve.CG{}}, {Linear: linsolve.Direct{}}} {
		h, err := e.Start(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := bilevel.Point{Z: make([]float64, 2), X: make([]float64, 1), V: make([]float64, 2)}
		rep, err := h.At(context.Background(), make([]float64, 1), at, hypergrad.Effort{Inner: 1e-9, LinearTol: 1e-9})
		var indefinite *linsolve.NotPositiveDefiniteError
		if err != nil || !errors.As(rep.Warning, &indefinite) {
			t.Errorf("%+v: warning %v, error %v", e, rep.Warning, err)
		}
	}
	h, err := hypergrad.AID{Linear: linsolve.CG{Damping: 3}}.Start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := h.At(context.Background(), make([]float64, 1),
		bilevel.Point{Z: make([]float64, 2), X: make([]float64, 1), V: make([]float64, 2)}, hypergrad.Effort{Inner: 1e-9,
			LinearTol: 1e-9})
	if err != nil || rep.Warning != nil {
		t.Errorf("damped: %v, %v", rep.Warning, err)
	}
}

func TestStartErrors(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 40, 30, 1)
	p := *c.Problem
	first := struct{ bilevel.Objective }{p.Inner}
	p.Inner = first
	_, err := hypergrad.HOAG{}.Start(&p, bilevel.Point{}, 0)
	if err == nil || !strings.Contains(err.Error(), "Products") {
		t.Errorf("without products: %v", err)
	}
	for _, m := range []hypergrad.HOAG{{FirstTolerance: -1}, {Memory: -1}, {Step: 9}, {Tolerance: 9},
		{FirstTolerance: math.NaN()}} {
		if _, err := m.Start(c.Problem, bilevel.Point{}, 0); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	if _, err := (hypergrad.HOAG{}).Start(c.Problem, bilevel.Point{X: []float64{1}}, 0); err == nil {
		t.Error("a start of the wrong length is accepted")
	}
}

func TestEvaluator(t *testing.T) {
	c := bileveltest.Ridge(bileveltest.ExpDiagonal, 60, 50, 6, 4)
	e, err := hypergrad.NewEvaluator(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	grad := make([]float64, 6)
	for _, shift := range []float64{0, .5, -1, 0} {
		x := slices.Clone(c.X)
		for j := range x {
			x[j] += shift
		}
		want := c.Solve(x)
		h, err := e.Evaluate(context.Background(), grad, x)
		if err != nil || math.Abs(h-want.Value) > 1e-9 || distance(grad, want.Grad) > 1e-8 {
			t.Errorf("shift %v: h = %v, %v; gradient off by %g; %v", shift, h, want.Value, distance(grad, want.Grad), err)
		}
		if at := e.Point(); distance(at.Z, want.Z) > 1e-8 || distance(at.V, want.V) > 1e-8 || distance(at.X, x) != 0 {
			t.Errorf("shift %v: point %v", shift, at)
		}
	}
	if e.Counts().GradF == 0 || e.Counts().CrossG == 0 {
		t.Errorf("counts %+v", e.Counts())
	}
}
