package inner

import (
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/vector"
	"github.com/bilevel-go/bilevel/linsolve"
)

// Norm is the norm of ∇z g in which tolerances of inner problems are measured, ‖S∇z g‖₂ with a diagonal S. It is the
// Euclidean one, S = I, except that the coefficients of columns that are thousands of times larger than others (see
// [bilevel.ColumnNormer]) are measured as if their columns were not. A tolerance relative to ‖∇z g‖₂ would be one for
// these columns alone: the gradient of a column of milliseconds since 1970 is 10¹² times that of a standardised one,
// which may be anything then.
//
// The zero value is the Euclidean norm.
type Norm struct {
	scale []float64 // the diagonal of S; nil: I
}

// farLarger is how many times the size of the lower quartile of all columns a column may have and count as it is. It is
// so large that ordinary data, rare words beside an intercept too, have the Euclidean norm.
const farLarger = 1 << 12

// NewNorm is the norm of g, at one pass over the data where that has columns.
func NewNorm(g bilevel.Objective) Norm {
	columns, ok := g.(bilevel.ColumnNormer)
	if !ok {
		return Norm{}
	}
	d, _ := g.Dims()
	sizes := make([]float64, d)
	columns.ColumnNorms(sizes)
	sorted := slices.DeleteFunc(slices.Clone(sizes), func(c float64) bool { return !(c > 0) || math.IsInf(c, 0) })
	if len(sorted) == 0 {
		return Norm{}
	}
	slices.Sort(sorted)
	usual := sorted[(len(sorted)-1)/4]
	if sorted[len(sorted)-1] <= farLarger*usual {
		return Norm{}
	}
	scale := sizes
	for i, c := range sizes {
		scale[i] = 1
		if c > farLarger*usual && !math.IsInf(c, 0) {
			scale[i] = math.Ldexp(1, -int(math.Round(math.Log2(c/usual)))) // a power of two, which adds no rounding
		}
	}
	return Norm{scale}
}

// Of is ‖S·grad‖₂.
func (n Norm) Of(grad []float64) float64 {
	if n.scale == nil {
		return vector.Norm(grad)
	}
	s := 0.0
	for i, g := range grad {
		s = math.Hypot(s, n.scale[i]*g)
	}
	return s
}

// Euclidean says whether S is I.
func (n Norm) Euclidean() bool { return n.scale == nil }

// at is S_ii.
func (n Norm) at(i int) float64 {
	if n.scale == nil {
		return 1
	}
	return n.scale[i]
}

// Scale overwrites v with Sv.
func (n Norm) Scale(v []float64) {
	for i, s := range n.scale {
		v[i] *= s
	}
}

// Unscale overwrites v with S⁻¹v.
func (n Norm) Unscale(v []float64) {
	for i, s := range n.scale {
		v[i] /= s
	}
}

// Operator is SAS, whose residuals have the Euclidean norm that those of A have in this one; it has a preconditioner
// where op has. To solve Av = b is to solve SAS·w = Sb and set v = Sw.
func (n Norm) Operator(op linsolve.Operator) linsolve.Operator {
	if n.scale == nil {
		return op
	}
	s := scaledOperator{n, op, make([]float64, len(n.scale))}
	if inverse, ok := op.(linsolve.Preconditioner); ok {
		return scaledInverse{s, inverse}
	}
	return s
}

type scaledOperator struct {
	norm Norm
	of   linsolve.Operator
	v    []float64
}

// MulVec is described at [linsolve.Operator].
func (s scaledOperator) MulVec(dst, v []float64) {
	copy(s.v, v)
	s.norm.Scale(s.v)
	s.of.MulVec(dst, s.v)
	s.norm.Scale(dst)
}

type scaledInverse struct {
	scaledOperator
	inverse linsolve.Preconditioner
}

// Precondition is described at [linsolve.Preconditioner]: S⁻¹M⁻¹S⁻¹ where op has M⁻¹.
func (s scaledInverse) Precondition(dst, r []float64) {
	for i, a := range s.norm.scale {
		s.v[i] = r[i] / a
	}
	s.inverse.Precondition(dst, s.v)
	for i, a := range s.norm.scale {
		dst[i] /= a
	}
}
