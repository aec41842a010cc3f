package linsolve

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// Direct solves a symmetric positive definite system by Cholesky factorisation, for small n.
//
// The matrix is written down by the operator if it is a [Matrix], otherwise by n products with unit vectors.
// One product gives the true residual, and where it misses the tolerance one step of iterative refinement
// follows. The start x is not used.
//
// Cost: n + 1 products and n³/3 multiplications. Memory: 2n² numbers.
type Direct struct {
	// Damping δ ≥ 0 solves (A + δI)x = b instead, for an A that is singular or nearly so.
	Damping float64
}

var _ Solver = Direct{}

// Solve is described at [Solver]. The default tolerance is 1e-10.
func (c Direct) Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error) {
	s, over, err := begin(op, x, b, tol, 0, 0, 0, c.Damping)
	if over {
		return s.res, err
	}
	if w == nil {
		w = &Workspace{}
	}
	n := len(b)
	r, a := w.Vector(0, n), w.Vector(1, n*n)
	if err := form(ctx, a, r, x, op); err != nil {
		return s.res, err
	}
	for j := range n {
		a[j*n+j] += s.damping
	}
	s.res.Products, s.res.Residual = n, norm(b)
	if err := w.factor.Factorize(n, a); err != nil {
		clear(x)
		return s.res, err
	}
	return s.factored(&w.factor, r)
}

// form writes the lower triangle of op to a; column and unit are scratch.
func form(ctx context.Context, a, column, unit []float64, op Operator) error {
	if m, ok := op.(Matrix); ok {
		return m.Matrix(ctx, a)
	}
	n := len(unit)
	clear(unit)
	for j := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		unit[j] = 1
		op.MulVec(column, unit)
		unit[j] = 0
		for i := j; i < n; i++ {
			a[i*n+j] = column[i]
		}
	}
	return nil
}

// Cholesky is the factor L of A = L Lᵀ, kept for many solves. The zero value is empty.
type Cholesky struct {
	n     int
	data  []float64
	pivot float64
}

// Factorize computes the factor of the symmetric n×n matrix whose lower triangle a (row-major) has; a is not
// changed. It allocates when n grows. The error is a [NotPositiveDefiniteError] or [ErrNonFinite].
func (c *Cholesky) Factorize(n int, a []float64) error {
	if len(a) != n*n {
		panic(fmt.Sprintf("linsolve: %d numbers for a matrix of order %d", len(a), n))
	}
	if cap(c.data) < n*n {
		c.data = make([]float64, n*n)
	}
	c.n, c.data, c.pivot = n, c.data[:n*n], 1
	for i := range n {
		for j, v := range a[i*n : i*n+i+1] {
			if !finite(v) {
				c.n = 0
				return ErrNonFinite
			}
			c.data[i*n+j] = v
		}
	}
	_, ok := lapack64.Potrf(blas64.Symmetric{Uplo: blas.Lower, N: n, Data: c.data, Stride: max(n, 1)})
	if !ok {
		c.n = 0
		return &NotPositiveDefiniteError{Curvature: math.NaN()}
	}
	for j := range n {
		l := c.data[j*n+j]
		c.pivot = min(c.pivot, l*l/a[j*n+j])
	}
	return nil
}

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

// Inverse writes A⁻¹, both triangles, to the rows of dst, which are stride numbers apart. The factor is lost.
func (c *Cholesky) Inverse(dst []float64, stride int) {
	n := c.n
	l := blas64.Triangular{Uplo: blas.Lower, Diag: blas.NonUnit, N: n, Data: c.data, Stride: max(n, 1)}
	if _, ok := lapack64.Potri(l); !ok {
		panic("linsolve: a factor with a zero on its diagonal")
	}
	for i := range n {
		for j := range i + 1 {
			v := c.data[i*n+j]
			dst[i*stride+j], dst[j*stride+i] = v, v
		}
	}
	c.n = 0
}

// Solve overwrites x with A⁻¹b; x may be b.
func (c *Cholesky) Solve(x, b []float64) {
	if len(x) != c.n || len(b) != c.n {
		panic(fmt.Sprintf("linsolve: vectors of length %d and %d for a factor of order %d", len(x), len(b), c.n))
	}
	copy(x, b)
	l := blas64.Triangular{Uplo: blas.Lower, Diag: blas.NonUnit, N: c.n, Data: c.data, Stride: max(c.n, 1)}
	v := blas64.Vector{N: c.n, Data: x, Inc: 1}
	blas64.Trsv(blas.NoTrans, l, v) // x ← L⁻¹b
	blas64.Trsv(blas.Trans, l, v)   // x ← L⁻ᵀx
}
