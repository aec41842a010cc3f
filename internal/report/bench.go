package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/palette"
)

// BenchData is what the page of a benchmark shows. Every field but Title and Problems may be empty.
type BenchData struct {
	Title    string
	Subtitle string
	Problems []BenchProblem
	// Runs is how many there are, and Failures are those that did not end well.
	Runs     int
	Failures []BenchFailure
	// Facts say how the runs were obtained: machine, version, budget, configuration.
	Facts []Fact
}

// BenchProblem is a section of the page.
type BenchProblem struct {
	Name   string
	Charts []BenchChart
	// Levels are those of h − h* that the table has, in the order of its columns.
	Levels []float64
	// Rows are the methods, the best one first.
	Rows []BenchRow
}

// BenchChart is a figure of the runs. The first one of a problem is open.
type BenchChart struct {
	Quantity string
	Caption  string
	// Wide and Narrow are the panels as SVG, for wide and narrow screens.
	Wide, Narrow []template.HTML
}

// BenchRow is what a method with its parameters took.
type BenchRow struct {
	Method, Params string
	Last           float64 // the median of h − h* at the end, +Inf where most runs did not end well
	Seeds          int
	Levels         []BenchLevel
}

// BenchLevel is what it took to reach a level: medians over seeds, +Inf where half of them or more did not.
type BenchLevel struct {
	Seconds, Samples float64
	Reached          int // seeds
}

// BenchFailure is a run that did not end well.
type BenchFailure struct {
	Problem, Method, Params string
	Seed                    uint64
	Step                    int64   // of the last record, −1 where there is none
	Seconds                 float64 // until there
	Message                 string
}

// mostFailures is the count of failures up to which their list is open, and fewSeeds the number of seeds below which
// methods are not compared.
const (
	mostFailures = 20
	fewSeeds     = 10
)

var (
	//go:embed bench.html.tmpl
	benchPage string
	//go:embed bench.css
	benchStyle string
)

var benchTemplate = template.Must(template.New("bench").Funcs(template.FuncMap{
	"clean": numbers.Plain, "count": numbers.Count,
}).Parse(benchPage))

// benchView is what the template of a benchmark reads.
type benchView struct {
	BenchData
	Style  template.CSS
	Tables []benchTable // by problem
	Failed *failures
}

// benchTable is what methods took to reach levels.
type benchTable struct {
	Heads []string
	Rows  []benchTableRow
	Note  string
}

type benchTableRow struct {
	Method, Params, Last string
	Cells                []benchCell
}

type benchCell struct {
	Time, Samples, Share string
	Fastest              bool
}

// failures lists the runs that are not done.
type failures struct {
	Summary string
	Open    bool
	Rows    []failure
}

type failure struct {
	Problem, Method, Params, Seed, Step, Seconds, Message string
}

// WriteBench renders d to w as one HTML document that needs no other file, no network and no script. It returns an
// error, before writing anything, when there are no problems, and when a row has not a cell for each level.
func WriteBench(w io.Writer, d BenchData) error {
	if len(d.Problems) == 0 {
		return fmt.Errorf("report: a benchmark without runs")
	}
	v := benchView{BenchData: d, Style: template.CSS(palette.CSS() + benchStyle), Failed: d.failures()}
	for _, p := range d.Problems {
		t, err := p.table()
		if err != nil {
			return err
		}
		v.Tables = append(v.Tables, t)
	}
	var b bytes.Buffer
	if err := benchTemplate.Execute(&b, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p BenchProblem) table() (benchTable, error) {
	var t benchTable
	fastest := make([]float64, len(p.Levels))
	for i, level := range p.Levels {
		t.Heads = append(t.Heads, "h − h* ≤ "+level10(level))
		fastest[i] = math.Inf(1)
	}
	few := false
	for _, r := range p.Rows {
		if len(r.Levels) != len(p.Levels) {
			return t, fmt.Errorf("report: %s on %s has %d of %d levels", r.Method, p.Name, len(r.Levels), len(p.Levels))
		}
		few = few || r.Seeds < fewSeeds
		for i, l := range r.Levels {
			fastest[i] = min(fastest[i], l.Seconds)
		}
	}
	for _, r := range p.Rows {
		row := benchTableRow{Method: numbers.Plain(r.Method), Params: numbers.Plain(r.Params), Last: unknown}
		if finite(r.Last) {
			row.Last = level10(r.Last)
		}
		for i, l := range r.Levels {
			c := benchCell{Time: unknown, Share: fmt.Sprintf("%d of %d", l.Reached, r.Seeds)}
			if finite(l.Seconds) {
				c.Time, c.Samples = duration(l.Seconds), level10(l.Samples)+" terms"
				c.Fastest = !few && len(p.Rows) > 1 && l.Seconds == fastest[i]
			}
			row.Cells = append(row.Cells, c)
		}
		t.Rows = append(t.Rows, row)
	}
	t.Note = "Medians over seeds of the time on one core and of the terms of f and g visited, and how many seeds got " +
		"there; the others count as infinite, and – is where half of the seeds or more did not."
	switch {
	case few:
		t.Note += fmt.Sprintf(" Fewer than %d seeds are too few to compare methods.", fewSeeds)
	case len(p.Rows) > 1:
		t.Note += " The shortest time is bold."
	}
	return t, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// level10 is v with two digits, as a power of ten where it is large or small: 3.9·10⁻³.
func level10(v float64) string {
	if v == 0 || math.Abs(v) >= 0.1 && math.Abs(v) < 1e4 {
		return numbers.Digits(v, 2)
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 1, 64), "e")
	e, _ := strconv.Atoi(exponent) // it is one
	if digits == "1.0" {
		return numbers.Power(e)
	}
	return strings.Replace(digits, "-", "−", 1) + "·" + numbers.Power(e)
}

// duration has the unit that leaves few zeros.
func duration(seconds float64) string {
	switch {
	case seconds == 0 || seconds >= 0.9995:
		return numbers.Digits(seconds, 3) + " s"
	case seconds >= 0.9995e-3:
		return numbers.Digits(1e3*seconds, 3) + " ms"
	}
	return numbers.Digits(1e6*seconds, 3) + " µs"
}

// failures is nil when all runs ended well.
func (d BenchData) failures() *failures {
	if len(d.Failures) == 0 {
		return nil
	}
	f := &failures{Open: len(d.Failures) <= mostFailures,
		Summary: fmt.Sprintf("%s of %s diverged or failed", numbers.Count(len(d.Failures)), numbers.Of(d.Runs, "run"))}
	for _, r := range d.Failures {
		row := failure{Problem: numbers.Plain(r.Problem), Method: numbers.Plain(r.Method), Params: numbers.Plain(r.Params),
			Seed: strconv.FormatUint(r.Seed, 10), Step: unknown, Seconds: unknown, Message: numbers.Plain(r.Message)}
		if r.Step >= 0 {
			row.Step, row.Seconds = numbers.Count(int(r.Step)), duration(r.Seconds)
		}
		f.Rows = append(f.Rows, row)
	}
	return f
}
