package mix

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

const (
	mostSteps = 200  // evaluations of a descent
	gradTol   = 1e-5 // of the projected gradient
	// A descent ends when h has fallen by less than this share of itself in so many steps: far less than target rows tell.
	leastFall, patience = 1e-3, 5
	fitTol              = 1e-8 // of the final model, relative to the gradient at zero
	lookTol             = 1e-5 // of models whose loss is compared
)

// logs are the logarithms of the strengths that are tried first, with all rows alike.
var logs = []float64{-4, -1, -7, -10, 2}

// problem is the bilevel problem of some sources and some folds of the target.
type problem struct {
	bilevel.Problem
	use     []int // the sources, in the order of their weights in x
	mixture *model.Mixture
	loss    *model.Loss  // of the target rows
	target  *dataset.Set // sorted by fold
	bounds  []int        // of the models' own folds; nil where there is one model, which no target row trains
}

// box bounds the logarithm of the strength.
func (f *fit) box() tune.Box {
	if s := f.given.Schema; s != nil && s.Text != nil { // in rows of unit length a word's mean square is small
		return tune.Box{Lower: -24, Upper: 0}
	}
	return tune.Box{Lower: -12, Upper: 12}
}

// problem is that of the sources to use, in order, and of all folds but one, which is left out of everything; −1 leaves
// out none.
func (f *fit) problem(use []int, omit int) (*problem, error) {
	p := &problem{use: use, target: f.target, bounds: f.bounds}
	inside := f.bounds
	if omit >= 0 {
		lo, hi := f.bounds[omit], f.bounds[omit+1]
		var rest []int
		for i := range f.target.Y {
			if i < lo || i >= hi {
				rest = append(rest, i)
			}
		}
		p.target = f.target.Subset(rest)
		// The rows that are left out are in the range of a neighbour; they are of no part.
		cut := max(omit, 1)
		inside = slices.Delete(slices.Clone(f.bounds), cut, cut+1)
		p.bounds = slices.Clone(f.bounds[:omit+1])
		for _, b := range f.bounds[omit+2:] {
			p.bounds = append(p.bounds, b-(hi-lo))
		}
	}
	if !f.sources[use[len(use)-1]].Target {
		p.bounds, inside = nil, nil
	}
	var err error
	if p.loss, err = f.task.Objective(p.target.X, p.target.Y, f.classes, len(use)+1); err != nil {
		return nil, err
	}
	p.Outer = p.loss
	if p.bounds != nil {
		folds, err := model.NewFolds(p.loss, p.bounds)
		if err != nil {
			return nil, err
		}
		p.Outer = folds.Outer
	}
	if p.mixture, err = f.mixture(use, omit, inside); err != nil {
		return nil, err
	}
	box := f.box()
	p.Inner = p.mixture
	p.Project = func(x []float64) {
		n := len(use)
		bilevel.ProjectSimplex(x[:n])
		x[n] = min(max(x[n], box.Lower), box.Upper)
	}
	return p, nil
}

// mixture is the inner objective of the rows of some sources without those of a fold, with these bounds of folds.
func (f *fit) mixture(use []int, omit int, bounds []int) (*model.Mixture, error) {
	set, part := f.rowsOf(use)
	if omit >= 0 && f.sources[use[len(use)-1]].Target {
		for i := f.bounds[omit]; i < f.bounds[omit+1]; i++ {
			part[i] = -1
		}
	}
	loss, err := f.task.Objective(set.X, set.Y, f.classes, 0)
	if err != nil {
		return nil, err
	}
	penalty, err := model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{First: len(use),
		Copies: max(len(bounds)-1, 1), Intercept: f.intercept})
	if err != nil {
		return nil, err
	}
	return model.NewMixture(loss, part, bounds, penalty)
}

