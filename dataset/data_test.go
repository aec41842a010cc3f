package dataset

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/rows"
)

// dataFolder is the folder of real data, known to hold the given file.
func dataFolder(t *testing.T, elem ...string) string {
	dir := realdata.File(t, elem...)
	for range elem {
		dir = filepath.Dir(dir)
	}
	return dir
}

func TestLoadIJCNN1(t *testing.T) {
	o := GetOptions{Dir: t.TempDir(), DataDir: dataFolder(t, "ijcnn1", "ijcnn1.trn.bz2")}
	train, test, f, err := Load(t.Context(), "ijcnn1", o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Set{train, test} {
		if _, ok := s.X.(*rows.Dense); !ok || rows.Check(s.X) != nil {
			t.Errorf("%T, %v", s.X, rows.Check(s.X))
		}
	}
	if d := cmp.Diff([]int{49990 - 4853, 4853}, train.ClassCounts()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{91701 - 8712, 8712}, test.ClassCounts()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"-1", "1"}, test.Classes); d != "" || train.Features[21] != "f22" {
		t.Error(d)
	}
	if row := train.X.(*rows.Dense).Row(0); row[5] != 1 || row[10] != -0.731854 || row[21] != -0.00081 {
		t.Errorf("first row %v", row)
	}
	if !f.Copy || f.Sample || len(f.Notes) != 2 || !strings.Contains(f.Notes[0], "not those of the published file") {
		t.Errorf("%+v", f)
	}
}

func TestLoadCovtype(t *testing.T) {
	o := GetOptions{Dir: t.TempDir(), DataDir: dataFolder(t, "covtype", "covtype-sample.csv.gz")}
	train, test, f, err := Load(t.Context(), "covtype", o)
	if err != nil {
		t.Fatal(err)
	}
	n, d := train.Dims()
	if n != 92962 || d != 54 || len(train.Classes) != 7 || test != nil || train.GuessTask() != "softmax" {
		t.Errorf("%d × %d, classes %q", n, d, train.Classes)
	}
	if d := cmp.Diff(covtypeNames, train.Features); d != "" {
		t.Error(d)
	}
	if !f.Sample || len(f.Notes) != 2 || !strings.Contains(f.Notes[1], "16 % sample") {
		t.Errorf("%+v", f)
	}
}

// The published file has no header.
func TestLoadCovtypePublished(t *testing.T) {
	dir := t.TempDir()
	line := strings.Repeat("1,", 54)
	path := writeFile(t, dir, "covtype.data.gz", compressed(t, []byte(line+"1\n"+line+"7\n"))["gzip"])
	p, err := Lookup("covtype")
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := p.load(t.Context(), &Files{Public: p, Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(covtypeNames, s.Features); d != "" || s.Schema.Label != "Cover_Type" || len(s.Y) != 2 {
		t.Error(d)
	}
}

func TestLoadMNIST(t *testing.T) {
	realdata.Long(t, "reads 70,000 pictures")
	o := GetOptions{Dir: t.TempDir(), DataDir: dataFolder(t, "mnist", "train-images-idx3-ubyte.gz")}
	train, test, f, err := Load(t.Context(), "mnist", o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}, train.ClassCounts()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}, test.ClassCounts()); d != "" {
		t.Error(d)
	}
	// The other three files are the published ones: their MD5 agree with torchvision's.
	if len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "train-images") {
		t.Errorf("%q", f.Notes)
	}
}

func TestFindCopies(t *testing.T) {
	for name, file := range map[string][]string{"20newsgroups": {"20news", "20news-bydate.tar.gz"},
		"omniglot": {"omniglot", "omniglot28.tar.gz"}} {
		path := realdata.File(t, file...)
		f, err := Find(t.Context(), name, GetOptions{Dir: t.TempDir(), DataDir: filepath.Dir(filepath.Dir(path))})
		if err != nil {
			t.Fatal(err)
		}
		if f == nil || len(f.Paths) != 1 || f.Paths[0] != path || len(f.Notes) == 0 {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestNotebook(t *testing.T) {
	for _, name := range []string{"train.csv", "val.csv"} {
		s := readFile(t, realdata.File(t, "notebook", name), Options{})
		if n, d := s.Dims(); n != 500 || d != 20 || s.Features[19] != "x20" || s.Schema.Label != "y" ||
			s.GuessTask() != "logistic" {
			t.Errorf("%s: %d × %d, label %q, %s", name, n, d, s.Schema.Label, s.GuessTask())
		}
	}
}

func TestEmbedded(t *testing.T) {
	s, err := Embedded("digits")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}, s.ClassCounts()); d != "" {
		t.Error(d)
	}
	if n, d := s.Dims(); n != 1797 || d != 64 || s.Features[9] != "pixel_1_1" || s.Classes[9] != "9" ||
		s.X.(*rows.Dense).Row(0)[10] != 13 {
		t.Errorf("%d × %d, %q", n, d, s.Features[9])
	}
	if s, err = Embedded("breast-cancer"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{357, 212}, s.ClassCounts()); d != "" ||
		cmp.Diff([]string{"benign", "malignant"}, s.Classes) != "" {
		t.Error(d, s.Classes)
	}
	if n, d := s.Dims(); n != 569 || d != 30 || s.Features[0] != "mean radius" || s.Features[13] != "area error" ||
		s.Features[29] != "worst fractal dimension" ||
		s.X.(*rows.Dense).Row(0)[0] != 17.99 || s.Y[0] != 1 {
		t.Errorf("%d × %d, %q", n, d, s.Features)
	}
	_, err = Embedded("iris")
	wantError(t, err, "iris", "breast-cancer")
}
