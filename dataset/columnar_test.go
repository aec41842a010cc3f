package dataset

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// columnarFiles are the files of testdata/columnar.zip by folder, see testdata/columnar.py.
func columnarFiles(t testing.TB) map[string]map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader("testdata/columnar.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	folders := make(map[string]map[string][]byte)
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		folder, name := path.Split(f.Name)
		if folders[folder] == nil {
			folders[folder] = make(map[string][]byte)
		}
		folders[folder][name] = b
	}
	return folders
}

// TestColumnar: Parquet and Arrow files that pyarrow has written in all ways become the set of the same table as CSV.
func TestColumnar(t *testing.T) {
	n := 0
	for folder, files := range columnarFiles(t) {
		text, ok := files["table.csv"]
		if !ok {
			continue
		}
		read := func(t *testing.T, b []byte, name string, o Options) *Set {
			t.Helper()
			s, err := ReadFrom(t.Context(), bytes.NewReader(b), name, o)
			if err != nil {
				t.Fatalf("%s%s: %v", folder, name, err)
			}
			return s
		}
		o := Options{Label: "y", Missing: ImputeMissing}
		withID := Options{Label: "y", Missing: ImputeMissing, ID: "u64"}
		for name, b := range files {
			if name == "table.csv" {
				continue
			}
			if n++; testing.Short() && n%8 != 0 {
				continue
			}
			t.Run(folder+name, func(t *testing.T) {
				got := read(t, b, "x", o)
				wantSame(t, got, read(t, text, "x.csv", o))
				if strings.HasSuffix(name, ".parquet") != (got.Schema.Format == "parquet") {
					t.Error(got.Schema.Format)
				}
				if folder != "nested/" {
					wantSame(t, read(t, b, "x", withID), read(t, text, "x.csv", withID))
				}
				for cut := 8; cut < len(b); cut += 1 + len(b)/9 {
					_, err := ReadFrom(t.Context(), bytes.NewReader(b[:cut]), "x", o)
					wantError(t, err, "x: ")
				}
			})
		}
	}
	if n != 7*2*4*2+2*4*2+2*2*3+2 {
		t.Errorf("%d files", n)
	}
}

// TestColumnsThatAreNotRead: types that make no cells are refused by the column's name, unless it is left out.
func TestColumnsThatAreNotRead(t *testing.T) {
	for name, b := range columnarFiles(t)["refused/"] {
		if name == "version1.feather" {
			continue
		}
		column := strings.TrimSuffix(name, path.Ext(name))
		_, err := ReadFrom(t.Context(), bytes.NewReader(b), name, Options{})
		if name != "duration.parquet" { // where it is a number
			wantError(t, err, name+`: column "`+column+`"`, "--drop")
		}
		_, err = ReadFrom(t.Context(), bytes.NewReader(b), name, Options{Drop: []string{column}})
		wantError(t, err, "no feature column")
	}
}

// TestFilesToPredictFor: columns in another order, surplus ones, and a label column that is empty or not there make no
// difference, in whatever format the model was trained and the rows are.
func TestFilesToPredictFor(t *testing.T) {
	files := columnarFiles(t)["predict/"]
	extensions := []string{".csv", ".tsv", ".json", ".jsonl", ".parquet", ".feather"}
	want := [][]float64{{7.5, 0, 1, 0}, {8.5, 1, 0, 1}, {9.5, 0, 1, 0}}
	for _, trained := range extensions {
		train, err := ReadFrom(t.Context(), bytes.NewReader(files["train"+trained]), "train"+trained, Options{})
		if err != nil {
			t.Fatal(trained, err)
		}
		if d := cmp.Diff([]float64{3, 4, 5, 6}, train.Y); d != "" {
			t.Error(trained, d)
		}
		for _, name := range []string{"new", "nan", "none"} {
			for _, ext := range extensions {
				s, err := ReadFrom(t.Context(), bytes.NewReader(files[name+ext]), name+ext, Options{Like: train.Schema,
					OptionalLabel: true})
				if err != nil {
					t.Errorf("%s for %s%s: %v", trained, name, ext, err)
					continue
				}
				if d := cmp.Diff(want, values(s)); d != "" || s.Y != nil {
					t.Errorf("%s for %s%s: %s %v", trained, name, ext, d, s.Y)
				}
				if notes := strings.Join(s.Notes, " "); !strings.Contains(notes, `left out: "more", "when"`) {
					t.Errorf("%s: %s", ext, notes)
				}
			}
		}
	}
}
