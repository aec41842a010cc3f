package tune

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// fit is one job.
type fit struct {
	ctx     context.Context // of work, which ends early enough for what is left to do
	closing context.Context // of what the result needs
	o       Options
	loss    *loss

	schema    *dataset.Schema
	features  []string // names; nil for too many
	classes   []string
	scaler    *dataset.Scaler // or nil
	intercept bool
	shift     float64 // of a ridge target: y = shift + unit·(prepared y)
	unit      float64
	comparing bool // kinds of strengths are being compared
	onTrial   bool // of a descent only the losses on held-out rows are wanted, and no exact end
	scores    int  // per row

	main split // all rows
	test *dataset.Set
	d    int          // features without intercept
	kept []int        // of those that were given; nil for all
	full *dataset.Set // training rows with all of them; nil if all were kept

	visited bilevel.Counts
	squares []float64 // means of the features' squares; nil until needed
	top     float64   // logarithm of the least ℓ1 strength with which all coefficients are zero

	gridTried int  // points of the grid
	partGrid  bool // not all of them were tried

	compared        []*trial // kinds and spreads as compared; nil for none
	heldRows        []int    // places of the rows that they were compared on
	compareErr      error    // why kinds could not be compared
	noTimeToCompare bool
	chosen          *trial // is learned on all rows

	timedOut    bool // learning ended with ctx
	cutShort    bool // it ended because there was no time for another evaluation
	failedEarly bool // an error ended it

	stage stage
	done  float64 // as last reported
}

// split is what strengths are learned on: training and validation rows, or the rows of a cross-validation.
// Features are scaled and have the intercept's column, targets of a ridge model are standardised.
type split struct {
	train  *dataset.Set
	val    *dataset.Set // nil with folds
	bounds []int        // with folds: train is sorted by fold
}

func (s split) folds() int { return max(len(s.bounds)-1, 0) }

// prepare checks the data and brings them into the form that learning takes.
func prepare(data Data, o Options) (*fit, error) {
	f := &fit{o: o, unit: 1}
	if data.Train == nil {
		return nil, &dataset.Error{Err: fmt.Errorf("there are no training rows")}
	}
	switch {
	case data.Folds < 0 || data.Folds == 1:
		return nil, &OptionError{"folds", fmt.Sprint(data.Folds), "cross-validation needs at least 2 folds"}
	case data.Folds > 0 && data.Val != nil:
		return nil, &OptionError{"folds", fmt.Sprint(data.Folds), "give validation rows or folds, not both"}
	case data.Folds == 0 && data.Val == nil:
		return nil, &OptionError{"val", "", "give validation rows, or folds"}
	}
	train := *data.Train
	n, d := train.Dims()
	if n == 0 || d == 0 {
		return nil, &dataset.Error{File: train.Source, Err: fmt.Errorf("%d rows of %d features: nothing to learn from", n, d)}
	}
	if train.Y == nil {
		return nil, &dataset.Error{File: train.Source, Err: fmt.Errorf("the training rows have no label"),
			Hint: "name the label column"}
	}
	f.d = d
	task := o.Task
	if task == AutoTask {
		task = Task(train.GuessTask())
	}
	if f.loss = task.entry(); !f.loss.classes {
		if train.Classes != nil {
			return nil, &dataset.Error{File: train.Source,
				Err:  fmt.Errorf("a %s model needs numbers as labels, and these are classes (%s, …)", task, train.Classes[0]),
				Hint: "choose another label column, or the model " + anyOf(func(l *loss) bool { return l.classes })}
		}
	} else {
		if err := train.AsClasses(); err != nil {
			return nil, err
		}
		f.classes = train.Classes
		k := len(f.classes)
		if k > f.loss.most {
			return nil, &dataset.Error{File: train.Source, Err: fmt.Errorf("a %s model has two classes, and the label has %d",
				task, k),
				Hint: "choose the model " + anyOf(func(l *loss) bool { return l.most >= k })}
		}
		if counts := train.ClassCounts(); slices.Contains(counts, 0) {
			c := slices.Index(counts, 0)
			return nil, &dataset.Error{File: train.Source, Err: fmt.Errorf("no training row is of the class %q", f.classes[c]),
				Hint: "give rows of it, or leave it out of the other files"}
		}
	}
	f.scores = f.loss.scores(len(f.classes))
	if kind := o.Reg.entry(); kind != nil && kind.severalScores && f.scores == 1 {
		return nil, &OptionError{"reg", string(o.Reg), fmt.Sprintf("a %s model has one score per row; strengths per class "+
			"are for %s",
			task, anyOf(func(l *loss) bool { return l.scores(3) > 1 }))}
	}
	f.schema, f.features = train.Schema, train.Features

	tables := !f.schema.Prepared()
	f.intercept = o.Intercept == On || o.Intercept == Auto && tables
	if o.Scale == On || o.Scale == Auto && tables {
		f.scaler = train.FitScaler()
	}
	if f.loss.standardise {
		f.standardise(train.Y)
	}
	others := map[string]*dataset.Set{"validation": data.Val, "test": data.Test}
	for _, name := range []string{"validation", "test"} {
		set := others[name]
		if set == nil {
			continue
		}
		s, err := set.Conform(name, &train)
		if err != nil {
			return nil, err
		}
		others[name] = f.transform(placed(s))
	}
	t := f.dropUnseen(f.transform(placed(&train)), others)
	f.test = others["test"]
	if data.Folds == 0 {
		f.main = split{train: t, val: others["validation"]}
		if f.stochastic(f.main) {
			// Batches are consecutive rows.
			f.main.train, f.main.val = t.Shuffle(o.Seed), f.main.val.Shuffle(o.Seed+1)
		}
		return f, nil
	}
	of, err := t.Folds(data.Folds, o.Seed)
	if err != nil {
		return nil, err
	}
	f.main = byFold(t, of, data.Folds)
	return f, nil
}

