package hypergrad

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// Sequence says how the tolerances ε_k of the inner problem and of the adjoint system fall with the number k
// of accepted steps.
type Sequence int

const (
	// AutoTolerance ties them to the optimisation: ε_k = min(ε_{k−1}, ‖x − P(x − ∇h)‖/100), and less where what
	// the inner solver left could decide whether h fell.
	AutoTolerance Sequence = iota
	// Exponential is ε_k = ε₀·0.9^k.
	Exponential
	// Quadratic is ε_k = ε₀/k².
	Quadratic
	// Cubic is ε_k = ε₀/k³.
	Cubic
)

func (s Sequence) String() string {
	switch s {
	case AutoTolerance:
		return "auto"
	case Exponential:
		return "exponential"
	case Quadratic:
		return "quadratic"
	case Cubic:
		return "cubic"
	}
	return fmt.Sprintf("sequence %d", int(s))
}

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
// 3d + (2·Memory + 6)p numbers and that of the estimator. Deterministic: the seed is not used.
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
func (m HOAG) Start(p *bilevel.Problem, at bilevel.Point, _ uint64) (bilevel.Run, error) {
	if m.FirstTolerance == 0 {
		m.FirstTolerance = 1e-3
	}
	if m.Memory == 0 {
		m.Memory = 10
	}
	if !(m.FirstTolerance > 0) || m.Memory < 0 || m.Tolerance < 0 || m.Tolerance > Cubic || m.Step < 0 || m.Step > Adaptive {
		return nil, fmt.Errorf("hypergrad: HOAG with FirstTolerance %v, Memory %d, Tolerance %v, Step %v", m.FirstTolerance, m.Memory, m.Tolerance, m.Step)
	}
	if m.Estimator == nil {
		m.Estimator = AID{}
	}
	r := &hoag{m: m, p: p}
	var err error
	if r.hyper, err = m.Estimator.Start(p, &r.counts); err != nil {
		return nil, err
	}
	if r.now.at, err = p.StartPoint(at); err != nil {
		return nil, err
	}
	if r.next.at, err = p.StartPoint(r.now.at); err != nil {
		return nil, err
	}
	n := len(r.now.at.X)
	r.now.grad, r.next.grad = make([]float64, n), make([]float64, n)
	r.now.value, r.now.norm = math.NaN(), math.NaN()
	r.dir = make([]float64, n)
	r.eps = m.FirstTolerance
	r.shrink = 1
	r.lastStep = math.Sqrt(float64(n))
	r.mem = newMemory(p, n, m.Memory)
	return r, nil
}

// position is a point with what is known there.
type position struct {
	at         bilevel.Point
	grad       []float64
	value      float64
	norm       float64 // of the projected gradient
	correction float64 // |⟨v, ∇z g⟩|
}

type hoag struct {
	m      HOAG
	p      *bilevel.Problem
	hyper  Hypergradient
	counts bilevel.Counts

	now, next              position // the current point and a trial
	started                bool
	eps                    float64 // ε_k, relative to the next two
	innerScale, outerScale float64 // sizes of ∇z g and of h at the start
	shrink                 float64 // what backtracking multiplies the sequence by
	k                      int     // accepted steps
	lipschitz              float64 // L of the adaptive rule

	mem       memory
	dir       []float64
	searching bool    // dir and alpha are set
	refining  bool    // the next evaluation is of the same trial, from where the last one ended
	alpha     float64 // the step to try next
	tries     int     // rejected ones
	tightened bool    // to no effect, since the last accepted step
	done      bool
	lastStep  float64 // length of the last accepted step
	recent    []float64

	warned bool
	notes  []string
}

var (
	_ bilevel.Run        = (*hoag)(nil)
	_ bilevel.Progresser = (*hoag)(nil)
	_ bilevel.Noter      = (*hoag)(nil)
	_ bilevel.Stateful   = (*hoag)(nil)
)

// Step evaluates one hypergradient.
func (r *hoag) Step() error {
	if !r.started {
		r.innerScale = r.gradientScale()
		if err := r.evaluate(&r.now); err != nil {
			return err
		}
		r.started = true
		if r.outerScale = math.Abs(r.now.value); r.outerScale == 0 {
			r.outerScale = 1
		}
		r.lipschitz = floats.Norm(r.now.grad, 2) / math.Sqrt(float64(len(r.now.grad))) // L₀ = ‖∇h‖/√p
		r.remember()
		r.tolerance()
		return nil
	}
	if r.done {
		return r.finish()
	}
	if r.now.norm == 0 {
		if r.eps <= leastTolerance {
			return r.finish()
		}
		// A loose inner solution may know nothing of x: look again.
		r.tighten(1e-4)
		return r.evaluate(&r.now)
	}
	if r.m.Step == Adaptive {
		return r.stepAdaptive()
	}
	return r.stepQuasiNewton()
}

