package stochastic

import (
	"context"
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// VRBO, variance-reduced bilevel optimizer, has SPIDER estimates of the directions of z and x. Every q steps they are
// those of all samples. A step moves x, and then N times updates both estimates and moves z:
//
//	x = P(x − γ D_x);   N times: D += G(now) − G(then),   z −= ρ D_z,
//	G_z = ∇z g_ξ,   v = −SHIA(∇z f_ζ),   G_x = ∇²xz g_ξ·v + ∇x f_ζ,
//
// each difference on one set of batches, "then" being where D was last updated: the first difference spans the move
// of x. The adjoint comes from P+1 terms of a Neumann series (SHIA), at both points with the same batches.
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x). A step visits 2N|ξ| samples of g by gradients, 2NP|ξ| by Hessian products and 2N|ξ| by
// cross products, and 2N|ζ| of f; every q-th also n, Pn, n and m. Memory beside the point is 13d + 7p numbers. For a
// [bilevel.Local] objective x moves lazily: a step costs no work in proportion to p.
//
// Yang, Ji, Liang, "Provably faster algorithms for bilevel optimization", NeurIPS 2021, Algorithm 2.
type VRBO struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// InnerSteps is N; 0 means 10.
	InnerSteps int
	// Terms is P; 0 means 10. Neumann is the step size of the series; zero means the first one of z, or with
	// automatic steps 1.5 over the curvature of blocks as they come.
	Terms   int
	Neumann Rate
	// Period is the number of steps q from one full pass to the next; 0 means (n + m)/(2·Batch).
	Period int
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of the directions of z and x; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = VRBO{}

// Start begins a run.
func (m VRBO) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	n, err := innerSteps(m.InnerSteps)
	if err != nil {
		return nil, err
	}
	terms := m.Terms
	if terms == 0 {
		terms = defaultTerms
	}
	c, err := newCore(config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip,
		moves: n,
		draws: n * max(terms, 1)}, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &vrboRun{core: c}
	if r.period, err = c.period(m.Period); err != nil {
		return nil, err
	}
	if r.adjoint, err = newNeumann(c, m.Terms, m.Neumann, false, true, seed); err != nil {
		return nil, err
	}
	vector := func(like []float64) []float64 { return make([]float64, len(like)) }
	r.d, r.bz, r.nx, r.ox = vector(c.z), vector(c.z), vector(c.x), vector(c.x)
	if c.fx != nil {
		r.ofx = vector(c.x)
	}
	c.hold(vector(c.x), true)
	c.reset = func() { r.since = 0 }
	return r, nil
}

type vrboRun struct {
	*core
	period, since int
	adjoint       *neumann
	d             []float64 // D_z
	bz            []float64 // ∇z g of a batch at the earlier point
	nx, ox        []float64 // D_x of a batch at the current and at the earlier point
	ofx           []float64 // ∇x f at the earlier point
}

// Step makes one step.
func (r *vrboRun) Step(ctx context.Context) error {
	then := &r.adjoint.points[1]
	if r.since == 0 {
		if err := r.full(ctx); err != nil {
			return err
		}
		copy(then.z, r.z)
	}
	if r.since++; r.since == r.period {
		r.since = 0
	}
	r.held.move()
	then.x = r.held.old
	for range r.moves {
		r.update(then)
		copy(then.z, r.z)
		then.x = r.x
		copy(r.dz, r.d)
		r.descend(r.z, r.dz)
	}
	r.end()
	return nil
}

// full sets both estimates from all samples.
func (r *vrboRun) full(ctx context.Context) error {
	r.held.catchUpAll()
	xi, zeta := r.all()
	r.products(r.d, nil, nil, r.z, r.x, r.v, xi)
	r.gradF(r.fz, r.fx, r.z, r.x, zeta)
	copy(r.adjoint.points[0].r, r.fz)
	if err := r.adjoint.estimateAll(ctx); err != nil {
		return err
	}
	r.products(nil, nil, r.held.d, r.z, r.x, r.v, xi)
	if r.fx != nil {
		kernel.Axpy(1, r.fx, r.held.d)
	}
	return nil
}

// update adds to both estimates the differences from then to now on one set of batches.
func (r *vrboRun) update(then *neumannPoint) {
	xi := r.drawG()
	r.products(r.dz, nil, nil, r.z, r.x, r.v, xi)
	r.products(r.bz, nil, nil, then.z, then.x, r.v, xi)
	addDifference(r.d, r.dz, r.bz)
	zeta := r.drawF()
	r.gradF(r.adjoint.points[0].r, r.fx, r.z, r.x, zeta)
	r.gradF(then.r, r.ofx, then.z, then.x, zeta)
	r.adjoint.estimate(2)
	xi = r.drawCross()
	r.products(nil, nil, r.nx, r.z, r.x, r.v, xi)
	r.products(nil, nil, r.ox, then.z, then.x, then.v, xi)
	lo, hi := r.span(xi)
	addDifference(r.held.d[lo:hi], r.nx[lo:hi], r.ox[lo:hi])
	if r.fx != nil {
		addDifference(r.held.d, r.fx, r.ofx)
	}
}

// State lists the run's variables.
func (r *vrboRun) State(s *bilevel.State) {
	r.core.State(s)
	r.adjoint.state(s)
	s.Index(&r.since, r.period)
	s.Fixed(r.d)
}
