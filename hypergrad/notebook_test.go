package hypergrad_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
)

// notebook is the problem of hypertorch's notebook: logistic regression on 500 rows of 20 features with the
// penalty ½zᵀdiag(x)z, x ≥ 1e-8, and the loss of 500 further rows outside.
func notebook(tb testing.TB) *bilevel.Problem {
	tb.Helper()
	const d = 20
	var losses [2]*model.Loss
	for i, name := range []string{"train.csv", "val.csv"} {
		x, y := realdata.CSV(tb, "notebook", name)
		for i, class := range y {
			y[i] = 2*class - 1
		}
		var err error
		if losses[i], err = model.NewLogistic(x, y, d); err != nil {
			tb.Fatal(err)
		}
	}
	pen, err := model.NewPenalty(losses[0].Layout(), model.PerFeature, model.PenaltyOptions{Linear: true})
	if err != nil {
		tb.Fatal(err)
	}
	g, err := model.Regularize(losses[0], pen)
	if err != nil {
		tb.Fatal(err)
	}
	return &bilevel.Problem{Outer: losses[1], Inner: g, Lower: slices.Repeat([]float64{1e-8}, d)}
}

// The validation losses that hypertorch's notebook reports, to its digits: 100 gradient steps from zero for z,
// differentiated through the last ten or with ten steps of conjugate gradients, and descent with momentum.
func TestNotebook(t *testing.T) {
	p := notebook(t)
	steps := inner.GradientDescent{Step: .1, Steps: 100}
	for _, v := range []struct {
		name      string
		estimator hypergrad.Estimator
		want      map[int]float64
	}{
		{"reverse, truncated", hypergrad.ITD{Dynamics: steps, Truncate: 10},
			map[int]float64{0: .574399, 10: .533768, 20: .361522, 100: .285354, 480: .280810}},
		{"conjugate gradients", hypergrad.AID{Inner: steps, Linear: linsolve.CG{Steps: 10}},
			map[int]float64{0: .574399, 10: .472289, 480: .280699}},
	} {
		m := hypergrad.Descent{Estimator: v.estimator, Optimizer: hypergrad.Momentum{Mu: .9}, Step: 1, ColdStart: true,
			ColdAdjoint: true}
		run, err := m.Start(p, bilevel.Point{X: slices.Repeat([]float64{1}, 20)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for s := range 481 { // step s evaluates after s moves of x
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			want, ok := v.want[s]
			if !ok {
				continue
			}
			at := run.Point()
			if got := p.Outer.Value(at.Z, at.X, bilevel.All(p.Outer)); !(math.Abs(got-want) <= 1e-6) {
				t.Errorf("%s: the validation loss before outer step %d is %.6f, want %.6f", v.name, s, got, want)
			}
		}
	}
}
