package rows

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestDense(t *testing.T) {
	m := FromSlice(3, 2, []float64{1, 2, 3, 4, 5, 6})
	if m.Stride != 8 || uintptr(unsafe.Pointer(&m.Data[0]))%64 != 0 {
		t.Errorf("stride %d, address %p: rows must start at whole registers", m.Stride, &m.Data[0])
	}
	if err := Check(m); err != nil {
		t.Error(err)
	}
	w := m.Take([]int{2, 0, 2}).WithOnes().(*Dense)
	got := [][]float64{w.Row(0), w.Row(1), w.Row(2)}
	if d := cmp.Diff([][]float64{{5, 6, 1}, {1, 2, 1}, {5, 6, 1}}, got); d != "" {
		t.Error(d)
	}
	m.Row(1)[1] = math.NaN()
	if Check(m) == nil {
		t.Error("NaN passed")
	}
	m.Row(1)[1] = 0
	m.Data[5] = 1
	if Check(m) == nil {
		t.Error("padding that is not zero passed")
	}
}

func TestCSR(t *testing.T) {
	m := &CSR{N: 3, D: 4, Ptr: []int{0, 2, 2, 3}, Idx: []int32{0, 3, 1}, Val: []float64{1, 2, 3}}
	if err := Check(m); err != nil {
		t.Error(err)
	}
	w := m.Take([]int{2, 1, 0}).WithOnes()
	want := &CSR{N: 3, D: 5, Ptr: []int{0, 2, 3, 6}, Idx: []int32{1, 4, 4, 0, 3, 4}, Val: []float64{3, 1, 1, 1, 2, 1}}
	if d := cmp.Diff(want, w); d != "" {
		t.Error(d)
	}
	for name, bad := range map[string]*CSR{
		"order":  {N: 1, D: 4, Ptr: []int{0, 2}, Idx: []int32{3, 1}, Val: []float64{1, 2}},
		"range":  {N: 1, D: 2, Ptr: []int{0, 1}, Idx: []int32{2}, Val: []float64{1}},
		"inf":    {N: 1, D: 2, Ptr: []int{0, 1}, Idx: []int32{1}, Val: []float64{math.Inf(1)}},
		"length": {N: 2, D: 2, Ptr: []int{0, 1}, Idx: []int32{1}, Val: []float64{1}},
	} {
		if Check(bad) == nil {
			t.Errorf("%s passed", name)
		}
	}
}

// Rows in another order, and some of them, in the memory of the matrix, are those that a copy has.
func TestPermuteAndSlice(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 7, 50} {
		m := NewDense(n, 3)
		csr := &CSR{N: n, D: 3, Ptr: []int{0}}
		for i := range n {
			for j := range 3 {
				m.Row(i)[j] = float64(10*i + j)
			}
			csr.Idx, csr.Val = append(csr.Idx, int32(i%3)), append(csr.Val, float64(i+1))
			csr.Ptr = append(csr.Ptr, len(csr.Idx))
		}
		lo, hi := n/3, n-n/4
		some := make([]int, hi-lo)
		for i := range some {
			some[i] = lo + i
		}
		for _, x := range []Matrix{m, csr} {
			if got := x.Slice(lo, hi); Check(got) != nil || !cmp.Equal(plain(got), plain(x.Take(some))) {
				t.Errorf("%T: rows %d to %d of %d are %v", x, lo, hi, n, plain(got))
			}
		}
		order := rng.Perm(n)
		want := m.Take(order)
		if m.Permute(order); Check(m) != nil || !cmp.Equal(plain(m), plain(want)) {
			t.Errorf("%d rows in the order %v: %v", n, order, plain(m))
		}
	}
}

// plain are the rows of a matrix.
func plain(m Matrix) [][]float64 {
	n, d := m.Dims()
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, d)
		switch m := m.(type) {
		case *Dense:
			copy(out[i], m.Row(i))
		case *CSR:
			idx, val := m.Row(i)
			for k, j := range idx {
				out[i][j] = val[k]
			}
		}
	}
	return out
}
