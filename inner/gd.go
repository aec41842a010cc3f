package inner

import "github.com/bilevel-go/bilevel"

// GradientDescent is z⁺ = z − η∇z g(z, x), as a [Dynamics] and as a [Solver].
//
// With a step η = 1/L it converges like (1 − μ/L)^k where g(·, x) is μ-strongly convex with an L-Lipschitz
// gradient. A step costs one gradient, its Pull one product with ∇²zz g and one with ∇²xz g; Push needs
// [bilevel.Crosser], or d products. Memory: 5d numbers.
type GradientDescent struct {
	// Step is η. The default is 1/L, with L = ‖∇²zz g‖₂ at the start of the inner problem estimated by 12
	// products. A Solver with a tolerance halves that, and starts again from its best point, where g rises above
	// its value at the start or has more curvature along the way.
	Step float64
	// Steps, where positive, has a Solver make exactly that many steps, which is success whatever the
	// gradient. Dynamics are told their number of steps elsewhere.
	Steps int
	// MaxIter bounds a Solver's iterations towards a tolerance. The default is 100,000.
	MaxIter int
	// Learned takes steps from x.
	Learned Learned
}

var (
	_ Dynamics = GradientDescent{}
	_ Solver   = GradientDescent{}
)

func (m GradientDescent) descent() descent {
	return descent{step: m.Step, learned: m.Learned}
}

// Begin is described at [Dynamics].
func (m GradientDescent) Begin(p *bilevel.Problem, counts *bilevel.Counts) (Process, error) {
	return m.descent().begin(p, counts, "GradientDescent")
}

// Start is described at [Solver]. It needs second-order products for the automatic step only.
func (m GradientDescent) Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error) {
	return m.descent().start(g, counts, m.Steps, m.MaxIter)
}
