package tune

import (
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// This file has what other jobs than Fit need to fit linear models of the same tasks, but for those with parameters
// (huber): their losses, what they say about rows, and their model file.

// Scores is how many scores a row has with so many classes, 0 for values.
func (t Task) Scores(classes int) int { return t.entry().scores(classes) }

// Objective is the mean loss of the rows of x, whose labels y are indices of classes or values, with p outer variables.
func (t Task) Objective(x rows.Matrix, y []float64, classes, p int) (*model.Loss, error) {
	l := t.entry()
	return l.objective(l, x, y, l.scores(classes), p)
}

// Said is what the scores of rows, one row after the other, say about the labels y. Scores of values are in the unit of
// y.
func (t Task) Said(scores, y []float64, classes int) Judged {
	return t.entry().judge(scores, y, nil, t.Scores(classes)).said(classes)
}

// AlwaysSaid is what the shares of the classes, or the mean, of the labels of training rows say about the labels y.
func (t Task) AlwaysSaid(labels, y []float64, classes int) Judged {
	constant := t.entry().constant(labels, nil, classes)
	return t.Said(slices.Repeat(constant, len(y)), y, classes)
}

// Fitted is a linear model as a solver leaves it.
type Fitted struct {
	Task      Task
	Train     *dataset.Set // whose columns, classes and schema the model has
	Scaler    *dataset.Scaler
	Intercept bool // the last feature is one everywhere, and has no penalty
	// Shift and Unit are of the target: a score s says Shift + Unit·s. For classes they are 0 and 1.
	Shift, Unit float64
	Z           []float64    // laid out as Task.Objective lays it out
	Layout      model.Layout // of Z
	// Log is the logarithm of the one ridge strength, and Box its bounds.
	Log float64
	Box Box
}

// Model is the model as it is stored, all but how it was obtained.
func (l Fitted) Model() *Model {
	s := l.Train
	m := &Model{Format: modelFormat, Version: modelVersion, Task: l.Task, Classes: s.Classes, Features: s.Features,
		Schema: s.Schema, Scaler: l.Scaler, HasIntercept: l.Intercept,
		Penalty: Penalty{Kind: Shared, Param: Exp, Box: l.Box, Strengths: []Strength{{"all", l.Log, math.Exp(l.Log)}}}}
	if isText(s.Schema) {
		m.Features = nil
	}
	_, d := s.Dims()
	for c := range l.Layout.Classes {
		w := Coefficients{Class: l.Task.entry().class(s.Classes, c), Weights: make([]float64, d)}
		for j := range d {
			w.Weights[j] = l.Unit * l.Z[l.Layout.Index(c, j)]
		}
		if l.Intercept {
			w.Intercept = l.Shift + l.Unit*l.Z[l.Layout.Index(c, d)]
		}
		m.Coefficients = append(m.Coefficients, w)
	}
	return m
}

// Part is the weight of a source of training rows in a model of a mixture.
type Part struct {
	Name   string  `json:"name"`
	Rows   int     `json:"rows"`
	Weight float64 `json:"weight"` // of the mean loss of its rows; all weights add up to one
}
