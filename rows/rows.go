// Package rows stores samples × features: dense row-major or compressed sparse rows.
//
// The models of this project read their data through these two types, and the readers of package
// dataset produce them. Both are plain data: fields may be filled by hand.
package rows

import (
	"fmt"
	"math"
	"unsafe"
)

// Matrix is samples × features, a *Dense or a *CSR. It is read-only once a model holds it.
type Matrix interface {
	// Dims returns the number of samples n and of features d.
	Dims() (n, d int)
	// Take returns a new matrix whose row i is row order[i]; rows may repeat.
	Take(order []int) Matrix
	// Slice returns rows lo to hi−1, which share memory with the matrix.
	Slice(lo, hi int) Matrix
	// WithOnes returns a new matrix with a column of ones appended, the intercept's feature.
	WithOnes() Matrix
}

// Dense is row-major: row i is Data[i*Stride : i*Stride+D]. Stride is a multiple of 8 (a row starts at a
// whole vector register) and the padding behind a row is zero.
type Dense struct {
	N, D, Stride int
	Data         []float64
}

// CSR is compressed sparse rows: row i has columns Idx[Ptr[i]:Ptr[i+1]], in increasing order, with values
// Val at the same places.
type CSR struct {
	N, D int
	Ptr  []int
	Idx  []int32
	Val  []float64
}

var (
	_ Matrix = (*Dense)(nil)
	_ Matrix = (*CSR)(nil)
)

// NewDense returns an n × d matrix of zeros, padded and aligned to 64 bytes.
func NewDense(n, d int) *Dense {
	if n < 0 || d < 0 {
		panic(fmt.Sprintf("rows: negative dimension %d × %d", n, d))
	}
	stride := (d + 7) &^ 7
	return &Dense{N: n, D: d, Stride: stride, Data: aligned(n * stride)}
}

// aligned allocates n zeros that start at a multiple of 64 bytes.
func aligned(n int) []float64 {
	s := make([]float64, n+8)
	hugePages(s)
	skip := 0
	if r := uintptr(unsafe.Pointer(&s[0])) & 63; r != 0 {
		skip = int(64-r) / 8
	}
	return s[skip : skip+n : skip+n]
}

// FromSlice copies n rows of d values, stored one after the other without padding.
func FromSlice(n, d int, values []float64) *Dense {
	if len(values) != n*d {
		panic(fmt.Sprintf("rows: %d values for %d × %d", len(values), n, d))
	}
	m := NewDense(n, d)
	for i := range n {
		copy(m.Row(i), values[i*d:])
	}
	return m
}

// Dims returns samples and features.
func (m *Dense) Dims() (n, d int) { return m.N, m.D }

// Row is row i without its padding; it shares memory with m.
func (m *Dense) Row(i int) []float64 { return m.Data[i*m.Stride : i*m.Stride+m.D : i*m.Stride+m.D] }

// Take returns the rows named by order.
func (m *Dense) Take(order []int) Matrix {
	t := NewDense(len(order), m.D)
	for i, o := range order {
		copy(t.Row(i), m.Row(o))
	}
	return t
}

// Slice returns rows lo to hi−1.
func (m *Dense) Slice(lo, hi int) Matrix {
	return &Dense{N: hi - lo, D: m.D, Stride: m.Stride, Data: m.Data[lo*m.Stride : hi*m.Stride : hi*m.Stride]}
}

// Permute makes row i what row order[i] was. order has every row once.
func (m *Dense) Permute(order []int) {
	done := make([]bool, m.N)
	first := make([]float64, m.D)
	for start := range order {
		if done[start] {
			continue
		}
		copy(first, m.Row(start)) // of a cycle
		i := start
		for ; order[i] != start; i = order[i] {
			copy(m.Row(i), m.Row(order[i]))
			done[i] = true
		}
		copy(m.Row(i), first)
		done[i] = true
	}
}

// WithOnes appends a column of ones.
func (m *Dense) WithOnes() Matrix {
	t := NewDense(m.N, m.D+1)
	for i := range m.N {
		r := t.Row(i)
		copy(r, m.Row(i))
		r[m.D] = 1
	}
	return t
}

