package nonsmooth_test

import (
	"context"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/nonsmooth"
)

// HOAG finds strengths of an elastic net that are a minimum, be it at a kink of h where no gradient vanishes.
func TestHOAG(t *testing.T) {
	k := config{task: "squared", ridge: true, n: 40, m: 60, d: 50}
	q := k.build(t)
	q.Lower, q.Upper = []float64{-8, -8}, []float64{2, 2}
	r, err := bilevel.Minimize(context.Background(), &q.Problem, hypergrad.HOAG{Estimator: nonsmooth.Implicit{}},
		bilevel.Settings{Start: bilevel.Point{X: []float64{-2, -2}}, MaxSteps: 200})
	if err != nil {
		t.Fatal(err)
	}
	e := must(hypergrad.NewEvaluator(&q.Problem, nonsmooth.Implicit{}))(t)
	h := func(x ...float64) float64 {
		q.ProjectX(x)
		return must(e.Evaluate(context.Background(), nil, x))(t)
	}
	x := r.Point.X
	value := h(x...)
	if start := h(-2, -2); value > .9*start {
		t.Errorf("h = %v from %v", value, start)
	}
	for _, step := range []float64{1e-3, 1e-2, .1, -1e-3, -1e-2, -.1} {
		if a, b := h(x[0]+step, x[1]), h(x[0], x[1]+step); min(a, b) < value-1e-9 {
			t.Errorf("h(%v) = %.12g, and %.12g and %.12g at a distance of %v", x, value, a, b, step)
		}
	}
}
