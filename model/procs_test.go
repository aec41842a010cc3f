package model_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
)

// Wide rows, which are cut into finer chunks, and Hessians of several chunks.
func TestBitsOfWideRowsDoNotDependOnProcs(t *testing.T) {
	const n, d = 3000, 100
	o, err := model.NewLogistic(randomDense(n, d), randomSigns(n), 0)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	z, v := normal(d, rng), normal(d, rng)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var want []float64
	for _, procs := range []int{1, 2, 3} {
		runtime.GOMAXPROCS(procs)
		for range 3 { // workers are awake from the second time on
			got := make([]float64, 2*d+1+d*d)
			all := bilevel.All(o)
			o.Products(got[:d], got[d:2*d], nil, z, nil, v, all)
			got[2*d] = o.Value(z, nil, all)
			h := got[2*d+1:]
			if err := o.Hessian(context.Background(), h, z, nil, all); err != nil {
				t.Fatal(err)
			}
			for i := range d {
				clear(h[i*d+i+1 : (i+1)*d]) // unspecified
			}
			if want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Fatalf("%d cores give other bits than one", procs)
			}
		}
	}
}
