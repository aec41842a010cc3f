package clean

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/wait"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/tune"
)

const (
	heldShare      = .25
	batch          = 64   // rows of a stochastic step, at each level
	stretch        = 4    // passes
	leastSteps     = 1000 // of a stretch
	leastFullSteps = 50   // of one with steps that pass over all rows
	// travel bounds how far x_i goes in a stretch, in units of w'(x_i)⟨∂ℓ_i, A_i v⟩: the change of the row's loss along
	// the adjoint, a number that depends neither on the number of rows nor on the unit of a feature.
	travel = 12.
	// Learning ends when the held-out loss has fallen by less than this share of itself in each of so many stretches.
	leastFall, patience = .01, 2
	// That does not count before some weight is so far from one half, or so many stretches are over: automatic steps
	// begin small.
	farFromHalf, graceStretches = .2, 30

	stretches = 50 // at most
	// An inner tolerance, relative to the gradient at zero. Held-out rows cannot tell smaller ones apart.
	fitTol = 3e-3
)

// ridges are C, from strong to weak, in units of the mean square of a feature.
var ridges = []float64{2, .2, .02, .002, .0002}

// fit is one job.
type fit struct {
	ctx, closing                 context.Context // of work, and of what the result needs
	fitTime                      time.Duration   // of a model of all rows
	o                            Options
	train, trusted, learn, judge *dataset.Set
	test                         *dataset.Set // or nil
	classes                      []string
	constant                     bool    // the last feature is one everywhere
	unit                         float64 // mean square of a feature
}

// prepare checks the data, scales them and holds out trusted rows.
func prepare(data Data, o Options) (*fit, error) {
	f := &fit{o: o}
	fail := func(s *dataset.Set, hint, format string, args ...any) error {
		e := &dataset.Error{Err: fmt.Errorf(format, args...), Hint: hint}
		if s != nil {
			e.File = s.Source
		}
		return e
	}
	switch {
	case data.Train == nil:
		return nil, fail(nil, "", "there are no training rows")
	case data.Trusted == nil:
		return nil, fail(nil, "give rows whose labels are right", "there are no trusted rows")
	}
	train := *data.Train
	n, d := train.Dims()
	switch {
	case n == 0 || d == 0:
		return nil, fail(&train, "", "%d training rows of %d features: nothing to learn from", n, d)
	case train.Y == nil:
		return nil, fail(&train, "name the label column", "the training rows have no label")
	}
	if err := train.AsClasses(); err != nil {
		return nil, err
	}
	f.classes = train.Classes
	trusted, err := data.Trusted.Conform("trusted", &train)
	if err != nil {
		return nil, err
	}
	if slices.Max(trusted.ClassCounts()) == len(trusted.Y) {
		return nil, fail(trusted, "give trusted rows of all classes", "all trusted rows are of the class %q",
			f.classes[int(trusted.Y[0])])
	}
	tables := !train.Schema.Prepared()
	on := func(s tune.Switch) bool { return s == tune.On || s != tune.Off && tables }
	transform := func(s *dataset.Set) *dataset.Set { return s }
	if f.constant = on(o.Intercept); on(o.Scale) || f.constant {
		var scaler *dataset.Scaler
		if on(o.Scale) {
			scaler = train.FitScaler()
		}
		transform = func(s *dataset.Set) *dataset.Set {
			t := *s
			switch {
			case scaler != nil && f.constant:
				t.X = scaler.ApplyWithOnes(t.X)
			case scaler != nil:
				t.X = scaler.Apply(t.X)
			default:
				t.X = t.X.WithOnes()
			}
			return &t
		}
	}
	if data.Test != nil {
		test, err := data.Test.Conform("test", &train)
		if err != nil {
			return nil, err
		}
		f.test = transform(test)
	}
	f.train, f.trusted = transform(&train), transform(trusted)
	f.learn, f.judge, err = f.trusted.Split(heldShare, o.Seed, true)
	if err != nil { // a class with a single row
		f.learn, f.judge, err = f.trusted.Split(heldShare, o.Seed, false)
	}
	if err != nil {
		f.learn, f.judge = f.trusted, f.trusted
	}
	f.unit = meanSquare(f.train.X)
	return f, nil
}

