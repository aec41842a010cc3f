package nonsmooth

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/internal/vector"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// Restricter is a smooth part that can be made a function of some coefficients, the others being zero. A problem of
// few coefficients is then as cheap as it is small. The losses of package model are restricters.
type Restricter interface {
	// Restrict returns g as a function of the coefficients in super, in increasing order: those of set, which is
	// not empty and increasing too, and maybe more. x is what it was. A nil super says that it cannot be done.
	Restrict(set []int) (g bilevel.SecondOrder, super []int)
}

// ProxNewton minimises by proximal Newton steps with a line search, on growing working sets. A step minimises the
// quadratic model of g plus the ℓ1 norm,
//
//	∇g_Wᵀδ + ½δᵀ∇²g_WW δ + Σ_{i∈W} λ_i|z_i + δ_i|,
//
// by coordinate descent and, after as much work as that takes, by the linear system of the present signs, with a line
// search across the kinks of the model; coefficients that the Hessian does not couple, such as those of two folds, are
// apart. For a squared loss this is coordinate descent with covariance updates, and one step solves a working set. W
// holds the support, the coefficients without penalty and those whose optimality is violated most, twice as many as the
// support at most. Where weights are far below what they hold back, problems with larger ones come first. The terms of a
// [bilevel.Divisible] g, such as the models of folds, are solved apart, on all cores.
//
// For a [Quadratic] g the columns of the Hessian that were needed once are kept with the [Composite], up to 2²⁴ numbers:
// along a path of weights, steps change gradient and value by them, and no row is looked at but where rounding could
// matter. All coefficients are looked at after each working set, which is what a screening rule would save.
//
// Assumes that g is convex. Cost per working set, of other g: one value and gradient of g and, on W alone, one Hessian (by
// bilevel.HessianMatrix or |W| products) and a few values and gradients for each step; without [Restricter] these pass
// over all coefficients. Memory: 8d + 3|W|² numbers and the columns of W.
//
// Friedman, Hastie, Tibshirani, Regularization paths for generalized linear models via coordinate descent, 2010,
// sections 2.2 and 3; Lee, Sun, Saunders, Proximal Newton-type methods for minimizing composite functions, 2014,
// algorithm 1; working sets: Massias, Gramfort, Salmon, Celer: a fast solver for the lasso with dual extrapolation,
// 2018, algorithm 3.
type ProxNewton struct {
	// MaxIter bounds the steps. The default is 500.
	MaxIter int
}

// Start is described at [Solver].
func (m ProxNewton) Start(c *Composite, counts *bilevel.Counts) (inner.Minimizer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	if m.MaxIter == 0 {
		m.MaxIter = 500
	}
	pieces := c.divide()
	if len(pieces) == 1 {
		return &whole{newTerm(m, pieces[0], counts), c}, nil
	}
	d, _ := c.Dims()
	n := &divided{c: c, counts: counts, at: newIterate(d), lambda: make([]float64, d)}
	for _, p := range pieces {
		n.terms = append(n.terms, newTerm(m, p, &bilevel.Counts{}))
	}
	return n, nil
}

// piece is a term of g, a function of z[lo:hi].
type piece struct {
	g      bilevel.SecondOrder
	lo, hi int
	gram   *gram // nil unless g is quadratic, and where that would be too large
}

// divide returns the terms of the smooth part.
func (c *Composite) divide() []*piece {
	if c.pieces != nil {
		return c.pieces
	}
	var parts []bilevel.SecondOrder
	if of, ok := c.G.(bilevel.Divisible); ok {
		parts = of.Parts()
	}
	if len(parts) < 2 {
		parts = []bilevel.SecondOrder{c.G}
	}
	lo := 0
	for _, g := range parts {
		d, _ := g.Dims()
		p := &piece{g: g, lo: lo, hi: lo + d}
		if q, ok := g.(Quadratic); ok && q.HessianColumns(nil, nil) {
			p.gram = newGram(q, d, mostGram/len(parts))
		}
		c.pieces = append(c.pieces, p)
		lo += d
	}
	return c.pieces
}

// whole minimises a g of one term.
type whole struct {
	*term
	c *Composite
}

