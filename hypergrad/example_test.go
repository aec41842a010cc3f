package hypergrad_test

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
)

// shrinkage is the smallest bilevel problem: z*(x) = 3/(1 + eˣ) shrinks 3, and 2 is wanted, so that x* = −log 2.
func shrinkage() *bilevel.Problem {
	return &bilevel.Problem{
		Outer: &bilevel.Func{ // f = ½(z − 2)²
			InnerDim: 1, OuterDim: 1,
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (z[0] - 2) * (z[0] - 2) / 2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = z[0]-2, 0 },
		},
		Inner: &bilevel.Func{ // g = ½(z − 3)² + ½eˣz²
			InnerDim: 1, OuterDim: 1,
			Eval: func(z, x []float64, _ bilevel.Batch) float64 {
				return (z[0]-3)*(z[0]-3)/2 + exp(x[0])*z[0]*z[0]/2
			},
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
				dz[0], dx[0] = z[0]-3+exp(x[0])*z[0], exp(x[0])*z[0]*z[0]/2
			},
			HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0] = (1 + exp(x[0])) * v[0] },
			CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = exp(x[0]) * z[0] * v[0] },
		},
	}
}

var exp = math.Exp

func ExampleHOAG() {
	res, err := bilevel.Minimize(context.Background(), shrinkage(), hypergrad.HOAG{}, bilevel.Settings{
		MaxSteps: 100,
		GradTol:  1e-9,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("x = %.4f, z = %.4f, %v\n", res.Point.X[0], res.Point.Z[0], res.Reason)
	// Output: x = -0.6931, z = 2.0000, gradient target reached
}

func ExampleEvaluator() {
	e, err := hypergrad.NewEvaluator(shrinkage(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	grad := make([]float64, 1)
	h, err := e.Evaluate(grad, []float64{0}) // z* = 3/2, v* = 1/4
	fmt.Printf("h = %.4f, ∇h = %.4f, v* = %.4f, %v\n", h, grad[0], e.Point().V[0], err)
	// Output: h = 0.1250, ∇h = 0.3750, v* = 0.2500, <nil>
}
