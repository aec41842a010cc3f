package model

import (
	"context"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/vector"
)

// denseHessian is Σ w_i a_i a_iᵀ for one score, and a k×k block matrix of such sums for a softmax.
func (o *Loss) denseHessian(ctx context.Context, dst, z []float64, b bilevel.Batch) error {
	k, d := o.layout.Classes, o.layout.Features
	if k == 1 {
		return o.grams(ctx, dst, z, b, [][2]int{{0, 0}})
	}
	dim := k * d
	var pairs [][2]int
	for c := range k {
		for c2 := range c + 1 {
			pairs = append(pairs, [2]int{c, c2})
		}
	}
	sum := make([]float64, len(pairs)*d*d)
	err := o.grams(ctx, sum, z, b, pairs)
	for i, p := range pairs {
		g := sum[i*d*d : (i+1)*d*d]
		for r := range d {
			at := (p[0]*d+r)*dim + p[1]*d
			row := dst[at : at+d]
			copy(row[:r+1], g[r*d:])
			for j := r + 1; j < d; j++ {
				row[j] = g[j*d+r]
			}
		}
	}
	return err
}

// grams overwrites dst with the lower triangles of the blocks (c, c′) of the Hessian over b, d×d each. Rows are cut into
// chunks of equal size, of d rows at least, whose sums take longer than adding them up.
func (o *Loss) grams(ctx context.Context, dst, z []float64, b bilevel.Batch, pairs [][2]int) error {
	if b.Len() <= 0 {
		clear(dst)
		return ctx.Err()
	}
	d := o.layout.Features
	width := len(pairs) * d * d
	chunks := b.Len() / max(o.chunkRows(), d)
	if chunks < 2 {
		o.gram(ctx, &o.workers[0], dst, z, b, b.Len(), pairs)
		return ctx.Err()
	}
	slots := min(chunks, max(4, min(16, gramNumbers/width)))
	o.part = grow(o.part, slots*width)
	team := o.team(b.Len() * d * d / 2 * len(pairs))
	clear(dst)
	for first := 0; first < chunks; first += slots {
		n := min(slots, chunks-first)
		team.Run(n, func(worker, i int) {
			c := bilevel.Batch{Lo: b.Lo + b.Len()*(first+i)/chunks, Hi: b.Lo + b.Len()*(first+i+1)/chunks}
			o.gram(ctx, &o.workers[worker], o.part[i*width:(i+1)*width], z, c, b.Len(), pairs)
		})
		for i := range n {
			vector.AddScaled(dst, 1, o.part[i*width:(i+1)*width])
		}
	}
	return ctx.Err()
}

// gram overwrites dst with the part of the rows c in the grams over n rows.
func (o *Loss) gram(ctx context.Context, sc *scratch, dst, z []float64, c bilevel.Batch, n int, pairs [][2]int) {
	k, d, stride := o.layout.Classes, o.layout.Features, o.dense.Stride
	step := o.block()
	for lo := c.Lo; lo < c.Hi && ctx.Err() == nil; lo += step {
		m := min(step, c.Hi-lo)
		a := o.dense.Data[lo*stride : (lo+m)*stride]
		t := sc.t[:k*m]
		o.scores(t, nil, a, z, nil, m)
		o.link.curvature(t, sc.tmp, lo, m, m, 1)
		for i, p := range pairs {
			o.link.weight(sc.tmp[:m], t, p[0], p[1], lo, m, m, 1)
			kernel.Gram(dst[i*d*d:(i+1)*d*d], a, stride, d, sc.tmp[:m], 1/float64(n), lo > c.Lo)
		}
	}
}

// BlockSize is the number of features for dense rows, whose blocks are classes, and 1 for sparse rows.
func (o *Loss) BlockSize() int {
	if o.sparse != nil {
		return 1
	}
	return o.layout.Features
}

// Blocks overwrites dst with the diagonal blocks of ∇²zz over b.
func (o *Loss) Blocks(ctx context.Context, dst, z, _ []float64, b bilevel.Batch) error {
	k := o.layout.Classes
	if o.dense != nil {
		pairs := make([][2]int, k)
		for c := range pairs {
			pairs[c] = [2]int{c, c}
		}
		return o.grams(ctx, dst, z, b, pairs)
	}
	clear(dst)
	t, tmp := make([]float64, k), make([]float64, 3+k)
	weight := make([]float64, 1)
	for i := b.Lo; i < b.Hi; i++ {
		idx, val := o.sparse.Row(i)
		kernel.SparseScores(t, idx, val, z, k)
		o.link.curvature(t, tmp, i, 1, 1, k)
		for c := range k {
			o.link.weight(weight, t, c, c, i, 1, 1, k)
			w := weight[0] / float64(b.Len())
			for e, j := range idx {
				dst[o.layout.Index(c, int(j))] += w * val[e] * val[e]
			}
		}
	}
	return nil
}

func (o *Loss) sparseHessian(ctx context.Context, dst, z []float64, b bilevel.Batch) error {
	k := o.layout.Classes
	dim := o.layout.Len()
	clear(dst)
	t, tmp := make([]float64, k), make([]float64, 3+k)
	weight := make([]float64, 1)
	for i := b.Lo; i < b.Hi; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		idx, val := o.sparse.Row(i)
		kernel.SparseScores(t, idx, val, z, k)
		o.link.curvature(t, tmp, i, 1, 1, k)
		for c := range k {
			for c2 := range k {
				o.link.weight(weight, t, c, c2, i, 1, 1, k)
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
	return nil
}
