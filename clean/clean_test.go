package clean

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// digits are the embedded digits, with half of the training labels replaced.
func digits(t *testing.T, corrupt float64) (Data, []bool) {
	t.Helper()
	all, err := dataset.Embedded("digits")
	if err != nil {
		t.Fatal(err)
	}
	if err := all.AsClasses(); err != nil {
		t.Fatal(err)
	}
	rest, test, err := all.Split(.25, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	train, trusted, err := rest.Split(.2, 2, true)
	if err != nil {
		t.Fatal(err)
	}
	noisy, right := Corrupt(train, corrupt, 3)
	return Data{Train: noisy, Trusted: trusted, Test: test}, right
}

// fitted is the result by weights, unless o says another method.
func fitted(t *testing.T, data Data, o Options) *Result {
	t.Helper()
	if o.Method == "" {
		o.Method = "saba"
	}
	r, err := Fit(context.Background(), data, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMethods(t *testing.T) {
	data, right := digits(t, .5)
	for _, method := range []string{"descent", "hoag", "saba", "soba", "srba"} { // cmd/bilevel has a test of all
		r := fitted(t, data, Options{Method: method, Seed: 1})
		truth := r.Compare(right)
		if truth.F1 < .85 || r.After.Accuracy < r.Before.Accuracy+.02 {
			t.Errorf("%s: F1 %.3f, test accuracy %.3f after %.3f", method, truth.F1, r.After.Accuracy, r.Before.Accuracy)
		}
		if len(r.Trace) == 0 || r.Trace[r.Best].Held != r.Value || r.Reason == "" {
			t.Errorf("%s: trace %v, value %v, %q", method, r.Trace, r.Value, r.Reason)
		}
		if len(r.Trace) == stretches {
			t.Errorf("%s: the end was not seen in %d stretches", method, stretches)
		}
		kept := 0
		for i, row := range r.Rows {
			if !row.Kept && row.Weight >= .5 || !(row.Weight >= 0 && row.Weight <= 1) || row.Label != int(data.Train.Y[i]) {
				t.Fatalf("%s: row %d is %+v", method, i, row)
			}
			if row.Kept {
				kept++
			}
		}
		if kept != r.Kept {
			t.Errorf("%s: %d kept, %d counted", method, r.Kept, kept)
		}
	}
}

// TestRank: each rank is taken once, suspicious rows come first, and among the first ones nearly all labels are wrong.
func TestRank(t *testing.T) {
	data, right := digits(t, .3)
	r := fitted(t, data, Options{Seed: 1})
	order := r.Suspects()
	sorted := slices.Clone(order)
	slices.Sort(sorted)
	for i, j := range sorted {
		if i != j {
			t.Fatalf("row %d is ranked %d times", i, j-i)
		}
	}
	wrong := 0
	for k, i := range order {
		if r.Rows[i].Kept != (k >= r.NTrain-r.Kept) {
			t.Fatalf("rank %d: %+v with %d of %d kept", k+1, r.Rows[i], r.Kept, r.NTrain)
		}
		if k < 100 && !right[i] {
			wrong++
		}
	}
	if wrong < 97 {
		t.Errorf("%d of the first 100 labels are wrong", wrong)
	}
}

func TestSame(t *testing.T) {
	data, _ := digits(t, .5)
	a, b := fitted(t, data, Options{Seed: 4}), fitted(t, data, Options{Seed: 4})
	if !slices.Equal(a.Rows, b.Rows) {
		t.Error("two runs of the same seed differ")
	}
	if c := fitted(t, data, Options{Seed: 5}); slices.Equal(a.Rows, c.Rows) {
		t.Error("the seed does nothing")
	}
}

// TestSparse: sparse rows, without scaling, which here is done before.
func TestSparse(t *testing.T) {
	data, right := digits(t, .5)
	for _, s := range []*dataset.Set{data.Train, data.Trusted, data.Test} {
		x := s.X.(*rows.Dense)
		m := &rows.CSR{N: x.N, D: x.D, Ptr: []int{0}}
		for i := range x.N {
			for j, v := range x.Row(i) {
				if v != 0 {
					m.Idx, m.Val = append(m.Idx, int32(j)), append(m.Val, v)
				}
			}
			m.Ptr = append(m.Ptr, len(m.Idx))
		}
		s.X = m
	}
	r := fitted(t, data, Options{Scale: tune.Off, Seed: 1})
	if f1 := r.Compare(right).F1; f1 < .85 {
		t.Errorf("F1 %.3f", f1)
	}
}

// TestUnit: the unit of the features does not matter where they are not standardised either.
func TestUnit(t *testing.T) {
	data, right := digits(t, .5)
	for _, factor := range []float64{1e-4, 1e4} {
		scaled := data
		for _, s := range []**dataset.Set{&scaled.Train, &scaled.Trusted, &scaled.Test} {
			t := **s
			n, _ := t.Dims()
			x := t.X.Take(slices.Collect(func(yield func(int) bool) {
				for i := range n {
					if !yield(i) {
						return
					}
				}
			})).(*rows.Dense)
			for k := range x.Data {
				x.Data[k] *= factor
			}
			t.X = x
			*s = &t
		}
		r := fitted(t, scaled, Options{Scale: tune.Off, Intercept: tune.Off, Seed: 1})
		if f1 := r.Compare(right).F1; f1 < .85 {
			t.Errorf("unit %g: F1 %.3f", factor, f1)
		}
	}
}

// TestNothingWrong: of right labels nearly all are kept, and the model is no worse.
func TestNothingWrong(t *testing.T) {
	data, right := digits(t, 0)
	r := fitted(t, data, Options{Seed: 1})
	truth := r.Compare(right)
	if truth.Corrupted != 0 || truth.Precision != 1 || truth.Recall < .93 {
		t.Errorf("%+v", truth)
	}
	if r.After.Accuracy < r.Before.Accuracy {
		t.Errorf("test accuracy %.4f, before %.4f", r.After.Accuracy, r.Before.Accuracy)
	}
}

func TestCorrupt(t *testing.T) {
	data, _ := digits(t, 0)
	before := slices.Clone(data.Train.Y)
	noisy, right := Corrupt(data.Train, .5, 7)
	again, _ := Corrupt(data.Train, .5, 7)
	if !slices.Equal(noisy.Y, again.Y) || !slices.Equal(data.Train.Y, before) {
		t.Error("not the same labels, or the old ones were changed")
	}
	wrong := 0
	for i, ok := range right {
		if ok != (noisy.Y[i] == before[i]) {
			t.Fatalf("row %d", i)
		}
		if !ok {
			wrong++
		}
	}
	if share := float64(wrong) / float64(len(right)); math.Abs(share-.45) > .05 {
		t.Errorf("a share of %.3f is wrong, of .45 expected", share)
	}
}

func TestCompare(t *testing.T) {
	r := &Result{Rows: []Row{{Kept: true}, {Kept: true}, {Kept: true}, {}}, Kept: 3}
	got := r.Compare([]bool{true, true, false, true})
	if want := (Truth{1, 2. / 3, 2. / 3, 2. / 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestStopped: a cancelled run and one without time have results.
func TestStopped(t *testing.T) {
	data, _ := digits(t, .5)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, err := Fit(ctx, data, Options{Method: "saba"})
	if err != nil || !r.Interrupted || r.TimedOut || len(r.Rows) != r.NTrain || r.After == nil {
		t.Errorf("cancelled: %+v, %v", r, err)
	}
	r = fitted(t, data, Options{MaxTime: time.Nanosecond})
	if !r.TimedOut || r.Interrupted || len(r.Rows) != r.NTrain {
		t.Errorf("no time: %+v", r)
	}
	// In the middle of the learning.
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	r, err = Fit(ctx, data, Options{Method: "saba", Progress: func(p tune.Progress) {
		if p.Stage == "learning weights" {
			cancel()
		}
	}})
	if err != nil || !r.Interrupted || len(r.Trace) == 0 || r.Kept == r.NTrain {
		t.Errorf("in the middle: %+v, %v", r, err)
	}
}

func TestWrongData(t *testing.T) {
	good, _ := digits(t, .5)
	narrow := *good.Trusted
	narrow.X = rows.NewDense(len(narrow.Y), 3)
	one := good.Trusted.Subset([]int{0})
	other := *good.Trusted
	other.Classes = slices.Clone(other.Classes)
	other.Classes[3] = "three"
	single := *good.Train
	single.Classes, single.Y = []string{"0"}, make([]float64, len(single.Y))
	nameless := *good.Train
	nameless.Y = nil
	for name, data := range map[string]Data{
		"no rows":        {Trusted: good.Trusted},
		"no trusted":     {Train: good.Train},
		"no label":       {Train: &nameless, Trusted: good.Trusted},
		"zero rows":      {Train: good.Train.Subset(nil), Trusted: good.Trusted},
		"zero trusted":   {Train: good.Train, Trusted: good.Trusted.Subset(nil)},
		"narrow":         {Train: good.Train, Trusted: &narrow},
		"narrow test":    {Train: good.Train, Trusted: good.Trusted, Test: &narrow},
		"one trusted":    {Train: good.Train, Trusted: one},
		"other classes":  {Train: good.Train, Trusted: &other},
		"one class only": {Train: &single, Trusted: good.Trusted},
	} {
		var e *dataset.Error
		if _, err := Fit(context.Background(), data, Options{Method: "saba"}); !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []Options{{Method: "magic"}, {MaxTime: -1}, {Scale: "much"}, {Intercept: "much"}} {
		var e *tune.OptionError
		if _, err := Fit(context.Background(), good, o); !errors.As(err, &e) || o.Check() == nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestMNIST is the standard setting: half of 20,000 labels replaced, 5,000 trusted ones. The model of the rows whose
// label is right sets the mark.
func TestMNIST(t *testing.T) {
	realdata.Long(t, "learns 20,000 weights")
	dir := realdata.Folder(t, "mnist")
	all, test, _, err := dataset.Load(context.Background(), "mnist", dataset.GetOptions{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, part, err := all.Split(25000./60000, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	train, trusted, err := part.Split(.2, 2, true)
	if err != nil {
		t.Fatal(err)
	}
	noisy, right := Corrupt(train, .5, 1)
	data := Data{Train: noisy, Trusted: trusted, Test: test}
	r := fitted(t, data, Options{Seed: 1})
	var rights []int
	for i, ok := range right {
		if ok {
			rights = append(rights, i)
		}
	}
	f, err := prepare(data, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	f.ctx, f.closing = t.Context(), t.Context()
	_, d := f.train.Dims()
	z, _, _, err := f.best(f.train.Subset(rights), make([]float64, d*len(f.classes)))
	if err != nil {
		t.Fatal(err)
	}
	truth, oracle := r.Compare(right), f.figures(f.test, z)
	t.Logf("%+v; test accuracy %.4f before, %.4f after, %.4f of the right labels only; %.1f s", truth, r.Before.Accuracy,
		r.After.Accuracy, oracle.Accuracy, r.Seconds)
	if truth.F1 < .9 {
		t.Errorf("F1 %.4f", truth.F1)
	}
	if r.After.Accuracy < oracle.Accuracy-.01 {
		t.Errorf("test accuracy %.4f, and %.4f of a model of the right labels", r.After.Accuracy, oracle.Accuracy)
	}
}
