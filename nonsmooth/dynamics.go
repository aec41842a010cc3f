package nonsmooth

import (
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
)

// ProximalGradient is the iteration z_k = S(z_{k−1} − η∇z g(z_{k−1}, x), ηλ(x)) on a [Composite], to be
// differentiated step by step: derivatives pass the soft threshold where it is not zero. Once the support has been
// found they converge linearly to those of [Implicit]. η is the Eta of the problem or, where it has none, [StepSize]
// where a run begins.
//
// Cost per step: a gradient; of Pull and Push a gradient and a product more. Memory: 3d + p numbers.
//
// Deledalle, Vaiter, Fadili, Peyré, Stein unbiased gradient estimator of the risk (SUGAR), 2014, section 4.1;
// Bertrand et al., Implicit differentiation for fast hyperparameter selection in non-smooth convex learning, 2022,
// section 3.1.
type ProximalGradient struct{}

var _ inner.Dynamics = ProximalGradient{}

// Begin is described at [inner.Dynamics].
func (m ProximalGradient) Begin(p *bilevel.Problem, counts *bilevel.Counts) (inner.Process, error) {
	c, err := compositeOf(p)
	if err != nil {
		return nil, err
	}
	if counts == nil {
		counts = &bilevel.Counts{}
	}
	q := &process{c: Composite{G: c.G, L1: c.L1, Eta: c.Eta}, counts: counts, n: int64(c.G.Samples())}
	q.auto = q.c.Eta == 0
	return q, nil
}

// compositeOf is the inner problem of p.
func compositeOf(p *bilevel.Problem) (*Composite, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	c, ok := p.Fixed.(*Composite)
	if !ok {
		return nil, fmt.Errorf("nonsmooth: the inner problem (Problem.Fixed) is a *nonsmooth.Composite, not %T", p.Fixed)
	}
	return c, c.Check()
}

// process is a run of ProximalGradient.
type process struct {
	c      Composite
	auto   bool
	counts *bilevel.Counts
	n      int64
}

// StateLen is d.
func (q *process) StateLen() int {
	d, _ := q.c.Dims()
	return d
}

// Init is described at [inner.Process].
func (q *process) Init(s, z, x []float64) error {
	copy(s, z)
	if q.auto {
		q.c.Eta = StepSize(q.c.G, z, x)
		q.counts.HessG += 60 * q.n
	}
	return nil
}

// Step is described at [inner.Process].
func (q *process) Step(dst, s, x []float64, _ int) {
	q.c.Map(dst, s, x, bilevel.Batch{})
	q.counts.GradG += q.n
}

// Pull is described at [inner.Process].
func (q *process) Pull(us, ux, s, x, u []float64, _ int) {
	q.c.Pull(us, ux, s, x, u, bilevel.Batch{})
	q.counts.GradG += q.n
	q.counts.HessG += q.n
	if ux != nil {
		q.counts.CrossG += q.n
	}
}

// Push is described at [inner.Process].
func (q *process) Push(dst, s, x, vs, vx []float64, _ int) error {
	q.c.Push(dst, s, x, vs, vx, bilevel.Batch{})
	q.counts.GradG += q.n
	q.counts.HessG += q.n
	if vx != nil {
		q.counts.CrossG += q.n
	}
	return nil
}
