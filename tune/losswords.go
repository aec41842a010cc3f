package tune

import (
	"fmt"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel/internal/numbers"
)

// lossWords say what the loss and the predictions of a model depend on beside rows and strengths.
func (f *fit) lossWords(m *Model) (w []string) {
	say := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	byClass := func(v []float64, number func(float64) string) string {
		const most = 6
		var parts []string
		for c, x := range v {
			if c == most && len(v) > most+1 {
				parts = append(parts, fmt.Sprintf("and so on for %d classes", len(v)))
				break
			}
			parts = append(parts, fmt.Sprintf("%s %s", m.Classes[c], number(x)))
		}
		return strings.Join(parts, ", ")
	}
	weight := func(v float64) string { return numbers.Digits(v, 3) }
	if c, ok := m.Cut(); ok {
		say("A row is taken for “%s” from a probability of %s on, because of the costs: %s.", m.Classes[1],
			numbers.Probability(c), byClass(m.Costs, numbers.Value))
	} else if m.Costs != nil {
		say("Predictions have the least expected cost: a row costs %s where it is taken for another class.",
			byClass(m.Costs, numbers.Value))
	}
	switch c := m.ClassWeights; {
	case c.learned():
		say("Training rows count by weights of their classes that were learned for the validation loss: %s.",
			byClass(c.Weights, weight))
	case c != nil:
		say("Rows count by the weights of their classes in all losses, and probabilities are those of such rows: %s.",
			byClass(c.Weights, weight))
	case f.o.ClassWeights == learnedWeights:
		say("No weights of classes were found that do better on the validation rows: all classes count alike.")
	}
	switch t := f.main.train; {
	case t.Weights == nil:
	case t.Schema != nil && t.Schema.Weight != "":
		say("Rows count by the column %s.", t.Schema.Weight)
	default:
		say("Rows count by the weights given.")
	}
	switch m.Task {
	case Huber:
		say("Residuals beyond %s count linearly: that is %g times their scale on training rows that a model of other rows "+
			"predicts.", numbers.Digits(m.Delta, 3), huberDelta)
	case SquaredHinge:
		say("The model has scores and no probabilities: a row is taken for “%s” where the score is above zero.", m.Classes[1])
	}
	return w
}

// Cut is the probability of the second of two classes from which a row is taken for it; ok is false for a model without
// costs or probabilities, and for more classes.
func (m *Model) Cut() (p float64, ok bool) {
	if m.Costs == nil || len(m.Classes) != 2 {
		return math.NaN(), false
	}
	return sigmoid(m.loss().cut()), true
}
