package linsolve_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
)

func TestNormalEquationsNeedTranspose(t *testing.T) {
	a := linsolve.OperatorFunc(func(dst, v []float64) { copy(dst, v) })
	_, err := linsolve.NormalEquations{}.Solve(context.Background(), a, make([]float64, 2), []float64{1, 1}, 0, nil)
	if !errors.Is(err, linsolve.ErrNoTranspose) {
		t.Errorf("%v", err)
	}
}

// Rotations and indefinite matrices are no harder than others, and n steps are enough.
func TestNormalEquationsFiniteTermination(t *testing.T) {
	a := asymmetric(rand.New(rand.NewPCG(3, 4)), 8, 2)
	for i := range 3 {
		a.a[i*8+i] -= 3
	}
	b := []float64{1, 2, 3, 4, 5, 6, 7, 8}
	x := make([]float64, 8)
	res, err := linsolve.NormalEquations{}.Solve(context.Background(), a, x, b, 1e-10, nil)
	if err != nil || !res.Converged || res.Products > 19 {
		t.Errorf("8 unknowns: %+v, %v", res, err)
	}
	skew := &dense{n: 2, a: []float64{0, 1, -1, 0}}
	x = make([]float64, 2)
	res, err = linsolve.NormalEquations{}.Solve(context.Background(), skew, x, []float64{1, 2}, 1e-12, nil)
	if err != nil || distance(x, []float64{-2, 1}) > 1e-14 {
		t.Errorf("rotation: %v, %+v, %v", x, res, err)
	}
}
