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

// mixed are 23 rows, of which the first 9 are part 2 and in folds, with the strengths behind three weights and a gap.
var (
	mixedParts = []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0}
	mixedFolds = [][]int{nil, {0, 4, 6, 9}}
)

func mixture(t *testing.T, loss *model.Loss, bounds []int, kind model.Strengths, intercept bool) *model.Mixture {
	t.Helper()
	o := model.PenaltyOptions{First: 4, Outer: 11, Copies: max(len(bounds)-1, 1), Intercept: intercept}
	return must(model.NewMixture(loss, mixedParts, bounds, must(model.NewPenalty(loss.Layout(), kind, o))(t)))(t)
}

func TestMixture(t *testing.T) {
	const n, d = 23, 5
	dense, csr := table(n, d, 8)
	for _, c := range lossCases(n) {
		for _, a := range []rows.Matrix{dense, csr, dense.WithOnes()} {
			for _, bounds := range mixedFolds {
				for _, kind := range []model.Strengths{model.Shared, model.PerFeature} {
					_, features := a.Dims()
					o := mixture(t, must(c.make(a, 0))(t), bounds, kind, features > d)
					t.Run(fmt.Sprintf("%s/%T/%d/%d/%v", c.name, a, features, len(bounds), kind), func(t *testing.T) {
						bileveltest.Objective(t, o, bileveltest.ObjectiveOptions{})
					})
				}
			}
		}
	}
}

// The value is that of the definition: means over parts, without the fold's own rows, times the weights.
func TestMixtureByDefinition(t *testing.T) {
	const n, d = 23, 5
	dense, _ := table(n, d, 8)
	for _, c := range lossCases(n) {
		for _, bounds := range mixedFolds {
			loss := must(c.make(dense, 0))(t)
			o := mixture(t, loss, bounds, model.Shared, false)
			rng := rand.New(rand.NewPCG(3, 3))
			length, p := o.Dims()
			z, x := normal(length, rng), normal(p, rng)
			want := 0.0
			for f := range max(len(bounds)-1, 1) {
				zf := z[f*d*c.k : (f+1)*d*c.k]
				sum, count := [3]float64{}, [3]float64{}
				for i, part := range mixedParts {
					if bounds != nil && i >= bounds[f] && i < bounds[f+1] {
						continue
					}
					sum[part] += loss.Value(zf, nil, bilevel.Batch{Lo: i, Hi: i + 1})
					count[part]++
				}
				for s := range sum {
					want += x[s] * sum[s] / count[s]
				}
				for _, v := range zf {
					want += math.Exp(x[4]) / 2 * v * v
				}
			}
			if got := o.Value(z, x, bilevel.All(o)); math.Abs(got-want) > 1e-12*math.Abs(want) {
				t.Errorf("%s, folds %v: %v, want %v", c.name, bounds, got, want)
			}
		}
	}
}

func TestMixtureRefuses(t *testing.T) {
	dense, _ := table(4, 2, 1)
	loss := must(model.NewSquared(dense, make([]float64, 4), 0))(t)
	pen := func(first, copies int) *model.Penalty {
		return must(model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{First: first, Copies: copies}))(t)
	}
	for _, c := range []struct {
		part, bounds []int
		penalty      *model.Penalty
		want         string
	}{
		{[]int{0, 1, 1}, nil, pen(2, 1), "3 groups of 4 rows"},
		{[]int{0, 1, 1, -2}, nil, pen(2, 1), "row 3 has the group -2"},
		{[]int{0, 2, 2, 0}, nil, pen(3, 1), "part 1 has no rows"},
		{[]int{0, 1, 1, 1}, []int{0, 1, 2}, pen(2, 2), "part 0 has no rows outside fold 0"},
		{[]int{1, 0, 0, 0}, []int{0, 1, 2}, pen(2, 2), "part 1 has no rows outside fold 0"},
		{[]int{0, 1, 1, 0}, []int{0, 3, 2}, pen(2, 2), "not in order"},
		{[]int{0, 1, 1, 0}, []int{0, 3, 5}, pen(2, 2), "folds [0 3 5] of 4 rows"},
		{[]int{0, 1, 1, 0}, nil, pen(1, 1), "behind 2 weights"},
		{[]int{0, 1, 1, 0}, nil, pen(2, 3), "6 coefficients, and 1 models have 2 each"},
	} {
		if _, err := model.NewMixture(loss, c.part, c.bounds, c.penalty); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v: %v, want %q", c.part, c.bounds, err, c.want)
		}
	}
}

// Rows of a group have one weight, alone or with their own, and derivatives are those of the conformance suite.
func TestCleaningGroups(t *testing.T) {
	const n, d = 23, 5
	dense, csr := table(n, d, 8)
	groups := make([]int, n)
	for i := range groups {
		groups[i] = i*i%4 - 1 // −1, 0, 3 … without 1
	}
	for _, c := range lossCases(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			for _, kind := range []model.Weights{model.SigmoidWeights, model.LinearWeights} {
				for _, perRow := range []bool{false, true} {
					o := must(model.NewCleaning(must(c.make(a, 0))(t), model.CleaningOptions{Weights: kind, Groups: groups,
						PerRow: perRow}))(t)
					t.Run(fmt.Sprintf("%s/%T/%v/%v", c.name, a, kind, perRow), func(t *testing.T) {
						bileveltest.Objective(t, o, bileveltest.ObjectiveOptions{})
						_, p := o.Dims()
						x, w := normal(p, rand.New(rand.NewPCG(3, 3))), make([]float64, n)
						o.Weights(w, x)
						for i, g := range groups {
							v := []float64{0}
							if g >= 0 {
								v[0] = x[g]
							}
							if perRow {
								v[0] += x[p-n+i]
							}
							if want := weightOf(kind, v)[0]; math.Abs(w[i]-want) > 1e-12 {
								t.Fatalf("row %d weighs %v, want %v", i, w[i], want)
							}
						}
					})
				}
			}
		}
	}
	loss := must(model.NewSquared(dense, make([]float64, n), 0))(t)
	for _, o := range []model.CleaningOptions{{Groups: groups[1:]}, {PerRow: true}, {Groups: groups,
		Weights: model.SoftmaxWeights}, {Groups: make([]int, 0, 1)}} {
		if _, err := model.NewCleaning(loss, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
