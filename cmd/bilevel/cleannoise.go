package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/report"
)

const (
	saidPairs  = 3  // of classes that are taken for each other, in the summary
	drawnPairs = 12 // and in the report
)

// noiseJSON is the noise in --json: rates by class, in the order of classes.
type noiseJSON struct {
	Classes     []string    `json:"classes"`
	Symmetric   bool        `json:"symmetric"` // one rate explains the labels as well as one for each pair
	Rates       [][]float64 `json:"rates"`     // of rows of the class of the line, labelled with that of the column
	Low         [][]float64 `json:"rates_low"`
	High        [][]float64 `json:"rates_high"`
	Pairs       []pairJSON  `json:"pairs"`
	Temperature float64     `json:"temperature"`
	Rival       [][]float64 `json:"rival"` // other rates that explain the labels nearly as well, or null
}

type pairJSON struct {
	True  string  `json:"true"`
	Given string  `json:"given"`
	Rows  float64 `json:"rows"` // expected
	Rate  float64 `json:"rate"` // of the rows of the class
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func (d *cleaned) noiseJSON() *noiseJSON {
	n := d.Noise
	if n == nil {
		return nil
	}
	j := &noiseJSON{Classes: d.Classes, Symmetric: n.Symmetric, Rates: n.T, Low: n.Low, High: n.High,
		Temperature: n.Temperature, Rival: n.Rival, Pairs: []pairJSON{}}
	for _, p := range n.Pairs {
		j.Pairs = append(j.Pairs, pairJSON{d.Classes[p.True], d.Classes[p.Given], p.Rows, p.Share, p.Low, p.High})
	}
	return j
}

// mistaken says which classes are taken for which, "" where nothing is known.
func (d *cleaned) mistaken() string {
	n := d.Noise
	if n == nil || d.suspects() == 0 || len(n.Pairs) == 0 {
		return ""
	}
	if n.Symmetric {
		low, high := 1-n.High[0][0], 1-n.Low[0][0]
		return fmt.Sprintf("Wrong labels are spread alike: %s of the rows of each class have another (%s to %s).",
			report.Bold(numbers.Percent(1-n.T[0][0], 0)), numbers.Fixed(100*low, 0), numbers.Percent(high, 0))
	}
	var parts []string
	for _, p := range n.Pairs[:min(len(n.Pairs), saidPairs)] {
		parts = append(parts, fmt.Sprintf("%s of %s are labelled %s (%s to %s)", numbers.Percent(p.Share, 0),
			report.Bold(report.Name(d.Classes[p.True])), report.Bold(report.Name(d.Classes[p.Given])),
			numbers.Fixed(100*p.Low, 0), numbers.Percent(p.High, 0)))
	}
	return "Of the rows of a class, " + numbers.List(parts) + "."
}

// noiseWarnings say what cannot be told.
func (d *cleaned) noiseWarnings() (w []string) {
	n := d.Noise
	if n == nil {
		return nil
	}
	if n.Rival != nil && d.suspects() > 0 {
		most, at, to := 0.0, 0, 0
		for i, row := range n.T {
			for j, v := range row {
				if e := math.Abs(v - n.Rival[i][j]); e > most {
					most, at, to = e, i, j
				}
			}
		}
		what := "keep their label"
		if at != to {
			what = "are labelled " + report.Name(d.Classes[to])
		}
		w = append(w, fmt.Sprintf("The noise cannot be told for sure: that %s of %s %s explains the labels nearly as "+
			"well as %s. Some trusted rows (%s) would tell.", numbers.Percent(n.Rival[at][to], 0),
			report.Name(d.Classes[at]), what, numbers.Percent(n.T[at][to], 0), report.Code("--trusted")))
	}
	return w
}

// asTheyAre says why the final model knows nothing of the noise.
func (d *cleaned) asTheyAre() string {
	return "with the noise it would tell held-out labels hardly better, or fewer of them"
}

// how says what decided.
func (d *cleaned) how() string {
	switch {
	case d.Noise == nil:
		return "The trusted rows decided the weight of every other row."
	case d.NTrusted > 0:
		return "The noise was learned on labels that were held out, trusted ones among them."
	}
	return "The noise was learned on labels that were held out; none of them was trusted."
}

// withWhat is what the final model has beside the rows.
func (d *cleaned) withWhat() string {
	if d.Noise != nil {
		return "a model of the true class"
	}
	return "and with the trusted ones"
}

const cutOfNoise = "Suspicious are the rows whose label is most likely wrong, as many as make the expected F1 of the " +
	"suspicious rows largest: missing a wrong label counts as much as suspecting a right one."

// noise is the section of which class is taken for which.
func (d *cleaned) noise() *report.Section {
	n := d.Noise
	if n == nil || d.suspects() == 0 || len(n.Pairs) == 0 {
		return nil
	}
	s := &report.Section{Title: "Which class is taken for which", Text: []string{d.mistaken()}}
	if n.Symmetric { // all rates are the same
		return s
	}
	dots := &report.Dots{Title: "Rows of a class with the label of another", Percent: true, Zero: true,
		Hint: "share of the rows of the true class; intervals of 95%"}
	pairs := slices.Clone(n.Pairs)
	for _, p := range pairs[:min(len(pairs), drawnPairs)] {
		dots.Rows = append(dots.Rows, report.Dot{
			Name:  said(d.Classes[p.True]) + " → " + said(d.Classes[p.Given]),
			Small: "about " + numbers.Of(int(math.Round(max(p.Rows, 1))), "row"), Value: p.Share, Low: p.Low, High: p.High,
			Text: numbers.Percent(p.Share, 0), Kind: report.Main,
			Interval: numbers.Fixed(100*p.Low, 0) + " to " + numbers.Percent(p.High, 0)})
	}
	if more := len(pairs) - len(dots.Rows); more > 0 {
		dots.Note = fmt.Sprintf("The first %d pairs; --json has more.", len(dots.Rows))
	}
	s.Parts = []report.Part{dots}
	return s
}

// obtainedNoise says how the result was obtained.
func (d *cleaned) obtainedNoise() report.Section {
	n := d.Noise
	shape := "a rate for each class, and where its wrong labels go"
	if n.Symmetric {
		shape = "one rate, to all other classes alike"
	}
	final := "softmax regression of the true class, behind the noise"
	if d.AllBetter {
		final = "softmax regression of all rows, labels as they are"
	}
	facts := report.Facts{
		{Name: "command", Value: report.Code(d.command)},
		{Name: "rows", Value: d.dataLine()},
		{Name: "noise", Value: shape},
		{Name: "held-out labels", Value: fmt.Sprintf("a loss of %s with the noise, %s without it", numbers.Digits(n.Loss, 4),
			numbers.Digits(n.LossWithout, 4))},
		{Name: "final model", Value: final},
		{Name: "ridge", Value: numbers.Digits(n.Ridge, 2) + "; scores of held-out rows times " +
			numbers.Digits(n.Temperature, 2)},
		{Name: "intervals", Value: "of 95%: of rates with the probabilities of classes as they are, and Wilson’s for shares"},
		{Name: "seed", Value: fmt.Sprint(d.seed)},
		{Name: "time", Value: numbers.Seconds(d.Seconds)},
		{Name: "files", Value: strings.Join(d.fileNames(), ", ")},
		{Name: "optimiser", Value: fmt.Sprintf("%s, %s: %s", d.Method, numbers.Of(int(d.Steps), "hypergradient"), d.Reason)},
	}
	return report.Section{Title: "How it was obtained", Hint: "rows, noise, optimiser, files", Parts: []report.Part{facts}}
}

// fileNames are those that were written.
func (d *cleaned) fileNames() []string {
	names := []string{report.Code("weights.csv"), report.Code("report.html")}
	if d.files.Cleaned != "" {
		names = append(names, report.Code(d.files.Cleaned))
	}
	return names
}
