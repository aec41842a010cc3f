package valuefn

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// MinimaxOPT is multi-stage gradient descent and ascent on the minimax form of the bilevel problem,
//
//	minimise over x and u, maximise over ω   f(u, x) + α (g(u, x) − g(ω, x)).
//
// A step takes one batch ξ of g, which the two terms of g share, and an independent one ζ of f, and moves all three
// variables from gradients at the same point,
//
//	ω −= η_ω α ∇z g_ξ(ω, x),
//	u −= η_u (∇z f_ζ(u, x) + α ∇z g_ξ(u, x)),
//	x = P(x − η_x (∇x f_ζ(u, x) + α (∇x g_ξ(u, x) − ∇x g_ξ(ω, x)))).
//
// There are Stages stages of StageSteps steps. In stage i = 0, 1, … α = α₀ τ^i and η_u, η_ω are their first values
// times τ^−i; after the last stage both stay. The curvature of what u and ω descend grows like α, so that ηα has to
// stay constant. x descends about h, whose curvature does not depend on α, and η_x stays as it is: were it scaled too,
// all that x can still travel in the stages to come would be a geometric series, and x could stop short of the optimum
// (OuterScaling). The steps of u and ω are best equal: then both follow z*(x) and the noise of ξ in step, and the
// difference that α multiplies does not see x move. For strongly convex g, ‖u − z*(x)‖ ≤ ‖∇z f(u, x)‖/(αμ) at the
// minimiser u, μ the modulus, and at the solution of the minimax problem g(u, x) − g(z*(x), x) = O(1/α).
//
// With batches of all samples this is Algorithm 1 of the paper; with smaller ones, momentum and Cosine its
// Algorithm 2.
//
// It assumes an inner objective that is strongly convex in z, and asks for nothing but gradients. Vectors have length
// d (u, ω) and p (x). Both u and ω start at the start point's z. The z of the run's points is ω, which minimises g: it
// has no bias, so that h is f(ω, x) up to what descent has left, while u is off by O(1/α); v is nil. A step makes three
// gradient calls: it visits 2|ξ| samples of g, in one pass where g is a [bilevel.PairGradienter], and |ζ| of f. Memory
// beside the point is 4d + 3p numbers, p more where g is none, with automatic steps 9d + 10p more, and that of the
// optimizers.
//
// Automatic steps look at gradients alone, as those of [F2SA] do: η_u α = η_ω α is about half the inverse of the
// smoothness of g, and each coordinate of x has a step size of its own.
//
// "Effective bilevel optimization via minimax reformulation", 2023, arXiv 2305.13153, (6), Algorithms 1 and 2; the
// projection of x, the one pass for both terms of g and the automatic constants are added.
type MinimaxOPT struct {
	// Batch is the number of samples per batch, at most all; 0 means 64.
	Batch int
	// Alpha is α₀; 0 means automatic, a multiple of the ratio of the smoothness of f to that of g at the start: 10, or
	// 5 where batches leave noise.
	Alpha float64
	// Growth is τ > 1; 0 means 1.5.
	Growth float64
	// StageSteps is K; 0 means 500.
	StageSteps int
	// Stages is N; 0 means 7.
	Stages int
	// InnerStep is the first η_ω, PenalisedStep that of u and OuterStep η_x; 0 means automatic, and for PenalisedStep
	// InnerStep.
	InnerStep, PenalisedStep, OuterStep float64
	// OuterScaling is a power: η_x in stage i is its first value times τ^(−i·OuterScaling). 0 does not scale, 1 scales
	// like the others.
	OuterScaling float64
	// Cosine lets all step sizes that are given fall within the stages, as
	//
	//	τ^−i (η_min + ½ (η₀ − η_min)(1 + cos(πs/(NK)))),   s = iK + k,   η_min = Floor·η₀,
	//
	// with η_x scaled by its own power of τ. They stay at the end; where that is zero the run ends there.
	Cosine bool
	// Floor is η_min/η₀, at most 1.
	Floor float64
	// InnerOptimizer makes directions of the gradients of u and of ω, each with a state of its own, and OuterOptimizer
	// of that of x; nil means gradient descent. They need step sizes that are given. The direction of Adam does not
	// grow with α.
	InnerOptimizer, OuterOptimizer hypergrad.Optimizer
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
}

var _ bilevel.Method = MinimaxOPT{}

const (
	defaultStageGrowth = 1.5
	defaultStageSteps  = 500
	defaultStages      = 7
	firstMultiple      = 1. / 3 // of the automatic multiplier of F2SA without noise, that of stage 0
)

