package tune

import (
	"fmt"
	"math"
	"strings"

	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/numbers"
)

// NothingBetter is the sentence of a result whose BaselineWon.
const NothingBetter = "No strengths were found that do better on the validation rows than the baseline, which is kept."

// words are the sentences of a result: what was learned.
func (f *fit) words(r *Result) []string {
	w := []string{}
	say := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	switch {
	case r.Interrupted:
		say("Interrupted: this is the best point found until then.")
	case r.TimedOut:
		say("The time budget of %v was used: this is the best point found until then.", f.o.MaxTime)
	}
	kind := r.Model.Penalty.Kind
	held := "a held-out quarter of the validation rows"
	if f.main.folds() > 0 {
		held = "rows held out of the cross-validation"
	}
	if m, ok := f.o.Method.entry(); ok && f.o.Reg == AutoReg {
		for _, k := range Compared() {
			if n := f.strengths(k); n > 1 && !m.Fits(n) {
				say("%s was not tried: %s searches for at most %d.", capital(k.entry().words), m.Name, m.Longest)
			}
		}
	}
	chosen := r.Chosen()
	switch {
	case f.o.Reg != AutoReg && f.choosesSpread(kind) && kind != Shared:
		w = append(w, f.spreadWords(r, held)...)
	case f.o.Reg != AutoReg:
		if kind != f.base() && !r.BaselineWon {
			say("%s, as asked for, without a comparison on held-out rows.", capital(f.describe(kind)))
		}
	case chosen == nil && len(f.kinds()) > 1:
		why := "there are too few validation rows to compare kinds of strengths"
		if f.compareErr != nil {
			why = "kinds of strengths could not be compared: the models of some could not be fitted accurately enough"
		} else if f.noTimeToCompare || r.Interrupted {
			why = "there was no time to compare kinds of strengths"
		}
		say("One strength for all, because %s.", why)
	case chosen == nil:
	case chosen.Reg == Shared:
		say("%s: one is kept (compared on %s).", capital(f.otherKinds(r.Candidates, *chosen)), held)
	case f.choosesSpread(kind):
		w = append(w, f.spreadWords(r, held)...)
	default:
		gain, least, most := chosen.better()
		say("%s is better than one for all by more than chance: the loss is %s smaller on %s (%s to %s).",
			capital(f.describe(chosen.Reg)), gain, held, least, most)
	}
	if f.failedEarly && !r.Interrupted && !r.TimedOut {
		say("Learning %s. What is given is the best point until then; standardised features (--scale on) or a narrower "+
			"--box may help.", r.Reason)
	}
	if r.BaselineWon && !r.Interrupted && !r.TimedOut && !(f.chosen.evaluations == 1) {
		w = append(w, NothingBetter)
	}
	if kind.Sparse() {
		say("%s", f.zeros(r))
	}
	return append(append(w, f.atBounds(r)...), f.unscaled()...)
}

// spreadWords say which spread held-out rows chose, and why.
func (f *fit) spreadWords(r *Result, held string) []string {
	t, n := f.chosen, f.strengths(f.chosen.kind)
	near := "as far from each other as they like"
	if t.spread < wholeBox {
		near = fmt.Sprintf("within a factor of %s of the best shared one", numbers.Digits(math.Exp(t.spread), 2))
	}
	of := fmt.Sprintf("There are more strengths (%d) than %s (%d)", n,
		map[bool]string{true: "rows", false: "validation rows"}[f.main.folds() > 0], r.NVal)
	if t.losses == nil {
		why := "there are too few rows to choose how far"
		if f.compareErr != nil {
			why = "the models of wider ones could not be fitted accurately enough"
		} else if f.noTimeToCompare || r.Interrupted {
			why = "there was no time to choose how far"
		}
		return []string{fmt.Sprintf("%s. They stay %s, because %s.", of, near, why)}
	}
	shared := f.compared[0]
	if t.evaluations == 1 {
		return []string{fmt.Sprintf("%s, and they fit those rows rather than the problem: on %s no step from the best "+
			"shared strength lowers the loss. The model is the baseline; --spread off learns them all the same.", of, held)}
	}
	c := Candidate{Loss: mean(t.losses)}
	c.Gap, c.GapError = pairedGap(t.losses, shared.losses)
	change, low, high := c.Change()
	verdict := fmt.Sprintf("within chance of one for all (%s; anything from %s to %s fits these rows): --reg shared may "+
		"do as well", betterOrWorse(change), betterOrWorse(low), betterOrWorse(high))
	if high < 0 {
		gain, least, most := c.better()
		verdict = fmt.Sprintf("better than one for all by more than chance (the loss is %s smaller, %s to %s)", gain, least,
			most)
	}
	w := []string{fmt.Sprintf("%s: they stay %s. On %s they are %s.", of, near, held, verdict)}
	if t.evaluations > 0 {
		w = append(w, fmt.Sprintf("Learning ends at evaluation %d, where the loss on held-out rows was lowest.",
			t.evaluations))
	}
	return w
}

