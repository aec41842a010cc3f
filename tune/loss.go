package tune

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// losses are the kinds of models. An entry is all that there is to say about one.
var losses = []*loss{
	{
		task: Logistic, words: "logistic regression", figure: logLoss, classes: true, most: 2,
		scores:    one, // of the second class
		curvature: func(int) float64 { return .25 },
		objective: func(l *loss, x rows.Matrix, y []float64, _, p int) (*model.Loss, error) {
			return model.NewLogistic(x, signs(y), p)
		},
		value: func(_ *loss, t []float64, y float64) float64 { return logisticLoss((2*y - 1) * t[0]) },
		proba: func(dst, t []float64) { dst[0], dst[1] = sigmoid(-t[0]), sigmoid(t[0]) },
		bend: func(_ *loss, t, y float64) (slope, curvature float64) {
			p := sigmoid(t)
			return p - y, p * (1 - p)
		},
		score: accuracyScore,
	},
	{
		task: Softmax, words: "softmax regression", figure: logLoss, classes: true, most: math.MaxInt,
		scores:    func(classes int) int { return classes },
		curvature: func(k int) float64 { return float64(k-1) / float64(k*k) },
		objective: func(l *loss, x rows.Matrix, y []float64, k, p int) (*model.Loss, error) {
			of := make([]int, len(y))
			for i, v := range y {
				of[i] = int(v)
			}
			return model.NewSoftmax(x, of, k, p)
		},
		value: func(_ *loss, t []float64, y float64) float64 { return logSum(t) - t[int(y)] },
		proba: func(dst, t []float64) {
			log := logSum(t)
			for c, v := range t {
				dst[c] = math.Exp(v - log)
			}
		},
		score: accuracyScore,
	},
	{
		task: Ridge, words: "ridge regression", figure: Figure{Key: "rmse", Name: "typical error", Term: "RMSE"},
		units: standardised, scores: one,
		curvature: func(int) float64 { return 1 },
		objective: func(_ *loss, x rows.Matrix, y []float64, _, p int) (*model.Loss, error) {
			return model.NewSquared(x, y, p)
		},
		value: func(_ *loss, t []float64, y float64) float64 { return (t[0] - y) * (t[0] - y) / 2 },
		mean:  identity, link: identity,
		bend:  func(_ *loss, t, y float64) (slope, curvature float64) { return t - y, 1 },
		score: rmseScore,
	},
	{
		task: Poisson, words: "Poisson regression", figure: Figure{Key: "deviance", Name: "deviance", Factor: 2},
		units: perMean, scores: one, counts: true,
		curvature: func(int) float64 { return 1 }, // of counts of mean one
		objective: func(_ *loss, x rows.Matrix, y []float64, _, p int) (*model.Loss, error) {
			return model.NewPoisson(x, y, p)
		},
		value: func(_ *loss, t []float64, y float64) float64 { return model.HalfDeviance(t[0], y) },
		mean:  math.Exp, link: math.Log,
		bend:  func(_ *loss, t, y float64) (slope, curvature float64) { return math.Exp(t) - y, math.Exp(t) },
		score: rmseScore,
	},
	{
		task: Huber, words: "Huber regression", figure: Figure{Key: "huber_loss", Name: "Huber loss"},
		units: standardised, scores: one,
		curvature: func(int) float64 { return 1 },
		objective: func(l *loss, x rows.Matrix, y []float64, _, p int) (*model.Loss, error) {
			return model.NewHuber(x, y, l.delta, p)
		},
		value: func(l *loss, t []float64, y float64) float64 { return model.HuberLoss(t[0]-y, l.delta) },
		mean:  identity, link: identity,
		bend: func(l *loss, t, y float64) (slope, curvature float64) {
			slope = min(max(t-y, -l.delta), l.delta)
			if slope == t-y {
				curvature = 1
			}
			return slope, curvature
		},
		score: rmseScore,
	},
	{
		task: SquaredHinge, words: "linear support vector machine (squared hinge)",
		figure: Figure{Key: "hinge_loss", Name: "squared hinge loss"}, classes: true, most: 2,
		scores:    one, // of the second class
		curvature: func(int) float64 { return 1 },
		objective: func(_ *loss, x rows.Matrix, y []float64, _, p int) (*model.Loss, error) {
			return model.NewSquaredHinge(x, signs(y), p)
		},
		value: func(_ *loss, t []float64, y float64) float64 {
			short := max(0, 1-(2*y-1)*t[0])
			return short * short / 2
		},
		bend: func(_ *loss, t, y float64) (slope, curvature float64) {
			if sign := 2*y - 1; sign*t < 1 {
				return t - sign, 1
			}
			return 0, 0
		},
		score: accuracyScore,
	},
}

func one(int) int { return 1 }

func identity(v float64) float64 { return v }

// signs are −1 for class 0 and 1 for class 1.
func signs(y []float64) []float64 {
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = 2*v - 1
	}
	return out
}

// Figure is a loss as people know it.
type Figure struct {
	Key    string  // in JSON: "log_loss"
	Name   string  // "log loss"
	Term   string  // of the field, where the name is none
	Factor float64 // it is the mean loss times this; 0 stands for 1. That of ridge models is the root of twice the mean
}

var logLoss = Figure{Key: "log_loss", Name: "log loss"}

