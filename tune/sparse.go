package tune

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/methods"
	"github.com/bilevel-go/bilevel/nonsmooth"
)

// NonZero counts the weights of m that are not zero, and all of them; intercepts are left out.
func (m *Model) NonZero() (n, of int) {
	for _, c := range m.Coefficients {
		of += len(c.Weights)
		for _, w := range c.Weights {
			if w != 0 {
				n++
			}
		}
	}
	return n, of
}

// checkSparse reports what does not go with the ℓ1 norm.
func (o Options) checkSparse() error {
	if m, ok := o.Method.entry(); ok && o.Reg.Sparse() && m.Kind != methods.Exact {
		return &OptionError{"method", string(o.Method), fmt.Sprintf("with %s choose %s: all others need a smooth training "+
			"loss", o.Reg, strings.Join(methods.Names(methods.Exact), " or "))}
	}
	return nil
}

// composite is the estimator of a problem whose inner objective is the smooth part of c.
type composite struct{ c *nonsmooth.Composite }

// Start is described at [hypergrad.Estimator].
func (e composite) Start(p *bilevel.Problem, counts *bilevel.Counts) (hypergrad.Hypergradient, error) {
	q := *p
	q.Inner, q.Fixed = nil, e.c
	return nonsmooth.Implicit{}.Start(&q, counts)
}

// solver solves the inner problem.
func (f *fit) solver(q *problem) (inner.Minimizer, error) {
	if c, ok := q.estimator.(composite); ok {
		return nonsmooth.ProxNewton{}.Start(c.c, &f.visited)
	}
	return inner.Auto{}.Start(q.Inner, &f.visited)
}

// strengths overwrites dst with s(x).
func (q *problem) strengths(dst, x []float64) {
	if q.l1 == nil {
		q.pen.Strengths(dst, x)
		return
	}
	n := q.l1.P()
	q.l1.Strengths(dst[:n], x)
	if q.pen != nil {
		q.pen.Strengths(dst[n:], x)
	}
}

// findTop finds the logarithm of λ_max, the least ℓ1 strength with which all coefficients are zero.
func (f *fit) findTop(q *problem, tol float64) error {
	solver, err := f.solver(q)
	if err != nil {
		return err
	}
	d, p := q.Dims()
	z, grad := make([]float64, d), make([]float64, d)
	x := slices.Repeat([]float64{f.param().enormous}, p)
	if _, err := solve(f.closing, solver, z, x, tol); err != nil {
		return err
	}
	q.Inner.Grad(grad, nil, z, x, bilevel.All(q.Inner))
	f.visited.GradG += int64(q.Inner.Samples())
	top := 0.0
	for i, g := range grad {
		if q.l1.Strength(i) >= 0 {
			top = max(top, math.Abs(g))
		}
	}
	f.top = math.Log(max(top, 1e-300))
	return nil
}

// sparsePoints are the ℓ1 strengths of the grid, from λ_max down to a thousandth of it, or less where there are more
// rows than features, as x in the exponential parametrisation.
func (f *fit) sparsePoints(step float64) []float64 {
	exponent := f.param().exponent
	lo, hi := exponent(f.o.Box.Lower), exponent(f.o.Box.Upper)
	depth := math.Log(1e3)
	if n, _ := f.main.train.Dims(); n > f.d {
		depth = math.Log(1e5)
	}
	points := make([]float64, max(2, int(25/step)))
	floats.Span(points, f.top, f.top-depth)
	for i, t := range points {
		points[i] = min(max(t, lo), hi)
	}
	return slices.Compact(points)
}

// sparseMiddle is middle for a sparse kind: a twentieth of λ_max, and for the squares an eighth of the curvature.
func (f *fit) sparseMiddle(q *problem) []float64 {
	_, p := q.Dims()
	mid := slices.Repeat([]float64{f.top - 3}, p)
	if q.pen != nil {
		mid[p-1] = math.Log(max(f.loss.curvature(f.scores)*floats.Sum(f.squares)/float64(len(f.squares))/8, 1e-300))
	}
	for j := range mid {
		mid[j] = min(max(mid[j], f.o.Box.Lower), f.o.Box.Upper)
	}
	return mid
}

// sparseStarts are where descents of a sparse kind start. A coefficient that is zero tells nothing of its strength,
// so that many strengths start where more coefficients are not.
func (f *fit) sparseStarts(q *problem, base shared, mid []float64) []bilevel.Point {
	_, p := q.Dims()
	at := func(l1, squares float64) bilevel.Point {
		x := slices.Repeat([]float64{l1}, p)
		if q.pen != nil {
			x[p-1] = squares
		}
		for j := range x {
			x[j] = min(max(x[j], f.o.Box.Lower), f.o.Box.Upper)
		}
		return bilevel.Point{X: x, Z: base.z}
	}
	if !f.param().logarithmic {
		return []bilevel.Point{at(base.x, math.Exp(mid[p-1]))}
	}
	starts := []bilevel.Point{at(base.x, 0)}
	if m := mid[p-1]; q.pen != nil {
		starts = []bilevel.Point{at(base.x-1, m), at(base.x, m-3), at(base.x-2, m+2)}
	} else if p > 1 {
		starts = []bilevel.Point{at(base.x-1, 0), at(base.x, 0), at(base.x-2.5, 0)}
	}
	if d, _ := q.Dims(); f.pass(q.rows)*float64(d) > cheapSparseDescent {
		return starts[:1]
	}
	return starts
}

// cheapSparseDescent is cheapDescent for a sparse kind, whose problems are as small as the support.
const cheapSparseDescent = 10 * cheapDescent

// zeros says how sparse the model is.
func (f *fit) zeros(r *Result) string {
	n, of := r.Model.NonZero()
	if n == 0 && !r.Interrupted && !r.TimedOut {
		return fmt.Sprintf("All %d coefficients are zero: the features tell nothing about the label that validation rows "+
			"confirm.", of)
	}
	return fmt.Sprintf("%d of %d coefficients are not zero.", n, of)
}