// isText says whether rows are of documents.
func isText(s *dataset.Schema) bool { return s != nil && s.Text != nil }

// standardise finds shift and unit of a ridge target. They change neither x nor the model, only the size of the
// numbers that tolerances are compared with.
func (f *fit) standardise(y []float64) {
	n := float64(len(y))
	if f.intercept {
		for _, v := range y {
			f.shift += v / n
		}
	}
	sum := 0.0
	for _, v := range y {
		sum += (v - f.shift) * (v - f.shift) / n
	}
	f.unit = math.Sqrt(sum)
	if !(f.unit > 1e-12*math.Abs(f.shift)) || math.IsInf(f.unit, 0) {
		f.unit = 1
	}
}

// transform scales features and a ridge target and appends the intercept's column.
func (f *fit) transform(s *dataset.Set) *dataset.Set {
	t := *s
	if f.scaler != nil {
		t.X = f.scaler.Apply(t.X)
	}
	if f.intercept {
		t.X = t.X.WithOnes()
	}
	if f.loss.standardise {
		t.Y = make([]float64, len(s.Y))
		for i, y := range s.Y {
			t.Y[i] = (y - f.shift) / f.unit
		}
	}
	return &t
}

// dropUnseen leaves out the features that are in no training row, from the rows of others too: their coefficients are
// zero whatever the strengths. It is for many sparse coefficients, where every vector is as long.
func (f *fit) dropUnseen(t *dataset.Set, others map[string]*dataset.Set) *dataset.Set {
	m, ok := t.X.(*rows.CSR)
	if !ok || f.d*f.scores <= manyCoefficients {
		return t
	}
	to := slices.Repeat([]int32{-1}, m.D)
	for _, j := range m.Idx {
		to[j] = 0
	}
	n := int32(0)
	for j := range to {
		if to[j] == 0 {
			if to[j] = n; j < f.d {
				f.kept = append(f.kept, j)
			}
			n++
		}
	}
	if f.full = t; len(f.kept) == f.d {
		f.full, f.kept = nil, nil
		return t
	}
	f.d = len(f.kept)
	narrow := func(s *dataset.Set) *dataset.Set {
		m, s2 := s.X.(*rows.CSR), *s
		x := &rows.CSR{N: m.N, D: int(n), Ptr: make([]int, 1, m.N+1)}
		for i := range m.N {
			idx, val := m.Row(i)
			for k, j := range idx {
				if to[j] >= 0 {
					x.Idx, x.Val = append(x.Idx, to[j]), append(x.Val, val[k])
				}
			}
			x.Ptr = append(x.Ptr, len(x.Idx))
		}
		s2.X = x
		return &s2
	}
	for name, s := range others {
		if s != nil {
			others[name] = narrow(s)
		}
	}
	return narrow(t)
}

