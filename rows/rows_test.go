package rows

import (
	"math"
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
