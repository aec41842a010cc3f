package stochastic

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/adapt"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// auto chooses the step sizes of a core: γ as [adapt.Control] does, and ρ = 1/(3L), where L is the largest curvature
// ‖∇²zz g_ξ‖ of blocks. Where an exact part has a diagonal Hessian coordinate i has the step 1/(3(L + e_i)), see
// [adapt.Curvature].
type auto struct {
	*adapt.Control
	c     *core
	curve adapt.Curvature
	rho   float64   // where the diagonal is zero
	steps []float64 // of each coordinate of z and v
}

// vanishingStretch is the shortest K of a step that draws one batch, where noise vanishes at a solution.
const vanishingStretch = 160

func newAuto(c *core) *auto {
	d := len(c.z)
	a := &auto{c: c, curve: adapt.NewCurvature(d), steps: make([]float64, d)}
	pass := max(c.gi.Blocks(), c.fo.Blocks())
	shortest := pass // noise that lasts is averaged over all samples, at least
	if !c.decaying {
		shortest = min(vanishingStretch, pass)
	}
	s := adapt.Settings{X: c.x, Inner: [][]float64{c.z, c.v}, Lower: c.p.Lower, Upper: c.p.Upper, Project: c.p.Project,
		AutoInner: c.inner.Auto(), AutoOuter: c.outer.Auto(),
		Random: c.random || c.spread > 1, Farthest: adapt.LargestMove, Share: adapt.StepShare * float64(c.spread),
		Shortest: max(16, 4*c.spread, shortest/c.draws), Every: 4 * max(c.fo.Blocks()/c.draws, 1),
		Noisy: c.decaying || c.random, Slows: !c.decaying || !c.inner.Auto()}
	s.Patience = max(4*s.Shortest, pass/c.draws)
	if c.g.Local != nil && c.fx == nil && !c.random { // a batch knows only its part of the direction of x
		s.Blocks = c.gi.Blocks()
		s.Shortest, s.Share, s.Farthest = max(s.Shortest, s.Blocks), 1, adapt.PartedMove
		s.Patience = s.Shortest // what a coordinate knows of its direction changes from pass to pass
	}
	s.Longest = 256 * s.Shortest
	a.Control = &adapt.Control{Safety: 1}
	if c.inner.Auto() {
		if c.g.exactG != nil {
			a.curve.FindDiagonal(a.exact, 1e-14)
		}
		a.Measure(32, 4)
	}
	s.SlopeZ = max(a.curve.Slope(c.z), a.steepest(c.g.Whole, c.gi, &c.counts.GradG))
	s.SlopeV = a.steepest(c.f.Whole, c.fo, &c.counts.GradF)
	a.Control = adapt.New(s, a)
	return a
}

// steepest is the largest norm of the z-gradients of some blocks.
func (a *auto) steepest(o bilevel.Objective, s *sampling.Sampler, count *int64) (top float64) {
	some := min(32, s.Blocks())
	for i := range some {
		b := s.Block(i * s.Blocks() / some)
		o.Grad(a.c.gz, nil, a.c.z, a.c.x, b)
		*count += int64(b.Len())
		if n := norm(a.c.gz); i == 0 || n > top {
			top = n
		}
	}
	return top
}

// exact multiplies v by the Hessian of g's exact part.
func (a *auto) exact(dst, v []float64) {
	a.c.g.exactG.Products(nil, dst, nil, a.c.z, a.c.x, v, sampling.Exactly)
}

// Measure is described at [adapt.Run].
func (a *auto) Measure(blocks, products int) {
	c := a.c
	a.curve.Raise(blocks, c.gi.Blocks(), products, func(dst, v []float64, block int) {
		b := c.gi.Block(block)
		c.counts.HessG += int64(b.Len())
		c.g.sampledG.Products(nil, dst, nil, c.z, c.x, v, b)
		if c.g.exactG != nil && !a.curve.Diagonal {
			a.exact(a.steps, v)
			kernel.Axpy(1, a.steps, dst)
		}
	})
	a.setRho()
}

// setRho sets the inner steps from the curvature, and γ with them.
func (a *auto) setRho() {
	c := a.c
	a.curve.SetDiagonal(a.exact)
	l := 3 * a.curve.L / a.Safety
	if c.decaying {
		l *= math.Sqrt(1 + float64(c.t)/float64(10*max(16, c.gi.Blocks(), c.fo.Blocks())))
	}
	if l == 0 && !a.curve.Diagonal {
		l = 1
	}
	a.curve.Steps(a.steps, l, 3/a.Safety)
	old := a.rho
	if a.rho = 1 / l; !math.IsInf(old, 0) {
		a.Rescale(a.rho / old)
	}
}

// Slopes is described at [adapt.Run].
func (a *auto) Slopes() (z, v float64) { return norm(a.c.dz), norm(a.c.dv) }

// Lag is described at [adapt.Run]. It is about ⟨v, ∇z g⟩ = −⟨v, δz⟩/ρ for the displacement δz of one step.
func (a *auto) Lag(zs []float64, steps int64) (lag float64) {
	c := a.c
	for i, v := range c.v {
		rho := c.rate()
		if c.inner.Auto() {
			rho = a.steps[i]
		}
		lag -= v * (c.z[i] - zs[i]) / rho
	}
	return lag / (float64(c.moves) * float64(steps))
}

// Value is described at [adapt.Run].
func (a *auto) Value(lag float64) (h, off float64) {
	c := a.c
	c.counts.ValueF += int64(c.fo.Samples())
	return c.f.Whole.Value(c.z, c.x, bilevel.All(c.f.Whole)) + lag, math.Abs(lag)
}

// descend makes dst −= ρ d.
func (a *auto) descend(dst, d []float64) {
	if !a.curve.Diagonal {
		kernel.Axpy(-a.rho, d, dst)
		return
	}
	d = d[:len(a.steps)]
	dst = dst[:len(a.steps)]
	for i, s := range a.steps {
		dst[i] -= s * d[i]
	}
}

// series is the step size of coordinate i in a Neumann series for blocks of curvature l: it needs no averaging of noise
// and does not decay.
func (a *auto) series(i int, l float64) float64 {
	if l += a.curve.E[i]; l > 0 {
		return 1.5 * a.Safety / l
	}
	return 1.5
}

func (a *auto) state(s *bilevel.State) {
	a.Control.State(s)
	a.curve.State(s)
	s.Float(&a.rho)
	s.Fixed(a.steps)
}
