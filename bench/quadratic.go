package bench

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	quadratics "github.com/bilevel-go/bilevel/internal/quadratic"
)

// quadratic is a random pair of quadratics whose solution is known, see internal/quadratic: the `simulated`
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

func (q quadratic) load(_ context.Context, from dataset.GetOptions) (*instance, error) {
	least := 2 * (q.Inner + q.Outer)
	if q.Inner < 1 || q.Outer < 1 || q.Terms < least || q.Validation < least {
		return nil, fmt.Errorf("bench: a quadratic of inner %d, outer %d, terms %d, validation %d: lengths must be "+
			"positive, and terms and validation at least 2(inner + outer)", q.Inner, q.Outer, q.Terms, q.Validation)
	}
	wide := float64(q.Inner) + float64(q.Outer)
	need := 8 * wide * (2*(float64(q.Terms)+float64(q.Validation)) + 3*wide) // vectors of the terms, and matrices
	if err := from.Memory.Check("quadratic", fmt.Sprintf("inner %d, outer %d, terms %d, validation %d", q.Inner, q.Outer,
		q.Terms, q.Validation), need); err != nil {
		return nil, err
	}
	pair, err := quadratics.NewPair(q.Inner, q.Outer, q.Terms, q.Validation, q.Seed)
	if err != nil {
		return nil, err
	}
	return &instance{
		problem: &bilevel.Problem{Outer: pair.F, Inner: pair.G},
		start: func(seed uint64) bilevel.Point {
			rng := rand.New(rand.NewPCG(seed, 1))
			return bilevel.Point{Z: gaussians(rng, q.Inner), X: gaussians(rng, q.Outer)}
		},
		evaluator: func() (bilevel.Evaluator, error) { return exactly{pair}, nil },
		best:      pair.Value,
	}, nil
}

// exactly evaluates h in closed form.
type exactly struct{ *quadratics.Pair }

// Evaluate returns h(x) and, where grad is not nil, overwrites it with ∇h(x).
func (e exactly) Evaluate(ctx context.Context, grad, x []float64) (float64, error) {
	s := e.Solve(x)
	if grad != nil {
		copy(grad, s.Grad)
	}
	return s.Value, nil
}

// gaussians are n draws of N(0, 1).
func gaussians(rng *rand.Rand, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = rng.NormFloat64()
	}
	return s
}
