package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/clean"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/tune"
)

// cleanFlags are the flags of bilevel clean.
type cleanFlags struct {
	fitFlags
	trusted         string
	trustedFraction float64
	corrupt         float64
	by              string
}

// The standard setting of --set mnist, and the share of trusted rows elsewhere.
const (
	mnistTrain, mnistTrusted = 20000, 5000
	defaultTrusted           = .2
	defaultCorrupt           = .5 // of the embedded set without --corrupt
)

func newCleanCommand() *cobra.Command {
	var f cleanFlags
	c := &cobra.Command{
		Use:   "clean",
		Short: "Find wrong labels with the help of a small trusted set",
		Long: `A linear model is trained with one weight per row, and the weights are learned by gradient so that the model
predicts the trusted rows well. Rows whose weight falls below one half, and to which the cleaned
model gives another label, are suspicious.

Without --train or --set it runs on an embedded set of handwritten digits, half of whose training labels it
replaces by random ones. Files are read as tune reads them.

Methods (--method); auto is saba:
` + methods.Describe("  ", clean.Kinds...) + `
The folder --out gets weights.csv (a weight per row, the label that the cleaned model predicts, and the order in
which to look at rows) and report.html, which shows the most suspicious rows.`,
		Example: `  bilevel clean --set breast-cancer --corrupt 0.3
  bilevel clean --train noisy.csv --trusted clean.csv --label species`,
		Args: noFiles("trusted"),
		RunE: func(c *cobra.Command, _ []string) error { return runClean(c, &f) },
	}
	p := c.Flags()
	f.register(p, "trusted", "weights", "bilevel-clean-out", "weights.csv and report.html", func() {
		p.StringVar(&f.trusted, "trusted", "", "file of rows whose labels are right")
		p.Float64Var(&f.trustedFraction, "trusted-fraction", 0, "trust this share of the rows of --set "+
			"(default 0.2; 5,000 of 25,000 rows of mnist and fashion-mnist)")
		p.StringVar(&f.by, "by", "", "column of annotators, sources, sensors or dates (months): it is no feature, and which of "+
			"them are worse than the others is said too")
		p.Float64Var(&f.corrupt, "corrupt", 0, "replace training labels by random classes with this probability, and "+
			"say how many were found (default 0.5 for the embedded digits without --set)")
	})
	return c
}

// settings are those of clean.Fit, checked.
func (f *cleanFlags) settings() (clean.Options, error) {
	o := clean.Options{Method: f.method, Seed: f.seed, MaxTime: f.maxTime}
	var err error
	if o.Scale, o.Intercept, err = f.switches(); err != nil {
		return o, err
	}
	if err := o.Check(); err != nil {
		return o, usagef("--%w", err)
	}
	return o, nil
}

// checkFlags finds contradictions before anything is read.
func (f *cleanFlags) checkFlags(c *cobra.Command) error {
	files := f.outputs()
	if err := f.check(c, "trusted", files.Weights, files.Report); err != nil {
		return err
	}
	given := c.Flags().Changed("trusted-fraction")
	switch {
	case f.train != "" && f.trusted == "":
		return usagef("--train %s: give rows whose labels are right with --trusted", f.train)
	case f.by != "" && f.train == "":
		return usagef("--by %s: is about files: give --train", f.by)
	case c.Flags().Changed("by") && f.by == "":
		return usagef("--by \"\": name a column, or leave the flag out")
	case f.by != "" && f.by == f.read.ID:
		return usagef("--by %s and --id %s: rows that all have names of their own are no groups; name another column", f.by,
			f.by)
	case given && f.train != "":
		return usagef("--trusted-fraction: is for --set; the rows of --train are not trusted")
	case given && !(f.trustedFraction > 0 && f.trustedFraction < 1):
		return usagef("--trusted-fraction %v: choose a share between 0 and 1, such as 0.2", f.trustedFraction)
	case !(f.corrupt >= 0 && f.corrupt <= 1):
		return usagef("--corrupt %v: choose a probability, such as 0.5", f.corrupt)
	}
	return nil
}

// cleaned is what was done, for the reports.
type cleaned struct {
	*clean.Result
	name    string // of the data
	file    string // of the rows, without its folder; "" for a set
	reading string // the flags that say how it is read
	train   *dataset.Set
	about   []string     // how the files were read
	notes   []string     // the same without which column is the label
	truth   *clean.Truth // nil unless labels were corrupted
	corrupt float64
	seed    uint64
	read    time.Duration
	files   *cleanOutputs
	command string // as it was typed, without folders
	when    time.Time
	out     string // folder
	by      string // the column of groups, "" for none
	groups  []string
}

