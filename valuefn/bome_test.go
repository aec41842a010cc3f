package valuefn

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/stochastic"
)

func TestBOMEConformance(t *testing.T) {
	cases := bileveltest.Cases()
	for _, c := range []struct {
		name string
		m    bilevel.Method
		o    bileveltest.MethodOptions
	}{
		// Tolerances are those of the bias of T steps and of finite step sizes.
		{"zero value", BOME{}, bileveltest.MethodOptions{Steps: 2000, Tol: .03, Horizon: 60}},
		{"more inner steps", BOME{InnerSteps: 50}, bileveltest.MethodOptions{Steps: 2500, Tol: 4e-3, Cases: cases[1:2]}},
		{"momentum", BOME{InnerSteps: 30, Momentum: .5},
			bileveltest.MethodOptions{Steps: 2000, Tol: 1e-3, Cases: cases[3:4]}},
		{"gap", BOME{Control: GapControl}, bileveltest.MethodOptions{Steps: 3000, Tol: .03,
			Cases: []bileveltest.Case{cases[1], cases[4]}}},
		{"explicit", BOME{InnerSteps: 50, Alpha: constant(.3), InnerStep: constant(.02), OuterStep: constant(.02)},
			bileveltest.MethodOptions{Steps: 1500, Tol: 1e-3, Cases: cases[2:3]}},
		// Noise biases λ: only much curved levels leave little of it.
		{"batches", BOME{Batch: 64, Shuffle: true}, bileveltest.MethodOptions{Stochastic: true, Steps: 2500, Tol: .1,
			Horizon: 150, Cases: []bileveltest.Case{cases[0], cases[3]}}},
		{"anchored", BOME{Batch: 16, Anchored: true}, bileveltest.MethodOptions{Stochastic: true, Steps: 3000, Tol: .03,
			Horizon: 60}},
	} {
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}

// A reader of the paper's algorithm, in plain loops.
func TestBOMEStepIsTheFormula(t *testing.T) {
	p := logistic()
	grad := func(o bilevel.Objective, z, x []float64) (dz, dx []float64) {
		dz, dx = fill(6, 0), fill(6, 0)
		o.Grad(dz, dx, z, x, bilevel.All(o))
		return dz, dx
	}
	value := func(z, x []float64) float64 { return p.Inner.Value(z, x, bilevel.All(p.Inner)) }
	for _, m := range []BOME{
		{InnerSteps: 3, Alpha: constant(.4), InnerStep: decaying(.3, .1), OuterStep: decaying(.2, .7), Eta: .8, Epsilon: .05},
		{InnerSteps: 3, Alpha: decaying(.4, 1), InnerStep: constant(.3), OuterStep: constant(.2), Control: GapControl,
			Momentum: .6},
	} {
		z, x := fill(6, .3), fill(6, -1)
		z[2], x[1] = -1, .5
		run, err := m.Start(p, bilevel.Point{Z: z, X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		eta, epsilon := m.Eta, m.Epsilon
		if eta == 0 {
			eta, epsilon = .5, 1e-8
		}
		bz, bx := fill(6, 0), fill(6, 0)
		positive := 0
		for k := range 6 {
			s := int64(k + 1)
			end := slices.Clone(z)
			for range m.InnerSteps {
				d, _ := grad(p.Inner, end, x)
				for i := range end {
					end[i] -= m.Alpha.At(s) * d[i]
				}
			}
			qz, qx := grad(p.Inner, z, x)
			_, hx := grad(p.Inner, end, x)
			fz, fx := grad(p.Outer, z, x)
			dot, square := 0.0, 0.0
			for i := range qx {
				qx[i] -= hx[i]
				dot += fz[i]*qz[i] + fx[i]*qx[i]
				square += qz[i]*qz[i] + qx[i]*qx[i]
			}
			lambda := eta - dot/(square+epsilon)
			if m.Control == GapControl {
				lambda = (eta*(value(z, x)-value(end, x)) - dot) / (square + epsilon)
			}
			if lambda > 0 {
				positive++
			}
			lambda = max(lambda, 0)
			for i := range z {
				bz[i] = m.Momentum*bz[i] + fz[i] + lambda*qz[i]
				bx[i] = m.Momentum*bx[i] + fx[i] + lambda*qx[i]
				z[i] -= m.InnerStep.At(s) * bz[i]
				x[i] -= m.OuterStep.At(s) * bx[i]
			}
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if at := run.Point(); distance(at.Z, z) > 1e-13 || distance(at.X, x) > 1e-13 {
				t.Fatalf("%+v, step %d: z = %v, x = %v, want %v, %v", m, s, at.Z, at.X, z, x)
			}
		}
		if positive == 0 {
			t.Errorf("%+v: λ was zero throughout", m)
		}
	}
}

// What T steps leave of the inner problem is a bias that no step size cures. It falls with T, down to one of the order
// of the step size.
func TestBOMEBiasOfInnerSteps(t *testing.T) {
	c := bileveltest.Quadratic(2, 3, 30, 36, 1)
	away := func(innerSteps int, step float64) float64 {
		m := BOME{InnerSteps: innerSteps, Alpha: constant(.5), InnerStep: constant(step), OuterStep: constant(step)}
		run := must(m.Start(c.Problem, bilevel.Point{Z: c.Solve(c.X).Z, X: c.X}, 1))
		mean, steps := fill(3, 0), 4000
		for k := range 2 * steps {
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if k >= steps {
				for j, v := range run.Point().X {
					mean[j] += v / float64(steps)
				}
			}
		}
		return distance(mean, c.X)
	}
	var errs []float64
	for _, innerSteps := range []int{1, 4, 16, 64} {
		errs = append(errs, away(innerSteps, .02))
	}
	t.Logf("‖x − x*‖ = %.3g with T = 1, 4, 16, 64", errs)
	for i := range errs[1:] {
		if !(errs[i+1] < .7*errs[i]) {
			t.Errorf("‖x − x*‖ = %.3g with T = 1, 4, 16, 64 does not fall", errs)
		}
	}
	larger, smaller := away(64, .04), away(64, .01)
	t.Logf("T = 64: %.3g with ξ = 0.04, %.3g with ξ = 0.01", larger, smaller)
	for _, ratio := range []float64{larger / errs[3], errs[3] / smaller} {
		if !(ratio > 1.5 && ratio < 2.5) {
			t.Errorf("‖x − x*‖ = %.3g, %.3g, %.3g with ξ = 0.04, 0.02, 0.01 is not of order ξ", larger, errs[3], smaller)
		}
	}
}

func TestBOMEFirstOrderOnly(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	p := *c.Problem
	p.Inner, p.Outer = firstOrder{p.Inner}, firstOrder{p.Outer}
	for _, m := range []bilevel.Method{BOME{}, BOME{Control: GapControl}, BSG1{}, BVFSM{LowerBound: -1000}} {
		got := minimize(t, m, &p, bilevel.Settings{MaxSteps: 100})
		want := minimize(t, m, c.Problem, bilevel.Settings{MaxSteps: 100})
		if !slices.Equal(got.Last.X, want.Last.X) {
			t.Errorf("%T: x = %v, and %v of an objective with second derivatives", m, got.Last.X, want.Last.X)
		}
	}
}

func TestBOMECounts(t *testing.T) {
	p := logistic()
	explicit := BOME{Alpha: constant(.1), InnerStep: constant(.1), OuterStep: constant(.01)}
	some, gap := explicit, explicit
	some.Batch, some.InnerSteps = 1, 3
	gap.Control = GapControl
	for _, c := range []struct {
		m    bilevel.Method
		want bilevel.Counts
	}{
		{explicit, bilevel.Counts{GradF: 5 * 77, GradG: 5 * 12 * 131}},
		{some, bilevel.Counts{GradF: 5, GradG: 5 * 5}},
		{gap, bilevel.Counts{GradF: 5 * 77, GradG: 5 * 12 * 131, ValueG: 5 * 2 * 131}},
		{BSG1{InnerStep: constant(.1), OuterStep: constant(.01)}, bilevel.Counts{GradF: 5 * 77, GradG: 5 * 11 * 131}},
		{BVFSM{Value: constant(.1), InnerStep: constant(.1), OuterStep: constant(.01)},
			bilevel.Counts{GradF: 5 * 11 * 77, GradG: 5 * 22 * 131, ValueG: 5 * 11 * 131}},
	} {
		if got := minimize(t, c.m, p, bilevel.Settings{MaxSteps: 5}).Counts; got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.m, got, c.want)
		}
	}
	// Automatic steps: what the objectives see is what is counted.
	for _, m := range []bilevel.Method{BOME{}, BOME{Batch: 8, Control: GapControl}, BOME{Batch: 8, Anchored: true}, BSG1{},
		BVFSM{}} {
		seen := &bilevel.Counts{}
		q := *p
		q.Inner, q.Outer = counting{p.Inner, &seen.GradG, &seen.ValueG}, counting{p.Outer, &seen.GradF, &seen.ValueF}
		if got := follow(t, m, &q, bilevel.Point{}, 1000).Counts(); got != *seen {
			t.Errorf("%+v: counts %+v, the objectives saw %+v", m, got, *seen)
		}
		if seen.ValueF == 0 {
			t.Errorf("%+v: h was never estimated", m)
		}
	}
}

func TestBOMEEveryKnobMatters(t *testing.T) {
	p := logistic()
	last := func(m bilevel.Method) []float64 {
		at := minimize(t, m, p, bilevel.Settings{MaxSteps: 50, Seed: 1}).Last
		return append(at.X, at.Z...)
	}
	base := BOME{Batch: 8, InnerSteps: 4, Alpha: constant(.2), InnerStep: decaying(.1, .5), OuterStep: decaying(.02, .6),
		Eta:     .4,
		Epsilon: .01}
	for knob, change := range map[string]func(m *BOME){
		"Batch":            func(m *BOME) { m.Batch = 9 },
		"InnerSteps":       func(m *BOME) { m.InnerSteps = 5 },
		"Alpha.Size":       func(m *BOME) { m.Alpha.Size = .1 },
		"Alpha.Decay":      func(m *BOME) { m.Alpha.Decay = .1 },
		"Alpha, automatic": func(m *BOME) { m.Alpha = stochastic.Rate{} },
		"Inner.Size":       func(m *BOME) { m.InnerStep.Size = .2 },
		"Inner, automatic": func(m *BOME) { m.InnerStep = stochastic.Rate{} },
		"Outer.Size":       func(m *BOME) { m.OuterStep.Size = .03 },
		"Outer, automatic": func(m *BOME) { m.OuterStep = stochastic.Rate{} },
		"Eta":              func(m *BOME) { m.Eta = .3 },
		"Control":          func(m *BOME) { m.Control = GapControl },
		"Epsilon":          func(m *BOME) { m.Epsilon = .1 },
		"Momentum":         func(m *BOME) { m.Momentum = .1 },
		"Shuffle":          func(m *BOME) { m.Shuffle = true },
		"Anchored":         func(m *BOME) { m.Anchored = true },
	} {
		m := base
		change(&m)
		if slices.Equal(last(m), last(base)) {
			t.Errorf("%s changes nothing", knob)
		}
	}
	if !slices.Equal(last(BOME{Batch: 1000}), last(BOME{})) {
		t.Error("the default batch is not all samples")
	}
}

func TestBOMEWrongConfiguration(t *testing.T) {
	for _, c := range []struct {
		m    bilevel.Method
		want string
	}{
		{BOME{Batch: -1}, "batch"},
		{BOME{InnerSteps: -1}, "inner steps"},
		{BOME{Alpha: constant(-1)}, "approach step size"},
		{BOME{InnerStep: constant(-1)}, "inner step size"},
		{BOME{OuterStep: constant(math.NaN())}, "outer step size"},
		{BOME{Eta: -1}, "η"},
		{BOME{Epsilon: math.Inf(1)}, "ε"},
		{BOME{Control: 2}, "control barrier 2"},
		{BOME{Momentum: 1}, "momentum"},
		{BSG1{Batch: -1}, "batch"},
		{BSG1{InnerSteps: -1}, "inner steps"},
		{BSG1{Epsilon: -1}, "ε"},
		{BSG1{InnerStep: constant(-1)}, "inner step size"},
		{BSG1{OuterStep: constant(-1)}, "outer step size"},
		{BVFSM{Batch: -1}, "batch"},
		{BVFSM{Mu: -1}, "μ"},
		{BVFSM{Theta: math.NaN()}, "θ"},
		{BVFSM{Sigma: -1}, "σ"},
		{BVFSM{Value: constant(-1)}, "value step size"},
		{BVFSM{InnerStep: constant(-1)}, "inner step size"},
		{BVFSM{OuterStep: constant(-1)}, "outer step size"},
		{BVFSM{Horizon: -1}, "horizon"},
		{BVFSM{LowerBound: math.NaN()}, "lower bound"},
	} {
		if _, err := c.m.Start(logistic(), bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %q", c.m, err, c.want)
		}
	}
	for _, m := range []bilevel.Method{BOME{}, BSG1{}, BVFSM{}} {
		if _, err := m.Start(bileveltest.Scalar().FixedPoint("", .1).Problem, bilevel.Point{}, 1); err == nil ||
			!strings.Contains(err.Error(), "fixed point") {
			t.Errorf("%T on a fixed-point problem: %v", m, err)
		}
	}
	run := must(BVFSM{LowerBound: 10}.Start(logistic(), bilevel.Point{}, 1))
	if err := run.Step(context.Background()); err == nil || !strings.Contains(err.Error(), "LowerBound") {
		t.Errorf("a barrier without room: %v", err)
	}
}

// A run that is loaded, in the middle of a stretch, is the one that was saved, in every variable.
func TestBOMECheckpointsAreComplete(t *testing.T) {
	p := logistic()
	for _, m := range []bilevel.Method{BOME{Momentum: .3}, BOME{Batch: 16}, BOME{Batch: 2, Anchored: true}, BSG1{},
		BVFSM{}} {
		s := bilevel.Settings{Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true,
			Start: bilevel.Point{X: fill(6, -2)}, MaxSteps: 501}
		var kept [2]bilevel.Run
		for i := range kept { // no steps are left for the second, which starts elsewhere
			s.Start.X = fill(6, -2+float64(i))
			minimize(t, shown{m, func(r bilevel.Run) { kept[i] = r }}, p, s)
		}
		for _, run := range kept {
			c := coreOf(run)
			c.p, c.g, c.f = nil, level{}, level{}
			forgetScratch(c.auto)
			c.dy, c.dz, c.dx = nil, nil, nil
			if r, ok := run.(*bomeRun); ok {
				r.fz, r.fx, r.deltaZ, r.deltaX, r.qz, r.qx = nil, nil, nil, nil, nil, nil
				if r.anchor != nil {
					r.anchor.cz, r.anchor.cx = nil, nil
				}
			}
			if r, ok := run.(*bsg1Run); ok {
				r.gx = nil
			}
			if r, ok := run.(*bvfsmRun); ok {
				r.dy, r.dz, r.gz, r.gx = nil, nil, nil, nil
			}
		}
		if norm(coreOf(kept[0]).auto.Sum) == 0 {
			t.Errorf("%+v: a run too simple to test", m)
		}
		if !reflect.DeepEqual(kept[0], kept[1]) {
			t.Errorf("%+v: saved\n%+v\nloaded\n%+v", m, kept[0], kept[1])
		}
	}
}

func coreOf(run bilevel.Run) *core {
	switch r := run.(type) {
	case *bomeRun:
		return r.core
	case *bsg1Run:
		return r.core
	case *bvfsmRun:
		return r.core
	}
	return nil
}

// shown shows the run that it starts.
type shown struct {
	bilevel.Method
	show func(bilevel.Run)
}

func (s shown) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	run, err := s.Method.Start(p, at, seed)
	if err == nil {
		s.show(run)
	}
	return run, err
}

