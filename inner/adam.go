package inner

import (
	"errors"
	"math"

	"github.com/bilevel-go/bilevel"
)

// Adam is gradient descent with a momentum and a step size of its own for each entry of z, as a [Dynamics] and
// as a [Solver]: with g = ∇z g(z, x) and entry by entry,
//
//	m⁺ = β₁m + (1 − β₁)g,   r⁺ = β₂r + (1 − β₂)g²,
//	z⁺ = z − η m̂/(√r̂ + ε),  m̂ = m⁺/(1 − β₁^k),  r̂ = r⁺/(1 − β₂^k).
//
// It is for iterative differentiation: its fixed points are those of g, but the derivative of Φ_k at them is not
// the one that the adjoint system asks for, and with a constant step it need not converge, so that a Solver with
// a tolerance may fail. Where r̂ is zero, and with it every gradient so far, the derivative of √r̂ is taken as
// zero. A step costs one gradient, its Pull one more, one product with ∇²zz g and one with ∇²xz g; Push needs
// [bilevel.Crosser], or d products. The state is (z, m, r). Memory: 8d numbers.
//
// Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
type Adam struct {
	// Step is η, about the length of a step in each entry of z. The default is 0.001.
	Step float64
	// Beta1 and Beta2 are β₁ and β₂. The defaults are 0.9 and 0.999.
	Beta1, Beta2 float64
	// Epsilon is ε. The default is 1e-8.
	Epsilon float64
	// Steps, where positive, has a Solver make exactly that many steps, which is success whatever the
	// gradient. Dynamics are told their number of steps elsewhere.
	Steps int
	// MaxIter bounds a Solver's iterations towards a tolerance. The default is 100,000.
	MaxIter int
	// Learned takes steps from x.
	Learned Learned
}

var (
	_ Dynamics = Adam{}
	_ Solver   = Adam{}
)

// Begin is described at [Dynamics].
func (m Adam) Begin(p *bilevel.Problem, counts *bilevel.Counts) (Process, error) {
	g, err := needInner(p, "Adam")
	if err != nil {
		return nil, err
	}
	a, err := m.process(g, counts, "differentiating the steps")
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Start is described at [Solver]. It needs first derivatives only.
func (m Adam) Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error) {
	if err := checkSteps(m.Steps); err != nil {
		return nil, err
	}
	a, err := m.process(g, counts, "")
	if err != nil {
		return nil, err
	}
	return newStepper(a, m.Steps, m.MaxIter), nil
}

func (m Adam) process(g bilevel.Objective, counts *bilevel.Counts, need string) (*adam, error) {
	for _, c := range []struct {
		field *float64
		value float64
	}{{&m.Step, 1e-3}, {&m.Beta1, 0.9}, {&m.Beta2, 0.999}, {&m.Epsilon, 1e-8}} {
		if *c.field == 0 {
			*c.field = c.value
		}
		if !(*c.field > 0) || !finite(*c.field) {
			return nil, errors.New("inner: Adam's Step, Beta1, Beta2 and Epsilon are positive and finite")
		}
	}
	if m.Beta1 >= 1 || m.Beta2 >= 1 {
		return nil, errors.New("inner: Adam's Beta1 and Beta2 are below 1")
	}
	if len(m.Learned.Momentum) > 0 {
		return nil, errors.New("inner: Learned.Momentum is set, which Adam does not take: use HeavyBall or Nesterov")
	}
	a := &adam{step: m.Step, beta1: m.Beta1, beta2: m.Beta2, epsilon: m.Epsilon, learned: m.Learned}
	var err error
	if a.gradientOracle, err = newGradientOracle(g, counts, need); err != nil {
		return nil, err
	}
	if err := m.Learned.check(a.p); err != nil {
		return nil, err
	}
	a.dg, a.hv = make([]float64, a.d), make([]float64, a.d)
	return a, nil
}

// adam is the process.
type adam struct {
	gradientOracle
	step, beta1, beta2, epsilon float64
	learned                     Learned
	dg, hv                      []float64 // scratch
}

var _ gradientProcess = (*adam)(nil)

func (m *adam) oracles() *gradientOracle { return &m.gradientOracle }

// StateLen is described at [Process].
func (m *adam) StateLen() int { return 3 * m.d }

// Init is described at [Process].
func (m *adam) Init(s, z, _ []float64) error {
	m.restart(s, z)
	return nil
}

func (m *adam) restart(s, z []float64) {
	clear(s)
	copy(s, z)
}

func (m *adam) halve() bool { return false }

