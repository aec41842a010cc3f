package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/effects"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/tune"
)

const (
	shownRows    = 8  // to look at
	shownCells   = 8  // of one
	shownColumns = 24 // with their effects
	shownLevels  = 6  // columns whose levels are compared
	mostMatrix   = 20 // classes of a matrix
	mostLetters  = 90 // of their names
	shownPairs   = 12 // of classes that are confused
	shownPoints  = 4000
	mostRoomy    = 12 // dots that have two lines each
)

// page is the report.
func (f *finding) page() report.Page {
	p := report.Page{
		Above: "bilevel tune · " + f.name + " · " + f.when.Format("2 January 2006"),
		Title: f.title(), Intro: f.intro(),
	}
	for _, s := range []*report.Section{f.good(), f.matter(), f.learned(), f.off(), f.look(), f.now()} {
		if s != nil {
			p.Sections = append(p.Sections, *s)
		}
	}
	p.Details = append(f.coefficients(), f.obtained())
	return p
}

// text writes the value of a figure, without what its interval leaves open.
func text(fig *judge.Figure, e judge.Estimate) (value, interval string) {
	if fig.Share {
		v := numbers.Percent(e.Value, 1)
		if math.IsNaN(e.Low) {
			return v, ""
		}
		return v, fmt.Sprintf("%s to %s", numbers.Fixed(100*e.Low, 1), numbers.Percent(e.High, 1))
	}
	if math.IsNaN(e.Low) {
		return numbers.Digits(e.Value, 3), ""
	}
	return numbers.Digits(e.Value, 3), numbers.Digits(e.Low, 3) + " to " + numbers.Digits(e.High, 3)
}

// good says how good the model is.
func (f *finding) good() *report.Section {
	j := f.judged
	lead := []string{f.goodness(), f.nothing(), f.verdict()}
	if j.Verdict == judge.Worse {
		lead = []string{f.verdict(), f.goodness(), f.nothing()}
	}
	s := &report.Section{Title: "How good it is", Lead: strings.Join(slices.DeleteFunc(lead, func(t string) bool {
		return t == ""
	}), " ")}
	loss := j.Loss()
	trivial, base, model := f.models()
	dots := &report.Dots{Title: upper(f.measured()) + " on unseen rows", Hint: "lower is better", Zero: f.classes() == nil}
	if loss.Term != "" {
		dots.Title = fmt.Sprintf("%s (%s) on unseen rows", upper(f.measured()), loss.Term)
	}
	for _, r := range []struct {
		name, small string
		e           judge.Estimate
		kind        report.Kind
	}{
		{trivial, "the trivial model", loss.Trivial, report.Reference},
		{base + ", one strength", fmt.Sprintf("the baseline: the best of %d", len(f.Grid)), loss.Baseline, report.Reference},
		{model, f.kind(), loss.Model, report.Main},
	} {
		d := report.Dot{Name: r.name, Small: r.small, Value: r.e.Value, Low: r.e.Low, High: r.e.High, Kind: r.kind,
			Strong: r.kind == report.Main}
		d.Text, d.Interval = text(loss, r.e)
		if r.kind == report.Main && j.Verdict == judge.Worse {
			d.Kind = report.Look
		}
		dots.Rows = append(dots.Rows, d)
	}
	table := &report.Table{Narrow: true, Columns: []report.Column{{Name: "on unseen rows"}, {Name: trivial, Number: true},
		{Name: base, Number: true}, {Name: model, Number: true, Strong: true},
		{Name: "95% interval", Number: true, Minor: true}}}
	add := func(name, term, a, b, c, interval string) {
		if term != "" {
			name += " (" + term + ")"
		}
		table.Rows = append(table.Rows, []string{name, a, b, c, interval})
	}
	for i := range j.Figures {
		fig := &j.Figures[i]
		if i == 0 || math.IsNaN(fig.Model.Value) || fig.Key == "balanced_accuracy" && !f.imbalanced() {
			continue
		}
		a, _ := text(fig, fig.Trivial)
		b, _ := text(fig, fig.Baseline)
		c, interval := text(fig, fig.Model)
		add(fig.Name, fig.Term, a, b, c, interval)
	}
	if len(j.Recalls) <= mostClassesCounted {
		for _, r := range j.Recalls {
			c, interval := text(&judge.Figure{Share: true}, r.Model)
			add(said(r.Class)+" found", "recall", numbers.Percent(r.Trivial, 1), numbers.Percent(r.Baseline, 1), c, interval)
		}
	}
	note := "Intervals hold 95%."
	switch j.On {
	case "out-of-fold":
		note = fmt.Sprintf("Every row was predicted by a model that was fitted without it: %d folds. ",
			f.Model.Obtained.Folds) + note
	case "held-out":
		note = "The models were learned without these rows, which decided on the kind of strengths alone; the one that is " +
			"kept was learned with them. " + note
	case "test":
		note = "The test rows were used for nothing but these figures. " + note
	}
	if o := f.optimism(); o != "" {
		note += " " + o
	}
	if j.Figure("auc") != nil {
		note += fmt.Sprintf(" Ranked rightly: how often a %s gets a higher %s than a %s.", said(f.classes()[1]),
			f.certainty(), said(f.classes()[0]))
	}
	if f.classes() != nil {
		note += " F1: the mean over the classes of how many are found and how many that are said to be of one are."
	}
	s.Parts = []report.Part{dots, table, report.Note(note)}
	return s
}

