package inner

import (
	"context"
	"errors"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/internal/vector"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/rows"
)

// Newton minimises g(·, x) by damped Newton steps with a line search.
//
// For small d the Hessian is a matrix, formed by the objective ([bilevel.HessianMatrix]) or by d products, and
// factored; a factor is kept for further steps (chord steps, one gradient each) while they are expected to
// reach the tolerance soon. For large d the step is found by conjugate gradients with products, to the
// accuracy that the progress of the outer iteration deserves, preconditioned by the diagonal blocks of the
// Hessian at the start of the solve where the objective forms them ([bilevel.HessianBlocks], of order 1024 at
// most) and, for large blocks, once as many products were made as they cost. A Hessian that is singular to rounding or
// not positive definite is damped (Levenberg and Marquardt).
//
// Assumes that g(·, x) is smooth; where it is not convex, a stationary point is found.
// Cost per iteration: one value with gradient, and one dense Hessian (counted as d products) or none, or
// the products of the conjugate gradients. Memory: 2d² + 6d numbers, or 9d.
//
// Nocedal and Wright, Numerical Optimization, 2nd edition, sections 3.4 and 7.1; forcing terms: Eisenstat and
// Walker, Choosing the forcing terms in an inexact Newton method, 1996, choice 2.
type Newton struct {
	// MaxIter bounds the iterations. The default is 200.
	MaxIter int
	// DenseDim is the largest d for which the Hessian is a matrix. The default is 512 where the objective
	// forms it, and 32 where that takes d products. Negative means never.
	DenseDim int
}

var _ Solver = Newton{}

// Start is described at [Solver].
func (m Newton) Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error) {
	second, err := bilevel.NeedSecondOrder(g)
	if err != nil {
		return nil, err
	}
	d, _ := g.Dims()
	former, forms := g.(bilevel.HessianMatrix)
	limit := m.DenseDim
	if limit == 0 {
		if limit = 32; forms {
			limit = 512
		}
	}
	r := newton{
		oracle: newOracle(g, counts), second: second, d: d, maxIter: m.MaxIter,
		at: newIterate(d), trial: newIterate(d), dir: make([]float64, d),
	}
	if r.maxIter <= 0 {
		r.maxIter = 200
	}
	if d <= limit {
		n := &newtonDense{newton: r, former: former, h: make([]float64, d*d), damped: make([]float64, d*d), chords: d}
		if forms {
			n.chords = 4
		}
		return n, nil
	}
	n := &newtonCG{newton: r, b: make([]float64, d)}
	n.lin, _ = g.(bilevel.Linearizer)
	if blocks, ok := g.(bilevel.HessianBlocks); ok && blocks.BlockSize() <= maxBlock &&
		d*blocks.BlockSize() <= maxNumbers {
		n.blocks = &blockInverse{of: blocks, size: blocks.BlockSize()}
	}
	return n, nil
}

// newton is what the dense and the iterative variant share.
type newton struct {
	oracle
	second    bilevel.SecondOrder
	d         int
	maxIter   int
	at, trial iterate
	dir       []float64
	formed    bool // the variant has the Hessian at the current point
}

// direction is how a variant finds its step: it sets dir from at. damping is 0 or the factor by which the
// Hessian's diagonal is to be raised. fresh asks for the Hessian at the current point.
type direction interface {
	direction(ctx context.Context, iter int, damping, tol float64, fresh bool) error
	// stale says whether the last direction used the Hessian of an earlier point.
	stale() bool
}

const maxDamping = 1e8

