package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/pierrec/lz4/v4"
)

// Numbers in another notation are refused with the flags that read them, and read with these.
func TestNotations(t *testing.T) {
	column := func(cells ...string) string { return "a;y\n" + strings.Join(cells, ";0\n") + ";1\n" }
	for _, c := range []struct {
		cells []string
		hint  string
		n     notation
		want  []float64
	}{
		{[]string{"5,1", "-0,25", "7"}, "give --decimal , to read it as 5.1,", notation{decimal: ','}, []float64{5.1, -.25,
			7}},
		{[]string{"1,5e3", "2", "3,0"}, "--decimal ,", notation{decimal: ','}, []float64{1500, 2, 3}},
		{[]string{"12,573", "1,234,567", "8"}, "give --thousands , to read it as 1234567,", notation{thousands: ','},
			[]float64{12573, 1234567, 8}},
		{[]string{"12,573", "104,900", "8"}, "--decimal , to read it as 12.573 or --thousands , to read it as 12573",
			notation{thousands: ','}, []float64{12573, 104900, 8}},
		{[]string{"1.234,5", "0,5", "2.000.000,25"}, "--decimal , --thousands . to read it as 1234.5",
			notation{decimal: ',', thousands: '.'}, []float64{1234.5, .5, 2000000.25}},
		{[]string{"1 234", "5", "10\u00a0000"}, `--thousands " "`, notation{thousands: ' '}, []float64{1234, 5, 10000}},
		{[]string{"1'234.5", "5", "10'000"}, `--thousands "'"`, notation{thousands: '\''}, []float64{1234.5, 5, 10000}},
	} {
		text := column(c.cells...)
		_, err := ReadFrom(t.Context(), strings.NewReader(text), "f.csv", Options{})
		wantError(t, err, `f.csv:`, `column "a"`, c.hint, "decimal point")
		s := readString(t, "f.csv", text, Options{Decimal: c.n.decimal, Thousands: c.n.thousands})
		got := make([]float64, len(c.want))
		for i, row := range values(s) {
			got[i] = row[0]
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.cells, got, c.want)
		}
		if u := readString(t, "u.csv", text, Options{Like: s.Schema}); cmp.Diff(values(u), values(s)) != "" {
			t.Errorf("%q: %v with the schema alone", c.cells, values(u))
		}
	}
	// What is no number stays a level, with a comma or without one.
	if s := readString(t, "f.csv", column("5,1", "red", "5,1"), Options{}); s.Schema.Columns[0].Kind != Categorical {
		t.Errorf("%+v", s.Schema.Columns[0])
	}
	comma := Options{Decimal: ','}
	for text, want := range map[string]string{
		column("1,5", "2.5", "3"): "with a decimal comma (line 2) and with a decimal point",
		"a;y\n1;0,5\n2;x\n":       `column "y"`,
	} {
		if _, err := ReadFrom(t.Context(), strings.NewReader(text), "f.csv", comma); strings.Contains(text,
			"x") == (err != nil) {
			t.Errorf("%q: %v", text, err)
		} else if err != nil {
			wantError(t, err, want)
		}
	}
	// A column without commas has points.
	if s := readString(t, "f.csv", "a;b;y\n1,5;0.25;0\n2,5;1.234;1\n", comma); s.X == nil || values(s)[1][1] != 1.234 {
		t.Errorf("%v", values(s))
	}
	_, err := ReadFrom(t.Context(), strings.NewReader("a;y\n1;2\n"), "f.csv", Options{Decimal: ',', Thousands: ','})
	wantError(t, err, "both separated")
	_, err = ReadFrom(t.Context(), strings.NewReader("a;y\n1;2\n"), "f.csv", Options{Decimal: 'x'})
	wantError(t, err, "separates no decimals")
}

