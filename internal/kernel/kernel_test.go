package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// eachTier runs f as a subtest with every vector tier the processor has.
func eachTier(t *testing.T, f func(t *testing.T)) {
	for _, tier := range []Tier{Plain, AVX2, AVX512} {
		if !Supported(tier) {
			continue
		}
		t.Run(tier.String(), func(t *testing.T) {
			defer SetTier(SetTier(tier))
			f(t)
		})
	}
}

// A source makes arguments of kernels.
type source struct {
	t   testing.TB
	rng *rand.Rand
	out []output
}

// An output has sentinels before it, and after it either sentinels or the end
// of readable memory.
type output struct {
	name        string
	mem         []float64
	after       int // sentinels
	value, want []float64
}

const (
	margin   = 16
	sentinel = 12345.678
)

func newSource(t testing.TB, seed int) *source {
	return &source{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 1))}
}

// vec returns n normal numbers that end where readable memory ends.
func (s *source) vec(n int) []float64 {
	x := guarded(s.t, n)
	for i := range x {
		x[i] = s.rng.NormFloat64()
	}
	return x
}

// next returns rows to fetch beside those of a: none, as many, fewer or more.
func (s *source) next(a []float64) []float64 {
	return [][]float64{nil, a, a[:len(a)/3], make([]float64, 3*len(a)+5)}[s.rng.IntN(4)]
}

// labels returns n labels ±1.
func (s *source) labels(n int) []float64 {
	y := guarded(s.t, n)
	for i := range y {
		y[i] = float64(2*s.rng.IntN(2) - 1)
	}
	return y
}

// rows returns n rows of d columns with padding of zeros.
func (s *source) rows(n, d int) (a []float64, stride int) {
	stride = (d + 7) &^ 7
	if s.rng.IntN(4) == 0 {
		stride += 8
	}
	a = guarded(s.t, n*stride)
	for i := range n {
		for j := range d {
			a[i*stride+j] = s.rng.NormFloat64()
		}
	}
	return a, stride
}

// output returns two equal vectors: one for the kernel, one for its twin.
func (s *source) output(name string, n int) (got, want []float64) {
	o := output{name: name}
	if s.rng.IntN(2) == 0 {
		o.mem = guarded(s.t, margin+n)
	} else {
		o.after = margin
		o.mem = make([]float64, margin+n+margin)
	}
	for i := range o.mem {
		o.mem[i] = sentinel
	}
	o.value = o.mem[margin : margin+n : margin+n]
	for i := range o.value {
		o.value[i] = s.rng.NormFloat64()
	}
	o.want = slices.Clone(o.value)
	s.out = append(s.out, o)
	return o.value, o.want
}

// forget fills outputs of which nothing is kept with NaN.
func (s *source) forget(keep float64, out ...[]float64) {
	for _, o := range out {
		for i := range o {
			if keep == 0 {
				o[i] = math.NaN()
			}
		}
	}
}

// check compares the outputs with their twins and the sentinels with
// themselves. Elements in skip are not compared.
func (s *source) check(skip func(i int) bool) {
	s.t.Helper()
	for _, o := range s.out {
		scale := 1.0
		for _, w := range o.want {
			if a := math.Abs(w); a > scale && !math.IsInf(a, 0) {
				scale = a
			}
		}
		for i, w := range o.want {
			if (skip == nil || !skip(i)) && !near(o.value[i], w, scale) {
				s.t.Errorf("%s[%d] = %v, want %v", o.name, i, o.value[i], w)
			}
		}
		for i, v := range o.mem {
			if (i < margin || i >= len(o.mem)-o.after) && v != sentinel {
				s.t.Fatalf("%s: wrote element %d of %d", o.name, i-margin, len(o.value))
			}
		}
	}
}

func (s *source) value(name string, got, want float64) {
	s.t.Helper()
	if !near(got, want, math.Max(1, math.Abs(want))) {
		s.t.Fatalf("%s = %v, want %v", name, got, want)
	}
}

