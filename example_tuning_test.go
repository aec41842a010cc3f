package bilevel_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
)

// One regularisation strength per feature of a logistic regression, learned on held-out rows.
func Example() {
	all, err := dataset.Embedded("breast-cancer")
	if err != nil {
		log.Fatal(err)
	}
	train, val, err := all.Split(.5, 1, true)
	if err != nil {
		log.Fatal(err)
	}
	scaler := dataset.FitScaler(train.X) // on the training rows only
	signs := func(classes []float64) []float64 {
		y := make([]float64, len(classes))
		for i, c := range classes {
			y[i] = 2*c - 1
		}
		return y
	}

	const p = 30 // one strength per feature
	loss, err := model.NewLogistic(scaler.Apply(train.X), signs(train.Y), p)
	if err != nil {
		log.Fatal(err)
	}
	penalty, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	inner, err := model.Regularize(loss, penalty) // g: training loss + ½ Σ e^{x_j} z_j²
	if err != nil {
		log.Fatal(err)
	}
	outer, err := model.NewLogistic(scaler.Apply(val.X), signs(val.Y), p) // f: validation loss
	if err != nil {
		log.Fatal(err)
	}

	problem := &bilevel.Problem{Inner: inner, Outer: outer, Lower: make([]float64, p), Upper: make([]float64, p)}
	start := make([]float64, p)
	for j := range p {
		problem.Lower[j], problem.Upper[j], start[j] = -12, 12, -4
	}
	result, err := bilevel.Minimize(context.Background(), problem, hypergrad.HOAG{},
		bilevel.Settings{Start: bilevel.Point{X: start}})
	if err != nil {
		log.Fatal(err)
	}
	first := result.Trace[1].Value // h is first known after the first step
	fmt.Printf("%v; lower than at the start: %v; stationary: %v\n",
		result.Reason, result.Value < first, result.GradNorm < 1e-6)
	// Output: converged; lower than at the start: true; stationary: true
}
