package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/mix"
)

// rowsLine says how many rows there are of which kind.
func (m *mixed) rowsLine() string {
	files, rows := 0, 0
	for _, s := range m.Sources {
		if !s.Target {
			files, rows = files+1, rows+s.Rows
		}
	}
	parts := []string{numbers.Of(m.NTarget, "target row"), fmt.Sprintf("%s rows of %d sources", numbers.Count(rows), files)}
	if m.NTest > 0 {
		parts = append(parts, numbers.Of(m.NTest, "test row"))
	}
	return numbers.List(parts)
}

// label is the name of the label column, "" where it has none.
func (m *mixed) label() string {
	if s := m.target.Schema; s != nil && s.Label != "" {
		return report.Name(s.Label)
	}
	return ""
}

// dataLine is the data in one line.
func (m *mixed) dataLine() string {
	kind := "a number"
	if k := len(m.Model.Classes); k > 0 {
		kind = numbers.Count(k) + " classes"
	}
	if m.label() != "" {
		switch how := m.target.LabelHow; {
		case how == "which was asked for":
			kind += ", by --label"
		case how != "":
			kind += ", " + how
		}
		kind = fmt.Sprintf("label %s (%s)", m.label(), kind)
	}
	return fmt.Sprintf("%s, %s, %s", m.rowsLine(), kind, columnsOf(m.target.Schema, m.Features))
}

// measured is what the verdict is about.
func (m *mixed) measured() string {
	if m.Model.Classes == nil {
		return "typical error"
	}
	return "log loss"
}

// on are the rows that judge.
func (m *mixed) on() string {
	if m.Unseen.On == "test" {
		return "the " + numbers.Of(m.NTest, "test row")
	}
	return fmt.Sprintf("the %s, each of which its model had not seen", numbers.Of(m.NTarget, "target row"))
}

// interval is that of a change in words.
func interval(c judge.Estimate) string {
	if math.IsNaN(c.Low) {
		return ""
	}
	if c.High < 0 || c.Low > 0 && c.High < 1 {
		a, b := math.Abs(c.Low), math.Abs(c.High)
		return fmt.Sprintf(" (between %s and %s%%)", numbers.Digits(100*min(a, b), 2), numbers.Digits(100*max(a, b), 2))
	}
	return fmt.Sprintf(" (anything from %s to %s fits these rows)", change(c.Low), change(c.High))
}

// verdict says whether the mix does better than all files alike, in one sentence.
func (m *mixed) verdict() string {
	j := m.judged
	switch c := j.Change; {
	case j.Verdict == judge.Same:
		return "All rows of all sources alike are as good as anything else that was found: they are the mix."
	case math.IsNaN(c.Value):
		return "Against all rows alike, nothing can be told: a loss is zero."
	case j.Verdict == judge.MoreThanChance, j.Verdict == judge.AsGood && c.High < 0:
		return fmt.Sprintf("Against all rows alike, the %s on %s is %s%s: %s.", m.measured(), m.on(), report.Bold(change(c.Value)),
			interval(c), report.Bold("more than chance"))
	case j.Verdict == judge.Worse:
		return fmt.Sprintf("%s: the %s on %s is %s%s.", report.Bold("Worse than all rows alike"), m.measured(), m.on(),
			change(c.Value), interval(c))
	case j.Verdict == judge.TooFewRows:
		return fmt.Sprintf("Against all rows alike, there are %s: the %s on %s is %s, and anything from %s to %s fits.",
			report.Bold("too few rows to tell"), m.measured(), m.on(), change(c.Value), change(c.Low), change(c.High))
	default:
		return fmt.Sprintf("Against all rows alike, the difference is %s: the %s on %s is %s%s.",
			report.Bold("within chance"), m.measured(), m.on(), change(c.Value), interval(c))
	}
}

// short is the verdict in the summary.
func (m *mixed) short() string {
	return map[judge.Verdict]string{judge.Same: "all rows alike", judge.MoreThanChance: "better by more than chance",
		judge.AsGood: "as good as all rows alike", judge.Worse: "worse than all rows alike",
		judge.TooFewRows: "too few rows to tell", judge.WithinChance: "within chance of all rows alike"}[m.judged.Verdict]
}

