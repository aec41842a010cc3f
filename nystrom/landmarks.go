package nystrom

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/rows"
)

const (
	clusterRows   = 4000 // rows that landmarks are looked for among
	clusterRounds = 12
)

// landmarks are the centres of at most m clusters of the rows of x: k-means, with starts as k-means++ has them. Equal
// rows are one.
func landmarks(ctx context.Context, x *rows.Dense, m int, seed uint64) (*rows.Dense, error) {
	rng := rand.New(rand.NewPCG(seed, 0x1a4d))
	if x.N > clusterRows {
		x = x.Take(rng.Perm(x.N)[:clusterRows]).(*rows.Dense)
	}
	n, d := x.N, x.D
	packed, norm := make([]float64, n*d), make([]float64, n)
	for i := range n {
		copy(packed[i*d:], x.Row(i))
		norm[i] = kernel.Dot(x.Row(i), x.Row(i))
	}
	z := rows.NewDense(m, d)
	near := make([]float64, n)
	for i := range near {
		near[i] = math.Inf(1)
	}
	distance := func(i int, c []float64) (sum float64) {
		for j, v := range x.Row(i) {
			sum += (v - c[j]) * (v - c[j])
		}
		return sum
	}
	next := rng.IntN(n)
	made := 0
	for made < m {
		copy(z.Row(made), x.Row(next))
		made++
		total := 0.0
		for i := range near {
			near[i] = min(near[i], distance(i, z.Row(made-1)))
			total += near[i]
		}
		if !(total > 1e-18*float64(n)*float64(d)) {
			break // every row is a landmark
		}
		at := rng.Float64() * total
		next = 0
		for i, v := range near {
			if v > 0 {
				next = i
			}
			if at -= v; at < 0 {
				break
			}
		}
	}
	few := rows.NewDense(made, d)
	copy(few.Data, z.Data[:made*z.Stride])
	z = few
	if made < m {
		return z, nil
	}
	dots, of, zn := make([]float64, n*m), make([]int, n), make([]float64, m)
	for round := range clusterRounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		kernel.ScoresK(dots, z.Data, z.Stride, packed, n, d, m)
		for l := range m {
			zn[l] = kernel.Dot(z.Row(l), z.Row(l))
		}
		moved := false
		for i := range n {
			best, low := 0, math.Inf(1)
			for l, v := range dots[i*m : (i+1)*m] {
				if s := zn[l] - 2*v; s < low {
					best, low = l, s
				}
			}
			if round == 0 || of[i] != best {
				of[i], moved = best, true
			}
		}
		if !moved {
			break
		}
		count := make([]float64, m)
		sum := rows.NewDense(m, d)
		for i, l := range of {
			count[l]++
			kernel.Axpy(1, x.Row(i), sum.Row(l))
		}
		for l := range m {
			if count[l] > 0 {
				for j, v := range sum.Row(l) {
					z.Row(l)[j] = v / count[l]
				}
			}
		}
	}
	return z, nil
}
