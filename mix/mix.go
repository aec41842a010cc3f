// Package mix learns which of several training files help to predict a small target: the job of `bilevel mix`, as a
// library.
//
// [Fit] learns one weight per source, all of them on the simplex, and the strength of a ridge, by minimising the loss
// of target rows
//
//	h(w, x) = mean over target rows i of ℓ(A_i z_f(w, x), y_i),  f the fold of row i,
//	z_f(w, x) = argmin_z  Σ_s w_s · mean over the rows of source s of ℓ(A_j z, y_j) + ½e^x‖z‖²,
//
// see [model.Mixture]. The target's own rows are a source as well, of which the model of a fold sees those outside the
// fold: no row is judged by a model that was fitted to it. Projected on the simplex, weights become exactly zero.
//
// # What is done
//
// Features are standardised with means and deviations of all rows and get an intercept, as package tune does it. Models
// of one source each, of the target alone and of all rows alike, whose weights are the shares of the rows, are fitted
// first, each with the best strength for itself. From the best of them, and from all rows alike, weights and strength
// follow hypergradients.
//
// A source is left out if all rows of the others alike do better without it by two standard errors of the difference on
// target rows. Then weights are learned, and a source is left out too whose weight may be zero and is clearly worth
// less than its rows are alike (the interval begins below [Least] and ends below its share of the rows), if the others
// do better without it at all. This is repeated until none is left out. What is left out has the weight zero: a source
// with wrong labels acts like a ridge, and hypergradients alone would leave it a little weight as often as not.
//
// How certain weights are is found by drawing the target rows that judge anew, with replacement: at the minimum, h is
// replaced by a parabola, of the gradient of each row's loss and the Hessian of h, and each draw's parabola is
// minimised over the simplex. Models are not fitted again for that, and rows that train them are not drawn.
//
// Of the sources that are left, either all rows count alike, or each source has its learned weight, where that is
// better by two standard errors on target rows: to judge them, weights are learned again without each fold in turn. The
// final model is fitted to all sources that have a weight and, as one of them, to all target rows.
package mix

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/wait"
	"github.com/bilevel-go/bilevel/tune"
)

// Data are the rows. All have the features and classes of Target; read the others with dataset.Options.Like.
type Data struct {
	Target  *dataset.Set   // rows like those that are to be predicted, a hundred to some thousands
	Sources []*dataset.Set // training rows, at least two sets
	// Names of the sources, for results; nil for those of their files.
	Names []string
	Test  *dataset.Set // target rows used for nothing but the figures of the result; nil for none
}

// Options of [Fit]. The zero value works.
type Options struct {
	Task tune.Task // "auto" and "" guess from the labels of the target
	// Folds is the number of parts of the target; 0 is 5, or fewer where a class has fewer rows.
	Folds int
	// SourcesOnly keeps the target's own rows out of training: they do nothing but judge.
	SourcesOnly bool
	// Scale standardises features, Intercept adds one: off by default for LIBSVM text and documents, and on for tables.
	Scale, Intercept tune.Switch
	// MaxTime bounds the time of Fit, but for a twentieth or a pass over the data; 0 is no bound.
	MaxTime time.Duration
	// Seed is that of the folds and of the draws.
	Seed uint64
	// Progress, if any, is called from the goroutine of Fit.
	Progress func(tune.Progress)
}

const (
	defaultFolds = 5
	leastFolds   = 3 // without one of which there are still two
	// Least is the smallest weight that is told from zero.
	Least = .01
	draws = 1000
)

// tasks are those of which sources can be weighed.
var tasks = []tune.Task{tune.Logistic, tune.Softmax, tune.Ridge}

// fill replaces what is empty by the default.
func (o Options) fill() (Options, error) {
	if o.Task == "" {
		o.Task = tune.AutoTask
	}
	switch {
	case o.Task != tune.AutoTask && !slices.Contains(tasks, o.Task):
		return o, &tune.OptionError{Option: "model", Value: string(o.Task), Reason: fmt.Sprintf("choose %s or one of %v",
			tune.AutoTask, tasks)}
	case o.Folds != 0 && o.Folds < leastFolds:
		return o, &tune.OptionError{Option: "folds", Value: fmt.Sprint(o.Folds), Reason: fmt.Sprintf("the target is divided "+
			"into at least %d parts", leastFolds)}
	case o.MaxTime < 0:
		return o, &tune.OptionError{Option: "max-time", Value: o.MaxTime.String(), Reason: "a time is not negative"}
	}
	if err := o.Scale.Check("scale"); err != nil {
		return o, err
	}
	return o, o.Intercept.Check("intercept")
}

