package model

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// CleaningOptions are the settings of [NewCleaning]. The zero value works.
type CleaningOptions struct {
	Weights Weights
	// Ridge is C of the ridge C‖z‖², above zero; 0 means 0.2.
	Ridge float64
	// Groups, if any, are the groups of the rows, from 0 on: rows of a group share one entry of the outer variable, and
	// have a weight in common. −1 is none, a row whose x_i is zero.
	Groups []int
	// PerRow gives every row an entry of its own beside that of its group, to which it is added; these entries come
	// behind those of the groups.
	PerRow bool
}

// Cleaning is the inner objective of data cleaning, where the outer variable has one entry per row and says how much
// the row counts:
//
//	g(z, x) = mean over rows of w(x_i) ℓ(A_i z, y_i) + C‖z‖²,
//
// p = n, the number of rows. With a loss on trusted rows as the outer objective, rows with wrong labels lose their
// weight. [Cleaning.Split] gives the weighted loss, which is [bilevel.Linear] and, unless weights are
// [SoftmaxWeights], [bilevel.Local] with the x of the batch's own rows, and the ridge. Methods that sample rows use
// it: a step over a batch touches nothing else of x.
//
// A pass costs what that of the loss costs, and a few operations for each score: derivatives with respect to x need no
// products with rows beyond A_i z and A_i v.
//
// Shu et al., Meta-Weight-Net, 2019, and Franceschi et al., Forward and reverse gradient-based hyperparameter
// optimization, 2017, section 5.1; with σ(x_i), C = 0.2 as in Dagréou et al., A framework for bilevel optimization,
// 2022, section 4.
type Cleaning struct {
	rows  *reweighted
	ridge *ridge
}

var (
	_ bilevel.SecondOrder     = (*Cleaning)(nil)
	_ bilevel.Splitter        = (*Cleaning)(nil)
	_ bilevel.Linearizer      = (*Cleaning)(nil)
	_ bilevel.HessianMatrix   = (*Cleaning)(nil)
	_ bilevel.HessianBlocks   = (*Cleaning)(nil)
	_ bilevel.ValueGradienter = (*Cleaning)(nil)
	_ bilevel.Crosser         = (*Cleaning)(nil)
)

// NewCleaning weighs the rows of a loss, whose data it shares, and adds a ridge. The number of outer variables that
// the loss was made with does not matter; that of the outer objective is the number of rows here.
func NewCleaning(loss *Loss, o CleaningOptions) (*Cleaning, error) {
	l, ok := loss.link.(rowLink)
	switch {
	case !ok:
		return nil, fmt.Errorf("model: the rows of this loss cannot be weighed")
	case !o.Weights.known():
		return nil, fmt.Errorf("model: there are no weights %v", o.Weights)
	case !(o.Ridge >= 0) || math.IsInf(o.Ridge, 0):
		return nil, fmt.Errorf("model: a ridge of %v", o.Ridge)
	}
	if o.Ridge == 0 {
		o.Ridge = .2
	}
	var t *tie
	switch {
	case o.Groups == nil && o.PerRow:
		return nil, fmt.Errorf("model: rows have entries of their own anyway where there are no groups")
	case o.Groups != nil && o.Weights == SoftmaxWeights:
		return nil, fmt.Errorf("model: %v weights couple all rows: there are none of groups", o.Weights)
	case o.Groups != nil:
		var err error
		if t, err = newTie(o.Groups, loss.n, o.PerRow); err != nil {
			return nil, err
		}
	}
	rows := reweigh(loss, l, o.Weights, t)
	return &Cleaning{rows, &ridge{loss.layout.Len(), rows.loss.p, o.Ridge}}, nil
}

// reweigh is the loss, whose link l is, with weights of rows, which t ties unless it is nil.
func reweigh(loss *Loss, l rowLink, kind Weights, t *tie) *reweighted {
	w := &weighted{rowLink: l, weighing: weighings[kind], k: loss.layout.Classes, n: loss.n}
	v := loss.view()
	v.link, v.p, v.y = w, loss.n, nil // the kernels that y stands for know no weights
	if t != nil {
		v.p = t.p
	}
	return &reweighted{&v, w, t}
}

// Layout says how z is laid out.
func (o *Cleaning) Layout() Layout { return o.rows.loss.layout }

