package hypergrad

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/vector"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// AID is approximate implicit differentiation: solve the inner problem for z, a linear system for the adjoint, and
// combine. Of an inner objective
//
//	∇²zz g(z, x)·v = −∇z f(z, x),   ∇h = ∇x f(z, x) + ∇²xz g(z, x)·v,
//
// and of a fixed-point problem, where at.V holds u,
//
//	(I − ∂zΦ(z, x)ᵀ)u = ∇z f(z, x),   ∇h = ∇x f(z, x) + ∂xΦ(z, x)ᵀu.
//
// Both levels start from the given z and v. Where the inner solver has a factor of the Hessian (see
// [inner.Factorer]) the linear system is solved with it, normally by one product that checks the residual;
// elsewhere by conjugate gradients, with [bilevel.Linearizer] where the objective offers it. Fixed-point systems
// have no symmetry, and are solved by GMRES.
//
// Linear = linsolve.Neumann{Terms: 1, Scale: η} is one-step differentiation, v = −η∇z f, which costs no more than a
// gradient (Luketina, Berglund, Greff, Raiko, Scalable gradient-based tuning of continuous regularization
// hyperparameters, 2016, section 3).
//
// Effort.InnerSteps t asks for exactly t steps of the inner solver, which is then [inner.Dynamics] as well, and
// Effort.LinearSteps k for exactly k steps of the linear one, a [linsolve.Stepper]; having made them is success, and
// the report has the residuals. The same numbers may stand in the solvers' own Steps.
//
// Assumes that g(·, x) is smooth and strongly convex near z*(x), or that Φ(·, x) is a contraction there. Damping of
// the linear solver serves a Hessian that is singular.
// Cost: an inner solve, one value and gradient of f, one product with ∇²zz g (a Pull of Φ) for each iteration of the
// linear solver, one product with ∇²xz g. Memory: 2d + p numbers and what the two solvers need. Error: of the order
// of ‖z − z*‖ + ‖v − v*‖.
//
// Pedregosa, Hyperparameter optimization with approximate gradient, 2016, algorithm 1; Grazzi, Franceschi,
// Pontil, Salzo, On the iteration complexity of hypergradient computation, 2020, algorithm 2.
type AID struct {
	// Inner solves the inner problem of an inner objective. The default is inner.Auto{}.
	Inner inner.Solver
	// Iteration solves a fixed-point problem by iterating Φ.
	Iteration inner.Iteration
	// Map makes the adjoint that of another map, whoever found z: (I − ∂sΦᵀ)u = (∇z f, 0), with Φ a step of Map
	// from s, its state at rest at z, and u as long as that. at.V holds the first d entries of u; the
	// others start where one product with ∂sΦᵀ takes them. The default is the Hessian system, and Φ itself for
	// a fixed-point problem.
	//
	// At the exact inner solution all maps give the same hypergradient, whoever found it: z may come from
	// inner.HeavyBall{} and the adjoint from inner.GradientDescent{}. Away from it they err by the order of
	// ‖z − z*‖, and are not the derivative of what the inner solver did, which is what [ITD] computes.
	// Gradient descent, heavy ball and Nesterov's method at rest give the hypergradient of the Hessian system at
	// any z; they differ in how fast linsolve.FixedPoint and Neumann converge, which contract as Map does. Steps and
	// momenta that are learned enter with their last values, and add derivatives that vanish with ∇z g. inner.Adam is
	// rejected: its step divides by the root of mean squared gradients, which has no derivative at rest.
	Map inner.Dynamics
	// Linear solves the adjoint system. The default is linsolve.CG{}, preconditioned by the factor of the
	// Hessian where the inner solver has one, and linsolve.GMRES{} for a map. linsolve.NormalEquations needs a
	// [bilevel.Pusher] of a fixed-point problem.
	Linear linsolve.Solver
}

var _ Estimator = AID{}

