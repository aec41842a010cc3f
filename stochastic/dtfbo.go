package stochastic

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// DTFBO is D-TFBO, double-loop tuning-free bilevel optimisation: N gradient steps on z, N on v at the new z, and one
// on x, each with all samples and with the inverse of the norms accumulated so far as its step size:
//
//	N times: β² += ‖D_z‖²,  z −= D_z/β;   N times: γ² += ‖D_v‖²,  v −= D_v/γ;   α² += ‖D_x‖²,  x = P(x − D_x/α).
//
// It assumes an inner objective that is strongly convex in z, with [bilevel.SecondOrder] products. Vectors have
// length d (z, v) and p (x); v starts at zero where the start point has none. A step visits N·n samples of g by
// gradients, N·n by Hessian products, n by cross products, and m of f. Memory beside the point is 5d + 3p numbers.
//
// Yang, Ban, Huang, Ma, Ji, "Tuning-Free Bilevel Optimization: New Algorithms and Convergence Analysis", ICLR
// 2025, the double-loop algorithm (Algorithm 1, D-TFBO), with a fixed number of inner steps as in the authors'
// published code (OptMN-Lab/tfbo, benchopt/solvers/dtfbo.py) instead of a bound on the inner gradient's norm; v has
// the sign of this module, Hessian products follow v from step to step, and x is projected.
type DTFBO struct {
	// Alpha, Beta and Gamma are the initial values α₀, β₀, γ₀ of the accumulated norms; 0 means 1.
	Alpha, Beta, Gamma float64
	// InnerSteps is N; 0 means 10.
	InnerSteps int
}

var _ bilevel.Method = DTFBO{}

// Start begins a run. It is deterministic: the seed has no effect.
func (m DTFBO) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	n, err := innerSteps(m.InnerSteps)
	if err != nil {
		return nil, err
	}
	r := &dtfboRun{n: n}
	if r.norms, err = startNorms(m.Alpha, m.Beta, m.Gamma); err != nil {
		return nil, err
	}
	r.core, err = newCore(config{batch: math.MaxInt, inner: Constant(1), outer: Constant(1)}, p, at, seed)
	return r, err
}

// norms are accumulated squared norms.
type norms struct{ alpha2, beta2, gamma2 float64 }

// startNorms are the squares of initial norms, 1 where they are zero.
func startNorms(alpha, beta, gamma float64) (norms, error) {
	for _, v := range []*float64{&alpha, &beta, &gamma} {
		if *v == 0 {
			*v = 1
		}
		if !(*v > 0) || math.IsInf(*v, 0) {
			return norms{}, fmt.Errorf("stochastic: an initial norm is %v; it must be positive, or 0 for 1", *v)
		}
	}
	return norms{alpha * alpha, beta * beta, gamma * gamma}, nil
}

func (n *norms) state(s *bilevel.State) {
	s.Float(&n.alpha2)
	s.Float(&n.beta2)
	s.Float(&n.gamma2)
}

type dtfboRun struct {
	*core
	norms
	n int
}

// Step makes one step.
func (r *dtfboRun) Step(ctx context.Context) error {
	xi, zeta := r.fixed()
	for range r.n {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.products(r.dz, nil, nil, r.z, r.x, r.v, xi)
		r.beta2 += square(r.dz)
		kernel.Axpy(-1/math.Sqrt(r.beta2), r.dz, r.z)
	}
	r.gradF(r.fz, r.fx, r.z, r.x, zeta)
	for range r.n {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.products(nil, r.dv, nil, r.z, r.x, r.v, xi)
		kernel.Axpy(1, r.fz, r.dv)
		r.gamma2 += square(r.dv)
		kernel.Axpy(-1/math.Sqrt(r.gamma2), r.dv, r.v)
	}
	r.products(nil, nil, r.dx, r.z, r.x, r.v, xi)
	if r.fx != nil {
		kernel.Axpy(1, r.fx, r.dx)
	}
	r.alpha2 += square(r.dx)
	kernel.Axpy(-1/math.Sqrt(r.alpha2), r.dx, r.x)
	r.project(0, len(r.x))
	r.end()
	return nil
}

// State lists the run's variables.
func (r *dtfboRun) State(s *bilevel.State) {
	r.core.State(s)
	r.norms.state(s)
}
