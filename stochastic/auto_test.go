package stochastic

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// With a weight per row all steps are one number, no weight goes farther in a stretch than planned, held directions or
// not, and steps do not grow where x stands still at its bounds.
func TestStepsOfWeights(t *testing.T) {
	for _, m := range []bilevel.Method{SOBA{Batch: 8}, SABA{Batch: 8}, MRBO{Batch: 8, Terms: 2}, FSLA{Batch: 8}} {
		p := cleaningProblem(256, 64, 8, 3)
		run, err := m.Start(p, bilevel.Point{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := coreOf(run)
		a := c.auto
		if a.Blocks != c.gi.Blocks() || a.Shortest < a.Blocks {
			t.Fatalf("%T: %d batches, %d to the control, whose stretches have %d steps", m, c.gi.Blocks(), a.Blocks, a.Shortest)
		}
		var start, plan []float64
		from := int64(-1)
		for range 6000 {
			if a.Moving && a.From != from {
				from, start, plan = a.From, slices.Clone(a.Start), slices.Clone(a.Plan)
			}
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if from < 0 || a.From != from {
				continue
			}
			for j, x := range c.x {
				if d := math.Abs(x - start[j]); d > plan[j]*(1+1e-12) || a.Gamma[j] != a.Gamma[0] {
					t.Fatalf("%T, step %d: x[%d] is %g from where it began, planned %g; γ is %g and %g", m, c.t, j, d, plan[j],
						a.Gamma[j], a.Gamma[0])
				}
			}
		}
		if !a.Moving || start == nil {
			t.Errorf("%T: x has not moved", m)
		}

		p.Lower, p.Upper = make([]float64, 256), make([]float64, 256)
		for j := range p.Upper {
			p.Lower[j], p.Upper[j] = -1e-3, 1e-3
		}
		if run, err = m.Start(p, bilevel.Point{}, 1); err != nil {
			t.Fatal(err)
		}
		c = coreOf(run)
		most := 0.0
		for i := range 20_000 {
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if i == 10_000 {
				most = c.auto.Gamma[0]
			}
		}
		if c.auto.Gamma[0] > 4*most {
			t.Errorf("%T: at the bounds γ grows from %g to %g", m, most, c.auto.Gamma[0])
		}
	}
}

// Weights that only their own batch moves may go far at once, held ones and others not.
func TestLargestMoves(t *testing.T) {
	p := cleaningProblem(256, 64, 8, 3)
	for _, c := range []struct {
		m    bilevel.Method
		want float64
	}{{SOBA{}, 2}, {SABA{}, .25}, {PZOBO{}, .25}} {
		run, err := c.m.Start(p, bilevel.Point{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := coreOf(run).auto.Farthest; got != c.want {
			t.Errorf("%T: %g, want %g", c.m, got, c.want)
		}
	}
}

// self makes the core of a run that has one known.
func (c *core) self() *core { return c }

func coreOf(run bilevel.Run) *core { return run.(interface{ self() *core }).self() }
