package nystrom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/rows"
)

const (
	outerFolds = 5
	innerFolds = 5
	// x is learned from so many rows at most, and from fewer where these make more than searchWork numbers of features and
	// scores; models are fitted to all rows.
	searchRows      = 2000
	searchWork      = 800_000
	leastSearchRows = 300
	// fewRows are so few that one division into folds is mostly luck: the λ of the linear model is learned from four.
	fewRows = 1000
	// leastWeight is that of a kind; kinds with less are left out.
	leastWeight = .01
)

// landmarksFor is how many landmarks there are for n rows of so many classes.
func landmarksFor(n, classes int) int {
	m := 150
	if classes > 2 {
		m = 100
	}
	return max(m, min(n/20, 300))
}

// Options are the settings of [Fit]. The zero value works.
type Options struct {
	Seed uint64
	// Units are numbers of what rows belong to, such as persons: rows of a unit are on one side of every division. nil for
	// none.
	Units []int
	// Progress, if any, is told the share of the work that is done. It is called by several goroutines, one at a time.
	Progress func(done float64)
}

// Committee is what [Fit] learns: a linear model, and kernels on top. It is plain data that JSON keeps.
//
// With weights β, which have those of the committee in them, the k-th score of a row a is
//
//	Intercept_k + Σ_j Linear_kj a_j + Σ_kernels Σ_l β_kl k(a, z_l).
//
// It is the value, the log odds of the second of two classes, or the logarithm of the probability of the class up to a
// constant.
type Committee struct {
	// Weights are those of the linear models, of the kernels with one length scale, and of those with one per group. They
	// add up to one.
	Weights   []float64   `json:"weights"`
	Intercept []float64   `json:"intercept"`
	Linear    [][]float64 `json:"linear"`
	Part      `json:"part"`
}

// Part is the part of a [Committee] that is not linear.
type Part struct {
	Groups    []int       `json:"groups"`    // of the features
	Landmarks [][]float64 `json:"landmarks"` // z_l
	Kernels   []Kernel    `json:"kernels"`
}

// Kernel is one kernel of a [Part].
type Kernel struct {
	LogScales []float64   `json:"log_scales"` // log s of the groups
	Weights   [][]float64 `json:"weights"`    // β: of each score, by landmark
}

// Outcome is a [Committee] and how it does on rows that it was not fitted to.
type Outcome struct {
	Committee *Committee
	// Scores and LinearScores are those of the rows that Fit got, k to a row, by the committee and by its linear models as
	// fitted to the rows outside the row's fold.
	Scores, LinearScores []float64
	// LogScales are the mean log s of groups, of the kernels with one per group, and LogLambda those of log λ_lin and
	// log λ_k.
	LogScales []float64
	LogLambda [2]float64
}

// task is the loss and the scores per row.
func task(classes int) (link, int, error) {
	switch {
	case classes == 0:
		return squared{}, 1, nil
	case classes == 1 || classes < 0:
		return nil, 0, fmt.Errorf("nystrom: a model of %d classes", classes)
	case classes == 2:
		return logistic{}, 1, nil
	}
	return softmax{classes}, classes, nil
}

// sample is rows, their targets and the units they belong to.
type sample struct {
	x     *rows.Dense
	y     []float64
	units []int // nil for none
}

func (s sample) take(order []int) sample {
	out := sample{x: s.x.Take(order).(*rows.Dense), y: make([]float64, len(order))}
	if s.units != nil {
		out.units = make([]int, len(order))
	}
	for i, r := range order {
		out.y[i] = s.y[r]
		if s.units != nil {
			out.units[i] = s.units[r]
		}
	}
	return out
}

// folds are the folds of rows, drawn at random: by class, or by unit.
func (s sample) folds(k, classes int, rng *rand.Rand) []int {
	n := len(s.y)
	of, order := make([]int, n), rng.Perm(n)
	if s.units != nil {
		fold := map[int]int{}
		size := make([]int, k)
		members := map[int]int{}
		for _, u := range s.units {
			members[u]++
		}
		for _, i := range order { // units in random order, each to the smallest fold
			u := s.units[i]
			f, ok := fold[u]
			if !ok {
				f = slices.Index(size, slices.Min(size))
				fold[u] = f
				size[f] += members[u]
			}
			of[i] = f
		}
		return of
	}
	if classes > 0 {
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(s.y[i], s.y[j]) })
	}
	for i, r := range order {
		of[r] = i % k
	}
	return of
}

