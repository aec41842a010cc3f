package stochastic

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// The order of a walk is the number of its parts where it goes straight on, about one where it is random, and less
// where it goes back and forth.
func TestOrderOfWalks(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	const parts, p = 10, 500
	for _, c := range []struct {
		name           string
		step           func(part int) float64
		lo, hi         float64
		noisy, resting bool
	}{
		{"straight", func(int) float64 { return 1 }, parts - 1e-9, parts + 1e-9, false, false},
		{"random", func(int) float64 { return rng.NormFloat64() }, .8, 1.2, true, false},
		{"around", func(part int) float64 { return math.Pow(-1, float64(part)) + .1*rng.NormFloat64() }, 0, .1, true, true},
	} {
		v := func() []float64 { return make([]float64, p) }
		core := &core{x: v(), z: v()}
		core.gi = NewSampler(NewPartition(64, 64), 1, 1, false)
		a := &auto{xs: v(), xl: v(), gamma: v(), length: 128}
		for j := range a.gamma {
			a.gamma[j] = math.Exp(rng.NormFloat64()) // its scale does not matter where all of a walk has it
		}
		for part := range parts {
			for j := range core.x {
				core.x[j] += a.gamma[j] * c.step(part)
			}
			a.part(core)
		}
		noisy, resting, _ := a.walk(core)
		if a.order < c.lo || a.order > c.hi || noisy != c.noisy || resting != c.resting {
			t.Errorf("%s: order %g, noisy %t, resting %t", c.name, a.order, noisy, resting)
		}
	}
}

// Where batches know only their part of x, a coordinate that has moved once has no order.
func TestOrderOfPartedWalks(t *testing.T) {
	g := cleaningProblem(256, 64, 8, 3)
	run, err := SOBA{Batch: 8}.Start(g, bilevel.Point{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := run.(*sobaRun)
	a := r.auto
	if !r.parted() || a.shortest < r.gi.Blocks() {
		t.Fatalf("stretches of %d steps, %d batches", a.shortest, r.gi.Blocks())
	}
	for j := range a.gamma {
		a.gamma[j] = 1
	}
	for j := range r.x { // each in a part of its own
		r.x[j]++
		a.part(r.core)
	}
	if noisy, resting, straight := a.walk(r.core); noisy || resting || a.order != 1 || straight > 1 {
		t.Errorf("order %g, noisy %t, resting %t; K halves above %g", a.order, noisy, resting, straight)
	}
}

// Steps grow while a coordinate keeps its direction, fall where it turns, and are halved where its swing grows.
func TestFactorOfSteps(t *testing.T) {
	a := &auto{last: []float64{1}, turned: []float64{0}, fast: fastGrowth}
	for _, c := range []struct {
		d     float64
		noisy bool
		want  float64
	}{{1, false, fastGrowth}, {0, false, 1}, {-2, true, 1 / growth}, {2, true, growth}, {2, false, fastGrowth}, {-.5, false, 1 / growth}, {-2, false, shrink}, {1, false, growth}} {
		if got := a.factor(0, c.d, c.noisy); got != c.want {
			t.Errorf("after 1 a displacement of %g, noisy %t: %g, want %g", c.d, c.noisy, got, c.want)
		}
	}
}

// Where batches know only their part of x, all steps grow while displacements point the same way, are halved where they
// turn, and stay where the angle says nothing or most of x has gone as far as it may.
func TestPartedStepsChangeTogether(t *testing.T) {
	const p = 100
	rng := rand.New(rand.NewPCG(9, 9))
	last, now := make([]float64, p), make([]float64, p)
	for _, c := range []struct {
		name   string
		along  float64 // part of the last displacement in this one
		noise  float64
		plan   float64
		turned float64
		want   float64
	}{
		{"straight", 1, 0, 10, 0, 2}, {"straight after a turn", 1, 0, 10, 1, growth}, {"mostly noise", .5, 1, 10, 0, 2}, {"noise", 0, 1, 100, 0, 1},
		{"back", -1, .5, 10, 0, shrink}, {"limited", 1, 0, 1, 0, 1},
	} {
		// Orthogonal vectors of unit entries, so that the angle is what it is said to be.
		for j := range p {
			last[j] = 1
			now[j] = c.along + c.noise*float64(1-j%2*2)
		}
		x, xs := make([]float64, p), make([]float64, p)
		plan := make([]float64, p)
		for j := range p {
			xs[j] = rng.NormFloat64()
			x[j] = xs[j] + now[j]
			plan[j] = c.plan
		}
		a := &auto{last: last, xs: xs, plan: plan, turned: []float64{c.turned}, fast: 2}
		if got := a.together(&core{x: x}); got != c.want {
			t.Errorf("%s: %g, want %g", c.name, got, c.want)
		}
		if c.want == shrink && a.turned[0] != 1 {
			t.Errorf("%s: the turn is forgotten", c.name)
		}
	}
}
