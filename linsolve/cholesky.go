package linsolve

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
)

// Cholesky is the factor L of A = L Lᵀ, kept for many solves. The zero value is empty.
type Cholesky struct {
	// Serial keeps to the core of the caller, which has work for the others.
	Serial bool

	n, stride int
	l         []float64 // rows of the lower triangle, stride apart; zeros above it
	pivot     float64

	panel  []float64   // rows of a block of columns
	parts  [][]float64 // of the columns below it, for each worker
	sums   []float64   // of rows, for Inverse
	square []float64   // A⁻¹
}

const (
	cholColumns = 32 // columns that are found at a time
	cholRows    = 64 // of whose rows one worker finds so many at a time
)

var ones = func() (c [cholRows]float64) {
	for i := range c {
		c[i] = 1
	}
	return c
}()

// Factorize computes the factor of the symmetric n×n matrix whose lower triangle a (row-major) has; a is not
// changed. It allocates when n grows. The error is a [NotPositiveDefiniteError] or [ErrNonFinite].
//
// Golub and Van Loan, Matrix computations, 4th edition, section 4.2.5, by blocks of columns.
func (c *Cholesky) Factorize(n int, a []float64) error {
	if len(a) != n*n {
		panic(fmt.Sprintf("linsolve: %d numbers for a matrix of order %d", len(a), n))
	}
	c.n, c.stride, c.pivot = n, (n+7)&^7, 1
	if cap(c.l) < n*c.stride {
		c.l = make([]float64, n*c.stride)
	}
	c.l = c.l[:n*c.stride]
	for i := range n {
		row := c.l[i*c.stride : (i+1)*c.stride]
		for j, v := range a[i*n : i*n+i+1] {
			if !finite(v) {
				c.n = 0
				return ErrNonFinite
			}
			row[j] = v
		}
		clear(row[i+1:])
	}
	for j := 0; j < n; j += cholColumns {
		if !c.columns(j, min(j+cholColumns, n)) {
			c.n = 0
			return &NotPositiveDefiniteError{Curvature: math.NaN()}
		}
	}
	for j := range n {
		l := c.l[j*c.stride+j]
		c.pivot = min(c.pivot, l*l/a[j*n+j])
	}
	return nil
}

// columns turns the columns [lo, hi) of A into those of L, with L known to the left. It is false where A is not
// positive definite.
func (c *Cholesky) columns(lo, hi int) bool {
	// The block on the diagonal, row by row.
	for i := lo; i < hi; i++ {
		row := c.row(i)
		for j := lo; j < i; j++ {
			row[j] = (row[j] - kernel.Dot(row[:j], c.row(j)[:j])) / c.row(j)[j]
		}
		d := row[i] - kernel.Dot(row[:i], row[:i])
		if !(d > 0) {
			return false
		}
		row[i] = math.Sqrt(d)
	}
	if hi == c.n {
		return true
	}
	// The rows below it, many at a time.
	k := hi - lo
	c.panel = c.panel[:0]
	for j := lo; j < hi; j++ {
		c.panel = append(c.panel, c.row(j)[:lo]...)
	}
	team := pool.Team{Size: 1}
	if !c.Serial {
		team = pool.For((c.n - hi) * k * hi)
	}
	for len(c.parts) < team.Size {
		c.parts = append(c.parts, make([]float64, cholColumns*cholRows))
	}
	blocks := (c.n - hi + cholRows - 1) / cholRows
	if team.Size == 1 { // without a closure, which would be allocated
		for i := range blocks {
			c.below(0, lo, hi, i)
		}
		return true
	}
	team.Run(blocks, func(worker, i int) { c.below(worker, lo, hi, i) })
	return true
}

// below is columns for block i of the rows from hi on.
func (c *Cholesky) below(worker, lo, hi, i int) {
	first := hi + i*cholRows
	m, k := min(cholRows, c.n-first), hi-lo
	t := c.parts[worker][:k*m] // column by column
	kernel.ScoresK(t, c.l[first*c.stride:(first+m)*c.stride], c.stride, c.panel, k, lo, m)
	for j := range k {
		col := t[j*m : (j+1)*m]
		for r := range col {
			col[r] = c.l[(first+r)*c.stride+lo+j] - col[r]
		}
		row := c.row(lo + j)
		for q := range j {
			kernel.Axpy(-row[lo+q], t[q*m:(q+1)*m], col)
		}
		kernel.Scale(1/row[lo+j], col)
		for r, v := range col {
			c.l[(first+r)*c.stride+lo+j] = v
		}
	}
}

