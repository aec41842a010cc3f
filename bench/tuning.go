package bench

import (
	"context"
	"errors"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/tune"
)

var ijcnn1Tuning = Figure{
	Name:    "ijcnn1",
	Title:   "Validation loss on ijcnn1 while tune learns a strength per feature, against the best shared one",
	Paper:   "bilevel tune --reg feature --start 0",
	Caption: "49,990 training and 91,701 validation rows; the smallest loss is known to 10⁻⁹.",
	Sets:    []string{"ijcnn1"},
	Labels:  []string{"strengths"},
	Values:  []string{"step", "seconds", "loss"},
	compute: computeTuning,
	panels:  tuningPanels,
}

// What the series of the figure are called.
const (
	tunedEach   = "22 strengths, learned"
	tunedShared = "best shared strength"
)

// computeTuning fits once. The best shared strength, of tune's grid, is a row without a step.
func computeTuning(ctx context.Context, o Options, t *Table) error {
	train, val, _, err := dataset.Load(ctx, "ijcnn1", o.from())
	if err != nil {
		return err
	}
	r, err := tune.Fit(ctx, tune.Data{Train: train, Val: val},
		tune.Options{Reg: tune.PerFeature, Prior: "off", Start: "0", Seed: o.Seed})
	if err != nil {
		return err
	}
	if r.BaselineWon {
		return errors.New("bench: no strengths are better than a shared one")
	}
	t.add([]string{tunedShared}, 0, 0, r.BaselineValue)
	for _, p := range r.Trace {
		t.add([]string{tunedEach}, float64(p.Step), p.Seconds, p.Value)
	}
	return nil
}

// tuningPanels is the loss less the smallest one, so that a logarithmic axis shows all of it.
func tuningPanels(t *Table) []chart.Panel {
	above := func(list []float64) (all []float64) {
		for _, v := range list {
			all = append(all, v-(ijcnn1Best-bestMargin))
		}
		return all
	}
	steps := t.values("step", tunedEach)
	shared := above(t.values("loss", tunedShared))[0]
	return []chart.Panel{{
		Title: "One strength for each of 22 features of ijcnn1",
		X:     chart.Axis{Quantity: "steps", Zero: true},
		Y:     chart.Axis{Quantity: "validation loss above the smallest, 0.20389", Log: true, Least: 10 * bestMargin},
		Curves: []chart.Curve{
			{Name: tunedEach, X: steps, Y: above(t.values("loss", tunedEach))},
			{Name: tunedShared, X: []float64{0, steps[len(steps)-1]}, Y: []float64{shared, shared}, Reference: true},
		},
	}}
}
