package clean

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
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
	s.Names, s.Rows = nil, nil
	switch x := s.X.(type) {
	case *rows.Dense:
		y := b.X.(*rows.Dense)
		all := rows.NewDense(x.N+y.N, x.D)
		copy(all.Data, x.Data[:x.N*x.Stride])
		copy(all.Data[x.N*x.Stride:], y.Data[:y.N*y.Stride])
		s.X = all
	case *rows.CSR:
		y := b.X.(*rows.CSR)
		all := &rows.CSR{N: x.N + y.N, D: x.D, Ptr: slices.Clone(x.Ptr), Idx: slices.Concat(x.Idx, y.Idx),
			Val: slices.Concat(x.Val, y.Val)}
		for _, p := range y.Ptr[1:] {
			all.Ptr = append(all.Ptr, x.Ptr[x.N]+p)
		}
		s.X = all
	}
	return s
}

// judged are the losses of the rows of s with the model z, and the classes that it predicts.
func (f *fit) judged(s *dataset.Set, z []float64) (losses, predicted []float64) {
	k := len(f.classes)
	return tune.Softmax.Judge(model.ScoreRows(s.X, z, k), s.Y, k)
}

// figures are those of the model z on the rows of s.
func (f *fit) figures(s *dataset.Set, z []float64) *Figures {
	losses, predicted := f.judged(s, z)
	m := &Figures{Right: make([]bool, len(s.Y))}
	for i, y := range s.Y {
		m.Loss += losses[i] / float64(len(s.Y))
		if m.Right[i] = predicted[i] == y; m.Right[i] {
			m.Accuracy++
		}
	}
	m.Accuracy /= float64(len(s.Y))
	return m
}

func isSparse(s *dataset.Set) bool {
	_, ok := s.X.(*rows.CSR)
	return ok
}

// eachValue calls see with the values of row i of s, all or those that are stored.
func eachValue(s *dataset.Set, i int, see func(j int, v float64)) {
	switch x := s.X.(type) {
	case *rows.Dense:
		for j, v := range x.Row(i) {
			see(j, v)
		}
	case *rows.CSR:
		idx, val := x.Row(i)
		for k, j := range idx {
			see(int(j), val[k])
		}
	}
}

// narrowed is x with the most features of the largest sums of squares, if it is sparse and has more; the last, which
// may be an intercept, stays the last.
func narrowed(x rows.Matrix, most int) rows.Matrix {
	a, ok := x.(*rows.CSR)
	if !ok || a.D <= most {
		return x
	}
	mass := make([]float64, a.D)
	for e, j := range a.Idx {
		mass[j] += a.Val[e] * a.Val[e]
	}
	order := everyRow(a.D)
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(mass[j], mass[i]) })
	taken := order[:most]
	if !slices.Contains(taken, a.D-1) {
		taken[most-1] = a.D - 1
	}
	slices.Sort(taken)
	place := make([]int32, a.D)
	for i := range place {
		place[i] = -1
	}
	for p, j := range taken {
		place[j] = int32(p)
	}
	out := &rows.CSR{N: a.N, D: most, Ptr: make([]int, 1, a.N+1)}
	for i := range a.N {
		idx, val := a.Row(i)
		for e, j := range idx {
			if place[j] >= 0 {
				out.Idx, out.Val = append(out.Idx, place[j]), append(out.Val, val[e])
			}
		}
		out.Ptr = append(out.Ptr, len(out.Idx))
	}
	return out
}
