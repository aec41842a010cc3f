package tune

import "testing"

// The grid of a problem of many coefficients ends where the loss rises on its weak side, and no sooner.
func TestPastBest(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   bool
	}{
		{[]float64{3, 2, 1}, false},
		{[]float64{3, 1, 1.1, 1.2}, false},         // two rises
		{[]float64{3, 1, 1.01, 1.02, 1.03}, false}, // by little
		{[]float64{3, 1, 1.02, 1.04, 1.06}, true},
		{[]float64{3, 1, 1.2, 1.1, 1.3}, false}, // not one after the other
		{[]float64{1, 1.1, 1.2, 1.3}, true},
	} {
		var grid []GridPoint
		for i, v := range c.values {
			grid = append(grid, GridPoint{X: -float64(i), Value: v})
		}
		if got := pastBest(grid); got != c.want {
			t.Errorf("%v: %v", c.values, got)
		}
	}
}
