package bileveltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
)

// MethodOptions say how to test a method. The zero value suits a deterministic method without free parameters.
type MethodOptions struct {
	// Seed seeds the runs.
	Seed uint64
	// Cases is the table of problems, default [Cases].
	Cases []Case
	// Steps is the budget in which the answer of each case is to be reached, default 2000.
	Steps int64
	// Tol is the part of h(x₀) − h* that may be left, default 1e-6. Stochastic methods and those with a
	// penalty need more.
	Tol float64
	// Horizon is the number of steps of runs that are compared bit for bit, default 40. It should reach past
	// every period of the method, such as a refresh every q steps.
	Horizon int64
	// Stochastic requires that another seed gives another trajectory, in one case at least.
	Stochastic bool
	// Allocates allows allocations in Step, for double loops.
	Allocates bool
	// NoCheckpoint allows runs that are not Stateful.
	NoCheckpoint bool
	// NeedsBox allows Start to refuse a domain of x that is not a bounded box. The cases must have such boxes.
	NeedsBox bool
}

func (o MethodOptions) withDefaults() MethodOptions {
	if o.Cases == nil {
		o.Cases = Cases()
	}
	if o.Steps == 0 {
		o.Steps = 2000
	}
	if o.Tol == 0 {
		o.Tol = 1e-6
	}
	if o.Horizon == 0 {
		o.Horizon = 40
	}
	return o
}

// Method tests m: it reaches the answers of a table of problems; the same seed gives the same bits for every
// GOMAXPROCS and however often points are asked for; points are copies, and so is the start; a step does not
// allocate; runs do not share state; a saved run goes on bit for bit; budgets, cancellation and the domain of x
// are respected; a derivative that is missing is an error of Start; and counts grow.
//
// A step that returns [bilevel.ErrDone] ends a run early, in every check.
func Method(t *testing.T, m bilevel.Method, opts MethodOptions) {
	t.Helper()
	subtests(t, methodChecks(m, opts))
}

// CheckMethod makes the checks of [Method] and returns what they found, joined.
func CheckMethod(m bilevel.Method, opts MethodOptions) error {
	return join(methodChecks(m, opts))
}

// trial is a method under test.
type trial struct {
	m    bilevel.Method
	opts MethodOptions
}

func methodChecks(m bilevel.Method, opts MethodOptions) []check {
	t := trial{m, opts.withDefaults()}
	var list []check
	add := func(name string, run func(r *report)) { list = append(list, check{name, run}) }
	add("start", t.checkStart)
	for _, c := range t.opts.Cases {
		add("reaches the answer of "+c.Name, func(r *report) { t.checkAnswer(r, c) })
	}
	add("same seed, same bits", t.checkSeed)
	add("recording changes nothing", t.checkRecording)
	add("points are copies", t.checkCopies)
	add("runs are independent", t.checkIndependent)
	add("counts", t.checkCounts)
	add("domain of x", t.checkDomain)
	add("budgets", t.checkBudgets)
	add("cancellation", t.checkCancel)
	add("missing derivatives", t.checkMissing)
	if !t.opts.NoCheckpoint {
		add("checkpoint and resume", t.checkResume)
	}
	if !t.opts.Allocates {
		add("no allocations", t.checkAllocations)
	}
	return list
}

func clonePoint(at bilevel.Point) bilevel.Point {
	c := func(s []float64) []float64 {
		if s == nil {
			return nil
		}
		return append([]float64{}, s...)
	}
	return bilevel.Point{Z: c(at.Z), X: c(at.X), V: c(at.V)}
}

// differ says where two points have different bits, or "".
func differ(got, want bilevel.Point) string {
	for _, s := range []struct {
		name      string
		got, want []float64
	}{{"z", got.Z, want.Z}, {"x", got.X, want.X}, {"v", got.V, want.V}} {
		if len(s.got) != len(s.want) {
			return fmt.Sprintf("%s has length %d instead of %d", s.name, len(s.got), len(s.want))
		}
		if k := firstDifferentBits(s.got, s.want); k >= 0 {
			return fmt.Sprintf("%s[%d] = %v instead of %v", s.name, k, s.got[k], s.want[k])
		}
	}
	return ""
}

