package linsolve

import (
	"context"
	"math"

	"gonum.org/v1/gonum/floats"
)

// BiCGSTAB is the stabilised method of biconjugate gradients, for a general A. Its memory does not grow as that of
// [GMRES] does; its residual may rise on the way and nothing is minimised.
//
// Where one of its denominators vanishes to rounding it restarts from the true residual, and where that happens in
// the first iteration after a restart, or where the iterates overflow, Solve returns [ErrBreakdown]. The true residual
// is recomputed before it says that it has converged. If it does not converge x is the iterate with the smallest
// residual, unless an exact number of steps was asked for.
//
// Cost: two products for each iteration, one for the final residual and one more when the start is not zero.
// Memory: 6 vectors of length n.
//
// van der Vorst, Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG for the solution of nonsymmetric linear
// systems, 1992, section 3.
type BiCGSTAB struct {
	// Steps, where positive, asks for exactly that many iterations: having made them is success whatever
	// the residual. Fewer are made only if the residual vanishes to rounding.
	Steps int
	// MaxIter bounds the iterations towards a tolerance. The default is 10n + 100.
	MaxIter int
	// Damping δ ≥ 0 solves (A + δI)x = b instead. Residuals are then those of the damped system.
	Damping float64
}

var (
	_ Solver  = BiCGSTAB{}
	_ Stepper = BiCGSTAB{}
)

// WithSteps is described at [Stepper].
func (c BiCGSTAB) WithSteps(k int) Solver {
	c.Steps = k
	return c
}

// Solve is described at [Solver].
func (c BiCGSTAB) Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error) {
	s, over, err := begin(op, x, b, tol, c.Steps, orDefault(c.MaxIter, 10*len(b)+100), c.Damping)
	if over {
		return s.res, err
	}
	if w == nil {
		w = &Workspace{}
	}
	n := len(b)
	r, shadow, p := w.Vector(0, n), w.Vector(1, n), w.Vector(2, n)
	v, t, best := w.Vector(3, n), w.Vector(4, n), w.Vector(5, n)
	s.first(r)
	if !finite(s.res.Residual) {
		return s.res, ErrNonFinite
	}
	copy(best, x)
	least := s.res.Residual
	restartResidual := least
	exact, restart := true, true
	var last, alpha, omega float64 // r̂ᵀr_{i−1}, α_{i−1}, ω_{i−1}
	for iter := 0; ; {
		if err := ctx.Err(); err != nil {
			return s.res, err
		}
		if !finite(s.res.Residual) {
			return s.broken(best, r)
		}
		if (s.small() || iter >= s.limit || restart) && !exact {
			s.residual(r)
			// A claim to have converged that does not halve the true residual is at rounding level.
			if !restart && iter < s.limit && !s.small() && s.res.Residual > restartResidual/2 {
				return s.stuck(), nil
			}
			exact, restart = true, true
			restartResidual = s.res.Residual
		}
		if s.res.Residual < least {
			least = s.res.Residual
			copy(best, x)
		}
		if s.small() || iter >= s.limit {
			if !s.small() && !s.exactly && least < s.res.Residual {
				s.retreat(best, r)
			}
			return s.end(), nil
		}
		fresh := restart
		if restart {
			copy(shadow, r)
		}
		rho := floats.Dot(shadow, r)
		switch {
		case restart:
			copy(p, r)
			restart = false
		case lost(rho, shadow, r):
			restart = true
			continue
		default:
			beta := (rho / last) * (alpha / omega)
			floats.AddScaled(p, -omega, v)
			floats.AddScaledTo(p, r, beta, p) // p_i = r_i + β(p_{i−1} − ω v_{i−1})
		}
		last = rho
		s.mul(v, p) // v_i = A p_i
		sigma := floats.Dot(shadow, v)
		if !finite(sigma) {
			return s.broken(best, r)
		}
		if lost(sigma, shadow, v) {
			if fresh {
				return s.broken(best, r)
			}
			restart = true
			continue
		}
		alpha = rho / sigma
		floats.AddScaled(x, alpha, p)
		floats.AddScaled(r, -alpha, v) // s = r_i − α v_i
		iter++
		exact = false
		if s.res.Residual = norm(r); s.small() {
			continue
		}
		s.mul(t, r) // t = A s
		ts, tnorm := floats.Dot(t, r), norm(t)
		if !finite(ts) {
			return s.broken(best, r)
		}
		if lost(ts, t, r) {
			if fresh {
				return s.broken(best, r)
			}
			restart = true
			continue
		}
		omega = ts / tnorm / tnorm
		floats.AddScaled(x, omega, r)  // x_{i+1} = x_i + α p_i + ω s
		floats.AddScaled(r, -omega, t) // r_{i+1} = s − ω t
		s.res.Residual = norm(r)
	}
}

// retreat goes back to x = best.
func (s *system) retreat(best, r []float64) {
	copy(s.x, best)
	s.residual(r)
}

// broken is the result of a solve that broke down: it goes back to x = best, or to zero where that has overflowed.
func (s *system) broken(best, r []float64) (Result, error) {
	if s.retreat(best, r); !finite(s.res.Residual) {
		clear(best)
		s.retreat(best, r)
	}
	if !finite(s.res.Residual) {
		return s.res, ErrNonFinite
	}
	return s.res, ErrBreakdown
}

// lost says that the inner product of x and y is nothing but rounding.
func lost(product float64, x, y []float64) bool {
	return math.Abs(product) <= 1e-15*norm(x)*norm(y)
}
