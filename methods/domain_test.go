package methods_test

import (
	"context"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/methods"
)

// projectBall projects onto {‖x‖ ≤ r}.
func projectBall(r float64) func([]float64) {
	return func(x []float64) {
		n := 0.
		for _, v := range x {
			n += v * v
		}
		if n = math.Sqrt(n); n > r {
			for j := range x {
				x[j] *= r / n
			}
		}
	}
}

// targets is g = ½‖z‖² − zᵀBx and f = ½‖z − ½‖², with copies of B = (1 2 0, 0 1 3) on the diagonal: h = ½‖Bx − ½‖².
func targets(copies int, project func([]float64)) (p *bilevel.Problem, h func(x []float64) float64) {
	d, q := 2*copies, 3*copies
	b := func(i, j int) float64 {
		if i/2 != j/3 {
			return 0
		}
		return [2][3]float64{{1, 2, 0}, {0, 1, 3}}[i%2][j%3]
	}
	image := func(x []float64, i int) (s float64) {
		for j := range x {
			s += b(i, j) * x[j]
		}
		return s
	}
	half := func(z func(i int) float64) (s float64) {
		for i := range d {
			s += .5 * (z(i) - .5) * (z(i) - .5)
		}
		return s
	}
	g := &bilevel.Func{InnerDim: d, OuterDim: q,
		Eval: func(z, x []float64, _ bilevel.Batch) (s float64) {
			for i, v := range z {
				s += .5*v*v - v*image(x, i)
			}
			return s
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			clear(dx)
			for i, v := range z {
				dz[i] = v - image(x, i)
				for j := range dx {
					dx[j] -= v * b(i, j)
				}
			}
		},
		HessVec: func(hv, _, _, v []float64, _ bilevel.Batch) { copy(hv, v) },
		CrossVec: func(cv, _, _, v []float64, _ bilevel.Batch) {
			clear(cv)
			for i := range v {
				for j := range cv {
					cv[j] -= v[i] * b(i, j)
				}
			}
		},
	}
	f := &bilevel.Func{InnerDim: d, OuterDim: q,
		Eval: func(z, _ []float64, _ bilevel.Batch) float64 { return half(func(i int) float64 { return z[i] }) },
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
			clear(dx)
			for i, v := range z {
				dz[i] = v - .5
			}
		},
	}
	return &bilevel.Problem{Inner: g, Outer: f, Project: project},
		func(x []float64) float64 { return half(func(i int) float64 { return image(x, i) }) }
}

// Every method that lowers h by gradients comes to the constrained minimum of h, whatever the domain is.
func TestDomains(t *testing.T) {
	third := 1. / 3
	for _, domain := range []struct {
		name    string
		copies  int
		project func([]float64)
		best    float64
		starts  [][]float64
	}{
		{"simplex", 1, bilevel.ProjectSimplex, .05, [][]float64{{third, third, third}, {.2, .3, .5}, {0, 0, 1}}},
		{"two simplices", 2, func(x []float64) { bilevel.ProjectSimplex(x[:3]); bilevel.ProjectSimplex(x[3:]) }, .1,
			[][]float64{{.2, .3, .5, 0, 0, 1}}},
		{"ball", 1, projectBall(.2), .0076, [][]float64{{0, 0, 0}, {0, 0, 1}}},
		// Whose interior has solutions, with h = 0.
		{"large ball", 1, projectBall(.3), 1e-5, [][]float64{{0, 0, 0}, {0, 0, 1}}},
	} {
		p, h := targets(domain.copies, domain.project)
		for _, start := range domain.starts {
			for _, m := range methods.All() {
				if m.Kind == methods.Search || m.Name == "bsg1" || m.Name == "bvfsm" { // which do not minimise h
					continue
				}
				s := bilevel.Settings{MaxSteps: 20_000, Seed: 1, Start: bilevel.Point{X: start}}
				res, err := bilevel.Minimize(context.Background(), p, m.Method, s)
				if err != nil {
					t.Errorf("%s, %s from %.2g: %v", domain.name, m.Name, start, err)
					continue
				}
				if v := h(res.Last.X); !(v <= 1.01*domain.best) {
					t.Errorf("%s, %s from %.2g: h = %.5g at %.4f, want %g", domain.name, m.Name, start, v, res.Last.X, domain.best)
				}
			}
		}
	}
}
