package hypergrad

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/power"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/floats"
)

// SID is stochastic implicit differentiation: neither level is ever passed over in full. From the given z and v,
//
//	z ← z + η_s(Φ̂(z, x) − z)                        t steps, each on a batch of inner terms
//	∇f̄                                              the mean of J outer terms at z_t
//	v ← v − η_s·Scale·(∇²zz ĝ(z_t, x)·v + ∇z f̄)      k steps, each on a batch of inner terms
//	∇x f̄ + ∇²xz ḡ(z_t, x)·v_k                       with J fresh inner terms
//
// where Φ̂ = z − Scale·∇z ĝ. A fixed-point problem has its own Φ̂, the steps of both levels are Scale·η_s, and at.V
// is u with u ← u + Scale·η_s(∂zΦ̂ᵀu + ∇z f̄ − u) and the result ∇x f̄ + ∂xΦ̄ᵀu.
//
// The four draws are independent and determined by Effort.Seed; tolerances are not read. A batch is a block of
// consecutive terms in stored order, drawn with the probability of its share, so that its mean is unbiased.
// Where J is the number of terms or more, all are used.
//
// Assumes that Φ(·, x) is a contraction. The mean squared error is O(1/t + 1/k + 1/J) with decreasing rates; with
// constant ones the first two terms end at a level that is proportional to the rate.
//
// Cost: t gradients and k products of Batch inner terms, a value and gradient of J outer ones, a gradient and a
// mixed product of J inner ones. An automatic Scale adds 8 products with each of at most 16 batches. Memory:
// 3d + p numbers.
//
// In the [Report], Value and Correction are estimates from the J terms, Inner.GradNorm is the norm of one, and
// Inner.Value and Linear.Residual are NaN: nothing computes them.
//
// Grazzi, Pontil, Salzo, Convergence properties of stochastic hypergradients, 2021, algorithm 1; with means over J
// terms: the same, Bilevel optimization with a lower-level contraction: optimal sample complexity without
// warm-start, 2023.
type SID struct {
	// InnerSteps t and LinearSteps k are the numbers of steps. The defaults are 100.
	InnerSteps, LinearSteps int
	// Samples J is the number of terms in the two means, rounded up to whole batches. The default is 100 batches.
	Samples int
	// Batch is the number of terms in a step. The default is 64.
	Batch int
	// InnerStep and LinearStep are the step sizes of the two levels.
	InnerStep, LinearStep Harmonic
	// Scale makes Φ = z − Scale·∇z g of an inner objective. The default is 1/L, L the largest ‖∇²zz ĝ‖ of some
	// batches at z = at.Z and z = 0. With a fixed-point problem it multiplies the rates, and the default is
	// min(1, 1/L), L the largest ‖I − ∂zΦ̂‖.
	Scale float64
}

var _ Estimator = SID{}

