package hypergrad_test

import (
	"context"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// With strengths x near zero the inner problem is nearly singular, and a loose solve can promise a gain that is
// only its own error. Such a gain must not be accepted: what is recorded never rises.
func TestLooseSolvesPromiseNoGain(t *testing.T) {
	all, err := dataset.Embedded("digits")
	if err != nil {
		t.Fatal(err)
	}
	rest, _, err := all.Split(.25, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	train, val, err := rest.Split(.3, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	const p = 10
	scaler := dataset.FitScaler(train.X)
	loss := func(s *dataset.Set) *model.Loss {
		label := make([]int, len(s.Y))
		for i, c := range s.Y {
			label[i] = int(c)
		}
		var a rows.Matrix = scaler.Apply(s.X).WithOnes()
		l, err := model.NewSoftmax(a, label, p, p)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	g := loss(train)
	pen, err := model.NewPenalty(g.Layout(), model.PerClass, model.PenaltyOptions{Linear: true, Intercept: true})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := model.Regularize(g, pen)
	if err != nil {
		t.Fatal(err)
	}
	problem := &bilevel.Problem{Inner: inner, Outer: loss(val), Lower: slices.Repeat([]float64{1e-8}, p), Upper: slices.Repeat([]float64{1e8}, p)}
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
