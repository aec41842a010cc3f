package nystrom

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/rows"
)

// bent are rows whose label bends along the first feature; the last one says nothing.
func bent(n, d, classes int, seed uint64) (x *rows.Dense, y []float64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	x, y = rows.NewDense(n, d), make([]float64, n)
	for i := range n {
		row := x.Row(i)
		for j := range row {
			row[j] = rng.NormFloat64()
		}
		y[i] = math.Sin(3*row[0]) + .3*row[min(1, d-1)] + .1*rng.NormFloat64()
		if classes > 0 {
			y[i] = math.Floor(min(max((y[i]+1)/2, 0), .999) * float64(classes))
		}
	}
	return x, y
}

func ownGroups(d int) []int {
	g := make([]int, d)
	for j := range g {
		g[j] = j
	}
	return g
}

func problem(t *testing.T, n, classes int) (*bilevel.Problem, *validation) {
	t.Helper()
	x, y := bent(n, 4, classes, 3)
	z, err := landmarks(context.Background(), x, 7, 1)
	if err != nil {
		t.Fatal(err)
	}
	groups, bounds := []int{0, 1, 1, 2}, []int{0, n / 3, n / 2, n}
	p, err := NewProblem(x, y, classes, bounds, groups, z)
	if err != nil {
		t.Fatal(err)
	}
	l, k, _ := task(classes)
	return p, newValidation(x, y, k, l, bounds, newMatern(groups, z), 3)
}

func TestObjectives(t *testing.T) {
	for _, classes := range []int{0, 2, 3} {
		p, _ := problem(t, 150, classes)
		o := bileveltest.ObjectiveOptions{Scale: .5, Round: 1e-9}
		bileveltest.Objective(t, p.Inner, o)
		bileveltest.Objective(t, p.Outer, o)
	}
}

// The exact path of Fit and the general methods find the same hypergradient.
func TestExactPath(t *testing.T) {
	ctx := context.Background()
	for _, classes := range []int{0, 2, 3} {
		p, v := problem(t, 60, classes)
		x := []float64{-.5, .3, -.2, .4, -1}
		e := hypergrad.Evaluator{Problem: p}
		want := make([]float64, len(x))
		value, err := e.Evaluate(ctx, want, x)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, len(x))
		sum, err := v.eval(ctx, got, x)
		if err != nil {
			t.Fatal(err)
		}
		n := 60.
		if classes == 0 { // n/2 log of the mean square, whose derivative by the sum of losses is 1/mean
			sum = math.Exp(2*sum/n) / 2 * n
			floats.Scale(2*sum/n, got)
		}
		floats.Scale(1/n, got)
		if math.Abs(sum/n-value) > 1e-5*value || !floats.EqualApprox(got, want, 1e-4*floats.Norm(want, 2)) {
			t.Errorf("%d classes: %v %v, the general path has %v %v", classes, sum/n, got, value, want)
		}
	}
}

