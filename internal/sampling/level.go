package sampling

import (
	"fmt"

	"github.com/bilevel-go/bilevel"
)

// Exactly is the batch of an exact part.
var Exactly = bilevel.Batch{Lo: 0, Hi: 1}

// Level is one objective, taken apart: Whole = mean of Sampled's terms + Exact.
type Level struct {
	Whole, Sampled, Exact bilevel.Objective // Exact is nil if there is none
	Linear                bilevel.Linear    // Sampled, if it is
	Local                 bilevel.Local     // Sampled, if it is and x enters it
	SampledX, ExactX      bool              // x enters the sampled part, the exact part
}

// NewLevel takes o apart. All parts have first derivatives.
func NewLevel(o bilevel.Objective) (Level, error) {
	l := Level{Whole: o, Sampled: o}
	if s, ok := o.(bilevel.Splitter); ok {
		l.Sampled, l.Exact = s.Split()
		if l.Sampled == nil || l.Sampled.Samples() != o.Samples() || l.Exact != nil && l.Exact.Samples() != 1 {
			return l, fmt.Errorf("%T.Split must return a part with all %d samples and one with a single sample", o, o.Samples())
		}
	}
	for _, part := range []bilevel.Objective{l.Whole, l.Sampled, l.Exact} {
		if part == nil {
			continue
		}
		if err := bilevel.NeedFirstOrder(part); err != nil {
			return l, err
		}
	}
	l.ExactX = l.Exact != nil && bilevel.EntersX(l.Exact)
	l.SampledX = bilevel.EntersX(l.Sampled)
	l.Linear, _ = l.Sampled.(bilevel.Linear)
	if l.SampledX {
		l.Local, _ = l.Sampled.(bilevel.Local)
	}
	return l, nil
}

// Next draws a batch, and asks for the rows of the one that comes after it.
func (l *Level) Next(s *Sampler) *Draw {
	d := s.Next()
	if l.Linear != nil {
		l.Linear.Prefetch(s.Ahead.Batch)
	}
	return d
}

// OuterRange is the part of x that the sampled part depends on over b.
func (l *Level) OuterRange(b bilevel.Batch) (lo, hi int) {
	if l.Local != nil {
		return l.Local.OuterRange(b)
	}
	_, p := l.Whole.Dims()
	return 0, p
}
