package model

import (
	"fmt"
	"slices"

	"github.com/bilevel-go/bilevel"
)

// L1 is the weighted ℓ1 norm Scale·Σ_i s(x_{j(i)})|z_i| with s(x) = eˣ or x, where strengths are shared as those of
// a [Penalty] are. It is no objective, because it has no gradient where z_i = 0: package nonsmooth adds it to one.
type L1 struct {
	of   *Penalty
	ones []float64
}

// NewL1 makes the ℓ1 norm of the coefficients of a loss with layout l.
func NewL1(l Layout, kind Strengths, o PenaltyOptions) (*L1, error) {
	of, err := NewPenalty(l, kind, o)
	if err != nil {
		return nil, fmt.Errorf("model: ℓ1 norm: %w", err)
	}
	return &L1{of: of, ones: slices.Repeat([]float64{1}, of.d)}, nil
}

// Dims returns the lengths of z and x.
func (t *L1) Dims() (d, p int) { return t.of.Dims() }

// P is the number of strengths.
func (t *L1) P() int { return t.of.P() }

// Strength is the place in x of the strength of coefficient i of z, −1 if it is not penalised.
func (t *L1) Strength(i int) int { return t.of.Strength(i) }

// Strengths overwrites dst, one number per strength, with s(x), Scale not included.
func (t *L1) Strengths(dst, x []float64) { t.of.Strengths(dst, x) }

// Weights overwrites λ (length d) with the weight of each |z_i|, 0 for coefficients that are not penalised.
func (t *L1) Weights(lambda, x []float64) {
	t.of.products(lambda, nil, nil, t.ones, x, nil, false)
}

// Pull overwrites cx (length p) with ∂λᵀc, c of length d.
func (t *L1) Pull(cx, x, c []float64) {
	t.of.products(nil, nil, cx, t.ones, x, c, false)
}

// Push overwrites dst (length d) with ∂λ·w, w of length p.
func (t *L1) Push(dst, x, w []float64) {
	t.of.Cross(dst, t.ones, x, w, bilevel.Batch{})
}
