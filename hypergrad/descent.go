package hypergrad

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// Descent is inexact hypergradient descent, x ← P(x − α·direction), with any [Estimator] and [Optimizer]; with
// [SID] it is its stochastic form.
//
// The first step of the run evaluates h and ∇h at the start, and each further one moves x and evaluates there.
//
// With α = 0 the step is searched for. α is accepted where h(x⁺) ≤ h(x) + 10⁻⁴⟨∇h, x⁺ − x⟩, otherwise it shrinks
// by a factor between 2 and 10; it doubles where the first trial was accepted. A direction along which h does not
// fall makes the optimizer forget, and where that does not help and tighter tolerances make no difference the run
// ends, with [bilevel.ErrDone].
//
// The search of a [Randomized] estimator compares values of the same samples, from the same z and v: each new
// point is evaluated once more on new samples before the search goes on from there. After the first rejection α
// grows by 2% a step, and each time that it shrinks is noted. Such runs do not know h, for which there is
// [bilevel.Settings.Evaluator]; neither they nor those with α > 0 end by themselves, but for a projected ∇h that is
// zero: give them a budget. Values of an estimator that makes few steps can lie below h, and the record with the
// smallest one is then not the best: take [bilevel.Result.Last], or an evaluator.
//
// Cost per step: one evaluation by the estimator. Memory: 6p + 4d numbers, with a randomized estimator or cold
// starts 2d more for each, and those of estimator and optimizer.
//
// Grazzi, Franceschi, Pontil, Salzo, On the iteration complexity of hypergradient computation, 2020; Grazzi,
// Pontil, Salzo, Bilevel optimization with a lower-level contraction: optimal sample complexity without
// warm-start, 2023, algorithm 1. Values of the same samples: Vaswani et al., Painless stochastic gradient, 2019.
type Descent struct {
	// Estimator computes hypergradients. The default is AID{}.
	Estimator Estimator
	// Optimizer makes directions of them. The default is GD{}.
	Optimizer Optimizer
	// Step is α. The default, 0, searches.
	Step float64
	// Tolerance and FirstTolerance are those of [HOAG], for estimators that solve to a tolerance.
	Tolerance      Sequence
	FirstTolerance float64
	// InnerSteps, LinearSteps and Samples are t_s, k_s and J_s, for estimators that count. The defaults are the
	// estimator's own numbers.
	InnerSteps, LinearSteps, Samples Schedule
	// ColdStart begins each inner solve at the run's start z, and ColdAdjoint each adjoint at its start v; by
	// default both begin where they ended.
	ColdStart, ColdAdjoint bool
}

var _ bilevel.Method = Descent{}

// Randomized is a [Hypergradient] that can depend on Effort.Seed.
type Randomized interface {
	// Randomized says whether it does, at this effort.
	Randomized(effort Effort) bool
}

// Start is described at [bilevel.Method].
func (m Descent) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if m.FirstTolerance == 0 {
		m.FirstTolerance = defaultTolerance
	}
	if !(m.FirstTolerance > 0) || !m.Tolerance.known() || !(m.Step >= 0) || math.IsInf(m.Step, 0) {
		return nil, fmt.Errorf("hypergrad: Descent with Step %v, FirstTolerance %v, Tolerance %v",
			m.Step, m.FirstTolerance, m.Tolerance)
	}
	if !m.InnerSteps.valid() || !m.LinearSteps.valid() || !m.Samples.valid() {
		return nil, fmt.Errorf("hypergrad: Descent with the schedules %+v, %+v, %+v", m.InnerSteps, m.LinearSteps, m.Samples)
	}
	if m.Optimizer == nil {
		m.Optimizer = GD{}
	}
	r := &descent{m: m, seed: seed}
	if err := r.init(p, at, m.Estimator, m.Tolerance, m.FirstTolerance); err != nil {
		return nil, err
	}
	r.search.alpha = m.Step
	var err error
	if r.rule, err = m.Optimizer.Start(len(r.now.at.X)); err != nil {
		return nil, err
	}
	if h, ok := r.hyper.(Randomized); ok {
		r.randomized = h.Randomized(r.effort(0))
	}
	if m.ColdStart {
		r.coldZ = append([]float64(nil), r.now.at.Z...)
	}
	if m.ColdAdjoint {
		r.coldV = append([]float64(nil), r.now.at.V...)
	}
	if r.randomized && m.Step == 0 {
		r.fromZ, r.fromV = append([]float64(nil), r.now.at.Z...), append([]float64(nil), r.now.at.V...)
	}
	if r.randomized {
		return sampledDescent{r}, nil
	}
	return r, nil
}