func (f *fit) report(stage string, done, value float64) {
	if f.o.Progress != nil {
		f.o.Progress(tune.Progress{Stage: stage, Done: done, Value: value})
	}
}

// loss is the loss of the rows of s, with p outer variables.
func (f *fit) loss(s *dataset.Set, p int) (*model.Loss, error) {
	y := make([]int, len(s.Y))
	for i, v := range s.Y {
		y[i] = int(v)
	}
	return model.NewSoftmax(s.X, y, len(f.classes), p)
}

// cleaning is the inner objective of the rows of s.
func (f *fit) cleaning(s *dataset.Set, weights model.Weights, ridge float64) (*model.Cleaning, error) {
	l, err := f.loss(s, len(s.Y))
	if err != nil {
		return nil, err
	}
	return model.NewCleaning(l, model.CleaningOptions{Weights: weights, Ridge: ridge})
}

// fitted overwrites z by the model of the rows of s, all with weight 1; solved says that it was
// before ctx ended.
func (f *fit) fitted(ctx context.Context, z []float64, s *dataset.Set, ridge float64) (solved bool, err error) {
	g, err := f.cleaning(s, model.LinearWeights, ridge)
	if err != nil {
		return false, err
	}
	m, err := inner.LBFGS{}.Start(g, nil)
	if err != nil {
		return false, err
	}
	w := slices.Repeat([]float64{1}, len(s.Y))
	return solve(ctx, m, z, w, fitTol*f.steepness(g, w))
}

// solve minimises a training loss, and says whether it did before ctx ended.
func solve(ctx context.Context, m inner.Minimizer, z, x []float64, tol float64) (solved bool, err error) {
	var unsolved *inner.NotConvergedError
	switch _, err = m.Minimize(ctx, z, x, tol); {
	case err != nil && ctx.Err() != nil:
		return false, nil
	case errors.As(err, &unsolved): // what it ended with is the best model that it found
		return true, nil
	}
	return true, err
}

// steepness is the size of ∇z g at z = 0, see [inner.Norm].
func (f *fit) steepness(g bilevel.Objective, x []float64) float64 {
	d, _ := g.Dims()
	dz := make([]float64, d)
	g.Grad(dz, nil, make([]float64, d), x, bilevel.All(g))
	return inner.NewNorm(g).Of(dz)
}

// best is the model of the rows of s with the ridge that is best for the held-out rows, found from the given one. Where
// time is up, fewer are tried.
func (f *fit) best(s *dataset.Set, from []float64) (z []float64, ridge, held float64, err error) {
	at := slices.Clone(from)
	held = math.Inf(1)
	ctx := f.closing // a model there must be
	for _, c := range ridges {
		begin := time.Now()
		if solved, err := f.fitted(ctx, at, s, c*f.unit); err != nil {
			return nil, 0, 0, err
		} else if !solved && z != nil {
			break
		}
		ctx = f.ctx
		v := f.figures(f.judge, at).Loss
		if v >= held {
			break
		}
		z, ridge, held = slices.Clone(at), c*f.unit, v
		f.fitTime = max(f.fitTime, time.Since(begin))
		if f.ctx.Err() != nil {
			break
		}
	}
	if z == nil {
		return nil, 0, 0, fmt.Errorf("clean: a model of %s has no finite loss on the held-out rows", s.Source)
	}
	return z, ridge, held, nil
}

