package valuefn

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/stochastic"
)

// VPBGD is the value-function penalty method. Step k = 1, 2, … solves the inner problem, warm started, for ω by
// gradient descent, and then descends along the gradient of the penalised problem in u and x at once,
//
//	ω −= β_k ∇z g(ω, x),   several times,
//	u −= β_k min(1/γ_k, 1) (∇z f(u, x) + γ_k ∇z g(u, x)),
//	x = P(x − α_k min(1/γ_k, 1) (∇x f(u, x) + γ_k (∇x g(u, x) − ∇x g(ω, x)))),
//
// where the penalty γ_k grows linearly from 0 to Gamma in the first Ramp steps.
//
// It assumes an inner objective that is strongly convex in z or at least satisfies the Polyak-Łojasiewicz inequality,
// and asks for nothing but gradients, of all samples. Vectors have length d (u, ω) and p (x). Both u and ω start at the
// start point's z; the z of the run's points is ω, which minimises g, and their v is nil. An inner solve ends where
// ‖∇z g(ω, x)‖ ≤ Tol, or after InnerSteps steps: what it leaves is an error of γ‖ω − z*‖ in the direction of x. A step
// visits the samples of g once for each inner gradient and twice more, and those of f once. Memory beside the point is
// 4d + 3p numbers, with automatic steps 9d + 10p more, and d + p for each level with a part that is not sampled.
//
// x ends within O(1/Gamma) of a stationary point of h. Automatic steps look at gradients alone, as those of [F2SA] do,
// and scale with γ by rules of their own.
//
// Shen, Chen, "On penalty-based bilevel gradient descent method", ICML 2023, Algorithm 1 (V-PBGD), with a penalty that
// grows; the tolerance of the inner solves, and steps for u and x that may differ, are added.
type VPBGD struct {
	// Gamma is the penalty of the steps after the first Ramp ones; 0 means automatic, 100 times the ratio of the
	// smoothness of f to that of g at the start.
	Gamma float64
	// Ramp is the number of steps in which the penalty grows; 0 means 500, or 3,000 with automatic steps.
	Ramp int
	// InnerSteps is the largest number of steps of ω for each one of x; 0 means 100, or 10 with
	// automatic steps.
	InnerSteps int
	// Tol is the norm of ∇z g(ω, x) that ends an inner solve; 0 means automatic, a hundredth of ‖∇z f(u, x)‖/γ, which is
	// what ‖∇z g(u, x)‖ comes to.
	Tol float64
	// InnerStep is the step size β_k of ω, which is that of u too, and OuterStep the step size α_k of x; zero means
	// automatic.
	InnerStep, OuterStep stochastic.Rate
}

var _ bilevel.Method = VPBGD{}

const (
	penaltyMultiple   = 10. / 3 // Gamma, relative to the automatic multiplier of F2SA
	defaultRamp       = 500
	defaultSolveSteps = 100
	autoRamp          = 3000 // the same with automatic steps, which let x go far while the penalty is small
	autoSolveSteps    = 10
	solveTol          = 0.01
)

func (m VPBGD) check() error {
	switch {
	case m.Ramp < 0:
		return fmt.Errorf("valuefn: a penalty that grows in %d steps", m.Ramp)
	case m.InnerSteps < 0:
		return fmt.Errorf("valuefn: %d inner steps", m.InnerSteps)
	case !(m.Gamma >= 0) || math.IsInf(m.Gamma, 0):
		return fmt.Errorf("valuefn: the penalty γ is %v; it must be positive, or 0 for an automatic one", m.Gamma)
	case !(m.Tol >= 0) || math.IsInf(m.Tol, 0):
		return fmt.Errorf("valuefn: the tolerance of inner solves is %v; it must be positive, or 0 for an automatic one",
			m.Tol)
	}
	if err := m.InnerStep.Check("inner"); err != nil {
		return err
	}
	return m.OuterStep.Check("outer")
}

