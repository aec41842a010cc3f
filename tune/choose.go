package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
)

// trial is a kind of strengths, with a prior, as it is compared on held-out rows.
type trial struct {
	kind  Reg
	width float64 // of the prior: 0 for strengths that are all alike, free for none

	dropped bool      // it, or one like it, was worse than others
	losses  []float64 // on the held-out rows of all parts, one after the other; nil if it was not tried on all
	said    judged    // of the same rows
	// evaluations of new points after which learning ends, because the held-out loss had been lowest there;
	// 0 for as long as it takes.
	evaluations int
}

// choice is what held-out rows chose.
type choice struct {
	*trial
	candidates []Candidate
	tried      []*trial // that were compared, the shared strength first; nil where none could be
	rows       []int    // places of the rows that they were compared on
	why        reason   // nothing was compared, although it should have been
}

// reason is why nothing was compared.
type reason int

const (
	none reason = iota
	tooFewRows
	noTime
	inaccurate // some models could not be fitted accurately enough
)

var errNoTime = errors.New("tune: there was no time")

// name of t in a stage.
func (t *trial) name() string {
	switch t.width {
	case 0:
		return string(t.kind) + ", all alike"
	case free:
		return string(t.kind)
	}
	return fmt.Sprintf("%s, prior %g", t.kind, t.width)
}

// judge adds what is said about one part of the held-out rows.
func (t *trial) judge(j *judged) {
	t.said.add(j)
	t.losses = t.said.losses
}

// kinds are the kinds of strengths to compare, the shared one first; only the one that was asked for where nothing
// about it is left to held-out rows.
func (f *fit) kinds() []Reg {
	switch {
	case f.o.Reg == AutoReg:
	case f.choosesWidth(f.o.Reg):
		return []Reg{f.base(), f.o.Reg}
	default:
		return []Reg{f.o.Reg}
	}
	kinds := slices.DeleteFunc(Compared(), func(k Reg) bool {
		return k != Shared && f.strengths(k) == 1 // which is the shared strength
	})
	return f.fittingKinds(kinds)
}

// trials are what there is to compare.
func (f *fit) trials(kinds []Reg) []*trial {
	var out []*trial
	for _, kind := range kinds {
		if !f.choosesWidth(kind) {
			out = append(out, &trial{kind: kind, width: f.width(kind)})
			continue
		}
		for _, w := range widths {
			out = append(out, &trial{kind: kind, width: w})
		}
	}
	return out
}

// choose compares kinds of strengths, each with priors from narrow to wide, on rows held out of learning, and takes the
// one that does best there. More strengths than one have to do better by two standard errors, and so has a wider prior.
// A kind that was asked for is taken in any case, with all its strengths alike if no prior is better.
func (f *fit) choose(g *gridded) *choice {
	kinds := f.kinds()
	if len(kinds) == 1 {
		return &choice{trial: &trial{kind: kinds[0], width: f.width(kinds[0])}}
	}
	parts := f.heldOuts()
	trials := f.trials(kinds)
	rows := 0
	for _, h := range parts {
		rows += len(h.judge.Y)
	}
	without := func(why reason) *choice {
		if f.o.Reg == AutoReg {
			return &choice{trial: &trial{kind: Shared, width: free}, why: why}
		}
		return &choice{trial: &trial{kind: f.o.Reg, width: widths[0]}, why: why} // the narrowest
	}
	switch {
	case rows < leastHeldOut:
		return without(tooFewRows)
	case !g.all && len(g.points) < 4: // a few models are all that there is time for
		return without(noTime)
	}
	ctx, cancel := sub(f.ctx, 1./3)
	defer cancel()
	limit := f.visited.Total() + max(mostOfGrid*f.visited.Total(), cheapTrials/int64(max(f.d*f.scores, 1)))
	for i, h := range parts {
		if i > 0 && f.visited.Total() > limit {
			parts = parts[:i]
			break
		}
		lo, share := .2, .5/float64(len(parts))
		err := f.compare(ctx, h, trials, g.best, limit, stage{lo: lo + float64(i)*share, hi: lo + float64(i+1)*share})
		if ctx.Err() != nil || errors.Is(err, errNoTime) {
			return without(noTime)
		} else if err != nil {
			return without(inaccurate)
		}
		f.dropKinds(trials, i+1)
	}
	c := f.best(kinds, trials)
	for _, h := range parts {
		c.rows = append(c.rows, h.judge.Rows...)
	}
	return c
}

