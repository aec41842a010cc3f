package hypergrad_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/toy"
)

func TestPenaltyConformance(t *testing.T) {
	// What is left is the bias of finite γ.
	bileveltest.Method(t, hypergrad.Penalty{}, bileveltest.MethodOptions{Steps: 1000, Tol: 1e-3})
	bileveltest.Method(t, hypergrad.Penalty{InnerSteps: 3, InnerStep: .05, OuterStep: .1, Epsilon: 1, Lambda: 1e-3},
		bileveltest.MethodOptions{Steps: 1000, Tol: .05, Cases: bileveltest.Cases()[:3]})
}

// The numbers that BOME's authors report of the method, with their parameters.
func TestPenaltyOnToys(t *testing.T) {
	final := func(p *bilevel.Problem, m hypergrad.Penalty, s bilevel.Settings) float64 {
		res, err := bilevel.Minimize(context.Background(), p, m, s)
		if err != nil {
			t.Fatal(err)
		}
		return p.Outer.Value(res.Last.Z, res.Last.X, bilevel.All(p.Outer))
	}
	coreset := hypergrad.Penalty{InnerStep: .05, OuterStep: .05, Lambda: .1, Gamma: .01, Epsilon: .01, Scale: .5}
	for _, at := range toy.CoresetStarts() {
		if f := final(toy.Coreset(), coreset, bilevel.Settings{MaxSteps: 5000, Start: at}); !(math.Abs(f-.255) <= 5e-4) {
			t.Errorf("coreset from %v: f = %.6g, want 0.255", at.Z, f)
		}
	}
	lls := hypergrad.Penalty{InnerSteps: 1, InnerStep: .5, OuterStep: .5, Lambda: .1, Gamma: .01, Epsilon: .1, Scale: .5}
	if f := final(toy.NoSingleton(), lls, bilevel.Settings{MaxSteps: 2000}); !(math.Abs(f-3.0e-7) <= .05e-7) {
		t.Errorf("no singleton: f = %.4g, want 3.0e-7", f)
	}
}

// Steps move along differences of Ψ, and tighten it by the published factors.
func TestPenaltyStepIsTheFormula(t *testing.T) {
	for _, c := range []bileveltest.Case{bileveltest.Quadratic(6, 3, 40, 30, 6),
		bileveltest.Ridge(bileveltest.ExpDiagonal, 30, 20, 4, 1)} {
		m := hypergrad.Penalty{InnerSteps: 2, InnerStep: .1, OuterStep: .2, Lambda: .3, Gamma: .7, Epsilon: 100,
			Multiplier: .4,
			Scale:      .25}
		start, err := c.Problem.StartPoint(c.Start)
		if err != nil {
			t.Fatal(err)
		}
		z, x := start.Z, start.X
		for i := range z {
			z[i] = float64(i) / 3
		}
		run, err := m.Start(c.Problem, bilevel.Point{Z: z, X: x}, 0)
		if err != nil {
			t.Fatal(err)
		}
		nu := slices.Repeat([]float64{m.Multiplier}, len(z))
		g, f := c.Problem.Inner, c.Problem.Outer
		residual := func(z, x []float64) []float64 {
			dz := make([]float64, len(z))
			g.Grad(dz, nil, z, x, bilevel.All(g))
			return dz
		}
		psi := func(z, x []float64, lambda float64) float64 {
			dz := residual(z, x)
			return f.Value(z, x, bilevel.All(f)) + m.Scale*floats.Dot(nu, dz) + lambda*g.Value(z, x, bilevel.All(g)) +
				m.Gamma/2*floats.Dot(dz, dz)
		}
		central := &fd.Settings{Formula: fd.Central}
		for k := range 3 {
			for range m.InnerSteps {
				floats.AddScaled(z, -m.InnerStep, fd.Gradient(nil, func(v []float64) float64 { return psi(v, x, m.Lambda) }, z,
					central))
			}
			at := residual(z, x)
			floats.AddScaled(x, -m.OuterStep, fd.Gradient(nil, func(v []float64) float64 { return psi(z, v, 0) }, x, central))
			c.Problem.ProjectX(x)
			m.Gamma *= 1.1
			m.Lambda *= .9
			m.InnerStep *= .9
			m.OuterStep *= .9
			floats.AddScaled(nu, m.Gamma, at)
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got := run.Point(); floats.Distance(got.Z, z, 2) > 1e-7 || floats.Distance(got.X, x, 2) > 1e-7 {
				t.Fatalf("%s, step %d: z = %v, x = %v, want %v, %v", c.Name, k+1, got.Z, got.X, z, x)
			}
		}
	}
}

func TestPenaltyCounts(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 40, 30, 6)
	res, err := bilevel.Minimize(context.Background(), c.Problem, hypergrad.Penalty{InnerSteps: 4, InnerStep: .1,
		OuterStep: .1},
		bilevel.Settings{MaxSteps: 5})
	if err != nil {
		t.Fatal(err)
	}
	if want := (bilevel.Counts{GradF: 5 * 5 * 30, GradG: 5 * 5 * 40, HessG: 5 * 4 * 40,
		CrossG: 5 * 40}); res.Counts != want {
		t.Errorf("counts %+v, want %+v", res.Counts, want)
	}
}

