package model

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/rows"
)

// Equilibrium is a network whose hidden state is a fixed point, for every row a_i of the data
//
//	z_i = tanh(A z_i + B a_i + c),
//
// as a [bilevel.FixedPoint] of all rows at once. The outer variable is x = (A, B, c, W, b): A units × units, B
// units × features, c units, and the W (classes × units) and b (classes) of [Equilibrium.Readout], which do not
// enter; matrices are row-major. z is unit by unit: that of unit j and row i is z[j*n+i].
//
// The map is a contraction where ‖A‖₂ < 1, see [Equilibrium.Project].
//
// Cost: n·units² multiplications for Map and for each of the destinations of Pull, and n·units·features more
// whenever B or c changed and for ∂xΦᵀu. Memory: 5 numbers a unit and row.
//
// Grazzi, Franceschi, Pontil, Salzo, On the iteration complexity of hypergradient computation, 2020, section 3.2;
// Bai, Kolter, Koltun, Deep equilibrium models, 2019.
type Equilibrium struct {
	units, features, classes int
	n, stride                int
	input                    []float64 // feature by feature, rows of length stride

	outB, outC, outW, outBias int // where B, c, W and b begin in x; A is first
	len                       int

	bias, bc    []float64 // Ba_i + c, and the (B, c) that it is for
	padded      []float64 // z, in rows of length stride
	out         []float64 // Φ(z, x) for that z and a
	a           []float64
	last        []float64 // that z, as it came
	biased      bool      // bias is set
	mapped      bool      // out is set
	e, prod, aT []float64
}

var (
	_ bilevel.FixedPoint = (*Equilibrium)(nil)
	_ bilevel.Pusher     = (*Equilibrium)(nil)
)

// NewEquilibrium makes the map of the rows of a.
func NewEquilibrium(a *rows.Dense, units, classes int) (*Equilibrium, error) {
	if err := rows.Check(a); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if a.N < 1 || a.D < 1 || units < 1 || classes < 2 {
		return nil, fmt.Errorf("model: an equilibrium network of %d rows × %d features, %d units, %d classes",
			a.N, a.D, units, classes)
	}
	q := &Equilibrium{units: units, features: a.D, classes: classes, n: a.N, stride: (a.N + 7) &^ 7}
	q.input = make([]float64, a.D*q.stride)
	for i := range a.N {
		for j, v := range a.Row(i) {
			q.input[j*q.stride+i] = v
		}
	}
	q.outB = units * units
	q.outC = q.outB + units*a.D
	q.outW = q.outC + units
	q.outBias = q.outW + classes*units
	q.len = q.outBias + classes
	size := units * q.stride
	q.bias, q.padded, q.out, q.e, q.prod = make([]float64, size), make([]float64, size), make([]float64, size),
		make([]float64, size), make([]float64, size)
	q.a, q.aT = make([]float64, q.outB), make([]float64, q.outB)
	q.bc = make([]float64, q.outW-q.outB)
	return q, nil
}

// Dims returns units·n and the number of weights.
func (q *Equilibrium) Dims() (d, p int) { return q.units * q.n, q.len }

// Samples is 1: the map is not a mean over rows, which have states of their own.
func (q *Equilibrium) Samples() int { return 1 }

// Map overwrites dst with Φ(z, x).
func (q *Equilibrium) Map(dst, z, x []float64, _ bilevel.Batch) {
	q.eval(z, x)
	q.unpad(dst, q.out)
}

// Pull overwrites uz = Aᵀe and the parts ∂A = e zᵀ, ∂B = e aᵀ, ∂c = e·1 of ux, where e = (1 − Φ²)∘u.
func (q *Equilibrium) Pull(uz, ux, z, x, u []float64, _ bilevel.Batch) {
	q.eval(z, x)
	q.slope(u)
	h, n := q.units, q.stride
	if uz != nil {
		for i := range h {
			for j := range h {
				q.aT[j*h+i] = q.a[i*h+j]
			}
		}
		q.product(q.prod, q.aT, q.e, h)
		q.unpad(uz, q.prod)
	}
	if ux != nil {
		clear(ux[q.outW:])
		q.outer(ux[:q.outB], q.padded, h)
		q.outer(ux[q.outB:q.outC], q.input, q.features)
		for j, c := 0, ux[q.outC:q.outW]; j < h; j++ {
			sum := 0.0
			for _, v := range q.e[j*n : j*n+q.n] {
				sum += v
			}
			c[j] = sum
		}
	}
}

