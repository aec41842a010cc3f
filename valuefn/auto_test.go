package valuefn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Automatic steps are quick on many samples, from a start whose strengths are far too large: what they need does not
// grow with the number of samples, and much less with hundreds of passes over them.
func TestAutomaticStepsStartFast(t *testing.T) {
	const n, d = 20000, 22
	rng := rand.New(rand.NewPCG(1, 1))
	loss := func() *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			score := -2.0
			for j := range d {
				v := rng.NormFloat64() / 4
				a.Row(i)[j] = v
				score += 8 * v / float64(1+j)
			}
			y[i] = math.Copysign(1, rng.Float64()-1/(1+math.Exp(score)))
		}
		return must(model.NewLogistic(a, y, d))
	}
	p := withStrengths(loss(), loss(), model.PenaltyOptions{})
	p.Lower, p.Upper = fill(d, -12), fill(d, 12)
	e := must(hypergrad.NewEvaluator(p, hypergrad.AID{}))
	best := minimize(t, hypergrad.HOAG{}, p, bilevel.Settings{MaxSteps: 30, Start: bilevel.Point{X: fill(d, -4)}}).Value
	for seed := range uint64(1) {
		rng := rand.New(rand.NewPCG(seed, 2))
		start := bilevel.Point{Z: fill(d, 0), X: fill(d, 0)}
		for j := range d {
			start.Z[j], start.X[j] = rng.NormFloat64(), -rng.Float64()
		}
		before := must(e.Evaluate(t.Context(), nil, start.X)) - best
		for _, c := range []struct {
			m       bilevel.Method
			samples int64
			left    float64
		}{{F2SA{}, 1e6, .05}, {MinimaxOPT{}, 1e6, .05}, {BOME{}, 1e6, .1}, {VPBGD{}, 1e7, .1}, {BOME{Batch: n}, 4e7, .2}} {
			run := must(c.m.Start(p, start, seed))
			for run.Counts().Total() < c.samples {
				if err := run.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			left := (must(e.Evaluate(t.Context(), nil, run.Point().X)) - best) / before
			t.Logf("%T: %.3g", c.m, left)
			if !(left < c.left) {
				t.Errorf("%T: %.3g of h − h* is left after %d samples", c.m, left, c.samples)
			}
		}
	}
}
