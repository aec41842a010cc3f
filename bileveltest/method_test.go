package bileveltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
)

// soba is SOBA (Dagréou et al. 2022) with batches of Batch terms, or all of them (0), and a moving average of
// the direction of x. bug makes one thing wrong.
type soba struct {
	Batch   int
	Inner   float64 // ρ
	Outer   float64 // γ
	Decay   bool    // steps fall like 1/√t
	Average float64 // weight of the new direction, 0 for 1
	bug     string
	shared  *[]float64
}

type sobaRun struct {
	cfg                    soba
	p                      *bilevel.Problem
	g                      bilevel.SecondOrder
	f                      bilevel.Objective
	at                     bilevel.Point
	gz, hv, cv, fz, fx, mx []float64
	t                      int64
	src                    *rand.PCG
	rng                    *rand.Rand
	counts                 bilevel.Counts
	asked                  int64
}

func (m soba) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if p.Inner == nil {
		return nil, errors.New("SOBA needs an inner objective")
	}
	var g bilevel.SecondOrder
	if m.bug == "does not look for products" {
		g, _ = p.Inner.(bilevel.SecondOrder)
	} else {
		var err error
		if g, err = bilevel.NeedSecondOrder(p.Inner); err != nil {
			return nil, err
		}
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, err
	}
	given := at
	if m.bug == "takes any start" {
		at.Z = nil
	}
	start, err := p.StartPoint(at)
	if err != nil {
		return nil, err
	}
	at = given
	switch m.bug {
	case "keeps the start":
		if at.X != nil {
			start.X = at.X
		}
	case "changes the start":
		if at.X != nil {
			at.X[0]++
		}
	case "starts outside":
		copy(start.X, at.X)
	}
	d, q := p.Dims()
	r := &sobaRun{cfg: m, p: p, g: g, f: p.Outer, at: start, src: rand.NewPCG(seed, 1)}
	for _, s := range []struct {
		v *[]float64
		n int
	}{{&r.gz, d}, {&r.hv, d}, {&r.cv, q}, {&r.fz, d}, {&r.fx, q}, {&r.mx, q}} {
		*s.v = make([]float64, s.n)
	}
	switch m.bug {
	case "seed ignored":
		r.src = rand.NewPCG(1, 1)
	case "seed of its own":
		r.src = rand.NewPCG(rand.Uint64(), 1)
	case "state in the method":
		if len(*m.shared) < q {
			*m.shared = make([]float64, 100)
		}
		r.mx = (*m.shared)[:q]
		clear(r.mx)
	}
	r.rng = rand.New(r.src)
	return r, nil
}

func (r *sobaRun) draw(n int) bilevel.Batch {
	if r.cfg.Batch == 0 || r.cfg.Batch >= n {
		return bilevel.Batch{Lo: 0, Hi: n}
	}
	lo := r.rng.IntN(n - r.cfg.Batch + 1)
	return bilevel.Batch{Lo: lo, Hi: lo + r.cfg.Batch}
}

var sink []byte

