package stochastic

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// supportRun is SOBA or SABA by support reweighting. A step with the blocks i of g and j of f touches only the
// columns of z and v that these blocks see, S_i and T_j, and the part of x that belongs to S_i. What is not
// sampled, the exact part of g and the averages of past batches, acts on S_i alone, times r_c = 1/P(c ∈ S_i), so
// that the mean over draws stays what it was:
//
//	D_z = (w_i/π_i) δ(∇z g) + 1_S r (avg(∇z g) + ∇z exact)
//	D_v = (w_i/π_i) δ(Hv) + (w_j/π_j) δ(∇z f) + 1_S r (avg(Hv) + avg(∇z f) + ∇²zz exact·v)
//	D_x = ∇²xz exact·(1_S r v)
//
// The average of ∇z f acts on S_i, and not on T_j, because at a solution it balances the two beside it: the
// factors of r vanish there, and with them the variance of the directions.
//
// Where columns share a part of x, as under one strength for all, D_x is a sum over columns that vanishes at a
// solution though its terms do not, and SABA remembers it by blocks: direction = new − memory[i] + average,
// average += π_i(new − memory[i]).
//
// A column that no block of g sees is under the exact part and ∇z f all the same: such columns are dealt out to
// the blocks in turn, as if a sample of the block saw them with value zero.
//
// Directions are vectors over a block's columns, in their order.
type supportRun struct {
	*core
	colG, colF *columns
	parts      []part // of the exact part of g, one for each block

	pz, pv  []float64 // the part's derivatives on the block's columns
	rv      []float64 // r v
	xs, dxs []float64 // x and D_x at the part's places
	drawn   [2]int    // the blocks last drawn, of g and of f
	rarityX []float64 // 1/P(a place of x moves), where its step size is automatic

	// Averages of SABA, column by column: k numbers of ∇z g, k of Hv, k of ∇z f. One place in memory a column.
	avg []float64
	// Memory of D_x, where SABA needs it.
	memX [][]float64 // of each block, at its part's places
	avgX []float64
}

// part is the exact part of g on the columns of a block, a function of x at places.
type part struct {
	of     bilevel.SecondOrder
	places []int32
}

// columns is one level on the columns of its blocks.
type columns struct {
	local      bilevel.Linear
	part       sampling.Partition
	d, k       int
	quantities int         // of z: 2 for g, ∇z g and ∇²zz g·v, and 1 for f, ∇z f
	of         [][]int32   // the columns of each block: first those that its samples see
	sees       []int       // their number
	rarity     [][]float64 // r of each block's columns, for g

	mem []float64 // coefficients that SABA remembers, see saga; nil for SOBA

	coef []float64    // new coefficients, then their change
	z, v []float64    // on the block's columns
	dir  [2][]float64 // D_z and D_v, or f's part of D_v
}

