package bench

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/internal/toy"
	"github.com/bilevel-go/bilevel/valuefn"
)

var bomeKKT = Figure{
	Name: "bome-kkt",
	Title: "BOME's KKT loss, the smallest of K steps of a size proportional to 1/√K, for a convex and a non-convex " +
		"inner problem",
	Paper:   bomePaper + "theorem 2 and its convex counterpart",
	Caption: "The bound is drawn from the first point on.",
	Labels:  []string{"series"},
	Values:  []string{"step", "f", "gap", "kkt"},
	compute: computeKKT,
	panels:  kktPanels,
}

// kktBudgets are the K of the figure.
var kktBudgets = []int{10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000}

// kktProblems are the problems of the figure. ξ is scale/√K and α is given.
var kktProblems = []struct {
	name         string
	p            *bilevel.Problem
	at           bilevel.Point
	scale, alpha float64
	rate         float64 // exponent of K in the bound
}{
	{"convex", toy.Coreset(), toy.CoresetStarts()[0], .5, .05, -1. / 3},
	{"non-convex", toy.Waves(), bilevel.Point{Z: []float64{2, -2}}, .2, .05, -1. / 4},
}

var kktInnerSteps = []int{1, 10, 100}

// computeKKT runs BOME for each K with its own step size. A row is the point of the run where the loss is smallest.
func computeKKT(ctx context.Context, o Options, t *Table) error {
	done, all := 0, 0
	for _, k := range kktBudgets {
		all += k * len(kktProblems) * len(kktInnerSteps)
	}
	for _, c := range kktProblems {
		for _, innerSteps := range kktInnerSteps {
			for _, budget := range kktBudgets {
				if err := ctx.Err(); err != nil {
					return err
				}
				s := bomeSeries(c.at, int64(budget), innerSteps, .5, c.alpha, c.scale/math.Sqrt(float64(budget)), 0)
				f, best, err := smallestKKT(ctx, c.p, s, o.Seed)
				if err != nil {
					return fmt.Errorf("%s, %s, K = %d: %w", c.name, s.name, budget, err)
				}
				t.add([]string{c.name + " " + s.name}, float64(budget), f, best.Gap, best.Loss)
				done += budget
				o.Progress(float64(done) / float64(all))
			}
		}
	}
	return nil
}

// smallestKKT is the smallest KKT loss of a run, and f there.
func smallestKKT(ctx context.Context, p *bilevel.Problem, s toySeries,
	seed uint64) (f float64, best valuefn.KKT, err error) {
	run, err := s.m.Start(p, s.at, seed)
	if err != nil {
		return 0, best, err
	}
	best.Loss = math.Inf(1)
	for range s.steps {
		if err := run.Step(ctx); err != nil {
			return 0, best, err
		}
		at := run.Point()
		k, err := valuefn.KKTAt(p, at, 0)
		if err != nil {
			return 0, best, err
		}
		if k.Loss < best.Loss {
			f, best = p.Outer.Value(at.Z, at.X, bilevel.All(p.Outer)), k
		}
	}
	return f, best, nil
}

// kktPanels is a panel for each problem, with the rate of its theorem.
func kktPanels(t *Table) []chart.Panel {
	var list []chart.Panel
	for _, c := range kktProblems {
		p := chart.Panel{Title: sentence(c.name) + " inner problem", X: chart.Axis{Quantity: "outer steps K", Log: true},
			Y: chart.Axis{Quantity: "smallest KKT loss so far", Log: true}}
		for _, innerSteps := range kktInnerSteps {
			name := fmt.Sprintf("T=%d eta=0.5", innerSteps)
			p.Curves = append(p.Curves, chart.Curve{Name: fmt.Sprintf("T = %d", innerSteps),
				X: t.values("step", c.name+" "+name), Y: t.values("kkt", c.name+" "+name)})
		}
		rate := chart.Curve{Name: fmt.Sprintf("bound, slope −%.2f", -c.rate), X: p.Curves[0].X, Reference: true}
		for _, k := range rate.X {
			rate.Y = append(rate.Y, p.Curves[0].Y[0]*math.Pow(k/rate.X[0], c.rate))
		}
		p.Curves = append(p.Curves, rate)
		list = append(list, p)
	}
	return list
}