// run does the job.
func (f *fit) run() (*Result, error) {
	r := &Result{Classes: f.classes, Method: f.o.Method, NTrusted: len(f.trusted.Y), NHeld: len(f.judge.Y)}
	r.NTrain, r.Features = f.train.Dims()
	if f.test != nil {
		r.NTest = len(f.test.Y)
	}
	f.report("all rows", 0, math.NaN())
	zero := make([]float64, r.Features*len(f.classes))
	before, allRidge, allHeld, err := f.best(f.train, zero)
	if err != nil {
		return nil, err
	}
	r.Start = allHeld
	f.report("trusted rows", .25, math.NaN())
	// Right labels say how weak the ridge may be; wrong ones would ask for a strong one, which blurs the weights.
	z, ridge, _, err := f.best(f.learn, zero)
	if err != nil {
		return nil, err
	}
	r.Ridge = ridge
	if f.test != nil {
		r.Alone = f.figures(f.test, z)
	}
	ctx, cancel := wait.Earlier(f.ctx, 2*f.fitTime) // the final model takes time too
	defer cancel()
	weights, z, err := f.weigh(ctx, r, z)
	if err != nil {
		return nil, err
	}
	from := zero
	if r.TimedOut = ctx.Err() != nil; r.TimedOut {
		r.Reason = "time budget used: the best weights so far"
		from = z // there is no time to begin anew
	}

	f.report("final model", .75, r.Value)
	r.Rows = make([]Row, r.NTrain)
	for i, w := range weights {
		r.Rows[i] = Row{Label: int(f.train.Y[i]), Weight: w, Kept: w >= .5}
	}
	var held float64
	if z, ridge, held, err = f.best(stack(f.train, f.learn, r.keptRows()), from); err != nil {
		return nil, err
	}
	f.predict(r, z)
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Kept = row.Kept || row.Predicted == row.Label
	}
	kept := r.keptRows()
	r.Kept, r.FinalRidge = len(kept), ridge
	if r.AllBetter = allHeld <= held; r.AllBetter {
		z, r.FinalRidge = before, allRidge
		kept = kept[:0]
		for i := range r.Rows {
			kept = append(kept, i)
		}
	}
	if f.ctx.Err() == nil {
		final := slices.Clone(z)
		solved, err := f.fitted(f.closing, final, stack(f.train, f.trusted, kept), r.FinalRidge)
		if err != nil {
			return nil, err
		}
		if solved {
			z = final
		}
	}
	rank(r.Rows, f.predict(r, z))
	f.explain(r, z)
	for c, n := range f.trusted.ClassCounts() {
		if n == 0 {
			r.Untrusted = append(r.Untrusted, f.classes[c])
		}
	}
	if f.test != nil {
		r.Before, r.After = f.figures(f.test, before), f.figures(f.test, z)
	}
	return r, nil
}

// predict sets the labels that the model z gives the training rows, and returns the losses of the labels they have.
func (f *fit) predict(r *Result, z []float64) []float64 {
	k := len(f.classes)
	scores := model.ScoreRows(f.train.X, z, k)
	losses, predicted := tune.Softmax.Judge(scores, f.train.Y, k)
	for i, c := range predicted {
		row, t := &r.Rows[i], scores[i*k:(i+1)*k]
		row.Predicted, row.Given = int(c), math.Exp(-losses[i])
		row.Suggested = row.Given * math.Exp(t[row.Predicted]-t[row.Label])
	}
	return losses
}

// reasons is how many features are named that speak against a label.
const reasons = 12

// explain finds the features that speak most against the labels of the rows that are not kept: those with the largest
// parts of the difference of the two scores.
func (f *fit) explain(r *Result, z []float64) {
	d := len(z) / len(f.classes)
	layout := model.Layout{Features: d, Classes: len(f.classes), FeatureMajor: isSparse(f.train)}
	r.Against = make(map[int][]int)
	part := make([]float64, d)
	for i, row := range r.Rows {
		if row.Kept || row.Label == row.Predicted {
			continue
		}
		var there []int
		eachValue(f.train, i, func(j int, v float64) {
			if j == d-1 && f.constant {
				return
			}
			part[j] = v * (z[layout.Index(row.Predicted, j)] - z[layout.Index(row.Label, j)])
			if part[j] > 0 {
				there = append(there, j)
			}
		})
		slices.SortStableFunc(there, func(a, b int) int { return cmp.Compare(part[b], part[a]) })
		r.Against[i] = slices.Clone(there[:min(len(there), reasons)])
	}
}

