package model

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/pool"
	"github.com/bilevel-go/bilevel/rows"
)

// Loss is the mean over rows of a loss of the row's scores, without a penalty. The outer variable does not
// enter: OuterRange is empty, and derivatives with respect to x are zero.
//
// One pass over a batch of B rows costs 2Bdk multiplications for a gradient and 4Bdk for products (nnz·k
// instead of Bdk on sparse rows); scratch space is a few rows, and for full passes on sparse rows the scores
// and a transposed copy of the matrix.
type Loss struct {
	link   link
	layout Layout
	n, p   int
	dense  *rows.Dense
	sparse *rows.CSR
	y      []float64 // labels of a logistic loss, for the kernels that go from rows to derivatives

	workers []scratch
	ahead   []float64 // rows of the next batch that have not been asked for yet
	part    []float64
	vals    []float64
	job     job

	// Set by Linearize.
	lin  bilevel.Batch
	curv []float64

	squares []float64 // Σ of squares of each feature, made by the first ColumnNorms

	csc    *rows.CSR // transposed copy, made by the first full pass on sparse rows
	st, ss []float64 // scores of all rows, row-major
}

var (
	_ bilevel.SecondOrder     = (*Loss)(nil)
	_ bilevel.Linear          = (*Loss)(nil)
	_ bilevel.Sparse          = (*Loss)(nil)
	_ bilevel.Local           = (*Loss)(nil)
	_ bilevel.Linearizer      = (*Loss)(nil)
	_ bilevel.HessianMatrix   = (*Loss)(nil)
	_ bilevel.HessianBlocks   = (*Loss)(nil)
	_ bilevel.ValueGradienter = (*Loss)(nil)
	_ bilevel.ColumnNormer    = (*Loss)(nil)
)

const (
	someRows  = 8       // rows with which those of the next batch are asked for bit by bit
	blockSize = 1 << 15 // numbers in a block of rows that are scored and combined while in cache

	maxChunk, minChunk = 1024, 256 // rows in a chunk of a full pass, see Loss.chunkRows
	partNumbers        = 1 << 18   // in the sums of the chunks in flight
	mergeBlock         = 1 << 10   // numbers of these that are added up at a time
	gramNumbers        = 1 << 21   // in the sums of the chunks of a Hessian in flight
)

type scratch struct{ t, s, tmp []float64 }

func newLoss(a rows.Matrix, l link, labels, k, p int) (*Loss, error) {
	if err := rows.Check(a); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	n, d := a.Dims()
	if n == 0 || d == 0 {
		return nil, fmt.Errorf("model: no data: %d rows × %d features", n, d)
	}
	if labels != n {
		return nil, fmt.Errorf("model: %d labels for %d rows", labels, n)
	}
	if p < 0 {
		return nil, fmt.Errorf("model: %d outer variables", p)
	}
	o := &Loss{link: l, n: n, p: p, layout: Layout{Features: d, Classes: k}}
	switch a := a.(type) {
	case *rows.Dense:
		o.dense = a
	case *rows.CSR:
		o.sparse = a
		o.layout.FeatureMajor = k > 1
	}
	if l, ok := l.(logistic); ok {
		o.y = l.y
	}
	o.workers = []scratch{o.newScratch()}
	return o, nil
}

// Layout says how z is laid out.
func (o *Loss) Layout() Layout { return o.layout }

// Dims returns the lengths of z and x.
func (o *Loss) Dims() (d, p int) { return o.layout.Len(), o.p }

// Samples is the number of rows.
func (o *Loss) Samples() int { return o.n }

// OuterRange is empty: x does not enter.
func (o *Loss) OuterRange(bilevel.Batch) (lo, hi int) { return 0, 0 }

// LocalProducts is Products without cv.
func (o *Loss) LocalProducts(dz, hv, _, z, x, v []float64, b bilevel.Batch) {
	o.Products(dz, hv, nil, z, x, v, b)
}

// Scores is 1, or the number of classes of a softmax loss.
func (o *Loss) Scores() int { return o.layout.Classes }

// ColumnNorms overwrites dst with the root mean square of each coefficient's feature.
func (o *Loss) ColumnNorms(dst []float64) {
	if o.squares == nil {
		o.squares = make([]float64, o.layout.Features)
		for i := range o.n {
			if o.sparse != nil {
				index, values := o.sparse.Row(i)
				for e, j := range index {
					o.squares[j] += values[e] * values[e]
				}
				continue
			}
			for j, v := range o.dense.Row(i) {
				o.squares[j] += v * v
			}
		}
	}
	for i := range dst {
		_, j := o.layout.place(i)
		dst[i] = math.Sqrt(o.squares[j] / float64(o.n))
	}
}

