package tune

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
)

// Learning weights of classes: their logarithms are at most so far from zero, and steps are at most so many.
const (
	mostLogWeight    = 5
	classWeightSteps = 60
)

// learnClassWeights learns the weights of the classes with one strength for all, from the grid's best point, and holds
// them from then on: rows of training losses count by them, and those of validation losses do not. It returns where it
// ends, which is base with weights of one where that is no better.
func (f *fit) learnClassWeights(base shared) shared {
	q, err := f.classWeightProblem()
	if err != nil {
		return base
	}
	at := bilevel.Point{X: make([]float64, len(q.Lower)), Z: slices.Clone(base.z)}
	k := len(f.classes)
	at.X[k] = base.x
	ctx, cancel := sub(f.ctx, 1./3)
	defer cancel()
	res, _ := bilevel.Minimize(ctx, &q.Problem, hypergrad.HOAG{Estimator: q.estimator}, bilevel.Settings{Start: at,
		Seed: f.o.Seed, MaxSteps: classWeightSteps})
	if res == nil { // what there is after an error or the end of the time is good
		return base
	}
	addCounts(&f.visited, res.Counts)
	if !(res.Value < base.value-negligible*math.Abs(base.value)) {
		return base
	}
	for c, u := range res.Point.X[:k] {
		f.classWeights.Weights[c] = math.Exp(u)
	}
	before := floats.Sum(f.classWeights.Weights)
	f.classWeights.normalise(f.main.train.WeighClasses())
	// Weights that are all smaller by a factor want a strength that is, too.
	grown := floats.Sum(f.classWeights.Weights) / before
	x := res.Point.X[k]
	if f.param().logarithmic {
		x += math.Log(grown)
	} else {
		x *= grown
	}
	out := shared{x: min(max(x, f.o.Box.Lower), f.o.Box.Upper)}
	one, err := f.problem(f.main, Shared)
	if err != nil {
		return base
	}
	l, err := f.exact(f.closing, one, []float64{out.x}, res.Point.Z, nil)
	if err != nil || !(l.value < base.value) {
		f.classWeights.Weights = slices.Repeat([]float64{1}, k)
		return base
	}
	out.z, out.value = l.z, l.value
	return out
}

// classWeightProblem is the problem whose x are the logarithms of the weights of the classes and a shared strength. The
// weight of the largest class is held at one.
func (f *fit) classWeightProblem() (*problem, error) {
	k, s := len(f.classes), f.main
	p := k + 1
	train, err := f.objective(s.train, p)
	if err != nil {
		return nil, err
	}
	q := &problem{rows: s, layout: train.Layout(), copies: max(s.folds(), 1), estimator: hypergrad.AID{}}
	q.pen, err = model.NewPenalty(q.layout, model.Shared, model.PenaltyOptions{Linear: f.o.Param == Linear,
		Intercept: f.intercept, Copies: q.copies, First: k, Outer: p})
	if err != nil {
		return nil, err
	}
	class := make([]int, len(s.train.Y))
	for i, c := range s.train.Y {
		class[i] = int(c)
	}
	if q.Inner, err = model.NewClassWeights(train, class, s.bounds, s.times, q.pen); err != nil {
		return nil, err
	}
	if s.folds() == 0 {
		q.Outer, err = f.objective(s.val, p)
	} else {
		var folds *model.Folds
		if folds, err = model.NewRepeatedFolds(train, s.bounds, s.times); err == nil {
			q.Outer = folds.Outer
		}
	}
	q.Lower, q.Upper = slices.Repeat([]float64{-mostLogWeight}, p), slices.Repeat([]float64{mostLogWeight}, p)
	q.Lower[k], q.Upper[k] = f.o.Box.Lower, f.o.Box.Upper
	largest := floats.MaxIdx(s.train.WeighClasses())
	q.Lower[largest], q.Upper[largest] = 0, 0
	return q, err
}
