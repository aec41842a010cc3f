// Package quadratic draws random bilevel problems of two quadratics, whose solution has a closed form: the simulated
// problems of benchmark_bilevel (Dagréou et al. 2022).
package quadratic

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// Objective is the mean over i of
//
//	½(a_iᵀz)² + ½(b_iᵀx)² + (c_iᵀx)(e_iᵀz) + s_iᵀz + t_iᵀx,
//
// with Hessians A_i = a_ia_iᵀ and B_i = b_ib_iᵀ and the asymmetric cross matrix C_i = c_ie_iᵀ of rank one.
type Objective struct {
	d, p, n    int
	a, s, b, t []float64 // n rows of length d (a, s) and p (b, t)
	// E and C are the rows e_i, of length d, and c_i, of length p.
	E, C []float64

	// Means over all terms: ∇²zz, ∇²xx, ∇²xz (p×d), and the linear parts.
	azz, bxx *mat.SymDense
	cxz      *mat.Dense
	sz, tx   []float64
}

var (
	_ bilevel.SecondOrder = (*Objective)(nil)
	_ bilevel.Crosser     = (*Objective)(nil)
)

// New draws rows a_i ~ N(0, Σ), where Σ has the spectrum logspace(0.1, 1), so that the mean of
// a_ia_iᵀ is close to Σ, and scales c_i so that ‖mean c_ie_iᵀ‖₂ is cross.
func New(d, p, n int, cross float64, rng *rand.Rand) *Objective {
	q := &Objective{d: d, p: p, n: n}
	q.a, q.b = spectrum(d, n, rng), spectrum(p, n, rng)
	draw := func(k int, scale float64) []float64 {
		s := make([]float64, k)
		for i := range s {
			s[i] = scale * rng.NormFloat64()
		}
		return s
	}
	// c_i = Ke_i plus noise: the mean of c_ie_iᵀ is near K, and its terms are not all noise.
	q.E, q.C = draw(n*d, 1), draw(n*p, 0.3)
	k := mat.NewDense(p, d, draw(p*d, 1/math.Sqrt(float64(d))))
	var ke mat.VecDense
	for i := range n {
		ke.MulVec(k, mat.NewVecDense(d, q.RowZ(q.E, i)))
		floats.Add(q.RowX(q.C, i), ke.RawVector().Data)
	}
	// Means apart from zero, so that the minimiser is not at the origin.
	q.s, q.t = draw(n*d, 0.3), draw(n*p, 0.3)
	ms, mt := draw(d, 1), draw(p, 1)
	for i := range n {
		floats.Add(q.s[i*d:(i+1)*d], ms)
		floats.Add(q.t[i*p:(i+1)*p], mt)
	}
	q.means()
	var svd mat.SVD
	if !svd.Factorize(q.cxz, mat.SVDNone) {
		panic("quadratic: singular values of the cross matrix")
	}
	floats.Scale(cross/svd.Values(nil)[0], q.C)
	q.means()
	return q
}

// spectrum draws n rows of length d from N(0, UΛUᵀ), U random orthogonal and Λ logspaced from 0.1 to 1.
func spectrum(d, n int, rng *rand.Rand) []float64 {
	g := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			g.Set(i, j, rng.NormFloat64())
		}
	}
	var qr mat.QR
	qr.Factorize(g)
	var u mat.Dense
	qr.QTo(&u)
	rows := make([]float64, n*d)
	y := make([]float64, d)
	for i := range n {
		for j := range y {
			l := 1.0
			if d > 1 {
				l = math.Pow(10, float64(j)/float64(d-1)-1)
			}
			y[j] = math.Sqrt(l) * rng.NormFloat64()
		}
		mat.NewVecDense(d, rows[i*d:(i+1)*d]).MulVec(&u, mat.NewVecDense(d, y))
	}
	return rows
}

func (q *Objective) means() {
	q.azz, q.bxx = mat.NewSymDense(q.d, nil), mat.NewSymDense(q.p, nil)
	q.cxz = mat.NewDense(q.p, q.d, nil)
	q.sz, q.tx = make([]float64, q.d), make([]float64, q.p)
	w := 1 / float64(q.n)
	for i := range q.n {
		q.azz.SymRankOne(q.azz, w, mat.NewVecDense(q.d, q.RowZ(q.a, i)))
		q.bxx.SymRankOne(q.bxx, w, mat.NewVecDense(q.p, q.RowX(q.b, i)))
		q.cxz.RankOne(q.cxz, w, mat.NewVecDense(q.p, q.RowX(q.C, i)), mat.NewVecDense(q.d, q.RowZ(q.E, i)))
		floats.AddScaled(q.sz, w, q.RowZ(q.s, i))
		floats.AddScaled(q.tx, w, q.RowX(q.t, i))
	}
}

