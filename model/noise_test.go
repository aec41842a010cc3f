package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// noiseOptions are labels, folds and trusted rows of n rows.
func noiseOptions(n, k, folds int, outer model.Transitions) model.NoiseOptions {
	o := model.NoiseOptions{Classes: k, Folds: folds, Inner: outer, Outer: outer, Ridge: .7}
	for i := range n {
		o.Labels = append(o.Labels, (i*i+i/3)%k)
		o.Trusted = append(o.Trusted, i%5 == 3)
		if folds > 0 {
			o.Fold = append(o.Fold, (i*7)%folds)
		}
	}
	return o
}

// Both levels pass the conformance suite, whose derivatives are compared with finite differences: the inner Hessian
// cov(p) − cov(r) too, which is not positive everywhere.
func TestNoise(t *testing.T) {
	const n, d = 23, 4
	dense, csr := table(n, d, 8)
	for _, c := range []struct {
		form  model.Transitions
		k     int
		a     rows.Matrix
		folds int
		blind bool
	}{
		{form: model.RightLabels, k: 2, a: dense, folds: 3},
		{form: model.RightLabels, k: 4, a: csr.WithOnes(), folds: 3},
		{form: model.SymmetricNoise, k: 2, a: csr, folds: 3},
		{form: model.SymmetricNoise, k: 4, a: dense.WithOnes(), folds: 3, blind: true},
		{form: model.FullNoise, k: 2, a: dense.WithOnes(), folds: 3},
		{form: model.FullNoise, k: 4, a: csr, folds: 3, blind: true},
		{form: model.FullNoise, k: 4, a: csr.WithOnes(), folds: 2},
		{form: model.FullNoise, k: 3, a: dense},
		{form: model.SymmetricNoise, k: 3, a: csr},
	} {
		o := noiseOptions(n, c.k, c.folds, c.form)
		_, features := c.a.Dims()
		if o.Intercept = features > d; c.blind {
			o.Inner, o.Trusted = model.RightLabels, nil
		}
		p := must(model.NewNoise(c.a, o))(t)
		t.Run(fmt.Sprintf("%v/%d/%T/%d/%d/%v", c.form, c.k, c.a, features, c.folds, c.blind), func(t *testing.T) {
			options := bileveltest.ObjectiveOptions{Scale: .7}
			bileveltest.Objective(t, p.Inner, options)
			if c.folds > 0 {
				bileveltest.Objective(t, p.Outer, options)
			} else if p.Outer != nil {
				t.Error("an outer level without folds")
			}
		})
	}
}

// The loss is that of its definition, and so are the probabilities and the matrix.
func TestNoiseByDefinition(t *testing.T) {
	const n, d, k, folds = 40, 3, 3, 2
	dense, csr := table(n, d, 2)
	for _, a := range []rows.Matrix{dense, csr} {
		o := noiseOptions(n, k, folds, model.FullNoise)
		p := must(model.NewNoise(a, o))(t)
		want := []float64{.8, .15, .05, .1, .9, 0, .2, .2, .6}
		x := p.X(want, 2, 1.5)
		m, ridge, beta := p.At(x)
		for i, v := range want {
			if math.Abs(m[i]-v) > .02 || math.Abs(ridge-2) > 1e-12 || math.Abs(beta-1.5) > 1e-12 {
				t.Fatalf("T = %v, λ = %v, β = %v", m, ridge, beta)
			}
		}
		z := normal(d*k*folds, rand.New(rand.NewPCG(1, 2)))
		scores, layout := make([]float64, k), p.Inner.Layout()
		loss := func(i, f int, beta float64) float64 {
			for c := range k {
				scores[c] = 0
				for j, v := range dense.Row(i) {
					scores[c] += beta * v * z[layout.Index(f*k+c, j)]
				}
			}
			total, q := 0.0, 0.0
			for c, s := range scores {
				e := math.Exp(s)
				total += e
				if y := o.Labels[i]; !o.Trusted[i] {
					q += e * m[c*k+y]
				} else if c == y {
					q += e
				}
			}
			return -math.Log(q / total)
		}
		inner, outer := 0.0, 0.0
		for i := range n {
			for f := range folds {
				if f == o.Fold[i] {
					outer += loss(i, f, beta) / n
				} else {
					inner += loss(i, f, 1) / n
				}
			}
		}
		for _, v := range z {
			inner += ridge / 2 / n * v * v
		}
		if got := p.Inner.Value(z, x, bilevel.All(p.Inner)); math.Abs(got-inner) > 1e-12*inner {
			t.Errorf("%T: inner %v, want %v", a, got, inner)
		}
		prior := p.Outer.Value(z, x, bilevel.All(p.Outer)) - outer
		if !(prior > 0 && prior < 10./n) {
			t.Errorf("%T: the prior is %v a row", a, prior)
		}
	}
}

func TestNoiseRefuses(t *testing.T) {
	dense, _ := table(9, 2, 1)
	for name, spoil := range map[string]func(o *model.NoiseOptions){
		"one class": func(o *model.NoiseOptions) { o.Classes = 1 },
		"label":     func(o *model.NoiseOptions) { o.Labels[3] = 5 },
		"fold":      func(o *model.NoiseOptions) { o.Fold[3] = 7 },
		"one fold":  func(o *model.NoiseOptions) { o.Folds = 1 },
		"ridge":     func(o *model.NoiseOptions) { o.Ridge = 0 },
		"trusted":   func(o *model.NoiseOptions) { o.Trusted = o.Trusted[1:] },
		"forms":     func(o *model.NoiseOptions) { o.Inner = model.SymmetricNoise },
		"rows":      func(o *model.NoiseOptions) { o.Labels, o.Fold, o.Trusted = o.Labels[1:], o.Fold[1:], nil },
	} {
		o := noiseOptions(9, 3, 2, model.FullNoise)
		spoil(&o)
		if _, err := model.NewNoise(dense, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
