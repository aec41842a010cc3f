package model_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// table is random data with sparse rows, as dense and as CSR.
func table(n, d int, seed uint64) (*rows.Dense, *rows.CSR) {
	rng := rand.New(rand.NewPCG(seed, 0))
	dense := rows.NewDense(n, d)
	csr := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}
	for i := range n {
		for j := range d {
			if rng.Float64() < .6 {
				v := rng.NormFloat64()
				dense.Row(i)[j] = v
				csr.Idx, csr.Val = append(csr.Idx, int32(j)), append(csr.Val, v)
			}
		}
		csr.Ptr = append(csr.Ptr, len(csr.Idx))
	}
	return dense, csr
}

func normal(n int, rng *rand.Rand) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = rng.NormFloat64()
	}
	return s
}

func maxDiff(a, b []float64) float64 {
	m := 0.0
	for i := range a {
		m = max(m, math.Abs(a[i]-b[i]))
	}
	return m
}

type lossCase struct {
	name string
	k    int
	make func(a rows.Matrix, p int) (*model.Loss, error)
	// value, first and second derivative (k numbers, k×k numbers) of the loss of row i.
	naive func(i int, t []float64) (loss float64, g []float64, h [][]float64)
}

func lossCases(n int) []lossCase {
	rng := rand.New(rand.NewPCG(7, 7))
	y := normal(n, rng)
	sign := make([]float64, n)
	label := make([]int, n)
	for i := range n {
		sign[i] = math.Copysign(1, rng.NormFloat64())
		label[i] = rng.IntN(3)
	}
	return []lossCase{
		{"squared", 1, func(a rows.Matrix, p int) (*model.Loss, error) { return model.NewSquared(a, y, p) },
			func(i int, t []float64) (float64, []float64, [][]float64) {
				r := t[0] - y[i]
				return r * r / 2, []float64{r}, [][]float64{{1}}
			}},
		{"logistic", 1, func(a rows.Matrix, p int) (*model.Loss, error) { return model.NewLogistic(a, sign, p) },
			func(i int, t []float64) (float64, []float64, [][]float64) {
				q := 1 / (1 + math.Exp(sign[i]*t[0]))
				return math.Log1p(math.Exp(-sign[i] * t[0])), []float64{-sign[i] * q}, [][]float64{{q * (1 - q)}}
			}},
		{"softmax", 3, func(a rows.Matrix, p int) (*model.Loss, error) { return model.NewSoftmax(a, label, 3, p) },
			func(i int, t []float64) (float64, []float64, [][]float64) {
				sum := 0.0
				for _, v := range t {
					sum += math.Exp(v)
				}
				g, h := make([]float64, 3), make([][]float64, 3)
				for c := range 3 {
					p := math.Exp(t[c]) / sum
					g[c] = p
					h[c] = make([]float64, 3)
					for e := range 3 {
						h[c][e] = -p * math.Exp(t[e]) / sum
					}
					h[c][c] += p
				}
				g[label[i]]--
				return math.Log(sum) - t[label[i]], g, h
			}},
		{"huber", 1, func(a rows.Matrix, p int) (*model.Loss, error) { return model.NewHuber(a, y, .7, p) },
			func(i int, t []float64) (float64, []float64, [][]float64) {
				r := t[0] - y[i]
				if math.Abs(r) <= .7 {
					return r * r / 2, []float64{r}, [][]float64{{1}}
				}
				return .7 * (math.Abs(r) - .35), []float64{math.Copysign(.7, r)}, [][]float64{{0}}
			}},
		{"squared hinge", 1, func(a rows.Matrix, p int) (*model.Loss, error) { return model.NewSquaredHinge(a, sign, p) },
			func(i int, t []float64) (float64, []float64, [][]float64) {
				s := 1 - sign[i]*t[0]
				if s <= 0 {
					return 0, []float64{0}, [][]float64{{0}}
				}
				return s * s / 2, []float64{-sign[i] * s}, [][]float64{{1}}
			}},
	}
}

// weighed are all losses, and some whose rows count by weights.
func weighed(n int) []lossCase {
	all := lossCases(n)
	w, mean := make([]float64, n), 0.0
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range w {
		w[i] = math.Floor(4*rng.Float64()) / 3 // zeros among them
		mean += w[i] / float64(n)
	}
	for _, c := range all[:3] {
		all = append(all, lossCase{"weighed " + c.name, c.k, func(a rows.Matrix, p int) (*model.Loss, error) {
			loss, err := c.make(a, p)
			if err != nil {
				return nil, err
			}
			return loss.Weigh(w)
		}, func(i int, t []float64) (float64, []float64, [][]float64) {
			loss, g, h := c.naive(i, t)
			f := w[i] / mean
			for e := range g {
				g[e] *= f
				for k := range h[e] {
					h[e][k] *= f
				}
			}
			return f * loss, g, h
		}})
	}
	return all
}