// Minimize is described at [inner.Minimizer].
func (n *whole) Minimize(ctx context.Context, z, x []float64, tol float64) (inner.Result, error) {
	n.c.L1.Weights(n.weights, x)
	return n.minimize(ctx, z, x, tol)
}

// divided minimises a sum of functions of parts of z, one by one.
type divided struct {
	c      *Composite
	counts *bilevel.Counts
	terms  []*term
	lambda []float64
	at     iterate
}

// Minimize is described at [inner.Minimizer].
func (n *divided) Minimize(ctx context.Context, z, x []float64, tol float64) (inner.Result, error) {
	n.c.L1.Weights(n.lambda, x)
	k := len(n.terms)
	results, errs := make([]inner.Result, k), make([]error, k)
	pool.For(math.MaxInt).Run(k, func(_, i int) {
		t := n.terms[i]
		copy(t.weights, n.lambda[t.lo:t.hi])
		results[i], errs[i] = t.minimize(ctx, z[t.lo:t.hi], x, tol/math.Sqrt(float64(k)))
	})
	var res inner.Result
	var failed error
	n.at.value = 0
	for i, t := range n.terms {
		r := results[i]
		copy(n.at.sub[t.lo:], r.Grad)
		n.at.value += r.Value
		res.Iterations = max(res.Iterations, r.Iterations)
		res.Rounding = res.Rounding || r.Rounding
		n.counts.ValueG += t.counts.ValueG / int64(k) // a pass of all models is one over the samples
		n.counts.GradG += t.counts.GradG / int64(k)
		n.counts.HessG += t.counts.HessG / int64(k)
		*t.counts = bilevel.Counts{}
		if failed == nil {
			failed = errs[i]
		}
	}
	n.at.norm = vector.Norm(n.at.sub)
	res = n.at.result(res, tol)
	var unsolved *inner.NotConvergedError
	if errors.As(failed, &unsolved) {
		failed = &inner.NotConvergedError{Iterations: res.Iterations, GradNorm: n.at.norm, Tol: tol, Reason: unsolved.Reason}
	}
	return res, failed
}

// term minimises a g that is not a sum of functions of parts of z, or one of them.
type term struct {
	*piece
	m      ProxNewton
	counts *bilevel.Counts
	at     iterate
	w      workingSet

	weights, lambda []float64 // λ, and that of the problem on the way
}

func newTerm(m ProxNewton, p *piece, counts *bilevel.Counts) *term {
	d := p.hi - p.lo
	return &term{piece: p, m: m, counts: counts, at: newIterate(d), weights: make([]float64, d),
		lambda: make([]float64, d)}
}

// gradient overwrites dst with the gradient of the smooth part at the last iterate.
func (t *term) gradient(dst []float64) { copy(dst, t.at.grad) }

func (n *divided) gradient(dst []float64) {
	for _, t := range n.terms {
		t.gradient(dst[t.lo:t.hi])
	}
}

// minimize minimises with t.weights.
func (t *term) minimize(ctx context.Context, z, x []float64, tol float64) (inner.Result, error) {
	copy(t.lambda, t.weights)
	copy(t.at.z, z)
	var res inner.Result
	t.look(x)
	if !t.at.finite() {
		return t.at.result(res, tol), &inner.NonFiniteError{Value: t.at.value, GradNorm: t.at.norm}
	}
	// Where weights are small beside what they hold back, many signs would change, and slowly: larger weights first.
	least := math.Inf(1)
	for _, l := range t.weights {
		if l > 0 {
			least = min(least, l)
		}
	}
	if t.at.norm > tol {
		for c := floats.Norm(t.at.sub, math.Inf(1)) / shrink; c > least; c /= shrink {
			for i, l := range t.weights {
				if l > 0 {
					t.lambda[i] = max(l, c)
				}
			}
			t.approach(ctx, x, max(tol, c/10), &res)
		}
	}
	copy(t.lambda, t.weights)
	if t.gram != nil {
		t.approach(ctx, x, tol/2, &res)
	}
	stuck := ""
	if t.gram == nil || !t.gram.sure(t, tol/2) {
		stuck = t.solve(ctx, x, tol, &res)
	}
	copy(z, t.at.z)
	res = t.at.result(res, tol)
	if err := ctx.Err(); err != nil {
		return res, err
	}
	if res.Rounding = stuck == atRounding; stuck != "" && !res.Rounding {
		return res, &inner.NotConvergedError{Iterations: res.Iterations, GradNorm: t.at.norm, Tol: tol, Reason: stuck}
	}
	return res, nil
}

