package hypergrad

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
)

// Optimizer is the configuration of a rule that makes directions of hypergradients, x⁺ = P(x − α·direction).
type Optimizer interface {
	// Start begins with p variables.
	Start(p int) (Directions, error)
}

// Directions is a rule at work.
type Directions interface {
	// Next overwrites dst with the direction at a point where the hypergradient is grad. It is called once for
	// each point in turn.
	Next(dst, grad []float64)
	// Reset forgets all points: the next direction is one of descent.
	Reset()
	// State is described at [bilevel.Stateful].
	State(s *bilevel.State)
}

// GD is gradient descent: the direction is ∇h.
type GD struct{}

// Momentum is the heavy ball: the direction is b ← μb + ∇h, which starts as ∇h.
//
// Polyak, Some methods of speeding up the convergence of iteration methods, 1964.
type Momentum struct {
	// Mu is μ, 0 < μ < 1. The default is 0.9.
	Mu float64
}

// Adam divides an average of hypergradients by the root of one of their squares, in each coordinate:
//
//	m ← β₁m + (1 − β₁)∇h,   w ← β₂w + (1 − β₂)(∇h)²,   direction m/(1 − β₁ᵗ) / (√(w/(1 − β₂ᵗ)) + ε).
//
// Its direction is not a gradient, and on a domain that is no box, [bilevel.Problem.Project], it can rest where h
// could fall.
//
// Kingma, Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
type Adam struct {
	// Beta1 and Beta2 are β₁ and β₂. The defaults are 0.9 and 0.999.
	Beta1, Beta2 float64
	// Epsilon is ε. The default is 1e-8.
	Epsilon float64
}

var (
	_ Optimizer = GD{}
	_ Optimizer = Momentum{}
	_ Optimizer = Adam{}
)

// Start is described at [Optimizer].
func (GD) Start(int) (Directions, error) { return gd{}, nil }

type gd struct{}

func (gd) Next(dst, grad []float64) { copy(dst, grad) }
func (gd) Reset()                   {}
func (gd) State(*bilevel.State)     {}

// Start is described at [Optimizer].
func (m Momentum) Start(p int) (Directions, error) {
	if m.Mu == 0 {
		m.Mu = .9
	}
	if !(m.Mu > 0 && m.Mu < 1) {
		return nil, fmt.Errorf("hypergrad: Momentum with Mu %v", m.Mu)
	}
	return &momentum{mu: m.Mu, b: make([]float64, p)}, nil
}

type momentum struct {
	mu float64
	b  []float64
}

func (m *momentum) Next(dst, grad []float64) {
	for j, g := range grad {
		m.b[j] = m.mu*m.b[j] + g // b ← μb + ∇h
	}
	copy(dst, m.b)
}

func (m *momentum) Reset()                 { clear(m.b) }
func (m *momentum) State(s *bilevel.State) { s.Fixed(m.b) }

// Start is described at [Optimizer].
func (m Adam) Start(p int) (Directions, error) {
	for _, f := range []struct {
		v   *float64
		def float64
	}{{&m.Beta1, .9}, {&m.Beta2, .999}, {&m.Epsilon, 1e-8}} {
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	if !(m.Beta1 > 0 && m.Beta1 < 1 && m.Beta2 > 0 && m.Beta2 < 1 && m.Epsilon > 0) || math.IsInf(m.Epsilon, 0) {
		return nil, fmt.Errorf("hypergrad: Adam with Beta1 %v, Beta2 %v, Epsilon %v", m.Beta1, m.Beta2, m.Epsilon)
	}
	return &adam{c: m, m: make([]float64, p), w: make([]float64, p)}, nil
}

type adam struct {
	c    Adam
	m, w []float64
	t    int
}

func (a *adam) Next(dst, grad []float64) {
	a.t++
	c1, c2 := 1-math.Pow(a.c.Beta1, float64(a.t)), 1-math.Pow(a.c.Beta2, float64(a.t))
	for j, g := range grad {
		a.m[j] = a.c.Beta1*a.m[j] + (1-a.c.Beta1)*g   // m ← β₁m + (1 − β₁)∇h
		a.w[j] = a.c.Beta2*a.w[j] + (1-a.c.Beta2)*g*g // w ← β₂w + (1 − β₂)(∇h)²
		dst[j] = a.m[j] / c1 / (math.Sqrt(a.w[j]/c2) + a.c.Epsilon)
	}
}

func (a *adam) Reset() {
	clear(a.m)
	clear(a.w)
	a.t = 0
}

func (a *adam) State(s *bilevel.State) {
	s.Fixed(a.m, a.w)
	s.Count(&a.t)
}
