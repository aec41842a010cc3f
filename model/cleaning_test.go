package model_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/stochastic"
)

var weightKinds = []model.Weights{model.SigmoidWeights, model.LinearWeights, model.SoftmaxWeights,
	model.ExpWeights}

func TestCleaning(t *testing.T) {
	const n, d = 23, 5
	dense, csr := table(n, d, 8)
	for _, c := range weighed(n) {
		for _, a := range []rows.Matrix{dense, csr, dense.WithOnes()} {
			for _, kind := range weightKinds {
				o := must(model.NewCleaning(must(c.make(a, 0))(t), model.CleaningOptions{Weights: kind, Ridge: .3}))(t)
				_, features := a.Dims()
				t.Run(fmt.Sprintf("%s/%T/%d/%v", c.name, a, features, kind), func(t *testing.T) {
					sampled, _ := o.Split()
					if _, local := sampled.(bilevel.Local); local != (kind != model.SoftmaxWeights) {
						t.Errorf("Local is %v", local)
					}
					if _, linear := sampled.(bilevel.Linear); !linear {
						t.Error("the sampled part is not Linear")
					}
					bileveltest.Objective(t, o, bileveltest.ObjectiveOptions{})
				})
			}
		}
	}
}

func weightOf(kind model.Weights, x []float64) []float64 {
	w, sum := make([]float64, len(x)), 0.0
	for i, v := range x {
		switch kind {
		case model.SigmoidWeights:
			w[i] = 1 / (1 + math.Exp(-v))
		case model.LinearWeights:
			w[i] = v
		case model.SoftmaxWeights, model.ExpWeights:
			w[i] = math.Exp(v)
			sum += w[i]
		}
	}
	if kind == model.SoftmaxWeights {
		for i := range w {
			w[i] *= float64(len(w)) / sum
		}
	}
	return w
}

// Values, gradients and products are those of the definition, over batches of one row, of a few and of several chunks.
func TestCleaningByDefinition(t *testing.T) {
	const n, d, ridge = 2500, 7, .2
	dense, csr := table(n, d, 1)
	for _, c := range weighed(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			for _, kind := range weightKinds {
				loss := must(c.make(a, 3))(t)
				o := must(model.NewCleaning(loss, model.CleaningOptions{Weights: kind}))(t)
				rng := rand.New(rand.NewPCG(3, 3))
				z, x, v := normal(d*c.k, rng), normal(n, rng), normal(d*c.k, rng)
				w, got := weightOf(kind, x), make([]float64, n)
				o.Weights(got, x)
				if e := maxDiff(got, w); e > 1e-12 {
					t.Errorf("%v: weights differ by %g", kind, e)
				}
				for _, b := range []bilevel.Batch{{Lo: 0, Hi: 1}, {Lo: 100, Hi: 164}, {Lo: 3, Hi: 1100}, {Lo: 0, Hi: n}} {
					name := fmt.Sprintf("%s/%T/%v/%v", c.name, a, kind, b)
					value, dz, hv := 0.0, make([]float64, d*c.k), make([]float64, d*c.k)
					each, cross := make([]float64, n), make([]float64, n) // ℓ_i and ⟨∂ℓ_i/∂t, A_i v⟩, over |b|
					share := 1 / float64(b.Len())
					for i := b.Lo; i < b.Hi; i++ {
						l, g, h := naive(c, dense, loss.Layout(), z, v, bilevel.Batch{Lo: i, Hi: i + 1})
						each[i] = share * l
						value += share * w[i] * l
						for j := range g {
							dz[j] += share * w[i] * g[j]
							hv[j] += share * w[i] * h[j]
							cross[i] += share * g[j] * v[j]
						}
					}
					for j := range dz {
						value += ridge * z[j] * z[j]
						dz[j] += 2 * ridge * z[j]
						hv[j] += 2 * ridge * v[j]
					}
					outer := func(e []float64) []float64 {
						s := make([]float64, n)
						total := 0.0
						for i := range e {
							total += w[i] * e[i]
						}
						for i := range e {
							switch kind {
							case model.SigmoidWeights:
								s[i] = w[i] * (1 - w[i]) * e[i]
							case model.LinearWeights:
								s[i] = e[i]
							case model.ExpWeights:
								s[i] = w[i] * e[i]
							case model.SoftmaxWeights:
								s[i] = w[i] * (e[i] - total/n)
							}
						}
						return s
					}
					gz, gx, gh, gc := make([]float64, d*c.k), make([]float64, n), make([]float64, d*c.k), make([]float64, n)
					if got := o.ValueGrad(gz, gx, z, x, b); math.Abs(got-value) > 1e-11*(1+value) || maxDiff(gz, dz) > 1e-12 ||
						maxDiff(gx, outer(each)) > 1e-12 {
						t.Errorf("%s: value %v, want %v; derivatives differ by %g and %g", name, got, value, maxDiff(gz, dz),
							maxDiff(gx, outer(each)))
					}
					o.Products(gz, gh, gc, z, x, v, b)
					if e := max(maxDiff(gz, dz), maxDiff(gh, hv), maxDiff(gc, outer(cross))); e > 1e-12 {
						t.Errorf("%s: products differ by %g", name, e)
					}
					o.Linearize(z, x, b)
					clear(gc)
					o.Apply(gh, gc, v)
					if e := max(maxDiff(gh, hv), maxDiff(gc, outer(cross))); e > 1e-12 {
						t.Errorf("%s: linearised products differ by %g", name, e)
					}
				}
			}
		}
	}
}

