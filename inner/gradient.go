package inner

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/power"
	"gonum.org/v1/gonum/floats"
)

// gradientOracle gives the derivatives of g that processes of an inner objective need, over all samples.
type gradientOracle struct {
	oracle
	second bilevel.SecondOrder // nil: g has first derivatives only
	d, p   int
	grad   []float64
}

// newGradientOracle prepares for an inner objective; second says whether products are needed, by what.
func newGradientOracle(g bilevel.Objective, counts *bilevel.Counts, need string) (gradientOracle, error) {
	if err := bilevel.NeedFirstOrder(g); err != nil {
		return gradientOracle{}, err
	}
	second, err := bilevel.NeedSecondOrder(g)
	if err != nil && need != "" {
		return gradientOracle{}, fmt.Errorf("inner: %s: %w", need, err)
	}
	o := gradientOracle{oracle: newOracle(g, counts), second: second}
	o.d, o.p = g.Dims()
	o.grad = make([]float64, o.d)
	return o, nil
}

// gradient overwrites dz = ∇z g.
func (o *gradientOracle) gradient(dz, z, x []float64) {
	o.counts.GradG += int64(o.all.Len())
	o.g.Grad(dz, nil, z, x, o.all)
}

// products overwrites dz = ∇z g, hv = ∇²zz g·v and cv = ∇²xz g·v, those that are not nil.
func (o *gradientOracle) products(dz, hv, cv, z, x, v []float64) {
	n := int64(o.all.Len())
	if dz != nil {
		o.counts.GradG += n
	}
	if hv != nil {
		o.counts.HessG += n
	}
	if cv != nil {
		o.counts.CrossG += n
	}
	if dz != nil || hv != nil || cv != nil {
		o.second.Products(dz, hv, cv, z, x, v, o.all)
	}
}

// cross overwrites dz = ∇²zx g·w.
func (o *gradientOracle) cross(dz, z, x, w []float64) {
	products := bilevel.Cross(o.second, dz, z, x, w, o.all)
	o.counts.CrossG += int64(products) * int64(o.all.Len())
}

// Power iterations for the automatic step: their number, and the factor that makes up for L being approached
// from below.
const (
	powerIterations = 12
	powerSafety     = 1.1
)

// autoStep is 1/L, L an estimate of ‖∇²zz g(z, x)‖₂ by power iterations. v is scratch of length d.
func (o *gradientOracle) autoStep(z, x, v []float64) (float64, error) {
	clear(v)
	norm := power.Largest(v, o.grad, powerIterations, 0, func(dst, v []float64) { o.products(nil, dst, nil, z, x, v) })
	if !finite(norm) || norm == 0 {
		return 0, fmt.Errorf("inner: no automatic step size: ‖∇²zz g‖ = %v at the start of the inner problem: set Step",
			norm)
	}
	return 1 / (powerSafety * norm), nil
}

// gradientProcess is a [Process] whose step k needs one gradient of g, so that a minimiser can look at it first.
type gradientProcess interface {
	Process
	oracles() *gradientOracle
	// restart is Init with what it settled left as it is.
	restart(s, z []float64)
	// point is where step k takes the gradient: s[:d] or scratch.
	point(s, x []float64, k int) []float64
	// apply is Step with the gradient given.
	apply(dst, s, x, grad []float64, k int)
	// eta is the size of step k.
	eta(x []float64, k int) float64
	// halve halves an automatic step size, and says whether there is one.
	halve() bool
}

// defaultMaxIter bounds first-order iterations towards a tolerance.
const defaultMaxIter = 100000

// stepper is the [Minimizer] of a gradientProcess.
type stepper struct {
	p              gradientProcess
	o              *gradientOracle
	steps, maxIter int
	s              []float64
	at, last, best iterate
}

var _ Minimizer = (*stepper)(nil)

func newStepper(p gradientProcess, steps, maxIter int) *stepper {
	if maxIter <= 0 {
		maxIter = defaultMaxIter
	}
	o := p.oracles()
	return &stepper{
		p: p, o: o, steps: steps, maxIter: maxIter, s: make([]float64, p.StateLen()),
		at: newIterate(o.d), last: newIterate(o.d), best: newIterate(o.d),
	}
}

// checkSteps reports a negative number of steps.
func checkSteps(steps int) error {
	if steps < 0 {
		return fmt.Errorf("inner: Steps = %d is negative", steps)
	}
	return nil
}

