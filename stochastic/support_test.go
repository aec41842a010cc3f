package stochastic

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// sparseRows has n rows of few among d features; features from last on are in none, and row 3 is empty. The last
// feature is a column of ones if ones is set.
func sparseRows(n, d, last int, ones bool, seed uint64) *rows.CSR {
	rng := rand.New(rand.NewPCG(seed, 9))
	a := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}
	for i := range n {
		for j := range last {
			if i != 3 && rng.Float64() < 1.5/float64(2+j) { // from common to rare
				a.Idx, a.Val = append(a.Idx, int32(j)), append(a.Val, rng.NormFloat64())
			}
		}
		a.Ptr = append(a.Ptr, len(a.Idx))
	}
	if ones {
		return a.WithOnes().(*rows.CSR)
	}
	return a
}

// sparseProblem has 131 training and 77 validation rows: short last blocks. With 30 features, 4 are in validation
// rows only and 3 in none.
func sparseProblem(classes int, kind model.Strengths, intercept bool) *bilevel.Problem {
	const n, m, d = 131, 77, 30
	train, val := sparseRows(n, d, d-7, intercept, 1), sparseRows(m, d, d-3, intercept, 2)
	groups := make([]string, d)
	for j := range groups {
		groups[j] = fmt.Sprint(j % 4)
	}
	features := train.D
	pen, err := model.NewPenalty(model.Layout{Features: features, Classes: classes, FeatureMajor: classes > 1}, kind,
		model.PenaltyOptions{Intercept: intercept, Groups: groups})
	must(err)
	loss := func(a *rows.CSR, seed uint64) *model.Loss {
		rng := rand.New(rand.NewPCG(seed, 3))
		sign, class := make([]float64, a.N), make([]int, a.N)
		for i := range a.N {
			score := rng.NormFloat64()
			idx, val := a.Row(i)
			for e, j := range idx {
				score += 2 * val[e] * math.Cos(float64(j))
			}
			sign[i] = math.Copysign(1, score)
			class[i] = min(max(int(score+1.5), 0), classes-1)
		}
		var l *model.Loss
		var err error
		if classes > 1 {
			l, err = model.NewSoftmax(a, class, classes, pen.P())
		} else {
			l, err = model.NewLogistic(a, sign, pen.P())
		}
		must(err)
		return l
	}
	g, err := model.Regularize(loss(train, 1), pen)
	must(err)
	return &bilevel.Problem{Inner: g, Outer: loss(val, 2)}
}

func sparseProblems() []namedProblem {
	var list []namedProblem
	for _, c := range []struct {
		classes   int
		kind      model.Strengths
		intercept bool
	}{
		{1, model.PerFeature, false},
		{1, model.PerFeature, true},
		{1, model.Shared, true},
		{1, model.PerGroup, false},
		{3, model.PerFeature, true},
		{3, model.PerFeatureClass, false},
		{3, model.PerClass, false},
		{3, model.Shared, false},
	} {
		build := func() *bilevel.Problem { return sparseProblem(c.classes, c.kind, c.intercept) }
		d, p := build().Dims()
		rng := rand.New(rand.NewPCG(4, 4))
		at := bilevel.Point{Z: fill(d, 0), X: fill(p, 0), V: fill(d, 0)}
		for _, v := range [][]float64{at.Z, at.X, at.V} {
			for i := range v {
				v[i] = rng.NormFloat64() / 3
			}
		}
		for i := range at.X {
			at.X[i] -= 2
		}
		list = append(list, namedProblem{fmt.Sprintf("%d classes, %v", c.classes, c.kind), build, at})
	}
	boxed := list[0]
	boxed.name += " in a box"
	boxed.make = func() *bilevel.Problem {
		p := sparseProblem(1, model.PerFeature, false)
		p.Lower, p.Upper = fill(30, -2.1), fill(30, -1.6)
		p.Upper[5] = math.Inf(1)
		return p
	}
	return append(list, boxed)
}

