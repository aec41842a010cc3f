package bileveltest

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
)

func allCases() []Case {
	cases := Cases()
	for _, k := range []RidgeKind{LinearScalar, LinearDiagonal, ExpScalar, ExpDiagonal} {
		cases = append(cases, Ridge(k, 30, 25, 4, 11))
	}
	return append(cases, Quadratic(4, 4, 40, 40, 5))
}

// The answers satisfy the equations that define them, in terms of the objectives only.
func TestSolutions(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Problem.Check(); err != nil {
				t.Fatal(err)
			}
			f, g := c.Problem.Outer, c.Problem.Inner.(bilevel.SecondOrder)
			d, p := f.Dims()
			if len(c.X) != p {
				t.Fatalf("|x*| = %d, p = %d", len(c.X), p)
			}
			x := append([]float64(nil), c.X...)
			for j := range x {
				x[j] += 0.1 + 0.05*float64(j)
			}
			c.Problem.ProjectX(x)
			for _, x := range [][]float64{x, c.X} {
				s := c.Solve(x)
				dz, hv, cv := make([]float64, d), make([]float64, d), make([]float64, p)
				fz, fx := make([]float64, d), make([]float64, p)
				g.Products(dz, hv, cv, s.Z, x, s.V, bilevel.All(g))
				f.Grad(fz, fx, s.Z, x, bilevel.All(f))
				scale := 1 + floats.Norm(fz, 2)
				if r := floats.Norm(dz, 2); r > 1e-12*scale {
					t.Errorf("∇z g(z*, x) = %v", dz)
				}
				floats.Add(hv, fz)
				if r := floats.Norm(hv, 2); r > 1e-12*scale {
					t.Errorf("∇²zz g v* + ∇z f = %v", hv)
				}
				floats.Add(cv, fx)
				if !floats.EqualApprox(cv, s.Grad, 1e-12*scale) {
					t.Errorf("∇h = %v, ∇x f + ∇²xz g v* = %v", s.Grad, cv)
				}
				if v := f.Value(s.Z, x, bilevel.All(f)); math.Abs(v-s.Value) > 1e-13*(1+math.Abs(v)) {
					t.Errorf("h = %v, f(z*, x) = %v", s.Value, v)
				}
				// ∇h against differences of h.
				for j := range x {
					const e = 1e-4
					up, down := append([]float64(nil), x...), append([]float64(nil), x...)
					up[j] += e
					down[j] -= e
					want := (c.Solve(up).Value - c.Solve(down).Value) / (2 * e)
					if math.Abs(want-s.Grad[j]) > 1e-6*(1+math.Abs(want)) {
						t.Errorf("∇h[%d] = %v, differences %v", j, s.Grad[j], want)
					}
				}
			}
			proj := make([]float64, p)
			c.Problem.ProjectedGrad(proj, c.X, c.Solve(c.X).Grad)
			if n := floats.Norm(proj, 2); n > 1e-10 {
				t.Errorf("projected ∇h(x*) has norm %v", n)
			}
			if v, err := c.Evaluate(context.Background(), nil, c.X); err != nil || v != c.Value {
				t.Errorf("Evaluate(x*) = %v, %v; Value = %v", v, err, c.Value)
			}
			grad := make([]float64, p)
			if v, _ := c.Evaluate(context.Background(), grad, x); !floats.Equal(grad, c.Solve(x).Grad) || v < c.Value {
				t.Errorf("Evaluate beside x* = %v, %v; h* = %v", v, grad, c.Value)
			}
		})
	}
}

// The box of the table is active at both ends and free in between, and a minimiser found from elsewhere is the
// same one.
func TestBox(t *testing.T) {
	c := Cases()[2]
	upper, lower, free := 0, 0, 0
	for j, x := range c.X {
		switch x {
		case c.Problem.Upper[j]:
			upper++
		case c.Problem.Lower[j]:
			lower++
		default:
			free++
		}
	}
	if upper == 0 || lower == 0 || free == 0 {
		t.Errorf("%d coordinates at the upper end, %d at the lower, %d between", upper, lower, free)
	}
	for _, c := range allCases() {
		for _, from := range []float64{-0.5, 0.7, 2} {
			d := c
			_, p := c.Problem.Dims()
			d.Start.X = fill(p, from)
			d.minimize()
			if !floats.EqualApprox(d.X, c.X, 1e-7*(1+floats.Norm(c.X, 2))) {
				t.Errorf("%s: minimiser %v from %v, but %v", c.Name, d.X, from, c.X)
			}
		}
	}
}

