package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

var hypergradRates = Figure{
	Name: "hypergrad-rates",
	Title: "Error of hypergradients against the number of steps t = k: iterative differentiation, fixed point, " +
		"conjugate gradients",
	Paper:   "Grazzi, Franceschi, Pontil, Salzo, On the iteration complexity of hypergradient computation, 2020, figure 1",
	Caption: "Means over random problems. The bands are as wide below as above: a factor of 1 + deviation / mean.",
	Labels:  []string{"problem", "method"},
	Values:  []string{"t", "error_mean", "error_std"},
	Repeats: 20,
	compute: computeRates,
	panels:  ratePanels,
}

// rateSteps are the t of the figure.
var rateSteps = []int{1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 100, 120, 140, 160, 180, 200, 250, 300}

// rateMethods are the estimators of the figure for t = k steps of size eta.
var rateMethods = []struct {
	name string
	make func(t int, eta float64) hypergrad.Estimator
}{
	{"ITD", func(t int, eta float64) hypergrad.Estimator {
		return hypergrad.ITD{Dynamics: inner.GradientDescent{Step: eta}, Steps: t}
	}},
	{"AID-FP", func(t int, eta float64) hypergrad.Estimator {
		return hypergrad.AID{Inner: inner.GradientDescent{Step: eta, Steps: t},
			Linear: linsolve.FixedPoint{Scale: eta, Steps: t}}
	}},
	{"AID-CG", func(t int, eta float64) hypergrad.Estimator {
		return hypergrad.AID{Inner: inner.GradientDescent{Step: eta, Steps: t}, Linear: linsolve.CG{Steps: t}}
	}},
}

// computeRates computes, for random x, the distance of each estimate to ∇h(x).
func computeRates(ctx context.Context, o Options, t *Table) error {
	done, all := 0, len(syntheticProblems)*o.Repeats
	for i, s := range syntheticProblems {
		rng := rand.New(rand.NewPCG(o.Seed, uint64(i)))
		p, err := s.make(rng)
		if err != nil {
			return err
		}
		errs := make([][][]float64, len(rateMethods)) // by method and t, of the draws
		for m := range errs {
			errs[m] = make([][]float64, len(rateSteps))
		}
		for range o.Repeats {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := rateErrors(ctx, errs, p, s.draw(p, rng)); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			done++
			o.Progress(float64(done) / float64(all))
		}
		for m, method := range rateMethods {
			for k, steps := range rateSteps {
				mean, std := stat.PopMeanStdDev(errs[m][k], nil)
				t.add([]string{s.name, method.name}, float64(steps), mean, std)
			}
		}
	}
	return nil
}

// rateErrors appends the errors at x.
func rateErrors(ctx context.Context, errs [][][]float64, p *bilevel.Problem, x []float64) error {
	e, err := hypergrad.NewEvaluator(p, hypergrad.AID{Linear: linsolve.Direct{}})
	if err != nil {
		return err
	}
	e.Tol = hypergrad.Effort{Inner: 1e-13, LinearTol: 1e-13}
	want := make([]float64, len(x))
	if _, err := e.Evaluate(ctx, want, x); err != nil {
		return err
	}
	eta, err := contraction(p, x)
	if err != nil {
		return err
	}
	d, _ := p.Dims()
	got := make([]float64, len(x))
	for m, method := range rateMethods {
		for k, steps := range rateSteps {
			h, err := method.make(steps, eta).Start(p, nil)
			if err != nil {
				return err
			}
			at := bilevel.Point{Z: make([]float64, d), X: slices.Clone(x), V: make([]float64, d)}
			if _, err := h.At(ctx, got, at, hypergrad.Effort{}); err != nil {
				return err
			}
			errs[m][k] = append(errs[m][k], floats.Distance(got, want, 2))
		}
	}
	return nil
}

