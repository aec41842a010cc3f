package model

import (
	"fmt"

	"github.com/bilevel-go/bilevel"
)

// tie makes the outer variable of weighted rows one of groups: what weighs row i is
//
//	x_i = scale[of[i]] · u[of[i]]  (+ u[first+i] with perRow),
//
// u the outer variable. A pass over a batch sets the x_i of its rows alone, and adds up derivatives by them.
type tie struct {
	of     []int     // group of each row; −1 for none
	scale  []float64 // of each group; nil for 1
	groups int       // their entries of u are the first
	perRow bool      // rows have entries of their own too, behind those of the groups
	p      int       // length of u

	x, u, dx []float64 // of rows: x, a direction, and derivatives, the last for those of the batch alone
}

// newTie ties n rows with these groups.
func newTie(of []int, n int, perRow bool) (*tie, error) {
	if len(of) != n {
		return nil, fmt.Errorf("model: %d groups of %d rows", len(of), n)
	}
	t := &tie{of: of, perRow: perRow, x: make([]float64, n), dx: make([]float64, n)}
	for i, g := range of {
		if g < -1 {
			return nil, fmt.Errorf("model: row %d has the group %d", i, g)
		}
		t.groups = max(t.groups, g+1)
	}
	if t.p = t.groups; perRow {
		t.p += n
	}
	if t.p == 0 {
		return nil, fmt.Errorf("model: none of %d rows has a group", n)
	}
	return t, nil
}

// spread sets dst, with an entry per row, for the rows of b: to their x at the outer variable u, or to the direction of x
// along u. It returns dst.
func (t *tie) spread(dst, u []float64, b bilevel.Batch) []float64 {
	for i := b.Lo; i < b.Hi; i++ {
		v := 0.0
		if g := t.of[i]; g >= 0 {
			v = u[g]
			if t.scale != nil {
				v *= t.scale[g]
			}
		}
		if t.perRow {
			v += u[t.groups+i]
		}
		dst[i] = v
	}
	return dst
}

// gather adds derivatives by the x of b's rows, which dx holds, to those by the outer variable.
func (t *tie) gather(du []float64, b bilevel.Batch) {
	for i := b.Lo; i < b.Hi; i++ {
		v := t.dx[i-b.Lo]
		if t.perRow {
			du[t.groups+i] += v
		}
		g := t.of[i]
		if g < 0 {
			continue
		}
		if t.scale != nil {
			v *= t.scale[g]
		}
		du[g] += v
	}
}
