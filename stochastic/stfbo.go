package stochastic

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// STFBO is S-TFBO, single-loop tuning-free bilevel optimisation. All directions are those of all samples, at
// the old point, and the step sizes are inverses of accumulated gradient norms, designed jointly:
//
//	β² += ‖D_z‖²,   γ² += ‖D_v‖²,   α² += ‖D_x‖²,   φ = max(β, γ)
//	z −= D_z/β,   v −= D_v/φ,   x = P(x − D_x/(αφ)).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits all n samples of g
// (gradient, Hessian and cross product in one pass) and all m of f. Memory beside the point is 5d + 3p numbers.
// ‖∇h‖² decreases as 1/T up to logarithms. The outer step is inversely proportional to the square of the
// objectives' scale as soon as the norms exceed their initial values: on badly scaled problems it is slow, not
// divergent.
//
// Yang, Ban, Huang, Ma, Ji, "Tuning-Free Bilevel Optimization: New Algorithms and Convergence Analysis", ICLR
// 2025, the single-loop algorithm (Algorithm 2, S-TFBO); written from the authors' published code
// (OptMN-Lab/tfbo, benchopt/solvers/stfbo.py), whose v has the other sign, with exact instead of sampled
// directions and the projection of x added.
type STFBO struct {
	// Alpha, Beta and Gamma are the initial values α₀, β₀, γ₀ of the accumulated norms; 0 means 1.
	Alpha, Beta, Gamma float64
}

var _ bilevel.Method = STFBO{}

// Start begins a run. It is deterministic: the seed has no effect.
func (m STFBO) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	n, err := startNorms(m.Alpha, m.Beta, m.Gamma)
	if err != nil {
		return nil, err
	}
	c, err := newCore(config{batch: math.MaxInt, inner: Constant(1), outer: Constant(1)}, p, at, seed)
	if err != nil {
		return nil, err
	}
	return &stfboRun{c, n}, nil
}

type stfboRun struct {
	*core
	norms
}

// Step makes one step.
func (r *stfboRun) Step(ctx context.Context) error {
	xi, zeta := r.fixed()
	r.joint(r.dz, r.dv, r.dx, r.z, r.x, r.v, xi, zeta)
	lo, hi := r.span(xi)
	r.beta2 += square(r.dz)
	r.gamma2 += square(r.dv)
	r.alpha2 += square(r.dx[lo:hi])
	beta, phi := math.Sqrt(r.beta2), math.Sqrt(max(r.beta2, r.gamma2))
	kernel.Axpy(-1/beta, r.dz, r.z)
	kernel.Axpy(-1/phi, r.dv, r.v)
	kernel.Axpy(-1/(math.Sqrt(r.alpha2)*phi), r.dx[lo:hi], r.x[lo:hi])
	r.project(lo, hi)
	r.end()
	return nil
}

func square(d []float64) float64 { return kernel.Dot(d, d) }

// State lists the run's variables.
func (r *stfboRun) State(s *bilevel.State) {
	r.core.State(s)
	r.norms.state(s)
}
