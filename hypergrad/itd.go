package hypergrad

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/vector"
	"gonum.org/v1/gonum/floats"
)

// Mode says how [ITD] differentiates and what it keeps for it.
type Mode int

// The modes, with the memory they need for t steps with a state of length D.
const (
	AllIterates Mode = iota // reverse, all states: O(tD)
	Checkpoints             // reverse, every ⌈√t⌉-th state, the others are computed twice: O(√t·D)
	Forward                 // forward, the derivatives of the state with respect to x: O(pD)
)

func (m Mode) String() string {
	switch m {
	case AllIterates:
		return "all iterates"
	case Checkpoints:
		return "checkpoints"
	case Forward:
		return "forward"
	}
	return fmt.Sprintf("mode %d", int(m))
}

// ITD is iterative differentiation: make t steps of an inner solver, s_k = Φ_k(s_{k−1}, x), and differentiate
// x ↦ f(z_t(x), x) exactly. In reverse mode
//
//	a = ∇z f(z_t, x), q = ∇x f(z_t, x);   for k = t, …, 1:  q += ∂xΦ_kᵀa,  a ← ∂sΦ_kᵀa,
//
// and q is the result. Forward mode propagates S ← ∂sΦ_k·S + ∂xΦ_k instead.
//
// at.Z is z_0, and becomes z_t; at.V is neither read nor changed. The report's Value is f(z_t, x), without a
// correction, its Inner the t steps with g and ∇z g (or z − Φ(z, x), see [inner.Iteration]) at z_t, which cost one
// more evaluation, and its Linear zero. An automatic step size of the dynamics counts as a constant.
//
// Assumes that Φ_k is smooth and, for the result to approach ∇h, a contraction with a factor q: the error is
// then of the order of t·q^t.
// Cost in reverse: t steps, t pulls (for gradient descent one product with ∇²zz g and one with ∇²xz g each), one
// value and gradient of f; [Checkpoints] make up to t further steps. Cost forward: t steps and t·p pushes.
// Memory is allocated at the first call and kept: (t+3)D numbers, or (t+6)d where states share memory (see
// [inner.Overlapper]); (2√t+2)D with checkpoints; (p+2)D forward. Truncate K takes the place of t there.
//
// Franceschi, Donini, Frasconi, Pontil, Forward and reverse gradient-based hyperparameter optimization, 2017,
// algorithms 1 and 2; truncation: Shaban, Cheng, Hatch, Boots, Truncated back-propagation for bilevel
// optimization, 2019; error: Grazzi, Franceschi, Pontil, Salzo, On the iteration complexity of hypergradient
// computation, 2020, theorem 2.1.
type ITD struct {
	// Dynamics is the inner solver. The default is inner.GradientDescent{}, and inner.Iteration{} for a
	// fixed-point problem.
	Dynamics inner.Dynamics
	// Steps is t. The default is 100. Effort.InnerSteps replaces it.
	Steps int
	// Mode is reverse with all iterates by default.
	Mode Mode
	// Truncate K, where positive, differentiates the last K steps only, as if z_{t−K} did not depend on x. The
	// error is then of the order of q^K. In reverse modes only.
	Truncate int
	// Z0 names the places in x that hold z_0, d of them, where the start is an outer variable; see [Extend].
	// at.Z is then not read.
	Z0 []int
}

var _ Estimator = ITD{}

// defaultInnerSteps is t of ITD.
const defaultInnerSteps = 100

