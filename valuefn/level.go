package valuefn

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// level is one objective with first derivatives, which are all that is ever looked at.
type level struct {
	sampling.Level
	ez, ex []float64              // what the exact part gives
	pairs  bilevel.PairGradienter // Whole, or nil
	second []float64              // gradient in x at the second point
}

func newLevel(o bilevel.Objective) (level, error) {
	taken, err := sampling.NewLevel(o)
	if err != nil {
		return level{}, err
	}
	l := level{Level: taken}
	if l.Exact != nil {
		d, p := o.Dims()
		l.ez, l.ex = make([]float64, d), make([]float64, p)
	}
	l.pairs, _ = o.(bilevel.PairGradienter)
	return l, nil
}

// next draws a batch and its weight.
func (l *level) next(s *sampling.Sampler) (bilevel.Batch, float64) {
	d := l.Next(s)
	return d.Batch, d.Weight
}

// grad overwrites dz and dx, either of which may be nil, with w times the gradient of the sampled part over b
// plus that of the exact part.
func (l *level) grad(dz, dx, z, x []float64, b bilevel.Batch, w float64) {
	if w == 1 {
		l.Whole.Grad(dz, dx, z, x, b) // one pass for both parts
		return
	}
	l.Sampled.Grad(dz, dx, z, x, b)
	kernel.Scale(w, dz)
	kernel.Scale(w, dx)
	if l.Exact == nil {
		return
	}
	ez, ex := l.ez, l.ex
	if dz == nil {
		ez = nil
	}
	if dx == nil {
		ex = nil
	}
	l.Exact.Grad(ez, ex, z, x, sampling.Exactly)
	kernel.Axpy(1, ez, dz)
	kernel.Axpy(1, ex, dx)
}

// value is w times the value of the sampled part over b plus that of the exact part.
func (l *level) value(z, x []float64, b bilevel.Batch, w float64) float64 {
	if w == 1 {
		return l.Whole.Value(z, x, b)
	}
	v := w * l.Sampled.Value(z, x, b)
	if l.Exact != nil {
		v += l.Exact.Value(z, x, sampling.Exactly)
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
