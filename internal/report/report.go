// Package report writes the result of a tuning run as one HTML file that needs
// nothing else: style and figures are inside, there are no scripts, and opening
// it touches no network.
package report

import "io"

// Data is what a report shows. Sections without data are left out, so every
// field but Title may be empty.
type Data struct {
	Title    string
	Subtitle string
	// Facts say how the result was obtained: data, model, method, seed, version.
	Facts []Fact
	// Words are sentences for the reader, one paragraph each.
	Words []string
	// Trace is the course of the run, in the order of recording.
	Trace []TracePoint
	// Grid is the search over one shared strength that gave the baseline.
	Grid []GridPoint
	// Baseline and Result are compared value by value.
	Baseline, Result Row
	// Metric names Row.Score: "accuracy", a fraction of 1, or "RMSE". It may say
	// where it was measured, as in "test accuracy". Empty means no score.
	Metric string
	// Strengths are the learned strengths, in any order.
	Strengths []Strength
	// StrengthNote explains what one strength belongs to and how it acts.
	StrengthNote string
	// Confusion is for classifiers, Residuals for regression; nil leaves it out.
	Confusion *Confusion
	Residuals *Residuals
}

// Fact is one line of the table of facts.
type Fact struct {
	Name, Value string
}

// TracePoint is one record of a run. Values that were not measured are NaN.
type TracePoint struct {
	Step     int64
	Seconds  float64
	Value    float64 // validation loss h(x)
	GradNorm float64 // norm of the projected hypergradient
}

// GridPoint is the validation loss at one shared strength.
type GridPoint struct {
	X, Value float64
}

// Row is one of the two results compared. Unknown numbers are NaN.
type Row struct {
	Name       string
	Validation float64 // loss on the validation rows
	Test       float64 // loss on the test rows
	Score      float64 // Data.Metric
}

// Strength is one regularisation strength: Value = e^X in the exponential
// parametrisation, Value = X in the linear one.
type Strength struct {
	Name  string
	X     float64
	Value float64
}

// Confusion counts predictions: Counts[i][j] rows of class i were taken for
// class j. On names the rows counted, for example "test".
type Confusion struct {
	On      string
	Classes []string
	Counts  [][]int
}

// Residuals are observed and predicted values of the rows named by On, in the
// same order.
type Residuals struct {
	On        string
	Observed  []float64
	Predicted []float64
}

// Write renders d to w as one HTML document. It returns an error, before
// writing anything, when the shapes in d contradict each other.
func Write(w io.Writer, d Data) error {
	_, err := io.WriteString(w, "<!DOCTYPE html><title>not yet</title>\n")
	return err
}
