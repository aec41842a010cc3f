package hypergrad_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
)

// The linear solvers for any system, and those for positive definite ones.
var (
	generalSolvers = map[string]linsolve.Solver{
		"default": nil, "GMRES": linsolve.GMRES{}, "GMRES(3)": linsolve.GMRES{Restart: 3}, "BiCGSTAB": linsolve.BiCGSTAB{},
		"NormalEquations": linsolve.NormalEquations{}, "LU": linsolve.LU{},
		"FixedPoint": linsolve.FixedPoint{}, "Neumann": linsolve.Neumann{},
	}
	definiteSolvers = map[string]linsolve.Solver{"CG": linsolve.CG{}, "Direct": linsolve.Direct{}}
)

// noPush hides forward products.
type noPush struct{ bilevel.FixedPoint }

var exact = hypergrad.Effort{Inner: 1e-13, LinearTol: 1e-12}

// evaluate is one hypergradient from z = 0 and v = 0, or from at where that has z.
func evaluate(t *testing.T, e hypergrad.Estimator, p *bilevel.Problem, at bilevel.Point,
	effort hypergrad.Effort) ([]float64, bilevel.Point, hypergrad.Report) {
	t.Helper()
	h, err := e.Start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := p.StartPoint(at)
	if err != nil {
		t.Fatal(err)
	}
	grad := make([]float64, len(q.X))
	rep, err := h.At(context.Background(), grad, q, effort)
	if err != nil {
		t.Fatal(err)
	}
	return grad, q, rep
}

// near is a point near the minimiser of c.
func near(c bileveltest.Case) []float64 {
	x := slices.Clone(c.X)
	for j := range x {
		x[j] += .3 - .1*float64(j)
	}
	return x
}

// Every linear solver finds the closed form: of minimisations, of their gradient maps, and of maps without symmetry.
func TestAdjointSolvers(t *testing.T) {
	symmetric := []bileveltest.Case{
		bileveltest.Quadratic(6, 3, 240, 200, 6), bileveltest.Quadratic(3, 5, 200, 240, 22),
		bileveltest.Ridge(bileveltest.ExpScalar, 60, 50, 5, 7), bileveltest.Scalar(),
	}
	const eta = .3
	cases := slices.Clone(symmetric)
	for _, c := range symmetric[:3] {
		cases = append(cases, c.FixedPoint(c.Name+" as a fixed point", eta))
	}
	cases = append(cases, bileveltest.Equilibrium(5, 3, 1), bileveltest.Equilibrium(3, 4, 2))
	for i, c := range cases {
		x := near(c)
		want := c.Solve(x)
		v := slices.Clone(want.V)
		if i >= len(symmetric) && i < len(symmetric)+3 {
			for j := range v {
				v[j] /= -eta // u = −v/η
			}
		}
		solvers := generalSolvers
		if i < len(symmetric)+3 {
			solvers = map[string]linsolve.Solver{}
			for name, s := range generalSolvers {
				solvers[name] = s
			}
			for name, s := range definiteSolvers {
				solvers[name] = s
			}
		}
		for name, s := range solvers {
			grad, at, rep := evaluate(t, hypergrad.AID{Linear: s}, c.Problem, bilevel.Point{X: x}, exact)
			for _, q := range []struct {
				name      string
				got, want []float64
			}{{"z", at.Z, want.Z}, {"V", at.V, v}, {"∇h", grad, want.Grad}, {"h", []float64{rep.Value}, []float64{want.Value}}} {
				if e := distance(q.got, q.want) / norm(q.want); !(e <= 1e-8) {
					t.Errorf("%s, %s: %s has relative error %.2g", c.Name, name, q.name, e)
				}
			}
			if rep.Warning != nil || !rep.Linear.Converged || !(rep.Inner.GradNorm <= 1e-12) {
				t.Errorf("%s, %s: %+v", c.Name, name, rep)
			}
			if p := *c.Problem; p.Fixed != nil {
				p.Fixed = noPush{p.Fixed}
				_, err := hypergrad.AID{Linear: s}.Start(&p, nil)
				if (err != nil) != (name == "NormalEquations") || err != nil && !strings.Contains(err.Error(), "Push") {
					t.Errorf("%s, %s, without forward products: %v", c.Name, name, err)
				}
			}
		}
	}
}

