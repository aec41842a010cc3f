package valuefn

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/stochastic"
)

// BOME is bilevel optimization made easy: a step lowers f as far as it can while the inner optimality gap does not
// grow. From the current z, T = InnerSteps gradient steps of size α on g(·, x) lead to z^T, which is then held fixed,
//
//	q̂(z, x) = g(z, x) − g(z^T, x),   ∇q̂ = (∇z g(z, x), ∇x g(z, x) − ∇x g(z^T, x)),
//
// and z and x move at once, with δ = ∇f + λ∇q̂ and a multiplier that makes ⟨∇q̂, δ⟩ at least φ,
//
//	λ = max(0, (φ − ⟨∇f, ∇q̂⟩)/(‖∇q̂‖² + ε)),   z −= ξ_z δ_z,   x = P(x − ξ_x δ_x),
//
// where φ is η‖∇q̂‖² or η q̂. With the first the quotient is taken as η − ⟨∇f, ∇q̂⟩/(‖∇q̂‖² + ε), as in the authors'
// code.
//
// It asks for nothing but gradients, and of g that its gradient in z vanishes at minimisers only, convex or not, and
// however many minimisers there are. Vectors have length d (z) and p (x). The z of the run's points is the current
// one, where g is not quite minimal, and their v is nil.
//
// There are two kinds of bias. Steps of size ξ keep z away from z*(x) by O(ξ), for λ grows as the gap shrinks, until
// ξλ∇²zz g is about 2. And z^T is not z*(x): along an eigenvector of ∇²zz g with eigenvalue μ the share (1 − αμ)^T of
// the way is left, and ∇x q̂ lacks that share of ∇x q, whatever ξ is. T must be several times 1/(αμ).
//
// A step visits (T + 2)|ξ| samples of g and |ζ| of f by gradients, and 2|ξ| of g by values where φ = η q̂. Memory
// beside the point is 4d + 2p numbers, with momentum d + p more, with automatic steps 10d + 10p more, and d + p for
// each level with a part that is not sampled.
//
// The default batch is all samples, as in the paper. Batches bias the run twice: λ is a ratio of gradients at a point
// where that of g almost vanishes, with the square of their noise in its denominator, and ∇x q̂ is a difference between
// z and z^T, which vary differently. With an anchor, a recent point (z̃, x̃) where all samples have been visited, that
// noise vanishes at a solution: ∇z g(z, x) is estimated by ∇z g_ξ(z, x) − ∇z g_ξ(z̃, x̃) + ∇z g(z̃, x̃), and ∇f alike
// (Johnson, Zhang, NIPS 2013). A step visits (T + 1)|ξ| samples of g and |ζ| of f more then. When steps have visited so
// many as three passes over both levels the current point becomes the anchor, which takes a pass. Memory is 4d + 3p
// numbers more.
//
// With automatic steps batches are the default where there are many samples: of 64 or a power of two times that, as the
// noise of ∇z g at the start asks. Where a step visits less than a pass there is an anchor after T₀ steps, ten times as
// many as visit all samples and at least 160; before, noise matters little, and steps without it cost half.
//
// Automatic steps: α_i = 1/(L_g + e_i), where L_g is the curvature of g and e_i what a stiff regulariser adds to
// coordinate i; with batches and no anchor ξ_z decays as that of [F2SA], and α as its root: smaller steps would bring
// z^T as little noise as z has, but T of them would not come far. ξ_z = 1/(2κ(L_g + e_i + L_f/κ)), where κ follows λ
// upwards from L_f/L_g to 30 t^(1/7) times that (5 times with batches and no anchor); ξ_x is one number per coordinate,
// adapted as [F2SA] does. Where ξ_z or ξ_x is automatic x is taken to be slow beside z, and the products in λ run over
// z alone, weighted by ξ_z: plain ones of all coordinates would depend on the units of z and x. Then ε is
// 0.005‖∇z f‖²/κ² by default, which bounds λ, and η is L_f/(2L_g), times 1/κ for φ = η q̂.
//
// Liu, Ye, Wright, Stone, Liu, "BOME! Bilevel optimization made easy: a simple first-order approach", NeurIPS 2022
// (arXiv 2209.08709), Algorithm 1; the projection of x, momentum, batches, anchors and automatic steps are added.
type BOME struct {
	// Batch is the number of samples per batch; 0 means all, or where ξ_z or ξ_x is automatic and g has at least 4,096
	// samples the smallest of 64, 128, …, an eighth of them whose noise in ∇z g is at most half of ‖∇z f‖L_g/L_f at the
	// start.
	Batch int
	// Anchored takes the noise of batches away with an anchor, from the first step on. Where Batch is chosen, so is an
	// anchor.
	Anchored bool
	// InnerSteps is T; 0 means 10, or 10(1 + t/T₀)^(2/7) with automatic steps and an anchor: what T steps leave of the
	// way to z*(x) is all that biases x then.
	InnerSteps int
	// Alpha is the step size α of the T steps, Inner that of z, ξ_z, and Outer that of x, ξ_x; zero means automatic.
	Alpha, InnerStep, OuterStep stochastic.Rate
	// Eta is η; 0 means 0.5, or an automatic one where ξ_z or ξ_x is.
	Eta float64
	// Control is the choice of φ.
	Control Control
	// Epsilon is ε; 0 means 1e-8, or an automatic one where ξ_z or ξ_x is.
	Epsilon float64
	// Momentum is the share of the last direction in the next one, for z and x; 0 means none.
	Momentum float64
	// Shuffle draws batches in shuffled passes instead of independently.
	Shuffle bool
}

