package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/rows"
)

// Task is the data of one task of a [Representation].
type Task struct {
	X *rows.Dense
	// Y are the targets of a squared loss, or nil.
	Y []float64
	// Labels are the classes 0 ≤ y < Classes of a softmax loss, or nil.
	Labels []int
}

// RepresentationOptions are the settings of a [Representation].
type RepresentationOptions struct {
	// Width r is the number of features that the representation has. Required.
	Width int
	// Classes k of a softmax loss; 0 is a squared loss, with one score.
	Classes int
	// OneHot makes the loss of Classes ½ Σ_c (t_c − [y = c])², least squares on indicators: the heads of ridge
	// regression.
	OneHot bool
	// Ridge β ≥ 0 adds ½β‖w_t‖² to every task.
	Ridge float64
}

// Representation is a linear representation shared by many tasks, each of which has a linear head of its own on
// top of it: the mean over tasks t of
//
//	mean over rows i of ℓ(W_t H a_i, y_i) + ½β‖W_t‖².
//
// The outer variable x is H, r × D and row-major, the inner one z the heads, W_t at z[t·k·r:(t+1)·k·r], k × r and
// row-major. Tasks are the samples. An inner objective of support rows and an outer one of query rows make
// few-shot meta-learning: find H such that heads learned on few rows do well on others.
//
// Features H a_i of the tasks of a batch are kept as long as x stays the same, so that inner iterations cost 2kr
// multiplications a row and pass instead of D·r. Memory: r + 2k numbers a row, and 16 matrices of the size of H.
//
// Franceschi, Frasconi, Salzo, Grazzi, Pontil, Bilevel programming for hyperparameter optimization and
// meta-learning, 2018, section 3; Grazzi et al., On the iteration complexity of hypergradient computation, 2020,
// section 3.
type Representation struct {
	tasks    []task
	width    int
	k        int
	features int
	ridge    float64
	separate bool // classes do not interact
	sumRows  int

	h       []float64 // the last representation
	version int       // counts representations; 0: none yet
	slots   []taskSlot
	maxLen  int
}

// task is the data of a task, and its features for a representation.
type task struct {
	x       *rows.Dense
	labels  []int
	link    link
	u       []float64 // u[j*m+i] is feature j of row i
	version int       // of the representation
}

// taskSlot is the scratch space of the tasks that one goroutine works on, in order.
type taskSlot struct {
	t, s, tmp, e []float64
	dx, cv       []float64
	value        float64
}

var (
	_ bilevel.SecondOrder     = (*Representation)(nil)
	_ bilevel.ValueGradienter = (*Representation)(nil)
	_ bilevel.HessianBlocks   = (*Representation)(nil)
)

