package hypergrad

import (
	"fmt"
	"math"
)

// Harmonic is the step size of a stochastic fixed-point iteration w ← w + η_s(T̂(w) − w), s = 0, 1, …:
//
//	η_s = β/(γ + s),   or η_s = β where γ = 0.
//
// With T a contraction of modulus q and noise V[T̂(w)] ≤ σ₁ + σ₂‖T(w) − w‖² the iteration converges at the rate
// 1/s for β > 1/(1 − q²) and γ ≥ β(1 + σ₂). A constant β ≤ 1/(1 + σ₂) brings it within O(β) of the fixed point.
// The zero value is automatic: β = γ = 100.
//
// Grazzi, Pontil, Salzo, Convergence properties of stochastic hypergradients, 2021.
type Harmonic struct {
	Beta  float64 // β > 0
	Gamma float64 // γ ≥ 0; 0 means constant
}

// At is the step size of step s = 0, 1, ….
func (r Harmonic) At(s int) float64 {
	if r.Gamma == 0 {
		return r.Beta
	}
	return r.Beta / (r.Gamma + float64(s))
}

// withDefault replaces the zero value.
func (r Harmonic) withDefault() Harmonic {
	if r == (Harmonic{}) {
		return Harmonic{Beta: 100, Gamma: 100}
	}
	return r
}

func (r Harmonic) check(name string) error {
	if !(r.Beta > 0) || math.IsInf(r.Beta, 0) || !(r.Gamma >= 0) || math.IsInf(r.Gamma, 0) {
		return fmt.Errorf("hypergrad: the %s rate is β/(γ + s) with β = %v and γ = %v: β must be positive and γ not negative",
			name, r.Beta, r.Gamma)
	}
	return nil
}