// named is a source in a sentence, with what it changes.
func (m *mixed) named(s mix.Source) string {
	text := report.Bold(report.Name(s.Name))
	if c := (judge.Estimate{Value: s.Change, Low: s.ChangeLow, High: s.ChangeHigh}); known(c.Value) != nil {
		text += fmt.Sprintf(" (with it the %s is %s, %s)", m.measured(), change(c.Value), between(c))
	}
	return text
}

// between is the interval of a change, as "5% smaller to 12% larger".
func between(c judge.Estimate) string { return change(c.Low) + " to " + change(c.High) }

// leftOut says which sources are left out, "" for none.
func (m *mixed) leftOut() string {
	var names []string
	for _, s := range m.Sources {
		if s.LeftOut {
			names = append(names, m.named(s))
		}
	}
	switch {
	case names == nil && m.Even:
		return "No source is left out, and all rows count alike: weights of their own are not better by more than chance."
	case names == nil:
		return "No source is left out."
	}
	return "Left out: " + numbers.List(names) + "."
}

// weighed says how the others are weighed, "" where leftOut says it.
func (m *mixed) weighed() string {
	some := slices.ContainsFunc(m.Sources, func(s mix.Source) bool { return s.LeftOut })
	switch {
	case m.Even && !some:
		return ""
	case m.Even:
		return "The rows of all sources that are not left out count alike: weights of their own are not better by more than " +
			"chance."
	}
	used := slices.DeleteFunc(slices.Clone(m.Sources), func(s mix.Source) bool { return s.Weight == 0 })
	slices.SortStableFunc(used, func(a, b mix.Source) int {
		switch {
		case a.Weight > b.Weight:
			return -1
		case a.Weight < b.Weight:
			return 1
		}
		return 0
	})
	var names []string
	for _, s := range used[:min(len(used), shownPairs)] {
		names = append(names, fmt.Sprintf("%s %s", report.Bold(report.Name(s.Name)), weightText(s)))
	}
	return "Weights, better than rows alike by more than chance: " + numbers.List(names) + "."
}

// weightText is the weight with its interval.
func weightText(s mix.Source) string {
	text := numbers.Fixed(s.Weight, 2)
	if math.IsNaN(s.Low) {
		return text
	}
	return fmt.Sprintf("%s (%s to %s)", text, numbers.Fixed(s.Low, 2), numbers.Fixed(s.High, 2))
}

// warnings are what makes the result less certain.
func (m *mixed) warnings() []string {
	var w []string
	switch {
	case m.Interrupted:
		w = append(w, "Interrupted: this is the best mix found until then.")
	case m.TimedOut:
		w = append(w, "The time budget was used: this is the best mix found until then.")
	}
	if m.NTarget < fewTargets {
		w = append(w, fmt.Sprintf("The target has %s only: which sources help is uncertain, as the intervals say.",
			numbers.Of(m.NTarget, "row")))
	}
	return w
}

// fewTargets are so few target rows that good sources are sometimes left out.
const fewTargets = 200

// advice is what to do now.
func (m *mixed) advice() string { return "Predict new rows with " + report.Code(m.predict()) + "." }

// predict is the command that uses the model.
func (m *mixed) predict() string {
	out, proba := m.out, ""
	if filepath.IsAbs(out) { // a page that is sent away tells nothing of the machine
		out = filepath.Base(out)
	}
	if m.Model.Classes != nil {
		proba = " --proba"
	}
	return fmt.Sprintf("bilevel predict --model %s new.csv%s", quoted(filepath.ToSlash(filepath.Join(out, "model.json"))),
		proba)
}

