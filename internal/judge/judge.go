// Package judge says how good a model is on rows that it was not fitted to: figures with intervals, beside those of the
// trivial model and of the baseline, and whether it differs from the baseline by more than chance.
//
// # Intervals
//
// A figure is a smooth function of means over rows, so that each row has an influence on it, and the figure's error is
// that of the mean influence: its standard error times a quantile of Student's t. The degrees of freedom are those of
// the variance that was estimated, 2n/(κ − 1) with the kurtosis κ of the influences: where a few rows make up the whole
// variance there are few, and the interval is wide. Differences of two models are paired: the influences are
// subtracted row by row. Shares at which no row has an influence, such as 37 right rows of 37, have Wilson's interval.
// All intervals hold 95%; each takes one pass over the rows, and nothing is random. Rows that count by weights have as
// much influence, and shares of them Wilson's interval of as many rows as make up for it, (Σw)²/Σw².
package judge

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/bilevel-go/bilevel/tune"
)

// Estimate is a value with its 95% interval; unknown ends are NaN.
type Estimate struct{ Value, Low, High float64 }

// Figure is one measure of the three models. Its estimates are NaN where it is not defined.
type Figure struct {
	Key   string // in JSON: "log_loss"
	Name  string // for people: "right"
	Term  string // of the field: "accuracy"
	Share bool   // of 1, shown in per cent
	More  bool   // is better

	Trivial, Baseline, Model Estimate
	// Change is Model minus Baseline, row by row.
	Change Estimate
}

// Verdict is what can be said of a difference.
type Verdict string

// The verdicts.
const (
	MoreThanChance Verdict = "more than chance" // the interval excludes zero
	WithinChance   Verdict = "within chance"    // it contains zero
	Worse          Verdict = "worse"            // it excludes zero on the wrong side, or the loss grew manyfold
	TooFewRows     Verdict = "too few rows"     // it is wider than the loss of the baseline itself
	AsGood         Verdict = "as good"          // it lies within a margin that nobody minds
	Same           Verdict = "the baseline"     // the model is the baseline
	Untold         Verdict = "not judged"       // several strengths were chosen on these very rows
)

// Changes of the loss that nobody minds: of losses of classes, and of typical errors, the roots of losses of values.
const (
	marginClasses = .05
	marginErrors  = .01
)

// Manyfold is a growth of the loss that is never within chance.
const Manyfold = 2

// Judgement is how good a model is.
type Judgement struct {
	On             string // the rows: "test", "held-out", "validation" or "out-of-fold"
	ChoseStrengths bool   // losses on these rows are rather too small
	Rows           int
	Figures        []Figure
	// Change is the relative change of the loss from the baseline to the model: −0.12 is 12% less.
	Change  Estimate
	Verdict Verdict
	// Culprits are the places, in Unseen, of the few rows without which the loss would not have grown; nil where it is not
	// worse, or where there are no such few.
	Culprits []int

	Recalls     []Recall // by class
	Calibration []Group
	ROC         *ROC    // of two classes
	Smallest    float64 // share of the rows that are of the smallest class

	margin float64
}

// Loss is the first figure, which the verdict is about.
func (j *Judgement) Loss() *Figure { return &j.Figures[0] }

// Figure is the one with this key, nil if there is none.
func (j *Judgement) Figure(key string) *Figure {
	for i := range j.Figures {
		if j.Figures[i].Key == key {
			return &j.Figures[i]
		}
	}
	return nil
}

// influenced is a figure of one model: its value, and what each row adds to it.
type influenced struct {
	value float64
	rows  []float64 // influences, of mean zero
}

// Of judges what was said about unseen rows. classes is nil for values.
func Of(u *tune.Unseen, classes []string) *Judgement {
	j := &Judgement{On: u.On, ChoseStrengths: u.ChoseStrengths(), Rows: len(u.Y)}
	var measures []measure
	sorted := make(orders)
	if classes != nil {
		measures = labels(u, classes, sorted)
	} else {
		measures = numbers(u)
	}
	for _, m := range measures {
		j.Figures = append(j.Figures, m.figure(u))
	}
	j.compare(u)
	if classes != nil {
		j.byClass(u, classes, sorted)
	}
	return j
}

// measure is how a figure is computed.
type measure struct {
	Figure
	of func(y []float64, s tune.Judged) influenced
}

// figure computes it for the three models.
func (m measure) figure(u *tune.Unseen) Figure {
	f := m.Figure
	trivial, base, model := m.of(u.Y, u.Trivial), m.of(u.Y, u.Baseline), m.of(u.Y, u.Model)
	w := weights(u.Weights)
	f.Trivial, f.Baseline, f.Model = m.estimate(trivial, w), m.estimate(base, w), m.estimate(model, w)
	d := influenced{value: model.value - base.value, rows: make([]float64, len(u.Y))}
	if model.rows != nil && base.rows != nil {
		floats.SubTo(d.rows, model.rows, base.rows)
		f.Change = d.estimate()
	}
	return f
}

// estimate is the figure of one model.
func (m measure) estimate(i influenced, w weights) Estimate {
	e := i.estimate()
	least, most := 0.0, math.Inf(1) // of losses and errors
	switch {
	case m.Key == "r2":
		least, most = math.Inf(-1), 1 // worse than the mean is below zero
	case m.Share:
		if n := w.effective(len(i.rows)); e.High == e.Low && n > 0 {
			e.Low, e.High = Wilson(e.Value*n, n)
		}
		most = 1
	}
	return Estimate{min(max(e.Value, least), most), max(e.Low, least), min(e.High, most)}
}

