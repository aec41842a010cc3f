package dataset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		cells []string
		order string
		most  int
		want  []string
		wrong string
	}{
		{cells: []string{"ann", " bob ", "ann"}, want: []string{"ann", "bob", "ann"}},
		{cells: []string{"1", "2", "20210403"}, want: []string{"1", "2", "20210403"}},
		{cells: []string{"2021-04-03", "2021-04-30", "2021-05-01"}, want: []string{"2021-04", "2021-04", "2021-05"}},
		{cells: []string{"2021-04-03 23:59", "2022-01-01 00:00", "2021-05-01 12:00"}, most: 2,
			want: []string{"2021", "2022", "2021"}},
		{cells: []string{"03/04/2021", "13/04/2021"}, want: []string{"2021-04", "2021-04"}},
		{cells: []string{"03/04/2021", "04/05/2021"}, order: "mdy", want: []string{"2021-03", "2021-04"}},
		{cells: []string{"03/04/2021", "04/05/2021"}, wrong: "open"},
		{cells: []string{"2021-04-03", "soon"}, want: []string{"2021-04-03", "soon"}},
		{cells: []string{"a", " "}, wrong: "the cell is empty"},
	} {
		s := &Set{Beside: map[string][]string{"when": c.cells}, Source: "f.csv"}
		if c.most == 0 {
			c.most = 10
		}
		got, err := s.Periods("when", c.order, c.most)
		if c.wrong != "" {
			wantError(t, err, "f.csv", c.wrong)
		} else if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%q: %v %s", c.cells, err, d)
		}
	}
	if _, err := (&Set{}).Periods("when", "", 10); err == nil {
		t.Error("a column that is not there was taken")
	}
}