func supportMethods() []namedMethod {
	return []namedMethod{
		{"SOBA", SOBA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Support: true}},
		{"SOBA shuffled, decaying", SOBA{Batch: 8, InnerStep: Decaying(.1, .5), OuterStep: Decaying(.05, .4), Shuffle: true,
			Support: true}},
		{"SOBA auto", SOBA{Batch: 8, Support: true}},
		{"SABA", SABA{Batch: 8, InnerStep: Constant(.05), OuterStep: Constant(.02), Support: true}},
		{"SABA shuffled, decaying", SABA{Batch: 8, InnerStep: Decaying(.1, .5), OuterStep: Decaying(.05, .4), Shuffle: true,
			Warm: true, Support: true}},
		{"SABA batch 1", SABA{Batch: 1, InnerStep: Constant(.02), OuterStep: Constant(.01), Support: true}},
		{"SABA auto", SABA{Batch: 8, Support: true}},
		{"SABA auto inner", SABA{Batch: 8, OuterStep: Constant(.02), Support: true}},
		{"SABA auto outer", SABA{Batch: 8, InnerStep: Constant(.05), Support: true}},
	}
}

// The mean of the directions over all draws, each with its probability, is the full direction: exactly, for any
// memory, in all coordinates, also those that no row sees.
func TestSupportIsUnbiased(t *testing.T) {
	for _, p := range sparseProblems() {
		for _, shuffle := range []bool{false, true} {
			for _, batch := range []int{1, 8, 50, 1000} {
				for _, m := range []bilevel.Method{
					SOBA{Batch: batch, InnerStep: Constant(.05), OuterStep: Constant(.02), Shuffle: shuffle, Support: true},
					SABA{Batch: batch, InnerStep: Constant(.05), OuterStep: Constant(.02), Shuffle: shuffle, Support: true},
				} {
					problem := p.make()
					run, err := m.Start(problem, p.at, 1)
					if err != nil {
						t.Fatal(err)
					}
					for range 5 {
						if err := run.Step(context.Background()); err != nil {
							t.Fatal(err)
						}
					}
					r := run.(*supportRun)
					memory := []*[]float64{&r.colG.mem, &r.colF.mem, &r.avg, &r.avgX}
					for i := range r.memX {
						memory = append(memory, &r.memX[i])
					}
					var before [][]float64
					for _, v := range memory {
						before = append(before, slices.Clone(*v))
					}
					d, q := problem.Dims()
					dz, dv, dx := fill(d, 0), fill(d, 0), fill(q, 0)
					add := func(dst []float64, pr float64, dir []float64, of []int32, k int) {
						for i, c := range of {
							axpy(pr, dir[i*k:(i+1)*k], dst[int(c)*k:(int(c)+1)*k])
						}
					}
					for i := range r.gi.Blocks() {
						for j := range r.fo.Blocks() {
							pr := 1.0
							for _, s := range []struct {
								s     *sampling.Sampler
								block int
							}{{r.gi, i}, {r.fo, j}} {
								b := s.s.Block(s.block)
								w, pi := 1.0, s.s.Share(b)
								if shuffle {
									w, pi = float64(s.s.Blocks())*s.s.Share(b), 1/float64(s.s.Blocks())
								}
								s.s.Ahead = sampling.Draw{Block: s.block, Batch: b, Weight: w}
								pr *= pi
							}
							for e, v := range memory {
								copy(*v, before[e])
							}
							r.directions()
							add(dz, pr, r.colG.dir[0], r.colG.of[i], r.colG.k)
							add(dv, pr, r.colG.dir[1], r.colG.of[i], r.colG.k)
							add(dv, pr, r.colF.dir[0], r.colF.of[j], r.colF.k)
							if r.memX != nil {
								axpy(pr, r.dx, dx)
							} else {
								add(dx, pr, r.dxs, r.parts[i].places, 1)
							}
						}
					}
					wz, wv, wx, fz := fill(d, 0), fill(d, 0), fill(q, 0), fill(d, 0)
					r.g.wholeG.Products(wz, wv, wx, r.z, r.x, r.v, bilevel.All(r.g.Whole))
					r.f.Whole.Grad(fz, nil, r.z, r.x, bilevel.All(r.f.Whole))
					axpy(1, fz, wv)
					for _, e := range []struct {
						name      string
						got, want []float64
					}{{"D_z", dz, wz}, {"D_v", dv, wv}, {"D_x", dx, wx}} {
						if err := relative(e.want, e.got); !(err < 1e-12) {
							t.Errorf("%s, %+v: the mean of %s is off by %.3g", p.name, m, e.name, err)
						}
					}
				}
			}
		}
	}
}

