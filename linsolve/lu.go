package linsolve

import (
	"context"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// LU solves a general system by LU factorisation with partial pivoting, for small n. For a symmetric positive
// definite A [Direct] is twice as fast.
//
// The matrix is written down by the operator if it is a [GeneralMatrix] or a [Matrix], otherwise by n products with
// unit vectors. One product gives the true residual, and where it misses the tolerance one step of iterative
// refinement follows. If a pivot is zero, or if the residual misses the tolerance and the condition number exceeds
// 1e15, Solve returns a [SingularError]. The start x is not used.
//
// Cost: n + 1 products and 2n³/3 multiplications. Memory: 2n² numbers.
type LU struct {
	// Damping δ ≥ 0 solves (A + δI)x = b instead, for an A that is singular or nearly so.
	Damping float64
}

var _ Solver = LU{}

// Solve is described at [Solver]. The default tolerance is 1e-10.
func (c LU) Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error) {
	s, over, err := begin(op, x, b, tol, 0, 0, c.Damping)
	if over {
		return s.res, err
	}
	if w == nil {
		w = &Workspace{}
	}
	n := len(b)
	r, a := w.Vector(0, n), w.Vector(1, n*n)
	if err := formGeneral(ctx, a, r, x, op); err != nil {
		return s.res, err
	}
	for j := range n {
		a[j*n+j] += s.damping
	}
	s.res.Products, s.res.Residual = n, norm(b)
	if !finite(norm(a)) {
		clear(x)
		return s.res, ErrNonFinite
	}
	work := w.Vector(2, 4*n)
	anorm := lapack64.Lange(lapack.MaxColumnSum, blas64.General{Rows: n, Cols: n, Data: a, Stride: n}, work)
	f := &w.lu
	if !f.factorize(n, a) {
		clear(x)
		return s.res, &SingularError{}
	}
	res, err := s.factored(f, r)
	if err == ErrNonFinite || err == nil && !res.Converged {
		if rc := lapack64.Gecon(lapack.MaxColumnSum, f.a, anorm, work, f.pivots); rc < 1e-15 {
			return res, &SingularError{Reciprocal: rc}
		}
	}
	return res, err
}

// formGeneral writes op to a; column and unit are scratch.
func formGeneral(ctx context.Context, a, column, unit []float64, op Operator) error {
	n := len(unit)
	switch m := op.(type) {
	case GeneralMatrix:
		return m.GeneralMatrix(ctx, a)
	case Matrix:
		if err := m.Matrix(ctx, a); err != nil {
			return err
		}
		for i := range n {
			for j := range i {
				a[j*n+i] = a[i*n+j]
			}
		}
	default:
		clear(unit)
		for j := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			unit[j] = 1
			op.MulVec(column, unit)
			unit[j] = 0
			for i, c := range column {
				a[i*n+j] = c
			}
		}
	}
	return nil
}

// lu holds the factors of P A = L U.
type lu struct {
	a      blas64.General
	pivots []int
}

// factorize replaces the n×n matrix a, which it keeps, by its factors, and says whether no pivot is zero.
func (f *lu) factorize(n int, a []float64) bool {
	f.a = blas64.General{Rows: n, Cols: n, Data: a, Stride: n}
	if cap(f.pivots) < n {
		f.pivots = make([]int, n)
	}
	f.pivots = f.pivots[:n]
	return lapack64.Getrf(f.a, f.pivots)
}

// Solve overwrites x with A⁻¹b; x may be b.
func (f *lu) Solve(x, b []float64) {
	copy(x, b)
	lapack64.Getrs(blas.NoTrans, f.a, blas64.General{Rows: len(x), Cols: 1, Data: x, Stride: 1}, f.pivots)
}
