package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/internal/effects"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/tune"
)

// summary is what is printed without --json: the sentences of the report in its order, in twelve lines at most.
func (f *finding) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s   %s\n\n", f.name, f.dataLine())
	writeTable(&b, f.table())
	b.WriteString("\n")
	var lines []string
	if f.judged.Verdict == judge.Worse {
		lines = append(lines, report.Bare(f.verdict()))
	}
	if n := f.nothing(); n != "" {
		lines = append(lines, report.Bare(n))
	}
	if f.judged.ChoseStrengths {
		lines = append(lines, report.Bare(f.optimism()))
	}
	switch {
	case f.speaks():
		lines = append(lines, f.mostSpoken())
	case len(f.effects.Columns) > 0 && !f.pictures():
		lines = append(lines, f.most())
	}
	const room = mostLines - 8 // beside the table
	var last []string
	if a := f.advice(); !strings.HasPrefix(a, "Predict") {
		last = append(last, report.Bare(a))
	}
	lines = append(lines, f.firstWords(room-len(lines)-len(last))...)
	lines = append(lines[:min(len(lines), room-len(last))], last...)
	for _, l := range lines {
		fmt.Fprintln(&b, l)
	}
	fmt.Fprintf(&b, "wrote %s: model.json trace.csv report.html\n", f.out)
	return b.String()
}

// mostLines is how long a summary is at most.
const mostLines = 12

// firstWords are at most n sentences on what was learned.
func (f *finding) firstWords(n int) []string {
	words := f.Words
	if f.judged.Verdict == judge.Same { // which says that nothing better was found
		words = slices.DeleteFunc(slices.Clone(words), func(s string) bool { return s == tune.NothingBetter })
	}
	return words[:max(min(n, len(words)), 0)]
}

// table compares the three models.
func (f *finding) table() [][]string {
	j := f.judged
	trivial, base, model := f.models()
	var keys []string
	switch {
	case f.classes() == nil:
		if keys = []string{"mae", "r2"}; j.Loss().Key != "rmse" {
			keys = []string{"mae", j.Loss().Key}
		}
	case f.imbalanced() && len(f.classes()) > 2:
		keys = []string{"accuracy", "balanced_accuracy", j.Loss().Key}
	default:
		keys = []string{"accuracy", j.Loss().Key}
	}
	if j.Figure("cost") != nil {
		keys = append(keys, "cost")
	}
	heads := map[string]string{"mae": "average error", "r2": "explained", "accuracy": "right",
		"balanced_accuracy": "classes alike", "hinge_loss": "hinge loss"}
	on := map[string]string{"test": "On the " + numbers.Of(j.Rows, "test row"),
		"held-out":    "On " + numbers.Of(j.Rows, "held-out row"),
		"out-of-fold": "On unseen rows", "validation": "On the " + numbers.Of(j.Rows, "validation row")}[j.On]
	out := [][]string{{on}, {"  " + trivial}, {"  " + base}, {"  " + model}}
	column := func(head string, cells ...string) {
		out[0] = append(out[0], head)
		for i, c := range cells {
			out[i+1] = append(out[i+1], c)
		}
	}
	for _, k := range keys {
		fig := j.Figure(k)
		var cells []string
		for _, e := range []judge.Estimate{fig.Trivial, fig.Baseline, fig.Model} {
			v, _ := text(fig, e)
			cells = append(cells, v)
		}
		column(cmp.Or(heads[k], fig.Name), cells...)
		if k == "accuracy" && f.imbalanced() && len(f.classes()) == 2 {
			r := f.judged.Rarest()
			column(said(r.Class)+" found", numbers.Percent(r.Trivial, 1), numbers.Percent(r.Baseline, 1),
				numbers.Percent(r.Model.Value, 1))
		}
	}
	column("", "", "baseline", f.short())
	return out
}

// most is what the strongest columns do, in one line.
func (f *finding) most() string {
	what := "Most on " + f.predicted() + ": "
	switch k := f.classes(); {
	case len(k) == 2:
		what = "Most on " + said(k[1]) + ": "
	case k != nil:
		what = "Most telling: "
	}
	var parts []string
	for _, e := range f.effects.Columns[:min(3, len(f.effects.Columns))] {
		v, interval := f.effectText(e)
		if f.odds() {
			v += " points"
		}
		if interval != "" {
			v += " (" + strings.ReplaceAll(interval, "+", "") + ")"
		}
		part := fmt.Sprintf("%s %s %s", report.Name(e.Column), step(e), v)
		if len(f.classes()) > 2 {
			part += " for " + said(e.Class)
		}
		parts = append(parts, part)
	}
	return what + strings.Join(parts, " · ")
}

// mostSpoken are the most telling words of the first classes, in one line.
func (f *finding) mostSpoken() string {
	var parts []string
	all := effects.Speaking(f.Model, f.data.Train)
	for _, c := range all[:min(3, len(all))] {
		var words []string
		for _, w := range c.Features[:min(3, len(c.Features))] {
			words = append(words, report.Name(w))
		}
		parts = append(parts, said(c.Class)+" "+strings.Join(words, ", "))
	}
	return "Most telling words: " + strings.Join(parts, " · ")
}

// writeTable aligns the first column left, the last one left too, and the others right.
func writeTable(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for j, c := range r {
			width[j] = max(width[j], utf8.RuneCountInString(c))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for j, c := range r {
			pad := strings.Repeat(" ", width[j]-utf8.RuneCountInString(c))
			switch j {
			case 0:
				line.WriteString(c + pad)
			case len(r) - 1:
				line.WriteString("   " + c)
			default:
				line.WriteString("   " + pad + c)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func baseOf(path string) string { return filepath.Base(path) }

// count is n things in words.
func count(n int, thing string) string { return numbers.Of(n, thing) }
