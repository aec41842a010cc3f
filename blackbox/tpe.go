package blackbox

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/stat/distuv"
)

// TPE evaluates h where points have been good before: a tree-structured Parzen estimator.
//
// The first Startup candidates are uniform in the box. After them the evaluated points are divided into the
// ⌈Gamma·n⌉ with the smallest h and the others. For each coordinate by itself, l and g are the densities of
// the two groups, Candidates values are drawn from l, and the one with the largest l/g is taken: that of the
// largest expected improvement.
//
// A density is the mean of the uniform one and of one Gaussian, truncated to the interval of the coordinate, at
// each point of the group. A Gaussian is as wide as the distance to the farther of the two neighbours in the
// group, the bounds counting as neighbours, but no wider than the interval and no narrower than its
// min(100, k + 1)-th part, with k points in the group.
//
// It assumes that x has finite bounds. Cost per step, the n-th: one inner solve, one value of f, one or two
// gradients of g for the scale of the tolerance, and p·Candidates·n values of Gaussians. Memory: 4d + 2p numbers,
// n(p + 1) and what the inner solver needs. It does not end by itself: give it a budget.
//
// Bergstra, Bardenet, Bengio, Kégl, Algorithms for hyper-parameter optimization, 2011, sections 4 and 4.2.
type TPE struct {
	// Startup is the number of uniform draws at the beginning. The default is 20.
	Startup int
	// Gamma is the part of the evaluated points that is good, between 0 and 1. The default is 0.15.
	Gamma float64
	// Candidates is the number of values of each coordinate from which one is chosen. The default is 24.
	Candidates int
	Solve
}

var _ bilevel.Method = TPE{}

// Start begins a run.
func (m TPE) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if m.Startup == 0 {
		m.Startup = 20
	}
	if m.Gamma == 0 {
		m.Gamma = 0.15
	}
	if m.Candidates == 0 {
		m.Candidates = 24
	}
	switch {
	case m.Startup < 2:
		return nil, fmt.Errorf("blackbox: Startup is %d; there must be at least 2 points, a good one and another", m.Startup)
	case !(m.Gamma > 0 && m.Gamma < 1):
		return nil, fmt.Errorf("blackbox: Gamma is %v; it must lie between 0 and 1", m.Gamma)
	case m.Candidates < 1:
		return nil, fmt.Errorf("blackbox: Candidates is %d; it must be positive", m.Candidates)
	}
	s, err := newSearch(m.Solve, p, at)
	if err != nil {
		return nil, err
	}
	r := &tpeRun{search: s, TPE: m}
	r.pcg.Seed(seed, stream)
	return r, nil
}

type tpeRun struct {
	*search
	TPE
	pcg    rand.PCG
	values []float64 // h of all candidates, +Inf where it is not finite
	points []float64 // their x, one after the other
}

// Step evaluates one point.
func (r *tpeRun) Step(ctx context.Context) error {
	rng := rand.New(&r.pcg)
	if len(r.values) < r.Startup {
		r.uniform(rng)
	} else {
		r.suggest(rng)
	}
	h, err := r.evaluate(ctx)
	r.points = append(r.points, r.x...)
	r.values = append(r.values, h)
	return err
}

// suggest sets the candidate to where l/g is large.
func (r *tpeRun) suggest(rng *rand.Rand) {
	n, p := len(r.values), len(r.x)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch ha, hb := r.values[a], r.values[b]; {
		case ha < hb:
			return -1
		case ha > hb:
			return 1
		}
		return 0
	})
	good := min(int(math.Ceil(r.Gamma*float64(n))), n-1)
	group := make([]float64, n)
	for j := range r.x {
		lo, hi := r.p.Lower[j], r.p.Upper[j]
		if lo == hi {
			r.x[j] = lo
			continue
		}
		for i, k := range order {
			group[i] = r.points[k*p+j]
		}
		l, g := newParzen(group[:good], lo, hi), newParzen(group[good:], lo, hi)
		best := math.Inf(-1)
		for range r.Candidates {
			x := l.draw(rng)
			if score := math.Log(l.density(x)) - math.Log(g.density(x)); score > best {
				best, r.x[j] = score, x
			}
		}
	}
}

// State lists the run's variables.
func (r *tpeRun) State(s *bilevel.State) {
	r.state(s)
	s.Binary(&r.pcg)
	s.Floats(&r.values)
	s.Floats(&r.points)
	if len(r.points) != len(r.values)*len(r.x) {
		s.Fail(fmt.Errorf("blackbox: the checkpoint has %d numbers for %d points of length %d",
			len(r.points), len(r.values), len(r.x)))
		return
	}
	for i, v := range r.points {
		if j := i % len(r.x); !(v >= r.p.Lower[j] && v <= r.p.Upper[j]) {
			s.Fail(fmt.Errorf("blackbox: the checkpoint has a point with x[%d] = %v, outside the box", j, v))
			return
		}
	}
}

// parzen is the mean of a uniform density on [lo, hi] and of Gaussians truncated to it.
type parzen struct {
	lo, hi    float64
	mu, sigma []float64
	below     []float64 // Φ((lo − μ)/σ)
	mass      []float64 // of the whole Gaussian within [lo, hi]
}

// newParzen sorts at, the points of a group, and leaves it to the density.
func newParzen(at []float64, lo, hi float64) parzen {
	k := len(at)
	d := parzen{lo: lo, hi: hi, mu: slices.Clone(at), sigma: make([]float64, k), below: make([]float64, k),
		mass: make([]float64, k)}
	slices.Sort(d.mu)
	narrowest := (hi - lo) / float64(min(100, k+1))
	for i, mu := range d.mu {
		left, right := lo, hi
		if i > 0 {
			left = d.mu[i-1]
		}
		if i+1 < k {
			right = d.mu[i+1]
		}
		d.sigma[i] = min(max(mu-left, right-mu, narrowest), hi-lo)
		d.below[i] = distuv.UnitNormal.CDF((lo - mu) / d.sigma[i])
		d.mass[i] = distuv.UnitNormal.CDF((hi-mu)/d.sigma[i]) - d.below[i]
	}
	return d
}

// density is that at x in [lo, hi].
func (d *parzen) density(x float64) float64 {
	sum := 1 / (d.hi - d.lo)
	for i, mu := range d.mu {
		u := (x - mu) / d.sigma[i]
		sum += math.Exp(-u*u/2) / (math.Sqrt(2*math.Pi) * d.sigma[i] * d.mass[i])
	}
	return sum / float64(len(d.mu)+1)
}

// draw draws from the density.
func (d *parzen) draw(rng *rand.Rand) float64 {
	i := rng.IntN(len(d.mu) + 1)
	u := rng.Float64()
	if i == len(d.mu) {
		return min(d.lo+u*(d.hi-d.lo), d.hi)
	}
	// The inverse of the truncated distribution function.
	x := d.mu[i] + d.sigma[i]*distuv.UnitNormal.Quantile(d.below[i]+u*d.mass[i])
	return min(max(x, d.lo), d.hi)
}
