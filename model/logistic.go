package model

import (
	"fmt"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

// NewLogistic is the logistic loss, the mean over rows of log(1 + exp(−y_i⟨a_i, z⟩)) with y_i = ±1. p is the
// length of the outer variable, which does not enter. It keeps a and y.
func NewLogistic(a rows.Matrix, y []float64, p int) (*Loss, error) {
	for i, v := range y {
		if v != 1 && v != -1 {
			return nil, fmt.Errorf("model: a logistic label is +1 or −1, label %d is %v", i, v)
		}
	}
	return newLoss(a, logistic{y}, len(y), 1, p)
}

// logistic is ℓ(t, y) = log(1 + exp(−yt)).
type logistic struct{ y []float64 }

func (l logistic) loss(t, _ []float64, lo, m, _, _ int) float64 {
	return kernel.LogisticLoss(t[:m], l.y[lo:lo+m])
}

// coefs: ∂ℓ/∂t = −yσ(−yt), ∂²ℓ/∂t² = σ(yt)σ(−yt).
func (l logistic) coefs(t, s, _ []float64, lo, m, _, _ int) {
	if s != nil {
		s = s[:m]
		kernel.LogisticLink(t[:m], s, t[:m], s, l.y[lo:lo+m])
		return
	}
	kernel.LogisticLink(t[:m], nil, t[:m], nil, l.y[lo:lo+m])
}

func (l logistic) lossCoefs(t, _ []float64, lo, m, _, _ int) float64 {
	return kernel.LogisticLossLink(t[:m], t[:m], l.y[lo:lo+m])
}

func (l logistic) losses(dst, t, _ []float64, lo, m, _, _ int) {
	y := l.y[lo : lo+m]
	for i, v := range y {
		dst[i] = -v * t[i]
	}
	kernel.Softplus(dst[:m], dst[:m])
	kernel.LogisticLink(t[:m], nil, t[:m], nil, y)
}

func (l logistic) curvature(t, tmp []float64, lo, m, _, _ int) {
	one := tmp[:m]
	for i := range one {
		one[i] = 1
	}
	kernel.LogisticLink(t[:m], one, t[:m], one, l.y[lo:lo+m])
	copy(t, one)
}

func (logistic) apply(s, w, _ []float64, _, m, _, _ int) { multiply(s[:m], w[:m]) }

func (logistic) weight(dst, w []float64, _, _, _, m, _, _ int) { copy(dst[:m], w) }
