package stochastic

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/model"
)

// smallLogistic has 131 training and 77 validation rows: short last blocks.
func smallLogistic() *bilevel.Problem {
	return logisticProblem(randomData(131, 6, 1), randomData(77, 6, 2))
}

type namedProblem struct {
	name string
	make func() *bilevel.Problem
	at   bilevel.Point
}

func problems() []namedProblem {
	q := newQuadratic(37, 23, 1, 1)
	c := newCleaning(50, 31)
	box := func(p *bilevel.Problem) *bilevel.Problem {
		_, n := p.Dims()
		p.Lower, p.Upper = fill(n, -.5), fill(n, .7)
		return p
	}
	return []namedProblem{
		{"quadratic", q.problem, bilevel.Point{Z: fill(5, .3), X: fill(3, -.2)}},
		{"quadratic in a box", func() *bilevel.Problem { return box(q.problem()) }, bilevel.Point{}},
		{"quadratic in a ball", func() *bilevel.Problem {
			p := q.problem()
			p.Project = func(x []float64) {
				if n := math.Sqrt(dot(x, x)); n > .3 {
					for i := range x {
						x[i] *= .3 / n
					}
				}
			}
			return p
		}, bilevel.Point{}},
		{"logistic", smallLogistic, bilevel.Point{Z: fill(6, .3), X: fill(6, -1)}},
		{"cleaning", func() *bilevel.Problem { return c.problem(true, true) }, bilevel.Point{}},
		{"cleaning in a box", func() *bilevel.Problem { return box(c.problem(true, false)) }, bilevel.Point{}},
		{"cleaning, dense", func() *bilevel.Problem { return box(c.problem(false, false)) }, bilevel.Point{}},
	}
}

type namedMethod struct {
	name string
	m    bilevel.Method
}

func methods() []namedMethod {
	return []namedMethod{
		{"SOBA", SOBA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"SOBA shuffled, decaying, clipped", SOBA{Batch: 8, InnerStep: Decaying(.1, .5), OuterStep: Decaying(.05, .4),
			Shuffle: true,
			Clip:    .5}},
		{"SOBA auto", SOBA{Batch: 8}},
		{"SABA", SABA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"SABA shuffled, decaying", SABA{Batch: 8, InnerStep: Decaying(.1, .5), OuterStep: Decaying(.05, .4), Shuffle: true,
			Warm: true}},
		{"SABA clipped, generic", SABA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Clip: .5,
			generic: true}},
		{"SABA batch 1", SABA{Batch: 1, InnerStep: Constant(.02), OuterStep: Constant(.01)}},
		{"SABA auto", SABA{Batch: 8}},
		{"SABA auto inner", SABA{Batch: 8, OuterStep: Constant(.02)}},
		{"SABA auto outer", SABA{Batch: 8, InnerStep: Constant(.05)}},
		{"S-TFBO", STFBO{}},
		{"D-TFBO", DTFBO{InnerSteps: 3}},
		{"SRBA", SRBA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"SRBA shuffled, decaying, clipped", SRBA{Batch: 8, InnerStep: Decaying(.1, .5), OuterStep: Decaying(.05, .4),
			Shuffle: true,
			Clip:    .5, Period: 7}},
		{"SRBA auto", SRBA{Batch: 8}},
		{"MA-SOBA", MASOBA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"MA-SOBA shuffled, decaying, clipped", MASOBA{Batch: 8, InnerStep: Decaying(.1, .5), OuterStep: Decaying(.05, .4),
			Theta:   .3,
			Shuffle: true, Clip: .5}},
		{"MA-SOBA auto", MASOBA{Batch: 8}},
		{"StocBiO", StocBiO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"StocBiO shuffled, decaying, clipped", StocBiO{Batch: 8, InnerStep: Decaying(.1, .5), OuterStep: Decaying(.05, .4),
			Neumann: Constant(.03), Shuffle: true, Clip: .5}},
		{"StocBiO auto", StocBiO{Batch: 8}},
		{"AmIGO", AmIGO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"AmIGO auto, clipped", AmIGO{Batch: 8, Clip: 5}},
		{"BSA", BSA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"BSA auto", BSA{Batch: 8}},
		{"TTSA", TTSA{Batch: 8, InnerStep: Decaying(.05, .4), OuterStep: Decaying(.02, .6), Shuffle: true}},
		{"TTSA auto", TTSA{Batch: 8}},
		{"FSLA", FSLA{Batch: 8, InnerStep: Decaying(.05, .5), OuterStep: Decaying(.02, .5)}},
		{"FSLA auto, clipped", FSLA{Batch: 8, Momentum: .3, Clip: 5}},
		{"MRBO", MRBO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"MRBO shuffled, clipped", MRBO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Shuffle: true,
			Clip: .5}},
		{"MRBO auto", MRBO{Batch: 8}},
		{"SUSTAIN", SUSTAIN{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}},
		{"SUSTAIN auto", SUSTAIN{Batch: 8}},
		{"VRBO", VRBO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), InnerSteps: 3}},
		{"VRBO clipped", VRBO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Period: 3, Shuffle: true,
			Clip: .5}},
		{"VRBO auto", VRBO{Batch: 8, InnerSteps: 3, Terms: 5}},
		{"PZOBO", PZOBO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.002), Directions: 3}},
		{"PZOBO auto", PZOBO{Batch: 8}},
	}
}

