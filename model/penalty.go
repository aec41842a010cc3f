package model

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// PenaltyOptions are the details of a penalty; the zero value is ½ Σ e^{x} z² over all coefficients.
type PenaltyOptions struct {
	// Linear takes s(x) = x, which needs x ≥ 0, instead of s(x) = eˣ.
	Linear bool
	// Intercept leaves out the last feature.
	Intercept bool
	// Groups names the group of each penalised feature, for PerGroup. Strengths come in the order of
	// first appearance.
	Groups []string
	// Scale multiplies the penalty; 0 means 1.
	Scale float64
	// Copies is the number of times z is repeated, for Folds; 0 means 1.
	Copies int
	// First is the place in x of the first strength, and Outer the length of x, where x holds more than these
	// strengths: those of an elastic net, say. An Outer of 0 means First and the number of strengths.
	First, Outer int
}

// Penalty is ½·Scale·Σ_i s(x_{j(i)}) z_i² with s(x) = eˣ or x, where the strength j(i) of a coefficient is
// the same for all, per feature, per class or otherwise shared. It is an exact term: it has one sample.
//
// The exponent is cut off at 709, so that eˣ is finite for every x. A pass costs O(d + p).
type Penalty struct {
	d, p     int
	first    int // the strengths are x[first : first+p]
	outer    int // length of x
	linear   bool
	scale    float64
	local    bool // no two features share a strength
	segments []segment
	strength []float64
	groups   []string
	number   []int32 // scratch of Part, one per strength
}

// segment is a range [lo, hi) of z whose coefficients share strength j or, in a ramp, have strengths j, j+1, ….
// Coefficients in no segment are not penalised.
type segment struct {
	lo, hi int
	j      int
	ramp   bool
}

var (
	_ bilevel.SecondOrder     = (*Penalty)(nil)
	_ bilevel.Crosser         = (*Penalty)(nil)
	_ bilevel.Separable       = (*Penalty)(nil)
	_ bilevel.ValueGradienter = (*Penalty)(nil)
)

// NewPenalty makes the penalty of a loss with layout l.
func NewPenalty(l Layout, kind Strengths, o PenaltyOptions) (*Penalty, error) {
	features := l.Features
	if o.Intercept {
		features--
	}
	if features < 0 || l.Classes < 1 {
		return nil, errors.New("model: a penalty needs features and classes")
	}
	q := &Penalty{linear: o.Linear, scale: o.Scale}
	if q.scale == 0 {
		q.scale = 1
	}
	if !(q.scale > 0) || math.IsInf(q.scale, 0) {
		return nil, fmt.Errorf("model: the penalty's scale is %v", o.Scale)
	}
	if !kind.known() {
		return nil, fmt.Errorf("model: unknown kind of strengths %d", int(kind))
	}
	entry := sharings[kind]
	pen := Layout{Features: features, Classes: l.Classes, FeatureMajor: l.FeatureMajor}
	of, err := entry.share(q, pen, o.Groups)
	if err != nil {
		return nil, err
	}
	q.first, q.outer = o.First, o.Outer
	if q.outer == 0 {
		q.outer = q.first + q.p
	}
	if q.first < 0 || q.first+q.p > q.outer {
		return nil, fmt.Errorf("model: %d strengths from place %d on in an x of length %d", q.p, q.first, q.outer)
	}
	copies := max(o.Copies, 1)
	q.local = copies == 1 && entry.local
	q.d = l.Len() * copies
	q.strength = make([]float64, q.p)
	for i := range q.d {
		if class, feature := l.place(i % l.Len()); feature < features {
			q.append(i, of(class, feature))
		}
	}
	return q, nil
}

// append adds coefficient i with strength j to the last segment if it continues it.
func (q *Penalty) append(i, j int) {
	if n := len(q.segments); n > 0 && q.segments[n-1].hi == i {
		last := &q.segments[n-1]
		length := last.hi - last.lo
		switch {
		case j == last.j && !last.ramp:
			last.hi++
			return
		case j == last.j+length && (last.ramp || length == 1):
			last.ramp = true
			last.hi++
			return
		}
	}
	q.segments = append(q.segments, segment{lo: i, hi: i + 1, j: j})
}

// identity says whether z[j] has strength x[j] for j < p and no other coefficient is penalised.
func (q *Penalty) identity() bool {
	return len(q.segments) == 1 && q.segments[0] == segment{0, q.p, 0, q.p > 1}
}

// P is the number of strengths, the length of x unless [PenaltyOptions].Outer says otherwise.
func (q *Penalty) P() int { return q.p }

