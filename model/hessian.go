package model

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// denseHessian is Σ w_i a_i a_iᵀ for one score, and a k×k block matrix of such sums for a softmax.
func (o *Loss) denseHessian(dst, z []float64, b bilevel.Batch) {
	k, d, stride := o.layout.Classes, o.layout.Features, o.dense.Stride
	dim := k * d
	w := 1 / float64(b.Len())
	pairs := k * (k + 1) / 2
	width := pairs * d * d
	o.part = grow(o.part, slots*width)
	chunks := (b.Len() + chunkRows - 1) / chunkRows
	procs := o.procs(b.Len() * stride * d * pairs)
	sum := make([]float64, width)
	for first := 0; first < chunks; first += slots {
		n := min(slots, chunks-first)
		share(procs, n, func(worker, i int) {
			sc := &o.workers[worker]
			part := o.part[i*width : (i+1)*width]
			start := b.Lo + (first+i)*chunkRows
			end := min(start+chunkRows, b.Hi)
			step := o.block()
			for lo := start; lo < end; lo += step {
				m := min(step, end-lo)
				a := o.dense.Data[lo*stride : (lo+m)*stride]
				t := sc.t[:k*m]
				o.scores(t, nil, a, z, nil, m)
				o.link.curvature(t, sc.tmp, lo, m, m, 1)
				pair := 0
				for c := range k {
					for c2 := range c + 1 {
						o.link.weight(sc.tmp[:m], t, c, c2, m, m, 1)
						kernel.Gram(part[pair*d*d:(pair+1)*d*d], a, stride, d, sc.tmp[:m], w, lo > start)
						pair++
					}
				}
			}
		})
		for i := range n {
			kernel.Axpy(1, o.part[i*width:(i+1)*width], sum)
		}
	}
	pair := 0
	for c := range k {
		for c2 := range c + 1 {
			g := sum[pair*d*d : (pair+1)*d*d]
			for i := range d {
				row := dst[(c*d+i)*dim+c2*d : (c*d+i)*dim+c2*d+d]
				copy(row[:i+1], g[i*d:])
				for j := i + 1; j < d; j++ {
					row[j] = g[j*d+i]
				}
			}
			pair++
		}
	}
}

func (o *Loss) sparseHessian(dst, z []float64, b bilevel.Batch) {
	k := o.layout.Classes
	dim := o.layout.Len()
	clear(dst)
	t, tmp := make([]float64, k), make([]float64, max(2, k))
	weight := make([]float64, 1)
	for i := b.Lo; i < b.Hi; i++ {
		idx, val := o.sparse.Row(i)
		kernel.SparseScores(t, idx, val, z, k)
		o.link.curvature(t, tmp, i, 1, 1, k)
		for c := range k {
			for c2 := range k {
				o.link.weight(weight, t, c, c2, 1, 1, k)
				for e, j := range idx {
					r := o.layout.Index(c, int(j))
					for f, j2 := range idx {
						if q := o.layout.Index(c2, int(j2)); q <= r {
							dst[r*dim+q] += weight[0] * val[e] * val[f] / float64(b.Len())
						}
					}
				}
			}
		}
	}
}
