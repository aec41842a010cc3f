package stochastic

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// PZOBO, partial zeroth-order bilevel optimization, estimates the derivative of the inner iteration by differences
// along random directions of x. N steps of stochastic gradient descent lead from z to z⁺ = GD(z, x), and with the
// same batches to GD(z, x + μu_j), u_j standard normal:
//
//	δ_j = (GD(z, x + μu_j) − z⁺)/μ,   x = P(x − γ (∇x f_ζ + 1/Q Σ_j u_j ⟨δ_j, ∇z f_ζ⟩)),   z = z⁺,
//
// the gradient of f being taken at (z⁺, x). No second derivative is used, and the inner objective need not have
// products. Vectors have length d (z) and p (x); there is no adjoint. A step visits (Q+1)N|ξ| samples of g by
// gradients and |ζ| of f. Memory beside the point is (8 + Q)d + (4 + Q)p numbers. The estimate has a variance of order
// p/Q even where batches have none, and the N steps bias it.
//
// Sow, Ji, Liang, "On the convergence theory for Hessian-free bilevel algorithms", NeurIPS 2022 (arXiv 2110.07004),
// Algorithm 2.
type PZOBO struct {
	// Batch is the number of samples in each batch, at most all; 0 means 64.
	Batch int
	// InnerStep is the step size ρ of z, OuterStep the step size γ of x; zero means automatic. The automatic ρ does not
	// decay, for N steps must lead far enough for the difference to be a derivative: noise of z remains in x.
	InnerStep, OuterStep Rate
	// InnerSteps is N; 0 means 10.
	InnerSteps int
	// Directions is Q; 0 means 1. Smoothing is the distance μ; 0 means 0.01.
	Directions int
	Smoothing  float64
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of the directions of z and x; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = PZOBO{}

// Start begins a run.
func (m PZOBO) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	n, err := innerSteps(m.InnerSteps)
	if err != nil {
		return nil, err
	}
	if m.Directions < 0 || !(m.Smoothing >= 0) || math.IsInf(m.Smoothing, 0) {
		return nil, fmt.Errorf("stochastic: %d directions at distance %v; both must be positive, or 0 for the defaults",
			m.Directions, m.Smoothing)
	}
	if m.Directions == 0 {
		m.Directions = 1
	}
	if m.Smoothing == 0 {
		m.Smoothing = 0.01
	}
	cfg := config{batch: m.Batch, inner: m.InnerStep, outer: m.OuterStep, shuffle: m.Shuffle, clip: m.Clip,
		moves: n, draws: n * (1 + m.Directions), firstOrder: true, random: true}
	c, err := newCore(cfg, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &pzoboRun{core: c, mu: m.Smoothing}
	clear(c.v) // there is no adjoint
	r.rng.Seed(seed, 3)
	r.normal = rand.New(&r.rng)
	for range m.Directions {
		r.zs = append(r.zs, make([]float64, len(c.z)))
		r.us = append(r.us, make([]float64, len(c.x)))
	}
	r.xu = make([]float64, len(c.x))
	return r, nil
}

type pzoboRun struct {
	*core
	mu     float64
	rng    rand.PCG
	normal *rand.Rand
	zs, us [][]float64 // GD(z, x + μu_j), u_j
	xu     []float64   // x + μu_j
}

// Step makes one step.
func (r *pzoboRun) Step(ctx context.Context) error {
	for j, u := range r.us {
		for i := range u {
			u[i] = r.normal.NormFloat64()
		}
		copy(r.zs[j], r.z)
	}
	for range r.moves {
		xi := r.drawG()
		r.products(r.dz, nil, nil, r.z, r.x, r.v, xi)
		r.descend(r.z, r.dz)
		for j, u := range r.us {
			copy(r.xu, r.x)
			kernel.Axpy(r.mu, u, r.xu)
			r.products(r.dz, nil, nil, r.zs[j], r.xu, r.v, xi)
			r.descend(r.zs[j], r.dz)
		}
	}
	zeta := r.drawF()
	r.gradF(r.fz, r.fx, r.z, r.x, zeta)
	clear(r.dx)
	if r.fx != nil {
		copy(r.dx, r.fx)
	}
	for j, u := range r.us {
		along := kernel.Dot(r.zs[j], r.fz) - kernel.Dot(r.z, r.fz) // μ⟨δ_j, ∇z f⟩
		kernel.Axpy(along/(r.mu*float64(len(r.us))), u, r.dx)
	}
	r.stepRange(0, len(r.x))
	r.end()
	return nil
}

// Point is a copy of the current point, without an adjoint.
func (r *pzoboRun) Point() bilevel.Point {
	at := r.core.Point()
	at.V = nil
	return at
}

// State lists the run's variables.
func (r *pzoboRun) State(s *bilevel.State) {
	r.core.State(s)
	s.Binary(&r.rng)
}
