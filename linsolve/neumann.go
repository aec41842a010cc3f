package linsolve

import "context"

// Neumann sums the first P terms of the Neumann series of A⁻¹, for a general A:
//
//	x = η Σ_{i<P} (I − ηA)^i b.
//
// It is [FixedPoint] with P steps from zero, and converges under the same conditions: the start x is not used, so
// that the result depends on A and b alone. P = 1 is x = ηb, the adjoint of one-step differentiation. The scale η
// belongs to the series and need not be the step size of the inner solver.
//
// Cost: P products, one of which gives the residual, and those that find an automatic Scale. Memory: as
// FixedPoint.
//
// Lorraine, Vicol, Duvenaud, Optimizing millions of hyperparameters by implicit differentiation, 2020,
// algorithm 3.
type Neumann struct {
	// Terms is P. The default, 0, is as many as the tolerance takes, at most 10000.
	Terms int
	// Scale is η; see [FixedPoint] for the default.
	Scale float64
	// Damping δ ≥ 0 solves (A + δI)x = b instead.
	Damping float64
}

var (
	_ Solver  = Neumann{}
	_ Stepper = Neumann{}
)

// WithSteps is described at [Stepper]: a step is a term.
func (c Neumann) WithSteps(k int) Solver {
	c.Terms = k
	return c
}

// Solve is described at [Solver].
func (c Neumann) Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error) {
	clear(x)
	return FixedPoint{Steps: c.Terms, Scale: c.Scale, Damping: c.Damping}.Solve(ctx, op, x, b, tol, w)
}
