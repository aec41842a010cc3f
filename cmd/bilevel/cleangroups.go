package main

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/report"
)

// groupJSON is a group of --by.
type groupJSON struct {
	Name   string       `json:"name"`
	Rows   int          `json:"rows"`
	Wrong  int          `json:"wrong"`
	Share  estimateJSON `json:"wrong_share"`
	Excess estimateJSON `json:"excess"` // of the share, over that of all other groups
	Weight estimateJSON `json:"weight"` // of a row, where those of the best group have 1
	Change estimateJSON `json:"change"` // of the loss of the trusted rows by training on the group
	Worse  bool         `json:"worse"`
}

func (d *cleaned) groupsJSON() []groupJSON {
	var out []groupJSON
	for _, g := range d.Groups {
		out = append(out, groupJSON{g.Name, g.Rows, g.Wrong,
			estimated(judge.Estimate{Value: g.Share, Low: g.Low, High: g.High}),
			estimated(judge.Estimate{Value: g.Excess, Low: g.ExcessLow, High: g.ExcessHigh}),
			estimated(judge.Estimate{Value: g.Weight, Low: g.WeightLow, High: g.WeightHigh}),
			estimated(judge.Estimate{Value: g.Change, Low: g.ChangeLow, High: g.ChangeHigh}), g.Worse()})
	}
	return out
}

// worse says which groups are worse than the others, "" without --by.
func (d *cleaned) worse() string {
	if d.by == "" || len(d.Groups) == 0 {
		return ""
	}
	var names []string
	n := 0
	for _, g := range d.Groups {
		if !g.Worse() {
			continue
		}
		if n++; len(names) == shownReasons {
			continue
		}
		text := fmt.Sprintf("%s (%s of the labels look wrong, %s to %s", report.Bold(report.Name(g.Name)),
			numbers.Percent(g.Share, 0), numbers.Fixed(100*g.Low, 0), numbers.Percent(g.High, 0))
		if g.Weight == 0 {
			text += "; weight 0"
		}
		names = append(names, text+")")
	}
	if names == nil {
		return fmt.Sprintf("No %s is worse than the others by more than chance.", report.Name(d.by))
	}
	if more := n - len(names); more > 0 {
		names = append(names, numbers.Count(more)+" more")
	}
	return fmt.Sprintf("Worse than the others, by %s: %s.", report.Name(d.by), numbers.List(names))
}

// byGroup says which annotators, sources, sensors or months are worse than the others; nil without --by.
func (d *cleaned) byGroup() *report.Section {
	if d.by == "" || len(d.Groups) == 0 {
		return nil
	}
	s := &report.Section{Title: "Which " + report.Name(d.by) + " is worse", Lead: d.worse()}
	dots := &report.Dots{Title: "Labels that look wrong, by " + report.Name(d.by), Hint: "share of the rows, 95% intervals",
		Percent: true, Zero: true}
	weighed := false
	for _, g := range d.Groups[:min(len(d.Groups), shownColumns)] {
		dot := report.Dot{Name: report.Name(g.Name), Small: fmt.Sprintf("%s of %s", numbers.Count(g.Wrong), numbers.Count(g.Rows)),
			Value: g.Share, Low: g.Low, High: g.High, Text: numbers.Percent(g.Share, 0), Kind: report.Main,
			Interval: fmt.Sprintf("%s to %s", numbers.Fixed(100*g.Low, 0), numbers.Percent(g.High, 0))}
		if g.Worse() {
			dot.Kind = report.Look
		}
		dots.Rows = append(dots.Rows, dot)
		weighed = weighed || !math.IsNaN(g.Weight)
	}
	if more := len(d.Groups) - shownColumns; more > 0 {
		dots.Note = fmt.Sprintf("The first %d of %d.", shownColumns, len(d.Groups))
	}
	s.Parts = append(s.Parts, dots)
	if weighed {
		s.Parts = append(s.Parts, d.groupWeights())
	}
	return s
}

// groupWeights is the table of the weights of groups.
func (d *cleaned) groupWeights() *report.Table {
	t := &report.Table{Title: "Weights", Hint: "of a row, where those of the best have 1; learned on the trusted rows, intervals " +
		"of 95%", Columns: []report.Column{{Name: report.Name(d.by)}, {Name: "rows", Number: true},
		{Name: "weight", Number: true, Strong: true}, {Name: "learned", Small: "95%", Number: true},
		{Name: "log loss of trusted rows", Small: "with it, against without", Number: true, Minor: true}}}
	for _, g := range d.Groups[:min(len(d.Groups), shownColumns)] {
		weight, interval, effect := numbers.Fixed(g.Weight, 2), "–", "–"
		if g.Weight == 0 {
			weight = "0"
		}
		if known(g.WeightLow) != nil {
			interval = numbers.Fixed(g.WeightLow, 2) + " to " + numbers.Fixed(g.WeightHigh, 2)
		}
		if known(g.Change) != nil {
			effect = change(g.Change) + " (" + between(judge.Estimate{Low: g.ChangeLow, High: g.ChangeHigh}) + ")"
		}
		t.Rows = append(t.Rows, []string{report.Name(g.Name), numbers.Count(g.Rows), weight, interval, effect})
	}
	return t
}