// newSupport starts a run; saga says that it is SABA, warm that its memory is filled first.
func newSupport(cfg config, saga, warm bool, p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if cfg.clip > 0 {
		return nil, errors.New("stochastic: Support and Clip exclude each other: " +
			"the norm of a direction on a few columns says nothing about the whole")
	}
	if p != nil && p.Project != nil {
		return nil, errors.New("stochastic: Support needs a box as the domain of x: " +
			"a projection moves all of x in every step")
	}
	c, err := newCore(cfg, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &supportRun{core: c}
	if r.colG, err = newColumns(&c.g.Level, c.gi, 2, saga); err != nil {
		return nil, fmt.Errorf("inner objective: %w", err)
	}
	exact, ok := c.g.Exact.(bilevel.Separable)
	if !ok {
		return nil, fmt.Errorf("inner objective: stochastic: Support needs an exact part that is bilevel.Separable, "+
			"such as a penalty, not %T", c.g.Exact)
	}
	if c.f.Exact != nil {
		return nil, fmt.Errorf("outer objective: stochastic: Support needs an objective without an exact part (%T)",
			c.f.Exact)
	}
	if r.colF, err = newColumns(&c.f, c.fo, 1, saga); err != nil {
		return nil, fmt.Errorf("outer objective: %w", err)
	}
	if r.colF.k != r.colG.k {
		return nil, fmt.Errorf("stochastic: Support needs objectives with the same number of scores, "+
			"and the inner one has %d, the outer one %d", r.colG.k, r.colF.k)
	}
	if saga {
		r.avg = make([]float64, 3*r.colG.d)
	}
	r.colG.dealOut()
	rarity := r.colG.rarities(r.colG.d/r.colG.k, cfg.shuffle, func(i int) []int32 { return r.colG.of[i] })
	for _, of := range r.colG.of {
		own := make([]float64, len(of))
		gather(own, rarity, of, 1)
		r.colG.rarity = append(r.colG.rarity, own)
	}
	r.takeApart(exact)
	n := r.colG.room()
	r.colF.room()
	r.pz, r.pv, r.rv = make([]float64, n), make([]float64, n), make([]float64, n)
	if c.outer.Auto() {
		r.rarityX = r.colG.rarities(len(c.x), cfg.shuffle, func(i int) []int32 { return r.parts[i].places })
	}
	if c.inner.Auto() {
		c.g.exactG = reweighted{exact, rarity}
		c.auto.setRho()
	}
	if saga && r.shares(exact) {
		r.avgX = make([]float64, len(c.x))
		for _, q := range r.parts {
			r.memX = append(r.memX, make([]float64, len(q.places)))
		}
	}
	c.gz, c.gh, c.fz = nil, nil, nil // of full length, and not used
	if c.auto == nil {
		c.dz, c.dv = nil, nil
	}
	if saga {
		c.reset = r.fill
	}
	if warm {
		r.fill()
	}
	return r, nil
}

func newColumns(l *sampling.Level, s *sampling.Sampler, quantities int, saga bool) (*columns, error) {
	sparse, ok := l.Sampled.(bilevel.Sparse)
	if !ok || l.SampledX {
		return nil, fmt.Errorf("stochastic: Support needs a sampled part that is bilevel.Sparse and in which x does not "+
			"enter, not %T", l.Sampled)
	}
	m := &columns{part: s.Partition, k: sparse.Scores(), quantities: quantities}
	m.d, _ = sparse.Dims()
	blocks := make([]bilevel.Batch, s.Blocks())
	for i := range blocks {
		blocks[i] = s.Block(i)
	}
	if m.local, m.of = sparse.Relabel(blocks); m.local == nil {
		return nil, fmt.Errorf("stochastic: Support needs sparse rows, and the samples of %T see all of z", l.Sampled)
	}
	m.sees = make([]int, len(m.of))
	for i, of := range m.of {
		m.sees[i] = len(of)
	}
	m.coef = make([]float64, quantities*m.k*s.Size())
	if saga {
		m.mem = make([]float64, quantities*m.k*s.Samples())
	}
	return m, nil
}

// dealOut deals the columns that no block sees out to the blocks of full length, which make r least.
func (m *columns) dealOut() {
	seen := make([]bool, m.d/m.k)
	for _, of := range m.of {
		for _, c := range of {
			seen[c] = true
		}
	}
	next := 0
	for c, s := range seen {
		if !s {
			m.of[next] = append(m.of[next], int32(c))
			next = (next + 1) % (m.part.Samples() / m.part.Size())
		}
	}
}

// rarities are 1/P(c is on the list of the block drawn) for c < n, from whole numbers: 1 where all blocks have c,
// and 0 where none has.
func (m *columns) rarities(n int, shuffle bool, list func(block int) []int32) []float64 {
	rarity := make([]float64, n)
	total := m.part.Samples()
	if shuffle {
		total = m.part.Blocks()
	}
	for i := range m.of {
		share := m.part.Block(i).Len()
		if shuffle {
			share = 1
		}
		for _, c := range list(i) {
			rarity[c] += float64(share)
		}
	}
	for c, n := range rarity {
		if n > 0 {
			rarity[c] = float64(total) / n
		}
	}
	return rarity
}

// room makes room for the columns of any block and returns the numbers in it.
func (m *columns) room() int {
	n := 0
	for _, of := range m.of {
		n = max(n, m.k*len(of))
	}
	m.z = make([]float64, n)
	if m.quantities == 2 {
		m.v = make([]float64, n)
	}
	for q := range m.quantities {
		m.dir[q] = make([]float64, n)
	}
	return n
}

// takeApart sets the parts of the exact part.
func (r *supportRun) takeApart(exact bilevel.Separable) {
	k, most := r.colG.k, 0
	var places []int32
	for _, of := range r.colG.of {
		places = places[:0]
		for _, c := range of {
			for e := range k {
				places = append(places, c*int32(k)+int32(e))
			}
		}
		of, x := exact.Part(places)
		r.parts = append(r.parts, part{of, x})
		most = max(most, len(x))
	}
	r.xs, r.dxs = make([]float64, most), make([]float64, most)
}

// shares says whether two columns of z share a part of x.
func (r *supportRun) shares(exact bilevel.Separable) bool {
	taken := make([]bool, len(r.x))
	column := make([]int32, r.colG.k)
	for c := range r.colG.d / r.colG.k {
		for e := range column {
			column[e] = int32(c*len(column) + e)
		}
		_, places := exact.Part(column)
		for _, j := range places {
			if taken[j] {
				return true
			}
			taken[j] = true
		}
	}
	return false
}

// reweighted is the exact part of g as steps see its curvature: entry c of the Hessian's diagonal times r_c.
type reweighted struct {
	bilevel.SecondOrder
	rarity []float64 // r of each column
}

// Products is that of the exact part, with hv reweighted.
func (e reweighted) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	e.SecondOrder.Products(dz, hv, cv, z, x, v, b)
	if hv == nil {
		return
	}
	k := len(hv) / len(e.rarity)
	for c, r := range e.rarity {
		kernel.Scale(r, hv[c*k:(c+1)*k])
	}
}

