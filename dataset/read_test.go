package dataset

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/bilevel-go/bilevel/rows"
)

// values are the features of a set, row by row.
func values(s *Set) [][]float64 {
	n, d := s.Dims()
	v := make([][]float64, n)
	for i := range v {
		v[i] = make([]float64, d)
		switch x := s.X.(type) {
		case *rows.Dense:
			copy(v[i], x.Row(i))
		case *rows.CSR:
			idx, val := x.Row(i)
			for k, j := range idx {
				v[i][j] = val[k]
			}
		}
	}
	return v
}

// wantError checks that err is an *Error whose text contains all parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v (%T), want an *Error", err, err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error is %q, want it to contain %q", err, p)
		}
	}
}

func TestLIBSVM(t *testing.T) {
	if s := readString(t, "q", "1 qid:3 1:1\n0 qid:3 1:2\n", Options{}); !strings.Contains(strings.Join(s.Notes, ""),
		"2 query ids") {
		t.Error(s.Notes)
	}
	const text = "# a comment\n+1 1:0.5 3:-2e-1 # first\r\n\n-1.0 qid:7 4:0 2:7\n  0\t\n3 # nothing\n-1 1:1"
	want := [][]float64{{.5, 0, -.2, 0}, {0, 7, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 0}}
	for _, storage := range []Storage{AutoStorage, Dense, Sparse} {
		s := readString(t, "x", text, Options{Storage: storage})
		if _, sparse := s.X.(*rows.CSR); sparse != (storage == Sparse) || s.Schema.Sparse != sparse {
			t.Errorf("storage %v gave %T", storage, s.X)
		}
		if d := cmp.Diff(want, values(s)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]float64{1, -1, 0, 3, -1}, s.Y); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"f1", "f2", "f3", "f4"}, s.Features); d != "" || s.FeatureName(3) != "f4" {
			t.Error(d)
		}
	}
	s := readString(t, "x", "1 0:5 1:6\n2 0:1\n", Options{ZeroBased: true})
	if d := cmp.Diff([][]float64{{5, 6}, {1, 0}}, values(s)); d != "" || s.FeatureName(0) != "f0" {
		t.Error(d)
	}
	s = readString(t, "x", "1:5\n2:1\n", Options{OptionalLabel: true})
	if s.Y != nil {
		t.Errorf("targets of rows without labels: %v", s.Y)
	}
	s = readString(t, "x", "1 1:5\n2 2:1\n", Options{NoLabel: true})
	if s.Y != nil {
		t.Errorf("targets though none are asked for: %v", s.Y)
	}
}

func TestLIBSVMErrors(t *testing.T) {
	model := &Schema{Format: "libsvm", Width: 3, Classes: []string{"-1", "1"}}
	for _, c := range []struct {
		text string
		o    Options
		want []string
	}{
		{"1 1:2\n1 2:x\n", Options{}, []string{`f:2: column "2"`, `"x"`, "not a finite number"}},
		{"1 1:2\n\n# c\n1 2:nan\n", Options{}, []string{`f:4: column "2"`, "missing or not finite", "fill in"}},
		{"1 1:2\n1 1:2 3:-1e60\n", Options{}, []string{`f:2: column "3"`, "-1e+60 is beyond", "scale the column"}},
		{"1 1:2\n1e60 1:2\n", Options{}, []string{"f:2:", "label 1e+60 is beyond", "scale the column"}},
		{"1 1:2\r1 1:3\r", Options{Format: "libsvm"}, []string{"f:1:", "carriage return"}},
		{"1 1:1e999\n", Options{}, []string{`f:1: column "1"`, "finite"}},
		{"1 1:2 1:3\n", Options{}, []string{`f:1: column "1"`, "twice"}},
		{"1 3:2 1:3 3:1\n", Options{}, []string{`f:1: column "3"`, "twice"}},
		{"1 0:2 1:3\n", Options{}, []string{"f:1:", "start at 1", "--zero-based"}},
		{"1 99999999999999999999:2\n", Options{}, []string{"f:1:", "too large"}},
		{"1 67108865:2\n", Options{}, []string{"f:1:", "too large"}},
		{"1 1:\n", Options{}, []string{`f:1: column "1"`}},
		{"1 1:2 foo\n", Options{Format: "libsvm"}, []string{"f:1:", `"foo" is not index:value`}},
		{"1 1:2 3\n", Options{Format: "libsvm"}, []string{"f:1:", `"3" is not index:value`}},
		{"1 1:2 -3:4\n", Options{Format: "libsvm"}, []string{"f:1:", `"-3:4"`}},
		{"spam 1:2\n", Options{}, []string{"f:1:", `"spam" is not a finite number`, "give each class one"}},
		{"1 1:1\nnan 1:2\n", Options{}, []string{"f:2:", "missing or not finite"}},
		{"1 1:1\n2:2\n", Options{}, []string{"f:2:", "label is missing"}},
		{"1 1:1\n2:2\n", Options{OptionalLabel: true}, []string{"f:2:", "line 1 has a label and line 2 has none"}},
		{"1\n2\n", Options{Format: "libsvm"}, []string{"no row has a feature"}},
		{"# only\n\n", Options{Format: "libsvm"}, []string{"no rows"}},
		{"1 1:1\n0 2:2\n", Options{Like: model}, []string{"f:2:", "label 0", `"-1", "1"`}},
		{"1 1:1\n1 2:\x002\n", Options{Format: "libsvm"}, []string{"f:2:"}},
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(c.text), "f", c.o)
		t.Run(c.text, func(t *testing.T) { wantError(t, err, c.want...) })
	}
}

