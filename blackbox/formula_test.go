package blackbox

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
)

// wavy has h(x) = Σ (x_j − 1)²(2 + cos 3x_j) in a box, with z* = 0.
func wavy() (p *bilevel.Problem, h func(x []float64) float64) {
	h = func(x []float64) float64 {
		s := 0.0
		for _, v := range x {
			s += (v - 1) * (v - 1) * (2 + math.Cos(3*v))
		}
		return s
	}
	g := &bilevel.Func{InnerDim: 1, OuterDim: 2,
		Eval:     func(z, _ []float64, _ bilevel.Batch) float64 { return z[0] * z[0] / 2 },
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) { dz[0] = z[0]; clear(dx) },
		HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { hv[0] = v[0] },
		CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { clear(cv) },
	}
	f := &bilevel.Func{InnerDim: 1, OuterDim: 2, Eval: func(_, x []float64, _ bilevel.Batch) float64 { return h(x) }}
	return &bilevel.Problem{Inner: g, Outer: f, Lower: []float64{-2, -4}, Upper: []float64{5, 3}}, h
}

// parzenAt is the density that is described at [TPE]: the mean of the uniform one and a Gaussian at each point,
// truncated to [lo, hi], as wide as the farther neighbour, at most the interval and at least its min(100, k + 1)-th
// part.
func parzenAt(x float64, points []float64, lo, hi float64) float64 {
	at := slices.Sorted(slices.Values(points))
	k := len(at)
	cdf := func(u float64) float64 { return math.Erfc(-u/math.Sqrt2) / 2 }
	sum := 1 / (hi - lo)
	for i, mu := range at {
		left, right := mu-lo, hi-mu
		if i > 0 {
			left = mu - at[i-1]
		}
		if i < k-1 {
			right = at[i+1] - mu
		}
		sigma := math.Min(math.Max(math.Max(left, right), (hi-lo)/math.Min(100, float64(k+1))), hi-lo)
		u := (x - mu) / sigma
		sum += math.Exp(-u*u/2) / math.Sqrt(2*math.Pi) / sigma / (cdf((hi-mu)/sigma) - cdf((lo-mu)/sigma))
	}
	return sum / float64(k+1)
}

// Every candidate of TPE: uniform ones first, then coordinate by coordinate the one with the largest l/g among draws
// from l, the density of the ⌈γn⌉ best points, g being that of the others.
func TestTPECandidatesAreTheFormula(t *testing.T) {
	for _, m := range []TPE{{}, {Startup: 5, Gamma: .3, Candidates: 4}, {Startup: 2, Gamma: .9, Candidates: 7}} {
		startup, gamma, draws := m.Startup, m.Gamma, m.Candidates
		if startup == 0 {
			startup, gamma, draws = 20, .15, 24
		}
		p, h := wavy()
		var points [][]float64 // best first
		rng := rand.New(rand.NewPCG(1, stream))
		for n, x := range candidates(t, m, p, 60) {
			good := min(int(math.Ceil(gamma*float64(n))), n-1)
			for j, got := range x {
				lo, hi := p.Lower[j], p.Upper[j]
				want := 0.0
				if n < startup {
					want = lo + rng.Float64()*(hi-lo)
				} else {
					column := make([]float64, n)
					for i, v := range points {
						column[i] = v[j]
					}
					l, best := newParzen(slices.Clone(column[:good]), lo, hi), math.Inf(-1)
					for range draws {
						v := l.draw(rng)
						ratio := parzenAt(v, column[:good], lo, hi) / parzenAt(v, column[good:], lo, hi)
						if ratio > best {
							best, want = ratio, v
						}
					}
				}
				if math.Abs(got-want) > 1e-12 {
					t.Fatalf("%+v: candidate %d has %v in coordinate %d, want %v", m, n, got, j, want)
				}
			}
			points = append(points, x)
			slices.SortStableFunc(points, func(a, b []float64) int { return cmp.Compare(h(a), h(b)) })
		}
	}
}

// solves records the tolerances that inner problems are solved to.
type solves struct {
	inner.Minimizer
	tol []float64
}

func (s *solves) Start(g bilevel.Objective, counts *bilevel.Counts) (inner.Minimizer, error) {
	var err error
	s.Minimizer, err = inner.Auto{}.Start(g, counts)
	return s, err
}

func (s *solves) Minimize(ctx context.Context, z, x []float64, tol float64) (inner.Result, error) {
	s.tol = append(s.tol, tol)
	return s.Minimizer.Minimize(ctx, z, x, tol)
}

// Inner problems are solved to Tol, 1e-8 where it is zero, times the larger of ‖∇z g‖ at z = 0 and at the start. A
// grid has 25 points.
func TestDefaults(t *testing.T) {
	p, _ := wavy()
	for _, c := range []struct{ tol, want float64 }{{0, 3e-8}, {1e-3, 3e-3}} {
		s := &solves{}
		run, err := Random{Solve{Solver: s, Tol: c.tol}}.Start(p, bilevel.Point{Z: []float64{-3}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(s.tol) != 1 || math.Abs(s.tol[0]-c.want) > 1e-12*c.want {
			t.Errorf("Tol %g: the inner problem is solved to %v, want %g", c.tol, s.tol, c.want)
		}
	}
	if n := len(candidates(t, Grid{}, p, 1000)); n != 25 {
		t.Errorf("a grid has %d points, want 25", n)
	}
}
