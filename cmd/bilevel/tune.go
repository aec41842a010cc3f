package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/tune"
)

// tuneFlags are the flags of bilevel tune.
type tuneFlags struct {
	fitFlags
	val         string
	valFraction float64
	folds       int
	group, time string
	options     tune.Options
	task        string // classification or regression, "" to guess
	box         string
}

func newTuneCommand() *cobra.Command {
	var f tuneFlags
	c := &cobra.Command{
		Use:   "tune",
		Short: "Fit a linear model and learn its regularisation strengths on validation data",
		Long: `Without --train or --set it runs on an embedded set of handwritten digits. Files are LIBSVM text, CSV or TSV
with a header, JSON, Parquet, Arrow or Feather, NPY, NPZ or IDX, plain or compressed; what they are is found out
from their content.
A folder with one folder of text files for each class, or a tar or zip archive of it, becomes weighted words.

The best of a grid of one shared strength is the baseline. From there, strengths are learned by gradient:
with --reg auto, one in all, one per class and one per feature are compared on held-out rows, and the kind
that does best is learned on all validation rows. Several strengths could fit those rows: a prior keeps them
near each other, as far as held-out rows ask for it (--prior). --model kernel puts kernels on top of a linear
model, with one learned length scale per column, for tables in which predictions bend: models of five folds
are stacked, and held-out rows say how much of them is used. Without --val, --val-fraction or --folds,
fewer than 5,000 rows are validated by cross-validation and a quarter of more is held out; the model that is
kept is fitted to all rows in either case.

Methods (--method), all of which choose their own step sizes; auto takes hoag, and saba where passes are expensive:
` + methods.Describe("  ", methods.Exact, methods.Sampled, methods.FullBatch, methods.Search) + `
The folder --out gets model.json (for bilevel predict), trace.csv and report.html.`,
		Example: `  bilevel tune --set breast-cancer
  bilevel tune --train train.csv --label price --folds 5`,
		Args: noFiles("val"),
		RunE: func(c *cobra.Command, _ []string) error { return runTune(c, &f) },
	}
	p := c.Flags()
	f.weighs = true
	f.register(p, "val", "strengths", "bilevel-out", "model.json, trace.csv and report.html", func() {
		o := &f.options
		p.StringVar(&f.val, "val", "", "file of validation rows")
		p.Float64Var(&f.valFraction, "val-fraction", 0,
			"validate on this share of the training rows (default a quarter of 5,000 rows or more)")
		p.IntVar(&f.folds, "folds", 0, "validate by cross-validation with so many folds (default 5 below 5,000 rows, "+
			"repeated below 300)")
		p.StringVar(&f.group, "group", "", "column whose cells group rows, such as persons: rows of a group are on one "+
			"side of every division; it is no feature")
		p.StringVar(&f.time, "time", "", "column of numbers or dates: the latest rows are the validation rows; it is no "+
			"feature")

		p.StringVar(&f.task, "task", "", "what the label is: classification or regression (default guessed from it)")
		p.StringVar((*string)(&o.Task), "model", "auto", oneOf(models())+"; auto guesses from the labels, and kernel "+
			"adds kernels with one learned length scale per column to what auto guesses")
		p.StringVar(&f.read.Weight, "weight", "", "column that says how much each row counts, 2 for two such rows; it is "+
			"no feature, and may be absent from other files")
		p.StringVar(&f.read.Weights, "weights", "", "file of a number for each row of --train instead, NPY or IDX")
		p.StringVar(&o.ClassWeights, "class-weights", "none", "what rows count by for their class: none, balanced, learned "+
			"(for the validation loss), or CLASS=NUMBER,...")
		p.StringVar(&o.Costs, "cost", "", "what a row of a class costs that is taken for another, CLASS=NUMBER,... "+
			"(default 1): predictions have the least expected cost")
		p.StringVar((*string)(&o.Reg), "reg", "auto", regs())
		p.StringVar(&f.box, "box", "", "bounds of x: lower,upper (default -12,12, or 1e-8,1e8 with --param linear)")
		p.StringVar(&o.Prior, "prior", "auto", "how near each other several strengths stay: a standard deviation of their "+
			"logarithms, off, or auto, where held-out rows choose")
		p.StringVar((*string)(&o.Param), "param", "exp", params())
		p.StringVar(&o.Start, "start", "grid", "where strengths start: grid (its best point), random, or a number")
	})
	return c
}

