package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/internal/toy"
	"github.com/bilevel-go/bilevel/stochastic"
	"github.com/bilevel-go/bilevel/valuefn"
)

const bomePaper = "Liu, Ye, Wright, Stone, Liu, BOME! Bilevel optimization made easy, 2022, "

var bomeCoreset = Figure{
	Name:    "bome-coreset",
	Title:   "BOME on the coreset toy: trajectories of z from three starts, and f and the inner gap for several T and η",
	Paper:   bomePaper + "coreset",
	Labels:  []string{"series"},
	Values:  []string{"step", "f", "gap", "z1", "z2"},
	compute: computeCoreset,
	panels:  coresetPanels,
}

var bomeNoSingleton = Figure{
	Name:    "bome-nosingleton",
	Title:   "BOME where the inner problem has many solutions: f and the inner gap for several T and η",
	Paper:   bomePaper + "no lower-level singleton",
	Labels:  []string{"series"},
	Values:  []string{"step", "f", "gap"},
	compute: computeNoSingleton,
	panels:  func(t *Table) []chart.Panel { return toyPanels(t, "f", same) },
}

var bomeAdversarial = Figure{
	Name:    "bome-adversarial",
	Title:   "BOME where the levels are adversaries, f = xz and g = −xz: |f| and the inner gap for several T and η",
	Paper:   bomePaper + "adversaries",
	Labels:  []string{"series"},
	Values:  []string{"step", "f", "gap"},
	compute: computeAdversarial,
	panels:  func(t *Table) []chart.Panel { return toyPanels(t, "size of f, |f|", math.Abs) },
}

// toySeries is a run of a toy figure.
type toySeries struct {
	name  string
	m     bilevel.Method
	at    bilevel.Point
	steps int64
	// The gap is what innerSteps gradient steps of size alpha on g gain.
	innerSteps int
	alpha      float64
}

// bomeSeries is a run of BOME with one step size for z and x, named after its parameters.
func bomeSeries(at bilevel.Point, steps int64, innerSteps int, eta, alpha, step, epsilon float64) toySeries {
	return toySeries{fmt.Sprintf("T=%d eta=%g", innerSteps, eta),
		valuefn.BOME{InnerSteps: innerSteps, Eta: eta, Epsilon: epsilon, Alpha: stochastic.Constant(alpha),
			InnerStep: stochastic.Constant(step), OuterStep: stochastic.Constant(step)}, at, steps, innerSteps, alpha}
}

// bomeParameters are the T and η of the figures.
var bomeParameters = []struct {
	innerSteps int
	eta        float64
}{{1, .5}, {10, .5}, {100, .5}, {10, .1}, {10, .9}}

