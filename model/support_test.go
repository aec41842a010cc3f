package model_test

import (
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// What contains a sparse loss or a penalty is neither: its columns or its terms would be taken for the whole.
func TestSupportIsHidden(t *testing.T) {
	const n, d = 23, 6
	_, csr := table(n, d, 8)
	y := randomSigns(n)
	pen := must(model.NewPenalty(model.Layout{Features: d, Classes: 1}, model.PerFeature, model.PenaltyOptions{}))(t)
	loss := must(model.NewLogistic(csr, y, pen.P()))(t)
	folds := must(model.NewFolds(loss, []int{0, 7, 15, n}))(t)
	sum := must(model.Regularize(loss, pen))(t)
	cleaning := must(model.NewCleaning(must(model.NewLogistic(csr, y, n))(t), model.CleaningOptions{}))(t)
	weighted, _ := cleaning.Split() // the ridge is Separable, and the rows are not Sparse
	for _, o := range []bilevel.Objective{sum, folds.Inner, folds.Outer, model.Negative(sum), cleaning, weighted} {
		if _, ok := o.(bilevel.Sparse); ok {
			t.Errorf("%T is Sparse", o)
		}
		if _, ok := o.(bilevel.Separable); ok {
			t.Errorf("%T is Separable", o)
		}
	}
}

func TestRelabel(t *testing.T) {
	a := &rows.CSR{N: 4, D: 5, Ptr: []int{0, 2, 2, 4, 5}, Idx: []int32{1, 4, 0, 4, 2}, Val: []float64{1, 2, 3, 4, 5}}
	loss := must(model.NewSquared(a, []float64{1, 2, 3, 4}, 0))(t)
	blocks := []bilevel.Batch{{Lo: 0, Hi: 1}, {Lo: 1, Hi: 2}, {Lo: 2, Hi: 4}}
	local, columns := loss.Relabel(blocks)
	want := [][]int32{{1, 4}, {}, {0, 2, 4}}
	if !slices.EqualFunc(columns, want, slices.Equal) {
		t.Errorf("columns %v, want %v", columns, want)
	}
	// Rows (3, 0, 4) and (0, 5, 0) with targets 3 and 4 at z = (1, 2, 3).
	dz := make([]float64, 3)
	local.Grad(dz, nil, []float64{1, 2, 3}, nil, blocks[2])
	if want := []float64{18, 15, 24}; !slices.Equal(dz, want) {
		t.Errorf("gradient %v, want %v", dz, want)
	}
	local.Grad([]float64{}, nil, []float64{}, nil, blocks[1])
	if v := local.Value([]float64{}, nil, blocks[1]); v != 2 {
		t.Errorf("the row without columns has loss %v, want 2", v)
	}
	dense := must(model.NewSquared(rows.NewDense(4, 5), []float64{1, 2, 3, 4}, 0))(t)
	if local, columns := dense.Relabel(blocks); local != nil || columns != nil {
		t.Error("dense rows see few columns")
	}
}
