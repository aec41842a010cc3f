package linsolve_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
)

// The settings that are zero have the values that are documented, and a tolerance that Solve is given comes before
// that of the solver.
func TestDefaults(t *testing.T) {
	const n = 60
	rng := rand.New(rand.NewPCG(4, 15))
	a := random(rng, n, .3)
	b := make([]float64, n)
	for i := range b {
		b[i] = rng.NormFloat64()
	}
	solve := func(s linsolve.Solver, tol float64) string {
		a.products = 0
		x := make([]float64, n)
		res, err := s.Solve(t.Context(), a, x, b, tol, nil)
		return fmt.Sprintln(x, res, err)
	}
	for _, c := range []struct{ zero, explicit linsolve.Solver }{
		{linsolve.CG{}, linsolve.CG{MaxIter: 10*n + 100}},
		{linsolve.NormalEquations{}, linsolve.NormalEquations{MaxIter: 10*n + 100}},
		{linsolve.GMRES{}, linsolve.GMRES{MaxIter: 10*n + 100, Restart: 50}},
		{linsolve.BiCGSTAB{}, linsolve.BiCGSTAB{MaxIter: 10*n + 100}},
		{linsolve.FixedPoint{}, linsolve.FixedPoint{MaxIter: 10000}},
		{linsolve.Neumann{}, linsolve.Neumann{}},
	} {
		want := solve(c.zero, 1e-10)
		if got := solve(c.zero, 0); got != want {
			t.Errorf("%T without a tolerance gives\n%s, with 1e-10\n%s", c.zero, got, want)
		}
		if got := solve(c.explicit, 0); got != want {
			t.Errorf("%+v gives\n%s, the zero value\n%s", c.explicit, got, want)
		}
		if solve(c.explicit, 1e-3) == want {
			t.Errorf("%T ignores the tolerance that Solve is given", c.zero)
		}
	}
}

// A factorisation is refined once where its residual misses the tolerance, and only there: n products for the matrix,
// one for the residual, and one for that of the refined solution, x + A⁻¹(b − Ax) with the same factors.
func TestRefinement(t *testing.T) {
	const n = 12
	a := &dense{n: n, a: make([]float64, n*n)} // Hilbert's matrix: a residual of about its rounding, an error far above
	b := make([]float64, n)
	for i := range n {
		b[i] = math.Cos(float64(i))
		for j := range n {
			a.a[i*n+j] = 1 / float64(i+j+1)
		}
		a.a[i*n+i] += 1e-6
	}
	for name, s := range map[string]linsolve.Solver{"Direct": linsolve.Direct{}, "LU": linsolve.LU{}} {
		var first, second []float64
		for _, c := range []struct {
			tol      float64
			products int
			x        *[]float64
		}{{1e-3, n + 1, &first}, {1e-30, n + 2, &second}} {
			*c.x = make([]float64, n)
			res, err := s.Solve(t.Context(), a, *c.x, b, c.tol, nil)
			if err != nil || res.Products != c.products {
				t.Errorf("%s to %g: %+v, %v, want %d products", name, c.tol, res, err, c.products)
			}
		}
		// The refinement is itself a solution of the system for the residual.
		r, step := make([]float64, n), make([]float64, n)
		a.MulVec(r, first)
		for i := range r {
			r[i] = b[i] - r[i]
		}
		if _, err := s.Solve(t.Context(), a, step, r, 1e-3, nil); err != nil {
			t.Fatal(err)
		}
		for i := range step {
			step[i] += first[i]
		}
		if d := distance(step, second); d > 1e-15*norm(second) || distance(first, second) == 0 {
			t.Errorf("%s: refinement moves x by %.3g, with an error of %.3g", name, distance(first, second), d)
		}
	}
}
