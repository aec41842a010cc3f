package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/rows"
)

// Weight is what a document's row holds for a word that is t times in it.
type Weight string

const (
	// AutoWeight is t in rows that keep their length, which [Set.Weighed] makes another weight of.
	AutoWeight Weight = "auto"
	// Count is t. "" is Count too.
	Count Weight = "count"
	// Log is 1 + log t, for which the tenth time counts less than the first.
	Log Weight = "log"
	// Binary is 1.
	Binary Weight = "binary"
	// TFIDF is t·idf with idf = log((1 + n)/(1 + df)) + 1, where df of the n training documents have the word.
	TFIDF Weight = "tfidf"
	// LogTFIDF is (1 + log t)·idf.
	LogTFIDF Weight = "log-tfidf"
	// BinaryTFIDF is idf.
	BinaryTFIDF Weight = "binary-tfidf"
)

// weights are the weights of words. An entry is all that there is to say about one.
var weights = []weight{
	{weight: Count, words: "how often it is in the text"},
	{weight: Log, term: logarithmic, words: "1 + log(how often it is in the text)"},
	{weight: Binary, term: once, words: "whether it is in the text"},
	{weight: TFIDF, idf: true, words: "how often it is in the text"},
	{weight: LogTFIDF, term: logarithmic, idf: true, words: "1 + log(how often it is in the text)"},
	{weight: BinaryTFIDF, term: once, idf: true, words: "whether it is in the text"},
}

type weight struct {
	weight Weight
	term   func(t float64) float64 // of a count; nil for the count itself
	idf    bool                    // terms are multiplied by the idf of the word
	words  string                  // the term, in words
}

func logarithmic(t float64) float64 { return 1 + math.Log(t) }

func once(float64) float64 { return 1 }

// entry is that of a weight; ok says that there is one. AutoWeight has none.
func (w Weight) entry() (e weight, ok bool) {
	if w == "" {
		w = Count
	}
	i := slices.IndexFunc(weights, func(e weight) bool { return e.weight == w })
	if i < 0 {
		return weight{}, false
	}
	return weights[i], true
}

// Weights are the weights of words, without AutoWeight.
func Weights() []Weight {
	var all []Weight
	for _, e := range weights {
		all = append(all, e.weight)
	}
	return all
}

// Weighting is how counts of words become rows.
type Weighting struct {
	Weight Weight
	Power  float64 // of the idf; 0 is 1
	Grams  int     // the longest sequences of words that are kept where Vectorizer.Grams says nothing; 0 is 1
}

// HasIDF says whether the idf enters, which Power is one of.
func (w Weighting) HasIDF() bool {
	e, _ := w.Weight.entry()
	return e.idf
}

// String is the weight of a word in a few words.
func (w Weighting) String() string {
	e, ok := w.Weight.entry()
	if !ok {
		return string(w.Weight)
	}
	text := e.words
	switch {
	case e.idf && w.Power != 0 && w.Power != 1:
		text += fmt.Sprintf(", times idf^%g", w.Power)
	case e.idf:
		text += ", times idf"
	}
	return text
}

// Vectorizer turns documents into sparse rows, one column per word, in the order of the words. The zero value
// counts words and scales every row to unit length.
//
// A word is a run of two or more letters, digits and underscores, in lower case. Where a language is written without
// spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese), a word is two letters that follow each other. A document
// that is valid UTF-8 is read as such, and as Latin-1 otherwise. On 20 newsgroups these are the columns and counts of
// scikit-learn's CountVectorizer, and with TFIDF the rows of its TfidfVectorizer; letters are put in lower case
// one by one, without its two exceptions for Σ at the end of a word and İ.
//
// Documents are divided among GOMAXPROCS goroutines; the result does not depend on their number. Memory
// beside the result is the vocabulary once for each, and 8 bytes for each word of a document.
type Vectorizer struct {
	Weight Weight  `json:"weight,omitempty"`
	Power  float64 `json:"idf_power,omitempty"` // of the idf; 0 is 1
	// Grams is how many words that follow each other have a column too, at most; 0 is 1, and with AutoWeight 2 in up to
	// 4 MiB of documents, for Schema.Weigh to choose from. Such a sequence is in two documents at least.
	Grams int `json:"grams,omitempty"`
	// A word in fewer documents than MinDocs has no column; 0 is 1, and with AutoWeight 2 where there are more than 50,000
	// words.
	MinDocs int  `json:"min_docs,omitempty"`
	NoNorm  bool `json:"no_norm,omitempty"` // rows keep the length that they have

	Words []string  `json:"words"`         // of the columns, increasing, with a space within sequences; set by Fit
	IDF   []float64 `json:"idf,omitempty"` // of the columns, to its power, where the weight has one; set by Fit

	Docs []int `json:"-"` // documents with the word of each column, and of all; with AutoWeight set by Fit
	N    int   `json:"-"`
}

