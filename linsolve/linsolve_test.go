package linsolve_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
)

// dense is a matrix as an operator that counts its products.
type dense struct {
	n        int
	a        []float64
	products int
}

func (m *dense) MulVec(dst, v []float64) {
	m.products++
	for i := range dst {
		dst[i] = 0
		for j, vj := range v {
			dst[i] += m.a[i*m.n+j] * vj
		}
	}
}

func (m *dense) MulTransVec(dst, v []float64) {
	m.products++
	clear(dst)
	for i, vi := range v {
		for j := range dst {
			dst[j] += m.a[i*m.n+j] * vi
		}
	}
}

func diagonal(d ...float64) *dense {
	m := &dense{n: len(d), a: make([]float64, len(d)*len(d))}
	for i, v := range d {
		m.a[i*m.n+i] = v
	}
	return m
}

// random returns QᵀQ/n + shift·I, symmetric.
func random(rng *rand.Rand, n int, shift float64) *dense {
	q := make([]float64, n*n)
	for i := range q {
		q[i] = rng.NormFloat64()
	}
	m := &dense{n: n, a: make([]float64, n*n)}
	for i := range n {
		for j := range n {
			s := 0.0
			for k := range n {
				s += q[k*n+i] * q[k*n+j]
			}
			m.a[i*n+j] = s / float64(n)
		}
		m.a[i*n+i] += shift
	}
	return m
}

// asymmetric returns I − M with M = q·W/‖W‖_F, W normal: ‖M‖₂ ≤ q.
func asymmetric(rng *rand.Rand, n int, q float64) *dense {
	m := &dense{n: n, a: make([]float64, n*n)}
	for i := range m.a {
		m.a[i] = rng.NormFloat64()
	}
	scale := -q / norm(m.a)
	for i := range m.a {
		m.a[i] *= scale
	}
	for i := range n {
		m.a[i*n+i]++
	}
	return m
}

// jacobi is a dense matrix with its diagonal as preconditioner.
type jacobi struct{ *dense }

func (m jacobi) Precondition(dst, r []float64) {
	for i := range dst {
		dst[i] = r[i] / m.a[i*m.n+i]
	}
}

// written is a dense matrix that can write itself down.
type written struct{ *dense }

func (m written) Matrix(_ context.Context, dst []float64) error { copy(dst, m.a); return nil }

var _ linsolve.Matrix = written{}

func distance(x, y []float64) float64 {
	s := 0.0
	for i := range x {
		s += (x[i] - y[i]) * (x[i] - y[i])
	}
	return math.Sqrt(s)
}

func norm(x []float64) float64 { return distance(x, make([]float64, len(x))) }

// solvers solve positive definite systems, definite ones these alone and general ones all.
var (
	definite = map[string]linsolve.Solver{"CG": linsolve.CG{}, "Direct": linsolve.Direct{}}
	general  = map[string]linsolve.Solver{
		"FixedPoint": linsolve.FixedPoint{}, "Neumann": linsolve.Neumann{}, "NormalEquations": linsolve.NormalEquations{},
		"GMRES": linsolve.GMRES{}, "GMRES(7)": linsolve.GMRES{Restart: 7}, "BiCGSTAB": linsolve.BiCGSTAB{},
		"LU": linsolve.LU{},
	}
	solvers = func() map[string]linsolve.Solver {
		all := maps.Clone(definite)
		maps.Copy(all, general)
		return all
	}()
)

// direct says whether a solver forms the matrix.
func direct(name string) bool { return name == "Direct" || name == "LU" }

