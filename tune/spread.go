package tune

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/internal/numbers"
)

// wholeBox is the spread of strengths that only Options.Box bounds.
var wholeBox = math.Inf(1)

// autoSpreads are tried in this order.
var autoSpreads = []float64{.5, 1, 2, wholeBox}

// checkSpread reports a spread that makes no sense.
func (o Options) checkSpread() error {
	if o.Spread == "" || o.Spread == "auto" || o.Spread == "off" {
		return nil
	}
	r, err := strconv.ParseFloat(o.Spread, 64)
	kind := o.Reg.entry()
	switch {
	case err != nil || math.IsNaN(r) || math.IsInf(r, 0):
		return &OptionError{"spread", o.Spread, "write auto, off or a number" +
			nearest.Hint(o.Spread, []string{"auto", "off"})}
	case r <= 0:
		return &OptionError{"spread", o.Spread, "a distance is above zero"}
	case kind != nil && !kind.many():
		return &OptionError{"spread", o.Spread, fmt.Sprintf("with %s no strengths surround a shared one", o.Reg)}
	}
	return nil
}

// spread is how far strengths of a kind may be from the shared one, where that is not left to held-out rows.
func (f *fit) spread(kind Reg) float64 {
	if r, err := strconv.ParseFloat(f.o.Spread, 64); err == nil && kind.entry().many() {
		return r
	}
	return wholeBox
}

// choosesSpread says whether held-out rows choose it: where strengths outnumber the rows that they are learned on.
func (f *fit) choosesSpread(kind Reg) bool {
	n, _ := f.main.train.Dims()
	if f.main.folds() == 0 {
		n, _ = f.main.val.Dims()
	}
	return f.o.Spread == "auto" && !kind.Sparse() && f.strengths(kind) > n
}

// keepWithin bounds the strengths of q by a factor e^r from that of x0.
func (f *fit) keepWithin(q *problem, x0, r float64) {
	lo, hi := f.param().around(x0, r)
	for j := range q.Lower {
		q.Lower[j], q.Upper[j] = max(q.Lower[j], lo), min(q.Upper[j], hi)
	}
}

// trial is a kind of strengths as it is compared on held-out rows.
type trial struct {
	kind    Reg
	spread  float64
	chosen  bool      // the spread is one of several that are tried
	dropped bool      // a narrower one was worse than a still narrower one
	losses  []float64 // on the held-out rows of all parts, one after the other
	said    judged    // of the same rows
	// evaluations of new points after which learning ends, because the held-out loss had been lowest there;
	// 0 for as long as it takes.
	evaluations int
}

// judge adds what is said about one part of the held-out rows.
func (t *trial) judge(j *judged) {
	t.said.add(j)
	t.losses = t.said.losses
}

// trials are what there is to compare.
func (f *fit) trials(kinds []Reg) []*trial {
	var out []*trial
	for _, kind := range kinds {
		if !f.choosesSpread(kind) {
			out = append(out, &trial{kind: kind, spread: f.spread(kind)})
			continue
		}
		for _, r := range autoSpreads {
			out = append(out, &trial{kind: kind, spread: r, chosen: true})
		}
	}
	return out
}

// bestTrial is the trial of a kind that did best: the narrowest, unless a wider one is better by two standard errors.
func bestTrial(trials []*trial, kind Reg) *trial {
	var best *trial
	for _, t := range trials {
		if t.kind != kind || t.losses == nil {
			continue
		}
		if best == nil {
			best = t
		} else if gap, err := pairedGap(t.losses, best.losses); gap < -2*err {
			best = t
		}
	}
	return best
}

// worse says whether the last of the trials of a kind is worse than the best: still wider ones would be, too. It has to
// be by two standard errors, unless trials are expensive.
func worse(trials []*trial, kind Reg, expensive bool) bool {
	last := trials[len(trials)-1]
	best := bestTrial(trials, kind)
	if best == nil || last.kind != kind || last.losses == nil {
		return last.kind == kind && last.dropped
	}
	gap, err := pairedGap(last.losses, best.losses)
	return gap > 2*err || expensive && gap > 0
}

// name of t in a stage.
func (t *trial) name() string {
	switch {
	case !t.chosen:
		return string(t.kind)
	case t.spread == wholeBox:
		return string(t.kind) + " in the whole box"
	}
	return fmt.Sprintf("%s within %g", t.kind, t.spread)
}

// heldOutWatch ends a descent that does no better on held-out rows.
type heldOutWatch struct {
	f        *fit
	h        heldOut
	patience int

	n     int       // points seen
	v     []float64 // adjoint of the first
	least []float64 // the lowest losses
	said  *judged   // what goes with them
	at    int       // where they were, from 1
	// The losses that count as the last progress: lower than those before by more than noise; and where they were.
	progress   []float64
	progressAt int
	ended      bool
}

// patientMoves are the points without a lower held-out loss after which a trial ends; one where points are expensive.
const patientMoves = 5

func (f *fit) newHeldOutWatch(h heldOut, d int) *heldOutWatch {
	w := &heldOutWatch{f: f, h: h, patience: patientMoves}
	if d > manyCoefficients {
		w.patience = 1
	}
	return w
}

func (w *heldOutWatch) see(at bilevel.Point) bool {
	said := w.f.judge(w.h.judge, at.Z)
	losses := said.losses
	if w.n++; w.n == 1 {
		w.v, w.least, w.said, w.at, w.progress, w.progressAt = at.V, losses, said, 1, losses, 1
		return true
	}
	if gap, _ := pairedGap(losses, w.least); gap < 0 {
		w.least, w.said, w.at = losses, said, w.n
	}
	if gap, err := pairedGap(losses, w.progress); gap < -err {
		w.progress, w.progressAt = losses, w.n
	}
	w.ended = w.n-w.progressAt >= w.patience
	return !w.ended
}

// try learns a trial without the held-out rows of h, from the shared solution, and judges it there on its way. v is the
// adjoint at the start, nil if it is not known, and returned.
func (f *fit) try(ctx context.Context, q *problem, t *trial, h heldOut, start shared, v []float64) ([]float64, error) {
	from := f.start(q, start)
	from.V = v
	d, _ := q.Dims()
	w := f.newHeldOutWatch(h, d)
	f.onTrial = true
	_, err := f.descend(ctx, q, from, w.see)
	f.onTrial = false
	if err != nil && w.n == 0 {
		return v, err
	}
	t.losses, t.said = w.least, *w.said
	if w.ended || w.at < w.n {
		t.evaluations = w.at
	}
	return w.v, nil
}

// learnTrial learns the strengths of a trial on all rows.
func (f *fit) learnTrial(q *problem, t *trial, base shared) (*learned, error) {
	if t.evaluations == 0 {
		return f.learn(f.ctx, q, base, true, nil)
	}
	n := 0
	l, err := f.descend(f.ctx, q, f.start(q, base), func(bilevel.Point) bool {
		n++
		return n < t.evaluations
	})
	if l != nil && l.reason == givenUp {
		l.reason = fmt.Sprintf("ended at evaluation %d, where the loss on the held-out rows had been lowest", t.evaluations)
	}
	return l, err
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
