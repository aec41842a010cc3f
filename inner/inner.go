// Package inner solves the inner problem, z*(x) = argmin_z g(z, x) for a given x, to ‖∇z g‖₂ ≤ tol and from
// a given z.
//
// A [Solver] is configuration, a small struct whose zero value works; Start checks what the objective offers
// and returns a [Minimizer], which owns the work space. [Auto] chooses.
package inner

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/vector"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// Solver is the configuration of a method for inner problems.
type Solver interface {
	// Start prepares for g. It fails when g lacks a derivative that the method needs. All samples that
	// oracle calls visit are added to counts, which the caller keeps and may be nil.
	Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error)
}

// Minimizer solves the inner problem again and again, at one x after another. What it computes depends on
// the arguments alone, not on earlier calls.
type Minimizer interface {
	// Minimize replaces z, the start, by an approximate minimiser of g(·, x) with ‖∇z g‖₂ ≤ tol. x is not
	// changed. An error, such as a [NotConvergedError], leaves the best z that was found; that of ctx, which is
	// returned soon after ctx is done, leaves some z on the way.
	Minimize(ctx context.Context, z, x []float64, tol float64) (Result, error)
}

// Factorer is a [Minimizer] that has the Hessian as a matrix.
type Factorer interface {
	// Factor is a Cholesky factor of ∇²zz g at the last iterates of Minimize, or at (z, x) where none was
	// needed there. It is an excellent preconditioner at (z, x) rather than the exact factor: z moved since,
	// and a singular Hessian was damped. It is valid until the next Minimize.
	Factor(ctx context.Context, z, x []float64) (*linsolve.Cholesky, error)
}

// Preconditioner is a [Minimizer] that has an approximate inverse of the Hessian.
type Preconditioner interface {
	// Preconditioner is one of ∇²zz g at the start of the last Minimize, or at (z, x) where none was needed
	// there. It is nil if the objective offers none, and if making it costs more than the given number of
	// products. It is valid until the next Minimize. Where ctx is done it may be any.
	Preconditioner(ctx context.Context, z, x []float64, products int) linsolve.Preconditioner
}

// Result says what Minimize did.
type Result struct {
	// Iterations made.
	Iterations int
	// Value and GradNorm are g and ‖∇z g‖₂ at the returned z.
	Value, GradNorm float64
	// Grad is ∇z g there. It belongs to the minimizer and is valid until its next Minimize.
	Grad []float64
	// Converged says that GradNorm ≤ tol, or that as many steps were made as were asked for.
	Converged bool
	// Rounding says that the tolerance asked for more than floating point has: neither g nor its gradient
	// could be lowered any more, while the predicted decrease of g was below its rounding error. It is no
	// error.
	Rounding bool
}

// NotConvergedError says that an inner problem was not solved.
type NotConvergedError struct {
	Iterations    int
	GradNorm, Tol float64
	// Fixed says that GradNorm is ‖Φ(z, x) − z‖₂, of a fixed-point problem.
	Fixed bool
	// Reason is in words: the iteration limit, or a search that found no decrease.
	Reason string
}

func (e *NotConvergedError) Error() string {
	if e.Fixed {
		return fmt.Sprintf("inner: the inner problem was not solved: ‖Φ(z, x) − z‖ = %.3g after %d iterations, "+
			"the tolerance is %.3g (%s): raise MaxIter or the tolerance, or make Φ(·, x) a stronger contraction",
			e.GradNorm, e.Iterations, e.Tol, e.Reason)
	}
	return fmt.Sprintf("inner: the inner problem was not solved: ‖∇z g‖ = %.3g after %d iterations, "+
		"the tolerance is %.3g (%s): raise MaxIter or the tolerance, check the gradient of g, "+
		"or regularise g more strongly",
		e.GradNorm, e.Iterations, e.Tol, e.Reason)
}

// NonFiniteError says that g or its gradient is not finite where Minimize has to start.
type NonFiniteError struct {
	Value, GradNorm float64
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("inner: at the start of the inner problem g = %v and ‖∇z g‖ = %v: start elsewhere, or bound x",
		e.Value, e.GradNorm)
}