// Chunks and processors must not show: a text of several chunks with comments, a line longer than a chunk,
// and an error near the end.
func TestLIBSVMChunks(t *testing.T) {
	text := svmText(1200 << 10)
	var long bytes.Buffer
	long.WriteString("1")
	for j := range 300000 {
		fmt.Fprintf(&long, " %d:%d", j+1, j%7)
	}
	long.WriteByte('\n')
	text = append(append(append([]byte{}, text...), long.Bytes()...), text...)
	lines := bytes.Count(text, []byte("\n"))
	var sets []*Set
	for _, procs := range []int{1, 4} {
		old := runtime.GOMAXPROCS(procs)
		s, err := ReadFrom(t.Context(), bytes.NewReader(text), "f", Options{})
		if err == nil {
			err = rows.Check(s.X)
		}
		_, bad := ReadFrom(t.Context(), io.MultiReader(bytes.NewReader(text), strings.NewReader("1 1:1\n1 x\n1 y\n")), "f",
			Options{})
		runtime.GOMAXPROCS(old)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, s)
		wantError(t, bad, fmt.Sprintf("f:%d:", lines+2), `"x"`)
	}
	if n, d := sets[0].Dims(); n != lines || d != 300000 {
		t.Errorf("%d × %d, want %d × 300000", n, d, lines)
	}
	if !reflect.DeepEqual(sets[0], sets[1]) {
		t.Error("results depend on the number of processors")
	}
}

func TestCSV(t *testing.T) {
	const text = "size,\"col, our\",note,y\n1.5,red,7,a\n\n-2,\"b\"\"lue\",NA,b\n3e1, red ,x,a\n"
	s := readString(t, "t.csv", text, Options{})
	if d := cmp.Diff([]string{"size", `col, our=b"lue`, "col, our=red", "note=7", "note=NA", "note=x"},
		s.Features); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]float64{{1.5, 0, 1, 1, 0, 0}, {-2, 1, 0, 0, 1, 0}, {30, 0, 1, 0, 0, 1}}, values(s)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a", "b"}, s.Classes); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]float64{0, 1, 0}, s.Y); d != "" {
		t.Error(d)
	}
	if s.GuessTask() != "logistic" || s.Schema.Label != "y" {
		t.Errorf("%q, label %q", s.GuessTask(), s.Schema.Label)
	}

	// The schema survives JSON and reads another file into the same features, in any order of columns.
	b, err := json.Marshal(s.Schema)
	if err != nil {
		t.Fatal(err)
	}
	like := new(Schema)
	if err := json.Unmarshal(b, like); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s.Schema, like); d != "" {
		t.Error(d)
	}
	u := readString(t, "u.csv", "note,y,\"col, our\",size\n7.0,b,red,1\n", Options{Like: like})
	if d := cmp.Diff([][]float64{{1, 0, 1, 1, 0, 0}}, values(u)); d != "" {
		t.Error(d)
	}
	if u.Y[0] != 1 {
		t.Errorf("label b is %v", u.Y[0])
	}
	u = readString(t, "u.csv", "size,\"col, our\",note\n1,red,x\n", Options{Like: like, OptionalLabel: true})
	if u.Y != nil || cmp.Diff(s.Features, u.Features) != "" {
		t.Errorf("targets %v, features %v", u.Y, u.Features)
	}
	u = readString(t, "u.csv", "size,\"col, our\",note,y\n1,green,x,\n",
		Options{Like: like, NoLabel: true, UnseenLevels: UnseenZero})
	if d := cmp.Diff([][]float64{{1, 0, 0, 0, 0, 1}}, values(u)); d != "" || u.Y != nil {
		t.Error(d)
	}
}

