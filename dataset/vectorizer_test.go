package dataset

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
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

// Columns of texts become words beside the other columns, and later files become the same ones.
func TestTextColumns(t *testing.T) {
	const text = "review,stars,y\n\"Good food, good wine\",4,p\nbad,1,q\n,3,q\n\"the food, cold\",2,q\n"
	for _, storage := range []Storage{Dense, Sparse} {
		o := Options{Texts: []string{"review"}, Text: &Vectorizer{NoNorm: true}, Storage: storage}
		s := readString(t, "f.csv", text, o)
		names := []string{"review: bad", "review: cold", "review: food", "review: good", "review: the", "review: wine",
			"stars"}
		want := [][]float64{{0, 0, 1, 2, 0, 1, 4}, {1, 0, 0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 3}, {0, 1, 1, 0, 1, 0, 2}}
		if d := cmp.Diff(names, s.Features) + cmp.Diff(want, values(s)); d != "" {
			t.Error(d)
		}
		if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "6 words") {
			t.Errorf("%q", s.Notes)
		}
		like := stored(t, s.Schema)
		u := readString(t, "u.csv", "stars,review\n5,bad wine list\n", Options{Like: like, OptionalLabel: true})
		if d := cmp.Diff([][]float64{{1, 0, 0, 0, 0, 1, 5}}, values(u)); d != "" {
			t.Error(d)
		}
		u = readString(t, "u.csv", "stars,review\n5,nothing\n", Options{Like: like, OptionalLabel: true})
		if len(u.Notes) != 1 || !strings.Contains(u.Notes[0], "No text") {
			t.Errorf("%q", u.Notes)
		}
		// Words share a scale, with which their mean square is one, and keep their zeros.
		sc := s.FitScaler()
		sum := 0.0
		for _, row := range values(s) {
			for j, v := range row[:6] {
				sum += v * v / sc.Scale[j] / sc.Scale[j]
			}
		}
		if math.Abs(sum-4*6) > 1e-12 || sc.Scale[0] != sc.Scale[5] || sc.Mean[3] != 0 || sc.Scale[6] == sc.Scale[0] {
			t.Errorf("%v, sum %v", sc, sum)
		}
	}
	// Rows that are left out leave no words; the default is tf-idf of unit length.
	s := readString(t, "f.csv", "review,stars,y\none two,,p\ntwo three,1,q\nthree,2,p\n", Options{
		Texts: []string{"review"}, Missing: DropMissing})
	if d := cmp.Diff([]string{"three", "two"}, s.Schema.Columns[0].Text.Words); d != "" ||
		s.Schema.Columns[0].Text.Weight != TFIDF || values(s)[1][0] != 1 {
		t.Errorf("%s %v", d, values(s))
	}
	s = readString(t, "f.csv", text, Options{Texts: []string{"review"}, Only: []string{"stars"}})
	if _, d := s.Dims(); d != 7 {
		t.Errorf("%q", s.Features)
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Texts: []string{"view"}}, `no column "view"`},
		{Options{Texts: []string{"y"}}, "the label cannot be a text"},
		{Options{Texts: []string{"review", "stars"}}, "no words"},
		{Options{Text: &Vectorizer{}}, "name columns of texts"},
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(text), "f.csv", c.o)
		wantError(t, err, "f.csv", c.want)
	}
	_, err := ReadFrom(t.Context(), strings.NewReader("1 1:2\n"), "f.svm", Options{Texts: []string{"a"}})
	wantError(t, err, "f.svm", "have no names")
	var all strings.Builder
	all.WriteString("review,y\n")
	for i := range 30 {
		fmt.Fprintf(&all, "word number %d,%d\n", i, i%2)
	}
	_, err = ReadFrom(t.Context(), strings.NewReader(all.String()), "f.csv", Options{})
	wantError(t, err, `column "review"`, "free text", "--drop review", "--text")
}

