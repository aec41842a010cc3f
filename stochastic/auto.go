package stochastic

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// auto chooses step sizes while a run goes on.
//
// The inner step is 1/(3L), where L is the largest curvature ‖∇²zz g_ξ‖ of blocks, found by power iterations at
// the current point and looked at again several times a stretch. An exact part whose Hessian is diagonal, such
// as ½ Σ e^{x_j} z_j², may be stiff in some coordinates: there L is that of the sampled part and coordinate i
// has the step 1/(3(L + e_i)), e_i the entry of the diagonal.
//
// The outer step is one number γ_j per coordinate. Time is divided into stretches of K steps, and the
// displacement δ of x over a stretch is −γ K times its mean hypergradient. Where δ_j keeps its sign from one
// stretch to the next γ_j grows; where it turns γ_j falls, and is halved if the swing grows (Jacobs 1988,
// "delta-bar-delta"). A stretch must be long enough for z and v to follow x: while x moves, z lags behind z*(x) by
// so much that f is off by about ⟨v, ∇z g⟩ = −⟨v, δz⟩/(ρK), and a stretch in which h falls by Σ δ_j²/(γ_j K) is as
// long as the lag when the two are equal; K doubles while the lag is longer.
//
// Noise has no lasting sign. A stretch consists of parts, between one look and the next, with displacements d_k. The
// order Σ_j (Σ_k d_kj)²/γ_j / Σ_jk d_kj²/γ_j is the number of parts where x goes straight on, about one where it walks
// at random, and less where it walks around a minimum. A random walk takes longer stretches and steps that decrease as
// 1/√t; walking around halves the steps (Pflug 1990).
//
// Where a batch knows only its part of the direction of x, as with a weight per row, a coordinate's direction is known
// about once a stretch: its sign says little, and many small parts of x are alike. There all γ_j are one number, which
// grows while the angle between the displacements of two stretches is clearly acute and is halved where it is clearly
// obtuse; no coordinate goes farther in a stretch than planned. The same number for all, without that bound, is for
// directions that are random by themselves, as that of PZOBO, and for domains of x that are no box: a step per
// coordinate would be cancelled, for the projection that belongs to it is that in the norm Σ d_j²/γ_j.
type auto struct {
	// Inner step.
	rho    float64   // current value, if automatic, where the diagonal is zero
	steps  []float64 // of each coordinate of z and v
	diag   bool      // the exact part's Hessian is diagonal
	ones   []float64
	safety float64 // halved by every divergence
	curv   float64 // L
	dir    []float64
	hv, he []float64
	probes int

	// Outer step.
	gamma    []float64 // per coordinate, all alike if shared; zero while measuring
	plan     []float64 // displacement expected of a stretch, at most
	last     []float64 // δ of the last stretch
	turned   []float64 // 1 once the coordinate has turned; if shared, the first is for all
	bounded  bool      // x stays within plan of xs
	sum      []float64 // ΣD_x, while measuring
	moving   bool
	length   int // K
	shortest int
	most     float64   // of the planned displacement, in one step
	fast     float64   // growth of γ_j until coordinate j first turns
	from     int64     // first step of this stretch
	xl       []float64 // x at the last look
	parts    float64   // Σ_jk d_kj²/γ_j of this stretch so far
	order    float64   // of the last stretches; few coordinates say little of one alone
	xs, zs   []float64 // the point at its start
	peak     float64   // distance covered by z and v while measuring
	moved    float64   // in the last stretch
	vs       []float64

	// Last good point, and the estimates of h that make it one.
	gz, gx, gv  []float64
	good        int64   // its step
	steepZ      float64 // ‖D_z‖ so far
	steepV      float64 // ‖D_v‖ so far
	valued      int64   // step of the last estimate, 0 for none
	first, best float64 // estimates of h
	value       float64 // the last one
	jitter      float64 // |change| of the last ones
	values      int
	restarts    int

	next  int64 // look at step next
	notes []string
}

const (
	fastGrowth  = 1.6 // of γ_j until coordinate j first turns
	growth      = 1.25
	shrink      = 0.5
	randomOrder = 2.      // x walks at random below this order
	restOrder   = 0.6     // and around a minimum below this one
	firstMove   = 0.01    // displacement of the first stretch, relative to 1 + |x|
	largestMove = 0.25    // largest planned displacement of a stretch, relative to 1 + |x_j|
	partedMove  = 2.      // the same where only a batch of its own moves a coordinate
	clearCosine = 0.1     // of the angle between two displacements, beyond which it is clearly acute or obtuse
	farthest    = 1. / 16 // of the planned displacement, in one step that knows all of the direction
	looks       = 8       // looks at curvature and displacement in a stretch, at least
	lookEvery   = 128     // steps between looks, at most
	longest     = 256     // K, relative to the shortest
	maxRestarts = 60
)

