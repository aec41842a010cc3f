package nonsmooth

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// Implicit is implicit differentiation of a [Composite] inner problem: solve it for z, solve ∇²g_SS v_S = −∇z f_S on
// the support S of z, the coefficients that are not zero or not penalised, and return
// ∇x f + ∇²xz g·v + Σ_{i∈S} sign(z_i) v_i ∇λ_i.
//
// Where S is empty the hypergradient is ∇x f: strengths beyond the largest useful one change nothing. The report's
// warning says so where z* is near a kink of h, see [KinkError]; the hypergradient is then one of two.
//
// The inner tolerance of an effort is for ‖Φ(z, x) − z‖; the subgradient of least norm is made as small as Eta asks.
// Cost: an inner solve, a value and gradient of f, a gradient of g and, on S alone, one Hessian and a product.
// Memory: 3d numbers, 2|S|² and what the inner solver needs.
//
// Bertrand et al., Implicit differentiation for fast hyperparameter selection in non-smooth convex learning, 2022,
// theorem 9 and algorithm 3.
type Implicit struct {
	// Inner solves the inner problem. The default is ProxNewton{}.
	Inner Solver
}

var _ hypergrad.Estimator = Implicit{}

// KinkError warns that a coefficient off the support is about to enter it: |∇_i g| = λ_i to rounding. To one side
// the gradient of h is another.
type KinkError struct {
	Coefficient  int
	Grad, Weight float64 // |∇_i g| and λ_i
}

// Kink is described at [hypergrad.Kink].
func (e *KinkError) Kink() {}

func (e *KinkError) Error() string {
	return fmt.Sprintf("nonsmooth: near a kink of h: coefficient %d is zero, and its gradient %.9g is its weight %.9g: "+
		"the hypergradient is that of one side", e.Coefficient, e.Grad, e.Weight)
}

// kink is the relative distance of |∇_i g| from λ_i that is taken for none.
const kink = 1e-9

// Start is described at [hypergrad.Estimator].
func (m Implicit) Start(p *bilevel.Problem, counts *bilevel.Counts) (hypergrad.Hypergradient, error) {
	c, err := compositeOf(p)
	if err != nil {
		return nil, err
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, fmt.Errorf("nonsmooth: outer objective: %w", err)
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	if m.Inner == nil {
		m.Inner = ProxNewton{}
	}
	min, err := m.Inner.Start(c, counts)
	if err != nil {
		return nil, err
	}
	d, q := p.Dims()
	h := &implicit{p: p, c: c, min: min, counts: counts, lambda: make([]float64, d), dz: make([]float64, d),
		signed: make([]float64, d), cx: make([]float64, q)}
	for _, piece := range c.divide() {
		h.parts = append(h.parts, &adjointPart{piece: piece, cx: make([]float64, q)})
	}
	return h, nil
}

type implicit struct {
	p      *bilevel.Problem
	c      *Composite
	min    inner.Minimizer
	counts *bilevel.Counts
	parts  []*adjointPart

	lambda, dz, signed, cx []float64
}

// adjointPart is the adjoint system of a term of g.
type adjointPart struct {
	*piece
	set    []int // the support, among the coefficients of the term
	counts bilevel.Counts
	linear linsolve.Result
	err    error
	cx     []float64 // ∇²xz g·v
	work   linsolve.Workspace
}

// At is described at [hypergrad.Hypergradient].
func (m *implicit) At(ctx context.Context, grad []float64, at bilevel.Point,
	tol hypergrad.Effort) (hypergrad.Report, error) {
	var rep hypergrad.Report
	var err error
	rep.Inner, err = m.min.Minimize(ctx, at.Z, at.X, tol.Inner/m.c.eta()) // ‖Φ(z, x) − z‖ ≤ η‖s‖, s any subgradient
	if err != nil {
		var unsolved *inner.NotConvergedError
		if !errors.As(err, &unsolved) {
			return rep, err
		}
		rep.Warning = err
	}
	m.c.L1.Weights(m.lambda, at.X)
	all := bilevel.All(m.p.Outer)
	rep.Value = bilevel.ValueGrad(m.p.Outer, m.dz, grad, at.Z, at.X, all)
	m.counts.ValueF += int64(all.Len())
	m.counts.GradF += int64(all.Len())

	size := 0
	for _, q := range m.parts {
		q.set = q.set[:0]
		for i := q.lo; i < q.hi; i++ {
			if at.Z[i] != 0 || m.lambda[i] == 0 {
				q.set = append(q.set, i-q.lo)
			}
		}
		size += len(q.set)
	}
	if size == 0 {
		clear(at.V)
	} else {
		warning, err := m.adjoint(ctx, &rep, grad, at, size, max(tol.LinearTol, leastLinear))
		if err != nil {
			return rep, err
		}
		if rep.Warning == nil {
			rep.Warning = warning
		}
	}
	if rep.Warning == nil { // without an adjoint there is no correction
		rep.Correct(floats.Dot(at.V, rep.Inner.Grad))
		rep.Warning = m.kink(at)
	}
	if s := floats.Norm(grad, 2); math.IsNaN(s) || math.IsInf(s, 0) || math.IsNaN(rep.Value) || math.IsInf(rep.Value, 0) {
		return rep, fmt.Errorf("nonsmooth: h = %v, ‖∇h‖ = %v", rep.Value, s)
	}
	return rep, nil
}

const (
	leastLinear = 1e-13 // tolerances of the adjoint system below it are those of rounding
	mostDirect  = 2000
)

// adjoint solves for v on the support, of size coefficients, with the right-hand side −m.dz, and adds its part of the
// hypergradient to grad.
func (m *implicit) adjoint(
	ctx context.Context, rep *hypergrad.Report, grad []float64, at bilevel.Point, size int, tol float64,
) (warning, err error) {
	norm := 0.0
	for _, q := range m.parts {
		for _, i := range q.set {
			norm = math.Hypot(norm, m.dz[q.lo+i])
		}
	}
	pool.For(math.MaxInt).Run(len(m.parts), func(_, i int) {
		q := m.parts[i]
		q.err, q.linear = nil, linsolve.Result{Converged: true}
		clear(q.cx)
		if len(q.set) > 0 {
			q.solve(ctx, m.dz[q.lo:q.hi], bilevel.Point{Z: at.Z[q.lo:q.hi], X: at.X, V: at.V[q.lo:q.hi]},
				tol*norm/math.Sqrt(float64(len(m.parts))))
		} else {
			clear(at.V[q.lo:q.hi])
		}
	})
	rep.Linear = linsolve.Result{Converged: true}
	for _, q := range m.parts {
		l := &rep.Linear
		l.Products += q.linear.Products
		l.Residual = math.Hypot(l.Residual, q.linear.Residual)
		l.Converged, l.Rounding = l.Converged && q.linear.Converged, l.Rounding || q.linear.Rounding
		err = errors.Join(err, q.err)
		m.counts.HessG += q.counts.HessG / int64(len(m.parts))
		m.counts.CrossG += q.counts.CrossG / int64(len(m.parts))
		q.counts = bilevel.Counts{}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, linsolve.ErrNonFinite):
		return nil, fmt.Errorf("nonsmooth: f = %v, ‖∇z f‖ = %v on the support: %w", rep.Value, norm, err)
	case err != nil:
		warning = fmt.Errorf("nonsmooth: the adjoint system on the support of %d coefficients was not solved: %w",
			size, err)
	case !rep.Linear.Converged && !(rep.Linear.Rounding && rep.Linear.Residual <= 1e3*tol*norm):
		warning = fmt.Errorf("nonsmooth: the adjoint system on the support of %d coefficients was not solved: "+
			"residual %.3g of %.3g: its columns are nearly dependent; an ℓ2 term helps", size, rep.Linear.Residual, norm)
	}
	for i, v := range at.V {
		switch z := at.Z[i]; {
		case z > 0:
			m.signed[i] = v
		case z < 0:
			m.signed[i] = -v
		default:
			m.signed[i] = 0
		}
	}
	for _, q := range m.parts {
		floats.Add(grad, q.cx)
	}
	m.c.L1.Pull(m.cx, at.X, m.signed)
	floats.Add(grad, m.cx)
	return warning, nil
}

