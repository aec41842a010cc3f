package dataset

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bilevel-go/bilevel/rows"
)

func TestInstants(t *testing.T) {
	for _, c := range []struct {
		cells []string
		order string
		want  []float64
		wrong string
	}{
		{cells: []string{"3", "-1.5", "2e3"}, want: []float64{3, -1.5, 2000}},
		{cells: []string{"1970-01-02", "1970-01-01 01:00"}, want: []float64{86400, 3600}},
		{cells: []string{"13/01/1970", "02/01/1970"}, want: []float64{12 * 86400, 86400}},
		{cells: []string{"02/01/1970"}, order: "mdy", want: []float64{31 * 86400}},
		{cells: []string{"02/01/1970"}, wrong: "--date-order dmy or mdy"},
		{cells: []string{"13/01/1970", "01/13/1970"}, wrong: "no order"},
		{cells: []string{"2", "monday"}, wrong: "no time"},
		{cells: []string{"1", ""}, wrong: "no time"},
		{cells: []string{"1970-01-02", "12:00"}, wrong: "no time"},
		{cells: []string{"NaN"}, wrong: "no time"},
	} {
		s := &Set{Beside: map[string][]string{"at": c.cells}, Source: "f.csv"}
		got, err := s.Instants("at", c.order)
		if c.wrong != "" {
			wantError(t, err, c.wrong)
		} else if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%q: %v %v", c.cells, err, d)
		}
	}
}

// Groups stay together, and folds are alike in size and in classes.
func TestGroupFolds(t *testing.T) {
	const n = 400
	s := &Set{Y: make([]float64, n), Classes: []string{"a", "b"}, X: rows.NewDense(n, 1), Source: "f.csv"}
	groups := make([]string, n)
	for i := range n {
		g := i % 40
		groups[i] = string(rune('A' + g))
		if g%4 == 0 {
			s.Y[i] = 1
		}
	}
	of, err := s.GroupFolds(groups, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	fold := map[string]int{}
	counts := [4][2]int{}
	for i, f := range of {
		if was, ok := fold[groups[i]]; ok && was != f {
			t.Fatalf("group %s is in folds %d and %d", groups[i], was, f)
		}
		fold[groups[i]] = f
		counts[f][int(s.Y[i])]++
	}
	for f, c := range counts {
		if c[0] < 60 || c[0] > 90 || c[1] < 20 || c[1] > 30 {
			t.Errorf("fold %d has %v rows of the classes", f, c)
		}
	}
	if _, err := s.GroupFolds(groups, 41, 1); err == nil {
		t.Error("41 folds of 40 groups")
	}
	for i := range groups {
		groups[i] = map[bool]string{true: "one", false: groups[i]}[s.Y[i] == 1]
	}
	_, err = s.GroupFolds(groups, 4, 1)
	wantError(t, err, `class "b"`, "one group")
}
