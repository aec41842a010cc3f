package clean

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

func generator(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x636c65616e)) }

// meanSquare is the mean square of the entries of x.
func meanSquare(x rows.Matrix) float64 {
	n, d := x.Dims()
	sum := 0.0
	switch x := x.(type) {
	case *rows.Dense:
		sum = kernel.Dot(x.Data, x.Data) // padding is zero
	case *rows.CSR:
		sum = kernel.Dot(x.Val, x.Val)
	}
	if sum == 0 {
		return 1
	}
	return sum / (float64(n) * float64(d))
}

// stack is the rows of a that order names, and then those of b.
func stack(a, b *dataset.Set, order []int) *dataset.Set {
	s := a.Subset(order)
	s.Y = append(s.Y, b.Y...)
	s.Names = nil
	switch x := s.X.(type) {
	case *rows.Dense:
		y := b.X.(*rows.Dense)
		all := rows.NewDense(x.N+y.N, x.D)
		copy(all.Data, x.Data[:x.N*x.Stride])
		copy(all.Data[x.N*x.Stride:], y.Data[:y.N*y.Stride])
		s.X = all
	case *rows.CSR:
		y := b.X.(*rows.CSR)
		all := &rows.CSR{N: x.N + y.N, D: x.D, Ptr: slices.Clone(x.Ptr), Idx: slices.Concat(x.Idx, y.Idx), Val: slices.Concat(x.Val, y.Val)}
		for _, p := range y.Ptr[1:] {
			all.Ptr = append(all.Ptr, x.Ptr[x.N]+p)
		}
		s.X = all
	}
	return s
}

// scores are those of the rows of s, row by row.
func (f *fit) scores(s *dataset.Set, z []float64) []float64 {
	n, d := s.Dims()
	k := len(f.classes)
	t := make([]float64, n*k)
	switch x := s.X.(type) {
	case *rows.Dense:
		for i := range n {
			for c := range k {
				t[i*k+c] = kernel.Dot(z[c*d:(c+1)*d], x.Row(i))
			}
		}
	case *rows.CSR:
		at := model.Layout{Features: d, Classes: k, FeatureMajor: true}
		for i := range n {
			idx, val := x.Row(i)
			for e, j := range idx {
				for c := range k {
					t[i*k+c] += val[e] * z[at.Index(c, int(j))]
				}
			}
		}
	}
	return t
}

// figures are those of the model z on the rows of s.
func (f *fit) figures(s *dataset.Set, z []float64) *Figures {
	k, t := len(f.classes), f.scores(s, z)
	m := &Figures{}
	for i, y := range s.Y {
		row := t[i*k : (i+1)*k]
		m.Loss += (logSum(row) - row[int(y)]) / float64(len(s.Y))
		if largest(row) == int(y) {
			m.Accuracy++
		}
	}
	m.Accuracy /= float64(len(s.Y))
	return m
}

// largest is the index of the largest score.
func largest(t []float64) int {
	k := 0
	for c, v := range t {
		if v > t[k] {
			k = c
		}
	}
	return k
}

// logSum is log Σ e^t.
func logSum(t []float64) float64 {
	top, sum := slices.Max(t), 0.0
	for _, v := range t {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}
