package valuefn

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/stochastic"
)

// BVFSM is the bi-level value-function-based sequential minimization method, an interior-point method, as the
// experiments of BOME's paper have it. A step moves y by InnerSteps gradient steps on
//
//	g(y, x) + μr‖y‖²,
//
// then z by as many on f plus a regulariser and a barrier that keeps g(z, x) below that,
//
//	f(z, x) + θr‖z‖² − σr log(g̲(z, x) + g(y, x) + μr‖y‖² + 10⁻⁴ − g(z, x)),
//
// where g̲(z, x) stands for the value of g(z, x) held fixed, so that the barrier always has the argument b = g(y, x) +
// μr‖y‖² + 10⁻⁴ and pulls with the force σr/b, and then x by one step on the same,
//
//	x = P(x − γ (∇x f(z, x) + σr/b (∇x g(z, x) − ∇x g(y, x)))).
//
// r = 1/log(1.1(S + 1)) decays slowly with the number of steps: S is Horizon, or where that is 0 the number t of the
// step. b must be positive: g is taken less LowerBound, which should be a lower bound of it, and a step where b is not
// positive is an error. σr/b acts as a multiplier of g that does not grow, and z stays away from z*(x) by about
// b/(σr)[∇²zz g]⁻¹∇z f: the bias does not vanish, and the method is here for comparisons.
//
// Vectors have length d (y, z) and p (x); points have no v. A step visits (2 InnerSteps + 2)|ξ| samples of g and
// (InnerSteps + 1)|ζ| of f by gradients, and (InnerSteps + 1)|ξ| of g by values. Memory beside the point is 4d + 2p
// numbers, with automatic steps 10d + 10p more. Automatic steps are 1/(L_g + e_i + 2μr) for y,
// 1/(2(L_f + 2θr + σr/b (L_g + e_i))) for z, and those of [F2SA] for x.
//
// Liu, Liu, Zeng, Zhang, Zhang, "Value-function-based sequential minimization for bi-level optimization", arXiv
// 2110.04974, 2021; the value held fixed in the barrier is that of the code of BOME's authors.
type BVFSM struct {
	// Batch is the number of samples per batch; 0 means all.
	Batch int
	// InnerSteps is the number of steps of y and of z for each one of x; 0 means 10.
	InnerSteps int
	// Value is the step size of y, InnerStep that of z, OuterStep the step size γ of x; zero means automatic.
	Value, InnerStep, OuterStep stochastic.Rate
	// Mu, Theta and Sigma are μ, θ and σ; 0 means 0.1.
	Mu, Theta, Sigma float64
	// Horizon is S, for a constant r; 0 means that r decays.
	Horizon int64
	// LowerBound is subtracted from g.
	LowerBound float64
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
}

var _ bilevel.Method = BVFSM{}

const (
	defaultWeight = 0.1  // μ, θ and σ
	barrierOffset = 1e-4 // in b
)

func (m BVFSM) check() error {
	if err := checkSizes(m.Batch, m.InnerSteps); err != nil {
		return err
	}
	for _, c := range []struct {
		name string
		v    float64
	}{{"μ", m.Mu}, {"θ", m.Theta}, {"σ", m.Sigma}} {
		if err := positive(c.name, c.v); err != nil {
			return err
		}
	}
	if err := checkRates(namedRate{"value", m.Value}, namedRate{"inner", m.InnerStep},
		namedRate{"outer", m.OuterStep}); err != nil {
		return err
	}
	if m.Horizon < 0 {
		return fmt.Errorf("valuefn: a horizon of %d steps", m.Horizon)
	}
	if math.IsNaN(m.LowerBound) || math.IsInf(m.LowerBound, 0) {
		return fmt.Errorf("valuefn: the lower bound of g is %v", m.LowerBound)
	}
	return nil
}

// Start begins a run.
func (m BVFSM) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.Batch == 0 {
		m.Batch = math.MaxInt
	}
	if m.InnerSteps == 0 {
		m.InnerSteps = defaultInnerSteps
	}
	for _, w := range []*float64{&m.Mu, &m.Theta, &m.Sigma} {
		if *w == 0 {
			*w = defaultWeight
		}
	}
	c, err := newCore(p, at, seed, m.Batch, m.Shuffle)
	if err != nil {
		return nil, err
	}
	r := &bvfsmRun{BVFSM: m, core: c, y: c.z, z: c.y, dy: c.dz, dz: make([]float64, len(c.z)), gz: c.dy,
		gx: make([]float64, len(c.x))}
	r.draws, r.autoInner, r.autoOuter = 2*m.InnerSteps, m.InnerStep.Auto(), m.OuterStep.Auto()
	if m.Value.Auto() || r.autoInner || r.autoOuter {
		a := newAuto(r.core)
		r.kappa = a.multiplier()
		a.start()
		r.auto = a
	}
	return r, nil
}

