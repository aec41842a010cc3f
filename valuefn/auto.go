package valuefn

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/stochastic"
)

// auto chooses multiplier and step sizes from gradients while a run goes on.
//
// Smoothness. L_g is the largest ‖∇²zz g_ξ‖ of blocks and L_f that of f, by power iterations on differences of
// gradients at the current point. λ₀ is a multiple of L_f/L_g, fixed at the start; the inner step is
// 1/(2(L_g + L_f/λ)), which is stable for z and, divided by 2λ, for y. An exact part of g whose Hessian is diagonal,
// such as ½ Σ e^{x_j} z_j², may be stiff in some coordinates: there L_g is that of the sampled part, and
// coordinate i has L_g + e_i in its place, e_i the entry of the diagonal. Where batches leave noise the step
// decays from then on as (1 + t/T₀)^(−4/7).
//
// The outer step is one number γ_j per coordinate. Time is divided into stretches of K steps. Where the
// displacement of x_j over a stretch keeps its sign γ_j grows, fast at the start and after many stretches that kept
// it; where it turns, or where x_j goes back and forth from step to step, γ_j shrinks (Jacobs 1988,
// "delta-bar-delta"). K is short at the start, whatever the number of samples. It doubles when many coordinates turn,
// because noise has to average out or y to follow, and halves after some stretches in which hardly any did. In the
// first stretches x is held until its direction comes to rest, a pass over the samples at most. All γ_j are one number
// in a domain that is no box, and where a batch knows only its own part of the direction of x, as with weights of rows.
type auto struct {
	// Inner step.
	curvG, curvF float64   // L_g, L_f
	diag         bool      // the Hessian of g's exact part is diagonal
	stiff        []float64 // e
	steps        []float64 // of each coordinate of z, before decay
	full         []float64 // 1/(L_g + e)
	decay        float64   // T₀, 0 for no decay
	safety       float64   // halved by every divergence of y and z
	dir          []float64
	at, d0, d1   []float64 // scratch
	probesG      int
	probesF      int

	// Outer step.
	gamma    []float64 // per coordinate
	plan     []float64 // displacement expected of a stretch, at most
	last     []float64 // displacement over the last stretch
	kept     []float64 // stretches in a row in which the coordinate has not turned
	mean     []float64 // direction over the last stretch, while x is held
	flips    []float64 // turns within this stretch
	before   []float64 // direction of the last step; if shared, x before it
	shared   bool      // all of gamma is one number
	parted   bool      // a batch of g knows only its own part of the direction of x
	step     []float64 // what the last step was after projection, if shared
	sum      []float64 // of the directions over this stretch
	level    []float64 // largest mean direction of a stretch
	moving   bool
	length   int // K
	steady   int // stretches in a row where hardly any coordinate has turned
	shortest int
	pass     int       // steps in which all samples are visited
	from, to int64     // this stretch
	xs       []float64 // x at its start

	// Last good point, and the estimates of h that make it one.
	goodY, goodZ, goodX []float64
	good                int64 // its step
	steep               float64
	paid                int64 // samples visited by the last estimate
	values              int
	first, best         float64
	jitter, value       float64
	restarts            int

	next   int64 // look at step next
	probed int64 // samples visited by the last look at smoothness
	notes  []string
}

const (
	exactMultiple   = 30 // λ₀L_g/L_f without noise
	sampledMultiple = 5  // and with it
	fastGrowth      = 2  // of γ_j at the start, and where x_j has gone straight for some stretches
	straight        = 8  // so many
	growth          = 1.25
	shrink          = 0.5
	clearCosine     = 0.1     // of the angle between two displacements, beyond which it is clearly acute or obtuse
	firstMove       = 0.03    // displacement of the first stretch, relative to 1 + |x|
	largestMove     = 0.25    // largest planned displacement of a stretch, relative to 1 + |x_j|
	partedMove      = 2       // the same where only a batch of its own moves a coordinate
	largestStep     = 100     // γ_j times the largest mean direction, relative to 1 + |x_j|
	farthest        = 1. / 16 // of the planned displacement, in one step, and no less than 2/K of it
	restChange      = 0.5     // of the direction of x from one stretch to the next, relative to it, when y and z rest
	solvedStretch   = 4       // the shortest K where steps take all samples and solve for z
	exactStretch    = 8       // the same where they do not solve
	sampledStretch  = 160     // the same in steps of y and z, where they take batches
	longest         = 256     // K, relative to the shortest or a pass over all samples
	looks           = 8       // looks at smoothness in a stretch, at least
	lookEvery       = 128     // steps between looks, at most
	payAfter        = 8       // looks at smoothness and at h wait for so many times the samples that they visit
	decayAfter      = 10      // T₀, relative to the shortest K and to a pass over all samples
	maxRestarts     = 60
)

