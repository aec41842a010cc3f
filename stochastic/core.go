package stochastic

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

const (
	defaultBatch = 64
	chunk        = 1024 // the largest batch whose coefficients are kept: a longer pass uses more than one core
)

// config is what the methods of this package have in common.
type config struct {
	batch        int
	inner, outer Rate
	shuffle      bool
	clip         float64
	decaying     bool // an automatic inner step decays, because the noise does not
	moves        int  // of z in a step; 0 means 1
	draws        int  // how many batches of g a step draws, roughly; 0 means 1
	firstOrder   bool // second-order products are not used
	spread       int  // only one step of so many moves x far, as with a random number of terms; 0 means 1
	random       bool // the direction of x is random, even where batches are all samples, and moves all of x
}

func (c config) check() error {
	if c.batch < 0 {
		return fmt.Errorf("stochastic: a batch of %d samples", c.batch)
	}
	if !(c.clip >= 0) {
		return fmt.Errorf("stochastic: clipping at norm %v; it must be positive, or 0 for none", c.clip)
	}
	if err := c.inner.Check("inner"); err != nil {
		return err
	}
	return c.outer.Check("outer")
}

// core is a run's point, the estimates that its batches give, and how it moves. A method fills the directions dz,
// dv and dx, moves along them, and ends the step.
type core struct {
	config
	p       *bilevel.Problem
	g       inner
	f       sampling.Level
	bounded bool

	z, x, v    []float64
	dz, dv, dx []float64
	// A narrow step moves x only where the batch of g has derivatives: nothing else depends on x.
	narrow bool
	t      int64
	gi, fo *sampling.Sampler // ξ and ζ
	block  int               // the block of ξ drawn last
	last   sampling.Draw     // the batch of drawCross where it draws none: that block

	allG, allF sampling.Draw // all samples
	counts     bilevel.Counts
	auto       *auto  // nil if both step sizes are given
	held       *held  // the direction of x that lasts from step to step; nil if there is none
	reset      func() // makes estimates that remember earlier points forget them; nil if there are none

	gz, gh, gx []float64 // what the sampled part gives
	cg, ch, cf []float64 // coefficients of a batch of g and of f, where z is long
	fz, fx     []float64 // the gradient of f; fx is nil if x does not enter
	shrinks    bool      // the exact part of g is ½·shrink‖z‖², or nothing
	shrink     float64
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
	if c.g, err = newInner(p.Inner, cfg.firstOrder); err != nil {
		return nil, fmt.Errorf("inner objective: %w", err)
	}
	if c.f, err = sampling.NewLevel(p.Outer); err != nil {
		return nil, fmt.Errorf("outer objective: %w", err)
	}
	start, err := p.StartPoint(at)
	if err != nil {
		return nil, err
	}
	c.z, c.x, c.v = start.Z, start.X, start.V
	vector := func(like []float64, needed bool) []float64 {
		if !needed {
			return nil
		}
		return make([]float64, len(like))
	}
	c.dz, c.dv, c.dx = vector(c.z, true), vector(c.z, true), vector(c.x, true)
	c.gz, c.gh, c.fz = vector(c.z, true), vector(c.z, true), vector(c.z, true)
	c.gx, c.fx = vector(c.x, c.g.SampledX || c.f.SampledX), vector(c.x, c.f.SampledX || c.f.ExactX)
	c.narrow = !cfg.random && c.g.Local != nil && !c.g.ExactX && c.fx == nil && p.Project == nil && c.clip == 0
	if c.batch == 0 {
		c.batch = defaultBatch
	}
	c.moves, c.draws, c.spread = max(c.moves, 1), max(c.draws, 1), max(c.spread, 1)
	if s, ok := c.g.Exact.(bilevel.Separable); ok {
		c.shrink = s.Shrink()
	}
	c.shrinks = c.g.Exact == nil || c.shrink > 0
	adds := (c.shrinks || len(c.z) >= accumulateFrom) && c.batch <= chunk
	if adds && c.g.Linear != nil {
		c.cg = make([]float64, c.g.Linear.Scores()*c.batch)
		c.ch = make([]float64, len(c.cg))
	}
	if adds && c.f.Linear != nil && c.f.Exact == nil && c.fx == nil {
		c.cf = make([]float64, c.f.Linear.Scores()*c.batch)
	}
	c.gi = sampling.NewSampler(sampling.NewPartition(p.Inner.Samples(), c.batch), seed, 1, cfg.shuffle)
	c.fo = sampling.NewSampler(sampling.NewPartition(p.Outer.Samples(), c.batch), seed, 2, cfg.shuffle)
	if c.inner.Auto() || c.outer.Auto() {
		c.auto = newAuto(c)
	}
	return c, nil
}

