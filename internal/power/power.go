// Package power finds largest eigenvalues.
package power

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// Largest estimates the largest eigenvalue by modulus of A by at most n power iterations, one product each: ‖Av‖/‖v‖ at
// the last one, from below where A is symmetric. It begins with v and leaves the direction that it came to there, so
// that iterations can go on where an earlier call ended, with an A that has changed a little; a v of zeros or without a
// length is replaced. av is scratch. Iterations end early where the estimate changes by no more than tol of itself, or
// is zero or not finite, and then v is zero.
func Largest(v, av []float64, n int, tol float64, mul func(dst, v []float64)) (lambda float64) {
	length := floats.Norm(v, 2)
	if !(length > 0) || math.IsInf(length, 0) {
		for i := range v {
			v[i] = 1 + .5*math.Sin(float64(i)) // hardly orthogonal to the eigenvector
		}
		length = floats.Norm(v, 2)
	}
	for range n {
		floats.Scale(1/length, v)
		mul(av, v)
		length = floats.Norm(av, 2)
		if !(length > 0) || math.IsInf(length, 0) {
			clear(v)
			return length
		}
		copy(v, av)
		last := lambda
		if lambda = length; tol > 0 && math.Abs(lambda-last) <= tol*lambda {
			break
		}
	}
	return lambda
}
