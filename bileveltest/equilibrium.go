package bileveltest

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/quadratic"
)

// equilibriumNorm is ‖M‖₂ of [Equilibrium].
const equilibriumNorm = 0.8

// affine is Φ(z, x) = Mz + Bx + c.
type affine struct {
	d, p int
	m, b *mat.Dense // d×d and d×p
	c    []float64
}

var (
	_ bilevel.FixedPoint = (*affine)(nil)
	_ bilevel.Pusher     = (*affine)(nil)
)

func (a *affine) Dims() (d, p int) { return a.d, a.p }
func (a *affine) Samples() int     { return 1 }

func (a *affine) Map(dst, z, x []float64, b bilevel.Batch) {
	a.Push(dst, z, x, z, x, b)
	axpy(1, a.c, dst)
}

func (a *affine) Pull(uz, ux, _, _, u []float64, _ bilevel.Batch) {
	clear(uz)
	clear(ux)
	for i, ui := range u {
		if uz != nil {
			axpy(ui, a.m.RawRowView(i), uz)
		}
		if ux != nil {
			axpy(ui, a.b.RawRowView(i), ux)
		}
	}
}

func (a *affine) Push(dst, _, _, vz, vx []float64, _ bilevel.Batch) {
	for i := range dst {
		dst[i] = 0
		if vz != nil {
			dst[i] += dot(a.m.RawRowView(i), vz)
		}
		if vx != nil {
			dst[i] += dot(a.b.RawRowView(i), vx)
		}
	}
}

// Equilibrium is a fixed-point problem that is no minimisation: Φ(z, x) = Mz + Bx + c with M not symmetric and
// ‖M‖₂ = 0.8, one sample, z of length d and x of length p. The outer objective is that of [Quadratic]. With
// (I − Mᵀ)u = ∇z f, V of a solution is u, so that ∇h = ∇x f + Bᵀu.
func Equilibrium(d, p int, seed uint64) Case {
	rng := rand.New(rand.NewPCG(seed, 0xe9))
	draw := func(r, c int) *mat.Dense {
		m := mat.NewDense(r, c, nil)
		for i := range r {
			for j := range c {
				m.Set(i, j, rng.NormFloat64()/math.Sqrt(float64(c)))
			}
		}
		return m
	}
	phi := &affine{d: d, p: p, m: draw(d, d), b: draw(d, p), c: draw(1, d).RawRowView(0)}
	var svd mat.SVD
	if !svd.Factorize(phi.m, mat.SVDNone) {
		panic("bileveltest: singular values of M")
	}
	phi.m.Scale(equilibriumNorm/svd.Values(nil)[0], phi.m)
	f := quadratic.New(d, p, 20*(d+p), 0.2, rng)

	eye := mat.NewDense(d, d, nil)
	for i := range d {
		eye.Set(i, i, 1)
	}
	eye.Sub(eye, phi.m)
	var lu mat.LU
	lu.Factorize(eye)
	c := Case{
		Name:    name("equilibrium", d, p),
		Problem: &bilevel.Problem{Outer: f, Fixed: phi},
		Solve: func(x []float64) Solution {
			s := Solution{Z: make([]float64, d), V: make([]float64, d), Grad: make([]float64, p)}
			rhs := make([]float64, d)
			phi.Map(rhs, s.Z, x, bilevel.Batch{Lo: 0, Hi: 1}) // at z = 0: Bx + c
			must(lu.SolveVecTo(mat.NewVecDense(d, s.Z), false, mat.NewVecDense(d, rhs)))
			fz, ux := make([]float64, d), make([]float64, p)
			f.Grad(fz, s.Grad, s.Z, x, bilevel.All(f))
			must(lu.SolveVecTo(mat.NewVecDense(d, s.V), true, mat.NewVecDense(d, fz)))
			phi.Pull(nil, ux, s.Z, x, s.V, bilevel.Batch{Lo: 0, Hi: 1})
			axpy(1, ux, s.Grad) // ∇h = ∇x f + Bᵀu
			s.Value = f.Value(s.Z, x, bilevel.All(f))
			return s
		},
	}
	c.minimize()
	return c
}