func (n *newton) minimize(ctx context.Context, v direction, z, x []float64, tol float64) (Result, error) {
	if len(z) != n.d {
		panic("inner: z has the wrong length")
	}
	n.x, n.formed = x, false
	copy(n.at.z, z)
	n.eval(&n.at)
	if !n.at.finite() {
		return Result{Value: n.at.value, GradNorm: n.at.norm}, &NonFiniteError{n.at.value, n.at.norm}
	}
	var res Result
	damping, fresh := 0.0, false
	stalls := 0
	for {
		if n.at.norm <= tol {
			res.Converged = true
			break
		}
		if err := ctx.Err(); err != nil {
			n.result(&res, z)
			return res, err
		}
		reason := ""
		if res.Iterations >= n.maxIter {
			reason = "the iteration limit"
		}
		decrease := 0.0
		if reason == "" {
			err := v.direction(ctx, res.Iterations, damping, tol, fresh)
			slope := vector.Dot(n.at.grad, n.dir)
			ok, lowers := false, false
			if err == nil && slope < 0 {
				decrease = -slope / 2
				ok, lowers = n.search(ctx, &n.at, &n.trial, n.dir, slope, 1, false)
			}
			switch {
			case ok && (lowers || n.trial.norm <= n.at.norm/2):
				res.Iterations++
				n.at, n.trial, n.formed = n.trial, n.at, false
				damping, fresh, stalls = damping/100, false, 0
				if damping < 1e-13 {
					damping = 0
				}
				continue
			case ok:
				// Values tell nothing any more and the gradient does not fall as it should.
				res.Iterations++
				if n.trial.norm < n.at.norm {
					n.at, n.trial, n.formed = n.trial, n.at, false
				}
				fresh = true
				if v.stale() {
					continue
				}
				if stalls++; stalls < 3 {
					continue
				}
				reason = "neither g nor its gradient falls any more"
			case v.stale():
				fresh = true
				continue
			case err == nil && slope < 0 && atRounding(&n.at, decrease):
				reason = "neither g nor its gradient falls any more"
			default:
				if damping = max(100*damping, 1e-12); damping <= maxDamping {
					continue
				}
				reason = "no direction lowers g"
				if err != nil {
					reason += ": " + err.Error()
				}
			}
		}
		n.result(&res, z)
		if decrease > 0 && atRounding(&n.at, decrease) {
			res.Rounding = true
			return res, nil
		}
		return res, &NotConvergedError{Iterations: res.Iterations, GradNorm: n.at.norm, Tol: tol, Reason: reason}
	}
	n.result(&res, z)
	return res, nil
}

func (n *newton) result(res *Result, z []float64) {
	copy(z, n.at.z)
	res.Value, res.GradNorm, res.Grad = n.at.value, n.at.norm, n.at.grad
}

// newtonDense has the Hessian as a matrix.
type newtonDense struct {
	newton
	former    bilevel.HessianMatrix // nil: by products
	h, damped []float64             // d×d, lower triangle
	factor    linsolve.Cholesky
	known     bool    // factor belongs to this Minimize
	isStale   bool    // factor belongs to an earlier point of it
	chords    int     // how many chord steps a Hessian is worth
	previous  float64 // gradient norm before the last step
}

var (
	_ Minimizer = (*newtonDense)(nil)
	_ Factorer  = (*newtonDense)(nil)
)

// Minimize is described at [Minimizer].
func (n *newtonDense) Minimize(ctx context.Context, z, x []float64, tol float64) (Result, error) {
	n.known, n.previous = false, 0
	return n.minimize(ctx, n, z, x, tol)
}

