package dataset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/rows"
)

// realData is the path of a file of real data, or skips the test.
func realData(t testing.TB, elem ...string) string {
	t.Helper()
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs real data: %s is not there; set BILEVEL_DATA to the folder that holds %s", path, filepath.Join(elem...))
	}
	return path
}

func readString(t testing.TB, name, text string, o Options) *Set {
	t.Helper()
	s, err := ReadFrom(strings.NewReader(text), name, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Check(s.X); err != nil {
		t.Fatal(err)
	}
	return s
}
