package nonsmooth_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/nonsmooth"
	"github.com/bilevel-go/bilevel/rows"
)

// problem is a composite inner problem on n rows and the loss on m others.
type problem struct {
	bilevel.Problem
	c *nonsmooth.Composite
}

type config struct {
	name       string
	task       string // squared, logistic, softmax
	kind       model.Strengths
	ridge      bool // one ℓ2 strength, the last of x
	sparse     bool // rows
	intercept  bool
	folds      bool
	n, m, d    int
	generic    bool // without the optional interfaces of package model
	correlated bool
	x          float64 // shift of the ℓ1 strengths
}

func configs() []config {
	return []config{
		{name: "lasso", task: "squared", n: 40, m: 30, d: 60, x: -1.5},
		{name: "lasso, correlated", task: "squared", n: 60, m: 30, d: 40, x: -4, correlated: true, intercept: true},
		{name: "lasso per feature", task: "squared", kind: model.PerFeature, n: 60, m: 30, d: 25, x: -1.5, intercept: true},
		{name: "elastic net", task: "squared", ridge: true, n: 40, m: 30, d: 60, x: -2},
		{name: "elastic net, generic", task: "squared", ridge: true, n: 40, m: 30, d: 140, x: -1, generic: true},
		{name: "elastic net per feature, sparse rows", task: "squared", kind: model.PerFeature, ridge: true, sparse: true,
			n: 80, m: 30, d: 30, x: -2},
		{name: "logistic", task: "logistic", n: 60, m: 40, d: 200, x: -3, intercept: true},
		{name: "logistic elastic net, sparse rows", task: "logistic",
			ridge: true, sparse: true, n: 90, m: 40, d: 160, x: -3.5},
		{name: "softmax", task: "softmax", n: 90, m: 40, d: 70, x: -3, intercept: true},
		{name: "softmax elastic net per class, sparse rows", task: "softmax", kind: model.PerClass, ridge: true, sparse: true,
			n: 90, m: 40, d: 20, x: -3},
		{name: "lasso in folds", task: "squared", folds: true, n: 90, d: 80, x: -1.5, intercept: true},
		{name: "logistic elastic net in folds", task: "logistic", ridge: true, folds: true, n: 90, d: 25, x: -3},
	}
}

const classes = 3

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// data are n rows whose label depends on the first five features.
func (k config) data(n int, seed uint64) (rows.Matrix, []float64) {
	rng := rand.New(rand.NewPCG(seed, uint64(k.d)))
	a := rows.NewDense(n, k.d)
	y := make([]float64, n)
	for i := range n {
		common := rng.NormFloat64()
		for j := range k.d {
			v := rng.NormFloat64() * (1 + .5*math.Sin(float64(3*j)))
			if k.correlated {
				v += 2 * common
			}
			if k.sparse && rng.Float64() < .6 {
				v = 0
			}
			a.Row(i)[j] = v
			if j < 5 {
				y[i] += v * (1.5 - .4*float64(j))
			}
		}
		y[i] += rng.NormFloat64()
		switch k.task {
		case "logistic":
			y[i] = math.Copysign(1, y[i]-.5)
		case "softmax":
			y[i] = math.Floor(math.Min(math.Max(y[i]+1.5, 0), 2.5))
		}
	}
	var m rows.Matrix = a
	if k.sparse {
		csr := &rows.CSR{N: n, D: k.d, Ptr: []int{0}}
		for i := range n {
			for j, v := range a.Row(i) {
				if v != 0 {
					csr.Idx, csr.Val = append(csr.Idx, int32(j)), append(csr.Val, v)
				}
			}
			csr.Ptr = append(csr.Ptr, len(csr.Idx))
		}
		m = csr
	}
	if k.intercept {
		m = m.WithOnes()
	}
	return m, y
}

