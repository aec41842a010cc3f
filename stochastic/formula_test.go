package stochastic

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/sampling"
)

// Every method against plain code: its formulas over dense vectors, with each oracle called anew and every vector made
// anew, on objectives whose third derivatives do not vanish, so that a product at the wrong point shows. What the plain
// code shares with the methods are the batches and random numbers, drawn from the same seed in the order of the
// formulas: ξ from stream 1, ζ from stream 2, what a method draws beside from stream 3.

// softplus is the mean of log(1 + exp(a_iᵀz + b_iᵀx)) + ¼c_i‖z‖². Every draw scales a_i anew: values at two points
// whose difference counts must have the same draw.
type softplus struct {
	a, b [][]float64
	c    []float64
}

// row is a_i in the draw of a batch.
func (o *softplus) row(i int, b bilevel.Batch) []float64 {
	pcg := b.Source(i)
	scale := .5 + rand.New(&pcg).Float64()
	a := make([]float64, len(o.a[i]))
	axpy(scale, o.a[i], a)
	return a
}

func newSoftplus(n, d, p int, ridge float64, seed uint64) *softplus {
	rng := rand.New(rand.NewPCG(seed, 11))
	vec := func(n int, mean float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = mean + rng.NormFloat64()
		}
		return v
	}
	o := &softplus{}
	for range n {
		o.a, o.b = append(o.a, vec(d, .3)), append(o.b, vec(p, -.2))
		o.c = append(o.c, ridge*(1+rng.Float64()))
	}
	return o
}

func (o *softplus) Dims() (d, p int) { return len(o.a[0]), len(o.b[0]) }
func (o *softplus) Samples() int     { return len(o.a) }

func (o *softplus) Value(z, x []float64, b bilevel.Batch) float64 {
	s := 0.0
	for i := b.Lo; i < b.Hi; i++ {
		s += math.Log1p(math.Exp(dot(o.row(i, b), z)+dot(o.b[i], x))) + o.c[i]*dot(z, z)/4
	}
	return s / float64(b.Len())
}

func (o *softplus) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.Products(dz, nil, nil, z, x, nil, b)
	clear(dx)
	for i := b.Lo; i < b.Hi && dx != nil; i++ {
		axpy(sigmoid(dot(o.row(i, b), z)+dot(o.b[i], x))/float64(b.Len()), o.b[i], dx)
	}
}

func (o *softplus) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(dz)
	clear(hv)
	clear(cv)
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		a := o.row(i, b)
		s := sigmoid(dot(a, z) + dot(o.b[i], x))
		if dz != nil {
			axpy(w*s, a, dz)
			axpy(w*o.c[i]/2, z, dz)
		}
		if hv != nil {
			axpy(w*s*(1-s)*dot(a, v), a, hv)
			axpy(w*o.c[i]/2, v, hv)
		}
		if cv != nil {
			axpy(w*s*(1-s)*dot(a, v), o.b[i], cv)
		}
	}
}

// strengths is ½ Σ_k exp(x_{k mod p}) z_k², a part that is not sampled.
type strengths struct{ d, p int }

func (o strengths) Dims() (d, p int) { return o.d, o.p }
func (o strengths) Samples() int     { return 1 }

func (o strengths) Value(z, x []float64, _ bilevel.Batch) float64 {
	s := 0.0
	for k, v := range z {
		s += math.Exp(x[k%o.p]) * v * v / 2
	}
	return s
}

func (o strengths) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.Products(dz, nil, dx, z, x, z, b) // half of ∇²xz·z is ∇x
	for j := range dx {
		dx[j] /= 2
	}
}

func (o strengths) Products(dz, hv, cv, z, x, v []float64, _ bilevel.Batch) {
	clear(cv)
	for k, e := range z {
		s := math.Exp(x[k%o.p])
		if dz != nil {
			dz[k] = s * e
		}
		if hv != nil {
			hv[k] = s * v[k]
		}
		if cv != nil {
			cv[k%o.p] += s * e * v[k]
		}
	}
}

// together is a Splitter.
type together struct{ sampled, exact bilevel.SecondOrder }

func (o together) Split() (sampled, exact bilevel.Objective) { return o.sampled, o.exact }
func (o together) Dims() (d, p int)                          { return o.sampled.Dims() }
func (o together) Samples() int                              { return o.sampled.Samples() }
func (o together) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.sampled.Value(z, x, b) + o.exact.Value(z, x, sampling.Exactly)
}

func (o together) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	s, _ := newParts(o)
	gz, gx := s.grad(z, x, sample{b, 1})
	copy(dz, gz)
	copy(dx, gx)
}

func (o together) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	s, _ := newParts(o)
	gz, _ := s.grad(z, x, sample{b, 1})
	copy(dz, gz)
	copy(hv, s.hess(z, x, v, sample{b, 1}))
	copy(cv, s.cross(z, x, v, sample{b, 1}))
}

// sample is a batch with the weight of its mean.
type sample struct {
	b bilevel.Batch
	w float64
}

// parts is an objective as a sum of a part that is sampled and, where there is one, a part that is not. Its methods
// are the estimates from a batch.
type parts struct{ sampled, exact bilevel.Objective }

