package tune

import (
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/nearest"
)

// ClassWeights are what rows count by for their class.
type ClassWeights struct {
	How string `json:"how"` // "balanced", "given" or "learned"
	// Weights are those of the classes, in their order; their mean over the training rows is 1.
	Weights []float64 `json:"weights"`
}

// How weights of classes came about, and what [Options].ClassWeights may say beside weights.
const (
	noWeights       = "none"
	balancedWeights = "balanced"
	learnedWeights  = "learned"
	givenWeights    = "given"
)

// checkByClass reports text that is no list of numbers of classes, unless it is one of words.
func checkByClass(option, text string, words ...string) error {
	if text == "" || slices.Contains(words, text) {
		return nil
	}
	if _, err := byClass(text); err != nil {
		reason := err.Error()
		if !strings.Contains(text, "=") {
			reason = "write CLASS=NUMBER,..., such as ill=10"
			if words != nil {
				reason = "write " + strings.Join(words, ", ") + " or CLASS=NUMBER,..., such as ill=10" + nearest.Hint(text, words)
			}
		}
		return &OptionError{option, text, reason}
	}
	return nil
}

// byClass reads numbers above zero of classes: "ill=10,healthy=1". A name with a comma is in quotes, as in CSV.
func byClass(text string) (map[string]float64, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.LazyQuotes, r.TrimLeadingSpace = true, true
	parts, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("write CLASS=NUMBER,...")
	}
	out := make(map[string]float64)
	for _, part := range parts {
		at := strings.LastIndex(part, "=")
		if at < 0 {
			return nil, fmt.Errorf("%q: write CLASS=NUMBER", part)
		}
		name, number := strings.TrimSpace(part[:at]), strings.TrimSpace(part[at+1:])
		v, err := strconv.ParseFloat(number, 64)
		if err != nil || !(v > 0) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%q: give a number above zero", part)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("the class %q stands there twice", name)
		}
		out[name] = v
	}
	return out, nil
}

// numbersOf are the numbers of classes that text gives, 1 for those that it does not name.
func numbersOf(option, text string, classes []string) ([]float64, error) {
	given, err := byClass(text)
	if err != nil {
		return nil, &OptionError{option, text, err.Error()}
	}
	out := slices.Repeat([]float64{1}, len(classes))
	for name, v := range given {
		c := slices.Index(classes, name)
		if c < 0 {
			return nil, &OptionError{option, text, fmt.Sprintf("there is no class %q: there are %s%s", name,
				strings.Join(classes, ", "), nearest.Hint(name, classes))}
		}
		out[c] = v
	}
	return out, nil
}

// weighClasses finds what options say of classes: weights in the loss, and costs.
func (f *fit) weighClasses(train *dataset.Set) error {
	how := f.o.ClassWeights
	for _, o := range [][2]string{{"class-weights", how}, {"cost", f.o.Costs}} {
		if o[1] != "" && o[1] != noWeights && !f.loss.classes {
			return &OptionError{o[0], o[1], fmt.Sprintf("a %s model has no classes", f.loss.task)}
		}
	}
	masses := train.WeighClasses()
	for c, m := range masses {
		if m == 0 {
			return &dataset.Error{File: train.Source, Err: fmt.Errorf("all training rows of the class %q have the weight 0",
				f.classes[c]), Hint: "give some of them a weight, or leave them out"}
		}
	}
	switch how {
	case "", noWeights:
	case learnedWeights:
		if f.o.Reg.Sparse() {
			return &OptionError{"class-weights", how, fmt.Sprintf("with %s give weights, or balanced", f.o.Reg)}
		}
		f.classWeights = &ClassWeights{How: how, Weights: slices.Repeat([]float64{1}, len(f.classes))}
	case balancedWeights:
		w := make([]float64, len(masses))
		for c, m := range masses {
			w[c] = train.Mass() / m
		}
		f.classWeights = &ClassWeights{How: how, Weights: w}
	default:
		w, err := numbersOf("class-weights", how, f.classes)
		if err != nil {
			return err
		}
		f.classWeights = &ClassWeights{How: givenWeights, Weights: w}
	}
	if f.classWeights != nil {
		f.classWeights.normalise(masses)
	}
	if f.o.Costs != "" {
		if f.loss.proba == nil {
			return &OptionError{"cost", f.o.Costs, fmt.Sprintf("a %s model has no probabilities to weigh costs by: choose %s",
				f.loss.task, anyOf(func(l *loss) bool { return l.proba != nil && l.most >= len(f.classes) }))}
		}
		var err error
		if f.costs, err = numbersOf("cost", f.o.Costs, f.classes); err != nil {
			return err
		}
	}
	f.loss.classWeights(f.classWeights, f.costs)
	return nil
}

// normalise divides the weights by their mean over rows, of which each class has so many.
func (w *ClassWeights) normalise(masses []float64) {
	floats.Scale(floats.Sum(masses)/floats.Dot(w.Weights, masses), w.Weights)
}

// learned says whether w is good for a validation loss in which rows do not count by it.
func (w *ClassWeights) learned() bool { return w != nil && w.How == learnedWeights }

// classWeights makes rows count by w in the loss, unless w is learned, and predictions be those with the least expected
// cost: of a row that is of class c with the probability p_c and is not taken for it, costs[c]. Probabilities of rows
// that count by weights are divided by these.
func (l *loss) classWeights(w *ClassWeights, costs []float64) {
	if w != nil && !w.learned() {
		l.weights = w.Weights
	}
	if costs == nil {
		return
	}
	l.offsets = make([]float64, len(costs))
	for c, cost := range costs {
		l.offsets[c] = math.Log(cost)
		if l.weights != nil {
			l.offsets[c] -= math.Log(l.weights[c])
		}
	}
}
