package effects

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// set is a table of these columns, whose rows are given feature by feature.
func set(y []float64, columns []dataset.Column, features ...[]float64) *dataset.Set {
	n := len(y)
	x := rows.NewDense(n, len(features))
	for j, f := range features {
		for i, v := range f {
			x.Row(i)[j] = v
		}
	}
	s := &dataset.Schema{Format: "csv", Columns: columns, Width: len(features)}
	return &dataset.Set{X: x, Y: y, Schema: s, Features: s.Features()}
}

// result is a model without penalty.
func result(task tune.Task, classes []string, scaler *dataset.Scaler, coefficients ...tune.Coefficients) *tune.Result {
	r := &tune.Result{Model: &tune.Model{Task: task, Classes: classes, Coefficients: coefficients, HasIntercept: true,
		Scaler: scaler, Penalty: tune.Penalty{Kind: tune.Shared}}}
	for _, c := range coefficients {
		r.Ridge = append(r.Ridge, make([]float64, len(c.Weights)))
	}
	return r
}

// half is half the width of an interval, in the quantiles of the normal distribution.
func half(e Effect) float64 { return (e.High - e.Low) / 2 / 1.96 }

// A slope has the error that is robust to errors of different size (HC1), on the scale of the file, scaled or not.
func TestSlope(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n := 1000
	x, y := make([]float64, n), make([]float64, n)
	for i := range n {
		x[i] = 10 + 2*r.NormFloat64()
		y[i] = 3*x[i] + (x[i]-8)*r.NormFloat64()
	}
	mx, my, sxx, sxy := 0.0, 0.0, 0.0, 0.0
	for i := range n {
		mx, my = mx+x[i]/float64(n), my+y[i]/float64(n)
	}
	for i := range n {
		sxx, sxy = sxx+(x[i]-mx)*(x[i]-mx), sxy+(x[i]-mx)*(y[i]-my)
	}
	slope := sxy / sxx
	robust := 0.0
	for i := range n {
		e := y[i] - my - slope*(x[i]-mx)
		robust += (x[i] - mx) * (x[i] - mx) * e * e
	}
	se := math.Sqrt(robust*float64(n)/float64(n-2)) / sxx
	columns := []dataset.Column{{Name: "x", Kind: dataset.Numeric}}
	sorted := slices.Sorted(slices.Values(x))
	step := sorted[3*n/4] - sorted[(n-1)/4]
	for name, r := range map[string]*tune.Result{
		"scaled": result(tune.Ridge, nil, &dataset.Scaler{Mean: []float64{mx}, Scale: []float64{4}},
			tune.Coefficients{Intercept: my, Weights: []float64{4 * slope}}),
		"as it is": result(tune.Ridge, nil, nil, tune.Coefficients{Intercept: my - slope*mx, Weights: []float64{slope}}),
	} {
		e := Of(r, set(y, columns, x))
		got := e.Columns[0]
		if math.Abs(got.Value-slope*step) > 1e-9 || !(math.Abs(half(got)/(se*step)-1) < .02) ||
			!got.Sure() || got.Class != "" {
			t.Errorf("%s: %+v ± %v, want %v ± %v", name, got, half(got), slope*step, se*step)
		}
	}
}