// Start is described at [Estimator].
func (m ITD) Start(p *bilevel.Problem, counts *bilevel.Counts) (Hypergradient, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, fmt.Errorf("hypergrad: outer objective: %w", err)
	}
	d, q := p.Dims()
	switch {
	case m.Steps < 0:
		return nil, fmt.Errorf("hypergrad: ITD.Steps = %d is negative", m.Steps)
	case m.Truncate < 0:
		return nil, fmt.Errorf("hypergrad: ITD.Truncate = %d is negative", m.Truncate)
	case m.Mode < AllIterates || m.Mode > Forward:
		return nil, fmt.Errorf("hypergrad: ITD has no %v", m.Mode)
	case m.Truncate > 0 && m.Mode == Forward:
		return nil, errors.New("hypergrad: ITD.Truncate is for reverse modes: forward mode keeps no states that it could save")
	case m.Z0 != nil && len(m.Z0) != d:
		return nil, fmt.Errorf("hypergrad: ITD.Z0 names %d places, and z has length %d", len(m.Z0), d)
	}
	for _, j := range m.Z0 {
		if j < 0 || j >= q {
			return nil, fmt.Errorf("hypergrad: ITD.Z0 names x[%d], and x has length %d", j, q)
		}
	}
	if m.Steps == 0 {
		m.Steps = defaultInnerSteps
	}
	if m.Dynamics == nil {
		m.Dynamics = inner.GradientDescent{}
		if p.Fixed != nil {
			m.Dynamics = inner.Iteration{}
		}
	}
	if _, ok := m.Dynamics.(inner.Iteration); ok && m.Mode == Forward && p.Fixed != nil {
		if _, ok := p.Fixed.(bilevel.Pusher); !ok {
			return nil, fmt.Errorf("hypergrad: ITD.Mode is Forward, which needs forward products, "+
				"and %T has no Push method (bilevel.Pusher): use a reverse mode", p.Fixed)
		}
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	h := &itd{ITD: m, p: p, counts: counts, d: d}
	var err error
	if h.process, err = m.Dynamics.Begin(p, counts); err != nil {
		return nil, err
	}
	h.n = h.process.StateLen()
	h.stride = h.n
	if o, ok := h.process.(inner.Overlapper); ok && o.Overlap() {
		h.overlap, h.stride = true, d
	}
	h.fz, h.rest = make([]float64, d), make([]float64, d)
	return h, nil
}

// itd is the run of ITD. States of a segment of the iteration lie in history in reverse order, stride apart.
type itd struct {
	ITD
	p       *bilevel.Problem
	counts  *bilevel.Counts
	process inner.Process
	overlap bool // the state is (z_k, z_{k−1})

	d, n, stride int // lengths of z and of a state, distance of states
	history      []float64
	marks        []float64 // checkpoints
	fz, rest     []float64 // ∇z f; ∇z g or z − Φ at z_t
	a, b, ux     []float64 // of the reverse pass
	tangents     [][]float64
	unit         []float64 // of the forward pass
}

// At is described at [Hypergradient].
func (h *itd) At(ctx context.Context, grad []float64, at bilevel.Point, effort Effort) (Report, error) {
	t := h.Steps
	if effort.InnerSteps > 0 {
		t = effort.InnerSteps
	}
	for i, j := range h.Z0 {
		at.Z[i] = at.X[j]
	}
	var rep Report
	var err error
	if h.Mode == Forward {
		err = h.forward(ctx, grad, at, t, &rep)
	} else {
		err = h.reverse(ctx, grad, at, t, &rep)
	}
	if err != nil {
		return rep, err
	}
	if s := floats.Norm(grad, 2); math.IsNaN(s) || math.IsInf(s, 0) || math.IsNaN(rep.Value) || math.IsInf(rep.Value, 0) {
		return rep, fmt.Errorf("hypergrad: after %d steps h = %v, ‖∇h‖ = %v: "+
			"lower the step size of the dynamics or their number", t, rep.Value, s)
	}
	return rep, nil
}

// reverse cuts the steps that are differentiated into segments, one or, with checkpoints, about √n. Of each it
// keeps the first state, and of the last one all.
func (h *itd) reverse(ctx context.Context, grad []float64, at bilevel.Point, t int, rep *Report) error {
	n := t
	if h.Truncate > 0 {
		n = min(n, h.Truncate)
	}
	length := n
	if h.Mode == Checkpoints {
		length = int(math.Ceil(math.Sqrt(float64(n))))
	}
	segments := (n + length - 1) / length
	h.history = resize(h.history, length*h.stride+h.n)
	h.marks = resize(h.marks, (segments-1)*h.n)
	h.a, h.b, h.ux = resize(h.a, h.n), resize(h.b, h.n), resize(h.ux, len(grad))

	s := h.history[:h.n]
	if err := h.process.Init(s, at.Z, at.X); err != nil {
		return err
	}
	k := 0
	for ; k < t-n && ctx.Err() == nil; k++ {
		h.process.Step(s, s, at.X, k+1)
	}
	for i := range segments - 1 {
		copy(h.marks[i*h.n:(i+1)*h.n], s)
		for range length {
			if err := ctx.Err(); err != nil {
				return err
			}
			k++
			h.process.Step(s, s, at.X, k)
		}
	}
	if err := h.segment(ctx, s, at.X, k, t); err != nil {
		return err
	}
	copy(at.Z, h.history)
	if err := h.outer(grad, at, t, rep); err != nil {
		return err
	}
	clear(h.a)
	copy(h.a, h.fz)
	for i := segments - 1; ; i-- {
		if err := h.pull(ctx, grad, at.X, k, t); err != nil {
			return err
		}
		if i == 0 {
			break
		}
		k, t = k-length, k
		if err := h.segment(ctx, h.marks[(i-1)*h.n:i*h.n], at.X, k, t); err != nil {
			return err
		}
	}
	if k == 0 { // not truncated
		for i, j := range h.Z0 {
			grad[j] += h.a[i]
			if h.overlap {
				grad[j] += h.a[h.d+i] // the state at the start is (z_0, z_0)
			}
		}
	}
	return nil
}