func newAuto(r *core) *auto {
	d, p := len(r.z), len(r.x)
	v := func(n int) []float64 { return make([]float64, n) }
	a := &auto{safety: 1, stiff: v(d), steps: v(d), full: v(d), dir: v(d), at: v(d), d0: v(d), d1: v(d),
		gamma: v(p), plan: v(p), last: v(p), kept: v(p), mean: v(p), flips: v(p), before: v(p), sum: v(p), level: v(p),
		xs: v(p), goodY: v(d), goodZ: v(d), goodX: v(p)}
	for i := range a.dir {
		a.dir[i] = 1 + 0.5*math.Sin(float64(i)) // any vector with a part along the largest eigenvector
	}
	a.pass = max(r.xi.Blocks(), r.zeta.Blocks()) / r.draws
	a.shortest = exactStretch
	if r.solves {
		a.shortest = solvedStretch
	}
	if r.xi.Blocks() > 1 || r.zeta.Blocks() > 1 {
		a.shortest = max(16, sampledStretch/r.draws)
		a.decay = float64(decayAfter * max(a.shortest, a.pass))
	}
	a.length = a.shortest
	if a.parted = r.parted(); a.parted { // a stretch is a pass over all parts, at least
		a.shortest, a.pass = max(a.shortest, r.xi.Blocks()), max(a.pass, r.xi.Blocks())
		a.length = a.shortest
	}
	if a.shared = a.parted || r.p.Project != nil; a.shared {
		a.step = v(p)
	}
	for j := range a.kept {
		a.kept[j] = straight // fast from the start
	}
	a.probeDiagonal(r)
	a.measure(r, 32, 4)
	return a
}

// start begins to choose step sizes, the multiplier being known.
func (a *auto) start(r *core) {
	a.setSteps(r)
	a.steep = a.norm(r)
	a.save(r)
	a.begin(r)
	a.next = 4
}

// multiplier is λ₀. Where f is not curved in z its slope takes the place of curvature.
func (a *auto) multiplier(r *core) float64 {
	l := a.curvF
	if l == 0 {
		b := r.zeta.Block(0)
		r.f.grad(a.d0, nil, r.z, r.x, b, 1)
		r.extra.GradF += int64(b.Len())
		l = norm(a.d0) / (1 + norm(r.z))
	}
	multiple := float64(exactMultiple)
	if a.decay > 0 {
		multiple = sampledMultiple
	}
	if m := multiple * l / a.largest(); m > 0 && !math.IsInf(m, 0) {
		return m
	}
	return multiple
}

// largest is L_g with the stiffest coordinate's.
func (a *auto) largest() float64 {
	e := 0.0
	for _, s := range a.stiff {
		e = max(e, s)
	}
	return a.curvG + e
}

// norm is the largest ‖∇z g‖ of some blocks.
func (a *auto) norm(r *core) float64 {
	top := 0.0
	for i := range min(8, r.xi.Blocks()) {
		b := r.xi.Block(i * r.xi.Blocks() / min(8, r.xi.Blocks()))
		r.g.grad(a.d0, nil, r.z, r.x, b, 1)
		r.extra.GradG += int64(b.Len())
		top = max(top, norm(a.d0))
	}
	return top
}

// probe chooses a block to look at, spread evenly in the long run.
func probe(count *int, s *stochastic.Sampler) bilevel.Batch {
	i := int(uint64(*count) * 0x9E3779B97F4A7C15 >> 32 % uint64(s.Blocks()))
	*count++
	return s.Block(i)
}

// difference is the length over which gradients are compared: the root of the rounding error.
func difference(z []float64) float64 { return 0x1p-26 * (1 + norm(z)) }

