package linsolve_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/mat"
)

// full is a dense matrix that can write itself down.
type full struct{ *dense }

func (m full) GeneralMatrix(_ context.Context, dst []float64) error { copy(dst, m.a); return nil }

var _ linsolve.GeneralMatrix = full{}

// scaled is a dense matrix that knows its scale.
type scaled struct {
	*dense
	eta float64
}

func (m scaled) Scale() float64 { return m.eta }

// Systems without symmetry: a product with the transpose in place of the matrix gives another solution.
func TestGeneralSystems(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 2))
	for _, n := range []int{1, 2, 9, 30, 120} {
		for name, s := range general {
			for _, kind := range []string{"plain", "full", "scaled"} {
				a := asymmetric(rng, n, .7)
				want, b := make([]float64, n), make([]float64, n)
				for i := range want {
					want[i] = rng.NormFloat64()
				}
				a.MulVec(b, want)
				var op linsolve.Operator = a
				switch kind {
				case "full":
					op = full{a}
				case "scaled":
					op = scaled{a, 1}
				}
				x := make([]float64, n)
				for range 2 { // from zero, and from the solution
					a.products = 0
					res, err := s.Solve(context.Background(), op, x, b, 1e-12, nil)
					if err != nil || !res.Converged {
						t.Fatalf("%s %s n=%d: %+v, %v", name, kind, n, res, err)
					}
					if e := distance(x, want) / norm(want); e > 1e-11 {
						t.Errorf("%s %s n=%d: relative error %g", name, kind, n, e)
					}
					if written := kind == "full" && name == "LU"; !written && res.Products != a.products {
						t.Errorf("%s %s n=%d: reports %d products, made %d", name, kind, n, res.Products, a.products)
					}
					r := make([]float64, n)
					a.MulVec(r, x)
					if d := math.Abs(distance(r, b) - res.Residual); d > 1e-14*norm(b) {
						t.Errorf("%s %s n=%d: residual is off by %g", name, kind, n, d)
					}
				}
			}
		}
	}
}

// A start at the solution is left alone after one product.
func TestWarmStart(t *testing.T) {
	a := asymmetric(rand.New(rand.NewPCG(5, 6)), 20, .5)
	want, b := make([]float64, 20), make([]float64, 20)
	for i := range want {
		want[i] = float64(i)
	}
	a.MulVec(b, want)
	for name, s := range general {
		if direct(name) || name == "Neumann" {
			continue // the start is not used
		}
		x := append([]float64(nil), want...)
		res, err := s.Solve(context.Background(), scaled{a, 1}, x, b, 1e-12, nil)
		if err != nil || !res.Converged || res.Products != 1 || distance(x, want) != 0 {
			t.Errorf("%s: %+v, %v, moved by %g", name, res, err, distance(x, want))
		}
	}
}

// Eight unknowns and a condition number of 1e4, where a published solver stalls at a residual of 6.7e-7.
func TestBadlyScaled(t *testing.T) {
	const n = 8
	rng := rand.New(rand.NewPCG(8, 8))
	w := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			w.Set(i, j, rng.NormFloat64())
		}
	}
	var qr mat.QR
	qr.Factorize(w)
	var q mat.Dense
	qr.QTo(&q)
	a := &dense{n: n, a: make([]float64, n*n)}
	for k := range n {
		l := math.Pow(10, 4*float64(k)/(n-1)-2)
		for i := range n {
			for j := range n {
				a.a[i*n+j] += q.At(i, k) * l * q.At(j, k)
			}
		}
	}
	b := []float64{1, -2, 3, -4, 5, -6, 7, -8}
	for name, s := range solvers {
		switch name {
		case "FixedPoint":
			s = linsolve.FixedPoint{MaxIter: 1e6}
		case "Neumann":
			s = linsolve.Neumann{Terms: 3e5}
		case "GMRES(7)":
			continue // converges, slowly, and so does a smaller restart
		}
		x := make([]float64, n)
		res, err := s.Solve(context.Background(), a, x, b, 1e-10, nil)
		if err != nil || !res.Converged || !(res.Residual <= 1e-10*norm(b)) {
			t.Errorf("%s: relative residual %.2g, %+v, %v", name, res.Residual/norm(b), res, err)
		}
	}
}

