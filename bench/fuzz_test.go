package bench

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzConfig reads anything as a bench file: an error that says where, or tasks that can be run.
func FuzzConfig(f *testing.F) {
	for _, name := range Ready() {
		text, err := ReadyFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	const head = "{name: a, budget: {steps: 4}, problems: [{problem: quadratic, inner: [1, 2]}], "
	const ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
	f.Add([]byte(head + "methods: [{method: soba, params: {inner: {size: 1, decay: .5}, ratio: [1, 2]}}], seeds: 3}"))
	f.Add([]byte(head + "methods: [{method: hoag, params: {memory: [1, 2, 3, 4]}}], seeds: 1048576}"))
	f.Add([]byte(head + "methods: [{method: soba, params: {batch: " + ten + ", clip: " + ten + ", inner: " + ten + "}}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c *Config
		var err error
		if n := allocated(func() { c, err = ParseConfig("fuzz", text) }); n > 256<<20+1000*uint64(len(text)) {
			t.Fatalf("%d MB were allocated for %d bytes (%v)", n>>20, len(text), err)
		}
		var e *ConfigError
		if err != nil {
			if !errors.As(err, &e) || e.File != "fuzz" || c != nil {
				t.Fatalf("error %v (%T)", err, err)
			}
			return
		}
		if c.Name == "" || len(c.Tasks) == 0 {
			t.Fatalf("%+v", c)
		}
		for _, task := range c.Tasks[:min(len(c.Tasks), 50)] {
			for _, part := range []struct {
				text      []byte
				prototype any
			}{{task.Options, problems[task.Kind]}, {task.Params, prototypes[task.Algorithm]}} {
				v, err := parse(part.text)
				if err != nil {
					t.Fatalf("%s: %v", part.text, err)
				}
				if _, err := configure(part.prototype, v, ""); err != nil {
					t.Fatalf("%s: %v", part.text, err)
				}
			}
			if task.Problem == "" || task.Method == "" || task.Budget == (Budget{}) || task.PerDecade < 1 {
				t.Fatalf("%+v", task)
			}
		}
	})
}

// FuzzTrace reads anything as a trace: an error that names the file, or a run that is written as it was read and shown
// in every form.
func FuzzTrace(f *testing.F) {
	task := Task{Problem: "a b", Kind: "quadratic", Options: []byte(`{"inner":5}`),
		Method: "SOBA", Algorithm: "soba", Params: []byte(`{"batch":[1,2]}`),
		Seed: 3, Budget: Budget{Steps: 9, Seconds: .5}, PerDecade: 8}
	trace := newTrace(task, .25)
	trace.Status, trace.Message, trace.Notes = Done, "step budget used", []string{"a note"}
	trace.Steps, trace.Seconds = 9, .125
	f.Add(traceText(f, trace))
	for i := range 3 {
		p := newPoint()
		p.Step, p.Seconds = int64(3*i), float64(i)/16
		p.Counts = bilevel.Counts{GradF: int64(10 * i), GradG: int64(20 * i)}
		if i > 0 {
			p.Value, p.GradNorm2, p.TestError, p.KKT = 1/number(i), .5, .1, .01
		}
		trace.Points = append(trace.Points, p)
	}
	f.Add(traceText(f, trace))
	trace.Status, trace.Message = Diverged, "z[0] = NaN"
	f.Add(traceText(f, trace))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "fuzz.jsonl")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var trace *Trace
		var err error
		if n := allocated(func() { trace, err = readTrace(path) }); n > 1<<20+1000*uint64(len(text)) {
			t.Fatalf("%d MB were allocated for %d bytes (%v)", n>>20, len(text), err)
		}
		if err != nil {
			if trace != nil || !bytes.Contains([]byte(err.Error()), []byte(path)) {
				t.Fatal(trace, err)
			}
			return
		}
		written := traceText(t, trace)
		if err := os.WriteFile(path, written, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := readTrace(path)
		if err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, written)
		}
		if second := traceText(t, again); !bytes.Equal(second, written) {
			t.Fatalf("written as\n%s\nand then as\n%s", written, second)
		}
		r := NewResults([]*Trace{trace, again})
		for name, err := range map[string]error{
			"table": r.WriteTable(io.Discard, DefaultTargets),
			"YAML":  r.WriteYAML(io.Discard),
			"CSV":   r.WriteCSV(io.Discard),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// It may be that there is nothing to draw.
		_ = r.WriteReport(io.Discard, "fuzz", DefaultTargets, nil)
		for _, q := range Quantities {
			_ = r.Problems[0].Chart(io.Discard, q, Drawing{Format: "svg"})
		}
	})
}

// traceText is the file of a trace.
func traceText(t testing.TB, trace *Trace) []byte {
	t.Helper()
	text, err := trace.text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
