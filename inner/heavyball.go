package inner

import "github.com/bilevel-go/bilevel"

// HeavyBall is gradient descent with momentum, z⁺ = z − η∇z g(z, x) + β(z − w), w being the z before, as a
// [Dynamics] and as a [Solver].
//
// On a quadratic with eigenvalues in [μ, L] the best pair is η = 4/(√L + √μ)², β = ((√L − √μ)/(√L + √μ))²,
// which converges like √β^k. It is stable there for η < 2(1 + β)/L. A step costs one gradient, its Pull one
// product with ∇²zz g and one with ∇²xz g; Push needs [bilevel.Crosser], or d products. The state is (z, w).
// Memory: 6d numbers.
//
// Polyak, Some methods of speeding up the convergence of iteration methods, 1964, (9).
type HeavyBall struct {
	// Step is η. The default is automatic, as in [GradientDescent].
	Step float64
	// Momentum is β. The default is 0.9.
	Momentum float64
	// Steps, where positive, has a Solver make exactly that many steps, which is success whatever the
	// gradient. Dynamics are told their number of steps elsewhere.
	Steps int
	// MaxIter bounds a Solver's iterations towards a tolerance. The default is 100,000.
	MaxIter int
	// Learned takes steps and momenta from x.
	Learned Learned
}

var (
	_ Dynamics = HeavyBall{}
	_ Solver   = HeavyBall{}
)

// defaultMomentum is that of HeavyBall and Nesterov.
const defaultMomentum = 0.9

func (m HeavyBall) descent() descent {
	if m.Momentum == 0 {
		m.Momentum = defaultMomentum
	}
	return descent{memory: true, step: m.Step, beta: m.Momentum, learned: m.Learned}
}

// Begin is described at [Dynamics].
func (m HeavyBall) Begin(p *bilevel.Problem, counts *bilevel.Counts) (Process, error) {
	return m.descent().begin(p, counts, "HeavyBall")
}

// Start is described at [Solver]. It needs second-order products for the automatic step only.
func (m HeavyBall) Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error) {
	return m.descent().start(g, counts, m.Steps, m.MaxIter)
}
