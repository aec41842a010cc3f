package bilevel_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// One regularisation strength per feature of a logistic regression, learned on held-out rows. The data are made up:
// the first three of twenty features matter. Package dataset reads real ones.
func Example() {
	const p = 20 // features, and strengths
	rng := rand.New(rand.NewPCG(1, 2))
	sample := func(n int) (x *rows.Dense, y []float64) {
		x, y = rows.NewDense(n, p), make([]float64, n)
		for i := range n {
			row := x.Row(i)
			for j := range row {
				row[j] = rng.NormFloat64()
			}
			y[i] = math.Copysign(1, 2*row[0]-2*row[1]+row[2]+rng.NormFloat64()) // a label is -1 or 1
		}
		return x, y
	}
	trainX, trainY := sample(100)
	valX, valY := sample(400)

	loss, err := model.NewLogistic(trainX, trainY, p)
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
	outer, err := model.NewLogistic(valX, valY, p) // f: validation loss
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
	off := 0
	for _, x := range result.Point.X[3:] {
		if x > 11.9 { // e^12 leaves nothing of a coefficient
			off++
		}
	}
	fmt.Printf("x of those that matter: %.1f; of the other 17, %d are switched off\n", result.Point.X[:3], off)
	// Output:
	// converged; lower than at the start: true; stationary: true
	// x of those that matter: [-5.5 -12.0 -12.0]; of the other 17, 14 are switched off
}