// prefetch asks for the columns that come soon: far apart in memory, they are waited for otherwise.
func prefetch(v []float64, of []int32, i, k int) {
	if i += 8; i < len(of) {
		at := int(of[i]) * k
		kernel.Prefetch(v[at : at+k])
	}
}

// gather sets dst to the coefficients of some columns.
func gather(dst, src []float64, of []int32, k int) {
	if k == 1 {
		dst = dst[:len(of)]
		for i, c := range of {
			dst[i] = src[c]
		}
		return
	}
	for i, c := range of {
		prefetch(src, of, i, k)
		copy(dst[i*k:(i+1)*k], src[int(c)*k:])
	}
}

// subtract makes a step −rho·dir in some columns of dst.
func subtract(dst, dir []float64, rho float64, of []int32, k int) {
	if k == 1 {
		dir = dir[:len(of)]
		for i, c := range of {
			dst[c] -= rho * dir[i]
		}
		return
	}
	for i, c := range of {
		prefetch(dst, of, i, k)
		kernel.Axpy(-rho, dir[i*k:(i+1)*k], dst[int(c)*k:(int(c)+1)*k])
	}
}

// subtractEach is subtract with a step size for each coefficient of dst.
func subtractEach(dst, dir, rho []float64, of []int32, k int) {
	for i, c := range of {
		at := int(c) * k
		to, step := dst[at:at+k], rho[at:at+k]
		for e, d := range dir[i*k : (i+1)*k] {
			to[e] -= step[e] * d
		}
	}
}

// sample evaluates a block at (z, x, v) and leaves the z-quantities in dir: their values for SOBA, and for SABA,
// which remembers them, their changes δ.
func (m *columns) sample(block int, b bilevel.Batch, z, x, v []float64) {
	of, k := m.of[block], m.k
	n, sees := k*len(of), k*m.sees[block]
	gather(m.z, z, of, k)
	coef := m.coef[:m.quantities*k*b.Len()]
	cg := coef[:k*b.Len()]
	var ch, vs, second []float64
	if m.quantities == 2 {
		gather(m.v, v, of, k)
		ch = coef[len(cg):]
		vs, second = m.v[:sees], m.dir[1][:sees]
		clear(m.dir[1][sees:n])
	}
	clear(m.dir[0][sees:n])
	m.local.Coefs(cg, ch, nil, m.z[:sees], x, vs, b)
	if m.mem != nil {
		kernel.SwapDiff(m.mem[m.quantities*k*b.Lo:m.quantities*k*b.Hi], coef)
	}
	m.local.Combine(m.dir[0][:sees], second, cg, ch, 1, 0, b)
}

// learn adds the changes in dir to the averages, of which the first is number q.
func (r *supportRun) learn(m *columns, q, block int, b bilevel.Batch) {
	share, k := m.part.Share(b), m.k
	for n := range m.quantities {
		of := m.of[block]
		dir := m.dir[n][:k*len(of)]
		if k == 1 {
			for i, c := range of {
				r.avg[3*int(c)+q+n] += share * dir[i]
			}
			continue
		}
		for i, c := range of {
			prefetch(r.avg, of, i, 3*k)
			at := (3*int(c) + q + n) * k
			kernel.Axpy(share, dir[i*k:(i+1)*k], r.avg[at:at+k])
		}
	}
}

// Step makes one step.
func (r *supportRun) Step(ctx context.Context) error {
	r.directions()
	r.move()
	looks := r.auto != nil && r.t+1 >= r.auto.Next
	if looks {
		r.showDirections()
	}
	r.end()
	if looks {
		r.clearDirections()
	}
	return nil
}

