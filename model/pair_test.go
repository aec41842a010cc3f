package model_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Steps of two points over all sparse rows have the same bits on several cores.
func TestPairDescendOnSeveralCores(t *testing.T) {
	const n, d, k, nnz = 2000, 9000, 10, 60
	rng := rand.New(rand.NewPCG(5, 5))
	a, label := &rows.CSR{N: n, D: d, Ptr: []int{0}}, make([]int, n)
	for i := range n {
		for j := range nnz {
			a.Idx, a.Val = append(a.Idx, int32(j*d/nnz+rng.IntN(d/nnz))), append(a.Val, rng.NormFloat64())
		}
		a.Ptr = append(a.Ptr, len(a.Idx))
		label[i] = rng.IntN(k)
	}
	pen := must(model.NewPenalty(must(model.NewSoftmax(a, label, k, d))(t).Layout(), model.PerFeature,
		model.PenaltyOptions{}))(t)
	y, z, e, x := normal(d*k, rng), normal(d*k, rng), normal(d*k, rng), normal(d, rng)
	var want [3][]float64
	for _, procs := range []int{1, 2, 3} {
		old := runtime.GOMAXPROCS(procs)
		o := must(model.Regularize(must(model.NewSoftmax(a, label, k, d))(t), pen))(t)
		got := [3][]float64{slices.Clone(y), slices.Clone(z), make([]float64, d)}
		for range 2 {
			o.PairDescend(got[2], got[0], got[1], x, e, .1, .2, bilevel.All(o))
		}
		runtime.GOMAXPROCS(old)
		for i, g := range got {
			if want[i] == nil {
				want[i] = g
			} else if !slices.Equal(g, want[i]) {
				t.Errorf("vector %d on %d cores is not what it is on one", i, procs)
			}
		}
	}
}
