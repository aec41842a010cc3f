package bileveltest

import "github.com/bilevel-go/bilevel"

// Scalar is least squares in one dimension at both levels, made of closures:
//
//	g = mean of ½(2z − x − 1 + ε_i)²,   f = mean of ½(z − 3 + ε_i)² + ⅛(x + 1)²,   ε = ½, −½, ½, −½,
//
// so that z* = (x+1)/2, v* = (3 − z*)/4, ∇h = (x − 2)/2, and the minimiser is x = 2 with z* = 1.5 and
// h = 2.375.
func Scalar() Case {
	shift := func(b bilevel.Batch) (mean, square float64) {
		for i := b.Lo; i < b.Hi; i++ {
			mean += 0.5 - float64(i%2)
		}
		return mean / float64(max(b.Len(), 1)), 0.25
	}
	g := &bilevel.Func{
		InnerDim: 1, OuterDim: 1, Terms: 4,
		Eval: func(z, x []float64, b bilevel.Batch) float64 {
			mean, square := shift(b)
			r := 2*z[0] - x[0] - 1
			return r*r/2 + r*mean + square/2
		},
		Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) {
			mean, _ := shift(b)
			r := 2*z[0] - x[0] - 1 + mean
			dz[0], dx[0] = 2*r, -r
		},
		HessVec:  func(hv, z, x, v []float64, b bilevel.Batch) { hv[0] = 4 * v[0] },
		CrossVec: func(cv, z, x, v []float64, b bilevel.Batch) { cv[0] = -2 * v[0] },
	}
	f := &bilevel.Func{
		InnerDim: 1, OuterDim: 1, Terms: 4,
		Eval: func(z, x []float64, b bilevel.Batch) float64 {
			mean, square := shift(b)
			r := z[0] - 3
			return r*r/2 + r*mean + square/2 + (x[0]+1)*(x[0]+1)/8
		},
		Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) {
			mean, _ := shift(b)
			dz[0], dx[0] = z[0]-3+mean, (x[0]+1)/4
		},
		// Not needed of an outer objective, but true.
		HessVec:  func(hv, z, x, v []float64, b bilevel.Batch) { hv[0] = v[0] },
		CrossVec: func(cv, z, x, v []float64, b bilevel.Batch) { cv[0] = 0 },
	}
	return Case{
		Name:    "scalar",
		Problem: &bilevel.Problem{Outer: f, Inner: g},
		X:       []float64{2},
		Value:   2.375,
		Solve: func(x []float64) Solution {
			z := (x[0] + 1) / 2
			return Solution{
				Z:     []float64{z},
				V:     []float64{(3 - z) / 4},
				Value: (z-3)*(z-3)/2 + (x[0]+1)*(x[0]+1)/8 + 0.125,
				Grad:  []float64{(x[0] - 2) / 2},
			}
		},
	}
}
