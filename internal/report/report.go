// Package report writes the result of a tuning run, and of a benchmark, as one
// HTML file that needs nothing else: style and figures are inside, and opening it
// touches no network. Pages have no scripts.
package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/bilevel-go/bilevel/internal/palette"
)

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
	// Grid is the search over one shared strength that gave the baseline, in any
	// order. Its best point is where the bars of the learned strengths start.
	Grid []GridPoint
	// Loss names the loss that the trace and the grid show and that is Row.Validation. Empty means "validation
	// loss", or "cross-validation loss" where predictions are out of fold.
	Loss string
	// Baseline and Result are compared value by value.
	Baseline, Result Row
	// Metric names Row.Score and may say where it was measured, as in "test accuracy"; empty means no score.
	// Share says that it is a fraction of 1, of which more is better; of another less is.
	Metric string
	Share  bool
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

// GridPoint is the validation loss at one shared strength, X being in the
// parametrisation of Strength.X.
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

//go:embed report.html.tmpl
var page string

//go:embed style.css
var style string

var pageTemplate = template.Must(template.New("report").Parse(page))

// view is what the template reads: every number formatted, every figure drawn.
type view struct {
	Style           template.CSS
	Title, Subtitle string
	Comparison      *comparison
	Words           []string
	Convergence     []*figure
	Grid            *figure
	Strengths       *strengths
	Confusion       *confusion
	Residuals       *figure
	Facts           []Fact
}

// Write renders d to w as one HTML document. It returns an error, before
// writing anything, when the shapes in d contradict each other.
func Write(w io.Writer, d Data) error {
	if err := d.check(); err != nil {
		return err
	}
	kind := parametrisationOf(d.Strengths)
	loss := d.lossName()
	v := view{
		Style:      template.CSS(palette.CSS() + style),
		Title:      clean(d.Title),
		Subtitle:   clean(d.Subtitle),
		Comparison: compare(d.Baseline, d.Result, loss, d.Metric, d.Share),
		Grid:       drawGrid(d.Grid, d.Result, loss, kind),
		Strengths:  viewStrengths(d.Strengths, d.Grid, d.StrengthNote, kind),
		Confusion:  viewConfusion(d.Confusion),
		Residuals:  drawResiduals(d.Residuals),
	}
	for _, words := range d.Words {
		v.Words = append(v.Words, clean(words))
	}
	for _, f := range d.Facts {
		v.Facts = append(v.Facts, Fact{clean(f.Name), clean(f.Value)})
	}
	if f := drawLoss(d.Trace, d.Baseline, loss); f != nil {
		v.Convergence = append(v.Convergence, f)
	}
	if f := drawGradNorm(d.Trace, loss); f != nil {
		v.Convergence = append(v.Convergence, f)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// lossName is Loss, or what it is when it is empty.
func (d Data) lossName() string {
	on := ""
	switch {
	case clean(d.Loss) != "":
		return clean(d.Loss)
	case d.Confusion != nil:
		on = d.Confusion.On
	case d.Residuals != nil:
		on = d.Residuals.On
	}
	if on == "out-of-fold" {
		return "cross-validation loss"
	}
	return "validation loss"
}

func (d Data) check() error {
	if c := d.Confusion; c != nil {
		if len(c.Counts) != len(c.Classes) {
			return fmt.Errorf("report: confusion matrix has %d rows for %d classes", len(c.Counts), len(c.Classes))
		}
		for i, row := range c.Counts {
			if len(row) != len(c.Classes) {
				return fmt.Errorf("report: row %d of the confusion matrix has %d counts for %d classes", i, len(row),
					len(c.Classes))
			}
			for _, n := range row {
				if n < 0 {
					return fmt.Errorf("report: row %d of the confusion matrix has a negative count", i)
				}
			}
		}
	}
	if r := d.Residuals; r != nil && len(r.Observed) != len(r.Predicted) {
		return fmt.Errorf("report: %d observed values for %d predicted ones", len(r.Observed), len(r.Predicted))
	}
	return nil
}