// Fit learns the words of docs, and with TFIDF how rare they are, and returns the rows of docs.
func (v *Vectorizer) Fit(docs [][]byte) *rows.CSR {
	x, _ := v.fit(docs, nil) // nothing else can go wrong
	return x
}

// What a word takes while documents are read, beside its letters, and in a vocabulary.
const (
	countedBytes = 160
	wordBytes    = 80
)

func (v *Vectorizer) fit(docs [][]byte, mem *ledger) (*rows.CSR, error) {
	counts := countWords(docs, nil, v.longest(docs), mem)
	for _, w := range counts.workers {
		if err := mem.takeEach(len(w.words), wordBytes); err != nil {
			return nil, err
		}
	}
	if err := mem.err(); err != nil {
		return nil, err
	}
	v.Words = nil
	for _, w := range counts.workers {
		v.Words = append(v.Words, w.words...)
	}
	slices.Sort(v.Words)
	v.Words = slices.Compact(v.Words)

	column := v.columns()
	df := make([]int, len(v.Words))
	for _, w := range counts.workers {
		for k, word := range w.words {
			df[column[word]] += w.docs[k]
		}
	}
	if v.MinDocs == 0 && v.Weight == AutoWeight && len(df) > manyWords {
		v.MinDocs = 2
	}
	kept := 0
	for j, n := range df {
		if n >= v.MinDocs && (n > 1 || grams(v.Words[j]) == 1) {
			v.Words[kept], df[kept] = v.Words[j], n
			kept++
		}
	}
	if kept < len(df) {
		v.Words, df = slices.Clone(v.Words[:kept]), df[:kept]
		column = v.columns()
	}
	if v.setIDF(df, len(docs)); v.Weight == AutoWeight {
		v.Docs, v.N = df, len(docs)
	}
	for _, w := range counts.workers {
		w.columns = make([]int32, len(w.words))
		for k, word := range w.words {
			j, ok := column[word]
			if !ok {
				j = -1
			}
			w.columns[k] = j
		}
	}
	return v.rows(counts, mem)
}

// setIDF sets IDF for words that are in df of n documents.
func (v *Vectorizer) setIDF(df []int, n int) {
	v.IDF, v.Docs, v.N = nil, nil, 0
	if e, _ := v.Weight.entry(); !e.idf {
		return
	}
	v.IDF = make([]float64, len(df))
	for j, k := range df {
		v.IDF[j] = math.Log(float64(1+n)/float64(1+k)) + 1
		if v.Power != 0 && v.Power != 1 {
			v.IDF[j] = math.Pow(v.IDF[j], v.Power)
		}
	}
}

// grams is the number of words of a column.
func grams(word string) int { return 1 + strings.Count(word, " ") }

// openBytes are the most letters of documents of which pairs of words are counted to choose from: they take three times
// the time and memory of words.
const openBytes = 4 << 20

// manyWords are so many that those of a single document are left out: they are half of all, and say nothing of others.
const manyWords = 50_000

// longest is how many words of docs are counted as one, at most.
func (v *Vectorizer) longest(docs [][]byte) int {
	if v.Grams > 0 || v.Weight != AutoWeight {
		return max(v.Grams, 1)
	}
	size := 0
	for _, d := range docs {
		size += len(d)
	}
	if size > openBytes {
		return 1
	}
	return 2
}

// longestKnown is how many words the longest of the columns has.
func (v *Vectorizer) longestKnown() int {
	if v.Grams > 0 || v.Weight != AutoWeight {
		return max(v.Grams, 1)
	}
	n := 1
	for _, w := range v.Words {
		n = max(n, grams(w))
	}
	return n
}

// weighed is v, whose Weight is AutoWeight, with another weighting. from are the columns of v that it has.
func (v *Vectorizer) weighed(w Weighting) (to *Vectorizer, from []int) {
	c := *v
	c.Weight, c.Power, c.Words = w.Weight, w.Power, nil
	if c.Grams == 0 {
		c.Grams = w.Grams
	}
	var df []int
	for j, word := range v.Words {
		if grams(word) <= max(c.Grams, 1) {
			from, c.Words, df = append(from, j), append(c.Words, word), append(df, v.Docs[j])
		}
	}
	c.setIDF(df, v.N)
	return &c, from
}

