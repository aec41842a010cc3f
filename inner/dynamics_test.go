package inner_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// grouped is a logistic problem with d = 5 coefficients, p = 2 strengths and extra outer variables that it ignores.
// hide keeps what the inner objective offers down to second-order products.
func grouped(t testing.TB, extra int, hide bool) *bilevel.Problem {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 5))
	level := func(n int) *model.Loss {
		a, y := rows.NewDense(n, 5), make([]float64, n)
		for i := range n {
			y[i] = 1 - 2*float64(rng.IntN(2))
			for j := range 5 {
				a.Row(i)[j] = rng.NormFloat64() + 0.2*y[i]*float64(j)
			}
		}
		loss, err := model.NewLogistic(a, y, 2)
		if err != nil {
			t.Fatal(err)
		}
		return loss
	}
	loss := level(40)
	pen, err := model.NewPenalty(loss.Layout(), model.PerGroup,
		model.PenaltyOptions{Groups: []string{"a", "b", "a", "b", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Regularize(loss, pen)
	if err != nil {
		t.Fatal(err)
	}
	p := &bilevel.Problem{Outer: level(30), Inner: g}
	if hide {
		p.Inner = secondOrder{g}
	}
	if extra > 0 {
		p = hypergrad.Extend(p, extra)
	}
	return p
}

// network is a fixed-point problem that is not affine: units equilibrium units on three rows.
func network(t testing.TB) *bilevel.Problem {
	t.Helper()
	a := rows.NewDense(3, 2)
	rng := rand.New(rand.NewPCG(8, 1))
	for i := range 3 {
		for j := range 2 {
			a.Row(i)[j] = rng.NormFloat64()
		}
	}
	q, err := model.NewEquilibrium(a, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	f, err := q.Readout([]int{0, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	return &bilevel.Problem{Outer: f, Fixed: q}
}

type namedProcess struct {
	name    string
	dyn     inner.Dynamics
	problem *bilevel.Problem
}

func processes(t testing.TB) []namedProcess {
	steps := inner.Learned{Step: []int{2, 3}}
	both := inner.Learned{Step: []int{4}, Momentum: []int{2, 3}}
	list := []namedProcess{
		{"iteration, affine", inner.Iteration{}, bileveltest.Equilibrium(4, 3, 1).Problem},
		{"iteration, network", inner.Iteration{}, network(t)},
	}
	for _, hide := range []bool{false, true} {
		p, more := grouped(t, 0, hide), grouped(t, 3, hide)
		for name, dyn := range map[string]inner.Dynamics{
			"gradient descent": inner.GradientDescent{Step: 0.7},
			"heavy ball":       inner.HeavyBall{Step: 0.7, Momentum: 0.6},
			"Nesterov":         inner.Nesterov{Step: 0.7, Momentum: 0.6},
			"Adam":             inner.Adam{Step: 0.2, Beta2: 0.9},
		} {
			list = append(list, namedProcess{fmt.Sprintf("%s, hidden %t", name, hide), dyn, p})
		}
		for name, dyn := range map[string]inner.Dynamics{
			"gradient descent": inner.GradientDescent{Learned: steps},
			"heavy ball":       inner.HeavyBall{Learned: both},
			"Nesterov":         inner.Nesterov{Learned: both},
			"Adam":             inner.Adam{Beta2: 0.9, Learned: steps},
		} {
			list = append(list, namedProcess{fmt.Sprintf("%s, learned, hidden %t", name, hide), dyn, more})
		}
	}
	slices.SortFunc(list, func(a, b namedProcess) int { return strings.Compare(a.name, b.name) })
	return list
}

// Pull and Push are the derivative of Step, at any state, in every step, with or without nil arguments.
func TestProcessDerivatives(t *testing.T) {
	for _, c := range processes(t) {
		t.Run(c.name, func(t *testing.T) {
			m, err := c.dyn.Begin(c.problem, nil)
			if err != nil {
				t.Fatal(err)
			}
			d, p := c.problem.Dims()
			n := m.StateLen()
			rng := rand.New(rand.NewPCG(11, 12))
			normal := func(n int) []float64 {
				s := make([]float64, n)
				for i := range s {
					s[i] = rng.NormFloat64()
				}
				return s
			}
			s, x := normal(n), normal(p)
			if n == 3*d { // Adam's second moments
				for i := 2 * d; i < n; i++ {
					s[i] = 0.1 + math.Abs(s[i])
				}
			}
			u, vs, vx := normal(n), normal(n), normal(p)
			if err := m.Init(make([]float64, n), s[:d], x); err != nil {
				t.Fatal(err)
			}
			for _, k := range []int{1, 2, 6} {
				at := func(e float64) float64 {
					dst, s, x := make([]float64, n), slices.Clone(s), slices.Clone(x)
					floats.AddScaled(s, e, vs)
					floats.AddScaled(x, e, vx)
					m.Step(dst, s, x, k)
					return floats.Dot(dst, u)
				}
				const h = 1e-3
				want := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
				us, ux, dst := make([]float64, n), make([]float64, p), make([]float64, n)
				floats.AddConst(math.NaN(), us)
				floats.AddConst(math.NaN(), ux)
				floats.AddConst(math.NaN(), dst)
				m.Pull(us, ux, s, x, u, k)
				scale := 1 + math.Abs(want)
				if got := floats.Dot(us, vs) + floats.Dot(ux, vx); !(math.Abs(got-want) <= 1e-8*scale) {
					t.Errorf("step %d: Pull gives %.12g, finite differences %.12g", k, got, want)
				}
				if err := m.Push(dst, s, x, vs, vx, k); err != nil {
					t.Fatal(err)
				}
				if got := floats.Dot(dst, u); !(math.Abs(got-want) <= 1e-8*scale) {
					t.Errorf("step %d: Push gives %.12g, finite differences %.12g", k, got, want)
				}
				one := make([]float64, n)
				m.Pull(one, nil, s, x, u, k)
				if !floats.EqualApprox(one, us, 1e-13) {
					t.Errorf("step %d: Pull without ux gives %v, with it %v", k, one, us)
				}
				one = make([]float64, p)
				m.Pull(nil, one, s, x, u, k)
				if !floats.EqualApprox(one, ux, 1e-13) {
					t.Errorf("step %d: Pull without us gives %v, with it %v", k, one, ux)
				}
				for name, got := range map[string]float64{
					"Push without vs": push(t, m, s, x, nil, vx, u, k) - floats.Dot(ux, vx),
					"Push without vx": push(t, m, s, x, vs, nil, u, k) - floats.Dot(us, vs),
					"Push of nothing": push(t, m, s, x, nil, nil, u, k),
				} {
					if !(math.Abs(got) <= 1e-12*scale) {
						t.Errorf("step %d: %s is off by %g", k, name, got)
					}
				}
			}
		})
	}
}

func push(t *testing.T, m inner.Process, s, x, vs, vx, u []float64, k int) float64 {
	t.Helper()
	dst := make([]float64, len(s))
	floats.AddConst(math.NaN(), dst)
	if err := m.Push(dst, s, x, vs, vx, k); err != nil {
		t.Fatal(err)
	}
	return floats.Dot(dst, u)
}

// Step in place, and with states in reverse order that share memory, gives the bits of Step.
func TestStepInPlace(t *testing.T) {
	for _, c := range processes(t) {
		m, err := c.dyn.Begin(c.problem, nil)
		if err != nil {
			t.Fatal(err)
		}
		d, p := c.problem.Dims()
		n, x := m.StateLen(), fill(p, 0.3)
		s, next, place := make([]float64, n), make([]float64, n), make([]float64, n)
		if err := m.Init(s, fill(d, 0.5), x); err != nil {
			t.Fatal(err)
		}
		copy(place, s)
		const steps = 4
		var history []float64
		o, overlaps := m.(inner.Overlapper)
		if overlaps = overlaps && o.Overlap(); overlaps {
			history = make([]float64, (steps+2)*d)
			copy(history[steps*d:], s)
		}
		for k := 1; k <= steps; k++ {
			m.Step(next, s, x, k)
			m.Step(place, place, x, k)
			if !floats.Same(next, place) {
				t.Errorf("%s, step %d: in place %v, elsewhere %v", c.name, k, place, next)
			}
			if overlaps {
				at := (steps - k) * d
				m.Step(history[at:at+n], history[at+d:at+d+n], x, k)
				if !floats.Same(next, history[at:at+n]) || !floats.Same(s[:d], history[at+d:at+2*d]) {
					t.Errorf("%s, step %d: in a history %v, elsewhere %v", c.name, k, history[at:at+n], next)
				}
			}
			s, next = next, s
		}
	}
}

// The steps are what the papers say, written down once more for one dimension with ∇g = 3z − 6x.
func TestFormulas(t *testing.T) {
	g := &bilevel.Func{InnerDim: 1, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return 1.5*z[0]*z[0] - 6*x[0]*z[0] },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = 3*z[0]-6*x[0], -6*z[0] },
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0] = 3 * v[0] },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = -6 * v[0] },
	}
	p := &bilevel.Problem{Outer: g, Inner: g}
	x := []float64{0.5}
	grad := func(z float64) float64 { return 3*z - 6*x[0] }
	const steps = 6
	want := map[string]float64{}
	z, w := 2.0, 2.0
	for range steps {
		z -= 0.1 * grad(z)
	}
	want["GradientDescent"] = z
	for z = 2; len(want) < 2; want["HeavyBall"] = z {
		for range steps {
			z, w = z-0.1*grad(z)+0.7*(z-w), z
		}
	}
	for z, w = 2, 2; len(want) < 3; want["Nesterov"] = z {
		for range steps {
			y := z + 0.7*(z-w)
			z, w = y-0.1*grad(y), z
		}
	}
	m, r := 0.0, 0.0
	z = 2
	for k := 1.0; k <= steps; k++ {
		m, r = 0.9*m+0.1*grad(z), 0.999*r+0.001*grad(z)*grad(z)
		z -= 0.1 * (m / (1 - math.Pow(0.9, k))) / (math.Sqrt(r/(1-math.Pow(0.999, k))) + 1e-8)
	}
	want["Adam"] = z
	for name, dyn := range map[string]inner.Dynamics{
		"GradientDescent": inner.GradientDescent{Step: 0.1, Steps: steps},
		"HeavyBall":       inner.HeavyBall{Step: 0.1, Momentum: 0.7, Steps: steps},
		"Nesterov":        inner.Nesterov{Step: 0.1, Momentum: 0.7, Steps: steps},
		"Adam":            inner.Adam{Step: 0.1, Steps: steps},
	} {
		m, err := dyn.Begin(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		z := []float64{2}
		if err := inner.Iterate(context.Background(), m, make([]float64, m.StateLen()), z, x, steps); err != nil {
			t.Fatal(err)
		}
		if math.Abs(z[0]-want[name]) > 1e-14 {
			t.Errorf("%s: z = %v, want %v", name, z[0], want[name])
		}
		// The solver makes the same steps, whatever the tolerance.
		min, err := dyn.(inner.Solver).Start(firstOrder{g}, nil)
		if err != nil {
			t.Fatal(err)
		}
		y := []float64{2}
		res, err := min.Minimize(context.Background(), y, x, 1e-9)
		if err != nil || y[0] != z[0] || res.Iterations != steps || !res.Converged ||
			math.Abs(res.GradNorm-math.Abs(grad(y[0]))) > 1e-14 {
			t.Errorf("%s: z = %v instead of %v, %+v, %v", name, y[0], z[0], res, err)
		}
	}
}

func firstOrderSolvers() map[string]inner.Solver {
	return map[string]inner.Solver{
		"gradient descent":       inner.GradientDescent{},
		"gradient descent, 0.5":  inner.GradientDescent{Step: 0.5},
		"heavy ball":             inner.HeavyBall{},
		"heavy ball, 0.5":        inner.HeavyBall{Step: 0.5, Momentum: 0.8},
		"Nesterov":               inner.Nesterov{},
		"Nesterov, 0.5":          inner.Nesterov{Step: 0.5, Momentum: 0.8},
		"heavy ball, learned":    inner.HeavyBall{Learned: inner.Learned{Step: []int{5, 6}, Momentum: []int{7}}},
		"gradient descent, many": inner.GradientDescent{Learned: inner.Learned{Step: []int{5, 6, 5}}},
	}
}

// Solvers find the minimiser that Newton finds, and their counts are those of the calls.
func TestFirstOrderSolvers(t *testing.T) {
	p := hypergrad.Extend(&bilevel.Problem{Outer: logistic(t, 60, 5, 1), Inner: logistic(t, 60, 5, 1)}, 3)
	x := []float64{-2, -3, -1, -2, -2.5, 0.3, 0.6, 0.7}
	newton, err := inner.Newton{}.Start(p.Inner, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, 5)
	if _, err := newton.Minimize(context.Background(), want, x, 1e-12); err != nil {
		t.Fatal(err)
	}
	for name, s := range firstOrderSolvers() {
		g := &oracleCalls{SecondOrder: p.Inner.(bilevel.SecondOrder)}
		var counts bilevel.Counts
		m, err := s.Start(g, &counts)
		if err != nil {
			t.Fatal(err)
		}
		z := fill(5, 0.4)
		res, err := m.Minimize(context.Background(), z, x, 1e-10)
		if err != nil || !res.Converged || res.GradNorm > 1e-10 || !floats.EqualApprox(z, want, 1e-8) {
			t.Errorf("%s: z = %v, want %v, %+v, %v", name, z, want, res, err)
		}
		if counts != g.got || counts.GradG == 0 {
			t.Errorf("%s: counts %+v, calls %+v", name, counts, g.got)
		}
		grad := make([]float64, 5)
		p.Inner.Grad(grad, nil, z, x, bilevel.All(p.Inner))
		if !floats.EqualApprox(grad, res.Grad, 1e-15) {
			t.Errorf("%s: Grad = %v, ∇z g = %v", name, res.Grad, grad)
		}
		if n := testing.AllocsPerRun(3, func() {
			copy(z, want)
			z[0]++
			_, _ = m.Minimize(context.Background(), z, x, 1e-6)
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		// Below rounding it ends, without an error.
		if res, err := m.Minimize(context.Background(), z, x, 1e-300); err != nil || !res.Rounding || res.GradNorm > 1e-12 {
			t.Errorf("%s, tolerance 1e-300: %+v, %v", name, res, err)
		}
	}
}

// oracleCalls counts samples by the destinations that are asked for.
type oracleCalls struct {
	bilevel.SecondOrder
	got bilevel.Counts
}

func (c *oracleCalls) Value(z, x []float64, b bilevel.Batch) float64 {
	c.got.ValueG += int64(b.Len())
	return c.SecondOrder.Value(z, x, b)
}

func (c *oracleCalls) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	c.got.GradG += int64(b.Len())
	c.SecondOrder.Grad(dz, dx, z, x, b)
}

func (c *oracleCalls) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	n := int64(b.Len())
	if dz != nil {
		c.got.GradG += n
	}
	if hv != nil {
		c.got.HessG += n
	}
	if cv != nil {
		c.got.CrossG += n
	}
	c.SecondOrder.Products(dz, hv, cv, z, x, v, b)
}

// An automatic step that is too long away from the start is halved: √(1+z²) is nearly straight at z = 10.
func TestAutomaticStepIsHalved(t *testing.T) {
	g := &bilevel.Func{InnerDim: 1, OuterDim: 1,
		Eval:     func(z, _ []float64, _ bilevel.Batch) float64 { return math.Hypot(1, z[0]) },
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) { dz[0], dx[0] = z[0]/math.Hypot(1, z[0]), 0 },
		HessVec:  func(hv, z, _, v []float64, _ bilevel.Batch) { hv[0] = v[0] / math.Pow(1+z[0]*z[0], 1.5) },
		CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { cv[0] = 0 },
	}
	for name, s := range map[string]inner.Solver{"gradient descent": inner.GradientDescent{},
		"heavy ball": inner.HeavyBall{}, "Nesterov": inner.Nesterov{}} {
		m, err := s.Start(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		z := []float64{10}
		if res, err := m.Minimize(context.Background(), z, []float64{0}, 1e-10); err != nil || math.Abs(z[0]) > 1e-9 {
			t.Errorf("%s: z = %v, %+v, %v", name, z, res, err)
		}
		// What was halved is not remembered.
		y := []float64{10}
		res, _ := m.Minimize(context.Background(), y, []float64{0}, 1e-10)
		again := []float64{10}
		if res2, _ := m.Minimize(context.Background(), again, []float64{0}, 1e-10); y[0] != again[0] ||
			res.Iterations != res2.Iterations {
			t.Errorf("%s: %v after %d iterations, then %v after %d", name, y, res.Iterations, again, res2.Iterations)
		}
	}
}

// The automatic step is a little less than 1/L, at the cost of 12 products.
func TestAutomaticStep(t *testing.T) {
	spread := make([]float64, 300)
	for i := range spread {
		spread[i] = 0.1 + 3*float64(i)/300
	}
	for _, w := range [][]float64{{0.5, 1, 4}, {7}, spread} {
		g := square(w...)
		var counts bilevel.Counts
		m, err := inner.GradientDescent{}.Begin(&bilevel.Problem{Outer: g, Inner: g}, &counts)
		if err != nil {
			t.Fatal(err)
		}
		s := make([]float64, len(w))
		if err := m.Init(s, s, []float64{0}); err != nil {
			t.Fatal(err)
		}
		if counts != (bilevel.Counts{HessG: 12}) {
			t.Errorf("counts %+v", counts)
		}
		m.Step(s, s, []float64{0}, 1)
		if eta, l := s[0]/w[0], w[len(w)-1]; eta*l < 0.9 || eta*l > 1.1 { // ∇g(0) = −w
			t.Errorf("d = %d: ηL = %v", len(w), eta*l)
		}
	}
}

func TestFirstOrderErrors(t *testing.T) {
	g := logistic(t, 40, 3, 1)
	p := &bilevel.Problem{Outer: g, Inner: g}
	fixed := bileveltest.Equilibrium(4, 3, 1).Problem
	begin := func(d inner.Dynamics, p *bilevel.Problem) error {
		_, err := d.Begin(p, nil)
		return err
	}
	start := func(s inner.Solver, g bilevel.Objective) error {
		_, err := s.Start(g, nil)
		return err
	}
	for want, err := range map[string]error{
		"use Iteration":                begin(inner.Adam{}, fixed),
		"GradientDescent needs":        begin(inner.GradientDescent{}, fixed),
		"use GradientDescent":          begin(inner.Iteration{}, p),
		"Learned.Step names x[3]":      begin(inner.HeavyBall{Learned: inner.Learned{Step: []int{0, 3}}}, p),
		"Learned.Momentum names x[-1]": begin(inner.Nesterov{Learned: inner.Learned{Momentum: []int{-1}}}, p),
		"has no momentum":              begin(inner.GradientDescent{Learned: inner.Learned{Momentum: []int{1}}}, p),
		"Adam does not take":           begin(inner.Adam{Learned: inner.Learned{Momentum: []int{1}}}, p),
		"positive and finite":          begin(inner.Adam{Epsilon: -1}, p),
		"below 1":                      begin(inner.Adam{Beta2: 1}, p),
		"set Step":                     start(inner.GradientDescent{}, firstOrder{g}),
		"Products":                     begin(inner.HeavyBall{Step: 1}, &bilevel.Problem{Outer: g, Inner: firstOrder{g}}),
		"Step is negative":             start(inner.GradientDescent{Step: -1}, g),
		"Momentum is not finite":       start(inner.HeavyBall{Momentum: math.Inf(1)}, g),
		"Steps = -1":                   start(inner.Nesterov{Steps: -1}, g),
		"Steps = -2":                   start(inner.Adam{Steps: -2}, g),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	m, err := inner.GradientDescent{Step: 1e-3, MaxIter: 7}.Start(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	var unsolved *inner.NotConvergedError
	z := fill(3, 1)
	if res, err := m.Minimize(context.Background(), z, fill(3, -1), 1e-9); !errors.As(err, &unsolved) ||
		res.Iterations != 7 || z[0] == 1 {
		t.Errorf("z = %v, %+v, %v", z, res, err)
	}
	for _, steps := range []int{0, 20000} {
		m, err = inner.GradientDescent{Step: 100, Steps: steps}.Start(square(1, 2), nil)
		if err != nil {
			t.Fatal(err)
		}
		z = []float64{3, 4}
		if _, err := m.Minimize(context.Background(), z, fill(1, -1), 1e-9); !errors.As(err, &unsolved) ||
			!strings.Contains(err.Error(), "diverges") || !floats.Equal(z, []float64{3, 4}) {
			t.Errorf("z = %v, %v", z, err)
		}
	}
}

// Where no gradient was ever different from zero, Adam stays and its derivative is finite.
func TestAdamWithoutGradient(t *testing.T) {
	c := bileveltest.Quadratic(4, 2, 60, 50, 1)
	x := []float64{0.3, -0.4}
	g := flat{c.Problem.Inner.(bilevel.SecondOrder)}
	m, err := inner.Adam{}.Begin(&bilevel.Problem{Outer: c.Problem.Outer, Inner: g}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, us, ux, dst := make([]float64, 12), make([]float64, 12), make([]float64, 2), make([]float64, 12)
	if err := m.Init(s, fill(4, 0.2), x); err != nil {
		t.Fatal(err)
	}
	m.Pull(us, ux, s, x, fill(12, 1), 1)
	if err := m.Push(dst, s, x, fill(12, 1), x, 1); err != nil {
		t.Fatal(err)
	}
	if floats.HasNaN(us) || floats.HasNaN(ux) || floats.HasNaN(dst) {
		t.Errorf("us = %v, ux = %v, Push = %v", us, ux, dst)
	}
	m.Step(s, s, x, 1)
	if !floats.Equal(s[:4], fill(4, 0.2)) {
		t.Errorf("z⁺ = %v", s[:4])
	}
}

// flat is an objective without a gradient.
type flat struct{ bilevel.SecondOrder }

func (flat) Grad(dz, _, _, _ []float64, _ bilevel.Batch) { clear(dz) }

func (f flat) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	f.SecondOrder.Products(nil, hv, cv, z, x, v, b)
	clear(dz)
}

// Iteration's solver meets its tolerance, makes the steps it is asked for, and says when it cannot.
func TestIterationSolver(t *testing.T) {
	c := bileveltest.Equilibrium(5, 3, 1)
	x := []float64{0.4, -0.2, 1}
	want := c.Solve(x).Z
	var counts bilevel.Counts
	m, err := inner.Iteration{}.Start(c.Problem.Fixed, &counts)
	if err != nil {
		t.Fatal(err)
	}
	residual := func(z []float64) []float64 {
		r := make([]float64, 5)
		c.Problem.Fixed.Map(r, z, x, bilevel.Batch{Lo: 0, Hi: 1})
		floats.SubTo(r, z, r)
		return r
	}
	z := fill(5, 0.3)
	res, err := m.Minimize(context.Background(), z, x, 1e-10)
	if err != nil || !res.Converged || res.GradNorm > 1e-10 || !floats.Equal(res.Grad, residual(z)) ||
		!floats.EqualApprox(z, want, 1e-9) {
		t.Errorf("z = %v, want %v, %+v, %v", z, want, res, err)
	}
	if counts != (bilevel.Counts{GradG: int64(res.Iterations) + 1}) {
		t.Errorf("counts %+v after %d iterations", counts, res.Iterations)
	}
	if res, err := m.Minimize(context.Background(), z, x, 1e-300); err != nil || !res.Rounding && !res.Converged ||
		res.GradNorm > 1e-14 {
		t.Errorf("tolerance 1e-300: %+v, %v", res, err)
	}
	if n := testing.AllocsPerRun(3, func() { clear(z); _, _ = m.Minimize(context.Background(), z, x, 1e-10) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	p, err := inner.Iteration{}.Begin(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := inner.Iteration{Steps: 3}.Start(c.Problem.Fixed, nil)
	if err != nil {
		t.Fatal(err)
	}
	y := fill(5, 0.3)
	copy(z, y)
	if err := inner.Iterate(context.Background(), p, make([]float64, 5), y, x, 3); err != nil {
		t.Fatal(err)
	}
	if res, err := exact.Minimize(context.Background(), z, x, 1e-10); err != nil || !res.Converged ||
		res.Iterations != 3 || !floats.Equal(y, z) || !floats.Equal(res.Grad, residual(z)) {
		t.Errorf("z = %v, want %v, %+v, %v", z, y, res, err)
	}
	few, _ := inner.Iteration{MaxIter: 4}.Start(c.Problem.Fixed, nil)
	var unsolved *inner.NotConvergedError
	if res, err := few.Minimize(context.Background(), fill(5, 1), x, 1e-10); !errors.As(err, &unsolved) ||
		res.Iterations != 4 || !strings.Contains(err.Error(), "Φ(z, x) − z") {
		t.Errorf("%+v, %v", res, err)
	}
	far, _ := inner.Iteration{}.Start(bilevel.GradientMap{G: square(1, 2), Eta: 100}, nil)
	if _, err := far.Minimize(context.Background(), []float64{3, 4}, x[:1], 1e-10); !errors.As(err, &unsolved) ||
		!strings.Contains(err.Error(), "diverges") {
		t.Error(err)
	}
	if _, err := (inner.Iteration{Steps: -1}).Start(c.Problem.Fixed, nil); err == nil {
		t.Error("negative Steps are accepted")
	}
	noPush, _ := inner.Iteration{}.Begin(&bilevel.Problem{Outer: c.Problem.Outer,
		Fixed: struct{ bilevel.FixedPoint }{c.Problem.Fixed}}, nil)
	if err := noPush.Push(y, z, x, z, x, 1); err == nil || !strings.Contains(err.Error(), "Push") {
		t.Error(err)
	}
}
