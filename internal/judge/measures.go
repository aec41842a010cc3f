package judge

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel/tune"
)

// mean is that of one number a row, with the influences of the rows: v, which it overwrites.
func (w weights) mean(v []float64) influenced {
	for k := range v {
		v[k] *= w.at(k)
	}
	i := influenced{stat.Mean(v, nil), v}
	for k := range v {
		v[k] -= w.at(k) * i.value
	}
	return i
}

// lossMeasure is the mean loss as people know it.
func lossMeasure(f tune.Figure, w weights) measure {
	factor := f.Factor
	if factor == 0 {
		factor = 1
	}
	return measure{Figure{Key: f.Key, Name: f.Name, Term: f.Term}, func(_ []float64, s tune.Judged) influenced {
		i := influenced{factor * stat.Mean(s.Losses, nil), slices.Clone(s.Losses)}
		floats.Scale(factor, i.rows)
		for k := range i.rows {
			i.rows[k] -= w.at(k) * i.value
		}
		return i
	}}
}

// squares are those of the errors of predicted values.
func squares(y []float64, s tune.Judged) []float64 {
	out := make([]float64, len(y))
	for k, v := range y {
		out[k] = (v - s.Predicted[k]) * (v - s.Predicted[k])
	}
	return out
}

// numbers are the measures of values. The first is what the verdict is about.
func numbers(u *tune.Unseen) []measure {
	w := weights(u.Weights)
	rmse := measure{Figure{Key: "rmse", Name: "typical error", Term: "RMSE"}, func(y []float64, s tune.Judged) influenced {
		// √ of a mean m: an influence is that on m, by 2√m.
		i := w.mean(squares(y, s))
		if i.value = math.Sqrt(i.value); i.value > 0 {
			floats.Scale(1/(2*i.value), i.rows)
		}
		return i
	}}
	mae := measure{Figure{Key: "mae", Name: "average error", Term: "MAE"}, func(y []float64, s tune.Judged) influenced {
		rows := make([]float64, len(y))
		for k, v := range y {
			rows[k] = math.Abs(v - s.Predicted[k])
		}
		return w.mean(rows)
	}}
	r2 := measure{Figure{Key: "r2", Name: "explained", Term: "R²", Share: true, More: true},
		func(y []float64, s tune.Judged) influenced {
			mean := w.mean(slices.Clone(y)).value
			deviations := make([]float64, len(y))
			for k, v := range y {
				deviations[k] = (v - mean) * (v - mean)
			}
			variance, mse := w.mean(deviations), w.mean(squares(y, s))
			if variance.value == 0 {
				return influenced{value: math.NaN()}
			}
			share := mse.value / variance.value
			for k, v := range variance.rows {
				mse.rows[k] = -(mse.rows[k] - share*v) / variance.value
			}
			return influenced{1 - share, mse.rows}
		}}
	if f := task(u).Figure(); f.Key != rmse.Key {
		return []measure{lossMeasure(f, u.LossWeights), rmse, mae, r2}
	}
	return []measure{rmse, mae, r2}
}

// labels are the measures of classes. The first is what the verdict is about.
func labels(u *tune.Unseen, classes []string, sorted orders) []measure {
	k, w := len(classes), weights(u.Weights)
	counts := make([]float64, k)
	for i, c := range u.Y {
		counts[int(c)] += w.at(i)
	}
	m := []measure{
		lossMeasure(task(u).Figure(), u.LossWeights),
		{Figure{Key: "accuracy", Name: "right", Term: "accuracy", Share: true, More: true},
			func(y []float64, s tune.Judged) influenced { return w.mean(right(y, s)) }},
		{Figure{Key: "balanced_accuracy", Name: "right, classes alike", Term: "balanced accuracy", Share: true, More: true},
			func(y []float64, s tune.Judged) influenced { return w.balanced(y, s, counts) }},
	}
	if u.Costs != nil {
		m = append(m, measure{Figure{Key: "cost", Name: "cost of a row"}, func(y []float64, s tune.Judged) influenced {
			rows := right(y, s)
			for i, c := range y {
				rows[i] = (1 - rows[i]) * u.Costs[int(c)]
			}
			return w.mean(rows)
		}})
	}
	if k == 2 {
		m = append(m, measure{Figure{Key: "auc", Name: "ranked rightly", Term: "AUC", Share: true, More: true},
			func(y []float64, s tune.Judged) influenced { return w.ranked(y, s, sorted) }})
	}
	return append(m, measure{Figure{Key: "f1", Name: "found and right", Term: "F1", Share: true, More: true},
		func(y []float64, s tune.Judged) influenced { return w.f1(y, s, counts) }})
}

