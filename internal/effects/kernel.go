package effects

import (
	"slices"

	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/rows"
)

// kernelMove is the scores of the background after a move, by a model with kernels.
type kernelMove struct {
	first  int
	to     []float64
	scores [][]float64
}

// bend adds what kernels say about scaled rows to their scores.
func (e *evaluation) bend(scores, at [][]float64) {
	if e.m.Kernel == nil {
		return
	}
	x := rows.NewDense(len(at), e.d)
	flat := make([]float64, 0, len(at)*e.k)
	for i, row := range at {
		copy(x.Row(i), row[:e.d])
		flat = append(flat, scores[i]...)
	}
	e.m.Kernel.Add(flat, x)
	for i := range scores {
		copy(scores[i], flat[i*e.k:])
	}
}

// movedAll are the scores of the background after a move of a column.
func (e *evaluation) movedAll(c column, m move) [][]float64 {
	for _, k := range e.moves {
		if k.first == c.first && slices.Equal(k.to, m.to) {
			return k.scores
		}
	}
	scores, at := make([][]float64, len(e.at)), make([][]float64, len(e.at))
	for i := range e.at {
		at[i] = slices.Clone(e.at[i])
		for t := range c.n {
			j := c.first + t
			at[i][j] = m.to[t]
			if s := e.m.Scaler; s != nil {
				at[i][j] = (m.to[t] - s.Mean[j]) / s.Scale[j]
			}
		}
		scores[i] = e.score(at[i])
	}
	e.bend(scores, at)
	if len(e.moves) == mostMoves {
		e.moves = e.moves[1:]
	}
	e.moves = append(e.moves, kernelMove{c.first, slices.Clone(m.to), scores})
	return scores
}

// Curve is the partial dependence of predictions on a column of numbers: the mean predicted value, or probability of a
// class, over the training rows, when the column of all of them is At.
type Curve struct {
	Column, Class string
	At            []string
	Values        []float64
}

// Quantiles are those of a column at which its curve is looked at.
var Quantiles = []float64{.05, .25, .5, .75, .95}

// mostMoves are so many last moves whose scores are kept: rows are asked for one by one.
const mostMoves = 4

// mostCurves is of how many columns there are curves.
const mostCurves = 6

// curves are those of the strongest columns.
func (e *evaluation) curves(all []column, strongest []Effect) (out []Curve) {
	if e.m.Kernel == nil {
		return nil
	}
	for _, s := range strongest {
		c := all[slices.IndexFunc(all, func(c column) bool { return c.name == s.Column })]
		if c.n != 1 || len(out) == mostCurves {
			continue
		}
		sorted := e.v.column(c.first)
		slices.Sort(sorted)
		class := max(slices.Index(e.m.Classes, s.Class), 0)
		if e.k == 1 {
			class = 0
		}
		curve := Curve{Column: c.name, Class: s.Class}
		for _, q := range Quantiles {
			v := sorted[int(q*float64(len(sorted)-1)+.5)]
			curve.At = append(curve.At, numbers.Value(v))
			curve.Values = append(curve.Values, e.means(c, move{to: []float64{v}})[class])
		}
		out = append(out, curve)
	}
	return out
}
