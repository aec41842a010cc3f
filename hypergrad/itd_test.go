package hypergrad_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
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

// itdModes are all ways to differentiate t steps exactly.
func itdModes(dyn inner.Dynamics, t int) map[string]hypergrad.ITD {
	return map[string]hypergrad.ITD{
		"all iterates":           {Dynamics: dyn, Steps: t},
		"checkpoints":            {Dynamics: dyn, Steps: t, Mode: hypergrad.Checkpoints},
		"forward":                {Dynamics: dyn, Steps: t, Mode: hypergrad.Forward},
		"truncated at t":         {Dynamics: dyn, Steps: t, Truncate: t},
		"truncated beyond t":     {Dynamics: dyn, Steps: t, Truncate: t + 3},
		"truncated, checkpoints": {Dynamics: dyn, Steps: t, Truncate: t, Mode: hypergrad.Checkpoints},
	}
}

// itdCases are problems with p ≠ d, minimisations and fixed points.
func itdCases() []bileveltest.Case {
	ridge := bileveltest.Ridge(bileveltest.ExpScalar, 60, 50, 5, 7)
	return []bileveltest.Case{
		bileveltest.Quadratic(6, 3, 80, 60, 6),
		bileveltest.Quadratic(3, 5, 60, 80, 22),
		ridge,
		bileveltest.Equilibrium(5, 3, 1),
		bileveltest.Equilibrium(3, 4, 2),
		ridge.FixedPoint("ridge as a fixed point", 0.3),
	}
}

// dynamicsOf are the inner solvers of p, with their automatic or default settings.
func dynamicsOf(p *bilevel.Problem) map[string]inner.Dynamics {
	if p.Fixed != nil {
		return map[string]inner.Dynamics{"iteration": inner.Iteration{}, "default": nil}
	}
	return map[string]inner.Dynamics{
		"default":          nil,
		"gradient descent": inner.GradientDescent{Step: 0.4},
		"heavy ball":       inner.HeavyBall{Momentum: 0.5},
		"Nesterov":         inner.Nesterov{Momentum: 0.5},
	}
}

// tenths is 0.1, 0.2, ….
func tenths(d int) []float64 {
	z := make([]float64, d)
	for i := range z {
		z[i] = 0.1 * float64(i+1)
	}
	return z
}

// itdAt is one hypergradient from z = 0.1, 0.2, ….
func itdAt(t *testing.T, m hypergrad.ITD, p *bilevel.Problem,
	x []float64) (grad []float64, at bilevel.Point, rep hypergrad.Report, counts bilevel.Counts) {
	t.Helper()
	h, err := m.Start(p, &counts)
	if err != nil {
		t.Fatal(err)
	}
	d, n := p.Dims()
	at = bilevel.Point{Z: tenths(d), X: append([]float64(nil), x...)}
	grad = make([]float64, n)
	rep, err = h.At(context.Background(), grad, at, hypergrad.Effort{})
	if err != nil {
		t.Fatal(err)
	}
	return grad, at, rep, counts
}

// beside is a point beside the minimiser of c.
func beside(c bileveltest.Case) []float64 {
	x := append([]float64(nil), c.X...)
	for j := range x {
		x[j] += 0.3 - 0.1*float64(j)
	}
	return x
}