// The value of a fixed-point problem is corrected to second order too.
func TestFixedCorrection(t *testing.T) {
	c := bileveltest.Equilibrium(5, 3, 1)
	x := near(c)
	want := c.Solve(x)
	for _, e := range []float64{1e-2, 1e-4} {
		z := slices.Clone(want.Z)
		for i := range z {
			z[i] += e
		}
		_, at, rep := evaluate(t, hypergrad.AID{}, c.Problem, bilevel.Point{Z: z, X: x},
			hypergrad.Effort{Inner: 1e3, LinearTol: 1e-12})
		if rep.Inner.Iterations != 0 || distance(at.Z, z) != 0 {
			t.Fatalf("%+v", rep)
		}
		if off := math.Abs(rep.Value - want.Value); off > 20*e*e || math.Abs(rep.Value-rep.Correction-want.Value) < 20*e*e {
			t.Errorf("error %g in z: the value is off by %g, uncorrected by %g", e, off,
				math.Abs(rep.Value-rep.Correction-want.Value))
		}
	}
}

// dynamics of an inner objective with eigenvalues below about 1.5.
var adjointMaps = map[string]inner.Dynamics{
	"gradient descent": inner.GradientDescent{Step: .4},
	"automatic step":   inner.GradientDescent{},
	"heavy ball":       inner.HeavyBall{Step: .4, Momentum: .5},
	"Nesterov":         inner.Nesterov{Step: .4, Momentum: .5},
}

// At the inner solution every adjoint map gives the hypergradient, whoever found z; before it, each errs by the
// order of ‖z − z*‖ although its system is solved exactly, and by the same: the maps at rest are one system.
func TestAdjointMaps(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	x := near(c)
	want := c.Solve(x)
	for name, dyn := range adjointMaps {
		for solver, s := range generalSolvers {
			e := hypergrad.AID{Inner: inner.HeavyBall{Step: .5, Momentum: .6}, Map: dyn, Linear: s}
			grad, at, rep := evaluate(t, e, c.Problem, bilevel.Point{X: x}, exact)
			if e := distance(grad, want.Grad) / norm(want.Grad); rep.Warning != nil || !(e <= 1e-8) ||
				math.Abs(rep.Value-want.Value) > 1e-10*math.Abs(want.Value) {
				t.Errorf("%s, %s: relative error %.2g, %+v", name, solver, e, rep)
			}
			// A second call starts from the adjoint.
			h, err := e.Start(c.Problem, nil)
			if err != nil {
				t.Fatal(err)
			}
			if rep, err = h.At(context.Background(), grad, at, hypergrad.Effort{Inner: 1e-12, LinearTol: 1e-10}); err != nil {
				t.Fatal(err)
			}
			if solver == "GMRES" && rep.Linear.Products > 2 {
				t.Errorf("%s: %d products from the solution", name, rep.Linear.Products)
			}
			if name == "gradient descent" {
				for i, v := range want.V {
					if math.Abs(at.V[i]+v/.4) > 1e-8*norm(want.V) {
						t.Errorf("u[%d] = %v, want −v/η = %v", i, at.V[i], -v/.4)
					}
				}
			}
		}
		// Early: few steps of heavy ball.
		for _, steps := range []int{2, 5, 10, 20} {
			hb := inner.HeavyBall{Step: .5, Momentum: .6}
			effort := hypergrad.Effort{InnerSteps: steps, LinearTol: 1e-12}
			grad, at, rep := evaluate(t, hypergrad.AID{Inner: hb, Map: dyn}, c.Problem, bilevel.Point{X: x}, effort)
			dist := distance(at.Z, want.Z)
			if e := distance(grad, want.Grad) / dist; !(e > .05 && e < 5) {
				t.Errorf("%s after %d steps: ‖∇h error‖ is %.2g times the error of z, %.2g", name, steps, e, dist)
			}
			hessian, _, same := evaluate(t, hypergrad.AID{Inner: hb}, c.Problem, bilevel.Point{X: x}, effort)
			if e := distance(grad, hessian) / norm(hessian); rep.Warning != nil || !(e <= 1e-9) ||
				math.Abs(rep.Correction-same.Correction) > 1e-9*math.Abs(rep.Correction) {
				t.Errorf("%s after %d steps: %.2g from the Hessian system, %v", name, steps, e, rep.Warning)
			}
			steps, _, _ := evaluate(t, hypergrad.ITD{Dynamics: hb, Steps: steps}, c.Problem, bilevel.Point{X: x},
				hypergrad.Effort{})
			if distance(grad, steps) < 1e-3*dist {
				t.Errorf("%s: AID is the derivative of the steps, the test shows nothing", name)
			}
		}
	}
}