func TestBOMEResumesBitForBit(t *testing.T) {
	c := bileveltest.Quadratic(3, 5, 60, 50, 22)
	for _, m := range []bilevel.Method{BOME{Momentum: .5}, BOME{Batch: 16, Shuffle: true, Control: GapControl},
		BOME{Batch: 1, Anchored: true}, BSG1{}, BVFSM{LowerBound: -100, Horizon: 7}} {
		whole := minimize(t, m, c.Problem, bilevel.Settings{MaxSteps: 900, Seed: 1})
		s := bilevel.Settings{Seed: 1, Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true}
		var last *bilevel.Result
		for s.MaxSteps = 150; s.MaxSteps <= 900; s.MaxSteps += 150 {
			last = minimize(t, m, c.Problem, s)
		}
		if !slices.Equal(last.Last.X, whole.Last.X) || !slices.Equal(last.Last.Z, whole.Last.Z) ||
			last.Counts != whole.Counts {
			t.Errorf("%+v: x = %v after being resumed, %v without", m, last.Last.X, whole.Last.X)
		}
	}
}

func TestBOMEOnScalesAndStarts(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 60, 50, 6)
	for _, s := range []struct{ f, g float64 }{{1, 1}, {1e4, 1e-4}, {1e-4, 1e4}} {
		for _, far := range []float64{0, 1000} {
			p := &bilevel.Problem{Outer: scaled{c.Problem.Outer, s.f}, Inner: scaled{c.Problem.Inner, s.g}}
			at := bilevel.Point{Z: fill(6, far), X: fill(3, -far)}
			before := c.Solve(at.X).Value - c.Value
			res := minimize(t, BOME{InnerSteps: 30}, p, bilevel.Settings{MaxSteps: 2500, Start: at})
			if left := (c.Solve(res.Last.X).Value - c.Value) / before; !(left <= .01) {
				t.Errorf("f·%g, g·%g, start %g: %.3g of h − h* is left", s.f, s.g, far, left)
			}
		}
	}
}