// power raises curv to the curvature of o over b at z, by power iterations along dir.
func (a *auto) power(curv *float64, o bilevel.Objective, z, x []float64, b bilevel.Batch,
	products int) (visited int64) {
	o.Grad(a.d0, nil, z, x, b)
	h := difference(z)
	for range products {
		l := norm(a.dir)
		if l == 0 || math.IsNaN(l) || math.IsInf(l, 0) {
			for i := range a.dir {
				a.dir[i] = 1 + 0.5*math.Sin(float64(i+a.probesG+a.probesF))
			}
			l = norm(a.dir)
		}
		copy(a.at, z)
		kernel.Axpy(h/l, a.dir, a.at)
		o.Grad(a.d1, nil, a.at, x, b)
		kernel.Axpy(-1, a.d0, a.d1)
		// Less than this is rounding.
		if l := norm(a.d1); l > 16*0x1p-52*norm(a.d0) && !math.IsInf(l, 0) {
			*curv = max(*curv, l/h)
			a.dir, a.d1 = a.d1, a.dir
		}
	}
	return int64(products+1) * int64(b.Len())
}

// measureSometimes raises L_g and L_f to those of a block, when enough samples have been visited to pay for it.
func (a *auto) measureSometimes(r *core) {
	const products = 3
	cost := int64(products+1) * int64(r.xi.Block(0).Len()+r.zeta.Block(0).Len())
	if now := r.Counts().Total(); now-a.probed >= payAfter*cost {
		a.measure(r, 1, products)
		a.probed = now
		return
	}
	a.measureDiagonal(r)
}

// measure raises L_g and L_f to those of some blocks at the current point.
func (a *auto) measure(r *core, blocks, products int) {
	a.curvG *= 0.98
	a.curvF *= 0.98
	g := r.g.sampled
	if r.g.exact != nil && !a.diag {
		g = r.g.whole
	}
	for range min(blocks, r.xi.Blocks()) {
		r.extra.GradG += a.power(&a.curvG, g, r.z, r.x, probe(&a.probesG, r.xi), products)
	}
	for range min(blocks, r.zeta.Blocks()) {
		r.extra.GradF += a.power(&a.curvF, r.f.whole, r.y, r.x, probe(&a.probesF, r.zeta), products)
	}
	a.measureDiagonal(r)
}

// measureDiagonal sets e, which takes no samples.
func (a *auto) measureDiagonal(r *core) {
	if !a.diag {
		return
	}
	for i := range a.stiff {
		a.at[i] = 1
	}
	a.exactDifference(r, a.stiff, a.at)
	for i, e := range a.stiff {
		a.stiff[i] = max(e, 0)
	}
}

// exactDifference sets dst to the product of the exact part's Hessian and v; v may be a.at.
func (a *auto) exactDifference(r *core, dst, v []float64) {
	h := difference(r.z)
	r.g.exact.Grad(a.d0, nil, r.z, r.x, one)
	for i, z := range r.z {
		a.at[i] = z + h*v[i]
	}
	r.g.exact.Grad(dst, nil, a.at, r.x, one)
	for i, d := range a.d0 {
		dst[i] = (dst[i] - d) / h
	}
}

// probeDiagonal finds out whether the exact part's Hessian is diagonal: then, and as good as only then, its
// products with vectors of different signs are its diagonal with these signs.
func (a *auto) probeDiagonal(r *core) {
	if r.g.exact == nil {
		return
	}
	a.diag = true
	signs, want := make([]float64, len(r.z)), make([]float64, len(r.z))
	for i := range signs {
		signs[i] = 1
	}
	a.exactDifference(r, want, signs)
	top := 0.0
	for _, e := range want {
		top = max(top, math.Abs(e))
	}
	for round := range uint64(3) {
		for i := range signs {
			signs[i] = 1
			if (uint64(i)+1)*(0x9E3779B97F4A7C15+round<<33)>>63 == 1 {
				signs[i] = -1
			}
		}
		a.exactDifference(r, a.d1, signs)
		for i, e := range a.d1 {
			if !(math.Abs(signs[i]*e-want[i]) <= 1e-6*math.Abs(want[i])+1e-9*top) {
				a.diag = false
			}
		}
	}
}