func (c *Cholesky) row(i int) []float64 { return c.l[i*c.stride : (i+1)*c.stride] }

// Pivot is the smallest of l_jj²/a_jj, which is 1 for a diagonal matrix and does not change when unknowns are
// scaled: where it is not well above n times the rounding unit, A is singular to rounding. It is 0 when there
// is no factor.
func (c *Cholesky) Pivot() float64 {
	if c.n == 0 {
		return 0
	}
	return c.pivot
}

// Order is n, or 0 when there is no factor.
func (c *Cholesky) Order() int { return c.n }

// Inverse writes A⁻¹ = L⁻ᵀL⁻¹, both triangles, to the rows of dst, which are stride numbers apart. The factor is lost.
func (c *Cholesky) Inverse(dst []float64, stride int) {
	n := c.n
	for lo := 0; lo < n; lo += cholColumns {
		c.invertRows(lo, min(lo+cholColumns, n))
	}
	if cap(c.square) < n*n {
		c.square = make([]float64, n*n)
	}
	square := c.square[:n*n]
	for lo := 0; lo < n; lo += cholRows { // rows that stay in cache
		hi := min(lo+cholRows, n)
		kernel.Gram(square, c.l[lo*c.stride:hi*c.stride], c.stride, n, ones[:hi-lo], 1, lo > 0)
	}
	for i := range n {
		for j, v := range square[i*n : i*n+i+1] {
			dst[i*stride+j], dst[j*stride+i] = v, v
		}
	}
	c.n = 0
}

// invertRows replaces the rows [lo, hi) of L by those of W = L⁻¹, with the rows above replaced already:
//
//	w_i = (e_i − Σ_{k<i} l_ik w_k)/l_ii.
func (c *Cholesky) invertRows(lo, hi int) {
	k := hi - lo
	c.panel = c.panel[:0]
	for i := lo; i < hi; i++ {
		c.panel = append(c.panel, c.row(i)[:lo]...)
	}
	c.sums = append(c.sums[:0], c.panel...) // as long
	kernel.CombineK(c.sums, c.l[:lo*c.stride], c.stride, c.panel, k, lo, lo, -1, 0)
	var l [cholColumns]float64
	for i := lo; i < hi; i++ {
		row := c.row(i)
		r := i - lo
		copy(l[:], row[lo:i+1])
		copy(row, c.sums[r*lo:(r+1)*lo])
		clear(row[lo:i])
		for q := range r {
			kernel.Axpy(-l[q], c.row(lo + q)[:i], row[:i])
		}
		row[i] = 1
		kernel.Scale(1/l[r], row[:i+1])
	}
}

// Solve overwrites x with A⁻¹b; x may be b.
func (c *Cholesky) Solve(x, b []float64) {
	if len(x) != c.n || len(b) != c.n {
		panic(fmt.Sprintf("linsolve: vectors of length %d and %d for a factor of order %d", len(x), len(b), c.n))
	}
	copy(x, b)
	for i := range x { // x ← L⁻¹b
		row := c.row(i)
		x[i] = (x[i] - kernel.Dot(row[:i], x[:i])) / row[i]
	}
	for i := c.n - 1; i >= 0; i-- { // x ← L⁻ᵀx
		row := c.row(i)
		x[i] /= row[i]
		kernel.Axpy(-x[i], row[:i], x[:i])
	}
}

// InverseFactor writes L⁻¹, zeros above the diagonal included, to the rows of dst, which are stride numbers apart. The
// factor is lost.
func (c *Cholesky) InverseFactor(dst []float64, stride int) {
	n := c.n
	for lo := 0; lo < n; lo += cholColumns {
		c.invertRows(lo, min(lo+cholColumns, n))
	}
	for i := range n {
		copy(dst[i*stride:i*stride+n], c.row(i)[:n])
	}
	c.n = 0
}