// Start is described at [Estimator].
func (m AID) Start(p *bilevel.Problem, counts *bilevel.Counts) (Hypergradient, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, fmt.Errorf("hypergrad: outer objective: %w", err)
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	d, q := p.Dims()
	a := &aid{p: p, counts: counts, fz: make([]float64, d), innerSteps: m.Iteration.Steps}
	var err error
	if p.Fixed != nil {
		if m.Inner != nil {
			return nil, fmt.Errorf("hypergrad: AID.Inner is %T, a solver of inner objectives, "+
				"and this problem has a fixed-point map (Problem.Fixed): leave it nil and use AID.Iteration", m.Inner)
		}
		if a.min, err = m.Iteration.Start(p.Fixed, counts); err != nil {
			return nil, err
		}
		if m.Map == nil {
			m.Map = inner.Iteration{}
		}
	} else {
		if m.Iteration != (inner.Iteration{}) {
			return nil, errors.New("hypergrad: AID.Iteration is for fixed-point maps, " +
				"and this problem has an inner objective (Problem.Inner): use AID.Inner")
		}
		if m.Inner == nil {
			m.Inner = inner.Auto{}
		}
		if a.min, err = m.Inner.Start(p.Inner, counts); err != nil {
			return nil, err
		}
	}
	if m.Map == nil {
		g, err := bilevel.NeedSecondOrder(p.Inner)
		if err != nil {
			return nil, fmt.Errorf("hypergrad: inner objective: %w", err)
		}
		a.adjoint = newHessianAdjoint(g, a.min, counts)
	} else if a.adjoint, err = newMapAdjoint(p, m.Map, m.Linear, q, counts); err != nil {
		return nil, err
	}
	a.AID = m
	return a, nil
}

type aid struct {
	AID
	p       *bilevel.Problem
	counts  *bilevel.Counts
	min     inner.Minimizer
	adjoint adjoint
	fz      []float64 // ∇z f

	// For Effort.InnerSteps and LinearSteps; the two numbers are those that min and stepped were made for.
	process                 inner.Process
	state, rest             []float64
	innerSteps, linearSteps int
	stepped                 linsolve.Solver
}

// adjoint is the linear system of a hypergradient.
type adjoint interface {
	// at fixes the point; at.V is where solve starts, and what it replaces.
	at(at bilevel.Point) error
	// solve solves the system that belongs to fz = ∇z f. A linear solver that is nil is the default.
	solve(ctx context.Context, fz []float64, linear linsolve.Solver, tol float64) (linsolve.Result, error)
	// cross adds to grad what the solution contributes to the hypergradient.
	cross(grad []float64)
	// correction is the product of the solution and of what the inner solver left, and the sum of the sizes of its
	// terms; rest is its Result.Grad.
	correction(rest []float64) (sum, size float64)
	// preferred is the default solver that counts steps.
	preferred() linsolve.Solver
}

// At is described at [Hypergradient].
func (a *aid) At(ctx context.Context, grad []float64, at bilevel.Point, effort Effort) (Report, error) {
	linear, err := a.linear(effort.LinearSteps)
	if err != nil {
		return Report{}, err
	}
	for tries := 0; ; tries++ {
		rep, err := a.once(ctx, grad, at, effort, linear)
		solved := effort.ValueTol <= 0 || rep.Unsolved <= effort.ValueTol
		if err != nil || rep.Warning != nil || solved || rep.Inner.Rounding || rep.Inner.GradNorm > effort.Inner {
			return rep, err // with a gradient above its tolerance, a number of steps was asked for
		}
		if tries == mostTighter {
			rep.Warning = fmt.Errorf("hypergrad: the value was not computed to its tolerance: what the inner solver left may "+
				"change f = %.6g by %.3g, and the tolerance is %.3g: scale the inner variables, so that the ∂g/∂z_i are of "+
				"one size", rep.Value-rep.Correction, rep.Unsolved, effort.ValueTol)
			return rep, nil
		}
		effort.Inner = rep.Inner.GradNorm * min(.5*effort.ValueTol/rep.Unsolved, .1)
	}
}

// mostTighter is how often the inner problem is solved again for the sake of the value.
const mostTighter = 8

