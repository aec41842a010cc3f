package mix

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

const columns = 6

// made are n rows of k classes (0 for numbers) that depend on the columns as the directions say.
func made(n, k int, directions [][]float64, rng *rand.Rand) *dataset.Set {
	x := rows.NewDense(n, columns)
	s := &dataset.Set{X: x, Source: "made.csv", Schema: &dataset.Schema{Format: "csv", Width: columns}}
	for j := range columns {
		name := string(rune('a' + j))
		s.Schema.Columns = append(s.Schema.Columns, dataset.Column{Name: name, Kind: dataset.Numeric})
	}
	s.Features = s.Schema.Features()
	for i := range n {
		score := make([]float64, len(directions))
		for j := range columns {
			v := rng.NormFloat64()
			x.Row(i)[j] = v
			for c, d := range directions {
				score[c] += d[j] * v
			}
		}
		if k == 0 {
			s.Y = append(s.Y, 10+score[0]+rng.NormFloat64())
			continue
		}
		best := 0
		for c := range score {
			score[c] -= math.Log(-math.Log(rng.Float64())) // Gumbel
			if score[c] > score[best] {
				best = c
			}
		}
		s.Y = append(s.Y, float64(best))
	}
	s.Classes = []string{"p", "q", "r"}[:k]
	if k == 0 {
		s.Classes = nil
	}
	s.Schema.Classes = s.Classes
	return s
}

// directions are those of k classes, or of numbers.
func directions(k int, rng *rand.Rand) [][]float64 {
	out := make([][]float64, max(k, 1))
	for c := range out {
		for range columns {
			out[c] = append(out[c], 1.2*rng.NormFloat64())
		}
	}
	return out
}

// permuted are the same rows with each other's labels.
func permuted(s *dataset.Set, rng *rand.Rand) *dataset.Set {
	t := *s
	t.Y = slices.Clone(s.Y)
	rng.Shuffle(len(t.Y), func(i, j int) { t.Y[i], t.Y[j] = t.Y[j], t.Y[i] })
	return &t
}

// five are five sources, the second and the fourth of which have permuted labels, a target and test rows.
func five(k, target, source int, seed uint64) Data {
	rng := rand.New(rand.NewPCG(seed, 5))
	d := directions(k, rng)
	data := Data{Target: made(target, k, d, rng), Test: made(4000, k, d, rng), Names: []string{"a", "b", "c", "d", "e"}}
	for s := range 5 {
		of := made(source, k, d, rng)
		if s%2 == 1 {
			of = permuted(of, rng)
		}
		data.Sources = append(data.Sources, of)
	}
	return data
}

