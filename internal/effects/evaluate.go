package effects

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/tune"
)

const (
	mostCoefficients = 200 // with intervals
	// errorWork bounds the multiplications of the Hessian: of more rows, some are taken, but leastErrorRows.
	errorWork      = 1e7
	leastErrorRows = 1000
)

// evaluation knows what the model says about some training rows, and how certain its coefficients are.
type evaluation struct {
	m       *tune.Model
	v       *values
	k, d    int // scores, features
	classes int
	curved  bool // predictions are no linear functions of the features: probabilities, or counts

	at     [][]float64 // background rows, scaled, with a one for the intercept
	scores [][]float64 // of the background

	solve     *mat.Cholesky // of the Hessian; nil where intervals are not known
	gradients *mat.Dense    // of some rows
	n         int           // all rows
	spread    float64       // correction for the coefficients that were fitted
	active    []int         // coefficients that are not held at zero
	place     []int         // in active; -1 for none
}

// newEvaluation prepares the effects of the model of r.
func newEvaluation(r *tune.Result, train *dataset.Set) *evaluation {
	e := &evaluation{m: r.Model, v: &values{x: train.X}, k: len(r.Model.Coefficients), classes: len(r.Model.Classes)}
	e.curved = e.m.Task == tune.Poisson || e.classes > 0 && e.m.Task.Odds()
	e.v.n, e.v.d = train.Dims()
	e.n, e.d = e.v.n, e.v.d
	if e.curved {
		many := min(e.n, background)
		buf := make([]float64, e.d)
		for i := range many {
			row := make([]float64, e.d+1)
			e.scaled(row, e.v.row(i*e.n/many, buf))
			e.at = append(e.at, row)
			e.scores = append(e.scores, e.score(row))
		}
	}
	if r.Ridge != nil && e.k*(e.d+1) <= mostCoefficients && train.Y != nil {
		e.errors(r, train)
	}
	return e
}

// scaled overwrites dst by a row as the model takes it, with a one at its end.
func (e *evaluation) scaled(dst, row []float64) {
	copy(dst, row)
	dst[e.d] = 1
	if s := e.m.Scaler; s != nil {
		for j := range row {
			dst[j] = (dst[j] - s.Mean[j]) / s.Scale[j]
		}
	}
}

// scale is by how much a scaled feature changes with the feature.
func (e *evaluation) scale(j int) float64 {
	if s := e.m.Scaler; s != nil {
		return 1 / s.Scale[j]
	}
	return 1
}

// score are the scores of a scaled row.
func (e *evaluation) score(row []float64) []float64 {
	out := make([]float64, e.k)
	for c, w := range e.m.Coefficients {
		out[c] = w.Intercept
		for j, v := range w.Weights {
			out[c] += v * row[j]
		}
	}
	return out
}

// predict overwrites dst by what scores of a model that is curved predict: a count, or the probabilities of classes,
// with one score that of the second of two.
func (e *evaluation) predict(dst, scores []float64) {
	if e.classes == 0 {
		dst[0] = math.Exp(scores[0])
		return
	}
	if len(scores) == 1 {
		dst[0] = 1 / (1 + math.Exp(-scores[0]))
		return
	}
	top, sum := slices.Max(scores), 0.0
	for c, s := range scores {
		dst[c] = math.Exp(s - top)
		sum += dst[c]
	}
	for c := range dst {
		dst[c] /= sum
	}
}

