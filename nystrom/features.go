package nystrom

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/rows"
)

// jitter is added to the diagonal of K_ZZ, which is 1, and ten times as much where that is not enough.
const jitter = 1e-6

// block is consecutive rows of one fold that are worked on at a time, and so stay in cache.
const blockRows = 128

// matern is the Matérn-5/2 kernel of landmarks with one inverse length scale per group of columns.
//
//	k(a, z) = (1 + r + r²/3) e^{−r},  r² = 5 Σ_j s_j² (a_j − z_j)²
type matern struct {
	groups    []int // the group of each column
	landmarks *rows.Dense

	scale []float64   // s_j of columns
	z     *rows.Dense // landmarks times scales
	zNorm []float64   // |z|²
}

func newMatern(groups []int, landmarks *rows.Dense) *matern {
	return &matern{groups: groups, landmarks: landmarks, scale: make([]float64, len(groups)),
		z: rows.NewDense(landmarks.N, landmarks.D), zNorm: make([]float64, landmarks.N)}
}

// set takes the logarithms of the inverse length scales of groups.
func (k *matern) set(logScale []float64) {
	for j, g := range k.groups {
		k.scale[j] = math.Exp(logScale[g])
	}
	for l := range k.z.N {
		row, from := k.z.Row(l), k.landmarks.Row(l)
		sum := 0.0
		for j := range row {
			row[j] = from[j] * k.scale[j]
			sum += row[j] * row[j]
		}
		k.zNorm[l] = sum
	}
}

// values sets dst, row by row, to the kernel of n rows x and the landmarks, and h, unless nil, to the factor of its
// derivatives ∂k/∂log s_j = −h s_j² (x_j − z_j)². scaled, n·d numbers, becomes the rows times the scales. tmp has room
// for as many numbers as dst.
func (k *matern) values(dst, h, scaled, tmp []float64, x *rows.Dense, lo, hi int) {
	d, m := x.D, k.z.N
	scaled = scaled[:(hi-lo)*d]
	for i := lo; i < hi; i++ {
		to := scaled[(i-lo)*d : (i-lo+1)*d]
		for j, v := range x.Row(i) {
			to[j] = v * k.scale[j]
		}
	}
	n := hi - lo
	kernel.ScoresK(dst, k.z.Data, k.z.Stride, scaled, n, d, m) // ⟨x, z⟩
	for i := range n {
		s := scaled[i*d : (i+1)*d]
		norm := kernel.Dot(s, s)
		row, t := dst[i*m:(i+1)*m], tmp[i*m:(i+1)*m]
		for l, v := range row {
			r := math.Sqrt(5 * max(norm+k.zNorm[l]-2*v, 0))
			row[l], t[l] = r, -r
		}
	}
	kernel.Exp(tmp, tmp)
	if h != nil {
		for i, r := range dst {
			h[i] = 5. / 3 * (1 + r) * tmp[i]
		}
	}
	for i, r := range dst {
		dst[i] = (1 + r + r*r/3) * tmp[i]
	}
}

// features are the rows [x, φ(x), 1] of a linear model with a kernel, φ = L⁻¹k_Z and K_ZZ + jitter = LLᵀ, and of a
// linear one without landmarks.
type features struct {
	x *rows.Dense
	k *matern     // nil for none
	a *rows.Dense // n × p, what models see

	m, p     int
	xs, q    []float64   // rows of x times scales; n × m
	h        []float64   // n × m, see matern.values
	zs       []float64   // the same of landmarks
	hz, kz   []float64   // m × m
	phi      *rows.Dense // n × m
	w        *rows.Dense // L⁻¹
	wt       *rows.Dense
	zt       *rows.Dense // scaled landmarks, transposed
	tmp      []float64
	factor   linsolve.Cholesky
	sq1, sq2 *rows.Dense
	t1, t2   []float64 // m × n, and n × m
}

func newFeatures(x *rows.Dense, k *matern) *features {
	f := &features{x: x, k: k, p: x.D + 1}
	if k != nil {
		f.m = k.z.N
		f.p += f.m
		n, m, d := x.N, f.m, x.D
		f.xs, f.zs = make([]float64, n*d), make([]float64, m*d)
		f.q, f.h, f.tmp = make([]float64, n*m), make([]float64, n*m), make([]float64, max(n, m)*m)
		f.hz, f.kz = make([]float64, m*m), make([]float64, m*m)
		f.phi = rows.NewDense(n, m)
		f.w, f.wt, f.zt = rows.NewDense(m, m), rows.NewDense(m, m), rows.NewDense(d, m)
		f.sq1, f.sq2 = rows.NewDense(m, m), rows.NewDense(m, m)
		f.t1, f.t2 = make([]float64, m*n), make([]float64, n*m)
	}
	f.factor.Serial = true
	f.a = rows.NewDense(x.N, f.p)
	for i := range x.N {
		row := f.a.Row(i)
		copy(row, x.Row(i))
		row[f.p-1] = 1
	}
	return f
}

