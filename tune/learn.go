package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/rows"
)

// start is where strengths start.
func (f *fit) start(q *problem, from shared) bilevel.Point {
	_, p := q.Dims()
	switch f.o.Start {
	case "grid":
		return bilevel.Point{X: slices.Repeat([]float64{from.x}, p), Z: from.z}
	case "random":
		r := rand.New(rand.NewPCG(f.o.Seed, 0x5747a7))
		x := make([]float64, p)
		for j := range x {
			x[j] = min(max(f.param().of(1-r.Float64()), f.o.Box.Lower), f.o.Box.Upper)
		}
		return bilevel.Point{X: x}
	}
	v, _ := strconv.ParseFloat(f.o.Start, 64) // checked by fill
	return bilevel.Point{X: slices.Repeat([]float64{v}, p)}
}

const (
	maxSteps = 500 // of a method that knows h

	// compareSteps is enough to tell kinds of strengths apart.
	compareSteps = 60
	patience     = 10   // steps over which h has to fall
	negligible   = 1e-5 // by this share of itself
)

// watch sees the points of a run on their way, and may end it by returning false.
type watch func(at bilevel.Point) bool

// cheapDescent is the number of multiplications of a hypergradient, about, up to which strengths are learned from
// several starts.
const cheapDescent = 2e6

// learn minimises h by descents, see chain, and returns the best. base is the best shared strength. Where the
// user named no start, many strengths start from there, unless it is so weak that nothing is felt of it; then from
// where they matter, see middle. h has local minima, and where descents are cheap there are more of them.
func (f *fit) learn(ctx context.Context, q *problem, base shared, named bool, w func() watch) (*learned, error) {
	d, p := q.Dims()
	mid := f.middle(q)
	at := func(shift float64) bilevel.Point {
		x := make([]float64, p)
		for j := range x {
			x[j] = min(max(mid[j]+shift, q.Lower[j]), q.Upper[j])
		}
		return bilevel.Point{X: x}
	}
	var starts []bilevel.Point
	if named {
		starts = []bilevel.Point{f.start(q, base)}
	} else {
		starts = []bilevel.Point{{X: slices.Repeat([]float64{base.x}, p), Z: base.z}}
	}
	if q.l1 != nil && f.o.Start == "grid" {
		starts = f.sparseStarts(q, base, mid)
	} else if f.param().logarithmic && p > 1 && (!named || f.o.Start == "grid") {
		unfelt := base.x < slices.Min(mid)-4 || base.x > slices.Max(mid)+4
		cheap := f.method() == HOAG && f.pass(q.rows)*float64(d) <= cheapDescent
		switch {
		case cheap:
			starts = append(starts, at(0), at(2), at(-3))
		case unfelt:
			starts[0] = at(0)
		}
	}
	var best *learned
	var failed error
	for i, from := range starts {
		if i > 0 && ctx.Err() != nil {
			break
		}
		l, err := f.chain(ctx, q, from, mid, w)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if best == nil || l.value < best.value-negligible*math.Abs(best.value) {
			best = l
		}
	}
	if best == nil {
		return nil, failed
	}
	return best, nil
}

// middle is, for each strength in the exponential parametrisation, an x at which it is felt and does not rule: e^x is
// an eighth of the curvature of the training loss along its coefficients.
func (f *fit) middle(q *problem) []float64 {
	_, p := q.Dims()
	if f.squares == nil {
		f.squares = meanSquares(f.main.train.X)
	}
	if q.l1 != nil {
		return f.sparseMiddle(q)
	}
	mid := make([]float64, p)
	if !f.param().logarithmic {
		return mid
	}
	loss := f.loss.curvature(f.scores)
	curvature, n := make([]float64, p), make([]float64, p)
	for c := range f.scores {
		for j := range f.d {
			i := q.pen.Strength(q.layout.Index(c, j))
			curvature[i] += loss * f.squares[j]
			n[i]++
		}
	}
	for j := range mid {
		mid[j] = min(max(math.Log(max(curvature[j]/max(n[j], 1), 1e-300)/8), q.Lower[j]), q.Upper[j])
	}
	return mid
}

// meanSquares are the means of the squares of the columns of m.
func meanSquares(m rows.Matrix) []float64 {
	n, d := m.Dims()
	sum := make([]float64, d)
	switch m := m.(type) {
	case *rows.Dense:
		for i := range n {
			for j, v := range m.Row(i) {
				sum[j] += v * v
			}
		}
	case *rows.CSR:
		for k, j := range m.Idx {
			sum[j] += m.Val[k] * m.Val[k]
		}
	}
	floats.Scale(1/float64(max(n, 1)), sum)
	return sum
}

