package dataset

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Missing values of arrays are those of tables.
func TestMissingInArrays(t *testing.T) {
	nan := math.NaN()
	x := [][]float64{{1, nan, 7}, {3, 5, nan}, {nan, 6, 8}, {9, 8, 9}}
	c := npyFile("<f8", false, "(4, 3)", []float64{1, nan, 7, 3, 5, nan, nan, 6, 8, 9, 8, 9})
	f := npyFile("<f8", true, "(4, 3)", []float64{x[0][0], x[1][0], x[2][0], x[3][0], nan, 5, 6, 8, 7, nan, 8, 9})
	y := writeFile(t, t.TempDir(), "y.npy", npyFile("<i8", false, "(4,)", []int64{1, 2, 1, 2}))
	for _, file := range [][]byte{c, f} {
		read := func(o Options) (*Set, error) { return ReadFrom(t.Context(), bytes.NewReader(file), "x.npy", o) }
		_, err := read(Options{Labels: y})
		wantError(t, err, "is NaN, one of 3", "--missing drop", "--missing impute")
		s, err := read(Options{Labels: y, Missing: DropMissing})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([][]float64{{9, 8, 9}}, values(s)); d != "" || !cmp.Equal(s.Y, []float64{2}) {
			t.Errorf("%s %v", d, s.Y)
		}
		s, err = read(Options{Labels: y, Missing: ImputeMissing, Target: ClassTarget})
		if err != nil {
			t.Fatal(err)
		}
		want := [][]float64{{1, 0, 6, 1, 7, 0}, {3, 0, 5, 0, 8, 1}, {3, 1, 6, 0, 8, 0}, {9, 0, 8, 0, 9, 0}}
		if d := cmp.Diff(want, values(s)); d != "" || !cmp.Equal(s.Classes, []string{"1", "2"}) || s.Schema.Label != "" {
			t.Errorf("%s %q", d, s.Classes)
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
		// Predictions without labels, and with the label as the last column.
		u, err := read(Options{Like: like, OptionalLabel: true})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, values(u)); d != "" || u.Y != nil {
			t.Errorf("%s %v", d, u.Y)
		}
		labelled := npyFile("<f8", false, "(2, 4)", []float64{nan, 2, 4, 2, 1, nan, 3, nan})
		u, err = ReadFrom(t.Context(), bytes.NewReader(labelled), "u.npy", Options{Like: like, OptionalLabel: true})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([][]float64{{3, 1, 2, 0, 4, 0}, {1, 0, 6, 1, 3, 0}}, values(u)); d != "" || u.Y[0] != 1 ||
			!math.IsNaN(u.Y[1]) {
			t.Errorf("%s %v", d, u.Y)
		}
	}
	// The last column is the label.
	s, err := ReadFrom(t.Context(), bytes.NewReader(c), "x.npy", Options{Missing: DropMissing})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]float64{{9, 8}}, values(s)); d != "" || !cmp.Equal(s.Y, []float64{9}) {
		t.Errorf("%s %v", d, s.Y)
	}
}
