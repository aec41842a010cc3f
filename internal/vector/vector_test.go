package vector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// passes are the functions with plain twins. A vector that is an output has its result there; sum is NaN for none.
var passes = []struct {
	name       string
	fast, want func(v [5][]float64) float64
}{
	{"Dot",
		func(v [5][]float64) float64 { return Dot(v[0], v[1]) },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { return v[0][i] * v[1][i] })
		}},
	{"Norm",
		func(v [5][]float64) float64 { return Norm(v[0]) },
		func(v [5][]float64) float64 {
			return math.Sqrt(add(v, func(i int) float64 { return v[0][i] * v[0][i] }))
		}},
	{"Mul",
		func(v [5][]float64) float64 { Mul(v[2], v[0], v[1]); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[2][i] = v[0][i] * v[1][i]; return 0 })
		}},
	{"AddScaled",
		func(v [5][]float64) float64 { AddScaled(v[0], a, v[1]); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[0][i] += a * v[1][i]; return 0 })
		}},
	{"AddScaledNorm",
		func(v [5][]float64) float64 { return AddScaledNorm(v[0], a, v[1]) },
		func(v [5][]float64) float64 {
			return math.Sqrt(add(v, func(i int) float64 { v[0][i] += a * v[1][i]; return v[0][i] * v[0][i] }))
		}},
	{"AddScaledTo",
		func(v [5][]float64) float64 { AddScaledTo(v[2], v[0], a, v[1]); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[2][i] = v[0][i] + a*v[1][i]; return 0 })
		}},
	{"AddScaledTo in place of y",
		func(v [5][]float64) float64 { AddScaledTo(v[0], v[0], a, v[1]); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[0][i] += a * v[1][i]; return 0 })
		}},
	{"AddScaledTo in place of x",
		func(v [5][]float64) float64 { AddScaledTo(v[1], v[0], a, v[1]); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[1][i] = v[0][i] + a*v[1][i]; return 0 })
		}},
	{"Momentum",
		func(v [5][]float64) float64 { Momentum(v[3], v[4], v[0], v[1], v[2], a, b); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 {
				v[3][i], v[4][i] = v[0][i]+b*(v[0][i]-v[1][i])-a*v[2][i], v[0][i]
				return 0
			})
		}},
	{"Momentum in place",
		func(v [5][]float64) float64 { Momentum(v[0], v[1], v[0], v[1], v[2], a, b); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 {
				v[0][i], v[1][i] = v[0][i]+b*(v[0][i]-v[1][i])-a*v[2][i], v[0][i]
				return 0
			})
		}},
	{"Momentum with z as w⁺",
		func(v [5][]float64) float64 { Momentum(v[3], v[0], v[0], v[1], v[2], a, b); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[3][i] = v[0][i] + b*(v[0][i]-v[1][i]) - a*v[2][i]; return 0 })
		}},
	{"MomentumPull",
		func(v [5][]float64) float64 { MomentumPull(v[3], v[4], v[0], v[1], v[2], a, b); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 {
				v[3][i], v[4][i] = (1+b)*v[0][i]-a*v[2][i]+v[1][i], -b*v[0][i]
				return 0
			})
		}},
	{"Richardson",
		func(v [5][]float64) float64 { return Richardson(v[0], v[1], v[2], a, b) },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 {
				r := v[2][i] - v[0][i]
				v[0][i] = v[1][i] + a*r
				return b * b * r * r
			})
		}},
	{"Residual",
		func(v [5][]float64) float64 { Residual(v[0], v[1], v[2], a); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[0][i] = v[1][i] - v[0][i] - a*v[2][i]; return 0 })
		}},
	{"Residual without a shift",
		func(v [5][]float64) float64 { Residual(v[0], v[1], v[2], 0); return 0 },
		func(v [5][]float64) float64 {
			return add(v, func(i int) float64 { v[0][i] = v[1][i] - v[0][i]; return 0 })
		}},
}

const a, b = .7, -.3

func add(v [5][]float64, term func(i int) float64) float64 {
	sum := 0.0
	for i := range v[0] {
		sum += term(i)
	}
	return sum
}

func TestPasses(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 7, 1023, 1025, long - 1, long, long + chunk/2 + 3} {
		var v [5][]float64
		for i := range v {
			v[i] = make([]float64, n)
			for j := range v[i] {
				v[i][j] = rng.NormFloat64()
			}
		}
		for _, c := range passes {
			t.Run(fmt.Sprintf("%s/%d", c.name, n), func(t *testing.T) {
				want := clone(v)
				sum := c.want(want)
				var first [5][]float64
				var firstSum float64
				for _, procs := range []int{1, 2, 4} {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
					got := clone(v)
					s := c.fast(got)
					if !(math.Abs(s-sum) <= 1e-11*(1+math.Sqrt(float64(n)))) {
						t.Errorf("sum %v, want %v", s, sum)
					}
					for i := range got {
						for j, x := range got[i] {
							if !(math.Abs(x-want[i][j]) <= 1e-14) {
								t.Fatalf("vector %d has %v at %d, want %v", i, x, j, want[i][j])
							}
						}
					}
					if procs == 1 {
						first, firstSum = got, s
						continue
					}
					for i := range got {
						if !slices.Equal(got[i], first[i]) || s != firstSum {
							t.Errorf("%d cores give other bits than one", procs)
						}
					}
				}
			})
		}
	}
}

func clone(v [5][]float64) [5][]float64 {
	for i := range v {
		v[i] = slices.Clone(v[i])
	}
	return v
}

// Squares that overflow or vanish do not.
func TestNormRange(t *testing.T) {
	for _, scale := range []float64{1e-310, 1e-170, 1, 1e170, 1e300} {
		x, y := []float64{3 * scale, -4 * scale}, []float64{0, 0}
		if got := Norm(x); !(math.Abs(got/scale-5) <= 1e-12) {
			t.Errorf("scale %g: norm %v", scale, got)
		}
		if got := AddScaledNorm(y, -1, x); !(math.Abs(got/scale-5) <= 1e-12) {
			t.Errorf("scale %g: norm of a sum %v", scale, got)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, n := range []int{100, long} {
		var v [5][]float64
		for i := range v {
			v[i] = make([]float64, n)
		}
		for _, c := range passes {
			if got := testing.AllocsPerRun(2, func() { c.fast(v) }); got != 0 {
				t.Errorf("%s of %d numbers makes %v allocations", c.name, n, got)
			}
		}
	}
}