// rowsOf are the rows of some sources, those of the target first, and for each the place of its source in use. They
// share the memory of all rows where they lie in one piece there.
func (f *fit) rowsOf(use []int) (set *dataset.Set, part []int) {
	order := make([]int, len(use)) // places in use as rows lie
	for k := range order {
		order[k] = k
	}
	if last := len(use) - 1; f.sources[use[last]].Target {
		order = append([]int{last}, order[:last]...)
	}
	var pieces []*dataset.Set
	whole := true
	lo, hi := f.first[use[order[0]]], f.first[use[order[0]]]
	for _, k := range order {
		from := f.first[use[k]]
		to := from + f.sources[use[k]].Rows
		whole = whole && from == hi
		hi = to
		pieces = append(pieces, span(f.all, from, to))
		part = append(part, slices.Repeat([]int{k}, to-from)...)
	}
	if whole {
		return span(f.all, lo, hi), part
	}
	return stack(pieces), part
}

// learned is where a descent ended.
type learned struct {
	x, z   []float64
	value  float64
	steps  int64
	trace  []bilevel.Record
	reason string
}

// learn minimises h from a point on.
func (f *fit) learn(ctx context.Context, p *problem, x, z []float64) (*learned, error) {
	within, stop := context.WithCancel(ctx)
	defer stop()
	var past []float64 // best values after each step
	ended := ""
	res, err := bilevel.Minimize(within, &p.Problem, hypergrad.HOAG{}, bilevel.Settings{
		Start: bilevel.Point{X: x, Z: z}, Seed: f.o.Seed, MaxSteps: mostSteps, GradTol: gradTol,
		Recorder: bilevel.RecorderFunc(func(rec bilevel.Record, _ bilevel.Point) {
			best := rec.Value
			if math.IsNaN(best) { // before the first step
				return
			}
			if n := len(past); n > 0 {
				best = min(best, past[n-1])
			}
			if past = append(past, best); len(past) > patience && best > (1-leastFall)*past[len(past)-1-patience] {
				ended = "the loss falls no more"
				stop()
			}
		})})
	if res == nil || len(res.Point.X) == 0 || math.IsNaN(res.Value) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = errors.New("mix: no point with a finite loss was found")
		}
		return nil, err
	}
	l := &learned{x: res.Point.X, z: res.Point.Z, value: res.Value, steps: res.Steps, trace: res.Trace,
		reason: res.Reason.String()}
	switch {
	case ctx.Err() != nil:
	case ended != "":
		l.reason = ended
	case err != nil:
		l.reason = "stopped early: " + err.Error()
	}
	return l, nil
}

// pinned finds the strength for fixed weights: the best of a few, and then the best of all. The first is found even
// where ctx has ended, within closing.
func (f *fit) pinned(ctx, closing context.Context, p *problem, weights []float64) (*learned, error) {
	n, box := len(weights), f.box()
	best := &learned{value: math.Inf(1)}
	for _, log := range logs {
		l, err := p.at(closing, append(slices.Clone(weights), (box.Lower+box.Upper)/2+log), best.z)
		if err != nil && best.x == nil {
			return nil, err
		}
		if err == nil && l.value < best.value {
			best = l
		}
		if closing = ctx; ctx.Err() != nil {
			return best, nil
		}
	}
	q := *p
	q.Project = func(x []float64) {
		copy(x, weights)
		x[n] = min(max(x[n], box.Lower), box.Upper)
	}
	l, err := f.learn(ctx, &q, best.x, best.z)
	if err != nil {
		return best, nil
	}
	return l, nil
}

