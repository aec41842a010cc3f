package valuefn

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/stochastic"
)

// F2SA is the fully first-order stochastic approximation. A step t = 1, 2, … moves y towards the minimiser of
// f + λ_t g and z towards that of g, InnerSteps times with fresh batches ξ, ξ' of g and ζ of f,
//
//	y −= α_t (λ_t ∇z g_ξ(y, x) + ∇z f_ζ(y, x)),   z −= β_t ∇z g_ξ'(z, x),   α_t = β_t/(2λ_t),
//
// and then, with further batches and one ξ for both terms, x along the gradient of the penalised problem,
//
//	x = P(x − γ_t (∇x f_ζ(y, x) + λ_t (∇x g_ξ(y, x) − ∇x g_ξ(z, x)))).
//
// It assumes an inner objective that is strongly convex in z, and asks for nothing but gradients. Vectors have
// length d (y, z) and p (x). Both y and z start at the start point's z; the z of the run's points is the one that
// minimises g, and their v is nil. A step visits InnerSteps·(|ξ| + |ξ'|) + 2|ξ| samples of g and (InnerSteps + 1)·|ζ|
// of f, all for gradients. Memory beside the point is 4d + 3p numbers, with automatic steps 10d + 10p more, and d + p
// for each level with a part that is not sampled.
//
// With λ_t of order t^(1/7), β_t of order t^(−4/7) and γ_t of order t^(−5/7), which is γ_t = ξα_t for a constant ξ,
// the mean of ‖∇h‖² decreases as T^(−2/7) up to logarithms. With constant λ the run settles within O(1/λ) of a
// stationary point; the larger λ is, the slower x can move, because its direction is a difference multiplied by λ.
//
// With automatic inner steps ξ' = ξ and α_t = β_t/λ_t: y and z follow the noise of a batch in step, and the difference
// that λ_t multiplies does not see it. With batches of their own its noise can be many times its mean.
//
// Kwon, Kwon, Wright, Nowak, "A fully first-order method for stochastic bilevel optimization", ICML 2023,
// Algorithm 1; the projection of x, the clipping and the one batch for both terms of the x direction are added.
type F2SA struct {
	// Batch is the number of samples per batch, at most all; 0 means 64.
	Batch int
	// InnerSteps is the number of steps of y and z for each one of x; 0 means 10, or 1 where steps of x are automatic
	// and each batch moves only its own part of x, and z*(x) little, as with a weight for each row.
	InnerSteps int
	// Lambda is λ_t; zero means automatic.
	Lambda Multiplier
	// InnerStep is the step size β_t of z, which determines α_t too, and OuterStep the step size γ_t of x; zero means
	// automatic.
	InnerStep, OuterStep stochastic.Rate
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
	// Clip bounds the norm of each of the three directions; 0 means no bound.
	Clip float64
}

var _ bilevel.Method = F2SA{}

// Multiplier is the multiplier λ_t = Size·t^Growth of a penalty at step t = 1, 2, …. The zero value is automatic:
// [F2SA] takes the growth of its paper, 1/7, and for the size a multiple of the ratio of the smoothness of f to that
// of g at the start: 30, or 5 where batches leave noise, which λ multiplies.
type Multiplier struct {
	Size   float64 // λ₀ > 0; 0 means automatic
	Growth float64 // ≥ 0; 0 means constant
}

// At is the multiplier of step t = 1, 2, ….
func (m Multiplier) At(t int64) float64 {
	if m.Growth == 0 {
		return m.Size
	}
	return m.Size * math.Pow(float64(t), m.Growth)
}

func (m Multiplier) check() error {
	switch {
	case !(m.Size >= 0) || math.IsInf(m.Size, 0):
		return fmt.Errorf("valuefn: the multiplier λ is %v; it must be positive, or 0 for an automatic one", m.Size)
	case !(m.Growth >= 0) || math.IsInf(m.Growth, 0):
		return fmt.Errorf("valuefn: the multiplier λ grows with exponent %v; it must not be negative", m.Growth)
	case m.Size == 0 && m.Growth != 0:
		return errors.New("valuefn: the multiplier λ has Growth but no Size: an automatic one chooses its own growth")
	}
	return nil
}

const (
	defaultBatch      = 64
	defaultInnerSteps = 10
	defaultGrowth     = 1. / 7
)

func (m F2SA) check() error {
	if m.Batch < 0 {
		return fmt.Errorf("valuefn: a batch of %d samples", m.Batch)
	}
	if m.InnerSteps < 0 {
		return fmt.Errorf("valuefn: %d inner steps", m.InnerSteps)
	}
	if !(m.Clip >= 0) {
		return fmt.Errorf("valuefn: clipping at norm %v; it must be positive, or 0 for none", m.Clip)
	}
	if err := m.Lambda.check(); err != nil {
		return err
	}
	if err := m.InnerStep.Check("inner"); err != nil {
		return err
	}
	return m.OuterStep.Check("outer")
}

