// Package nonsmooth has inner problems with a weighted ℓ1 norm, such as the lasso, the elastic net and sparse
// logistic regression, and their hypergradients:
//
//	z*(x) = argmin_z g(z, x) + Σ_i λ_i(x)|z_i|,   g smooth and convex, λ ≥ 0.
//
// Such a problem is a [Composite]. It is given as the Fixed of a bilevel.Problem, because z* is the fixed point of
// a proximal gradient step: whatever takes fixed points takes it. [Implicit] is the estimator that uses what more is
// known: it solves the inner problem by [ProxNewton] or [FISTA], and differentiates on the support of z*, where
// everything is smooth,
//
//	S = {i : z_i ≠ 0 or λ_i = 0},   ∇²g_SS v_S = −∇z f_S,   v = 0 elsewhere,
//	∇h = ∇x f + ∇²xz g · v + Σ_{i∈S} sign(z_i) v_i ∇λ_i.
//
// h has a gradient wherever ∇²g_SS is positive definite and no |∇_i g| = λ_i off the support; where a coefficient
// enters or leaves the support it has a kink. [ProximalGradient] is the iteration to differentiate step by step.
//
// Bertrand, Klopfenstein, Blondel, Vaiter, Gramfort, Salmon, Implicit differentiation of Lasso-type models for
// hyperparameter optimization, 2020; Bertrand, Klopfenstein, Massias, Blondel, Vaiter, Gramfort, Salmon, Implicit
// differentiation for fast hyperparameter selection in non-smooth convex learning, 2022, theorem 9.
package nonsmooth
