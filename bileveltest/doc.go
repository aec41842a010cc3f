// Package bileveltest checks implementations of objectives, fixed-point maps and methods against what package
// bilevel asks of them, and has small problems with known answers. It is to objectives and methods what
// testing/fstest is to file systems:
//
//	func TestLoss(t *testing.T) {
//		bileveltest.Objective(t, newLoss(), bileveltest.ObjectiveOptions{})
//	}
//
//	func TestMethod(t *testing.T) {
//		bileveltest.Method(t, SOBA{}, bileveltest.MethodOptions{Steps: 20000, Tol: 1e-2, Stochastic: true})
//	}
//
// Derivatives are compared with finite differences, never with another formula. When d = p the compiler
// accepts hv and cv swapped, and with symmetric data so do the numbers: give [Objective] instances with p ≠ d
// and data without symmetry.
//
// Every check runs as a subtest of its own name. [CheckObjective], [CheckFixedPoint] and [CheckMethod] run the
// same checks without a testing.T and return what they found.
//
// The checks set GOMAXPROCS and count allocations, so they must not run in parallel with other tests.
package bileveltest
