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
		{"SABA, full batch", SABA{Batch: 1000}, bileveltest.MethodOptions{Steps: 8000, Tol: 1e-4, Horizon: 300}},
		{"SABA, explicit", SABA{Batch: 4, Inner: Constant(.05), Outer: Constant(.01)}, bileveltest.MethodOptions{Stochastic: true, Steps: 30000, Tol: 1e-3, Horizon: 100}},
		{"SOBA", SOBA{Batch: 4}, bileveltest.MethodOptions{Stochastic: true, Steps: 20000, Tol: 0.1, Horizon: 300}},
		{"S-TFBO", STFBO{}, bileveltest.MethodOptions{Steps: 30000, Tol: 1e-3}},
	} {
		t.Run(c.name, func(t *testing.T) { bileveltest.Method(t, c.m, c.o) })
	}
}