// accumulateFrom is the length of z from which combinations of rows are added to directions, which spares a pass over
// each: for shorter ones a single pass from rows to products takes up to 5% less (logistic rows; even from 128 on).
// Where a step adds to z and v themselves it takes less at any length: in cleaning at batch 1 SOBA takes 1/1.2 (d = 22)
// to 1/2.4 (d = 1,568) of the time, at batch 64 1/1.05.
const accumulateFrom = 128

// drawG draws a batch ξ of g and brings x up to date on it.
func (c *core) drawG() *sampling.Draw {
	xi := c.g.Next(c.gi)
	c.block = xi.Block
	if c.held != nil {
		c.held.catchUp(c.block)
	}
	return c.reach(xi)
}

// drawCross is drawG for products with ∇²xz g alone. Where x enters the exact part only they look at no row, and none
// is drawn: the batch is the last one, and the product counts as if it visited that, for what a method counts does not
// depend on where x enters.
func (c *core) drawCross() *sampling.Draw {
	if c.g.SampledX {
		return c.drawG()
	}
	c.last = sampling.Draw{Block: c.block, Batch: c.gi.Block(c.block), Weight: 1}
	return &c.last
}

// drawF draws a batch ζ of f.
func (c *core) drawF() *sampling.Draw {
	return c.f.Next(c.fo)
}

// all are the batches of all samples, under draws of their own.
func (c *core) all() (xi, zeta *sampling.Draw) { return c.wholes(c.gi.All(), c.fo.All()) }

// fixed are the batches of all samples under the fixed draw, for methods that are deterministic.
func (c *core) fixed() (xi, zeta *sampling.Draw) {
	return c.wholes(bilevel.All(c.p.Inner), bilevel.All(c.p.Outer))
}

func (c *core) wholes(g, f bilevel.Batch) (xi, zeta *sampling.Draw) {
	c.allG, c.allF = sampling.Draw{Batch: g, Weight: 1}, sampling.Draw{Batch: f, Weight: 1}
	return c.reach(&c.allG), &c.allF
}

// reach says what part of x a batch of g depends on.
func (c *core) reach(xi *sampling.Draw) *sampling.Draw {
	if c.g.SampledX {
		xi.Lo, xi.Hi = c.g.OuterRange(xi.Batch)
	}
	return xi
}

// span is the part of x that directions from batch ξ have: that which it depends on in narrow runs, all in others.
func (c *core) span(xi *sampling.Draw) (lo, hi int) {
	if c.narrow {
		return xi.Lo, xi.Hi
	}
	return 0, len(c.x)
}

// products overwrites dz = ∇z g, hv = ∇²zz g·v and cv = ∇²xz g·v with estimates at (z, x) from batch ξ: its weight
// times the sampled part and the exact part. A nil destination is not computed. In narrow runs cv is set only on ξ's
// span.
func (c *core) products(dz, hv, cv, z, x, v []float64, xi *sampling.Draw) {
	b, w := xi.Batch, xi.Weight
	n := int64(b.Hi - b.Lo)
	if dz != nil {
		c.counts.GradG += n
	}
	if hv != nil {
		c.counts.HessG += n
	}
	if cv != nil {
		c.counts.CrossG += n
	}
	if w == 1 && c.g.Local == nil { // where the weight is 1 the whole objective is the estimate
		c.g.wholeG.Products(dz, hv, cv, z, x, v, b)
		return
	}
	c.exactProducts(dz, hv, cv, z, x, v, xi)
	var gx []float64
	if cv != nil && c.g.SampledX {
		gx = c.gx[xi.Lo:xi.Hi]
	}
	if k := c.coefficients(c.g.Linear, c.cg, b); k > 0 {
		var cg, ch []float64
		if dz != nil {
			cg = c.cg[:k]
		}
		if hv != nil || gx != nil {
			ch = c.ch[:k]
		}
		c.g.Linear.Coefs(cg, ch, gx, z, x, v, b)
		c.g.Linear.Combine(dz, hv, cg, ch, w, 1, b)
		if gx != nil {
			kernel.Axpy(w, gx, cv[xi.Lo:xi.Hi])
		}
		return
	}
	var gz, gh []float64
	if dz != nil {
		gz = c.gz
	}
	if hv != nil {
		gh = c.gh
	}
	if c.g.Local != nil {
		c.g.Local.LocalProducts(gz, gh, gx, z, x, v, b)
	} else {
		c.g.sampledG.Products(gz, gh, gx, z, x, v, b)
	}
	if dz != nil {
		kernel.Axpy(w, gz, dz)
	}
	if hv != nil {
		kernel.Axpy(w, gh, hv)
	}
	if gx != nil {
		kernel.Axpy(w, gx, cv[xi.Lo:xi.Hi])
	}
}

