package blackbox

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"gonum.org/v1/gonum/floats"
)

// Solve says how the inner problem is solved at each candidate. The zero value works.
type Solve struct {
	// Solver solves the inner problem of an inner objective. The default is inner.Auto{}.
	Solver inner.Solver
	// Iteration solves a fixed-point problem by iterating Φ.
	Iteration inner.Iteration
	// Tol is the tolerance of ‖∇z g‖₂, or of ‖Φ(z, x) − z‖₂, relative to its size at the candidate for z = 0 or
	// for the start's z, whichever is larger. The default is 1e-8.
	Tol float64
}

const defaultTol = 1e-8

// search is what the methods share: the box, the evaluation of h, and the best point so far.
type search struct {
	p      *bilevel.Problem
	min    inner.Minimizer
	tol    float64
	counts bilevel.Counts
	z0     []float64 // the start's z

	z, x   []float64 // the last candidate; z is where the next inner problem starts
	resid  []float64
	best   bilevel.Point
	value  float64 // h of best, NaN before the first evaluation
	t      int64   // evaluations
	failed int64   // candidates where h is not finite
	warned bool    // the last inner problem was not solved
	notes  []string
}

func newSearch(s Solve, p *bilevel.Problem, at bilevel.Point) (*search, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := needBox(p); err != nil {
		return nil, err
	}
	if f, ok := p.Outer.(*bilevel.Func); ok && f.Eval == nil {
		return nil, errors.New("blackbox: outer objective: the Func lacks Eval, the only thing that is needed of it")
	}
	if !(s.Tol >= 0) || math.IsInf(s.Tol, 0) {
		return nil, fmt.Errorf("blackbox: the tolerance of inner problems is %v; it must be positive, or 0 for %g",
			s.Tol, defaultTol)
	}
	if s.Tol == 0 {
		s.Tol = defaultTol
	}
	r := &search{p: p, tol: s.Tol, value: math.NaN()}
	var err error
	if p.Fixed != nil {
		if s.Solver != nil {
			return nil, fmt.Errorf("blackbox: Solver is %T, a solver of inner objectives, "+
				"and this problem has a fixed-point map (Problem.Fixed): leave it nil and use Iteration", s.Solver)
		}
		r.min, err = s.Iteration.Start(p.Fixed, &r.counts)
	} else {
		if s.Iteration != (inner.Iteration{}) {
			return nil, errors.New("blackbox: Iteration is for fixed-point maps, " +
				"and this problem has an inner objective (Problem.Inner): use Solver")
		}
		if s.Solver == nil {
			s.Solver = inner.Auto{}
		}
		r.min, err = s.Solver.Start(p.Inner, &r.counts)
	}
	if err != nil {
		return nil, err
	}
	if r.best, err = p.StartPoint(at); err != nil {
		return nil, err
	}
	r.best.V = nil
	clone := func(s []float64) []float64 { return append([]float64(nil), s...) }
	r.z0, r.z, r.x = clone(r.best.Z), clone(r.best.Z), clone(r.best.X)
	r.resid = make([]float64, len(r.z))
	return r, nil
}

// needBox reports a domain of x that is not a bounded box.
func needBox(p *bilevel.Problem) error {
	const what = "blackbox: candidates are drawn from a box, and "
	if p.Project != nil {
		return errors.New(what + "the domain of x is a projection: set Problem.Lower and Upper instead")
	}
	if p.Lower == nil || p.Upper == nil {
		return errors.New(what + "x has no lower or no upper bounds: set Problem.Lower and Upper")
	}
	for j, lo := range p.Lower {
		if hi := p.Upper[j]; math.IsInf(hi-lo, 0) {
			return fmt.Errorf(what+"the bounds of x[%d] are [%v, %v]: make them finite", j, lo, hi)
		}
	}
	return nil
}