// Push overwrites dst with (1 − Φ²)∘(A vz + ∂A z + ∂B a + ∂c), where vx = (∂A, ∂B, ∂c, …).
func (q *Equilibrium) Push(dst, z, x, vz, vx []float64, _ bilevel.Batch) {
	q.eval(z, x)
	clear(q.prod)
	if vz != nil {
		q.pad(q.e, vz)
		q.product(q.prod, q.a, q.e, q.units)
	}
	if vx != nil {
		q.product(q.e, vx[:q.outB], q.padded, q.units)
		kernel.Axpy(1, q.e, q.prod)
		q.product(q.e, vx[q.outB:q.outC], q.input, q.features)
		kernel.Axpy(1, q.e, q.prod)
		for j, c := range vx[q.outC:q.outW] {
			row := q.prod[j*q.stride : (j+1)*q.stride]
			for i := range row {
				row[i] += c
			}
		}
	}
	q.unpad(dst, q.prod)
	for j := range q.units {
		out := q.out[j*q.stride : j*q.stride+q.n]
		for i, v := range out {
			dst[j*q.n+i] *= 1 - v*v
		}
	}
}

// eval sets out = Φ(z, x) unless it is that already.
func (q *Equilibrium) eval(z, x []float64) {
	if bc := x[q.outB:q.outW]; !q.biased || !slices.Equal(bc, q.bc) {
		copy(q.bc, bc)
		q.product(q.bias, bc[:q.units*q.features], q.input, q.features)
		for j, c := range bc[q.units*q.features:] {
			row := q.bias[j*q.stride : j*q.stride+q.n]
			for i := range row {
				row[i] += c
			}
		}
		q.biased, q.mapped = true, false
	}
	if a := x[:q.outB]; q.mapped && slices.Equal(a, q.a) && slices.Equal(z, q.last) {
		return
	}
	copy(q.a, x[:q.outB])
	q.last = append(q.last[:0], z...)
	q.pad(q.padded, z)
	q.product(q.out, q.a, q.padded, q.units)
	kernel.Axpy(1, q.bias, q.out)
	q.share(func(lo, hi int) {
		t := q.out[lo*q.stride : hi*q.stride]
		tanh(t)
	})
	q.mapped = true
}

// tanh replaces t by tanh t = 2σ(2t) − 1.
func tanh(t []float64) {
	kernel.Scale(2, t)
	kernel.Sigmoid(t, t)
	for i, v := range t {
		t[i] = 2*v - 1
	}
}

// slope sets e = (1 − Φ²)∘u.
func (q *Equilibrium) slope(u []float64) {
	q.pad(q.e, u)
	for i, v := range q.out {
		q.e[i] *= 1 - v*v
	}
}

// unitsPerJob is how many rows of a product are one job.
const unitsPerJob = 16

// share calls f for ranges of units.
func (q *Equilibrium) share(f func(lo, hi int)) {
	pool.For(q.units*q.units*q.n).Run((q.units+unitsPerJob-1)/unitsPerJob, func(_, i int) {
		f(i*unitsPerJob, min((i+1)*unitsPerJob, q.units))
	})
}

// product sets dst = m·s for a units × k matrix m and k padded rows s.
func (q *Equilibrium) product(dst, m, s []float64, k int) {
	q.share(func(lo, hi int) {
		kernel.CombineK(dst[lo*q.stride:hi*q.stride], s, q.stride, m[lo*k:hi*k], hi-lo, q.stride, k, 1, 0)
	})
}

// outer sets dst = e·sᵀ, units × k, for k padded rows s.
func (q *Equilibrium) outer(dst, s []float64, k int) {
	q.share(func(lo, hi int) {
		kernel.ScoresK(dst[lo*k:hi*k], s, q.stride, q.e[lo*q.stride:hi*q.stride], hi-lo, q.stride, k)
	})
}

func (q *Equilibrium) pad(dst, z []float64) {
	for j := range q.units {
		copy(dst[j*q.stride:j*q.stride+q.n], z[j*q.n:(j+1)*q.n])
		clear(dst[j*q.stride+q.n : (j+1)*q.stride])
	}
}

func (q *Equilibrium) unpad(dst, s []float64) {
	for j := range q.units {
		copy(dst[j*q.n:(j+1)*q.n], s[j*q.stride:j*q.stride+q.n])
	}
}

