package tune

import (
	"context"
	"math"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
)

const (
	batch          = 64   // of a stochastic method
	leastPasses    = 5    // before one may end
	leastSteps     = 2000 // the same in steps
	leastFullSteps = 2000 // of a method that passes over all rows
	mostSeconds    = 60   // of steps, where the user gives no limit
	smallGradient  = 1e-3 // as a share of h: the run has converged
	leastFall      = 1e-4 // the share of itself by which h has to fall while the steps double
)

// sampledRecords evaluates h on the way of a method that does not know it: at a step, and again after about an eighth
// more steps, so that the evaluations do not outweigh the steps.
type sampledRecords struct {
	f      *fit
	ctx    context.Context // of evaluations
	hyper  hypergrad.Hypergradient
	q      *problem
	tol    hypergrad.Effort
	counts bilevel.Counts
	next   int64
	least  int64
	pg     []float64
	v      []float64 // the last adjoint, where the method has none

	deadline time.Time     // zero for none
	cost     time.Duration // of the last evaluation
	ended    time.Time     // when it ended

	trace []bilevel.Record
	best  bilevel.Point
	at    int // index of best in trace
	err   error
}

func (f *fit) sampledRecords(ctx context.Context, q *problem, least int64) (*sampledRecords, error) {
	tol, err := f.tolerance(q)
	if err != nil {
		return nil, err
	}
	linear := 1e-6
	d, p := q.Dims()
	end, limited := f.ctx.Deadline()
	if limited { // records choose the best of some points, and are not the result
		tol, linear = coarse(d)*tol, 1e-3
	}
	s := &sampledRecords{deadline: end, f: f, ctx: ctx, q: q, least: least, pg: make([]float64, p),
		tol: hypergrad.Effort{Inner: tol, LinearTol: linear}}
	s.hyper, err = q.estimator.Start(&q.Problem, &s.counts)
	return s, err
}

// add evaluates h at a record, if it is time to, and says whether it is known there, and whether it falls no more.
// What cannot be evaluated is left out.
func (s *sampledRecords) add(r bilevel.Record, at bilevel.Point) (known, stop bool) {
	if r.Step < s.next && !s.closing() || !s.deadline.IsZero() && time.Since(s.ended) < s.cost && !s.closing() {
		return false, false
	}
	begin := time.Now()
	defer func() { s.ended = time.Now(); s.cost = s.ended.Sub(begin) }()
	s.next = r.Step + r.Step/8 + 1
	if at.V == nil { // of a method without an adjoint
		at.V = make([]float64, len(at.Z))
		copy(at.V, s.v)
		s.v = at.V
	}
	rep, err := s.hyper.At(s.ctx, s.pg, at, s.tol)
	if err != nil {
		s.err = err
		return false, false
	}
	s.q.ProjectedGrad(s.pg, at.X, s.pg)
	r.Value, r.GradNorm = rep.Value-rep.Correction, floats.Norm(s.pg, 2)
	s.trace = append(s.trace, r)
	if len(s.trace) == 1 || r.Value <= s.trace[s.at].Value {
		s.best, s.at = at, len(s.trace)-1
	}
	// The best and the last value until half as many steps: h may rise at first, where x has left z behind, and fall
	// again.
	before, then := math.NaN(), math.NaN()
	for _, t := range s.trace {
		if 2*t.Step > r.Step {
			break
		}
		if then = t.Value; !(then > before) {
			before = then
		}
	}
	falls := func(from, to float64) bool { return from-to > leastFall*math.Abs(from) }
	return true, r.Step >= s.least && !falls(before, s.trace[s.at].Value) && !falls(then, r.Value)
}

// closing says that there is time for one more evaluation.
func (s *sampledRecords) closing() bool {
	return !s.deadline.IsZero() && s.cost > 0 && time.Until(s.deadline) < s.cost*5/4
}

// finish evaluates the last point of res, if there is time, and puts what is known into res.
func (s *sampledRecords) finish(res *bilevel.Result) {
	if n := len(s.trace); n > 0 && len(res.Trace) > 0 && s.trace[n-1].Step < res.Steps && s.f.ctx.Err() == nil {
		s.next = 0
		s.add(res.Trace[len(res.Trace)-1], res.Last)
	}
	res.Trace = s.trace
	res.Value = math.NaN()
	if len(s.trace) > 0 {
		res.Point, res.Value, res.GradNorm = s.best, s.trace[s.at].Value, s.trace[s.at].GradNorm
	}
}
