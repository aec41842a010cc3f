package hypergrad_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// With strengths x near zero the inner problem is nearly singular, and a loose solve can promise a gain that is
// only its own error. Such a gain must not be accepted: what is recorded never rises.
func TestLooseSolvesPromiseNoGain(t *testing.T) {
	x, digit := realdata.Digits(t)
	for j := range x.D { // mean 0 and variance 1
		column := make([]float64, x.N)
		for i := range column {
			column[i] = x.Row(i)[j]
		}
		mean, deviation := stat.PopMeanStdDev(column, nil)
		for i, v := range column {
			x.Row(i)[j] = (v - mean) / max(deviation, 1e-8)
		}
	}
	// A split on which a run that trusts such gains more than triples h.
	order := rand.New(rand.NewPCG(31, 0)).Perm(x.N)
	const p = 10
	loss := func(order []int) *model.Loss {
		label := make([]int, len(order))
		for i, o := range order {
			label[i] = int(digit[o])
		}
		l, err := model.NewSoftmax(x.Take(order).WithOnes(), label, p, p)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	g := loss(order[:943])
	pen, err := model.NewPenalty(g.Layout(), model.PerClass, model.PenaltyOptions{Linear: true, Intercept: true})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := model.Regularize(g, pen)
	if err != nil {
		t.Fatal(err)
	}
	problem := &bilevel.Problem{Inner: inner, Outer: loss(order[943:1347]), Lower: slices.Repeat([]float64{1e-8}, p),
		Upper: slices.Repeat([]float64{1e8}, p)}
	r, err := bilevel.Minimize(context.Background(), problem, hypergrad.HOAG{},
		bilevel.Settings{Start: bilevel.Point{X: slices.Repeat([]float64{1e-3}, p)}, MaxSteps: 14})
	if err != nil {
		t.Fatal(err)
	}
	for i := 2; i < len(r.Trace); i++ {
		if r.Trace[i].Value > 1.01*r.Trace[i-1].Value {
			t.Errorf("h rises from %v to %v in step %d", r.Trace[i-1].Value, r.Trace[i].Value, r.Trace[i].Step)
		}
	}
	if first := r.Trace[1].Value; r.Value > .95*first {
		t.Errorf("h = %v after 14 steps, from %v", r.Value, first)
	}
}

// ridge is ridge regression with one strength e^{x_j} per feature whose targets are multiplied by unit.
func ridge(t *testing.T, unit float64, lower, upper float64) *bilevel.Problem {
	t.Helper()
	const d = 6
	rng := rand.New(rand.NewPCG(5, 5))
	loss := func(n int) *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			for j := range d {
				a.Row(i)[j] = rng.NormFloat64()
			}
			y[i] = unit * (a.Row(i)[0] - a.Row(i)[1] + rng.NormFloat64())
		}
		l, err := model.NewSquared(a, y, d)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	g, f := loss(30), loss(100)
	pen, err := model.NewPenalty(g.Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := model.Regularize(g, pen)
	if err != nil {
		t.Fatal(err)
	}
	return &bilevel.Problem{Inner: inner, Outer: f, Lower: slices.Repeat([]float64{lower}, d),
		Upper: slices.Repeat([]float64{upper}, d)}
}

// The unit of the targets, and with it the size of every gradient, changes nothing.
func TestUnitOfTargets(t *testing.T) {
	var want []float64
	for _, unit := range []float64{1, 1e-4, 1e-2, 1e4} {
		r, err := bilevel.Minimize(context.Background(), ridge(t, unit, -12, 12), hypergrad.HOAG{}, bilevel.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = append([]float64{r.Value}, r.Point.X...)
		}
		if got := r.Value / unit / unit; math.Abs(got-want[0]) > 1e-9*want[0] {
			t.Errorf("targets × %g: h = %v, want %v, after %d steps", unit, got, want[0], r.Steps)
		}
		for j, x := range r.Point.X {
			if math.Abs(x-want[1+j]) > 1e-3 {
				t.Errorf("targets × %g: x[%d] = %v, want %v", unit, j, x, want[1+j])
			}
		}
	}
}

// Where x cannot move, what is reported is still h.
func TestNothingToMove(t *testing.T) {
	p := ridge(t, 1e-3, -6, -6)
	r, err := bilevel.Minimize(context.Background(), p, hypergrad.HOAG{}, bilevel.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := hypergrad.NewEvaluator(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := e.Evaluate(context.Background(), nil, slices.Repeat([]float64{-6}, 6))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.Value-want) > 1e-9*want || r.Reason != bilevel.Done {
		t.Errorf("h = %v, %v; want %v", r.Value, r.Reason, want)
	}
}
