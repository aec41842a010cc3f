package tune

import (
	"fmt"
	"math"
	"strconv"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Metrics are the figures of a model on some rows.
type Metrics struct {
	N    int
	Loss float64 // mean loss, without penalty
	// Accuracy is the share of rows whose most probable class is their label, RMSE the root of the mean
	// squared error; NaN where it does not apply.
	Accuracy, RMSE float64
}

// logistic is log(1 + e^{−m}) of a margin m.
func logisticLoss(m float64) float64 {
	return max(-m, 0) + math.Log1p(math.Exp(-math.Abs(m)))
}

// sigmoid is 1/(1 + e^{−t}).
func sigmoid(t float64) float64 {
	if t >= 0 {
		return 1 / (1 + math.Exp(-t))
	}
	e := math.Exp(t)
	return e / (1 + e)
}

// logSum is log Σ e^t.
func logSum(t []float64) float64 {
	top := math.Inf(-1)
	for _, v := range t {
		top = max(top, v)
	}
	sum := 0.0
	for _, v := range t {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// best is the index of the largest score.
func best(t []float64) int {
	k := 0
	for c, v := range t {
		if v > t[k] {
			k = c
		}
	}
	return k
}

// judge is what a model with coefficients z does on prepared rows, in the units of the target.
func (f *fit) judge(s *dataset.Set, z []float64) *judged {
	scores := f.units.t.all(model.ScoreRows(s.X, z, f.scores))
	return f.loss.judge(scores, f.units.y.all(s.Y), s.Weights, f.scores)
}

// add appends the rows of b.
func (j *judged) add(b *judged) {
	j.y = append(j.y, b.y...)
	j.weights = append(j.weights, b.weights...)
	j.counts = append(j.counts, b.counts...)
	j.losses = append(j.losses, b.losses...)
	j.predicted = append(j.predicted, b.predicted...)
	j.scores = append(j.scores, b.scores...)
}

// outOfFold is what the models of a cross-validation, stacked in z, do on the rows of their own folds; of a repeated
// one, the first time.
func (f *fit) outOfFold(s split, z []float64) *judged {
	all := &judged{}
	d := len(z) / s.folds()
	for k := range s.folds() / s.times {
		lo, hi := s.bounds[k], s.bounds[k+1]
		part := &dataset.Set{X: span(s.train.X, lo, hi), Y: s.train.Y[lo:hi]}
		if s.train.Weights != nil {
			part.Weights = s.train.Weights[lo:hi]
		}
		all.add(f.judge(part, z[k*d:(k+1)*d]))
	}
	return all
}

// span are the rows of m from lo to hi, which share its memory.
func span(m rows.Matrix, lo, hi int) rows.Matrix {
	switch m := m.(type) {
	case *rows.Dense:
		return &rows.Dense{N: hi - lo, D: m.D, Stride: m.Stride, Data: m.Data[lo*m.Stride : hi*m.Stride]}
	case *rows.CSR:
		return &rows.CSR{N: hi - lo, D: m.D, Ptr: m.Ptr[lo : hi+1], Idx: m.Idx, Val: m.Val}
	}
	panic(fmt.Sprintf("tune: rows are stored as %T", m))
}

// validation is what z, as learned on s, does on the validation rows.
func (f *fit) validation(s split, z []float64) *judged {
	if s.folds() > 0 {
		return f.outOfFold(s, z)
	}
	return f.judge(s.val, z)
}

// formatFloat is the shortest decimal that reads back as v.
func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
