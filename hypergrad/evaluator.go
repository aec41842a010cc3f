package hypergrad

import (
	"errors"
	"fmt"

	"github.com/bilevel-go/bilevel"
)

// Evaluator gives h(x) and ∇h(x) to a tolerance, for records, tests and reports. It starts each evaluation at
// the inner solution and adjoint of the one before, so that evaluations along a path are cheap.
//
// Make one with [NewEvaluator]. It is for one goroutine at a time, and so are the objectives: an evaluator
// beside a run uses them between the run's steps, as [bilevel.Minimize] does.
type Evaluator struct {
	// Tol is how well each evaluation is solved; asking for less than rounding allows is fine. NewEvaluator
	// sets 1e-10 for both.
	Tol Effort

	hyper  Hypergradient
	at     bilevel.Point
	counts bilevel.Counts
	grad   []float64
}

var (
	_ bilevel.Evaluator = (*Evaluator)(nil)
	_ bilevel.Stateful  = (*Evaluator)(nil)
)

// State lists where the next evaluation starts, so that the records of a resumed run are those of the
// uninterrupted one.
func (v *Evaluator) State(s *bilevel.State) {
	s.Fixed(v.at.Z, v.at.X, v.at.V)
	c := &v.counts
	for _, n := range []*int64{&c.ValueF, &c.ValueG, &c.GradF, &c.GradG, &c.HessG, &c.CrossG} {
		s.Int64(n)
	}
}

// NewEvaluator prepares evaluations of p by e; nil means AID{}.
func NewEvaluator(p *bilevel.Problem, e Estimator) (*Evaluator, error) {
	if e == nil {
		e = AID{}
	}
	v := &Evaluator{Tol: Effort{Inner: 1e-10, Linear: 1e-10}}
	var err error
	if v.hyper, err = e.Start(p, &v.counts); err != nil {
		return nil, err
	}
	if v.at, err = p.StartPoint(bilevel.Point{}); err != nil {
		return nil, err
	}
	v.grad = make([]float64, len(v.at.X))
	return v, nil
}

// Kink is a warning of an estimator that both levels were solved, at a point where h has derivatives to either side
// only: the hypergradient is one of them. An [Evaluator] does not take it for an error.
type Kink interface {
	error
	Kink()
}

// Evaluate returns h(x) and, where grad (length p) is not nil, overwrites it with ∇h(x). x is taken as it is,
// not projected. The error says which level was not solved to the tolerance.
func (v *Evaluator) Evaluate(grad, x []float64) (float64, error) {
	if len(x) != len(v.grad) || grad != nil && len(grad) != len(v.grad) {
		panic(fmt.Sprintf("hypergrad: x has length %d and grad %d, the problem has p = %d", len(x), len(grad), len(v.grad)))
	}
	copy(v.at.X, x)
	rep, err := v.hyper.At(v.grad, v.at, v.Tol)
	if err != nil {
		// Do not start from what failed.
		clear(v.at.Z)
		clear(v.at.V)
		return rep.Value, err
	}
	copy(grad, v.grad)
	var kink Kink
	if errors.As(rep.Warning, &kink) {
		return rep.Value, nil
	}
	return rep.Value, rep.Warning
}

// Point is a copy of x, z*(x) and v*(x) of the last evaluation.
func (v *Evaluator) Point() bilevel.Point {
	return bilevel.Point{
		Z: append([]float64(nil), v.at.Z...),
		X: append([]float64(nil), v.at.X...),
		V: append([]float64(nil), v.at.V...),
	}
}

// Counts says how many samples the evaluations have visited.
func (v *Evaluator) Counts() bilevel.Counts { return v.counts }
