package nystrom

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/rows"
)

// NewProblem is cross-validation of a model with a kernel as a bilevel problem: x as the package says, and z the models
// of the folds, one after the other, k scores of the features [a, φ(a), 1] each.
//
//	inner  g(z, x) = 1/n Σ_f (Σ_{i outside fold f} ℓ_i(z_f, x) + ½ λ_lin ‖z_f,lin‖² + ½ λ_k ‖z_f,φ‖²),
//	outer  f(z, x) = 1/n Σ_i ℓ_i(z_f(i), x), f(i) the fold of row i,
//
// with ℓ the squared loss ½(t − y)² where classes is 0, the logistic loss for 2, and the cross entropy for more; y are
// values, or indices of classes. The rows of fold f are [bounds[f], bounds[f+1]). groups has the group of each feature,
// numbered from 0 on, and landmarks are rows of as many features. x is bounded by −9 and 14.
//
// Features are made anew where x changes, of all rows, and a derivative by x costs as much, whatever the batch: methods
// that pass over all rows suit it. A kernel matrix that is not positive definite ends a run with an error.
func NewProblem(x *rows.Dense, y []float64, classes int, bounds []int, groups []int, landmarks *rows.Dense) (
	*bilevel.Problem, error) {
	l, k, err := task(classes)
	if err != nil {
		return nil, err
	}
	if err := check(x, y, classes, groups, nil); err != nil {
		return nil, err
	}
	folds := len(bounds) - 1
	switch {
	case folds < 2 || bounds[0] != 0 || bounds[folds] != x.N || !slices.IsSorted(bounds):
		return nil, fmt.Errorf("nystrom: bounds %v of the folds of %d rows", bounds, x.N)
	case len(slices.Compact(slices.Clone(bounds))) != folds+1:
		return nil, errors.New("nystrom: a fold has no rows")
	case landmarks == nil || landmarks.N == 0 || landmarks.D != x.D:
		return nil, fmt.Errorf("nystrom: landmarks are rows of %d features", x.D)
	}
	count := slices.Max(groups) + 1
	make := func(outer bool) *objective {
		v := newValidation(x, y, k, l, bounds, newMatern(groups, landmarks), count)
		return &objective{v: v, outer: outer, bounds: bounds}
	}
	return &bilevel.Problem{Inner: make(false), Outer: make(true),
		Lower: slices.Repeat([]float64{lowest}, count+2), Upper: slices.Repeat([]float64{highest}, count+2)}, nil
}

// objective is one of the two levels.
type objective struct {
	v      *validation
	outer  bool
	bounds []int
	at     []float64 // x of the features
	err    error
}

var (
	_ bilevel.SecondOrder     = (*objective)(nil)
	_ bilevel.ValueGradienter = (*objective)(nil)
	_ bilevel.Failer          = (*objective)(nil)
)

// Dims are the lengths of z and x.
func (o *objective) Dims() (d, p int) {
	return len(o.v.h.w) * o.v.h.k * o.v.f.p, o.v.groups + 2
}

// Samples is the number of rows.
func (o *objective) Samples() int { return o.v.n }

// Err is why features could not be made.
func (o *objective) Err() error { return o.err }

// Value is described at [bilevel.Objective].
func (o *objective) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.pass(nil, nil, nil, nil, z, x, nil, b)
}

// Grad is described at [bilevel.Objective].
func (o *objective) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.pass(dz, dx, nil, nil, z, x, nil, b)
}

// ValueGrad is described at [bilevel.ValueGradienter].
func (o *objective) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	return o.pass(dz, dx, nil, nil, z, x, nil, b)
}

// Products is described at [bilevel.SecondOrder].
func (o *objective) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if hv == nil && cv == nil {
		v = nil
	}
	o.pass(dz, nil, hv, cv, z, x, v, b)
}

// pass computes the mean of the terms in b, and the derivatives that are not nil: dz and dx, and with a vector v hv and
// cv, of which cv excludes dx.
func (o *objective) pass(dz, dx, hv, cv, z, x, v []float64, b bilevel.Batch) (value float64) {
	for _, d := range [][]float64{dz, dx, hv, cv} {
		clear(d)
	}
	if b.Len() <= 0 {
		return 0
	}
	if !slices.Equal(o.at, x) {
		o.at = append(o.at[:0], x...)
		if err := o.v.set(x); err != nil {
			o.err = err
		}
	}
	h, f := o.v.h, o.v.f
	size := h.k * f.p
	of := func(s []float64, fold int) []float64 {
		if s == nil {
			return nil
		}
		return s[fold*size : (fold+1)*size]
	}
	wantX := dx != nil || cv != nil
	if wantX {
		clear(o.v.bar)
	}
	share := 1 / float64(b.Len())
	for own := range h.w {
		for lo := max(b.Lo, o.bounds[own]); lo < min(b.Hi, o.bounds[own+1]); lo += blockRows {
			r := block{lo, min(lo+blockRows, b.Hi, o.bounds[own+1]), own}
			for fold := range h.w {
				if o.outer == (fold == own) {
					value += share * o.rows(r, share, of(dz, fold), of(hv, fold), of(z, fold), of(v, fold), wantX)
				}
			}
		}
	}
	grad := dx
	if cv != nil {
		grad = cv
	}
	if wantX {
		f.pull(grad[2:], o.v.bar)
	}
	if o.outer {
		return value
	}
	n, d := float64(o.v.n), f.x.D
	for i, w := range z {
		j := i % f.p
		l := h.lambda[j] / n
		value += l * w * w / 2
		if dz != nil {
			dz[i] += l * w
		}
		if hv != nil {
			hv[i] += l * v[i]
		}
		if !wantX || j == f.p-1 {
			continue
		}
		to := 0
		if j >= d {
			to = 1
		}
		if cv != nil {
			grad[to] += l * w * v[i]
		} else {
			grad[to] += l * w * w / 2
		}
	}
	return value
}

// rows adds what rows of a block say about one model, whose parts the vectors are, and returns the sum of their losses.
func (o *objective) rows(r block, share float64, dz, hv, z, v []float64, wantX bool) float64 {
	h := o.v.h
	m, y := r.hi-r.lo, h.y[r.lo:r.hi]
	t, p := h.t[h.k*r.lo:h.k*r.hi], h.prob[h.k*r.lo:h.k*r.hi]
	h.scores(t, z, r)
	sum := h.link.loss(t, y, m)
	if dz == nil && v == nil && !wantX {
		return sum
	}
	h.link.coefs(t, p, y, m)
	for i := range t {
		t[i] *= share
	}
	if dz != nil {
		h.combine(dz, t, r)
	}
	if v == nil {
		if wantX {
			o.v.spread(t, z, r, 1)
		}
		return sum
	}
	s := h.tmp[:h.k*m]
	h.scores(s, v, r)
	h.link.apply(s, p, h.k, m)
	for i := range s {
		s[i] *= share
	}
	if hv != nil {
		h.combine(hv, s, r)
	}
	if wantX {
		o.v.spread(s, z, r, 1)
		o.v.spread(t, v, r, 1)
	}
	return sum
}