// keptRows are the indices of the kept rows.
func (r *Result) keptRows() []int {
	var kept []int
	for i, row := range r.Rows {
		if row.Kept {
			kept = append(kept, i)
		}
	}
	return kept
}

// weigh learns the weights, from the model z, and returns the model that goes with them.
func (f *fit) weigh(ctx context.Context, r *Result, z []float64) ([]float64, []float64, error) {
	n := r.NTrain
	train := f.train
	var order []int
	course := f.course(n)
	if course.batches {
		order = generator(f.o.Seed).Perm(n)
		train = train.Subset(order)
	}
	learn := f.learn.Shuffle(f.o.Seed)
	g, err := f.cleaning(train, model.SigmoidWeights, r.Ridge)
	if err != nil {
		return nil, nil, err
	}
	outer, err := f.loss(learn, n)
	if err != nil {
		return nil, nil, err
	}
	every := course.every
	solver, err := inner.LBFGS{}.Start(g, nil)
	if err != nil {
		return nil, nil, err
	}
	refitted := slices.Clone(z)
	var failed error
	best := make([]float64, n)
	r.Value = math.Inf(1)
	last, slow, moved := math.Inf(1), 0, false
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	weights := make([]float64, n)
	s := bilevel.Settings{Start: bilevel.Point{Z: slices.Clone(z)}, Seed: f.o.Seed, MaxSteps: stretches * every,
		RecordEvery: every}
	s.Recorder = bilevel.RecorderFunc(func(rec bilevel.Record, at bilevel.Point) {
		if rec.Step > 0 && rec.Step%every != 0 {
			return // less than a stretch
		}
		g.Weights(weights, at.X)
		if course.refits {
			var solved bool
			if solved, failed = solve(ctx, solver, refitted, at.X, fitTol*f.steepness(g, at.X)); failed != nil || !solved {
				stop()
				return
			}
			at.Z = refitted
		}
		held := f.figures(f.judge, at.Z).Loss
		if rec.Step == 0 {
			copy(best, weights)
			return // z is the model of the trusted rows
		}
		kept := 0
		for _, w := range weights {
			if w >= .5 {
				kept++
			}
			moved = moved || math.Abs(w-.5) >= farFromHalf
		}
		r.Trace = append(r.Trace, Stretch{rec.Step, rec.Time.Seconds(), held, kept})
		if held < r.Value {
			r.Value, r.Best = held, len(r.Trace)-1
			copy(best, weights)
			copy(z, at.Z)
		}
		if slow++; held < (1-leastFall)*last || !moved && len(r.Trace) < graceStretches {
			slow = 0
		}
		last = min(last, held)
		if slow >= patience {
			stop()
		}
		f.report("learning weights", .3+.45*float64(len(r.Trace))/stretches, held)
	})
	res, err := bilevel.Minimize(ctx, &bilevel.Problem{Outer: outer, Inner: g}, course.method, s)
	if err != nil && res == nil {
		return nil, nil, err
	}
	r.Steps = res.Steps
	if err == nil {
		err = failed
	}
	switch {
	case err != nil:
		r.Reason = "stopped early: " + err.Error()
	case slow >= patience:
		r.Reason = "the loss of held-out trusted rows falls no more"
	case res.Reason == bilevel.NoDescent:
		r.Reason = "no step lowers the loss of the trusted rows"
	default:
		r.Reason = res.Reason.String()
	}
	if order == nil {
		return best, z, nil
	}
	out := make([]float64, n)
	for i, j := range order {
		out[j] = best[i]
	}
	return out, z, nil
}
