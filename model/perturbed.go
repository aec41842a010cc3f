package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

// Perturbed is a loss on dense rows of which the first s are shifted by the outer variable, plus a fixed ridge:
//
//	mean over rows i of ℓ(⟨a_i + x_i, z⟩, y_i) + ½β‖z‖²,   x_i = 0 for i ≥ s,
//
// where x is s × features, row-major. It is the inner objective of data poisoning, of which the outer one is the
// [Negative] of a validation loss, and with a_i = 0 that of dataset distillation, where x are the rows themselves.
//
// Setting a new x copies it into the rows; a pass costs what the loss costs, and 2k multiplications for each
// perturbed number where derivatives with respect to x are asked for. It keeps a copy of the rows.
//
// Muñoz-González et al., Towards poisoning of deep learning algorithms with back-gradient optimization, 2017,
// section 3.
type Perturbed struct {
	loss  *Loss
	base  []float64 // the first s rows, without padding
	s     int
	ridge float64

	x      []float64 // that of the rows
	tc, sc []float64
	lz, lx []float64 // the point of Linearize
}

var (
	_ bilevel.SecondOrder     = (*Perturbed)(nil)
	_ bilevel.Local           = (*Perturbed)(nil)
	_ bilevel.Linearizer      = (*Perturbed)(nil)
	_ bilevel.ValueGradienter = (*Perturbed)(nil)
	_ bilevel.HessianMatrix   = (*Perturbed)(nil)
	_ bilevel.HessianBlocks   = (*Perturbed)(nil)
)

// NewPerturbed shifts the first s rows of loss, whose rows are dense, by the outer variable and adds ½ridge‖z‖².
func NewPerturbed(loss *Loss, s int, ridge float64) (*Perturbed, error) {
	switch {
	case loss.dense == nil:
		return nil, fmt.Errorf("model: only dense rows can be perturbed")
	case s < 1 || s > loss.n:
		return nil, fmt.Errorf("model: %d perturbed rows of %d", s, loss.n)
	case !(ridge >= 0) || math.IsInf(ridge, 0):
		return nil, fmt.Errorf("model: a ridge of %v", ridge)
	}
	d := loss.layout.Features
	own := rows.NewDense(loss.n, d)
	copy(own.Data, loss.dense.Data)
	l, err := newLoss(own, loss.link, loss.n, loss.layout.Classes, s*d)
	if err != nil {
		return nil, err
	}
	o := &Perturbed{loss: l, s: s, ridge: ridge, x: make([]float64, s*d)}
	for i := range s {
		o.base = append(o.base, own.Row(i)...)
	}
	return o, nil
}

// Dims returns the lengths of z and of x.
func (o *Perturbed) Dims() (d, p int) { return o.loss.Dims() }

// Samples is the number of rows.
func (o *Perturbed) Samples() int { return o.loss.n }

// OuterRange is the part of x that shifts rows of b.
func (o *Perturbed) OuterRange(b bilevel.Batch) (lo, hi int) {
	d := o.loss.layout.Features
	return min(b.Lo, o.s) * d, min(b.Hi, o.s) * d
}

// set shifts the rows by x.
func (o *Perturbed) set(x []float64) {
	if slices.Equal(o.x, x) {
		return
	}
	copy(o.x, x)
	d := o.loss.layout.Features
	for i := range o.s {
		row := o.loss.dense.Row(i)
		for j := range row {
			row[j] = o.base[i*d+j] + x[i*d+j]
		}
	}
}

// Value is the mean loss over b plus the ridge.
func (o *Perturbed) Value(z, x []float64, b bilevel.Batch) float64 {
	o.set(x)
	return o.loss.Value(z, nil, b) + o.ridge/2*kernel.Dot(z, z)
}

// LocalProducts is Products with the part of cv that belongs to b.
func (o *Perturbed) LocalProducts(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.inner(dz, hv, z, x, v, b)
	o.outer(nil, cv, z, v, b)
}

// Grad overwrites dz and dx.
func (o *Perturbed) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.set(x)
	if dz != nil {
		o.loss.Grad(dz, nil, z, nil, b)
		kernel.Axpy(o.ridge, z, dz)
	}
	o.outer(o.own(dx, b), nil, z, nil, b)
}

// ValueGrad is Value and Grad in one pass.
func (o *Perturbed) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	o.set(x)
	if dz == nil {
		o.outer(o.own(dx, b), nil, z, nil, b)
		return o.Value(z, x, b)
	}
	value := o.loss.ValueGrad(dz, nil, z, nil, b) + o.ridge/2*kernel.Dot(z, z)
	kernel.Axpy(o.ridge, z, dz)
	o.outer(o.own(dx, b), nil, z, nil, b)
	return value
}

// Products overwrites dz, hv and cv.
func (o *Perturbed) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.LocalProducts(dz, hv, o.own(cv, b), z, x, v, b)
}

// own is the part of dx that belongs to b, with the rest of dx cleared; nil stays nil.
func (o *Perturbed) own(dx []float64, b bilevel.Batch) []float64 {
	if dx == nil {
		return nil
	}
	clear(dx)
	lo, hi := o.OuterRange(b)
	return dx[lo:hi]
}

