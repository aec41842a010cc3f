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
func (f *fit) words(r *Result, g *gridded, c *choice) []string {
	w := []string{}
	say := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	switch {
	case r.Interrupted:
		say("Interrupted: this is the best point found until then.")
	case r.TimedOut:
		say("The time budget of %v was used: this is the best point found until then.", f.o.MaxTime)
	}
	w = append(w, f.lossWords(r.Model)...)
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
	case f.o.Reg != AutoReg && len(f.kinds()) > 1:
		w = append(w, f.priorWords(r, c, held)...)
	case f.o.Reg != AutoReg:
		if kind != f.base() && !r.BaselineWon {
			say("%s, as asked for, without a comparison on held-out rows.", capital(f.describe(kind)))
		}
	case c.why != none:
		say("One strength for all, because %s.", map[reason]string{
			tooFewRows: "there are too few validation rows to compare kinds of strengths",
			noTime:     "there was no time to compare kinds of strengths",
			inaccurate: "kinds of strengths could not be compared: the models of some could not be fitted accurately enough",
		}[f.why(r, c)])
	case chosen == nil:
	case chosen.Reg == Shared:
		say("%s: one is kept (compared on %s).", capital(f.otherKinds(r.Candidates, *chosen)), held)
	default:
		w = append(w, f.priorWords(r, c, held)...)
	}
	if r.failed() {
		say("Learning %s. What is given is the best point until then; standardised features (--scale on) or a narrower "+
			"--box may help.", r.Reason)
	}
	if r.BaselineWon && !r.Interrupted && !r.TimedOut && c.evaluations != 1 {
		w = append(w, NothingBetter)
	}
	if kind.Sparse() {
		say("%s", f.zeros(r))
	}
	return append(append(w, f.atBounds(r, g)...), f.unscaled()...)
}

// why is why nothing was compared: an interruption cuts fits short, too.
func (f *fit) why(r *Result, c *choice) reason {
	if r.Interrupted && c.why == inaccurate {
		return noTime
	}
	return c.why
}

// priorWords say how near each other strengths of the kind that was chosen stay, and why.
func (f *fit) priorWords(r *Result, c *choice, held string) []string {
	what := capital(f.describe(c.kind))
	near := "They are as far from each other as they like"
	if c.width < free {
		near = fmt.Sprintf("A prior keeps most of them within a factor of %s of their mean (one standard deviation, --prior)",
			numbers.Digits(math.Exp(c.width), 2))
	}
	if c.why != none {
		return []string{fmt.Sprintf("%s. %s, because %s.", what, near, map[reason]string{
			tooFewRows: "there are too few rows to choose how far",
			noTime:     "there was no time to choose how far",
			inaccurate: "the models of wider ones could not be fitted accurately enough",
		}[f.why(r, c)])}
	}
	if c.width == 0 || c.evaluations == 1 {
		return []string{fmt.Sprintf("%s, as asked for, but all alike: on %s no prior that lets them differ lowers the loss "+
			"by more than chance. --prior off learns them freely all the same.", what, held)}
	}
	a := Candidate{Loss: mean(c.losses)}
	a.Gap, a.GapError = pairedGap(c.losses, c.tried[0].losses)
	change, low, high := a.Change()
	verdict := fmt.Sprintf("within chance of one for all (%s; anything from %s to %s fits these rows): --reg shared may "+
		"do as well", betterOrWorse(change), betterOrWorse(low), betterOrWorse(high))
	if high < 0 {
		gain, least, most := a.better()
		verdict = fmt.Sprintf("better than one for all by more than chance: the loss is %s smaller on %s (%s to %s)", gain,
			held, least, most)
	}
	w := []string{what + " is " + verdict + ".", near + "."}
	if c.evaluations > 0 {
		w = append(w, fmt.Sprintf("Learning ends at evaluation %d, where the loss on held-out rows was lowest.",
			c.evaluations))
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
func (f *fit) atBounds(r *Result, g *gridded) []string {
	if len(r.X) != 1 || !g.all || r.Interrupted || r.TimedOut {
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
