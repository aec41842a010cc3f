package stochastic

import (
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
)

// cleaning is weighted least squares: g = mean σ(x_i)·½(⟨a_i, z⟩ − y_i)² + ½·0.2‖z‖², one weight per sample,
// f = mean ½(⟨b_j, z⟩ − u_j)².
type cleaning struct {
	d int
	a [][]float64
	y []float64
	b [][]float64
	u []float64
}

func newCleaning(n, m int) *cleaning {
	rng := rand.New(rand.NewPCG(5, 6))
	c := &cleaning{d: 4}
	truth := []float64{1, -2, .5, 3}
	row := func() []float64 {
		a := make([]float64, c.d)
		for i := range a {
			a[i] = rng.NormFloat64()
		}
		return a
	}
	for i := range n {
		a := row()
		y := dot(a, truth) + .1*rng.NormFloat64()
		if i%3 == 0 {
			y = 5 * rng.NormFloat64()
		}
		c.a, c.y = append(c.a, a), append(c.y, y)
	}
	for range m {
		b := row()
		c.b, c.u = append(c.b, b), append(c.u, dot(b, truth)+.1*rng.NormFloat64())
	}
	return c
}

// problem returns the problem with a Local and Linear inner objective, or with local or linear hidden.
func (c *cleaning) problem(local, linear bool) *bilevel.Problem {
	var g bilevel.Objective
	switch s := (&weighted{c}); {
	case local && linear:
		g = s
	case local:
		g = struct {
			bilevel.SecondOrder
			bilevel.Local
		}{s, s}
	case linear:
		g = fullLinear{s}
	default:
		g = struct{ bilevel.SecondOrder }{s}
	}
	return &bilevel.Problem{Inner: withRidge{bilevel.SecondOrder(g.(bilevel.SecondOrder)), &ridge{c.d, len(c.a)}},
		Outer: &residuals{c}}
}

// weighted is the sampled part of g.
type weighted struct{ c *cleaning }

func (o *weighted) Dims() (d, p int) { return o.c.d, len(o.c.a) }
func (o *weighted) Samples() int     { return len(o.c.a) }

func (o *weighted) OuterRange(b bilevel.Batch) (lo, hi int) { return b.Lo, b.Hi }

func (o *weighted) Value(z, x []float64, b bilevel.Batch) float64 {
	t := 0.0
	for i := b.Lo; i < b.Hi; i++ {
		r := dot(o.c.a[i], z) - o.c.y[i]
		t += sigmoid(x[i]) * r * r / 2
	}
	return t / float64(b.Len())
}

func (o *weighted) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dz)
	clear(dx)
	for i := b.Lo; i < b.Hi; i++ {
		r, s := dot(o.c.a[i], z)-o.c.y[i], sigmoid(x[i])
		if dx != nil {
			dx[i] = s * (1 - s) * r * r / 2 / float64(b.Len())
		}
		if dz != nil {
			axpy(s*r/float64(b.Len()), o.c.a[i], dz)
		}
	}
}

func (o *weighted) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if cv != nil {
		clear(cv)
		cv = cv[b.Lo:b.Hi]
	}
	o.LocalProducts(dz, hv, cv, z, x, v, b)
}

func (o *weighted) LocalProducts(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(dz)
	clear(hv)
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		r, s, t := dot(o.c.a[i], z)-o.c.y[i], sigmoid(x[i]), dot(o.c.a[i], v)
		if dz != nil {
			axpy(w*s*r, o.c.a[i], dz)
		}
		if hv != nil {
			axpy(w*s*t, o.c.a[i], hv)
		}
		if cv != nil {
			cv[i-b.Lo] = w * s * (1 - s) * r * t
		}
	}
}

func (o *weighted) Scores() int { return 1 }

func (o *weighted) Coefs(cg, ch, cv, z, x, v []float64, b bilevel.Batch) {
	for i := b.Lo; i < b.Hi; i++ {
		r, s, t := dot(o.c.a[i], z)-o.c.y[i], sigmoid(x[i]), 0.0
		if v != nil {
			t = dot(o.c.a[i], v)
		}
		if cg != nil {
			cg[i-b.Lo] = s * r
		}
		if ch != nil {
			ch[i-b.Lo] = s * t
		}
		if cv != nil {
			cv[i-b.Lo] = s * (1 - s) * r * t / float64(b.Len())
		}
	}
}

