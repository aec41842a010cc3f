package realdata

import (
	"compress/bzip2"
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/rows"
)

// The readers here serve tests of the packages that a user's program imports. What such tests import is fetched by
// the user's go mod tidy, and package dataset imports decoders that are ten times as large as the rest.

// LIBSVM reads a file in the format of LIBSVM that is compressed with bzip2, as dense rows of d features and their
// labels. The test is skipped where it is absent, as in [Folder].
func LIBSVM(t testing.TB, d int, elem ...string) (x *rows.Dense, y []float64) {
	t.Helper()
	file := open(t, File(t, elem...))
	defer file.Close()
	text, err := io.ReadAll(bzip2.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	x, y = rows.NewDense(len(lines), d), make([]float64, len(lines))
	for i, line := range lines {
		fields := strings.Fields(line)
		y[i] = number(t, fields[0])
		for _, field := range fields[1:] {
			index, value, _ := strings.Cut(field, ":")
			x.Row(i)[int(number(t, index))-1] = number(t, value)
		}
	}
	return x, y
}

// CSV reads a file of numbers with a header whose last column is the label. The test is skipped where it is absent,
// as in [Folder].
func CSV(t testing.TB, elem ...string) (x *rows.Dense, y []float64) {
	t.Helper()
	file := open(t, File(t, elem...))
	defer file.Close()
	return table(t, file, 1)
}

// Digits are the UCI digits that package dataset embeds: 1,797 rows of 64 pixels from 0 to 16, and their classes.
func Digits(t testing.TB) (x *rows.Dense, digit []float64) {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	file := open(t, filepath.Join(root, "dataset", "embedded", "digits.csv.gz"))
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	return table(t, text, 0)
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err) // data that cannot be read are no reason to skip
	}
	return file
}

// table reads CSV after a header of some lines: features, then a label.
func table(t testing.TB, r io.Reader, header int) (x *rows.Dense, y []float64) {
	t.Helper()
	records, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	records = records[header:]
	d := len(records[0]) - 1
	x, y = rows.NewDense(len(records), d), make([]float64, len(records))
	for i, record := range records {
		for j := range d {
			x.Row(i)[j] = number(t, record[j])
		}
		y[i] = number(t, record[d])
	}
	return x, y
}

func number(t testing.TB, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
