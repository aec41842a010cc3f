package valuefn

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/stochastic"
)

var constant, decaying = stochastic.Constant, stochastic.Decaying

func TestConformance(t *testing.T) {
	cases := bileveltest.Cases()
	for _, c := range []struct {
		name string
		m    bilevel.Method
		o    bileveltest.MethodOptions
	}{
		// Tolerances are those of the bias O(1/λ), which is squared in h − h*, or of the noise.
		{"full batch", F2SA{Batch: 1000}, bileveltest.MethodOptions{Steps: 1500, Tol: 5e-4, Horizon: 50}},
		{"larger λ", F2SA{Batch: 1000, Lambda: Multiplier{Size: 300}},
			bileveltest.MethodOptions{Steps: 3000, Tol: 5e-5, Cases: cases[1:3]}},
		{"zero value", F2SA{}, bileveltest.MethodOptions{Stochastic: true, Steps: 4000, Tol: .1, Horizon: 150}},
		{"explicit", F2SA{Batch: 4, InnerSteps: 5, Lambda: Multiplier{5, 1. / 7}, InnerStep: decaying(.2, .4),
			OuterStep: decaying(.1, .5)}, bileveltest.MethodOptions{Stochastic: true, Steps: 20000, Tol: .3, Horizon: 100,
			Cases: cases[:4]}},
	} {
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}

// firstOrder has nothing but values and gradients, and fails the test where anything else is asked for.
type firstOrder struct{ o bilevel.Objective }

func (f firstOrder) Dims() (d, p int)                              { return f.o.Dims() }
func (f firstOrder) Samples() int                                  { return f.o.Samples() }
func (f firstOrder) Value(z, x []float64, b bilevel.Batch) float64 { return f.o.Value(z, x, b) }
func (f firstOrder) Grad(dz, dx, z, x []float64, b bilevel.Batch)  { f.o.Grad(dz, dx, z, x, b) }
func (f firstOrder) Split() (sampled, exact bilevel.Objective)     { return f, nil }
func (firstOrder) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	panic("second derivatives")
}

func TestFirstOrderOnly(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	p := *c.Problem
	p.Inner, p.Outer = firstOrder{p.Inner}, firstOrder{p.Outer}
	got := minimize(t, F2SA{Batch: 8}, &p, bilevel.Settings{MaxSteps: 300, Seed: 1})
	want := minimize(t, F2SA{Batch: 8}, c.Problem, bilevel.Settings{MaxSteps: 300, Seed: 1})
	if !slices.Equal(got.Last.X, want.Last.X) {
		t.Errorf("x = %v, and %v of an objective with second derivatives", got.Last.X, want.Last.X)
	}
	p.Inner = onlyGradients{p.Inner}
	minimize(t, F2SA{Batch: 8}, &p, bilevel.Settings{MaxSteps: 3})
}

// onlyGradients has no Products.
type onlyGradients struct{ bilevel.Objective }

