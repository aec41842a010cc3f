package stochastic

import (
	"math"
	"testing"
)

func TestRate(t *testing.T) {
	for _, c := range []struct {
		r    Rate
		t    int64
		want float64
	}{{Constant(.3), 7, .3}, {Decaying(2, .5), 16, .5}, {Decaying(3, 1), 6, .5}, {Decaying(8, 1.5), 4, 1}} {
		if got := c.r.At(c.t); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("%+v at %d: %v, want %v", c.r, c.t, got, c.want)
		}
	}
	if (Rate{}).Auto() != true || Constant(1).Auto() {
		t.Error("the zero value, and only it, is automatic")
	}
}
