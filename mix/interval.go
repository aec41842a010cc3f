package mix

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
)

// difference is the step of the differences of ∇h that make its Hessian.
const difference = 1e-3

// intervals are the 95% intervals of the weights at the minimum l, see the package documentation.
func (f *fit) intervals(ctx context.Context, p *problem, l *learned) (low, high []float64, err error) {
	m := len(p.use)
	hessian, gradient, err := p.parabola(ctx, l.x)
	if err != nil {
		return nil, nil, err
	}
	rows, err := p.rowGradients(ctx, l.x, l.z)
	if err != nil {
		return nil, nil, err
	}
	// The strength goes where it is best for the weights, unless a bound holds it.
	box := f.box()
	slope := make([]float64, m)
	if s := hessian[m][m]; s > 0 && l.x[m] > box.Lower && l.x[m] < box.Upper {
		for a := range slope {
			slope[a] = hessian[a][m] / s
		}
	}
	q := quadratic{hessian: make([][]float64, m)}
	for a := range q.hessian {
		q.hessian[a] = make([]float64, m)
		for b := range m {
			q.hessian[a][b] = hessian[a][b] - slope[a]*hessian[m][b]
		}
	}
	reduced := make([][]float64, len(rows))
	for i, g := range rows {
		reduced[i] = make([]float64, m)
		for a := range m {
			reduced[i][a] = g[a] - slope[a]*g[m]
		}
	}
	centre, mean := make([]float64, m), make([]float64, m)
	for a := range m {
		centre[a] = gradient[a] - slope[a]*gradient[m]
		for i := range reduced {
			mean[a] += reduced[i][a] / float64(len(rows))
		}
	}
	drawn := make([][]float64, m)
	random := generator(f.o.Seed)
	w, g := make([]float64, m), make([]float64, m)
	for range draws {
		floats.SubTo(g, centre, mean)
		for range rows {
			floats.AddScaled(g, 1/float64(len(rows)), reduced[random.IntN(len(rows))])
		}
		copy(w, l.x[:m])
		q.minimize(w, g)
		for a, v := range w {
			drawn[a] = append(drawn[a], v)
		}
	}
	low, high = make([]float64, m), make([]float64, m)
	for a := range m {
		slices.Sort(drawn[a])
		low[a] = min(drawn[a][draws*25/1000], l.x[a])
		high[a] = max(drawn[a][draws*975/1000-1], l.x[a])
	}
	return low, high, nil
}

// parabola is the Hessian and the gradient of h at x.
func (p *problem) parabola(ctx context.Context, x []float64) (hessian [][]float64, gradient []float64, err error) {
	v := hypergrad.Evaluator{Problem: &p.Problem}
	gradient = make([]float64, len(x))
	if _, err := v.Evaluate(ctx, gradient, x); err != nil {
		return nil, nil, err
	}
	for a := range x {
		to, row := slices.Clone(x), make([]float64, len(x))
		to[a] += difference
		if _, err := v.Evaluate(ctx, row, to); err != nil {
			return nil, nil, err
		}
		floats.Sub(row, gradient)
		floats.Scale(1/difference, row)
		hessian = append(hessian, row)
	}
	for a := range hessian {
		for b := range a {
			v := (hessian[a][b] + hessian[b][a]) / 2
			hessian[a][b], hessian[b][a] = v, v
		}
	}
	return hessian, gradient, nil
}

// rowGradients are, for each target row, the derivatives by x of its loss with the model that it did not train:
// −⟨∂ℓ_i/∂t, A_i u_j⟩ with u_j = (∇²zz g)⁻¹ ∂∇z g/∂x_j. Their mean is ∇h.
func (p *problem) rowGradients(ctx context.Context, x, z []float64) ([][]float64, error) {
	g := p.mixture
	d, n := g.Dims()
	k, all := g.Layout().Classes, bilevel.All(g)
	length := g.Layout().Len()
	out := make([][]float64, len(p.target.Y))
	for i := range out {
		out[i] = make([]float64, n)
	}
	bounds := p.bounds
	if bounds == nil {
		bounds = []int{0, len(out)}
	}
	g.Linearize(z, x, all)
	hessian := linsolve.OperatorFunc(func(dst, v []float64) { g.Apply(dst, nil, v) })
	unit, cross, u := make([]float64, n), make([]float64, d), make([]float64, d)
	var work linsolve.Workspace
	for j := range n {
		clear(unit)
		unit[j] = 1
		g.Cross(cross, z, x, unit, all)
		clear(u)
		if _, err := (linsolve.CG{}).Solve(ctx, hessian, u, cross, 1e-6, &work); err != nil {
			return nil, err
		}
		for f := range len(bounds) - 1 {
			lo, hi := bounds[f], bounds[f+1]
			coefs := make([]float64, k*(hi-lo))
			p.loss.Coefs(coefs, nil, nil, z[f*length:(f+1)*length], x, nil, bilevel.Batch{Lo: lo, Hi: hi})
			scores := model.ScoreRows(span(p.target, lo, hi).X, u[f*length:(f+1)*length], k)
			for i := range hi - lo {
				for c := range k {
					out[lo+i][j] -= coefs[c*(hi-lo)+i] * scores[i*k+c]
				}
			}
		}
	}
	return out, nil
}

// quadratic is ½⟨δ, Hδ⟩ + ⟨g, δ⟩ over the simplex, δ the way from a point of it.
type quadratic struct{ hessian [][]float64 }

// minimize replaces w, a point of the simplex with the gradient g, by the minimiser: weight goes from one entry to
// another, the two with the largest difference of slopes, as far as that pays. It overwrites g by the gradient there.
func (q quadratic) minimize(w, g []float64) {
	for range 100 * len(w) {
		to, from := -1, -1
		for a := range w {
			if to < 0 || g[a] < g[to] {
				to = a
			}
			if w[a] > 0 && (from < 0 || g[a] > g[from]) {
				from = a
			}
		}
		fall := g[from] - g[to]
		if !(fall > 1e-12) {
			return
		}
		bend := q.hessian[to][to] + q.hessian[from][from] - 2*q.hessian[to][from]
		step := w[from]
		if bend > 0 {
			step = math.Min(step, fall/bend)
		}
		if w[to] += step; step == w[from] {
			w[from] = 0
		} else {
			w[from] -= step
		}
		for a := range g {
			g[a] += step * (q.hessian[a][to] - q.hessian[a][from])
		}
	}
}
