package inner

import (
	"errors"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/vector"
)

// descent is what [GradientDescent], [HeavyBall] and [Nesterov] have in common, the iteration
//
//	y = z + ν(z − w),   z⁺ = z + β(z − w) − η∇z g(y, x),   w⁺ = z,
//
// with w = z at the start. Without memory there is no w and β = ν = 0; ahead says that ν = β rather than 0.
type descent struct {
	gradientOracle
	memory, ahead bool
	step, beta    float64 // of the configuration
	learned       Learned
	auto          float64   // the automatic step size, 0 for none
	y, vy, vg     []float64 // scratch
}

var (
	_ gradientProcess = (*descent)(nil)
	_ Overlapper      = (*descent)(nil)
)

// newDescent prepares for g; differentiable says whether Pull and Push will be called.
func newDescent(g bilevel.Objective, counts *bilevel.Counts, d descent, differentiable bool) (*descent, error) {
	need := ""
	switch {
	case differentiable:
		need = "differentiating the steps"
	case d.step == 0 && len(d.learned.Step) == 0:
		need = "the automatic step size (set Step)"
	}
	var err error
	if d.gradientOracle, err = newGradientOracle(g, counts, need); err != nil {
		return nil, err
	}
	if !(d.step >= 0) || !finite(d.step) {
		return nil, errors.New("inner: Step is negative or not finite")
	}
	if !finite(d.beta) {
		return nil, errors.New("inner: Momentum is not finite")
	}
	if err := d.learned.check(d.p); err != nil {
		return nil, err
	}
	if !d.memory && len(d.learned.Momentum) > 0 {
		return nil, errors.New("inner: Learned.Momentum is set, and gradient descent has no momentum: " +
			"use HeavyBall or Nesterov")
	}
	n := d.gradientOracle.d
	d.y, d.vy, d.vg = make([]float64, n), make([]float64, n), make([]float64, n)
	return &d, nil
}

func (m *descent) oracles() *gradientOracle { return &m.gradientOracle }

// Overlap is described at [Overlapper].
func (m *descent) Overlap() bool { return m.memory }

// StateLen is described at [Process].
func (m *descent) StateLen() int {
	if m.memory {
		return 2 * m.d
	}
	return m.d
}

// Init is described at [Process].
func (m *descent) Init(s, z, x []float64) error {
	if m.step == 0 && len(m.learned.Step) == 0 {
		var err error
		if m.auto, err = m.autoStep(z, x, m.y); err != nil {
			return err
		}
	}
	m.restart(s, z)
	return nil
}

func (m *descent) restart(s, z []float64) {
	copy(s, z)
	if m.memory {
		copy(s[m.d:], z)
	}
}

func (m *descent) halve() bool {
	m.auto /= 2
	return m.auto > 0
}

func (m *descent) eta(x []float64, k int) float64 {
	return learnedOr(m.learned.Step, x, k, max(m.step, m.auto))
}

// momentum is β of step k.
func (m *descent) momentum(x []float64, k int) float64 {
	if !m.memory {
		return 0
	}
	return learnedOr(m.learned.Momentum, x, k, m.beta)
}

// previous is w, z itself where there is none.
func (m *descent) previous(s []float64) []float64 {
	if m.memory {
		return s[m.d : 2*m.d]
	}
	return s[:m.d]
}

func (m *descent) point(s, x []float64, k int) []float64 {
	z := s[:m.d]
	if !m.ahead {
		return z
	}
	beta, w := m.momentum(x, k), m.previous(s)
	for i, zi := range z {
		m.y[i] = zi + beta*(zi-w[i]) // y = z + β(z − w)
	}
	return m.y
}

func (m *descent) apply(dst, s, x, grad []float64, k int) {
	eta, beta := m.eta(x, k), m.momentum(x, k)
	z := s[:m.d]
	if !m.memory {
		vector.AddScaledTo(dst[:m.d], z, -eta, grad) // z⁺ = z − η∇g(z)
		return
	}
	// z⁺ = z + β(z − w) − η∇g(y), w⁺ = z
	vector.Momentum(dst[:m.d], dst[m.d:2*m.d], z, m.previous(s), grad, eta, beta)
}

