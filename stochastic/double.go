package stochastic

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// innerSteps is n, or its default where it is zero.
func innerSteps(n int) (int, error) {
	if n < 0 {
		return 0, fmt.Errorf("stochastic: %d inner steps", n)
	}
	if n == 0 {
		return defaultInnerSteps, nil
	}
	return n, nil
}

// double is a run with inner loops: z moves by stochastic gradient descent, v is estimated at the new z, and x moves
// along D_x of a fresh batch.
type double struct {
	*core
	adjoint *neumann // estimates v afresh; nil to move v by stochastic gradient descent too
}

// Step makes one step.
func (r *double) Step(ctx context.Context) error {
	for range r.moves {
		xi := r.drawG()
		r.products(r.dz, nil, nil, r.z, r.x, r.v, xi)
		r.descend(r.z, r.dz)
	}
	zeta := r.drawF()
	r.gradF(r.fz, r.fx, r.z, r.x, zeta)
	if r.adjoint != nil {
		copy(r.adjoint.points[0].r, r.fz)
		r.adjoint.estimate(1)
	} else {
		for range r.moves {
			xi := r.drawG()
			r.products(nil, r.dv, nil, r.z, r.x, r.v, xi)
			kernel.Axpy(1, r.fz, r.dv)
			r.descend(r.v, r.dv)
		}
	}
	xi := r.drawCross()
	r.products(nil, nil, r.dx, r.z, r.x, r.v, xi)
	if r.fx != nil {
		kernel.Axpy(1, r.fx, r.dx)
	}
	r.stepX(xi)
	r.end()
	return nil
}

// State lists the run's variables.
func (r *double) State(s *bilevel.State) {
	r.core.State(s)
	if r.adjoint != nil {
		r.adjoint.state(s)
	}
}

// startDouble begins a run with n inner steps; terms, step and hia are those of [neumann].
func startDouble(cfg config, n, terms int, step Rate, hia bool, p *bilevel.Problem, at bilevel.Point,
	seed uint64) (bilevel.Run, error) {
	var err error
	if cfg.moves, err = innerSteps(n); err != nil {
		return nil, err
	}
	cfg.draws = cfg.moves + termsOf(terms) + 1
	cfg.decaying = true
	if hia {
		cfg.spread = termsOf(terms)
	}
	c, err := newCore(cfg, p, at, seed)
	if err != nil {
		return nil, err
	}
	r := &double{core: c}
	r.adjoint, err = newNeumann(c, terms, step, hia, false, seed)
	return r, err
}