// A strength per feature, in a box whose upper end makes coordinates of g stiffer than others by e¹².
func TestBOMEOnStiffRegularisers(t *testing.T) {
	p := logistic()
	e := must(hypergrad.NewEvaluator(p, nil))
	best := minimize(t, hypergrad.HOAG{}, p, bilevel.Settings{MaxSteps: 300, Start: bilevel.Point{X: fill(6, -3)}}).Value
	for _, from := range []float64{-3, 2, 11} {
		at := bilevel.Point{X: fill(6, from)}
		before := must(e.Evaluate(context.Background(), nil, at.X))
		for _, m := range []BOME{{}, {Batch: 64}} {
			res := minimize(t, m, p, bilevel.Settings{MaxSteps: 4000, Seed: 1, Start: at})
			if left := (must(e.Evaluate(context.Background(), nil, res.Last.X)) - best) / (before - best); !(left < .05) {
				t.Errorf("from %g, batch %d: %.3g of h − h* is left", from, m.Batch, left)
			}
		}
	}
}

func TestBOMERecovers(t *testing.T) {
	for _, m := range []BOME{{InnerSteps: 20}, {InnerSteps: 20, OuterStep: constant(.05)}} {
		recovers(t, m, 4000)
	}
}

func TestBOMEExplicitDivergenceIsAnError(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	m := BOME{Alpha: constant(50), InnerStep: constant(50), OuterStep: constant(50)}
	_, err := bilevel.Minimize(t.Context(), c.Problem, m, bilevel.Settings{MaxSteps: 10000})
	var e *bilevel.NonFiniteError
	if !errors.As(err, &e) {
		t.Errorf("error %v, want a NonFiniteError", err)
	}
}

// Blocks' values, each with its weight and its probability in a shuffled pass, make the value over all samples.
func TestValuesAreUnbiased(t *testing.T) {
	z, x := []float64{.3, -1, .2, 2, -.4, .1}, []float64{-1, 0, 1, .5, -2, .3}
	o := logistic().Inner
	l := must(newLevel(o))
	part := sampling.NewPartition(o.Samples(), 8)
	mean, blocks := 0.0, float64(part.Blocks())
	for i := range part.Blocks() {
		b := part.Block(i)
		mean += l.value(z, x, b, blocks*part.Share(b)) / blocks
	}
	if want := o.Value(z, x, bilevel.All(o)); math.Abs(mean-want) > 1e-13 {
		t.Errorf("the mean of the blocks is %.15g, the value %.15g", mean, want)
	}
}