func everyMethod(t *testing.T, f func(t *testing.T, m bilevel.Method, p namedProblem)) {
	for _, m := range methods() {
		for _, p := range problems() {
			t.Run(m.name+"/"+p.name, func(t *testing.T) { f(t, m.m, p) })
		}
	}
}

func minimize(t testing.TB, m bilevel.Method, p *bilevel.Problem, s bilevel.Settings) *bilevel.Result {
	t.Helper()
	res, err := bilevel.Minimize(context.Background(), p, m, s)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func samePoint(a, b bilevel.Point) bool {
	return slices.Equal(a.Z, b.Z) && slices.Equal(a.X, b.X) && slices.Equal(a.V, b.V)
}

// relative is the largest difference relative to the largest entry.
func relative(a, b []float64) float64 {
	d, s := 0.0, 0.0
	for i := range a {
		d = max(d, math.Abs(a[i]-b[i]))
		s = max(s, math.Abs(a[i]))
		if math.IsNaN(a[i]) || math.IsNaN(b[i]) {
			return math.NaN()
		}
	}
	return d / s
}

func close(t *testing.T, what string, a, b bilevel.Point, tol float64) {
	t.Helper()
	for _, q := range []struct {
		name string
		a, b []float64
	}{{"z", a.Z, b.Z}, {"x", a.X, b.X}, {"v", a.V, b.V}} {
		if e := relative(q.a, q.b); !(e <= tol) {
			t.Errorf("%s: %s differs by %.3g, want at most %g", what, q.name, e, tol)
		}
	}
}

func TestSameSeedSameBits(t *testing.T) {
	everyMethod(t, func(t *testing.T, m bilevel.Method, p namedProblem) {
		var first *bilevel.Result
		for _, procs := range []int{1, 2, 4} {
			old := runtime.GOMAXPROCS(procs)
			res := minimize(t, m, p.make(), bilevel.Settings{MaxSteps: 300, Seed: 5, Start: p.at})
			runtime.GOMAXPROCS(old)
			if first == nil {
				first = res
			} else if !samePoint(first.Last, res.Last) {
				t.Fatalf("GOMAXPROCS = %d gives other bits", procs)
			}
		}
		switch m.(type) {
		case STFBO, DTFBO:
			return
		}
		other := minimize(t, m, p.make(), bilevel.Settings{MaxSteps: 300, Seed: 6, Start: p.at})
		if samePoint(first.Last, other.Last) {
			t.Error("another seed gives the same run")
		}
	})
}

func TestResumeBitForBit(t *testing.T) {
	everyMethod(t, func(t *testing.T, m bilevel.Method, p namedProblem) {
		whole := minimize(t, m, p.make(), bilevel.Settings{MaxSteps: 701, Seed: 5, Start: p.at})
		file := filepath.Join(t.TempDir(), "run")
		for _, n := range []int64{1, 333, 701} {
			res := minimize(t, m, p.make(), bilevel.Settings{MaxSteps: n, Seed: 5, Start: p.at, Checkpoint: file, Resume: true})
			if n == 701 && (!samePoint(whole.Last, res.Last) || whole.Counts != res.Counts) {
				t.Errorf("a resumed run ends elsewhere: %v, want %v; %+v, want %+v",
					res.Last.X, whole.Last.X, res.Counts, whole.Counts)
			}
		}
	})
}

func TestRecordingChangesNothing(t *testing.T) {
	everyMethod(t, func(t *testing.T, m bilevel.Method, p namedProblem) {
		problem := p.make()
		a := minimize(t, m, problem, bilevel.Settings{MaxSteps: 300, Seed: 5, Start: p.at, RecordEvery: 300})
		inside := func(r bilevel.Record, at bilevel.Point) {
			x := slices.Clone(at.X)
			problem.ProjectX(x)
			if e := distance(x, at.X); e > 1e-15 {
				t.Fatalf("step %d leaves the domain by %g", r.Step, e)
			}
		}
		b := minimize(t, m, problem, bilevel.Settings{MaxSteps: 300, Seed: 5, Start: p.at, RecordEvery: 1,
			Recorder: bilevel.RecorderFunc(inside)})
		if !samePoint(a.Last, b.Last) {
			t.Error("recording every step changes the run")
		}
		for _, r := range b.Trace {
			if len(r.Notes) > 0 {
				t.Errorf("step %d: %q", r.Step, r.Notes)
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	everyMethod(t, func(t *testing.T, m bilevel.Method, p namedProblem) {
		noAllocation(t, m, p.make(), p.at)
	})
}

// noAllocation tests that steps after the first allocate nothing.
func noAllocation(t *testing.T, m bilevel.Method, p *bilevel.Problem, at bilevel.Point) {
	t.Helper()
	run, err := m.Start(p, at, 1)
	if err != nil {
		t.Fatal(err)
	}
	step := func() {
		if err := run.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if n := testing.AllocsPerRun(300, step); n != 0 {
		t.Errorf("%v allocations per step", n)
	}
}

func TestCounts(t *testing.T) {
	p := smallLogistic()
	for _, c := range []struct {
		m    bilevel.Method
		want bilevel.Counts
	}{
		{SOBA{Batch: 500, InnerStep: Constant(.1), OuterStep: Constant(.1)},
			bilevel.Counts{GradF: 770, GradG: 1310, HessG: 1310, CrossG: 1310}},
		{SABA{Batch: 1, InnerStep: Constant(.1), OuterStep: Constant(.1)},
			bilevel.Counts{GradF: 10, GradG: 10, HessG: 10, CrossG: 10}},
		{SABA{Batch: 1, InnerStep: Constant(.1), OuterStep: Constant(.1), Warm: true},
			bilevel.Counts{GradF: 87, GradG: 141, HessG: 141, CrossG: 141}},
		{STFBO{}, bilevel.Counts{GradF: 770, GradG: 1310, HessG: 1310, CrossG: 1310}},
	} {
		if got := minimize(t, c.m, p, bilevel.Settings{MaxSteps: 10}).Counts; got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.m, got, c.want)
		}
	}
}

func TestEveryKnobMatters(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	last := func(m bilevel.Method) bilevel.Point {
		return minimize(t, m, s.problem(), bilevel.Settings{MaxSteps: 100, Seed: 1}).Last
	}
	soba := SOBA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}
	saba := SABA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02)}
	for _, c := range []struct {
		knob string
		a, b bilevel.Method
	}{
		{"SOBA.Batch", soba, SOBA{Batch: 9, InnerStep: soba.InnerStep, OuterStep: soba.OuterStep}},
		{"SOBA.InnerStep", soba, SOBA{Batch: 8, InnerStep: Constant(.06), OuterStep: soba.OuterStep}},
		{"SOBA.InnerStep.Decay", soba, SOBA{Batch: 8, InnerStep: Decaying(.05, .1), OuterStep: soba.OuterStep}},
		{"SOBA.OuterStep", soba, SOBA{Batch: 8, InnerStep: soba.InnerStep, OuterStep: Constant(.03)}},
		{"SOBA.Shuffle", soba, SOBA{Batch: 8, InnerStep: soba.InnerStep, OuterStep: soba.OuterStep, Shuffle: true}},
		{"SOBA.Clip", soba, SOBA{Batch: 8, InnerStep: soba.InnerStep, OuterStep: soba.OuterStep, Clip: .1}},
		{"SABA.Batch", saba, SABA{Batch: 9, InnerStep: saba.InnerStep, OuterStep: saba.OuterStep}},
		{"SABA.InnerStep", saba, SABA{Batch: 8, InnerStep: Constant(.06), OuterStep: saba.OuterStep}},
		{"SABA.OuterStep", saba, SABA{Batch: 8, InnerStep: saba.InnerStep, OuterStep: Constant(.03)}},
		{"SABA.OuterStep.Decay", saba, SABA{Batch: 8, InnerStep: saba.InnerStep, OuterStep: Decaying(.02, .1)}},
		{"SABA.Shuffle", saba, SABA{Batch: 8, InnerStep: saba.InnerStep, OuterStep: saba.OuterStep, Shuffle: true}},
		{"SABA.Clip", saba, SABA{Batch: 8, InnerStep: saba.InnerStep, OuterStep: saba.OuterStep, Clip: .1}},
		{"SABA.Warm", saba, SABA{Batch: 8, InnerStep: saba.InnerStep, OuterStep: saba.OuterStep, Warm: true}},
		{"STFBO.Alpha", STFBO{}, STFBO{Alpha: 2}},
		{"STFBO.Beta", STFBO{}, STFBO{Beta: 2}},
		{"STFBO.Gamma", STFBO{}, STFBO{Gamma: 9}},
	} {
		if samePoint(last(c.a), last(c.b)) {
			t.Errorf("%s changes nothing", c.knob)
		}
	}
	free := saba
	free.Clip = 1e9
	close(t, "a clip that never binds", last(saba), last(free), 1e-13)
}

func TestWrongConfiguration(t *testing.T) {
	s := newQuadratic(9, 7, 1, 1)
	for _, c := range []struct {
		m    bilevel.Method
		want string
	}{
		{SOBA{Batch: -1}, "batch"},
		{SOBA{InnerStep: Constant(-1)}, "inner step size"},
		{SABA{OuterStep: Constant(math.NaN())}, "outer step size"},
		{SABA{OuterStep: Rate{Decay: .5}}, "no Size"},
		{SABA{InnerStep: Decaying(1, -1)}, "exponent"},
		{SABA{Clip: -1}, "clipping"},
		{STFBO{Alpha: -1}, "initial norm"},
	} {
		if _, err := c.m.Start(s.problem(), bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %q", c.m, err, c.want)
		}
	}
	for _, m := range []bilevel.Method{SOBA{}, SABA{}, STFBO{}} {
		p := s.problem()
		p.Inner.(*bilevel.Func).HessVec = nil
		if _, err := m.Start(p, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), "HessVec") {
			t.Errorf("%T without HessVec: %v", m, err)
		}
		fixed := s.problem()
		fixed.Fixed, fixed.Inner = bilevel.GradientMap{G: s.innerObjective(), Eta: .1}, nil
		if _, err := m.Start(fixed, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), "fixed point") {
			t.Errorf("%T on a fixed-point problem: %v", m, err)
		}
	}
}