// look fills in what is known at the iterate, by columns of the Hessian where they are kept, which is cheaper than by
// rows.
func (t *term) look(x []float64) {
	if t.gram != nil && t.gram.look(t, x) {
		return
	}
	t.at.eval(t.g, x, t.lambda, t.counts)
}

// approach is solve without a look at rows where columns are kept.
func (t *term) approach(ctx context.Context, x []float64, tol float64, res *inner.Result) {
	if t.gram != nil {
		made, ok := t.gram.minimize(ctx, t, x, tol, t.m.MaxIter-res.Iterations)
		if res.Iterations += made; ok {
			return
		}
		t.gram = nil
	}
	t.solve(ctx, x, tol, res)
}

// shrink is the factor between the weights of one problem on the way and those of the next.
const shrink = 30

// solve minimises with the weights t.lambda, to a subgradient of tol, and says why it did not get there.
func (t *term) solve(ctx context.Context, x []float64, tol float64, res *inner.Result) (stuck string) {
	var last []int
	before := math.Inf(1) // what columns took for solved
	for {
		t.at.eval(t.g, x, t.lambda, t.counts)
		if t.at.norm <= tol {
			return ""
		}
		if err := ctx.Err(); err != nil {
			return err.Error()
		}
		if t.gram != nil {
			if t.at.norm > before/2 {
				return atRounding
			}
			norm := t.at.norm
			made, ok := t.gram.minimize(ctx, t, x, tol/2, t.m.MaxIter-res.Iterations)
			res.Iterations += made
			switch {
			case !ok:
				t.gram = nil
			case made == 0:
				return iterationLimit
			case t.at.norm <= tol/2:
				before = norm
			}
			continue
		}
		set := t.working()
		if stuck != "" && slices.Equal(set, last) {
			return stuck
		}
		last = set
		t.w.restrict(t.g, set)
		t.w.gather(t.at.z, t.lambda)
		var made int
		made, stuck = t.w.minimize(ctx, x, max(tol/2, 1e-4*t.at.norm), t.m.MaxIter-res.Iterations, t.counts)
		if made == 0 && stuck == "" { // solved already, but for the rounding of restricted sums
			stuck = atRounding
		}
		res.Iterations += made
		t.w.scatter(t.at.z)
	}
}

// working is the next working set.
func (t *term) working() []int {
	var set, others []int
	for i, l := range t.lambda {
		switch {
		case t.at.z[i] != 0 || l == 0:
			set = append(set, i)
		case t.at.sub[i] != 0:
			others = append(others, i)
		}
	}
	if room := max(64, len(set)); len(others) > room {
		slices.SortFunc(others, func(i, j int) int {
			return cmp.Or(cmp.Compare(math.Abs(t.at.sub[j]), math.Abs(t.at.sub[i])), cmp.Compare(i, j))
		})
		others = others[:room]
	}
	set = append(set, others...)
	if 2*len(set) > len(t.lambda) {
		set = set[:0]
		for i := range t.lambda {
			set = append(set, i)
		}
		return set
	}
	slices.Sort(set)
	return set
}

// workingSet is the problem of some coefficients, the others being zero.
type workingSet struct {
	set []int // as asked for
	g   bilevel.SecondOrder
	in  []int // the places of its coefficients

	at, trial iterate
	lambda    []float64
	model     quadratic
}

// restrict makes w the problem of the coefficients in set.
func (w *workingSet) restrict(g bilevel.SecondOrder, set []int) {
	if slices.Equal(set, w.set) && w.g != nil {
		return
	}
	w.set = set
	w.g, w.in = restrictTo(g, set)
	w.at, w.trial, w.lambda = newIterate(len(w.in)), newIterate(len(w.in)), make([]float64, len(w.in))
}

// restrictTo is g as a function of the coefficients in the second result, which holds set.
func restrictTo(g bilevel.SecondOrder, set []int) (bilevel.SecondOrder, []int) {
	if d, _ := g.Dims(); len(set) == d {
		return g, set
	}
	if r, ok := g.(Restricter); ok {
		if sub, super := r.Restrict(set); super != nil {
			return sub, super
		}
	}
	return newPart(g, set), set
}