// Value is the mean loss over b.
func (o *Loss) Value(z, _ []float64, b bilevel.Batch) float64 {
	return o.run(pass{z: z, value: true}, b)
}

// Grad overwrites dz with the gradient over b, and dx with zeros.
func (o *Loss) Grad(dz, dx, z, _ []float64, b bilevel.Batch) {
	clear(dx)
	if dz == nil {
		return
	}
	if o.oneCall(b) {
		lo, hi := b.Lo*o.dense.Stride, b.Hi*o.dense.Stride
		kernel.LogisticGrad(dz, o.dense.Data[lo:hi], o.dense.Stride, o.y[b.Lo:b.Hi], z, 1/float64(b.Len()), o.next(b.Len()))
		return
	}
	o.run(pass{dz: dz, z: z}, b)
}

// ValueGrad is Value and Grad in one pass.
func (o *Loss) ValueGrad(dz, dx, z, _ []float64, b bilevel.Batch) float64 {
	clear(dx)
	return o.run(pass{dz: dz, z: z, value: true}, b)
}

// pairGrad overwrites dy and dz with the gradients over b at y and at z.
func (o *Loss) pairGrad(dy, dz, y, z []float64, b bilevel.Batch) {
	o.run(pass{dz: dy, hv: dz, z: y, v: z, pair: true}, b)
}

// Products overwrites dz with the gradient and hv with the Hessian-vector product over b, and cv with zeros.
func (o *Loss) Products(dz, hv, cv, z, _, v []float64, b bilevel.Batch) {
	clear(cv)
	if hv == nil {
		o.Grad(dz, nil, z, nil, b)
		return
	}
	if o.oneCall(b) {
		a, stride, w := o.dense.Data[b.Lo*o.dense.Stride:b.Hi*o.dense.Stride], o.dense.Stride, 1/float64(b.Len())
		if dz == nil {
			kernel.LogisticHess(hv, a, stride, b.Len(), z, v, w, o.next(b.Len()))
		} else {
			kernel.LogisticProducts(dz, hv, a, stride, o.y[b.Lo:b.Hi], z, v, w, o.next(b.Len()))
		}
		return
	}
	o.run(pass{dz: dz, hv: hv, z: z, v: v}, b)
}

// oneCall says whether one call of a logistic kernel does the whole batch, from rows to derivatives.
func (o *Loss) oneCall(b bilevel.Batch) bool {
	n := b.Len()
	return o.y != nil && o.dense != nil && n > 0 && (n <= minChunk || n <= o.chunkRows())
}

// Linearize keeps what products at z over b need.
func (o *Loss) Linearize(z, _ []float64, b bilevel.Batch) {
	o.lin = b
	o.curv = grow(o.curv, b.Len()*o.layout.Classes)
	o.run(pass{z: z, linearize: true}, b)
}

// Apply overwrites hv with the Hessian-vector product at the point given to Linearize, and cv with zeros.
func (o *Loss) Apply(hv, cv, v []float64) {
	clear(cv)
	if hv != nil {
		o.run(pass{hv: hv, v: v, apply: true}, o.lin)
	}
}

// Row is row i of dense data, else nil. It shares memory with the data.
func (o *Loss) Row(i int) []float64 {
	if o.dense == nil {
		return nil
	}
	return o.dense.Row(i)
}

// Coefs overwrites cg and ch with the coefficients of gradient and Hessian-vector product.
func (o *Loss) Coefs(cg, ch, _, z, _, v []float64, b bilevel.Batch) {
	if o.y != nil && o.dense != nil && cg != nil {
		lo, hi := b.Lo*o.dense.Stride, b.Hi*o.dense.Stride
		next := o.next(b.Len())
		if n := len(next) / 3 * 2; n > 0 { // the rest with the combinations
			next, o.ahead = next[:n], next[n:]
		}
		kernel.LogisticCoefs(cg, ch, o.dense.Data[lo:hi], o.dense.Stride, o.y[b.Lo:b.Hi], z, v, next)
		return
	}
	m, k := b.Len(), o.layout.Classes
	sc := &o.workers[0]
	sc.grow(m, k)
	if cg == nil {
		if ch == nil {
			return
		}
		cg = sc.t[:k*m]
	}
	if o.dense != nil {
		a := o.dense.Data[b.Lo*o.dense.Stride : b.Hi*o.dense.Stride]
		o.scores(cg, ch, a, z, v, m)
		o.link.coefs(cg, ch, sc.tmp, b.Lo, m, m, 1)
		return
	}
	for i := range m {
		idx, val := o.sparse.Row(b.Lo + i)
		kernel.SparseScores(sc.tmp[:k], idx, val, z, k)
		for c, t := range sc.tmp[:k] {
			cg[c*m+i] = t
		}
		if ch != nil {
			kernel.SparseScores(sc.tmp[:k], idx, val, v, k)
			for c, s := range sc.tmp[:k] {
				ch[c*m+i] = s
			}
		}
	}
	o.link.coefs(cg, ch, sc.tmp, b.Lo, m, m, 1)
}

