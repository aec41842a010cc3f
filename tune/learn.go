package tune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/rows"
	"gonum.org/v1/gonum/floats"
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

// gridPoints are the shared strengths to try, from strong to weak, as x in the exponential parametrisation.
func (f *fit) gridPoints(step float64) []float64 {
	exponent := f.param().exponent
	lo, hi := exponent(f.o.Box.Lower), exponent(f.o.Box.Upper)
	a, b := max(lo, f.middleOfGrid()-12), min(hi, f.middleOfGrid()+12)
	if a > b {
		a, b = lo, hi
	}
	step = max(step, (b-a)/24)
	var x []float64
	for i := 0; ; i++ {
		t := math.Floor(b) - float64(i)*step
		if i == 0 && (t < a || t < b-step/2) {
			t = b
		}
		if t <= a+1e-9 {
			return append(x, a)
		}
		x = append(x, t)
	}
}

// middleOfGrid is where the grid is: around e^x = 1 for features of unit size, and lower for documents, where the
// mean square of a feature is about one over the number of words.
func (f *fit) middleOfGrid() float64 {
	if isText(f.schema) {
		return -12
	}
	return 0
}

// param is the parametrisation.
func (f *fit) param() *param { return f.o.Param.entry() }

// shared is a solution with the same strength everywhere.
type shared struct {
	x, value float64
	z        []float64
}

// fromMiddle puts points into the order in which to try them while there is time: coarse from where the best usually
// is, then between those. shift is the middle of the grid.
func fromMiddle(points []float64, shift float64) []float64 {
	left := slices.Clone(points)
	var out []float64
	take := func(t float64) {
		i := 0
		for k, x := range left {
			if math.Abs(x-t) < math.Abs(left[i]-t) {
				i = k
			}
		}
		if len(left) > 0 && math.Abs(left[i]-t) <= .5 {
			out, left = append(out, left[i]), slices.Delete(left, i, i+1)
		}
	}
	for _, t := range []float64{-2, -5, 1, -8, -3, -6, -11, 4, -1, -4, -7, -9, -10, 0} {
		take(t + shift)
	}
	return append(out, left...)
}

// grid solves the inner problem for one shared strength after another, each from the solution of the one
// before, and returns the points and the best one for each of the outer objectives. Where ctx has a deadline, it takes
// a share of the time that is left: then the points come in another order, see fromMiddle, and all says whether
// all were tried.
func (f *fit) grid(ctx context.Context, s split, step, share float64, outers ...bilevel.Objective) (grid []GridPoint,
	best []shared, all bool, err error) {
	q, err := f.problem(s, f.base())
	if err != nil {
		return nil, nil, false, err
	}
	if len(outers) == 0 {
		outers = []bilevel.Objective{q.Outer}
	}
	solver, err := f.solver(q)
	if err != nil {
		return nil, nil, false, err
	}
	d, _ := q.Dims()
	z, x := make([]float64, d), make([]float64, 1)
	tol, err := f.tolerance(q)
	if err != nil {
		return nil, nil, false, err
	}
	var points []float64
	if q.l1 == nil {
		points = f.gridPoints(step)
	} else if err := f.findTop(q, tol); err != nil {
		return nil, nil, false, err
	} else {
		points = f.sparsePoints(step)
	}
	slack := 1.0 // points are solved to slack times tol
	begin, budget := time.Now(), time.Duration(math.MaxInt64)
	if end, limited := ctx.Deadline(); limited {
		if q.l1 == nil { // the weaker an ℓ1 strength, the longer it takes
			points = fromMiddle(points, f.middleOfGrid())
		}
		budget = time.Duration(share * float64(time.Until(end)))
		tol *= coarse(d)
	} else if d > manyCoefficients || f.pass(s) > costlyPass {
		slack = 1e3
	}
	best = make([]shared, len(outers))
	var slowest time.Duration
	for i, t := range points {
		from := time.Now()
		if i > 0 && (ctx.Err() != nil || from.Sub(begin)+slowest > budget) {
			break
		}
		x[0] = min(max(f.param().at(t), f.o.Box.Lower), f.o.Box.Upper) // rounding must not lead out of the box
		accept := slack * tol
		if norm := floats.Norm(z, 2); slack > 1 && norm > 0 {
			// ‖z − z*(x)‖ ≤ ‖∇g‖/e^x ≤ ‖z‖/100
			accept = max(tol, min(accept, math.Exp(t)*norm/100))
		}
		within := ctx
		if i == 0 {
			within = f.closing // a model there must be
		}
		if solved, err := solve(within, solver, z, x, accept); err != nil {
			return nil, nil, false, err
		} else if !solved && i > 0 {
			break
		}
		for k, o := range outers {
			v := o.Value(z, x, bilevel.All(o))
			f.visited.ValueF += int64(o.Samples())
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, nil, false, fmt.Errorf("tune: the validation loss is %v with the strength %v: are the values of the "+
					"validation rows of another size than those of the training rows?", v, t)
			}
			if k == 0 {
				grid = append(grid, GridPoint{x[0], v * f.unit * f.unit})
			}
			if i == 0 || v < best[k].value {
				best[k] = shared{x[0], v, slices.Clone(z)}
			}
		}
		slowest = max(slowest, time.Since(from))
		f.at(int64(i+1), float64(i+1)/float64(len(points)), best[0].value)
		if all = len(grid) == len(points); slack > 1 && len(outers) == 1 && pastBest(grid) {
			all = true
			break
		}
	}
	if slack > 1 { // the best points deserve better
		for k := range best {
			b := &best[k]
			better := slices.Clone(b.z)
			if solved, err := solve(ctx, solver, better, []float64{b.x}, tol); err != nil {
				return nil, nil, false, err
			} else if !solved {
				break
			}
			b.z = better
			b.value = outers[k].Value(b.z, []float64{b.x}, bilevel.All(outers[k]))
			f.visited.ValueF += int64(outers[k].Samples())
		}
	}
	slices.SortFunc(grid, func(a, b GridPoint) int { return cmp.Compare(b.X, a.X) })
	return grid, best, all, nil
}

