package bileveltest

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
)

// RidgeKind is the parametrisation of the penalty ½zᵀB(x)z of [Ridge].
type RidgeKind int

// The parametrisations.
const (
	LinearScalar   RidgeKind = iota // B = xI, p = 1
	LinearDiagonal                  // B = diag(x), p = d
	ExpScalar                       // B = e^x I, p = 1
	ExpDiagonal                     // B = diag(e^x), p = d
)

func (k RidgeKind) String() string {
	return [...]string{"ridge x", "ridge diag(x)", "ridge e^x", "ridge diag(e^x)"}[k]
}

// strength is B's entry for x_j and its derivative.
func (k RidgeKind) strength(x float64) (b, db float64) {
	if k == ExpScalar || k == ExpDiagonal {
		b = math.Exp(x)
		return b, b
	}
	return x, 1
}

// leastSquares is 1/(2n)‖Xz−y‖² + ½zᵀB(x)z, or without the penalty.
type leastSquares struct {
	kind    RidgeKind
	penalty bool
	d, p, n int
	rows, y []float64
}

var (
	_ bilevel.SecondOrder = (*leastSquares)(nil)
	_ bilevel.Crosser     = (*leastSquares)(nil)
)

func (l *leastSquares) Dims() (d, p int) { return l.d, l.p }
func (l *leastSquares) Samples() int     { return l.n }

func (l *leastSquares) row(i int) []float64 { return l.rows[i*l.d : (i+1)*l.d] }

// index is the entry of x that belongs to z_i.
func (l *leastSquares) index(i int) int {
	if l.p == 1 {
		return 0
	}
	return i
}

func (l *leastSquares) Value(z, x []float64, b bilevel.Batch) float64 {
	sum := 0.0
	for i := b.Lo; i < b.Hi; i++ {
		r := dot(l.row(i), z) - l.y[i]
		sum += r * r / 2
	}
	sum /= float64(max(b.Len(), 1))
	if l.penalty {
		for i, zi := range z {
			s, _ := l.kind.strength(x[l.index(i)])
			sum += s * zi * zi / 2
		}
	}
	return sum
}

func (l *leastSquares) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dz)
	clear(dx)
	if dz != nil {
		w := 1 / float64(b.Len())
		for i := b.Lo; i < b.Hi; i++ {
			axpy(w*(dot(l.row(i), z)-l.y[i]), l.row(i), dz)
		}
	}
	if !l.penalty {
		return
	}
	for i, zi := range z {
		s, ds := l.kind.strength(x[l.index(i)])
		if dz != nil {
			dz[i] += s * zi
		}
		if dx != nil {
			dx[l.index(i)] += ds * zi * zi / 2
		}
	}
}

func (l *leastSquares) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if dz != nil {
		l.Grad(dz, nil, z, x, b)
	}
	clear(hv)
	clear(cv)
	if hv != nil {
		w := 1 / float64(b.Len())
		for i := b.Lo; i < b.Hi; i++ {
			axpy(w*dot(l.row(i), v), l.row(i), hv)
		}
	}
	if !l.penalty {
		return
	}
	for i, zi := range z {
		s, ds := l.kind.strength(x[l.index(i)])
		if hv != nil {
			hv[i] += s * v[i]
		}
		if cv != nil {
			cv[l.index(i)] += ds * zi * v[i]
		}
	}
}

func (l *leastSquares) Cross(dz, z, x, w []float64, _ bilevel.Batch) {
	clear(dz)
	if !l.penalty {
		return
	}
	for i, zi := range z {
		_, ds := l.kind.strength(x[l.index(i)])
		dz[i] = ds * zi * w[l.index(i)]
	}
}

// Ridge is ridge regression with d features, whose penalty is learned on held-out rows:
//
//	g = 1/(2n)‖Xz−y‖² + ½zᵀB(x)z,   f = 1/(2m)‖X'z−y'‖²,
//
// with z* = (XᵀX/n + B)⁻¹Xᵀy/n, v* = −(XᵀX/n + B)⁻¹X'ᵀ(X'z*−y')/m, and ∇h = ⟨z,v⟩, z∘v, e^x⟨z,v⟩ or e^x∘z∘v
// for the four kinds. Rows are standard normal, only the first half of the features matters, and the noise is as
// large as the signal, so that some penalty pays. x lies in [0.001, 10], or in [−12, 5] for the exponential
// kinds, and starts at 1 or 0.
func Ridge(kind RidgeKind, n, m, d int, seed uint64) Case {
	rng := rand.New(rand.NewPCG(seed, 0x71d6e))
	p := 1
	if kind == LinearDiagonal || kind == ExpDiagonal {
		p = d
	}
	truth := make([]float64, d)
	for j := range (d + 1) / 2 {
		truth[j] = rng.NormFloat64()
	}
	level := func(rows int, penalty bool) *leastSquares {
		l := &leastSquares{kind: kind, penalty: penalty, d: d, p: p, n: rows, rows: make([]float64, rows*d),
			y: make([]float64, rows)}
		for i := range l.rows {
			l.rows[i] = rng.NormFloat64()
		}
		noise := math.Sqrt(dot(truth, truth))
		for i := range l.y {
			l.y[i] = dot(l.row(i), truth) + noise*rng.NormFloat64()
		}
		return l
	}
	g, f := level(n, true), level(m, false)
	lo, hi, start := 1e-3, 10.0, 1.0
	if kind == ExpScalar || kind == ExpDiagonal {
		lo, hi, start = -12, 5, 0
	}
	c := Case{
		Name:    name(kind.String(), d, p),
		Problem: &bilevel.Problem{Outer: f, Inner: g, Lower: fill(p, lo), Upper: fill(p, hi)},
		Start:   bilevel.Point{X: fill(p, start)},
		Solve:   func(x []float64) Solution { return solveRidge(f, g, x) },
	}
	c.minimize()
	return c
}

func solveRidge(f, g *leastSquares, x []float64) Solution {
	d := g.d
	h := mat.NewSymDense(d, nil)
	rhs := mat.NewVecDense(d, nil)
	for i := range g.n {
		row := mat.NewVecDense(d, g.row(i))
		h.SymRankOne(h, 1/float64(g.n), row)
		rhs.AddScaledVec(rhs, g.y[i]/float64(g.n), row)
	}
	for i := range d {
		s, _ := g.kind.strength(x[g.index(i)])
		h.SetSym(i, i, h.At(i, i)+s)
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		panic("bileveltest: XᵀX/n + B(x) is not positive definite")
	}
	var z, v mat.VecDense
	must(chol.SolveVecTo(&z, rhs))
	fz := make([]float64, d)
	s := Solution{Z: z.RawVector().Data, Grad: make([]float64, g.p)}
	for i := range f.n {
		r := dot(f.row(i), s.Z) - f.y[i]
		s.Value += r * r / 2 / float64(f.n)
		axpy(-r/float64(f.n), f.row(i), fz)
	}
	must(chol.SolveVecTo(&v, mat.NewVecDense(d, fz)))
	s.V = v.RawVector().Data
	for i := range d {
		_, ds := g.kind.strength(x[g.index(i)])
		s.Grad[g.index(i)] += ds * s.Z[i] * s.V[i]
	}
	return s
}

func fill(n int, v float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}
