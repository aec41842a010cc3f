package hypergrad_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// BenchmarkOuterStep is one outer step, an inner solve from z = 0, a hypergradient and a step on x, in the two
// settings of docs/baselines/hypertorch.py.
func BenchmarkOuterStep(b *testing.B) {
	for _, s := range []struct {
		name     string
		problem  func(b *testing.B) *bilevel.Problem
		x        float64 // where x starts
		dynamics inner.Dynamics
		solver   inner.Solver
		steps    int
		eta      float64 // of the fixed-point method
	}{
		{"dense", denseOuterStep, 1, inner.GradientDescent{Step: .1}, inner.GradientDescent{Step: .1, Steps: 100}, 100, .1},
		{"sparse", sparseOuterStep, 0, inner.HeavyBall{Step: 100, Momentum: .9},
			inner.HeavyBall{Step: 100, Momentum: .9, Steps: 10}, 10, 100},
	} {
		var p *bilevel.Problem
		for _, e := range []struct {
			name string
			hypergrad.Estimator
		}{
			{"reverse", hypergrad.ITD{Dynamics: s.dynamics, Steps: s.steps, Truncate: 10}},
			{"fixedpoint", hypergrad.AID{Inner: s.solver, Linear: linsolve.FixedPoint{Steps: 10, Scale: s.eta}}},
			{"cg", hypergrad.AID{Inner: s.solver, Linear: linsolve.CG{Steps: 10}}},
		} {
			for _, procs := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/%s/procs=%d", s.name, e.name, procs), func(b *testing.B) {
					if p == nil {
						p = s.problem(b)
					}
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
					h, err := e.Start(p, nil)
					if err != nil {
						b.Fatal(err)
					}
					d, q := p.Dims()
					at := bilevel.Point{X: make([]float64, q), Z: make([]float64, d), V: make([]float64, d)}
					for j := range at.X {
						at.X[j] = s.x
					}
					grad := make([]float64, q)
					step := func() {
						clear(at.Z)
						clear(at.V)
						if _, err := h.At(context.Background(), grad, at, hypergrad.Effort{Inner: 1e-12, LinearTol: 1e-12}); err != nil {
							b.Fatal(err)
						}
						for j, g := range grad {
							at.X[j] -= 1e-3 * g
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
	}
}

// denseOuterStep is logistic regression on 5,000 training and 5,000 validation rows × 100 features with one
// strength x_j per feature.
func denseOuterStep(b *testing.B) *bilevel.Problem {
	const n, d = 5000, 100
	rng := rand.New(rand.NewPCG(1, 1))
	truth := make([]float64, d)
	for j := range truth {
		truth[j] = rng.NormFloat64()
	}
	loss := func() *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			t := rng.NormFloat64()
			for j := range d {
				a.Row(i)[j] = rng.NormFloat64()
				t += a.Row(i)[j] * truth[j]
			}
			y[i] = math.Copysign(1, t)
		}
		o, err := model.NewLogistic(a, y, d)
		if err != nil {
			b.Fatal(err)
		}
		return o
	}
	return regularizedOuterStep(b, loss(), loss(), model.PenaltyOptions{Linear: true})
}

// sparseOuterStep has the shape of 20 newsgroups: softmax regression on 5,657 training and 5,657 validation rows of
// 150 non-zeros, 130,107 features, 20 classes, with the penalty ½·mean(e^{x_j} W²).
func sparseOuterStep(b *testing.B) *bilevel.Problem {
	const n, d, k, nnz = 5657, 130107, 20, 150
	rng := rand.New(rand.NewPCG(1, 1))
	loss := func() *model.Loss {
		a := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}
		label := make([]int, n)
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
		o, err := model.NewSoftmax(a, label, k, d)
		if err != nil {
			b.Fatal(err)
		}
		return o
	}
	return regularizedOuterStep(b, loss(), loss(), model.PenaltyOptions{Scale: 1. / (d * k)})
}

func regularizedOuterStep(b *testing.B, train, val *model.Loss, o model.PenaltyOptions) *bilevel.Problem {
	pen, err := model.NewPenalty(train.Layout(), model.PerFeature, o)
	if err != nil {
		b.Fatal(err)
	}
	g, err := model.Regularize(train, pen)
	if err != nil {
		b.Fatal(err)
	}
	return &bilevel.Problem{Inner: g, Outer: val}
}
