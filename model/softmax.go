package model

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

// NewSoftmax is the cross entropy of a linear model with k ≥ 2 classes: the mean over rows of
// log Σ_c exp(t_c) − t_{y_i} with scores t_c = ⟨a_i, z_c⟩ and labels 0 ≤ y_i < k. p is the length of the
// outer variable, which does not enter. It keeps a and y. See [Layout] for the order of z.
func NewSoftmax(a rows.Matrix, y []int, k, p int) (*Loss, error) {
	if k < 2 {
		return nil, fmt.Errorf("model: a softmax loss needs at least 2 classes, not %d", k)
	}
	for i, c := range y {
		if c < 0 || c >= k {
			return nil, fmt.Errorf("model: label %d is %d, of %d classes", i, c, k)
		}
	}
	return newLoss(a, &softmax{y, k}, len(y), k, p)
}

// softmax is ℓ(t, y) = log Σ exp(t) − t_y.
type softmax struct {
	y []int
	k int
}

// shift subtracts from the scores of each row their maximum, which it leaves in top.
func (l *softmax) shift(t, top []float64, m, cs, is int) {
	for i := range top[:m] {
		top[i] = math.Inf(-1)
	}
	for c := range l.k {
		for i := range m {
			top[i] = max(top[i], t[c*cs+i*is])
		}
	}
	for c := range l.k {
		for i := range m {
			t[c*cs+i*is] -= top[i]
		}
	}
}

// exps replaces shifted scores by their exponentials, whose sums go to sum.
func (l *softmax) exps(t, sum []float64, m, cs, is int) {
	kernel.Exp(t[:l.k*m], t[:l.k*m])
	clear(sum[:m])
	for c := range l.k {
		for i := range m {
			sum[i] += t[c*cs+i*is]
		}
	}
}

func (l *softmax) loss(t, tmp []float64, lo, m, cs, is int) float64 {
	l.shift(t, tmp, m, cs, is)
	total := 0.0
	for i, c := range l.y[lo : lo+m] {
		total -= t[c*cs+i*is]
	}
	l.exps(t, tmp, m, cs, is)
	for _, s := range tmp[:m] {
		total += math.Log(s)
	}
	return total
}

// probabilities replaces scores by p = exp(t)/Σexp(t).
func (l *softmax) probabilities(t, tmp []float64, m, cs, is int) {
	if cs == m && is == 1 {
		kernel.Softmax(t[:l.k*m], l.k, m)
		return
	}
	l.shift(t, tmp, m, cs, is)
	l.normalise(t, tmp, m, cs, is)
}

func (l *softmax) normalise(t, tmp []float64, m, cs, is int) {
	l.exps(t, tmp, m, cs, is)
	inv := tmp[m : 2*m]
	for i, s := range tmp[:m] {
		inv[i] = 1 / s
	}
	for c := range l.k {
		for i := range m {
			t[c*cs+i*is] *= inv[i]
		}
	}
}

// coefs: ∂ℓ/∂t = p − e_y, ∂²ℓ/∂t²·s = p∘(s − ⟨p, s⟩).
func (l *softmax) coefs(t, s, tmp []float64, lo, m, cs, is int) {
	l.probabilities(t, tmp, m, cs, is)
	if s != nil {
		l.apply(s, t, tmp, lo, m, cs, is)
	}
	for i, c := range l.y[lo : lo+m] {
		t[c*cs+i*is]--
	}
}

func (l *softmax) lossCoefs(t, tmp []float64, lo, m, cs, is int) float64 {
	l.shift(t, tmp, m, cs, is)
	total := 0.0
	for i, c := range l.y[lo : lo+m] {
		total -= t[c*cs+i*is]
	}
	l.normalise(t, tmp, m, cs, is)
	for _, s := range tmp[:m] {
		total += math.Log(s)
	}
	for i, c := range l.y[lo : lo+m] {
		t[c*cs+i*is]--
	}
	return total
}

func (l *softmax) losses(dst, t, tmp []float64, lo, m, cs, is int) {
	l.shift(t, tmp, m, cs, is)
	for i, c := range l.y[lo : lo+m] {
		dst[i] = -t[c*cs+i*is]
	}
	l.normalise(t, tmp, m, cs, is)
	for i, s := range tmp[:m] {
		dst[i] += math.Log(s)
	}
	for i, c := range l.y[lo : lo+m] {
		t[c*cs+i*is]--
	}
}

func (l *softmax) curvature(t, tmp []float64, _, m, cs, is int) {
	l.probabilities(t, tmp, m, cs, is)
}

func (l *softmax) apply(s, w, tmp []float64, _, m, cs, is int) {
	if cs == m && is == 1 {
		kernel.SoftmaxProduct(s[:l.k*m], w[:l.k*m], l.k, m)
		return
	}
	mean := tmp[:m]
	clear(mean)
	for c := range l.k {
		for i := range m {
			mean[i] += w[c*cs+i*is] * s[c*cs+i*is]
		}
	}
	for c := range l.k {
		for i := range m {
			s[c*cs+i*is] = w[c*cs+i*is] * (s[c*cs+i*is] - mean[i])
		}
	}
}

func (l *softmax) weight(dst, w []float64, c, c2, _, m, cs, is int) {
	for i := range dst[:m] {
		dst[i] = -w[c*cs+i*is] * w[c2*cs+i*is]
		if c == c2 {
			dst[i] += w[c*cs+i*is]
		}
	}
}
