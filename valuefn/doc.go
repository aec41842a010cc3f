// Package valuefn minimises bilevel problems with value-function methods, which need first derivatives only: no
// Hessian-vector products, and no linear system.
//
// They replace the inner problem by the constraint that its value is attained, g(y, x) ≤ g(z*(x), x), and put
// that into the outer objective with a multiplier λ,
//
//	minimise over x and y   f(y, x) + λ (g(y, x) − g(z*(x), x)),
//
// whose minimiser y over the first variable is within O(1/λ) of z*(x), and λ(y − z*(x)) within O(1/λ) of the adjoint
// v*(x). The gradient in x,
//
//	∇x f(y, x) + λ (∇x g(y, x) − ∇x g(z*(x), x)),
//
// is the hypergradient up to O(1/λ), and so is the x that these methods find.
//
// [F2SA] lets λ grow by a schedule and [MinimaxOPT] in stages; [VPBGD] solves for z to a tolerance while λ grows.
// [BOME] keeps one inner variable y, takes z from a few gradient steps on g that start at it, and λ from the condition
// that the gap g(y, x) − g(z, x) shrinks; [KKTAt] computes the loss that its theory bounds. [BSG1] and [BVFSM] are what
// it was compared with; their answers are right in special cases only.
//
// Both levels can be sampled, in blocks of consecutive samples; a regulariser that is the same in every term
// ([bilevel.Splitter]) is never sampled. By default F2SA and MinimaxOPT draw batches of
// 64 and the others use all samples.
package valuefn