// weigh replaces counts by what a row holds for the words idx, first being the place of the first word.
func (v *Vectorizer) weigh(idx []int32, first int, val []float64) {
	e, ok := v.Weight.entry()
	if !ok {
		return
	}
	sum := 0.0
	for k, t := range val {
		if e.term != nil {
			t = e.term(t)
		}
		if v.IDF != nil {
			t *= v.IDF[int(idx[k])-first]
		}
		val[k] = t
		sum += t * t
	}
	if v.NoNorm || sum == 0 {
		return
	}
	norm := math.Sqrt(sum)
	for k := range val {
		val[k] /= norm
	}
}

// Transform returns the rows of docs in the words that Fit learned. Other words are passed over.
func (v *Vectorizer) Transform(docs [][]byte) *rows.CSR {
	x, _ := v.transform(docs, nil)
	return x
}

func (v *Vectorizer) transform(docs [][]byte, mem *ledger) (*rows.CSR, error) {
	counts := countWords(docs, v.columns(), v.longestKnown(), mem)
	if err := mem.err(); err != nil {
		return nil, err
	}
	return v.rows(counts, mem)
}

// columns is the place of each word.
func (v *Vectorizer) columns() map[string]int32 {
	m := make(map[string]int32, len(v.Words))
	for j, w := range v.Words {
		m[w] = int32(j)
	}
	return m
}

// check reports the first setting that makes no sense.
func (v *Vectorizer) check() error {
	switch e, ok := v.Weight.entry(); {
	case !ok && v.Weight != AutoWeight:
		return fmt.Errorf("words are weighted by %q, which is none of %q", v.Weight, Weights())
	case !(v.Power >= 0) || math.IsInf(v.Power, 0):
		return fmt.Errorf("a power %v of the idf", v.Power)
	case v.Power != 0 && !e.idf:
		return fmt.Errorf("a power %v of the idf, which words weighted by %q have not", v.Power, v.Weight)
	case v.Grams < 0:
		return fmt.Errorf("sequences of %d words", v.Grams)
	case v.MinDocs < 0:
		return fmt.Errorf("words of at least %d documents", v.MinDocs)
	}
	return nil
}

// checkFitted reports the first thing that makes v unusable for Transform.
func (v *Vectorizer) checkFitted() error {
	if err := v.check(); err != nil {
		return err
	}
	if v.Weight == AutoWeight && len(v.Docs) != len(v.Words) {
		return fmt.Errorf("words are weighted by %q, of which nothing has been chosen", v.Weight)
	}
	for j, w := range v.Words {
		if w == "" || j > 0 && v.Words[j-1] >= w {
			return fmt.Errorf("word %d is %q and does not follow %q", j+1, w, v.Words[max(j-1, 0)])
		}
	}
	if e, _ := v.Weight.entry(); !e.idf && v.IDF != nil || e.idf && len(v.IDF) != len(v.Words) {
		return fmt.Errorf("%d words with %d weights", len(v.Words), len(v.IDF))
	}
	for j, w := range v.IDF {
		if !(w > 0) || math.IsInf(w, 0) {
			return fmt.Errorf("the weight of the word %q is %v", v.Words[j], w)
		}
	}
	return nil
}

// wordCounts are the words of documents, each document counted by one of the workers.
type wordCounts struct {
	workers []*wordCounter
	by      []int32 // worker of each document
	lo, hi  []int   // place of each document in its worker's counts
}

// wordCounter numbers words in the order in which it meets them, unless columns are known.
type wordCounter struct {
	known   map[string]int32 // columns; nil to number words
	index   map[string]int32
	words   []string
	docs    []int   // documents with the word
	columns []int32 // of the words, -1 for none; nil where numbers are columns

	counts []uint64 // word number and count of the documents, one after the other: number<<32 | count
	times  []uint32 // of each word in the current document
	text   []byte
	grams  int      // words of the longest sequence that is counted
	recent [][]byte // words before the current one, so many less one at most
	gram   []byte
	full   bool // there is no memory for more
	mem    *ledger
}

