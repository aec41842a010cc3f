package mix

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// fit is one job.
type fit struct {
	ctx, closing context.Context // of work, and of what the result needs
	o            Options
	given        *dataset.Set // the target as it was given
	task         tune.Task
	classes      int // 0 for values
	k            int // scores of a row
	scaler       *dataset.Scaler
	intercept    bool
	shift, unit  float64 // of a numeric target: y = shift + unit·(prepared y)

	// Prepared rows: those of the target, sorted by fold, and behind them those of the sources. first is where the rows of
	// each source begin.
	all    *dataset.Set
	first  []int
	target *dataset.Set // the target's alone
	bounds []int        // of its folds
	test   *dataset.Set // or nil

	sources []Source
}

// prepare checks the data and brings them into the form that learning takes.
func prepare(data Data, o Options) (*fit, error) {
	f := &fit{o: o, unit: 1}
	fail := func(s *dataset.Set, hint, format string, args ...any) error {
		e := &dataset.Error{Err: fmt.Errorf(format, args...), Hint: hint}
		if s != nil {
			e.File = s.Source
		}
		return e
	}
	switch {
	case data.Target == nil:
		return nil, fail(nil, "", "there are no target rows")
	case len(data.Sources) < 2:
		return nil, fail(nil, "give two or more; to learn from one file, tune it", "there are %d sources to weigh",
			len(data.Sources))
	case data.Names != nil && len(data.Names) != len(data.Sources):
		return nil, fmt.Errorf("mix: %d names of %d sources", len(data.Names), len(data.Sources))
	}
	target := *data.Target
	switch n, d := target.Dims(); {
	case n == 0 || d == 0:
		return nil, fail(&target, "", "%d target rows of %d features: nothing to judge by", n, d)
	case target.Y == nil:
		return nil, fail(&target, "name the label column", "the target rows have no label")
	}
	if f.task = o.Task; f.task == tune.AutoTask {
		f.task = tune.Task(target.GuessTask())
	}
	if f.task.Classes() {
		if err := target.AsClasses(); err != nil {
			return nil, err
		}
		if f.classes = len(target.Classes); f.task == tune.Logistic && f.classes > 2 {
			return nil, fail(&target, "choose the model softmax", "a logistic model has two classes, and the label has %d",
				f.classes)
		}
		if c := slices.Index(target.ClassCounts(), 0); c >= 0 {
			return nil, fail(&target, "give rows of it, or leave it out of the other files",
				"no target row is of the class %q", target.Classes[c])
		}
	} else if target.Classes != nil {
		return nil, fail(&target, "choose another label column, or the model softmax",
			"a %s model needs numbers as labels, and these are classes (%s, …)", f.task, target.Classes[0])
	}
	f.k = f.task.Scores(f.classes)
	sets := []*dataset.Set{&target}
	for k, s := range data.Sources {
		if s == nil {
			return nil, fail(nil, "", "source %d has no rows", k+1)
		}
		s, err := s.Conform("source", &target)
		if err != nil {
			return nil, err
		}
		n, _ := s.Dims()
		name := filepath.Base(s.Source)
		if data.Names != nil {
			name = data.Names[k]
		}
		f.sources = append(f.sources, Source{Name: name, Rows: n})
		sets = append(sets, s)
	}
	for _, s := range sets {
		if s.Weights != nil {
			return nil, fail(s, "leave the weights out", "rows that count by weights cannot be mixed")
		}
	}
	f.given = &target
	tables := !target.Schema.Prepared()
	on := func(s tune.Switch) bool { return s == tune.On || s != tune.Off && tables }
	if f.intercept = on(o.Intercept); !f.task.Classes() {
		f.standardise(target.Y)
	}
	folds, err := f.folds(&target)
	if err != nil {
		return nil, err
	}
	var order []int
	f.bounds = []int{0}
	for g := range slices.Max(folds) + 1 {
		for i, of := range folds {
			if of == g {
				order = append(order, i)
			}
		}
		f.bounds = append(f.bounds, len(order))
	}
	placed := target
	placed.Rows = nil // places in Data.Target
	sets[0] = placed.Subset(order)
	all := stack(sets)
	if on(o.Scale) {
		f.scaler = all.FitScaler()
	}
	f.all = f.transform(all)
	f.target = span(f.all, 0, len(order))
	f.target.Names, f.target.Rows = sets[0].Names, sets[0].Rows
	if data.Test != nil {
		test, err := data.Test.Conform("test", &target)
		if err != nil {
			return nil, err
		}
		t := *test
		t.Rows = nil
		f.test = f.transform(&t)
	}
	f.divide()
	return f, nil
}

