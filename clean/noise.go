package clean

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

const (
	noiseFolds = 5
	// Evaluations of the hypergradient from each start, and as many more from the best of a family.
	firstEvaluations, moreEvaluations = 5, 16
	// The inner tolerance, relative to the gradient at zero, how well the adjoint system is solved, and bounds.
	noiseTol, adjointTol = 5e-3, 3e-2
	innerSteps, cgSteps  = 50, 15
	// flat is the outer gradient, in nats, below which learning ends.
	flat = .3
	// mostOuter keeps trials of a search where numbers are finite.
	mostOuter = 12
	// leastChance bounds the loss of a single label.
	leastChance = 1e-7
)

// mostWork is how many products of a value and a coefficient, without the folds, a pass of the learning may take, where
// one of a sparse row counts as sparseWork: T and strengths are learned on so many rows, of 5,000 with 784 pixels and
// ten classes, and then used on all. mostCoefficients is how many the models of all folds may have: of sparse rows the
// features with the most weight are taken. Final models have them all.
var mostWork, mostCoefficients = 4e7, 1e6

const sparseWork = 8

// noiseRidges are λ, from strong to weak, in units of the mean square of a row.
var noiseRidges = []float64{30, 10, 3, 1, .3, .1, .03, .01, .003, .001}

// noisy are rows with labels whose noise is learned.
type noisy struct {
	*fit
	x       rows.Matrix // of the models that do not see a row
	all     rows.Matrix // of final models
	y       []int
	trusted []bool
	n, k    int
	fold    []int
	size    float64 // mean square of a row
	given   bool    // x are logarithms of probabilities, out of fold, instead of features
	first   *candidate
	steps   *int64
}

// candidate is a noise, with the model of the true class that goes with it.
type candidate struct {
	problem  *model.Noise
	form     model.Transitions
	blind    bool // the model takes labels as they are
	x, z     []float64
	finished bool

	// Known of the outer variables x and the models z:
	p           []float64 // of each row, of the true class, by a model that has not seen it
	t           []float64
	ridge, beta float64
	loss        float64 // held out, the sum over rows
	// freedom is how much more is known of T than before, half the logarithm of the information: its numbers, each by
	// how well the labels tell it.
	freedom float64
}

// score is the held-out loss with the price of what was learned on the same labels.
func (c *candidate) score() float64 { return c.loss + cheap*c.freedom }

// stratified draws folds, of each group of rows with the same key as evenly as can be.
func stratified(key []int, folds int, seed uint64) []int {
	groups := make([][]int, slices.Max(key)+1)
	for i, k := range key {
		groups[k] = append(groups[k], i)
	}
	r := generator(seed + 1)
	fold := make([]int, len(key))
	next := 0
	for _, g := range groups {
		r.Shuffle(len(g), func(i, j int) { g[i], g[j] = g[j], g[i] })
		for _, i := range g {
			fold[i] = next
			next = (next + 1) % folds
		}
	}
	return fold
}

// noisy are the training rows, and trusted ones behind them.
func (f *fit) noisy() *noisy {
	all := f.train
	if f.trusted != nil {
		all = stack(f.train, f.trusted, everyRow(len(f.train.Y)))
	}
	s := &noisy{fit: f, all: all.X, k: len(f.classes), steps: new(int64)}
	s.x = narrowed(all.X, int(mostCoefficients)/(s.k*noiseFolds))
	for i, y := range all.Y {
		s.y = append(s.y, int(y))
		s.trusted = append(s.trusted, i >= len(f.train.Y))
	}
	s.prepare()
	return s
}

func (s *noisy) prepare() {
	s.n = len(s.y)
	key := make([]int, s.n)
	for i, y := range s.y {
		if key[i] = 2 * y; s.trusted[i] {
			key[i]++
		}
	}
	s.fold = stratified(key, noiseFolds, s.o.Seed)
	_, d := s.x.Dims()
	s.size = meanSquare(s.x) * float64(d)
}

