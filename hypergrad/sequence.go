package hypergrad

import (
	"fmt"
	"math"
)

// Sequence says how the tolerances ε_k of the inner problem and of the adjoint system fall with the number k
// of accepted steps.
type Sequence int

const (
	// AutoTolerance ties them to the optimisation: ε_k = min(ε_{k−1}, ‖x − P(x − ∇h)‖/100), and less where what
	// the inner solver left could decide whether h fell.
	AutoTolerance Sequence = iota
	// Exponential is ε_k = ε₀·0.9^k.
	Exponential
	// Quadratic is ε_k = ε₀/k².
	Quadratic
	// Cubic is ε_k = ε₀/k³.
	Cubic
)

// sequences are the sequences. An entry is all that there is to say about one.
var sequences = [...]struct {
	name string
	at   func(first float64, k int) float64 // ε_k; nil where it depends on more
}{
	AutoTolerance: {"auto", nil},
	Exponential:   {"exponential", func(first float64, k int) float64 { return first * math.Pow(.9, float64(k)) }},
	Quadratic: {"quadratic", func(first float64, k int) float64 {
		n := float64(max(k, 1))
		return first / (n * n)
	}},
	Cubic: {"cubic", func(first float64, k int) float64 {
		n := float64(max(k, 1))
		return first / (n * n * n)
	}},
}

func (s Sequence) known() bool { return s >= 0 && int(s) < len(sequences) }

func (s Sequence) String() string {
	if !s.known() {
		return fmt.Sprintf("sequence %d", int(s))
	}
	return sequences[s].name
}