// sampledDescent is a run that knows h by estimates only, so that it is no [bilevel.Progresser].
type sampledDescent struct{ r *descent }

var (
	_ bilevel.Run      = sampledDescent{}
	_ bilevel.Noter    = sampledDescent{}
	_ bilevel.Stateful = sampledDescent{}
)

func (d sampledDescent) Step(ctx context.Context) error { return d.r.Step(ctx) }
func (d sampledDescent) Point() bilevel.Point           { return d.r.Point() }
func (d sampledDescent) Counts() bilevel.Counts         { return d.r.Counts() }
func (d sampledDescent) Notes() []string                { return d.r.Notes() }
func (d sampledDescent) State(s *bilevel.State)         { d.r.State(s) }

type descent struct {
	outerRun
	m            Descent
	seed         uint64
	rule         Directions
	randomized   bool
	fromZ, fromV []float64 // where the evaluation of the current point began; nil without a randomized search

	looked    bool // the current point's samples are those of its trials
	rejected  bool // a trial, since α was set anew
	reset     bool // the optimizer, since the last accepted step
	tightened bool // to no effect, since the last accepted step
	done      bool
}

var (
	_ bilevel.Run        = (*descent)(nil)
	_ bilevel.Progresser = (*descent)(nil)
	_ bilevel.Noter      = (*descent)(nil)
	_ bilevel.Stateful   = (*descent)(nil)
)

// effort is that of outer step s.
func (r *descent) effort(s int) Effort {
	return Effort{
		InnerSteps: r.m.InnerSteps.At(s), LinearSteps: r.m.LinearSteps.At(s), Samples: r.m.Samples.At(s),
		Seed: mix(r.seed, uint64(s)),
	}
}