// Comparing ends after it has visited so many times as many samples as the grid, or when it is cheap, after so many
// multiplications, about: what is left of the trials and of the held-out rows is not looked at.
const (
	mostOfGrid  = 2
	cheapTrials = 4e8
)

// compare learns the trials that are left on one part and judges them. The first is the shared strength of the grid.
func (f *fit) compare(ctx context.Context, h heldOut, trials []*trial, base shared, limit int64,
	all stage) (err error) {
	start := base
	if h.refit { // the rows are others than those of the grid
		if start, err = f.solveShared(ctx, h.learn, base.x); err != nil {
			return err
		}
	}
	var adjoint []float64
	var last bilevel.Point // of the kind's trial before, from which the next one goes on
	for k, t := range trials {
		width := (all.hi - all.lo) / float64(len(trials))
		f.stage = stage{"comparing: " + t.name(), all.lo + float64(k)*width, all.lo + float64(k+1)*width}
		if ctx.Err() != nil {
			return errNoTime
		}
		if t.dropped = t.dropped || f.worse(trials[:k], t) || k > 1 && f.visited.Total() > limit; t.dropped {
			t.losses = nil
			continue
		}
		q, err := f.problem(h.learn, t.kind)
		if err != nil {
			return err
		}
		if err := f.near(q, t.width, start); err != nil {
			return err
		}
		s := search{fit: f, q: q, ctx: ctx, aim: toCompare}
		switch {
		case k == 0:
			if err := f.judgeAt(ctx, h, t, []float64{start.x}, start.z); err != nil {
				return err
			}
		case !h.refit && f.strengths(t.kind) > len(h.learn.val.Y):
			s.aim = toWatch
			if adjoint, err = s.watched(t, h, start, adjoint); err != nil {
				return err
			}
		default:
			l, err := s.goOn(last, start, trials[k-1].kind == t.kind, f.giveUp(h, trials[0].losses))
			if err != nil {
				return err
			}
			last = bilevel.Point{X: l.x, Z: l.z, V: l.v}
			if err := f.judgeAt(ctx, h, t, l.x, l.z); err != nil {
				return err
			}
		}
	}
	return nil
}

// goOn learns from the last point of a kind, with a wider prior, or from the shared solution where there is none.
func (s search) goOn(last bilevel.Point, start shared, same bool, w func() watch) (*learned, error) {
	if !same || last.X == nil {
		return s.learn(start, w)
	}
	return s.chain(last, s.middle(s.q), w)
}

// judgeAt judges the strengths x, with the models z of the folds if there are some, on the rows of h.
func (f *fit) judgeAt(ctx context.Context, h heldOut, t *trial, x, z []float64) error {
	if h.refit {
		model, solved, err := f.refit(ctx, h.learn, t.kind, x, z)
		if err != nil {
			return err
		}
		if !solved {
			return errNoTime
		}
		z = model
	}
	t.judge(f.judge(h.judge, z))
	return nil
}

// worse says whether a narrower prior than t's was already worse than a still narrower one, or than all alike: t would
// be, too. It has to be by two standard errors, unless trials are expensive.
func (f *fit) worse(before []*trial, t *trial) bool {
	if len(before) < 2 {
		return false
	}
	last := before[len(before)-1]
	if last.kind != t.kind {
		return false
	}
	if last.losses == nil {
		return last.dropped
	}
	best := before[0]
	for _, b := range before[:len(before)-1] {
		if b.kind == t.kind && len(b.losses) == len(last.losses) && mean(b.losses) < mean(best.losses) {
			best = b
		}
	}
	gap, err := pairedGap(last.losses, best.losses)
	return gap > 2*err || f.d*f.scores > manyCoefficients && gap > 0
}

