// Package clean finds wrong labels: the job of `bilevel clean`, as a library.
//
// # The noise
//
// [Fit] learns, by the method "noise", a linear model of the true class of rows together with a matrix T: T_kj is how
// often a row of class k is labelled j, see [model.Noise]. T, the ridge and a temperature are outer variables, and what
// they are judged by are labels as they are, of five folds that the model has not seen, so that no label needs to be
// trusted. Those that are trusted count as right at both levels.
//
// The hypergradient is that of implicit differentiation, and a quasi-Newton method follows it, from several starts: one
// rate for all classes; a rate for each class and pair, from the confident joint of a model of labels as they are, and
// from the confusion of trusted rows. The matrix of pairs is taken where it tells held-out labels better by more than
// the price of its numbers. Large data are sampled for the learning.
//
// Rows are ranked by the probability that their label is wrong, 1 − p_y T_yy / Σ_k p_k T_ky, with p of a model that has
// not seen the row, and flagged where the expected F1 of the flagged ones is largest. The final model is that of all
// rows behind the noise, or, where this meets fewer held-out labels or tells them hardly better, one of labels as
// they are.
//
// # Weights
//
// The other methods learn one weight σ(x_i) per training row by minimising the loss of trusted rows
//
//	h(x) = mean over trusted rows of ℓ(A_i z*(x), y_i),
//	z*(x) = argmin_z  mean over training rows of σ(x_i) ℓ(A_i z, y_i) + C‖z‖²,
//
// with the cross entropy for ℓ, see [model.Cleaning]. All x_i start at 0, where σ is one half: a row whose weight grows
// helps to predict the trusted labels, and one whose weight falls harms.
//
// Features are standardised and get an intercept, as package tune does it. A quarter of the trusted rows is held out.
// The baseline, "before", is the model of all training rows with equal weights whose C is the best of a grid for the
// held-out rows. C of the learning is the best for a model of the other trusted rows alone. On these the weights are
// learned, in stretches of four passes over the training rows and at least 1,000 steps (50 steps or one, where each
// passes over all rows), until the loss of the held-out rows has fallen by less than 1% in each of two stretches; the
// weights of the best stretch are the result.
//
// A model of the rows with a weight of at least one half and of the trusted rows then says what label it would give
// each row. Suspicious are the rows whose weight is below one half and to which it gives another label than they have;
// all others are kept. The second condition is for rows that the model fits without effort: they hardly change it,
// their weights stay near one half, and to which side of it is chance.
//
// Where the rows are of groups, such as annotators, [Result.Groups] says for each how many of its labels look wrong,
// and how that compares with the others; and package mix learns weights of the groups, with the trusted rows as the
// target: a group without which these are predicted better has none.
//
// The final model is fitted to the kept and the trusted rows, with a C chosen for the held-out ones. Where a model of
// all training rows predicts these better, as it does if all labels are right, it is fitted to all rows.
package clean

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/internal/wait"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/tune"
)

// Data are the rows. All have the features and classes of Train; read the others with dataset.Options.Like.
type Data struct {
	Train   *dataset.Set // some labels are wrong
	Trusted *dataset.Set // labels are right; nil for none, which only the method "noise" takes
	Test    *dataset.Set // nil for none; used for nothing but the figures of the result
	// Groups, if any, name the group of each training row: its annotator, source, sensor or month. See Result.Groups.
	Groups []string
}

// Options of [Fit]. The zero value works.
type Options struct {
	// Method is one of [Methods]: "noise", or how weights are learned. "" and "auto" are "noise".
	Method string
	// Scale standardises features, Intercept adds one: off by default for LIBSVM text and documents, and on for
	// tables.
	Scale, Intercept tune.Switch
	// MaxTime bounds the time of Fit, but for a twentieth or a pass over the data; 0 is no bound.
	MaxTime time.Duration
	// Probabilities are what another model, which has not seen the row, says of the class of each training row: n·k
	// numbers, row by row, with classes in the order of Train. The noise is then learned of them, without a linear model;
	// nil for that.
	Probabilities []float64
	// Seed is that of the sampling and of the held-out rows.
	Seed uint64
	// Progress, if any, is called from the goroutine of Fit.
	Progress func(tune.Progress)
}

// defaultMethod needs no trusted rows.
const defaultMethod = noiseMethod

// Kinds are those of the methods that can learn a weight for every row: searches cannot.
var Kinds = []methods.Kind{methods.Sampled, methods.Exact, methods.FullBatch}

// Methods are the names of the methods, in order.
func Methods() []string {
	return slices.Sorted(slices.Values(append(methods.Names(Kinds...), noiseMethod)))
}

