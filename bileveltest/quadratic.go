package bileveltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
)

// quadratic is the mean over i of
//
//	½(a_iᵀz)² + ½(b_iᵀx)² + (c_iᵀx)(e_iᵀz) + s_iᵀz + t_iᵀx,
//
// with Hessians A_i = a_ia_iᵀ and B_i = b_ib_iᵀ and the asymmetric cross matrix C_i = c_ie_iᵀ of rank one.
type quadratic struct {
	d, p, n          int
	a, e, s, b, c, t []float64 // n rows of length d (a, e, s) and p (b, c, t)

	// Means over all terms: ∇²zz, ∇²xx, ∇²xz (p×d), and the linear parts.
	azz, bxx *mat.SymDense
	cxz      *mat.Dense
	sz, tx   []float64
}

var (
	_ bilevel.SecondOrder = (*quadratic)(nil)
	_ bilevel.Crosser     = (*quadratic)(nil)
)

// newQuadratic draws rows a_i ~ N(0, Σ), where Σ has the spectrum logspace(0.1, 1), so that the mean of
// a_ia_iᵀ is close to Σ, and scales c_i so that ‖mean c_ie_iᵀ‖₂ is cross.
func newQuadratic(d, p, n int, cross float64, rng *rand.Rand) *quadratic {
	q := &quadratic{d: d, p: p, n: n}
	q.a, q.b = spectrum(d, n, rng), spectrum(p, n, rng)
	draw := func(k int, scale float64) []float64 {
		s := make([]float64, k)
		for i := range s {
			s[i] = scale * rng.NormFloat64()
		}
		return s
	}
	// c_i = Ke_i plus noise: the mean of c_ie_iᵀ is near K, and its terms are not all noise.
	q.e, q.c = draw(n*d, 1), draw(n*p, 0.3)
	k := mat.NewDense(p, d, draw(p*d, 1/math.Sqrt(float64(d))))
	var ke mat.VecDense
	for i := range n {
		ke.MulVec(k, mat.NewVecDense(d, q.rowZ(q.e, i)))
		floats.Add(q.rowX(q.c, i), ke.RawVector().Data)
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
		panic("bileveltest: singular values of the cross matrix")
	}
	floats.Scale(cross/svd.Values(nil)[0], q.c)
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

func (q *quadratic) means() {
	q.azz, q.bxx = mat.NewSymDense(q.d, nil), mat.NewSymDense(q.p, nil)
	q.cxz = mat.NewDense(q.p, q.d, nil)
	q.sz, q.tx = make([]float64, q.d), make([]float64, q.p)
	w := 1 / float64(q.n)
	for i := range q.n {
		q.azz.SymRankOne(q.azz, w, mat.NewVecDense(q.d, q.rowZ(q.a, i)))
		q.bxx.SymRankOne(q.bxx, w, mat.NewVecDense(q.p, q.rowX(q.b, i)))
		q.cxz.RankOne(q.cxz, w, mat.NewVecDense(q.p, q.rowX(q.c, i)), mat.NewVecDense(q.d, q.rowZ(q.e, i)))
		floats.AddScaled(q.sz, w, q.rowZ(q.s, i))
		floats.AddScaled(q.tx, w, q.rowX(q.t, i))
	}
}

func (q *quadratic) rowZ(m []float64, i int) []float64 { return m[i*q.d : (i+1)*q.d] }
func (q *quadratic) rowX(m []float64, i int) []float64 { return m[i*q.p : (i+1)*q.p] }

func (q *quadratic) Dims() (d, p int) { return q.d, q.p }
func (q *quadratic) Samples() int     { return q.n }

func (q *quadratic) Value(z, x []float64, b bilevel.Batch) float64 {
	sum := 0.0
	for i := b.Lo; i < b.Hi; i++ {
		az, bx := dot(q.rowZ(q.a, i), z), dot(q.rowX(q.b, i), x)
		sum += az*az/2 + bx*bx/2 + dot(q.rowX(q.c, i), x)*dot(q.rowZ(q.e, i), z) +
			dot(q.rowZ(q.s, i), z) + dot(q.rowX(q.t, i), x)
	}
	return sum / float64(max(b.Len(), 1))
}

func (q *quadratic) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dz)
	clear(dx)
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		if dz != nil {
			axpy(w*dot(q.rowZ(q.a, i), z), q.rowZ(q.a, i), dz)
			axpy(w*dot(q.rowX(q.c, i), x), q.rowZ(q.e, i), dz)
			axpy(w, q.rowZ(q.s, i), dz)
		}
		if dx != nil {
			axpy(w*dot(q.rowX(q.b, i), x), q.rowX(q.b, i), dx)
			axpy(w*dot(q.rowZ(q.e, i), z), q.rowX(q.c, i), dx)
			axpy(w, q.rowX(q.t, i), dx)
		}
	}
}

