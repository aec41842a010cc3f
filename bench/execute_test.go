package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/outfile"
	"github.com/bilevel-go/bilevel/stochastic"
	"github.com/bilevel-go/bilevel/valuefn"
)

// Methods that behave in ways that a bench must survive.
type odd struct {
	Panic, Vanish, Refuse bool
	LeaveAt, FailAt       int64
	Hang                  string // a file to lock, and then to go on for ever
	GrowAt                int64  // far away, but not out of the numbers
}

type oddRun struct {
	odd
	at bilevel.Point
	t  int64
}

func (m odd) Start(p *bilevel.Problem, at bilevel.Point, _ uint64) (bilevel.Run, error) {
	if m.Refuse {
		return nil, errors.New("odd: not this problem")
	}
	start, err := p.StartPoint(at)
	return &oddRun{m, start, 0}, err
}

func (r *oddRun) Step(ctx context.Context) error {
	r.t++
	switch {
	case r.Panic && r.t == 5:
		panic("odd: lost")
	case r.Hang != "":
		if _, err := outfile.Lock(r.Hang); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	case r.Vanish && r.t == 5:
		fmt.Fprintln(os.Stderr, "odd: out of memory")
		os.Exit(3)
	case r.t == r.FailAt:
		return errors.New("odd: no way on")
	case r.t == r.LeaveAt:
		r.at.Z[0] = math.NaN()
	case r.t == r.GrowAt:
		r.at.X[0] = 1e30
	}
	return nil
}

func (r *oddRun) Point() bilevel.Point {
	return bilevel.Point{Z: slices.Clone(r.at.Z), X: slices.Clone(r.at.X)}
}
func (r *oddRun) Counts() bilevel.Counts { return bilevel.Counts{GradF: 3 * r.t} }

// TestMain makes a worker of the test program where a test asks for one.
func TestMain(m *testing.M) {
	prototypes["odd"] = odd{}
	if os.Getenv("BENCH_TEST_WORKER") != "" {
		if err := Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv("BENCH_TEST_PARENT"); dir != "" {
		executeAndHang(dir)
	}
	os.Exit(m.Run())
}

func worker(t *testing.T) func(context.Context) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) *exec.Cmd {
		c := exec.CommandContext(ctx, self)
		c.Env = append(os.Environ(), "BENCH_TEST_WORKER=1")
		return c
	}
}

func config(t *testing.T, methods, seeds string) []Task {
	t.Helper()
	c, err := ParseConfig("test.yaml", []byte(`
name: test
problems: [{problem: quadratic, name: small, inner: 4, outer: 2, terms: 32, validation: 32}]
budget: {steps: 50}
records: {per-decade: 4}
seeds: `+seeds+`
methods: `+methods))
	if err != nil {
		t.Fatal(err)
	}
	return c.Tasks
}

