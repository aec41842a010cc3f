// Package effects says which columns matter to a model and in which direction, on the scale of the file.
//
// The effect of a column is the change of the predicted value, or of the mean probability of a class over the training
// rows, when the column makes a typical step and all others stay: from its lower to its upper quartile, from one level
// to another, or from absent to its median where most cells are zero.
//
// # Intervals
//
// A coefficient's error is that of the estimating equations of the penalised loss, the sandwich H⁻¹VH⁻¹ of the Hessian
// with its penalty and of the variance of the rows' gradients; the influence of a row on an effect is its gradient
// times H⁻¹ times the derivative of the effect, and package judge makes an interval of influences. This is what a
// bootstrap of the rows would converge to, at the price of one factorisation. It takes the strengths as given. It is
// left out for more than 200 coefficients.
package effects

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

const (
	mostColumns    = 200  // of which all effects are computed; of more, the strongest
	strongest      = 40   // by the size of the coefficient
	typicalRows    = 2000 // from which quartiles are taken
	background     = 300  // rows over which probabilities are averaged
	mostLevels     = 20   // that are compared one by one
	leastLevelRows = 5    // of a level that a step may lead to
)

// Effect is what a step of a column changes.
type Effect struct {
	Column   string
	From, To string
	Class    string // whose probability changes; "" for values
	judge.Estimate
}

// Sure says whether the interval excludes zero.
func (e Effect) Sure() bool { return e.Low > 0 || e.High < 0 }

// Known says whether there is an interval.
func (e Effect) Known() bool { return !math.IsNaN(e.Low) }

// Levels are the levels of a column beside its most frequent one.
type Levels struct {
	Column, Reference string
	Effects           []Effect // From Reference, by size unless the levels have an order
}

// Effects are those of all columns, or of the strongest.
type Effects struct {
	Columns []Effect // the strongest first
	Levels  []Levels // of the columns with more than two
	Total   int      // columns
	Curves  []Curve  // of the strongest columns of numbers, of a model with kernels
	Dead    []string // columns without effect: constant, or with coefficients of zero
}

// column is some features that belong together.
type column struct {
	name     string
	first, n int                             // features
	step     func(v *values) (from, to move) // ok false: it makes none
	levels   []string                        // of one with more than two
	ordered  bool                            // they are numbers, or parts of dates in their order
	weight   float64                         // size of its coefficients
}

// move sets the features of a column.
type move struct {
	name string
	to   []float64 // values, on the scale of the file; nil: there is no step
}

// Of finds the effects of the columns of train, which r was fitted to.
func Of(r *tune.Result, train *dataset.Set) *Effects {
	m := r.Model
	all := columns(m, train)
	out := &Effects{Total: len(all)}
	v := &values{x: train.X}
	v.n, v.d = train.X.Dims()
	weigh(all, m, v)
	if len(all) > mostColumns {
		slices.SortStableFunc(all, func(a, b column) int { return cmp.Compare(b.weight, a.weight) })
		all = all[:strongest]
	}
	e := newEvaluation(r, train)
	for _, c := range all {
		from, to := c.step(v)
		if from.to == nil || c.weight == 0 {
			out.Dead = append(out.Dead, c.name)
			continue
		}
		if c.levels != nil {
			from, to = e.extremes(c)
			out.Levels = append(out.Levels, e.levels(c))
		}
		out.Columns = append(out.Columns, e.effect(c, from, to, -1))
	}
	bySize(out.Columns)
	out.Curves = e.curves(all, out.Columns)
	place := make(map[string]int)
	for i, c := range out.Columns {
		place[c.Column] = i
	}
	slices.SortStableFunc(out.Levels, func(a, b Levels) int { return cmp.Compare(place[a.Column], place[b.Column]) })
	return out
}

func bySize(all []Effect) {
	slices.SortStableFunc(all, func(a, b Effect) int { return cmp.Compare(math.Abs(b.Value), math.Abs(a.Value)) })
}

// columns are those of the schema, each word of a column of texts for itself, or the features where it has none.
func columns(m *tune.Model, train *dataset.Set) []column {
	var out []column
	each := func(first, n int) {
		for j := first; j < first+n; j++ {
			out = append(out, numeric(train.FeatureName(j), j))
		}
	}
	s := train.Schema
	if s == nil || s.Columns == nil {
		each(0, m.Dim())
		return out
	}
	for k, span := range s.Spans() {
		switch c := s.Columns[k]; {
		case c.Kind == dataset.Categorical:
			out = append(out, levelled(c, span.First))
		case c.Text != nil: // what a word weighs in a text tells people nothing
			for j := span.First; j < span.First+span.N; j++ {
				out = append(out, said(numeric(train.FeatureName(j), j), func(v float64) string {
					if v == 0 {
						return "without"
					}
					return "with"
				}))
			}
		case c.Date != nil:
			out = append(out, said(numeric(c.Name, span.First), c.Date.Say))
		default:
			each(span.First, span.N)
		}
		if span.Indicator {
			out = append(out, column{name: s.Columns[k].Name + " missing", first: span.First + span.N, n: 1,
				step: func(*values) (move, move) { return move{"no", []float64{0}}, move{"yes", []float64{1}} }})
		}
	}
	return out
}

// numeric is a column of numbers.
func numeric(name string, j int) column {
	return column{name: name, first: j, n: 1, step: func(v *values) (move, move) { return v.step(name, j) }}
}

