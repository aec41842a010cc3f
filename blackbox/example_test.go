package blackbox_test

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/blackbox"
)

// The mean 3 of the training samples, shrunk by a strength eˣ, should predict the mean 2 of the validation samples:
//
//	g = ½(z − 3)² + ½eˣz²,   f = ½(z − 2)²,
//
// so that z*(x) = 3/(1 + eˣ) and the best strength is eˣ = 1/2. f needs no derivative at all.
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
			Eval: func(z, x []float64, _ bilevel.Batch) float64 { return (z[0] - 2) * (z[0] - 2) / 2 },
		},
		Lower: []float64{-5}, Upper: []float64{5},
	}
}

func ExampleTPE() {
	res, err := bilevel.Minimize(context.Background(), shrinkage(), blackbox.TPE{}, bilevel.Settings{MaxSteps: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("strength %.1f, z %.1f\n", math.Exp(res.Point.X[0]), res.Point.Z[0])
	// Output: strength 0.5, z 2.0
}

func ExampleGrid() {
	res, err := bilevel.Minimize(context.Background(), shrinkage(), blackbox.Grid{Points: 11}, bilevel.Settings{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v after %d of the strengths e⁻⁵, e⁻⁴, … e⁵: x = %.0f\n", res.Reason, res.Steps, res.Point.X[0])
	// Output: converged after 11 of the strengths e⁻⁵, e⁻⁴, … e⁵: x = -1
}
