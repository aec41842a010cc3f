package linsolve

import (
	"github.com/bilevel-go/bilevel/internal/vector"
	"gonum.org/v1/gonum/floats"
)

// system is (A + δI)x = b on its way to a solution: what the solvers share.
type system struct {
	op      Operator
	x, b    []float64
	damping float64 // δ
	limit   int     // of iterations
	target  float64 // the residual to reach
	exactly bool    // limit iterations were asked for, whatever the residual
	res     Result
}

// rounding is the relative residual at which K requested steps may end early.
const rounding = 1e-16

// begin prepares a solve that ends at the relative residual tol (1e-10 where that is not positive),
// after steps iterations where those were asked for, or after maxIter. It says that the solve is over already
// where b is zero or not finite.
func begin(op Operator, x, b []float64, tol float64, steps, maxIter int,
	damping float64) (s system, over bool, err error) {
	checkLengths(x, b)
	if tol <= 0 {
		tol = 1e-10
	}
	s = system{op: op, x: x, b: b, damping: damping, limit: maxIter}
	if steps > 0 {
		s.limit, s.exactly, tol = steps, true, rounding
	}
	bnorm := norm(b)
	if !finite(bnorm) {
		s.res.Residual = bnorm
		return s, true, ErrNonFinite
	}
	if bnorm == 0 {
		clear(x)
		s.res.Converged = true
		return s, true, nil
	}
	s.target = tol * bnorm
	return s, false, nil
}

// mul overwrites dst with (A + δI)v.
func (s *system) mul(dst, v []float64) {
	s.op.MulVec(dst, v)
	s.res.Products++
	if s.damping != 0 {
		vector.AddScaled(dst, s.damping, v)
	}
}

// residual overwrites r with the true residual at x.
func (s *system) residual(r []float64) {
	residual(r, s.op, s.x, s.b, s.damping)
	s.res.Products++
	s.res.Residual = norm(r)
}

// first is residual at the start, which takes no product where that is zero.
func (s *system) first(r []float64) {
	if norm(s.x) == 0 {
		copy(r, s.b)
		s.res.Residual = norm(r)
		return
	}
	s.residual(r)
}

// small says that the residual has reached the target.
func (s *system) small() bool { return s.res.Residual <= s.target }

// end is the result of a solve that has made its steps, has converged, or is to go no further.
func (s *system) end() Result {
	s.res.Converged = s.small() || s.exactly
	return s.res
}

// stuck is the result of a solve that rounding keeps from its target.
func (s *system) stuck() Result {
	s.res.Rounding = true
	return s.end()
}

// factored solves the system by factors of its matrix and refines the solution once where it misses the target;
// r is scratch.
func (s *system) factored(f interface{ Solve(x, b []float64) }, r []float64) (Result, error) {
	f.Solve(s.x, s.b)
	for refine := 0; ; refine++ {
		s.residual(r)
		if !finite(s.res.Residual) {
			return s.res, ErrNonFinite
		}
		if s.small() || refine == 1 {
			return s.end(), nil
		}
		f.Solve(r, r)
		floats.Add(s.x, r) // x ← x + A⁻¹(b − Ax)
	}
}

// orDefault is v, or def where v is not positive.
func orDefault(v, def int) int {
	if v > 0 {
		return v
	}
	return def
}
