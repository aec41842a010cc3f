package model

import (
	"errors"
	"fmt"
)

// NewClassWeights is an inner objective whose outer variable says how much the rows of each class count: its first
// entries are the logarithms of the weights of the classes, and the strengths of a penalty lie behind them,
//
//	g(z, x) = mean over rows of e^{x_c(i)} ℓ_i(z) + penalty(z, x),
//
// where class[i], from 0 on, is that of row i. The outer objective, in which they do not enter, decides what they are
// good for. As weights and strengths that grow alike change nothing, the weight of one class may as well be held at 1.
//
// With bounds, those of folds, z stacks models as for [NewRepeatedFolds], and the mean of each is over the rows outside
// of its fold. Rows of a loss that count by [Loss.Weigh] keep that weight too.
func NewClassWeights(loss *Loss, class, bounds []int, times int, penalty *Penalty) (*Mixture, error) {
	copies := max(len(bounds)-1, 1)
	o := &Mixture{d: loss.layout.Len(), pen: penalty, dx: make([]float64, penalty.outer)}
	if d, _ := penalty.Dims(); d != copies*o.d {
		return nil, fmt.Errorf("model: the penalty is of %d coefficients, and %d models have %d each", d, copies, o.d)
	}
	var repeated *Folds
	if bounds != nil {
		var err error
		if repeated, err = NewRepeatedFolds(loss, bounds, times); err != nil {
			return nil, err
		}
	}
	all := make([]float64, loss.n)
	for i := range all {
		all[i] = loss.mass(i, i+1)
	}
	for f := range copies {
		w := append([]float64(nil), all...)
		if bounds != nil {
			begin, end := repeated.Inner.time(f)
			clear(w[:begin])
			clear(w[bounds[f]:bounds[f+1]])
			clear(w[end:])
		}
		rest, err := loss.Weigh(w)
		if err != nil {
			return nil, err
		}
		t, err := newTie(class, loss.n, false)
		if err != nil {
			return nil, err
		}
		o.parts, t.p = t.groups, penalty.outer
		o.models = append(o.models, reweigh(rest, rest.link.(rowLink), ExpWeights, t))
	}
	if penalty.first < o.parts {
		return nil, errors.New("model: the strengths of the penalty lie among the weights of classes")
	}
	return o, nil
}