// kernelModel is the value of --model that asks for kernels.
const kernelModel tune.Task = "kernel"

// models are the values of --model beside auto.
func models() []tune.Task { return append(tune.Tasks(), kernelModel) }

// regs is the help of --reg.
func regs() string {
	var squares, sparse []tune.Reg
	for _, r := range tune.Regs() {
		if r.Sparse() {
			sparse = append(sparse, r)
		} else {
			squares = append(squares, r)
		}
	}
	return fmt.Sprintf("strengths: %s; with zero coefficients %s; auto compares %s on held-out rows", oneOf(squares),
		oneOf(sparse), list(tune.Compared(), "and"))
}

// params is the help of --param.
func params() string {
	var all []string
	for _, p := range tune.Params() {
		all = append(all, fmt.Sprintf("%s (%s)", p.Formula(), p))
	}
	return "a strength is " + oneOf(all)
}

// settings are those of tune.Fit, checked.
func (f *tuneFlags) settings() (tune.Options, error) {
	if f.options.Task == kernelModel {
		f.options.Task, f.options.Kernel = tune.AutoTask, tune.On
	}
	o := f.options
	o.Method, o.Seed, o.MaxTime = tune.Method(f.method), f.seed, f.maxTime
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

// checkFlags finds contradictions before anything is read.
func (f *tuneFlags) checkFlags(c *cobra.Command) error {
	given := c.Flags().Changed
	ways := 0
	for _, name := range []string{"val", "val-fraction", "folds"} {
		if given(name) {
			ways++
		}
	}
	files := f.outputs()
	if err := f.check(c, "val", files.Model, files.Trace, files.Report); err != nil {
		return err
	}
	switch {
	case f.task != "" && f.task != "classification" && f.task != "regression":
		return wrongChoice("task", f.task, []string{"classification", "regression"})
	case f.task != "" && given("model") && f.options.Task != tune.AutoTask && f.options.Task.Classes() != (f.task ==
		"classification"):
		return usagef("--task %s and --model %s contradict each other", f.task, f.options.Task)
	case ways > 1:
		return usagef("--val, --val-fraction and --folds: give one of them")
	case given("val-fraction") && !(f.valFraction > 0 && f.valFraction < 1):
		return usagef("--val-fraction %v: choose a share between 0 and 1, such as 0.3", f.valFraction)
	case f.group != "" && f.val != "" || f.time != "" && (f.val != "" || f.folds > 0):
		return usagef("--group and --time divide the training rows: leave out --val, and --folds beside --time")
	case (f.read.Weight != "" || f.read.Weights != "") && f.train == "":
		return usagef("--weight and --weights are about files: give --train")
	case f.read.Weight != "" && f.read.Weights != "":
		return usagef("--weight and --weights: give one of them")
	case (f.group != "" || f.time != "") && f.train == "":
		return usagef("--group and --time name columns of a file: give --train")
	case f.group != "" && f.time != "":
		return usagef("--group and --time: give one of them")
	case given("folds") && f.folds < 2:
		return usagef("--folds %d: cross-validation needs at least 2 folds", f.folds)
	}
	return nil
}

func runTune(c *cobra.Command, f *tuneFlags) error {
	o, err := f.settings()
	if err != nil {
		return err
	}
	if err := f.checkFlags(c); err != nil {
		return err
	}
	release, err := f.claim(f.val)
	if err != nil {
		return err
	}
	defer release()
	begin := time.Now()
	bar := f.start(c)
	defer bar.finish()
	data, name, err := f.readData(c.Context(), &o, bar)
	if err != nil {
		return err
	}
	if err := f.checkRoom(data.Train, data.Val, data.Test); err != nil {
		return err
	}
	read := time.Since(begin)
	o.Progress = bar.update
	weighed, weighing, err := tune.Weigh(c.Context(), *data, o)
	if err != nil {
		return err
	}
	data, o.Spent = &weighed, time.Since(begin)-read
	r, err := tune.Fit(c.Context(), *data, o)
	bar.finish()
	if option := (*tune.OptionError)(nil); errors.As(err, &option) {
		return usagef("--%w", err)
	}
	if err != nil {
		return err
	}
	if weighing != nil {
		r.Words = append(weighing.Words, r.Words...)
	}
	found := newFinding(r, data, name, f.out)
	found.command = typed(c)
	files, err := f.writeAll(found)
	if err != nil {
		return err
	}
	f.note(c, found.notes)
	return f.say(c.OutOrStdout(), found.json(files, read), found.summary, r.Interrupted)
}

// readData reads or makes all parts of the data. name says what they are. It sets the task that --task asks for.
func (f *tuneFlags) readData(ctx context.Context, o *tune.Options, bar *progress) (data *tune.Data, name string,
	err error) {
	data = &tune.Data{Folds: f.folds}
	if f.train != "" {
		target := dataset.AutoTarget
		if o.Task != tune.AutoTask && !o.Task.Classes() || f.task == "regression" {
			target = dataset.NumericTarget
		}
		for _, column := range []string{f.group, f.time} {
			if column != "" {
				f.read.Beside = append(f.read.Beside, column)
			}
		}
		data.Train, name, err = f.readFile(ctx, target)
	} else {
		data.Train, data.Test, name, err = f.readSet(ctx, bar)
	}
	if err != nil {
		return nil, "", err
	}
	task := o.Task
	if task == tune.AutoTask {
		if task = taskOf(f.task, data.Train); f.task != "" || !task.Classes() {
			o.Task = task // a part of the rows may have two numbers only
		}
	}
	if task.Classes() {
		if err := data.Train.AsClasses(); err != nil {
			return nil, "", err
		}
	}
	if f.train != "" {
		sets, err := f.readLike(ctx, data.Train, f.val)
		if err != nil {
			return nil, "", err
		}
		data.Val, data.Test = sets[0], sets[1]
		for _, s := range sets {
			if s != nil && s.Weights == nil && data.Train.Weights != nil {
				data.Train.Notes = append(data.Train.Notes, "The rows of "+s.Source+" have no weights: they count alike.")
			}
		}
	}
	data.Share = f.valFraction
	if f.group != "" {
		data.Groups = data.Train.Beside[f.group]
	}
	if f.time != "" {
		if data.Times, err = data.Train.Instants(f.time, f.read.DateOrder); err != nil {
			return nil, "", err
		}
	}
	return data, name, nil
}

// taskOf is the task that asked, the word of --task, asks for, or the guess, which is said where it could be another.
func taskOf(asked string, train *dataset.Set) tune.Task {
	guess := tune.Task(train.GuessTask())
	k := train.DistinctTargets(fewValues)
	switch {
	case asked == "regression":
		return tune.Ridge
	case asked == "classification" && !guess.Classes():
		return tune.Softmax // two labels would have been guessed
	case asked != "" || train.Classes != nil || k <= 2: // or more than a few
	case guess.Classes():
		train.Notes = append(train.Notes, fmt.Sprintf("The label has %d different numbers, which are taken for classes: "+
			"--task regression takes them for numbers.", k))
	default:
		train.Notes = append(train.Notes, fmt.Sprintf("The label has only %d different values and is predicted as a "+
			"number: --task classification takes them for classes.", k))
	}
	return guess
}

// fewValues are so few different labels that they could be classes.
const fewValues = 20

// outputs are the files that were written.
type outputs struct {
	Model  string `json:"model"`
	Trace  string `json:"trace"`
	Report string `json:"report"`
}

// outputs are the files in the folder f.out.
func (f *tuneFlags) outputs() *outputs {
	return &outputs{filepath.Join(f.out, "model.json"), filepath.Join(f.out, "trace.csv"),
		filepath.Join(f.out, "report.html")}
}

// writeAll writes the model, and then what can be made again.
func (f *tuneFlags) writeAll(found *finding) (*outputs, error) {
	model, err := found.Model.JSON()
	if err != nil {
		return nil, err
	}
	files := f.outputs()
	return files, f.write(outFile{files.Model, model}, func() ([]outFile, error) {
		var trace, html bytes.Buffer
		if err := writeTrace(&trace, found.Result); err != nil {
			return nil, err
		}
		err := report.Write(&html, found.page())
		return []outFile{{files.Trace, trace.Bytes()}, {files.Report, html.Bytes()}}, err
	})
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
		t.Write([]string{strconv.FormatInt(p.Step, 10), strconv.FormatFloat(p.Seconds, 'f', 6, 64), number(p.Value),
			number(p.GradNorm), strconv.FormatInt(p.SamplesVisited, 10)})
	}
	t.Flush()
	return t.Error()
}