func (o *weighted) Combine(dz, hv, cg, ch []float64, w, keep float64, b bilevel.Batch) {
	for _, q := range []struct{ dst, c []float64 }{{dz, cg}, {hv, ch}} {
		if q.dst == nil {
			continue
		}
		if keep == 0 {
			clear(q.dst)
		}
		for j := range q.dst {
			q.dst[j] *= keep
		}
		for i := b.Lo; i < b.Hi; i++ {
			axpy(w*q.c[i-b.Lo]/float64(b.Len()), o.c.a[i], q.dst)
		}
	}
}

func (o *weighted) Row(i int) []float64    { return o.c.a[i] }
func (o *weighted) Prefetch(bilevel.Batch) {}

// fullLinear is Linear and not Local.
type fullLinear struct{ bilevel.Linear }

func (o fullLinear) Coefs(cg, ch, cv, z, x, v []float64, b bilevel.Batch) {
	if cv != nil {
		clear(cv)
		cv = cv[b.Lo:b.Hi]
	}
	o.Linear.Coefs(cg, ch, cv, z, x, v, b)
}

// ridge is ½·0.2‖z‖²; x does not enter.
type ridge struct{ d, p int }

func (o *ridge) Dims() (d, p int)                              { return o.d, o.p }
func (o *ridge) Samples() int                                  { return 1 }
func (o *ridge) OuterRange(bilevel.Batch) (lo, hi int)         { return 0, 0 }
func (o *ridge) Value(z, _ []float64, _ bilevel.Batch) float64 { return .1 * dot(z, z) }
func (o *ridge) Grad(dz, dx, z, _ []float64, _ bilevel.Batch) {
	clear(dz)
	clear(dx)
	axpy(.2, z, dz)
}
func (o *ridge) LocalProducts(dz, hv, _, z, x, v []float64, b bilevel.Batch) {
	o.Products(dz, hv, nil, z, x, v, b)
}
func (o *ridge) Products(dz, hv, cv, z, _, v []float64, _ bilevel.Batch) {
	clear(cv)
	clear(dz)
	clear(hv)
	if dz != nil {
		axpy(.2, z, dz)
	}
	if hv != nil {
		axpy(.2, v, hv)
	}
}

// withRidge is a Splitter.
type withRidge struct {
	s bilevel.SecondOrder
	r *ridge
}

func (o withRidge) Dims() (d, p int)                          { return o.s.Dims() }
func (o withRidge) Samples() int                              { return o.s.Samples() }
func (o withRidge) Split() (sampled, exact bilevel.Objective) { return o.s, o.r }
func (o withRidge) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.s.Value(z, x, b) + o.r.Value(z, x, b)
}
func (o withRidge) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.s.Grad(dz, dx, z, x, b)
	if dz != nil {
		axpy(.2, z, dz)
	}
}
func (o withRidge) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.s.Products(dz, hv, cv, z, x, v, b)
	if dz != nil {
		axpy(.2, z, dz)
	}
	if hv != nil {
		axpy(.2, v, hv)
	}
}

// residuals is f.
type residuals struct{ c *cleaning }

func (o *residuals) Dims() (d, p int)                      { return o.c.d, len(o.c.a) }
func (o *residuals) Samples() int                          { return len(o.c.b) }
func (o *residuals) OuterRange(bilevel.Batch) (lo, hi int) { return 0, 0 }
func (o *residuals) LocalProducts(_, _, _, _, _, _ []float64, _ bilevel.Batch) {
	panic("x does not enter")
}
func (o *residuals) Value(z, _ []float64, b bilevel.Batch) float64 {
	t := 0.0
	for i := b.Lo; i < b.Hi; i++ {
		r := dot(o.c.b[i], z) - o.c.u[i]
		t += r * r / 2
	}
	return t / float64(b.Len())
}
func (o *residuals) Grad(dz, dx, z, _ []float64, b bilevel.Batch) {
	clear(dx)
	clear(dz)
	if dz == nil {
		return
	}
	for i := b.Lo; i < b.Hi; i++ {
		axpy((dot(o.c.b[i], z)-o.c.u[i])/float64(b.Len()), o.c.b[i], dz)
	}
}

func sigmoid(t float64) float64 { return 1 / (1 + math.Exp(-t)) }

func axpy(a float64, x, y []float64) {
	for i, v := range x {
		y[i] += a * v
	}
}
