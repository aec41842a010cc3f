package hypergrad_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
)

// The outer loops against plain code. An estimator with closed forms stands for the inner problem and records what it
// is asked for.

// closed has h = Σ c_j cosh(x_j − s_j) + ½(Σ x_j)² + offset, not quadratic and not separable, or, flat, h = Σ c_j √(1 +
// (x_j − s_j)²), of which little is curved far out.
type closed struct {
	c, s       []float64
	offset     float64
	flat       bool
	randomized bool // as it says; it is not
	asked      []request
}

type request struct {
	x             []float64
	inner, linear float64
}

func newClosed(offset float64) *closed {
	return &closed{c: []float64{1, .3, 2, .1}, s: []float64{.5, -1, 0, 2}, offset: offset}
}

func (e *closed) value(x []float64) float64 {
	h, sum := e.offset, floats.Sum(x)
	for j, v := range x {
		if e.flat {
			h += e.c[j] * math.Hypot(1, v-e.s[j])
			continue
		}
		h += e.c[j] * math.Cosh(v-e.s[j])
	}
	if e.flat {
		return h
	}
	return h + sum*sum/2
}

func (e *closed) grad(x []float64) []float64 {
	g := make([]float64, len(x))
	for j, v := range x {
		g[j] = e.c[j]*math.Sinh(v-e.s[j]) + floats.Sum(x)
		if e.flat {
			g[j] = e.c[j] * (v - e.s[j]) / math.Hypot(1, v-e.s[j])
		}
	}
	return g
}

func (e *closed) Start(*bilevel.Problem, *bilevel.Counts) (hypergrad.Hypergradient, error) {
	return e, nil
}

func (e *closed) At(_ context.Context, grad []float64, at bilevel.Point,
	tol hypergrad.Effort) (r hypergrad.Report, err error) {
	e.asked = append(e.asked, request{append([]float64(nil), at.X...), tol.Inner, tol.LinearTol})
	copy(grad, e.grad(at.X))
	r.Value = e.value(at.X)
	return r, nil
}

func (e *closed) Randomized(hypergrad.Effort) bool { return e.randomized }

// problem has ∇z g = 3 at z = 0, the unit of inner tolerances, and the levels are otherwise not looked at.
func (e *closed) problem() *bilevel.Problem {
	level := &bilevel.Func{InnerDim: 1, OuterDim: len(e.c),
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return 0 },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0] = 3; clear(dx) },
	}
	return &bilevel.Problem{Inner: level, Outer: level}
}

