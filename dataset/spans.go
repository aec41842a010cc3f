package dataset

// Span is the features that a column made: N of them from First on, without the one that says where cells were missing,
// which follows them if Indicator.
type Span struct {
	First, N  int
	Indicator bool
}

// Spans are those of Columns, in their order.
func (s *Schema) Spans() []Span {
	out := make([]Span, len(s.Columns))
	at := 0
	for k := range s.Columns {
		c := &s.Columns[k]
		out[k] = Span{at, c.Width(), c.Filling != nil && c.Filling.Indicator}
		at += out[k].N
		if out[k].Indicator {
			out[k].N--
		}
	}
	return out
}
