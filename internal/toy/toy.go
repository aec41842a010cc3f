// Package toy has small bilevel problems with known answers, on which the paper of BOME compares first-order methods:
// Liu, Ye, Wright, Stone, Liu, "BOME! Bilevel optimization made easy", NeurIPS 2022. [Waves] is added.
package toy

import (
	"math"

	"github.com/bilevel-go/bilevel"
)

// Vertices are the points of [Coreset].
var Vertices = [4][2]float64{{1, 3}, {3, 1}, {-2, 2}, {-3, -2}}

// Goal is the point that [Coreset] approximates.
var Goal = [2]float64{3, -2}

// Coreset is the closest point to [Goal] of the convex hull of [Vertices], z ∈ R², x ∈ R⁴:
//
//	f = 0.1‖z − (3, −2)‖²,   g = ‖c(x) − z‖²,   c(x) = Σ softmax(x)_i P_i.
//
// It is z = (1.8, 0.4), where f = 0.72; no x attains it. Where z ≠ c(x), f can be smaller.
func Coreset() *bilevel.Problem {
	f := &bilevel.Func{InnerDim: 2, OuterDim: 4,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			a, b := z[0]-Goal[0], z[1]-Goal[1]
			return 0.1 * (a*a + b*b)
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0], dz[1] = 0.2*(z[0]-Goal[0]), 0.2*(z[1]-Goal[1])
			clear(dx)
		},
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0], hv[1] = 0.2*v[0], 0.2*v[1] },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { clear(cv) },
	}
	g := &bilevel.Func{InnerDim: 2, OuterDim: 4,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			_, c := combine(x)
			a, b := c[0]-z[0], c[1]-z[1]
			return a*a + b*b
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			s, c := combine(x)
			dz[0], dz[1] = 2*(z[0]-c[0]), 2*(z[1]-c[1])
			pull(dx, s, c, -dz[0], -dz[1])
		},
		HessVec: func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0], hv[1] = 2*v[0], 2*v[1] },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) {
			s, c := combine(x)
			pull(cv, s, c, -2*v[0], -2*v[1])
		},
	}
	return &bilevel.Problem{Outer: f, Inner: g}
}

// combine is softmax(x) and c(x).
func combine(x []float64) (s [4]float64, c [2]float64) {
	top, sum := max(x[0], x[1], x[2], x[3]), 0.0
	for i, v := range x {
		s[i] = math.Exp(v - top)
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
		c[0] += s[i] * Vertices[i][0]
		c[1] += s[i] * Vertices[i][1]
	}
	return s, c
}

// pull overwrites dx with ∂c/∂xᵀ(a, b); ∂c/∂x_i = s_i (P_i − c).
func pull(dx []float64, s [4]float64, c [2]float64, a, b float64) {
	for i := range dx {
		dx[i] = s[i] * ((Vertices[i][0]-c[0])*a + (Vertices[i][1]-c[1])*b)
	}
}

// CoresetStarts are the start points of the paper, from outside of the hull, x = 0.
func CoresetStarts() []bilevel.Point {
	var list []bilevel.Point
	for _, z := range [][]float64{{0, 3}, {-3, 1}, {3.5, -1}} {
		list = append(list, bilevel.Point{Z: z, X: make([]float64, 4)})
	}
	return list
}

// NoSingleton has an inner problem with many solutions, z ∈ R², x ∈ R within ±100:
//
//	f = ½(x − z₂)² + ½(z₁ − 1)²,   g = ½z₁² − x z₁.
//
// z₂ is free at the lower level. The optimum is z = (1, 1), x = 1, f = 0; the start is 0.
func NoSingleton() *bilevel.Problem {
	f := &bilevel.Func{InnerDim: 2, OuterDim: 1,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			return (x[0]-z[1])*(x[0]-z[1])/2 + (z[0]-1)*(z[0]-1)/2
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0], dz[1], dx[0] = z[0]-1, z[1]-x[0], x[0]-z[1]
		},
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { copy(hv, v) },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = -v[1] },
	}
	g := &bilevel.Func{InnerDim: 2, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return z[0]*z[0]/2 - x[0]*z[0] },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dz[1], dx[0] = z[0]-x[0], 0, -z[0] },
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0], hv[1] = v[0], 0 },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = -v[0] },
	}
	return &bilevel.Problem{Outer: f, Inner: g, Lower: []float64{-100}, Upper: []float64{100}}
}

