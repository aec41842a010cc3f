package hypergrad

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"gonum.org/v1/gonum/floats"
)

// position is a point with what is known there.
type position struct {
	at         bilevel.Point
	grad       []float64
	value      float64 // h, corrected to first order
	norm       float64 // of the projected gradient
	correction float64 // |⟨v, ∇z g⟩|
	unsolved   float64 // Σ|v_i ∂g/∂z_i| where the inner solver kept its tolerance
	eps        float64 // the tolerance it was evaluated to
}

// outerRun is what the outer loops share: a point with its hypergradient, a trial, and the tolerances.
type outerRun struct {
	p        *bilevel.Problem
	hyper    Hypergradient
	counts   bilevel.Counts
	sequence Sequence
	first    float64 // ε₀

	now, next              position // the current point and a trial
	started                bool
	eps                    float64 // ε_k, relative to the next two
	innerScale, outerScale float64 // sizes of ∇z g and of h at the start
	shrink                 float64 // what backtracking multiplies the sequence by
	k                      int     // accepted steps
	successes, failures    int     // inner problems since the last of them that were solved, and that were not

	search       search
	coldZ, coldV []float64 // where every evaluation starts, or nil: warm
	kink         bool      // h has derivatives to either side only at the last point

	scratch []float64
	warned  bool
	notes   []string
}

func (r *outerRun) init(p *bilevel.Problem, at bilevel.Point, e Estimator, sequence Sequence, first float64) error {
	if e == nil {
		e = AID{}
	}
	var err error
	if r.hyper, err = e.Start(p, &r.counts); err != nil {
		return err
	}
	if r.now.at, err = p.StartPoint(at); err != nil {
		return err
	}
	if r.next.at, err = p.StartPoint(r.now.at); err != nil {
		return err
	}
	n := len(r.now.at.X)
	r.now.grad, r.next.grad, r.scratch = make([]float64, n), make([]float64, n), make([]float64, n)
	r.search.dir = make([]float64, n)
	r.now.value, r.now.norm = math.NaN(), math.NaN()
	r.p, r.sequence, r.first = p, sequence, first
	r.eps, r.shrink = first, 1
	return nil
}

// start evaluates the first point.
func (r *outerRun) start(ctx context.Context, effort Effort) error {
	r.innerScale = r.residualScale()
	// What the value's tolerance is relative to is not known yet.
	if err := r.evaluate(ctx, &r.now, effort); err != nil {
		return err
	}
	r.scaleByValue()
	if r.now.unsolved > r.eps*r.outerScale {
		if err := r.evaluate(ctx, &r.now, effort); err != nil {
			return err
		}
		r.scaleByValue()
	}
	r.started = true
	r.tolerance()
	return nil
}

// scaleByValue sets what values of h are compared with.
func (r *outerRun) scaleByValue() {
	if r.outerScale = math.Abs(r.now.value); r.outerScale == 0 {
		r.outerScale = 1
	}
}

// residualScale is the size of ∇z g or Φ − z where nothing has been solved.
func (r *outerRun) residualScale() float64 {
	res := make([]float64, len(r.now.at.Z))
	var norm inner.Norm
	if r.p.Inner != nil {
		norm = inner.NewNorm(r.p.Inner)
	}
	scale := 0.0
	for _, z := range [][]float64{make([]float64, len(res)), r.now.at.Z} {
		if phi := r.p.Fixed; phi != nil {
			phi.Map(res, z, r.now.at.X, bilevel.Batch{Lo: 0, Hi: phi.Samples()})
			floats.Sub(res, z)
			r.counts.GradG += int64(phi.Samples())
		} else {
			all := bilevel.All(r.p.Inner)
			r.p.Inner.Grad(res, nil, z, r.now.at.X, all)
			r.counts.GradG += int64(all.Len())
		}
		if n := norm.Of(res); !math.IsInf(n, 0) {
			scale = max(scale, n)
		}
	}
	if !(scale > 0) {
		return 1
	}
	return scale
}

// evaluate fills in what is known at q, starting from what q holds or from the cold start, to the current tolerances.
func (r *outerRun) evaluate(ctx context.Context, q *position, effort Effort) error {
	if r.coldZ != nil {
		copy(q.at.Z, r.coldZ)
	}
	if r.coldV != nil {
		copy(q.at.V, r.coldV)
	}
	effort.Inner, effort.LinearTol = r.eps*r.innerScale, min(r.eps, .1)
	if r.outerScale > 0 { // known
		effort.ValueTol = max(r.eps*r.outerScale, r.rounding())
	}
	rep, err := r.hyper.At(ctx, q.grad, q.at, effort)
	if err != nil {
		return err
	}
	q.value = rep.Value
	if q.correction = math.Abs(rep.Correction); q.correction == 0 {
		q.correction = rep.Unsolved // too large for a correction
	}
	q.unsolved = 0
	if rep.Inner.GradNorm <= effort.Inner { // else a number of steps was asked for
		q.unsolved = rep.Unsolved
	}
	r.p.ProjectedGrad(r.scratch, q.at.X, q.grad)
	q.norm = floats.Norm(r.scratch, 2)
	q.eps = r.eps
	var kink Kink
	r.kink = errors.As(rep.Warning, &kink)
	var unsolved *inner.NotConvergedError
	// What tolerances near rounding leave is solved well enough.
	if left := rep.Inner.GradNorm / r.innerScale; left > 1e-9 && errors.As(rep.Warning, &unsolved) || left > 1e3 {
		r.failures++
	} else {
		r.successes++
	}
	if rep.Warning != nil && !r.warned {
		r.notes = append(r.notes, rep.Warning.Error())
	}
	r.warned = rep.Warning != nil
	return nil
}

