package methods_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/methods"
)

// Whatever of f, g or their derivatives is not finite, every method ends with an error.
func TestNonFinite(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, what := range []string{"f", "∇z f", "∇x f", "g", "∇z g", "∇²zz g", "∇²xz g"} {
			or := func(name string, value float64) float64 {
				if name == what {
					return v
				}
				return value
			}
			g := &bilevel.Func{InnerDim: 1, OuterDim: 1,
				Eval: func(z, x []float64, _ bilevel.Batch) float64 { return or("g", (z[0]-x[0])*(z[0]-x[0])/2) },
				Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
					dz[0], dx[0] = or("∇z g", z[0]-x[0]), x[0]-z[0]
				},
				HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0] = or("∇²zz g", v[0]) },
				CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = or("∇²xz g", -v[0]) },
			}
			f := &bilevel.Func{InnerDim: 1, OuterDim: 1,
				Eval: func(z, x []float64, _ bilevel.Batch) float64 { return or("f", ((z[0]-.5)*(z[0]-.5)+x[0]*x[0])/2) },
				Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
					dz[0], dx[0] = or("∇z f", z[0]-.5), or("∇x f", x[0])
				},
			}
			p := &bilevel.Problem{Inner: g, Outer: f, Lower: []float64{-3}, Upper: []float64{3}}
			for _, m := range methods.All() {
				if m.Kind == methods.Search && what != "f" && what != "g" && what != "∇z g" {
					continue // it asks for no other derivative, or does without
				}
				res, err := bilevel.Minimize(context.Background(), p, m.Method,
					bilevel.Settings{MaxSteps: 20_000, Start: bilevel.Point{X: []float64{2.5}}})
				if second := what == "∇²zz g" || what == "∇²xz g"; second && err == nil && res.Counts.HessG+res.Counts.CrossG == 0 {
					continue // a method of first order
				}
				if err == nil {
					t.Errorf("%s = %v, %s: no error after %d steps: %v", what, v, m.Name, res.Steps, res.Reason)
					continue
				}
				var nf *bilevel.NonFiniteError
				if errors.As(err, &nf) && nf.Step > 1 {
					t.Errorf("%s = %v, %s: noticed after step %d", what, v, m.Name, nf.Step)
				}
			}
		}
	}
}
