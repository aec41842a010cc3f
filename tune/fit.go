package tune

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/wait"
)

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
	f.report(f.stage.name, step, f.stage.lo+share*(f.stage.hi-f.stage.lo), value*f.unit*f.unit)
}

// fit is one job.
type fit struct {
	ctx     context.Context // of work, which ends early enough for what is left to do
	closing context.Context // of what the result needs
	o       Options
	loss    *loss

	schema    *dataset.Schema
	features  []string // names; nil for too many
	classes   []string
	scaler    *dataset.Scaler // or nil
	intercept bool
	shift     float64 // of a ridge target: y = shift + unit·(prepared y)
	unit      float64
	comparing bool // kinds of strengths are being compared
	onTrial   bool // of a descent only the losses on held-out rows are wanted, and no exact end
	scores    int  // per row

	main split // all rows
	test *dataset.Set
	d    int          // features without intercept
	kept []int        // of those that were given; nil for all
	full *dataset.Set // training rows with all of them; nil if all were kept

	visited bilevel.Counts
	squares []float64 // means of the features' squares; nil until needed
	top     float64   // logarithm of the least ℓ1 strength with which all coefficients are zero

	gridTried int  // points of the grid
	partGrid  bool // not all of them were tried

	compared        []*trial // kinds and spreads as compared; nil for none
	heldRows        []int    // places of the rows that they were compared on
	compareErr      error    // why kinds could not be compared
	noTimeToCompare bool
	chosen          *trial // is learned on all rows

	timedOut    bool // learning ended with ctx
	cutShort    bool // it ended because there was no time for another evaluation
	failedEarly bool // an error ended it

	stage stage
	done  float64 // as last reported
}

// run does the job: grid, comparison, learning, final model.
func (f *fit) run() (*Result, error) {
	if err := f.checkLength(); err != nil {
		return nil, err
	}
	kinds := f.kinds()
	f.stage = stage{"grid", 0, .2}
	grid, start, all, err := f.grid(f.ctx, f.main, 1, .25)
	if err != nil {
		return nil, err
	}
	f.partGrid, f.gridTried = !all, len(grid)
	base := start[0]
	u := f.unit * f.unit
	res := &Result{Grid: grid, BaselineX: base.x, BaselineValue: base.value * u}

	// The figures of the baseline take as long as those of the result will.
	begin := time.Now()
	baseVal, baseTest, _, err := f.figures(f.base(), []float64{base.x}, base.z)
	if err != nil {
		return nil, err
	}
	res.BaselineVal = f.loss.metrics(baseVal)
	var cancel context.CancelFunc
	f.ctx, cancel = wait.Earlier(f.ctx, time.Since(begin)*3/2)
	defer cancel()

	chosen := &trial{kind: kinds[len(kinds)-1], spread: f.spread(kinds[len(kinds)-1])}
	learnFrom := .2
	if len(kinds) > 1 {
		if chosen, res.Candidates, err = f.compare(kinds, base); err != nil {
			chosen = f.withoutComparison(kinds)
			if f.noTimeToCompare = f.ctx.Err() != nil; !f.noTimeToCompare { // cut short, it fails too
				f.compareErr = err
			}
		}
		learnFrom = .7
	}
	f.chosen = chosen
	kind := chosen.kind
	res.Spread = chosen.spread

	q, err := f.problem(f.main, kind)
	if err != nil {
		return nil, err
	}
	f.keepWithin(q, base.x, chosen.spread)
	f.stage = stage{"learning: " + string(kind), learnFrom, .98}
	var l *learned
	if f.ctx.Err() == nil {
		l, err = f.learnTrial(q, chosen, base)
		if err != nil {
			res.Reason = troubled(err)
		}
	}
	if l != nil {
		res.Trace, res.Steps, res.Reason = f.tracePoints(l), l.steps, l.reason
	}
	f.timedOut = f.ctx.Err() != nil
	f.failedEarly = strings.HasPrefix(res.Reason, stoppedEarly)
	if l == nil || l.value >= base.value-1e-9*math.Abs(base.value) {
		// Nothing better was found: the baseline stays.
		res.BaselineWon = true
		if r := kind.entry(); r.l1 != nil && r.squares != nil { // the baseline is a lasso, which no ℓ2 strength of the box is
			kind = f.base()
			if q, err = f.problem(f.main, kind); err != nil {
				return nil, err
			}
		}
		x := f.baseline(kind, base.x)
		if f.ctx.Err() != nil || f.cutShort { // no time for the gradient
			l = &learned{x: x, z: base.z, value: base.value, gradNorm: math.NaN()}
		} else if l, err = f.exact(f.closing, q, x, base.z, nil); err != nil {
			l = &learned{x: x, z: base.z, value: base.value, gradNorm: math.NaN()}
		}
	}
	res.Value, res.GradNorm = l.value*u, l.gradNorm*u

	f.stage = stage{"refitting", .98, 1}
	shown, test, modelZ, err := f.figures(kind, l.x, l.z)
	if err != nil {
		return nil, err
	}
	res.Val = f.loss.metrics(shown)
	if test != nil {
		res.Test, res.BaselineTest = f.loss.metrics(test), f.loss.metrics(baseTest)
		res.NTest = res.Test.N
	}
	res.Unseen = f.unseen(shown, baseVal, test, baseTest)
	if test == nil && !res.BaselineWon && f.strengths(kind) > 1 {
		f.heldOutUnseen(res.Unseen)
	}
	res.NTrain, _ = f.main.train.Dims()
	res.NVal = res.Val.N
	if q, res.X, modelZ, err = f.restore(q, kind, l.x, modelZ, base.x); err != nil {
		return nil, err
	}
	for i := range res.Candidates {
		res.Candidates[i].Strengths = f.strengths(res.Candidates[i].Reg)
	}
	if res.Model, err = f.model(q, kind, res.X, modelZ); err != nil {
		return nil, err
	}
	res.InnerDim, res.OuterDim = q.layout.Len(), len(res.X)
	res.Ridge = f.ridge(q, res.X)
	return res, nil
}

// sub is a context that ends after a share of the time that is left.
func sub(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Duration(share*float64(time.Until(end))))
	}
	return context.WithCancel(ctx)
}