// With more coefficients than manyCoefficients, or more multiplications in a pass over the rows than costlyPass, the
// points of the grid are solved to about a hundredth only, and points weaker than the best are left out once the loss
// rises: they are the slowest, and the model is not there.
const (
	manyCoefficients = 1e5
	costlyPass       = 1e8
)

// pastBest says whether the loss rose over the last three of the points, from strong to weak, and by a twentieth.
func pastBest(grid []GridPoint) bool {
	n := len(grid)
	if n < 4 {
		return false
	}
	least := math.Inf(1)
	for i, g := range grid {
		if i >= n-3 && !(g.Value > grid[i-1].Value) {
			return false
		}
		least = min(least, g.Value)
	}
	return grid[n-1].Value > 1.05*least
}

// accuracy of exact solutions of inner problems and adjoint systems of d coefficients.
func accuracy(d int) float64 {
	if d > manyCoefficients {
		return 1e-5
	}
	return 1e-9
}

// coarse is the factor from the tolerance of exact solutions to one that will do to choose among points.
func coarse(d int) float64 {
	if d > manyCoefficients {
		return 10
	}
	return 1e4 // 1e-5 of the gradient
}

// tolerance of exact inner solutions, relative to the gradient at z = 0.
func (f *fit) tolerance(q *problem) (float64, error) {
	d, p := q.Dims()
	dz := make([]float64, d)
	x := slices.Repeat([]float64{f.o.Box.Upper}, p)
	q.Inner.Grad(dz, nil, make([]float64, d), x, bilevel.All(q.Inner))
	f.visited.GradG += int64(q.Inner.Samples())
	g := inner.NewNorm(q.Inner).Of(dz)
	if math.IsNaN(g) || math.IsInf(g, 0) {
		return 0, errors.New("tune: the gradient of the training loss is not finite: some values are too large; " +
			"standardise them (--scale)")
	}
	return accuracy(d) * max(g, 1e-300), nil
}

// solve solves an inner problem, and says whether it did before ctx ended; then z is some point on the way.
func solve(ctx context.Context, m inner.Minimizer, z, x []float64, tol float64) (solved bool, err error) {
	if _, err = m.Minimize(ctx, z, x, tol); err != nil && ctx.Err() != nil {
		return false, nil
	}
	return true, unlessUnsolved(err)
}

// unlessUnsolved is err, except that an inner problem that was not solved to tolerance is none: the solution
// is the best that there is.
func unlessUnsolved(err error) error {
	var unsolved *inner.NotConvergedError
	if errors.As(err, &unsolved) {
		return nil
	}
	return err
}

// learned are strengths and what is known at them, exactly.
type learned struct {
	x, z, v         []float64
	value, gradNorm float64 // in prepared units
	grad            []float64
	steps           int64
	trace           []bilevel.Record
	reason          string
}

// valueAccuracy is how exactly the reported loss is that of the strengths, relative to itself.
const valueAccuracy = 1e-6

// exact solves inner problem and adjoint system at x to tolerance, starting from z and v.
func (f *fit) exact(ctx context.Context, q *problem, x, z, v []float64) (*learned, error) {
	var counts bilevel.Counts
	hyper, err := q.estimator.Start(&q.Problem, &counts)
	if err != nil {
		return nil, err
	}
	at, err := q.StartPoint(bilevel.Point{Z: z, X: x, V: v})
	if err != nil {
		return nil, err
	}
	tol, err := f.tolerance(q)
	if err != nil {
		return nil, err
	}
	grad := make([]float64, len(x))
	all := bilevel.All(q.Outer)
	size := math.Abs(q.Outer.Value(at.Z, at.X, all))
	effort := hypergrad.Effort{Inner: tol, LinearTol: accuracy(len(at.Z)), ValueTol: valueAccuracy * size}
	f.visited.ValueF += int64(all.Len())
	rep, err := hyper.At(ctx, grad, at, effort)
	addCounts(&f.visited, counts)
	if err != nil {
		return nil, err
	}
	projected := make([]float64, len(x))
	q.ProjectedGrad(projected, at.X, grad)
	// The loss of the model that is kept, not a better estimate of h.
	value := rep.Value - rep.Correction
	return &learned{x: at.X, z: at.Z, v: at.V, value: value, grad: grad, gradNorm: floats.Norm(projected, 2)}, nil
}

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

