package tune

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
)

// table is the data in the form that learning takes.
type table struct {
	loss      *loss
	schema    *dataset.Schema
	features  []string // names; nil for too many
	classes   []string
	scaler    *dataset.Scaler // or nil
	intercept bool
	units     units
	costs     []float64 // of mistaking a row of each class; nil for none
	// classWeights are those of the classes; nil for none.
	classWeights *ClassWeights
	scores       int // per row

	groups []string // of the training rows, for kernels; nil for none

	main split // all rows
	test *dataset.Set
	d    int          // features without intercept
	kept []int        // of those that were given; nil for all
	full *dataset.Set // training rows with all of them; nil if all were kept

	squares []float64 // means of the features' squares; nil until needed
	top     float64   // logarithm of the least ℓ1 strength with which all coefficients are zero
}

// prepare checks the data and brings them into the form that learning takes.
func prepare(data Data, o Options) (*fit, error) {
	f := &fit{o: o, table: table{units: asTheyAre}}
	if data.Train == nil {
		return nil, &dataset.Error{Err: fmt.Errorf("there are no training rows")}
	}
	switch {
	case data.Folds < 0 || data.Folds == 1:
		return nil, &OptionError{"folds", fmt.Sprint(data.Folds), "cross-validation needs at least 2 folds"}
	case data.Folds > 0 && data.Val != nil:
		return nil, &OptionError{"folds", fmt.Sprint(data.Folds), "give validation rows or folds, not both"}
	case data.Share != 0 && (data.Val != nil || data.Folds > 0):
		return nil, &OptionError{"share", fmt.Sprint(data.Share), "give validation rows, folds or a share of the rows"}
	case data.Share < 0 || data.Share >= 1:
		return nil, &OptionError{"share", fmt.Sprint(data.Share), "a share is between 0 and 1"}
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
	l := *task.entry()
	if f.loss = &l; !l.classes {
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
	if err := f.weighClasses(&train); err != nil {
		return nil, err
	}
	f.scores = f.loss.scores(len(f.classes))
	if f.loss.counts {
		if err := checkCounts(&train, true); err != nil {
			return nil, err
		}
	}
	if kind := o.Reg.entry(); kind != nil && kind.severalScores && f.scores == 1 {
		return nil, &OptionError{"reg", string(o.Reg), fmt.Sprintf("a %s model has one score per row; strengths per class "+
			"are for %s",
			task, anyOf(func(l *loss) bool { return l.scores(3) > 1 }))}
	}
	f.schema, f.features = train.Schema, train.Features
	if is, _ := f.schema.Unweighed(); is {
		return nil, errors.New("tune: the texts are counts that have no weight yet: give Fit what Weigh makes of them")
	}

	tables := !f.schema.Prepared()
	f.intercept = o.Intercept == On || o.Intercept == Auto && tables
	if o.Scale == On || o.Scale == Auto && tables {
		f.scaler = train.FitScaler()
	}
	if f.loss.units != nil {
		f.units = f.loss.units(&train, f.intercept)
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
		if f.loss.counts {
			if err := checkCounts(s, false); err != nil {
				return nil, err
			}
		}
		others[name] = f.transform(placed(s))
	}
	t := f.dropUnseen(f.transform(placed(&train)), others)
	f.test = others["test"]
	if f.loss.task == Huber {
		if err := f.findDelta(context.Background(), t); err != nil {
			return nil, err
		}
	}
	if err := f.decideKernel(data); err != nil {
		return nil, err
	}
	return f, f.divide(t, others["validation"], data)
}

// checkCounts is an error if targets of s are no counts; with positive, some must be above zero.
func checkCounts(s *dataset.Set, positive bool) error {
	sum := 0.0
	for i, y := range s.Y {
		if y < 0 {
			return &dataset.Error{File: s.Source, Row: s.RowNumber(i), Err: fmt.Errorf("the label %v is negative, and a %s "+
				"model is for counts", y, Poisson), Hint: fmt.Sprintf("choose the model %s", anyOf(func(l *loss) bool {
				return !l.classes && !l.counts
			}))}
		}
		sum += s.Weight(i) * y
	}
	if positive && sum == 0 {
		return &dataset.Error{File: s.Source, Err: errors.New("all labels are zero: there is nothing to count"),
			Hint: "choose another label column"}
	}
	return nil
}

// isText says whether rows are of documents.
func isText(s *dataset.Schema) bool { return s != nil && s.Text != nil }

// transform scales features and targets and appends the intercept's column.
func (f *fit) transform(s *dataset.Set) *dataset.Set {
	t := *s
	switch {
	case f.scaler != nil && f.intercept:
		t.X = f.scaler.ApplyWithOnes(t.X)
	case f.scaler != nil:
		t.X = f.scaler.Apply(t.X)
	case f.intercept:
		t.X = t.X.WithOnes()
	}
	if f.units != asTheyAre {
		t.Y = make([]float64, len(s.Y))
		for i, y := range s.Y {
			t.Y[i] = f.units.y.inverse(y)
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
