package stochastic

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// auto chooses step sizes while a run goes on.
//
// The inner step is a fraction of 1/L, where L is the largest curvature ‖∇²zz g_ξ‖ of blocks, found by power
// iterations at the current point and looked at again several times a stretch.
//
// The outer step is one number γ_j per coordinate. Time is divided into stretches of K steps, and the
// displacement δ of x over a stretch is −γ K times its mean hypergradient. Where δ_j keeps its sign from one
// stretch to the next γ_j grows, where it turns γ_j is halved (Jacobs 1988, "delta-bar-delta"). A stretch must
// be long enough for z and v to follow x: while x moves, z lags behind z*(x) by so much that f is off by about
// ⟨v, ∇z g⟩ = −⟨v, δz⟩/(ρK), and a stretch in which h falls by Σ δ_j²/(γ_j K) is as long as the lag when the
// two are equal; K doubles while the lag is longer.
type auto struct {
	// Inner step.
	rho    float64 // current value, if automatic
	safety float64 // halved by every divergence
	curv   float64 // L
	dir    []float64
	hv, he []float64
	probes int

	// Outer step.
	gamma    []float64 // per coordinate; zero while measuring
	plan     []float64 // displacement expected of a stretch, at most
	last     []float64 // δ of the last stretch
	turned   []float64 // 1 once the coordinate has turned
	sum      []float64 // ΣD_x, while measuring
	moving   bool
	length   int // K
	shortest int
	from     int64 // first step of this stretch
	xs, zs   []float64
	peak     float64 // largest ‖δz‖ while measuring

	// Last good point, and the estimates of h that make it one.
	gz, gx, gv  []float64
	good        int64   // its step
	largest     float64 // of ‖z‖ + ‖v‖ so far
	valued      int64   // step of the last estimate, 0 for none
	first, best float64 // estimates of h
	restarts    int

	next  int64 // look at step next
	notes []string
}

const (
	fastGrowth  = 1.6 // of γ_j until coordinate j first turns
	growth      = 1.25
	shrink      = 0.5
	firstMove   = 0.01 // displacement of the first stretch, relative to 1 + |x|
	largestMove = 0.25 // largest planned displacement of a stretch, relative to 1 + |x_j|
	looks       = 8    // looks at curvature and displacement in a stretch
	maxRestarts = 60
)

func newAuto(c *core) *auto {
	d, p := len(c.z), len(c.x)
	v := func(n int) []float64 { return make([]float64, n) }
	a := &auto{safety: 1, dir: v(d), hv: v(d), he: v(d), gamma: v(p), plan: v(p), last: v(p), turned: v(p), sum: v(p),
		xs: v(p), zs: v(d), gz: v(d), gx: v(p), gv: v(d)}
	for i := range a.dir {
		a.dir[i] = 1 + 0.5*math.Sin(float64(i)) // any vector with a part along the largest eigenvector
	}
	a.shortest = max(16, min(c.gi.Blocks(), 4096), min(c.fo.Blocks(), 4096))
	a.length = a.shortest
	if c.inner.Auto() {
		a.measure(c, 32, 4)
		a.setRho(c)
	}
	a.save(c)
	a.begin(c)
	a.next = 8
	return a
}

// move steps part of x, which starts at coordinate lo.
func (a *auto) move(x, dx []float64, lo int) {
	if !a.moving {
		kernel.Axpy(1, dx, a.sum[lo:lo+len(x)])
		return
	}
	for j, g := range a.gamma[lo : lo+len(x)] {
		x[j] -= g * dx[j]
	}
}

// measure raises the curvature to that of some blocks at the current point.
func (a *auto) measure(c *core, blocks, products int) {
	a.curv *= 0.98
	n := c.gi.Blocks()
	for range min(blocks, n) {
		b := c.gi.Block(int(uint64(a.probes) * 0x9E3779B97F4A7C15 >> 32 % uint64(n)))
		a.probes++
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
			if c.g.exactG != nil {
				c.g.exactG.Products(nil, a.he, nil, c.z, c.x, a.dir, one)
				kernel.Axpy(1, a.he, a.hv)
			}
			c.extra.HessG += int64(b.Len())
			if l := norm(a.hv); l > a.curv && !math.IsInf(l, 0) {
				a.curv = l
			}
			a.dir, a.hv = a.hv, a.dir
		}
	}
}

func (a *auto) setRho(c *core) {
	if a.curv == 0 {
		a.rho = a.safety
		return
	}
	a.rho = a.safety / (3 * a.curv)
	if c.decaying {
		a.rho /= math.Sqrt(1 + float64(c.t)/float64(10*a.shortest))
	}
}

// save keeps the current point as a good one.
func (a *auto) save(c *core) {
	copy(a.gz, c.z)
	copy(a.gx, c.x)
	copy(a.gv, c.v)
	a.good = c.t
}

// begin starts a stretch at the current point.
func (a *auto) begin(c *core) {
	a.largest = max(a.largest, norm(c.z)+norm(c.v))
	copy(a.xs, c.x)
	copy(a.zs, c.z)
	a.from = c.t
}