// Dims returns samples and features.
func (m *CSR) Dims() (n, d int) { return m.N, m.D }

// Row returns the columns and values of row i; they share memory with m.
func (m *CSR) Row(i int) (idx []int32, val []float64) {
	lo, hi := m.Ptr[i], m.Ptr[i+1]
	return m.Idx[lo:hi:hi], m.Val[lo:hi:hi]
}

// Take returns the rows named by order.
func (m *CSR) Take(order []int) Matrix {
	nnz := 0
	for _, o := range order {
		nnz += m.Ptr[o+1] - m.Ptr[o]
	}
	t := &CSR{N: len(order), D: m.D, Ptr: make([]int, 1, len(order)+1), Idx: make([]int32, 0, nnz),
		Val: make([]float64, 0, nnz)}
	for _, o := range order {
		idx, val := m.Row(o)
		t.Idx = append(t.Idx, idx...)
		t.Val = append(t.Val, val...)
		t.Ptr = append(t.Ptr, len(t.Idx))
	}
	return t
}

// Slice returns rows lo to hi−1.
func (m *CSR) Slice(lo, hi int) Matrix {
	from, to := m.Ptr[lo], m.Ptr[hi]
	t := &CSR{N: hi - lo, D: m.D, Ptr: make([]int, hi-lo+1), Idx: m.Idx[from:to:to], Val: m.Val[from:to:to]}
	for i := range t.Ptr {
		t.Ptr[i] = m.Ptr[lo+i] - from
	}
	return t
}

// WithOnes appends a column of ones.
func (m *CSR) WithOnes() Matrix {
	t := &CSR{N: m.N, D: m.D + 1, Ptr: make([]int, 1, m.N+1),
		Idx: make([]int32, 0, len(m.Idx)+m.N), Val: make([]float64, 0, len(m.Val)+m.N)}
	for i := range m.N {
		idx, val := m.Row(i)
		t.Idx = append(append(t.Idx, idx...), int32(m.D))
		t.Val = append(append(t.Val, val...), 1)
		t.Ptr = append(t.Ptr, len(t.Idx))
	}
	return t
}

// Check reports the first thing that makes m unusable: wrong lengths, a column out of range or out of
// order, a value that is not finite.
func Check(m Matrix) error {
	switch m := m.(type) {
	case *Dense:
		if m.Stride < m.D || len(m.Data) < m.N*m.Stride {
			return fmt.Errorf("rows: %d values hold no %d × %d with stride %d", len(m.Data), m.N, m.D, m.Stride)
		}
		for i := range m.N {
			for j, v := range m.Row(i) {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return fmt.Errorf("rows: row %d, column %d is %v", i, j, v)
				}
			}
			for j := i*m.Stride + m.D; j < (i+1)*m.Stride; j++ {
				if m.Data[j] != 0 {
					return fmt.Errorf("rows: padding behind row %d is not zero", i)
				}
			}
		}
	case *CSR:
		if len(m.Ptr) != m.N+1 || len(m.Idx) != len(m.Val) || m.Ptr[0] != 0 || m.Ptr[m.N] != len(m.Idx) {
			return fmt.Errorf("rows: Ptr, Idx and Val of a %d × %d matrix do not fit each other", m.N, m.D)
		}
		for i := range m.N {
			if m.Ptr[i] > m.Ptr[i+1] {
				return fmt.Errorf("rows: row %d ends before it starts", i)
			}
			last := int32(-1)
			idx, val := m.Row(i)
			for k, j := range idx {
				if j <= last || int(j) >= m.D {
					return fmt.Errorf("rows: row %d has column %d after %d, of %d columns", i, j, last, m.D)
				}
				if math.IsNaN(val[k]) || math.IsInf(val[k], 0) {
					return fmt.Errorf("rows: row %d, column %d is %v", i, j, val[k])
				}
				last = j
			}
		}
	default:
		return fmt.Errorf("rows: a matrix is a *rows.Dense or a *rows.CSR, not %T", m)
	}
	return nil
}