// NewRepresentation is the mean of the losses of tasks. It keeps their data.
func NewRepresentation(tasks []Task, o RepresentationOptions) (*Representation, error) {
	switch {
	case len(tasks) == 0:
		return nil, fmt.Errorf("model: a representation needs at least one task")
	case o.Width < 1:
		return nil, fmt.Errorf("model: a representation of width %d", o.Width)
	case o.Classes < 0 || o.Classes == 1:
		return nil, fmt.Errorf("model: a softmax loss needs at least 2 classes, not %d", o.Classes)
	case o.OneHot && o.Classes == 0:
		return nil, fmt.Errorf("model: OneHot needs Classes")
	case !(o.Ridge >= 0) || math.IsInf(o.Ridge, 0):
		return nil, fmt.Errorf("model: a ridge of %v", o.Ridge)
	}
	r := &Representation{width: o.Width, k: max(o.Classes, 1), ridge: o.Ridge, separate: o.Classes == 0 || o.OneHot}
	for i, t := range tasks {
		if t.X == nil {
			return nil, fmt.Errorf("model: task %d has no rows", i)
		}
		var l *Loss
		var err error
		switch {
		case o.Classes > 0:
			l, err = NewSoftmax(t.X, t.Labels, o.Classes, 0)
		default:
			l, err = NewSquared(t.X, t.Y, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("task %d: %w", i, err)
		}
		if i == 0 {
			r.features = t.X.D
		} else if t.X.D != r.features {
			return nil, fmt.Errorf("model: task %d has %d features, task 0 has %d", i, t.X.D, r.features)
		}
		head := l.link
		if o.OneHot {
			head = oneHot{t.Labels, o.Classes}
		}
		r.tasks = append(r.tasks, task{x: t.X, labels: t.Labels, link: head, u: make([]float64, o.Width*t.X.N)})
		r.maxLen = max(r.maxLen, t.X.N)
		r.sumRows += t.X.N
	}
	r.h = make([]float64, r.width*r.features)
	r.slots = make([]taskSlot, min(taskSlots, len(r.tasks)))
	for i := range r.slots {
		m := r.maxLen
		r.slots[i] = taskSlot{
			t: make([]float64, m*r.k), s: make([]float64, m*r.k), tmp: make([]float64, max(2*m, r.k)),
			e: make([]float64, m*r.width), dx: make([]float64, len(r.h)), cv: make([]float64, len(r.h)),
		}
	}
	return r, nil
}

// Dims returns the number of coefficients of all heads and of the representation.
func (r *Representation) Dims() (d, p int) {
	return len(r.tasks) * r.k * r.width, r.width * r.features
}

// Samples is the number of tasks.
func (r *Representation) Samples() int { return len(r.tasks) }

// Value is the mean loss of the tasks in b.
func (r *Representation) Value(z, x []float64, b bilevel.Batch) float64 {
	return r.pass(nil, nil, nil, nil, z, x, nil, b, true)
}

// Grad overwrites dz and dx.
func (r *Representation) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	r.pass(dz, dx, nil, nil, z, x, nil, b, false)
}

// ValueGrad is Value and Grad in one pass.
func (r *Representation) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	return r.pass(dz, dx, nil, nil, z, x, nil, b, true)
}

// Products overwrites dz, hv and cv.
func (r *Representation) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	r.pass(dz, nil, hv, cv, z, x, v, b, false)
}

// blockNumbers bounds the numbers in all blocks of ∇²zz.
var blockNumbers = 1 << 25

// BlockSize is the length of a head: ∇²zz consists of these blocks. It is that of one class where the loss does not
// couple classes or blocks would be too large, and 1 where those would be, too, or tasks have far fewer rows than
// features.
func (r *Representation) BlockSize() int {
	d := len(r.tasks) * r.k * r.width
	switch {
	case r.width > 16*r.maxLen:
		return 1
	case !r.separate && d*r.k*r.width <= blockNumbers:
		return r.k * r.width
	case d*r.width <= blockNumbers:
		return r.width
	}
	return 1
}

// Blocks overwrites dst with the diagonal blocks of ∇²zz over b.
func (r *Representation) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	clear(dst)
	if b.Len() <= 0 {
		return nil
	}
	team := r.represent(x, b)
	n, size := len(r.slots), r.BlockSize()
	head := r.k * r.width
	w := 1 / float64(b.Len())
	team.Run(n, func(_, i int) {
		for j := b.Lo + b.Len()*i/n; j < b.Lo+b.Len()*(i+1)/n && ctx.Err() == nil; j++ {
			r.blocks(&r.slots[i], &r.tasks[j], w, dst[j*head*size:(j+1)*head*size], z[j*head:(j+1)*head], size)
		}
	})
	return ctx.Err()
}

// blocks is the part of a task in Blocks: Σ_i ∂²ℓ/∂t_c∂t_c' u_i u_iᵀ/m + βI.
func (r *Representation) blocks(sl *taskSlot, t *task, w float64, dst, z []float64, size int) {
	m, k, width := t.x.N, r.k, r.width
	scores, weight, e := sl.t[:k*m], sl.e[:m], sl.s[:m]
	headScores(scores, z, t.u, k, width, m)
	t.link.curvature(scores, sl.tmp, 0, m, m, 1)
	for c := range k {
		for c2 := range c + 1 {
			if c2 < c && size < k*width {
				continue
			}
			t.link.weight(weight, scores, c, c2, 0, m, m, 1)
			for row := range width {
				for l, v := range t.u[row*m : (row+1)*m] {
					e[l] = w / float64(m) * weight[l] * v
				}
				at := c*width + row // the coefficient, whose block and row in it are
				block, in := at/size*size*size, at%size
				for col := range width {
					at2 := c2*width + col
					if at2 > at || at2/size != at/size {
						continue
					}
					dst[block+in*size+at2%size] = kernel.Dot(e, t.u[col*m:(col+1)*m])
				}
				if c == c2 {
					dst[block+in*size+in] += w * r.ridge
				}
			}
		}
	}
}