// task is the model that u is about; where it does not say, that of its labels.
func task(u *tune.Unseen) tune.Task {
	switch {
	case u.Task != "":
		return u.Task
	case u.Model.LogOdds == nil:
		return tune.Ridge
	}
	return tune.Softmax
}

// right is 1 for rows whose label was predicted, and 0 for others.
func right(y []float64, s tune.Judged) []float64 {
	r := make([]float64, len(y))
	for i, c := range y {
		if s.Predicted[i] == c {
			r[i] = 1
		}
	}
	return r
}

// weights are what rows count by, with the mean one; nil where all count alike.
type weights []float64

func (w weights) at(i int) float64 {
	if w == nil {
		return 1
	}
	return w[i]
}

// effective is how many rows that count alike tell as much as these n.
func (w weights) effective(n int) float64 {
	if w == nil {
		return float64(n)
	}
	return float64(n) * float64(n) / floats.Dot(w, w)
}

// balanced is the mean over the classes of the share of their rows that were found.
func (w weights) balanced(y []float64, s tune.Judged, counts []float64) influenced {
	r := right(y, s)
	recall := make([]float64, len(counts))
	for i, c := range y {
		recall[int(c)] += w.at(i) * r[i] / counts[int(c)]
	}
	there := 0.0
	for _, n := range counts {
		if n > 0 {
			there++
		}
	}
	i := influenced{floats.Sum(recall) / there, r}
	for k, c := range y {
		r[k] = w.at(k) * (r[k] - recall[int(c)]) * float64(len(y)) / (there * counts[int(c)])
	}
	return i
}

// f1 is the mean over the classes of 2TP/(P + T), with P rows that were predicted to be of the class, T that are, and
// TP that are both.
func (w weights) f1(y []float64, s tune.Judged, counts []float64) influenced {
	both, said := make([]float64, len(counts)), make([]float64, len(counts))
	for i, c := range y {
		said[int(s.Predicted[i])] += w.at(i)
		if s.Predicted[i] == c {
			both[int(c)] += w.at(i)
		}
	}
	there, n := 0.0, float64(len(y))
	of := make([]float64, len(counts))
	for c := range counts {
		if counts[c]+said[c] > 0 {
			there++
			of[c] = 2 * both[c] / (counts[c] + said[c])
		}
	}
	i := influenced{floats.Sum(of) / there, make([]float64, len(y))}
	for k, c := range y {
		a, b := int(c), int(s.Predicted[k])
		if a == b {
			i.rows[k] = w.at(k) * 2 * (1 - of[a]) * n / (counts[a] + said[a]) / there
			continue
		}
		i.rows[k] = w.at(k) * (-of[a]/(counts[a]+said[a]) - of[b]/(counts[b]+said[b])) * n / there
	}
	return i
}

// ranked is the share of pairs of a row of each of two classes in which that of the second has the larger odds; ties
// count one half. The influence of a row is the share of pairs that it is in, as DeLong has it.
func (w weights) ranked(y []float64, s tune.Judged, sorted orders) influenced {
	n := len(y)
	order := sorted.of(s.LogOdds)
	total := [2]float64{}
	for i, c := range y {
		total[int(c)] += w.at(i)
	}
	if total[0] == 0 || total[1] == 0 {
		return influenced{value: math.NaN()}
	}
	i := influenced{rows: make([]float64, n)}
	below := [2]float64{} // rows of each class with smaller odds
	for lo := 0; lo < n; {
		hi, here := lo, [2]float64{}
		for hi < n && s.LogOdds[order[hi]] == s.LogOdds[order[lo]] {
			here[int(y[order[hi]])] += w.at(order[hi])
			hi++
		}
		for _, k := range order[lo:hi] {
			if y[k] == 1 {
				i.rows[k] = (below[0] + here[0]/2) / total[0]
				i.value += w.at(k) * i.rows[k] / total[1]
			} else {
				i.rows[k] = 1 - (below[1]+here[1]/2)/total[1]
			}
		}
		below[0], below[1] = below[0]+here[0], below[1]+here[1]
		lo = hi
	}
	for k, c := range y {
		i.rows[k] = w.at(k) * (i.rows[k] - i.value) * float64(n) / total[int(c)]
	}
	return i
}
