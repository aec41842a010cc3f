package bench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/jsonwords"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// What becomes of a run.
const (
	Done     = "done"
	Diverged = "diverged" // it left the numbers
	Failed   = "failed"   // the method returned an error or panicked, or its process ended
)

// Trace is a run that has ended.
type Trace struct {
	Task
	Known  number // the smallest h, where the problem knows it
	Points []Point
	// Status is Done, Diverged or Failed, and Message says why the run ended.
	Status, Message string
	Steps           int64
	Seconds         float64 // in steps
	Counts          bilevel.Counts
	Notes           []string
	// Go is the version and architecture that the run was made with, Kernels the tier of the vector kernels.
	Go, Kernels string
}

// Point is a record of a run. What is not known is NaN.
type Point struct {
	Step      int64          `json:"step"`
	Seconds   float64        `json:"seconds"` // in steps
	Counts    bilevel.Counts `json:"counts"`
	Value     number         `json:"value"`     // h
	GradNorm2 number         `json:"gradnorm2"` // ‖x − P(x − ∇h)‖²
	TestError number         `json:"test_error"`
	KKT       number         `json:"kkt,omitzero"` // the loss of BOME's theory, where the bench asks for it
}

// newPoint is a record of which nothing is known.
func newPoint() Point {
	nan := number(math.NaN())
	return Point{Value: nan, GradNorm2: nan, TestError: nan, KKT: nan}
}

// number is a float64 that JSON has as null where it is not finite.
type number float64

func (n number) finite() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// IsZero says that n is not known, for fields that are left out then.
func (n number) IsZero() bool { return !n.finite() }

// MarshalJSON writes a number or null.
func (n number) MarshalJSON() ([]byte, error) {
	if !n.finite() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads a number or null.
func (n *number) UnmarshalJSON(text []byte) error {
	f := math.NaN()
	if string(text) != "null" {
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
	}
	*n = number(f)
	return nil
}

// newTrace is the trace of a run of t that is made here.
func newTrace(t Task, known float64) *Trace {
	return &Trace{Task: t, Known: number(known), Go: runtime.Version() + " " + runtime.GOARCH,
		Kernels: kernel.Active().String()}
}

// traceFormat is the first line's version of a trace file, which has a line for each point and ends with traceEnd.
const traceFormat = 1

type traceHead struct {
	Format  int    `json:"format"`
	Task    Task   `json:"task"`
	Known   number `json:"known"`
	Go      string `json:"go"`
	Kernels string `json:"kernels"`
}

type traceEnd struct {
	Status  string         `json:"status"`
	Message string         `json:"message"`
	Steps   int64          `json:"steps"`
	Seconds float64        `json:"seconds"`
	Counts  bilevel.Counts `json:"counts"`
	Notes   []string       `json:"notes,omitempty"`
}

// runsFolder is where the traces are, in the folder of a bench.
const runsFolder = "runs"

// text is t as a file.
func (t *Trace) text() ([]byte, error) {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	all := []any{traceHead{traceFormat, t.Task, t.Known, t.Go, t.Kernels}}
	for _, p := range t.Points {
		all = append(all, p)
	}
	all = append(all, traceEnd{t.Status, t.Message, t.Steps, t.Seconds, t.Counts, t.Notes})
	for _, line := range all {
		if err := lines.Encode(line); err != nil {
			return nil, fmt.Errorf("bench: trace: %w", err)
		}
	}
	return b.Bytes(), nil
}

// write writes t into the folder of a bench. A reader finds all of it or nothing.
func (t *Trace) write(dir string) error {
	text, err := t.text()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, runsFolder, t.file())
	f, err := os.CreateTemp(filepath.Dir(path), ".run-*")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("bench: %s cannot be written: %w", path, err)
	}
	return nil
}

// readTrace reads one trace file.
func readTrace(path string) (*Trace, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, &ConfigError{File: path, Err: err}
	}
	damaged := func(line int, err error) error {
		return &ConfigError{File: path, Line: line, Err: fmt.Errorf("the trace is damaged: %w; remove it and run the bench "+
			"again", err)}
	}
	lines := slices.Collect(bytes.Lines(text))
	if len(lines) < 2 {
		return nil, damaged(len(lines), errors.New("it has no end"))
	}
	strict := func(i int, dst any) error {
		d := json.NewDecoder(bytes.NewReader(lines[i]))
		d.DisallowUnknownFields()
		if err := d.Decode(dst); err != nil {
			_, err = jsonwords.Explain(nil, err)
			return damaged(i+1, err)
		}
		return nil
	}
	var head traceHead
	if err := strict(0, &head); err != nil {
		return nil, err
	}
	if head.Format != traceFormat {
		return nil, damaged(1, fmt.Errorf("its format is %d, not %d", head.Format, traceFormat))
	}
	var end traceEnd
	if err := strict(len(lines)-1, &end); err != nil {
		return nil, err
	}
	t := &Trace{Task: head.Task, Known: head.Known, Status: end.Status, Message: end.Message, Steps: end.Steps,
		Seconds: end.Seconds, Counts: end.Counts, Notes: end.Notes, Go: head.Go, Kernels: head.Kernels}
	t.Points = make([]Point, len(lines)-2)
	for i := range t.Points {
		t.Points[i] = newPoint() // what is left out is unknown
		if err := strict(i+1, &t.Points[i]); err != nil {
			return nil, err
		}
	}
	if !slices.Contains([]string{Done, Diverged, Failed}, t.Status) {
		return nil, damaged(len(lines), fmt.Errorf("its status is %q", t.Status))
	}
	return t, nil
}

// ReadTraces reads all runs in the folder of a bench, ordered by problem, method, parameters and seed. It is an error
// if there are none.
func ReadTraces(dir string) ([]*Trace, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("this is a file; name the folder that bilevel bench run wrote to")
		} else if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("there is no such folder; name the one that bilevel bench run wrote to")
		}
		return nil, &ConfigError{File: dir, Err: err}
	}
	files, err := filepath.Glob(filepath.Join(globEscape(dir), runsFolder, "*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, &ConfigError{File: dir, Err: errors.New("no run has ended here; bilevel bench run --out writes them")}
	}
	var list []*Trace
	for _, f := range files {
		t, err := readTrace(f)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *Trace) int {
		for _, c := range []int{
			strings.Compare(a.Problem, b.Problem), strings.Compare(a.Method, b.Method),
			compareParams(string(a.Params), string(b.Params)),
		} {
			if c != 0 {
				return c
			}
		}
		return int(min(max(float64(a.Seed)-float64(b.Seed), -1), 1))
	})
	return list, nil
}

// globEscape keeps what stands in a name from being taken for a pattern.
func globEscape(name string) string {
	return strings.NewReplacer(`*`, `[*]`, `?`, `[?]`, `[`, `[[]`).Replace(name)
}

var decimal = regexp.MustCompile(`[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?`)

// compareParams orders texts of parameters, numbers in them by their values.
func compareParams(a, b string) int {
	for {
		i, j := decimal.FindStringIndex(a), decimal.FindStringIndex(b)
		if i == nil || j == nil || a[:i[0]] != b[:j[0]] {
			return strings.Compare(a, b)
		}
		x, _ := strconv.ParseFloat(a[i[0]:i[1]], 64)
		y, _ := strconv.ParseFloat(b[j[0]:j[1]], 64)
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[i[1]:], b[j[1]:]
	}
}