// chain descends from the given point, and goes on where the descent ended only because it could not see.
//
// ∇h says nothing about a strength e^x that is so weak that it is not felt, because it falls as e^x, nor about one so
// strong that its coefficients vanish, because it falls as e^{−x}: a descent that starts or steps there ends at once.
// Where h falls with the strength itself, or with its inverse, such strengths are set to the middle and the descent
// goes on, as long as this lowers h.
func (f *fit) chain(ctx context.Context, q *problem, from bilevel.Point, mid []float64, w func() watch) (*learned,
	error) {
	watched := func() watch {
		if w == nil {
			return nil
		}
		return w()
	}
	l, err := f.descend(ctx, q, from, watched())
	if err != nil || f.method() != HOAG || !f.param().logarithmic {
		return l, err
	}
	for range 3 {
		if ctx.Err() != nil || l.reason == givenUp {
			break
		}
		x := slices.Clone(l.x)
		unfelt := false
		for j, g := range l.grad {
			// The change of h, to first order in the strength, on its way from e^x to e^mid, and in its inverse.
			far := x[j] < mid[j]-2 && -g*(math.Exp(mid[j]-x[j])-1) > 1e-4*math.Abs(l.value)
			if far || x[j] > mid[j]+4 && math.Exp(x[j]-mid[j])*g > 1e-4*math.Abs(l.value) {
				x[j], unfelt = mid[j], true
			}
		}
		if !unfelt {
			break
		}
		next, err := f.descend(ctx, q, bilevel.Point{X: x, Z: l.z, V: l.v}, watched())
		if err != nil {
			break // what there is is good
		}
		last := l.trace[len(l.trace)-1]
		better := next.value < l.value-negligible*math.Abs(l.value)
		trace := l.trace
		for _, r := range next.trace {
			r.Step += last.Step
			r.Time += last.Time
			r.Counts = sumCounts(last.Counts, r.Counts)
			trace = append(trace, r)
		}
		next.steps += l.steps
		if !better {
			l.trace, l.steps = trace, next.steps
			break
		}
		next.trace = trace
		l = next
	}
	return l, nil
}

const givenUp = "given up"