// A map whose step is an outer variable is another map away from the solution only.
func TestAdjointMapLearnedStep(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	p := hypergrad.Extend(c.Problem, 1)
	x := append(near(c), .4)
	want := c.Solve(x[:3])
	e := hypergrad.AID{Inner: inner.LBFGS{}, Map: inner.GradientDescent{Learned: inner.Learned{Step: []int{3}}}}
	last := math.Inf(1)
	for _, off := range []float64{1e-1, 1e-2, 1e-3, 0} {
		z := slices.Clone(want.Z)
		for i := range z {
			z[i] += off
		}
		grad, _, _ := evaluate(t, e, p, bilevel.Point{Z: z, X: x}, hypergrad.Effort{Inner: 1e3, LinearTol: 1e-12})
		if off == 0 && (math.Abs(grad[3]) > 1e-10 || distance(grad[:3], want.Grad) > 1e-9*norm(want.Grad)) {
			t.Errorf("at the solution ∇h = %v, want %v, 0", grad, want.Grad)
		}
		if r := math.Abs(grad[3]) / last; off < .1 && off > 0 && (r < .05 || r > .2) || off > 0 && grad[3] == 0 {
			t.Errorf("%g away the derivative by the step size is %v", off, grad[3])
		}
		last = math.Abs(grad[3])
	}
}