// run does the job.
func (f *fit) run() (*Result, error) {
	r := &Result{Sources: f.sources, Folds: len(f.bounds) - 1, NTarget: len(f.target.Y)}
	_, r.Features = f.given.Dims()
	if f.test != nil {
		r.NTest = len(f.test.Y)
	}
	var every []int
	var shares []float64
	for s := range r.Sources {
		of := &r.Sources[s]
		for _, v := range []*float64{&of.Low, &of.High, &of.Alone, &of.Change, &of.ChangeLow, &of.ChangeHigh} {
			*v = math.NaN()
		}
		every = append(every, s)
		shares = append(shares, r.Sources[s].Share)
	}
	p, err := f.problem(every, -1)
	if err != nil {
		return nil, err
	}
	f.report("all rows alike", 0, math.NaN())
	alike, err := f.pinned(f.ctx, f.closing, p, shares)
	if err != nil {
		return nil, err
	}
	r.Alike = f.way(p, alike)
	if err := f.singles(r); err != nil {
		return nil, err
	}
	even, l, p, err := f.choose(r, p, alike)
	if err != nil {
		return nil, err
	}
	r.Learned = f.way(p, l)
	r.Steps, r.Reason = l.steps, l.reason
	for _, t := range l.trace {
		r.Trace = append(r.Trace, tune.TracePoint{Step: t.Step, Seconds: t.Time.Seconds(), Value: f.inUnit(t.Value),
			GradNorm: f.inUnit(t.GradNorm), SamplesVisited: t.Counts.Total()})
	}
	f.report("judging weights", .7, l.value)
	if err := f.judge(r, p, even, l); err != nil {
		return nil, err
	}
	for s, w := range r.Mix.Weights {
		r.Sources[s].Weight = w
	}
	f.report("comparing sources", .9, l.value)
	if err := f.changes(r, p, even); err != nil {
		return nil, err
	}
	r.TimedOut = f.ctx.Err() != nil
	f.report("final model", .95, l.value)
	return r, f.finish(r)
}

// inUnit is a mean loss of prepared labels in the units of the target.
func (f *fit) inUnit(loss float64) float64 { return loss * f.unit * f.unit }

// singles fits models of one source each.
func (f *fit) singles(r *Result) error {
	for s := range f.sources {
		if f.ctx.Err() != nil {
			return nil
		}
		f.report("one source alone", .1+.2*float64(s)/float64(len(f.sources)), r.Alike.Value)
		p, err := f.problem([]int{s}, -1)
		if err != nil {
			return err
		}
		l, err := f.pinned(f.ctx, f.ctx, p, []float64{1})
		if err != nil { // a source of one class may have no model, or time is up
			continue
		}
		way := f.way(p, l)
		r.Sources[s].Alone = way.Value
		if f.sources[s].Target {
			r.Own = way
		} else if r.Single == nil || way.Value < r.Single.Value {
			r.Single, r.Best = way, s
		}
	}
	return nil
}

// choose leaves out sources and learns the weights of the others, until there are none to leave out. It returns the
// problem of those that are left, their rows alike, and their learned weights.
func (f *fit) choose(r *Result, p *problem, even *learned) (*learned, *learned, *problem, error) {
	for {
		f.report("leaving sources out", .3, even.value)
		out, gains, err := f.worst(p, even)
		if err == nil && gains[out] < certain {
			f.report("learning weights", .5, even.value)
			l, err := f.weigh(r, p, even)
			if err != nil {
				return nil, nil, nil, err
			}
			if out = f.least(r, p, gains); out < 0 {
				return even, l, p, nil
			}
		}
		switch {
		case f.ctx.Err() != nil:
			return even, even, p, nil
		case err != nil:
			return nil, nil, nil, err
		}
		rest := slices.Delete(slices.Clone(p.use), out, out+1)
		q, err := f.problem(rest, -1)
		if err != nil {
			return nil, nil, nil, err
		}
		l, err := f.pinned(f.ctx, f.closing, q, f.fair(rest))
		if err != nil {
			return nil, nil, nil, err
		}
		r.Sources[p.use[out]].LeftOut = true
		even, p = l, q
	}
}

