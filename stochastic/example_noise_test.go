package stochastic_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/stochastic"
)

// noisyRows is least squares on rows to which each draw adds normal noise of variance eˣ afresh:
//
//	g(z, x) = E mean_i ½(⟨a_i + e^{x/2} ε_i, z⟩ − y_i)².
//
// The expectation is known: training on noisy rows is ridge regression with strength eˣ (Bishop, Training with noise
// is equivalent to Tikhonov regularization, 1995).
type noisyRows struct {
	a [][]float64
	y []float64
}

func (o *noisyRows) Dims() (d, p int) { return len(o.a[0]), 1 }
func (o *noisyRows) Samples() int     { return len(o.a) }

// each calls f with the noise of every row of b, and with the noisy row.
func (o *noisyRows) each(x []float64, b bilevel.Batch, f func(i int, noise, row []float64)) {
	d, _ := o.Dims()
	noise, row := make([]float64, d), make([]float64, d)
	for i := b.Lo; i < b.Hi; i++ {
		source := b.Source(i)
		normal := rand.New(&source)
		for j, a := range o.a[i] {
			noise[j] = normal.NormFloat64()
			row[j] = a + math.Exp(x[0]/2)*noise[j]
		}
		f(i, noise, row)
	}
}

func (o *noisyRows) Value(z, x []float64, b bilevel.Batch) float64 {
	sum := 0.0
	o.each(x, b, func(i int, _, row []float64) {
		r := inner(row, z) - o.y[i]
		sum += r * r / 2
	})
	return sum / float64(b.Len())
}

func (o *noisyRows) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dz)
	clear(dx)
	o.each(x, b, func(i int, noise, row []float64) {
		r := (inner(row, z) - o.y[i]) / float64(b.Len())
		for j := range dz {
			dz[j] += r * row[j]
		}
		if dx != nil {
			dx[0] += r * math.Exp(x[0]/2) / 2 * inner(noise, z)
		}
	})
}

func (o *noisyRows) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if dz != nil {
		o.Grad(dz, nil, z, x, b)
	}
	if hv == nil && cv == nil {
		return
	}
	clear(hv)
	clear(cv)
	w := 1 / float64(b.Len())
	o.each(x, b, func(i int, noise, row []float64) {
		along := inner(row, v)
		for j := range hv {
			hv[j] += w * along * row[j]
		}
		if cv != nil {
			r := inner(row, z) - o.y[i]
			cv[0] += w * math.Exp(x[0]/2) / 2 * (along*inner(noise, z) + r*inner(noise, v))
		}
	})
}

func inner(a, b []float64) (s float64) {
	for j, v := range a {
		s += v * b[j]
	}
	return s
}

// noiseProblem is a regression with few rows and many useless columns, where some noise helps.
func noiseProblem() (p *bilevel.Problem, h func(x float64) float64) {
	const n, m, d = 20, 400, 12
	rng := rand.New(rand.NewPCG(7, 1))
	draw := func(n int) *noisyRows {
		o := &noisyRows{}
		for range n {
			row := make([]float64, d)
			for j := range row {
				row[j] = rng.NormFloat64()
			}
			o.a, o.y = append(o.a, row), append(o.y, row[0]+rng.NormFloat64())
		}
		return o
	}
	train, test := draw(n), draw(m)
	outer := &bilevel.Func{
		InnerDim: d, OuterDim: 1, Terms: m,
		Eval: func(z, _ []float64, b bilevel.Batch) float64 {
			sum := 0.0
			for i := b.Lo; i < b.Hi; i++ {
				r := inner(test.a[i], z) - test.y[i]
				sum += r * r / 2
			}
			return sum / float64(b.Len())
		},
		Gradient: func(dz, dx, z, _ []float64, b bilevel.Batch) {
			clear(dz)
			clear(dx)
			for i := b.Lo; i < b.Hi; i++ {
				for j, a := range test.a[i] {
					dz[j] += (inner(test.a[i], z) - test.y[i]) * a / float64(b.Len())
				}
			}
		},
	}
	// h by the normal equations of ridge regression.
	h = func(x float64) float64 {
		gram, rhs := mat.NewSymDense(d, nil), mat.NewVecDense(d, nil)
		for i, row := range train.a {
			a := mat.NewVecDense(d, row)
			gram.SymRankOne(gram, 1./n, a)
			rhs.AddScaledVec(rhs, train.y[i]/n, a)
		}
		for j := range d {
			gram.SetSym(j, j, gram.At(j, j)+math.Exp(x))
		}
		var chol mat.Cholesky
		chol.Factorize(gram)
		z := mat.NewVecDense(d, nil)
		if err := chol.SolveVecTo(z, rhs); err != nil {
			panic(err)
		}
		return outer.Eval(z.RawVector().Data, nil, bilevel.All(outer))
	}
	return &bilevel.Problem{Inner: train, Outer: outer, Lower: []float64{-8}, Upper: []float64{4}}, h
}

