package linsolve

import "context"

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
	s, over, err := begin(op, x, b, tol, 0, 0, c.Damping)
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