func near(got, want, scale float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) {
		return math.IsNaN(got) && math.IsNaN(want) || got == want
	}
	return math.Abs(got-want) <= 2e-13*scale
}

// spoil puts a special value into some elements of x.
func (s *source) spoil(x []float64, values ...float64) {
	for range min(len(x), 2) {
		x[s.rng.IntN(len(x))] = values[s.rng.IntN(len(values))]
	}
}

var special = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1e300, -1e300, 5e-324}

var (
	vectorLengths = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 22, 31, 32, 33, 40, 63, 64, 65, 100, 784}
	widths        = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
		27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 100, 784}
	rowCounts = []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 63, 64, 65, 130}
)

func TestVectors(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, n := range vectorLengths {
			for _, spoil := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d/%v", n, spoil), func(t *testing.T) {
					run := func(f func(s *source, vec func() []float64)) {
						s := newSource(t, n)
						f(s, func() []float64 {
							x := s.vec(n)
							if spoil {
								s.spoil(x, special...)
							}
							return x
						})
						s.check(nil)
					}
					run(func(s *source, vec func() []float64) {
						x, y := vec(), vec()
						s.value("Dot", Dot(x, y), dotPlain(x, y))
					})
					run(func(s *source, vec func() []float64) {
						x := vec()
						got, want := s.output("Axpy", n)
						Axpy(-1.5, x, got)
						axpyPlain(-1.5, x, want)
					})
					for _, b := range []float64{0, 1, -.5} {
						run(func(s *source, vec func() []float64) {
							x := vec()
							got, want := s.output("Axpby", n)
							s.forget(b, got, want)
							Axpby(-1.5, x, b, got)
							axpbyPlain(-1.5, x, b, want)
						})
					}
					run(func(s *source, vec func() []float64) {
						x1, x2 := vec(), vec()
						got, want := s.output("Axpy2", n)
						Axpy2(-1.5, x1, x2, got)
						axpy2Plain(-1.5, x1, x2, want)
					})
					run(func(s *source, _ func() []float64) {
						got, want := s.output("Scale", n)
						Scale(-1.5, got)
						scalePlain(-1.5, want)
					})
					run(func(s *source, vec func() []float64) {
						delta := vec()
						y, yw := s.output("SagaStep y", n)
						avg, avgw := s.output("SagaStep avg", n)
						SagaStep(y, avg, delta, 0.5, -2, 0.25, 0.75)
						sagaStepPlain(yw, avgw, delta, 0.5, -2, 0.25, 0.75)
					})
					run(func(s *source, _ func() []float64) {
						mem, memw := s.output("SwapDiff mem", n)
						next, nextw := s.output("SwapDiff next", n)
						SwapDiff(mem, next)
						swapDiffPlain(memw, nextw)
					})
					Prefetch(newSource(t, n).vec(n))
				})
			}
		}
	})
}

func TestAlias(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, n := range vectorLengths {
			s := newSource(t, n)
			x := s.vec(n)
			for name, f := range map[string]func(dst, x []float64){
				"Exp": Exp, "Sigmoid": Sigmoid, "Softplus": Softplus,
				"Axpy":  func(dst, x []float64) { copy(dst, x); Axpy(2, dst, dst) },
				"Axpby": func(dst, x []float64) { copy(dst, x); Axpby(2, dst, -.5, dst) },
				"Axpy2": func(dst, x []float64) { copy(dst, x); Axpy2(2, dst, dst, dst) },
			} {
				got, want := s.output(name, n)
				f(want, x)
				copy(got, x)
				f(got, got)
			}
			y := s.labels(n)
			cg, cgw := s.output("LogisticLink cg", n)
			ch, chw := s.output("LogisticLink ch", n)
			logisticLinkPlain(cgw, chw, cg, ch, y)
			LogisticLink(cg, ch, cg, ch, y)
			t1, t2 := s.output("LogisticLossLink", n)
			want := logisticLossLinkPlain(t2, t1, y)
			s.value("LogisticLossLink", LogisticLossLink(t1, t1, y), want)
			s.check(nil)
		}
	})
}

