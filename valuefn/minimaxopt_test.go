package valuefn

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
)

func TestMinimaxOPTConformance(t *testing.T) {
	cases := bileveltest.Cases()
	for _, c := range []struct {
		name string
		m    MinimaxOPT
		o    bileveltest.MethodOptions
	}{
		// A step has one step of u and ω, of which F2SA makes ten.
		{"full batch", MinimaxOPT{Batch: 1000}, bileveltest.MethodOptions{Steps: 6000, Tol: 5e-4, Horizon: 50}},
		{"zero value", MinimaxOPT{}, bileveltest.MethodOptions{Stochastic: true, Steps: 20000, Tol: .1, Horizon: 150}},
		{"explicit", MinimaxOPT{Batch: 4, Alpha: 5, Growth: 2, StageSteps: 4000, Stages: 3, InnerStep: .02, OuterStep: .1,
			Cosine: true, Floor: .01}, bileveltest.MethodOptions{Stochastic: true, Steps: 20000, Tol: .3, Horizon: 100,
			Cases: cases[:4]}},
		{"momentum and Adam", MinimaxOPT{Batch: 4, Shuffle: true, Alpha: 5, StageSteps: 20, InnerStep: .004, OuterStep: .002,
			InnerOptimizer: hypergrad.Momentum{}, OuterOptimizer: hypergrad.Adam{}},
			bileveltest.MethodOptions{Stochastic: true, Steps: 20000, Tol: .3, Horizon: 100, Cases: cases[:1]}},
	} {
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}

// follow makes steps of a run from at.
func follow(t *testing.T, m bilevel.Method, p *bilevel.Problem, at bilevel.Point, steps int) bilevel.Run {
	t.Helper()
	run, err := m.Start(p, at, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		if err := run.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return run
}

// With x held, u settles within ‖∇z f(u, x)‖/(αμ) of z*, and not much nearer.
func TestPenalisedVariableIsNearTheMinimiser(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 60, 50, 6)
	p := *c.Problem
	x := []float64{.5, -1, .2}
	p.Lower, p.Upper = x, x
	g := p.Inner.(bilevel.SecondOrder)
	h := mat.NewSymDense(6, nil)
	for i := range 6 {
		unit, column := fill(6, 0), fill(6, 0)
		unit[i] = 1
		g.Products(nil, column, nil, unit, x, unit, bilevel.All(g))
		for j, v := range column[:i+1] {
			h.SetSym(i, j, v)
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(h, false) {
		t.Fatal("no eigenvalues")
	}
	mu := slices.Min(eig.Values(nil))
	for _, alpha := range []float64{3, 30, 300} {
		r := follow(t, MinimaxOPT{Batch: 1000, Alpha: alpha, Stages: 1}, &p, bilevel.Point{}, 5000).(*minimaxRun)
		df := fill(6, 0)
		p.Outer.Grad(df, nil, r.y, x, bilevel.All(p.Outer))
		got, bound := distance(r.y, c.Solve(x).Z), norm(df)/(alpha*mu)
		t.Logf("α = %g: ‖u − z*‖ = %.3g, bound %.3g", alpha, got, bound)
		if !(got <= bound*(1+1e-9) && got >= bound/100) {
			t.Errorf("α = %g: ‖u − z*‖ = %g, bound %g", alpha, got, bound)
		}
	}
}

// Theorem 1: at the solution for α, f(u, x) + α(g(u, x) − g(z*(x), x)) ≤ h*, so that the second factor is at most
// (h* − inf f)/α; here inf f = 0. Each stage has to get below its own bound.
func TestGapFallsOverStages(t *testing.T) {
	c := bileveltest.Cases()[3]
	if !strings.HasPrefix(c.Name, "ridge") || !(c.Value > 0) {
		t.Fatalf("the case is %s with h* = %g", c.Name, c.Value)
	}
	const tau, stages = 2, 5
	var gaps []float64
	for i := 1; i <= stages; i++ {
		r := follow(t, MinimaxOPT{Batch: 1000, Alpha: 2, Growth: tau, Stages: stages, StageSteps: 3000}, c.Problem, c.Start,
			3000*i).(*minimaxRun)
		alpha := 2 * math.Pow(tau, float64(i-1))
		if r.kappa != alpha {
			t.Fatalf("stage %d has α = %g, want %g", i-1, r.kappa, alpha)
		}
		g := c.Problem.Inner
		gap := g.Value(r.y, r.x, bilevel.All(g)) - g.Value(c.Solve(r.x).Z, r.x, bilevel.All(g))
		gaps = append(gaps, gap)
		t.Logf("α = %g: g(u, x) − g(z*(x), x) = %.3g, C/α = %.3g", alpha, gap, c.Value/alpha)
		if !(gap > 0 && gap <= c.Value/alpha) {
			t.Errorf("α = %g: g(u, x) − g(z*(x), x) = %g, want at most %g", alpha, gap, c.Value/alpha)
		}
	}
	for i := range gaps[1:] {
		if ratio := gaps[i] / gaps[i+1]; !(ratio > tau) {
			t.Errorf("stage %d divides the gap by %g, want at least τ = %d", i+1, ratio, tau)
		}
	}
}

// line is one-dimensional least squares, the paper's appendix A.2, whose constants are chosen here:
//
//	g = ½(z − 3)² + ½xz²,   f = ½(z − 2)²,   x ≥ least,
//
// so that z*(x) = 3/(1 + x), and without the bound x* = ½, where f and the gradients of both levels vanish.
func line(least float64) *bilevel.Problem {
	return &bilevel.Problem{
		Inner: &bilevel.Func{InnerDim: 1, OuterDim: 1,
			Eval: func(z, x []float64, _ bilevel.Batch) float64 { return (z[0]-3)*(z[0]-3)/2 + x[0]*z[0]*z[0]/2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
				dz[0], dx[0] = z[0]-3+x[0]*z[0], z[0]*z[0]/2
			},
		},
		Outer: &bilevel.Func{InnerDim: 1, OuterDim: 1,
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (z[0] - 2) * (z[0] - 2) / 2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = z[0]-2, 0 },
		},
		Lower: []float64{least},
	}
}

func TestOneDimensionalLeastSquares(t *testing.T) {
	for _, alpha := range []float64{.5, 4, 100} {
		m := MinimaxOPT{Alpha: alpha, Stages: 1, InnerStep: .3 / (1 + alpha), OuterStep: .02}
		// The two problems have one solution, whatever α is.
		r := follow(t, m, line(0), bilevel.Point{}, 20000).(*minimaxRun)
		if math.Abs(r.x[0]-.5) > 1e-6 || math.Abs(r.y[0]-2) > 1e-6 || math.Abs(r.z[0]-2) > 1e-6 {
			t.Errorf("α = %g: x = %v, u = %v, ω = %v; want ½, 2 and 2", alpha, r.x, r.y, r.z)
		}
		// With x ≥ 1 the bound holds at the solution: ω = 3/2, and u − 2 + α(2u − 3) = 0 gives u = 3/2 + 1/(2 + 4α),
		// which is the bound |f′(u)|/(αμ), μ = 2, exactly.
		r = follow(t, m, line(1), bilevel.Point{}, 20000).(*minimaxRun)
		bound := (2 - r.y[0]) / (2 * alpha)
		if gap := r.y[0] - 1.5; r.x[0] != 1 || math.Abs(r.z[0]-1.5) > 1e-12 || math.Abs(gap-1/(2+4*alpha)) > 1e-12 ||
			math.Abs(gap-bound) > 1e-12 {
			t.Errorf("α = %g, x ≥ 1: x = %v, u = %v, ω = %v; want 1, %v, 1.5", alpha, r.x, r.y, r.z, 1.5+1/(2+4*alpha))
		}
	}
}

// Where η_x is scaled like the others all that x can travel is a geometric series, and x stops short.
func TestOuterStepIsNotScaledByDefault(t *testing.T) {
	m := MinimaxOPT{Alpha: 4, Growth: 2, Stages: 12, StageSteps: 300, InnerStep: .06, OuterStep: .003}
	scaled := m
	scaled.OuterScaling = 1
	at := bilevel.Point{X: []float64{2}}
	x, short := follow(t, m, line(0), at, 20000).Point().X[0], follow(t, scaled, line(0), at, 20000).Point().X[0]
	t.Logf("x = %g, and %g where η_x is scaled", x, short)
	if math.Abs(x-.5) > 1e-3 || short < .6 {
		t.Errorf("x = %g, want ½; where η_x is scaled %g, want more than 0.6", x, short)
	}
	// Automatic steps have no such end either.
	if x := follow(t, MinimaxOPT{}, line(0), at, 20000).Point().X[0]; math.Abs(x-.5) > 1e-3 {
		t.Errorf("with automatic steps x = %g, want ½", x)
	}
}

// seen notes the batches of gradients.
type seen struct {
	bilevel.Objective
	batches *[]bilevel.Batch
}

func (s seen) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	*s.batches = append(*s.batches, b)
	s.Objective.Grad(dz, dx, z, x, b)
}

// The two terms of g share their batch, and that is what keeps the noise of their difference, which α multiplies, low.
func TestTermsOfGShareTheirBatch(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 96, 96, 6)
	var g, f []bilevel.Batch
	p := *c.Problem
	p.Inner, p.Outer = seen{p.Inner, &g}, seen{p.Outer, &f}
	m := MinimaxOPT{Batch: 8, Alpha: 32, InnerStep: .01, OuterStep: .001}
	r := follow(t, m, &p, bilevel.Point{}, 300).(*minimaxRun)
	if len(g) != 600 || len(f) != 300 {
		t.Fatalf("%d gradients of g and %d of f in 300 steps", len(g), len(f))
	}
	same := 0
	for k := range f {
		if g[2*k] != g[2*k+1] {
			t.Errorf("step %d: g at u over %v and at ω over %v", k+1, g[2*k], g[2*k+1])
		}
		if g[2*k].Lo == f[k].Lo {
			same++
		}
	}
	if same < 10 || same > 45 {
		t.Errorf("%d of 300 steps have f and g over the same one of 12 blocks, about 25 are expected of independent draws",
			same)
	}
	// Over all pairs of blocks, at the point where the run has come to.
	at := func(z []float64, i int) []float64 {
		dz := fill(6, 0)
		c.Problem.Inner.Grad(dz, nil, z, r.x, r.xi.Block(i))
		return dz
	}
	var shared, independent float64
	mean := fill(6, 0)
	n := r.xi.Blocks()
	for i := range n {
		u, w := at(r.y, i), at(r.z, i)
		for k := range mean {
			mean[k] += 32 * (u[k] - w[k]) / float64(n)
		}
	}
	for i := range n {
		for j := range n {
			u, w := at(r.y, i), at(r.z, j)
			for k := range mean {
				e := 32*(u[k]-w[k]) - mean[k]
				if independent += e * e / float64(n*n); i == j {
					shared += e * e / float64(n)
				}
			}
		}
	}
	t.Logf("variance of α(∇z g(u) − ∇z g(ω)): %.3g with one batch, %.3g with two", shared, independent)
	if !(shared < independent/50) {
		t.Errorf("variance %g with one batch, %g with two", shared, independent)
	}
}

