package blackbox

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/inner"
)

// boxed are the conformance suite's problems in bounded boxes, x starting at a corner or a bound.
func boxed() []bileveltest.Case {
	around := func(c bileveltest.Case, below, above float64) bileveltest.Case {
		lower, upper := slices.Clone(c.X), slices.Clone(c.X)
		for j := range lower {
			lower[j] -= below * (1 + float64(j)/5)
			upper[j] += above * (1 + float64(j)/3)
		}
		c.Start.X = slices.Clone(upper)
		return c.Box(c.Name+", boxed", lower, upper)
	}
	return []bileveltest.Case{
		around(bileveltest.Quadratic(6, 3, 240, 200, 6), 1.5, 2),
		around(bileveltest.Quadratic(3, 5, 200, 240, 22), 2, 1.5),
		around(bileveltest.Scalar(), 3, 2),
		bileveltest.Ridge(bileveltest.ExpScalar, 150, 100, 5, 7), // in [−12, 5]
	}
}

func TestConformance(t *testing.T) {
	cases := boxed()
	fixed := cases[3].Box("ridge", []float64{-8}, []float64{1}).FixedPoint("ridge as a fixed point", .1)
	one := []bileveltest.Case{cases[2], cases[3], fixed} // p = 1
	for _, c := range []struct {
		name string
		m    bilevel.Method
		o    bileveltest.MethodOptions
	}{
		// What is left of h − h* at the start after so many evaluations.
		{"Random", Random{}, bileveltest.MethodOptions{Stochastic: true, Steps: 600, Tol: .1}},
		{"TPE", TPE{}, bileveltest.MethodOptions{Stochastic: true, Steps: 200, Tol: .05}},
		{"Grid", Grid{}, bileveltest.MethodOptions{Cases: one, Steps: 40, Tol: .02}},
		{"Grid, product", Grid{Points: 5, Product: true},
			bileveltest.MethodOptions{Cases: cases[:3], Steps: 4000, Tol: .1, Horizon: 80}},
	} {
		c.o.Allocates, c.o.NeedsBox = true, true
		if c.o.Cases == nil {
			c.o.Cases = append(cases, fixed)
		}
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}

// candidates runs m and returns every x that it evaluates.
func candidates(t *testing.T, m bilevel.Method, p *bilevel.Problem, steps int) [][]float64 {
	t.Helper()
	run, err := m.Start(p, bilevel.Point{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var list [][]float64
	for range steps {
		if err := run.Step(context.Background()); errors.Is(err, bilevel.ErrDone) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch r := run.(type) {
		case *gridRun:
			list = append(list, slices.Clone(r.x))
		case *randomRun:
			list = append(list, slices.Clone(r.x))
		case *tpeRun:
			list = append(list, slices.Clone(r.x))
		}
	}
	return list
}

// flat has z* = 0 and h = 0 in the box [lower, upper].
func flat(lower, upper []float64) *bilevel.Problem {
	level := func() *bilevel.Func {
		return &bilevel.Func{InnerDim: 1, OuterDim: len(lower),
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return z[0] * z[0] / 2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0] = z[0]; clear(dx) },
		}
	}
	return &bilevel.Problem{Outer: level(), Inner: level(), Lower: lower, Upper: upper}
}

func TestGridCandidates(t *testing.T) {
	p := flat([]float64{-1, 0, 10}, []float64{1, 3, 40})
	diagonal := candidates(t, Grid{Points: 4}, p, 1000)
	want := [][]float64{{1, 3, 40}, {-1 + 4./3, 2, 30}, {-1 + 2./3, 1, 20}, {-1, 0, 10}}
	if len(diagonal) != 4 {
		t.Fatalf("%d candidates: %v", len(diagonal), diagonal)
	}
	for i, x := range diagonal {
		for j := range x {
			if math.Abs(x[j]-want[i][j]) > 1e-14*math.Abs(want[i][j]) {
				t.Errorf("candidate %d is %v, want %v", i, x, want[i])
			}
		}
	}
	for _, k := range []int{2, 3, 4} {
		all := candidates(t, Grid{Points: k, Product: true}, p, 1000)
		seen := map[[3]float64]bool{}
		for _, x := range all {
			seen[[3]float64(x)] = true
		}
		if n := k * k * k; len(all) != n || len(seen) != n {
			t.Errorf("%d points: %d candidates, %d different ones; want all %d of the product once", k, len(all), len(seen), n)
		}
		// One coordinate moves by one place, or a place of the diagonal in between has been left out.
		last := all[k]
		for _, x := range all[k+1:] {
			moves := 0.0
			for j := range x {
				moves += math.Abs(x[j]-last[j]) / (p.Upper[j] - p.Lower[j]) * float64(k-1)
			}
			if math.Abs(moves-1) > 1e-12 && math.Abs(moves-2) > 1e-12 {
				t.Errorf("%d points: from %v to %v", k, last, x)
			}
			last = x
		}
	}
}

// The best strength for all features of a ridge regression with a strength each, against the exact h on a fine grid.
func TestGridFindsTheBestSharedStrength(t *testing.T) {
	c := bileveltest.Ridge(bileveltest.ExpDiagonal, 150, 100, 5, 7)
	grid := Grid{Points: 18} // [−12, 5] in steps of 1
	res, err := bilevel.Minimize(context.Background(), c.Problem, grid, bilevel.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	best, at := math.Inf(1), 0.0
	for k := range 18 {
		x := make([]float64, 5)
		for j := range x {
			x[j] = float64(k) - 12
		}
		if h := c.Solve(x).Value; h < best {
			best, at = h, x[0]
		}
	}
	if at == -12 || at == 5 {
		t.Fatalf("the best shared strength %g is at a bound: the test says nothing", at)
	}
	if res.Reason != bilevel.Done || res.Steps != 18 {
		t.Errorf("%v after %d steps, want all 18", res.Reason, res.Steps)
	}
	for _, x := range res.Point.X {
		if math.Abs(x-at) > 1e-13 {
			t.Errorf("x = %v, want all %g", res.Point.X, at)
			break
		}
	}
	if math.Abs(res.Value-best) > 1e-9*best {
		t.Errorf("h = %.12g, want %.12g", res.Value, best)
	}
}

func TestRandomIsUniform(t *testing.T) {
	p := flat([]float64{-3, 2}, []float64{1, 2.5})
	var mean, square [2]float64
	const n = 20000
	for _, x := range candidates(t, Random{}, p, n) {
		for j, v := range x {
			u := (v - p.Lower[j]) / (p.Upper[j] - p.Lower[j])
			mean[j] += u / n
			square[j] += u * u / n
		}
	}
	for j := range mean { // four standard deviations of the means of u and u²
		if math.Abs(mean[j]-1./2) > 4*.289/math.Sqrt(n) || math.Abs(square[j]-1./3) > 4*.298/math.Sqrt(n) {
			t.Errorf("coordinate %d: moments %.4f, %.4f of a uniform distribution", j, mean[j], square[j])
		}
	}
}

func TestParzen(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, at := range [][]float64{{}, {.3}, {-1}, {2}, {-1, -1, 2, 2}, {.1, .1, .1, .1}, {-1, -.999, 0, .5, 1.9, 2}} {
		const lo, hi, n = -1, 2, 200000
		d := newParzen(at, lo, hi)
		// The distribution function by the midpoint rule, and where the draws fall.
		var cells, drawn [30]float64
		for i := range n {
			x := lo + (hi-lo)*(float64(i)+.5)/n
			cells[i*30/n] += d.density(x) * (hi - lo) / n
			x = d.draw(rng)
			if !(x >= lo && x <= hi) {
				t.Fatalf("%v: drew %v", at, x)
			}
			drawn[min(int((x-lo)/(hi-lo)*30), 29)] += 1. / n
		}
		total := 0.0
		for i, c := range cells {
			total += c
			if sd := math.Sqrt(c * (1 - c) / n); math.Abs(drawn[i]-c) > 5*sd {
				t.Errorf("%v: %.5f of the draws are in cell %d, the density says %.5f ± %.5f", at, drawn[i], i, c, sd)
			}
		}
		if math.Abs(total-1) > 1e-9 {
			t.Errorf("%v: the density integrates to %.12g", at, total)
		}
	}
	// Widths: the farther neighbour, within bounds.
	d := newParzen([]float64{.6, .5, .52}, 0, 1)
	for i, want := range []float64{.5, .25, .4} { // .5: the bound 0; .52: 1/4, the narrowest; .6: the bound 1
		if math.Abs(d.sigma[i]-want) > 1e-15 {
			t.Errorf("σ of %v is %v, want %v", d.mu[i], d.sigma[i], want)
		}
	}
}

func TestTPEBeatsRandom(t *testing.T) {
	q := bileveltest.Quadratic(3, 5, 200, 240, 22)
	lower, upper := slices.Clone(q.X), slices.Clone(q.X)
	for j := range lower {
		lower[j] -= 1.5 + float64(j)/3
		upper[j] += 3 - float64(j)/3
	}
	c := q.Box("box", lower, upper)
	const seeds, evaluations = 20, 150
	var logs []float64 // of the ratio of what is left of h − h*
	left := func(m bilevel.Method, seed uint64) float64 {
		res, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{MaxSteps: evaluations, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return res.Value - c.Value
	}
	for seed := range uint64(seeds) {
		logs = append(logs, math.Log(left(TPE{}, seed)/left(Random{}, seed)))
	}
	mean, square := 0.0, 0.0
	for _, l := range logs {
		mean += l / seeds
	}
	for _, l := range logs {
		square += (l - mean) * (l - mean) / (seeds - 1)
	}
	const t95 = 2.093 // of 19 degrees of freedom
	half := t95 * math.Sqrt(square/seeds)
	t.Logf("h − h* of TPE / of random search after %d evaluations: %.3g, 95%% interval %.3g to %.3g over %d seeds",
		evaluations, math.Exp(mean), math.Exp(mean-half), math.Exp(mean+half), seeds)
	if !(mean+half < math.Log(.7)) {
		t.Errorf("TPE is not better than random search: the ratio of h − h* is %.3g, up to %.3g",
			math.Exp(mean), math.Exp(mean+half))
	}
}

func TestEveryKnobMatters(t *testing.T) {
	c := boxed()[0]
	last := func(m bilevel.Method) []float64 {
		res, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{MaxSteps: 125, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		return append(res.Point.X, res.Point.Z...)
	}
	gd := Solve{Solver: inner.GradientDescent{}}
	for _, c := range []struct {
		knob string
		a, b bilevel.Method
	}{
		{"Grid.Points", Grid{}, Grid{Points: 24}},
		{"Grid.Product", Grid{Points: 5}, Grid{Points: 5, Product: true}},
		{"Solve.Solver", Grid{}, Grid{Solve: gd}},
		{"Solve.Tol", Grid{Solve: gd}, Grid{Solve: Solve{Solver: gd.Solver, Tol: 1e-3}}},
		{"TPE.Startup", TPE{}, TPE{Startup: 21}},
		{"TPE.Gamma", TPE{}, TPE{Gamma: .3}},
		{"TPE.Candidates", TPE{}, TPE{Candidates: 10}},
		{"the method", TPE{}, Random{}},
	} {
		if slices.Equal(last(c.a), last(c.b)) {
			t.Errorf("%s changes nothing", c.knob)
		}
	}
	fixed := boxed()[3].FixedPoint("ridge as a fixed point", 1e-2)
	var z [2][]float64
	for i, steps := range []int{3, 4} {
		res, err := bilevel.Minimize(context.Background(), fixed.Problem,
			Grid{Points: 3, Solve: Solve{Iteration: inner.Iteration{Steps: steps}}}, bilevel.Settings{MaxSteps: 1})
		if err != nil {
			t.Fatal(err)
		}
		z[i] = res.Point.Z
	}
	if slices.Equal(z[0], z[1]) {
		t.Error("Solve.Iteration changes nothing")
	}
}

func TestWrongUse(t *testing.T) {
	box := func() *bilevel.Problem { return flat([]float64{0, 0}, []float64{1, 1}) }
	for _, c := range []struct {
		m      bilevel.Method
		change func(p *bilevel.Problem)
		want   string
	}{
		{Grid{Points: 1}, nil, "Points"},
		{Grid{Points: -1}, nil, "Points"},
		{Grid{Points: 10000, Product: true}, nil, "10000000 candidates"},
		{TPE{Startup: 1}, nil, "Startup"},
		{TPE{Gamma: 1}, nil, "Gamma"},
		{TPE{Gamma: math.NaN()}, nil, "Gamma"},
		{TPE{Candidates: -1}, nil, "Candidates"},
		{Random{Solve{Tol: -1}}, nil, "tolerance"},
		{Random{Solve{Iteration: inner.Iteration{Steps: 3}}}, nil, "Iteration"},
		{Random{}, func(p *bilevel.Problem) { p.Upper = nil }, "bounds"},
		{Grid{}, func(p *bilevel.Problem) { p.Lower[1] = math.Inf(-1) }, "x[1]"},
		{TPE{}, func(p *bilevel.Problem) { p.Lower, p.Upper, p.Project = nil, nil, func([]float64) {} }, "projection"},
		{TPE{}, func(p *bilevel.Problem) { p.Inner = nil }, "exactly one"},
		{TPE{}, func(p *bilevel.Problem) { p.Outer = &bilevel.Func{InnerDim: 1, OuterDim: 2} }, "Eval"},
	} {
		p := box()
		if c.change != nil {
			c.change(p)
		}
		if _, err := c.m.Start(p, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %q", c.m, err, c.want)
		}
	}
}

// h is not finite for x > 0.
func TestFailedCandidatesAreSkippedAndReported(t *testing.T) {
	for _, level := range []string{"inner", "outer"} {
		for _, m := range []bilevel.Method{Grid{}, Random{}, TPE{}} {
			p := flat([]float64{-1, -1}, []float64{1, 1})
			o := p.Inner.(*bilevel.Func)
			if level == "outer" {
				o = p.Outer.(*bilevel.Func)
			}
			eval := o.Eval
			o.Eval = func(z, x []float64, b bilevel.Batch) float64 {
				if x[0] > 0 {
					return math.NaN()
				}
				return eval(z, x, b) + x[0]*x[0]
			}
			res, err := bilevel.Minimize(context.Background(), p, m,
				bilevel.Settings{MaxSteps: 60, Seed: 4, Start: bilevel.Point{Z: []float64{2}}})
			if err != nil {
				t.Errorf("%s, %T: %v", level, m, err)
				continue
			}
			if res.Point.X[0] > 0 || !(res.Value < 1) {
				t.Errorf("%s, %T: x = %v, h = %v", level, m, res.Point.X, res.Value)
			}
			notes := 0
			for _, r := range res.Trace {
				for _, n := range r.Notes {
					if strings.Contains(n, "left out") {
						notes++
					}
				}
			}
			if notes != 1 {
				t.Errorf("%s, %T: %d notes about candidates that are left out, want one", level, m, notes)
			}
		}
	}
}

func TestNoFiniteValueIsAnError(t *testing.T) {
	for _, c := range []struct {
		m    bilevel.Method
		want string
	}{
		{Grid{Points: 60}, "g = NaN"},
		{Grid{Points: 5}, "none of the grid's 5 candidates"},
		{Random{}, "none of 50 candidates"},
		{TPE{}, "none of 50 candidates"},
	} {
		p := flat([]float64{-1, -1}, []float64{1, 1})
		p.Inner.(*bilevel.Func).Eval = func(z, x []float64, _ bilevel.Batch) float64 { return math.NaN() }
		res, err := bilevel.Minimize(context.Background(), p, c.m,
			bilevel.Settings{MaxSteps: 1000, Start: bilevel.Point{Z: []float64{2}}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %q", c.m, err, c.want)
		} else if res.Point.Z[0] != 2 {
			t.Errorf("%+v: the point is %v, want the start", c.m, res.Point)
		}
	}
}

// astray finds z = 0, and 99 for x > 0; it records where it starts.
type astray struct{ starts []float64 }

func (a *astray) Start(bilevel.Objective, *bilevel.Counts) (inner.Minimizer, error) { return a, nil }

func (a *astray) Minimize(ctx context.Context, z, x []float64, _ float64) (inner.Result, error) {
	a.starts = append(a.starts, z[0])
	z[0] = 0
	if x[0] > 0 {
		z[0] = 99
	}
	return inner.Result{}, nil
}

func TestNoInnerProblemStartsFromWhatFailed(t *testing.T) {
	p := flat([]float64{-1, -1}, []float64{1, 1})
	p.Outer.(*bilevel.Func).Eval = func(z, x []float64, _ bilevel.Batch) float64 { return math.Log(1 - z[0]) }
	var a astray
	candidates(t, Random{Solve{Solver: &a}}, p, 20)
	if slices.Contains(a.starts, 99) {
		t.Errorf("inner problems start at %v", a.starts)
	}
}

func TestUnsolvedInnerProblemsAreReported(t *testing.T) {
	c := boxed()[0]
	res, err := bilevel.Minimize(context.Background(), c.Problem, Random{Solve{Solver: inner.LBFGS{MaxIter: 1}}},
		bilevel.Settings{MaxSteps: 5})
	if err != nil {
		t.Fatal(err)
	}
	if n := res.Trace[1].Notes; len(n) != 1 || !strings.Contains(n[0], "not solved") {
		t.Errorf("notes %q, want one about the inner problem", n)
	}
}

// All of f's samples once a step; g's gradient for the scale once more than its solver takes.
func TestCounts(t *testing.T) {
	c := boxed()[0]
	n, m := int64(c.Problem.Inner.Samples()), int64(c.Problem.Outer.Samples())
	for _, z := range []float64{0, 1} {
		scales := n // of a start at z = 0
		if z != 0 {
			scales = 2 * n
		}
		at := bilevel.Point{Z: []float64{z, 0, 0, 0, 0, 0}}
		run, err := Random{}.Start(c.Problem, at, 1)
		if err != nil {
			t.Fatal(err)
		}
		// The same inner problems by themselves.
		var solves bilevel.Counts
		min, err := inner.Auto{}.Start(c.Problem.Inner, &solves)
		if err != nil {
			t.Fatal(err)
		}
		r := run.(*randomRun)
		for k := range int64(4) {
			from := slices.Clone(r.z)
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, err := min.Minimize(context.Background(), from, r.x, r.tol*r.scale()); err != nil {
				t.Fatal(err)
			}
			r.counts.GradG -= scales // of the scale that was just asked for
			want := solves
			want.GradG += (k + 1) * scales
			want.ValueF += (k + 1) * m
			if got := run.Counts(); got != want {
				t.Fatalf("after %d steps %+v, want %+v", k+1, got, want)
			}
		}
	}
}
