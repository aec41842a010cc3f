package bileveltest

import (
	"gonum.org/v1/gonum/blas/blas64"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/quadratic"
)

// Quadratic is a random pair of quadratics with z of length d and x of length p, g the mean of n terms and f of
// m, which together must determine z and x: n, m ≥ 2(d+p) is ample. The term i of either is
//
//	½zᵀA_iz + ½xᵀB_ix + xᵀC_iz + s_iᵀz + t_iᵀx,
//
// A_i = a_ia_iᵀ and B_i = b_ib_iᵀ with rows drawn from a normal distribution whose covariance has eigenvalues
// spaced logarithmically from 0.1 to 1, and C_i of rank one with ‖mean C_i‖₂ = ½. With J = ∂z*/∂x the Hessian
// ∇²h = Jᵀf_zzJ + f_xx + f_xzJ + (f_xzJ)ᵀ is positive definite: data for which it is not, or nearly not (a condition
// number above 100), are drawn again.
//
// These are the simulated problems of benchmark_bilevel (Dagréou et al. 2022).
func Quadratic(d, p, n, m int, seed uint64) Case {
	q, err := quadratic.NewPair(d, p, n, m, seed)
	must(err)
	return Case{
		Name:    name("quadratic", d, p),
		Problem: &bilevel.Problem{Outer: q.F, Inner: q.G},
		X:       q.X,
		Value:   q.Value,
		Solve:   func(x []float64) Solution { return Solution(q.Solve(x)) },
	}
}

func dot(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1})
}

func axpy(alpha float64, x, y []float64) {
	blas64.Axpy(alpha, blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1})
}

func must(err error) {
	if err != nil {
		panic("bileveltest: " + err.Error())
	}
}
