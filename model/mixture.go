package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// Mixture is the inner objective that learns which parts of the training rows help. The rows are divided into parts,
// such as the files that they come from, and the outer variable has the weight of each part in its first entries and
// the strengths of a penalty behind them:
//
//	g(z, x) = Σ_s x_s · mean over the rows of part s of ℓ_i(z) + penalty(z, x).
//
// Weights are meant to lie on the simplex, see [bilevel.Problem].Project, whose faces make them exactly zero.
//
// With folds, as [Folds] has them, z stacks K models, and g is the sum of such an objective for each, in which the rows
// of the model's own fold are left out. The first rows are those in folds; the rows behind the last fold are in none of
// them and train every model.
//
// A pass costs that of a [Cleaning] for each model.
type Mixture struct {
	parts  int
	models []*reweighted // views of one loss
	d      int           // length of one z
	pen    *Penalty
	dx     []float64 // of one model, or of the penalty
	z, x   []float64 // point of Linearize
}

var (
	_ bilevel.SecondOrder     = (*Mixture)(nil)
	_ bilevel.Linearizer      = (*Mixture)(nil)
	_ bilevel.HessianMatrix   = (*Mixture)(nil)
	_ bilevel.HessianBlocks   = (*Mixture)(nil)
	_ bilevel.ValueGradienter = (*Mixture)(nil)
	_ bilevel.Crosser         = (*Mixture)(nil)
	_ bilevel.ColumnNormer    = (*Mixture)(nil)
)

// NewMixture divides the rows of a loss, whose data it shares, into parts: part[i], from 0 on, is that of row i. bounds
// are those of the K folds, 0 first, and nil for one model of all rows. The penalty has Copies = K, and its strengths
// come behind the weights: PenaltyOptions.First is at least the number of parts.
func NewMixture(loss *Loss, part, bounds []int, penalty *Penalty) (*Mixture, error) {
	l, ok := loss.link.(rowLink)
	if !ok {
		return nil, errors.New("model: the rows of this loss cannot be weighed")
	}
	copies := max(len(bounds)-1, 1)
	o := &Mixture{d: loss.layout.Len(), pen: penalty, dx: make([]float64, penalty.outer)}
	if d, _ := penalty.Dims(); d != copies*o.d {
		return nil, fmt.Errorf("model: the penalty is of %d coefficients, and %d models have %d each", d, copies, o.d)
	}
	if bounds == nil {
		bounds = []int{0, 0}
	}
	if bounds[0] != 0 || len(bounds) < 2 || bounds[copies] > loss.n {
		return nil, fmt.Errorf("model: folds %v of %d rows", bounds, loss.n)
	}
	if !slices.IsSorted(bounds) {
		return nil, fmt.Errorf("model: the folds %v are not in order", bounds)
	}
	for _, g := range part {
		o.parts = max(o.parts, g+1)
	}
	for f := range copies {
		of := slices.Clone(part)
		for i := bounds[f]; i < bounds[f+1] && i < len(of); i++ {
			of[i] = -1
		}
		t, err := newTie(of, loss.n, false)
		if err != nil {
			return nil, err
		}
		t.scale = make([]float64, o.parts)
		for _, g := range of {
			if g >= 0 {
				t.scale[g]++
			}
		}
		for g, n := range t.scale {
			if n == 0 {
				return nil, fmt.Errorf("model: part %d has no rows outside fold %d", g, f)
			}
			t.scale[g] = float64(loss.n) / n
		}
		t.p = penalty.outer
		o.models = append(o.models, reweigh(loss, l, LinearWeights, t))
	}
	if penalty.first < o.parts {
		return nil, fmt.Errorf("model: strengths from place %d on, behind %d weights", penalty.first, o.parts)
	}
	return o, nil
}

// Layout says how one z is laid out.
func (o *Mixture) Layout() Layout { return o.models[0].loss.layout }

// Parts is the number of parts, whose weights are the first entries of x.
func (o *Mixture) Parts() int { return o.parts }

// Dims returns the lengths of the stacked z and of x.
func (o *Mixture) Dims() (d, p int) { return o.d * len(o.models), o.pen.outer }

// Samples is the number of rows.
func (o *Mixture) Samples() int { return o.models[0].loss.n }

// ColumnNorms overwrites dst with those of the loss without weights, once for each model.
func (o *Mixture) ColumnNorms(dst []float64) {
	o.models[0].loss.ColumnNorms(dst[:o.d])
	for f := range o.models {
		copy(o.of(f, dst), dst[:o.d])
	}
}

