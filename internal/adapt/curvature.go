package adapt

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/power"
)

// Curvature is that of an objective in z: the largest, L, of what is sampled of it, and the diagonal e ≥ 0 of the
// Hessian of an exact part, such as ½ Σ e^{x_j} z_j², which may be stiff in some coordinates. An exact part whose
// Hessian is not diagonal belongs to L.
//
// Products with Hessians H_ξ of one fresh block after another, r −= η H_ξ r, shrink E‖r‖² where η is below 2 over
// E‖H_ξ v‖²/⟨v, E H_ξ v⟩ for all v: see Fresh.
type Curvature struct {
	L        float64
	Diagonal bool
	E        []float64 // zeros unless Diagonal

	dir, room      []float64
	probes         int
	square, linear float64 // E‖H_ξ v‖² and E⟨v, H_ξ v⟩ for directions v of large curvature that other blocks have
}

const remembered = 64 // blocks that means are of, about

// NewCurvature is that of an objective of z of length d, of which nothing is known.
func NewCurvature(d int) Curvature {
	return Curvature{E: make([]float64, d), dir: make([]float64, d), room: make([]float64, d)}
}

// Raise raises L, which falls by a fiftieth first, to those of some blocks of so many, by power iterations with so many
// products each. Blocks are spread evenly in the long run. mul sets dst to the product of a block's Hessian and v.
func (c *Curvature) Raise(some, blocks, products int, mul func(dst, v []float64, block int)) {
	c.L *= 0.98
	for range min(some, blocks) {
		block := int(uint64(c.probes) * 0x9E3779B97F4A7C15 >> 32 % uint64(blocks))
		c.probes++
		first := true // that product knows v from other blocks
		l := power.Largest(c.dir, c.room, products, 0, func(dst, v []float64) {
			mul(dst, v, block)
			if !first {
				return
			}
			first = false
			if square, linear := kernel.Dot(dst, dst), kernel.Dot(v, dst); linear > 0 && !math.IsInf(square, 0) {
				share := 1 / float64(min(c.probes, remembered))
				c.square += share * (square - c.square)
				c.linear += share * (linear - c.linear)
			}
		})
		if l > c.L && !math.IsInf(l, 0) {
			c.L = l
		}
	}
}

// Fresh is the largest E‖H_ξ v‖²/⟨v, E H_ξ v⟩ as far as blocks have shown it: about L where they are alike, and well
// below it otherwise.
func (c *Curvature) Fresh() float64 {
	if c.linear > 0 {
		return c.square / c.linear
	}
	return c.L
}

// FindDiagonal finds out whether the exact part's Hessian, with which mul multiplies to within tol, is diagonal: then,
// and as good as only then, its products with vectors of different signs are its diagonal with these signs.
func (c *Curvature) FindDiagonal(mul func(dst, v []float64), tol float64) {
	c.Diagonal = true
	c.SetDiagonal(mul)
	signs, top := make([]float64, len(c.E)), 0.0
	for _, e := range c.E {
		top = max(top, math.Abs(e))
	}
	for round := range uint64(3) {
		for i := range signs {
			signs[i] = 1
			if (uint64(i)+1)*(0x9E3779B97F4A7C15+round<<33)>>63 == 1 {
				signs[i] = -1
			}
		}
		mul(c.room, signs)
		for i, e := range c.room {
			if !(math.Abs(signs[i]*e-c.E[i]) <= tol*(math.Abs(c.E[i])+1e-3*top)) {
				c.Diagonal = false
			}
		}
	}
	if !c.Diagonal {
		clear(c.E)
	}
}

// SetDiagonal sets E at the current point.
func (c *Curvature) SetDiagonal(mul func(dst, v []float64)) {
	if !c.Diagonal {
		return
	}
	for i := range c.room {
		c.room[i] = 1
	}
	mul(c.E, c.room)
	for i, e := range c.E {
		c.E[i] = max(e, 0)
	}
}

// Slope is the least norm of a gradient at z to be taken for a scale: at a point where g happens to be minimal it is
// that of rounding errors.
func (c *Curvature) Slope(z []float64) float64 { return 1e-3 * c.L * (1 + norm(z)) }

// Steps sets dst to the inverses of l + k e_i, or 1 where that is zero.
func (c *Curvature) Steps(dst []float64, l, k float64) {
	for i, e := range c.E {
		dst[i] = 1
		if s := l + k*e; s != 0 {
			dst[i] = 1 / s
		}
	}
}

// State lists the variables.
func (c *Curvature) State(s *bilevel.State) {
	s.Float(&c.L)
	s.Float(&c.square)
	s.Float(&c.linear)
	s.Fixed(c.E, c.dir)
	s.Count(&c.probes)
}
