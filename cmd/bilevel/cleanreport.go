package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel/clean"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/report"
)

const (
	shownSuspects = 24 // rows of the table, or cards
	closeToCut    = 6  // cards of the last ones that are still called suspicious
	shownReasons  = 3  // columns that speak against a label
	weightBins    = 20
)

// suspects is how many labels look wrong.
func (d *cleaned) suspects() int { return d.NTrain - d.Kept }

// wrong is the share of labels that look wrong.
func (d *cleaned) wrong() judge.Estimate {
	k, n := float64(d.suspects()), float64(d.NTrain)
	low, high := judge.Wilson(k, n)
	return judge.Estimate{Value: k / n, Low: low, High: high}
}

// gain is the change of the share of right test rows by cleaning.
func (d *cleaned) gain() judge.Estimate {
	return judge.Paired(d.After.Right, d.Before.Right)
}

// verdict says whether the gain is more than chance.
func (d *cleaned) verdict() judge.Verdict {
	switch g := d.gain(); {
	case g.Low > 0:
		return judge.MoreThanChance
	case g.High < 0:
		return judge.Worse
	}
	return judge.WithinChance
}

// estimate is how many labels look wrong, in one sentence.
func (d *cleaned) estimate() string {
	w := d.wrong()
	about, low, high := numbers.Percent(w.Value, 0), numbers.Fixed(100*w.Low, 0), numbers.Percent(w.High, 0)
	if w.Value > 0 && w.Value < .005 {
		about = "under 1%"
	}
	return fmt.Sprintf("About %s of the labels look wrong (%s to %s): %s of %s.", about, low, high,
		numbers.Count(d.suspects()), numbers.Of(d.NTrain, "row"))
}

// label is the name of the label column, "" where it has none.
func (d *cleaned) label() string {
	if s := d.train.Schema; s != nil && s.Label != "" {
		return report.Name(s.Label)
	}
	return ""
}

// rowsLine says how many rows there are of which kind.
func (d *cleaned) rowsLine() string {
	parts := []string{numbers.Of(d.NTrain, "row"), numbers.Count(d.NTrusted) + " trusted rows"}
	if d.NTest > 0 {
		parts = append(parts, numbers.Count(d.NTest)+" test rows")
	}
	return numbers.List(parts)
}

// dataLine is the data in one line.
func (d *cleaned) dataLine() string {
	kind := numbers.Count(len(d.Classes)) + " classes"
	if d.label() != "" {
		switch how := d.train.LabelHow; {
		case how == "which was asked for":
			kind += ", by --label"
		case how != "":
			kind += ", " + how
		}
		kind = fmt.Sprintf("label %s (%s)", d.label(), kind)
	}
	_, width := d.train.Dims()
	return fmt.Sprintf("%s, %s, %s", d.rowsLine(), kind, columnsOf(d.train.Schema, width))
}

// without is the final model.
func (d *cleaned) without() string {
	if d.AllBetter {
		return "all rows and the trusted ones"
	}
	return "without the " + numbers.Of(d.suspects(), "row")
}

// gained is what cleaning gains, "" without test rows.
func (d *cleaned) gained() string {
	if d.After == nil {
		return ""
	}
	what := "Leaving the " + numbers.Of(d.suspects(), "row") + " out"
	if d.AllBetter {
		what = "Adding the trusted rows to all others"
	}
	g := d.gain()
	v, low, high := numbers.Estimate(100*g.Value, 100*g.Low, 100*g.High)
	text := fmt.Sprintf("%s takes accuracy on %s test rows from %s to %s: ", what, numbers.Count(d.NTest),
		numbers.Percent(d.Before.Accuracy, 1), report.Bold(numbers.Percent(d.After.Accuracy, 1)))
	switch d.verdict() {
	case judge.MoreThanChance:
		return text + fmt.Sprintf("%s, %s points (%s to %s).", report.Bold("more than chance"), numbers.Signed(v), low, high)
	case judge.Worse:
		return text + fmt.Sprintf("%s, %s points (%s to %s).", report.Bold("worse"), numbers.Signed(v), low, high)
	}
	return text + fmt.Sprintf("%s, anything from %s to %s points fits.", report.Bold("within chance"), numbers.Signed(low),
		numbers.Signed(high))
}

