package nonsmooth

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

func TestComponents(t *testing.T) {
	// 0–3–5, 1, 2–4; the strict upper triangle is unspecified.
	n := 6
	h := make([]float64, n*n)
	for i := range n {
		h[i*n+i] = 1
		for j := i + 1; j < n; j++ {
			h[i*n+j] = 9
		}
	}
	h[3*n], h[5*n+3], h[4*n+2] = -1, 2, .5
	got := components(h, n)
	want := [][]int{{0, 3, 5}, {1}, {2, 4}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("components %v, want %v", got, want)
	}
	if got := components(make([]float64, 9), 3); len(got) != 3 {
		t.Errorf("components of zero: %v", got)
	}
}

// The folds of a cross-validation are solved one by one.
func TestFoldsAreBlocks(t *testing.T) {
	const n, d, k = 40, 7, 4
	rng := rand.New(rand.NewPCG(1, 2))
	a, y := rows.NewDense(n, d), make([]float64, n)
	for i := range n {
		for j := range d {
			a.Row(i)[j] = rng.NormFloat64()
		}
		y[i] = rng.NormFloat64()
	}
	loss, err := model.NewSquared(a, y, 1)
	if err != nil {
		t.Fatal(err)
	}
	folds, err := model.NewFolds(loss, []int{0, 8, 20, 30, n})
	if err != nil {
		t.Fatal(err)
	}
	var q quadratic
	q.form(t.Context(), folds.Inner, make([]float64, k*d), []float64{0}, &bilevel.Counts{})
	if len(q.blocks) != k {
		t.Fatalf("%d blocks", len(q.blocks))
	}
	for f, b := range q.blocks {
		for e, i := range b.of {
			if i != f*d+e {
				t.Errorf("block %d is %v", f, b.of)
			}
		}
	}
	h := make([]float64, k*d*k*d)
	folds.Inner.Hessian(t.Context(), h, make([]float64, k*d), []float64{0}, bilevel.All(folds.Inner))
	factors, err := newFactors(h, k*d)
	if err != nil || len(factors.factor) != k || factors.factor[1].Order() != d {
		t.Errorf("%d factors, %v", len(factors.of), err)
	}
}
