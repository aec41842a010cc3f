package hypergrad

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// memory holds the pairs of projected L-BFGS on a box.
type memory struct {
	lower, upper []float64 // nil: no bound
	s, y         [][]float64
	next, stored int // s and y are a ring of pairs: the place of the next one, and how many there are

	scratch []float64
	free    []bool
	a, sy   []float64
	delta   float64 // Δ, the length that a variable's own step should not exceed
}

func newMemory(p *bilevel.Problem, n, pairs int) memory {
	m := memory{
		lower: p.Lower, upper: p.Upper,
		s: make([][]float64, pairs), y: make([][]float64, pairs),
		scratch: make([]float64, n), free: make([]bool, n), a: make([]float64, pairs), sy: make([]float64, pairs),
	}
	m.reset()
	for i := range m.s {
		m.s[i], m.y[i] = make([]float64, n), make([]float64, n)
	}
	return m
}

// reset forgets the pairs.
func (m *memory) reset() {
	m.stored = 0
	m.delta = 3 // a factor of 20 in a strength eˣ
}

// add stores s = x⁺ − x and y = ∇h(x⁺) − ∇h(x), unless there is no curvature along s.
func (m *memory) add(x1, x0, g1, g0 []float64) {
	s, y := m.s[m.next], m.y[m.next]
	floats.SubTo(s, x1, x0)
	floats.SubTo(y, g1, g0)
	if !(floats.Dot(s, y) > 1e-10*floats.Norm(s, 2)*floats.Norm(y, 2)) {
		return
	}
	m.next = (m.next + 1) % len(m.s)
	m.stored = min(m.stored+1, len(m.s))
}

// spectral is sᵀs/sᵀy of the newest pair, or 0.
func (m *memory) spectral() float64 {
	if m.stored == 0 {
		return 0
	}
	i := m.index(1)
	return floats.Dot(m.s[i], m.s[i]) / floats.Dot(m.s[i], m.y[i])
}

// direction sets dir. Variables next to a bound that the gradient pushes them against go onto it;
// the others follow −H∇h with H the L-BFGS matrix of the pairs restricted to them.
func (m *memory) direction(dir, x, grad []float64) {
	const nextTo = 1e-8
	for j, g := range grad {
		m.free[j] = true
		dir[j] = -g
		if m.lower != nil && g > 0 && x[j] <= m.lower[j]+nextTo*max(1, math.Abs(m.lower[j])) {
			m.free[j], dir[j] = false, 0
		}
		if m.upper != nil && g < 0 && x[j] >= m.upper[j]-nextTo*max(1, math.Abs(m.upper[j])) {
			m.free[j], dir[j] = false, 0
		}
	}
	gamma := 0.0                     // H₀ = sᵀy/yᵀy of the newest pair
	for i := 1; i <= m.stored; i++ { // newest first
		k := m.index(i)
		s, y := m.s[k], m.y[k]
		var sy, ss, yy, sd float64
		for j, free := range m.free {
			if free {
				sy += s[j] * y[j]
				ss += s[j] * s[j]
				yy += y[j] * y[j]
				sd += s[j] * dir[j]
			}
		}
		m.sy[k] = 0 // left out: no curvature in the free variables
		if !(sy > 1e-10*math.Sqrt(ss)*math.Sqrt(yy)) {
			continue
		}
		m.sy[k], m.a[k] = sy, sd/sy
		if gamma == 0 {
			gamma = sy / yy
		}
		m.addFree(dir, -m.a[k], y)
	}
	m.scale(dir, grad, gamma)
	for i := m.stored; i >= 1; i-- {
		k := m.index(i)
		if m.sy[k] == 0 {
			continue
		}
		yd := 0.0
		for j, free := range m.free {
			if free {
				yd += m.y[k][j] * dir[j]
			}
		}
		m.addFree(dir, m.a[k]-yd/m.sy[k], m.s[k])
	}
	for j, free := range m.free {
		if !free && grad[j] > 0 {
			dir[j] = m.lower[j] - x[j]
		} else if !free {
			dir[j] = m.upper[j] - x[j]
		}
	}
}

// mostRatio is the largest factor between an entry of the initial matrix and the scalar γ = sᵀy/yᵀy; at the start,
// between it and the entry of the largest gradient.
const mostRatio = 1e4

// scale multiplies dir by the initial matrix of the recursion, which is diagonal:
//
//	H₀ = diag(1/max(|∇h_j|/Δ, |y_j|/|s_j|))
//
// with the last three pairs' root mean squares of s_j and y_j. Strengths enter as e^{x_j}, so that the
// curvature of h fades together with its gradient where x_j is far out; there a scalar γ makes no progress,
// and a secant of the variable's own or, at first, a step of about Δ does.
func (m *memory) scale(dir, grad []float64, gamma float64) {
	top := 0.0
	for j, free := range m.free {
		if free {
			top = max(top, math.Abs(grad[j]))
		}
	}
	for j, g := range grad {
		curvature := max(math.Abs(g), top/mostRatio) / m.delta
		if gamma == 0 {
			dir[j] /= max(curvature, math.SmallestNonzeroFloat64)
			continue
		}
		var ss, yy float64
		for i := 1; i <= min(m.stored, 3); i++ {
			k := m.index(i)
			ss += m.s[k][j] * m.s[k][j]
			yy += m.y[k][j] * m.y[k][j]
		}
		if ss > 0 {
			curvature = max(curvature, math.Sqrt(yy/ss))
		}
		dir[j] *= min(max(1/curvature, gamma/mostRatio), gamma*mostRatio)
	}
}

// follow adapts Δ to the length of an accepted step's longest component.
func (m *memory) follow(step float64) { m.delta = min(max(step, m.delta/4), 4*m.delta) }

// index is the place of the i-th newest pair.
func (m *memory) index(i int) int { return (m.next - i + len(m.s)) % len(m.s) }

func (m *memory) addFree(dir []float64, a float64, v []float64) {
	for j, free := range m.free {
		if free {
			dir[j] += a * v[j]
		}
	}
}

func (m *memory) state(s *bilevel.State) {
	s.Index(&m.next, len(m.s))
	s.Index(&m.stored, len(m.s)+1)
	s.Float(&m.delta)
	s.Fixed(m.s...)
	s.Fixed(m.y...)
}
