package tune_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// scattered are sparse rows of d features of which only every step-th and the first are ever there.
func scattered(n, d, step int, seed uint64) *dataset.Set {
	r := rand.New(rand.NewPCG(seed, 1))
	x := &rows.CSR{N: n, D: d, Ptr: []int{0}}
	y := make([]float64, n)
	for i := range n {
		y[i] = float64(i % 3)
		at := []int{(i % 3) * step}
		for range 5 {
			at = append(at, r.IntN((d-1)/step+1)*step)
		}
		slices.Sort(at)
		for _, j := range slices.Compact(at) {
			x.Idx, x.Val = append(x.Idx, int32(j)), append(x.Val, 1)
		}
		x.Ptr = append(x.Ptr, len(x.Idx))
	}
	names := []string{"a", "b", "c"}
	return &dataset.Set{X: x, Y: y, Classes: names, Schema: &dataset.Schema{Format: "libsvm", Width: d, Sparse: true,
		Classes: names}, Source: "scattered"}
}

// TestUnseenFeatures spreads the same rows over many columns, so many that those without values are left out while
// learning: models and strengths are those of the narrow rows, in their places.
func TestUnseenFeatures(t *testing.T) {
	const d, step = 30, 1300
	for _, c := range []struct {
		reg       tune.Reg
		folds     int
		intercept tune.Switch
	}{{tune.PerFeature, 0, tune.Off}, {tune.PerFeatureClass, 0, tune.On}, {tune.Shared, 0, tune.Off}, {tune.PerFeature, 2,
		tune.On}} {
		var fits []*tune.Result
		for _, s := range []int{1, step} {
			width := (d-1)*s + 1
			data := tune.Data{Train: scattered(90, width, s, 1), Val: scattered(120, width, s, 2),
				Test: scattered(50, width, s, 3)}
			if c.folds > 0 {
				data.Val, data.Folds = nil, c.folds
			}
			r, err := tune.Fit(context.Background(), data, tune.Options{Reg: c.reg, Prior: "1", Intercept: c.intercept})
			if c.reg == tune.Shared {
				r, err = tune.Fit(context.Background(), data, tune.Options{Reg: c.reg, Intercept: c.intercept})
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := r.Model.Predict(data.Test)
			if err != nil {
				t.Fatal(err)
			}
			m, err := r.Model.Judge(p, data.Test)
			if err != nil {
				t.Fatal(err)
			}
			if diff := m.Loss - r.Test.Loss; diff > 1e-12 || diff < -1e-12 {
				t.Errorf("%v: the model's test loss is %v, reported %v", c, m.Loss, r.Test.Loss)
			}
			if err := r.Model.Check(); err != nil || r.Model.Dim() != width || r.OuterDim != len(r.X) ||
				r.OuterDim != len(r.Model.Penalty.Strengths) {
				t.Fatalf("%v: %d features, %d strengths: %v", c, r.Model.Dim(), r.OuterDim, err)
			}
			fits = append(fits, r)
		}
		narrow, wide := fits[0], fits[1]
		if diff := wide.Value/narrow.Value - 1; diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%v: value %v, of the narrow rows %v", c, wide.Value, narrow.Value)
		}
		for k := range 3 {
			w, n := wide.Model.Coefficients[k].Weights, narrow.Model.Coefficients[k].Weights
			for j, v := range w {
				want := 0.0
				if j%step == 0 {
					want = n[j/step]
				}
				if diff := v - want; diff > 1e-6 || diff < -1e-6 || want == 0 && v != 0 {
					t.Fatalf("%v: weight %d of class %d is %v, of the narrow rows %v", c, j, k, v, want)
				}
			}
		}
		if c.reg == tune.PerFeature {
			for j, x := range wide.X {
				if s := wide.Model.Penalty.Strengths[j]; s.X != x || j%step != 0 && x != wide.BaselineX {
					t.Fatalf("strength %d is %v, in the model %+v", j, x, s)
				}
			}
		}
	}
}
