package judge

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/tune"
)

// two are predictions of two classes from these odds.
func two(y, odds []float64) tune.Judged {
	j := tune.Judged{LogOdds: odds}
	for i, t := range odds {
		j.Losses = append(j.Losses, math.Log1p(math.Exp(-(2*y[i]-1)*t)))
		j.Predicted = append(j.Predicted, map[bool]float64{true: 1}[t > 0])
	}
	return j
}

// values are predictions of numbers.
func values(y, said []float64) tune.Judged {
	j := tune.Judged{Predicted: said}
	for i, v := range said {
		j.Losses = append(j.Losses, (v-y[i])*(v-y[i])/2)
	}
	return j
}

// same is what one model says as all three.
func same(y []float64, j tune.Judged) *tune.Unseen {
	return &tune.Unseen{On: "test", Y: y, Trivial: j, Baseline: j, Model: j}
}

// Figures of scikit-learn 1.9 for the same rows.
func TestFigures(t *testing.T) {
	labels := []float64{0, 0, 0, 0, 0, 0, 1, 1, 1, 1}
	odds := []float64{-2, -1.5, -1, -.5, .2, .9, -.3, .2, 1.1, 2}
	numbers := []float64{1, 2, 3, 4, 5, 7}
	for _, c := range []struct {
		u       *tune.Unseen
		classes []string
		want    map[string]float64
	}{
		{same(labels, two(labels, odds)), []string{"no", "yes"}, map[string]float64{"log_loss": 0.5021730154846257,
			"accuracy": .7, "balanced_accuracy": 0.7083333333333333, "auc": 0.8541666666666667, "f1": 0.696969696969697}},
		{same(numbers, values(numbers, []float64{1.5, 1.5, 3, 5, 4, 6})), nil, map[string]float64{"rmse": 0.7637626158259734,
			"mae": 0.6666666666666666, "r2": .85}},
	} {
		j := Of(c.u, c.classes)
		if len(j.Figures) != len(c.want) || j.Verdict != Same {
			t.Errorf("%d figures, %s", len(j.Figures), j.Verdict)
		}
		for key, want := range c.want {
			if f := j.Figure(key); math.Abs(f.Model.Value-want) > 1e-12 || !(f.Model.Low < want && f.Model.High > want) ||
				f.Change != (Estimate{}) {
				t.Errorf("%s is %+v, want %v", key, f, want)
			}
		}
	}
}

// The influence of a row is the derivative of the figure by the row's weight: as rows are repeated, the figure moves by
// it.
func TestInfluences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 400
	y, odds, v, said := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		y[i] = float64(r.IntN(2))
		odds[i] = y[i] - .5 + r.NormFloat64()
		v[i] = r.NormFloat64()
		said[i] = v[i] + r.NormFloat64()
	}
	check := func(m measure, classes bool, y []float64, s func(y []float64, rows []int) tune.Judged) {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		take := func(rows []int) influenced {
			part := make([]float64, len(rows))
			for k, i := range rows {
				part[k] = y[i]
			}
			again := numbers(&tune.Unseen{Task: tune.Ridge})
			if classes {
				again = labels(&tune.Unseen{Task: tune.Logistic, Y: part, Costs: []float64{1, 3}}, []string{"a", "b"}, make(orders))
			}
			return again[slices.IndexFunc(again, func(a measure) bool { return a.Key == m.Key })].of(part, s(part, rows))
		}
		whole := take(all)
		sum := 0.0
		for _, x := range whole.rows {
			sum += x
		}
		if math.Abs(sum) > 1e-9 {
			t.Errorf("%s: influences sum to %v", m.Key, sum)
		}
		for _, i := range []int{0, 7, 100} {
			moved := take(append(slices.Clone(all), i)).value - whole.value
			if want := whole.rows[i] / n; math.Abs(moved-want) > .02*math.Abs(want)+1e-5 {
				t.Errorf("%s: row %d moves it by %v, not %v", m.Key, i, moved, want)
			}
		}
	}
	pick := func(x []float64, rows []int) []float64 {
		out := make([]float64, len(rows))
		for k, i := range rows {
			out[k] = x[i]
		}
		return out
	}
	for _, m := range labels(&tune.Unseen{Task: tune.Logistic, Y: y, Costs: []float64{1, 3}}, []string{"a", "b"},
		make(orders)) {
		check(m, true, y, func(y []float64, rows []int) tune.Judged { return two(y, pick(odds, rows)) })
	}
	for _, m := range numbers(&tune.Unseen{Task: tune.Ridge}) {
		check(m, false, v, func(y []float64, rows []int) tune.Judged { return values(y, pick(said, rows)) })
	}
}