// With all samples in one batch every factor is 1: support reweighting is the ordinary run.
func TestSupportOfAllSamplesChangesNothing(t *testing.T) {
	for _, p := range sparseProblems() {
		for _, c := range []struct{ ordinary, support bilevel.Method }{
			{SOBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05)},
				SOBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05), Support: true}},
			{SABA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05)},
				SABA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05), Support: true}},
			{SABA{Batch: 1000}, SABA{Batch: 1000, Support: true}},
		} {
			s := bilevel.Settings{MaxSteps: 200, Start: p.at}
			ordinary, support := minimize(t, c.ordinary, p.make(), s), minimize(t, c.support, p.make(), s)
			close(t, fmt.Sprintf("%s, %+v", p.name, c.support), ordinary.Last, support.Last, 1e-12)
			if ordinary.Counts != support.Counts {
				t.Errorf("%s: counts %+v, without support reweighting %+v", p.name, support.Counts, ordinary.Counts)
			}
		}
	}
}

func TestSupportMemoryAfterAPassIsTheFullGradient(t *testing.T) {
	for _, p := range sparseProblems() {
		for _, batch := range []int{1, 8, 1000} {
			for _, warm := range []bool{false, true} {
				run, err := SABA{Batch: batch, InnerStep: still, OuterStep: still, Shuffle: true, Warm: warm,
					Support: true}.Start(p.make(),
					p.at, 1)
				if err != nil {
					t.Fatal(err)
				}
				r := run.(*supportRun)
				for range max(r.gi.Blocks(), r.fo.Blocks()) {
					if err := run.Step(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				d := len(r.z)
				dz, hv, fz := fill(d, 0), fill(d, 0), fill(d, 0)
				r.g.sampledG.Products(dz, hv, nil, r.z, r.x, r.v, bilevel.All(r.g.Sampled))
				r.f.Sampled.Grad(fz, nil, r.z, r.x, bilevel.All(r.f.Sampled))
				for _, c := range []struct {
					name      string
					got, want []float64
				}{{"∇z g", average(r, 0), dz}, {"∇²zz g v", average(r, 1), hv}, {"∇z f", average(r, 2), fz}} {
					if e := relative(c.want, c.got); !(e < 1e-13) {
						t.Errorf("%s, batch %d, warm %v: the average of %s is off by %.3g", p.name, batch, warm, c.name, e)
					}
				}
			}
		}
	}
}

// average is the average of a quantity: ∇z g, Hv or ∇z f.
func average(r *supportRun, q int) []float64 {
	var avg []float64
	for k, at := r.colG.k, 0; at < len(r.avg); at += 3 * k {
		avg = append(avg, r.avg[at+q*k:at+(q+1)*k]...)
	}
	return avg
}

func TestSupportRuns(t *testing.T) {
	for _, m := range supportMethods() {
		for _, p := range sparseProblems() {
			t.Run(m.name+"/"+p.name, func(t *testing.T) {
				problem := p.make()
				s := bilevel.Settings{MaxSteps: 601, Seed: 5, Start: p.at, RecordEvery: 601}
				whole := minimize(t, m.m, problem, s)

				for _, procs := range []int{1, 4} {
					old := runtime.GOMAXPROCS(procs)
					again := minimize(t, m.m, p.make(), s)
					runtime.GOMAXPROCS(old)
					if !samePoint(again.Last, whole.Last) {
						t.Errorf("GOMAXPROCS = %d gives other bits", procs)
					}
				}
				other := s
				other.Seed = 6
				if samePoint(whole.Last, minimize(t, m.m, p.make(), other).Last) {
					t.Error("another seed gives the same run")
				}

				file := filepath.Join(t.TempDir(), "run")
				for _, n := range []int64{1, 333, 601} {
					part := s
					part.MaxSteps, part.Checkpoint, part.Resume = n, file, true
					res := minimize(t, m.m, p.make(), part)
					if n == 601 && (!samePoint(whole.Last, res.Last) || whole.Counts != res.Counts) {
						t.Error("a resumed run ends elsewhere")
					}
				}

				recorded := s
				recorded.RecordEvery = 1
				recorded.Recorder = bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) {
					x := slices.Clone(at.X)
					problem.ProjectX(x)
					if !slices.Equal(x, at.X) {
						t.Fatalf("step %d leaves the domain", r.Step)
					}
				})
				if !samePoint(whole.Last, minimize(t, m.m, problem, recorded).Last) {
					t.Error("recording every step changes the run")
				}

				noAllocation(t, m.m, problem, p.at)
			})
		}
	}
}

