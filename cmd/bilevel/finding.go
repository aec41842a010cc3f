package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/effects"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/tune"
)

// finding is what tune found, for people: its sentences are those of the summary, of the report and of --json.
type finding struct {
	*tune.Result
	data    *tune.Data
	name    string // of the data
	command string // as it was typed, without folders
	when    time.Time
	out     string // folder

	judged  *judge.Judgement
	effects *effects.Effects
	about   []string // how the rows were read
	notes   []string // the same without which column is the label
}

func newFinding(r *tune.Result, data *tune.Data, name, out string) *finding {
	f := &finding{Result: r, data: data, name: name, out: out, when: time.Now(),
		judged: judge.Of(r.Unseen, r.Model.Classes), effects: effects.Of(r, data.Train),
		about: dataset.About(data.Train, data.Val, data.Test)}
	if f.judged.ChoseStrengths && len(r.X) > 1 && f.judged.Verdict != judge.Same {
		f.judged.Verdict = judge.Untold
	}
	f.notes = withoutLabel(f.about, data.Train)
	return f
}

// withoutLabel is what dataset.About says, without which column is the label: that is said anyway.
func withoutLabel(about []string, train *dataset.Set) []string {
	if train.LabelHow != "" {
		return about[1:]
	}
	return about
}

// typed is the command as it was typed, without the folders of files.
func typed(c *cobra.Command) string {
	return c.CommandPath() + typedFlags(c, func(string) bool { return true })
}

// typedFlags are those that were typed and are wanted, each after a space.
func typedFlags(c *cobra.Command, want func(name string) bool) string {
	var b strings.Builder
	c.Flags().Visit(func(p *pflag.Flag) {
		if !want(p.Name) {
			return
		}
		v := p.Value.String()
		if s, ok := p.Value.(pflag.SliceValue); ok {
			parts := slices.Clone(s.GetSlice())
			for i := range parts {
				if p.Name == "sources" {
					parts[i] = filepath.Base(parts[i])
				}
			}
			v = strings.Join(parts, ",")
		}
		switch p.Name {
		case "train", "val", "test", "trusted", "labels", "out", "data", "model":
			v = filepath.Base(v)
		}
		b.WriteString(" --" + p.Name)
		if p.Value.Type() != "bool" || v != "true" {
			b.WriteString(" " + quoted(v))
		}
	})
	return b.String()
}

