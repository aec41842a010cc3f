package adapt

import (
	"math"
	"testing"
)

// The diagonal is found where there is one, and nothing is taken for one that is none.
func TestDiagonal(t *testing.T) {
	e := []float64{1, 1e8, 0, 2}
	off := 0.0
	mul := func(dst, v []float64) {
		for i := range dst {
			dst[i] = e[i]*v[i] + off*v[(i+1)%4]
		}
	}
	c := NewCurvature(4)
	if c.FindDiagonal(mul, 1e-14); !c.Diagonal || c.E[1] != 1e8 || c.E[2] != 0 {
		t.Errorf("%+v", c)
	}
	e[1], e[2] = 5, -1
	if c.SetDiagonal(mul); c.E[1] != 5 || c.E[2] != 0 {
		t.Errorf("the diagonal is %v", c.E)
	}
	steps := make([]float64, 4)
	if c.Steps(steps, 3, 2); steps[0] != .2 || steps[2] != 1./3 {
		t.Errorf("steps %v", steps)
	}
	if c.Steps(steps, 0, 2); steps[2] != 1 {
		t.Errorf("steps %v without curvature", steps)
	}
	off = .1
	if c.FindDiagonal(mul, 1e-14); c.Diagonal || c.E[0] != 0 {
		t.Errorf("%+v where the matrix is no diagonal", c)
	}
}

// Fresh is E‖H_ξ v‖²/⟨v, E H_ξ v⟩: the curvature where blocks are alike, and between that of the mean and the largest
// where they are not. Here one block in four is steep, and some 64 are looked at: a mean of them is off by some 15%.
func TestFresh(t *testing.T) {
	for _, steep := range []float64{1, 4} {
		c := NewCurvature(2)
		c.Raise(64, 4, 4, func(dst, v []float64, block int) {
			h := 1.
			if block == 0 {
				h = steep
			}
			dst[0], dst[1] = h*v[0], .1*v[1]
		})
		want := (steep*steep + 3) / (steep + 3)
		if got := c.Fresh(); math.Abs(got/want-1) > .02+.06*(steep-1) || c.L != steep {
			t.Errorf("steep %v: %v, want %v; L = %v", steep, got, want, c.L)
		}
	}
}

// L is that of the most curved block that was looked at, falls slowly, and does not mind a block that is no number.
func TestRaise(t *testing.T) {
	c := NewCurvature(2)
	seen := map[int]bool{}
	mul := func(dst, v []float64, block int) {
		seen[block] = true
		for i := range dst {
			dst[i] = float64(1+block) * v[i]
		}
		if block == 7 {
			dst[0] = math.Inf(1)
		}
	}
	for range 40 {
		c.Raise(1, 10, 2, mul)
	}
	if len(seen) < 8 || c.L > 10*(1+1e-12) || c.L < 10*math.Pow(.98, 20) {
		t.Errorf("L = %g after %d blocks", c.L, len(seen))
	}
}
