package stochastic

import "github.com/bilevel-go/bilevel"

// BSA makes N steps of stochastic gradient descent on z, estimates the adjoint at the new z by a Neumann series of
// random length (HIA), and moves x along the hypergradient that both give on a fresh batch:
//
//	N times: z −= ρ ∇z g_ξ;   p uniform in 0 … P−1;   r = η ∇z f_ζ, p times: r −= η ∇²zz g_ξ·r;   v = −P r
//	x = P(x − γ (∇²xz g_ξ·v + ∇x f_ζ)).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); z is warm started, v is made afresh. A step visits N|ξ| samples of g by gradients,
// (P−1)|ξ|/2 on average by Hessian products and |ξ| by cross products, and |ζ| of f. Memory beside the point is
// 8d + 3p numbers. The estimate of v has a variance of order P even where batches have none. The paper's steps are
// c/√t for z and x.
//
// Ghadimi, Wang, "Approximation methods for bilevel programming", arXiv 1802.02246, 2018, Algorithm 3.
type BSA struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// InnerSteps is N; 0 means 10.
	InnerSteps int
	// Terms is P; 0 means 10. Neumann is the step size η of the series; zero means the first one of z, or with
	// automatic steps 1.5 over the largest curvature of blocks.
	Terms   int
	Neumann Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of the directions of z and x; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = BSA{}

// Start begins a run.
func (m BSA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip}
	return startDouble(cfg, m.InnerSteps, m.Terms, m.Neumann, true, p, at, seed)
}