func (m MinimaxOPT) check() error {
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	switch {
	case m.Batch < 0:
		return fmt.Errorf("valuefn: a batch of %d samples", m.Batch)
	case !finite(m.Alpha):
		return fmt.Errorf("valuefn: the multiplier α is %v; it must be positive, or 0 for an automatic one", m.Alpha)
	case m.Growth != 0 && !(m.Growth > 1 && finite(m.Growth)):
		return fmt.Errorf("valuefn: the multiplier α grows by a factor %v; it must be above 1", m.Growth)
	case m.StageSteps < 0 || m.Stages < 0:
		return fmt.Errorf("valuefn: %d stages of %d steps", m.Stages, m.StageSteps)
	case !finite(m.OuterScaling):
		return fmt.Errorf("valuefn: the outer step size is scaled with the power %v; it must not be negative", m.OuterScaling)
	case !(m.Floor >= 0 && m.Floor <= 1):
		return fmt.Errorf("valuefn: step sizes that fall to %v of the first; give a number between 0 and 1", m.Floor)
	case m.Floor > 0 && !m.Cosine:
		return fmt.Errorf("valuefn: Floor is %v without Cosine, which alone reads it", m.Floor)
	case m.InnerStep == 0 && m.PenalisedStep != 0:
		return fmt.Errorf("valuefn: PenalisedStep is %v and InnerStep automatic: the steps of u and ω are automatic together",
			m.PenalisedStep)
	case m.InnerStep == 0 && m.InnerOptimizer != nil:
		return fmt.Errorf("valuefn: %T makes directions of u and ω, whose automatic steps are for gradients: set InnerStep",
			m.InnerOptimizer)
	case m.OuterStep == 0 && m.OuterOptimizer != nil:
		return fmt.Errorf("valuefn: %T makes directions of x, whose automatic steps are for gradients: set OuterStep",
			m.OuterOptimizer)
	case m.Cosine && (m.InnerStep == 0 || m.OuterStep == 0):
		return fmt.Errorf("valuefn: Cosine is for step sizes that are given: set InnerStep and OuterStep")
	case m.OuterScaling != 0 && m.OuterStep == 0:
		return fmt.Errorf("valuefn: OuterScaling is for a step size that is given: set OuterStep")
	}
	for _, s := range []struct {
		name string
		size float64
	}{{"inner", m.InnerStep}, {"penalised", m.PenalisedStep}, {"outer", m.OuterStep}} {
		if !finite(s.size) {
			return fmt.Errorf("valuefn: the %s step size is %v; it must be positive, or 0 for an automatic one", s.name, s.size)
		}
	}
	return nil
}

// Start begins a run.
func (m MinimaxOPT) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if m.Growth == 0 {
		m.Growth = defaultStageGrowth
	}
	if m.StageSteps == 0 {
		m.StageSteps = defaultStageSteps
	}
	if m.Stages == 0 {
		m.Stages = defaultStages
	}
	if m.PenalisedStep == 0 {
		m.PenalisedStep = m.InnerStep
	}
	if m.Batch == 0 {
		m.Batch = defaultBatch
	}
	c, err := newCore(p, at, seed, m.Batch, m.Shuffle)
	if err != nil {
		return nil, err
	}
	c.draws, c.autoInner, c.autoOuter = 1, m.InnerStep == 0, m.OuterStep == 0
	r := &minimaxRun{core: c, m: m, scale: 1, outerScale: 1, df: make([]float64, len(c.z)), fx: make([]float64, len(c.x))}
	for _, o := range []struct {
		rule *hypergrad.Directions
		dir  *[]float64
		of   hypergrad.Optimizer
		n    int
	}{{&r.ruleU, &r.dir, m.InnerOptimizer, len(r.y)}, {&r.ruleW, &r.dir, m.InnerOptimizer, len(r.z)}, {&r.ruleX, &r.dirX,
		m.OuterOptimizer, len(r.x)}} {
		if o.of == nil {
			continue
		}
		if _, plain := o.of.(hypergrad.GD); plain {
			continue // its direction is the gradient
		}
		if *o.rule, err = o.of.Start(o.n); err != nil {
			return nil, err
		}
		*o.dir = make([]float64, o.n)
	}
	r.first = m.Alpha
	if m.Alpha == 0 || r.autoInner || r.autoOuter {
		a := newAuto(r.core)
		if m.Alpha == 0 {
			r.first = a.multiplier()
			if r.xi.Blocks() == 1 && r.zeta.Blocks() == 1 {
				r.first *= firstMultiple
			}
		}
		r.kappa = r.first
		a.start()
		if r.autoInner || r.autoOuter {
			r.auto = a
		}
	}
	r.kappa = r.first
	return r, nil
}