// setSteps sets the inner steps from the smoothness.
func (a *auto) setSteps(r *core) {
	base := a.curvG + a.curvF/r.lambda
	for i, e := range a.stiff {
		a.full[i] = a.safety / (a.curvG + e)
		if a.curvG+e == 0 {
			a.full[i] = a.safety
		}
		a.steps[i] = a.safety / (2 * (base + e))
		if base+e == 0 {
			a.steps[i] = a.safety
		}
	}
}

// approach moves z along −d, with a share of the step 1/(L_g + e_i).
func (a *auto) approach(z, d []float64, share float64) {
	for i, s := range a.full {
		z[i] -= share * s * d[i]
	}
}

// slowness is how much the inner step has decayed.
func (a *auto) slowness(t int64) float64 {
	if a.decay == 0 {
		return 1
	}
	return math.Pow(1+float64(t)/a.decay, 4./7)
}

// move steps x and adds up its directions.
func (a *auto) move(r *core) {
	kernel.Axpy(1, r.dx, a.sum)
	if !a.moving {
		return
	}
	share := max(farthest, 2/float64(a.length))
	if a.parted {
		share = 1
	}
	if a.shared {
		a.moveAlong(r, share)
		return
	}
	for j, d := range r.dx {
		if d*a.before[j] < 0 {
			a.flips[j]++
		}
		most := share * a.plan[j]
		r.x[j] -= max(-most, min(a.gamma[j]*d, most))
	}
	copy(a.before, r.dx)
}

// moveAlong is move where all of x shares one γ. What the plan bounds is the displacement that the projection leaves:
// of the step itself most may stand on the boundary.
func (a *auto) moveAlong(r *core, share float64) {
	copy(a.before, r.x)
	kernel.Axpy(-a.gamma[0], r.dx, r.x)
	r.p.ProjectX(r.x)
	dot, top := 0.0, 0.0
	for j, x := range r.x {
		d := x - a.before[j]
		dot += d * a.step[j]
		top = max(top, math.Abs(d))
		a.step[j] = d
	}
	if dot < 0 {
		a.flips[0]++
	}
	if most := share * a.plan[0]; top > most { // a point between two of the domain is one of it
		for j, x := range a.before {
			r.x[j] = x + most/top*a.step[j]
		}
	}
}

// save keeps the current point as a good one.
func (a *auto) save(r *core) {
	copy(a.goodY, r.y)
	copy(a.goodZ, r.z)
	copy(a.goodX, r.x)
	a.good = r.t
}

// begin starts a stretch at the current point.
func (a *auto) begin(r *core) {
	copy(a.xs, r.x)
	clear(a.sum)
	clear(a.flips)
	a.from, a.to = r.t, r.t+int64(a.length)
}

// look adapts the step sizes, and goes back to the last good point after a divergence.
func (a *auto) look(r *core) {
	dz := norm(r.dz)
	if s := dz + norm(r.dy) + norm(r.dx) + norm(r.y) + norm(r.z) + norm(r.x); math.IsNaN(s) || math.IsInf(s, 0) ||
		a.steep > 0 && dz > 100*a.steep {
		a.retreat(r, "the inner variables diverged", true)
		a.lookLater(r)
		return
	}
	a.steep = max(a.steep, min(dz, 2*a.steep)) // a divergence must not pass for a scale
	a.measureSometimes(r)
	a.setSteps(r)
	if r.t >= a.to {
		switch {
		case !r.autoOuter:
			a.save(r)
		case !a.moving:
			if a.atRest(r) {
				a.firstSteps(r)
			}
			a.save(r)
		default:
			a.adapt(r)
			if !a.goodValue(r) {
				a.retreat(r, "the estimate of h grew", false)
			}
		}
		a.begin(r)
	}
	a.lookLater(r)
}

func (a *auto) lookLater(r *core) {
	a.next = min(a.to, r.t+min(max((a.to-a.from)/looks, 1), lookEvery))
}

// atRest says whether y and z have come to rest at the x that is held: the mean direction of x has, or all samples
// have been visited. If not, the next stretch is twice as long.
func (a *auto) atRest(r *core) bool {
	steps := float64(r.t - a.from)
	change, size := 0.0, 0.0
	for j, s := range a.sum {
		m := s / steps
		change += (m - a.mean[j]) * (m - a.mean[j])
		size += m * m
		a.mean[j] = m
	}
	if change > restChange*restChange*size && a.length < a.pass {
		a.length *= 2
		return false
	}
	return size > 0
}