// found says how well wrong labels were found, "" where nobody knows.
func (d *cleaned) found() string {
	t := d.truth
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%s labels (%s) were made wrong by %s. Of the rows kept %s have their own label "+
		"(precision), and %s of those with their own label were kept (recall): F1 %s.", numbers.Count(t.Corrupted),
		numbers.Percent(float64(t.Corrupted)/float64(d.NTrain), 0),
		report.Code(fmt.Sprintf("--corrupt %g", d.corrupt)), numbers.Percent(t.Precision, 1),
		numbers.Percent(t.Recall, 1), numbers.Fixed(t.F1, 3))
}

// warnings are what makes the result less certain.
func (d *cleaned) warnings() []string {
	var w []string
	switch {
	case d.Interrupted:
		w = append(w, "Interrupted: these are the best weights found until then.")
	case d.TimedOut:
		w = append(w, "The time budget was used: these are the best weights found until then.")
	}
	if n := len(d.Untrusted); n > 0 {
		var names []string
		for _, c := range d.Untrusted[:min(n, shownCells)] {
			names = append(names, said(c))
		}
		if more := n - len(names); more > 0 {
			names = append(names, numbers.Count(more)+" more")
		}
		w = append(w, fmt.Sprintf("No trusted row is of the class %s: what is said of their rows is worth little. Add some "+
			"to %s.", numbers.List(names), report.Code("--trusted")))
	}
	if d.AllBetter {
		w = append(w, "Held-out trusted rows are predicted no better without the suspicious rows: few labels may be wrong.")
	}
	return w
}

// advice is what to do now.
func (d *cleaned) advice() string {
	if d.suspects() == 0 {
		return "Nothing is to be done: no label looks wrong."
	}
	text := "Mend the labels of the rows in " + report.Code("weights.csv") + " that are not kept, from rank 1 on"
	if d.file == "" {
		return text + "."
	}
	return text + ", and tune again: " + report.Code(d.tune()) + "."
}

// tune is the command that takes the mended rows.
func (d *cleaned) tune() string {
	return "bilevel tune --train " + quoted(d.file) + d.reading
}

// words are the sentences of summary and report.
func (d *cleaned) words() []string {
	w := slices.Clone(d.about)
	for _, s := range append([]string{d.estimate(), d.gained(), d.worse(), d.found()}, append(d.warnings(), d.advice())...) {
		if s != "" {
			w = append(w, report.Bare(s))
		}
	}
	return w
}

// rowName is what training row i is called.
func (d *cleaned) rowName(i int) string {
	if d.train.Names != nil {
		return report.Name(d.train.Names[i])
	}
	return numbers.Count(d.train.RowNumber(i))
}

// summary is what is printed without --json, in twelve lines at most.
func (d *cleaned) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s   %s\n\n%s\n", d.name, d.dataLine(), d.estimate())
	if d.After != nil {
		right := func(f *clean.Figures) string { return numbers.Percent(f.Accuracy, 1) }
		g := d.gain()
		_, low, high := numbers.Estimate(100*g.Value, 100*g.Low, 100*g.High)
		short := map[judge.Verdict]string{judge.MoreThanChance: "more than chance", judge.Worse: "worse",
			judge.WithinChance: "within chance"}[d.verdict()]
		writeTable(&b, [][]string{
			{"On the " + numbers.Count(d.NTest) + " test rows", "right", ""},
			{"  the trusted rows only", right(d.Alone), ""},
			{"  all rows", right(d.Before), ""},
			{"  " + d.without(), right(d.After), fmt.Sprintf("%s (%s to %s points)", short, numbers.Signed(low),
				numbers.Signed(high))},
		})
	}
	b.WriteString("\n")
	lines := append(d.warnings(), d.worse(), d.found())
	if len(d.order()) > 0 {
		lines = append(lines, d.first())
	}
	lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" })
	for _, l := range lines[:min(len(lines), 3)] {
		fmt.Fprintln(&b, report.Bare(l))
	}
	fmt.Fprintf(&b, "wrote %s: weights.csv report.html\n", d.out)
	return b.String()
}