// still moves nothing: a step of 1e-300 vanishes in rounding.
var still = Constant(1e-300)

func TestMemoryAfterAPassIsTheFullGradient(t *testing.T) {
	for _, p := range problems() {
		for _, generic := range []bool{false, true} {
			for _, batch := range []int{1, 8, 1000} {
				problem := p.make()
				d, q := problem.Dims()
				at := bilevel.Point{Z: fill(d, .3), X: fill(q, -.2), V: fill(d, -.7)}
				run, err := SABA{Batch: batch, InnerStep: still, OuterStep: still, Shuffle: true, generic: generic}.Start(problem,
					at, 1)
				if err != nil {
					t.Fatal(err)
				}
				r := run.(*sabaRun)
				for range max(r.gi.Blocks(), r.fo.Blocks()) {
					if err := r.Step(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				start := bilevel.Point{Z: at.Z, X: slices.Clone(at.X), V: at.V}
				problem.ProjectX(start.X)
				if !samePoint(run.Point(), start) {
					t.Fatal("the run has moved")
				}
				dz, hv, cv, fz, fx := fill(d, 0), fill(d, 0), fill(q, 0), fill(d, 0), fill(q, 0)
				r.g.sampledG.Products(dz, hv, cv, at.Z, start.X, at.V, bilevel.All(r.g.Sampled))
				r.f.Sampled.Grad(fz, fx, at.Z, start.X, bilevel.All(r.f.Sampled))
				for _, c := range []struct {
					name      string
					got, want []float64
				}{{"∇z g", r.memG.avg[0], dz}, {"∇²zz g v", r.memG.avg[1], hv}, {"∇²xz g v", r.memG.avgX, cv}, {"∇z f",
					r.memF.avg[0], fz}, {"∇x f", r.memF.avgX, fx}} {
					if c.got == nil {
						continue
					}
					if e := relative(c.want, c.got); !(e < 1e-13) {
						t.Errorf("%s, batch %d, generic %v: the average of %s is off by %.3g", p.name, batch, generic, c.name, e)
					}
				}
			}
		}
	}
}

func TestFullBatchSABAIsSOBA(t *testing.T) {
	for _, p := range problems() {
		s := bilevel.Settings{MaxSteps: 200, Start: p.at}
		a := minimize(t, SOBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05)}, p.make(), s)
		for _, m := range []bilevel.Method{
			SABA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05)},
			SABA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05), generic: true, Warm: true, Shuffle: true},
		} {
			close(t, p.name, a.Last, minimize(t, m, p.make(), s).Last, 1e-12)
		}
	}
}