// byFold is the rows sorted by fold, and where folds begin. Folds without rows are left out.
func byFold(of []int, k int) (order, bounds []int) {
	bounds = []int{0}
	for f := range k {
		for i, g := range of {
			if g == f {
				order = append(order, i)
			}
		}
		if len(order) > bounds[len(bounds)-1] {
			bounds = append(bounds, len(order))
		}
	}
	return order, bounds
}

// member is one model of a committee.
type member struct {
	x     []float64
	w     []float64 // k × p
	score []float64 // of the rows outside
}

// job is a fit in progress.
type job struct {
	all     sample
	classes int
	groups  []int
	count   int // of groups
	k       int
	link    link
	o       Options
	z       *rows.Dense
	mean    float64 // see search
	steps   int
}

// Fit learns a committee of the rows x, whose features are of the size of one, as standardised ones are. y are values,
// or with classes the indices of these; groups has the group of each feature, numbered from 0 on.
//
// For each of five folds x is learned on the other rows by cross-validation, for each [Kind]. The models with it are
// fitted to all rows, and their scores are averaged over the folds; the weights of kinds minimise the out-of-fold loss
// on the simplex, with a prior that favours the linear kind:
//
//	Σ_i ℓ(Σ_k w_k t_ik, y_i) − Σ_k α_k log w_k.
//
// The linear kind has one more λ, learned on all rows, which its model takes. The same seed gives the same bits,
// whatever the number of cores. An error is that of ctx, soon after it is done, or about lengths and numbers.
func Fit(ctx context.Context, x *rows.Dense, y []float64, classes int, groups []int, o Options) (*Outcome, error) {
	l, k, err := task(classes)
	if err != nil {
		return nil, err
	}
	if err := check(x, y, classes, groups, o.Units); err != nil {
		return nil, err
	}
	shift, unit := 0., 1.
	if classes == 0 {
		y = slices.Clone(y)
		shift = floats.Sum(y) / float64(len(y))
		floats.AddConst(-shift, y)
		if unit = floats.Norm(y, 2) / math.Sqrt(float64(len(y))); !(unit > 1e-12*math.Abs(shift)) {
			unit = 1
		}
		floats.Scale(1/unit, y)
	}
	j := &job{all: sample{x, y, o.Units}, classes: classes, groups: groups, count: slices.Max(groups) + 1, k: k, link: l,
		o: o, steps: mostSteps}
	if j.z, err = landmarks(ctx, x, landmarksFor(x.N, classes), o.Seed); err != nil {
		return nil, err
	}
	j.mean = -math.Log(median(j.z))
	out, err := j.run(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range [][]float64{out.Scores, out.LinearScores} {
		floats.Scale(unit, t)
		floats.AddConst(shift, t)
	}
	c := out.Committee
	for s := range k {
		c.Intercept[s] = shift + unit*c.Intercept[s]
		floats.Scale(unit, c.Linear[s])
		for _, q := range c.Kernels {
			floats.Scale(unit, q.Weights[s])
		}
	}
	return out, nil
}

func check(x *rows.Dense, y []float64, classes int, groups, units []int) error {
	switch {
	case x.N < 2*outerFolds || x.D == 0:
		return fmt.Errorf("nystrom: %d rows of %d features: at least %d rows are needed", x.N, x.D, 2*outerFolds)
	case len(y) != x.N:
		return fmt.Errorf("nystrom: %d targets for %d rows", len(y), x.N)
	case len(groups) != x.D:
		return fmt.Errorf("nystrom: %d groups for %d features", len(groups), x.D)
	case units != nil && len(units) != x.N:
		return fmt.Errorf("nystrom: %d units for %d rows", len(units), x.N)
	case slices.Min(groups) < 0 || slices.Max(groups) >= x.D:
		return errors.New("nystrom: groups are numbered from 0 on")
	}
	if units != nil && len(slices.Compact(slices.Sorted(slices.Values(units)))) < 2*outerFolds {
		return fmt.Errorf("nystrom: fewer than %d units", 2*outerFolds)
	}
	for i, v := range y {
		if math.IsNaN(v) || math.IsInf(v, 0) || classes > 0 && (v != math.Trunc(v) || v < 0 || int(v) >= classes) {
			return fmt.Errorf("nystrom: the target of row %d is %v", i, v)
		}
		for _, a := range x.Row(i) {
			if math.IsNaN(a) || math.IsInf(a, 0) {
				return fmt.Errorf("nystrom: row %d has the feature %v", i, a)
			}
		}
	}
	return nil
}

// median distance of landmarks, 1 where they are one.
func median(z *rows.Dense) float64 {
	var all []float64
	for i := range z.N {
		for l := range i {
			all = append(all, floats.Distance(z.Row(i), z.Row(l), 2))
		}
	}
	slices.Sort(all)
	if len(all) == 0 || all[len(all)/2] == 0 {
		return 1
	}
	return all[len(all)/2]
}

// run learns the members of all folds, on all cores, and puts them together.
func (j *job) run(ctx context.Context) (*Outcome, error) {
	n, kinds := j.all.x.N, Kinds()
	of := j.all.folds(outerFolds, j.classes, j.rng(1))
	members := make([][]member, outerFolds+1) // by fold, the last one the linear one of all rows
	outside := make([][]int, outerFolds)
	for i, f := range of {
		outside[f] = append(outside[f], i)
	}
	errs := make([]error, len(members))
	report := make(chan struct{}, 1)
	count := 0
	pool.For(math.MaxInt32).Run(len(members), func(_, fold int) {
		members[fold], errs[fold] = j.fold(ctx, of, fold)
		if j.o.Progress != nil {
			report <- struct{}{}
			count++
			j.o.Progress(float64(count) / float64(len(members)))
			<-report
		}
	})
	if err := errors.Join(errs...); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	scores := make([][]float64, len(kinds)) // out of fold
	for i := range kinds {
		scores[i] = make([]float64, n*j.k)
		for f, list := range outside {
			for r, row := range list {
				copy(scores[i][row*j.k:], members[f][i].score[r*j.k:(r+1)*j.k])
			}
		}
	}
	weights := j.stack(scores)
	out := &Outcome{Committee: j.committee(members, weights), Scores: make([]float64, n*j.k), LinearScores: scores[0]}
	for i, w := range weights {
		floats.AddScaled(out.Scores, w, scores[i])
	}
	out.LinearScores = slices.Clone(scores[0])
	out.LogScales = make([]float64, j.count)
	for _, fold := range members[:outerFolds] {
		x := fold[len(kinds)-1].x
		floats.AddScaled(out.LogScales, 1./outerFolds, x[2:])
		out.LogLambda[0] += x[0] / outerFolds
		out.LogLambda[1] += x[1] / outerFolds
	}
	return out, nil
}

func (j *job) rng(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(j.o.Seed, stream)) }

