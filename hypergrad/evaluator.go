package hypergrad

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
)

// Evaluator gives h(x) and ∇h(x) to a tolerance, for records, tests and reports. It starts each evaluation at
// the inner solution and adjoint of the one before, so that evaluations along a path are cheap.
//
// It is for one goroutine at a time, and so are the objectives: an evaluator beside a run uses them between the run's
// steps, as [bilevel.Minimize] does.
type Evaluator struct {
	Problem *bilevel.Problem
	// Estimator computes the hypergradients. The default is AID{}.
	Estimator Estimator
	// Tol is how well each evaluation is solved; asking for less than rounding allows is fine. The defaults of InnerTol
	// and LinearTol are 1e-10.
	Tol Effort

	hyper  Hypergradient // nil before the first use
	at     bilevel.Point
	startZ []float64 // where the last evaluation started
	startV []float64
	counts bilevel.Counts
	grad   []float64
}

var (
	_ bilevel.Evaluator = (*Evaluator)(nil)
	_ bilevel.Stateful  = (*Evaluator)(nil)
)

// NewEvaluator is an evaluator of p by e, or by AID{} if that is nil, that says at once what they lack for each other.
// Elsewhere the first evaluation does.
func NewEvaluator(p *bilevel.Problem, e Estimator) (*Evaluator, error) {
	v := &Evaluator{Problem: p, Estimator: e}
	return v, v.prepare()
}

// prepare makes the evaluator ready at its first use.
func (v *Evaluator) prepare() error {
	if v.hyper != nil {
		return nil
	}
	if err := v.Problem.Check(); err != nil {
		return fmt.Errorf("hypergrad: Evaluator.Problem: %w", err)
	}
	e := v.Estimator
	if e == nil {
		e = AID{}
	}
	for _, tol := range []*float64{&v.Tol.Inner, &v.Tol.LinearTol} {
		if *tol == 0 {
			*tol = 1e-10
		}
	}
	var err error
	if v.at, err = v.Problem.StartPoint(bilevel.Point{}); err != nil {
		return err
	}
	v.startZ, v.startV = slices.Clone(v.at.Z), slices.Clone(v.at.V)
	v.grad = make([]float64, len(v.at.X))
	v.hyper, err = e.Start(v.Problem, &v.counts)
	return err
}

// State lists where the next evaluation starts, so that the records of a resumed run are those of the
// uninterrupted one.
func (v *Evaluator) State(s *bilevel.State) {
	if err := v.prepare(); err != nil {
		s.Fail(err)
		return
	}
	s.Fixed(v.at.Z, v.at.X, v.at.V)
	s.Counts(&v.counts)
}

// Kink is a warning of an estimator that both levels were solved, at a point where h has derivatives to either side
// only: the hypergradient is one of them. An [Evaluator] does not take it for an error.
type Kink interface {
	error
	Kink()
}

// Evaluate returns h(x) and, where grad (length p) is not nil, overwrites it with ∇h(x). x is taken as it is,
// not projected. The error says which level was not solved to the tolerance.
func (v *Evaluator) Evaluate(ctx context.Context, grad, x []float64) (float64, error) {
	if err := v.prepare(); err != nil {
		return math.NaN(), err
	}
	if len(x) != len(v.grad) || grad != nil && len(grad) != len(v.grad) {
		panic(fmt.Sprintf("hypergrad: x has length %d and grad %d, the problem has p = %d", len(x), len(grad), len(v.grad)))
	}
	copy(v.at.X, x)
	copy(v.startZ, v.at.Z)
	copy(v.startV, v.at.V)
	rep, err := v.hyper.At(ctx, v.grad, v.at, v.Tol)
	switch {
	case err != nil && ctx.Err() != nil: // as if it had not been asked
		copy(v.at.Z, v.startZ)
		copy(v.at.V, v.startV)
		return math.NaN(), err
	case err != nil: // do not start from what failed
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

// Point is a copy of x, z*(x) and v*(x) of the last evaluation, and empty before the first.
func (v *Evaluator) Point() bilevel.Point {
	return bilevel.Point{Z: slices.Clone(v.at.Z), X: slices.Clone(v.at.X), V: slices.Clone(v.at.V)}
}

// Counts says how many samples the evaluations have visited.
func (v *Evaluator) Counts() bilevel.Counts { return v.counts }
