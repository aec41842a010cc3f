package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/tune"
)

// formats is the help of --format.
var formats = strings.Join(dataset.Formats(), ", ") + " (default by content)"

// formatFlags are the flags that say how files are read.
type formatFlags struct {
	label, format       string
	zeroBased, noHeader bool
	categorical         []string
	text                string
	minDocs             int
	data                string
}

func (f *formatFlags) register(p *pflag.FlagSet) {
	p.StringVar(&f.data, "data", "", "folder with copies of public sets, used first (default $BILEVEL_DATA)")

	p.StringVar(&f.label, "label", "", "label column by name or number (default label, target, class or y, else the last)")
	p.StringVar(&f.format, "format", "", formats)
	p.BoolVar(&f.zeroBased, "zero-based", false, "LIBSVM indices start at 0")
	p.BoolVar(&f.noHeader, "no-header", false, "the first line of CSV or TSV is data")
	p.StringSliceVar(&f.categorical, "categorical", nil, "columns (NAME,...) whose values are levels though they look like numbers or identifiers")

	p.StringVar(&f.text, "text", "", "weight of a word in a folder of texts: count or tfidf (default count); rows get unit length")
	p.IntVar(&f.minDocs, "min-docs", 0, "leave out words that fewer training texts have")
}

// options are how the training file is read.
func (f *formatFlags) options() dataset.Options {
	return dataset.Options{Format: f.format, Label: f.label, ZeroBased: f.zeroBased, NoHeader: f.noHeader, Categorical: f.categorical, Text: f.vectorizer()}
}

// check finds contradictions; train is the training file, "" for none, and set the set that is read instead.
func (f *formatFlags) check(train, set string) error {
	switch {
	case f.text != "" && f.text != string(dataset.Count) && f.text != string(dataset.TFIDF):
		return usagef("--text %q: choose count or tfidf", f.text)
	case f.minDocs < 0:
		return usagef("--min-docs %d: give a number of texts", f.minDocs)
	case f.vectorizer() != nil && train == "" && isEmbedded(set):
		return usagef("--text and --min-docs are about texts: give a folder with --train")
	case train == "" && (f.label != "" || f.format != "" || f.zeroBased || f.noHeader || f.categorical != nil):
		return usagef("--label, --format, --zero-based, --no-header and --categorical are about files: give --train")
	}
	return nil
}

// likeTraining are how a file with the columns of the training set is read.
func likeTraining(o dataset.Options, train *dataset.Set) dataset.Options {
	o.LikeName = "the training file"
	o.Like, o.Format, o.Target, o.Text = train.Schema, "", dataset.AutoTarget, nil
	return o
}

// checkOutside is an error if out is in one of the folders of texts that were read.
func checkOutside(train *dataset.Set, out string, inputs ...string) error {
	for _, in := range inputs {
		if train.Schema.Text != nil && isFolder(in) && isWithin(out, in) {
			return usagef("--out %s: is in the folder of texts %s and would be read with it the next time; name another one", out, in)
		}
	}
	return nil
}

// tuneFlags are the flags of bilevel tune.
type tuneFlags struct {
	train, val, test, set string
	valFraction           float64
	folds                 int

	formatFlags

	model, reg, method, param string
	box, spread, start        string
	switchFlags
	maxTime time.Duration
	seed    uint64

	out         string
	json, quiet bool
}

const defaultFraction = .3

