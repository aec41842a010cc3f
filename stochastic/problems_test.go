package stochastic

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
)

// quadratic is a bilevel problem with closed forms,
//
//	g_i = ½ zᵀA_i z + xᵀC_i z + a_iᵀz,   f_j = ½ zᵀP_j z + ½ xᵀQ_j x + xᵀR_j z + r_jᵀz + q_jᵀx,
//
// with d = 5, p = 3, asymmetric data and noise between the terms.
type quadratic struct {
	d, p          int
	a, c, P, Q, R [][]float64
	al, r, q      [][]float64

	hess       *mat.SymDense // ∇²h
	xs, zs     []float64     // solution
	h          float64
	A, C       *mat.Dense
	Pm, Qm, R2 *mat.Dense
	am, rm, qm *mat.VecDense
}

func newQuadratic(n, m int, scale float64, seed uint64) *quadratic {
	const d, p = 5, 3
	rng := rand.New(rand.NewPCG(seed, 7))
	s := &quadratic{d: d, p: p}
	vec := func(k int, sd float64) []float64 {
		v := make([]float64, k)
		for i := range v {
			v[i] = sd * rng.NormFloat64()
		}
		return v
	}
	gram := func(k int, base, noise float64) []float64 {
		w := vec(k, noise)
		g := make([]float64, k*k)
		for i := range k {
			g[i*k+i] = base * float64(1+i) / float64(k)
			for j := range k {
				g[i*k+j] += w[i] * w[j]
			}
		}
		return g
	}
	plus := func(m, w []float64) []float64 {
		for i := range w {
			w[i] += m[i]
		}
		return w
	}
	cm, rm := vec(p*d, 1), vec(p*d, .2)
	a0, r0, q0 := vec(d, 1), vec(d, 1), vec(p, 1)
	for range n {
		s.a = append(s.a, gram(d, 1, .5))
		s.c = append(s.c, plus(cm, vec(p*d, .3)))
		s.al = append(s.al, plus(a0, vec(d, .5)))
	}
	for range m {
		s.P = append(s.P, gram(d, .5, .3))
		s.Q = append(s.Q, gram(p, 2, .3))
		s.R = append(s.R, plus(rm, vec(p*d, .1)))
		s.r = append(s.r, plus(r0, vec(d, .5)))
		s.q = append(s.q, plus(q0, vec(p, .5)))
	}
	for _, l := range [][][]float64{s.a, s.c, s.P, s.Q, s.R, s.al, s.r, s.q} {
		for _, v := range l {
			for i := range v {
				v[i] *= scale
			}
		}
	}
	s.solve()
	return s
}

func mean(l [][]float64, b bilevel.Batch) []float64 {
	out := make([]float64, len(l[0]))
	for _, v := range l[b.Lo:b.Hi] {
		for i, e := range v {
			out[i] += e / float64(b.Len())
		}
	}
	return out
}

