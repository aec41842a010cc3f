package bilevel_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
)

// same compares results except for times, NaN being equal to NaN.
func same(a, b *bilevel.Result) bool {
	strip := func(r *bilevel.Result) string {
		c := *r
		c.Time = 0
		c.Trace = nil
		s := fmt.Sprintf("%x %x %+v", math.Float64bits(r.Value), math.Float64bits(r.GradNorm), c)
		for _, rec := range r.Trace {
			rec.Time = 0
			s += fmt.Sprintf("\n%+v %x", rec, math.Float64bits(rec.Value))
		}
		return s
	}
	return strip(a) == strip(b)
}

func TestResume(t *testing.T) {
	c := bileveltest.Quadratic(5, 3, 60, 60, 2)
	m := walk{Rate: 0.1, Noise: 0.01, Solve: c.Solve, Notes: true}
	ctx := context.Background()
	dir := t.TempDir()
	for _, n := range []int64{1, 4, 8, 17} {
		s := bilevel.Settings{Seed: 3, MaxSteps: 2 * n, Evaluator: c, RecordEvery: n}
		want, err := bilevel.Minimize(ctx, c.Problem, m, s)
		if err != nil {
			t.Fatal(err)
		}
		s.Checkpoint, s.Resume = filepath.Join(dir, fmt.Sprint(n)), true // there is no file yet
		s.MaxSteps = n
		half, err := bilevel.Minimize(ctx, c.Problem, m, s)
		if err != nil {
			t.Fatal(err)
		}
		s.MaxSteps = 2 * n
		var seen []int64
		s.Recorder = bilevel.RecorderFunc(func(r bilevel.Record, _ bilevel.Point) { seen = append(seen, r.Step) })
		got, err := bilevel.Minimize(ctx, c.Problem, m, s)
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, want) {
			t.Errorf("%d + %d steps give\n%+v\ninstead of\n%+v", n, n, got, want)
		}
		if !reflect.DeepEqual(seen, []int64{2 * n}) {
			t.Errorf("resumed after step %d, the recorder saw %v", n, seen)
		}
		if got.Time <= half.Time {
			t.Errorf("time %v after %v", got.Time, half.Time)
		}
		// Again, now that it is complete: nothing is left to do.
		seen = nil
		again, err := bilevel.Minimize(ctx, c.Problem, m, s)
		if err != nil {
			t.Fatal(err)
		}
		if !same(again, want) || again.Time != got.Time || seen != nil {
			t.Errorf("resuming a finished run: %+v, recorder saw %v", again, seen)
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 4 {
		t.Errorf("left behind: %v", entries)
	}
}

// A run that had reached its target has still reached it.
func TestResumeAtTarget(t *testing.T) {
	c := bileveltest.Scalar()
	s := bilevel.Settings{MaxSteps: 1000, Evaluator: c, GradTol: 1e-3, Checkpoint: filepath.Join(t.TempDir(), "c"),
		Resume: true}
	m := walk{Rate: 0.3, Solve: c.Solve}
	want := minimize(t, m, s)
	got := minimize(t, m, s)
	if want.Reason != bilevel.Target || !same(got, want) {
		t.Errorf("%v after %d steps, resumed: %v after %d", want.Reason, want.Steps, got.Reason, got.Steps)
	}
	s.GradTol = 1e-5
	if got := minimize(t, m, s); got.Reason != bilevel.Target || got.Steps <= want.Steps || got.GradNorm > 1e-5 {
		t.Errorf("with a smaller target: %v after %d steps", got.Reason, got.Steps)
	}
}

func TestCancelledRunResumes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c")
	s := bilevel.Settings{MaxSteps: 20, Seed: 1, Checkpoint: file, Resume: true, RecordEvery: 1}
	want := minimize(t, walk{}, bilevel.Settings{MaxSteps: 20, Seed: 1, RecordEvery: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cut := s
	cut.Recorder = bilevel.RecorderFunc(func(r bilevel.Record, _ bilevel.Point) {
		if r.Step == 6 {
			cancel()
		}
	})
	if res, err := bilevel.Minimize(ctx, bileveltest.Scalar().Problem, walk{}, cut); err != nil ||
		res.Reason != bilevel.Cancelled {
		t.Fatal(res, err)
	}
	if got := minimize(t, walk{}, s); !same(got, want) {
		t.Errorf("cancelled and resumed:\n%+v\ninstead of\n%+v", got, want)
	}
}

// Checkpoints are written on the way, and one of them can be resumed although the run then failed.
func TestCheckpointEvery(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c")
	saved := 0
	s := bilevel.Settings{MaxSteps: 20, RecordEvery: 1, Checkpoint: file, CheckpointEvery: time.Nanosecond,
		Recorder: bilevel.RecorderFunc(func(bilevel.Record, bilevel.Point) {
			if _, err := os.Stat(file); err == nil {
				saved++
			}
		})}
	p := bileveltest.Scalar().Problem
	if _, err := bilevel.Minimize(context.Background(), p, walk{NaNAt: 9}, s); err == nil {
		t.Fatal("no error")
	}
	if saved == 0 {
		t.Error("nothing saved on the way")
	}
	s.Resume = true
	res, err := bilevel.Minimize(context.Background(), p, walk{NaNAt: 9}, s)
	if err == nil || res.Steps != 9 || len(res.Trace) != 9 {
		t.Errorf("%+v, %v", res, err)
	}
}

// nested has a pointer in an interface: its identity must not contain an address.
type nested struct {
	walk
	Solver any
}

func TestBadCheckpoints(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c")
	p := bileveltest.Scalar().Problem
	s := bilevel.Settings{MaxSteps: 10, Seed: 1, Checkpoint: file, Resume: true}
	m := nested{walk{Rate: 0.1}, &struct{ K int }{3}}
	minimize(t, m, s)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.MaxSteps = 12
	check := func(name string, m bilevel.Method, s bilevel.Settings, p *bilevel.Problem, want string) {
		t.Helper()
		res, err := bilevel.Minimize(context.Background(), p, m, s)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if res != nil {
			t.Errorf("%s: a result", name)
		}
		wantError(t, err, want)
	}
	put := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check("an equal method elsewhere in memory", nested{walk{Rate: 0.1}, &struct{ K int }{3}}, s, p, "")
	put(good)
	check("another knob", nested{walk{Rate: 0.2}, &struct{ K int }{3}}, s, p, "another run")
	check("another solver", nested{walk{Rate: 0.1}, &struct{ K int }{4}}, s, p, "another run")
	check("another method", walk{Rate: 0.1}, s, p, "another run")
	other := s
	other.Seed = 2
	check("another seed", m, other, p, "seed=1")
	check("another problem", m, s, bileveltest.Quadratic(5, 3, 60, 60, 2).Problem, "another run")

	for i := range good {
		if i%7 == 0 || i < 80 {
			bad := bytes.Clone(good)
			bad[i] ^= 0x10
			put(bad)
			check(fmt.Sprintf("byte %d", i), m, s, p, file)
		}
	}
	for n := 0; n < len(good); n += 13 {
		put(good[:n])
		check(fmt.Sprintf("%d bytes", n), m, s, p, file)
	}
	put(append(bytes.Clone(good), 0))
	check("one byte more", m, s, p, "damaged")
	put([]byte("not a checkpoint at all, whatever its length may be: it is a text that somebody wrote"))
	check("a text", m, s, p, "no checkpoint of this version")

	// What cannot be saved is known before the first step.
	s.Recorder = bilevel.RecorderFunc(func(bilevel.Record, bilevel.Point) { t.Error("a step was made") })
	s.Checkpoint = dir
	check("a directory", m, s, p, "is a folder")
	s.Checkpoint = filepath.Join(dir, "missing", "c")
	check("a missing directory", m, s, p, "no such file or directory")
	s.Checkpoint = file
	check("forgetful", forgetful{}, s, p, "forgetful cannot be saved")
	s.Checkpoint = ""
	check("no path", m, s, p, "Resume is set and no Checkpoint")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}

	// A place that goes away: the result is not lost.
	gone := filepath.Join(dir, "gone")
	s.Checkpoint = filepath.Join(gone, "c")
	s.Recorder = bilevel.RecorderFunc(func(bilevel.Record, bilevel.Point) { os.RemoveAll(gone) })
	vanish := func() (*bilevel.Result, error) {
		if err := os.Mkdir(gone, 0o700); err != nil {
			t.Fatal(err)
		}
		return bilevel.Minimize(context.Background(), p, m, s)
	}
	res, err := vanish()
	wantError(t, err, "saving the checkpoint")
	if res == nil || res.Steps != 12 || res.Reason != bilevel.Failed {
		t.Errorf("%+v", res)
	}
	s.CheckpointEvery = time.Nanosecond
	if res, err := vanish(); err == nil || res == nil || res.Steps >= 12 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A run goes on with its own data only: one other number in one term is noticed, and rounding is not.
func TestResumeOtherData(t *testing.T) {
	const terms = 3000 // of which not all are looked at
	problem := func(change int, by float64) *bilevel.Problem {
		level := func(by float64) bilevel.Objective {
			b := func(i int) float64 {
				if i == change {
					return float64(i%7) + by
				}
				return float64(i % 7)
			}
			return &bilevel.Func{InnerDim: 2, OuterDim: 1, Terms: terms,
				Eval: func(z, x []float64, batch bilevel.Batch) float64 {
					s := 0.0
					for i := batch.Lo; i < batch.Hi; i++ {
						s += (z[0] - x[0]*b(i)) * (z[0] - x[0]*b(i)) / 2
					}
					return s/float64(batch.Len()) + z[1]*z[1]/2
				},
				Gradient: func(dz, dx, z, x []float64, batch bilevel.Batch) {
					dz[0], dz[1], dx[0] = 0, z[1], 0
					for i := batch.Lo; i < batch.Hi; i++ {
						r := (z[0] - x[0]*b(i)) / float64(batch.Len())
						dz[0] += r
						dx[0] -= r * b(i)
					}
				}}
		}
		if change < 0 {
			return &bilevel.Problem{Outer: level(0), Inner: level(0)}
		}
		if change >= terms { // the outer level's
			change -= terms
			return &bilevel.Problem{Outer: level(by), Inner: level(0)}
		}
		return &bilevel.Problem{Outer: level(0), Inner: level(by)}
	}
	s := bilevel.Settings{MaxSteps: 3, Checkpoint: filepath.Join(t.TempDir(), "c")}
	if _, err := bilevel.Minimize(context.Background(), problem(-1, 0), walk{}, s); err != nil {
		t.Fatal(err)
	}
	s.Resume = true
	for _, c := range []struct {
		change int
		by     float64
		want   string
	}{
		{-1, 0, ""}, {0, 1, "other data"}, {terms - 1, 1, "other data"}, {terms, .1, "other data"},
		{2*terms - 1, -1, "other data"},
		{0, 1e-12, ""}, {terms, 1e-12, ""},
	} {
		_, err := bilevel.Minimize(context.Background(), problem(c.change, c.by), walk{}, s)
		if c.want == "" && err != nil {
			t.Errorf("term %d changes by %v: %v", c.change, c.by, err)
		} else if c.want != "" {
			wantError(t, err, c.want)
		}
	}
}

// broken is an objective whose evaluation fails.
type broken struct{ bilevel.Objective }

func (broken) Err() error { return errWalk }

func TestCheckpointOfFailingObjective(t *testing.T) {
	p := *bileveltest.Scalar().Problem
	p.Outer = broken{p.Outer}
	s := bilevel.Settings{MaxSteps: 3, Checkpoint: filepath.Join(t.TempDir(), "c")}
	res, err := bilevel.Minimize(context.Background(), &p, walk{}, s)
	wantError(t, err, errWalk.Error())
	if res != nil {
		t.Errorf("%+v", res)
	}
}

// forgetful runs have no State.
type forgetful struct{ walk }

func (m forgetful) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	r, err := m.walk.Start(p, at, seed)
	return struct{ bilevel.Run }{r}, err
}

// lopsided saves more than it loads, or less.
type lopsided struct{ walk }

var saveMore bool // not part of the method: its identity must not change

type lopsidedRun struct{ *walkRun }

func (m lopsided) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	r, err := m.walk.Start(p, at, seed)
	return lopsidedRun{r.(*walkRun)}, err
}