// newParts also says whether x enters the sampled part.
func newParts(o bilevel.Objective) (s parts, sampledX bool) {
	s = parts{sampled: o}
	if both, ok := o.(bilevel.Splitter); ok {
		s.sampled, s.exact = both.Split()
	}
	sampledX = true
	if l, ok := s.sampled.(bilevel.Local); ok {
		lo, hi := l.OuterRange(bilevel.All(s.sampled))
		sampledX = hi > lo
	}
	return s, sampledX
}

// plus is a + c·b.
func plus(a []float64, c float64, b []float64) []float64 {
	sum := make([]float64, len(a))
	for i := range a {
		sum[i] = a[i] + c*b[i]
	}
	return sum
}

// sum is w times the first of what f makes of the two parts, plus the second.
func (s parts) sum(w float64, f func(o bilevel.Objective, b bilevel.Batch) []float64, b bilevel.Batch) []float64 {
	total := f(s.sampled, b)
	total = plus(make([]float64, len(total)), w, total)
	if s.exact != nil {
		total = plus(total, 1, f(s.exact, sampling.Exactly))
	}
	return total
}

func (s parts) grad(z, x []float64, xi sample) (dz, dx []float64) {
	dz = s.sum(xi.w, func(o bilevel.Objective, b bilevel.Batch) []float64 {
		dz, dx := make([]float64, len(z)), make([]float64, len(x))
		o.Grad(dz, dx, z, x, b)
		return dz
	}, xi.b)
	dx = s.sum(xi.w, func(o bilevel.Objective, b bilevel.Batch) []float64 {
		dz, dx := make([]float64, len(z)), make([]float64, len(x))
		o.Grad(dz, dx, z, x, b)
		return dx
	}, xi.b)
	return dz, dx
}

func (s parts) hess(z, x, v []float64, xi sample) []float64 {
	return s.sum(xi.w, func(o bilevel.Objective, b bilevel.Batch) []float64 {
		hv := make([]float64, len(z))
		o.(bilevel.SecondOrder).Products(nil, hv, nil, z, x, v, b)
		return hv
	}, xi.b)
}

func (s parts) cross(z, x, v []float64, xi sample) []float64 {
	return s.sum(xi.w, func(o bilevel.Objective, b bilevel.Batch) []float64 {
		cv := make([]float64, len(x))
		o.(bilevel.SecondOrder).Products(nil, nil, cv, z, x, v, b)
		return cv
	}, xi.b)
}

// knobs are the settings that methods share.
type knobs struct {
	batch    int // that of the samplers, also where the method has it from its default
	in, out  Rate
	shuffle  bool
	clip     float64
	defaults bool // all other settings of the method are zero
}

// naive is a run of the plain code.
type naive struct {
	knobs
	p        *bilevel.Problem
	g, f     parts
	sampledX bool // x enters the sampled part of g
	n, m     int  // samples
	gi, fo   *sampling.Sampler
	rng      *rand.PCG
	z, x, v  []float64
	t        int // number of the coming step, from 1
}

func newNaive(k knobs, p *bilevel.Problem, at bilevel.Point, seed uint64) *naive {
	s := &naive{knobs: k, p: p, rng: rand.NewPCG(seed, 3), t: 1}
	s.g, s.sampledX = newParts(p.Inner)
	s.f, _ = newParts(p.Outer)
	s.n, s.m = p.Inner.Samples(), p.Outer.Samples()
	s.gi = sampling.NewSampler(sampling.NewPartition(s.n, k.batch), seed, 1, k.shuffle)
	s.fo = sampling.NewSampler(sampling.NewPartition(s.m, k.batch), seed, 2, k.shuffle)
	start, err := p.StartPoint(at)
	must(err)
	s.z, s.x, s.v = start.Z, start.X, start.V
	return s
}

func (s *naive) xi() sample {
	d := s.gi.Next()
	return sample{d.Batch, d.Weight}
}

func (s *naive) zeta() sample {
	d := s.fo.Next()
	return sample{d.Batch, d.Weight}
}

// xiCross is the batch of a product with ∇²xz g alone: none is drawn for one that looks at no row.
func (s *naive) xiCross() sample {
	if s.sampledX {
		return s.xi()
	}
	return s.allG()
}

// allG and allF are all samples under the fixed draw, passG and passF under one of their own.
func (s *naive) allG() sample  { return sample{bilevel.All(s.p.Inner), 1} }
func (s *naive) allF() sample  { return sample{bilevel.All(s.p.Outer), 1} }
func (s *naive) passG() sample { return sample{s.gi.All(), 1} }
func (s *naive) passF() sample { return sample{s.fo.All(), 1} }

// dz, dv and dx are D_z, D_v and D_x.
func (s *naive) dz(z, x []float64, xi sample) []float64 {
	dz, _ := s.g.grad(z, x, xi)
	return dz
}

func (s *naive) fz(z, x []float64, zeta sample) []float64 {
	fz, _ := s.f.grad(z, x, zeta)
	return fz
}

func (s *naive) dv(z, x, v []float64, xi, zeta sample) []float64 {
	return plus(s.g.hess(z, x, v, xi), 1, s.fz(z, x, zeta))
}