// Lines of comments above a header are passed over and counted; a header may start with '#'.
func TestComments(t *testing.T) {
	s := readString(t, "f.csv", "# exported, by me\n#\na,y\n1,2\n3,4\n", Options{})
	if n, _ := s.Dims(); n != 2 || s.Features[0] != "a" || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "2 lines") {
		t.Errorf("%d rows, features %q, notes %q", n, s.Features, s.Notes)
	}
	s = readString(t, "f.csv", "# made by a program\n#a,y\n1,2\n", Options{})
	if s.Features[0] != "#a" {
		t.Errorf("features %q", s.Features)
	}
	_, err := ReadFrom(t.Context(), strings.NewReader("# c\na,y\n1,2\n1,2,3\n"), "f.csv", Options{})
	wantError(t, err, "f.csv:4:")
	_, err = ReadFrom(t.Context(), strings.NewReader("# c\na,y\n1,\"2\n1,2\n"), "f.csv", Options{})
	wantError(t, err, "f.csv:3:", "quote")
}

// The label is chosen where there is little doubt, and how is said.
func TestLabelChoice(t *testing.T) {
	for _, c := range []struct{ header, label, how, err string }{
		{"a,b,y", "y", "chosen for its name", ""},
		{"Target,a,b", "Target", "chosen for its name", ""},
		{"a,label,b", "label", "chosen for its name", ""},
		{"a,b,price", "price", "chosen as the last", ""},
		{"class,a,survived", "", "", "the last; give --label class or --label survived"},
		{"class,a,target", "", "", `columns "class" and "target" both have the name of a label`},
	} {
		s, err := ReadFrom(t.Context(), strings.NewReader(c.header+"\n1,2,3\n4,5,6\n"), "f.csv", Options{})
		if c.err != "" {
			wantError(t, err, "f.csv:1:", c.err)
			continue
		}
		if err != nil || s.Schema.Label != c.label || s.LabelHow != c.how {
			t.Errorf("%s: label %q, %s; %v", c.header, s.Schema.Label, s.LabelHow, err)
			continue
		}
		if about := strings.Join(About(s, nil, s), " "); !strings.Contains(about, c.label) || !strings.Contains(about,
			c.how) {
			t.Errorf("%s: %s", c.header, about)
		}
	}
	s := readString(t, "f.csv", "class,a,survived\n1,2,3\n", Options{Label: "survived"})
	if s.LabelHow != "which was asked for" {
		t.Errorf("%q", s.LabelHow)
	}
}

// A column without a name that numbers the rows, in any order, is no feature, in later files as well; others are.
func TestRowNumbers(t *testing.T) {
	for _, c := range []struct {
		text     string
		features []string
		left     bool // out
	}{
		{",a,y\n0,5,1\n1,6,0\n", []string{"a"}, true},
		{"Unnamed: 0,a,y\n7,5,1\n3,6,0\n9,5,1\n", []string{"a"}, true},
		{",a,y\n.5,5,1\n1,6,0\n", []string{"column1", "a"}, false},
		{",a,y\n1,5,1\n1,6,0\n2,7,1\n", []string{"column1", "a"}, false},
		{",y\n0,1\n1,0\n", []string{"column1"}, false},
		{"n,a,y\n0,5,1\n1,6,0\n", []string{"n", "a"}, false},
	} {
		s := readString(t, "f.csv", c.text, Options{})
		if d := cmp.Diff(c.features, s.Features); d != "" || (len(s.Notes) == 1) != c.left {
			t.Errorf("%q: features %q, notes %q", c.text, s.Features, s.Notes)
		}
		if c.left {
			u := readString(t, "u.csv", ",a,y\n3,5,1\n3,6,0\n", Options{Like: s.Schema})
			v := readString(t, "u.csv", "a,y\n5,1\n6,0\n", Options{Like: s.Schema})
			if d := cmp.Diff(values(u), values(v)); d != "" {
				t.Error(d)
			}
		}
	}
}