func newAuto(c *core) *auto {
	d, p := len(c.z), len(c.x)
	v := func(n int) []float64 { return make([]float64, n) }
	a := &auto{safety: 1, steps: v(d), ones: v(d), dir: v(d), hv: v(d), he: v(d), gamma: v(p), plan: v(p), last: v(p),
		turned: v(p), sum: v(p), xl: v(p), xs: v(p), zs: v(d), vs: v(d), gz: v(d), gx: v(p), gv: v(d)}
	for i := range a.dir {
		a.dir[i] = 1 + 0.5*math.Sin(float64(i)) // any vector with a part along the largest eigenvector
	}
	a.shortest = max(16, 4*c.spread, c.gi.Blocks()/c.draws, c.fo.Blocks()/c.draws)
	a.most, a.fast = farthest*float64(c.spread), fastGrowth
	if c.parted() {
		a.shortest = max(a.shortest, c.gi.Blocks())
		a.most = 1
		a.bounded = true
		a.fast = 2 // a stretch is a pass over all rows, at least
	}
	a.length = a.shortest
	if c.inner.Auto() {
		a.probeDiagonal(c)
		a.measure(c, 32, 4)
		a.setRho(c)
	}
	for i := range min(32, c.gi.Blocks()) {
		b := c.gi.Block(a.probe(c))
		c.g.whole.Grad(a.hv, nil, c.z, c.x, b)
		c.counts.GradG += int64(b.Len())
		if n := norm(a.hv); i == 0 || n > a.steepZ {
			a.steepZ = n
		}
	}
	for i := range min(32, c.fo.Blocks()) {
		b := c.fo.Block(i * c.fo.Blocks() / min(32, c.fo.Blocks()))
		c.f.whole.Grad(a.hv, nil, c.z, c.x, b)
		c.counts.GradF += int64(b.Len())
		if n := norm(a.hv); i == 0 || n > a.steepV {
			a.steepV = n
		}
	}
	a.save(c)
	a.begin(c)
	a.next = 8
	return a
}

// parted says that a batch knows only its part of the direction of x.
func (c *core) parted() bool { return c.g.local != nil && c.fx == nil && !c.random }

// shared says that all coordinates of x have the same automatic step.
func (c *core) shared() bool { return c.parted() || c.random || c.p.Project != nil }

// probe chooses a block to look at, spread evenly in the long run.
func (a *auto) probe(c *core) int {
	i := int(uint64(a.probes) * 0x9E3779B97F4A7C15 >> 32 % uint64(c.gi.Blocks()))
	a.probes++
	return i
}

// move steps part of x, which starts at coordinate lo.
func (a *auto) move(x, dx []float64, lo int) {
	if !a.moving {
		kernel.Axpy(1, dx, a.sum[lo:lo+len(x)])
		return
	}
	plan, part := a.plan[lo:lo+len(x)], a.most
	for j, g := range a.gamma[lo : lo+len(x)] {
		most := part * plan[j]
		x[j] -= max(-most, min(g*dx[j], most))
	}
	a.bound(x, lo)
}

// bound keeps part of x, which starts at coordinate lo, within the plan of this stretch.
func (a *auto) bound(x []float64, lo int) {
	if !a.bounded {
		return
	}
	xs := a.xs[lo : lo+len(x)]
	for j, most := range a.plan[lo : lo+len(x)] {
		x[j] = max(xs[j]-most, min(x[j], xs[j]+most))
	}
}

// moveMany makes k steps along dx on part of x, which starts at coordinate lo.
func (a *auto) moveMany(x, dx []float64, lo int, k float64) {
	plan, part := a.plan[lo:lo+len(x)], k*a.most
	for j, g := range a.gamma[lo : lo+len(x)] {
		most := part * plan[j]
		x[j] -= max(-most, min(k*g*dx[j], most))
	}
	a.bound(x, lo)
}

