package tune

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

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
	Task Task
	// Weights are what rows count by, and LossWeights these times the weights of their classes in the loss, both with the
	// mean one; nil where all count alike.
	Weights, LossWeights []float64
	Costs                []float64 // of taking a row of each class for another; nil for none
	// Trivial always says the shares of the classes, or the mean, of the training rows; Baseline has the best shared
	// strength; Model is the result.
	Trivial, Baseline, Model Judged
}

// ChoseStrengths says whether strengths were chosen for these rows, so that losses on them are rather too small.
func (u *Unseen) ChoseStrengths() bool { return u.On != "test" && u.On != "held-out" }

// Judged is what a model says about rows, in their order.
type Judged struct {
	Losses    []float64 // times LossWeights: −log of the probability of the label, or half the squared error, say
	Predicted []float64 // indices of classes, or values
	// LogOdds are, for classes, those of the second of two classes, or of more the predicted one; nil for values. Of a
	// model without probabilities they are its scores.
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
	if j.weights != nil { // their mean is the mean of rows that count by weights
		out.Losses = meanOne(j.weights, j.losses)
	}
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

// meanOne is v times the number by which the weights w have the mean one; nil for no weights.
func meanOne(w, v []float64) []float64 {
	if w == nil {
		return nil
	}
	out := slices.Clone(v)
	floats.Scale(float64(len(w))/floats.Sum(w), out)
	return out
}

// constant are the scores that are the same for every row and have the least loss of labels with these counts, or those
// that predict their mean. k is the number of classes, 0 for values.
func (l *loss) constant(labels, counts []float64, k int) []float64 {
	w := l.rowWeights(labels, counts)
	share := make([]float64, max(k, 1))
	all := massOf(w, len(labels))
	for i, y := range labels {
		v := 1 / all
		if w != nil {
			v *= w[i]
		}
		if k == 0 {
			share[0] += v * y
		} else {
			share[int(y)] += v
		}
	}
	switch {
	case k == 0:
		return []float64{l.link(share[0])}
	case l.proba == nil:
		return []float64{share[1] - share[0]}
	case l.scores(k) == 1:
		return []float64{math.Log(share[1] / share[0])}
	}
	for c, s := range share {
		share[c] = math.Log(s)
	}
	return share
}

// say fills in what models say about rows, and what a constant that is found from labels with counts does.
func (l *loss) say(u *Unseen, labels, counts []float64, k int, costs []float64, model, baseline *judged) {
	u.Task, u.Y, u.Costs = l.task, model.y, costs
	u.Weights, u.LossWeights = meanOne(model.counts, model.counts), meanOne(model.weights, model.weights)
	t := l.constant(labels, counts, k)
	scores := make([]float64, 0, len(u.Y)*len(t))
	for range u.Y {
		scores = append(scores, t...)
	}
	u.Trivial = l.judge(scores, u.Y, model.counts, len(t)).said(k)
	u.Model, u.Baseline = model.said(k), baseline.said(k)
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
	t := f.main.train
	f.loss.say(u, f.units.y.all(t.Y), t.Weights, len(f.classes), f.costs, model, baseline)
	return u
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
