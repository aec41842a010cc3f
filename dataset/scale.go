package dataset

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/rows"
)

// Scaler maps feature j to (x_j − Mean_j)/Scale_j. It is fitted on the training part only and stored with
// the model, which gets the same features from any other file.
//
// Of dense features, Mean is the mean and Scale the standard deviation (with divisor n). Sparse features
// stay sparse: Mean is 0 and Scale the root mean square over all rows, zeros included. A constant column
// has scale 1: dense, it becomes zero, and sparse, it stays as it is.
type Scaler struct {
	Mean  []float64 `json:"mean"`  // d means
	Scale []float64 `json:"scale"` // d scales, all positive
}

// FitScaler returns the scaler of the columns of x.
func FitScaler(x rows.Matrix) *Scaler { return fitScaler(&Set{X: x}) }

// fitScaler is that of all features of s alike. Rows count by their weights.
func fitScaler(set *Set) *Scaler {
	x, share := set.X, 1/set.Mass()
	n, d := x.Dims()
	s := &Scaler{Mean: make([]float64, d), Scale: make([]float64, d)}
	lo, hi := make([]float64, d), make([]float64, d)
	for j := range d {
		lo[j], hi[j] = math.Inf(1), math.Inf(-1)
	}
	switch x := x.(type) {
	case *rows.Dense:
		for i := range n {
			w := set.Weight(i) * share
			for j, v := range x.Row(i) {
				s.Mean[j] += v * w
				lo[j], hi[j] = min(lo[j], v), max(hi[j], v)
			}
		}
		for j := range d {
			if lo[j] == hi[j] {
				s.Mean[j] = lo[j] // free of rounding, so that the column becomes exactly zero
			}
		}
		for i := range n {
			w := set.Weight(i) * share
			for j, v := range x.Row(i) {
				s.Scale[j] += (v - s.Mean[j]) * (v - s.Mean[j]) * w
			}
		}
	case *rows.CSR:
		stored := make([]int, d)
		for i := range n {
			w := set.Weight(i) * share
			idx, val := x.Row(i)
			for k, j := range idx {
				v := val[k]
				s.Scale[j] += v * v * w
				lo[j], hi[j] = min(lo[j], v), max(hi[j], v)
				stored[j]++
			}
		}
		for j := range d {
			if stored[j] < n { // the others are zero
				lo[j], hi[j] = min(lo[j], 0), max(hi[j], 0)
			}
		}
	default:
		panic(fmt.Sprintf("dataset: scaler of a %T", x))
	}
	for j, v := range s.Scale {
		s.Scale[j] = math.Sqrt(v)
		// A column may differ by less than its squares can say, and overflow where they cannot.
		if s.Scale[j] == 0 || math.IsInf(s.Scale[j], 0) || !(lo[j] < hi[j]) {
			s.Scale[j] = 1
		}
	}
	return s
}

// FitScaler returns the scaler of the features of s. Words of a column of texts have one scale, so that rare ones stay
// rare, and are not centred: their mean square over all words and rows becomes 1, as that of other features is.
func (s *Set) FitScaler() *Scaler {
	sc := fitScaler(s)
	if s.Schema == nil {
		return sc
	}
	first := 0
	for _, c := range s.Schema.Columns {
		d := c.Width()
		if c.Text != nil {
			n, _ := s.Dims()
			square := 0.0
			for i := range n {
				square += s.Weight(i) * squares(s.X, i, first, first+d)
			}
			scale := math.Sqrt(square / (s.Mass() * float64(d)))
			if scale == 0 {
				scale = 1
			}
			for j := first; j < first+d; j++ {
				sc.Mean[j], sc.Scale[j] = 0, scale
			}
		}
		first += d
	}
	return sc
}

// squares is the sum of squares of features from lo to hi−1 in row i.
func squares(x rows.Matrix, i, lo, hi int) (sum float64) {
	switch x := x.(type) {
	case *rows.Dense:
		for _, v := range x.Row(i)[lo:hi] {
			sum += v * v
		}
	case *rows.CSR:
		idx, val := x.Row(i)
		for k, j := range idx {
			if lo <= int(j) && int(j) < hi {
				sum += val[k] * val[k]
			}
		}
	}
	return sum
}

// Apply returns a scaled copy of x, which has len(s.Mean) columns; of sparse x, Mean must be zero.
func (s *Scaler) Apply(x rows.Matrix) rows.Matrix { return s.apply(x, 0) }

// ApplyWithOnes is Apply with a column of ones appended, the intercept's feature.
func (s *Scaler) ApplyWithOnes(x rows.Matrix) rows.Matrix {
	if _, ok := x.(*rows.Dense); ok {
		return s.apply(x, 1)
	}
	return s.apply(x, 0).WithOnes()
}

// apply is Apply with room for so many more columns of ones, of dense x.
func (s *Scaler) apply(x rows.Matrix, ones int) rows.Matrix {
	n, d := x.Dims()
	if d != len(s.Mean) || d != len(s.Scale) {
		panic(fmt.Sprintf("dataset: scaler of %d columns applied to %d", len(s.Mean), d))
	}
	switch x := x.(type) {
	case *rows.Dense:
		m := rows.NewDense(n, d+ones)
		for i := range n {
			to := m.Row(i)
			for j, v := range x.Row(i) {
				to[j] = (v - s.Mean[j]) / s.Scale[j]
			}
			for j := range ones {
				to[d+j] = 1
			}
		}
		return m
	case *rows.CSR:
		for j, v := range s.Mean {
			if v != 0 {
				panic(fmt.Sprintf("dataset: scaler with mean %v of column %d applied to sparse rows", v, j))
			}
		}
		m := &rows.CSR{N: n, D: d, Ptr: x.Ptr, Idx: x.Idx, Val: make([]float64, len(x.Val))}
		for k, j := range x.Idx {
			m.Val[k] = x.Val[k] / s.Scale[j]
		}
		return m
	}
	panic(fmt.Sprintf("dataset: scaler of a %T", x))
}