func (r *sobaRun) Step(ctx context.Context) error {
	r.t++
	xi, zeta := r.draw(r.g.Samples()), r.draw(r.f.Samples())
	r.g.Products(r.gz, r.hv, r.cv, r.at.Z, r.at.X, r.at.V, xi)
	r.f.Grad(r.fz, r.fx, r.at.Z, r.at.X, zeta)
	n := int64(xi.Len())
	r.counts.GradG += n
	r.counts.HessG += n
	r.counts.CrossG += n
	r.counts.GradF += int64(zeta.Len())
	rho, gamma := r.cfg.Inner, r.cfg.Outer
	if r.cfg.Decay {
		s := 1 / math.Sqrt(1+float64(r.t)/200)
		rho, gamma = rho*s, gamma*s
	}
	if r.cfg.bug == "cv of the wrong sign" {
		gamma /= 10
		for j := range r.cv {
			r.cv[j] = -r.cv[j]
		}
	}
	axpy(-rho, r.gz, r.at.Z) // z −= ρ∇z g
	axpy(-rho, r.hv, r.at.V) // v −= ρ(Hv + ∇z f)
	axpy(-rho, r.fz, r.at.V) //
	theta := r.cfg.Average
	if theta == 0 {
		theta = 1
	}
	for j := range r.mx {
		r.mx[j] += theta * (r.cv[j] + r.fx[j] - r.mx[j])
	}
	axpy(-gamma, r.mx, r.at.X) // x −= γ(Cv + ∇x f)
	switch r.cfg.bug {
	case "no projection":
	case "projects now and then":
		if r.t%8 == 0 {
			r.p.ProjectX(r.at.X)
		}
	default:
		r.p.ProjectX(r.at.X)
	}
	switch r.cfg.bug {
	case "allocates now and then":
		if r.t%50 == 0 {
			sink = make([]byte, 100)
		}
	case "counts nothing":
		r.counts = bilevel.Counts{}
	case "counts start again":
		if r.t == 20 {
			r.counts = bilevel.Counts{}
		}
	case "GOMAXPROCS":
		r.at.Z[0] += 0x1p-40 * float64(runtime.GOMAXPROCS(0))
	case "an error after 7 steps":
		if r.t == 8 {
			return errors.New("no more")
		}
	case "diverges":
		r.at.X[0] = math.NaN()
	}
	return nil
}

func (r *sobaRun) Point() bilevel.Point {
	switch r.cfg.bug {
	case "point is no copy":
		return r.at
	case "point shares v":
		c := clonePoint(r.at)
		c.V = r.at.V
		return c
	case "point flushes":
		clear(r.mx)
	case "point without x":
		return bilevel.Point{Z: clonePoint(r.at).Z}
	}
	return clonePoint(r.at)
}

func (r *sobaRun) Counts() bilevel.Counts {
	c := r.counts
	if r.cfg.bug == "counts on asking" {
		r.asked += 3
		c.ValueF += r.asked
	}
	return c
}

// unsaved hides State.
type unsaved struct{ soba }

type onlyRun struct{ bilevel.Run }

func (m unsaved) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	r, err := m.soba.Start(p, at, seed)
	return onlyRun{r}, err
}

func (r *sobaRun) State(s *bilevel.State) {
	s.Fixed(r.at.Z, r.at.X)
	if r.cfg.bug != "forgets v" {
		s.Fixed(r.at.V)
	}
	if r.cfg.bug != "forgets the average" {
		s.Fixed(r.mx)
	}
	if r.cfg.bug != "forgets the step" {
		s.Int64(&r.t)
	}
	if r.cfg.bug != "forgets the generator" {
		s.Binary(r.src)
	}
	if r.cfg.bug != "forgets the counts" {
		for _, c := range []*int64{&r.counts.GradF, &r.counts.GradG, &r.counts.HessG, &r.counts.CrossG} {
			s.Int64(c)
		}
	}
	if r.cfg.bug == "saving moves" && !s.Loading() {
		r.at.X[0] += 1e-9
	}
}

// descent is gradient descent on h with dense exact solutions and a backtracked step.
type descent struct{ bug string }

type descentRun struct {
	bug         string
	p           *bilevel.Problem
	g           bilevel.SecondOrder
	at          bilevel.Point
	grad        []float64
	value, step float64
	counts      bilevel.Counts
}

func (m descent) Start(p *bilevel.Problem, at bilevel.Point, _ uint64) (bilevel.Run, error) {
	if p.Inner == nil {
		return nil, errors.New("descent needs an inner objective")
	}
	g, err := bilevel.NeedSecondOrder(p.Inner)
	if err != nil {
		return nil, err
	}
	if err := bilevel.NeedFirstOrder(p.Outer); err != nil {
		return nil, err
	}
	start, err := p.StartPoint(at)
	if err != nil {
		return nil, err
	}
	r := &descentRun{bug: m.bug, p: p, g: g, at: start, step: 1, grad: make([]float64, len(start.X))}
	r.value = r.evaluate(&r.at, r.grad)
	return r, nil
}

