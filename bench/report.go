package bench

import (
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/internal/report"
)

// WriteReport writes all runs as one HTML page that needs nothing else: a figure of each quantity that runs know, and a
// table of what methods took to reach the targets, the best method first. In colour are the curves of that name, or
// those that [ProblemResults.Chart] chooses.
func (r *Results) WriteReport(w io.Writer, title string, targets []float64, front []string) error {
	d := report.BenchData{Title: title}
	var budgets, made []string
	for _, p := range r.Problems {
		section := report.BenchProblem{Name: p.Problem, Levels: targets}
		for _, q := range Quantities {
			f, err := p.figure(q)
			if err != nil { // no run knows it
				continue
			}
			if err := (Drawing{Front: front}).highlight(f.Panels); err != nil {
				return err
			}
			c := report.BenchChart{Quantity: q.axis.Quantity}
			for _, screen := range []*[]template.HTML{&c.Wide, &c.Narrow} {
				f.Narrow = screen == &c.Narrow
				svgs, caption := f.Parts()
				for _, svg := range svgs {
					*screen = append(*screen, template.HTML(svg))
				}
				c.Caption = caption
			}
			section.Charts = append(section.Charts, c)
		}
		for _, i := range p.order() {
			g := p.Groups[i]
			row := report.BenchRow{Method: g.Method, Params: g.Params, Last: g.LastMedian() - p.Best, Seeds: len(g.Traces)}
			for _, target := range targets {
				to := g.To(p.Best, target)
				row.Levels = append(row.Levels, report.BenchLevel{Seconds: to.Seconds.Median, Samples: to.Samples.Median,
					Reached: to.Reached})
			}
			section.Rows = append(section.Rows, row)
			for _, t := range g.Traces {
				d.Runs++
				budgets = addNew(budgets, t.Budget.String())
				made = addNew(made, fmt.Sprintf("%s, %s kernels, one thread a run", t.Go, t.Kernels))
			}
		}
		d.Problems = append(d.Problems, section)
	}
	for _, t := range r.Failures() {
		failure := report.BenchFailure{Problem: t.Problem, Method: t.Method, Params: describeJSON(t.Params), Seed: t.Seed,
			Step: -1, Message: t.Status + ": " + t.Message}
		if n := len(t.Points); n > 0 {
			failure.Step, failure.Seconds = t.Points[n-1].Step, t.Points[n-1].Seconds
		}
		d.Failures = append(d.Failures, failure)
	}
	d.Subtitle = fmt.Sprintf("%s on %s", plural(d.Runs, "run"), plural(len(r.Problems), "problem"))
	d.Facts = []report.Fact{{Name: "Budget of a run", Value: strings.Join(budgets, "; ")},
		{Name: "Made with", Value: strings.Join(made, "; ")},
		{Name: "Seconds", Value: "of the method alone; records are evaluated outside"}}
	return report.WriteBench(w, d)
}

func addNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// many is a large number in words.
func many(n int64) string {
	if n >= 1e6 && n%1e5 == 0 {
		return strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) + " million"
	}
	return chart.Fixed(float64(n), 0)
}

// String is the budget in words. A term is one of f or g that is visited.
func (b Budget) String() string {
	var parts []string
	if b.Seconds > 0 {
		parts = append(parts, fmt.Sprintf("%g s", b.Seconds))
	}
	if b.Steps > 0 {
		parts = append(parts, many(b.Steps)+" steps")
	}
	if b.Samples > 0 {
		parts = append(parts, many(b.Samples)+" terms")
	}
	return strings.Join(parts, " or ")
}
