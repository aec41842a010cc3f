package nonsmooth

import (
	"cmp"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
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
// by coordinate descent and, after as much work as that takes, by the linear system of the present signs, as far as
// it leaves them alone. For a squared
// loss this is coordinate descent with covariance updates, and one step solves a working set. W holds the support,
// the coefficients without penalty and those whose optimality is violated most, twice as many as the support at
// most.
//
// Assumes that g is convex. Cost per working set: one value and gradient of g and, on W alone, one Hessian (by
// bilevel.HessianMatrix or |W| products) and a few values and gradients for each step; without [Restricter] these pass
// over all coefficients. Memory: 8d + 2|W|² numbers and the columns of W.
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
	d, _ := c.Dims()
	return &newton{m: m, c: c, counts: counts, at: newIterate(d), weights: make([]float64, d), lambda: make([]float64, d)}, nil
}

type newton struct {
	m      ProxNewton
	c      *Composite
	counts *bilevel.Counts
	at     iterate
	w      workingSet

	weights, lambda []float64 // λ, and that of the problem on the way
}

// Minimize is described at [inner.Minimizer].
func (n *newton) Minimize(z, x []float64, tol float64) (inner.Result, error) {
	n.c.L1.Weights(n.weights, x)
	copy(n.lambda, n.weights)
	copy(n.at.z, z)
	var res inner.Result
	n.at.eval(n.c.G, x, n.lambda, n.counts)
	if !n.at.finite() {
		return n.at.result(res, tol), &inner.NonFiniteError{Value: n.at.value, GradNorm: n.at.norm}
	}
	// Where weights are small beside what they hold back, many signs would change, and slowly: larger weights first.
	least := math.Inf(1)
	for _, l := range n.weights {
		if l > 0 {
			least = min(least, l)
		}
	}
	if n.at.norm > tol {
		for c := floats.Norm(n.at.sub, math.Inf(1)) / shrink; c > least; c /= shrink {
			for i, l := range n.weights {
				if l > 0 {
					n.lambda[i] = max(l, c)
				}
			}
			n.solve(x, max(tol, c/10), &res)
		}
	}
	copy(n.lambda, n.weights)
	stuck := n.solve(x, tol, &res)
	copy(z, n.at.z)
	res = n.at.result(res, tol)
	if res.Rounding = stuck == atRounding; stuck != "" && !res.Rounding {
		return res, &inner.NotConvergedError{Iterations: res.Iterations, GradNorm: n.at.norm, Tol: tol, Reason: stuck}
	}
	return res, nil
}

// shrink is the factor between the weights of one problem on the way and those of the next.
const shrink = 5

// solve minimises with the weights n.lambda, to a subgradient of tol, and says why it did not get there.
func (n *newton) solve(x []float64, tol float64, res *inner.Result) (stuck string) {
	var last []int
	for {
		n.at.eval(n.c.G, x, n.lambda, n.counts)
		if n.at.norm <= tol {
			return ""
		}
		set := n.working()
		if stuck != "" && slices.Equal(set, last) {
			return stuck
		}
		last = set
		n.w.restrict(n.c.G, set)
		n.w.gather(n.at.z, n.lambda)
		var made int
		made, stuck = n.w.minimize(x, max(tol/2, 1e-4*n.at.norm), n.m.MaxIter-res.Iterations, n.counts)
		if made == 0 && stuck == "" { // solved already, but for the rounding of restricted sums
			stuck = atRounding
		}
		res.Iterations += made
		n.w.scatter(n.at.z)
	}
}

