package tune

import (
	"fmt"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// losses are the kinds of models. An entry is all that there is to say about one.
var losses = []*loss{
	{
		task: Logistic, classes: true, most: 2,
		scores:    func(int) int { return 1 }, // of the second class
		curvature: func(int) float64 { return .25 },
		objective: func(x rows.Matrix, y []float64, _, p int) (*model.Loss, error) {
			signs := make([]float64, len(y))
			for i, v := range y {
				signs[i] = 2*v - 1 // classes 0 and 1
			}
			return model.NewLogistic(x, signs, p)
		},
		value: func(t []float64, y float64) float64 { return logisticLoss((2*y - 1) * t[0]) },
		predict: func(t []float64) float64 {
			if t[0] > 0 {
				return 1
			}
			return 0
		},
		proba: func(dst, t []float64) { dst[0], dst[1] = sigmoid(-t[0]), sigmoid(t[0]) },
		score: accuracyScore,
	},
	{
		task: Softmax, classes: true, most: math.MaxInt,
		scores:    func(classes int) int { return classes },
		curvature: func(k int) float64 { return float64(k-1) / float64(k*k) },
		objective: func(x rows.Matrix, y []float64, k, p int) (*model.Loss, error) {
			of := make([]int, len(y))
			for i, v := range y {
				of[i] = int(v)
			}
			return model.NewSoftmax(x, of, k, p)
		},
		value:   func(t []float64, y float64) float64 { return logSum(t) - t[int(y)] },
		predict: func(t []float64) float64 { return float64(best(t)) },
		proba: func(dst, t []float64) {
			log := logSum(t)
			for c, v := range t {
				dst[c] = math.Exp(v - log)
			}
		},
		score: accuracyScore,
	},
	{
		task:        Ridge,
		standardise: true,
		scores:      func(int) int { return 1 },
		curvature:   func(int) float64 { return 1 },
		objective: func(x rows.Matrix, y []float64, _, p int) (*model.Loss, error) {
			return model.NewSquared(x, y, p)
		},
		value:   func(t []float64, y float64) float64 { return (t[0] - y) * (t[0] - y) / 2 },
		predict: func(t []float64) float64 { return t[0] },
		score:   rmseScore,
	},
}

// loss is a kind of model: how labels are read, what is minimised, and what its scores say. Labels are numbers, or
// indices of classes.
type loss struct {
	task Task

	classes     bool // labels are classes: at least two, and at most so many
	most        int
	standardise bool // targets are centred and scaled, which changes no more than the unit of the loss

	scores func(classes int) int // of a row
	// curvature is the largest second derivative of a row's loss by one of its k scores, or the mean over the classes
	// where all are as likely.
	curvature func(k int) float64
	// objective is the mean loss of rows x with labels y and k scores each, for p outer variables.
	objective func(x rows.Matrix, y []float64, k, p int) (*model.Loss, error)

	value   func(scores []float64, y float64) float64 // the loss of a row
	predict func(scores []float64) float64            // the label that they speak for
	proba   func(dst, scores []float64)               // overwrites dst by the probabilities of the classes

	score Score // what its models are judged by
}

// entry is that of a task, nil if there is none.
func (t Task) entry() *loss {
	for _, l := range losses {
		if l.task == t {
			return l
		}
	}
	return nil
}

// Tasks are the kinds of models, without "auto".
func Tasks() []Task { return tasks(func(*loss) bool { return true }) }

func tasks(which func(*loss) bool) []Task {
	var out []Task
	for _, l := range losses {
		if which(l) {
			out = append(out, l.task)
		}
	}
	return out
}

// anyOf names tasks for messages.
func anyOf(which func(*loss) bool) string {
	var names []string
	for _, t := range tasks(which) {
		names = append(names, string(t))
	}
	return strings.Join(names, " or ")
}

// Classes says whether the labels of t are classes. They are not for "auto".
func (t Task) Classes() bool { l := t.entry(); return l != nil && l.classes }

// Score is what models of t are judged by, besides the loss; t is one of [Tasks].
func (t Task) Score() Score { return t.entry().score }

// Score is a figure of a model that people know.
type Score struct {
	Name  string
	Of    func(*Metrics) float64
	Share bool // between 0 and 1, and shown in per cent
}

var (
	accuracyScore = Score{Name: "accuracy", Of: func(m *Metrics) float64 { return m.Accuracy }, Share: true}
	rmseScore     = Score{Name: "RMSE", Of: func(m *Metrics) float64 { return m.RMSE }}
)

// Text is the figure of m for people, with so many digits unless it is in per cent.
func (s Score) Text(m *Metrics, digits int) string {
	if s.Share {
		return fmt.Sprintf("%.2f%%", 100*s.Of(m))
	}
	return fmt.Sprintf("%.*g", digits, s.Of(m))
}

// class is the class that score c speaks for, "" for none.
func (l *loss) class(classes []string, c int) string {
	switch {
	case !l.classes:
		return ""
	case l.scores(len(classes)) == 1:
		return classes[1]
	}
	return classes[c]
}

// check reports what is wrong with a model of these classes.
func (l *loss) check(classes []string) error {
	switch k := len(classes); {
	case !l.classes && classes != nil:
		return fmt.Errorf("a %s model with classes", l.task)
	case l.classes && (k < 2 || k > l.most):
		return fmt.Errorf("a %s model of %d classes", l.task, k)
	}
	return nil
}

// judged are the losses and predictions of rows.
type judged struct {
	y         []float64 // class indices or values
	losses    []float64
	predicted []float64 // class indices or values
	scores    []float64
}

// Judge returns the losses of rows with k scores each, one after the other, and the labels that the scores speak for. y
// are the labels: indices of classes, or numbers. t is one of [Tasks].
func (t Task) Judge(scores, y []float64, k int) (losses, predicted []float64) {
	j := t.entry().judge(scores, y, k)
	return j.losses, j.predicted
}

// judge computes losses and predictions from k scores of each row; y are class indices, or values as the scores are.
func (l *loss) judge(scores, y []float64, k int) *judged {
	j := &judged{y: y, losses: make([]float64, len(y)), predicted: make([]float64, len(y)), scores: scores}
	for i, v := range y {
		t := scores[i*k : (i+1)*k]
		j.losses[i], j.predicted[i] = l.value(t, v), l.predict(t)
	}
	return j
}

// metrics are the figures of judged rows.
func (l *loss) metrics(j *judged) *Metrics {
	m := &Metrics{N: len(j.y), Accuracy: math.NaN(), RMSE: math.NaN()}
	n, right, squares := float64(m.N), 0, 0.0
	for i, v := range j.losses {
		m.Loss += v / n
		e := j.predicted[i] - j.y[i]
		squares += e * e / n
		if e == 0 {
			right++
		}
	}
	if l.classes {
		m.Accuracy = float64(right) / n
	} else {
		m.RMSE = math.Sqrt(squares)
	}
	return m
}
