// Package bilevel minimises h(x) = f(z*(x), x) where z*(x) = argmin_z g(z, x), or the solution of z = Φ(z, x):
// bilevel optimisation.
//
// f is the outer objective, for example the validation loss of a model, and g the inner one, for example its
// regularised training loss; x are hyperparameters, as many as a gradient can carry. A [Problem] holds both
// objectives and the domain of x, a [Method] is configuration (packages hypergrad, stochastic, valuefn, blackbox), and
// [Minimize] runs one on the other under the budgets of [Settings].
//
// # Notation
//
// One notation serves the whole module. Every signature takes the variables in the order (z, x).
//
//	x ∈ Rᵖ, z ∈ Rᵈ   outer and inner variable
//	f(z, x)          outer objective, the mean of m terms
//	g(z, x)          inner objective, the mean of n terms; z*(x) = argmin_z g(z, x)
//	h(x)             f(z*(x), x), the value function, the thing that is minimised
//	v ∈ Rᵈ           adjoint, v*(x) = −[∇²zz g]⁻¹ ∇z f, so that ∇h = ∇x f + ∇²xz g · v*
//	Φ(z, x), u       fixed-point form z = Φ(z, x); (I − ∂zΦᵀ)u = ∇z f, ∇h = ∇x f + ∂xΦᵀu;
//	                 for Φ = z − η∇z g, u = −v/η
//	ξ, ζ             a minibatch of inner and of outer terms, drawn independently
//	ρ, γ             step size of z and v, and of x
//
// Published codes disagree on the sign of v; here there is this one.
//
// # What an objective offers
//
// An [Objective] has values and gradients, a [SecondOrder] one has products with ∇²zz g and ∇²xz g. Optional
// interfaces ([Splitter], [Local], [Linear], [Sparse], [Separable], [Linearizer], [HessianMatrix], [HessianBlocks],
// [ColumnNormer], [Divisible], [ValueGradienter], [PairGradienter], [Crosser], and [Pusher] of a [FixedPoint]) say more
// about its structure; methods look for them once, when they start, and are faster where they find them. Each has a test that the
// fast and the general path agree.
//
// # Reproducibility
//
// Randomness is PCG, seeded through [Settings]. The same seed gives the same bits on one architecture and
// kernel tier, whatever GOMAXPROCS is. The environment variable BILEVEL_KERNELS (plain, avx2, avx512) lowers
// the tier of the vector kernels, see [Kernels].
package bilevel
