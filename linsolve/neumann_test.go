package linsolve_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
)

// The sum η Σ_{i<P} (I − ηA)^i b, whatever the start.
func TestNeumannTerms(t *testing.T) {
	const n, eta = 6, .3
	a := asymmetric(rand.New(rand.NewPCG(4, 9)), n, .8)
	b := []float64{1, 2, 3, -4, 5, -6}
	want, term, at := make([]float64, n), append([]float64(nil), b...), make([]float64, n)
	for terms := 1; terms <= 5; terms++ {
		a.MulVec(at, term)
		for i := range want {
			want[i] += eta * term[i]
			term[i] -= eta * at[i]
		}
		x := []float64{9, 8, 7, 6, 5, 4}
		res, err := linsolve.Neumann{Terms: terms, Scale: eta}.Solve(context.Background(), a, x, b, 0, nil)
		if err != nil || !res.Converged || res.Products != terms || distance(x, want) > 1e-14*norm(want) {
			t.Errorf("%d terms: x = %v, want %v: %+v, %v", terms, x, want, res, err)
		}
	}
}
