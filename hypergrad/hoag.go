package hypergrad

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// Rule says how x moves.
type Rule int

const (
	// QuasiNewton is a projected L-BFGS direction with a backtracking search along the projection arc; where
	// the domain is a [bilevel.Problem.Project] it is a spectral projected gradient.
	QuasiNewton Rule = iota
	// Adaptive is a projected gradient step 1/L with the paper's rule for L.
	Adaptive
)

func (r Rule) String() string {
	switch r {
	case QuasiNewton:
		return "quasi-newton"
	case Adaptive:
		return "adaptive"
	}
	return fmt.Sprintf("rule %d", int(r))
}

// HOAG minimises h over x with hypergradients from approximate implicit differentiation, whose tolerances fall
// as the optimisation converges; both levels start where they ended.
//
// A step of the run is one evaluation of h and ∇h. With [Adaptive] it is x⁺ = P(x − ∇h/L) and then, with
// Δ = ‖x⁺ − x‖ and L₀ = ‖∇h(x₀)‖/√p,
//
//	h(x⁺) ≤ h(x) + ε_k/4 + 1.25 ε_{k−1}Δ − LΔ²   L ← 0.95 L   (ε in units of |h(x₀)|),
//	h(x⁺) ≥ h(x) + 0.2 |h(x)|                     L ← 2L, x stays, and all tolerances are halved;
//
// the second also where h(x⁺) > h(x) + ε_k/4 + 1.25 ε_{k−1}Δ, a rise that the tolerances do not explain: with
// the paper's rule alone h can rise by 19% in every step for good, and it does on quadratics.
//
// With [QuasiNewton] the free variables, those that no bound holds, move along an L-BFGS direction of their
// own, the step is halved or interpolated until h falls enough (Armijo), and pairs without curvature are left
// out. The run ends by itself, with [bilevel.ErrDone], where no step lowers h beyond rounding even after the
// tolerances were tightened.
//
// Assumes that g(·, x) is smooth and strongly convex. Cost per step: one hypergradient, see [AID]. Memory:
// 4d + (2·Memory + 7)p numbers and that of the estimator. The seed is that of
// all draws of a stochastic estimator: the run minimises one sample of h.
//
// Pedregosa, Hyperparameter optimization with approximate gradient, 2016, algorithm 1 and section 4 (whose
// code steps x twice; this does not). Projected quasi-Newton directions: Bertsekas, Projected Newton methods
// for optimization problems with simple constraints, 1982. Spectral projected gradient: Birgin, Martínez,
// Raydan, Nonmonotone spectral projected gradient methods on convex sets, 2000, algorithm 2.1 (SPG2).
type HOAG struct {
	// Estimator computes hypergradients to tolerances. The default is AID{}.
	Estimator Estimator
	// Tolerance is how the tolerances fall. The default is AutoTolerance.
	Tolerance Sequence
	// FirstTolerance is ε₀, for the inner problem relative to the larger of ‖∇z g‖ at z = 0 and at the start.
	// The default is 1e-3.
	FirstTolerance float64
	// Step is how x moves. The default is QuasiNewton.
	Step Rule
	// Memory is the number of pairs kept by QuasiNewton. The default is 10.
	Memory int
}

var _ bilevel.Method = HOAG{}

// Start is described at [bilevel.Method].
func (m HOAG) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if m.FirstTolerance == 0 {
		m.FirstTolerance = defaultTolerance
	}
	if m.Memory == 0 {
		m.Memory = 10
	}
	if !(m.FirstTolerance > 0) || m.Memory < 0 || !m.Tolerance.known() || m.Step < 0 ||
		m.Step > Adaptive {
		return nil, fmt.Errorf("hypergrad: HOAG with FirstTolerance %v, Memory %d, Tolerance %v, Step %v", m.FirstTolerance,
			m.Memory, m.Tolerance, m.Step)
	}
	r := &hoag{m: m, effort: Effort{Seed: seed}}
	if err := r.init(p, at, m.Estimator, m.Tolerance, m.FirstTolerance); err != nil {
		return nil, err
	}
	n := len(r.now.at.X)
	r.lastStep = math.Sqrt(float64(n))
	r.mem = newMemory(p, n, m.Memory)
	return r, nil
}

type hoag struct {
	outerRun
	m      HOAG
	effort Effort

	lipschitz float64 // L of the adaptive rule

	mem       memory
	tightened bool // to no effect, since the last accepted step
	done      bool
	lastStep  float64 // length of the last accepted step
	recent    []float64
}

var (
	_ bilevel.Run        = (*hoag)(nil)
	_ bilevel.Progresser = (*hoag)(nil)
	_ bilevel.Noter      = (*hoag)(nil)
	_ bilevel.Stateful   = (*hoag)(nil)
)

// Step evaluates one hypergradient.
func (r *hoag) Step(ctx context.Context) error {
	if !r.started {
		if err := r.start(ctx, r.effort); err != nil {
			return err
		}
		r.startLipschitz()
		r.remember()
		return nil
	}
	if r.done {
		return r.finish()
	}
	if r.now.norm == 0 {
		if r.eps <= leastTolerance {
			return r.finish()
		}
		// An inner solution to a loose tolerance may know nothing of x: look again.
		r.tighten(1e-4)
		return r.evaluate(ctx, &r.now, r.effort)
	}
	if r.m.Step == Adaptive {
		return r.stepAdaptive(ctx)
	}
	return r.stepQuasiNewton(ctx)
}