func step(t *testing.T, run bilevel.Run) {
	t.Helper()
	if err := run.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// HOAG's adaptive rule (Pedregosa 2016, algorithm 1 and section 4), evaluation by evaluation: ε₀·0.9^k, ε₀/k², ε₀/k³ or
// what is tied to ∇h, in units of |h(x₀)| and of ∇z g; L₀ = ‖∇h‖/√p; L falls by the factor .95 and is doubled, with all
// tolerances halved, by the two conditions.
func TestAdaptiveStepsAreTheFormula(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 13))
	var shrunk, doubled, kept int
	for n := range 300 {
		sequence := hypergrad.Sequence(n % 4)
		first := math.Pow(10, -5*rng.Float64()-.1)
		e := newClosed(20 * rng.NormFloat64())
		p := e.problem()
		p.Lower = []float64{math.Inf(-1), math.Inf(-1), .3, math.Inf(-1)}
		x, size := make([]float64, 4), math.Exp(2*rng.Float64()-1)
		for j := range x {
			x[j] = size * rng.NormFloat64()
		}
		p.ProjectX(x)
		m := hypergrad.HOAG{Estimator: e, Step: hypergrad.Adaptive, Tolerance: sequence, FirstTolerance: first}
		run, err := m.Start(p, bilevel.Point{X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		check := func(k int, at []float64, eps float64) {
			t.Helper()
			step(t, run)
			a := e.asked[len(e.asked)-1]
			if len(e.asked) != k || floats.Distance(a.x, at, 2) > 1e-10 || math.Abs(a.inner-3*eps) > 1e-10*eps ||
				math.Abs(a.linear-min(eps, .1)) > 1e-10*eps {
				t.Fatalf("%v from ε₀ = %.3g: evaluation %d is at %v to %g and %g, want %v to %g and %g", sequence,
					first, k, a.x, a.inner, a.linear, at, 3*eps, min(eps, .1))
			}
		}
		check(1, x, first)
		unit := math.Abs(e.value(x))
		l := floats.Norm(e.grad(x), 2) / 2 // √p = 2
		accepted, halved, eps := 0, 1.0, first
		tolerance := func() {
			k := math.Max(1, float64(accepted))
			switch sequence {
			case hypergrad.Exponential:
				eps = halved * first * math.Pow(.9, float64(accepted))
			case hypergrad.Quadratic:
				eps = halved * first / (k * k)
			case hypergrad.Cubic:
				eps = halved * first / (k * k * k)
			default:
				g := make([]float64, 4)
				p.ProjectedGrad(g, x, e.grad(x))
				eps = math.Min(eps, floats.Norm(g, 2)/unit/100)
			}
		}
		before := eps // of the evaluation at x
		tolerance()
		for k := 2; k < 30; k++ {
			next := append([]float64(nil), x...)
			floats.AddScaled(next, -1/l, e.grad(x))
			p.ProjectX(next)
			check(k, next, eps)
			delta, h, after := floats.Distance(next, x, 2), e.value(x), e.value(next)
			slack := unit * (eps/4 + 1.25*before*delta)
			if after >= h+.2*math.Abs(h) || after > h+slack {
				l *= 2
				halved /= 2
				eps /= 2
				doubled++
				continue
			}
			if after <= h+slack-l*delta*delta {
				l *= .95
				shrunk++
			} else {
				kept++
			}
			x, before = next, eps
			accepted++
			tolerance()
		}
	}
	if min(shrunk, doubled, kept) < 100 {
		t.Errorf("L falls %d times, is doubled %d times, stays %d times: the test shows little", shrunk, doubled, kept)
	}
}

// HOAG's quasi-Newton steps against the dense BFGS matrix of the pairs that are kept,
//
//	H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ,  ρ = 1/sᵀy,  from H₀ = diag(1/max(|∇h_j|/Δ, |y_j|/|s_j|)),
//
// y_j and s_j of the last three pairs, with trials at 1 and at the minimum of the parabola through h, its slope and the
// last trial, by a factor between 2 and 10, until h falls by 10⁻⁴ of the slope's promise.
func TestQuasiNewtonStepsAreTheFormula(t *testing.T) {
	for _, c := range []struct {
		pairs int
		flat  bool
		size  float64
	}{{1, false, 1}, {3, false, 1}, {10, false, 1}, {3, true, 30}, {10, true, 10}} {
		pairs := c.pairs
		e := newClosed(0)
		e.flat = c.flat
		x := []float64{2 * c.size, -3 * c.size, c.size, 4 * c.size}
		n := len(x)
		run, err := hypergrad.HOAG{Estimator: e, Memory: pairs}.Start(e.problem(), bilevel.Point{X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		step(t, run)
		var ss, ys []*mat.VecDense // oldest first
		delta, tries := 3.0, 0
		for accepted := 0; accepted < 9; accepted++ {
			g := e.grad(x)
			h := mat.NewDense(n, n, nil)
			for j := range n {
				curvature := math.Abs(g[j]) / delta
				sj, yj := 0.0, 0.0
				for k := max(0, len(ss)-3); k < len(ss); k++ {
					sj, yj = math.Hypot(sj, ss[k].AtVec(j)), math.Hypot(yj, ys[k].AtVec(j))
				}
				if sj > 0 {
					curvature = math.Max(curvature, yj/sj)
				}
				h.Set(j, j, 1/curvature)
			}
			for k := range ss {
				rho := 1 / mat.Dot(ss[k], ys[k])
				var left, sum mat.Dense
				left.Outer(-rho, ss[k], ys[k])
				for j := range n {
					left.Set(j, j, 1+left.At(j, j))
				}
				sum.Product(&left, h, left.T())
				h.Outer(rho, ss[k], ss[k])
				h.Add(h, &sum)
			}
			var dir mat.VecDense
			dir.MulVec(h, mat.NewVecDense(n, g))
			value, slope, alpha := e.value(x), -mat.Dot(&dir, mat.NewVecDense(n, g)), 1.0
			next := make([]float64, n)
			for {
				floats.AddScaledTo(next, x, -alpha, dir.RawVector().Data)
				step(t, run)
				a, moved := e.asked[len(e.asked)-1], floats.Distance(next, x, 2)
				if floats.Distance(a.x, next, 2) > 1e-8*moved+1e-12 {
					t.Fatalf("%+v, after %d steps: a trial at %v, want %v", c, accepted, a.x, next)
				}
				change := e.value(next) - value
				if change <= 1e-4*alpha*slope {
					break
				}
				tries++
				alpha = math.Max(alpha/10, math.Min(alpha/2, -slope*alpha*alpha/(2*(change-alpha*slope))))
			}
			s, y := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
			s.SubVec(mat.NewVecDense(n, next), mat.NewVecDense(n, x))
			y.SubVec(mat.NewVecDense(n, e.grad(next)), mat.NewVecDense(n, g))
			ss, ys = append(ss, s), append(ys, y)
			if len(ss) > pairs {
				ss, ys = ss[1:], ys[1:]
			}
			longest := floats.Distance(next, x, math.Inf(1))
			delta = math.Min(math.Max(longest, delta/4), 4*delta)
			x = next
		}
		if tries == 0 && !c.flat {
			t.Errorf("%+v: no step was shortened: the test shows little", c)
		}
	}
}

// Spectral projected gradient (Birgin, Martínez, Raydan 2000, algorithm 2.1): d = P(x − λ∇h) − x with λ = sᵀs/sᵀy, at
// first √p/‖∇h‖, and h against the largest of the last five values.
func TestSpectralStepsAreTheFormula(t *testing.T) {
	above := 0 // steps to a higher h
	for _, radius := range []float64{.8, 3, 100} {
		e := newClosed(0)
		p := e.problem()
		p.Project = func(x []float64) {
			if n := floats.Norm(x, 2); n > radius {
				floats.Scale(radius/n, x)
			}
		}
		x := []float64{2, -3, 1, 4}
		run, err := hypergrad.HOAG{Estimator: e}.Start(p, bilevel.Point{X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		p.ProjectX(x)
		step(t, run)
		lambda := 2 / floats.Norm(e.grad(x), 2) // √p = 2
		recent := []float64{e.value(x)}
		for accepted := 0; accepted < 12; accepted++ {
			g, dir := e.grad(x), append([]float64(nil), x...)
			floats.AddScaled(dir, -lambda, g)
			p.ProjectX(dir)
			floats.Sub(dir, x)
			slope, alpha := floats.Dot(g, dir), 1.0
			if slope > -1e-9 {
				break
			}
			next := make([]float64, 4)
			for {
				floats.AddScaledTo(next, x, alpha, dir)
				step(t, run)
				if a := e.asked[len(e.asked)-1]; floats.Distance(a.x, next, 2) > 1e-9 {
					t.Fatalf("radius %g, after %d steps: a trial at %v, want %v", radius, accepted, a.x, next)
				}
				change := e.value(next) - floats.Max(recent)
				if change <= 1e-4*alpha*slope {
					break
				}
				alpha = math.Max(alpha/10, math.Min(alpha/2, -slope*alpha*alpha/(2*(change-alpha*slope))))
			}
			s, y := make([]float64, 4), make([]float64, 4)
			floats.SubTo(s, next, x)
			floats.SubTo(y, e.grad(next), g)
			lambda = floats.Dot(s, s) / floats.Dot(s, y)
			if e.value(next) > e.value(x) {
				above++
			}
			x = next
			recent = append(recent, e.value(x))
			recent = recent[max(0, len(recent)-5):]
		}
	}
	if above == 0 {
		t.Error("h falls in every step: the test shows little")
	}
}

// Descent's search: α is √p/‖direction‖ at first, shrinks to the minimum of the parabola, by a factor between 2 and 10,
// and is doubled where the first trial lowers h by 10⁻⁴ of the slope's promise. That of an estimator that says it is
// randomized evaluates each new point once more, and α grows by 2% after the first rejection.
func TestSearchedStepsAreTheFormula(t *testing.T) {
	for _, c := range []struct {
		mu         float64
		randomized bool
		size       float64
	}{
		{0, false, 1}, {0, false, .5}, {.5, false, 1},
		{0, true, .5}, {0, true, .7}, {0, true, 1}, {0, true, 1.5}, {.5, true, 1},
	} {
		m := hypergrad.Descent{}
		if c.mu > 0 {
			m.Optimizer = hypergrad.Momentum{Mu: c.mu}
		}
		e := newClosed(0)
		e.randomized = c.randomized
		m.Estimator = e
		p := e.problem()
		p.Lower = []float64{math.Inf(-1), math.Inf(-1), .3, math.Inf(-1)}
		x := []float64{2 * c.size, -3 * c.size, 1, 4 * c.size}
		run, err := m.Start(p, bilevel.Point{X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		check := func(at []float64) {
			t.Helper()
			step(t, run)
			if a := e.asked[len(e.asked)-1]; floats.Distance(a.x, at, 2) > 1e-9 {
				t.Fatalf("%+v: evaluation %d is at %v, want %v", c, len(e.asked), a.x, at)
			}
		}
		check(x)
		dir, alpha := make([]float64, 4), 0.0
		var grown, shortened int
		for range 12 {
			g := e.grad(x)
			floats.Scale(c.mu, dir)
			floats.Add(dir, g)
			if alpha == 0 {
				alpha = 2 / floats.Norm(dir, 2)
			}
			for try := 0; ; try++ {
				next := make([]float64, 4)
				floats.AddScaledTo(next, x, -alpha, dir)
				p.ProjectX(next)
				check(next)
				change, promise := e.value(next)-e.value(x), floats.Dot(g, next)-floats.Dot(g, x)
				if change <= 1e-4*promise {
					switch {
					case try > 0:
					case c.randomized && shortened > 0:
						alpha *= 1.02
						grown++
					default:
						alpha *= 2
						grown++
					}
					x = next
					break
				}
				alpha = math.Max(alpha/10, math.Min(alpha/2, -promise*alpha/(2*(change-promise))))
				shortened++
			}
			if c.randomized {
				check(x)
			}
		}
		if grown == 0 || shortened == 0 {
			t.Errorf("%+v: α grows %d times and shrinks %d times: the test shows little", c, grown, shortened)
		}
	}
}

// seen records the batches of calls: gradients of z alone, of both, products with ∇²zz and with ∇²xz.
type seen struct {
	bilevel.SecondOrder
	inner, outer, hess, cross []bilevel.Batch
}

func (o *seen) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	if dx == nil {
		o.inner = append(o.inner, b)
	} else {
		o.outer = append(o.outer, b)
	}
	o.SecondOrder.Grad(dz, dx, z, x, b)
}

func (o *seen) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if hv != nil {
		o.hess = append(o.hess, b)
	} else {
		o.cross = append(o.cross, b)
	}
	o.SecondOrder.Products(dz, hv, cv, z, x, v, b)
}

// SID on the batches that it asks for: t steps on z and k on v with rates β/(γ + s) times Scale, and means over J
// terms, rounded up to whole batches.
func TestSIDStepsAreTheFormula(t *testing.T) {
	c := bileveltest.Ridge(bileveltest.ExpDiagonal, 31, 23, 5, 1)
	for _, m := range []hypergrad.SID{
		{InnerSteps: 7, LinearSteps: 5, Samples: 10, Batch: 4, InnerStep: hypergrad.Harmonic{Beta: 3, Gamma: 6},
			LinearStep: hypergrad.Harmonic{Beta: 2, Gamma: 5}, Scale: .1},
		{InnerSteps: 3, LinearSteps: 9, Samples: 1000, Batch: 8, InnerStep: hypergrad.Harmonic{Beta: .3},
			LinearStep: hypergrad.Harmonic{Beta: .4}, Scale: .2},
		{Scale: .1}, // t = k = 100, J is 100 batches, more than all terms, of 64; β = γ = 100
	} {
		f, g := &seen{SecondOrder: c.Problem.Outer.(bilevel.SecondOrder)}, &seen{}
		g.SecondOrder = c.Problem.Inner.(bilevel.SecondOrder)
		d, p := g.Dims()
		h, err := m.Start(&bilevel.Problem{Outer: f, Inner: g}, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := bilevel.Point{Z: make([]float64, d), X: make([]float64, p), V: make([]float64, d)}
		for i := range at.Z {
			at.Z[i], at.V[i] = math.Sin(float64(i)), math.Cos(float64(i))
		}
		for j := range at.X {
			at.X[j] = -1 - float64(j)/5
		}
		z, v := append([]float64(nil), at.Z...), append([]float64(nil), at.V...)
		grad := make([]float64, p)
		rep, err := h.At(t.Context(), grad, at, hypergrad.Effort{Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		tSteps, kSteps, batches, rateZ, rateV := m.InnerSteps, m.LinearSteps, (m.Samples+3)/4, m.InnerStep, m.LinearStep
		if m.Samples != 10 {
			batches = 1 // all terms
		}
		if m.InnerSteps == 0 {
			tSteps, kSteps = 100, 100
			rateZ, rateV = hypergrad.Harmonic{Beta: 100, Gamma: 100}, hypergrad.Harmonic{Beta: 100, Gamma: 100}
		}
		if len(g.inner) != tSteps || len(g.hess) != kSteps || len(f.outer) != batches || len(g.cross) != batches {
			t.Fatalf("%+v: %d steps of z, %d of v, %d batches of f and %d of the cross product", m, len(g.inner),
				len(g.hess), len(f.outer), len(g.cross))
		}
		rate := func(r hypergrad.Harmonic, s int) float64 {
			if r.Gamma == 0 {
				return r.Beta
			}
			return r.Beta / (r.Gamma + float64(s))
		}
		dz, dx, hv := make([]float64, d), make([]float64, p), make([]float64, d)
		for s, b := range g.inner {
			g.SecondOrder.Grad(dz, nil, z, at.X, b)
			floats.AddScaled(z, -m.Scale*rate(rateZ, s), dz)
		}
		fz, want, value := make([]float64, d), make([]float64, p), 0.0
		for _, b := range f.outer {
			f.SecondOrder.Grad(dz, dx, z, at.X, b)
			floats.AddScaled(fz, 1/float64(batches), dz)
			floats.AddScaled(want, 1/float64(batches), dx)
			value += f.Value(z, at.X, b) / float64(batches)
		}
		for s, b := range g.hess {
			g.SecondOrder.Products(nil, hv, nil, z, at.X, v, b)
			floats.Add(hv, fz)
			floats.AddScaled(v, -m.Scale*rate(rateV, s), hv)
		}
		for _, b := range g.cross {
			g.SecondOrder.Products(dz, nil, dx, z, at.X, v, b)
			floats.AddScaled(want, 1/float64(batches), dx)
			value += floats.Dot(v, dz) / float64(batches)
		}
		if e := math.Max(floats.Distance(at.Z, z, 2), floats.Distance(at.V, v, 2)); !(e < 1e-12) {
			t.Errorf("%+v: z or v is off by %.3g", m, e)
		}
		if e := floats.Distance(grad, want, 2); !(e < 1e-12*(1+floats.Norm(want, 2))) ||
			math.Abs(rep.Value-value) > 1e-12*(1+math.Abs(value)) {
			t.Errorf("%+v: ∇h is off by %.3g, h is %g for %g", m, e, rep.Value, value)
		}
	}
}

// The settings that are zero have the values that are documented.
func TestDefaults(t *testing.T) {
	c := bileveltest.Ridge(bileveltest.ExpDiagonal, 31, 23, 5, 1)
	for _, m := range []struct{ zero, explicit bilevel.Method }{
		{hypergrad.Penalty{InnerStep: .1, OuterStep: .1, Gamma: 5, Epsilon: 1},
			hypergrad.Penalty{InnerStep: .1, OuterStep: .1, Gamma: 5, Epsilon: 1, InnerSteps: 10, Lambda: .1,
				Multiplier: 1e-4, Scale: 1}},
		{hypergrad.HOAG{}, hypergrad.HOAG{FirstTolerance: 1e-3, Memory: 10, Estimator: hypergrad.AID{}}},
		{hypergrad.Descent{}, hypergrad.Descent{FirstTolerance: 1e-3, Optimizer: hypergrad.GD{}}},
		{hypergrad.Descent{Step: .1, Optimizer: hypergrad.Momentum{}},
			hypergrad.Descent{Step: .1, Optimizer: hypergrad.Momentum{Mu: .9}}},
		{hypergrad.Descent{Step: .1, Optimizer: hypergrad.Adam{}},
			hypergrad.Descent{Step: .1, Optimizer: hypergrad.Adam{Beta1: .9, Beta2: .999, Epsilon: 1e-8}}},
	} {
		var x [2][]float64
		for i, m := range []bilevel.Method{m.zero, m.explicit} {
			run, err := m.Start(c.Problem, c.Start, 1)
			if err != nil {
				t.Fatal(err)
			}
			for range 8 {
				step(t, run)
			}
			x[i] = append(run.Point().X, run.Point().Z...)
		}
		if !floats.Equal(x[0], x[1]) {
			t.Errorf("%T%+v and %+v: x and z are %v and %v", m.zero, m.zero, m.explicit, x[0], x[1])
		}
	}
	h, err := hypergrad.ITD{}.Start(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, q := c.Problem.Dims()
	rep, err := h.At(t.Context(), make([]float64, q), bilevel.Point{Z: make([]float64, d), X: make([]float64, q)},
		hypergrad.Effort{})
	if err != nil || rep.Inner.Iterations != 100 {
		t.Errorf("ITD makes %d steps, %v, want 100", rep.Inner.Iterations, err)
	}
}

// What a hypergradient is depends on the arguments alone, not on earlier calls: the same bits from a new estimate and
// from one that was used elsewhere, also where the model fixes a point for many products.
func TestNothingIsKeptFromEarlierCalls(t *testing.T) {
	const d = 6
	p := logistic(t, 40, 30, d)
	if _, ok := p.Inner.(bilevel.Linearizer); !ok {
		t.Fatal("the model cannot fix a point: the test shows little")
	}
	for _, e := range []hypergrad.Estimator{
		hypergrad.AID{},
		hypergrad.AID{Linear: linsolve.CG{}},
		hypergrad.AID{Linear: linsolve.GMRES{}},
		hypergrad.AID{Linear: linsolve.Neumann{Terms: 5}},
		hypergrad.AID{Inner: inner.Newton{DenseDim: -1}},
		hypergrad.AID{Inner: inner.LBFGS{}},
		hypergrad.AID{Map: inner.HeavyBall{}},
		hypergrad.ITD{Steps: 9},
		hypergrad.ITD{Steps: 9, Mode: hypergrad.Checkpoints, Dynamics: inner.HeavyBall{}},
		hypergrad.ITD{Steps: 9, Mode: hypergrad.Forward},
		hypergrad.ITD{Steps: 9, Truncate: 4, Dynamics: inner.Adam{Step: .1}},
		hypergrad.SID{InnerSteps: 9, LinearSteps: 9, Batch: 8},
	} {
		at := func(x float64) bilevel.Point {
			q := bilevel.Point{Z: make([]float64, d), X: make([]float64, d), V: make([]float64, d)}
			for j := range d {
				q.Z[j], q.X[j], q.V[j] = math.Sin(x+float64(j)), x+math.Cos(float64(j)), -math.Sin(float64(j))
			}
			return q
		}
		var results [2][]float64
		for used := range results {
			h, err := e.Start(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			grad := make([]float64, d)
			effort := hypergrad.Effort{Inner: 1e-6, LinearTol: 1e-6, Seed: 2}
			if used == 1 {
				effort := hypergrad.Effort{Inner: 1e-9, LinearTol: 1e-9, Seed: 5}
				if _, err := h.At(t.Context(), grad, at(1), effort); err != nil {
					t.Fatal(err)
				}
			}
			q := at(-2)
			rep, err := h.At(t.Context(), grad, q, effort)
			if err != nil {
				t.Fatal(err)
			}
			results[used] = slices.Concat(grad, q.Z, q.V, []float64{rep.Value, rep.Inner.GradNorm})
		}
		if !floats.Equal(results[0], results[1]) {
			t.Errorf("%T%+v: %v from a new estimate, %v from one that was used", e, e, results[0], results[1])
		}
	}
}

// Penalty with products (Mehra, Hamm 2021, Algorithm 1), through steps that tighten it and steps that do not: where the
// squared norms of the last gradients, that in x being projected, add up to less than ε².
func TestPenaltyStepsAreTheFormula(t *testing.T) {
	c := bileveltest.Ridge(bileveltest.ExpDiagonal, 31, 23, 4, 1)
	p := *c.Problem
	p.Lower, p.Upper = []float64{-2.1, -1.6, -2.6, -2.1}, []float64{-1.9, -1.4, -2.4, -1}
	g, f := p.Inner.(bilevel.SecondOrder), p.Outer
	all, allF := bilevel.All(g), bilevel.All(f)
	for _, first := range []float64{.05, .3, .8, 2} {
		m := hypergrad.Penalty{InnerSteps: 2, InnerStep: .1, OuterStep: .5,
			Lambda: .3, Gamma: .7, Epsilon: first, Multiplier: .4, Scale: .25}
		z, x := []float64{1, -1, .5, 0}, []float64{-2, -1.5, -2.5, -2}
		run, err := m.Start(&p, bilevel.Point{Z: z, X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		nu := []float64{.4, .4, .4, .4}
		tightened := 0
		for k := range 40 {
			var normZ float64
			w, gz, hv, fz := make([]float64, 4), make([]float64, 4), make([]float64, 4), make([]float64, 4)
			residual := func() {
				g.Grad(gz, nil, z, x, all)
				floats.ScaleTo(w, m.Scale, nu)
				floats.AddScaled(w, m.Gamma, gz)
			}
			for range m.InnerSteps {
				residual()
				g.Products(nil, hv, nil, z, x, w, all)
				f.Grad(fz, nil, z, x, allF)
				floats.AddScaled(fz, m.Lambda, gz)
				floats.Add(fz, hv)
				normZ = floats.Norm(fz, 2)
				floats.AddScaled(z, -m.InnerStep, fz)
			}
			residual()
			dx, cv, px := make([]float64, 4), make([]float64, 4), make([]float64, 4)
			f.Grad(nil, dx, z, x, allF)
			g.Products(nil, nil, cv, z, x, w, all)
			floats.Add(dx, cv)
			p.ProjectedGrad(px, x, dx)
			floats.AddScaled(x, -m.OuterStep, dx)
			p.ProjectX(x)
			if normZ*normZ+floats.Dot(px, px) < m.Epsilon*m.Epsilon {
				tightened++
				m.Gamma *= 1.1
				m.Epsilon *= .9
				m.Lambda *= .9
				m.InnerStep *= .9
				m.OuterStep *= .9
				floats.AddScaled(nu, m.Gamma, gz)
			}
			step(t, run)
			if at := run.Point(); floats.Distance(at.Z, z, 2) > 1e-11 || floats.Distance(at.X, x, 2) > 1e-11 {
				t.Fatalf("ε = %g, step %d: z = %v, x = %v, want %v, %v", first, k+1, at.Z, at.X, z, x)
			}
		}
		if tightened == 0 || tightened == 40 {
			t.Errorf("ε = %g: %d of 40 steps tighten the penalty: the test shows little", first, tightened)
		}
	}
}

// An optimizer that was reset is a new one.
func TestResetForgetsEverything(t *testing.T) {
	for _, o := range []hypergrad.Optimizer{hypergrad.GD{}, hypergrad.Momentum{}, hypergrad.Adam{}} {
		var directions [2][]float64
		for used := range directions {
			d, err := o.Start(2)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]float64, 2)
			if used == 1 {
				d.Next(dst, []float64{5, 6})
				d.Next(dst, []float64{-7, 8})
				d.Reset()
			}
			for _, grad := range [][]float64{{1, -2}, {3, .5}} {
				d.Next(dst, grad)
				directions[used] = append(directions[used], dst...)
			}
		}
		if !floats.Equal(directions[0], directions[1]) {
			t.Errorf("%T: directions %v, and %v after a reset", o, directions[0], directions[1])
		}
	}
}
