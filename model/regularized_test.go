package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// On sparse rows the loss adds the penalty in its own passes: the sum is that of the two, with any number of cores
// the same to the bit.
func TestSparseSum(t *testing.T) {
	const n, d, nnz = 600, 5000, 100
	rng := rand.New(rand.NewPCG(3, 4))
	a := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}
	label := make([]int, n)
	for i := range n {
		columns := rng.Perm(d / 2)[:nnz] // the other half occurs nowhere
		slices.Sort(columns)
		for _, j := range columns {
			a.Idx, a.Val = append(a.Idx, int32(2*j)), append(a.Val, rng.NormFloat64())
		}
		a.Ptr = append(a.Ptr, len(a.Idx))
		label[i] = rng.IntN(20)
	}
	groups, pair := make([]string, d), make([]string, d)
	for j := range groups {
		groups[j], pair[j] = fmt.Sprint(j/5%7), fmt.Sprint(max(j, 1))
	}
	vec := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.Float64() + .1
		}
		return v
	}
	for _, c := range []struct {
		classes int
		kind    model.Strengths
		o       model.PenaltyOptions
	}{
		{20, model.Shared, model.PenaltyOptions{Scale: .1}},
		{20, model.PerFeature, model.PenaltyOptions{Scale: .1}},
		{20, model.PerFeature, model.PenaltyOptions{Linear: true, Intercept: true, First: 2, Outer: d + 4}},
		{20, model.PerClass, model.PenaltyOptions{Intercept: true}},
		{20, model.PerFeatureClass, model.PenaltyOptions{Scale: .1}},
		{20, model.PerFeatureClass, model.PenaltyOptions{Linear: true, Intercept: true}},
		{20, model.PerGroup, model.PenaltyOptions{Groups: groups}},
		{1, model.Shared, model.PenaltyOptions{}},
		{1, model.PerGroup, model.PenaltyOptions{Groups: pair}},
	} {
		k := c.classes
		z, v := vec(d*k), vec(d*k)
		pen, err := model.NewPenalty(model.Layout{Features: d, Classes: k, FeatureMajor: k > 1}, c.kind, c.o)
		if err != nil {
			t.Fatal(err)
		}
		_, p := pen.Dims()
		x := vec(p)
		var loss *model.Loss
		if k > 1 {
			loss, err = model.NewSoftmax(a, label, k, p)
		} else {
			y := make([]float64, n)
			for i := range y {
				y[i] = float64(1 - label[i]%2*2)
			}
			loss, err = model.NewLogistic(a, y, p)
		}
		if err != nil {
			t.Fatal(err)
		}
		sum, err := model.Regularize(loss, pen)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []bilevel.Batch{{Lo: 0, Hi: n}, {Lo: 3, Hi: 70}, {Lo: 5, Hi: 5}} {
			t.Run(fmt.Sprintf("%d classes/%v linear=%v/%d rows", k, c.kind, c.o.Linear, b.Len()), func(t *testing.T) {
				type results struct {
					value float64
					v     [7][]float64 // dz, dx, dz, hv, cv of Products, hv, cv of Apply
				}
				room := func() (r results) {
					for i := range r.v {
						n := len(z)
						if i == 1 || i == 4 || i == 6 {
							n = p
						}
						r.v[i] = slices.Repeat([]float64{math.NaN()}, n)
					}
					return r
				}
				want := room()
				r := &want.v
				want.value = loss.ValueGrad(r[0], nil, z, x, b) + pen.Value(z, x, b)
				other := make([]float64, len(z))
				pen.Grad(other, r[1], z, x, bilevel.Batch{})
				accumulate(r[0], other)
				copy(r[2], r[0])
				loss.Products(nil, r[3], nil, z, x, v, b)
				pen.Products(nil, other, r[4], z, x, v, bilevel.Batch{})
				accumulate(r[3], other)
				copy(r[5], r[3])
				copy(r[6], r[4])

				var first results
				for _, procs := range []int{1, 2, 4} {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
					got := room()
					r := &got.v
					got.value = sum.ValueGrad(r[0], r[1], z, x, b)
					sum.Products(r[2], r[3], r[4], z, x, v, b)
					sum.Linearize(z, x, b)
					sum.Apply(r[5], r[6], v)
					if !(math.Abs(got.value-want.value) <= 1e-13*math.Abs(want.value)) {
						t.Errorf("value %v, want %v", got.value, want.value)
					}
					for i := range r {
						for j, g := range r[i] {
							if w := want.v[i][j]; !(math.Abs(g-w) <= 1e-12*(1+math.Abs(w))) {
								t.Fatalf("result %d has %v at %d, want %v", i, g, j, w)
							}
						}
					}
					grad, dx, cv := slices.Clone(r[0]), slices.Clone(r[1]), slices.Clone(r[4])
					clear(r[0])
					sum.Grad(r[0], nil, z, x, b)
					clear(r[1])
					sum.Grad(nil, r[1], z, x, b)
					clear(r[4])
					sum.Products(nil, nil, r[4], z, x, v, b)
					for i, same := range [][2][]float64{{grad, r[0]}, {dx, r[1]}, {cv, r[4]}} {
						for j, g := range same[1] {
							if w := same[0][j]; !(math.Abs(g-w) <= 1e-12*(1+math.Abs(w))) {
								t.Fatalf("result %d alone has %v at %d, want %v", i, g, j, w)
							}
						}
					}
					if procs == 1 {
						first = got
						continue
					}
					for i := range r {
						if got.value != first.value || !slices.Equal(r[i], first.v[i]) {
							t.Errorf("%d cores give other bits than one", procs)
						}
					}
				}
			})
		}
	}
}

func accumulate(dst, v []float64) {
	for i := range dst {
		dst[i] += v[i]
	}
}