const (
	batch          = 64   // of a stochastic method
	leastPasses    = 5    // before one may end
	leastSteps     = 2000 // the same in steps
	leastFullSteps = 2000 // of a method that passes over all rows
	mostSeconds    = 60   // of steps, where the user gives no limit
	smallGradient  = 1e-3 // as a share of h: the run has converged
	leastFall      = 1e-4 // the share of itself by which h has to fall while the steps double
)

// sampledRecords evaluates h on the way of a method that does not know it: at a step, and again after about an eighth
// more steps, so that the evaluations do not outweigh the steps.
type sampledRecords struct {
	f      *fit
	ctx    context.Context // of evaluations
	hyper  hypergrad.Hypergradient
	q      *problem
	tol    hypergrad.Effort
	counts bilevel.Counts
	next   int64
	least  int64
	pg     []float64
	v      []float64 // the last adjoint, where the method has none

	deadline time.Time     // zero for none
	cost     time.Duration // of the last evaluation
	ended    time.Time     // when it ended

	trace []bilevel.Record
	best  bilevel.Point
	at    int // index of best in trace
	err   error
}

func (f *fit) sampledRecords(ctx context.Context, q *problem, least int64) (*sampledRecords, error) {
	tol, err := f.tolerance(q)
	if err != nil {
		return nil, err
	}
	linear := 1e-6
	d, p := q.Dims()
	end, limited := f.ctx.Deadline()
	if limited { // records choose the best of some points, and are not the result
		tol, linear = coarse(d)*tol, 1e-3
	}
	s := &sampledRecords{deadline: end, f: f, ctx: ctx, q: q, least: least, pg: make([]float64, p),
		tol: hypergrad.Effort{Inner: tol, LinearTol: linear}}
	s.hyper, err = q.estimator.Start(&q.Problem, &s.counts)
	return s, err
}

// add evaluates h at a record, if it is time to, and says whether it is known there, and whether it falls no more.
// What cannot be evaluated is left out.
func (s *sampledRecords) add(r bilevel.Record, at bilevel.Point) (known, stop bool) {
	if r.Step < s.next && !s.closing() || !s.deadline.IsZero() && time.Since(s.ended) < s.cost && !s.closing() {
		return false, false
	}
	begin := time.Now()
	defer func() { s.ended = time.Now(); s.cost = s.ended.Sub(begin) }()
	s.next = r.Step + r.Step/8 + 1
	if at.V == nil { // of a method without an adjoint
		at.V = make([]float64, len(at.Z))
		copy(at.V, s.v)
		s.v = at.V
	}
	rep, err := s.hyper.At(s.ctx, s.pg, at, s.tol)
	if err != nil {
		s.err = err
		return false, false
	}
	s.q.ProjectedGrad(s.pg, at.X, s.pg)
	r.Value, r.GradNorm = rep.Value-rep.Correction, floats.Norm(s.pg, 2)
	s.trace = append(s.trace, r)
	if len(s.trace) == 1 || r.Value <= s.trace[s.at].Value {
		s.best, s.at = at, len(s.trace)-1
	}
	// The best and the last value until half as many steps: h may rise at first, where x has left z behind, and fall
	// again.
	before, then := math.NaN(), math.NaN()
	for _, t := range s.trace {
		if 2*t.Step > r.Step {
			break
		}
		if then = t.Value; !(then > before) {
			before = then
		}
	}
	falls := func(from, to float64) bool { return from-to > leastFall*math.Abs(from) }
	return true, r.Step >= s.least && !falls(before, s.trace[s.at].Value) && !falls(then, r.Value)
}

// closing says that there is time for one more evaluation.
func (s *sampledRecords) closing() bool {
	return !s.deadline.IsZero() && s.cost > 0 && time.Until(s.deadline) < s.cost*5/4
}

// finish evaluates the last point of res, if there is time, and puts what is known into res.
func (s *sampledRecords) finish(res *bilevel.Result) {
	if n := len(s.trace); n > 0 && len(res.Trace) > 0 && s.trace[n-1].Step < res.Steps && s.f.ctx.Err() == nil {
		s.next = 0
		s.add(res.Trace[len(res.Trace)-1], res.Last)
	}
	res.Trace = s.trace
	res.Value = math.NaN()
	if len(s.trace) > 0 {
		res.Point, res.Value, res.GradNorm = s.best, s.trace[s.at].Value, s.trace[s.at].GradNorm
	}
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

// sub is a context that ends after a share of the time that is left.
func sub(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Duration(share*float64(time.Until(end))))
	}
	return context.WithCancel(ctx)
}