// sentences say which sources are used, and how certain that is.
func (m *mixed) sentences() []string {
	all := append([]string{m.leftOut(), m.weighed()}, m.warnings()...)
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// words are the sentences of summary and report.
func (m *mixed) words() []string {
	w := slices.Clone(m.about)
	for _, s := range append(append([]string{m.verdict()}, m.sentences()...), m.advice()) {
		w = append(w, report.Bare(s))
	}
	return w
}

// summary is what is printed without --json, in twelve lines at most but for long lists of sources.
func (m *mixed) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s   %s\n\n", m.name, m.dataLine())
	on := "On unseen target rows"
	if m.Unseen.On == "test" {
		on = "On the " + numbers.Of(m.NTest, "test row")
	}
	table := [][]string{{on}}
	keys, heads := []string{"mae", "rmse"}, []string{"average error", "typical error"}
	if m.Model.Classes != nil {
		keys, heads = []string{"accuracy", "log_loss"}, []string{"right", "log loss"}
	}
	table[0] = append(append(table[0], heads...), "")
	ways := m.ways()
	for i, w := range ways {
		line := []string{"  " + w.name}
		for _, k := range keys {
			fig := w.judged.Figure(k)
			v, _ := text(fig, w.of(fig))
			line = append(line, v)
		}
		last := map[int]string{len(ways) - 2: "baseline", len(ways) - 1: m.short()}[i]
		table = append(table, append(line, last))
	}
	writeTable(&b, table)
	b.WriteString("\n")
	for _, s := range m.sentences() {
		fmt.Fprintln(&b, report.Bare(s))
	}
	fmt.Fprintf(&b, "wrote %s: model.json weights.csv report.html\n", m.out)
	return b.String()
}

// page is the report.
func (m *mixed) page() report.Page {
	return report.Page{
		Above:    "bilevel mix · " + m.name + " · " + m.when.Format("2 January 2006"),
		Title:    m.title(),
		Intro:    m.intro(),
		Sections: []report.Section{m.which(), m.good(), m.now()},
		Details:  []report.Section{m.obtained()},
	}
}

// title is the finding.
func (m *mixed) title() string {
	out, files := 0, 0
	for _, s := range m.Sources {
		if !s.Target {
			files++
		}
		if s.LeftOut {
			out++
		}
	}
	what := m.target.Source
	if m.label() != "" {
		what = report.Bold(m.label())
	}
	if out == 0 {
		return fmt.Sprintf("None of %d sources is left out to predict %s", files, what)
	}
	return fmt.Sprintf("%d of %d sources do not help to predict %s", out, files, what)
}

func (m *mixed) intro() []string {
	return append([]string{fmt.Sprintf("The target is %s: %s.", report.Name(m.name), m.dataLine())}, m.notes...)
}

// which says which sources help.
func (m *mixed) which() report.Section {
	s := report.Section{Title: "Which sources help", Lead: m.leftOut(), Text: m.sentences()[1:]}
	dots := &report.Dots{Title: upper(m.measured()) + " with the source, against without it", Percent: true, Zero: true,
		Hint: "of target rows, beside the sources that are not left out, all rows alike; lower is better; intervals hold 95%"}
	order := make([]mix.Source, 0, len(m.Sources))
	for _, of := range m.Sources {
		if known(of.Change) != nil {
			order = append(order, of)
		}
	}
	slices.SortStableFunc(order, func(a, b mix.Source) int {
		if a.Change < b.Change {
			return -1
		} else if a.Change > b.Change {
			return 1
		}
		return 0
	})
	for _, of := range order[:min(len(order), shownColumns)] {
		kind, small := report.Main, "used"
		if of.LeftOut {
			kind, small = report.Look, "left out"
		}
		low, high := of.ChangeLow, of.ChangeHigh
		dots.Rows = append(dots.Rows, report.Dot{Name: report.Name(of.Name), Small: small, Value: of.Change, Low: low, High: high,
			Text: change(of.Change), Interval: between(judge.Estimate{Low: low, High: high}), Kind: kind})
	}
	if len(dots.Rows) > 0 {
		s.Parts = append(s.Parts, dots)
	}
	t := &report.Table{Title: "Weights", Hint: "of the mean loss of each source; intervals of 95%, of learned weights",
		Columns: []report.Column{{Name: "source"}, {Name: "rows", Number: true}, {Name: "weight", Number: true, Strong: true},
			{Name: "learned", Small: "95%", Number: true}, {Name: m.measured() + " alone", Number: true, Minor: true},
			{Name: ""}}}
	for _, of := range m.Sources[:min(len(m.Sources), shownColumns)] {
		interval, alone, said := "–", "–", ""
		if known(of.Low) != nil {
			interval = numbers.Fixed(of.Low, 2) + " to " + numbers.Fixed(of.High, 2)
		}
		if known(of.Alone) != nil {
			v := of.Alone
			if m.Model.Classes == nil {
				v = math.Sqrt(2 * v)
			}
			alone = numbers.Digits(v, 3)
		}
		if of.LeftOut {
			said = "left out"
		}
		weight := numbers.Fixed(of.Weight, 2)
		if of.Weight == 0 {
			weight = "0"
		}
		t.Rows = append(t.Rows, []string{report.Name(of.Name), numbers.Count(of.Rows), weight, interval, alone, said})
	}
	s.Parts = append(s.Parts, t)
	if more := len(m.Sources) - shownColumns; more > 0 {
		s.Parts = append(s.Parts, report.Note(fmt.Sprintf("And %d more: weights.csv has all.", more)))
	}
	return s
}

