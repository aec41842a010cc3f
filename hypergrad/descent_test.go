package hypergrad_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
)

// fullBatch is deterministic: all samples in a batch, constant rates.
var fullBatch = hypergrad.SID{Batch: 1000, InnerSteps: 30, LinearSteps: 30, InnerStep: hypergrad.Harmonic{Beta: 1},
	LinearStep: hypergrad.Harmonic{Beta: 1}}

func descents() map[string]hypergrad.Descent {
	return map[string]hypergrad.Descent{
		"gradient":           {},
		"momentum":           {Optimizer: hypergrad.Momentum{}},
		"adam":               {Optimizer: hypergrad.Adam{}},
		"cold, exponential":  {Tolerance: hypergrad.Exponential, ColdStart: true, ColdAdjoint: true},
		"constant, momentum": {Optimizer: hypergrad.Momentum{}, Step: .05},
		"steps that grow":    {Estimator: fullBatch, InnerSteps: hypergrad.Log(6), LinearSteps: hypergrad.Log(6)},
	}
}

// The conformance suite: answers, bits, checkpoints, budgets, cancellation.
func TestDescent(t *testing.T) {
	for name, m := range descents() {
		t.Run(name, func(t *testing.T) {
			bileveltest.Method(t, m, bileveltest.MethodOptions{Allocates: true, Horizon: 25, Steps: 2000})
		})
	}
}

// fixedCases are the table as fixed-point problems.
func fixedCases() []bileveltest.Case {
	var list []bileveltest.Case
	for _, c := range bileveltest.Cases() {
		list = append(list, c.FixedPoint(c.Name+", gradient map", .4))
	}
	return append(list, bileveltest.Equilibrium(5, 3, 1))
}

// Stochastic runs on small batches, and ones whose batches are everything.
func TestDescentSID(t *testing.T) {
	rate := hypergrad.Harmonic{Beta: 20, Gamma: 20}
	sampled := hypergrad.SID{Batch: 32, Samples: 1000, InnerSteps: 100, LinearSteps: 100, InnerStep: rate,
		LinearStep: rate}
	for _, v := range []struct {
		name  string
		m     hypergrad.Descent
		cases []bileveltest.Case
	}{
		{"full batch, map", hypergrad.Descent{Estimator: fullBatch}, fixedCases()},
		{"objective", hypergrad.Descent{Estimator: hypergrad.SID{}}, bileveltest.Cases()[1:4]},
		{"momentum, constant, map", hypergrad.Descent{Estimator: sampled, Optimizer: hypergrad.Momentum{}, Step: .02},
			fixedCases()[1:]},
		{"adam", hypergrad.Descent{Estimator: sampled, Optimizer: hypergrad.Adam{}}, bileveltest.Cases()[1:4]},
	} {
		t.Run(v.name, func(t *testing.T) {
			o := bileveltest.MethodOptions{Cases: v.cases, Allocates: true, Horizon: 8}
			if v.m.Estimator != fullBatch {
				o.Stochastic, o.Tol, o.Steps = true, 1e-2, 600
			}
			bileveltest.Method(t, v.m, o)
		})
	}
}

// HOAG takes any estimator, on objectives and maps, and ends by itself also where the estimator reads no
// tolerances.
func TestHOAGEstimators(t *testing.T) {
	for name, v := range map[string]struct {
		e     hypergrad.Estimator
		cases []bileveltest.Case
		tol   float64
	}{
		"itd":               {hypergrad.ITD{Steps: 400}, bileveltest.Cases(), 1e-6},
		"itd, truncated":    {hypergrad.ITD{Dynamics: inner.Nesterov{}, Steps: 200, Truncate: 50}, bileveltest.Cases(), 1e-2},
		"itd, map":          {hypergrad.ITD{Steps: 600}, fixedCases(), 1e-6},
		"sid, map":          {hypergrad.SID{InnerSteps: 300, LinearSteps: 300}, fixedCases()[1:3], 1e-2},
		"sid, full batches": {hypergrad.SID{Batch: 1000}, fixedCases(), 1e-6},
	} {
		for _, c := range v.cases {
			res, err := bilevel.Minimize(context.Background(), c.Problem, hypergrad.HOAG{Estimator: v.e},
				bilevel.Settings{Start: c.Start, MaxSteps: 600})
			if err != nil {
				t.Errorf("%s, %s: %v", name, c.Name, err)
				continue
			}
			start, err := c.Problem.StartPoint(c.Start)
			if err != nil {
				t.Fatal(err)
			}
			if before, after := c.Solve(start.X).Value-c.Value, c.Solve(res.Point.X).Value-c.Value; after > v.tol*before {
				t.Errorf("%s, %s: h − h* = %.3g after %d steps, %.3g before", name, c.Name, after, res.Steps, before)
			}
			if res.Reason != bilevel.Done {
				t.Errorf("%s, %s: %v after %d steps", name, c.Name, res.Reason, res.Steps)
			}
		}
	}
}

