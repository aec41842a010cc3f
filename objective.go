package bilevel

import (
	"errors"
	"fmt"
	"strings"

	"gonum.org/v1/gonum/floats"
)

// Batch is the half-open range [Lo, Hi) of stored sample order. Data are shuffled once when they are
// loaded, so that a batch is contiguous memory and a variance-reduction memory can be indexed by block.
type Batch struct{ Lo, Hi int }

// Len is the number of samples in b.
func (b Batch) Len() int { return b.Hi - b.Lo }

// All is the batch of all samples of o.
func All(o Objective) Batch { return Batch{0, o.Samples()} }

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
	// Grad overwrites dz (length d) with ∇z and dx (length p) with ∇x of the mean of the terms in b.
	// A nil destination is not computed.
	Grad(dz, dx, z, x []float64, b Batch)
}

// SecondOrder is what implicit methods need of the inner objective.
type SecondOrder interface {
	Objective
	// Products makes one pass over the batch: dz = ∇z g, hv = ∇²zz g·v (length d) and
	// cv = ∇²xz g·v (length p). It overwrites; a nil destination is not computed.
	Products(dz, hv, cv, z, x, v []float64, b Batch)
}

// Failer is an objective whose evaluation can fail, such as a remote one. [Minimize] asks at least at every
// record and stops with the error.
type Failer interface {
	Err() error
}

// Splitter is an objective with a part that is the same in every term, such as a regulariser: it is the
// mean of sampled's terms plus exact, and exact.Samples() is 1. Variance-reduced methods sample the first
// and add the second as it is.
type Splitter interface {
	Split() (sampled, exact Objective)
}

// Linear is an objective that sees z through k scores per sample, A_i z ∈ Rᵏ. Derivatives of a batch with
// respect to z are means of A_iᵀc_i, and a variance-reduction memory holds the k numbers c_i.
//
// The coefficients of a batch lie score by score: sample b.Lo+i, score j is at c[j*b.Len()+i].
type Linear interface {
	SecondOrder
	// Scores returns k.
	Scores() int
	// Coefs sets cg and ch (length k·b.Len()), the coefficients of ∇z g and of ∇²zz g·v, and cv as
	// Products does. A nil destination is not computed; v may be nil when ch and cv are.
	Coefs(cg, ch, cv, z, x, v []float64, b Batch)
	// Combine overwrites dz with the mean of A_iᵀcg_i and hv with that of A_iᵀch_i. A nil destination is
	// not computed.
	Combine(dz, hv, cg, ch []float64, b Batch)
}

// Sparse is a [Linear] objective whose samples see few columns of z, as the rows of a sparse matrix have few
// features. Column j is the k = Scores() consecutive coefficients z[j*k : j*k+k]. It is an interface of its own
// because the coefficients and combinations of Linear have vectors of length d: with columns numbered afresh in
// each block, a method that draws blocks can do all its work on the block's columns.
type Sparse interface {
	Linear
	// Relabel takes disjoint blocks of samples. columns[i], in increasing order, are those that blocks[i] sees,
	// and local is the same objective with these columns only: over blocks[i] or a batch in it, z, v, dz and hv
	// have length k·len(columns[i]) and hold them in that order, while x, dx and cv keep length p. Both results
	// are nil where samples see all columns. It costs one pass over the samples.
	Relabel(blocks []Batch) (local Linear, columns [][]int32)
}

// Separable is an exact part (see [Splitter]) that is a sum of functions of one coefficient of z and of x each,
// such as ½ Σ e^{x_j} z_j²: ∇²zz is diagonal.
type Separable interface {
	SecondOrder
	// Part is the sum of the functions of some coefficients of z, a function of z[places[0]], z[places[1]], …
	// and of x[outer[0]], x[outer[1]], …, the part of x that they depend on. Neither list has repetitions. The
	// part may share scratch space with the whole.
	Part(places []int32) (part SecondOrder, outer []int32)
}

// Local is an objective whose derivatives with respect to x over a batch vanish outside x[lo:hi). Only that
// range of dx and cv, which keep length p, is written. An empty range says that x does not enter.
// Disjoint batches have disjoint ranges or empty ones.
type Local interface {
	OuterRange(b Batch) (lo, hi int)
}

// Linearizer makes many products at one point cheap, for conjugate gradients and Neumann series.
type Linearizer interface {
	// Linearize fixes point and batch; z and x may change afterwards.
	Linearize(z, x []float64, b Batch)
	// Apply overwrites hv = ∇²zz g·v and cv = ∇²xz g·v at the fixed point. A nil destination is not computed.
	Apply(hv, cv, v []float64)
}

// Prefetcher is told the batch that comes next, so that its rows are in cache when it does.
type Prefetcher interface {
	Prefetch(b Batch)
}

// HessianMatrix is an objective that can form ∇²zz g as a matrix faster than by d products.
type HessianMatrix interface {
	// Hessian overwrites the lower triangle of dst (d×d, row-major) with that of ∇²zz g over b, and leaves
	// the strict upper triangle unspecified.
	Hessian(dst, z, x []float64, b Batch)
}

// HessianBlocks is an objective that can form diagonal blocks of ∇²zz g, the preconditioner of conjugate
// gradients: a softmax model's blocks are its classes, those of cross-validation its folds.
type HessianBlocks interface {
	// BlockSize returns the order s of a block, which divides d; 1 means the diagonal.
	BlockSize() int
	// Blocks overwrites dst (d·s numbers) with the d/s diagonal blocks of ∇²zz g over b, one after the other,
	// each s×s and row-major. Only lower triangles are defined.
	Blocks(dst, z, x []float64, b Batch)
}

