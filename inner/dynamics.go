package inner

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
)

// Dynamics is the configuration of an iterative inner solver that can be differentiated step by step,
//
//	s_k = Φ_k(s_{k−1}, x),   k = 1, 2, …,   z_k = the first d entries of s_k.
//
// The rest of the state s is what the iteration remembers besides z, such as a momentum. [GradientDescent],
// [HeavyBall], [Nesterov] and [Adam] are dynamics of an inner objective, and solvers too; [Iteration] is that of
// a [bilevel.FixedPoint].
type Dynamics interface {
	// Begin prepares for p. It fails when the inner problem of p is of the other kind or lacks a derivative.
	// All samples that oracle calls visit are added to counts, which the caller keeps and may be nil.
	Begin(p *bilevel.Problem, counts *bilevel.Counts) (Process, error)
}

// Process is an iterative inner solver on one problem. Once Init has been called, what it computes depends on
// the arguments alone.
type Process interface {
	// StateLen is the length of the state, at least d.
	StateLen() int
	// Init overwrites s with the state that begins at z, and settles what the iteration derives from the
	// problem at (z, x), such as an automatic step size. Derivatives take the latter as a constant. The rest
	// of the state is constant too, but for that of an [Overlapper], which is z again.
	Init(s, z, x []float64) error
	// Step overwrites dst with Φ_k(s, x). dst may be s.
	Step(dst, s, x []float64, k int)
	// Pull overwrites us = ∂sΦ_kᵀu (length StateLen) and ux = ∂xΦ_kᵀu (length p), the derivatives at (s, x).
	// A nil destination is not computed; destinations and u do not overlap.
	Pull(us, ux, s, x, u []float64, k int)
	// Push overwrites dst with ∂sΦ_k·vs + ∂xΦ_k·vx; a nil vs or vx is zero. dst overlaps neither.
	// It is an error if the problem has no forward products.
	Push(dst, s, x, vs, vx []float64, k int) error
}

// Overlapper is a [Process] whose state is z_k followed by z_{k−1}, so that states in reverse order can share
// memory: Step leaves dst[d:] as it is where that is the memory of s[:d].
type Overlapper interface {
	// Overlap says that the state is (z_k, z_{k−1}).
	Overlap() bool
}

// Iterate makes steps steps of p and replaces z, the start, by z_steps. s is scratch of length StateLen. It returns the
// error of ctx soon after that is done.
func Iterate(ctx context.Context, p Process, s, z, x []float64, steps int) error {
	if err := p.Init(s, z, x); err != nil {
		return err
	}
	for k := 1; k <= steps; k++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.Step(s, s, x, k)
	}
	copy(z, s)
	return nil
}

// Learned names outer variables that set the iteration rather than the objective, which ignores them; see
// hypergrad.Extend. The zero value names none.
type Learned struct {
	// Step and Momentum are the places in x of the step size and of the momentum of steps 1, 2, …; the last
	// one serves all later steps. Empty: those of the configuration.
	Step, Momentum []int
}

// check reports places outside x.
func (l Learned) check(p int) error {
	for _, c := range []struct {
		name   string
		places []int
	}{{"Step", l.Step}, {"Momentum", l.Momentum}} {
		for _, j := range c.places {
			if j < 0 || j >= p {
				return fmt.Errorf("inner: Learned.%s names x[%d], and x has length %d", c.name, j, p)
			}
		}
	}
	return nil
}

// place is the one of step k, −1 if there is none.
func place(places []int, k int) int {
	if len(places) == 0 {
		return -1
	}
	return places[min(k, len(places))-1]
}

// learnedOr is the outer variable for step k, or the value of the configuration.
func learnedOr(places []int, x []float64, k int, value float64) float64 {
	if j := place(places, k); j >= 0 {
		return x[j]
	}
	return value
}
