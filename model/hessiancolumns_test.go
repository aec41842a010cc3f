package model_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Columns of the Hessian of a squared loss, and what x adds to its diagonal, are those of its products; other losses
// say that they have none. The parts of folds are the models that leave a fold out.
func TestHessianColumns(t *testing.T) {
	const n, d = 700, 41
	dense, csr := table(n, d, 8)
	rng := rand.New(rand.NewPCG(2, 3))
	for _, c := range lossCases(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			loss := must(c.make(a, 1))(t)
			o := model.PenaltyOptions{Intercept: true, Copies: 3}
			folds := must(model.NewFolds(loss, []int{0, 300, 301, n}))(t)
			both := must(model.Regularize(folds.Inner, must(model.NewPenalty(loss.Layout(), model.Shared, o))(t)))(t)
			parts := append([]bilevel.SecondOrder{loss}, folds.Inner.Parts()...)
			for k, g := range append(parts, both.Parts()...) {
				t.Run(fmt.Sprintf("%s/%T/%d", c.name, a, k), func(t *testing.T) {
					q := g.(interface {
						HessianColumns(dst []float64, set []int) bool
						HessianDiagonal(dst, x []float64)
					})
					if quadratic := q.HessianColumns(nil, nil); quadratic != (c.name == "squared") {
						t.Fatalf("quadratic: %v", quadratic)
					} else if !quadratic {
						return
					}
					dim, _ := g.Dims()
					set := rng.Perm(dim)[:19]
					x, z := []float64{-.4}, normal(dim, rng)
					columns, diagonal := normal(dim*len(set), rng), normal(dim, rng)
					q.HessianColumns(columns, set)
					q.HessianDiagonal(diagonal, x)
					want := make([]float64, dim)
					for e, j := range set {
						unit := make([]float64, dim)
						unit[j] = 1
						g.Products(nil, want, nil, z, x, unit, bilevel.All(g))
						got := columns[e*dim : (e+1)*dim]
						got[j] += diagonal[j]
						if diff := maxDiff(got, want); !(diff < 1e-13) {
							t.Fatalf("column %d is %v off", j, diff)
						}
					}
				})
			}
		}
	}
}
