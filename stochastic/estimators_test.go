package stochastic

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
)

// held methods move x along a direction that lasts.
func heldMethods(batch int, shuffle bool, outer Rate) []bilevel.Method {
	in := Constant(.05)
	return []bilevel.Method{
		SRBA{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle, Period: 17},
		MASOBA{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle},
		MASOBA{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle, Theta: 1},
		MRBO{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle, Terms: 3},
		MRBO{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle, Terms: 3, Momentum: 1},
		SUSTAIN{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle, Terms: 3},
		FSLA{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle, Momentum: .4},
		VRBO{Batch: batch, InnerStep: in, OuterStep: outer, Shuffle: shuffle, Terms: 3, InnerSteps: 2, Period: 17},
	}
}

// Lazy steps on x against steps on all of x, with bounds that bind.
func TestHeldDirectionsAreLazy(t *testing.T) {
	c := newCleaning(50, 31)
	for _, box := range []bool{false, true} {
		for _, batch := range []int{1, 8} {
			for _, shuffle := range []bool{false, true} {
				for _, m := range heldMethods(batch, shuffle, Decaying(3, .3)) {
					s := bilevel.Settings{MaxSteps: 400, Seed: 2}
					run := func(local bool) bilevel.Point {
						p := c.problem(local, false)
						if box {
							p.Lower, p.Upper = fill(50, -.6), fill(50, .4)
						}
						return minimize(t, m, p, s).Last
					}
					want, at := run(false), run(true)
					bound := 0
					for _, x := range want.X {
						if x == -.6 || x == .4 {
							bound++
						}
					}
					if box && bound == len(want.X) {
						t.Errorf("%T %+v: all bounds bind", m, m)
					}
					close(t, fmt.Sprintf("%T%+v box %v", m, m, box), want, at, 1e-9)
				}
			}
		}
	}
}

// With all samples in a batch every difference telescopes.
func TestFullBatchSRBAIsSOBA(t *testing.T) {
	for _, p := range problems() {
		s := bilevel.Settings{MaxSteps: 200, Start: p.at}
		a := minimize(t, SOBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05)}, p.make(), s)
		close(t, p.name, a.Last, minimize(t, SRBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05), Period: 9},
			p.make(), s).Last, 1e-11)
		theta := minimize(t, MASOBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05), Theta: 1}, p.make(), s)
		if _, q := p.make().Dims(); q > 0 && samePoint(theta.Last, a.Last) {
			t.Errorf("%s: MA-SOBA with θ = 1 is not a step behind", p.name)
		}
	}
}

// solutionOf is the solution of a quadratic problem with its adjoint.
func solutionOf(s *quadratic) bilevel.Point {
	p := s.problem()
	fz := fill(s.d, 0)
	p.Outer.Grad(fz, nil, s.zs, s.xs, bilevel.All(p.Outer))
	var v mat.VecDense
	if err := v.SolveVec(s.A, mat.NewVecDense(s.d, fz)); err != nil {
		panic(err)
	}
	v.ScaleVec(-1, &v)
	return bilevel.Point{Z: s.zs, X: s.xs, V: v.RawVector().Data}
}

// With all samples in a batch: AmIGO and MA-SOBA stay at the solution, StocBiO, MRBO and VRBO do as their series
// gets long, and not before.
func TestFixedPointsWithAllSamples(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	at := solutionOf(s)
	end := func(m bilevel.Method) float64 {
		return distance(minimize(t, m, s.problem(), bilevel.Settings{MaxSteps: 500, Start: at}).Last.X, s.xs)
	}
	in, out := Constant(.3), Constant(.1)
	for _, m := range []bilevel.Method{
		SOBA{Batch: 1000, InnerStep: in, OuterStep: out}, AmIGO{Batch: 1000, InnerStep: in, OuterStep: out},
		MASOBA{Batch: 1000, InnerStep: in, OuterStep: out}, FSLA{Batch: 1000, InnerStep: in, OuterStep: out}, DTFBO{Beta: 9,
			Gamma: 9},
		StocBiO{Batch: 1000, InnerStep: in, OuterStep: out, Terms: 200}, MRBO{Batch: 1000, InnerStep: in, OuterStep: out,
			Terms: 200},
		VRBO{Batch: 1000, InnerStep: in, OuterStep: out, Terms: 200, InnerSteps: 3},
	} {
		if e := end(m); !(e < 1e-9) {
			t.Errorf("%T%+v leaves the solution by %.3g", m, m, e)
		}
	}
	var last float64 = math.Inf(1)
	for _, terms := range []int{2, 8, 32} {
		e := end(StocBiO{Batch: 1000, InnerStep: in, OuterStep: out, Terms: terms})
		if !(e < last/2) || !(e > 1e-9) {
			t.Errorf("StocBiO with %d terms ends %.3g from the solution, with fewer terms %.3g", terms, e, last)
		}
		if m := end(MRBO{Batch: 1000, InnerStep: in, OuterStep: out, Terms: terms}); math.Abs(m-e) > 1e-6*e {
			t.Errorf("MRBO with %d terms is biased by %.6g, StocBiO by %.6g", terms, m, e)
		}
		last = e
	}
}

