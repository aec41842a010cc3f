package model

import (
	"context"
	"errors"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/rows"
)

// Folds is K-fold cross-validation as one bilevel problem. z stacks K models, z_0 to z_{K−1}, and the rows of
// fold f lie in [Bounds[f], Bounds[f+1]). With ℓ_i the loss of row i,
//
//	inner  g(z, x) = Σ_f mean over the rows outside fold f of ℓ_i(z_f), to which a penalty with Copies = K is added,
//	outer  f(z)    = mean over all rows of ℓ_i(z_f), f the row's own fold.
//
// Minimising g minimises each model's own training loss, because the z_f do not meet. Means of rows that count by
// weights are weighted ones.
//
// Repeated cross-validation divides the rows several times, differently each time. The rows are then stacked, once for
// each time, and the models of one time do not see the others' rows.
type Folds struct {
	Inner *FoldsInner
	Outer *FoldsOuter
}

// NewFolds makes the two objectives from a loss whose rows are sorted by fold. bounds has K+1 entries, from 0
// to the number of rows.
func NewFolds(loss *Loss, bounds []int) (*Folds, error) { return NewRepeatedFolds(loss, bounds, 1) }

// NewRepeatedFolds is NewFolds of rows that are stacked so many times: there are as many folds each time, and bounds
// goes through all of them.
func NewRepeatedFolds(loss *Loss, bounds []int, times int) (*Folds, error) {
	k := len(bounds) - 1
	if times < 1 || k%times != 0 || k/times < 2 {
		return nil, errors.New("model: cross-validation needs at least 2 folds, and as many each time")
	}
	if bounds[0] != 0 || bounds[k] != loss.n {
		return nil, fmt.Errorf("model: folds from %d to %d of %d rows", bounds[0], bounds[k], loss.n)
	}
	c := folds{loss: loss, bounds: bounds, each: k / times, models: make([]int, k), d: loss.layout.Len()}
	for f := range k {
		if bounds[f] >= bounds[f+1] {
			return nil, fmt.Errorf("model: fold %d has no rows", f)
		}
		begin, end := c.time(f)
		rest := loss.mass(begin, bounds[f]) + loss.mass(bounds[f+1], end)
		if rest == 0 {
			return nil, fmt.Errorf("model: all rows outside of fold %d have the weight 0", f)
		}
		c.models[f] = f
		c.weight = append(c.weight, float64(loss.n)/rest)
	}
	return &Folds{Inner: &FoldsInner{folds: c}, Outer: &FoldsOuter{folds: c}}, nil
}

// Count is the number of models, one for each fold.
func (c *folds) Count() int { return len(c.models) }

type folds struct {
	loss   *Loss
	bounds []int
	each   int       // folds of one time
	models []int     // the fold of each model
	d      int       // length of one z_f
	weight []float64 // of a mean over all rows in that over the rows outside of a fold
}

// Dims returns the lengths of the stacked z and of x.
func (c *folds) Dims() (d, p int) { return c.d * c.Count(), c.loss.p }

// ColumnNorms overwrites dst with the loss's, of all rows, once for each fold.
func (c *folds) ColumnNorms(dst []float64) {
	c.loss.ColumnNorms(dst[:c.d])
	for f := 1; f < c.Count(); f++ {
		copy(c.of(f, dst), dst)
	}
}

// Samples is the number of rows.
func (c *folds) Samples() int { return c.loss.n }

// OuterRange is empty: x does not enter.
func (c *folds) OuterRange(bilevel.Batch) (lo, hi int) { return 0, 0 }

// Row is nil: a row of the data makes the scores of its own folds only.
func (c *folds) Row(int) []float64 { return nil }

// Prefetch asks for the rows of b at once: views of the loss read them, in parts.
func (c *folds) Prefetch(b bilevel.Batch) {
	if a := c.loss.dense; a != nil {
		c.loss.fetch(a.Data[b.Lo*a.Stride : b.Hi*a.Stride])
	}
}

// of is the part of a stacked vector that belongs to model f; nil stays nil.
func (c *folds) of(f int, s []float64) []float64 {
	if s == nil {
		return nil
	}
	return s[f*c.d : (f+1)*c.d]
}

// outside is b without the fold of model f and other times, as up to two ranges, and the weight of a mean over b's rows
// in it.
func (c *folds) outside(f int, b bilevel.Batch) (parts [2]bilevel.Batch, weight float64) {
	f = c.models[f]
	lo, hi := c.bounds[f], c.bounds[f+1]
	begin, end := c.time(f)
	parts[0] = within(b, begin, lo)
	parts[1] = within(b, hi, end)
	return parts, c.weight[f]
}

