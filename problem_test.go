package bilevel_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
)

var inf = math.Inf(1)

func level(d, p, n int) *bilevel.Func {
	return &bilevel.Func{
		InnerDim: d, OuterDim: p, Terms: n,
		Eval:     func(z, x []float64, b bilevel.Batch) float64 { return 0 },
		Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) { clear(dz); clear(dx) },
		HessVec:  func(hv, z, x, v []float64, b bilevel.Batch) { clear(hv) },
		CrossVec: func(cv, z, x, v []float64, b bilevel.Batch) { clear(cv) },
	}
}

// empty has no samples.
type empty struct{ bilevel.SecondOrder }

func (empty) Samples() int { return 0 }

func wantError(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; want one with %q", part)
	} else if !strings.Contains(err.Error(), part) {
		t.Errorf("error %q; want %q in it", err, part)
	}
}

func TestProblemCheck(t *testing.T) {
	f, g := level(3, 2, 0), level(3, 2, 5)
	phi := bilevel.GradientMap{G: g, Eta: 1}
	for _, p := range []*bilevel.Problem{
		{Outer: f, Inner: g},
		{Outer: f, Fixed: phi},
		{Outer: f, Inner: g, Lower: []float64{0, math.Inf(-1)}, Upper: []float64{0, inf}},
		{Outer: f, Inner: g, Project: func([]float64) {}},
	} {
		if err := p.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		p    *bilevel.Problem
		want string
	}{
		{nil, "no outer objective"},
		{&bilevel.Problem{Inner: g}, "no outer objective"},
		{&bilevel.Problem{Outer: f}, "exactly one of Inner and Fixed"},
		{&bilevel.Problem{Outer: f, Inner: g, Fixed: phi}, "exactly one of Inner and Fixed"},
		{&bilevel.Problem{Outer: level(4, 2, 1), Inner: g}, "d = 4, p = 2 and the inner one d = 3, p = 2"},
		{&bilevel.Problem{Outer: level(3, 1, 1), Fixed: phi}, "p = 1 and the inner one d = 3, p = 2"},
		{&bilevel.Problem{Outer: level(3, 0, 1), Inner: level(3, 0, 1)}, "nothing to optimise"},
		{&bilevel.Problem{Outer: f, Inner: empty{g}}, "without samples (inner 0"},
		{&bilevel.Problem{Outer: empty{f}, Inner: g}, "without samples"},
		{&bilevel.Problem{Outer: f, Inner: g, Lower: []float64{1, 2}, Project: func([]float64) {}}, "not both"},
		{&bilevel.Problem{Outer: f, Inner: g, Upper: []float64{1}}, "1 bounds for 2 outer variables"},
		{&bilevel.Problem{Outer: f, Inner: g, Lower: []float64{0, 2}, Upper: []float64{1, 1}}, "x[1] are [2, 1]"},
		{&bilevel.Problem{Outer: f, Inner: g, Lower: []float64{0, math.NaN()}}, "x[1]"},
		{&bilevel.Problem{Outer: f, Inner: g, Lower: []float64{inf, 0}}, "x[0]"},
		{&bilevel.Problem{Outer: f, Inner: g, Upper: []float64{-inf, 0}}, "x[0]"},
	} {
		wantError(t, c.p.Check(), c.want)
	}
}