// toySteps are the steps up to last that are recorded: all at first, then some of each decade, with 1, 2 and 5 times
// each power of ten.
func toySteps(last int64) []int64 {
	list := []int64{0, last}
	for v := 1.0; v < float64(last); v = max(v+1, v*1.06) {
		list = append(list, int64(v))
	}
	for v := int64(1); v < last; v *= 10 {
		list = append(list, v, min(2*v, last), min(5*v, last))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// toyCurves adds the rows of runs on p, with z where the table has columns for it.
func toyCurves(ctx context.Context, o Options, t *Table, p *bilevel.Problem, runs []toySeries) error {
	d, _ := p.Dims()
	all, dz := bilevel.Batch{Hi: 1}, make([]float64, d)
	for i, s := range runs {
		run, err := s.m.Start(p, s.at, o.Seed)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		made := int64(0)
		for _, step := range toySteps(s.steps) {
			if err := ctx.Err(); err != nil {
				return err
			}
			for ; made < step; made++ {
				if err := run.Step(ctx); err != nil {
					return fmt.Errorf("%s, step %d: %w", s.name, made+1, err)
				}
			}
			at := run.Point()
			gap := p.Inner.Value(at.Z, at.X, all)
			end := slices.Clone(at.Z)
			for range s.innerSteps {
				p.Inner.Grad(dz, nil, end, at.X, all)
				for i, g := range dz {
					end[i] -= s.alpha * g
				}
			}
			gap -= p.Inner.Value(end, at.X, all)
			row := []float64{float64(step), p.Outer.Value(at.Z, at.X, all), gap, at.Z[0], at.Z[d-1]}
			t.add([]string{s.name}, row[:len(t.Values)]...)
		}
		o.Progress(float64(i+1) / float64(len(runs)))
	}
	return nil
}

// coresetStart names a run from another start than the first.
func coresetStart(i int) string { return fmt.Sprintf("T=10 eta=0.5 start %d", i+1) }

func computeCoreset(ctx context.Context, o Options, t *Table) error {
	const steps, step, epsilon = 5000, .05, 1e-4
	p, starts := toy.Coreset(), toy.CoresetStarts()
	var runs []toySeries
	for _, v := range bomeParameters {
		alpha := step
		if v.innerSteps == 1 {
			alpha = .1
		}
		runs = append(runs, bomeSeries(starts[0], steps, v.innerSteps, v.eta, alpha, step, epsilon))
	}
	for i, at := range starts[1:] {
		s := bomeSeries(at, steps, 10, .5, step, step, epsilon)
		s.name = coresetStart(i + 1)
		runs = append(runs, s)
	}
	rate := stochastic.Constant(step)
	runs = append(runs,
		toySeries{"BSG-1", valuefn.BSG1{InnerStep: rate, OuterStep: rate}, starts[0], steps, 10, step},
		toySeries{"BVFSM", valuefn.BVFSM{Value: rate, InnerStep: rate, OuterStep: rate, Horizon: steps}, starts[0], steps,
			10, step},
		toySeries{"penalty", hypergrad.Penalty{InnerStep: step, OuterStep: step, Gamma: .01, Epsilon: .01, Scale: .5},
			starts[0],
			steps, 10, step})
	if err := toyCurves(ctx, o, t, p, runs); err != nil {
		return err
	}
	// The hull's vertices, in order and closed: g = 0 there with weights on one vertex.
	for i, k := range []int{0, 1, 3, 2, 0} {
		v := toy.Vertices[k]
		t.add([]string{"hull"}, float64(i), p.Outer.Value(v[:], make([]float64, 4), bilevel.Batch{Hi: 1}), 0, v[0], v[1])
	}
	return nil
}

func computeNoSingleton(ctx context.Context, o Options, t *Table) error {
	const steps, step = 1000, .5
	var runs []toySeries
	for _, v := range bomeParameters {
		runs = append(runs, bomeSeries(bilevel.Point{}, steps, v.innerSteps, v.eta, step, step, 0))
	}
	rate := stochastic.Constant(step)
	runs = append(runs,
		toySeries{"BSG-1", valuefn.BSG1{InnerSteps: 1, InnerStep: rate, OuterStep: rate, Epsilon: 1e-8}, bilevel.Point{},
			steps, 1,
			step},
		toySeries{"penalty", hypergrad.Penalty{InnerSteps: 1, InnerStep: step, OuterStep: step, Gamma: .01, Epsilon: .1,
			Scale: .5},
			bilevel.Point{}, 2 * steps, 1, step})
	return toyCurves(ctx, o, t, toy.NoSingleton(), runs)
}

func computeAdversarial(ctx context.Context, o Options, t *Table) error {
	const steps, step = 500, .05
	var runs []toySeries
	for _, v := range bomeParameters {
		n := int64(steps)
		if v.innerSteps == 1 {
			n *= 4
		}
		runs = append(runs, bomeSeries(toy.AdversarialStart(), n, v.innerSteps, v.eta, step, step, 0))
	}
	return toyCurves(ctx, o, t, toy.Adversarial(), runs)
}

// toyName is what figures call a series: T = 10, η = 0.5.
func toyName(name string) string {
	return strings.NewReplacer(" eta=", ", η = ", "T=", "T = ", "penalty", "Penalty").Replace(name)
}

// toyCurve is a column of a series against steps.
func toyCurve(t *Table, name, column string, of func(float64) float64) chart.Curve {
	c := chart.Curve{Name: toyName(name), X: t.values("step", name)}
	for _, v := range t.values(column, name) {
		c.Y = append(c.Y, of(v))
	}
	return c
}

// What figures of toys show against steps.
var (
	outerSteps = chart.Axis{Quantity: "outer steps", Log: true}
	toyGap     = chart.Axis{Quantity: "what T gradient steps still lower g by", Log: true}
)

func same(v float64) float64 { return v }

// toyPanels are f and the gap of all series.
func toyPanels(t *Table, quantity string, of func(float64) float64) []chart.Panel {
	f := chart.Panel{Title: "Outer objective", X: outerSteps, Y: chart.Axis{Quantity: quantity, Log: true}}
	gap := chart.Panel{Title: "Inner gap", X: outerSteps, Y: toyGap}
	for _, name := range t.labels(0) {
		f.Curves = append(f.Curves, toyCurve(t, name, "f", of))
		gap.Curves = append(gap.Curves, toyCurve(t, name, "gap", same))
	}
	return []chart.Panel{f, gap}
}

// coresetPanels are the plane, and f and the gap of some series.
func coresetPanels(t *Table) []chart.Panel {
	plane := chart.Panel{Title: "z from three starts", X: chart.Axis{Quantity: "z₁"}, Y: chart.Axis{Quantity: "z₂"}}
	for i, name := range []string{"T=10 eta=0.5", coresetStart(1), coresetStart(2), "hull"} {
		label := name
		if name != "hull" {
			label = fmt.Sprintf("start %d", i+1)
		}
		plane.Curves = append(plane.Curves, chart.Curve{Name: label, X: t.values("z1", name), Y: t.values("z2", name),
			Reference: name == "hull"})
	}
	objective := chart.Axis{Quantity: "f, 0.72 at the answer"}
	f := chart.Panel{Title: "Outer objective", X: outerSteps, Y: objective}
	gap := chart.Panel{Title: "Inner gap", X: outerSteps, Y: toyGap}
	others := chart.Panel{Title: "Other methods", X: outerSteps, Y: objective}
	for _, v := range bomeParameters {
		name := fmt.Sprintf("T=%d eta=%g", v.innerSteps, v.eta)
		f.Curves = append(f.Curves, toyCurve(t, name, "f", same))
		gap.Curves = append(gap.Curves, toyCurve(t, name, "gap", same))
	}
	for _, name := range []string{"T=10 eta=0.5", "BSG-1", "BVFSM", "penalty"} {
		c := toyCurve(t, name, "f", same)
		if strings.HasPrefix(name, "T=") {
			c.Name = "BOME"
		}
		others.Curves = append(others.Curves, c)
	}
	return []chart.Panel{plane, f, gap, others}
}
