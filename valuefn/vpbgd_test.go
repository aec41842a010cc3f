package valuefn

import (
	"context"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
)

func TestVPBGDConformance(t *testing.T) {
	cases := bileveltest.Cases()
	for _, c := range []struct {
		name string
		m    VPBGD
		o    bileveltest.MethodOptions
	}{
		{"zero value", VPBGD{}, bileveltest.MethodOptions{Steps: 4000, Tol: 5e-4, Horizon: 60}},
		{"explicit", VPBGD{Gamma: 100, Ramp: 200, InnerSteps: 20, Tol: 1e-4, InnerStep: constant(.2), OuterStep: constant(5)},
			bileveltest.MethodOptions{Steps: 4000, Tol: .01, Horizon: 60, Cases: cases[:1]}},
	} {
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}

// A step is the formula, whether γ is below or above 1.
func TestVPBGDStepIsTheFormula(t *testing.T) {
	p := logistic()
	all, allF := bilevel.All(p.Inner), bilevel.All(p.Outer)
	for _, last := range []float64{.5, 8} {
		u, w, x := fill(6, .3), fill(6, .3), fill(6, -1)
		m := VPBGD{Gamma: last, Ramp: 4, InnerSteps: 3, Tol: 1e-9, InnerStep: decaying(.5, .4), OuterStep: decaying(.2, .7)}
		run, err := m.Start(p, bilevel.Point{Z: w, X: x}, 1)
		if err != nil {
			t.Fatal(err)
		}
		grad := func(o bilevel.Objective, z []float64, b bilevel.Batch) (dz, dx []float64) {
			dz, dx = fill(6, 0), fill(6, 0)
			o.Grad(dz, dx, z, x, b)
			return dz, dx
		}
		for k := 1; k <= 6; k++ {
			gamma := last * min(1, float64(k)/4)
			beta, alpha := .5/math.Pow(float64(k), .4), .2/math.Pow(float64(k), .7)
			for range 3 {
				gw, _ := grad(p.Inner, w, all)
				for i := range w {
					w[i] -= beta * gw[i]
				}
			}
			gu, gxu := grad(p.Inner, u, all)
			_, gxw := grad(p.Inner, w, all)
			fu, fx := grad(p.Outer, u, allF)
			share := min(1/gamma, 1)
			for i := range u {
				u[i] -= beta * share * (fu[i] + gamma*gu[i])
				x[i] -= alpha * share * (fx[i] + gamma*(gxu[i]-gxw[i]))
			}
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if r := run.(*vpbgdRun); distance(r.x, x) > 1e-13 || distance(r.z, w) > 1e-13 || distance(r.y, u) > 1e-13 {
				t.Fatalf("γ to %g, step %d: x = %v, ω = %v, u = %v; want %v, %v, %v", last, k, r.x, r.z, r.y, x, w, u)
			}
		}
	}
}

// With x held the inner solves reach their tolerance, and stop at it.
func TestVPBGDSolvesToTolerance(t *testing.T) {
	p := *logistic()
	p.Lower, p.Upper = fill(6, -2), fill(6, -2)
	for _, tol := range []float64{1e-3, 1e-8} {
		r := follow(t, VPBGD{Tol: tol, InnerStep: constant(1), OuterStep: constant(1), Gamma: 10}, &p, bilevel.Point{},
			200).(*vpbgdRun)
		dz := fill(6, 0)
		p.Inner.Grad(dz, nil, r.z, r.x, bilevel.All(p.Inner))
		if n := norm(dz); !(n <= tol && n > tol/1000) {
			t.Errorf("‖∇z g(ω)‖ = %g, tolerance %g", n, tol)
		}
	}
	// The automatic one is relative to what u is held back by.
	r := follow(t, VPBGD{Gamma: 10, Ramp: 1, InnerSteps: 1}, &p, bilevel.Point{}, 3000).(*vpbgdRun)
	dz, df := fill(6, 0), fill(6, 0)
	p.Inner.Grad(dz, nil, r.z, r.x, bilevel.All(p.Inner))
	p.Outer.Grad(df, nil, r.y, r.x, bilevel.All(p.Outer))
	if n, most := norm(dz), .0101*norm(df)/10; !(n <= most && n > most/10) {
		t.Errorf("‖∇z g(ω)‖ = %g, want at most %g and not much less", n, most)
	}
}

// With a constant penalty the fixed point is off by O(1/γ).
func TestVPBGDBias(t *testing.T) {
	c := bileveltest.Quadratic(2, 3, 30, 36, 1)
	var errs []float64
	for _, gamma := range []float64{10, 30, 90} {
		r := follow(t, VPBGD{Gamma: gamma, InnerSteps: 100, Tol: 1e-6 / gamma, InnerStep: constant(.5),
			OuterStep: constant(.3)},
			c.Problem, bilevel.Point{Z: c.Solve(c.X).Z, X: c.X}, int(150*gamma))
		errs = append(errs, distance(r.Point().X, c.X))
	}
	for i := range errs[1:] {
		slope := math.Log(errs[i+1]/errs[i]) / math.Log(3)
		t.Logf("‖x − x*‖ = %.3g, then %.3g: slope %.3f", errs[i], errs[i+1], slope)
		if !(math.Abs(slope+1) < .1) {
			t.Errorf("the error falls with slope %.3f, want −1 ± 0.1", slope)
		}
	}
}

func TestVPBGDCounts(t *testing.T) {
	p := logistic()
	m := VPBGD{Gamma: 10, InnerSteps: 3, Tol: 1e-12, InnerStep: constant(.1), OuterStep: constant(.01)}
	if got, want := minimize(t, m, p, bilevel.Settings{MaxSteps: 5}).Counts, (bilevel.Counts{GradF: 5 * 77,
		GradG: 5 * (3 + 2) * 131}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	count := &bilevel.Counts{}
	q := *p
	q.Inner, q.Outer = counting{p.Inner, &count.GradG, &count.ValueG}, counting{p.Outer, &count.GradF, &count.ValueF}
	if got := follow(t, VPBGD{}, &q, bilevel.Point{}, 1000).Counts(); got != *count {
		t.Errorf("counts %+v, the objectives saw %+v", got, *count)
	}
}

func TestVPBGDCheckpointsAreComplete(t *testing.T) {
	s := bilevel.Settings{Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true, MaxSteps: 301}
	var runs [2]bilevel.Run
	for i := range runs { // no steps are left for the second
		minimize(t, keeping{VPBGD{}, &runs[i]}, logistic(), s)
	}
	a, b := runs[0].(*vpbgdRun), runs[1].(*vpbgdRun)
	for _, r := range []*vpbgdRun{a, b} {
		forgetScratch(r.auto)
	}
	if a.t != 301 || !reflect.DeepEqual(a.auto, b.auto) || !slices.Equal(a.y, b.y) || a.kappa != b.kappa ||
		a.slope != b.slope || a.t != b.t || a.Counts() != b.Counts() {
		t.Errorf("saved after step %d\n%+v\nloaded\n%+v", a.t, a, b)
	}
}

func TestEveryKnobOfVPBGDMatters(t *testing.T) {
	p := logistic()
	last := func(m VPBGD) []float64 {
		at := minimize(t, m, p, bilevel.Settings{MaxSteps: 30}).Last
		return append(at.X, at.Z...)
	}
	base := VPBGD{Gamma: 10, Ramp: 20, InnerSteps: 5, Tol: 1e-3, InnerStep: constant(.5), OuterStep: constant(.5)}
	for _, c := range []struct {
		knob   string
		change func(m *VPBGD)
	}{
		{"Gamma", func(m *VPBGD) { m.Gamma = 11 }},
		{"Gamma, automatic", func(m *VPBGD) { m.Gamma = 0 }},
		{"Ramp", func(m *VPBGD) { m.Ramp = 10 }},
		{"InnerSteps", func(m *VPBGD) { m.InnerSteps = 2 }},
		{"Tol", func(m *VPBGD) { m.Tol = .1 }},
		{"Tol, automatic", func(m *VPBGD) { m.Tol = 0 }},
		{"Inner", func(m *VPBGD) { m.InnerStep = constant(.4) }},
		{"Inner, automatic", func(m *VPBGD) { m.InnerStep.Size = 0 }},
		{"Outer", func(m *VPBGD) { m.OuterStep = decaying(.5, .1) }},
		{"Outer, automatic", func(m *VPBGD) { m.OuterStep.Size = 0 }},
	} {
		m := base
		c.change(&m)
		if slices.Equal(last(m), last(base)) {
			t.Errorf("%s changes nothing", c.knob)
		}
	}
}

func TestWrongVPBGD(t *testing.T) {
	for _, c := range []struct {
		m    VPBGD
		want string
	}{
		{VPBGD{Gamma: -1}, "penalty γ"},
		{VPBGD{Ramp: -1}, "grows in"},
		{VPBGD{InnerSteps: -1}, "inner steps"},
		{VPBGD{Tol: math.NaN()}, "tolerance"},
		{VPBGD{InnerStep: constant(-1)}, "inner step size"},
		{VPBGD{OuterStep: constant(math.Inf(1))}, "outer step size"},
	} {
		if _, err := c.m.Start(logistic(), bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one about %q", c.m, err, c.want)
		}
	}
	p := bileveltest.Scalar().FixedPoint("", .1).Problem
	if _, err := (VPBGD{}).Start(p, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), "fixed point") {
		t.Errorf("on a fixed-point problem: %v", err)
	}
}
