package linsolve

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel/internal/power"
	"github.com/bilevel-go/bilevel/internal/vector"
)

// FixedPoint is the stationary iteration x ← x + η(b − Ax), known as Richardson's, for a general A. For
// A = I − ∂zΦᵀ and η = 1 it is u ← ∂zΦᵀu + b, the adjoint of iterating Φ.
//
// The residual is multiplied by I − ηA in each step: the iteration converges from every start if and only if the
// spectral radius q of that matrix is below one, and then the error goes to zero like q^k. For a symmetric A with
// eigenvalues in [μ, L], μ > 0, that is so for η < 2/L, and q = 1 − μ/L at η = 1/L.
//
// Solve ends with a [DivergedError] when the residual has grown by a factor of 1e8, also where Steps is set, and
// x is then the iterate with the smallest residual.
//
// Cost: one product for each step, one more when the start is not zero, and those that find an automatic Scale.
// Memory: 2 vectors of length n, 3 with an automatic Scale.
//
// Grazzi, Franceschi, Pontil, Salzo, On the iteration complexity of hypergradient computation, 2020, algorithm 2
// (fixed-point method).
type FixedPoint struct {
	// Steps, where positive, asks for exactly that many steps: having made them is success whatever the
	// residual. Fewer are made only if the residual vanishes to rounding.
	Steps int
	// MaxIter bounds the steps towards a tolerance. The default is 10000.
	MaxIter int
	// Scale is η. The default, for an operator that is a [Scaler], is what that says; elsewhere it is
	// 1/λ with λ the largest eigenvalue by modulus as at most 20 power iterations find it, one product each, in
	// every Solve. That suits a symmetric positive definite A. For another one that is no Scaler set Scale: with
	// the default the iteration may diverge.
	Scale float64
	// Damping δ ≥ 0 solves (A + δI)x = b instead. Residuals are then those of the damped system, and the scale
	// η of a Scaler becomes η/(1 + ηδ).
	Damping float64
}

var (
	_ Solver  = FixedPoint{}
	_ Stepper = FixedPoint{}
)

// WithSteps is described at [Stepper].
func (c FixedPoint) WithSteps(k int) Solver {
	c.Steps = k
	return c
}

// Solve is described at [Solver].
func (c FixedPoint) Solve(ctx context.Context, op Operator, x, b []float64, tol float64, w *Workspace) (Result, error) {
	s, over, err := begin(op, x, b, tol, c.Steps, orDefault(c.MaxIter, 10000), c.Damping)
	if over {
		return s.res, err
	}
	if w == nil {
		w = &Workspace{}
	}
	n := len(b)
	next, best := w.Vector(0, n), w.Vector(1, n)
	eta := c.Scale
	if scaler, ok := op.(Scaler); ok && eta <= 0 {
		eta = scaler.Scale()
		eta /= 1 + eta*c.Damping
	}
	if eta <= 0 {
		lambda, err := s.largest(best, w.Vector(2, n))
		if err != nil {
			s.res.Residual = norm(b)
			return s.res, err
		}
		eta = 1 / lambda
	}
	s.first(next)
	vector.AddScaledTo(next, x, eta, next) // x_1 = x_0 + η(b − Ax_0)
	first := max(s.res.Residual, norm(b))
	_, exponent := math.Frexp(first)
	exponent = min(max(exponent, -1000), 1000) // residuals in this unit have squares that can be summed
	least, bestStep := math.Inf(1), 0
	defer func() {
		if &s.x[0] != &x[0] {
			copy(x, s.x)
		}
	}()
	for k := 0; ; k++ {
		if err := ctx.Err(); err != nil {
			return s.res, err
		}
		switch {
		case math.IsNaN(s.res.Residual) || k == 0 && !finite(s.res.Residual):
			return s.res, ErrNonFinite
		case s.res.Residual > 1e8*first:
			e := &DivergedError{Steps: k, Scale: eta, First: first, Residual: s.res.Residual}
			s.x, s.res.Residual = best, least
			return s.res, e
		case s.small() || k >= s.limit:
			return s.end(), nil
		case s.res.Residual < least:
			least, bestStep = s.res.Residual, k
			best, s.x = s.x, best
		case !s.exactly && k >= bestStep+10 && s.res.Residual <= 1e-14*(norm(b)+norm(s.x)/eta):
			return s.stuck(), nil
		}
		s.x, next = next, s.x
		s.mul(next, s.x)
		sum := vector.Richardson(next, s.x, b, eta, math.Ldexp(1, -exponent)) // x_{k+1} = x_k + η(b − Ax_k)
		s.res.Residual = math.Ldexp(math.Sqrt(sum), exponent)
	}
}

// largest estimates the largest eigenvalue by modulus, from below where A is symmetric. v and av are scratch.
func (s *system) largest(v, av []float64) (float64, error) {
	clear(v)
	lambda := power.Largest(v, av, 20, .01, s.mul)
	switch {
	case !finite(lambda):
		return 0, ErrNonFinite
	case lambda == 0:
		return 0, &SingularError{}
	}
	return lambda, nil
}