// fill replaces what is empty by the default.
func (o Options) fill() (Options, error) {
	if o.Method == "" || o.Method == "auto" {
		o.Method = defaultMethod
	}
	m, ok := methods.Lookup(o.Method)
	switch {
	case ok && m.Kind == methods.Search:
		return o, &tune.OptionError{Option: "method", Value: o.Method, Reason: "is a search, which gets nowhere with a " +
			"weight for every row: choose auto or another method that follows gradients, such as saba"}
	case !ok && o.Method != noiseMethod:
		return o, &tune.OptionError{Option: "method", Value: o.Method, Reason: "choose one of auto, " +
			strings.Join(Methods(), ", ") + nearest.Hint(o.Method, Methods())}
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

// Row is what was learned of one training row.
type Row struct {
	Label  int     // as given, an index into Result.Classes
	Weight float64 // between 0 and 1; by the noise the probability that the label is right
	// Kept says that the weight is at least one half, or that a model of the rows where it is gives the row its label; by
	// the noise, that the label is not among those most likely wrong.
	Kept bool
	// Predicted is the label that the final model gives the row; by the noise what the class of the row most likely is, if
	// the row is not kept another than Label.
	Predicted int
	// Given and Suggested are the probabilities of Label and Predicted.
	Given, Suggested float64
	// Rank is 1 for the most suspicious row and n for the least: by the noise by Weight, and by weights the rows that are
	// not kept come first, and among these and among the others those to whose label
	// the final model gives the smallest probability.
	Rank int
}

// Figures are those of a model on the test rows.
type Figures struct {
	Accuracy, Loss float64
	Right          []bool // of each row
}

// Result is the outcome of [Fit].
type Result struct {
	Rows    []Row
	Classes []string
	Kept    int // rows that are not suspicious
	// AllBetter says that held-out rows are predicted better by a model of all rows as they are, and that this is the
	// final model.
	AllBetter bool

	// Alone is a model of three quarters of the trusted rows and nothing else, Before that of all training rows, After the
	// final one; nil without test rows.
	Alone, Before, After *Figures
	// Noise is what was learned of how labels become wrong; nil by methods that learn weights.
	Noise *Noise
	// Against are, for each row that is not kept, the features that speak most for the predicted label and against its
	// own, the strongest first.
	Against map[int][]int
	// Groups are those of Data.Groups, the one with the largest share of wrong labels first. Groups of fewer than 20 rows,
	// and all beyond [MostGroups], are one.
	Groups []Group
	// Untrusted are the classes that no trusted row has: what is said about their rows is little worth.
	Untrusted []string

	// Value is the loss of the held-out trusted rows at the weights, and Start that of a model of all training rows with
	// the best C for it; by the noise, of held-out labels with it and without it. Trace and Best are of weights.
	Value, Start float64
	Trace        []Stretch
	Best         int     // the index in Trace of the weights that were taken
	Ridge        float64 // C of the learning
	FinalRidge   float64 // C of the final model
	Method       string
	Steps        int64
	Seconds      float64 // of Fit
	Reason       string  // why learning ended

	NTrain, NTrusted, NTest, NHeld, Features int

	// Interrupted says that the context was cancelled, TimedOut that MaxTime was used: the result is that of the
	// best weights until then.
	Interrupted, TimedOut bool
}

// Stretch is a record of the learning.
type Stretch struct {
	Step    int64
	Seconds float64 // since the start of the learning
	Held    float64 // loss of the held-out trusted rows
	Kept    int
}

// Suspects are the indices of all training rows, the most suspicious one first.
func (r *Result) Suspects() []int {
	order := make([]int, len(r.Rows))
	for i, row := range r.Rows {
		order[row.Rank-1] = i
	}
	return order
}

// Truth compares what was kept with which labels are right.
type Truth struct {
	Corrupted             int // labels that are wrong
	Precision, Recall, F1 float64
}

// Compare says how well the kept rows agree with those where right holds, one entry per row: Precision is the share of
// right labels among the kept rows, Recall the share of right labels that were kept, F1 their harmonic mean.
func (r *Result) Compare(right []bool) Truth {
	if len(right) != len(r.Rows) {
		panic(fmt.Sprintf("clean: %d truths for %d rows", len(right), len(r.Rows)))
	}
	both, rights := 0, 0
	for i, ok := range right {
		if ok {
			rights++
			if r.Rows[i].Kept {
				both++
			}
		}
	}
	share := func(a, b int) float64 { return float64(a) / float64(max(b, 1)) }
	return Truth{Corrupted: len(right) - rights, Precision: share(both, r.Kept), Recall: share(both, rights),
		F1: share(2*both, r.Kept+rights)}
}

// Corrupt returns s with each label replaced, with probability p, by a class drawn uniformly from all of them, the old
// one included, and says of each row whether its label is still the old one. s has a target of classes.
func Corrupt(s *dataset.Set, p float64, seed uint64) (noisy *dataset.Set, right []bool) {
	t := *s
	t.Y = slices.Clone(s.Y)
	right = make([]bool, len(t.Y))
	r := rand.New(rand.NewPCG(seed, 0x636f7272757074))
	for i, y := range s.Y {
		if r.Float64() < p {
			t.Y[i] = float64(r.IntN(len(s.Classes)))
		}
		right[i] = t.Y[i] == y
	}
	return &t, right
}

// Fit learns the weights. Cancelling ctx is no error once the rows are prepared, see [Result].Interrupted. Errors about
// data are of type [*dataset.Error], those about options of type [*tune.OptionError].
//
// A step of a stochastic method costs a batch of 64 rows at each level; memory is one standardised copy of all rows
// and one of those of the final model.
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
	if data.Groups != nil && len(data.Groups) != len(f.train.Y) {
		return nil, fmt.Errorf("clean: %d groups of %d training rows", len(data.Groups), len(f.train.Y))
	}
	f.ctx, f.closing = work, closing
	run := f.run
	if o.Method == noiseMethod {
		run = f.runNoise
	}
	r, err := run()
	if err != nil {
		return nil, err
	}
	if data.Groups != nil {
		f.report("groups", .9, r.Value)
		if r.Groups, err = byGroup(work, data, o, r); err != nil {
			return nil, err
		}
	}
	if r.Interrupted = ctx.Err() != nil; r.Interrupted {
		r.TimedOut, r.Reason = false, "interrupted: the best weights so far"
	}
	r.Seconds = time.Since(begin).Seconds()
	f.report("done", 1, r.Value)
	return r, nil
}

// rank sets the ranks of rows, whose labels have these losses with the final model.
func rank(rows []Row, losses []float64) {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	kept := func(i int) int {
		if rows[i].Kept {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(kept(i), kept(j)), cmp.Compare(losses[j], losses[i]))
	})
	for k, i := range order {
		rows[i].Rank = k + 1
	}
}