// Project replaces A in x by the nearest matrix, in the Frobenius norm, whose spectral norm ‖A‖₂ is at most
// limit: a [bilevel.Problem.Project]. It costs a singular value decomposition.
func (q *Equilibrium) Project(x []float64, limit float64) {
	h := q.units
	a := mat.NewDense(h, h, x[:q.outB])
	if mat.Norm(a, 2) <= limit { // the Frobenius norm
		return
	}
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDFull) {
		for i := range x[:q.outB] {
			x[i] = math.NaN() // noticed by the driver
		}
		return
	}
	values := svd.Values(nil)
	if values[0] <= limit {
		return
	}
	var u, v, scaled mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	for i, s := range values {
		values[i] = min(s, limit)
	}
	scaled.Mul(&u, mat.NewDiagDense(h, values))
	a.Mul(&scaled, v.T())
}

// Readout is the cross entropy of linear scores of the states, the mean over rows of the loss of W z_i + b with
// labels 0 ≤ y_i < classes: the outer objective of the network. Its samples are the rows.
func (q *Equilibrium) Readout(y []int) (*Readout, error) {
	if len(y) != q.n {
		return nil, fmt.Errorf("model: %d labels for %d rows", len(y), q.n)
	}
	for i, c := range y {
		if c < 0 || c >= q.classes {
			return nil, fmt.Errorf("model: label %d is %d, of %d classes", i, c, q.classes)
		}
	}
	k := q.classes
	return &Readout{q: q, link: &softmax{y, k}, t: make([]float64, k*q.n), tmp: make([]float64, 2*q.n+k)}, nil
}

// Readout is described at [Equilibrium.Readout].
type Readout struct {
	q      *Equilibrium
	link   *softmax
	t, tmp []float64
}

var _ bilevel.ValueGradienter = (*Readout)(nil)

// Dims returns those of the network.
func (o *Readout) Dims() (d, p int) { return o.q.Dims() }

// Samples is the number of rows.
func (o *Readout) Samples() int { return o.q.n }

// scores sets t[c*m+i] to score c of row b.Lo+i.
func (o *Readout) scores(z, x []float64, b bilevel.Batch) []float64 {
	q, m := o.q, b.Len()
	t := o.t[:q.classes*m]
	for c := range q.classes {
		row := t[c*m : (c+1)*m]
		for i := range row {
			row[i] = x[q.outBias+c]
		}
		for j := range q.units {
			kernel.Axpy(x[q.outW+c*q.units+j], z[j*q.n+b.Lo:j*q.n+b.Hi], row)
		}
	}
	return t
}

// Value is the mean loss over b.
func (o *Readout) Value(z, x []float64, b bilevel.Batch) float64 {
	m := b.Len()
	if m <= 0 {
		return 0
	}
	return o.link.loss(o.scores(z, x, b), o.tmp, b.Lo, m, m, 1) / float64(m)
}

// Grad overwrites dz and dx.
func (o *Readout) Grad(dz, dx, z, x []float64, b bilevel.Batch) { o.ValueGrad(dz, dx, z, x, b) }

// ValueGrad is Value and Grad in one pass.
func (o *Readout) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	q, m := o.q, b.Len()
	clear(dz)
	clear(dx)
	if m <= 0 {
		return 0
	}
	t := o.scores(z, x, b)
	w := 1 / float64(m)
	value := w * o.link.lossCoefs(t, o.tmp, b.Lo, m, m, 1)
	kernel.Scale(w, t)
	for c := range q.classes {
		row := t[c*m : (c+1)*m]
		for j := range q.units {
			if dz != nil {
				kernel.Axpy(x[q.outW+c*q.units+j], row, dz[j*q.n+b.Lo:j*q.n+b.Hi])
			}
			if dx != nil {
				dx[q.outW+c*q.units+j] = kernel.Dot(row, z[j*q.n+b.Lo:j*q.n+b.Hi])
			}
		}
		if dx != nil {
			for _, v := range row {
				dx[q.outBias+c] += v
			}
		}
	}
	return value
}

// Accuracy is the share of rows whose largest score is that of their label.
func (o *Readout) Accuracy(z, x []float64) float64 {
	n := o.q.n
	t := o.scores(z, x, bilevel.All(o))
	right := 0
	for i, y := range o.link.y {
		best := 0
		for c := range o.q.classes {
			if t[c*n+i] > t[best*n+i] {
				best = c
			}
		}
		if best == y {
			right++
		}
	}
	return float64(right) / float64(n)
}