// working is the next working set.
func (n *newton) working() []int {
	var set, others []int
	for i, l := range n.lambda {
		switch {
		case n.at.z[i] != 0 || l == 0:
			set = append(set, i)
		case n.at.sub[i] != 0:
			others = append(others, i)
		}
	}
	if room := max(64, len(set)); len(others) > room {
		slices.SortFunc(others, func(i, j int) int {
			return cmp.Or(cmp.Compare(math.Abs(n.at.sub[j]), math.Abs(n.at.sub[i])), cmp.Compare(i, j))
		})
		others = others[:room]
	}
	set = append(set, others...)
	if 2*len(set) > len(n.lambda) {
		set = set[:0]
		for i := range n.lambda {
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
func (w *workingSet) minimize(x []float64, tol float64, maxIter int, counts *bilevel.Counts) (made int, stuck string) {
	w.at.eval(w.g, x, w.lambda, counts)
	for ; w.at.norm > tol; made++ {
		if made >= maxIter {
			return made, iterationLimit
		}
		w.model.form(w.g, w.at.z, x, counts)
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

// quadratic is ½(u−z)ᵀH(u−z) + ∇gᵀ(u−z) + Σλ_i|u_i| and its minimiser u.
type quadratic struct {
	n       int
	h       []float64 // n×n, full
	u, r    []float64 // the point, and the gradient of the smooth terms there
	support []int
	part    []float64 // H on the support
	rhs     []float64
	factor  linsolve.Cholesky
}

// form sets H to ∇²g at (z, x), with its diagonal raised by rounding so that no curvature vanishes.
func (q *quadratic) form(g bilevel.SecondOrder, z, x []float64, counts *bilevel.Counts) {
	n := len(z)
	if q.n != n {
		*q = quadratic{n: n, h: make([]float64, n*n), u: make([]float64, n), r: make([]float64, n), rhs: make([]float64, n)}
	}
	hessian(q.h, g, z, x)
	counts.HessG += int64(n) * int64(g.Samples())
	top := 0.0
	for i := range n {
		for j := range i {
			q.h[j*n+i] = q.h[i*n+j]
		}
		top = max(top, q.h[i*n+i])
	}
	if top == 0 {
		top = 1
	}
	for i := range n {
		q.h[i*n+i] += 1e-12 * top
	}
}

// hessian overwrites the lower triangle of dst with that of ∇²g.
func hessian(dst []float64, g bilevel.SecondOrder, z, x []float64) {
	all := bilevel.All(g)
	if h, ok := g.(bilevel.HessianMatrix); ok {
		h.Hessian(dst, z, x, all)
		return
	}
	n := len(z)
	unit := make([]float64, n)
	for i := range n {
		unit[i] = 1
		g.Products(nil, dst[i*n:(i+1)*n], nil, z, x, unit, all)
		unit[i] = 0
	}
}

// minimize sets u, starting at the point at. It is done when the subgradient is at most tol, or after many sweeps:
// less than the minimum is good too.
func (q *quadratic) minimize(at *iterate, lambda []float64, tol float64) {
	n := q.n
	copy(q.u, at.z)
	copy(q.r, at.grad)
	work := 0 // of coordinate descent since the last linear system
	for range 10000 {
		for i, l := range lambda {
			h, old := q.h[i*n+i], q.u[i]
			u := soft(old-q.r[i]/h, l/h) // the minimum along coordinate i
			if u == old {
				continue
			}
			q.u[i] = u
			floats.AddScaled(q.r, u-old, q.h[i*n:(i+1)*n])
			work += n
		}
		if q.solved(lambda, tol) {
			return
		}
		s := len(q.active(lambda))
		if work >= s*s*s/12 {
			q.system(lambda)
			work = 0
			if q.solved(lambda, tol) {
				return
			}
		}
	}
}

// solved says whether the subgradient at u is at most tol.
func (q *quadratic) solved(lambda []float64, tol float64) bool {
	subgradient(q.rhs, q.r, q.u, lambda)
	return floats.Norm(q.rhs, 2) <= tol
}

// active is the support of u: coefficients that are not zero or not penalised.
func (q *quadratic) active(lambda []float64) []int {
	q.support = q.support[:0]
	for i, u := range q.u {
		if u != 0 || lambda[i] == 0 {
			q.support = append(q.support, i)
		}
	}
	return q.support
}

// system moves u towards the minimiser for its signs, H_SS δ_S = −(r_S + λ_S sign u_S), as far as these stay.
func (q *quadratic) system(lambda []float64) {
	set, n := q.support, q.n
	s := len(set)
	if s == 0 {
		return
	}
	if cap(q.part) < s*s {
		q.part = make([]float64, s*s)
	}
	part, rhs := q.part[:s*s], q.rhs[:s]
	for a, i := range set {
		for b, j := range set[:a+1] {
			part[a*s+b] = q.h[i*n+j]
		}
		rhs[a] = -q.r[i]
		if q.u[i] > 0 {
			rhs[a] -= lambda[i]
		} else if q.u[i] < 0 {
			rhs[a] += lambda[i]
		}
	}
	if q.factor.Factorize(s, part) != nil {
		return
	}
	q.factor.Solve(rhs, rhs)
	step, leaves := 1.0, -1
	for a, i := range set {
		if lambda[i] == 0 || (q.u[i]+step*rhs[a])*q.u[i] > 0 {
			continue
		}
		step, leaves = -q.u[i]/rhs[a], i
	}
	for a, i := range set {
		u := q.u[i] + step*rhs[a]
		if i == leaves {
			u = 0
		}
		floats.AddScaled(q.r, u-q.u[i], q.h[i*n:(i+1)*n])
		q.u[i] = u
	}
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
	return &part{SecondOrder: g, set: set, z: make([]float64, d), v: make([]float64, d), dz: make([]float64, d), hv: make([]float64, d)}
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