// directions estimates D_z, D_v and D_x at the current point, on the columns of the blocks drawn.
func (r *supportRun) directions() {
	xi, zeta := r.gi.Next(), r.fo.Next()
	i, bg, wg := xi.Block, xi.Batch, xi.Weight
	j, bf, wf := zeta.Block, zeta.Batch, zeta.Weight
	r.drawn = [2]int{i, j}
	g, f := r.colG, r.colF
	n := int64(bg.Len())
	r.counts.GradG += n
	r.counts.HessG += n
	r.counts.CrossG += n
	r.counts.GradF += int64(bf.Len())
	f.sample(j, bf, r.z, r.x, nil)
	g.sample(i, bg, r.z, r.x, r.v)
	r.exactOn(i)
	if r.memX != nil {
		copy(r.dx, r.avgX)
		r.learnX(i, g.part.Share(bg)/wg)
		for e, j := range r.parts[i].places {
			r.dx[j] += r.dxs[e]
		}
	}
	if g.mem == nil {
		r.combine(i, wg)
	} else {
		r.combineSaga(i, wg, g.part.Share(bg))
		r.learn(f, 2, j, bf)
	}
	if wf != 1 {
		kernel.Scale(wf, f.dir[0][:f.k*len(f.of[j])])
	}
}

// exactOn sets pz, pv and dxs to the derivatives of the exact part on the block's columns, the last two
// reweighted: products are linear in v, and those with r v are so also where columns share a part of x.
func (r *supportRun) exactOn(block int) {
	m, part := r.colG, r.parts[block]
	of, k := m.of[block], m.k
	n := k * len(of)
	rv, xs := r.rv[:n], r.xs[:len(part.places)]
	gather(xs, r.x, part.places, 1)
	rarity := m.rarity[block]
	if k == 1 {
		for i, v := range m.v[:n] {
			rv[i] = rarity[i] * v
		}
	} else {
		for i, w := range rarity {
			v, rv := m.v[i*k:(i+1)*k], rv[i*k:(i+1)*k]
			for e := range rv {
				rv[e] = w * v[e]
			}
		}
	}
	part.of.Products(r.pz[:n], r.pv[:n], r.dxs[:len(part.places)], m.z[:n], xs, rv, sampling.Exactly)
}

// learnX remembers a block's D_x and replaces it by its change; the block is drawn with probability pi.
func (r *supportRun) learnX(block int, pi float64) {
	mem := r.memX[block]
	dxs := r.dxs[:len(mem)]
	kernel.SwapDiff(mem, dxs)
	subtract(r.avgX, dxs, -pi, r.parts[block].places, 1)
}

// combine makes SOBA's directions of values and the exact part.
func (r *supportRun) combine(block int, weight float64) {
	m := r.colG
	k := m.k
	for i, w := range m.rarity[block] {
		lo, hi := i*k, (i+1)*k
		pz, pv, dz, dv := r.pz[lo:hi], r.pv[lo:hi], m.dir[0][lo:hi], m.dir[1][lo:hi]
		for e := range dz {
			dz[e] = weight*dz[e] + w*pz[e]
			dv[e] = weight*dv[e] + pv[e]
		}
	}
}

// combineSaga makes SABA's directions of changes, averages and the exact part, and updates g's averages.
func (r *supportRun) combineSaga(block int, weight, share float64) {
	m := r.colG
	k := m.k
	if k == 1 {
		r.combineSagaOne(block, weight, share)
		return
	}
	of, rarity := m.of[block], m.rarity[block]
	for i, c := range of {
		lo, hi := i*k, (i+1)*k
		prefetch(r.avg, of, i, 3*k)
		w, pz, pv, dz, dv := rarity[i], r.pz[lo:hi], r.pv[lo:hi], m.dir[0][lo:hi], m.dir[1][lo:hi]
		at := 3 * int(c) * k
		az, ah, af := r.avg[at:at+k], r.avg[at+k:at+2*k], r.avg[at+2*k:at+3*k]
		for e := range dz {
			d, h := dz[e], dv[e]
			dz[e] = weight*d + w*(az[e]+pz[e])
			dv[e] = weight*h + w*(ah[e]+af[e]) + pv[e]
			az[e] += share * d
			ah[e] += share * h
		}
	}
}

// combineSagaOne is combineSaga for columns of one coefficient.
func (r *supportRun) combineSagaOne(block int, weight, share float64) {
	m := r.colG
	of, rarity := m.of[block], m.rarity[block]
	n := len(of)
	pz, pv, dz, dv := r.pz[:n], r.pv[:n], m.dir[0][:n], m.dir[1][:n]
	for i, c := range of {
		avg := r.avg[3*int(c) : 3*int(c)+3]
		w, d, h := rarity[i], dz[i], dv[i]
		dz[i] = weight*d + w*(avg[0]+pz[i])
		dv[i] = weight*h + w*(avg[1]+avg[2]) + pv[i]
		avg[0] += share * d
		avg[1] += share * h
	}
}