func minimize(t testing.TB, m bilevel.Method, p *bilevel.Problem, s bilevel.Settings) *bilevel.Result {
	t.Helper()
	res, err := bilevel.Minimize(context.Background(), p, m, s)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// With all samples and constant λ the fixed point is the minimiser of the penalised problem, which is off by O(1/λ).
func TestBiasIsOfOrderOneOverLambda(t *testing.T) {
	for _, c := range []bileveltest.Case{bileveltest.Quadratic(2, 3, 30, 36, 1), bileveltest.Quadratic(3, 5, 30, 36, 22)} {
		var logs, errs []float64
		for _, lambda := range []float64{50, 150, 450} {
			m := F2SA{Batch: 1000, InnerSteps: 20, Lambda: Multiplier{Size: lambda}, InnerStep: constant(.5),
				OuterStep: constant(3 / lambda)}
			run, err := m.Start(c.Problem, bilevel.Point{Z: c.Solve(c.X).Z, X: c.X}, 1)
			if err != nil {
				t.Fatal(err)
			}
			for k, moved := 0, math.Inf(1); moved > 1e-3*distance(run.Point().X, c.X); k++ {
				if k == 200 {
					t.Fatalf("%s, λ = %g: x still moves by %g in 100 steps", c.Name, lambda, moved)
				}
				before := run.Point().X
				for range 100 {
					if err := run.Step(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				moved = distance(run.Point().X, before)
			}
			errs = append(errs, distance(run.Point().X, c.X))
			logs = append(logs, math.Log10(lambda))
		}
		for i := range errs[1:] {
			slope := math.Log10(errs[i+1]/errs[i]) / (logs[i+1] - logs[i])
			t.Logf("%s: ‖x − x*‖ = %.3g at λ = 10^%.2f, %.3g at 10^%.2f: slope %.3f",
				c.Name, errs[i], logs[i], errs[i+1], logs[i+1], slope)
			if !(math.Abs(slope+1) < .1) {
				t.Errorf("%s: the error falls with slope %.3f, want −1 ± 0.1", c.Name, slope)
			}
		}
	}
}

func distance(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(s)
}

// logistic has 131 training and 77 validation rows, so that last blocks are short, and one strength per feature.
func logistic() *bilevel.Problem {
	const d = 6
	rng := rand.New(rand.NewPCG(1, 1))
	data := func(n int) *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			t := rng.NormFloat64()
			for j := range d {
				a.Row(i)[j] = rng.NormFloat64()
				t += a.Row(i)[j] / float64(1+j)
			}
			y[i] = math.Copysign(1, t)
		}
		return must(model.NewLogistic(a, y, d))
	}
	g, f := data(131), data(77)
	pen := must(model.NewPenalty(g.Layout(), model.PerFeature, model.PenaltyOptions{}))
	return &bilevel.Problem{Inner: must(model.Regularize(g, pen)), Outer: f, Lower: fill(d, -12), Upper: fill(d, 12)}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func fill(n int, v float64) []float64 { return slices.Repeat([]float64{v}, n) }

// The blocks' estimates, each with its probability, make the gradient of all samples.
func TestEstimatesAreUnbiased(t *testing.T) {
	z, x := []float64{.3, -1, .2, 2, -.4, .1}, []float64{-1, 0, 1, .5, -2, .3}
	for _, c := range []struct {
		name string
		o    bilevel.Objective
	}{
		{"regularised logistic", logistic().Inner},
		{"logistic", logistic().Outer},
		{"quadratic", bileveltest.Quadratic(6, 3, 131, 60, 6).Problem.Inner},
	} {
		l := must(newLevel(c.o))
		d, p := c.o.Dims()
		want := [2][]float64{fill(d, 0), fill(p, 0)}
		c.o.Grad(want[0], want[1], z, x[:p], bilevel.All(c.o))
		part := sampling.NewPartition(c.o.Samples(), 8)
		for _, shuffle := range []bool{false, true} {
			mean := [2][]float64{fill(d, 0), fill(p, 0)}
			for i := range part.Blocks() {
				b := part.Block(i)
				prob, w := part.Share(b), 1.
				if shuffle {
					prob, w = 1/float64(part.Blocks()), float64(part.Blocks())*part.Share(b)
				}
				dz, dx := fill(d, 7), fill(p, 7)
				l.grad(dz, dx, z, x[:p], b, w)
				for k, g := range [][]float64{dz, dx} {
					for j := range g {
						mean[k][j] += prob * g[j]
					}
				}
				one := fill(d, 0)
				if l.grad(one, nil, z, x[:p], b, w); !slices.Equal(one, dz) {
					t.Errorf("%s, shuffle %v, block %d: ∇z depends on whether ∇x is asked for", c.name, shuffle, i)
				}
				one = fill(p, 0)
				if l.grad(nil, one, z, x[:p], b, w); !slices.Equal(one, dx) {
					t.Errorf("%s, shuffle %v, block %d: ∇x depends on whether ∇z is asked for", c.name, shuffle, i)
				}
			}
			for k := range mean {
				for j := range mean[k] {
					if !(math.Abs(mean[k][j]-want[k][j]) <= 1e-13*(1+math.Abs(want[k][j]))) {
						t.Errorf("%s, shuffle %v: the mean of the estimates is %v, the gradient %v", c.name, shuffle, mean[k], want[k])
						break
					}
				}
			}
		}
	}
}

// The strengths of a regularised loss have the same derivative whatever batch is drawn and whatever its weight.
func TestRegularisersAreNotSampled(t *testing.T) {
	l := must(newLevel(logistic().Inner))
	z, x := []float64{.3, -1, .2, 2, -.4, .1}, []float64{-1, 0, 1, .5, -2, .3}
	for _, w := range []float64{1, .7, 1.3} {
		dx := fill(6, 7)
		l.grad(nil, dx, z, x, bilevel.Batch{Lo: 40, Hi: 45}, w)
		for j := range x {
			if want := math.Exp(x[j]) * z[j] * z[j] / 2; math.Abs(dx[j]-want) > 1e-14*want {
				t.Errorf("weight %g: ∂g/∂x[%d] = %v, want the regulariser's %v", w, j, dx[j], want)
			}
		}
	}
}

// Far enough for all rules of the automatic steps to have acted.
func TestResumeBitForBit(t *testing.T) {
	c := bileveltest.Quadratic(3, 5, 60, 50, 22)
	for _, m := range []F2SA{{Batch: 1000}, {Batch: 4, Shuffle: true}} {
		whole := minimize(t, m, c.Problem, bilevel.Settings{MaxSteps: 1500, Seed: 1})
		s := bilevel.Settings{Seed: 1, Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true}
		var last *bilevel.Result
		for s.MaxSteps = 250; s.MaxSteps <= 1500; s.MaxSteps += 250 {
			last = minimize(t, m, c.Problem, s)
		}
		if !slices.Equal(last.Last.X, whole.Last.X) || !slices.Equal(last.Last.Z, whole.Last.Z) ||
			last.Counts != whole.Counts {
			t.Errorf("%+v: x = %v after being resumed, %v without", m, last.Last.X, whole.Last.X)
		}
	}
}

// spied shows the run that it starts, with inner steps that are a hundred times too large.
type spied struct {
	F2SA
	show func(*f2saRun)
}

func (s spied) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	run, err := s.F2SA.Start(p, at, seed)
	if err == nil {
		r := run.(*f2saRun)
		r.auto.Safety = 100
		r.auto.setSteps()
		s.show(r)
	}
	return run, err
}

// A run that is loaded, in the middle of a stretch, is the one that was saved, in every variable.
func TestCheckpointsAreComplete(t *testing.T) {
	p := logistic()
	for _, m := range []F2SA{{Batch: 1000}, {Batch: 16}} {
		s := bilevel.Settings{Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true,
			Start: bilevel.Point{X: fill(6, -2)}}
		var kept [2]*f2saRun
		for i := range kept {
			s.MaxSteps = 1001 // none are left for the second
			minimize(t, spied{m, func(r *f2saRun) { kept[i] = r }}, p, s)
		}
		a, b := kept[0], kept[1]
		if a.auto.Restarts == 0 || !a.auto.Moving || norm(a.auto.Sum) == 0 {
			t.Errorf("%+v: a run too simple to test: %+v", m, a.auto)
		}
		for _, r := range kept {
			forgetScratch(r.auto)
		}
		if !reflect.DeepEqual(a.auto, b.auto) {
			t.Errorf("%+v: saved\n%+v\nloaded\n%+v", m, a.auto, b.auto)
		}
		if !slices.Equal(a.y, b.y) || a.Lambda != b.Lambda || a.t != b.t || a.Counts() != b.Counts() {
			t.Errorf("%+v: y, λ, the step or the counts are not loaded", m)
		}
	}
}

// With all samples in a batch a step is the formula.
func TestStepIsTheFormula(t *testing.T) {
	p := logistic()
	all, allF := bilevel.All(p.Inner), bilevel.All(p.Outer)
	z, x := fill(6, .3), fill(6, -1)
	m := F2SA{Batch: 1000, InnerSteps: 2, Lambda: Multiplier{3, .5}, InnerStep: decaying(.5, .4), OuterStep: decaying(.2,
		.7)}
	run, err := m.Start(p, bilevel.Point{Z: z, X: x}, 1)
	if err != nil {
		t.Fatal(err)
	}
	y := slices.Clone(z)
	grad := func(o bilevel.Objective, z []float64, b bilevel.Batch) (dz, dx []float64) {
		dz, dx = fill(6, 0), fill(6, 0)
		o.Grad(dz, dx, z, x, b)
		return dz, dx
	}
	for k := range 3 {
		s := float64(k + 1)
		lambda, beta, gamma := 3*math.Sqrt(s), .5/math.Pow(s, .4), .2/math.Pow(s, .7)
		alpha := beta / (2 * lambda)
		for range 2 {
			gy, _ := grad(p.Inner, y, all)
			fy, _ := grad(p.Outer, y, allF)
			gz, _ := grad(p.Inner, z, all)
			for i := range y {
				y[i] -= alpha * (lambda*gy[i] + fy[i])
				z[i] -= beta * gz[i]
			}
		}
		_, gy := grad(p.Inner, y, all)
		_, fy := grad(p.Outer, y, allF)
		_, gz := grad(p.Inner, z, all)
		for j := range x {
			x[j] -= gamma * (fy[j] + lambda*(gy[j]-gz[j]))
		}
		if err := run.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		at := run.Point()
		for i := range x {
			if math.Abs(at.X[i]-x[i]) > 1e-14 || math.Abs(at.Z[i]-z[i]) > 1e-14 || math.Abs(run.(*f2saRun).y[i]-y[i]) > 1e-14 {
				t.Fatalf("step %d: x = %v, z = %v, y = %v; want %v, %v, %v", k+1, at.X, at.Z, run.(*f2saRun).y, x, z, y)
			}
		}
	}
}

func TestCounts(t *testing.T) {
	p := logistic()
	explicit := F2SA{Lambda: Multiplier{Size: 10}, InnerStep: constant(.1), OuterStep: constant(.01)}
	all, one := explicit, explicit
	all.Batch, all.InnerSteps = 1000, 3
	one.Batch = 1
	for _, c := range []struct {
		m    F2SA
		want bilevel.Counts
	}{
		{all, bilevel.Counts{GradF: 5 * (3 + 1) * 77, GradG: 5 * (2*3 + 2) * 131}},
		{one, bilevel.Counts{GradF: 5 * (10 + 1), GradG: 5 * (2*10 + 2)}},
	} {
		if got := minimize(t, c.m, p, bilevel.Settings{MaxSteps: 5}).Counts; got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.m, got, c.want)
		}
	}
	// Automatic steps: what the objectives see is what is counted.
	seen := &bilevel.Counts{}
	q := *p
	q.Inner, q.Outer = counting{p.Inner, &seen.GradG, &seen.ValueG}, counting{p.Outer, &seen.GradF, &seen.ValueF}
	if got := follow(t, F2SA{Batch: 8}, &q, bilevel.Point{}, 3000).Counts(); got != *seen {
		t.Errorf("counts %+v, the objectives saw %+v", got, *seen)
	}
	if seen.ValueF == 0 || seen.ValueG == 0 {
		t.Error("h was never estimated")
	}
}

