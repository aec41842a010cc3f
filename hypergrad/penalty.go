package hypergrad

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"gonum.org/v1/gonum/floats"
)

// Penalty replaces the inner problem by the equation ∇z g = 0 and penalises its violation,
//
//	Ψ(z, x) = f + s⟨ν, ∇z g⟩ + λg + γ/2 ‖∇z g‖²,
//
// in which λg keeps z away from maximisers of g. A step moves z by InnerSteps gradient steps on Ψ and then x by one on
// Ψ − λg, which is projected,
//
//	z −= α (∇z f + λ∇z g + ∇²zz g w),   x = P(x − β (∇x f + ∇²xz g w)),   w = sν + γ∇z g.
//
// Where the squared norms of the last two gradients, that in x being projected, add up to less than ε², γ grows by the
// factor 1.1, ε and λ fall by the factor 0.9, ν += γ∇z g, and α and β fall by the factor 0.9 unless they are automatic.
// Gradients are of all samples. With finite γ and λ > 0 the answer is biased.
//
// It needs second-order products of g, and so it is in this package rather than with other penalty methods in valuefn.
// Vectors have length d (z, ν, w) and p (x); points have no v. With n samples of g and m of f a step visits
// (InnerSteps + 1)n of g by gradients, n InnerSteps by products with ∇²zz g and n by products with ∇²xz g, and
// (InnerSteps + 1)m of f, with automatic steps about twice as many. Memory beside the point is 5d + 2p numbers, with
// automatic steps 3d + 3p more, and with an automatic γ d + p more. Automatic steps are inverses of the curvature of Ψ
// in z and in x, found by power iterations on differences of its gradients, one a step of z and of x each.
//
// Mehra, Hamm, "Penalty method for inversion-free deep bilevel optimization", ACML 2021, Algorithm 1; the projection
// of x and automatic steps are added, and the factors are those of the experiments in BOME's paper.
type Penalty struct {
	// InnerSteps is the number of steps of z for each one of x; 0 means 10.
	InnerSteps int
	// InnerStep and OuterStep are the first α and β; 0 means automatic.
	InnerStep, OuterStep float64
	// Lambda, Gamma and Epsilon are the first λ, γ and ε; 0 means λ = 0.1, a tenth of the norm of the first step's
	// gradients for ε, and an automatic γ: Ψ need not have a minimum if γ is small, so that a run starts with 10 and,
	// where gradients come to be a thousand times as large as the first ones, starts again with ten times as much.
	Lambda, Gamma, Epsilon float64
	// Multiplier is the first value of all components of ν; 0 means 1e-4. Scale is s; 0 means 1, and the experiments in
	// BOME's paper have 1/d.
	Multiplier, Scale float64
}

var _ bilevel.Method = Penalty{}

// Factors by which penalties and tolerances change.
const (
	penaltyGrowth  = 1.1
	penaltyDecay   = 0.9
	curvatureDecay = 0.98 // of estimates, in a step
	firstGamma     = 10
	divergence     = 1000 // growth of gradients
	gammaSearch    = 10
	maxSearches    = 100
)