// Dims returns the length of z and the number of rows, or that of the groups with Groups and of both with PerRow.
func (o *Cleaning) Dims() (d, p int) { return o.ridge.d, o.ridge.p }

// Samples is the number of rows.
func (o *Cleaning) Samples() int { return o.rows.loss.n }

// ColumnNorms overwrites dst with those of the loss without weights.
func (o *Cleaning) ColumnNorms(dst []float64) { o.rows.loss.ColumnNorms(dst) }

// Weights overwrites dst with the weights of all rows at x.
func (o *Cleaning) Weights(dst, x []float64) {
	o.rows.set(x, bilevel.All(o))
	o.rows.w.weights(dst, 0)
}

// Split returns the weighted loss, which is sampled, and the ridge, which is exact.
func (o *Cleaning) Split() (sampled, exact bilevel.Objective) {
	if o.rows.w.coupled || o.rows.tie != nil {
		return o.rows, o.ridge
	}
	return reweightedLocal{o.rows}, o.ridge
}

// Value is the weighted mean loss over b plus the ridge.
func (o *Cleaning) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.rows.Value(z, x, b) + o.ridge.Value(z, nil, b)
}

// Grad overwrites dz and dx.
func (o *Cleaning) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.rows.Grad(dz, dx, z, x, b)
	o.ridge.add(dz, z)
}

// ValueGrad is Value and Grad in one pass.
func (o *Cleaning) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	value := o.rows.ValueGrad(dz, dx, z, x, b)
	o.ridge.add(dz, z)
	return value + o.ridge.Value(z, nil, b)
}

// Products overwrites dz, hv and cv.
func (o *Cleaning) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.rows.Products(dz, hv, cv, z, x, v, b)
	o.ridge.add(dz, z)
	o.ridge.add(hv, v)
}

// Cross overwrites dz = ∇²zx·u.
func (o *Cleaning) Cross(dz, z, x, u []float64, b bilevel.Batch) { o.rows.Cross(dz, z, x, u, b) }

// Linearize keeps what products at (z, x) over b need.
func (o *Cleaning) Linearize(z, x []float64, b bilevel.Batch) { o.rows.Linearize(z, x, b) }

// Apply overwrites hv and cv.
func (o *Cleaning) Apply(hv, cv, v []float64) {
	o.rows.Apply(hv, cv, v)
	o.ridge.add(hv, v)
}

// Hessian overwrites the lower triangle of dst.
func (o *Cleaning) Hessian(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	err := o.rows.Hessian(ctx, dst, z, x, b)
	o.ridge.addDiagonal(dst, o.ridge.d)
	return err
}

// BlockSize is that of the loss.
func (o *Cleaning) BlockSize() int { return o.rows.BlockSize() }

// Blocks overwrites dst with the diagonal blocks of ∇²zz over b.
func (o *Cleaning) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	err := o.rows.Blocks(ctx, dst, z, x, b)
	o.ridge.addDiagonal(dst, o.BlockSize())
	return err
}

// reweighted is the mean of weighted losses, the sampled part of [Cleaning].
type reweighted struct {
	loss *Loss // with w as its link
	w    *weighted
	tie  *tie // nil where each row has an x of its own
}

var (
	_ bilevel.SecondOrder     = (*reweighted)(nil)
	_ bilevel.Linear          = (*reweighted)(nil)
	_ bilevel.Linearizer      = (*reweighted)(nil)
	_ bilevel.HessianMatrix   = (*reweighted)(nil)
	_ bilevel.HessianBlocks   = (*reweighted)(nil)
	_ bilevel.ValueGradienter = (*reweighted)(nil)
	_ bilevel.Crosser         = (*reweighted)(nil)
	_ bilevel.Local           = reweightedLocal{}
)

// reweightedLocal is reweighted with weights that depend on their own x only.
type reweightedLocal struct{ *reweighted }

// OuterRange is the x of b's rows.
func (o reweightedLocal) OuterRange(b bilevel.Batch) (lo, hi int) { return b.Lo, b.Hi }

// LocalProducts overwrites dz, hv and, for the rows of b, cv.
func (o reweightedLocal) LocalProducts(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.products(dz, hv, cv, z, x, v, b)
}