// RowZ is row i of m, which has rows of length d; RowX of one which has rows of length p.
func (q *Objective) RowZ(m []float64, i int) []float64 { return m[i*q.d : (i+1)*q.d] }
func (q *Objective) RowX(m []float64, i int) []float64 { return m[i*q.p : (i+1)*q.p] }

func (q *Objective) Dims() (d, p int) { return q.d, q.p }
func (q *Objective) Samples() int     { return q.n }

func (q *Objective) Value(z, x []float64, b bilevel.Batch) float64 {
	sum := 0.0
	for i := b.Lo; i < b.Hi; i++ {
		az, bx := kernel.Dot(q.RowZ(q.a, i), z), kernel.Dot(q.RowX(q.b, i), x)
		sum += az*az/2 + bx*bx/2 + kernel.Dot(q.RowX(q.C, i), x)*kernel.Dot(q.RowZ(q.E, i), z) +
			kernel.Dot(q.RowZ(q.s, i), z) + kernel.Dot(q.RowX(q.t, i), x)
	}
	return sum / float64(max(b.Len(), 1))
}

func (q *Objective) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dz)
	clear(dx)
	if b.Len() == q.n {
		q.meanGrad(dz, dx, z, x)
		return
	}
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		if dz != nil {
			kernel.Axpy(w*kernel.Dot(q.RowZ(q.a, i), z), q.RowZ(q.a, i), dz)
			kernel.Axpy(w*kernel.Dot(q.RowX(q.C, i), x), q.RowZ(q.E, i), dz)
			kernel.Axpy(w, q.RowZ(q.s, i), dz)
		}
		if dx != nil {
			kernel.Axpy(w*kernel.Dot(q.RowX(q.b, i), x), q.RowX(q.b, i), dx)
			kernel.Axpy(w*kernel.Dot(q.RowZ(q.E, i), z), q.RowX(q.C, i), dx)
			kernel.Axpy(w, q.RowX(q.t, i), dx)
		}
	}
}

// meanGrad adds the gradient over all terms, by their means.
func (q *Objective) meanGrad(dz, dx, z, x []float64) {
	if dz != nil {
		blas64.Symv(1, q.azz.RawSymmetric(), vector(z), 1, vector(dz))
		blas64.Gemv(blas.Trans, 1, q.cxz.RawMatrix(), vector(x), 1, vector(dz))
		kernel.Axpy(1, q.sz, dz)
	}
	if dx != nil {
		blas64.Symv(1, q.bxx.RawSymmetric(), vector(x), 1, vector(dx))
		blas64.Gemv(blas.NoTrans, 1, q.cxz.RawMatrix(), vector(z), 1, vector(dx))
		kernel.Axpy(1, q.tx, dx)
	}
}

func vector(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Data: x, Inc: 1} }

func (q *Objective) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if dz != nil {
		q.Grad(dz, nil, z, x, b)
	}
	clear(hv)
	clear(cv)
	if b.Len() == q.n {
		if hv != nil {
			blas64.Symv(1, q.azz.RawSymmetric(), vector(v), 1, vector(hv))
		}
		if cv != nil {
			blas64.Gemv(blas.NoTrans, 1, q.cxz.RawMatrix(), vector(v), 1, vector(cv))
		}
		return
	}
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		if hv != nil {
			kernel.Axpy(w*kernel.Dot(q.RowZ(q.a, i), v), q.RowZ(q.a, i), hv)
		}
		if cv != nil {
			kernel.Axpy(w*kernel.Dot(q.RowZ(q.E, i), v), q.RowX(q.C, i), cv)
		}
	}
}

func (q *Objective) Cross(dz, z, x, w []float64, b bilevel.Batch) {
	clear(dz)
	for i := b.Lo; i < b.Hi; i++ {
		kernel.Axpy(kernel.Dot(q.RowX(q.C, i), w)/float64(b.Len()), q.RowZ(q.E, i), dz)
	}
}