// What published solvers get wrong: the iterate before the last one, an absolute first check, no iteration
// for scalars.
func TestSmallSystems(t *testing.T) {
	for _, c := range []struct {
		name    string
		a       *dense
		b, want []float64
	}{
		{"identity", diagonal(1, 1, 1), []float64{1, -2, 3}, []float64{1, -2, 3}},
		{"2I", diagonal(2, 2), []float64{1, 1}, []float64{.5, .5}},
		{"scalar", diagonal(4), []float64{2}, []float64{.5}},
		{"tiny right-hand side", diagonal(1e-3, 2e-3), []float64{3e-9, 4e-9}, []float64{3e-6, 2e-6}},
		{"very tiny right-hand side", diagonal(1, 2), []float64{1e-120, 2e-120}, []float64{1e-120, 1e-120}},
		{"zero right-hand side", diagonal(1, 2), []float64{0, 0}, []float64{0, 0}},
		{"no unknowns", diagonal(), nil, nil},
	} {
		for name, s := range solvers {
			x := make([]float64, len(c.b))
			res, err := s.Solve(context.Background(), c.a, x, c.b, 1e-12, nil)
			if err != nil || !res.Converged {
				t.Errorf("%s, %s: %+v, %v", name, c.name, res, err)
			}
			if distance(x, c.want) > 1e-11*norm(c.want) {
				t.Errorf("%s, %s: x = %v, want %v", name, c.name, x, c.want)
			}
		}
	}
}