func TestCSVLabels(t *testing.T) {
	const text = "a,Target,b\n1,5,7\n2,6,8\n"
	for _, c := range []struct {
		o        Options
		label    string
		features string
	}{
		{Options{}, "Target", "a b"},
		{Options{Label: "b"}, "b", "a Target"},
		{Options{Label: "1"}, "a", "Target b"},
		{Options{NoLabel: true}, "", "a Target b"},
	} {
		s := readString(t, "x.csv", text, c.o)
		if s.Schema.Label != c.label || strings.Join(s.Features, " ") != c.features || (s.Y == nil) != c.o.NoLabel {
			t.Errorf("%+v: label %q, features %q, targets %v", c.o, s.Schema.Label, s.Features, s.Y)
		}
	}
	if s := readString(t, "x.csv", "a,b\n1,2\n", Options{OptionalLabel: true}); s.Y != nil {
		t.Error("the last column is an optional label")
	}
	if s := readString(t, "x.csv", "a,y\n1,2\n1,10\n",
		Options{Target: ClassTarget}); cmp.Diff(s.Classes, []string{"2", "10"}) != "" {
		t.Errorf("classes %q", s.Classes)
	}
	if s := readString(t, "x", "a\ty\n1\t2\n", Options{}); s.Schema.Format != "tsv" {
		t.Errorf("format %q", s.Schema.Format)
	}
	if s := readString(t, "x.csv", "\xef\xbb\xbfa;y\n1;2\n", Options{}); s.Features[0] != "a" || s.Y[0] != 2 {
		t.Errorf("features %q", s.Features)
	}
	if s := readString(t, "x.csv", "5,1\n6,2", Options{NoHeader: true}); s.Features[0] != "f1" || len(s.Y) != 2 {
		t.Errorf("features %q", s.Features)
	}
	if s := readString(t, "x.csv", ",y\n6,2", Options{}); s.Features[0] != "column1" {
		t.Errorf("features %q", s.Features)
	}
}