// Combine sets dz = keep dz + w·mean of A_iᵀcg_i over b, and hv likewise.
func (o *Loss) Combine(dz, hv, cg, ch []float64, w, keep float64, b bilevel.Batch) {
	m, k := b.Len(), o.layout.Classes
	w /= float64(m)
	if o.dense != nil {
		a := o.dense.Data[b.Lo*o.dense.Stride : b.Hi*o.dense.Stride]
		o.combine(dz, hv, a, cg, ch, m, w, keep)
		return
	}
	row := o.workers[0].tmp[:k]
	for _, q := range []struct{ dst, c []float64 }{{dz, cg}, {hv, ch}} {
		if q.dst == nil {
			continue
		}
		switch keep {
		case 0:
			clear(q.dst)
		case 1:
		default:
			kernel.Scale(keep, q.dst)
		}
		for i := range m {
			for c := range row {
				row[c] = w * q.c[c*m+i]
			}
			idx, val := o.sparse.Row(b.Lo + i)
			kernel.SparseCombine(q.dst, idx, val, row, k)
		}
	}
}

// Prefetch has the next pass over rows ask for those of b, as far as the caches should hold them.
func (o *Loss) Prefetch(b bilevel.Batch) {
	if o.dense == nil {
		return
	}
	a := o.dense.Data[b.Lo*o.dense.Stride : b.Hi*o.dense.Stride]
	if o.layout.Classes == 1 {
		a = a[:min(len(a), blockSize/2)]
	}
	o.ahead = a
	if o.y != nil {
		kernel.Prefetch(o.y[b.Lo:b.Hi])
	}
}

// fetch asks for rows at once.
func (o *Loss) fetch(a []float64) { kernel.Prefetch(a[:min(len(a), blockSize/8)]) }

// Hessian overwrites the lower triangle of dst with that of ∇²zz over b.
func (o *Loss) Hessian(ctx context.Context, dst, z, _ []float64, b bilevel.Batch) error {
	if o.sparse != nil {
		return o.sparseHessian(ctx, dst, z, b)
	}
	return o.denseHessian(ctx, dst, z, b)
}

// job is a pass in progress and the batch it is over; n chunks from first on are in flight.
type job struct {
	pass
	b        bilevel.Batch
	first, n int
}

// pass is one traversal of rows and what it computes.
type pass struct {
	dz, hv, z, v     []float64
	value            bool // the sum of losses is wanted
	cross            bool // the scores of v are wanted though hv may be nil
	linearize, apply bool
	pair             bool // hv is the gradient at v

	pen *Penalty  // added to dz and hv, on sparse rows; see Penalty.prepare
	cv  []float64 // that of pen, if it is wanted together with hv

	descend *descent // z and v are stepped, and dz and hv not wanted
}

func (o *Loss) run(p pass, b bilevel.Batch) float64 {
	if b.Len() <= 0 {
		clear(p.dz)
		clear(p.hv)
		return 0
	}
	o.job = job{pass: p, b: b}
	if o.sparse != nil {
		return o.runSparse()
	}
	return o.runDense()
}

// scores sets t = Az for m dense rows and, if s is not nil, s = Av.
func (o *Loss) scores(t, s, a, z, v []float64, m int) {
	k, d, stride := o.layout.Classes, o.layout.Features, o.dense.Stride
	switch {
	case k == 1 && s != nil:
		kernel.Scores2(t[:m], s[:m], a, stride, z, v)
	case k == 1:
		kernel.Scores(t[:m], a, stride, z)
	default:
		kernel.ScoresK(t, a, stride, z, k, d, m)
		if s != nil {
			kernel.ScoresK(s, a, stride, v, k, d, m)
		}
	}
}

// next takes the rows to ask for while m rows are worked on. With few it asks for them at once.
func (o *Loss) next(m int) []float64 {
	a := o.ahead
	if a == nil { // as several workers find it
		return nil
	}
	o.ahead = nil
	if m < someRows {
		o.fetch(a)
		return nil
	}
	return a
}