func newTuneCommand() *cobra.Command {
	var f tuneFlags
	c := &cobra.Command{
		Use:   "tune",
		Short: "Fit a linear model and learn its regularisation strengths on validation data",
		Long: `Fit a linear model and learn its regularisation strengths on validation data.

Without --train or --set it runs on an embedded set of handwritten digits. Files are LIBSVM text, CSV or TSV
with a header, NPY, IDX or Parquet, plain or compressed; what they are is found out from their content.
A folder with one folder of text files for each class, or a tar or zip archive of it, becomes counts of words.

The best of a grid of one shared strength is the baseline. From there, strengths are learned by gradient:
with --reg auto, one in all, one per class and one per feature are compared on held-out rows, and the kind
that does best is learned on all validation rows. More strengths than validation rows would fit those rows:
they stay near the best shared one, as far as held-out rows allow (--spread).

Methods (--method), all of which choose their own step sizes; auto takes hoag, and saba where passes are dear:
` + methods.Describe("  ", methods.Exact, methods.Sampled, methods.FullBatch, methods.Search) + `
The folder --out gets model.json (for bilevel predict), trace.csv and report.html.

` + exitCodes,
		Example: `  bilevel tune
  bilevel tune --train train.csv --val val.csv --test test.csv
  bilevel tune --train all.csv --label price --folds 5
  bilevel tune --train ijcnn1.trn.bz2 --val ijcnn1.tst.bz2 --reg feature --box -12,12
  bilevel tune --train mails --text tfidf --val-fraction 0.5 --reg feature
  bilevel tune --set breast-cancer --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q: give files with --train, --val and --test", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return runTune(c, &f) },
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&f.train, "train", "", "file of training rows")
	p.StringVar(&f.val, "val", "", "file of validation rows")
	p.StringVar(&f.test, "test", "", "file of test rows, used for nothing but the figures")
	p.Float64Var(&f.valFraction, "val-fraction", 0, "validate on this share of the training rows (default 0.3 without --val and --folds)")
	p.IntVar(&f.folds, "folds", 0, "validate by cross-validation with so many folds")
	p.StringVar(&f.set, "set", "", "an embedded set (digits, breast-cancer) or a public one (see bilevel data list)")
	f.register(p)

	p.StringVar(&f.model, "model", "auto", tasks()+"; auto guesses from the labels")
	p.StringVar(&f.reg, "reg", "auto", "strengths: shared, feature, class or feature-class; with zero coefficients l1, l1-feature or elastic-net; auto compares the first three on held-out rows")
	p.StringVar(&f.method, "method", "auto", "how strengths are learned: auto, by the size of the data, or one of the names above")
	p.StringVar(&f.box, "box", "", "bounds of x: lower,upper (default -12,12, or 1e-8,1e8 with --param linear)")
	p.StringVar(&f.spread, "spread", "", "how far x may be from the best shared strength: a number, off (all of the box) or auto, where held-out rows choose if there are more strengths than validation rows (default auto, and off with --box)")
	p.StringVar(&f.param, "param", "exp", "a strength is e^x (exp) or x (linear)")
	p.StringVar(&f.start, "start", "grid", "where strengths start: grid (its best point), random, or a number")
	f.registerSwitches(p)
	p.DurationVar(&f.maxTime, "max-time", 0, "end with the best point after this time, such as 30s (reading is not counted)")
	p.Uint64Var(&f.seed, "seed", 0, "seed of splits and of sampling")

	p.StringVar(&f.out, "out", "bilevel-out", "folder for model.json, trace.csv and report.html")
	p.BoolVar(&f.json, "json", false, "print one JSON object and nothing else on standard output")
	p.BoolVar(&f.quiet, "quiet", false, "no progress on standard error")
	return c
}

// tasks names the kinds of models.
func tasks() string {
	var names []string
	for _, t := range tune.Tasks() {
		names = append(names, string(t))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// options are the settings of tune.Fit, checked.
func (f *tuneFlags) options() (tune.Options, error) {
	o := tune.Options{
		Task: tune.Task(f.model), Reg: tune.Reg(f.reg), Method: tune.Method(f.method), Param: tune.Param(f.param),
		Spread: f.spread, Start: f.start, Seed: f.seed, MaxTime: f.maxTime,
	}
	var err error
	if o.Scale, o.Intercept, err = f.switches(); err != nil {
		return o, err
	}
	if f.box != "" {
		lo, hi, ok := strings.Cut(f.box, ",")
		var e1, e2 error
		o.Box.Lower, e1 = strconv.ParseFloat(strings.TrimSpace(lo), 64)
		o.Box.Upper, e2 = strconv.ParseFloat(strings.TrimSpace(hi), 64)
		if !ok || e1 != nil || e2 != nil {
			return o, usagef("--box %q: write two numbers, lower,upper, such as -12,12", f.box)
		}
		if o.Box.Lower == o.Box.Upper {
			return o, usagef("--box %q: nothing is left to learn", f.box)
		}
	}
	if err := o.Check(); err != nil {
		return o, usagef("--%w", err)
	}
	return o, nil
}

// switchFlags are the flags that say what is done to columns.
type switchFlags struct{ scale, intercept string }

func (f *switchFlags) registerSwitches(p *pflag.FlagSet) {
	p.StringVar(&f.scale, "scale", "auto", "standardise features: on, off; auto is off for LIBSVM and folders of texts, else on")
	p.StringVar(&f.intercept, "intercept", "auto", "fit an intercept: on, off; auto is off for LIBSVM and folders of texts, else on")
	p.Lookup("scale").NoOptDefVal, p.Lookup("intercept").NoOptDefVal = "on", "on"
}

func (f *switchFlags) switches() (scale, intercept tune.Switch, err error) {
	if scale, err = parseSwitch("scale", f.scale); err == nil {
		intercept, err = parseSwitch("intercept", f.intercept)
	}
	return scale, intercept, err
}

func parseSwitch(name, word string) (tune.Switch, error) {
	switch word {
	case "auto":
		return tune.Auto, nil
	case "on", "true", "yes":
		return tune.On, nil
	case "off", "false", "no":
		return tune.Off, nil
	}
	return "", usagef("--%s %q: choose on, off or auto", name, word)
}

// checkFlags finds contradictions before anything is read.
func (f *tuneFlags) checkFlags(c *cobra.Command) error {
	given := c.Flags().Changed
	for _, name := range []string{"train", "val", "test", "set"} {
		if given(name) && c.Flag(name).Value.String() == "" {
			return usagef("--%s \"\": give a name, or leave the flag out", name)
		}
	}
	switch {
	case f.train != "" && f.set != "":
		return usagef("--train and --set: give one of them")
	case f.train == "" && (f.val != "" || f.test != ""):
		return usagef("--val and --test need --train")
	}
	if err := f.formatFlags.check(f.train, f.set); err != nil {
		return err
	}
	for _, file := range []struct{ flag, path string }{{"train", f.train}, {"val", f.val}, {"test", f.test}} {
		if file.path == "-" {
			return usagef("--%s -: tune does not read standard input; save the rows and give the file", file.flag)
		}
	}
	ways := 0
	for _, name := range []string{"val", "val-fraction", "folds"} {
		if given(name) {
			ways++
		}
	}
	switch {
	case ways > 1:
		return usagef("--val, --val-fraction and --folds: give one of them")
	case given("val-fraction") && !(f.valFraction > 0 && f.valFraction < 1):
		return usagef("--val-fraction %v: choose a share between 0 and 1, such as 0.3", f.valFraction)
	case given("folds") && f.folds < 2:
		return usagef("--folds %d: cross-validation needs at least 2 folds", f.folds)
	case given("max-time") && f.maxTime <= 0:
		return usagef("--max-time %v: give a time above zero, such as 30s", f.maxTime)
	case f.out == "":
		return usagef("--out \"\": name a folder")
	}
	if err := checkFolder(f.out); err != nil {
		return usagef("--out %s: %w", f.out, err)
	}
	files := f.outputs()
	for _, path := range []string{files.Model, files.Trace, files.Report} {
		if err := checkTarget(path, f.train, f.val, f.test); err != nil {
			return usagef("--out %s: %s %w", f.out, path, err)
		}
	}
	return nil
}

func runTune(c *cobra.Command, f *tuneFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	if err := f.checkFlags(c); err != nil {
		return err
	}
	stdout, stderr := c.OutOrStdout(), c.ErrOrStderr()
	if f.quiet {
		stderr = io.Discard
	}
	begin := time.Now()
	bar := newProgress(stderr)
	defer bar.finish()
	bar.say("reading the data")
	data, name, err := f.read(c, o, bar)
	if err != nil {
		return err
	}
	read := time.Since(begin)
	o.Progress = bar.update
	r, err := tune.Fit(c.Context(), *data, o)
	bar.finish()
	if err != nil {
		return err
	}
	files, err := f.write(r, name)
	if err != nil {
		return err
	}
	if f.json {
		err = writeJSON(stdout, r, files, read)
	} else {
		_, err = io.WriteString(stdout, summary(r, name, files))
	}
	if err == nil && r.Interrupted {
		err = errInterrupted
	}
	return err
}

// read reads or makes all parts of the data. name says what they are.
func (f *tuneFlags) read(c *cobra.Command, o tune.Options, bar *progress) (data *tune.Data, name string, err error) {
	data = &tune.Data{Folds: f.folds}
	like := f.formatFlags.options()
	if o.Task != tune.AutoTask && !o.Task.Classes() {
		like.Target = dataset.NumericTarget
	}
	switch {
	case f.train != "":
		name = filepath.Base(f.train)
		if data.Train, err = dataset.Read(c.Context(), f.train, like); err != nil {
			return nil, "", err
		}
	case isEmbedded(f.set):
		set := f.set
		if set == "" {
			set = "digits"
		}
		name = set + " (embedded)"
		all, err := dataset.Embedded(set)
		if err != nil {
			return nil, "", err
		}
		if data.Train, data.Test, err = all.Split(.25, f.seed, true); err != nil {
			return nil, "", err
		}
	default:
		name = f.set
		if _, err := dataset.Lookup(f.set); err != nil {
			return nil, "", usagef("--set: %w (public), digits and breast-cancer (embedded)", err)
		}
		var files *dataset.Files
		get := dataset.GetOptions{DataDir: f.data, Progress: bar.download, Text: f.vectorizer()}
		if data.Train, data.Test, files, err = dataset.Load(c.Context(), f.set, get); err != nil {
			return nil, "", err
		}
		for _, note := range files.Notes {
			bar.say("note: " + note)
		}
	}
	task := o.Task
	if task == tune.AutoTask {
		task = tune.Task(data.Train.GuessTask())
	}
	classes := task.Classes()
	if classes {
		if err := data.Train.AsClasses(); err != nil {
			return nil, "", err
		}
	}
	if err := checkOutside(data.Train, f.out, f.train, f.val, f.test); err != nil {
		return nil, "", err
	}
	like = likeTraining(like, data.Train)
	for _, part := range []struct {
		file string
		set  **dataset.Set
	}{{f.val, &data.Val}, {f.test, &data.Test}} {
		if part.file == "" {
			continue
		}
		if *part.set, err = dataset.Read(c.Context(), part.file, like); err != nil {
			return nil, "", err
		}
	}
	if data.Val == nil && data.Folds == 0 {
		share := f.valFraction
		if share == 0 {
			share = defaultFraction
			if f.train != "" {
				bar.say("no --val, --val-fraction or --folds: validating on 0.3 of the rows")
			}
		}
		if data.Train, data.Val, err = data.Train.Split(share, f.seed, classes); err != nil {
			return nil, "", err
		}
	}
	return data, name, nil
}

// isEmbedded says whether set is an embedded one; without a name it is.
func isEmbedded(set string) bool { return set == "" || set == "digits" || set == "breast-cancer" }

// vectorizer is how texts become rows, nil where nothing is said about it.
func (f *formatFlags) vectorizer() *dataset.Vectorizer {
	if f.text == "" && f.minDocs == 0 {
		return nil
	}
	return &dataset.Vectorizer{Weight: dataset.Weight(f.text), MinDocs: f.minDocs}
}

// outputs are the files that were written.
type outputs struct {
	Model  string `json:"model"`
	Trace  string `json:"trace"`
	Report string `json:"report"`
}

// outputs are the files in the folder f.out.
func (f *tuneFlags) outputs() *outputs {
	return &outputs{filepath.Join(f.out, "model.json"), filepath.Join(f.out, "trace.csv"), filepath.Join(f.out, "report.html")}
}

// write makes all files in memory and then writes them.
func (f *tuneFlags) write(r *tune.Result, name string) (*outputs, error) {
	model, err := r.Model.JSON()
	if err != nil {
		return nil, err
	}
	var trace, html bytes.Buffer
	if err := writeTrace(&trace, r); err != nil {
		return nil, err
	}
	if err := report.Write(&html, reportData(r, name)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return nil, usagef("--out %s: the folder cannot be made: %w", f.out, bare(err))
	}
	files := f.outputs()
	if err := writeFiles([]outFile{{files.Model, model}, {files.Trace, trace.Bytes()}, {files.Report, html.Bytes()}}); err != nil {
		return nil, usagef("--out %s: %w", f.out, err)
	}
	return files, nil
}

func writeTrace(w io.Writer, r *tune.Result) error {
	t := csv.NewWriter(w)
	t.Write([]string{"step", "seconds", "value", "grad_norm", "samples_visited"})
	number := func(v float64) string {
		if math.IsNaN(v) {
			return ""
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	for _, p := range r.Trace {
		t.Write([]string{strconv.FormatInt(p.Step, 10), strconv.FormatFloat(p.Seconds, 'f', 6, 64), number(p.Value), number(p.GradNorm), strconv.FormatInt(p.SamplesVisited, 10)})
	}
	t.Flush()
	return t.Error()
}

// jsonResult is what --json prints. Unknown numbers are null.
type jsonResult struct {
	Method           tune.Method `json:"method"`
	Model            tune.Task   `json:"model"`
	Reg              tune.Reg    `json:"reg"`
	Value            *float64    `json:"value"`
	GradNorm         *float64    `json:"grad_norm"`
	BaselineX        float64     `json:"baseline_x"`
	BaselineValue    *float64    `json:"baseline_value"`
	BaselineWon      bool        `json:"baseline_won"`
	Spread           *float64    `json:"spread"`
	Steps            int64       `json:"steps"`
	Seconds          float64     `json:"seconds"`
	ReadSeconds      float64     `json:"read_seconds"`
	InnerDim         int         `json:"inner_dim"`
	OuterDim         int         `json:"outer_dim"`
	NonZero          int         `json:"nonzero"`
	NTrain           int         `json:"n_train"`
	NVal             int         `json:"n_val"`
	NTest            int         `json:"n_test"`
	Folds            int         `json:"folds"`
	ValAccuracy      *float64    `json:"val_accuracy"`
	ValRMSE          *float64    `json:"val_rmse"`
	TestLoss         *float64    `json:"test_loss"`
	TestAccuracy     *float64    `json:"test_accuracy"`
	TestRMSE         *float64    `json:"test_rmse"`
	BaselineTestLoss *float64    `json:"baseline_test_loss"`
	BaselineTestAcc  *float64    `json:"baseline_test_accuracy"`
	BaselineTestRMSE *float64    `json:"baseline_test_rmse"`
	SamplesVisited   int64       `json:"samples_visited"`
	Seed             uint64      `json:"seed"`
	Interrupted      bool        `json:"interrupted"`
	TimedOut         bool        `json:"timed_out"`
	Reason           string      `json:"reason"`
	Words            []string    `json:"words"`
	Files            *outputs    `json:"files"`
}

func writeJSON(w io.Writer, r *tune.Result, files *outputs, read time.Duration) error {
	known := func(v float64) *float64 {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return &v
	}
	ob := r.Model.Obtained
	nonzero, _ := r.Model.NonZero()
	j := jsonResult{
		Method: ob.Method, Model: r.Model.Task, Reg: r.Model.Penalty.Kind,
		Value: known(r.Value), GradNorm: known(r.GradNorm), BaselineX: r.BaselineX, BaselineValue: known(r.BaselineValue),
		BaselineWon: r.BaselineWon, Spread: known(r.Spread), Steps: r.Steps, Seconds: r.Seconds, ReadSeconds: read.Seconds(),
		InnerDim: r.InnerDim, OuterDim: r.OuterDim, NonZero: nonzero, NTrain: r.NTrain, NVal: r.NVal, NTest: r.NTest, Folds: ob.Folds,
		ValAccuracy: known(r.Val.Accuracy), ValRMSE: known(r.Val.RMSE),
		SamplesVisited: r.SamplesVisited, Seed: ob.Seed, Interrupted: r.Interrupted, TimedOut: r.TimedOut,
		Reason: r.Reason, Words: r.Words, Files: files,
	}
	if r.Test != nil {
		j.TestLoss, j.TestAccuracy, j.TestRMSE = known(r.Test.Loss), known(r.Test.Accuracy), known(r.Test.RMSE)
		b := r.BaselineTest
		j.BaselineTestLoss, j.BaselineTestAcc, j.BaselineTestRMSE = known(b.Loss), known(b.Accuracy), known(b.RMSE)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(j)
}
