// Package nystrom has models that are linear in their features and in a kernel with one learned length scale per
// column: inner problems whose features depend on x.
//
// With m landmarks z_l, a row a has the features [a, φ(a), 1], where
//
//	φ(a) = L⁻¹ k_Z(a),  LLᵀ = K_ZZ + 10⁻⁶·I,  k(a, b) = (1 + r + r²/3) e^{−r},  r² = 5 Σ_j s_g(j)² (a_j − b_j)²
//
// is the Nyström feature map of a Matérn-5/2 kernel and g(j) the group of feature j, such as the column of a table that
// it was made of. The outer variable and the inner problem, of the rows of all folds but one, are
//
//	x = (log λ_lin, log λ_k, log s_1, …, log s_G),
//	z*(x) = argmin_z  Σ_i ℓ(⟨[a_i, φ(a_i), 1], z⟩, y_i) + ½ λ_lin ‖z_lin‖² + ½ λ_k ‖z_φ‖²,
//
// the loss is summed, so that λ keeps its meaning where the model is fitted to more rows. Length scales 1/s are what no
// grid can search and a hypergradient can.
//
// [NewProblem] is this as a [bilevel.Problem] for every method of the module. [Fit] is what a small table asks for: it
// learns x by L-BFGS with exact inner solutions, many times faster than general methods, on each of five folds' rows,
// and stacks linear models, models with one length scale and models with one per column.
package nystrom