// minimaxRun is a run with y = u, z = ω and the multiplier κ = α.
type minimaxRun struct {
	*core
	m                   MinimaxOPT
	first               float64   // α₀, which Start finds again
	df, fx              []float64 // ∇f
	stage               int
	scale, outerScale   float64 // of the step sizes in this stage
	ruleU, ruleW, ruleX hypergrad.Directions
	dir, dirX           []float64 // what they give
}

// Step makes one step.
func (r *minimaxRun) Step(ctx context.Context) error {
	cosine := 1.
	if r.m.Cosine {
		s, end := r.t, int64(r.m.Stages)*int64(r.m.StageSteps)
		if s >= end && r.m.Floor == 0 {
			return bilevel.ErrDone
		}
		cosine = r.m.Floor + .5*(1-r.m.Floor)*(1+math.Cos(math.Pi*float64(min(s, end))/float64(end)))
	}
	if i := int(min(r.t/int64(r.m.StageSteps), int64(r.m.Stages-1))); i > r.stage {
		r.enter(i)
	}
	alpha, eta := r.kappa, r.scale*cosine
	bf, wf := r.f.next(r.zeta)
	r.f.grad(r.df, r.fx, r.y, r.x, bf, wf)
	b, w := r.g.next(r.xi)
	r.extra.GradG += int64(b.Len()) // a second time
	if plain := !r.autoInner && r.ruleU == nil && r.m.PenalisedStep == r.m.InnerStep; plain {
		r.g.descend(r.dy, r.dz, r.dx, r.y, r.z, r.x, r.df, r.m.InnerStep*eta*alpha, r.m.InnerStep*eta, b, w)
	} else {
		r.g.pair(r.dy, r.dz, r.dx, r.y, r.z, r.x, b, w)
		r.moveInner(alpha, eta)
	}
	kernel.Axpby(1, r.fx, alpha, r.dx) // ∇x f + α(∇x g(u, x) − ∇x g(ω, x))
	switch step := r.m.OuterStep * r.outerScale * cosine; {
	case r.ruleX == nil:
		r.stepX(step)
	default:
		r.ruleX.Next(r.dirX, r.dx)
		copy(r.dx, r.dirX)
		r.stepX(step)
	}
	r.t++
	if r.auto != nil && r.auto.Due(r.t) {
		r.auto.Look(r.t)
	}
	return nil
}

// enter begins stage i.
func (r *minimaxRun) enter(i int) {
	r.stage = i
	r.scale = math.Pow(r.m.Growth, -float64(i))
	r.outerScale = math.Pow(r.m.Growth, -float64(i)*r.m.OuterScaling)
	r.kappa = r.first * math.Pow(r.m.Growth, float64(i))
	if r.auto != nil {
		r.auto.setSteps()
	}
}

// moveInner steps u and ω from the gradients that pair left.
func (r *minimaxRun) moveInner(alpha, eta float64) {
	u, w, df, du, dw := r.y, r.z, r.df, r.dy, r.dz
	switch {
	case r.autoInner: // one step size for a coordinate of both
		beta := 1 / r.auto.slowness(r.t)
		for i, s := range r.auto.steps {
			u[i] -= beta * s * (df[i]/alpha + du[i])
			w[i] -= beta * s * dw[i]
		}
	case r.ruleU == nil:
		kernel.Axpy(-r.m.PenalisedStep*eta, df, u)
		kernel.Axpy(-r.m.PenalisedStep*eta*alpha, du, u)
		kernel.Axpy(-r.m.InnerStep*eta*alpha, dw, w)
	default:
		kernel.Axpby(1, df, alpha, du)
		r.ruleU.Next(r.dir, du)
		kernel.Axpy(-r.m.PenalisedStep*eta, r.dir, u)
		kernel.Scale(alpha, dw)
		r.ruleW.Next(r.dir, dw)
		kernel.Axpy(-r.m.InnerStep*eta, r.dir, w)
	}
}

// Point is a copy of the current point.
func (r *minimaxRun) Point() bilevel.Point { return r.point(r.z) }

// State lists the run's variables.
func (r *minimaxRun) State(s *bilevel.State) {
	r.core.state(s)
	s.Index(&r.stage, r.m.Stages)
	s.Float(&r.scale)
	s.Float(&r.outerScale)
	for _, rule := range []hypergrad.Directions{r.ruleU, r.ruleW, r.ruleX} {
		if rule != nil {
			rule.State(s)
		}
	}
}
