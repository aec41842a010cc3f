package valuefn

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// core is what the runs of this package share: a point with two inner variables, y whose outer objective counts and z
// that minimises g, their directions, the samplers of both levels, and automatic step sizes.
type core struct {
	p       *bilevel.Problem
	g, f    level
	bounded bool

	y, z, x    []float64
	dy, dz, dx []float64
	t          int64 // steps made

	xi, zeta *sampling.Sampler // ξ and ζ
	draws    int               // batches of each that a step draws, about
	anchor   *anchor           // nil where noise of batches stays
	solves   bool              // a step solves for z
	extra    bilevel.Counts    // beside those that the samplers count, a gradient of a level each

	kappa                float64 // the multiplier that automatic steps reckon with: λ, α or γ, and BOME's κ
	autoInner, autoOuter bool
	auto                 *auto // nil if all step sizes are given
}

// newCore begins a run with y = z. An exact part (see [bilevel.Splitter]) is not sampled.
func newCore(p *bilevel.Problem, at bilevel.Point, seed uint64, batch int, shuffle bool) (*core, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Inner == nil {
		return nil, errors.New("valuefn: this method needs the inner problem as an objective, not as a fixed point")
	}
	r := &core{p: p, bounded: p.Bounded()}
	var err error
	if r.g, err = newLevel(p.Inner); err != nil {
		return nil, fmt.Errorf("valuefn: inner objective: %w", err)
	}
	if r.f, err = newLevel(p.Outer); err != nil {
		return nil, fmt.Errorf("valuefn: outer objective: %w", err)
	}
	start, err := p.StartPoint(at)
	if err != nil {
		return nil, err
	}
	r.z, r.x = start.Z, start.X
	r.y = append([]float64(nil), r.z...)
	d, q := len(r.z), len(r.x)
	r.dy, r.dz, r.dx = make([]float64, d), make([]float64, d), make([]float64, q)
	r.sample(batch, seed, shuffle)
	return r, nil
}

// sample starts drawing batches of such a size.
func (r *core) sample(batch int, seed uint64, shuffle bool) {
	r.xi = sampling.NewSampler(sampling.NewPartition(r.p.Inner.Samples(), batch), seed, 1, shuffle)
	r.zeta = sampling.NewSampler(sampling.NewPartition(r.p.Outer.Samples(), batch), seed, 2, shuffle)
}

// parted says that a batch of g knows only its own part of the direction of x.
func (r *core) parted() bool {
	return r.g.Local != nil && r.xi.Blocks() > 1 && !r.g.ExactX && !bilevel.EntersX(r.f.Whole)
}

func norm(d []float64) float64 { return math.Sqrt(kernel.Dot(d, d)) }

// Counts says how many samples the oracle calls have visited. Exact parts are not sampled and do not count.
func (r *core) Counts() bilevel.Counts {
	n := r.extra
	n.GradG += r.xi.Visited()
	n.GradF += r.zeta.Visited()
	return n
}

// point is a copy of the current point with the inner variable z.
func (r *core) point(z []float64) bilevel.Point {
	return bilevel.Point{Z: append([]float64(nil), z...), X: append([]float64(nil), r.x...)}
}

// Notes returns what automatic step sizes had to report.
func (r *core) Notes() []string {
	if r.auto == nil {
		return nil
	}
	return r.auto.TakeNotes()
}

// state lists the variables of r.
func (r *core) state(s *bilevel.State) {
	s.Fixed(r.y, r.z, r.x)
	s.Count64(&r.t)
	r.xi.State(s)
	r.zeta.State(s)
	s.Counts(&r.extra)
	s.Float(&r.kappa)
	if r.auto != nil {
		r.auto.state(s)
	}
}
