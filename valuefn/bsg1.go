package valuefn

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/stochastic"
)

// BSG1 is the bilevel stochastic gradient method with second derivatives of rank one. Each step moves z by InnerSteps
// gradient steps on g and then x, with
//
//	∇²zz g ≈ ∇z g ∇z gᵀ,   ∇²xz g ≈ ∇x g ∇z gᵀ
//
// in the hypergradient,
//
//	x = P(x − γ (∇x f − ⟨∇z f, ∇z g⟩/(‖∇z g‖² + ε) ∇x g)).
//
// The approximation is that of Gauss and Newton, for an inner objective which is a sum of squares of residuals that
// vanish at z*(x). Elsewhere ∇x g does not vanish there and the quotient is one of numbers that do: x is pushed about,
// and the method is here for comparisons.
//
// Vectors have length d (z) and p (x); points have no v. A step visits (InnerSteps + 1)|ξ| samples of g and |ζ| of f by
// gradients. Memory beside the point is 2d + 2p numbers, with automatic steps 10d + 10p more. Automatic steps are
// half of those of [BOME]'s α for z, lest ∇z g vanish, and those of [F2SA] for x.
//
// Giovannelli, Kent, Vicente, "Inexact bilevel stochastic gradient methods for constrained and unconstrained
// lower-level problems", arXiv 2110.00604, 2021, the method BSG-1.
type BSG1 struct {
	// Batch is the number of samples per batch; 0 means all.
	Batch int
	// InnerSteps is the number of steps of z for each one of x; 0 means 10.
	InnerSteps int
	// InnerStep is the step size of z and OuterStep the step size γ of x; zero means automatic.
	InnerStep, OuterStep stochastic.Rate
	// Epsilon is ε; 0 means 1e-50, which excludes nothing but a division by zero.
	Epsilon float64
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
}

var _ bilevel.Method = BSG1{}

// Start begins a run.
func (m BSG1) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if err := checkSizes(m.Batch, m.InnerSteps); err != nil {
		return nil, err
	}
	if err := positive("ε", m.Epsilon); err != nil {
		return nil, err
	}
	if err := checkRates(namedRate{"inner", m.InnerStep}, namedRate{"outer", m.OuterStep}); err != nil {
		return nil, err
	}
	if m.Batch == 0 {
		m.Batch = math.MaxInt
	}
	if m.InnerSteps == 0 {
		m.InnerSteps = defaultInnerSteps
	}
	if m.Epsilon == 0 {
		m.Epsilon = 1e-50
	}
	c, err := newCore(p, at, seed, m.Batch, m.Shuffle)
	if err != nil {
		return nil, err
	}
	c.y = c.z // there is one inner variable
	r := &bsg1Run{BSG1: m, core: c, gx: make([]float64, len(c.x))}
	r.draws, r.autoInner, r.autoOuter = m.InnerSteps, m.InnerStep.Auto(), m.OuterStep.Auto()
	if r.autoInner || r.autoOuter {
		a := newAuto(r.core)
		r.kappa = a.multiplier()
		a.start()
		r.auto = a
	}
	return r, nil
}

type bsg1Run struct {
	BSG1
	*core
	gx []float64
}

// Step makes one step.
func (r *bsg1Run) Step(ctx context.Context) error {
	t := r.t + 1
	for range r.InnerSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, w := r.g.next(r.xi)
		r.g.grad(r.dz, nil, r.z, r.x, b, w)
		if r.InnerStep.Auto() {
			r.auto.approach(r.z, r.dz, .5)
		} else {
			kernel.Axpy(-r.InnerStep.At(t), r.dz, r.z)
		}
	}
	b, w := r.g.next(r.xi)
	r.g.grad(r.dz, r.gx, r.z, r.x, b, w)
	b, w = r.f.next(r.zeta)
	r.f.grad(r.dy, r.dx, r.z, r.x, b, w)
	kernel.Axpy(-kernel.Dot(r.dy, r.dz)/(kernel.Dot(r.dz, r.dz)+r.Epsilon), r.gx, r.dx)
	r.stepX(r.OuterStep.At(t))
	r.t = t
	if r.OuterStep.Auto() && !r.auto.Moving { // holding x would let ∇z g vanish
		r.auto.Release(t)
	}
	if r.auto != nil && r.auto.Due(t) {
		r.auto.Look(r.t)
	}
	return nil
}

// Point is a copy of the current point.
func (r *bsg1Run) Point() bilevel.Point { return r.point(r.z) }

// State lists the run's variables.
func (r *bsg1Run) State(s *bilevel.State) { r.core.state(s) }
