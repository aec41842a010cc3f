package tune

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/wait"
)

// fit is one job: the prepared rows, the time that there is, and the progress. What the rooms of [fit.run] find out is
// what they return.
type fit struct {
	table
	clock
	progress
	o       Options
	visited bilevel.Counts
}

// clock is the time of a job.
type clock struct {
	asked     context.Context // of the caller
	ctx       context.Context // of work, which ends early enough for what is left to do
	closing   context.Context // of what the result needs
	outOfTime bool            // learning ended for want of time
}

// progress is how far a job is.
type progress struct {
	stage stage
	done  float64 // as last reported
}

// stage is what Progress says: the part of the whole job that a stage begins with and ends at.
type stage struct {
	name   string
	lo, hi float64
}

func (f *fit) report(name string, step int64, done, value float64) {
	if f.done = max(f.done, done); f.o.Progress != nil {
		f.o.Progress(Progress{Stage: name, Step: step, Done: f.done, Value: value})
	}
}

// at reports that so much of the current stage is done.
func (f *fit) at(step int64, share, value float64) {
	f.report(f.stage.name, step, f.stage.lo+share*(f.stage.hi-f.stage.lo), value*f.units.loss)
}

// run leads through the rooms: a grid of shared strengths, the choice of a kind, learning, the model, what it is worth.
// The rows are prepared and divided before.
func (f *fit) run() (*Result, error) {
	if err := f.checkLength(); err != nil {
		return nil, err
	}
	f.stage = stage{"grid", 0, .2}
	g, err := f.grid(f.ctx, f.main, 1, .25)
	if err != nil {
		return nil, err
	}
	base := g.best

	// The figures of the baseline take as long as those of the result will.
	begin := time.Now()
	baseFigures, err := f.figures(f.base(), []float64{base.x}, base.z)
	if err != nil {
		return nil, err
	}
	var cancel context.CancelFunc
	f.ctx, cancel = wait.Earlier(f.ctx, time.Since(begin)*3/2)
	defer cancel()

	start := *g // of learning
	if f.classWeights.learned() {
		f.stage = stage{"weights of classes", .2, .2}
		start.best = f.learnClassWeights(base)
	}
	c := f.choose(&start)
	l, kind, err := f.learnChosen(c, &start, base)
	if err != nil {
		return nil, err
	}
	f.stage = stage{"refitting", .98, 1}
	figures, err := f.figures(kind, l.x, l.z)
	if err != nil {
		return nil, err
	}
	res, err := f.write(l, kind, g, c, figures, baseFigures)
	if err != nil {
		return nil, err
	}
	res.Words = f.words(res, g, c)
	if f.o.Kernel == On {
		return res, f.withKernels(res, baseFigures)
	}
	return res, nil
}

// learnChosen learns strengths of the kind that was chosen, from the best point of g, or returns the baseline, with the
// kind that it has, where nothing better is found.
func (f *fit) learnChosen(c *choice, g *gridded, base shared) (*learned, Reg, error) {
	kind, q, err := c.kind, g.q, error(nil)
	if kind != L1 || f.classWeights.learned() { // else what the path knows of the problem is worth keeping
		if q, err = f.problem(f.main, kind); err != nil {
			return nil, "", err
		}
	}
	f.stage = stage{"learning: " + string(kind), .2, .98}
	if c.tried != nil {
		f.stage.lo = .7
	}
	var l *learned
	reason := ""
	if f.ctx.Err() == nil {
		if l, err = f.learnTrial(q, c.trial, g.best); err != nil {
			reason = troubled(err)
		}
	}
	f.outOfTime = f.outOfTime || f.ctx.Err() != nil
	if l != nil && l.value < base.value-1e-9*math.Abs(base.value) {
		return l, kind, nil
	}
	// Nothing better was found: the baseline stays.
	b := &learned{z: base.z, value: base.value, loss: base.value, gradNorm: math.NaN(), reason: reason, isBaseline: true}
	if l != nil {
		b.trace, b.steps, b.reason = l.trace, l.steps, l.reason
	}
	if r := kind.entry(); r.l1 != nil && r.squares != nil { // the baseline is a lasso, which no ℓ2 strength of the box is
		kind = f.base()
	}
	if f.classWeights.learned() {
		f.classWeights = nil
	}
	if q, err = f.problem(f.main, kind); err != nil {
		return nil, "", err
	}
	b.x = f.baseline(kind, base.x)
	if !f.outOfTime { // there is time for the gradient
		if at, err := f.exact(f.closing, q, b.x, base.z, nil); err == nil {
			b.z, b.value, b.loss, b.gradNorm = at.z, at.value, at.loss, at.gradNorm
		}
	}
	return b, kind, nil
}

// write puts together what was found.
func (f *fit) write(l *learned, kind Reg, g *gridded, c *choice, model, baseline *figures) (*Result, error) {
	u := f.units.loss
	res := &Result{
		Value: l.loss * u, GradNorm: l.gradNorm * u, Trace: f.tracePoints(l), Steps: l.steps, Reason: l.reason,
		BaselineWon: l.isBaseline, BaselineX: g.best.x, BaselineValue: g.best.value * u, Grid: g.points,
		Prior: c.width, Candidates: c.candidates,
		Val: f.loss.metrics(model.val), BaselineVal: f.loss.metrics(baseline.val),
		Unseen: f.unseen(model, baseline),
		NTrain: f.main.learnedFrom(), Refitted: model.refitted,
	}
	if model.test != nil {
		res.Test, res.BaselineTest = f.loss.metrics(model.test), f.loss.metrics(baseline.test)
		res.NTest = res.Test.N
	} else if !res.BaselineWon && f.strengths(kind) > 1 {
		f.heldOutUnseen(res.Unseen, c)
	}
	res.NVal = res.Val.N
	res.Interrupted = f.asked.Err() != nil
	res.TimedOut = !res.Interrupted && f.outOfTime
	switch {
	case res.Interrupted:
		res.Reason = "interrupted: the best point so far"
	case res.TimedOut:
		res.Reason = "time budget used: the best point so far"
	}
	q, err := f.problem(f.main, kind)
	if err != nil {
		return nil, err
	}
	z := model.z
	if q, res.X, z, err = f.restore(q, kind, l.x, z, g.best.x); err != nil {
		return nil, err
	}
	for i := range res.Candidates {
		res.Candidates[i].Strengths = f.strengths(res.Candidates[i].Reg)
	}
	if res.Model, err = f.model(q, kind, res.X, z); err != nil {
		return nil, err
	}
	res.InnerDim, res.OuterDim = q.layout.Len(), len(res.X)
	res.Ridge = f.ridge(q, res.X)
	return res, nil
}

// failed says whether an error ended learning before its time.
func (r *Result) failed() bool {
	return strings.HasPrefix(r.Reason, stoppedEarly) && !r.Interrupted && !r.TimedOut
}

// sub is a context that ends after a share of the time that is left.
func sub(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Duration(share*float64(time.Until(end))))
	}
	return context.WithCancel(ctx)
}