// Auto is [Newton] where g has second-order products and [LBFGS] where it does not.
type Auto struct{}

var _ Solver = Auto{}

// Start chooses a solver for g.
func (Auto) Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error) {
	if _, err := bilevel.NeedSecondOrder(g); err == nil {
		return Newton{}.Start(g, counts)
	}
	return LBFGS{}.Start(g, counts)
}

// oracle evaluates g over all samples at one x and counts.
type oracle struct {
	g      bilevel.Objective
	x      []float64
	all    bilevel.Batch
	counts *bilevel.Counts
}

func newOracle(g bilevel.Objective, counts *bilevel.Counts) oracle {
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	return oracle{g: g, all: bilevel.All(g), counts: counts}
}

// iterate is a point with what is known there.
type iterate struct {
	z, grad     []float64
	value, norm float64
}

func newIterate(d int) iterate {
	return iterate{z: make([]float64, d), grad: make([]float64, d)}
}

func (at *iterate) copy(from *iterate) {
	copy(at.z, from.z)
	copy(at.grad, from.grad)
	at.value, at.norm = from.value, from.norm
}

func (o *oracle) eval(at *iterate) {
	at.value = bilevel.ValueGrad(o.g, at.grad, nil, at.z, o.x, o.all)
	at.norm = vector.Norm(at.grad)
	o.counts.ValueG += int64(o.all.Len())
	o.counts.GradG += int64(o.all.Len())
}

func (at *iterate) finite() bool { return finite(at.value) && finite(at.norm) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// noise is the rounding error to reckon with in values of g near v.
func noise(v float64) float64 { return 64 * 0x1p-52 * math.Abs(v) }

// search looks along dir for a step α, starting with the given one, and leaves the point at.z + α·dir in trial.
// slope = ∇gᵀdir < 0. A step is accepted on
//
//	g(z + α dir) ≤ g(z) + 1e-4 α slope                                        (Armijo)
//
// or, where values differ by rounding only, on the derivatives, which are known better:
//
//	g(z + α dir) ≤ g(z) + noise  and  ∇g(z + α dir)ᵀdir ≤ −0.8 slope          (Hager and Zhang 2005, (4.1))
//
// With wolfe it also asks for ∇g(z + α dir)ᵀdir ≥ 0.9 slope. It reports whether it found a step and whether
// that step lowers g by more than rounding. It finds none where ctx is done.
func (o *oracle) search(ctx context.Context, at, trial *iterate, dir []float64, slope, alpha float64,
	wolfe bool) (ok, lowers bool) {
	lo, hi := 0.0, math.Inf(1)
	for range 60 {
		if ctx.Err() != nil {
			return false, false
		}
		floats.AddScaledTo(trial.z, at.z, alpha, dir)
		o.eval(trial)
		if !trial.finite() {
			hi = alpha
			alpha = lo + (hi-lo)/10
			continue
		}
		err := max(noise(at.value), noise(trial.value))
		after := floats.Dot(trial.grad, dir)
		armijo := trial.value <= at.value+1e-4*alpha*slope
		if armijo || trial.value <= at.value+err && after <= -.8*slope {
			lowers = trial.value < at.value-err
			if !wolfe || after >= .9*slope {
				return true, lowers
			}
			lo = alpha
			if math.IsInf(hi, 1) {
				alpha *= 4
			} else {
				alpha = lo + (hi-lo)/2
			}
			continue
		}
		hi = alpha
		if lo > 0 {
			alpha = lo + (hi-lo)/2
			continue
		}
		// The parabola through g(z), slope and the trial.
		q := -slope * alpha * alpha / (2 * (trial.value - at.value - slope*alpha))
		if !(q >= alpha/10) {
			q = alpha / 10
		}
		alpha = min(q, alpha/2)
	}
	return false, false
}

// atRounding says whether a step that promises to lower g by decrease is lost in rounding.
func atRounding(at *iterate, decrease float64) bool {
	return decrease <= 1e3*noise(at.value) || decrease <= 1e-300
}