func everyRow(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// sample are the rows that T is learned on: s itself unless there are too many, and all trusted ones.
func (s *noisy) sample() *noisy {
	each := 0
	switch x := s.x.(type) {
	case *rows.Dense:
		each = x.D
	case *rows.CSR:
		each = sparseWork * (len(x.Val)/max(x.N, 1) + 1)
	}
	most := max(int(mostWork)/(each*s.k), 1000)
	if s.n <= most {
		return s
	}
	parts := (s.n + most - 1) / most
	key := make([]int, s.n)
	copy(key, s.y)
	part := stratified(key, parts, s.o.Seed+1)
	var order []int
	for i, p := range part {
		if p == 0 || s.trusted[i] {
			order = append(order, i)
		}
	}
	t := &noisy{fit: s.fit, x: s.x.Take(order), k: s.k, given: s.given, steps: s.steps}
	for _, i := range order {
		t.y = append(t.y, s.y[i])
		t.trusted = append(t.trusted, s.trusted[i])
	}
	t.prepare()
	return t
}

// problem is that of a form of T.
func (s *noisy) problem(form model.Transitions, blind bool, folds int) (*model.Noise, error) {
	o := model.NoiseOptions{Classes: s.k, Labels: s.y, Trusted: s.trusted, Folds: folds, Fold: s.fold, Inner: form,
		Outer: form, Ridge: s.size, Intercept: s.constant && !s.given}
	if blind {
		o.Inner = model.RightLabels
	}
	if folds == 0 {
		return model.NewNoise(s.all, o)
	}
	return model.NewNoise(s.x, o)
}

// minimise solves the inner problem of p at x.
func (s *noisy) minimise(ctx context.Context, p *model.Noise, z, x []float64) error {
	if s.given {
		return nil
	}
	m, err := inner.LBFGS{MaxIter: innerSteps}.Start(p.Inner, nil)
	if err != nil {
		return err
	}
	_, err = m.Minimize(ctx, z, x, noiseTol*s.steepness(p.Inner, x))
	var unsolved *inner.NotConvergedError
	if errors.As(err, &unsolved) {
		return nil
	}
	return err
}

// know fills in what is known of c at its x and z.
func (s *noisy) know(c *candidate) {
	c.t, c.ridge, c.beta = c.problem.At(c.x)
	c.p = make([]float64, s.n*s.k)
	c.problem.Outer.Probabilities(c.p, c.z, c.x)
	c.loss = 0
	for i, y := range s.y {
		q := c.p[i*s.k+y]
		if !s.trusted[i] {
			q = 0
			for k, v := range c.p[i*s.k : (i+1)*s.k] {
				q += v * c.t[k*s.k+y]
			}
		}
		c.loss -= math.Log(max(q, leastChance))
	}
	_, c.freedom = s.deviations(c, false)
}

// walk fits models of the labels as they are, from a strong ridge to a weak one, until held-out labels are told worse.
func (s *noisy) walk() error {
	p, err := s.problem(model.RightLabels, false, noiseFolds)
	if err != nil {
		return err
	}
	d, _ := p.Inner.Dims()
	z := make([]float64, d)
	if s.given { // the scores are the features
		l := p.Inner.Layout()
		for c := range l.Classes {
			z[l.Index(c, c%s.k)] = 1
		}
	}
	ctx := s.closing // a model there must be
	for i, c := range noiseRidges {
		a := &candidate{problem: p, form: model.RightLabels, x: p.X(symmetric(s.k, 0), c*s.size, 1)}
		if err := s.minimise(ctx, p, z, a.x); err != nil {
			if err = ignoreEnd(ctx, err); err != nil || s.first != nil {
				return err
			}
		}
		a.z = slices.Clone(z)
		s.know(a)
		if s.first != nil && a.loss > s.first.loss {
			return nil
		}
		s.first, ctx = a, s.ctx
		s.report("all rows", .2*float64(i)/float64(len(noiseRidges)), a.loss/float64(s.n))
		if s.ctx.Err() != nil || s.given {
			return nil
		}
	}
	return nil
}

// outerValue is h as an objective of its own, which a quasi-Newton method can minimise.
type outerValue struct {
	s      *noisy
	c      *candidate
	hyper  hypergrad.Hypergradient // nil where scores are given
	at     bilevel.Point
	effort hypergrad.Effort
	best   float64
	left   int    // evaluations
	cancel func() // ends the search
	err    error
}

// Dims returns the number of outer variables.
func (o *outerValue) Dims() (d, p int) { return len(o.at.X), 0 }

// Samples is 1.
func (o *outerValue) Samples() int { return 1 }

// Value is h.
func (o *outerValue) Value(x, _ []float64, b bilevel.Batch) float64 {
	return o.ValueGrad(make([]float64, len(x)), nil, x, nil, b)
}

// Grad overwrites dx with ∇h.
func (o *outerValue) Grad(dx, _, x, _ []float64, b bilevel.Batch) { o.ValueGrad(dx, nil, x, nil, b) }

// ValueGrad is h and ∇h, and infinite at points where a search should not go.
func (o *outerValue) ValueGrad(dx, _, x, _ []float64, _ bilevel.Batch) float64 {
	for _, v := range x {
		if !(math.Abs(v) <= mostOuter) {
			return math.Inf(1)
		}
	}
	if o.left--; o.left <= 0 {
		o.cancel()
	}
	copy(o.at.X, x)
	*o.s.steps++
	var value float64
	if o.hyper == nil {
		value = o.c.problem.Outer.ValueGrad(nil, dx, o.at.Z, x, bilevel.All(o.c.problem.Outer))
	} else {
		rep, err := o.hyper.At(o.s.ctx, dx, o.at, o.effort)
		if err != nil {
			o.err = err
			o.cancel()
			return math.Inf(1)
		}
		value = rep.Value
	}
	if value < o.best {
		o.best = value
		copy(o.c.x, x)
		copy(o.c.z, o.at.Z)
	}
	return value
}

// descend makes so many evaluations of the hypergradient from c on.
func (s *noisy) descend(c *candidate, evaluations int) error {
	if c.finished || s.ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	o := &outerValue{s: s, c: c, best: math.Inf(1), left: evaluations, cancel: cancel,
		at: bilevel.Point{X: slices.Clone(c.x), Z: slices.Clone(c.z), V: make([]float64, len(c.z))}}
	if !s.given {
		p := &bilevel.Problem{Outer: c.problem.Outer, Inner: c.problem.Inner}
		aid := hypergrad.AID{Inner: inner.LBFGS{MaxIter: innerSteps}, Linear: linsolve.CG{MaxIter: cgSteps}}
		var err error
		if o.hyper, err = aid.Start(p, nil); err != nil {
			return err
		}
		o.effort = hypergrad.Effort{Inner: noiseTol * s.steepness(c.problem.Inner, c.x), LinearTol: adjointTol}
	}
	m, err := inner.LBFGS{}.Start(o, nil)
	if err != nil {
		return err
	}
	_, err = m.Minimize(ctx, slices.Clone(c.x), nil, flat/float64(s.n))
	c.finished = err == nil
	if o.err != nil && s.ctx.Err() == nil {
		return o.err
	}
	s.know(c)
	return nil
}

// start is a candidate near t, from the first model.
func (s *noisy) start(form model.Transitions, blind bool, t []float64, ridge float64) (*candidate, error) {
	p, err := s.problem(form, blind, noiseFolds)
	if err != nil {
		return nil, err
	}
	c := &candidate{problem: p, form: form, blind: blind, x: p.X(t, ridge, 1), z: slices.Clone(s.first.z)}
	if err := s.minimise(s.ctx, p, c.z, c.x); err != nil {
		return nil, err
	}
	s.know(c)
	return c, nil
}

// symmetric is the matrix with one rate.
func symmetric(k int, rho float64) []float64 {
	t := make([]float64, k*k)
	for i := range t {
		if t[i] = rho / float64(k-1); i%(k+1) == 0 {
			t[i] = 1 - rho
		}
	}
	return t
}

// confident are, by class that a row is likely to have and by its label, the rows whose probability of the class is at
// least the mean of that of the rows with this label: Northcutt, Jiang, Chuang, Confident learning, 2021, equation 1.
func (s *noisy) confident(p []float64) []float64 {
	k := s.k
	mean, count := make([]float64, k), make([]float64, k)
	for i, y := range s.y {
		if !s.trusted[i] {
			mean[y] += p[i*k+y]
			count[y]++
		}
	}
	for y := range mean {
		mean[y] /= max(count[y], 1)
	}
	joint, column := make([]float64, k*k), make([]float64, k)
	for i, y := range s.y {
		if s.trusted[i] {
			continue
		}
		best := -1
		for c, v := range p[i*k : (i+1)*k] {
			if count[c] > 0 && v >= mean[c] && (best < 0 || v > p[i*k+best]) {
				best = c
			}
		}
		if best >= 0 {
			joint[best*k+y]++
			column[y]++
		}
	}
	for i := range joint {
		joint[i] *= count[i%k] / max(column[i%k], 1)
	}
	return joint
}

// confusion are, by class of trusted rows, the sums of what a model of the other labels says of them: Hendrycks,
// Mazeika, Wilson, Gimpel, Using trusted data to train deep networks on labels corrupted by severe noise, 2018.
func (s *noisy) confusion(p []float64) []float64 {
	joint := make([]float64, s.k*s.k)
	for i, y := range s.y {
		if s.trusted[i] {
			for c, v := range p[i*s.k : (i+1)*s.k] {
				joint[y*s.k+c] += v
			}
		}
	}
	return joint
}

// mixed is (1 − ρ)I + ρQ, with Q the rows of joint without their diagonal, to the power and normalised.
func mixed(joint []float64, k int, rho, power float64) []float64 {
	t := make([]float64, k*k)
	for c := range k {
		sum := 0.0
		for j := range k {
			if j != c {
				t[c*k+j] = math.Pow(joint[c*k+j]+.5/float64(k), power)
				sum += t[c*k+j]
			}
		}
		for j := range k {
			t[c*k+j] *= rho / sum
		}
		t[c*k+c] = 1 - rho
	}
	return t
}

// family are candidates of one form from several starts.
type family struct {
	form   model.Transitions
	blind  bool
	starts [][]float64
	// all starts are followed for some evaluations, else only the best.
	all bool
}

// families are what is tried.
func (s *noisy) families() []family {
	k := s.k
	joint := s.confident(s.first.p)
	one := [][]float64{symmetric(k, .05), symmetric(k, .15), symmetric(k, .35)}
	full := [][]float64{mixed(joint, k, .45, 1), mixed(joint, k, .3, 2)}
	if k == 2 { // one way, and the other
		full = [][]float64{{.65, .35, .03, .97}, {.97, .03, .35, .65}}
	}
	if slices.Contains(s.trusted, true) {
		c := s.confusion(s.first.p)
		prior := mixed(joint, k, .3, 1)
		for r := range k {
			sum := 0.0
			for j := range k {
				c[r*k+j] += 2 * prior[r*k+j]
				sum += c[r*k+j]
			}
			for j := range k {
				c[r*k+j] /= sum
			}
		}
		full = append(full, c)
	}
	f := []family{{model.RightLabels, false, [][]float64{symmetric(k, 0)}, true},
		{model.SymmetricNoise, false, one, false}, {model.FullNoise, false, full, true}}
	if !s.given {
		f = append(f, family{model.SymmetricNoise, true, one, false})
	}
	return f
}

// candidates learns a noise of each family. Where time is up, it returns those that there are; the first is the best
// of labels that are right.
func (s *noisy) candidates() ([]*candidate, error) {
	out := []*candidate{s.first}
	byLoss := func(a, b *candidate) int { return cmp.Compare(a.loss, b.loss) }
	all := s.families()
	for i, f := range all {
		var runs []*candidate
		for _, t := range f.starts {
			ridge := s.first.ridge
			if !f.blind && f.form != model.RightLabels {
				ridge /= 3 // the noise explains what a strong one was for
			}
			c, err := s.start(f.form, f.blind, t, ridge)
			if err != nil {
				return out, ignoreEnd(s.ctx, err)
			}
			runs = append(runs, c)
		}
		slices.SortStableFunc(runs, byLoss)
		if !f.all {
			runs = runs[:1]
		}
		for _, evaluations := range []int{firstEvaluations, moreEvaluations} {
			for _, c := range runs {
				if err := s.descend(c, evaluations); err != nil {
					return append(out, runs...), ignoreEnd(s.ctx, err)
				}
				if evaluations == moreEvaluations {
					break
				}
			}
			slices.SortStableFunc(runs, byLoss)
		}
		if out = append(out, runs...); f.form == model.RightLabels && runs[0].loss < s.first.loss {
			s.first, out = runs[0], runs
		}
		s.report("learning the noise", .2+.5*float64(i+1)/float64(len(all)), runs[0].loss/float64(s.n))
	}
	return out, nil
}

// ignoreEnd is nil where time is up.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// doubts are, for each row, the probability that its label is wrong: 1 − p_y T_yy / Σ p_k T_ky.
func (s *noisy) doubts(c *candidate) []float64 {
	q := make([]float64, s.n)
	for i, y := range s.y {
		q[i] = 1 - s.posterior(c, i)[y]
	}
	return q
}

// cutAt is the doubt from which on rows are flagged, where the expected F1 of the flagged rows is largest: with those
// of the m largest doubts flagged it is 2Σq over them, divided by m + Σq over all.
func cutAt(doubts []float64) float64 {
	d := slices.Clone(doubts)
	slices.SortFunc(d, func(a, b float64) int { return cmp.Compare(b, a) })
	total := 0.0
	for _, v := range d {
		total += v
	}
	best, at, sum := 0.0, math.Inf(1), 0.0
	for i, v := range d {
		sum += v
		if f := 2 * sum / (float64(i+1) + total); f > best {
			best, at = f, v
		}
	}
	return at
}