// Crosser is an objective that has the forward product with its mixed derivative, the transpose of the cv of
// [SecondOrder]. Forward-mode differentiation uses it; without it, it takes d products.
type Crosser interface {
	// Cross overwrites dz (length d) with ∇²zx g·w over b, w of length p.
	Cross(dz, z, x, w []float64, b Batch)
}

// Cross overwrites dz = ∇²zx g·w over b and returns how many products over b that took: one where o is a
// [Crosser], and d transposed ones, and d + p numbers of memory, where it is not.
func Cross(o SecondOrder, dz, z, x, w []float64, b Batch) (products int) {
	if c, ok := o.(Crosser); ok {
		c.Cross(dz, z, x, w, b)
		return 1
	}
	d, p := o.Dims()
	unit, cv := make([]float64, d), make([]float64, p)
	for i := range dz {
		unit[i] = 1
		o.Products(nil, nil, cv, z, x, unit, b) // row i of ∇²zx g; a Local o leaves the same places at zero
		unit[i] = 0
		dz[i] = floats.Dot(cv, w)
	}
	return d
}

// ValueGradienter gives value and gradient in one pass.
type ValueGradienter interface {
	// ValueGrad is Value and Grad together.
	ValueGrad(dz, dx, z, x []float64, b Batch) float64
}

// ValueGrad is o's value and gradient over b, in one pass if o can.
func ValueGrad(o Objective, dz, dx, z, x []float64, b Batch) float64 {
	if v, ok := o.(ValueGradienter); ok {
		return v.ValueGrad(dz, dx, z, x, b)
	}
	o.Grad(dz, dx, z, x, b)
	return o.Value(z, x, b)
}

// PairGradienter gives first derivatives at two inner points in one pass, for methods that compare an inner point with
// the minimiser of g at the same x: both see the same rows, and the terms of ∇x that they share cancel.
type PairGradienter interface {
	// PairGrad overwrites dy = ∇z g(y, x), dz = ∇z g(z, x) and dx = ∇x g(y, x) − ∇x g(z, x) over b.
	PairGrad(dy, dz, dx, y, z, x []float64, b Batch)
}

// PairDescender is a [PairGradienter] that can step both points while their gradients are in cache, which saves passes
// over vectors of length d where rows are sparse and d is large.
type PairDescender interface {
	PairGradienter
	// PairDescend overwrites dx as PairGrad does, and replaces
	//
	//	y ← y − a·∇z g(y, x) − c·e,   z ← z − a·∇z g(z, x),
	//
	// all derivatives over b and at the points that y and z hold at the call. e has length d.
	PairDescend(dx, y, z, x, e []float64, a, c float64, b Batch)
}

// FixedPoint is the other kind of inner problem, z = Φ(z, x), the mean of Samples() maps.
type FixedPoint interface {
	// Dims returns the length d of z and the length p of x.
	Dims() (d, p int)
	// Samples returns the number of terms.
	Samples() int
	// Map overwrites dst with Φ(z, x) over b.
	Map(dst, z, x []float64, b Batch)
	// Pull overwrites uz = ∂zΦᵀu (length d) and ux = ∂xΦᵀu (length p). A nil destination is not computed.
	Pull(uz, ux, z, x, u []float64, b Batch)
}

// Pusher is a [FixedPoint] with forward products, which forward-mode differentiation and conjugate gradients on
// the normal equations need.
type Pusher interface {
	// Push overwrites dst (length d) with ∂zΦ·vz + ∂xΦ·vx over b. A nil vz or vx is zero.
	Push(dst, z, x, vz, vx []float64, b Batch)
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
		return nil, fmt.Errorf("bilevel: %T has no Products method (∇²zz g·v and ∇²xz g·v), which this method needs of the inner objective", o)
	}
	if f, ok := o.(*Func); ok {
		if m := f.missing(true); m != nil {
			return nil, fmt.Errorf("bilevel: this method needs second-order products of the inner objective, and the Func lacks %s", strings.Join(m, " and "))
		}
	}
	return s, nil
}

// GradientMap is one step of gradient descent on G, Φ(z, x) = z − η∇z g(z, x), as a [FixedPoint].
type GradientMap struct {
	G   SecondOrder
	Eta float64 // step size η
}

var (
	_ FixedPoint = GradientMap{}
	_ Pusher     = GradientMap{}
)

// Dims returns those of G.
func (m GradientMap) Dims() (d, p int) { return m.G.Dims() }

// Samples returns those of G.
func (m GradientMap) Samples() int { return m.G.Samples() }

// Map overwrites dst with z − η∇z g.
func (m GradientMap) Map(dst, z, x []float64, b Batch) {
	m.G.Grad(dst, nil, z, x, b)
	for i, g := range dst {
		dst[i] = z[i] - m.Eta*g
	}
}

// Pull overwrites uz = u − η∇²zz g·u and ux = −η∇²xz g·u.
func (m GradientMap) Pull(uz, ux, z, x, u []float64, b Batch) {
	if _, ok := m.G.(Local); ok {
		clear(ux) // G writes only its range
	}
	m.G.Products(nil, uz, ux, z, x, u, b)
	for i, h := range uz {
		uz[i] = u[i] - m.Eta*h
	}
	for i := range ux {
		ux[i] *= -m.Eta
	}
}

// Push overwrites dst = vz − η(∇²zz g·vz + ∇²zx g·vx), see [Cross].
func (m GradientMap) Push(dst, z, x, vz, vx []float64, b Batch) {
	clear(dst)
	if vz != nil {
		m.G.Products(nil, dst, nil, z, x, vz, b)
	}
	if vx != nil {
		c := make([]float64, len(dst))
		Cross(m.G, c, z, x, vx, b)
		floats.Add(dst, c)
	}
	floats.Scale(-m.Eta, dst)
	if vz != nil {
		floats.Add(dst, vz)
	}
}