// Coefs overwrites cg, ch and, for the rows of b, cv.
func (o reweightedLocal) Coefs(cg, ch, cv, z, x, v []float64, b bilevel.Batch) {
	o.coefs(cg, ch, cv, z, x, v, b)
}

// set is the start of a pass over b at the outer variable x.
func (o *reweighted) set(x []float64, b bilevel.Batch) {
	if o.tie != nil {
		x = o.tie.spread(o.tie.x, x, b)
	}
	o.w.set(x, b)
}

// own is where derivatives by the x of b's rows go: their part of dx, the outer variable's. nil stays nil.
func (o *reweighted) own(dx []float64, b bilevel.Batch) []float64 {
	switch {
	case dx == nil:
		return nil
	case o.tie != nil:
		return o.tie.dx[:b.Len()]
	}
	return dx[b.Lo:b.Hi]
}

// Dims returns the length of z and that of x.
func (o *reweighted) Dims() (d, p int) { return o.loss.Dims() }

// Samples is the number of rows.
func (o *reweighted) Samples() int { return o.loss.n }

// Value is the weighted mean loss over b.
func (o *reweighted) Value(z, x []float64, b bilevel.Batch) float64 {
	o.set(x, b)
	return o.loss.Value(z, nil, b)
}

// Grad overwrites dz and dx.
func (o *reweighted) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	if dx != nil {
		o.ValueGrad(dz, dx, z, x, b)
		return
	}
	o.set(x, b)
	o.loss.Grad(dz, nil, z, nil, b)
}

// ValueGrad is Value and Grad in one pass.
func (o *reweighted) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	o.set(x, b)
	o.w.dx = o.own(dx, b)
	value := o.loss.ValueGrad(dz, nil, z, nil, b)
	o.couple(dx, b)
	return value
}

// Products overwrites dz, hv and cv.
func (o *reweighted) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.products(dz, hv, o.own(cv, b), z, x, v, b)
	o.couple(cv, b)
}

// products is Products with the part of cv that belongs to the rows of b.
func (o *reweighted) products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if dz == nil && hv == nil && cv == nil {
		return
	}
	o.set(x, b)
	o.w.cv = cv
	o.loss.run(pass{dz: dz, hv: hv, z: z, v: v, cross: cv != nil}, b)
}

// couple completes derivatives with respect to x, of which those for the rows of b are there. The others vanish,
// unless the weights are softmax: their sum is fixed, and takes back, with q = softmax(x), q_j times the sum of the
// entries of b.
func (o *reweighted) couple(dx []float64, b bilevel.Batch) {
	if dx == nil {
		return
	}
	if o.tie != nil {
		clear(dx)
		o.tie.gather(dx, b)
		return
	}
	clear(dx[:b.Lo])
	clear(dx[b.Hi:])
	if !o.w.coupled {
		return
	}
	sum := 0.0
	for _, v := range dx[b.Lo:b.Hi] {
		sum += v
	}
	kernel.Axpy(-sum, o.w.q, dx)
}

// Cross overwrites dz = ∇²zx·u: rows count by the derivative of their weights along u.
func (o *reweighted) Cross(dz, z, x, u []float64, b bilevel.Batch) {
	o.set(x, b)
	if o.tie != nil {
		o.tie.u = grow(o.tie.u, len(o.tie.of))
		u = o.tie.spread(o.tie.u, u, b)
	}
	o.w.along(u)
	o.loss.Grad(dz, nil, z, nil, b)
}

// Linearize keeps what products at (z, x) over b need.
func (o *reweighted) Linearize(z, x []float64, b bilevel.Batch) {
	w := o.w
	if o.tie != nil {
		x = o.tie.spread(o.tie.x, x, b)
	}
	w.kept = append(w.kept[:0], x...)
	w.set(w.kept, b)
	w.keep, w.held = grow(w.keep, b.Len()*w.k), true
	o.loss.Linearize(z, nil, b)
	w.held = false
}

// Apply overwrites hv and cv.
func (o *reweighted) Apply(hv, cv, v []float64) {
	if hv == nil && cv == nil {
		return
	}
	b := o.loss.lin
	o.w.set(o.w.kept, b)
	o.w.cv = o.own(cv, b)
	o.loss.run(pass{hv: hv, v: v, apply: true, cross: cv != nil}, b)
	o.couple(cv, b)
}