func (m *adam) eta(x []float64, k int) float64 { return learnedOr(m.learned.Step, x, k, m.step) }

func (m *adam) point(s, _ []float64, _ int) []float64 { return s[:m.d] }

// corrections are 1 − β₁^k and 1 − β₂^k.
func (m *adam) corrections(k int) (c1, c2 float64) {
	return 1 - math.Pow(m.beta1, float64(k)), 1 - math.Pow(m.beta2, float64(k))
}

// moments are m⁺ and r⁺ of entry i.
func (m *adam) moments(s []float64, i int, g float64) (m1, r1 float64) {
	return m.beta1*s[m.d+i] + (1-m.beta1)*g, m.beta2*s[2*m.d+i] + (1-m.beta2)*g*g
}

func (m *adam) apply(dst, s, x, grad []float64, k int) {
	eta := m.eta(x, k)
	c1, c2 := m.corrections(k)
	for i, g := range grad {
		m1, r1 := m.moments(s, i, g)
		dst[i] = s[i] - eta*(m1/c1)/(math.Sqrt(r1/c2)+m.epsilon) // z⁺ = z − η m̂/(√r̂ + ε)
		dst[m.d+i], dst[2*m.d+i] = m1, r1
	}
}

// Step is described at [Process].
func (m *adam) Step(dst, s, x []float64, k int) {
	m.gradient(m.grad, s[:m.d], x)
	m.apply(dst, s, x, m.grad, k)
}

// slopes are m̂/(√r̂ + ε) of entry i, the direction, and its derivatives with respect to m⁺ and to r⁺.
func (m *adam) slopes(m1, r1, c1, c2 float64) (dir, dm, dr float64) {
	root := math.Sqrt(r1 / c2)
	dm = 1 / (c1 * (root + m.epsilon))
	dir = m1 * dm
	if root > 0 {
		dr = -dir / (root + m.epsilon) / (2 * root * c2)
	}
	return dir, dm, dr
}

// Pull is described at [Process].
func (m *adam) Pull(us, ux, s, x, u []float64, k int) {
	eta := m.eta(x, k)
	c1, c2 := m.corrections(k)
	step := place(m.learned.Step, k)
	d, z := m.d, s[:m.d]
	m.gradient(m.grad, z, x)
	along := 0.0 // ⟨m̂/(√r̂ + ε), u⟩
	for i, g := range m.grad {
		m1, r1 := m.moments(s, i, g)
		dir, dm, dr := m.slopes(m1, r1, c1, c2)
		along += dir * u[i]
		um := u[d+i] - eta*dm*u[i]   // with respect to m⁺
		ur := u[2*d+i] - eta*dr*u[i] // with respect to r⁺
		m.dg[i] = (1-m.beta1)*um + 2*(1-m.beta2)*g*ur
		if us != nil {
			us[d+i], us[2*d+i] = m.beta1*um, m.beta2*ur
		}
	}
	var hv []float64
	if us != nil {
		hv = us[:d]
	}
	m.products(nil, hv, ux, z, x, m.dg)
	for i := range hv {
		hv[i] += u[i] // u + ∇²zz g·(derivative with respect to ∇z g)
	}
	if ux != nil && step >= 0 {
		ux[step] -= along
	}
}

// Push is described at [Process].
func (m *adam) Push(dst, s, x, vs, vx []float64, k int) error {
	eta := m.eta(x, k)
	c1, c2 := m.corrections(k)
	d, z := m.d, s[:m.d]
	dEta := 0.0
	if step := place(m.learned.Step, k); vx != nil && step >= 0 {
		dEta = vx[step]
	}
	// dg = ∇²zz g·vz + ∇²zx g·vx
	clear(m.dg)
	if vx != nil {
		m.cross(m.dg, z, x, vx)
	}
	if vs == nil {
		m.gradient(m.grad, z, x)
		clear(dst)
	} else {
		m.products(m.grad, m.hv, nil, z, x, vs[:d])
		for i, h := range m.hv {
			m.dg[i] += h
		}
		copy(dst, vs)
	}
	for i, g := range m.grad {
		m1, r1 := m.moments(s, i, g)
		dir, dm, dr := m.slopes(m1, r1, c1, c2)
		vm := m.beta1*dst[d+i] + (1-m.beta1)*m.dg[i]
		vr := m.beta2*dst[2*d+i] + 2*(1-m.beta2)*g*m.dg[i]
		dst[d+i], dst[2*d+i] = vm, vr
		dst[i] -= eta*(dm*vm+dr*vr) + dEta*dir
	}
	return nil
}