var _ bilevel.Method = BOME{}

// Control is the control barrier φ of [BOME].
type Control int

// The control barriers.
const (
	GradientControl Control = iota // φ = η‖∇q̂‖²
	GapControl                     // φ = η q̂
)

// String names the barrier as configuration files do.
func (c Control) String() string {
	switch c {
	case GradientControl:
		return "gradient"
	case GapControl:
		return "gap"
	}
	return fmt.Sprintf("control %d", int(c))
}

const (
	defaultEta     = 0.5
	defaultEpsilon = 1e-8
	manySamples    = 4096   // of g, from which on an automatic batch may be a part of them
	fewestBatches  = 8      // in them
	quietNoise     = 0.5    // of ∇z g in an automatic batch, relative to ∇z f/κ, at most
	scaleGrowth    = 1.05   // of κ, in one step, at most
	rareMultiplier = 0.005  // ε κ²/‖∇z f‖², automatic: it bounds λ
	approachGrowth = 2. / 7 // of T with an anchor, where without one α would fall so
)

// positive reports that a number which must be positive, or 0 for a default, is not.
func positive(what string, v float64) error {
	if !(v >= 0) || math.IsInf(v, 0) {
		return fmt.Errorf("valuefn: %s is %v; it must be positive, or 0 for the default", what, v)
	}
	return nil
}

// namedRate is a step size and what it is for.
type namedRate struct {
	name string
	rate stochastic.Rate
}

func checkRates(rates ...namedRate) error {
	for _, r := range rates {
		if err := r.rate.Check(r.name); err != nil {
			return err
		}
	}
	return nil
}

// checkSizes checks numbers of steps and samples.
func checkSizes(batch, innerSteps int) error {
	if batch < 0 {
		return fmt.Errorf("valuefn: a batch of %d samples", batch)
	}
	if innerSteps < 0 {
		return fmt.Errorf("valuefn: %d inner steps", innerSteps)
	}
	return nil
}

