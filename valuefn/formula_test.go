package valuefn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/stochastic"
)

// Every method against plain code: its formulas, with each gradient made anew, on sampled problems with d ≠ p and short
// last blocks. What the plain code shares with the methods are the batches, drawn from the same seed in the order of
// the formulas: ξ from stream 1, ζ from stream 2, ξ' of F2SA from stream 3.

// softplus is the mean of n terms log(1 + exp(a_iᵀz + b_iᵀx)) + ½c_i‖z‖². Every draw scales a_i anew: gradients whose
// difference counts must have the same draw.
func softplus(n, d, p int, ridge float64, seed uint64) *bilevel.Func {
	rng := rand.New(rand.NewPCG(seed, 11))
	vec := func(n int, mean float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = mean + rng.NormFloat64()
		}
		return v
	}
	var a, b [][]float64
	var c []float64
	for range n {
		a, b, c = append(a, vec(d, .3)), append(b, vec(p, -.2)), append(c, ridge*(1+rng.Float64()))
	}
	row := func(i int, batch bilevel.Batch) []float64 {
		pcg := batch.Source(i)
		return plus(fill(d, 0), .5+rand.New(&pcg).Float64(), a[i])
	}
	return &bilevel.Func{
		InnerDim: d, OuterDim: p, Terms: n,
		Eval: func(z, x []float64, batch bilevel.Batch) float64 {
			s := 0.0
			for i := batch.Lo; i < batch.Hi; i++ {
				s += math.Log1p(math.Exp(dot(row(i, batch), z)+dot(b[i], x))) + c[i]*dot(z, z)/2
			}
			return s / float64(batch.Len())
		},
		Gradient: func(dz, dx, z, x []float64, batch bilevel.Batch) {
			clear(dz)
			clear(dx)
			for i := batch.Lo; i < batch.Hi; i++ {
				w, a := 1/float64(batch.Len()), row(i, batch)
				s := w / (1 + math.Exp(-dot(a, z)-dot(b[i], x)))
				for k := range dz {
					dz[k] += s*a[k] + w*c[i]*z[k]
				}
				for k := range dx {
					dx[k] += s * b[i][k]
				}
			}
		},
	}
}

// strengths is ½ Σ_k exp(x_{k mod p}) z_k², a part that is not sampled.
func strengths(d, p int) *bilevel.Func {
	return &bilevel.Func{
		InnerDim: d, OuterDim: p,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			s := 0.0
			for k, v := range z {
				s += math.Exp(x[k%p]) * v * v / 2
			}
			return s
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			clear(dx)
			for k, v := range z {
				dz[k] = math.Exp(x[k%p]) * v
				dx[k%p] += dz[k] * v / 2
			}
		},
	}
}

// split is a Splitter.
type split struct{ sampled, exact *bilevel.Func }

func (o split) Split() (sampled, exact bilevel.Objective) { return o.sampled, o.exact }
func (o split) Dims() (d, p int)                          { return o.sampled.Dims() }
func (o split) Samples() int                              { return o.sampled.Samples() }
func (o split) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.sampled.Value(z, x, b) + o.exact.Value(z, x, sampling.Exactly)
}

func (o split) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	gz, gx := estimate(o, z, x, sample{b, 1})
	copy(dz, gz)
	copy(dx, gx)
}

// sample is a batch with the weight of its mean.
type sample struct {
	b bilevel.Batch
	w float64
}

// partsOf is an objective as a sum of a part that is sampled and one that is not, or nil.
func partsOf(o bilevel.Objective) (sampled, exact bilevel.Objective) {
	if s, ok := o.(bilevel.Splitter); ok {
		return s.Split()
	}
	return o, nil
}

// estimate is the gradient of o as a batch gives it, and value the value.
func estimate(o bilevel.Objective, z, x []float64, s sample) (dz, dx []float64) {
	sampled, exact := partsOf(o)
	dz, dx = make([]float64, len(z)), make([]float64, len(x))
	add := func(o bilevel.Objective, b bilevel.Batch, w float64) {
		gz, gx := make([]float64, len(z)), make([]float64, len(x))
		o.Grad(gz, gx, z, x, b)
		dz, dx = plus(dz, w, gz), plus(dx, w, gx)
	}
	add(sampled, s.b, s.w)
	if exact != nil {
		add(exact, sampling.Exactly, 1)
	}
	return dz, dx
}