func (k config) loss(t testing.TB, a rows.Matrix, y []float64, p int) *model.Loss {
	t.Helper()
	switch k.task {
	case "logistic":
		return must(model.NewLogistic(a, y, p))(t)
	case "softmax":
		labels := make([]int, len(y))
		for i, v := range y {
			labels[i] = int(v)
		}
		return must(model.NewSoftmax(a, labels, classes, p))(t)
	}
	return must(model.NewSquared(a, y, p))(t)
}

// strengths is the number of ℓ1 strengths.
func (k config) strengths() int {
	switch k.kind {
	case model.PerFeature:
		return k.d
	case model.PerClass:
		return classes
	}
	return 1
}

func (k config) outer() int {
	if k.ridge {
		return k.strengths() + 1
	}
	return k.strengths()
}

func (k config) build(t testing.TB) *problem {
	t.Helper()
	a, y := k.data(k.n, 1)
	train := k.loss(t, a, y, k.outer())
	q := &problem{}
	o := model.PenaltyOptions{Intercept: k.intercept, Outer: k.outer()}
	var g model.Sampled = train
	if k.folds {
		f := must(model.NewFolds(train, []int{0, k.n / 4, k.n / 2, k.n}))(t)
		g, q.Outer, o.Copies = f.Inner, f.Outer, 3
	} else {
		a, y := k.data(k.m, 2)
		q.Outer = k.loss(t, a, y, k.outer())
	}
	l1 := must(model.NewL1(train.Layout(), k.kind, o))(t)
	var smooth bilevel.SecondOrder = g
	if k.ridge {
		o.First = k.strengths()
		smooth = must(model.Regularize(g, must(model.NewPenalty(train.Layout(), model.Shared, o))(t)))(t)
	}
	if k.generic {
		smooth = struct{ bilevel.SecondOrder }{smooth}
	}
	q.c = &nonsmooth.Composite{G: smooth, L1: l1}
	q.Fixed = q.c
	return q
}

// x is a point that is not the same in all strengths.
func (k config) point() []float64 {
	x := make([]float64, k.outer())
	for j := range x {
		x[j] = k.x + .4*math.Sin(float64(2*j+1))
	}
	if k.ridge {
		x[len(x)-1] = -2.3
	}
	return x
}

// reference is z* by coordinate descent on finite accuracy Newton steps: slow, and with nothing but gradients and
// products of g.
func reference(t testing.TB, c *nonsmooth.Composite, x []float64) []float64 {
	t.Helper()
	d, _ := c.Dims()
	all := bilevel.All(c.G)
	z, grad, lambda := make([]float64, d), make([]float64, d), make([]float64, d)
	unit, column := make([]float64, d), make([]float64, d)
	c.L1.Weights(lambda, x)
	for range 200 {
		c.G.Grad(grad, nil, z, x, all)
		if violation(grad, z, lambda) < 1e-12 {
			return z
		}
		h := mat.NewDense(d, d, nil)
		for i := range d {
			unit[i] = 1
			c.G.Products(nil, column, nil, z, x, unit, all)
			unit[i] = 0
			h.SetCol(i, column)
		}
		r := append([]float64(nil), grad...)
		for sweep := range 20000 {
			moved := 0.0
			for i := range d {
				hi := h.At(i, i) + 1e-12
				u := z[i] - r[i]/hi
				u = math.Copysign(math.Max(math.Abs(u)-lambda[i]/hi, 0), u)
				if step := u - z[i]; step != 0 {
					moved = math.Max(moved, math.Abs(step))
					z[i] = u
					for j := range d {
						r[j] += step * h.At(j, i)
					}
				}
			}
			if sweep > 3 && moved < 1e-15 {
				break
			}
		}
	}
	t.Fatal("the reference did not converge")
	return nil
}

// violation is the largest distance of −∇g from the subdifferential of Σλ|z|.
func violation(grad, z, lambda []float64) float64 {
	top := 0.0
	for i, g := range grad {
		switch {
		case z[i] > 0:
			top = math.Max(top, math.Abs(g+lambda[i]))
		case z[i] < 0:
			top = math.Max(top, math.Abs(g-lambda[i]))
		default:
			top = math.Max(top, math.Abs(g)-lambda[i])
		}
	}
	return top
}

