package stochastic

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// MASOBA, moving-average SOBA, is [SOBA] with a moving average q of the directions of x: with one batch of each
// level, and everything evaluated at the old point,
//
//	z −= ρ D_z,   v −= ρ D_v,   x = P(x − γ q),   then   q ← (1 − θ)q + θ D_x,   q = 0 at the start.
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits |ξ| samples of g
// (gradient, Hessian and cross product in one pass) and |ζ| of f. Memory beside the point is 5d + 4p numbers. For a
// [bilevel.Local] objective q and x move lazily: a step costs no work in proportion to p.
//
// Chen, Xiao, Balasubramanian, "Optimal algorithms for stochastic bilevel optimization under relaxed smoothness
// conditions", arXiv 2306.12067, 2023, Algorithm 1.
type MASOBA struct {
	// Batch is the number of samples per step and level, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z and v, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Theta is the weight θ of the new direction, 0 < θ ≤ 1; 0 means 0.1.
	Theta float64
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = MASOBA{}

// Start begins a run.
func (m MASOBA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if m.Theta == 0 {
		m.Theta = 0.1
	}
	if !(m.Theta > 0 && m.Theta <= 1) {
		return nil, fmt.Errorf("stochastic: a moving average with weight %v; it must be positive and at most 1, or 0 for 0.1",
			m.Theta)
	}
	c, err := newCore(config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip,
		decaying: true}, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &masobaRun{core: c, theta: m.Theta, nx: make([]float64, len(c.x))}
	q := c.hold(make([]float64, len(c.x)), false)
	c.reset = func() { clear(q.d) }
	return r, nil
}

type masobaRun struct {
	*core
	theta float64
	nx    []float64 // D_x
}

// Step makes one step.
func (r *masobaRun) Step(ctx context.Context) error {
	xi, zeta := r.drawG(), r.drawF()
	r.joint(r.dz, r.dv, r.nx, r.z, r.x, r.v, xi, zeta)
	r.descend(r.z, r.dz)
	r.descend(r.v, r.dv)
	r.held.move()
	r.held.decay(1 - r.theta)
	r.held.catchUp(r.block)
	lo, hi := r.span(xi)
	kernel.Axpy(r.theta, r.nx[lo:hi], r.held.d[lo:hi])
	r.end()
	return nil
}
