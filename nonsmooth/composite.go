package nonsmooth

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/power"
	"gonum.org/v1/gonum/floats"
)

// Weights are those of a weighted ℓ1 norm, λ(x) ≥ 0. model.L1 has them.
type Weights interface {
	// Dims returns the length d of z and of λ, and the length p of x.
	Dims() (d, p int)
	// Weights overwrites lambda with λ(x). A coefficient that is not penalised has weight 0.
	Weights(lambda, x []float64)
	// Pull overwrites cx (length p) with ∂λᵀc, c of length d.
	Pull(cx, x, c []float64)
	// Push overwrites dst (length d) with ∂λ·w, w of length p.
	Push(dst, x, w []float64)
}

// Composite is the inner problem z*(x) = argmin_z g(z, x) + Σ_i λ_i(x)|z_i|, as the fixed point of
//
//	Φ(z, x) = S(z − η∇z g(z, x), ηλ(x)),   S(u, t)_i = sign(u_i)·max(|u_i| − t_i, 0).
//
// It has one sample: the threshold of a mean is not the mean of thresholds, and every map passes over all of g.
// Derivatives are zero where |u_i| ≤ t_i. Use it by pointer; it keeps scratch space.
type Composite struct {
	G  bilevel.SecondOrder
	L1 Weights
	// Eta is the step size η of the map. The fixed point does not depend on it, but iterations of the map need
	// η < 2/L, see [StepSize]. The default is 1.
	Eta float64

	grad, lambda, w, cx []float64
	pieces              []*piece // of G, when ProxNewton or Implicit asked for them
}

var (
	_ bilevel.FixedPoint = (*Composite)(nil)
	_ bilevel.Pusher     = (*Composite)(nil)
)

// Check reports what makes c unusable.
func (c *Composite) Check() error {
	if c.G == nil || c.L1 == nil {
		return errors.New("nonsmooth: a composite problem needs G and L1")
	}
	if _, err := bilevel.NeedSecondOrder(c.G); err != nil {
		return fmt.Errorf("nonsmooth: smooth part: %w", err)
	}
	d, p := c.G.Dims()
	if dl, pl := c.L1.Dims(); d != dl || p != pl {
		return fmt.Errorf("nonsmooth: the smooth part has dimensions d = %d, p = %d and the ℓ1 norm d = %d, p = %d",
			d, p, dl, pl)
	}
	if c.Eta < 0 || math.IsNaN(c.Eta) || math.IsInf(c.Eta, 0) {
		return fmt.Errorf("nonsmooth: the step size is %v", c.Eta)
	}
	return nil
}

// Dims returns the lengths of z and x.
func (c *Composite) Dims() (d, p int) { return c.G.Dims() }

// Samples is 1.
func (c *Composite) Samples() int { return 1 }

func (c *Composite) eta() float64 {
	if c.Eta == 0 {
		return 1
	}
	return c.Eta
}

// Value is g(z, x) + Σ_i λ_i(x)|z_i|.
func (c *Composite) Value(z, x []float64) float64 {
	c.weights(x)
	return c.G.Value(z, x, bilevel.All(c.G)) + weighted(c.lambda, z)
}

// weighted is Σ λ_i|z_i|.
func weighted(lambda, z []float64) float64 {
	sum := 0.0
	for i, l := range lambda {
		sum += l * math.Abs(z[i])
	}
	return sum
}

func (c *Composite) weights(x []float64) {
	c.grow()
	c.L1.Weights(c.lambda, x)
}

func (c *Composite) grow() {
	if d, p := c.Dims(); len(c.lambda) != d || len(c.cx) != p {
		c.grad, c.lambda, c.w, c.cx = make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, p)
	}
}

// soft is the soft threshold S(u, t).
func soft(u, t float64) float64 {
	switch {
	case u > t:
		return u - t
	case u < -t:
		return u + t
	}
	return 0
}

