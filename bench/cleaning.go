package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// cleaning is data cleaning on MNIST: g the mean of σ(x_i) times the cross entropy of 20,000 training rows, whose
// labels are replaced with probability Noise by uniform ones, plus 0.2‖z‖²; f the cross entropy of 5,000 clean rows.
// Pixels are standardised on the training rows. Runs start at z = 0 and x = −2. With Weights "clip" the weight of a row
// is x_i itself, which is clipped to [0, 1], and runs start at x = 0.5, as in the experiments of BOME's paper.
//
// h has no closed form and z has 7,840 coefficients, so that records have h to about six digits and ∇h to three, and
// the error of the run's own z on the 10,000 test rows.
//
// Dagréou, Ablin, Vaiter, Moreau, "A framework for bilevel optimization that enables stochastic and global variance
// reduction algorithms", NeurIPS 2022, section 4.
type cleaning struct {
	// Noise is the probability with which a label is replaced.
	Noise float64
	// Train and Validation are the numbers of rows.
	Train, Validation int
	// Ridge is C of the ridge C‖z‖²; 0 means 0.2.
	Ridge float64
	// Weights are "sigmoid", which "" means, or "clip".
	Weights string
	// Seed is that of the labels, which all runs share.
	Seed uint64
}

func (cleaning) about() string {
	return "data cleaning on mnist, one weight for each of 20,000 rows with wrong labels"
}

func (cleaning) sets() []string { return []string{"mnist"} }

func (c cleaning) load(ctx context.Context, from dataset.GetOptions) (*instance, error) {
	if c.Weights != "" && c.Weights != "sigmoid" && c.Weights != "clip" {
		return nil, fmt.Errorf("bench: cleaning with weights %q: choose sigmoid or clip", c.Weights)
	}
	all, test, _, err := dataset.Load(ctx, "mnist", from)
	if err != nil {
		return nil, err
	}
	n, _ := all.Dims()
	if !(c.Noise >= 0 && c.Noise <= 1) || c.Train < 1 || c.Validation < 1 || c.Train+c.Validation > n {
		return nil, fmt.Errorf("bench: cleaning with noise %v, train %d, validation %d: noise is a probability, and there "+
			"are %d rows", c.Noise, c.Train, c.Validation, n)
	}
	all = all.Shuffle(1)
	train, val := all.Subset(span(0, c.Train)), all.Subset(span(c.Train, c.Train+c.Validation))
	scaler := dataset.FitScaler(train.X)
	k := len(all.Classes)
	y := labels(train.Y)
	rng := rand.New(rand.NewPCG(c.Seed, 2))
	for i := range y {
		if rng.Float64() < c.Noise {
			y[i] = rng.IntN(k)
		}
	}
	loss, err := model.NewSoftmax(scaler.Apply(train.X), y, k, c.Train)
	if err != nil {
		return nil, err
	}
	weights, first := model.SigmoidWeights, -2.
	if c.Weights == "clip" {
		weights, first = model.LinearWeights, .5
	}
	g, err := model.NewCleaning(loss, model.CleaningOptions{Weights: weights, Ridge: c.Ridge})
	if err != nil {
		return nil, err
	}
	f, err := model.NewSoftmax(scaler.Apply(val.X), labels(val.Y), k, c.Train)
	if err != nil {
		return nil, err
	}
	testX, ok := scaler.Apply(test.X).(*rows.Dense)
	if !ok {
		return nil, fmt.Errorf("bench: the rows of %s are %T", test.Source, test.X)
	}
	testY := labels(test.Y)
	p := &bilevel.Problem{Outer: f, Inner: g}
	if c.Weights == "clip" {
		p.Lower, p.Upper = make([]float64, c.Train), slices.Repeat([]float64{1}, c.Train)
	}
	return &instance{
		problem: p,
		start: func(uint64) bilevel.Point {
			at := bilevel.Point{X: make([]float64, c.Train)}
			floats.AddConst(first, at.X)
			return at
		},
		evaluator: func() (bilevel.Evaluator, error) {
			e, err := hypergrad.NewEvaluator(p, hypergrad.AID{})
			if err == nil {
				e.Tol = hypergrad.Effort{Inner: 1e-4, LinearTol: 1e-3}
			}
			return e, err
		},
		testError: func(at bilevel.Point) float64 { return misclassified(testX, testY, at.Z, k) },
		best:      unknown,
	}, nil
}
