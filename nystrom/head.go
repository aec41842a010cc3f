package nystrom

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/linsolve"
)

// link is a loss of the k scores of a row, class c of row i at t[c*m+i].
type link interface {
	// loss is the sum of the losses of m rows.
	loss(t, y []float64, m int) float64
	// coefs replaces t by ∂ℓ/∂t, and sets p, as long, to what curve and apply need.
	coefs(t, p, y []float64, m int)
	// curve sets dst to ∂²ℓ/∂t_c² of m rows.
	curve(dst, p []float64, c, m int)
	// apply replaces s by ∂²ℓ/∂t²·s.
	apply(s, p []float64, k, m int)
}

// squared is ½(t − y)².
type squared struct{}

func (squared) loss(t, y []float64, m int) (sum float64) {
	for i, v := range t[:m] {
		sum += (v - y[i]) * (v - y[i]) / 2
	}
	return sum
}

func (squared) coefs(t, _, y []float64, _ int) {
	for i := range y {
		t[i] -= y[i]
	}
}

func (squared) curve(dst, _ []float64, _, _ int) {
	for i := range dst {
		dst[i] = 1
	}
}

func (squared) apply(_, _ []float64, _, _ int) {}

// logistic is log(1 + e^t) − yt for y = 0 or 1.
type logistic struct{}

func (logistic) loss(t, y []float64, m int) (sum float64) {
	for i, v := range t[:m] {
		sum += max(v, 0) + math.Log1p(math.Exp(-math.Abs(v))) - y[i]*v
	}
	return sum
}

func (logistic) coefs(t, p, y []float64, m int) {
	kernel.Sigmoid(p[:m], t[:m])
	for i, v := range p[:m] {
		t[i] = v - y[i]
	}
}

func (logistic) curve(dst, p []float64, _, _ int) {
	for i := range dst {
		dst[i] = p[i] * (1 - p[i])
	}
}

func (logistic) apply(s, p []float64, _, _ int) {
	for i := range s {
		s[i] *= p[i] * (1 - p[i])
	}
}

// softmax is log Σ e^{t_c} − t_y for a class y.
type softmax struct{ k int }

func (l softmax) loss(t, y []float64, m int) (sum float64) {
	for i := range m {
		top := math.Inf(-1)
		for c := range l.k {
			top = max(top, t[c*m+i])
		}
		s := 0.0
		for c := range l.k {
			s += math.Exp(t[c*m+i] - top)
		}
		sum += top + math.Log(s) - t[int(y[i])*m+i]
	}
	return sum
}

func (l softmax) coefs(t, p, y []float64, m int) {
	kernel.Softmax(t, l.k, m)
	copy(p, t)
	for i := range m {
		t[int(y[i])*m+i]--
	}
}

func (softmax) curve(dst, p []float64, c, m int) {
	for i, v := range p[c*m : (c+1)*m] {
		dst[i] = v * (1 - v)
	}
}

func (softmax) apply(s, p []float64, k, m int) { kernel.SoftmaxProduct(s, p, k, m) }

// noFold is the number of no fold: its model is one of all rows.
const noFold = -1

// block is the rows [lo, hi) of one fold.
type block struct{ lo, hi, fold int }

// blocksOf cuts rows that are sorted by fold.
func blocksOf(bounds []int) (blocks []block) {
	for f := range len(bounds) - 1 {
		for lo := bounds[f]; lo < bounds[f+1]; lo += blockRows {
			blocks = append(blocks, block{lo, min(lo+blockRows, bounds[f+1]), f})
		}
	}
	return blocks
}

// heads are the models on top of features, one per fold, each of the rows outside its fold; without folds, one of all
// rows.
type heads struct {
	f      *features
	y      []float64
	k      int // scores per row
	link   link
	blocks []block
	lambda []float64 // of the p features

	w []([]float64) // of folds: k × p, class by class; where the next solve starts

	// of the fold in work
	fold       int
	t, prob    []float64 // k·n, block by block
	pre        []linsolve.Cholesky
	gram, ones []float64
	work       linsolve.Workspace
	tmp        []float64
	grad, dir  []float64
	trial      []float64
	products   int
}

