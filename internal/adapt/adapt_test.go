package adapt

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// toy is a run whose x goes down a quadratic, with z = x, and whose inner variables diverge at some step.
type toy struct {
	*Control
	curve    Curvature
	x, z, dx []float64
	step     int64
	bad      int64 // z is lost at the first look from this step on, 0 for never
	noise    *rand.Rand
	late     float64
	off      float64
	value    func(x []float64) float64
}

func newToy(p int, set func(*Settings)) *toy {
	r := &toy{x: make([]float64, p), z: make([]float64, p), dx: make([]float64, p)}
	for j := range r.x {
		r.x[j] = 1 + float64(j)
	}
	s := Settings{X: r.x, Inner: [][]float64{r.z}, AutoInner: true, AutoOuter: true, Farthest: LargestMove,
		Share: StepShare, Shortest: 8, Longest: 64, Every: 1, SlopeZ: 1}
	if set != nil {
		set(&s)
	}
	r.curve = NewCurvature(p)
	r.Control = New(s, r)
	return r
}

// Measure measures blocks of different curvature, which decides nothing.
func (r *toy) Measure(blocks, products int) {
	r.curve.Raise(blocks, 10, products, func(dst, v []float64, block int) {
		for i := range v {
			dst[i] = float64(1+i+block) * v[i]
		}
	})
}

func (r *toy) Slopes() (z, v float64) { return norm(r.z), 0 }
func (r *toy) Point() bilevel.Point   { return bilevel.Point{X: r.x, Z: r.z} }
func (r *toy) Counts() bilevel.Counts { return bilevel.Counts{} }
func (r *toy) State(s *bilevel.State) {
	r.Control.State(s)
	r.curve.State(s)
	s.Fixed(r.x, r.z)
	s.Count64(&r.step)
}
func (r *toy) Lag([]float64, int64) float64 { return r.late }
func (r *toy) Value(float64) (h, off float64) {
	if r.value != nil {
		return r.value(r.x), r.off
	}
	for j, x := range r.x {
		h += x * x * float64(1+j) / 2
	}
	return h, 0
}

func (r *toy) Step(context.Context) error {
	for j, x := range r.x {
		r.dx[j] = float64(1+j) * x
		if r.noise != nil {
			r.dx[j] += r.noise.NormFloat64()
		}
	}
	r.Move(r.x, r.dx, 0, 1)
	copy(r.z, r.x)
	if r.step++; r.step >= r.Next {
		if r.bad > 0 && r.step >= r.bad {
			r.z[0], r.bad = math.NaN(), 0
		}
		r.Look(r.step)
	}
	return nil
}

func (r *toy) steps(n int) {
	for range n {
		r.Step(context.Background())
	}
}

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
		for _, noisy := range []bool{true, false} {
			r := newToy(p, func(s *Settings) { s.Noisy = noisy })
			for j := range r.Gamma {
				r.Gamma[j] = math.Exp(rng.NormFloat64()) // its scale does not matter where all of a walk has it
			}
			total := 0.0
			for part := range parts {
				for j := range r.x {
					r.x[j] += r.Gamma[j] * c.step(part)
				}
				r.endPart()
			}
			for j, x := range r.x {
				total += (x - r.Start[j]) * (x - r.Start[j]) / r.Gamma[j]
			}
			isNoisy, resting, _ := r.walk(total)
			if r.order < c.lo || r.order > c.hi || isNoisy != (noisy && c.noisy) || resting != (noisy && c.resting) {
				t.Errorf("%s: order %g, noisy %t, resting %t", c.name, r.order, isNoisy, resting)
			}
		}
	}
}

// Where batches know only their part of x, a coordinate that has moved once has no order.
func TestOrderOfPartedWalks(t *testing.T) {
	r := newToy(256, func(s *Settings) { s.Noisy, s.Blocks, s.Shortest = true, 32, 32 })
	for j := range r.x { // each in a part of its own
		r.Gamma[j] = 1
		r.x[j]++
		r.endPart()
	}
	if noisy, resting, straight := r.walk(256); noisy || resting || r.order != 1 || straight > 1 {
		t.Errorf("order %g, noisy %t, resting %t; K halves above %g", r.order, noisy, resting, straight)
	}
}