// measure raises the curvature to that of some blocks at the current point.
func (a *auto) measure(c *core, blocks, products int) {
	a.curv *= 0.98
	for range min(blocks, c.gi.Blocks()) {
		b := c.gi.Block(a.probe(c))
		for range products {
			l := norm(a.dir)
			if l == 0 || math.IsNaN(l) || math.IsInf(l, 0) {
				for i := range a.dir {
					a.dir[i] = 1 + 0.5*math.Sin(float64(i+a.probes))
				}
				l = norm(a.dir)
			}
			kernel.Scale(1/l, a.dir)
			c.g.sampledG.Products(nil, a.hv, nil, c.z, c.x, a.dir, b)
			if c.g.exactG != nil && !a.diag {
				c.g.exactG.Products(nil, a.he, nil, c.z, c.x, a.dir, one)
				kernel.Axpy(1, a.he, a.hv)
			}
			c.counts.HessG += int64(b.Len())
			if l := norm(a.hv); l > a.curv && !math.IsInf(l, 0) {
				a.curv = l
			}
			a.dir, a.hv = a.hv, a.dir
		}
	}
}

// probeDiagonal finds out whether the exact part's Hessian is diagonal: then, and as good as only then, its
// products with vectors of different signs are its diagonal with these signs.
func (a *auto) probeDiagonal(c *core) {
	if c.g.exactG == nil {
		return
	}
	a.diag = true
	signs := make([]float64, len(a.ones))
	for round := range uint64(3) {
		for i := range a.ones {
			a.ones[i] = 1
			signs[i] = 1
			if (uint64(i)+1)*(0x9E3779B97F4A7C15+round<<33)>>63 == 1 {
				signs[i] = -1
			}
		}
		c.g.exactG.Products(nil, a.hv, nil, c.z, c.x, a.ones, one)
		c.g.exactG.Products(nil, a.he, nil, c.z, c.x, signs, one)
		for i, h := range a.hv {
			if math.Abs(h-signs[i]*a.he[i]) > 1e-14*math.Abs(h) {
				a.diag = false
			}
		}
	}
}

// setRho sets the inner steps from the curvature, and scales γ alike: x keeps its speed relative to z.
func (a *auto) setRho(c *core) {
	l := 3 * a.curv / a.safety
	if c.decaying {
		l *= math.Sqrt(1 + float64(c.t)/float64(10*max(16, c.gi.Blocks(), c.fo.Blocks())))
	}
	if l == 0 && !a.diag {
		l = 1
	}
	old := a.rho
	a.rho = 1 / l
	if a.moving && old > 0 && c.outer.Auto() && !math.IsInf(a.rho, 0) && !math.IsInf(old, 0) {
		kernel.Scale(a.rho/old, a.gamma)
	}
	if !a.diag {
		return
	}
	c.g.exactG.Products(nil, a.he, nil, c.z, c.x, a.ones, one)
	for i, e := range a.he {
		a.steps[i] = 1 / (l + 3*max(e, 0)/a.safety)
		if l == 0 && e <= 0 {
			a.steps[i] = 1
		}
	}
}

// descend makes dst −= ρ d.
func (a *auto) descend(dst, d []float64) {
	if !a.diag {
		kernel.Axpy(-a.rho, d, dst)
		return
	}
	d = d[:len(a.steps)]
	dst = dst[:len(a.steps)]
	for i, s := range a.steps {
		dst[i] -= s * d[i]
	}
}

// A Neumann series needs no averaging of noise: its automatic step is 1.5/(L + e_i), and does not decay. Up to
// 2/(L + e_i) no product lengthens r.

// series overwrites dst, which may be d, with η d.
func (a *auto) series(dst, d []float64) {
	l := a.seriesCurvature()
	for i, e := range a.he {
		dst[i] = 1.5 * d[i] / (l + a.stiffness(e))
	}
}

// seriesDescend makes r −= η h.
func (a *auto) seriesDescend(r, h []float64) {
	l := a.seriesCurvature()
	for i, e := range a.he {
		r[i] -= 1.5 * h[i] / (l + a.stiffness(e))
	}
}

func (a *auto) seriesCurvature() float64 {
	if a.curv == 0 && !a.diag {
		return 1
	}
	return a.curv / a.safety
}

// stiffness is the curvature of the exact part's entry e, where it is diagonal.
func (a *auto) stiffness(e float64) float64 {
	if !a.diag {
		return 0
	}
	return max(e, 0) / a.safety
}

// save keeps the current point as a good one.
func (a *auto) save(c *core) {
	if norm(c.dz) > 10*a.steepZ {
		return
	}
	copy(a.gz, c.z)
	copy(a.gx, c.x)
	copy(a.gv, c.v)
	a.good = c.t
}

