// Package tune learns the regularisation strengths of a linear model on validation data: the job of
// `bilevel tune`, as a library.
//
// [Fit] minimises the validation loss h(x) = f(z*(x)) over the strengths x, where
//
//	z*(x) = argmin_z  mean over training rows of ℓ(⟨a_i, z⟩, y_i) + ½ Σ_j e^{x_j} z_j²,
//
// with the logistic loss, the cross entropy, the squared loss or another (see [Task]) for ℓ, and one strength in all,
// per feature, per class or per feature and class; or with Σ_j e^{x_j}|z_j|, which makes coefficients exactly zero, or
// both (lasso and elastic net). It starts from a grid of one shared strength, whose best point is the baseline that a
// result is compared with, and follows hypergradients from there.
//
// # Which strengths
//
// Many strengths can fit the validation rows rather than the problem. Unless [Options].Reg says what to do,
// [Fit] learns one strength, one per class (softmax) and one per feature on three quarters of the validation
// rows, takes the kind with the smallest loss on the other quarter, and learns that kind again on all
// validation rows. More strengths than one are taken only where they are better by more than noise, two standard
// errors of the difference: on a few hundred rows a smaller loss is often luck, and the price is an overfitted
// model. With folds the comparison is nested: each kind is learned by cross-validation on the rows
// outside one fold, refitted on them, and judged on that fold. A result whose validation loss is above the
// baseline's is never returned: the baseline is.
//
// # How far strengths spread
//
// Where there are more strengths than validation rows, they can fit those rows altogether. Unless [Options].Spread or
// Box says how far they may be from the best shared strength, [Fit] tries ½, 1, 2 and all of the box on three quarters
// of the validation rows, keeps for each the number of evaluations after which the loss on the other quarter was
// lowest, and takes the narrowest, or a wider one that is better there by two standard errors. Wider ones are not tried
// after one that is worse by as much, or with more than 100,000 coefficients by anything. Then it learns that many
// evaluations on all validation rows.
//
// # Data
//
// Rows are standardised with means and deviations of the training rows; with folds, of all rows, because the
// final model is fitted to all of them. This and the intercept, a column of ones without penalty, are on for
// tables (CSV, TSV, Parquet, NPY, IDX) and off for LIBSVM text, whose values are prepared by convention, and for
// documents, whose rows have unit length. The target of a ridge or Huber model is centred and scaled inside, and counts
// are divided by their mean; losses and coefficients are reported in their own units. Rows count by
// dataset.Set.Weights, in scales, losses and figures.
package tune

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/internal/wait"
)

// Data are the rows to learn from. At most one of Val, Folds and Share is given; without, fewer than 5,000 rows are
// validated by cross-validation with five folds, repeated where there are fewer than 300, and from there on a quarter
// of them is held out.
type Data struct {
	Train *dataset.Set
	Val   *dataset.Set // validation rows, read with dataset.Options.Like = Train.Schema
	Test  *dataset.Set // nil for none; used for nothing but the figures of the result
	Folds int          // K ≥ 2 for K-fold cross-validation of Train
	Share float64      // of Train that is held out for validation, between 0 and 1
	// Groups are names for the rows of Train, such as persons: rows of one name are on one side of every division. nil for
	// none.
	Groups []string
	// Times are those of the rows of Train: the latest ones, a quarter or Share of them, are the validation rows, because
	// what is to be predicted lies in the future. nil for none.
	Times []float64
}

// Task is a kind of model.
type Task string

// The tasks. "auto" and "" guess from the labels, see dataset.Set.GuessTask.
const (
	AutoTask Task = "auto"
	Logistic Task = "logistic" // two classes
	Softmax  Task = "softmax"  // two or more classes
	Ridge    Task = "ridge"    // a number
	// Poisson is for counts: the logarithm of their mean is linear, and the loss half the deviance.
	Poisson Task = "poisson"
	// Huber is for numbers among which some are far off: the loss is squared up to a delta and linear beyond. Delta is
	// 1.345 times the scale of the residuals, 1.4826 times the median of their sizes on training rows that a model of
	// the other half was not fitted to.
	Huber Task = "huber"
	// SquaredHinge is a linear support vector machine for two classes, with scores and no probabilities.
	SquaredHinge Task = "squared-hinge"
)