func newHeads(f *features, y []float64, k int, l link, bounds []int) *heads {
	n, p := f.x.N, f.p
	h := &heads{f: f, y: y, k: k, link: l, blocks: blocksOf(bounds), lambda: make([]float64, p),
		t: make([]float64, k*n), prob: make([]float64, k*n), pre: make([]linsolve.Cholesky, k),
		gram: make([]float64, p*p), tmp: make([]float64, k*blockRows), ones: make([]float64, blockRows),
		grad: make([]float64, k*p), dir: make([]float64, k*p), trial: make([]float64, k*p)}
	for c := range h.pre {
		h.pre[c].Serial = true
	}
	if bounds == nil { // one model of all rows
		h.blocks = blocksOf([]int{0, n})
	}
	for range max(len(bounds)-1, 1) {
		h.w = append(h.w, make([]float64, k*p))
	}
	return h
}

// lambdas sets the strengths: of linear coefficients, of the kernel's, and nearly none of the intercept.
func (h *heads) lambdas(linear, kern float64) {
	d := h.f.x.D
	for j := range h.lambda {
		switch {
		case j < d:
			h.lambda[j] = linear
		case j < h.f.p-1:
			h.lambda[j] = kern
		default:
			h.lambda[j] = 1e-6
		}
	}
}

func (h *heads) in(b block) bool { return b.fold != h.fold }

// scores overwrites t, of one block, with the scores of its rows.
func (h *heads) scores(t, w []float64, b block) {
	a, m := h.f.a, b.hi-b.lo
	data := a.Data[b.lo*a.Stride : b.hi*a.Stride]
	if h.k == 1 {
		kernel.Scores(t[:m], data, a.Stride, w)
		return
	}
	kernel.ScoresK(t[:h.k*m], data, a.Stride, w, h.k, h.f.p, m)
}

// combine adds Σ c_i a_i of a block to dst.
func (h *heads) combine(dst, c []float64, b block) {
	a, m := h.f.a, b.hi-b.lo
	data := a.Data[b.lo*a.Stride : b.hi*a.Stride]
	if h.k == 1 {
		kernel.Combine(dst, data, a.Stride, c[:m], 1, true, nil)
		return
	}
	kernel.CombineK(dst, data, a.Stride, c[:h.k*m], h.k, h.f.p, m, 1, 1)
}

func (h *heads) penalty(w []float64) (sum float64) {
	for i, v := range w {
		sum += h.lambda[i%h.f.p] * v * v / 2
	}
	return sum
}

// value is the objective of the fold's model at w; t is left with the scores.
func (h *heads) value(w []float64) float64 {
	sum := h.penalty(w)
	for _, b := range h.blocks {
		if h.in(b) {
			t := h.t[h.k*b.lo : h.k*b.hi]
			h.scores(t, w, b)
			sum += h.link.loss(t, h.y[b.lo:b.hi], b.hi-b.lo)
		}
	}
	return sum
}

// gradient follows value: it replaces the scores in t by ∂ℓ/∂t.
func (h *heads) gradient(w []float64) {
	for i, v := range w {
		h.grad[i] = h.lambda[i%h.f.p] * v
	}
	for _, b := range h.blocks {
		if h.in(b) {
			t, p := h.t[h.k*b.lo:h.k*b.hi], h.prob[h.k*b.lo:h.k*b.hi]
			h.link.coefs(t, p, h.y[b.lo:b.hi], b.hi-b.lo)
			h.combine(h.grad, t, b)
		}
	}
}

// MulVec is the product with the Hessian where gradient was.
func (h *heads) MulVec(dst, v []float64) {
	h.products++
	for i, x := range v {
		dst[i] = h.lambda[i%h.f.p] * x
	}
	for _, b := range h.blocks {
		if h.in(b) {
			m := b.hi - b.lo
			s := h.tmp[:h.k*m]
			h.scores(s, v, b)
			h.link.apply(s, h.prob[h.k*b.lo:h.k*b.hi], h.k, m)
			h.combine(dst, s, b)
		}
	}
}

