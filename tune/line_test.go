package tune

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
)

// One strength ends where h is lowest near the best point of the grid, after few evaluations: where h is smooth, and at
// the kinks of an ℓ1 norm.
func TestOneStrength(t *testing.T) {
	embedded, err := dataset.Embedded("breast-cancer")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	x, y := rows.NewDense(120, 200), make([]float64, 120)
	for i := range y {
		for j := range x.Row(i) {
			x.Row(i)[j] = rng.NormFloat64()
		}
		y[i] = x.Row(i)[0] - x.Row(i)[1] + x.Row(i)[2]/2 + rng.NormFloat64()
	}
	numbers := &dataset.Set{X: x, Y: y, Schema: &dataset.Schema{Width: 200}}
	for _, c := range []struct {
		name string
		set  *dataset.Set
		reg  Reg
	}{{"lasso", numbers, L1}, {"logistic", embedded, L1}, {"logistic", embedded, Shared}} {
		t.Run(c.name+"/"+string(c.reg), func(t *testing.T) {
			set := c.set
			r, err := Fit(context.Background(), Data{Train: set, Folds: 5}, Options{Reg: c.reg})
			if err != nil {
				t.Fatal(err)
			}
			if r.Steps > 15 || r.Value > r.BaselineValue {
				t.Errorf("h = %v after %d evaluations, %v at the best point of the grid", r.Value, r.Steps, r.BaselineValue)
			}
			f, err := prepare(Data{Train: set, Folds: 5}, Options{Reg: c.reg, Task: r.Model.Task, Method: AutoMethod, Param: Exp,
				Box: Box{-12, 12}, Scale: Auto, Intercept: Auto})
			if err != nil {
				t.Fatal(err)
			}
			f.asked, f.ctx, f.closing = context.Background(), context.Background(), context.Background()
			for _, step := range []float64{-.1, -.01, .01, .1} {
				at, err := f.solveShared(f.ctx, f.main, r.X[0]+step)
				if err != nil {
					t.Fatal(err)
				}
				if h := at.value * f.units.loss; h < r.Value-1e-5*math.Abs(r.Value) {
					t.Errorf("h(%v) = %v, and %v at %+v from there", r.X[0], r.Value, h, step)
				}
			}
		})
	}
}

// Where the tangents of two points do not meet between them, h is not convex there and the middle is looked at.
func TestHalfway(t *testing.T) {
	point := func(t, value, slope float64) *onLine { return &onLine{t: t, value: value, slope: slope} }
	for _, c := range []struct {
		name       string
		a, b       *onLine
		kink       bool
		t, fallsBy float64
	}{
		{"a kink", point(0, 1, -1), point(2, 2, 2), true, 1, 1},
		{"a parabola", point(0, 1, -2), point(3, 4, 4), false, 1, 3}, // at the end of the tangents
		{"a hump", point(0, 1, -1), point(2, 2, -2), true, 1, 2},
		{"tangents that cut h", point(0, 1, -.1), point(2, 1.9, .1), true, 1, .2},
		{"near an end", point(0, 1, 1e-3), point(-2, 8.9, -4), false, -.1, 1e-4 / 4.001},
	} {
		if got := halfway(c.a, c.b, c.kink); math.Abs(got-c.t) > 1e-12 {
			t.Errorf("%s: halfway is %v, want %v", c.name, got, c.t)
		}
		if got := fall(c.a, c.b); math.Abs(got-c.fallsBy) > 1e-12 {
			t.Errorf("%s: fall is %v, want %v", c.name, got, c.fallsBy)
		}
	}
}
