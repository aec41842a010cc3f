package hypergrad_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
)

// wrongCross has mixed products of the wrong sign.
type wrongCross struct{ bilevel.SecondOrder }

func (o wrongCross) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.SecondOrder.Products(dz, hv, cv, z, x, v, b)
	for j := range cv {
		cv[j] = -cv[j]
	}
}

// Wrong derivatives are no convergence, and right ones are.
func TestNoDescent(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 60, 50, 4)
	for _, m := range []bilevel.Method{hypergrad.HOAG{}, hypergrad.Descent{}} {
		for wrong, want := range map[bool]bilevel.Reason{false: bilevel.Done, true: bilevel.NoDescent} {
			p := *c.Problem
			if wrong {
				p.Inner = wrongCross{p.Inner.(bilevel.SecondOrder)}
			}
			res, err := bilevel.Minimize(context.Background(), &p, m, bilevel.Settings{MaxSteps: 5000})
			if err != nil {
				t.Fatal(err)
			}
			if res.Reason != want {
				t.Errorf("%T, mixed products wrong: %v: %q with ‖∇h‖ = %.3g", m, wrong, res.Reason, res.GradNorm)
			}
			if wrong && !strings.Contains(res.Reason.String(), "derivatives") {
				t.Errorf("%q does not say what to do", res.Reason)
			}
		}
	}
}

func TestZeroEvaluator(t *testing.T) {
	c := bileveltest.Quadratic(6, 3, 60, 50, 4)
	e := &hypergrad.Evaluator{Problem: c.Problem}
	grad := make([]float64, 3)
	h, err := e.Evaluate(context.Background(), grad, c.X)
	if want := c.Solve(c.X); err != nil || math.Abs(h-want.Value) > 1e-12 || distance(grad, want.Grad) > 1e-8 {
		t.Errorf("h = %v, ∇h = %v, %v; want %v, %v", h, grad, err, want.Value, want.Grad)
	}
	if _, err := (&hypergrad.Evaluator{}).Evaluate(context.Background(), nil, c.X); err == nil {
		t.Error("an evaluator without a problem evaluates")
	}
}

// stopAfter cancels at the given number of gradients and products.
type stopAfter struct {
	bilevel.SecondOrder
	calls, at int
	after     float64 // passes over the data since then
	cancel    context.CancelFunc
}

func (o *stopAfter) look(b bilevel.Batch) {
	if o.calls > o.at {
		o.after += float64(b.Len()) / float64(o.Samples())
	}
	if o.calls++; o.calls == o.at {
		o.cancel()
	}
}

func (o *stopAfter) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.look(b)
	o.SecondOrder.Grad(dz, dx, z, x, b)
}

func (o *stopAfter) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	o.look(b)
	o.SecondOrder.Products(dz, hv, cv, z, x, v, b)
}

// However a hypergradient is computed, it ends within a few passes over the data after its context; and an evaluator is
// then as if it had not been asked.
func TestContextEndsHypergradients(t *testing.T) {
	c := bileveltest.Quadratic(40, 3, 600, 500, 4)
	steps := inner.GradientDescent{}
	for name, e := range map[string]hypergrad.Estimator{
		"AID": hypergrad.AID{}, "LBFGS": hypergrad.AID{Inner: inner.LBFGS{}},
		"dense": hypergrad.AID{Inner: inner.Newton{DenseDim: 64}},
		"GD":    hypergrad.AID{Inner: steps}, "Direct": hypergrad.AID{Inner: inner.LBFGS{}, Linear: linsolve.Direct{}},
		"LU":          hypergrad.AID{Inner: inner.LBFGS{}, Linear: linsolve.LU{}},
		"GMRES":       hypergrad.AID{Inner: inner.LBFGS{}, Linear: linsolve.GMRES{}},
		"BiCGSTAB":    hypergrad.AID{Inner: inner.LBFGS{}, Linear: linsolve.BiCGSTAB{}},
		"normal":      hypergrad.AID{Inner: inner.LBFGS{}, Linear: linsolve.NormalEquations{}},
		"Neumann":     hypergrad.AID{Inner: inner.LBFGS{}, Linear: linsolve.FixedPoint{}},
		"ITD":         hypergrad.ITD{Dynamics: steps, Steps: 200},
		"checkpoints": hypergrad.ITD{Dynamics: steps, Steps: 200, Mode: hypergrad.Checkpoints},
		"forward":     hypergrad.ITD{Dynamics: steps, Steps: 50, Mode: hypergrad.Forward},
		"SID":         hypergrad.SID{InnerSteps: 100, LinearSteps: 100, Samples: 20, Batch: 4},
	} {
		grad := make([]float64, 3)
		all := &stopAfter{SecondOrder: c.Problem.Inner.(bilevel.SecondOrder)}
		ask := func(o *stopAfter, ctx context.Context) (*hypergrad.Evaluator, error) {
			p := *c.Problem
			p.Inner = o
			v := &hypergrad.Evaluator{Problem: &p, Estimator: e}
			_, err := v.Evaluate(ctx, grad, c.X)
			return v, err
		}
		if _, err := ask(all, context.Background()); err != nil {
			t.Logf("%s: %v", name, err) // a tolerance that is not reached
		}
		for _, share := range []float64{.2, .5, .8} {
			ctx, cancel := context.WithCancel(context.Background())
			o := &stopAfter{SecondOrder: all.SecondOrder, at: max(int(share*float64(all.calls)), 1), cancel: cancel}
			v, err := ask(o, ctx)
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s, cancelled at call %d of %d: error %v", name, o.at, all.calls, err)
			}
			most := 4.
			if name == "forward" {
				most = 40 // a forward product is d products here
			}
			if o.after > most {
				t.Errorf("%s, cancelled at call %d of %d: %.1f passes more", name, o.at, all.calls, o.after)
			}
			if at := v.Point(); floatsNorm(at.Z) != 0 || floatsNorm(at.V) != 0 {
				t.Errorf("%s: an evaluation that was cut short moves the start of the next", name)
			}
		}
	}
}

func floatsNorm(v []float64) (s float64) {
	for _, a := range v {
		s += a * a
	}
	return s
}