// set computes the features for inverse length scales.
func (f *features) set(logScale []float64) error {
	if f.k == nil {
		return nil
	}
	m, n := f.m, f.x.N
	f.k.set(logScale)
	if err := f.whiten(); err != nil {
		return err
	}
	f.k.values(f.q, f.h, f.xs, f.tmp[:n*m], f.x, 0, n)
	// φ_i = W k_i
	kernel.ScoresK(f.t2, f.w.Data, f.w.Stride, f.q, n, m, m)
	for i := range n {
		copy(f.phi.Row(i), f.t2[i*m:(i+1)*m])
		copy(f.a.Row(i)[f.x.D:], f.phi.Row(i))
	}
	return nil
}

// whiten sets W = L⁻¹.
func (f *features) whiten() error {
	m := f.m
	f.k.values(f.kz, f.hz, f.zs, f.tmp[:m*m], f.k.landmarks, 0, m)
	add := jitter
	for i := range m {
		f.kz[i*m+i] = 1 + add
	}
	for f.factor.Factorize(m, f.kz) != nil {
		if add *= 10; !(add < 1) {
			return fmt.Errorf("nystrom: the kernel matrix of %d landmarks is not positive definite", m)
		}
		for i := range m {
			f.kz[i*m+i] = 1 + add
		}
	}
	f.factor.InverseFactor(f.w.Data, f.w.Stride)
	transpose(f.wt, f.w)
	return nil
}

func transpose(dst, src *rows.Dense) {
	for i := range src.N {
		for j, v := range src.Row(i) {
			dst.Data[j*dst.Stride+i] = v
		}
	}
}

// pull adds to grad, of the groups, the derivative by log s of a function whose derivatives by φ are bar, n × m.
//
// With dK = L·dS·Lᵀ the factor's differential is L·low(dS), low taking the lower triangle with half the diagonal, so
// that with M = Σ_i bar_i φ_iᵀ
//
//	K̄_xz = bar·W,  K̄_zz = −Wᵀ low(M) W.
//
// At a minimum over the model the function depends on ΦΦᵀ alone, M is symmetric, and low(M) may be M/2.
func (f *features) pull(grad, bar []float64) {
	n, m := f.x.N, f.m
	for i := range n {
		for l, v := range bar[i*m : (i+1)*m] {
			f.t1[l*n+i] = v
		}
	}
	kernel.CombineK(f.tmp[:m*m], f.phi.Data, f.phi.Stride, f.t1, m, m, n, 1, 0)
	t := f.tmp[:m*m]
	for i := range m { // low
		t[i*m+i] /= 2
		clear(t[i*m+i+1 : (i+1)*m])
	}
	f.combine(f.sq1, f.w, t) // low(M)·W
	f.pack(t, f.wt)
	f.combine(f.sq2, f.sq1, t) // Wᵀ·
	for i := range m {
		for l := range m {
			t[i*m+l] = -(f.sq2.Data[i*f.sq2.Stride+l] + f.sq2.Data[l*f.sq2.Stride+i]) / 2
		}
	}
	transpose(f.zt, f.k.z)
	f.back(grad, t, f.hz, f.zs, m)
	kernel.ScoresK(f.t2, f.wt.Data, f.wt.Stride, bar, n, m, m)
	f.back(grad, f.t2, f.h, f.xs, n)
}

// combine sets dst = c·a, all m × m.
func (f *features) combine(dst, a *rows.Dense, c []float64) {
	m := f.m
	kernel.CombineK(f.kz, a.Data, a.Stride, c, m, m, m, 1, 0)
	for i := range m {
		copy(dst.Row(i), f.kz[i*m:(i+1)*m])
	}
}

func (f *features) pack(dst []float64, a *rows.Dense) {
	for i := range a.N {
		copy(dst[i*a.D:], a.Row(i))
	}
}

// back adds the derivatives by log s of Σ bar∘K, where K is the kernel of n scaled rows x and the landmarks. bar is
// lost.
//
//	Σ_il q_il (x_ij − z_lj)² = Σ_i x_ij² (q1)_i + Σ_l z_lj² (1ᵀq)_l − 2 Σ_i x_ij (qz)_ij,  q = −bar∘h
func (f *features) back(grad, bar, h, x []float64, n int) {
	m, d := f.m, f.x.D
	columns := make([]float64, m)
	sums := make([]float64, d)
	for i := range n {
		row := bar[i*m : (i+1)*m]
		sum := 0.0
		for l, v := range row {
			q := -v * h[i*m+l]
			row[l] = q
			sum += q
			columns[l] += q
		}
		for j, v := range x[i*d : (i+1)*d] {
			sums[j] += v * v * sum
		}
	}
	qz := make([]float64, n*d)
	kernel.ScoresK(qz, f.zt.Data, f.zt.Stride, bar[:n*m], n, m, d)
	for i, v := range x[:n*d] {
		sums[i%d] -= 2 * v * qz[i]
	}
	for l, c := range columns {
		for j, v := range f.k.z.Row(l) {
			sums[j] += v * v * c
		}
	}
	for j, g := range f.k.groups {
		grad[g] += sums[j]
	}
}
