package model_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

func randomDense(n, d int) *rows.Dense {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	a := rows.NewDense(n, d)
	for i := range n {
		copy(a.Row(i), normal(d, rng))
	}
	return a
}

func randomSigns(n int) []float64 {
	rng := rand.New(rand.NewPCG(2, uint64(n)))
	y := make([]float64, n)
	for i := range y {
		y[i] = math.Copysign(1, rng.NormFloat64())
	}
	return y
}

// BenchmarkLogistic is a full pass of loss and gradient, against the plain loop of the same arithmetic.
func BenchmarkLogistic(b *testing.B) {
	const n, d = 4096, 22
	a, y := randomDense(n, d), randomSigns(n)
	z, dz := normal(d, rand.New(rand.NewPCG(3, 3))), make([]float64, d)
	b.Run("plain/4096x22", func(b *testing.B) {
		for b.Loop() {
			clear(dz)
			loss := 0.0
			for i := range n {
				r := a.Row(i)
				t := 0.0
				for j, aj := range r {
					t += aj * z[j]
				}
				e := math.Exp(-y[i] * t)
				loss += math.Log1p(e)
				c := -y[i] * e / (1 + e) / n
				for j, aj := range r {
					dz[j] += c * aj
				}
			}
			sink = loss / n
		}
	})
	b.Run("model/4096x22", func(b *testing.B) {
		o, err := model.NewLogistic(a, y, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			sink = o.ValueGrad(dz, nil, z, nil, bilevel.Batch{Lo: 0, Hi: n})
		}
	})
}

var sink float64

// BenchmarkSoftmax is a full pass of loss and gradient over MNIST's shape, against its two matrix products
// alone, by the same kernels, and on one core.
func BenchmarkSoftmax(b *testing.B) {
	const n, d, k = 20000, 784, 10
	a := randomDense(n, d)
	label := make([]int, n)
	for i := range label {
		label[i] = i % k
	}
	z, dz := normal(d*k, rand.New(rand.NewPCG(3, 3))), make([]float64, d*k)
	for j := range z {
		z[j] *= .01
	}
	b.Run("products/20000x784x10", func(b *testing.B) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		const step = 40
		t := make([]float64, step*k)
		for b.Loop() {
			for lo := 0; lo < n; lo += step {
				rows := a.Data[lo*a.Stride : (lo+step)*a.Stride]
				kernel.ScoresK(t, rows, a.Stride, z, k, d, step)
				kernel.CombineK(dz, rows, a.Stride, t, k, d, step, 1, min(float64(lo), 1))
			}
		}
		b.ReportMetric(4*n*d*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	})
	b.Run("model/20000x784x10", func(b *testing.B) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		o, err := model.NewSoftmax(a, label, k, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			sink = o.ValueGrad(dz, nil, z, nil, bilevel.All(o))
		}
	})
}

// BenchmarkNewsgroups is one full gradient of the regularised softmax model at the shape of 20 newsgroups'
// training half: 5,657 rows of 150 non-zeros, 130,107 features, 20 classes, one strength per feature.
func BenchmarkNewsgroups(b *testing.B) {
	const n, d, k, nnz = 5657, 130107, 20, 150
	rng := rand.New(rand.NewPCG(1, 1))
	a := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}
	label := make([]int, n)
	for i := range n {
		// Word frequencies fall off like Zipf's law, as they do in text.
		seen := map[int32]bool{}
		for len(seen) < nnz {
			seen[int32(math.Pow(d, rng.Float64()))] = true
		}
		for _, j := range slices.Sorted(maps.Keys(seen)) {
			a.Idx, a.Val = append(a.Idx, j), append(a.Val, 1/math.Sqrt(nnz))
		}
		a.Ptr = append(a.Ptr, len(a.Idx))
		label[i] = rng.IntN(k)
	}
	loss, err := model.NewSoftmax(a, label, k, d)
	if err != nil {
		b.Fatal(err)
	}
	pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{Scale: 1. / (d * k)})
	if err != nil {
		b.Fatal(err)
	}
	o, err := model.Regularize(loss, pen)
	if err != nil {
		b.Fatal(err)
	}
	z, x, dz := make([]float64, d*k), make([]float64, d), make([]float64, d*k)
	for i := range z {
		z[i] = rng.NormFloat64()
	}
	for _, procs := range []int{1, 2} {
		b.Run(fmt.Sprintf("gradient/procs=%d", procs), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			b.ReportAllocs()
			for b.Loop() {
				o.Grad(dz, nil, z, x, bilevel.All(o))
			}
		})
	}
}

// BenchmarkSoftmaxBatch is what one step of a stochastic method evaluates on batches at random places of
// MNIST's shape, on one core: gradient and Hessian-vector product of 20,000 rows, gradient of 5,000. "step" is all
// of a step of z and v under a ridge, without vectors in between.
func BenchmarkSoftmaxBatch(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const d, k = 784, 10
	var levels []*model.Loss
	for _, n := range []int{20000, 5000} {
		label := make([]int, n)
		for i := range label {
			label[i] = i % k
		}
		o, err := model.NewSoftmax(randomDense(n, d), label, k, 0)
		if err != nil {
			b.Fatal(err)
		}
		levels = append(levels, o)
	}
	g, f := levels[0], levels[1]
	rng := rand.New(rand.NewPCG(3, 3))
	z, v, dz, hv := make([]float64, d*k), make([]float64, d*k), make([]float64, d*k), make([]float64, d*k)
	for _, size := range []int{64, 1} {
		draw := func(o *model.Loss) bilevel.Batch {
			lo := rng.IntN(o.Samples()/size) * size
			return bilevel.Batch{Lo: lo, Hi: lo + size}
		}
		cg, ch, cf := make([]float64, k*size), make([]float64, k*size), make([]float64, k*size)
		nextG, nextF := draw(g), draw(f)
		for _, c := range []struct {
			name string
			run  func(bg, bf bilevel.Batch)
		}{
			{"products", func(bg, _ bilevel.Batch) { g.Products(dz, hv, nil, z, nil, v, bg) }},
			{"gradient", func(_, bf bilevel.Batch) { f.Grad(dz, nil, z, nil, bf) }},
			{"step", func(bg, bf bilevel.Batch) {
				const rho, ridge = 1e-3, .4
				g.Coefs(cg, ch, nil, z, nil, v, bg)
				f.Coefs(cf, nil, nil, z, nil, nil, bf)
				g.Combine(z, v, cg, ch, -rho, 1-rho*ridge, bg)
				f.Combine(v, nil, cf, nil, -rho, 1, bf)
			}},
		} {
			b.Run(fmt.Sprintf("%s/batch=%d", c.name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					bg, bf := nextG, nextF
					nextG, nextF = draw(g), draw(f)
					g.Prefetch(nextG)
					f.Prefetch(nextF)
					c.run(bg, bf)
				}
			})
		}
	}
}
