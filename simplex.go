package bilevel

import "slices"

// ProjectSimplex projects x, in place, onto the simplex {x ≥ 0, Σ x_i = 1}: it is a [Problem].Project for weights, or a
// part of one. Entries on a face are exactly zero. It sorts a copy: O(p log p).
//
// Held, Wolfe and Crowder, Validation of subgradient optimization, 1974.
func ProjectSimplex(x []float64) {
	s := slices.Clone(x)
	slices.Sort(s)
	sum, level := -1., 0.
	for k := range s {
		v := s[len(s)-1-k]
		sum += v
		if next := sum / float64(k+1); v > next {
			level = next
		}
	}
	for j := range x {
		x[j] = max(0, x[j]-level)
	}
}