// move makes the step along the directions.
func (r *supportRun) move() {
	rho := r.rate()
	i, j := r.drawn[0], r.drawn[1]
	g, f := r.colG, r.colF
	if r.inner.Auto() && r.auto.curve.Diagonal {
		subtractEach(r.z, g.dir[0], r.auto.steps, g.of[i], g.k)
		subtractEach(r.v, g.dir[1], r.auto.steps, g.of[i], g.k)
		subtractEach(r.v, f.dir[0], r.auto.steps, f.of[j], f.k)
	} else {
		subtract(r.z, g.dir[0], rho, g.of[i], g.k)
		subtract(r.v, g.dir[1], rho, g.of[i], g.k)
		subtract(r.v, f.dir[0], rho, f.of[j], f.k)
	}
	if r.memX != nil {
		r.stepRange(0, len(r.x))
		return
	}
	places := r.parts[i].places
	if r.outer.Auto() {
		r.moveAuto(places)
	} else {
		subtract(r.x, r.dxs, r.outer.At(r.t+1), places, 1)
	}
	r.clampAt(places)
}

// moveAuto is auto.move at some places of x. A place that is drawn every other time may go twice as far in a
// step, up to the whole plan.
func (r *supportRun) moveAuto(places []int32) {
	a := r.auto
	for e, j := range places {
		d := r.dxs[e]
		a.Sum[j] += d
		if !a.Moving {
			continue
		}
		most := a.Plan[j] * min(1, a.StepShare()*r.rarityX[j])
		r.x[j] -= max(-most, min(a.Gamma[j]*d, most))
	}
}

// clampAt projects x onto the box at some places.
func (r *supportRun) clampAt(places []int32) {
	if l := r.p.Lower; l != nil {
		for _, j := range places {
			r.x[j] = max(r.x[j], l[j])
		}
	}
	if u := r.p.Upper; u != nil {
		for _, j := range places {
			r.x[j] = min(r.x[j], u[j])
		}
	}
}

// showDirections writes the directions into the vectors of full length, where automatic step sizes look at them. An
// entry of the block of g has the factor 1/√r, so that its mean square is that of the whole direction.
func (r *supportRun) showDirections() {
	g, f := r.colG, r.colF
	i, j := r.drawn[0], r.drawn[1]
	subtract(r.dv, f.dir[0], -1, f.of[j], f.k)
	for e, c := range g.of[i] {
		w, lo, hi := 1/math.Sqrt(g.rarity[i][e]), int(c)*g.k, (int(c)+1)*g.k
		kernel.Axpy(w, g.dir[0][e*g.k:(e+1)*g.k], r.dz[lo:hi])
		kernel.Axpy(w, g.dir[1][e*g.k:(e+1)*g.k], r.dv[lo:hi])
	}
}

// clearDirections clears what showDirections has written.
func (r *supportRun) clearDirections() {
	g, f := r.colG, r.colF
	for _, c := range g.of[r.drawn[0]] {
		clear(r.dz[int(c)*g.k : (int(c)+1)*g.k])
		clear(r.dv[int(c)*g.k : (int(c)+1)*g.k])
	}
	for _, c := range f.of[r.drawn[1]] {
		clear(r.dv[int(c)*f.k : (int(c)+1)*f.k])
	}
}

// fill sets both memories by a full pass at the current point.
func (r *supportRun) fill() {
	clear(r.avg)
	clear(r.avgX)
	for _, m := range r.memX {
		clear(m)
	}
	for q, m := range []*columns{r.colG, r.colF} {
		clear(m.mem)
		for i := range m.of {
			m.sample(i, m.part.Block(i), r.z, r.x, r.v)
			r.learn(m, 2*q, i, m.part.Block(i))
			if m == r.colG && r.memX != nil {
				r.exactOn(i)
				pi := m.part.Share(m.part.Block(i))
				if r.shuffle {
					pi = 1 / float64(m.part.Blocks())
				}
				r.learnX(i, pi)
			}
		}
	}
	n := int64(r.gi.Samples())
	r.counts.GradG += n
	r.counts.HessG += n
	r.counts.CrossG += n
	r.counts.GradF += int64(r.fo.Samples())
}

// State lists the run's variables.
func (r *supportRun) State(s *bilevel.State) {
	r.core.State(s)
	s.Fixed(r.colG.mem, r.colF.mem, r.avg, r.avgX)
	s.Fixed(r.memX...)
}
