package docs

import (
	"context"
	"fmt"
	"log"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/stochastic"
	"github.com/bilevel-go/bilevel/valuefn"
)

// What the documentation shows in parts, with what the parts need around them.

// README.md
func Example_tuning() {
	ctx := context.Background()
	var lower, upper []float64

	train, err := dataset.Read(ctx, "ijcnn1.trn.bz2", dataset.Options{})
	if err != nil {
		log.Fatal(err)
	}
	val, err := dataset.Read(ctx, "ijcnn1.tst.bz2", dataset.Options{Like: train.Schema})
	if err != nil {
		log.Fatal(err)
	}

	loss, err := model.NewLogistic(train.X, train.Y, 22) // inner: training loss …
	if err != nil {
		log.Fatal(err)
	}
	penalty, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	inner, err := model.Regularize(loss, penalty) // … + ½ Σ e^{x_j} z_j²
	if err != nil {
		log.Fatal(err)
	}
	outer, err := model.NewLogistic(val.X, val.Y, 22) // outer: validation loss
	if err != nil {
		log.Fatal(err)
	}

	problem := &bilevel.Problem{Inner: inner, Outer: outer, Lower: lower, Upper: upper}
	result, err := bilevel.Minimize(ctx, problem, hypergrad.HOAG{}, bilevel.Settings{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Value, result.Point.X)
}

// hypergradients.md
func Example_estimators() {
	reverse := hypergrad.ITD{Dynamics: inner.HeavyBall{Step: .1, Momentum: .9}, Steps: 100, Truncate: 10}
	conjugate := hypergrad.AID{Inner: inner.HeavyBall{Steps: 100}, Linear: linsolve.CG{Steps: 10}}

	fmt.Println(reverse, conjugate)
}

// library.md, stochastic.md and minimaxopt.md
func Example_methods() {
	ctx := context.Background()
	var problem *bilevel.Problem
	{
		settings := bilevel.Settings{MaxSteps: 10_000, Evaluator: &hypergrad.Evaluator{Problem: problem}}
		result, err := bilevel.Minimize(ctx, problem, stochastic.SABA{}, settings)
		fmt.Println(result, err)
	}
	{
		result, err := bilevel.Minimize(ctx, problem, stochastic.SABA{}, bilevel.Settings{MaxSteps: 100_000})
		fmt.Println(result, err)
	}
	{
		result, err := bilevel.Minimize(ctx, problem, valuefn.MinimaxOPT{}, bilevel.Settings{MaxSteps: 20_000})
		fmt.Println(result, err)
	}
}

// library.md
func TestObjective(t *testing.T) {
	bileveltest.Objective(t, newObjective(), bileveltest.ObjectiveOptions{})
}

func newObjective() bilevel.Objective {
	return &bilevel.Func{ // ½‖z − x‖²
		InnerDim: 1, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (z[0] - x[0]) * (z[0] - x[0]) / 2 },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = z[0]-x[0], x[0]-z[0] },
		HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { hv[0] = v[0] },
		CrossVec: func(cv, _, _, v []float64, _ bilevel.Batch) { cv[0] = -v[0] },
	}
}