// Of a model that knows the share of each group, effects are differences of shares, with the errors of these.
func TestShares(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	n := 3000
	probabilities := [][]float64{{.6, .3, .1}, {.2, .5, .3}, {.4, .4, .2}}
	for _, k := range []int{2, 3} {
		y := make([]float64, n)
		features := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
		shares, counts := [3][3]float64{}, [3]float64{}
		for i := range n {
			g := i % 3
			features[g][i] = 1
			u, c := r.Float64(), 0
			for c < k-1 && u > probabilities[g][c] {
				u, c = u-probabilities[g][c], c+1
			}
			y[i] = float64(c)
			shares[g][c]++
			counts[g]++
		}
		classes := []string{"a", "b", "c"}[:k]
		var coefficients []tune.Coefficients
		log := func(g, c int) float64 { return math.Log(shares[g][c] / counts[g]) }
		if k == 2 {
			c := tune.Coefficients{Class: "b"}
			for g := range 3 {
				c.Weights = append(c.Weights, log(g, 1)-log(g, 0))
			}
			coefficients = append(coefficients, c)
		} else {
			for c := range k {
				w := tune.Coefficients{Class: classes[c]}
				for g := range 3 {
					w.Weights = append(w.Weights, log(g, c))
				}
				coefficients = append(coefficients, w)
			}
		}
		task := map[int]tune.Task{2: tune.Logistic, 3: tune.Softmax}[k]
		columns := []dataset.Column{{Name: "group", Kind: dataset.Categorical, Levels: []string{"p", "q", "r"}}}
		res := result(task, classes, nil, coefficients...)
		for _, ridge := range res.Ridge {
			for j := range ridge {
				ridge[j] = 1e-9 // a constant and all levels are one too many
			}
		}
		e := Of(res, set(y, columns, features...))
		got := e.Columns[0]
		at := func(level, class string) (share, variance float64) {
			g, c := slices.Index([]string{"p", "q", "r"}, level), slices.Index(classes, class)
			share = shares[g][c] / counts[g]
			return share, share * (1 - share) / counts[g]
		}
		from, v0 := at(got.From, got.Class)
		to, v1 := at(got.To, got.Class)
		if math.Abs(got.Value-(to-from)) > 1e-6 || !(math.Abs(half(got)/math.Sqrt(v0+v1)-1) < .03) || got.From == got.To {
			t.Errorf("%d classes: %+v ± %v, want %v ± %v", k, got, half(got), to-from, math.Sqrt(v0+v1))
		}
		if want := map[int]string{2: "b", 3: "a"}[k]; got.Class != want || math.Abs(got.Value) < .3 {
			t.Errorf("%d classes: the widest step is %+v", k, got)
		}
		if l := e.Levels[0]; len(l.Effects) != 2 || math.Abs(l.Effects[0].Value) < math.Abs(l.Effects[1].Value) ||
			l.Effects[0].From != l.Reference {
			t.Errorf("%+v", e.Levels)
		}
	}
}