func fitted(t *testing.T, data Data, o Options) *Result {
	t.Helper()
	r, err := Fit(context.Background(), data, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Permuted labels get no weight at all, and the model is as good as that of the clean sources.
func TestPermuted(t *testing.T) {
	for _, k := range []int{0, 2, 3} {
		for _, only := range []bool{false, true} {
			data := five(k, 300, 500, uint64(k))
			r := fitted(t, data, Options{SourcesOnly: only})
			sum := 0.0
			for s, of := range r.Sources {
				sum += of.Weight
				bad := s == 1 || s == 3
				if (of.Weight == 0) != bad || of.LeftOut != bad {
					t.Errorf("%d classes, sources only %v: %+v", k, only, of)
				}
				if c := of.Change; math.IsNaN(c) || bad && c < 0 {
					t.Errorf("%d classes: %s changes the loss by %v", k, of.Name, c)
				}
			}
			if math.Abs(sum-1) > 1e-12 || len(r.Sources) != map[bool]int{false: 6, true: 5}[only] {
				t.Errorf("%d sources whose weights add up to %v", len(r.Sources), sum)
			}
			clean := data
			clean.Sources, clean.Names = []*dataset.Set{data.Sources[0], data.Sources[2], data.Sources[4]}, nil
			best := fitted(t, clean, Options{SourcesOnly: only})
			if a, b := stat.Mean(r.Mix.Said.Losses, nil), stat.Mean(best.Mix.Said.Losses, nil); math.Abs(a-b) > .005*b {
				t.Errorf("%d classes: loss %v, of the clean sources %v", k, a, b)
			}
			if e := gain(r.Mix, r.Alike); e < 2 {
				t.Errorf("%d classes: better than all rows alike by %v standard errors", k, e)
			}
		}
	}
}

// A target between two sources needs weights of their own; the third is the opposite of one of them.
func TestWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	d := directions(0, rng)[0]
	turn := func(along float64) [][]float64 {
		v := slices.Clone(d)
		v[0] += along
		return [][]float64{v}
	}
	data := Data{Target: made(600, 0, turn(.75), rng), Test: made(2000, 0, turn(.75), rng),
		Sources: []*dataset.Set{made(2000, 0, turn(0), rng), made(2000, 0, turn(1), rng)}}
	r := fitted(t, data, Options{SourcesOnly: true})
	if w := r.Sources[1]; r.Even || math.Abs(w.Weight-.75) > .08 || !(w.Low < .75 && w.High > .75 && w.High-w.Low < .25) {
		t.Errorf("even %v, %+v, want 0.75", r.Even, w)
	}
	if e := gain(r.Mix, r.Alike); e < 2 {
		t.Errorf("better than all rows alike by %v standard errors", e)
	}
}

// problems are small ones of all tasks, with the target's own rows and without.
func problems(t *testing.T, check func(f *fit, p *problem)) {
	for _, k := range []int{0, 2, 3} {
		for _, only := range []bool{false, true} {
			data := five(k, 40, 60, 1)
			f, err := prepare(data, Options{SourcesOnly: only, Folds: 3, Task: tune.AutoTask})
			if err != nil {
				t.Fatal(err)
			}
			f.ctx, f.closing = t.Context(), t.Context()
			use := []int{0, 2, 3}
			if !only {
				use = append(use, 5)
			}
			for _, omit := range []int{-1, 0, 1, 2} {
				p, err := f.problem(use, omit)
				if err != nil {
					t.Fatal(err)
				}
				check(f, p)
			}
		}
	}
}

// Hypergradients are finite differences of h, and the means of those of rows.
func TestHypergradient(t *testing.T) {
	problems(t, func(f *fit, p *problem) {
		n := len(p.use)
		x := make([]float64, n+1)
		for s := range n {
			x[s] = float64(s+1) / float64(n*(n+1)/2)
		}
		x[n] = -1.5
		v := hypergrad.Evaluator{Problem: &p.Problem}
		grad := make([]float64, n+1)
		if _, err := v.Evaluate(t.Context(), grad, x); err != nil {
			t.Fatal(err)
		}
		each, err := p.rowGradients(t.Context(), x, v.Point().Z)
		if err != nil {
			t.Fatal(err)
		}
		const step = 1e-4
		for j := range x {
			h := [2]float64{}
			for k, sign := range []float64{1, -1} {
				to := slices.Clone(x)
				to[j] += sign * step
				if h[k], err = v.Evaluate(t.Context(), nil, to); err != nil {
					t.Fatal(err)
				}
			}
			want, mean := (h[0]-h[1])/(2*step), 0.0
			for _, g := range each {
				mean += g[j] / float64(len(each))
			}
			if math.Abs(grad[j]-want) > 1e-6*(1+math.Abs(want)) || math.Abs(mean-want) > 1e-5*(1+math.Abs(want)) {
				t.Errorf("%s, %d folds: ∂h/∂x[%d] is %v, of rows %v, finite differences %v", f.task, len(p.bounds), j, grad[j],
					mean, want)
			}
		}
	})
}

// No row is judged by a model that was fitted to it: what h says is what models of the other rows say.
func TestOutOfFold(t *testing.T) {
	problems(t, func(f *fit, p *problem) {
		if p.bounds == nil {
			return
		}
		n := len(p.use)
		x := append(slices.Repeat([]float64{1 / float64(n)}, n), -2)
		l, err := p.at(t.Context(), x, nil)
		if err != nil {
			t.Fatal(err)
		}
		for g := range len(p.bounds) - 1 {
			// The rows of all sources but the fold, as a problem without folds.
			own := slices.Concat(sequence(0, p.bounds[g]), sequence(p.bounds[g+1], len(p.target.Y)))
			sets, part := []*dataset.Set{}, []int{}
			for k, s := range p.use {
				set := span(f.all, f.first[s], f.first[s]+f.sources[s].Rows)
				if f.sources[s].Target {
					set = p.target.Subset(own)
				}
				sets, part = append(sets, set), append(part, slices.Repeat([]int{k}, len(set.Y))...)
			}
			all := stack(sets)
			loss, err := f.task.Objective(all.X, all.Y, f.classes, 0)
			if err != nil {
				t.Fatal(err)
			}
			penalty, err := model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{First: n, Intercept: true})
			if err != nil {
				t.Fatal(err)
			}
			m, err := model.NewMixture(loss, part, nil, penalty)
			if err != nil {
				t.Fatal(err)
			}
			z, err := solve(t.Context(), m, x, nil, 1e-10)
			if err != nil {
				t.Fatal(err)
			}
			d := len(z)
			for i, v := range z {
				if math.Abs(v-l.z[g*d+i]) > 1e-3*(1+math.Abs(v)) {
					t.Fatalf("%s, fold %d: coefficient %d is %v, want %v", f.task, g, i, l.z[g*d+i], v)
				}
			}
		}
	})
}