// order are the rows with a suspicious label and another one to suggest, the most suspicious first.
func (d *cleaned) order() []int {
	return slices.DeleteFunc(d.Suspects()[:d.suspects()], func(i int) bool {
		return d.Rows[i].Predicted == d.Rows[i].Label
	})
}

// first names the most suspicious rows.
func (d *cleaned) first() string {
	var rows []string
	order := d.order()
	for _, i := range order[:min(3, len(order))] {
		r := d.Rows[i]
		rows = append(rows, fmt.Sprintf("row %s %s → %s (%s likely)", d.rowName(i), report.Name(d.Classes[r.Label]),
			report.Name(d.Classes[r.Predicted]), numbers.Probability(r.Suggested)))
	}
	return "Look first at: " + strings.Join(rows, " · ")
}

// writeReport writes the report.
func (d *cleaned) writeReport(w io.Writer) error {
	p := report.Page{Above: "bilevel clean · " + d.name + " · " + d.when.Format("2 January 2006"), Title: d.title(),
		Intro: d.intro()}
	suspicious, err := d.suspicious()
	if err != nil {
		return err
	}
	for _, s := range []*report.Section{d.gains(), d.byGroup(), suspicious, d.byClass(), d.cut(), d.now()} {
		if s != nil {
			p.Sections = append(p.Sections, *s)
		}
	}
	if t := d.table(shownSuspects); t != nil && pictureSide(d.train) > 0 {
		p.Details = append(p.Details, report.Section{Title: "The same as a table",
			Hint: fmt.Sprintf("the first %d rows", len(t.Rows)), Repeats: true, Parts: []report.Part{t}})
	}
	p.Details = append(p.Details, d.obtained())
	return report.Write(w, p)
}

// title is the finding.
func (d *cleaned) title() string {
	n := d.suspects()
	look := "labels look"
	if n == 1 {
		look = "label looks"
	}
	return fmt.Sprintf("%s of %s %s wrong", numbers.Count(n), numbers.Count(d.NTrain), look)
}

func (d *cleaned) intro() []string {
	w := d.wrong()
	label := ""
	if d.label() != "" {
		label = "; the label is the column " + report.Bold(d.label())
	}
	about := numbers.Percent(w.Value, 0)
	if w.Value > 0 && w.Value < .005 {
		about = "under 1%"
	}
	text := fmt.Sprintf("%s of %s%s, %s classes. The trusted rows decided the weight of every other row. The estimate of "+
		"%s wrong labels lies between %s and %s.", d.rowsLine(), d.name, label, numbers.Count(len(d.Classes)),
		report.Bold(about), numbers.Percent(w.Low, 0), numbers.Percent(w.High, 0))
	return append([]string{text}, d.notes...)
}

// gains says what cleaning gains.
func (d *cleaned) gains() *report.Section {
	s := &report.Section{Title: "What cleaning gains", Lead: d.gained()}
	for _, t := range append([]string{d.found()}, d.warnings()...) {
		if t != "" {
			s.Text = append(s.Text, t)
		}
	}
	if d.After == nil {
		s.Text = append(s.Text, "Nobody knows without test rows: "+report.Code("--test")+
			" takes rows whose labels are right.")
		return s
	}
	dots := &report.Dots{Title: "Accuracy on the test rows", Hint: "higher is better; intervals hold 95%", Percent: true}
	for _, r := range []struct {
		name, small string
		f           *clean.Figures
		kind        report.Kind
	}{
		{"the trusted rows only", "the trivial way", d.Alone, report.Reference},
		{"all rows", "the baseline: labels as they are", d.Before, report.Reference},
		{d.without(), "and with the trusted ones", d.After, report.Main},
	} {
		n := float64(len(r.f.Right))
		k := math.Round(r.f.Accuracy * n)
		dot := report.Dot{Name: r.name, Small: r.small, Value: r.f.Accuracy, Text: numbers.Percent(r.f.Accuracy, 1),
			Interval: fmt.Sprintf("%s of %s right", numbers.Count(int(k)), numbers.Count(int(n))), Kind: r.kind,
			Strong: r.kind == report.Main}
		dot.Low, dot.High = judge.Wilson(k, n)
		dots.Rows = append(dots.Rows, dot)
	}
	s.Parts = []report.Part{dots}
	return s
}