// kind is the kind of strengths in a few words.
func (f *finding) kind() string {
	if f.judged.Verdict == judge.Same {
		return "the baseline"
	}
	if f.Model.Kernel != nil {
		return "with kernels"
	}
	return f.Model.Penalty.Words()
}

// pictures says whether rows are pictures, whose pixels mean little one by one.
func (f *finding) pictures() bool { return pictureSide(f.data.Train) > 0 }

// effectText is an effect in words.
func (f *finding) effectText(e effects.Effect) (value, interval string) {
	scale, unit := 1.0, ""
	if f.odds() {
		scale = 100
	}
	if !e.Known() {
		return numbers.Signed(numbers.Digits(scale*e.Value, 2)) + unit, ""
	}
	v, lo, hi := numbers.Estimate(scale*e.Value, scale*e.Low, scale*e.High)
	return numbers.Signed(v), numbers.Signed(lo) + " to " + numbers.Signed(hi)
}

// step is what a column does, in a few words.
func step(e effects.Effect) string { return report.Name(e.From) + " → " + report.Name(e.To) }

// matter says which columns matter and in which direction.
func (f *finding) matter() *report.Section {
	e := f.effects
	switch {
	case f.pictures() && f.classes() != nil && len(f.classes()) <= mostMatrix:
		return f.pixels()
	case f.speaks():
		return f.speaking()
	}
	if len(e.Columns) == 0 {
		return &report.Section{Title: "Which columns matter", Text: []string{"None: all coefficients are zero."}}
	}
	s := &report.Section{Title: "Which columns matter", Text: []string{f.matters()}}
	several := len(f.classes()) > 2
	d := &report.Dots{Zero: true, Points: f.odds(), Title: "Change of the predicted " + f.predicted(),
		Hint: "when one column moves from its lower to its upper quartile, or from one level to another, and the others stay"}
	if f.classes() != nil {
		d.Title = "Change of the " + f.certainty() + " of " + said(f.classes()[len(f.classes())-1])
		if several {
			d.Title = "Change of the probability of a class"
		}
		if f.odds() {
			d.Hint = "in points, " + d.Hint
		}
	}
	if f.Model.Schema != nil && f.Model.Schema.Text != nil {
		s.Title = "Which words matter"
		d.Hint = "in points, when a word that is not there comes in at its usual weight, and the others stay"
	}
	grey := false
	for _, c := range e.Columns[:min(shownColumns, len(e.Columns))] {
		r := report.Dot{Name: c.Column, Small: step(c), Value: c.Value, Low: c.Low, High: c.High, Kind: report.Main}
		if several {
			r.Small += ", " + said(c.Class)
		}
		if c.Known() && !c.Sure() {
			r.Kind, grey = report.Reference, true
		}
		r.Text, r.Interval = f.effectText(c)
		d.Rows = append(d.Rows, r)
	}
	d.Tight = len(d.Rows) > mostRoomy
	var notes []string
	if n := e.Total - len(d.Rows) - len(e.Dead); n > 0 {
		notes = append(notes, fmt.Sprintf("The strongest %d of %s; model.json has all coefficients.", len(d.Rows),
			numbers.Count(e.Total)))
	}
	switch {
	case f.Model.Kernel != nil: // kernels have no coefficients with errors
	case !e.Columns[0].Known():
		notes = append(notes, "No intervals: there are too many coefficients for these rows.")
	case grey:
		notes = append(notes, "Grey: the interval contains zero.")
	}
	if len(e.Dead) > 0 {
		names := make([]string, 0, len(e.Dead))
		for _, n := range e.Dead[:min(len(e.Dead), shownCells)] {
			names = append(names, report.Name(n))
		}
		if more := len(e.Dead) - len(names); more > 0 {
			names = append(names, numbers.Count(more)+" more")
		}
		notes = append(notes, "Without effect: "+numbers.List(names)+".")
	}
	d.Note = strings.Join(notes, " ")
	s.Parts = []report.Part{d}
	if t := f.curves(); t != nil {
		s.Parts = append(s.Parts, report.Paragraph("The mean prediction where a column has the value on the left of the "+
			"arrow in every row:"), t)
	}
	shown := 0
	for _, l := range e.Levels {
		if len(l.Effects) == 0 || shown == shownLevels {
			continue
		}
		shown++
		d := &report.Dots{Tight: true, Zero: true, Points: f.odds(), Title: "Levels of " + report.Name(l.Column),
			Hint: "beside " + said(l.Reference) + ", the most frequent one"}
		if several {
			d.Hint += ": probability of " + said(l.Effects[0].Class)
		}
		for _, c := range l.Effects {
			r := report.Dot{Name: c.To, Value: c.Value, Low: c.Low, High: c.High, Kind: report.Main}
			if c.Known() && !c.Sure() {
				r.Kind = report.Reference
			}
			r.Text, r.Interval = f.effectText(c)
			d.Rows = append(d.Rows, r)
		}
		s.Parts = append(s.Parts, d)
	}
	return s
}

// speaks says whether columns are words that speak for one of several classes.
func (f *finding) speaks() bool {
	return f.Model.Schema != nil && f.Model.Schema.Text != nil && len(f.Model.Coefficients) > 2
}

