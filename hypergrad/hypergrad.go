// Package hypergrad computes hypergradients, the gradients of h(x) = f(z*(x), x), and descends along them.
//
// An [Estimator] says how a hypergradient is computed. [AID] solves the inner problem and the adjoint system,
//
//	∇z g(z, x) = 0,   ∇²zz g · v = −∇z f,    ∇h = ∇x f + ∇²xz g · v,
//	z = Φ(z, x),      (I − ∂zΦᵀ)u = ∇z f,    ∇h = ∇x f + ∂xΦᵀu,
//
// [ITD] differentiates the steps of an inner solver, and [SID] makes stochastic steps at both levels. Package
// nonsmooth has an estimator for inner problems with an ℓ1 norm.
//
// [HOAG] and [Descent] are outer loops around any of them, each a [bilevel.Method], and [Evaluator] gives h and ∇h
// to a tolerance. Estimators can be exchanged; what sets them apart is cost, memory and error:
//
//	AID            error ‖z − z*‖ + ‖v − v*‖          memory O(d)
//	ITD, t steps   O(t qᵗ), q the contraction         O(td), O(√t·d) with checkpoints, O(Kd) truncated, O(dp) forward
//	SID            O(1/t + 1/k + 1/J) in mean square  O(d)
package hypergrad

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
)

// Estimator is the configuration of a way to compute hypergradients.
type Estimator interface {
	// Start prepares for p. It fails when p lacks a derivative that the estimator needs. All samples that
	// oracle calls visit are added to counts, which the caller keeps and may be nil.
	Start(p *bilevel.Problem, counts *bilevel.Counts) (Hypergradient, error)
}

// Hypergradient computes hypergradients of one problem. What it computes depends on the arguments alone, not
// on earlier calls.
type Hypergradient interface {
	// At overwrites grad (length p) with an approximation of ∇h(at.X). at.Z and at.V are where to start with
	// the inner variable and the adjoint, and are replaced by the results.
	//
	// A level that was not solved to its tolerance is no error, see [Report].Warning; an error says that there
	// is no hypergradient.
	At(ctx context.Context, grad []float64, at bilevel.Point, effort Effort) (Report, error)
}

// Effort says how well the two systems of a hypergradient are solved: estimators that solve to a tolerance read
// the tolerances, those that make a fixed number of steps read the numbers.
type Effort struct {
	Inner     float64 // ‖∇z g‖, see [inner.Norm], or ‖Φ(z, x) − z‖₂, absolute
	LinearTol float64 // ‖∇²zz g·v + ∇z f‖ relative to ‖∇z f‖
	// Value is for [Report].Unsolved, absolute: where it is positive and was missed, the inner problem is solved to
	// smaller tolerances than InnerTol.
	ValueTol float64

	// InnerSteps t, LinearSteps k and Samples J replace the estimator's own numbers where they are positive.
	InnerSteps, LinearSteps, Samples int
	// Seed seeds the draws of a stochastic estimator: the same arguments give the same bits.
	Seed uint64
}

// Report says what is known about a hypergradient.
type Report struct {
	// Value is h(x), as f(z, x) + ⟨v, ∇z g(z, x)⟩, or f(z, x) + ⟨u, Φ(z, x) − z⟩: the second term corrects for the
	// rest that the inner solver left, so that the error is of second order in z − z*(x). It is f(z, x) where a
	// level was not solved, see Warning, and where the second term is more than half of that: it is then none of first
	// order, and could make a loss negative.
	Value float64
	// Correction is that second term, and zero where Value has none: f(z, x) is the difference.
	Correction float64
	// Unsolved is the sum of the sizes of its terms, Σ|v_i ∂g/∂z_i| or Σ|u_i (Φ_i − z_i)|: to first order no more than
	// this lies between f(z, x) and h(x), in whatever units the coefficients of z are. Estimators that do not know it
	// leave it zero.
	Unsolved float64
	// Inner says how the inner problem was solved. For a fixed-point problem its GradNorm is ‖Φ(z, x) − z‖₂.
	Inner inner.Result
	// Linear says how the adjoint system was solved; its Residual is absolute.
	Linear linsolve.Result
	// Warning says, in words and with numbers, which level was not solved to its tolerance. It is nil if all
	// were.
	Warning error
}

// Correct sets Correction, and adds it to a Value that is f(z, x), unless it is more than half of that.
func (r *Report) Correct(correction float64) {
	if math.Abs(correction) <= .5*math.Abs(r.Value) {
		r.Correction = correction
		r.Value += correction
	}
}

// linearWarning is the warning about an adjoint system.
func linearWarning(res linsolve.Result, bnorm float64, err error) error {
	if err != nil {
		return fmt.Errorf("hypergrad: the adjoint system was not solved: residual %.3g of %.3g: %w", res.Residual, bnorm, err)
	}
	return fmt.Errorf("hypergrad: the adjoint system was not solved: residual %.3g of %.3g after %d products: "+
		"the inner problem is badly conditioned; raise MaxIter, use linsolve.Direct or LU, or set Damping",
		res.Residual, bnorm, res.Products)
}