// With many steps, ITD gives the hypergradient, whatever the dynamics and the mode.
func TestITDConverges(t *testing.T) {
	for _, c := range itdCases() {
		x := beside(c)
		want := c.Solve(x)
		for name, dyn := range dynamicsOf(c.Problem) {
			for mode, m := range itdModes(dyn, 1000) {
				t.Run(fmt.Sprintf("%s/%s/%s", c.Name, name, mode), func(t *testing.T) {
					grad, at, rep, _ := itdAt(t, m, c.Problem, x)
					if e := floats.Distance(grad, want.Grad, 2) / floats.Norm(want.Grad, 2); !(e <= 1e-8) {
						t.Errorf("∇h = %v, want %v: error %.2g", grad, want.Grad, e)
					}
					if !floats.EqualApprox(at.Z, want.Z, 1e-8) || math.Abs(rep.Value-want.Value) > 1e-8*(1+math.Abs(want.Value)) {
						t.Errorf("z_t = %v, h = %v, want %v, %v", at.Z, rep.Value, want.Z, want.Value)
					}
					if rep.Inner.GradNorm > 1e-8 || !rep.Inner.Converged || rep.Inner.Iterations != 1000 {
						t.Errorf("report of the inner problem: %+v", rep.Inner)
					}
				})
			}
		}
	}
}

// At finite t all modes give the same numbers.
func TestITDModesAgree(t *testing.T) {
	for _, c := range itdCases() {
		x := beside(c)
		for name, dyn := range dynamicsOf(c.Problem) {
			for _, steps := range []int{1, 2, 3, 10, 17} {
				want, at, rep, _ := itdAt(t, hypergrad.ITD{Dynamics: dyn, Steps: steps}, c.Problem, x)
				for mode, m := range itdModes(dyn, steps) {
					got, at2, rep2, _ := itdAt(t, m, c.Problem, x)
					if e := floats.Distance(got, want, 2) / floats.Norm(want, 2); !(e <= 1e-12) {
						t.Errorf("%s, %s, %d steps, %s: ∇h = %v, all iterates gave %v", c.Name, name, steps, mode, got, want)
					}
					if !floats.Equal(at.Z, at2.Z) || rep.Value != rep2.Value {
						t.Errorf("%s, %s, %d steps, %s: z_t = %v, all iterates gave %v", c.Name, name, steps, mode, at2.Z, at.Z)
					}
				}
			}
		}
	}
}

// fourFive is a problem that is not quadratic: a logistic loss with d = 5 coefficients and p = 2 strengths, one
// for two groups of features, and extra outer variables for the iteration.
func fourFive(t testing.TB, extra int) *bilevel.Problem {
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
	return hypergrad.Extend(&bilevel.Problem{Outer: level(30), Inner: g}, extra)
}

