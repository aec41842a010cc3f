package stochastic

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// saga is the memory of past batches of one level and the SAGA estimates made from it. Of every block it
// remembers the last value of some z-quantities (∇z g and ∇²zz g·v, or ∇z f) and of an x-quantity
// (∇²xz g·v, or ∇x f), and of each the average with weights w_i = |block i|/n:
//
//	estimate = (w_i/π_i)(new − memory[i]) + average;  average += w_i(new − memory[i]);  memory[i] = new.
//
// The z-quantities of a block lie together in one row, so that one pass swaps them. A [bilevel.Linear]
// objective needs k numbers per sample and quantity, others d per block and quantity. The x-quantity takes
// one p-vector if batches have their own parts of x, p numbers per block otherwise, and nothing if x does
// not enter.
type saga struct {
	level      *sampling.Level
	sampler    *sampling.Sampler
	part       sampling.Partition
	d, p       int
	quantities int     // of z: 2 for g, ∇z g and ∇²zz g·v, and 1 for f, ∇z f
	share      float64 // of a block of full length
	width      int     // numbers in mem per sample (Linear) or per block
	mem        []float64
	memX       []float64
	avg        [2][]float64
	avgX       []float64
	next       []float64    // the new row, then its change
	nextX      []float64    // the same for x, on
	lo, hi     int          // the part of x that the block depends on
	delta      [2][]float64 // the change of the z-quantities
	singleRow  bool         // batches are one sample with a dense row: a step adds multiples of it, and needs no delta
}

func newSaga(l *sampling.Level, sampler *sampling.Sampler, quantities int, generic bool) *saga {
	d, p := l.Whole.Dims()
	part := sampler.Partition
	m := &saga{level: l, sampler: sampler, part: part, d: d, p: p, quantities: quantities,
		share: part.Share(part.Block(0))}
	for i := range quantities {
		m.avg[i] = make([]float64, d)
	}
	if generic {
		l.Linear = nil
	}
	if l.Linear != nil {
		m.width = quantities * l.Linear.Scores()
		m.mem = make([]float64, m.width*part.Samples())
		m.next = make([]float64, m.width*part.Size())
		for i := range quantities {
			m.delta[i] = make([]float64, d)
		}
		m.singleRow = part.Size() == 1 && l.Linear.Row(0) != nil
	} else {
		m.width = quantities * d
		m.mem = make([]float64, m.width*part.Blocks())
		m.next = make([]float64, m.width)
		for i := range quantities {
			m.delta[i] = m.next[i*d : (i+1)*d]
		}
	}
	if l.SampledX {
		m.nextX, m.avgX = make([]float64, p), make([]float64, p)
		if l.Local != nil {
			m.memX = make([]float64, p)
		} else {
			m.memX = make([]float64, p*part.Blocks())
		}
	}
	return m
}

// row is the memory of a block's z-quantities.
func (m *saga) row(block int, b bilevel.Batch) []float64 {
	if m.level.Linear != nil {
		return m.mem[b.Lo*m.width : b.Hi*m.width]
	}
	return m.mem[block*m.width : (block+1)*m.width]
}

// rowX is the memory of a block's x-quantity, which lives on x[lo:hi).
func (m *saga) rowX(block, lo, hi int) []float64 {
	if m.level.Local != nil {
		return m.memX[lo:hi]
	}
	return m.memX[block*m.p : (block+1)*m.p]
}

