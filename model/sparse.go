package model

import (
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/rows"
)

// runSparse does a pass over sparse rows: scores row by row, then their combination, for a pass over all rows
// feature by feature on the transposed matrix, so that every coefficient is written once.
func (o *Loss) runSparse() float64 {
	p, b := &o.job.pass, o.job.b
	k, m := o.layout.Classes, b.Len()
	nnz := o.sparse.Ptr[b.Hi] - o.sparse.Ptr[b.Lo]
	team := o.team(nnz * k)
	o.st, o.ss = grow(o.st, m*k), grow(o.ss, m*k)
	blocks := (m + o.block() - 1) / o.block()
	o.vals = grow(o.vals, blocks)
	if team.Size == 1 { // without a closure, which would be allocated
		for i := range blocks {
			o.sparseBlock(0, i)
		}
	} else {
		team.Run(blocks, o.sparseBlock)
	}
	if p.descend != nil {
		o.sparseDescend(team)
	}
	if p.dz != nil {
		o.sparseCombine(p.dz, o.st, p.z, nil, team)
	}
	if p.hv != nil {
		o.sparseCombine(p.hv, o.ss, p.v, p.cv, team)
	}
	sum := 0.0
	if p.value {
		for _, v := range o.vals {
			sum += v
		}
	}
	return sum / float64(m)
}

// sparseBlock computes scores and coefficients, divided by the number of rows, of block i.
func (o *Loss) sparseBlock(worker, i int) {
	p, b := &o.job.pass, o.job.b
	k, step := o.layout.Classes, o.block()
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
	if p.hv != nil || p.cross || p.pair {
		o.sparseScores(s, p.v, lo, hi)
	}
	switch {
	case p.linearize:
		o.link.curvature(t, tmp, lo, hi-lo, 1, k)
	case p.apply:
		o.link.apply(s, o.curv[at:to], tmp, lo, hi-lo, 1, k)
	case p.pair:
		o.link.coefs(t, nil, tmp, lo, hi-lo, 1, k)
		o.link.coefs(s, nil, tmp, lo, hi-lo, 1, k)
	case p.hv != nil || p.cross:
		o.link.coefs(t, s, tmp, lo, hi-lo, 1, k)
	case p.dz == nil:
		o.vals[i] = o.link.loss(t, tmp, lo, hi-lo, 1, k)
	case p.value:
		o.vals[i] = o.link.lossCoefs(t, tmp, lo, hi-lo, 1, k)
	default:
		o.link.coefs(t, nil, tmp, lo, hi-lo, 1, k)
	}
	w := 1 / float64(b.Len())
	if p.dz != nil || p.descend != nil {
		kernel.Scale(w, t)
	}
	if p.hv != nil || p.descend != nil {
		kernel.Scale(w, s)
	}
}

func (o *Loss) sparseScores(t, z []float64, lo, hi int) {
	k := o.layout.Classes
	for i := lo; i < hi; i++ {
		idx, val := o.sparse.Row(i)
		kernel.SparseScores(t[(i-lo)*k:(i-lo+1)*k], idx, val, z, k)
	}
}

// sparseCombine overwrites dst with Σ A_iᵀc_i over the batch, plus the penalty's Hessian times v, and adds the
// penalty's part to cv unless it is nil.
func (o *Loss) sparseCombine(dst, c, v, cv []float64, team pool.Team) {
	k, b := o.layout.Classes, o.job.b
	if b.Len() < o.n {
		clear(dst)
		for i := b.Lo; i < b.Hi; i++ {
			idx, val := o.sparse.Row(i)
			kernel.SparseCombine(dst, idx, val, c[(i-b.Lo)*k:(i-b.Lo+1)*k], k)
		}
		if pen := o.job.pen; pen != nil {
			pen.add(dst, cv, o.job.z, v, 0, len(dst))
		}
		return
	}
	if o.csc == nil {
		o.csc = transpose(o.sparse)
	}
	const step = 4096
	if team.Size == 1 {
		o.gather(dst, c, v, cv, 0, o.csc.N)
		return
	}
	team.Run((o.csc.N+step-1)/step, func(_, i int) {
		o.gather(dst, c, v, cv, i*step, min((i+1)*step, o.csc.N))
	})
}

// gather is sparseCombine for the features [lo, hi) over all rows. The penalty is added while dst is in cache.
func (o *Loss) gather(dst, c, v, cv []float64, lo, hi int) {
	const step = 64
	k := o.layout.Classes
	for ; lo < hi; lo += step {
		to := min(lo+step, hi)
		for j := lo; j < to; j++ {
			idx, val := o.csc.Row(j)
			kernel.SparseScores(dst[j*k:(j+1)*k], idx, val, c, k)
		}
		if pen := o.job.pen; pen != nil {
			pen.add(dst, cv, o.job.z, v, lo*k, to*k)
		}
	}
}

// descent is what a pass that steps its two points does with their gradients: z −= a∇z − ce and v −= a∇v, and dx,
// unless nil, gets the difference of the penalty's derivatives.
type descent struct {
	dx, e  []float64
	a, c   float64
	gz, gv [][]float64 // of some features, for each worker
}

// sparseDescend steps both points of a pass over all rows, feature by feature.
func (o *Loss) sparseDescend(team pool.Team) {
	if o.csc == nil {
		o.csc = transpose(o.sparse)
	}
	const step = 4096
	q, n := o.job.descend, descentFeatures*o.layout.Classes
	for len(q.gz) < team.Size {
		q.gz, q.gv = append(q.gz, make([]float64, n)), append(q.gv, make([]float64, n))
	}
	if team.Size == 1 {
		o.descendFeatures(0, 0, o.csc.N)
		return
	}
	team.Run((o.csc.N+step-1)/step, func(worker, i int) {
		o.descendFeatures(worker, i*step, min((i+1)*step, o.csc.N))
	})
}

// descentFeatures are stepped while their gradients are in cache.
const descentFeatures = 32

func (o *Loss) descendFeatures(worker, lo, hi int) {
	k, p := o.layout.Classes, &o.job.pass
	q := p.descend
	for ; lo < hi; lo += descentFeatures {
		to := min(lo+descentFeatures, hi)
		n := (to - lo) * k
		gz, gv := q.gz[worker][:n], q.gv[worker][:n]
		for j := lo; j < to; j++ {
			idx, val := o.csc.Row(j)
			at := (j - lo) * k
			if len(idx) == 0 {
				clear(gz[at : at+k])
				clear(gv[at : at+k])
				continue
			}
			kernel.SparseScores(gz[at:at+k], idx, val, o.st, k)
			kernel.SparseScores(gv[at:at+k], idx, val, o.ss, k)
		}
		z, v := p.z[lo*k:to*k], p.v[lo*k:to*k]
		p.pen.addPair(gz, gv, q.dx, z, v, lo*k)
		kernel.Axpy(-q.a, gz, z)
		kernel.Axpy(-q.c, q.e[lo*k:to*k], z)
		kernel.Axpy(-q.a, gv, v)
	}
}

func transpose(m *rows.CSR) *rows.CSR {
	t := &rows.CSR{N: m.D, D: m.N, Ptr: make([]int, m.D+1), Idx: make([]int32, len(m.Idx)),
		Val: make([]float64, len(m.Val))}
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
