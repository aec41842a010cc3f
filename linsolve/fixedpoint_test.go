package linsolve_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
)

// The steps are u ← Mᵀu + b for A = I − Mᵀ.
func TestFixedPointIterates(t *testing.T) {
	const n, k = 7, 5
	a := asymmetric(rand.New(rand.NewPCG(4, 4)), n, .8)
	x, b := make([]float64, n), make([]float64, n)
	for i := range b {
		x[i], b[i] = float64(i), 1/float64(1+i)
	}
	want, au := append([]float64(nil), x...), make([]float64, n)
	for range k {
		a.MulVec(au, want)
		for i := range want {
			want[i] += b[i] - au[i]
		}
	}
	res, err := linsolve.FixedPoint{Steps: k}.Solve(context.Background(), scaled{a, 1}, x, b, 0, nil)
	if err != nil || !res.Converged || distance(x, want) > 1e-14*norm(want) {
		t.Errorf("x = %v, want %v: %+v, %v", x, want, res, err)
	}
}

// The residual goes down at the rate 1 − ημ for a symmetric matrix, and at the automatic scale nearly at 1 − μ/L.
func TestFixedPointRate(t *testing.T) {
	a := diagonal(.1, .2, .5, .7, 1)
	b := []float64{1, 1, 1, 1, 1}
	for _, c := range []struct {
		scale, low, high float64
	}{{1, .9, .9}, {.5, .95, .95}, {0, .89, .9}} {
		var last, rate float64
		for _, k := range []int{100, 101} {
			x := make([]float64, 5)
			res, err := linsolve.FixedPoint{Scale: c.scale, Steps: k}.Solve(context.Background(), a, x, b, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			last, rate = res.Residual, res.Residual/last
		}
		if rate < c.low-1e-4 || rate > c.high+1e-4 {
			t.Errorf("scale %g: rate %g", c.scale, rate)
		}
	}
}

func TestFixedPointDiverges(t *testing.T) {
	for what, c := range map[string]struct {
		s linsolve.FixedPoint
		a *dense
	}{
		"scale too large": {linsolve.FixedPoint{Scale: .7}, diagonal(1, 2, 3)},
		"indefinite":      {linsolve.FixedPoint{}, diagonal(1, -2, 3)},
		"steps":           {linsolve.FixedPoint{Scale: .7, Steps: 1000}, diagonal(1, 2, 3)},
	} {
		x := []float64{1, 1, 1}
		res, err := c.s.Solve(context.Background(), c.a, x, []float64{1, 1, 1}, 0, nil)
		var e *linsolve.DivergedError
		if !errors.As(err, &e) || res.Converged || !(e.Residual > 1e8*e.First) {
			t.Fatalf("%s: %+v, %v", what, res, err)
		}
		r := make([]float64, 3)
		c.a.MulVec(r, x)
		if d := distance(r, []float64{1, 1, 1}); math.Abs(d-res.Residual) > 1e-14 || d > e.First {
			t.Errorf("%s: x = %v has residual %g, reported %g", what, x, d, res.Residual)
		}
	}
	var singular *linsolve.SingularError
	zero, ones := make([]float64, 2), []float64{1, 1}
	_, err := linsolve.FixedPoint{}.Solve(context.Background(), diagonal(0, 0), zero, ones, 0, nil)
	if !errors.As(err, &singular) {
		t.Errorf("zero matrix: %v", err)
	}
}

// With damping a contraction stays one at the scale of its operator: 1/(1 + δ).
func TestFixedPointDampedScaler(t *testing.T) {
	a := scaled{diagonal(.2, 1, 1.8), 1} // I − M with ‖M‖ = .8
	x := make([]float64, 3)
	res, err := linsolve.FixedPoint{Damping: 3}.Solve(context.Background(), a, x, []float64{3.2, 4, 4.8}, 1e-12, nil)
	if err != nil || !res.Converged || distance(x, []float64{1, 1, 1}) > 1e-11 || res.Products > 20 {
		t.Errorf("%v: %+v, %v", x, res, err)
	}
}