// spy is an estimator of h(x) = ½ Σ (j+1)x_j², d = 2, that keeps what it is asked and moves z and v by one.
type spy struct {
	asked      []asked
	randomized bool
	rise       int // from this call on every value is larger than the last, if positive
}

type asked struct {
	effort  hypergrad.Effort
	z, v, x float64
}

func (s *spy) Start(p *bilevel.Problem, _ *bilevel.Counts) (hypergrad.Hypergradient, error) {
	return s, nil
}

func (s *spy) Randomized(hypergrad.Effort) bool { return s.randomized }

func (s *spy) At(ctx context.Context, grad []float64, at bilevel.Point,
	effort hypergrad.Effort) (hypergrad.Report, error) {
	s.asked = append(s.asked, asked{effort, at.Z[0], at.V[0], at.X[0]})
	at.Z[0]++
	at.V[0] += 2
	h := 0.0
	for j, x := range at.X {
		grad[j] = float64(j+1) * x
		h += x * grad[j] / 2
	}
	if s.rise > 0 && len(s.asked) >= s.rise {
		h += float64(len(s.asked))
	}
	return hypergrad.Report{Value: h}, nil
}

func spied(t *testing.T, s *spy, m hypergrad.Descent, steps int) (bilevel.Run, []string) {
	t.Helper()
	m.Estimator = s
	c := bileveltest.Quadratic(2, 3, 40, 40, 1)
	run, err := m.Start(c.Problem, bilevel.Point{Z: []float64{10, 0}, V: []float64{20, 0}, X: []float64{4, -2, 1}}, 7)
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	for range steps {
		if err := run.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		notes = append(notes, run.(bilevel.Noter).Notes()...)
	}
	return run, notes
}

// Numbers of steps and samples follow their schedules, seeds follow the outer step.
func TestDescentEffort(t *testing.T) {
	s := &spy{}
	spied(t, s, hypergrad.Descent{Step: .1, InnerSteps: hypergrad.Log(2), LinearSteps: hypergrad.Constant(3),
		Samples: hypergrad.Linear(.3, 25)}, 8)
	seeds := map[uint64]bool{}
	for k, a := range s.asked {
		want := max(1, int(math.Ceil(2*math.Log(float64(k+1)))))
		if a.effort.InnerSteps != want || a.effort.LinearSteps != 3 || a.effort.Samples != 8 {
			t.Errorf("outer step %d asks for %+v, want %d inner steps", k, a.effort, want)
		}
		seeds[a.effort.Seed] = true
	}
	if len(s.asked) != 8 || len(seeds) != 8 {
		t.Errorf("%d evaluations with %d seeds", len(s.asked), len(seeds))
	}
	s = &spy{}
	spied(t, s, hypergrad.Descent{Step: .1}, 3)
	if e := s.asked[2].effort; e.InnerSteps != 0 || e.LinearSteps != 0 || e.Samples != 0 {
		t.Errorf("without schedules it asks for %+v", e)
	}
}

// Warm starts take z and v from where they ended, cold ones from the run's start, each on its own; a trial of a
// randomized search begins where the evaluation it is compared with began, and has its seed.
func TestDescentStarts(t *testing.T) {
	for _, cold := range []bool{false, true} {
		for _, coldV := range []bool{false, true} {
			for _, step := range []float64{.1, 0} {
				s := &spy{}
				spied(t, s, hypergrad.Descent{Step: step, ColdStart: cold, ColdAdjoint: coldV}, 4)
				last := s.asked[len(s.asked)-1]
				if (last.z == 10) != cold || (last.v == 20) != coldV {
					t.Errorf("ColdStart %v, ColdAdjoint %v, Step %v: the last evaluation begins at z = %v, v = %v",
						cold, coldV, step, last.z, last.v)
				}
			}
		}
	}
	s := &spy{randomized: true}
	spied(t, s, hypergrad.Descent{}, 12)
	looks := 0
	for k, a := range s.asked[1:] {
		b := s.asked[k]
		if a.effort.Seed == b.effort.Seed {
			if a.z != b.z || a.v != b.v || a.x == b.x {
				t.Errorf("evaluation %d is a trial and begins at z = %v, v = %v, x = %v, the one before at %v, %v, %v", k+1, a.z,
					a.v, a.x, b.z, b.v, b.x)
			}
		} else if looks++; a.z != b.z+1 || a.v != b.v+2 || a.x != b.x {
			t.Errorf("evaluation %d is of new samples and begins at z = %v, v = %v, x = %v, the one before at %v, %v, %v", k+1,
				a.z, a.v, a.x, b.z, b.v, b.x)
		}
	}
	if looks < 2 {
		t.Errorf("%d looks at new samples in 12 evaluations", looks)
	}
}

