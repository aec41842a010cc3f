package adapt

import (
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
)

// Move makes k steps of x along dx, which are part of the run's from coordinate lo on. It projects x, if there is a
// projection, and leaves a box to the caller.
func (c *Control) Move(x, dx []float64, lo int, k float64) {
	if !c.Moving || c.Blocks == 0 {
		kernel.Axpy(k, dx, c.Sum[lo:lo+len(x)])
	}
	switch {
	case !c.Moving:
		return
	case c.Project != nil:
		c.flip(dx)
		c.moveProjected(x, dx, k)
		return
	case c.Blocks == 0:
		c.flip(dx)
	}
	plan, share := c.Plan[lo:lo+len(x)], k*c.StepShare()
	for j, g := range c.Gamma[lo : lo+len(x)] {
		most := share * plan[j]
		x[j] -= max(-most, min(k*g*dx[j], most))
	}
	if c.Blocks == 0 {
		return
	}
	xs := c.Start[lo : lo+len(x)]
	for j, most := range plan {
		x[j] = max(xs[j]-most, min(x[j], xs[j]+most))
	}
}

// flip counts the directions that point back where the last ones came from.
func (c *Control) flip(dx []float64) {
	if c.shared {
		if kernel.Dot(dx, c.before) < 0 {
			c.flips[0]++
		}
	} else {
		for j, d := range dx {
			if d*c.before[j] < 0 {
				c.flips[j]++
			}
		}
	}
	copy(c.before, dx)
}

// StepShare is how much of the plan of a stretch one step may make.
func (c *Control) StepShare() float64 { return max(c.Share, 2/float64(c.length)) }

// moveProjected steps all of x. What is bounded is the projected step: most of a direction may point out of the domain.
func (c *Control) moveProjected(x, dx []float64, k float64) {
	copy(c.roomX, x)
	kernel.Axpy(-k*c.Gamma[0], dx, x)
	c.Project(x)
	if far, most := distance(x, c.roomX), k*c.StepShare()*norm(c.Plan); far > most {
		kernel.Axpby(1-most/far, c.roomX, most/far, x) // between two points of a convex set
	}
}

// Rescale multiplies γ: x keeps its speed relative to z.
func (c *Control) Rescale(by float64) {
	if c.Moving && c.AutoOuter && by > 0 && !math.IsInf(by, 0) {
		kernel.Scale(by, c.Gamma)
	}
}

// endPart ends a part of this stretch.
func (c *Control) endPart() {
	for j, x := range c.X {
		if d := x - c.xl[j]; d != 0 {
			c.parts += d * d / c.Gamma[j]
			c.xl[j] = x
		}
	}
}

// tooFar damps coordinates that have left their plan, and reports that they are most of what moves.
func (c *Control) tooFar() bool {
	far, all := 0.0, 0.0
	for j, x := range c.X {
		m := math.Abs(x - c.Start[j])
		if m == 0 {
			continue
		}
		part := m * m / c.Gamma[j]
		all += part
		if m > 3*c.Plan[j] {
			far += part
			c.Gamma[j] *= max(0.1, c.Plan[j]/m)
			c.last[j] = x - c.Start[j]
			c.Plan[j] *= 2
			c.Start[j] = x // its stretch begins again
		}
	}
	return far > all/2
}

// width is the length of coordinate j's interval.
func (c *Control) width(j int) float64 {
	if c.Lower == nil || c.Upper == nil {
		return math.Inf(1)
	}
	return c.Upper[j] - c.Lower[j]
}

// largest is the largest displacement of coordinate j in a stretch.
func (c *Control) largest(j int) float64 {
	return min(c.Farthest*(1+math.Abs(c.X[j])), c.width(j)/4)
}

