package nonsmooth

import (
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/vector"
)

// Solver is the configuration of a method for composite inner problems.
type Solver interface {
	// Start prepares for c. All samples that oracle calls visit are added to counts, which the caller keeps and
	// may be nil.
	//
	// The minimizer's Result has Value, the whole objective, and Grad, the element of its subdifferential of
	// least norm, in place of g and ∇z g; tolerances are for the 2-norm of the latter.
	Start(c *Composite, counts *bilevel.Counts) (inner.Minimizer, error)
}

var (
	_ Solver = ProxNewton{}
	_ Solver = FISTA{}
)

// iterate is a point with what is known there.
type iterate struct {
	z, grad, sub []float64
	value, norm  float64 // of the whole objective and of sub
}

func newIterate(d int) iterate {
	return iterate{z: make([]float64, d), grad: make([]float64, d), sub: make([]float64, d)}
}

// eval fills in what is known at the point.
func (at *iterate) eval(g bilevel.SecondOrder, x, lambda []float64, counts *bilevel.Counts) {
	all := bilevel.All(g)
	at.value = bilevel.ValueGrad(g, at.grad, nil, at.z, x, all) + weighted(lambda, at.z)
	counts.ValueG += int64(all.Len())
	counts.GradG += int64(all.Len())
	at.norms(lambda)
}

// norms fills in sub and norm, which follow from the gradient.
func (at *iterate) norms(lambda []float64) {
	subgradient(at.sub, at.grad, at.z, lambda)
	at.norm = vector.Norm(at.sub)
}

func (at *iterate) finite() bool { return finite(at.value) && finite(at.norm) }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// noise is the rounding error to reckon with in values near v.
func noise(v float64) float64 { return 64 * 0x1p-52 * math.Abs(v) }

// result is what a minimizer returns for the point.
func (at *iterate) result(res inner.Result, tol float64) inner.Result {
	res.Value, res.GradNorm, res.Grad, res.Converged = at.value, at.norm, at.sub, at.norm <= tol
	return res
}
