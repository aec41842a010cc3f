// Package adapt chooses step sizes while a run goes on: those of the inner variables from the curvature of g, and those
// of x from how x moves.
//
// Time is divided into stretches of K steps, and these into parts, which end where a [Control] looks at the run. K is
// odd, and so are most parts: a variable that jumps to and fro from step to step is seen to move.
//
// The step size of x is one number γ_j per coordinate. The displacement δ of x over a stretch is −γK times its mean
// hypergradient. Where δ_j keeps its sign from one stretch to the next γ_j grows, and where it turns γ_j is halved
// (Jacobs 1988, "delta-bar-delta"), as it is where the direction turns from step to step. K doubles where many
// coordinates turn or z is late, and halves after some stretches in which hardly any did.
//
// Noise has no lasting sign. With displacements d_k of the parts of a stretch, its order Σ_j (Σ_k d_kj)²/γ_j / Σ_jk
// d_kj²/γ_j is the number of parts where x goes straight on, about one where it walks at random, and less where it
// walks around a minimum. A random walk takes longer stretches and steps that decrease as 1/√t; walking around halves
// the steps (Pflug 1990).
//
// There is one γ for all of x in three cases. Where a batch knows only its part of the direction of x, as with a weight
// per row, a coordinate's direction is known about once a stretch and its sign says little. Where the direction is
// random by itself a coordinate's says nothing at all. And where x is projected onto a set that is no box a step per
// coordinate would be cancelled: it goes along −γ∘∇h, and the projection that belongs to it is that in the norm
// Σ d_j²/γ_j, which Problem.Project is not. One γ grows while the angle between the displacements of two stretches is
// clearly acute, and is halved where it is clearly obtuse.
package adapt

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

const (
	fastGrowth  = 2 // of γ_j at the start, and where x_j has gone straight for some stretches
	growth      = 1.25
	shrink      = 0.5
	randomOrder = 2.   // x walks at random below this order
	restOrder   = 0.6  // and around a minimum below this one
	restChange  = 0.5  // of the direction of x from one stretch to the next, relative to it, where inner variables rest
	firstMove   = 0.12 // displacement of the first stretch, relative to the farthest
	clearCosine = 0.1  // of the angle between two displacements, beyond which it is clearly acute or obtuse
	flips       = 0.75 // of steps, that turn back
	smallLag    = 0.1  // of what h has fallen by: what is less does not count
	looks       = 8    // looks in a stretch, at least
	lookEvery   = 128  // steps between looks, at most
	manySteady  = 8    // stretches in a row that kept their direction are many
	maxRestarts = 60
)

// Bounds of how far x goes.
const (
	LargestMove = 0.25    // planned displacement of a stretch, relative to 1 + |x_j|, at most
	PartedMove  = 2.      // the same where only a batch of its own moves a coordinate
	StepShare   = 1. / 16 // of the planned displacement, in one step that knows all of the direction
)

// Run is what a [Control] looks at.
type Run interface {
	// Measure raises the curvature to that of so many blocks at the current point, by so many power iterations each,
	// and sets the inner step sizes.
	Measure(blocks, products int)
	// Slopes are the norms of the last directions of z and v; 0 for one that is not made.
	Slopes() (z, v float64)
	// Lag is about f(z*(x), x) − f(z, x) because z follows x and is late, if it has come from zs in so many steps; 0 if
	// nothing is known.
	Lag(zs []float64, steps int64) float64
	// Value estimates h, and says how far the estimate may be off.
	Value(lag float64) (h, off float64)
}

// Settings are what a run tells of itself.
type Settings struct {
	X     []float64   // the run's own
	Inner [][]float64 // all other variables of a point, the first one z
	// Domain of x.
	Lower, Upper []float64
	Project      func([]float64)

	AutoInner, AutoOuter bool
	// Blocks is the number of batches each of which knows its own part of the direction of x, and Random says that
	// directions are random. Otherwise, with Blocks zero, each is that of all of x.
	Blocks int
	Random bool
	// Farthest is LargestMove or PartedMove. Share is how much of the displacement of a stretch one step may make.
	Farthest, Share float64
	// Fresh says that v is made afresh in every step, so that it is never late and its noise is that of a step.
	Fresh bool
	// Shortest is the smallest K and Longest the largest, Patience how long x is held at the start, and Every the
	// number of steps between estimates of h.
	Shortest, Longest, Patience, Every int
	// Noisy says that directions have noise which does not vanish, and Slows that nothing but γ, falling as 1/√t, can
	// make up for it.
	Noisy, Slows bool
	// SlopeZ and SlopeV are norms that directions of z and v have at the start.
	SlopeZ, SlopeV float64
}

// Control adapts the steps of a run.
type Control struct {
	Settings
	Safety float64 // of inner steps: halved by every divergence
	// Next is the step after which to call Look.
	Next int64
	// Moving says that x moves: in the first stretches it is held, and only its directions are summed.
	Moving      bool
	Gamma, Plan []float64 // γ, and the displacement expected of a stretch, at most
	Sum         []float64 // of directions in this stretch; once x moves not where Blocks > 0
	Restarts    int
	Notes       []string

	run    Run
	shared bool  // all of Gamma are one number
	length int   // K
	steady int   // stretches in a row in which hardly any coordinate has turned
	t      int64 // now
	// From is the first step of this stretch and Start x there.
	From   int64
	Start  []float64
	zs     []float64 // z there
	xl     []float64 // x at the last look
	last   []float64 // δ of the last stretch
	before []float64 // direction of the last step
	flips  []float64 // steps of this stretch whose direction has turned; if shared, the first is for all
	kept   []float64 // stretches in a row in which x_j has not turned; if shared, the first is for all
	parts  float64   // Σ_jk d_kj²/γ_j of this stretch so far
	lag    float64   // of the last stretch
	grown  float64   // factor of γ after the last stretch, if shared
	order  float64   // of the last stretches; few coordinates say little of one alone
	roomX  []float64 // scratch, like x

	good                       [][]float64 // the last good point: x and Inner
	goodStep                   int64
	valued                     int64 // step of the last estimate of h
	values                     int
	first, best, value, jitter float64 // estimates, and |change| of the last ones
}

