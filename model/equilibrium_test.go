package model_test

import (
	"github.com/bilevel-go/bilevel"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
)

func TestEquilibrium(t *testing.T) {
	for _, s := range []struct{ n, features, units int }{{5, 3, 4}, {9, 2, 1}, {270, 5, 35}} {
		a, _ := table(s.n, s.features, 8)
		q := must(model.NewEquilibrium(a, s.units, 3))(t)
		opts := bileveltest.ObjectiveOptions{Scale: .5}
		bileveltest.FixedPoint(t, q, opts)
		y := make([]int, s.n)
		for i := range y {
			y[i] = i * i % 3
		}
		bileveltest.Objective(t, must(q.Readout(y))(t), opts)
	}
	a, _ := table(5, 3, 8)
	if _, err := model.NewEquilibrium(a, 0, 3); err == nil {
		t.Error("no error without units")
	}
	q := must(model.NewEquilibrium(a, 2, 3))(t)
	for _, y := range [][]int{{0, 1}, {0, 1, 2, 3, 0}} {
		if _, err := q.Readout(y); err == nil {
			t.Errorf("no error for the labels %v", y)
		}
	}
}

// The map written out row by row.
func TestEquilibriumMap(t *testing.T) {
	const n, features, units, classes = 7, 3, 4, 2
	a, _ := table(n, features, 8)
	q := must(model.NewEquilibrium(a, units, classes))(t)
	d, p := q.Dims()
	if p != units*units+units*features+units+classes*units+classes || d != n*units {
		t.Fatal(d, p)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	z, x, got := make([]float64, d), make([]float64, p), make([]float64, d)
	for i := range z {
		z[i] = rng.NormFloat64()
	}
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	q.Map(got, z, x, bilevel.Batch{Hi: 1})
	for i := range n {
		for j := range units {
			s := x[units*units+units*features+j]
			for k := range units {
				s += x[j*units+k] * z[k*n+i]
			}
			for k, v := range a.Row(i) {
				s += x[units*units+j*features+k] * v
			}
			if e := math.Abs(got[j*n+i] - math.Tanh(s)); e > 1e-14 {
				t.Errorf("unit %d of row %d is off by %g", j, i, e)
			}
		}
	}
}

// The projection clips singular values and leaves the rest alone.
func TestEquilibriumProject(t *testing.T) {
	const units = 6
	a, _ := table(4, 3, 8)
	q := must(model.NewEquilibrium(a, units, 2))(t)
	_, p := q.Dims()
	x := make([]float64, p)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	before := append([]float64(nil), x...)
	var svd mat.SVD
	svd.Factorize(mat.NewDense(units, units, append([]float64(nil), x[:units*units]...)), mat.SVDNone)
	want := svd.Values(nil)
	q.Project(x, .9)
	svd.Factorize(mat.NewDense(units, units, append([]float64(nil), x[:units*units]...)), mat.SVDNone)
	for i, s := range svd.Values(nil) {
		if math.Abs(s-min(want[i], .9)) > 1e-12 {
			t.Errorf("singular value %d went from %v to %v", i, want[i], s)
		}
	}
	for i := units * units; i < p; i++ {
		if x[i] != before[i] {
			t.Fatalf("x[%d], which is not in A, changed", i)
		}
	}
	after := append([]float64(nil), x...)
	q.Project(x, .9+1e-9)
	for i := range x {
		if x[i] != after[i] {
			t.Fatal("the projection of a point inside moved it")
		}
	}
}
