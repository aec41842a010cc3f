package stochastic

import "github.com/bilevel-go/bilevel"

// TTSA, two-timescale stochastic approximation, is [BSA] with one step on z: estimates of the adjoint by a Neumann
// series of random length (HIA) at the new z, a fresh batch for x,
//
//	z −= ρ ∇z g_ξ;   p uniform in 0 … P−1;   r = η ∇z f_ζ, p times: r −= η ∇²zz g_ξ·r;   v = −P r
//	x = P(x − γ (∇²xz g_ξ·v + ∇x f_ζ)).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v is made afresh. A step visits |ξ| samples of g by the gradient, (P−1)|ξ|/2 on average
// by Hessian products and |ξ| by cross products, and |ζ| of f. Memory beside the point is 8d + 3p numbers. The
// paper's steps are c/t^(2/5) for z and c/t^(3/5) for x, so that x becomes slow against z.
//
// Hong, Wai, Wang, Yang, "A two-timescale stochastic algorithm framework for bilevel optimization", SIAM Journal on
// Optimization 33, 2023, Algorithm 1.
type TTSA struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Terms is P; 0 means 10. Neumann is the step size η of the series; zero means the first one of z, or with
	// automatic steps 1.5 over the largest curvature of blocks.
	Terms   int
	Neumann Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of the directions of z and x; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = TTSA{}

// Start begins a run.
func (m TTSA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip}
	return startDouble(cfg, 1, m.Terms, m.Neumann, true, p, at, seed)
}