// The mean of the directions over all draws, each with its probability, is the full direction: exactly, for
// any memory.
func TestDirectionsAreUnbiased(t *testing.T) {
	for _, p := range problems() {
		for _, shuffle := range []bool{false, true} {
			for _, m := range []bilevel.Method{
				SOBA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Shuffle: shuffle},
				SABA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Shuffle: shuffle},
				SABA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Shuffle: shuffle, generic: true},
			} {
				problem := p.make()
				run, err := m.Start(problem, p.at, 1)
				if err != nil {
					t.Fatal(err)
				}
				for range 5 {
					if err := run.Step(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				var c *core
				var directions func()
				switch r := run.(type) {
				case *sobaRun:
					c = r.core
					directions = func() { clear(r.dx); r.joint(r.dz, r.dv, r.dx, r.z, r.x, r.v, r.drawG(), r.drawF()) }
				case *sabaRun:
					c = r.core
					if r.narrow {
						r.held.catchUpAll()
					}
					memG, memF := *r.memG, *r.memF
					directions = func() {
						// The memory of before, whatever earlier draws did to it.
						r.memG, r.memF = memG.clone(), memF.clone()
						clear(r.dx)
						xi, zeta := r.drawG(), r.drawF()
						r.memG.change(xi, r.z, r.x, r.v)
						r.memF.change(zeta, r.z, r.x, r.v)
						r.directions(xi, zeta)
						r.memG.stepX(r.dx, xi, r.narrow)
						r.memF.stepX(r.dx, zeta, false)
						if r.narrow { // the rest of x takes the average, lazily
							lo, hi := r.g.OuterRange(r.gi.Block(int(drawn)))
							for j := range r.dx {
								if j < lo || j >= hi {
									r.dx[j] = memG.avgX[j]
								}
							}
						}
					}
				}
				d, q := problem.Dims()
				dz, dv, dx := fill(d, 0), fill(d, 0), fill(q, 0)
				for i := range c.gi.Blocks() {
					for j := range c.fo.Blocks() {
						pr := 1.0
						for _, s := range []struct {
							s     *sampling.Sampler
							block int
						}{{c.gi, i}, {c.fo, j}} {
							b := s.s.Block(s.block)
							w, pi := 1.0, s.s.Share(b)
							if shuffle {
								w, pi = float64(s.s.Blocks())*s.s.Share(b), 1/float64(s.s.Blocks())
							}
							s.s.Ahead = sampling.Draw{Block: s.block, Batch: b, Weight: w}
							pr *= pi
						}
						drawn = i
						directions()
						axpy(pr, c.dz, dz)
						axpy(pr, c.dv, dv)
						axpy(pr, c.dx, dx)
					}
				}
				wz, wv, wx, fz, fx := fill(d, 0), fill(d, 0), fill(q, 0), fill(d, 0), fill(q, 0)
				c.g.wholeG.Products(wz, wv, wx, c.z, c.x, c.v, bilevel.All(c.g.Whole))
				c.f.Whole.Grad(fz, fx, c.z, c.x, bilevel.All(c.f.Whole))
				axpy(1, fz, wv)
				axpy(1, fx, wx)
				for _, e := range []struct {
					name      string
					got, want []float64
				}{{"D_z", dz, wz}, {"D_v", dv, wv}, {"D_x", dx, wx}} {
					if err := relative(e.want, e.got); !(err < 1e-11) {
						t.Errorf("%s, %+v: the mean of %s is off by %.3g", p.name, m, e.name, err)
					}
				}
			}
		}
	}
}