// begin starts a stretch at the current point.
func (a *auto) begin(c *core) {
	copy(a.vs, c.v)
	copy(a.xs, c.x)
	copy(a.zs, c.z)
	copy(a.xl, c.x)
	a.parts = 0
	a.from = c.t
}

// part ends a part of this stretch.
func (a *auto) part(c *core) {
	for j, x := range c.x {
		if d := x - a.xl[j]; d != 0 {
			a.parts += d * d / a.gamma[j]
			a.xl[j] = x
		}
	}
}

// ratchet is the larger of level and now, but at most twice level: a divergence must not pass for a scale.
func ratchet(level, now float64) float64 {
	if level == 0 {
		return now
	}
	return max(level, min(now, 2*level))
}

// look adapts the step sizes. It reports that the run has diverged.
func (a *auto) look(c *core) (diverged bool) {
	dz, dv := norm(c.dz), norm(c.dv)
	if s := dz + dv + norm(c.z) + norm(c.v) + norm(c.x); math.IsNaN(s) || math.IsInf(s, 0) ||
		a.steepZ > 0 && dz > 100*a.steepZ || a.steepV > 0 && dv > 1000*a.steepV {
		return a.retreat(c, "the inner variables diverged", true)
	}
	if c.inner.Auto() {
		a.measure(c, 1, 3)
		a.setRho(c)
	}
	done := c.t-a.from >= int64(a.length)
	if done || a.steepV == 0 {
		a.steepZ, a.steepV = ratchet(a.steepZ, dz), ratchet(a.steepV, dv)
	}
	if c.outer.Auto() && a.moving {
		a.part(c)
	}
	switch {
	case c.outer.Auto() && a.moving && !c.shared() && a.tooFar(c):
		a.begin(c)
	case done && !c.outer.Auto():
		a.save(c)
		a.begin(c)
	case done && !a.moving:
		a.firstSteps(c)
		a.save(c)
		a.begin(c)
	case done:
		lag := a.adapt(c)
		if !a.goodValue(c, lag) {
			a.length = min(2*a.length, longest*a.shortest)
			kernel.Scale(0.5, a.gamma)
			return a.retreat(c, "the estimate of h grew", false)
		}
		a.begin(c)
	}
	a.lookLater(c)
	return false
}

// tooFar damps coordinates that have left their plan, and reports that they are most of what moves.
func (a *auto) tooFar(c *core) bool {
	far, all := 0.0, 0.0
	for j, x := range c.x {
		m := math.Abs(x - a.xs[j])
		if m == 0 {
			continue
		}
		part := m * m / a.gamma[j]
		all += part
		if m > 3*a.plan[j] {
			far += part
			a.gamma[j] *= max(0.1, a.plan[j]/m)
			a.last[j] = x - a.xs[j]
			a.plan[j] *= 2
			a.xs[j] = x // its stretch begins again
		}
	}
	return far > all/2
}

// firstSteps ends the time of measuring, once z has come to rest.
func (a *auto) firstSteps(c *core) {
	moved := distanceOf(c.z, a.zs) + distanceOf(c.v, a.vs)
	a.peak += moved
	steps := float64(c.t - a.from)
	top := 0.0
	for _, s := range a.sum {
		top = max(top, math.Abs(s)/steps)
	}
	settled := a.moved > 0 && moved < 1.4*a.moved // in a stretch of twice the length: what is left is mostly noise
	a.moved = moved
	if moved > a.peak/5 && !settled && a.length < longest/8*a.shortest {
		a.length *= 2
		clear(a.sum)
		return
	}
	if top == 0 {
		clear(a.sum)
		return
	}
	scale := 1.0
	for _, x := range c.x {
		scale = max(scale, math.Abs(x))
	}
	if c.shared() {
		square, first := 0.0, firstMove*scale
		for j, s := range a.sum {
			r := s / steps / top // its square is a number where that of s may be none
			square += r * r
			first = min(first, c.width(j)/20)
		}
		gamma := first / (float64(a.length) * top * math.Sqrt(square/float64(len(a.sum))))
		for j, x := range c.x {
			a.gamma[j] = gamma
			a.plan[j] = a.largest(c, j, x)
		}
		a.moving = true
		return
	}
	for j, s := range a.sum {
		a.plan[j] = firstMove * scale
		if w := c.width(j); a.plan[j] > w/20 {
			a.plan[j] = w / 20
		}
		a.gamma[j] = a.plan[j] / (float64(a.length) * max(math.Abs(s)/steps, top/1000))
	}
	a.moving = true
}