func execute(t *testing.T, tasks []Task, o ExecuteOptions) Progress {
	t.Helper()
	p, err := Execute(context.Background(), tasks, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, dir string) []*Trace {
	t.Helper()
	list, err := ReadTraces(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// values are all recorded values, which do not depend on time.
func values(list []*Trace) string {
	var b strings.Builder
	for _, t := range list {
		fmt.Fprintf(&b, "%s %s %d %s %s:", t.Method, t.Params, t.Seed, t.Status, t.Message)
		for _, p := range t.Points {
			fmt.Fprintf(&b, " %d %v %v %v", p.Step, p.Counts, p.Value, p.GradNorm2)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A record has the KKT loss of its point where the bench asks for it, and a trace without the quantity is still read.
func TestRecordsOfTheKKTLoss(t *testing.T) {
	c, err := ParseConfig("test.yaml", []byte(`
name: test
problems: [{problem: quadratic, inner: 4, outer: 2, terms: 32, validation: 32}]
budget: {steps: 1000}
records: {per-decade: 2, kkt: 50}
methods: [{method: bome}]`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	execute(t, c.Tasks, ExecuteOptions{Dir: dir})
	points := read(t, dir)[0].Points
	in, err := (&loader{}).get(t.Context(), c.Tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	want, err := valuefn.KKTAt(in.problem, in.start(0), 50)
	if err != nil {
		t.Fatal(err)
	}
	first, last := float64(points[0].KKT), float64(points[len(points)-1].KKT)
	if first != want.Loss || !(last < 0.5*first) {
		t.Errorf("the loss falls from %g to %g, and the start's is %g", first, last, want.Loss)
	}
	plain := c.Tasks[0]
	plain.KKT = 0
	if plain.key() == c.Tasks[0].key() {
		t.Error("the loss does not make another task")
	}
	execute(t, []Task{plain}, ExecuteOptions{Dir: dir})
	text, err := os.ReadFile(filepath.Join(dir, runsFolder, plain.file()))
	if err != nil || strings.Contains(string(text), "kkt") {
		t.Errorf("a trace without the loss has it, or error %v", err)
	}
	for _, tr := range read(t, dir) {
		if p := tr.Points[1]; p.KKT.finite() != (tr.KKT > 0) || !p.Value.finite() {
			t.Errorf("kkt %d: %+v", tr.KKT, p)
		}
	}
}

// A run whose records have no KKT loss says so once.
func TestNoKKTLoss(t *testing.T) {
	in, err := (&loader{}).get(t.Context(), config(t, "[{method: saba}]", "1")[0])
	if err != nil {
		t.Fatal(err)
	}
	p := *in.problem
	p.Inner = struct{ bilevel.SecondOrder }{steep{p.Inner.(bilevel.SecondOrder)}}
	made := *in
	made.problem = &p
	trace := newTrace(Task{Budget: Budget{Steps: 30}, PerDecade: 4, KKT: 5}, unknown)
	minimize(t.Context(), &made, stochastic.SOBA{InnerStep: stochastic.Constant(1e-3),
		OuterStep: stochastic.Constant(1e-3)},
		trace)
	if len(trace.Points) < 5 || trace.Points[2].KKT.finite() {
		t.Errorf("%+v", trace.Points)
	}
	if n := slices.DeleteFunc(trace.Notes, func(s string) bool { return !strings.Contains(s, "KKT loss") }); len(n) != 2 ||
		!strings.Contains(n[1], fmt.Sprint(len(trace.Points), " records in all")) {
		t.Errorf("notes %q", n)
	}
}

// steep has no finite value over all samples, which only the KKT loss asks for.
type steep struct{ bilevel.SecondOrder }

func (s steep) Value(z, x []float64, b bilevel.Batch) float64 {
	if b == bilevel.All(s) {
		return math.NaN()
	}
	return s.SecondOrder.Value(z, x, b)
}

// The numbers do not depend on where runs are made, how many at once, and in how many shares.
func TestExecute(t *testing.T) {
	tasks := config(t, `[{method: saba, params: {batch: [4, 8]}}, {method: hoag}]`, "3")
	here := t.TempDir()
	if p := execute(t, tasks, ExecuteOptions{Dir: here}); p.Ended != 9 || p.All != 9 || p.Failed+p.Diverged != 0 {
		t.Fatalf("%+v", p)
	}
	want := values(read(t, here))
	traces := read(t, here)
	first := traces[len(traces)-1]
	if first.Method != "saba" || first.Seed != 2 || first.Steps != 50 || len(first.Points) < 8 ||
		first.Points[0].Step != 0 || first.Message != "step budget used" ||
		!first.Known.finite() || !first.Points[3].Value.finite() || first.Points[3].TestError.finite() {
		t.Errorf("%+v", first)
	}
	apart := t.TempDir()
	for i := range 2 {
		execute(t, Share(tasks, i, 2), ExecuteOptions{Dir: apart, Worker: worker(t), Jobs: 2})
	}
	if got := values(read(t, apart)); got != want {
		t.Errorf("apart:\n%s\nhere:\n%s", got, want)
	}
}

// modified are the times at which traces were written.
func modified(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	times := map[string]int64{}
	files, err := os.ReadDir(filepath.Join(dir, runsFolder))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		times[f.Name()] = info.ModTime().UnixNano()
	}
	return times
}

// An interrupted bench keeps the runs that ended, and goes on with the others.
func TestResume(t *testing.T) {
	tasks := config(t, `[{method: soba}, {method: hoag}]`, "4")
	for _, w := range []func(context.Context) *exec.Cmd{nil, worker(t)} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		p, err := Execute(ctx, tasks, ExecuteOptions{Dir: dir, Worker: w, Jobs: 1, Progress: func(p Progress) {
			if p.Ended == 3 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) || p.Ended < 3 || p.Ended >= len(tasks) {
			t.Fatalf("%+v, %v", p, err)
		}
		kept := modified(t, dir)
		if len(kept) != p.Ended {
			t.Errorf("%d files of %d runs", len(kept), p.Ended)
		}
		made := 0
		end := execute(t, tasks, ExecuteOptions{Dir: dir, Worker: w, Jobs: 2, Progress: func(p Progress) {
			if p.Last != nil {
				made++
			}
		}})
		if end.Ended != len(tasks) || made != len(tasks)-p.Ended {
			t.Errorf("%d runs were made after %d, %+v", made, p.Ended, end)
		}
		now := modified(t, dir)
		for name, at := range kept {
			if now[name] != at {
				t.Errorf("%s was made again", name)
			}
		}
		if len(now) != len(tasks) {
			t.Errorf("the files are %v", slices.Sorted(maps.Keys(now)))
		}
	}
}

// What goes wrong in a run is its result.
func TestFailures(t *testing.T) {
	tasks := config(t, `[{method: odd, params: {panic: true}}, {method: odd, params: {refuse: true}},
  {method: odd, params: {leave-at: 7}}, {method: odd, params: {fail-at: 9}}, {method: odd, params: {grow-at: 8}},
  {method: odd, params: {vanish: true}}, {method: odd}]`, "1")
	dir := t.TempDir()
	p := execute(t, tasks, ExecuteOptions{Dir: dir, Worker: worker(t), Jobs: 1})
	if p.Ended != 7 || p.Failed != 4 || p.Diverged != 2 {
		t.Errorf("%+v", p)
	}
	list := read(t, dir)
	if len(list) != 7 {
		t.Fatalf("%d traces", len(list))
	}
	for _, trace := range list {
		want := map[string]string{
			`{"panic":true}`: "failed: panic: odd: lost", `{"refuse":true}`: "failed: odd: not this problem",
			`{"leave-at":7}`: "diverged: after step 8, z[0] = NaN", `{"grow-at":8}`: "diverged: after step 10, h = 3.98e+59",
			`{"fail-at":9}`:   "failed: bilevel: step 9: odd: no way on",
			`{"vanish":true}`: "failed: the process of the run ended: exit status 3: odd: out of memory",
			`{}`:              "done: step budget used",
		}[string(trace.Params)]
		if got := trace.Status + ": " + trace.Message; got != want {
			t.Errorf("%s is %s, want %s", trace.Params, got, want)
		}
		if early := trace.Status == Failed && strings.Contains(string(trace.Params), "refuse") ||
			strings.Contains(string(trace.Params), "vanish"); early != (len(trace.Points) == 0) {
			t.Errorf("%s has %d points", trace.Params, len(trace.Points))
		}
	}
	r := NewResults(list)
	if n := len(r.Failures()); n != 6 {
		t.Errorf("%d failures", n)
	}

	// They are not made again, unless asked for, and then the others are not.
	made := 0
	count := func(p Progress) {
		if p.Last != nil {
			made++
		}
	}
	execute(t, tasks, ExecuteOptions{Dir: dir, Worker: worker(t), Progress: count})
	if made != 0 {
		t.Errorf("%d runs were made again", made)
	}
	execute(t, tasks, ExecuteOptions{Dir: dir, Worker: worker(t), Progress: count, Retry: true})
	if made != 4 {
		t.Errorf("%d failures were made again", made)
	}
}

// Other names for the same runs change what traces are called, and nothing is run again.
func TestRename(t *testing.T) {
	dir := t.TempDir()
	execute(t, config(t, `[{method: odd}]`, "2"), ExecuteOptions{Dir: dir})
	execute(t, config(t, `[{name: "an odd one", method: odd}]`, "2"), ExecuteOptions{Dir: dir, Progress: func(p Progress) {
		if p.Last != nil {
			t.Error("a run was made again")
		}
	}})
	for _, trace := range read(t, dir) {
		if trace.Method != "an odd one" {
			t.Errorf("it is called %s", trace.Method)
		}
	}
}

// What a bench lacks is an error, not a failed run.
func TestBenchErrors(t *testing.T) {
	tasks := config(t, `[{method: odd}]`, "1")
	tasks[0].Options = []byte(`{"terms":3}`)
	for _, w := range []func(context.Context) *exec.Cmd{nil, worker(t)} {
		dir := t.TempDir()
		_, err := Execute(context.Background(), tasks, ExecuteOptions{Dir: dir, Worker: w})
		if err == nil || !strings.Contains(err.Error(), "small: bench: a quadratic of inner 100") {
			t.Error(err)
		}
		if _, err := ReadTraces(dir); err == nil || !strings.Contains(err.Error(), "no run has ended here") {
			t.Error(err)
		}
	}
	_, err := Execute(context.Background(), tasks, ExecuteOptions{Dir: t.TempDir(),
		Worker: func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, "false")
		}})
	if err == nil || !strings.Contains(err.Error(), "the worker process did not start: exit status 1") {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Execute(context.Background(), tasks, ExecuteOptions{Dir: file}); err == nil {
		t.Error("a file as a folder")
	}
	for path, want := range map[string]string{file: "this is a file",
		filepath.Join(filepath.Dir(file), "none"): "there is no such folder", filepath.Dir(file): "no run has ended here"} {
		if _, err := ReadTraces(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A damaged trace is an error for those who read it, with its place, and made again by the bench.
func TestDamagedTrace(t *testing.T) {
	dir := t.TempDir()
	tasks := config(t, `[{method: odd}]`, "1")
	execute(t, tasks, ExecuteOptions{Dir: dir})
	path := filepath.Join(dir, runsFolder, tasks[0].file())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	otherFormat := strings.Replace(string(whole), `"format":1`, `"format":9`, 1)
	for text, want := range map[string]string{
		"":                            "jsonl: the trace is damaged: it has no end",
		lines[0]:                      "jsonl:1: the trace is damaged: it has no end",
		strings.Join(lines[:4], ""):   "jsonl:4: the trace is damaged",
		string(whole[:len(whole)-30]): "the trace is damaged",
		lines[0] + "{}\n" + lines[2]:  "the trace is damaged",
		otherFormat:                   "jsonl:1: the trace is damaged: its format is 9, not 1",
		strings.Replace(string(whole), `"status":"done"`, `"status":""`, 1): `its status is ""`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadTraces(dir); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "remove it and run the bench again") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	execute(t, tasks, ExecuteOptions{Dir: dir})
	if got := read(t, dir); len(got) != 1 || got[0].Status != Done {
		t.Errorf("%+v", got)
	}
}

// Records miss the tolerance without ending the run, but are counted; without a gradient the run ends.
func TestLooseEvaluations(t *testing.T) {
	for _, c := range []struct {
		grad   bool
		loose  int
		failed bool
	}{{true, 1, false}, {false, 0, true}} {
		e := &evaluator{Evaluator: loose(c.grad)}
		grad := make([]float64, 2)
		h, err := e.Evaluate(context.Background(), grad, nil)
		if h != 7 || e.inexact != c.loose || (err != nil) != c.failed {
			t.Errorf("%+v: h = %v, %v, %d loose", c, h, err, e.inexact)
		}
	}
}

type loose bool

func (l loose) Evaluate(ctx context.Context, grad, _ []float64) (float64, error) {
	if l {
		clear(grad)
	}
	return 7, errors.New("not solved")
}

// executeAndHang is the process of TestWorkerEndsWithItsParent that is killed.
func executeAndHang(dir string) {
	c, err := ParseConfig("test.yaml", []byte(`
name: test
problems: [{problem: quadratic, name: small, inner: 4, outer: 2, terms: 32, validation: 32}]
budget: {steps: 50}
records: {per-decade: 4}
seeds: 1
methods: [{method: odd, params: {hang: `+filepath.Join(dir, "lock")+`}}]`))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, err = Execute(context.Background(), c.Tasks, ExecuteOptions{Dir: dir, Jobs: 1,
		Worker: func(ctx context.Context) *exec.Cmd {
			c := exec.CommandContext(ctx, os.Args[0])
			c.Env = append(os.Environ(), "BENCH_TEST_WORKER=1")
			return c
		}})
	fmt.Println(err)
	os.Exit(1)
}

// A worker in the middle of a run ends when the process that started it is killed, and writes nothing.
func TestWorkerEndsWithItsParent(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "lock")
	if release, err := outfile.Lock(lock); err != nil {
		t.Fatal(err)
	} else if _, err := outfile.Lock(lock); err == nil {
		t.Skip("this system has no locks, by which a process could be known to live")
	} else {
		release()
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "BENCH_TEST_PARENT="+dir)
	var words strings.Builder
	parent.Stdout = &words
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for { // until the worker is in its run
		if ctx.Err() != nil {
			t.Fatal("the run does not begin")
		}
		if _, err := os.Stat(lock); err == nil {
			release, err := outfile.Lock(lock)
			if errors.Is(err, outfile.ErrLocked) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			release() // the worker has made the file, and not locked it yet
		}
		time.Sleep(time.Millisecond)
	}
	parent.Process.Kill()
	parent.Wait()
	for { // until the worker is gone
		release, err := outfile.Lock(lock)
		if err == nil {
			release()
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the worker lives")
		}
		time.Sleep(time.Millisecond)
	}
	if traces, err := filepath.Glob(filepath.Join(dir, runsFolder, "*")); err != nil || len(traces) > 0 {
		t.Errorf("%v, %v; %s", traces, err, words.String())
	}
}
