package model

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/rows"
)

// NewSquared is the squared loss, the mean over rows of ½(⟨a_i, z⟩ − y_i)². p is the length of the outer
// variable, which does not enter. It keeps a and y.
func NewSquared(a rows.Matrix, y []float64, p int) (*Loss, error) {
	for i, v := range y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("model: target %d is %v", i, v)
		}
	}
	return newLoss(a, squared{y}, len(y), 1, p)
}

// squared is ℓ(t, y) = ½(t − y)².
type squared struct{ y []float64 }

func (l squared) loss(t, _ []float64, lo, m, _, _ int) float64 {
	sum := 0.0
	for i, y := range l.y[lo : lo+m] {
		r := t[i] - y
		sum += r * r
	}
	return sum / 2
}

func (l squared) coefs(t, _, _ []float64, lo, m, _, _ int) {
	for i, y := range l.y[lo : lo+m] {
		t[i] -= y // ∂ℓ/∂t = t − y; ∂²ℓ/∂t² = 1 leaves s as it is
	}
}

func (l squared) lossCoefs(t, _ []float64, lo, m, _, _ int) float64 {
	sum := 0.0
	for i, y := range l.y[lo : lo+m] {
		r := t[i] - y
		t[i] = r
		sum += r * r
	}
	return sum / 2
}

func (l squared) losses(dst, t, _ []float64, lo, m, _, _ int) {
	for i, y := range l.y[lo : lo+m] {
		r := t[i] - y
		t[i], dst[i] = r, r*r/2
	}
}

func (squared) curvature(t, _ []float64, _, m, _, _ int) {
	for i := range t[:m] {
		t[i] = 1
	}
}

func (squared) apply(_, _, _ []float64, _, _, _, _ int) {}

func (squared) weight(dst, _ []float64, _, _, _, m, _, _ int) {
	for i := range dst[:m] {
		dst[i] = 1
	}
}