// evaluate solves for z and v at at.X, by Newton steps, and gives h and ∇h.
func (r *descentRun) evaluate(at *bilevel.Point, grad []float64) float64 {
	d := len(at.Z)
	all, f := bilevel.All(r.g), r.p.Outer
	n, m := int64(r.g.Samples()), int64(f.Samples())
	e, col, dz := make([]float64, d), make([]float64, d), make([]float64, d)
	var chol mat.Cholesky
	h := mat.NewSymDense(d, nil)
	for range 50 {
		for j := range d {
			clear(e)
			e[j] = 1
			r.g.Products(dz, col, nil, at.Z, at.X, e, all)
			for i := range j + 1 {
				h.SetSym(i, j, col[i])
			}
		}
		r.counts.GradG += n * int64(d)
		r.counts.HessG += n * int64(d)
		if !chol.Factorize(h) {
			return math.NaN()
		}
		var s mat.VecDense
		if err := chol.SolveVecTo(&s, mat.NewVecDense(d, dz)); err != nil {
			return math.NaN()
		}
		floats.Sub(at.Z, s.RawVector().Data)
		if floats.Norm(s.RawVector().Data, 2) <= 1e-10 {
			break
		}
	}
	f.Grad(dz, grad, at.Z, at.X, bilevel.All(f))
	var v mat.VecDense
	if err := chol.SolveVecTo(&v, mat.NewVecDense(d, dz)); err != nil {
		return math.NaN()
	}
	for i := range d {
		at.V[i] = -v.AtVec(i)
	}
	cv := make([]float64, len(grad))
	r.g.Products(nil, nil, cv, at.Z, at.X, at.V, all)
	floats.Add(grad, cv)
	r.counts.CrossG += n
	r.counts.GradF += m
	r.counts.ValueF += m
	return f.Value(at.Z, at.X, bilevel.All(f))
}

func (r *descentRun) Step(ctx context.Context) error {
	grad := make([]float64, len(r.grad))
	for range 60 {
		next := clonePoint(r.at)
		floats.AddScaled(next.X, -r.step, r.grad)
		r.p.ProjectX(next.X)
		diff := make([]float64, len(next.X))
		floats.SubTo(diff, next.X, r.at.X)
		if floats.Norm(diff, 2) <= 1e-9*(1+floats.Norm(r.at.X, 2)) {
			return bilevel.ErrDone
		}
		if v := r.evaluate(&next, grad); v <= r.value+1e-4*floats.Dot(diff, r.grad) {
			r.at, r.value, r.grad = next, v, grad
			r.step *= 2
			return nil
		}
		r.step /= 2
	}
	return bilevel.ErrDone
}

func (r *descentRun) Point() bilevel.Point   { return clonePoint(r.at) }
func (r *descentRun) Counts() bilevel.Counts { return r.counts }
func (r *descentRun) Notes() []string        { return nil }
func (r *descentRun) State(s *bilevel.State) {
	s.Fixed(r.at.Z, r.at.X, r.at.V, r.grad)
	s.Float(&r.value)
	s.Float(&r.step)
	c := &r.counts
	for _, v := range []*int64{&c.ValueF, &c.ValueG, &c.GradF, &c.GradG, &c.HessG, &c.CrossG} {
		s.Int64(v)
	}
}

func (r *descentRun) Progress() (value, gradNorm float64) {
	proj := make([]float64, len(r.grad))
	r.p.ProjectedGrad(proj, r.at.X, r.grad)
	if r.bug == "reports another value" {
		return r.value + 0.1, floats.Norm(proj, 2)
	}
	return r.value, floats.Norm(proj, 2)
}

