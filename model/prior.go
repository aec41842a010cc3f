package model

import (
	"errors"
	"math"

	"github.com/bilevel-go/bilevel"
)

// Prior keeps outer variables near each other: it is
//
//	½ w Σ_j (t_j − t̄)²,   t̄ the mean of all t_j,
//
// with t_j = x_j, or t_j = log x_j where the variables are positive numbers whose ratios count. Where h is the mean of
// n negative log likelihoods, w = 1/(n τ²) is what a normal distribution of the t_j with the standard deviation τ and a
// mean that is known of nothing else contributes: from all alike, τ → 0, to free, τ → ∞.
//
// It is an objective of a single term, which z does not enter, and costs one pass over x.
type Prior struct {
	d      int
	weight float64
	log    bool
	t      []float64
}

// NewPrior is the prior of p outer variables with weight w ≥ 0, for inner problems with d variables. With log, t is the
// logarithm of x, which has to be positive.
func NewPrior(d, p int, w float64, log bool) (*Prior, error) {
	if !(w >= 0) || math.IsInf(w, 0) {
		return nil, errors.New("model: the weight of a prior is a finite number, and not negative")
	}
	return &Prior{d: d, weight: w, log: log, t: make([]float64, p)}, nil
}

// Dims returns the lengths of z and x.
func (p *Prior) Dims() (d, n int) { return p.d, len(p.t) }

// Samples is 1.
func (p *Prior) Samples() int { return 1 }

// deviations leaves t − t̄ in p.t.
func (p *Prior) deviations(x []float64) {
	mean := 0.0
	for j, v := range x {
		if p.log {
			v = math.Log(v)
		}
		p.t[j] = v
		mean += v / float64(len(x))
	}
	for j := range p.t {
		p.t[j] -= mean
	}
}

// Value is that of the prior at x. z is not looked at.
func (p *Prior) Value(_, x []float64, _ bilevel.Batch) float64 {
	p.deviations(x)
	return p.value()
}

func (p *Prior) value() float64 {
	sum := 0.0
	for _, t := range p.t {
		sum += t * t
	}
	return p.weight / 2 * sum
}

// Grad overwrites dz with zeros, and dx.
func (p *Prior) Grad(dz, dx, z, x []float64, b bilevel.Batch) { p.ValueGrad(dz, dx, z, x, b) }

// ValueGrad is Value and Grad in one pass.
func (p *Prior) ValueGrad(dz, dx, _, x []float64, _ bilevel.Batch) float64 {
	clear(dz)
	p.deviations(x)
	for j := range dx { // the deviations sum to zero: t̄ adds nothing
		if dx[j] = p.weight * p.t[j]; p.log {
			dx[j] /= x[j]
		}
	}
	return p.value()
}

// Posterior is an outer objective plus a [Prior].
type Posterior struct {
	loss  bilevel.Objective
	prior *Prior
	dx    []float64
}

var (
	_ bilevel.Objective       = (*Posterior)(nil)
	_ bilevel.Splitter        = (*Posterior)(nil)
	_ bilevel.ValueGradienter = (*Posterior)(nil)
	_ bilevel.ValueGradienter = (*Prior)(nil)
)

// NewPosterior is loss + prior.
func NewPosterior(loss bilevel.Objective, prior *Prior) (*Posterior, error) {
	d, p := loss.Dims()
	if dq, pq := prior.Dims(); d != dq || p != pq {
		return nil, errors.New("model: loss and prior have different dimensions")
	}
	return &Posterior{loss: loss, prior: prior, dx: make([]float64, p)}, nil
}

// Dims returns the lengths of z and x.
func (o *Posterior) Dims() (d, p int) { return o.prior.Dims() }

// Samples is that of the loss.
func (o *Posterior) Samples() int { return o.loss.Samples() }

// Split returns the loss, which is sampled, and the prior, which is exact.
func (o *Posterior) Split() (sampled, exact bilevel.Objective) { return o.loss, o.prior }

// Value is the mean loss over b plus the prior.
func (o *Posterior) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.loss.Value(z, x, b) + o.prior.Value(z, x, b)
}

// Grad overwrites dz and dx.
func (o *Posterior) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.loss.Grad(dz, dx, z, x, b)
	if dx != nil {
		o.add(dx, z, x, b)
	}
}

// ValueGrad is Value and Grad in one pass.
func (o *Posterior) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	value := bilevel.ValueGrad(o.loss, dz, dx, z, x, b)
	return value + o.add(dx, z, x, b)
}

func (o *Posterior) add(dx, z, x []float64, b bilevel.Batch) float64 {
	if dx == nil {
		return o.prior.Value(z, x, b)
	}
	value := o.prior.ValueGrad(nil, o.dx, z, x, b)
	for j, g := range o.dx {
		dx[j] += g
	}
	return value
}