func maxDiff(a, b []float64) float64 { return floats.Distance(a, b, math.Inf(1)) }

func TestSolversAgreeWithReference(t *testing.T) {
	for _, k := range configs() {
		t.Run(k.name, func(t *testing.T) {
			q, x := k.build(t), k.point()
			d, _ := q.Dims()
			all := bilevel.All(q.c.G)
			want := reference(t, q.c, x)
			lambda, grad := make([]float64, d), make([]float64, d)
			q.c.L1.Weights(lambda, x)
			zeros := 0
			for i, z := range want {
				if z == 0 && lambda[i] > 0 {
					zeros++
				}
			}
			if zeros < 2 || zeros > d-3 {
				t.Fatalf("%d of %d coefficients are zero: a poor test", zeros, d)
			}
			for _, s := range []nonsmooth.Solver{nonsmooth.ProxNewton{}, nonsmooth.FISTA{}} {
				var counts bilevel.Counts
				m := must(s.Start(q.c, &counts))(t)
				warm := make([]float64, d)
				for i := range warm {
					warm[i] = math.Cos(float64(i))
				}
				for _, z := range [][]float64{make([]float64, d), warm} {
					res, err := m.Minimize(context.Background(), z, x, 1e-11)
					if err != nil || !res.Converged {
						t.Fatalf("%T: %+v, %v", s, res, err)
					}
					q.c.G.Grad(grad, nil, z, x, all)
					if v := violation(grad, z, lambda); v > 1e-10 {
						t.Errorf("%T: optimality is violated by %.3g", s, v)
					}
					// The minimum is unique in value, and in z but for a constant of the softmax intercepts.
					if v := q.c.Value(z, x) - q.c.Value(want, x); math.Abs(v) > 1e-13 {
						t.Errorf("%T: the objective is %.3g off", s, v)
					}
					if diff := maxDiff(z, want); diff > 1e-8 && k.task != "softmax" {
						t.Errorf("%T: z is %.3g off", s, diff)
					}
					if math.Abs(res.Value-q.c.Value(want, x)) > 1e-12 {
						t.Errorf("%T: value %v, want %v", s, res.Value, q.c.Value(want, x))
					}
				}
				if counts.GradG == 0 || counts.HessG == 0 {
					t.Errorf("%T: counts %+v", s, counts)
				}
			}
		})
	}
}

// h is f(z*(x), x) with the reference solution.
func (q *problem) h(t testing.TB, x []float64) float64 {
	z := reference(t, q.c, x)
	return q.Outer.Value(z, x, bilevel.All(q.Outer))
}

func TestImplicitAgreesWithDifferences(t *testing.T) {
	for _, k := range configs() {
		t.Run(k.name, func(t *testing.T) {
			q, x := k.build(t), k.point()
			e := must(hypergrad.NewEvaluator(&q.Problem, nonsmooth.Implicit{}))(t)
			e.Tol = hypergrad.Effort{Inner: 1e-12, LinearTol: 1e-12}
			grad := make([]float64, len(x))
			value, err := e.Evaluate(context.Background(), grad, x)
			if err != nil {
				t.Fatal(err)
			}
			if want := q.h(t, x); math.Abs(value-want) > 1e-10 {
				t.Errorf("h = %.12g, want %.12g", value, want)
			}
			zero := 0
			lambda := make([]float64, len(e.Point().Z))
			q.c.L1.Weights(lambda, x)
			for i, v := range e.Point().V {
				if (v != 0) != (e.Point().Z[i] != 0 || lambda[i] == 0) {
					t.Errorf("coefficient %d is %v with weight %v, and its adjoint %v", i, e.Point().Z[i], lambda[i], v)
				}
			}
			for j := range x {
				if grad[j] == 0 {
					zero++ // an inactive feature
				}
				if j >= 12 {
					continue
				}
				const step = 1e-5
				at := append([]float64(nil), x...)
				at[j] = x[j] + step
				up := q.h(t, at)
				at[j] = x[j] - step
				want := (up - q.h(t, at)) / (2 * step)
				if math.Abs(grad[j]-want) > 1e-7*(1+math.Abs(want)) {
					t.Errorf("∂h/∂x_%d = %.10g, differences %.10g", j, grad[j], want)
				}
			}
			if k.kind == model.PerFeature && (zero == 0 || zero == len(x)) {
				t.Errorf("%d of %d strengths belong to inactive features: a poor test", zero, len(x))
			}
			if k.kind == model.Shared && zero > 0 {
				t.Errorf("∇h = %v", grad)
			}
		})
	}
}