// Nineteen intervals of twenty hold the figure of the whole population.
func TestCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	hold := map[string]int{}
	const trials = 400
	for range trials {
		n := 200
		v, a, b := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			v[i] = r.NormFloat64()
			e := r.NormFloat64()
			a[i], b[i] = v[i]+e, v[i]+.9*e+.3*r.NormFloat64()
		}
		u := &tune.Unseen{On: "test", Y: v, Trivial: values(v, make([]float64, n)), Baseline: values(v, a),
			Model: values(v, b)}
		j := Of(u, nil)
		truth := math.Sqrt(.81 + .09)
		if e := j.Loss().Model; e.Low < truth && truth < e.High {
			hold["rmse"]++
		}
		if e := j.Change; e.Low < truth-1 && truth-1 < e.High {
			hold["change"]++
		}
		if e := j.Figure("r2").Model; e.Low < .1 && .1 < e.High {
			hold["r2"]++
		}
	}
	for key, n := range hold {
		if share := float64(n) / trials; share < .92 || share > .98 {
			t.Errorf("%s: %.3f of the intervals hold it", key, share)
		}
	}
}

func TestVerdicts(t *testing.T) {
	const n = 100
	y, zero := make([]float64, n), make([]float64, n)
	base := slices.Clone(zero)
	for i := range base {
		base[i] = float64(i%7) - 3
	}
	with := func(change func(i int, v float64) float64) []float64 {
		out := make([]float64, n)
		for i, v := range base {
			out[i] = change(i, v)
		}
		return out
	}
	for _, c := range []struct {
		name     string
		model    []float64
		want     Verdict
		culprits []int
	}{
		{"itself", base, Same, nil},
		{"half the error", with(func(_ int, v float64) float64 { return v / 2 }), MoreThanChance, nil},
		{"a hair less", with(func(_ int, v float64) float64 { return v * .999 }), AsGood, nil},
		{"a fifth more", with(func(i int, v float64) float64 { return v * 1.2 }), Worse, nil},
		{"some more, some less", with(func(i int, v float64) float64 { return v * (1 + .3*float64(i%2*2-1)) }), WithinChance,
			nil},
		{"one row far off", with(func(i int, v float64) float64 { return v + map[bool]float64{true: 100}[i == 42] }), Worse,
			[]int{42}},
		{"one row off", with(func(i int, v float64) float64 { return v + map[bool]float64{true: 15}[i == 42] }), TooFewRows,
			nil},
	} {
		j := Of(&tune.Unseen{On: "test", Y: y, Trivial: values(y, zero), Baseline: values(y, base),
			Model: values(y, c.model)}, nil)
		if j.Verdict != c.want || !slices.Equal(j.Culprits, c.culprits) {
			t.Errorf("%s: %s, rows %v, change %+v", c.name, j.Verdict, j.Culprits, j.Change)
		}
	}
}

// The loss of a class model that is sure and wrong in one row grows manyfold: that is never chance, and the row is
// named.
func TestManyfold(t *testing.T) {
	n := 60
	y, odds := make([]float64, n), make([]float64, n)
	for i := range n {
		y[i] = float64(i % 2)
		odds[i] = 4 * (2*y[i] - 1)
	}
	wrong := slices.Clone(odds)
	wrong[17] = -60
	u := same(y, two(y, odds))
	u.Model = two(y, wrong)
	j := Of(u, []string{"a", "b"})
	if j.Verdict != Worse || !slices.Equal(j.Culprits, []int{17}) || j.Change.Value < 10 {
		t.Errorf("%s %v %+v", j.Verdict, j.Culprits, j.Change)
	}
}

func TestClasses(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n := 4000
	y, odds := make([]float64, n), make([]float64, n)
	for i := range n {
		odds[i] = 2*r.NormFloat64() - 3
		if r.Float64() < 1/(1+math.Exp(-odds[i])) {
			y[i] = 1
		}
	}
	honest := Of(same(y, two(y, odds)), []string{"a", "b"})
	bold := slices.Clone(odds)
	for i := range bold {
		bold[i] *= 3
	}
	astray := Of(same(y, two(y, bold)), []string{"a", "b"})
	count := func(j *Judgement) (n int) {
		for _, g := range j.Calibration {
			if g.Astray() {
				n++
			}
		}
		return n
	}
	if len(honest.Calibration) != groups || count(honest) > 2 || count(astray) < 5 {
		t.Errorf("%d of %d groups astray, and %d of odds three times as far", count(honest), len(honest.Calibration),
			count(astray))
	}
	if s := honest.Smallest; s < .1 || s > .3 {
		t.Errorf("smallest class %v", s)
	}
	roc := honest.ROC.Model
	area := 0.0
	for i := 1; i < len(roc); i++ {
		area += (roc[i].False - roc[i-1].False) * (roc[i].True + roc[i-1].True) / 2
	}
	if auc := honest.Figure("auc").Model.Value; math.Abs(area-auc) > .003 || len(roc) > mostCuts+2 ||
		roc[len(roc)-1] != (Cut{1, 1}) {
		t.Errorf("area %v of %d cuts, AUC %v", area, len(roc), auc)
	}
	for c, r := range honest.Recalls {
		found := 0
		for i := range y {
			if int(y[i]) == c && (odds[i] > 0) == (c == 1) {
				found++
			}
		}
		if r.Found != found || !(r.Model.Low < r.Model.Value && r.Model.Value < r.Model.High) {
			t.Errorf("%+v, %d found", r, found)
		}
	}
}

