package bilevel_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
)

// walk is noisy gradient descent on a known h. It is what the driver's tests drive.
type walk struct {
	Rate  float64
	Noise float64
	// Behaviours at a step.
	DoneAt, FailAt, NaNAt int64
	Cost                  int64 // samples a step, default 10
	Notes                 bool
	Sleep                 time.Duration
	Solve                 func(x []float64) bileveltest.Solution
}

type walkRun struct {
	cfg    walk
	p      *bilevel.Problem
	at     bilevel.Point
	t      int64
	src    *rand.PCG
	counts bilevel.Counts
}

var errWalk = errors.New("lost my way")

func (m walk) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	start, err := p.StartPoint(at)
	if err != nil {
		return nil, err
	}
	if m.Cost == 0 {
		m.Cost = 10
	}
	return &walkRun{cfg: m, p: p, at: start, src: rand.NewPCG(seed, 0)}, nil
}

func (r *walkRun) Step(ctx context.Context) error {
	if r.cfg.DoneAt > 0 && r.t >= r.cfg.DoneAt {
		return bilevel.ErrDone
	}
	if r.cfg.FailAt > 0 && r.t+1 == r.cfg.FailAt {
		return errWalk
	}
	time.Sleep(r.cfg.Sleep)
	rng := rand.New(r.src)
	if r.cfg.Solve != nil {
		s := r.cfg.Solve(r.at.X)
		copy(r.at.Z, s.Z)
		for j := range r.at.X {
			r.at.X[j] -= r.cfg.Rate*s.Grad[j] + r.cfg.Noise*rng.NormFloat64()
		}
	} else {
		r.at.X[0] += rng.NormFloat64()
	}
	r.p.ProjectX(r.at.X)
	r.t++
	r.counts.GradF += r.cfg.Cost
	if r.t == r.cfg.NaNAt {
		r.at.Z[len(r.at.Z)-1] = math.NaN()
	}
	return nil
}

func (r *walkRun) Point() bilevel.Point {
	return bilevel.Point{Z: slices.Clone(r.at.Z), X: slices.Clone(r.at.X), V: slices.Clone(r.at.V)}
}
func (r *walkRun) Counts() bilevel.Counts { return r.counts }

func (r *walkRun) State(s *bilevel.State) {
	s.Fixed(r.at.Z, r.at.X, r.at.V)
	s.Int64(&r.t)
	s.Binary(r.src)
	s.Int64(&r.counts.GradF)
}

func (r *walkRun) Notes() []string {
	if r.cfg.Notes && r.t > 0 {
		return []string{fmt.Sprintf("step %d", r.t)}
	}
	return nil
}

// knowing is walk with Progress.
type knowing struct {
	walk
	value func(step int64) (value, norm float64)
}

type knowingRun struct {
	*walkRun
	value func(step int64) (value, norm float64)
}

func (m knowing) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	r, err := m.walk.Start(p, at, seed)
	if err != nil {
		return nil, err
	}
	return knowingRun{r.(*walkRun), m.value}, nil
}

func (r knowingRun) Progress() (value, gradNorm float64) { return r.value(r.t) }

func minimize(t *testing.T, m bilevel.Method, s bilevel.Settings) *bilevel.Result {
	t.Helper()
	res, err := bilevel.Minimize(context.Background(), bileveltest.Scalar().Problem, m, s)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func steps(trace []bilevel.Record) []int64 {
	var s []int64
	for _, r := range trace {
		s = append(s, r.Step)
	}
	return s
}

func TestStepBudget(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 10, 1000, 4097, 100_000} {
		res := minimize(t, walk{}, bilevel.Settings{MaxSteps: n})
		if res.Steps != n || res.Reason != bilevel.StepBudget || res.Counts.GradF != 10*n {
			t.Errorf("MaxSteps %d: %d steps, %v, %+v", n, res.Steps, res.Reason, res.Counts)
		}
		if last := res.Trace[len(res.Trace)-1]; last.Step != n || last.Counts != res.Counts {
			t.Errorf("MaxSteps %d: the last record is %+v", n, last)
		}
	}
}