// The index that pandas writes to Parquet is no feature and no label.
func TestPandasIndex(t *testing.T) {
	type row struct {
		A     float64 `parquet:"a"`
		Price float64 `parquet:"price"`
		Index int64   `parquet:"__index_level_0__"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.KeyValueMetadata("pandas", `{"index_columns": ["__index_level_0__"]}`))
	if _, err := w.Write([]row{{1, 10, 3}, {2, 20, 1}}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s, err := ReadFrom(t.Context(), bytes.NewReader(b.Bytes()), "x.parquet", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Schema.Label != "price" || cmp.Diff(s.Features, []string{"a"}) != "" || len(s.Notes) != 1 {
		t.Errorf("label %q, features %q, notes %q", s.Schema.Label, s.Features, s.Notes)
	}
	if u := readString(t, "u.csv", "a,price\n1,10\n", Options{Like: s.Schema}); u.Y[0] != 10 {
		t.Errorf("%v", u.Y)
	}
	if u, err := ReadFrom(t.Context(), bytes.NewReader(b.Bytes()), "x.parquet", Options{Like: s.Schema}); err != nil ||
		u.Y[1] != 20 {
		t.Errorf("%v", err)
	}
}

// TestFramedLZ4: what older writers call LZ4 is blocks as Hadoop frames them, or one alone.
func TestFramedLZ4(t *testing.T) {
	text := bytes.Repeat([]byte("abcd"), 100)
	var framed []byte
	for _, part := range [][]byte{text[:150], text[150:]} {
		block := make([]byte, lz4.CompressBlockBound(len(part)))
		n, err := lz4.CompressBlock(part, block, nil)
		if err != nil {
			t.Fatal(err)
		}
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(part)))
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(n)), block[:n]...)
	}
	whole := make([]byte, len(text))
	if n, err := unpackLZ4(whole, framed, true); err != nil || n != len(text) || !bytes.Equal(whole, text) {
		t.Error(n, err)
	}
	block := make([]byte, lz4.CompressBlockBound(len(text)))
	n, err := lz4.CompressBlock(text, block, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, isFramed := range []bool{true, false} {
		clear(whole)
		if n, err := unpackLZ4(whole, block[:n], isFramed); err != nil || n != len(text) || !bytes.Equal(whole, text) {
			t.Error(n, err)
		}
	}
	if _, err := unpackLZ4(whole, framed[:len(framed)-3], true); err == nil {
		t.Error("a truncated block")
	}
}

// Values beyond the features of a model are left out and said; a wider training set can be asked for.
func TestWiderLIBSVM(t *testing.T) {
	s := readString(t, "a.svm", "\xef\xbb\xbf1 1:1 2:2\n0 2:1\n", Options{})
	u := readString(t, "b.svm", "1 1:1 5:3\n0 2:1 4:1 7:2\n", Options{Like: s.Schema, LikeName: "the training file"})
	if d := cmp.Diff([][]float64{{1, 0}, {0, 1}}, values(u)); d != "" {
		t.Error(d)
	}
	if len(u.Notes) != 1 || !strings.Contains(u.Notes[0], "3 values") || !strings.Contains(u.Notes[0], "up to feature 7") {
		t.Errorf("notes %q", u.Notes)
	}
	if _, d := readString(t, "a.svm", "1 1:1\n0 2:1\n", Options{Width: 7}).Dims(); d != 7 {
		t.Errorf("%d features", d)
	}
}

// npz archives hold features and labels under usual names; others are refused with a list.
func TestNPZ(t *testing.T) {
	x := npyFile("<f8", false, "(3, 2)", []float64{1, 2, 3, 4, 5, 6})
	y := npyFile("<i8", false, "(3,)", []int64{0, 1, 1})
	archive := func(arrays ...any) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for i := 0; i < len(arrays); i += 2 {
			w, err := z.Create(fmt.Sprint(arrays[i], ".npy"))
			if err != nil {
				t.Fatal(err)
			}
			w.Write(arrays[i+1].([]byte))
		}
		z.Close()
		return b.Bytes()
	}
	for _, b := range [][]byte{archive("X", x, "y", y), archive("target", y, "data", x), archive("arr_0", x, "arr_1", y)} {
		s, err := ReadFrom(t.Context(), bytes.NewReader(b), "f.npz", Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if d := cmp.Diff([][]float64{{1, 2}, {3, 4}, {5, 6}}, values(s)); d != "" || !slices.Equal(s.Y, []float64{0, 1, 1}) {
			t.Errorf("%s %v", d, s.Y)
		}
		if u, err := ReadFrom(t.Context(), bytes.NewReader(b), "f.npz",
			Options{Like: s.Schema}); err != nil || len(u.Y) != 3 {
			t.Error(err)
		}
	}
	s, err := ReadFrom(t.Context(), bytes.NewReader(archive("anything", x)), "f.npz", Options{})
	if err != nil || !slices.Equal(s.Y, []float64{2, 4, 6}) {
		t.Errorf("one array: %v", err)
	}
	labels := filepath.Join(t.TempDir(), "y.npy")
	if err := os.WriteFile(labels, y, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err = ReadFrom(t.Context(), bytes.NewReader(archive("X", x)), "f.npz", Options{Labels: labels})
	if err != nil || !slices.Equal(s.Y, []float64{0, 1, 1}) {
		t.Errorf("labels in another file: %v", err)
	}
	for _, b := range [][]byte{archive("a", x, "b", y), archive("X", x, "data", x, "y", y)} {
		_, err := ReadFrom(t.Context(), bytes.NewReader(b), "f.npz", Options{})
		wantError(t, err, "f.npz", "numpy.savez(name, X=")
	}
	b := archive("X", x, "y", y)
	_, err = ReadFrom(t.Context(), bytes.NewReader(b[:len(b)/2]), "f.npz", Options{})
	wantError(t, err, "f.npz", "truncated")
}

// Names of rows, columns that are left out or taken alone, and surplus ones of later files.
func TestColumnsThatAreNoFeatures(t *testing.T) {
	const text = "id,a,b,c,y\nx1,1,2,3,0\nx2,,5,6,1\nx3,7,8,9,1\n"
	s := readString(t, "f.csv", text, Options{ID: "id", Drop: []string{"b"}, Missing: DropMissing})
	if d := cmp.Diff([]string{"a", "c"}, s.Features) + cmp.Diff([]string{"x1", "x3"},
		s.Names); d != "" || s.Schema.ID != "id" {
		t.Error(d)
	}
	if sub := s.Subset([]int{1}); sub.Names[0] != "x3" {
		t.Errorf("%q", sub.Names)
	}
	for text, names := range map[string][]string{
		"c,id,a,more\n1,u,2,?\n": {"u"},
		"c,a,more\n1,2,x\n":      nil,
	} {
		u := readString(t, "u.csv", text, Options{Like: s.Schema, OptionalLabel: true})
		if d := cmp.Diff([][]float64{{2, 1}}, values(u)) + cmp.Diff(names, u.Names); d != "" {
			t.Error(d)
		}
		if len(u.Notes) != 1 || !strings.Contains(u.Notes[0], `the model has not are left out: "more"`) {
			t.Errorf("notes %q", u.Notes)
		}
	}
	s = readString(t, "f.csv", text, Options{Beside: []string{"b", "id"}, Missing: DropMissing})
	want := map[string][]string{"b": {"2", "8"}, "id": {"x1", "x3"}}
	if d := cmp.Diff([]string{"a", "c"}, s.Features) + cmp.Diff(want, s.Beside); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"x3", "x1"}, s.Subset([]int{1, 0}).Beside["id"]); d != "" {
		t.Error(d)
	}
	if u := readString(t, "u.csv", "a,c,id\n1,2,q\n", Options{Like: s.Schema, OptionalLabel: true,
		Beside: []string{"b", "id"}}); u.Beside["id"][0] != "q" || u.Beside["b"] != nil {
		t.Errorf("%q", u.Beside)
	}
	for _, c := range [][3]string{{"f.csv", text, `there is no column "bb"`}, {"f.libsvm", "1 1:2\n", "have no names"}} {
		_, err := ReadFrom(t.Context(), strings.NewReader(c[1]), c[0], Options{Beside: []string{"bb"}})
		wantError(t, err, c[0], c[2])
	}
	s = readString(t, "f.csv", text, Options{Only: []string{"c", "b"}})
	if d := cmp.Diff([]string{"b", "c"}, s.Features); d != "" || s.Names != nil {
		t.Error(d)
	}
	s = readString(t, "f.csv", text, Options{Drop: []string{"y", "a"}, ID: "id"}) // the label is then another
	if s.Schema.Label != "c" {
		t.Errorf("label %q", s.Schema.Label)
	}
	for _, o := range []Options{{ID: "z"}, {Drop: []string{"z"}}, {Only: []string{"z"}}} {
		_, err := ReadFrom(t.Context(), strings.NewReader(text), "f.csv", o)
		wantError(t, err, `f.csv:1: there is no column "z"`, `"id", "a"`)
	}
}
