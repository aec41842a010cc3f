package valuefn

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/adapt"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// auto chooses multiplier and step sizes of a core from gradients: those of x as [adapt.Control] does. L_g and L_f are
// the largest curvatures of blocks, by differences of gradients, see [adapt.Curvature]. λ₀ is a multiple of L_f/L_g,
// fixed at the start; the inner step of coordinate i is 1/(2(L_g + e_i + L_f/λ)), which is stable for z and, divided by
// λ, for y. Where batches leave noise, and no anchor takes it away, it decays from then on as (1 + t/T₀)^(−4/7).
type auto struct {
	*adapt.Control
	r          *core
	g, f       adapt.Curvature
	steps      []float64 // of each coordinate of z, before decay
	full       []float64 // 1/(L_g + e)
	shortest   int       // K, at least
	pass       int       // steps in which all samples are visited
	measured   int64     // samples visited before the last measurement
	noisy      bool      // batches leave noise
	after      float64   // T₀, with batches
	at, d0, d1 []float64 // scratch
}

const (
	exactMultiple   = 30  // λ₀L_g/L_f without noise
	sampledMultiple = 5   // and with it
	solvedStretch   = 4   // the shortest K where steps take all samples and solve for z
	exactStretch    = 8   // the same where they do not solve
	sampledStretch  = 160 // the same in steps of y and z, where they do not
	decayAfter      = 10  // T₀, relative to the shortest K and to a pass over all samples
	payAfter        = 8   // looks at curvature wait for so many times the samples that they visit
)

func newAuto(r *core) *auto {
	d := len(r.z)
	v := func() []float64 { return make([]float64, d) }
	a := &auto{r: r, g: adapt.NewCurvature(d), f: adapt.NewCurvature(d), steps: v(), full: v(), at: v(), d0: v(), d1: v()}
	a.Control = &adapt.Control{Safety: 1}
	a.pass, a.shortest = max(r.xi.Blocks(), r.zeta.Blocks())/r.draws, exactStretch
	if r.solves {
		a.shortest = solvedStretch
	}
	if r.xi.Blocks() > 1 || r.zeta.Blocks() > 1 {
		a.shortest = max(16, sampledStretch/r.draws)
		a.after, a.noisy = float64(decayAfter*max(a.shortest, a.pass)), r.anchor == nil
	}
	if r.g.Exact != nil {
		a.g.FindDiagonal(a.exact, 1e-6)
	}
	a.measure(32, 4)
	a.g.SetDiagonal(a.exact)
	return a
}

// start begins to choose step sizes, the multiplier being known.
func (a *auto) start() {
	r := a.r
	a.setSteps()
	s := adapt.Settings{X: r.x, Inner: [][]float64{r.z, r.y}, Lower: r.p.Lower, Upper: r.p.Upper, Project: r.p.Project,
		AutoInner: r.autoInner, AutoOuter: r.autoOuter, Farthest: adapt.LargestMove, Share: adapt.StepShare,
		Shortest: a.shortest, Longest: 256 * max(a.shortest, a.pass), Patience: a.pass, Every: 8 * max(1, a.pass),
		Noisy: a.noisy}
	if r.parted() {
		s.Blocks, s.Share, s.Farthest = r.xi.Blocks(), 1, adapt.PartedMove
		s.Shortest, s.Patience = max(s.Shortest, s.Blocks), max(s.Patience, s.Blocks)
		s.Longest = 256 * s.Shortest
	}
	s.SlopeZ = a.g.Slope(r.z)
	some := min(8, r.xi.Blocks())
	for i := range some {
		b := r.xi.Block(i * r.xi.Blocks() / some)
		r.g.grad(a.d0, nil, r.z, r.x, b, 1)
		r.extra.GradG += int64(b.Len())
		s.SlopeZ = max(s.SlopeZ, norm(a.d0))
	}
	a.Control = adapt.New(s, a)
}

// multiplier is λ₀. Where f is not curved in z its slope takes the place of curvature.
func (a *auto) multiplier() float64 {
	r, l := a.r, a.f.L
	if l == 0 {
		b := r.zeta.Block(0)
		r.f.grad(a.d0, nil, r.z, r.x, b, 1)
		r.extra.GradF += int64(b.Len())
		l = norm(a.d0) / (1 + norm(r.z))
	}
	multiple := float64(exactMultiple)
	if a.noisy {
		multiple = sampledMultiple
	}
	stiffest := 0.0
	for _, e := range a.g.E {
		stiffest = max(stiffest, e)
	}
	if m := multiple * l / (a.g.L + stiffest); m > 0 && !math.IsInf(m, 0) {
		return m
	}
	return multiple
}