func TestScalarByHand(t *testing.T) {
	c := Scalar()
	s := c.Solve([]float64{0})
	if s.Z[0] != 0.5 || s.V[0] != 0.625 || s.Grad[0] != -1 || s.Value != 3.375 {
		t.Errorf("Solve(0) = %+v", s)
	}
}

func TestQuadraticRefusesTooFewTerms(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Quadratic(6, 3, 2, 2, 1)
}

func TestCasesPassObjective(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.Name, func(t *testing.T) {
			opts := ObjectiveOptions{Lower: c.Problem.Lower, Upper: c.Problem.Upper, NoAllocations: true}
			if opts.Upper != nil && opts.Upper[0] == 5 {
				opts.Lower, opts.Upper = nil, nil
			}
			for i, o := range []bilevel.Objective{c.Problem.Inner, c.Problem.Outer} {
				t.Run([]string{"inner", "outer"}[i], func(t *testing.T) { Objective(t, o, opts) })
			}
			FixedPoint(t, c.FixedPoint(c.Name, 0.1).Problem.Fixed, opts)
		})
	}
}

// An equilibrium's answer satisfies the equations that define it, and its map is not symmetric.
func TestEquilibrium(t *testing.T) {
	for _, c := range []Case{Equilibrium(5, 3, 1), Equilibrium(3, 6, 2)} {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Problem.Check(); err != nil {
				t.Fatal(err)
			}
			f, phi := c.Problem.Outer, c.Problem.Fixed
			d, p := f.Dims()
			one := bilevel.Batch{Lo: 0, Hi: 1}
			x := make([]float64, p)
			for j := range x {
				x[j] = c.X[j] + 0.1 + 0.05*float64(j)
			}
			for _, x := range [][]float64{x, c.X} {
				s := c.Solve(x)
				next, fz, uz := make([]float64, d), make([]float64, d), make([]float64, d)
				phi.Map(next, s.Z, x, one)
				if !floats.EqualApprox(next, s.Z, 1e-12) {
					t.Errorf("Φ(z*) = %v, z* = %v", next, s.Z)
				}
				f.Grad(fz, nil, s.Z, x, bilevel.All(f))
				phi.Pull(uz, nil, s.Z, x, s.V, one)
				floats.SubTo(uz, s.V, uz) // u − ∂zΦᵀu = ∇z f
				if !floats.EqualApprox(uz, fz, 1e-12) {
					t.Errorf("(I − ∂zΦᵀ)u = %v, ∇z f = %v", uz, fz)
				}
				for j := range x {
					const e = 1e-4
					up, down := append([]float64(nil), x...), append([]float64(nil), x...)
					up[j] += e
					down[j] -= e
					want := (c.Solve(up).Value - c.Solve(down).Value) / (2 * e)
					if math.Abs(want-s.Grad[j]) > 1e-6*(1+math.Abs(want)) {
						t.Errorf("∇h[%d] = %v, differences %v", j, s.Grad[j], want)
					}
				}
			}
			if n := floats.Norm(c.Solve(c.X).Grad, 2); n > 1e-10 {
				t.Errorf("∇h(x*) has norm %v", n)
			}
			m := phi.(*affine).m
			var skew mat.Dense
			skew.Sub(m, m.T())
			if n := mat.Norm(&skew, math.Inf(1)); n < 0.3 {
				t.Errorf("M is nearly symmetric: ‖M − Mᵀ‖ = %v", n)
			}
			FixedPoint(t, phi, ObjectiveOptions{})
			Objective(t, f, ObjectiveOptions{})
		})
	}
}