// restore gives strengths and coefficients the features that were left out. Their strengths are the shared one, x0.
func (f *fit) restore(q *problem, kind Reg, x, z []float64, x0 float64) (*problem, []float64, []float64, error) {
	if f.kept == nil {
		return q, x, z, nil
	}
	f.d += f.full.X.(*rows.CSR).D - q.layout.Features
	all, err := f.problem(split{train: f.full}, kind)
	if err != nil {
		return nil, nil, nil, err
	}
	all.Lower, all.Upper = q.Lower, q.Upper
	allX, allZ := f.baseline(kind, x0), make([]float64, all.layout.Len())
	terms, allTerms := q.terms(), all.terms()
	put := func(c, j, as int) {
		from, to := q.layout.Index(c, j), all.layout.Index(c, as)
		allZ[to] = z[from]
		for k, t := range terms {
			if s := t.Strength(from); s >= 0 {
				allX[allTerms[k].Strength(to)] = x[s]
			}
		}
	}
	for c := range f.scores {
		for j, as := range f.kept {
			put(c, j, as)
		}
		if f.intercept {
			put(c, len(f.kept), f.d)
		}
	}
	return all, allX, allZ, nil
}

// byFold sorts rows by fold, in random order within a fold, because stochastic methods take consecutive rows.
// of names the fold of each row; negative folds are left out.
func byFold(t *dataset.Set, of []int, k int) split {
	var order []int
	bounds := make([]int, 1, k+1)
	rng := rand.New(rand.NewPCG(uint64(len(of)), uint64(k)))
	for fold := range k {
		for i, g := range of {
			if g == fold {
				order = append(order, i)
			}
		}
		part := order[bounds[fold]:]
		rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
		bounds = append(bounds, len(order))
	}
	return split{train: t.Subset(order), bounds: bounds}
}

// pass is the number of multiplications of one pass over all rows of s.
func (f *fit) pass(s split) float64 {
	size := func(t *dataset.Set) float64 {
		if t == nil {
			return 0
		}
		if m, ok := t.X.(*rows.CSR); ok {
			return float64(len(m.Val))
		}
		n, d := t.Dims()
		return float64(n) * float64(d)
	}
	return (size(s.train)*float64(max(s.folds(), 1)) + size(s.val)) * float64(f.scores)
}

// cheapPass is the most multiplications of a pass with which full-batch methods are the default; less in proportion
// where there is less than a minute.
const cheapPass = 5e8

// stochastic says whether a method that samples rows is used.
func (f *fit) stochastic(s split) bool {
	if f.o.Reg.Sparse() {
		return false
	}
	if m, ok := f.o.Method.entry(); ok {
		return m.Kind == methods.Sampled
	}
	limit := float64(cheapPass)
	if f.o.MaxTime > 0 {
		limit *= min(1, f.o.MaxTime.Seconds()/60)
	}
	return f.pass(s) > limit
}

// method is the method that is used.
func (f *fit) method() Method {
	if f.o.Method != AutoMethod {
		return f.o.Method
	}
	if f.stochastic(f.main) {
		return SABA
	}
	return HOAG
}

// problem is the bilevel problem of a split with one kind of strengths.
type problem struct {
	bilevel.Problem
	rows   split
	pen    *model.Penalty // nil: no squares
	l1     *model.L1      // or nil
	layout model.Layout
	copies int

	estimator hypergrad.Estimator
}

// problem builds the problem of s.
func (f *fit) problem(s split, kind Reg) (*problem, error) {
	p := f.strengths(kind)
	train, err := f.objective(s.train, p)
	if err != nil {
		return nil, err
	}
	q := &problem{rows: s, layout: train.Layout(), copies: max(s.folds(), 1), estimator: hypergrad.AID{}}
	var sampled model.Sampled = train
	q.Outer = train // of a refit, which has none
	switch {
	case s.folds() > 0:
		folds, err := model.NewFolds(train, s.bounds)
		if err != nil {
			return nil, err
		}
		sampled, q.Outer = folds.Inner, folds.Outer
	case s.val != nil:
		if q.Outer, err = f.objective(s.val, p); err != nil {
			return nil, err
		}
	}
	if err = f.penalize(q, sampled, kind); err != nil {
		return nil, err
	}
	q.Lower, q.Upper = slices.Repeat([]float64{f.o.Box.Lower}, p), slices.Repeat([]float64{f.o.Box.Upper}, p)
	return q, nil
}

// objective is the loss of the rows of s.
func (f *fit) objective(s *dataset.Set, p int) (*model.Loss, error) {
	return f.loss.objective(s.X, s.Y, f.scores, p)
}