// Precondition solves with the diagonal blocks of the classes, in the space in which classes add up to zero.
func (h *heads) Precondition(dst, r []float64) {
	p := h.f.p
	copy(h.trial, r) // free between line searches
	h.center(h.trial)
	for c := range h.k {
		h.pre[c].Solve(dst[c*p:(c+1)*p], h.trial[c*p:(c+1)*p])
	}
	h.center(dst)
}

func (h *heads) center(w []float64) {
	if h.k == 1 {
		return
	}
	p := h.f.p
	for j := range p {
		mean := 0.0
		for c := range h.k {
			mean += w[c*p+j]
		}
		mean /= float64(h.k)
		for c := range h.k {
			w[c*p+j] -= mean
		}
	}
}

// prepare factors the diagonal blocks where gradient was.
func (h *heads) prepare() error {
	p, a := h.f.p, h.f.a
	for c := range h.k {
		first := true
		for _, b := range h.blocks {
			if h.in(b) {
				m := b.hi - b.lo
				h.link.curve(h.ones[:m], h.prob[h.k*b.lo:h.k*b.hi], c, m)
				kernel.Gram(h.gram, a.Data[b.lo*a.Stride:b.hi*a.Stride], a.Stride, p, h.ones[:m], 1, !first)
				first = false
			}
		}
		for j, l := range h.lambda {
			h.gram[j*p+j] += l
		}
		for add := 0.0; ; add = max(10*add, 1e-10) {
			if add > 0 {
				for j := range p {
					h.gram[j*p+j] += add
				}
			}
			if h.pre[c].Factorize(p, h.gram) == nil {
				break
			}
			if add > 1 {
				return fmt.Errorf("nystrom: the Hessian of a model is not positive definite")
			}
		}
	}
	return nil
}

const (
	tolerance = 1e-9 // of the decrease of the objective, in nats, that a solve may leave
	manySteps = 12   // of conjugate gradients, after which the preconditioner is made anew
)

// solve finds the model of a fold from where it was.
func (h *heads) solve(ctx context.Context, fold int) error {
	h.fold = fold
	w := h.w[max(fold, 0)]
	value := h.value(w)
	stale := true
	for iter := 0; ; iter++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h.gradient(w)
		if stale {
			if err := h.prepare(); err != nil {
				return err
			}
			stale = false
		}
		steps, err := h.newton(ctx, h.dir, h.grad, iter)
		if err != nil {
			return err
		}
		slope := kernel.Dot(h.grad, h.dir) // g'H⁻¹g
		if !(slope > 2*tolerance) || iter >= 50 {
			return nil
		}
		stale = steps > manySteps
		for step := 1.0; ; step /= 2 {
			for i, v := range w {
				h.trial[i] = v - step*h.dir[i]
			}
			v := h.value(h.trial)
			if v <= value-1e-4*step*slope+1e-12*math.Abs(value) {
				value = v
				copy(w, h.trial)
				break
			}
			if step < 1e-6 {
				h.value(w)
				h.gradient(w)
				return nil
			}
		}
	}
}

// newton sets dir = H⁻¹g.
func (h *heads) newton(ctx context.Context, dir, g []float64, iter int) (steps int, err error) {
	clear(dir)
	tol := 1e-2
	if iter > 1 {
		tol = 1e-4
	}
	before := h.products
	_, err = linsolve.CG{MaxIter: 500}.Solve(ctx, h, dir, g, tol, &h.work)
	return h.products - before, atRounding(err)
}

// adjoint sets q = H⁻¹g at the solution of the fold in work.
func (h *heads) adjoint(ctx context.Context, q, g []float64) error {
	clear(q)
	_, err := linsolve.CG{MaxIter: 500}.Solve(ctx, h, q, g, 1e-5, &h.work)
	return atRounding(err)
}

// atRounding forgives that a Hessian, which is positive definite, seemed not to be where curvatures are as small as
// rounding: what was found until then is as good as it gets.
func atRounding(err error) error {
	var indefinite *linsolve.NotPositiveDefiniteError
	if errors.As(err, &indefinite) {
		return nil
	}
	return err
}