// time are the rows of the time that fold f belongs to.
func (c *folds) time(f int) (begin, end int) {
	first := f - f%c.each
	return c.bounds[first], c.bounds[first+c.each]
}

// within is the part of b that lies in [lo, hi).
func within(b bilevel.Batch, lo, hi int) bilevel.Batch {
	lo = min(max(b.Lo, lo), b.Hi)
	return bilevel.Batch{Lo: lo, Hi: max(lo, min(b.Hi, hi)), Draw: b.Draw}
}

// inside is the part of b in the fold of model f.
func (c *folds) inside(f int, b bilevel.Batch) bilevel.Batch {
	f = c.models[f]
	return within(b, c.bounds[f], c.bounds[f+1])
}

// FoldsInner is the inner loss of [Folds]. Its K models are evaluated on all cores where that pays.
type FoldsInner struct {
	folds
	lin  bilevel.Batch
	fold []fold
	job  foldsJob
}

// fold is what the evaluation of one model works with: views of the loss, with the rows and scratch of their
// own, for the rows before and behind the fold.
type fold struct {
	part   [2]Loss
	dz, hv []float64
	value  float64
}

// foldsJob is an evaluation in progress.
type foldsJob struct {
	dz, hv, z, x, v []float64
	b               bilevel.Batch
	value, apply    bool
}

// FoldsOuter is the outer loss of [Folds].
type FoldsOuter struct{ folds }

var (
	_ Sampled                 = (*FoldsInner)(nil)
	_ bilevel.Divisible       = (*FoldsInner)(nil)
	_ bilevel.Local           = (*FoldsInner)(nil)
	_ bilevel.Linear          = (*FoldsOuter)(nil)
	_ bilevel.Local           = (*FoldsOuter)(nil)
	_ bilevel.ValueGradienter = (*FoldsOuter)(nil)
)

// Parts are the inner losses of single models, which share the rows and nothing else.
func (o *FoldsInner) Parts() []bilevel.SecondOrder {
	parts := make([]bilevel.SecondOrder, o.Count())
	for f, m := range o.models {
		loss := o.loss.view()
		parts[f] = &FoldsInner{folds: folds{loss: &loss, bounds: o.bounds, each: o.each, models: []int{m}, d: o.d, weight: o.weight}}
	}
	return parts
}

// Value is the loss over b.
func (o *FoldsInner) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.pass(nil, nil, z, x, nil, b, true)
}

// Grad overwrites dz, and dx with zeros.
func (o *FoldsInner) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dx)
	o.pass(dz, nil, z, x, nil, b, false)
}

// ValueGrad is Value and Grad in one pass.
func (o *FoldsInner) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	clear(dx)
	return o.pass(dz, nil, z, x, nil, b, true)
}

// Products overwrites dz and hv, and cv with zeros.
func (o *FoldsInner) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(cv)
	o.pass(dz, hv, z, x, v, b, false)
}

func (o *FoldsInner) pass(dz, hv, z, x, v []float64, b bilevel.Batch, value bool) float64 {
	o.job = foldsJob{dz: dz, hv: hv, z: z, x: x, v: v, b: b, value: value}
	o.run()
	sum := 0.0
	for f := range o.fold {
		sum += o.fold[f].value
	}
	return sum
}

// run does the job for every fold.
func (o *FoldsInner) run() {
	o.views()
	team := pool.For(o.job.b.Len() * o.d * (o.Count() - 1))
	if team.Size == 1 { // without a closure, which would be allocated
		for f := range o.fold {
			o.one(0, f)
		}
		return
	}
	team.Run(o.Count(), o.one)
}

// views makes the folds' views of the loss.
func (o *FoldsInner) views() {
	if o.fold != nil {
		return
	}
	o.fold = make([]fold, o.Count())
	for f := range o.fold {
		w := &o.fold[f]
		w.dz, w.hv = make([]float64, o.d), make([]float64, o.d)
		for i := range w.part {
			w.part[i] = o.loss.view()
		}
	}
}

