package bileveltest

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
)

// Solution is the exact answer at one x: z*, v*, h and ∇h.
type Solution struct {
	Z, V  []float64
	Value float64
	Grad  []float64
}

// Case is a bilevel problem with a known answer. It is the row of a table: other inner problems join the table
// by filling in these fields.
//
// A Case is a [bilevel.Evaluator] of its own problem.
type Case struct {
	Name    string
	Problem *bilevel.Problem
	// Start is where methods begin; nil parts are zeros.
	Start bilevel.Point
	// X is the minimiser over the domain and Value = h(X).
	X     []float64
	Value float64
	// Solve computes the answer at any x. The result is the caller's.
	Solve func(x []float64) Solution
}

var _ bilevel.Evaluator = Case{}

// Evaluate returns h(x) and, where grad is not nil, overwrites it with ∇h(x).
func (c Case) Evaluate(ctx context.Context, grad, x []float64) (float64, error) {
	s := c.Solve(x)
	if grad != nil {
		copy(grad, s.Grad)
	}
	return s.Value, nil
}

// Box returns c with x restricted to lower ≤ x ≤ upper, either of which may be nil, and the minimiser in that
// box.
func (c Case) Box(name string, lower, upper []float64) Case {
	p := *c.Problem
	p.Lower, p.Upper, p.Project = lower, upper, nil
	c.Name, c.Problem = name, &p
	c.minimize()
	return c
}

// FixedPoint returns c with the inner problem written as z = z − eta·∇z g(z, x).
func (c Case) FixedPoint(name string, eta float64) Case {
	p := *c.Problem
	p.Fixed = bilevel.GradientMap{G: p.Inner.(bilevel.SecondOrder), Eta: eta}
	p.Inner = nil
	c.Name, c.Problem = name, &p
	return c
}

// minimize sets X and Value by a projected Newton iteration from the start point, with differences of the
// exact ∇h as Hessian. p is small.
func (c *Case) minimize() {
	start, err := c.Problem.StartPoint(c.Start)
	if err != nil {
		panic(err)
	}
	x := start.X
	p := len(x)
	s := c.Solve(x)
	proj := make([]float64, p)
	trial := make([]float64, p)
	for range 500 {
		c.Problem.ProjectedGrad(proj, x, s.Grad)
		if floats.Norm(proj, math.Inf(1)) <= 1e-13*(1+math.Abs(s.Value)) {
			break
		}
		// Coordinates at a bound that the gradient points out of are held; the rest takes a Newton step.
		var free []int
		for j := range p {
			lo, hi := math.Inf(-1), math.Inf(1)
			if c.Problem.Lower != nil {
				lo = c.Problem.Lower[j]
			}
			if c.Problem.Upper != nil {
				hi = c.Problem.Upper[j]
			}
			if !(x[j] <= lo && s.Grad[j] > 0) && !(x[j] >= hi && s.Grad[j] < 0) {
				free = append(free, j)
			}
		}
		step := newtonStep(c.Solve, x, s.Grad, free)
		ok := false
		for t := 1.0; t > 1e-12; t /= 2 {
			copy(trial, x)
			for i, j := range free {
				trial[j] -= t * step[i]
			}
			c.Problem.ProjectX(trial)
			next := c.Solve(trial)
			if next.Value <= s.Value-1e-6*math.Abs(floats.Dot(s.Grad, x)-floats.Dot(s.Grad, trial)) ||
				next.Value <= s.Value+1e-15*(1+math.Abs(s.Value)) &&
					normInf(c.Problem, trial, next.Grad) < floats.Norm(proj, math.Inf(1)) {
				copy(x, trial)
				s, ok = next, true
				break
			}
		}
		if !ok {
			break
		}
	}
	c.X, c.Value = x, s.Value
}

func normInf(p *bilevel.Problem, x, grad []float64) float64 {
	dst := make([]float64, len(x))
	p.ProjectedGrad(dst, x, grad)
	return floats.Norm(dst, math.Inf(1))
}

// newtonStep is |∇²h|⁻¹∇h on the free coordinates, with eigenvalues bounded away from zero.
func newtonStep(solve func([]float64) Solution, x, grad []float64, free []int) []float64 {
	k := len(free)
	if k == 0 {
		return nil
	}
	h := mat.NewSymDense(k, nil)
	y := append([]float64(nil), x...)
	cols := mat.NewDense(k, k, nil)
	for i, j := range free {
		const e = 1e-5
		y[j] = x[j] + e
		up := solve(y).Grad
		y[j] = x[j] - e
		down := solve(y).Grad
		y[j] = x[j]
		for r, l := range free {
			cols.Set(r, i, (up[l]-down[l])/(2*e))
		}
	}
	for i := range k {
		for j := range i + 1 {
			h.SetSym(i, j, (cols.At(i, j)+cols.At(j, i))/2)
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(h, true) {
		panic("bileveltest: eigenvalues of ∇²h")
	}
	values := eig.Values(nil)
	var vectors mat.Dense
	eig.VectorsTo(&vectors)
	floor := 0.0
	for _, v := range values {
		floor = max(floor, 1e-8*math.Abs(v))
	}
	step := make([]float64, k)
	for c, v := range values {
		s := 0.0
		for i, j := range free {
			s += vectors.At(i, c) * grad[j]
		}
		s /= max(math.Abs(v), floor, 1e-300)
		for i := range step {
			step[i] += s * vectors.At(i, c)
		}
	}
	return step
}

// Cases is the table that [Method] runs on: quadratics with p < d and p > d and with an active box, ridge
// regression with e^x, and one dimension.
func Cases() []Case {
	q := Quadratic(6, 3, 240, 200, 6)
	wide := Quadratic(3, 5, 200, 240, 22)
	lower, upper := make([]float64, 3), make([]float64, 3)
	for j, x := range q.X {
		lower[j], upper[j] = x-1, x+1
	}
	upper[0] = q.X[0] - 0.2
	lower[2] = q.X[2] + 0.1
	ridge := Ridge(ExpScalar, 150, 100, 5, 7)
	return []Case{
		q,
		wide,
		q.Box("quadratic d=6 p=3, active box", lower, upper),
		ridge,
		Scalar(),
	}
}

func name(kind string, d, p int) string { return fmt.Sprintf("%s d=%d p=%d", kind, d, p) }