// counting counts the samples that oracle calls visit.
type counting struct {
	bilevel.Objective
	grads, values *int64
}

func (c counting) Value(z, x []float64, b bilevel.Batch) float64 {
	*c.values += int64(b.Len())
	return c.Objective.Value(z, x, b)
}

func (c counting) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	*c.grads += int64(b.Len())
	c.Objective.Grad(dz, dx, z, x, b)
}

func TestEveryKnobMatters(t *testing.T) {
	p := logistic()
	last := func(m F2SA) []float64 {
		at := minimize(t, m, p, bilevel.Settings{MaxSteps: 50, Seed: 1}).Last
		return append(at.X, at.Z...)
	}
	base := F2SA{Batch: 8, InnerSteps: 4, Lambda: Multiplier{5, .1}, InnerStep: decaying(.1, .5), OuterStep: decaying(.02,
		.6)}
	for _, c := range []struct {
		knob   string
		change func(m *F2SA)
	}{
		{"Batch", func(m *F2SA) { m.Batch = 9 }},
		{"InnerSteps", func(m *F2SA) { m.InnerSteps = 5 }},
		{"Lambda.Size", func(m *F2SA) { m.Lambda.Size = 6 }},
		{"Lambda.Growth", func(m *F2SA) { m.Lambda.Growth = .2 }},
		{"Lambda, automatic", func(m *F2SA) { m.Lambda = Multiplier{} }},
		{"Inner.Size", func(m *F2SA) { m.InnerStep.Size = .2 }},
		{"Inner.Decay", func(m *F2SA) { m.InnerStep.Decay = .4 }},
		{"Inner, automatic", func(m *F2SA) { m.InnerStep = stochastic.Rate{} }},
		{"Outer.Size", func(m *F2SA) { m.OuterStep.Size = .03 }},
		{"Outer.Decay", func(m *F2SA) { m.OuterStep.Decay = .5 }},
		{"Outer, automatic", func(m *F2SA) { m.OuterStep = stochastic.Rate{} }},
		{"Shuffle", func(m *F2SA) { m.Shuffle = true }},
		{"Clip", func(m *F2SA) { m.Clip = .1 }},
	} {
		m := base
		c.change(&m)
		if slices.Equal(last(m), last(base)) {
			t.Errorf("%s changes nothing", c.knob)
		}
	}
	m := base
	m.Clip = 1e9
	if !slices.Equal(last(m), last(base)) {
		t.Error("a clip that never binds changes the run")
	}
}