// descend minimises h from the given point. It ends when h does not fall any more, when an e-fold change of the
// strengths would not change it (‖∇h‖ ≤ negligible·h), when w, which may be nil, says so, or when the context is
// cancelled.
func (f *fit) descend(ctx context.Context, q *problem, from bilevel.Point, w watch) (*learned, error) {
	course := f.course(q)
	within := f.closing // evaluations of what may be the result
	if f.comparing {
		within = ctx
	}
	settings := bilevel.Settings{Start: from, Seed: f.o.Seed, MaxSteps: course.steps}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := ""
	end := func(reason string) {
		if ended == "" {
			ended = reason
		}
		stop()
	}
	var past []float64 // best values so far, after each step that moved x
	var last []float64 // x of the last of them
	var sampled *sampledRecords
	limited := false
	if course.every > 0 {
		if _, limited = ctx.Deadline(); !limited {
			settings.MaxTime = mostSeconds * time.Second
		} else {
			settings.MaxTime = 1000 * time.Hour // until ctx ends
		}
		settings.RecordEvery = course.every
		var err error
		if sampled, err = f.sampledRecords(within, q, course.least); err != nil {
			return nil, err
		}
		defer func() { addCounts(&f.visited, sampled.counts) }()
	}
	settings.Recorder = bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) {
		share := float64(r.Step) / float64(r.Step+12)
		if sampled != nil {
			closing := sampled.closing()
			known, stop := sampled.add(r, at)
			if closing {
				f.cutShort = true
				end("time budget used")
			}
			if stop {
				if last := sampled.trace[len(sampled.trace)-1]; last.GradNorm <= smallGradient*math.Abs(last.Value) {
					end("converged: the validation loss does not fall any more")
				} else if !limited {
					end("the validation loss does not fall any more, though its gradient is not zero: --method hoag or a time limit " +
						"may get further")
				}
			}
			if !known {
				return
			}
			r = sampled.trace[len(sampled.trace)-1]
			share = float64(r.Step) / float64(r.Step+4*sampled.least)
		}
		if math.IsNaN(r.Value) {
			return
		}
		best := r.Value
		if len(past) > 0 {
			best = min(best, past[len(past)-1])
		}
		f.at(r.Step, share, best)
		if slices.Equal(at.X, last) { // a trial that was rejected is no step
			return
		}
		last = at.X
		past = append(past, best)
		k := len(past) - 1 - f.param().patience
		switch {
		case w != nil && !w(at):
			end(givenUp)
		case sampled != nil: // see add
		case f.param().logarithmic && r.GradNorm <= negligible*math.Abs(r.Value):
			end("converged: the gradient is negligible")
		// Where strengths can fit the validation rows altogether, h falls for ever: what is left of a small
		// part of the loss at the start is not worth the steps.
		case k >= 0 && past[k]-best <= negligible*max(math.Abs(best), math.Abs(past[0])/10):
			end("converged: the validation loss does not fall any more")
		}
	})
	res, err := bilevel.Minimize(ctx, &q.Problem, course.method, settings)
	if res == nil {
		return nil, err
	}
	addCounts(&f.visited, res.Counts)
	if sampled != nil {
		sampled.finish(res)
	}
	if len(res.Trace) == 0 || math.IsNaN(res.Value) {
		// There is nothing to keep.
		if err == nil {
			err = errNothing
		}
		return nil, err
	}
	var l *learned
	var exactErr error
	recordOnly := f.onTrial || sampled != nil && (f.cutShort || f.ctx.Err() != nil)
	if !recordOnly {
		l, exactErr = f.exact(within, q, res.Point.X, res.Point.Z, res.Point.V)
	}
	if recordOnly {
		// There is no time, or no need, for more.
		l = &learned{x: res.Point.X, z: res.Point.Z, v: res.Point.V, value: res.Value, gradNorm: res.GradNorm}
	} else if exactErr != nil {
		// What the run itself knows is close.
		l = &learned{
			x: res.Point.X, z: res.Point.Z, v: res.Point.V,
			value: res.Value, gradNorm: math.NaN(), grad: make([]float64, len(res.Point.X)),
		}
		if within.Err() != nil {
			l.gradNorm, exactErr = res.GradNorm, nil
		}
	}
	l.steps, l.trace = res.Steps, res.Trace
	switch {
	case err != nil:
		l.reason = troubled(err)
	case exactErr != nil:
		l.reason = troubled(exactErr)
	case ended != "":
		l.reason = ended
	case sampled != nil && res.Reason == bilevel.TimeBudget:
		l.reason = fmt.Sprintf("%d s used while the validation loss still fell; a longer time can be given as the limit",
			mostSeconds)
	case res.Reason == bilevel.NoDescent:
		l.reason = stoppedEarly + ": no step lowers the validation loss, although its gradient is not small"
	case course.ended != "" && (res.Reason == bilevel.StepBudget || res.Reason == bilevel.Done):
		l.reason = course.ended
	default:
		l.reason = res.Reason.String()
	}
	return l, nil
}

var errNothing = errors.New("tune: the validation loss was not finite where learning began")

// stoppedEarly begins the reason of a run that an error ended.
const stoppedEarly = "stopped early by a numerical difficulty"

// troubled is the reason of a run that err ended, for a reader who knows nothing of how it is computed.
func troubled(err error) string {
	var unsolved *inner.NotConvergedError
	var infinite *bilevel.NonFiniteError
	switch {
	case errors.As(err, &unsolved):
		return stoppedEarly + ": at some strengths the model could not be fitted accurately enough"
	case errors.As(err, &infinite), errors.Is(err, errNothing):
		return stoppedEarly + ": at some strengths the numbers became too large"
	}
	return stoppedEarly + ": at some strengths the gradient could not be computed accurately enough"
}

// tracePoints are the records in the units of the target; the last is the result itself, to tolerance.
func (f *fit) tracePoints(l *learned) []TracePoint {
	out := make([]TracePoint, 0, len(l.trace))
	u := f.unit * f.unit
	for _, r := range l.trace {
		if math.IsNaN(r.Value) {
			continue
		}
		out = append(out, TracePoint{Step: r.Step, Seconds: r.Time.Seconds(), Value: r.Value * u, GradNorm: r.GradNorm * u,
			SamplesVisited: r.Counts.Total()})
	}
	if n := len(out); n > 0 {
		last := out[n-1]
		last.Value, last.GradNorm = l.value*u, l.gradNorm*u
		if out[n-1].Value == last.Value || math.Abs(out[n-1].Value-last.Value) <= 1e-6*math.Abs(last.Value) {
			out[n-1] = last // the same point, as it is known now
		} else {
			out = append(out, last)
		}
	}
	return out
}
