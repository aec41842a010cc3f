package model

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// Regularized is a loss plus a penalty, an inner objective. The penalty is part of every term: no batch
// samples it. It passes on what of the optional interfaces stays true of the sum, which Linear and Local do
// not.
type Regularized struct {
	loss Sampled
	pen  *Penalty
	z, x []float64 // point of Linearize
	one  *Loss     // the loss if it adds the penalty in its own passes

	pairs  *Loss     // the loss if it has gradients at two points in one pass
	dy, dz []float64 // gradients of PairDescend where they are not stepped at once
	step   descent
}

// Sampled is what a penalty can be added to: a [Loss] or the inner loss of [Folds].
type Sampled interface {
	bilevel.SecondOrder
	bilevel.Linear
	bilevel.Linearizer
	bilevel.HessianMatrix
	bilevel.HessianBlocks
	bilevel.ValueGradienter
	bilevel.ColumnNormer
}

var (
	_ bilevel.SecondOrder     = (*Regularized)(nil)
	_ bilevel.Crosser         = (*Regularized)(nil)
	_ bilevel.Splitter        = (*Regularized)(nil)
	_ bilevel.Linearizer      = (*Regularized)(nil)
	_ bilevel.HessianMatrix   = (*Regularized)(nil)
	_ bilevel.HessianBlocks   = (*Regularized)(nil)
	_ bilevel.ValueGradienter = (*Regularized)(nil)
	_ bilevel.PairGradienter  = (*Regularized)(nil)
)

// Regularize is loss + penalty.
func Regularize(loss Sampled, penalty *Penalty) (*Regularized, error) {
	d, p := loss.Dims()
	if dq, pq := penalty.Dims(); d != dq || p != pq {
		return nil, fmt.Errorf("model: the loss has dimensions d = %d, p = %d and the penalty d = %d, p = %d", d, p, dq, pq)
	}
	o := &Regularized{loss: loss, pen: penalty}
	if l, ok := loss.(*Loss); ok {
		o.pairs = l
		if l.sparse != nil && !penalty.identity() {
			o.one = l
		}
	}
	return o, nil
}

// Dims returns the lengths of z and x.
func (o *Regularized) Dims() (d, p int) { return o.pen.Dims() }

// Samples is the number of rows.
func (o *Regularized) Samples() int { return o.loss.Samples() }

// ColumnNorms overwrites dst with those of the loss.
func (o *Regularized) ColumnNorms(dst []float64) { o.loss.ColumnNorms(dst) }

// Split returns the loss, which is sampled, and the penalty, which is exact.
func (o *Regularized) Split() (sampled, exact bilevel.Objective) { return o.loss, o.pen }

// Penalty returns the penalty.
func (o *Regularized) Penalty() *Penalty { return o.pen }

// Value is the mean loss over b plus the penalty.
func (o *Regularized) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.loss.Value(z, x, b) + o.pen.Value(z, x, b)
}

// Grad overwrites dz and dx.
func (o *Regularized) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	if o.onePass(b) {
		o.pass(pass{dz: dz, z: z}, dx, x, b)
		return
	}
	if dz != nil {
		o.loss.Grad(dz, nil, z, x, b)
	}
	o.addGrad(dz, dx, z, x)
}

// onePass says whether a pass over b can add the penalty.
func (o *Regularized) onePass(b bilevel.Batch) bool { return o.one != nil && b.Len() > 0 }

// pass is a pass of the loss that adds the penalty, and the penalty's dx, where that is not nil.
func (o *Regularized) pass(p pass, dx, x []float64, b bilevel.Batch) float64 {
	if dx != nil {
		o.pen.Grad(nil, dx, p.z, x, bilevel.Batch{})
	}
	if p.dz == nil && p.hv == nil {
		return 0
	}
	o.pen.prepare(x)
	p.pen = o.pen
	return o.one.run(p, b)
}

// products is Products of the loss, or Apply, with the penalty.
func (o *Regularized) products(p pass, cv, x []float64, b bilevel.Batch) {
	if p.hv != nil && o.pen.local && cv != nil {
		clear(cv)
		p.cv = o.pen.own(cv)
		cv = nil
	}
	if cv != nil {
		o.pen.products(nil, nil, cv, p.z, x, p.v, false)
	}
	o.pass(p, nil, x, b)
}

