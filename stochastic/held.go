package stochastic

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/adapt"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// held is a direction d of x that lasts from step to step: the average of SAGA, a SPIDER or STORM estimate, a
// moving average. Every step multiplies d by a factor, changes it where the batch of g has x-derivatives, and makes
// the step x = P(x − γd), in one order or another.
//
// Narrow runs do this lazily. A block's part of x and d stays as it is until the block is drawn; then the steps it
// missed, which multiplied d by f₁, f₂, … and moved x by γ₁, γ₂, … along it, are made at once. With
//
//	φ = Π f_s  and  σ = Σ γ_s φ_s,
//
// both since the start, x −= (σ − σ₀)/φ₀ · d and d *= φ/φ₀, where σ₀ and φ₀ are those of the last time. The missed
// steps go one way, so that projecting onto the box once does what projecting each time would. A step costs no
// work in proportion to p.
type held struct {
	c   *core
	d   []float64
	old []float64 // x before the last move; nil if it is not needed

	// Of narrow runs. Where γ is automatic, one number per coordinate, σ counts steps.
	sum, before, factor float64   // σ, σ before the last move, φ
	sums, factors       []float64 // σ₀ and φ₀ of each block
}

// hold makes d, of length p, the direction that c holds. With old, x before the last move is kept.
func (c *core) hold(d []float64, old bool) *held {
	h := &held{c: c, d: d, factor: 1}
	if old {
		h.old = append([]float64(nil), c.x...)
	}
	if c.narrow {
		h.sums, h.factors = make([]float64, c.gi.Blocks()), make([]float64, c.gi.Blocks())
		h.restart()
	}
	c.held = h
	if c.auto != nil {
		c.auto.Farthest = adapt.LargestMove
	}
	return h
}

// restart takes x and d as they are for up to date.
func (h *held) restart() {
	copy(h.old, h.c.x)
	h.sum, h.before, h.factor = 0, 0, 1
	clear(h.sums)
	for i := range h.factors {
		h.factors[i] = 1
	}
}

// catchUp brings a block's part of x and d up to date.
func (h *held) catchUp(block int) {
	if h.sums == nil {
		return
	}
	lo, hi := h.c.g.OuterRange(h.c.gi.Block(block))
	from, f := h.sums[block], h.factors[block]
	if from != h.sum {
		if h.old != nil {
			h.makeMissed(h.c.x, lo, hi, (h.before-from)/f, true)
			copy(h.old[lo:hi], h.c.x[lo:hi])
			from = h.before
		}
		h.makeMissed(h.c.x, lo, hi, (h.sum-from)/f, true)
		h.sums[block] = h.sum
	}
	if f != h.factor {
		kernel.Scale(h.factor/f, h.d[lo:hi])
		h.factors[block] = h.factor
	}
}

// makeMissed makes dst[lo:hi) −= k γ d, or, while automatic step sizes measure and x is c.x, adds k d to their sum.
func (h *held) makeMissed(dst []float64, lo, hi int, k float64, own bool) {
	if k == 0 || hi <= lo {
		return
	}
	x, d := dst[lo:hi], h.d[lo:hi]
	switch {
	case !h.c.outer.Auto():
		kernel.Axpy(-k, d, x)
	case h.c.auto.Moving || own:
		h.c.auto.Move(x, d, lo, k)
	}
	h.c.clamp(x, lo)
}

// decay multiplies d by f ≥ 0.
func (h *held) decay(f float64) {
	switch {
	case f == 1:
	case f == 0:
		h.catchUpAll()
		clear(h.d)
	case h.sums == nil:
		kernel.Scale(f, h.d)
	default:
		h.factor *= f
	}
}

// move makes the step x = P(x − γd).
func (h *held) move() {
	c := h.c
	if h.sums == nil {
		copy(h.old, c.x)
		copy(c.dx, h.d)
		c.stepRange(0, len(c.x))
		return
	}
	if h.factor < 1e-3 { // σ − σ₀ would lose digits
		h.catchUpAll()
		h.sum, h.factor = 0, 1
		clear(h.sums)
		for i := range h.factors {
			h.factors[i] = 1
		}
	}
	gamma := 1.0
	if !c.outer.Auto() {
		gamma = c.outer.At(c.t + 1)
	}
	h.before = h.sum
	h.sum += gamma * h.factor
}

// skipDrawn leaves the part of x of the block drawn last out of the last move: the caller moves it another way.
func (h *held) skipDrawn() {
	if h.sums != nil {
		h.sums[h.c.block] = h.sum
	}
}

// catchUpAll brings all of x and d up to date.
func (h *held) catchUpAll() {
	for i := range h.sums {
		h.catchUp(i)
	}
}

// catchUpCopy makes the missed steps of dst, a copy of x.
func (h *held) catchUpCopy(dst []float64) {
	for i := range h.sums {
		lo, hi := h.c.g.OuterRange(h.c.gi.Block(i))
		h.makeMissed(dst, lo, hi, (h.sum-h.sums[i])/h.factors[i], false)
	}
}

func (h *held) state(s *bilevel.State) {
	s.Fixed(h.d, h.old, h.sums, h.factors)
	s.Float(&h.sum)
	s.Float(&h.before)
	s.Float(&h.factor)
}