func (m BOME) check() error {
	if err := checkSizes(m.Batch, m.InnerSteps); err != nil {
		return err
	}
	if err := checkRates(namedRate{"approach", m.Alpha}, namedRate{"inner", m.InnerStep},
		namedRate{"outer", m.OuterStep}); err != nil {
		return err
	}
	if err := positive("η", m.Eta); err != nil {
		return err
	}
	if err := positive("ε", m.Epsilon); err != nil {
		return err
	}
	if m.Control != GradientControl && m.Control != GapControl {
		return fmt.Errorf("valuefn: there is no control barrier %d", int(m.Control))
	}
	if !(m.Momentum >= 0 && m.Momentum < 1) {
		return fmt.Errorf("valuefn: momentum %v is not in [0, 1)", m.Momentum)
	}
	return nil
}

// automatic says that z or x has automatic steps.
func (m BOME) automatic() bool { return m.InnerStep.Auto() || m.OuterStep.Auto() }

// Start begins a run.
func (m BOME) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	choose, grows := m.Batch == 0 && m.automatic(), m.InnerSteps == 0
	if m.Batch == 0 {
		m.Batch = math.MaxInt
	}
	if grows {
		m.InnerSteps = defaultInnerSteps
	}
	if m.Epsilon == 0 && !m.automatic() {
		m.Epsilon = defaultEpsilon
	}
	c, err := newCore(p, at, seed, m.Batch, m.Shuffle)
	if err != nil {
		return nil, err
	}
	c.draws, c.autoInner, c.autoOuter = m.InnerSteps+1, m.InnerStep.Auto(), m.OuterStep.Auto()
	if choose = choose && p.Inner.Samples() >= manySamples; choose {
		c.sample(defaultBatch, seed, m.Shuffle)
		batch := c.quietBatch()
		if batch > p.Inner.Samples()/fewestBatches {
			batch = math.MaxInt
		}
		c.sample(batch, seed, m.Shuffle)
	}
	if m.Anchored || choose {
		c.anchor = newAnchor(c, 2*m.InnerSteps+3, m.Anchored)
	}
	d, q := len(c.z), len(c.x)
	r := &bomeRun{BOME: m, core: c, z: c.y, zT: c.z, qz: c.dy, qx: make([]float64, q), fz: make([]float64, d), fx: c.dx}
	r.deltaZ, r.deltaX = r.fz, r.fx
	if m.Momentum > 0 {
		r.mz, r.mx = make([]float64, d), make([]float64, q)
	}
	if m.Alpha.Auto() || m.automatic() {
		a := newAuto(r.core)
		r.largest = a.multiplier()
		r.kappa = r.largest / exactMultiple
		if a.noisy {
			r.kappa = r.largest / sampledMultiple
		}
		if r.Eta == 0 && m.automatic() {
			r.Eta, r.scalesEta = defaultEta*r.kappa, true
		}
		a.start()
		r.auto = a
		r.grows = grows && r.anchor != nil
		if r.anchor != nil && !m.Anchored { // noise matters little before
			r.anchor.from = int64(a.after)
		}
	}
	if r.Eta == 0 {
		r.Eta = defaultEta
	}
	return r, nil
}

// quietBatch is the number of samples that know ∇z g well enough for λ: their noise is small beside ∇z f/κ, which is
// what ∇z g comes to where g holds back f. It is 64 or a power of two times that.
func (r *core) quietBatch() int {
	kappa := newAuto(r).multiplier() / sampledMultiple
	spread := func(l *level, s *sampling.Sampler, count *int64) (mean, noise float64) {
		sum, square, blocks := make([]float64, len(r.z)), 0.0, min(32, s.Blocks())
		for i := range blocks {
			b := s.Block(i * s.Blocks() / blocks)
			l.grad(r.dz, nil, r.z, r.x, b, 1)
			*count += int64(b.Len())
			kernel.Axpy(1/float64(blocks), r.dz, sum)
			square += kernel.Dot(r.dz, r.dz) / float64(blocks)
		}
		return norm(sum), math.Sqrt(max(0, square-kernel.Dot(sum, sum)))
	}
	_, noise := spread(&r.g, r.xi, &r.extra.GradG)
	slope, _ := spread(&r.f, r.zeta, &r.extra.GradF)
	batch := defaultBatch
	for most := quietNoise * slope; !(noise*kappa <= most) && batch < r.xi.Samples(); most *= math.Sqrt2 {
		batch *= 2
	}
	return batch
}