// New is the control of a run that starts. Measure has been called where inner steps are automatic.
func New(s Settings, run Run) *Control {
	d, p := len(s.Inner[0]), len(s.X)
	v := func(n int) []float64 { return make([]float64, n) }
	c := &Control{Settings: s, run: run, Safety: 1, Next: 7, grown: 1, length: s.Shortest, zs: v(d), Gamma: v(p),
		Plan: v(p), Sum: v(p), Start: v(p), xl: v(p), last: v(p), kept: v(p), before: v(p), flips: v(p), roomX: v(p)}
	for _, part := range append([][]float64{s.X}, s.Inner...) {
		c.good = append(c.good, v(len(part)))
	}
	c.shared = s.Blocks > 0 || s.Random || s.Project != nil
	for j := range c.kept {
		c.kept[j] = manySteady // fast from the start
	}
	c.save(0)
	c.begin()
	return c
}

// Due says that it is time to look after t steps, or that the run has just left the numbers, which what records it must
// not see: a first coordinate is enough, for all of them follow it soon.
func (c *Control) Due(t int64) bool {
	if t >= c.Next {
		return true
	}
	for _, v := range c.Inner {
		if v[0]-v[0] != 0 {
			return true
		}
	}
	return false
}

// Look adapts the step sizes after t steps. It says that the run has gone back to an earlier point.
func (c *Control) Look(t int64) (back bool) {
	c.t = t
	z, v := c.run.Slopes()
	if !c.finite(z+v) || c.SlopeZ > 0 && z > 100*c.SlopeZ || c.SlopeV > 0 && v > 1000*c.SlopeV {
		return c.retreat("the inner variables diverged", true)
	}
	if c.AutoInner {
		c.run.Measure(1, 3)
	}
	ended := t-c.From >= int64((c.length-1)|1)
	if ended || c.SlopeV == 0 {
		c.SlopeZ, c.SlopeV = ratchet(c.SlopeZ, z), ratchet(c.SlopeV, v)
	}
	if c.Moving {
		c.endPart()
	}
	switch {
	case c.Moving && !c.shared && c.tooFar():
		c.begin()
	case !ended:
	case !c.AutoOuter:
		c.save(z)
		c.begin()
	case !c.Moving:
		c.firstSteps()
		c.save(z)
		c.begin()
	default:
		c.lag = c.run.Lag(c.zs, t-c.From)
		c.adapt()
		if !c.goodValue(z) {
			c.length = min(2*c.length, c.Longest)
			kernel.Scale(0.5, c.Gamma)
			return c.retreat("the estimate of h grew", false)
		}
		c.begin()
	}
	c.lookLater()
	return false
}

// lookLater sets the next look, an odd number of steps away, and so the last one of a stretch from its beginning.
func (c *Control) lookLater() {
	part := min(max(c.length/looks, 1), lookEvery, max(8, int(c.t/8)))
	c.Next = c.t + int64(part|1)
	if end := c.From + int64((c.length-1)|1); c.t < end {
		c.Next = min(c.Next, end)
	}
}

// finite says that s and all variables are numbers.
func (c *Control) finite(s float64) bool {
	s += norm(c.X)
	for _, v := range c.Inner {
		s += norm(v)
	}
	return !math.IsNaN(s) && !math.IsInf(s, 0)
}

// ratchet is the larger of level and now, but at most twice level: a divergence must not pass for a scale.
func ratchet(level, now float64) float64 {
	if level == 0 {
		return now
	}
	return max(level, min(now, 2*level))
}

// begin starts a stretch at the current point.
func (c *Control) begin() {
	copy(c.Start, c.X)
	copy(c.xl, c.X)
	copy(c.zs, c.Inner[0])
	clear(c.flips)
	if c.Moving {
		clear(c.Sum)
	}
	c.parts = 0
	c.From = c.t
}

// TakeNotes returns what there was to report, once.
func (c *Control) TakeNotes() []string {
	n := c.Notes
	c.Notes = nil
	return n
}

// State lists the variables.
func (c *Control) State(s *bilevel.State) {
	for _, f := range []*float64{&c.Safety, &c.SlopeZ, &c.SlopeV, &c.parts, &c.order, &c.grown, &c.lag, &c.first, &c.best,
		&c.value, &c.jitter} {
		s.Float(f)
	}
	s.Fixed(c.Gamma, c.Plan, c.Sum, c.Start, c.zs, c.xl, c.last, c.kept, c.before, c.flips)
	s.Fixed(c.good...)
	for _, n := range []*int{&c.length, &c.steady, &c.values} {
		s.Count(n)
	}
	s.Index(&c.Restarts, maxRestarts+1)
	for _, n := range []*int64{&c.Next, &c.t, &c.From, &c.goodStep, &c.valued} {
		s.Count64(n)
	}
	s.Bool(&c.Moving)
	s.Strings(&c.Notes)
}

// sign is 1, 0 or −1.
func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

func norm(d []float64) float64 { return math.Sqrt(kernel.Dot(d, d)) }

func distance(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += (v - b[i]) * (v - b[i])
	}
	return math.Sqrt(s)
}