// of is the part of a stacked vector that belongs to model f; nil stays nil.
func (o *Mixture) of(f int, s []float64) []float64 {
	if s == nil {
		return nil
	}
	return s[f*o.d : (f+1)*o.d]
}

// scratch is where the derivatives of one term by x go, to be added to dx; nil where that is nil.
func (o *Mixture) scratch(dx []float64) []float64 {
	if dx == nil {
		return nil
	}
	return o.dx
}

// add adds what the last term left in scratch.
func (o *Mixture) add(dx []float64) {
	if dx != nil {
		kernel.Axpy(1, o.dx, dx)
	}
}

// Value is the weighted loss over b plus the penalty.
func (o *Mixture) Value(z, x []float64, b bilevel.Batch) float64 {
	sum := o.pen.Value(z, x, b)
	for f, m := range o.models {
		sum += m.Value(o.of(f, z), x, b)
	}
	return sum
}

// Grad overwrites dz and dx.
func (o *Mixture) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	if dx != nil {
		o.pen.Grad(nil, dx, z, x, b)
	}
	for f, m := range o.models {
		m.Grad(o.of(f, dz), o.scratch(dx), o.of(f, z), x, b)
		o.add(dx)
	}
	if dz != nil {
		o.pen.products(dz, nil, nil, z, x, nil, true)
	}
}

// ValueGrad is Value and Grad in one pass.
func (o *Mixture) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	sum := o.pen.Value(z, x, b)
	if dx != nil {
		o.pen.Grad(nil, dx, z, x, b)
	}
	for f, m := range o.models {
		sum += m.ValueGrad(o.of(f, dz), o.scratch(dx), o.of(f, z), x, b)
		o.add(dx)
	}
	if dz != nil {
		o.pen.products(dz, nil, nil, z, x, nil, true)
	}
	return sum
}

// Products overwrites dz, hv and cv.
func (o *Mixture) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(cv)
	for f, m := range o.models {
		m.Products(o.of(f, dz), o.of(f, hv), o.scratch(cv), o.of(f, z), x, o.of(f, v), b)
		o.add(cv)
	}
	o.pen.products(dz, hv, o.scratch(cv), z, x, v, true)
	o.add(cv)
}

// Cross overwrites dz = ∇²zx·w.
func (o *Mixture) Cross(dz, z, x, w []float64, b bilevel.Batch) {
	o.pen.Cross(dz, z, x, w, b)
	part := make([]float64, o.d)
	for f, m := range o.models {
		m.Cross(part, o.of(f, z), x, w, b)
		kernel.Axpy(1, part, o.of(f, dz))
	}
}

// Linearize keeps what products at (z, x) over b need.
func (o *Mixture) Linearize(z, x []float64, b bilevel.Batch) {
	o.z = append(o.z[:0], z...)
	o.x = append(o.x[:0], x...)
	for f, m := range o.models {
		m.Linearize(o.of(f, z), x, b)
	}
}

// Apply overwrites hv and cv.
func (o *Mixture) Apply(hv, cv, v []float64) {
	clear(cv)
	for f, m := range o.models {
		m.Apply(o.of(f, hv), o.scratch(cv), o.of(f, v))
		o.add(cv)
	}
	o.pen.products(nil, hv, o.scratch(cv), o.z, o.x, v, true)
	o.add(cv)
}

// Hessian overwrites the lower triangle of dst, in which the models are blocks.
func (o *Mixture) Hessian(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	n := o.d * len(o.models)
	clear(dst[:n*n])
	block := make([]float64, o.d*o.d)
	for f, m := range o.models {
		if err := m.Hessian(ctx, block, o.of(f, z), x, b); err != nil {
			return err
		}
		for i := range o.d {
			at := (f*o.d+i)*n + f*o.d
			copy(dst[at:at+i+1], block[i*o.d:])
		}
	}
	o.pen.addDiagonal(dst, x, n)
	return nil
}

// BlockSize is that of the loss.
func (o *Mixture) BlockSize() int { return o.models[0].BlockSize() }

// Blocks overwrites dst with the diagonal blocks of ∇²zz over b, model by model.
func (o *Mixture) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	n := o.d * o.BlockSize()
	for f, m := range o.models {
		if err := m.Blocks(ctx, dst[f*n:(f+1)*n], o.of(f, z), x, b); err != nil {
			return err
		}
	}
	o.pen.addDiagonal(dst, x, o.BlockSize())
	return nil
}
