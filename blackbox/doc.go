// Package blackbox minimises h(x) = f(z*(x), x) without any derivative in x: each step solves the inner problem
// at one candidate x, and the run keeps the best. [Grid], [Random] and [TPE] differ in the candidates.
//
// These are the baselines that gradients in x are measured against. What they find gets worse as x gets longer;
// what they ask of a problem is least: values of f and whatever solves the inner problem, an inner.Solver of an
// inner objective or the iteration of a fixed-point map.
//
// Candidates come from a box: every x_j needs a finite lower and upper bound, and Start says so where one is
// missing. Distances in the box are taken as they are, so that strengths should enter as logarithms, as they do
// in package model. The x of the start point is no candidate; its z is where the first inner problem starts, and
// each further one starts at the solution of the one before.
//
// A run knows h of its best point ([bilevel.Progresser]), and its Point is that point; V is nil. A candidate
// without a finite h is worse than all others, and an inner problem that is not solved to its tolerance counts
// with the z that was reached: the notes report both. A run of which the first 50 candidates, or all of a smaller
// grid, fail ends with an error.
package blackbox
