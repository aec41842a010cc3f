package dataset

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const holes = "age,deck,fare,y\n20,A,1,no\n,B,2,yes\n40,,3,no\n30,B,NA,yes\n31,B,5,\n"

// Missing cells are counted by column, the first is named, and so are the flags.
func TestMissingCellsAreCounted(t *testing.T) {
	_, err := ReadFrom(t.Context(), strings.NewReader(holes), "f.csv", Options{})
	wantError(t, err, `f.csv:3: column "age"`, "the cell is empty, one of 4 of 5 rows",
		`"age" 1, "deck" 1, "fare" 1, "y" 1`,
		"--missing drop", "--missing impute")
	_, err = ReadFrom(t.Context(), strings.NewReader(holes), "f.csv", Options{Missing: "guess"})
	wantError(t, err, `"guess"`, "drop or impute")
	_, err = ReadFrom(t.Context(), strings.NewReader("a,y\n,1\n2,\n"), "f.csv", Options{Missing: DropMissing})
	wantError(t, err, "no row is complete")
	_, err = ReadFrom(t.Context(), strings.NewReader("a,b,y\n,1,1\n,2,2\n"), "f.csv", Options{Missing: ImputeMissing})
	wantError(t, err, `column "a"`, "leave the column out")
}

func TestDropMissing(t *testing.T) {
	for _, storage := range []Storage{Dense, Sparse} {
		s := readString(t, "f.csv", holes, Options{Missing: DropMissing, Storage: storage})
		if d := cmp.Diff([][]float64{{20, 1, 0, 1}}, values(s)); d != "" || len(s.Y) != 1 || len(s.Notes) != 1 ||
			!strings.Contains(s.Notes[0], "4 of 5 rows") || s.RowNumber(0) != 1 {
			t.Errorf("%s %v %q, row %d", d, s.Y, s.Notes, s.RowNumber(0))
		}
	}
	// Rows that are left know their places in the file, after a split too.
	s := readString(t, "f.csv", "a,y\n1,0\n,1\n3,0\n4,1\n,1\n6,1\n", Options{Missing: DropMissing})
	rest, part, err := s.Split(.5, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Set{s, rest, part, rest.Shuffle(1)} {
		for i, row := range values(s) {
			if s.RowNumber(i) != int(row[0]) {
				t.Errorf("row %d is %v", s.RowNumber(i), row)
			}
		}
	}
}

// Medians, most frequent levels and indicators, which other files get from the schema.
func TestImputeMissing(t *testing.T) {
	for _, storage := range []Storage{Dense, Sparse} {
		s := readString(t, "f.csv", holes, Options{Missing: ImputeMissing, Storage: storage})
		want := [][]float64{{20, 0, 1, 0, 0, 1, 0}, {30.5, 1, 0, 1, 0, 2, 0}, {40, 0, 0, 1, 1, 3, 0}, {30, 0, 0, 1, 0, 2.5,
			1}}
		if d := cmp.Diff(want, values(s)); d != "" {
			t.Error(d)
		}
		names := []string{"age", "age missing", "deck=A", "deck=B", "deck missing", "fare", "fare missing"}
		if d := cmp.Diff(names, s.Features); d != "" || !slices.Equal(s.Y, []float64{0, 1, 0, 1}) || len(s.Notes) != 2 {
			t.Errorf("%s %v %q", d, s.Y, s.Notes)
		}
		b, err := json.Marshal(s.Schema)
		if err != nil {
			t.Fatal(err)
		}
		like := new(Schema)
		if err := json.Unmarshal(b, like); err != nil {
			t.Fatal(err)
		}
		if err := like.Check(); err != nil {
			t.Fatal(err)
		}
		u := readString(t, "u.csv", "fare,age,deck,y\nNaN,1,?,\n7,,A,\n", Options{Like: like, OptionalLabel: true})
		if d := cmp.Diff([][]float64{{1, 0, 0, 1, 1, 2.5, 1}, {30.5, 1, 1, 0, 0, 7, 0}}, values(u)); d != "" || u.Y != nil {
			t.Errorf("%s %v", d, u.Y)
		}
		like.Columns[1].Filling.Level = "C"
		if err := like.Check(); err == nil || !strings.Contains(err.Error(), `"C"`) {
			t.Errorf("%v", err)
		}
	}
	// A column that was complete has a filling and no indicator.
	s := readString(t, "f.csv", "a,b,y\n1,5,0\n3,6,1\n", Options{Missing: ImputeMissing})
	u := readString(t, "u.csv", "a,b,y\n,5,0\n", Options{Like: s.Schema})
	if d := cmp.Diff([][]float64{{2, 5}}, values(u)); d != "" {
		t.Error(d)
	}
	// Without the flag, or rows dropped in training, a missing cell of a prediction is an error.
	for _, m := range []Missing{"", DropMissing} {
		s := readString(t, "f.csv", "a,b,y\n1,5,0\n3,6,1\n", Options{Missing: m})
		_, err := ReadFrom(t.Context(), strings.NewReader("a,b,y\n,5,0\n"), "u.csv", Options{Like: s.Schema,
			OptionalLabel: true})
		wantError(t, err, `u.csv:2: column "a"`, "empty")
	}
}