// K steps are the iterates of the formulas, of both levels, and succeed; the report has the residuals.
func TestEffortSteps(t *testing.T) {
	const eta, steps, terms = .3, 4, 3
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	f := c.FixedPoint("fixed", eta)
	x := near(c)
	g, all := c.Problem.Inner.(bilevel.SecondOrder), bilevel.All(c.Problem.Inner)
	// z_t of gradient descent, and u_k of u ← (I − ηH)u + ∇z f, from zero.
	z, u, fz, dz := make([]float64, 6), make([]float64, 6), make([]float64, 6), make([]float64, 6)
	for range steps {
		g.Grad(dz, nil, z, x, all)
		for i := range z {
			z[i] -= eta * dz[i]
		}
	}
	grad := make([]float64, 3)
	c.Problem.Outer.Grad(fz, grad, z, x, bilevel.All(c.Problem.Outer))
	for range terms {
		g.Products(nil, dz, nil, z, x, u, all)
		for i := range u {
			u[i] += fz[i] - eta*dz[i]
		}
	}
	cross := make([]float64, 3)
	g.Products(nil, nil, cross, z, x, u, all)
	for j := range grad {
		grad[j] -= eta * cross[j]
	}
	fixed := linsolve.FixedPoint{}
	effort := hypergrad.Effort{InnerSteps: steps, LinearSteps: terms}
	for name, e := range map[string]struct {
		e      hypergrad.AID
		p      *bilevel.Problem
		effort hypergrad.Effort
		scale  float64 // of V
	}{
		"fixed point": {hypergrad.AID{Linear: fixed}, f.Problem, effort, 1},
		"fixed point, by itself": {hypergrad.AID{Iteration: inner.Iteration{Steps: steps},
			Linear: linsolve.FixedPoint{Steps: terms}}, f.Problem, hypergrad.Effort{}, 1},
		"Neumann": {hypergrad.AID{Linear: linsolve.Neumann{}}, f.Problem, effort, 1},
		"map": {hypergrad.AID{Inner: inner.GradientDescent{Step: eta},
			Map: inner.GradientDescent{Step: eta}, Linear: fixed}, c.Problem, effort, 1},
		"Hessian": {hypergrad.AID{Inner: inner.GradientDescent{Step: eta},
			Linear: linsolve.FixedPoint{Scale: eta}}, c.Problem, effort, -eta},
		"Hessian, by itself": {hypergrad.AID{Inner: inner.GradientDescent{Step: eta, Steps: steps},
			Linear: linsolve.Neumann{Scale: eta, Terms: terms}}, c.Problem, hypergrad.Effort{}, -eta},
	} {
		h, err := e.e.Start(e.p, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			at := bilevel.Point{Z: make([]float64, 6), X: x, V: make([]float64, 6)}
			got := make([]float64, 3)
			if i%2 == 0 && e.effort.InnerSteps > 0 { // other numbers in between
				if _, err := h.At(context.Background(), got, at, hypergrad.Effort{InnerSteps: 7, LinearSteps: 1}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			rep, err := h.At(context.Background(), got, at, e.effort)
			if err != nil || rep.Warning != nil || !rep.Linear.Converged || !rep.Inner.Converged ||
				rep.Inner.Iterations != steps {
				t.Fatalf("%s: %+v, %v", name, rep, err)
			}
			for j := range at.V {
				at.V[j] /= e.scale
			}
			if distance(at.Z, z) > 1e-13*norm(z) || distance(at.V, u) > 1e-13*norm(u) || distance(got, grad) > 1e-12*norm(grad) {
				t.Errorf("%s: z = %v, u = %v, ∇h = %v, want %v, %v, %v", name, at.Z, at.V, got, z, u, grad)
			}
			if rep.Linear.Residual < 1e-3 || rep.Inner.GradNorm < 1e-3 {
				t.Errorf("%s: residuals %g and %g", name, rep.Inner.GradNorm, rep.Linear.Residual)
			}
		}
	}
	// CG is counted without the factor that the inner solver has.
	_, _, rep := evaluate(t, hypergrad.AID{}, c.Problem, bilevel.Point{X: x},
		hypergrad.Effort{Inner: 1e-9, LinearSteps: 2})
	if !rep.Linear.Converged || rep.Linear.Products != 3 || rep.Linear.Residual < 1e-3 {
		t.Errorf("2 steps of CG: %+v", rep.Linear)
	}
}

// u = ∇z f is one step from zero, and v = −η∇z f the one-step adjoint of gradient descent.
func TestOneStep(t *testing.T) {
	const eta = .25
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	x := near(c)
	want := c.Solve(x)
	e := hypergrad.AID{Linear: linsolve.Neumann{Terms: 1, Scale: eta}}
	_, at, rep := evaluate(t, e, c.Problem, bilevel.Point{X: x, V: []float64{1, 2, 3, 4, 5, 6}}, exact)
	fz := make([]float64, 6)
	c.Problem.Outer.Grad(fz, nil, want.Z, x, bilevel.All(c.Problem.Outer))
	for i := range fz {
		if math.Abs(at.V[i]+eta*fz[i]) > 1e-11*norm(fz) {
			t.Errorf("v[%d] = %v, want −η∇z f = %v", i, at.V[i], -eta*fz[i])
		}
	}
	if rep.Linear.Products != 1 || rep.Warning != nil {
		t.Errorf("%+v", rep)
	}
}

// separable is g = ½Σλ_i(z_i − b_iᵀx)², f = ½‖z − c‖², x of length 3.
func separable(lambda ...float64) *bilevel.Problem {
	d := len(lambda)
	b := func(i, j int) float64 { return math.Sin(float64(1 + 3*i + 7*j)) }
	rest := func(z, x []float64, i int) float64 { return z[i] - b(i, 0)*x[0] - b(i, 1)*x[1] - b(i, 2)*x[2] }
	g := &bilevel.Func{
		InnerDim: d, OuterDim: 3,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			s := 0.0
			for i, l := range lambda {
				s += l / 2 * rest(z, x, i) * rest(z, x, i)
			}
			return s
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			clear(dx)
			for i, l := range lambda {
				dz[i] = l * rest(z, x, i)
				for j := range dx {
					dx[j] -= b(i, j) * dz[i]
				}
			}
		},
		HessVec: func(hv, _, _, v []float64, _ bilevel.Batch) {
			for i, l := range lambda {
				hv[i] = l * v[i]
			}
		},
		CrossVec: func(cv, _, _, v []float64, _ bilevel.Batch) {
			clear(cv)
			for i, l := range lambda {
				for j := range cv {
					cv[j] -= b(i, j) * l * v[i]
				}
			}
		},
	}
	f := &bilevel.Func{
		InnerDim: d, OuterDim: 3,
		Eval: func(z, _ []float64, _ bilevel.Batch) float64 {
			s := 0.0
			for i, zi := range z {
				s += (zi - 1 - float64(i)) * (zi - 1 - float64(i)) / 2
			}
			return s
		},
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
			clear(dx)
			for i, zi := range z {
				dz[i] = zi - 1 - float64(i)
			}
		},
	}
	return &bilevel.Problem{Outer: f, Inner: g}
}