// inner is Products without cv.
func (o *Perturbed) inner(dz, hv, z, x, v []float64, b bilevel.Batch) {
	o.set(x)
	if dz != nil || hv != nil {
		o.loss.Products(dz, hv, nil, z, nil, v, b)
		if dz != nil {
			kernel.Axpy(o.ridge, z, dz)
		}
		if hv != nil {
			kernel.Axpy(o.ridge, v, hv)
		}
	}
}

// outer sets the part of dx = ∇x and of cv = ∇²xz·v that belongs to b, as far as they are not nil: of row i,
// with scores t_c = ⟨a_i + x_i, z_c⟩,
//
//	∇x_i = Σ_c ∂ℓ/∂t_c z_c / |b|,   ∇²xz_i·v = Σ_c (∂ℓ/∂t_c v_c + Σ_c' ∂²ℓ/∂t_c∂t_c' ⟨a_i + x_i, v_c'⟩ z_c) / |b|.
func (o *Perturbed) outer(dx, cv, z, v []float64, b bilevel.Batch) {
	c := bilevel.Batch{Lo: min(b.Lo, o.s), Hi: min(b.Hi, o.s), Draw: b.Draw}
	m, k, d := c.Len(), o.loss.layout.Classes, o.loss.layout.Features
	if m <= 0 || dx == nil && cv == nil {
		return
	}
	w := 1 / float64(b.Len())
	o.tc = grow(o.tc, k*m)
	t := o.tc
	var s []float64
	if cv != nil {
		o.sc = grow(o.sc, k*m)
		s = o.sc
	}
	o.loss.Coefs(t, s, nil, z, nil, v, c)
	for i := range m {
		at := i * d
		if dx != nil {
			row := dx[at : at+d]
			clear(row)
			for j := range k {
				kernel.Axpy(w*t[j*m+i], z[j*d:(j+1)*d], row)
			}
		}
		if cv != nil {
			row := cv[at : at+d]
			clear(row)
			for j := range k {
				kernel.Axpy(w*t[j*m+i], v[j*d:(j+1)*d], row)
				kernel.Axpy(w*s[j*m+i], z[j*d:(j+1)*d], row)
			}
		}
	}
}

// Linearize keeps what products at (z, x) over b need.
func (o *Perturbed) Linearize(z, x []float64, b bilevel.Batch) {
	o.set(x)
	o.lz, o.lx = append(o.lz[:0], z...), append(o.lx[:0], x...)
	o.loss.Linearize(z, nil, b)
}

// Apply overwrites hv and cv.
func (o *Perturbed) Apply(hv, cv, v []float64) {
	o.set(o.lx)
	if hv != nil {
		o.loss.Apply(hv, nil, v)
		kernel.Axpy(o.ridge, v, hv)
	}
	o.outer(nil, o.own(cv, o.loss.lin), o.lz, v, o.loss.lin)
}

// Hessian overwrites the lower triangle of dst.
func (o *Perturbed) Hessian(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	o.set(x)
	err := o.loss.Hessian(ctx, dst, z, nil, b)
	d := o.loss.layout.Len()
	for i := range d {
		dst[i*d+i] += o.ridge
	}
	return err
}

// BlockSize is that of the loss.
func (o *Perturbed) BlockSize() int { return o.loss.BlockSize() }

// Blocks overwrites dst with the diagonal blocks of ∇²zz over b.
func (o *Perturbed) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	o.set(x)
	err := o.loss.Blocks(ctx, dst, z, nil, b)
	size := o.loss.BlockSize()
	for i := range o.loss.layout.Len() {
		dst[i*size+i%size] += o.ridge
	}
	return err
}

// Negative is −o, an outer objective to be made large. It passes on [bilevel.ValueGradienter],
// [bilevel.Local] and [bilevel.Failer], and nothing else.
func Negative(o bilevel.Objective) bilevel.Objective {
	n := negative{o}
	if l, ok := o.(bilevel.Local); ok {
		return negativeLocal{n, l}
	}
	return n
}

type negative struct{ bilevel.Objective }

type negativeLocal struct {
	negative
	local bilevel.Local
}

func (n negativeLocal) OuterRange(b bilevel.Batch) (lo, hi int) { return n.local.OuterRange(b) }

func (n negativeLocal) LocalProducts(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	n.local.LocalProducts(dz, hv, cv, z, x, v, b)
	kernel.Scale(-1, dz)
	kernel.Scale(-1, hv)
	kernel.Scale(-1, cv)
}

var (
	_ bilevel.ValueGradienter = negative{}
	_ bilevel.Failer          = negative{}
)

func (n negative) Value(z, x []float64, b bilevel.Batch) float64 { return -n.Objective.Value(z, x, b) }

func (n negative) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	n.Objective.Grad(dz, dx, z, x, b)
	kernel.Scale(-1, dz)
	kernel.Scale(-1, dx)
}

func (n negative) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	value := bilevel.ValueGrad(n.Objective, dz, dx, z, x, b)
	kernel.Scale(-1, dz)
	kernel.Scale(-1, dx)
	return -value
}

// Err is described at [bilevel.Failer].
func (n negative) Err() error {
	if f, ok := n.Objective.(bilevel.Failer); ok {
		return f.Err()
	}
	return nil
}