// fold learns the members of one fold, or for the fold behind the last the linear one of all rows.
func (j *job) fold(ctx context.Context, of []int, fold int) ([]member, error) {
	var in, out []int
	for i, f := range of {
		if f == fold {
			out = append(out, i)
		} else {
			in = append(in, i)
		}
	}
	rng := j.rng(uint64(fold) + 10)
	inside := j.all.take(in)
	some := inside
	most := max(min(searchRows, searchWork/((j.z.N+j.z.D+1)*j.k)), leastSearchRows)
	if n := len(in); n > most {
		some = inside.take(rng.Perm(n)[:most])
	}
	kinds, divisions := Kinds(), 1
	if fold == outerFolds {
		kinds = kinds[:1]
		if some.x.N < fewRows {
			divisions = 4
		}
	}
	var list []member
	var before []float64
	for _, kind := range kinds {
		var v []*validation
		for d := range divisions {
			order, bounds := byFold(some.folds(innerFolds, j.classes, j.rng(uint64(100+10*d+fold))), innerFolds)
			s := some.take(order)
			v = append(v, newValidation(s.x, s.y, j.k, j.link, bounds, j.kernel(kind), j.count))
		}
		x, err := newSearch(v, kind, j.count, j.mean).run(ctx, before, j.steps)
		if err != nil {
			return nil, err
		}
		before = x
		m := member{x: x}
		if m.w, err = j.refit(ctx, j.all, kind, x); err != nil {
			return nil, err
		}
		if fold < outerFolds {
			w, err := j.refit(ctx, inside, kind, x)
			if err != nil {
				return nil, err
			}
			part := &Part{Groups: j.groups, Landmarks: packRows(j.z)}
			linear, intercept, kern, err := j.split(kind, x, w)
			if err != nil {
				return nil, err
			}
			if kern != nil {
				part.Kernels = []Kernel{*kern}
			}
			c := Committee{Intercept: intercept, Linear: linear, Part: *part}
			m.score = c.Scores(j.all.take(out).x)
		}
		list = append(list, m)
	}
	return list, nil
}

