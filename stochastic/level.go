package stochastic

import (
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// one is the batch of an exact part.
var one = bilevel.Batch{Lo: 0, Hi: 1}

// level is one objective, taken apart: whole = mean of sampled's terms + exact.
type level struct {
	whole, sampled, exact bilevel.Objective // exact is nil if there is none
	linear                bilevel.Linear    // sampled, if it is
	local                 bilevel.Local     // sampled, if it is and x enters it
	sampledX, exactX      bool              // x enters the sampled part, the exact part
}

func newLevel(o bilevel.Objective) (level, error) {
	l := level{whole: o, sampled: o}
	if s, ok := o.(bilevel.Splitter); ok {
		l.sampled, l.exact = s.Split()
		if l.sampled == nil || l.sampled.Samples() != o.Samples() || l.exact != nil && l.exact.Samples() != 1 {
			return l, fmt.Errorf("stochastic: %T.Split must return a part with all %d samples and one with a single sample",
				o, o.Samples())
		}
		if l.exact != nil {
			l.exactX = bilevel.EntersX(l.exact)
		}
	}
	l.sampledX = bilevel.EntersX(l.sampled)
	l.linear, _ = l.sampled.(bilevel.Linear)
	if l.sampledX {
		l.local, _ = l.sampled.(bilevel.Local)
	}
	return l, nil
}

// prefetch asks for the rows of the batch that comes next.
func (l *level) prefetch(b bilevel.Batch) {
	if l.linear != nil {
		l.linear.Prefetch(b)
	}
}

// outerRange is the part of x that the sampled part depends on over b.
func (l *level) outerRange(b bilevel.Batch) (lo, hi int) {
	if l.local != nil {
		return l.local.OuterRange(b)
	}
	_, p := l.whole.Dims()
	return 0, p
}

// inner is g with its second-order products.
type inner struct {
	level
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
	if g.wholeG, err = need(o); err != nil {
		return g, err
	}
	if g.level, err = newLevel(o); err != nil {
		return g, err
	}
	if g.sampledG, err = need(g.sampled); err != nil {
		return g, err
	}
	if g.exact != nil {
		if g.exactG, err = need(g.exact); err != nil {
			return g, err
		}
	}
	return g, nil
}

// needGradient is o with products by differences, which serve nothing but automatic step sizes.
func needGradient(o bilevel.Objective) (bilevel.SecondOrder, error) {
	if err := bilevel.NeedFirstOrder(o); err != nil {
		return nil, err
	}
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

func newOuter(o bilevel.Objective) (level, error) {
	if err := bilevel.NeedFirstOrder(o); err != nil {
		return level{}, err
	}
	l, err := newLevel(o)
	if err != nil {
		return l, err
	}
	if err := bilevel.NeedFirstOrder(l.sampled); err != nil {
		return l, err
	}
	return l, nil
}
