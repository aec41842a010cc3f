package tune_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// seedModels are small models of every kind.
func seedModels(t testing.TB) []*tune.Model {
	t.Helper()
	model := func(task tune.Task, d int, classes ...string) *tune.Model {
		m := &tune.Model{Format: "bilevel-model", Version: 1, Task: task, Classes: classes, HasIntercept: true,
			Penalty: tune.Penalty{Strengths: []tune.Strength{{Name: "all", X: 1, Value: 2}}}}
		scores := []string{""}
		switch task {
		case tune.Logistic:
			scores = classes[1:]
		case tune.Softmax:
			scores = classes
		}
		for _, c := range scores {
			w := tune.Coefficients{Class: c, Intercept: 1}
			for j := range d {
				w.Weights = append(w.Weights, float64(j)-.5)
			}
			m.Coefficients = append(m.Coefficients, w)
		}
		return m
	}
	ridge := model(tune.Ridge, 2)

	table := model(tune.Logistic, 3, "no", "yes")
	table.Features = []string{"a", "b=x", "b=y"}
	table.Scaler = &dataset.Scaler{Mean: []float64{0, 1, 2}, Scale: []float64{1, 2, 3}}
	table.Schema = &dataset.Schema{Format: "csv", Width: 3, Label: "y", Classes: table.Classes,
		Columns: []dataset.Column{{Name: "a", Kind: dataset.Numeric},
			{Name: "b", Kind: dataset.Categorical, Levels: []string{"x", "y"}}}}

	sparse := model(tune.Softmax, 4, "p", "q", "r")
	sparse.Schema = &dataset.Schema{Format: "libsvm", Width: 4, Sparse: true, Classes: sparse.Classes}
	sparse.Scaler = &dataset.Scaler{Mean: make([]float64, 4), Scale: []float64{1, 2, 3, 4}}

	v := &dataset.Vectorizer{Weight: dataset.TFIDF}
	v.Fit([][]byte{[]byte("one two three"), []byte("two three"), []byte("three four")})
	text := model(tune.Logistic, len(v.Words), "no", "yes")
	text.Schema = &dataset.Schema{Format: "text", Width: len(v.Words), Sparse: true, Classes: text.Classes, Text: v}
	return []*tune.Model{ridge, table, sparse, text}
}

// FuzzModel loads anything as a model: an error that names the file, or a model that is saved as it was loaded and
// predicts.
func FuzzModel(f *testing.F) {
	for _, m := range seedModels(f) {
		text, err := m.JSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "model.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := tune.Load(path)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20+1000*uint64(len(text)) {
			t.Fatalf("%d MB were allocated for %d bytes (%v)", n>>20, len(text), err)
		}
		if err != nil {
			var e *dataset.Error
			if m != nil || !errors.As(err, &e) || e.File != path {
				t.Fatal(m, err)
			}
			return
		}
		saved, err := m.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Save(path); err != nil {
			t.Fatal(err)
		}
		again, err := tune.Load(path)
		if err != nil {
			t.Fatalf("what was saved is not loaded: %v\n%s", err, saved)
		}
		if twice, err := again.JSON(); err != nil || !bytes.Equal(twice, saved) {
			t.Fatalf("saved as\n%s\nand then as\n%s, %v", saved, twice, err)
		}
		p, err := m.Predict(onesLike(m))
		if err != nil {
			t.Fatalf("a row of ones: %v", err)
		}
		if p.Len() != 2 || p.Label(0) == "" && m.Classes == nil {
			t.Fatalf("%d predictions, the first %q", p.Len(), p.Label(0))
		}
		if m.Schema != nil { // rows of its own format, more or less
			table := strings.Join(m.Features, ",") + "\n" + strings.Repeat("1,", max(len(m.Features)-1, 0)) + "1\n"
			for _, file := range []string{table, "1 1:2 2:1\n"} {
				o := dataset.Options{Like: m.Schema, OptionalLabel: true}
				if set, err := dataset.ReadFrom(t.Context(), strings.NewReader(file), "rows", o); err == nil {
					_, _ = m.Predict(set) // columns may be what the schema says, and not the model
				}
			}
		}
	})
}

// onesLike is a set of two rows of ones as m takes them.
func onesLike(m *tune.Model) *dataset.Set {
	n, d := 2, m.Dim()
	if m.Schema == nil || !m.Schema.Sparse {
		x := rows.NewDense(n, d)
		for i := range n {
			for j := range x.Row(i) {
				x.Row(i)[j] = 1
			}
		}
		return &dataset.Set{X: x, Features: m.Features}
	}
	x := &rows.CSR{N: n, D: d, Ptr: []int{0}}
	for range n {
		for j := range d {
			x.Idx, x.Val = append(x.Idx, int32(j)), append(x.Val, 1)
		}
		x.Ptr = append(x.Ptr, len(x.Idx))
	}
	return &dataset.Set{X: x, Features: m.Features}
}
