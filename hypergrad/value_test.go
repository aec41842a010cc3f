package hypergrad_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// stamped is logistic regression on three columns that tell the class, a column of ones and one of times in the given
// unit, which tells nothing; one strength e^{x_j} per column.
func stamped(t *testing.T, unit float64) *bilevel.Problem {
	t.Helper()
	const n, d = 120, 5
	rng := rand.New(rand.NewPCG(3, 1970))
	level := func() *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			r := a.Row(i)
			for j := range 3 {
				r[j] = rng.NormFloat64()
			}
			r[3], r[4] = 1, unit*(1.7+.5*rng.NormFloat64())
			if y[i] = 1; 2*r[0]-r[1]+.5*r[2]+rng.NormFloat64() < 0 {
				y[i] = -1
			}
		}
		l, err := model.NewLogistic(a, y, d)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	loss := level()
	pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Regularize(loss, pen)
	if err != nil {
		t.Fatal(err)
	}
	p := &bilevel.Problem{Inner: g, Outer: level(), Lower: make([]float64, d), Upper: make([]float64, d)}
	for j := range d {
		p.Lower[j], p.Upper[j] = -6, 3
	}
	return p
}

// plain hides what an objective has beside its derivatives.
type plain struct{ bilevel.SecondOrder }

// A column of milliseconds is no reason to leave the other coefficients unsolved: values and gradients are those of the
// same problem in a unit of 10¹² milliseconds.
func TestLargeColumn(t *testing.T) {
	ctx := context.Background()
	const unit = 1e12
	x, y := []float64{-3, -2, -4, -3, -2}, []float64{-3, -2, -4, -3, -2 - 2*math.Log(unit)} // e^x z² with z in 1/unit
	want := make([]float64, 5)
	h, err := (&hypergrad.Evaluator{Problem: stamped(t, 1)}).Evaluate(ctx, want, y)
	if err != nil {
		t.Fatal(err)
	}
	if h > .5 {
		t.Fatalf("h = %v: the columns tell nothing", h)
	}
	for name, e := range map[string]hypergrad.AID{
		"dense": {}, "newton-cg": {Inner: inner.Newton{DenseDim: -1}}, "lbfgs": {Inner: inner.LBFGS{}},
		"lbfgs, direct": {Inner: inner.LBFGS{}, Linear: linsolve.Direct{}},
	} {
		p, grad := stamped(t, unit), make([]float64, 5)
		v := &hypergrad.Evaluator{Problem: p, Estimator: e, Tol: hypergrad.Effort{Inner: 1e-8, LinearTol: 1e-10}}
		if got, err := v.Evaluate(ctx, grad, x); err != nil || math.Abs(got-h) > 1e-7 || distance(grad, want) > 1e-6 {
			t.Errorf("%s: h = %.9f and ∇h = %.7f, want %.9f and %.7f; %v", name, got, grad, h, want, err)
		}
	}
	// A run's tolerances are relative, and where nothing is known of the columns it sees that f is not h yet.
	descent := hypergrad.AID{Inner: inner.LBFGS{}, Linear: linsolve.Direct{}}
	for _, c := range []struct {
		hidden bool
		unit   float64
		e      hypergrad.Estimator
	}{{false, unit, nil}, {true, unit, nil}, {false, unit, descent}, {true, 1e4, descent}} {
		p := stamped(t, c.unit)
		if c.hidden {
			p.Inner = plain{p.Inner.(bilevel.SecondOrder)}
		}
		for _, steps := range []int64{1, 3, 40} {
			start := bilevel.Settings{Start: bilevel.Point{X: x}, MaxSteps: steps}
			res, err := bilevel.Minimize(ctx, p, hypergrad.HOAG{Estimator: c.e}, start)
			if err != nil {
				t.Fatal(err)
			}
			at := append([]float64(nil), res.Point.X...)
			at[4] -= 2 * math.Log(c.unit)
			h, err := (&hypergrad.Evaluator{Problem: stamped(t, 1)}).Evaluate(ctx, nil, at)
			if err != nil {
				t.Fatal(err)
			}
			f := p.Outer.Value(res.Point.Z, res.Point.X, bilevel.All(p.Outer))
			if math.Abs(res.Value-h) > 2e-3*h || math.Abs(f-h) > 2e-3*h {
				t.Errorf("%+v, %d steps: reported %v, h = %v, f at the point that is returned %v", c, steps, res.Value, h, f)
			}
		}
	}
}

// A loss of separable data with hardly a penalty is tiny, and a first-order correction of it larger: it is not added.
func TestValueOfLossIsNotNegative(t *testing.T) {
	a, y := rows.NewDense(4, 2), []float64{1, 1, -1, -1}
	for i, v := range []float64{0, 0, 2, 1} {
		a.Row(i)[0], a.Row(i)[1] = 1, v
	}
	loss, err := model.NewLogistic(a, y, 1)
	if err != nil {
		t.Fatal(err)
	}
	pen, err := model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Regularize(loss, pen)
	if err != nil {
		t.Fatal(err)
	}
	p := &bilevel.Problem{Inner: g, Outer: loss, Lower: []float64{-90}, Upper: []float64{2}}
	estimator, err := hypergrad.AID{}.Start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	corrections := 0
	for _, tol := range []float64{1e-2, 1e-4, 1e-6, 1e-9, 1e-12} {
		for _, x := range []float64{-90, -60, -30, -15, -5} {
			at := bilevel.Point{Z: make([]float64, 2), X: []float64{x}, V: make([]float64, 2)}
			rep, err := estimator.At(context.Background(), make([]float64, 1), at, hypergrad.Effort{Inner: tol, LinearTol: 1e-9})
			if err != nil {
				t.Fatal(err)
			}
			f := loss.Value(at.Z, at.X, bilevel.All(loss))
			if !(rep.Value >= f/2 && rep.Value <= 1.5*f) || math.Abs(rep.Value-rep.Correction-f) > 1e-12*f {
				t.Errorf("x = %v to %g: value %g with a correction of %g, f(z, x) = %g", x, tol, rep.Value, rep.Correction, f)
			}
			if rep.Unsolved > .5*f {
				corrections++
			}
		}
	}
	if corrections == 0 {
		t.Error("no correction was too large")
	}
	start := bilevel.Settings{Start: bilevel.Point{X: []float64{-30}}, MaxSteps: 100}
	res, err := bilevel.Minimize(context.Background(), p, hypergrad.HOAG{}, start)
	if err != nil {
		t.Fatal(err)
	}
	if f := loss.Value(res.Point.Z, res.Point.X, bilevel.All(loss)); !(res.Value >= 0) || math.Abs(res.Value-f) > 1e-9 {
		t.Errorf("reported %g, f(z, x) = %g", res.Value, f)
	}
}