func TestSupportCounts(t *testing.T) {
	p := sparseProblem(1, model.PerFeature, false)
	for _, c := range []struct {
		m    bilevel.Method
		want bilevel.Counts
	}{
		{SOBA{Batch: 1, InnerStep: Constant(.1), OuterStep: Constant(.1), Support: true},
			bilevel.Counts{GradF: 10, GradG: 10, HessG: 10, CrossG: 10}},
		{SABA{Batch: 500, InnerStep: Constant(.1), OuterStep: Constant(.1), Support: true},
			bilevel.Counts{GradF: 770, GradG: 1310, HessG: 1310, CrossG: 1310}},
		{SABA{Batch: 1, InnerStep: Constant(.1), OuterStep: Constant(.1), Warm: true, Support: true},
			bilevel.Counts{GradF: 87, GradG: 141, HessG: 141, CrossG: 141}},
	} {
		if got := minimize(t, c.m, p, bilevel.Settings{MaxSteps: 10}).Counts; got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.m, got, c.want)
		}
	}
}

// A step moves what its two blocks see, and nothing else.
func TestSupportMovesItsColumns(t *testing.T) {
	p := sparseProblems()[0]
	run, err := SABA{Batch: 1, InnerStep: Constant(.1), OuterStep: Constant(.1), Support: true}.Start(p.make(), p.at, 3)
	if err != nil {
		t.Fatal(err)
	}
	r := run.(*supportRun)
	for range 300 {
		before := run.Point()
		if err := run.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		after := run.Point()
		of, out := r.colG.of[r.drawn[0]], r.colF.of[r.drawn[1]]
		for j := range after.Z {
			in := slices.Contains(of, int32(j))
			if after.Z[j] != before.Z[j] && !in || after.X[j] != before.X[j] && !in || after.V[j] != before.V[j] && !in &&
				!slices.Contains(out, int32(j)) {
				t.Fatalf("a step on the columns %v and %v moves column %d", of, out, j)
			}
		}
	}
}

