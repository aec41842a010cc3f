package clean

import (
	"cmp"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// noiseMethod is the name of the method that learns the noise of labels instead of a weight for each row.
const noiseMethod = "noise"

// runNoise does the job by the noise.
func (f *fit) runNoise() (*Result, error) {
	linear := f.noisy()
	r := &Result{Classes: f.classes, Method: f.o.Method}
	r.NTrain, r.Features = f.train.Dims()
	if f.trusted != nil {
		r.NTrusted = len(f.trusted.Y)
	}
	if f.test != nil {
		r.NTest = len(f.test.Y)
	}
	f.report("all rows", 0, math.NaN())
	whole := linear
	if f.o.Probabilities != nil {
		whole = linear.ofProbabilities(f.o.Probabilities)
	}
	part := whole.sample()
	if err := part.walk(); err != nil {
		return nil, err
	}
	all, err := part.candidates()
	if err != nil {
		return nil, err
	}
	best := choose(all)
	part.timing(r, best == nil)
	if best == nil { // time was up before any was there
		if best, err = part.start(model.SymmetricNoise, true, symmetric(part.k, .1), part.first.ridge); err != nil {
			best = part.first
		}
	}
	f.report("final model", .75, best.loss/float64(part.n))
	if part != whole {
		if best, err = whole.again(best); err != nil {
			return nil, err
		}
		if whole.first, err = whole.again(part.first); err != nil {
			return nil, err
		}
	}
	r.Noise = whole.found(best, all, r.NTrain)
	r.Value, r.Start, r.Ridge = r.Noise.Loss, r.Noise.LossWithout, best.ridge
	whole.flag(r, best)
	r.AllBetter = whole.worse(best)

	// The models of all rows at last, with labels as they are and with the noise.
	first, ridge := whole.first, best.ridge
	if whole.given { // the ridge of a linear model is not known yet
		if err := linear.walk(); err != nil {
			return nil, err
		}
		first, ridge = linear.first, linear.first.ridge
	}
	r.FinalRidge = ridge
	before, err := linear.final(model.RightLabels, symmetric(linear.k, 0), first.ridge)
	if err != nil {
		return nil, err
	}
	form := best.form
	if best.blind {
		form = model.SymmetricNoise
	}
	z := before
	if !r.AllBetter {
		if z, err = linear.final(form, best.t, ridge); err != nil {
			return nil, err
		}
	}
	f.explain(r, z)
	r.Steps = *linear.steps
	r.Untrusted = f.untrusted()
	if f.test == nil {
		return r, nil
	}
	r.Before, r.After = f.figures(f.test, before), f.figures(f.test, z)
	if f.trusted != nil && f.closing.Err() == nil {
		alone, _, _, err := f.best(f.learn, make([]float64, len(z)))
		if err != nil {
			return nil, err
		}
		r.Alone = f.figures(f.test, alone)
	}
	return r, nil
}

// What a number of T that the labels tell has to gain in held-out log likelihood, in nats: where one rate for all
// explains them better than none by as much as told, and where it does not. Who looks for wrong labels expects some,
// and a noise that is not alike for all leaves none to one rate.
const dear, cheap, told, margin = 1, .4, 3, 2

// choose is the noise that is taken, nil if there is none.
func choose(all []*candidate) *candidate {
	least := make(map[model.Transitions]*candidate)
	for _, c := range all {
		if b := least[c.form]; b == nil || c.loss < b.loss {
			least[c.form] = c
		}
	}
	right, one, full := least[model.RightLabels], least[model.SymmetricNoise], least[model.FullNoise]
	if one == nil || full == nil {
		return cmp.Or(one, full)
	}
	gain := one.loss - full.loss - dear*(full.freedom-one.freedom)
	if right != nil && right.loss-one.loss < told {
		gain = right.loss - full.loss - cheap*full.freedom - margin
	}
	if gain > 0 {
		return full
	}
	return one
}

// timing says how the learning ended.
func (s *noisy) timing(r *Result, nothing bool) {
	r.Reason = "no noise explains held-out labels better"
	if r.TimedOut = s.ctx.Err() != nil; r.TimedOut {
		if r.Reason = "time budget used: the best noise so far"; nothing {
			r.Reason = "time budget used before a noise was learned"
		}
	}
}

// ofProbabilities are the same rows with what another model says of them in place of features: of the training rows,
// n·k numbers, in order. Trusted rows have no say.
func (s *noisy) ofProbabilities(p []float64) *noisy {
	n := len(s.train.Y)
	x := rows.NewDense(n, s.k)
	for i := range n {
		for c := range s.k {
			x.Row(i)[c] = math.Log(max(p[i*s.k+c], leastChance))
		}
	}
	t := &noisy{fit: s.fit, x: x, k: s.k, given: true, steps: s.steps, y: s.y[:n], trusted: s.trusted[:n]}
	t.prepare()
	return t
}

// again is a candidate that was learned on some of the rows, with models of all.
func (s *noisy) again(c *candidate) (*candidate, error) {
	p, err := s.problem(c.form, c.blind, noiseFolds)
	if err != nil {
		return nil, err
	}
	d := *c
	d.problem, d.z = p, slices.Clone(c.z)
	d.x = slices.Clone(c.x)
	d.x[len(d.x)-2] += math.Log(c.problem.Inner.Ridge() / p.Inner.Ridge()) // relative to another unit
	if err := ignoreEnd(s.closing, s.minimise(s.closing, p, d.z, d.x)); err != nil {
		return nil, err
	}
	s.know(&d)
	return &d, nil
}

// final is the model of all rows with a noise.
func (s *noisy) final(form model.Transitions, t []float64, ridge float64) ([]float64, error) {
	p, err := s.problem(form, false, 0)
	if err != nil {
		return nil, err
	}
	d, _ := p.Inner.Dims()
	z := make([]float64, d)
	return z, ignoreEnd(s.closing, s.minimise(s.closing, p, z, p.X(t, ridge, 1)))
}

// flag sets what is said of the training rows.
func (s *noisy) flag(r *Result, best *candidate) {
	doubts := s.doubts(best)[:r.NTrain]
	at := cutAt(doubts)
	r.Rows = make([]Row, r.NTrain)
	order := make([]int, r.NTrain)
	for i, q := range doubts {
		row := &r.Rows[i]
		*row = Row{Label: s.y[i], Weight: 1 - q, Kept: q < at, Given: 1 - q}
		if row.Kept {
			r.Kept++
		}
		chances := s.posterior(best, i)
		row.Predicted = -1
		for c, v := range chances { // of a flagged row, the class that it has instead
			if (row.Kept || c != row.Label) && (row.Predicted < 0 || v > chances[row.Predicted]) {
				row.Predicted = c
			}
		}
		row.Suggested = chances[row.Predicted]
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(doubts[b], doubts[a]) })
	for k, i := range order {
		r.Rows[i].Rank = k + 1
	}
}