// Interval is a value with its interval, where the rows, some of n, have these influences.
func Interval(value float64, rows []float64, n int) Estimate {
	e := influenced{value, rows}.estimate()
	shrink := math.Sqrt(float64(len(rows)) / float64(n))
	return Estimate{value, value - shrink*(value-e.Low), value + shrink*(e.High-value)}
}

// estimate is the value with its interval.
func (i influenced) estimate() Estimate {
	n := float64(len(i.rows))
	if n < 2 {
		return Estimate{i.value, math.NaN(), math.NaN()}
	}
	mean, variance := stat.PopMeanVariance(i.rows, nil)
	if variance == 0 {
		return Estimate{i.value, i.value, i.value}
	}
	fourth := 0.0
	for _, v := range i.rows {
		d := (v - mean) * (v - mean) / variance
		fourth += d * d / n
	}
	freedom := min(n-1, 2*n/max(fourth-1, 1e-9))
	half := math.Sqrt(variance/(n-1)) * quantile(freedom)
	return Estimate{i.value, i.value - half, i.value + half}
}

// quantile is that of Student's t which 97.5% are below.
func quantile(freedom float64) float64 {
	if freedom > 1e6 {
		return 1.959964
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: max(freedom, 1)}.Quantile(.975)
}

// Wilson is the 95% interval of a share of which k in n were seen.
func Wilson(k, n float64) (low, high float64) {
	const z = 1.959964
	if n == 0 {
		return 0, 1
	}
	p := k / n
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(middle-half, 0), min(middle+half, 1)
}

// compare finds the change of the loss and the verdict.
func (j *Judgement) compare(u *tune.Unseen) {
	model, base := stat.Mean(u.Model.Losses, nil), stat.Mean(u.Baseline.Losses, nil)
	n := len(u.Y)
	d := influenced{value: math.Log(model / base), rows: make([]float64, n)}
	root := 1.0
	switch j.margin = marginClasses; {
	case j.Loss().Key == "rmse":
		root, j.margin = .5, marginErrors
	case u.Model.LogOdds == nil:
		j.margin = 2 * marginErrors
	}
	for i := range n {
		d.rows[i] = root * (u.Model.Losses[i]/model - u.Baseline.Losses[i]/base) // weights cancel
	}
	d.value *= root
	e := d.estimate()
	j.Change = Estimate{math.Expm1(e.Value), math.Expm1(e.Low), math.Expm1(e.High)}
	if slices.Equal(u.Model.Losses, u.Baseline.Losses) {
		j.Change, j.Verdict = Estimate{}, Same
		return
	}
	if base == 0 || model == 0 {
		j.Change, j.Verdict = Estimate{math.NaN(), math.NaN(), math.NaN()}, TooFewRows
		return
	}
	j.judge()
	if j.Verdict == Worse {
		j.Culprits = culprits(u)
	}
}

// judge finds the verdict on the change.
func (j *Judgement) judge() {
	switch c := j.Change; {
	case c.Low > -j.margin && c.High < j.margin:
		j.Verdict = AsGood
	case c.Value >= Manyfold-1, c.Low > 0:
		j.Verdict = Worse
	case c.High < 0:
		j.Verdict = MoreThanChance
	case !(c.High-c.Low <= 1):
		j.Verdict = TooFewRows
	default:
		j.Verdict = WithinChance
	}
}

// mostCulprits is how many rows are named.
const mostCulprits = 5

// culprits are the fewest rows without which the loss would be no larger than the baseline's, nil for more than five.
func culprits(u *tune.Unseen) []int {
	grown := make([]float64, len(u.Y))
	floats.SubTo(grown, u.Model.Losses, u.Baseline.Losses)
	excess := floats.Sum(grown)
	order := make([]int, len(grown))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(grown[b], grown[a]) })
	for k, i := range order[:min(len(order), mostCulprits)] {
		if excess -= grown[i]; excess <= 0 {
			return order[:k+1]
		}
	}
	return nil
}

// Paired is the difference of the shares of right rows of two models, a minus b: Wald's interval with half a row added
// to each of the four kinds of rows, as Agresti and Min have it, so that equal models have one too.
func Paired(a, b []bool) Estimate {
	n, more, less := float64(len(a)), 0.0, 0.0
	for i := range a {
		switch {
		case a[i] && !b[i]:
			more++
		case b[i] && !a[i]:
			less++
		}
	}
	m, p, q := n+2, more+.5, less+.5
	middle := (p - q) / m
	half := 1.959964 * math.Sqrt((p+q)-(p-q)*(p-q)/m) / m
	return Estimate{(more - less) / n, max(middle-half, -1), min(middle+half, 1)}
}

// Unpaired is the difference of two shares of different rows, a of n and b of m: Wald's interval with a row of each kind
// added to both, as Agresti and Caffo have it.
func Unpaired(a, n, b, m float64) Estimate {
	p, q := (a+1)/(n+2), (b+1)/(m+2)
	half := 1.959964 * math.Sqrt(p*(1-p)/(n+2)+q*(1-q)/(m+2))
	return Estimate{a/n - b/m, max(p-q-half, -1), min(p-q+half, 1)}
}