// worst is the place of the source without which the rows of the others alike gain most, and the gain of each; that of
// the target's own rows is −∞, and of an only source too.
func (f *fit) worst(p *problem, even *learned) (place int, gains []float64, err error) {
	with := f.way(p, even)
	for k := range p.use {
		gains = append(gains, math.Inf(-1))
		if f.sources[p.use[k]].Target || len(p.use) == 1 {
			continue
		}
		q, err := f.problem(slices.Delete(slices.Clone(p.use), k, k+1), -1)
		if err != nil {
			return 0, nil, err
		}
		l, err := q.at(f.ctx, append(f.fair(q.use), even.x[len(p.use)]), even.z)
		if err != nil {
			return 0, nil, err
		}
		gains[k] = gain(f.way(q, l), with)
		if gains[k] > gains[place] {
			place = k
		}
	}
	return place, gains, nil
}

// least is the place of the source that helps least among those of p whose learned weight may be zero and is clearly
// below their share, if the others gain without it at all; −1 if there is none.
func (f *fit) least(r *Result, p *problem, gains []float64) int {
	place := -1
	for k, share := range f.fair(p.use) {
		s := r.Sources[p.use[k]]
		if s.Low < Least && s.High < share && gains[k] > 0 && (place < 0 || gains[k] > gains[place]) {
			place = k
		}
	}
	return place
}

// at is h at x, with models found from z; nil is zeros.
func (p *problem) at(ctx context.Context, x, z []float64) (*learned, error) {
	z, err := solve(ctx, p.mixture, x, z, lookTol)
	if err != nil {
		return nil, err
	}
	h := p.Outer.Value(z, x, bilevel.All(p.Outer))
	if math.IsNaN(h) || math.IsInf(h, 0) {
		return nil, errors.New("mix: a model has no finite loss on the target rows")
	}
	return &learned{x: x, z: z, value: h}, nil
}

// solve minimises g from z, to a tolerance relative to the gradient at zero. Where rounding or the number of steps ends
// that before, what was found is the best model that there is.
func solve(ctx context.Context, g *model.Mixture, x, z []float64, tol float64) ([]float64, error) {
	m, err := inner.Auto{}.Start(g, nil)
	if err != nil {
		return nil, err
	}
	d, _ := g.Dims()
	at, dz := make([]float64, d), make([]float64, d)
	g.Grad(dz, nil, at, x, bilevel.All(g))
	if len(z) == d { // or of more models
		copy(at, z)
	}
	var unsolved *inner.NotConvergedError
	if _, err = m.Minimize(ctx, at, x, tol*inner.NewNorm(g).Of(dz)); err != nil && !errors.As(err, &unsolved) {
		return nil, err
	}
	return at, nil
}

// weigh learns the weights of the sources of p from all rows alike and from the best single source, and finds their
// intervals.
func (f *fit) weigh(r *Result, p *problem, even *learned) (*learned, error) {
	starts := [][]float64{even.x}
	for _, w := range []*Way{r.Single, r.Own} {
		if w != nil && w.Value < f.inUnit(even.value) {
			x := make([]float64, 0, len(p.use)+1)
			for _, s := range p.use {
				x = append(x, w.Weights[s])
			}
			starts = append(starts, append(x, w.Log))
		}
	}
	best := even
	for _, x := range starts {
		l, err := f.learn(f.ctx, p, x, best.z)
		switch {
		case f.ctx.Err() != nil && err != nil:
			return best, nil
		case err != nil:
			return nil, err
		case l.value < best.value || best == even:
			best = l
		}
	}
	f.report("drawing rows", .6, best.value)
	low, high, err := f.intervals(f.ctx, p, best)
	switch {
	case f.ctx.Err() != nil:
		return best, nil
	case err != nil:
		return nil, err
	}
	for k, s := range p.use {
		r.Sources[s].Low, r.Sources[s].High = low[k], high[k]
	}
	return best, nil
}

// fair are the shares of some sources in their rows.
func (f *fit) fair(use []int) []float64 {
	total := 0
	for _, s := range use {
		total += f.sources[s].Rows
	}
	shares := make([]float64, len(use))
	for k, s := range use {
		shares[k] = float64(f.sources[s].Rows) / float64(total)
	}
	return shares
}

