package stochastic

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
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
	}{{1, false, fastGrowth}, {0, false, 1}, {-2, true, 1 / growth}, {2, true, growth}, {2, false, fastGrowth}, {-.5,
		false, 1 / growth}, {-2, false, shrink}, {1, false, growth}} {
		if got := a.factor(0, c.d, c.noisy); got != c.want {
			t.Errorf("after 1 a displacement of %g, noisy %t: %g, want %g", c.d, c.noisy, got, c.want)
		}
	}
}

// Where batches know only their part of x, all steps grow while displacements point the same way, are halved where they
// turn, and stay where the angle says nothing or most of x has gone as far as it may.
func TestCommonSteps(t *testing.T) {
	const p = 100
	rng := rand.New(rand.NewPCG(9, 9))
	last, now := make([]float64, p), make([]float64, p)
	for _, c := range []struct {
		name   string
		along  float64 // part of the last displacement in this one
		noise  float64
		plan   float64
		turned float64
		noisy  bool
		want   float64
	}{
		{"straight", 1, 0, 10, 0, false, 2}, {"straight after a turn", 1, 0, 10, 1, false, growth},
		{"straight, noisy", 1, 0, 10, 0, true, growth},
		{"hardly straight", .11, 1, 100, 0, false, 2}, {"too little so", .09, 1, 100, 0, false, 1},
		{"noise", 0, 1, 100, 0, false, 1},
		{"hardly back", -.11, 1, 100, 0, false, shrink}, {"too little so", -.09, 1, 100, 0, false, 1},
		{"back, noisy", -1, .5, 100, 0, true, 1 / growth},
		{"limited", 1, 0, 1, 0, false, 1}, {"limited, back", -1, 0, 1, 0, false, shrink}, {"at rest", 0, 0, 1, 0, false, 1},
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
		if got := a.common(&core{x: x}, c.noisy); got != c.want {
			t.Errorf("%s: %g, want %g", c.name, got, c.want)
		}
		if c.want == shrink && a.turned[0] != 1 {
			t.Errorf("%s: the turn is forgotten", c.name)
		}
	}
}

// With a weight per row all steps are one number, no weight goes farther in a stretch than planned, held directions or
// not, and steps do not grow where x stands still at its bounds, nor at once after a retreat.
func TestStepsOfWeights(t *testing.T) {
	for _, m := range []bilevel.Method{SOBA{Batch: 8}, SABA{Batch: 8}, MRBO{Batch: 8, Terms: 2}, FSLA{Batch: 8}} {
		p := cleaningProblem(256, 64, 8, 3)
		run, err := m.Start(p, bilevel.Point{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := coreOf(run)
		a := c.auto
		var xs, plan []float64
		from := int64(-1)
		for range 6000 {
			if a.moving && a.from != from {
				from, xs, plan = a.from, append(xs[:0], a.xs...), append(plan[:0], a.plan...)
			}
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if from < 0 || a.from != from {
				continue
			}
			for j, x := range c.x {
				if d := math.Abs(x - xs[j]); d > plan[j]*(1+1e-12) || a.gamma[j] != a.gamma[0] {
					t.Fatalf("%T, step %d: x[%d] is %g from where it began, planned %g; γ is %g and %g",
						m, c.t, j, d, plan[j], a.gamma[j], a.gamma[0])
				}
			}
		}
		if !a.moving || xs == nil {
			t.Errorf("%T: x has not moved", m)
		}
		before := a.gamma[0]
		a.turned[0] = 0
		if !a.retreat(c, "so it is", false) {
			t.Fatal("no retreat")
		}
		a.back(c)
		for range 2 {
			for last := a.from; a.from == last; {
				if err := run.Step(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if a.gamma[0] > .75*before {
			t.Errorf("%T: γ was %g before a retreat and is %g two stretches later", m, before, a.gamma[0])
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
				most = c.auto.gamma[0]
			}
		}
		if c.auto.gamma[0] > 4*most {
			t.Errorf("%T: at the bounds γ grows from %g to %g", m, most, c.auto.gamma[0])
		}
	}
}

// Weights that only their own batch moves may go far at once, held ones and others not, and none farther than a quarter
// of its interval.
func TestLargestMoves(t *testing.T) {
	p := cleaningProblem(256, 64, 8, 3)
	for _, c := range []struct {
		m     bilevel.Method
		upper float64
		want  float64
	}{{SOBA{}, 0, 6}, {SABA{}, 0, .75}, {PZOBO{}, 0, .75}, {SOBA{}, 1, .25}} {
		p.Lower, p.Upper = nil, nil
		if c.upper > 0 {
			p.Lower, p.Upper = make([]float64, 256), slices.Repeat([]float64{c.upper}, 256)
		}
		run, err := c.m.Start(p, bilevel.Point{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := coreOf(run)
		if got := r.auto.largest(r, 0, -2); got != c.want {
			t.Errorf("%T, bounds %v: %g at x = -2, want %g", c.m, p.Upper != nil, got, c.want)
		}
	}
}

// self makes the core of a run that has one known.
func (c *core) self() *core { return c }

func coreOf(run bilevel.Run) *core { return run.(interface{ self() *core }).self() }
