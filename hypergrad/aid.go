package hypergrad

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// AID is approximate implicit differentiation: solve the inner problem for z, the linear system
// ∇²zz g(z, x)·v = −∇z f(z, x) for v, and return ∇x f(z, x) + ∇²xz g(z, x)·v.
//
// Both levels start from the given z and v. Where the inner solver has a factor of the Hessian (see
// [inner.Factorer]) the linear system is solved with it, normally by one product that checks the residual;
// elsewhere by conjugate gradients, with [bilevel.Linearizer] where the objective offers it.
//
// Assumes that g(·, x) is smooth and strongly convex near z*(x).
// Cost: an inner solve, one value and gradient of f, one product with ∇²zz g for each iteration of the linear
// solver, one product with ∇²xz g. Memory: 2d + p numbers and what the two solvers need. Error: of the order of
// ‖z − z*‖ + ‖v − v*‖.
//
// Pedregosa, Hyperparameter optimization with approximate gradient, 2016, algorithm 1; Grazzi, Franceschi,
// Pontil, Salzo, On the iteration complexity of hypergradient computation, 2020, algorithm 2.
type AID struct {
	// Inner solves the inner problem. The default is inner.Auto{}.
	Inner inner.Solver
	// Linear solves the adjoint system. The default is linsolve.CG{}, preconditioned by the factor of the
	// Hessian where the inner solver has one.
	Linear linsolve.Solver
}

var _ Estimator = AID{}