// gradientScale is the size of ∇z g where nothing has been solved.
func (r *hoag) gradientScale() float64 {
	g := r.p.Inner
	all := bilevel.All(g)
	grad := make([]float64, len(r.now.at.Z))
	scale := 0.0
	for _, z := range [][]float64{make([]float64, len(grad)), r.now.at.Z} {
		g.Grad(grad, nil, z, r.now.at.X, all)
		r.counts.GradG += int64(all.Len())
		if n := floats.Norm(grad, 2); !math.IsInf(n, 0) {
			scale = max(scale, n)
		}
	}
	if !(scale > 0) {
		return 1
	}
	return scale
}

// evaluate fills in what is known at q, starting from what q holds.
func (r *hoag) evaluate(q *position) error {
	rep, err := r.hyper.At(q.grad, q.at, Effort{Inner: r.eps * r.innerScale, Linear: min(r.eps, .1)})
	if err != nil {
		return err
	}
	q.value, q.correction = rep.Value, math.Abs(rep.Correction)
	q.norm = r.projectedNorm(q)
	if rep.Warning != nil && !r.warned {
		r.notes = append(r.notes, rep.Warning.Error())
	}
	r.warned = rep.Warning != nil
	return nil
}

func (r *hoag) projectedNorm(q *position) float64 {
	pg := r.mem.scratch
	r.p.ProjectedGrad(pg, q.at.X, q.grad)
	return floats.Norm(pg, 2)
}

// begin sets next's start: x is up to the caller, z and v are those of the current point.
func (r *hoag) begin() {
	copy(r.next.at.Z, r.now.at.Z)
	copy(r.next.at.V, r.now.at.V)
}

// accept makes the trial the current point.
func (r *hoag) accept() {
	r.now, r.next = r.next, r.now
	r.k++
	r.searching, r.refining, r.tightened, r.tries = false, false, false, 0
	r.tolerance()
}

// tolerance sets ε_k.
func (r *hoag) tolerance() {
	k := float64(max(r.k, 1))
	switch r.m.Tolerance {
	case AutoTolerance:
		r.eps = min(r.eps, r.now.norm/r.outerScale/100)
	case Exponential:
		r.eps = r.shrink * r.m.FirstTolerance * math.Pow(.9, float64(r.k))
	case Quadratic:
		r.eps = r.shrink * r.m.FirstTolerance / (k * k)
	case Cubic:
		r.eps = r.shrink * r.m.FirstTolerance / (k * k * k)
	}
	r.eps = max(r.eps, leastTolerance)
}

// leastTolerance is where tolerances end; the solvers stop at rounding level before it.
const leastTolerance = 1e-15

// tighten multiplies this and all later tolerances.
func (r *hoag) tighten(by float64) {
	r.shrink *= by
	r.eps = max(r.eps*by, leastTolerance)
}