func (s *quadratic) solve() {
	n, m := bilevel.Batch{Lo: 0, Hi: len(s.a)}, bilevel.Batch{Lo: 0, Hi: len(s.P)}
	d, p := s.d, s.p
	s.A, s.C = mat.NewDense(d, d, mean(s.a, n)), mat.NewDense(p, d, mean(s.c, n))
	s.Pm, s.Qm, s.R2 = mat.NewDense(d, d, mean(s.P, m)), mat.NewDense(p, p, mean(s.Q, m)), mat.NewDense(p, d, mean(s.R, m))
	s.am, s.rm, s.qm = mat.NewVecDense(d, mean(s.al, n)), mat.NewVecDense(d, mean(s.r, m)),
		mat.NewVecDense(p, mean(s.q, m))
	// z* = Jx + z0
	var J mat.Dense
	var z0 mat.VecDense
	J.Solve(s.A, s.C.T())
	J.Scale(-1, &J)
	z0.SolveVec(s.A, s.am)
	z0.ScaleVec(-1, &z0)
	// ∇h = JᵀP(Jx+z0) + Jᵀ(Rᵀx + r) + Qx + R(Jx+z0) + q
	var PJ, H, RJ mat.Dense
	PJ.Mul(s.Pm, &J)
	H.Mul(J.T(), &PJ)
	H.Add(&H, s.Qm)
	RJ.Mul(s.R2, &J)
	H.Add(&H, &RJ)
	H.Add(&H, RJ.T())
	s.hess = mat.NewSymDense(p, nil)
	for i := range p {
		for j := range p {
			s.hess.SetSym(i, j, H.At(i, j))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(s.hess) {
		panic("∇²h is not positive definite: choose another seed")
	}
	var t, b, u mat.VecDense
	t.MulVec(s.Pm, &z0)
	t.AddVec(&t, s.rm)
	b.MulVec(J.T(), &t)
	u.MulVec(s.R2, &z0)
	b.AddVec(&b, &u)
	b.AddVec(&b, s.qm)
	b.ScaleVec(-1, &b)
	var x, z mat.VecDense
	if err := chol.SolveVecTo(&x, &b); err != nil {
		panic(err)
	}
	z.MulVec(&J, &x)
	z.AddVec(&z, &z0)
	s.xs, s.zs = x.RawVector().Data, z.RawVector().Data
	s.h = s.value(s.xs)
}

func (s *quadratic) inner(x []float64) []float64 {
	var b, z mat.VecDense
	b.MulVec(s.C.T(), mat.NewVecDense(s.p, x))
	b.AddVec(&b, s.am)
	b.ScaleVec(-1, &b)
	z.SolveVec(s.A, &b)
	return z.RawVector().Data
}

// value is h(x).
func (s *quadratic) value(x []float64) float64 {
	return s.outer().Value(s.inner(x), x, bilevel.Batch{Lo: 0, Hi: len(s.P)})
}

func form(m, u, v []float64) float64 {
	t := 0.0
	for i, a := range u {
		for j, b := range v {
			t += m[i*len(v)+j] * a * b
		}
	}
	return t
}

func mulAdd(dst, m, v []float64, trans bool) {
	if trans {
		for i, a := range v {
			for j := range dst {
				dst[j] += m[i*len(dst)+j] * a
			}
		}
		return
	}
	for i := range dst {
		for j, a := range v {
			dst[i] += m[i*len(v)+j] * a
		}
	}
}

func dot(u, v []float64) float64 {
	t := 0.0
	for i := range u {
		t += u[i] * v[i]
	}
	return t
}

func (s *quadratic) problem() *bilevel.Problem {
	return &bilevel.Problem{Inner: s.innerObjective(), Outer: s.outer()}
}

func (s *quadratic) innerObjective() *bilevel.Func {
	return &bilevel.Func{
		InnerDim: s.d, OuterDim: s.p, Terms: len(s.a),
		Eval: func(z, x []float64, b bilevel.Batch) float64 {
			return form(mean(s.a, b), z, z)/2 + form(mean(s.c, b), x, z) + dot(mean(s.al, b), z)
		},
		Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) {
			each(dz, s.al, b)
			eachMul(dz, s.a, z, b, false)
			eachMul(dz, s.c, x, b, true)
			clear(dx)
			eachMul(dx, s.c, z, b, false)
		},
		HessVec: func(hv, z, x, v []float64, b bilevel.Batch) {
			clear(hv)
			eachMul(hv, s.a, v, b, false)
		},
		CrossVec: func(cv, z, x, v []float64, b bilevel.Batch) {
			clear(cv)
			eachMul(cv, s.c, v, b, false)
		},
	}
}

func each(dst []float64, l [][]float64, b bilevel.Batch) {
	clear(dst)
	for _, v := range l[b.Lo:b.Hi] {
		for i, e := range v {
			dst[i] += e / float64(b.Len())
		}
	}
}

func eachMul(dst []float64, l [][]float64, v []float64, b bilevel.Batch, trans bool) {
	var t [8]float64
	acc := t[:len(dst)]
	for _, m := range l[b.Lo:b.Hi] {
		mulAdd(acc, m, v, trans)
	}
	for i, e := range acc {
		dst[i] += e / float64(b.Len())
	}
}

func (s *quadratic) outer() *bilevel.Func {
	return &bilevel.Func{
		InnerDim: s.d, OuterDim: s.p, Terms: len(s.P),
		Eval: func(z, x []float64, b bilevel.Batch) float64 {
			return form(mean(s.P, b), z, z)/2 + form(mean(s.Q, b), x, x)/2 + form(mean(s.R, b), x, z) + dot(mean(s.r, b), z) +
				dot(mean(s.q, b), x)
		},
		Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) {
			each(dz, s.r, b)
			eachMul(dz, s.P, z, b, false)
			eachMul(dz, s.R, x, b, true)
			each(dx, s.q, b)
			eachMul(dx, s.Q, x, b, false)
			eachMul(dx, s.R, z, b, false)
		},
	}
}

func distance(a, b []float64) float64 {
	t := 0.0
	for i := range a {
		t += (a[i] - b[i]) * (a[i] - b[i])
	}
	return math.Sqrt(t)
}