// width is the length of coordinate j's interval.
func (r *core) width(j int) float64 {
	if r.p.Lower == nil || r.p.Upper == nil {
		return math.Inf(1)
	}
	return r.p.Upper[j] - r.p.Lower[j]
}

// firstSteps lets x go.
func (a *auto) firstSteps(r *core) {
	steps := float64(r.t - a.from)
	top, scale := 0.0, 1.0
	for j, x := range r.x {
		top = max(top, math.Abs(a.sum[j])/steps)
		scale = max(scale, math.Abs(x))
	}
	for j, s := range a.sum {
		if a.shared {
			s = top * steps
		}
		a.plan[j] = min(a.largestMove()/largestMove*firstMove*scale, r.width(j)/20)
		a.level[j] = max(math.Abs(s)/steps, top/1000)
		a.gamma[j] = a.plan[j] / (float64(a.length) * a.level[j])
	}
	a.moving = true
}

// adapt ends a stretch.
func (a *auto) adapt(r *core) {
	scale := 0.0
	for _, x := range r.x {
		scale = max(scale, math.Abs(x))
	}
	kept, turns, steps := 0, 0, float64(r.t-a.from)
	if a.shared {
		a.adaptShared(r, scale, steps)
		return
	}
	for j, x := range r.x {
		d := x - a.xs[j]
		flipping := a.flips[j] > 0.75*steps
		if math.Abs(d) <= 1e-13*scale && !flipping {
			a.last[j] = 0 // at a bound, or where rounding errors decide
			continue
		}
		factor := 1.0
		switch s := d * a.last[j]; {
		case flipping:
			factor = shrink
			a.kept[j] = 0
		case s > 0:
			factor = growth
			if a.kept[j] >= straight {
				factor = fastGrowth
			}
			a.kept[j]++
			kept++
		case s < 0:
			factor = shrink
			a.kept[j] = 0
			turns++
		}
		most := min(largestMove*(1+math.Abs(x)), r.width(j)/4)
		if m := math.Abs(d); m*factor > most {
			factor = most / m
		}
		a.level[j] = max(a.level[j], math.Abs(a.sum[j])/steps)
		a.gamma[j] = min(a.gamma[j]*factor, largestStep*(1+math.Abs(x))/a.level[j])
		a.last[j] = d
		a.plan[j] = min(most, max(2*factor*math.Abs(d), a.plan[j]/2, 1e-6*(1+math.Abs(x))))
	}
	a.setLength(r, kept, turns)
}

// adaptShared is adapt where all of x shares one γ, as it must where x is projected onto a set that is no box: a step
// per coordinate would be cancelled, for the projection that belongs to it is that in the norm Σ d_j²/γ_j. What counts
// is the angle between the displacements of two stretches, which are those that projections have left.
func (a *auto) adaptShared(r *core, scale, steps float64) {
	dot, now, was, top, level := 0.0, 0.0, 0.0, 0.0, 0.0
	for j, x := range r.x {
		d := x - a.xs[j]
		dot += d * a.last[j]
		now += d * d
		was += a.last[j] * a.last[j]
		top = max(top, math.Abs(d))
		level = max(level, math.Abs(a.sum[j])/steps)
		a.last[j] = d
	}
	flipping := a.flips[0] > 0.75*steps
	if top <= 1e-13*scale && !flipping {
		return // at rest on the boundary, or where rounding errors decide
	}
	cosine := 0.0
	if now > 0 && was > 0 {
		cosine = dot / (math.Sqrt(now) * math.Sqrt(was))
	}
	factor, kept, turns := 1.0, 0, 0
	switch {
	case flipping, cosine < -clearCosine:
		factor, turns = shrink, 1
		a.kept[0] = 0
	case cosine > clearCosine:
		factor, kept = growth, 1
		if a.kept[0] >= straight {
			factor = fastGrowth
		}
		a.kept[0]++
	}
	most := a.largestMove() * (1 + scale)
	if top*factor > most {
		factor = most / top
	}
	a.level[0] = max(a.level[0], level)
	gamma := min(a.gamma[0]*factor, largestStep*(1+scale)/a.level[0])
	plan := min(most, max(2*factor*top, a.plan[0]/2, 1e-6*(1+scale)))
	for j := range a.gamma {
		a.gamma[j], a.plan[j] = gamma, plan
	}
	a.setLength(r, kept, turns)
}