func (w *workingSet) gather(z, lambda []float64) {
	for e, i := range w.in {
		w.at.z[e], w.lambda[e] = z[i], lambda[i]
	}
}

func (w *workingSet) scatter(z []float64) {
	for e, i := range w.in {
		z[i] = w.at.z[e]
	}
}

const (
	atRounding     = "rounding"
	iterationLimit = "iteration limit"
	noDecrease     = "no decrease along the search direction"
)

// minimize improves w.at.z until its subgradient is at most tol. It returns the number of steps and, where that was not
// reached, why.
func (w *workingSet) minimize(
	ctx context.Context, x []float64, tol float64, maxIter int, counts *bilevel.Counts,
) (made int, stuck string) {
	w.at.eval(w.g, x, w.lambda, counts)
	for ; w.at.norm > tol; made++ {
		if made >= maxIter {
			return made, iterationLimit
		}
		if err := w.model.form(ctx, w.g, w.at.z, x, counts); err != nil {
			return made, err.Error()
		}
		w.model.minimize(&w.at, w.lambda, tol/4)
		decrease := 0.0 // of the model without its quadratic term
		for i, u := range w.model.u {
			decrease -= w.at.grad[i]*(u-w.at.z[i]) + w.lambda[i]*(math.Abs(u)-math.Abs(w.at.z[i]))
		}
		if !(decrease > 0) {
			return made, atRounding
		}
		if stuck := w.search(x, decrease, counts); stuck != "" {
			return made, stuck
		}
	}
	return made, ""
}

// search moves towards the minimiser of the model, by halves until
//
//	F(z + αδ) ≤ F(z) − 1e-4 α·decrease
//
// or, where values differ by rounding only, until the subgradient is smaller.
func (w *workingSet) search(x []float64, decrease float64, counts *bilevel.Counts) (stuck string) {
	alpha := 1.0
	for range 60 {
		for i, u := range w.model.u {
			w.trial.z[i] = u // exactly zero where u is
			if alpha < 1 {
				w.trial.z[i] = w.at.z[i] + alpha*(u-w.at.z[i])
			}
		}
		w.trial.eval(w.g, x, w.lambda, counts)
		if w.trial.finite() {
			within := w.trial.value <= w.at.value+noise(w.at.value)
			if w.trial.value <= w.at.value-1e-4*alpha*decrease || within && w.trial.norm < .9*w.at.norm {
				// Where F does not fall by more than rounding the subgradient has to.
				if within && w.trial.value > w.at.value-noise(w.at.value) && w.trial.norm >= w.at.norm {
					return atRounding
				}
				w.at, w.trial = w.trial, w.at
				return ""
			}
		}
		if alpha*decrease <= 1e3*noise(w.at.value) && w.trial.finite() {
			return atRounding
		}
		alpha /= 2
	}
	return noDecrease
}

// quadratic is ½(u−z)ᵀH(u−z) + ∇gᵀ(u−z) + Σλ_i|u_i| and its minimiser u. It is a sum over blocks, sets of coefficients
// that H does not couple, such as the folds of a cross-validation.
type quadratic struct {
	n      int
	h      []float64 // n×n
	u      []float64
	blocks []block
}

// block is the part of a quadratic that depends on some coefficients alone. Its vectors have their order.
type block struct {
	of          []int
	h           []float64 // full
	u, r        []float64 // the point, and the gradient of the smooth terms there
	lambda      []float64
	support     []int
	part        []float64 // H on the support
	sub         []float64 // the subgradient
	slope, step []float64 // on the support
	kinks       []kinkAt
	factor      linsolve.Cholesky
}

// form sets H to ∇²g at (z, x), with its diagonal raised by rounding so that no curvature vanishes.
func (q *quadratic) form(
	ctx context.Context, g bilevel.SecondOrder, z, x []float64, counts *bilevel.Counts,
) error {
	n := len(z)
	if q.n != n {
		*q = quadratic{n: n, h: make([]float64, n*n), u: make([]float64, n)}
	}
	if err := hessian(ctx, q.h, g, z, x); err != nil {
		return err
	}
	counts.HessG += int64(n) * int64(g.Samples())
	raise(q.h, n)
	sets := components(q.h, n)
	if len(q.blocks) != len(sets) {
		q.blocks = make([]block, len(sets))
	}
	for k, of := range sets {
		q.blocks[k].form(of, q.h, n)
	}
	return nil
}

