package inner

import (
	"context"
	"errors"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// Iteration is z⁺ = Φ(z, x), as the [Dynamics] of a problem with a fixed-point map and as a solver of
// z = Φ(z, x).
//
// Assumes that Φ(·, x) is a contraction, with a factor q: it converges like q^k. A step costs one Map, its Pull
// one Pull; Push needs [bilevel.Pusher]. Counts take Map for a gradient of g, and Pull and Push for a product
// with ∇²zz g, with ∇²xz g, or both, as far as they are asked for. Memory: 3d numbers.
type Iteration struct {
	// Steps, where positive, has the solver make exactly that many steps, which is success whatever the
	// residual. Dynamics are told their number of steps elsewhere.
	Steps int
	// MaxIter bounds the solver's iterations towards a tolerance. The default is 100,000.
	MaxIter int
}

var _ Dynamics = Iteration{}

// Begin is described at [Dynamics].
func (Iteration) Begin(p *bilevel.Problem, counts *bilevel.Counts) (Process, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Fixed == nil {
		return nil, errors.New("inner: Iteration needs a fixed-point map (Problem.Fixed), " +
			"and this problem has an inner objective: use GradientDescent")
	}
	return newIteration(p.Fixed, counts), nil
}

// Start prepares to solve z = Φ(z, x). The minimizer iterates to ‖Φ(z, x) − z‖₂ ≤ tol. In its results, Grad is
// z − Φ(z, x), GradNorm the norm of that, and Value zero.
func (m Iteration) Start(f bilevel.FixedPoint, counts *bilevel.Counts) (Minimizer, error) {
	if err := checkSteps(m.Steps); err != nil {
		return nil, err
	}
	if m.MaxIter <= 0 {
		m.MaxIter = defaultMaxIter
	}
	p := newIteration(f, counts)
	return &iterator{Iteration: m, p: p, z: make([]float64, p.d), grad: make([]float64, p.d)}, nil
}

// iteration is the process.
type iteration struct {
	f      bilevel.FixedPoint
	pusher bilevel.Pusher // nil: none
	counts *bilevel.Counts
	all    bilevel.Batch
	d      int
	next   []float64
}

var _ Process = (*iteration)(nil)

func newIteration(f bilevel.FixedPoint, counts *bilevel.Counts) *iteration {
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	m := &iteration{f: f, counts: counts, all: bilevel.Batch{Lo: 0, Hi: f.Samples()}}
	m.pusher, _ = f.(bilevel.Pusher)
	m.d, _ = f.Dims()
	m.next = make([]float64, m.d)
	return m
}

// StateLen is described at [Process].
func (m *iteration) StateLen() int { return m.d }

// Init is described at [Process].
func (m *iteration) Init(s, z, _ []float64) error {
	copy(s, z)
	return nil
}

// Step is described at [Process].
func (m *iteration) Step(dst, s, x []float64, _ int) {
	m.counts.GradG += int64(m.all.Len())
	m.f.Map(m.next, s, x, m.all) // not to dst, which may be s
	copy(dst, m.next)
}

// Pull is described at [Process].
func (m *iteration) Pull(us, ux, s, x, u []float64, _ int) {
	m.count(us != nil, ux != nil)
	m.f.Pull(us, ux, s, x, u, m.all)
}

// Push is described at [Process].
func (m *iteration) Push(dst, s, x, vs, vx []float64, _ int) error {
	if m.pusher == nil {
		return fmt.Errorf("inner: %T has no Push method (∂zΦ·vz + ∂xΦ·vx), which forward-mode differentiation needs", m.f)
	}
	m.count(vs != nil, vx != nil)
	m.pusher.Push(dst, s, x, vs, vx, m.all)
	return nil
}

func (m *iteration) count(z, x bool) {
	if z {
		m.counts.HessG += int64(m.all.Len())
	}
	if x {
		m.counts.CrossG += int64(m.all.Len())
	}
}

// iterator solves z = Φ(z, x).
type iterator struct {
	Iteration
	p       *iteration
	z, grad []float64
}

var _ Minimizer = (*iterator)(nil)

// Minimize is described at [Minimizer].
func (m *iterator) Minimize(ctx context.Context, z, x []float64, tol float64) (Result, error) {
	if len(z) != m.p.d {
		panic("inner: z has the wrong length")
	}
	copy(m.z, z)
	for k := range m.Steps {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		m.p.Step(m.z, m.z, x, k+1)
	}
	res := Result{Iterations: m.Steps, Grad: m.grad}
	last := 0 // iteration that found best
	for {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		m.p.Step(m.p.next, m.z, x, 0) // Φ(z)
		norm := floats.Distance(m.p.next, m.z, 2)
		first := res.Iterations == m.Steps
		switch {
		case !finite(norm) && first && m.Steps == 0:
			res.GradNorm = norm
			return res, errors.New("inner: at the start of the inner problem Φ(z, x) − z is not finite: " +
				"start elsewhere, or bound x")
		case !finite(norm) && first:
			res.GradNorm = norm
			return res, &NotConvergedError{Iterations: m.Steps, GradNorm: norm, Tol: tol, Fixed: true,
				Reason: "the iteration diverges: Φ(·, x) is no contraction"}
		}
		if first || norm < res.GradNorm {
			copy(z, m.z)
			floats.SubTo(m.grad, m.z, m.p.next)
			res.GradNorm, last = norm, res.Iterations
		}
		reason := ""
		switch {
		case m.Steps > 0 || norm <= tol:
			res.Converged = true
			return res, nil
		case !finite(norm):
			reason = "the iteration diverges: Φ(·, x) is no contraction"
		case res.Iterations-last > stalled && res.GradNorm <= 1e3*0x1p-52*floats.Norm(z, 2):
			res.Rounding = true
			return res, nil
		case res.Iterations >= m.MaxIter:
			reason = "the iteration limit"
		}
		if reason != "" {
			return res, &NotConvergedError{Iterations: res.Iterations, GradNorm: res.GradNorm, Tol: tol, Fixed: true,
				Reason: reason}
		}
		res.Iterations++
		m.z, m.p.next = m.p.next, m.z // z⁺ = Φ(z)
	}
}
