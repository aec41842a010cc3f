package model_test

import (
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
)

// The prior is ½ w Σ (t − t̄)², with t = x or log x.
func TestPrior(t *testing.T) {
	for _, log := range []bool{false, true} {
		x := []float64{1, 2, 4}
		want := .5 * .3 * (16./9 + 1./9 + 25./9) // the mean is 7/3
		if log {
			want = .5 * .3 * 2 * math.Ln2 * math.Ln2
		}
		p := must(model.NewPrior(2, 3, .3, log))(t)
		if got := p.Value(nil, x, bilevel.All(p)); math.Abs(got-want) > 1e-12 {
			t.Errorf("log %v: %v, not %v", log, got, want)
		}
	}
	for _, w := range []float64{-1, math.NaN(), math.Inf(1)} {
		if _, err := model.NewPrior(1, 1, w, false); err == nil {
			t.Errorf("weight %v is taken", w)
		}
	}
}