// eachBatch runs f for all tiers and many shapes, with ordinary rows and with
// rows that hold special values.
func eachBatch(t *testing.T, f func(s *source, a []float64, stride, rows, d int, add bool)) {
	eachTier(t, func(t *testing.T) {
		for _, d := range append([]int{0}, widths...) {
			for k, rows := range rowCounts {
				if d > 100 && rows > 17 {
					continue
				}
				t.Run(fmt.Sprintf("%dx%d", rows, d), func(t *testing.T) {
					s := newSource(t, 1000*d+rows)
					a, stride := s.rows(rows, d)
					f(s, a, stride, rows, d, k%2 == 0)
					s.check(nil)
					if rows > 0 && d > 0 {
						s = newSource(t, 1000*d+rows+1)
						a, stride = s.rows(rows, d)
						a[s.rng.IntN(rows)*stride+s.rng.IntN(d)] = special[s.rng.IntN(5)]
						f(s, a, stride, rows, d, k%2 == 1)
						s.check(nil)
					}
				})
			}
		}
	})
}

func TestRows(t *testing.T) {
	eachBatch(t, func(s *source, a []float64, stride, rows, d int, add bool) {
		z, v, w := s.vec(d), s.vec(d), 1+s.rng.Float64()
		t1, t2 := s.output("Scores", rows)
		Scores(t1, a, stride, z)
		scoresPlain(t2, a, stride, z)
		t1, t2 = s.output("Scores2 t", rows)
		s1, s2 := s.output("Scores2 s", rows)
		Scores2(t1, s1, a, stride, z, v)
		scores2Plain(t2, s2, a, stride, z, v)
		cg, ch := s.vec(rows), s.vec(rows)
		dz1, dz2 := s.output("Combine", d)
		Combine(dz1, a, stride, cg, w, add, s.next(a))
		combinePlain(dz2, a, stride, cg, w, add)
		dz1, dz2 = s.output("Combine2 dz", d)
		hv1, hv2 := s.output("Combine2 hv", d)
		Combine2(dz1, hv1, a, stride, cg, ch, w, add, s.next(a))
		combine2Plain(dz2, hv2, a, stride, cg, ch, w, add)
	})
}

func TestLogistic(t *testing.T) {
	eachBatch(t, func(s *source, a []float64, stride, rows, d int, add bool) {
		y, z, v, w := s.labels(rows), s.vec(d), s.vec(d), 1+s.rng.Float64()
		if s.rng.IntN(3) == 0 {
			for j := range z {
				z[j] *= 1e4
			}
		}
		dz1, dz2 := s.output("LogisticProducts dz", d)
		hv1, hv2 := s.output("LogisticProducts hv", d)
		LogisticProducts(dz1, hv1, a, stride, y, z, v, w, s.next(a))
		logisticProductsPlain(dz2, hv2, a, stride, y, z, v, w)
		hess, want := s.output("LogisticHess", d)
		LogisticHess(hess, a, stride, rows, z, v, w, s.next(a))
		if !slices.EqualFunc(hess, hv1, func(x, y float64) bool { return x == y || x != x && y != y }) {
			s.t.Fatalf("%d×%d: LogisticHess gives other numbers than LogisticProducts", rows, d)
		}
		logisticHessPlain(want, a, stride, rows, z, v, w)
		dz1, dz2 = s.output("LogisticGrad", d)
		LogisticGrad(dz1, a, stride, y, z, w, s.next(a))
		logisticGradPlain(dz2, a, stride, y, z, w)
		dz1, dz2 = s.output("LogisticValueGrad dz", d)
		loss := logisticValueGradPlain(dz2, a, stride, y, z, w, add)
		s.value("LogisticValueGrad", LogisticValueGrad(dz1, a, stride, y, z, w, add, s.next(a)), loss)
		s.value("LogisticValueGrad nil", LogisticValueGrad(nil, a, stride, y, z, w, add, nil), loss)
		cg1, cg2 := s.output("LogisticCoefs cg alone", rows)
		LogisticCoefs(cg1, nil, a, stride, y, z, nil, s.next(a))
		scoresPlain(cg2, a, stride, z)
		logisticLinkPlain(cg2, nil, cg2, nil, y)
		cg1, cg2 = s.output("LogisticCoefs cg", rows)
		ch1, ch2 := s.output("LogisticCoefs ch", rows)
		LogisticCoefs(cg1, ch1, a, stride, y, z, v, s.next(a))
		scoresPlain(cg2, a, stride, z)
		scoresPlain(ch2, a, stride, v)
		logisticLinkPlain(cg2, ch2, cg2, ch2, y)
	})
}

