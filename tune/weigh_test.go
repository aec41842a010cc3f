package tune_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// texts are rows of CSV, n of each of two classes; say writes the text of a row of a class.
func texts(n int, seed uint64, say func(r *rand.Rand, class int) string) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	b.WriteString("text,size,label\n")
	for i := range 2 * n {
		fmt.Fprintf(&b, "%s,%d,%s\n", say(r, i%2), r.IntN(9), []string{"no", "yes"}[i%2])
	}
	return b.String()
}

func readTexts(t *testing.T, csv string, v dataset.Vectorizer, like *dataset.Schema) *dataset.Set {
	t.Helper()
	o := dataset.Options{Texts: []string{"text"}, Text: &v, Like: like}
	if like != nil {
		o.Texts, o.Text = nil, nil
	}
	s, err := dataset.ReadFrom(t.Context(), strings.NewReader(csv), "t.csv", o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cells are the features of the rows of s, however they are stored.
func cells(s *dataset.Set) [][]float64 {
	n, d := s.Dims()
	all := make([][]float64, n)
	for i := range all {
		all[i] = make([]float64, d)
		switch x := s.X.(type) {
		case *rows.Dense:
			copy(all[i], x.Row(i))
		case *rows.CSR:
			idx, val := x.Row(i)
			for k, j := range idx {
				all[i][j] = val[k]
			}
		}
	}
	return all
}

func filler(r *rand.Rand, n int) string {
	var w []string
	for range n {
		w = append(w, fmt.Sprintf("w%d", int(40*r.Float64()*r.Float64())))
	}
	return strings.Join(w, " ")
}

// What is chosen is what tells the classes apart, and the rows are those that reading with it makes.
func TestWeigh(t *testing.T) {
	auto := dataset.Vectorizer{Weight: dataset.AutoWeight}
	for _, c := range []struct {
		name string
		say  func(r *rand.Rand, class int) string
		ok   func(w dataset.Weighting) bool
	}{
		{"a rare word in a long text", func(r *rand.Rand, class int) string {
			return fmt.Sprintf("%s c%d%d", strings.Repeat(filler(r, 4)+" ", 3), class, r.IntN(12))
		}, func(w dataset.Weighting) bool { return w.Weight == dataset.BinaryTFIDF && w.Grams == 1 }},
		{"how often a word of all texts is in it", func(r *rand.Rand, class int) string {
			return strings.Repeat("some ", 4+6*class+r.IntN(3)) + strings.Repeat("other ", 4+r.IntN(3))
		}, func(w dataset.Weighting) bool { return w.Weight == dataset.TFIDF || w.Weight == dataset.Count }},
		{"pairs of words", func(r *rand.Rand, class int) string {
			return filler(r, 3) + " " + [][]string{{"not good", "very bad"}, {"very good", "not bad"}}[class][r.IntN(2)]
		}, func(w dataset.Weighting) bool { return w.Grams == 2 }},
	} {
		csv := texts(200, 3, c.say)
		train, test := readTexts(t, csv, auto, nil), texts(50, 4, c.say)
		data := tune.Data{Train: train, Test: readTexts(t, test, auto, train.Schema), Share: .3}
		got, w, err := tune.Weigh(t.Context(), data, tune.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !c.ok(w.Weighting) || !slices.ContainsFunc(w.Tried, func(r tune.WeightingTried) bool { return r.Chosen }) ||
			!strings.Contains(w.Words[0], w.Weighting.String()) {
			t.Errorf("%s: %+v", c.name, w)
		}
		want := readTexts(t, csv, dataset.Vectorizer{Weight: w.Weighting.Weight, Power: w.Weighting.Power,
			Grams: w.Weighting.Grams}, nil)
		if d := cmp.Diff(cells(want), cells(got.Train)) +
			cmp.Diff(cells(readTexts(t, test, auto, want.Schema)), cells(got.Test)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		r, err := tune.Fit(t.Context(), got, tune.Options{Reg: tune.Shared})
		if err != nil {
			t.Fatal(err)
		}
		if r.Test.Accuracy < .8 {
			t.Errorf("%s: accuracy %v", c.name, r.Test.Accuracy)
		}
	}
}

// Texts of few rows, empty ones, and of languages without spaces have weights, and Fit refuses rows that have none.
func TestWeighFew(t *testing.T) {
	auto := dataset.Vectorizer{Weight: dataset.AutoWeight}
	say := func(r *rand.Rand, class int) string {
		return []string{"", []string{"味がとても良い", "味が悪い"}[class], []string{"良い店", "悪い店"}[class]}[r.IntN(3)]
	}
	for _, n := range []int{2, 3, 100} {
		train := readTexts(t, texts(n, 1, say)+"良い悪い,1,no\n悪い味が,2,yes\n", auto, nil)
		if _, err := tune.Fit(t.Context(), tune.Data{Train: train}, tune.Options{}); err == nil ||
			!strings.Contains(err.Error(), "no weight yet") {
			t.Errorf("%d rows: %v", n, err)
		}
		for _, data := range []tune.Data{{Train: train}, {Train: train, Folds: 2}, {Train: train, Val: train}} {
			got, w, err := tune.Weigh(t.Context(), data, tune.Options{})
			if err != nil || len(w.Words) == 0 || got.Train.Schema.Check() != nil {
				t.Fatalf("%d rows: %+v, %v", n, w, err)
			}
			if few := n < 10 && data.Val == nil; few != (w.Tried == nil) {
				t.Errorf("%d rows: %+v", n, w)
			}
			if r, err := tune.Fit(t.Context(), got, tune.Options{}); err != nil || n == 100 && r.Val.Accuracy < .75 {
				t.Errorf("%d rows: %+v, %v", n, r, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	train := readTexts(t, texts(50, 1, say), auto, nil)
	got, w, err := tune.Weigh(ctx, tune.Data{Train: train}, tune.Options{})
	if err != nil || w.Weighting != tune.DefaultWeighting(1) || !strings.Contains(w.Words[0], "in time") ||
		rows.Check(got.Train.X) != nil {
		t.Errorf("%+v, %v", w, err)
	}
	// Rows without texts stay what they are.
	if got, w, err := tune.Weigh(t.Context(), tune.Data{Train: got.Train}, tune.Options{}); err != nil || w != nil ||
		got.Train == nil {
		t.Error(w, err)
	}
}