func (j *job) kernel(kind Kind) *matern {
	if kind == Linear {
		return nil
	}
	return newMatern(j.groups, j.z)
}

// refit is the model of all rows of s.
func (j *job) refit(ctx context.Context, s sample, kind Kind, x []float64) ([]float64, error) {
	v := newValidation(s.x, s.y, j.k, j.link, nil, j.kernel(kind), j.count)
	if err := v.set(x); err != nil {
		return nil, err
	}
	if err := v.h.solve(ctx, noFold); err != nil {
		return nil, err
	}
	return v.h.w[0], nil
}

// split is a model of the features as one of rows and of kernels: ⟨v, L⁻¹k⟩ = ⟨L⁻ᵀv, k⟩.
func (j *job) split(kind Kind, x, w []float64) (linear [][]float64, intercept []float64, k *Kernel, err error) {
	d := j.all.x.D
	p := len(w) / j.k
	for c := range j.k {
		linear = append(linear, slices.Clone(w[c*p:c*p+d]))
		intercept = append(intercept, w[(c+1)*p-1])
	}
	if kind == Linear {
		return linear, intercept, nil, nil
	}
	f := newFeatures(rows.NewDense(1, d), j.kernel(kind))
	if err := f.set(x[2:]); err != nil {
		return nil, nil, nil, err
	}
	k = &Kernel{LogScales: slices.Clone(x[2:])}
	for c := range j.k {
		beta := make([]float64, f.m)
		kernel.Scores(beta, f.wt.Data, f.wt.Stride, w[c*p+d:c*p+d+f.m])
		k.Weights = append(k.Weights, beta)
	}
	return linear, intercept, k, nil
}

// committee puts members together.
func (j *job) committee(members [][]member, weights []float64) *Committee {
	c := &Committee{Weights: weights, Intercept: make([]float64, j.k), Linear: make([][]float64, j.k),
		Part: Part{Groups: slices.Clone(j.groups), Landmarks: packRows(j.z)}}
	for s := range c.Linear {
		c.Linear[s] = make([]float64, j.all.x.D)
	}
	for i, kind := range Kinds() {
		list, share := members[:outerFolds], weights[i]/outerFolds
		if kind == Linear {
			list, share = members[outerFolds:], weights[i]
		}
		if share == 0 {
			continue
		}
		for _, fold := range list {
			linear, intercept, kern, err := j.split(kind, fold[i].x, fold[i].w)
			if err != nil {
				panic(err) // it went well when the model was fitted
			}
			for s := range j.k {
				floats.AddScaled(c.Linear[s], share, linear[s])
				c.Intercept[s] += share * intercept[s]
			}
			if kern != nil {
				for _, b := range kern.Weights {
					floats.Scale(share, b)
				}
				c.Kernels = append(c.Kernels, *kern)
			}
		}
	}
	return c
}

// alpha is the prior of the weights of kinds.
var alpha = []float64{4, 2, 2}