// dropKinds gives up on kinds of which no trial is better than the shared strength on the parts that were judged, once
// these are two.
func (f *fit) dropKinds(trials []*trial, parts int) {
	if parts < 2 {
		return
	}
	for _, t := range trials[1:] {
		if hopeful := slices.ContainsFunc(trials, func(o *trial) bool {
			return o.kind == t.kind && o.losses != nil && mean(o.losses) < mean(trials[0].losses)
		}); !hopeful {
			t.dropped = true
		}
	}
}

// best is the choice among trials that were judged.
func (f *fit) best(kinds []Reg, trials []*trial) *choice {
	one := trials[0]
	c := &choice{tried: trials}
	var of []*trial
	chosen := 0
	for k, kind := range kinds {
		best := one
		if kind != one.kind {
			if best = bestTrial(trials, kind); best == nil {
				best = &trial{kind: kind, losses: one.losses, said: one.said} // all alike
			}
		}
		of = append(of, best)
		a := Candidate{Reg: kind, Loss: mean(best.losses), Prior: best.width}
		a.Gap, a.GapError = pairedGap(best.losses, one.losses)
		c.candidates = append(c.candidates, a)
		if a.Gap < -2*a.GapError && a.Loss < c.candidates[chosen].Loss {
			chosen = k
		}
	}
	if f.o.Reg == AutoReg {
		c.candidates[chosen].Chosen = true
		c.trial = of[chosen]
		return c
	}
	c.candidates = nil
	c.trial = of[1]
	if gap, err := pairedGap(c.losses, one.losses); gap > -2*err {
		c.trial = &trial{kind: f.o.Reg, losses: one.losses, said: one.said}
	}
	return c
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

// giveUp watches strengths learn and ends it where the held-out rows show that they will not be chosen: they fit the
// validation rows only, and the weak strengths that do so make inner problems slow. shared are the losses of one shared
// strength on these rows. With folds there is no such watch: the models on the way are not those that are judged.
func (f *fit) giveUp(h heldOut, shared []float64) func() watch {
	if h.refit {
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

// watched learns a trial without the held-out rows of h, from the shared solution, and judges it there on its way. v is
// the adjoint at the start, nil if it is not known, and returned.
func (s search) watched(t *trial, h heldOut, start shared, v []float64) ([]float64, error) {
	from := s.start(s.q, start)
	from.V = v
	d, _ := s.q.Dims()
	w := s.newHeldOutWatch(h, d)
	if _, err := s.descend(from, w.see); err != nil && w.n == 0 {
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
	s := search{fit: f, q: q, ctx: f.ctx}
	if t.width == 0 { // all alike
		return s.learnAlike(base)
	}
	if err := f.near(q, t.width, base); err != nil {
		return nil, err
	}
	if t.evaluations == 0 {
		return s.learn(base, nil)
	}
	n := 0
	l, err := s.descend(f.start(q, base), func(bilevel.Point) bool {
		n++
		return n < t.evaluations
	})
	if l != nil && l.reason == givenUp {
		l.reason = fmt.Sprintf("ended at evaluation %d, where the loss on the held-out rows had been lowest", t.evaluations)
	}
	return l, err
}

// learnAlike learns the one strength that all strengths of a kind have.
func (s search) learnAlike(base shared) (*learned, error) {
	_, p := s.q.Dims()
	var err error
	if s.q, err = s.problem(s.q.rows, s.base()); err != nil {
		return nil, err
	}
	l, err := s.learn(base, nil)
	if l != nil {
		l.x = slices.Repeat(l.x, p)
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
