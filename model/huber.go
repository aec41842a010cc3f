package model

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/rows"
)

// NewHuber is Huber's loss, the mean over rows of ½r² where |r| ≤ delta and delta·(|r| − ½ delta) beyond, with
// r = ⟨a_i, z⟩ − y_i: the squared loss, on which no row pulls with more than delta. p is the length of the outer
// variable, which does not enter. It keeps a and y.
//
// The loss has no second derivative at |r| = delta; products take the one of r² there.
//
// Huber, Robust estimation of a location parameter, 1964.
func NewHuber(a rows.Matrix, y []float64, delta float64, p int) (*Loss, error) {
	for i, v := range y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("model: target %d is %v", i, v)
		}
	}
	if !(delta > 0) || math.IsInf(delta, 0) {
		return nil, fmt.Errorf("model: Huber's loss is squared up to %v, which is not above zero", delta)
	}
	return newLoss(a, huber{y, delta}, len(y), 1, p)
}

// huber is ℓ(t, y) = ½(t − y)², continued by its tangents from |t − y| = delta on.
type huber struct {
	y     []float64
	delta float64
}

// HuberLoss is that of the residual r: ½r² up to delta, and delta·(|r| − ½ delta) beyond.
func HuberLoss(r, delta float64) float64 {
	c := clip(r, delta)
	return c * (r - c/2)
}

// clip is r between −d and d.
func clip(r, d float64) float64 { return min(max(r, -d), d) }

func (l huber) loss(t, _ []float64, lo, m, _, _ int) float64 {
	sum := 0.0
	for i, y := range l.y[lo : lo+m] {
		sum += HuberLoss(t[i]-y, l.delta)
	}
	return sum
}

// coefs: ∂ℓ/∂t is the residual, cut off at delta; ∂²ℓ/∂t² is 1 or, beyond, 0.
func (l huber) coefs(t, s, _ []float64, lo, m, _, _ int) {
	for i, y := range l.y[lo : lo+m] {
		r := t[i] - y
		t[i] = clip(r, l.delta)
		if s != nil && t[i] != r {
			s[i] = 0
		}
	}
}

func (l huber) lossCoefs(t, _ []float64, lo, m, _, _ int) float64 {
	sum := 0.0
	for i, y := range l.y[lo : lo+m] {
		r := t[i] - y
		sum += HuberLoss(r, l.delta)
		t[i] = clip(r, l.delta)
	}
	return sum
}

func (l huber) losses(dst, t, tmp []float64, lo, m, cs, is int) {
	for i, y := range l.y[lo : lo+m] {
		dst[i] = HuberLoss(t[i]-y, l.delta)
	}
	l.coefs(t, nil, tmp, lo, m, cs, is)
}

func (l huber) curvature(t, _ []float64, lo, m, _, _ int) {
	for i, y := range l.y[lo : lo+m] {
		if math.Abs(t[i]-y) <= l.delta {
			t[i] = 1
		} else {
			t[i] = 0
		}
	}
}

func (huber) apply(s, w, _ []float64, _, m, _, _ int) { multiply(s[:m], w[:m]) }

func (huber) weight(dst, w []float64, _, _, _, m, _, _ int) { copy(dst[:m], w) }