// combine sets dz = keep dz + w Aᵀt and hv = keep hv + w Aᵀs, as far as they are not nil.
func (o *Loss) combine(dz, hv, a, t, s []float64, m int, w, keep float64) {
	k, d, stride := o.layout.Classes, o.layout.Features, o.dense.Stride
	if k == 1 {
		add := keep != 0
		if add && keep != 1 {
			kernel.Scale(keep, dz)
			kernel.Scale(keep, hv)
		}
		switch {
		case dz != nil && hv != nil:
			kernel.Combine2(dz, hv, a, stride, t[:m], s[:m], w, add, o.next(m))
		case dz != nil:
			kernel.Combine(dz, a, stride, t[:m], w, add, o.next(m))
		case hv != nil:
			kernel.Combine(hv, a, stride, s[:m], w, add, o.next(m))
		}
		return
	}
	for _, q := range [2]struct{ dst, c []float64 }{{dz, t}, {hv, s}} {
		switch {
		case q.dst == nil:
		case len(o.ahead) > 0:
			o.ahead = kernel.CombineKAhead(q.dst, a, stride, q.c, k, d, m, w, keep, o.ahead)
		default:
			kernel.CombineK(q.dst, a, stride, q.c, k, d, m, w, keep)
		}
	}
}

// chunkRows is how many dense rows' sum is one term of a full pass. With one score it is a few microseconds' work, so
// that 5,000 rows divide evenly; with a sum for each class, smaller chunks take up to a fifth longer.
func (o *Loss) chunkRows() int {
	m := maxChunk
	for m > minChunk && m*o.dense.Stride > blockSize && o.layout.Classes == 1 {
		m /= 2
	}
	return m
}

// runDense does a pass over dense rows: directly for one chunk, else chunk by chunk with the sums added in
// order.
func (o *Loss) runDense() float64 {
	p, b := &o.job.pass, o.job.b
	w := 1 / float64(b.Len())
	step := o.chunkRows()
	if b.Len() > step {
		o.ahead = nil // not for several workers
	} else {
		return w * o.chunk(&o.workers[0], p.dz, p.hv, b)
	}
	width := len(p.dz) + len(p.hv)
	chunks := (b.Len() + step - 1) / step
	slots := min(chunks, max(16, min(256, partNumbers/max(width, 1))))
	o.part = grow(o.part, slots*width)
	o.vals = grow(o.vals, slots)
	team := o.team(b.Len() * o.dense.Stride * o.layout.Classes)
	merge := pool.For(slots * width)
	blocks := (width + mergeBlock - 1) / mergeBlock
	total := 0.0
	for first := 0; first < chunks; first += slots {
		n := min(slots, chunks-first)
		o.job.first, o.job.n = first, n
		if team.Size > 1 {
			team.Run(n, o.denseChunk)
			merge.Run(blocks, o.merge)
		} else { // without closures, which would be allocated
			for i := range n {
				o.denseChunk(0, i)
			}
			for i := range blocks {
				o.merge(0, i)
			}
		}
		for _, v := range o.vals[:n] {
			total += v
		}
	}
	return w * total
}

// merge adds block i of the sums of the chunks in flight, in order, to those of the chunks before.
func (o *Loss) merge(_, i int) {
	p := &o.job.pass
	ldz, width := len(p.dz), len(p.dz)+len(p.hv)
	for lo, hi := i*mergeBlock, min((i+1)*mergeBlock, width); lo < hi; {
		var dst []float64 // dz or hv, which lie one behind the other in a part
		if lo < ldz {
			dst = p.dz[lo:min(hi, ldz)]
		} else {
			dst = p.hv[lo-ldz : hi-ldz]
		}
		for k := range o.job.n {
			part := o.part[k*width+lo:][:len(dst)]
			if o.job.first+k == 0 {
				copy(dst, part)
			} else {
				kernel.Axpy(1, part, dst)
			}
		}
		lo += len(dst)
	}
}

// denseChunk does chunk i of those in flight.
func (o *Loss) denseChunk(worker, i int) {
	p := &o.job.pass
	step := o.chunkRows()
	lo := o.job.b.Lo + (o.job.first+i)*step
	c := bilevel.Batch{Lo: lo, Hi: min(lo+step, o.job.b.Hi), Draw: o.job.b.Draw}
	ldz, width := len(p.dz), len(p.dz)+len(p.hv)
	part := o.part[i*width : (i+1)*width]
	var dz, hv []float64
	if ldz > 0 {
		dz = part[:ldz]
	}
	if ldz < width {
		hv = part[ldz:]
	}
	o.vals[i] = o.chunk(&o.workers[worker], dz, hv, c)
}