// Steps grow while a coordinate keeps its direction, fast from the start and after many stretches, and not where it
// comes to rest anyway; they fall where it turns, and are halved if it does not do so in noise, or from step to step.
func TestFactorOfSteps(t *testing.T) {
	r := newToy(1, nil)
	r.t = 10
	for i, c := range []struct {
		cosine, ratio float64
		noisy         bool
		flips         float64
		want          float64
	}{
		{1, 1, false, 0, fastGrowth}, {0, 1, false, 0, 1}, {1, .55, false, 0, growth}, {1, .4, false, 0, 1},
		{1, 1, true, 0, growth}, {1, .4, true, 0, growth}, {1, 1, false, 7, fastGrowth}, {1, 1, false, 8, shrink},
		{1, 1, false, 0, growth},
		{-1, 1, true, 0, 1 / growth}, {-1, .1, false, 0, shrink}, {1, 1, false, 0, growth},
	} {
		r.flips[0] = c.flips
		if got := r.factor(0, c.cosine, c.ratio, c.ratio, c.noisy); got != c.want {
			t.Errorf("%d: %g, want %g", i, got, c.want)
		}
	}
	for range manySteady - 1 {
		if got := r.factor(0, 1, 1, 1, false); got != growth {
			t.Errorf("soon after a turn: %g", got)
		}
	}
	if got := r.factor(0, 1, 1, 1, false); got != fastGrowth {
		t.Errorf("long after a turn: %g", got)
	}
}

// Where γ is one number it grows while displacements point the same way, is halved where they turn or run away, and
// stays where the angle says nothing or most of x has gone as far as it may.
func TestCommonSteps(t *testing.T) {
	const p = 100
	rng := rand.New(rand.NewPCG(9, 9))
	for _, c := range []struct {
		name  string
		along float64 // part of the last displacement in this one
		side  float64 // part of a vector orthogonal to it
		plan  float64
		kept  float64
		noisy bool
		want  float64
	}{
		{"straight", 1, 0, 10, manySteady, false, fastGrowth}, {"straight after a turn", 1, 0, 10, 1, false, growth},
		{"straight, noisy", 1, 0, 10, manySteady, true, growth}, {"hardly straight", .11, 1, 100, 0, false, growth},
		{"too little so", .09, 1, 100, 0, false, 1}, {"noise", 0, 1, 100, 0, false, 1},
		{"hardly back", -.11, 1, 100, 0, false, shrink}, {"too little so", -.09, 1, 100, 0, false, 1},
		{"back, noisy", -1, .5, 100, 0, true, 1 / growth}, {"runs away", 5, 0, 100, 9, false, shrink},
		{"limited", 1, 0, 1, 0, false, 1}, {"limited, back", -1, 0, 1, 0, false, shrink}, {"at rest", 0, 0, 1, 0, false, 1},
	} {
		r := newToy(p, func(s *Settings) { s.Random = true })
		r.kept[0], r.t = c.kept, 10
		for j := range p { // orthogonal vectors of unit entries, so that the angle is what it is said to be
			r.Start[j] = rng.NormFloat64()
			r.last[j] = 1
			r.x[j] = r.Start[j] + c.along + c.side*float64(1-j%2*2)
			r.Plan[j] = c.plan
		}
		if got := r.common(c.noisy); got != c.want {
			t.Errorf("%s: %g, want %g", c.name, got, c.want)
		}
		if c.want == shrink && r.kept[0] != 0 {
			t.Errorf("%s: the turn is forgotten", c.name)
		}
	}
}

// After a retreat, which halves the steps, one γ for all is not doubled at once.
func TestRetreatEndsFastGrowth(t *testing.T) {
	r := newToy(3, func(s *Settings) { s.Random = true })
	for j := range r.Gamma {
		r.Gamma[j] = 1
	}
	r.retreat("so it is", false)
	if got := r.factor(0, 1, 1, 1, false); r.Gamma[0] != .5 || got != growth {
		t.Errorf("γ = %g and grows by %g", r.Gamma[0], got)
	}
}

