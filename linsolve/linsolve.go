// Package linsolve solves the linear systems of implicit differentiation, A x = b with A given by products.
//
// In a bilevel problem A is the inner Hessian ∇²zz g, or I − ∂zΦᵀ, and x the adjoint. A solver is
// configuration, a small struct whose zero value works; a [Workspace] owns the vectors, so that a solver that
// is called again allocates nothing.
package linsolve

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/vector"
)

// Operator is a square matrix A.
type Operator interface {
	// MulVec overwrites dst with A·v. It does not change v, and dst and v do not overlap.
	MulVec(dst, v []float64)
}

// OperatorFunc is a function as an [Operator].
type OperatorFunc func(dst, v []float64)

// MulVec calls f.
func (f OperatorFunc) MulVec(dst, v []float64) { f(dst, v) }

// Preconditioner is an [Operator] that knows an approximate inverse of itself, symmetric and positive
// definite. [CG] uses it.
type Preconditioner interface {
	// Precondition overwrites dst with M⁻¹·r, M ≈ A. dst and r do not overlap.
	Precondition(dst, r []float64)
}

// Transposer is an [Operator] that has products with its transpose, which conjugate gradients on the normal
// equations need.
type Transposer interface {
	// MulTransVec overwrites dst with Aᵀ·v. dst and v do not overlap.
	MulTransVec(dst, v []float64)
}

// Scaler is an [Operator] that knows a step size η for which x ← x + η(b − Ax) converges: 1 for A = I − ∂zΦᵀ with
// a contraction Φ. [FixedPoint] and [Neumann] take it where they are given none.
type Scaler interface {
	// Scale returns η > 0.
	Scale() float64
}

// Matrix is a symmetric [Operator] that can write itself down faster than by n products. [Direct] and [LU] use
// it.
type Matrix interface {
	// Matrix overwrites the lower triangle of dst (n×n, row-major) with that of A; what it leaves in the
	// strict upper triangle does not matter. It returns the error of ctx soon after that is done.
	Matrix(ctx context.Context, dst []float64) error
}

// GeneralMatrix is an [Operator] without symmetry that can write itself down faster than by n products. [LU] uses
// it.
type GeneralMatrix interface {
	// GeneralMatrix overwrites dst (n×n, row-major) with A. It returns the error of ctx soon after that is done.
	GeneralMatrix(ctx context.Context, dst []float64) error
}

// Solver solves A x = b.
type Solver interface {
	// Solve replaces x, the start, by an approximate solution: ‖b − Ax‖₂ ≤ tol·‖b‖₂. A tol of zero is the
	// solver's own default. The workspace may be nil; it serves one Solve at a time.
	//
	// Not reaching the tolerance is no error, see [Result].Converged. After an error, which is that of ctx soon
	// after ctx is done, x holds the last iterate.
	Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error)
}

// Stepper is a [Solver] that can be asked for an exact number of steps.
type Stepper interface {
	// WithSteps is the same solver making exactly k steps, which is success whatever the residual.
	WithSteps(k int) Solver
}

// Result says what a solve did.
type Result struct {
	// Products with A or its transpose, the one that recomputes the residual included. A matrix of order n that
	// is written down by [Matrix] or [GeneralMatrix] counts as n.
	Products int
	// Residual is the true ‖b − Ax‖₂, recomputed at the end.
	Residual float64
	// Converged says that Residual ≤ tol·‖b‖₂, or that as many steps were made as were asked for.
	Converged bool
	// Rounding says that the residual could not be lowered further because of rounding.
	Rounding bool
}

// Workspace holds the vectors of a solver from one call to the next. The zero value is ready.
type Workspace struct {
	vectors [][]float64
	factor  Cholesky
	lu      lu
}

// Vector is the workspace's i-th vector, of length n and with arbitrary content. It is for those who write
// solvers.
func (w *Workspace) Vector(i, n int) []float64 {
	for len(w.vectors) <= i {
		w.vectors = append(w.vectors, nil)
	}
	if cap(w.vectors[i]) < n {
		w.vectors[i] = make([]float64, n)
	}
	return w.vectors[i][:n]
}

// NotPositiveDefiniteError says that a solver met a direction in which the matrix is not positive.
type NotPositiveDefiniteError struct {
	// Curvature is pᵀAp/pᵀp for the direction p that was met, or NaN where a factorisation only knows that
	// there is one.
	Curvature float64
}

func (e *NotPositiveDefiniteError) Error() string {
	const remedy = "set Damping, or check that the inner objective is strongly convex in z " +
		"and that its products have the right sign"
	if math.IsNaN(e.Curvature) {
		return "linsolve: the matrix is not positive definite: " + remedy
	}
	return fmt.Sprintf("linsolve: the matrix is not positive definite, it has curvature %.3g in a direction: %s",
		e.Curvature, remedy)
}

// SingularError says that a matrix is singular, to rounding.
type SingularError struct {
	// Reciprocal is 1/cond₁(A) where it is known, and 0 elsewhere.
	Reciprocal float64
}

func (e *SingularError) Error() string {
	const remedy = "set Damping, or check that the inner problem has one solution and depends on all of z"
	if e.Reciprocal > 0 {
		return fmt.Sprintf("linsolve: the matrix is singular, its condition number is %.2g: %s", 1/e.Reciprocal, remedy)
	}
	return "linsolve: the matrix is singular: " + remedy
}

// DivergedError says that the residual of a stationary iteration grows without end.
type DivergedError struct {
	Steps           int
	Scale           float64 // η
	First, Residual float64 // the residuals at the start and at the end
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("linsolve: x ← x + η(b − Ax) with η = %.3g diverges, "+
		"the residual grew from %.3g to %.3g in %d steps: set a lower Scale, or use GMRES",
		e.Scale, e.First, e.Residual, e.Steps)
}

// ErrBreakdown says that BiCGSTAB divided by zero and had made no step since its last restart.
var ErrBreakdown = errors.New("linsolve: BiCGSTAB broke down: use GMRES")

// ErrNoTranspose says that an operator has no products with its transpose.
var ErrNoTranspose = errors.New("linsolve: conjugate gradients on the normal equations " +
	"need products with the transpose, and the operator is no linsolve.Transposer: use GMRES or BiCGSTAB")

// ErrNonFinite says that a right-hand side, a start or a product was not finite.
var ErrNonFinite = errors.New("linsolve: the right-hand side, the start or a product with the matrix is not finite")

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func checkLengths(x, b []float64) {
	if len(x) != len(b) {
		panic(fmt.Sprintf("linsolve: x has length %d and b %d", len(x), len(b)))
	}
}

// norm is ‖x‖₂, which does not overflow.
func norm(x []float64) float64 { return vector.Norm(x) }

// residual overwrites r with b − (A + δI)x.
func residual(r []float64, op Operator, x, b []float64, damping float64) {
	op.MulVec(r, x)
	vector.Residual(r, b, x, damping)
}
