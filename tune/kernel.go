package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/nystrom"
	"github.com/bilevel-go/bilevel/rows"
)

// Kernel says what part kernels have in a model, and what their length scales say.
type Kernel struct {
	// Linear, Shared and Columns are the weights of linear models, of kernels with one length scale, and of kernels with
	// one per column. They add up to one.
	Linear  float64 `json:"linear"`
	Shared  float64 `json:"shared"`
	Columns float64 `json:"columns"`
	// Lengths are the length scales of columns, the shortest first: along a short one predictions bend most.
	Lengths []Length `json:"lengths"`
	// Gap is the mean loss of out-of-fold rows less that of linear models that were learned alike, and GapError the
	// standard error of this paired difference.
	Gap      float64 `json:"gap"`
	GapError float64 `json:"gap_error"`
}

// Length is the length scale of a column, in standard deviations of its features: predictions bend over this distance.
type Length struct {
	Column string  `json:"column"`
	Scale  float64 `json:"scale"`
}

// kernelTasks are those whose losses kernels have.
var kernelTasks = []Task{Logistic, Softmax, Ridge}

// checkKernel is an error where kernels do not go with the other options.
func (o *Options) checkKernel() error {
	if o.Kernel != On {
		return nil
	}
	bad := func(option, value, reason string) error { return &OptionError{option, value, reason} }
	switch {
	case o.Task != AutoTask && !slices.Contains(kernelTasks, o.Task):
		return bad("model", string(o.Task), "kernels are for "+fmt.Sprint(kernelTasks))
	case o.Reg != AutoReg && o.Reg != Shared:
		return bad("reg", string(o.Reg), "a model with kernels has one strength for all coefficients: leave it out, or "+
			"choose a linear model")
	case o.Method != AutoMethod && o.Method != HOAG:
		return bad("method", string(o.Method), "a model with kernels is learned by exact hypergradients: leave it out")
	}
	o.Reg = Shared // of the linear model beside it
	return nil
}

// decideKernel settles whether there are kernels where that is left to the rows.
func (f *fit) decideKernel(data Data) error {
	if f.o.Kernel == Off {
		return nil
	}
	err := f.kernelRows(data)
	if f.o.Kernel == Auto {
		n, _ := data.Train.Dims()
		asked := f.o.Reg != AutoReg || f.o.Method != AutoMethod || f.o.Param != Exp || f.o.Start != "grid" ||
			f.o.Prior != "auto" || f.o.Box != f.o.Param.entry().box
		many := n > mostAutoRows || f.d*f.scores > mostAutoCoefficients
		f.o.Kernel = On
		if err != nil || asked || many || data.Val != nil {
			f.o.Kernel, err = Off, nil
		} else {
			f.o.Reg = Shared
		}
	}
	return err
}

// kernelRows says what keeps the prepared rows from a model with kernels; nil for nothing.
func (f *fit) kernelRows(data Data) error {
	bad := func(format string, args ...any) error {
		return &dataset.Error{File: data.Train.Source, Err: fmt.Errorf(format, args...),
			Hint: "choose a linear model: " + anyOf(func(*loss) bool { return true })}
	}
	n, _ := data.Train.Dims()
	x, dense := data.Train.X.(*rows.Dense)
	switch {
	case !dense || f.schema.Prepared():
		return bad("a model with kernels is for tables, and these rows are sparse or texts")
	case n < leastKernelRows:
		return bad("a model with kernels needs at least %d rows, and there are %d", leastKernelRows, n)
	case x.D > mostKernelFeatures:
		return bad("a model with kernels has at most %d features, and there are %d", mostKernelFeatures, x.D)
	case !slices.Contains(kernelTasks, f.loss.task):
		return bad("a %s model has no kernels", f.loss.task)
	case data.Train.Weights != nil || f.classWeights != nil:
		return bad("a model with kernels takes all rows alike, and weights are given")
	case data.Times != nil:
		return bad("a model with kernels is learned on folds, which times do not make")
	}
	f.groups = data.Groups
	return nil
}

const (
	leastKernelRows    = 20
	mostKernelFeatures = 1000

	// Where it is left to the rows, kernels are learned for so many rows and coefficients at most.
	mostAutoRows         = 20000
	mostAutoCoefficients = 1000
)