// largestMove is the largest planned displacement of a stretch, relative to 1 + |x|.
func (a *auto) largestMove() float64 {
	if a.parted {
		return partedMove
	}
	return largestMove
}

// setLength adapts K to how many displacements of x have kept their direction over the last stretch, and turned.
func (a *auto) setLength(r *core, kept, turns int) {
	switch {
	case 2*turns > kept:
		if int64(a.length) < r.t/8 { // or few stretches would be left to adapt in
			a.length = min(2*a.length, longest*max(a.shortest, a.pass))
		}
		a.steady = 0
	case kept > 3*turns:
		if a.steady++; a.steady == straight {
			a.length = max(a.length/2, a.shortest)
			a.steady = 0
		}
	default:
		a.steady = 0
	}
}

// goodValue estimates h by the penalised objective, when enough samples have been visited since the last time to
// pay for it, and keeps the point unless h has grown by half of what it had fallen.
func (a *auto) goodValue(r *core) bool {
	n, m := int64(r.xi.Samples()), int64(r.zeta.Samples())
	total := r.Counts().Total()
	if a.values > 0 && total-a.paid < payAfter*(2*n+m) {
		return true
	}
	a.paid = total
	all := bilevel.All(r.g.whole)
	r.extra.ValueF += m
	r.extra.ValueG += 2 * n
	gap := r.lambda * (r.g.whole.Value(r.y, r.x, all) - r.g.whole.Value(r.z, r.x, all))
	h := r.f.whole.Value(r.y, r.x, bilevel.All(r.f.whole)) + gap
	// The penalised objective is too low, by about the gap.
	high := h + 3*math.Abs(gap)
	if a.values == 0 {
		a.first, a.best, a.value = h, high, h
	}
	a.values++
	change := math.Abs(h - a.value)
	a.value = h
	if math.IsNaN(h) || a.values > 3 && h > a.best+max(0,
		0.5*(a.first-a.best))+4*a.jitter+3*math.Abs(gap)+1e-3*math.Abs(a.best) {
		return false
	}
	if a.decay > 0 {
		a.jitter = max(0.7*a.jitter, change) // noise
	}
	a.safety = min(1, 1.1*a.safety)
	a.best = min(a.best, high)
	a.first = max(a.first, h)
	a.save(r)
	return true
}

// retreat goes back to the last good point with halved steps, and says so.
func (a *auto) retreat(r *core, why string, inner bool) {
	if a.restarts == maxRestarts {
		a.begin(r)
		return
	}
	a.restarts++
	what := "outer"
	if inner && r.autoInner {
		a.safety /= 2
		what = "inner and outer"
		if !r.autoOuter {
			what = "inner"
		}
	}
	kernel.Scale(0.5, a.gamma)
	clear(a.last)
	a.notes = append(a.notes, fmt.Sprintf("%s by step %d: back to the point of step %d "+
		"with halved automatic %s step sizes", why, r.t, a.good, what))
	copy(r.y, a.goodY)
	copy(r.z, a.goodZ)
	copy(r.x, a.goodX)
	a.measure(r, 32, 4)
	a.setSteps(r)
	a.begin(r)
}

func (a *auto) state(s *bilevel.State) {
	for _, f := range []*float64{&a.curvG, &a.curvF, &a.safety, &a.steep, &a.first, &a.best, &a.value, &a.jitter} {
		s.Float(f)
	}
	s.Fixed(a.stiff, a.steps, a.full, a.dir, a.gamma, a.plan, a.last, a.kept, a.mean, a.flips, a.before, a.step, a.sum,
		a.level, a.xs, a.goodY, a.goodZ, a.goodX)
	for _, n := range []*int{&a.probesG, &a.probesF, &a.length, &a.steady, &a.values} {
		s.Count(n)
	}
	s.Index(&a.restarts, maxRestarts+1)
	for _, n := range []*int64{&a.from, &a.to, &a.good, &a.paid, &a.next, &a.probed} {
		s.Count64(n)
	}
	s.Bool(&a.moving)
	s.Strings(&a.notes)
}
