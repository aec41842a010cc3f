package model_test

import (
	"fmt"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Every loss with every penalty, on dense and sparse rows, plain and in folds, passes the conformance suite.
func TestConformance(t *testing.T) {
	const n, d = 23, 6
	dense, csr := table(n, d, 8)
	check := func(name string, o bilevel.Objective) {
		t.Run(name, func(t *testing.T) { bileveltest.Objective(t, o, bileveltest.ObjectiveOptions{}) })
	}
	for _, c := range weighed(n) {
		for _, a := range []rows.Matrix{dense, csr, dense.WithOnes()} {
			_, features := a.Dims()
			name := fmt.Sprintf("%s/%T/%d", c.name, a, features)
			opt := model.PenaltyOptions{Intercept: features > d, Groups: []string{"a", "b", "a", "c", "b", "a"}, Scale: 1.5}
			loss := must(c.make(a, 4))(t)
			check(name, loss)
			folds, err := model.NewFolds(loss, []int{0, 7, 15, n})
			if err != nil {
				t.Fatal(err)
			}
			check(name+"/folds", folds.Outer)
			for _, log := range []bool{false, true} {
				prior := must(model.NewPrior(loss.Layout().Len()*3, 4, 1.7, log))(t)
				o := must(model.NewPosterior(folds.Outer, prior))(t)
				bileveltest.Objective(t, o, bileveltest.ObjectiveOptions{Lower: []float64{.5, .5, .5, .5},
					Upper: []float64{2, 2, 2, 2}})
			}
			for _, kind := range []model.Strengths{model.Shared, model.PerFeature, model.PerClass, model.PerFeatureClass,
				model.PerGroup} {
				pen := must(model.NewPenalty(loss.Layout(), kind, opt))(t)
				o := must(model.Regularize(must(c.make(a, pen.P()))(t), pen))(t)
				check(name+"/"+kind.String(), o)
			}
			shifted := opt
			shifted.First, shifted.Outer = 2, 2+d+1 // other strengths before and behind
			pen := must(model.NewPenalty(loss.Layout(), model.PerFeature, shifted))(t)
			check(name+"/shifted", must(model.Regularize(must(c.make(a, shifted.Outer))(t), pen))(t))
			opt.Linear, opt.Copies = true, 3
			pen = must(model.NewPenalty(loss.Layout(), model.PerFeature, opt))(t)
			folds, err = model.NewFolds(must(c.make(a, pen.P()))(t), []int{0, 7, 15, n})
			if err != nil {
				t.Fatal(err)
			}
			check(name+"/folds/feature", must(model.Regularize(folds.Inner, pen))(t))
			opt.Copies = 4
			pen = must(model.NewPenalty(loss.Layout(), model.PerFeature, opt))(t)
			folds, err = model.NewRepeatedFolds(must(c.make(a, pen.P()))(t), []int{0, 7, 11, 15, n}, 2)
			if err != nil {
				t.Fatal(err)
			}
			check(name+"/folds/repeated", must(model.Regularize(folds.Inner, pen))(t))
		}
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
