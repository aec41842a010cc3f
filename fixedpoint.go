package bilevel

import "gonum.org/v1/gonum/floats"

// FixedPoint is the other kind of inner problem, z = Φ(z, x), the mean of Samples() maps.
type FixedPoint interface {
	// Dims returns the length d of z and the length p of x.
	Dims() (d, p int)
	// Samples returns the number of terms.
	Samples() int
	// Map overwrites dst with Φ(z, x) over b.
	Map(dst, z, x []float64, b Batch)
	// Pull overwrites uz = ∂zΦᵀu (length d) and ux = ∂xΦᵀu (length p). A nil destination is not computed.
	Pull(uz, ux, z, x, u []float64, b Batch)
}

// Pusher is a [FixedPoint] with forward products, which forward-mode differentiation and conjugate gradients on
// the normal equations need.
type Pusher interface {
	// Push overwrites dst (length d) with ∂zΦ·vz + ∂xΦ·vx over b. A nil vz or vx is zero.
	Push(dst, z, x, vz, vx []float64, b Batch)
}

// GradientMap is one step of gradient descent on G, Φ(z, x) = z − η∇z g(z, x), as a [FixedPoint].
type GradientMap struct {
	G   SecondOrder
	Eta float64 // step size η
}

var (
	_ FixedPoint = GradientMap{}
	_ Pusher     = GradientMap{}
)

// Dims returns those of G.
func (m GradientMap) Dims() (d, p int) { return m.G.Dims() }

// Samples returns those of G.
func (m GradientMap) Samples() int { return m.G.Samples() }

// Map overwrites dst with z − η∇z g.
func (m GradientMap) Map(dst, z, x []float64, b Batch) {
	m.G.Grad(dst, nil, z, x, b)
	for i, g := range dst {
		dst[i] = z[i] - m.Eta*g
	}
}

// Pull overwrites uz = u − η∇²zz g·u and ux = −η∇²xz g·u.
func (m GradientMap) Pull(uz, ux, z, x, u []float64, b Batch) {
	m.G.Products(nil, uz, ux, z, x, u, b)
	for i, h := range uz {
		uz[i] = u[i] - m.Eta*h
	}
	for i := range ux {
		ux[i] *= -m.Eta
	}
}

// Push overwrites dst = vz − η(∇²zz g·vz + ∇²zx g·vx), see [Cross].
func (m GradientMap) Push(dst, z, x, vz, vx []float64, b Batch) {
	clear(dst)
	if vz != nil {
		m.G.Products(nil, dst, nil, z, x, vz, b)
	}
	if vx != nil {
		c := make([]float64, len(dst))
		Cross(m.G, c, z, x, vx, b)
		floats.Add(dst, c)
	}
	floats.Scale(-m.Eta, dst)
	if vz != nil {
		floats.Add(dst, vz)
	}
}
