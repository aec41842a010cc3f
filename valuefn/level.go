package valuefn

import (
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/stochastic"
)

// one is the batch of an exact part.
var one = bilevel.Batch{Lo: 0, Hi: 1}

// level is one objective with first derivatives, whole = mean of sampled's terms + exact. Nothing else of it is
// ever looked at.
type level struct {
	whole, sampled, exact bilevel.Objective      // exact is nil if there is none
	linear                bilevel.Linear         // sampled, or nil
	ez, ex                []float64              // what the exact part gives
	pairs                 bilevel.PairGradienter // whole, or nil
	second                []float64              // gradient in x at the second point
}

func newLevel(o bilevel.Objective) (level, error) {
	l := level{whole: o, sampled: o}
	if err := bilevel.NeedFirstOrder(o); err != nil {
		return l, err
	}
	if s, ok := o.(bilevel.Splitter); ok {
		l.sampled, l.exact = s.Split()
		if l.sampled == nil || l.sampled.Samples() != o.Samples() || l.exact != nil && l.exact.Samples() != 1 {
			return l, fmt.Errorf("valuefn: %T.Split must return a part with all %d samples and one with a single sample",
				o, o.Samples())
		}
		if err := bilevel.NeedFirstOrder(l.sampled); err != nil {
			return l, err
		}
		if l.exact != nil {
			if err := bilevel.NeedFirstOrder(l.exact); err != nil {
				return l, err
			}
			d, p := o.Dims()
			l.ez, l.ex = make([]float64, d), make([]float64, p)
		}
	}
	l.linear, _ = l.sampled.(bilevel.Linear)
	l.pairs, _ = o.(bilevel.PairGradienter)
	return l, nil
}

// next draws a batch and its weight.
func (l *level) next(s *stochastic.Sampler) (bilevel.Batch, float64) {
	_, b, w := s.Next()
	if l.linear != nil {
		l.linear.Prefetch(s.Ahead())
	}
	return b, w
}

// grad overwrites dz and dx, either of which may be nil, with w times the gradient of the sampled part over b
// plus that of the exact part.
func (l *level) grad(dz, dx, z, x []float64, b bilevel.Batch, w float64) {
	if w == 1 {
		l.whole.Grad(dz, dx, z, x, b) // one pass for both parts
		return
	}
	l.sampled.Grad(dz, dx, z, x, b)
	kernel.Scale(w, dz)
	kernel.Scale(w, dx)
	if l.exact == nil {
		return
	}
	ez, ex := l.ez, l.ex
	if dz == nil {
		ez = nil
	}
	if dx == nil {
		ex = nil
	}
	l.exact.Grad(ez, ex, z, x, one)
	kernel.Axpy(1, ez, dz)
	kernel.Axpy(1, ex, dx)
}

// value is w times the value of the sampled part over b plus that of the exact part.
func (l *level) value(z, x []float64, b bilevel.Batch, w float64) float64 {
	if w == 1 {
		return l.whole.Value(z, x, b)
	}
	v := w * l.sampled.Value(z, x, b)
	if l.exact != nil {
		v += l.exact.Value(z, x, one)
	}
	return v
}

// descend steps y −= a∇z g(y, x) + c·e and z −= a∇z g(z, x) and overwrites dx as pair does; dy and dz are scratch.
func (l *level) descend(dy, dz, dx, y, z, x, e []float64, a, c float64, b bilevel.Batch, w float64) {
	if w == 1 && l.pairs != nil {
		l.pairs.PairDescend(dx, y, z, x, e, a, c, b)
		return
	}
	l.pair(dy, dz, dx, y, z, x, b, w)
	kernel.Axpy(-a, dy, y)
	kernel.Axpy(-c, e, y)
	kernel.Axpy(-a, dz, z)
}

// pair overwrites dy and dz with the gradients at (y, x) and (z, x), and dx with the difference of those in x, over
// one batch as in grad.
func (l *level) pair(dy, dz, dx, y, z, x []float64, b bilevel.Batch, w float64) {
	if w == 1 && l.pairs != nil {
		l.pairs.PairGrad(dy, dz, dx, y, z, x, b)
		return
	}
	if l.second == nil {
		l.second = make([]float64, len(dx))
	}
	l.grad(dy, dx, y, x, b, w)
	l.grad(dz, l.second, z, x, b, w)
	kernel.Axpy(-1, l.second, dx)
}