// walk says how x went in this stretch: at random, or even around a minimum, or above what order K may halve.
func (a *auto) walk(c *core) (noisy, resting bool, straight float64) {
	total := 0.0
	for j, x := range c.x {
		if d := x - a.xs[j]; d != 0 {
			total += d * d / a.gamma[j]
		}
	}
	if a.parts > 0 {
		if r := total / a.parts; a.order == 0 {
			a.order = r
		} else {
			a.order += (r - a.order) / (1 + 2/float64(len(c.x)))
		}
	}
	noisy, resting, straight = a.order < randomOrder, a.order < restOrder, 2*randomOrder
	if c.parted() {
		times := float64(a.length) / float64(c.gi.Blocks()) // that a coordinate has moved, the most that order can be
		if straight = min(straight, times/2); times < 2*randomOrder {
			noisy, resting = false, false
		}
	}
	return noisy, resting, straight
}

// factor is what γ_j changes by after a displacement d of coordinate j. In noise a turn says as little as none.
func (a *auto) factor(j int, d float64, noisy bool) float64 {
	s := d * a.last[j]
	if s < 0 && !noisy {
		a.turned[j] = 1
	}
	switch {
	case s == 0:
		return 1
	case s > 0 && !noisy && a.turned[j] == 0:
		return a.fast
	case s > 0:
		return growth
	case noisy || math.Abs(d) < math.Abs(a.last[j]):
		return 1 / growth
	}
	return shrink
}

// common is what all γ change by, where they are one number. In noise a turn says little, as for factor.
func (a *auto) common(c *core, noisy bool) float64 {
	dot, now, was, limited := 0.0, 0.0, 0.0, 0.0
	for j, x := range c.x {
		d := x - a.xs[j]
		dot += d * a.last[j]
		now += d * d
		was += a.last[j] * a.last[j]
		if math.Abs(d) > 0.9*a.plan[j] {
			limited += d * d
		}
	}
	cosine := 0.0 // where there is nothing to compare with
	if was > 0 && now > 0 {
		cosine = dot / (math.Sqrt(was) * math.Sqrt(now))
	}
	switch {
	case cosine < -clearCosine && noisy:
		return 1 / growth
	case cosine < -clearCosine:
		a.turned[0] = 1
		return shrink
	case cosine < clearCosine, limited > now/2: // larger γ would hardly move x farther
		return 1
	case a.turned[0] == 0 && !noisy:
		return a.fast
	}
	return growth
}

// largest is the largest displacement of coordinate j in a stretch.
func (a *auto) largest(c *core, j int, x float64) float64 {
	most := largestMove
	if c.parted() && c.held == nil {
		most = partedMove
	}
	return min(most*(1+math.Abs(x)), c.width(j)/4)
}

// adapt ends a stretch. It returns ⟨v, ∇z g⟩, about f(z*(x), x) − f(z, x).
func (a *auto) adapt(c *core) float64 {
	rho := c.rate()
	fall, scale, still := 0.0, 0.0, true
	for _, x := range c.x {
		scale = max(scale, math.Abs(x))
	}
	noisy, resting, straight := a.walk(c)
	slow := 1.0
	switch {
	case resting:
		slow = shrink
	case noisy && !(c.decaying && c.inner.Auto()): // they decrease with the inner step
		slow = max(shrink, math.Sqrt(float64(a.from+1)/float64(c.t+1)))
	}
	common := 1.0
	if c.shared() {
		common = slow * a.common(c, noisy)
	}
	for j, x := range c.x {
		d := x - a.xs[j]
		if math.Abs(d) <= 1e-13*scale {
			if d != 0 || !c.parted() { // else no batch has moved it
				a.last[j] = 0 // at a bound, or where rounding errors decide
			}
			a.gamma[j] *= common
			continue
		}
		still = false
		fall += d * d / a.gamma[j]
		most := a.largest(c, j, x)
		if c.shared() {
			a.gamma[j] *= common
			a.plan[j] = most
		} else {
			factor := slow * a.factor(j, d, noisy)
			if m := math.Abs(d); m*factor > most {
				factor = most / m
			}
			a.gamma[j] *= factor
			a.plan[j] = min(most, max(2*factor*math.Abs(d), a.plan[j]/2, 1e-6*(1+math.Abs(x))))
		}
		a.last[j] = d
	}
	lag := 0.0
	for i, z := range c.z {
		step := rho
		if a.diag {
			step = a.steps[i]
		}
		lag -= c.v[i] * (z - a.zs[i]) / step
	}
	lag /= float64(c.moves)
	switch {
	case still:
	case resting:
	case noisy:
		if int64(a.length) < c.t/8 {
			a.length *= 2
		}
	case math.Abs(lag) > 2*fall && a.length < longest*a.shortest:
		a.length *= 2
		kernel.Scale(0.5, a.gamma)
	case math.Abs(lag) < 0.2*fall && a.length > a.shortest && a.order > straight:
		a.length /= 2
		kernel.Scale(2, a.gamma)
	}
	return lag / float64(c.t-a.from)
}

