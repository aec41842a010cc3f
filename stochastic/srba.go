package stochastic

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// SRBA, stochastic recursive bilevel algorithm, is [SOBA] with SARAH estimates of its three directions. Every q
// steps they are those of all samples; in between, with one batch of each level taken at the current and at the
// previous point w = (z, x, v),
//
//	D_t = D(w_t; ξ, ζ) − D(w_{t−1}; ξ, ζ) + D_{t−1};   z −= ρ D_z,   v −= ρ D_v,   x = P(x − γ D_x).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits 2|ξ| samples of g
// (gradient, Hessian and cross product in one pass) and 2|ζ| of f, and every q-th n and m. Memory beside the point
// is 9d + 5p numbers, nothing per sample. For a [bilevel.Local] objective x moves lazily: a step costs no work in
// proportion to p. The sample complexity, (n+m)^(1/2)/ε, is that of smooth single-level problems.
//
// Dagréou, Moreau, Vaiter, Ablin, "A lower bound and a near-optimal algorithm for bilevel empirical risk
// minimization", AISTATS 2024 (arXiv 2302.08766), Algorithm 1.
type SRBA struct {
	// Batch is the number of samples per step and level, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z and v, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Period is the number of steps q from one full pass to the next; 0 means half of what it takes to visit n + m
	// samples, (n + m)/(2·Batch).
	Period int
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = SRBA{}

// Start begins a run.
func (m SRBA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	c, err := newCore(config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip}, p,
		at,
		seed)
	if err != nil {
		return nil, err
	}
	r := &srbaRun{core: c}
	if r.period, err = c.period(m.Period); err != nil {
		return nil, err
	}
	vector := func(like []float64) []float64 { return make([]float64, len(like)) }
	r.d = [3][]float64{vector(c.z), vector(c.z), vector(c.x)}
	r.oz, r.ov = vector(c.z), vector(c.v)
	r.nx, r.ox = vector(c.x), vector(c.x)
	r.bz, r.bv = vector(c.z), vector(c.v)
	c.hold(r.d[2], true)
	c.reset = func() { r.since = 0 }
	return r, nil
}

// period is the number of steps between full passes, if q is the setting.
func (c *core) period(q int) (int, error) {
	if q < 0 {
		return 0, fmt.Errorf("stochastic: a full pass every %d steps", q)
	}
	if q == 0 {
		n, m := c.gi.Samples(), c.fo.Samples()
		q = max(1, int(math.Round(0.5*float64(n+m)/float64(c.gi.Size()))))
	}
	return q, nil
}

type srbaRun struct {
	*core
	period, since int          // steps since the last full pass
	d             [3][]float64 // D_z, D_v and D_x
	oz, ov        []float64    // z and v before the last move
	bz, bv        []float64    // directions of the batch at the old point
	nx, ox        []float64    // D_x of the batch at the current and at the old point
}

// Step makes one step.
func (r *srbaRun) Step(ctx context.Context) error {
	d := r.d
	if r.since == 0 {
		r.held.catchUpAll()
		xi, zeta := r.all()
		r.joint(d[0], d[1], d[2], r.z, r.x, r.v, xi, zeta)
	} else {
		xi, zeta := r.drawG(), r.drawF()
		r.joint(r.dz, r.dv, r.nx, r.z, r.x, r.v, xi, zeta)
		r.joint(r.bz, r.bv, r.ox, r.oz, r.held.old, r.ov, xi, zeta)
		addDifference(d[0], r.dz, r.bz)
		addDifference(d[1], r.dv, r.bv)
		lo, hi := r.span(xi)
		addDifference(d[2][lo:hi], r.nx[lo:hi], r.ox[lo:hi])
	}
	if r.since++; r.since == r.period {
		r.since = 0
	}
	copy(r.oz, r.z)
	copy(r.ov, r.v)
	copy(r.dz, d[0])
	copy(r.dv, d[1])
	r.descend(r.z, r.dz)
	r.descend(r.v, r.dv)
	r.held.move()
	r.end()
	return nil
}

// addDifference makes d += a − b.
func addDifference(d, a, b []float64) {
	kernel.Axpy(1, a, d)
	kernel.Axpy(-1, b, d)
}

// State lists the run's variables.
func (r *srbaRun) State(s *bilevel.State) {
	r.core.State(s)
	s.Index(&r.since, r.period)
	s.Fixed(r.d[0], r.d[1], r.oz, r.ov)
}
