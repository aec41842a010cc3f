package nonsmooth

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/vector"
)

// Quadratic is a smooth part g(z, x) = c + bᵀz + ½zᵀ(A + D(x))z with a diagonal D: a squared loss, with or without
// squares of the coefficients. Columns of A that were needed once are kept for all x. The losses of package model have
// the methods.
type Quadratic interface {
	// HessianColumns overwrites dst with the columns of A that set names, d numbers each, one after the other. It
	// returns false, without looking at dst, where g is not quadratic after all.
	HessianColumns(dst []float64, set []int) bool
	// HessianDiagonal overwrites dst (length d) with the diagonal of D(x).
	HessianDiagonal(dst, x []float64)
}

// mostGram is how many numbers the columns of all terms may have, 128 MiB.
const mostGram = 1 << 24

// gram minimises a quadratic g with an ℓ1 norm by covariance updates: a step along a coefficient changes the gradient
// by a column of A, and no row is looked at.
type gram struct {
	of       Quadratic
	room     int         // numbers that columns may have
	column   [][]float64 // of A; nil until one is needed
	held     int         // numbers in them
	diagonal []float64   // of D(x)
	b        []float64   // ∇g at z = 0; nil until it is needed
	c        float64     // g there
	h        []float64   // of the working set
	all      []int
	block    block
}

func newGram(q Quadratic, d, room int) *gram {
	return &gram{of: q, room: room, column: make([][]float64, d), diagonal: make([]float64, d)}
}

// fetch has the columns of set. It says how many are new, and false where there is no room for them.
func (g *gram) fetch(set []int) (fresh int, ok bool) {
	var missing []int
	for _, i := range set {
		if g.column[i] == nil {
			missing = append(missing, i)
		}
	}
	d := len(g.column)
	if g.held += len(missing) * d; g.held > g.room {
		return 0, false
	}
	dst := make([]float64, len(missing)*d)
	if len(missing) > 0 && !g.of.HessianColumns(dst, missing) {
		return 0, false
	}
	for e, i := range missing {
		g.column[i] = dst[e*d : (e+1)*d : (e+1)*d]
	}
	return len(missing), true
}

// has is fetch for t, which counts.
func (g *gram) has(t *term, set []int) bool {
	fresh, ok := g.fetch(set)
	t.counts.HessG += int64(fresh) * int64(t.g.Samples())
	return ok
}

// look fills in what is known at the iterate of t; false where there is no room for columns.
func (g *gram) look(t *term, x []float64) bool {
	at := &t.at
	var support []int
	for i, z := range at.z {
		if z != 0 {
			support = append(support, i)
		}
	}
	if !g.has(t, support) {
		t.gram = nil
		return false
	}
	if g.b == nil {
		g.b = make([]float64, len(at.z))
		g.c = bilevel.ValueGrad(t.g, g.b, nil, make([]float64, len(at.z)), x, bilevel.All(t.g))
		t.counts.ValueG += int64(t.g.Samples())
		t.counts.GradG += int64(t.g.Samples())
	}
	if x != nil { // else it is the same as before
		g.of.HessianDiagonal(g.diagonal, x)
	}
	copy(at.grad, g.b)
	for _, i := range support {
		kernel.Axpy(at.z[i], g.column[i], at.grad)
		at.grad[i] += at.z[i] * g.diagonal[i]
	}
	at.value = g.c + weighted(t.lambda, at.z)
	for _, i := range support {
		at.value += at.z[i] * (g.b[i] + at.grad[i]) / 2
	}
	at.norms(t.lambda)
	return true
}

// sure says that the subgradient of t is at most tol though columns have rounding errors, and fills in the value.
func (g *gram) sure(t *term, tol float64) bool {
	if !g.look(t, nil) || !(t.at.norm <= tol) {
		return false
	}
	top, sum := 0.0, 0.0
	for i, z := range t.at.z {
		if z != 0 {
			top, sum = max(top, g.column[i][i]), sum+math.Abs(z)
		}
	}
	const errors = 1e3 * 0x1p-52
	return errors*(vector.Norm(g.b)+math.Sqrt(float64(len(g.b)))*top*sum) <= tol
}

// minimize improves t.at, of which the gradient is known, until the subgradient is at most tol; it leaves the value as
// it was. It returns the number of working sets, and false where there is no room for columns.
func (g *gram) minimize(ctx context.Context, t *term, x []float64, tol float64, most int) (made int, ok bool) {
	at := &t.at
	g.of.HessianDiagonal(g.diagonal, x)
	for at.norms(t.lambda); at.norm > tol && made < most && ctx.Err() == nil; made++ {
		set := t.working()
		if !g.has(t, set) {
			return made, false
		}
		if !g.step(at, t.lambda, set, max(tol/2, 1e-4*at.norm)) { // it is at rounding
			at.norm = 0
			return made + 1, true
		}
		at.norms(t.lambda)
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
	g.part(h, set)
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

// part overwrites h with the Hessian of the coefficients in set, whose columns are there.
func (g *gram) part(h []float64, set []int) {
	n := len(set)
	for e, i := range set {
		column, row := g.column[i], h[e*n:(e+1)*n]
		for f, j := range set {
			row[f] = column[j]
		}
		row[e] += g.diagonal[i]
	}
}