// Stretches and parts are odd numbers of steps, so that x which jumps to and fro is seen to move.
func TestOddStretches(t *testing.T) {
	r := newToy(2, nil)
	from, last := r.From, r.step
	for range 3000 {
		r.steps(1)
		if r.From == from {
			continue
		}
		if n := r.From - from; from > 0 && n%2 == 0 && r.Restarts == 0 {
			t.Fatalf("a stretch of %d steps from %d", n, from)
		}
		from, last = r.From, r.step
	}
	if last < 2900 {
		t.Errorf("no stretch ended after step %d", last)
	}
}

// A run comes down from where it started, with and without noise, however it is bounded.
func TestToyComesDown(t *testing.T) {
	for name, set := range map[string]func(*Settings){
		"per coordinate": nil,
		"one for all":    func(s *Settings) { s.Random = true },
		"noisy":          func(s *Settings) { s.Noisy, s.Slows = true, true },
	} {
		r := newToy(5, set)
		if r.Noisy {
			r.noise = rand.New(rand.NewPCG(1, 1))
		}
		before, _ := r.Value(0)
		r.steps(3000)
		want := 1e-12
		if r.Noisy {
			want = 1e-2
		}
		if h, _ := r.Value(0); !(h < want*before) {
			t.Errorf("%s: h = %g, and %g at the start", name, h, before)
		}
	}
}

// A projected step is as long as its projected movement may be: most of its direction may point out of the domain.
func TestProjectedSteps(t *testing.T) {
	r := newToy(2, func(s *Settings) {
		s.Project = func(x []float64) { x[1] = 0 }
	})
	if r.Moving = true; !r.shared {
		t.Error("a step per coordinate in a domain that is no box")
	}
	copy(r.x, []float64{1, 0})
	copy(r.Gamma, []float64{1, 1})
	copy(r.Plan, []float64{.3, .4})
	r.Move(r.x, []float64{.01, 1e6}, 0, 1)
	if math.Abs(r.x[0]-.99) > 1e-15 || r.x[1] != 0 {
		t.Errorf("a short step leads to %v", r.x)
	}
	r.Move(r.x, []float64{1e3, 1e6}, 0, 1)
	if far := .99 - r.x[0]; math.Abs(far-max(StepShare, 2./8)*.5) > 1e-12 {
		t.Errorf("a long step goes %g far", far)
	}
}

// γ does not grow without end where the plan cuts steps short.
func TestCutSteps(t *testing.T) {
	r := newToy(1, nil)
	r.Moving = true
	copy(r.Gamma, []float64{1e9})
	copy(r.last, []float64{-1e-3})
	copy(r.Plan, []float64{1e-3})
	copy(r.x, r.Start)
	r.Sum[0], r.t = 1, 9
	r.x[0] -= 1e-3
	r.adapt()
	if r.Gamma[0] > 1e9 {
		t.Errorf("γ = %g", r.Gamma[0])
	}
}

// A stretch without a movement says nothing of γ, and a coordinate that leaves its bound has turned.
func TestRest(t *testing.T) {
	r := newToy(2, func(s *Settings) { s.Noisy, s.Random = true, true })
	copy(r.Gamma, []float64{1, 1})
	copy(r.last, []float64{-1, -1})
	r.order, r.t = .1, 9
	r.adapt()
	if r.Gamma[0] != 1 || r.last[0] != -1 {
		t.Errorf("at rest: γ = %g, the last displacement %g", r.Gamma[0], r.last[0])
	}
	r = newToy(1, nil)
	r.Gamma[0], r.last[0], r.t = 1, -1, 9
	r.x[0] += .1
	r.adapt()
	if r.Gamma[0] != shrink {
		t.Errorf("after a turn at a bound: γ = %g", r.Gamma[0])
	}
}

