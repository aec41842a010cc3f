package valuefn_test

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/valuefn"
)

// shrinkage has the mean 3 of the training samples, shrunk by a strength eˣ, predict the mean 2 of the validation
// samples:
//
//	g = ½(z − 3)² + ½eˣz²,   f = ½(z − 2)²,
//
// so that z*(x) = 3/(1 + eˣ) and the best strength is eˣ = 1/2. No second derivative is given.
func shrinkage() *bilevel.Problem {
	return &bilevel.Problem{
		Inner: &bilevel.Func{InnerDim: 1, OuterDim: 1,
			Eval: func(z, x []float64, _ bilevel.Batch) float64 {
				return (z[0]-3)*(z[0]-3)/2 + math.Exp(x[0])*z[0]*z[0]/2
			},
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
				dz[0], dx[0] = z[0]-3+math.Exp(x[0])*z[0], math.Exp(x[0])*z[0]*z[0]/2
			},
		},
		Outer: &bilevel.Func{InnerDim: 1, OuterDim: 1,
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (z[0] - 2) * (z[0] - 2) / 2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = z[0]-2, 0 },
		},
	}
}

func ExampleF2SA() {
	p := shrinkage()
	res, err := bilevel.Minimize(context.Background(), p, valuefn.F2SA{}, bilevel.Settings{MaxSteps: 2000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("strength %.2f, z %.2f\n", math.Exp(res.Last.X[0]), res.Last.Z[0])
	// Output: strength 0.50, z 2.00
}

func ExampleBOME() {
	p := shrinkage()
	res, err := bilevel.Minimize(context.Background(), p, valuefn.BOME{}, bilevel.Settings{MaxSteps: 2000})
	if err != nil {
		fmt.Println(err)
		return
	}
	k, err := valuefn.KKTAt(p, res.Last, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("strength %.2f, z %.2f, KKT loss below 1e-3: %t\n", math.Exp(res.Last.X[0]), res.Last.Z[0], k.Loss < 1e-3)
	// Output: strength 0.50, z 2.00, KKT loss below 1e-3: true
}

func ExampleMinimaxOPT() {
	m := valuefn.MinimaxOPT{Alpha: 2, Growth: 2, StageSteps: 200, Stages: 4, InnerStep: .1, OuterStep: .1}
	res, err := bilevel.Minimize(context.Background(), shrinkage(), m, bilevel.Settings{MaxSteps: 2000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("strength %.3f, z %.3f\n", math.Exp(res.Last.X[0]), res.Last.Z[0])
	// Output: strength 0.500, z 2.000
}