func sequence(lo, hi int) []int {
	var s []int
	for i := lo; i < hi; i++ {
		s = append(s, i)
	}
	return s
}

// Most weights that are learned anew, with rows that are drawn anew, lie in the intervals.
func TestIntervals(t *testing.T) {
	data := five(2, 400, 150, 3)
	f, err := prepare(data, Options{SourcesOnly: true, Task: tune.AutoTask})
	if err != nil {
		t.Fatal(err)
	}
	f.ctx, f.closing = t.Context(), t.Context()
	p, err := f.problem([]int{0, 1, 2, 3, 4}, -1)
	if err != nil {
		t.Fatal(err)
	}
	start := append(slices.Repeat([]float64{.2}, 5), -3)
	l, err := f.learn(t.Context(), p, start, nil)
	if err != nil {
		t.Fatal(err)
	}
	low, high, err := f.intervals(t.Context(), p, l)
	if err != nil {
		t.Fatal(err)
	}
	rng, in, all := generator(1), 0, 0
	for range 40 {
		order := make([]int, len(p.target.Y))
		for i := range order {
			order[i] = rng.IntN(len(order))
		}
		drawn := p.target.Subset(order)
		q := *p
		if q.Outer, err = f.task.Objective(drawn.X, drawn.Y, f.classes, 6); err != nil {
			t.Fatal(err)
		}
		m, err := f.learn(t.Context(), &q, l.x, l.z)
		if err != nil {
			t.Fatal(err)
		}
		for s := range 5 {
			if all++; m.x[s] >= low[s]-.02 && m.x[s] <= high[s]+.02 {
				in++
			}
		}
	}
	if share := float64(in) / float64(all); share < .85 {
		t.Errorf("%v of the weights lie in the intervals %v to %v", share, low, high)
	}
	if high[1] > .5 || high[0]-low[0] > .95 {
		t.Errorf("the intervals %v to %v tell nothing", low, high)
	}
}

