package stochastic

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// SOBA is stochastic gradient descent on all three variables at once: with one batch ξ of g and one batch ζ of
// f, drawn independently, and everything evaluated at the old point,
//
//	z −= ρ ∇z g_ξ,   v −= ρ (∇²zz g_ξ·v + ∇z f_ζ),   x = P(x − γ (∇²xz g_ξ·v + ∇x f_ζ)).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits |ξ| samples of g
// (gradient, Hessian and cross product in one pass) and |ζ| of f. Memory beside the point is 5d + 3p numbers.
//
// With constant steps it settles in a neighbourhood of a stationary point, with ρ and γ of order t^(−1/2) the
// mean of ‖∇h‖² decreases as T^(−1/2): Dagréou, Ablin, Vaiter, Moreau, "A framework for bilevel optimization
// that enables stochastic and global variance reduction algorithms", NeurIPS 2022, Algorithm 1 with the
// directions of section 4.
type SOBA struct {
	// Batch is the number of samples per step and level, at most all; 0 means 64.
	Batch int
	// Inner is the step size ρ of z and v, Outer the step size γ of x; zero means automatic.
	Inner, Outer Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = SOBA{}

// Start begins a run.
func (m SOBA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	c, err := newCore(config{m.Batch, m.Inner, m.Outer, m.Shuffle, m.Clip, true}, p, at, seed)
	if err != nil {
		return nil, err
	}
	return newSobaRun(c), nil
}

type sobaRun struct {
	*core
	fused              bool
	gz, gh, gx, fz, fx []float64 // what the batches give
}

func newSobaRun(c *core) *sobaRun {
	d, p := len(c.z), len(c.x)
	r := &sobaRun{core: c, gz: make([]float64, d), gh: make([]float64, d), gx: make([]float64, p), fz: make([]float64, d), fx: make([]float64, p)}
	// Where every weight is 1 the whole objective is the estimate, its exact part included.
	r.fused = c.g.fused && (c.f.fused || !c.f.sampledX && !c.f.exactX) && (!c.shuffle || c.gi.Even() && c.fo.Even())
	if !c.f.sampledX && (!r.fused || !c.f.exactX) {
		r.fx = nil
	}
	return r
}

// Step makes one step.
func (r *sobaRun) Step() error {
	lo, hi := r.directions()
	r.advance(lo, hi)
	if r.auto != nil && r.t >= r.auto.next && r.auto.look(r.core) {
		r.auto.back(r.core)
	}
	return nil
}

// directions estimates D_z, D_v and D_x at the current point; D_x only in [lo, hi).
func (r *sobaRun) directions() (lo, hi int) {
	_, bg, wg := r.gi.Next()
	_, bf, wf := r.fo.Next()
	r.prefetch()
	if r.fused {
		r.g.wholeG.Products(r.dz, r.dv, r.dx, r.z, r.x, r.v, bg)
		r.f.whole.Grad(r.fz, r.fx, r.z, r.x, bf)
		kernel.Axpy(1, r.fz, r.dv)
		if r.fx != nil {
			kernel.Axpy(1, r.fx, r.dx)
		}
		return 0, len(r.x)
	}
	r.exact()
	var gx []float64
	if r.g.sampledX {
		gx = r.gx
		lo, hi = r.g.outerRange(bg)
	}
	r.g.sampledG.Products(r.gz, r.gh, gx, r.z, r.x, r.v, bg)
	r.f.sampled.Grad(r.fz, r.fx, r.z, r.x, bf)
	kernel.Axpy(wg, r.gz, r.dz)
	kernel.Axpy(wg, r.gh, r.dv)
	kernel.Axpy(wf, r.fz, r.dv)
	if r.narrow {
		clear(r.dx[lo:hi])
	}
	if hi > lo {
		kernel.Axpy(wg, gx[lo:hi], r.dx[lo:hi])
	}
	if r.narrow {
		return lo, hi
	}
	if r.fx != nil {
		lo, hi = r.f.outerRange(bf)
		kernel.Axpy(wf, r.fx[lo:hi], r.dx[lo:hi])
	}
	return 0, len(r.x)
}

// State lists the run's variables.
func (r *sobaRun) State(s *bilevel.State) { r.state(s) }