func TestCSVErrors(t *testing.T) {
	like := &Schema{Format: "csv", Width: 3, Label: "y", Classes: []string{"0", "1"},
		Columns: []Column{{Name: "age", Kind: Numeric}, {Name: "sex", Kind: Categorical, Levels: []string{"f", "m"}}}}
	abcd := &Schema{Format: "csv", Width: 4, Label: "y", Classes: []string{"0", "1"},
		Columns: []Column{{Name: "a", Kind: Numeric}, {Name: "b", Kind: Numeric}, {Name: "c", Kind: Numeric}, {Name: "d",
			Kind: Numeric}}}
	ridge := &Schema{Format: "csv", Width: 1, Label: "y", Columns: []Column{{Name: "a", Kind: Numeric}}}
	many := func(cell string, n int) string {
		var b strings.Builder
		b.WriteString("id,y\n")
		for i := range n {
			fmt.Fprintf(&b, cell+",1\n", i)
		}
		return b.String()
	}
	for _, c := range []struct {
		text string
		o    Options
		want []string
	}{
		{"a,y\n1,2\n1\n", Options{}, []string{"f.csv:3:", "1 cells where the header has 2"}},
		{"a,y\n1,2\n\n1,2,3\n", Options{}, []string{"f.csv:4:", "3 cells where the header has 2"}},
		{"a,y\n1,2\n,3\n", Options{}, []string{`f.csv:3: column "a"`, "empty", "fill in"}},
		{"a,y\n1,2\nNaN,3\n4,5\n", Options{}, []string{`f.csv:3: column "a"`, `"NaN" is missing or not finite`}},
		{"a,y\n1,2\n-inf,3\n4,5\n", Options{}, []string{`f.csv:3: column "a"`, `"-inf"`}},
		{"a,y\n1,2\n3,\n", Options{}, []string{`f.csv:3: column "y"`, "label is empty"}},
		{"a,y\n1,2\n3,nan\n", Options{}, []string{`f.csv:3: column "y"`, `label "nan" is missing`}},
		{"a,y\n1,2\n3,x\n", Options{Target: NumericTarget}, []string{`f.csv:3: column "y"`, `label "x" is not a number`}},
		{"a,y\n", Options{}, []string{"f.csv:", "no rows"}},
		{"\n\n", Options{}, []string{"f.csv:", "no rows"}},
		{"1,2\n3,4\n", Options{}, []string{"f.csv:1:", "not a header"}},
		{"a,a,y\n1,2,3\n", Options{}, []string{`f.csv:1: column "a"`, "columns 1 and 2"}},
		{"a,y\n1,2\n", Options{Label: "z"}, []string{"f.csv:1:", `no label column "z"`, `"a", "y"`}},
		{"a,y\n1,2\n", Options{Label: "3"}, []string{"f.csv:1:", "no column 3"}},
		{"y\n1\n", Options{}, []string{"f.csv:1:", "no feature column"}},
		{"a,y\n1,\"2\n3,4\n", Options{}, []string{"f.csv:2:", "quote"}},
		{"a,y\n1,2\n1,b\"2\n", Options{}, []string{"f.csv:3:", "quote"}},
		{many("u%d", 1001), Options{}, []string{`column "id"`, "more than 1000", "identifier"}},
		{many("%d", 1500) + "x,2\n", Options{}, []string{`f.csv:1502: column "id"`, `"x" is not a number, and 1500 cells`,
			"--categorical"}},
		{many("%d,5", 1500), Options{}, []string{"f.csv:2:", "3 cells"}},
		{"height,sex,y\n1,f,0\n", Options{Like: like}, []string{"f.csv:1:",
			`column 1 is "height" where the model has "age"`}},
		{"age,y\n1,0\n", Options{Like: like}, []string{"f.csv:1:", `the column "sex" is missing, which the model has`}},
		{"b,a,c,y\n1,2,3,0\n", Options{Like: abcd, LikeName: "the training file"},
			[]string{"f.csv:1:", `the column "d" is missing, which the training file has`, "columns of the training file"}},
		{"b,a,e,c,y\n1,2,3,4,0\n", Options{Like: abcd}, []string{"f.csv:1:", `the column "d" is missing`}},
		{"a,b,c,d,y\n1,2,3,4,5\n", Options{Like: abcd, LikeName: "the training file"},
			[]string{"f.csv:2:", `none of the training file's classes`}},
		{"1,2,2\n3,4,5\n", Options{}, []string{"f.csv:1:", "not a header", "--no-header"}},
		{"a,y\r1,2\r3,4\r", Options{}, []string{"f.csv:1:", "carriage return", "LF"}},
		{"a,y\n1,2\r3,4\r5,6", Options{}, []string{"f.csv:2:", "carriage return", "LF"}},
		{"a,y\n1,2\ncaf\xe9,4\n", Options{}, []string{`f.csv:3: column "a"`, "not UTF-8", "save the file as UTF-8"}},
		{"caf\xe9,y\n1,2\n", Options{}, []string{"f.csv:1:", "not UTF-8", "save the file as UTF-8"}},
		{"a,y\n1,2\n1e300,4\n5,1\n", Options{}, []string{`f.csv:3: column "a"`, "1e+300 is beyond ±1e+50",
			"scale the column"}},
		{"a,y\n1,2\n3,-1e200\n5,1\n", Options{}, []string{`f.csv:3: column "y"`, "label -1e+200", "scale the column"}},
		{"a,y\n1,2\n1e51,4\n", Options{Like: ridge}, []string{`f.csv:3: column "a"`, "1e+51", "scale the column"}},
		{many("%d", 30) + "0x10,1\n5,1\n1_000,1\n", Options{},
			[]string{`f.csv:32: column "id"`, `"0x10" is not a number`, "--categorical"}},
		{many("%d", 30) + "1e400,1\n", Options{}, []string{`f.csv:32: column "id"`, `"1e400" is not a number`}},
		{many("1,%d.5", 0) + strings.Repeat("1,2\n", 12) + "1,x\n", Options{},
			[]string{`f.csv:14: column "y"`, `label "x" is not a number`}},
		{many("u%d", 20), Options{}, []string{`f.csv:2: column "id"`, "20 rows have 20 different values", "identifier",
			"remove the column"}},
		{strings.Replace(many("1,u%d", 20), ",1\n", "\n", -1), Options{},
			[]string{`column "y"`, "20 different labels", "choose another"}},
		{"a,y\n1,2\n", Options{Categorical: []string{"b"}}, []string{`no categorical column "b"`}},
		{"1 1:2\n", Options{Categorical: []string{"b"}}, []string{"no names"}},
		{"age,sex,z\n1,f,0\n", Options{Like: like}, []string{"f.csv:1:", `no label column "y"`}},
		{"age,sex,y\n1,f,0\n2,x,0\n", Options{Like: like},
			[]string{`f.csv:3: column "sex"`, `level "x"`, `"f", "m"`, "train with"}},
		{"age,sex,y\n1,f,0\n2,m,2\n", Options{Like: like}, []string{`f.csv:3: column "y"`, `label "2"`, `"0", "1"`}},
		{"age,sex,y\nold,f,0\n", Options{Like: like}, []string{`f.csv:2: column "age"`, `"old" is not a number`}},
		{"a,y\n\"1,5\",0\n", Options{Like: ridge}, []string{`f.csv:2: column "a"`, "decimal point", "1.5"}},
		{"a,y\n1,x\n", Options{Like: ridge}, []string{`f.csv:2: column "y"`, "train a model for classes"}},
		{"b,y\n1,0\n", Options{Like: ridge}, []string{"f.csv:1:", `column 1 is "b" where the model has "a"`}},
		{"a,b,y\n1,2,0\n", Options{Like: &Schema{Format: "libsvm", Width: 3}}, []string{"2 features where the model has 3"}},
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(c.text), "f.csv", c.o)
		t.Run(c.text[:min(len(c.text), 20)], func(t *testing.T) { wantError(t, err, c.want...) })
	}
}

