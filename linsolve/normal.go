package linsolve

import (
	"context"
	"gonum.org/v1/gonum/floats"
)

// NormalEquations is the method of conjugate gradients for AᵀA x = Aᵀb, known as CGNR, for a general A that has
// products with its transpose: the operator is a [Transposer], otherwise Solve returns [ErrNoTranspose].
//
// It lowers ‖b − Ax‖₂ in every step and cannot break down, but its rate is that of the condition number squared.
// The residual that is reported, and compared with the tolerance, is that of A x = b. Where A is singular to
// rounding x is a least-squares solution, and if its residual misses the tolerance Solve returns a [SingularError].
//
// Cost: one product with A and one with Aᵀ for each iteration, one with A for the final residual and one more when
// the start is not zero. Memory: 4 vectors of length n.
//
// Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems, 1952, section 10.
type NormalEquations struct {
	// Steps, where positive, asks for exactly that many iterations: having made them is success whatever
	// the residual. Fewer are made only if the residual vanishes to rounding.
	Steps int
	// MaxIter bounds the iterations towards a tolerance. The default is 10n + 100.
	MaxIter int
	// Damping δ ≥ 0 solves (A + δI)x = b instead. Residuals are then those of the damped system.
	Damping float64
}

var (
	_ Solver  = NormalEquations{}
	_ Stepper = NormalEquations{}
)

// WithSteps is described at [Stepper].
func (c NormalEquations) WithSteps(k int) Solver {
	c.Steps = k
	return c
}

// Solve is described at [Solver].
func (c NormalEquations) Solve(ctx context.Context, op Operator, x, b []float64, tol float64,
	w *Workspace) (Result, error) {
	s, over, err := begin(op, x, b, tol, c.Steps, orDefault(c.MaxIter, 10*len(b)+100), c.Damping)
	if over {
		return s.res, err
	}
	transposer, ok := op.(Transposer)
	if !ok {
		s.res.Residual = norm(b)
		return s.res, ErrNoTranspose
	}
	if w == nil {
		w = &Workspace{}
	}
	n := len(b)
	r, g, p, q := w.Vector(0, n), w.Vector(1, n), w.Vector(2, n), w.Vector(3, n)
	s.first(r)
	restartResidual := s.res.Residual
	exact, restart := true, true
	var last, size float64 // ‖g_{i−1}‖; the largest ‖Ap‖/‖p‖ so far
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
		transposer.MulTransVec(g, r) // g_i = (A + δI)ᵀr_i
		s.res.Products++
		if s.damping != 0 {
			floats.AddScaled(g, s.damping, r)
		}
		gnorm := norm(g)
		if !finite(gnorm) {
			return s.res, ErrNonFinite
		}
		if gnorm <= 1e-14*size*s.res.Residual { // r ⟂ the range of A
			if !exact {
				s.residual(r)
			}
			if s.small() || s.exactly {
				return s.stuck(), nil
			}
			return s.res, &SingularError{}
		}
		// Ratios are formed before squares, which may underflow.
		if restart {
			copy(p, g) // p_0 = g_0
			restart = false
		} else {
			floats.AddScaledTo(p, g, (gnorm/last)*(gnorm/last), p) // p_i = g_i + (g_iᵀg_i / g_{i−1}ᵀg_{i−1}) p_{i−1}
		}
		last = gnorm
		s.mul(q, p)
		qnorm := norm(q)
		if !finite(qnorm) {
			return s.res, ErrNonFinite
		}
		size = max(size, qnorm/norm(p))
		alpha := (gnorm / qnorm) * (gnorm / qnorm)
		floats.AddScaled(x, alpha, p)  // x_{i+1} = x_i + α p_i, α = g_iᵀg_i / ‖Ap_i‖²
		floats.AddScaled(r, -alpha, q) // r_{i+1} = r_i − α A p_i
		s.res.Residual = norm(r)
		exact = false
	}
}
