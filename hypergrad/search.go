package hypergrad

import (
	"context"

	"gonum.org/v1/gonum/floats"
)

// search is a backtracking line search on h along a direction, from one point at a time. An outer step makes one
// trial, which is one hypergradient.
type search struct {
	dir      []float64
	alpha    float64 // α of the next trial; 0: not known yet
	active   bool    // dir is set
	refining bool    // the next evaluation is of the same trial, from where the last one ended
	tries    int     // rejected trials along dir
	promised float64 // the largest fall of h by the parabolas through the rejected trials of this point
}

// outcome is that of a trial.
type outcome int

const (
	rejected outcome = iota // the next trial is shorter, or the same to a tighter tolerance
	accepted
	failed // no step along the direction lowers h
)

// mostTries is the number of rejected trials that end a search.
const mostTries = 20

// try evaluates the trial x⁺ that next holds, which promises to change h by predicted < 0 from its value at the
// current point, or from another one in its place.
func (r *outerRun) try(ctx context.Context, effort Effort, h, predicted float64) (outcome, error) {
	s := &r.search
	if !s.refining {
		r.begin()
	}
	s.refining = false
	err := r.evaluate(ctx, &r.next, effort)
	change := r.next.value - h
	switch {
	case err != nil:
		if s.shrink(0, predicted, err); ctx.Err() != nil || s.tries > 3*mostTries {
			return failed, err
		}
		return rejected, nil
	// Armijo; or, where values differ by rounding only, a smaller gradient.
	case change <= 1e-4*predicted, change <= r.rounding() && r.next.norm < .9*r.now.norm:
		if r.doubtful(change) {
			s.refining = true
			return rejected, nil
		}
		return accepted, nil
	}
	s.promised = max(s.promised, predicted*predicted/(4*(change-predicted)))
	if s.shrink(change, predicted, nil); -predicted <= r.rounding() || s.tries >= mostTries {
		return failed, nil
	}
	return rejected, nil
}

// shrink lowers α after a trial that changed h, or would not evaluate.
func (s *search) shrink(change, predicted float64, err error) {
	s.tries++
	if err != nil {
		s.alpha /= 10
		return
	}
	// The parabola through h(x), its slope and the trial.
	q := s.alpha * -predicted / (2 * (change - predicted))
	s.alpha = min(max(q, s.alpha/10), s.alpha/2)
}

// move sets the trial to x + α·sign·direction.
func (r *outerRun) move(sign float64) {
	floats.AddScaledTo(r.next.at.X, r.now.at.X, sign*r.search.alpha, r.search.dir)
}