// The adjoint's error goes to zero at the rates of theory: q = 1 − ημ for the fixed-point method (√β with the heavy
// ball's map), at most p = (√κ − 1)/(√κ + 1) for CG.
func TestAdjointRates(t *testing.T) {
	const d, mu = 12, .02
	lambda := make([]float64, d)
	for i := range lambda {
		lambda[i] = math.Pow(mu, float64(i)/(d-1)) // from 1 to μ
	}
	p := separable(lambda...)
	kappa := math.Sqrt(1 / mu)
	cg := (kappa - 1) / (kappa + 1)
	beta := cg * cg
	x := []float64{.3, -.2, .5}
	_, star, _ := evaluate(t, hypergrad.AID{}, p, bilevel.Point{X: x}, exact)
	failure := func(e hypergrad.AID, k int, scale float64) float64 {
		e.Inner = inner.Newton{}
		_, at, rep := evaluate(t, e, p, bilevel.Point{Z: star.Z, X: x}, hypergrad.Effort{Inner: 1e-12, LinearSteps: k})
		if rep.Warning != nil {
			t.Fatal(rep.Warning)
		}
		for i := range at.V {
			at.V[i] *= scale
		}
		return distance(at.V, star.V) / norm(star.V)
	}
	const eta = .8
	for _, c := range []struct {
		name  string
		e     hypergrad.AID
		scale float64
		q     float64
	}{
		{"fixed point", hypergrad.AID{Linear: linsolve.FixedPoint{Scale: 1}}, 1, 1 - mu},
		{"gradient descent's map", hypergrad.AID{Linear: linsolve.FixedPoint{}, Map: inner.GradientDescent{Step: eta}}, -eta,
			1 - eta*mu},
		{"heavy ball's map", hypergrad.AID{Linear: linsolve.FixedPoint{},
			Map: inner.HeavyBall{Step: math.Pow(1+cg, 2), Momentum: beta}}, -math.Pow(1+cg, 2), cg},
	} {
		lo, hi := 150, 450
		if c.q < .9 {
			lo, hi = 40, 90
		}
		rate := math.Log(failure(c.e, hi, c.scale)/failure(c.e, lo, c.scale)) / float64(hi-lo)
		t.Logf("%s: log rate %.5f, theory %.5f", c.name, rate, math.Log(c.q))
		if math.Abs(rate/math.Log(c.q)-1) > .1 {
			t.Errorf("%s: log rate %.5f, theory %.5f", c.name, rate, math.Log(c.q))
		}
	}
	for k := 1; k < d; k++ {
		// ‖e_k‖ ≤ √κ·2p^k‖e_0‖
		if e := failure(hypergrad.AID{Linear: linsolve.CG{}}, k, 1); e > 2*kappa*math.Pow(cg, float64(k)) {
			t.Errorf("CG after %d steps: error %g above %g", k, e, 2*kappa*math.Pow(cg, float64(k)))
		}
	}
	if e := failure(hypergrad.AID{Linear: linsolve.CG{}}, d, 1); e > 1e-8 {
		t.Errorf("CG after %d steps: error %g", d, e)
	}
}