// jsonResult is what --json prints. Unknown numbers are null.
type jsonResult struct {
	Method           tune.Method `json:"method"`
	Model            tune.Task   `json:"model"`
	Label            string      `json:"label"`
	Weight           string      `json:"weight"`        // column
	ClassWeights     []float64   `json:"class_weights"` // null where classes count alike
	Costs            []float64   `json:"costs"`
	Cut              *float64    `json:"cut"` // probability of the second class from which it is predicted
	Delta            *float64    `json:"delta"`
	Reg              tune.Reg    `json:"reg"`
	Value            *float64    `json:"value"`
	GradNorm         *float64    `json:"grad_norm"`
	BaselineX        float64     `json:"baseline_x"`
	BaselineValue    *float64    `json:"baseline_value"`
	BaselineWon      bool        `json:"baseline_won"`
	Prior            *float64    `json:"prior"`
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
	Times            int         `json:"times"`
	Refitted         bool        `json:"refitted"`
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

	Kernel  *tune.Kernel `json:"kernel"` // null for a linear model
	Unseen  unseenJSON   `json:"unseen"`
	Effects []effectJSON `json:"effects"`
	Look    []lookJSON   `json:"look"`
	Notes   []string     `json:"notes"` // how the rows were read
	Words   []string     `json:"words"` // the sentences of summary and report

	Files *outputs `json:"files"`
}

