package stochastic

import (
	"context"
	"github.com/bilevel-go/bilevel"
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
	// InnerStep is the step size ρ of z and v, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
	// Support makes a step on sparse rows cost the non-zeros of its rows instead of d: it moves only the features
	// that its blocks see, in z, v and x. The penalty acts on these features only, times r, one over
	// the probability that a draw sees the feature: another estimate with the same mean and a larger variance.
	// Both objectives need sparse rows ([bilevel.Sparse]), the inner one a penalty ([bilevel.Separable]); Clip and
	// Problem.Project are errors. Explicit steps must satisfy ρ r s < 2 for strengths s; automatic ones do,
	// but choosing them takes passes over all of z now and then. Leblond, Pedregosa, Lacoste-Julien, "ASAGA:
	// asynchronous parallel SAGA", AISTATS 2017 (sparse SAGA, section 2).
	Support bool
}

var _ bilevel.Method = SOBA{}

// Start begins a run.
func (m SOBA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip, decaying: true}
	if m.Support {
		return newSupport(cfg, false, false, p, at, seed)
	}
	c, err := newCore(cfg, p, at, seed)
	if err != nil {
		return nil, err
	}
	return &sobaRun{c}, nil
}

type sobaRun struct{ *core }

// Step makes one step.
func (r *sobaRun) Step(ctx context.Context) error {
	xi, zeta := r.drawG(), r.drawF()
	r.descendJointly(xi, zeta) // z ← z − ρ D_z, v ← v − ρ D_v
	r.stepX(xi)                // x ← P(x − γ D_x)
	r.end()
	return nil
}
