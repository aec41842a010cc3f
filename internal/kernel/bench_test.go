package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// tiers runs f once with every tier.
func tiers(b *testing.B, f func(b *testing.B)) {
	for _, tier := range []Tier{Plain, AVX2, AVX512} {
		if Supported(tier) {
			b.Run(tier.String(), func(b *testing.B) {
				defer SetTier(SetTier(tier))
				f(b)
			})
		}
	}
}

func normal(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = rand.NormFloat64()
	}
	return x
}

// The shape of ijcnn1: 22 features, rows in memory at large.
const (
	features   = 22
	rowStride  = 24
	storedRows = 50_000
)

func stored() (a, y []float64) {
	a, y = make([]float64, storedRows*rowStride), make([]float64, storedRows)
	for i := range y {
		for j := range features {
			a[i*rowStride+j] = rand.NormFloat64()
		}
		y[i] = float64(2*rand.IntN(2) - 1)
	}
	return a, y
}

// A step of SOBA: inner gradient and Hessian-vector product, outer gradient,
// regulariser, three updates; one batch of each data set at a random place,
// drawn and fetched a step ahead.
func BenchmarkSOBAStep(b *testing.B) {
	a, y := stored()
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			tiers(b, func(b *testing.B) {
				z, v, x := normal(features), make([]float64, features), normal(features)
				dz, hv, cv, g := normal(features), normal(features), normal(features), normal(features)
				w := 1 / float64(batch)
				rng := rand.New(rand.NewPCG(1, 2))
				draw := func() (rows, labels []float64) {
					i := rng.IntN(storedRows - batch)
					rows, labels = a[i*rowStride:(i+batch)*rowStride], y[i:i+batch]
					Prefetch(rows[:rowStride])
					Prefetch(labels[:1])
					return rows, labels
				}
				innerRows, innerLabels := draw()
				outerRows, outerLabels := draw()
				for b.Loop() {
					nextInner, nextInnerLabels := draw()
					nextOuter, nextOuterLabels := draw()
					LogisticProducts(dz, hv, innerRows, rowStride, innerLabels, z, v, w, nextInner)
					ExpRidge(dz, hv, cv, z, x, v, 1, true)
					LogisticGrad(g, outerRows, rowStride, outerLabels, z, w, nextOuter)
					Axpy(-1e-6, dz, z)
					Axpy2(-1e-6, hv, g, v)
					Axpy(1e-6, cv, x)
					innerRows, innerLabels = nextInner, nextInnerLabels
					outerRows, outerLabels = nextOuter, nextOuterLabels
				}
			})
		})
	}
}

func BenchmarkLogisticValueGrad(b *testing.B) {
	a, y := stored()
	for _, rows := range []int{64, 4096} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			tiers(b, func(b *testing.B) {
				z, dz := normal(features), normal(features)
				for b.Loop() {
					LogisticValueGrad(dz, a[:rows*rowStride], rowStride, y[:rows], z, 1, false, nil)
				}
			})
		})
	}
}

func BenchmarkRows(b *testing.B) {
	const rows = 64
	for _, d := range []int{22, 100, 784} {
		stride := (d + 7) &^ 7
		a, z, v, t, s := normal(rows*stride), normal(d), normal(d), normal(rows), normal(rows)
		for _, k := range []struct {
			name string
			f    func()
		}{
			{"Scores", func() { Scores(t, a, stride, z) }},
			{"Scores2", func() { Scores2(t, s, a, stride, z, v) }},
			{"Combine", func() { Combine(z, a, stride, t, 0, false, nil) }},
			{"Combine2", func() { Combine2(z, v, a, stride, t, s, 0, false, nil) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", k.name, d), func(b *testing.B) {
				tiers(b, func(b *testing.B) {
					for b.Loop() {
						k.f()
					}
				})
			})
		}
	}
}

func flops(b *testing.B, n int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func BenchmarkK(b *testing.B) {
	const d, k = 784, 10
	for _, rows := range []int{64, 256} {
		a, z, t := normal(rows*d), normal(k*d), normal(k*rows)
		b.Run(fmt.Sprintf("Scores/%d", rows), func(b *testing.B) {
			tiers(b, func(b *testing.B) {
				for b.Loop() {
					ScoresK(t, a, d, z, k, d, rows)
				}
				flops(b, 2*d*k*rows)
			})
		})
		b.Run(fmt.Sprintf("Combine/%d", rows), func(b *testing.B) {
			tiers(b, func(b *testing.B) {
				for b.Loop() {
					CombineK(z, a, d, t, k, d, rows, 1, 0)
				}
				flops(b, 2*d*k*rows)
			})
		})
	}
}

func BenchmarkGram(b *testing.B) {
	for _, d := range []int{22, 100} {
		b.Run(fmt.Sprint(d), func(b *testing.B) {
			tiers(b, func(b *testing.B) {
				const rows = 256
				stride := (d + 7) &^ 7
				a, c, h := normal(rows*stride), normal(rows), normal(d*d)
				for b.Loop() {
					Gram(h, a, stride, d, c, 1, false)
				}
				flops(b, rows*d*(d+1))
			})
		})
	}
}

func BenchmarkSparse(b *testing.B) {
	const columns, k, n = 130_107, 20, 150
	z, t, val, idx := normal(columns*k), normal(k), normal(n), make([]int32, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, f := range []struct {
		name string
		f    func()
	}{
		{"Scores", func() { SparseScores(t, idx, val, z, k) }},
		{"Combine", func() { SparseCombine(z, idx, val, t, k) }},
	} {
		b.Run(f.name, func(b *testing.B) {
			tiers(b, func(b *testing.B) {
				for j := range idx {
					idx[j] = int32(rng.IntN(columns))
				}
				clear(val)
				for b.Loop() {
					f.f()
				}
			})
		})
	}
}

func BenchmarkVectors(b *testing.B) {
	for _, n := range []int{22, 1000} {
		x, y, v := normal(n), normal(n), normal(n)
		for _, k := range []struct {
			name string
			f    func()
		}{
			{"Dot", func() { Dot(x, y) }},
			{"Axpy", func() { Axpy(0, x, y) }},
			{"SagaStep", func() { SagaStep(x, y, v, 0, 0, 0, 1) }},
			{"Exp", func() { Exp(y, x) }},
			{"Log1p", func() { Log1p(y, v) }},
			{"Sigmoid", func() { Sigmoid(y, x) }},
			{"Softplus", func() { Softplus(y, x) }},
			{"ExpRidge", func() { ExpRidge(y, nil, nil, v, x, nil, 1, false) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", k.name, n), func(b *testing.B) {
				tiers(b, func(b *testing.B) {
					for b.Loop() {
						k.f()
					}
				})
			})
		}
	}
}
