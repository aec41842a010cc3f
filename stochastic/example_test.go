package stochastic_test

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/stochastic"
)

// shrinkage has one number per sample: the mean a of the training samples, shrunk by a strength eˣ, should
// predict the mean b of the validation samples,
//
//	g = mean ½(z − a_i)² + ½eˣz²,   f = mean ½(z − b_j)²,
//
// so that z*(x) = a/(1+eˣ) and the best strength is eˣ = a/b − 1.
func shrinkage(train, val []float64) *bilevel.Problem {
	mean := func(v []float64, b bilevel.Batch) float64 {
		s := 0.0
		for _, e := range v[b.Lo:b.Hi] {
			s += e / float64(b.Len())
		}
		return s
	}
	return &bilevel.Problem{
		Inner: &bilevel.Func{InnerDim: 1, OuterDim: 1, Terms: len(train),
			Eval: func(z, x []float64, b bilevel.Batch) float64 {
				return z[0]*z[0]/2 - mean(train, b)*z[0] + math.Exp(x[0])*z[0]*z[0]/2
			},
			Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) {
				dz[0] = z[0] - mean(train, b) + math.Exp(x[0])*z[0]
				dx[0] = math.Exp(x[0]) * z[0] * z[0] / 2
			},
			HessVec:  func(hv, z, x, v []float64, b bilevel.Batch) { hv[0] = (1 + math.Exp(x[0])) * v[0] },
			CrossVec: func(cv, z, x, v []float64, b bilevel.Batch) { cv[0] = math.Exp(x[0]) * z[0] * v[0] },
		},
		Outer: &bilevel.Func{InnerDim: 1, OuterDim: 1, Terms: len(val),
			Eval: func(z, x []float64, b bilevel.Batch) float64 { return z[0]*z[0]/2 - mean(val, b)*z[0] },
			Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) {
				dz[0], dx[0] = z[0]-mean(val, b), 0
			},
		},
	}
}

func ExampleSABA() {
	p := shrinkage([]float64{2, 3, 4}, []float64{1, 3}) // a = 3, b = 2
	res, err := bilevel.Minimize(context.Background(), p, stochastic.SABA{Batch: 1},
		bilevel.Settings{MaxSteps: 20000, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("strength %.4f, z %.4f\n", math.Exp(res.Last.X[0]), res.Last.Z[0])
	// Output: strength 0.5000, z 2.0000
}

func ExampleSOBA() {
	p := shrinkage([]float64{2, 3, 4}, []float64{1, 3})
	m := stochastic.SOBA{Batch: 1, InnerStep: stochastic.Decaying(0.5, 0.6), OuterStep: stochastic.Decaying(0.2, 0.6)}
	res, err := bilevel.Minimize(context.Background(), p, m, bilevel.Settings{MaxSteps: 100000, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("strength %.1f, z %.1f\n", math.Exp(res.Last.X[0]), res.Last.Z[0])
	// Output: strength 0.5, z 2.0
}

func ExampleSTFBO() {
	p := shrinkage([]float64{2, 3, 4}, []float64{1, 3})
	res, err := bilevel.Minimize(context.Background(), p, stochastic.STFBO{}, bilevel.Settings{MaxSteps: 2000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("strength %.4f, z %.4f\n", math.Exp(res.Last.X[0]), res.Last.Z[0])
	// Output: strength 0.5000, z 2.0000
}