func TestProjections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.IntRange(1, 5).Draw(t, "p")
		vec := func(name string) []float64 {
			return rapid.SliceOfN(rapid.Float64Range(-3, 3), p, p).Draw(t, name)
		}
		prob := &bilevel.Problem{Outer: level(1, p, 1), Inner: level(1, p, 1)}
		if rapid.Bool().Draw(t, "has lower") {
			prob.Lower = vec("lower")
		}
		if rapid.Bool().Draw(t, "has upper") {
			prob.Upper = vec("upper")
			for j := range prob.Upper {
				if prob.Lower != nil {
					prob.Upper[j] = max(prob.Upper[j], prob.Lower[j])
				}
			}
		}
		if err := prob.Check(); err != nil {
			t.Fatal(err)
		}
		if prob.Bounded() != (prob.Lower != nil || prob.Upper != nil) {
			t.Fatal("Bounded")
		}
		x, grad := vec("x"), vec("grad")
		y := append([]float64(nil), x...)
		prob.ProjectX(y)
		for j := range y {
			lo, hi := -inf, inf
			if prob.Lower != nil {
				lo = prob.Lower[j]
			}
			if prob.Upper != nil {
				hi = prob.Upper[j]
			}
			if want := min(max(x[j], lo), hi); y[j] != want {
				t.Fatalf("x[%d] = %v becomes %v in [%v, %v]", j, x[j], y[j], lo, hi)
			}
		}
		// ProjectedGrad is x − P(x − grad), also in place.
		want := make([]float64, p)
		for j := range want {
			want[j] = y[j] - grad[j]
		}
		prob.ProjectX(want)
		got := make([]float64, p)
		prob.ProjectedGrad(got, y, grad)
		prob.ProjectedGrad(grad, y, grad)
		for j := range want {
			if got[j] != y[j]-want[j] || grad[j] != got[j] {
				t.Fatalf("projected gradient %v, in place %v; want x − %v", got, grad, want)
			}
		}
	})
	ball := &bilevel.Problem{Outer: level(1, 2, 1), Inner: level(1, 2, 1), Project: func(x []float64) {
		if r := math.Hypot(x[0], x[1]); r > 1 {
			x[0], x[1] = x[0]/r, x[1]/r
		}
	}}
	x := []float64{3, 4}
	ball.ProjectX(x)
	if !ball.Bounded() || math.Abs(x[0]-0.6) > 1e-15 || math.Abs(x[1]-0.8) > 1e-15 {
		t.Errorf("projected to %v", x)
	}
	grad := []float64{-3, -4} // points out of the ball: stationary
	ball.ProjectedGrad(grad, x, grad)
	if math.Hypot(grad[0], grad[1]) > 1e-15 {
		t.Errorf("projected gradient %v at a stationary point", grad)
	}
}

func TestStartPoint(t *testing.T) {
	p := &bilevel.Problem{Outer: level(3, 2, 1), Inner: level(3, 2, 1), Lower: []float64{1, -1}}
	at, err := p.StartPoint(bilevel.Point{})
	if err != nil || len(at.Z) != 3 || len(at.V) != 3 || len(at.X) != 2 || at.X[0] != 1 || at.X[1] != 0 {
		t.Errorf("%v, %v", at, err)
	}
	given := bilevel.Point{Z: []float64{1, 2, 3}, X: []float64{0, -5}, V: []float64{4, 5, 6}}
	at, err = p.StartPoint(given)
	if err != nil || at.Z[2] != 3 || at.V[0] != 4 || at.X[0] != 1 || at.X[1] != -1 || given.X[0] != 0 {
		t.Errorf("%v, %v; given %v", at, err, given)
	}
	at.Z[0], at.V[0] = 9, 9
	if given.Z[0] != 1 || given.V[0] != 4 {
		t.Error("the start point is not a copy")
	}
	for _, c := range []struct {
		at   bilevel.Point
		want string
	}{
		{bilevel.Point{Z: make([]float64, 2)}, "Z has length 2, the problem 3"},
		{bilevel.Point{X: make([]float64, 3)}, "X has length 3, the problem 2"},
		{bilevel.Point{V: make([]float64, 2)}, "V has length 2, the problem 3"},
		{bilevel.Point{X: []float64{0, math.NaN()}}, "X[1] is NaN"},
		{bilevel.Point{Z: []float64{0, 0, inf}}, "Z[2] is +Inf"},
	} {
		_, err := p.StartPoint(c.at)
		wantError(t, err, c.want)
	}
}

