package model

import (
	"fmt"

	"github.com/bilevel-go/bilevel/internal/kernel"
)

// Weights says how the outer variable of [Cleaning] weighs rows.
type Weights int

// The weights w_i of n rows.
const (
	// SigmoidWeights are w_i = σ(x_i), between 0 and 1 for every x.
	SigmoidWeights Weights = iota
	// LinearWeights are w_i = x_i, for problems whose box is [0, 1]: bilevel.Problem.Lower and Upper clip. A weight
	// can become exactly zero, and move again.
	LinearWeights
	// SoftmaxWeights are w_i = n e^{x_i}/Σ_j e^{x_j}, whose mean is 1. They couple all rows: derivatives with respect
	// to x over a batch have n entries, and every call costs n exponentials.
	SoftmaxWeights
	// ExpWeights are w_i = e^{x_i}, for groups of rows whose ratios count.
	ExpWeights
)

// weighings are the kinds of weights. An entry is all that there is to say about one.
var weighings = [...]weighing{
	SigmoidWeights: {
		name:  "sigmoid",
		of:    func(l *weighted, dst []float64, lo, hi int) { kernel.Sigmoid(dst, l.x[lo:hi]) },
		slope: func(w float64) float64 { return w * (1 - w) },
	},
	LinearWeights: {
		name:  "linear",
		of:    func(l *weighted, dst []float64, lo, hi int) { copy(dst, l.x[lo:hi]) },
		slope: func(float64) float64 { return 1 },
	},
	SoftmaxWeights: {
		name: "softmax", coupled: true,
		of: func(l *weighted, dst []float64, lo, hi int) {
			for i, q := range l.q[lo:hi] {
				dst[i] = float64(l.n) * q
			}
		},
		slope: func(w float64) float64 { return w },
	},
	ExpWeights: {
		name:  "exp",
		of:    func(l *weighted, dst []float64, lo, hi int) { kernel.Exp(dst, l.x[lo:hi]) },
		slope: func(w float64) float64 { return w },
	},
}

// weighing is a kind of weights.
type weighing struct {
	name string
	of   func(l *weighted, dst []float64, lo, hi int) // overwrites dst by the weights of rows lo to hi
	// slope is dw_i/dx_i of a row with weight w, without what coupled weights subtract from all rows.
	slope   func(w float64) float64
	coupled bool // a weight depends on all of x, by softmax(x)
}

func (w Weights) known() bool { return w >= 0 && int(w) < len(weighings) }

func (w Weights) String() string {
	if !w.known() {
		return fmt.Sprintf("Weights(%d)", int(w))
	}
	return weighings[w].name
}