// loss is a kind of model: how labels are read, what is minimised, and what its scores say. Labels are numbers, or
// indices of classes.
type loss struct {
	task   Task
	words  string // the model, for people
	figure Figure

	classes bool // labels are classes: at least two, and at most so many
	most    int
	counts  bool // targets are not negative, and not all zero
	// units are those of learning, in which targets and scores have a size of about one; nil for those of the file.
	units func(train *dataset.Set, intercept bool) units

	scores func(classes int) int // of a row
	// curvature is the largest second derivative of a row's loss by one of its k scores, or the mean over the classes
	// where all are as likely.
	curvature func(k int) float64
	// objective is the mean loss of rows x with labels y and k scores each, for p outer variables.
	objective func(l *loss, x rows.Matrix, y []float64, k, p int) (*model.Loss, error)

	value func(l *loss, scores []float64, y float64) float64 // the loss of a row
	// bend is the first two derivatives of value by the score, where there is one.
	bend       func(l *loss, score, y float64) (slope, curvature float64)
	mean, link func(v float64) float64 // the value that a score predicts, and the score that predicts a value
	proba      func(dst, t []float64)  // overwrites dst by the probabilities of the classes; nil for none

	score Score // what its models are judged by

	// What is known of the rows at hand.
	delta   float64   // of Huber's loss, in the units of the targets that value gets
	weights []float64 // by which rows of the classes count in the loss; nil where all count alike
	offsets []float64 // are added to the scores of the classes before the largest is the prediction; nil for none
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

// Figure is the loss of t as people know it; t is one of [Tasks].
func (t Task) Figure() Figure { return t.entry().figure }

// Words are the model of t, for people; t is one of [Tasks].
func (t Task) Words() string { return t.entry().words }

// Odds says whether models of t have probabilities of classes; t is one of [Tasks].
func (t Task) Odds() bool { return t.entry().proba != nil }

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

// predict is the label that scores speak for: the index of a class, or a value.
func (l *loss) predict(t []float64) float64 {
	switch {
	case !l.classes:
		return l.mean(t[0])
	case len(t) == 1:
		if t[0] > l.cut() {
			return 1
		}
		return 0
	}
	k, most := 0, math.Inf(-1)
	for c, v := range t {
		if l.offsets != nil {
			v += l.offsets[c]
		}
		if v > most {
			k, most = c, v
		}
	}
	return float64(k)
}

// cut is the score beyond which a row is taken for the second of two classes.
func (l *loss) cut() float64 {
	if l.offsets == nil {
		return 0
	}
	return l.offsets[0] - l.offsets[1]
}

// judged are the losses and predictions of rows.
type judged struct {
	y         []float64 // class indices or values
	losses    []float64 // times weights
	predicted []float64 // class indices or values
	scores    []float64
	// counts are what rows count by, and weights are these times the weight of the class, which losses have; nil for 1.
	counts, weights []float64
}

// Judge returns the losses of rows with k scores each, one after the other, and the labels that the scores speak for. y
// are the labels: indices of classes, or numbers. t is one of [Tasks] without parameters: not huber.
func (t Task) Judge(scores, y []float64, k int) (losses, predicted []float64) {
	j := t.entry().judge(scores, y, nil, k)
	return j.losses, j.predicted
}

// judge computes losses and predictions from k scores of each row; y are class indices, or values as the scores are,
// and counts are what rows count by, nil where that is 1.
func (l *loss) judge(scores, y, counts []float64, k int) *judged {
	j := &judged{y: y, losses: make([]float64, len(y)), predicted: make([]float64, len(y)), scores: scores,
		counts: counts, weights: l.rowWeights(y, counts)}
	for i, v := range y {
		t := scores[i*k : (i+1)*k]
		j.losses[i], j.predicted[i] = l.value(l, t, v), l.predict(t)
		if j.weights != nil {
			j.losses[i] *= j.weights[i]
		}
	}
	return j
}

// rowWeights are what rows with labels y and counts count by in the loss; nil where all count alike.
func (l *loss) rowWeights(y, counts []float64) []float64 {
	if l.weights == nil {
		return counts
	}
	w := make([]float64, len(y))
	for i, c := range y {
		if w[i] = l.weights[int(c)]; counts != nil {
			w[i] *= counts[i]
		}
	}
	return w
}

// massOf is the sum of the weights of n rows.
func massOf(w []float64, n int) float64 {
	if w == nil {
		return float64(n)
	}
	return floats.Sum(w)
}

// metrics are the figures of judged rows, in which rows count by their weights.
func (l *loss) metrics(j *judged) *Metrics {
	m := &Metrics{N: len(j.y), Accuracy: math.NaN(), RMSE: math.NaN()}
	n, right, squares := massOf(j.counts, m.N), 0.0, 0.0
	for i := range j.y {
		w := 1.0
		if j.counts != nil {
			w = j.counts[i]
		}
		e := j.predicted[i] - j.y[i]
		squares += w * e * e / n
		if e == 0 {
			right += w
		}
	}
	m.Loss = floats.Sum(j.losses) / massOf(j.weights, m.N)
	if l.classes {
		m.Accuracy = right / n
	} else {
		m.RMSE = math.Sqrt(squares)
	}
	return m
}