func TestSampleBudget(t *testing.T) {
	for _, n := range []int64{1, 10, 11, 9_999, 100_000, 123_456} {
		res := minimize(t, walk{}, bilevel.Settings{MaxSamples: n})
		if want := (n + 9) / 10; res.Steps != want || res.Counts.Total() != 10*want || res.Reason != bilevel.SampleBudget {
			t.Errorf("MaxSamples %d: %d steps, %v; want %d", n, res.Steps, res.Reason, want)
		}
	}
	// The first budget to be used ends the run.
	if res := minimize(t, walk{}, bilevel.Settings{MaxSamples: 1000, MaxSteps: 7}); res.Steps != 7 ||
		res.Reason != bilevel.StepBudget {
		t.Errorf("%d steps, %v", res.Steps, res.Reason)
	}
}

func TestTimeBudget(t *testing.T) {
	res := minimize(t, walk{Sleep: time.Millisecond}, bilevel.Settings{MaxTime: 20 * time.Millisecond})
	if res.Reason != bilevel.TimeBudget || res.Time < 20*time.Millisecond || res.Steps > 20 || res.Steps < 1 {
		t.Errorf("%v after %v, %d steps", res.Reason, res.Time, res.Steps)
	}
	// Time in records does not count.
	slow := bilevel.RecorderFunc(func(bilevel.Record, bilevel.Point) { time.Sleep(30 * time.Millisecond) })
	res = minimize(t, walk{}, bilevel.Settings{MaxSteps: 2, MaxTime: 25 * time.Millisecond, Recorder: slow})
	if res.Reason != bilevel.StepBudget || res.Time > 25*time.Millisecond {
		t.Errorf("%v after %v of steps", res.Reason, res.Time)
	}
}

func TestRecordSchedule(t *testing.T) {
	for _, c := range []struct {
		m     bilevel.Method
		s     bilevel.Settings
		steps []int64
	}{
		{walk{}, bilevel.Settings{MaxSteps: 20}, []int64{0, 1, 2, 4, 8, 16, 20}},
		{walk{}, bilevel.Settings{MaxSteps: 16}, []int64{0, 1, 2, 4, 8, 16}},
		{walk{}, bilevel.Settings{MaxSteps: 35, RecordEvery: 10}, []int64{0, 10, 20, 30, 35}},
		{walk{}, bilevel.Settings{MaxSteps: 30, RecordEvery: 10}, []int64{0, 10, 20, 30}},
		{walk{}, bilevel.Settings{MaxSteps: 3, RecordEvery: 100}, []int64{0, 3}},
		{walk{}, bilevel.Settings{MaxSteps: 101, RecordsPerDecade: 5},
			[]int64{0, 1, 2, 3, 4, 6, 10, 16, 25, 40, 63, 100, 101}},
		{walk{}, bilevel.Settings{MaxSteps: 12, RecordsPerDecade: 1}, []int64{0, 1, 10, 12}},
		{knowing{walk{}, func(t int64) (float64, float64) { return 1, 1 }},
			bilevel.Settings{MaxSteps: 40, RecordsPerDecade: 2}, []int64{0, 1, 3, 10, 32, 40}},
		{walk{}, bilevel.Settings{MaxSamples: 55}, []int64{0, 1, 2, 4, 6}},
		{walk{DoneAt: 5}, bilevel.Settings{MaxSteps: 100}, []int64{0, 1, 2, 4, 5}},
		{knowing{walk{}, func(t int64) (float64, float64) { return 1, 1 }}, bilevel.Settings{MaxSteps: 4},
			[]int64{0, 1, 2, 3, 4}},
		{knowing{walk{}, func(t int64) (float64, float64) { return 1, 1 }}, bilevel.Settings{MaxSteps: 4, RecordEvery: 3},
			[]int64{0, 3, 4}},
	} {
		seen := []int64{}
		c.s.Recorder = bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) { seen = append(seen, r.Step) })
		res := minimize(t, c.m, c.s)
		if !slices.Equal(steps(res.Trace), c.steps) || !slices.Equal(seen, c.steps) {
			t.Errorf("%+v: records at %v, recorder saw %v; want %v", c.m, steps(res.Trace), seen, c.steps)
		}
	}
}

