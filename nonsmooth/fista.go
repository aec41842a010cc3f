package nonsmooth

import (
	"context"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"gonum.org/v1/gonum/floats"
)

// FISTA minimises by accelerated proximal gradient steps, with backtracking on the Lipschitz constant and a restart
// wherever the momentum points uphill.
//
// Cost per iteration: two values and gradients of g, and one more for each doubling of L. Memory: 8d numbers.
//
// Beck, Teboulle, A fast iterative shrinkage-thresholding algorithm for linear inverse problems, 2009, section 4;
// restarts: O'Donoghue, Candès, Adaptive restart for accelerated gradient schemes, 2015, section 3.2.
type FISTA struct {
	// MaxIter bounds the iterations. The default is 100,000.
	MaxIter int
}

// Start is described at [Solver].
func (m FISTA) Start(c *Composite, counts *bilevel.Counts) (inner.Minimizer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	if m.MaxIter == 0 {
		m.MaxIter = 100000
	}
	d, _ := c.Dims()
	return &fista{m: m, c: c, counts: counts, at: newIterate(d), next: newIterate(d), y: newIterate(d),
		lambda: make([]float64, d)}, nil
}

type fista struct {
	m           FISTA
	c           *Composite
	counts      *bilevel.Counts
	at, next, y iterate
	lambda      []float64
}

// Minimize is described at [inner.Minimizer].
func (m *fista) Minimize(ctx context.Context, z, x []float64, tol float64) (inner.Result, error) {
	g := m.c.G
	m.c.L1.Weights(m.lambda, x)
	copy(m.at.z, z)
	m.at.eval(g, x, m.lambda, m.counts)
	var res inner.Result
	if !m.at.finite() {
		return m.at.result(res, tol), &inner.NonFiniteError{Value: m.at.value, GradNorm: m.at.norm}
	}
	lipschitz := 1 / StepSize(g, z, x)
	m.counts.HessG += 60 * int64(g.Samples())
	copy(m.y.z, z)
	t, stalled := 1.0, 0
	for ; m.at.norm > tol; res.Iterations++ {
		if err := ctx.Err(); err != nil {
			copy(z, m.at.z)
			return m.at.result(res, tol), err
		}
		if res.Iterations == m.m.MaxIter {
			copy(z, m.at.z)
			return m.at.result(res, tol), &inner.NotConvergedError{Iterations: res.Iterations, GradNorm: m.at.norm, Tol: tol,
				Reason: "iteration limit"}
		}
		m.y.eval(g, x, m.lambda, m.counts)
		smooth := m.y.value - weighted(m.lambda, m.y.z)
		for range 100 {
			moved, slope := 0.0, 0.0
			for i, gi := range m.y.grad {
				m.next.z[i] = soft(m.y.z[i]-gi/lipschitz, m.lambda[i]/lipschitz)
				s := m.next.z[i] - m.y.z[i]
				moved += s * s
				slope += gi * s
			}
			m.next.eval(g, x, m.lambda, m.counts)
			after := m.next.value - weighted(m.lambda, m.next.z)
			if after <= smooth+slope+lipschitz/2*moved+noise(smooth) {
				break // g(z⁺) ≤ g(y) + ⟨∇g(y), z⁺ − y⟩ + L/2 ‖z⁺ − y‖²
			}
			lipschitz *= 2
		}
		uphill := 0.0
		for i, v := range m.next.z {
			uphill += (m.y.z[i] - v) * (v - m.at.z[i])
		}
		momentum := 0.0
		if uphill > 0 {
			t = 1
		} else {
			after := (1 + math.Sqrt(1+4*t*t)) / 2
			momentum, t = (t-1)/after, after
		}
		floats.SubTo(m.y.z, m.next.z, m.at.z)
		floats.AddScaledTo(m.y.z, m.next.z, momentum, m.y.z) // y = z⁺ + (t−1)/t⁺ (z⁺ − z)
		if floats.Equal(m.next.z, m.at.z) {
			if stalled++; stalled == 2 { // the step is lost in rounding
				res.Rounding = true
				break
			}
		} else {
			stalled = 0
		}
		m.at, m.next = m.next, m.at
	}
	copy(z, m.at.z)
	return m.at.result(res, tol), nil
}