// raise raises the diagonal of the n×n matrix h by rounding, each element by its own, as columns may differ in scale.
func raise(h []float64, n int) {
	top := 0.0
	for i := range n {
		top = max(top, h[i*n+i])
	}
	if top == 0 {
		top = 1
	}
	for i := range n {
		if h[i*n+i] > 0 {
			h[i*n+i] *= 1 + 1e-12
		} else {
			h[i*n+i] = 1e-12 * top
		}
	}
}

// components are the finest sets of indices that the symmetric n×n matrix, whose lower triangle h has, does not couple.
func components(h []float64, n int) [][]int {
	left := make([]int, n) // not reached yet, in increasing order
	for i := range left {
		left[i] = i
	}
	var sets [][]int
	for len(left) > 0 {
		set := left[:1:1]
		left = left[1:]
		for k := 0; k < len(set) && len(left) > 0; k++ {
			i := set[k]
			rest := left[:0:0]
			for at, j := range left {
				if h[max(i, j)*n+min(i, j)] == 0 {
					rest = append(rest, j)
				} else {
					set = append(set, left[at])
				}
			}
			left = rest
		}
		slices.Sort(set)
		sets = append(sets, set)
	}
	return sets
}

// form makes b the block of the coefficients in of, of the n×n matrix whose lower triangle h has.
func (b *block) form(of []int, h []float64, n int) {
	m := len(of)
	if len(b.of) != m {
		*b = block{u: make([]float64, m), r: make([]float64, m), lambda: make([]float64, m), sub: make([]float64, m),
			slope: make([]float64, m), step: make([]float64, m)}
		if m < n {
			b.h = make([]float64, m*m)
		}
	}
	if b.of = of; m == n {
		b.h = h
	}
	for e, i := range of {
		for f, j := range of[:e+1] {
			b.h[e*m+f] = h[i*n+j]
			b.h[f*m+e] = h[i*n+j]
		}
	}
}

// hessian overwrites the lower triangle of dst with that of ∇²g.
func hessian(ctx context.Context, dst []float64, g bilevel.SecondOrder, z, x []float64) error {
	all := bilevel.All(g)
	if h, ok := g.(bilevel.HessianMatrix); ok {
		return h.Hessian(ctx, dst, z, x, all)
	}
	n := len(z)
	unit := make([]float64, n)
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		unit[i] = 1
		g.Products(nil, dst[i*n:(i+1)*n], nil, z, x, unit, all)
		unit[i] = 0
	}
	return nil
}

// minimize sets u, starting at the point at. It is done when the subgradient is at most tol, or after many sweeps:
// less than the minimum is good too.
func (q *quadratic) minimize(at *iterate, lambda []float64, tol float64) {
	for k := range q.blocks {
		b := &q.blocks[k]
		for e, i := range b.of {
			b.u[e], b.r[e], b.lambda[e] = at.z[i], at.grad[i], lambda[i]
		}
		b.minimize(tol * math.Sqrt(float64(len(b.of))/float64(q.n)))
		for e, i := range b.of {
			q.u[i] = b.u[e]
		}
	}
}

// minimize is that of the quadratic.
func (b *block) minimize(tol float64) {
	n := len(b.of)
	work := 0 // of coordinate descent since the last linear system
	for range 10000 {
		for i, l := range b.lambda {
			h, old := b.h[i*n+i], b.u[i]
			u := soft(old-b.r[i]/h, l/h) // the minimum along coordinate i
			if u == old {
				continue
			}
			b.u[i] = u
			kernel.Axpy(u-old, b.h[i*n:(i+1)*n], b.r)
			work += n
		}
		if b.solved(tol) {
			return
		}
		s := len(b.active())
		if work >= s*s*s/12 {
			b.system()
			work = 0
			if b.solved(tol) {
				return
			}
		}
	}
}

// solved says whether the subgradient at u is at most tol.
func (b *block) solved(tol float64) bool {
	subgradient(b.sub, b.r, b.u, b.lambda)
	return vector.Norm(b.sub) <= tol
}

