package valuefn

import (
	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// anchor is a point (z̃, x̃) where gradients over all samples are known. With it a batch ξ estimates ∇z g as
//
//	∇z g_ξ(z, x) + c,   c = ∇z g(z̃, x̃) − ∇z g_ξ(z̃, x̃),
//
// and ∇f alike, without a bias and with noise that vanishes as the run and the anchor come to rest at one point.
//
// Johnson, Zhang, "Accelerating stochastic gradient descent using predictive variance reduction", NIPS 2013.
type anchor struct {
	from       int64 // the step after which there is one
	z, x       []float64
	gz, fz, fx []float64 // over all samples
	cz, cx     []float64 // c of the last batch
	left       int       // steps that it is still good for
	period     int       // those in all
}

// anchorPasses is how many passes' worth of samples steps visit between two anchors, about: each takes a pass.
const anchorPasses = 3

// newAnchor is one for steps that visit so many batches of g with it, and two of f. It is nil where it is no use: where
// all samples are one batch, or, unless it is asked for, where a step visits more samples than a pass over both levels.
func newAnchor(r *core, batches int, asked bool) *anchor {
	pass, step := r.xi.Samples()+r.zeta.Samples(), batches*r.xi.Size()+2*r.zeta.Size()
	if r.xi.Blocks() == 1 && r.zeta.Blocks() == 1 || pass < step && !asked {
		return nil
	}
	d, q := len(r.z), len(r.x)
	v := func(n int) []float64 { return make([]float64, n) }
	return &anchor{z: v(d), x: v(q), gz: v(d), fz: v(d), fx: v(q), cz: v(d), cx: v(q),
		period: max(1, anchorPasses*pass/step)}
}

// off says that there is no anchor, or not yet.
func (a *anchor) off(r *core) bool { return a == nil || r.t < a.from }

// keep makes (z, x) the anchor if it is time to.
func (a *anchor) keep(r *core, z []float64) {
	if a.off(r) {
		return
	}
	if a.left == 0 {
		copy(a.z, z)
		copy(a.x, r.x)
		r.g.grad(a.gz, nil, a.z, a.x, r.xi.All(), 1)
		r.f.grad(a.fz, a.fx, a.z, a.x, r.zeta.All(), 1)
		r.extra.GradG += int64(r.xi.Samples())
		r.extra.GradF += int64(r.zeta.Samples())
		a.left = a.period
	}
	a.left--
}

// correctG adds c to dz, which is ∇z g_ξ.
func (a *anchor) correctG(r *core, dz []float64, b bilevel.Batch, w float64) {
	if a.off(r) {
		return
	}
	r.g.grad(a.cz, nil, a.z, a.x, b, w)
	r.extra.GradG += int64(b.Len())
	kernel.Axpby(1, a.gz, -1, a.cz)
	kernel.Axpy(1, a.cz, dz)
}

// correctF adds c to dz and dx, which are ∇f_ζ.
func (a *anchor) correctF(r *core, dz, dx []float64, b bilevel.Batch, w float64) {
	if a.off(r) {
		return
	}
	r.f.grad(a.cz, a.cx, a.z, a.x, b, w)
	r.extra.GradF += int64(b.Len())
	kernel.Axpby(1, a.fz, -1, a.cz)
	kernel.Axpby(1, a.fx, -1, a.cx)
	kernel.Axpy(1, a.cz, dz)
	kernel.Axpy(1, a.cx, dx)
}

// gap is what the last c of g adds to g_ξ(y, x) − g_ξ(z, x), as the value whose gradient is corrected.
func (a *anchor) gap(r *core, y, z []float64) float64 {
	if a.off(r) {
		return 0
	}
	return kernel.Dot(a.cz, y) - kernel.Dot(a.cz, z)
}

// drop lets the next step find an anchor anew.
func (a *anchor) drop() {
	if a != nil {
		a.left = 0
	}
}

func (a *anchor) state(s *bilevel.State) {
	if a != nil {
		s.Index(&a.left, a.period+1)
		s.Fixed(a.z, a.x, a.gz, a.fz, a.fx)
	}
}