func (s *naive) dx(z, x, v []float64, xi, zeta sample) []float64 {
	_, fx := s.f.grad(z, x, zeta)
	return plus(s.g.cross(z, x, v, xi), 1, fx)
}

// rho and gamma are the step sizes of the coming step.
func (s *naive) rho() float64   { return s.in.Size * math.Pow(float64(s.t), -s.in.Decay) }
func (s *naive) gamma() float64 { return s.out.Size * math.Pow(float64(s.t), -s.out.Decay) }

// along is at − size·d, d clipped.
func (s *naive) along(at []float64, size float64, d []float64) []float64 {
	if n := math.Sqrt(dot(d, d)); s.clip > 0 && n > s.clip {
		size *= s.clip / n
	}
	return plus(at, -size, d)
}

// move makes x = P(x − γ d).
func (s *naive) move(d []float64) {
	s.x = s.along(s.x, s.gamma(), d)
	s.p.ProjectX(s.x)
}

// soba: Dagréou et al. 2022, section 4.
func soba(s *naive) func() {
	return func() {
		xi, zeta := s.xi(), s.zeta()
		dz, dv, dx := s.dz(s.z, s.x, xi), s.dv(s.z, s.x, s.v, xi, zeta), s.dx(s.z, s.x, s.v, xi, zeta)
		s.z, s.v = s.along(s.z, s.rho(), dz), s.along(s.v, s.rho(), dv)
		s.move(dx)
	}
}

// memory is that of one quantity of the sampled part, one entry for each block.
type memory struct {
	of  map[int][]float64 // by where the block begins
	avg []float64
	n   int
}

func newMemory(length, n int) *memory {
	return &memory{map[int][]float64{}, make([]float64, length), n}
}

// estimate replaces the entry of a block that is drawn with probability pi.
func (m *memory) estimate(now []float64, b bilevel.Batch, pi float64) []float64 {
	w := float64(b.Len()) / float64(m.n)
	old := m.of[b.Lo]
	if old == nil {
		old = make([]float64, len(now))
	}
	change := plus(now, -1, old)
	d := plus(m.avg, w/pi, change)
	m.of[b.Lo], m.avg = now, plus(m.avg, w, change)
	return d
}

// probability is π_i.
func (s *naive) probability(b bilevel.Batch, n int) float64 {
	if s.shuffle {
		return 1 / math.Ceil(float64(n)/float64(s.batch))
	}
	return float64(b.Len()) / float64(n)
}

// saba: Dagréou et al. 2022, section 6.
func saba(warm bool) func(s *naive) func() {
	return func(s *naive) func() {
		mz, mh, mc := newMemory(len(s.z), s.n), newMemory(len(s.z), s.n), newMemory(len(s.x), s.n)
		mfz, mfx := newMemory(len(s.z), s.m), newMemory(len(s.x), s.m)
		g, f := parts{sampled: s.g.sampled}, parts{sampled: s.f.sampled}
		zeros := func(v []float64) []float64 { return make([]float64, len(v)) }
		quantities := func(xi, zeta sample) (dz, hv, cv, fz, fx []float64) {
			xi.w, zeta.w = 1, 1
			dz, _ = g.grad(s.z, s.x, xi)
			fz, fx = f.grad(s.z, s.x, zeta)
			return dz, g.hess(s.z, s.x, s.v, xi), g.cross(s.z, s.x, s.v, xi), fz, fx
		}
		if warm {
			for lo := 0; lo < max(s.n, s.m); lo += s.batch {
				xi := sample{b: bilevel.Batch{Lo: lo, Hi: min(lo+s.batch, s.n)}}
				zeta := sample{b: bilevel.Batch{Lo: lo, Hi: min(lo+s.batch, s.m)}}
				if lo < s.n {
					dz, hv, cv, _, _ := quantities(xi, s.allF())
					mz.estimate(dz, xi.b, 1)
					mh.estimate(hv, xi.b, 1)
					mc.estimate(cv, xi.b, 1)
				}
				if lo < s.m {
					_, _, _, fz, fx := quantities(s.allG(), zeta)
					mfz.estimate(fz, zeta.b, 1)
					mfx.estimate(fx, zeta.b, 1)
				}
			}
		}
		return func() {
			xi, zeta := s.xi(), s.zeta()
			pi, pf := s.probability(xi.b, s.n), s.probability(zeta.b, s.m)
			dz, hv, cv, fz, fx := quantities(xi, zeta)
			dz, hv, cv = mz.estimate(dz, xi.b, pi), mh.estimate(hv, xi.b, pi), mc.estimate(cv, xi.b, pi)
			fz, fx = mfz.estimate(fz, zeta.b, pf), mfx.estimate(fx, zeta.b, pf)
			if e := (parts{sampled: s.g.exact}); e.sampled != nil {
				gz, _ := e.grad(s.z, s.x, sample{sampling.Exactly, 1})
				dz = plus(dz, 1, gz)
				hv = plus(hv, 1, e.hess(s.z, s.x, s.v, sample{sampling.Exactly, 1}))
				cv = plus(cv, 1, e.cross(s.z, s.x, s.v, sample{sampling.Exactly, 1}))
			}
			if e := (parts{sampled: s.f.exact}); e.sampled != nil {
				ez, ex := e.grad(s.z, s.x, sample{sampling.Exactly, 1})
				fz, fx = plus(fz, 1, ez), plus(fx, 1, ex)
			}
			s.z, s.v = s.along(s.z, s.rho(), dz), s.along(s.v, s.rho(), plus(plus(zeros(s.v), 1, hv), 1, fz))
			s.move(plus(cv, 1, fx))
		}
	}
}

