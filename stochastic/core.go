package stochastic

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

const defaultBatch = 64

// config is what the methods of this package have in common.
type config struct {
	batch        int
	inner, outer Rate
	shuffle      bool
	clip         float64
	decaying     bool // an automatic inner step decays, because the noise does not
}

func (c config) check() error {
	if c.batch < 0 {
		return fmt.Errorf("stochastic: a batch of %d samples", c.batch)
	}
	if !(c.clip >= 0) {
		return fmt.Errorf("stochastic: clipping at norm %v; it must be positive, or 0 for none", c.clip)
	}
	if err := c.inner.check("inner"); err != nil {
		return err
	}
	return c.outer.check("outer")
}

// core is a run's point and how it moves: a method fills the directions dz, dv and dx with its estimates at
// the current point, and advance makes the simultaneous step
//
//	z −= ρ D_z,   v −= ρ D_v,   x = P(x − γ D_x).
type core struct {
	config
	p       *bilevel.Problem
	g       inner
	f       level
	bounded bool

	z, x, v    []float64
	dz, dv, dx []float64
	ez, ex     []float64 // the exact part of f
	// A narrow step moves x only where the batch of g has derivatives: nothing else depends on x.
	narrow bool
	t      int64
	gi, fo *Sampler // ξ and ζ
	extra  bilevel.Counts
	auto   *auto // nil if both step sizes are given
}

func newCore(cfg config, p *bilevel.Problem, at bilevel.Point, seed uint64) (*core, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Inner == nil {
		return nil, fmt.Errorf("stochastic: this method needs the inner problem as an objective, not as a fixed point")
	}
	c := &core{config: cfg, p: p, bounded: p.Bounded()}
	var err error
	if c.g, err = newInner(p.Inner); err != nil {
		return nil, fmt.Errorf("inner objective: %w", err)
	}
	if c.f, err = newOuter(p.Outer); err != nil {
		return nil, fmt.Errorf("outer objective: %w", err)
	}
	start, err := p.StartPoint(at)
	if err != nil {
		return nil, err
	}
	c.z, c.x, c.v = start.Z, start.X, start.V
	c.dz, c.dv, c.dx = make([]float64, len(c.z)), make([]float64, len(c.z)), make([]float64, len(c.x))
	if c.f.exact != nil {
		c.ez, c.ex = make([]float64, len(c.z)), make([]float64, len(c.x))
	}
	c.narrow = c.g.local != nil && !c.g.exactX && !c.f.sampledX && !c.f.exactX && p.Project == nil && c.clip == 0
	if c.batch == 0 {
		c.batch = defaultBatch
	}
	c.gi = NewSampler(NewPartition(p.Inner.Samples(), c.batch), seed, 1, cfg.shuffle)
	c.fo = NewSampler(NewPartition(p.Outer.Samples(), c.batch), seed, 2, cfg.shuffle)
	if c.inner.Auto() || c.outer.Auto() {
		c.auto = newAuto(c)
	}
	return c, nil
}

// rates returns ρ and γ of the coming step. Where γ is automatic it is a vector, and the number means nothing.
func (c *core) rates() (rho, gamma float64) {
	if c.auto != nil && c.inner.Auto() {
		rho = c.auto.rho
	} else {
		rho = c.inner.At(c.t + 1)
	}
	if !c.outer.Auto() {
		gamma = c.outer.At(c.t + 1)
	}
	return rho, gamma
}

// exact starts the directions with the parts that are not sampled.
func (c *core) exact() {
	if !c.narrow && !c.g.exactAll {
		clear(c.dx)
	}
	if c.g.exact == nil {
		clear(c.dz)
		clear(c.dv)
	} else {
		dx := c.dx
		if !c.g.exactX {
			dx = nil
		}
		c.g.exactG.Products(c.dz, c.dv, dx, c.z, c.x, c.v, one)
	}
	if c.f.exact == nil {
		return
	}
	if !c.f.exactX {
		c.f.exact.Grad(c.ez, nil, c.z, c.x, one)
	} else {
		clear(c.ex)
		c.f.exact.Grad(c.ez, c.ex, c.z, c.x, one)
		kernel.Axpy(1, c.ex, c.dx)
	}
	kernel.Axpy(1, c.ez, c.dv)
}

