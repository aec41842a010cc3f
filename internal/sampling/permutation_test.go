package sampling

import (
	"fmt"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// All orders of a shuffled pass are equally likely, whatever the order of the pass before. Of 4 blocks there are 24
// orders, and of all pairs of passes of one seed each has to bring each; of draws that are independent, all pairs of
// blocks come in proportion. χ² has a mean of its degrees of freedom n and a standard deviation √2n.
func TestPermutationsAreUniform(t *testing.T) {
	const seeds = 9600
	orders := map[[4]int]int{} // number of each order
	var first, moves [24]float64
	for seed := range uint64(seeds) {
		s := NewSampler(NewPartition(4, 1), seed, 1, true)
		var passes [2][4]int
		for p := range passes {
			for i := range passes[p] {
				passes[p][i] = s.Next().Block
			}
		}
		var relative, place [4]int // the second order in terms of the first
		for i, b := range passes[0] {
			place[b] = i
		}
		for i, b := range passes[1] {
			relative[i] = place[b]
		}
		for k, order := range [][4]int{passes[0], relative} {
			n, known := orders[order]
			if !known {
				n = len(orders)
				orders[order] = n
			}
			if k == 0 {
				first[n]++
			} else {
				moves[n]++
			}
		}
	}
	if len(orders) != 24 {
		t.Fatalf("4 blocks come in %d orders, want 24: %v", len(orders), orders)
	}
	chi := func(what string, count []float64, share func(i int) float64) {
		total, sum := 0.0, 0.0
		for _, c := range count {
			total += c
		}
		for i, c := range count {
			want := total * share(i)
			sum += (c - want) * (c - want) / want
		}
		if n := float64(len(count) - 1); !(math.Abs(sum-n) < 4*math.Sqrt(2*n)) {
			t.Errorf("%s: χ² = %.1f with %g degrees of freedom; counts %v", what, sum, n, count)
		}
	}
	even := func(int) float64 { return 1. / 24 }
	chi("orders of the first pass", first[:], even)
	chi("orders of the second pass relative to the first", moves[:], even)

	// Blocks of 4, 4 and 2 of 10 samples.
	share := []float64{.4, .4, .2}
	pairs := make([]float64, 9)
	s := NewSampler(NewPartition(10, 4), 1, 1, false)
	last := s.Next().Block
	for range 20000 {
		b := s.Next().Block
		pairs[3*last+b]++
		last = b
	}
	chi("pairs of independent draws", pairs, func(i int) float64 { return share[i/3] * share[i%3] })

	// Every batch has a draw of its own, which is not the fixed one, and so has every full pass.
	for _, shuffle := range []bool{false, true} {
		s, seen := NewSampler(NewPartition(10, 4), 1, 1, shuffle), map[uint64]bool{}
		for range 300 {
			all := s.All()
			b := s.Next().Batch
			for _, b := range []bilevel.Batch{all, b} {
				if b.Draw == 0 || seen[b.Draw] {
					t.Errorf("shuffle %v: batch %+v has a draw that is fixed or was there before", shuffle, b)
				}
				seen[b.Draw] = true
			}
		}
	}

	// Another seed or stream is another sequence, and the same one is the same.
	draws := func(seed, stream uint64, shuffle bool) string {
		s, d := NewSampler(NewPartition(40, 4), seed, stream, shuffle), ""
		for range 30 {
			b := s.Next().Block
			d += fmt.Sprint(b)
		}
		return d
	}
	for _, shuffle := range []bool{false, true} {
		a := draws(1, 2, shuffle)
		if a != draws(1, 2, shuffle) || a == draws(2, 2, shuffle) || a == draws(1, 3, shuffle) {
			t.Errorf("shuffle %v: draws are not determined by seed and stream", shuffle)
		}
	}
}