// Steps are made in chunks that grow and shrink with their time; that must not show.
func TestChunksDoNotShow(t *testing.T) {
	points := map[int64]float64{}
	all := minimize(t, walk{}, bilevel.Settings{MaxSteps: 30_000, RecordEvery: 1, Seed: 4,
		Recorder: bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) { points[r.Step] = at.X[0] })})
	if len(points) != 30_001 {
		t.Fatalf("%d records", len(points))
	}
	for _, every := range []int64{0, 3, 1000, 7777} {
		res := minimize(t, walk{}, bilevel.Settings{MaxSteps: 30_000, RecordEvery: every, Seed: 4,
			Recorder: bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) {
				if points[r.Step] != at.X[0] {
					t.Errorf("every %d: x = %v at step %d instead of %v", every, at.X[0], r.Step, points[r.Step])
				}
				if r.Counts.GradF != 10*r.Step {
					t.Errorf("every %d: %+v at step %d", every, r.Counts, r.Step)
				}
			})})
		if res.Last.X[0] != all.Last.X[0] || res.Point.X[0] != all.Point.X[0] {
			t.Errorf("every %d: the result differs", every)
		}
	}
	if other := minimize(t, walk{}, bilevel.Settings{MaxSteps: 30_000, Seed: 5}); other.Last.X[0] == all.Last.X[0] {
		t.Error("the seed does not matter")
	}
}

func TestGradTol(t *testing.T) {
	for _, c := range bileveltest.Cases() {
		m := walk{Rate: 0.2, Solve: c.Solve}
		res, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{
			Start: c.Start, GradTol: 1e-6, MaxSteps: 50_000, Evaluator: c, RecordEvery: 10,
		})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if res.Reason != bilevel.Target || res.GradNorm > 1e-6 || math.Abs(res.Value-c.Value) > 1e-9*(1+math.Abs(c.Value)) {
			t.Errorf("%s: %v after %d steps, h = %v, ‖∇h‖ = %v, h* = %v",
				c.Name, res.Reason, res.Steps, res.Value, res.GradNorm, c.Value)
		}
		if v, _ := c.Evaluate(context.Background(), nil, res.Point.X); v != res.Value {
			t.Errorf("%s: Value is not h at Point", c.Name)
		}
	}
	// At the start already.
	c := bileveltest.Scalar()
	if res := minimize(t, walk{}, bilevel.Settings{Start: bilevel.Point{X: c.X}, GradTol: 1e-6,
		Evaluator: c}); res.Steps != 0 || res.Reason != bilevel.Target {
		t.Errorf("%d steps, %v", res.Steps, res.Reason)
	}
	// By a method that knows; and in the record at the end of another budget.
	m := knowing{walk{}, func(t int64) (float64, float64) { return -float64(t), 1 / float64(t) }}
	if res := minimize(t, m, bilevel.Settings{GradTol: 0.25}); res.Steps != 4 || res.Reason != bilevel.Target ||
		res.Value != -4 || res.GradNorm != 0.25 {
		t.Errorf("%d steps, %v, h = %v, ‖∇h‖ = %v", res.Steps, res.Reason, res.Value, res.GradNorm)
	}
	if res := minimize(t, m, bilevel.Settings{GradTol: 0.2, MaxSteps: 5, RecordEvery: 100}); res.Reason != bilevel.Target {
		t.Errorf("%v", res.Reason)
	}
}