func (o *Regularized) addGrad(dz, dx, z, x []float64) {
	if dx != nil {
		o.pen.Grad(nil, dx, z, x, bilevel.Batch{})
	}
	if dz != nil {
		o.pen.products(dz, nil, nil, z, x, nil, true)
	}
}

// ValueGrad is Value and Grad in one pass.
func (o *Regularized) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	value := o.pen.Value(z, x, b)
	if dz != nil && o.onePass(b) {
		return value + o.pass(pass{dz: dz, z: z, value: true}, dx, x, b)
	}
	value += o.loss.ValueGrad(dz, nil, z, x, b)
	o.addGrad(dz, dx, z, x)
	return value
}

// PairGrad overwrites dy, dz and dx, in one pass over the rows where the loss is a [Loss].
func (o *Regularized) PairGrad(dy, dz, dx, y, z, x []float64, b bilevel.Batch) {
	if o.pairs != nil {
		o.pairs.pairGrad(dy, dz, y, z, b)
	} else {
		o.loss.Grad(dy, nil, y, x, b)
		o.loss.Grad(dz, nil, z, x, b)
	}
	clear(dx)
	o.pen.prepare(x)
	o.pen.addPair(dy, dz, o.pen.own(dx), y, z, 0)
}

// PairDescend steps y and z, feature by feature where the rows are sparse, b is all of them and no two features share a
// strength.
func (o *Regularized) PairDescend(dx, y, z, x, e []float64, a, c float64, b bilevel.Batch) {
	if o.one == nil || !o.pen.local || b != bilevel.All(o) {
		o.dy, o.dz = grow(o.dy, len(y)), grow(o.dz, len(z))
		o.PairGrad(o.dy, o.dz, dx, y, z, x, b)
		kernel.Axpy(-a, o.dy, y)
		kernel.Axpy(-c, e, y)
		kernel.Axpy(-a, o.dz, z)
		return
	}
	clear(dx)
	o.pen.prepare(x)
	o.step.dx, o.step.e, o.step.a, o.step.c = o.pen.own(dx), e, a, c
	o.one.run(pass{z: y, v: z, pair: true, pen: o.pen, descend: &o.step}, b)
}

// Products overwrites dz, hv and cv.
func (o *Regularized) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if o.onePass(b) {
		o.products(pass{dz: dz, hv: hv, z: z, v: v}, cv, x, b)
		return
	}
	if dz != nil || hv != nil {
		o.loss.Products(dz, hv, nil, z, x, v, b)
	}
	o.pen.products(dz, hv, cv, z, x, v, true)
}

// Cross overwrites dz = ∇²zx·w, to which the loss does not contribute.
func (o *Regularized) Cross(dz, z, x, w []float64, b bilevel.Batch) { o.pen.Cross(dz, z, x, w, b) }

// Linearize keeps what products at (z, x) over b need.
func (o *Regularized) Linearize(z, x []float64, b bilevel.Batch) {
	o.z = append(o.z[:0], z...)
	o.x = append(o.x[:0], x...)
	o.loss.Linearize(z, x, b)
}

// Apply overwrites hv and cv.
func (o *Regularized) Apply(hv, cv, v []float64) {
	if o.one != nil && o.onePass(o.one.lin) {
		o.products(pass{hv: hv, z: o.z, v: v, apply: true}, cv, o.x, o.one.lin)
		return
	}
	if hv != nil {
		o.loss.Apply(hv, nil, v)
	}
	o.pen.products(nil, hv, cv, o.z, o.x, v, true)
}

// Hessian overwrites the lower triangle of dst.
func (o *Regularized) Hessian(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	err := o.loss.Hessian(ctx, dst, z, x, b)
	o.pen.addDiagonal(dst, x, o.pen.d)
	return err
}

// BlockSize is that of the loss.
func (o *Regularized) BlockSize() int { return o.loss.BlockSize() }

// Blocks overwrites dst with the diagonal blocks of ∇²zz over b.
func (o *Regularized) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	err := o.loss.Blocks(ctx, dst, z, x, b)
	o.pen.addDiagonal(dst, x, o.loss.BlockSize())
	return err
}