// active is the support of u: coefficients that are not zero or not penalised.
func (b *block) active() []int {
	b.support = b.support[:0]
	for i, u := range b.u {
		if u != 0 || b.lambda[i] == 0 {
			b.support = append(b.support, i)
		}
	}
	return b.support
}

// system moves u towards the minimiser for its signs, δ with H_SS δ_S = −(r_S + λ_S sign u_S), to the minimum on the
// line. The quadratic is ½‖·‖² in H along δ with a kink wherever a coefficient vanishes,
//
//	φ′(t) = (t − 1)δᵀHδ + 2Σ λ_i|δ_i| over i that changed sign before t.
func (b *block) system() {
	set, n := b.support, len(b.of)
	s := len(set)
	if s == 0 {
		return
	}
	if cap(b.part) < s*s {
		b.part = make([]float64, s*s)
	}
	part, slope, step := b.part[:s*s], b.slope[:s], b.step[:s]
	for e, i := range set {
		for f, j := range set[:e+1] {
			part[e*s+f] = b.h[i*n+j]
		}
		slope[e] = -b.r[i]
		if b.u[i] > 0 {
			slope[e] -= b.lambda[i]
		} else if b.u[i] < 0 {
			slope[e] += b.lambda[i]
		}
	}
	if b.factor.Factorize(s, part) != nil {
		return
	}
	b.factor.Solve(step, slope)
	curvature := kernel.Dot(step, slope)
	b.kinks = b.kinks[:0]
	for e, i := range set {
		if t := -b.u[i] / step[e]; b.lambda[i] != 0 && t > 0 && t <= 1 {
			b.kinks = append(b.kinks, kinkAt{t, e})
		}
	}
	slices.SortFunc(b.kinks, func(k, l kinkAt) int { return cmp.Or(cmp.Compare(k.t, l.t), cmp.Compare(k.e, l.e)) })
	t, crossed, zero := 1.0, 0.0, -1
	for _, k := range b.kinks {
		if (k.t-1)*curvature+crossed >= 0 {
			break
		}
		crossed += 2 * b.lambda[set[k.e]] * math.Abs(step[k.e])
		t, zero = 1-crossed/curvature, -1
		if t <= k.t {
			t, zero = k.t, k.e
			break
		}
	}
	for e, i := range set {
		u := b.u[i] + t*step[e]
		if e == zero {
			u = 0
		}
		kernel.Axpy(u-b.u[i], b.h[i*n:(i+1)*n], b.r)
		b.u[i] = u
	}
}

// kinkAt is where on the line, in its steps, the e-th coefficient vanishes.
type kinkAt struct {
	t float64
	e int
}

// part is g as a function of some coefficients, the others being zero, by passes over all.
type part struct {
	bilevel.SecondOrder
	set    []int
	z, v   []float64
	dz, hv []float64
}

func newPart(g bilevel.SecondOrder, set []int) *part {
	d, _ := g.Dims()
	return &part{SecondOrder: g, set: set, z: make([]float64, d), v: make([]float64, d), dz: make([]float64, d),
		hv: make([]float64, d)}
}

// Dims returns the lengths of the part of z and of x.
func (o *part) Dims() (d, p int) {
	_, p = o.SecondOrder.Dims()
	return len(o.set), p
}

func (o *part) spread(dst, src []float64) []float64 {
	for e, i := range o.set {
		dst[i] = src[e]
	}
	return dst
}

// Value is g.
func (o *part) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.SecondOrder.Value(o.spread(o.z, z), x, b)
}

// Grad overwrites dz and dx.
func (o *part) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	full := o.dz
	if dz == nil {
		full = nil
	}
	o.SecondOrder.Grad(full, dx, o.spread(o.z, z), x, b)
	for e := range dz {
		dz[e] = full[o.set[e]]
	}
}

// Products overwrites dz, hv and cv.
func (o *part) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	fdz, fhv := o.dz, o.hv
	if dz == nil {
		fdz = nil
	}
	if hv == nil {
		fhv = nil
	}
	if v != nil {
		v = o.spread(o.v, v)
	}
	o.SecondOrder.Products(fdz, fhv, cv, o.spread(o.z, z), x, v, b)
	for e := range dz {
		dz[e] = fdz[o.set[e]]
	}
	for e := range hv {
		hv[e] = fhv[o.set[e]]
	}
}
