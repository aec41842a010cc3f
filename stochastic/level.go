package stochastic

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// inner is g with its second-order products.
type inner struct {
	sampling.Level
	wholeG, sampledG, exactG bilevel.SecondOrder
}

// newInner takes o apart. With firstOrder it needs gradients only.
func newInner(o bilevel.Objective, firstOrder bool) (inner, error) {
	need := bilevel.NeedSecondOrder
	if firstOrder {
		need = needGradient
	}
	var g inner
	var err error
	if g.Level, err = sampling.NewLevel(o); err != nil {
		return g, err
	}
	if g.wholeG, err = need(g.Whole); err != nil {
		return g, err
	}
	if g.sampledG, err = need(g.Sampled); err != nil {
		return g, err
	}
	if g.Exact != nil {
		if g.exactG, err = need(g.Exact); err != nil {
			return g, err
		}
	}
	return g, nil
}

// needGradient is o with products by differences, which serve nothing but automatic step sizes.
func needGradient(o bilevel.Objective) (bilevel.SecondOrder, error) {
	d, _ := o.Dims()
	return &differences{o, make([]float64, d), make([]float64, d)}, nil
}

// differences is an objective whose products with ∇²zz are differences of gradients,
//
//	∇²zz g·v ≈ (∇z g(z + εv, x) − ∇z g(z, x))/ε,
//
// good to about half of the digits. It has no mixed products.
type differences struct {
	bilevel.Objective
	at, grad []float64
}

// Products overwrites dz and hv.
func (o *differences) Products(dz, hv, _, z, x, v []float64, b bilevel.Batch) {
	if dz != nil {
		o.Grad(dz, nil, z, x, b)
	}
	n := norm(v)
	if hv == nil {
		return
	}
	if n == 0 {
		clear(hv)
		return
	}
	e := 1e-7 * (1 + norm(z)) / n
	copy(o.at, z)
	kernel.Axpy(e, v, o.at)
	o.Grad(o.grad, nil, z, x, b)
	o.Grad(hv, nil, o.at, x, b)
	kernel.Axpy(-1, o.grad, hv)
	kernel.Scale(1/e, hv)
}