// divide says where the rows of each source begin, and makes the target's own a source.
func (f *fit) divide() {
	at := len(f.target.Y)
	for _, s := range f.sources {
		f.first = append(f.first, at)
		at += s.Rows
	}
	if own := len(f.target.Y); f.o.SourcesOnly {
		at -= own
	} else {
		f.sources = append(f.sources, Source{Name: "the target’s own rows", Rows: own, Target: true})
		f.first = append(f.first, 0)
	}
	for k := range f.sources {
		f.sources[k].Share = float64(f.sources[k].Rows) / float64(at)
	}
}

// folds draws the fold of each target row.
func (f *fit) folds(target *dataset.Set) ([]int, error) {
	k := f.o.Folds
	if k == 0 {
		n, _ := target.Dims()
		if k = min(defaultFolds, n); f.classes > 0 {
			k = min(k, slices.Min(target.ClassCounts()))
		}
		k = max(k, leastFolds)
	}
	return target.Folds(k, f.o.Seed)
}

// standardise finds shift and unit of a numeric target. They change neither the strength nor the model, only the size of
// the numbers that tolerances are compared with.
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
	if f.unit = math.Sqrt(sum); !(f.unit > 1e-12*math.Abs(f.shift)) || math.IsInf(f.unit, 0) {
		f.unit = 1
	}
}

// transform scales features and a numeric target and appends the intercept's column.
func (f *fit) transform(s *dataset.Set) *dataset.Set {
	t := *s
	if f.scaler != nil {
		t.X = f.scaler.Apply(t.X)
	}
	if f.intercept {
		t.X = t.X.WithOnes()
	}
	if f.classes == 0 {
		t.Y = make([]float64, len(s.Y))
		for i, y := range s.Y {
			t.Y[i] = (y - f.shift) / f.unit
		}
	}
	return &t
}

// inUnits are prepared labels in their own units.
func (f *fit) inUnits(y []float64) []float64 {
	if f.classes > 0 {
		return y
	}
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = f.shift + f.unit*v
	}
	return out
}

// stack is the rows of all sets, one behind the other.
func stack(sets []*dataset.Set) *dataset.Set {
	s := *sets[0]
	s.Y, s.Names, s.Rows = nil, nil, nil
	n := 0
	for _, t := range sets {
		m, _ := t.Dims()
		n += m
		s.Y = append(s.Y, t.Y...)
	}
	switch x := s.X.(type) {
	case *rows.Dense:
		all := rows.NewDense(n, x.D)
		at := 0
		for _, t := range sets {
			y := t.X.(*rows.Dense)
			at += copy(all.Data[at:], y.Data[:y.N*y.Stride])
		}
		s.X = all
	case *rows.CSR:
		all := &rows.CSR{D: x.D, Ptr: []int{0}}
		for _, t := range sets {
			y := t.X.(*rows.CSR)
			for _, p := range y.Ptr[1:] {
				all.Ptr = append(all.Ptr, all.Ptr[all.N]+p)
			}
			all.N += y.N
			all.Idx, all.Val = append(all.Idx, y.Idx...), append(all.Val, y.Val...)
		}
		s.X = all
	}
	return &s
}

// span are the rows of s from lo to hi, which share its memory.
func span(s *dataset.Set, lo, hi int) *dataset.Set {
	t := *s
	t.Y = s.Y[lo:hi]
	switch x := s.X.(type) {
	case *rows.Dense:
		t.X = &rows.Dense{N: hi - lo, D: x.D, Stride: x.Stride, Data: x.Data[lo*x.Stride : hi*x.Stride]}
	case *rows.CSR:
		from, to := x.Ptr[lo], x.Ptr[hi]
		m := &rows.CSR{N: hi - lo, D: x.D, Idx: x.Idx[from:to], Val: x.Val[from:to]}
		for _, p := range x.Ptr[lo : hi+1] {
			m.Ptr = append(m.Ptr, p-from)
		}
		t.X = m
	}
	return &t
}

func (f *fit) report(stage string, done, value float64) {
	if f.o.Progress != nil {
		f.o.Progress(tune.Progress{Stage: stage, Done: done, Value: value})
	}
}

func generator(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6d6978)) }
