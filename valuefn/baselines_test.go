package valuefn

import (
	"context"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/stochastic"
)

// residuals is an inner problem that BSG-1 is right for, one residual in one dimension, with p ≠ d: z = ⟨b, x⟩.
func residuals() bileveltest.Case {
	b := []float64{1, -2, .5}
	g := &bilevel.Func{InnerDim: 1, OuterDim: 3,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 { r := z[0] - dot3(b, x); return r * r / 2 },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0] = z[0] - dot3(b, x)
			for j, v := range b {
				dx[j] = -v * dz[0]
			}
		},
	}
	f := &bilevel.Func{InnerDim: 1, OuterDim: 3,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 { return (z[0]-2)*(z[0]-2)/2 + dot3(x, x)/2 },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0] = z[0] - 2
			copy(dx, x)
		},
	}
	// x = 2b/(1 + ‖b‖²), where h = 2/(1 + ‖b‖²).
	s := 1 + dot3(b, b)
	return bileveltest.Case{
		Name: "one residual", Problem: &bilevel.Problem{Outer: f, Inner: g},
		Start: bilevel.Point{Z: []float64{1}}, // with residual zero the quotient says nothing
		X:     []float64{2 * b[0] / s, 2 * b[1] / s, 2 * b[2] / s}, Value: 2 / s,
		Solve: func(x []float64) bileveltest.Solution {
			z := dot3(b, x)
			grad := make([]float64, 3)
			for j := range grad {
				grad[j] = x[j] + (z-2)*b[j]
			}
			return bileveltest.Solution{Z: []float64{z}, V: []float64{2 - z}, Value: (z-2)*(z-2)/2 + dot3(x, x)/2, Grad: grad}
		},
	}
}

