package tune

import (
	"context"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel/rows"
)

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

// restore gives strengths and coefficients the features that were left out. Their strengths are the shared one, x0.
func (f *fit) restore(q *problem, kind Reg, x, z []float64, x0 float64) (*problem, []float64, []float64, error) {
	if f.kept == nil {
		return q, x, z, nil
	}
	f.d += f.full.X.(*rows.CSR).D - q.layout.Features
	all, err := f.problem(split{train: f.full}, kind)
	if err != nil {
		return nil, nil, nil, err
	}
	all.Lower, all.Upper = q.Lower, q.Upper
	allX, allZ := f.baseline(kind, x0), make([]float64, all.layout.Len())
	terms, allTerms := q.terms(), all.terms()
	put := func(c, j, as int) {
		from, to := q.layout.Index(c, j), all.layout.Index(c, as)
		allZ[to] = z[from]
		for k, t := range terms {
			if s := t.Strength(from); s >= 0 {
				allX[allTerms[k].Strength(to)] = x[s]
			}
		}
	}
	for c := range f.scores {
		for j, as := range f.kept {
			put(c, j, as)
		}
		if f.intercept {
			put(c, len(f.kept), f.d)
		}
	}
	return all, allX, allZ, nil
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
