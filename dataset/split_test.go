package dataset

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bilevel-go/bilevel/rows"
)

// numbered is a set whose only feature is the row number; counts are rows of each class, mixed.
func numbered(counts ...int) *Set {
	s := &Set{Source: "numbered", Schema: &Schema{Width: 1}}
	var v []float64
	for round := 0; ; round++ {
		more := false
		for c, n := range counts {
			if round < n {
				s.Y = append(s.Y, float64(c))
				v = append(v, float64(len(v)))
				more = true
			}
		}
		if !more {
			break
		}
	}
	for c := range counts {
		s.Classes = append(s.Classes, fmt.Sprint("class ", c))
	}
	s.X = rows.FromSlice(len(v), 1, v)
	return s
}

func numbers(s *Set) []int {
	var v []int
	for _, r := range values(s) {
		v = append(v, int(r[0]))
	}
	return v
}

func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOfN(rapid.IntRange(2, 40), 2, 5).Draw(t, "counts")
		s := numbered(counts...)
		n := len(s.Y)
		fraction := rapid.Float64Range(1/float64(n), 1-1/float64(n)).Draw(t, "fraction")
		seed := rapid.Uint64().Draw(t, "seed")
		rest, part, err := s.Split(fraction, seed, true)
		if err != nil {
			t.Fatal(err)
		}
		all := append(numbers(rest), numbers(part)...)
		slices.Sort(all)
		for i, v := range all {
			if i != v || len(all) != n {
				t.Fatalf("rows %v", all)
			}
		}
		for _, side := range []*Set{rest, part} {
			for i, v := range numbers(side) {
				if side.Y[i] != s.Y[v] {
					t.Fatal("labels do not go with rows")
				}
			}
		}
		for c, k := range part.ClassCounts() {
			exact := fraction * float64(counts[c])
			// Rounding, and rows that small classes must have on either side.
			if math.Abs(float64(k)-exact) > 0.5+float64(len(counts)) || k == 0 || k == counts[c] {
				t.Fatalf("%d of %d rows of class %d in a part of %v", k, counts[c], c, fraction)
			}
		}
		if exact := fraction * float64(n); math.Abs(float64(len(part.Y))-exact) > float64(len(counts)) {
			t.Fatalf("%d of %d rows in a part of %v", len(part.Y), n, fraction)
		}
		again, _, err := s.Split(fraction, seed, true)
		if err != nil || cmp.Diff(numbers(rest), numbers(again)) != "" {
			t.Fatal("the same seed gives another split")
		}
	})
	s := numbered(50, 50)
	rest, part, err := s.Split(0.3, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]int{{35, 35}, {15, 15}}, [][]int{rest.ClassCounts(), part.ClassCounts()}); d != "" {
		t.Error(d)
	}
	if other, _, _ := s.Split(0.3, 2, true); slices.Equal(numbers(rest), numbers(other)) {
		t.Error("another seed gives the same split")
	}
	if slices.IsSorted(numbers(rest)) {
		t.Error("rows are not shuffled")
	}
	for _, fraction := range []float64{0, 1, -1, 2, math.NaN()} {
		_, _, err := s.Split(fraction, 1, true)
		wantError(t, err, "not between 0 and 1")
	}
	_, _, err = s.Split(0.001, 1, true)
	wantError(t, err, "one side without rows")
	_, _, err = numbered(20, 1).Split(0.5, 1, true)
	wantError(t, err, `"class 1"`, "single row")
	_, _, err = numbered(50, 1).Split(0.5, 1, false)
	wantError(t, err, `"class 1"`, "stratified")
	s.Classes = nil
	if _, part, err = s.Split(0.25, 1, true); err != nil || len(part.Y) != 25 {
		t.Errorf("%d rows, %v", len(part.Y), err)
	}
}

func TestFolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOfN(rapid.IntRange(2, 30), 1, 5).Draw(t, "counts")
		s := numbered(counts...)
		k := rapid.IntRange(2, min(10, len(s.Y))).Draw(t, "k")
		fold, err := s.Folds(k, rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		size := make([]int, k)
		of := make([][]int, len(counts))
		for c := range of {
			of[c] = make([]int, k)
		}
		for i, f := range fold {
			size[f]++
			of[int(s.Y[i])][f]++
		}
		for _, v := range append(of, size) {
			if slices.Max(v)-slices.Min(v) > 1 {
				t.Fatalf("uneven folds: %v", v)
			}
		}
	})
	s := numbered(30, 30)
	a, _ := s.Folds(5, 1)
	b, _ := s.Folds(5, 1)
	c, _ := s.Folds(5, 2)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Error("folds do not follow the seed")
	}
	_, err := s.Folds(1, 1)
	wantError(t, err, "1 folds")
	_, err = s.Folds(61, 1)
	wantError(t, err, "61 folds", "2 to 60")
	_, err = numbered(9, 1).Folds(3, 1)
	wantError(t, err, "single row")
}

func TestShuffle(t *testing.T) {
	s := numbered(40, 40)
	a, b := s.Shuffle(3), s.Shuffle(3)
	if slices.IsSorted(numbers(a)) || !slices.Equal(numbers(a), numbers(b)) {
		t.Error("not shuffled by the seed")
	}
	for i, v := range numbers(a) {
		if a.Y[i] != s.Y[v] {
			t.Fatal("labels do not go with rows")
		}
	}
}