// orthonormal is a design with AᵀA = nI: columns of a Hadamard matrix.
func orthonormal(n, d int) *rows.Dense {
	a := rows.NewDense(n, d)
	for i := range n {
		for j := range d {
			sign := 1.0
			for b := i & (j + 1); b > 0; b &= b - 1 {
				sign = -sign
			}
			a.Row(i)[j] = sign
		}
	}
	return a
}

// With AᵀA/n = I and b = Aᵀy/n the elastic net is z = S(b, λ)/(1 + μ), so that dz/dx = −λ sign(z)/(1 + μ) on the
// support for λ = eˣ, and −μz/(1 + μ) for μ.
func TestOrthonormalDesign(t *testing.T) {
	const n, d = 32, 11
	rng := rand.New(rand.NewPCG(3, 9))
	a, y := orthonormal(n, d), make([]float64, n)
	for i := range y {
		y[i] = rng.NormFloat64()
		for j := range d {
			y[i] += a.Row(i)[j] * (.2 - .07*float64(j))
		}
	}
	b := make([]float64, d)
	for i, yi := range y {
		floats.AddScaled(b, yi/n, a.Row(i))
	}
	target := make([]float64, d)
	for i := range target {
		target[i] = math.Sin(float64(i))
	}
	for _, ridge := range []bool{false, true} {
		for _, kind := range []model.Strengths{model.Shared, model.PerFeature} {
			k := config{task: "squared", kind: kind, ridge: ridge, d: d}
			train := must(model.NewSquared(a, y, k.outer()))(t)
			o := model.PenaltyOptions{Outer: k.outer()}
			c := &nonsmooth.Composite{G: train, L1: must(model.NewL1(train.Layout(), kind, o))(t)}
			if ridge {
				o.First = k.strengths()
				c.G = must(model.Regularize(train, must(model.NewPenalty(train.Layout(), model.Shared, o))(t)))(t)
			}
			// f = ½‖z − target‖² + Σx.
			f := &bilevel.Func{InnerDim: d, OuterDim: k.outer(),
				Eval: func(z, x []float64, _ bilevel.Batch) float64 {
					s := floats.Distance(z, target, 2)
					return s*s/2 + floats.Sum(x)
				},
				Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
					floats.SubTo(dz, z, target)
					for j := range dx {
						dx[j] = 1
					}
				},
			}
			p := &bilevel.Problem{Outer: f, Fixed: c}
			e := must(hypergrad.NewEvaluator(p, nonsmooth.Implicit{}))(t)
			e.Tol.Inner = 1e-13
			x := make([]float64, k.outer())
			for j := range k.strengths() {
				x[j] = math.Log(.11 + .01*float64(j%3))
			}
			mu := 0.0
			if ridge {
				x[len(x)-1] = -1.2
				mu = math.Exp(-1.2)
			}
			got, grad := make([]float64, k.outer()), make([]float64, k.outer())
			value, err := e.Evaluate(context.Background(), got, x)
			if err != nil {
				t.Fatal(err)
			}
			want := floats.Sum(x)
			for j := range grad {
				grad[j] = 1
			}
			z := e.Point().Z
			inactive := 0
			for i, bi := range b {
				j := 0
				if kind == model.PerFeature {
					j = i
				}
				lambda := math.Exp(x[j])
				zi := 0.0
				if math.Abs(bi) > lambda {
					zi = math.Copysign(math.Abs(bi)-lambda, bi) / (1 + mu)
					grad[j] -= (zi - target[i]) * math.Copysign(lambda, bi) / (1 + mu)
					if ridge {
						grad[len(x)-1] -= (zi - target[i]) * mu * zi / (1 + mu)
					}
				} else {
					inactive++
				}
				want += (zi - target[i]) * (zi - target[i]) / 2
				if math.Abs(z[i]-zi) > 1e-12 || (zi == 0) != (z[i] == 0) {
					t.Errorf("ridge %v, %v: z_%d = %v, want %v", ridge, kind, i, z[i], zi)
				}
			}
			if inactive == 0 || inactive == d {
				t.Fatalf("%d of %d are inactive: a poor test", inactive, d)
			}
			if math.Abs(value-want) > 1e-12 || maxDiff(got, grad) > 1e-11 {
				t.Errorf("ridge %v, %v: h = %v, want %v; ∇h = %v, want %v", ridge, kind, value, want, got, grad)
			}
		}
	}
}