// firstSteps lets x go, once its mean direction has come to rest and with it the inner variables, or after a stretch of
// Patience steps. Else the next stretch is twice as long.
func (c *Control) firstSteps() {
	steps := float64(c.t - c.From)
	change, size := 0.0, 0.0
	for j, s := range c.Sum {
		m := s / steps
		change += (m - c.last[j]) * (m - c.last[j])
		size += m * m
		c.last[j] = m
	}
	if change > restChange*restChange*size && c.length < c.Patience {
		c.length *= 2
		clear(c.Sum)
		return
	}
	c.setFirst()
}

// Release lets x go after t steps, if it has a direction.
func (c *Control) Release(t int64) {
	c.t = t
	if c.setFirst(); c.Moving {
		c.begin()
	}
}

// setFirst sets γ from the mean direction of this stretch, if there is one.
func (c *Control) setFirst() {
	steps, top, scale := float64(c.t-c.From), 0.0, 1.0
	for j, s := range c.Sum {
		top = max(top, math.Abs(s)/steps)
		scale = max(scale, math.Abs(c.X[j]))
	}
	if top == 0 {
		clear(c.Sum)
		return
	}
	c.Moving = true
	clear(c.last)
	first, square := firstMove*c.Farthest*scale, 0.0
	for j, s := range c.Sum {
		move := min(firstMove*c.Farthest*scale, c.width(j)/20)
		c.Plan[j] = move
		c.Gamma[j] = move / (float64(c.length) * max(math.Abs(s)/steps, top/1000))
		first = min(first, move)
		r := s / steps / top // its square is a number where that of s may be none
		square += r * r
	}
	if c.shared {
		gamma := first / (float64(c.length) * top * math.Sqrt(square/float64(len(c.Sum))))
		for j := range c.X {
			c.Gamma[j], c.Plan[j] = gamma, c.largest(j)
		}
	}
}

// walk says how x went in this stretch: at random, or even around a minimum, or above what order K may halve.
func (c *Control) walk(total float64) (noisy, resting bool, straight float64) {
	if c.parts > 0 {
		if r := total / c.parts; c.order == 0 {
			c.order = r
		} else {
			c.order += (r - c.order) / (1 + 2/float64(len(c.X)))
		}
	}
	noisy, resting, straight = c.Noisy && c.order < randomOrder, c.Noisy && c.order < restOrder, 2*randomOrder
	if c.Blocks > 0 {
		times := float64(c.length) / float64(c.Blocks) // that a coordinate has moved, the most that order can be
		if straight = min(straight, times/2); times < 2*randomOrder {
			noisy, resting = false, false
		}
	}
	return noisy, resting, straight
}

// flipping says that x_j, or all of x, jumps to and fro from step to step.
func (c *Control) flipping(j int) bool { return c.flips[j] > flips*float64(c.t-c.From) }

// factor is what γ_j changes by, or the γ of all where it is shared and j is 0. cosine is that of the angle between the
// displacements of this stretch and the last, ±1 for a single coordinate, ratio that of their lengths, and pace the
// length of this one relative to what was planned.
func (c *Control) factor(j int, cosine, ratio, pace float64, noisy bool) float64 {
	switch {
	case c.flipping(j):
		c.kept[j] = 0
		return shrink
	case cosine > clearCosine:
		c.kept[j]++
		switch {
		case !noisy && ratio < 0.5: // it comes to rest in few stretches as it is
			return 1
		case c.kept[j] > manySteady && !noisy && pace > 0.6:
			return fastGrowth
		}
		return growth
	case cosine >= -clearCosine:
		return 1
	}
	c.kept[j] = 0
	if noisy { // in noise a turn says as little as none
		return 1 / growth
	}
	return shrink
}