// readingFlags are those that were typed and that tune has to be given to read the training rows in the same way.
func readingFlags(c *cobra.Command) string {
	var names []string
	for _, g := range flagGroups {
		if g.title == "Columns" || g.title == "Format" {
			of, _ := flagKinds(g)
			names = append(names, of...)
		}
	}
	by, drop := c.Flag("by").Value.String(), c.Flag("drop").Value.(pflag.SliceValue)
	text := typedFlags(c, func(name string) bool {
		return slices.Contains(names, name) && name != "trusted-labels" && name != "test-labels" && name != "by" &&
			(name != "drop" || by == "")
	})
	if by != "" { // tune has no groups
		text += " --drop " + quoted(strings.Join(append(drop.GetSlice(), by), ","))
	}
	return text
}

// cleanOutputs are the files that were written.
type cleanOutputs struct {
	Weights string `json:"weights"`
	Report  string `json:"report"`
}

func (f *cleanFlags) outputs() *cleanOutputs {
	return &cleanOutputs{filepath.Join(f.out, "weights.csv"), filepath.Join(f.out, "report.html")}
}

func runClean(c *cobra.Command, f *cleanFlags) error {
	o, err := f.settings()
	if err != nil {
		return err
	}
	if err := f.checkFlags(c); err != nil {
		return err
	}
	if f.train == "" && f.set == "" && !c.Flags().Changed("corrupt") {
		f.corrupt = defaultCorrupt
	}
	release, err := f.claim(f.trusted)
	if err != nil {
		return err
	}
	defer release()
	begin := time.Now()
	bar := f.start(c)
	defer bar.finish()
	data, name, err := f.readData(c.Context(), bar)
	if err != nil {
		return err
	}
	if err := f.checkRoom(data.Train, data.Trusted, data.Test); err != nil {
		return err
	}
	var right []bool
	if f.corrupt > 0 {
		data.Train, right = clean.Corrupt(data.Train, f.corrupt, f.seed)
	}
	read := time.Since(begin)
	o.Progress = bar.update
	r, err := clean.Fit(c.Context(), *data, o)
	bar.finish()
	if err != nil {
		return err
	}
	d := &cleaned{
		Result: r, name: name, train: data.Train, corrupt: f.corrupt, seed: f.seed, read: read, files: f.outputs(),
		about:   dataset.About(data.Train, data.Trusted, data.Test),
		command: typed(c), when: time.Now(), out: f.out, by: f.by, groups: data.Groups,
	}
	if f.train != "" {
		d.file, d.reading = filepath.Base(f.train), readingFlags(c)
	}
	d.notes = withoutLabel(d.about, data.Train)
	if right != nil {
		t := r.Compare(right)
		d.truth = &t
	}
	if err := f.writeAll(d); err != nil {
		return err
	}
	f.note(c, d.notes)
	return f.say(c.OutOrStdout(), d.json(), d.summary, r.Interrupted)
}

// readData reads or makes all parts of the data. name says what they are.
func (f *cleanFlags) readData(ctx context.Context, bar *progress) (data *clean.Data, name string, err error) {
	data = &clean.Data{}
	if f.train != "" {
		if f.by != "" {
			f.read.Beside = append(f.read.Beside, f.by)
		}
		if data.Train, name, err = f.readFile(ctx, dataset.AutoTarget); err != nil {
			return nil, "", err
		}
		if !tune.Task(data.Train.GuessTask()).Classes() {
			return nil, "", &dataset.Error{File: data.Train.Source,
				Err:  errors.New("the label is a number, and clean finds wrong classes"),
				Hint: "choose the label column with --label"}
		}
		if err = data.Train.AsClasses(); err != nil {
			return nil, "", err
		}
		if f.by != "" {
			if data.Groups, err = data.Train.Periods(f.by, f.read.DateOrder, clean.MostGroups); err != nil {
				return nil, "", err
			}
			if len(slices.Compact(slices.Sorted(slices.Values(data.Groups)))) == 1 {
				return nil, "", &dataset.Error{File: data.Train.Source, Err: fmt.Errorf("all rows have the same %s, %q", f.by,
					data.Groups[0]), Hint: "name a column with several values with --by"}
			}
		}
		sets, err := f.readLike(ctx, data.Train, f.trusted)
		if err != nil {
			return nil, "", err
		}
		data.Trusted, data.Test = sets[0], sets[1]
		return data, name, nil
	}
	rest, test, name, err := f.readSet(ctx, bar)
	if err != nil {
		return nil, "", err
	}
	if err := rest.AsClasses(); err != nil {
		return nil, "", err
	}
	data.Test = test
	share := f.trustedFraction
	if n, _ := rest.Dims(); (f.set == "mnist" || f.set == "fashion-mnist") && n > mnistTrain+mnistTrusted {
		if _, rest, err = rest.Split(float64(mnistTrain+mnistTrusted)/float64(n), f.seed, true); err != nil {
			return nil, "", err
		}
	}
	if share == 0 {
		share = defaultTrusted
	}
	data.Train, data.Trusted, err = rest.Split(share, f.seed+1, true)
	return data, name, err
}