// countWords counts the words of docs and the sequences of up to so many; those of known only, if it is not nil.
func countWords(docs [][]byte, known map[string]int32, grams int, mem *ledger) *wordCounts {
	c := &wordCounts{by: make([]int32, len(docs)), lo: make([]int, len(docs)), hi: make([]int, len(docs))}
	workers := max(1, min(runtime.GOMAXPROCS(0), len(docs)))
	for range workers {
		w := &wordCounter{known: known, mem: mem, index: make(map[string]int32), grams: grams}
		if known != nil {
			w.times = make([]uint32, len(known))
		}
		c.workers = append(c.workers, w)
	}
	inParallel(workers, len(docs), func(worker, i int) {
		w := c.workers[worker]
		c.by[i], c.lo[i] = int32(worker), len(w.counts)
		w.add(docs[i])
		c.hi[i] = len(w.counts)
	})
	return c
}

// inParallel calls f for every job from 0 to n-1, from so many goroutines.
func inParallel(workers, n int, f func(worker, job int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(w, i)
			}
		})
	}
	wg.Wait()
}

// add counts the words of one document.
func (w *wordCounter) add(doc []byte) {
	if n := 2*len(doc) + 1; n > cap(w.text) && w.mem.take(int64(n-cap(w.text))) != nil {
		return
	}
	var wide bool
	w.text, wide = normalise(w.text[:0], doc)
	w.recent = w.recent[:0]
	from := len(w.counts)
	for text := w.text; !w.full; {
		// The next run of letters, up to a zero.
		i := 0
		for i < len(text) && text[i] == 0 {
			i++
		}
		if text = text[i:]; len(text) == 0 {
			break
		}
		n := bytes.IndexByte(text, 0) // there is one at the end
		if run := text[:n]; wide {
			w.divide(run)
		} else {
			w.word(run)
		}
		text = text[n:]
	}
	w.mem.take(int64(16 * (len(w.counts) - from)))
	for e, c := range w.counts[from:] {
		k := c >> 32
		w.counts[from+e] = c | uint64(w.times[k])
		w.times[k] = 0
		if w.known == nil {
			w.docs[k]++
		}
	}
}

// word counts a run of letters, if there are two or more, and the sequences that it ends.
func (w *wordCounter) word(word []byte) {
	if n := len(word); n < 2 || n <= utf8.UTFMax && utf8.RuneCount(word) < 2 {
		return
	}
	w.count(word)
	if w.grams < 2 {
		return
	}
	for first := range w.recent {
		w.gram = w.gram[:0]
		for _, before := range w.recent[first:] {
			w.gram = append(append(w.gram, before...), ' ')
		}
		w.gram = append(w.gram, word...)
		w.count(w.gram)
	}
	if len(w.recent) == w.grams-1 {
		copy(w.recent, w.recent[1:])
		w.recent = w.recent[:len(w.recent)-1]
	}
	w.recent = append(w.recent, word)
}

// divide counts the words of a run of letters, which has no spaces in some languages.
func (w *wordCounter) divide(run []byte) {
	start, last := 0, -1 // of the word, and of the letter before where that is of such a language; -1 if it is not
	for i, r := range string(run) {
		size := utf8.RuneLen(r)
		switch spaced := r < firstUnspaced || !unicode.In(r, unspaced...); {
		case !spaced && last >= 0:
			w.word(run[last : i+size])
			last, start = i, i+size
		case !spaced:
			w.word(run[start:i])
			last, start = i, i+size
		default:
			last = -1
		}
	}
	w.word(run[start:])
}

// unspaced are the scripts of languages that are written without spaces.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao,
	unicode.Khmer, unicode.Myanmar}

// firstUnspaced is below all letters of them.
const firstUnspaced = 0x0e00

// count counts a word or a sequence of words.
func (w *wordCounter) count(word []byte) {
	var k int32
	var ok bool
	if w.known != nil {
		if k, ok = w.known[string(word)]; !ok {
			return
		}
	} else if k, ok = w.index[string(word)]; !ok {
		if w.mem.take(int64(countedBytes+len(word))) != nil {
			w.full = true
			return
		}
		k = int32(len(w.words))
		s := string(word)
		w.index[s] = k
		w.words, w.docs, w.times = append(w.words, s), append(w.docs, 0), append(w.times, 0)
	}
	if w.times[k] == 0 {
		w.counts = append(w.counts, uint64(k)<<32)
	}
	w.times[k]++
}

// wordByte is the lower case of ASCII letters, digits and the underscore, and 0 for the rest.
var wordByte = func() (t [256]byte) {
	for c := range utf8.RuneSelf {
		if r := rune(c); r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) {
			t[c] = byte(unicode.ToLower(r))
		}
	}
	return t
}()