// Method is how strengths are learned: a name of package methods, see [methods.Names].
type Method string

// The methods that [AutoMethod] chooses from. "auto" and "" take HOAG, a quasi-Newton descent whose every step passes
// over all rows, up to 500 million multiplications a pass (a second or less), and SABA beyond: its steps look at a few
// rows each, so that h falls from the first seconds on. All methods choose their own step sizes. Those that do not know
// h, which are all but the exact ones and searches, go on while h falls by more than 1e-4 of itself as their steps
// double, for at most a minute of steps; with MaxTime, until their gradient is small or the time is used.
const (
	AutoMethod Method = "auto"
	HOAG       Method = "hoag"
	SABA       Method = "saba"
)

// Switch is a setting that can be left to the data.
type Switch string

// The positions. "" is Auto.
const (
	Auto Switch = "auto"
	On   Switch = "on"
	Off  Switch = "off"
)

// Check reports a position that there is not, as an [*OptionError] of the option of that name.
func (s Switch) Check(option string) error { return oneOf(option, or(s, Auto), Auto, On, Off) }

// Box bounds every x_j.
type Box struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// Options of Fit. The zero value works.
type Options struct {
	Task   Task
	Reg    Reg
	Method Method
	Param  Param
	// Box is, unless set, [−12, 12] for Exp and [1e-8, 1e8] for Linear, and for documents, in whose rows of unit
	// length a word's mean square is small, [−24, 0] and [1e-10, 1].
	Box Box
	// Prior is how near each other several strengths stay: the standard deviation of their logarithms under a normal
	// prior, a number above zero; "off" for none; or "auto" or "", where held-out rows choose from all alike to none.
	Prior string
	// MaxTime bounds the time of Fit, but for a twentieth or a pass over the data; 0 is no bound. At most a quarter of it
	// is spent on the grid, from its middle outwards, and a third of the rest on comparing kinds of strengths.
	MaxTime time.Duration
	Spent   time.Duration // of MaxTime, before Fit, see Weigh
	Seed    uint64
	// Kernel puts kernels with one learned length scale per column on top of the linear model, see package nystrom. Auto
	// does so for tables of 20 to 20,000 rows and at most 1,000 coefficients where nothing else is said about strengths,
	// no weights, times or validation rows are given, and the loss is logistic, softmax or squared. "" is off.
	Kernel Switch
	// Scale standardises features, Intercept adds one; see the package documentation for Auto.
	Scale, Intercept Switch
	// ClassWeights are what rows count by for their class: "" or "none"; "balanced", where all classes weigh alike;
	// numbers above zero of classes, "ill=10,healthy=1", 1 where none is given; or "learned", where they are learned with
	// a shared strength for the validation loss, in which rows do not count by them, and then held.
	ClassWeights string
	// Costs say what a row of a class costs that is taken for another, "ill=10", 1 where no cost is given: predictions
	// are those with the least expected cost. "" predicts the most probable class.
	Costs string
	// Start is where the strengths start: "grid" or "" for the best point of the grid, and for many strengths
	// also from where they are felt, if the grid's best is not or descents are cheap; "random" for
	// strengths drawn uniformly between 0 and 1; or a number for every x_j.
	Start string
	// Progress, if any, is called from the goroutine of Fit, at most about a thousand times.
	Progress func(Progress)
}

// Progress says how far Fit is.
type Progress struct {
	Stage string  // in words: "grid", "comparing: feature", "learning: feature"
	Step  int64   // of the stage
	Done  float64 // share of the whole job, an estimate from 0 to 1
	Value float64 // the best validation loss of the stage so far; NaN if unknown
}

// OptionError is a setting that makes no sense.
type OptionError struct {
	Option string // name of the field, in lower case: "box"
	Value  string
	Reason string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("%s %q: %s", e.Option, e.Value, e.Reason)
}

// Check reports the first setting that makes no sense, as an [*OptionError].
func (o Options) Check() error {
	_, err := o.fill()
	return err
}