// speaking says which words speak for which class.
func (f *finding) speaking() *report.Section {
	s := &report.Section{Title: "Which words matter", Text: []string{"The words that speak most for each class: those " +
		"with the largest coefficients."}}
	t := &report.Table{Columns: []report.Column{{Name: "class"}, {Name: "words", Long: true}}}
	for _, c := range effects.Speaking(f.Model, f.data.Train) {
		var words []string
		for _, w := range c.Features {
			words = append(words, report.Name(w))
		}
		t.Rows = append(t.Rows, []string{report.Name(c.Class), strings.Join(words, " · ")})
	}
	s.Parts = []report.Part{t}
	return s
}

// pixels shows which pixels speak for a class.
func (f *finding) pixels() *report.Section {
	side := pictureSide(f.data.Train)
	s := &report.Section{Title: "Which pixels matter", Text: []string{"White pixels speak for a class, black ones " +
		"against it; grey ones say nothing."}}
	var cards report.Cards
	for _, c := range f.Model.Coefficients {
		largest := 0.0
		for _, w := range c.Weights {
			largest = max(largest, math.Abs(w))
		}
		data, err := shades(c.Weights, -largest, largest, side)
		if err != nil {
			return nil
		}
		cards = append(cards, report.Card{Picture: data, Alt: "coefficients of " + said(c.Class), To: report.Name(c.Class)})
	}
	s.Parts = []report.Part{cards}
	return s
}

// predicted is what is predicted, in a sentence.
func (f *finding) predicted() string {
	if f.label() == "" {
		return "value"
	}
	return f.label()
}

// matters is which columns matter, in one sentence.
func (f *finding) matters() string {
	e := f.effects.Columns
	var names []string
	for _, c := range e[:min(len(e), 3)] {
		names = append(names, report.Bold(report.Name(c.Column)))
	}
	moves := "move"
	if len(names) == 1 {
		moves = "moves"
	}
	what := "the " + f.predicted()
	switch k := f.classes(); {
	case len(k) == 2:
		what = "the " + f.certainty() + " of " + said(k[1])
	case k != nil:
		what = "the probabilities of the classes"
	}
	text := fmt.Sprintf("%s %s %s most", numbers.List(names), moves, what)
	if !e[0].Known() || len(e) < 2 {
		return text + "."
	}
	if len(e) > 1 && math.Abs(e[0].Value)-(e[0].High-e[0].Low)/2 < math.Abs(e[1].Value) {
		text += "; the order among them is within chance"
	}
	unsure := 0
	for _, c := range e {
		if !c.Sure() {
			unsure++
		}
	}
	switch {
	case unsure == 0:
		text += ". For every column the direction is certain."
	case unsure == 1:
		text += ". For one column the direction is within chance."
	default:
		of := "columns"
		texts := func(c dataset.Column) bool { return c.Text != nil }
		if s := f.Model.Schema; s != nil && slices.ContainsFunc(s.Columns, texts) {
			of = "columns and words"
		}
		text += fmt.Sprintf(". For %d %s the direction is within chance.", unsure, of)
	}
	return text
}

// learned says what was learned.
func (f *finding) learned() *report.Section {
	s := &report.Section{Title: "What was learned", Text: slices.Clone(f.Words)}
	all := f.Model.Penalty.Strengths
	if len(all) == 1 && len(s.Text) == 0 {
		s.Text = []string{fmt.Sprintf("One strength for all coefficients: %s.", f.strength(all[0].Value))}
	}
	if d := f.strengths(); d != nil {
		s.Parts = []report.Part{d}
	}
	if d := f.lengths(); d != nil {
		s.Parts = append(s.Parts, d)
	}
	return s
}

// lengths are the length scales of kernels.
func (f *finding) lengths() *report.Dots {
	if f.Kernel == nil || f.Kernel.Columns == 0 {
		return nil
	}
	d := &report.Dots{Title: "Learned length scales", Tight: true, Log: true,
		Hint: "in standard deviations; the shorter, the more predictions bend along a column"}
	for _, l := range f.Kernel.Lengths[:min(shownColumns, len(f.Kernel.Lengths))] {
		d.Rows = append(d.Rows, report.Dot{Name: l.Column, Value: l.Scale, Low: math.NaN(), High: math.NaN(),
			Text: numbers.Digits(l.Scale, 2), Kind: report.Main})
	}
	if n := len(f.Kernel.Lengths); n > shownColumns {
		d.Note = fmt.Sprintf("The %d shortest of %s.", shownColumns, numbers.Count(n))
	}
	return d
}

