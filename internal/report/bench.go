package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/internal/palette"
)

// BenchData is what the page of a benchmark shows. Every field but Title and Runs may be empty.
type BenchData struct {
	Title    string
	Subtitle string
	// Facts say how the runs were obtained: machine, version, budget, configuration.
	Facts []Fact
	// Best is h* for each problem, by its name. For a problem that is missing, or has no finite number here,
	// it is the lowest finite value of all its runs less 1e-10. Entries of problems without runs are not used.
	Best map[string]float64
	// Runs are in the order that problems, methods and parameters get on the page.
	Runs []BenchRun
}

// BenchRun is one run: a method with its parameters from one seed on one problem.
type BenchRun struct {
	Problem string
	Method  string
	// Params tells the runs of one method apart, as in "batch=64 inner=0.125"; runs that differ in the seed
	// alone make one curve.
	Params string
	Seed   uint64
	// Status is "done", "diverged", or "failed: " and the message. A run that is not done counts as infinite
	// from its last record on.
	Status string
	Points []BenchPoint
}

// BenchPoint is one record of a run. Step, Seconds, Samples and GradCalls never decrease within a run.
type BenchPoint struct {
	Step      int64
	Seconds   float64 // of the method alone
	Samples   int64   // visited by all oracles
	GradCalls int64   // of gradients
	// Quantities that were not measured are NaN.
	Value     float64 // h(x)
	GradNorm2 float64 // ‖∇h(x)‖²
	TestError float64
	KKT       float64
}

const (
	statusDone     = "done"
	statusDiverged = "diverged"
	statusFailed   = "failed: "

	// belowBest keeps the lowest value itself on a logarithmic axis.
	belowBest = 1e-10
	// mostFailures is the count of failures up to which their list is open.
	mostFailures = 20
)

var (
	//go:embed bench.html.tmpl
	benchPage string
	//go:embed bench.css
	benchStyle string
	//go:embed bench.js
	benchScript string
)

var benchTemplate = template.Must(template.New("bench").Parse(benchPage))

// benchView is what the template of a benchmark reads.
type benchView struct {
	Style           template.CSS
	Script          template.JS
	ScriptHash      string
	Data            template.JS
	Title, Subtitle string
	Failures        *failures
	Facts           []Fact
}

// failures lists the runs that are not done.
type failures struct {
	Summary string
	Open    bool
	Params  bool // whether any run has parameters
	Rows    []failure
}

type failure struct {
	Problem, Method, Params, Seed, Step, Seconds, Message string
}

// benchProblem is the part of the page's data that one problem has.
type benchProblem struct {
	Name string
	// Best is h*, Given says that the caller knew it.
	Best   float64
	Given  bool
	Curves []*benchCurve
	index  map[[2]string]*benchCurve
}

// benchCurve is the runs of one method with one set of parameters.
type benchCurve struct {
	Method, Params string
	Style          int // of the line: colour and dashes
	Runs           []*BenchRun
}

