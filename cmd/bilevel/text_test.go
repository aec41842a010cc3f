package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/tune"
)

// corpus writes n texts of each class into folder/class: words of the class among words of all.
func corpus(t *testing.T, folder string, n int, seed uint64, classes ...string) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	for c, class := range classes {
		dir := filepath.Join(folder, class)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			var text strings.Builder
			for range 20 {
				fmt.Fprintf(&text, "Common%d ", r.IntN(40))
			}
			for range 2 {
				fmt.Fprintf(&text, "%s%d ", "abc"[c:c+1], 10+r.IntN(8))
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.txt", i)), []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTuneText(t *testing.T) {
	t.Chdir(t.TempDir())
	corpus(t, "train", 30, 1, "cars", "space", "wine")
	corpus(t, "val", 30, 2, "cars", "space", "wine")
	corpus(t, "test", 20, 3, "cars", "space", "wine")
	out := mustCall(t, "tune", "--train", "train", "--val", "val", "--test", "test", "--reg", "feature", "--words",
		"tfidf", "--json", "--quiet")
	m, err := tune.Load("bilevel-out/model.json")
	if err != nil {
		t.Fatal(err)
	}
	v := m.Schema.Text
	if v == nil || v.Weight != "tfidf" || len(v.Words) != m.Dim() || m.Dim() < 50 || m.HasIntercept || m.Scaler != nil ||
		m.Features != nil {
		t.Errorf("%+v", m.Schema)
	}
	if b := m.Penalty.Box; b.Lower != -24 || b.Upper != 0 {
		t.Errorf("box %v", b)
	}
	if m.Penalty.Strengths[0].Name != v.Words[0] || len(m.Penalty.Strengths) != m.Dim() {
		t.Errorf("%+v", m.Penalty.Strengths[0])
	}
	if !strings.Contains(out.stdout, `"n_test": 60`) {
		t.Error(out.stdout)
	}

	// Predictions name the texts, in class folders or not.
	p := mustCall(t, "predict", "--model", "bilevel-out/model.json", "test")
	lines := strings.Split(strings.TrimSpace(p.stdout), "\n")
	right := 0
	for _, l := range lines[1:] {
		name, class, _ := strings.Cut(l, ",")
		if strings.HasPrefix(name, class+"/") {
			right++
		}
	}
	if lines[0] != "document,prediction" || len(lines) != 61 || right < 55 ||
		!strings.Contains(p.stderr, "60 rows with labels") {
		t.Errorf("%d of %d right: %s\n%s", right, len(lines), p.stderr, p.stdout)
	}
	p = mustCall(t, "predict", "--model", "bilevel-out/model.json", "test/wine", "--proba")
	lines = strings.Split(strings.TrimSpace(p.stdout), "\n")
	if lines[0] != "document,prediction,cars,space,wine" || len(lines) != 21 || !strings.HasPrefix(lines[1], "000.txt,") ||
		p.stderr != "" {
		t.Error(p.stdout, p.stderr)
	}

	// What validation rows choose is said, stored, and done again with other texts.
	out = mustCall(t, "tune", "--train", "train", "--test", "test", "--reg", "shared", "--json", "--quiet")
	if m, err = tune.Load("bilevel-out/model.json"); err != nil {
		t.Fatal(err)
	}
	w := dataset.Weighting{Weight: m.Schema.Text.Weight, Power: m.Schema.Text.Power}
	if !w.HasIDF() || !strings.Contains(out.stdout, "Words are weighted by "+w.String()) {
		t.Errorf("%v: %s", w, out.stdout)
	}
	var told struct {
		Accuracy float64 `json:"test_accuracy"`
	}
	if err := json.Unmarshal([]byte(out.stdout), &told); err != nil {
		t.Fatal(err)
	}
	p = mustCall(t, "predict", "--model", "bilevel-out/model.json", "test")
	right = 0
	for _, l := range strings.Split(strings.TrimSpace(p.stdout), "\n")[1:] {
		if name, class, _ := strings.Cut(l, ","); strings.HasPrefix(name, class+"/") {
			right++
		}
	}
	if float64(right)/60 != told.Accuracy {
		t.Errorf("%d of 60 right, and %v was said", right, told.Accuracy)
	}

	csv := "a,y\n1,2\n"
	if err := os.WriteFile("t.csv", []byte(csv), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"tune", "--train", "train", "--words", "idf"}, "log-tfidf"},
		{[]string{"tune", "--train", "train", "--min-docs", "-1"}, "--min-docs -1"},
		{[]string{"tune", "--words", "count"}, "--train"},
		{[]string{"tune", "--set", "digits", "--words", "count"}, "--train"},
		{[]string{"tune", "--set", "breast-cancer", "--min-docs", "2"}, "--train"},
		{[]string{"tune", "--set", "ijcnn1", "--words", "count"}, "table"},
		{[]string{"tune", "--train", "t.csv", "--words", "count"}, "not a folder"},
		{[]string{"tune", "--train", "train", "--text", "review"}, "no columns"},
		{[]string{"tune", "--text", "review"}, "--train"},
		{[]string{"tune", "--train", "train", "--label", "y"}, "no columns"},
		{[]string{"tune", "--train", "train", "--model", "ridge"}, "classes"},
		{[]string{"tune", "--train", "train/cars"}, "no class folders"},
		{[]string{"tune", "--train", "train", "--val", "t.csv"}, "neither a folder nor an archive"},
		{[]string{"tune", "--train", "train", "--out", "train/out"}, "folder of texts"},
		{[]string{"predict", "--model", "bilevel-out/model.json", "t.csv"},
			"neither a folder nor an archive; give a folder of documents,"},
	} {
		o := call(t, append(c.args, "--quiet")...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, o.code, o.stderr)
		}
	}
}