func TestGuessTask(t *testing.T) {
	repeat := func(n int, v ...float64) []float64 {
		var y []float64
		for range n {
			y = append(y, v...)
		}
		return y
	}
	for _, c := range []struct {
		s    Set
		want string
	}{
		{Set{}, ""},
		{Set{Y: repeat(5, -1, 1)}, "logistic"},
		{Set{Y: repeat(5, .3, .7)}, "logistic"},
		{Set{Y: repeat(5, 1)}, "logistic"},
		{Set{Y: repeat(5, 1, 2, 3)}, "softmax"},
		{Set{Y: repeat(4, 1, 2, 3)}, "ridge"},
		{Set{Y: repeat(5, 1, 2, 4)}, "ridge"},
		{Set{Y: repeat(20, 10, 20, 40)}, "softmax"},
		{Set{Y: repeat(100, 1, 2, 2.5)}, "ridge"},
		{Set{Y: []float64{1, 2, 3}}, "ridge"},
		{Set{Y: repeat(1, 0, 1), Classes: []string{"a", "b"}}, "logistic"},
		{Set{Y: repeat(1, 0, 1), Classes: []string{"a", "b", "c"}}, "softmax"},
	} {
		if got := c.s.GuessTask(); got != c.want {
			t.Errorf("%v %v: %q, want %q", c.s.Y, c.s.Classes, got, c.want)
		}
	}
}

func TestClasses(t *testing.T) {
	train := readString(t, "train", "10 1:1\n2 1:2\n10 1:3\n", Options{})
	if err := train.AsClasses(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"2", "10"}, train.Classes); d != "" || cmp.Diff([]float64{1, 0, 1}, train.Y) != "" {
		t.Error(d, train.Y)
	}
	if d := cmp.Diff(train.Classes, train.Schema.Classes); d != "" {
		t.Error(d)
	}
	val := readString(t, "val", "10.0 1:1\n", Options{})
	if err := val.MapClasses(train.Classes); err != nil || val.Y[0] != 1 {
		t.Errorf("%v, %v", val.Y, err)
	}
	wantError(t, readString(t, "val", "3 1:1\n", Options{}).MapClasses(train.Classes), "val", `"3"`, `"2", "10"`)
	named := readString(t, "v.csv", "a,y\n1,u\n2,w\n3,v\n", Options{})
	if err := named.MapClasses([]string{"w", "v", "u"}); err != nil || cmp.Diff([]float64{2, 0, 1}, named.Y) != "" {
		t.Errorf("%v, %v", named.Y, err)
	}
	wantError(t, named.MapClasses([]string{"u", "v"}), "v.csv", `"w"`)
	wantError(t, readString(t, "one", "1 1:1\n1 1:2\n", Options{}).AsClasses(), "one:", `only one class: "1"`)
	wantError(t, readString(t, "one.csv", "a,y\n1,x\n2,x\n", Options{}).AsClasses(), "one.csv:", `only one class: "x"`)
	var b strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&b, "%d 1:1\n", i)
	}
	wantError(t, readString(t, "many", b.String(), Options{}).AsClasses(), "many:", "more than 1000")
}

func TestScaler(t *testing.T) {
	x := rows.FromSlice(4, 3, []float64{1, .1, 5, 2, .1, -5, 3, .1, 5, 4, .1, -5})
	s := FitScaler(x)
	if d := cmp.Diff(&Scaler{Mean: []float64{2.5, .1, 0}, Scale: []float64{math.Sqrt(1.25), 1, 5}}, s); d != "" {
		t.Error(d)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var u Scaler
	if err := json.Unmarshal(b, &u); err != nil || cmp.Diff(s, &u) != "" {
		t.Errorf("%v: %v", err, u)
	}
	if d := cmp.Diff(s.Apply(x).WithOnes(), s.ApplyWithOnes(x)); d != "" {
		t.Error(d)
	}
	y := s.Apply(x)
	if err := rows.Check(y); err != nil {
		t.Error(err)
	}
	for j := range 3 {
		sum, square := 0.0, 0.0
		for i := range 4 {
			v := y.(*rows.Dense).Row(i)[j]
			sum += v
			square += v * v
		}
		if want := []float64{4, 0, 4}[j]; math.Abs(sum) > 1e-14 || math.Abs(square-want) > 1e-14 {
			t.Errorf("column %d: sum %v, squares %v", j, sum, square)
		}
	}
	// The mean of a constant must not be off by rounding, as the sum of ten tenths of 0.1 is.
	c := rows.FromSlice(10, 1, slices.Repeat([]float64{.1}, 10))
	if s = FitScaler(c); s.Mean[0] != .1 || s.Scale[0] != 1 || s.Apply(c).(*rows.Dense).Row(3)[0] != 0 {
		t.Errorf("a constant column: %+v", s)
	}
	// Sparse: column 0 has values 3 and 4 and two zeros, column 1 is constant, column 2 empty.
	z := &rows.CSR{N: 4, D: 3, Ptr: []int{0, 2, 4, 5, 6}, Idx: []int32{0, 1, 0, 1, 1, 1}, Val: []float64{3, 7, 4, 7, 7, 7}}
	s = FitScaler(z)
	if d := cmp.Diff(&Scaler{Mean: []float64{0, 0, 0}, Scale: []float64{2.5, 1, 1}}, s); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]float64{1.2, 7, 1.6, 7, 7, 7}, s.Apply(z).(*rows.CSR).Val); d != "" {
		t.Error(d)
	}
	if z.Val[0] != 3 {
		t.Error("Apply changed its argument")
	}
}