func nonFinite(at bilevel.Point) bool {
	for _, s := range [][]float64{at.Z, at.X, at.V} {
		for _, v := range s {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return true
			}
		}
	}
	return false
}

// step makes one step and says whether the run goes on.
func step(run bilevel.Run) (bool, error) {
	err := run.Step(context.Background())
	if errors.Is(err, bilevel.ErrDone) || errors.Is(err, bilevel.ErrNoDescent) {
		return false, nil
	}
	return err == nil, err
}

// follow starts a run and makes steps, calling see before the first and after each.
func (t trial) follow(p *bilevel.Problem, at bilevel.Point, seed uint64, steps int64,
	see func(step int64, run bilevel.Run)) (bilevel.Run, error) {
	run, err := t.m.Start(p, at, seed)
	if err != nil {
		return nil, fmt.Errorf("error of Start: %w", err)
	}
	if see != nil {
		see(0, run)
	}
	for k := range steps {
		more, err := step(run)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", k+1, err)
		}
		if see != nil {
			see(k+1, run)
		}
		if !more {
			break
		}
	}
	return run, nil
}

// trajectory is the points of a run.
func (t trial) trajectory(c Case, seed uint64, steps int64) ([]bilevel.Point, error) {
	var points []bilevel.Point
	_, err := t.follow(c.Problem, c.Start, seed, steps, func(_ int64, run bilevel.Run) {
		points = append(points, clonePoint(run.Point()))
	})
	return points, err
}

// unlike says where two trajectories differ, or "".
func unlike(got, want []bilevel.Point) string {
	if len(got) != len(want) {
		return fmt.Sprintf("ends after %d steps instead of %d", len(got)-1, len(want)-1)
	}
	for k := range got {
		if d := differ(got[k], want[k]); d != "" {
			return fmt.Sprintf("after step %d, %s", k, d)
		}
	}
	return ""
}

func (t trial) checkStart(r *report) {
	for _, c := range t.opts.Cases {
		d, p := c.Problem.Dims()
		want, err := t.trajectory(c, t.opts.Seed, 5)
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
			continue
		}
		if first := want[0]; len(first.Z) != d || len(first.X) != p || first.V != nil && len(first.V) != d {
			r.errorf("%s: Point() has |z| = %d, |x| = %d, |v| = %d for d = %d, p = %d",
				c.Name, len(first.Z), len(first.X), len(first.V), d, p)
		}
		at := clonePoint(c.Start)
		if at.Z == nil {
			at.Z = make([]float64, d)
		}
		if at.X == nil {
			at.X = make([]float64, p)
		}
		before := clonePoint(at)
		run, err := t.m.Start(c.Problem, at, t.opts.Seed)
		if err != nil {
			r.errorf("%s: Start with zeros instead of nil: %v", c.Name, err)
			continue
		}
		if diff := differ(at, before); diff != "" {
			r.errorf("%s: Start changes the point that it is given: %s", c.Name, diff)
		}
		for _, s := range [][]float64{at.Z, at.X} {
			for i := range s {
				s[i] = 1e9
			}
		}
		got := []bilevel.Point{run.Point()}
		for range len(want) - 1 {
			if more, err := step(run); err != nil {
				r.errorf("%s: %v", c.Name, err)
				break
			} else if got = append(got, run.Point()); !more {
				break
			}
		}
		if diff := unlike(got, want); diff != "" {
			r.errorf("%s: the run depends on what the caller does with the start point after Start, "+
				"or zeros are not what nil is: %s", c.Name, diff)
		}
		for name, bad := range map[string]bilevel.Point{
			"z too long":    {Z: make([]float64, d+1)},
			"x too short":   {X: make([]float64, p-1)},
			"NaN in x":      {X: fill(p, math.NaN())},
			"infinity in z": {Z: fill(d, math.Inf(1))},
		} {
			if _, err := t.m.Start(c.Problem, bad, 0); err == nil {
				r.errorf("%s: Start accepts a start point with %s", c.Name, name)
			}
		}
	}
}