// change evaluates a block at (z, x, v), remembers the result and leaves the change of the row in next and that of
// the x-quantity in nextX[lo:hi). It asks for the memory of the block that comes next, or the beginning of it where it
// is long.
func (m *saga) change(at *sampling.Draw, z, x, v []float64) {
	ahead := &m.sampler.Ahead
	coming := m.row(ahead.Block, ahead.Batch)
	kernel.Prefetch(coming[:min(len(coming), 512)])
	b := at.Batch
	var nextX []float64
	if m.level.SampledX {
		m.lo, m.hi = m.level.OuterRange(b)
		nextX = m.nextX[m.lo:m.hi]
	}
	row, d := m.row(at.Block, b), m.d
	next := m.next[:len(row)]
	switch l := m.level.Linear; {
	case l != nil && m.quantities == 2:
		k := len(next) / 2
		l.Coefs(next[:k], next[k:], nextX, z, x, v, b)
	case l != nil:
		l.Coefs(next, nil, nil, z, x, nil, b)
		if nextX != nil {
			m.level.Sampled.Grad(nil, m.nextX, z, x, b)
		}
	case m.quantities == 2 && m.level.Local != nil:
		m.level.Local.LocalProducts(next[:d], next[d:], nextX, z, x, v, b)
	case m.quantities == 2:
		m.level.Sampled.(bilevel.SecondOrder).Products(next[:d], next[d:], nextX, z, x, v, b)
	case nextX != nil:
		m.level.Sampled.Grad(next, m.nextX, z, x, b)
	default:
		m.level.Sampled.Grad(next, nil, z, x, b)
	}
	kernel.SwapDiff(row, next)
	if len(nextX) > 0 {
		kernel.SwapDiff(m.rowX(at.Block, m.lo, m.hi), nextX)
	}
}

// combine sets delta to the change of the z-quantities of b, which change has left.
func (m *saga) combine(b bilevel.Batch) {
	l := m.level.Linear
	if l == nil {
		return
	}
	next := m.next[:m.width*b.Len()]
	if m.quantities == 2 {
		k := len(next) / 2
		l.Combine(m.delta[0], m.delta[1], next[:k], next[k:], 1, 0, b)
	} else {
		l.Combine(m.delta[0], nil, next, nil, 1, 0, b)
	}
}

// step makes steps along the estimates that change has prepared, and updates the averages: for each z-quantity
// dst = keep dst − ρ estimate.
func (m *saga) step(dst [2][]float64, at *sampling.Draw, rho, keep float64) {
	b, weight := at.Batch, at.Weight
	share := m.shareOf(b)
	if m.singleRow {
		row, next := m.level.Linear.Row(b.Lo), m.next
		for q := range m.quantities {
			for c := 0; c < m.d; c += len(row) { // the part of each score
				n := next[0]
				next = next[1:]
				kernel.SagaStep(dst[q][c:c+len(row)], m.avg[q][c:c+len(row)], row, rho, weight*n, share*n, keep)
			}
		}
		return
	}
	m.combine(b)
	for q := range m.quantities {
		kernel.SagaStep(dst[q], m.avg[q], m.delta[q], rho, weight, share, keep)
	}
}

// stepX adds the estimate of the x-quantity to dx and updates its average. A narrow one adds the average only to
// dx[lo:hi), its own part.
func (m *saga) stepX(dx []float64, at *sampling.Draw, narrow bool) {
	if !m.level.SampledX {
		return
	}
	lo, hi := m.lo, m.hi
	if !narrow {
		kernel.Axpy(1, m.avgX[:lo], dx[:lo])
		kernel.Axpy(1, m.avgX[hi:], dx[hi:])
	}
	kernel.SagaStep(dx[lo:hi], m.avgX[lo:hi], m.nextX[lo:hi], -1, at.Weight, m.shareOf(at.Batch), 1)
}

// shareOf is the share of b, one of the blocks.
func (m *saga) shareOf(b bilevel.Batch) float64 {
	if b.Hi-b.Lo != m.part.Size() {
		return m.part.Share(b)
	}
	return m.share
}

// fill sets the memory by a full pass at (z, x, v).
func (m *saga) fill(z, x, v []float64) {
	clear(m.mem)
	clear(m.memX)
	clear(m.avg[0])
	clear(m.avg[1])
	clear(m.avgX)
	for i := range m.part.Blocks() {
		b := m.part.Block(i)
		m.change(&sampling.Draw{Block: i, Batch: b}, z, x, v)
		m.combine(b)
		share := m.part.Share(b)
		for q := range m.quantities {
			kernel.Axpy(share, m.delta[q], m.avg[q])
		}
		if m.hi > m.lo {
			kernel.Axpy(share, m.nextX[m.lo:m.hi], m.avgX[m.lo:m.hi])
		}
	}
}

func (m *saga) state(s *bilevel.State) {
	s.Fixed(m.mem, m.memX, m.avg[0], m.avg[1], m.avgX)
}
