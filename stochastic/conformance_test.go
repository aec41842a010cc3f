package stochastic

import (
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
)

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name string
		m    bilevel.Method
		o    bileveltest.MethodOptions
	}{
		{"SABA", SABA{Batch: 4}, bileveltest.MethodOptions{Stochastic: true, Steps: 12000, Tol: 1e-4, Horizon: 300}},
		{"SABA, full batch", SABA{Batch: 1000}, bileveltest.MethodOptions{Steps: 4000, Tol: 1e-4, Horizon: 300}},
		{"SABA, explicit", SABA{Batch: 4, InnerStep: Constant(.05), OuterStep: Constant(.01)},
			bileveltest.MethodOptions{Stochastic: true, Steps: 30000, Tol: 1e-3, Horizon: 100}},
		{"SOBA", SOBA{Batch: 4}, bileveltest.MethodOptions{Stochastic: true, Steps: 20000, Tol: 0.1, Horizon: 300}},
		{"S-TFBO", STFBO{}, bileveltest.MethodOptions{Steps: 15000, Tol: 1e-3}},
		{"D-TFBO", DTFBO{}, bileveltest.MethodOptions{Steps: 2500, Tol: 1e-3}},
		{"SRBA", SRBA{Batch: 4}, bileveltest.MethodOptions{Stochastic: true, Steps: 12000, Tol: 1e-4, Horizon: 300}},
		{"MA-SOBA", MASOBA{Batch: 4}, bileveltest.MethodOptions{Stochastic: true, Steps: 20000, Tol: 0.1, Horizon: 300}},
		{"FSLA", FSLA{Batch: 4}, bileveltest.MethodOptions{Stochastic: true, Steps: 30000, Tol: 0.1, Horizon: 300}},
		{"FSLA, explicit", FSLA{Batch: 4, InnerStep: Decaying(.5, .5), OuterStep: Decaying(.3, .5)},
			bileveltest.MethodOptions{Stochastic: true, Steps: 60000, Tol: 0.1, Horizon: 300}},
		{"AmIGO", AmIGO{Batch: 4}, bileveltest.MethodOptions{Stochastic: true, Steps: 60000, Tol: 0.1, Horizon: 100}},
		{"StocBiO", StocBiO{Batch: 4, Terms: 150}, bileveltest.MethodOptions{Stochastic: true, Steps: 24000, Tol: 0.1,
			Horizon: 100}},
		{"MRBO", MRBO{Batch: 4, Terms: 150}, bileveltest.MethodOptions{Stochastic: true, Steps: 5000, Tol: 0.1,
			Horizon: 100}},
		{"VRBO", VRBO{Batch: 4, Terms: 80, InnerSteps: 2},
			bileveltest.MethodOptions{Stochastic: true, Steps: 2000, Tol: 1e-2, Horizon: 100}},
		// Estimates whose variance does not come from batches alone.
		{"BSA", BSA{Batch: 4, Terms: 50}, bileveltest.MethodOptions{Stochastic: true, Steps: 40000, Tol: 0.1, Horizon: 100}},
		{"TTSA", TTSA{Batch: 4, Terms: 50}, bileveltest.MethodOptions{Stochastic: true, Steps: 60000, Tol: 0.1,
			Horizon: 100}},
		{"SUSTAIN", SUSTAIN{Batch: 4, Terms: 50}, bileveltest.MethodOptions{Stochastic: true, Steps: 30000, Tol: 0.1,
			Horizon: 100}},
		{"PZOBO", PZOBO{Batch: 4, Directions: 2, InnerSteps: 100},
			bileveltest.MethodOptions{Stochastic: true, Steps: 3000, Tol: 0.1, Horizon: 20}},
		{"PZOBO, explicit", PZOBO{Batch: 4, InnerStep: Constant(.3), OuterStep: Decaying(.1, .5), Directions: 2,
			InnerSteps: 40},
			bileveltest.MethodOptions{Stochastic: true, Steps: 6000, Tol: 0.1, Horizon: 20}},
	} {
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}
