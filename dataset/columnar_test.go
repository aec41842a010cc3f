package dataset

import (
	"archive/zip"
	"bytes"
	"io"
	"path"
	"strings"
	"testing"
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
			n++
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
