package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Derivatives are right, and the value is that of the definition: a row counts by the weight of its class, its own, and
// not at all in its own fold.
func TestClassWeights(t *testing.T) {
	const n, d = 23, 5
	dense, csr := table(n, d, 8)
	class := make([]int, n)
	for i := range class {
		class[i] = i * i % 3
	}
	w := make([]float64, n)
	for i := range w {
		w[i] = float64(i % 3)
	}
	for _, c := range lossCases(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			for _, bounds := range [][]int{nil, {0, 8, n}, {0, 4, 10, 15, n}} {
				loss := must(must(c.make(a, 0))(t).Weigh(w))(t)
				copies := max(len(bounds)-1, 1)
				pen := must(model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{First: 3, Copies: copies}))(t)
				o := must(model.NewClassWeights(loss, class, bounds, max(copies/2, 1), pen))(t)
				t.Run(fmt.Sprintf("%s/%T/%d", c.name, a, len(bounds)), func(t *testing.T) {
					bileveltest.Objective(t, o, bileveltest.ObjectiveOptions{})
				})
				rng := rand.New(rand.NewPCG(3, 3))
				length, p := o.Dims()
				z, x := normal(length, rng), normal(p, rng)
				want := pen.Value(z, x, bilevel.Batch{})
				for f := range copies {
					zf, sum, mass := z[f*d*c.k:(f+1)*d*c.k], 0.0, 0.0
					for i := range w {
						if bounds != nil && (bounds[f] <= i && i < bounds[f+1] || i < bounds[f-f%2] || i >= bounds[f-f%2+2]) {
							continue
						}
						one := bilevel.Batch{Lo: i, Hi: i + 1}
						sum += math.Exp(x[class[i]]) * w[i] * must(c.make(a, 0))(t).Value(zf, nil, one)
						mass += w[i]
					}
					want += sum / mass
				}
				if got := o.Value(z, x, bilevel.All(o)); math.Abs(got-want) > 1e-12*math.Abs(want) {
					t.Errorf("%s, folds %v: %v, want %v", c.name, bounds, got, want)
				}
			}
		}
	}
	loss := must(lossCases(n)[1].make(dense, 0))(t)
	pen := must(model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{First: 1}))(t)
	if _, err := model.NewClassWeights(loss, class, nil, 1, pen); err == nil || !strings.Contains(err.Error(), "among") {
		t.Errorf("strengths among the weights: %v", err)
	}
}
