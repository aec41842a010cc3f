package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/linsolve"
)

var warmStart = Figure{
	Name: "warm-start",
	Title: "‖∇h‖² against inner and linear iterations, with and without warm start, logistic regression with a " +
		"strength per feature",
	Paper: "Grazzi and Pontil, Principled and efficient bilevel optimization for machine learning (tutorial), " +
		"warm start",
	Caption: "Medians over random problems; bands from the 20% to the 80% quantile.",
	Labels:  []string{"start", "schedule"},
	Values:  []string{"iterations", "grad2_median", "grad2_q20", "grad2_q80"},
	Repeats: 10,
	compute: computeWarm,
	panels:  warmPanels,
}

// warmBudget is the number of inner and linear iterations of a run.
const warmBudget = 20_000

// warmPoints bounds the points of a curve.
const warmPoints = 100

// warmSchedules are the t_s = k_s of the figure.
var warmSchedules = []struct {
	name string
	at   hypergrad.Schedule
}{
	{"t = k = 2", hypergrad.Constant(2)},
	{"t = k = 10", hypergrad.Constant(10)},
	{"t = k = 50", hypergrad.Constant(50)},
	{"t = k = 10 log(s + 1)", hypergrad.Log(10)},
}

// computeWarm runs inexact hypergradient descent on random problems, and takes medians over them.
func computeWarm(ctx context.Context, o Options, t *Table) error {
	starts := []string{"warm", "cold"}
	type key struct{ start, schedule int }
	curves := map[key][][]float64{} // by outer step, of the draws
	iterations := make([][]float64, len(warmSchedules))
	for k := range o.Repeats {
		p, err := syntheticProblems[0].make(rand.New(rand.NewPCG(o.Seed, uint64(k))))
		if err != nil {
			return err
		}
		_, q := p.Dims()
		p.Lower, p.Upper = make([]float64, q), make([]float64, q)
		for j := range q {
			p.Lower[j], p.Upper[j] = -6, 1
		}
		eta, err := contraction(p, p.Upper) // for every x in the box
		if err != nil {
			return err
		}
		for i := range starts {
			for j, s := range warmSchedules {
				if err := ctx.Err(); err != nil {
					return err
				}
				var steps int64
				var total []float64
				for sum := 0; ; steps++ {
					total = append(total, float64(sum))
					if sum += 2 * s.at.At(int(steps)); sum > warmBudget {
						break
					}
				}
				e, err := hypergrad.NewEvaluator(p, nil)
				if err != nil {
					return err
				}
				res, err := bilevel.Minimize(ctx, p, hypergrad.Descent{
					Estimator: hypergrad.AID{Inner: inner.GradientDescent{Step: eta}, Linear: linsolve.FixedPoint{Scale: eta}},
					Step:      20, InnerSteps: s.at, LinearSteps: s.at, ColdStart: i == 1, ColdAdjoint: i == 1,
				}, bilevel.Settings{MaxSteps: steps, RecordEvery: 1, Evaluator: e})
				if err != nil {
					return fmt.Errorf("bench: %s start, %s: %w", starts[i], s.name, err)
				}
				curve := curves[key{i, j}]
				for n, r := range res.Trace {
					if n == len(curve) {
						curve = append(curve, nil)
					}
					curve[n] = append(curve[n], r.GradNorm*r.GradNorm)
				}
				curves[key{i, j}], iterations[j] = curve, total
			}
		}
		o.Progress(float64(k+1) / float64(o.Repeats))
	}
	for i, start := range starts {
		for j, s := range warmSchedules {
			curve := curves[key{i, j}]
			for n, draws := range curve {
				if n%(1+len(curve)/warmPoints) > 0 && n < len(curve)-1 {
					continue
				}
				slices.Sort(draws)
				q := func(p float64) float64 { return stat.Quantile(p, stat.LinInterp, draws, nil) }
				t.add([]string{start, s.name}, iterations[j][n], q(.5), q(.2), q(.8))
			}
		}
	}
	return nil
}

// warmPanels is a panel for each start.
func warmPanels(t *Table) []chart.Panel {
	var list []chart.Panel
	for _, start := range t.labels(0) {
		p := chart.Panel{Title: sentence(start) + " start",
			X: chart.Axis{Quantity: "inner and linear iterations", Zero: true},
			Y: chart.Axis{Quantity: "squared norm of the gradient of h", Log: true}}
		for _, s := range t.labels(1, start) {
			p.Curves = append(p.Curves, chart.Curve{
				Name: s, X: t.values("iterations", start, s), Y: t.values("grad2_median", start, s),
				Low: t.values("grad2_q20", start, s), High: t.values("grad2_q80", start, s),
			})
		}
		list = append(list, p)
	}
	return list
}