// Damping gives a hypergradient where the Hessian is singular, and an error that names it comes without.
func TestSingularHessian(t *testing.T) {
	p := separable(2, 0, 1, .5)
	x := []float64{.3, -.2, .5}
	gd := inner.GradientDescent{Step: .4}
	want, _, _ := evaluate(t, hypergrad.AID{Inner: gd, Linear: linsolve.CG{Damping: 1e-9}}, p, bilevel.Point{X: x}, exact)
	for name, s := range map[string]linsolve.Solver{
		"Direct": linsolve.Direct{}, "LU": linsolve.LU{}, "GMRES": linsolve.GMRES{},
		"NormalEquations": linsolve.NormalEquations{},
	} {
		_, _, rep := evaluate(t, hypergrad.AID{Inner: gd, Linear: s}, p, bilevel.Point{X: x}, exact)
		if rep.Warning == nil || !strings.Contains(rep.Warning.Error(), "Damping") || rep.Correction != 0 {
			t.Errorf("%s: warning %v", name, rep.Warning)
		}
	}
	for name, s := range map[string]linsolve.Solver{
		"Direct": linsolve.Direct{Damping: 1e-6}, "LU": linsolve.LU{Damping: 1e-6}, "GMRES": linsolve.GMRES{Damping: 1e-6},
		"CG": linsolve.CG{Damping: 1e-6}, "BiCGSTAB": linsolve.BiCGSTAB{Damping: 1e-6},
		"NormalEquations": linsolve.NormalEquations{Damping: 1e-6},
	} {
		for _, m := range []inner.Dynamics{nil, inner.GradientDescent{Step: .4}} {
			grad, _, rep := evaluate(t, hypergrad.AID{Inner: gd, Linear: s, Map: m}, p, bilevel.Point{X: x},
				hypergrad.Effort{Inner: 1e-12, LinearTol: 1e-9})
			if e := distance(grad, want) / norm(want); rep.Warning != nil || !(e < 1e-4) {
				t.Errorf("%s, map %v: relative error %.2g, %v", name, m, e, rep.Warning)
			}
		}
	}
}

// What the linear solver could not do is a warning, with a remedy.
func TestAdjointWarnings(t *testing.T) {
	c := bileveltest.Equilibrium(5, 3, 1)
	for _, w := range []struct {
		s    linsolve.Solver
		want string
	}{
		{linsolve.FixedPoint{Scale: 9}, "lower Scale"},
		{linsolve.Neumann{Scale: 9}, "lower Scale"},
		{linsolve.CG{Damping: -5}, "not positive definite"},
		{linsolve.GMRES{MaxIter: 1}, "raise MaxIter"},
	} {
		_, _, rep := evaluate(t, hypergrad.AID{Linear: w.s}, c.Problem, bilevel.Point{X: near(c)}, exact)
		if rep.Warning == nil || !strings.Contains(rep.Warning.Error(), w.want) || rep.Linear.Converged {
			t.Errorf("%T: %+v", w.s, rep)
		}
	}
	// z is not found, and that is a warning too.
	_, _, rep := evaluate(t, hypergrad.AID{Iteration: inner.Iteration{MaxIter: 2}}, c.Problem, bilevel.Point{X: near(c)},
		exact)
	var unsolved *inner.NotConvergedError
	if !errors.As(rep.Warning, &unsolved) {
		t.Errorf("2 iterations: %v", rep.Warning)
	}
}

// Messages name what is missing.
func TestAIDErrors(t *testing.T) {
	min, fix := bileveltest.Quadratic(6, 3, 240, 200, 6), bileveltest.Equilibrium(5, 3, 1)
	for _, c := range []struct {
		e      hypergrad.AID
		p      *bilevel.Problem
		effort hypergrad.Effort
		want   string
	}{
		{hypergrad.AID{Inner: inner.Newton{}}, fix.Problem, exact, "AID.Iteration"},
		{hypergrad.AID{Map: inner.GradientDescent{}}, fix.Problem, exact, "Problem.Inner"},
		{hypergrad.AID{Iteration: inner.Iteration{Steps: 3}}, min.Problem, exact, "AID.Inner"},
		{hypergrad.AID{Map: inner.Adam{}}, min.Problem, exact, "inner.Adam"},
		{hypergrad.AID{Map: inner.Iteration{}}, min.Problem, exact, "Problem.Fixed"},
		{hypergrad.AID{}, min.Problem, hypergrad.Effort{InnerSteps: 3}, "GradientDescent"},
		{hypergrad.AID{Inner: inner.LBFGS{}}, min.Problem, hypergrad.Effort{InnerSteps: 3}, "inner.LBFGS"},
		{hypergrad.AID{Linear: linsolve.Direct{}}, min.Problem, hypergrad.Effort{LinearSteps: 3}, "linsolve.Direct"},
		{hypergrad.AID{Linear: linsolve.LU{}}, fix.Problem, hypergrad.Effort{LinearSteps: 3}, "linsolve.LU"},
		{hypergrad.AID{Inner: inner.GradientDescent{Step: 1e3}}, min.Problem, hypergrad.Effort{InnerSteps: 900}, "step size"},
	} {
		h, err := c.e.Start(c.p, nil)
		if err == nil {
			at, _ := c.p.StartPoint(bilevel.Point{})
			_, err = h.At(context.Background(), make([]float64, len(at.X)), at, c.effort)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, which does not name %s", c.e, err, c.want)
		}
	}
}

