package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/bench"
)

// TestMain lets the test program be a worker of bilevel bench run, which starts itself.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "bench" && os.Args[2] == "work" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const smallBench = `
name: small
problems: [{problem: quadratic, name: a/b, inner: 4, outer: 2, terms: 32, validation: 32}]
methods: [{name: SABA, method: saba, params: {batch: [4, 8]}}, {method: soba, params: {inner: 1e9, outer: 1}}]
seeds: 2
budget: {steps: 2000}
`

func TestBench(t *testing.T) {
	files(t, map[string]string{"small.yaml": smallBench})
	o := mustCall(t, "bench", "run", "small.yaml")
	if !strings.Contains(o.stdout, "small: 6 of 6 runs, 2 diverged in") ||
		!strings.Contains(o.stdout, "see bilevel bench show bench-small") ||
		!strings.Contains(o.stderr, "100%  6 of 6 runs, 2 diverged") {
		t.Errorf("%s\n%s", o.stdout, o.stderr)
	}
	if o := mustCall(t, "bench", "run", "small.yaml", "--quiet"); o.stderr != "" ||
		!strings.Contains(o.stdout, "6 of 6 runs") {
		t.Errorf("%s\n%s", o.stdout, o.stderr)
	}
	o = mustCall(t, "bench", "show", "bench-small", "--targets", "10, 1e-9")
	for _, want := range []string{"a/b, h* = ", "batch=4", "batch=8", "2/2", "0/2", "too few to compare",
		"2 runs did not end well", "seed 1: diverged, after step"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("%q is not in\n%s", want, o.stdout)
		}
	}
	if o := mustCall(t, "bench", "show", "bench-small", "--best"); strings.Count(o.stdout, "SABA") != 1 {
		t.Errorf("not one set of parameters\n%s", o.stdout)
	}
	if o := mustCall(t, "bench", "show", "bench-small",
		"--yaml"); strings.Count(o.stdout, `{name: "SABA", method: saba, params: {batch: `) != 1 {
		t.Errorf("no YAML of the best parameters\n%s", o.stdout)
	}
	for y, name := range map[string]string{"": "suboptimality", "gradnorm2": "gradnorm2"} {
		args := []string{"bench", "plot", "bench-small", "--out", "figures"}
		if y != "" {
			args = append(args, "--y", y)
		}
		o := mustCall(t, args...)
		for _, ext := range []string{".svg", ".png"} {
			file := filepath.Join("figures", "a-b-"+name+ext)
			if !exists(file) || !strings.Contains(o.stdout, file) {
				t.Errorf("%s is absent, or not in %s", file, o.stdout)
			}
		}
	}
	mustCall(t, "bench", "plot", "bench-small", "--all")
	if !exists("bench-small/a-b-suboptimality.png") {
		t.Error("no figure in the folder of the bench")
	}
	if o := call(t, "bench", "plot", "bench-small", "--y", "test-error"); o.code != exitFailure ||
		!strings.Contains(o.stderr, "no run on a/b knows its test-error") {
		t.Errorf("code %d, %s", o.code, o.stderr)
	}
	mustCall(t, "bench", "export", "bench-small", "--out", "runs.csv")
	mustCall(t, "bench", "export", "bench-small", "--out", "runs.parquet")
	text, err := os.ReadFile("runs.csv")
	if err != nil {
		t.Fatal(err)
	}
	if lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll(); err != nil || len(lines) < 50 ||
		lines[0][0] != "problem" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	if data, err := os.ReadFile("runs.parquet"); err != nil || !bytes.HasPrefix(data, []byte("PAR1")) {
		t.Errorf("%v", err)
	}
	mustCall(t, "bench", "report", "bench-small")
	if page, err := os.ReadFile("bench-small/report.html"); err != nil || !bytes.Contains(page, []byte("a/b")) &&
		!bytes.Contains(page, []byte(`a\/b`)) || !bytes.Contains(page, []byte("<html")) {
		t.Errorf("%v", err)
	}
}

// Shares of a bench are disjoint and together all of it.
func TestBenchShares(t *testing.T) {
	files(t, map[string]string{"small.yaml": smallBench})
	for i, want := range []string{"2 of 2 runs", "2 of 2 runs", "2 of 2 runs"} {
		o := mustCall(t, "bench", "run", "small.yaml", "--out", "out", "--jobs", "1", "--task-count", "3", "--task-index",
			string(rune('0'+i)))
		if !strings.Contains(o.stdout, want) {
			t.Errorf("share %d: %s", i, o.stdout)
		}
		if traces, err := bench.ReadTraces("out"); err != nil || len(traces) != 2*(i+1) {
			t.Errorf("%d traces after share %d, %v", len(traces), i, err)
		}
	}
}

// An interruption keeps what has ended and says how to go on.
func TestBenchInterrupted(t *testing.T) {
	files(t, map[string]string{"slow.yaml": strings.Replace(smallBench, "{steps: 2000}", "{time: 300ms}", 1)})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if list, _ := filepath.Glob("out/runs/*.jsonl"); len(list) > 0 {
				break
			}
		}
		cancel()
	}()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"bench", "run", "slow.yaml", "--out", "out", "--jobs", "1"}, strings.NewReader(""), &stdout,
		&stderr)
	if code != exitInterrupted || !strings.Contains(stderr.String(),
		"of 6 runs have ended and are kept in out; the same command goes on from there") || stdout.Len() > 0 {
		t.Fatalf("code %d, %s%s", code, stdout.String(), stderr.String())
	}
	kept, err := bench.ReadTraces("out")
	if err != nil || len(kept) == 0 || len(kept) == 6 {
		t.Fatalf("%d traces, %v", len(kept), err)
	}
	if o := mustCall(t, "bench", "run", "slow.yaml", "--out", "out"); !strings.Contains(o.stderr, "of 6 runs") {
		t.Error(o.stderr)
	}
	if traces, err := bench.ReadTraces("out"); err != nil || len(traces) != 6 {
		t.Errorf("%d traces, %v", len(traces), err)
	}
}

func TestBenchList(t *testing.T) {
	o := mustCall(t, "bench", "list")
	for _, want := range []string{"smoke", "ijcnn1-grid", "quadratic  ", "inner=100", "saba ", "batch inner outer",
		"ratio"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("%q is not in\n%s", want, o.stdout)
		}
	}
	if o := mustCall(t, "bench", "list", "--file", "smoke"); !strings.Contains(o.stdout, "name: smoke") {
		t.Error(o.stdout)
	}
}

func TestBenchErrors(t *testing.T) {
	files(t, map[string]string{"small.yaml": smallBench, "file": "",
		"wrong.yaml": strings.Replace(smallBench, "batch", "batches", 1)})
	if err := os.MkdirAll("empty/runs", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"give one bench file", []string{"bench", "run"}},
		{"none.yaml: there is no such file, nor is it a ready one: those are ", []string{"bench", "run", "none.yaml"}},
		{`wrong.yaml:4:47: unknown key "batches": saba has batch, clip`, []string{"bench", "run", "wrong.yaml"}},
		{"--jobs 0: give a number above zero", []string{"bench", "run", "small.yaml", "--jobs", "0"}},
		{"--task-index 2 --task-count 2", []string{"bench", "run", "small.yaml", "--task-index", "2", "--task-count", "2"}},
		{"--task-index 0 --task-count 0", []string{"bench", "run", "small.yaml", "--task-count", "0"}},
		{"--out file: this is a file; name a folder", []string{"bench", "run", "small.yaml", "--out", "file"}},
		{"give one folder", []string{"bench", "show"}},
		{"nowhere: there is no such folder", []string{"bench", "show", "nowhere"}},
		{"file: this is a file", []string{"bench", "show", "file"}},
		{"empty: no run has ended here", []string{"bench", "show", "empty"}},
		{"empty: no run has ended here", []string{"bench", "plot", "empty"}},
		{"empty: no run has ended here", []string{"bench", "report", "empty"}},
		{"empty: no run has ended here", []string{"bench", "export", "empty", "--out", "a.csv"}},
		{`"x" is no number above zero`, []string{"bench", "show", "empty", "--targets", "1,x"}},
		{`"-1" is no number above zero`, []string{"bench", "show", "empty", "--targets", "-1"}},
		{"--y \"h\": choose suboptimality, gradnorm2, test-error or kkt", []string{"bench", "plot", "empty", "--y", "h"}},
		{`--out "a.txt": name a file that ends in .parquet or .csv`, []string{"bench", "export", "empty", "--out", "a.txt"}},
		{`--out "": name a file`, []string{"bench", "export", "empty"}},
		{`no ready file is called "none"`, []string{"bench", "list", "--file", "none"}},
		{`has no command "walk"`, []string{"bench", "walk"}},
	} {
		o := call(t, c.args...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || strings.Count(o.stderr, "\n") != 1 {
			t.Errorf("%v: code %d, %s, want %s", c.args, o.code, o.stderr, c.want)
		}
	}
	if got := listing(t); got != ". empty empty/runs file small.yaml wrong.yaml" {
		t.Errorf("files were left: %s", got)
	}
}