func TestWrongConfiguration(t *testing.T) {
	for _, c := range []struct {
		m    F2SA
		want string
	}{
		{F2SA{Batch: -1}, "batch"},
		{F2SA{InnerSteps: -1}, "inner steps"},
		{F2SA{Lambda: Multiplier{Size: -1}}, "multiplier"},
		{F2SA{Lambda: Multiplier{Size: math.Inf(1)}}, "multiplier"},
		{F2SA{Lambda: Multiplier{1, -1}}, "exponent"},
		{F2SA{Lambda: Multiplier{0, 1}}, "no Size"},
		{F2SA{InnerStep: constant(-1)}, "inner step size"},
		{F2SA{OuterStep: constant(math.NaN())}, "outer step size"},
		{F2SA{Clip: -1}, "clipping"},
	} {
		if _, err := c.m.Start(logistic(), bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %q", c.m, err, c.want)
		}
	}
	p := bileveltest.Scalar().FixedPoint("", .1).Problem
	if _, err := (F2SA{}).Start(p, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), "fixed point") {
		t.Errorf("on a fixed-point problem: %v", err)
	}
	p = logistic()
	p.Inner = badSplit{p.Inner}
	if _, err := (F2SA{}).Start(p, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), "Split") {
		t.Errorf("with an exact part of 131 samples: %v", err)
	}
}

