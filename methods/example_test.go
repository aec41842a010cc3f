package methods_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/methods"
)

// A method by its name, as from a file. z*(x) = x, and h = ½(x − 1)².
func ExampleLookup() {
	level := func(sample func(z, x float64) (value, dz, dx float64)) *bilevel.Func {
		return &bilevel.Func{
			InnerDim: 1, OuterDim: 1,
			Eval: func(z, x []float64, _ bilevel.Batch) float64 {
				v, _, _ := sample(z[0], x[0])
				return v
			},
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
				_, dz[0], dx[0] = sample(z[0], x[0])
			},
			HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { hv[0] = v[0] },
			CrossVec: func(cv, _, _, v []float64, _ bilevel.Batch) { cv[0] = -v[0] },
		}
	}
	problem := &bilevel.Problem{
		Inner: level(func(z, x float64) (value, dz, dx float64) { return (z - x) * (z - x) / 2, z - x, x - z }),
		Outer: level(func(z, _ float64) (value, dz, dx float64) { return (z - 1) * (z - 1) / 2, z - 1, 0 }),
	}
	m, ok := methods.Lookup("hoag")
	if !ok {
		log.Fatal("there is no such method")
	}
	result, err := bilevel.Minimize(context.Background(), problem, m.Method, bilevel.Settings{GradTol: 1e-6})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.3f\n", m.Kind, result.Point.X[0])
	// Output: all rows and the inner solution at each step: 1.000
}