// Intervals of statsmodels 0.14; equal models have an interval too.
func TestShares(t *testing.T) {
	for _, c := range []struct{ k, n, low, high float64 }{{37, 37, 0.9059421741627973, 1}, {3, 20, 0.052368745896216595,
		0.36041886474075696}, {0, 0, 0, 1}} {
		if low, high := Wilson(c.k, c.n); math.Abs(low-c.low) > 1e-6 || math.Abs(high-c.high) > 1e-6 {
			t.Errorf("%v of %v: %v to %v", c.k, c.n, low, high)
		}
	}
	a, b := make([]bool, 100), make([]bool, 100)
	if e := Paired(a, b); e.Value != 0 || !(e.Low < -.01 && e.Low > -.05 && e.High == -e.Low) {
		t.Errorf("%+v", e)
	}
	for i := range 20 {
		a[i] = true
	}
	if e := Paired(a, b); e.Value != .2 || !(e.Low > .1 && e.High < .3) {
		t.Errorf("%+v", e)
	}
}

func BenchmarkOf(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	n := 10000
	y, odds, other := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		y[i], odds[i], other[i] = float64(r.IntN(2)), r.NormFloat64(), r.NormFloat64()
	}
	u := same(y, two(y, odds))
	u.Model = two(y, other)
	for b.Loop() {
		Of(u, []string{"a", "b"})
	}
}

// An interval holds its value, and nothing that the figure cannot be.
func TestRanges(t *testing.T) {
	y := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	opposite := Of(same(y, values(y, []float64{9, 7, 6, 8, 5, 4, 1, 3, 2, 0})), nil)
	odds := slices.Repeat([]float64{9}, 10)
	odds[3] = -5
	sure := Of(same(slices.Repeat([]float64{1}, 10), two(slices.Repeat([]float64{1}, 10), odds)), []string{"no", "yes"})
	outlier := slices.Clone(y)
	outlier[9] = 90
	far := Of(same(y, values(y, outlier)), nil)
	for _, j := range []*Judgement{opposite, sure, far} {
		for _, f := range j.Figures {
			e := f.Model
			least, most := 0.0, math.Inf(1)
			if f.Key == "r2" {
				least = math.Inf(-1)
			}
			if f.Share {
				most = 1
			}
			if e.Value > e.High || e.Value < e.Low || e.Low < least || e.High > most {
				t.Errorf("%s is %+v", f.Key, e)
			}
		}
	}
	if r2 := opposite.Figure("r2").Model; r2.Value > -1 || r2.High > 0 {
		t.Errorf("R² of opposite predictions is %+v", r2)
	}
}

// Figures of rows that count by weights are those of as many copies of each, and so are recalls, calibration and ROC.
func TestWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 90
	var y, odds, v, said, w []float64
	var copies []int
	for i := range n {
		y, odds = append(y, float64(r.IntN(2))), append(odds, r.NormFloat64())
		v, said = append(v, r.NormFloat64()), append(said, r.NormFloat64())
		w = append(w, float64(i%3))
		for range i % 3 {
			copies = append(copies, i)
		}
	}
	take := func(x []float64) []float64 {
		out := make([]float64, len(copies))
		for k, i := range copies {
			out[k] = x[i]
		}
		return out
	}
	for _, task := range []tune.Task{tune.Logistic, tune.SquaredHinge, tune.Ridge, tune.Poisson} {
		one := func(y, at, w []float64) *Judgement {
			var j tune.Judged
			var classes []string
			if j = values(y, at); task.Classes() {
				j, classes = two(y, at), []string{"a", "b"}
			}
			u := same(y, j)
			u.Task, u.Weights, u.LossWeights = task, w, w
			if task == tune.Logistic {
				u.Costs = []float64{1, 5}
			}
			if w != nil { // what losses are times
				losses := slices.Clone(j.Losses)
				for i := range losses {
					losses[i] *= w[i]
				}
				u.Model.Losses, u.Baseline.Losses, u.Trivial.Losses = losses, losses, losses
			}
			return Of(u, classes)
		}
		a, b := v, said
		if task.Classes() {
			a, b = y, odds
		}
		weighed, repeated := one(a, b, w), one(take(a), take(b), nil)
		for i, f := range repeated.Figures {
			if e := math.Abs(weighed.Figures[i].Model.Value - f.Model.Value); !(e < 1e-12) {
				t.Errorf("%s, %s: %v with weights and %v of copies", task, f.Key, weighed.Figures[i].Model.Value, f.Model.Value)
			}
		}
		for c, r := range repeated.Recalls {
			if e := math.Abs(r.Model.Value - weighed.Recalls[c].Model.Value); !(e < 1e-12) {
				t.Errorf("%s: recalls %v and %v", task, r, weighed.Recalls[c])
			}
		}
		if math.Abs(repeated.Smallest-weighed.Smallest) > 1e-12 && task.Classes() {
			t.Errorf("%s: the smallest class has the shares %v and %v", task, weighed.Smallest, repeated.Smallest)
		}
		if (weighed.Calibration != nil) != (task == tune.Logistic) {
			t.Errorf("%s: calibration %v", task, weighed.Calibration)
		}
	}
}