func dot3(a, b []float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func TestBaselinesConformance(t *testing.T) {
	cases := bileveltest.Cases()
	one := []bileveltest.Case{residuals(), cases[4]}
	for _, c := range []struct {
		name string
		m    bilevel.Method
		o    bileveltest.MethodOptions
	}{
		// It is right where residuals vanish.
		{"BSG1", BSG1{}, bileveltest.MethodOptions{Cases: one, Tol: 1e-6}},
		{"BSG1, explicit", BSG1{InnerSteps: 3, InnerStep: constant(.1), OuterStep: constant(.1)},
			bileveltest.MethodOptions{Cases: one, Steps: 500, Tol: 1e-6}},
		{"BSG1, batches", BSG1{Batch: 3}, bileveltest.MethodOptions{Cases: cases[4:], Tol: .5, Stochastic: true}},
		// Its barrier is a force of the order of σ, and the bias the inverse of it.
		{"BVFSM", BVFSM{Mu: .01, Theta: .01}, bileveltest.MethodOptions{Cases: cases[3:4], Tol: .05}},
		{"BVFSM, strong barrier", BVFSM{Mu: 1e-3, Theta: 1e-3, Sigma: 3, LowerBound: -.1},
			bileveltest.MethodOptions{Cases: []bileveltest.Case{residuals(), cases[3]}, Tol: .02}},
		{"BVFSM, explicit", BVFSM{Batch: 32, Value: constant(.2), InnerStep: constant(.1), OuterStep: decaying(2, .3),
			Mu:    .01,
			Theta: .01}, bileveltest.MethodOptions{Cases: cases[3:4], Tol: .2, Stochastic: true}},
	} {
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}

// The steps of both are what finite differences of their objectives say.
func TestBaselineStepsAreTheFormulas(t *testing.T) {
	p := logistic()
	z, y, x := fill(6, .3), fill(6, .3), fill(6, -1)
	z[1], x[2] = -1, .4
	copy(y, z)
	at := bilevel.Point{Z: append([]float64(nil), z...), X: append([]float64(nil), x...)}
	f := func(z, x []float64) float64 { return p.Outer.Value(z, x, bilevel.All(p.Outer)) }
	g := func(z, x []float64) float64 { return p.Inner.Value(z, x, bilevel.All(p.Inner)) }
	along := func(fn func(v []float64) float64, v []float64) []float64 { // central differences
		d := fill(len(v), 0)
		for i := range v {
			const h = 1e-5
			up, down := append([]float64(nil), v...), append([]float64(nil), v...)
			up[i] += h
			down[i] -= h
			d[i] = (fn(up) - fn(down)) / (2 * h)
		}
		return d
	}
	descend := func(v []float64, step float64, d []float64) {
		for i := range v {
			v[i] -= step * d[i]
		}
	}
	square := func(v []float64) float64 {
		s := 0.0
		for _, a := range v {
			s += a * a
		}
		return s
	}
	check := func(m bilevel.Method, z, x []float64) {
		t.Helper()
		run := must(m.Start(p, at, 1))
		for range 2 {
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if got := run.Point(); distance(got.Z, z) > 1e-8 || distance(got.X, x) > 1e-8 {
			t.Errorf("%T: z = %v, x = %v, want %v, %v", m, got.Z, got.X, z, x)
		}
	}

	m := BVFSM{InnerSteps: 2, Value: constant(.3), InnerStep: constant(.2), OuterStep: decaying(.4, 1), Mu: .2, Theta: .3,
		Sigma: .7, LowerBound: -.5}
	for k := range 2 {
		r := 1 / math.Log(1.1*float64(k+2))
		b := func(x []float64) float64 { return g(y, x) + .5 + .2*r*square(y) + 1e-4 }
		for range 2 {
			descend(y, .3, along(func(v []float64) float64 { return g(v, x) + .2*r*square(v) }, y))
		}
		for range 2 {
			held := g(z, x)
			descend(z, .2, along(func(v []float64) float64 {
				return f(v, x) + .3*r*square(v) - .7*r*math.Log(held+b(x)-g(v, x))
			}, z))
		}
		held := g(z, x)
		descend(x, .4/float64(k+1), along(func(v []float64) float64 { return f(z, v) - .7*r*math.Log(held+b(v)-g(z, v)) }, x))
	}
	check(m, z, x)

	z, x = append([]float64(nil), at.Z...), append([]float64(nil), at.X...)
	for range 2 {
		for range 2 {
			descend(z, .3, along(func(v []float64) float64 { return g(v, x) }, z))
		}
		gz, fz := along(func(v []float64) float64 { return g(v, x) }, z),
			along(func(v []float64) float64 { return f(v, x) }, z)
		dx := along(func(v []float64) float64 { return f(z, v) }, x)
		ratio := 0.0
		for i := range gz {
			ratio += gz[i] * fz[i]
		}
		ratio /= square(gz) + .1
		descend(dx, ratio, along(func(v []float64) float64 { return g(z, v) }, x))
		descend(x, .2, dx)
	}
	check(BSG1{InnerSteps: 2, InnerStep: constant(.3), OuterStep: constant(.2), Epsilon: .1}, z, x)
}

func TestBaselinesEveryKnobMatters(t *testing.T) {
	p := logistic()
	last := func(m bilevel.Method) []float64 {
		at := minimize(t, m, p, bilevel.Settings{MaxSteps: 40, Seed: 1}).Last
		return append(at.X, at.Z...)
	}
	differs := func(knob string, a, b bilevel.Method) {
		t.Helper()
		if x, y := last(a), last(b); distance(x, y) == 0 {
			t.Errorf("%T: %s changes nothing", a, knob)
		}
	}
	one := BSG1{Batch: 8, InnerSteps: 4, InnerStep: constant(.2), OuterStep: constant(.01), Epsilon: .1}
	for knob, change := range map[string]func(m *BSG1){
		"Batch":            func(m *BSG1) { m.Batch = 9 },
		"InnerSteps":       func(m *BSG1) { m.InnerSteps = 5 },
		"InnerStep":        func(m *BSG1) { m.InnerStep.Size = .1 },
		"Inner, automatic": func(m *BSG1) { m.InnerStep = stochastic.Rate{} },
		"OuterStep":        func(m *BSG1) { m.OuterStep.Decay = .1 },
		"Outer, automatic": func(m *BSG1) { m.OuterStep = stochastic.Rate{} },
		"Epsilon":          func(m *BSG1) { m.Epsilon = .2 },
		"Shuffle":          func(m *BSG1) { m.Shuffle = true },
	} {
		m := one
		change(&m)
		differs(knob, m, one)
	}
	barrier := BVFSM{Batch: 8, InnerSteps: 4, Value: constant(.2), InnerStep: constant(.1), OuterStep: constant(.01)}
	for knob, change := range map[string]func(m *BVFSM){
		"Batch":            func(m *BVFSM) { m.Batch = 9 },
		"InnerSteps":       func(m *BVFSM) { m.InnerSteps = 5 },
		"Value":            func(m *BVFSM) { m.Value.Size = .1 },
		"Value, automatic": func(m *BVFSM) { m.Value = stochastic.Rate{} },
		"InnerStep":        func(m *BVFSM) { m.InnerStep.Size = .2 },
		"Inner, automatic": func(m *BVFSM) { m.InnerStep = stochastic.Rate{} },
		"OuterStep":        func(m *BVFSM) { m.OuterStep.Size = .02 },
		"Outer, automatic": func(m *BVFSM) { m.OuterStep = stochastic.Rate{} },
		"Mu":               func(m *BVFSM) { m.Mu = .2 },
		"Theta":            func(m *BVFSM) { m.Theta = .2 },
		"Sigma":            func(m *BVFSM) { m.Sigma = .2 },
		"Horizon":          func(m *BVFSM) { m.Horizon = 100 },
		"LowerBound":       func(m *BVFSM) { m.LowerBound = -1 },
		"Shuffle":          func(m *BVFSM) { m.Shuffle = true },
	} {
		m := barrier
		change(&m)
		differs(knob, m, barrier)
	}
}