// Start begins a run.
func (m VPBGD) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	ramp, solveSteps := defaultRamp, defaultSolveSteps
	if m.InnerStep.Auto() || m.OuterStep.Auto() {
		ramp, solveSteps = autoRamp, autoSolveSteps
	}
	m.Ramp, m.InnerSteps = cmp.Or(m.Ramp, ramp), cmp.Or(m.InnerSteps, solveSteps)
	c, err := newCore(p, at, seed, math.MaxInt, false)
	if err != nil {
		return nil, err
	}
	c.draws, c.solves, c.autoInner, c.autoOuter = 1, true, m.InnerStep.Auto(), m.OuterStep.Auto()
	r := &vpbgdRun{core: c, m: m, last: m.Gamma, df: make([]float64, len(c.z)), fx: make([]float64, len(c.x)),
		gx: make([]float64, len(c.x))}
	if m.Gamma == 0 || r.autoInner || r.autoOuter {
		a := newAuto(r.core)
		if m.Gamma == 0 {
			r.last = penaltyMultiple * a.multiplier()
		}
		r.setPenalty()
		a.start()
		if r.autoInner || r.autoOuter {
			r.auto = a
		}
	}
	return r, nil
}

// vpbgdRun is a run with y = u, z = ω and the multiplier κ = γ.
type vpbgdRun struct {
	*core
	m      VPBGD
	df, fx []float64 // ∇f
	gx     []float64 // ∇x g(ω, x)
	last   float64   // γ after the first steps
	slope  float64   // ‖∇z f(u, x)‖ at the last step
}

// setPenalty sets γ for the step to come.
func (r *vpbgdRun) setPenalty() {
	r.kappa = r.last * min(1, float64(r.t+1)/float64(r.m.Ramp))
}

// Step makes one step.
func (r *vpbgdRun) Step(ctx context.Context) error {
	t := r.t + 1
	r.setPenalty()
	gamma := r.kappa
	allG, allF := bilevel.All(r.g.Whole), bilevel.All(r.f.Whole)
	if err := r.solve(ctx, allG); err != nil {
		return err
	}

	r.g.grad(r.dy, r.dx, r.y, r.x, allG, 1)
	r.g.grad(nil, r.gx, r.z, r.x, allG, 1)
	r.extra.GradG += 2 * int64(allG.Len())
	r.f.grad(r.df, r.fx, r.y, r.x, allF, 1)
	r.extra.GradF += int64(allF.Len())
	r.slope = norm(r.df)
	kernel.Axpy(-1, r.gx, r.dx)
	kernel.Axpby(1, r.fx, gamma, r.dx) // ∇x f + γ(∇x g(u, x) − ∇x g(ω, x))
	kernel.Axpby(1, r.df, gamma, r.dy) // ∇z f + γ∇z g

	share := min(1/gamma, 1)
	if r.autoInner {
		for i, s := range r.auto.steps { // they allow for f/γ
			r.y[i] -= s / gamma * r.dy[i]
		}
	} else {
		kernel.Axpy(-r.m.InnerStep.At(t)*share, r.dy, r.y)
	}
	r.stepX(r.m.OuterStep.At(t) * share)
	r.t = t
	if r.auto != nil && r.auto.Due(t) {
		r.auto.Look(r.t)
	}
	return nil
}

// solve moves ω towards the minimiser of g.
func (r *vpbgdRun) solve(ctx context.Context, all bilevel.Batch) error {
	tol := r.m.Tol
	if tol == 0 {
		tol = solveTol * r.slope / r.kappa
	}
	for range r.m.InnerSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.g.grad(r.dz, nil, r.z, r.x, all, 1)
		r.extra.GradG += int64(all.Len())
		if norm(r.dz) <= tol {
			return nil
		}
		if !r.autoInner {
			kernel.Axpy(-r.m.InnerStep.At(r.t+1), r.dz, r.z)
			continue
		}
		r.auto.approach(r.z, r.dz, 1)
	}
	return nil
}

// Point is a copy of the current point.
func (r *vpbgdRun) Point() bilevel.Point { return r.point(r.z) }

// State lists the run's variables.
func (r *vpbgdRun) State(s *bilevel.State) {
	r.core.state(s)
	s.Float(&r.slope)
}