// srba: Dagréou et al. 2024, Algorithm 1; a period of 0 is half a pass over all samples.
func srba(period int) func(s *naive) func() {
	return func(s *naive) func() {
		q := s.period(period)
		var dz, dv, dx, oz, ov, ox []float64
		return func() {
			if (s.t-1)%q == 0 {
				xi, zeta := s.passG(), s.passF()
				dz, dv, dx = s.dz(s.z, s.x, xi), s.dv(s.z, s.x, s.v, xi, zeta), s.dx(s.z, s.x, s.v, xi, zeta)
			} else {
				xi, zeta := s.xi(), s.zeta()
				dz = plus(plus(dz, 1, s.dz(s.z, s.x, xi)), -1, s.dz(oz, ox, xi))
				dv = plus(plus(dv, 1, s.dv(s.z, s.x, s.v, xi, zeta)), -1, s.dv(oz, ox, ov, xi, zeta))
				dx = plus(plus(dx, 1, s.dx(s.z, s.x, s.v, xi, zeta)), -1, s.dx(oz, ox, ov, xi, zeta))
			}
			oz, ov, ox = s.z, s.v, s.x
			s.z, s.v = s.along(s.z, s.rho(), dz), s.along(s.v, s.rho(), dv)
			s.move(dx)
		}
	}
}

// period is the number of steps between full passes: frac·(n + m)/batch with frac = ½, where it is not given.
func (s *naive) period(given int) int {
	if given > 0 {
		return given
	}
	return int(math.Round(.5 * float64(s.n+s.m) / float64(s.batch)))
}

// masoba: Chen, Xiao, Balasubramanian 2023, Algorithm 1.
func masoba(theta float64) func(s *naive) func() {
	return func(s *naive) func() {
		q := make([]float64, len(s.x))
		return func() {
			xi, zeta := s.xi(), s.zeta()
			dz, dv, dx := s.dz(s.z, s.x, xi), s.dv(s.z, s.x, s.v, xi, zeta), s.dx(s.z, s.x, s.v, xi, zeta)
			s.z, s.v = s.along(s.z, s.rho(), dz), s.along(s.v, s.rho(), dv)
			s.move(q)
			q = plus(plus(q, -theta, q), theta, dx)
		}
	}
}

// shia is −η Σ_{i ≤ P} Π_{k ≤ i} (I − η H_k) ∇z f at each of the points (z, x), whose ∇z f is given, with the same
// batch for all of them in each product.
func (s *naive) shia(terms int, eta float64, batch func() sample, f [][]float64, at ...[2][]float64) (v [][]float64) {
	r := make([][]float64, len(at))
	for i := range at {
		r[i] = f[i]
		v = append(v, plus(make([]float64, len(s.z)), -eta, f[i]))
	}
	for range terms {
		xi := batch()
		for i, p := range at {
			r[i] = plus(r[i], -eta, s.g.hess(p[0], p[1], r[i], xi))
			v[i] = plus(v[i], -eta, r[i])
		}
	}
	return v
}

// hia is −Pη Π_{k ≤ p} (I − η H_k) ∇z f with p uniform in 0 … P−1.
func (s *naive) hia(terms int, eta float64, f [][]float64, at ...[2][]float64) (v [][]float64) {
	r := append([][]float64(nil), f...)
	for range s.rng.Uint64() % uint64(terms) {
		xi := s.xi()
		for i, p := range at {
			r[i] = plus(r[i], -eta, s.g.hess(p[0], p[1], r[i], xi))
		}
	}
	for i := range at {
		v = append(v, plus(make([]float64, len(s.z)), -float64(terms)*eta, r[i]))
	}
	return v
}

// doubleLoop is StocBiO (SHIA), BSA and, with one inner step, TTSA (HIA): n steps on z, the adjoint on one ζ, a fresh
// ξ for the cross product. A step η of the series of zero is the first one of z.
func doubleLoop(n, terms int, eta Rate, hia bool) func(s *naive) func() {
	return func(s *naive) func() {
		return func() {
			for range n {
				s.z = s.along(s.z, s.rho(), s.dz(s.z, s.x, s.xi()))
			}
			zeta := s.zeta()
			f, at := [][]float64{s.fz(s.z, s.x, zeta)}, [2][]float64{s.z, s.x}
			if hia {
				s.v = s.hia(terms, s.series(eta), f, at)[0]
			} else {
				s.v = s.shia(terms, s.series(eta), s.xi, f, at)[0]
			}
			s.move(s.dx(s.z, s.x, s.v, s.xiCross(), zeta))
		}
	}
}

func (s *naive) series(eta Rate) float64 {
	if eta.Size == 0 {
		return s.in.Size
	}
	return eta.Size * math.Pow(float64(s.t), -eta.Decay)
}

