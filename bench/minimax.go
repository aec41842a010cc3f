package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/valuefn"
)

const minimaxPaper = "Effective bilevel optimization via minimax reformulation, 2023, arXiv 2305.13153"

var minimaxLogistic = Figure{
	Name: "minimax-logistic",
	Title: "MinimaxOPT against hypergradients on logistic regression with a strength per feature: loss and accuracy " +
		"against gradient calls",
	Paper:   minimaxPaper + ", figure 1",
	Caption: "Medians over random problems; bands from the 20% to the 80% quantile.",
	Labels:  []string{"method"},
	Values: []string{"calls", "loss_median", "loss_q20", "loss_q80", "accuracy_median", "accuracy_q20", "accuracy_q80",
		"seconds_median", "h_end_median"},
	Repeats: 10,
	compute: computeMinimaxLogistic,
	panels:  minimaxLogisticPanels,
}

// contender is a method in a race over gradient calls.
type contender struct {
	name   string
	method bilevel.Method
	every  int64 // steps between records
}

// doubleLoops are the paper's three: t inner steps of size eta from where the last ended, K = 10 steps for the
// hypergradient, and an outer step. The inner steps are those of gradient descent, or with momentum of heavy ball.
func doubleLoops(t int, eta, momentum, outer float64) []contender {
	var solver inner.Solver = inner.GradientDescent{Step: eta, Steps: t}
	var dynamics inner.Dynamics = inner.GradientDescent{Step: eta}
	if momentum > 0 {
		solver = inner.HeavyBall{Step: eta, Momentum: momentum, Steps: t}
		dynamics = inner.HeavyBall{Step: eta, Momentum: momentum}
	}
	var list []contender
	for _, e := range []struct {
		name string
		hypergrad.Estimator
	}{
		{"reverse", hypergrad.ITD{Dynamics: dynamics, Steps: t, Truncate: 10}},
		{"fixed point", hypergrad.AID{Inner: solver, Linear: linsolve.FixedPoint{Scale: eta, Steps: 10}}},
		{"CG", hypergrad.AID{Inner: solver, Linear: linsolve.CG{Steps: 10}}},
	} {
		list = append(list, contender{e.name, hypergrad.Descent{Estimator: e.Estimator, Step: outer}, 1})
	}
	return list
}

// mark is where a run stands.
type mark struct{ calls, seconds, loss, accuracy float64 }

// race is the course of a run until it has made so many gradient calls, each a pass over the n samples of a level;
// a product counts as a call. accuracy is that of an inner variable.
func (c contender) race(ctx context.Context, p *bilevel.Problem, start bilevel.Point, seed uint64, budget int64,
	accuracy func(z []float64) float64) ([]mark, *bilevel.Result, error) {
	n := int64(p.Inner.Samples())
	var course []mark
	res, err := bilevel.Minimize(ctx, p, c.method, bilevel.Settings{
		Start: start, Seed: seed, MaxSamples: budget * n, RecordEvery: c.every,
		Recorder: bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) {
			course = append(course, mark{float64(r.Counts.Total()) / float64(n), r.Time.Seconds(),
				p.Outer.Value(at.Z, at.X, bilevel.All(p.Outer)), accuracy(at.Z)})
		}),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("bench: %s: %w", c.name, err)
	}
	return course, res, nil
}

// markAt is the last mark of a course within so many calls.
func markAt(course []mark, calls float64) mark {
	i, _ := slices.BinarySearchFunc(course, calls, func(m mark, calls float64) int {
		if m.calls <= calls {
			return -1
		}
		return 1
	})
	return course[max(i-1, 0)]
}

const (
	minimaxCalls  = 2000 // gradient calls of a run
	minimaxPoints = 50   // points of a curve
)