// Start is described at [bilevel.Method].
func (m Penalty) Start(p *bilevel.Problem, at bilevel.Point, _ uint64) (bilevel.Run, error) {
	if m.InnerSteps < 0 {
		return nil, fmt.Errorf("hypergrad: Penalty with %d inner steps", m.InnerSteps)
	}
	for _, v := range []struct {
		name  string
		value *float64
		or    float64
	}{{"InnerStep", &m.InnerStep, 0}, {"OuterStep", &m.OuterStep, 0}, {"Lambda", &m.Lambda, .1}, {"Gamma", &m.Gamma, 0},
		{"Epsilon", &m.Epsilon, 0},
		{"Multiplier", &m.Multiplier, 1e-4}, {"Scale", &m.Scale, 1}} {
		if !(*v.value >= 0) || math.IsInf(*v.value, 0) {
			return nil, fmt.Errorf("hypergrad: Penalty with %s = %v: it must be positive, or 0 for the default",
				v.name, *v.value)
		}
		if *v.value == 0 {
			*v.value = v.or
		}
	}
	if m.InnerSteps == 0 {
		m.InnerSteps = 10
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Inner == nil {
		return nil, errors.New("hypergrad: Penalty needs the inner problem as an objective, not as a fixed point")
	}
	g, err := bilevel.NeedSecondOrder(p.Inner)
	if err != nil {
		return nil, fmt.Errorf("hypergrad: inner objective: %w", err)
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, fmt.Errorf("hypergrad: outer objective: %w", err)
	}
	start, err := p.StartPoint(at)
	if err != nil {
		return nil, err
	}
	d, q := p.Dims()
	v := func(n int) []float64 { return make([]float64, n) }
	r := &penaltyRun{m: m, p: p, g: g, z: start.Z, x: start.X, nu: v(d), w: v(d), dz: v(d), fz: v(d), hv: v(d), dx: v(q),
		cv: v(q)}
	if m.Gamma == 0 {
		r.m.Gamma = firstGamma
		r.startZ, r.startX = append([]float64(nil), start.Z...), append([]float64(nil), start.X...)
	}
	for i := range r.nu {
		r.nu[i] = m.Multiplier
	}
	r.inner, r.outer = curvature{fixed: m.InnerStep}, curvature{fixed: m.OuterStep}
	if m.InnerStep == 0 {
		r.inner.start(d)
	}
	if m.OuterStep == 0 {
		r.outer.start(q)
	}
	return r, nil
}

// penaltyRun is a run of Penalty; γ, ε and λ are those of m.
type penaltyRun struct {
	m Penalty
	p *bilevel.Problem
	g bilevel.SecondOrder

	z, x, nu      []float64
	w, dz, fz, hv []float64
	dx, cv        []float64
	inner, outer  curvature
	counts        bilevel.Counts

	// Of an automatic γ.
	startZ, startX []float64 // nil if γ is given
	first          float64   // norm of the first gradients
	searches       int
	notes          []string
}

// gradZ overwrites dst with ∇z of Ψ at z.
func (r *penaltyRun) gradZ(dst, z []float64) {
	all := bilevel.All(r.g)
	r.g.Grad(r.w, nil, z, r.x, all)
	copy(dst, r.w)
	floats.Scale(r.m.Lambda, dst)
	floats.Scale(r.m.Gamma, r.w)
	floats.AddScaled(r.w, r.m.Scale, r.nu)
	r.g.Products(nil, r.hv, nil, z, r.x, r.w, all)
	floats.Add(dst, r.hv)
	r.p.Outer.Grad(r.fz, nil, z, r.x, bilevel.All(r.p.Outer))
	floats.Add(dst, r.fz)
	r.counts.GradG += int64(all.Len())
	r.counts.HessG += int64(all.Len())
	r.counts.GradF += int64(r.p.Outer.Samples())
}

// gradX overwrites dst with ∇x of Ψ − λg at x, and r.fz with ∇z g.
func (r *penaltyRun) gradX(dst, x []float64) {
	all := bilevel.All(r.g)
	r.g.Grad(r.fz, nil, r.z, x, all)
	copy(r.w, r.fz)
	floats.Scale(r.m.Gamma, r.w)
	floats.AddScaled(r.w, r.m.Scale, r.nu)
	r.g.Products(nil, nil, r.cv, r.z, x, r.w, all)
	r.p.Outer.Grad(nil, dst, r.z, x, bilevel.All(r.p.Outer))
	floats.Add(dst, r.cv)
	r.counts.GradG += int64(all.Len())
	r.counts.CrossG += int64(all.Len())
	r.counts.GradF += int64(r.p.Outer.Samples())
}

// Step makes one step.
func (r *penaltyRun) Step(ctx context.Context) error {
	var normZ float64
	for range r.m.InnerSteps {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.gradZ(r.dz, r.z)
		normZ = floats.Norm(r.dz, 2)
		step := r.inner.step(r.gradZ, r.z, r.dz)
		floats.AddScaled(r.z, -step, r.dz)
	}
	r.gradX(r.dx, r.x)
	normX := floats.Norm(r.dx, 2)
	if r.p.Bounded() { // at a bound the gradient need not vanish
		r.p.ProjectedGrad(r.cv, r.x, r.dx)
		normX = floats.Norm(r.cv, 2)
	}
	step := r.outer.step(r.gradX, r.x, r.dx)
	residual := r.fz
	if r.outer.fixed == 0 { // the look at curvature has overwritten it
		r.g.Grad(residual, nil, r.z, r.x, bilevel.All(r.g))
		r.counts.GradG += int64(r.g.Samples())
	}
	floats.AddScaled(r.x, -step, r.dx)
	r.p.ProjectX(r.x)
	m := &r.m
	if size := math.Hypot(normZ, normX); r.startZ != nil {
		if r.first == 0 {
			r.first = size
		}
		if !(size <= divergence*r.first) && r.searches < maxSearches {
			r.again()
			return nil
		}
	}
	if m.Epsilon == 0 {
		m.Epsilon = math.Hypot(normZ, normX) / 10
	}
	if normZ*normZ+normX*normX < m.Epsilon*m.Epsilon {
		m.Gamma *= penaltyGrowth
		m.Epsilon *= penaltyDecay
		m.Lambda *= penaltyDecay
		floats.AddScaled(r.nu, m.Gamma, residual)
		r.inner.fixed *= penaltyDecay
		r.outer.fixed *= penaltyDecay
	}
	return nil
}

// again starts again with a larger γ.
func (r *penaltyRun) again() {
	r.searches++
	r.m.Gamma *= gammaSearch
	copy(r.z, r.startZ)
	copy(r.x, r.startX)
	for i := range r.nu {
		r.nu[i] = r.m.Multiplier
	}
	r.inner.top, r.outer.top = 0, 0
	r.first = 0
	r.notes = append(r.notes, fmt.Sprintf("gradients grew a thousandfold: started again with γ = %.3g", r.m.Gamma))
}

// Notes returns what the search for γ had to report.
func (r *penaltyRun) Notes() []string {
	n := r.notes
	r.notes = nil
	return n
}

// curvature chooses the step of one block of variables.
type curvature struct {
	fixed    float64 // the step, 0 for an automatic one
	top      float64 // the estimate
	dir      []float64
	at, grad []float64
}

func (c *curvature) start(n int) {
	c.dir, c.at, c.grad = make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range c.dir {
		c.dir[i] = 1 + 0.5*math.Sin(float64(i)) // any vector with a part along the largest eigenvector
	}
}

// step is the step from v along −now, now being the gradient at v.
func (c *curvature) step(gradient func(dst, at []float64), v, now []float64) float64 {
	if c.fixed > 0 {
		return c.fixed
	}
	c.top *= curvatureDecay
	rounds := 1
	if c.top == 0 {
		rounds = 8
	}
	for range rounds {
		l := floats.Norm(c.dir, 2)
		h := 0x1p-26 * (1 + floats.Norm(v, 2))
		copy(c.at, v)
		floats.AddScaled(c.at, h/l, c.dir)
		gradient(c.grad, c.at)
		floats.Sub(c.grad, now)
		change := floats.Norm(c.grad, 2)
		if change <= 16*0x1p-52*floats.Norm(now, 2) || math.IsNaN(change) || math.IsInf(change, 0) {
			break // rounding, or a divergence that the driver reports
		}
		c.top = max(c.top, change/h)
		c.dir, c.grad = c.grad, c.dir
	}
	if c.top == 0 {
		return 1
	}
	return 1 / c.top
}

func (c *curvature) state(s *bilevel.State) {
	s.Float(&c.fixed)
	if automatic := c.dir != nil; automatic == (c.fixed > 0) {
		s.Fail(fmt.Errorf("hypergrad: the checkpoint has the step size %v", c.fixed))
	}
	s.Float(&c.top)
	s.Fixed(c.dir)
}

// Point is a copy of the current point.
func (r *penaltyRun) Point() bilevel.Point {
	return bilevel.Point{Z: append([]float64(nil), r.z...), X: append([]float64(nil), r.x...)}
}

// Counts says how many samples the oracle calls have visited.
func (r *penaltyRun) Counts() bilevel.Counts { return r.counts }

// State lists the run's variables.
func (r *penaltyRun) State(s *bilevel.State) {
	s.Fixed(r.z, r.x, r.nu)
	for _, f := range []*float64{&r.m.Gamma, &r.m.Epsilon, &r.m.Lambda} {
		s.Float(f)
	}
	s.Float(&r.first)
	s.Index(&r.searches, maxSearches+1)
	s.Strings(&r.notes)
	r.inner.state(s)
	r.outer.state(s)
	s.Counts(&r.counts)
}