// taskSlots is into how many sums, which are added in order, tasks are divided.
const taskSlots = 16

// represent makes the tasks of b hold the features of the representation x, and returns the goroutines for a
// pass.
func (r *Representation) represent(x []float64, b bilevel.Batch) pool.Team {
	team := pool.For(r.sumRows * r.width * r.features)
	if r.version == 0 || !slices.Equal(r.h, x) {
		copy(r.h, x)
		r.version++
	}
	if !slices.ContainsFunc(r.tasks[b.Lo:b.Hi], func(t task) bool { return t.version != r.version }) {
		return team
	}
	n := len(r.slots)
	team.Run(n, func(_, i int) {
		for j := b.Lo + b.Len()*i/n; j < b.Lo+b.Len()*(i+1)/n; j++ {
			if t := &r.tasks[j]; t.version != r.version {
				kernel.ScoresK(t.u, t.x.Data, t.x.Stride, r.h, r.width, r.features, t.x.N)
				t.version = r.version
			}
		}
	})
	return team
}

// pass computes what destinations ask for, and the value.
func (r *Representation) pass(dz, dx, hv, cv, z, x, v []float64, b bilevel.Batch, value bool) float64 {
	clear(dz) // heads of tasks outside b
	clear(hv)
	clear(dx)
	clear(cv)
	if b.Len() <= 0 || !value && dz == nil && dx == nil && hv == nil && cv == nil {
		return 0
	}
	team, n := r.represent(x, b), len(r.slots)
	w := 1 / float64(b.Len())
	team.Run(n, func(_, i int) {
		sl := &r.slots[i]
		sl.value = 0
		if dx != nil {
			clear(sl.dx)
		}
		if cv != nil {
			clear(sl.cv)
		}
		size := r.k * r.width
		part := func(s []float64, j int) []float64 {
			if s == nil {
				return nil
			}
			return s[j*size : (j+1)*size]
		}
		for j := b.Lo + b.Len()*i/n; j < b.Lo+b.Len()*(i+1)/n; j++ {
			t := &r.tasks[j]
			sl.value += r.one(sl, t, w, part(dz, j), part(hv, j), part(z, j), part(v, j), dx != nil, cv != nil, value)
		}
	})
	total := 0.0
	for i := range r.slots {
		total += r.slots[i].value
		if dx != nil {
			kernel.Axpy(1, r.slots[i].dx, dx)
		}
		if cv != nil {
			kernel.Axpy(1, r.slots[i].cv, cv)
		}
	}
	return total
}

// one is the part of a task in a pass, with weight w.
func (r *Representation) one(sl *taskSlot, t *task, w float64, dz, hv, z, v []float64, dx, cv, value bool) float64 {
	m, k, width := t.x.N, r.k, r.width
	scores, curved := sl.t[:k*m], sl.s[:k*m]
	headScores(scores, z, t.u, k, width, m)
	sum := 0.0
	if value && dz == nil && !dx {
		sum = t.link.loss(scores, sl.tmp, 0, m, m, 1)
		return w * (sum/float64(m) + r.ridge/2*kernel.Dot(z, z))
	}
	switch {
	case value:
		sum = w * (t.link.lossCoefs(scores, sl.tmp, 0, m, m, 1)/float64(m) + r.ridge/2*kernel.Dot(z, z))
	case hv != nil || cv:
		headScores(curved, v, t.u, k, width, m)
		t.link.coefs(scores, curved, sl.tmp, 0, m, m, 1)
	default:
		t.link.coefs(scores, nil, sl.tmp, 0, m, m, 1)
	}
	wm := w / float64(m)
	if dz != nil {
		headGrad(dz, scores, t.u, wm, w*r.ridge, z, k, width, m) // ∇W = coefs·(HAᵀ)ᵀ/m + βW
	}
	if hv != nil {
		headGrad(hv, curved, t.u, wm, w*r.ridge, v, k, width, m)
	}
	if dx { // ∇H = Wᵀ·coefs·A/m
		e := sl.e[:width*m]
		clear(e)
		headPull(e, scores, z, k, width, m)
		kernel.CombineK(sl.dx, t.x.Data, t.x.Stride, e, width, r.features, m, wm, 1)
	}
	if cv { // ∇H⟨∇W, V⟩ = (Vᵀ·coefs + Wᵀ·curved)·A/m
		e := sl.e[:width*m]
		clear(e)
		headPull(e, scores, v, k, width, m)
		headPull(e, curved, z, k, width, m)
		kernel.CombineK(sl.cv, t.x.Data, t.x.Stride, e, width, r.features, m, wm, 1)
	}
	return sum
}