// stalled is how many iterations without a smaller gradient it takes to put the rest down to rounding.
const stalled = 200

// tooCurved is how large ηL may be with an automatic step η, which aims at one. Nesterov's method is stable up to
// 4/3 whatever its momentum.
const tooCurved = 1.25

// Minimize is described at [Minimizer].
func (m *stepper) Minimize(ctx context.Context, z, x []float64, tol float64) (Result, error) {
	if len(z) != m.o.d {
		panic("inner: z has the wrong length")
	}
	m.o.x = x
	if m.steps > 0 {
		return m.exactly(ctx, z, x)
	}
	if err := m.p.Init(m.s, z, x); err != nil {
		copy(m.at.z, z)
		if m.o.eval(&m.at); !m.at.finite() {
			err = &NonFiniteError{m.at.value, m.at.norm}
		}
		return Result{Value: m.at.value, GradNorm: m.at.norm}, err
	}
	eta := m.p.eta(x, 1) // the length of step to tell rounding by, before it is halved
	halvings := 0
	var res Result
	var reason string
	m.best.norm = math.Inf(1)
	found := 0        // iteration that found best
	var start float64 // g where the steps began
	for k := 1; ; k++ {
		if err := ctx.Err(); err != nil {
			return res, err
		}
		copy(m.at.z, m.p.point(m.s, x, k))
		m.o.eval(&m.at)
		if res.Iterations == 0 && !m.at.finite() {
			return Result{Value: m.at.value, GradNorm: m.at.norm}, &NonFiniteError{m.at.value, m.at.norm}
		}
		if m.at.finite() && m.at.norm < m.best.norm {
			m.best.copy(&m.at)
			found = res.Iterations
		}
		if m.best.norm <= tol {
			break
		}
		if res.Iterations >= m.maxIter {
			reason = "the iteration limit"
			break
		}
		res.Iterations++
		atRest := atRounding(&m.at, eta*m.at.norm*m.at.norm/2)
		if atRest && res.Iterations-found > stalled {
			res.Rounding = true
			break
		}
		if k == 1 {
			start = m.at.value
		}
		tooLong := !m.at.finite() || m.at.value > start+noise(start) || k > 1 && m.p.eta(x, k)*m.curvature() > tooCurved
		if tooLong && !atRest && m.p.halve() {
			if halvings++; halvings > 60 {
				reason = "no step along the gradient lowers g"
				break
			}
			m.p.restart(m.s, m.best.z)
			k = 0
			continue
		}
		if !m.at.finite() {
			reason = "the iteration diverges: lower Step"
			break
		}
		m.p.apply(m.s, m.s, x, m.at.grad, k)
		m.at, m.last = m.last, m.at
	}
	copy(z, m.best.z)
	res.Value, res.GradNorm, res.Grad = m.best.value, m.best.norm, m.best.grad
	res.Converged = res.GradNorm <= tol
	if res.Converged || res.Rounding {
		return res, nil
	}
	return res, &NotConvergedError{Iterations: res.Iterations, GradNorm: res.GradNorm, Tol: tol, Reason: reason}
}

// curvature is that of g between the last two gradients, which L bounds.
func (m *stepper) curvature() float64 {
	return floats.Distance(m.at.grad, m.last.grad, 2) / floats.Distance(m.at.z, m.last.z, 2)
}

// exactly makes the number of steps that was asked for.
func (m *stepper) exactly(ctx context.Context, z, x []float64) (Result, error) {
	copy(m.at.z, z)
	if err := Iterate(ctx, m.p, m.s, m.at.z, x, m.steps); err != nil {
		return Result{}, err
	}
	m.o.eval(&m.at)
	res := Result{Iterations: m.steps, Value: m.at.value, GradNorm: m.at.norm, Grad: m.at.grad, Converged: true}
	if !m.at.finite() {
		res.Converged = false
		return res, &NotConvergedError{Iterations: m.steps, GradNorm: m.at.norm, Reason: "the iteration diverges: lower Step"}
	}
	copy(z, m.at.z)
	return res, nil
}

// needInner returns the inner objective of p.
func needInner(p *bilevel.Problem, what string) (bilevel.Objective, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Inner == nil {
		return nil, errors.New("inner: " + what + " needs an inner objective (Problem.Inner), " +
			"and this problem has a fixed-point map: use Iteration")
	}
	return p.Inner, nil
}