// A divergence sends the run back to a good point with smaller steps, and so does h where it grows. Estimates that have
// sent it back begin anew.
func TestRetreats(t *testing.T) {
	r := newToy(2, nil)
	r.bad = 500
	r.steps(1000)
	if r.Restarts != 1 || len(r.TakeNotes()) != 1 || r.TakeNotes() != nil || math.IsNaN(norm(r.z)) {
		t.Errorf("%d retreats, z = %v", r.Restarts, r.z)
	}
	r = newToy(2, nil)
	r.steps(500)
	wrong := true
	r.value = func([]float64) float64 {
		if wrong {
			return 100
		}
		return 1
	}
	for restarts := r.Restarts; r.Restarts == restarts; {
		r.steps(1)
	}
	if r.goodStep >= r.step || r.values != 0 {
		t.Errorf("back to step %d from %d, with %d estimates", r.goodStep, r.step, r.values)
	}
	restarts := r.Restarts
	wrong = false
	if r.steps(1000); r.Restarts != restarts {
		t.Errorf("%d more retreats", r.Restarts-restarts)
	}
	wrong, r.off = true, 40
	if r.steps(500); r.Restarts != restarts {
		t.Error("a retreat although h may not have grown")
	}
}

// fake starts a run that is given.
type fake struct{ run bilevel.Run }

func (f fake) Start(*bilevel.Problem, bilevel.Point, uint64) (bilevel.Run, error) { return f.run, nil }

// A control and a curvature that are loaded, in the middle of a stretch, are those that were saved, in every
// variable.
func TestStateIsComplete(t *testing.T) {
	zero := &bilevel.Func{InnerDim: 3, OuterDim: 3, Eval: func(_, _ []float64, _ bilevel.Batch) float64 { return 0 },
		Gradient: func(dz, dx, _, _ []float64, _ bilevel.Batch) { clear(dz); clear(dx) }}
	for _, random := range []bool{false, true} {
		s := bilevel.Settings{Checkpoint: filepath.Join(t.TempDir(), "run"), Resume: true, MaxSteps: 610}
		var kept [2]*toy
		for i := range kept { // no steps are left for the second
			kept[i] = newToy(3, func(s *Settings) { s.Random, s.Noisy = random, true })
			kept[i].bad = 100
			kept[i].noise = rand.New(rand.NewPCG(1, 1))
			p := &bilevel.Problem{Inner: zero, Outer: zero}
			if _, err := bilevel.Minimize(t.Context(), p, fake{kept[i]}, s); err != nil {
				t.Fatal(err)
			}
		}
		if kept[0].Restarts == 0 || norm(kept[0].flips) == 0 {
			t.Errorf("a run too simple to test: %d retreats, flips %v", kept[0].Restarts, kept[0].flips)
		}
		for _, r := range kept {
			r.run, r.roomX, r.curve.room = nil, nil, nil // scratch
		}
		if !reflect.DeepEqual(kept[0].Control, kept[1].Control) || !reflect.DeepEqual(kept[0].curve, kept[1].curve) {
			t.Errorf("saved\n%+v\n%+v\nloaded\n%+v\n%+v", kept[0].Control, kept[0].curve, kept[1].Control, kept[1].curve)
		}
	}
}

// No coordinate is planned to go farther than a share of its size, or a quarter of its interval.
func TestLargestMoves(t *testing.T) {
	for _, c := range []struct{ farthest, upper, want float64 }{
		{PartedMove, math.Inf(1), 6}, {LargestMove, math.Inf(1), .75}, {PartedMove, 1, .25},
	} {
		r := newToy(1, func(s *Settings) {
			s.Farthest, s.Lower, s.Upper = c.farthest, []float64{0}, []float64{c.upper}
		})
		r.x[0] = -2
		if got := r.largest(0); got != c.want {
			t.Errorf("%+v: %g", c, got)
		}
	}
}