// curves is the mean prediction along the strongest columns of a model that bends.
func (f *finding) curves() *report.Table {
	if len(f.effects.Curves) == 0 {
		return nil
	}
	t := &report.Table{Columns: []report.Column{{Name: "column"}}}
	for _, q := range effects.Quantiles {
		name := "median"
		if q != .5 {
			name = "quantile " + numbers.Percent(q, 0)
		}
		t.Columns = append(t.Columns, report.Column{Name: name, Number: true})
	}
	for _, c := range f.effects.Curves {
		name := report.Name(c.Column)
		if len(f.classes()) > 2 {
			name += ", " + said(c.Class)
		}
		line := []string{name}
		for i, v := range c.Values {
			text := numbers.Digits(v, 3)
			if f.classes() != nil {
				text = numbers.Percent(v, 0)
			}
			line = append(line, c.At[i]+" → "+text)
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

// strength is a strength in words.
func (f *finding) strength(v float64) string { return numbers.Digits(v, 2) }

// strengths are the learned ones, the weakest first: their columns are free to speak.
func (f *finding) strengths() *report.Dots {
	all := slices.Clone(f.Model.Penalty.Strengths)
	if len(all) < 2 || f.BaselineWon {
		return nil
	}
	slices.SortStableFunc(all, func(a, b tune.Strength) int { return cmp.Compare(a.Value, b.Value) })
	base := math.Exp(f.BaselineX)
	log := f.Model.Penalty.Param != tune.Linear
	if !log {
		base = f.BaselineX
	}
	d := &report.Dots{Title: "Learned strengths", Hint: "the smaller, the freer a coefficient", Tight: true,
		Log: all[0].Value > 0}
	d.Rows = append(d.Rows, report.Dot{Name: "the baseline’s", Value: base, Low: math.NaN(), High: math.NaN(),
		Text: numbers.Digits(base, 2), Kind: report.Reference})
	const each = shownColumns / 2
	for i, s := range all {
		if i >= each && i < len(all)-each {
			continue
		}
		d.Rows = append(d.Rows, report.Dot{Name: strings.Replace(s.Name, "=", ": ", 1), Value: s.Value, Low: math.NaN(),
			High: math.NaN(), Text: f.strength(s.Value), Kind: report.Main})
	}
	if n := len(all); n > 2*each {
		d.Note = fmt.Sprintf("The %d smallest and the %d largest of %s; model.json has all.", each, each, numbers.Count(n))
	}
	return d
}

// off says where the model is off.
func (f *finding) off() *report.Section {
	s := &report.Section{Title: "Where it is off"}
	if f.classes() == nil {
		f.offValues(s)
	} else {
		f.offClasses(s)
	}
	return s
}

// residuals are observed minus predicted values.
func (f *finding) residuals() []float64 {
	u := f.Unseen
	out := make([]float64, len(u.Y))
	for i, y := range u.Y {
		out[i] = y - u.Model.Predicted[i]
	}
	return out
}

func (f *finding) offValues(s *report.Section) {
	u := f.Unseen
	size := f.residuals()
	for i, r := range size {
		size[i] = math.Abs(r)
	}
	sorted := slices.Sorted(slices.Values(size))
	n := len(sorted)
	s.Text = []string{fmt.Sprintf("Half of the unseen rows are predicted to within %s, nine in ten to within %s.",
		numbers.Digits(sorted[n/2], 2), numbers.Digits(sorted[min(n*9/10, n-1)], 2))}
	var cloud, far []report.Point
	look := f.furthest()
	step := max((n+shownPoints-1)/shownPoints, 1)
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, y := range u.Y {
		lo, hi = min(lo, y, u.Model.Predicted[i]), max(hi, y, u.Model.Predicted[i])
		p := report.Point{X: u.Model.Predicted[i], Y: y}
		if slices.Contains(look, i) {
			far = append(far, p)
		} else if i%step == 0 {
			cloud = append(cloud, p)
		}
	}
	name := f.predicted()
	hint := fmt.Sprintf("of each unseen row; orange: the %d rows below", len(look))
	if step > 1 {
		hint = fmt.Sprintf("of one unseen row in %d; orange: the %d rows below", step, len(look))
	}
	scatter := &report.Chart{Title: upper(name) + " against prediction", Hint: hint, Height: 14,
		Say: fmt.Sprintf("A cloud of %s points around the diagonal, from %s to %s.", numbers.Count(n), numbers.Digits(lo, 2),
			numbers.Digits(hi, 2)),
		X: report.Axis{Name: "predicted " + name}, Y: report.Axis{Name: name},
		Marks: []report.Mark{
			{Shape: report.Line, Kind: report.Reference, Points: []report.Point{{X: lo, Y: lo}, {X: hi, Y: hi}}},
			{Points: cloud}, {Kind: report.Look, Points: far}}}
	side := report.Side{scatter}
	if n >= 50 {
		chart, grows := f.errors(size)
		side = append(side, chart)
		if grows && slices.Min(u.Y) > 0 {
			s.Parts = append(s.Parts, side, report.Paragraph(fmt.Sprintf("The error grows with the %s: a model of the "+
				"logarithm of the %s may do better.", name, name)))
			return
		}
	}
	s.Parts = append(s.Parts, side)
}

// errors is the size of the error by tenth of the prediction, and says whether it grows with it.
func (f *finding) errors(size []float64) (*report.Chart, bool) {
	u := f.Unseen
	order := make([]int, len(size))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(u.Model.Predicted[a], u.Model.Predicted[b]) })
	var half, most []report.Point
	const parts = 10
	for k := range parts {
		part := order[k*len(order)/parts : (k+1)*len(order)/parts]
		var errs, at []float64
		for _, i := range part {
			errs, at = append(errs, size[i]), append(at, u.Model.Predicted[i])
		}
		slices.Sort(errs)
		x := at[len(at)/2]
		half = append(half, report.Point{X: x, Y: errs[len(errs)/2]})
		most = append(most, report.Point{X: x, Y: errs[len(errs)/2], Y2: errs[min(len(errs)*9/10, len(errs)-1)]})
	}
	low := (half[0].Y + half[1].Y + half[2].Y) / 3
	high := (half[7].Y + half[8].Y + half[9].Y) / 3
	grows := high > 2*low
	say := "The error is about alike everywhere."
	if grows {
		say = "The error grows with the prediction."
	}
	return &report.Chart{Title: "Size of the error", Hint: "by tenth of the prediction: half of the rows are below the " +
		"dot, nine in ten below the end of the line", Say: say, Height: 14,
		X: report.Axis{Name: "predicted " + f.predicted()}, Y: report.Axis{Name: "off by", Zero: true},
		Marks: []report.Mark{{Shape: report.Intervals, Kind: report.Main, Points: most},
			{Kind: report.Main, Points: append(half, report.Point{X: half[0].X, Y: math.NaN()})}}}, grows
}

func (f *finding) offClasses(s *report.Section) {
	j, classes := f.judged, f.classes()
	counts := f.Unseen.Confusion(len(classes))
	var sentences []string
	if len(classes) == 2 {
		for c, r := range j.Recalls {
			sentences = append(sentences, fmt.Sprintf("%s is missed %s of %s", said(classes[c]),
				numbers.Count(r.Rows-r.Found)+plural(" time", r.Rows-r.Found), numbers.Count(r.Rows)))
		}
		sentences = []string{strings.Join(sentences, ", ") + "."}
	} else if pairs := f.confused(counts); len(pairs) > 0 {
		p := pairs[0]
		sentences = []string{fmt.Sprintf("Most often, %s is taken for %s: %s of %s.", said(classes[p.given]),
			said(classes[p.predicted]), numbers.Count(p.n), numbers.Of(j.Recalls[p.given].Rows, "row"))}
	} else {
		sentences = []string{"No row is taken for another class."}
	}
	if g := j.Calibration; len(g) > 1 {
		sentences = append(sentences, f.calibrated())
	}
	s.Text = []string{strings.Join(sentences, " ")}
	var side report.Side
	switch {
	case f.fitsMatrix():
		m := &report.Matrix{Title: "Predicted against given label", Given: "given", Classes: classes, Counts: counts,
			Hint: "rows: given, columns: predicted"}
		if len(classes) == 2 {
			m.Hint = "cut at 50%"
			if p, ok := f.Model.Cut(); ok {
				m.Hint = "cut at " + numbers.Probability(p) + ", by the costs"
			} else if !f.odds() {
				m.Hint = "cut at a score of zero"
			}
		}
		if len(classes) > 4 {
			s.Parts = append(s.Parts, m)
		} else {
			side = append(side, m)
		}
	default:
		t := &report.Table{Title: "Most often confused", Narrow: true, Columns: []report.Column{{Name: "given"},
			{Name: "predicted"}, {Name: "rows", Number: true}, {Name: "of the given class", Number: true}}}
		for _, p := range f.confused(counts) {
			if len(t.Rows) == shownPairs {
				break
			}
			t.Rows = append(t.Rows, []string{report.Name(classes[p.given]), report.Name(classes[p.predicted]),
				numbers.Count(p.n), numbers.Percent(float64(p.n)/float64(j.Recalls[p.given].Rows), 0)})
		}
		s.Parts = append(s.Parts, t)
	}
	if c := f.calibration(); c != nil {
		side = append(side, c)
	}
	if c := f.roc(); c != nil {
		side = append(side, c)
	}
	if len(classes) > 2 && f.fitsMatrix() {
		side = append(side, f.recalls())
	}
	s.Parts = append(s.Parts, side)
	if !f.fitsMatrix() {
		s.Parts = append(s.Parts, f.recalls())
	}
}

// fitsMatrix says whether counts of all pairs of classes fit on a page.
func (f *finding) fitsMatrix() bool {
	letters := 0
	for _, c := range f.classes() {
		letters += max(utf8.RuneCountInString(c), 3)
	}
	return len(f.classes()) <= mostMatrix && letters <= mostLetters
}

// pair is how many rows of one class are taken for another.
type pair struct{ given, predicted, n int }

// confused are the pairs of classes, those with most rows first.
func (f *finding) confused(counts [][]int) []pair {
	var all []pair
	for i, row := range counts {
		for j, n := range row {
			if i != j && n > 0 {
				all = append(all, pair{i, j, n})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int { return cmp.Compare(b.n, a.n) })
	return all
}

// calibrated says whether probabilities are what they say.
func (f *finding) calibrated() string {
	var astray *judge.Group
	for i := range f.judged.Calibration {
		g := &f.judged.Calibration[i]
		if g.Astray() && (astray == nil || math.Abs(g.Predicted-g.Observed.Value) > math.Abs(astray.Predicted-
			astray.Observed.Value)) {
			astray = g
		}
	}
	if astray == nil {
		return "Probabilities are what they say: no group strays from the diagonal by more than its interval."
	}
	return fmt.Sprintf("When it says %s on average, it is %s (%s to %s).", numbers.Probability(astray.Predicted),
		numbers.Probability(astray.Observed.Value), numbers.Fixed(100*astray.Observed.Low, 0),
		numbers.Percent(astray.Observed.High, 0))
}

// calibration is a chart of the groups.
func (f *finding) calibration() *report.Chart {
	g := f.judged.Calibration
	if len(g) < 3 {
		return nil
	}
	of := "rows of the predicted class"
	if k := f.classes(); len(k) == 2 {
		of = said(k[1])
	}
	var dots, lines []report.Point
	for _, c := range g {
		dots = append(dots, report.Point{X: c.Predicted, Y: c.Observed.Value})
		lines = append(lines, report.Point{X: c.Predicted, Y: c.Observed.Low, Y2: c.Observed.High})
	}
	return &report.Chart{Title: "Is 70% really 70%?", Hint: fmt.Sprintf("share of %s in %d groups of rows by probability",
		of, len(g)), Say: f.calibrated(), X: report.Axis{Name: "predicted probability", Percent: true, High: 1},
		Y: report.Axis{Percent: true, High: 1}, Marks: []report.Mark{
			{Shape: report.Line, Kind: report.Reference, Points: []report.Point{{}, {X: 1, Y: 1}}},
			{Shape: report.Intervals, Kind: report.Main, Points: lines}, {Kind: report.Main, Points: dots}}}
}

// roc is a chart of how many are found against false alarms.
func (f *finding) roc() *report.Chart {
	r := f.judged.ROC
	if r == nil {
		return nil
	}
	points := func(cuts []judge.Cut) (out []report.Point) {
		for _, c := range cuts {
			out = append(out, report.Point{X: c.False, Y: c.True})
		}
		return out
	}
	auc := f.judged.Figure("auc")
	labels := []report.Label{{Text: "this model, area " + numbers.Fixed(auc.Model.Value, 2), Kind: report.Main, X: .98,
		Y: .24}}
	marks := []report.Mark{{Shape: report.Line, Kind: report.Main, Points: points(r.Model)}}
	if f.judged.Verdict != judge.Same {
		labels = append(labels, report.Label{Text: "baseline (dashed), " + numbers.Fixed(auc.Baseline.Value, 2),
			Kind: report.Reference, X: .98, Y: .1})
		marks = slices.Insert(marks, 0, report.Mark{Shape: report.Line, Kind: report.Reference, Points: points(r.Baseline)})
	}
	k := f.classes()
	return &report.Chart{Title: said(k[1]) + " found against false alarms", Hint: "ROC, at every cut",
		Say: fmt.Sprintf("The area under the curve is %s.", numbers.Fixed(auc.Model.Value, 2)),
		X:   report.Axis{Name: "share of " + said(k[0]) + " taken for " + said(k[1]), Percent: true, High: 1},
		Y:   report.Axis{Percent: true, High: 1}, Marks: marks, Labels: labels}
}

// recalls are how many of each class are found.
func (f *finding) recalls() *report.Dots {
	d := &report.Dots{Title: "Rows found, by class", Hint: "recall", Tight: true, Percent: true}
	all := slices.Clone(f.judged.Recalls)
	slices.SortStableFunc(all, func(a, b judge.Recall) int { return cmp.Compare(a.Model.Value, b.Model.Value) })
	for _, r := range all {
		if r.Rows == 0 {
			continue
		}
		if len(d.Rows) == shownColumns {
			d.Note = fmt.Sprintf("The %d classes of which fewest are found, of %s.", shownColumns, numbers.Count(len(all)))
			break
		}
		d.Rows = append(d.Rows, report.Dot{Name: r.Class, Value: r.Model.Value, Low: r.Model.Low, High: r.Model.High,
			Text: numbers.Percent(r.Model.Value, 0), Interval: fmt.Sprintf("%s of %s", numbers.Count(r.Found),
				numbers.Count(r.Rows)), Kind: report.Main})
	}
	return d
}

// furthest are the unseen rows with the largest losses, and those that made the loss grow.
func (f *finding) furthest() []int {
	losses := f.Unseen.Model.Losses
	var order []int
	for i, l := range losses {
		if len(order) == shownRows && l <= losses[order[shownRows-1]] {
			continue
		}
		at := slices.IndexFunc(order, func(j int) bool { return losses[j] < l })
		if at < 0 {
			at = len(order)
		}
		order = slices.Insert(order, at, i)
		order = order[:min(shownRows, len(order))]
	}
	for _, i := range f.judged.Culprits {
		if !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	return order
}

// look are the rows to look at.
func (f *finding) look() *report.Section {
	s := &report.Section{Title: "Rows to look at"}
	rows := f.furthest()
	set := f.rows()
	of := ""
	if f.judged.On == "test" && set.Source != f.data.Train.Source {
		of = " of " + baseOf(set.Source)
	}
	head := []report.Column{{Name: "row" + of}}
	if set.Names != nil {
		head[0].Name = report.Name(namesOf(set.Schema))
	} else {
		head[0].Number = true
	}
	u := f.Unseen
	if f.classes() == nil {
		s.Text = []string{fmt.Sprintf("The %d rows that are furthest from their prediction. Are they typed rightly? Is "+
			"something missing that would explain them?", len(rows))}
		head = append(head, report.Column{Name: f.predicted(), Number: true}, report.Column{Name: "predicted", Number: true},
			report.Column{Name: "off by", Number: true, Strong: true})
	} else {
		s.Text = []string{fmt.Sprintf("The %d rows whose given label the model finds least likely. Are they labelled "+
			"rightly?", len(rows))}
		head = append(head, report.Column{Name: "given"}, report.Column{Name: "predicted"},
			report.Column{Name: "given is likely", Number: true, Strong: true})
		if !f.odds() {
			s.Text[0] = fmt.Sprintf("The %d rows whose score is furthest on the wrong side. Are they labelled rightly?",
				len(rows))
			head[len(head)-1].Name = "score of " + said(f.classes()[1])
		}
	}
	side := pictureSide(set)
	if side > 0 && f.classes() != nil {
		var cards report.Cards
		for _, i := range rows {
			data, err := picture(denseRow(set, u.Rows[i]), side)
			if err != nil {
				continue
			}
			cards = append(cards, report.Card{Picture: data, Alt: "row " + f.rowName(i),
				From: report.Name(f.classes()[int(u.Y[i])]), To: report.Name(f.classes()[int(u.Model.Predicted[i])]),
				Small: []string{f.likely(i), "row " + f.rowName(i) + of}})
		}
		s.Parts = []report.Part{cards}
		return s
	}
	long := set.Schema != nil && set.Schema.Text == nil
	if long {
		head = append(head, report.Column{Name: "what it is", Long: true})
	}
	t := &report.Table{Columns: head}
	order := f.order()
	for _, i := range rows {
		line := []string{f.rowName(i)}
		if f.classes() == nil {
			y, p := u.Y[i], u.Model.Predicted[i]
			typical := f.judged.Figure("rmse").Model.Value
			line = append(line, numbers.In(f.label(), y), rounded(p, typical), numbers.Signed(rounded(y-p, typical)))
		} else {
			line = append(line, report.Name(f.classes()[int(u.Y[i])]), report.Name(f.classes()[int(u.Model.Predicted[i])]),
				f.given(i))
		}
		if long {
			line = append(line, cells(set, u.Rows[i], order, shownCells))
		}
		t.Rows = append(t.Rows, line)
	}
	s.Parts = []report.Part{t}
	return s
}

func (f *finding) likely(i int) string { return "given: " + f.given(i) }

// given is how likely the given label of a row is, or the score of the second class.
func (f *finding) given(i int) string {
	u := f.Unseen
	loss := u.Model.Losses[i]
	switch {
	case !f.odds():
		return numbers.Signed(numbers.Digits(u.Model.LogOdds[i], 2))
	case u.LossWeights != nil && u.LossWeights[i] > 0:
		loss /= u.LossWeights[i]
	}
	return numbers.Probability(math.Exp(-loss))
}

// certainty is what the model has of a class.
func (f *finding) certainty() string {
	if f.odds() {
		return "probability"
	}
	return "score"
}

// rounded is v to the place of a hundredth of the typical error.
func rounded(v, typical float64) string {
	text, _, _ := numbers.Estimate(v, v-typical/50, v+typical/50)
	return text
}

// order are the columns by their effect.
func (f *finding) order() []string {
	var names []string
	for _, c := range f.effects.Columns {
		names = append(names, c.Column)
	}
	return names
}

// now says what to do.
func (f *finding) now() *report.Section {
	s := &report.Section{Title: "What to do now"}
	model := "The model"
	if f.Refitted {
		model = "The model was fitted again on all " + numbers.Of(f.fittedRows(), "row") + " and"
	}
	text := model + " lies beside this page."
	if a := f.advice(); !strings.HasPrefix(a, "Predict") {
		text = a + " " + text
	}
	s.Text = []string{text}
	s.Parts = []report.Part{report.Command(f.predict())}
	return s
}

// mostListed is how many coefficients are listed.
const mostListed = 60

// coefficients are those of models with few, per unit of their columns.
func (f *finding) coefficients() []report.Section {
	m := f.Model
	if m.Dim() > mostListed || len(m.Coefficients) > 6 || m.Kernel != nil { // kernels would have to be added
		return nil
	}
	t := &report.Table{Columns: []report.Column{{Name: "column"}}}
	for _, c := range m.Coefficients {
		name := "per unit"
		if c.Class != "" {
			name = said(c.Class)
		}
		t.Columns = append(t.Columns, report.Column{Name: name, Number: true})
	}
	constants := make([]float64, len(m.Coefficients))
	for k, c := range m.Coefficients {
		constants[k] = c.Intercept
		if m.Scaler != nil {
			for j, w := range c.Weights {
				constants[k] -= w * m.Scaler.Mean[j] / m.Scaler.Scale[j]
			}
		}
	}
	per := func(c tune.Coefficients, j int) float64 {
		if m.Scaler != nil {
			return c.Weights[j] / m.Scaler.Scale[j]
		}
		return c.Weights[j]
	}
	second := secondOfTwo(m.Schema)
	for j := range m.Dim() {
		if j+1 < m.Dim() && second[j+1] != "" {
			for k, c := range m.Coefficients { // with the first of two levels the constant is what it is there
				constants[k] += per(c, j)
			}
			continue
		}
		name := second[j]
		if name == "" {
			name = strings.Replace(f.data.Train.FeatureName(j), "=", ": ", 1)
		}
		line := []string{report.Name(name)}
		for _, c := range m.Coefficients {
			w := per(c, j)
			if second[j] != "" {
				w -= per(c, j-1)
			}
			line = append(line, numbers.Digits(w, 3))
		}
		t.Rows = append(t.Rows, line)
	}
	constant := []string{"constant"}
	for _, v := range constants {
		constant = append(constant, numbers.Digits(v, 3))
	}
	if m.HasIntercept || m.Scaler != nil {
		t.Rows = append(t.Rows, constant)
	}
	hint := "per unit of each column"
	if f.classes() != nil {
		hint += ", on the logarithm of the odds"
	}
	switch f.Model.Task {
	case tune.Poisson:
		hint += ", on the logarithm of the predicted count"
	case tune.SquaredHinge:
		hint = "per unit of each column, on the score"
	}
	return []report.Section{{Title: "Coefficients", Hint: hint, Parts: []report.Part{t}}}
}

// secondOfTwo names the features that are the second level of a column of two, which has one coefficient for people.
func secondOfTwo(s *dataset.Schema) map[int]string {
	out := make(map[int]string)
	if s == nil {
		return out
	}
	for k, span := range s.Spans() {
		if c := s.Columns[k]; len(c.Levels) == 2 {
			out[span.First+1] = fmt.Sprintf("%s: %s → %s", c.Name, c.Levels[0], c.Levels[1])
		}
	}
	return out
}

// obtained says how the result was obtained, the optimiser last.
func (f *finding) obtained() report.Section {
	m, ob := f.Model, f.Model.Obtained
	reason := f.Reason
	if strings.HasPrefix(reason, "converged") {
		reason = "converged"
	}
	how := fmt.Sprintf("%s training and %s validation rows", numbers.Count(f.NTrain), numbers.Count(f.NVal))
	if ob.Folds > 0 {
		how = fmt.Sprintf("%s in %d folds", numbers.Of(f.NTrain, "row"), ob.Folds)
		if ob.Times > 1 {
			how += fmt.Sprintf(", %d times", ob.Times)
		}
	}
	parts := []string{f.measuredModel()}
	if k := f.Kernel; k != nil {
		parts = append(parts, fmt.Sprintf("with kernels: weights %s of linear models, %s of one length scale, %s of one per "+
			"column", numbers.Digits(k.Linear, 2), numbers.Digits(k.Shared, 2), numbers.Digits(k.Columns, 2)))
	}
	if m.Scaler != nil {
		parts = append(parts, "columns standardised")
	}
	if m.HasIntercept {
		parts = append(parts, "with a constant")
	}
	facts := report.Facts{
		{Name: "command", Value: report.Code(f.command)},
		{Name: "strengths learned on", Value: how},
		{Name: "judged by", Value: f.on()},
		{Name: "model", Value: strings.Join(parts, ", ")},
		{Name: "strengths", Value: fmt.Sprintf("%s. %s", m.Penalty.Words(), m.Penalty.Explain())},
		{Name: "baseline", Value: fmt.Sprintf("the best of %d shared strengths, %s", len(f.Grid),
			numbers.Digits(f.baselineStrength(), 2))},
		{Name: "intervals", Value: "of 95%, from what each row adds to a figure; of columns, from what each training row " +
			"adds to the coefficients, with the strengths as given"},
		{Name: "seed and version", Value: fmt.Sprintf("%d, %s", ob.Seed, ob.Library)},
		{Name: "time", Value: numbers.Seconds(f.Seconds)},
		{Name: "files", Value: report.Code("model.json") + ", " + report.Code("trace.csv") + ", " +
			report.Code("report.html")},
		{Name: "optimiser", Value: fmt.Sprintf("%s, %s from %s, %s terms: %s", ob.Method, numbers.Of(int(f.Steps), "step"),
			ob.Start, numbers.Digits(float64(f.SamplesVisited), 3), reason)},
	}
	return report.Section{Title: "How it was obtained", Hint: "rows, strengths, optimiser, files",
		Parts: []report.Part{facts}}
}

// measuredModel is the model in words.
func (f *finding) measuredModel() string {
	return f.Model.Task.Words()
}

// baselineStrength is the shared strength of the baseline.
func (f *finding) baselineStrength() float64 {
	if f.Model.Penalty.Param == tune.Linear {
		return f.BaselineX
	}
	return math.Exp(f.BaselineX)
}

// cells are the cells of row i of s, the columns of order first, at most so many.
func cells(s *dataset.Set, i int, order []string, most int) string {
	all := cellsOf(s, i)
	rank := func(name string) int {
		if k := slices.Index(order, name); k >= 0 {
			return k
		}
		return len(order)
	}
	slices.SortStableFunc(all, func(a, b [2]string) int { return cmp.Compare(rank(a[0]), rank(b[0])) })
	var parts []string
	for _, c := range all[:min(most, len(all))] {
		parts = append(parts, report.Name(c[0])+"\u00a0"+report.Name(c[1]))
	}
	if len(all) > most {
		parts = append(parts, "…")
	}
	return strings.Join(parts, "\u00a0· ")
}

// cellsOf are names and cells of row i of s as they stand in the file; zeros of rows without columns are left out.
func cellsOf(s *dataset.Set, i int) (out [][2]string) {
	row := denseRow(s, i)
	if s.Schema == nil || s.Schema.Columns == nil {
		for j, v := range row {
			if v != 0 {
				out = append(out, [2]string{s.FeatureName(j), numbers.Value(v)})
			}
		}
		return out
	}
	for k, span := range s.Schema.Spans() {
		c, text := s.Schema.Columns[k], ""
		values := row[span.First : span.First+span.N]
		switch at := slices.Index(values, 1); {
		case span.Indicator && row[span.First+span.N] == 1:
			text = "missing"
		case c.Kind == dataset.Categorical && at >= 0:
			text = c.Levels[at]
		case c.Kind == dataset.Categorical:
			text = "none of its levels"
		case c.Date != nil:
			text = c.Date.Say(values[0])
		case span.N == 1:
			text = numbers.In(c.Name, values[0])
		default: // the words that are there
			var words []string
			for j, v := range values {
				if v != 0 {
					words = append(words, c.Text.Words[j])
				}
			}
			text = strings.Join(words, " ")
		}
		out = append(out, [2]string{c.Name, text})
	}
	return out
}
