package dataset

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bilevel-go/bilevel/rows"
)

func docsOf(texts ...string) [][]byte {
	docs := make([][]byte, len(texts))
	for i, t := range texts {
		docs[i] = []byte(t)
	}
	return docs
}

func dense(x *rows.CSR) [][]float64 { return values(&Set{X: x}) }

// Words, counts and tf-idf of scikit-learn 1.9 for the same texts.
func TestVectorizer(t *testing.T) {
	docs := docsOf("The cat, the CAT_1 and a dog: 3.14", "dog dog eats x2 ²³ naïve Ärger", "the Ψυχή of a mouse's tail",
		"!")
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-15 })

	v := &Vectorizer{NoNorm: true}
	x := v.Fit(docs)
	if d := cmp.Diff([]string{"14", "and", "cat", "cat_1", "dog", "eats", "mouse", "naïve", "of", "tail", "the", "x2",
		"²³", "ärger", "ψυχή"}, v.Words); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]float64{
		{1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0},
		{0, 0, 0, 0, 2, 1, 0, 1, 0, 0, 0, 1, 1, 1, 0},
		{0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	}, dense(x)); d != "" || rows.Check(x) != nil {
		t.Error(d, rows.Check(x))
	}

	v = &Vectorizer{Weight: TFIDF}
	x = v.Fit(docs)
	if d := cmp.Diff([]float64{1.916290731874155, 1.510825623765991}, []float64{v.IDF[0], v.IDF[4]}, near); d != "" {
		t.Error(d)
	}
	a, b := 0.37508302498004137, 0.29571976514507325
	if d := cmp.Diff([]float64{a, a, a, a, b, 0, 0, 0, 0, 0, 2 * b, 0, 0, 0, 0}, dense(x)[0], near); d != "" {
		t.Error(d)
	}
	a, b = 0.3654806060100111, 0.5762982154690183
	if d := cmp.Diff([]float64{0, 0, 0, 0, b, a, 0, a, 0, 0, 0, a, a, a, 0}, dense(x)[1], near); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(x, v.Transform(docs)); d != "" {
		t.Error(d)
	}

	v = &Vectorizer{Weight: TFIDF, MinDocs: 2}
	x = v.Fit(docs)
	if d := cmp.Diff([][]float64{{0.4472135954999579, 0.8944271909999159}, {1, 0}, {0, 1}, {0, 0}}, dense(x),
		near); d != "" || !slices.Equal(v.Words, []string{"dog", "the"}) {
		t.Error(d, v.Words)
	}
	if d := cmp.Diff(x, v.Transform(docs)); d != "" {
		t.Error(d)
	}
	if n, d := new(Vectorizer).Fit(nil).Dims(); n != 0 || d != 0 {
		t.Error(n, d)
	}
}

// The same letters in UTF-8 and in Latin-1 are the same words; a single letter is none, however many bytes it has.
func TestVectorizerEncodings(t *testing.T) {
	utf8 := docsOf("Été Müller É à ÿÿ", "\uFEFFdéjà 世 世界")
	latin1 := docsOf("\xc9t\xe9 M\xfcller \xc9 \xe0 \xff\xff", "d\xe9j\xe0")
	a, b := &Vectorizer{}, &Vectorizer{}
	a.Fit(utf8)
	b.Fit(latin1)
	if d := cmp.Diff([]string{"déjà", "müller", "été", "ÿÿ", "世界"}, a.Words); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(a.Words[:4], b.Words); d != "" {
		t.Error(d)
	}
}

func TestVectorizerAnyProcs(t *testing.T) {
	g := generator(1, 2)
	docs := make([][]byte, 300)
	for i := range docs {
		for range g.IntN(200) {
			docs[i] = fmt.Appendf(docs[i], "w%d ", int(math.Exp(6*g.Float64())))
		}
	}
	fit := func(procs int) (*Vectorizer, *rows.CSR) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		v := &Vectorizer{Weight: TFIDF, MinDocs: 3}
		return v, v.Fit(docs)
	}
	v1, x1 := fit(1)
	v7, x7 := fit(7)
	if !cmp.Equal(v1, v7) || !cmp.Equal(x1, x7) || len(v1.Words) == 0 {
		t.Error("the result depends on GOMAXPROCS")
	}
}
