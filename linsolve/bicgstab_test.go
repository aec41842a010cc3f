package linsolve_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
)

// Two products for each of at most n iterations, but for rounding.
func TestBiCGSTABFiniteTermination(t *testing.T) {
	a := asymmetric(rand.New(rand.NewPCG(3, 4)), 8, 1.5)
	b := []float64{1, 2, 3, 4, 5, 6, 7, 8}
	x := make([]float64, 8)
	res, err := linsolve.BiCGSTAB{}.Solve(context.Background(), a, x, b, 1e-10, nil)
	if err != nil || !res.Converged || res.Products > 19 {
		t.Errorf("8 unknowns: %+v, %v", res, err)
	}
}

// Each of the three denominators vanishes on the way, and a restart goes on.
func TestBiCGSTABRestarts(t *testing.T) {
	for what, c := range map[string]struct{ a, b, want []float64 }{
		"r̂ᵀr":  {[]float64{-1, 0, 1, -1, 1, -1, 0, -1, 0}, []float64{1, 0, 0}, []float64{-.5, 0, .5}},
		"r̂ᵀAp": {[]float64{0, 0, -1, -1, 0, 0, 0, 1, -1}, []float64{-1, 1, 0}, []float64{-1, 1, 1}},
		"tᵀs": {[]float64{1, 1, -1, 0, 1, -1, 0, 0, 1, 1, 0, 1, 0, 0, -1, 0}, []float64{0, 1, 0, 0},
			[]float64{.5, -.5, 0, 0}},
	} {
		n := len(c.b)
		x := make([]float64, n)
		res, err := linsolve.BiCGSTAB{}.Solve(context.Background(), &dense{n: n, a: c.a}, x, c.b, 1e-12, nil)
		if err != nil || !res.Converged || distance(x, c.want) > 1e-10 {
			t.Errorf("%s: x = %v, want %v, %+v, %v", what, x, c.want, res, err)
		}
	}
}

// On a rotation r̂ᵀAr = 0 at once; on a singular matrix x goes to infinity, and is taken back.
func TestBiCGSTABBreakdown(t *testing.T) {
	skew := &dense{n: 2, a: []float64{0, 1, -1, 0}}
	_, err := linsolve.BiCGSTAB{}.Solve(context.Background(), skew, make([]float64, 2), []float64{1, 2}, 0, nil)
	if !errors.Is(err, linsolve.ErrBreakdown) {
		t.Errorf("rotation: %v", err)
	}
	singular := &dense{n: 3, a: []float64{0, 1, 1, 0, -1, -1, 0, 0, -1}}
	x := make([]float64, 3)
	res, err := linsolve.BiCGSTAB{}.Solve(context.Background(), singular, x, []float64{0, -1, 1}, 0, nil)
	if !errors.Is(err, linsolve.ErrBreakdown) || res.Residual > norm([]float64{0, -1, 1}) {
		t.Errorf("singular: %v, %+v, %v", x, res, err)
	}
}

// What does not converge ends at the smallest residual on the way.
func TestBiCGSTABSmallestResidual(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 8))
	const n = 30
	a := asymmetric(rng, n, 8)
	b := make([]float64, n)
	b[1] = 1
	last := 1.0
	rose := false
	for k := 1; k <= 12; k++ {
		x := make([]float64, n)
		res, err := linsolve.BiCGSTAB{MaxIter: k}.Solve(context.Background(), a, x, b, 1e-12, nil)
		if err != nil || res.Residual > last*(1+1e-6) {
			t.Errorf("%d iterations: residual %g, with fewer %g, %v", k, res.Residual, last, err)
		}
		last = res.Residual
		exactly, err := linsolve.BiCGSTAB{Steps: k}.Solve(context.Background(), a, make([]float64, n), b, 1e-12, nil)
		if err != nil {
			t.Fatal(err)
		}
		rose = rose || exactly.Residual > 1.1*res.Residual
	}
	if !rose {
		t.Error("the residual never rose: the test shows nothing")
	}
}
