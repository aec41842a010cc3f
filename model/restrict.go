package model

import (
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/rows"
)

// Restrict is o as a function of some coefficients, the others being zero: of all coefficients of the features
// that set names. super are their places in z. It copies these columns.
func (o *Loss) Restrict(set []int) (sub bilevel.SecondOrder, super []int) {
	return o.restrict(set)
}

func (o *Loss) restrict(set []int) (*Loss, []int) {
	features := make([]int, len(set))
	for i, j := range set {
		_, features[i] = o.layout.place(j)
	}
	slices.Sort(features)
	features = slices.Compact(features)
	r := &Loss{link: o.link, layout: o.layout, n: o.n, p: o.p, y: o.y}
	r.layout.Features = len(features)
	if o.dense != nil {
		r.dense = rows.NewDense(o.n, len(features))
		for i := range o.n {
			from, to := o.dense.Row(i), r.dense.Row(i)
			for e, j := range features {
				to[e] = from[j]
			}
		}
	} else {
		r.sparse = o.columns(features)
	}
	r.workers = []scratch{r.newScratch()}
	super := make([]int, r.layout.Len())
	for e, j := range features {
		for c := range o.layout.Classes {
			super[r.layout.Index(c, e)] = o.layout.Index(c, j)
		}
	}
	return r, super
}

// columns are some columns of the sparse rows.
func (o *Loss) columns(features []int) *rows.CSR {
	place := make([]int32, o.sparse.D) // 1 + the new column
	for e, j := range features {
		place[j] = int32(e) + 1
	}
	m := &rows.CSR{N: o.n, D: len(features), Ptr: make([]int, 1, o.n+1)}
	for i := range o.n {
		idx, val := o.sparse.Row(i)
		for e, j := range idx {
			if place[j] > 0 {
				m.Idx, m.Val = append(m.Idx, place[j]-1), append(m.Val, val[e])
			}
		}
		m.Ptr = append(m.Ptr, len(m.Idx))
	}
	return m
}

// Restrict is o with every model restricted to the features that set names in any of them; see [Loss.Restrict].
func (o *FoldsInner) Restrict(set []int) (sub bilevel.SecondOrder, super []int) {
	one := make([]int, len(set))
	for i, j := range set {
		one[i] = j % o.d
	}
	loss, own := o.loss.restrict(one)
	for f := range o.Count() {
		for _, j := range own {
			super = append(super, f*o.d+j)
		}
	}
	return &FoldsInner{folds: folds{loss: loss, bounds: o.bounds, each: o.each, models: o.models, d: len(own),
		weight: o.weight}}, super
}

// Restrict is o as a function of some coefficients, the others being zero; see [Loss.Restrict]. Other losses
// than those of this package cannot be restricted, and super is nil.
func (o *Regularized) Restrict(set []int) (sub bilevel.SecondOrder, super []int) {
	r, ok := o.loss.(interface {
		Restrict(set []int) (bilevel.SecondOrder, []int)
	})
	if !ok {
		return nil, nil
	}
	loss, super := r.Restrict(set)
	return &Regularized{loss: loss.(Sampled), pen: o.pen.restrict(super)}, super
}

// restrict is q as a penalty of the coefficients in set, with the same x.
func (q *Penalty) restrict(set []int) *Penalty {
	r := *q
	r.d, r.segments, r.strength = len(set), nil, make([]float64, q.p)
	for i, j := range set {
		if s := q.Strength(j); s >= 0 {
			r.append(i, s-q.first)
		}
	}
	return &r
}

// Parts are those of the loss with their part of the penalty, nil where the loss has none.
func (o *Regularized) Parts() []bilevel.SecondOrder {
	of, ok := o.loss.(bilevel.Divisible)
	if !ok {
		return nil
	}
	parts := of.Parts()
	lo := 0
	for k, loss := range parts {
		d, _ := loss.Dims()
		set := make([]int, d)
		for i := range set {
			set[i] = lo + i
		}
		parts[k] = &Regularized{loss: loss.(Sampled), pen: o.pen.restrict(set)}
		lo += d
	}
	return parts
}