// fill replaces what is empty by the default.
func (o Options) fill() (Options, error) {
	o.Task = or(o.Task, AutoTask)
	o.Reg = or(o.Reg, AutoReg)
	o.Method = or(o.Method, AutoMethod)
	o.Param = or(o.Param, Exp)
	o.Scale = or(o.Scale, Auto)
	o.Intercept = or(o.Intercept, Auto)
	o.Start = or(o.Start, "grid")
	o.Kernel = or(o.Kernel, Off)
	for _, c := range []error{
		oneOf("model", o.Task, append([]Task{AutoTask}, Tasks()...)...),
		oneOf("reg", o.Reg, append([]Reg{AutoReg}, Regs()...)...),
		o.checkMethod(),
		oneOf("param", o.Param, Params()...),
		o.Scale.Check("scale"),
		o.Intercept.Check("intercept"),
		checkByClass("class-weights", o.ClassWeights, balancedWeights, noWeights, learnedWeights),
		checkByClass("cost", o.Costs),
		oneOf("kernel", o.Kernel, Auto, On, Off),
		o.checkKernel(),
		o.checkSparse(),
		o.checkPrior(),
	} {
		if c != nil {
			return o, c
		}
	}
	if o.MaxTime < 0 {
		return o, &OptionError{"max-time", o.MaxTime.String(), "a time is not negative"}
	}
	if o.Box == (Box{}) {
		o.Box = o.Param.entry().box
	}
	o.Prior = or(o.Prior, "auto")
	bad := func(reason string) (Options, error) {
		return o, &OptionError{"box", fmt.Sprintf("%v,%v", o.Box.Lower, o.Box.Upper), reason}
	}
	lo, hi := o.Box.Lower, o.Box.Upper
	switch {
	case math.IsNaN(lo) || math.IsNaN(hi) || math.IsInf(lo, 0) || math.IsInf(hi, 0):
		return bad("the bounds are finite numbers, lower,upper")
	case lo > hi:
		return bad("the lower bound is above the upper one")
	}
	if wrong := o.Param.entry().check(o.Box); wrong != "" {
		return bad(wrong)
	}
	if o.Start != "grid" && o.Start != "random" {
		x, err := strconv.ParseFloat(o.Start, 64)
		switch {
		case err != nil || math.IsNaN(x):
			return o, &OptionError{"start", o.Start, "write grid, random or a number" +
				nearest.Hint(o.Start, []string{"grid", "random"})}
		case x < lo || x > hi:
			return o, &OptionError{"start", o.Start, fmt.Sprintf("outside the box [%v, %v]", lo, hi)}
		}
	}
	return o, nil
}

func or[T ~string](v, empty T) T {
	if v == "" {
		return empty
	}
	return v
}

func oneOf[T ~string](name string, v T, values ...T) error {
	words := make([]string, len(values))
	for i, w := range values {
		if v == w {
			return nil
		}
		words[i] = string(w)
	}
	return &OptionError{name, string(v), "choose one of " + strings.Join(words, ", ") + nearest.Hint(string(v), words)}
}