// From λ_max on z is zero but for the intercept, and the strength does not matter.
func TestLargestStrength(t *testing.T) {
	for _, intercept := range []bool{false, true} {
		k := config{task: "logistic", n: 60, m: 20, d: 12, intercept: intercept}
		q := k.build(t)
		d, _ := q.Dims()
		free, grad := make([]float64, d), make([]float64, d)
		x := []float64{8}
		m := must(nonsmooth.ProxNewton{}.Start(q.c, nil))(t)
		if _, err := m.Minimize(context.Background(), free, x, 1e-13); err != nil {
			t.Fatal(err)
		}
		q.c.G.Grad(grad, nil, free, x, bilevel.All(q.c.G))
		top := math.Log(floats.Norm(grad[:k.d], math.Inf(1))) // λ_max
		for _, side := range []float64{1e-6, -1e-3} {
			e := must(hypergrad.NewEvaluator(&q.Problem, nonsmooth.Implicit{}))(t)
			dx := []float64{math.NaN()}
			if _, err := e.Evaluate(context.Background(), dx, []float64{top + side}); err != nil {
				t.Fatal(err)
			}
			some := false
			for _, z := range e.Point().Z[:k.d] {
				some = some || z != 0
			}
			if some != (side < 0) || (dx[0] != 0) != (side < 0) {
				t.Errorf("intercept %v, λ_max·e^%v: ∇h = %v, z = %v", intercept, side, dx[0], e.Point().Z)
			}
		}
		// At λ_max itself there is a kink, and the estimator says so.
		hyper := must(nonsmooth.Implicit{}.Start(&q.Problem, nil))(t)
		at := bilevel.Point{Z: free, X: []float64{top}, V: make([]float64, d)}
		rep, err := hyper.At(context.Background(), make([]float64, 1), at, hypergrad.Effort{Inner: 1e-10, LinearTol: 1e-10})
		var kink *nonsmooth.KinkError
		if err != nil || !errors.As(rep.Warning, &kink) {
			t.Errorf("intercept %v, λ_max: warning %v, error %v", intercept, rep.Warning, err)
		} else if math.Abs(grad[kink.Coefficient]) < math.Exp(top)*(1-1e-9) {
			t.Errorf("intercept %v: %v", intercept, kink)
		}
		// An evaluation there is one.
		e := must(hypergrad.NewEvaluator(&q.Problem, nonsmooth.Implicit{}))(t)
		e.Tol = hypergrad.Effort{Inner: 1e-10, LinearTol: 1e-10}
		if _, err := e.Evaluate(context.Background(), nil, []float64{top}); err != nil {
			t.Errorf("intercept %v, λ_max: %v", intercept, err)
		}
		res, err := bilevel.Minimize(context.Background(), &q.Problem, hypergrad.HOAG{Estimator: nonsmooth.Implicit{}},
			bilevel.Settings{Start: bilevel.Point{X: []float64{top}}, MaxSteps: 5, Evaluator: e})
		if err != nil {
			t.Errorf("intercept %v, from λ_max: %v, %v", intercept, res.Reason, err)
		}
	}
}

