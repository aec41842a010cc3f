package stochastic

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
)

type auto struct {
	rho   float64
	gamma []float64
	next  int64
	notes []string
}

func newAuto(c *core) *auto {
	return &auto{rho: .1, gamma: make([]float64, len(c.x)), next: math.MaxInt64}
}
func (a *auto) move(x, dx []float64, lo int) {
	for j, g := range a.gamma[lo : lo+len(x)] {
		x[j] -= g * dx[j]
	}
}
func (a *auto) look(c *core) bool      { return false }
func (a *auto) back(c *core)           {}
func (a *auto) state(s *bilevel.State) {}

var _ = fmt.Sprint
