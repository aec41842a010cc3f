package nystrom

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// Kind is a kind of model that a committee has.
type Kind string

// The kinds: no kernel, a kernel with one length scale, and one with a length scale for each group of features.
const (
	Linear  Kind = "linear"
	Shared  Kind = "shared"
	Columns Kind = "columns"
)

// Kinds are all of them, in the order of Committee.Weights.
func Kinds() []Kind { return []Kind{Linear, Shared, Columns} }

// The prior of x, in nats: log s_g ~ N(mean, 1) about their mean, which is N(−log median distance of landmarks, 1.5²);
// log λ_k ~ N(0, 2.5²), and log λ_lin ~ N(−2, 3²): nearly separable classes want it below one, and where the rows of a
// fold are separable altogether nothing else keeps it from vanishing.
const (
	spreadSD   = 1.
	meanSD     = 1.5
	kernelSD   = 2.5
	linearMean = -2.
	linearSD   = 3.
	lowest     = -9. // bounds of every x_j
	highest    = 14.
	enough     = 1e-3 // nats that a step has to gain
	mostSteps  = 40
)

// search is the choice of x for one kind.
type search struct {
	v      []*validation // of divisions, whose mean counts
	kind   Kind
	places [][]int // in x of each variable
	size   int     // of x
	mean   float64 // of the prior of the mean of log s
	err    error
}

func newSearch(v []*validation, kind Kind, groups int, mean float64) *search {
	s := &search{v: v, kind: kind, mean: mean, size: groups + 2, places: [][]int{{0}, {1}}}
	switch kind {
	case Linear:
		s.places, s.size = [][]int{{0}}, 1
	case Shared:
		all := make([]int, groups)
		for g := range all {
			all[g] = g + 2
		}
		s.places = append(s.places, all)
	case Columns:
		for g := range groups {
			s.places = append(s.places, []int{g + 2})
		}
	}
	return s
}

// x is the outer variable of the search's variables.
func (s *search) x(u []float64) []float64 {
	x := make([]float64, s.size)
	for i, p := range s.places {
		for _, j := range p {
			x[j] = min(max(u[i], lowest), highest)
		}
	}
	return x
}

// prior is the negative logarithm of the prior; its gradient is added to grad.
func (s *search) prior(x, grad []float64) float64 {
	sum := 0.0
	normal := func(u, sd float64) (slope float64) {
		sum += u * u / (2 * sd * sd)
		return u / (sd * sd)
	}
	grad[0] += normal(x[0]-linearMean, linearSD)
	if s.kind == Linear {
		return sum
	}
	grad[1] += normal(x[1], kernelSD)
	scales := x[2:]
	n := float64(len(scales))
	mean := floats.Sum(scales) / n
	slope := normal(mean-s.mean, meanSD) / n
	for j, a := range scales {
		grad[2+j] += slope
		if s.kind == Columns {
			grad[2+j] += normal(a-mean, spreadSD)
		}
	}
	return sum
}

// at is what is minimised, with its gradient unless g is nil.
func (s *search) at(ctx context.Context, u, g []float64) float64 {
	x, full := s.x(u), make([]float64, s.size)
	var wanted []float64
	if g != nil {
		wanted = full
	}
	value := 0.0
	sum := make([]float64, s.size)
	share := 1 / float64(len(s.v))
	for _, v := range s.v {
		part, err := v.eval(ctx, wanted, x)
		if err != nil {
			s.err = err
			return math.NaN()
		}
		value += share * part
		floats.AddScaled(sum, share, full)
	}
	full = sum
	value += s.prior(x, full)
	for i := range g {
		g[i] = 0
		for _, j := range s.places[i] {
			g[i] += full[j]
		}
	}
	return value
}

// starts are points to begin the search from, the best of which is taken: a grid for the shared length scale, and for
// those of columns what before is, the result of the kind before. The linear model is among them.
func (s *search) starts(before []float64) (all [][]float64) {
	switch s.kind {
	case Linear:
		for _, l := range []float64{6, 4, 2, 0, -2, -4, -6} {
			all = append(all, []float64{l})
		}
	case Shared:
		for _, a := range []float64{-1.5, -.75, 0, .75} {
			for _, k := range []float64{2, 0, -2} {
				all = append(all, []float64{2, k, s.mean + a})
			}
		}
		for _, a := range []float64{-.75, .75} {
			for _, k := range []float64{4, 2, 0} {
				all = append(all, []float64{before[0], k, s.mean + a})
			}
		}
	case Columns:
		u := make([]float64, len(s.places))
		for i, p := range s.places {
			u[i] = before[p[0]]
		}
		all = [][]float64{u}
	}
	return all
}

// run returns the best x that it finds.
func (s *search) run(ctx context.Context, before []float64, steps int) ([]float64, error) {
	all := s.starts(before)
	u, least := all[0], math.Inf(1)
	if len(all) > 1 {
		for _, c := range all {
			if v := s.at(ctx, c, nil); v < least {
				least, u = v, c
			}
		}
	}
	u = lbfgs(u, func(u, g []float64) float64 { return s.at(ctx, u, g) }, steps)
	return s.x(u), s.err
}

// lbfgs minimises f, which returns its gradient in g, from u, until a step gains too little.
//
// Nocedal and Wright, Numerical optimization, 2nd edition, algorithm 7.5, with a search that halves steps or follows a
// parabola.
func lbfgs(u []float64, f func(u, g []float64) float64, steps int) []float64 {
	const memory = 10
	type pair struct {
		s, y []float64
		sy   float64
	}
	n := len(u)
	g, dir := make([]float64, n), make([]float64, n)
	value := f(u, g)
	var pairs []pair
	alpha := make([]float64, memory)
	for range steps {
		copy(dir, g)
		for i, p := range slices.Backward(pairs) {
			alpha[i] = floats.Dot(p.s, dir) / p.sy
			floats.AddScaled(dir, -alpha[i], p.y)
		}
		longest := 1.
		if k := len(pairs) - 1; k >= 0 {
			floats.Scale(pairs[k].sy/floats.Dot(pairs[k].y, pairs[k].y), dir)
			longest = 2
		}
		for i, p := range pairs {
			floats.AddScaled(dir, alpha[i]-floats.Dot(p.y, dir)/p.sy, p.s)
		}
		slope := floats.Dot(g, dir)
		if !(slope > 2*enough) {
			return u
		}
		step := min(1, longest/floats.Norm(dir, math.Inf(1)))
		next := pair{s: make([]float64, n), y: make([]float64, n)}
		at := make([]float64, n)
		after := math.NaN()
		for range 12 {
			floats.AddScaledTo(at, u, -step, dir)
			after = f(at, next.y)
			if after <= value-1e-4*step*slope {
				break
			}
			if math.IsNaN(after) {
				return u
			}
			step = min(max(step*step*slope/(2*(after-value+step*slope)), step/10), step/2)
		}
		gain := value - after
		if !(gain > 0) {
			return u
		}
		floats.SubTo(next.s, at, u)
		grad := slices.Clone(next.y)
		floats.Sub(next.y, g)
		if next.sy = floats.Dot(next.s, next.y); next.sy > 1e-10*floats.Dot(next.y, next.y) {
			if pairs = append(pairs, next); len(pairs) > memory {
				pairs = pairs[1:]
			}
		}
		u, g, value = at, grad, after
		if gain < enough {
			return u
		}
	}
	return u
}