func (t trial) checkAnswer(r *report, c Case) {
	start, err := c.Problem.StartPoint(c.Start)
	if err != nil {
		r.errorf("%v", err)
		return
	}
	run, err := t.follow(c.Problem, c.Start, t.opts.Seed, t.opts.Steps, nil)
	if err != nil {
		r.errorf("%v", err)
		return
	}
	at := run.Point()
	if nonFinite(at) {
		r.errorf("the point after %d steps is not finite", t.opts.Steps)
		return
	}
	before, after := c.Solve(start.X).Value-c.Value, c.Solve(at.X).Value-c.Value
	if !(after <= t.opts.Tol*before) {
		r.errorf("h − h* = %.3g after %d steps and %.3g before; want at most %.3g\n\tx  = %.6g\n\tx* = %.6g", after,
			t.opts.Steps, before, t.opts.Tol*before, at.X, c.X)
	}
	if p, ok := run.(bilevel.Progresser); ok {
		value, _ := p.Progress()
		if want := c.Solve(at.X).Value; !(math.Abs(value-want) <= 1e-3*(1+math.Abs(want))) {
			r.errorf("Progress() says h = %.10g where h = %.10g", value, want)
		}
	}
}

func (t trial) checkSeed(r *report) {
	depends := false // on the seed, in any case: where a batch holds all terms it need not
	for _, c := range t.opts.Cases {
		var want []bilevel.Point
		for i, k := range append([]int{procs[0]}, procs...) {
			runtime.GOMAXPROCS(k)
			got, err := t.trajectory(c, t.opts.Seed, t.opts.Horizon)
			if err != nil {
				r.errorf("%s: %v", c.Name, err)
				break
			}
			if i == 0 {
				want = got
			} else if diff := unlike(got, want); diff != "" {
				r.errorf("%s: seed %d again, GOMAXPROCS %d: %s", c.Name, t.opts.Seed, k, diff)
			}
		}
		if !t.opts.Stochastic || want == nil {
			continue
		}
		other, err := t.trajectory(c, t.opts.Seed+1, t.opts.Horizon)
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
		} else if unlike(other, want) != "" {
			depends = true
		}
	}
	if t.opts.Stochastic && !depends {
		r.errorf("seeds %d and %d give the same trajectory in all cases", t.opts.Seed, t.opts.Seed+1)
	}
}

func (t trial) checkRecording(r *report) {
	for _, c := range t.opts.Cases {
		seldom, err := t.follow(c.Problem, c.Start, t.opts.Seed, t.opts.Horizon, nil)
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
			continue
		}
		often, err := t.follow(c.Problem, c.Start, t.opts.Seed, t.opts.Horizon, func(k int64, run bilevel.Run) {
			first := run.Point()
			counts := run.Counts()
			if p, ok := run.(bilevel.Progresser); ok {
				p.Progress()
			}
			if n, ok := run.(bilevel.Noter); ok {
				n.Notes()
			}
			if diff := differ(run.Point(), first); diff != "" {
				r.errorf("%s: Point() twice after step %d: %s", c.Name, k, diff)
			}
			if got := run.Counts(); got != counts {
				r.errorf("%s: Point() or Counts() changes the counts from %+v to %+v", c.Name, counts, got)
			}
		})
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
			continue
		}
		if diff := differ(often.Point(), seldom.Point()); diff != "" {
			r.errorf("%s: asking for the point after every step changes the run: after %d steps %s",
				c.Name, t.opts.Horizon, diff)
		}
		if often.Counts() != seldom.Counts() {
			r.errorf("%s: asking for the point after every step changes the counts from %+v to %+v",
				c.Name, seldom.Counts(), often.Counts())
		}
	}
}

