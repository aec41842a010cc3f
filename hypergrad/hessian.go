package hypergrad

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/vector"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// hessianAdjoint is the adjoint ∇²zz g·v = −∇z f.
type hessianAdjoint struct {
	h              hessian
	norm           inner.Norm
	factorer       inner.Factorer       // or nil
	preconditioner inner.Preconditioner // or nil
	work           linsolve.Workspace
	b, v           []float64 // −∇z f; at.V
}

func newHessianAdjoint(g bilevel.SecondOrder, min inner.Minimizer, counts *bilevel.Counts) *hessianAdjoint {
	d, p := g.Dims()
	a := &hessianAdjoint{b: make([]float64, d), norm: inner.NewNorm(g)}
	a.factorer, _ = min.(inner.Factorer)
	a.preconditioner, _ = min.(inner.Preconditioner)
	a.h = hessian{g: g, counts: counts, n: int64(g.Samples()), all: bilevel.All(g), cv: make([]float64, p)}
	a.h.lin, _ = g.(bilevel.Linearizer)
	a.h.former, _ = g.(bilevel.HessianMatrix)
	return a
}

func (a *hessianAdjoint) at(at bilevel.Point) error {
	a.h.at(at.Z, at.X)
	a.v = at.V
	return nil
}

func (a *hessianAdjoint) preferred() linsolve.Solver { return linsolve.CG{} }

// solve solves ∇²zz g·v = b, by default with what the inner solver has.
func (a *hessianAdjoint) solve(ctx context.Context, fz []float64, linear linsolve.Solver,
	tol float64) (linsolve.Result, error) {
	floats.ScaleTo(a.b, -1, fz)
	if linear != nil {
		return linear.Solve(ctx, &a.h, a.v, a.b, tol, &a.work)
	}
	if a.factorer != nil {
		if f, err := a.factorer.Factor(ctx, a.h.z, a.h.x); err == nil {
			f.Solve(a.v, a.b)
			return linsolve.CG{}.Solve(ctx, factored{&a.h, f}, a.v, a.b, tol, &a.work)
		}
	}
	// The residual is measured as the inner problem's is: SHS·w = Sb, v = Sw.
	a.norm.Scale(a.b)
	a.norm.Unscale(a.v)
	defer a.norm.Scale(a.v)
	if a.preconditioner != nil {
		return a.preconditioned(ctx, tol)
	}
	return linsolve.CG{}.Solve(ctx, a.norm.Operator(&a.h), a.v, a.b, tol, &a.work)
}

// correction is ⟨v, ∇z g⟩.
func (a *hessianAdjoint) correction(rest []float64) (sum, size float64) {
	return vector.Dot(a.v, rest), sizes(a.v, rest)
}

// sizes is Σ|u_i r_i|.
func sizes(u, r []float64) float64 {
	s := 0.0
	for i, v := range u {
		s += math.Abs(v * r[i])
	}
	return s
}

func (a *hessianAdjoint) cross(grad []float64) {
	a.h.cross(a.h.cv, a.v)
	floats.Add(grad, a.h.cv) // ∇h = ∇x f + ∇²xz g·v
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
	_ linsolve.Transposer     = (*hessian)(nil)
	_ linsolve.Preconditioner = factored{}
)

func (h *hessian) at(z, x []float64) {
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

// MulTransVec is described at [linsolve.Transposer].
func (h *hessian) MulTransVec(dst, v []float64) { h.MulVec(dst, v) }

// cross sets cv = ∇²xz g·v.
func (h *hessian) cross(cv, v []float64) {
	h.counts.CrossG += h.n
	if h.linearized {
		h.lin.Apply(nil, cv, v)
		return
	}
	h.g.Products(nil, nil, cv, h.z, h.x, v, h.all)
}

// Matrix is described at [linsolve.Matrix].
func (h *hessian) Matrix(ctx context.Context, dst []float64) error {
	d := len(h.z)
	if h.former != nil {
		h.counts.HessG += h.n * int64(d)
		return h.former.Hessian(ctx, dst, h.z, h.x, h.all)
	}
	unit, column := make([]float64, d), make([]float64, d)
	for j := range d {
		if err := ctx.Err(); err != nil {
			return err
		}
		unit[j] = 1
		h.MulVec(column, unit)
		unit[j] = 0
		for i := j; i < d; i++ {
			dst[i*d+j] = column[i]
		}
	}
	return nil
}

// preconditioned solves the adjoint system with the inner solver's preconditioner; an expensive one only after
// as many products as it costs.
func (a *hessianAdjoint) preconditioned(ctx context.Context, tol float64) (linsolve.Result, error) {
	products := 0
	for most := 32; ; most *= 4 {
		if p := a.preconditioner.Preconditioner(ctx, a.h.z, a.h.x, products); p != nil {
			res, err := linsolve.CG{}.Solve(ctx, a.norm.Operator(preconditioned{&a.h, p}), a.v, a.b, tol, &a.work)
			res.Products += products
			return res, err
		}
		cg := linsolve.CG{MaxIter: most}
		last := products > 10*len(a.b)
		if last {
			cg.MaxIter = 0
		}
		res, err := cg.Solve(ctx, a.norm.Operator(&a.h), a.v, a.b, tol, &a.work)
		products += res.Products
		if err != nil || res.Converged || res.Rounding || last {
			res.Products = products
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
