package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
)

// ijcnn1 is logistic regression with one strength e^{x_j} for each of 22 features: g the mean of log(1 + e^{−y⟨a,z⟩})
// over 49,990 rows plus ½Σe^{x_j}z_j², f the mean over 91,701 other rows, x in [−12, 12]²². Runs start at z drawn from
// N(0, 1) and x = log U(0, 1). The smallest h in the box was computed with dense Newton steps and L-BFGS-B, by other
// code, from three starts.
//
// Dagréou, Ablin, Vaiter, Moreau, "A framework for bilevel optimization that enables stochastic and global variance
// reduction algorithms", NeurIPS 2022, section 4, which clips x to that box.
type ijcnn1 struct{}

// ijcnn1Best is the smallest h in the box.
const ijcnn1Best = 0.203893728014

func (ijcnn1) about() string {
	return "logistic regression on ijcnn1, one strength for each of 22 features in [−12, 12]"
}

func (ijcnn1) sets() []string { return []string{"ijcnn1"} }

func (ijcnn1) load(ctx context.Context, from dataset.GetOptions) (*instance, error) {
	const d = 22
	train, val, _, err := dataset.Load(ctx, "ijcnn1", from)
	if err != nil {
		return nil, err
	}
	var losses [2]*model.Loss
	for i, s := range []*dataset.Set{train, val} {
		if _, n := s.Dims(); n != d || len(s.Classes) != 2 {
			return nil, fmt.Errorf("bench: %s has %d features and %d classes", s.Source, n, len(s.Classes))
		}
		s = s.Shuffle(1)
		y := make([]float64, len(s.Y))
		for k, c := range s.Y {
			y[k] = 2*c - 1
		}
		if losses[i], err = model.NewLogistic(s.X, y, d); err != nil {
			return nil, err
		}
	}
	g, err := regularized(losses[0], model.PerFeature)
	if err != nil {
		return nil, err
	}
	p := &bilevel.Problem{Outer: losses[1], Inner: g}
	p.Lower, p.Upper = bounds(d, 12)
	return &instance{
		problem: p,
		start: func(seed uint64) bilevel.Point {
			rng := rand.New(rand.NewPCG(seed, 1))
			at := bilevel.Point{Z: gaussians(rng, d), X: make([]float64, d)}
			for j := range at.X {
				at.X[j] = math.Log(1 - rng.Float64()) // of (0, 1]
			}
			return at
		},
		evaluator: evaluateWith(p, hypergrad.AID{}),
		best:      ijcnn1Best,
	}, nil
}