func TestBestPoint(t *testing.T) {
	values := []float64{5, 3, 4, 2, 6, math.NaN()}
	m := knowing{walk{}, func(t int64) (float64, float64) { return values[t], 10 * values[t] }}
	var points []float64
	res := minimize(t, m, bilevel.Settings{MaxSteps: 5,
		Recorder: bilevel.RecorderFunc(func(_ bilevel.Record, at bilevel.Point) { points = append(points, at.X[0]) })})
	if res.Value != 2 || res.GradNorm != 20 || res.Point.X[0] != points[3] || res.Last.X[0] != points[5] {
		t.Errorf("h = %v, ‖∇h‖ = %v, x = %v, last %v of %v", res.Value, res.GradNorm, res.Point.X, res.Last.X, points)
	}
	// Where h is not known, the last point.
	res = minimize(t, walk{}, bilevel.Settings{MaxSteps: 5})
	if !math.IsNaN(res.Value) || !math.IsNaN(res.GradNorm) || res.Point.X[0] != res.Last.X[0] {
		t.Errorf("h = %v, point %v, last %v", res.Value, res.Point, res.Last)
	}
}

func TestNotes(t *testing.T) {
	res := minimize(t, walk{Notes: true}, bilevel.Settings{MaxSteps: 3})
	if res.Trace[0].Notes != nil || !slices.Equal(res.Trace[2].Notes, []string{"step 2"}) {
		t.Errorf("%+v", res.Trace)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := bileveltest.Scalar().Problem
	res, err := bilevel.Minimize(ctx, p, walk{}, bilevel.Settings{MaxTime: time.Minute, RecordEvery: 1,
		Recorder: bilevel.RecorderFunc(func(r bilevel.Record, _ bilevel.Point) {
			if r.Step == 5 {
				cancel()
			}
		})})
	if err != nil || res.Reason != bilevel.Cancelled || res.Steps != 5 || res.Last.X == nil {
		t.Errorf("%+v, %v", res, err)
	}
	// Before the start, and between records.
	res, err = bilevel.Minimize(ctx, p, walk{}, bilevel.Settings{MaxTime: time.Minute})
	if err != nil || res.Reason != bilevel.Cancelled || res.Steps != 0 || len(res.Point.X) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	res, err = bilevel.Minimize(ctx, p, walk{}, bilevel.Settings{MaxTime: time.Minute, RecordEvery: 1 << 40})
	if err != nil || res.Reason != bilevel.Cancelled || len(res.Trace) != 1 || res.Steps == 0 || res.Last.X[0] == 0 ||
		res.Time > 30*time.Second {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestNonFinite(t *testing.T) {
	c := bileveltest.Quadratic(3, 2, 40, 40, 1)
	m := walk{Rate: 0.1, Solve: c.Solve, NaNAt: 5}
	res, err := bilevel.Minimize(context.Background(), c.Problem, m,
		bilevel.Settings{MaxSteps: 100, RecordEvery: 1, Evaluator: c})
	var nf *bilevel.NonFiniteError
	if !errors.As(err, &nf) || nf.Step != 5 || nf.Quantity != "z[2] = NaN" {
		t.Fatalf("error %v", err)
	}
	wantError(t, err, "after step 5, z[2] = NaN")
	if res.Reason != bilevel.Failed || res.Steps != 5 || len(res.Trace) != 5 {
		t.Errorf("%v after %d steps, %d records", res.Reason, res.Steps, len(res.Trace))
	}
	if v, _ := c.Evaluate(context.Background(), nil, res.Point.X); v != res.Value || math.IsNaN(res.Last.Z[2]) ||
		math.IsNaN(res.Point.Z[2]) {
		t.Errorf("the point is not the last good one: %+v", res.Point)
	}

	for _, e := range []struct {
		value, grad float64
		want        string
	}{
		{math.NaN(), 0, "h = NaN"}, {inf, 0, "h = +Inf"}, {-inf, 0, "h = -Inf"}, {1, math.NaN(), "∇h[0] = NaN"},
		{1, inf, "∇h[0] = +Inf"},
	} {
		calls := 0
		ev := evaluator(func(grad, x []float64) (float64, error) {
			calls++
			grad[0] = 1
			if calls < 3 {
				return 7, nil
			}
			grad[0] = e.grad
			return e.value, nil
		})
		p := *bileveltest.Scalar().Problem
		p.Lower, p.Upper = []float64{-1}, []float64{1} // must not hide an infinite gradient
		res, err := bilevel.Minimize(context.Background(), &p, walk{}, bilevel.Settings{MaxSteps: 100, Evaluator: ev})
		if !errors.As(err, &nf) || nf.Step != 2 || nf.Quantity != e.want {
			t.Errorf("error %v; want %s at step 2", err, e.want)
		}
		if res.Value != 7 || res.Reason != bilevel.Failed || len(res.Trace) != 2 {
			t.Errorf("%s: %+v", e.want, res)
		}
	}
	k := knowing{walk{}, func(t int64) (float64, float64) { return math.Inf(-int(t - 2)), 1 }}
	if _, err := bilevel.Minimize(context.Background(), bileveltest.Scalar().Problem, k,
		bilevel.Settings{MaxSteps: 9}); !errors.As(err, &nf) {
		t.Errorf("an infinite value of the method: %v", err)
	}
}

type evaluator func(grad, x []float64) (float64, error)

func (e evaluator) Evaluate(ctx context.Context, grad, x []float64) (float64, error) {
	return e(grad, x)
}

func TestErrors(t *testing.T) {
	ctx, p := context.Background(), bileveltest.Scalar().Problem
	for _, c := range []struct {
		p    *bilevel.Problem
		m    bilevel.Method
		s    bilevel.Settings
		want string
	}{
		{nil, walk{}, bilevel.Settings{MaxSteps: 1}, "no outer objective"},
		{p, nil, bilevel.Settings{MaxSteps: 1}, "the method is nil"},
		{p, walk{}, bilevel.Settings{}, "no budget"},
		{p, walk{}, bilevel.Settings{MaxSteps: -1}, "negative"},
		{p, walk{}, bilevel.Settings{MaxTime: -1}, "negative"},
		{p, walk{}, bilevel.Settings{MaxSamples: -1}, "negative"},
		{p, walk{}, bilevel.Settings{MaxSteps: 1, RecordEvery: -1}, "negative"},
		{p, walk{}, bilevel.Settings{MaxSteps: 1, RecordsPerDecade: -1}, "negative"},
		{p, walk{}, bilevel.Settings{MaxSteps: 1, RecordEvery: 1, RecordsPerDecade: 1}, "both set"},
		{p, walk{}, bilevel.Settings{MaxSteps: 1, CheckpointEvery: -1}, "negative"},
		{p, walk{}, bilevel.Settings{MaxSteps: 1, GradTol: math.NaN()}, "negative"},
		{p, walk{}, bilevel.Settings{MaxSteps: 1, GradTol: 1}, "walk does not know its gradient"},
		{p, walk{}, bilevel.Settings{MaxSteps: 1, Start: bilevel.Point{X: make([]float64, 2)}}, "X has length 2"},
	} {
		res, err := bilevel.Minimize(ctx, c.p, c.m, c.s)
		wantError(t, err, c.want)
		if res != nil {
			t.Errorf("%s: a result", c.want)
		}
	}
	// Errors on the way come with a result.
	res, err := bilevel.Minimize(ctx, p, walk{FailAt: 5}, bilevel.Settings{MaxSteps: 10})
	if !errors.Is(err, errWalk) || res == nil || res.Reason != bilevel.Failed || res.Steps != 4 || len(res.Point.X) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	wantError(t, err, "step 5: lost my way")
	bad := errors.New("no solution")
	res, err = bilevel.Minimize(ctx, p, walk{}, bilevel.Settings{MaxSteps: 10,
		Evaluator: evaluator(func(grad, x []float64) (float64, error) {
			if x[0] != 0 {
				return 0, bad
			}
			return 1, nil
		})})
	if !errors.Is(err, bad) || res.Value != 1 || res.Reason != bilevel.Failed {
		t.Errorf("%+v, %v", res, err)
	}
	wantError(t, err, "evaluating h after step 1")
}

// flaky fails once its value has been asked for.
type flaky struct {
	bilevel.SecondOrder
	err *error
}

func (f flaky) Err() error { return *f.err }

type flakyMap struct {
	bilevel.FixedPoint
	err *error
}

func (f flakyMap) Err() error { return *f.err }

func TestFailer(t *testing.T) {
	lost := errors.New("connection lost")
	g := bileveltest.Scalar().Problem.Inner.(bilevel.SecondOrder)
	for name, build := range map[string]func(err *error) *bilevel.Problem{
		"outer": func(err *error) *bilevel.Problem { return &bilevel.Problem{Outer: flaky{g, err}, Inner: g} },
		"inner": func(err *error) *bilevel.Problem { return &bilevel.Problem{Outer: g, Inner: flaky{g, err}} },
		"fixed": func(err *error) *bilevel.Problem {
			return &bilevel.Problem{Outer: g, Fixed: flakyMap{bilevel.GradientMap{G: g, Eta: 1}, err}}
		},
	} {
		for _, at := range []int64{0, 3} {
			var failure error
			fail := func(r bilevel.Record, _ bilevel.Point) {
				if r.Step == at {
					failure = lost
				}
			}
			if at == 0 {
				failure = lost
			}
			res, err := bilevel.Minimize(context.Background(), build(&failure), walk{},
				bilevel.Settings{MaxSteps: 100, RecordEvery: 1, Recorder: bilevel.RecorderFunc(fail)})
			if !errors.Is(err, lost) || res.Reason != bilevel.Failed || res.Steps > 4 || at == 0 &&
				(res.Steps > 0 || res.Trace != nil) {
				t.Errorf("%s at %d: %+v, %v", name, at, res, err)
			}
		}
		// An evaluation that failed is not convergence; nor does a failing evaluation of h pass.
		var failure error
		_, err := bilevel.Minimize(context.Background(), build(&failure), walk{DoneAt: 2},
			bilevel.Settings{MaxSteps: 100, Recorder: bilevel.RecorderFunc(func(r bilevel.Record, _ bilevel.Point) {
				if r.Step == 2 {
					failure = lost
				}
			})})
		if !errors.Is(err, lost) {
			t.Errorf("%s, done: %v", name, err)
		}
		failure = nil
		_, err = bilevel.Minimize(context.Background(), build(&failure), walk{},
			bilevel.Settings{MaxSteps: 1, Evaluator: evaluator(func(grad, x []float64) (float64, error) {
				failure = lost
				return math.NaN(), nil
			})})
		if !errors.Is(err, lost) {
			t.Errorf("%s, evaluator: %v", name, err)
		}
	}
}

func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for r := bilevel.StepBudget; r <= bilevel.Failed; r++ {
		s := r.String()
		if s == "" || strings.HasPrefix(s, "reason ") || seen[s] {
			t.Errorf("reason %d is %q", int(r), s)
		}
		seen[s] = true
	}
	if s := bilevel.Reason(99).String(); s != "reason 99" {
		t.Error(s)
	}
}

func TestCountsTotal(t *testing.T) {
	if n := (bilevel.Counts{ValueF: 1, ValueG: 2, GradF: 4, GradG: 8, HessG: 16, CrossG: 32}).Total(); n != 63 {
		t.Error(n)
	}
}

// The conformance suite runs on the driver's own test method, too.
func TestWalkConforms(t *testing.T) {
	c := bileveltest.Scalar()
	bileveltest.Method(t, walk{Rate: 0.2, Noise: 1e-4, Solve: c.Solve}, bileveltest.MethodOptions{
		Cases: []bileveltest.Case{c}, Stochastic: true, Allocates: true,
	})
}