// contraction is a step size with which gradient descent from z = 0 is a contraction, the inverse of the largest
// eigenvalue of ∇²zz g there: the losses here curve most at zero.
func contraction(p *bilevel.Problem, x []float64) (float64, error) {
	g, err := bilevel.NeedSecondOrder(p.Inner)
	if err != nil {
		return 0, err
	}
	d, _ := g.Dims()
	h := mat.NewSymDense(d, nil)
	z, unit, column := make([]float64, d), make([]float64, d), make([]float64, d)
	for j := range d {
		unit[j] = 1
		g.Products(nil, column, nil, z, x, unit, bilevel.All(g))
		unit[j] = 0
		for i := range j + 1 {
			h.SetSym(i, j, column[i])
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(h, false) {
		return 0, fmt.Errorf("no eigenvalues of the inner Hessian")
	}
	return 1 / floats.Max(eig.Values(nil)), nil
}

// synthetic is a family of random problems.
type synthetic struct {
	name string
	make func(rng *rand.Rand) (*bilevel.Problem, error)
	draw func(p *bilevel.Problem, rng *rand.Rand) []float64 // a random x
}

var syntheticProblems = []synthetic{
	{"logistic", func(rng *rand.Rand) (*bilevel.Problem, error) {
		return strengths(rng, 100, 100, 20, func(a *rows.Dense, s []float64, p int) (*model.Loss, error) {
			y := make([]float64, len(s))
			for i, v := range s {
				y[i] = math.Copysign(1, v+rng.NormFloat64())
			}
			return model.NewLogistic(a, y, p)
		})
	}, logUniform},
	{"ridge", func(rng *rand.Rand) (*bilevel.Problem, error) {
		return strengths(rng, 100, 100, 20, func(a *rows.Dense, s []float64, p int) (*model.Loss, error) {
			y := make([]float64, len(s))
			for i, v := range s {
				y[i] = v + .5*rng.NormFloat64()
			}
			return model.NewSquared(a, y, p)
		})
	}, logUniform},
	{"biased regularisation", func(rng *rand.Rand) (*bilevel.Problem, error) {
		const n, d = 30, 50
		a, s := gaussianRows(rng, n+100, d)
		for i := range s {
			s[i] += .5 * rng.NormFloat64()
		}
		train, err := model.NewSquared(part(a, 0, n), s[:n], d)
		if err != nil {
			return nil, err
		}
		g, err := model.NewBiased(train, .5)
		if err != nil {
			return nil, err
		}
		f, err := model.NewSquared(part(a, n, n+100), s[n:], d)
		return &bilevel.Problem{Outer: f, Inner: g}, err
	}, normal},
	{"hyper-representation", func(rng *rand.Rand) (*bilevel.Problem, error) {
		const tasks, n, d, width = 5, 10, 12, 4
		var train, val []model.Task
		for range tasks {
			a, s := gaussianRows(rng, 2*n, d)
			for i := range s {
				s[i] += .5 * rng.NormFloat64()
			}
			train = append(train, model.Task{X: part(a, 0, n), Y: s[:n]})
			val = append(val, model.Task{X: part(a, n, 2*n), Y: s[n:]})
		}
		g, err := model.NewRepresentation(train, model.RepresentationOptions{Width: width, Ridge: .3})
		if err != nil {
			return nil, err
		}
		f, err := model.NewRepresentation(val, model.RepresentationOptions{Width: width})
		return &bilevel.Problem{Outer: f, Inner: g}, err
	}, func(p *bilevel.Problem, rng *rand.Rand) []float64 {
		x := normal(p, rng)
		floats.Scale(.3, x)
		return x
	}},
}

// strengths is a problem with a strength e^{x_j} for each of d features.
func strengths(rng *rand.Rand, n, m, d int,
	loss func(a *rows.Dense, s []float64, p int) (*model.Loss, error)) (*bilevel.Problem, error) {
	a, s := gaussianRows(rng, n+m, d)
	train, err := loss(part(a, 0, n), s[:n], d)
	if err != nil {
		return nil, err
	}
	g, err := regularized(train, model.PerFeature)
	if err != nil {
		return nil, err
	}
	f, err := loss(part(a, n, n+m), s[n:], d)
	return &bilevel.Problem{Outer: f, Inner: g}, err
}

// regularized adds strengths e^x to a loss.
func regularized(loss *model.Loss, kind model.Strengths) (*model.Regularized, error) {
	pen, err := model.NewPenalty(loss.Layout(), kind, model.PenaltyOptions{})
	if err != nil {
		return nil, err
	}
	return model.Regularize(loss, pen)
}

// gaussianRows are n rows of d standard normal features, and their scores for a random direction of unit length.
func gaussianRows(rng *rand.Rand, n, d int) (*rows.Dense, []float64) {
	w := make([]float64, d)
	for j := range w {
		w[j] = rng.NormFloat64()
	}
	floats.Scale(1/floats.Norm(w, 2), w)
	a, s := rows.NewDense(n, d), make([]float64, n)
	for i := range n {
		row := a.Row(i)
		for j := range row {
			row[j] = rng.NormFloat64()
		}
		s[i] = floats.Dot(row, w)
	}
	return a, s
}

// part is rows lo to hi of a, which it shares.
func part(a *rows.Dense, lo, hi int) *rows.Dense {
	return &rows.Dense{N: hi - lo, D: a.D, Stride: a.Stride, Data: a.Data[lo*a.Stride : hi*a.Stride]}
}

// logUniform draws strengths between 0.05 and 1.
func logUniform(p *bilevel.Problem, rng *rand.Rand) []float64 {
	_, n := p.Dims()
	x := make([]float64, n)
	for j := range x {
		x[j] = math.Log(.05) * rng.Float64()
	}
	return x
}

// normal draws from a standard normal distribution.
func normal(p *bilevel.Problem, rng *rand.Rand) []float64 {
	_, n := p.Dims()
	x := make([]float64, n)
	for j := range x {
		x[j] = rng.NormFloat64()
	}
	return x
}

// ratePanels is a panel for each problem.
func ratePanels(t *Table) []chart.Panel {
	var list []chart.Panel
	for _, problem := range t.labels(0) {
		p := chart.Panel{Title: sentence(problem), X: chart.Axis{Quantity: "steps, t = k", Zero: true},
			Y: chart.Axis{Quantity: "error of the hypergradient", Log: true}}
		for _, method := range t.labels(1, problem) {
			s := chart.Curve{Name: method, X: t.values("t", problem, method), Y: t.values("error_mean", problem, method)}
			for i, std := range t.values("error_std", problem, method) {
				// As wide below as above on the logarithmic axis: mean − std can be negative.
				spread := 1 + std/s.Y[i]
				s.Low, s.High = append(s.Low, s.Y[i]/spread), append(s.High, s.Y[i]*spread)
			}
			p.Curves = append(p.Curves, s)
		}
		list = append(list, p)
	}
	return list
}