// Scores is that of the loss.
func (o *reweighted) Scores() int { return o.loss.Scores() }

// Coefs overwrites cg, ch and cv.
func (o *reweighted) Coefs(cg, ch, cv, z, x, v []float64, b bilevel.Batch) {
	o.coefs(cg, ch, o.own(cv, b), z, x, v, b)
	o.couple(cv, b)
}

// coefs is Coefs with the part of cv that belongs to the rows of b.
func (o *reweighted) coefs(cg, ch, cv, z, x, v []float64, b bilevel.Batch) {
	o.set(x, b)
	if cv != nil {
		o.w.cv = cv
		m, sc := b.Len()*o.w.k, &o.loss.workers[0]
		sc.grow(b.Len(), o.w.k)
		if cg == nil {
			cg = sc.t[:m]
		}
		if ch == nil {
			ch = sc.s[:m]
		}
	}
	o.loss.Coefs(cg, ch, nil, z, nil, v, b)
}

// Combine is described at [bilevel.Linear].
func (o *reweighted) Combine(dz, hv, cg, ch []float64, w, keep float64, b bilevel.Batch) {
	o.loss.Combine(dz, hv, cg, ch, w, keep, b)
}

// Row is that of the loss.
func (o *reweighted) Row(i int) []float64 { return o.loss.Row(i) }

// Prefetch asks for the rows of b.
func (o *reweighted) Prefetch(b bilevel.Batch) { o.loss.Prefetch(b) }

// Hessian overwrites the lower triangle of dst.
func (o *reweighted) Hessian(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	o.set(x, b)
	return o.loss.Hessian(ctx, dst, z, nil, b)
}

// BlockSize is that of the loss.
func (o *reweighted) BlockSize() int { return o.loss.BlockSize() }

// Blocks overwrites dst with the diagonal blocks of ∇²zz over b.
func (o *reweighted) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	o.set(x, b)
	return o.loss.Blocks(ctx, dst, z, nil, b)
}

// ridge is c‖z‖². x does not enter.
type ridge struct {
	d, p int
	c    float64
}

var (
	_ bilevel.Separable = (*ridge)(nil)
	_ bilevel.Local     = (*ridge)(nil)
)

// Dims returns the lengths of z and x.
func (o *ridge) Dims() (d, p int) { return o.d, o.p }

// Samples is 1.
func (o *ridge) Samples() int { return 1 }

// OuterRange is empty.
func (o *ridge) OuterRange(bilevel.Batch) (lo, hi int) { return 0, 0 }

// LocalProducts is Products without cv.
func (o *ridge) LocalProducts(dz, hv, _, z, x, v []float64, b bilevel.Batch) {
	o.Products(dz, hv, nil, z, x, v, b)
}

// Value is c‖z‖².
func (o *ridge) Value(z, _ []float64, _ bilevel.Batch) float64 { return o.c * kernel.Dot(z, z) }

// Grad overwrites dz = 2cz, and dx with zeros.
func (o *ridge) Grad(dz, dx, z, _ []float64, _ bilevel.Batch) {
	clear(dx)
	if dz != nil {
		kernel.Axpby(2*o.c, z, 0, dz)
	}
}

// Products overwrites dz = 2cz and hv = 2cv, and cv with zeros.
func (o *ridge) Products(dz, hv, cv, z, _, v []float64, b bilevel.Batch) {
	o.Grad(dz, cv, z, nil, b)
	o.Grad(hv, nil, v, nil, b)
}

// add adds 2cz to dz, unless that is nil.
func (o *ridge) add(dz, z []float64) {
	if dz != nil {
		kernel.Axpy(2*o.c, z, dz)
	}
}

// Shrink is 2c: the gradient is that times z.
func (o *ridge) Shrink() float64 { return 2 * o.c }

// Part is the ridge of some coefficients.
func (o *ridge) Part(places []int32) (part bilevel.SecondOrder, outer []int32) {
	return &ridge{len(places), 0, o.c}, nil
}

// addDiagonal adds 2c to the diagonal of blocks of order s, one after the other.
func (o *ridge) addDiagonal(dst []float64, s int) {
	for i := range o.d {
		dst[i*s+i%s] += 2 * o.c
	}
}
