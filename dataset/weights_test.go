package dataset

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// npyOf is a file of numbers in one dimension.
func npyOf(t *testing.T, v ...float64) string {
	t.Helper()
	var b bytes.Buffer
	head := "{'descr': '<f8', 'fortran_order': False, 'shape': (" + formatNumber(float64(len(v))) + ",), }"
	head += strings.Repeat(" ", 117-len(head)) + "\n"
	b.WriteString("\x93NUMPY\x01\x00")
	binary.Write(&b, binary.LittleEndian, uint16(len(head)))
	b.WriteString(head)
	binary.Write(&b, binary.LittleEndian, v)
	path := filepath.Join(t.TempDir(), "w.npy")
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// A column of weights is no feature, goes with its rows, is found again in files read like this one, and need not be
// there.
func TestWeights(t *testing.T) {
	const text = "a,w,y\n1,2,0\n,7,1\n3,0.5,1\n"
	s := readString(t, "f.csv", text, Options{Weight: "w", Missing: DropMissing})
	if d := cmp.Diff([]float64{2, .5}, s.Weights) + cmp.Diff([]string{"a"}, s.Features); d != "" || s.Beside["w"] != nil {
		t.Error(d, s.Beside)
	}
	if u := s.Subset([]int{1}); u.Weights[0] != .5 || u.Mass() != .5 || u.Weight(0) != .5 {
		t.Errorf("weights %v", u.Weights)
	}
	like := readString(t, "g.csv", "w,y,a\n4,1,2\n", Options{Like: s.Schema})
	if d := cmp.Diff([]float64{4}, like.Weights); d != "" || len(like.Notes) > 0 {
		t.Error(d, like.Notes)
	}
	if none := readString(t, "g.csv", "y,a\n1,2\n", Options{Like: s.Schema}); none.Weights != nil || none.Mass() != 1 {
		t.Errorf("weights %v", none.Weights)
	}
	comma := readString(t, "f.csv", "a;w;y\n1;2,5;0\n2;1;1\n", Options{Weight: "w", Decimal: ','})
	if comma.Weights[0] != 2.5 {
		t.Errorf("weights %v", comma.Weights)
	}
	// A file of weights has one for each row, those included that are left out.
	s = readString(t, "f.csv", text, Options{Drop: []string{"w"}, Weights: npyOf(t, 1, 2, 3), Missing: DropMissing})
	if d := cmp.Diff([]float64{1, 3}, s.Weights); d != "" {
		t.Error(d)
	}
	svm := readString(t, "f.svm", "1 1:2\n0 1:3\n", Options{Weights: npyOf(t, 1, 2)})
	if d := cmp.Diff([]float64{1, 2}, svm.Weights); d != "" {
		t.Error(d)
	}
}

func TestWeightErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		o          Options
		want       string
	}{
		{"f.csv", "a,w,y\n1,2,0\n2,,1\n", Options{Weight: "w"}, `row 2: column "w": the weight is missing; give a number`},
		{"f.csv", "a,w,y\n1,2,0\n2,x,1\n", Options{Weight: "w"}, `row 2: column "w": the weight "x" is not a number`},
		{"f.csv", "a,w,y\n1,-2,0\n2,1,1\n", Options{Weight: "w"}, `row 1: column "w": the weight is -2; weights are finite`},
		{"f.csv", "a,w,y\n1,inf,0\n2,1,1\n", Options{Weight: "w"}, `row 1: column "w": the weight "inf" is not a number`},
		{"f.csv", "a,w,y\n1,0,0\n2,0,1\n", Options{Weight: "w"}, `column "w": all weights are zero`},
		{"f.csv", "a,w,y\n1,0,0\n2,0,1\n", Options{Weight: "v"}, `there is no column "v"`},
		{"f.csv", "a,w,y\n1,0,0\n2,0,1\n", Options{Weight: "y", Label: "y"}, "the column is the label"},
		{"f.csv", "a,w,y\n1,0,0\n2,0,1\n", Options{Weights: npyOf(t, 1)}, "there are 1 weights for the 2 rows of f.csv"},
		{"f.csv", "a,w,y\n1,0,0\n2,0,1\n", Options{Weight: "w", Weights: "w.npy"}, "at once"},
		{"f.svm", "1 1:2\n0 1:3\n", Options{Weight: "w"}, "give a file of weights (--weights)"},
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(c.text), c.name, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// Scales are those of as many copies of each row as its weight says.
func TestWeightsScale(t *testing.T) {
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-14 })
	for _, storage := range []Storage{Dense, Sparse} {
		o := Options{Weight: "w", Storage: storage}
		weighed := readString(t, "f.csv", "a,b,w,y\n1,0,2,0\n5,1,0,1\n3,7,1,1\n", o)
		copies := readString(t, "f.csv", "a,b,w,y\n1,0,1,0\n1,0,1,0\n3,7,1,1\n", o)
		if d := cmp.Diff(copies.FitScaler(), weighed.FitScaler(), near); d != "" {
			t.Error(d)
		}
	}
}