var drawn int

func (m *saga) clone() *saga {
	c := *m
	c.mem, c.memX = slices.Clone(m.mem), slices.Clone(m.memX)
	c.avg[0], c.avg[1], c.avgX = slices.Clone(m.avg[0]), slices.Clone(m.avg[1]), slices.Clone(m.avgX)
	return &c
}

// Memories of numbers per sample against whole gradients.
func TestLinearMemoryIsTheGenericOne(t *testing.T) {
	for _, batch := range []int{1, 8, 64} {
		for _, shuffle := range []bool{false, true} {
			m := SABA{Batch: batch, InnerStep: Constant(.1), OuterStep: Constant(.05), Shuffle: shuffle}
			s := bilevel.Settings{MaxSteps: 2000, Seed: 2, Start: bilevel.Point{Z: fill(6, .3), X: fill(6, -1)}}
			fast := minimize(t, m, smallLogistic(), s)
			m.generic = true
			close(t, fmt.Sprintf("batch %d, shuffle %v", batch, shuffle), fast.Last, minimize(t, m, smallLogistic(), s).Last,
				1e-13)
		}
	}
}

// Lazy steps on x against steps on all of x, with bounds that bind.
func TestLazyStepsAreTheEagerOnes(t *testing.T) {
	c := newCleaning(50, 31)
	for _, box := range []bool{false, true} {
		for _, batch := range []int{1, 8} {
			for _, shuffle := range []bool{false, true} {
				for _, outer := range []Rate{Constant(2), Decaying(3, .3)} {
					m := SABA{Batch: batch, InnerStep: Constant(.05), OuterStep: outer, Shuffle: shuffle}
					s := bilevel.Settings{MaxSteps: 2000, Seed: 2}
					var want bilevel.Point
					for _, k := range []struct{ local, linear bool }{{false, false}, {true, false}, {true, true}, {false, true}} {
						p := c.problem(k.local, k.linear)
						if box {
							p.Lower, p.Upper = fill(50, -.6), fill(50, .4)
						}
						at := minimize(t, m, p, s).Last
						if want.X == nil {
							want = at
							bound := 0
							for _, x := range at.X {
								if x == -.6 || x == .4 {
									bound++
								}
							}
							if box && (bound == 0 || bound == len(at.X)) {
								t.Errorf("%d of %d bounds bind", bound, len(at.X))
							}
							continue
						}
						close(t, fmt.Sprintf("%+v box %v %+v", m, box, k), want, at, 1e-12)
					}
				}
			}
		}
	}
}

