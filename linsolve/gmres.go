package linsolve

import (
	"context"
	"math"

	"gonum.org/v1/gonum/floats"
)

// GMRES is the generalised minimal residual method, restarted, for a general A.
//
// It minimises ‖b − Ax‖₂ over a Krylov space that grows by one product in each step; the basis is made by
// modified Gram–Schmidt, again where the first pass cancels, and the small least-squares problem is solved by Givens
// rotations. After Restart steps it starts again from x with the true residual, and so it does where the small
// problem was too optimistic. With n ≤ Restart it ends within n steps but for rounding; with a smaller Restart it
// may come to a standstill, and ends not converged then. If A is singular and b is not in reach Solve returns a
// [SingularError].
//
// Cost: one product for each step, one for the true residual of each cycle of Restart steps and one more when the
// start is not zero; 4n multiplications times the number of vectors in the basis for each step. Memory: Restart + 2
// vectors of length n and Restart² numbers, as far as they are reached.
//
// Saad and Schultz, GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear systems, 1986,
// algorithm 4.
type GMRES struct {
	// Restart is the number of steps in a cycle. The default is min(n, 50).
	Restart int
	// Steps, where positive, asks for exactly that many steps, over all cycles: having made them is success
	// whatever the residual. Fewer are made only if the residual vanishes to rounding.
	Steps int
	// MaxIter bounds the steps towards a tolerance. The default is 10n + 100.
	MaxIter int
	// Damping δ ≥ 0 solves (A + δI)x = b instead. Residuals are then those of the damped system.
	Damping float64
}

var (
	_ Solver  = GMRES{}
	_ Stepper = GMRES{}
)

// WithSteps is described at [Stepper].
func (c GMRES) WithSteps(k int) Solver {
	c.Steps = k
	return c
}

// Solve is described at [Solver].
func (c GMRES) Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error) {
	s, over, err := begin(op, x, b, tol, c.Steps, orDefault(c.MaxIter, 10*len(b)+100), c.Damping)
	if over {
		return s.res, err
	}
	if w == nil {
		w = &Workspace{}
	}
	n := len(b)
	m := min(n, orDefault(c.Restart, 50))
	r := w.Vector(0, n)
	s.first(r)
	for steps := 0; ; {
		if err := ctx.Err(); err != nil {
			return s.res, err
		}
		if !finite(s.res.Residual) {
			return s.res, ErrNonFinite
		}
		if s.small() || steps >= s.limit {
			return s.end(), nil
		}
		before := s.res.Residual
		c, err := s.cycle(ctx, r, min(m, s.limit-steps), m, w)
		if err != nil {
			return s.res, err
		}
		steps += c.steps
		s.residual(r)
		switch {
		case s.small() || steps >= s.limit || !finite(s.res.Residual):
		case c.singular && s.exactly:
			return s.stuck(), nil
		case c.singular:
			return s.res, &SingularError{}
		case c.residual <= s.target && s.res.Residual > before/2, c.residual < .9*before && s.res.Residual >= before:
			return s.stuck(), nil // the true residual does not follow that of the small problem
		case s.res.Residual >= before:
			return s.end(), nil // the next cycle would be this one again
		}
	}
}

// cycle says how a cycle of GMRES went.
type cycle struct {
	steps    int
	residual float64 // of the small problem
	singular bool    // the space holds A times itself, and A is singular on it
}

// cycle makes at most steps ≤ m steps from x, where the residual is r.
func (s *system) cycle(ctx context.Context, r []float64, steps, m int, w *Workspace) (cycle, error) {
	const eps = 0x1p-52
	n := len(r)
	small := w.Vector(1, m*m+3*m+1)
	// Column j of the triangle R = QᵀH begins at R[j*m]; rotation j is (cos[j], sin[j]); g = Qᵀ‖r‖e₁.
	triangle, cos, sin, g := small[:m*m], small[m*m:][:m], small[m*m+m:][:m], small[m*m+2*m:][:m+1]
	v := w.Vector(2, n)
	copy(v, r)
	floats.Scale(1/s.res.Residual, v) // v_0 = r/‖r‖
	g[0] = s.res.Residual
	var c cycle
	used, size := 0, 0.0
	for j := 0; ; {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		h, next := triangle[j*m:][:m], w.Vector(j+3, n)
		s.mul(next, w.Vector(j+2, n))
		full := norm(next)
		if !finite(full) {
			return c, ErrNonFinite
		}
		size = max(size, full)
		clear(h[:j+1])
		below := full
		for range 2 {
			last := below
			for i := range j + 1 {
				v := w.Vector(i+2, n)
				a := floats.Dot(v, next)
				h[i] += a
				floats.AddScaled(next, -a, v)
			}
			if below = norm(next); below > .7*last {
				break // nothing has cancelled
			}
		}
		invariant := below <= 10*eps*full // A v_j lies in the space
		if invariant {
			below = 0
		} else {
			floats.Scale(1/below, next)
		}
		for i := range j {
			h[i], h[i+1] = cos[i]*h[i]+sin[i]*h[i+1], cos[i]*h[i+1]-sin[i]*h[i]
		}
		rho := math.Hypot(h[j], below)
		j++
		c.steps, used = j, j
		if invariant && rho <= 10*eps*size {
			c.singular, used = true, j-1
		} else {
			cos[j-1], sin[j-1] = h[j-1]/rho, below/rho
			h[j-1] = rho
			g[j-1], g[j] = cos[j-1]*g[j-1], -sin[j-1]*g[j-1]
			c.residual = math.Abs(g[j])
		}
		if invariant || c.residual <= s.target || j >= steps {
			break
		}
	}
	for j := used - 1; j >= 0; j-- { // x ← x + V R⁻¹g
		h := triangle[j*m:][:m]
		a := g[j] / h[j]
		floats.AddScaled(g[:j], -a, h[:j])
		floats.AddScaled(s.x, a, w.Vector(j+2, n))
	}
	return c, nil
}