// computeMinimaxLogistic runs all methods on random problems, and takes medians over them.
func computeMinimaxLogistic(ctx context.Context, o Options, t *Table) error {
	list := append([]contender{
		{"MinimaxOPT", valuefn.MinimaxOPT{Batch: minimaxRows, Alpha: 1, Growth: 1.5, StageSteps: 100, Stages: 10,
			InnerStep: .5,
			OuterStep: 400}, 5},
		{"MinimaxOPT, automatic", valuefn.MinimaxOPT{Batch: minimaxRows}, 5},
	}, doubleLoops(100, 1, 0, 1500)...)
	courses := make([][][]mark, len(list))
	ends := make([][]float64, len(list))
	for k := range o.Repeats {
		p, accuracy, err := minimaxProblem(rand.New(rand.NewPCG(o.Seed, uint64(k))))
		if err != nil {
			return err
		}
		_, q := p.Dims()
		x := make([]float64, q)
		for j := range x {
			x[j] = -2
		}
		for i, c := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			course, res, err := c.race(ctx, p, bilevel.Point{X: x}, o.Seed, minimaxCalls, accuracy)
			if err != nil {
				return err
			}
			courses[i] = append(courses[i], course)
			e, err := hypergrad.NewEvaluator(p, nil)
			if err != nil {
				return err
			}
			h, err := e.Evaluate(ctx, nil, res.Last.X)
			if err != nil {
				return err
			}
			ends[i] = append(ends[i], h)
		}
		o.Progress(float64(k+1) / float64(o.Repeats))
	}
	for i, c := range list {
		for s := range minimaxPoints + 1 {
			calls := float64(s) * minimaxCalls / minimaxPoints
			var seconds, loss, accuracy []float64
			for _, course := range courses[i] {
				m := markAt(course, calls)
				seconds, loss, accuracy = append(seconds, m.seconds), append(loss, m.loss), append(accuracy, m.accuracy)
			}
			l, a := quantiles(loss), quantiles(accuracy)
			t.add([]string{c.name}, calls, l[0], l[1], l[2], a[0], a[1], a[2], quantiles(seconds)[0], quantiles(ends[i])[0])
		}
	}
	return nil
}

// quantiles are the median and the quantiles .2 and .8 of draws, which it sorts.
func quantiles(draws []float64) [3]float64 {
	slices.Sort(draws)
	q := func(p float64) float64 { return stat.Quantile(p, stat.LinInterp, draws, nil) }
	return [3]float64{q(.5), q(.2), q(.8)}
}

// minimaxRows are the rows of each level, and of the test.
const minimaxRows = 2500

// minimaxProblem is logistic regression on 100 normal features, ten of which the labels depend on, with a strength
// e^{x_j} ≤ 1 for each.
func minimaxProblem(rng *rand.Rand) (*bilevel.Problem, func(z []float64) float64, error) {
	const d, used = 100, 10
	a, y := rows.NewDense(3*minimaxRows, d), make([]float64, 3*minimaxRows)
	for i := range y {
		row := a.Row(i)
		t := rng.NormFloat64()
		for j := range row {
			row[j] = rng.NormFloat64()
			if j < used {
				t += row[j] / 2
			}
		}
		y[i] = math.Copysign(1, t)
	}
	loss := func(k int) (*model.Loss, error) {
		lo, hi := k*minimaxRows, (k+1)*minimaxRows
		return model.NewLogistic(part(a, lo, hi), y[lo:hi], d)
	}
	train, err := loss(0)
	if err != nil {
		return nil, nil, err
	}
	g, err := regularized(train, model.PerFeature)
	if err != nil {
		return nil, nil, err
	}
	f, err := loss(1)
	if err != nil {
		return nil, nil, err
	}
	p := &bilevel.Problem{Outer: f, Inner: g}
	p.Lower, p.Upper = bounds(d, 12)
	clear(p.Upper)
	accuracy := func(z []float64) float64 {
		right := 0
		for i := 2 * minimaxRows; i < len(y); i++ {
			t := 0.0
			for j, v := range a.Row(i) {
				t += v * z[j]
			}
			if (t >= 0) == (y[i] > 0) {
				right++
			}
		}
		return float64(right) / minimaxRows
	}
	return p, accuracy, nil
}

// minimaxLogisticPanels are loss and accuracy, without the start, which has no place on a logarithmic axis.
func minimaxLogisticPanels(t *Table) []chart.Panel {
	var list []chart.Panel
	for _, column := range []string{"loss", "accuracy"} {
		p := minimaxPanel(column, chart.Axis{Quantity: "gradient calls", Log: true})
		for _, method := range t.labels(0) {
			p.Curves = append(p.Curves, chart.Curve{
				Name: method, X: t.values("calls", method)[1:], Y: t.values(column+"_median", method)[1:],
				Low: t.values(column+"_q20", method)[1:], High: t.values(column+"_q80", method)[1:],
			})
		}
		list = append(list, p)
	}
	return list
}

// minimaxPanel is a panel of a loss or an accuracy, our own method in front.
func minimaxPanel(column string, x chart.Axis) chart.Panel {
	what := map[string]struct{ title, quantity string }{
		"loss":     {"Validation loss", "loss of the validation rows"},
		"accuracy": {"Test accuracy", "share of the test rows that are predicted rightly"},
	}[column]
	return chart.Panel{Title: what.title, X: x, Y: chart.Axis{Quantity: what.quantity}}
}