// good says how good the mix is.
func (m *mixed) good() report.Section {
	s := report.Section{Title: "How good the mix is", Lead: m.verdict()}
	if m.Unseen.On != "test" {
		s.Text = append(s.Text, "Which sources are used was chosen by these rows: "+report.Code("--test")+
			" takes rows that did not.")
	}
	loss := m.judged.Loss()
	dots := &report.Dots{Title: upper(m.measured()) + " on " + m.on(), Hint: "lower is better; intervals hold 95%",
		Zero: m.Model.Classes == nil}
	if loss.Term != "" {
		dots.Title = fmt.Sprintf("%s (%s) on %s", upper(m.measured()), loss.Term, m.on())
	}
	for _, w := range m.ways() {
		e := w.of(w.judged.Loss())
		v, between := text(w.judged.Loss(), e)
		dots.Rows = append(dots.Rows, report.Dot{Name: w.name, Small: w.small, Value: e.Value, Low: e.Low, High: e.High, Text: v,
			Interval: between, Kind: w.kind, Strong: w.kind == report.Main})
	}
	s.Parts = []report.Part{dots}
	return s
}

func (m *mixed) now() report.Section {
	return report.Section{Title: "What to do now", Text: []string{"Predict new rows with the model of this mix:"},
		Parts: []report.Part{report.Command(m.predict())}}
}

// obtained says how the result was obtained, the optimiser last.
func (m *mixed) obtained() report.Section {
	facts := report.Facts{
		{Name: "command", Value: report.Code(m.command)},
		{Name: "rows", Value: m.dataLine()},
		{Name: "model", Value: m.Model.Task.Words() + " of the weighted sources, with one strength, which is learned with " +
			"the weights: " + numbers.Digits(m.Model.Penalty.Strengths[0].Value, 2)},
		{Name: "judging", Value: fmt.Sprintf("the target in %d folds, each judged by a model without it", m.Folds)},
		{Name: "left out", Value: "sources without which the loss of target rows is smaller by two standard errors, or smaller " +
			"at all where the learned weight may be zero and is below the share of the rows"},
		{Name: "intervals", Value: "of 95%, by target rows; those of weights by drawing these rows 1,000 times"},
		{Name: "seed", Value: fmt.Sprint(m.seed)},
		{Name: "time", Value: numbers.Seconds(m.Seconds)},
		{Name: "files", Value: report.Code("model.json") + ", " + report.Code("weights.csv") + ", " +
			report.Code("report.html")},
		{Name: "optimiser", Value: fmt.Sprintf("hoag, %s: %s", numbers.Of(int(m.Steps), "step"), m.Reason)},
	}
	return report.Section{Title: "How it was obtained", Hint: "rows, model, optimiser, files", Parts: []report.Part{facts}}
}
