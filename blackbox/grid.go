package blackbox

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
)

// Grid evaluates h on a grid over the box and ends, with [bilevel.ErrDone], when it has been through.
//
// Each coordinate has Points equally spaced values, its bounds included. The candidates are first those of the
// diagonal, where all coordinates take their k-th value together: with equal bounds that is one strength for all, which
// is what a grid search over a model's single strength does. They run from the upper bounds down, so that
// with strengths each inner problem starts at the solution of a slightly stronger one. With Product the rest of
// the cross product follows, Pointsᵖ in all, in an order in which one coordinate moves by one place at a time.
//
// It assumes that x has finite bounds. Cost per step: one inner solve, one value of f, one or two gradients of g
// for the scale of the tolerance. Memory: 4d + 2p numbers and what the inner solver needs. The seed has no effect.
type Grid struct {
	// Points is the number of values of each coordinate, at least 2. The default is 25.
	Points int
	// Product goes through the cross product instead of the diagonal only. Start refuses more than 10⁷ candidates.
	Product bool
	Solve
}

var _ bilevel.Method = Grid{}

// Limits of Grid.
const (
	defaultPoints = 25
	mostPoints    = 10_000_000
)

// Start begins a run.
func (m Grid) Start(p *bilevel.Problem, at bilevel.Point, _ uint64) (bilevel.Run, error) {
	if m.Points == 0 {
		m.Points = defaultPoints
	}
	if m.Points < 2 || m.Points > mostPoints {
		return nil, fmt.Errorf("blackbox: a grid with Points = %d: use 2 to %d, or 0 for %d",
			m.Points, mostPoints, defaultPoints)
	}
	s, err := newSearch(m.Solve, p, at)
	if err != nil {
		return nil, err
	}
	r := &gridRun{search: s, points: m.Points}
	if m.Product {
		r.product = 1
		for range s.x {
			if r.product *= m.Points; r.product > mostPoints {
				return nil, fmt.Errorf("blackbox: the product of %d points in each of %d dimensions has more than %d candidates: "+
					"lower Points, or search the diagonal only", m.Points, len(s.x), mostPoints)
			}
		}
	}
	return r, nil
}

type gridRun struct {
	*search
	points  int
	product int // candidates of the product, 0 for none
	next    int // on the diagonal; past its end, points more than the place in the product
}

// Step evaluates the next candidate.
func (r *gridRun) Step(ctx context.Context) error {
	if r.next < r.points {
		for j := range r.x {
			r.set(j, r.points-1-r.next)
		}
		r.next++
		_, err := r.evaluate(ctx)
		return err
	}
	for r.next-r.points < r.product {
		diagonal := r.place(r.next - r.points)
		r.next++
		if !diagonal {
			_, err := r.evaluate(ctx)
			return err
		}
	}
	if r.failed == r.t {
		return fmt.Errorf("blackbox: none of the grid's %d candidates has a finite h: the first note says why", r.t)
	}
	return bilevel.ErrDone
}

// set gives x_j its k-th value.
func (r *gridRun) set(j, k int) {
	lo, hi := r.p.Lower[j], r.p.Upper[j]
	s := float64(k) / float64(r.points-1)
	r.x[j] = min(lo+s*(hi-lo), hi) // rounding must not leave the box
}

// place sets x to the i-th candidate of the product, in the order of a reflected Gray code, and reports
// whether it is on the diagonal.
func (r *gridRun) place(i int) (diagonal bool) {
	diagonal = true
	first := 0
	for j := len(r.x) - 1; j >= 0; j-- {
		k := i % r.points
		if i /= r.points; i%2 == 1 {
			k = r.points - 1 - k
		}
		if j == len(r.x)-1 {
			first = k
		}
		diagonal = diagonal && k == first
		r.set(j, r.points-1-k)
	}
	return diagonal
}

// State lists the run's variables.
func (r *gridRun) State(s *bilevel.State) {
	r.state(s)
	s.Index(&r.next, r.points+r.product+1)
}
