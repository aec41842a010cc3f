package blackbox

import (
	"context"
	"math/rand/v2"

	"github.com/bilevel-go/bilevel"
)

// Random evaluates h at independent points, each uniform in the box: Bergstra and Bengio, Random search for
// hyper-parameter optimization, 2012.
//
// It assumes that x has finite bounds. Cost per step: one inner solve, one value of f, one or two gradients of g
// for the scale of the tolerance. Memory: 4d + 2p numbers and what the inner solver needs. It does not end by itself:
// give it a budget.
type Random struct {
	Solve
}

var _ bilevel.Method = Random{}

// Start begins a run.
func (m Random) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	s, err := newSearch(m.Solve, p, at)
	if err != nil {
		return nil, err
	}
	r := &randomRun{search: s}
	r.pcg.Seed(seed, stream)
	return r, nil
}

// stream of the random numbers that belongs to a seed.
const stream = 1

type randomRun struct {
	*search
	pcg rand.PCG
}

// Step evaluates one point.
func (r *randomRun) Step(ctx context.Context) error {
	r.uniform(rand.New(&r.pcg))
	_, err := r.evaluate(ctx)
	return err
}

// uniform draws the candidate from the box.
func (r *search) uniform(rng *rand.Rand) {
	for j, lo := range r.p.Lower {
		hi := r.p.Upper[j]
		r.x[j] = min(lo+rng.Float64()*(hi-lo), hi)
	}
}

// State lists the run's variables.
func (r *randomRun) State(s *bilevel.State) {
	r.state(s)
	s.Binary(&r.pcg)
}
