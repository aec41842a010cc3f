package adapt

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
)

// goodValue estimates h, when enough steps have been made since the last time to pay for it, and keeps the point unless
// h has certainly grown by half of what it had fallen.
func (c *Control) goodValue(slope float64) bool {
	if c.valued > 0 && c.t-c.valued < int64(c.Every) {
		return true
	}
	h, off := c.run.Value(c.lag)
	if c.values == 0 {
		c.first, c.best, c.value = h, h+3*off, h
	}
	c.values++
	c.valued = c.t
	most := c.best + 0.5*max(0, c.first-c.best) + 1e-3*math.Abs(c.best)
	if c.Noisy {
		most += 4 * c.jitter
	}
	if math.IsNaN(h) || c.values > 3 && h-3*off > most {
		c.values = 0 // estimates of a bad time may have been wrong
		return false
	}
	c.jitter = max(0.7*c.jitter, math.Abs(h-c.value))
	c.Safety = min(1, 1.1*c.Safety)
	c.value = h
	c.best = min(c.best, h+3*off)
	c.first = max(c.first, h)
	c.save(slope)
	return true
}

// save keeps the current point as a good one, unless z is about to diverge: slope is the norm of its direction.
func (c *Control) save(slope float64) {
	if slope > 10*c.SlopeZ {
		return
	}
	copy(c.good[0], c.X)
	for i, v := range c.Inner {
		copy(c.good[i+1], v)
	}
	c.goodStep = c.t
}

// retreat goes back to the last good point with halved steps and says so, if it has not done so too often.
func (c *Control) retreat(why string, inner bool) bool {
	if c.Restarts == maxRestarts {
		c.begin()
		c.lookLater()
		return false
	}
	c.Restarts++
	what := "outer"
	if inner && c.AutoInner {
		c.Safety /= 2
		what = "inner and outer"
		if !c.AutoOuter {
			what = "inner"
		}
	}
	kernel.Scale(0.5, c.Gamma)
	if c.shared {
		c.kept[0] = 0 // or they would be doubled at once
	}
	c.Notes = append(c.Notes, fmt.Sprintf("%s by step %d: back to the point of step %d "+
		"with halved automatic %s step sizes", why, c.t, c.goodStep, what))
	copy(c.X, c.good[0])
	for i, v := range c.Inner {
		copy(v, c.good[i+1])
	}
	clear(c.Sum)
	clear(c.last)
	if c.AutoInner {
		c.run.Measure(32, 4)
	}
	c.begin()
	c.lookLater()
	return true
}
