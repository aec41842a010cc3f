package model

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

// NewPoisson is the loss of counts with the logarithm as link: the mean over rows of half the deviance,
// e^t − y + y log(y/e^t) with t = ⟨a_i, z⟩, which is zero where the predicted mean e^t is y_i ≥ 0. p is the length of
// the outer variable, which does not enter. It keeps a and y.
//
// e^t overflows beyond t = 709: the value is +Inf there.
func NewPoisson(a rows.Matrix, y []float64, p int) (*Loss, error) {
	for i, v := range y {
		if !(v >= 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("model: a count is finite and not negative, count %d is %v", i, v)
		}
	}
	return newLoss(a, poisson{y}, len(y), 1, p)
}

// poisson is ℓ(t, y) = e^t − y + y log(y/e^t).
type poisson struct{ y []float64 }

// HalfDeviance is e^t − y + y log(y/e^t), the loss of a count y ≥ 0 with the predicted mean e^t.
func HalfDeviance(t, y float64) float64 {
	if y == 0 {
		return math.Exp(t)
	}
	// y(e^u − 1 − u) with u = t − log y is free of cancellation near zero but for the last terms.
	u := t - math.Log(y)
	return y * (math.Expm1(u) - u)
}

func (l poisson) loss(t, _ []float64, lo, m, _, _ int) float64 {
	sum := 0.0
	for i, y := range l.y[lo : lo+m] {
		sum += HalfDeviance(t[i], y)
	}
	return sum
}

// coefs: ∂ℓ/∂t = e^t − y, ∂²ℓ/∂t² = e^t.
func (l poisson) coefs(t, s, _ []float64, lo, m, _, _ int) {
	kernel.Exp(t[:m], t[:m])
	if s != nil {
		for i, e := range t[:m] {
			s[i] *= e
		}
	}
	for i, y := range l.y[lo : lo+m] {
		t[i] -= y
	}
}

func (l poisson) lossCoefs(t, tmp []float64, lo, m, cs, is int) float64 {
	sum := l.loss(t, tmp, lo, m, cs, is)
	l.coefs(t, nil, tmp, lo, m, cs, is)
	return sum
}

func (l poisson) losses(dst, t, tmp []float64, lo, m, cs, is int) {
	for i, y := range l.y[lo : lo+m] {
		dst[i] = HalfDeviance(t[i], y)
	}
	l.coefs(t, nil, tmp, lo, m, cs, is)
}

func (poisson) curvature(t, _ []float64, _, m, _, _ int) { kernel.Exp(t[:m], t[:m]) }

func (poisson) apply(s, w, _ []float64, _, m, _, _ int) { multiply(s[:m], w[:m]) }

func (poisson) weight(dst, w []float64, _, _, _, m, _, _ int) { copy(dst[:m], w) }

// multiply multiplies s by w, entry by entry.
func multiply(s, w []float64) {
	for i, v := range w {
		s[i] *= v
	}
}
