package bilevel_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
)

// The projection lies on the simplex, and no other point of it is nearer: ⟨x − P(x), e_j − P(x)⟩ ≤ 0 for every vertex.
func TestProjectSimplex(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		x, p := make([]float64, 1+rng.IntN(8)), make([]float64, 0, 8)
		for j := range x {
			x[j] = 3 * rng.NormFloat64() * math.Exp(rng.NormFloat64())
		}
		p = append(p, x...)
		bilevel.ProjectSimplex(p)
		sum, along := 0., 0.
		for j, v := range p {
			if v < 0 {
				t.Fatalf("%v has a negative entry", p)
			}
			sum += v
			along += (x[j] - v) * v
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Fatalf("%v sums to %v", p, sum)
		}
		for j, v := range p {
			if e := x[j] - v - along; e > 1e-9 {
				t.Fatalf("of %v, %v is not the nearest: towards vertex %d by %g", x, p, j, e)
			}
		}
	}
}
