package hypergrad

import "math"

// Schedule is a number of steps or samples that depends on the outer step s = 0, 1, …:
//
//	n_s = max(Base, ⌈Growth·log(s + 1)⌉, 1).
//
// The zero value leaves the number to the estimator.
type Schedule struct {
	Base   int
	Growth float64 // κ
}

// Constant is n at every outer step.
func Constant(n int) Schedule { return Schedule{Base: n} }

// Log is max(1, ⌈κ log(s + 1)⌉): with κ large enough for the contraction of the inner problem, approximate implicit
// differentiation from cold starts converges (Grazzi, Pontil, Salzo 2023).
func Log(kappa float64) Schedule { return Schedule{Growth: kappa} }

// Linear is ⌈c·steps⌉ at every outer step of a run of that many. As t, k and J of [SID] it makes the mean of ‖∇h‖²
// fall like 1/steps (Grazzi, Pontil, Salzo 2023).
func Linear(c float64, steps int) Schedule {
	return Schedule{Base: int(math.Ceil(c * float64(steps)))}
}

// At is n_s, or 0 where it is left to the estimator.
func (n Schedule) At(s int) int {
	if n == (Schedule{}) {
		return 0
	}
	return max(n.Base, int(math.Ceil(n.Growth*math.Log1p(float64(s)))), 1)
}

// valid says whether n can be followed.
func (n Schedule) valid() bool {
	return n.Base >= 0 && n.Growth >= 0 && !math.IsInf(n.Growth, 0)
}