// K steps that were asked for are made, and that is success. Products of k steps from zero: start·0 + k·each + end.
func TestSteps(t *testing.T) {
	const n = 40
	a := asymmetric(rand.New(rand.NewPCG(7, 8)), n, .9)
	spd := random(rand.New(rand.NewPCG(7, 8)), n, .01)
	b := make([]float64, n)
	b[3] = 1
	for _, c := range []struct {
		name      string
		s         linsolve.Stepper
		a         *dense
		each, end int
	}{
		{"CG", linsolve.CG{}, spd, 1, 1},
		{"FixedPoint", linsolve.FixedPoint{Scale: 1}, a, 1, 0},
		{"Neumann", linsolve.Neumann{Scale: 1}, a, 1, 0},
		{"NormalEquations", linsolve.NormalEquations{}, a, 2, 1},
		{"GMRES", linsolve.GMRES{}, a, 1, 1},
		{"BiCGSTAB", linsolve.BiCGSTAB{}, a, 2, 1},
	} {
		last := math.Inf(1)
		for _, k := range []int{1, 2, 5, 9} {
			x := make([]float64, n)
			c.a.products = 0
			res, err := c.s.WithSteps(k).Solve(context.Background(), c.a, x, b, .9, nil)
			if err != nil || !res.Converged || res.Rounding || res.Products != c.a.products || c.a.products != k*c.each+c.end {
				t.Errorf("%s, %d steps: %+v, %v with %d products", c.name, k, res, err, c.a.products)
			}
			if c.name != "CG" && !(res.Residual < last) {
				t.Errorf("%s, %d steps: residual %g, with fewer steps %g", c.name, k, res.Residual, last)
			}
			last = res.Residual
		}
		// More steps than there is accuracy for.
		x := make([]float64, n)
		res, err := c.s.WithSteps(2000).Solve(context.Background(), c.a, x, b, 0, nil)
		if err != nil || !res.Converged || res.Residual > 1e-12 {
			t.Errorf("%s, 2000 steps: %+v, %v", c.name, res, err)
		}
	}
}

func TestDoesNotConverge(t *testing.T) {
	const n = 40
	a := asymmetric(rand.New(rand.NewPCG(9, 1)), n, .9)
	b := make([]float64, n)
	b[0] = 1
	for name, s := range map[string]linsolve.Solver{
		"FixedPoint": linsolve.FixedPoint{MaxIter: 3, Scale: 1}, "NormalEquations": linsolve.NormalEquations{MaxIter: 3},
		"GMRES": linsolve.GMRES{MaxIter: 3}, "GMRES(2)": linsolve.GMRES{MaxIter: 3, Restart: 2},
		"BiCGSTAB": linsolve.BiCGSTAB{MaxIter: 3},
	} {
		x := make([]float64, n)
		res, err := s.Solve(context.Background(), a, x, b, 1e-12, nil)
		if err != nil || res.Converged || res.Rounding || !(res.Residual > 1e-12 && res.Residual < 1) {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
	// A tolerance below rounding ends, and says so.
	for name, s := range general {
		x := make([]float64, n)
		res, err := s.Solve(context.Background(), a, x, b, 1e-30, nil)
		if err != nil || res.Converged || res.Rounding == direct(name) || res.Products > 500 || res.Residual > 1e-14 {
			t.Errorf("%s, tolerance below rounding: %+v, %v", name, res, err)
		}
	}
}

// Singular systems end with an error where b is out of reach.
func TestSingular(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	low := &dense{n: 6, a: make([]float64, 36)} // rank 4, not symmetric
	for range 4 {
		u, v := make([]float64, 6), make([]float64, 6)
		for i := range u {
			u[i], v[i] = rng.NormFloat64(), rng.NormFloat64()
		}
		for i := range u {
			for j := range v {
				low.a[i*6+j] += u[i] * v[j]
			}
		}
	}
	for name, s := range map[string]linsolve.Solver{
		"NormalEquations": linsolve.NormalEquations{}, "GMRES": linsolve.GMRES{}, "LU": linsolve.LU{},
	} {
		for what, a := range map[string]*dense{"zero": diagonal(0, 0, 0, 0, 0, 0), "diagonal": diagonal(1, 2, 0, 3, 4, 5),
			"rank 4": low} {
			x := make([]float64, 6)
			_, err := s.Solve(context.Background(), a, x, []float64{1, 2, 3, 4, 5, 6}, 0, nil)
			var singular *linsolve.SingularError
			if !errors.As(err, &singular) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		// Units of the unknowns do not make a matrix singular.
		x := make([]float64, 2)
		_, err := s.Solve(context.Background(), diagonal(1, 1e-3), x, []float64{1, 1}, 0, nil)
		if err != nil || math.Abs(x[1]-1000) > 1e-6 {
			t.Errorf("%s, diag(1, 1e-3): %v, %v", name, x, err)
		}
	}
	x := make([]float64, 2)
	_, err := linsolve.LU{}.Solve(context.Background(), diagonal(1, 1e-20), x, []float64{1, 1}, 0, nil)
	if err != nil || x[1] != 1e20 {
		t.Errorf("LU, diag(1, 1e-20): %v, %v", x, err)
	}
}
