package model

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
)

// fewColumns of a Hessian are formed in one pass over the rows.
const fewColumns = 16

// HessianColumns overwrites dst, d numbers for each coefficient in set, with these columns of the Hessian of a squared
// loss, which is the same at every z, and says whether o is one.
func (o *Loss) HessianColumns(dst []float64, set []int) bool {
	return o.hessianColumns(dst, set, bilevel.All(o))
}

// hessianColumns are those of the sum over the parts of the rows divided by how many all parts have.
func (o *Loss) hessianColumns(dst []float64, set []int, parts ...bilevel.Batch) bool {
	if _, ok := o.link.(squared); !ok {
		return false
	}
	n, d := 0, o.layout.Features
	for _, b := range parts {
		n += b.Len()
	}
	blocks := (len(set) + fewColumns - 1) / fewColumns
	pool.For(len(set)*n*d).Run(blocks, func(_, i int) {
		lo, hi := i*fewColumns, min((i+1)*fewColumns, len(set))
		if o.sparse != nil {
			o.sparseColumns(dst[lo*d:hi*d], set[lo:hi], parts, 1/float64(n))
		} else {
			o.denseColumns(dst[lo*d:hi*d], set[lo:hi], parts, 1/float64(n))
		}
	})
	return true
}

func (o *Loss) denseColumns(dst []float64, set []int, parts []bilevel.Batch, w float64) {
	k, d, stride, step := len(set), o.layout.Features, o.dense.Stride, o.block()
	c := make([]float64, k*step)
	keep := 0.0
	for _, b := range parts {
		for lo := b.Lo; lo < b.Hi; lo += step {
			m := min(step, b.Hi-lo)
			a := o.dense.Data[lo*stride : (lo+m)*stride]
			for e, j := range set {
				for i := range m {
					c[e*m+i] = a[i*stride+j]
				}
			}
			if k == 1 {
				kernel.Combine(dst, a, stride, c[:m], w, keep != 0, nil)
			} else {
				kernel.CombineK(dst, a, stride, c[:k*m], k, d, m, w, keep)
			}
			keep = 1
		}
	}
}

func (o *Loss) sparseColumns(dst []float64, set []int, parts []bilevel.Batch, w float64) {
	d := o.layout.Features
	clear(dst)
	column := make(map[int32][]float64, len(set))
	for e, j := range set {
		column[int32(j)] = dst[e*d : (e+1)*d]
	}
	for _, b := range parts {
		for i := b.Lo; i < b.Hi; i++ {
			idx, val := o.sparse.Row(i)
			for e, j := range idx {
				if to := column[j]; to != nil {
					kernel.SparseCombine(to, idx, val, []float64{w * val[e]}, 1)
				}
			}
		}
	}
}

// HessianDiagonal overwrites dst with zeros: x does not enter.
func (o *Loss) HessianDiagonal(dst, _ []float64) { clear(dst) }

// HessianColumns is that of the loss of a single model, one of [FoldsInner.Parts], on the rows outside its fold.
func (o *FoldsInner) HessianColumns(dst []float64, set []int) bool {
	if o.Count() > 1 {
		return false
	}
	parts, _ := o.outside(0, bilevel.All(o))
	return o.loss.hessianColumns(dst, set, parts[:]...)
}

// HessianDiagonal overwrites dst with zeros: x does not enter.
func (o *FoldsInner) HessianDiagonal(dst, _ []float64) { clear(dst) }

// HessianColumns is that of the loss.
func (o *Regularized) HessianColumns(dst []float64, set []int) bool {
	q, ok := o.loss.(interface {
		HessianColumns(dst []float64, set []int) bool
	})
	return ok && q.HessianColumns(dst, set)
}

// HessianDiagonal overwrites dst with the strengths of the squares, which are what x changes of the Hessian.
func (o *Regularized) HessianDiagonal(dst, x []float64) {
	clear(dst)
	o.pen.addDiagonal(dst, x, 1)
}