// Step is described at [Process].
func (m *descent) Step(dst, s, x []float64, k int) {
	m.gradient(m.grad, m.point(s, x, k), x)
	m.apply(dst, s, x, m.grad, k)
}

// Pull is described at [Process].
func (m *descent) Pull(us, ux, s, x, u []float64, k int) {
	eta, beta := m.eta(x, k), m.momentum(x, k)
	step, momentum := place(m.learned.Step, k), place(m.learned.Momentum, k)
	d := m.d
	z, w, u1 := s[:d], m.previous(s), u[:d]
	y := m.point(s, x, k)
	var grad, hv []float64
	if ux != nil && step >= 0 {
		grad = m.grad
	}
	if us != nil || m.ahead && momentum >= 0 {
		hv = m.vg
	}
	m.products(grad, hv, ux, y, x, u1)
	for j := range ux {
		ux[j] *= -eta // −η∇²xz g·u
	}
	for i, g := range grad {
		ux[step] -= g * u1[i] // ∂η: −⟨∇g(y), u⟩
	}
	if ux != nil && momentum >= 0 {
		for i, ui := range u1 {
			if m.ahead {
				ui -= eta * hv[i]
			}
			ux[momentum] += (z[i] - w[i]) * ui // ∂β: ⟨z − w, u⟩, or ⟨z − w, (I − ηH)u⟩
		}
	}
	if us == nil {
		return
	}
	switch {
	case !m.memory:
		vector.AddScaledTo(us[:d], u1, -eta, hv) // (I − ηH)u
	case m.ahead:
		for i, ui := range u1 {
			ui -= eta * hv[i]
			us[i] = (1+beta)*ui + u[d+i]
			us[d+i] = -beta * ui
		}
	default:
		vector.MomentumPull(us[:d], us[d:2*d], u1, u[d:2*d], hv, eta, beta)
	}
}

// Push is described at [Process].
func (m *descent) Push(dst, s, x, vs, vx []float64, k int) error {
	eta, beta := m.eta(x, k), m.momentum(x, k)
	d := m.d
	z, w := s[:d], m.previous(s)
	y := m.point(s, x, k)
	var dEta, dBeta float64 // tangents of η and β
	if vx != nil {
		if j := place(m.learned.Step, k); j >= 0 {
			dEta = vx[j]
		}
		if j := place(m.learned.Momentum, k); j >= 0 {
			dBeta = vx[j]
		}
	}
	// The tangents of z + β(z − w), in dst, and of y.
	for i := range d {
		vz, vw := 0.0, 0.0
		if vs != nil {
			vz = vs[i]
			vw = vz
			if m.memory {
				vw = vs[d+i]
				dst[d+i] = vz
			}
		} else if m.memory {
			dst[d+i] = 0
		}
		dst[i] = vz + beta*(vz-vw) + dBeta*(z[i]-w[i])
		m.vy[i] = vz
		if m.ahead {
			m.vy[i] = dst[i]
		}
	}
	if vs != nil || m.ahead && dBeta != 0 {
		var grad []float64
		if dEta != 0 {
			grad = m.grad
		}
		m.products(grad, m.vg, nil, y, x, m.vy)
		for i, h := range m.vg {
			dst[i] -= eta * h // −ηH·vy
		}
	} else if dEta != 0 {
		m.gradient(m.grad, y, x)
	}
	if dEta != 0 {
		for i, g := range m.grad {
			dst[i] -= dEta * g // −dη·∇g(y)
		}
	}
	if vx != nil {
		m.cross(m.vg, y, x, vx)
		for i, c := range m.vg {
			dst[i] -= eta * c // −η∇²zx g·vx
		}
	}
	return nil
}

// begin is Begin of the configuration m, which has this name.
func (m descent) begin(p *bilevel.Problem, counts *bilevel.Counts, name string) (Process, error) {
	g, err := needInner(p, name)
	if err != nil {
		return nil, err
	}
	d, err := newDescent(g, counts, m, true)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// start is Start of the configuration m.
func (m descent) start(g bilevel.Objective, counts *bilevel.Counts, steps, maxIter int) (Minimizer, error) {
	if err := checkSteps(steps); err != nil {
		return nil, err
	}
	p, err := newDescent(g, counts, m, false)
	if err != nil {
		return nil, err
	}
	return newStepper(p, steps, maxIter), nil
}