// otherKinds says how the kinds that were not chosen do beside one strength for all.
func (f *fit) otherKinds(all []Candidate, chosen Candidate) string {
	var parts []string
	for _, c := range all {
		if c.Reg == chosen.Reg {
			continue
		}
		change, low, high := c.Change()
		if low > 0 {
			text := "larger by " + numbers.Digits(100*change, 2) + "%"
			if change >= 1 {
				text = numbers.Digits(1+change, 2) + " times as large"
			}
			parts = append(parts, fmt.Sprintf("%s is worse than one for all by more than chance (the loss is %s)",
				f.describe(c.Reg), text))
			continue
		}
		if most := max(math.Abs(low), math.Abs(high)); most < .01 {
			parts = append(parts, f.describe(c.Reg)+" is as good as one for all")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s is within chance of one for all (%s; anything from %s to %s fits these rows)",
			f.describe(c.Reg), betterOrWorse(change), betterOrWorse(low), betterOrWorse(high)))
	}
	return strings.Join(parts, ", and ")
}

// betterOrWorse is a change of a loss in words.
func betterOrWorse(change float64) string {
	if change < 0 {
		return numbers.Digits(-100*change, 2) + "% better"
	}
	return numbers.Digits(100*change, 2) + "% worse"
}

// capital starts a sentence.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// unscaled notes features of such different sizes that what a strength means to one it does not mean to another.
func (f *fit) unscaled() []string {
	if isText(f.schema) {
		return nil
	}
	loss, err := f.objective(f.main.train, 0)
	if err != nil || inner.NewNorm(loss).Euclidean() {
		return nil
	}
	return []string{"Some features are thousands of times larger than others, so that a strength that is right for some " +
		"is nothing or all for others: standardise them (--scale on)."}
}

// atBounds notes a single strength at an end of the box.
func (f *fit) atBounds(r *Result) []string {
	if len(r.X) != 1 || f.partGrid || r.Interrupted || r.TimedOut {
		return nil // better points may not have been tried
	}
	if n, _ := r.Model.NonZero(); n == 0 {
		return nil // nothing is there to regularise
	}
	x, b := r.X[0], f.o.Box
	switch {
	case x <= b.Lower:
		return []string{"These rows need no regularisation."}
	case x >= b.Upper:
		return []string{"The strongest regularisation that was tried is the best: the columns may tell nothing about the " +
			"label."}
	}
	return nil
}

// Chosen is the kind of strengths that held-out rows chose, nil if none were compared.
func (r *Result) Chosen() *Candidate {
	for i := range r.Candidates {
		if r.Candidates[i].Chosen {
			return &r.Candidates[i]
		}
	}
	return nil
}

// Change is the change of the loss from one shared strength to c on held-out rows, in shares of the former, and the
// ends of its 95% interval. A loss is not negative: nothing is below −1.
func (c Candidate) Change() (change, low, high float64) {
	one := c.Loss - c.Gap
	return c.Gap / one, max((c.Gap-1.96*c.GapError)/one, -1), (c.Gap + 1.96*c.GapError) / one
}

// better says how much smaller the loss of c is than that with one strength for all.
func (c Candidate) better() (gain, least, most string) {
	change, low, high := c.Change()
	gain, least, most = numbers.Estimate(-100*change, -100*high, -100*low)
	return gain + "%", least, most + "%"
}