// A coefficient without penalty belongs to the support even where it is exactly zero.
func TestZeroIntercept(t *testing.T) {
	train := rows.FromSlice(2, 1, []float64{1, -1}).WithOnes()
	val := rows.FromSlice(3, 1, []float64{1, 2, -1}).WithOnes()
	g := must(model.NewLogistic(train, []float64{1, -1}, 1))(t)
	f := must(model.NewLogistic(val, []float64{1, 1, -1}, 1))(t)
	c := &nonsmooth.Composite{G: g, L1: must(model.NewL1(g.Layout(), model.Shared,
		model.PenaltyOptions{Intercept: true}))(t)}
	e := must(hypergrad.NewEvaluator(&bilevel.Problem{Outer: f, Fixed: c}, nonsmooth.Implicit{}))(t)
	if _, err := e.Evaluate(context.Background(), nil, []float64{3}); err != nil {
		t.Fatal(err)
	}
	// ∇²g = ¼ and ∇f = −½·(1 + 1 − 1)/3.
	if at := e.Point(); at.Z[0] != 0 || at.Z[1] != 0 || at.V[0] != 0 || math.Abs(at.V[1]-4./6) > 1e-12 {
		t.Errorf("z = %v, v = %v", at.Z, at.V)
	}
}

func TestMapConforms(t *testing.T) {
	for _, k := range configs() {
		if k.correlated || k.d > 60 {
			continue // finite differences are slow
		}
		t.Run(k.name, func(t *testing.T) {
			q := k.build(t)
			q.c.Eta = .3
			// Small steps, so that few differences reach across a kink.
			bileveltest.FixedPoint(t, q.c, bileveltest.ObjectiveOptions{Step: 1e-6})
			d, p := q.Dims()
			rng := rand.New(rand.NewPCG(5, 5))
			normal := func(n int) []float64 {
				v := make([]float64, n)
				for i := range v {
					v[i] = rng.NormFloat64()
				}
				return v
			}
			z, x, u, vz, vx := normal(d), k.point(), normal(d), normal(d), normal(p)
			uz, ux, dst := make([]float64, d), make([]float64, p), make([]float64, d)
			q.c.Pull(uz, ux, z, x, u, bilevel.Batch{})
			for _, c := range [][2][]float64{{vz, vx}, {vz, nil}, {nil, vx}} {
				q.c.Push(dst, z, x, c[0], c[1], bilevel.Batch{})
				want := 0.0
				if c[0] != nil {
					want += floats.Dot(uz, c[0])
				}
				if c[1] != nil {
					want += floats.Dot(ux, c[1])
				}
				if got := floats.Dot(u, dst); math.Abs(got-want) > 1e-10*(1+math.Abs(want)) {
					t.Errorf("⟨u, Push⟩ = %v, ⟨Pull(u), ·⟩ = %v", got, want)
				}
			}
		})
	}
}

// The iteration differentiated step by step gives the hypergradient of the support.
func TestProximalGradientConverges(t *testing.T) {
	for _, k := range configs() {
		if k.correlated || k.task == "softmax" && k.intercept { // badly conditioned; intercepts up to a constant
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			q, x := k.build(t), k.point()
			d, p := q.Dims()
			e := must(hypergrad.NewEvaluator(&q.Problem, nonsmooth.Implicit{}))(t)
			want := make([]float64, p)
			if _, err := e.Evaluate(context.Background(), want, x); err != nil {
				t.Fatal(err)
			}
			const steps = 6000
			for _, mode := range []hypergrad.Mode{hypergrad.Checkpoints, hypergrad.Forward} {
				if mode == hypergrad.Forward && p > 2 {
					continue
				}
				var counts bilevel.Counts
				estimator := hypergrad.ITD{Dynamics: nonsmooth.ProximalGradient{}, Steps: steps, Mode: mode}
				itd := must(estimator.Start(&q.Problem, &counts))(t)
				at, got := bilevel.Point{Z: make([]float64, d), X: x, V: make([]float64, d)}, make([]float64, p)
				for range 2 { // from zero, and again from where that ended, so that the derivatives converge
					if _, err := itd.At(context.Background(), got, at, hypergrad.Effort{}); err != nil {
						t.Fatal(err)
					}
				}
				if diff := maxDiff(at.Z, e.Point().Z); diff > 1e-8 {
					t.Fatalf("after %d steps z is %.3g off", 2*steps, diff)
				}
				if diff := maxDiff(got, want); diff > 1e-8*(1+floats.Norm(want, 2)) {
					t.Errorf("%v: ∇h = %v through the iteration, %v on the support", mode, got, want)
				}
				if counts.GradG == 0 || counts.HessG == 0 || counts.CrossG == 0 {
					t.Errorf("counts %+v", counts)
				}
			}
		})
	}
}

