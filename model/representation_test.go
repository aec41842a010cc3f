package model_test

import (
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// tasks draws n tasks of different lengths.
func tasks(n, features, classes int, seed uint64) []model.Task {
	rng := rand.New(rand.NewPCG(seed, 1))
	list := make([]model.Task, n)
	for i := range list {
		m := 4 + i%3
		t := model.Task{X: rows.NewDense(m, features)}
		for j := range m {
			for c := range t.X.Row(j) {
				t.X.Row(j)[c] = rng.NormFloat64()
			}
			t.Y = append(t.Y, rng.NormFloat64())
			if classes > 0 {
				t.Labels = append(t.Labels, rng.IntN(classes))
			}
		}
		list[i] = t
	}
	return list
}

func TestRepresentation(t *testing.T) {
	for _, o := range []model.RepresentationOptions{
		{Width: 3, Ridge: .3},
		{Width: 2, Classes: 3},
		{Width: 4, Classes: 3, Ridge: .1},
		{Width: 3, Classes: 4, Ridge: .2, OneHot: true},
		{Width: 100, Classes: 2, Ridge: .2}, // many more features than rows
	} {
		for _, n := range []int{1, 5, 37} {
			if n*o.Width > 150 {
				continue // the checks form the Hessian
			}
			r := must(model.NewRepresentation(tasks(n, 7, o.Classes, 1), o))(t)
			bileveltest.Objective(t, r, bileveltest.ObjectiveOptions{})
			d, _ := r.Dims()
			for _, limit := range []int{d * o.Width, d} { // blocks of a class, and of a coefficient
				restore := model.SetBlockNumbers(limit)
				if size := r.BlockSize(); size*d > limit {
					t.Errorf("blocks of order %d, %d numbers are allowed", size, limit)
				}
				bileveltest.Objective(t, r, bileveltest.ObjectiveOptions{})
				restore()
			}
		}
	}
	for name, bad := range map[string]func() (*model.Representation, error){
		"no task": func() (*model.Representation, error) {
			return model.NewRepresentation(nil, model.RepresentationOptions{Width: 1})
		},
		"width": func() (*model.Representation, error) {
			return model.NewRepresentation(tasks(2, 3, 0, 1), model.RepresentationOptions{})
		},
		"classes": func() (*model.Representation, error) {
			return model.NewRepresentation(tasks(2, 3, 4, 1), model.RepresentationOptions{Width: 1, Classes: 2})
		},
		"one-hot": func() (*model.Representation, error) {
			return model.NewRepresentation(tasks(2, 3, 0, 1), model.RepresentationOptions{Width: 1, OneHot: true})
		},
		"ridge": func() (*model.Representation, error) {
			return model.NewRepresentation(tasks(2, 3, 0, 1), model.RepresentationOptions{Width: 1, Ridge: -1})
		},
		"features": func() (*model.Representation, error) {
			return model.NewRepresentation(append(tasks(2, 3, 0, 1), tasks(1, 4, 0, 1)...),
				model.RepresentationOptions{Width: 1})
		},
	} {
		if _, err := bad(); err == nil {
			t.Errorf("no error for a bad %s", name)
		}
	}
}

// Batches at other representations in between leave no trace.
func TestRepresentationBatches(t *testing.T) {
	o := model.RepresentationOptions{Width: 3, Ridge: .3}
	r := must(model.NewRepresentation(tasks(5, 7, 0, 1), o))(t)
	d, p := r.Dims()
	z, x := make([]float64, d), make([][]float64, 2)
	for i := range z {
		z[i] = float64(i%5) - 2
	}
	for k := range x {
		x[k] = make([]float64, p)
		for j := range x[k] {
			x[k][j] = float64((j+k)%3) / 4
		}
	}
	for i, k := range []int{0, 1, 1, 0, 0, 1, 0, 1} {
		for _, b := range []bilevel.Batch{{Lo: i % 4, Hi: i%4 + 2}, {Lo: 0, Hi: 5 - i%3}} {
			fresh := must(model.NewRepresentation(tasks(5, 7, 0, 1), o))(t)
			if got, want := r.Value(z, x[k], b), fresh.Value(z, x[k], b); got != want {
				t.Errorf("pass %d over %v: %v, want %v", i, b, got, want)
			}
		}
	}
	// A batch of one task costs one task.
	r.Value(z, x[0], bilevel.All(r))
	r.Value(z, x[1], bilevel.Batch{Lo: 2, Hi: 3})
	if n := r.Represented(); n != 1 {
		t.Errorf("%d tasks are represented anew for a batch of one", n)
	}
}