// coefficients is how many coefficients batch b of l has, 0 if they have no room in c.
func (c *core) coefficients(l bilevel.Linear, room []float64, b bilevel.Batch) int {
	if room == nil || b.Hi-b.Lo > c.batch {
		return 0
	}
	return l.Scores() * (b.Hi - b.Lo)
}

// inPlace says whether the coming step may move z and v without forming their directions, and the step size ρ of
// both. With directions along which z and v only shrink the exact part needs none, and a step reads and writes half
// as much.
func (c *core) inPlace() (rho float64, ok bool) {
	switch {
	case !c.shrinks || c.clip > 0 || c.auto != nil && c.t+1 >= c.auto.Next: // automatic steps look at the directions
		return 0, false
	case !c.inner.Auto():
		return c.inner.At(c.t + 1), true
	case c.auto.curve.Diagonal:
		return c.auto.steps[0], true // of all coordinates: an exact part ½·shrink‖z‖² adds the same curvature to each
	}
	return c.auto.rho, true
}

// descendJointly makes the steps z ← z − ρ D_z and v ← v − ρ D_v along the directions of joint at the current point,
// and leaves D_x in dx. Where it can, it steps while the combinations of rows are made, without forming D_z and D_v.
func (c *core) descendJointly(xi, zeta *sampling.Draw) {
	rho, ok := c.inPlace()
	if !ok || !c.narrow || c.cg == nil || c.cf == nil {
		c.joint(c.dz, c.dv, c.dx, c.z, c.x, c.v, xi, zeta)
		c.descend(c.z, c.dz)
		c.descend(c.v, c.dv)
		return
	}
	n := int64(xi.Batch.Len())
	c.counts.GradG += n
	c.counts.HessG += n
	c.counts.CrossG += n
	c.counts.GradF += int64(zeta.Batch.Len())
	k, l := c.coefficients(c.g.Linear, c.cg, xi.Batch), c.coefficients(c.f.Linear, c.cf, zeta.Batch)
	dx := c.dx[xi.Lo:xi.Hi]
	c.g.Linear.Coefs(c.cg[:k], c.ch[:k], dx, c.z, c.x, c.v, xi.Batch)
	if xi.Weight != 1 {
		kernel.Scale(xi.Weight, dx)
	}
	c.f.Linear.Coefs(c.cf[:l], nil, nil, c.z, c.x, nil, zeta.Batch)
	c.g.Linear.Combine(c.z, c.v, c.cg[:k], c.ch[:k], -rho*xi.Weight, 1-rho*c.shrink, xi.Batch)
	c.f.Linear.Combine(c.v, nil, c.cf[:l], nil, -rho*zeta.Weight, 1, zeta.Batch)
}

// exactProducts overwrites the destinations with the part of g that is not sampled; cv only on ξ's span in narrow
// runs.
func (c *core) exactProducts(dz, hv, cv, z, x, v []float64, xi *sampling.Draw) {
	switch {
	case cv == nil:
	case c.narrow:
		clear(cv[xi.Lo:xi.Hi])
	case !c.g.ExactX:
		clear(cv)
	}
	if c.g.Exact == nil {
		clear(dz)
		clear(hv)
		return
	}
	if !c.g.ExactX {
		cv = nil
	}
	c.g.exactG.Products(dz, hv, cv, z, x, v, sampling.Exactly)
}

// gradF overwrites fz = ∇z f and fx = ∇x f with estimates at (z, x) from batch ζ. A nil destination is not computed.
func (c *core) gradF(fz, fx, z, x []float64, zeta *sampling.Draw) {
	b, w := zeta.Batch, zeta.Weight
	if c.fx == nil {
		fx = nil
	}
	if fz == nil && fx == nil {
		return
	}
	c.counts.GradF += int64(b.Hi - b.Lo)
	if w == 1 {
		c.f.Whole.Grad(fz, fx, z, x, b)
		return
	}
	c.exactGradF(fz, fx, z, x)
	var gz, gx []float64
	if fz != nil {
		gz = c.gz
	}
	if fx != nil && c.f.SampledX {
		gx = c.gx
	}
	c.f.Sampled.Grad(gz, gx, z, x, b)
	if fz != nil {
		kernel.Axpy(w, gz, fz)
	}
	if gx != nil {
		kernel.Axpy(w, gx, fx)
	}
}

