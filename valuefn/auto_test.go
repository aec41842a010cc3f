package valuefn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/adapt"
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

// Noise of g moves y and z of F2SA alike where their steps are automatic: where f does not depend on z they stay equal.
func TestF2SAFollowsNoiseInStep(t *testing.T) {
	const n = 1000
	rng := rand.New(rand.NewPCG(3, 3))
	a := make([]float64, n)
	for i := range a {
		a[i] = rng.NormFloat64()
	}
	f := &bilevel.Func{InnerDim: 1, OuterDim: 1,
		Eval: func(_, x []float64, _ bilevel.Batch) float64 { return x[0] * x[0] / 2 },
		Gradient: func(dz, dx, _, x []float64, _ bilevel.Batch) {
			clear(dz)
			copy(dx, x)
		},
	}
	p := &bilevel.Problem{Inner: towards(a), Outer: f}
	run := must(F2SA{}.Start(p, bilevel.Point{X: []float64{3}}, 1)).(*f2saRun)
	for range 300 {
		if err := run.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if apart := math.Abs(run.y[0] - run.z[0]); !(apart < 1e-12) {
		t.Errorf("y and z are %g apart", apart)
	}
	if x := run.x[0]; !(math.Abs(x) < .1) {
		t.Errorf("x = %g", x)
	}
}

// BOME takes the smallest batches that tell ∇z g well, with an anchor where a pass is longer than a step and steps have
// been made, and all samples where noise would decide about λ. What it has looked at to choose counts.
func TestBOMEChoosesItsBatch(t *testing.T) {
	const n, d = 8192, 3
	rng := rand.New(rand.NewPCG(1, 1))
	a, y, unit := rows.NewDense(n, d), make([]float64, n), make([]float64, n)
	for i := range n {
		for j := range d {
			a.Row(i)[j] = rng.NormFloat64() / 4
		}
		y[i] = math.Copysign(1, a.Row(i)[0]+.05)
		unit[i] = rng.NormFloat64()
	}
	loss := must(model.NewLogistic(a, y, d))
	scattered := func(by float64) *bilevel.Problem {
		return &bilevel.Problem{Inner: towards(plus(fill(n, 0), by, unit)), Outer: towards(fill(n, 4))}
	}
	for _, c := range []struct {
		p        *bilevel.Problem
		batch    int
		anchored bool
	}{{withStrengths(loss, loss, model.PenaltyOptions{}), 64, true}, {scattered(10), 64, true}, {scattered(50), 256, true},
		{scattered(100), 1024, false}, {scattered(1000), n, false}} {
		seen := &bilevel.Counts{}
		q := *c.p
		q.Inner, q.Outer = counting{q.Inner, &seen.GradG, &seen.ValueG}, counting{q.Outer, &seen.GradF, &seen.ValueF}
		run := must(BOME{}.Start(&q, bilevel.Point{}, 1)).(*bomeRun)
		if got := run.xi.Size(); got != c.batch || (run.anchor != nil) != c.anchored {
			t.Errorf("%T: batches of %d, anchor %v, want %d, %v", c.p.Inner, got, run.anchor != nil, c.batch, c.anchored)
		}
		if c.anchored {
			first := run.anchor.from
			for run.t <= 2*first {
				step(t, run)
				if got := norm(run.anchor.gz) > 0; got != (run.t > first) {
					t.Fatalf("%T: after %d steps there is an anchor: %v", c.p.Inner, run.t, got)
				}
			}
			if got := run.innerSteps(run.t); got <= run.InnerSteps {
				t.Errorf("%T: T = %d with an anchor, %d without", c.p.Inner, got, run.InnerSteps)
			}
		}
		if got := run.Counts(); got != *seen {
			t.Errorf("%T: counts %+v, the objectives saw %+v", c.p.Inner, got, *seen)
		}
	}
}

// Where batches leave noise the automatic α of BOME decays as the root of ξ_z.
func TestBOMEApproachDecays(t *testing.T) {
	const n = 1000
	rng := rand.New(rand.NewPCG(3, 3))
	a := make([]float64, n)
	for i := range a {
		a[i] = rng.NormFloat64()
	}
	p := &bilevel.Problem{Inner: towards(a), Outer: towards(fill(n, 4))}
	r := must(BOME{Batch: 10, InnerSteps: 1}.Start(p, bilevel.Point{}, 1)).(*bomeRun)
	for range 5000 {
		z, full := r.z[0], r.auto.full[0]
		want := full / math.Pow(r.auto.slowness(r.t), .5)
		if err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := (z - r.zT[0]) / r.dz[0]; !(math.Abs(got-want) < 1e-6*want) {
			t.Fatalf("step %d: α = %g, want %g", r.t, got, want)
		}
	}
	if s := r.auto.slowness(r.t); !(s > 2) {
		t.Errorf("steps have decayed by %g only: the test shows nothing", s)
	}
}

// towards is the mean of ½(z − a_i)² − zx.
func towards(a []float64) bilevel.Objective {
	return &bilevel.Func{InnerDim: 1, OuterDim: 1, Terms: len(a),
		Eval: func(z, x []float64, b bilevel.Batch) float64 {
			sum := 0.0
			for _, v := range a[b.Lo:b.Hi] {
				sum += (z[0] - v) * (z[0] - v) / 2
			}
			return sum/float64(b.Len()) - z[0]*x[0]
		},
		Gradient: func(dz, dx, z, x []float64, b bilevel.Batch) {
			sum := 0.0
			for _, v := range a[b.Lo:b.Hi] {
				sum += z[0] - v
			}
			if dz != nil {
				dz[0] = sum/float64(b.Len()) - x[0]
			}
			if dx != nil {
				dx[0] = -z[0]
			}
		},
	}
}

// Where a batch knows only the weights of its own rows, all weights share one step: a step per weight would wait for
// signs that hardly ever come.
func TestAutomaticStepsOfWeights(t *testing.T) {
	const n, m, d = 512, 300, 4
	rng := rand.New(rand.NewPCG(5, 5))
	draw := func(n int, wrong float64) *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			score := 0.
			for j := range d {
				a.Row(i)[j] = rng.NormFloat64()
				score += float64(j+1) * a.Row(i)[j]
			}
			y[i] = math.Copysign(1, score)
			if rng.Float64() < wrong {
				y[i] = -y[i]
			}
		}
		return must(model.NewLogistic(a, y, 512))
	}
	g := must(model.NewCleaning(draw(n, .4), model.CleaningOptions{Ridge: .01}))
	p := &bilevel.Problem{Inner: g, Outer: draw(m, 0)}
	e := &hypergrad.Evaluator{Problem: p}
	h := func(x []float64) float64 { return must(e.Evaluate(t.Context(), nil, x)) }
	before := h(make([]float64, n))
	for _, c := range []struct {
		method bilevel.Method
		steps  int
	}{{MinimaxOPT{Batch: 8}, 20_000}, {F2SA{Batch: 8}, 20_000}} {
		after := h(follow(t, c.method, p, bilevel.Point{}, c.steps).Point().X)
		t.Logf("%T: h from %.4f to %.4f", c.method, before, after)
		if !(after < before/2) {
			t.Errorf("%T: h from %.4f to %.4f, want less than half", c.method, before, after)
		}
	}
}

// forgetScratch clears of a what no checkpoint holds, for tests that compare runs.
func forgetScratch(a *auto) {
	a.r, a.at, a.d0, a.d1 = nil, nil, nil, nil
	for _, c := range []*adapt.Curvature{&a.g, &a.f} {
		*c = adapt.Curvature{L: c.L, Diagonal: c.Diagonal, E: c.E} // internal/adapt tests the rest
	}
}