// Constant steps are x ← x − α·direction with the formulas of the optimizers.
func TestOptimizers(t *testing.T) {
	start := []float64{4, -2, 1}
	grad := func(x []float64, j int) float64 { return float64(j+1) * x[j] }
	for name, v := range map[string]struct {
		o   hypergrad.Optimizer
		run func(x []float64, j int) // three steps of .1 in coordinate j
	}{
		"gradient": {hypergrad.GD{}, func(x []float64, j int) {
			for range 3 {
				x[j] -= .1 * grad(x, j)
			}
		}},
		"momentum": {hypergrad.Momentum{Mu: .8}, func(x []float64, j int) {
			b := 0.0
			for range 3 {
				b = .8*b + grad(x, j)
				x[j] -= .1 * b
			}
		}},
		"adam": {hypergrad.Adam{Beta1: .7, Beta2: .9, Epsilon: .01}, func(x []float64, j int) {
			m, w := 0.0, 0.0
			for k := 1; k <= 3; k++ {
				g := grad(x, j)
				m, w = .7*m+.3*g, .9*w+.1*g*g
				x[j] -= .1 * m / (1 - math.Pow(.7, float64(k))) / (math.Sqrt(w/(1-math.Pow(.9, float64(k)))) + .01)
			}
		}},
	} {
		want := slices.Clone(start)
		for j := range want {
			v.run(want, j)
		}
		run, _ := spied(t, &spy{}, hypergrad.Descent{Step: .1, Optimizer: v.o}, 4) // the first step evaluates
		if got := run.Point().X; distance(got, want) > 1e-14 {
			t.Errorf("%s: x = %v after three steps, want %v", name, got, want)
		}
	}
}

// A randomized search that lowers its step says so, and says when it gives up the samples.
func TestDescentNotes(t *testing.T) {
	_, notes := spied(t, &spy{randomized: true, rise: 4}, hypergrad.Descent{}, 60)
	lowered, given := 0, 0
	for _, n := range notes {
		if strings.Contains(n, "the step size is lowered") {
			lowered++
		}
		if strings.Contains(n, "new samples") {
			given++
		}
	}
	if lowered < 19 || given < 1 {
		t.Errorf("%d notes about the step size, %d about the samples: %q", lowered, given, notes)
	}
	if _, notes := spied(t, &spy{}, hypergrad.Descent{}, 5); len(notes) > 0 {
		t.Errorf("notes %q of a search by values", notes)
	}
}

// A run by estimates does not claim to know h, and needs a budget.
func TestDescentKnowsNoEstimate(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 200, 200, 3)
	run, err := hypergrad.Descent{Estimator: hypergrad.SID{}}.Start(c.Problem, bilevel.Point{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := run.(bilevel.Progresser); ok {
		t.Error("the run is a Progresser, so that Minimize lets it go on without a budget")
	}
	res, err := bilevel.Minimize(context.Background(), c.Problem, hypergrad.Descent{Estimator: hypergrad.SID{}},
		bilevel.Settings{MaxSteps: 9})
	if err != nil || !math.IsNaN(res.Value) || !slices.Equal(res.Point.X, res.Last.X) {
		t.Errorf("h = %v at x = %v, last %v; %v", res.Value, res.Point.X, res.Last.X, err)
	}
	res, err = bilevel.Minimize(context.Background(), c.Problem,
		hypergrad.Descent{Estimator: hypergrad.SID{Batch: 200, Samples: 200}}, bilevel.Settings{MaxSteps: 9})
	if err != nil || math.IsNaN(res.Value) {
		t.Errorf("full batches: h = %v, %v", res.Value, err)
	}
}

// With few steps at each level ‖∇h‖ falls as long as the run goes on from warm starts, and from cold ones it ends
// at the bias of the hypergradient.
func TestWarmStart(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 60, 50, 3)
	rate := hypergrad.Harmonic{Beta: 1}
	e := hypergrad.SID{Batch: 60, Samples: 60, InnerSteps: 10, LinearSteps: 10, InnerStep: rate, LinearStep: rate}
	for _, cold := range []bool{false, true} {
		m := hypergrad.Descent{Estimator: e, Step: .05, ColdStart: cold, ColdAdjoint: cold}
		var size []float64 // ‖∇h‖
		_, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{MaxSteps: 1600, RecordEvery: 400,
			Recorder: bilevel.RecorderFunc(func(_ bilevel.Record, at bilevel.Point) {
				size = append(size, norm(c.Solve(at.X).Grad))
			})})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("cold %v: ‖∇h‖ = %.3g", cold, size)
		for k := 2; k < len(size); k++ {
			if falls := size[k] < size[k-1]/2; falls == cold {
				t.Errorf("cold starts %v: ‖∇h‖ = %.3g after %d steps and %.3g after %d", cold, size[k-1], 400*(k-1), size[k], 400*k)
			}
		}
	}
}