func (f *finding) json(files *outputs, read time.Duration) jsonResult {
	r := f.Result
	ob := r.Model.Obtained
	nonzero, _ := r.Model.NonZero()
	label, weight := "", ""
	if s := r.Model.Schema; s != nil {
		label, weight = s.Label, s.Weight
	}
	j := jsonResult{
		Method: ob.Method, Model: r.Model.Task, Label: label, Weight: weight, Costs: r.Model.Costs,
		Reg:   r.Model.Penalty.Kind,
		Value: known(r.Value), GradNorm: known(r.GradNorm), BaselineX: r.BaselineX, BaselineValue: known(r.BaselineValue),
		BaselineWon: r.BaselineWon, Prior: known(r.Prior), Steps: r.Steps, Seconds: r.Seconds, ReadSeconds: read.Seconds(),
		InnerDim: r.InnerDim, OuterDim: r.OuterDim, NonZero: nonzero, NTrain: r.NTrain, NVal: r.NVal, NTest: r.NTest,
		Folds: ob.Folds, Times: ob.Times, Refitted: r.Refitted,
		ValAccuracy: known(r.Val.Accuracy), ValRMSE: known(r.Val.RMSE),
		SamplesVisited: r.SamplesVisited, Seed: ob.Seed, Interrupted: r.Interrupted, TimedOut: r.TimedOut,
		Reason: r.Reason, Kernel: r.Kernel, Unseen: f.unseenJSON(), Effects: f.effectsJSON(), Look: f.lookJSON(),
		Notes: append([]string{}, f.notes...), Words: f.sentences(), Files: files,
	}
	if w := r.Model.ClassWeights; w != nil {
		j.ClassWeights = w.Weights
	}
	if p, ok := r.Model.Cut(); ok {
		j.Cut = &p
	}
	if r.Model.Delta > 0 {
		j.Delta = &r.Model.Delta
	}
	if r.Test != nil {
		j.TestLoss, j.TestAccuracy, j.TestRMSE = known(r.Test.Loss), known(r.Test.Accuracy), known(r.Test.RMSE)
		b := r.BaselineTest
		j.BaselineTestLoss, j.BaselineTestAcc, j.BaselineTestRMSE = known(b.Loss), known(b.Accuracy), known(b.RMSE)
	}
	return j
}