// bomeRun is a run. Names are those of [BOME]: the core calls z y, because f counts there, and z^T z.
type bomeRun struct {
	BOME
	*core
	z, zT          []float64 // z and z^T: the core's y and z
	fz, fx         []float64 // ∇f
	deltaZ, deltaX []float64 // δ, in the place of ∇f
	qz, qx         []float64 // ∇q̂
	mz, mx         []float64 // the last δ with momentum, nil for none
	largest        float64   // κ at most, at t = 1
	scalesEta      bool      // η is automatic
	grows          bool      // T grows with an anchor
}

// Step makes one step.
func (r *bomeRun) Step(ctx context.Context) error {
	t := r.t + 1
	r.anchor.keep(r.core, r.z)
	if err := r.descend(ctx, t); err != nil { // z^T: T steps of z on g(·, x)
		return err
	}
	gap := r.gapGradient() // q̂ and ∇q̂
	r.outerGradient()      // ∇f
	lambda := r.multiplier(gap)
	r.direction(lambda)        // δ = ∇f + λ∇q̂
	r.moveZ(t)                 // z −= ξ_z δ_z
	r.stepX(r.OuterStep.At(t)) // x = P(x − ξ_x δ_x)
	r.t = t
	r.adapt(lambda)
	return nil
}

// descend makes the T steps from z to z^T.
func (r *bomeRun) descend(ctx context.Context, t int64) error {
	copy(r.zT, r.z)
	for range r.innerSteps(t) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, w := r.g.next(r.xi)
		r.gradG(r.dz, nil, r.zT, b, w)
		if r.Alpha.Auto() {
			r.auto.approach(r.zT, r.dz, 1/math.Sqrt(r.auto.slowness(r.t)))
		} else {
			kernel.Axpy(-r.Alpha.At(t), r.dz, r.zT)
		}
	}
	return nil
}

// innerSteps is T.
func (r *bomeRun) innerSteps(t int64) int {
	if r.grows && !r.anchor.off(r.core) {
		return int(float64(r.InnerSteps) * math.Pow(1+float64(t)/r.auto.after, approachGrowth))
	}
	return r.InnerSteps
}

// gradG sets dz and dx to ∇g at (z, x) over a batch. An anchor corrects dz alone: c of dx is one for all z, and cancels
// in ∇x q̂.
func (r *bomeRun) gradG(dz, dx, z []float64, b bilevel.Batch, w float64) {
	r.g.grad(dz, dx, z, r.x, b, w)
	r.anchor.correctG(r.core, dz, b, w)
}

// gapGradient sets ∇q̂, in which z^T is held fixed, and returns q̂ where φ needs it. Both terms are of one batch.
func (r *bomeRun) gapGradient() (gap float64) {
	b, w := r.g.next(r.xi)
	r.gradG(r.qz, r.qx, r.z, b, w)
	r.g.grad(nil, r.dx, r.zT, r.x, b, w)
	r.extra.GradG += int64(b.Len()) // a second time
	for j, v := range r.qx {
		r.qx[j] = v - r.dx[j]
	}
	if r.Control == GapControl {
		gap = r.g.value(r.z, r.x, b, w) - r.g.value(r.zT, r.x, b, w) + r.anchor.gap(r.core, r.z, r.zT)
		r.extra.ValueG += 2 * int64(b.Len())
	}
	return gap
}

// outerGradient sets ∇f.
func (r *bomeRun) outerGradient() {
	b, w := r.f.next(r.zeta)
	r.f.grad(r.fz, r.fx, r.z, r.x, b, w)
	r.anchor.correctF(r.core, r.fz, r.fx, b, w)
}