// way is the way to train that a descent found, and what it says about the rows of the target.
func (f *fit) way(p *problem, l *learned) *Way {
	w := &Way{Weights: make([]float64, len(f.sources)), Log: l.x[len(p.use)], Value: f.inUnit(l.value),
		Said: f.said(p.target, f.outOfFold(p, l.z))}
	for k, s := range p.use {
		w.Weights[s] = l.x[k]
	}
	return w
}

// outOfFold are the scores of the target rows, each of the model that it did not train.
func (f *fit) outOfFold(p *problem, z []float64) []float64 {
	if p.bounds == nil {
		return model.ScoreRows(p.target.X, z, f.k)
	}
	var scores []float64
	d := p.mixture.Layout().Len()
	for g := range len(p.bounds) - 1 {
		part := span(p.target, p.bounds[g], p.bounds[g+1])
		scores = append(scores, model.ScoreRows(part.X, z[g*d:(g+1)*d], f.k)...)
	}
	return scores
}

// said is what scores say about the rows of s.
func (f *fit) said(s *dataset.Set, scores []float64) tune.Judged {
	if f.classes == 0 {
		for i := range scores {
			scores[i] = f.shift + f.unit*scores[i]
		}
	}
	return f.task.Said(scores, f.inUnits(s.Y), f.classes)
}

// judge decides on the mix: the learned weights l of the sources of p, or their rows alike. Weights that do better by
// more than chance on the rows that chose them are learned without each fold in turn, and judged on it.
func (f *fit) judge(r *Result, p *problem, even, l *learned) error {
	way := r.Alike
	if len(p.use) < len(f.sources) {
		way = f.way(p, even)
	}
	if r.Mix = way; gain(r.Learned, way) < certain {
		r.Even = true
		return nil
	}
	scores := make([]float64, len(f.target.Y)*f.k)
	for g := range r.Folds {
		f.report("judging weights", .7+.25*float64(g)/float64(r.Folds), l.value)
		z, err := f.without(g, p.use, l)
		switch {
		case f.ctx.Err() != nil: // nothing is said about all rows
			r.Even = true
			return nil
		case err != nil:
			return err
		}
		lo, hi := f.bounds[g], f.bounds[g+1]
		copy(scores[lo*f.k:], model.ScoreRows(span(f.target, lo, hi).X, z, f.k))
	}
	r.Learned.Said = f.said(f.target, scores)
	if r.Even = gain(r.Learned, way) < certain; !r.Even {
		r.Mix = r.Learned
	}
	return nil
}

// changes finds what each source changes beside those of p, with all rows alike.
func (f *fit) changes(r *Result, p *problem, even *learned) error {
	base := f.way(p, even)
	for s := range f.sources {
		use := slices.Clone(p.use)
		if k, ok := slices.BinarySearch(use, s); ok {
			use = slices.Delete(use, k, k+1)
		} else {
			use = slices.Insert(use, k, s)
		}
		if len(use) == 0 || f.ctx.Err() != nil {
			continue
		}
		q, err := f.problem(use, -1)
		if err != nil {
			return err
		}
		l, err := q.at(f.ctx, append(f.fair(use), even.x[len(p.use)]), even.z)
		if err != nil {
			continue // there is no such model, or time is up
		}
		with, without := base, f.way(q, l)
		if len(use) > len(p.use) {
			with, without = without, with
		}
		y := f.inUnits(f.target.Y)
		c := judge.Of(&tune.Unseen{On: "out-of-fold", Task: f.task, Y: y, Trivial: f.task.AlwaysSaid(y, y, f.classes),
			Baseline: without.Said, Model: with.Said}, f.given.Classes).Change
		of := &r.Sources[s]
		of.Change, of.ChangeLow, of.ChangeHigh = c.Value, c.Low, c.High
	}
	return nil
}

// certain is how many standard errors of the difference a gain has to have.
const certain = 2.