// begin sets next's start: x is up to the caller, z and v are those of the current point.
func (r *outerRun) begin() {
	copy(r.next.at.Z, r.now.at.Z)
	copy(r.next.at.V, r.now.at.V)
}

// accept makes the trial the current point.
func (r *outerRun) accept() {
	r.now, r.next = r.next, r.now
	r.k++
	r.successes, r.failures = 0, 0
	r.search.promised = 0
	r.tolerance()
}

// tolerance sets ε_k.
func (r *outerRun) tolerance() {
	if at := sequences[r.sequence].at; at != nil {
		r.eps = at(r.shrink*r.first, r.k)
	} else {
		r.eps = min(r.eps, r.now.norm/r.outerScale/100)
	}
	r.eps = max(r.eps, leastTolerance)
}

// defaultTolerance is ε₀.
const defaultTolerance = 1e-3

// leastTolerance is where tolerances end; the solvers stop at rounding level before it.
const leastTolerance = 1e-15

// tighten multiplies this and all later tolerances.
func (r *outerRun) tighten(by float64) {
	r.shrink *= by
	r.eps = max(r.eps*by, leastTolerance)
}

// predicted is ∇hᵀ(x⁺ − x) for the trial x⁺.
func (r *outerRun) predicted() float64 {
	s := 0.0
	for j, g := range r.now.grad {
		s += g * (r.next.at.X[j] - r.now.at.X[j])
	}
	return s
}

// largeFall is what makes a gradient large where no step lowers h: the fall of h that it promises, judged by the
// curvature that trials have met, relative to h at the start.
const largeFall = 1e-3

// end is what ends a run: [bilevel.ErrDone], but not where the inner problem was hardly ever solved since the last
// accepted step, so that values of h mean nothing, or where the gradient still promises much.
func (r *outerRun) end() error {
	switch {
	case r.failures > r.successes:
		return fmt.Errorf("hypergrad: no step lowers h, but of the last %d inner problems %d were not solved: "+
			"the inner iteration does not converge, or needs more steps", r.successes+r.failures, r.failures)
	case r.search.promised > largeFall*r.outerScale && !r.kink:
		return bilevel.ErrNoDescent
	}
	return bilevel.ErrDone
}

// doubtful says whether the trial's gain is mostly the correction: it is no gain until a tighter solve has
// confirmed it. Tolerances are tightened where the correction matters.
func (r *outerRun) doubtful(change float64) bool {
	if r.sequence != AutoTolerance || r.next.correction <= .1*math.Abs(r.next.value-r.now.value) {
		return false
	}
	r.tighten(.1)
	return r.next.correction > .5*math.Abs(change) && r.eps > leastTolerance
}

// again evaluates the current point to tighter tolerances. It reports whether they make no difference.
func (r *outerRun) again(ctx context.Context, effort Effort) (same bool, err error) {
	value, norm := r.now.value, r.now.norm
	r.tighten(1e-2)
	if err := r.evaluate(ctx, &r.now, effort); err != nil {
		return false, err
	}
	change := math.Abs(r.now.value - value)
	if r.eps <= leastTolerance {
		// An estimator that makes a fixed number of steps comes closer each time, from where it ended.
		return change <= 1e-12*r.outerScale+1e-9*math.Abs(value), nil
	}
	return change <= r.rounding() && math.Abs(r.now.norm-norm) <= norm/10, nil
}

// rounding is the rounding error to reckon with in values of h.
func (r *outerRun) rounding() float64 { return 64 * 0x1p-52 * math.Abs(r.now.value) }

// Point is described at [bilevel.Run].
func (r *outerRun) Point() bilevel.Point {
	clone := func(s []float64) []float64 { return append([]float64(nil), s...) }
	return bilevel.Point{Z: clone(r.now.at.Z), X: clone(r.now.at.X), V: clone(r.now.at.V)}
}

// Counts is described at [bilevel.Run].
func (r *outerRun) Counts() bilevel.Counts { return r.counts }

// Progress is described at [bilevel.Progresser]. The value is h plus the size of the correction for the rest of
// the inner solver, so that the smallest of a run's values is not the error of a loose tolerance. It is not below
// f(z, x) at the point that Point returns, nor above it by more than 2ε_k of h at the start.
func (r *outerRun) Progress() (value, gradNorm float64) {
	return r.now.value + r.now.correction, r.now.norm
}

// Notes is described at [bilevel.Noter].
func (r *outerRun) Notes() []string {
	n := r.notes
	r.notes = nil
	return n
}

// state is the shared part of a run's State.
func (r *outerRun) state(s *bilevel.State) {
	s.Counts(&r.counts)
	for _, q := range []*position{&r.now, &r.next} {
		s.Fixed(q.at.Z, q.at.X, q.at.V, q.grad)
		s.Float(&q.value)
		s.Float(&q.norm)
		s.Float(&q.correction)
		s.Float(&q.eps)
	}
	s.Bool(&r.started)
	for _, f := range []*float64{&r.eps, &r.innerScale, &r.outerScale, &r.shrink} {
		s.Float(f)
	}
	if !(r.eps > 0) || r.started && !(r.innerScale > 0 && r.outerScale > 0) { // no solver would come to an end
		s.Fail(fmt.Errorf("hypergrad: the checkpoint has the tolerance %v of %v and %v", r.eps, r.innerScale, r.outerScale))
	}
	s.Count(&r.k)
	s.Count(&r.successes)
	s.Count(&r.failures)
	s.Fixed(r.search.dir, r.coldZ, r.coldV)
	s.Float(&r.search.alpha)
	s.Bool(&r.search.active)
	s.Bool(&r.search.refining)
	s.Count(&r.search.tries)
	s.Float(&r.search.promised)
	s.Bool(&r.kink)
	s.Bool(&r.warned)
	s.Strings(&r.notes)
}