// oneHot is ℓ(t, y) = ½ Σ_c (t_c − [y = c])².
type oneHot struct {
	y []int
	k int
}

func (l oneHot) loss(t, tmp []float64, lo, m, cs, is int) float64 {
	return l.lossCoefs(t, tmp, lo, m, cs, is)
}

func (l oneHot) coefs(t, _, _ []float64, lo, m, cs, is int) {
	for i, y := range l.y[lo : lo+m] {
		t[y*cs+i*is]-- // ∂ℓ/∂t_c = t_c − [y = c]; ∂²ℓ/∂t² = I leaves s as it is
	}
}

func (l oneHot) lossCoefs(t, tmp []float64, lo, m, cs, is int) float64 {
	l.coefs(t, nil, tmp, lo, m, cs, is)
	sum := 0.0
	for c := range l.k {
		for i := range m {
			sum += t[c*cs+i*is] * t[c*cs+i*is]
		}
	}
	return sum / 2
}

func (oneHot) curvature(t, _ []float64, _, m, cs, is int) {}

func (oneHot) apply(_, _, _ []float64, _, _, _, _ int) {}

func (oneHot) weight(dst, _ []float64, c, c2, _, m, _, _ int) {
	for i := range dst[:m] {
		dst[i] = 0
		if c == c2 {
			dst[i] = 1
		}
	}
}

// headScores sets t[c*m+i] = Σ_j w[c*r+j] u[j*m+i].
func headScores(t, w, u []float64, k, r, m int) {
	clear(t)
	for c := range k {
		for j := range r {
			kernel.Axpy(w[c*r+j], u[j*m:(j+1)*m], t[c*m:(c+1)*m])
		}
	}
}

// headGrad sets dw[c*r+j] = a Σ_i t[c*m+i] u[j*m+i] + b w[c*r+j].
func headGrad(dw, t, u []float64, a, b float64, w []float64, k, r, m int) {
	for c := range k {
		for j := range r {
			dw[c*r+j] = a*kernel.Dot(t[c*m:(c+1)*m], u[j*m:(j+1)*m]) + b*w[c*r+j]
		}
	}
}

// headPull adds Σ_c w[c*r+j] t[c*m+i] to e[j*m+i].
func headPull(e, t, w []float64, k, r, m int) {
	for c := range k {
		for j := range r {
			kernel.Axpy(w[c*r+j], t[c*m:(c+1)*m], e[j*m:(j+1)*m])
		}
	}
}

// Accuracy is, for every task with classes, the share of rows whose largest score is that of their label.
func (r *Representation) Accuracy(z, x []float64) []float64 {
	shares := make([]float64, len(r.tasks))
	r.represent(x, bilevel.All(r))
	for j := range r.tasks {
		t, m := &r.tasks[j], r.tasks[j].x.N
		scores := r.slots[0].t[:r.k*m]
		headScores(scores, z[j*r.k*r.width:(j+1)*r.k*r.width], t.u, r.k, r.width, m)
		for i := range m {
			best := 0
			for c := range r.k {
				if scores[c*m+i] > scores[best*m+i] {
					best = c
				}
			}
			if best == t.labels[i] {
				shares[j] += 1 / float64(m)
			}
		}
	}
	return shares
}