// common is the factor of all γ where they are one number.
func (c *Control) common(noisy bool) float64 {
	dot, now, was, limited := 0.0, 0.0, 0.0, 0.0
	for j, x := range c.X {
		d := x - c.Start[j]
		dot += d * c.last[j]
		now += d * d
		was += c.last[j] * c.last[j]
		if math.Abs(d) > 0.9*c.Plan[j] {
			limited += d * d
		}
	}
	now, was = math.Sqrt(now), math.Sqrt(was)
	cosine := 0.0 // where there is nothing to compare with
	if was > 0 && now > 0 {
		cosine = dot / (was * now)
	}
	switch {
	case cosine > 0 && limited > now*now/2:
		return 1 // larger γ would hardly move x farther
	case !noisy && was > 0 && now > 4*was: // γ has not grown so much: x diverges
		c.kept[0] = 0
		return shrink
	}
	return c.factor(0, cosine, now/was, now/(was*c.grown), noisy)
}

func square(v float64) float64 { return v * v }

// adapt ends a stretch: it changes γ and K.
func (c *Control) adapt() {
	fall, scale, still := 0.0, 0.0, true
	for _, x := range c.X {
		scale = max(scale, math.Abs(x))
	}
	for j, x := range c.X {
		if d := x - c.Start[j]; math.Abs(d) > 1e-13*scale || !c.shared && c.flipping(j) {
			fall += d * d / c.Gamma[j]
			still = false
		} else if d != 0 { // else it is at a bound, which it leaves by a turn, or no batch has moved it
			c.last[j] = 0 // rounding errors decide
		}
	}
	if still { // which says nothing of γ
		return
	}
	noisy, resting, straight := c.walk(fall)
	slow := 1.0
	switch {
	case resting: // but not faster than 1/t², or γ vanishes while x is still on its way
		slow = max(shrink, square(float64(c.From+1)/float64(c.t+1)))
	case noisy && c.Slows:
		slow = max(shrink, math.Sqrt(float64(c.From+1)/float64(c.t+1)))
	}
	common := 1.0
	if c.shared {
		common = slow * c.common(noisy)
		kernel.Scale(common, c.Gamma)
		c.grown = common
	}
	turns, kept := 0, 0 // coordinates
	for j, x := range c.X {
		d := x - c.Start[j]
		if math.Abs(d) <= 1e-13*scale && (c.shared || !c.flipping(j)) {
			continue
		}
		if d*c.last[j] < 0 {
			turns++
		} else if d*c.last[j] > 0 {
			kept++
		}
		if most := c.largest(j); c.shared {
			c.Plan[j] = most
		} else {
			m, was := math.Abs(d), math.Abs(c.last[j])
			factor := min(slow*c.factor(j, sign(d*c.last[j]), m/was, 2*m/c.Plan[j], noisy), most/m)
			if 160*c.Share*m < c.Gamma[j]*math.Abs(c.Sum[j]) {
				factor = min(factor, 1) // steps were cut short
			}
			c.Gamma[j] *= factor
			c.Plan[j] = min(most, max(2*factor*m, c.Plan[j]/2, 1e-6*(1+math.Abs(x))))
		}
		c.last[j] = d
	}
	if c.shared {
		turns, kept = 0, 0
		if common < slow {
			turns = 1
		} else if common > slow {
			kept = 1
		}
	}
	late := math.Abs(c.lag) // of the first order in δ, and fall is of the second
	if c.Fresh || late < smallLag*(c.first-c.best) {
		late = 0
	}
	late *= float64(c.t - c.From)
	switch {
	case resting:
	case late > 2*fall && !noisy:
		c.stretch(min(2*c.length, c.Longest))
		kernel.Scale(0.5, c.Gamma)
		c.steady = 0
	case noisy, 2*turns > kept:
		if int64(c.length) < c.t/8 { // or few stretches would be left to adapt in
			c.stretch(min(2*c.length, c.Longest))
		}
		c.steady = 0
	case kept > 3*turns && (!c.Noisy || c.order > straight) && late < 0.2*fall:
		if c.steady++; c.steady == manySteady {
			c.stretch(max(c.length/2, c.Shortest))
			c.steady = 0
		}
	default:
		c.steady = 0
	}
}

// stretch changes K, and the last displacements to those that they would have been.
func (c *Control) stretch(length int) {
	kernel.Scale(float64(length)/float64(c.length), c.last)
	c.length = length
}