// one does the job for fold f.
func (o *FoldsInner) one(_, f int) {
	j, w := &o.job, &o.fold[f]
	w.value = 0
	dz, hv := o.of(f, j.dz), o.of(f, j.hv)
	clear(dz)
	clear(hv)
	var pz, pv []float64
	if dz != nil {
		pz = w.dz
	}
	if hv != nil {
		pv = w.hv
	}
	z, v := o.of(f, j.z), o.of(f, j.v)
	parts, weight := o.outside(f, j.b)
	for i, q := range parts {
		if q.Len() == 0 {
			continue
		}
		loss := &w.part[i]
		share := weight * float64(q.Len()) / float64(j.b.Len())
		switch {
		case j.apply:
			loss.Apply(pv, nil, v)
		case j.value:
			w.value += share * loss.ValueGrad(pz, nil, z, j.x, q)
		case hv != nil:
			loss.Products(pz, pv, nil, z, j.x, v, q)
		default:
			loss.Grad(pz, nil, z, j.x, q)
		}
		if dz != nil {
			kernel.Axpy(share, pz, dz)
		}
		if hv != nil {
			kernel.Axpy(share, pv, hv)
		}
	}
}

// Linearize keeps what products at z over b need.
func (o *FoldsInner) Linearize(z, x []float64, b bilevel.Batch) {
	o.lin = b
	o.views()
	for f := range o.fold {
		parts, _ := o.outside(f, b)
		for i, q := range parts {
			o.fold[f].part[i].Linearize(o.of(f, z), x, q)
		}
	}
}

// LocalProducts is Products without cv.
func (o *FoldsInner) LocalProducts(dz, hv, _, z, x, v []float64, b bilevel.Batch) {
	o.Products(dz, hv, nil, z, x, v, b)
}

// Apply overwrites hv, and cv with zeros.
func (o *FoldsInner) Apply(hv, cv, v []float64) {
	clear(cv)
	if hv != nil {
		o.job = foldsJob{hv: hv, v: v, b: o.lin, apply: true}
		o.run()
	}
}

// Hessian overwrites the lower triangle of the block diagonal matrix dst.
func (o *FoldsInner) Hessian(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	dim := o.d * o.Count()
	clear(dst)
	block := make([]float64, o.d*o.d)
	for f := range o.Count() {
		parts, w := o.outside(f, b)
		for _, q := range parts {
			if q.Len() == 0 {
				continue
			}
			if err := o.loss.Hessian(ctx, block, o.of(f, z), x, q); err != nil {
				return err
			}
			for i := range o.d {
				at := (f*o.d+i)*dim + f*o.d
				kernel.Axpy(w*float64(q.Len())/float64(b.Len()), block[i*o.d:i*o.d+i+1], dst[at:at+i+1])
			}
		}
	}
	return nil
}

// BlockSize is that of the loss.
func (o *FoldsInner) BlockSize() int { return o.loss.BlockSize() }

// Blocks overwrites dst with the diagonal blocks, fold by fold.
func (o *FoldsInner) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	clear(dst)
	n := o.d * o.BlockSize()
	part := make([]float64, n)
	for f := range o.Count() {
		parts, w := o.outside(f, b)
		for _, q := range parts {
			if q.Len() == 0 {
				continue
			}
			if err := o.loss.Blocks(ctx, part, o.of(f, z), x, q); err != nil {
				return err
			}
			kernel.Axpy(w*float64(q.Len())/float64(b.Len()), part, dst[f*n:(f+1)*n])
		}
	}
	return nil
}

// Scores is K times that of the loss.
func (o *FoldsInner) Scores() int { return o.Count() * o.loss.Scores() }

// Coefs overwrites cg and ch; the coefficients of a row for its own fold's model are zero.
func (o *FoldsInner) Coefs(cg, ch, _, z, x, v []float64, b bilevel.Batch) {
	n := o.loss.Scores() * b.Len()
	for f := range o.Count() {
		parts, w := o.outside(f, b)
		g, h := cut(cg, f, n), cut(ch, f, n)
		o.loss.Coefs(g, h, nil, o.of(f, z), x, o.of(f, v), b)
		for _, c := range [][]float64{g, h} {
			if c == nil {
				continue
			}
			kernel.Scale(w, c)
			for s := range o.loss.Scores() {
				row := c[s*b.Len() : (s+1)*b.Len()]
				clear(row[:parts[0].Lo-b.Lo])
				clear(row[parts[0].Hi-b.Lo : parts[1].Lo-b.Lo])
				clear(row[parts[1].Hi-b.Lo:])
			}
		}
	}
}