// segment sets the history to the states s_k, …, s_to, the last one first. s_k = first, which may lie at the
// beginning of the history.
func (h *itd) segment(ctx context.Context, first, x []float64, k, to int) error {
	lo := (to - k) * h.stride
	copy(h.history[lo:lo+h.n], first)
	for k < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		k++
		s := h.history[lo : lo+h.n]
		lo -= h.stride
		h.process.Step(h.history[lo:lo+h.n], s, x, k)
	}
	return nil
}

// pull takes a and grad from step to back to step k + 1, whose states are the history.
func (h *itd) pull(ctx context.Context, grad, x []float64, k, to int) error {
	lo := 0
	for ; to > k; to-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		lo += h.stride
		h.process.Pull(h.b, h.ux, h.history[lo:lo+h.n], x, h.a, to)
		floats.Add(grad, h.ux) // q += ∂xΦᵀa
		h.a, h.b = h.b, h.a    // a ← ∂sΦᵀa
	}
	return nil
}

// forward propagates the derivatives of the state with respect to x_1, …, x_p.
func (h *itd) forward(ctx context.Context, grad []float64, at bilevel.Point, t int, rep *Report) error {
	p := len(grad)
	if h.tangents == nil {
		h.tangents = make([][]float64, p+1) // the last one is spare
		for j := range h.tangents {
			h.tangents[j] = make([]float64, h.n)
		}
		h.history, h.unit = make([]float64, h.n), make([]float64, p)
	}
	s := h.history
	if err := h.process.Init(s, at.Z, at.X); err != nil {
		return err
	}
	for _, v := range h.tangents {
		clear(v)
	}
	for i, j := range h.Z0 {
		h.tangents[j][i] = 1
		if h.overlap {
			h.tangents[j][h.d+i] = 1 // the state at the start is (z_0, z_0)
		}
	}
	for k := 1; k <= t; k++ {
		for j := range p {
			if err := ctx.Err(); err != nil {
				return err
			}
			h.unit[j] = 1
			if err := h.process.Push(h.tangents[p], s, at.X, h.tangents[j], h.unit, k); err != nil {
				return err
			}
			h.unit[j] = 0
			h.tangents[j], h.tangents[p] = h.tangents[p], h.tangents[j]
		}
		h.process.Step(s, s, at.X, k)
	}
	copy(at.Z, s)
	if err := h.outer(grad, at, t, rep); err != nil {
		return err
	}
	for j := range p {
		grad[j] += floats.Dot(h.tangents[j][:h.d], h.fz) // ∇x f + Sᵀ∇z f
	}
	return nil
}

// outer sets fz = ∇z f and grad = ∇x f at z_t, and the report.
func (h *itd) outer(grad []float64, at bilevel.Point, t int, rep *Report) error {
	for i, v := range at.Z {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("hypergrad: after %d steps of the inner solver z[%d] = %v: lower the step size of the dynamics",
				t, i, v)
		}
	}
	all := bilevel.All(h.p.Outer)
	rep.Value = bilevel.ValueGrad(h.p.Outer, h.fz, grad, at.Z, at.X, all)
	h.counts.ValueF += int64(all.Len())
	h.counts.GradF += int64(all.Len())

	rep.Inner = inner.Result{Iterations: t, Grad: h.rest, Converged: true}
	if g := h.p.Inner; g != nil {
		rep.Inner.Value = bilevel.ValueGrad(g, h.rest, nil, at.Z, at.X, bilevel.All(g))
		h.counts.ValueG += int64(g.Samples())
		h.counts.GradG += int64(g.Samples())
	} else {
		h.p.Fixed.Map(h.rest, at.Z, at.X, bilevel.Batch{Lo: 0, Hi: h.p.Fixed.Samples()})
		h.counts.GradG += int64(h.p.Fixed.Samples())
		floats.SubTo(h.rest, at.Z, h.rest)
	}
	rep.Inner.GradNorm = vector.Norm(h.rest)
	return nil
}

// resize is s with length n, its memory kept where that is enough.
func resize(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	return s[:n]
}