func TestLinks(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, n := range vectorLengths {
			for _, values := range [][]float64{{1}, {1e4, -1e4, 700, -700, 40, -40}, special} {
				s := newSource(t, n)
				x, dir, y := s.vec(n), s.vec(n), s.labels(n)
				s.spoil(x, values...)
				cg1, cg2 := s.output("LogisticLink cg", n)
				LogisticLink(cg1, nil, x, nil, y)
				logisticLinkPlain(cg2, nil, x, nil, y)
				cg1, cg2 = s.output("LogisticLink cg", n)
				ch1, ch2 := s.output("LogisticLink ch", n)
				LogisticLink(cg1, ch1, x, dir, y)
				logisticLinkPlain(cg2, ch2, x, dir, y)
				cg1, cg2 = s.output("LogisticLossLink cg", n)
				want := logisticLossLinkPlain(cg2, x, y)
				s.value("LogisticLossLink", LogisticLossLink(cg1, x, y), want)
				s.value("LogisticLoss", LogisticLoss(x, y), want)
				s.check(nil)
			}
		}
	})
}

// The coefficients of well classified rows keep their relative accuracy.
func TestLinkTails(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		x, y, s := []float64{-40, 40, -700, 700}, []float64{-1, 1, -1, 1}, []float64{1, 1, 1, 1}
		cg, ch := make([]float64, 4), make([]float64, 4)
		LogisticLink(cg, ch, x, s, y)
		for i := range x {
			e := math.Exp(-math.Abs(x[i]))
			if math.Abs(cg[i]+y[i]*e) > 1e-15*e || math.Abs(ch[i]-e) > 1e-15*e {
				t.Errorf("margin %v: cg = %v, ch = %v, want ±%v", x[i]*y[i], cg[i], ch[i], e)
			}
			if l := LogisticLoss(x[i:i+1], y[i:i+1]); math.Abs(l-e) > 1e-15*e {
				t.Errorf("margin %v: loss = %v, want %v", x[i]*y[i], l, e)
			}
		}
		if l := LogisticLoss([]float64{-1e4}, []float64{1}); l != 1e4 {
			t.Errorf("margin -1e4: loss = %v", l)
		}
	})
}

func TestK(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, d := range append([]int{0}, widths...) {
			for _, rows := range []int{0, 1, 3, 4, 5, 8, 13} {
				for _, k := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13} {
					s := newSource(t, 100*d+10*rows+k)
					a, stride := s.rows(rows, d)
					z, c, w, keep := s.vec(k*d), s.vec(k*rows), 1+s.rng.Float64(), []float64{0, 1, -.5}[s.rng.IntN(3)]
					t1, t2 := s.output("ScoresK", k*rows)
					ScoresK(t1, a, stride, z, k, d, rows)
					scoresKPlain(t2, a, stride, z, k, d, rows)
					dz1, dz2 := s.output("CombineK", k*d)
					s.forget(keep, dz1, dz2)
					CombineK(dz1, a, stride, c, k, d, rows, w, keep)
					combineKPlain(dz2, a, stride, c, k, d, rows, w, keep)
					if s.check(nil); t.Failed() {
						t.Fatalf("rows %d, d %d, k %d, keep %v", rows, d, k, keep)
					}
				}
			}
		}
	})
}