// said is a column of numbers that are called otherwise.
func said(c column, say func(float64) string) column {
	step := c.step
	c.step = func(v *values) (from, to move) {
		from, to = step(v)
		for _, m := range []*move{&from, &to} {
			if m.to != nil {
				m.name = say(m.to[0])
			}
		}
		return from, to
	}
	return c
}

// levelled is a column of levels.
func levelled(c dataset.Column, at int) column {
	out := column{name: c.Name, first: at, n: len(c.Levels)}
	if len(c.Levels) > 2 {
		out.levels, out.ordered = c.Levels, c.Date != nil || !slices.ContainsFunc(c.Levels, func(l string) bool {
			_, err := strconv.ParseFloat(l, 64)
			return err != nil
		})
	}
	out.step = func(*values) (from, to move) {
		if len(c.Levels) < 2 {
			return from, to
		}
		return level(c.Levels, 0), level(c.Levels, 1)
	}
	return out
}

// level is the move to the k-th level.
func level(levels []string, k int) move {
	m := move{levels[k], make([]float64, len(levels))}
	m.to[k] = 1
	return m
}

// values are the cells of the training rows.
type values struct {
	x    rows.Matrix
	n, d int
}

// row is row i with all its zeros, in buf if it is sparse.
func (v *values) row(i int, buf []float64) []float64 {
	switch x := v.x.(type) {
	case *rows.Dense:
		return x.Row(i)
	case *rows.CSR:
		clear(buf)
		idx, val := x.Row(i)
		for k, j := range idx {
			buf[j] = val[k]
		}
	}
	return buf
}

// column is column j of some rows.
func (v *values) column(j int) []float64 {
	many := min(v.n, typicalRows)
	out := make([]float64, many)
	for k := range out {
		i := k * v.n / many
		switch x := v.x.(type) {
		case *rows.Dense:
			out[k] = x.Row(i)[j]
		case *rows.CSR:
			idx, val := x.Row(i)
			if at, ok := slices.BinarySearch(idx, int32(j)); ok {
				out[k] = val[at]
			}
		}
	}
	return out
}

// step is a typical one of feature j, which is called name.
func (v *values) step(name string, j int) (from, to move) {
	sorted := v.column(j)
	slices.Sort(sorted)
	n := len(sorted)
	if n == 0 || sorted[0] == sorted[n-1] {
		return from, to
	}
	lo, hi := sorted[(n-1)/4], sorted[3*n/4]
	if lo == hi { // from what most cells are to the median of the others
		var others []float64
		for _, w := range sorted {
			if w != lo {
				others = append(others, w)
			}
		}
		hi = others[len(others)/2]
		lo, hi = min(lo, hi), max(lo, hi)
	}
	from.name, to.name = numbers.Apart(name, lo, hi)
	from.to, to.to = []float64{lo}, []float64{hi}
	return from, to
}

// weigh finds the sizes of the coefficients of columns: of standardised features, about.
func weigh(all []column, m *tune.Model, v *values) {
	size := make([]float64, v.d)
	for _, c := range m.Coefficients {
		for j, w := range c.Weights {
			size[j] = max(size[j], math.Abs(w))
		}
	}
	if m.Scaler == nil {
		for j, s := range rootMeanSquares(v) {
			size[j] *= s
		}
	}
	for k := range all {
		c := &all[k]
		for j := c.first; j < c.first+c.n; j++ {
			c.weight = max(c.weight, size[j])
			if m.Kernel != nil { // moves predictions without a coefficient, too
				c.weight = max(c.weight, 1e-9)
			}
		}
	}
}

// rootMeanSquares are those of some rows.
func rootMeanSquares(v *values) []float64 {
	sum := make([]float64, v.d)
	many := min(v.n, typicalRows)
	for k := range many {
		i := k * v.n / many
		switch x := v.x.(type) {
		case *rows.Dense:
			for j, w := range x.Row(i) {
				sum[j] += w * w
			}
		case *rows.CSR:
			idx, val := x.Row(i)
			for at, j := range idx {
				sum[j] += val[at] * val[at]
			}
		}
	}
	for j := range sum {
		sum[j] = math.Sqrt(sum[j] / float64(max(many, 1)))
	}
	return sum
}

// Spoken are the features that speak most for a class.
type Spoken struct {
	Class    string
	Features []string
}

// mostSpoken is how many features are named for a class.
const mostSpoken = 6

// Speaking finds the features that speak most for each class of a model with a score for each: those whose coefficient
// is furthest above the mean of the classes. Penalties keep those of rare features small.
func Speaking(m *tune.Model, train *dataset.Set) []Spoken {
	d := m.Dim()
	mean := make([]float64, d)
	for _, c := range m.Coefficients {
		for j, w := range c.Weights {
			mean[j] += w / float64(len(m.Coefficients))
		}
	}
	var out []Spoken
	for _, c := range m.Coefficients {
		above := func(j int) float64 { return c.Weights[j] - mean[j] }
		var best []int
		for j := range d {
			if above(j) <= 0 || len(best) == mostSpoken && above(j) <= above(best[mostSpoken-1]) {
				continue
			}
			at, _ := slices.BinarySearchFunc(best, j, func(a, b int) int { return cmp.Compare(above(b), above(a)) })
			if best = slices.Insert(best, at, j); len(best) > mostSpoken {
				best = best[:mostSpoken]
			}
		}
		s := Spoken{Class: c.Class}
		for _, j := range best {
			s.Features = append(s.Features, train.FeatureName(j))
		}
		out = append(out, s)
	}
	return out
}
