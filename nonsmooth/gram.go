package nonsmooth

import (
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/vector"
)

// Quadratic is a smooth part with ∇²g = A + D(x), A constant and D diagonal: a squared loss, with or without squares of
// the coefficients. Columns of A that were needed once are kept for all x. The losses of package model have the methods.
type Quadratic interface {
	// HessianColumns overwrites dst with the columns of A that set names, d numbers each, one after the other. It
	// returns false, without looking at dst, where g is not quadratic after all.
	HessianColumns(dst []float64, set []int) bool
	// HessianDiagonal overwrites dst (length d) with the diagonal of D(x).
	HessianDiagonal(dst, x []float64)
}

// mostGram is how many numbers the columns of all terms may have, 128 MiB.
const mostGram = 1 << 24

// gram minimises a quadratic g with an ℓ1 norm by covariance updates: a step along a coefficient changes the gradient by
// a column of A, and no row is looked at.
type gram struct {
	of       Quadratic
	column   [][]float64 // of A; nil until one is needed
	held     int         // numbers in them
	diagonal []float64   // of D(x)
	h        []float64   // of the working set
	all      []int
	block    block
}

func newGram(q Quadratic, d int) *gram {
	return &gram{of: q, column: make([][]float64, d), diagonal: make([]float64, d)}
}

// fetch has the columns of set, at most room numbers in all.
func (g *gram) fetch(set []int, room int) (fresh int, ok bool) {
	var missing []int
	for _, i := range set {
		if g.column[i] == nil {
			missing = append(missing, i)
		}
	}
	d := len(g.column)
	g.held += len(missing) * d
	if g.held > room {
		return 0, false
	}
	dst := make([]float64, len(missing)*d)
	if !g.of.HessianColumns(dst, missing) {
		return 0, false
	}
	for e, i := range missing {
		g.column[i] = dst[e*d : (e+1)*d : (e+1)*d]
	}
	return len(missing), true
}

// minimize improves t.at, of which value and norm are left as they were, until the subgradient is at most tol. It returns
// the number of working sets, and false where there is no room for columns.
func (g *gram) minimize(t *term, x []float64, tol float64, most int) (made int, ok bool) {
	at := &t.at
	g.of.HessianDiagonal(g.diagonal, x)
	norm := at.norm
	for ; norm > tol && made < most; made++ {
		set := t.working()
		fresh, ok := g.fetch(set, t.room)
		if !ok {
			return made, false
		}
		t.counts.HessG += int64(fresh) * int64(t.g.Samples())
		if !g.step(at, t.lambda, set, max(tol/2, 1e-4*norm)) { // it is at rounding
			clear(at.sub)
			return made + 1, true
		}
		subgradient(at.sub, at.grad, at.z, t.lambda)
		norm = vector.Norm(at.sub)
	}
	return made, true
}

// step minimises over the coefficients in set, and says whether it moved any.
func (g *gram) step(at *iterate, lambda []float64, set []int, tol float64) (moved bool) {
	n := len(set)
	if cap(g.h) < n*n {
		g.h = make([]float64, n*n)
	}
	h := g.h[:n*n]
	for e, i := range set {
		column := g.column[i]
		for f, j := range set[:e+1] {
			h[e*n+f] = column[j]
		}
		h[e*n+e] += g.diagonal[i]
	}
	raise(h, n)
	for len(g.all) < n {
		g.all = append(g.all, len(g.all))
	}
	b := &g.block
	b.form(g.all[:n], h, n)
	for e, i := range set {
		b.u[e], b.r[e], b.lambda[e] = at.z[i], at.grad[i], lambda[i]
	}
	b.minimize(tol)
	for e, i := range set {
		if s := b.u[e] - at.z[i]; s != 0 {
			kernel.Axpy(s, g.column[i], at.grad)
			at.grad[i] += s * g.diagonal[i]
			at.z[i], moved = b.u[e], true
		}
	}
	return moved
}