func (r lopsidedRun) State(s *bilevel.State) {
	r.walkRun.State(s)
	if saveMore != s.Loading() {
		extra := 1
		s.Int(&extra)
	}
}

// failsToSave cannot be marshalled.
type failsToSave struct{ walk }

type failsToSaveRun struct{ *walkRun }

func (m failsToSave) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	r, err := m.walk.Start(p, at, seed)
	return failsToSaveRun{r.(*walkRun)}, err
}

func (r failsToSaveRun) State(s *bilevel.State) { s.Fail(errWalk) }

func TestStateDoesNotFitItself(t *testing.T) {
	p := bileveltest.Scalar().Problem
	s := bilevel.Settings{MaxSteps: 3, Checkpoint: filepath.Join(t.TempDir(), "c")}
	resume := s
	resume.Resume = true
	for _, c := range []struct {
		more bool
		want string
	}{{true, "8 bytes behind the end"}, {false, "ends too early"}} {
		saveMore = c.more
		minimize(t, lopsided{}, s)
		_, err := bilevel.Minimize(context.Background(), p, lopsided{}, resume)
		wantError(t, err, c.want)
	}
	res, err := bilevel.Minimize(context.Background(), p, failsToSave{}, s)
	wantError(t, err, errWalk.Error())
	if res == nil || res.Steps != 3 {
		t.Errorf("%+v", res)
	}
}
