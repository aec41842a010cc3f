package inner

import "github.com/bilevel-go/bilevel"

// Nesterov is gradient descent with a momentum that looks ahead, y = z + β(z − w), z⁺ = y − η∇z g(y, x), w being
// the z before, as a [Dynamics] and as a [Solver].
//
// With η = 1/L and β = (√L − √μ)/(√L + √μ) it converges like (1 − √(μ/L))^{k/2} where g(·, x) is μ-strongly
// convex with an L-Lipschitz gradient. A step costs one gradient, its Pull one product with ∇²zz g and one with
// ∇²xz g; Push needs [bilevel.Crosser], or d products. The state is (z, w). A Solver with a tolerance returns
// the y at which it was met. Memory: 6d numbers.
//
// Nesterov, Introductory lectures on convex optimization, 2004, (2.2.11).
type Nesterov struct {
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
	_ Dynamics = Nesterov{}
	_ Solver   = Nesterov{}
)

func (m Nesterov) descent() descent {
	if m.Momentum == 0 {
		m.Momentum = defaultMomentum
	}
	return descent{memory: true, ahead: true, step: m.Step, beta: m.Momentum, learned: m.Learned}
}

// Begin is described at [Dynamics].
func (m Nesterov) Begin(p *bilevel.Problem, counts *bilevel.Counts) (Process, error) {
	return m.descent().begin(p, counts, "Nesterov")
}

// Start is described at [Solver]. It needs second-order products for the automatic step only.
func (m Nesterov) Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error) {
	return m.descent().start(g, counts, m.Steps, m.MaxIter)
}