// Combine is described at [bilevel.Linear].
func (c *folds) Combine(dz, hv, cg, ch []float64, w, keep float64, b bilevel.Batch) {
	n := c.loss.Scores() * b.Len()
	for f := range c.Count() {
		c.loss.Combine(c.of(f, dz), c.of(f, hv), cut(cg, f, n), cut(ch, f, n), w, keep, b)
	}
}

// cut is the f-th run of n numbers of s; nil stays nil.
func cut(s []float64, f, n int) []float64 {
	if s == nil {
		return nil
	}
	return s[f*n : (f+1)*n]
}

// Value is the loss over b.
func (o *FoldsOuter) Value(z, x []float64, b bilevel.Batch) float64 {
	sum := 0.0
	for f := range o.Count() {
		if q := o.inside(f, b); q.Len() > 0 {
			sum += float64(q.Len()) / float64(b.Len()) * o.loss.Value(o.of(f, z), x, q)
		}
	}
	return sum
}

// Grad overwrites dz, and dx with zeros.
func (o *FoldsOuter) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dx)
	o.pass(dz, nil, z, x, nil, b, false)
}

// ValueGrad is Value and Grad in one pass.
func (o *FoldsOuter) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	clear(dx)
	return o.pass(dz, nil, z, x, nil, b, true)
}

// Products overwrites dz and hv, and cv with zeros.
func (o *FoldsOuter) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(cv)
	o.pass(dz, hv, z, x, v, b, false)
}

// LocalProducts is Products without cv.
func (o *FoldsOuter) LocalProducts(dz, hv, _, z, x, v []float64, b bilevel.Batch) {
	o.Products(dz, hv, nil, z, x, v, b)
}

func (o *FoldsOuter) pass(dz, hv, z, x, v []float64, b bilevel.Batch, value bool) float64 {
	clear(dz)
	clear(hv)
	sum := 0.0
	for f := range o.Count() {
		q := o.inside(f, b)
		if q.Len() == 0 {
			continue
		}
		w := float64(q.Len()) / float64(b.Len())
		gz, hz := o.of(f, dz), o.of(f, hv)
		switch {
		case value:
			sum += w * o.loss.ValueGrad(gz, nil, o.of(f, z), x, q)
		case hv != nil:
			o.loss.Products(gz, hz, nil, o.of(f, z), x, o.of(f, v), q)
		default:
			o.loss.Grad(gz, nil, o.of(f, z), x, q)
		}
		kernel.Scale(w, gz)
		kernel.Scale(w, hz)
	}
	return sum
}

// Scores is K times that of the loss.
func (o *FoldsOuter) Scores() int { return o.Count() * o.loss.Scores() }

// Coefs overwrites cg and ch; a row has coefficients for its own fold's model only.
func (o *FoldsOuter) Coefs(cg, ch, _, z, x, v []float64, b bilevel.Batch) {
	n := o.loss.Scores() * b.Len()
	for f := range o.Count() {
		own := o.inside(f, b)
		g, h := cut(cg, f, n), cut(ch, f, n)
		if own.Len() > 0 {
			o.loss.Coefs(g, h, nil, o.of(f, z), x, o.of(f, v), b)
		}
		for _, c := range [][]float64{g, h} {
			if c == nil {
				continue
			}
			for s := range o.loss.Scores() {
				row := c[s*b.Len() : (s+1)*b.Len()]
				clear(row[:own.Lo-b.Lo])
				clear(row[own.Hi-b.Lo:])
			}
		}
	}
}

// ScoreRows returns the n×k scores of a linear model with k scores per row, row by row; z has the layout
// that a loss on a with k scores has.
func ScoreRows(a rows.Matrix, z []float64, k int) []float64 {
	n, d := a.Dims()
	out := make([]float64, n*k)
	switch a := a.(type) {
	case *rows.CSR:
		for i := range n {
			idx, val := a.Row(i)
			kernel.SparseScores(out[i*k:(i+1)*k], idx, val, z, k)
		}
	case *rows.Dense:
		const step = 256
		t := make([]float64, step*k)
		for lo := 0; lo < n; lo += step {
			m := min(step, n-lo)
			kernel.ScoresK(t[:k*m], a.Data[lo*a.Stride:(lo+m)*a.Stride], a.Stride, z, k, d, m)
			for i := range m {
				for c := range k {
					out[(lo+i)*k+c] = t[c*m+i]
				}
			}
		}
	}
	return out
}