func valueOf(o bilevel.Objective, z, x []float64, s sample) float64 {
	sampled, exact := partsOf(o)
	v := s.w * sampled.Value(z, x, s.b)
	if exact != nil {
		v += exact.Value(z, x, sampling.Exactly)
	}
	return v
}

// plus is a + c·b.
func plus(a []float64, c float64, b []float64) []float64 {
	sum := make([]float64, len(a))
	for i := range a {
		sum[i] = a[i] + c*b[i]
	}
	return sum
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// naive is a run of the plain code: y is where f counts and z minimises g, both x's in the methods' names for them.
type naive struct {
	p               *bilevel.Problem
	xi, zeta, other func() sample
	all, allF       sample
	whole           func() (g, f sample) // full passes, each under a draw of its own
	y, z, x         []float64
	t               float64 // number of the coming step, from 1
	clip            float64
}

func newNaive(p *bilevel.Problem, at bilevel.Point, batch int, shuffle bool, seed uint64) *naive {
	sampler := func(o bilevel.Objective, stream uint64) *sampling.Sampler {
		return sampling.NewSampler(sampling.NewPartition(o.Samples(), batch), seed, stream, shuffle)
	}
	next := func(s *sampling.Sampler) func() sample {
		return func() sample {
			d := s.Next()
			return sample{d.Batch, d.Weight}
		}
	}
	start := must(p.StartPoint(at))
	xi, zeta := sampler(p.Inner, 1), sampler(p.Outer, 2)
	return &naive{p: p, xi: next(xi), zeta: next(zeta), other: next(sampler(p.Inner, 3)),
		whole: func() (g, f sample) { return sample{xi.All(), 1}, sample{zeta.All(), 1} },
		all:   sample{bilevel.All(p.Inner), 1}, allF: sample{bilevel.All(p.Outer), 1},
		y: start.Z, z: start.Z, x: start.X, t: 1}
}

func (s *naive) g(z []float64, b sample) (dz, dx []float64) { return estimate(s.p.Inner, z, s.x, b) }
func (s *naive) f(z []float64, b sample) (dz, dx []float64) { return estimate(s.p.Outer, z, s.x, b) }

// along is at − size·d, d clipped.
func (s *naive) along(at []float64, size float64, d []float64) []float64 {
	if n := math.Sqrt(dot(d, d)); s.clip > 0 && n > s.clip {
		size *= s.clip / n
	}
	return plus(at, -size, d)
}

func (s *naive) move(size float64, d []float64) {
	s.x = s.along(s.x, size, d)
	s.p.ProjectX(s.x)
}

// size is the step size of the coming step.
func (s *naive) size(r stochastic.Rate) float64 { return r.Size * math.Pow(s.t, -r.Decay) }

// f2sa: Kwon et al. 2023, Algorithm 1.
func f2sa(m F2SA, n int) func(s *naive) {
	return func(s *naive) {
		lambda := m.Lambda.Size * math.Pow(s.t, m.Lambda.Growth)
		beta := s.size(m.InnerStep)
		alpha := beta / (2 * lambda)
		s.clip = m.Clip
		for range n {
			gy, _ := s.g(s.y, s.xi())
			fy, _ := s.f(s.y, s.zeta())
			gz, _ := s.g(s.z, s.other())
			s.y, s.z = s.along(s.y, alpha, plus(fy, lambda, gy)), s.along(s.z, beta, gz)
		}
		zeta, xi := s.zeta(), s.xi()
		_, fx := s.f(s.y, zeta)
		_, gy := s.g(s.y, xi)
		_, gz := s.g(s.z, xi)
		s.move(s.size(m.OuterStep), plus(plus(fx, lambda, gy), -lambda, gz))
	}
}

// bome: Liu et al. 2022, Algorithm 1, with y for z and z for z^T; momentum is that of gradients, and an anchor that of
// Johnson and Zhang 2013, where it has a period.
func bome(m BOME, n int, eta, epsilon float64, period int) func(s *naive) {
	var bz, bx []float64
	var anchor struct{ z, x, gz, fz, fx []float64 }
	return func(s *naive) {
		if period > 0 && (int(s.t)-1)%period == 0 {
			g, f := s.whole()
			anchor.z, anchor.x = s.y, s.x
			anchor.gz, _ = s.g(s.y, g)
			anchor.fz, anchor.fx = s.f(s.y, f)
		}
		c := fill(len(s.y), 0) // what the gradient of a batch lacks at the anchor
		corrected := func(z []float64, xi sample) (dz, dx []float64) {
			if dz, dx = s.g(z, xi); period > 0 {
				there, _ := estimate(s.p.Inner, anchor.z, anchor.x, xi)
				c = plus(anchor.gz, -1, there)
			}
			return plus(dz, 1, c), dx
		}
		s.z = s.y
		for range n {
			d, _ := corrected(s.z, s.xi())
			s.z = plus(s.z, -s.size(m.Alpha), d)
		}
		xi, zeta := s.xi(), s.zeta()
		qz, qx := corrected(s.y, xi)
		_, hx := s.g(s.z, xi)
		qx = plus(qx, -1, hx)
		fz, fx := s.f(s.y, zeta)
		if period > 0 {
			thereZ, thereX := estimate(s.p.Outer, anchor.z, anchor.x, zeta)
			fz, fx = plus(plus(fz, 1, anchor.fz), -1, thereZ), plus(plus(fx, 1, anchor.fx), -1, thereX)
		}
		square := dot(qz, qz) + dot(qx, qx)
		phi := eta * (square + epsilon)
		if m.Control == GapControl {
			phi = eta * (valueOf(s.p.Inner, s.y, s.x, xi) - valueOf(s.p.Inner, s.z, s.x, xi) + dot(c, plus(s.y, -1, s.z)))
		}
		lambda := math.Max(0, (phi-dot(fz, qz)-dot(fx, qx))/(square+epsilon))
		dz, dx := plus(fz, lambda, qz), plus(fx, lambda, qx)
		if bz == nil {
			bz, bx = make([]float64, len(dz)), make([]float64, len(dx))
		}
		bz, bx = plus(dz, m.Momentum, bz), plus(dx, m.Momentum, bx)
		s.y = plus(s.y, -s.size(m.InnerStep), bz)
		s.move(s.size(m.OuterStep), bx)
	}
}

// minimaxopt: arXiv 2305.13153, Algorithm 1 with batches, y = u and z = ω.
func minimaxopt(m MinimaxOPT, growth float64, k, stages int) func(s *naive) {
	return func(s *naive) {
		t := int(s.t) - 1
		i := float64(min(t/k, stages-1))
		alpha, fall, fallX := m.Alpha*math.Pow(growth, i), math.Pow(growth, -i), math.Pow(growth, -i*m.OuterScaling)
		if m.Cosine {
			c := m.Floor + (1-m.Floor)*(1+math.Cos(math.Pi*float64(min(t, k*stages))/float64(k*stages)))/2
			fall, fallX = c*fall, c*fallX
		}
		penalised := m.PenalisedStep
		if penalised == 0 {
			penalised = m.InnerStep
		}
		zeta, xi := s.zeta(), s.xi()
		fu, fx := s.f(s.y, zeta)
		gu, gxu := s.g(s.y, xi)
		gw, gxw := s.g(s.z, xi)
		s.z = plus(s.z, -m.InnerStep*fall*alpha, gw)
		s.y = plus(s.y, -penalised*fall, plus(fu, alpha, gu))
		s.move(m.OuterStep*fallX, plus(plus(fx, alpha, gxu), -alpha, gxw))
	}
}

// vpbgd: Shen, Chen 2023, Algorithm 1, y = u and z = ω. A tolerance of 0 is ‖∇z f(u, x)‖/(100γ), f at the last step.
func vpbgd(m VPBGD, ramp, n int) func(s *naive) {
	slope := 0.0
	return func(s *naive) {
		gamma := m.Gamma * math.Min(1, s.t/float64(ramp))
		tol := m.Tol
		if tol == 0 {
			tol = slope / (100 * gamma)
		}
		beta, share := s.size(m.InnerStep), math.Min(1/gamma, 1)
		for range n {
			d, _ := s.g(s.z, s.all)
			if math.Sqrt(dot(d, d)) <= tol {
				break
			}
			s.z = plus(s.z, -beta, d)
		}
		fu, fx := s.f(s.y, s.allF)
		gu, gxu := s.g(s.y, s.all)
		_, gxw := s.g(s.z, s.all)
		slope = math.Sqrt(dot(fu, fu))
		s.y = plus(s.y, -beta*share, plus(fu, gamma, gu))
		s.move(s.size(m.OuterStep)*share, plus(plus(fx, gamma, gxu), -gamma, gxw))
	}
}

// bsg1: Giovannelli et al. 2021.
func bsg1(m BSG1, n int) func(s *naive) {
	return func(s *naive) {
		for range n {
			d, _ := s.g(s.z, s.xi())
			s.z = plus(s.z, -s.size(m.InnerStep), d)
		}
		xi, zeta := s.xi(), s.zeta()
		gz, gx := s.g(s.z, xi)
		fz, fx := s.f(s.z, zeta)
		s.move(s.size(m.OuterStep), plus(fx, -dot(fz, gz)/(dot(gz, gz)+m.Epsilon), gx))
	}
}

// bvfsm: Liu et al. 2021 as in BOME's experiments; z is its y and y its z.
func bvfsm(m BVFSM, n int, mu, theta, sigma float64) func(s *naive) {
	return func(s *naive) {
		horizon := s.t
		if m.Horizon > 0 {
			horizon = float64(m.Horizon)
		}
		r := 1 / math.Log(1.1*(horizon+1))
		force := func(xi sample) float64 {
			return sigma * r / (valueOf(s.p.Inner, s.z, s.x, xi) - m.LowerBound + mu*r*dot(s.z, s.z) + 1e-4)
		}
		for range n {
			d, _ := s.g(s.z, s.xi())
			s.z = plus(s.z, -s.size(m.Value), plus(d, 2*mu*r, s.z))
		}
		for range n {
			xi, zeta := s.xi(), s.zeta()
			fz, _ := s.f(s.y, zeta)
			gz, _ := s.g(s.y, xi)
			s.y = plus(s.y, -s.size(m.InnerStep), plus(plus(fz, force(xi), gz), 2*theta*r, s.y))
		}
		xi, zeta := s.xi(), s.zeta()
		_, fx := s.f(s.y, zeta)
		_, gx := s.g(s.y, xi)
		_, hx := s.g(s.z, xi)
		s.move(s.size(m.OuterStep), plus(plus(fx, force(xi), gx), -force(xi), hx))
	}
}

// step makes one step.
func step(t *testing.T, run bilevel.Run) {
	t.Helper()
	if err := run.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// compare makes steps of a method and of the plain code, in which shown is the variable that the method's points have.
func compare(t *testing.T, name string, m bilevel.Method, next func(s *naive), shown func(s *naive) []float64,
	p *bilevel.Problem, at bilevel.Point, batch int, shuffle bool, steps int) {
	t.Helper()
	const seed = 5
	run, err := m.Start(p, at, seed)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s := newNaive(p, at, batch, shuffle, seed)
	start := s.x
	for ; int(s.t) <= steps; s.t++ {
		step(t, run)
		next(s)
		got := run.Point()
		z := shown(s)
		if e := math.Max(distance(got.X, s.x)/norm(s.x), distance(got.Z, z)/norm(z)); !(e < 1e-12) {
			t.Errorf("%s differs from the formula by %.3g after %d steps", name, e, int(s.t))
			return
		}
	}
	if distance(start, s.x) < 1e-6 {
		t.Errorf("%s: x has not moved", name)
	}
}

func TestSampledStepsAreTheFormulas(t *testing.T) {
	const d, q, steps = 4, 3, 12
	at := bilevel.Point{Z: []float64{.3, -.5, .8, .1}, X: []float64{-.4, .2, .6}}
	g, f, pen := softplus(29, d, q, .4, 1), softplus(19, d, q, .1, 2), strengths(d, q)
	ball := func(x []float64) {
		if n := norm(x); n > .7 {
			for i := range x {
				x[i] *= .7 / n
			}
		}
	}
	y, z := func(s *naive) []float64 { return s.y }, func(s *naive) []float64 { return s.z }
	r, out := decaying(.2, .4), decaying(.1, .3)
	for _, c := range []struct {
		name string
		p    *bilevel.Problem
		at   bilevel.Point
	}{
		{"whole", &bilevel.Problem{Inner: g, Outer: f}, at},
		{"split, in a box", &bilevel.Problem{Inner: split{g, pen}, Outer: f,
			Lower: []float64{-.45, .15, math.Inf(-1)}, Upper: []float64{math.Inf(1), .25, .55}}, at},
		{"both split, in a ball", &bilevel.Problem{Inner: split{g, pen}, Outer: split{f, pen}, Project: ball}, at},
		{"logistic", logistic(), bilevel.Point{Z: fill(6, .3), X: []float64{-1, -.5, -2, .3, -1.5, 0}}},
	} {
		for _, batch := range []int{6, 1, 1000} {
			for _, shuffle := range []bool{false, true} {
				check := func(m bilevel.Method, next func(*naive), shown func(*naive) []float64) {
					t.Helper()
					compare(t, fmt.Sprintf("%T%+v, %s", m, m, c.name), m, next, shown, c.p, c.at, batch, shuffle, steps)
				}
				for _, m := range []F2SA{
					{Lambda: Multiplier{3, .5}, InnerSteps: 2, InnerStep: r, OuterStep: out},
					{Lambda: Multiplier{2, 1. / 7}, InnerSteps: 3, InnerStep: constant(.2), OuterStep: constant(.1), Clip: .3},
				} {
					m.Batch, m.Shuffle = batch, shuffle
					check(m, f2sa(m, m.InnerSteps), z)
				}
				for _, m := range []BOME{
					{InnerSteps: 3, Alpha: decaying(.4, .8), InnerStep: r, OuterStep: out, Eta: .8, Epsilon: .05},
					{InnerSteps: 2, Alpha: constant(.3), InnerStep: r, OuterStep: out, Control: GapControl, Eta: .3,
						Epsilon: .01, Momentum: .6},
				} {
					m.Batch, m.Shuffle = batch, shuffle
					check(m, bome(m, m.InnerSteps, m.Eta, m.Epsilon, 0), y)
					if batch < 29 { // as many samples as in three passes, with a gradient more of each batch but one
						m.Anchored = true
						n, k := c.p.Inner.Samples()+c.p.Outer.Samples(), (2*m.InnerSteps+3+2)*batch
						check(m, bome(m, m.InnerSteps, m.Eta, m.Epsilon, max(1, 3*n/k)), y)
					}
				}
				for _, m := range []MinimaxOPT{
					{Alpha: 2, Growth: 1.3, StageSteps: 3, Stages: 3, InnerStep: .05, OuterStep: .02},
					{Alpha: 2, Growth: 1.3, StageSteps: 3, Stages: 3, InnerStep: .05, PenalisedStep: .04, OuterStep: .02,
						OuterScaling: .5, Cosine: true, Floor: .2},
				} {
					m.Batch, m.Shuffle = batch, shuffle
					check(m, minimaxopt(m, m.Growth, m.StageSteps, m.Stages), z)
				}
				b := BSG1{Batch: batch, Shuffle: shuffle, InnerSteps: 2, InnerStep: r, OuterStep: out, Epsilon: .1}
				check(b, bsg1(b, 2), z)
				for _, m := range []BVFSM{
					{InnerSteps: 2, Value: r, InnerStep: constant(.1), OuterStep: out, Mu: .2, Theta: .3, Sigma: .7,
						LowerBound: -.5},
					{InnerSteps: 3, Value: constant(.1), InnerStep: r, OuterStep: out, Mu: .2, Theta: .3, Sigma: .7,
						Horizon: 20},
				} {
					m.Batch, m.Shuffle = batch, shuffle
					check(m, bvfsm(m, m.InnerSteps, m.Mu, m.Theta, m.Sigma), y)
				}
			}
		}
	}
}

// The settings that are zero have the values that are documented.
func TestDefaultsAreTheFormulas(t *testing.T) {
	const d, q = 4, 3
	at := bilevel.Point{Z: []float64{.3, -.5, .8, .1}, X: []float64{-.4, .2, .6}}
	p := &bilevel.Problem{Inner: softplus(131, d, q, .4, 1), Outer: split{softplus(77, d, q, .1, 2), strengths(d, q)}}
	small := &bilevel.Problem{Inner: softplus(9, d, q, .4, 3), Outer: split{softplus(7, d, q, .1, 4), strengths(d, q)}}
	y, z := func(s *naive) []float64 { return s.y }, func(s *naive) []float64 { return s.z }
	r, out := constant(.2), constant(.1)
	check := func(m bilevel.Method, next func(*naive), shown func(*naive) []float64, batch, steps int) {
		t.Helper()
		compare(t, fmt.Sprintf("%T%+v", m, m), m, next, shown, p, at, batch, false, steps)
	}
	f := F2SA{Lambda: Multiplier{Size: 3}, InnerStep: r, OuterStep: out}
	check(f, f2sa(f, 10), z, 64, 4)
	b := BOME{Alpha: r, InnerStep: r, OuterStep: out}
	check(b, bome(b, 10, .5, 1e-8, 0), y, 131, 4)
	b.Control = GapControl
	check(b, bome(b, 10, .5, 1e-8, 0), y, 131, 4)
	s := BSG1{InnerStep: r, OuterStep: out}
	check(s, bsg1(s, 10), z, 131, 2)
	v := BVFSM{Value: r, InnerStep: constant(.1), OuterStep: out}
	check(v, bvfsm(v, 10, .1, .1, .1), y, 131, 4)
	m := MinimaxOPT{Alpha: 1, InnerStep: .1, OuterStep: .02}
	check(m, minimaxopt(m, 1.5, 500, 7), z, 64, 4)
	// Through the last stage, and past the growth of the penalty.
	p = small
	m = MinimaxOPT{Alpha: 1, InnerStep: .1, OuterStep: .02}
	check(m, minimaxopt(m, 1.5, 500, 7), z, 131, 3510)
	k := VPBGD{Gamma: 5, InnerStep: r, OuterStep: out}
	check(k, vpbgd(k, 500, 100), z, 131, 510)
	k = VPBGD{Gamma: 5, Ramp: 4, InnerSteps: 3, Tol: 1e-9, InnerStep: decaying(.3, .4), OuterStep: out}
	check(k, vpbgd(k, 4, 3), z, 131, 8)
}

// Where batches leave noise the automatic inner step decays as (1 + t/T₀)^(−4/7). The terms of g are ½(z ∓ 1)² here, so
// that each step of z shows its size β, and β^(−7/4) is a line in t, whatever T₀. y takes the step β/λ along
// λ∇z g + ∇z f.
func TestAutomaticInnerStepsDecay(t *testing.T) {
	g := &bilevel.Func{
		InnerDim: 1, OuterDim: 1, Terms: 2,
		Eval: func(z, _ []float64, b bilevel.Batch) float64 {
			s := 0.0
			for i := b.Lo; i < b.Hi; i++ {
				e := z[0] - float64(2*i-1)
				s += e * e / 2 / float64(b.Len())
			}
			return s
		},
		Gradient: func(dz, dx, z, _ []float64, b bilevel.Batch) {
			dz[0], dx[0] = z[0]-float64(b.Lo+b.Hi-2), 0
		},
	}
	f := &bilevel.Func{
		InnerDim: 1, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return z[0] + x[0]*x[0] },
		Gradient: func(dz, dx, _, x []float64, _ bilevel.Batch) { dz[0], dx[0] = 1, 2*x[0] },
	}
	m := F2SA{Batch: 1, InnerSteps: 1, Lambda: Multiplier{Size: 10}, OuterStep: constant(.1)}
	run, err := m.Start(&bilevel.Problem{Inner: g, Outer: f}, bilevel.Point{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	const last = 6000
	var line [last + 1]float64
	z, y := 0.0, 0.0
	for k := range line {
		step(t, run)
		next := run.Point().Z[0]
		target := math.Copysign(1, next-z) // z stays between the two
		beta := (next - z) / (target - z)
		line[k] = math.Pow(beta, -7./4)
		z = next
		up, down := y-beta*(y-1+.1), y-beta*(y+1+.1) // α = β/λ, λ = 10
		y = run.(*f2saRun).y[0]
		if math.Min(math.Abs(y-up), math.Abs(y-down)) > 1e-12 {
			t.Fatalf("y = %g after %d steps, want %g or %g", y, k+1, up, down)
		}
	}
	if !(line[last] > 2*line[0]) {
		t.Errorf("β falls from %g to %g only: the test shows nothing", math.Pow(line[0], -4./7),
			math.Pow(line[last], -4./7))
	}
	for _, k := range []int{last / 3, last / 2, 4 * last / 5} {
		want := line[0] + (line[last]-line[0])*float64(k)/last
		if !(math.Abs(line[k]-want) < 1e-3*want) {
			t.Errorf("β^(−7/4) is %.6g after %d steps, want %.6g", line[k], k, want)
		}
	}
}

// Automatic multipliers are multiples of the ratio of the smoothness of f to that of g at the start: of F2SA 30, or 5
// where batches leave noise, growing as t^(1/7); α₀ of MinimaxOPT 10, or 5; Gamma of V-PBGD 100.
func TestAutomaticMultipliersAreTheFormula(t *testing.T) {
	quadratic := func(curvature float64) *bilevel.Func {
		return &bilevel.Func{InnerDim: 2, OuterDim: 2, Terms: 4,
			Eval: func(z, x []float64, _ bilevel.Batch) float64 { return curvature*dot(z, z)/2 - dot(x, z) },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
				copy(dz, plus(plus(fill(2, 0), curvature, z), -1, x))
				copy(dx, plus(fill(2, 0), -1, z))
			},
		}
	}
	p := &bilevel.Problem{Inner: quadratic(2), Outer: quadratic(6)} // the ratio is 3
	at := bilevel.Point{Z: []float64{1, -2}}
	for _, c := range []struct {
		batch int
		want  [3]float64 // of F2SA, MinimaxOPT and V-PBGD, which has no batches
	}{{4, [3]float64{30, 10, 100}}, {1, [3]float64{5, 5, 100}}} {
		f := must(F2SA{Batch: c.batch}.Start(p, at, 1)).(*f2saRun)
		m := must(MinimaxOPT{Batch: c.batch}.Start(p, at, 1)).(*minimaxRun)
		v := must(VPBGD{}.Start(p, at, 1)).(*vpbgdRun)
		for i, got := range []float64{f.Lambda.Size, m.first, v.last} {
			if want := 3 * c.want[i]; math.Abs(got-want) > 1e-5*want {
				t.Errorf("batches of %d: multiplier %d is %g, want %g", c.batch, i, got, want)
			}
		}
		// Inner steps are 1/(2(L_g + L_f/λ)).
		if got, want := f.auto.steps[0], 1/(2*(2+6/f.Lambda.Size)); math.Abs(got-want) > 1e-5*want {
			t.Errorf("batches of %d: an inner step of %g, want %g", c.batch, got, want)
		}
		if f.Lambda.Growth != 1./7 {
			t.Errorf("λ grows as t^%g", f.Lambda.Growth)
		}
	}
}