// multiplier is λ, for q̂ = gap.
func (r *bomeRun) multiplier(gap float64) float64 {
	dot, square, epsilon := r.products()
	if square+epsilon == 0 {
		return r.Eta
	}
	if r.Control == GapControl {
		if r.scalesEta {
			gap /= r.kappa
		}
		return max(0, (r.Eta*gap-dot)/(square+epsilon))
	}
	return max(0, r.Eta-dot/(square+epsilon))
}

// products are ⟨∇f, ∇q̂⟩, ‖∇q̂‖² and ε: of z alone, weighted by ξ_z, if steps are automatic.
func (r *bomeRun) products() (dot, square, epsilon float64) {
	if !r.automatic() {
		return kernel.Dot(r.fz, r.qz) + kernel.Dot(r.fx, r.qx), kernel.Dot(r.qz, r.qz) + kernel.Dot(r.qx, r.qx), r.Epsilon
	}
	outer := 0.0 // ‖∇z f‖²
	if r.InnerStep.Auto() {
		rate := r.rateZ()
		for i, s := range r.auto.steps {
			f, q := r.fz[i], r.qz[i]
			dot += rate * s * f * q
			square += rate * s * q * q
			outer += rate * s * f * f
		}
	} else {
		s := r.InnerStep.At(r.t + 1)
		dot, square, outer = s*kernel.Dot(r.fz, r.qz), s*kernel.Dot(r.qz, r.qz), s*kernel.Dot(r.fz, r.fz)
	}
	if r.Epsilon == 0 {
		return dot, square, rareMultiplier * outer / (r.kappa * r.kappa)
	}
	return dot, square, r.Epsilon
}

// direction sets δ.
func (r *bomeRun) direction(lambda float64) {
	kernel.Axpy(lambda, r.qz, r.deltaZ) // which hold ∇f
	kernel.Axpy(lambda, r.qx, r.deltaX)
	if r.mz != nil {
		blend(r.Momentum, r.mz, r.deltaZ)
		blend(r.Momentum, r.mx, r.deltaX)
	}
}

// blend makes m = momentum·m + d, and d that.
func blend(momentum float64, m, d []float64) {
	for i, v := range d {
		m[i] = momentum*m[i] + v
	}
	copy(d, m)
}

// moveZ steps z along −δ_z.
func (r *bomeRun) moveZ(t int64) {
	if !r.InnerStep.Auto() {
		kernel.Axpy(-r.InnerStep.At(t), r.deltaZ, r.z)
		return
	}
	rate := r.rateZ()
	for i, s := range r.auto.steps {
		r.z[i] -= rate * s * r.deltaZ[i]
	}
}

// rateZ is what automatic steps of z are multiplied by.
func (r *bomeRun) rateZ() float64 { return 1 / (r.auto.slowness(r.t) * r.kappa) }

// adapt lets κ follow λ, and automatic steps what they see.
func (r *bomeRun) adapt(lambda float64) {
	if r.auto == nil {
		return
	}
	if most := r.largest * math.Pow(float64(r.t), defaultGrowth); lambda > r.kappa && r.kappa < most {
		r.kappa = min(lambda, scaleGrowth*r.kappa, most)
		r.auto.setSteps()
	}
	if r.auto.Due(r.t) && r.auto.Look(r.t) {
		clear(r.mz)
		clear(r.mx)
		r.anchor.drop()
	}
}

// Point is a copy of the current point.
func (r *bomeRun) Point() bilevel.Point { return r.point(r.z) }

// State lists the run's variables.
func (r *bomeRun) State(s *bilevel.State) {
	r.core.state(s)
	s.Fixed(r.mz, r.mx)
	r.anchor.state(s)
	s.Float(&r.Eta)
	s.Float(&r.largest)
}
