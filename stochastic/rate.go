package stochastic

import (
	"fmt"
	"math"
)

// Rate is a step size: Size/t^Decay at step t = 1, 2, …. The zero value is automatic.
type Rate struct {
	Size  float64 // c > 0; 0 means automatic
	Decay float64 // a ≥ 0; 0 means constant
}

// Constant is the step size c.
func Constant(c float64) Rate { return Rate{Size: c} }

// Decaying is the step size c/t^a.
func Decaying(c, a float64) Rate { return Rate{Size: c, Decay: a} }

// Auto says whether the method chooses the step size.
func (r Rate) Auto() bool { return r.Size == 0 }

// At is the step size of step t = 1, 2, ….
func (r Rate) At(t int64) float64 {
	switch r.Decay {
	case 0:
		return r.Size
	case 0.5:
		return r.Size / math.Sqrt(float64(t))
	}
	return r.Size / math.Pow(float64(t), r.Decay)
}

// Check reports what makes r no step size; name is what it is for.
func (r Rate) Check(name string) error {
	switch {
	case !(r.Size >= 0) || math.IsInf(r.Size, 0):
		return fmt.Errorf("stochastic: the %s step size is %v; it must be positive, or 0 for an automatic one", name, r.Size)
	case !(r.Decay >= 0) || math.IsInf(r.Decay, 0):
		return fmt.Errorf("stochastic: the %s step size decays with exponent %v; it must not be negative", name, r.Decay)
	case r.Size == 0 && r.Decay != 0:
		return fmt.Errorf("stochastic: the %s step size has Decay %v but no Size: "+
			"an automatic step size chooses its own decay", name, r.Decay)
	}
	return nil
}