func TestDescentErrors(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 40, 30, 1)
	for _, m := range []hypergrad.Descent{
		{Step: -1}, {Step: math.NaN()}, {Step: math.Inf(1)}, {FirstTolerance: -1}, {Tolerance: 9},
		{InnerSteps: hypergrad.Constant(-1)}, {LinearSteps: hypergrad.Log(-1)}, {Samples: hypergrad.Log(math.NaN())},
		{Optimizer: hypergrad.Momentum{Mu: 1}}, {Optimizer: hypergrad.Adam{Beta1: -1}}, {Optimizer: hypergrad.Adam{Beta2: 1}},
		{Optimizer: hypergrad.Adam{Epsilon: -1}},
		{Estimator: hypergrad.SID{Batch: -1}},
	} {
		if _, err := m.Start(c.Problem, bilevel.Point{}, 0); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	if _, err := (hypergrad.Descent{}).Start(c.Problem, bilevel.Point{X: []float64{1}}, 0); err == nil {
		t.Error("a start of the wrong length is accepted")
	}
	_, err := bilevel.Minimize(context.Background(), c.Problem,
		hypergrad.Descent{Estimator: hypergrad.SID{Scale: 1e9}, Step: .1}, bilevel.Settings{MaxSteps: 3})
	if want := "lower the rates"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("steps that diverge: %v", fmt.Errorf("%w, want %q", err, want))
	}
}

// With few steps of both levels and warm starts a search goes on until the levels have been solved too.
func TestFewStepsWarm(t *testing.T) {
	e := hypergrad.AID{Inner: inner.GradientDescent{Steps: 5}, Linear: linsolve.CG{Steps: 2}}
	for _, c := range bileveltest.Cases()[:3] {
		for name, m := range map[string]bilevel.Method{"descent": hypergrad.Descent{Estimator: e},
			"hoag": hypergrad.HOAG{Estimator: e}, "adaptive": hypergrad.HOAG{Estimator: e, Step: hypergrad.Adaptive}} {
			res, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{Start: c.Start, MaxSteps: 1000})
			if err != nil {
				t.Fatal(err)
			}
			if gap := c.Solve(res.Last.X).Value - c.Value; gap > 1e-8 || res.Reason != bilevel.Done {
				t.Errorf("%s, %s: h − h* = %.3g, %v after %d steps", name, c.Name, gap, res.Reason, res.Steps)
			}
		}
	}
}

// repelling is Φ(z, x) = 2z + x, whose fixed point −x no iteration finds.
type repelling struct{}

func (repelling) Dims() (d, p int) { return 2, 2 }
func (repelling) Samples() int     { return 1 }

func (repelling) Map(dst, z, x []float64, _ bilevel.Batch) {
	for i := range dst {
		dst[i] = 2*z[i] + x[i]
	}
}

func (repelling) Pull(uz, ux, _, _, u []float64, _ bilevel.Batch) {
	for i := range uz {
		uz[i] = 2 * u[i]
	}
	copy(ux, u)
}

// A run whose inner problem cannot be solved does not say that it converged.
func TestUnsolved(t *testing.T) {
	f := &bilevel.Func{
		InnerDim: 2, OuterDim: 2,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			return ((z[0]-1)*(z[0]-1) + (z[1]+1)*(z[1]+1)) / 2
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0], dz[1] = z[0]-1, z[1]+1
			clear(dx)
		},
	}
	for _, m := range []bilevel.Method{
		hypergrad.Descent{}, hypergrad.HOAG{},
		hypergrad.Descent{Estimator: hypergrad.ITD{Steps: 30}},
	} {
		res, err := bilevel.Minimize(context.Background(), &bilevel.Problem{Outer: f, Fixed: repelling{}}, m,
			bilevel.Settings{MaxSteps: 3000})
		if err == nil || res.Reason != bilevel.Failed {
			t.Errorf("%+v: %v after %d steps, %v", m, res.Reason, res.Steps, err)
		}
	}
}
