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

	// The same with more coefficients than manyCoefficients, where an evaluation takes seconds.
	largePatience   = 2
	largeNegligible = 1e-3

	comparePatience   = 3 // the same to tell kinds apart
	compareNegligible = 1e-3
)

// watch sees the points of a run on their way, and may end it by returning false.
type watch func(at bilevel.Point) bool

// search is a search for the strengths of q while ctx lasts.
type search struct {
	*fit
	q   *problem
	ctx context.Context
	aim aim
}

// aim is what a search is for.
type aim int

const (
	toFinish  aim = iota // its end is the result
	toCompare            // a few steps from one start
	toWatch              // the same, and what matters are held-out rows on the way, and no exact end
)

// Hypergradients of so many multiplications, about, are cheap enough for descents from several starts, all to their end
// or all for a few evaluations, after which the best goes on.
const (
	cheapDescent     = 2e6
	fairDescent      = 2e8
	firstEvaluations = 10
)

// learn minimises the outer objective by descents, see chain, and returns the best. base is the best shared strength.
// Where the user named no start, many strengths start from there, unless it is so weak that nothing is felt of it; then
// from where they matter, see middle. h has local minima, and where descents are cheap there are more of them.
func (s search) learn(base shared, w func() watch) (*learned, error) {
	if w == nil && s.onALine() {
		return s.line(base)
	}
	d, p := s.q.Dims()
	mid := s.middle(s.q)
	at := func(shift float64) bilevel.Point {
		x := make([]float64, p)
		for j := range x {
			x[j] = min(max(mid[j]+shift, s.q.Lower[j]), s.q.Upper[j])
		}
		return bilevel.Point{X: x}
	}
	first := s.start(s.q, base)
	if s.aim != toFinish { // whatever the user's start
		first = bilevel.Point{X: slices.Repeat([]float64{base.x}, p), Z: base.z}
	}
	starts := []bilevel.Point{first}
	cost := s.pass(s.q.rows) * float64(d)
	if s.q.l1 != nil && s.o.Start == "grid" {
		starts = s.sparseStarts(s.q, base, mid)
	} else if s.param().logarithmic && p > 1 && (s.aim != toFinish || s.o.Start == "grid") {
		unfelt := base.x < slices.Min(mid)-4 || base.x > slices.Max(mid)+4
		switch {
		case s.aim == toFinish && s.method() == HOAG && cost <= fairDescent:
			starts = append(starts, at(0), at(2), at(-3))
		case unfelt && s.q.prior == nil: // it keeps strengths near the shared one, and that is far from there
			starts[0] = at(0)
		}
	}
	if s.aim != toFinish {
		starts = starts[:1]
	}
	short := func() watch { // ends a descent that will go on if it is the best
		n := 0
		return func(bilevel.Point) bool {
			n++
			return n < firstEvaluations
		}
	}
	race := len(starts) > 1 && cost > cheapDescent
	var best *learned
	var failed error
	for i, from := range starts {
		if i > 0 && s.ctx.Err() != nil {
			break
		}
		one := s.chain
		if race {
			one = func(from bilevel.Point, _ []float64, _ func() watch) (*learned, error) {
				return s.descend(from, short())
			}
		}
		l, err := one(from, mid, w)
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
	if race && s.ctx.Err() == nil {
		if l, err := s.chain(bilevel.Point{X: best.x, Z: best.z, V: best.v}, mid, w); err == nil && l.value <= best.value {
			best = l.after(best)
		}
	}
	return best, nil
}

// after is l with the trace of the descent before.
func (l *learned) after(before *learned) *learned {
	l.trace = joined(before.trace, l.trace)
	l.steps += before.steps
	return l
}

// joined is the trace of a run and of one that went on from there.
func joined(trace, next []bilevel.Record) []bilevel.Record {
	last := trace[len(trace)-1]
	for _, r := range next {
		r.Step += last.Step
		r.Time += last.Time
		r.Counts = sumCounts(last.Counts, r.Counts)
		trace = append(trace, r)
	}
	return trace
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
func (s search) chain(from bilevel.Point, mid []float64, w func() watch) (*learned, error) {
	watched := func() watch {
		if w == nil {
			return nil
		}
		return w()
	}
	l, err := s.descend(from, watched())
	if err != nil || s.method() != HOAG || !s.param().logarithmic {
		return l, err
	}
	for range 3 {
		if s.ctx.Err() != nil || l.reason == givenUp {
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
		next, err := s.descend(bilevel.Point{X: x, Z: l.z, V: l.v}, watched())
		if err != nil {
			break // what there is is good
		}
		if next.value < l.value-negligible*math.Abs(l.value) {
			l = next.after(l)
			continue
		}
		l.trace, l.steps = joined(l.trace, next.trace), l.steps+next.steps
		break
	}
	return l, nil
}

const givenUp = "given up"

// descend minimises h from the given point. It ends when h does not fall any more, when an e-fold change of the
// strengths would not change it (‖∇h‖ ≤ negligible·h), when w, which may be nil, says so, or when the context is
// cancelled.
func (s search) descend(from bilevel.Point, w watch) (*learned, error) {
	f, q := s.fit, s.q
	course := f.course(q, s.aim)
	within := f.closing // evaluations of what may be the result
	if s.aim != toFinish {
		within = s.ctx
	}
	settings := bilevel.Settings{Start: from, Seed: f.o.Seed, MaxSteps: course.steps}
	ctx, stop := context.WithCancel(s.ctx)
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
				f.outOfTime = true
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
		k := len(past) - 1 - course.patience
		switch {
		case w != nil && !w(at):
			end(givenUp)
		case sampled != nil: // see add
		case f.param().logarithmic && r.GradNorm <= course.negligible*math.Abs(r.Value):
			end("converged: the gradient is negligible")
		// Where strengths can fit the validation rows altogether, h falls for ever: what is left of a small
		// part of the loss at the start is not worth the steps.
		case k >= 0 && past[k]-best <= course.negligible*max(math.Abs(best), math.Abs(past[0])/10):
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
	recordOnly := s.aim == toWatch || s.aim == toCompare && q.prior != nil ||
		sampled != nil && (f.outOfTime || f.ctx.Err() != nil)
	if !recordOnly {
		l, exactErr = f.exact(within, q, res.Point.X, res.Point.Z, res.Point.V)
	}
	if recordOnly {
		// There is no time, or no need, for more.
		l = q.settled(&learned{x: res.Point.X, z: res.Point.Z, v: res.Point.V, value: res.Value, gradNorm: res.GradNorm})
	} else if exactErr != nil {
		// What the run itself knows is close.
		l = q.settled(&learned{
			x: res.Point.X, z: res.Point.Z, v: res.Point.V,
			value: res.Value, gradNorm: math.NaN(), grad: make([]float64, len(res.Point.X)),
		})
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
	u := f.units.loss
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
