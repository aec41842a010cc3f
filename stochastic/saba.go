package stochastic

import (
	"context"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
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
	// InnerStep is the step size ρ of z and v, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
	// Warm fills the memory by a full pass at the start point instead of zeros.
	Warm bool
	// Support makes a step on sparse rows cost the non-zeros of its rows instead of d: it moves only the features
	// that its blocks see, in z, v and x. The penalty and the averages of past batches act on these features only,
	// times r, one over the probability that a draw sees the feature: another estimate with the same mean, whose
	// variance vanishes at a solution too. Where features share strengths all of x moves, and up to p numbers per
	// block are remembered. Both objectives need sparse rows ([bilevel.Sparse]), the inner one a penalty
	// ([bilevel.Separable]); Clip and Problem.Project are errors. Explicit steps must satisfy ρ r s < 2, s
	// the largest strength; automatic ones do, but choosing them takes passes over all of z now and then. Leblond,
	// Pedregosa, Lacoste-Julien, "ASAGA: asynchronous parallel SAGA", AISTATS 2017 (sparse SAGA, section 2).
	Support bool

	generic bool // remember whole gradients where numbers per sample would do, to test one against the other
}

var _ bilevel.Method = SABA{}

// Start begins a run.
func (m SABA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip}
	if m.Support {
		return newSupport(cfg, true, m.Warm, p, at, seed)
	}
	c, err := newCore(cfg, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &sabaRun{core: c}
	r.memG = newSaga(&c.g.Level, c.gi, 2, m.generic)
	r.memF = newSaga(&c.f, c.fo, 1, m.generic)
	if c.narrow {
		c.hold(r.memG.avgX, false)
	}
	c.reset = r.fill
	if m.Warm {
		r.fill()
	}
	return r, nil
}

type sabaRun struct {
	*core
	memG, memF *saga
}

// Step makes one step.
func (r *sabaRun) Step(context.Context) error {
	xi, zeta := r.drawG(), r.drawF()
	r.memG.change(xi, r.z, r.x, r.v) // new − memory
	r.memF.change(zeta, r.z, r.x, r.v)
	r.descendJointly(xi, zeta) // z ← z − ρ D_z, v ← v − ρ D_v, all D = weight (new − memory) + average
	if r.narrow {              // all of x moves along the average, and ξ's span along its own direction instead
		r.held.move()
		r.held.skipDrawn()
	}
	r.stepX(xi) // x ← P(x − γ D_x)
	r.end()
	return nil
}

// descendJointly makes the steps of z and v, in place where that can be, and leaves D_x in dx.
func (r *sabaRun) descendJointly(xi, zeta *sampling.Draw) {
	n := int64(xi.Batch.Len())
	r.counts.GradG += n
	r.counts.HessG += n
	r.counts.CrossG += n
	r.counts.GradF += int64(zeta.Batch.Len())
	if rho, ok := r.inPlace(); ok && r.f.Exact == nil {
		r.exactProducts(nil, nil, r.dx, r.z, r.x, r.v, xi)
		r.memG.step([2][]float64{r.z, r.v}, xi, rho, 1-rho*r.shrink)
		r.memF.step([2][]float64{r.v}, zeta, rho, 1)
	} else {
		r.directions(xi, zeta)
		r.descend(r.z, r.dz)
		r.descend(r.v, r.dv)
	}
	r.memG.stepX(r.dx, xi, r.narrow)
	r.memF.stepX(r.dx, zeta, false)
}

// directions sets D_z and D_v, and the exact parts of D_x.
func (r *sabaRun) directions(xi, zeta *sampling.Draw) {
	r.exactProducts(r.dz, r.dv, r.dx, r.z, r.x, r.v, xi)
	if r.f.Exact != nil {
		r.exactGradF(r.fz, r.fx, r.z, r.x)
		kernel.Axpy(1, r.fz, r.dv)
		if r.fx != nil {
			kernel.Axpy(1, r.fx, r.dx)
		}
	}
	r.memG.step([2][]float64{r.dz, r.dv}, xi, -1, 1)
	r.memF.step([2][]float64{r.dv}, zeta, -1, 1)
}

// fill sets both memories by a full pass at the current point.
func (r *sabaRun) fill() {
	r.memG.fill(r.z, r.x, r.v)
	r.memF.fill(r.z, r.x, r.v)
	n, m := int64(r.gi.Samples()), int64(r.fo.Samples())
	r.counts.GradG += n
	r.counts.HessG += n
	r.counts.CrossG += n
	r.counts.GradF += m
}

// State lists the run's variables, x as it is.
func (r *sabaRun) State(s *bilevel.State) {
	r.core.State(s)
	r.memG.state(s)
	r.memF.state(s)
}
