package bench

import (
	"math"
	"slices"
	"strings"
)

// Results are the runs of a bench, by problem and method.
type Results struct{ Problems []ProblemResults }

// ProblemResults are the runs on one problem.
type ProblemResults struct {
	Problem string
	// Best is h*: the smallest h of any run, or the known one where that is smaller, less 1e-10, so that h − h* has a
	// logarithm.
	Best   float64
	Groups []Group
}

// Group are the runs of one method with one set of parameters, by seed.
type Group struct {
	Method, Algorithm string
	Params            string // as in batch=64 inner=0.125
	Traces            []*Trace
}

const bestMargin = 1e-10

// NewResults groups traces, which [ReadTraces] has ordered.
func NewResults(traces []*Trace) *Results {
	r := &Results{}
	for _, t := range traces {
		if n := len(r.Problems); n == 0 || r.Problems[n-1].Problem != t.Problem {
			r.Problems = append(r.Problems, ProblemResults{Problem: t.Problem, Best: math.Inf(1)})
		}
		p := &r.Problems[len(r.Problems)-1]
		params := describeJSON(t.Params)
		if n := len(p.Groups); n == 0 || p.Groups[n-1].Method != t.Method || p.Groups[n-1].Algorithm != t.Algorithm ||
			p.Groups[n-1].Params != params {
			p.Groups = append(p.Groups, Group{Method: t.Method, Algorithm: t.Algorithm, Params: params})
		}
		g := &p.Groups[len(p.Groups)-1]
		g.Traces = append(g.Traces, t)
		if t.Known.finite() {
			p.Best = min(p.Best, float64(t.Known))
		}
		for _, at := range t.Points {
			if at.Value.finite() {
				p.Best = min(p.Best, float64(at.Value))
			}
		}
	}
	for i := range r.Problems {
		if p := &r.Problems[i]; math.IsInf(p.Best, 0) {
			p.Best = math.NaN()
		} else {
			p.Best -= bestMargin
		}
	}
	return r
}

// Reached is the first record of t at which h − best ≤ target, nil if there is none.
func (t *Trace) Reached(best, target float64) *Point {
	for i, p := range t.Points {
		if float64(p.Value)-best <= target {
			return &t.Points[i]
		}
	}
	return nil
}

// Last is h at the last record, +Inf for a run that did not end well or knows none.
func (t *Trace) Last() float64 {
	if t.Status != Done || len(t.Points) == 0 {
		return math.Inf(1)
	}
	if v := t.Points[len(t.Points)-1].Value; v.finite() {
		return float64(v)
	}
	return math.Inf(1)
}

// To is what a group took to reach a target.
type To struct {
	Target            float64
	Runs, Reached     int
	Seconds, Samples  Spread // +Inf where too few runs got there
	secondsOf, visits []float64
}

// Spread is a median and the 20% and 80% quantiles.
type Spread struct{ Low, Median, High float64 }

// To is what the runs of g took until h − best ≤ target. A run that did not get there took for ever.
func (g Group) To(best, target float64) To {
	to := To{Target: target, Runs: len(g.Traces)}
	for _, t := range g.Traces {
		seconds, samples := math.Inf(1), math.Inf(1)
		if p := t.Reached(best, target); p != nil {
			to.Reached++
			seconds, samples = p.Seconds, float64(p.Counts.Total())
		}
		to.secondsOf, to.visits = append(to.secondsOf, seconds), append(to.visits, samples)
	}
	to.Seconds, to.Samples = spread(to.secondsOf), spread(to.visits)
	return to
}

// LastMedian is the median over seeds of the last h, +Inf where most runs did not end well.
func (g Group) LastMedian() float64 {
	var last []float64
	for _, t := range g.Traces {
		last = append(last, t.Last())
	}
	return spread(last).Median
}

// spread sorts values, which may hold +Inf.
func spread(values []float64) Spread {
	slices.Sort(values)
	return Spread{quantile(values, .2), quantile(values, .5), quantile(values, .8)}
}

// quantile is that of sorted values, interpolated between neighbours at position (n − 1)p. Between a number and +Inf
// there is +Inf.
func quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := p * float64(len(sorted)-1)
	i := int(at)
	w := at - float64(i)
	if w < 1e-12 || i+1 == len(sorted) {
		return sorted[i]
	}
	if math.IsInf(sorted[i+1], 1) {
		return math.Inf(1)
	}
	return sorted[i] + w*(sorted[i+1]-sorted[i])
}

// Choose returns p with the best parameters of each method only: those whose median run reaches the smallest of the
// targets first; where no parameters of the method do, those that reach the next one; and where they reach none,
// those with the smallest median of the last h. Parameters with which a run does not end well come last.
func (p ProblemResults) Choose(targets []float64) ProblemResults {
	return p.bestBy(targets, func(g Group) string { return g.Method })
}

// PerAlgorithm returns p with the best group of each algorithm only, by the same rule, whatever its methods are called.
func (p ProblemResults) PerAlgorithm(targets []float64) ProblemResults {
	return p.bestBy(targets, func(g Group) string { return g.Algorithm })
}

// bestBy keeps the best of the groups with the same key.
func (p ProblemResults) bestBy(targets []float64, key func(Group) string) ProblemResults {
	order := slices.Clone(targets)
	slices.Sort(order)
	best := p
	best.Groups = nil
	for _, g := range p.Groups {
		i := slices.IndexFunc(best.Groups, func(b Group) bool { return key(b) == key(g) })
		switch {
		case i < 0:
			best.Groups = append(best.Groups, g)
		case g.better(best.Groups[i], p.Best, order):
			best.Groups[i] = g
		}
	}
	return best
}

func (g Group) better(other Group, best float64, targets []float64) bool {
	if well, otherWell := g.endsWell(), other.endsWell(); well != otherWell {
		return well
	}
	for _, target := range targets {
		a, b := g.To(best, target).Seconds.Median, other.To(best, target).Seconds.Median
		if a != b {
			return a < b
		}
	}
	return g.LastMedian() < other.LastMedian()
}

// endsWell says that no run of g diverged or failed.
func (g Group) endsWell() bool {
	return !slices.ContainsFunc(g.Traces, func(t *Trace) bool { return t.Status != Done })
}

// Failures are the runs that did not end well.
func (r *Results) Failures() []*Trace {
	var list []*Trace
	for _, p := range r.Problems {
		for _, g := range p.Groups {
			for _, t := range g.Traces {
				if t.Status != Done {
					list = append(list, t)
				}
			}
		}
	}
	return list
}

// Title is the method and its parameters.
func (g Group) Title() string { return strings.TrimSpace(g.Method + " " + g.Params) }
