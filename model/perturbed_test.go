package model_test

import (
	"fmt"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
)

func TestPerturbed(t *testing.T) {
	const n, d = 23, 5
	dense, csr := table(n, d, 8)
	for _, c := range lossCases(n) {
		for _, s := range []int{1, 9, n} {
			o := must(model.NewPerturbed(must(c.make(dense, 0))(t), s, .2))(t)
			t.Run(fmt.Sprint(c.name, s), func(t *testing.T) {
				bileveltest.Objective(t, o, bileveltest.ObjectiveOptions{})
			})
		}
		if _, err := model.NewPerturbed(must(c.make(csr, 0))(t), 3, 0); err == nil {
			t.Error("sparse rows were perturbed")
		}
		for _, s := range []int{0, n + 1} {
			if _, err := model.NewPerturbed(must(c.make(dense, 0))(t), s, 0); err == nil {
				t.Errorf("%d of %d rows were perturbed", s, n)
			}
		}
		if _, err := model.NewPerturbed(must(c.make(dense, 0))(t), 1, -1); err == nil {
			t.Error("a negative ridge")
		}
	}
}

// Rows that are shifted and rows that were other rows from the beginning give the same.
func TestPerturbedRows(t *testing.T) {
	const n, d, s = 11, 4, 3
	dense, _ := table(n, d, 8)
	for _, c := range lossCases(n) {
		o := must(model.NewPerturbed(must(c.make(dense, 0))(t), s, 0))(t)
		dz, p := o.Dims()
		x, z := make([]float64, p), make([]float64, dz)
		moved, _ := table(n, d, 8)
		for i := range s {
			for j := range d {
				x[i*d+j] = float64(i+1) / float64(j+1)
				moved.Row(i)[j] += x[i*d+j]
			}
		}
		for i := range z {
			z[i] = float64(i%5) - 2
		}
		want := must(c.make(moved, 0))(t)
		if got, want := o.Value(z, x, bilevel.All(o)), want.Value(z, nil, bilevel.All(want)); got != want {
			t.Errorf("%s: %v, not %v", c.name, got, want)
		}
	}
}

func TestNegative(t *testing.T) {
	dense, _ := table(12, 5, 8)
	for _, c := range lossCases(12) {
		bileveltest.Objective(t, model.Negative(must(c.make(dense, 4))(t)), bileveltest.ObjectiveOptions{})
		bileveltest.Objective(t, model.Negative(must(model.NewPerturbed(must(c.make(dense, 0))(t), 3, .1))(t)), bileveltest.ObjectiveOptions{})
	}
	bileveltest.Objective(t, model.Negative(bileveltest.Quadratic(5, 3, 9, 8, 1).Problem.Outer), bileveltest.ObjectiveOptions{})
}