// amigo: Arbel, Mairal 2022, Algorithm 1.
func amigo(n int) func(s *naive) func() {
	return func(s *naive) func() {
		return func() {
			for range n {
				s.z = s.along(s.z, s.rho(), s.dz(s.z, s.x, s.xi()))
			}
			zeta := s.zeta()
			for range n {
				s.v = s.along(s.v, s.rho(), s.dv(s.z, s.x, s.v, s.xi(), zeta))
			}
			s.move(s.dx(s.z, s.x, s.v, s.xiCross(), zeta))
		}
	}
}

// fsla: Li, Gu, Huang 2022, Algorithm 1; an η of 0 is the first inner step.
func fsla(eta float64) func(s *naive) func() {
	return func(s *naive) func() {
		if eta == 0 {
			eta = math.Min(1, s.in.Size)
		}
		f, fSampled := newParts(s.p.Outer)
		fHasX := fSampled || f.exact != nil
		var d, oz, ov, ox []float64
		return func() {
			s.z = s.along(s.z, s.rho(), s.dz(s.z, s.x, s.xi()))
			s.v = s.along(s.v, s.rho(), s.dv(s.z, s.x, s.v, s.xi(), s.zeta()))
			xi, zeta := s.xiCross(), s.allF()
			if fHasX {
				zeta = s.zeta()
			}
			now := s.dx(s.z, s.x, s.v, xi, zeta)
			if d == nil {
				d = now
			} else {
				d = plus(now, 1-eta/math.Sqrt(float64(s.t)), plus(d, -1, s.dx(oz, ox, ov, xi, zeta)))
			}
			oz, ov, ox = s.z, s.v, s.x
			s.move(d)
		}
	}
}

// storms is MRBO (SHIA) and SUSTAIN (HIA): STORM on the directions of z and x, the adjoint at both points with the same
// batches.
func storms(eta float64, terms int, series Rate, hia bool) func(s *naive) func() {
	return func(s *naive) func() {
		var dz, dx []float64
		var oz, ox []float64
		return func() {
			at := [][2][]float64{{s.z, s.x}}
			if dz != nil {
				at = append(at, [2][]float64{oz, ox})
			}
			xi := s.xi()
			var gz, gx, f [][]float64
			for _, p := range at {
				gz = append(gz, s.dz(p[0], p[1], xi))
			}
			zeta := s.zeta()
			for _, p := range at {
				f = append(f, s.fz(p[0], p[1], zeta))
			}
			var v [][]float64
			if hia {
				v = s.hia(terms, s.series(series), f, at...)
			} else {
				v = s.shia(terms, s.series(series), s.xi, f, at...)
			}
			cross := s.xiCross()
			for i, p := range at {
				gx = append(gx, s.dx(p[0], p[1], v[i], cross, zeta))
			}
			if dz == nil {
				dz, dx = gz[0], gx[0]
			} else {
				keep := 1 - eta*math.Pow(float64(s.t), -2./3)
				dz, dx = plus(gz[0], keep, plus(dz, -1, gz[1])), plus(gx[0], keep, plus(dx, -1, gx[1]))
			}
			oz, ox, s.v = s.z, s.x, v[0]
			s.z = s.along(s.z, s.rho(), dz)
			s.move(dx)
		}
	}
}

// vrbo: Yang, Ji, Liang 2021, Algorithm 2, with differences that start where the estimates were taken last.
func vrbo(n, terms, period int, series Rate) func(s *naive) func() {
	return func(s *naive) func() {
		q := s.period(period)
		var dz, dx []float64
		var then [2][]float64
		return func() {
			eta := s.series(series)
			if (s.t-1)%q == 0 {
				then = [2][]float64{s.z, s.x}
				dz = s.dz(s.z, s.x, s.passG())
				v := s.shia(terms, eta, s.passG, [][]float64{s.fz(s.z, s.x, s.passF())}, then)
				dx = s.dx(s.z, s.x, v[0], s.passG(), s.passF())
			}
			s.move(dx)
			for range n {
				now := [2][]float64{s.z, s.x}
				xi := s.xi()
				dz = plus(plus(dz, 1, s.dz(now[0], now[1], xi)), -1, s.dz(then[0], then[1], xi))
				zeta := s.zeta()
				f := [][]float64{s.fz(now[0], now[1], zeta), s.fz(then[0], then[1], zeta)}
				v := s.shia(terms, eta, s.xi, f, now, then)
				cross := s.xiCross()
				dx = plus(plus(dx, 1, s.dx(now[0], now[1], v[0], cross, zeta)), -1,
					s.dx(then[0], then[1], v[1], cross, zeta))
				then, s.v = now, v[0]
				s.z = s.along(s.z, s.rho(), dz)
			}
		}
	}
}