// once is At to the tolerance of the inner problem, whatever that means for the value.
func (a *aid) once(
	ctx context.Context, grad []float64, at bilevel.Point, effort Effort, linear linsolve.Solver,
) (rep Report, err error) {
	rep.Inner, err = a.solveInner(ctx, at, effort)
	if err != nil {
		var unsolved *inner.NotConvergedError
		if !errors.As(err, &unsolved) {
			return rep, err
		}
		rep.Warning = err
	}
	all := bilevel.All(a.p.Outer)
	rep.Value = bilevel.ValueGrad(a.p.Outer, a.fz, grad, at.Z, at.X, all)
	a.counts.ValueF += int64(all.Len())
	a.counts.GradF += int64(all.Len())
	fznorm := vector.Norm(a.fz)

	if err := a.adjoint.at(at); err != nil {
		return rep, err
	}
	rep.Linear, err = a.adjoint.solve(ctx, a.fz, linear, effort.LinearTol)
	if ctx.Err() != nil {
		return rep, ctx.Err()
	}
	if err != nil {
		if errors.Is(err, linsolve.ErrNonFinite) || errors.Is(err, linsolve.ErrNoTranspose) {
			return rep, fmt.Errorf("hypergrad: f = %v, ‖∇z f‖ = %v: %w", rep.Value, fznorm, err)
		}
		rep.Warning = errors.Join(rep.Warning, linearWarning(rep.Linear, fznorm, err))
	} else if !rep.Linear.Converged && rep.Warning == nil &&
		!(rep.Linear.Rounding && rep.Linear.Residual <= roundingSlack*effort.LinearTol*fznorm) {
		rep.Warning = linearWarning(rep.Linear, fznorm, nil)
	}
	if rep.Warning == nil { // without an adjoint there is no correction
		var correction float64
		correction, rep.Unsolved = a.adjoint.correction(rep.Inner.Grad)
		rep.Correct(correction)
	}
	a.adjoint.cross(grad)
	if s := floats.Norm(grad, 2); math.IsNaN(s) || math.IsInf(s, 0) || math.IsNaN(rep.Value) || math.IsInf(rep.Value, 0) {
		return rep, fmt.Errorf("hypergrad: h = %v, ‖∇h‖ = %v: the outer objective or a product of the inner one is not "+
			"finite at this x: bound x, or look there", rep.Value, s)
	}
	return rep, nil
}

// linear is the solver that makes k steps, or the configured one if k is zero.
func (a *aid) linear(k int) (linsolve.Solver, error) {
	if k <= 0 {
		return a.Linear, nil
	}
	if k != a.linearSteps {
		s := a.Linear
		if s == nil {
			s = a.adjoint.preferred()
		}
		counted, ok := s.(linsolve.Stepper)
		if !ok {
			return nil, fmt.Errorf("hypergrad: Effort.LinearSteps = %d, and AID.Linear is %T, "+
				"which makes no steps (it is no linsolve.Stepper): use linsolve.CG, GMRES or FixedPoint", k, s)
		}
		a.linearSteps, a.stepped = k, counted.WithSteps(k)
	}
	return a.stepped, nil
}

// solveInner replaces at.Z by the result of the inner solver, or by that of t steps where they are asked for.
func (a *aid) solveInner(ctx context.Context, at bilevel.Point, effort Effort) (inner.Result, error) {
	if a.p.Fixed != nil {
		m := a.Iteration
		if effort.InnerSteps > 0 {
			m.Steps = effort.InnerSteps
		}
		if m.Steps != a.innerSteps {
			var err error
			if a.min, err = m.Start(a.p.Fixed, a.counts); err != nil {
				return inner.Result{}, err
			}
			a.innerSteps = m.Steps
		}
	} else if effort.InnerSteps > 0 {
		return a.countedSteps(ctx, at, effort.InnerSteps)
	}
	return a.min.Minimize(ctx, at.Z, at.X, effort.Inner)
}

// countedSteps makes t steps of the inner solver of an inner objective.
func (a *aid) countedSteps(ctx context.Context, at bilevel.Point, t int) (inner.Result, error) {
	if a.process == nil {
		dyn, ok := a.Inner.(inner.Dynamics)
		if !ok {
			return inner.Result{}, fmt.Errorf("hypergrad: Effort.InnerSteps = %d, and AID.Inner is %T, "+
				"which solves to a tolerance (it is no inner.Dynamics): use inner.GradientDescent, HeavyBall or Nesterov",
				t, a.Inner)
		}
		var err error
		if a.process, err = dyn.Begin(a.p, a.counts); err != nil {
			return inner.Result{}, err
		}
		a.state, a.rest = make([]float64, a.process.StateLen()), make([]float64, len(at.Z))
	}
	if err := inner.Iterate(ctx, a.process, a.state, at.Z, at.X, t); err != nil {
		return inner.Result{}, err
	}
	g := a.p.Inner
	res := inner.Result{Iterations: t, Converged: true, Grad: a.rest}
	res.Value = bilevel.ValueGrad(g, a.rest, nil, at.Z, at.X, bilevel.All(g))
	a.counts.ValueG += int64(g.Samples())
	a.counts.GradG += int64(g.Samples())
	if res.GradNorm = floats.Norm(a.rest, 2); math.IsNaN(res.GradNorm) || math.IsInf(res.GradNorm, 0) {
		return res, fmt.Errorf("hypergrad: after %d steps of the inner solver ‖∇z g‖ = %v: lower its step size",
			t, res.GradNorm)
	}
	return res, nil
}

// roundingSlack is how far, as a factor, rounding may keep the adjoint system from its tolerance without a
// warning.
const roundingSlack = 1e3
