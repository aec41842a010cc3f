package bench

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/valuefn"
)

var minimaxNews = Figure{
	Name: "minimax-20news",
	Title: "MinimaxOPT against hypergradients on 20 newsgroups with a strength per word: loss and accuracy against " +
		"gradient calls",
	Paper:   minimaxPaper + ", figure 2",
	Sets:    []string{"20newsgroups"},
	Caption: "One run of each method.",
	Labels:  []string{"method"},
	Values:  []string{"calls", "seconds", "loss", "accuracy"},
	Repeats: 1,
	compute: computeMinimaxNews,
	panels:  minimaxNewsPanels,
}

// newsCalls are the gradient calls of a run; all |x_j| are at most textBox.
const (
	newsCalls = 300
	textBox   = 5
)

// computeMinimaxNews runs all methods on the one problem, which only the split makes random.
func computeMinimaxNews(ctx context.Context, o Options, t *Table) error {
	if o.Repeats > 1 {
		return fmt.Errorf("bench: minimax-20news shows single runs, not means of %d", o.Repeats)
	}
	in, err := news{Box: textBox, Seed: o.Seed}.load(ctx, o.from())
	if err != nil {
		return err
	}
	accuracy := func(z []float64) float64 { return 1 - in.testError(bilevel.Point{Z: z}) }
	gd := valuefn.MinimaxOPT{Batch: in.problem.Inner.Samples(), Alpha: 10, Growth: 1.5, StageSteps: 40, Stages: 4,
		InnerStep: 10, OuterStep: 1e7}
	momentum := gd
	momentum.InnerOptimizer = hypergrad.Momentum{}
	list := append([]contender{{"MinimaxOPT, momentum", momentum, 4}, {"MinimaxOPT", gd, 4}},
		doubleLoops(20, 100, .9, 1e7)...)
	for i, c := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		course, _, err := c.race(ctx, in.problem, bilevel.Point{}, o.Seed, newsCalls, accuracy)
		if err != nil {
			return err
		}
		for _, m := range course {
			t.add([]string{c.name}, m.calls, m.seconds, m.loss, m.accuracy)
		}
		o.Progress(float64(i+1) / float64(len(list)))
	}
	return nil
}

// minimaxNewsPanels are loss and accuracy, against calls and time.
func minimaxNewsPanels(t *Table) []chart.Panel {
	var list []chart.Panel
	for _, x := range []struct {
		column string
		axis   chart.Axis
	}{
		{"calls", chart.Axis{Quantity: "gradient calls", Zero: true}},
		{"seconds", chart.Axis{Quantity: "time on one core", Zero: true, Seconds: true}},
	} {
		for _, column := range []string{"loss", "accuracy"} {
			p := minimaxPanel(column, x.axis)
			for _, method := range t.labels(0) {
				p.Curves = append(p.Curves, chart.Curve{Name: method, X: t.values(x.column, method), Y: t.values(column, method)})
			}
			list = append(list, p)
		}
	}
	return list
}