// Start begins a run.
func (m F2SA) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.Batch == 0 {
		m.Batch = defaultBatch
	}
	c, err := newCore(p, at, seed, m.Batch, m.Shuffle)
	if err != nil {
		return nil, err
	}
	if m.InnerSteps == 0 {
		m.InnerSteps = defaultInnerSteps
		if m.OuterStep.Auto() && c.parted() {
			m.InnerSteps = 1
		}
	}
	r := &f2saRun{F2SA: m, core: c}
	r.draws, r.autoInner, r.autoOuter = m.InnerSteps, m.InnerStep.Auto(), m.OuterStep.Auto()
	d, q := len(r.z), len(r.x)
	r.df, r.gy, r.gz = make([]float64, d), make([]float64, q), make([]float64, q)
	r.other = sampling.NewSampler(r.xi.Partition, seed, 3, m.Shuffle)
	if m.Lambda.Size == 0 || m.InnerStep.Auto() || m.OuterStep.Auto() {
		a := newAuto(r.core)
		if m.Lambda.Size == 0 {
			r.Lambda = Multiplier{a.multiplier(), defaultGrowth}
		}
		r.kappa = r.Lambda.At(1)
		a.start()
		if m.InnerStep.Auto() || m.OuterStep.Auto() {
			r.auto = a
		}
	}
	return r, nil
}

type f2saRun struct {
	F2SA
	*core
	df, gy, gz []float64
	other      *sampling.Sampler // ξ'
}

// Step makes one step.
func (r *f2saRun) Step(ctx context.Context) error {
	t := r.t + 1
	lambda := r.Lambda.At(t)
	for range r.InnerSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, w := r.g.next(r.xi)
		r.g.grad(r.dy, nil, r.y, r.x, b, w)
		if r.InnerStep.Auto() {
			r.extra.GradG += int64(b.Len()) // a second time
		} else {
			b, w = r.g.next(r.other)
		}
		r.g.grad(r.dz, nil, r.z, r.x, b, w)
		b, w = r.f.next(r.zeta)
		r.f.grad(r.df, nil, r.y, r.x, b, w)
		kernel.Scale(lambda, r.dy)
		kernel.Axpy(1, r.df, r.dy)
		r.clip(r.dy)
		r.clip(r.dz)
		if r.InnerStep.Auto() {
			r.moveInner(lambda)
		} else {
			beta := r.InnerStep.At(t)
			kernel.Axpy(-beta/(2*lambda), r.dy, r.y) // α_t = β_t/(2λ_t)
			kernel.Axpy(-beta, r.dz, r.z)
		}
	}
	b, w := r.f.next(r.zeta)
	r.f.grad(nil, r.dx, r.y, r.x, b, w)
	b, w = r.g.next(r.xi)
	r.g.grad(nil, r.gy, r.y, r.x, b, w)
	r.g.grad(nil, r.gz, r.z, r.x, b, w)
	r.extra.GradG += int64(b.Len()) // a second time
	kernel.Axpy(lambda, r.gy, r.dx)
	kernel.Axpy(-lambda, r.gz, r.dx)
	r.clip(r.dx)
	r.stepX(r.OuterStep.At(t))
	r.t = t
	if r.auto != nil && r.auto.Due(t) {
		r.kappa = r.Lambda.At(t + 1)
		r.auto.Look(r.t)
	}
	return nil
}

// moveInner steps y and z by automatic steps, equal ones but for λ, so that both follow the noise of ξ alike.
func (r *f2saRun) moveInner(lambda float64) {
	beta := 1 / r.auto.slowness(r.t)
	alpha := beta / lambda
	y, z, dy, dz := r.y, r.z, r.dy, r.dz
	for i, s := range r.auto.steps {
		y[i] -= alpha * s * dy[i]
		z[i] -= beta * s * dz[i]
	}
}

// clip scales d to norm at most Clip.
func (r *f2saRun) clip(d []float64) {
	if r.Clip == 0 {
		return
	}
	if n := norm(d); n > r.Clip {
		kernel.Scale(r.Clip/n, d)
	}
}

// Counts says how many samples the oracle calls have visited. Exact parts are not sampled and do not count.
func (r *f2saRun) Counts() bilevel.Counts {
	n := r.core.Counts()
	n.GradG += r.other.Visited()
	return n
}

// Point is a copy of the current point.
func (r *f2saRun) Point() bilevel.Point { return r.point(r.z) }

// State lists the run's variables.
func (r *f2saRun) State(s *bilevel.State) {
	r.core.state(s)
	r.other.State(s)
	s.Float(&r.Lambda.Size)
	s.Float(&r.Lambda.Growth)
}
