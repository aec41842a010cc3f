package model

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

// runSparse does a pass over sparse rows: scores row by row, then their combination, for a pass over all rows
// feature by feature on the transposed matrix, so that every coefficient is written once.
func (o *Loss) runSparse(p *pass, b bilevel.Batch) float64 {
	k, m := o.layout.Classes, b.Len()
	nnz := o.sparse.Ptr[b.Hi] - o.sparse.Ptr[b.Lo]
	procs := o.procs(nnz * k)
	o.st, o.ss = grow(o.st, m*k), grow(o.ss, m*k)
	step := o.block()
	blocks := (m + step - 1) / step
	o.vals = grow(o.vals, blocks)
	w := 1 / float64(m)
	o.share(procs, blocks, func(worker, i int) {
		lo := b.Lo + i*step
		hi := min(lo+step, b.Hi)
		at, to := (lo-b.Lo)*k, (hi-b.Lo)*k
		t, s := o.st[at:to], o.ss[at:to]
		tmp := o.workers[worker].tmp
		if p.linearize {
			t = o.curv[at:to]
		}
		if !p.apply {
			o.sparseScores(t, p.z, lo, hi)
		}
		if p.hv != nil {
			o.sparseScores(s, p.v, lo, hi)
		}
		switch {
		case p.linearize:
			o.link.curvature(t, tmp, lo, hi-lo, 1, k)
		case p.apply:
			o.link.apply(s, o.curv[at:to], tmp, hi-lo, 1, k)
		case p.hv != nil:
			o.link.coefs(t, s, tmp, lo, hi-lo, 1, k)
		case p.dz == nil:
			o.vals[i] = o.link.loss(t, tmp, lo, hi-lo, 1, k)
		case p.value:
			o.vals[i] = o.link.lossCoefs(t, tmp, lo, hi-lo, 1, k)
		default:
			o.link.coefs(t, nil, tmp, lo, hi-lo, 1, k)
		}
		if p.dz != nil {
			kernel.Scale(w, t)
		}
		if p.hv != nil {
			kernel.Scale(w, s)
		}
	})
	if p.dz != nil {
		o.sparseCombine(p.dz, o.st, b, procs)
	}
	if p.hv != nil {
		o.sparseCombine(p.hv, o.ss, b, procs)
	}
	sum := 0.0
	if p.value {
		for _, v := range o.vals {
			sum += v
		}
	}
	return w * sum
}

func (o *Loss) sparseScores(t, z []float64, lo, hi int) {
	k := o.layout.Classes
	for i := lo; i < hi; i++ {
		idx, val := o.sparse.Row(i)
		kernel.SparseScores(t[(i-lo)*k:(i-lo+1)*k], idx, val, z, k)
	}
}

// sparseCombine overwrites dst with Σ A_iᵀc_i.
func (o *Loss) sparseCombine(dst, c []float64, b bilevel.Batch, procs int) {
	k := o.layout.Classes
	if b.Len() < o.n {
		clear(dst)
		for i := b.Lo; i < b.Hi; i++ {
			idx, val := o.sparse.Row(i)
			kernel.SparseCombine(dst, idx, val, c[(i-b.Lo)*k:(i-b.Lo+1)*k], k)
		}
		return
	}
	if o.csc == nil {
		o.csc = transpose(o.sparse)
	}
	const step = 4096
	o.share(procs, (o.csc.N+step-1)/step, func(_, i int) {
		for j := i * step; j < min((i+1)*step, o.csc.N); j++ {
			idx, val := o.csc.Row(j)
			kernel.SparseScores(dst[j*k:(j+1)*k], idx, val, c, k)
		}
	})
}

func transpose(m *rows.CSR) *rows.CSR {
	t := &rows.CSR{N: m.D, D: m.N, Ptr: make([]int, m.D+1), Idx: make([]int32, len(m.Idx)), Val: make([]float64, len(m.Val))}
	for _, j := range m.Idx {
		t.Ptr[j+1]++
	}
	for j := range m.D {
		t.Ptr[j+1] += t.Ptr[j]
	}
	next := append([]int(nil), t.Ptr[:m.D]...)
	for i := range m.N {
		idx, val := m.Row(i)
		for e, j := range idx {
			t.Idx[next[j]], t.Val[next[j]] = int32(i), val[e]
			next[j]++
		}
	}
	return t
}