func TestSameBits(t *testing.T) {
	k := configs()[6]
	q, x := k.build(t), k.point()
	d, p := q.Dims()
	hyper := must(nonsmooth.Implicit{}.Start(&q.Problem, nil))(t)
	ask := func(x []float64) (bilevel.Point, []float64) {
		at := bilevel.Point{Z: make([]float64, d), X: x, V: make([]float64, d)}
		grad := make([]float64, p)
		if _, err := hyper.At(context.Background(), grad, at, hypergrad.Effort{Inner: 1e-9, LinearTol: 1e-9}); err != nil {
			t.Fatal(err)
		}
		return at, grad
	}
	at, grad := ask(x)
	ask([]float64{-4.2})
	again, gradAgain := ask(x)
	if fmt.Sprint(at, grad) != fmt.Sprint(again, gradAgain) {
		t.Error("what was computed depends on earlier calls")
	}
}

func TestErrors(t *testing.T) {
	k := configs()[0]
	q := k.build(t)
	wrong := config{task: "squared", d: 7, n: 5, m: 3, kind: model.PerFeature}.build(t)
	plain := &bilevel.Problem{Outer: q.Outer, Inner: q.c.G}
	for name, p := range map[string]*bilevel.Problem{
		"no composite": plain,
		"dimensions":   {Outer: q.Outer, Fixed: &nonsmooth.Composite{G: q.c.G, L1: wrong.c.L1}},
		"no products": {Outer: q.Outer, Fixed: &nonsmooth.Composite{G: &bilevel.Func{InnerDim: k.d, OuterDim: 1},
			L1: q.c.L1}},
		"step size": {Outer: q.Outer, Fixed: &nonsmooth.Composite{G: q.c.G, L1: q.c.L1, Eta: -1}},
	} {
		if _, err := (nonsmooth.Implicit{}).Start(p, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := (nonsmooth.ProximalGradient{}).Begin(p, nil); err == nil {
			t.Errorf("%s: no error from the iteration", name)
		}
	}
	for _, s := range []nonsmooth.Solver{nonsmooth.ProxNewton{MaxIter: 1}, nonsmooth.FISTA{MaxIter: 1}} {
		l := configs()[6]
		q := l.build(t)
		d, _ := q.Dims()
		m := must(s.Start(q.c, nil))(t)
		var unsolved *inner.NotConvergedError
		if res, err := m.Minimize(context.Background(), make([]float64, d), l.point(), 1e-12); !errors.As(err, &unsolved) ||
			res.Iterations != 1 {
			t.Errorf("%T: %+v, %v", s, res, err)
		}
		z := make([]float64, d)
		z[0] = math.NaN()
		var infinite *inner.NonFiniteError
		if _, err := m.Minimize(context.Background(), z, l.point(), 1e-12); !errors.As(err, &infinite) {
			t.Errorf("%T: %v", s, err)
		}
		// A tolerance below rounding is met as well as can be.
		m = must(nonsmooth.ProxNewton{}.Start(q.c, nil))(t)
		if res, err := m.Minimize(context.Background(), make([]float64, d), l.point(), 1e-300); err != nil || !res.Rounding ||
			res.GradNorm > 1e-13 {
			t.Errorf("%+v, %v", res, err)
		}
	}
}

// Scaling columns scales coefficients, however far apart the scales are.
func TestScales(t *testing.T) {
	k := config{task: "squared", kind: model.PerFeature, n: 60, m: 30, d: 12, intercept: true}
	a, y := k.data(k.n, 1)
	solve := func(scale func(j int) float64) []float64 {
		b := rows.NewDense(k.n, k.d)
		for i := range k.n {
			for j := range k.d {
				b.Row(i)[j] = a.(*rows.Dense).Row(i)[j] * scale(j)
			}
		}
		loss := k.loss(t, b.WithOnes(), y, k.d)
		c := &nonsmooth.Composite{G: loss, L1: must(model.NewL1(loss.Layout(), k.kind,
			model.PenaltyOptions{Intercept: true}))(t)}
		x := make([]float64, k.d)
		for j := range x {
			x[j] = -1.5 + math.Log(scale(j)) // the same penalty
		}
		z := make([]float64, k.d+1)
		m := must(nonsmooth.ProxNewton{}.Start(c, nil))(t)
		if _, err := m.Minimize(context.Background(), z, x, 1e-10); err != nil {
			t.Fatal(err)
		}
		for j := range k.d {
			z[j] *= scale(j)
		}
		return z
	}
	want := solve(func(int) float64 { return 1 })
	got := solve(func(j int) float64 { return math.Pow(10, float64(j%5*3-6)) })
	if diff := maxDiff(got, want); diff > 1e-8 {
		t.Errorf("z = %v, scaled %v", want, got)
	}
}

// A hypergradient costs the Hessian of the support alone: S columns and a few products.
func TestImplicitCostsTheSupport(t *testing.T) {
	for _, k := range []config{
		{task: "squared", n: 120, m: 30, d: 400, x: -1.5}, // whose columns the solver has
		{task: "logistic", n: 120, m: 30, d: 400, x: -2.5},
	} {
		t.Run(k.task, func(t *testing.T) {
			q, x := k.build(t), k.point()
			var counts bilevel.Counts
			hyper := must(nonsmooth.Implicit{}.Start(&q.Problem, &counts))(t)
			at := bilevel.Point{Z: make([]float64, k.d), X: x, V: make([]float64, k.d)}
			effort := hypergrad.Effort{Inner: 1e-9, LinearTol: 1e-9}
			for range 2 {
				counts = bilevel.Counts{} // the second time, z is solved for
				if _, err := hyper.At(context.Background(), make([]float64, 1), at, effort); err != nil {
					t.Fatal(err)
				}
			}
			support := 0
			for _, z := range at.Z {
				if z != 0 {
					support++
				}
			}
			n := int64(k.n)
			if support < 5 || support > 40 {
				t.Fatalf("%d of %d coefficients are not zero: a poor test", support, k.d)
			}
			most := int64(support+5) * n
			if k.task == "squared" {
				most = 0
			}
			if counts.HessG > most || (counts.HessG == 0) != (most == 0) || counts.CrossG != n || counts.GradG > 3*n {
				t.Errorf("a support of %d and %d rows cost %+v", support, n, counts)
			}
		})
	}
}

// From z = 0, weak weights are reached by larger ones: at once, three times as many columns of Hessians are formed
// here, and the quadratics are far harder.
func TestLargerWeightsFirst(t *testing.T) {
	k := config{task: "squared", n: 70, m: 30, d: 800}
	q := k.build(t)
	var counts bilevel.Counts
	m := must(nonsmooth.ProxNewton{}.Start(q.c, &counts))(t)
	res, err := m.Minimize(context.Background(), make([]float64, k.d), []float64{-8}, 1e-10)
	if err != nil {
		t.Fatal(err)
	}
	if columns := counts.HessG / int64(k.n); columns > 1000 {
		t.Errorf("%d columns of Hessians in %d steps", columns, res.Iterations)
	}
}