// difference sets dst to (∇z o(z + hv) − ∇z o(z))/h over b, which is zero where it is rounding errors; d0 is ∇z o(z).
func (a *auto) difference(o bilevel.Objective, dst, z, v []float64, b bilevel.Batch) {
	h := 0x1p-26 * (1 + norm(z)) // the root of the rounding error
	copy(a.at, z)
	kernel.Axpy(h, v, a.at)
	o.Grad(dst, nil, a.at, a.r.x, b)
	kernel.Axpy(-1, a.d0, dst)
	if norm(dst) <= 16*0x1p-52*norm(a.d0) {
		clear(dst)
	}
	kernel.Scale(1/h, dst)
}

// exact multiplies v by the Hessian of g's exact part.
func (a *auto) exact(dst, v []float64) {
	a.r.g.Exact.Grad(a.d0, nil, a.r.z, a.r.x, sampling.Exactly)
	a.difference(a.r.g.Exact, dst, a.r.z, v, sampling.Exactly)
}

// raise raises the curvature c of o to those of some blocks of s, at z.
func (a *auto) raise(c *adapt.Curvature, o bilevel.Objective, z []float64, s *sampling.Sampler, blocks, products int,
	count *int64) {
	last := -1
	c.Raise(blocks, s.Blocks(), products, func(dst, v []float64, block int) {
		b := s.Block(block)
		if block != last {
			o.Grad(a.d0, nil, z, a.r.x, b)
			*count += int64(b.Len())
			last = block
		}
		a.difference(o, dst, z, v, b)
		*count += int64(b.Len())
	})
}

// measure raises L_g and L_f to those of some blocks at the current point.
func (a *auto) measure(blocks, products int) {
	r, g := a.r, a.r.g.Sampled
	if r.g.Exact != nil && !a.g.Diagonal {
		g = r.g.Whole
	}
	a.raise(&a.g, g, r.z, r.xi, blocks, products, &r.extra.GradG)
	a.raise(&a.f, r.f.Whole, r.y, r.zeta, blocks, products, &r.extra.GradF)
}

// Measure is described at [adapt.Run].
func (a *auto) Measure(blocks, products int) {
	r := a.r
	cost := int64((products+1)*blocks) * int64(r.xi.Block(0).Len()+r.zeta.Block(0).Len())
	if now := r.Counts().Total(); now-a.measured >= payAfter*cost || blocks > 1 {
		a.measure(blocks, products)
		a.measured = now
	}
	a.g.SetDiagonal(a.exact)
	a.setSteps()
}

// setSteps sets the inner steps from the curvature.
func (a *auto) setSteps() {
	s := a.Safety
	a.g.Steps(a.full, a.g.L/s, 1/s)
	a.g.Steps(a.steps, 2*(a.g.L+a.f.L/a.r.kappa)/s, 2/s)
}

// approach moves z along −d, with a share of the step 1/(L_g + e_i).
func (a *auto) approach(z, d []float64, share float64) {
	for i, s := range a.full {
		z[i] -= share * s * d[i]
	}
}

// slowness is how much the inner step has decayed.
func (a *auto) slowness(t int64) float64 {
	if !a.noisy {
		return 1
	}
	return math.Pow(1+float64(t)/a.after, 4./7)
}

// Slopes is described at [adapt.Run]. The direction of y is no scale: it grows with λ.
func (a *auto) Slopes() (z, v float64) { return norm(a.r.dz), 0 }

// Lag is described at [adapt.Run]. That of z says little here: y counts.
func (a *auto) Lag([]float64, int64) float64 { return 0 }

// Value is described at [adapt.Run]: h is about the penalised objective.
func (a *auto) Value(float64) (h, off float64) {
	r, all := a.r, bilevel.All(a.r.g.Whole)
	r.extra.ValueF += int64(r.zeta.Samples())
	r.extra.ValueG += 2 * int64(r.xi.Samples())
	gap := r.kappa * (r.g.Whole.Value(r.y, r.x, all) - r.g.Whole.Value(r.z, r.x, all))
	return r.f.Whole.Value(r.y, r.x, bilevel.All(r.f.Whole)) + gap, math.Abs(gap)
}

// stepX makes the step x = P(x − γ dx): γ is rate, or automatic.
func (r *core) stepX(rate float64) {
	if r.autoOuter {
		r.auto.Move(r.x, r.dx, 0, 1)
	} else {
		kernel.Axpy(-rate, r.dx, r.x)
	}
	if r.bounded {
		r.p.ProjectX(r.x)
	}
}

func (a *auto) state(s *bilevel.State) {
	a.Control.State(s)
	a.g.State(s)
	a.f.State(s)
	s.Fixed(a.steps, a.full)
	s.Count64(&a.measured)
}