// The inner objective is an expectation: every batch has noise of its own, in which f, g and their derivatives of one
// step agree. How much noise trains best is what ridge regression says.
func Example_noise() {
	problem, h := noiseProblem()
	method := stochastic.SOBA{Batch: 8, InnerStep: stochastic.Rate{Size: .2, Decay: .4},
		OuterStep: stochastic.Rate{Size: 2, Decay: .6}}
	settings := bilevel.Settings{Start: bilevel.Point{X: []float64{-6}}, MaxSteps: 40_000, Seed: 1}
	result, err := bilevel.Minimize(context.Background(), problem, method, settings)
	if err != nil {
		fmt.Println(err)
		return
	}
	best := -6.0
	for x := -6.0; x < 2; x += .01 {
		if h(x) < h(best) {
			best = x
		}
	}
	fmt.Printf("h at the start %.2f, after the run %.2f, at best %.2f\n", h(-6), h(result.Last.X[0]), h(best))
	// Output: h at the start 1.54, after the run 0.78, at best 0.78
}

func TestNoisyRows(t *testing.T) {
	p, _ := noiseProblem()
	bileveltest.Objective(t, p.Inner, bileveltest.ObjectiveOptions{})
	z, x := make([]float64, 12), []float64{0}
	at := func(draw uint64) float64 { return p.Inner.Value(z, x, bilevel.Batch{Lo: 3, Hi: 5, Draw: draw}) }
	if at(1) != at(2) {
		t.Error("at z = 0, where no noise is seen, draws differ")
	}
	z[0] = 1
	if first := at(1); first == at(2) || first != at(1) {
		t.Error("draws are alike, or one is not the same again")
	}
}

// Batches get draws of their own, two of which are never the same and none the fixed one; and a run that is resumed
// goes on with the same.
func TestDraws(t *testing.T) {
	for _, shuffle := range []bool{false, true} {
		s := sampling.NewSampler(sampling.NewPartition(10, 3), 1, 1, shuffle)
		seen := map[uint64]bool{0: true}
		for range 1000 {
			all := s.All().Draw
			b := s.Next().Batch
			if seen[b.Draw] || seen[all] || b.Draw == all {
				t.Fatalf("shuffle %v: draws %x and %x, one of which was there before", shuffle, b.Draw, all)
			}
			seen[b.Draw], seen[all] = true, true
		}
	}
	p, _ := noiseProblem()
	in, out := stochastic.Constant(.05), stochastic.Constant(.05)
	for _, m := range []bilevel.Method{
		stochastic.SOBA{Batch: 8, InnerStep: in, OuterStep: out}, stochastic.SABA{Batch: 8, InnerStep: in, OuterStep: out,
			Shuffle: true},
		stochastic.SRBA{Batch: 8, InnerStep: in, OuterStep: out}, stochastic.MRBO{Batch: 8}, stochastic.SUSTAIN{Batch: 8},
		stochastic.VRBO{Batch: 8}, stochastic.PZOBO{Batch: 8}, stochastic.SOBA{},
	} {
		minimize := func(s bilevel.Settings) *bilevel.Result {
			s.Seed = 3
			res, err := bilevel.Minimize(context.Background(), p, m, s)
			if err != nil {
				t.Fatalf("%T: %v", m, err)
			}
			return res
		}
		whole := minimize(bilevel.Settings{MaxSteps: 300})
		path := filepath.Join(t.TempDir(), "run")
		minimize(bilevel.Settings{MaxSteps: 150, Checkpoint: path})
		parts := minimize(bilevel.Settings{MaxSteps: 300, Checkpoint: path, Resume: true})
		if !slices.Equal(whole.Last.Z, parts.Last.Z) || !slices.Equal(whole.Last.X, parts.Last.X) {
			t.Errorf("%T: z = %v after being resumed, %v without", m, parts.Last.Z, whole.Last.Z)
		}
	}
}