// Check reports the first setting that makes no sense, as a [*tune.OptionError].
func (o Options) Check() error {
	_, err := o.fill()
	return err
}

// Source is what was learned of one source.
type Source struct {
	Name   string
	Rows   int
	Target bool // it is the target's own rows
	// Share is that of its rows among all: its weight where all rows count alike.
	Share float64
	// Weight is the weight, of the mean loss of the source, in the final model; all add up to one. Low and High are the
	// 95% interval of the learned one.
	Weight, Low, High float64
	// LeftOut says that the source is left out, and its weight zero. The interval, if any, is that from before.
	LeftOut bool
	// Alone is the loss of target rows with a model of this source alone; NaN if there is none.
	Alone float64
	// Change is the relative change of the loss, of a numeric target of the typical error, by training on this source
	// beside the others that are not left out, all their rows alike: −0.1 is 10% less. ChangeLow and ChangeHigh are its
	// 95% interval. NaN if there are no others.
	Change, ChangeLow, ChangeHigh float64
}

// Way is a way to train: weights, and how good its model is on target rows.
type Way struct {
	Weights []float64 // in the order of Result.Sources
	Log     float64   // logarithm of the strength of the ridge
	// Value is the mean loss of the target rows, each judged by the model that was not fitted to it. Weights and strength
	// were chosen for it.
	Value float64
	// Said is what it says about the rows of Result.Unseen. Learned weights were learned without the rows that Said is
	// about.
	Said tune.Judged

	z []float64 // the mean of the models of the folds
}

// Result is the outcome of [Fit].
type Result struct {
	Sources []Source // in the order of Data.Sources, and then the target's own rows unless Options.SourcesOnly
	Model   *tune.Model
	// Mix is the way of the final model; Learned has the learned weights, and may be the same. Alike has the rows of all
	// sources alike; Single is the best source alone, without the target's own rows; Own is the target alone, nil with
	// SourcesOnly.
	Mix, Learned, Alike, Single, Own *Way
	Best                             int // the source that Single is of
	// Even says that in Mix the rows of all sources that are not left out count alike, because learned weights are not
	// better by more than chance.
	Even bool
	// Unseen is what is said about the test rows, or else about all rows of the target ("out-of-fold"): Model is Mix, and
	// Baseline Alike.
	Unseen *tune.Unseen

	Trace   []tune.TracePoint // of the learning that the weights are of
	Steps   int64
	Seconds float64 // of Fit
	Reason  string  // why learning ended

	Folds, NTarget, NTest, Features int

	// Interrupted says that the context was cancelled, TimedOut that MaxTime was used: the result is that of the best
	// weights until then, and intervals that were not computed are NaN.
	Interrupted, TimedOut bool
}

// Fit learns the weights. Cancelling ctx is no error once there is a model of all rows alike, see [Result].Interrupted.
// Errors about data are of type [*dataset.Error], those about options of type [*tune.OptionError].
//
// An evaluation of h costs an inner solution for each fold, of all rows; there are some dozens. Memory is one
// standardised copy of all rows.
func Fit(ctx context.Context, data Data, options Options) (*Result, error) {
	begin := time.Now()
	o, err := options.fill()
	if err != nil {
		return nil, err
	}
	work, closing, cancel := wait.Budget(ctx, begin, o.MaxTime)
	defer cancel()
	patient, end := wait.Longer(ctx)
	defer end()
	f, err := wait.For(patient, func() (*fit, error) { return prepare(data, o) })
	if err != nil {
		return nil, err
	}
	f.ctx, f.closing = work, closing
	r, err := f.run()
	if err != nil {
		return nil, err
	}
	switch r.Interrupted = ctx.Err() != nil; {
	case r.Interrupted:
		r.TimedOut, r.Reason = false, "interrupted: the best weights so far"
	case r.TimedOut:
		r.Reason = "time budget used: the best weights so far"
	}
	r.Seconds = time.Since(begin).Seconds()
	r.Model.Obtained = f.obtained(r)
	f.report("done", 1, r.Mix.Value)
	return r, nil
}