func TestFunc(t *testing.T) {
	c := bileveltest.Scalar()
	bileveltest.Objective(t, c.Problem.Inner, bileveltest.ObjectiveOptions{NoAllocations: true})

	full := level(2, 1, 0)
	if d, p := full.Dims(); d != 2 || p != 1 || full.Samples() != 1 {
		t.Error("dimensions of a Func")
	}
	if b := bilevel.All(level(2, 1, 7)); b.Len() != 7 || b.Lo != 0 {
		t.Errorf("All = %v", b)
	}
	if err := bilevel.NeedFirstOrder(full); err != nil {
		t.Error(err)
	}
	if s, err := bilevel.NeedSecondOrder(full); err != nil || s == nil {
		t.Error(err)
	}
	for _, c := range []struct {
		f      bilevel.Objective
		first  string // error of NeedFirstOrder
		second string
	}{
		{nil, "nil", "nil"},
		{&bilevel.Func{}, "Eval and Gradient", "Eval and Gradient"},
		{&bilevel.Func{Eval: full.Eval}, "lacks Gradient", "lacks Gradient"},
		{&bilevel.Func{Eval: full.Eval, Gradient: full.Gradient}, "", "HessVec and CrossVec"},
		{&bilevel.Func{Eval: full.Eval, Gradient: full.Gradient, HessVec: full.HessVec}, "", "lacks CrossVec"},
		{struct{ bilevel.Objective }{full}, "", "no Products method"},
	} {
		err := bilevel.NeedFirstOrder(c.f)
		if c.first != "" {
			wantError(t, err, c.first)
		} else if err != nil {
			t.Error(err)
		}
		_, err = bilevel.NeedSecondOrder(c.f)
		wantError(t, err, c.second)
	}
}

// valued counts calls of its one-pass oracle.
type valued struct {
	bilevel.Objective
	calls int
}

func (v *valued) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	v.calls++
	v.Grad(dz, dx, z, x, b)
	return v.Value(z, x, b)
}

func TestValueGrad(t *testing.T) {
	f := bileveltest.Quadratic(4, 2, 50, 50, 3).Problem.Outer
	v := &valued{Objective: f}
	z, x := []float64{1, -1, 2, 0}, []float64{0.5, -2}
	dz, dx := make([]float64, 4), make([]float64, 2)
	ez, ex := make([]float64, 4), make([]float64, 2)
	a := bilevel.ValueGrad(f, dz, dx, z, x, bilevel.All(f))
	b := bilevel.ValueGrad(v, ez, ex, z, x, bilevel.All(f))
	if a != b || dz[1] != ez[1] || dx[1] != ex[1] || dz[1] == 0 || v.calls != 1 || a != f.Value(z, x, bilevel.All(f)) {
		t.Errorf("%v %v %v, %v %v %v, %d calls", a, dz, dx, b, ez, ex, v.calls)
	}
}

func TestGradientMap(t *testing.T) {
	for _, c := range append(bileveltest.Cases(), bileveltest.Ridge(bileveltest.ExpDiagonal, 20, 20, 4, 1)) {
		m := bilevel.GradientMap{G: c.Problem.Inner.(bilevel.SecondOrder), Eta: 0.3}
		t.Run(c.Name, func(t *testing.T) { bileveltest.FixedPoint(t, m, bileveltest.ObjectiveOptions{}) })
		// z* is the fixed point.
		s := c.Solve(c.X)
		dst := make([]float64, len(s.Z))
		m.Map(dst, s.Z, c.X, bilevel.Batch{Lo: 0, Hi: m.Samples()})
		for i := range dst {
			if math.Abs(dst[i]-s.Z[i]) > 1e-12*(1+math.Abs(s.Z[i])) {
				t.Errorf("%s: Φ(z*) = %v, z* = %v", c.Name, dst, s.Z)
			}
		}
	}
}