// stack are the weights of kinds.
func (j *job) stack(scores [][]float64) []float64 {
	n, y := len(j.all.y), j.all.y
	w, u := make([]float64, len(scores)), make([]float64, len(scores))
	mixed, prob := make([]float64, n*j.k), make([]float64, j.k)
	t := make([]float64, j.k)
	slopes := make([]float64, len(scores))
	f := func(u, g []float64) float64 {
		proportions(w, u)
		clear(mixed)
		for i, s := range scores {
			floats.AddScaled(mixed, w[i], s)
		}
		clear(slopes)
		sum := 0.0
		for i := range n {
			copy(t, mixed[i*j.k:(i+1)*j.k])
			sum += j.link.loss(t, y[i:i+1], 1)
			j.link.coefs(t, prob, y[i:i+1], 1)
			for q, s := range scores {
				slopes[q] += floats.Dot(t, s[i*j.k:(i+1)*j.k])
			}
		}
		if j.classes == 0 {
			mean := 2*sum/float64(n) + tiny
			floats.Scale(1/mean, slopes)
			sum = float64(n) / 2 * math.Log(mean)
		}
		for q, v := range w {
			v = max(v, tiny)
			sum -= alpha[q] * math.Log(v)
			slopes[q] -= alpha[q] / v
		}
		mean := floats.Dot(w, slopes)
		for q, v := range w {
			g[q] = v * (slopes[q] - mean)
		}
		return sum
	}
	for q, a := range alpha {
		u[q] = math.Log(a)
	}
	proportions(w, lbfgs(u, f, 200))
	for q, v := range w {
		if v < leastWeight {
			w[q] = 0
		}
	}
	floats.Scale(1/floats.Sum(w), w)
	return w
}

// tiny keeps logarithms finite.
const tiny = 1e-12

// proportions sets w ∝ eᵘ.
func proportions(w, u []float64) {
	top, sum := slices.Max(u), 0.0
	for i, v := range u {
		w[i] = math.Exp(v - top)
		sum += w[i]
	}
	floats.Scale(1/sum, w)
}

func packRows(x *rows.Dense) [][]float64 {
	out := make([][]float64, x.N)
	for i := range out {
		out[i] = slices.Clone(x.Row(i))
	}
	return out
}

// Scores are the scores of rows, one row's after the other's.
func (c *Committee) Scores(x *rows.Dense) []float64 {
	k := len(c.Linear)
	out := make([]float64, x.N*k)
	for i := range x.N {
		for s := range k {
			out[i*k+s] = c.Intercept[s] + floats.Dot(c.Linear[s], x.Row(i))
		}
	}
	c.Part.Add(out, x)
	return out
}

// Add adds the scores of rows by the kernels to dst, k to a row.
func (p *Part) Add(dst []float64, x *rows.Dense) {
	if len(p.Kernels) == 0 {
		return
	}
	d, m, k := x.D, len(p.Landmarks), len(p.Kernels[0].Weights)
	z := rows.NewDense(m, d)
	for l, v := range p.Landmarks {
		copy(z.Row(l), v)
	}
	values, tmp, scaled := make([]float64, blockRows*m), make([]float64, blockRows*m), make([]float64, blockRows*d)
	for _, q := range p.Kernels {
		kern := newMatern(p.Groups, z)
		kern.set(q.LogScales)
		for lo := 0; lo < x.N; lo += blockRows {
			hi := min(lo+blockRows, x.N)
			n := hi - lo
			kern.values(values[:n*m], nil, scaled, tmp[:n*m], x, lo, hi)
			for i := range n {
				for s := range k {
					dst[(lo+i)*k+s] += kernel.Dot(q.Weights[s], values[i*m:(i+1)*m])
				}
			}
		}
	}
}

// Check reports what makes p unusable for rows of d features and models of k scores.
func (p *Part) Check(d, k int) error {
	if len(p.Groups) != d {
		return fmt.Errorf("groups of %d features where there are %d", len(p.Groups), d)
	}
	groups := 0
	for _, g := range p.Groups {
		if g < 0 || g >= d {
			return fmt.Errorf("a group %d of %d features", g, d)
		}
		groups = max(groups, g+1)
	}
	for l, z := range p.Landmarks {
		if len(z) != d {
			return fmt.Errorf("landmark %d has %d features where there are %d", l+1, len(z), d)
		}
	}
	for i, q := range p.Kernels {
		if len(q.LogScales) != groups || len(q.Weights) != k {
			return fmt.Errorf("kernel %d has %d length scales and %d lists of weights where there should be %d and %d", i+1,
				len(q.LogScales), len(q.Weights), groups, k)
		}
		for _, w := range q.Weights {
			if len(w) != len(p.Landmarks) {
				return fmt.Errorf("kernel %d has %d weights for %d landmarks", i+1, len(w), len(p.Landmarks))
			}
		}
	}
	return nil
}