// Start is described at [Estimator].
func (m SID) Start(p *bilevel.Problem, counts *bilevel.Counts) (Hypergradient, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, fmt.Errorf("hypergrad: outer objective: %w", err)
	}
	if m.InnerSteps < 0 || m.LinearSteps < 0 || m.Samples < 0 || m.Batch < 0 || !(m.Scale >= 0) || math.IsInf(m.Scale, 0) {
		return nil, fmt.Errorf("hypergrad: SID with InnerSteps %d, LinearSteps %d, Samples %d, Batch %d, Scale %v",
			m.InnerSteps, m.LinearSteps, m.Samples, m.Batch, m.Scale)
	}
	m.InnerStep, m.LinearStep = m.InnerStep.withDefault(), m.LinearStep.withDefault()
	if err := m.InnerStep.check("inner"); err != nil {
		return nil, err
	}
	if err := m.LinearStep.check("linear"); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		v   *int
		def int
	}{{&m.InnerSteps, 100}, {&m.LinearSteps, 100}, {&m.Batch, 64}, {&m.Samples, 0}} {
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	if m.Samples == 0 {
		m.Samples = 100 * m.Batch
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	d, q := p.Dims()
	s := &sid{
		m: m, outer: p.Outer, counts: counts,
		r: make([]float64, d), c: make([]float64, d), mean: make([]float64, d), dx: make([]float64, q),
	}
	if p.Fixed != nil {
		s.level, s.n = fixedLevel{p.Fixed}, p.Fixed.Samples()
		s.sign = 1
	} else {
		g, err := bilevel.NeedSecondOrder(p.Inner)
		if err != nil {
			return nil, fmt.Errorf("hypergrad: inner objective: %w", err)
		}
		s.level, s.n = objectiveLevel{g}, g.Samples()
		s.sign = -1
	}
	return s, nil
}

// sampledLevel is an inner problem r(z, x) = 0 that is sampled: r is −∇z g or Φ − z, and the adjoint solves
// A v = ±∇z f with A = −∂z rᵀ.
type sampledLevel interface {
	// residual overwrites dst with r over b.
	residual(dst, z, x []float64, b bilevel.Batch)
	// adjoint overwrites dst with A v over b.
	adjoint(dst, z, x, v []float64, b bilevel.Batch)
	// cross overwrites r as residual does, and dx with the term that v adds to the hypergradient.
	cross(r, dx, z, x, v []float64, b bilevel.Batch)
}

type objectiveLevel struct{ g bilevel.SecondOrder }

func (l objectiveLevel) residual(dst, z, x []float64, b bilevel.Batch) {
	l.g.Grad(dst, nil, z, x, b)
	floats.Scale(-1, dst)
}

func (l objectiveLevel) adjoint(dst, z, x, v []float64, b bilevel.Batch) {
	l.g.Products(nil, dst, nil, z, x, v, b)
}

func (l objectiveLevel) cross(r, dx, z, x, v []float64, b bilevel.Batch) {
	l.g.Products(r, nil, dx, z, x, v, b)
	floats.Scale(-1, r)
}

type fixedLevel struct{ phi bilevel.FixedPoint }

func (l fixedLevel) residual(dst, z, x []float64, b bilevel.Batch) {
	l.phi.Map(dst, z, x, b)
	floats.Sub(dst, z)
}

func (l fixedLevel) adjoint(dst, z, x, v []float64, b bilevel.Batch) {
	l.phi.Pull(dst, nil, z, x, v, b)
	floats.SubTo(dst, v, dst)
}

func (l fixedLevel) cross(r, dx, z, x, v []float64, b bilevel.Batch) {
	l.residual(r, z, x, b)
	l.phi.Pull(nil, dx, z, x, v, b)
}

type sid struct {
	m      SID
	outer  bilevel.Objective
	level  sampledLevel
	n      int     // inner terms
	sign   float64 // of ∇z f in the adjoint's right-hand side
	counts *bilevel.Counts

	r, c, mean, dx []float64
}

var (
	_ Hypergradient = (*sid)(nil)
	_ Randomized    = (*sid)(nil)
)

// Randomized is described at [Randomized].
func (s *sid) Randomized(effort Effort) bool {
	j := or(effort.Samples, s.m.Samples)
	return s.m.Batch < s.n || j < max(s.n, s.outer.Samples())
}

// The streams of the four draws.
const (
	streamInner = iota
	streamOuter
	streamLinear
	streamCross
)

// At is described at [Hypergradient].
func (s *sid) At(ctx context.Context, grad []float64, at bilevel.Point, effort Effort) (Report, error) {
	t, k, j := or(effort.InnerSteps, s.m.InnerSteps), or(effort.LinearSteps, s.m.LinearSteps),
		or(effort.Samples, s.m.Samples)
	rep := Report{
		Inner:  inner.Result{Iterations: t, Value: math.NaN(), Converged: true},
		Linear: linsolve.Result{Products: k, Residual: math.NaN(), Converged: true},
	}
	scale := s.m.Scale
	if scale == 0 {
		scale = s.scale(at)
	}

	draw := sampler(s.n, s.m.Batch, effort.Seed, streamInner)
	for i := range t {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		b := draw.Next().Batch
		s.level.residual(s.r, at.Z, at.X, b)
		s.counts.GradG += int64(b.Len())
		floats.AddScaled(at.Z, scale*s.m.InnerStep.At(i), s.r) // z += η_s(Φ̂ − z)
	}

	clear(grad)
	clear(s.c)
	s.batches(s.outer.Samples(), j, effort.Seed, streamOuter, func(b bilevel.Batch, w float64) {
		rep.Value += w * bilevel.ValueGrad(s.outer, s.r, s.dx, at.Z, at.X, b)
		floats.AddScaled(s.c, w*s.sign, s.r)
		floats.AddScaled(grad, w, s.dx)
		s.counts.ValueF += int64(b.Len())
		s.counts.GradF += int64(b.Len())
	})

	draw = sampler(s.n, s.m.Batch, effort.Seed, streamLinear)
	for i := range k {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		b := draw.Next().Batch
		s.level.adjoint(s.r, at.Z, at.X, at.V, b)
		s.counts.HessG += int64(b.Len())
		eta := scale * s.m.LinearStep.At(i)
		for l, c := range s.c {
			at.V[l] -= eta * (s.r[l] - c) // v −= η_s(Âv ∓ ∇z f̄)
		}
	}

	clear(s.mean)
	s.batches(s.n, j, effort.Seed, streamCross, func(b bilevel.Batch, w float64) {
		s.level.cross(s.r, s.dx, at.Z, at.X, at.V, b)
		floats.AddScaled(s.mean, w, s.r)
		floats.AddScaled(grad, w, s.dx)
		s.counts.GradG += int64(b.Len())
		s.counts.CrossG += int64(b.Len())
	})
	rep.Inner.GradNorm = floats.Norm(s.mean, 2)
	rep.Correction = s.sign * floats.Dot(at.V, s.mean) // ⟨v, ∇z g⟩ or ⟨u, Φ − z⟩
	rep.Value += rep.Correction
	if size := floats.Norm(grad, 2); !finite(size) || !finite(rep.Value) {
		return rep, fmt.Errorf("hypergrad: after %d and %d stochastic steps h = %v and ‖∇h‖ = %v: "+
			"lower the rates or Scale (here %.3g)", t, k, rep.Value, size, scale)
	}
	return rep, nil
}

// or is n where it is positive.
func or(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// sampler draws blocks of so many consecutive terms, each with the probability of its share.
func sampler(n, size int, seed, stream uint64) *sampling.Sampler {
	return sampling.NewSampler(sampling.NewPartition(n, size), seed, stream, false)
}

// batches visits j of n terms, or all; the weights of a visit add up to one.
func (s *sid) batches(n, j int, seed, stream uint64, visit func(b bilevel.Batch, w float64)) {
	if j >= n {
		visit(sampler(n, n, seed, stream).Next().Batch, 1)
		return
	}
	size := min(s.m.Batch, j)
	draw := sampler(n, size, seed, stream)
	count := (j + size - 1) / size
	for range count {
		visit(draw.Next().Batch, 1/float64(count))
	}
}

// scale is the default of Scale: power iterations with blocks that are spread over the terms.
func (s *sid) scale(at bilevel.Point) float64 {
	const most, products = 16, 4
	blocks := sampling.NewPartition(s.n, s.m.Batch)
	count := min(blocks.Blocks(), most)
	curvature := 0.0
	v := make([]float64, len(at.Z))
	look := func(z []float64) {
		for i := range count {
			b := blocks.Block(i * (blocks.Blocks() - 1) / max(count-1, 1))
			clear(v)
			if l := power.Largest(v, s.r, products, 0, func(dst, v []float64) {
				s.level.adjoint(dst, z, at.X, v, b)
				s.counts.HessG += int64(b.Len())
			}); finite(l) {
				curvature = max(curvature, l)
			}
		}
	}
	look(at.Z)
	if floats.Norm(at.Z, math.Inf(1)) > 0 {
		look(make([]float64, len(at.Z)))
	}
	if s.sign > 0 {
		return 1 / max(curvature, 1)
	}
	if curvature == 0 {
		return 1
	}
	return 1 / curvature
}