// Groups are the names of the groups, in the order of x, for PerGroup.
func (q *Penalty) Groups() []string { return slices.Clone(q.groups) }

// Strength is the place in x of the strength of coefficient i of z, −1 if it is not penalised.
func (q *Penalty) Strength(i int) int {
	n := sort.Search(len(q.segments), func(n int) bool { return q.segments[n].hi > i })
	if n == len(q.segments) || i < q.segments[n].lo {
		return -1
	}
	if s := q.segments[n]; s.ramp {
		return q.first + s.j + i - s.lo
	}
	return q.first + q.segments[n].j
}

// own is the part of x, or of a derivative with respect to x, that belongs to the strengths; nil stays nil.
func (q *Penalty) own(x []float64) []float64 {
	if x == nil {
		return nil
	}
	return x[q.first : q.first+q.p]
}

// Strengths overwrites dst, one number per strength, with s(x), Scale not included.
func (q *Penalty) Strengths(dst, x []float64) {
	x = q.own(x)
	if q.linear {
		copy(dst, x)
		return
	}
	for j, v := range x {
		dst[j] = min(v, maxExponent)
	}
	kernel.Exp(dst, dst)
}

const maxExponent = 709

// Dims returns the lengths of z and x.
func (q *Penalty) Dims() (d, p int) { return q.d, q.outer }

// Samples is 1.
func (q *Penalty) Samples() int { return 1 }

// Value is ½ Σ s z².
func (q *Penalty) Value(z, x []float64, _ bilevel.Batch) float64 {
	if q.identity() && !q.linear {
		return kernel.ExpRidgeValue(z[:q.p], q.own(x), q.scale)
	}
	q.Strengths(q.strength, x)
	sum := 0.0
	for _, s := range q.segments {
		zs := z[s.lo:s.hi]
		if !s.ramp {
			sum += q.strength[s.j] * kernel.Dot(zs, zs)
			continue
		}
		for i, e := range q.strength[s.j : s.j+len(zs)] {
			sum += e * zs[i] * zs[i]
		}
	}
	return q.scale * sum / 2
}

// Grad overwrites dz = s z and dx = ½ s′ z².
func (q *Penalty) Grad(dz, dx, z, x []float64, _ bilevel.Batch) {
	if dx == nil {
		q.products(dz, nil, nil, z, x, nil, false)
		return
	}
	// cv with v = z is s′z², twice dx.
	q.products(dz, nil, dx, z, x, z, false)
	kernel.Scale(.5, q.own(dx))
}

// ValueGrad is Value and Grad.
func (q *Penalty) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	q.Grad(dz, dx, z, x, b)
	return q.Value(z, x, b)
}

// Products overwrites dz = s z, hv = s v and cv = s′ z v summed over the coefficients of a strength.
func (q *Penalty) Products(dz, hv, cv, z, x, v []float64, _ bilevel.Batch) {
	q.products(dz, hv, cv, z, x, v, false)
}

// products is Products, which with add adds to dz and hv; cv it overwrites in any case.
func (q *Penalty) products(dz, hv, cv, z, x, v []float64, add bool) {
	if q.p < q.outer {
		clear(cv)
	}
	if q.identity() && !q.linear {
		q.exponentialProducts(dz, hv, q.own(cv), z, q.own(x), v, add)
		return
	}
	q.prepare(x)
	if !add {
		clear(dz)
		clear(hv)
	}
	cv = q.own(cv)
	clear(cv)
	for _, s := range q.segments {
		if dz != nil {
			q.addScaled(dz, z, s)
		}
		if hv != nil {
			q.addScaled(hv, v, s)
		}
		if cv != nil {
			q.addCross(cv, z, v, s)
		}
	}
}

// prepare sets the strengths, Scale included.
func (q *Penalty) prepare(x []float64) {
	q.Strengths(q.strength, x)
	kernel.Scale(q.scale, q.strength)
}

// add adds s v to dst and, unless it is nil, s′ z v to cv, for the coefficients [lo, hi). The strengths are those
// of the last prepare.
func (q *Penalty) add(dst, cv, z, v []float64, lo, hi int) {
	n := sort.Search(len(q.segments), func(n int) bool { return q.segments[n].hi > lo })
	for _, s := range q.segments[n:] {
		if s.lo >= hi {
			return
		}
		if cut := lo - s.lo; cut > 0 {
			s.lo = lo
			if s.ramp {
				s.j += cut
			}
		}
		s.hi = min(s.hi, hi)
		q.addScaled(dst, v, s)
		if cv != nil {
			q.addCross(cv, z, v, s)
		}
	}
}

