package tune

import (
	"math"

	"github.com/bilevel-go/bilevel/dataset"
)

// Unseen is what models say about rows that none of them was fitted to: the test rows where there are any, else the
// validation rows, or with folds all rows, each judged by the models of the folds without it.
//
// Many strengths can fit the validation rows. Where several were learned, and there are no test rows, the rows are
// therefore those on which kinds of strengths were compared, if they were, and the models are those that were learned
// without them.
type Unseen struct {
	On string // the rows: "test", "held-out", "validation" or "out-of-fold"
	// Rows are the places of the rows in Data.Test, or else in Val, or, where that is not given, in Train.
	Rows []int
	Y    []float64 // indices of classes, or values
	// Trivial always says the shares of the classes, or the mean, of the training rows; Baseline has the best shared
	// strength; Model is the result.
	Trivial, Baseline, Model Judged
}

// ChoseStrengths says whether strengths were chosen for these rows, so that losses on them are rather too small.
func (u *Unseen) ChoseStrengths() bool { return u.On != "test" && u.On != "held-out" }

// Judged is what a model says about rows, in their order.
type Judged struct {
	Losses    []float64 // −log of the probability of the label, or half the squared error
	Predicted []float64 // indices of classes, or values
	// LogOdds are, for classes, those of the second of two classes, or of more the predicted one; nil for values.
	LogOdds []float64
}

// Confusion counts predictions of the model: [i][j] rows of class i of k were taken for class j.
func (u *Unseen) Confusion(k int) [][]int {
	counts := make([][]int, k)
	for i := range counts {
		counts[i] = make([]int, k)
	}
	for i, y := range u.Y {
		counts[int(y)][int(u.Model.Predicted[i])]++
	}
	return counts
}

// said is what j keeps of the scores of rows with k classes, 0 for values.
func (j *judged) said(k int) Judged {
	out := Judged{Losses: j.losses, Predicted: j.predicted}
	if k == 0 {
		return out
	}
	out.LogOdds = make([]float64, len(j.y))
	each := len(j.scores) / len(j.y)
	others := make([]float64, 0, each)
	for i := range j.y {
		t := j.scores[i*each : (i+1)*each]
		if each == 1 {
			out.LogOdds[i] = t[0]
			continue
		}
		of := 1
		if k > 2 {
			of = int(j.predicted[i])
		}
		others = append(append(others[:0], t[:of]...), t[of+1:]...)
		out.LogOdds[i] = t[of] - logSum(others)
	}
	return out
}

// trivial is what the shares of the classes, or the mean, of labels say about y. k is the number of classes, 0 for
// values.
func trivial(labels, y []float64, k int) Judged {
	j := Judged{Losses: make([]float64, len(y)), Predicted: make([]float64, len(y))}
	if k == 0 {
		m := mean(labels)
		for i, v := range y {
			j.Losses[i], j.Predicted[i] = (m-v)*(m-v)/2, m
		}
		return j
	}
	log := make([]float64, k)
	for _, c := range labels {
		log[int(c)]++
	}
	for c, n := range log {
		log[c] = math.Log(n / float64(len(labels)))
	}
	often := best(log)
	of := often
	if k == 2 {
		of = 1
	}
	odds := log[of] - math.Log(-math.Expm1(log[of]))
	j.LogOdds = make([]float64, len(y))
	for i, c := range y {
		j.Losses[i], j.Predicted[i], j.LogOdds[i] = -log[int(c)], float64(often), odds
	}
	return j
}

// unseen are the rows that judge the result.
func (f *fit) unseen(model, baseline *figures) *Unseen {
	if model.test != nil {
		return f.say(&Unseen{On: "test", Rows: f.test.Rows}, model.test, baseline.test)
	}
	u := &Unseen{On: "validation", Rows: f.main.judges().Rows}
	if f.main.folds() > 0 {
		u.On = "out-of-fold"
	}
	return f.say(u, model.val, baseline.val)
}

// heldOutUnseen makes u one of the rows on which kinds of strengths were compared, if all of these judged model and
// baseline.
func (f *fit) heldOutUnseen(u *Unseen, c *choice) {
	n := len(c.rows)
	if n == 0 || c.kind == f.base() || c.width == 0 || len(c.said.y) != n {
		return
	}
	u.On, u.Rows = "held-out", c.rows
	f.say(u, &c.said, &c.tried[0].said)
}

// say fills in what the models say.
func (f *fit) say(u *Unseen, model, baseline *judged) *Unseen {
	labels := f.main.train.Y
	if f.loss.standardise {
		labels = f.inUnits(labels)
	}
	u.Y = model.y
	u.Trivial = trivial(labels, u.Y, len(f.classes))
	u.Model, u.Baseline = model.said(len(f.classes)), baseline.said(len(f.classes))
	return u
}

// inUnits are prepared targets in their own units.
func (f *fit) inUnits(y []float64) []float64 {
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = f.shift + f.unit*v
	}
	return out
}

// placed is s with the place of each row in it, which whatever is made of it keeps.
func placed(s *dataset.Set) *dataset.Set {
	t := *s
	t.Rows = make([]int, len(s.Y))
	for i := range t.Rows {
		t.Rows[i] = i
	}
	return &t
}