// writeAll writes the weights, and then the report.
func (f *cleanFlags) writeAll(d *cleaned) error {
	var weights bytes.Buffer
	if err := d.writeWeights(&weights); err != nil {
		return err
	}
	return f.write(outFile{d.files.Weights, weights.Bytes()}, func() ([]outFile, error) {
		var html bytes.Buffer
		err := d.writeReport(&html)
		return []outFile{{d.files.Report, html.Bytes()}}, err
	})
}

// writeWeights writes a line for each training row, in the order of the file, with what the row is called at its end.
func (d *cleaned) writeWeights(w io.Writer) error {
	t := csv.NewWriter(w)
	names := d.train.Names
	head := []string{"row", "label", "weight", "kept", "predicted", "rank"}
	if names != nil {
		head = append(head, namesOf(d.train.Schema))
	}
	if d.by != "" {
		head = append(head, d.by)
	}
	t.Write(head)
	for i, r := range d.Rows {
		line := []string{strconv.Itoa(i + 1), d.Classes[r.Label], strconv.FormatFloat(r.Weight, 'g', 6, 64),
			strconv.FormatBool(r.Kept), d.Classes[r.Predicted], strconv.Itoa(r.Rank)}
		if names != nil {
			line = append(line, names[i])
		}
		if d.by != "" {
			line = append(line, d.groups[i])
		}
		t.Write(line)
	}
	t.Flush()
	return t.Error()
}

// cleanJSON is what --json prints. Unknown numbers are null.
type cleanJSON struct {
	Method             string        `json:"method"`
	F1                 *float64      `json:"f1"`
	Precision          *float64      `json:"precision"`
	Recall             *float64      `json:"recall"`
	Kept               int           `json:"kept"`
	WrongShare         float64       `json:"wrong_share"`
	AllBetter          bool          `json:"all_better"`
	TestAccuracy       *float64      `json:"test_accuracy"`
	TestAccuracyBefore *float64      `json:"test_accuracy_before"`
	TestLoss           *float64      `json:"test_loss"`
	TestLossBefore     *float64      `json:"test_loss_before"`
	HeldOutLoss        *float64      `json:"held_out_loss"`
	HeldOutLossBefore  float64       `json:"held_out_loss_before"`
	Seconds            float64       `json:"seconds"`
	ReadSeconds        float64       `json:"read_seconds"`
	Steps              int64         `json:"steps"`
	NTrain             int           `json:"n_train"`
	NTrusted           int           `json:"n_trusted"`
	NTest              int           `json:"n_test"`
	Corrupt            float64       `json:"corrupt"`
	Corrupted          *int          `json:"corrupted"`
	Ridge              float64       `json:"ridge"`
	FinalRidge         float64       `json:"final_ridge"`
	Seed               uint64        `json:"seed"`
	Interrupted        bool          `json:"interrupted"`
	TimedOut           bool          `json:"timed_out"`
	Reason             string        `json:"reason"`
	Wrong              estimateJSON  `json:"wrong"` // the share, with its interval
	Verdict            judge.Verdict `json:"verdict,omitempty"`
	TestChange         *estimateJSON `json:"test_accuracy_change"`
	Untrusted          []string      `json:"untrusted"` // classes without trusted rows
	Groups             []groupJSON   `json:"groups,omitempty"`
	Notes              []string      `json:"notes"`
	Words              []string      `json:"words"`
	Files              *cleanOutputs `json:"files"`
}

func (d *cleaned) json() cleanJSON {
	j := cleanJSON{
		Method: d.Method, HeldOutLoss: known(d.Value), HeldOutLossBefore: d.Start, Kept: d.Kept, WrongShare: d.wrong().Value,
		AllBetter: d.AllBetter, Seconds: d.Seconds, ReadSeconds: d.read.Seconds(), Steps: d.Steps,
		NTrain: d.NTrain, NTrusted: d.NTrusted, NTest: d.NTest, Corrupt: d.corrupt, Ridge: d.Ridge, FinalRidge: d.FinalRidge,
		Seed:        d.seed,
		Interrupted: d.Interrupted, TimedOut: d.TimedOut, Reason: d.Reason, Words: d.words(), Files: d.files,
		Wrong: estimated(d.wrong()), Untrusted: append([]string{}, d.Untrusted...), Notes: append([]string{}, d.notes...),
	}
	j.Groups = d.groupsJSON()
	if t := d.truth; t != nil {
		j.F1, j.Precision, j.Recall, j.Corrupted = &t.F1, &t.Precision, &t.Recall, &t.Corrupted
	}
	if d.After != nil {
		j.TestAccuracy, j.TestAccuracyBefore, j.TestLoss, j.TestLossBefore = &d.After.Accuracy, &d.Before.Accuracy,
			&d.After.Loss, &d.Before.Loss
		change := estimated(d.gain())
		j.TestChange, j.Verdict = &change, d.verdict()
	}
	return j
}