// addPair adds s y to dy and s z to dz and, unless it is nil, ½ s′(y² − z²) to dx, the strengths' own part, for the
// coefficients from lo on that the four vectors hold. The strengths are those of the last prepare.
func (q *Penalty) addPair(dy, dz, dx, y, z []float64, lo int) {
	hi := lo + len(y)
	n := sort.Search(len(q.segments), func(n int) bool { return q.segments[n].hi > lo })
	for _, s := range q.segments[n:] {
		if s.lo >= hi {
			return
		}
		if cut := lo - s.lo; cut > 0 {
			s.lo = lo
			if s.ramp {
				s.j += cut
			}
		}
		from, to := s.lo-lo, min(s.hi, hi)-lo
		ys, zs := y[from:to], z[from:to]
		zs = zs[:len(ys)]
		switch {
		case s.ramp && dx != nil:
			e, d, dys, dzs := q.strength[s.j:s.j+len(ys)], dx[s.j:s.j+len(ys)], dy[from:to], dz[from:to]
			for i, u := range ys {
				w, s1 := zs[i], e[i]
				dys[i] += s1 * u
				dzs[i] += s1 * w
				if q.linear {
					s1 = q.scale
				}
				d[i] += s1 * (u - w) * (u + w) / 2
			}
		case s.ramp:
			e, dys, dzs := q.strength[s.j:s.j+len(ys)], dy[from:to], dz[from:to]
			for i, u := range ys {
				dys[i] += e[i] * u
				dzs[i] += e[i] * zs[i]
			}
		default:
			e := q.strength[s.j]
			kernel.Axpy(e, ys, dy[from:to])
			kernel.Axpy(e, zs, dz[from:to])
			if dx == nil {
				continue
			}
			if q.linear {
				e = q.scale
			}
			sum := 0.0
			for i, u := range ys {
				sum += (u - zs[i]) * (u + zs[i])
			}
			dx[s.j] += e * sum / 2
		}
	}
}

// Cross overwrites dz = s′ z w, w at the strength of a coefficient.
func (q *Penalty) Cross(dz, z, x, w []float64, _ bilevel.Batch) {
	w = q.own(w)
	if q.linear {
		clear(q.strength)
		kernel.Axpy(q.scale, w, q.strength)
	} else {
		q.Strengths(q.strength, x)
		for j, wj := range w {
			q.strength[j] *= q.scale * wj
		}
	}
	clear(dz)
	for _, s := range q.segments {
		q.addScaled(dz, z, s)
	}
}

// addScaled adds s·z over a segment.
func (q *Penalty) addScaled(dst, z []float64, s segment) {
	dst, z = dst[s.lo:s.hi], z[s.lo:s.hi]
	if !s.ramp {
		kernel.Axpy(q.strength[s.j], z, dst)
		return
	}
	for i, e := range q.strength[s.j : s.j+len(dst)] {
		dst[i] += e * z[i]
	}
}

// addCross adds s′·z·v over a segment; s′ is s for s = eˣ, and the scale for s = x.
func (q *Penalty) addCross(cv, z, v []float64, s segment) {
	z, v = z[s.lo:s.hi], v[s.lo:s.hi]
	if !s.ramp {
		e := q.strength[s.j]
		if q.linear {
			e = q.scale
		}
		cv[s.j] += e * kernel.Dot(z, v)
		return
	}
	cv = cv[s.j : s.j+len(z)]
	if q.linear {
		for i := range cv {
			cv[i] += q.scale * z[i] * v[i]
		}
		return
	}
	for i, e := range q.strength[s.j : s.j+len(z)] {
		cv[i] += e * z[i] * v[i]
	}
}

// exponentialProducts is products for s = eˣ with one strength per coefficient.
func (q *Penalty) exponentialProducts(dz, hv, cv, z, x, v []float64, add bool) {
	p := q.p
	if p < q.d {
		if !add {
			if dz != nil {
				clear(dz[p:])
			}
			if hv != nil {
				clear(hv[p:])
			}
		}
		z = z[:p]
		if dz != nil {
			dz = dz[:p]
		}
		if hv != nil {
			hv = hv[:p]
		}
		if v != nil {
			v = v[:p]
		}
	}
	kernel.ExpRidge(dz, hv, cv, z, x, v, q.scale, add)
}

// addDiagonal adds the penalty's Hessian to the diagonals of row-major blocks of order size.
func (q *Penalty) addDiagonal(dst, x []float64, size int) {
	q.prepare(x)
	for _, s := range q.segments {
		for i := s.lo; i < s.hi; i++ {
			e := q.strength[s.j]
			if s.ramp {
				e = q.strength[s.j+i-s.lo]
			}
			dst[i*size+i%size] += e
		}
	}
}
