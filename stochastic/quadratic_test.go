package stochastic

import (
	"context"
	"testing"

	"github.com/bilevel-go/bilevel"
)

func TestReachesQuadraticExplicit(t *testing.T) {
	s := newQuadratic(37, 23, 1, 1)
	for _, c := range []struct {
		name   string
		m      bilevel.Method
		within float64
	}{
		{"SABA", SABA{Batch: 4, InnerStep: Constant(.05), OuterStep: Constant(.02)}, 1e-9},
		{"SABA shuffled", SABA{Batch: 4, InnerStep: Constant(.05), OuterStep: Constant(.02), Shuffle: true}, 1e-9},
		{"SABA batch 1", SABA{Batch: 1, InnerStep: Constant(.05), OuterStep: Constant(.02)}, 1e-9},
		{"SABA warm", SABA{Batch: 4, InnerStep: Constant(.05), OuterStep: Constant(.02), Warm: true}, 1e-9},
		{"SOBA", SOBA{Batch: 4, InnerStep: Decaying(.3, .5), OuterStep: Decaying(.1, .5)}, 6e-2},
		{"S-TFBO", STFBO{}, 1e-9},
		{"SOBA full batch", SOBA{Batch: 1000, InnerStep: Constant(.1), OuterStep: Constant(.05)}, 1e-11},
	} {
		res, err := bilevel.Minimize(context.Background(), s.problem(), c.m, bilevel.Settings{MaxSteps: 40000, Seed: 3})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if e := distance(res.Last.X, s.xs); !(e <= c.within) {
			t.Errorf("%s: ‖x − x*‖ = %.3g, want at most %g", c.name, e, c.within)
		}
	}
}
