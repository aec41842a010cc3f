package tune_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

func learnt(t *testing.T, data tune.Data, o tune.Options) *tune.Result {
	t.Helper()
	r, err := tune.Fit(context.Background(), data, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Few rows are cross-validated and many held out, and the model is in either case the one of all rows.
func TestValidationByDefault(t *testing.T) {
	for _, c := range []struct {
		n, validation int
		on            string
	}{{60, 60, "out-of-fold"}, {1000, 1000, "out-of-fold"}, {6000, 1500, "validation"}} {
		train := regression(c.n, 3, 5)
		r := learnt(t, tune.Data{Train: train}, tune.Options{Reg: tune.Shared})
		if r.NVal != c.validation || r.Unseen.On != c.on || !r.Refitted || len(r.Unseen.Y) != c.validation {
			t.Errorf("%d rows: %d for validation, %d %s, refitted %v", c.n, r.NVal, len(r.Unseen.Y), r.Unseen.On, r.Refitted)
		}
		// The same strength, learned without any rows held out, gives the same model.
		box := tune.Box{Lower: r.X[0], Upper: r.X[0] + 1e-12}
		all := learnt(t, tune.Data{Train: train, Val: train}, tune.Options{Reg: tune.Shared, Box: box})
		for j, w := range all.Model.Coefficients[0].Weights {
			if got := r.Model.Coefficients[0].Weights[j]; math.Abs(got-w) > 1e-5*(1+math.Abs(w)) {
				t.Errorf("%d rows: weight %d is %v, of a model of all rows %v", c.n, j, got, w)
			}
		}
	}
}

// With few rows the division into folds is chance: repeated, the strength depends less on the seed.
func TestRepeatedFolds(t *testing.T) {
	deviation := func(data tune.Data) float64 {
		var x []float64
		for seed := range uint64(6) {
			x = append(x, learnt(t, data, tune.Options{Reg: tune.Shared, Seed: seed}).X[0])
		}
		return slices.Max(x) - slices.Min(x)
	}
	train := wide(40, 8, 3)
	once, repeated := deviation(tune.Data{Train: train, Folds: 5}), deviation(tune.Data{Train: train})
	if !(repeated < .8*once) {
		t.Errorf("the strengths differ by %v, of one division into folds by %v", repeated, once)
	}
}

// Rows of one person are alike, in features and in a part of the target that no other person shares. Where persons are
// divided between the folds, the loss is too small; by groups it is that of new persons.
func TestGroups(t *testing.T) {
	const persons, each, d = 30, 12, 12
	people := func(seed uint64) (*dataset.Set, []string) {
		r := rand.New(rand.NewPCG(seed, 3))
		x, y := rows.NewDense(persons*each, d), make([]float64, persons*each)
		var names []string
		for p := range persons {
			own := make([]float64, d)
			for j := range own {
				own[j] = r.NormFloat64()
			}
			part := 2 * r.NormFloat64()
			for i := range each {
				row := x.Row(p*each + i)
				for j := range row {
					row[j] = own[j] + .05*r.NormFloat64()
				}
				y[p*each+i] = row[0] + part + .1*r.NormFloat64()
				names = append(names, fmt.Sprint(p))
			}
		}
		return &dataset.Set{X: x, Y: y, Schema: &dataset.Schema{Format: "npy", Width: d}, Source: "people"}, names
	}
	train, names := people(1)
	test, _ := people(2)
	plain := learnt(t, tune.Data{Train: train, Test: test}, tune.Options{Reg: tune.Shared})
	grouped := learnt(t, tune.Data{Train: train, Test: test, Groups: names}, tune.Options{Reg: tune.Shared})
	if !(grouped.Value > 1.3*plain.Value) || !(grouped.Test.Loss <= plain.Test.Loss) {
		t.Errorf("by groups loss %v, test %v; without %v, %v", grouped.Value, grouped.Test.Loss, plain.Value, plain.Test.Loss)
	}
	r := learnt(t, tune.Data{Train: train, Share: .2, Groups: names}, tune.Options{Reg: tune.Shared})
	if r.NVal%each != 0 {
		t.Errorf("%d rows are held out, which are not whole groups", r.NVal)
	}
	var short *dataset.Error
	if _, err := tune.Fit(t.Context(), tune.Data{Train: train, Groups: slices.Repeat([]string{"a"}, persons*each)},
		tune.Options{}); !errors.As(err, &short) {
		t.Errorf("one group: %v", err)
	}
}

// The validation rows are the latest.
func TestTimes(t *testing.T) {
	train := regression(400, 3, 8)
	times := make([]float64, 400)
	for i := range times {
		times[i] = float64((i * 7) % 400)
	}
	r := learnt(t, tune.Data{Train: train, Times: times}, tune.Options{Reg: tune.Shared})
	if r.NVal != 100 || r.NTrain != 300 {
		t.Fatalf("%d training and %d validation rows", r.NTrain, r.NVal)
	}
	for _, i := range r.Unseen.Rows {
		if times[i] < 300 {
			t.Fatalf("row %d of time %v is a validation row", i, times[i])
		}
	}
	var same *dataset.Error
	if _, err := tune.Fit(t.Context(), tune.Data{Train: train, Times: make([]float64, 400)}, tune.Options{}); !errors.As(
		err, &same) {
		t.Errorf("all at once: %v", err)
	}
}