func TestSoftmax(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, m := range vectorLengths[:len(vectorLengths)-1] {
			for _, k := range []int{0, 1, 2, 3, 10} {
				for _, spoil := range []bool{false, true} {
					s := newSource(t, 10*m+k)
					got, want := s.output("Softmax", k*m)
					dir, dirWant := s.output("SoftmaxProduct", k*m)
					if spoil {
						s.spoil(got, special...)
						s.spoil(got, special...)
						s.spoil(dir, special...)
						if m > 0 {
							for c := range k {
								got[c*m+m/2] = math.Inf(-1)
							}
						}
						copy(want, got)
						copy(dirWant, dir)
					}
					Softmax(got, k, m)
					softmaxPlain(want, k, m)
					SoftmaxProduct(dir, want, k, m)
					softmaxProductPlain(dirWant, want, k, m)
					if s.check(nil); t.Failed() {
						t.Fatalf("m %d, k %d, special values %v", m, k, spoil)
					}
				}
			}
		}
	})
}

func TestGram(t *testing.T) {
	eachBatch(t, func(s *source, a []float64, stride, rows, d int, add bool) {
		if d > 100 {
			return
		}
		c, w := s.vec(rows), 1+s.rng.Float64()
		h1, h2 := s.output("Gram", d*d)
		Gram(h1, a, stride, d, c, w, add)
		gramPlain(h2, a, stride, d, c, w, add)
		s.check(func(i int) bool { return i%d > i/d })
		s.out = nil
	})
}

func TestSparse(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for k := range 70 {
			for _, n := range []int{0, 1, 2, 9} {
				s := newSource(t, 100*k+n)
				const columns = 12
				idx := make([]int32, n)
				for j := range idx {
					idx[j] = int32(s.rng.IntN(columns))
				}
				if n > 0 {
					idx[0] = columns - 1
				}
				val, z, c := s.vec(n), s.vec(columns*k), s.vec(k)
				t1, t2 := s.output("SparseScores", k)
				SparseScores(t1, idx, val, z, k)
				sparseScoresPlain(t2, idx, val, z, k)
				dz1, dz2 := s.output("SparseCombine", columns*k)
				SparseCombine(dz1, idx, val, c, k)
				sparseCombinePlain(dz2, idx, val, c, k)
				s.check(nil)
			}
		}
	})
}

func TestExpRidge(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		for _, n := range vectorLengths {
			for set := range 8 {
				s := newSource(t, n)
				z, x, v := s.vec(n), s.vec(n), s.vec(n)
				s.value("ExpRidgeValue", ExpRidgeValue(z, x, 0.5), expRidgeValuePlain(z, x, 0.5))
				s.spoil(x, 700, -700, 5000, -5000, math.NaN(), math.Inf(1), math.Inf(-1))
				add := n%2 == 0
				var got, want [3][]float64
				for i, name := range []string{"dz", "hv", "cv"} {
					if set>>i&1 == 1 {
						got[i], want[i] = s.output(name, n)
					}
				}
				if set < 2 {
					v = nil
				}
				ExpRidge(got[0], got[1], got[2], z, x, v, 0.5, add)
				expRidgePlain(want[0], want[1], want[2], z, x, v, 0.5, add)
				// e^700 would hide errors elsewhere: compare elements on their own,
				// with what they are added to.
				floor := 1e-300
				if add {
					floor = 1
				}
				for i := range got {
					for j := range got[i] {
						if !near(got[i][j], want[i][j], math.Abs(want[i][j])+floor) {
							t.Fatalf("n %d: output %d[%d] = %v, want %v", n, i, j, got[i][j], want[i][j])
						}
					}
				}
				s.check(nil)
				s.value("ExpRidgeValue", ExpRidgeValue(z, x, 0.5), expRidgeValuePlain(z, x, 0.5))
			}
		}
	})
}