// SHIA is the sum of P + 1 terms. The mean of HIA over its P lengths is the sum of P terms, exactly.
func TestNeumannSeries(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	const eta, terms = .3, 6
	fz := []float64{1, -2, .5, 0, 3}
	series := func(n int) []float64 {
		sum, r := fill(s.d, 0), append([]float64(nil), fz...)
		for range n {
			axpy(-eta, r, sum)
			hv := fill(s.d, 0)
			mulAdd(hv, s.A.RawMatrix().Data, r, false)
			axpy(-eta, hv, r)
		}
		return sum
	}
	start := func(hia bool) *neumann {
		c, err := newCore(config{batch: 1000, inner: Constant(eta), outer: Constant(1)}, s.problem(), bilevel.Point{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNeumann(c, terms, Rate{}, hia, true, 1)
		if err != nil {
			t.Fatal(err)
		}
		n.points[1].x = c.x
		return n
	}
	n := start(false)
	copy(n.points[0].r, fz)
	n.estimate(1)
	if e := relative(series(terms+1), n.c.v); e > 1e-13 {
		t.Errorf("SHIA is off by %.3g", e)
	}
	copy(n.points[0].r, fz)
	if err := n.estimateAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := relative(series(terms+1), n.c.v); e > 1e-13 {
		t.Errorf("SHIA with all samples is off by %.3g", e)
	}
	// Every length once.
	h := start(true)
	mean, seen := fill(s.d, 0), map[int64]bool{}
	for i := 0; len(seen) < terms && i < 1000; i++ {
		before := h.c.counts.HessG
		copy(h.points[0].r, fz)
		h.estimate(1)
		if length := h.c.counts.HessG - before; !seen[length] {
			seen[length] = true
			axpy(1./terms, h.c.v, mean)
		}
	}
	if e := relative(series(terms), mean); len(seen) != terms || e > 1e-13 {
		t.Errorf("the mean of HIA over %d lengths is off by %.3g", len(seen), e)
	}
}

// Estimates at close points with the same batches are close: the variance of their difference is far below that of
// the estimates.
func TestJointEstimates(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	for _, hia := range []bool{false, true} {
		c, err := newCore(config{batch: 1, inner: Constant(.1), outer: Constant(1)}, s.problem(), bilevel.Point{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNeumann(c, 10, Rate{}, hia, true, 1)
		if err != nil {
			t.Fatal(err)
		}
		n.points[1].x = c.x
		var own, joint, draws float64
		var last []float64
		for range 500 {
			copy(n.points[0].r, []float64{1, -2, .5, 0, 3})
			copy(n.points[1].r, []float64{1.01, -2, .5, 0, 3})
			n.estimate(2)
			d := distance(n.points[0].v, n.points[1].v)
			joint += d * d
			if last != nil {
				d := distance(n.points[0].v, last)
				own += d * d
			}
			last = append(last[:0], n.points[0].v...)
			draws++
		}
		if !(joint < 1e-3*own) {
			t.Errorf("hia %v: mean squared differences %.3g at two points, %.3g from draw to draw", hia, joint/draws, own/draws)
		}
	}
}

// STORM and SPIDER estimates are unbiased in the sense that with no moves they settle at the full gradient: SPIDER
// exactly, at once.
func TestSpiderWithoutMoves(t *testing.T) {
	for _, p := range problems() {
		problem := p.make()
		d, q := problem.Dims()
		at := bilevel.Point{Z: fill(d, .3), X: fill(q, -.2), V: fill(d, -.7)}
		run, err := SRBA{Batch: 8, InnerStep: still, OuterStep: still, Period: 5}.Start(problem, at, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := run.(*srbaRun)
		for range 13 {
			if err := r.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		r.held.catchUpAll()
		dz, dv, dx := fill(d, 0), fill(d, 0), fill(q, 0)
		bg, bf := r.all()
		r.joint(dz, dv, dx, r.z, r.x, r.v, bg, bf)
		for _, e := range []struct {
			name      string
			got, want []float64
		}{{"D_z", r.d[0], dz}, {"D_v", r.d[1], dv}, {"D_x", r.d[2], dx}} {
			if err := relative(e.want, e.got); !(err < 1e-12) {
				t.Errorf("%s: %s is off by %.3g", p.name, e.name, err)
			}
		}
	}
}

// In expectation PZOBO's direction is that of N differentiated steps: on a quadratic with all samples, the mean over
// many u is ∇x f + (∂z⁺/∂x)ᵀ∇z f, by differences in each coordinate.
func TestPZOBODirection(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	const n, rho = 5, .2
	p := s.problem()
	at := bilevel.Point{Z: fill(s.d, .3), X: fill(s.p, -.2)}
	descend := func(x []float64) []float64 {
		z, dz := append([]float64(nil), at.Z...), fill(s.d, 0)
		for range n {
			p.Inner.Grad(dz, nil, z, x, bilevel.All(p.Inner))
			axpy(-rho, dz, z)
		}
		return z
	}
	z := descend(at.X)
	fz, want := fill(s.d, 0), fill(s.p, 0)
	p.Outer.Grad(fz, want, z, at.X, bilevel.All(p.Outer))
	for j := range want {
		x := append([]float64(nil), at.X...)
		x[j] += 1
		want[j] += dot(descend(x), fz) - dot(z, fz) // z⁺ is linear in x
	}
	got, draws := fill(s.p, 0), 0
	for seed := range uint64(40) {
		run, err := PZOBO{Batch: 1000, InnerStep: Constant(rho), OuterStep: still, InnerSteps: n, Directions: 1000}.Start(p,
			at, seed)
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		axpy(1, run.(*pzoboRun).dx, got)
		draws++
	}
	for j := range got {
		got[j] /= float64(draws)
	}
	if e := relative(want, got); !(e < .03) { // 40,000 draws with a spread of about 2
		t.Errorf("the mean direction is %.4g, want %.4g", got, want)
	}
}

func TestCountsOfDoubleLoops(t *testing.T) {
	p := smallLogistic()
	in, out := Constant(.1), Constant(.1)
	n, m := int64(131), int64(77)
	for _, c := range []struct {
		m    bilevel.Method
		want bilevel.Counts // of two steps
	}{
		{StocBiO{Batch: 500, InnerStep: in, OuterStep: out, InnerSteps: 3, Terms: 4},
			bilevel.Counts{GradF: 2 * m, GradG: 6 * n, HessG: 8 * n, CrossG: 2 * n}},
		{AmIGO{Batch: 500, InnerStep: in, OuterStep: out, InnerSteps: 3},
			bilevel.Counts{GradF: 2 * m, GradG: 6 * n, HessG: 6 * n, CrossG: 2 * n}},
		{SRBA{Batch: 500, InnerStep: in, OuterStep: out, Period: 3},
			bilevel.Counts{GradF: 3 * m, GradG: 3 * n, HessG: 3 * n, CrossG: 3 * n}},
		{MASOBA{Batch: 500, InnerStep: in, OuterStep: out}, bilevel.Counts{GradF: 2 * m, GradG: 2 * n, HessG: 2 * n,
			CrossG: 2 * n}},
		{MRBO{Batch: 500, InnerStep: in, OuterStep: out, Terms: 4},
			bilevel.Counts{GradF: 3 * m, GradG: 3 * n, HessG: 12 * n, CrossG: 3 * n}},
		{FSLA{Batch: 500, InnerStep: in, OuterStep: out}, bilevel.Counts{GradF: 2 * m, GradG: 2 * n, HessG: 2 * n,
			CrossG: 3 * n}},
		{VRBO{Batch: 500, InnerStep: in, OuterStep: out, InnerSteps: 2, Terms: 4, Period: 5},
			bilevel.Counts{GradF: m + 8*m, GradG: n + 8*n, HessG: 4*n + 32*n, CrossG: n + 8*n}},
		{PZOBO{Batch: 500, InnerStep: in, OuterStep: out, InnerSteps: 3, Directions: 2}, bilevel.Counts{GradF: 2 * m,
			GradG: 18 * n}},
		{DTFBO{InnerSteps: 3}, bilevel.Counts{GradF: 2 * m, GradG: 6 * n, HessG: 6 * n, CrossG: 2 * n}},
	} {
		if got := minimize(t, c.m, p, bilevel.Settings{MaxSteps: 2}).Counts; got != c.want {
			t.Errorf("%T: %+v, want %+v", c.m, got, c.want)
		}
	}
}

func TestEveryKnobOfOtherMethodsMatters(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	last := func(m bilevel.Method) bilevel.Point {
		return minimize(t, m, s.problem(), bilevel.Settings{MaxSteps: 60, Seed: 1}).Last
	}
	in, out := Constant(.05), Constant(.02)
	check := func(base bilevel.Method, others ...bilevel.Method) {
		t.Helper()
		want := last(base)
		for _, m := range others {
			if samePoint(want, last(m)) {
				t.Errorf("%T%+v is the same as %+v", m, m, base)
			}
		}
	}
	check(SRBA{InnerStep: in, OuterStep: out, Batch: 8}, SRBA{InnerStep: in, OuterStep: out, Batch: 9},
		SRBA{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, SRBA{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		SRBA{InnerStep: in, OuterStep: out, Batch: 8, Period: 5},
		SRBA{InnerStep: in, OuterStep: out, Batch: 8, Shuffle: true}, SRBA{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(MASOBA{InnerStep: in, OuterStep: out, Batch: 8}, MASOBA{InnerStep: in, OuterStep: out, Batch: 9},
		MASOBA{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, MASOBA{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		MASOBA{InnerStep: in, OuterStep: out, Batch: 8, Theta: .2},
		MASOBA{InnerStep: in, OuterStep: out, Batch: 8, Shuffle: true}, MASOBA{InnerStep: in, OuterStep: out, Batch: 8,
			Clip: .1})
	check(StocBiO{InnerStep: in, OuterStep: out, Batch: 8}, StocBiO{InnerStep: in, OuterStep: out, Batch: 9},
		StocBiO{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, StocBiO{InnerStep: in, OuterStep: Constant(.03),
			Batch: 8},
		StocBiO{InnerStep: in, OuterStep: out, Batch: 8, InnerSteps: 9}, StocBiO{InnerStep: in, OuterStep: out, Batch: 8,
			Terms: 9},
		StocBiO{InnerStep: in, OuterStep: out, Batch: 8, Neumann: Constant(.04)}, StocBiO{InnerStep: in, OuterStep: out,
			Batch:   8,
			Shuffle: true}, StocBiO{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(BSA{InnerStep: in, OuterStep: out, Batch: 8}, BSA{InnerStep: in, OuterStep: out, Batch: 9},
		BSA{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, BSA{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		BSA{InnerStep: in, OuterStep: out, Batch: 8, InnerSteps: 9}, BSA{InnerStep: in, OuterStep: out, Batch: 8, Terms: 9},
		BSA{InnerStep: in, OuterStep: out, Batch: 8, Neumann: Constant(.04)}, BSA{InnerStep: in, OuterStep: out, Batch: 8,
			Shuffle: true}, BSA{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(TTSA{InnerStep: in, OuterStep: out, Batch: 8}, TTSA{InnerStep: in, OuterStep: out, Batch: 9},
		TTSA{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, TTSA{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		TTSA{InnerStep: in, OuterStep: out, Batch: 8, Terms: 9},
		TTSA{InnerStep: in, OuterStep: out, Batch: 8, Neumann: Constant(.04)}, TTSA{InnerStep: in, OuterStep: out, Batch: 8,
			Shuffle: true}, TTSA{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(AmIGO{InnerStep: in, OuterStep: out, Batch: 8}, AmIGO{InnerStep: in, OuterStep: out, Batch: 9},
		AmIGO{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, AmIGO{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		AmIGO{InnerStep: in, OuterStep: out, Batch: 8, InnerSteps: 9},
		AmIGO{InnerStep: in, OuterStep: out, Batch: 8, Shuffle: true}, AmIGO{InnerStep: in, OuterStep: out, Batch: 8,
			Clip: .1})
	check(FSLA{InnerStep: in, OuterStep: out, Batch: 8}, FSLA{InnerStep: in, OuterStep: out, Batch: 9},
		FSLA{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, FSLA{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		FSLA{InnerStep: in, OuterStep: out, Batch: 8, Momentum: .9},
		FSLA{InnerStep: in, OuterStep: out, Batch: 8, Shuffle: true}, FSLA{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(MRBO{InnerStep: in, OuterStep: out, Batch: 8}, MRBO{InnerStep: in, OuterStep: out, Batch: 9},
		MRBO{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, MRBO{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		MRBO{InnerStep: in, OuterStep: out, Batch: 8, Momentum: .9}, MRBO{InnerStep: in, OuterStep: out, Batch: 8, Terms: 9},
		MRBO{InnerStep: in, OuterStep: out, Batch: 8, Neumann: Constant(.04)}, MRBO{InnerStep: in, OuterStep: out, Batch: 8,
			Shuffle: true}, MRBO{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(SUSTAIN{InnerStep: in, OuterStep: out, Batch: 8}, SUSTAIN{InnerStep: in, OuterStep: out, Batch: 9},
		SUSTAIN{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, SUSTAIN{InnerStep: in, OuterStep: Constant(.03),
			Batch: 8},
		SUSTAIN{InnerStep: in, OuterStep: out, Batch: 8, Momentum: .9}, SUSTAIN{InnerStep: in, OuterStep: out, Batch: 8,
			Terms: 9},
		SUSTAIN{InnerStep: in, OuterStep: out, Batch: 8, Neumann: Constant(.04)}, SUSTAIN{InnerStep: in, OuterStep: out,
			Batch:   8,
			Shuffle: true}, SUSTAIN{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(VRBO{InnerStep: in, OuterStep: out, Batch: 8}, VRBO{InnerStep: in, OuterStep: out, Batch: 9},
		VRBO{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, VRBO{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		VRBO{InnerStep: in, OuterStep: out, Batch: 8, InnerSteps: 9}, VRBO{InnerStep: in, OuterStep: out, Batch: 8, Terms: 9},
		VRBO{InnerStep: in, OuterStep: out, Batch: 8, Period: 3}, VRBO{InnerStep: in, OuterStep: out, Batch: 8,
			Neumann: Constant(.04)},
		VRBO{InnerStep: in, OuterStep: out, Batch: 8, Shuffle: true}, VRBO{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(PZOBO{InnerStep: in, OuterStep: out, Batch: 8}, PZOBO{InnerStep: in, OuterStep: out, Batch: 9},
		PZOBO{InnerStep: Constant(.06), OuterStep: out, Batch: 8}, PZOBO{InnerStep: in, OuterStep: Constant(.03), Batch: 8},
		PZOBO{InnerStep: in, OuterStep: out, Batch: 8, InnerSteps: 9}, PZOBO{InnerStep: in, OuterStep: out, Batch: 8,
			Directions: 2},
		PZOBO{InnerStep: in, OuterStep: out, Batch: 8, Smoothing: .1}, PZOBO{InnerStep: in, OuterStep: out, Batch: 8,
			Shuffle: true}, PZOBO{InnerStep: in, OuterStep: out, Batch: 8, Clip: .1})
	check(DTFBO{}, DTFBO{Alpha: 2}, DTFBO{Beta: 2}, DTFBO{Gamma: 9}, DTFBO{InnerSteps: 9})
}

func TestWrongConfigurationOfOtherMethods(t *testing.T) {
	s := newQuadratic(9, 7, 1, 1)
	for _, c := range []struct {
		m    bilevel.Method
		want string
	}{
		{SRBA{Period: -1}, "full pass"}, {SRBA{Batch: -1}, "batch"}, {MASOBA{Theta: 2}, "moving average"},
		{StocBiO{InnerSteps: -1}, "inner steps"}, {StocBiO{Terms: -1}, "series"},
		{StocBiO{Neumann: Constant(-1)}, "Neumann step size"},
		{BSA{Terms: -1}, "series"}, {TTSA{Terms: -1}, "series"}, {AmIGO{InnerSteps: -1}, "inner steps"},
		{AmIGO{Clip: -1}, "clipping"},
		{MRBO{Momentum: 2}, "momentum"}, {SUSTAIN{Momentum: -1}, "momentum"}, {FSLA{Momentum: 2}, "momentum"},
		{VRBO{Period: -1}, "full pass"},
		{VRBO{InnerSteps: -1}, "inner steps"}, {PZOBO{Directions: -1}, "directions"},
		{PZOBO{Smoothing: math.NaN()}, "directions"}, {DTFBO{Beta: -1}, "initial norm"},
	} {
		if _, err := c.m.Start(s.problem(), bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T%+v: error %v, want one about %q", c.m, c.m, err, c.want)
		}
	}
	// PZOBO needs no products, and gives the same without them.
	m := PZOBO{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.01)}
	p := s.problem()
	f := p.Inner.(*bilevel.Func)
	f.HessVec, f.CrossVec = nil, nil
	set := bilevel.Settings{MaxSteps: 50}
	if !samePoint(minimize(t, m, p, set).Last, minimize(t, m, s.problem(), set).Last) {
		t.Error("PZOBO depends on second-order products")
	}
	minimize(t, PZOBO{Batch: 8}, p, set)
}

// Where x enters the exact part only, a product with ∇²xz g is exact and draws no batch; else it draws one.
func TestCrossBatches(t *testing.T) {
	for _, shuffle := range []bool{false, true} {
		for _, c := range []struct {
			name  string
			p     *bilevel.Problem
			drawn int64 // batches of FSLA's step
		}{{"penalty", smallLogistic(), 2}, {"weights", cleaningProblem(131, 31, 16, 3), 3}} {
			run, err := FSLA{Batch: 8, InnerStep: Constant(.02), OuterStep: Constant(.02), Shuffle: shuffle}.Start(c.p,
				bilevel.Point{},
				3)
			if err != nil {
				t.Fatal(err)
			}
			r := run.(*fslaRun)
			const steps = 170
			for range steps {
				if err := r.Step(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			// 17 blocks have 131 samples.
			if got, want := float64(r.gi.Visited()), float64(steps*c.drawn*131)/17; math.Abs(got-want) > .1*want {
				t.Errorf("%s, shuffled %t: %g samples drawn, want %g", c.name, shuffle, got, want)
			}
			if c.drawn == 3 {
				continue
			}
			_, q := c.p.Dims()
			got, want := make([]float64, q), make([]float64, q)
			r.products(nil, nil, got, r.z, r.x, r.v, r.drawCross())
			c.p.Inner.(bilevel.SecondOrder).Products(nil, nil, want, r.z, r.x, r.v, bilevel.All(c.p.Inner))
			if e := relative(got, want); !(e < 1e-14) {
				t.Errorf("shuffled %t: the product differs from that of all rows by %g", shuffle, e)
			}
		}
	}
}

// TestOldProductOfFSLA holds the product that FSLA takes from the step before against the one at the old point, where a
// run that forgets its estimates starts them anew.
func TestOldProductOfFSLA(t *testing.T) {
	for _, m := range []FSLA{
		{Batch: 8, InnerStep: Constant(.1), OuterStep: Constant(.1), Momentum: .5},
		{Batch: 1, InnerStep: Constant(.02), OuterStep: Constant(.02), Momentum: .3, Clip: .1, Shuffle: true},
		{Batch: 16},
	} {
		var runs [2]*fslaRun
		for i := range runs {
			run, err := m.Start(smallLogistic(), bilevel.Point{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			runs[i] = run.(*fslaRun)
		}
		a, b := runs[0], runs[1]
		if !a.batchFree {
			t.Fatal("x enters the penalty alone, and the product is not taken from the step before")
		}
		b.batchFree = false
		b.oz, b.ov = slices.Clone(b.z), slices.Clone(b.v)
		for i := range 600 {
			if i == 300 {
				a.reset()
				b.reset()
			}
			must(a.Step(context.Background()))
			must(b.Step(context.Background()))
		}
		if !slices.Equal(a.x, b.x) || !slices.Equal(a.z, b.z) || a.counts != b.counts {
			t.Errorf("%+v: x = %v and %v with the product at the old point; counts %+v and %+v", m, a.x, b.x, a.counts, b.counts)
		}
		if a.x[0] == 0 {
			t.Errorf("%+v: x has not moved", m)
		}
	}
}
