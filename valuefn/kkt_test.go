package valuefn

import (
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/internal/toy"
)

// g = ½(a z − x)², f = ½(z − 3)² + ½x²: q = g and ẑ = x/a, so that with r = a z − x
//
//	∇q = (a r, −r),   ∇f = (z − 3, x),   λ = max(0, −(a(z − 3) − x)/((a² + 1) r)).
func TestKKTInClosedForm(t *testing.T) {
	const a = 1.5
	p := &bilevel.Problem{
		Inner: &bilevel.Func{InnerDim: 1, OuterDim: 1,
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (a*z[0] - x[0]) * (a*z[0] - x[0]) / 2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { r := a*z[0] - x[0]; dz[0], dx[0] = a*r, -r },
		},
		Outer: &bilevel.Func{InnerDim: 1, OuterDim: 1,
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return (z[0]-3)*(z[0]-3)/2 + x[0]*x[0]/2 },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = z[0]-3, x[0] },
		},
	}
	positive := 0
	for _, c := range []struct{ z, x float64 }{{0, 1}, {1, 1}, {2, 1}, {-1, -4}, {5, 2}} {
		k, err := KKTAt(p, bilevel.Point{Z: []float64{c.z}, X: []float64{c.x}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		r := a*c.z - c.x
		lambda := math.Max(0, -(a*(c.z-3)-c.x)/((a*a+1)*r))
		if lambda > 0 {
			positive++
		}
		slope := math.Pow(c.z-3+lambda*a*r, 2) + math.Pow(c.x-lambda*r, 2)
		for name, v := range map[string][2]float64{
			"λ": {k.Lambda, lambda}, "slope": {k.Slope, slope}, "gap": {k.Gap, r * r / 2}, "K": {k.Loss, slope + r*r/2},
			"ẑ": {k.Z[0], c.x / a},
		} {
			if math.Abs(v[0]-v[1]) > 1e-7*(1+math.Abs(v[1])) {
				t.Errorf("at z = %g, x = %g: %s = %.10g, want %.10g", c.z, c.x, name, v[0], v[1])
			}
		}
	}
	if positive == 0 || positive == 5 {
		t.Errorf("λ > 0 at %d of 5 points", positive)
	}
	// At the answer, where z is a little beyond z*(x), the loss is small: z = x/a minimises (z − 3)² + a²z².
	x := 3 * a / (1 + a*a)
	k, err := KKTAt(p, bilevel.Point{Z: []float64{x/a + 1e-4}, X: []float64{x}}, 0)
	if err != nil || !(k.Loss < 1e-6) {
		t.Errorf("K = %.3g at the answer, %v", k.Loss, err)
	}
}

// With p ≠ d and many steps ẑ is the inner solution, whatever the scale of g.
func TestKKTApproach(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 40, 30, 6)
	at := bilevel.Point{Z: fill(6, 2), X: fill(3, -1)}
	want := c.Solve(at.X).Z
	for _, s := range []float64{1, 1e6, 1e-6} {
		seen := &bilevel.Counts{}
		p := &bilevel.Problem{Outer: counting{c.Problem.Outer, &seen.GradF, &seen.ValueF},
			Inner: counting{scaled{c.Problem.Inner, s}, &seen.GradG, &seen.ValueG}}
		k, err := KKTAt(p, at, 0)
		if err != nil {
			t.Fatal(err)
		}
		if d := distance(k.Z, want); d > 1e-6 {
			t.Errorf("g·%g: ẑ is off by %.3g", s, d)
		}
		if k.Counts != *seen {
			t.Errorf("counts %+v, the objectives saw %+v", k.Counts, *seen)
		}
	}
	few, err := KKTAt(c.Problem, at, 2)
	if err != nil || distance(few.Z, want) < 1e-3 {
		t.Errorf("two steps lead to within %.3g of z*, %v", distance(few.Z, want), err)
	}
}

// Of several minimisers ẑ is the one that attracts z, and where there is none that is an error or far away.
func TestKKTOfToys(t *testing.T) {
	k, err := KKTAt(toy.NoSingleton(), bilevel.Point{Z: []float64{3, 7}, X: []float64{2}}, 0)
	if err != nil || math.Abs(k.Z[0]-2) > 1e-7 || k.Z[1] != 7 {
		t.Errorf("ẑ = %v, %v, want (2, 7)", k.Z, err)
	}
	if _, err := KKTAt(toy.Coreset(), bilevel.Point{}, -1); err == nil ||
		!strings.Contains(err.Error(), "-1 inner steps") {
		t.Errorf("-1 steps: %v", err)
	}
	if _, err := KKTAt(bileveltest.Scalar().FixedPoint("", .1).Problem, bilevel.Point{}, 0); err == nil ||
		!strings.Contains(err.Error(), "fixed point") {
		t.Errorf("on a fixed-point problem: %v", err)
	}
	if _, err := KKTAt(toy.Coreset(), bilevel.Point{Z: fill(3, 0)}, 0); err == nil {
		t.Error("a point of the wrong length is accepted")
	}
}