func (t trial) checkCopies(r *report) {
	for _, c := range t.opts.Cases {
		want, err := t.trajectory(c, t.opts.Seed, t.opts.Horizon)
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
			continue
		}
		var held, copied bilevel.Point
		var got []bilevel.Point
		_, err = t.follow(c.Problem, c.Start, t.opts.Seed, t.opts.Horizon, func(k int64, run bilevel.Run) {
			if k > 0 {
				if diff := differ(held, copied); diff != "" {
					r.errorf("%s: step %d changes a point returned before: %s", c.Name, k, diff)
				}
			}
			spoiled := run.Point()
			for _, s := range [][]float64{spoiled.Z, spoiled.X, spoiled.V} {
				for i := range s {
					s[i] = -1e6
				}
			}
			held = run.Point()
			copied = clonePoint(held)
			got = append(got, copied)
		})
		if err != nil {
			r.errorf("%s: after writing to a returned point: %v", c.Name, err)
		} else if diff := unlike(got, want); diff != "" {
			r.errorf("%s: writing to a returned point changes the run: %s", c.Name, diff)
		}
	}
}

func (t trial) checkIndependent(r *report) {
	type one struct {
		c    Case
		seed uint64
		want []bilevel.Point
		got  []bilevel.Point
		run  bilevel.Run
		over bool
	}
	var runs []*one
	for _, c := range t.opts.Cases {
		for s := range uint64(2) {
			runs = append(runs, &one{c: c, seed: t.opts.Seed + s})
		}
	}
	for _, o := range runs {
		var err error
		if o.want, err = t.trajectory(o.c, o.seed, t.opts.Horizon); err != nil {
			r.errorf("%s: %v", o.c.Name, err)
			return
		}
	}
	for _, o := range runs {
		var err error
		if o.run, err = t.m.Start(o.c.Problem, o.c.Start, o.seed); err != nil {
			r.errorf("%s: %v", o.c.Name, err)
			return
		}
		o.got = append(o.got, o.run.Point())
	}
	for range t.opts.Horizon {
		for _, o := range runs {
			if o.over {
				continue
			}
			more, err := step(o.run)
			if err != nil {
				r.errorf("%s: %v", o.c.Name, err)
				return
			}
			o.got = append(o.got, o.run.Point())
			o.over = !more
		}
	}
	for _, o := range runs {
		if diff := unlike(o.got, o.want); diff != "" {
			r.errorf("%s: runs that take turns are not what they are alone: %s", o.c.Name, diff)
		}
	}
}

func fields(c bilevel.Counts) []int64 {
	return []int64{c.ValueF, c.ValueG, c.GradF, c.GradG, c.HessG, c.CrossG}
}

func (t trial) checkCounts(r *report) {
	for _, c := range t.opts.Cases {
		var last bilevel.Counts
		_, err := t.follow(c.Problem, c.Start, t.opts.Seed, t.opts.Horizon, func(k int64, run bilevel.Run) {
			now := run.Counts()
			for i, v := range fields(now) {
				if v < fields(last)[i] {
					r.errorf("%s: step %d lowers the counts from %+v to %+v", c.Name, k, last, now)
				}
			}
			if k > 0 && now.Total() <= 0 {
				r.errorf("%s: no samples counted after step %d", c.Name, k)
			}
			last = now
		})
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
		}
	}
}

