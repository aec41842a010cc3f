package linsolve

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel/internal/vector"
)

// CG is the method of conjugate gradients for a symmetric positive definite A.
//
// It returns the current iterate on convergence, measures the residual against ‖b‖₂ from the first check on,
// and recomputes the true residual before it says that it has converged; where the recursive residual was too
// optimistic it restarts from the true one. An operator with a [Preconditioner] is preconditioned by it.
//
// Cost: one product with A for each iteration, one for the final residual and one more when the start is not
// zero. Memory: 3 vectors of length n, 4 with a preconditioner.
//
// Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems, 1952, section 3.
type CG struct {
	// Steps, where positive, asks for exactly that many iterations: having made them is success whatever
	// the residual. Fewer are made only if the residual vanishes to rounding.
	Steps int
	// MaxIter bounds the iterations towards a tolerance. The default is 10n + 100.
	MaxIter int
	// Damping δ ≥ 0 solves (A + δI)x = b instead, for an A that is singular or nearly so. Residuals are
	// then those of the damped system.
	Damping float64
}

var (
	_ Solver  = CG{}
	_ Stepper = CG{}
)

// WithSteps is described at [Stepper].
func (c CG) WithSteps(k int) Solver {
	c.Steps = k
	return c
}

// Solve is described at [Solver].
func (c CG) Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error) {
	s, over, err := begin(op, x, b, tol, c.Steps, orDefault(c.MaxIter, 10*len(b)+100), c.Damping)
	if over {
		return s.res, err
	}
	if w == nil {
		w = &Workspace{}
	}
	n := len(b)
	r, p, q := w.Vector(0, n), w.Vector(1, n), w.Vector(2, n)
	pre, preconditioned := op.(Preconditioner)
	y := r // M⁻¹r
	if preconditioned {
		y = w.Vector(3, n)
	}
	s.first(r)
	restartResidual := s.res.Residual
	exact := true // r is the true residual, not a recursive one
	restart := true
	var ry, first float64 // r_iᵀy_i; the curvature pᵀAp/pᵀp of the first direction
	for iter := 0; ; iter++ {
		if err := ctx.Err(); err != nil {
			return s.res, err
		}
		if !finite(s.res.Residual) {
			return s.res, ErrNonFinite
		}
		if (s.small() || iter >= s.limit) && !exact {
			s.residual(r)
			exact, restart = true, true
			// A restart that no longer halves the true residual is at rounding level.
			if iter < s.limit && !s.small() && s.res.Residual > restartResidual/2 {
				return s.stuck(), nil
			}
			restartResidual = s.res.Residual
		}
		if s.small() || iter >= s.limit {
			return s.end(), nil
		}
		if preconditioned {
			pre.Precondition(y, r)
		}
		ryNew := vector.Dot(r, y)
		if preconditioned && !(ryNew > 0) && finite(ryNew) {
			return s.res, &NotPositiveDefiniteError{Curvature: ryNew / (s.res.Residual * s.res.Residual)}
		}
		if restart {
			copy(p, y) // p_0 = y_0
			restart = false
		} else {
			vector.AddScaledTo(p, y, ryNew/ry, p) // p_i = y_i + (r_iᵀy_i / r_{i−1}ᵀy_{i−1}) p_{i−1}
		}
		ry = ryNew
		s.mul(q, p)
		pq := vector.Dot(p, q)
		if !finite(pq) {
			return s.res, ErrNonFinite
		}
		if first == 0 {
			pp := norm(p)
			first = math.Abs(pq) / pp / pp
		}
		if pq <= 0 {
			pp := norm(p)
			curvature := pq / pp / pp
			if !exact {
				s.residual(r)
			}
			if -curvature < 1e-13*first { // zero, as far as rounding tells
				return s.stuck(), nil
			}
			return s.res, &NotPositiveDefiniteError{Curvature: curvature}
		}
		alpha := ry / pq
		vector.AddScaled(x, alpha, p)                       // x_{i+1} = x_i + α p_i
		s.res.Residual = vector.AddScaledNorm(r, -alpha, q) // r_{i+1} = r_i − α A p_i
		exact = false
	}
}