func TestSOBAStaysAtTheSolution(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	p := s.problem()
	fz, v := fill(s.d, 0), fill(s.d, 0)
	p.Outer.Grad(fz, nil, s.zs, s.xs, bilevel.All(p.Outer))
	// v* = −A⁻¹∇z f, by many steps of gradient descent.
	hv := fill(s.d, 0)
	for range 20000 {
		s.innerObjective().Products(nil, hv, nil, s.zs, s.xs, v, bilevel.Batch{Lo: 0, Hi: 37})
		for i := range v {
			v[i] -= .3 * (hv[i] + fz[i])
		}
	}
	at := bilevel.Point{Z: s.zs, X: s.xs, V: v}
	for _, m := range []bilevel.Method{SOBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.1)},
		SABA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.1)}, STFBO{Beta: 9, Gamma: 9}} {
		close(t, fmt.Sprintf("%T", m), at, minimize(t, m, p, bilevel.Settings{MaxSteps: 100, Start: at}).Last, 1e-12)
	}
}

func TestExplicitDivergenceIsAnError(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	_, err := bilevel.Minimize(context.Background(), s.problem(), SABA{Batch: 8, InnerStep: Constant(50),
		OuterStep: Constant(1)},
		bilevel.Settings{MaxSteps: 10000})
	var e *bilevel.NonFiniteError
	if !errors.As(err, &e) {
		t.Errorf("error %v, want a NonFiniteError", err)
	}
}

