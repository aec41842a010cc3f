package sampling

import (
	"math"
	"testing"
)

func TestPartition(t *testing.T) {
	for _, c := range []struct{ n, size, blocks, last int }{{10, 4, 3, 2}, {8, 4, 2, 4}, {3, 64, 1, 3}, {5, 1, 5, 1}} {
		p := NewPartition(c.n, c.size)
		if p.Blocks() != c.blocks || p.Block(c.blocks-1).Len() != c.last {
			t.Errorf("%+v: %d blocks, the last of %d", c, p.Blocks(), p.Block(p.Blocks()-1).Len())
		}
		next, share := 0, 0.0
		for i := range p.Blocks() {
			b := p.Block(i)
			if b.Lo != next || b.Len() < 1 {
				t.Errorf("%+v: block %d is %v", c, i, b)
			}
			next = b.Hi
			share += p.Share(b)
		}
		if next != c.n || math.Abs(share-1) > 1e-15 {
			t.Errorf("%+v: blocks end at %d, shares add up to %v", c, next, share)
		}
	}
}

// Block i is drawn with its probability, has its weight, and weight times probability is its share.
func TestSamplerProbabilities(t *testing.T) {
	for _, shuffle := range []bool{false, true} {
		for _, size := range []int{1, 3, 4, 11, 64} {
			p := NewPartition(11, size)
			s := NewSampler(p, 1, 2, shuffle)
			count := make([]int, p.Blocks())
			const passes = 20000
			visited := 0
			for range passes * p.Blocks() {
				ahead := s.Ahead.Batch
				d := s.Next()
				i, b, w := d.Block, d.Batch, d.Weight
				if block := p.Block(i); b != ahead || b.Lo != block.Lo || b.Hi != block.Hi {
					t.Fatalf("block %d is %v, announced as %v", i, b, ahead)
				}
				visited += b.Len()
				count[i]++
				want := 1.0
				if shuffle {
					want = p.Share(b) * float64(p.Blocks())
				}
				if math.Abs(w-want) > 1e-15 {
					t.Fatalf("weight %v, want %v", w, want)
				}
			}
			if s.Visited() != int64(visited) {
				t.Errorf("%d samples visited, want %d", s.Visited(), visited)
			}
			for i, c := range count {
				n := float64(passes * p.Blocks())
				pi := p.Share(p.Block(i))
				if shuffle {
					pi = 1 / float64(p.Blocks())
				}
				if d := math.Abs(float64(c) - n*pi); shuffle && d != 0 || d > 5*math.Sqrt(n*pi) {
					t.Errorf("size %d, shuffle %v: block %d drawn %d times, want about %.0f", size, shuffle, i, c, n*pi)
				}
			}
		}
	}
}

func TestSamplerOrderChanges(t *testing.T) {
	s := NewSampler(NewPartition(40, 4), 1, 2, true)
	var orders [2][10]int
	for p := range orders {
		for i := range orders[p] {
			orders[p][i] = s.Next().Block
		}
	}
	if orders[0] == orders[1] {
		t.Errorf("two passes in the same order %v", orders[0])
	}
}