// pzobo: Sow, Ji, Liang 2022, Algorithm 2.
func pzobo(n, q int, mu float64) func(s *naive) func() {
	return func(s *naive) func() {
		normal := rand.New(s.rng)
		return func() {
			var u, at [][]float64
			for range q {
				u = append(u, make([]float64, len(s.x)))
				for i := range s.x {
					u[len(u)-1][i] = normal.NormFloat64()
				}
				at = append(at, s.z)
			}
			for range n {
				xi := s.xi()
				s.z = s.along(s.z, s.rho(), s.dz(s.z, s.x, xi))
				for j := range at {
					at[j] = s.along(at[j], s.rho(), s.dz(at[j], plus(s.x, mu, u[j]), xi))
				}
			}
			fz, dx := s.f.grad(s.z, s.x, s.zeta())
			for j := range at {
				dx = plus(dx, dot(plus(at[j], -1, s.z), fz)/mu/float64(q), u[j])
			}
			s.v = nil
			s.move(dx)
		}
	}
}

// stfbo: Yang, Ban, Huang, Ma, Ji 2025, Algorithm 2.
func stfbo(alpha, beta, gamma float64) func(s *naive) func() {
	return func(s *naive) func() {
		return func() {
			xi, zeta := s.allG(), s.allF()
			dz, dv, dx := s.dz(s.z, s.x, xi), s.dv(s.z, s.x, s.v, xi, zeta), s.dx(s.z, s.x, s.v, xi, zeta)
			beta, gamma, alpha = math.Hypot(beta, norm2(dz)), math.Hypot(gamma, norm2(dv)), math.Hypot(alpha, norm2(dx))
			phi := math.Max(beta, gamma)
			s.z, s.v, s.x = plus(s.z, -1/beta, dz), plus(s.v, -1/phi, dv), plus(s.x, -1/(alpha*phi), dx)
			s.p.ProjectX(s.x)
		}
	}
}

// dtfbo: Yang, Ban, Huang, Ma, Ji 2025, Algorithm 1, with n inner steps.
func dtfbo(alpha, beta, gamma float64, n int) func(s *naive) func() {
	return func(s *naive) func() {
		return func() {
			xi, zeta := s.allG(), s.allF()
			for range n {
				d := s.dz(s.z, s.x, xi)
				beta = math.Hypot(beta, norm2(d))
				s.z = plus(s.z, -1/beta, d)
			}
			for range n {
				d := s.dv(s.z, s.x, s.v, xi, zeta)
				gamma = math.Hypot(gamma, norm2(d))
				s.v = plus(s.v, -1/gamma, d)
			}
			d := s.dx(s.z, s.x, s.v, xi, zeta)
			alpha = math.Hypot(alpha, norm2(d))
			s.x = plus(s.x, -1/alpha, d)
			s.p.ProjectX(s.x)
		}
	}
}

func norm2(d []float64) float64 { return math.Sqrt(dot(d, d)) }

// formula is a method with the plain code for it.
type formula struct {
	name  string
	m     bilevel.Method
	plain func(s *naive) func()
}

// formulas are all methods with the settings k; those that k does not hold are zero with defaults.
func formulas(k knobs, batch int) []formula {
	b, in, out, sh, c := batch, k.in, k.out, k.shuffle, k.clip
	eta := Rate{.17, .3}
	if k.defaults {
		return []formula{
			{"SRBA", SRBA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, srba(0)},
			{"MASOBA", MASOBA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, masoba(.1)},
			{"StocBiO", StocBiO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c},
				doubleLoop(10, 10, Rate{}, false)},
			{"BSA", BSA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, doubleLoop(10, 10, Rate{}, true)},
			{"TTSA", TTSA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, doubleLoop(1, 10, Rate{}, true)},
			{"AmIGO", AmIGO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, amigo(10)},
			{"FSLA", FSLA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, fsla(0)},
			{"MRBO", MRBO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, storms(.5, 10, Rate{}, false)},
			{"SUSTAIN", SUSTAIN{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, storms(.5, 10, Rate{}, true)},
			{"VRBO", VRBO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, vrbo(10, 10, 0, Rate{})},
			{"PZOBO", PZOBO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, pzobo(10, 1, .01)},
			{"S-TFBO", STFBO{}, stfbo(1, 1, 1)},
			{"D-TFBO", DTFBO{}, dtfbo(1, 1, 1, 10)},
		}
	}
	return []formula{
		{"SOBA", SOBA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, soba},
		{"SABA", SABA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c}, saba(false)},
		{"SABA warm", SABA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, Warm: true}, saba(true)},
		{"SABA generic", SABA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, generic: true}, saba(false)},
		{"SRBA", SRBA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, Period: 5}, srba(5)},
		{"MASOBA", MASOBA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, Theta: .3}, masoba(.3)},
		{"StocBiO", StocBiO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, InnerSteps: 3, Terms: 4,
			Neumann: eta}, doubleLoop(3, 4, eta, false)},
		{"BSA", BSA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, InnerSteps: 3, Terms: 4, Neumann: eta},
			doubleLoop(3, 4, eta, true)},
		{"TTSA", TTSA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, Terms: 3, Neumann: eta},
			doubleLoop(1, 3, eta, true)},
		{"AmIGO", AmIGO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, InnerSteps: 3}, amigo(3)},
		{"FSLA", FSLA{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, Momentum: .7}, fsla(.7)},
		{"MRBO", MRBO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, Momentum: .8, Terms: 3, Neumann: eta},
			storms(.8, 3, eta, false)},
		{"SUSTAIN", SUSTAIN{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, Momentum: .8, Terms: 3,
			Neumann: eta}, storms(.8, 3, eta, true)},
		{"VRBO", VRBO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, InnerSteps: 2, Terms: 3, Neumann: eta,
			Period: 4}, vrbo(2, 3, 4, eta)},
		{"PZOBO", PZOBO{Batch: b, InnerStep: in, OuterStep: out, Shuffle: sh, Clip: c, InnerSteps: 3, Directions: 2,
			Smoothing: .02}, pzobo(3, 2, .02)},
		{"S-TFBO", STFBO{Alpha: 2, Beta: 3, Gamma: .5}, stfbo(2, 3, .5)},
		{"D-TFBO", DTFBO{Alpha: 2, Beta: 3, Gamma: .5, InnerSteps: 3}, dtfbo(2, 3, .5, 3)},
	}
}