// gain is by how many standard errors of the difference the losses of a are smaller than those of b.
func gain(a, b *Way) float64 {
	difference := make([]float64, len(a.Said.Losses))
	floats.SubTo(difference, b.Said.Losses, a.Said.Losses)
	mean, deviation := stat.MeanStdDev(difference, nil)
	if mean == 0 {
		return 0
	}
	return mean / stat.StdErr(deviation, float64(len(difference)))
}

// without is the model of weights that are learned without a fold, and of all rows but those.
func (f *fit) without(fold int, use []int, from *learned) ([]float64, error) {
	p, err := f.problem(use, fold)
	if err != nil {
		return nil, err
	}
	l, err := f.learn(f.ctx, p, from.x, nil)
	if err != nil {
		return nil, err
	}
	return f.fitted(f.ctx, use, l.x, fold)
}

// fitted is the model of the rows of some sources but those of a fold (−1 for none), with the weights and the strength
// of x.
func (f *fit) fitted(ctx context.Context, use []int, x []float64, omit int) ([]float64, error) {
	g, err := f.mixture(use, omit, nil)
	if err != nil {
		return nil, err
	}
	return solve(ctx, g, x, nil, fitTol)
}

// final is the model of all rows of a way to train.
func (f *fit) final(w *Way) ([]float64, error) {
	var use []int
	var x []float64
	for s, v := range w.Weights {
		if v > 0 {
			use, x = append(use, s), append(x, v)
		}
	}
	z, err := f.fitted(f.closing, use, append(x, w.Log), -1)
	if err != nil {
		return nil, fmt.Errorf("mix: the final model could not be fitted: %w", err)
	}
	return z, nil
}

// finish fits the final models.
func (f *fit) finish(r *Result) error {
	z, err := f.final(r.Mix)
	if err != nil {
		return err
	}
	_, d := f.all.Dims()
	_, sparse := f.all.X.(*rows.CSR)
	layout := model.Layout{Features: d, Classes: f.k, FeatureMajor: sparse && f.k > 1}
	r.Model = tune.Fitted{Task: f.task, Train: f.given, Scaler: f.scaler, Intercept: f.intercept, Shift: f.shift,
		Unit: f.unit, Z: z, Layout: layout, Log: r.Mix.Log, Box: f.box()}.Model()
	on, u := f.target, &tune.Unseen{On: "out-of-fold", Rows: f.target.Rows}
	if f.test != nil {
		on, u = f.test, &tune.Unseen{On: "test"}
		for i := range on.Y {
			u.Rows = append(u.Rows, i)
		}
		done := map[*Way]bool{nil: true}
		for _, w := range []*Way{r.Mix, r.Learned, r.Alike, r.Single, r.Own} {
			if done[w] {
				continue
			}
			done[w] = true
			z, err := f.final(w)
			if err != nil {
				return err
			}
			w.Said = f.said(on, model.ScoreRows(on.X, z, f.k))
		}
	}
	u.Y, u.Model, u.Baseline = f.inUnits(on.Y), r.Mix.Said, r.Alike.Said
	u.Task, u.Trivial = f.task, f.task.AlwaysSaid(f.inUnits(f.target.Y), u.Y, f.classes)
	r.Unseen = u
	return nil
}

// obtained says how the model was learned.
func (f *fit) obtained(r *Result) tune.Obtained {
	o := tune.Obtained{Library: tune.Version(), Method: tune.HOAG, Seed: f.o.Seed, Start: "grid", Folds: r.Folds,
		TrainRows: len(f.all.Y), ValidationRows: r.NTarget, ValidationLoss: r.Mix.Value, BaselineX: r.Alike.Log,
		BaselineLoss: r.Alike.Value, Steps: r.Steps, Seconds: r.Seconds, Reason: r.Reason, Interrupted: r.Interrupted,
		TimedOut: r.TimedOut, BaselineWasBetter: r.Mix == r.Alike}
	for s, w := range r.Mix.Weights {
		o.Mix = append(o.Mix, tune.Part{Name: r.Sources[s].Name, Rows: r.Sources[s].Rows, Weight: w})
	}
	return o
}