// naive computes value, gradient and Hessian-vector product of a loss by its definition.
func naive(c lossCase, a *rows.Dense, l model.Layout, z, v []float64,
	b bilevel.Batch) (value float64, dz, hv []float64) {
	dz, hv = make([]float64, len(z)), make([]float64, len(z))
	w := 1 / float64(b.Len())
	t, s := make([]float64, c.k), make([]float64, c.k)
	for i := b.Lo; i < b.Hi; i++ {
		clear(t)
		clear(s)
		for cl := range c.k {
			for j, aj := range a.Row(i) {
				t[cl] += aj * z[l.Index(cl, j)]
				s[cl] += aj * v[l.Index(cl, j)]
			}
		}
		loss, g, h := c.naive(i, t)
		value += w * loss
		for cl := range c.k {
			hs := 0.0
			for e := range c.k {
				hs += h[cl][e] * s[e]
			}
			for j, aj := range a.Row(i) {
				dz[l.Index(cl, j)] += w * aj * g[cl]
				hv[l.Index(cl, j)] += w * aj * hs
			}
		}
	}
	return value, dz, hv
}

func TestLossByDefinition(t *testing.T) {
	const n, d = 2500, 13
	dense, csr := table(n, d, 1)
	for _, c := range weighed(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			o, err := c.make(a, 2)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(3, 3))
			z, v := normal(d*c.k, rng), normal(d*c.k, rng)
			for _, b := range []bilevel.Batch{{Lo: 0, Hi: 1}, {Lo: 5, Hi: 12}, {Lo: 100, Hi: 164}, {Lo: 0, Hi: 1024},
				{Lo: 3, Hi: 1100}, {Lo: 0, Hi: n}} {
				name := fmt.Sprintf("%s/%T/%v", c.name, a, b)
				value, dz, hv := naive(c, dense, o.Layout(), z, v, b)
				if got := o.Value(z, nil, b); math.Abs(got-value) > 1e-12*(1+math.Abs(value)) {
					t.Errorf("%s: value %v, want %v", name, got, value)
				}
				g, h, g2 := make([]float64, d*c.k), make([]float64, d*c.k), make([]float64, d*c.k)
				cv := make([]float64, 2)
				o.Products(g, h, cv, z, nil, v, b)
				if e := max(maxDiff(g, dz), maxDiff(h, hv)); e > 1e-12 {
					t.Errorf("%s: products differ by %g", name, e)
				}
				o.Products(nil, g2, nil, z, nil, v, b)
				if e := maxDiff(g2, hv); e > 1e-12 {
					t.Errorf("%s: hv alone differs by %g", name, e)
				}
				o.Grad(g2, nil, z, nil, b)
				if e := maxDiff(g2, dz); e > 1e-12 {
					t.Errorf("%s: gradient differs by %g", name, e)
				}
				if got := o.ValueGrad(g2, nil, z, nil, b); math.Abs(got-value) > 1e-12*(1+math.Abs(value)) ||
					maxDiff(g2, dz) > 1e-12 {
					t.Errorf("%s: value with gradient %v, want %v", name, got, value)
				}
				o.Linearize(z, nil, b)
				o.Apply(h, nil, v)
				if e := maxDiff(h, hv); e > 1e-12 {
					t.Errorf("%s: linearised product differs by %g", name, e)
				}
				cg, ch := make([]float64, c.k*b.Len()), make([]float64, c.k*b.Len())
				o.Coefs(cg, ch, nil, z, nil, v, b)
				o.Combine(g, h, cg, ch, 1, 0, b)
				if e := max(maxDiff(g, dz), maxDiff(h, hv)); e > 1e-12 {
					t.Errorf("%s: coefficients differ by %g", name, e)
				}
				for _, keep := range []float64{0, 1, -.5} {
					if keep == 0 {
						g[0], h[0] = math.NaN(), math.NaN()
					} else {
						copy(g, z)
						copy(h, v)
					}
					o.Combine(g, h, cg, ch, 3, keep, b)
					for i := range g {
						if e := max(math.Abs(g[i]-keep*z[i]-3*dz[i]), math.Abs(h[i]-keep*v[i]-3*hv[i])); !(e <= 1e-12) {
							t.Errorf("%s: combined coefficient %d, keeping %v, differs by %g", name, i, keep, e)
							break
						}
					}
				}
				hess := make([]float64, d*c.k*d*c.k)
				o.Hessian(context.Background(), hess, z, nil, b)
				for i := range d * c.k {
					sum := 0.0
					for j := range d * c.k {
						if j <= i {
							sum += hess[i*d*c.k+j] * v[j]
						} else {
							sum += hess[j*d*c.k+i] * v[j]
						}
					}
					if math.Abs(sum-hv[i]) > 1e-11 {
						t.Errorf("%s: row %d of the Hessian gives %v, want %v", name, i, sum, hv[i])
						break
					}
				}
			}
		}
	}
}

