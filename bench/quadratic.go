package bench

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
)

// quadratic is a random pair of quadratics whose solution is known, see bileveltest.Quadratic: the `simulated`
// problem of benchmark_bilevel (Dagréou et al. 2022). Runs start at z and x drawn from N(0, 1).
type quadratic struct {
	// Inner and Outer are the lengths of z and x, Terms and Validation the numbers of terms of g and f.
	Inner, Outer, Terms, Validation int
	// Seed is that of the problem, which all runs share.
	Seed uint64
}

func (quadratic) about() string {
	return "random quadratics in z and x, h* in closed form"
}

func (quadratic) sets() []string { return nil }

func (q quadratic) load(context.Context, string) (*instance, error) {
	least := 2 * (q.Inner + q.Outer)
	if q.Inner < 1 || q.Outer < 1 || q.Terms < least || q.Validation < least {
		return nil, fmt.Errorf("bench: a quadratic of inner %d, outer %d, terms %d, validation %d: lengths must be positive, and terms and validation at least 2(inner + outer)",
			q.Inner, q.Outer, q.Terms, q.Validation)
	}
	c := bileveltest.Quadratic(q.Inner, q.Outer, q.Terms, q.Validation, q.Seed)
	return &instance{
		problem: c.Problem,
		start: func(seed uint64) bilevel.Point {
			rng := rand.New(rand.NewPCG(seed, 1))
			return bilevel.Point{Z: gaussians(rng, q.Inner), X: gaussians(rng, q.Outer)}
		},
		evaluator: func() (bilevel.Evaluator, error) { return c, nil },
		best:      c.Value,
	}, nil
}

// gaussians are n draws of N(0, 1).
func gaussians(rng *rand.Rand, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = rng.NormFloat64()
	}
	return s
}
