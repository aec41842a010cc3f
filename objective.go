package bilevel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Batch is the half-open range [Lo, Hi) of stored sample order: contiguous memory, which a variance-reduction memory
// can index by block. Stochastic methods take batches for samples of the whole, so shuffle data whose order means
// something before making an objective of them.
type Batch struct {
	Lo, Hi int
	// Draw stands for whatever else is random in the terms: dropout, augmentation, noise, the samples behind an
	// expectation. A term is a function of (z, x, Draw) and its index, see [Batch.Source], and calls with the same
	// Draw see the same function. Stochastic methods give every batch that they draw a new one, and share it between
	// calls that belong together, such as gradients at two points whose difference counts. 0 is the fixed draw, which
	// records, evaluators and deterministic methods use: they see one sample average. Objectives that are finite
	// sums ignore it.
	Draw uint64
}

// Len is the number of samples in b.
func (b Batch) Len() int { return b.Hi - b.Lo }

// Source is the randomness of sample i in this draw. It depends on nothing else of b, so that a term is the same
// whatever batch it is part of.
func (b Batch) Source(i int) (pcg rand.PCG) {
	pcg.Seed(b.Draw, uint64(i))
	return pcg
}

// All is the batch of all samples of o, under the fixed draw.
func All(o Objective) Batch { return Batch{Lo: 0, Hi: o.Samples()} }

// Objective is one level of a bilevel problem: the mean of Samples() smooth terms of (z, x).
//
// An objective is used by one goroutine at a time and may keep scratch space. Its methods do not return
// errors; one whose evaluation can fail implements [Failer] too. Wrong lengths panic.
type Objective interface {
	// Dims returns the length d of z and the length p of x.
	Dims() (d, p int)
	// Samples returns the number of terms, at least 1.
	Samples() int
	// Value is the mean of the terms in b at (z, x).
	Value(z, x []float64, b Batch) float64
	// Grad overwrites all of dz (length d) with ∇z and all of dx (length p) with ∇x of the mean of the terms in b.
	// A nil destination is not computed.
	Grad(dz, dx, z, x []float64, b Batch)
}

// SecondOrder is what implicit methods need of the inner objective.
type SecondOrder interface {
	Objective
	// Products makes one pass over the batch: dz = ∇z g, hv = ∇²zz g·v (length d) and
	// cv = ∇²xz g·v (length p). It overwrites all of each; a nil destination is not computed.
	Products(dz, hv, cv, z, x, v []float64, b Batch)
}

// Failer is an objective whose evaluation can fail, such as a remote one. [Minimize] asks at least at every
// record and stops with the error.
type Failer interface {
	Err() error
}

// Func makes an objective of closures. InnerDim, OuterDim and Eval are required; a method that needs a
// closure that is nil says so when it starts. Closures always get destinations of full length to overwrite,
// never nil ones, and any batch within [0, Terms).
//
// Use it by pointer; it keeps scratch space.
type Func struct {
	InnerDim, OuterDim int
	// Terms is the number of terms of which the objective is the mean; 0 means 1.
	Terms int
	// Eval is the mean of the terms in b.
	Eval func(z, x []float64, b Batch) float64
	// Gradient overwrites dz = ∇z and dx = ∇x.
	Gradient func(dz, dx, z, x []float64, b Batch)
	// HessVec overwrites hv = ∇²zz·v.
	HessVec func(hv, z, x, v []float64, b Batch)
	// CrossVec overwrites cv = ∇²xz·v.
	CrossVec func(cv, z, x, v []float64, b Batch)

	dz, dx []float64
}

var _ SecondOrder = (*Func)(nil)

// Dims returns InnerDim and OuterDim.
func (f *Func) Dims() (d, p int) { return f.InnerDim, f.OuterDim }

// Samples returns Terms, or 1.
func (f *Func) Samples() int { return max(f.Terms, 1) }

// Value calls Eval.
func (f *Func) Value(z, x []float64, b Batch) float64 { return f.Eval(z, x, b) }

// Grad calls Gradient.
func (f *Func) Grad(dz, dx, z, x []float64, b Batch) {
	if dz == nil && dx == nil {
		return
	}
	if dz == nil {
		dz = scratch(&f.dz, f.InnerDim)
	}
	if dx == nil {
		dx = scratch(&f.dx, f.OuterDim)
	}
	f.Gradient(dz, dx, z, x, b)
}

// Products calls Gradient, HessVec and CrossVec as far as destinations ask for them.
func (f *Func) Products(dz, hv, cv, z, x, v []float64, b Batch) {
	if dz != nil {
		f.Grad(dz, nil, z, x, b)
	}
	if hv != nil {
		f.HessVec(hv, z, x, v, b)
	}
	if cv != nil {
		f.CrossVec(cv, z, x, v, b)
	}
}

func (f *Func) missing(second bool) []string {
	var m []string
	for _, c := range []struct {
		name   string
		absent bool
	}{
		{"Eval", f.Eval == nil},
		{"Gradient", f.Gradient == nil},
		{"HessVec", second && f.HessVec == nil},
		{"CrossVec", second && f.CrossVec == nil},
	} {
		if c.absent {
			m = append(m, c.name)
		}
	}
	return m
}

func scratch(s *[]float64, n int) []float64 {
	if len(*s) < n {
		*s = make([]float64, n)
	}
	return (*s)[:n]
}

// NeedFirstOrder reports what keeps o from serving as a first-order objective. Methods call it in Start.
func NeedFirstOrder(o Objective) error {
	if o == nil {
		return errors.New("bilevel: the objective is nil")
	}
	if f, ok := o.(*Func); ok {
		if m := f.missing(false); m != nil {
			return fmt.Errorf("bilevel: a Func objective lacks %s", strings.Join(m, " and "))
		}
	}
	return nil
}

// NeedSecondOrder returns o with its second-order products, or an error that says which are missing.
// Methods call it in Start.
func NeedSecondOrder(o Objective) (SecondOrder, error) {
	if err := NeedFirstOrder(o); err != nil {
		return nil, err
	}
	s, ok := o.(SecondOrder)
	if !ok {
		return nil, fmt.Errorf("bilevel: %T has no Products method (∇²zz g·v and ∇²xz g·v), which this method needs "+
			"of the inner objective", o)
	}
	if f, ok := o.(*Func); ok {
		if m := f.missing(true); m != nil {
			return nil, fmt.Errorf("bilevel: this method needs second-order products of the inner objective, "+
				"and the Func lacks %s", strings.Join(m, " and "))
		}
	}
	return s, nil
}
