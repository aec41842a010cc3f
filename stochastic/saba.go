package stochastic

import (
	"github.com/bilevel-go/bilevel"
)

// SABA is [SOBA] with a SAGA estimate of each of the five quantities ∇z g, ∇²zz g·v, ∇²xz g·v (batch ξ) and
// ∇z f, ∇x f (batch ζ):
//
//	direction = (w_i/π_i)(new − memory[i]) + average;  average += w_i(new − memory[i]);  memory[i] = new,
//
// where block i, a share w_i of the samples, was drawn with probability π_i. The variance of the directions
// vanishes at a solution, so constant steps converge: ‖∇h‖² as (n+m)^(2/3)/T.
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits |ξ| samples of g
// (gradient, Hessian and cross product in one pass) and |ζ| of f. The memory is 2n + m numbers per score for
// [bilevel.Linear] objectives, 2d for each block of g and d for each of f otherwise, and p more per block where
// x enters the sampled part; for a [bilevel.Local] objective p in all, and x moves lazily: a step costs no
// work in proportion to p.
//
// Dagréou, Ablin, Vaiter, Moreau, "A framework for bilevel optimization that enables stochastic and global
// variance reduction algorithms", NeurIPS 2022, Algorithm 1 with the directions of section 6.
type SABA struct {
	// Batch is the number of samples per step and level, at most all; 0 means 64.
	Batch int
	// Inner is the step size ρ of z and v, Outer the step size γ of x; zero means automatic.
	Inner, Outer Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
	// Warm fills the memory by a full pass at the start point instead of zeros.
	Warm bool
	// Generic remembers whole gradients where numbers per sample would do, to test one against the other.
	Generic bool
}

var _ bilevel.Method = SABA{}

// Start begins a run.
func (m SABA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	c, err := newCore(config{m.Batch, m.Inner, m.Outer, m.Shuffle, m.Clip, false}, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &sabaRun{core: c}
	r.memG = newSaga(&c.g.level, c.gi.Partition, 2, m.Generic)
	r.memF = newSaga(&c.f, c.fo.Partition, 1, m.Generic)
	if c.narrow {
		r.seen = make([]float64, c.gi.Blocks())
	}
	if m.Warm {
		r.fill()
	}
	return r, nil
}

type sabaRun struct {
	*core
	memG, memF *saga

	// Narrow runs leave x[lo:hi) of a block where it is until the block is drawn again. In between its
	// direction is the average, which is constant, so that k missed steps x = P(x − γ avg) are one:
	// a coordinate that starts inside its bounds and moves one way is clamped once and for all.
	sum  float64   // Σγ of all steps; their number where γ is automatic
	seen []float64 // sum at which the block's part of x is up to date
}

// Step makes one step.
func (r *sabaRun) Step() error {
	lo, hi := r.directions()
	r.advance(lo, hi)
	if r.auto != nil && r.t >= r.auto.next {
		r.catchUp(r.x, true)
		if r.auto.look(r.core) {
			r.auto.back(r.core)
			r.fill()
		}
	}
	return nil
}

// directions estimates D_z, D_v and D_x at the current point; D_x only in [lo, hi).
func (r *sabaRun) directions() (lo, hi int) {
	ig, bg, wg := r.gi.Next()
	jf, bf, wf := r.fo.Next()
	r.prefetch()
	r.memG.prefetch(&r.gi.ahead)
	r.memF.prefetch(&r.fo.ahead)
	lo, hi = 0, len(r.x)
	if r.narrow {
		lo, hi = r.g.outerRange(bg)
		r.missed(r.x, ig, lo, hi)
		_, gamma := r.rates()
		if r.outer.Auto() {
			gamma = 1
		}
		r.sum += gamma
		r.seen[ig] = r.sum
		clear(r.dx[lo:hi])
	}
	r.exact()
	r.memG.estimate(r.dz, r.dv, r.dx, ig, bg, wg, r.z, r.x, r.v, r.narrow)
	r.memF.estimate(nil, r.dv, r.dx, jf, bf, wf, r.z, r.x, r.v, false)
	return lo, hi
}

// missed makes the steps that a block's part of x has missed, in dst.
func (r *sabaRun) missed(dst []float64, block, lo, hi int) {
	k := r.sum - r.seen[block]
	if k == 0 {
		return
	}
	x, avg := dst[lo:hi], r.memG.avgX[lo:hi]
	if r.outer.Auto() {
		for j, a := range avg {
			x[j] -= k * r.auto.gamma[lo+j] * a
		}
	} else {
		for j, a := range avg {
			x[j] -= k * a
		}
	}
	r.clamp(x, lo)
}

// catchUp brings all of dst, a copy of x or x itself, up to date; settle says that it is x.
func (r *sabaRun) catchUp(dst []float64, settle bool) {
	if !r.narrow {
		return
	}
	for i := range r.seen {
		lo, hi := r.g.outerRange(r.gi.Block(i))
		r.missed(dst, i, lo, hi)
		if settle {
			r.seen[i] = r.sum
		}
	}
}

// fill sets both memories by a full pass at the current point.
func (r *sabaRun) fill() {
	r.memG.fill(r.z, r.x, r.v)
	r.memF.fill(r.z, r.x, r.v)
	n, m := int64(r.gi.Samples()), int64(r.fo.Samples())
	r.extra.GradG += n
	r.extra.HessG += n
	r.extra.CrossG += n
	r.extra.GradF += m
}

// Point is a copy of the current point, with all missed steps made.
func (r *sabaRun) Point() bilevel.Point {
	at := r.core.Point()
	r.catchUp(at.X, false)
	return at
}

// State lists the run's variables, x as it is.
func (r *sabaRun) State(s *bilevel.State) {
	r.state(s)
	r.memG.state(s)
	r.memF.state(s)
	s.Float(&r.sum)
	s.Fixed(r.seen)
}