// WriteBench renders d to w as one HTML document that holds its data, style and script: it needs no other
// file and no network. The reader chooses problem, methods and axes; curves are medians over seeds with bands
// from the 20% to the 80% quantile, the value of a run between records being that of the last one. WriteBench
// returns an error, before writing anything, when there are no runs, when a run lacks its problem, method or
// status or is there twice, and when the time or a count of a run is negative or decreases.
func WriteBench(w io.Writer, d BenchData) error {
	if err := d.check(); err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(benchScript))
	v := benchView{
		Style:      template.CSS(palette.CSS() + style + benchStyle),
		Script:     template.JS(benchScript),
		ScriptHash: base64.StdEncoding.EncodeToString(hash[:]),
		Data:       template.JS(encodeBench(d.problems())),
		Title:      clean(d.Title),
		Subtitle:   clean(d.Subtitle),
		Failures:   d.failures(),
	}
	for _, f := range d.Facts {
		v.Facts = append(v.Facts, Fact{clean(f.Name), clean(f.Value)})
	}
	var b bytes.Buffer
	if err := benchTemplate.Execute(&b, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (d BenchData) check() error {
	if len(d.Runs) == 0 {
		return fmt.Errorf("report: a benchmark without runs")
	}
	type key struct {
		problem, method, params string
		seed                    uint64
	}
	first := map[key]int{}
	for i, r := range d.Runs {
		if r.Problem == "" || r.Method == "" {
			return fmt.Errorf("report: run %d has problem %q and method %q; both need a name", i, r.Problem, r.Method)
		}
		where := fmt.Sprintf("run %d (%s)", i, r.name())
		if r.Status != statusDone && r.Status != statusDiverged && !strings.HasPrefix(r.Status, statusFailed) {
			return fmt.Errorf("report: %s has status %q, which is neither %q nor %q nor starts with %q",
				where, r.Status, statusDone, statusDiverged, statusFailed)
		}
		k := key{r.Problem, r.Method, r.Params, r.Seed}
		if j, ok := first[k]; ok {
			return fmt.Errorf("report: %s is there twice, first as run %d", where, j)
		}
		first[k] = i
		var previous BenchPoint
		for j, p := range r.Points {
			if math.IsInf(p.Seconds, 0) || !(p.Seconds >= previous.Seconds) {
				return fmt.Errorf("report: record %d of %s is at %v s, after one at %v s", j, where, p.Seconds, previous.Seconds)
			}
			for _, c := range []struct {
				what      string
				now, then int64
			}{
				{"step", p.Step, previous.Step},
				{"samples", p.Samples, previous.Samples},
				{"gradient calls", p.GradCalls, previous.GradCalls},
			} {
				if c.now < c.then {
					return fmt.Errorf("report: record %d of %s is at %d in %s, after %d", j, where, c.now, c.what, c.then)
				}
			}
			previous = p
		}
	}
	return nil
}

// name is the run in words.
func (r BenchRun) name() string {
	s := r.Problem + ", " + r.Method
	if r.Params != "" {
		s += " " + r.Params
	}
	return fmt.Sprintf("%s, seed %d", s, r.Seed)
}

// problems sorts the runs into problems and curves, both in the order of first appearance.
func (d BenchData) problems() []*benchProblem {
	var problems []*benchProblem
	byName := map[string]*benchProblem{}
	methods := map[string]int{}
	for i := range d.Runs {
		r := &d.Runs[i]
		if _, ok := methods[r.Method]; !ok {
			methods[r.Method] = len(methods)
		}
		p := byName[r.Problem]
		if p == nil {
			p = &benchProblem{Name: r.Problem, index: map[[2]string]*benchCurve{}}
			byName[r.Problem] = p
			problems = append(problems, p)
		}
		key := [2]string{r.Method, r.Params}
		c := p.index[key]
		if c == nil {
			c = &benchCurve{Method: r.Method, Params: r.Params}
			p.index[key] = c
			p.Curves = append(p.Curves, c)
		}
		c.Runs = append(c.Runs, r)
	}
	for _, p := range problems {
		p.Best, p.Given = d.Best[p.Name]
		if !p.Given || !finite(p.Best) {
			p.Best, p.Given = p.lowest()-belowBest, false
		}
		// A method looks alike on all problems, unless it has several curves on this one.
		single := map[string]bool{}
		for _, c := range p.Curves {
			single[c.Method] = true
		}
		for i, c := range p.Curves {
			c.Style = i
			if len(single) == len(p.Curves) {
				c.Style = methods[c.Method]
			}
		}
	}
	return problems
}

// lowest is the lowest finite value of all runs, NaN if there is none.
func (p *benchProblem) lowest() float64 {
	lowest := math.NaN()
	for _, c := range p.Curves {
		for _, r := range c.Runs {
			for _, q := range r.Points {
				if finite(q.Value) && !(q.Value >= lowest) {
					lowest = q.Value
				}
			}
		}
	}
	return lowest
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// failures is nil when all runs are done.
func (d BenchData) failures() *failures {
	f := &failures{}
	for _, r := range d.Runs {
		if r.Status == statusDone {
			continue
		}
		row := failure{
			Problem: clean(r.Problem), Method: clean(r.Method), Params: clean(r.Params),
			Seed: strconv.FormatUint(r.Seed, 10), Step: unknown, Seconds: unknown,
			Message: clean(r.Status),
		}
		if n := len(r.Points); n > 0 {
			row.Step, row.Seconds = count(r.Points[n-1].Step), number(r.Points[n-1].Seconds, 3)
		}
		f.Params = f.Params || r.Params != ""
		f.Rows = append(f.Rows, row)
	}
	if len(f.Rows) == 0 {
		return nil
	}
	f.Open = len(f.Rows) <= mostFailures
	f.Summary = fmt.Sprintf("%s of %s diverged or failed", count(len(f.Rows)), counted(len(d.Runs), "run"))
	return f
}

// encodeBench writes what the script reads: JSON that is safe inside a script element, the records of a run
// in columns, and a column that says nothing left out. Unknown numbers are null and infinity is 1e999, which
// every reader of JSON in a browser takes for it. Values are written as suboptimalities: their six digits
// would not show how far a value is from h*.
func encodeBench(problems []*benchProblem) string {
	e := &encoder{}
	e.list("", len(problems), func(i int) {
		p := problems[i]
		e.object(func() {
			e.text("name", p.Name)
			e.field("best")
			e.float(p.Best, 17)
			e.field("given")
			e.b = strconv.AppendBool(e.b, p.Given)
			e.list("curves", len(p.Curves), func(i int) {
				c := p.Curves[i]
				e.object(func() {
					e.text("method", c.Method)
					e.text("params", c.Params)
					e.field("style")
					e.b = strconv.AppendInt(e.b, int64(c.Style), 10)
					e.list("runs", len(c.Runs), func(i int) { e.run(c.Runs[i], p.Best) })
				})
			})
		})
	})
	var safe bytes.Buffer
	json.HTMLEscape(&safe, e.b)
	return safe.String()
}

type encoder struct{ b []byte }

// comma separates what follows from what is there.
func (e *encoder) comma() {
	if n := len(e.b); n > 0 && !strings.ContainsRune("[{:", rune(e.b[n-1])) {
		e.b = append(e.b, ',')
	}
}

func (e *encoder) object(inside func()) {
	e.comma()
	e.b = append(e.b, '{')
	inside()
	e.b = append(e.b, '}')
}

func (e *encoder) field(name string) {
	e.comma()
	e.b = strconv.AppendQuote(e.b, name)
	e.b = append(e.b, ':')
}

func (e *encoder) text(name, s string) {
	e.field(name)
	quoted, _ := json.Marshal(clean(s)) // strings have no errors
	e.b = append(e.b, quoted...)
}

// list writes n elements, as a field where it has a name.
func (e *encoder) list(name string, n int, element func(i int)) {
	if name != "" {
		e.field(name)
	}
	e.b = append(e.b, '[')
	for i := range n {
		element(i)
	}
	e.b = append(e.b, ']')
}

func (e *encoder) float(v float64, digits int) {
	switch {
	case math.IsNaN(v):
		e.b = append(e.b, "null"...)
	case math.IsInf(v, 1):
		e.b = append(e.b, "1e999"...)
	case math.IsInf(v, -1):
		e.b = append(e.b, "-1e999"...)
	default:
		e.b = strconv.AppendFloat(e.b, v, 'g', digits, 64)
	}
}

func (e *encoder) run(r *BenchRun, best float64) {
	const digits = 6
	floats := func(name string, of func(p BenchPoint) float64) {
		e.list(name, len(r.Points), func(i int) {
			e.comma()
			e.float(of(r.Points[i]), digits)
		})
	}
	known := func(name string, of func(p BenchPoint) float64) {
		if !slices.ContainsFunc(r.Points, func(p BenchPoint) bool { return !math.IsNaN(of(p)) }) {
			return
		}
		floats(name, of)
	}
	counts := func(name string, of func(p BenchPoint) int64) {
		e.list(name, len(r.Points), func(i int) {
			e.comma()
			e.b = strconv.AppendInt(e.b, of(r.Points[i]), 10)
		})
	}
	e.object(func() {
		e.field("done")
		e.b = strconv.AppendBool(e.b, r.Status == statusDone)
		floats("time", func(p BenchPoint) float64 { return p.Seconds })
		counts("steps", func(p BenchPoint) int64 { return p.Step })
		counts("samples", func(p BenchPoint) int64 { return p.Samples })
		counts("gradients", func(p BenchPoint) int64 { return p.GradCalls })
		known("suboptimality", func(p BenchPoint) float64 { return p.Value - best })
		known("gradnorm", func(p BenchPoint) float64 { return p.GradNorm2 })
		known("error", func(p BenchPoint) float64 { return p.TestError })
		known("kkt", func(p BenchPoint) float64 { return p.KKT })
	})
}
