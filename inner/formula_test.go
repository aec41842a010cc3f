package inner_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
)

// curved is the mean over 60 rows of φ(a_iᵀz − b_i), plus ½·10⁻³‖z‖², with φ(s) = ½s² + s⁴/12 or, flat, √(1 + s²), on
// which full steps are too long far out. The coordinates have scales from 1 to 1/20. It counts products.
func curved(d int, flat bool, products *int) *bilevel.Func {
	rng := rand.New(rand.NewPCG(2, 12))
	const n = 60
	a, b := make([][]float64, n), make([]float64, n)
	for i := range a {
		a[i], b[i] = make([]float64, d), 2*rng.NormFloat64()
		for k := range a[i] {
			a[i][k] = rng.NormFloat64() / (1 + 19*float64(k)/float64(d))
		}
	}
	phi := func(s float64) (value, first, second float64) {
		if root := math.Hypot(1, s); flat {
			return root, s / root, 1 / (root * root * root)
		}
		return s*s/2 + s*s*s*s/12, s + s*s*s/3, 1 + s*s
	}
	return &bilevel.Func{
		InnerDim: d, OuterDim: 1,
		Eval: func(z, _ []float64, _ bilevel.Batch) float64 {
			sum := 0.0
			for i := range a {
				v, _, _ := phi(floats.Dot(a[i], z) - b[i])
				sum += v / n
			}
			return sum + 5e-4*floats.Dot(z, z)
		},
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
			clear(dx)
			floats.ScaleTo(dz, 1e-3, z)
			for i := range a {
				_, v, _ := phi(floats.Dot(a[i], z) - b[i])
				floats.AddScaled(dz, v/n, a[i])
			}
		},
		HessVec: func(hv, z, _, v []float64, _ bilevel.Batch) {
			*products++
			floats.ScaleTo(hv, 1e-3, v)
			for i := range a {
				_, _, h := phi(floats.Dot(a[i], z) - b[i])
				floats.AddScaled(hv, h*floats.Dot(a[i], v)/n, a[i])
			}
		},
		CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { clear(cv) },
	}
}

