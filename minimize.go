package bilevel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// ErrDone is what a run's Step returns when it has converged as far as it can.
var ErrDone = errors.New("bilevel: no further progress is possible")

// Settings are the budgets and the book-keeping of [Minimize]. A budget of zero is no budget; at least one
// of MaxSteps, MaxTime, MaxSamples and GradTol must be set, unless the method ends by itself.
type Settings struct {
	// Start is where to begin; nil parts are zeros, X is projected onto the domain.
	Start Point
	// Seed seeds all randomness.
	Seed uint64

	// MaxSteps, MaxTime and MaxSamples (of Counts.Total) end the run. Time spent on records, evaluation and
	// checkpoints does not count.
	MaxSteps   int64
	MaxTime    time.Duration
	MaxSamples int64
	// GradTol ends the run when a record finds ‖x − P(x − ∇h)‖₂ at or below it. It needs an Evaluator or a
	// method that knows its gradient.
	GradTol float64

	// RecordEvery is the number of steps between records. The default is 1 for methods that know their own
	// value, and otherwise steps 0, 1, 2, 4, 8 and so on. The last step is always recorded.
	RecordEvery int64
	// RecordsPerDecade, in place of RecordEvery, records so many steps of each factor of ten, at equal ratios: steps
	// 0, 1, 2, 3, 4, 6, 10, 16, 25 and so on for five of them.
	RecordsPerDecade int
	// Recorder, if any, sees every record.
	Recorder Recorder
	// Evaluator, if any, computes h and ∇h at every record.
	Evaluator Evaluator

	// Checkpoint is a file that the run is saved to, atomically, every CheckpointEvery (default a minute)
	// and at its end; "" for none. With Resume, a run goes on from that file if it exists.
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
	// Last is the point after the last step.
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
	return fmt.Sprintf("bilevel: after step %d, %s: the step sizes are too large for this problem, or an objective is not finite there", e.Step, e.Quantity)
}

// Minimize runs method on p until a budget of s is used, the target reached or ctx cancelled. None of these
// is an error, see [Result].Reason. On an error in the middle of a run the result is returned too, with the
// last good point.
func Minimize(ctx context.Context, p *Problem, method Method, s Settings) (*Result, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if method == nil {
		return nil, errors.New("bilevel: the method is nil")
	}
	if s.MaxSteps < 0 || s.MaxTime < 0 || s.MaxSamples < 0 || s.RecordEvery < 0 || s.RecordsPerDecade < 0 || s.CheckpointEvery < 0 || !(s.GradTol >= 0) {
		return nil, errors.New("bilevel: a negative budget, target or interval")
	}
	if s.RecordEvery > 0 && s.RecordsPerDecade > 0 {
		return nil, errors.New("bilevel: RecordEvery and RecordsPerDecade are both set")
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
	d := &driver{p: p, run: run, s: s, id: identity(p, method, s.Seed)}
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
	if err != nil {
		d.res.Reason = Failed
	}
	d.res.Steps, d.res.Time, d.res.Counts = d.step, d.elapsed, run.Counts()
	return &d.res, err
}

type driver struct {
	p        *Problem
	run      Run
	s        Settings
	id       string
	progress Progresser
	noter    Noter
	failers  []Failer

	step     int64
	elapsed  time.Duration
	recorded int64 // last recorded step plus one
	res      Result

	grad []float64
}

// The driver reads the clock and the context once per chunk of steps, which takes about this long.
const chunkTime = time.Millisecond

func (d *driver) loop(ctx context.Context) error {
	if d.recorded == 0 {
		if stop, err := d.record(); stop || err != nil {
			return err
		}
	} else if last := d.res.Trace[len(d.res.Trace)-1]; last.Step == d.step && d.s.GradTol > 0 && last.GradNorm <= d.s.GradTol {
		d.res.Reason = Target // a resumed run that had reached it
		return nil
	}
	every := d.s.CheckpointEvery
	if every == 0 {
		every = time.Minute
	}
	saved := time.Now()
	chunk := int64(1)
	for {
		if d.s.MaxSteps > 0 && d.step >= d.s.MaxSteps {
			return d.finish(StepBudget)
		}
		if d.s.MaxTime > 0 && d.elapsed >= d.s.MaxTime {
			return d.finish(TimeBudget)
		}
		if d.s.MaxSamples > 0 && d.run.Counts().Total() >= d.s.MaxSamples {
			return d.finish(SampleBudget)
		}
		if ctx.Err() != nil {
			return d.finish(Cancelled)
		}
		next := d.nextRecord()
		n := min(chunk, next-d.step)
		if d.s.MaxSteps > 0 {
			n = min(n, d.s.MaxSteps-d.step)
		}
		start := time.Now()
		made, err := d.steps(n)
		spent := time.Since(start)
		d.elapsed += spent
		d.step += made
		if err := d.failed(); err != nil {
			return err
		}
		if errors.Is(err, ErrDone) {
			return d.finish(Done)
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
		if d.step == next {
			if stop, err := d.record(); stop || err != nil {
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

// steps makes n steps, or fewer where the sample budget ends.
func (d *driver) steps(n int64) (int64, error) {
	for i := range n {
		if err := d.run.Step(); err != nil {
			return i, err
		}
		if d.s.MaxSamples > 0 && d.run.Counts().Total() >= d.s.MaxSamples {
			return i + 1, nil
		}
	}
	return n, nil
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
func (d *driver) finish(reason Reason) error {
	if d.recorded <= d.step {
		if stop, err := d.record(); stop || err != nil {
			return err
		}
	}
	d.res.Reason = reason
	return nil
}

// record evaluates the current point. It reports stop when the target is reached.
func (d *driver) record() (stop bool, err error) {
	at := d.run.Point()
	if err := d.failed(); err != nil {
		return true, err
	}
	if q := at.nonFinite(); q != "" {
		return true, &NonFiniteError{d.step, q}
	}
	r := Record{Step: d.step, Time: d.elapsed, Counts: d.run.Counts(), Value: math.NaN(), GradNorm: math.NaN()}
	switch {
	case d.s.Evaluator != nil:
		if d.grad == nil {
			d.grad = make([]float64, len(at.X))
		}
		if r.Value, err = d.s.Evaluator.Evaluate(d.grad, at.X); err != nil {
			return true, fmt.Errorf("bilevel: evaluating h after step %d: %w", d.step, err)
		}
		if err := d.failed(); err != nil {
			return true, err
		}
		if math.IsNaN(r.Value) {
			return true, &NonFiniteError{d.step, "h = NaN"}
		}
		if j := slices.IndexFunc(d.grad, func(g float64) bool { return math.IsNaN(g) || math.IsInf(g, 0) }); j >= 0 {
			return true, &NonFiniteError{d.step, fmt.Sprintf("∇h[%d] = %v", j, d.grad[j])}
		}
		d.p.ProjectedGrad(d.grad, at.X, d.grad)
		r.GradNorm = norm(d.grad)
	case d.progress != nil:
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
		d.res.Point, d.res.Value, d.res.GradNorm = at, r.Value, r.GradNorm
	}
	if d.s.Recorder != nil {
		d.s.Recorder.Record(r, at)
	}
	if d.s.GradTol > 0 && r.GradNorm <= d.s.GradTol {
		d.res.Reason = Target
		return true, nil
	}
	return false, nil
}

func norm(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}