// errors finds the Hessian and the gradients of rows at the model.
func (e *evaluation) errors(r *tune.Result, train *dataset.Set) {
	p, q := e.d+1, e.k*(e.d+1)
	sparse := r.Model.Penalty.Kind.Sparse()
	e.place = slices.Repeat([]int{-1}, q)
	for c, w := range e.m.Coefficients {
		for j := range p {
			held := j < e.d && sparse && w.Weights[j] == 0 || j == e.d && !e.m.HasIntercept
			if !held {
				e.place[c*p+j] = len(e.active)
				e.active = append(e.active, c*p+j)
			}
		}
	}
	if len(e.active) == 0 {
		return
	}
	many := min(e.n, max(int(errorWork/float64(q*q)), leastErrorRows))
	h := mat.NewSymDense(len(e.active), nil)
	e.gradients = mat.NewDense(many, len(e.active), nil)
	buf, prob := make([]float64, e.d), make([]float64, e.k)
	inside := make([]float64, len(e.active))
	// Σ p_c a aᵀ over the classes less (p ⊗ a)(p ⊗ a)ᵀ; one score: a aᵀ times the curvature.
	blocks := make([]*mat.Dense, e.k)
	for c := range blocks {
		blocks[c] = mat.NewDense(many, p, nil)
	}
	var cross *mat.Dense
	if e.k > 1 {
		cross = mat.NewDense(many, len(e.active), nil)
	}
	row := make([]float64, p)
	bend, weights := e.m.Bend(), e.m.RowWeights(train)
	for i := range many {
		at := i * e.n / many
		weight := 1.0
		if weights != nil {
			weight = weights[at]
		}
		e.scaled(row, e.v.row(at, buf))
		scores, y := e.score(row), train.Y[at]
		g := e.gradients.RawRowView(i)
		clear(inside)
		for c := range e.k {
			var slope, curvature float64
			if bend != nil {
				slope, curvature = bend(scores[0], y)
			} else {
				if c == 0 {
					e.predict(prob, scores)
				}
				curvature, slope = prob[c], prob[c]
				if int(y) == c {
					slope--
				}
			}
			b := blocks[c].RawRowView(i)
			for j, a := range row {
				b[j] = math.Sqrt(weight*curvature) * a
				if t := e.place[c*p+j]; t >= 0 {
					g[t] = weight * slope * a
					inside[t] = math.Sqrt(weight) * prob[c] * a
				}
			}
		}
		if cross != nil {
			copy(cross.RawRowView(i), inside)
		}
	}
	share := 1 / float64(many)
	for c := range blocks {
		var b mat.SymDense
		b.SymOuterK(share, blocks[c].T())
		for j := range p {
			for l := j; l < p; l++ {
				s, t := e.place[c*p+j], e.place[c*p+l]
				if s >= 0 && t >= 0 {
					h.SetSym(s, t, b.At(j, l))
				}
			}
		}
	}
	if e.k > 1 {
		var b mat.SymDense
		b.SymOuterK(-share, cross.T())
		h.AddSym(h, &b)
	}
	var fitted float64 // coefficients, in effect: the trace of H⁻¹ of the loss alone
	loss := mat.NewSymDense(len(e.active), nil)
	loss.CopySym(h)
	for t, i := range e.active {
		c, j := i/p, i%p
		s := 0.0
		if j < e.d {
			s = r.Ridge[c][j]
		} else if e.k > 1 {
			s = 1e-9 // intercepts of all classes are one too many
		}
		h.SetSym(t, t, h.At(t, t)+s+1e-12)
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return
	}
	var inverse mat.Dense
	if err := chol.SolveTo(&inverse, loss); err != nil {
		return
	}
	fitted = mat.Trace(&inverse)
	if float64(e.n) <= 1.5*fitted {
		return // as many coefficients as rows, about: gradients say nothing
	}
	e.solve, e.spread = &chol, math.Sqrt(float64(e.n)/(float64(e.n)-fitted))
}

// interval is a value whose derivative by the coefficients, by score and feature, is given.
func (e *evaluation) interval(value float64, derivative []float64) judge.Estimate {
	unknown := judge.Estimate{Value: value, Low: math.NaN(), High: math.NaN()}
	if e.solve == nil {
		return unknown
	}
	c := mat.NewVecDense(len(e.active), nil)
	for t, i := range e.active {
		c.SetVec(t, derivative[i])
	}
	var s, influence mat.VecDense
	if err := e.solve.SolveVecTo(&s, c); err != nil {
		return unknown
	}
	influence.MulVec(e.gradients, &s)
	influence.ScaleVec(e.spread, &influence)
	return judge.Interval(value, influence.RawVector().Data, e.n)
}

