package stochastic

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// A STORM estimate d of a quantity is moved by its values G at the current and at the previous point on the same
// batch,
//
//	d = G + (1 − η)(d − G_old),   and d = G at the first step.

// storm makes that step on d.
func storm(d, now, old []float64, eta float64) {
	kernel.Scale(1-eta, d)
	kernel.Axpy(1, now, d)
	kernel.Axpy(eta-1, old, d)
}

// storm makes a STORM step on the held direction, from the x-derivatives of ξ, the last batch drawn.
func (h *held) storm(now, old []float64, eta float64, xi *sampling.Draw) {
	lo, hi := h.c.span(xi)
	h.decay(1 - eta)
	h.catchUp(h.c.block)
	kernel.Axpy(1, now[lo:hi], h.d[lo:hi])
	if eta != 1 {
		kernel.Axpy(eta-1, old[lo:hi], h.d[lo:hi])
	}
}

// stormRun is MRBO, and SUSTAIN with another estimate of the adjoint: STORM on the directions of z and x.
type stormRun struct {
	*core
	momentum float64 // η of the first step
	exponent float64
	first    bool
	adjoint  *neumann
	d        []float64 // D_z
	bz       []float64 // ∇z g of the batch at the previous point
	nx, ox   []float64 // D_x of the batch at the current and at the previous point
	ofx      []float64 // ∇x f at the previous point
}

func startStorm(cfg config, momentum float64, terms int, step Rate, hia bool, p *bilevel.Problem, at bilevel.Point,
	seed uint64) (bilevel.Run, error) {
	cfg.decaying = true
	cfg.draws = 2
	if hia {
		cfg.spread = termsOf(terms)
	}
	c, err := newCore(cfg, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &stormRun{core: c, exponent: 2. / 3, first: true}
	if r.momentum, err = checkMomentum(momentum); err != nil {
		return nil, err
	}
	if r.adjoint, err = newNeumann(c, terms, step, hia, true, seed); err != nil {
		return nil, err
	}
	vector := func(like []float64) []float64 { return make([]float64, len(like)) }
	r.d, r.bz, r.nx, r.ox = vector(c.z), vector(c.z), vector(c.x), vector(c.x)
	if c.fx != nil {
		r.ofx = vector(c.x)
	}
	c.hold(vector(c.x), true)
	r.adjoint.points[1].x = c.held.old
	c.reset = func() { r.first = true }
	return r, nil
}

// Step makes one step.
func (r *stormRun) Step(ctx context.Context) error {
	now, old := &r.adjoint.points[0], &r.adjoint.points[1]
	eta := 1.0
	k := 2
	if r.first {
		k = 1
		clear(r.ox)
	} else {
		eta = min(1, r.momentum/math.Pow(float64(r.t+1), r.exponent))
	}
	xi := r.drawG()
	r.products(r.dz, nil, nil, r.z, r.x, r.v, xi)
	if r.first {
		copy(r.d, r.dz)
	} else {
		r.products(r.bz, nil, nil, old.z, old.x, r.v, xi)
		storm(r.d, r.dz, r.bz, eta)
	}
	zeta := r.drawF()
	r.gradF(now.r, r.fx, r.z, r.x, zeta)
	if !r.first {
		r.gradF(old.r, r.ofx, old.z, old.x, zeta)
	}
	r.adjoint.estimate(k)
	xi = r.drawCross()
	r.products(nil, nil, r.nx, r.z, r.x, r.v, xi)
	if !r.first {
		r.products(nil, nil, r.ox, old.z, old.x, old.v, xi)
	}
	if r.fx != nil {
		kernel.Axpy(1, r.fx, r.nx)
		if !r.first {
			kernel.Axpy(1, r.ofx, r.ox)
		}
	}
	r.held.storm(r.nx, r.ox, eta, xi)
	r.first = false
	copy(old.z, r.z)
	copy(r.dz, r.d)
	r.descend(r.z, r.dz)
	r.held.move()
	r.end()
	return nil
}

// State lists the run's variables.
func (r *stormRun) State(s *bilevel.State) {
	r.core.State(s)
	r.adjoint.state(s)
	s.Bool(&r.first)
	s.Fixed(r.d)
}