// The minimiser of a convex quadratic over the simplex: no exchange of weight lowers it.
func TestQuadratic(t *testing.T) {
	rng := generator(4)
	for range 200 {
		n := 2 + rng.IntN(6)
		root := make([][]float64, n)
		for a := range root {
			for range n {
				root[a] = append(root[a], rng.NormFloat64())
			}
		}
		q := quadratic{make([][]float64, n)}
		for a := range n {
			for b := range n {
				s := 0.0
				for c := range n {
					s += root[a][c] * root[b][c]
				}
				q.hessian[a] = append(q.hessian[a], s)
			}
		}
		w, g := make([]float64, n), make([]float64, n)
		w[rng.IntN(n)] = 1
		start, slope := slices.Clone(w), make([]float64, n)
		for a := range g {
			slope[a] = 3 * rng.NormFloat64()
			g[a] = slope[a]
		}
		q.minimize(w, g)
		least, sum := math.Inf(1), 0.0
		for a := range n {
			want := slope[a]
			for b := range n {
				want += q.hessian[a][b] * (w[b] - start[b])
			}
			if math.Abs(want-g[a]) > 1e-9 {
				t.Fatalf("the gradient is %v, want %v", g[a], want)
			}
			least, sum = min(least, g[a]), sum+w[a]
		}
		for a := range n {
			if w[a] < 0 || w[a] > 0 && g[a] > least+1e-5 || math.Abs(sum-1) > 1e-12 {
				t.Fatalf("weights %v with gradient %v", w, g)
			}
		}
	}
}

// The model says of test rows what the result says that it says, and holds the weights.
func TestModel(t *testing.T) {
	for _, k := range []int{0, 2, 3} {
		data := five(k, 100, 200, 2)
		r := fitted(t, data, Options{Seed: 3})
		p, err := r.Model.Predict(data.Test)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Model.Check(); err != nil {
			t.Error(err)
		}
		u, err := r.Model.Unseen(p, data.Test)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range u.Model.Losses {
			if math.Abs(l-r.Unseen.Model.Losses[i]) > 1e-9*(1+l) {
				t.Fatalf("%d classes, row %d: the loss is %v, and %v with the model", k, i, r.Unseen.Model.Losses[i], l)
			}
		}
		if len(r.Model.Obtained.Mix) != 6 || r.Model.Obtained.Mix[0] != (tune.Part{Name: "a", Rows: 200,
			Weight: r.Sources[0].Weight}) {
			t.Errorf("%+v", r.Model.Obtained.Mix)
		}
		if again := fitted(t, data, Options{Seed: 3}); !slices.Equal(again.Unseen.Model.Losses, r.Unseen.Model.Losses) {
			t.Error("two runs of the same seed differ")
		}
	}
}

func TestSparse(t *testing.T) {
	data := five(2, 300, 500, 4)
	for _, s := range append(slices.Clone(data.Sources), data.Target, data.Test) {
		x := s.X.(*rows.Dense)
		m := &rows.CSR{N: x.N, D: x.D, Ptr: []int{0}}
		for i := range x.N {
			for j, v := range x.Row(i) {
				m.Idx, m.Val = append(m.Idx, int32(j)), append(m.Val, v)
			}
			m.Ptr = append(m.Ptr, len(m.Idx))
		}
		s.X = m
	}
	r := fitted(t, data, Options{Scale: tune.Off})
	if r.Sources[1].Weight != 0 || r.Sources[3].Weight != 0 || r.Sources[0].Weight == 0 {
		t.Errorf("%+v", r.Sources)
	}
}