// Factor is described at [Factorer].
func (n *newtonDense) Factor(ctx context.Context, z, x []float64) (*linsolve.Cholesky, error) {
	if !n.known {
		n.x = x
		err := n.hessian(ctx, z)
		if err != nil {
			return nil, err
		}
		for damping := 0.0; damping <= maxDamping; damping = max(100*damping, 1e-12) {
			if err = n.factorize(damping); err == nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		n.known = true
	}
	return &n.factor, nil
}

func (n *newtonDense) stale() bool { return n.isStale }

func (n *newtonDense) direction(ctx context.Context, _ int, damping, tol float64, fresh bool) error {
	ratio := n.at.norm / n.previous // of the last step, with this factor
	n.previous = n.at.norm
	// A chord step has about the contraction of the step before it: go on if few of them will do.
	n.isStale = n.known && !fresh && damping == 0 && ratio < .5 &&
		float64(n.chords)*math.Log(ratio) <= math.Log(tol/n.at.norm)
	if !n.isStale {
		if !n.formed {
			if err := n.hessian(ctx, n.at.z); err != nil {
				return err
			}
			n.formed = true
		}
		n.known = false
		if err := n.factorize(damping); err != nil {
			return err
		}
		n.known = true
	}
	n.factor.Solve(n.dir, n.at.grad) // H p = −∇g
	kernel.Scale(-1, n.dir)
	return nil
}

// hessian sets h.
func (n *newtonDense) hessian(ctx context.Context, z []float64) error {
	n.counts.HessG += int64(n.d) * int64(n.all.Len())
	if n.former != nil {
		return n.former.Hessian(ctx, n.h, z, n.x, n.all)
	}
	unit, column := n.dir, n.trial.grad
	clear(unit)
	for j := range unit {
		if err := ctx.Err(); err != nil {
			return err
		}
		unit[j] = 1
		n.second.Products(nil, column, nil, z, n.x, unit, n.all)
		unit[j] = 0
		for i := j; i < n.d; i++ {
			n.h[i*n.d+j] = column[i]
		}
	}
	return nil
}

var errSingular = errors.New("the Hessian is singular to rounding")

// factorize factors h with its diagonal raised by a factor of 1 + damping.
func (n *newtonDense) factorize(damping float64) error {
	d, h := n.d, n.h
	if damping > 0 {
		copy(n.damped, n.h)
		h = n.damped
		top := 0.0
		for j := range d {
			top = max(top, math.Abs(h[j*d+j]))
		}
		for j := range d {
			h[j*d+j] += damping * max(math.Abs(h[j*d+j]), 1e-3*top, 1e-300)
		}
	}
	if err := n.factor.Factorize(d, h); err != nil {
		return err
	}
	if n.factor.Pivot() < 40*float64(d)*0x1p-52 {
		return errSingular
	}
	return nil
}

// newtonCG finds its steps by conjugate gradients.
type newtonCG struct {
	newton
	lin      bilevel.Linearizer // or nil
	blocks   *blockInverse      // or nil
	b        []float64
	work     linsolve.Workspace
	forcing  float64
	previous float64
}

var (
	_ Minimizer      = (*newtonCG)(nil)
	_ Preconditioner = (*newtonCG)(nil)
)

// Preconditioner is described at [Preconditioner].
func (n *newtonCG) Preconditioner(ctx context.Context, z, x []float64, products int) linsolve.Preconditioner {
	if n.blocks == nil || !n.blocks.known && products < n.blocks.price(n.all.Len()) {
		return nil
	}
	n.x = x
	n.prepare(ctx, z)
	return n.blocks
}

// prepare makes the preconditioner of this Minimize, at z.
func (n *newtonCG) prepare(ctx context.Context, z []float64) {
	if !n.blocks.known {
		n.counts.HessG += int64(n.blocks.size) * int64(n.all.Len())
		n.blocks.update(ctx, z, n.x, n.all)
	}
}

// Minimize is described at [Minimizer].
func (n *newtonCG) Minimize(ctx context.Context, z, x []float64, tol float64) (Result, error) {
	if n.blocks != nil {
		n.blocks.known = false
	}
	n.previous = 0
	return n.minimize(ctx, n, z, x, tol)
}

func (n *newtonCG) stale() bool { return false }

// MulVec makes the Hessian at the current point an operator.
func (n *newtonCG) MulVec(dst, v []float64) {
	n.counts.HessG += int64(n.all.Len())
	if n.lin != nil {
		n.lin.Apply(dst, nil, v)
		return
	}
	n.second.Products(nil, dst, nil, n.at.z, n.x, v, n.all)
}

func (n *newtonCG) direction(ctx context.Context, iter int, damping, tol float64, _ bool) error {
	if n.lin != nil && !n.formed {
		n.lin.Linearize(n.at.z, n.x, n.all)
		n.formed = true
	}
	// η_k = 0.9 (‖∇g_k‖/‖∇g_{k−1}‖)², not below 0.9 η_{k−1}² where that is above 0.1
	eta := .5
	if n.previous > 0 {
		ratio := n.at.norm / n.previous
		eta = .9 * ratio * ratio
		if safe := .9 * n.forcing * n.forcing; safe > .1 {
			eta = max(eta, safe)
		}
		eta = min(eta, .5)
	}
	n.forcing, n.previous = eta, n.at.norm
	eta = max(eta, min(.5, .5*tol/n.at.norm), 1e-12)
	for i, g := range n.at.grad {
		n.b[i] = -g
	}
	clear(n.dir)
	cg := linsolve.CG{MaxIter: min(2*n.d+20, 1000)}
	if damping > 0 {
		// Relative to the curvature along the gradient.
		n.MulVec(n.dir, n.b)
		cg.Damping = damping * math.Abs(vector.Dot(n.dir, n.b)) / (n.at.norm * n.at.norm)
		if !(cg.Damping > 0) {
			cg.Damping = damping
		}
		clear(n.dir)
	}
	var op linsolve.Operator = n
	limit := cg.MaxIter
	if n.blocks != nil {
		if price := n.blocks.price(n.all.Len()); n.blocks.known || price <= freeProducts {
			n.prepare(ctx, n.at.z)
			op = preconditioned{n, n.blocks}
		} else {
			cg.MaxIter = min(limit, price)
		}
	}
	res, err := cg.Solve(ctx, op, n.dir, n.b, eta, &n.work)
	if err == nil && !res.Converged && cg.MaxIter < limit {
		n.prepare(ctx, n.at.z)
		cg.MaxIter = limit
		_, err = cg.Solve(ctx, preconditioned{n, n.blocks}, n.dir, n.b, eta, &n.work)
	}
	if err == nil {
		return nil
	}
	var indefinite *linsolve.NotPositiveDefiniteError
	if errors.As(err, &indefinite) {
		// The iterates before the bad direction are descent directions; without one, steepest descent.
		if vector.Dot(n.dir, n.b) <= 0 {
			copy(n.dir, n.b)
		}
		return nil
	}
	return err
}

// preconditioned is the Hessian of a newtonCG with the preconditioner of its blocks.
type preconditioned struct {
	linsolve.Operator
	linsolve.Preconditioner
}

const (
	// maxBlock is the largest order of a block, and maxNumbers how many numbers all blocks may have.
	maxBlock   = 1024
	maxNumbers = 1 << 24
	// freeProducts is the price at which blocks are made without a try to do without them.
	freeProducts = 32
)

// blockInverse is the inverse of the diagonal blocks of ∇²zz g.
type blockInverse struct {
	of      bilevel.HessianBlocks
	size    int
	known   bool
	h       []float64           // the blocks; for size 1, the inverse of the diagonal
	inverse *rows.Dense         // the inverses, one below the other
	factors []linsolve.Cholesky // for each worker
}

// price is about how many products with n terms cost as much as making the inverses: products touch a block's
// coefficients 4n times, forming it costs n·size each, factoring and inverting it size².
func (p *blockInverse) price(n int) int {
	return p.size/4 + p.size*p.size/(4*n)
}

// Precondition is described at [linsolve.Preconditioner].
func (p *blockInverse) Precondition(dst, r []float64) {
	if p.size == 1 {
		vector.Mul(dst, p.h, r)
		return
	}
	n := len(dst) / p.size
	if team := pool.For(len(dst) * p.size); team.Size > 1 {
		team.Run(n, func(_, i int) { p.multiply(dst, r, i) })
		return
	}
	for i := range n {
		p.multiply(dst, r, i)
	}
}

// multiply sets block i of dst to its inverse times that of r.
func (p *blockInverse) multiply(dst, r []float64, i int) {
	lo, hi := i*p.size, (i+1)*p.size
	kernel.Scores(dst[lo:hi], p.inverse.Data[lo*p.inverse.Stride:hi*p.inverse.Stride], p.inverse.Stride, r[lo:hi])
}

// update makes the inverses; where ctx is done what it leaves is of no use.
func (p *blockInverse) update(ctx context.Context, z, x []float64, all bilevel.Batch) {
	p.known = true
	d := len(z)
	if p.h == nil {
		p.h = make([]float64, d*p.size)
		if p.size > 1 {
			p.inverse = rows.NewDense(d, p.size)
		}
	}
	if p.of.Blocks(ctx, p.h, z, x, all) != nil {
		return
	}
	top := 0.0
	for i := range d {
		if h := p.h[i*p.size+i%p.size]; finite(h) {
			top = max(top, h)
		}
	}
	if top == 0 {
		top = 1
	}
	if p.size == 1 {
		for i, h := range p.h {
			p.h[i] = 1 / max(h, 1e-12*top)
			if !finite(h) {
				p.h[i] = 1 / top
			}
		}
		return
	}
	team := pool.For(d * p.size * p.size)
	for len(p.factors) < team.Size {
		p.factors = append(p.factors, linsolve.Cholesky{})
	}
	team.Run(d/p.size, func(worker, i int) {
		if ctx.Err() == nil {
			p.invert(&p.factors[worker], i, top)
		}
	})
}

// invert inverts block i, with its diagonal raised as far as that needs; a block that is no use becomes a
// multiple of the identity.
func (p *blockInverse) invert(factor *linsolve.Cholesky, i int, top float64) {
	s := p.size
	h := p.h[i*s*s : (i+1)*s*s]
	ok := false
	for shift := 1e-12; shift <= 1 && !ok; shift *= 100 {
		ok = factor.Factorize(s, h) == nil && factor.Pivot() > 4*float64(s)*0x1p-52
		for j := range s {
			h[j*s+j] += shift * top
		}
	}
	inverse := p.inverse.Data[i*s*p.inverse.Stride : (i+1)*s*p.inverse.Stride]
	if ok {
		factor.Inverse(inverse, p.inverse.Stride)
		return
	}
	clear(inverse)
	for j := range s {
		inverse[j*p.inverse.Stride+j] = 1 / top
	}
}
