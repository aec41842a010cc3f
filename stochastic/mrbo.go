package stochastic

import (
	"fmt"

	"github.com/bilevel-go/bilevel"
)

// MRBO, momentum-based recursive bilevel optimizer, has STORM estimates of the directions of z and x. The adjoint is
// estimated at the current and at the previous point by P+1 terms of a Neumann series with the same batches (SHIA):
//
//	G_z = ∇z g_ξ,   v = −SHIA(∇z f_ζ),   G_x = ∇²xz g_ξ·v + ∇x f_ζ,   both also at the previous point
//	D = G + (1 − η_t)(D − G_old),   η_t = η/t^(2/3);   z −= ρ D_z,   x = P(x − γ D_x).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x). A step visits 2|ξ| samples of g by gradients, 2P|ξ| by Hessian products and 2|ξ| by cross
// products, and 2|ζ| of f; the first step half of that. Memory beside the point is 13d + 7p numbers. For a
// [bilevel.Local] objective x moves lazily: a step costs no work in proportion to p. The paper's steps are c/t^(1/3)
// for z and x.
//
// Yang, Ji, Liang, "Provably faster algorithms for bilevel optimization", NeurIPS 2021, Algorithm 1.
type MRBO struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// Momentum is η; 0 means 0.5.
	Momentum float64
	// Terms is P; 0 means 10. Neumann is the step size of the series; zero means the first one of z, or with
	// automatic steps 1.5 over the curvature of blocks as they come.
	Terms   int
	Neumann Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of the directions of z and x; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = MRBO{}

// Start begins a run.
func (m MRBO) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip}
	return startStorm(cfg, m.Momentum, m.Terms, m.Neumann, false, p, at, seed)
}

// checkMomentum is η, or its default where it is zero.
func checkMomentum(eta float64) (float64, error) {
	if !(eta >= 0 && eta <= 1) {
		return 0, fmt.Errorf("stochastic: a momentum of %v; it must be positive and at most 1, or 0 for the default", eta)
	}
	if eta == 0 {
		return 0.5, nil
	}
	return eta, nil
}
