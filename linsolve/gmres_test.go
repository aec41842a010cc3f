package linsolve_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/mat"
)

// After k steps the residual is the smallest that the Krylov space of k products has.
func TestGMRESMinimises(t *testing.T) {
	const n = 9
	a := asymmetric(rand.New(rand.NewPCG(3, 5)), n, 2)
	b := []float64{1, 2, -3, 4, 5, -6, 7, 8, 9}
	v := append([]float64(nil), b...)
	images := mat.NewDense(n, n, nil) // columns A^i b, i = 1, …, k
	for k := 1; k < n; k++ {
		next := make([]float64, n)
		a.MulVec(next, v)
		v = next
		images.SetCol(k-1, v)
		var y, r mat.VecDense
		space := images.Slice(0, n, 0, k)
		if err := y.SolveVec(space, mat.NewVecDense(n, b)); err != nil {
			t.Fatal(err)
		}
		r.MulVec(space, &y)
		r.SubVec(mat.NewVecDense(n, b), &r)
		x := make([]float64, n)
		res, err := linsolve.GMRES{Steps: k}.Solve(context.Background(), a, x, b, 0, nil)
		if want := mat.Norm(&r, 2); err != nil || math.Abs(res.Residual-want) > 1e-9*want+1e-12 {
			t.Errorf("%d steps: residual %g, the smallest is %g, %v", k, res.Residual, want, err)
		}
	}
}

func TestGMRESFiniteTermination(t *testing.T) {
	a := asymmetric(rand.New(rand.NewPCG(3, 4)), 30, 4) // not a contraction, and not definite
	b := make([]float64, 30)
	b[2] = 1
	x := make([]float64, 30)
	res, err := linsolve.GMRES{}.Solve(context.Background(), a, x, b, 1e-12, nil)
	if err != nil || !res.Converged || res.Products > 32 {
		t.Errorf("30 unknowns: %+v, %v", res, err)
	}
}

// A restart of one stands still on a rotation, and that is the end; the whole space solves it.
func TestGMRESStandstill(t *testing.T) {
	skew := &dense{n: 2, a: []float64{0, 1, -1, 0}}
	x := make([]float64, 2)
	res, err := linsolve.GMRES{Restart: 1}.Solve(context.Background(), skew, x, []float64{1, 2}, 1e-12, nil)
	if err != nil || res.Converged || res.Rounding || res.Products > 5 {
		t.Errorf("restart 1: %+v, %v", res, err)
	}
	res, err = linsolve.GMRES{}.Solve(context.Background(), skew, x, []float64{1, 2}, 1e-12, nil)
	if err != nil || !res.Converged || distance(x, []float64{-2, 1}) > 1e-14 {
		t.Errorf("%v: %+v, %v", x, res, err)
	}
}

// A singular system with b in reach is solved.
func TestGMRESConsistent(t *testing.T) {
	x := make([]float64, 3)
	res, err := linsolve.GMRES{}.Solve(context.Background(), diagonal(1, 0, 3), x, []float64{1, 0, 6}, 1e-12, nil)
	if err != nil || !res.Converged || distance(x, []float64{1, 0, 2}) > 1e-14 {
		t.Errorf("%v: %+v, %v", x, res, err)
	}
}