// effect is that of moving a column: on the class, or where it is negative on that whose probability changes most.
func (e *evaluation) effect(c column, from, to move, class int) Effect {
	out := Effect{Column: c.name, From: from.name, To: to.name}
	p := e.d + 1
	derivative := make([]float64, e.k*p)
	if !e.curved {
		value := 0.0
		for t := range c.n {
			j := c.first + t
			step := (to.to[t] - from.to[t]) * e.scale(j)
			value += step * e.m.Coefficients[0].Weights[j]
			derivative[j] = step
		}
		if e.classes > 0 {
			out.Class = e.m.Coefficients[0].Class // whose score it is
		}
		out.Estimate = e.interval(value, derivative)
		return out
	}
	if class < 0 {
		class = e.k - 1
		if e.k > 1 {
			change := e.means(c, to)
			floats.Sub(change, e.means(c, from))
			for k, v := range change {
				if math.Abs(v) > math.Abs(change[class]) {
					class = k
				}
			}
		}
		if e.classes == 2 && e.k == 2 {
			class = 1
		}
	}
	value := 0.0
	share := 1 / float64(len(e.at))
	prob := make([]float64, e.k)
	for i := range e.at {
		for side, m := range []move{from, to} {
			sign := float64(2*side - 1)
			row, scores := e.moved(c, m, i)
			e.predict(prob, scores)
			value += sign * share * prob[class]
			if e.solve == nil {
				continue
			}
			for k := range e.k {
				slope := prob[class] // of a count
				if e.classes > 0 {
					slope = -prob[class] * prob[k]
					if k == class {
						slope += prob[class]
					}
				}
				slope *= sign * share
				for j, a := range row {
					derivative[k*p+j] += slope * a
				}
			}
		}
	}
	out.Class = e.m.Coefficients[class].Class
	out.Estimate = e.interval(value, derivative)
	return out
}

// moved is background row i after a move of a column, and its scores. The row is kept until the next call.
func (e *evaluation) moved(c column, m move, i int) (row, scores []float64) {
	row, scores = e.at[i], slices.Clone(e.scores[i])
	if e.solve != nil {
		row = slices.Clone(row)
	}
	for t := range c.n {
		j := c.first + t
		to := m.to[t]
		if s := e.m.Scaler; s != nil {
			to = (to - s.Mean[j]) / s.Scale[j]
		}
		for k, w := range e.m.Coefficients {
			scores[k] += w.Weights[j] * (to - e.at[i][j])
		}
		if e.solve != nil {
			row[j] = to
		}
	}
	return row, scores
}

// means are the mean probabilities of the classes after a move, or the value less a constant.
func (e *evaluation) means(c column, m move) []float64 {
	out := make([]float64, e.k)
	if !e.curved {
		for t := range c.n {
			out[0] += m.to[t] * e.scale(c.first+t) * e.m.Coefficients[0].Weights[c.first+t]
		}
		return out
	}
	prob := make([]float64, e.k)
	for i := range e.at {
		_, scores := e.moved(c, m, i)
		e.predict(prob, scores)
		for k, q := range prob {
			out[k] += q / float64(len(e.at))
		}
	}
	return out
}

// counts are how many of some rows have each level.
func (e *evaluation) counts(c column) []int {
	n := make([]int, c.n)
	for t := range n {
		for _, v := range e.v.column(c.first + t) {
			if v == 1 {
				n[t]++
			}
		}
	}
	return n
}

// extremes are the levels between which the prediction changes most, from the lower to the higher: of the class on
// which the column acts most. Levels of few rows are passed over where there are others.
func (e *evaluation) extremes(c column) (from, to move) {
	counts := e.counts(c)
	enough := func(t int) bool { return counts[t] >= leastLevelRows }
	several := 0
	for t := range counts {
		if enough(t) {
			several++
		}
	}
	widest := -1.0
	lo, hi := 0, 1
	means := make([][]float64, c.n)
	for t := range c.n {
		means[t] = e.means(c, level(c.levels, t))
	}
	for k := range e.k {
		a, b := -1, -1
		for t := range c.n {
			if several >= 2 && !enough(t) {
				continue
			}
			if a < 0 || means[t][k] < means[a][k] {
				a = t
			}
			if b < 0 || means[t][k] > means[b][k] {
				b = t
			}
		}
		if width := means[b][k] - means[a][k]; width > widest {
			widest, lo, hi = width, a, b
		}
	}
	return level(c.levels, lo), level(c.levels, hi)
}

// levels are the levels of a column beside its most frequent one.
func (e *evaluation) levels(c column) Levels {
	counts := e.counts(c)
	reference := 0
	for t, n := range counts {
		if n > counts[reference] {
			reference = t
		}
	}
	out := Levels{Column: c.name, Reference: c.levels[reference]}
	if c.n > mostLevels {
		return out
	}
	class := -1
	if e.k > 1 { // one class for all levels
		from, to := e.extremes(c)
		class = slices.IndexFunc(e.m.Coefficients, func(w tune.Coefficients) bool {
			return w.Class == e.effect(c, from, to, -1).Class
		})
	}
	for t := range c.n {
		if t != reference {
			out.Effects = append(out.Effects, e.effect(c, level(c.levels, reference), level(c.levels, t), class))
		}
	}
	if !c.ordered {
		bySize(out.Effects)
	}
	return out
}
