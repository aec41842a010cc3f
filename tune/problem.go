package tune

import (
	"context"
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/nonsmooth"
)

// problem is the bilevel problem of a split with one kind of strengths.
type problem struct {
	bilevel.Problem
	rows   split
	pen    *model.Penalty // nil: no squares
	l1     *model.L1      // or nil
	layout model.Layout
	copies int
	prior  *model.Prior // part of the outer objective; nil for none

	estimator hypergrad.Estimator
}

// problem builds the problem of s.
func (f *fit) problem(s split, kind Reg) (*problem, error) {
	p := f.strengths(kind)
	train, err := f.objective(s.train, p)
	if err != nil {
		return nil, err
	}
	q := &problem{rows: s, layout: train.Layout(), copies: max(s.folds(), 1), estimator: hypergrad.AID{}}
	learned := train
	if f.classWeights.learned() {
		byClass := loss{weights: f.classWeights.Weights}
		if learned, err = train.Weigh(byClass.rowWeights(s.train.Y, s.train.Weights)); err != nil {
			return nil, err
		}
	}
	var sampled model.Sampled = learned
	q.Outer = train // of a refit, which has none
	switch {
	case s.folds() > 0:
		inner, err := model.NewRepeatedFolds(learned, s.bounds, s.times)
		if err != nil {
			return nil, err
		}
		outer, err := model.NewRepeatedFolds(train, s.bounds, s.times)
		if err != nil {
			return nil, err
		}
		sampled, q.Outer = inner.Inner, outer.Outer
	case s.val != nil:
		if q.Outer, err = f.objective(s.val, p); err != nil {
			return nil, err
		}
	}
	if err = f.penalize(q, sampled, kind); err != nil {
		return nil, err
	}
	q.Lower, q.Upper = slices.Repeat([]float64{f.o.Box.Lower}, p), slices.Repeat([]float64{f.o.Box.Upper}, p)
	return q, nil
}

// objective is the loss of the rows of s, which count by their weights.
func (f *fit) objective(s *dataset.Set, p int) (*model.Loss, error) {
	l := *f.loss
	l.delta /= f.units.y.unit
	if s.Mass() == 0 {
		return nil, &dataset.Error{File: s.Source, Err: errors.New("all of some rows that have to count have the weight 0"),
			Hint: "divide the rows otherwise, or leave such rows out"}
	}
	o, err := l.objective(&l, s.X, s.Y, f.scores, p)
	if w := l.rowWeights(s.Y, s.Weights); w != nil && err == nil {
		return o.Weigh(w)
	}
	return o, err
}

// penalize gives q its inner objective, the loss with the penalties of a kind.
func (f *fit) penalize(q *problem, loss model.Sampled, kind Reg) error {
	_, p := loss.Dims()
	o := model.PenaltyOptions{Linear: f.o.Param == Linear, Intercept: f.intercept, Copies: q.copies, Outer: p}
	r := kind.entry()
	var err error
	if r.l1 != nil {
		if q.l1, err = model.NewL1(q.layout, r.l1.of, o); err != nil {
			return err
		}
		o.First = q.l1.P()
	}
	var g bilevel.SecondOrder = loss
	if r.squares != nil {
		if q.pen, err = model.NewPenalty(q.layout, r.squares.of, o); err != nil {
			return err
		}
		if g, err = model.Regularize(loss, q.pen); err != nil {
			return err
		}
	}
	q.Inner = g
	if q.l1 != nil {
		q.estimator = composite{&nonsmooth.Composite{G: g, L1: q.l1}}
	}
	return nil
}

// term is a term of the penalty.
type term interface {
	Strength(i int) int // place in x of the strength of coefficient i, −1 for the intercept, which has none
}

// terms are those of the penalty of q, in the order of their strengths in x.
func (q *problem) terms() []term {
	var all []term
	if q.l1 != nil {
		all = append(all, q.l1)
	}
	if q.pen != nil {
		all = append(all, q.pen)
	}
	return all
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
	value, gradNorm float64 // of the outer objective with the prior, in prepared units
	loss            float64 // value without the prior
	grad            []float64
	steps           int64
	trace           []bilevel.Record
	reason          string
	isBaseline      bool // nothing better was found
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
	return q.settled(&learned{x: at.X, z: at.Z, v: at.V, value: value, grad: grad, gradNorm: floats.Norm(projected, 2)}),
		nil
}

// settled fills in the loss of l, which is its value without the prior.
func (q *problem) settled(l *learned) *learned {
	if l.loss = l.value; q.prior != nil {
		l.loss -= q.prior.Value(nil, l.x, bilevel.All(q.prior))
	}
	return l
}
