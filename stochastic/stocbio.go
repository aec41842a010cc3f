package stochastic

import "github.com/bilevel-go/bilevel"

// StocBiO makes N steps of stochastic gradient descent on z, estimates the adjoint at the new z by P+1 terms of a
// Neumann series (SHIA), and moves x along the hypergradient that both give on a fresh batch:
//
//	N times: z −= ρ ∇z g_ξ;   s = r = η ∇z f_ζ, P times: r −= η ∇²zz g_ξ·r, s += r;   v = −s
//	x = P(x − γ (∇²xz g_ξ·v + ∇x f_ζ)).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); z is warm started, v is made afresh. A step visits N|ξ| samples of g by gradients, P|ξ|
// by Hessian products and |ξ| by cross products, and |ζ| of f. Memory beside the point is 8d + 3p numbers. The
// truncated series biases x; the bias falls as (1 − ημ)^P.
//
// Ji, Yang, Liang, "Bilevel optimization: convergence analysis and enhanced design", ICML 2021, Algorithm 2.
type StocBiO struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// InnerSteps is N; 0 means 10.
	InnerSteps int
	// Terms is P; 0 means 10. Neumann is the step size η of the series; zero means the first one of z, or with
	// automatic steps 1.5 over the curvature of blocks as they come.
	Terms   int
	Neumann Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of the directions of z and x; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = StocBiO{}

// Start begins a run.
func (m StocBiO) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip}
	return startDouble(cfg, m.InnerSteps, m.Terms, m.Neumann, false, p, at, seed)
}
