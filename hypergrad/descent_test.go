package hypergrad_test

import (
	"testing"

	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
)

func descents() map[string]hypergrad.Descent {
	return map[string]hypergrad.Descent{
		"gradient":           {},
		"momentum":           {Optimizer: hypergrad.Momentum{}},
		"adam":               {Optimizer: hypergrad.Adam{}},
		"cold, exponential":  {Tolerance: hypergrad.Exponential, ColdStart: true, ColdAdjoint: true},
		"constant, momentum": {Optimizer: hypergrad.Momentum{}, Step: .05},
	}
}

// The conformance suite: answers, bits, checkpoints, budgets, cancellation.
func TestDescent(t *testing.T) {
	for name, m := range descents() {
		t.Run(name, func(t *testing.T) {
			bileveltest.Method(t, m, bileveltest.MethodOptions{Allocates: true, Horizon: 25, Steps: 2000})
		})
	}
}

// fixedCases are the table as fixed-point problems.
func fixedCases() []bileveltest.Case {
	var list []bileveltest.Case
	for _, c := range bileveltest.Cases() {
		list = append(list, c.FixedPoint(c.Name+", gradient map", .5))
	}
	return list
}

// Stochastic runs on small batches, and ones whose batches are everything.
func TestDescentSID(t *testing.T) {
	full := hypergrad.SID{Batch: 1000, InnerSteps: 30, LinearSteps: 30, Inner: hypergrad.Rate{Beta: 1}, Linear: hypergrad.Rate{Beta: 1}}
	rate := hypergrad.Rate{Beta: 20, Gamma: 20}
	sampled := hypergrad.SID{Batch: 32, Samples: 1000, InnerSteps: 100, LinearSteps: 100, Inner: rate, Linear: rate}
	for _, v := range []struct {
		name  string
		m     hypergrad.Descent
		cases []bileveltest.Case
	}{
		{"full batch, map", hypergrad.Descent{Estimator: full}, fixedCases()},
		{"objective", hypergrad.Descent{Estimator: hypergrad.SID{}}, bileveltest.Cases()},
		{"momentum, constant, map", hypergrad.Descent{Estimator: sampled, Optimizer: hypergrad.Momentum{}, Step: .02}, fixedCases()},
		{"adam", hypergrad.Descent{Estimator: sampled, Optimizer: hypergrad.Adam{}}, bileveltest.Cases()},
	} {
		t.Run(v.name, func(t *testing.T) {
			o := bileveltest.MethodOptions{Cases: v.cases, Allocates: true, Horizon: 8}
			if v.m.Estimator != full {
				o.Stochastic, o.Tol, o.Steps = true, 1e-2, 600
			}
			bileveltest.Method(t, v.m, o)
		})
	}
}