// network is the fixed-point problem of an equilibrium network.
func network(t testing.TB) *bilevel.Problem {
	t.Helper()
	a := rows.NewDense(3, 2)
	for i := range 3 {
		for j := range 2 {
			a.Row(i)[j] = math.Cos(float64(3 * (2*i + j)))
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

// At finite t, far from the solution, ITD is the derivative of x ↦ f(z_t(x), x), learned step sizes, momenta and
// starts included.
func TestITDFiniteDifferences(t *testing.T) {
	z0 := []int{2, 3, 4, 5, 6}
	steps, both := inner.Learned{Step: []int{7, 8, 9}}, inner.Learned{Step: []int{7, 8}, Momentum: []int{9, 10, 11}}
	x := []float64{-1, -2, 0.3, -0.4, 0.5, 0.2, -0.1, 0.6, 0.9, 0.4, 0.7, 0.2}
	for name, c := range map[string]struct {
		p *bilevel.Problem
		m hypergrad.ITD
		x []float64
	}{
		"gradient descent": {fourFive(t, 0), hypergrad.ITD{Dynamics: inner.GradientDescent{Step: 0.8}}, x[:2]},
		"heavy ball":       {fourFive(t, 0), hypergrad.ITD{Dynamics: inner.HeavyBall{Step: 0.8}}, x[:2]},
		"Nesterov":         {fourFive(t, 0), hypergrad.ITD{Dynamics: inner.Nesterov{Step: 0.8}}, x[:2]},
		"Adam":             {fourFive(t, 0), hypergrad.ITD{Dynamics: inner.Adam{Step: 0.2}}, x[:2]},
		"gradient descent, learned": {fourFive(t, 10), hypergrad.ITD{Dynamics: inner.GradientDescent{Learned: steps}, Z0: z0},
			x},
		"heavy ball, learned": {fourFive(t, 10), hypergrad.ITD{Dynamics: inner.HeavyBall{Learned: both}, Z0: z0}, x},
		"Nesterov, learned":   {fourFive(t, 10), hypergrad.ITD{Dynamics: inner.Nesterov{Learned: both}, Z0: z0}, x},
		"Adam, learned":       {fourFive(t, 10), hypergrad.ITD{Dynamics: inner.Adam{Learned: steps}, Z0: z0}, x},
		"affine map":          {bileveltest.Equilibrium(5, 3, 1).Problem, hypergrad.ITD{}, []float64{0.4, -0.2, 1}},
		"network": {network(t), hypergrad.ITD{}, []float64{
			0.3, -0.4, 0.2, 0.1, 1, -1, 0.5, 0.7, 0.1, -0.2, 1, 0.4, -0.7, 0.3, 0.2, -0.1}},
		"affine map, learned start": {hypergrad.Extend(bileveltest.Equilibrium(5, 2, 1).Problem, 10), hypergrad.ITD{Z0: z0},
			x},
	} {
		for _, mode := range []hypergrad.Mode{hypergrad.AllIterates, hypergrad.Checkpoints, hypergrad.Forward} {
			m := c.m
			m.Mode, m.Steps = mode, 7
			t.Run(name+"/"+mode.String(), func(t *testing.T) {
				got, _, _, _ := itdAt(t, m, c.p, c.x)
				value := func(j int, e float64) float64 {
					x := append([]float64(nil), c.x...)
					x[j] += e
					return unrolled(t, c.p, m, x)
				}
				scale := floats.Norm(got, math.Inf(1))
				for j := range c.x {
					const h = 1e-3
					want := (8*(value(j, h)-value(j, -h)) - (value(j, 2*h) - value(j, -2*h))) / (12 * h)
					if !(math.Abs(got[j]-want) <= 1e-8*scale) {
						t.Errorf("∂h/∂x[%d] = %.12g, finite differences %.12g", j, got[j], want)
					}
				}
			})
		}
	}
}

// unrolled is f(z_t(x), x) by the dynamics alone, from the start of itdAt.
func unrolled(t testing.TB, p *bilevel.Problem, m hypergrad.ITD, x []float64) float64 {
	dyn := m.Dynamics
	if dyn == nil {
		dyn = inner.Iteration{}
	}
	r, err := dyn.Begin(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := p.Dims()
	z := tenths(d)
	for i, j := range m.Z0 {
		z[i] = x[j]
	}
	if err := inner.Iterate(context.Background(), r, make([]float64, r.StateLen()), z, x, m.Steps); err != nil {
		t.Fatal(err)
	}
	return p.Outer.Value(z, x, bilevel.All(p.Outer))
}

// Truncated at K, ITD is the last K steps alone, in both reverse modes, and Effort.InnerSteps replaces Steps.
func TestITDTruncated(t *testing.T) {
	p, x := fourFive(t, 0), []float64{-1, -2}
	const steps, kept = 23, 6
	for name, dyn := range map[string]inner.Dynamics{
		"gradient descent": inner.GradientDescent{Step: 0.8}, "heavy ball": inner.HeavyBall{Step: 0.8},
		"Nesterov": inner.Nesterov{Step: 0.8},
	} {
		// By hand: the states first, then the last pulls.
		r, err := dyn.Begin(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := r.StateLen()
		states := [][]float64{make([]float64, n)}
		if err := r.Init(states[0], tenths(5), x); err != nil {
			t.Fatal(err)
		}
		for k := 1; k <= steps; k++ {
			s := make([]float64, n)
			r.Step(s, states[k-1], x, k)
			states = append(states, s)
		}
		want, ux, u, us := make([]float64, 2), make([]float64, 2), make([]float64, n), make([]float64, n)
		p.Outer.Grad(u[:5], nil, states[steps][:5], x, bilevel.All(p.Outer))
		for k := steps; k > steps-kept; k-- {
			r.Pull(us, ux, states[k-1], x, u, k)
			floats.Add(want, ux)
			u, us = us, u
		}
		whole, _, _, _ := itdAt(t, hypergrad.ITD{Dynamics: dyn, Steps: steps}, p, x)
		for _, mode := range []hypergrad.Mode{hypergrad.AllIterates, hypergrad.Checkpoints} {
			got, at, _, _ := itdAt(t, hypergrad.ITD{Dynamics: dyn, Steps: steps, Truncate: kept, Mode: mode}, p, x)
			if !floats.EqualApprox(got, want, 1e-13) || floats.EqualApprox(got, whole, 1e-6) {
				t.Errorf("%s, %v: truncated %v, want %v; whole %v", name, mode, got, want, whole)
			}
			if !floats.Same(at.Z, states[steps][:5]) {
				t.Errorf("%s, %v: z_t = %v, want %v", name, mode, at.Z, states[steps][:5])
			}
		}
		h, err := hypergrad.ITD{Dynamics: dyn, Steps: 4}.Start(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, 2)
		at := bilevel.Point{Z: tenths(5), X: x}
		if _, err := h.At(context.Background(), got, at, hypergrad.Effort{InnerSteps: steps}); err != nil ||
			!floats.Equal(got, whole) {
			t.Errorf("%s: Effort.InnerSteps gives %v, Steps %v (%v)", name, got, whole, err)
		}
	}
}

// diagonal is g = ½e^{x_1} Σ l_i z_i² − (1 + x_2) Σ z_i, f = Σ z_i, so that
// ∇h = (−Σ (1 + x_2)e^{−x_1}/l_i, Σ e^{−x_1}/l_i).
func diagonal(l []float64) *bilevel.Problem {
	g := &diagonalObjective{l: l}
	g.Func = bilevel.Func{InnerDim: len(l), OuterDim: 2,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			s := 0.0
			for i, zi := range z {
				s += math.Exp(x[0])*l[i]*zi*zi/2 - (1+x[1])*zi
			}
			return s
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			clear(dx)
			for i, zi := range z {
				dz[i] = math.Exp(x[0])*l[i]*zi - (1 + x[1])
				dx[0] += math.Exp(x[0]) * l[i] * zi * zi / 2
				dx[1] -= zi
			}
		},
		HessVec: func(hv, _, x, v []float64, _ bilevel.Batch) {
			for i, vi := range v {
				hv[i] = math.Exp(x[0]) * l[i] * vi
			}
		},
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) {
			clear(cv)
			for i, vi := range v {
				cv[0] += math.Exp(x[0]) * l[i] * z[i] * vi
				cv[1] -= vi
			}
		},
	}
	f := &bilevel.Func{InnerDim: len(l), OuterDim: 2,
		Eval: func(z, _ []float64, _ bilevel.Batch) float64 { return floats.Sum(z) },
		Gradient: func(dz, dx, _, _ []float64, _ bilevel.Batch) {
			clear(dx)
			for i := range dz {
				dz[i] = 1
			}
		},
	}
	return &bilevel.Problem{Outer: f, Inner: g}
}

type diagonalObjective struct {
	bilevel.Func
	l []float64
}

func (o *diagonalObjective) Cross(dz, z, x, w []float64, _ bilevel.Batch) {
	for i, zi := range z {
		dz[i] = math.Exp(x[0])*o.l[i]*zi*w[0] - w[1]
	}
}

// The error falls like t·q^t with the number of steps, and like q^K with that of truncated ones.
func TestITDRate(t *testing.T) {
	const eta = 0.5
	l := []float64{0.2, 1, 2}
	q := 1 - eta*l[0]
	p := diagonal(l)
	x := []float64{0, 0.5}
	want := make([]float64, 2)
	for _, li := range l {
		want[0] -= (1 + x[1]) / li
		want[1] += 1 / li
	}
	failure := func(m hypergrad.ITD) float64 {
		m.Dynamics = inner.GradientDescent{Step: eta}
		h, err := m.Start(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		grad := make([]float64, 2)
		if _, err := h.At(context.Background(), grad, bilevel.Point{Z: make([]float64, 3), X: x},
			hypergrad.Effort{}); err != nil {
			t.Fatal(err)
		}
		return floats.Distance(grad, want, 2)
	}
	var ts, ks, whole, truncated []float64
	for n := 20; n <= 160; n += 20 {
		ts, ks = append(ts, float64(n)), append(ks, float64(n))
		whole = append(whole, math.Log(failure(hypergrad.ITD{Steps: n})/float64(n)))
		truncated = append(truncated, math.Log(failure(hypergrad.ITD{Steps: 400, Truncate: n})))
	}
	for name, s := range map[string]float64{"log(error/t) against t": slope(ts, whole),
		"log error against K": slope(ks, truncated)} {
		t.Logf("%s has slope %.4f, log q = %.4f", name, s, math.Log(q))
		if math.Abs(s/math.Log(q)-1) > 0.1 {
			t.Errorf("%s has slope %v, log q = %v", name, s, math.Log(q))
		}
	}
}

// slope is that of the least-squares line.
func slope(x, y []float64) float64 {
	mx, my := floats.Sum(x)/float64(len(x)), floats.Sum(y)/float64(len(y))
	sxy, sxx := 0.0, 0.0
	for i := range x {
		sxy += (x[i] - mx) * (y[i] - my)
		sxx += (x[i] - mx) * (x[i] - mx)
	}
	return sxy / sxx
}

// allocated is the bytes that a call allocates.
func allocated(f func()) uint64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// ITD allocates what its comment says at the first call, and nothing later.
func TestITDMemory(t *testing.T) {
	const d, k = 600, 25
	l := make([]float64, d)
	floats.Span(l, 0.1, 1)
	p := diagonal(l)
	for _, mem := range []struct {
		name    string
		dyn     inner.Dynamics
		state   int // its length
		overlap bool
	}{
		{"gradient descent", inner.GradientDescent{Step: 0.1}, d, false},
		{"heavy ball", inner.HeavyBall{Step: 0.1}, 2 * d, true},
		{"Adam", inner.Adam{}, 3 * d, false},
	} {
		for _, steps := range []int{36, 144} {
			root := int(math.Sqrt(float64(steps)))
			// Numbers: the history, marks, and two adjoints or p + 1 tangents.
			history := func(n int) int {
				if mem.overlap {
					return (n + 2) * d
				}
				return (n + 1) * mem.state
			}
			for name, c2 := range map[string]struct {
				m    hypergrad.ITD
				want int
			}{
				"all iterates": {hypergrad.ITD{}, history(steps) + 2*mem.state},
				"truncated":    {hypergrad.ITD{Truncate: k}, history(k) + 2*mem.state},
				"checkpoints":  {hypergrad.ITD{Mode: hypergrad.Checkpoints}, history(root) + (root-1)*mem.state + 2*mem.state},
				"truncated, checkpoints": {hypergrad.ITD{Mode: hypergrad.Checkpoints, Truncate: k},
					history(5) + 4*mem.state + 2*mem.state},
				"forward": {hypergrad.ITD{Mode: hypergrad.Forward}, 4 * mem.state},
			} {
				m := c2.m
				m.Steps, m.Dynamics = steps, mem.dyn
				h, err := m.Start(p, nil)
				if err != nil {
					t.Fatal(err)
				}
				grad, at := make([]float64, 2), bilevel.Point{Z: make([]float64, d), X: []float64{0.1, 0.2}}
				call := func() {
					if _, err := h.At(context.Background(), grad, at, hypergrad.Effort{}); err != nil {
						t.Fatal(err)
					}
				}
				// Allocations are rounded up to size classes.
				if got := float64(allocated(call)) / 8; got < float64(c2.want) || got > 1.15*float64(c2.want)+2000 {
					t.Errorf("%s, %d steps, %s: allocates %.0f numbers, want %d", mem.name, steps, name, got, c2.want)
				}
				if n := testing.AllocsPerRun(4, call); n > 0 {
					t.Errorf("%s, %d steps, %s: %v allocations in later calls", mem.name, steps, name, n)
				}
			}
		}
	}
}

// Counts are those of the calls, and as many as documented.
func TestITDCounts(t *testing.T) {
	p := fourFive(t, 0)
	const steps = 20
	n, m := int64(p.Inner.Samples()), int64(p.Outer.Samples())
	for name, c := range map[string]struct {
		m    hypergrad.ITD
		want bilevel.Counts // in passes over the samples
	}{
		"all iterates": {hypergrad.ITD{}, bilevel.Counts{GradG: steps + 1, HessG: steps, CrossG: steps}},
		"truncated":    {hypergrad.ITD{Truncate: 7}, bilevel.Counts{GradG: steps + 1, HessG: 7, CrossG: 7}},
		"checkpoints": {hypergrad.ITD{Mode: hypergrad.Checkpoints},
			bilevel.Counts{GradG: steps + 1 + 15, HessG: steps, CrossG: steps}},
		"forward": {hypergrad.ITD{Mode: hypergrad.Forward},
			bilevel.Counts{GradG: steps + 1, HessG: 2 * steps, CrossG: 2 * steps}},
	} {
		c.m.Steps, c.m.Dynamics = steps, inner.HeavyBall{Step: 0.5}
		_, _, _, got := itdAt(t, c.m, p, []float64{-1, -2})
		want := bilevel.Counts{ValueF: m, GradF: m, ValueG: n, GradG: c.want.GradG * n, HessG: c.want.HessG * n,
			CrossG: c.want.CrossG * n}
		if got != want {
			t.Errorf("%s: counts %+v, want %+v", name, got, want)
		}
	}
}

// The same bits whatever GOMAXPROCS, on a problem whose passes run in parallel.
func TestITDSameBits(t *testing.T) {
	p := logistic(t, 6000, 3000, 200)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, m := range itdModes(inner.Nesterov{}, 4) {
		if m.Mode == hypergrad.Forward {
			m.Steps = 1
		}
		var want []float64
		for _, procs := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(procs)
			got, _, _, _ := itdAt(t, m, p, make([]float64, 200))
			if want == nil {
				want = got
			}
			if !floats.Same(got, want) {
				t.Errorf("%s: other bits with GOMAXPROCS = %d", name, procs)
			}
		}
	}
}

func TestITDErrors(t *testing.T) {
	c := bileveltest.Quadratic(4, 2, 60, 50, 1)
	first := &bilevel.Problem{Outer: c.Problem.Outer, Inner: struct{ bilevel.Objective }{c.Problem.Inner}}
	for want, start := range map[string]struct {
		m hypergrad.ITD
		p *bilevel.Problem
	}{
		"Steps = -1":     {hypergrad.ITD{Steps: -1}, c.Problem},
		"Truncate = -2":  {hypergrad.ITD{Truncate: -2}, c.Problem},
		"reverse modes":  {hypergrad.ITD{Truncate: 5, Mode: hypergrad.Forward}, c.Problem},
		"no mode 3":      {hypergrad.ITD{Mode: 3}, c.Problem},
		"names 2 places": {hypergrad.ITD{Z0: []int{0, 1}}, c.Problem},
		"Z0 names x[2]":  {hypergrad.ITD{Z0: []int{0, 1, 2, 3}}, c.Problem},
		"Learned.Step names": {hypergrad.ITD{Dynamics: inner.GradientDescent{Learned: inner.Learned{Step: []int{2}}}},
			c.Problem},
		"Products": {hypergrad.ITD{}, first},
		"no Push method": {hypergrad.ITD{Mode: hypergrad.Forward},
			&bilevel.Problem{Outer: c.Problem.Outer, Fixed: noPush{c.FixedPoint("", 0.1).Problem.Fixed}}},
		"use Iteration":      {hypergrad.ITD{Dynamics: inner.HeavyBall{}}, bileveltest.Equilibrium(3, 2, 1).Problem},
		"no outer objective": {hypergrad.ITD{}, &bilevel.Problem{Inner: c.Problem.Inner}},
		"Func objective lacks": {hypergrad.ITD{}, &bilevel.Problem{Outer: &bilevel.Func{InnerDim: 4, OuterDim: 2},
			Inner: c.Problem.Inner}},
	} {
		if _, err := start.m.Start(start.p, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	h, err := hypergrad.ITD{Dynamics: inner.GradientDescent{Step: 1e6}, Steps: 300}.Start(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.At(context.Background(), make([]float64, 2),
		bilevel.Point{Z: make([]float64, 4), X: make([]float64, 2)}, hypergrad.Effort{}); err == nil ||
		!strings.Contains(err.Error(), "lower the step") {
		t.Errorf("a diverging iteration: %v", err)
	}
}

// An extended problem is the same one with more variables, and keeps what ITD and implicit methods need.
func TestExtend(t *testing.T) {
	c := bileveltest.Ridge(bileveltest.ExpScalar, 30, 25, 4, 11)
	p := hypergrad.Extend(c.Problem, 2)
	fixed := hypergrad.Extend(bileveltest.Equilibrium(4, 3, 1).Problem, 2)
	for _, q := range []*bilevel.Problem{p, fixed, hypergrad.Extend(c.FixedPoint("", 0.1).Problem, 2)} {
		if err := q.Check(); err != nil {
			t.Fatal(err)
		}
		bileveltest.Objective(t, q.Outer, bileveltest.ObjectiveOptions{})
		if q.Inner != nil {
			bileveltest.Objective(t, q.Inner, bileveltest.ObjectiveOptions{})
		} else {
			bileveltest.FixedPoint(t, q.Fixed, bileveltest.ObjectiveOptions{})
		}
	}
	if _, ok := p.Inner.(bilevel.Crosser); !ok {
		t.Error("Crosser is lost")
	}
	if _, ok := fixed.Fixed.(bilevel.Pusher); !ok {
		t.Error("Pusher is lost")
	}
	if q := hypergrad.Extend(&bilevel.Problem{Outer: c.Problem.Outer, Inner: struct{ bilevel.Objective }{c.Problem.Inner}},
		1); q.Inner != nil {
		if _, err := bilevel.NeedSecondOrder(q.Inner); err == nil {
			t.Error("products appear from nowhere")
		}
	}
	x := []float64{-20, 30, -40}
	p.ProjectX(x)
	if x[0] != -12 || x[1] != 30 || x[2] != -40 {
		t.Errorf("projected onto %v", x)
	}
	project := *c.Problem
	project.Lower, project.Upper = nil, nil
	project.Project = func(x []float64) { floats.Scale(2, x) }
	hypergrad.Extend(&project, 2).ProjectX(x)
	if x[0] != -24 || x[1] != 30 || x[2] != -40 {
		t.Errorf("projected onto %v", x)
	}
	// The hypergradient is that of the problem, and zero for the rest.
	at := []float64{-1, 5, 6}
	got, _, _, _ := itdAt(t, hypergrad.ITD{Steps: 2000}, p, at)
	if want := c.Solve(at[:1]).Grad[0]; math.Abs(got[0]/want-1) > 1e-8 || got[1] != 0 || got[2] != 0 {
		t.Errorf("∇h = %v, want %v", got, want)
	}
}