// stepAdaptive is the paper's step.
func (r *hoag) stepAdaptive() error {
	for j, x := range r.now.at.X {
		r.next.at.X[j] = x - r.now.grad[j]/r.lipschitz
	}
	r.p.ProjectX(r.next.at.X)
	delta := floats.Distance(r.next.at.X, r.now.at.X, 2)
	if delta == 0 {
		return r.finish()
	}
	r.begin()
	before, old := r.eps, r.now.value
	err := r.evaluate(&r.next)
	slack := r.outerScale * (r.eps/4 + 1.25*before*delta)
	if err != nil || r.next.value-old >= .2*math.Abs(old) || r.next.value-old > slack {
		if r.tries++; err != nil && r.tries > 60 {
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
func (r *hoag) stepQuasiNewton() error {
	x, next := r.now.at.X, r.next.at.X
	spectral := r.p.Project != nil
	if !r.searching {
		if spectral {
			r.spectralDirection()
		} else {
			r.mem.direction(r.dir, x, r.now.grad)
		}
		r.searching, r.alpha, r.tries = true, 1, 0
	}
	for j := range next {
		next[j] = x[j] + r.alpha*r.dir[j]
	}
	if !spectral {
		r.p.ProjectX(next)
	}
	predicted := 0.0 // ∇hᵀ(x⁺ − x)
	for j := range next {
		predicted += r.now.grad[j] * (next[j] - x[j])
	}
	if !(predicted < 0) {
		return r.failed()
	}
	if !r.refining {
		r.begin()
	}
	r.refining = false
	err := r.evaluate(&r.next)
	if err != nil {
		if r.tries++; r.tries > 60 {
			return err
		}
		r.alpha /= 10
		return nil
	}
	h, after := r.now.value, r.next.value
	if spectral {
		h = floats.Max(r.recent) // nonmonotone
	}
	rounding := r.rounding()
	change := after - h
	if change <= 1e-4*predicted || change <= rounding && r.next.norm < .9*r.now.norm {
		if r.m.Tolerance == AutoTolerance && r.next.correction > .1*math.Abs(after-r.now.value) {
			r.tighten(.1)
			// A gain that is mostly the correction is no gain until a tighter solve has confirmed it.
			if r.next.correction > .5*math.Abs(change) && r.eps > leastTolerance {
				r.refining = true
				return nil
			}
		}
		r.lastStep = floats.Distance(next, x, 2)
		r.mem.follow(floats.Distance(next, x, math.Inf(1)))
		r.mem.add(next, x, r.next.grad, r.now.grad)
		r.accept()
		r.remember()
		return nil
	}
	r.tries++
	if -predicted <= rounding || r.tries >= 20 {
		return r.failed()
	}
	// The parabola through h(x), its slope and the trial.
	q := r.alpha * -predicted / (2 * (change - predicted))
	r.alpha = min(max(q, r.alpha/10), r.alpha/2)
	return nil
}

// failed gives up the current direction, and tries without the memory, then with tighter tolerances as long as
// they make a difference, then nothing more.
func (r *hoag) failed() error {
	r.searching = false
	r.lastStep = math.Sqrt(float64(len(r.dir)))
	if r.mem.held > 0 {
		r.mem.reset()
		return nil
	}
	if r.tightened {
		return r.finish()
	}
	value, norm := r.now.value, r.now.norm
	r.tighten(1e-2)
	r.mem.reset()
	if err := r.evaluate(&r.now); err != nil {
		return err
	}
	r.recent = r.recent[:0] // values of looser tolerances
	r.remember()
	r.tightened = r.eps <= leastTolerance || math.Abs(r.now.value-value) <= r.rounding() && math.Abs(r.now.norm-norm) <= norm/10
	return nil
}

// rounding is the rounding error to reckon with in values of h.
func (r *hoag) rounding() float64 { return 64 * 0x1p-52 * math.Abs(r.now.value) }

func (r *hoag) finish() error {
	r.done = true
	return bilevel.ErrDone
}

// remember keeps the last values for the nonmonotone search of the spectral projected gradient.
func (r *hoag) remember() {
	if r.p.Project == nil {
		return
	}
	if len(r.recent) == 5 {
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
	for j, x := range r.now.at.X {
		r.dir[j] = x - lambda*r.now.grad[j]
	}
	r.p.ProjectX(r.dir)
	floats.Sub(r.dir, r.now.at.X)
}

// Point is described at [bilevel.Run].
func (r *hoag) Point() bilevel.Point {
	clone := func(s []float64) []float64 { return append([]float64(nil), s...) }
	return bilevel.Point{Z: clone(r.now.at.Z), X: clone(r.now.at.X), V: clone(r.now.at.V)}
}

// Counts is described at [bilevel.Run].
func (r *hoag) Counts() bilevel.Counts { return r.counts }

// Progress is described at [bilevel.Progresser]. The value is h plus the size of the correction for the rest of
// the inner solver, so that the smallest of a run's values is not the error of a loose tolerance.
func (r *hoag) Progress() (value, gradNorm float64) {
	return r.now.value + r.now.correction, r.now.norm
}

// Notes is described at [bilevel.Noter].
func (r *hoag) Notes() []string {
	n := r.notes
	r.notes = nil
	return n
}

var errRing = errors.New("hypergrad: the checkpoint's L-BFGS memory does not fit")

// State is described at [bilevel.Stateful].
func (r *hoag) State(s *bilevel.State) {
	c := &r.counts
	for _, n := range []*int64{&c.ValueF, &c.ValueG, &c.GradF, &c.GradG, &c.HessG, &c.CrossG} {
		s.Int64(n)
	}
	for _, q := range []*position{&r.now, &r.next} {
		s.Fixed(q.at.Z, q.at.X, q.at.V, q.grad)
		s.Float(&q.value)
		s.Float(&q.norm)
		s.Float(&q.correction)
	}
	s.Bool(&r.started)
	s.Bool(&r.searching)
	s.Bool(&r.refining)
	s.Bool(&r.tightened)
	s.Bool(&r.done)
	s.Bool(&r.warned)
	s.Int(&r.k)
	s.Int(&r.tries)
	for _, f := range []*float64{&r.eps, &r.innerScale, &r.outerScale, &r.shrink, &r.lipschitz, &r.alpha, &r.lastStep} {
		s.Float(f)
	}
	s.Fixed(r.dir)
	s.Floats(&r.recent)
	s.Strings(&r.notes)
	r.mem.state(s)
}