// Adversarial has levels of opposite sign, f = xz and g = −xz, z ∈ R, x ∈ R within ±10. Only x = 0 has an inner
// solution, and f = 0 there. The start is z = x = 4.
func Adversarial() *bilevel.Problem {
	level := func(sign float64) *bilevel.Func {
		return &bilevel.Func{InnerDim: 1, OuterDim: 1,
			Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return sign * x[0] * z[0] },
			Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = sign*x[0], sign*z[0] },
			HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0] = 0 },
			CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = sign * v[0] },
		}
	}
	return &bilevel.Problem{Outer: level(1), Inner: level(-1), Lower: []float64{-10}, Upper: []float64{10}}
}

// AdversarialStart is z = x = 4.
func AdversarialStart() bilevel.Point { return bilevel.Point{Z: []float64{4}, X: []float64{4}} }

// Waves has an inner problem that is not convex in z, but whose gradient vanishes at its minimisers only
// (Polyak–Łojasiewicz), z ∈ R², x ∈ R³:
//
//	f = ½‖z − (1, −1)‖² + 0.05‖x‖²,   g = Σ u_i² + 3 sin²(u_i),   u = z − Bx.
//
// z*(x) = Bx, and x solves (BᵀB + 0.1 I)x = Bᵀ(1, −1).
func Waves() *bilevel.Problem {
	b, goal := waveMatrix, waveGoal
	shift := func(u *[2]float64, z, x []float64) {
		for i := range u {
			u[i] = z[i]
			for j, v := range x {
				u[i] -= b[i][j] * v
			}
		}
	}
	f := &bilevel.Func{InnerDim: 2, OuterDim: 3,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			sum := 0.0
			for i, v := range z {
				sum += (v - goal[i]) * (v - goal[i]) / 2
			}
			for _, v := range x {
				sum += 0.05 * v * v
			}
			return sum
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			for i, v := range z {
				dz[i] = v - goal[i]
			}
			for j, v := range x {
				dx[j] = 0.1 * v
			}
		},
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { copy(hv, v) },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { clear(cv) },
	}
	curvature := func(u float64) float64 { return 2 + 6*math.Cos(2*u) }
	g := &bilevel.Func{InnerDim: 2, OuterDim: 3,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			var u [2]float64
			shift(&u, z, x)
			sum := 0.0
			for _, v := range u {
				s := math.Sin(v)
				sum += v*v + 3*s*s
			}
			return sum
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			var u [2]float64
			shift(&u, z, x)
			clear(dx)
			for i, v := range u {
				dz[i] = 2*v + 3*math.Sin(2*v)
				for j := range dx {
					dx[j] -= b[i][j] * dz[i]
				}
			}
		},
		HessVec: func(hv, z, x, v []float64, _ bilevel.Batch) {
			var u [2]float64
			shift(&u, z, x)
			for i := range hv {
				hv[i] = curvature(u[i]) * v[i]
			}
		},
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) {
			var u [2]float64
			shift(&u, z, x)
			clear(cv)
			for i := range u {
				for j := range cv {
					cv[j] -= b[i][j] * curvature(u[i]) * v[i]
				}
			}
		},
	}
	return &bilevel.Problem{Outer: f, Inner: g}
}

// waveMatrix is B of [Waves], and waveGoal the point that z is to be close to.
var (
	waveMatrix = [2][3]float64{{1, .5, 0}, {-.3, 1, .8}}
	waveGoal   = [2]float64{1, -1}
)

// WavesAnswer is the minimiser of [Waves], x = Bᵀ(BBᵀ + 0.1 I)⁻¹(1, −1).
func WavesAnswer() []float64 {
	a, c, e := 0.1, 0.0, 0.1
	for j := range 3 {
		u, v := waveMatrix[0][j], waveMatrix[1][j]
		a, c, e = a+u*u, c+u*v, e+v*v
	}
	det := a*e - c*c
	y0, y1 := (e*waveGoal[0]-c*waveGoal[1])/det, (a*waveGoal[1]-c*waveGoal[0])/det
	x := make([]float64, 3)
	for j := range x {
		x[j] = waveMatrix[0][j]*y0 + waveMatrix[1][j]*y1
	}
	return x
}