var (
	deterministic = soba{Inner: 0.4, Outer: 0.01, Average: 0.5}
	stochastic    = soba{Batch: 8, Inner: 0.2, Outer: 0.005, Decay: true, Average: 0.5}
)

func TestMethodPasses(t *testing.T) {
	t.Run("descent", func(t *testing.T) {
		Method(t, descent{}, MethodOptions{Allocates: true, Horizon: 20})
	})
	t.Run("deterministic SOBA", func(t *testing.T) {
		Method(t, deterministic, MethodOptions{Steps: 4000, Tol: 5e-3})
	})
	t.Run("stochastic SOBA", func(t *testing.T) {
		Method(t, stochastic, MethodOptions{Steps: 20000, Tol: 5e-2, Stochastic: true})
	})
	t.Run("unsaved", func(t *testing.T) {
		if err := CheckMethod(unsaved{stochastic}, MethodOptions{Cases: []Case{Scalar()}, Steps: 20000, Tol: 5e-2,
			NoCheckpoint: true}); err != nil {
			t.Error(err)
		}
		found(t, CheckMethod(unsaved{stochastic}, MethodOptions{Cases: []Case{Scalar()}, Steps: 20000, Tol: 5e-2}),
			"checkpoint and resume")
	})
}

// boxes is a method that needs a bounded box.
type boxes struct{ soba }

func (m boxes) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	if p.Lower == nil || p.Upper == nil {
		return nil, errors.New("no box")
	}
	return m.soba.Start(p, at, seed)
}

func TestMethodThatNeedsABox(t *testing.T) {
	o := MethodOptions{Cases: []Case{Scalar().Box("scalar in a box", []float64{-3}, []float64{4})}, Steps: 20000,
		Tol: 5e-2}
	found(t, CheckMethod(boxes{stochastic}, o), "domain of x")
	o.NeedsBox = true
	if err := CheckMethod(boxes{stochastic}, o); err != nil {
		t.Error(err)
	}
}

// Each bug is found by the check that is there for it.
func TestMethodFindsBugs(t *testing.T) {
	for _, c := range []struct{ bug, check string }{
		{"cv of the wrong sign", "reaches the answer of quadratic d=6 p=3"},
		{"diverges", "reaches the answer of quadratic d=6 p=3"},
		{"keeps the start", "start"},
		{"changes the start", "start"},
		{"takes any start", "start"},
		{"seed ignored", "same seed, same bits"},
		{"seed of its own", "same seed, same bits"},
		{"GOMAXPROCS", "same seed, same bits"},
		{"point flushes", "recording changes nothing"},
		{"counts on asking", "recording changes nothing"},
		{"counts on asking", "budgets"},
		{"point is no copy", "points are copies"},
		{"point shares v", "points are copies"},
		{"state in the method", "runs are independent"},
		{"counts nothing", "counts"},
		{"counts start again", "counts"},
		{"no projection", "domain of x"},
		{"projects now and then", "domain of x"},
		{"starts outside", "domain of x"},
		{"an error after 7 steps", "budgets"},
		{"point without x", "cancellation"},
		{"diverges", "cancellation"},
		{"does not look for products", "missing derivatives"},
		{"forgets v", "checkpoint and resume"},
		{"forgets the average", "checkpoint and resume"},
		{"forgets the step", "checkpoint and resume"},
		{"forgets the generator", "checkpoint and resume"},
		{"forgets the counts", "checkpoint and resume"},
		{"saving moves", "checkpoint and resume"},
		{"allocates now and then", "no allocations"},
	} {
		t.Run(fmt.Sprint(c.bug, " by ", c.check), func(t *testing.T) {
			m := stochastic
			m.bug, m.shared = c.bug, new([]float64)
			found(t, runCheck(methodChecks(m, MethodOptions{Stochastic: true, Tol: 0.1, Steps: 5000}), c.check), c.check)
		})
	}
	found(t, runCheck(methodChecks(descent{"reports another value"}, MethodOptions{}), "reaches the answer of scalar"),
		"reaches the answer of scalar")
}
