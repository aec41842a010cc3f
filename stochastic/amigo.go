package stochastic

import "github.com/bilevel-go/bilevel"

// AmIGO makes N steps of stochastic gradient descent on z and N on v, both warm started, and moves x along the
// hypergradient that both give on a fresh batch:
//
//	N times: z −= ρ ∇z g_ξ;   N times: v −= ρ (∇²zz g_ξ·v + ∇z f_ζ), ζ being the same each time
//	x = P(x − γ (∇²xz g_ξ·v + ∇x f_ζ)).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits N|ξ| samples of g by
// gradients, N|ξ| by Hessian products and |ξ| by cross products, and |ζ| of f. Memory beside the point is 5d + 3p
// numbers. With all samples in a batch it is exact at its fixed point.
//
// Arbel, Mairal, "Amortized implicit differentiation for stochastic bilevel optimization", ICLR 2022, Algorithm 1.
type AmIGO struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z and v, OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep Rate
	// InnerSteps is N; 0 means 10.
	InnerSteps int
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each direction; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = AmIGO{}

// Start begins a run.
func (m AmIGO) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	n, err := innerSteps(m.InnerSteps)
	if err != nil {
		return nil, err
	}
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip, decaying: true,
		moves: n, draws: 2*n + 1}
	c, err := newCore(cfg, p, at, seed)
	if err != nil {
		return nil, err
	}
	return &double{core: c}, nil
}