// formulaProblems have d ≠ p and short last blocks. g and f are whole, or split, with x in the sampled part, in the
// other, or in both; weights of samples are Local, and losses of scores are Linear, of d ≥ 1024 with combinations that
// are added in place.
func formulaProblems() []namedProblem {
	const d, p = 4, 3
	at := bilevel.Point{Z: []float64{.3, -.5, .8, .1}, X: []float64{-.4, .2, .6}, V: []float64{-.2, .4, .1, -.6}}
	g, f := newSoftplus(29, d, p, .4, 1), newSoftplus(19, d, p, .1, 2)
	pen := strengths{d, p}
	ball := func(x []float64) {
		if n := norm2(x); n > .7 {
			for i := range x {
				x[i] *= .7 / n
			}
		}
	}
	c := newCleaning(29, 19)
	weights := bilevel.Point{Z: []float64{.3, -.5, .8, .1}, X: fill(29, .3), V: []float64{-.2, .4, .1, -.6}}
	lower, upper := []float64{-.45, .15, math.Inf(-1)}, []float64{math.Inf(1), .25, .55}
	return []namedProblem{
		{"whole", func() *bilevel.Problem { return &bilevel.Problem{Inner: g, Outer: f} }, at},
		{"split, in a box", func() *bilevel.Problem {
			return &bilevel.Problem{Inner: together{g, pen}, Outer: f, Lower: lower, Upper: upper}
		}, at},
		{"both split, in a ball", func() *bilevel.Problem {
			return &bilevel.Problem{Inner: together{g, pen}, Outer: together{f, pen}, Project: ball}
		}, at},
		{"logistic", smallLogistic, bilevel.Point{Z: fill(6, .3), X: []float64{-1, -.5, -2, .3, -1.5, 0}}},
		{"weights", func() *bilevel.Problem { return c.problem(true, true) }, weights},
		{"weights in a box", func() *bilevel.Problem {
			p := c.problem(true, false)
			p.Lower, p.Upper = fill(29, .29), fill(29, .31)
			return p
		}, weights},
		{"weights of a long model", func() *bilevel.Problem { return cleaningProblem(29, 19, 128, 10) },
			bilevel.Point{Z: waves(1280, .02), X: fill(29, .3), V: waves(1280, -.01)}},
	}
}

// waves has different numbers up to size.
func waves(n int, size float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = size * math.Sin(float64(i))
	}
	return v
}

