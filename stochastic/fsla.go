package stochastic

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// FSLA, a fully single-loop algorithm, moves z, then v at the new z, then x with a STORM estimate of its direction.
// Each of the three has batches of its own, the last one of g only where x enters a sampled term:
//
//	z −= ρ ∇z g_ξ;   v −= ρ (∇²zz g_ξ·v + ∇z f_ζ) at the new z
//	G = ∇²xz g_ξ·v + ∇x f_ζ at the new z and v;   D_x = G + (1 − η_t)(D_x − G_old),   η_t = η/√t;   x = P(x − γ D_x),
//
// where G_old is G on the same batches where it was taken in the step before: that step's G itself, if no batch enters
// it.
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits |ξ| samples of g by the
// gradient, |ξ| by the Hessian product and 2|ξ| by cross products, and |ζ| of f, 3|ζ| where x enters f. Memory beside
// the point is 7d + 6p numbers, at most. For a [bilevel.Local] objective x moves lazily: a step costs no work in
// proportion to p. The paper's steps are c/√t for all variables.
//
// Li, Gu, Huang, "A fully single loop algorithm for bilevel optimization without Hessian inverse", AAAI 2022,
// Algorithm 1.
type FSLA struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z and v, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Momentum is η; 0 means the inner step size of the first step, at most 1, or 1 where that is automatic: automatic
	// outer steps judge where D_x leads to, and D_x must not be older than a stretch.
	Momentum float64
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = FSLA{}

// Start begins a run.
func (m FSLA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if !(m.Momentum >= 0 && m.Momentum <= 1) {
		return nil, fmt.Errorf("stochastic: a momentum of %v; it must be positive and at most 1, or 0 for the default",
			m.Momentum)
	}
	c, err := newCore(config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip,
		decaying: true}, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &fslaRun{core: c, momentum: m.Momentum, first: true}
	if r.momentum == 0 {
		r.momentum = min(1, m.InnerStep.Size)
	}
	if r.momentum == 0 {
		r.momentum = 1
	}
	vector := func(like []float64) []float64 { return make([]float64, len(like)) }
	r.nx, r.ox = vector(c.x), vector(c.x)
	if r.batchFree = !c.g.SampledX && c.fx == nil; !r.batchFree {
		r.oz, r.ov = vector(c.z), vector(c.v)
	}
	c.hold(vector(c.x), true)
	c.reset = func() { r.first = true }
	return r, nil
}

type fslaRun struct {
	*core
	momentum  float64
	first     bool
	oz, ov    []float64 // where G was taken last
	nx, ox    []float64 // G and G_old
	batchFree bool      // no batch enters G, so that G_old is the G of the step before
}

// Step makes one step.
func (r *fslaRun) Step(ctx context.Context) error {
	xi := r.drawG()
	r.products(r.dz, nil, nil, r.z, r.x, r.v, xi)
	r.descend(r.z, r.dz)
	xi = r.drawG()
	r.products(nil, r.dv, nil, r.z, r.x, r.v, xi)
	zeta := r.drawF()
	r.gradF(r.fz, nil, r.z, r.x, zeta)
	kernel.Axpy(1, r.fz, r.dv)
	r.descend(r.v, r.dv)

	r.nx, r.ox = r.ox, r.nx
	xi = r.drawCross()
	r.products(nil, nil, r.nx, r.z, r.x, r.v, xi)
	eta := 1.0
	if r.first {
		clear(r.ox)
	} else {
		eta = min(1, r.momentum/math.Sqrt(float64(r.t+1)))
		if r.batchFree {
			r.counts.CrossG += int64(xi.Batch.Len())
		} else {
			r.products(nil, nil, r.ox, r.oz, r.held.old, r.ov, xi)
		}
	}
	if r.fx != nil {
		zeta = r.drawF()
		r.gradF(nil, r.fx, r.z, r.x, zeta)
		kernel.Axpy(1, r.fx, r.nx)
		if !r.first {
			r.gradF(nil, r.fx, r.oz, r.held.old, zeta)
			kernel.Axpy(1, r.fx, r.ox)
		}
	}
	r.held.storm(r.nx, r.ox, eta, xi)
	r.first = false
	if !r.batchFree {
		copy(r.oz, r.z)
		copy(r.ov, r.v)
	}
	r.held.move()
	r.end()
	return nil
}

// State lists the run's variables.
func (r *fslaRun) State(s *bilevel.State) {
	r.core.State(s)
	s.Float(&r.momentum)
	s.Bool(&r.first)
	s.Fixed(r.oz, r.ov, r.nx)
}
