package inner

import (
	"context"
	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// LBFGS minimises g(·, x) by the limited-memory BFGS method with a weak Wolfe line search. It needs first
// derivatives only.
//
// Assumes that g(·, x) is smooth and bounded below.
// Cost per iteration: one value with gradient, seldom more. Memory: (2·Memory + 5)d numbers.
//
// Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989.
type LBFGS struct {
	// MaxIter bounds the iterations. The default is 10,000.
	MaxIter int
	// Memory is the number of pairs kept. The default is 10.
	Memory int
}

var _ Solver = LBFGS{}

// Start is described at [Solver].
func (m LBFGS) Start(g bilevel.Objective, counts *bilevel.Counts) (Minimizer, error) {
	if err := bilevel.NeedFirstOrder(g); err != nil {
		return nil, err
	}
	d, _ := g.Dims()
	r := &lbfgs{oracle: newOracle(g, counts), d: d, maxIter: m.MaxIter, at: newIterate(d), trial: newIterate(d),
		dir: make([]float64, d)}
	if r.maxIter <= 0 {
		r.maxIter = 10000
	}
	memory := m.Memory
	if memory <= 0 {
		memory = 10
	}
	r.pairs = make([]pair, memory)
	for i := range r.pairs {
		r.pairs[i] = pair{s: make([]float64, d), y: make([]float64, d)}
	}
	return r, nil
}

// pair is a step s and the change y of the gradient along it.
type pair struct {
	s, y   []float64
	sy, yy float64
	a      float64 // scratch of the recursion
}

type lbfgs struct {
	oracle
	d         int
	maxIter   int
	at, trial iterate
	dir       []float64
	pairs     []pair // a ring
	next      int    // where the next pair goes
	held      int
}

var _ Minimizer = (*lbfgs)(nil)

// Minimize is described at [Minimizer].
func (n *lbfgs) Minimize(ctx context.Context, z, x []float64, tol float64) (Result, error) {
	if len(z) != n.d {
		panic("inner: z has the wrong length")
	}
	n.x, n.held = x, 0
	copy(n.at.z, z)
	n.eval(&n.at)
	if !n.at.finite() {
		return Result{Value: n.at.value, GradNorm: n.at.norm}, &NonFiniteError{n.at.value, n.at.norm}
	}
	var res Result
	best, stalls := n.at.norm, 0
	reason, decrease := "", 0.0
	for n.at.norm > tol {
		if err := ctx.Err(); err != nil {
			copy(z, n.at.z)
			return res, err
		}
		if res.Iterations >= n.maxIter {
			reason = "the iteration limit"
			break
		}
		alpha := n.direction()
		slope := floats.Dot(n.at.grad, n.dir)
		decrease = -slope / 2
		ok, lowers := false, false
		if slope < 0 {
			ok, lowers = n.search(ctx, &n.at, &n.trial, n.dir, slope, alpha, true)
		}
		if !ok {
			if n.held > 0 && atRounding(&n.at, decrease) {
				res.Rounding = true
				break
			}
			if n.held > 0 {
				n.held = 0 // from steepest descent again
				continue
			}
			reason = "no step along the gradient lowers g"
			break
		}
		res.Iterations++
		n.remember()
		n.at, n.trial = n.trial, n.at
		switch {
		case lowers:
			stalls = 0
		case n.at.norm <= best/2:
			best, stalls = n.at.norm, 0
		default:
			stalls++
		}
		if stalls >= 50 {
			reason = "neither g nor its gradient falls any more"
			break
		}
		best = min(best, n.at.norm)
	}
	copy(z, n.at.z)
	res.Value, res.GradNorm, res.Grad = n.at.value, n.at.norm, n.at.grad
	res.Converged = n.at.norm <= tol
	res.Rounding = !res.Converged && (res.Rounding || n.held > 0 && atRounding(&n.at, decrease))
	if res.Converged || res.Rounding {
		return res, nil
	}
	return res, &NotConvergedError{Iterations: res.Iterations, GradNorm: n.at.norm, Tol: tol, Reason: reason}
}

// remember stores the pair from at to trial if it has curvature.
func (n *lbfgs) remember() {
	p := &n.pairs[n.next]
	floats.SubTo(p.s, n.trial.z, n.at.z)
	floats.SubTo(p.y, n.trial.grad, n.at.grad)
	p.sy, p.yy = floats.Dot(p.s, p.y), floats.Dot(p.y, p.y)
	if !(p.sy > 1e-14*floats.Norm(p.s, 2)*floats.Norm(p.y, 2)) || p.yy == 0 {
		return
	}
	n.next = (n.next + 1) % len(n.pairs)
	n.held = min(n.held+1, len(n.pairs))
}

// direction sets dir = −H∇g by the two-loop recursion and returns the step length to try first.
func (n *lbfgs) direction() (alpha float64) {
	for i, g := range n.at.grad {
		n.dir[i] = -g
	}
	if n.held == 0 {
		return 1 / n.at.norm
	}
	m := len(n.pairs)
	for i := 1; i <= n.held; i++ { // newest first
		p := &n.pairs[(n.next-i+m)%m]
		p.a = floats.Dot(p.s, n.dir) / p.sy
		floats.AddScaled(n.dir, -p.a, p.y)
	}
	last := &n.pairs[(n.next-1+m)%m]
	floats.Scale(last.sy/last.yy, n.dir) // H₀ = sᵀy/yᵀy
	for i := n.held; i >= 1; i-- {
		p := &n.pairs[(n.next-i+m)%m]
		b := floats.Dot(p.y, n.dir) / p.sy
		floats.AddScaled(n.dir, p.a-b, p.s)
	}
	return 1
}