// K doubles where coordinates turn, or z is late and that matters beside what h has fallen by, and halves after many
// stretches in which hardly any turned.
func TestLengthOfStretches(t *testing.T) {
	for _, c := range []struct {
		name         string
		last         float64 // of each of the two coordinates, which move by 1
		late, fallen float64
		fresh        bool
		length       int
		gamma        float64
	}{
		{"straight", 1, 0, 1, false, 32, growth}, {"turned", -1, 0, 1, false, 64, shrink},
		{"late", 1, 1, 1, false, 64, growth / 2}, {"late, v made afresh", 1, 1, 1, true, 32, growth},
		{"a little late", 1, .09, 1, false, 32, growth}, {"late, close to a solution", 1, 1, 11, false, 32, growth},
	} {
		r := newToy(2, func(s *Settings) { s.Fresh, s.Farthest = c.fresh, 10 })
		r.length, r.t, r.lag, r.first, r.Moving = 32, 1000, c.late, c.fallen, true
		r.From = r.t - 31
		for j := range r.x {
			r.Gamma[j], r.kept[j], r.last[j], r.Plan[j] = 1, 0, c.last, 10
			r.Start[j] = r.x[j] - 1
		}
		r.adapt()
		if r.length != c.length || r.Gamma[0] != c.gamma {
			t.Errorf("%s: K = %d, γ = %g, want %d and %g", c.name, r.length, r.Gamma[0], c.length, c.gamma)
		}
		if want := float64(c.length) / 32; c.length != 32 && r.last[0] != want {
			t.Errorf("%s: the last displacement is %g, want %g", c.name, r.last[0], want)
		}
	}
	r := newToy(1, nil)
	r.length, r.t, r.From, r.steady = 32, 1000, 969, manySteady-1
	r.Gamma[0], r.last[0], r.Plan[0] = 1, 1, 10
	r.Start[0] = r.x[0] - 1
	if r.adapt(); r.length != 16 || r.last[0] != .5 {
		t.Errorf("K = %d after many straight stretches, the last displacement %g", r.length, r.last[0])
	}
}

// x is held until its mean direction has come to rest, for a while at most, and its first displacement is short.
func TestFirstSteps(t *testing.T) {
	const k = 32
	for _, c := range []struct {
		name     string
		now, was float64
		length   int
		moves    bool
	}{
		{"at rest", 1, .6, k, true}, {"not at rest", 1, .4, k, false}, {"after some time", 1, .4, 4 * k, true},
		{"no direction", 0, 0, k, false},
	} {
		r := newToy(1, func(s *Settings) { s.Patience = 4 * k })
		r.length, r.t, r.last[0] = c.length, k, c.was
		r.Sum[0] = c.now * k
		if r.firstSteps(); r.Moving != c.moves {
			t.Errorf("%s: moves %t", c.name, r.Moving)
		}
		if d := r.Gamma[0] * float64(c.length) * c.now; c.moves && math.Abs(d-firstMove*LargestMove) > 1e-15 {
			t.Errorf("%s: a first displacement of %g", c.name, d)
		}
		if !c.moves && c.now > 0 && (r.length != 2*c.length || r.Sum[0] != 0) {
			t.Errorf("%s: K = %d", c.name, r.length)
		}
	}
}

// A point where g happens to be minimal gives no scale to tell a divergence by.
func TestSlopeOfAMinimum(t *testing.T) {
	c := NewCurvature(1)
	c.L = 4
	if s := c.Slope([]float64{0}); s != 4e-3 {
		t.Errorf("%g", s)
	}
}

// A run that leaves the numbers between two looks is looked at as soon as that shows.
func TestDue(t *testing.T) {
	r := newToy(2, nil)
	r.steps(100)
	if r.Due(r.Next-1) || !r.Due(r.Next) {
		t.Error("looks are not when they should be")
	}
	for _, v := range []float64{math.NaN(), math.Inf(-1)} {
		r.z[0] = v
		if !r.Due(r.Next-1) || !r.Look(r.step) || r.z[0]-r.z[0] != 0 {
			t.Errorf("z = %v after it was %v", r.z, v)
		}
	}
}
