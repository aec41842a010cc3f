package hypergrad

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/inner"
)

// itdModes are all ways to differentiate t steps exactly.
func itdModes(dyn inner.Dynamics, t int) map[string]ITD {
	return map[string]ITD{
		"all iterates":           {Dynamics: dyn, Steps: t},
		"checkpoints":            {Dynamics: dyn, Steps: t, Mode: Checkpoints},
		"forward":                {Dynamics: dyn, Steps: t, Mode: Forward},
		"truncated at t":         {Dynamics: dyn, Steps: t, Truncate: t},
		"truncated beyond t":     {Dynamics: dyn, Steps: t, Truncate: t + 3},
		"truncated, checkpoints": {Dynamics: dyn, Steps: t, Truncate: t, Mode: Checkpoints},
	}
}

// itdCases are problems with p ≠ d, minimisations and fixed points.
func itdCases() []bileveltest.Case {
	ridge := bileveltest.Ridge(bileveltest.ExpScalar, 60, 50, 5, 7)
	return []bileveltest.Case{
		bileveltest.Quadratic(6, 3, 240, 200, 6),
		bileveltest.Quadratic(3, 5, 200, 240, 22),
		ridge,
		bileveltest.Equilibrium(5, 3, 1),
		bileveltest.Equilibrium(3, 4, 2),
		ridge.FixedPoint("ridge as a fixed point", 0.3),
	}
}

// dynamicsOf are the inner solvers of p, with their automatic or default settings.
func dynamicsOf(p *bilevel.Problem) map[string]inner.Dynamics {
	if p.Fixed != nil {
		return map[string]inner.Dynamics{"iteration": inner.Iteration{}, "default": nil}
	}
	return map[string]inner.Dynamics{
		"default":          nil,
		"gradient descent": inner.GradientDescent{Step: 0.4},
		"heavy ball":       inner.HeavyBall{Momentum: 0.5},
		"Nesterov":         inner.Nesterov{Momentum: 0.5},
	}
}

// itdAt is one hypergradient from z = 0.1, 0.2, ….
func itdAt(t *testing.T, m ITD, p *bilevel.Problem, x []float64) (grad []float64, at bilevel.Point, rep Report, counts bilevel.Counts) {
	t.Helper()
	h, err := m.Start(p, &counts)
	if err != nil {
		t.Fatal(err)
	}
	d, n := p.Dims()
	at = bilevel.Point{Z: make([]float64, d), X: append([]float64(nil), x...)}
	for i := range at.Z {
		at.Z[i] = 0.1 * float64(i+1)
	}
	grad = make([]float64, n)
	rep, err = h.At(grad, at, Effort{})
	if err != nil {
		t.Fatal(err)
	}
	return grad, at, rep, counts
}

// beside is a point beside the minimiser of c.
func beside(c bileveltest.Case) []float64 {
	x := append([]float64(nil), c.X...)
	for j := range x {
		x[j] += 0.3 - 0.1*float64(j)
	}
	return x
}

// With many steps, ITD gives the hypergradient, whatever the dynamics and the mode.
func TestITDConverges(t *testing.T) {
	for _, c := range itdCases() {
		x := beside(c)
		want := c.Solve(x)
		for name, dyn := range dynamicsOf(c.Problem) {
			for mode, m := range itdModes(dyn, 1000) {
				t.Run(fmt.Sprintf("%s/%s/%s", c.Name, name, mode), func(t *testing.T) {
					grad, at, rep, _ := itdAt(t, m, c.Problem, x)
					if e := floats.Distance(grad, want.Grad, 2) / floats.Norm(want.Grad, 2); !(e <= 1e-8) {
						t.Errorf("∇h = %v, want %v: error %.2g", grad, want.Grad, e)
					}
					if !floats.EqualApprox(at.Z, want.Z, 1e-8) || math.Abs(rep.Value-want.Value) > 1e-8*(1+math.Abs(want.Value)) {
						t.Errorf("z_t = %v, h = %v, want %v, %v", at.Z, rep.Value, want.Z, want.Value)
					}
					if rep.Inner.GradNorm > 1e-8 || !rep.Inner.Converged || rep.Inner.Iterations != 1000 {
						t.Errorf("report of the inner problem: %+v", rep.Inner)
					}
				})
			}
		}
	}
}

// At finite t all modes give the same numbers.
func TestITDModesAgree(t *testing.T) {
	for _, c := range itdCases() {
		x := beside(c)
		for name, dyn := range dynamicsOf(c.Problem) {
			for _, steps := range []int{1, 2, 3, 10, 17} {
				want, at, rep, _ := itdAt(t, ITD{Dynamics: dyn, Steps: steps}, c.Problem, x)
				for mode, m := range itdModes(dyn, steps) {
					got, at2, rep2, _ := itdAt(t, m, c.Problem, x)
					if e := floats.Distance(got, want, 2) / floats.Norm(want, 2); !(e <= 1e-12) {
						t.Errorf("%s, %s, %d steps, %s: ∇h = %v, all iterates gave %v", c.Name, name, steps, mode, got, want)
					}
					if !floats.Equal(at.Z, at2.Z) || rep.Value != rep2.Value {
						t.Errorf("%s, %s, %d steps, %s: z_t = %v, all iterates gave %v", c.Name, name, steps, mode, at2.Z, at.Z)
					}
				}
			}
		}
	}
}
