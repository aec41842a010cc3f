package bilevel

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Problem is minimise over x of f(z*(x), x). Exactly one of Inner and Fixed is set. The domain of x is all of
// Rᵖ, a box, or what Project projects onto.
type Problem struct {
	Outer Objective  // f
	Inner Objective  // g
	Fixed FixedPoint // Φ, when the inner problem is z = Φ(z, x)

	// Lower and Upper bound x. Each is nil for no bound or has length p; entries may be infinite.
	Lower, Upper []float64
	// Project replaces the box: it projects x, in place, onto a closed convex set.
	Project func(x []float64)
}

// Dims returns the lengths d of z and p of x.
func (p *Problem) Dims() (d, q int) { return p.Outer.Dims() }

// Check reports what makes p unusable: a missing level, dimensions that do not fit, an empty domain.
func (p *Problem) Check() error {
	if p == nil || p.Outer == nil {
		return errors.New("bilevel: the problem has no outer objective")
	}
	if (p.Inner == nil) == (p.Fixed == nil) {
		return errors.New("bilevel: a problem has exactly one of Inner and Fixed")
	}
	d, q := p.Outer.Dims()
	var di, qi, n int
	if p.Inner != nil {
		di, qi = p.Inner.Dims()
		n = p.Inner.Samples()
	} else {
		di, qi = p.Fixed.Dims()
		n = p.Fixed.Samples()
	}
	if d < 1 || q < 1 {
		return fmt.Errorf("bilevel: the outer objective has dimensions d = %d, p = %d: nothing to optimise", d, q)
	}
	if d != di || q != qi {
		return fmt.Errorf("bilevel: the outer objective has dimensions d = %d, p = %d and the inner one d = %d, p = %d",
			d, q, di, qi)
	}
	if n < 1 || p.Outer.Samples() < 1 {
		return fmt.Errorf("bilevel: an objective without samples (inner %d, outer %d)", n, p.Outer.Samples())
	}
	if p.Project != nil && (p.Lower != nil || p.Upper != nil) {
		return errors.New("bilevel: the domain of x is a box or a projection, not both")
	}
	for _, b := range [][]float64{p.Lower, p.Upper} {
		if b != nil && len(b) != q {
			return fmt.Errorf("bilevel: %d bounds for %d outer variables", len(b), q)
		}
	}
	for j := range q {
		lo, hi := p.bounds(j)
		if !(lo <= hi) || math.IsInf(lo, 1) || math.IsInf(hi, -1) {
			return fmt.Errorf("bilevel: bounds of x[%d] are [%v, %v]", j, lo, hi)
		}
	}
	return nil
}

func (p *Problem) bounds(j int) (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	if p.Lower != nil {
		lo = p.Lower[j]
	}
	if p.Upper != nil {
		hi = p.Upper[j]
	}
	return lo, hi
}

// ProjectX replaces x by its projection onto the domain.
func (p *Problem) ProjectX(x []float64) {
	if p.Project != nil {
		p.Project(x)
		return
	}
	if p.Lower != nil {
		for j, l := range p.Lower {
			if x[j] < l {
				x[j] = l
			}
		}
	}
	if p.Upper != nil {
		for j, u := range p.Upper {
			if x[j] > u {
				x[j] = u
			}
		}
	}
}

// Bounded says whether ProjectX can change anything.
func (p *Problem) Bounded() bool { return p.Project != nil || p.Lower != nil || p.Upper != nil }

// ProjectedGrad overwrites dst with x − P(x − grad), which is the gradient where no bound holds and zero
// exactly at the stationary points.
func (p *Problem) ProjectedGrad(dst, x, grad []float64) {
	for j := range dst {
		dst[j] = x[j] - grad[j]
	}
	p.ProjectX(dst)
	for j := range dst {
		dst[j] = x[j] - dst[j]
	}
}

// Point is the state of an optimisation: inner variable, outer variable, adjoint. V is v, or u for a problem with a
// fixed-point map. As a start, nil means zeros (projected onto the domain); as a result, V is nil for methods that
// have no adjoint.
type Point struct{ Z, X, V []float64 }

// StartPoint returns a copy of at with missing parts filled in and X projected onto the domain, or an error
// about lengths. Methods call it in Start.
func (p *Problem) StartPoint(at Point) (Point, error) {
	d, q := p.Dims()
	var out Point
	for _, s := range []struct {
		name string
		dst  *[]float64
		src  []float64
		n    int
	}{{"Z", &out.Z, at.Z, d}, {"X", &out.X, at.X, q}, {"V", &out.V, at.V, d}} {
		if s.src != nil && len(s.src) != s.n {
			return Point{}, fmt.Errorf("bilevel: the start point's %s has length %d, the problem %d", s.name, len(s.src), s.n)
		}
		*s.dst = make([]float64, s.n)
		copy(*s.dst, s.src)
		for i, v := range s.src {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return Point{}, fmt.Errorf("bilevel: the start point's %s[%d] is %v", s.name, i, v)
			}
		}
	}
	p.ProjectX(out.X)
	return out, nil
}

// nonFinite names the first quantity of at that is not finite, or "".
func (at Point) nonFinite() string {
	for _, s := range []struct {
		name string
		v    []float64
	}{{"z", at.Z}, {"x", at.X}, {"v", at.V}} {
		if q := nonFinite(s.name, s.v); q != "" {
			return q
		}
	}
	return ""
}

// nonFinite names the first of values that is not finite, or "".
func nonFinite(name string, values []float64) string {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprintf("%s[%d] = %v", name, i, v)
		}
	}
	return ""
}

// clone is a copy of at that shares no memory with it.
func (at Point) clone() Point {
	return Point{Z: slices.Clone(at.Z), X: slices.Clone(at.X), V: slices.Clone(at.V)}
}
