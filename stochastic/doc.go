// Package stochastic minimises bilevel problems with methods that look at a few samples a step.
//
// They move three variables towards the solution of three coupled problems, with estimates of
//
//	D_z = ∇z g(z, x)                 z towards z*(x)
//	D_v = ∇²zz g(z, x)·v + ∇z f(z, x)    v towards the adjoint v*(x)
//	D_x = ∇²xz g(z, x)·v + ∇x f(z, x)    x along the hypergradient
//
// and they differ in the estimates. Single-loop methods move all three at each step: [SOBA] takes one batch of each
// level, [MASOBA] averages its directions of x, [SABA] corrects it by a memory of past batches, [SRBA] by full passes
// now and then, [FSLA] by STORM. [StocBiO], [AmIGO], [BSA], [TTSA], [MRBO], [SUSTAIN] and [VRBO] have inner loops for
// z, and for v one or a Neumann series; [PZOBO] needs no second derivatives; [STFBO] and [DTFBO] take all samples.
// Samples are drawn in blocks of consecutive ones.
//
// A regulariser that is the same in every term (bilevel.Splitter) is never sampled: it enters D_z, D_v and D_x
// as it is. Other structure that methods look for, once, when they start: bilevel.Linear (memories of a few
// numbers per sample) and bilevel.Local (x-derivatives that live on the batch's own part of x, applied lazily).
//
// # Sparse features
//
// On sparse rows a batch sees few features, but the penalty and the averages of past batches reach all of them in
// every step. The option Support of [SOBA] and [SABA] applies them to the batch's features only, stronger the rarer
// a feature is, so that a step costs the non-zeros of its rows: another estimate with the same mean.
//
// # Step sizes
//
// A [Rate] is c/t^a. Its zero value is automatic: the inner step follows the smoothness of g, estimated by
// power iterations on blocks at the current point; the outer step is one number per coordinate of x, or one
// for all weights of rows and for [PZOBO], raised while x keeps its direction and lowered when it turns; a run that
// diverges goes back to its last good point with halved steps and says so in its notes. Explicit values are used as
// they are.
package stochastic
