package nonsmooth

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Along a path of strengths the columns of the Hessian find what the rows find: the duality gap of every lasso, by the
// rows, is nought, with and without room for columns, alone and in folds.
func TestPathOfColumns(t *testing.T) {
	for _, c := range []struct {
		n, d, folds int
		common      float64 // of the columns, which are correlated
		room        int
	}{
		{40, 90, 1, 0, mostGram},
		{40, 90, 1, 2, mostGram},
		{150, 30, 1, 1, mostGram},
		{150, 60, 3, 1, mostGram},
		{40, 90, 1, 0, 90 * 12}, // there is room for the first points only
		{150, 60, 3, 1, 0},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, uint64(c.d)))
			a, y := rows.NewDense(c.n, c.d), make([]float64, c.n)
			for i := range c.n {
				common := c.common * rng.NormFloat64()
				for j, r := 0, a.Row(i); j < c.d; j++ {
					r[j] = common + rng.NormFloat64()
				}
				y[i] = a.Row(i)[0] - a.Row(i)[1] + .5*a.Row(i)[2] + rng.NormFloat64()
			}
			loss, err := model.NewSquared(a, y, 1)
			if err != nil {
				t.Fatal(err)
			}
			g, bounds := bilevel.SecondOrder(loss), []int{0, 0}
			if c.folds > 1 {
				bounds = []int{0, c.n / 5, c.n / 2, c.n}
				folds, err := model.NewFolds(loss, bounds)
				if err != nil {
					t.Fatal(err)
				}
				g = folds.Inner
			}
			l1, err := model.NewL1(loss.Layout(), model.Shared, model.PenaltyOptions{Copies: c.folds})
			if err != nil {
				t.Fatal(err)
			}
			p := &Composite{G: g, L1: l1}
			for _, piece := range p.divide() {
				piece.gram.room = c.room
			}
			min, err := ProxNewton{}.Start(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			z := make([]float64, c.d*c.folds)
			for x := 1.5; x > -7; x -= .5 {
				if _, err := min.Minimize(context.Background(), z, []float64{x}, 1e-10); err != nil {
					t.Fatal(err)
				}
				for f := range c.folds {
					lo, hi := bounds[f], bounds[f+1]
					if gap := gapOf(a, y, lo, hi, z[f*c.d:(f+1)*c.d], math.Exp(x)); !(gap < 1e-9) {
						t.Errorf("x = %v: the duality gap of fold %d is %g", x, f, gap)
					}
				}
			}
			if kept := p.divide()[0].gram != nil; kept != (c.room == mostGram) {
				t.Errorf("columns are kept: %v", kept)
			}
		})
	}
}

// gapOf is the duality gap of the lasso ½‖Az − y‖²/m + λ‖z‖₁ on the m rows outside [lo, hi): with r = y − Az and
// θ = r·s such that |Aᵀθ|/m ≤ λ, it is the objective less (yᵀθ − ½‖θ‖²)/m.
func gapOf(a *rows.Dense, y []float64, lo, hi int, z []float64, lambda float64) float64 {
	m, squares, most, norm := 0.0, 0.0, 0.0, 0.0
	gradient := make([]float64, a.D)
	var r, target []float64
	for i := range a.N {
		if lo <= i && i < hi {
			continue
		}
		e := y[i]
		for j, v := range a.Row(i) {
			e -= v * z[j]
		}
		m++
		squares += e * e
		r, target = append(r, e), append(target, y[i])
		for j, v := range a.Row(i) {
			gradient[j] += v * e
		}
	}
	for j, g := range gradient {
		most = max(most, math.Abs(g)/m)
		norm += math.Abs(z[j])
	}
	s := min(1, lambda/most)
	dual := 0.0
	for i, e := range r {
		dual += (target[i]*e*s - e*e*s*s/2) / m
	}
	return squares/2/m + lambda*norm - dual
}
