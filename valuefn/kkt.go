package valuefn

import (
	"errors"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
)

// KKT measures how far a point (z, x) is from being stationary for
//
//	minimise f(z, x)   where   q(z, x) = g(z, x) − min g(·, x) ≤ 0,
//
// by the loss that theorems about [BOME] bound,
//
//	K(z, x) = min over λ ≥ 0 of ‖∇f + λ∇q̂‖² + q̂.
//
// As in BOME, q̂ = g(z, x) − g(ẑ, x) and ∇q̂ = (∇z g(z, x), ∇x g(z, x) − ∇x g(ẑ, x)) with ẑ held fixed, but ẑ is what
// gradient descent on g from z comes to in the end: the minimiser that attracts z, should there be several. All samples
// of both levels are used. The domain of x is not taken into account.
//
// Liu, Ye, Wright, Stone, Liu, "BOME! Bilevel optimization made easy: a simple first-order approach", NeurIPS 2022
// (arXiv 2209.08709), Theorem 2.
type KKT struct {
	// Loss is K. It is the sum of Slope and Gap.
	Loss float64
	// Slope is ‖∇f + λ∇q̂‖², Gap is q̂ and Lambda the best λ.
	Slope, Gap, Lambda float64
	// Z is ẑ.
	Z []float64
	// Counts are the samples that oracle calls visited.
	Counts bilevel.Counts
}

// defaultApproach is the number of inner steps of KKTAt, at most.
const defaultApproach = 10_000

// KKTAt computes the KKT loss of p at a point; nil parts of it are zeros. It takes at most steps gradient steps to ẑ,
// or 10,000 for 0, whose size is searched for: each is the largest that was found to decrease g by half of what the
// gradient promises. It stops early where g cannot be told from smaller values any more, or the gap could grow by 1e-24
// of itself only.
//
// Each step visits all samples of g by a gradient and by one or more values; memory is 4d + 4p numbers.
func KKTAt(p *bilevel.Problem, at bilevel.Point, steps int) (KKT, error) {
	if steps < 0 {
		return KKT{}, fmt.Errorf("valuefn: a KKT loss with %d inner steps", steps)
	}
	if steps == 0 {
		steps = defaultApproach
	}
	if err := p.Check(); err != nil {
		return KKT{}, err
	}
	if p.Inner == nil {
		return KKT{}, errors.New("valuefn: the KKT loss needs the inner problem as an objective, not as a fixed point")
	}
	for _, o := range []bilevel.Objective{p.Inner, p.Outer} {
		if err := bilevel.NeedFirstOrder(o); err != nil {
			return KKT{}, fmt.Errorf("valuefn: %w", err)
		}
	}
	start, err := p.StartPoint(at)
	if err != nil {
		return KKT{}, err
	}
	z, x := start.Z, start.X
	d, q := len(z), len(x)
	g, f, all := p.Inner, p.Outer, bilevel.All(p.Inner)
	var k KKT
	k.Z = append([]float64(nil), z...)
	dz, trial := make([]float64, d), make([]float64, d)
	value := g.Value(k.Z, x, all)
	first, calls := value, int64(1)
	alpha := 1.0
descent:
	for range steps {
		g.Grad(dz, nil, k.Z, x, all)
		k.Counts.GradG += int64(all.Len())
		square := kernel.Dot(dz, dz)
		if math.IsNaN(square) || math.IsInf(square, 0) {
			return KKT{}, fmt.Errorf("valuefn: ∇z g has norm %v on the way to ẑ", math.Sqrt(square))
		}
		for alpha *= 2; ; alpha /= 2 {
			if square == 0 || alpha*square <= max(0x1p-54*math.Abs(value), 0x1p-80*(first-value)) || alpha < 0x1p-1000 {
				break descent
			}
			copy(trial, k.Z)
			kernel.Axpy(-alpha, dz, trial)
			calls++
			if v := g.Value(trial, x, all); v <= value-alpha/2*square {
				value = v
				copy(k.Z, trial)
				break
			}
		}
	}
	k.Counts.ValueG = calls * int64(all.Len())
	if math.IsNaN(first) || math.IsInf(first, 0) {
		return KKT{}, fmt.Errorf("valuefn: g is %v", first)
	}

	gx, hx, fz, fx := make([]float64, q), make([]float64, q), trial, make([]float64, q)
	g.Grad(dz, gx, z, x, all)
	g.Grad(nil, hx, k.Z, x, all)
	f.Grad(fz, fx, z, x, bilevel.All(f))
	k.Counts.GradG += 2 * int64(all.Len())
	k.Counts.GradF += int64(f.Samples())
	kernel.Axpy(-1, hx, gx) // ∇x q̂
	k.Gap = first - value
	if square := kernel.Dot(dz, dz) + kernel.Dot(gx, gx); square > 0 {
		k.Lambda = max(0, -(kernel.Dot(fz, dz)+kernel.Dot(fx, gx))/square)
	}
	kernel.Axpy(k.Lambda, dz, fz)
	kernel.Axpy(k.Lambda, gx, fx)
	k.Slope = kernel.Dot(fz, fz) + kernel.Dot(fx, fx)
	k.Loss = k.Slope + k.Gap
	return k, nil
}