// Pair is a problem with g and f, ∇²h positive definite, and the answer.
type Pair struct {
	F, G  *Objective
	X     []float64 // the minimiser of h
	Value float64   // h(X)
	chol  mat.Cholesky
}

// NewPair draws quadratics with z of length d and x of length p, g the mean of n terms and f of m. Data for which
// ∇²h = Jᵀf_zzJ + f_xx + f_xzJ + (f_xzJ)ᵀ, J = ∂z*/∂x, is not positive definite, or nearly not (a condition number
// above 100), are drawn again. It is an error if 100 draws are not enough: there are too few terms to determine z and
// x.
func NewPair(d, p, n, m int, seed uint64) (*Pair, error) {
	rng := rand.New(rand.NewPCG(seed, 0x9d8f))
	for range 100 {
		pair := &Pair{G: New(d, p, n, 0.5, rng), F: New(d, p, m, 0.5, rng)}
		f, g, chol := pair.F, pair.G, &pair.chol
		if !chol.Factorize(g.azz) || chol.Cond() > 300 {
			continue
		}
		// J = −g_zz⁻¹ g_xzᵀ, ∇²h, and ∇h(0) from the exact solution.
		var j, fj, fzj, jfj, h mat.Dense
		if err := chol.SolveTo(&j, g.cxz.T()); err != nil {
			continue
		}
		j.Scale(-1, &j)
		fzj.Mul(f.azz, &j)
		jfj.Mul(j.T(), &fzj)
		fj.Mul(f.cxz, &j)
		h.Add(&jfj, f.bxx)
		h.Add(&h, &fj)
		h.Add(&h, fj.T())
		hs := mat.NewSymDense(p, nil)
		for r := range p {
			for c := range r + 1 {
				hs.SetSym(r, c, (h.At(r, c)+h.At(c, r))/2)
			}
		}
		var hc mat.Cholesky
		if !hc.Factorize(hs) || hc.Cond() > 100 {
			continue
		}
		var opt mat.VecDense
		if err := hc.SolveVecTo(&opt, mat.NewVecDense(p, pair.Solve(make([]float64, p)).Grad)); err != nil {
			continue
		}
		opt.ScaleVec(-1, &opt)
		pair.X = opt.RawVector().Data
		pair.Value = pair.Solve(pair.X).Value
		return pair, nil
	}
	return nil, fmt.Errorf("quadratic: no positive definite quadratic with d = %d, p = %d, n = %d, m = %d in 100 draws: "+
		"too few terms", d, p, n, m)
}

// Solution is the exact answer at one x: z*, v*, h and ∇h.
type Solution struct {
	Z, V  []float64
	Value float64
	Grad  []float64
}

// Solve is the answer at x, by two linear systems.
func (q *Pair) Solve(x []float64) Solution {
	f, g, chol := q.F, q.G, &q.chol
	xv := mat.NewVecDense(len(x), x)
	var rhs, z, v mat.VecDense
	// g_zz z = −(g_xzᵀx + s)
	rhs.MulVec(g.cxz.T(), xv)
	rhs.AddVec(&rhs, mat.NewVecDense(g.d, g.sz))
	rhs.ScaleVec(-1, &rhs)
	must(chol.SolveVecTo(&z, &rhs))
	// g_zz v = −∇z f = −(f_zz z + f_xzᵀx + s)
	var fz, fx, t mat.VecDense
	fz.MulVec(f.azz, &z)
	t.MulVec(f.cxz.T(), xv)
	fz.AddVec(&fz, &t)
	fz.AddVec(&fz, mat.NewVecDense(f.d, f.sz))
	fz.ScaleVec(-1, &fz)
	must(chol.SolveVecTo(&v, &fz))
	// ∇h = f_xx x + f_xz z + t + g_xz v
	fx.MulVec(f.bxx, xv)
	var u mat.VecDense
	u.MulVec(f.cxz, &z)
	fx.AddVec(&fx, &u)
	fx.AddVec(&fx, mat.NewVecDense(f.p, f.tx))
	u.MulVec(g.cxz, &v)
	fx.AddVec(&fx, &u)
	s := Solution{Z: z.RawVector().Data, V: v.RawVector().Data, Grad: fx.RawVector().Data}
	s.Value = f.Value(s.Z, x, bilevel.All(f))
	return s
}

func must(err error) {
	if err != nil {
		panic("quadratic: " + err.Error())
	}
}