// step makes one step.
func step(t *testing.T, run bilevel.Run) {
	t.Helper()
	if err := run.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// follow compares steps of a method with the plain code.
func follow(t *testing.T, name string, m bilevel.Method, k knobs, of func(*naive) func(), p *bilevel.Problem,
	at bilevel.Point, steps int) {
	t.Helper()
	const seed = 5
	run, err := m.Start(p, at, seed)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s := newNaive(k, p, at, seed)
	next := of(s)
	start := s.x
	for ; s.t <= steps; s.t++ {
		step(t, run)
		next()
		got := run.Point()
		for _, q := range []struct {
			name      string
			got, want []float64
		}{{"z", got.Z, s.z}, {"x", got.X, s.x}, {"v", got.V, s.v}} {
			if len(q.got) == 0 && len(q.want) == 0 {
				continue
			}
			if e := relative(q.want, q.got); !(e < 1e-12) {
				t.Errorf("%s: %s differs from the formula by %.3g after %d steps", name, q.name, e, s.t)
				return
			}
		}
	}
	if distance(start, s.x) < 1e-6 {
		t.Errorf("%s: x has not moved", name)
	}
}

func TestStepsAreTheFormulas(t *testing.T) {
	const steps = 12
	for _, k := range []knobs{
		{batch: 6, in: Constant(.2), out: Constant(.1)},
		{batch: 6, in: Decaying(.3, .5), out: Decaying(.2, .4), shuffle: true},
		{batch: 6, in: Constant(.2), out: Constant(.1), shuffle: true, clip: .15},
		{batch: 1, in: Decaying(.1, .3), out: Constant(.05)},
		{batch: 6, in: Decaying(.2, .3), out: Decaying(.1, .6), defaults: true},
	} {
		for _, p := range formulaProblems() {
			k := k
			if d, _ := p.make().Dims(); d > 1000 {
				k.in.Size /= 20 // 128 features make a curvature of about 30
			}
			for _, f := range formulas(k, k.batch) {
				follow(t, fmt.Sprintf("%s, %s, %+v", f.name, p.name, k), f.m, k, f.plain, p.make(), p.at, steps)
			}
		}
	}
	// Batches of 64 are the default.
	k := knobs{batch: 64, in: Constant(.2), out: Constant(.1), defaults: true}
	p := formulaProblems()[3]
	for _, f := range append(formulas(k, 0), formula{"SOBA", SOBA{InnerStep: k.in, OuterStep: k.out}, soba},
		formula{"SABA", SABA{InnerStep: k.in, OuterStep: k.out}, saba(false)}) {
		follow(t, f.name+" with the default batch", f.m, k, f.plain, p.make(), p.at, 5)
	}
}

// The automatic step of z and v is 1/(3(L + e_i)), L the curvature of the sampled part of g and e_i that of
// coordinate i in the other; where batches leave noise √(1 + t/T₀)L takes the place of L, t being that of the last
// look. The terms of the sampled part are ½L‖z ∓ 1‖², so that each step of z shows its size. The step of a Neumann
// series is 1.5/(L + e_i).
func TestAutomaticInnerStepsAreTheFormula(t *testing.T) {
	const curvature = 2
	stiff := []float64{.5, 6}
	g := together{
		&bilevel.Func{InnerDim: 2, OuterDim: 1, Terms: 2,
			Eval: func(z, _ []float64, b bilevel.Batch) float64 {
				s := 0.0
				for i := b.Lo; i < b.Hi; i++ {
					for _, v := range z {
						s += curvature * (v - float64(2*i-1)) * (v - float64(2*i-1)) / 2 / float64(b.Len())
					}
				}
				return s
			},
			Gradient: func(dz, dx, z, _ []float64, b bilevel.Batch) {
				for k, v := range z {
					dz[k] = curvature * (v - float64(b.Lo+b.Hi-2))
				}
				clear(dx)
			},
			HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { hv[0], hv[1] = curvature*v[0], curvature*v[1] },
			CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { clear(cv) },
		},
		&bilevel.Func{InnerDim: 2, OuterDim: 1,
			Eval: func(z, _ []float64, _ bilevel.Batch) float64 {
				return (stiff[0]*z[0]*z[0] + stiff[1]*z[1]*z[1]) / 2
			},
			Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
				dz[0], dz[1], dx[0] = stiff[0]*z[0], stiff[1]*z[1], 0
			},
			HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { hv[0], hv[1] = stiff[0]*v[0], stiff[1]*v[1] },
			CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { clear(cv) },
		},
	}
	slope := []float64{3, -1}
	f := &bilevel.Func{InnerDim: 2, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return dot(slope, z) + x[0]*x[0] },
		Gradient: func(dz, dx, _, x []float64, _ bilevel.Batch) { copy(dz, slope); dx[0] = 2 * x[0] },
	}
	p := &bilevel.Problem{Inner: g, Outer: f}
	run, err := SOBA{Batch: 1, OuterStep: Constant(.1)}.Start(p, bilevel.Point{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	z := run.Point().Z
	var at, slow []float64 // steps from which on √(1 + t/T₀) is another number, and its square
	for k := range 4000 {
		step(t, run)
		next := run.Point().Z
		var root [2]float64
		for i, e := range stiff {
			// z⁺ = z − ρ(L(z ∓ 1) + ez), and z stays between −1 and 1
			rho := math.Max((next[i]-z[i])/(curvature*(1-z[i])-e*z[i]), (next[i]-z[i])/(curvature*(-1-z[i])-e*z[i]))
			root[i] = (1/rho - 3*e) / (3 * curvature)
		}
		if math.Abs(root[0]-root[1]) > 1e-7*root[0] || k == 0 && math.Abs(root[0]-1) > 1e-12 {
			t.Fatalf("after %d steps both coordinates have the steps of √(1 + t/T₀) = %g and %g", k, root[0], root[1])
		}
		if n := len(slow); n == 0 || root[0]*root[0] > slow[n-1]+1e-9 {
			at, slow = append(at, float64(k)), append(slow, root[0]*root[0])
		}
		z = next
	}
	last := len(at) - 1
	if last < 5 || slow[last] < 3 {
		t.Fatalf("the step changes %d times, to 1/%g: the test shows little", last, math.Sqrt(slow[last]))
	}
	for i, s := range slow {
		if want := 1 + (slow[last]-1)*at[i]/at[last]; math.Abs(s-want) > 1e-6*want {
			t.Errorf("1 + t/T₀ is %g after %g steps, want %g", s, at[i], want)
		}
	}

	run, err = StocBiO{Batch: 1, OuterStep: Constant(.1), Terms: 3}.Start(p, bilevel.Point{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	step(t, run)
	for i, v := range run.Point().V {
		h := curvature + stiff[i]
		eta, want, r := 1.5/h, 0.0, 1.5/h*slope[i]
		for range 4 {
			want -= r
			r -= eta * h * r
		}
		if math.Abs(v-want) > 1e-12 {
			t.Errorf("v[%d] = %g, want %g", i, v, want)
		}
	}
}