func TestPenaltyKnobs(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 40, 30, 6)
	last := func(m hypergrad.Penalty) []float64 {
		res, err := bilevel.Minimize(context.Background(), c.Problem, m, bilevel.Settings{MaxSteps: 100})
		if err != nil {
			t.Fatal(err)
		}
		return append(res.Last.X, res.Last.Z...)
	}
	base := hypergrad.Penalty{InnerStep: .02, OuterStep: .02}
	for knob, change := range map[string]func(m *hypergrad.Penalty){
		"InnerSteps": func(m *hypergrad.Penalty) { m.InnerSteps = 9 },
		"InnerStep":  func(m *hypergrad.Penalty) { m.InnerStep = 0 },
		"OuterStep":  func(m *hypergrad.Penalty) { m.OuterStep = 0 },
		"Lambda":     func(m *hypergrad.Penalty) { m.Lambda = .2 },
		"Gamma":      func(m *hypergrad.Penalty) { m.Gamma = 9 },
		"Epsilon":    func(m *hypergrad.Penalty) { m.Epsilon = 3 },
		"Multiplier": func(m *hypergrad.Penalty) { m.Multiplier = 1 },
	} {
		m := base
		change(&m)
		if slices.Equal(last(m), last(base)) {
			t.Errorf("%s changes nothing", knob)
		}
	}
	scaled := base
	scaled.Scale = .5
	if slices.Equal(last(scaled), last(base)) {
		t.Error("Scale changes nothing")
	}
	for _, m := range []hypergrad.Penalty{{InnerSteps: -1}, {InnerStep: -1}, {OuterStep: math.NaN()}, {Lambda: -1},
		{Gamma: math.Inf(1)}, {Epsilon: -1}, {Multiplier: -1}, {Scale: -1}} {
		if _, err := m.Start(c.Problem, bilevel.Point{}, 0); err == nil || !strings.Contains(err.Error(), "Penalty with") {
			t.Errorf("%+v: error %v", m, err)
		}
	}
	if _, err := (hypergrad.Penalty{}).Start(bileveltest.Scalar().FixedPoint("", .1).Problem, bilevel.Point{},
		0); err == nil || !strings.Contains(err.Error(), "fixed point") {
		t.Errorf("on a fixed-point problem: %v", err)
	}
}

// A run that goes on from a checkpoint has the multipliers and penalties of the one that was saved.
func TestPenaltyResumes(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 40, 30, 6)
	whole, err := bilevel.Minimize(context.Background(), c.Problem, hypergrad.Penalty{}, bilevel.Settings{MaxSteps: 600})
	if err != nil {
		t.Fatal(err)
	}
	s := bilevel.Settings{Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true}
	var parts *bilevel.Result
	for s.MaxSteps = 100; s.MaxSteps <= 600; s.MaxSteps += 100 {
		if parts, err = bilevel.Minimize(context.Background(), c.Problem, hypergrad.Penalty{}, s); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(parts.Last.X, whole.Last.X) || !slices.Equal(parts.Last.Z, whole.Last.Z) ||
		parts.Counts != whole.Counts {
		t.Errorf("x = %v after being resumed, %v without", parts.Last.X, whole.Last.X)
	}
}

// tilted is o − c‖z‖²/2, for which small γ leave Ψ without a minimum.
type tilted struct {
	bilevel.Objective
	c float64
}

func (o tilted) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.Objective.Value(z, x, b) - o.c*floats.Dot(z, z)/2
}

func (o tilted) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.Objective.Grad(dz, dx, z, x, b)
	if dz != nil {
		floats.AddScaled(dz, -o.c, z)
	}
}

// z*(x) = (x + 1)/2, and h decreases with x in the box.
func TestPenaltySearchesGamma(t *testing.T) {
	c := bileveltest.Scalar()
	p := *c.Problem
	p.Outer = tilted{p.Outer, 1000}
	p.Lower, p.Upper = []float64{-1}, []float64{3}
	res, err := bilevel.Minimize(context.Background(), &p, hypergrad.Penalty{}, bilevel.Settings{MaxSteps: 3000})
	if err != nil {
		t.Fatal(err)
	}
	notes := 0
	for _, r := range res.Trace {
		notes += len(r.Notes)
	}
	if notes == 0 || math.Abs(res.Last.X[0]-3) > 1e-6 || math.Abs(res.Last.Z[0]-2) > .1 {
		t.Errorf("x = %v, z = %v after %d notes, want 3 and about 2", res.Last.X, res.Last.Z, notes)
	}
	_, err = bilevel.Minimize(context.Background(), &p, hypergrad.Penalty{Gamma: 10}, bilevel.Settings{MaxSteps: 3000})
	var e *bilevel.NonFiniteError
	if !errors.As(err, &e) {
		t.Errorf("with γ = 10: error %v, want a NonFiniteError", err)
	}
}
