package model

import (
	"slices"

	"github.com/bilevel-go/bilevel"
)

// Relabel numbers the features of sparse rows afresh in each block; see [bilevel.Sparse]. Both results are nil for
// dense rows. local shares values with the data and adds 4 bytes a non-zero.
func (o *Loss) Relabel(blocks []bilevel.Batch) (local bilevel.Linear, columns [][]int32) {
	if o.sparse == nil {
		return nil, nil
	}
	m := *o.sparse
	m.D, m.Idx = 0, make([]int32, len(o.sparse.Idx))
	place := make([]int32, o.sparse.D)
	columns = make([][]int32, len(blocks))
	var sorted []int32
	for i, b := range blocks {
		lo, hi := m.Ptr[b.Lo], m.Ptr[b.Hi]
		sorted = append(sorted[:0], o.sparse.Idx[lo:hi]...)
		slices.Sort(sorted)
		columns[i] = slices.Clone(slices.Compact(sorted))
		for c, j := range columns[i] {
			place[j] = int32(c)
		}
		for e, j := range o.sparse.Idx[lo:hi] {
			m.Idx[lo+e] = place[j]
		}
		m.D = max(m.D, len(columns[i]))
	}
	r := o.view()
	r.sparse, r.layout.Features = &m, m.D
	return &r, columns
}

// Part is the penalty of some coefficients; see [bilevel.Separable]. It shares scratch space with q.
func (q *Penalty) Part(places []int32) (part bilevel.SecondOrder, outer []int32) {
	r := &Penalty{d: len(places), linear: q.linear, scale: q.scale}
	if q.number == nil {
		q.number = make([]int32, q.p) // 1 + the new number of a strength, 0 for none yet
	}
	for i, place := range places {
		s := q.Strength(int(place))
		if s < 0 {
			continue
		}
		n := &q.number[s-q.first]
		if *n == 0 {
			outer = append(outer, int32(s))
			*n = int32(len(outer))
		}
		r.append(i, int(*n)-1)
	}
	for _, s := range outer {
		q.number[int(s)-q.first] = 0
	}
	r.p, r.outer, r.strength = len(outer), len(outer), q.strength[:len(outer)]
	return r, outer
}

// Shrink is 0: strengths are those of x.
func (q *Penalty) Shrink() float64 { return 0 }
