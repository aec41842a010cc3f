package stochastic

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

const (
	defaultInnerSteps = 10
	defaultTerms      = 10
)

// neumann estimates the adjoint v*(x) = −[∇²zz g]⁻¹ ∇z f by a truncated Neumann series with a step size η and a fresh
// batch ξ for each product. With r = η ∇z f,
//
//	SHIA: s = r; P times: r −= η H_ξ r, s += r;  v = −s       (P + 1 terms),
//	HIA:  p uniform in 0 … P−1; p times: r −= η H_ξ r;  v = −P r  (its mean is exactly the first P terms).
//
// η may be a vector: the series is that of the Hessian preconditioned by it. The joint estimate at two points, an
// earlier and the current one, takes the same batches and the same p for both, so that their difference is small
// when the points are close.
type neumann struct {
	c      *core
	terms  int
	step   Rate // η; the first inner step size if it is automatic
	hia    bool
	rng    rand.PCG // p of HIA
	hr     []float64
	points [2]neumannPoint // the current point, and an earlier one
}

// neumannPoint is where an estimate is made: v from ∇z f, which is in r at the start.
type neumannPoint struct{ z, x, r, v []float64 }

// termsOf is the number of terms, if terms is the setting.
func termsOf(terms int) int {
	if terms == 0 {
		return defaultTerms
	}
	return terms
}

// newNeumann adds the estimate to c, of whose point v is the result. With joint, there is room for an earlier point.
func newNeumann(c *core, terms int, step Rate, hia, joint bool, seed uint64) (*neumann, error) {
	if terms < 0 {
		return nil, fmt.Errorf("stochastic: a Neumann series with %d terms", terms)
	}
	if err := step.Check("Neumann"); err != nil {
		return nil, err
	}
	terms = termsOf(terms)
	n := &neumann{c: c, terms: terms, step: step, hia: hia}
	n.rng.Seed(seed, 3)
	d := len(c.z)
	n.hr = make([]float64, d)
	if c.auto != nil {
		c.auto.Fresh = true
	}
	n.points[0] = neumannPoint{c.z, c.x, make([]float64, d), c.v}
	if joint {
		n.points[1] = neumannPoint{append([]float64(nil), c.z...), nil, make([]float64, d), make([]float64, d)}
	}
	return n, nil
}

// estimate sets v of the first k points from r, which it overwrites.
func (n *neumann) estimate(k int) {
	steps := n.terms
	if n.hia {
		steps = int(n.rng.Uint64() % uint64(n.terms))
	}
	for i := range n.points[:k] {
		p := &n.points[i]
		n.scale(p.r)
		if !n.hia {
			copy(p.v, p.r)
		}
	}
	for range steps {
		n.multiply(k, n.c.drawG())
	}
	n.finish(k)
}

// estimateAll is estimate for the current point with all samples in each batch and P + 1 terms.
func (n *neumann) estimateAll(ctx context.Context) error {
	p := &n.points[0]
	n.scale(p.r)
	copy(p.v, p.r)
	xi, _ := n.c.all()
	for range n.terms {
		if err := ctx.Err(); err != nil {
			return err
		}
		n.multiply(1, xi)
	}
	n.finish(1)
	return nil
}

// multiply makes r −= η H_ξ r at the first k points, and adds the result to the sum.
func (n *neumann) multiply(k int, xi *sampling.Draw) {
	for i := range n.points[:k] {
		p := &n.points[i]
		n.c.products(nil, n.hr, nil, p.z, p.x, p.r, xi)
		n.descend(p.r, n.hr)
		if !n.hia {
			kernel.Axpy(1, p.r, p.v)
		}
	}
}

// finish makes v of what the series left at the first k points.
func (n *neumann) finish(k int) {
	for i := range n.points[:k] {
		p := &n.points[i]
		if n.hia {
			copy(p.v, p.r)
			kernel.Scale(-float64(n.terms), p.v)
		} else {
			kernel.Scale(-1, p.v)
		}
	}
}

// eta is η, where it is one number. It does not decay with the inner step size: the series would vanish.
func (n *neumann) eta() float64 {
	if n.step.Auto() {
		return n.c.inner.Size
	}
	return n.step.At(n.c.t + 1)
}

// curvature is what automatic steps are the inverse of. Long ones shorten the remainder of SHIA. HIA has its remainder
// in its noise, P times one term, which grows with η: there no block may lengthen r.
func (n *neumann) curvature() float64 {
	if n.hia {
		return n.c.auto.curve.L
	}
	return n.c.auto.curve.Fresh()
}

// scale makes r = η r.
func (n *neumann) scale(r []float64) {
	if n.step.Auto() && n.c.inner.Auto() {
		l := n.curvature()
		for i := range r {
			r[i] *= n.c.auto.series(i, l)
		}
		return
	}
	kernel.Scale(n.eta(), r)
}

// descend makes r −= η h.
func (n *neumann) descend(r, h []float64) {
	if n.step.Auto() && n.c.inner.Auto() {
		l := n.curvature()
		for i, d := range h {
			r[i] -= n.c.auto.series(i, l) * d
		}
		return
	}
	kernel.Axpy(-n.eta(), h, r)
}

func (n *neumann) state(s *bilevel.State) {
	s.Binary(&n.rng)
	s.Fixed(n.points[1].z)
}
