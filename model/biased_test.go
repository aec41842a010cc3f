package model_test

import (
	"testing"

	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
)

func TestBiased(t *testing.T) {
	dense, csr := table(17, 5, 8)
	for _, c := range lossCases(17) {
		d, _ := must(c.make(dense, 0))(t).Dims()
		bileveltest.Objective(t, must(model.NewBiased(must(c.make(dense, d))(t), .7))(t), bileveltest.ObjectiveOptions{})
		bileveltest.Objective(t, must(model.NewBiased(must(c.make(csr, d))(t), .7))(t), bileveltest.ObjectiveOptions{})
		if _, err := model.NewBiased(must(c.make(dense, d+1))(t), .7); err == nil {
			t.Error("p ≠ d is no error")
		}
		if _, err := model.NewBiased(must(c.make(dense, d))(t), -1); err == nil {
			t.Error("a negative ridge is no error")
		}
	}
}