// Any shape and contents: the fused kernels agree with their parts.
func TestFusedAgreeWithParts(t *testing.T) {
	eachTier(t, func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) {
			s := newSource(t, rapid.Int().Draw(r, "seed"))
			rows, d := rapid.IntRange(0, 150).Draw(r, "rows"), rapid.IntRange(1, 70).Draw(r, "d")
			a, stride := s.rows(rows, d)
			y, z, v := s.labels(rows), s.vec(d), s.vec(d)
			scores, dir := make([]float64, rows), make([]float64, rows)
			dz1, dz2 := s.output("dz", d)
			hv1, hv2 := s.output("hv", d)
			LogisticProducts(dz1, hv1, a, stride, y, z, v, 0.5, nil)
			Scores2(scores, dir, a, stride, z, v)
			loss := LogisticLoss(scores, y)
			LogisticLink(scores, dir, scores, dir, y)
			Combine2(dz2, hv2, a, stride, scores, dir, 0.5, false, nil)
			s.value("loss", LogisticValueGrad(nil, a, stride, y, z, 0.5, false, nil), 0.5*loss)
			s.check(nil)
		})
	})
}

func TestPanics(t *testing.T) {
	x, y, a := make([]float64, 3, 8), make([]float64, 4, 8), make([]float64, 32)
	idx := []int32{0, 1, 7, -1}
	eachTier(t, func(t *testing.T) {
		for name, f := range map[string]func(){
			"Dot":              func() { Dot(x, y) },
			"Axpy":             func() { Axpy(1, x, y) },
			"Axpby":            func() { Axpby(1, y, 1, x) },
			"Axpy2":            func() { Axpy2(1, y, x, y) },
			"SagaStep":         func() { SagaStep(y, y, x, 1, 1, 1, 1) },
			"SwapDiff":         func() { SwapDiff(x, y) },
			"Exp":              func() { Exp(x, y) },
			"stride":           func() { Scores(x, a, 9, y) },
			"narrow stride":    func() { Scores(x, a, 8, make([]float64, 9)) },
			"short rows":       func() { Scores(make([]float64, 5), a, 8, y) },
			"Combine2":         func() { Combine2(y, x, a, 8, y, y, 1, false, nil) },
			"LogisticProducts": func() { LogisticProducts(y, x, a, 8, x, y, y, 1, nil) },
			"LogisticHess":     func() { LogisticHess(y, a, 8, 4, y, x, 1, nil) },
			"LogisticLink":     func() { LogisticLink(y, y, y, nil, y) },
			"ScoresK":          func() { ScoresK(x, a, 8, y, 2, 2, 2) },
			"Softmax":          func() { Softmax(x, 1, 2) },
			"SoftmaxProduct":   func() { SoftmaxProduct(x, y, 1, len(x)) },
			"Gram":             func() { Gram(x, a, 8, 2, y, 1, false) },
			"column":           func() { SparseScores(x[:2], idx[:3], x, y, 2) },
			"negative column":  func() { SparseScores(x[:2], idx[3:], x[:1], y, 2) },
			"SparseCombine":    func() { SparseCombine(y, idx[:3], x, x[:2], 2) },
			"ExpRidge":         func() { ExpRidge(nil, y, nil, y, y, nil, 1, false) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", name)
					}
				}()
				f()
			}()
		}
	})
}

func TestTier(t *testing.T) {
	for _, tier := range []Tier{Plain, AVX2, AVX512} {
		if !Supported(tier) {
			continue
		}
		old := SetTier(tier)
		if Active() != tier {
			t.Errorf("SetTier(%v): active tier is %v", tier, Active())
		}
		SetTier(old)
	}
	if Supported(AVX512 + 1) {
		t.Error("unknown tier supported")
	}
}

func TestNoAllocations(t *testing.T) {
	s := newSource(t, 1)
	a, stride := s.rows(100, 22)
	y, z, v, dz, hv := s.labels(100), s.vec(22), s.vec(22), s.vec(22), s.vec(22)
	if n := testing.AllocsPerRun(10, func() {
		LogisticProducts(dz, hv, a, stride, y, z, v, 1, nil)
		LogisticValueGrad(dz, a, stride, y, z, 1, false, nil)
		ExpRidge(dz, hv, nil, z, v, v, 1, true)
		Axpy(1, dz, hv)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
