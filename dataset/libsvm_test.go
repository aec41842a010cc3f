package dataset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func TestIJCNN1(t *testing.T) {
	for _, c := range []struct {
		file         string
		n, positives int
	}{{"ijcnn1.trn.bz2", 49990, 4853}, {"ijcnn1.tst.bz2", 91701, 8712}} {
		path := realData(t, "ijcnn1", c.file)
		start := time.Now()
		s, err := Read(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s in %v", c.file, time.Since(start))
		if task := s.GuessTask(); task != "logistic" {
			t.Errorf("task is %q", task)
		}
		if err := s.AsClasses(); err != nil {
			t.Fatal(err)
		}
		n, d := s.Dims()
		if counts := s.ClassCounts(); n != c.n || d != 22 || counts[1] != c.positives {
			t.Errorf("%s: %d × %d, classes %v with %v rows", c.file, n, d, s.Classes, counts)
		}
	}
}
