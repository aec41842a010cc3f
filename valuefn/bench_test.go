package valuefn

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// BenchmarkMinimaxOPT is a step with batches of all samples, in the two settings of the paper.
func BenchmarkMinimaxOPT(b *testing.B) {
	for _, s := range []struct {
		name    string
		problem func() *bilevel.Problem
		m       MinimaxOPT
	}{
		{"dense", denseLogistic, MinimaxOPT{Batch: 1 << 20, Alpha: 1, StageSteps: 1 << 30, InnerStep: .1, OuterStep: .1}},
		{"20news", newsgroups, MinimaxOPT{Batch: 1 << 20, Alpha: 1, StageSteps: 1 << 30, InnerStep: 10, OuterStep: 10}},
	} {
		b.Run(s.name, func(b *testing.B) {
			run, err := s.m.Start(s.problem(), bilevel.Point{}, 1)
			if err != nil {
				b.Fatal(err)
			}
			step := func() {
				if err := run.Step(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			step() // allocates
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

// denseLogistic is logistic regression on 2,500 training and 2,500 validation rows × 100 features with a strength
// e^{x_j} for each feature.
func denseLogistic() *bilevel.Problem {
	const n, d = 2500, 100
	rng := rand.New(rand.NewPCG(1, 1))
	loss := func() *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			t := rng.NormFloat64()
			for j := range d {
				a.Row(i)[j] = rng.NormFloat64()
				t += a.Row(i)[j] / math.Sqrt(d)
			}
			y[i] = math.Copysign(1, t)
		}
		return must(model.NewLogistic(a, y, d))
	}
	return withStrengths(loss(), loss(), model.PenaltyOptions{})
}

// newsgroups has the shape of 20 newsgroups: softmax regression on 5,657 rows of 150 non-zeros at either level,
// 130,107 features, 20 classes, with the penalty ½·mean(e^{x_j} z²).
func newsgroups() *bilevel.Problem {
	const n, d, k, nnz = 5657, 130107, 20, 150
	rng := rand.New(rand.NewPCG(1, 1))
	loss := func() *model.Loss {
		a, label := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}, make([]int, n)
		for i := range n {
			// Word frequencies fall off like Zipf's law, as they do in text.
			seen := map[int32]bool{}
			for len(seen) < nnz {
				seen[int32(math.Pow(d, rng.Float64()))] = true
			}
			for _, j := range slices.Sorted(maps.Keys(seen)) {
				a.Idx, a.Val = append(a.Idx, j), append(a.Val, 1/math.Sqrt(nnz))
			}
			a.Ptr = append(a.Ptr, len(a.Idx))
			label[i] = rng.IntN(k)
		}
		return must(model.NewSoftmax(a, label, k, d))
	}
	return withStrengths(loss(), loss(), model.PenaltyOptions{Scale: 1. / (d * k)})
}

func withStrengths(train, val *model.Loss, o model.PenaltyOptions) *bilevel.Problem {
	pen := must(model.NewPenalty(train.Layout(), model.PerFeature, o))
	return &bilevel.Problem{Inner: must(model.Regularize(train, pen)), Outer: val}
}