func (q *quadratic) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if dz != nil {
		q.Grad(dz, nil, z, x, b)
	}
	clear(hv)
	clear(cv)
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		if hv != nil {
			axpy(w*dot(q.rowZ(q.a, i), v), q.rowZ(q.a, i), hv)
		}
		if cv != nil {
			axpy(w*dot(q.rowZ(q.e, i), v), q.rowX(q.c, i), cv)
		}
	}
}

func (q *quadratic) Cross(dz, z, x, w []float64, b bilevel.Batch) {
	clear(dz)
	for i := b.Lo; i < b.Hi; i++ {
		axpy(dot(q.rowX(q.c, i), w)/float64(b.Len()), q.rowZ(q.e, i), dz)
	}
}

func dot(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1})
}

func axpy(alpha float64, x, y []float64) {
	blas64.Axpy(alpha, blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1})
}

// Quadratic is a random pair of quadratics with z of length d and x of length p, g the mean of n terms and f of
// m, which together must determine z and x: n, m ≥ 2(d+p) is ample. The term i of either is
//
//	½zᵀA_iz + ½xᵀB_ix + xᵀC_iz + s_iᵀz + t_iᵀx,
//
// A_i = a_ia_iᵀ and B_i = b_ib_iᵀ with rows drawn from a normal distribution whose covariance has eigenvalues
// spaced logarithmically from 0.1 to 1, and C_i of rank one with ‖mean C_i‖₂ = ½. With J = ∂z*/∂x the Hessian
// ∇²h = Jᵀf_zzJ + f_xx + f_xzJ + (f_xzJ)ᵀ is positive definite: data for which it is not, or nearly not (a condition number above 100), are drawn again.
//
// These are the simulated problems of benchmark_bilevel (Dagréou et al. 2022).
func Quadratic(d, p, n, m int, seed uint64) Case {
	rng := rand.New(rand.NewPCG(seed, 0x9d8f))
	for range 100 {
		g, f := newQuadratic(d, p, n, 0.5, rng), newQuadratic(d, p, m, 0.5, rng)
		var chol mat.Cholesky
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
		c := Case{
			Name:    name("quadratic", d, p),
			Problem: &bilevel.Problem{Outer: f, Inner: g},
			Solve:   func(x []float64) Solution { return solveQuadratic(f, g, &chol, x) },
		}
		var opt mat.VecDense
		if err := hc.SolveVecTo(&opt, mat.NewVecDense(p, c.Solve(make([]float64, p)).Grad)); err != nil {
			continue
		}
		opt.ScaleVec(-1, &opt)
		c.X = opt.RawVector().Data
		c.Value = c.Solve(c.X).Value
		return c
	}
	panic(fmt.Sprintf("bileveltest: no positive definite quadratic with d = %d, p = %d, n = %d, m = %d in 100 draws: too few terms", d, p, n, m))
}

func solveQuadratic(f, g *quadratic, chol *mat.Cholesky, x []float64) Solution {
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
		panic("bileveltest: " + err.Error())
	}
}