// Start is described at [Estimator].
func (m AID) Start(p *bilevel.Problem, counts *bilevel.Counts) (Hypergradient, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Inner == nil {
		return nil, errors.New("hypergrad: AID needs an inner objective (Problem.Inner), and this problem has a fixed-point map")
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, fmt.Errorf("hypergrad: outer objective: %w", err)
	}
	g, err := bilevel.NeedSecondOrder(p.Inner)
	if err != nil {
		return nil, fmt.Errorf("hypergrad: inner objective: %w", err)
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	if m.Inner == nil {
		m.Inner = inner.Auto{}
	}
	min, err := m.Inner.Start(g, counts)
	if err != nil {
		return nil, err
	}
	d, _ := p.Dims()
	a := &aid{p: p, linear: m.Linear, min: min, b: make([]float64, d)}
	if m.Linear == nil {
		a.linear = linsolve.CG{}
		a.factorer, _ = min.(inner.Factorer)
		a.preconditioner, _ = min.(inner.Preconditioner)
	}
	a.h = hessian{g: g, counts: counts, n: int64(g.Samples()), all: bilevel.All(g)}
	a.h.lin, _ = p.Inner.(bilevel.Linearizer)
	a.h.former, _ = p.Inner.(bilevel.HessianMatrix)
	return a, nil
}

type aid struct {
	p              *bilevel.Problem
	linear         linsolve.Solver
	min            inner.Minimizer
	factorer       inner.Factorer       // nil: no factor to use
	preconditioner inner.Preconditioner // or nil
	h              hessian
	work           linsolve.Workspace
	b              []float64 // −∇z f
}

// At is described at [Hypergradient].
func (a *aid) At(grad []float64, at bilevel.Point, tol Effort) (Report, error) {
	var rep Report
	var err error
	rep.Inner, err = a.min.Minimize(at.Z, at.X, tol.Inner)
	if err != nil {
		var unsolved *inner.NotConvergedError
		if !errors.As(err, &unsolved) {
			return rep, err
		}
		rep.Warning = err
	}
	counts := a.h.counts
	all := bilevel.All(a.p.Outer)
	clear(grad) // a bilevel.Local objective writes only where x enters
	rep.Value = bilevel.ValueGrad(a.p.Outer, a.b, grad, at.Z, at.X, all)
	counts.ValueF += int64(all.Len())
	counts.GradF += int64(all.Len())
	floats.Scale(-1, a.b)
	bnorm := floats.Norm(a.b, 2)

	if rep.Linear, err = a.adjoint(at, tol.Linear); err != nil {
		if errors.Is(err, linsolve.ErrNonFinite) {
			return rep, fmt.Errorf("hypergrad: f = %v, ‖∇z f‖ = %v: %w", rep.Value, bnorm, err)
		}
		rep.Warning = linearWarning(rep.Linear, bnorm, err)
	} else if !rep.Linear.Converged && rep.Warning == nil && !(rep.Linear.Rounding && rep.Linear.Residual <= roundingSlack*tol.Linear*bnorm) {
		rep.Warning = linearWarning(rep.Linear, bnorm, nil)
	}
	if rep.Warning == nil { // without an adjoint there is no correction
		rep.Correction = floats.Dot(at.V, rep.Inner.Grad)
		rep.Value += rep.Correction
	}
	a.h.cross(a.h.cv, at.V)
	for j, c := range a.h.cv {
		grad[j] += c // ∇h = ∇x f + ∇²xz g·v
	}
	if s := floats.Norm(grad, 2); math.IsNaN(s) || math.IsInf(s, 0) || math.IsNaN(rep.Value) || math.IsInf(rep.Value, 0) {
		return rep, fmt.Errorf("hypergrad: h = %v, ‖∇h‖ = %v", rep.Value, s)
	}
	return rep, nil
}

// roundingSlack is how far, as a factor, rounding may keep the adjoint system from its tolerance without a
// warning.
const roundingSlack = 1e3

// adjoint solves ∇²zz g·v = b.
func (a *aid) adjoint(at bilevel.Point, tol float64) (linsolve.Result, error) {
	a.h.at(at.Z, at.X)
	if a.factorer != nil {
		if f, err := a.factorer.Factor(at.Z, at.X); err == nil {
			f.Solve(at.V, a.b)
			return a.linear.Solve(factored{&a.h, f}, at.V, a.b, tol, &a.work)
		}
	}
	if a.preconditioner != nil {
		return a.preconditioned(at, tol)
	}
	return a.linear.Solve(&a.h, at.V, a.b, tol, &a.work)
}

// hessian is ∇²zz g at a point, as an operator.
type hessian struct {
	g      bilevel.SecondOrder
	lin    bilevel.Linearizer    // or nil
	former bilevel.HessianMatrix // or nil
	counts *bilevel.Counts
	n      int64
	all    bilevel.Batch

	z, x       []float64
	products   int
	linearized bool
	cv         []float64
}

var (
	_ linsolve.Operator       = (*hessian)(nil)
	_ linsolve.Matrix         = (*hessian)(nil)
	_ linsolve.Preconditioner = factored{}
)

func (h *hessian) at(z, x []float64) {
	if len(h.cv) != len(x) {
		h.cv = make([]float64, len(x))
	}
	h.z, h.x, h.products, h.linearized = z, x, 0, false
}

// MulVec is described at [linsolve.Operator]. Linearizing pays from the second product on.
func (h *hessian) MulVec(dst, v []float64) {
	h.counts.HessG += h.n
	if h.lin != nil && h.products > 0 {
		if !h.linearized {
			h.lin.Linearize(h.z, h.x, h.all)
			h.linearized = true
		}
		h.lin.Apply(dst, nil, v)
		return
	}
	h.products++
	h.g.Products(nil, dst, nil, h.z, h.x, v, h.all)
}

// cross sets cv = ∇²xz g·v.
func (h *hessian) cross(cv, v []float64) {
	h.counts.CrossG += h.n
	clear(cv) // a bilevel.Local objective writes only where x enters
	if h.linearized {
		h.lin.Apply(nil, cv, v)
		return
	}
	h.g.Products(nil, nil, cv, h.z, h.x, v, h.all)
}

// Matrix is described at [linsolve.Matrix].
func (h *hessian) Matrix(dst []float64) {
	d := len(h.z)
	if h.former != nil {
		h.counts.HessG += h.n * int64(d)
		h.former.Hessian(dst, h.z, h.x, h.all)
		return
	}
	unit, column := make([]float64, d), make([]float64, d)
	for j := range d {
		unit[j] = 1
		h.MulVec(column, unit)
		unit[j] = 0
		for i := j; i < d; i++ {
			dst[i*d+j] = column[i]
		}
	}
}

// preconditioned solves the adjoint system with the inner solver's preconditioner; an expensive one only after
// as many products as it costs.
func (a *aid) preconditioned(at bilevel.Point, tol float64) (linsolve.Result, error) {
	made := 0
	for products := 32; ; products *= 4 {
		if p := a.preconditioner.Preconditioner(at.Z, at.X, made); p != nil {
			res, err := a.linear.Solve(preconditioned{&a.h, p}, at.V, a.b, tol, &a.work)
			res.Products += made
			return res, err
		}
		cg := linsolve.CG{MaxIter: products}
		last := made > 10*len(a.b)
		if last {
			cg.MaxIter = 0
		}
		res, err := cg.Solve(&a.h, at.V, a.b, tol, &a.work)
		made += res.Products
		if err != nil || res.Converged || res.Rounding || last {
			res.Products = made
			return res, err
		}
	}
}

// preconditioned is a Hessian with a preconditioner of its inner solver.
type preconditioned struct {
	*hessian
	linsolve.Preconditioner
}

// factored is a Hessian preconditioned by a factor.
type factored struct {
	*hessian
	factor *linsolve.Cholesky
}

// Precondition is described at [linsolve.Preconditioner].
func (f factored) Precondition(dst, r []float64) { f.factor.Solve(dst, r) }
