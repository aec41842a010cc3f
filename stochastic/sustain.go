package stochastic

import "github.com/bilevel-go/bilevel"

// SUSTAIN has STORM estimates of the directions of z and x. It is [MRBO] whose adjoint is estimated by a Neumann
// series of random length, the same at the current and at the previous point (HIA):
//
//	G_z = ∇z g_ξ,   v = −HIA(∇z f_ζ),   G_x = ∇²xz g_ξ·v + ∇x f_ζ,   both also at the previous point
//	D = G + (1 − η_t)(D − G_old),   η_t = η/t^(2/3);   z −= ρ D_z,   x = P(x − γ D_x).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x). A step visits 2|ξ| samples of g by gradients, (P−1)|ξ| on average by Hessian products
// and 2|ξ| by cross products, and 2|ζ| of f; the first step half of that. Memory beside the point is 13d + 7p
// numbers. For a [bilevel.Local] objective x moves lazily: a step costs no work in proportion to p. The paper's
// steps are c/t^(1/3) for z and x.
//
// Khanduri, Zeng, Hong, Wai, Wang, Yang, "A near-optimal algorithm for stochastic bilevel optimization via
// double-momentum", NeurIPS 2021, Algorithm 1.
type SUSTAIN struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Momentum is η; 0 means 0.5.
	Momentum float64
	// Terms is P; 0 means 10. Neumann is the step size of the series; zero means the first one of z, or with
	// automatic steps 1.5 over the largest curvature of blocks.
	Terms   int
	Neumann Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of the directions of z and x; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = SUSTAIN{}

// Start begins a run.
func (m SUSTAIN) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip}
	return startStorm(cfg, m.Momentum, m.Terms, m.Neumann, true, p, at, seed)
}