// Result is the outcome of Fit. Losses are means over rows: −log p(label) in natural units, or half the squared
// error of a ridge model.
type Result struct {
	Model *Model

	// Value is the validation loss h(x) and GradNorm the norm of the projected gradient of h and the prior, both at
	// the inner solution to tolerance. With folds, h is the cross-validation loss, the mean over all times where they are
	// repeated. GradNorm is NaN where the baseline was all that there was time for.
	Value, GradNorm float64
	// X are the strengths in the parametrisation, in the order of Model.Strengths.
	X []float64

	// BaselineX and BaselineValue are the best point of Grid: the same strength everywhere.
	BaselineX, BaselineValue float64
	Grid                     []GridPoint
	// BaselineWon says that nothing better was found, and that the model is the baseline.
	BaselineWon bool

	// Prior is the standard deviation of the logarithms of strengths under their prior, see Options: 0 for all alike, +Inf
	// for none.
	Prior float64

	// Kernel says what part kernels have in the model; nil for a linear one.
	Kernel *Kernel

	// Candidates are the kinds that were compared on held-out rows; empty if Options.Reg chose one.
	Candidates []Candidate

	// Figures of model and baseline on validation rows (out of fold, with folds) and test rows; nil for no
	// test rows.
	Val, Test, BaselineVal, BaselineTest *Metrics
	// Unseen is what model, baseline and the trivial model say about the test rows, else about those of Val, row by row.
	Unseen *Unseen

	// Ridge are the strengths of ½z² of all coefficients, by score and feature, beside the loss in the units of the
	// target; nil for more than 10,000.
	Ridge [][]float64

	// Trace is the course of the final learning, of the best descent where there were several. Its last point
	// is the result, with Value and GradNorm, unless BaselineWon.
	Trace []TracePoint
	Steps int64 // outer steps of that descent
	// Seconds is the time of Fit, and SamplesVisited what all oracle calls of Fit looked at.
	Seconds        float64
	SamplesVisited int64
	// Reason says in words why learning ended.
	Reason string
	// Interrupted says that the context was cancelled, TimedOut that MaxTime was used: the result is the
	// best that was found until then.
	Interrupted, TimedOut bool

	InnerDim, OuterDim int // lengths of z (of one model) and of x
	NTrain, NVal       int // rows that strengths were learned from; with folds, NVal = NTrain
	NTest              int
	// Refitted says that the model is fitted to training and validation rows together, with the strengths that were
	// learned. Val judges models that were not. It is so unless Data.Val is given.
	Refitted bool

	// Words are sentences for the reader: what was learned, and whether more strengths helped. What is to be known of how
	// the rows were read is said by dataset.About.
	Words []string
}

// GridPoint is the validation loss with the strength x for all coefficients.
type GridPoint struct{ X, Value float64 }

// Candidate is a kind of strengths as compared on held-out rows.
type Candidate struct {
	Reg       Reg
	Strengths int     // how many
	Prior     float64 // as Result.Prior
	Loss      float64 // mean over the held-out rows
	// Gap is Loss minus that of the shared strength, and GapError the standard error of this paired
	// difference.
	Gap, GapError float64
	Chosen        bool
}

// TracePoint is one record of the final learning. Value is what is minimised: the validation loss, and the prior.
type TracePoint struct {
	Step           int64
	Seconds        float64
	Value          float64
	GradNorm       float64
	SamplesVisited int64
}

// version of the module that this program was built with.
func version() string {
	const path = "github.com/bilevel-go/bilevel"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == path && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
}

// Version is the version of this module, "(devel)" in a build from a working tree.
func Version() string { return version() }

// Fit learns strengths and returns the model. Cancelling ctx is no error once the rows are prepared, see
// [Result].Interrupted: what there is then is finished within a few passes over the data. Errors about data are of type
// [*dataset.Error], those about options of type [*OptionError].
func Fit(ctx context.Context, data Data, options Options) (*Result, error) {
	begin := time.Now()
	if data.Train != nil {
		options = documented(options, data.Train.Schema)
	}
	o, err := options.fill()
	if err != nil {
		return nil, err
	}
	work, closing, cancel := wait.Budget(ctx, begin.Add(-o.Spent), o.MaxTime)
	defer cancel()
	patient, end := wait.Longer(ctx)
	defer end()
	f, err := wait.For(patient, func() (*fit, error) { return prepare(data, o) })
	if err != nil {
		return nil, err
	}
	f.clock = clock{asked: ctx, ctx: work, closing: closing}
	res, err := f.run()
	if err != nil {
		return nil, err
	}
	res.Seconds = time.Since(begin).Seconds()
	res.SamplesVisited = f.visited.Total()
	res.Model.obtained(res, f)
	f.report("done", 0, 1, res.Value)
	return res, nil
}

func addCounts(to *bilevel.Counts, c bilevel.Counts) { *to = sumCounts(*to, c) }

func sumCounts(a, b bilevel.Counts) bilevel.Counts {
	return bilevel.Counts{
		ValueF: a.ValueF + b.ValueF, ValueG: a.ValueG + b.ValueG, GradF: a.GradF + b.GradF, GradG: a.GradG + b.GradG,
		HessG: a.HessG + b.HessG, CrossG: a.CrossG + b.CrossG,
	}
}