// normalise appends doc to dst as UTF-8 in lower case, with zeros for what is in no word and at the end. wide says that
// there are letters beyond Latin-1.
func normalise(dst, doc []byte) (text []byte, wide bool) {
	dst = slices.Grow(dst, len(doc)+1)
	ascii := dst[len(dst) : len(dst)+len(doc)]
	all := byte(0)
	for i, c := range doc {
		ascii[i] = wordByte[c]
		all |= c
	}
	if all < utf8.RuneSelf {
		return append(dst[:len(dst)+len(doc)], 0), false
	}
	add := func(r rune) {
		wide = wide || r > unicode.MaxLatin1
		if r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) {
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		} else {
			dst = append(dst, 0)
		}
	}
	if utf8.Valid(doc) {
		for _, r := range string(doc) {
			add(r)
		}
	} else {
		for _, c := range doc {
			add(rune(c)) // Latin-1
		}
	}
	return append(dst, 0), wide
}

// rows makes the rows of counted documents.
func (v *Vectorizer) rows(c *wordCounts, mem *ledger) (*rows.CSR, error) {
	n := len(c.by)
	m := &rows.CSR{N: n, D: len(v.Words), Ptr: make([]int, n+1)}
	workers := len(c.workers)
	inParallel(workers, n, func(_, i int) {
		w := c.workers[c.by[i]]
		doc := w.counts[c.lo[i]:c.hi[i]]
		if w.columns != nil { // words that have no column go
			kept := doc[:0]
			for _, e := range doc {
				if j := w.columns[e>>32]; j >= 0 {
					kept = append(kept, uint64(j)<<32|e&math.MaxUint32)
				}
			}
			doc = kept
			c.hi[i] = c.lo[i] + len(doc)
		}
		slices.Sort(doc)
		m.Ptr[i+1] = len(doc)
	})
	for i := range n {
		m.Ptr[i+1] += m.Ptr[i]
	}
	if err := mem.takeEach(m.Ptr[n], 12); err != nil {
		return nil, err
	}
	m.Idx, m.Val = make([]int32, m.Ptr[n]), make([]float64, m.Ptr[n])
	inParallel(workers, n, func(_, i int) {
		idx, val := m.Row(i)
		for k, e := range c.workers[c.by[i]].counts[c.lo[i]:c.hi[i]] {
			idx[k], val[k] = int32(e>>32), float64(e&math.MaxUint32)
		}
		v.weigh(idx, 0, val)
	})
	return m, nil
}

// checkDocument is an error if doc is not text.
func checkDocument(doc []byte) error {
	switch {
	case bytes.HasPrefix(doc, []byte("\xff\xfe")), bytes.HasPrefix(doc, []byte("\xfe\xff")):
		return errors.New("is text in UTF-16")
	case bytes.IndexByte(doc, 0) >= 0:
		return errors.New("holds binary data (a zero byte)")
	}
	return nil
}

// document adds a cell of a column of texts.
func (c *tableColumn) document(cell string) {
	c.add(float64(len(c.docs)))
	c.mem.take(int64(24 + len(cell))) // err says if it is too much
	c.docs = append(c.docs, []byte(cell))
}

// countWords makes rows of words of the columns of texts.
func (t *table) countWords(o *Options) error {
	for _, j := range t.of {
		c := t.columns[j]
		if c.kind != Text {
			continue
		}
		docs := make([][]byte, 0, c.n) // of the rows that are left
		for _, b := range c.blocks {
			for i, v := range b {
				b[i] = float64(len(docs))
				docs = append(docs, c.docs[int(v)])
			}
		}
		c.docs = nil
		if o.Like != nil {
			var err error
			if c.rows, err = c.texts.transform(docs, o.mem); err != nil {
				return err
			}
			if len(c.rows.Val) == 0 {
				t.note("No text in %s has a word that %s knows.", quote(c.name), o.likeName())
			}
			continue
		}
		if err := c.texts.check(); err != nil {
			return &Error{File: t.file, Err: err}
		}
		var err error
		if c.rows, err = c.texts.fit(docs, o.mem); err != nil {
			return err
		}
		if len(c.texts.Words) == 0 {
			return &Error{File: t.file, Column: c.name, Err: errors.New("the texts have no words"),
				Hint: "a word has two letters or digits at least, and is in the least number of texts that is asked for"}
		}
		t.note("The column %s holds texts, which become %d words.", quote(c.name), len(c.texts.Words))
	}
	return nil
}
