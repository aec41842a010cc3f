package bilevel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// ErrDone is what a run's Step returns when it has converged as far as it can.
var ErrDone = errors.New("bilevel: no further progress is possible")

// ErrNoDescent is what a run's Step returns at a point where the gradient is large and yet no step along it lowers h.
var ErrNoDescent = errors.New("bilevel: no step along the gradient lowers h, although it is large")

// Settings are the budgets and the book-keeping of [Minimize]. A budget of zero is no budget; at least one
// of MaxSteps, MaxTime, MaxSamples and GradTol must be set, unless the method ends by itself.
type Settings struct {
	// Start is where to begin; nil parts are zeros, X is projected onto the domain.
	Start Point
	// Seed seeds all randomness.
	Seed uint64

	// MaxSteps, MaxTime and MaxSamples (of Counts.Total) end the run. Time spent on records, evaluation and
	// checkpoints does not count. A step that takes long is cut short where the time ends, and what it has done is
	// lost.
	MaxSteps   int64
	MaxTime    time.Duration
	MaxSamples int64
	// GradTol ends the run when a record finds ‖x − P(x − ∇h)‖₂ at or below it. It needs an Evaluator or a
	// method that knows its gradient.
	GradTol float64

	// RecordEvery is the number of steps between records. The default is 1 for methods that know their own
	// value, and otherwise steps 0, 1, 2, 4, 8 and so on. The last step is recorded too, unless the run is cancelled.
	RecordEvery int64
	// RecordsPerDecade, in place of RecordEvery, records so many steps of each factor of ten, at equal ratios: steps
	// 0, 1, 2, 3, 4, 6, 10, 16, 25 and so on for five of them.
	RecordsPerDecade int
	// Recorder, if any, sees every record. What it is given is its own.
	Recorder Recorder
	// Evaluator, if any, computes h and ∇h at every record.
	Evaluator Evaluator

	// Checkpoint is a file that the run is saved to, atomically, every CheckpointEvery (default a minute)
	// and at its end; "" for none. With Resume, a run goes on from that file if it exists, bit for bit where the
	// processor has the same kernels. A file of another method, seed, domain or size of problem is refused, and so is
	// one of other data, of which a few thousand samples are looked at.
	Checkpoint      string
	CheckpointEvery time.Duration
	Resume          bool
}

// Record is what is known at one step.
type Record struct {
	Step     int64
	Time     time.Duration // spent in steps
	Counts   Counts
	Value    float64 // h(x), to the tolerance of the Evaluator or of the run; NaN if unknown
	GradNorm float64 // ‖x − P(x − ∇h)‖₂, NaN if unknown
	Notes    []string
}

// Recorder sees the records of a run as they are made, from the goroutine that called [Minimize].
type Recorder interface {
	Record(r Record, at Point)
}

// RecorderFunc is a function as a [Recorder].
type RecorderFunc func(r Record, at Point)

// Record calls f.
func (f RecorderFunc) Record(r Record, at Point) { f(r, at) }

// Reason says why a run stopped.
type Reason int

// The reasons.
const (
	StepBudget   Reason = iota // MaxSteps
	TimeBudget                 // MaxTime
	SampleBudget               // MaxSamples
	Target                     // GradTol was reached
	Done                       // the method cannot make further progress
	NoDescent                  // no step lowers h, though ‖∇h‖ is large: derivatives are wrong, or very inexact
	Cancelled                  // the context was cancelled
	Failed                     // an error, which Minimize returns too
)

