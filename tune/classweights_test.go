package tune

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
)

// The gradient of the validation loss by the logarithms of the weights of classes, and by the strength, is that of
// differences, on validation rows and in folds that are repeated, with weights of rows.
func TestClassWeightGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n, d, k = 60, 3, 3
	s := &dataset.Set{X: rows.NewDense(n, d), Y: make([]float64, n), Classes: []string{"a", "b", "c"}, Source: "drawn",
		Schema: &dataset.Schema{Format: "npy", Width: d}}
	for i := range n {
		for j := range d {
			s.X.(*rows.Dense).Row(i)[j] = r.NormFloat64()
		}
		s.Y[i] = float64(i % k)
		s.X.(*rows.Dense).Row(i)[i%k] += .7
		s.Weights = append(s.Weights, float64(1+i%2))
	}
	train, val, err := s.Split(.5, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]Data{"rows": {Train: train, Val: val}, "folds": {Train: s}} {
		o, err := Options{ClassWeights: learnedWeights, Reg: Shared}.fill()
		if err != nil {
			t.Fatal(err)
		}
		f, err := prepare(data, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		f.asked, f.ctx, f.closing = ctx, ctx, ctx
		q, err := f.classWeightProblem()
		if err != nil {
			t.Fatal(err)
		}
		h := func(x []float64) float64 {
			z := make([]float64, q.layout.Len()*q.copies)
			solver, err := f.solver(q)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := solver.Minimize(ctx, z, x, 1e-12); err != nil {
				t.Fatal(err)
			}
			return q.Outer.Value(z, x, bilevel.All(q.Outer))
		}
		x := []float64{0, -.3, .4, -2} // the first class is held
		l, err := f.exact(ctx, q, x, make([]float64, q.layout.Len()*q.copies), nil)
		if err != nil {
			t.Fatal(err)
		}
		for j := range x {
			const step = 1e-4
			up, down := slices.Clone(x), slices.Clone(x)
			up[j], down[j] = x[j]+step, x[j]-step
			if want := (h(up) - h(down)) / (2 * step); math.Abs(l.grad[j]-want) > 1e-6 {
				t.Errorf("%s: derivative %d is %v, by differences %v", name, j, l.grad[j], want)
			}
		}
		if q.Lower[0] != 0 || q.Upper[0] != 0 || q.Lower[1] != -mostLogWeight || q.Lower[k] != o.Box.Lower {
			t.Errorf("%s: bounds %v and %v", name, q.Lower, q.Upper)
		}
	}
}
