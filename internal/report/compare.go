package report

import (
	"math"
	"strings"
)

// comparison is the headline: baseline and result under each other, one column
// for each measure.
type comparison struct {
	Measures []string
	Rows     []comparedRow
	Change   []string // of the result against the baseline
}

type comparedRow struct {
	Name   string
	Values []comparedValue
}

type comparedValue struct {
	Text   string
	Better bool
}

// compare returns nil when neither row has a number.
func compare(baseline, result Row, loss, metric string, share bool) *comparison {
	c := &comparison{Rows: []comparedRow{{Name: rowName(baseline, "baseline")}, {Name: rowName(result, "result")}}}
	add := func(measure string, a, b float64, share bool) {
		values := [2]comparedValue{{Text: number(a, 5)}, {Text: number(b, 5)}}
		change := relativeChange(a, b)
		if share {
			values = [2]comparedValue{{Text: percent(a, 2)}, {Text: percent(b, 2)}}
			change = pointsChange(a, b)
		}
		// Numbers that print alike are not told apart.
		if known := !math.IsNaN(a) && !math.IsNaN(b); known && values[0].Text != values[1].Text {
			winner := 0
			if (b > a) == share {
				winner = 1
			}
			values[winner].Better = true
		}
		c.Measures = append(c.Measures, measure)
		c.Change = append(c.Change, change)
		for i := range c.Rows {
			c.Rows[i].Values = append(c.Rows[i].Values, values[i])
		}
	}
	add(sentence(loss), baseline.Validation, result.Validation, false)
	if !math.IsNaN(baseline.Test) || !math.IsNaN(result.Test) {
		add("Test loss", baseline.Test, result.Test, false)
	}
	if metric = clean(metric); metric != "" {
		add(sentence(metric), baseline.Score, result.Score, share)
	}
	for _, row := range c.Rows {
		for _, v := range row.Values {
			if v.Text != unknown {
				return c
			}
		}
	}
	return nil
}

func relativeChange(a, b float64) string {
	change := (b - a) / math.Abs(a)
	if !drawable(change) {
		return unknown
	}
	return plus(percent(change, 2))
}

func pointsChange(a, b float64) string {
	if !drawable(b - a) {
		return unknown
	}
	return plus(strings.TrimSuffix(percent(b-a, 2), "%")) + " points"
}

// plus writes the sign of a change, and none of a change that rounds to zero.
func plus(s string) string {
	magnitude := strings.TrimPrefix(s, minus)
	if strings.Trim(magnitude, "0.%") == "" {
		return magnitude
	}
	if magnitude == s {
		return "+" + s
	}
	return s
}

func rowName(r Row, otherwise string) string {
	if strings.TrimSpace(r.Name) == "" {
		return otherwise
	}
	return name(r.Name)
}