func (r Reason) String() string {
	switch r {
	case StepBudget:
		return "step budget used"
	case TimeBudget:
		return "time budget used"
	case SampleBudget:
		return "sample budget used"
	case Target:
		return "gradient target reached"
	case Done:
		return "converged"
	case NoDescent:
		return "no step along the gradient lowers h, although it is large: check the derivatives of f and g, " +
			"as bileveltest.Objective does"
	case Cancelled:
		return "cancelled"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("reason %d", int(r))
}

// Result is the outcome of [Minimize].
type Result struct {
	// Point is the recorded point with the smallest h; where h is not known, the last good one.
	Point Point
	// Value and GradNorm belong to Point; NaN if unknown.
	Value, GradNorm float64
	// Last is the point after the last step. It shares no memory with Point.
	Last   Point
	Reason Reason
	Steps  int64
	Time   time.Duration // spent in steps, resumed parts included
	Counts Counts
	Trace  []Record
}

// NonFiniteError says where a run left the numbers.
type NonFiniteError struct {
	Step     int64
	Quantity string // for example "z[3] = NaN"
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("bilevel: after step %d, %s: the step sizes are too large for this problem, "+
		"or an objective is not finite there", e.Step, e.Quantity)
}

// Minimize runs method on p until a budget of s is used, the target reached or ctx cancelled. None of these
// is an error, see [Result].Reason. On an error in the middle of a run the result is returned too, with the
// last good point.
//
// A run that is cancelled stops at once: its last step is not recorded, since that may take an evaluation of h, and
// what is saved is what a run that was not cancelled has at that step.
func Minimize(ctx context.Context, p *Problem, method Method, s Settings) (*Result, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if method == nil {
		return nil, errors.New("bilevel: the method is nil")
	}
	if min(s.MaxSteps, int64(s.MaxTime), s.MaxSamples, s.RecordEvery, int64(s.RecordsPerDecade),
		int64(s.CheckpointEvery)) < 0 || !(s.GradTol >= 0) {
		return nil, errors.New("bilevel: a negative budget, target or interval")
	}
	if s.Resume && s.Checkpoint == "" {
		return nil, errors.New("bilevel: Resume is set and no Checkpoint to go on from")
	}
	if s.RecordEvery > 0 && s.RecordsPerDecade > 0 {
		return nil, errors.New("bilevel: RecordEvery and RecordsPerDecade are both set")
	}
	id, data, err := identify(p, method, s)
	if err != nil {
		return nil, err
	}
	run, err := method.Start(p, s.Start, s.Seed)
	if err != nil {
		return nil, err
	}
	progress, knows := run.(Progresser)
	if s.GradTol > 0 && s.Evaluator == nil && !knows {
		return nil, fmt.Errorf("bilevel: a gradient target needs Settings.Evaluator: %T does not know its gradient", method)
	}
	if s.MaxSteps == 0 && s.MaxTime == 0 && s.MaxSamples == 0 && s.GradTol == 0 && !knows {
		return nil, errors.New("bilevel: no budget: set MaxSteps, MaxTime, MaxSamples or GradTol")
	}
	d := &driver{p: p, run: run, s: s, id: id, sample: data}
	if knows {
		d.progress = progress
	}
	d.noter, _ = run.(Noter)
	for _, o := range []any{p.Outer, p.Inner, p.Fixed} {
		if f, ok := o.(Failer); ok {
			d.failers = append(d.failers, f)
		}
	}
	d.res.Value, d.res.GradNorm = math.NaN(), math.NaN()
	if s.Checkpoint != "" {
		if _, ok := run.(Stateful); !ok {
			return nil, fmt.Errorf("bilevel: %T cannot be saved to a checkpoint", method)
		}
		if s.Resume {
			if err := d.load(); err != nil {
				return nil, err
			}
		}
	}
	err = d.loop(ctx)
	if s.Checkpoint != "" && err == nil {
		err = d.save()
	}
	if d.res.Reason == Cancelled {
		d.res.Last = d.last()
		if math.IsNaN(d.res.Value) {
			d.res.Point = d.last()
		}
	}
	if err != nil {
		d.res.Reason = Failed
	}
	d.res.Steps, d.res.Time, d.res.Counts = d.step, d.elapsed, d.counts()
	return &d.res, err
}

type driver struct {
	p        *Problem
	run      Run
	s        Settings
	id       string    // of the run, for checkpoints
	sample   []float64 // of its data, likewise
	progress Progresser
	noter    Noter
	failers  []Failer

	step     int64
	elapsed  time.Duration
	recorded int64 // last recorded step plus one
	res      Result

	// before is where the run was before a step that was cut short; nil if none was.
	before *before
	grad   []float64
}

// before is what is kept of a run before a step that may be cut short: what such a step leaves is no state to go on
// from.
type before struct {
	at     Point
	counts Counts
	state  []byte // nil if it is not saved
}

const (
	// The driver reads the clock and the context once per chunk of steps, which takes about this long.
	chunkTime = time.Millisecond
	// A step can be cut short where the one before took so long, or is not known.
	cutTime = 2 * time.Millisecond
	// What would be saved is kept before steps that take so long, which is a small part of that.
	keepTime = 50 * time.Millisecond
)

func (d *driver) loop(ctx context.Context) error {
	if err := d.checkObjectives(); err != nil {
		return err
	}
	if d.recorded == 0 {
		if stop, err := d.record(ctx); stop || err != nil {
			return err
		}
	} else if last := d.res.Trace[len(d.res.Trace)-1]; last.Step == d.step && d.s.GradTol > 0 &&
		last.GradNorm <= d.s.GradTol {
		d.res.Reason = Target // a resumed run that had reached it
		return nil
	}
	every := d.s.CheckpointEvery
	if every == 0 {
		every = time.Minute
	}
	saved := time.Now()
	chunk := int64(1)
	took := keepTime // by a step, as far as that is known
	for {
		if ctx.Err() != nil {
			d.res.Reason = Cancelled
			return nil
		}
		if d.s.MaxSteps > 0 && d.step >= d.s.MaxSteps {
			return d.finish(ctx, StepBudget)
		}
		if d.s.MaxTime > 0 && d.elapsed >= d.s.MaxTime {
			return d.finish(ctx, TimeBudget)
		}
		if d.s.MaxSamples > 0 && d.run.Counts().Total() >= d.s.MaxSamples {
			return d.finish(ctx, SampleBudget)
		}
		next := d.nextRecord()
		n := min(chunk, next-d.step, nextCheck(d.step)-d.step)
		if d.s.MaxSteps > 0 {
			n = min(n, d.s.MaxSteps-d.step)
		}
		made, spent, err := d.steps(ctx, n, took)
		took = spent / time.Duration(max(made, 1))
		d.elapsed += spent
		d.step += made
		if err := d.failed(); err != nil {
			return err
		}
		switch {
		case d.before != nil && ctx.Err() != nil:
			d.res.Reason = Cancelled
			return nil
		case d.before != nil:
			return d.finish(ctx, TimeBudget)
		case errors.Is(err, ErrDone):
			return d.finish(ctx, Done)
		case errors.Is(err, ErrNoDescent):
			return d.finish(ctx, NoDescent)
		}
		if err != nil {
			return fmt.Errorf("bilevel: step %d: %w", d.step+1, err)
		}
		switch {
		case spent < chunkTime/2 && made == chunk:
			chunk *= 2
		case spent > 2*chunkTime:
			chunk = max(chunk/2, 1)
		}
		if d.step == nextCheck(d.step-1) {
			if err := d.checkObjectives(); err != nil {
				return err
			}
		}
		if d.step == next {
			if stop, err := d.record(ctx); stop || err != nil {
				return err
			}
		}
		if d.s.Checkpoint != "" && time.Since(saved) >= every {
			if err := d.save(); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
}

// failed asks the objectives whether an evaluation has failed.
func (d *driver) failed() error {
	for _, f := range d.failers {
		if err := f.Err(); err != nil {
			return fmt.Errorf("bilevel: the objective failed by step %d: %w", d.step, err)
		}
	}
	return nil
}

// steps makes n steps, or fewer where the sample budget ends; took is how long one takes. A step that ctx or the time
// budget cuts short does not count, and leaves before.
func (d *driver) steps(ctx context.Context, n int64, took time.Duration) (made int64, spent time.Duration, err error) {
	step := context.Background() // a few short steps are not worth the look at the clock
	if n == 1 && took >= cutTime {
		kept := before{at: d.run.Point(), counts: d.run.Counts()}
		if d.s.Checkpoint != "" && took >= keepTime {
			kept.state, _ = d.encode() // an error comes back when the run is saved
		}
		step = ctx
		if d.s.MaxTime > 0 {
			var cancel context.CancelFunc
			step, cancel = context.WithTimeout(ctx, d.s.MaxTime-d.elapsed)
			defer cancel()
		}
		defer func() {
			if err != nil && step.Err() != nil && errors.Is(err, step.Err()) {
				d.before = &kept
			}
		}()
	}
	start := time.Now()
	for made = range n {
		if err := d.run.Step(step); err != nil {
			return made, time.Since(start), err
		}
		if d.s.MaxSamples > 0 && d.run.Counts().Total() >= d.s.MaxSamples {
			return made + 1, time.Since(start), nil
		}
	}
	return n, time.Since(start), nil
}

// last is a copy of the point after the last step, and counts what was visited by then.
func (d *driver) last() Point {
	if d.before != nil {
		return d.before.at.clone()
	}
	return d.run.Point()
}

func (d *driver) counts() Counts {
	if d.before != nil {
		return d.before.counts
	}
	return d.run.Counts()
}

// nextRecord is the first step after the current one that is recorded.
func (d *driver) nextRecord() int64 {
	if n := d.s.RecordsPerDecade; n > 0 {
		return nextGeometric(d.step, n)
	}
	every := d.s.RecordEvery
	if every == 0 && d.progress != nil {
		every = 1
	}
	if every > 0 {
		return (d.step/every + 1) * every
	}
	n := int64(1)
	for n <= d.step {
		n *= 2
	}
	return n
}

// nextGeometric is the first of the numbers 10^(k/n), rounded, that is above step.
func nextGeometric(step int64, n int) int64 {
	k := math.Floor(float64(n) * math.Log10(float64(max(step, 1))))
	for ; ; k++ {
		if next := int64(math.Round(math.Pow(10, k/float64(n)))); next > step {
			return next
		}
	}
}

// finish records the last step and ends with reason, or with a better one found on the way.
func (d *driver) finish(ctx context.Context, reason Reason) error {
	if d.recorded <= d.step {
		if stop, err := d.record(ctx); stop || err != nil {
			return err
		}
	}
	d.res.Reason = reason
	return nil
}

// record evaluates the current point. It reports stop when the target is reached, or ctx cancelled on the way.
func (d *driver) record(ctx context.Context) (stop bool, err error) {
	at := d.last()
	if err := d.failed(); err != nil {
		return true, err
	}
	if q := at.nonFinite(); q != "" {
		return true, &NonFiniteError{d.step, q}
	}
	r := Record{Step: d.step, Time: d.elapsed, Counts: d.counts(), Value: math.NaN(), GradNorm: math.NaN()}
	switch {
	case d.s.Evaluator != nil:
		if d.grad == nil {
			d.grad = make([]float64, len(at.X))
		}
		if r.Value, err = d.s.Evaluator.Evaluate(ctx, d.grad, at.X); err != nil {
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				d.res.Reason = Cancelled
				return true, nil
			}
			return true, fmt.Errorf("bilevel: evaluating h after step %d: %w", d.step, err)
		}
		if err := d.failed(); err != nil {
			return true, err
		}
		if math.IsNaN(r.Value) {
			return true, &NonFiniteError{d.step, "h = NaN"}
		}
		if q := nonFinite("∇h", d.grad); q != "" {
			return true, &NonFiniteError{d.step, q}
		}
		d.p.ProjectedGrad(d.grad, at.X, d.grad)
		r.GradNorm = norm(d.grad)
	case d.progress != nil && d.before == nil:
		r.Value, r.GradNorm = d.progress.Progress()
	}
	if math.IsInf(r.Value, 0) {
		return true, &NonFiniteError{d.step, fmt.Sprintf("h = %v", r.Value)}
	}
	if d.noter != nil {
		r.Notes = d.noter.Notes()
	}
	d.recorded = d.step + 1
	d.res.Trace = append(d.res.Trace, r)
	d.res.Last = at
	if math.IsNaN(d.res.Value) || r.Value <= d.res.Value {
		d.res.Point, d.res.Value, d.res.GradNorm = at.clone(), r.Value, r.GradNorm
	}
	if d.s.Recorder != nil {
		r.Notes = slices.Clone(r.Notes)
		d.s.Recorder.Record(r, at.clone())
	}
	if d.s.GradTol > 0 && r.GradNorm <= d.s.GradTol {
		d.res.Reason = Target
		return true, nil
	}
	return false, nil
}

// Objectives are looked at on so many samples.
const checkSamples = 8

// nextCheck is the first step after the given one at which objectives are looked at: powers of two, and not too rarely.
func nextCheck(step int64) int64 {
	const rarely = 1 << 20
	if step >= rarely {
		return (step/rarely + 1) * rarely
	}
	n := int64(1)
	for n <= step {
		n *= 2
	}
	return n
}

// checkObjectives looks whether values and derivatives of both levels, second ones if the method uses them, are finite
// at the current point, over a few samples. Automatic step sizes take what is not finite for a divergence and go back
// from it again and again, and methods that only read gradients never see the values. A run that knows h finds out by
// itself, and may never ask the outer objective at its start.
func (d *driver) checkObjectives() error {
	if d.progress != nil {
		return nil
	}
	at := d.run.Point()
	if q := at.nonFinite(); q != "" {
		return &NonFiniteError{d.step, q}
	}
	dz, dx := make([]float64, len(at.Z)), make([]float64, len(at.X))
	hv, cv := make([]float64, len(at.Z)), make([]float64, len(at.X))
	some := func(n int) Batch {
		lo := int(uint64(d.step) * 0x9e3779b97f4a7c15 >> 11 % uint64(n)) // elsewhere every time
		return Batch{Lo: lo, Hi: min(lo+checkSamples, n)}
	}
	type quantity struct {
		name   string
		values []float64
	}
	scalar := func(name string, v float64) error {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return &NonFiniteError{d.step, fmt.Sprintf("%s = %v", name, v)}
		}
		return nil
	}
	look := func(list ...quantity) error {
		for _, l := range list {
			if q := nonFinite(l.name, l.values); q != "" {
				return &NonFiniteError{d.step, q}
			}
		}
		return nil
	}
	f, b := d.p.Outer, some(d.p.Outer.Samples())
	f.Grad(dz, dx, at.Z, at.X, b)
	err := cmp.Or(scalar("f", f.Value(at.Z, at.X, b)), look(quantity{"∇z f", dz}, quantity{"∇x f", dx}))
	if err != nil {
		return err
	}
	if phi := d.p.Fixed; phi != nil {
		b = some(phi.Samples())
		phi.Map(hv, at.Z, at.X, b)
		phi.Pull(dz, dx, at.Z, at.X, hv, b)
		return look(quantity{"Φ", hv}, quantity{"∂zΦᵀΦ", dz}, quantity{"∂xΦᵀΦ", dx})
	}
	g := d.p.Inner
	b = some(g.Samples())
	v := slices.Clone(dz)
	g.Grad(dz, dx, at.Z, at.X, b)
	err = cmp.Or(scalar("g", g.Value(at.Z, at.X, b)), look(quantity{"∇z g", dz}, quantity{"∇x g", dx}))
	if err != nil {
		return err
	}
	// What a method does not ask for may be missing, or expensive.
	if used := d.counts(); used.HessG+used.CrossG == 0 {
		return nil
	}
	if second, err := NeedSecondOrder(g); err == nil {
		second.Products(nil, hv, cv, at.Z, at.X, v, b)
		return look(quantity{"∇²zz g·∇z f", hv}, quantity{"∇²xz g·∇z f", cv})
	}
	return nil
}

func norm(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}