// Map overwrites dst with Φ(z, x).
func (c *Composite) Map(dst, z, x []float64, _ bilevel.Batch) {
	c.weights(x)
	c.G.Grad(c.grad, nil, z, x, bilevel.All(c.G))
	eta := c.eta()
	for i, g := range c.grad {
		dst[i] = soft(z[i]-eta*g, eta*c.lambda[i])
	}
}

// signs overwrites c.grad with the signs of Φ(z, x), 1 also for a coefficient without a penalty: the derivative of
// the threshold is their square, and −1 times them that with respect to t.
func (c *Composite) signs(z, x []float64) {
	c.Map(c.w, z, x, bilevel.Batch{})
	for i, u := range c.w {
		switch {
		case u > 0 || c.lambda[i] == 0:
			c.grad[i] = 1
		case u < 0:
			c.grad[i] = -1
		default:
			c.grad[i] = 0
		}
	}
}

// Pull overwrites uz = (I − η∇²zz g)Du and ux = −η(∇²xz g·Du + ∂λᵀ(sign∘Du)), with D the derivative of S.
func (c *Composite) Pull(uz, ux, z, x, u []float64, _ bilevel.Batch) {
	c.grow()
	c.signs(z, x)
	for i, s := range c.grad {
		c.w[i] = s * s * u[i] // Du
	}
	c.G.Products(nil, uz, ux, z, x, c.w, bilevel.All(c.G))
	eta := c.eta()
	for i, h := range uz {
		uz[i] = c.w[i] - eta*h
	}
	if ux == nil {
		return
	}
	for i, s := range c.grad {
		c.w[i] *= s
	}
	c.L1.Pull(c.cx, x, c.w)
	for j, l := range c.cx {
		ux[j] = -eta * (ux[j] + l)
	}
}

// Push overwrites dst with D(vz − η(∇²zz g·vz + ∇²zx g·vx)) − η sign∘∂λ·vx, see
// [bilevel.Cross].
func (c *Composite) Push(dst, z, x, vz, vx []float64, _ bilevel.Batch) {
	c.grow()
	c.signs(z, x)
	eta := c.eta()
	clear(dst)
	if vz != nil {
		c.G.Products(nil, dst, nil, z, x, vz, bilevel.All(c.G))
		for i, h := range dst {
			dst[i] = vz[i] - eta*h
		}
	}
	if vx != nil {
		bilevel.Cross(c.G, c.w, z, x, vx, bilevel.All(c.G))
		floats.AddScaled(dst, -eta, c.w)
		c.L1.Push(c.w, x, vx)
	}
	for i, s := range c.grad {
		dst[i] *= s * s
		if vx != nil {
			dst[i] -= eta * s * c.w[i]
		}
	}
}

// subgradient overwrites s with the element of ∇g + ∂Σλ_i|z_i| of least norm, which vanishes at z*. s may be grad.
func subgradient(s, grad, z, lambda []float64) {
	for i, g := range grad {
		switch l := lambda[i]; {
		case z[i] > 0:
			s[i] = g + l
		case z[i] < 0:
			s[i] = g - l
		default:
			s[i] = soft(g, l)
		}
	}
}

// StepSize is 1/L, L an estimate of the largest eigenvalue of ∇²zz g at z and at 0 by power iterations, a tenth
// raised. It makes 60 products over all samples.
func StepSize(g bilevel.SecondOrder, z, x []float64) float64 {
	all := bilevel.All(g)
	top := 0.0
	v, hv := make([]float64, len(z)), make([]float64, len(z))
	for _, at := range [][]float64{make([]float64, len(z)), z} {
		clear(v)
		l := power.Largest(v, hv, 30, 0, func(dst, v []float64) { g.Products(nil, dst, nil, at, x, v, all) })
		if !math.IsInf(l, 0) && l > top {
			top = l
		}
	}
	if top == 0 {
		return 1
	}
	return 1 / (1.1 * top)
}