// quoted is a word for a shell.
func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`*?[]{}();<>|&#~!") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (f *finding) classes() []string { return f.Model.Classes }

// said is a class in quotation marks.
func said(class string) string { return "“" + report.Name(class) + "”" }

// label is the name of the label column, "" where it has none.
func (f *finding) label() string {
	if s := f.Model.Schema; s != nil && s.Label != "" {
		return report.Name(s.Label)
	}
	return ""
}

// columns are what the label is predicted from.
func (f *finding) columns() string { return columnsOf(f.Model.Schema, f.Model.Dim()) }

func columnsOf(s *dataset.Schema, d int) string {
	switch {
	case s != nil && s.Text != nil:
		return numbers.Of(d, "word")
	case s != nil && s.Columns != nil:
		return numbers.Of(len(s.Sources()), "column")
	}
	return numbers.Of(d, "column")
}

// rowsLine says how many rows there are of which kind.
func (f *finding) rowsLine() string {
	n, _ := f.data.Train.Dims()
	var parts []string
	switch {
	case f.data.Val == nil || f.data.Val.Source == f.data.Train.Source:
		if f.data.Val != nil {
			v, _ := f.data.Val.Dims()
			n += v
		}
		parts = append(parts, numbers.Of(n, "row"))
	default:
		v, _ := f.data.Val.Dims()
		parts = append(parts, numbers.Of(n, "row"), numbers.Count(v)+" validation rows")
	}
	if f.NTest > 0 {
		parts = append(parts, numbers.Count(f.NTest)+" test rows")
	}
	return numbers.List(parts)
}

// labelLine says what the label is and why.
func (f *finding) labelLine() string {
	kind := "a number"
	if k := len(f.classes()); k > 0 {
		kind = numbers.Count(k) + " classes"
	}
	if f.label() == "" {
		return kind
	}
	how := f.data.Train.LabelHow
	switch {
	case how == "which was asked for":
		kind += ", by --label"
	case how != "":
		kind += ", " + how
	}
	return fmt.Sprintf("label %s (%s)", f.label(), kind)
}

// dataLine is the data in one line.
func (f *finding) dataLine() string {
	return fmt.Sprintf("%s, %s, %s", f.rowsLine(), f.labelLine(), f.columns())
}

// title is what is predicted from what.
func (f *finding) title() string {
	what := report.Bold(f.label())
	switch k := f.classes(); {
	case f.label() == "" && len(k) > 2:
		what = report.Bold(numbers.Count(len(k)) + " classes")
	case f.label() == "" && len(k) == 2:
		what = report.Bold(report.Name(k[0]) + " or " + report.Name(k[1]))
	case f.label() == "":
		what = report.Bold("a number")
	case len(k) == 2:
		what += ", " + report.Name(k[0]) + " or " + report.Name(k[1])
	}
	return what + ", predicted from " + f.columns()
}

// intro says what the rows are.
func (f *finding) intro() []string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s", f.rowsLine(), f.name)
	if f.label() != "" {
		fmt.Fprintf(&b, "; the label is the column %s", report.Bold(f.label()))
		switch how := f.data.Train.LabelHow; {
		case how == "which was asked for":
			b.WriteString(", as asked for by " + report.Code("--label"))
		case how != "":
			b.WriteString(", " + how)
		}
	}
	if k := f.classes(); k != nil {
		fmt.Fprintf(&b, ": %s.", f.classCounts())
	} else {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, s := range []*dataset.Set{f.data.Train, f.data.Val} {
			if s != nil {
				for _, v := range s.Y {
					lo, hi = min(lo, v), max(hi, v)
				}
			}
		}
		fmt.Fprintf(&b, ", a number between %s and %s.", numbers.In(f.label(), lo), numbers.In(f.label(), hi))
	}
	if s := f.Model.Schema; s != nil && s.Columns != nil {
		b.WriteString(" " + kindsOf(s))
	}
	return append([]string{b.String()}, f.notes...)
}

// kindsOf says how many columns are of which kind: "3 columns are numbers, 1 has levels."
func kindsOf(s *dataset.Schema) string {
	counts := map[string]int{}
	for _, c := range s.Sources() {
		counts[c.Kind]++
	}
	var parts []string
	for _, k := range []struct {
		kind, one, more string
	}{{dataset.Numeric, "is a number", "are numbers"}, {dataset.Categorical, "has levels", "have levels"},
		{dataset.Date, "holds dates", "hold dates"}, {dataset.Text, "holds texts", "hold texts"}} {
		n := counts[k.kind]
		if n == 0 {
			continue
		}
		what, is := numbers.Count(n), k.more
		if n == 1 {
			is = k.one
		}
		if parts == nil {
			what = numbers.Of(n, "column")
		}
		parts = append(parts, what+" "+is)
	}
	return strings.Join(parts, ", ") + "."
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// mostClassesCounted is how many classes are counted in a sentence.
const mostClassesCounted = 6

func (f *finding) classCounts() string {
	counts := make([]int, len(f.classes()))
	for _, s := range []*dataset.Set{f.data.Train, f.data.Val} {
		if s == nil {
			continue
		}
		t := *s
		if t.MapClasses(f.classes()) != nil {
			continue
		}
		for c, n := range t.ClassCounts() {
			counts[c] += n
		}
	}
	if len(counts) > mostClassesCounted {
		return fmt.Sprintf("%d classes of %s to %s rows", len(counts), numbers.Count(slices.Min(counts)),
			numbers.Count(slices.Max(counts)))
	}
	var parts []string
	for c, n := range counts {
		class := report.Name(f.classes()[c])
		if strings.ContainsAny(class[:1], "0123456789-") {
			class = said(class)
		}
		parts = append(parts, numbers.Count(n)+" "+class)
	}
	return strings.Join(parts, ", ")
}

// models are the names of the three models that are compared.
func (f *finding) models() (trivial, base, model string) {
	trivial = "always the mean"
	if f.classes() != nil {
		trivial = "always the shares"
	}
	return trivial, string(f.Model.Task), "this model"
}

// on are the rows that judge.
func (f *finding) on() string {
	n := numbers.Count(f.judged.Rows)
	switch f.judged.On {
	case "test":
		return "the " + n + " test rows"
	case "held-out":
		return n + " rows that were held out"
	case "out-of-fold":
		return "all " + n + " rows, each of which its model had not seen"
	}
	return "the " + n + " validation rows"
}

// imbalanced says that the share of right answers says little alone.
func imbalanced(j *judge.Judgement) bool {
	k := float64(len(j.Recalls))
	return k == 2 && j.Smallest < .2 || k > 2 && j.Smallest < .5/k
}

func (f *finding) imbalanced() bool { return imbalanced(f.judged) }

// goodness is how good the model is, in one sentence.
func (f *finding) goodness() string {
	j := f.judged
	if f.classes() == nil {
		mae := j.Figure("mae")
		v, _, _ := numbers.Estimate(mae.Model.Value, mae.Model.Low, mae.Model.High)
		t := numbers.Digits(mae.Trivial.Value, 3)
		return fmt.Sprintf("On %s, the prediction is off by %s on average, where always saying the mean is off by %s.",
			f.on(), report.Bold(v), t)
	}
	right := j.Figure("accuracy")
	often := said(f.classes()[int(f.Unseen.Trivial.Predicted[0])])
	text := fmt.Sprintf("Of %s, %s of 100 are predicted rightly; always saying %s gets %s.", f.on(),
		report.Bold(outOf100(right.Model.Value)), often, outOf100(right.Trivial.Value))
	if f.imbalanced() {
		r := f.judged.Rarest()
		text += fmt.Sprintf(" Of the %s that are %s it finds %s.", numbers.Count(r.Rows), said(r.Class),
			report.Bold(numbers.Count(r.Found)))
	}
	if c := j.Figure("cost"); c != nil {
		text += fmt.Sprintf(" A row costs %s on average, where it costs %s with always the same answer.",
			report.Bold(numbers.Digits(c.Model.Value, 2)), numbers.Digits(c.Trivial.Value, 2))
	}
	return text
}

// nothing says that the model tells no more than the trivial one, where it does not.
func (f *finding) nothing() string {
	loss := f.judged.Loss()
	const most = .995
	if !(loss.Model.Value > most*loss.Trivial.Value) {
		return ""
	}
	better, tell := "no better", "nothing"
	if loss.Model.Value < loss.Trivial.Value {
		better, tell = "hardly better", "next to nothing"
	}
	what := "the label"
	if f.label() != "" {
		what = f.label()
	}
	same := "always saying the mean"
	if f.classes() != nil {
		same = "always saying the shares of the classes"
	}
	return fmt.Sprintf("It is %s than %s: %s tell %s about %s that holds on unseen rows.", better, same,
		theColumns(f.columns()), tell, what)
}

// theColumns are columns in a sentence: "these 3 columns".
func theColumns(columns string) string {
	if n, thing, _ := strings.Cut(columns, " "); n == "1" {
		return "values of this one " + thing
	}
	return "these " + columns
}

// outOf100 is a share, with a decimal where none would say that all or no rows are right.
func outOf100(share float64) string {
	if v := 100 * share; v > 99 && v < 100 || v > 0 && v < 1 {
		return numbers.Fixed(v, 1)
	}
	return numbers.Fixed(100*share, 0)
}

// measured is what the verdict is about.
func (f *finding) measured() string { return f.judged.Loss().Name }

// odds says whether the model has probabilities of classes.
func (f *finding) odds() bool { return f.Model.Task.Odds() }

// baselineName is the baseline in words.
func (f *finding) baselineName() string {
	name := f.Model.Task.Words() + " with one strength"
	if f.Model.Penalty.Kind.Sparse() {
		return "the best lasso, " + strings.TrimSuffix(name, " with one strength") + " with one ℓ1 strength"
	}
	return name
}

// change is a relative change in words.
func change(v float64) string {
	if math.Abs(v) < .001 {
		return "the same"
	}
	digits := 2
	if math.Abs(v) >= 1 {
		return numbers.Digits(1+v, digits) + " times as large"
	}
	if v < 0 {
		return numbers.Digits(-100*v, digits) + "% smaller"
	}
	return numbers.Digits(100*v, digits) + "% larger"
}

// verdict says how the model does beside the baseline.
func (f *finding) verdict() string {
	j := f.judged
	c := j.Change
	switch {
	case j.Verdict == judge.Untold:
		return fmt.Sprintf("How much better it is than the baseline, %s, these rows cannot tell: the %d strengths were "+
			"chosen for them.", f.baselineName(), len(f.X))
	case j.Verdict == judge.Same:
		return "It is the baseline, " + f.baselineName() + ": nothing better was found."
	case j.Verdict == judge.Worse:
		text := fmt.Sprintf("%s, %s: the %s is %s%s.", report.Bold("Worse than the baseline"), f.baselineName(), f.measured(),
			change(c.Value), f.between())
		if len(j.Culprits) > 0 {
			text += " " + f.culprits()
		}
		return text
	case math.IsNaN(c.Value):
		return "Against the baseline, " + f.baselineName() + ", nothing can be told: a loss is zero."
	case j.Verdict == judge.AsGood:
		between := ""
		if f.asGood() != "as good as" {
			between = f.between()
		}
		return fmt.Sprintf("It is %s the baseline, %s: the %s is %s%s%s.", f.asGood(), f.baselineName(), f.measured(),
			change(c.Value), between, f.alike())
	case j.Verdict == judge.MoreThanChance:
		return fmt.Sprintf("Against the baseline, %s, the %s is %s%s: %s.", f.baselineName(), f.measured(),
			report.Bold(change(c.Value)), f.between(), report.Bold("more than chance"))
	case j.Verdict == judge.TooFewRows:
		return fmt.Sprintf("Against the baseline, %s, there are %s: the %s is %s, and anything from %s to %s fits.",
			f.baselineName(), report.Bold("too few rows to tell"), f.measured(), change(c.Value), change(c.Low),
			change(c.High))
	}
	return fmt.Sprintf("Against the baseline, %s, the difference is %s: the %s is %s, but anything from %s to %s fits "+
		"these rows.", f.baselineName(), report.Bold("within chance"), f.measured(), change(c.Value), change(c.Low),
		change(c.High))
}

// asGood is what a model that is as good as the baseline is where it is better by little, though by more than chance.
func (f *finding) asGood() string {
	if f.judged.Change.High < 0 {
		return "hardly better than"
	}
	return "as good as"
}

// alike says that the same rows are right, where they are.
func (f *finding) alike() string {
	u := f.Unseen
	if f.classes() == nil || !slices.Equal(u.Model.Predicted, u.Baseline.Predicted) {
		return ""
	}
	n := 0
	for i, y := range u.Y {
		if u.Model.Predicted[i] == y {
			n++
		}
	}
	return fmt.Sprintf(", and the same %s are right", numbers.Count(n))
}

// between is the interval of the change.
func (f *finding) between() string {
	c := f.judged.Change
	if math.IsNaN(c.Low) {
		return ""
	}
	lo, hi := c.Low, c.High
	switch {
	case hi < 0:
		return fmt.Sprintf(" (between %s and %s%%)", numbers.Digits(-100*hi, 2), numbers.Digits(-100*lo, 2))
	case lo > 0 && hi < 1:
		return fmt.Sprintf(" (between %s and %s%%)", numbers.Digits(100*lo, 2), numbers.Digits(100*hi, 2))
	}
	return fmt.Sprintf(" (anything from %s to %s fits these rows)", change(lo), change(hi))
}

// culprits names the rows that made a loss grow.
func (f *finding) culprits() string {
	var rows []string
	for _, i := range f.judged.Culprits {
		rows = append(rows, f.rowName(i))
	}
	makes := "make up most of it: look at them below."
	if len(rows) == 1 {
		makes = "makes up most of it: look at it below."
	}
	return fmt.Sprintf("%s %s %s", upper(plural("row", len(rows))), numbers.List(rows), makes)
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// short is the verdict in the summary.
func (f *finding) short() string {
	switch j := f.judged; {
	case j.Verdict == judge.Same:
		return "the baseline: nothing better was found"
	case j.Verdict == judge.Untold:
		return fmt.Sprintf("%d strengths were chosen for these rows", len(f.X))
	case j.Verdict == judge.Worse:
		return "worse than the baseline"
	case j.Verdict == judge.TooFewRows:
		return "too few rows to tell"
	case j.Verdict == judge.AsGood:
		return f.asGood() + " the baseline"
	case j.Verdict == judge.MoreThanChance:
		return "better than the baseline by more than chance"
	}
	return "within chance of the baseline"
}

// optimism says whose rows they are, where they are not new.
func (f *finding) optimism() string {
	if !f.judged.ChoseStrengths {
		return ""
	}
	much := "rather"
	if f.judged.Verdict == judge.Untold {
		much = "too"
	}
	return "These rows chose the " + plural("strength", len(f.X)) + ", so that figures are " + much + " optimistic: " +
		report.Code("--test") + " takes rows that did not."
}

// rows are the set that the unseen rows are of.
func (f *finding) rows() *dataset.Set {
	switch {
	case f.judged.On == "test":
		return f.data.Test
	case f.data.Val != nil:
		return f.data.Val
	}
	return f.data.Train
}

// rowName is what unseen row i is called: its name, or its number in the file.
func (f *finding) rowName(i int) string {
	s := f.rows()
	at := f.Unseen.Rows[i]
	if s.Names != nil {
		return report.Name(s.Names[at])
	}
	return numbers.Count(s.RowNumber(at))
}

// advice is what to do now, a sentence with what to type.
func (f *finding) advice() string {
	j := f.judged
	switch {
	case j.Verdict == judge.Worse && len(f.X) > 1:
		return "Keep the baseline: " + report.Code("--reg shared") + "."
	case j.Verdict == judge.TooFewRows && j.On == "test":
		return "Give more rows to " + report.Code("--test") + " to tell."
	case j.Verdict == judge.WithinChance && len(f.X) > 1 && !f.Model.Penalty.Kind.Sparse():
		return "The simpler one is as good: " + report.Code("--reg shared") + "."
	case j.ChoseStrengths && j.On == "validation" && f.NVal < 200 && f.data.Times == nil:
		return "The validation rows are few: " + report.Code("--folds 5") + " judges by all rows."
	}
	return "Predict new rows with " + report.Code(f.predict()) + "."
}

// fittedRows are how many the model is fitted to.
func (f *finding) fittedRows() int {
	if f.Refitted && f.Model.Obtained.Folds == 0 {
		return f.NTrain + f.NVal
	}
	return f.NTrain
}

// predict is the command that uses the model.
func (f *finding) predict() string {
	what, proba := "new.csv", ""
	switch s := f.Model.Schema; {
	case s != nil && s.Text != nil:
		what = "new-texts"
	case s != nil && s.Format != "csv" && s.Format != "":
		what = "new." + s.Format
	}
	if f.odds() {
		proba = " --proba"
	}
	out := f.out
	if filepath.IsAbs(out) { // a page that is sent away tells nothing of the machine
		out = filepath.Base(out)
	}
	return fmt.Sprintf("bilevel predict --model %s %s%s", quoted(filepath.ToSlash(filepath.Join(out, "model.json"))), what,
		proba)
}