// suspicious shows the most suspicious rows.
func (d *cleaned) suspicious() (*report.Section, error) {
	n := d.suspects()
	s := &report.Section{Title: "The most suspicious rows"}
	if n == 0 {
		s.Text = []string{"There are none."}
		return s, nil
	}
	order := d.order()
	if len(order) == 0 {
		s.Text = []string{"The cleaned model agrees with the labels of all of them: there is no other to suggest."}
		return s, nil
	}
	shown := order[:min(len(order), shownSuspects)]
	s.Text = []string{fmt.Sprintf("The given label is struck out, the suggested one follows, with the probability that "+
		"the cleaned model gives it. The first %d of %s:", len(shown), numbers.Count(n))}
	if pictureSide(d.train) == 0 {
		s.Text[0] = fmt.Sprintf("With the probability that the cleaned model gives the suggested label, and the columns "+
			"that speak most against the given one. The first %d of %s:", len(shown), numbers.Count(n))
		s.Parts = []report.Part{d.table(shownSuspects)}
		return s, nil
	}
	cards, err := d.cards(shown)
	if err != nil {
		return nil, err
	}
	s.Parts = []report.Part{cards}
	if last := order[len(shown):]; len(last) > 0 {
		last = last[max(len(last)-closeToCut, 0):]
		if cards, err = d.cards(last); err != nil {
			return nil, err
		}
		s.Parts = append(s.Parts, report.Paragraph(report.Bold("Close to the cut.")+" The last that are still called "+
			"suspicious. If they look rightly labelled, stop earlier in the order of weights.csv."), cards)
	}
	return s, nil
}

// cards show rows as pictures.
func (d *cleaned) cards(rows []int) (report.Cards, error) {
	side := pictureSide(d.train)
	var out report.Cards
	for _, i := range rows {
		r := d.Rows[i]
		data, err := picture(denseRow(d.train, i), side)
		if err != nil {
			return nil, err
		}
		out = append(out, report.Card{Picture: data, Alt: "row " + d.rowName(i), From: report.Name(d.Classes[r.Label]),
			To:    report.Name(d.Classes[r.Predicted]),
			Small: []string{numbers.Probability(r.Suggested) + " likely", "row " + d.rowName(i)}})
	}
	return out, nil
}

