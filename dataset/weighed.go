package dataset

import "github.com/bilevel-go/bilevel/rows"

// texts are the vectorizers of s, each with the place of its first word among the features.
func (s *Schema) texts() (all []*Vectorizer, first []int) {
	if s.Text != nil {
		return []*Vectorizer{s.Text}, []int{0}
	}
	at := 0
	for k := range s.Columns {
		if v := s.Columns[k].Text; v != nil {
			all, first = append(all, v), append(first, at)
		}
		at += s.Columns[k].Width()
	}
	return all, first
}

// Unweighed says whether there are texts that were read with AutoWeight, and how many words of them can have a column
// together, 1 where Vectorizer.Grams has said it. s may be nil.
func (s *Schema) Unweighed() (is bool, grams int) {
	if s == nil {
		return false, 0
	}
	all, _ := s.texts()
	for _, v := range all {
		if v.Weight == AutoWeight {
			is = true
			if grams = max(grams, 1); v.Grams == 0 {
				grams = max(grams, v.longestKnown())
			}
		}
	}
	return is, grams
}

// Weigh returns the schema of s.Weighed(w).
func (s *Schema) Weigh(w Weighting) *Schema {
	t := s.clone()
	if s.Text != nil && s.Text.Weight == AutoWeight {
		t.Text, _ = s.Text.weighed(w)
		t.Width = len(t.Text.Words)
		return t
	}
	for k := range t.Columns {
		if v := t.Columns[k].Text; v != nil && v.Weight == AutoWeight {
			t.Columns[k].Text, _ = v.weighed(w)
		}
	}
	t.Width = width(t.Columns)
	return t
}

// Weighed returns s with the schema to, which the Weigh of its schema made: counts of texts that were read with
// AutoWeight become rows, as if they had been read so. Sets that share a schema, such as those for training and
// validation, are weighed with one.
func (s *Set) Weighed(to *Schema) *Set {
	t := *s
	t.Schema, t.Features = to, to.Features()
	was, first := s.Schema.texts()
	is, at := to.texts()
	_, d := s.Dims()
	place := make([]int32, 0, d) // of the features in to, −1 for none
	next := int32(0)
	for k, v := range was {
		for len(place) < first[k] {
			place = append(place, next)
			next++
		}
		for _, word := range v.Words {
			if i := int(next) - at[k]; i < len(is[k].Words) && is[k].Words[i] == word {
				place = append(place, next)
				next++
			} else {
				place = append(place, -1)
			}
		}
	}
	for len(place) < d {
		place = append(place, next)
		next++
	}
	weigh := func(idx []int32, val []float64) {
		lo := 0
		for k, v := range is {
			for lo < len(idx) && int(idx[lo]) < at[k] {
				lo++
			}
			hi := lo
			for hi < len(idx) && int(idx[hi]) < at[k]+len(v.Words) {
				hi++
			}
			if was[k].Weight == AutoWeight {
				v.weigh(idx[lo:hi], at[k], val[lo:hi])
			}
			lo = hi
		}
	}
	switch x := s.X.(type) {
	case *rows.CSR:
		m := &rows.CSR{N: x.N, D: to.Width, Ptr: make([]int, 1, x.N+1), Idx: make([]int32, 0, len(x.Idx)),
			Val: make([]float64, 0, len(x.Val))}
		for i := range x.N {
			idx, val := x.Row(i)
			for k, j := range idx {
				if p := place[j]; p >= 0 {
					m.Idx, m.Val = append(m.Idx, p), append(m.Val, val[k])
				}
			}
			m.Ptr = append(m.Ptr, len(m.Idx))
			weigh(m.Row(i))
		}
		t.X = m
	case *rows.Dense:
		m := rows.NewDense(x.N, to.Width)
		var idx []int32
		var val []float64
		for i := range x.N {
			idx, val = idx[:0], val[:0]
			for j, v := range x.Row(i) {
				if p := place[j]; p >= 0 && v != 0 {
					idx, val = append(idx, p), append(val, v)
				}
			}
			weigh(idx, val)
			for k, j := range idx {
				m.Row(i)[j] = val[k]
			}
		}
		t.X = m
	}
	return &t
}
