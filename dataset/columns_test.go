package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

func TestColumns(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data []byte) {
		if err := os.WriteFile(path(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	damaged := "a;\"b c\";größe\n1;2\n" // below the header nothing is looked at
	write("t.csv", []byte(damaged))
	write("t.tsv", []byte("a\tb\n"))
	write("comments.csv", []byte("# one\n# two\na,b\n1,2\n"))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte("a,b,c\n" + strings.Repeat("1,2,3\n", 1<<20)))
	z.Close()
	write("t.csv.gz", packed.Bytes()[:packed.Len()/2])
	write("t.svm", []byte("1 1:2\n-1 2:3\n"))
	write("empty.csv", nil)
	write("long.csv", bytes.Repeat([]byte("x"), 3*headBytes))
	var table bytes.Buffer
	type row struct {
		Size, Price float64
		Name        string
	}
	if err := parquet.Write(&table, []row{{1, 2, "a"}}); err != nil {
		t.Fatal(err)
	}
	write("t.parquet", table.Bytes())

	for _, c := range []struct {
		name string
		o    Options
		want []string
	}{
		{"t.csv", Options{Format: "csv"}, []string{"a", "b c", "größe"}},
		{"t.tsv", Options{}, []string{"a", "b"}},
		{"comments.csv", Options{}, []string{"a", "b"}},
		{"t.tsv", Options{NoHeader: true}, []string{"f1", "f2"}},
		{"t.tsv", Options{Label: "z", Drop: []string{"z"}, Only: []string{"z"}}, []string{"a", "b"}},
		{"t.csv.gz", Options{}, []string{"a", "b", "c"}},
		{"t.parquet", Options{}, []string{"Size", "Price", "Name"}},
		{"t.svm", Options{}, nil},
	} {
		got, err := Columns(context.Background(), path(c.name), c.o)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	for _, name := range []string{"nowhere.csv", "empty.csv", ".", "../" + filepath.Base(dir)} {
		if got, err := Columns(context.Background(), path(name), Options{}); err == nil || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, _ := Columns(context.Background(), path("long.csv"), Options{}); len(got) > 1 || got != nil &&
		len(got[0]) > headBytes {
		t.Errorf("%d columns", len(got))
	}
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	if got, err := Columns(ctx, path("t.csv"), Options{}); err == nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
}
