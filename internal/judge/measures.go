package judge

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/bilevel-go/bilevel/tune"
)

// numbers are the measures of values. The first is what the verdict is about.
var numbers = []measure{
	{Figure{Key: "rmse", Name: "typical error", Term: "RMSE"}, func(y []float64, s tune.Judged) influenced {
		// √ of a mean m: an influence is that on m, by 2√m.
		mse := 2 * stat.Mean(s.Losses, nil)
		i := influenced{math.Sqrt(mse), make([]float64, len(y))}
		if mse > 0 {
			for k, l := range s.Losses {
				i.rows[k] = (2*l - mse) / (2 * i.value)
			}
		}
		return i
	}},
	{Figure{Key: "mae", Name: "average error", Term: "MAE"}, func(y []float64, s tune.Judged) influenced {
		i := influenced{rows: make([]float64, len(y))}
		for k, v := range y {
			i.rows[k] = math.Abs(v - s.Predicted[k])
		}
		i.value = stat.Mean(i.rows, nil)
		floats.AddConst(-i.value, i.rows)
		return i
	}},
	{Figure{Key: "r2", Name: "explained", Term: "R²", Share: true, More: true},
		func(y []float64, s tune.Judged) influenced {
			mean, variance := stat.PopMeanVariance(y, nil)
			mse := 2 * stat.Mean(s.Losses, nil)
			if variance == 0 {
				return influenced{value: math.NaN()}
			}
			i := influenced{1 - mse/variance, make([]float64, len(y))}
			for k, l := range s.Losses {
				d := y[k] - mean
				i.rows[k] = -(2*l - mse*d*d/variance) / variance
			}
			return i
		}},
}

// labels are the measures of classes. The first is what the verdict is about.
func labels(y []float64, classes []string, sorted orders) []measure {
	k := len(classes)
	counts := make([]float64, k)
	for _, c := range y {
		counts[int(c)]++
	}
	m := []measure{
		{Figure{Key: "log_loss", Name: "log loss"}, func(y []float64, s tune.Judged) influenced {
			i := influenced{stat.Mean(s.Losses, nil), slices.Clone(s.Losses)}
			floats.AddConst(-i.value, i.rows)
			return i
		}},
		{Figure{Key: "accuracy", Name: "right", Term: "accuracy", Share: true, More: true},
			func(y []float64, s tune.Judged) influenced {
				i := influenced{rows: right(y, s)}
				i.value = stat.Mean(i.rows, nil)
				floats.AddConst(-i.value, i.rows)
				return i
			}},
		{Figure{Key: "balanced_accuracy", Name: "right, classes alike", Term: "balanced accuracy", Share: true, More: true},
			func(y []float64, s tune.Judged) influenced { return balanced(y, s, counts) }},
	}
	if k == 2 {
		m = append(m, measure{Figure{Key: "auc", Name: "ranked rightly", Term: "AUC", Share: true, More: true},
			func(y []float64, s tune.Judged) influenced { return ranked(y, s, sorted) }})
	}
	return append(m, measure{Figure{Key: "f1", Name: "found and right", Term: "F1", Share: true, More: true},
		func(y []float64, s tune.Judged) influenced { return f1(y, s, counts) }})
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

// balanced is the mean over the classes of the share of their rows that were found.
func balanced(y []float64, s tune.Judged, counts []float64) influenced {
	r := right(y, s)
	recall := make([]float64, len(counts))
	for i, c := range y {
		recall[int(c)] += r[i] / counts[int(c)]
	}
	there := 0.0
	for _, n := range counts {
		if n > 0 {
			there++
		}
	}
	i := influenced{floats.Sum(recall) / there, r}
	for k, c := range y {
		r[k] = (r[k] - recall[int(c)]) * float64(len(y)) / (there * counts[int(c)])
	}
	return i
}

// f1 is the mean over the classes of 2TP/(P + T), with P rows that were predicted to be of the class, T that are, and
// TP that are both.
func f1(y []float64, s tune.Judged, counts []float64) influenced {
	both, said := make([]float64, len(counts)), make([]float64, len(counts))
	for i, c := range y {
		said[int(s.Predicted[i])]++
		if s.Predicted[i] == c {
			both[int(c)]++
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
			i.rows[k] = 2 * (1 - of[a]) * n / (counts[a] + said[a]) / there
			continue
		}
		i.rows[k] = (-of[a]/(counts[a]+said[a]) - of[b]/(counts[b]+said[b])) * n / there
	}
	return i
}

// ranked is the share of pairs of a row of each of two classes in which that of the second has the larger odds; ties
// count one half. The influence of a row is the share of pairs that it is in, as DeLong has it.
func ranked(y []float64, s tune.Judged, sorted orders) influenced {
	n := len(y)
	order := sorted.of(s.LogOdds)
	total := [2]float64{}
	for _, c := range y {
		total[int(c)]++
	}
	if total[0] == 0 || total[1] == 0 {
		return influenced{value: math.NaN()}
	}
	i := influenced{rows: make([]float64, n)}
	below := [2]float64{} // rows of each class with smaller odds
	for lo := 0; lo < n; {
		hi, here := lo, [2]float64{}
		for hi < n && s.LogOdds[order[hi]] == s.LogOdds[order[lo]] {
			here[int(y[order[hi]])]++
			hi++
		}
		for _, k := range order[lo:hi] {
			if y[k] == 1 {
				i.rows[k] = (below[0] + here[0]/2) / total[0]
				i.value += i.rows[k] / total[1]
			} else {
				i.rows[k] = 1 - (below[1]+here[1]/2)/total[1]
			}
		}
		below[0], below[1] = below[0]+here[0], below[1]+here[1]
		lo = hi
	}
	for k, c := range y {
		i.rows[k] = (i.rows[k] - i.value) * float64(n) / total[int(c)]
	}
	return i
}