// look adapts the step sizes. It reports that the run has diverged.
func (a *auto) look(c *core) (diverged bool) {
	size := norm(c.z) + norm(c.v)
	if s := size + norm(c.x); math.IsNaN(s) || math.IsInf(s, 0) || a.largest > 0 && c.t > int64(a.shortest) && size > 1e3*a.largest {
		return a.retreat(c, "z or v grew without bound", true)
	}
	if c.inner.Auto() {
		a.measure(c, 1, 3)
		a.setRho(c)
	}
	done := c.t-a.from >= int64(a.length)
	switch {
	case c.outer.Auto() && a.moving && a.tooFar(c):
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
			return a.retreat(c, "the estimate of h grew", false)
		}
		a.begin(c)
	}
	a.next = c.t + min(int64(max(a.length/looks, 1)), max(8, c.t/4))
	return false
}

// tooFar damps coordinates that have left their plan.
func (a *auto) tooFar(c *core) bool {
	far := false
	for j, x := range c.x {
		if m := math.Abs(x - a.xs[j]); m > 3*a.plan[j] {
			a.gamma[j] *= max(0.1, a.plan[j]/m)
			a.last[j] = x - a.xs[j]
			a.plan[j] *= 2
			far = true
		}
	}
	return far
}

// firstSteps ends the time of measuring, once z has come to rest.
func (a *auto) firstSteps(c *core) {
	moved := distanceOf(c.z, a.zs)
	a.peak = max(a.peak, moved)
	steps := float64(c.t - a.from)
	top := 0.0
	for _, s := range a.sum {
		top = max(top, math.Abs(s)/steps)
	}
	if moved > a.peak/2 && c.t < 8*int64(a.shortest) || top == 0 {
		clear(a.sum)
		return
	}
	scale := 1.0
	for _, x := range c.x {
		scale = max(scale, math.Abs(x))
	}
	for j, s := range a.sum {
		a.plan[j] = firstMove * scale
		if w := c.width(j); a.plan[j] > w/20 {
			a.plan[j] = w / 20
		}
		a.gamma[j] = a.plan[j] / (float64(a.length) * max(math.Abs(s)/steps, top/100))
	}
	a.moving = true
}

// adapt ends a stretch. It returns ⟨v, ∇z g⟩, about f(z*(x), x) − f(z, x).
func (a *auto) adapt(c *core) float64 {
	rho, _ := c.rates()
	fall, scale, still := 0.0, 0.0, true
	for _, x := range c.x {
		scale = max(scale, math.Abs(x))
	}
	for j, x := range c.x {
		d := x - a.xs[j]
		if math.Abs(d) <= 1e-13*scale {
			a.last[j] = 0 // at a bound, or where rounding errors decide
			continue
		}
		still = false
		fall += d * d / a.gamma[j]
		factor := 1.0
		switch s := d * a.last[j]; {
		case s > 0 && a.turned[j] == 0:
			factor = fastGrowth
		case s > 0:
			factor = growth
		case s < 0:
			factor = shrink
			a.turned[j] = 1
		}
		most := largestMove * (1 + math.Abs(x))
		if w := c.width(j); most > w/4 {
			most = w / 4
		}
		if m := math.Abs(d); m*factor > most {
			factor = most / m
		}
		a.gamma[j] *= factor
		a.last[j] = d
		a.plan[j] = min(most, max(2*factor*math.Abs(d), a.plan[j]/2, 1e-6*(1+math.Abs(x))))
	}
	lag := 0.0
	for i, z := range c.z {
		lag -= c.v[i] * (z - a.zs[i]) / rho
	}
	switch {
	case still:
	case math.Abs(lag) > 2*fall && a.length < 256*a.shortest:
		a.length *= 2
		kernel.Scale(0.5, a.gamma)
	case math.Abs(lag) < 0.2*fall && a.length > a.shortest:
		a.length /= 2
		kernel.Scale(2, a.gamma)
	}
	return lag / float64(c.t-a.from)
}

// goodValue estimates h, when enough steps have been made since the last time to pay for it, and keeps the
// point unless h has grown by half of what it had fallen.
func (a *auto) goodValue(c *core, lag float64) bool {
	if a.valued > 0 && c.t-a.valued < 4*int64(c.fo.Blocks()) {
		return true
	}
	c.extra.ValueF += int64(c.fo.Samples())
	h := c.f.whole.Value(c.z, c.x, bilevel.All(c.f.whole)) + lag
	if a.valued == 0 {
		a.first, a.best = h, h
	}
	a.valued = c.t
	if math.IsNaN(h) || h > a.best+0.5*(a.first-a.best)+3*math.Abs(lag)+1e-3*math.Abs(a.best) {
		return false
	}
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
	a.notes = append(a.notes, fmt.Sprintf("%s by step %d: back to the point of step %d with halved automatic %s step sizes", why, c.t, a.good, what))
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
	a.next = c.t + int64(max(a.length/looks, 1))
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
	for _, f := range []*float64{&a.rho, &a.safety, &a.curv, &a.peak, &a.largest, &a.first, &a.best} {
		s.Float(f)
	}
	s.Fixed(a.dir, a.gamma, a.plan, a.last, a.turned, a.sum, a.xs, a.zs, a.gz, a.gx, a.gv)
	s.Int(&a.probes)
	s.Bool(&a.moving)
	s.Int(&a.length)
	s.Int64(&a.from)
	s.Int64(&a.good)
	s.Int64(&a.valued)
	s.Int(&a.restarts)
	s.Int64(&a.next)
	s.Strings(&a.notes)
}