// exactGradF overwrites the destinations with the part of ∇f that is not sampled.
func (c *core) exactGradF(fz, fx, z, x []float64) {
	if !c.f.ExactX {
		clear(fx)
	}
	if c.f.Exact == nil {
		clear(fz)
		return
	}
	if !c.f.ExactX {
		fx = nil
	}
	c.f.Exact.Grad(fz, fx, z, x, sampling.Exactly)
}

// joint overwrites dz, dv and dx with the estimates of
//
//	D_z = ∇z g,   D_v = ∇²zz g·v + ∇z f,   D_x = ∇²xz g·v + ∇x f
//
// at (z, x, v) from one batch of g and one of f. In narrow runs dx is set only on ξ's span.
func (c *core) joint(dz, dv, dx, z, x, v []float64, xi, zeta *sampling.Draw) {
	c.products(dz, dv, dx, z, x, v, xi)
	if k := c.coefficients(c.f.Linear, c.cf, zeta.Batch); k > 0 {
		c.counts.GradF += int64(zeta.Batch.Len())
		c.f.Linear.Coefs(c.cf[:k], nil, nil, z, x, nil, zeta.Batch)
		c.f.Linear.Combine(dv, nil, c.cf[:k], nil, zeta.Weight, 1, zeta.Batch)
		return
	}
	c.gradF(c.fz, c.fx, z, x, zeta)
	kernel.Axpy(1, c.fz, dv)
	if c.fx != nil {
		kernel.Axpy(1, c.fx, dx)
	}
}

// rate is the step size ρ of the coming step; where it is automatic and differs from coordinate to coordinate, the
// largest.
func (c *core) rate() float64 {
	if c.inner.Auto() {
		return c.auto.rho
	}
	return c.inner.At(c.t + 1)
}

// descend makes the step dst −= ρ d, for z or v. It clips d.
func (c *core) descend(dst, d []float64) {
	if c.clip > 0 {
		clip(d, c.clip)
	}
	if c.inner.Auto() {
		c.auto.descend(dst, d)
		return
	}
	kernel.Axpy(-c.inner.At(c.t+1), d, dst)
}

// stepX makes the step x ← P(x − γ dx) on ξ's span. It clips dx.
func (c *core) stepX(xi *sampling.Draw) { c.stepRange(c.span(xi)) }

// stepRange is stepX on x[lo:hi).
func (c *core) stepRange(lo, hi int) {
	if hi <= lo {
		return
	}
	if c.clip > 0 {
		clip(c.dx[lo:hi], c.clip)
	}
	if c.outer.Auto() {
		c.auto.Move(c.x[lo:hi], c.dx[lo:hi], lo, 1)
	} else {
		kernel.Axpy(-c.outer.At(c.t+1), c.dx[lo:hi], c.x[lo:hi])
	}
	c.project(lo, hi)
}

// project projects x, of which x[lo:hi) has moved, onto the domain.
func (c *core) project(lo, hi int) {
	switch {
	case !c.bounded:
	case hi-lo == len(c.x):
		c.p.ProjectX(c.x)
	default:
		c.clamp(c.x[lo:hi], lo)
	}
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

// end ends a step: automatic step sizes look at what it did.
func (c *core) end() {
	c.t++
	if c.auto == nil || !c.auto.Due(c.t) {
		return
	}
	if c.held != nil {
		c.held.catchUpAll()
	}
	if !c.auto.Look(c.t) {
		return
	}
	if c.held != nil {
		c.held.restart()
	}
	if c.reset != nil {
		c.reset()
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
func (c *core) Counts() bilevel.Counts { return c.counts }

// Point is a copy of the current point, with all steps of x made.
func (c *core) Point() bilevel.Point {
	clone := func(s []float64) []float64 { return append(make([]float64, 0, len(s)), s...) }
	at := bilevel.Point{Z: clone(c.z), X: clone(c.x), V: clone(c.v)}
	if c.held != nil {
		c.held.catchUpCopy(at.X)
	}
	return at
}

// Notes returns what automatic step sizes had to report.
func (c *core) Notes() []string {
	if c.auto == nil {
		return nil
	}
	return c.auto.TakeNotes()
}

// State lists the core's variables, x as it is; runs with more of their own add to it.
func (c *core) State(s *bilevel.State) {
	s.Fixed(c.z, c.x, c.v, c.dz, c.dv)
	s.Count64(&c.t)
	c.gi.State(s)
	c.fo.State(s)
	s.Counts(&c.counts)
	if c.held != nil {
		c.held.state(s)
	}
	if c.auto != nil {
		c.auto.state(s)
	}
}