// goodValue estimates h, when enough steps have been made since the last time to pay for it, and keeps the
// point unless h has grown by half of what it had fallen.
func (a *auto) goodValue(c *core, lag float64) bool {
	if a.valued > 0 && c.t-a.valued < 4*int64(max(c.fo.Blocks()/c.draws, 1)) {
		return true
	}
	c.counts.ValueF += int64(c.fo.Samples())
	h := c.f.whole.Value(c.z, c.x, bilevel.All(c.f.whole)) + lag
	if a.values == 0 {
		a.first, a.best, a.value = h, h, h
	}
	a.values++
	a.valued = c.t
	change := math.Abs(h - a.value)
	noise := 0.0
	if c.decaying || c.random {
		noise = 4 * a.jitter
	}
	a.value = h
	if math.IsNaN(h) || a.values > 3 && h > a.best+0.5*(a.first-a.best)+3*math.Abs(lag)+noise+1e-3*math.Abs(a.best) {
		return false
	}
	a.jitter = max(0.7*a.jitter, change)
	a.safety = min(1, 1.1*a.safety)
	a.best = min(a.best, h)
	a.first = max(a.first, h)
	a.save(c)
	return true
}

// retreat reports a divergence that back is to undo.
func (a *auto) retreat(c *core, why string, inner bool) bool {
	if a.restarts == maxRestarts {
		return false
	}
	a.restarts++
	what := "outer"
	if inner && c.inner.Auto() {
		a.safety /= 2
		what = "inner and outer"
		if !c.outer.Auto() {
			what = "inner"
		}
	}
	kernel.Scale(0.5, a.gamma)
	if c.shared() && len(a.turned) > 0 {
		a.turned[0] = 1 // or they would be doubled at once
	}
	a.notes = append(a.notes, fmt.Sprintf("%s by step %d: back to the point of step %d "+
		"with halved automatic %s step sizes", why, c.t, a.good, what))
	return true
}

// back returns to the last good point.
func (a *auto) back(c *core) {
	copy(c.z, a.gz)
	copy(c.x, a.gx)
	copy(c.v, a.gv)
	clear(a.sum)
	clear(a.last)
	if c.inner.Auto() {
		a.measure(c, 32, 4)
		a.setRho(c)
	}
	a.begin(c)
	a.lookLater(c)
}

func (a *auto) lookLater(c *core) {
	a.next = c.t + min(int64(min(max(a.length/looks, 1), lookEvery)), max(8, c.t/4))
}

// width is the length of coordinate j's interval.
func (c *core) width(j int) float64 {
	if c.p.Lower == nil || c.p.Upper == nil {
		return math.Inf(1)
	}
	return c.p.Upper[j] - c.p.Lower[j]
}

func distanceOf(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += (v - b[i]) * (v - b[i])
	}
	return math.Sqrt(s)
}

func (a *auto) state(s *bilevel.State) {
	for _, f := range []*float64{&a.rho, &a.safety, &a.curv, &a.peak, &a.moved, &a.steepZ, &a.steepV, &a.first, &a.best,
		&a.value, &a.jitter, &a.parts, &a.order} {
		s.Float(f)
	}
	s.Fixed(a.steps, a.he, a.dir, a.gamma, a.plan, a.last, a.turned, a.sum, a.xl, a.xs, a.zs, a.vs, a.gz, a.gx, a.gv)
	s.Count(&a.probes)
	s.Bool(&a.moving)
	s.Count(&a.length)
	s.Count64(&a.from)
	s.Count64(&a.good)
	s.Count64(&a.valued)
	s.Count(&a.values)
	s.Index(&a.restarts, maxRestarts+1)
	s.Count64(&a.next)
	s.Strings(&a.notes)
}
