package model_test

import (
	"errors"
	"fmt"
	"testing"

	"gonum.org/v1/gonum/floats"

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
		bileveltest.Objective(t, model.Negative(must(model.NewPerturbed(must(c.make(dense, 0))(t), 3, .1))(t)),
			bileveltest.ObjectiveOptions{})
	}
	bileveltest.Objective(t, model.Negative(bileveltest.Quadratic(5, 3, 9, 8, 1).Problem.Outer),
		bileveltest.ObjectiveOptions{})
}

// What Linearize has fixed stays fixed while rows are shifted elsewhere in between.
func TestPerturbedLinearized(t *testing.T) {
	const n, d, s = 11, 4, 3
	dense, _ := table(n, d, 8)
	for _, c := range lossCases(n) {
		o := must(model.NewPerturbed(must(c.make(dense, 0))(t), s, .2))(t)
		size, p := o.Dims()
		x, away, z, v := make([]float64, p), make([]float64, p), make([]float64, size), make([]float64, size)
		for j := range x {
			x[j], away[j] = float64(j%5)/4, float64(j%3)
		}
		for i := range z {
			z[i], v[i] = float64(i%5)-2, float64(i%7)-3
		}
		all := bilevel.All(o)
		hv, cv, gotH, gotC := make([]float64, size), make([]float64, p), make([]float64, size), make([]float64, p)
		o.Products(nil, hv, cv, z, x, v, all)
		o.Linearize(z, x, all)
		o.Value(z, away, all)
		o.Apply(gotH, gotC, v)
		if !floats.EqualApprox(gotH, hv, 1e-12) || !floats.EqualApprox(gotC, cv, 1e-12) {
			t.Errorf("%s: products at the fixed point are %v, %v, want %v, %v", c.name, gotH, gotC, hv, cv)
		}
	}
}

// failing is an objective whose evaluations fail.
type failing struct{ bilevel.Objective }

var errFailing = errors.New("no answer")

func (failing) Err() error { return errFailing }

func TestNegativeFails(t *testing.T) {
	o := model.Negative(failing{bileveltest.Quadratic(5, 3, 9, 8, 1).Problem.Outer})
	if f, ok := o.(bilevel.Failer); !ok || f.Err() != errFailing {
		t.Error("the failure of an objective is lost")
	}
	if f, ok := model.Negative(bileveltest.Quadratic(5, 3, 9, 8, 1).Problem.Outer).(bilevel.Failer); ok && f.Err() != nil {
		t.Error(f.Err())
	}
}