type badSplit struct{ bilevel.Objective }

func (b badSplit) Split() (sampled, exact bilevel.Objective) { return b.Objective, b.Objective }

func TestExplicitDivergenceIsAnError(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 240, 200, 6)
	m := F2SA{Batch: 8, Lambda: Multiplier{Size: 10}, InnerStep: constant(50), OuterStep: constant(1)}
	_, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{MaxSteps: 10000})
	var e *bilevel.NonFiniteError
	if !errors.As(err, &e) {
		t.Errorf("error %v, want a NonFiniteError", err)
	}
}

// recovers tests that a run whose automatic inner steps are a hundred times too large comes back and says so.
func recovers(t *testing.T, m bilevel.Method, steps int) {
	t.Helper()
	c := bileveltest.Quadratic(6, 3, 60, 50, 6)
	run := must(m.Start(c.Problem, bilevel.Point{X: fill(3, 5)}, 1))
	var r *core
	switch run := run.(type) {
	case *f2saRun:
		r = run.core
	case *bomeRun:
		r = run.core
	}
	r.auto.Safety = 100
	r.auto.setSteps()
	for range steps {
		if err := run.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	start := c.Solve(fill(3, 5)).Value - c.Value
	if left := (c.Solve(run.Point().X).Value - c.Value) / start; !(left < .05) {
		t.Errorf("%+v: %.3g of h − h* is left", m, left)
	}
	notes := run.(bilevel.Noter).Notes()
	if len(notes) < 3 || !strings.Contains(notes[0], "halved") {
		t.Errorf("%+v: notes %q", m, notes)
	}
	if n := run.(bilevel.Noter).Notes(); n != nil {
		t.Errorf("notes are told twice: %q", n)
	}
}

func TestAutoRecovers(t *testing.T) {
	for _, m := range []F2SA{{Batch: 1000}, {Batch: 16}, {Batch: 16, OuterStep: constant(.002)}} {
		recovers(t, m, 5000)
	}
}

// scaled is s·o.
type scaled struct {
	bilevel.Objective
	s float64
}

func (c scaled) Value(z, x []float64, b bilevel.Batch) float64 {
	return c.s * c.Objective.Value(z, x, b)
}

func (c scaled) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	c.Objective.Grad(dz, dx, z, x, b)
	for _, d := range [][]float64{dz, dx} {
		for i := range d {
			d[i] *= c.s
		}
	}
}