// With all samples in a batch a step is the formula.
func TestMinimaxOPTStepIsTheFormula(t *testing.T) {
	p := logistic()
	all, allF := bilevel.All(p.Inner), bilevel.All(p.Outer)
	base := MinimaxOPT{Batch: 1000, Alpha: 3, Growth: 2, StageSteps: 3, Stages: 2, InnerStep: .1, PenalisedStep: .05,
		OuterStep: .2}
	cosine := base
	cosine.Cosine, cosine.Floor, cosine.OuterScaling = true, .1, .5
	momentum := cosine
	momentum.InnerOptimizer, momentum.OuterOptimizer = hypergrad.Momentum{Mu: .7}, hypergrad.Momentum{Mu: .5}
	for _, m := range []MinimaxOPT{base, cosine, momentum} {
		mu, muX := 0., 0.
		if m.InnerOptimizer != nil {
			mu, muX = .7, .5
		}
		u, w, x := fill(6, .3), fill(6, .3), fill(6, -1)
		bu, bw, bx := fill(6, 0), fill(6, 0), fill(6, 0)
		run, err := m.Start(p, bilevel.Point{Z: w, X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		grad := func(o bilevel.Objective, z []float64, b bilevel.Batch) (dz, dx []float64) {
			dz, dx = fill(6, 0), fill(6, 0)
			o.Grad(dz, dx, z, x, b)
			return dz, dx
		}
		for s := range 8 {
			i := min(s/3, 1)
			alpha, fall := 3*math.Pow(2, float64(i)), math.Pow(2, -float64(i))
			fallX := math.Pow(2, -float64(i)*m.OuterScaling)
			if m.Cosine {
				c := .1 + .5*.9*(1+math.Cos(math.Pi*float64(min(s, 6))/6))
				fall, fallX = fall*c, fallX*c
			}
			gu, gxu := grad(p.Inner, u, all)
			gw, gxw := grad(p.Inner, w, all)
			fu, fx := grad(p.Outer, u, allF)
			for k := range x {
				bu[k] = mu*bu[k] + fu[k] + alpha*gu[k]
				bw[k] = mu*bw[k] + alpha*gw[k]
				bx[k] = muX*bx[k] + fx[k] + alpha*(gxu[k]-gxw[k])
				u[k] -= .05 * fall * bu[k]
				w[k] -= .1 * fall * bw[k]
				x[k] -= .2 * fallX * bx[k]
			}
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			r := run.(*minimaxRun)
			if distance(r.x, x) > 1e-13 || distance(r.z, w) > 1e-13 || distance(r.y, u) > 1e-13 {
				t.Fatalf("%+v, step %d: x = %v, ω = %v, u = %v; want %v, %v, %v", m, s+1, r.x, r.z, r.y, x, w, u)
			}
		}
	}
}

func TestCosineEndsTheRun(t *testing.T) {
	m := MinimaxOPT{Alpha: 4, StageSteps: 5, Stages: 2, InnerStep: .05, OuterStep: .01, Cosine: true}
	run := follow(t, m, line(0), bilevel.Point{}, 10)
	if err := run.Step(context.Background()); !errors.Is(err, bilevel.ErrDone) {
		t.Errorf("step 11 of 10: error %v, want ErrDone", err)
	}
	m.Floor = .1
	follow(t, m, line(0), bilevel.Point{}, 20)
}

func TestMinimaxOPTCounts(t *testing.T) {
	p := logistic()
	m := MinimaxOPT{Batch: 1000, Alpha: 10, InnerStep: .01, OuterStep: .01}
	if got, want := minimize(t, m, p, bilevel.Settings{MaxSteps: 5}).Counts, (bilevel.Counts{GradF: 5 * 77,
		GradG: 5 * 2 * 131}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	count := &bilevel.Counts{}
	q := *p
	q.Inner, q.Outer = counting{p.Inner, &count.GradG, &count.ValueG}, counting{p.Outer, &count.GradF, &count.ValueF}
	if got := follow(t, MinimaxOPT{Batch: 8}, &q, bilevel.Point{}, 10000).Counts(); got != *count {
		t.Errorf("counts %+v, the objectives saw %+v", got, *count)
	}
	if count.ValueF == 0 || count.ValueG == 0 {
		t.Error("h was never estimated")
	}
}

// noPairs hides PairGrad and the parts.
type noPairs struct{ bilevel.Objective }

func TestPairsAreGradients(t *testing.T) {
	for _, p := range []*bilevel.Problem{logistic(), bileveltest.Quadratic(6, 3, 131, 77, 6).Problem} {
		l, plain := must(newLevel(p.Inner)), must(newLevel(noPairs{p.Inner}))
		d, q := p.Inner.Dims()
		y, z, x := []float64{.3, -1, .2, 2, -.4, .1}, []float64{.1, -.5, .4, 1, .4, -.1}, []float64{-1, 0, 1, .5, -2, .3}[:q]
		for _, b := range []bilevel.Batch{bilevel.All(p.Inner), {Lo: 16, Hi: 24}, {Lo: 128, Hi: 131}} {
			for _, w := range []float64{1, .75} {
				got, want := [3][]float64{fill(d, 7), fill(d, 7), fill(q, 7)}, [3][]float64{fill(d, 7), fill(d, 7), fill(q, 7)}
				l.pair(got[0], got[1], got[2], y, z, x, b, w)
				gy := fill(q, 7)
				plain.grad(want[0], want[2], y, x, b, 1)
				plain.grad(want[1], gy, z, x, b, 1)
				if w != 1 { // the exact part has no weight
					l.grad(want[0], want[2], y, x, b, w)
					l.grad(want[1], gy, z, x, b, w)
				}
				for j := range gy {
					want[2][j] -= gy[j]
				}
				for k := range got {
					if !(distance(got[k], want[k]) <= 1e-13*(1+norm(want[k]))) {
						t.Errorf("%T over %v, weight %g, vector %d: %v, want %v", p.Inner, b, w, k, got[k], want[k])
					}
				}
			}
		}
	}
}

func TestFastPathIsTheGenericOne(t *testing.T) {
	p := logistic()
	q := *p
	q.Inner = noPairs{p.Inner}
	m := MinimaxOPT{Batch: 16, Alpha: 20, StageSteps: 300, InnerStep: .02, OuterStep: .02}
	s := bilevel.Settings{MaxSteps: 2000, Seed: 1}
	got, want := minimize(t, m, p, s).Last, minimize(t, m, &q, s).Last
	if distance(got.X, want.X) > 1e-10 || distance(got.Z, want.Z) > 1e-10 {
		t.Errorf("x = %v, and %v without PairGrad", got.X, want.X)
	}
}

// keeping shows the run that it starts.
type keeping struct {
	bilevel.Method
	run *bilevel.Run
}

func (k keeping) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	run, err := k.Method.Start(p, at, seed)
	*k.run = run
	return run, err
}

// A run that is loaded is the one that was saved, in every variable.
func TestMinimaxOPTCheckpointsAreComplete(t *testing.T) {
	for _, m := range []MinimaxOPT{
		{Batch: 16, StageSteps: 300},
		{Batch: 16, Alpha: 5, StageSteps: 300, InnerStep: .01, OuterStep: .001, InnerOptimizer: hypergrad.Momentum{},
			OuterOptimizer: hypergrad.Adam{}, OuterScaling: .5},
	} {
		s := bilevel.Settings{Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true, MaxSteps: 1001}
		var runs [2]bilevel.Run
		for i := range runs { // no steps are left for the second
			minimize(t, keeping{m, &runs[i]}, logistic(), s)
		}
		a, b := runs[0].(*minimaxRun), runs[1].(*minimaxRun)
		for _, r := range []*minimaxRun{a, b} {
			if r.auto != nil {
				forgetScratch(r.auto)
			}
		}
		if a.stage != 3 || a.kappa == a.first {
			t.Fatalf("stage %d, α = %g", a.stage, a.kappa)
		}
		if !reflect.DeepEqual(a.auto, b.auto) || !reflect.DeepEqual(a.ruleU, b.ruleU) ||
			!reflect.DeepEqual(a.ruleW, b.ruleW) || !reflect.DeepEqual(a.ruleX, b.ruleX) {
			t.Errorf("%+v: automatic steps or optimizers are not loaded", m)
		}
		if !slices.Equal(a.y, b.y) || a.kappa != b.kappa || a.first != b.first || a.stage != b.stage ||
			a.scale != b.scale || a.outerScale != b.outerScale || a.t != b.t || a.Counts() != b.Counts() {
			t.Errorf("%+v: u, α, the stage, the step or the counts are not loaded", m)
		}
	}
}

func TestEveryKnobOfMinimaxOPTMatters(t *testing.T) {
	p := logistic()
	last := func(m MinimaxOPT) []float64 {
		at := minimize(t, m, p, bilevel.Settings{MaxSteps: 60, Seed: 1}).Last
		return append(at.X, at.Z...)
	}
	base := MinimaxOPT{Batch: 8, Alpha: 5, Growth: 2, StageSteps: 20, Stages: 3, InnerStep: .02, OuterStep: .02,
		Cosine: true,
		Floor:  .1}
	for _, c := range []struct {
		knob   string
		change func(m *MinimaxOPT)
	}{
		{"Batch", func(m *MinimaxOPT) { m.Batch = 9 }},
		{"Alpha", func(m *MinimaxOPT) { m.Alpha = 6 }},
		{"Alpha, automatic", func(m *MinimaxOPT) { m.Alpha = 0 }},
		{"Growth", func(m *MinimaxOPT) { m.Growth = 3 }},
		{"StageSteps", func(m *MinimaxOPT) { m.StageSteps = 30 }},
		{"Stages", func(m *MinimaxOPT) { m.Stages = 2 }},
		{"Inner", func(m *MinimaxOPT) { m.InnerStep = .03 }},
		{"Inner, automatic", func(m *MinimaxOPT) { m.InnerStep, m.Cosine, m.Floor = 0, false, 0 }},
		{"Penalised", func(m *MinimaxOPT) { m.PenalisedStep = .03 }},
		{"Outer", func(m *MinimaxOPT) { m.OuterStep = .03 }},
		{"Outer, automatic", func(m *MinimaxOPT) { m.OuterStep, m.Cosine, m.Floor = 0, false, 0 }},
		{"OuterScaling", func(m *MinimaxOPT) { m.OuterScaling = 1 }},
		{"Cosine", func(m *MinimaxOPT) { m.Cosine, m.Floor = false, 0 }},
		{"Floor", func(m *MinimaxOPT) { m.Floor = .2 }},
		{"InnerOptimizer", func(m *MinimaxOPT) { m.InnerOptimizer = hypergrad.Momentum{} }},
		{"OuterOptimizer", func(m *MinimaxOPT) { m.OuterOptimizer = hypergrad.Adam{} }},
		{"Shuffle", func(m *MinimaxOPT) { m.Shuffle = true }},
	} {
		m := base
		c.change(&m)
		if slices.Equal(last(m), last(base)) {
			t.Errorf("%s changes nothing", c.knob)
		}
	}
	m := base
	m.InnerOptimizer, m.OuterOptimizer, m.PenalisedStep = hypergrad.GD{}, hypergrad.GD{}, m.InnerStep
	if !slices.Equal(last(m), last(base)) {
		t.Error("gradient descent by name is not what the zero value is")
	}
}

func TestWrongMinimaxOPT(t *testing.T) {
	for _, c := range []struct {
		m    MinimaxOPT
		want string
	}{
		{MinimaxOPT{Batch: -1}, "batch"},
		{MinimaxOPT{Alpha: -1}, "multiplier α is"},
		{MinimaxOPT{Alpha: math.NaN()}, "multiplier α is"},
		{MinimaxOPT{Growth: 1}, "above 1"},
		{MinimaxOPT{Growth: math.Inf(1)}, "above 1"},
		{MinimaxOPT{StageSteps: -1}, "stages"},
		{MinimaxOPT{Stages: -1}, "stages"},
		{MinimaxOPT{InnerStep: -1}, "inner step size"},
		{MinimaxOPT{InnerStep: 1, PenalisedStep: math.Inf(1)}, "penalised step size"},
		{MinimaxOPT{OuterStep: math.NaN()}, "outer step size"},
		{MinimaxOPT{PenalisedStep: 1}, "together"},
		{MinimaxOPT{OuterStep: 1, OuterScaling: -1}, "power"},
		{MinimaxOPT{OuterScaling: 1}, "set OuterStep"},
		{MinimaxOPT{Cosine: true, InnerStep: 1}, "set InnerStep and OuterStep"},
		{MinimaxOPT{Floor: .1}, "without Cosine"},
		{MinimaxOPT{Cosine: true, InnerStep: 1, OuterStep: 1, Floor: 2}, "between 0 and 1"},
		{MinimaxOPT{InnerOptimizer: hypergrad.Adam{}}, "set InnerStep"},
		{MinimaxOPT{InnerStep: 1, OuterOptimizer: hypergrad.Adam{}}, "set OuterStep"},
		{MinimaxOPT{InnerStep: 1, InnerOptimizer: hypergrad.Momentum{Mu: 2}}, "Momentum"},
	} {
		if _, err := c.m.Start(logistic(), bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %q", c.m, err, c.want)
		}
	}
	p := bileveltest.Scalar().FixedPoint("", .1).Problem
	if _, err := (MinimaxOPT{}).Start(p, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), "fixed point") {
		t.Errorf("on a fixed-point problem: %v", err)
	}
}

// Automatic steps of MinimaxOPT and V-PBGD find their way from far off, on levels of very different size, and on a
// regulariser that makes coordinates stiff.
func TestAutomaticStepsOfBothMethods(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 60, 50, 6)
	far := bilevel.Point{Z: fill(6, 1000), X: fill(3, -1000)}
	before := c.Solve(far.X).Value - c.Value
	stiff := logistic()
	e := must(hypergrad.NewEvaluator(stiff, nil))
	best := minimize(t, hypergrad.HOAG{}, stiff, bilevel.Settings{MaxSteps: 300,
		Start: bilevel.Point{X: fill(6, -3)}}).Value
	from := bilevel.Point{X: fill(6, 2)}
	start := must(e.Evaluate(context.Background(), nil, from.X))
	for _, m := range []struct {
		bilevel.Method
		steps int64
	}{{MinimaxOPT{Batch: 1000}, 10000}, {MinimaxOPT{Batch: 16}, 10000}, {VPBGD{}, 4000}} {
		for _, s := range []struct{ f, g float64 }{{1e4, 1e-4}, {1e-4, 1e4}} {
			p := &bilevel.Problem{Outer: scaled{c.Problem.Outer, s.f}, Inner: scaled{c.Problem.Inner, s.g}}
			res := minimize(t, m.Method, p, bilevel.Settings{MaxSteps: m.steps, Seed: 1, Start: far})
			if left := (c.Solve(res.Last.X).Value - c.Value) / before; !(left < 1e-4) {
				t.Errorf("%+v, f·%g, g·%g: %.3g of h − h* is left", m.Method, s.f, s.g, left)
			}
		}
		res := minimize(t, m.Method, stiff, bilevel.Settings{MaxSteps: m.steps, Seed: 1, Start: from})
		if left := (must(e.Evaluate(context.Background(), nil, res.Last.X)) - best) / (start - best); !(left < .05) {
			t.Errorf("%+v, stiff: %.3g of h − h* is left", m.Method, left)
		}
	}
}