// solve sets v = at.V and cx. tol is absolute.
func (q *adjointPart) solve(ctx context.Context, dz []float64, at bilevel.Point, tol float64) {
	h := newSupport(q.piece, q.set, at, &q.counts)
	b, v := make([]float64, len(q.set)), make([]float64, len(q.set))
	for e, i := range q.set {
		b[e], v[e] = -dz[i], at.V[i]
	}
	if norm := floats.Norm(b, 2); norm > 0 {
		q.linear, q.err = q.system(ctx, h, v, b, tol/norm)
	} else {
		clear(v)
	}
	clear(at.V)
	for e, i := range q.set {
		at.V[i] = v[e]
	}
	h.cross(q.cx, v)
}

// system solves the adjoint system by conjugate gradients, up to mostDirect coefficients with a Cholesky factor as
// preconditioner, block by block where the Hessian has blocks.
func (q *adjointPart) system(ctx context.Context, h *support, v, b []float64, tol float64) (linsolve.Result, error) {
	if n := len(b); n <= mostDirect {
		a := make([]float64, n*n)
		if err := h.Matrix(ctx, a); err != nil {
			return linsolve.Result{}, err
		}
		if f, err := newFactors(a, n); err == nil {
			clear(v)
			return linsolve.CG{}.Solve(ctx, &preconditioned{h, f}, v, b, tol, &q.work)
		} else if errors.Is(err, linsolve.ErrNonFinite) {
			return linsolve.Result{Residual: floats.Norm(b, 2)}, err
		}
	}
	return linsolve.CG{}.Solve(ctx, h, v, b, tol, &q.work)
}

// factors are Cholesky factors of the blocks of a matrix that are not coupled.
type factors struct {
	of     [][]int
	factor []linsolve.Cholesky
	b      []float64
}