// accept makes the trial the current point.
func (r *hoag) accept() {
	r.outerRun.accept()
	r.search.active, r.search.tries, r.tightened = false, 0, false
}

func (r *hoag) startLipschitz() {
	r.lipschitz = floats.Norm(r.now.grad, 2) / math.Sqrt(float64(len(r.now.grad))) // L₀ = ‖∇h‖/√p
}

// stepAdaptive is the paper's step.
func (r *hoag) stepAdaptive(ctx context.Context) error {
	for j, x := range r.now.at.X {
		r.next.at.X[j] = x - r.now.grad[j]/r.lipschitz
	}
	r.p.ProjectX(r.next.at.X)
	delta := floats.Distance(r.next.at.X, r.now.at.X, 2)
	if delta == 0 { // no step lowers h
		same, err := r.again(ctx, r.effort)
		if err != nil || !same {
			r.startLipschitz()
			return err
		}
		return r.finish()
	}
	r.begin()
	old := r.now.value
	err := r.evaluate(ctx, &r.next, r.effort)
	slack := r.outerScale * (r.eps/4 + 1.25*r.now.eps*delta)
	if err != nil || r.next.value-old >= .2*math.Abs(old) || r.next.value-old > slack {
		if r.search.tries++; err != nil && (ctx.Err() != nil || r.search.tries > 3*mostTries) {
			return err
		}
		r.lipschitz *= 2
		r.tighten(.5)
		return nil
	}
	if r.next.value <= old+slack-r.lipschitz*delta*delta {
		r.lipschitz *= .95
	}
	r.accept()
	return nil
}

// stepQuasiNewton tries one step along the current direction, or along a new one.
func (r *hoag) stepQuasiNewton(ctx context.Context) error {
	s, next := &r.search, r.next.at.X
	spectral := r.p.Project != nil
	if !s.active {
		if spectral {
			r.spectralDirection()
		} else {
			r.mem.direction(s.dir, r.now.at.X, r.now.grad)
		}
		s.active, s.alpha, s.tries = true, 1, 0
	}
	r.move(1)
	if !spectral { // whose direction leads from one feasible point to another
		r.p.ProjectX(next)
	}
	predicted := r.predicted()
	if !(predicted < 0) {
		return r.failed(ctx)
	}
	h := r.now.value
	if spectral {
		h = floats.Max(r.recent) // nonmonotone
	}
	result, err := r.try(ctx, r.effort, h, predicted)
	switch {
	case err != nil:
		return err
	case result == failed:
		return r.failed(ctx)
	case result == accepted:
		r.lastStep = floats.Distance(next, r.now.at.X, 2)
		r.mem.follow(floats.Distance(next, r.now.at.X, math.Inf(1)))
		r.mem.add(next, r.now.at.X, r.next.grad, r.now.grad)
		r.accept()
		r.remember()
	}
	return nil
}

// failed gives up the current direction, and tries without the memory, then with tighter tolerances as long as
// they make a difference, then nothing more.
func (r *hoag) failed(ctx context.Context) error {
	r.search.active = false
	r.lastStep = math.Sqrt(float64(len(r.search.dir)))
	if r.mem.stored > 0 {
		r.mem.reset()
		return nil
	}
	if r.tightened {
		return r.finish()
	}
	r.mem.reset()
	same, err := r.again(ctx, r.effort)
	if err != nil {
		return err
	}
	r.recent = r.recent[:0] // values of looser tolerances
	r.remember()
	r.tightened = same
	return nil
}

func (r *hoag) finish() error {
	r.done = true
	return r.end()
}

// remembered is how many values of h the nonmonotone search looks back on.
const remembered = 5

// remember keeps the last values for the nonmonotone search of the spectral projected gradient.
func (r *hoag) remember() {
	if r.p.Project == nil {
		return
	}
	if len(r.recent) == remembered {
		r.recent = append(r.recent[:0], r.recent[1:]...)
	}
	r.recent = append(r.recent, r.now.value)
}

// spectralDirection sets dir = P(x − λ∇h) − x, λ = sᵀs/sᵀy.
func (r *hoag) spectralDirection() {
	lambda := r.mem.spectral()
	if lambda == 0 {
		lambda = r.lastStep / floats.Norm(r.now.grad, 2)
	}
	dir := r.search.dir
	floats.AddScaledTo(dir, r.now.at.X, -lambda, r.now.grad)
	r.p.ProjectX(dir)
	floats.Sub(dir, r.now.at.X)
}

// State is described at [bilevel.Stateful].
func (r *hoag) State(s *bilevel.State) {
	r.state(s)
	s.Bool(&r.tightened)
	s.Bool(&r.done)
	s.Float(&r.lipschitz)
	s.Float(&r.lastStep)
	s.Floats(&r.recent)
	if spectral := r.p.Project != nil && r.started; len(r.recent) > remembered || spectral != (len(r.recent) > 0) {
		s.Fail(fmt.Errorf("hypergrad: the checkpoint remembers %d values of h", len(r.recent)))
	}
	r.mem.state(s)
}