// withKernels learns kernels on top of the linear model of res and puts them in.
func (f *fit) withKernels(res *Result, baseline *figures) error {
	set := f.main.all
	if set == nil {
		set = f.main.train
	}
	x := f.narrow(set.X)
	groups, names := f.columnGroups()
	y := f.units.y.all(set.Y)
	f.stage = stage{"kernels", .3, .98}
	out, err := nystrom.Fit(f.ctx, x, y, len(f.classes), groups, nystrom.Options{Seed: f.o.Seed, Units: f.unitsOf(set),
		Progress: func(done float64) { f.at(int64(done*100), done, math.NaN()) }})
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		f.outOfTime = true
		res.Interrupted = f.asked.Err() != nil
		res.TimedOut = !res.Interrupted
		res.Words = append(res.Words, "There was no time to learn kernels: the model is the linear one.")
		return nil
	case err != nil:
		return err
	}
	m, c := res.Model, out.Committee
	for s := range m.Coefficients {
		m.Coefficients[s].Weights, m.Coefficients[s].Intercept = c.Linear[s], c.Intercept[s]
	}
	m.HasIntercept = true
	m.Kernel = &c.Part
	m.Penalty.Kind = Shared
	res.Ridge, res.BaselineWon = nil, false

	on := f.judgeKernel(set, out.Scores)
	linear := f.judgeKernel(set, out.LinearScores)
	k := &Kernel{Linear: c.Weights[0], Shared: c.Weights[1], Columns: c.Weights[2]}
	k.Gap, k.GapError = pairedGap(on.losses, linear.losses)
	for g, s := range out.LogScales {
		k.Lengths = append(k.Lengths, Length{names[g], math.Exp(-s)})
	}
	slices.SortStableFunc(k.Lengths, func(a, b Length) int { return int(math.Copysign(1, a.Scale-b.Scale)) })
	res.Kernel = k

	figure := &figures{val: on, refitted: true}
	base := &figures{val: linear, refitted: true}
	res.Unseen = &Unseen{On: "held-out", Rows: set.Rows} // nothing but two weights was chosen for them
	if f.main.all == nil && f.main.folds() == 0 {        // validation rows of their own
		figure.val = f.judgeKernel(f.main.val, c.Scores(f.narrow(f.main.val.X)))
		base.val = baseline.val
		res.Unseen.On, res.Unseen.Rows = "validation", f.main.val.Rows
	}
	res.Val, res.BaselineVal = f.loss.metrics(figure.val), f.loss.metrics(base.val)
	res.NVal = res.Val.N
	res.Unseen = f.say(res.Unseen, figure.val, base.val)
	if f.test != nil {
		test := f.judgeKernel(f.test, c.Scores(f.narrow(f.test.X)))
		res.Test = f.loss.metrics(test)
		res.Unseen = f.say(&Unseen{On: "test", Rows: f.test.Rows}, test, baseline.test)
	}
	res.Value = res.Val.Loss
	res.Words = f.kernelWords(k)
	return nil
}

// narrow are prepared rows without the intercept's column.
func (f *fit) narrow(x rows.Matrix) *rows.Dense {
	m := x.(*rows.Dense)
	if m.D == f.d {
		return m
	}
	out := rows.NewDense(m.N, f.d)
	for i := range m.N {
		copy(out.Row(i), m.Row(i))
	}
	return out
}

func (f *fit) judgeKernel(s *dataset.Set, scores []float64) *judged {
	return f.loss.judge(scores, f.units.y.all(s.Y), nil, f.scores)
}

// columnGroups are the group of each feature, the column that it was made of, and the groups' names.
func (f *fit) columnGroups() (groups []int, names []string) {
	if f.schema == nil || f.schema.Columns == nil {
		for j := range f.d {
			groups, names = append(groups, j), append(names, f.featureName(j))
		}
		return groups, names
	}
	for k, span := range f.schema.Spans() {
		n := span.N
		if span.Indicator {
			n++
		}
		if n == 0 {
			continue
		}
		groups = append(groups, slices.Repeat([]int{len(names)}, n)...)
		names = append(names, f.schema.Columns[k].Name)
	}
	return groups, names
}

// unitsOf numbers the groups of the rows of s; nil for none.
func (f *fit) unitsOf(s *dataset.Set) []int {
	if f.groups == nil {
		return nil
	}
	number := map[string]int{}
	out := make([]int, len(s.Y))
	for i, r := range s.Rows {
		name := f.groups[r]
		if _, ok := number[name]; !ok {
			number[name] = len(number)
		}
		out[i] = number[name]
	}
	return out
}

// kernelWords say what kernels brought.
func (f *fit) kernelWords(k *Kernel) []string {
	bent := k.Shared + k.Columns
	part := numbers.Digits(100*bent, 2) + "% of the model bends: kernels on top of the linear model"
	verdict := "within chance of the linear model on rows that it was not fitted to"
	switch {
	case k.Gap+1.96*k.GapError < 0:
		verdict = "better than the linear model by more than chance on rows that it was not fitted to"
	case k.Gap-1.96*k.GapError > 0:
		verdict = "worse than the linear model on rows that it was not fitted to: choose a linear model"
	}
	w := []string{fmt.Sprintf("%s, %s.", part, verdict)}
	if k.Columns > 0 && len(k.Lengths) > 1 {
		var names []string
		for _, l := range k.Lengths[:min(3, len(k.Lengths))] {
			names = append(names, fmt.Sprintf("%s (%s)", l.Column, numbers.Digits(l.Scale, 2)))
		}
		w = append(w, "Predictions bend most along "+numbers.List(names)+": length scales in standard deviations.")
	}
	return w
}