// A full pass large enough for goroutines has the same bits for every GOMAXPROCS.
func TestCleaningBits(t *testing.T) {
	const n, d = 60000, 22
	dense, csr := table(n, d, 2)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	c := lossCases(n)[2]
	for _, a := range []rows.Matrix{dense, csr} {
		var want []float64
		for _, procs := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(procs)
			o := must(model.NewCleaning(must(c.make(a, 0))(t), model.CleaningOptions{Weights: model.SoftmaxWeights}))(t)
			rng := rand.New(rand.NewPCG(3, 3))
			z, x, v := normal(d*c.k, rng), normal(n, rng), normal(d*c.k, rng)
			got := make([]float64, 2*d*c.k+2*n)
			o.Products(nil, got[:d*c.k], got[2*d*c.k:2*d*c.k+n], z, x, v, bilevel.All(o))
			got = append(got, o.ValueGrad(got[d*c.k:2*d*c.k], got[2*d*c.k+n:], z, x, bilevel.All(o)))
			if want == nil {
				want = got
			} else if maxDiff(got, want) != 0 {
				t.Errorf("%T: GOMAXPROCS %d changes bits by %g", a, procs, maxDiff(got, want))
			}
		}
	}
}

// No call over a batch allocates.
func TestCleaningAllocates(t *testing.T) {
	const n, d = 400, 30
	dense, csr := table(n, d, 8)
	for _, c := range weighed(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			for _, kind := range weightKinds {
				o := must(model.NewCleaning(must(c.make(a, 0))(t), model.CleaningOptions{Weights: kind}))(t)
				sampled, _ := o.Split()
				s := sampled.(bilevel.Linear)
				z, x, v := make([]float64, d*c.k), make([]float64, n), make([]float64, d*c.k)
				dz, hv, cv := make([]float64, d*c.k), make([]float64, d*c.k), make([]float64, n)
				for _, b := range []bilevel.Batch{{Lo: 70, Hi: 71}, {Lo: 64, Hi: 128}, {Lo: 0, Hi: n}} {
					cg, ch := make([]float64, c.k*b.Len()), make([]float64, c.k*b.Len())
					own := cv
					if l, ok := s.(bilevel.Local); ok {
						lo, hi := l.OuterRange(b)
						own = cv[lo:hi]
					}
					if got := testing.AllocsPerRun(5, func() {
						o.Products(dz, hv, cv, z, x, v, b)
						o.ValueGrad(dz, cv, z, x, b)
						o.Apply(hv, cv, v)
						s.Products(dz, hv, cv, z, x, v, b)
						s.Coefs(cg, ch, own, z, x, v, b)
						s.Combine(dz, hv, cg, ch, 1, 0, b)
					}); got > 0 {
						t.Errorf("%s/%T/%v/%v: %v allocations", c.name, a, kind, b, got)
					}
				}
			}
		}
	}
}

func TestNewCleaningErrors(t *testing.T) {
	dense, _ := table(12, 5, 8)
	loss := must(lossCases(12)[0].make(dense, 0))(t)
	for _, o := range []model.CleaningOptions{{Weights: -1}, {Weights: 99}, {Ridge: -1}, {Ridge: math.NaN()},
		{Ridge: math.Inf(1)}} {
		if _, err := model.NewCleaning(loss, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// BenchmarkCleaning is a step of SOBA on MNIST's shape of data cleaning, 20,000 training and 5,000 trusted rows of 784
// features in 10 classes.
func BenchmarkCleaning(b *testing.B) {
	const n, m, d, k = 20000, 5000, 784, 10
	label := func(n int) []int {
		y := make([]int, n)
		for i := range y {
			y[i] = i * 7 % k
		}
		return y
	}
	train, err := model.NewSoftmax(randomDense(n, d), label(n), k, n)
	if err != nil {
		b.Fatal(err)
	}
	outer, err := model.NewSoftmax(randomDense(m, d), label(m), k, n)
	if err != nil {
		b.Fatal(err)
	}
	inner, err := model.NewCleaning(train, model.CleaningOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1, 64} {
		for _, method := range []bilevel.Method{
			stochastic.SOBA{Batch: size, InnerStep: stochastic.Constant(1e-3), OuterStep: stochastic.Constant(1)},
			stochastic.SABA{Batch: size, InnerStep: stochastic.Constant(1e-3), OuterStep: stochastic.Constant(1)},
		} {
			b.Run(fmt.Sprintf("%T/batch=%d", method, size), func(b *testing.B) {
				run, err := method.Start(&bilevel.Problem{Inner: inner, Outer: outer}, bilevel.Point{}, 1)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := run.Step(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
