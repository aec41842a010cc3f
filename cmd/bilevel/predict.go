package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/wait"
	"github.com/bilevel-go/bilevel/tune"
)

type predictFlags struct {
	model, out    string
	label, labels string
	format        string
	noHeader      bool
	unknown       string
	proba, quiet  bool
	memory        size
}

func newPredictCommand() *cobra.Command {
	var f predictFlags
	c := &cobra.Command{
		Use:   "predict --model FILE DATA",
		Short: "Apply a model of bilevel tune to rows",
		Long: `DATA is a file with the columns that the model was trained on, in any order; - is standard input. A label
column may be there, and then how good the predictions are goes to standard error. For a model of texts, DATA is a
folder of text files, or of one folder of them for each class. Predictions are CSV with the column prediction, for
texts after the column document, and with --proba one column of probabilities per class. A model of counts predicts
their mean. A squared-hinge model has no probabilities: its score, in the column score, is above zero for the second
class.`,
		Example: `  bilevel predict --model bilevel-out/model.json new.csv
  bilevel predict --model bilevel-out/model.json new.csv --proba --out p.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("give one file or folder of rows, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runPredict(c, &f, args[0]) },
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&f.model, "model", "", "`FILE`: model.json of bilevel tune (required)")
	p.BoolVar(&f.proba, "proba", false, "add the probability of each class")
	p.StringVar(&f.out, "out", "", "`FILE`: where predictions go; - is standard output (default -)")
	p.StringVar(&f.label, "label", "", "label column by name or number (default that of the model)")
	p.StringVar(&f.labels, "labels", "", "file of the labels of DATA, where it is NPY or IDX without them")
	p.StringVar(&f.format, "format", "", formats)
	p.BoolVar(&f.noHeader, "no-header", false, "the first line of CSV or TSV is data")
	p.StringVar(&f.unknown, "unknown", "error", "levels that the model does not know: error, or zero for none of its "+
		"levels")
	p.Var(&f.memory, "memory", memoryHelp)
	p.BoolVar(&f.quiet, "quiet", false, "no figures on standard error")
	return c
}

func runPredict(c *cobra.Command, f *predictFlags, file string) error {
	if f.model == "" {
		return usagef("--model is missing: give the model.json of bilevel tune")
	}
	if f.unknown != "error" && f.unknown != "zero" {
		return wrongChoice("unknown", f.unknown, []string{"error", "zero"})
	}
	if f.out == dash {
		f.out = ""
	}
	if f.out != "" {
		inputs := []string{f.model}
		if file != dash {
			inputs = append(inputs, file)
		}
		if err := checkFile(f.out, inputs...); err != nil {
			return usagef("--out %s: %w", f.out, err)
		}
	}
	memory := f.memory.bound()
	m, err := wait.For(c.Context(), func() (*tune.Model, error) { return tune.LoadWithin(f.model, memory) })
	if err != nil {
		return err
	}
	if f.proba && !m.Task.Classes() {
		return usagef("--proba: a %s model predicts numbers and has no classes", m.Task)
	}
	if f.proba && !m.Task.Odds() {
		return usagef("--proba: a %s model has no probabilities: leave the flag out, and the scores are written", m.Task)
	}
	o := dataset.Options{Format: f.format, Label: f.label, Labels: f.labels, NoHeader: f.noHeader, OptionalLabel: true,
		Like: m.Schema, UnseenLevels: unseenLevels(f.unknown), Memory: memory}
	set, err := readRows(c.Context(), c.InOrStdin(), file, o)
	if err != nil {
		return err
	}
	n, _ := set.Dims()
	need := float64(set.Bytes()) + float64(n)*float64(max(len(m.Classes), 1))*bytesPerPrediction
	if err := memory.Check(set.Source, fmt.Sprintf("predicting %d rows", n), need); err != nil {
		return err
	}
	p, err := m.Predict(set)
	if err != nil {
		return err
	}
	for _, note := range set.Notes {
		if !f.quiet {
			fmt.Fprintln(c.ErrOrStderr(), "note:", note)
		}
	}
	var labelled *tune.Unseen
	if set.Y != nil {
		if labelled, err = m.Unseen(p, set); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := writePredictions(&b, p, namesOf(set.Schema), set.Names, f.proba); err != nil {
		return err
	}
	if f.out != "" {
		if err := writeFiles([]outFile{{f.out, b.Bytes()}}); err != nil {
			return usagef("--out: %w", err)
		}
	} else if _, err := c.OutOrStdout().Write(b.Bytes()); err != nil {
		return err
	}
	if labelled != nil && !f.quiet {
		fmt.Fprintln(c.ErrOrStderr(), goodAt(labelled, m.Classes))
	}
	return nil
}

// bytesPerPrediction is what a score, its probability and their text take, about.
const bytesPerPrediction = 64

// goodAt is how good predictions are where the labels are known, in a line. Its last word is the loss, for scripts: a
// number as programs write it, with no full stop.
func goodAt(u *tune.Unseen, classes []string) string {
	j := judge.Of(u, classes)
	rows := numbers.Of(j.Rows, "row") + " with labels"
	loss := j.Loss()
	last := fmt.Sprintf("%s %.6g", cmp.Or(loss.Term, loss.Name), loss.Model.Value)
	if classes == nil {
		mae := j.Figure("mae")
		if j.Rows == 1 {
			return fmt.Sprintf("On the row with a label, the prediction is off by %s, %s",
				numbers.Digits(mae.Model.Value, 3), last)
		}
		v, low, high := numbers.Estimate(mae.Model.Value, mae.Model.Low, mae.Model.High)
		text := fmt.Sprintf("On %s, the prediction is off by %s on average (%s to %s), where their mean is off by %s", rows,
			v, low, high, numbers.Digits(mae.Trivial.Value, 3))
		if r2 := j.Figure("r2").Model.Value; !math.IsNaN(r2) {
			text += fmt.Sprintf(": %s explained", numbers.Percent(r2, 1))
		}
		return text + ", " + last
	}
	right := j.Figure("accuracy")
	if j.Rows == 1 {
		how := map[bool]string{true: "rightly", false: "wrongly"}[right.Model.Value == 1]
		return fmt.Sprintf("The row with a label is predicted %s, %s", how, last)
	}
	text := fmt.Sprintf("Of %s, %s are predicted rightly (%s to %s)", rows, numbers.Percent(right.Model.Value, 1),
		numbers.Fixed(100*right.Model.Low, 1), numbers.Percent(right.Model.High, 1))
	if imbalanced(j) {
		r := j.Rarest()
		text += fmt.Sprintf(", and of the %s that are %s %s are found", numbers.Count(r.Rows), said(r.Class),
			numbers.Count(r.Found))
	}
	if c := j.Figure("cost"); c != nil {
		text += fmt.Sprintf(", at a cost of %s a row", numbers.Digits(c.Model.Value, 2))
	}
	return text + ", " + last
}

// namesOf says what names of rows are.
func namesOf(s *dataset.Schema) string {
	if s.ID != "" {
		return s.ID
	}
	return "document"
}

// writePredictions writes a row for each prediction; names are of the rows, which what says what they are, or nil.
func writePredictions(w io.Writer, p *tune.Prediction, what string, names []string, proba bool) error {
	out := csv.NewWriter(w)
	var record []string
	if names != nil {
		record = append(record, what)
	}
	record = append(record, "prediction")
	k := len(p.Classes)
	scores := k > 0 && p.Proba == nil
	if scores {
		record = append(record, "score")
	}
	if proba {
		record = append(record, p.Classes...)
	}
	out.Write(record)
	for i := range p.Len() {
		record = record[:0]
		if names != nil {
			record = append(record, names[i])
		}
		record = append(record, p.Label(i))
		if scores {
			record = append(record, strconv.FormatFloat(p.Scores[i], 'g', 6, 64))
		}
		if proba {
			for _, q := range p.Proba[i*k : (i+1)*k] {
				record = append(record, strconv.FormatFloat(q, 'g', 6, 64))
			}
		}
		out.Write(record)
	}
	out.Flush()
	return out.Error()
}
