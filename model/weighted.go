package model

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// weighted is a link whose rows count by a weight, a function of the outer variable with one number per row.
// A row is touched by one goroutine at a time: so are its entries of dx and cv.
type weighted struct {
	rowLink
	weighing
	k, n int // scores per row, rows

	// Of a pass.
	x, u   []float64 // the outer variable; unless u is nil, rows count by the derivative of their weight along it
	mean   float64   // ⟨q, u⟩, of coupled weights
	scale  float64   // 1/|b|
	from   int       // the first row of the batch
	dx, cv []float64 // nil, or what derivatives with respect to x are written to: of the batch's rows

	q    []float64 // softmax(x), of coupled weights
	kept []float64 // x at the point of Linearize
	keep []float64 // ∂ℓ/∂t there, for the rows of its batch, laid out as the scores are
	held bool      // curvature fills keep
}

// set is the start of a pass over b.
func (l *weighted) set(x []float64, b bilevel.Batch) {
	l.x, l.u, l.from, l.dx, l.cv, l.held = x, nil, b.Lo, nil, nil, false
	l.scale = 1 / float64(max(b.Len(), 1))
	if !l.coupled {
		return
	}
	l.q = grow(l.q, l.n)
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	for i, v := range x {
		l.q[i] = v - top
	}
	kernel.Exp(l.q, l.q)
	sum := 0.0
	for _, e := range l.q {
		sum += e
	}
	kernel.Scale(1/sum, l.q)
}

// along makes rows count by the derivative of their weights along u.
func (l *weighted) along(u []float64) {
	l.u = u
	if l.coupled {
		l.mean = kernel.Dot(l.q, u)
	}
}

// weights overwrites f with the weights of len(f) rows from lo on.
func (l *weighted) weights(f []float64, lo int) { l.of(l, f, lo, lo+len(f)) }

// factors is what len(f) rows from lo on count by.
func (l *weighted) factors(f []float64, lo int) {
	l.weights(f, lo)
	if l.u == nil {
		return
	}
	for i, u := range l.u[lo : lo+len(f)] {
		f[i] = l.slope(f[i]) * (u - l.mean)
	}
}

// scaleRows multiplies the k numbers of row i by f_i.
func scaleRows(t, f []float64, k, cs, is int) {
	for c := range k {
		for i, w := range f {
			t[c*cs+i*is] *= w
		}
	}
}

// crossRows overwrites cv: w'(x_i)⟨∂ℓ_i/∂t, s_i⟩/|b|, g being ∂ℓ/∂t and w the weights.
func (l *weighted) crossRows(g, s, w []float64, lo, cs, is int) {
	cv := l.cv[lo-l.from:][:len(w)]
	clear(cv)
	for c := range l.k {
		for i := range cv {
			cv[i] += g[c*cs+i*is] * s[c*cs+i*is]
		}
	}
	for i, f := range w {
		cv[i] *= l.slope(f) * l.scale
	}
}

func (l *weighted) coefs(t, s, tmp []float64, lo, m, cs, is int) {
	f := tmp[2*m : 3*m]
	l.factors(f, lo)
	if s == nil || l.cv == nil {
		l.rowLink.coefs(t, s, tmp, lo, m, cs, is)
	} else {
		before := tmp[3*m : (3+l.k)*m]
		copy(before, s)
		l.rowLink.coefs(t, s, tmp, lo, m, cs, is)
		l.crossRows(t, before, f, lo, cs, is)
	}
	scaleRows(t, f, l.k, cs, is)
	if s != nil {
		scaleRows(s, f, l.k, cs, is)
	}
}

func (l *weighted) loss(t, tmp []float64, lo, m, cs, is int) float64 {
	f, each := tmp[2*m:3*m], tmp[3*m:4*m]
	l.rowLink.losses(each, t, tmp, lo, m, cs, is)
	l.weights(f, lo)
	sum := 0.0
	for i, w := range f {
		sum += w * each[i]
	}
	if l.dx != nil {
		dx := l.dx[lo-l.from:][:m]
		for i, w := range f {
			dx[i] = l.slope(w) * l.scale * each[i]
		}
	}
	return sum
}

func (l *weighted) lossCoefs(t, tmp []float64, lo, m, cs, is int) float64 {
	sum := l.loss(t, tmp, lo, m, cs, is) // leaves ∂ℓ/∂t in t and the weights in tmp
	scaleRows(t, tmp[2*m:3*m], l.k, cs, is)
	return sum
}

func (l *weighted) curvature(t, tmp []float64, lo, m, cs, is int) {
	if l.held {
		g := l.keep[(lo-l.from)*l.k : (lo-l.from+m)*l.k]
		copy(g, t)
		l.rowLink.coefs(g, nil, tmp, lo, m, cs, is)
	}
	l.rowLink.curvature(t, tmp, lo, m, cs, is)
}

func (l *weighted) apply(s, w, tmp []float64, lo, m, cs, is int) {
	f := tmp[2*m : 3*m]
	l.weights(f, lo)
	if l.cv != nil {
		l.crossRows(l.keep[(lo-l.from)*l.k:(lo-l.from+m)*l.k], s, f, lo, cs, is)
	}
	l.rowLink.apply(s, w, tmp, lo, m, cs, is)
	scaleRows(s, f, l.k, cs, is)
}

func (l *weighted) weight(dst, w []float64, c, c2, lo, m, cs, is int) {
	l.rowLink.weight(dst, w, c, c2, lo, m, cs, is)
	for i := range dst[:m] {
		one := [1]float64{}
		l.weights(one[:], lo+i)
		dst[i] *= one[0]
	}
}