// prefetch asks for the rows of the next batches.
func (c *core) prefetch() {
	if c.g.pre != nil {
		c.g.pre.Prefetch(c.gi.Ahead())
	}
	if c.f.pre != nil {
		c.f.pre.Prefetch(c.fo.Ahead())
	}
}

// advance makes the step along the directions. Only x[lo:hi) moves.
func (c *core) advance(lo, hi int) {
	rho, gamma := c.rates()
	if c.clip > 0 {
		clip(c.dz, c.clip)
		clip(c.dv, c.clip)
		clip(c.dx[lo:hi], c.clip)
	}
	if c.inner.Auto() {
		c.auto.moveInner(c)
		c.stepX(gamma, lo, hi)
		return
	}
	c.step(rho, rho, gamma, lo, hi)
}

// step moves z, v and x[lo:hi) with a step size each.
func (c *core) step(rhoZ, rhoV, gamma float64, lo, hi int) {
	kernel.Axpy(-rhoZ, c.dz, c.z)
	kernel.Axpy(-rhoV, c.dv, c.v)
	c.stepX(gamma, lo, hi)
}

// stepX moves x[lo:hi) and ends the step.
func (c *core) stepX(gamma float64, lo, hi int) {
	if hi > lo {
		x, dx := c.x[lo:hi], c.dx[lo:hi]
		if c.outer.Auto() {
			c.auto.move(x, dx, lo)
		} else {
			kernel.Axpy(-gamma, dx, x)
		}
		switch {
		case !c.bounded:
		case hi-lo == len(c.x):
			c.p.ProjectX(c.x)
		default:
			c.clamp(x, lo)
		}
	}
	c.t++
}

// clamp projects part of x, which starts at coordinate lo, onto the box.
func (c *core) clamp(x []float64, lo int) {
	if l := c.p.Lower; l != nil {
		for j, b := range l[lo : lo+len(x)] {
			x[j] = max(x[j], b)
		}
	}
	if u := c.p.Upper; u != nil {
		for j, b := range u[lo : lo+len(x)] {
			x[j] = min(x[j], b)
		}
	}
}

// clip scales d to norm at most c.
func clip(d []float64, c float64) {
	if n := norm(d); n > c {
		kernel.Scale(c/n, d)
	}
}

func norm(d []float64) float64 { return math.Sqrt(kernel.Dot(d, d)) }

// Counts says how many samples the oracle calls have visited. Exact parts are not sampled and do not count.
func (c *core) Counts() bilevel.Counts {
	n := c.extra
	g, f := c.gi.Visited(), c.fo.Visited()
	n.GradG += g
	n.HessG += g
	n.CrossG += g
	n.GradF += f
	return n
}

// Point is a copy of the current point.
func (c *core) Point() bilevel.Point {
	clone := func(s []float64) []float64 { return append(make([]float64, 0, len(s)), s...) }
	return bilevel.Point{Z: clone(c.z), X: clone(c.x), V: clone(c.v)}
}

// Notes returns what automatic step sizes had to report.
func (c *core) Notes() []string {
	if c.auto == nil {
		return nil
	}
	n := c.auto.notes
	c.auto.notes = nil
	return n
}

func (c *core) state(s *bilevel.State) {
	s.Fixed(c.z, c.x, c.v)
	s.Int64(&c.t)
	c.gi.State(s)
	c.fo.State(s)
	for _, n := range []*int64{&c.extra.ValueF, &c.extra.GradF, &c.extra.GradG, &c.extra.HessG, &c.extra.CrossG} {
		s.Int64(n)
	}
	if c.auto != nil {
		c.auto.state(s)
	}
}
