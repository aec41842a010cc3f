package model

import (
	"fmt"
	"math"
)

// Weigh is o with rows that count by weights w, one for each: the mean over rows of w_i ℓ_i, where w is divided by its
// mean. A weight of 2 stands for two copies of a row, and one of 0 for none. Weights are finite, not negative and not
// all zero. It shares the data of o, and replaces weights that o had.
func (o *Loss) Weigh(w []float64) (*Loss, error) {
	if len(w) != o.n {
		return nil, fmt.Errorf("model: %d weights for %d rows", len(w), o.n)
	}
	sum := 0.0
	for i, v := range w {
		if !(v >= 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("model: a weight is finite and not negative, weight %d is %v", i, v)
		}
		sum += v / float64(o.n)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return nil, fmt.Errorf("model: the weights of %d rows have the mean %v", o.n, sum)
	}
	l, ok := o.link.(rowLink)
	if c, counts := o.link.(*counted); counts {
		l, ok = c.rowLink, true
	}
	if !ok {
		return nil, fmt.Errorf("model: the rows of this loss cannot be weighed")
	}
	c := &counted{rowLink: l, w: make([]float64, o.n), k: o.layout.Classes}
	for i, v := range w {
		c.w[i] = v / sum
	}
	v := o.view()
	v.link, v.y = c, nil // the kernels that y stands for know no weights
	return &v, nil
}

// mass is the sum of the weights of the rows from lo to hi.
func (o *Loss) mass(lo, hi int) float64 {
	c, ok := o.link.(*counted)
	if !ok {
		return float64(hi - lo)
	}
	sum := 0.0
	for _, w := range c.w[lo:hi] {
		sum += w
	}
	return sum
}

// counted is a link whose rows count by fixed weights.
type counted struct {
	rowLink
	w []float64
	k int // scores per row
}

func (l *counted) loss(t, tmp []float64, lo, m, cs, is int) float64 {
	each, sum := tmp[2*m:3*m], 0.0
	l.losses(each, t, tmp, lo, m, cs, is)
	for _, v := range each {
		sum += v
	}
	return sum
}

func (l *counted) lossCoefs(t, tmp []float64, lo, m, cs, is int) float64 {
	return l.loss(t, tmp, lo, m, cs, is) // which leaves ∂ℓ/∂t in t
}

func (l *counted) losses(dst, t, tmp []float64, lo, m, cs, is int) {
	w := l.w[lo : lo+m]
	l.rowLink.losses(dst, t, tmp, lo, m, cs, is)
	multiply(dst[:m], w)
	scaleRows(t, w, l.k, cs, is)
}

func (l *counted) coefs(t, s, tmp []float64, lo, m, cs, is int) {
	w := l.w[lo : lo+m]
	l.rowLink.coefs(t, s, tmp, lo, m, cs, is)
	scaleRows(t, w, l.k, cs, is)
	if s != nil {
		scaleRows(s, w, l.k, cs, is)
	}
}

func (l *counted) apply(s, w, tmp []float64, lo, m, cs, is int) {
	l.rowLink.apply(s, w, tmp, lo, m, cs, is)
	scaleRows(s, l.w[lo:lo+m], l.k, cs, is)
}

func (l *counted) weight(dst, w []float64, c, c2, lo, m, cs, is int) {
	l.rowLink.weight(dst, w, c, c2, lo, m, cs, is)
	multiply(dst[:m], l.w[lo:lo+m])
}
