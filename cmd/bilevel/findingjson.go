package main

import (
	"slices"

	"github.com/bilevel-go/bilevel/internal/judge"
	"github.com/bilevel-go/bilevel/internal/report"
)

// estimateJSON is a value with its 95% interval.
type estimateJSON struct {
	Value *float64 `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

func estimated(e judge.Estimate) estimateJSON {
	return estimateJSON{known(e.Value), known(e.Low), known(e.High)}
}

// unseenJSON is how good the model is on unseen rows.
type unseenJSON struct {
	On             string        `json:"on"` // test, held-out, validation or out-of-fold
	Rows           int           `json:"rows"`
	ChoseStrengths bool          `json:"chose_strengths"`
	Verdict        judge.Verdict `json:"verdict"`
	// Change is the relative change of the first figure from the baseline to the model.
	Change   estimateJSON `json:"change"`
	Culprits []string     `json:"culprits"`

	Figures []figureJSON `json:"figures"`
	Recall  []recallJSON `json:"recall"`
}

type figureJSON struct {
	Name     string       `json:"name"`
	Trivial  estimateJSON `json:"trivial"`
	Baseline estimateJSON `json:"baseline"`
	Model    estimateJSON `json:"model"`
	Change   estimateJSON `json:"change"`
}

type recallJSON struct {
	Class string `json:"class"`
	Rows  int    `json:"rows"`
	estimateJSON
}

// effectJSON is what a step of a column changes: the value, or the probability of the class.
type effectJSON struct {
	Column string `json:"column"`
	From   string `json:"from"`
	To     string `json:"to"`
	Class  string `json:"class,omitempty"`
	estimateJSON
}

// lookJSON is a row to look at.
type lookJSON struct {
	Row       string  `json:"row"`
	Label     any     `json:"label"`
	Predicted any     `json:"predicted"`
	Loss      float64 `json:"loss"`
}

// sentences are those of the summary and the report, in order.
func (f *finding) sentences() []string {
	all := slices.Clone(f.about)
	if f.judged.Verdict == judge.Worse {
		all = append(all, f.verdict(), f.goodness())
	} else {
		all = append(all, f.goodness(), f.verdict())
	}
	if o := f.optimism(); o != "" {
		all = append(all, o)
	}
	if len(f.effects.Columns) > 0 {
		all = append(all, f.matters())
	}
	all = append(append(all, f.Words...), f.advice())
	for i, s := range all {
		all[i] = report.Bare(s)
	}
	return all
}

func (f *finding) unseenJSON() unseenJSON {
	j := f.judged
	u := unseenJSON{On: j.On, Rows: j.Rows, ChoseStrengths: j.ChoseStrengths, Verdict: j.Verdict,
		Change: estimated(j.Change), Culprits: []string{}, Figures: []figureJSON{}, Recall: []recallJSON{}}
	for _, i := range j.Culprits {
		u.Culprits = append(u.Culprits, f.rowName(i))
	}
	for _, g := range j.Figures {
		u.Figures = append(u.Figures, figureJSON{g.Key, estimated(g.Trivial), estimated(g.Baseline), estimated(g.Model),
			estimated(g.Change)})
	}
	for _, r := range j.Recalls {
		u.Recall = append(u.Recall, recallJSON{r.Class, r.Rows, estimated(r.Model)})
	}
	return u
}

func (f *finding) effectsJSON() []effectJSON {
	out := []effectJSON{}
	for _, e := range f.effects.Columns {
		out = append(out, effectJSON{e.Column, e.From, e.To, e.Class, estimated(e.Estimate)})
	}
	return out
}

func (f *finding) lookJSON() []lookJSON {
	out := []lookJSON{}
	u := f.Unseen
	for _, i := range f.furthest() {
		l := lookJSON{Row: f.rowName(i), Label: u.Y[i], Predicted: u.Model.Predicted[i], Loss: u.Model.Losses[i]}
		if k := f.classes(); k != nil {
			l.Label, l.Predicted = k[int(u.Y[i])], k[int(u.Model.Predicted[i])]
		}
		out = append(out, l)
	}
	return out
}
