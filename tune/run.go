package tune

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/numbers"
	"github.com/bilevel-go/bilevel/internal/wait"
)

// run does the job: grid, comparison, learning, final model.
func (f *fit) run() (*Result, error) {
	if err := f.checkLength(); err != nil {
		return nil, err
	}
	kinds := f.kinds()
	f.stage = stage{"grid", 0, .2}
	grid, start, all, err := f.grid(f.ctx, f.main, 1, .25)
	if err != nil {
		return nil, err
	}
	f.partGrid, f.gridTried = !all, len(grid)
	base := start[0]
	u := f.unit * f.unit
	res := &Result{Grid: grid, BaselineX: base.x, BaselineValue: base.value * u}

	// The figures of the baseline take as long as those of the result will.
	begin := time.Now()
	baseVal, baseTest, _, err := f.figures(f.base(), []float64{base.x}, base.z)
	if err != nil {
		return nil, err
	}
	res.BaselineVal = f.loss.metrics(baseVal)
	var cancel context.CancelFunc
	f.ctx, cancel = wait.Earlier(f.ctx, time.Since(begin)*3/2)
	defer cancel()

	chosen := &trial{kind: kinds[len(kinds)-1], spread: f.spread(kinds[len(kinds)-1])}
	learnFrom := .2
	if len(kinds) > 1 {
		if chosen, res.Candidates, err = f.compare(kinds, base); err != nil {
			chosen = f.withoutComparison(kinds)
			if f.noTimeToCompare = f.ctx.Err() != nil; !f.noTimeToCompare { // cut short, it fails too
				f.compareErr = err
			}
		}
		learnFrom = .7
	}
	f.chosen = chosen
	kind := chosen.kind
	res.Spread = chosen.spread

	q, err := f.problem(f.main, kind)
	if err != nil {
		return nil, err
	}
	f.keepWithin(q, base.x, chosen.spread)
	f.stage = stage{"learning: " + string(kind), learnFrom, .98}
	var l *learned
	if f.ctx.Err() == nil {
		l, err = f.learnTrial(q, chosen, base)
		if err != nil {
			res.Reason = troubled(err)
		}
	}
	if l != nil {
		res.Trace, res.Steps, res.Reason = f.tracePoints(l), l.steps, l.reason
	}
	f.timedOut = f.ctx.Err() != nil
	f.failedEarly = strings.HasPrefix(res.Reason, stoppedEarly)
	if l == nil || l.value >= base.value-1e-9*math.Abs(base.value) {
		// Nothing better was found: the baseline stays.
		res.BaselineWon = true
		if r := kind.entry(); r.l1 != nil && r.squares != nil { // the baseline is a lasso, which no ℓ2 strength of the box is
			kind = f.base()
			if q, err = f.problem(f.main, kind); err != nil {
				return nil, err
			}
		}
		x := f.baseline(kind, base.x)
		if f.ctx.Err() != nil || f.cutShort { // no time for the gradient
			l = &learned{x: x, z: base.z, value: base.value, gradNorm: math.NaN()}
		} else if l, err = f.exact(f.closing, q, x, base.z, nil); err != nil {
			l = &learned{x: x, z: base.z, value: base.value, gradNorm: math.NaN()}
		}
	}
	res.Value, res.GradNorm = l.value*u, l.gradNorm*u

	f.stage = stage{"refitting", .98, 1}
	shown, test, modelZ, err := f.figures(kind, l.x, l.z)
	if err != nil {
		return nil, err
	}
	res.Val = f.loss.metrics(shown)
	if test != nil {
		res.Test, res.BaselineTest = f.loss.metrics(test), f.loss.metrics(baseTest)
		res.NTest = res.Test.N
	}
	res.Unseen = f.unseen(shown, baseVal, test, baseTest)
	if test == nil && !res.BaselineWon && f.strengths(kind) > 1 {
		f.heldOutUnseen(res.Unseen)
	}
	res.NTrain, _ = f.main.train.Dims()
	res.NVal = res.Val.N
	if q, res.X, modelZ, err = f.restore(q, kind, l.x, modelZ, base.x); err != nil {
		return nil, err
	}
	for i := range res.Candidates {
		res.Candidates[i].Strengths = f.strengths(res.Candidates[i].Reg)
	}
	if res.Model, err = f.model(q, kind, res.X, modelZ); err != nil {
		return nil, err
	}
	res.InnerDim, res.OuterDim = q.layout.Len(), len(res.X)
	res.Ridge = f.ridge(q, res.X)
	return res, nil
}

