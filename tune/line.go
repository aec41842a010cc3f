package tune

import (
	"context"
	"math"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
)

const (
	firstStretch   = .5   // of the line, from the start on
	mostOnLine     = 40   // evaluations
	negligibleFall = 1e-6 // of h, as a share of itself, that is not worth an evaluation
)

// onLine is a strength with what is known there.
type onLine struct {
	bilevel.Point
	t, value, slope float64
}

// line searches for one strength: two points are brought closer to each other, of which the better one knows by its
// hypergradient that h falls towards the other. Between them h lies above its tangents, were it convex; the search ends
// where they leave next to nothing to be found. New points are where the slopes would meet zero and where the tangents
// meet, which is where an ℓ1 norm has its kinks, in turn.
func (s search) line(base shared) (*learned, error) {
	var counts bilevel.Counts
	defer func() { addCounts(&s.visited, counts) }()
	hyper, err := s.q.estimator.Start(&s.q.Problem, &counts)
	if err != nil {
		return nil, err
	}
	tol, err := s.tolerance(s.q)
	if err != nil {
		return nil, err
	}
	within := s.closing // evaluations of what may be the result
	if s.aim != toFinish {
		within = s.ctx
	}
	l := &learned{}
	begin := time.Now()
	eval := func(ctx context.Context, t float64, from bilevel.Point) (*onLine, error) {
		at, err := s.q.StartPoint(bilevel.Point{Z: from.Z, X: []float64{t}, V: from.V})
		if err != nil {
			return nil, err
		}
		grad := make([]float64, 1)
		effort := hypergrad.Effort{Inner: tol, LinearTol: accuracy(len(at.Z)), ValueTol: negligibleFall / 10 * base.value}
		rep, err := hyper.At(ctx, grad, at, effort)
		if err != nil {
			return nil, err
		}
		p := &onLine{Point: at, t: t, value: rep.Value - rep.Correction, slope: grad[0]}
		if math.IsNaN(p.value) || math.IsInf(p.value, 0) {
			return nil, errNothing
		}
		l.steps++
		s.q.ProjectedGrad(grad, at.X, grad)
		l.trace = append(l.trace, bilevel.Record{Step: l.steps, Time: time.Since(begin), Value: p.value,
			GradNorm: math.Abs(grad[0]), Counts: counts})
		s.at(l.steps, float64(l.steps)/float64(l.steps+6), p.value)
		return p, nil
	}
	best, err := eval(within, s.start(s.q, base).X[0], bilevel.Point{Z: base.z})
	if err != nil {
		return nil, err
	}
	l.reason = "converged: the validation loss does not fall any more"
	var far *onLine // nil while h falls
	for stretch := firstStretch; ; {
		if l.steps >= mostOnLine || s.ctx.Err() != nil {
			break
		}
		if math.Abs(best.slope) <= negligible*math.Abs(best.value) {
			l.reason = "converged: the gradient is negligible"
			break
		}
		t := best.t - math.Copysign(stretch, best.slope)
		if far != nil {
			t = halfway(best, far, l.steps%2 == 0)
			if fall(best, far) <= negligibleFall*math.Abs(best.value) || t == best.t || t == far.t {
				break
			}
		} else if t = min(max(t, s.q.Lower[0]), s.q.Upper[0]); t == best.t {
			break
		}
		next, err := eval(s.ctx, t, best.Point)
		if err != nil {
			if s.ctx.Err() == nil {
				l.reason = troubled(err)
			}
			break
		}
		switch {
		case next.value > best.value:
			far = next
		case next.slope*best.slope < 0: // it looks back
			best, far = next, best
		default:
			best = next
			stretch *= 2
		}
	}
	l.x, l.z, l.v, l.value, l.gradNorm = best.X, best.Z, best.V, best.value, math.Abs(best.slope)
	l.grad = []float64{best.slope}
	if s.ctx.Err() != nil {
		return s.q.settled(l), nil
	}
	at, err := s.exact(within, s.q, best.X, best.Z, best.V)
	if err != nil {
		l.gradNorm, l.reason = math.NaN(), troubled(err)
		return s.q.settled(l), nil
	}
	at.steps, at.trace, at.reason = l.steps, l.trace, l.reason
	return at, nil
}

// fall is by how much less than at a h may be between a and b, were it convex there.
func fall(a, b *onLine) float64 {
	t, ok := tangents(a, b)
	if !ok {
		t = b.t
	}
	return -a.slope * (t - a.t)
}

// tangents is where those at a and b meet, and whether that is between a and b, as it is where h is convex.
func tangents(a, b *onLine) (t float64, ok bool) {
	t = (b.value - a.value + a.slope*a.t - b.slope*b.t) / (a.slope - b.slope)
	return t, a.slope*b.slope < 0 && (t-a.t)*(b.t-t) > 0
}

// halfway is a point between a and b, not too close to either.
func halfway(a, b *onLine, kink bool) float64 {
	t, ok := tangents(a, b)
	switch {
	case !ok:
		t = (a.t + b.t) / 2
	case !kink:
		t = a.t - a.slope*(b.t-a.t)/(b.slope-a.slope)
	}
	lo, hi := min(a.t, b.t), max(a.t, b.t)
	margin := (hi - lo) / 20
	return min(max(t, lo+margin), hi-margin)
}

// onALine says whether q is searched by line: it has one strength, and the user left the start to the grid.
func (s search) onALine() bool {
	_, p := s.q.Dims()
	return p == 1 && s.method() == HOAG && s.param().logarithmic && s.o.Start == "grid"
}
