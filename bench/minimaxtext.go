package bench

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/valuefn"
)

var minimaxNews = Figure{
	Name:    "minimax-20news",
	Title:   "MinimaxOPT against hypergradients on 20 newsgroups with a strength per word: loss and accuracy against gradient calls",
	Paper:   minimaxPaper + ", figure 2",
	Sets:    []string{"20newsgroups"},
	Labels:  []string{"method"},
	Values:  []string{"calls", "seconds", "loss", "accuracy"},
	Repeats: 1,
	compute: computeMinimaxNews,
	panels:  minimaxNewsPanels,
}

// newsBox bounds |x_j|: strengths that grow without bound make every constant inner step diverge.
const newsBox = 5

// newsCalls are the gradient calls of a run.
const newsCalls = 300

// computeMinimaxNews runs all methods on the one problem, which only the split makes random.
func computeMinimaxNews(ctx context.Context, o Options, t *Table) error {
	if o.Repeats > 1 {
		return fmt.Errorf("bench: minimax-20news shows single runs, not means of %d", o.Repeats)
	}
	p, accuracy, err := newsProblem(ctx, o)
	if err != nil {
		return err
	}
	gd := valuefn.MinimaxOPT{Batch: p.Inner.Samples(), Alpha: 10, Growth: 1.5, StageSteps: 40, Stages: 4, Inner: 10, Outer: 1e7}
	momentum := gd
	momentum.InnerOptimizer = hypergrad.Momentum{}
	list := append([]contender{{"MinimaxOPT, momentum", momentum, 4}, {"MinimaxOPT", gd, 4}}, doubleLoops(20, 100, .9, 1e7)...)
	for i, c := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		course, _, err := c.race(ctx, p, bilevel.Point{}, o.Seed, newsCalls, accuracy)
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

// newsProblem is softmax regression on word counts of unit length, half of the training texts at each level, with the
// penalty ½ mean over words and classes of e^{x_j} z².
func newsProblem(ctx context.Context, o Options) (*bilevel.Problem, func(z []float64) float64, error) {
	all, test, _, err := dataset.Load(ctx, "20newsgroups", dataset.GetOptions{DataDir: o.DataDir})
	if err != nil {
		return nil, nil, err
	}
	train, val, err := all.Split(.5, o.Seed, true)
	if err != nil {
		return nil, nil, err
	}
	_, d := train.X.Dims()
	k := len(all.Classes)
	loss, err := model.NewSoftmax(train.X, labels(train.Y), k, d)
	if err != nil {
		return nil, nil, err
	}
	pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{Scale: 1 / float64(d*k)})
	if err != nil {
		return nil, nil, err
	}
	g, err := model.Regularize(loss, pen)
	if err != nil {
		return nil, nil, err
	}
	f, err := model.NewSoftmax(val.X, labels(val.Y), k, d)
	if err != nil {
		return nil, nil, err
	}
	a, ok := test.X.(*rows.CSR)
	if !ok {
		return nil, nil, fmt.Errorf("bench: the rows of %s are %T", test.Source, test.X)
	}
	y := labels(test.Y)
	accuracy := func(z []float64) float64 {
		right, score := 0, make([]float64, k)
		for i := range y {
			idx, val := a.Row(i)
			kernel.SparseScores(score, idx, val, z, k)
			top := 0
			for c, s := range score {
				if s > score[top] {
					top = c
				}
			}
			if top == y[i] {
				right++
			}
		}
		return float64(right) / float64(len(y))
	}
	p := &bilevel.Problem{Outer: f, Inner: g}
	p.Lower, p.Upper = bounds(d, newsBox)
	return p, accuracy, nil
}

// minimaxNewsPanels are loss and accuracy, against calls and time.
func minimaxNewsPanels(t *Table) []panel {
	var list []panel
	for _, v := range []struct{ title, x, label, y string }{
		{"validation loss", "calls", "gradient calls", "loss"},
		{"test accuracy", "calls", "gradient calls", "accuracy"},
		{"validation loss", "seconds", "seconds", "loss"},
		{"test accuracy", "seconds", "seconds", "accuracy"},
	} {
		p := panel{title: v.title, x: v.label, y: v.title}
		for _, method := range t.labels(0) {
			p.series = append(p.series, series{name: method, x: t.values(v.x, method), y: t.values(v.y, method)})
		}
		list = append(list, p)
	}
	return list
}
