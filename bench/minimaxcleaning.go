package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/stochastic"
	"github.com/bilevel-go/bilevel/valuefn"
)

var minimaxCleaning = Figure{
	Name: "minimax-cleaning",
	Title: "MinimaxOPT against StocBiO and hypergradients on the cleaning of MNIST, a linear model: test accuracy " +
		"against time",
	Paper:   minimaxPaper + ", figure 4 and table 2",
	Sets:    []string{"mnist"},
	Caption: "One run of each method; momentum comes with a cosine schedule. Noise is the share of labels replaced.",
	Labels:  []string{"noise", "method"},
	Values:  []string{"seconds", "calls", "accuracy"},
	Repeats: 1,
	compute: computeMinimaxCleaning,
	panels:  minimaxCleaningPanels,
}

// cleaningRows are the rows with labels that may be wrong; a gradient call visits so many.
const cleaningRows = 20_000

// cleaningTime is what a run of the figure has, records excluded.
const cleaningTime = 8 * time.Second

// cleaningContenders are the methods, with the step sizes that were best of a few at noise .3.
func cleaningContenders() []contender {
	gd := valuefn.MinimaxOPT{Batch: 500, Alpha: 10, Growth: 1.5, StageSteps: 500, Stages: 5, InnerStep: .03,
		OuterStep: 1e5}
	momentum := gd
	momentum.InnerStep, momentum.InnerOptimizer, momentum.Cosine, momentum.Floor = .003, hypergrad.Momentum{}, true, .05
	list := []contender{
		{"MinimaxOPT", gd, 20},
		{"MinimaxOPT, momentum and cosine", momentum, 20},
		{"StocBiO", stochastic.StocBiO{Batch: 500, InnerStep: stochastic.Constant(.1), OuterStep: stochastic.Constant(1e4)},
			5},
	}
	for _, c := range doubleLoops(10, .3, 0, 1e5) {
		if c.name != "fixed point" { // which the paper leaves out
			list = append(list, c)
		}
	}
	return list
}

// computeMinimaxCleaning runs all methods at three levels of noise.
func computeMinimaxCleaning(ctx context.Context, o Options, t *Table) error {
	if o.Repeats > 1 {
		return fmt.Errorf("bench: minimax-cleaning shows single runs, not means of %d", o.Repeats)
	}
	levels, list := []float64{.1, .3, .5}, cleaningContenders()
	for i, noise := range levels {
		set := cleaning{Noise: noise, Train: cleaningRows, Validation: 5_000, Ridge: 1e-3, Seed: o.Seed}
		in, err := set.load(ctx, o.from())
		if err != nil {
			return err
		}
		for k, c := range list {
			if err := ctx.Err(); err != nil {
				return err
			}
			_, err := bilevel.Minimize(ctx, in.problem, c.method, bilevel.Settings{
				Start: in.start(o.Seed), Seed: o.Seed, MaxTime: cleaningTime, RecordEvery: c.every,
				Recorder: bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) {
					t.add([]string{fmt.Sprint(noise), c.name}, r.Time.Seconds(), float64(r.Counts.Total())/cleaningRows,
						1-in.testError(at))
				}),
			})
			if err != nil {
				return fmt.Errorf("bench: %s, noise %g: %w", c.name, noise, err)
			}
			o.Progress(float64(i*len(list)+k+1) / float64(len(levels)*len(list)))
		}
	}
	return nil
}

// minimaxCleaningPanels is a panel for each level of noise, without the start, which has no place on a logarithmic
// axis.
func minimaxCleaningPanels(t *Table) []chart.Panel {
	var list []chart.Panel
	for _, noise := range t.labels(0) {
		p := minimaxPanel("accuracy", chart.Axis{Quantity: "time on one core", Log: true, Seconds: true})
		p.Title = "Noise " + noise
		for _, method := range t.labels(1, noise) {
			p.Curves = append(p.Curves, chart.Curve{
				Name: strings.TrimSuffix(method, " and cosine"), X: t.values("seconds", noise, method)[1:],
				Y: t.values("accuracy", noise, method)[1:]})
		}
		list = append(list, p)
	}
	return list
}
