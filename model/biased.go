package model

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// Biased is a loss whose ridge pulls towards the outer variable, loss + ½β‖z − x‖², p = d: biased
// regularisation, the inner objective that learns a starting point for related tasks.
//
// Grazzi et al., On the iteration complexity of hypergradient computation, 2020, section 3.1; Rajeswaran et al.,
// Meta-learning with implicit gradients, 2019.
type Biased struct {
	loss Sampled
	beta float64
}

var (
	_ bilevel.SecondOrder     = (*Biased)(nil)
	_ bilevel.Linearizer      = (*Biased)(nil)
	_ bilevel.HessianMatrix   = (*Biased)(nil)
	_ bilevel.ValueGradienter = (*Biased)(nil)
	_ bilevel.Crosser         = (*Biased)(nil)
)

// NewBiased adds ½beta‖z − x‖² to a loss with p = d.
func NewBiased(loss Sampled, beta float64) (*Biased, error) {
	if d, p := loss.Dims(); d != p {
		return nil, fmt.Errorf("model: biased regularisation of a loss with d = %d and p = %d, which are not equal", d, p)
	}
	if !(beta >= 0) || math.IsInf(beta, 0) {
		return nil, fmt.Errorf("model: a ridge of %v", beta)
	}
	return &Biased{loss, beta}, nil
}

// Dims returns the length of z, which is that of x.
func (o *Biased) Dims() (d, p int) { return o.loss.Dims() }

// Samples is the number of rows.
func (o *Biased) Samples() int { return o.loss.Samples() }

// Value is the mean loss over b plus ½β‖z − x‖².
func (o *Biased) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.loss.Value(z, x, b) + o.ridge(z, x)
}

func (o *Biased) ridge(z, x []float64) float64 {
	sum := 0.0
	for i, v := range z {
		sum += (v - x[i]) * (v - x[i])
	}
	return o.beta / 2 * sum
}

// Grad overwrites dz and dx = β(x − z).
func (o *Biased) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	if dz != nil {
		o.loss.Grad(dz, nil, z, x, b)
	}
	o.addGrad(dz, dx, z, x)
}

func (o *Biased) addGrad(dz, dx, z, x []float64) {
	if dz != nil {
		kernel.Axpy(o.beta, z, dz)
		kernel.Axpy(-o.beta, x, dz)
	}
	for i := range dx {
		dx[i] = o.beta * (x[i] - z[i])
	}
}

// ValueGrad is Value and Grad in one pass.
func (o *Biased) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	value := o.loss.ValueGrad(dz, nil, z, x, b) + o.ridge(z, x)
	o.addGrad(dz, dx, z, x)
	return value
}

// Products overwrites dz, hv and cv = −βv.
func (o *Biased) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if dz != nil || hv != nil {
		o.loss.Products(dz, hv, nil, z, x, v, b)
	}
	o.addGrad(dz, nil, z, x)
	o.ridgeProducts(hv, cv, v)
}

func (o *Biased) ridgeProducts(hv, cv, v []float64) {
	if hv != nil {
		kernel.Axpy(o.beta, v, hv)
	}
	for i := range cv {
		cv[i] = -o.beta * v[i]
	}
}

// Cross overwrites dz = −βw.
func (o *Biased) Cross(dz, _, _, w []float64, _ bilevel.Batch) {
	for i := range dz {
		dz[i] = -o.beta * w[i]
	}
}

// Linearize keeps what products at (z, x) over b need.
func (o *Biased) Linearize(z, x []float64, b bilevel.Batch) { o.loss.Linearize(z, x, b) }

// Apply overwrites hv and cv.
func (o *Biased) Apply(hv, cv, v []float64) {
	if hv != nil {
		o.loss.Apply(hv, nil, v)
	}
	o.ridgeProducts(hv, cv, v)
}

// Hessian overwrites the lower triangle of dst.
func (o *Biased) Hessian(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	err := o.loss.Hessian(ctx, dst, z, x, b)
	for i := range z {
		dst[i*len(z)+i] += o.beta
	}
	return err
}
