package methods_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// problem is logistic regression with two strengths in a box and many rows of three features, the last of which none
// of the strengths is for.
func problem(t testing.TB, n int) *bilevel.Problem {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	loss := func() *model.Loss {
		a, y := rows.NewDense(n, 3), make([]float64, n)
		for i := range y {
			row := a.Row(i)
			for j := range row {
				row[j] = rng.NormFloat64()
			}
			y[i] = math.Copysign(1, row[0]+rng.NormFloat64())
		}
		l, err := model.NewLogistic(a, y, 2)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	train := loss()
	pen, err := model.NewPenalty(train.Layout(), model.PerFeature, model.PenaltyOptions{Intercept: true})
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Regularize(train, pen)
	if err != nil {
		t.Fatal(err)
	}
	return &bilevel.Problem{Inner: g, Outer: loss(), Lower: []float64{-6, -6}, Upper: []float64{3, 3}}
}

// TestKinds: each method starts with its zero value, its steps visit as many samples as its kind says, and its run
// knows h where the kind does.
func TestKinds(t *testing.T) {
	const n = 30_000
	p := problem(t, n)
	for _, m := range methods.All() {
		if !reflect.ValueOf(m.Method).IsZero() {
			t.Errorf("%s is not a zero value: %+v", m.Name, m.Method)
		}
		run, err := m.Method.Start(p, bilevel.Point{}, 1)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if err := run.Step(context.Background()); err != nil { // which may fill memories by a pass over all rows
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		before, steps := run.Counts().Total(), 0
		for steps < 12 && err == nil {
			if err = run.Step(context.Background()); err == nil {
				steps++
			}
		}
		if err != nil && !errors.Is(err, bilevel.ErrDone) {
			t.Errorf("%s: %v", m.Name, err)
		}
		visited := float64(run.Counts().Total()-before) / float64(steps*n)
		if batches := m.Kind == methods.Sampled; batches != (visited < .9) {
			t.Errorf("%s, %v: a step visits %.2g of the samples", m.Name, m.Kind, visited)
		}
		known := math.NaN()
		if k, ok := run.(bilevel.Progresser); ok {
			known, _ = k.Progress()
		}
		if want := m.Kind == methods.Exact || m.Kind == methods.Search; want == math.IsNaN(known) {
			t.Errorf("%s, %v: h = %v", m.Name, m.Kind, known)
		}
	}
}

func TestNames(t *testing.T) {
	names := methods.Names()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not sorted, or twice there: %v", names)
	}
	for _, name := range names {
		if m, ok := methods.Lookup(name); !ok || m.Name != name {
			t.Errorf("%s is found as %q, %t", name, m.Name, ok)
		}
	}
	if _, ok := methods.Lookup("sabba"); ok {
		t.Error("sabba is a method")
	}
	want := []string{"descent", "grid", "hoag", "random", "tpe"}
	if got := methods.Names(methods.Exact, methods.Search); !slices.Equal(got, want) {
		t.Errorf("exact methods and searches: %v", got)
	}
	text := methods.Describe("  ", methods.Exact, methods.FullBatch, methods.Sampled, methods.Search)
	for _, name := range names {
		if !slices.Contains(strings.Fields(text), name) {
			t.Errorf("%s is not in\n%s", name, text)
		}
	}
	grid, _ := methods.Lookup("grid")
	if hoag, _ := methods.Lookup("hoag"); !grid.Fits(1) || grid.Fits(2) || !hoag.Fits(1e6) {
		t.Error("lengths of x that fit")
	}
}
