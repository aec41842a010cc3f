package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/tune"
)

// dataLine is the data in one line.
func dataLine(r *tune.Result, name string) string {
	var rows string
	if k := r.Model.Obtained.Folds; k > 0 {
		rows = fmt.Sprintf("%d rows in %d folds", r.NTrain, k)
	} else {
		rows = fmt.Sprintf("%d training and %d validation rows", r.NTrain, r.NVal)
	}
	if r.NTest > 0 {
		rows += fmt.Sprintf(", %d test rows", r.NTest)
	}
	label := "a number as label"
	if k := len(r.Model.Classes); k > 0 {
		label = fmt.Sprintf("%d classes", k)
	}
	return fmt.Sprintf("%s: %s × %d features, %s", name, rows, r.Model.Dim(), label)
}

// modelLine is the model in one line.
func modelLine(r *tune.Result) string {
	m := r.Model
	parts := []string{string(m.Task), m.Penalty.Words(),
		fmt.Sprintf("%s with x in [%g, %g]", m.Penalty.Param.Formula(), m.Penalty.Box.Lower, m.Penalty.Box.Upper)}
	if m.Scaler != nil {
		parts = append(parts, "features standardised")
	}
	if m.HasIntercept {
		parts = append(parts, "intercept")
	}
	return strings.Join(parts, ", ")
}

// count is n things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// lossName is what h is called.
func lossName(r *tune.Result) string {
	if r.Model.Obtained.Folds > 0 {
		return "cross-validation loss"
	}
	return "validation loss"
}

// summary is what is printed without --json.
func summary(r *tune.Result, name string, files *outputs) string {
	var b strings.Builder
	fmt.Fprintf(&b, "data   %s\nmodel  %s\n\n", dataLine(r, name), modelLine(r))
	metric := r.Model.Task.Score()
	score := func(m *tune.Metrics) string { return metric.Text(m, 5) }
	table := [][]string{
		{"", lossName(r), metric.Name},
		{baselineName(r), loss(r.BaselineValue), score(r.BaselineVal)},
		{resultName(r), loss(r.Value), score(r.Val)},
	}
	if r.Test != nil {
		for i, cells := range [][]string{
			{"test loss", "test " + metric.Name},
			{loss(r.BaselineTest.Loss), score(r.BaselineTest)},
			{loss(r.Test.Loss), score(r.Test)},
		} {
			table[i] = append(table[i], cells...)
		}
	}
	writeTable(&b, table)
	b.WriteString("\n")
	for _, w := range r.Words {
		fmt.Fprintln(&b, w)
	}
	fmt.Fprintf(&b, "Method %s, %s in %.2f s: %s.\n", r.Model.Obtained.Method, count(int(r.Steps), "step"), r.Seconds,
		r.Reason)
	fmt.Fprintf(&b, "\nwrote %s\n      %s\n      %s\n", files.Model, files.Trace, files.Report)
	return b.String()
}

func baselineName(r *tune.Result) string {
	return fmt.Sprintf("baseline: grid of one strength, best x = %.4g", r.BaselineX)
}

func resultName(r *tune.Result) string {
	if r.BaselineWon {
		return "bilevel: nothing better, the baseline"
	}
	return "bilevel: " + r.Model.Penalty.Words()
}

func loss(v float64) string { return fmt.Sprintf("%.6g", v) }

// writeTable aligns the first column left and the others right.
func writeTable(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for j, c := range r {
			width[j] = max(width[j], utf8.RuneCountInString(c))
		}
	}
	for _, r := range rows {
		for j, c := range r {
			pad := strings.Repeat(" ", width[j]-utf8.RuneCountInString(c))
			if j == 0 {
				b.WriteString(c + pad)
			} else {
				b.WriteString("  " + pad + c)
			}
		}
		b.WriteString("\n")
	}
}

// reportData is what the report shows.
func reportData(r *tune.Result, name string) report.Data {
	m, ob := r.Model, r.Model.Obtained
	d := report.Data{
		Title:    "bilevel tune: " + name,
		Loss:     lossName(r),
		Subtitle: modelLine(r),
		Facts: []report.Fact{
			{Name: "data", Value: dataLine(r, name)},
			{Name: "model", Value: modelLine(r)},
			{Name: "method", Value: fmt.Sprintf("%s, %d steps, %s", ob.Method, r.Steps, r.Reason)},
			{Name: "time", Value: fmt.Sprintf("%.2f s, %d samples visited", r.Seconds, r.SamplesVisited)},
			{Name: "projected gradient norm", Value: fmt.Sprintf("%.3g", r.GradNorm)},
			{Name: "seed", Value: fmt.Sprint(ob.Seed)},
			{Name: "start", Value: ob.Start},
			{Name: "version", Value: ob.Library},
		},
		Words:    r.Words,
		Baseline: report.Row{Name: baselineName(r), Validation: r.BaselineValue, Test: math.NaN(), Score: math.NaN()},
		Result:   report.Row{Name: resultName(r), Validation: r.Value, Test: math.NaN(), Score: math.NaN()},
	}
	for _, p := range r.Trace {
		d.Trace = append(d.Trace, report.TracePoint{Step: p.Step, Seconds: p.Seconds, Value: p.Value, GradNorm: p.GradNorm})
	}
	for _, p := range r.Grid {
		d.Grid = append(d.Grid, report.GridPoint{X: p.X, Value: p.Value})
	}
	for _, s := range m.Penalty.Strengths {
		d.Strengths = append(d.Strengths, report.Strength{Name: s.Name, X: s.X, Value: s.Value})
	}
	score, on := m.Task.Score(), "validation"
	baseline, result := r.BaselineVal, r.Val
	if r.Test != nil {
		on, baseline, result = "test", r.BaselineTest, r.Test
		d.Baseline.Test, d.Result.Test = baseline.Loss, result.Loss
	}
	d.Metric, d.Share = on+" "+score.Name, score.Share
	d.Baseline.Score, d.Result.Score = score.Of(baseline), score.Of(result)
	d.StrengthNote = m.Penalty.Explain()
	if c := r.Confusion; c != nil {
		d.Confusion = &report.Confusion{On: c.On, Classes: c.Classes, Counts: c.Counts}
	}
	if c := r.Residuals; c != nil {
		d.Residuals = &report.Residuals{On: c.On, Observed: c.Observed, Predicted: c.Predicted}
	}
	return d
}