func (t trial) checkDomain(r *report) {
	for _, c := range t.opts.Cases {
		start, err := c.Problem.StartPoint(c.Start)
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
			continue
		}
		p := len(start.X)
		narrow, shifted, half, ball := *c.Problem, *c.Problem, *c.Problem, *c.Problem
		narrow.Lower, narrow.Upper, narrow.Project = offset(start.X, -1e-3), offset(start.X, 1e-3), nil
		half.Lower, half.Upper, half.Project = offset(start.X, -1e-3), nil, nil
		shifted.Lower, shifted.Upper, shifted.Project = offset(start.X, 0.25), offset(start.X, 0.5), nil
		ball.Lower, ball.Upper = nil, nil
		ball.Project = func(x []float64) {
			s := 0.0
			for j := range x {
				s += (x[j] - start.X[j]) * (x[j] - start.X[j])
			}
			if s = math.Sqrt(s); s > 0.01 {
				for j := range x {
					x[j] = start.X[j] + (x[j]-start.X[j])*0.01/s
				}
			}
		}
		for _, v := range []struct {
			name   string
			p      *bilevel.Problem
			refuse bool // Start may refuse such a domain
		}{{"its own domain", c.Problem, false}, {"a narrow box", &narrow, false}, {"a lower bound", &half, t.opts.NeedsBox},
			{"a box that excludes the start", &shifted, false}, {"a ball", &ball, true}} {
			if v.refuse {
				if _, err := t.m.Start(v.p, c.Start, t.opts.Seed); err != nil {
					continue
				}
			}
			_, err := t.follow(v.p, c.Start, t.opts.Seed, t.opts.Horizon, func(k int64, run bilevel.Run) {
				at := run.Point()
				if len(at.X) != p {
					r.errorf("%s: |x| = %d instead of %d", c.Name, len(at.X), p)
					return
				}
				tol := 0.0
				if v.p.Project != nil {
					tol = 1e-12
				}
				x := append([]float64(nil), at.X...)
				v.p.ProjectX(x)
				for j := range x {
					if !(math.Abs(x[j]-at.X[j]) <= tol) {
						r.errorf("%s: in %s, x[%d] = %v after step %d is outside", c.Name, v.name, j, at.X[j], k)
						return
					}
				}
			})
			if err != nil {
				r.errorf("%s: in %s: %v", c.Name, v.name, err)
			}
		}
	}
}

func offset(x []float64, by float64) []float64 {
	y := append([]float64(nil), x...)
	for j := range y {
		y[j] += by
	}
	return y
}

func (t trial) checkBudgets(r *report) {
	ctx := context.Background()
	for _, c := range t.opts.Cases {
		// totals[k] is what k steps visit.
		var totals []int64
		_, err := t.follow(c.Problem, c.Start, t.opts.Seed, 12, func(_ int64, run bilevel.Run) {
			totals = append(totals, run.Counts().Total())
		})
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
			continue
		}
		run := func(s bilevel.Settings) *bilevel.Result {
			s.Start, s.Seed = c.Start, t.opts.Seed
			res, err := bilevel.Minimize(ctx, c.Problem, t.m, s)
			if err != nil {
				r.errorf("%s: %v", c.Name, err)
				return nil
			}
			return res
		}
		for _, k := range []int64{1, 3, 10} {
			if res := run(bilevel.Settings{MaxSteps: k}); res == nil {
				break
			} else if res.Steps != k && res.Reason != bilevel.Done || res.Steps > k {
				r.errorf("%s: MaxSteps %d: %d steps, %v", c.Name, k, res.Steps, res.Reason)
			}
		}
		for _, k := range []int{1, 5, 10} {
			if k >= len(totals) || totals[k] == totals[k-1] {
				continue
			}
			for _, budget := range []int64{totals[k] - 1, totals[k]} {
				if budget <= totals[k-1] || budget <= 0 {
					continue
				}
				if res := run(bilevel.Settings{MaxSamples: budget}); res != nil && res.Reason != bilevel.Done &&
					(res.Steps != int64(k) || res.Counts.Total() != totals[k]) {
					r.errorf("%s: MaxSamples %d: %d samples in %d steps, %v; want %d in %d", c.Name, budget, res.Counts.Total(),
						res.Steps, res.Reason, totals[k], k)
				}
			}
		}
		begin := time.Now()
		if res := run(bilevel.Settings{MaxTime: 5 * time.Millisecond}); res != nil {
			if spent := time.Since(begin); res.Reason != bilevel.TimeBudget && res.Reason != bilevel.Done ||
				spent > 30*time.Second {
				r.errorf("%s: MaxTime 5ms: %v after %v", c.Name, res.Reason, spent)
			}
		}
	}
}

