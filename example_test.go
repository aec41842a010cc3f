package bilevel_test

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
)

// Closures suffice for a small problem. Here the inner level is z*(x) = (x, 2x), and h(x) = ½(x−1)² + ½(2x−1)²
// is smallest at x = 0.6.
func ExampleMinimize() {
	g := &bilevel.Func{ // g = ½(z₁ − x)² + ½(z₂ − 2x)²
		InnerDim: 2, OuterDim: 1,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			a, b := z[0]-x[0], z[1]-2*x[0]
			return (a*a + b*b) / 2
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0], dz[1] = z[0]-x[0], z[1]-2*x[0]
			dx[0] = -dz[0] - 2*dz[1]
		},
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { copy(hv, v) },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = -v[0] - 2*v[1] },
	}
	f := &bilevel.Func{ // f = ½(z₁ − 1)² + ½(z₂ − 1)²
		InnerDim: 2, OuterDim: 1,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			return ((z[0]-1)*(z[0]-1) + (z[1]-1)*(z[1]-1)) / 2
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0], dz[1], dx[0] = z[0]-1, z[1]-1, 0
		},
	}
	res, err := bilevel.Minimize(context.Background(), &bilevel.Problem{Outer: f, Inner: g}, hypergrad.HOAG{},
		bilevel.Settings{MaxSteps: 100, GradTol: 1e-6})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("x = %.4f, h = %.4f\n", res.Point.X[0], res.Value)
	// Output: x = 0.6000, h = 0.1000
}