// An evaluator serves problems of both kinds, warm from one point to the next.
func TestEvaluatorFixed(t *testing.T) {
	c := bileveltest.Equilibrium(5, 3, 1)
	e, err := hypergrad.NewEvaluator(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := near(c)
	for i := range 3 {
		x[0] += .1 * float64(i)
		grad := make([]float64, 3)
		value, err := e.Evaluate(context.Background(), grad, x)
		want := c.Solve(x)
		if err != nil || math.Abs(value-want.Value) > 1e-9*math.Abs(want.Value) ||
			distance(grad, want.Grad) > 1e-8*norm(want.Grad) {
			t.Errorf("h = %v, ∇h = %v, want %v, %v, %v", value, grad, want.Value, want.Grad, err)
		}
		at := e.Point()
		if distance(at.V, want.V) > 1e-8*norm(want.V) {
			t.Errorf("u = %v, want %v", at.V, want.V)
		}
	}
	if n := e.Counts(); n.GradG == 0 || n.HessG == 0 || n.CrossG != 3 || n.GradF == 0 {
		t.Errorf("counts %+v", n)
	}
}

// The outer loop reaches the minimiser of a fixed-point problem.
func TestHOAGFixed(t *testing.T) {
	c := bileveltest.Equilibrium(5, 3, 1)
	r, err := bilevel.Minimize(context.Background(), c.Problem, hypergrad.HOAG{}, bilevel.Settings{MaxSteps: 200})
	if err != nil || r.Reason != bilevel.Done || distance(r.Point.X, c.X) > 1e-6*(1+norm(c.X)) {
		t.Errorf("x = %v, want %v: %v after %d steps, %v", r.Point.X, c.X, r.Reason, r.Steps, err)
	}
}

// The same arguments give the same bits, and a second call allocates nothing.
func TestAdjointAgain(t *testing.T) {
	type config struct {
		e hypergrad.AID
		p *bilevel.Problem
	}
	fixed, min := bileveltest.Equilibrium(5, 3, 1).Problem, bileveltest.Quadratic(5, 3, 100, 80, 1).Problem
	configs := map[string]config{}
	for name, s := range generalSolvers {
		configs[name] = config{hypergrad.AID{Linear: s}, fixed}
		configs[name+", heavy ball's map"] = config{hypergrad.AID{
			Inner: inner.GradientDescent{Step: .4}, Map: inner.HeavyBall{Step: .4, Momentum: .5}, Linear: s}, min}
	}
	for name, c := range configs {
		h, err := c.e.Start(c.p, nil)
		if err != nil {
			t.Fatal(err)
		}
		grad, at := make([]float64, 3), bilevel.Point{Z: make([]float64, 5), X: []float64{.3, -.4, .5}, V: make([]float64, 5)}
		run := func() {
			clear(at.Z)
			clear(at.V)
			if _, err := h.At(context.Background(), grad, at, exact); err != nil {
				t.Fatal(err)
			}
		}
		run()
		first := fmt.Sprint(grad, at)
		if n := testing.AllocsPerRun(2, run); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if again := fmt.Sprint(grad, at); again != first {
			t.Errorf("%s: %s, the first time %s", name, again, first)
		}
	}
}