func fitted(t *testing.T, n, d, classes int, o Options) *Outcome {
	t.Helper()
	x, y := bent(n, d, classes, 5)
	out, err := Fit(context.Background(), x, y, classes, ownGroups(d), o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func squares(a, b []float64) (sum float64) {
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return sum
}

// A bent target is found, on rows that were not seen, and its column has the shortest length scale.
func TestFitBends(t *testing.T) {
	out := fitted(t, 120, 3, 0, Options{})
	x, y := bent(120, 3, 0, 5)
	if got, linear := squares(out.Scores, y), squares(out.LinearScores, y); got > linear/3 {
		t.Errorf("out-of-fold squares %v, linear %v", got, linear)
	}
	if s := out.LogScales; s[0] < s[1]+.5 || s[0] < s[2]+.5 {
		t.Errorf("log scales %v: the first column bends", s)
	}
	xt, yt := bent(100, 3, 0, 6)
	if got := squares(out.Committee.Scores(xt), yt) / 100; got > .1 {
		t.Errorf("mean square of fresh rows %v", got)
	}
	if got := squares(out.Committee.Scores(x), y); got > squares(out.Scores, y) {
		t.Errorf("the model does worse on its own rows, %v", got)
	}
}

// The same seed gives the same bits whatever the number of cores, and JSON keeps them.
func TestFitIsReproducible(t *testing.T) {
	var first []byte
	for _, procs := range []int{1, 3} {
		old := runtime.GOMAXPROCS(procs)
		out := fitted(t, 60, 3, 3, Options{Seed: 4})
		runtime.GOMAXPROCS(old)
		data, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
		} else if !bytes.Equal(first, data) {
			t.Error("another number of cores gives another committee")
		}
		var back Committee
		if err := json.Unmarshal(must(json.Marshal(out.Committee)), &back); err != nil {
			t.Fatal(err)
		}
		x, _ := bent(9, 3, 3, 8)
		if !floats.Equal(back.Scores(x), out.Committee.Scores(x)) {
			t.Error("what is read back says something else")
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Odd tables: more columns than rows, equal rows, constant columns, two rows of a class, separable classes.
func TestFitOddTables(t *testing.T) {
	for name, c := range map[string]struct {
		n, d, classes int
		change        func(x *rows.Dense, y []float64)
	}{
		"wide": {n: 20, d: 40},
		"equal": {n: 40, d: 2, change: func(x *rows.Dense, _ []float64) {
			copy(x.Data[20*x.Stride:], x.Data[:20*x.Stride])
		}},
		"all equal": {n: 30, d: 2, classes: 2, change: func(x *rows.Dense, _ []float64) { clear(x.Data) }},
		"constant": {n: 30, d: 3, change: func(x *rows.Dense, _ []float64) {
			for i := range x.N {
				x.Row(i)[1] = 0
			}
		}},
		"one target": {n: 30, d: 2, change: func(_ *rows.Dense, y []float64) { clear(y) }},
		"rare": {n: 30, d: 2, classes: 3, change: func(_ *rows.Dense, y []float64) {
			for i := range y {
				y[i] = float64(min(2, max(0, i-27)))
			}
		}},
		"separable": {n: 30, d: 2, classes: 2, change: func(x *rows.Dense, y []float64) {
			for i := range y {
				y[i] = float64(i % 2)
				x.Row(i)[0] = y[i]*2 - 1
			}
		}},
	} {
		x, y := bent(c.n, c.d, c.classes, 2)
		if c.change != nil {
			c.change(x, y)
		}
		out, err := Fit(context.Background(), x, y, c.classes, ownGroups(c.d), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, v := range append(out.Committee.Scores(x), out.Scores...) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s: a score is %v", name, v)
				break
			}
		}
	}
}

// Rows of a unit are on one side: a unit that tells its label helps on no other one.
func TestUnits(t *testing.T) {
	s := sample{y: make([]float64, 60), units: make([]int, 60)}
	for i := range s.units {
		s.units[i] = i / 3
	}
	of := s.folds(5, 0, rand.New(rand.NewPCG(1, 1)))
	for i, f := range of {
		if f != of[i/3*3] {
			t.Fatalf("unit %d is in two folds", i/3)
		}
	}
}

func TestFitEndsWithContext(t *testing.T) {
	x, y := bent(600, 12, 3, 1)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := Fit(ctx, x, y, 3, ownGroups(12), Options{}); err != context.Canceled {
		t.Errorf("the error is %v", err)
	}
}

func TestFitRefuses(t *testing.T) {
	x, y := bent(20, 2, 0, 1)
	nan := append([]float64{math.NaN()}, y[1:]...)
	for name, f := range map[string]func() error{
		"few rows": func() error {
			_, err := Fit(context.Background(), rows.NewDense(5, 2), y[:5], 0, []int{0, 1}, Options{})
			return err
		},
		"targets":    func() error { _, err := Fit(context.Background(), x, y[:19], 0, []int{0, 1}, Options{}); return err },
		"not finite": func() error { _, err := Fit(context.Background(), x, nan, 0, []int{0, 1}, Options{}); return err },
		"groups":     func() error { _, err := Fit(context.Background(), x, y, 0, []int{0, 5}, Options{}); return err },
		"class":      func() error { _, err := Fit(context.Background(), x, y, 2, []int{0, 1}, Options{}); return err },
		"units": func() error {
			_, err := Fit(context.Background(), x, y, 0, []int{0, 1}, Options{Units: make([]int, 20)})
			return err
		},
		"bounds":    func() error { _, err := NewProblem(x, y, 0, []int{0, 20}, []int{0, 1}, x); return err },
		"landmarks": func() error { _, err := NewProblem(x, y, 0, []int{0, 9, 20}, []int{0, 1}, nil); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
