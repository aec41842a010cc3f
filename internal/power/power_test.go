package power

import (
	"math"
	"testing"
)

func TestLargest(t *testing.T) {
	a := [][]float64{{3, 1, 0}, {1, -4, 2}, {0, 2, 1}}
	const want = 4.815736117 // |λ| of its negative eigenvalue
	calls := 0
	mul := func(dst, v []float64) {
		calls++
		for i, row := range a {
			dst[i] = 0
			for j, e := range row {
				dst[i] += e * v[j]
			}
		}
	}
	v, av := make([]float64, 3), make([]float64, 3)
	first := Largest(v, av, 3, 0, mul)
	if first > want+1e-6 || calls != 3 {
		t.Errorf("%g after %d products", first, calls)
	}
	for range 30 {
		if l := Largest(v, av, 3, 0, mul); l < first-1e-12 || l > want+1e-6 {
			t.Errorf("%g after %g", l, first)
		} else {
			first = l
		}
	}
	if math.Abs(first-want) > 1e-5 {
		t.Errorf("%.7g, want %g", first, want)
	}
	calls = 0
	if Largest(v, av, 100, 1e-3, mul); calls != 2 {
		t.Errorf("%d products where the second changes nothing", calls)
	}
	for _, bad := range []float64{0, math.NaN(), math.Inf(1)} {
		l := Largest(v, av, 5, 0, func(dst, _ []float64) { dst[0], dst[1], dst[2] = bad, 0, 0 })
		if l != bad && !(math.IsNaN(bad) && math.IsNaN(l)) || v[0] != 0 {
			t.Errorf("%g of a matrix of %g; the direction is %v", l, bad, v)
		}
	}
}