// chunk does the pass over the rows c of the batch, in blocks that stay in cache. It overwrites dz and hv
// with this chunk's part of the means and returns the sum of its losses.
func (o *Loss) chunk(sc *scratch, dz, hv []float64, c bilevel.Batch) float64 {
	p, b := &o.job.pass, o.job.b
	w := 1 / float64(b.Len())
	k, stride := o.layout.Classes, o.dense.Stride
	if o.y != nil && !p.linearize && !p.apply && !p.pair {
		a, y := o.dense.Data[c.Lo*stride:c.Hi*stride], o.y[c.Lo:c.Hi]
		var next []float64
		switch {
		case c.Len() == b.Len():
			next = o.next(b.Len())
		case stride*maxChunk <= 2*blockSize: // of wider rows, asking for the next chunk took a fifth longer than not
			next = o.dense.Data[c.Hi*stride : min(c.Hi+c.Len(), b.Hi)*stride]
		}
		switch {
		case p.value: // the kernel's value is weighted, the sum of losses is not
			return kernel.LogisticValueGrad(dz, a, stride, y, p.z, w, false, next) / w
		case dz != nil && hv != nil:
			kernel.LogisticProducts(dz, hv, a, stride, y, p.z, p.v, w, next)
			return 0
		case dz != nil:
			kernel.LogisticGrad(dz, a, stride, y, p.z, w, next)
			return 0
		case hv != nil:
			kernel.LogisticHess(hv, a, stride, c.Len(), p.z, p.v, w, next)
			return 0
		}
	}
	step := o.block()
	sum, keep := 0.0, 0.0
	for lo := c.Lo; lo < c.Hi; lo += step {
		m := min(step, c.Hi-lo)
		a := o.dense.Data[lo*stride : (lo+m)*stride]
		t, s := sc.t[:k*m], sc.s[:k*m]
		curv := o.curv
		if p.linearize || p.apply {
			curv = o.curv[k*(lo-b.Lo) : k*(lo-b.Lo+m)]
		}
		switch {
		case p.linearize:
			o.scores(curv, nil, a, p.z, nil, m)
			o.link.curvature(curv, sc.tmp, lo, m, m, 1)
			continue
		case p.apply:
			o.scores(s, nil, a, p.v, nil, m)
			o.link.apply(s, curv, sc.tmp, lo, m, m, 1)
		case p.pair:
			o.scores(t, s, a, p.z, p.v, m)
			o.link.coefs(t, nil, sc.tmp, lo, m, m, 1)
			o.link.coefs(s, nil, sc.tmp, lo, m, m, 1)
		case hv != nil || p.cross:
			o.scores(t, s, a, p.z, p.v, m)
			o.link.coefs(t, s, sc.tmp, lo, m, m, 1)
		case dz == nil:
			o.scores(t, nil, a, p.z, nil, m)
			sum += o.link.loss(t, sc.tmp, lo, m, m, 1)
			continue
		case p.value:
			o.scores(t, nil, a, p.z, nil, m)
			sum += o.link.lossCoefs(t, sc.tmp, lo, m, m, 1)
		default:
			o.scores(t, nil, a, p.z, nil, m)
			o.link.coefs(t, nil, sc.tmp, lo, m, m, 1)
		}
		o.combine(dz, hv, a, t, s, m, w, keep)
		keep = 1
	}
	return sum
}

// block is the number of rows that are scored and combined before the next are read.
func (o *Loss) block() int {
	if o.sparse != nil {
		return 256
	}
	return max(16, min(256, blockSize/max(o.dense.Stride, 1)&^7))
}

func (o *Loss) newScratch() scratch {
	var s scratch
	s.grow(o.block(), o.layout.Classes)
	return s
}

// grow makes room for m rows; scratch never shrinks.
func (s *scratch) grow(m, k int) {
	s.t, s.s = grow(s.t, max(m*k, len(s.t))), grow(s.s, max(m*k, len(s.s)))
	s.tmp = grow(s.tmp, max((3+k)*m, k, len(s.tmp)))
}

// view is a loss on the same rows with scratch space of its own.
func (o *Loss) view() Loss {
	v := Loss{link: o.link, layout: o.layout, n: o.n, p: o.p, dense: o.dense, sparse: o.sparse, y: o.y}
	v.workers = []scratch{v.newScratch()}
	return v
}

// team is the goroutines for so many multiplications, each of which has scratch space.
func (o *Loss) team(work int) pool.Team {
	t := pool.For(work)
	for len(o.workers) < t.Size {
		o.workers = append(o.workers, o.newScratch())
	}
	return t
}

// grow is s with length n, in its own memory if that is enough.
func grow(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	return s[:n]
}