// A run whose automatic steps are a hundred times too large recovers and says so.
func TestAutoRecovers(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	for _, m := range []bilevel.Method{SABA{Batch: 4}, SABA{Batch: 4, OuterStep: Constant(.01)}} {
		run, err := m.Start(s.problem(), bilevel.Point{X: fill(3, 5)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := run.(*sabaRun)
		r.auto.Safety = 100
		r.auto.setRho()
		for range 40000 {
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if e := distance(run.Point().X, s.xs); !(e < 1e-4) {
			t.Errorf("%+v: ‖x − x*‖ = %g", m, e)
		}
		notes := run.(bilevel.Noter).Notes()
		if len(notes) < 3 || !strings.Contains(notes[0], "halved") {
			t.Errorf("%+v: notes %q", m, notes)
		}
		if n := run.(bilevel.Noter).Notes(); n != nil {
			t.Errorf("notes are told twice: %q", n)
		}
	}
}

func TestAutoOnQuadratics(t *testing.T) {
	for _, c := range []struct {
		m     bilevel.Method
		steps int64
		tol   float64
	}{
		{SABA{Batch: 4}, 16000, 1e-7},
		{SABA{Batch: 1}, 40000, 1e-6},
		{SABA{}, 8000, 1e-8},
		{SABA{Batch: 4, Shuffle: true}, 16000, 1e-6},
		{SOBA{Batch: 4}, 30000, 2e-2},
	} {
		for _, scale := range []float64{1e-4, 1, 1e4} {
			for _, far := range []float64{0, 1, 1000} {
				s := newQuadratic(37, 23, scale, 1)
				at := bilevel.Point{Z: fill(s.d, far), X: fill(s.p, -far)}
				res := minimize(t, c.m, s.problem(), bilevel.Settings{MaxSteps: c.steps, Seed: 1, Start: at})
				if e := (s.value(res.Last.X) - s.h) / scale; !(e <= c.tol) {
					t.Errorf("%+v, scale %g, start %g: h − h* = %.3g, want at most %g", c.m, scale, far, e, c.tol)
				}
			}
		}
	}
}

// Ridge regression with a strength per feature: g = 1/(2n)‖Xz − y‖² + ½ Σ e^{x_j} z_j².
func TestAutoOnRidge(t *testing.T) {
	const d = 7
	train, val := randomData(101, d, 3), randomData(67, d, 4)
	loss, err := model.NewSquared(train.a, train.y, d)
	must(err)
	pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
	must(err)
	g, err := model.Regularize(loss, pen)
	must(err)
	f, err := model.NewSquared(val.a, val.y, d)
	must(err)
	p := &bilevel.Problem{Inner: g, Outer: f, Lower: fill(d, -12), Upper: fill(d, 12)}
	e := &newton{p: p}
	var values []float64
	for _, start := range []float64{0, -2, 2} {
		for _, m := range []bilevel.Method{SABA{Batch: 16}, SABA{Batch: 1}} {
			at := bilevel.Point{X: fill(d, start)}
			first, err := e.Evaluate(context.Background(), nil, at.X)
			must(err)
			res := minimize(t, m, p, bilevel.Settings{MaxSteps: 100000, Seed: 1, Start: at})
			grad := fill(d, 0)
			h, err := e.Evaluate(context.Background(), grad, res.Last.X)
			must(err)
			p.ProjectedGrad(grad, res.Last.X, grad)
			values = append(values, h)
			if n := math.Sqrt(dot(grad, grad)); !(n < 1e-4) || !(h < first) {
				t.Errorf("%+v from %g: h = %.6g (%.6g at the start), ‖∇h‖ = %.3g at %.3g", m, start, h, first, n, res.Last.X)
			}
		}
	}
	t.Logf("h = %.9f", values)
}

func TestSplitMustFit(t *testing.T) {
	s := newQuadratic(9, 7, 1, 1)
	p := s.problem()
	p.Inner = badSplit{s.innerObjective()}
	if _, err := (SABA{}).Start(p, bilevel.Point{}, 1); err == nil {
		t.Error("a split into parts that do not fit is accepted")
	}
}

type badSplit struct{ *bilevel.Func }

func (b badSplit) Split() (sampled, exact bilevel.Objective) { return b.Func, b.Func }
