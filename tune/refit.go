package tune

import (
	"context"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel/rows"
)

// refit solves the inner problem on all rows of s with strengths x, from z: the model of the training rows, or the mean
// of the models of the folds; solved says that there was time for it.
func (f *fit) refit(ctx context.Context, s split, kind Reg, x, z []float64) (model []float64, solved bool, err error) {
	all := s.all
	if all == nil {
		all = s.train
	}
	q, err := f.problem(split{train: all}, kind)
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
	copies := len(z) / len(model)
	for k := range copies {
		floats.AddScaled(model, 1/float64(copies), z[k*len(model):(k+1)*len(model)])
	}
	solved, err = solve(ctx, solver, model, x, tol)
	return model, solved, err
}

// figures are what a model does on rows that it was not fitted to.
type figures struct {
	val, test *judged   // test is nil if there are no test rows
	z         []float64 // the model, which test judges
	refitted  bool      // to all rows; val judges those that were fitted without them
}

// figures are those of z, as learned on the split.
func (f *fit) figures(kind Reg, x, z []float64) (*figures, error) {
	g := &figures{val: f.validation(f.main, z), z: z}
	if g.refitted = f.main.folds() > 0 || f.main.all != nil; g.refitted {
		var err error
		if g.z, _, err = f.refit(f.closing, f.main, kind, x, z); err != nil {
			return nil, err
		}
	}
	if f.test != nil {
		g.test = f.judge(f.test, g.z)
	}
	return g, nil
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
	floats.Scale(f.units.loss/(f.units.t.unit*f.units.t.unit), value) // beside the loss of the file's targets
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
