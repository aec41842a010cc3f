package model

import (
	"fmt"

	"github.com/bilevel-go/bilevel/rows"
)

// NewSquaredHinge is half the squared hinge loss, the mean over rows of ½max(0, 1 − y_i⟨a_i, z⟩)² with y_i = ±1: that
// of a linear support vector machine. p is the length of the outer variable, which does not enter. It keeps a and y.
//
// The loss has no second derivative where y_i⟨a_i, z⟩ = 1; products take zero there.
func NewSquaredHinge(a rows.Matrix, y []float64, p int) (*Loss, error) {
	for i, v := range y {
		if v != 1 && v != -1 {
			return nil, fmt.Errorf("model: a label of a hinge loss is +1 or −1, label %d is %v", i, v)
		}
	}
	return newLoss(a, hinge{y}, len(y), 1, p)
}

// hinge is ℓ(t, y) = ½max(0, 1 − yt)².
type hinge struct{ y []float64 }

func (l hinge) loss(t, _ []float64, lo, m, _, _ int) float64 {
	sum := 0.0
	for i, y := range l.y[lo : lo+m] {
		short := max(0, 1-y*t[i])
		sum += short * short
	}
	return sum / 2
}

// coefs: ∂ℓ/∂t = −y max(0, 1 − yt); ∂²ℓ/∂t² is 1 or, where the margin is kept, 0.
func (l hinge) coefs(t, s, _ []float64, lo, m, _, _ int) {
	for i, y := range l.y[lo : lo+m] {
		short := max(0, 1-y*t[i])
		t[i] = -y * short
		if s != nil && short == 0 {
			s[i] = 0
		}
	}
}

func (l hinge) lossCoefs(t, tmp []float64, lo, m, cs, is int) float64 {
	l.coefs(t, nil, tmp, lo, m, cs, is)
	sum := 0.0
	for _, g := range t[:m] {
		sum += g * g
	}
	return sum / 2
}

func (l hinge) losses(dst, t, tmp []float64, lo, m, cs, is int) {
	l.coefs(t, nil, tmp, lo, m, cs, is)
	for i, g := range t[:m] {
		dst[i] = g * g / 2
	}
}

func (l hinge) curvature(t, _ []float64, lo, m, _, _ int) {
	for i, y := range l.y[lo : lo+m] {
		if y*t[i] < 1 {
			t[i] = 1
		} else {
			t[i] = 0
		}
	}
}

func (hinge) apply(s, w, _ []float64, _, m, _, _ int) { multiply(s[:m], w[:m]) }

func (hinge) weight(dst, w []float64, _, _, _, m, _, _ int) { copy(dst[:m], w) }