func TestAutoOnScalesAndStarts(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 60, 50, 6)
	for _, s := range []struct{ f, g float64 }{{1, 1}, {1e4, 1e-4}, {1e-4, 1e4}} {
		for _, far := range []float64{0, 1000} {
			p := &bilevel.Problem{Outer: scaled{c.Problem.Outer, s.f}, Inner: scaled{c.Problem.Inner, s.g}}
			at := bilevel.Point{Z: fill(6, far), X: fill(3, -far)}
			before := c.Solve(at.X).Value - c.Value
			for _, v := range []struct {
				m   F2SA
				tol float64
			}{{F2SA{Batch: 1000}, 1e-3}, {F2SA{Batch: 16}, .05}} {
				res := minimize(t, v.m, p, bilevel.Settings{MaxSteps: 2500, Seed: 1, Start: at})
				if left := (c.Solve(res.Last.X).Value - c.Value) / before; !(left <= v.tol) {
					t.Errorf("%+v, f·%g, g·%g, start %g: %.3g of h − h* is left, want at most %g", v.m, s.f, s.g, far, left, v.tol)
				}
			}
		}
	}
}

// A strength per feature, in a box whose upper end makes coordinates of g stiffer than others by e¹².
func TestAutoOnStiffRegularisers(t *testing.T) {
	p := logistic()
	e := must(hypergrad.NewEvaluator(p, nil))
	best := minimize(t, hypergrad.HOAG{}, p, bilevel.Settings{MaxSteps: 300, Start: bilevel.Point{X: fill(6, -3)}}).Value
	for _, from := range []float64{-3, 2, 11} {
		at := bilevel.Point{X: fill(6, from)}
		before := must(e.Evaluate(context.Background(), nil, at.X))
		for _, m := range []F2SA{{Batch: 1000}, {Batch: 16}} {
			res := minimize(t, m, p, bilevel.Settings{MaxSteps: 4000, Seed: 1, Start: at})
			h := must(e.Evaluate(context.Background(), nil, res.Last.X))
			left := (h - best) / (before - best)
			t.Logf("from %g, batch %d: h from %.6f to %.6f, the best known is %.6f", from, m.Batch, before, h, best)
			if !(left < .3) {
				t.Errorf("from %g, batch %d: %.3g of h − h* is left", from, m.Batch, left)
			}
		}
	}
}