// What looks like a slip or an identifier is taken where that is asked for or not clear.
func TestCategorical(t *testing.T) {
	column := func(cells ...string) string { return "a,y\n" + strings.Join(cells, ",0\n") + ",0\n" }
	var ten, mixed, ids []string
	for i := range 10 {
		ten = append(ten, fmt.Sprint(i))
	}
	for i := range 20 {
		mixed = append(mixed, fmt.Sprint(i%8))
		ids = append(ids, fmt.Sprintf("u%d", i))
	}
	for _, c := range []struct {
		text   string
		o      Options
		levels int
	}{
		{column(append(ten[1:], "x")...), Options{}, 10},                                // nine numbers
		{column(append(mixed, "x", "y", "z")...), Options{}, 11},                        // three of 23 are words
		{column(append(ten, "x")...), Options{Categorical: []string{"a"}}, 11},          // asked for
		{column(ids...), Options{Categorical: []string{"a"}}, 20},                       //
		{column(ids[:19]...), Options{}, 19},                                            // too few rows
		{column(append(ids[:10:10], ids[:10]...)...), Options{}, 10},                    // half of the rows
		{column(append(ten, "1e300")...), Options{Categorical: []string{"a"}}, 11},      // a name, not a number
		{"a,y\n1,2\n1,3\n", Options{Categorical: []string{"y"}, Target: AutoTarget}, 1}, // labels
		{"a,y\nna\u00efve,1\nb,2\n", Options{}, 2},                                      // UTF-8
		// A carriage return in a cell.
		{"a,y\n\"x\rz\",1\nb,2\n", Options{}, 2},
		{"a,y\r\n1,1\r\n2,2\r\n", Options{}, 1},                                                   // line ends of Windows
		{"a,y\n1e50,-1e50\n2,2\n", Options{}, 1},                                                  // just in the range
		{"a,y\n" + strings.Repeat("1,2\n", 12) + "1,x\n", Options{Categorical: []string{"y"}}, 1}, // labels again
	} {
		s, err := ReadFrom(t.Context(), strings.NewReader(c.text), "f.csv", c.o)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if _, d := s.Dims(); d != c.levels {
			t.Errorf("%q: %d features, want %d", c.text, d, c.levels)
		}
		if len(c.o.Categorical) > 0 && c.o.Categorical[0] == "y" && len(s.Classes) != 2 {
			t.Errorf("%q: classes %q", c.text, s.Classes)
		}
		c.o.Like = s.Schema
		if _, err := ReadFrom(t.Context(), strings.NewReader(c.text), "f.csv", c.o); err != nil {
			t.Errorf("%q does not fit its own schema: %v", c.text, err)
		}
	}
}

func TestInputErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gz := compressed(t, svmText(1<<18))["gzip"]
	for _, c := range []struct {
		path string
		want []string
	}{
		{filepath.Join(dir, "none.csv"), []string{"none.csv", "not exist"}},
		{dir, []string{"no class folders", "name a file in it; a folder of documents has"}},
		{write("empty.csv", nil), []string{"empty.csv", "is empty"}},
		{write("junk.csv", []byte("a,b\n\x00\x01\x02")), []string{"binary data", "0x00"}},
		{write("x.zip", []byte("PK\x03\x04....")), []string{"zip archive", "truncated"}},
		{write("x.csv", []byte("\xff\xfea\x00,\x00")), []string{"UTF-16"}},
		{write("cut.svm.gz", gz[:len(gz)/2]), []string{"cut.svm.gz", "gzip stream ends early", "again"}},
		{write("cut2.gz", gz[:5]), []string{"gzip", "ends early"}},
		{write("bad.gz", append(append([]byte{}, gz[:len(gz)/2]...), gz[:200]...)), []string{"gzip"}},
		{write("nothing.gz", compressed(t, nil)["gzip"]), []string{"holds no data"}},
		{write("words", []byte("hello world\n")), []string{"not recognised", "name the format"}},
		{write("x.xlsx", zipOf(t, map[string]string{"xl/workbook.xml": ""})), []string{"Excel", "save the sheet as CSV",
			"read_excel"}},
		{write("x.ods", zipOf(t, map[string]string{"mimetype": ""})), []string{"OpenDocument", "odf"}},
		{write("x.xls", []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")), []string{"Excel", "save the sheet as CSV"}},
		{write("x.pkl", []byte("\x80\x04\x95")), []string{"pickle", "x.pkl').to_csv('x.csv', index=False)"}},
		{write("x.h5", []byte("\x89HDF\r\n\x1a\n")), []string{"HDF5", "read_hdf"}},
		{write("x.rds", compressed(t, []byte("X\n\x00\x00\x00\x03"))["gzip"]), []string{"file of R", "readRDS"}},
		{write("x.RData", compressed(t, []byte("RDX3\nX\n"))["xz"]), []string{"file of R", "readRDS"}},
		{write("x.sas7bdat", append(make([]byte, 12), 0xc2, 0xea, 0x81, 0x60)), []string{"SAS", "read_sas"}},
		{write("x.dta", []byte("<stata_dta><header>")), []string{"Stata", "read_stata"}},
		{write("y.dta", []byte{114, 2, 1, 0, 3}), []string{"Stata", "read_stata"}},
		{write("x.orc", []byte("ORC\x08\x03")), []string{"ORC", "read_orc"}},
		{write("x.arff", []byte("\n@RELATION iris\n")), []string{"ARFF", "loadarff"}},
		{write("x.html", []byte("<!DOCTYPE html>\n<p>1,2")), []string{"page of the Web", "fetch the file itself"}},
		{write("v1.feather", columnarFiles(t)["refused/"]["version1.feather"]), []string{"Feather", "version 1",
			"to_feather"}},
		{write("magic.parquet", []byte("PAR1 and then nothing")), []string{"Parquet", "damaged"}},
		{write("magic.npy", []byte("\x93NUMPY\x01\x00\x10\x00{'descr': 1}\n    ")), []string{"NPY header"}},
	} {
		_, err := Read(t.Context(), c.path, Options{})
		t.Run(filepath.Base(c.path), func(t *testing.T) { wantError(t, err, c.want...) })
	}
	for _, line := range []string{"ORC,label\n1,2\n3,4\n", "r,label\n1,2\n3,4\n"} { // only look like others
		readString(t, "x.csv", line, Options{})
	}
	_, err := ReadFrom(t.Context(), strings.NewReader("1 1:1\n"), "x", Options{Format: "arff"})
	wantError(t, err, "arff")
}

func compressed(t testing.TB, text []byte) map[string][]byte {
	t.Helper()
	m := make(map[string][]byte)
	write := func(name string, open func(io.Writer) (io.WriteCloser, error)) {
		var b bytes.Buffer
		w, err := open(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		m[name] = b.Bytes()
	}
	write("gzip", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	write("xz", func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
	write("zstd", func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	return m
}

func TestCompressions(t *testing.T) {
	text := []byte("-1 1:0.5 3:2\n+1 2:1.5\n")
	files := compressed(t, text)
	b, err := os.ReadFile("testdata/small.svm.bz2")
	if err != nil {
		t.Fatal(err)
	}
	files["bzip2"], files["plain"] = b, text
	want := readString(t, "any", string(text), Options{})
	for name, b := range files {
		s := readString(t, "any", string(b), Options{})
		if d := cmp.Diff(want, s); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if name == "plain" {
			continue
		}
		for cut := range len(b) { // a stream that ends early is an error wherever that is
			if s, err := ReadFrom(t.Context(), bytes.NewReader(b[:cut]), "any", Options{}); err == nil {
				t.Errorf("%s cut to %d of %d bytes is read: %v", name, cut, len(b), s.Y)
			}
		}
	}
}

// TestXZDictionary: room is not made for any dictionary that a block asks for, be it the first or a later one.
func TestXZDictionary(t *testing.T) {
	var b bytes.Buffer
	w, err := xz.WriterConfig{DictCap: 1 << 16}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("1 1:2\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// asking is the same stream, its block with another dictionary and checksum.
	asking := func(size int64) []byte {
		file := bytes.Clone(b.Bytes())
		head := file[12 : 12+4*(int(file[12])+1)]
		if got := xzDictionary(head[1:]); got != 1<<16 {
			t.Fatalf("a dictionary of %d", got)
		}
		at := bytes.Index(head, []byte{0x21, 1}) + 2
		for head[at] = 0; xzDictionary(head[1:]) < size; {
			head[at]++
		}
		binary.LittleEndian.PutUint32(head[len(head)-4:], crc32.ChecksumIEEE(head[:len(head)-4]))
		return file
	}
	for size, ok := range map[int64]bool{1 << 20: true, 3 << 26: false, 1 << 31: false} {
		for at := range 3 {
			streams := [][]byte{asking(1 << 16), asking(1 << 16), asking(1 << 16)}
			streams[at] = asking(size)
			file := slices.Concat(streams[0], streams[1], make([]byte, 8), streams[2])
			s, err := ReadFrom(t.Context(), bytes.NewReader(file), "x.xz", Options{Memory: NewMemory(1 << 30)})
			switch {
			case !ok:
				wantError(t, err, "x.xz", "more than the 1.07 GB of memory", "--memory")
			case err != nil:
				t.Error(err)
			case len(s.Y) != 3:
				t.Errorf("%d rows", len(s.Y))
			}
		}
	}
}

// TestXZBlocks: files of several blocks, as xz --block-size and --threads write, of data that do not compress, and with
// each check are read like others, and their later blocks are seen.
func TestXZBlocks(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("there is no xz")
	}
	var text strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		fmt.Fprintf(&text, "%d 1:%v\n", i%2, r.Float64())
	}
	write := func(args ...string) []byte {
		c := exec.Command("xz", append(args, "-c")...)
		c.Stdin = strings.NewReader(text.String())
		b, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, check := range []string{"none", "crc32", "crc64", "sha256"} {
		for _, args := range [][]string{{"--block-size=20000"}, {"-T2", "--block-size=33333"}, {"-0"}} {
			b := write(append(args, "--check="+check)...)
			s, err := ReadFrom(t.Context(), bytes.NewReader(b), "x.xz", Options{})
			if err != nil {
				t.Errorf("%s %s: %v", check, args, err)
			} else if len(s.Y) != 5000 {
				t.Errorf("%s %s: %d rows", check, args, len(s.Y))
			}
		}
	}
}