// table lists the most suspicious rows; nil if there are none.
func (d *cleaned) table(most int) *report.Table {
	order := d.order()
	if len(order) == 0 {
		return nil
	}
	row := "row"
	if d.train.Names != nil {
		row = report.Name(namesOf(d.train.Schema))
	}
	t := &report.Table{Columns: []report.Column{{Name: row, Number: d.train.Names == nil}, {Name: "given"},
		{Name: "suggested", Strong: true}, {Name: "suggested is likely", Number: true},
		{Name: "given is likely", Number: true, Minor: true}}}
	why := pictureSide(d.train) == 0
	if why {
		what := "what speaks against the given label"
		t.Columns = append(t.Columns, report.Column{Name: what, Long: true})
	}
	for _, i := range order[:min(len(order), most)] {
		r := d.Rows[i]
		line := []string{d.rowName(i), report.Name(d.Classes[r.Label]), report.Name(d.Classes[r.Predicted]),
			numbers.Probability(r.Suggested), numbers.Probability(r.Given)}
		if why {
			line = append(line, d.against(i))
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

// against are the columns that speak most against the label of row i, as they stand in the file.
func (d *cleaned) against(i int) string {
	s := d.train
	if s.Schema == nil || s.Schema.Columns == nil {
		var parts []string
		row := denseRow(s, i)
		for _, j := range d.Against[i] {
			if row[j] != 0 && len(parts) < shownReasons {
				text := report.Name(s.FeatureName(j))
				if s.Schema == nil || s.Schema.Text == nil {
					text += "\u00a0" + numbers.Value(row[j])
				}
				parts = append(parts, text)
			}
		}
		return strings.Join(parts, " · ")
	}
	column := columnOfEach(s.Schema)
	var names []string
	for _, j := range d.Against[i] {
		if c := column[j]; !slices.Contains(names, c) && len(names) < shownReasons {
			names = append(names, c)
		}
	}
	all := cellsOf(s, i)
	var parts []string
	for _, n := range names {
		for _, c := range all {
			if c[0] == n {
				parts = append(parts, report.Name(c[0])+"\u00a0"+report.Name(c[1]))
			}
		}
	}
	return strings.Join(parts, " · ")
}

// columnOfEach are the columns that features are of.
func columnOfEach(s *dataset.Schema) []string {
	var out []string
	for k, span := range s.Spans() {
		n := span.N
		if span.Indicator {
			n++
		}
		out = append(out, slices.Repeat([]string{s.Columns[k].Name}, n)...)
	}
	return out
}

// byClass says which classes are affected.
func (d *cleaned) byClass() *report.Section {
	k := len(d.Classes)
	rows, bad := make([]int, k), make([]int, k)
	to := make([][]int, k)
	for c := range to {
		to[c] = make([]int, k)
	}
	for _, r := range d.Rows {
		rows[r.Label]++
		if !r.Kept {
			bad[r.Label]++
			to[r.Label][r.Predicted]++
		}
	}
	if d.suspects() == 0 {
		return nil
	}
	s := &report.Section{Title: "Which classes are affected", Text: []string{d.mixed(to)}}
	dots := &report.Dots{Title: "Labels that look wrong, by given label", Hint: "share of the rows with it, 95% intervals",
		Percent: true, Zero: true}
	for c := range k {
		if rows[c] == 0 {
			continue
		}
		most, other := 0, -1
		for p, n := range to[c] {
			if n > most {
				most, other = n, p
			}
		}
		small := "none"
		if other >= 0 {
			small = fmt.Sprintf("mostly %s (%s of %s)", report.Name(d.Classes[other]), numbers.Count(most),
				numbers.Count(bad[c]))
			if 3*most < bad[c] {
				small = "no one class"
			}
		}
		share := float64(bad[c]) / float64(rows[c])
		dot := report.Dot{Name: said(d.Classes[c]), Small: small, Value: share, Kind: report.Main,
			Text: numbers.Percent(share, 0), Interval: fmt.Sprintf("%s of %s", numbers.Count(bad[c]), numbers.Count(rows[c]))}
		dot.Low, dot.High = judge.Wilson(float64(bad[c]), float64(rows[c]))
		dots.Rows = append(dots.Rows, dot)
	}
	slices.SortStableFunc(dots.Rows, func(a, b report.Dot) int { return cmp.Compare(b.Value, a.Value) })
	if n := len(dots.Rows); n > shownColumns {
		dots.Rows = dots.Rows[:shownColumns]
		dots.Note = fmt.Sprintf("The first %d of %s classes.", shownColumns, numbers.Count(n))
	}
	s.Parts = []report.Part{dots}
	return s
}

// mixed says which classes are mixed up most.
func (d *cleaned) mixed(to [][]int) string {
	var all []pair
	for i := range to {
		for j := range i {
			if n := to[i][j] + to[j][i]; n > 0 {
				all = append(all, pair{j, i, n})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int { return cmp.Compare(b.n, a.n) })
	var parts []string
	for _, p := range all[:min(3, len(all))] {
		parts = append(parts, fmt.Sprintf("%s and %s (%s)", report.Bold(report.Name(d.Classes[p.given])),
			report.Bold(report.Name(d.Classes[p.predicted])), numbers.Of(p.n, "row")))
	}
	return "Most often mixed up: " + numbers.List(parts) + "."
}

// cut shows where suspicion begins.
func (d *cleaned) cut() *report.Section {
	var all, bad [weightBins]int
	unlikely := 0
	for _, r := range d.Rows {
		k := min(int(r.Given*weightBins), weightBins-1)
		all[k]++
		if !r.Kept {
			bad[k]++
		} else if r.Given < .4 {
			unlikely++
		}
	}
	s := &report.Section{Title: "Where the cut lies", Text: []string{fmt.Sprintf("Suspicious are rows whose weight fell "+
		"below one half and to which the cleaned model gives another label. Kept, and unclear rather than wrong: %s less "+
		"than 40%% likely to have the given label.", numbers.Of(unlikely, "row"))}}
	if unlikely == 0 {
		s.Text[0], _, _ = strings.Cut(s.Text[0], " 0 rows")
	}
	var bars, wrong []report.Point
	for k := range weightBins {
		from, to := (float64(k)+.04)/weightBins, (float64(k)+.96)/weightBins
		bars = append(bars, report.Point{X: from, Y: float64(all[k]), X2: to})
		if bad[k] > 0 {
			wrong = append(wrong, report.Point{X: from, Y: float64(bad[k]), X2: to})
		}
	}
	s.Parts = []report.Part{&report.Chart{Title: "Rows by the probability of their given label",
		Hint: "orange: suspicious; heights are square roots, to show the small groups", Say: d.estimate(), Height: 10,
		X: report.Axis{Name: "probability of the given label", Percent: true, High: 1},
		Y: report.Axis{Name: "rows", Root: true, Zero: true}, Marks: []report.Mark{
			{Shape: report.Bars, Kind: report.Count, Points: bars}, {Shape: report.Bars, Kind: report.Look, Points: wrong}}}}
	return s
}

func (d *cleaned) now() *report.Section {
	s := &report.Section{Title: "What to do now", Text: []string{d.advice()}}
	if d.suspects() > 0 && d.file != "" {
		s.Text = []string{report.Code("weights.csv") + " has every row with its weight, the suggested label and the order " +
			"in which to look at them. Mend the labels of the rows that are not kept, from rank 1 on, and tune again:"}
		s.Parts = []report.Part{report.Command(d.tune())}
	}
	return s
}

// obtained says how the result was obtained, the optimiser last.
func (d *cleaned) obtained() report.Section {
	facts := report.Facts{
		{Name: "command", Value: report.Code(d.command)},
		{Name: "rows", Value: d.dataLine()},
		{Name: "model", Value: "softmax regression of the rows that are kept and the trusted ones"},
		{Name: "kept", Value: numbers.Of(d.Kept, "row") + ": the weight is at least one half, or a model of such rows " +
			"gives them their label"},
		{Name: "ridge", Value: fmt.Sprintf("%s while weights are learned, %s in the final model", numbers.Digits(d.Ridge, 2),
			numbers.Digits(d.FinalRidge, 2))},
		{Name: "intervals", Value: "of 95%, by rows: Wilson’s for shares"},
		{Name: "seed", Value: fmt.Sprint(d.seed)},
		{Name: "time", Value: numbers.Seconds(d.Seconds)},
		{Name: "files", Value: report.Code("weights.csv") + ", " + report.Code("report.html")},
		{Name: "optimiser", Value: fmt.Sprintf("%s, %s: %s", d.Method, numbers.Of(int(d.Steps), "step"), d.Reason)},
	}
	return report.Section{Title: "How it was obtained", Hint: "rows, cut, optimiser, files", Parts: []report.Part{facts}}
}
