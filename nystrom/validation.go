package nystrom

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

// validation is the loss of cross-validation in nats as a function of
//
//	x = (log λ_lin, log λ_k, log s_1, …, log s_G),
//
// without landmarks of log λ_lin alone.
type validation struct {
	f      *features
	h      *heads
	n      int
	groups int
	bar    []float64 // n × m
	q      []float64
	vgrad  []float64
}

func newValidation(x *rows.Dense, y []float64, k int, l link, bounds []int, kern *matern, groups int) *validation {
	f := newFeatures(x, kern)
	v := &validation{f: f, h: newHeads(f, y, k, l, bounds), n: x.N, groups: groups}
	v.bar = make([]float64, x.N*f.m)
	v.q, v.vgrad = make([]float64, k*f.p), make([]float64, k*f.p)
	return v
}

// set computes the features and strengths of x.
func (v *validation) set(x []float64) error {
	if v.f.k == nil {
		v.h.lambdas(math.Exp(x[0]), 1)
		return nil
	}
	v.h.lambdas(math.Exp(x[0]), math.Exp(x[1]))
	return v.f.set(x[2:])
}

// eval is the loss at x, and with grad its gradient. For a squared loss, with the mean square s of n rows, it is
// n/2·log s.
func (v *validation) eval(ctx context.Context, grad, x []float64) (float64, error) {
	f, h := v.f, v.h
	if err := v.set(x); err != nil {
		return 0, err
	}
	clear(grad)
	clear(v.bar)
	sum := 0.0
	d, p, m := f.x.D, f.p, f.m
	for fold := range h.w {
		if err := h.solve(ctx, fold); err != nil {
			return 0, err
		}
		w := h.w[fold]
		clear(v.vgrad)
		for _, b := range h.blocks {
			if b.fold != fold {
				continue
			}
			r := b.hi - b.lo
			t := h.t[h.k*b.lo : h.k*b.hi]
			h.scores(t, w, b)
			sum += h.link.loss(t, h.y[b.lo:b.hi], r)
			if grad != nil {
				h.link.coefs(t, h.prob[h.k*b.lo:h.k*b.hi], h.y[b.lo:b.hi], r)
				h.combine(v.vgrad, t, b)
				v.spread(t, w, b, 1)
			}
		}
		if grad == nil {
			continue
		}
		if err := h.adjoint(ctx, v.q, v.vgrad); err != nil {
			return 0, err
		}
		for c := range h.k {
			for j := range p - 1 {
				g := -v.q[c*p+j] * w[c*p+j] * h.lambda[j]
				if j < d {
					grad[0] += g
				} else {
					grad[1] += g
				}
			}
		}
		if m == 0 {
			continue
		}
		for _, b := range h.blocks {
			if b.fold == fold {
				continue
			}
			r := b.hi - b.lo
			v.spread(h.t[h.k*b.lo:h.k*b.hi], v.q, b, -1)
			s := h.tmp[:h.k*r]
			h.scores(s, v.q, b)
			h.link.apply(s, h.prob[h.k*b.lo:h.k*b.hi], h.k, r)
			v.spread(s, w, b, -1)
		}
	}
	if grad != nil && m > 0 {
		f.pull(grad[2:], v.bar)
	}
	if _, ok := h.link.(squared); ok { // n/2 log of the mean square
		n := float64(v.n)
		mean := 2*sum/n + tiny
		for i := range grad {
			grad[i] /= mean
		}
		return n / 2 * math.Log(mean), nil
	}
	return sum, nil
}

// spread adds sign·Σ_c t_c w_c, of the kernel's features, to the derivatives by them.
func (v *validation) spread(t, w []float64, b block, sign float64) {
	m, d, p, r := v.f.m, v.f.x.D, v.f.p, b.hi-b.lo
	if m == 0 {
		return
	}
	for i := range r {
		row := v.bar[(b.lo+i)*m : (b.lo+i+1)*m]
		for c := range v.h.k {
			kernel.Axpy(sign*t[c*r+i], w[c*p+d:c*p+d+m], row)
		}
	}
}