// mostRidges is how many coefficients there are at most where their strengths are listed.
const mostRidges = 1e4

// ridge are the strengths of ½z² of all coefficients, nil where there are many.
func (f *fit) ridge(q *problem, x []float64) [][]float64 {
	if f.d*f.scores > mostRidges {
		return nil
	}
	value := make([]float64, len(x))
	q.strengths(value, x)
	out := make([][]float64, f.scores)
	for c := range out {
		out[c] = make([]float64, f.d)
		for j := range out[c] {
			if q.pen != nil {
				out[c][j] = value[q.pen.Strength(q.layout.Index(c, j))]
			}
		}
	}
	return out
}

// figures are what z, as learned on all rows, does on the validation and test rows, the latter nil if there are none.
// model is what it is there: with folds, the model of all rows.
func (f *fit) figures(kind Reg, x, z []float64) (val, test *judged, model []float64, err error) {
	val, model = f.validation(f.main, z), z
	if f.main.folds() > 0 {
		if model, _, err = f.refit(f.closing, f.main, kind, x, z); err != nil {
			return nil, nil, nil, err
		}
	}
	if f.test != nil {
		test = f.judge(f.test, model)
	}
	return val, test, model, nil
}

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

// heldOut is one comparison: where a kind learns, and the rows that judge it.
type heldOut struct {
	learn split
	judge *dataset.Set
	refit bool // on learn.train, before judging
}

// leastHeldOut is on how many held-out rows kinds are compared, at least: two standard errors of a few rows are no
// bound of chance, and one row has none.
const leastHeldOut = 6

// cheapComparison is the number of multiplications of all passes with which kinds are judged on every fold.
const cheapComparison = 2e6

// heldOuts divides the rows for the comparison of kinds; none if there are too few.
func (f *fit) heldOuts() []heldOut {
	s := f.main
	classes := f.loss.classes
	k := s.folds()
	if k == 0 {
		rest, part, err := s.val.Split(.25, f.o.Seed, classes)
		if err != nil && classes {
			rest, part, err = s.val.Split(.25, f.o.Seed, false) // a class with a single row
		}
		if err != nil {
			return nil
		}
		return []heldOut{{learn: split{train: s.train, val: rest}, judge: part}}
	}
	judged := min(k, max(2, int(cheapComparison*float64(k)/f.pass(s))))
	var out []heldOut
	for h := range judged {
		of := make([]int, s.bounds[k])
		part := make([]int, 0, s.bounds[h+1]-s.bounds[h])
		rest := make([]int, 0, len(of))
		for g := range k {
			for i := s.bounds[g]; i < s.bounds[g+1]; i++ {
				switch {
				case g == h:
					of[i] = -1
					part = append(part, i)
				case g > h:
					of[i] = g - 1
				default:
					of[i] = g
				}
				if g != h {
					rest = append(rest, i)
				}
			}
		}
		var learn split
		if k == 2 { // two new folds in the one that is left
			t := s.train.Subset(rest)
			folds, err := t.Folds(2, f.o.Seed)
			if err != nil {
				return nil
			}
			learn = byFold(t, folds, 2)
		} else {
			learn = byFold(s.train, of, k-1)
		}
		out = append(out, heldOut{learn: learn, judge: s.train.Subset(part), refit: true})
	}
	return out
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

func mean(s []float64) float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
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

// refit solves the inner problem on all rows of s with strengths x, from the mean of the models z of the folds of s;
// solved says that there was time for it.
func (f *fit) refit(ctx context.Context, s split, kind Reg, x, z []float64) (model []float64, solved bool, err error) {
	q, err := f.problem(split{train: s.train}, kind)
	if err != nil {
		return nil, false, err
	}
	solver, err := f.solver(q)
	if err != nil {
		return nil, false, err
	}
	tol, err := f.tolerance(q)
	if err != nil {
		return nil, false, err
	}
	model = make([]float64, q.layout.Len())
	for k := range s.folds() {
		floats.AddScaled(model, 1/float64(s.folds()), z[k*len(model):(k+1)*len(model)])
	}
	solved, err = solve(ctx, solver, model, x, tol)
	return model, solved, err
}

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