// Rows that are weighed later are those that are read with the weight at once, whatever stands beside them.
func TestWeighed(t *testing.T) {
	const text = "a,review,b,other,y\n1,good food good wine and good company,4,x1 x2,p\n2,bad food,1,x2 x3 x3,q\n" +
		"3,,3,,q\n4,the food is cold and the bad food is late,2,x1 x1,q\n"
	for _, storage := range []Storage{Dense, Sparse} {
		read := func(v Vectorizer) *Set {
			return readString(t, "f.csv", text, Options{Texts: []string{"review", "other"}, Text: &v, Storage: storage})
		}
		for _, auto := range []Vectorizer{{Weight: AutoWeight}, {Weight: AutoWeight, Grams: 3}} {
			s := read(auto)
			if is, g := s.Schema.Unweighed(); !is || auto.Grams == 0 && g != 2 || auto.Grams > 0 && g != 1 {
				t.Errorf("%v, sequences of %d words", is, g)
			}
			for _, w := range []Weighting{{Weight: Count}, {Weight: Log}, {Weight: Binary}, {Weight: TFIDF},
				{Weight: LogTFIDF, Power: 1.5}, {Weight: BinaryTFIDF, Power: 2, Grams: 2}} {
				got := s.Weighed(s.Schema.Weigh(w))
				grams := auto.Grams
				if grams == 0 {
					grams = w.Grams
				}
				want := read(Vectorizer{Weight: w.Weight, Power: w.Power, Grams: grams})
				if d := cmp.Diff(values(want), values(got)) + cmp.Diff(want.Features, got.Features); d != "" {
					t.Errorf("%v: %s", w, d)
				}
				if is, _ := got.Schema.Unweighed(); is || got.Schema.Check() != nil {
					t.Errorf("%v: %v", w, got.Schema.Check())
				}
			}
		}
	}
}

// Words and pairs of scikit-learn 1.9's CountVectorizer(ngram_range=(1, 2)), but for pairs of a single document.
func TestVectorizerGrams(t *testing.T) {
	docs := docsOf("not good, a bad film", "Not good film", "the bad film film")
	v := &Vectorizer{Grams: 2, NoNorm: true}
	x := v.Fit(docs)
	want := []string{"bad", "bad film", "film", "good", "not", "not good", "the"}
	if d := cmp.Diff(want, v.Words) + cmp.Diff([][]float64{{1, 1, 1, 1, 1, 1, 0}, {0, 0, 1, 1, 1, 1, 0},
		{1, 1, 2, 0, 0, 0, 1}}, dense(x)) + cmp.Diff(x, v.Transform(docs)); d != "" {
		t.Error(d)
	}
	v = &Vectorizer{Grams: 3}
	v.Fit(append(docs, docs...))
	if !slices.Contains(v.Words, "good bad film") || slices.Contains(v.Words, "film film bad") {
		t.Errorf("%q", v.Words)
	}
}

// Where there are very many words, those of a single document are left out, unless MinDocs says otherwise.
func TestVectorizerManyWords(t *testing.T) {
	docs := docsOf("both", "both")
	for i := range manyWords {
		docs[0] = fmt.Appendf(docs[0], " w%d", i)
	}
	for _, c := range []struct {
		v    Vectorizer
		want int
	}{{Vectorizer{Weight: AutoWeight, Grams: 1}, 1}, {Vectorizer{Weight: AutoWeight, Grams: 1, MinDocs: 1}, manyWords + 1},
		{Vectorizer{Weight: LogTFIDF}, manyWords + 1}} {
		if c.v.Fit(docs); len(c.v.Words) != c.want {
			t.Errorf("%v, at least %d documents: %d words", c.v.Weight, c.v.MinDocs, len(c.v.Words))
		}
	}
}

// Languages without spaces have pairs of letters for words.
func TestVectorizerUnspaced(t *testing.T) {
	v := &Vectorizer{}
	v.Fit(docsOf("世界語 go語 語 x2世界y", "ひらがな", "καλημέρα"))
	if d := cmp.Diff([]string{"go", "x2", "καλημέρα", "がな", "ひら", "らが", "世界", "界語"}, v.Words); d != "" {
		t.Error(d)
	}
}
