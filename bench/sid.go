package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

var sidRates = Figure{
	Name:    "sid-rates",
	Title:   "Mean squared error, bias and variance of stochastic hypergradients against t = k = J, MNIST odd versus even",
	Paper:   "Grazzi, Pontil, Salzo, Convergence properties of stochastic hypergradients, 2021, figure 1",
	Sets:    []string{"mnist"},
	Caption: "Means over random draws; bias and variance are the two parts of the squared error.",
	Labels:  []string{"steps"},
	Values:  []string{"t", "mse", "bias2", "variance"},
	Repeats: 100,
	compute: computeSID,
	panels:  sidPanels,
}

// sidSteps are the t of the figure.
var sidSteps = []int{30, 100, 300, 1000, 3000, 10000}

// sidRules are the step sizes of both levels, in units of the step 1/L.
var sidRules = []struct {
	name string
	rate hypergrad.Harmonic
}{
	{"decreasing", hypergrad.Harmonic{Beta: 100, Gamma: 100}},
	{"constant 1/2", hypergrad.Harmonic{Beta: .5}},
	{"constant 1/10", hypergrad.Harmonic{Beta: .1}},
}

// computeSID computes mean squared errors, and their split into bias and variance:
//
//	mse = mean ‖ĝ − ∇h‖² = ‖mean ĝ − ∇h‖² + mean ‖ĝ − mean ĝ‖².
//
// The first part is the square of a mean of Repeats draws: it is too large by the variance over Repeats, on average.
func computeSID(ctx context.Context, o Options, t *Table) error {
	p, err := oddEven(ctx, o)
	if err != nil {
		return err
	}
	return sidErrors(ctx, o, t, p, []float64{0}, sidSteps)
}

// sidErrors adds the rows of a figure for p at x.
func sidErrors(ctx context.Context, o Options, t *Table, p *bilevel.Problem, x []float64, steps []int) error {
	e, err := hypergrad.NewEvaluator(p, hypergrad.AID{Linear: linsolve.CG{}})
	if err != nil {
		return err
	}
	want := make([]float64, len(x))
	if _, err := e.Evaluate(ctx, want, x); err != nil {
		return err
	}
	d, _ := p.Dims()
	done, all := 0.0, 0.0
	for _, n := range steps {
		all += float64(n * len(sidRules) * o.Repeats)
	}
	for i, rule := range sidRules {
		for j, n := range steps {
			h, err := hypergrad.SID{InnerSteps: n, LinearSteps: n, Samples: n, Batch: 1, InnerStep: rule.rate,
				LinearStep: rule.rate}.Start(p, nil)
			if err != nil {
				return err
			}
			var draws [][]float64
			for k := range o.Repeats {
				if err := ctx.Err(); err != nil {
					return err
				}
				g := make([]float64, len(x))
				at := bilevel.Point{Z: make([]float64, d), X: slices.Clone(x), V: make([]float64, d)}
				seed := rand.New(rand.NewPCG(o.Seed, uint64(i)<<40+uint64(j)<<32+uint64(k))).Uint64()
				if _, err := h.At(ctx, g, at, hypergrad.Effort{Seed: seed}); err != nil {
					return err
				}
				draws = append(draws, g)
				done += float64(n)
				o.Progress(done / all)
			}
			mse, bias, variance := biasVariance(draws, want)
			t.add([]string{rule.name}, float64(n), mse, bias, variance)
		}
	}
	return nil
}

// biasVariance is the mean squared distance of draws to want, and its two parts.
func biasVariance(draws [][]float64, want []float64) (mse, bias2, variance float64) {
	n := float64(len(draws))
	mean := make([]float64, len(want))
	for _, g := range draws {
		floats.AddScaled(mean, 1/n, g)
		mse += math.Pow(floats.Distance(g, want, 2), 2) / n
	}
	for _, g := range draws {
		variance += math.Pow(floats.Distance(g, mean, 2), 2) / n
	}
	return mse, math.Pow(floats.Distance(mean, want, 2), 2), variance
}

// oddEven is logistic regression of odd against even digits with one strength e^x, on 20,000 training and 20,000
// validation rows of MNIST whose pixels are between 0 and 1.
func oddEven(ctx context.Context, o Options) (*bilevel.Problem, error) {
	train, _, _, err := dataset.Load(ctx, "mnist", o.from())
	if err != nil {
		return nil, err
	}
	const n, m = 20_000, 20_000 // more than the largest J
	all, ok := train.X.(*rows.Dense)
	if !ok || all.N < n+m {
		return nil, fmt.Errorf("bench: mnist has %d rows of type %T", len(train.Y), train.X)
	}
	order := rand.New(rand.NewPCG(o.Seed, 1)).Perm(all.N)[:n+m]
	a := all.Take(order).(*rows.Dense)
	floats.Scale(1./255, a.Data)
	y := make([]float64, n+m)
	for i, row := range order {
		y[i] = 2*math.Mod(train.Y[row], 2) - 1
	}
	loss, err := model.NewLogistic(part(a, 0, n), y[:n], 1)
	if err != nil {
		return nil, err
	}
	g, err := regularized(loss, model.Shared)
	if err != nil {
		return nil, err
	}
	f, err := model.NewLogistic(part(a, n, n+m), y[n:], 1)
	return &bilevel.Problem{Outer: f, Inner: g}, err
}

// sidPanels is a panel for each rule.
func sidPanels(t *Table) []chart.Panel {
	x := chart.Axis{Quantity: "steps, t = k = J", Log: true}
	y := chart.Axis{Quantity: "mean squared error", Log: true}
	var list []chart.Panel
	all := chart.Panel{Title: "All", X: x, Y: y}
	for _, rule := range t.labels(0) {
		p := chart.Panel{Title: sentence(rule) + " steps", X: x, Y: y}
		for _, c := range []struct{ name, column string }{{"all", "mse"}, {"bias²", "bias2"}, {"variance", "variance"}} {
			p.Curves = append(p.Curves, chart.Curve{Name: c.name, X: t.values("t", rule), Y: t.values(c.column, rule)})
		}
		all.Curves = append(all.Curves, chart.Curve{Name: rule, X: t.values("t", rule), Y: t.values("mse", rule)})
		list = append(list, p)
	}
	return append(list, all)
}
