package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/internal/report"
)

// WriteReport writes all runs as one HTML page that needs nothing else.
func (r *Results) WriteReport(w io.Writer, title string) error {
	d := report.BenchData{Title: title, Best: map[string]float64{}}
	var budgets, made []string
	runs := 0
	for _, p := range r.Problems {
		d.Best[p.Problem] = p.Best
		for _, g := range p.Groups {
			for _, t := range g.Traces {
				runs++
				budgets = addNew(budgets, t.Budget.String())
				made = addNew(made, fmt.Sprintf("%s, %s kernels, one thread a run", t.Go, t.Kernels))
				run := report.BenchRun{Problem: t.Problem, Method: t.Method, Params: g.Params, Seed: t.Seed, Status: t.Status}
				if t.Status == Failed {
					run.Status += ": " + t.Message
				}
				for _, at := range t.Points {
					run.Points = append(run.Points, report.BenchPoint{Step: at.Step, Seconds: at.Seconds,
						Samples: at.Counts.Total(), GradCalls: at.Counts.GradF + at.Counts.GradG,
						Value: float64(at.Value), GradNorm2: float64(at.GradNorm2),
						TestError: float64(at.TestError), KKT: float64(at.KKT)})
				}
				d.Runs = append(d.Runs, run)
			}
		}
	}
	d.Subtitle = fmt.Sprintf("%s on %s", plural(runs, "run"), plural(len(r.Problems), "problem"))
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

// String is the budget in words.
func (b Budget) String() string {
	var parts []string
	if b.Seconds > 0 {
		parts = append(parts, fmt.Sprintf("%g s", b.Seconds))
	}
	if b.Steps > 0 {
		parts = append(parts, plural(int(b.Steps), "step"))
	}
	if b.Samples > 0 {
		parts = append(parts, plural(int(b.Samples), "sample"))
	}
	return strings.Join(parts, " or ")
}