// A full pass large enough for goroutines has the same bits for every GOMAXPROCS.
func TestBitsDoNotDependOnProcs(t *testing.T) {
	const n, d = 60000, 22
	dense, csr := table(n, d, 2)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range weighed(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			var want []float64
			for _, procs := range []int{1, 2, 5} {
				runtime.GOMAXPROCS(procs)
				o, err := c.make(a, 0)
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(3, 3))
				z, v := normal(d*c.k, rng), normal(d*c.k, rng)
				g, h := make([]float64, d*c.k), make([]float64, d*c.k)
				b := bilevel.All(o)
				o.Products(g, h, nil, z, nil, v, b)
				got := append(append([]float64{o.Value(z, nil, b)}, g...), h...)
				if want == nil {
					want = got
				} else if maxDiff(got, want) != 0 {
					t.Errorf("%s/%T: GOMAXPROCS %d changes bits by %g", c.name, a, procs, maxDiff(got, want))
				}
			}
		}
	}
}

func TestExtremeValues(t *testing.T) {
	a := rows.FromSlice(2, 1, []float64{1, -1})
	logistic, err := model.NewLogistic(a, []float64{1, 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	all := bilevel.Batch{Lo: 0, Hi: 2}
	g := make([]float64, 1)
	// Margins +1e4 and −1e4: losses 0 and 1e4, gradients 0 and +1.
	if v := logistic.ValueGrad(g, nil, []float64{1e4}, nil, all); v != 5000 || g[0] != .5 {
		t.Errorf("logistic at margins ±1e4: value %v, gradient %v; want 5000 and 0.5", v, g[0])
	}
	soft, err := model.NewSoftmax(a, []int{0, 1}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	g = make([]float64, 2)
	if v := soft.ValueGrad(g, nil, []float64{-1e4, 1e4}, nil, all); v != 2e4 || g[0] != -1 || g[1] != 1 {
		t.Errorf("softmax at scores ±1e4: value %v, gradient %v; want 20000 and (−1, 1)", v, g)
	}
	pen, err := model.NewPenalty(model.Layout{Features: 2, Classes: 1}, model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dz, hv, cv := make([]float64, 2), make([]float64, 2), make([]float64, 2)
	z, x := []float64{2, 3}, []float64{700, -700}
	pen.Products(dz, hv, cv, z, x, []float64{1, 1}, bilevel.Batch{Lo: 0, Hi: 1})
	for _, v := range append(append(append([]float64{pen.Value(z, x, all)}, dz...), hv...), cv...) {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			t.Errorf("penalty at x = ±700 gives %v", v)
		}
	}
	if want := math.Exp(700) * 2; math.Abs(dz[0]/want-1) > 1e-13 {
		t.Errorf("penalty gradient at x = 700: %v, want %v", dz[0], want)
	}
}

func TestPenaltyByDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, l := range []model.Layout{{Features: 4, Classes: 1}, {Features: 4, Classes: 3},
		{Features: 4, Classes: 3, FeatureMajor: true}} {
		for _, kind := range []model.Strengths{model.Shared, model.PerFeature, model.PerClass, model.PerFeatureClass,
			model.PerGroup} {
			for _, opt := range []model.PenaltyOptions{{}, {Linear: true, Intercept: true, Scale: .25},
				{Intercept: true, Copies: 2}} {
				features := l.Features
				if opt.Intercept {
					features--
				}
				opt.Groups = []string{"a", "b", "a", "c"}[:features]
				q, err := model.NewPenalty(l, kind, opt)
				if err != nil {
					t.Fatal(err)
				}
				d, p := q.Dims()
				copies, scale := max(opt.Copies, 1), opt.Scale
				if scale == 0 {
					scale = 1
				}
				z, v, x := normal(d, rng), normal(d, rng), normal(p, rng)
				value, dz, hv, cv, dx := 0.0, make([]float64, d), make([]float64, d), make([]float64, p), make([]float64, p)
				for c := range copies {
					for class := range l.Classes {
						for feature := range features {
							i := c*l.Len() + l.Index(class, feature)
							j := map[model.Strengths]int{model.PerFeature: feature, model.PerClass: class,
								model.PerFeatureClass: class*features + feature, model.PerGroup: int("abac"[feature] - 'a')}[kind]
							if kind == model.PerFeatureClass && l.FeatureMajor {
								j = feature*l.Classes + class
							}
							s, ds := math.Exp(x[j]), math.Exp(x[j])
							if opt.Linear {
								s, ds = x[j], 1
							}
							value += scale * s * z[i] * z[i] / 2
							dz[i], hv[i] = scale*s*z[i], scale*s*v[i]
							cv[j] += scale * ds * z[i] * v[i]
							dx[j] += scale * ds * z[i] * z[i] / 2
							if q.Strength(i) != j {
								t.Errorf("%v %+v: coefficient %d has strength %d, want %d", kind, l, i, q.Strength(i), j)
							}
						}
					}
				}
				b := bilevel.Batch{Lo: 0, Hi: 1}
				gz, gh, gc, gx := make([]float64, d), make([]float64, d), make([]float64, p), make([]float64, p)
				q.Products(gz, gh, gc, z, x, v, b)
				q.Grad(nil, gx, z, x, b)
				if e := max(maxDiff(gz, dz), maxDiff(gh, hv), maxDiff(gc, cv), maxDiff(gx, dx),
					math.Abs(q.Value(z, x, b)-value)); e > 1e-12 {
					t.Errorf("%v %+v %+v differs by %g", kind, l, opt, e)
				}
			}
		}
	}
}

// Folds agree with the K problems they stack.
func TestFoldsByDefinition(t *testing.T) {
	const n, d = 90, 5
	dense, csr := table(n, d, 4)
	bounds := []int{0, 20, 55, n}
	for _, c := range lossCases(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			loss, err := c.make(a, 1)
			if err != nil {
				t.Fatal(err)
			}
			folds, err := model.NewFolds(loss, bounds)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(9, 9))
			z, v := normal(3*d*c.k, rng), normal(3*d*c.k, rng)
			dim := d * c.k
			inner, outer := 0.0, 0.0
			dz, hv, fz := make([]float64, 3*dim), make([]float64, 3*dim), make([]float64, 3*dim)
			for f := range 3 {
				var in, out []int
				for i := range n {
					if i >= bounds[f] && i < bounds[f+1] {
						out = append(out, i)
					} else {
						in = append(in, i)
					}
				}
				zf, vf := z[f*dim:(f+1)*dim], v[f*dim:(f+1)*dim]
				for _, i := range in {
					val, g, h := naive(c, dense, loss.Layout(), zf, vf, bilevel.Batch{Lo: i, Hi: i + 1})
					inner += val / float64(len(in))
					for e := range g {
						dz[f*dim+e] += g[e] / float64(len(in))
						hv[f*dim+e] += h[e] / float64(len(in))
					}
				}
				for _, i := range out {
					val, g, _ := naive(c, dense, loss.Layout(), zf, vf, bilevel.Batch{Lo: i, Hi: i + 1})
					outer += val / n
					for e := range g {
						fz[f*dim+e] += g[e] / n
					}
				}
			}
			b := bilevel.Batch{Lo: 0, Hi: n}
			gz, gh, gf := make([]float64, 3*dim), make([]float64, 3*dim), make([]float64, 3*dim)
			folds.Inner.Products(gz, gh, nil, z, nil, v, b)
			folds.Outer.Grad(gf, nil, z, nil, b)
			e := max(maxDiff(gz, dz), maxDiff(gh, hv), maxDiff(gf, fz),
				math.Abs(folds.Inner.Value(z, nil, b)-inner), math.Abs(folds.Outer.Value(z, nil, b)-outer))
			if e > 1e-12 {
				t.Errorf("%s/%T differs by %g", c.name, a, e)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	a := rows.FromSlice(2, 1, []float64{1, 2})
	for name, err := range map[string]error{
		"label":  second(model.NewLogistic(a, []float64{1, 0}, 1)),
		"length": second(model.NewLogistic(a, []float64{1}, 1)),
		"class":  second(model.NewSoftmax(a, []int{0, 2}, 2, 1)),
		"one":    second(model.NewSoftmax(a, []int{0, 0}, 1, 1)),
		"nan":    second(model.NewSquared(a, []float64{0, math.NaN()}, 1)),
		"empty":  second(model.NewSquared(rows.NewDense(0, 3), nil, 1)),
		"inf":    second(model.NewSquared(rows.FromSlice(1, 1, []float64{math.Inf(1)}), []float64{0}, 1)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	loss, _ := model.NewSquared(a, []float64{1, 2}, 2)
	pen, _ := model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{})
	if _, err := model.Regularize(loss, pen); err == nil {
		t.Error("p = 2 against p = 1 passed")
	}
}

func second[T any](_ T, err error) error { return err }