func (t trial) checkCancel(r *report) {
	for _, c := range t.opts.Cases {
		for _, after := range []int64{0, 4} {
			ctx, cancel := context.WithCancel(context.Background())
			res, err := bilevel.Minimize(ctx, c.Problem, t.m, bilevel.Settings{
				Start: c.Start, Seed: t.opts.Seed, MaxTime: 30 * time.Second, RecordEvery: 1,
				Recorder: bilevel.RecorderFunc(func(rec bilevel.Record, _ bilevel.Point) {
					if rec.Step == after {
						cancel()
					}
				}),
			})
			cancel()
			switch {
			case err != nil:
				r.errorf("%s: cancelled after step %d: %v", c.Name, after, err)
			case res.Reason != bilevel.Cancelled && res.Reason != bilevel.Done:
				r.errorf("%s: cancelled after step %d: %v", c.Name, after, res.Reason)
			case len(res.Point.X) == 0 || nonFinite(res.Point):
				r.errorf("%s: cancelled after step %d: the point is %v", c.Name, after, res.Point)
			}
		}
	}
}

// firstOrder hides everything but an objective's values and gradients.
type firstOrder struct{ bilevel.Objective }

// funcOf is o as closures.
func funcOf(o bilevel.Objective) *bilevel.Func {
	d, p := o.Dims()
	f := &bilevel.Func{InnerDim: d, OuterDim: p, Terms: o.Samples(), Eval: o.Value, Gradient: o.Grad}
	if s, err := bilevel.NeedSecondOrder(o); err == nil {
		f.HessVec = func(hv, z, x, v []float64, b bilevel.Batch) { s.Products(nil, hv, nil, z, x, v, b) }
		f.CrossVec = func(cv, z, x, v []float64, b bilevel.Batch) { s.Products(nil, nil, cv, z, x, v, b) }
	}
	return f
}

func (t trial) checkMissing(r *report) {
	for _, c := range t.opts.Cases {
		if c.Problem.Inner == nil {
			continue
		}
		without := func(name string, change func(p *bilevel.Problem, f, g *bilevel.Func)) {
			p := *c.Problem
			f, g := funcOf(p.Outer), funcOf(p.Inner)
			p.Outer, p.Inner = f, g
			change(&p, f, g)
			defer func() {
				if e := recover(); e != nil {
					r.errorf("%s: %s: panic instead of an error of Start: %v", c.Name, name, e)
				}
			}()
			run, err := t.m.Start(&p, c.Start, t.opts.Seed)
			if err != nil {
				return
			}
			for range 3 {
				if more, err := step(run); err != nil {
					r.errorf("%s: %s: an error of Step instead of Start: %v", c.Name, name, err)
					return
				} else if !more {
					return
				}
			}
		}
		without("an inner objective without Products",
			func(p *bilevel.Problem, f, g *bilevel.Func) { p.Inner = firstOrder{g} })
		without("a Func without HessVec", func(p *bilevel.Problem, f, g *bilevel.Func) { g.HessVec = nil })
		without("a Func without CrossVec", func(p *bilevel.Problem, f, g *bilevel.Func) { g.CrossVec = nil })
		without("an inner Func without Gradient", func(p *bilevel.Problem, f, g *bilevel.Func) { g.Gradient = nil })
		without("an outer Func without Gradient", func(p *bilevel.Problem, f, g *bilevel.Func) { f.Gradient = nil })
		without("an inner Func without Eval", func(p *bilevel.Problem, f, g *bilevel.Func) { g.Eval = nil })
		without("an outer objective without Products",
			func(p *bilevel.Problem, f, g *bilevel.Func) { p.Outer = firstOrder{f} })
		without("a fixed-point problem without an inner objective", func(p *bilevel.Problem, f, g *bilevel.Func) {
			p.Fixed, p.Inner = bilevel.GradientMap{G: g, Eta: 0.1}, nil
		})
		return // one case is enough
	}
}

