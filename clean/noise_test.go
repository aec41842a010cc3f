package clean

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// clouds are rows around one point for each class, and what becomes of labels: rows of class c get the label j with
// probability noise[c][j].
func clouds(n int, noise [][]float64, seed uint64, sparse bool) (noisy, test *dataset.Set, right []bool) {
	r := rand.New(rand.NewPCG(seed, 7))
	k, d := len(noise), 6
	draw := func(n int, wrong bool) (*dataset.Set, []bool) {
		x := rows.NewDense(n, d)
		s := &dataset.Set{Schema: &dataset.Schema{Format: "csv", Width: d}, Source: "clouds"}
		right := make([]bool, n)
		for i := range n {
			c := i % k
			for j := range d {
				x.Row(i)[j] = .7 * r.NormFloat64()
			}
			x.Row(i)[c] += 2
			label, u := c, r.Float64()
			for j, p := range noise[c] {
				if u -= p; u < 0 {
					label = j
					break
				}
			}
			if !wrong {
				label = c
			}
			s.Y = append(s.Y, float64(label))
			right[i] = label == c
		}
		if s.X = x; sparse {
			m := &rows.CSR{N: n, D: d, Ptr: []int{0}}
			for i := range n {
				for j, v := range x.Row(i) {
					m.Idx, m.Val = append(m.Idx, int32(j)), append(m.Val, v)
				}
				m.Ptr = append(m.Ptr, len(m.Idx))
			}
			s.X = m
		}
		for c := range k {
			s.Classes = append(s.Classes, string(rune('a'+c)))
		}
		s.Schema.Classes = s.Classes
		return s, right
	}
	noisy, right = draw(n, true)
	test, _ = draw(n, false)
	return noisy, test, right
}

var (
	oneWay = [][]float64{{.6, .4, 0}, {0, 1, 0}, {0, 0, 1}}
	alike  = [][]float64{{.7, .15, .15}, {.15, .7, .15}, {.15, .15, .7}}
)

// flaggedF1 is F1 of the rows that are not kept for those whose label is wrong.
func flaggedF1(r *Result, right []bool) float64 {
	hits, flagged, wrong := 0.0, 0.0, 0.0
	for i, row := range r.Rows {
		if !row.Kept {
			flagged++
			if !right[i] {
				hits++
			}
		}
		if !right[i] {
			wrong++
		}
	}
	return 2 * hits / max(flagged+wrong, 1)
}

// TestNoise: without a trusted row, the noise is found and said, and the model is better with it.
func TestNoise(t *testing.T) {
	for _, c := range []struct {
		name   string
		noise  [][]float64
		one    bool
		sparse bool
	}{{"one way", oneWay, false, false}, {"alike", alike, true, false}, {"sparse", oneWay, false, true}} {
		noisy, test, right := clouds(600, c.noise, 3, c.sparse)
		r := fitted(t, Data{Train: noisy, Test: test}, Options{Method: "noise", Seed: 1})
		if f1 := flaggedF1(r, right); f1 < .9 {
			t.Errorf("%s: F1 %.3f", c.name, f1)
		}
		if r.Noise.Symmetric != c.one || r.Noise.Rival != nil || r.Alone != nil {
			t.Errorf("%s: %+v", c.name, r.Noise)
		}
		for k, line := range c.noise {
			for j, want := range line {
				got, low, high := r.Noise.T[k][j], r.Noise.Low[k][j], r.Noise.High[k][j]
				if math.Abs(got-want) > .08 || !(low <= got && got <= high) || high-low > .25 {
					t.Errorf("%s: T[%d][%d] = %.3f (%.3f to %.3f), want %v", c.name, k, j, got, low, high, want)
				}
			}
		}
		if first := r.Noise.Pairs[0]; !c.one && (first.True != 0 || first.Given != 1 || math.Abs(first.Rows-80) > 20) {
			t.Errorf("%s: the first pair is %+v", c.name, first)
		}
		if r.After.Accuracy < r.Before.Accuracy-.01 || r.Value >= r.Start {
			t.Errorf("%s: accuracy %.3f after %.3f, loss %.3f after %.3f", c.name, r.After.Accuracy, r.Before.Accuracy, r.Value,
				r.Start)
		}
		order := r.Suspects()
		if slices.Max(order) != 599 || r.Rows[order[0]].Weight > r.Rows[order[599]].Weight {
			t.Errorf("%s: the order begins with %+v", c.name, r.Rows[order[0]])
		}
		for i, row := range r.Rows {
			if !row.Kept && row.Predicted == row.Label || row.Kept && row.Weight < r.Rows[order[0]].Weight {
				t.Fatalf("%s: row %d is %+v", c.name, i, row)
			}
		}
	}
}

