package bilevel

import (
	"context"

	"gonum.org/v1/gonum/floats"
)

// This file has what an objective can say about its structure. Nothing here is needed; each interface buys speed or
// memory, methods look for it once when they start, and bileveltest compares it with the general path. A type that
// wraps another objective has to forward or hide them deliberately.

// Splitter is an objective with a part that is the same in every term, such as a regulariser: it is the
// mean of sampled's terms plus exact, and exact.Samples() is 1. Variance-reduced methods sample the first
// and add the second as it is.
type Splitter interface {
	Split() (sampled, exact Objective)
}

// Local is an objective whose derivatives with respect to x over a batch vanish outside x[lo:hi), as with a weight for
// every sample. Where batches are sampled a step then costs nothing in proportion to p.
type Local interface {
	// OuterRange is that range. An empty one says that x does not enter. Disjoint batches have disjoint ranges or
	// empty ones.
	OuterRange(b Batch) (lo, hi int)
	// LocalProducts is Products of [SecondOrder] with the range of cv alone, length hi − lo. It is not called on an
	// objective that x does not enter.
	LocalProducts(dz, hv, cv, z, x, v []float64, b Batch)
}

// EntersX says whether o depends on x, as far as o tells.
func EntersX(o Objective) bool {
	l, ok := o.(Local)
	if !ok {
		return true
	}
	lo, hi := l.OuterRange(All(o))
	return hi > lo
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
	// LocalProducts does if the objective is [Local], and as Products does if it is not. A nil destination is not
	// computed; v may be nil when ch and cv are.
	Coefs(cg, ch, cv, z, x, v []float64, b Batch)
	// Combine sets
	//
	//	dz = keep·dz + w·mean of A_iᵀcg_i over b,   hv = keep·hv + w·mean of A_iᵀch_i.
	//
	// With keep = 0 it overwrites whatever was there; with w = −ρ it steps along a gradient in one pass over z.
	// A nil destination is not computed.
	Combine(dz, hv, cg, ch []float64, w, keep float64, b Batch)
	// Row is the dense row a_i of sample i where score j is ⟨a_i, the j-th of k equal parts of z⟩, and nil where
	// there is none. It is read only.
	Row(i int) []float64
	// Prefetch is told the batch that comes next, so that its rows are in cache when it does. It may do nothing.
	Prefetch(b Batch)
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
	// Shrink is s where the whole is ½s‖z‖² at every x: a step along its gradient multiplies z by a number. It is
	// 0 where it is not.
	Shrink() float64
}

// ColumnNormer is an objective that sees z through scores that are linear in it, such as a loss of the rows of a
// matrix. Tolerances of inner problems are then such that a column of another size than the others, in milliseconds
// since 1970 say, hides none of them.
type ColumnNormer interface {
	// ColumnNorms overwrites dst (length d) with the root mean square over the samples of the derivative of a score
	// with respect to each coefficient: the sizes of its columns. It costs one pass over the data.
	ColumnNorms(dst []float64)
}

// Linearizer makes many products at one point cheap, for conjugate gradients and Neumann series.
type Linearizer interface {
	// Linearize fixes point and batch; z and x may change afterwards.
	Linearize(z, x []float64, b Batch)
	// Apply overwrites hv = ∇²zz g·v and cv = ∇²xz g·v at the fixed point. A nil destination is not computed.
	Apply(hv, cv, v []float64)
}

// HessianMatrix is an objective that can form ∇²zz g as a matrix faster than by d products.
type HessianMatrix interface {
	// Hessian overwrites the lower triangle of dst (d×d, row-major) with that of ∇²zz g over b, and leaves
	// the strict upper triangle unspecified. It costs many passes, and returns the error of ctx, with dst
	// unspecified, soon after that is done.
	Hessian(ctx context.Context, dst, z, x []float64, b Batch) error
}

// HessianBlocks is an objective that can form diagonal blocks of ∇²zz g, the preconditioner of conjugate
// gradients: a softmax model's blocks are its classes, those of cross-validation its folds.
type HessianBlocks interface {
	// BlockSize returns the order s of a block, which divides d; 1 means the diagonal.
	BlockSize() int
	// Blocks overwrites dst (d·s numbers) with the d/s diagonal blocks of ∇²zz g over b, one after the other,
	// each s×s and row-major. Only lower triangles are defined. It stops with ctx as Hessian of [HessianMatrix] does.
	Blocks(ctx context.Context, dst, z, x []float64, b Batch) error
}

// Divisible is an objective that is a sum of functions of disjoint parts of z, such as the models of a
// cross-validation: to minimise it is to minimise each of them, on cores and with an effort of their own.
type Divisible interface {
	// Parts returns the terms, in the order of the consecutive coefficients that they are functions of, or nil where
	// there is one alone. They have as many samples and the same x, and can be used at the same time as each other, but
	// not as the sum.
	Parts() []SecondOrder
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
	// PairDescend overwrites dx as PairGrad does, and replaces
	//
	//	y ← y − a·∇z g(y, x) − c·e,   z ← z − a·∇z g(z, x),
	//
	// all derivatives over b and at the points that y and z hold at the call. e has length d. Where rows are sparse
	// and d is large, steps made while the gradients are in cache save passes over vectors of length d.
	PairDescend(dx, y, z, x, e []float64, a, c float64, b Batch)
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
		o.Products(nil, nil, cv, z, x, unit, b) // row i of ∇²zx g
		unit[i] = 0
		dz[i] = floats.Dot(cv, w)
	}
	return d
}