const (
	// enough is how many nats of held-out likelihood speak for a noise, and below which labels are taken as they are.
	enough = 3
	// doubtful is how many standard errors a share of labels that are met may be below another.
	doubtful = 1
)

// worse says that the final model had better take labels as they are: held-out labels are told hardly better by the
// noise, or fewer of them, or of trusted ones alone, are met with it. Where a class keeps its label more often than any
// other class gets it, who meets most labels as they are meets most right ones too.
func (s *noisy) worse(best *candidate) bool {
	if best.score() > s.first.score()-enough {
		return true
	}
	var sum, squares [2]float64 // of all rows, and of trusted ones
	for i, y := range s.y {
		difference := 0.0
		if top(best.p[i*s.k:(i+1)*s.k]) == y {
			difference++
		}
		if top(s.first.p[i*s.k:(i+1)*s.k]) == y {
			difference--
		}
		for j := range sum {
			if j == 0 || s.trusted[i] {
				sum[j] += difference
				squares[j] += difference * difference
			}
		}
	}
	for j := range sum {
		if sum[j] < -doubtful*math.Sqrt(squares[j]) {
			return true
		}
	}
	return false
}

// top is the place of the largest number.
func top(p []float64) int {
	best := 0
	for c, v := range p {
		if v > p[best] {
			best = c
		}
	}
	return best
}

// untrusted are the classes that no trusted row has, none without trusted rows.
func (f *fit) untrusted() (names []string) {
	if f.trusted == nil {
		return nil
	}
	for c, n := range f.trusted.ClassCounts() {
		if n == 0 {
			names = append(names, f.classes[c])
		}
	}
	return names
}