// Columns make steps that their cells make, and those that make none are named.
func TestSteps(t *testing.T) {
	n := 100
	make3 := func(f func(i int) float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	y := make3(func(i int) float64 { return float64(i) })
	yes := make3(func(i int) float64 { return float64(i % 2) })
	columns := []dataset.Column{{Name: "size", Kind: dataset.Numeric}, {Name: "rare", Kind: dataset.Numeric},
		{Name: "constant", Kind: dataset.Numeric}, {Name: "garage", Kind: dataset.Categorical, Levels: []string{"no", "yes"},
			Filling: &dataset.Filling{Level: "no", Indicator: true}}, {Name: "dead", Kind: dataset.Numeric}}
	s := set(y, columns, make3(func(i int) float64 { return float64(i) / 100 }), make3(func(i int) float64 {
		return map[bool]float64{true: float64(i)}[i >= 90]
	}), make3(func(int) float64 { return 7 }), make3(func(i int) float64 { return 1 - yes[i] }), yes,
		make3(func(i int) float64 {
			return map[bool]float64{true: 1}[i < 9]
		}), y)
	r := result(tune.Ridge, nil, nil, tune.Coefficients{Weights: []float64{10, 1, 5, 0, 30, 2, 0}})
	e := Of(r, s)
	var got []string
	for _, c := range e.Columns {
		got = append(got, fmt.Sprintf("%s %s → %s %.4g", c.Column, c.From, c.To, c.Value))
	}
	want := []string{"rare 0 → 95 95", "garage no → yes 30", "size 0.24 → 0.75 5.1", "garage missing no → yes 2"}
	if !slices.Equal(got, want) || !slices.Equal(e.Dead, []string{"constant", "dead"}) || e.Total != 6 ||
		len(e.Levels) != 0 {
		t.Errorf("%q, without effect %q of %d", got, e.Dead, e.Total)
	}
}

// Of very many features the strongest are looked at, without intervals, sparse or not.
func TestManyFeatures(t *testing.T) {
	n, d := 200, 5000
	x := &rows.CSR{N: n, D: d, Ptr: []int{0}}
	y := make([]float64, n)
	for i := range n {
		for j := i % 10; j < d; j += 10 {
			x.Idx, x.Val = append(x.Idx, int32(j)), append(x.Val, .5)
		}
		x.Ptr, y[i] = append(x.Ptr, len(x.Idx)), float64(i%2)
	}
	w := make([]float64, d)
	w[1234], w[77] = 3, -2
	r := result(tune.Logistic, []string{"a", "b"}, nil, tune.Coefficients{Class: "b", Weights: w})
	e := Of(r, &dataset.Set{X: x, Y: y, Schema: &dataset.Schema{Format: "libsvm", Width: d, Sparse: true}})
	first, second := e.Columns[0], e.Columns[1]
	if first.Column != "f1235" || first.From != "0" || first.To != "0.5" || first.Value < .2 || first.Known() ||
		first.Class != "b" || second.Column != "f78" || second.Value > -.1 || e.Total != d || len(e.Columns) != 2 {
		t.Errorf("%+v", e.Columns)
	}
}

// The features of a class are those that speak for it and not for all.
func TestSpeaking(t *testing.T) {
	s := set([]float64{0, 1, 2}, []dataset.Column{{Name: "common", Kind: dataset.Numeric},
		{Name: "cat", Kind: dataset.Numeric}, {Name: "rare", Kind: dataset.Numeric}}, []float64{1, 1, 1},
		[]float64{1, 0, 0}, []float64{.01, 0, 0})
	m := result(tune.Softmax, []string{"a", "b", "c"}, nil, tune.Coefficients{Class: "a", Weights: []float64{9, 2, 3}},
		tune.Coefficients{Class: "b", Weights: []float64{9.5, 0, 0}}, tune.Coefficients{Class: "c",
			Weights: []float64{9, 0, 0}}).Model
	got := fmt.Sprint(Speaking(m, s))
	if want := "[{a [rare cat]} {b [common]} {c []}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A model of two classes with a score for each is that with one score, and its effects have the same intervals.
func TestTwoScores(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	n := 500
	features, y := [][]float64{make([]float64, n), make([]float64, n)}, make([]float64, n)
	for i := range n {
		features[0][i], features[1][i] = r.NormFloat64(), r.NormFloat64()
		if r.Float64() < 1/(1+math.Exp(-.5-2*features[0][i]+features[1][i])) {
			y[i] = 1
		}
	}
	s := set(y, []dataset.Column{{Name: "a", Kind: dataset.Numeric}, {Name: "b", Kind: dataset.Numeric}}, features...)
	one := Of(result(tune.Logistic, []string{"no", "yes"}, nil, tune.Coefficients{Class: "yes", Intercept: .5,
		Weights: []float64{2, -1}}), s)
	both := result(tune.Softmax, []string{"no", "yes"}, nil, tune.Coefficients{Class: "no", Intercept: -.25,
		Weights: []float64{-1, .5}}, tune.Coefficients{Class: "yes", Intercept: .25, Weights: []float64{1, -.5}})
	for _, ridge := range both.Ridge {
		ridge[0], ridge[1] = 1e-9, 1e-9
	}
	for k, e := range Of(both, s).Columns {
		if o := one.Columns[k]; e.Column != o.Column || e.Class != "yes" || math.Abs(e.Value-o.Value) > 1e-9 ||
			!(math.Abs(half(e)/half(o)-1) < .01) {
			t.Errorf("%+v with two scores, %+v with one", e, o)
		}
	}
}

// Words are there or not, days are dates, years have no commas, and levels with an order keep it.
func TestSaid(t *testing.T) {
	n := 40
	y, word, year, days := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	months := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
	for i := range n {
		word[i], year[i], days[i] = .4321*float64(i%2), 2022+float64(i%2), 10.5+float64(i%2)
		months[i%3][i] = 1
	}
	part := func(part string) *dataset.DatePart {
		return &dataset.DatePart{Column: "sold", Part: part, Since: "2022-03-01T00:00:00Z"}
	}
	s := set(y, []dataset.Column{{Name: "review", Kind: dataset.Text, Text: &dataset.Vectorizer{Words: []string{"awful"}}},
		{Name: "sold (year)", Kind: dataset.Numeric, Date: part("year")},
		{Name: "sold (days)", Kind: dataset.Numeric, Date: part("days")},
		{Name: "sold (month)", Kind: dataset.Categorical, Levels: []string{"1", "2", "3"}, Date: part("month")}},
		word, year, days, months[0], months[1], months[2])
	e := Of(result(tune.Ridge, nil, nil, tune.Coefficients{Weights: []float64{1, 1, 1, 3, 1, 9}}), s)
	got := map[string]string{}
	for _, c := range e.Columns {
		got[c.Column] = c.From + " to " + c.To
	}
	want := map[string]string{"review: awful": "without to with", "sold (year)": "2022 to 2023",
		"sold (days)": "2022-03-11 to 2022-03-12", "sold (month)": "2 to 3"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if l := e.Levels[0]; l.Effects[0].To != "2" || l.Effects[1].To != "3" {
		t.Errorf("levels %v beside %s", l.Effects, l.Reference)
	}
}

// The effect on a count is the mean change of e^score over the rows, that on a model without probabilities the change of
// the score. Rows count by their weights in intervals.
func TestCountsAndScores(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 240
	x, other, y := make([]float64, n), make([]float64, n), make([]float64, n)
	labels := make([]float64, n)
	for i := range n {
		x[i], other[i] = r.NormFloat64(), r.NormFloat64()
		y[i] = math.Floor(4 * r.Float64() * math.Exp(.4*x[i]))
		labels[i] = float64(r.IntN(2))
	}
	columns := []dataset.Column{{Name: "x", Kind: dataset.Numeric}, {Name: "other", Kind: dataset.Numeric}}
	c := tune.Coefficients{Intercept: .3, Weights: []float64{.4, -.2}}
	for _, m := range []struct {
		task    tune.Task
		classes []string
		y       []float64
	}{{tune.Poisson, nil, y}, {tune.SquaredHinge, []string{"a", "b"}, labels}} {
		c.Class = ""
		if m.classes != nil {
			c.Class = "b"
		}
		s := set(m.y, columns, x, other)
		res := result(m.task, m.classes, nil, c)
		e := Of(res, s).Columns[0]
		from, to := (&values{x: s.X, n: n, d: 2}).step("x", 0)
		want := .4 * (to.to[0] - from.to[0])
		if m.classes == nil {
			want = 0
			for i := range n {
				want += math.Exp(.3-.2*other[i]) * (math.Exp(.4*to.to[0]) - math.Exp(.4*from.to[0])) / n
			}
		}
		if e.Column != "x" || math.Abs(e.Value-want) > 1e-12 || !e.Known() {
			t.Errorf("%s: %+v, want %v", m.task, e, want)
		}
		heavy := *s
		heavy.Weights = slices.Repeat([]float64{2}, n)
		if h := Of(res, &heavy).Columns[0]; math.Abs(h.Low-e.Low)+math.Abs(h.High-e.High) > 1e-9 {
			t.Errorf("%s: %+v where all rows have the weight 2, and %+v without weights", m.task, h, e)
		}
		for i := range n { // some do not count
			heavy.Weights[i] = float64(i % 2 * 2)
		}
		if h := Of(res, &heavy).Columns[0]; !(half(h) > 1.1*half(e)) {
			t.Errorf("%s: %+v from half the rows, and %+v from all", m.task, h, e)
		}
	}
}