// Newton's steps by conjugate gradients against plain code: the system is solved to η_k = 0.9(‖g_k‖/‖g_{k−1}‖)², but
// not below 0.9η_{k−1}² where that is above 0.1 (Eisenstat, Walker 1996, choice 2 with its safeguard), at most a
// half, and to no more than half of what the tolerance leaves to do. Then the step is shortened to the minimum of the
// parabola through g, its slope and the trial, by a factor between 2 and 10, until g falls by 10⁻⁴ of what the slope
// promises. Both make the same number of products, to the last.
func TestForcingTermsAreTheFormula(t *testing.T) {
	const d = 40
	made := 0
	x, grad := []float64{0}, make([]float64, d)
	var safeguarded, capped, last, shortened int // steps where each of the bounds decides
	for _, c := range []struct {
		flat      bool
		size, tol float64
	}{
		{false, 1, 1e-7}, {false, 1, 1e-2}, {false, 1, .6}, {false, 100, 1e-4},
		{true, .1, .02}, {true, 1, .02}, {true, 2, .02}, {true, 3, .02}, {true, 5, .02}, {true, 10, .02},
	} {
		g := curved(d, c.flat, &made)
		all := bilevel.All(g)
		z := make([]float64, d)
		for k := range z {
			z[k] = c.size * math.Cos(float64(k))
		}
		start := append([]float64(nil), z...)
		eta, before, want := .5, 0.0, 0
		for k := 1; ; k++ {
			g.Grad(grad, nil, z, x, all)
			norm := floats.Norm(grad, 2)
			if norm <= c.tol {
				break
			}
			if k > 1 {
				next := .9 * math.Pow(norm/before, 2)
				if s := .9 * eta * eta; s > .1 && s > next {
					next = s
					safeguarded++
				}
				if eta = next; next > .5 {
					eta = .5
					capped++
				}
			}
			before = norm
			tol := eta
			if left := math.Min(.5, .5*c.tol/norm); left > eta {
				tol = left
				last++
			}
			made = 0
			b, p := make([]float64, d), make([]float64, d)
			floats.ScaleTo(b, -1, grad)
			hessian := linsolve.OperatorFunc(func(dst, v []float64) { g.Products(nil, dst, nil, z, x, v, all) })
			if _, err := (linsolve.CG{}).Solve(t.Context(), hessian, p, b, tol, nil); err != nil {
				t.Fatal(err)
			}
			value, slope, alpha := g.Value(z, x, all), floats.Dot(grad, p), 1.0
			next := make([]float64, d)
			for {
				floats.AddScaledTo(next, z, alpha, p)
				change := g.Value(next, x, all) - value
				if change <= 1e-4*alpha*slope {
					break
				}
				alpha = math.Max(alpha/10, math.Min(alpha/2, -slope*alpha*alpha/(2*(change-slope*alpha))))
				shortened++
			}
			z = next
			want += made
			made = 0
			m, err := inner.Newton{DenseDim: -1, MaxIter: k}.Start(g, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := append([]float64(nil), start...)
			_, err = m.Minimize(t.Context(), got, x, c.tol)
			var unsolved *inner.NotConvergedError
			if err != nil && !errors.As(err, &unsolved) {
				t.Fatal(err)
			}
			// A parabola has the rounding of values, which are much larger than their change.
			if e := floats.Distance(got, z, 2); !(e < 1e-6*floats.Norm(z, 2)) || made != want {
				t.Errorf("%+v, %d steps, η = %.3g: z is off by %.3g, with %d products for %d", c, k, eta, e, made, want)
			}
		}
	}
	if safeguarded == 0 || capped == 0 || last == 0 || shortened == 0 {
		t.Errorf("the safeguard decides in %d steps, a half in %d, the tolerance in %d, %d are shortened: all should",
			safeguarded, capped, last, shortened)
	}
}

// L-BFGS against the dense BFGS matrix of the pairs that are kept,
//
//	H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ,  ρ = 1/sᵀy,  from H₀ = sᵀy/yᵀy of the newest pair,
//
// with steps from 1, at first 1/‖∇g‖, to where g falls by 10⁻⁴ of what the slope promises and the slope by a tenth:
// longer by a factor of 4, or to the middle of what is left between two bounds, or shorter as Newton's.
func TestLBFGSStepsAreTheFormula(t *testing.T) {
	const d = 12
	made := 0
	var longer, shorter int
	for _, c := range []struct {
		flat   bool
		memory int
		size   float64
	}{{false, 1, 1}, {false, 4, 3}, {true, 10, 3}, {true, 2, 30}} {
		g := curved(d, c.flat, &made)
		all := bilevel.All(g)
		x, z := []float64{0}, make([]float64, d)
		for k := range z {
			z[k] = c.size * math.Cos(float64(k))
		}
		start := append([]float64(nil), z...)
		gradient := func(z []float64) []float64 {
			dz := make([]float64, d)
			g.Grad(dz, nil, z, x, all)
			return dz
		}
		var ss, ys []*mat.VecDense // oldest first
		for k := 1; k <= 15; k++ {
			grad, value := gradient(z), g.Value(z, x, all)
			h, alpha := mat.NewDense(d, d, nil), 1/floats.Norm(grad, 2)
			for j := range d {
				h.Set(j, j, 1)
				if n := len(ss) - 1; n >= 0 {
					h.Set(j, j, mat.Dot(ss[n], ys[n])/mat.Dot(ys[n], ys[n]))
					alpha = 1
				}
			}
			for i := range ss {
				rho := 1 / mat.Dot(ss[i], ys[i])
				var left, sum mat.Dense
				left.Outer(-rho, ss[i], ys[i])
				for j := range d {
					left.Set(j, j, 1+left.At(j, j))
				}
				sum.Product(&left, h, left.T())
				h.Outer(rho, ss[i], ss[i])
				h.Add(h, &sum)
			}
			var dir mat.VecDense
			dir.MulVec(h, mat.NewVecDense(d, grad))
			p := dir.RawVector().Data
			floats.Scale(-1, p)
			slope, lo, hi := floats.Dot(p, grad), 0.0, math.Inf(1)
			next := make([]float64, d)
			for {
				floats.AddScaledTo(next, z, alpha, p)
				change := g.Value(next, x, all) - value
				fell := change <= 1e-4*alpha*slope
				if fell && floats.Dot(p, gradient(next)) >= .9*slope {
					break
				}
				if fell {
					lo = alpha
					longer++
				} else {
					hi = alpha
					shorter++
				}
				switch {
				case math.IsInf(hi, 1):
					alpha *= 4
				case lo > 0:
					alpha = (lo + hi) / 2
				default:
					alpha = math.Max(alpha/10, math.Min(alpha/2, -slope*alpha*alpha/(2*(change-slope*alpha))))
				}
			}
			s, y := make([]float64, d), make([]float64, d)
			floats.SubTo(s, next, z)
			floats.SubTo(y, gradient(next), grad)
			ss, ys = append(ss, mat.NewVecDense(d, s)), append(ys, mat.NewVecDense(d, y))
			if len(ss) > c.memory {
				ss, ys = ss[1:], ys[1:]
			}
			z = append([]float64(nil), next...)
			m, err := inner.LBFGS{Memory: c.memory, MaxIter: k}.Start(g, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := append([]float64(nil), start...)
			_, err = m.Minimize(t.Context(), got, x, 1e-12)
			var unsolved *inner.NotConvergedError
			if !errors.As(err, &unsolved) {
				t.Fatalf("after %d steps: %v", k, err)
			}
			if e := floats.Distance(got, z, 2); !(e < 1e-7*floats.Norm(z, 2)) {
				t.Fatalf("%+v: after %d steps z is off by %.3g", c, k, e)
			}
		}
	}
	if longer == 0 || shorter == 0 {
		t.Errorf("steps are made longer %d times and shorter %d times: the test shows little", longer, shorter)
	}
}

// What Minimize computes depends on its arguments alone: the same bits, iterations and samples whether the minimizer is
// new or has solved another problem. So do the factor and the preconditioner, also where no iteration needed them.
func TestNothingIsKeptFromEarlierCalls(t *testing.T) {
	const d = 12
	g := logistic(t, 80, d, 1)
	list := variants()
	whole := func(g *model.Regularized) bilevel.Objective { return g }
	for name, s := range allSolvers() {
		list = append(list, variant{name: name, solver: s, hide: whole})
	}
	for _, v := range list {
		x, other := make([]float64, d), make([]float64, d)
		for j := range x {
			x[j], other[j] = -3+2*math.Sin(float64(j)), -1+3*math.Cos(float64(j))
		}
		type outcome struct {
			z      []float64
			res    inner.Result
			counts bilevel.Counts
			made   []float64 // by the factor and the preconditioner at the solution, without an iteration
		}
		solve := func(before bool) (o outcome) {
			var counts bilevel.Counts
			m, err := v.solver.Start(v.hide(g), &counts)
			if err != nil {
				t.Fatal(err)
			}
			if before {
				// With a gradient that is large at the end.
				if _, err := m.Minimize(t.Context(), fill(d, -5), other, 1); err != nil {
					t.Fatal(err)
				}
			}
			counts = bilevel.Counts{}
			o.z = fill(d, .01)
			if o.res, err = m.Minimize(t.Context(), o.z, x, 1e-9); err != nil {
				t.Fatal(err)
			}
			o.res.Grad = nil
			o.counts = counts
			if before {
				if _, err := m.Minimize(t.Context(), fill(d, -5), other, 1e-9); err != nil {
					t.Fatal(err)
				}
			}
			at := append([]float64(nil), o.z...)
			if _, err := m.Minimize(t.Context(), at, x, 1e-9); err != nil {
				t.Fatal(err)
			}
			r := fill(d, 1)
			if f, ok := m.(inner.Factorer); ok {
				factor, err := f.Factor(t.Context(), at, x)
				if err != nil {
					t.Fatal(err)
				}
				dst := make([]float64, d)
				factor.Solve(dst, r)
				o.made = append(o.made, dst...)
			}
			if p, ok := m.(inner.Preconditioner); ok {
				if pre := p.Preconditioner(t.Context(), at, x, 1000); pre != nil {
					dst := make([]float64, d)
					pre.Precondition(dst, r)
					o.made = append(o.made, dst...)
				}
			}
			return o
		}
		if a, b := solve(false), solve(true); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: a new minimizer gives\n%+v\nand one that has solved another problem\n%+v", v.name, a, b)
		}
	}
}

// The settings that are zero have the values that are documented.
func TestDefaults(t *testing.T) {
	const d = 12
	g := logistic(t, 80, d, 1)
	x := fill(d, -3)
	for _, c := range []struct{ zero, explicit inner.Solver }{
		{inner.HeavyBall{Step: .1, Steps: 20}, inner.HeavyBall{Step: .1, Steps: 20, Momentum: .9}},
		{inner.Nesterov{Step: .1, Steps: 20}, inner.Nesterov{Step: .1, Steps: 20, Momentum: .9}},
		{inner.Adam{Steps: 20}, inner.Adam{Steps: 20, Step: .001, Beta1: .9, Beta2: .999, Epsilon: 1e-8}},
		{inner.LBFGS{}, inner.LBFGS{Memory: 10, MaxIter: 10000}},
		{inner.Newton{}, inner.Newton{DenseDim: 512, MaxIter: 200}},
	} {
		var z [2][]float64
		for i, s := range []inner.Solver{c.zero, c.explicit} {
			m, err := s.Start(g, nil)
			if err != nil {
				t.Fatal(err)
			}
			z[i] = fill(d, 1)
			if _, err := m.Minimize(t.Context(), z[i], x, 1e-10); err != nil {
				t.Fatal(err)
			}
		}
		if !floats.Equal(z[0], z[1]) {
			t.Errorf("%T: z = %v with %+v and %v with %+v", c.zero, z[0], c.zero, z[1], c.explicit)
		}
	}
}