// bvfsmRun is a run. Names are those of [BVFSM]: the core calls y z, for it minimises g, and z y, for f counts there.
type bvfsmRun struct {
	BVFSM
	*core
	y, z   []float64 // the core's z and y
	dy, dz []float64 // directions of y and z: the core's dz, at which its automatic steps look, and one of its own
	gz, gx []float64 // of a term of g
}

// decay is r at step t.
func (r *bvfsmRun) decay(t int64) float64 {
	if r.Horizon > 0 {
		t = r.Horizon
	}
	return 1 / math.Log(1.1*(float64(t)+1))
}

// force is σr/b, b over a batch.
func (r *bvfsmRun) force(decay float64, b bilevel.Batch, w float64) (float64, error) {
	value := r.g.value(r.y, r.x, b, w)
	r.extra.ValueG += int64(b.Len())
	room := value - r.LowerBound + r.Mu*decay*kernel.Dot(r.y, r.y) + barrierOffset
	if !(room > 0) {
		return 0, fmt.Errorf("valuefn: g is %v and the barrier has no room: give a LowerBound of g below it", value)
	}
	return r.Sigma * decay / room, nil
}

// Step makes one step.
func (r *bvfsmRun) Step(ctx context.Context) error {
	t := r.t + 1
	decay := r.decay(t)
	for range r.InnerSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.stepY(t, decay)
	}
	for range r.InnerSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.stepZ(t, decay); err != nil {
			return err
		}
	}
	force, err := r.outerDirection(decay)
	if err != nil {
		return err
	}
	r.stepX(r.OuterStep.At(t))
	r.t = t
	if r.auto != nil && r.auto.Due(t) {
		r.kappa = force
		r.auto.Look(r.t)
	}
	return nil
}

// stepY descends g(y, x) + μr‖y‖² in y.
func (r *bvfsmRun) stepY(t int64, decay float64) {
	b, w := r.g.next(r.xi)
	r.g.grad(r.dy, nil, r.y, r.x, b, w)
	kernel.Axpy(2*r.Mu*decay, r.y, r.dy)
	if !r.Value.Auto() {
		kernel.Axpy(-r.Value.At(t), r.dy, r.y)
		return
	}
	for i, s := range r.auto.full {
		r.y[i] -= s / (1 + 2*r.Mu*decay*s) * r.dy[i]
	}
}

// stepZ descends f(z, x) + θr‖z‖² and the barrier in z.
func (r *bvfsmRun) stepZ(t int64, decay float64) error {
	b, w := r.g.next(r.xi)
	force, err := r.force(decay, b, w)
	if err != nil {
		return err
	}
	r.g.grad(r.gz, nil, r.z, r.x, b, w)
	b, w = r.f.next(r.zeta)
	r.f.grad(r.dz, nil, r.z, r.x, b, w)
	kernel.Axpy(force, r.gz, r.dz)
	kernel.Axpy(2*r.Theta*decay, r.z, r.dz)
	if !r.InnerStep.Auto() {
		kernel.Axpy(-r.InnerStep.At(t), r.dz, r.z)
		return nil
	}
	flat := (r.auto.f.L + 2*r.Theta*decay) / r.auto.Safety
	for i, s := range r.auto.full {
		r.z[i] -= r.dz[i] / (2 * (flat + force/s))
	}
	return nil
}

// outerDirection sets dx to ∇x f(z, x) + σr/b (∇x g(z, x) − ∇x g(y, x)), and returns σr/b.
func (r *bvfsmRun) outerDirection(decay float64) (force float64, err error) {
	b, w := r.g.next(r.xi)
	if force, err = r.force(decay, b, w); err != nil {
		return 0, err
	}
	bf, wf := r.f.next(r.zeta)
	r.f.grad(nil, r.dx, r.z, r.x, bf, wf)
	r.g.grad(nil, r.gx, r.z, r.x, b, w)
	kernel.Axpy(force, r.gx, r.dx)
	r.g.grad(nil, r.gx, r.y, r.x, b, w)
	kernel.Axpy(-force, r.gx, r.dx)
	r.extra.GradG += int64(b.Len()) // a second time
	return force, nil
}

// Point is a copy of the current point.
func (r *bvfsmRun) Point() bilevel.Point { return r.point(r.z) }

// State lists the run's variables.
func (r *bvfsmRun) State(s *bilevel.State) { r.core.state(s) }