// TestNoiseOfNothing: where all labels are right, the model of them all is not given up for another.
func TestNoiseOfNothing(t *testing.T) {
	noisy, test, _ := clouds(300, [][]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, 5, false)
	r := fitted(t, Data{Train: noisy, Test: test}, Options{Method: "noise"})
	if n := r.NTrain - r.Kept; n > 9 || r.After.Accuracy < r.Before.Accuracy {
		t.Errorf("%d of %d flagged, accuracy %.3f after %.3f", n, r.NTrain, r.After.Accuracy, r.Before.Accuracy)
	}
}

// TestNoiseProbabilities: what another model says takes the place of the features.
func TestNoiseProbabilities(t *testing.T) {
	noisy, _, right := clouds(600, oneWay, 3, false)
	p := make([]float64, 0, 3*600)
	for i := range 600 {
		q := []float64{.05, .05, .05}
		q[i%3] = .9
		p = append(p, q...)
	}
	x := noisy.X.(*rows.Dense)
	clear(x.Data) // the features say nothing
	for i := range x.N {
		x.Row(i)[0] = float64(i % 7)
	}
	r := fitted(t, Data{Train: noisy}, Options{Method: "noise", Probabilities: p})
	if f1 := flaggedF1(r, right); f1 < .95 || math.Abs(r.Noise.T[0][1]-.4) > .08 {
		t.Errorf("F1 %.3f, T %v", f1, r.Noise.T)
	}
}

// TestNoiseSample: T that is learned on some of the rows serves all of them, and trusted rows are among them.
func TestNoiseSample(t *testing.T) {
	noisy, _, right := clouds(1500, oneWay, 3, false)
	trusted, _, _ := clouds(30, [][]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, 4, false)
	f, err := prepare(Data{Train: noisy, Trusted: trusted}, Options{Method: "noise", Scale: tune.Off})
	if err != nil {
		t.Fatal(err)
	}
	defer func(w float64) { mostWork = w }(mostWork)
	mostWork = 1
	f.ctx, f.closing = t.Context(), t.Context()
	part := f.noisy().sample()
	if part.n >= 1530 || part.n < 700 || !slices.Contains(part.trusted, true) {
		t.Errorf("a sample of %d rows", part.n)
	}
	r, err := f.runNoise()
	if err != nil {
		t.Fatal(err)
	}
	if f1 := flaggedF1(r, right); f1 < .9 || len(r.Rows) != 1500 {
		t.Errorf("F1 %.3f of %d rows", f1, len(r.Rows))
	}
}

// The cut is where the expected F1 is largest.
func TestCutAt(t *testing.T) {
	for _, c := range []struct {
		doubts []float64
		want   float64
	}{{[]float64{.1, .9, .8, .05}, .8}, {[]float64{1, 0, 0}, 1}, {nil, math.Inf(1)}} {
		if got := cutAt(c.doubts); got != c.want {
			t.Errorf("%v: cut at %v, want %v", c.doubts, got, c.want)
		}
	}
}

// Of sparse rows the features with most weight are left, in order.
func TestNarrowed(t *testing.T) {
	x := &rows.CSR{N: 3, D: 4, Ptr: []int{0, 2, 4, 6}, Idx: []int32{0, 1, 1, 2, 0, 3}, Val: []float64{1, 3, 3, 5, 1, .1}}
	got := narrowed(x, 3).(*rows.CSR)
	if rows.Check(got) != nil || got.D != 3 || !slices.Equal(got.Idx, []int32{0, 0, 1, 2}) ||
		!slices.Equal(got.Val, []float64{3, 3, 5, .1}) {
		t.Errorf("%+v", got)
	}
	if narrowed(x, 4) != rows.Matrix(x) {
		t.Error("nothing had to go")
	}
}
