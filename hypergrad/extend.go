package hypergrad

import (
	"math"

	"github.com/bilevel-go/bilevel"
)

// Extend returns p with extra outer variables after those of p, which the objectives and the map ignore: places
// for step sizes, momenta and starts that are learned, see [inner.Learned] and [ITD]. They are unbounded, and a
// projection leaves them alone.
//
// Objectives keep second-order products, forward ones ([bilevel.Crosser]) and one-pass values, and a map its
// forward products ([bilevel.Pusher]); other optional interfaces are not passed on.
func Extend(p *bilevel.Problem, extra int) *bilevel.Problem {
	_, n := p.Dims()
	q := &bilevel.Problem{Outer: extendObjective(p.Outer, n, extra)}
	if p.Inner != nil {
		q.Inner = extendObjective(p.Inner, n, extra)
	}
	if p.Fixed != nil {
		m := extendedMap{FixedPoint: p.Fixed, n: n, extra: extra}
		q.Fixed = m
		if f, ok := p.Fixed.(bilevel.Pusher); ok {
			q.Fixed = extendedPusher{m, f}
		}
	}
	q.Lower, q.Upper = extendBounds(p.Lower, extra, math.Inf(-1)), extendBounds(p.Upper, extra, math.Inf(1))
	if p.Project != nil {
		q.Project = func(x []float64) { p.Project(x[:n]) }
	}
	return q
}

func extendBounds(b []float64, extra int, v float64) []float64 {
	if b == nil {
		return nil
	}
	b = append([]float64(nil), b...)
	for range extra {
		b = append(b, v)
	}
	return b
}

func extendObjective(o bilevel.Objective, n, extra int) bilevel.Objective {
	e := extended{Objective: o, n: n, extra: extra}
	second, err := bilevel.NeedSecondOrder(o)
	if err != nil {
		return e
	}
	s := extendedSecond{e, second}
	if c, ok := o.(bilevel.Crosser); ok {
		return extendedCross{s, c}
	}
	return s
}

// extended is an objective of z and the first n entries of x.
type extended struct {
	bilevel.Objective
	n, extra int
}

var (
	_ bilevel.ValueGradienter = extended{}
	_ bilevel.Failer          = extended{}
	_ bilevel.SecondOrder     = extendedSecond{}
	_ bilevel.Crosser         = extendedCross{}
	_ bilevel.FixedPoint      = extendedMap{}
	_ bilevel.Pusher          = extendedPusher{}
)

// own clears dx, which it may not write in full, and returns the objective's part.
func own(dx []float64, n int) []float64 {
	clear(dx)
	if dx == nil {
		return nil
	}
	return dx[:n]
}

// Dims returns the lengths of z and x.
func (e extended) Dims() (d, p int) {
	d, p = e.Objective.Dims()
	return d, p + e.extra
}

// Value is described at [bilevel.Objective].
func (e extended) Value(z, x []float64, b bilevel.Batch) float64 {
	return e.Objective.Value(z, x[:e.n], b)
}

// Grad is described at [bilevel.Objective].
func (e extended) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	e.Objective.Grad(dz, own(dx, e.n), z, x[:e.n], b)
}

// ValueGrad is described at [bilevel.ValueGradienter].
func (e extended) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	return bilevel.ValueGrad(e.Objective, dz, own(dx, e.n), z, x[:e.n], b)
}

// Err is described at [bilevel.Failer].
func (e extended) Err() error {
	if f, ok := e.Objective.(bilevel.Failer); ok {
		return f.Err()
	}
	return nil
}

// extendedSecond has second-order products.
type extendedSecond struct {
	extended
	second bilevel.SecondOrder
}

// Products is described at [bilevel.SecondOrder].
func (e extendedSecond) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	e.second.Products(dz, hv, own(cv, e.n), z, x[:e.n], v, b)
}

// extendedCross has forward products too.
type extendedCross struct {
	extendedSecond
	crosser bilevel.Crosser
}

// Cross is described at [bilevel.Crosser].
func (e extendedCross) Cross(dz, z, x, w []float64, b bilevel.Batch) {
	e.crosser.Cross(dz, z, x[:e.n], w[:e.n], b)
}

// extendedMap is a map of z and the first n entries of x.
type extendedMap struct {
	bilevel.FixedPoint
	n, extra int
}

// Dims returns the lengths of z and x.
func (e extendedMap) Dims() (d, p int) {
	d, p = e.FixedPoint.Dims()
	return d, p + e.extra
}

// Map is described at [bilevel.FixedPoint].
func (e extendedMap) Map(dst, z, x []float64, b bilevel.Batch) {
	e.FixedPoint.Map(dst, z, x[:e.n], b)
}

// Pull is described at [bilevel.FixedPoint].
func (e extendedMap) Pull(uz, ux, z, x, u []float64, b bilevel.Batch) {
	e.FixedPoint.Pull(uz, own(ux, e.n), z, x[:e.n], u, b)
}

// extendedPusher has forward products too.
type extendedPusher struct {
	extendedMap
	pusher bilevel.Pusher
}

// Push is described at [bilevel.Pusher].
func (e extendedPusher) Push(dst, z, x, vz, vx []float64, b bilevel.Batch) {
	if vx != nil {
		vx = vx[:e.n]
	}
	e.pusher.Push(dst, z, x[:e.n], vz, vx, b)
}
