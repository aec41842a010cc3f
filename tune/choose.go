package tune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
)

// kinds are the kinds of strengths to compare, or the one that was asked for, beside the shared strength where
// its spread is chosen.
func (f *fit) kinds() []Reg {
	switch {
	case f.o.Reg == AutoReg:
	case f.choosesSpread(f.o.Reg):
		return []Reg{Shared, f.o.Reg}
	default:
		return []Reg{f.o.Reg}
	}
	kinds := slices.DeleteFunc(Compared(), func(k Reg) bool {
		return k != Shared && f.strengths(k) == 1 // which is the shared strength
	})
	return f.fittingKinds(kinds)
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

// withoutComparison is what is learned where nothing could be compared.
func (f *fit) withoutComparison(kinds []Reg) *trial {
	if f.o.Reg == AutoReg {
		return &trial{kind: Shared, spread: wholeBox}
	}
	return f.trials(kinds)[1] // the narrowest spread
}

// compare learns each kind of strengths without the held-out rows and returns the one that does best on them, where
// more strengths than one have to do better by two standard errors, and so has each wider spread. The kind that was
// asked for is returned in any case.
func (f *fit) compare(kinds []Reg, base shared) (*trial, []Candidate, error) {
	parts := f.heldOuts()
	rows := 0
	for _, h := range parts {
		rows += len(h.judge.Y)
	}
	if rows < leastHeldOut {
		return f.withoutComparison(kinds), nil, nil
	}
	outOfTime := func() (*trial, []Candidate, error) {
		f.noTimeToCompare = true
		return f.withoutComparison(kinds), nil, nil
	}
	if f.partGrid && f.gridTried < 4 {
		return outOfTime() // a few models are all that there is time for
	}
	ctx, cancel := sub(f.ctx, 1./3)
	defer cancel()
	f.comparing = true
	defer func() { f.comparing = false }()
	trials := f.trials(kinds)
	share := .5 / float64(len(parts)*len(trials))
	for i, h := range parts {
		if ctx.Err() != nil {
			return outOfTime()
		}
		// The training rows are those of the grid: one shared strength for all is known where no more is asked for.
		known := !h.refit && f.o.Reg != AutoReg
		start := []shared{base}
		if !known {
			lo := .2 + float64(i*len(trials))*share
			f.stage = stage{"comparing: grid", lo, lo + share/2}
			var err error
			if _, start, _, err = f.grid(ctx, h.learn, 3, .3/float64(len(parts)-i)); err != nil {
				return nil, nil, err
			}
		}
		var adjoint []float64
		for k, t := range trials {
			if ctx.Err() != nil {
				if known && bestTrial(trials, f.o.Reg) != nil {
					break // some spreads were tried
				}
				return outOfTime()
			}
			if t.dropped = t.dropped || t.chosen && worse(trials[:k], t.kind, f.d*f.scores > manyCoefficients); t.dropped {
				t.losses = nil
				continue
			}
			if known && t.kind == Shared {
				t.judge(f.judge(h.judge, base.z))
				continue
			}
			lo := .2 + float64(i*len(trials)+k)*share
			f.stage = stage{"comparing: " + t.name(), lo, lo + share}
			q, err := f.problem(h.learn, t.kind)
			if err != nil {
				return nil, nil, err
			}
			f.keepWithin(q, start[0].x, t.spread)
			if t.chosen && !h.refit {
				if adjoint, err = f.try(ctx, q, t, h, start[0], adjoint); err != nil {
					return nil, nil, err
				}
				continue
			}
			l, err := f.learn(ctx, q, start[0], false, f.giveUp(h, t.kind, trials[0].losses))
			if err != nil {
				return nil, nil, err
			}
			z := l.z
			if h.refit {
				solved := false
				if z, solved, err = f.refit(ctx, h.learn, t.kind, l.x, l.z); err != nil {
					return nil, nil, err
				} else if !solved {
					return outOfTime()
				}
			}
			t.judge(f.judge(h.judge, z))
		}
		if ctx.Err() != nil && !(known && bestTrial(trials, f.o.Reg) != nil) { // the last one was cut short
			return outOfTime()
		}
	}
	f.compared = trials
	for _, h := range parts {
		f.heldRows = append(f.heldRows, h.judge.Rows...)
	}
	out := make([]Candidate, len(kinds))
	of := make([]*trial, len(kinds))
	chosen := 0
	for k, kind := range kinds {
		of[k] = bestTrial(trials, kind)
		c := Candidate{Reg: kind, Loss: mean(of[k].losses)}
		c.Gap, c.GapError = pairedGap(of[k].losses, trials[0].losses)
		out[k] = c
		if c.Gap < -2*c.GapError && c.Loss < out[chosen].Loss {
			chosen = k
		}
	}
	if f.o.Reg != AutoReg {
		return of[1], nil, nil
	}
	out[chosen].Chosen = true
	return of[chosen], out, nil
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

// giveUp watches a kind of many strengths learn and ends it where the held-out rows show that it will not be
// chosen: it fits the validation rows only, and the weak strengths that do so make inner problems slow. shared are
// the losses of one shared strength on these rows. With folds there is no such watch, because the models on the
// way are not those that are judged.
func (f *fit) giveUp(h heldOut, kind Reg, shared []float64) func() watch {
	if kind == Shared || h.refit {
		return nil
	}
	return func() watch {
		step := 0
		return func(at bilevel.Point) bool {
			step++
			if step < 6 {
				return true
			}
			gap, err := pairedGap(f.judge(h.judge, at.Z).losses, shared)
			return gap < err && (step < 15 || gap < 0)
		}
	}
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

func mean(s []float64) float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}

// pairedGap is the mean of a − b and its standard error.
func pairedGap(a, b []float64) (gap, err float64) {
	n := float64(len(a))
	for i := range a {
		gap += (a[i] - b[i]) / n
	}
	for i := range a {
		e := a[i] - b[i] - gap
		err += e * e
	}
	return gap, math.Sqrt(err / max(n-1, 1) / n)
}