// At z*(x), v*(x), with a memory from there, every draw gives the full directions: D_z = D_v = 0, and D_x where
// columns share a part of x.
func TestSupportVarianceVanishes(t *testing.T) {
	for _, p := range sparseProblems() {
		problem := p.make()
		at := minimize(t, SOBA{Batch: 1000, InnerStep: Constant(.5), OuterStep: still}, problem,
			bilevel.Settings{MaxSteps: 3000, Start: p.at}).Last
		hypergrad := make([]float64, len(at.X))
		problem.Inner.(bilevel.SecondOrder).Products(nil, nil, hypergrad, at.Z, at.X, at.V, bilevel.All(problem.Inner))
		run, err := SABA{Batch: 8, InnerStep: Constant(.1), OuterStep: still, Warm: true, Support: true}.Start(problem, at, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := run.(*supportRun)
		for range 500 {
			if err := run.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
			if r.memX != nil {
				if e := relative(hypergrad, r.dx); !(e < 1e-9) {
					t.Fatalf("%s: D_x is off by %.3g", p.name, e)
				}
			}
		}
		close(t, p.name, at, run.Point(), 1e-9)
	}
}

// With and without support reweighting SABA ends at the same point.
func TestSupportReachesTheSameSolution(t *testing.T) {
	for i, p := range sparseProblems() {
		if i != 0 && i != 3 && i != 4 {
			continue // alike, or slow
		}
		problem := p.make()
		_, q := problem.Dims()
		problem.Lower, problem.Upper = fill(q, -2.5), fill(q, -.5)
		outer := Constant(10)
		if i == 0 {
			outer = Constant(60) // its gradients are small
		}
		s := bilevel.Settings{MaxSteps: 60000, Seed: 1, Start: bilevel.Point{X: fill(q, -2)}}
		want := minimize(t, SABA{Batch: 32, InnerStep: Constant(.2), OuterStep: outer}, problem, s).Last
		for _, m := range []bilevel.Method{
			SABA{Batch: 32, InnerStep: Constant(.2), OuterStep: outer, Support: true},
			SABA{Batch: 32, InnerStep: Constant(.2), OuterStep: outer, Shuffle: true, Support: true},
		} {
			got := minimize(t, m, problem, s).Last
			for _, e := range []struct {
				name      string
				got, want []float64
			}{{"x", got.X, want.X}, {"z", got.Z, want.Z}, {"v", got.V, want.V}} {
				if d := distance(e.got, e.want); !(d < 1e-6) {
					t.Errorf("%s, %+v: %s is %.3g away from where it ends otherwise", p.name, m, e.name, d)
				}
			}
		}
	}
}

// Automatic steps reach the same h with and without support reweighting.
func TestSupportAuto(t *testing.T) {
	for _, i := range []int{0, 3, 6} {
		p := sparseProblems()[i]
		problem := p.make()
		_, q := problem.Dims()
		problem.Lower, problem.Upper = fill(q, -6), fill(q, 3)
		e := &newton{p: problem}
		s := bilevel.Settings{MaxSteps: 20000, Seed: 1, Start: bilevel.Point{X: fill(q, -2)}}
		want, err := e.Evaluate(context.Background(), nil, minimize(t, SABA{Batch: 8}, problem, s).Last.X)
		must(err)
		res := minimize(t, SABA{Batch: 8, Support: true}, problem, s)
		grad := fill(q, 0)
		h, err := e.Evaluate(context.Background(), grad, res.Last.X)
		must(err)
		problem.ProjectedGrad(grad, res.Last.X, grad)
		if n := math.Sqrt(dot(grad, grad)); !(n < 1e-5) || !(math.Abs(h-want) < 1e-6) {
			t.Errorf("%s: h = %.9f, without support reweighting %.9f, ‖∇h‖ = %.3g", p.name, h, want, n)
		}
		for _, r := range res.Trace {
			if len(r.Notes) > 0 {
				t.Errorf("%s, step %d: %q", p.name, r.Step, r.Notes)
			}
		}
	}
}

func TestSupportConfiguration(t *testing.T) {
	fits := func() *bilevel.Problem { return sparseProblem(1, model.PerFeature, false) }
	dense := smallLogistic()
	quadratic := newQuadratic(9, 7, 1, 1).problem()
	for _, c := range []struct {
		name  string
		m     bilevel.Method
		p     *bilevel.Problem
		wants string
	}{
		{"dense rows", SOBA{Support: true}, dense, "sparse rows"},
		{"closures", SABA{Support: true}, quadratic, "bilevel.Sparse"},
		{"clipped", SOBA{Support: true, Clip: 1}, fits(), "Clip"},
		{"clipped", SABA{Support: true, Clip: 1}, fits(), "Clip"},
		{"a negative batch", SABA{Support: true, Batch: -1}, fits(), "batch"},
		{"no problem", SOBA{Support: true}, nil, "no outer objective"},
		{"projection", SOBA{Support: true}, func() *bilevel.Problem {
			p := fits()
			p.Project = func([]float64) {}
			return p
		}(), "box"},
		{"no penalty", SOBA{Support: true}, func() *bilevel.Problem {
			p := fits()
			loss, _ := p.Inner.(bilevel.Splitter).Split()
			p.Inner = loss
			return p
		}(), "Separable"},
		{"an outer penalty", SOBA{Support: true}, func() *bilevel.Problem { p := fits(); p.Outer = p.Inner; return p }(),
			"exact part"},
		{"other scores", SOBA{Support: true}, func() *bilevel.Problem {
			p := fits()
			f, err := model.NewSoftmax(&rows.CSR{N: 1, D: 15, Ptr: []int{0, 1}, Idx: []int32{3}, Val: []float64{1}}, []int{0}, 2,
				30)
			must(err)
			p.Outer = f
			return p
		}(), "number of scores"},
		{"a dense outer objective", SOBA{Support: true}, func() *bilevel.Problem {
			p := fits()
			f, err := model.NewLogistic(rows.NewDense(2, 30), []float64{1, -1}, 30)
			must(err)
			p.Outer = f
			return p
		}(), "outer objective"},
	} {
		if _, err := c.m.Start(c.p, bilevel.Point{}, 1); err == nil || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: error %v, want one about %q", c.name, err, c.wants)
		}
	}
}
