// Package sampling takes objectives apart and draws batches of their samples.
package sampling

import (
	"fmt"
	"math/bits"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
)

// Partition divides n samples into blocks of Size consecutive ones; the last block may be shorter.
type Partition struct{ n, size int }

// NewPartition divides n ≥ 1 samples into blocks of min(size, n).
func NewPartition(n, size int) Partition {
	if n < 1 || size < 1 {
		panic(fmt.Sprintf("sampling: a partition of %d samples into blocks of %d", n, size))
	}
	return Partition{n, min(size, n)}
}

// Samples is the number of samples.
func (p Partition) Samples() int { return p.n }

// Size is the length of every block but the last.
func (p Partition) Size() int { return p.size }

// Blocks is the number of blocks.
func (p Partition) Blocks() int { return (p.n + p.size - 1) / p.size }

// Block is the i-th block, under the fixed draw.
func (p Partition) Block(i int) bilevel.Batch {
	lo := i * p.size
	return bilevel.Batch{Lo: lo, Hi: min(lo+p.size, p.n)}
}

// Share is |b|/n, the weight of b in the mean over all samples.
func (p Partition) Share(b bilevel.Batch) float64 { return float64(b.Len()) / float64(p.n) }

// Sampler draws blocks of a partition. The mean over a drawn block times its weight is an unbiased estimate
// of the mean over all samples, also where the last block is short.
//
// Independent draws choose a sample uniformly and take its block: probability |b|/n, weight 1. Shuffled
// passes visit every block once in a new random order each time: probability 1/B, weight B·|b|/n.
type Sampler struct {
	Partition
	Ahead Draw // what Next will draw

	pcg     rand.PCG
	recip   uint64  // ⌈2⁶⁴/size⌉, to divide by multiplication
	perm    []int32 // the order of the current pass; nil for independent draws
	pos     int
	pass    uint64 // the number from which those of the draws in this pass follow
	last    Draw
	visited int64
}

// Draw is a batch that was drawn.
type Draw struct {
	Block  int
	Batch  bilevel.Batch
	Weight float64 // of its mean
	Lo, Hi int     // of a batch of g, for those who fill it in: the part of x that its sampled terms depend on
}

// NewSampler returns a sampler that is determined by seed and stream.
func NewSampler(p Partition, seed, stream uint64, shuffle bool) *Sampler {
	s := &Sampler{Partition: p, recip: ^uint64(0)/uint64(p.size) + 1}
	s.pcg.Seed(seed, stream)
	if shuffle {
		s.perm = make([]int32, s.Blocks())
		for i := range s.perm {
			s.perm[i] = int32(i)
		}
		s.pos = len(s.perm)
	}
	s.draw(&s.Ahead)
	return s
}

// Next draws a block; what it returns is valid until the next draw.
func (s *Sampler) Next() *Draw {
	s.last = s.Ahead
	s.draw(&s.Ahead)
	s.visited += int64(s.last.Batch.Hi - s.last.Batch.Lo)
	return &s.last
}

// All is the batch of all samples under a draw of its own, for methods that make a full pass now and then.
func (s *Sampler) All() bilevel.Batch {
	return bilevel.Batch{Lo: 0, Hi: s.n, Draw: s.Ahead.Batch.Draw ^ 1<<63}
}

// Visited is the number of samples drawn so far.
func (s *Sampler) Visited() int64 { return s.visited }

func (s *Sampler) draw(d *Draw) {
	if s.perm != nil {
		s.drawShuffled(d)
		return
	}
	u := s.pcg.Uint64()
	h, _ := bits.Mul64(u, uint64(s.n))
	i := int(h)
	if s.size > 1 {
		q, _ := bits.Mul64(h, s.recip)
		i = int(q)
	}
	s.set(d, i, u|1) // 0 is the fixed draw
}

// set makes d the draw of block i and of the randomness that word stands for.
func (s *Sampler) set(d *Draw, i int, word uint64) {
	lo := i * s.size
	d.Block, d.Weight = i, 1
	d.Batch.Lo, d.Batch.Hi, d.Batch.Draw = lo, min(lo+s.size, s.n), word
	if s.perm != nil {
		d.Weight = float64(len(s.perm)) * s.Share(d.Batch)
	}
}

func (s *Sampler) drawShuffled(d *Draw) {
	if s.pos == len(s.perm) {
		for i := len(s.perm) - 1; i > 0; i-- {
			h, _ := bits.Mul64(s.pcg.Uint64(), uint64(i+1))
			s.perm[i], s.perm[h] = s.perm[h], s.perm[i]
		}
		s.pos = 0
		s.pass = s.pcg.Uint64()
	}
	i := int(s.perm[s.pos])
	s.pos++
	s.set(d, i, s.pass+uint64(s.pos)*0x9e3779b97f4a7c15|1)
}

// State carries the sampler, its lookahead included, to or from a checkpoint.
func (s *Sampler) State(st *bilevel.State) {
	st.Binary(&s.pcg)
	if s.perm != nil {
		st.Permutation(s.perm)
		st.Index(&s.pos, len(s.perm)+1)
		st.Uint64(&s.pass)
	}
	for _, d := range []*Draw{&s.last, &s.Ahead} {
		block, word := d.Block, d.Batch.Draw
		st.Index(&block, s.Blocks())
		st.Uint64(&word)
		s.set(d, block, word)
	}
	st.Count64(&s.visited)
}
