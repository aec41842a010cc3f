package model_test

import (
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Sizes of columns are those of the features, once for each class and each fold.
func TestColumnNorms(t *testing.T) {
	dense := rows.FromSlice(4, 2, []float64{3, 0, 0, 0, 3, 2e12, 0, 2e12})
	sparse := &rows.CSR{N: 4, D: 2, Ptr: []int{0, 1, 1, 3, 4}, Idx: []int32{0, 0, 1, 1}, Val: []float64{3, 3, 2e12, 2e12}}
	a, b := math.Sqrt(18./4), math.Sqrt(2)*1e12
	check := func(name string, o bilevel.ColumnNormer, want ...float64) {
		got := make([]float64, len(want))
		for range 2 {
			o.ColumnNorms(got)
			for i, w := range want {
				if math.Abs(got[i]-w) > 1e-12*w {
					t.Errorf("%s: %v, want %v", name, got, want)
					break
				}
			}
		}
	}
	for _, x := range []rows.Matrix{dense, sparse} {
		loss, err := model.NewSoftmax(x, []int{0, 1, 2, 0}, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		want := []float64{a, b, a, b, a, b}
		if loss.Layout().FeatureMajor {
			want = []float64{a, a, a, b, b, b}
		}
		check("softmax", loss, want...)
		folds, err := model.NewFolds(loss, []int{0, 2, 4})
		if err != nil {
			t.Fatal(err)
		}
		pen, err := model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{Copies: 2})
		if err != nil {
			t.Fatal(err)
		}
		g, err := model.Regularize(folds.Inner, pen)
		if err != nil {
			t.Fatal(err)
		}
		check("folds", g, append(want, want...)...)
		clean, err := model.NewCleaning(loss, model.CleaningOptions{})
		if err != nil {
			t.Fatal(err)
		}
		check("cleaning", clean, want...)
	}
}