// recording collects what a recorder sees.
type recording struct {
	steps   []int64
	points  []bilevel.Point
	records []bilevel.Record
}

func (rec *recording) Record(r bilevel.Record, at bilevel.Point) {
	rec.steps = append(rec.steps, r.Step)
	rec.points = append(rec.points, clonePoint(at))
	rec.records = append(rec.records, r)
}

func (t trial) checkResume(r *report) {
	dir, err := os.MkdirTemp("", "bileveltest")
	if err != nil {
		r.errorf("%v", err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	for i, c := range t.opts.Cases {
		minimize := func(s bilevel.Settings) (*recording, *bilevel.Result, error) {
			rec := &recording{}
			s.Start, s.Seed, s.RecordEvery, s.Recorder = c.Start, t.opts.Seed, 1, rec
			res, err := bilevel.Minimize(ctx, c.Problem, t.m, s)
			return rec, res, err
		}
		for _, k := range []int64{1, 2, 7, t.opts.Horizon} {
			whole, res, err := minimize(bilevel.Settings{MaxSteps: 2 * k})
			if err != nil {
				r.errorf("%s: %v", c.Name, err)
				break
			}
			file := filepath.Join(dir, fmt.Sprintf("%d-%d", i, k))
			every := time.Hour
			if k == 7 {
				every = time.Nanosecond // saving on the way must not change the run
			}
			first, _, err := minimize(bilevel.Settings{MaxSteps: k, Checkpoint: file, CheckpointEvery: every})
			if err != nil {
				r.errorf("%s: saving after %d steps: %v", c.Name, k, err)
				break
			}
			second, resumed, err := minimize(bilevel.Settings{MaxSteps: 2 * k, Checkpoint: file, Resume: true})
			if err != nil {
				r.errorf("%s: resuming after %d steps: %v", c.Name, k, err)
				break
			}
			if n := min(len(first.points), len(whole.points)); n > 0 {
				if diff := unlike(first.points[:n], whole.points[:n]); diff != "" {
					r.errorf("%s: saving changes the run: %s", c.Name, diff)
				}
			}
			// What was seen before and after the break is what an unbroken run sees.
			steps := append(append([]int64{}, first.steps...), second.steps...)
			records := append(append([]bilevel.Record{}, first.records...), second.records...)
			points := append(append([]bilevel.Point{}, first.points...), second.points...)
			if diff := unlike(points, whole.points); diff != "" {
				r.errorf("%s: resumed after %d steps: %s", c.Name, k, diff)
				continue
			}
			for l := range steps {
				a, b := records[l], whole.records[l]
				if steps[l] != whole.steps[l] || a.Counts != b.Counts ||
					math.Float64bits(a.Value) != math.Float64bits(b.Value) ||
					math.Float64bits(a.GradNorm) != math.Float64bits(b.GradNorm) {
					r.errorf("%s: resumed after %d steps: the record of step %d is %+v instead of %+v", c.Name, k, steps[l], a, b)
					break
				}
			}
			if diff := differ(resumed.Point, res.Point); diff != "" {
				r.errorf("%s: resumed after %d steps: the result's %s", c.Name, k, diff)
			}
		}
	}
}

func (t trial) checkAllocations(r *report) {
	// A batch of steps is measured, not one: AllocsPerRun rounds down, and some allocate now and then.
	const batch = 64
	for _, c := range t.opts.Cases {
		run, err := t.follow(c.Problem, c.Start, t.opts.Seed, t.opts.Horizon, nil)
		if err != nil {
			r.errorf("%s: %v", c.Name, err)
			continue
		}
		n := testing.AllocsPerRun(4, func() {
			for range batch {
				if more, _ := step(run); !more {
					return
				}
			}
		})
		if n > 0 {
			r.errorf("%s: %d steps allocate %v times", c.Name, batch, n)
		}
	}
}