func TestRandomSystems(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 8, 30, 150} {
		for name, s := range solvers {
			for _, kind := range []string{"plain", "jacobi", "written"} {
				a := random(rng, n, .1)
				want, b := make([]float64, n), make([]float64, n)
				for i := range want {
					want[i] = rng.NormFloat64()
				}
				a.MulVec(b, want)
				a.products = 0
				var op linsolve.Operator = a
				switch kind {
				case "jacobi":
					op = jacobi{a}
				case "written":
					op = written{a}
				}
				x := make([]float64, n)
				for i := range x {
					x[i] = rng.NormFloat64()
				}
				tol := 1e-12
				if !direct(name) && name != "CG" {
					tol = 1e-13 // they end just below the tolerance
				}
				res, err := s.Solve(context.Background(), op, x, b, tol, nil)
				if err != nil || !res.Converged {
					t.Fatalf("%s %s n=%d: %+v, %v", name, kind, n, res, err)
				}
				if e := distance(x, want) / norm(want); e > 1e-11 {
					t.Errorf("%s %s n=%d: relative error %g", name, kind, n, e)
				}
				if written := kind == "written" && direct(name); !written && res.Products != a.products {
					t.Errorf("%s %s n=%d: reports %d products, made %d", name, kind, n, res.Products, a.products)
				}
				if direct(name) && res.Products != n+1 {
					t.Errorf("%s %s n=%d: %d products, no refinement should be needed", name, kind, n, res.Products)
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

func TestCGFiniteTermination(t *testing.T) {
	a := random(rand.New(rand.NewPCG(3, 4)), 8, .5)
	b := []float64{1, 2, 3, 4, 5, 6, 7, 8}
	x := make([]float64, 8)
	res, err := linsolve.CG{}.Solve(context.Background(), a, x, b, 1e-12, nil)
	if err != nil || !res.Converged || res.Residual > 1e-12*norm(b) || res.Products > 12 {
		t.Errorf("8 unknowns: %+v, %v", res, err)
	}
}

func TestCGWarmStart(t *testing.T) {
	a := random(rand.New(rand.NewPCG(5, 6)), 20, .5)
	want, b := make([]float64, 20), make([]float64, 20)
	for i := range want {
		want[i] = float64(i)
	}
	a.MulVec(b, want)
	x := append([]float64(nil), want...)
	res, err := linsolve.CG{}.Solve(context.Background(), a, x, b, 1e-12, nil)
	if err != nil || !res.Converged || res.Products != 1 || distance(x, want) != 0 {
		t.Errorf("from the solution: %+v, %v, moved by %g", res, err, distance(x, want))
	}
}

func TestCGSteps(t *testing.T) {
	a := random(rand.New(rand.NewPCG(7, 8)), 40, .01)
	b := make([]float64, 40)
	b[3] = 1
	last := math.Inf(1)
	for _, k := range []int{1, 2, 5, 10} {
		x := make([]float64, 40)
		a.products = 0
		res, err := linsolve.CG{Steps: k}.Solve(context.Background(), a, x, b, 0, nil)
		if err != nil || !res.Converged || a.products != k+1 {
			t.Errorf("%d steps: %+v, %v with %d products", k, res, err, a.products)
		}
		// CG minimises ½xᵀAx − bᵀx over a growing space.
		ax := make([]float64, 40)
		a.MulVec(ax, x)
		q := 0.0
		for i := range x {
			q += x[i] * (ax[i]/2 - b[i])
		}
		if !(q < last) {
			t.Errorf("%d steps: quadratic %g, with fewer steps %g", k, q, last)
		}
		last = q
	}
}

func TestCGDoesNotConverge(t *testing.T) {
	a := random(rand.New(rand.NewPCG(9, 1)), 40, .01)
	b := make([]float64, 40)
	b[0] = 1
	x := make([]float64, 40)
	res, err := linsolve.CG{MaxIter: 3}.Solve(context.Background(), a, x, b, 1e-12, nil)
	if err != nil || res.Converged || !(res.Residual > 1e-12) {
		t.Errorf("%+v, %v", res, err)
	}
	// A tolerance below rounding ends, and says so.
	res, err = linsolve.CG{}.Solve(context.Background(), a, x, b, 1e-30, nil)
	if err != nil || res.Converged || res.Products > 400 || res.Residual > 1e-13 {
		t.Errorf("tolerance below rounding: %+v, %v", res, err)
	}
}

func TestNotPositiveDefinite(t *testing.T) {
	for name, s := range definite {
		for _, a := range []*dense{diagonal(1, -2, 3), diagonal(-1, -1, -1), diagonal(0, 0, 0)} {
			var e *linsolve.NotPositiveDefiniteError
			_, err := s.Solve(context.Background(), a, make([]float64, 3), []float64{1, 1, 1}, 0, nil)
			if !errors.As(err, &e) {
				t.Errorf("%s, %v: %v", name, a.a, err)
			}
		}
	}
}

func TestNonFinite(t *testing.T) {
	for name, s := range solvers {
		for _, c := range []struct {
			what string
			a    *dense
			x, b []float64
		}{
			{"product", diagonal(1, math.NaN()), []float64{0, 0}, []float64{1, 1}},
			{"infinite product", diagonal(1, math.Inf(1)), []float64{0, 0}, []float64{1, 1}},
			{"right-hand side", diagonal(1, 1), []float64{0, 0}, []float64{1, math.Inf(1)}},
			{"start", diagonal(1, 1), []float64{0, math.NaN()}, []float64{1, 1}},
		} {
			if c.what == "start" && (direct(name) || name == "Neumann") {
				continue // not used
			}
			if _, err := s.Solve(context.Background(), c.a, c.x, c.b, 0, nil); !errors.Is(err, linsolve.ErrNonFinite) {
				t.Errorf("%s, %s: %v", name, c.what, err)
			}
		}
	}
}

func TestDamping(t *testing.T) {
	const damping = .5
	a := diagonal(0, 1.5, 3.5)
	for name, s := range map[string]linsolve.Solver{
		"CG": linsolve.CG{Damping: damping}, "Direct": linsolve.Direct{Damping: damping}, "LU": linsolve.LU{Damping: damping},
		"FixedPoint": linsolve.FixedPoint{Damping: damping}, "Neumann": linsolve.Neumann{Damping: damping},
		"NormalEquations": linsolve.NormalEquations{Damping: damping}, "GMRES": linsolve.GMRES{Damping: damping},
		"BiCGSTAB": linsolve.BiCGSTAB{Damping: damping},
	} {
		for _, first := range []float64{0, 1} {
			x := []float64{first, 0, 0}
			res, err := s.Solve(context.Background(), a, x, []float64{1, 2, 4}, 1e-12, nil)
			if err != nil || !res.Converged || distance(x, []float64{2, 1, 1}) > 1e-11 {
				t.Errorf("%s: %v, %+v, %v", name, x, res, err)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	a := random(rand.New(rand.NewPCG(2, 2)), 30, .1)
	b, x := make([]float64, 30), make([]float64, 30)
	b[0] = 1
	for name, s := range solvers {
		var w linsolve.Workspace
		solve := func() {
			clear(x)
			if _, err := s.Solve(context.Background(), a, x, b, 1e-12, &w); err != nil {
				t.Fatal(err)
			}
		}
		solve()
		if n := testing.AllocsPerRun(10, solve); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestCholesky(t *testing.T) {
	a := random(rand.New(rand.NewPCG(2, 3)), 200, .1)
	lower := append([]float64(nil), a.a...)
	for i := range 200 {
		for j := i + 1; j < 200; j++ {
			lower[i*200+j] = math.NaN() // never read
		}
	}
	var c linsolve.Cholesky
	if err := c.Factorize(200, lower); err != nil {
		t.Fatal(err)
	}
	want, b := make([]float64, 200), make([]float64, 200)
	for i := range want {
		want[i] = math.Sin(float64(i))
	}
	a.MulVec(b, want)
	c.Solve(b, b)
	if e := distance(b, want); e > 1e-10 {
		t.Errorf("error %g", e)
	}
	if p := c.Pivot(); !(p > 0 && p < 1) {
		t.Errorf("pivot %g", p)
	}
	if err := c.Factorize(2, []float64{1e10, 0, 0, 1e-10}); err != nil || math.Abs(c.Pivot()-1) > 1e-15 {
		t.Errorf("diagonal: %v, pivot %g", err, c.Pivot())
	}
	if err := c.Factorize(2, []float64{1, 0, 1, 1 + 1e-15}); err != nil || c.Pivot() > 1e-14 {
		t.Errorf("nearly singular: %v, pivot %g", err, c.Pivot())
	}
	if err := c.Factorize(1, []float64{-1}); err == nil || c.Order() != 0 || c.Pivot() != 0 {
		t.Errorf("factor of −1: %v, order %d", err, c.Order())
	}
}

func ExampleCG() {
	// A = [4 1; 1 3]
	a := linsolve.OperatorFunc(func(dst, v []float64) {
		dst[0] = 4*v[0] + v[1]
		dst[1] = v[0] + 3*v[1]
	})
	x := []float64{0, 0}
	res, err := linsolve.CG{}.Solve(context.Background(), a, x, []float64{1, 2}, 1e-12, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("x = %.4f, %d products, converged: %v\n", x, res.Products, res.Converged)
	// Output: x = [0.0909 0.6364], 3 products, converged: true
}

func BenchmarkCG(b *testing.B) {
	for _, n := range []int{22, 500} {
		b.Run(fmt.Sprint("n=", n), func(b *testing.B) {
			a := random(rand.New(rand.NewPCG(2, 2)), n, .1)
			rhs, x := make([]float64, n), make([]float64, n)
			rhs[0] = 1
			var w linsolve.Workspace
			b.ReportAllocs()
			for b.Loop() {
				clear(x)
				if _, err := (linsolve.CG{}).Solve(context.Background(), a, x, rhs, 1e-8, &w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A direction whose curvature is negative by rounding only ends the iteration without an error; one that is
// really negative is an error.
func TestCGRoundingCurvature(t *testing.T) {
	solve := func(second float64) (linsolve.Result, error) {
		op := linsolve.OperatorFunc(func(dst, v []float64) { dst[0], dst[1] = v[0], second*v[1] })
		return linsolve.CG{}.Solve(context.Background(), op, make([]float64, 2), []float64{1, 1e-9}, 1e-12, nil)
	}
	if res, err := solve(-1e-17); err != nil || res.Converged || !res.Rounding || res.Residual > 2e-9 {
		t.Errorf("curvature −1e-17 beside 1: %+v, %v", res, err)
	}
	var indefinite *linsolve.NotPositiveDefiniteError
	if _, err := solve(-1e-3); !errors.As(err, &indefinite) {
		t.Errorf("curvature −1e-3: %v", err)
	}
}