func TestRefuses(t *testing.T) {
	good := func() Data { return five(2, 30, 40, 1) }
	other := made(20, 3, directions(3, generator(1)), generator(2))
	for _, c := range []struct {
		want   string
		data   func(d *Data)
		option Options
	}{
		{want: "there are no target rows", data: func(d *Data) { d.Target = nil }},
		{want: "there are 1 sources to weigh", data: func(d *Data) { d.Sources = d.Sources[:1] }},
		{want: "5 sources", data: func(d *Data) { d.Names = d.Names[:2] }},
		{want: "source 3 has no rows", data: func(d *Data) { d.Sources[2] = nil }},
		{want: "no source rows", data: func(d *Data) { d.Sources[1] = d.Sources[1].Subset(nil) }},
		{want: "nothing to judge by", data: func(d *Data) { d.Target = d.Target.Subset(nil) }},
		{want: "the target rows have no label", data: func(d *Data) { s := *d.Target; s.Y = nil; d.Target = &s }},
		{want: "the source rows have no label", data: func(d *Data) { s := *d.Sources[1]; s.Y = nil; d.Sources[1] = &s }},
		{want: `"r"`, data: func(d *Data) { d.Sources[1] = other }},
		{want: `feature 1 of the source rows is "z"`, data: func(d *Data) {
			s := *d.Sources[1]
			s.Features = slices.Clone(s.Features)
			s.Features[0] = "z"
			d.Sources[1] = &s
		}},
		{want: "no target row is of the class", data: func(d *Data) {
			d.Target = d.Target.Subset(slices.DeleteFunc(sequence(0, 30), func(i int) bool { return d.Target.Y[i] == 1 }))
		}},
		{want: "needs numbers as labels", option: Options{Task: tune.Ridge}},
		{want: "folds", option: Options{Folds: 2}},
		{want: "folds", option: Options{Folds: 31}},
		{want: "max-time", option: Options{MaxTime: -1}},
		{want: "scale", option: Options{Scale: "much"}},
		{want: "model", option: Options{Task: "magic"}},
	} {
		data := good()
		if c.data != nil {
			c.data(&data)
		}
		_, err := Fit(t.Context(), data, c.option)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		var wrong *dataset.Error
		var option *tune.OptionError
		if err != nil && !errors.As(err, &wrong) && !errors.As(err, &option) && c.want != "5 sources" {
			t.Errorf("%v is a %T", err, err)
		}
	}
}

// Cancelling, or a time that is over, ends with a model.
func TestEnds(t *testing.T) {
	data := five(2, 300, 3000, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := Fit(ctx, data, Options{Progress: func(p tune.Progress) {
		if p.Stage == "learning weights" {
			cancel()
		}
	}})
	if err != nil || !r.Interrupted || r.Model.Check() != nil || !strings.HasPrefix(r.Reason, "interrupted") {
		t.Errorf("%v %+v", err, r)
	}
	if r, err = Fit(t.Context(), data, Options{MaxTime: time.Nanosecond}); err == nil && !r.TimedOut {
		t.Errorf("%+v", r)
	}
}

// Real data, cut into five sources with two of permuted labels: their weights are zero, and the test loss is that of the
// clean three.
func TestIJCNN1(t *testing.T) {
	realdata.Long(t, "learns weights of five parts of ijcnn1")
	all, err := dataset.Read(t.Context(), realdata.File(t, "ijcnn1", "ijcnn1.trn.bz2"), dataset.Options{})
	if err == nil {
		err = all.AsClasses()
	}
	if err != nil {
		t.Fatal(err)
	}
	rng := generator(1)
	all = all.Shuffle(1)
	part := func(lo, n int) *dataset.Set { return all.Subset(sequence(lo, lo+n)) }
	data := Data{Target: part(0, 500), Test: part(500, 10000)}
	for s := range 5 {
		of := part(10500+2000*s, 2000)
		if s%2 == 1 {
			of = permuted(of, rng)
		}
		data.Sources = append(data.Sources, of)
	}
	r := fitted(t, data, Options{})
	for s, of := range r.Sources {
		if bad := s == 1 || s == 3; (of.Weight == 0) != bad {
			t.Errorf("%+v", of)
		}
	}
	data.Sources = []*dataset.Set{data.Sources[0], data.Sources[2], data.Sources[4]}
	if e := gain(fitted(t, data, Options{}).Mix, r.Mix); math.Abs(e) > 2 {
		t.Errorf("the clean sources are better by %v standard errors", e)
	}
}