// newFactors factorises the n×n matrix whose lower triangle a has, with its diagonal raised by rounding, and somewhat
// more: where the matrix is singular what rounding leaves of b in its kernel is divided by that.
func newFactors(a []float64, n int) (*factors, error) {
	raise(a, n)
	for i := range n {
		a[i*n+i] *= 1 + 1e-10
	}
	of := components(a, n)
	f := &factors{of: of, factor: make([]linsolve.Cholesky, len(of)), b: make([]float64, n)}
	for k, set := range of {
		m := len(set)
		block := a
		if m < n {
			block = make([]float64, m*m)
			for e, i := range set {
				for g, j := range set[:e+1] {
					block[e*m+g] = a[i*n+j]
				}
			}
		}
		if err := f.factor[k].Factorize(m, block); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// preconditioned is the Hessian on the support with its factors: conjugate gradients need one or two products. Where
// it is singular, as with the intercepts of a softmax, they make up for the raised diagonal.
type preconditioned struct {
	*support
	f *factors
}

var _ linsolve.Preconditioner = (*preconditioned)(nil)

// Precondition is described at [linsolve.Preconditioner].
func (p *preconditioned) Precondition(dst, r []float64) {
	for k, set := range p.f.of {
		b := p.f.b[:len(set)]
		for e, i := range set {
			b[e] = r[i]
		}
		p.f.factor[k].Solve(b, b)
		for e, i := range set {
			dst[i] = b[e]
		}
	}
}

// kink is the warning about strict complementarity.
func (m *implicit) kink(at bilevel.Point) error {
	if known, ok := m.min.(interface{ gradient(dst []float64) }); ok {
		known.gradient(m.dz)
	} else {
		all := bilevel.All(m.c.G)
		m.c.G.Grad(m.dz, nil, at.Z, at.X, all)
		m.counts.GradG += int64(all.Len())
	}
	for i, z := range at.Z {
		l, g := m.lambda[i], math.Abs(m.dz[i])
		if z == 0 && l > 0 && math.Abs(g-l) <= kink*l {
			return &KinkError{i, g, l}
		}
	}
	return nil
}

// support is ∇²g on a set of coefficients, at a point whose other coefficients are zero.
type support struct {
	g      bilevel.SecondOrder
	places []int // of the set among the coefficients of g
	counts *bilevel.Counts
	z, x   []float64
	v, hv  []float64

	matrix []float64 // of a quadratic, by its columns; else nil
}

var (
	_ linsolve.Operator = (*support)(nil)
	_ linsolve.Matrix   = (*support)(nil)
)

func newSupport(p *piece, set []int, at bilevel.Point, counts *bilevel.Counts) *support {
	h := &support{places: make([]int, 0, len(set)), counts: counts, x: at.X}
	if len(set) <= mostDirect && p.gram != nil {
		if fresh, ok := p.gram.fetch(set); ok {
			counts.HessG += int64(fresh) * int64(p.g.Samples())
			h.matrix = make([]float64, len(set)*len(set))
			p.gram.of.HessianDiagonal(p.gram.diagonal, at.X)
			p.gram.part(h.matrix, set)
			h.g, h.places, h.z, h.v = p.g, set, at.Z, make([]float64, len(at.Z))
			return h
		}
		p.gram = nil
	}
	var in []int
	h.g, in = restrictTo(p.g, set)
	h.z, h.v, h.hv = make([]float64, len(in)), make([]float64, len(in)), make([]float64, len(in))
	for e, i := range in {
		h.z[e] = at.Z[i]
		if k := len(h.places); k < len(set) && set[k] == i {
			h.places = append(h.places, e)
		}
	}
	return h
}

func (h *support) spread(v []float64) []float64 {
	for e, k := range h.places {
		h.v[k] = v[e]
	}
	return h.v
}

// MulVec is described at [linsolve.Operator].
func (h *support) MulVec(dst, v []float64) {
	if s := len(v); h.matrix != nil {
		clear(dst)
		for e, c := range v {
			kernel.Axpy(c, h.matrix[e*s:(e+1)*s], dst)
		}
		return
	}
	h.g.Products(nil, h.hv, nil, h.z, h.x, h.spread(v), bilevel.All(h.g))
	h.counts.HessG += int64(h.g.Samples())
	for e, k := range h.places {
		dst[e] = h.hv[k]
	}
}

// Matrix is described at [linsolve.Matrix].
func (h *support) Matrix(ctx context.Context, dst []float64) error {
	if h.matrix != nil {
		copy(dst, h.matrix)
		return nil
	}
	n, s := len(h.z), len(h.places)
	h.counts.HessG += int64(n) * int64(h.g.Samples())
	if n == s {
		return hessian(ctx, dst, h.g, h.z, h.x)
	}
	all := make([]float64, n*n)
	err := hessian(ctx, all, h.g, h.z, h.x)
	for e, k := range h.places {
		for f, l := range h.places[:e+1] {
			dst[e*s+f] = all[k*n+l]
		}
	}
	return err
}

// cross overwrites cv with ∇²xz g·v.
func (h *support) cross(cv, v []float64) {
	h.g.Products(nil, nil, cv, h.z, h.x, h.spread(v), bilevel.All(h.g))
	h.counts.CrossG += int64(h.g.Samples())
}