// evaluate computes h at the candidate r.x, +Inf where there is none, and keeps the best. It is an error that no
// candidate had a finite h.
func (r *search) evaluate(ctx context.Context) (float64, error) {
	r.t++
	h, err := r.at(ctx)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err == nil && !math.IsNaN(h) && !math.IsInf(h, 0) {
		if !(h >= r.value) {
			copy(r.best.Z, r.z)
			copy(r.best.X, r.x)
			r.value = h
		}
		return h, nil
	}
	if err == nil {
		err = fmt.Errorf("blackbox: f = %v at the solution of the inner problem", h)
	}
	r.failed++
	if r.failed == 1 {
		r.notes = append(r.notes, fmt.Sprintf("candidate %d is left out, and so are others like it: %v", r.t, err))
	}
	copy(r.z, r.best.Z) // do not start from what failed
	if r.failed == r.t && r.t >= patience {
		return 0, fmt.Errorf("blackbox: none of %d candidates has a finite h, the last one, x = %.4g, for this reason: %w",
			r.t, r.x, err)
	}
	return math.Inf(1), nil
}

// patience is how many candidates may fail before one has not.
const patience = 50

// at is f(z, x) with z the solution of the inner problem at x.
func (r *search) at(ctx context.Context) (float64, error) {
	_, err := r.min.Minimize(ctx, r.z, r.x, r.tol*r.scale())
	var unsolved *inner.NotConvergedError
	if err != nil && !errors.As(err, &unsolved) {
		// The solution of another candidate may be no place to start from.
		copy(r.z, r.z0)
		_, err = r.min.Minimize(ctx, r.z, r.x, r.tol*r.scale())
	}
	switch {
	case errors.As(err, &unsolved):
		if !r.warned {
			r.notes = append(r.notes, fmt.Sprintf("candidate %d: %v", r.t, err))
		}
		r.warned = true
	case err != nil:
		return 0, err
	default:
		r.warned = false
	}
	all := bilevel.All(r.p.Outer)
	r.counts.ValueF += int64(all.Len())
	return r.p.Outer.Value(r.z, r.x, all), nil
}

// scale is the size of ∇z g or Φ − z at the candidate where nothing has been solved.
func (r *search) scale() float64 {
	scale := 0.0
	for k, z := range [][]float64{make([]float64, len(r.z)), r.z0} {
		if k == 1 && floats.Norm(z, math.Inf(1)) == 0 {
			break // the same place
		}
		if phi := r.p.Fixed; phi != nil {
			phi.Map(r.resid, z, r.x, bilevel.Batch{Lo: 0, Hi: phi.Samples()})
			floats.Sub(r.resid, z)
			r.counts.GradG += int64(phi.Samples())
		} else {
			all := bilevel.All(r.p.Inner)
			r.p.Inner.Grad(r.resid, nil, z, r.x, all)
			r.counts.GradG += int64(all.Len())
		}
		if n := floats.Norm(r.resid, 2); !math.IsInf(n, 0) && !math.IsNaN(n) {
			scale = max(scale, n)
		}
	}
	if scale == 0 {
		return 1
	}
	return scale
}

// Point is the best point so far, before the first step the start.
func (r *search) Point() bilevel.Point {
	return bilevel.Point{
		Z: append([]float64(nil), r.best.Z...),
		X: append([]float64(nil), r.best.X...),
	}
}

// Counts is described at [bilevel.Run].
func (r *search) Counts() bilevel.Counts { return r.counts }

// Progress returns h at the best point. Nothing is known of the gradient.
func (r *search) Progress() (value, gradNorm float64) { return r.value, math.NaN() }

// Notes is described at [bilevel.Noter].
func (r *search) Notes() []string {
	n := r.notes
	r.notes = nil
	return n
}

func (r *search) state(s *bilevel.State) {
	s.Counts(&r.counts)
	s.Count64(&r.t)
	s.Count64(&r.failed)
	s.Fixed(r.z, r.x, r.best.Z, r.best.X)
	s.Float(&r.value)
	s.Bool(&r.warned)
	s.Strings(&r.notes)
}