// mix is the seed of step s: the SplitMix64 sequence that starts at seed.
func mix(seed, s uint64) uint64 {
	x := seed + (s+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Step evaluates one hypergradient.
func (r *descent) Step(ctx context.Context) error {
	switch {
	case r.done:
		return r.end()
	case !r.started:
		r.looked = true
		return r.start(ctx, r.effort(0))
	case r.m.Step > 0:
		return r.stepConstant(ctx)
	case !r.randomized:
		if r.now.norm == 0 {
			return r.rest(ctx)
		}
		return r.stepSearch(ctx)
	case !r.looked:
		copy(r.fromZ, r.now.at.Z)
		copy(r.fromV, r.now.at.V)
		r.looked = true
		return r.evaluate(ctx, &r.now, r.effort(r.k))
	}
	return r.searchRandomized(ctx)
}

// rest is at a point where ∇h is zero: it ends the run, unless tighter tolerances say otherwise.
func (r *descent) rest(ctx context.Context) error {
	if r.eps <= leastTolerance {
		r.done = true
		return r.end()
	}
	// An inner solution to a loose tolerance, or one of few steps, may know nothing of x: look again.
	r.tighten(1e-4)
	r.k++
	return r.evaluate(ctx, &r.now, r.effort(r.k))
}

func (r *descent) stepConstant(ctx context.Context) error {
	r.rule.Next(r.search.dir, r.now.grad)
	r.move(-1)
	r.p.ProjectX(r.next.at.X)
	if !r.randomized && r.now.norm == 0 && floats.Equal(r.next.at.X, r.now.at.X) {
		return r.rest(ctx)
	}
	r.begin()
	if err := r.evaluate(ctx, &r.next, r.effort(r.k+1)); err != nil {
		return fmt.Errorf("%w; the step size is %v", err, r.search.alpha)
	}
	r.accept()
	return nil
}

// trial sets the next trial of the search, P(x − α·direction). It returns the change of h that it promises.
func (r *descent) trial() (predicted float64) {
	s := &r.search
	if !s.active {
		r.rule.Next(s.dir, r.now.grad)
		s.active, s.tries = true, 0
		if size := floats.Norm(s.dir, 2); s.alpha == 0 && size > 0 {
			s.alpha, r.rejected = math.Sqrt(float64(len(s.dir)))/size, false // ‖x⁺ − x‖ = √p, as HOAG's first
		}
	}
	r.move(-1)
	r.p.ProjectX(r.next.at.X)
	return r.predicted()
}

func (r *descent) stepSearch(ctx context.Context) error {
	predicted := r.trial()
	if !(predicted < 0) {
		return r.failed(ctx)
	}
	result, err := r.try(ctx, r.effort(r.k+1), r.now.value, predicted)
	switch {
	case err != nil:
		return err
	case result == failed:
		return r.failed(ctx)
	case result == accepted:
		if r.search.tries == 0 {
			r.search.alpha *= 2
		}
		r.accept()
		r.search.active, r.reset, r.tightened = false, false, false
	}
	return nil
}

// failed gives up the current direction, and tries without the optimizer's memory, then with tighter tolerances as
// long as they make a difference, then nothing more.
func (r *descent) failed(ctx context.Context) error {
	r.forget()
	if !r.reset {
		r.reset = true
		return nil
	}
	if r.tightened {
		r.done = true
		return r.end()
	}
	r.k++
	var err error
	r.tightened, err = r.again(ctx, r.effort(r.k))
	return err
}

// forget makes the next direction one of descent, with a new α.
func (r *descent) forget() {
	r.rule.Reset()
	r.search.active, r.search.alpha = false, 0
}

// searchRandomized compares h on the same samples: they, and where the inner iteration begins, are those of the
// current point's own evaluation.
func (r *descent) searchRandomized(ctx context.Context) error {
	s := &r.search
	before := s.alpha
	predicted := r.trial()
	if !(predicted < 0) {
		r.skip("no step along the direction promises a lower h")
		return nil
	}
	copy(r.next.at.Z, r.fromZ)
	copy(r.next.at.V, r.fromV)
	err := r.evaluate(ctx, &r.next, r.effort(r.k))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	change := r.next.value - r.now.value
	if err == nil && change <= 1e-4*predicted {
		if growth := 1.02; s.tries == 0 {
			if !r.rejected {
				growth = 2
			}
			s.alpha *= growth
		}
		r.accept()
		s.active, r.reset, r.looked = false, false, false
		return nil
	}
	r.rejected = true
	if s.shrink(change, predicted, err); s.tries >= mostTries {
		if err != nil {
			return err
		}
		r.skip(fmt.Sprintf("no step from %.3g down lowers h", before))
		return nil
	}
	why := fmt.Sprintf("h changes by %.3g on the same samples", change)
	if err != nil {
		why = err.Error()
	}
	r.notes = append(r.notes,
		fmt.Sprintf("hypergrad: outer step %d: the step size is lowered to %.3g: %s", r.k+1, s.alpha, why))
	return nil
}

// skip gives up the current samples.
func (r *descent) skip(why string) {
	r.notes = append(r.notes,
		fmt.Sprintf("hypergrad: outer step %d: %s: starting again from the hypergradient of new samples", r.k+1, why))
	r.forget()
	r.k++
	r.looked = false
}

// State is described at [bilevel.Stateful].
func (r *descent) State(s *bilevel.State) {
	r.state(s)
	s.Fixed(r.fromZ, r.fromV)
	for _, b := range []*bool{&r.looked, &r.rejected, &r.reset, &r.tightened, &r.done} {
		s.Bool(b)
	}
	r.rule.State(s)
}
