package stochastic

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Sizes of ijcnn1.
const (
	ijcnnTrain, ijcnnVal, ijcnnDim = 49990, 91701, 22
)

// linearData is rows with labels ±1.
type linearData struct {
	a *rows.Dense
	y []float64
}

func randomData(n, d int, seed uint64) linearData {
	rng := rand.New(rand.NewPCG(seed, 1))
	data := linearData{rows.NewDense(n, d), make([]float64, n)}
	for i := range n {
		t := 0.0
		for j := range d {
			a := rng.NormFloat64()
			data.a.Row(i)[j] = a
			t += a / float64(1+j)
		}
		data.y[i] = math.Copysign(1, t+rng.NormFloat64())
	}
	return data
}

// logisticProblem has one strength per feature.
func logisticProblem(train, val linearData) *bilevel.Problem {
	inner, err := model.NewLogistic(train.a, train.y, train.a.D)
	must(err)
	pen, err := model.NewPenalty(inner.Layout(), model.PerFeature, model.PenaltyOptions{})
	must(err)
	g, err := model.Regularize(inner, pen)
	must(err)
	f, err := model.NewLogistic(val.a, val.y, train.a.D)
	must(err)
	return &bilevel.Problem{Inner: g, Outer: f}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// plainRun is SOBA, or SABA with scalar memories, as straightforward loops over the same data: what one would
// write by hand for this one problem.
type plainRun struct {
	train, val          linearData
	z, x, v, dz, hv, fz []float64
	az, ah, af          []float64
	memG, memH, memF    []float64
	gi, fo              *sampling.Sampler
	rho, gamma          float64
}

func newPlain(train, val linearData, batch int, saba bool) *plainRun {
	d := train.a.D
	f := func() []float64 { return make([]float64, d) }
	r := &plainRun{train: train, val: val, z: f(), x: f(), v: f(), dz: f(), hv: f(), fz: f(), rho: benchRho,
		gamma: benchGamma, gi: sampling.NewSampler(sampling.NewPartition(train.a.N, batch), 1, 1,
			false), fo: sampling.NewSampler(sampling.NewPartition(val.a.N, batch), 1, 2, false)}
	if saba {
		r.az, r.ah, r.af = f(), f(), f()
		r.memG, r.memH, r.memF = make([]float64, train.a.N), make([]float64, train.a.N), make([]float64, val.a.N)
	}
	return r
}

const benchRho, benchGamma = 1e-3, 1e-3

func (r *plainRun) soba() {
	d := len(r.z)
	z, x, v, dz, hv, fz := r.z, r.x[:d], r.v[:d], r.dz[:d], r.hv[:d], r.fz[:d]
	b, c := r.gi.Next().Batch, r.fo.Next().Batch
	clear(dz)
	clear(hv)
	clear(fz)
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		a := r.train.a.Row(i)[:d]
		t, s := 0.0, 0.0
		for j, aj := range a {
			t += aj * z[j]
			s += aj * v[j]
		}
		y := r.train.y[i]
		e := math.Exp(-y * t)
		q := 1 / (1 + e)
		al, be := -y*e*q*w, q*e*q*s*w
		for j, aj := range a {
			dz[j] += al * aj
			hv[j] += be * aj
		}
	}
	w = 1 / float64(c.Len())
	for i := c.Lo; i < c.Hi; i++ {
		a := r.val.a.Row(i)[:d]
		t := 0.0
		for j, aj := range a {
			t += aj * z[j]
		}
		y := r.val.y[i]
		e := math.Exp(-y * t)
		al := -y * e / (1 + e) * w
		for j, aj := range a {
			fz[j] += al * aj
		}
	}
	for j := range z {
		e := math.Exp(x[j])
		zj, vj := z[j], v[j]
		z[j] = zj - r.rho*(dz[j]+e*zj)
		v[j] = vj - r.rho*(hv[j]+e*vj+fz[j])
		x[j] -= r.gamma * e * zj * vj
	}
}

func (r *plainRun) saba() {
	d := len(r.z)
	z, x, v, dz, hv, fz := r.z, r.x[:d], r.v[:d], r.dz[:d], r.hv[:d], r.fz[:d]
	az, ah, af := r.az[:d], r.ah[:d], r.af[:d]
	xi, zeta := r.gi.Next(), r.fo.Next()
	b, wb, c, wc := xi.Batch, xi.Weight, zeta.Batch, zeta.Weight
	clear(dz)
	clear(hv)
	clear(fz)
	w := 1 / float64(b.Len())
	for i := b.Lo; i < b.Hi; i++ {
		a := r.train.a.Row(i)[:d]
		t, s := 0.0, 0.0
		for j, aj := range a {
			t += aj * z[j]
			s += aj * v[j]
		}
		y := r.train.y[i]
		e := math.Exp(-y * t)
		q := 1 / (1 + e)
		al, be := -y*e*q, q*e*q*s
		dal, dbe := (al-r.memG[i])*w, (be-r.memH[i])*w
		r.memG[i], r.memH[i] = al, be
		for j, aj := range a {
			dz[j] += dal * aj
			hv[j] += dbe * aj
		}
	}
	w = 1 / float64(c.Len())
	for i := c.Lo; i < c.Hi; i++ {
		a := r.val.a.Row(i)[:d]
		t := 0.0
		for j, aj := range a {
			t += aj * z[j]
		}
		y := r.val.y[i]
		e := math.Exp(-y * t)
		al := -y * e / (1 + e)
		dal := (al - r.memF[i]) * w
		r.memF[i] = al
		for j, aj := range a {
			fz[j] += dal * aj
		}
	}
	sb, sc := float64(b.Len())/float64(r.train.a.N), float64(c.Len())/float64(r.val.a.N)
	for j := range z {
		e := math.Exp(x[j])
		zj, vj := z[j], v[j]
		z[j] = zj - r.rho*(wb*dz[j]+az[j]+e*zj)
		v[j] = vj - r.rho*(wb*hv[j]+ah[j]+e*vj+wc*fz[j]+af[j])
		x[j] -= r.gamma * e * zj * vj
		az[j] += sb * dz[j]
		ah[j] += sb * hv[j]
		af[j] += sc * fz[j]
	}
}

// BenchmarkStep is the cost of one step at ijcnn1's size; plain and plainSABA are hand-written loops of the
// same arithmetic.
func BenchmarkStep(b *testing.B) {
	train, val := randomData(ijcnnTrain, ijcnnDim, 1), randomData(ijcnnVal, ijcnnDim, 2)
	p := logisticProblem(train, val)
	size := func(name string, batch int) string { return fmt.Sprintf("%s/ijcnn1/batch=%d", name, batch) }
	for _, batch := range []int{64, 1} {
		for _, saba := range []bool{false, true} {
			name, plain := "SOBA", "plain"
			var m bilevel.Method = SOBA{Batch: batch, InnerStep: Constant(benchRho), OuterStep: Constant(benchGamma)}
			if saba {
				name, plain = "SABA", "plainSABA"
				m = SABA{Batch: batch, InnerStep: Constant(benchRho), OuterStep: Constant(benchGamma)}
			}
			b.Run(size(plain, batch), func(b *testing.B) {
				r := newPlain(train, val, batch, saba)
				step := r.soba
				if saba {
					step = r.saba
				}
				b.ReportAllocs()
				for b.Loop() {
					step()
				}
			})
			b.Run(size(name, batch), func(b *testing.B) {
				before := heap()
				run, err := m.Start(p, bilevel.Point{}, 1)
				must(err)
				b.ReportAllocs()
				for b.Loop() {
					must(run.Step(context.Background()))
				}
				if saba {
					b.ReportMetric(float64(heap()-before)/float64(8*(len(train.a.Data)+len(val.a.Data))), "state/data")
				}
				runtime.KeepAlive(run)
			})
		}
	}
	runtime.KeepAlive(p)
}

// BenchmarkOther is the cost of one step of the other methods at ijcnn1's size and batch 64, full passes included, with
// 10 inner steps and 10 terms where there are any.
func BenchmarkOther(b *testing.B) {
	train, val := randomData(ijcnnTrain, ijcnnDim, 1), randomData(ijcnnVal, ijcnnDim, 2)
	p := logisticProblem(train, val)
	in, out := Constant(benchRho), Constant(benchGamma)
	for _, m := range []bilevel.Method{SRBA{InnerStep: in, OuterStep: out}, MASOBA{InnerStep: in, OuterStep: out},
		FSLA{InnerStep: in, OuterStep: out}, StocBiO{InnerStep: in, OuterStep: out}, AmIGO{InnerStep: in, OuterStep: out},
		MRBO{InnerStep: in, OuterStep: out}, SUSTAIN{InnerStep: in, OuterStep: out}, BSA{InnerStep: in, OuterStep: out},
		TTSA{InnerStep: in, OuterStep: out},
		VRBO{InnerStep: in, OuterStep: out}, PZOBO{InnerStep: in, OuterStep: out}} {
		benchmarkSteps(b, reflect.TypeOf(m).Name()+"/ijcnn1/batch=64", m, p)
	}
}

// BenchmarkCleaning is the cost of one step on data cleaning with MNIST's sizes.
func BenchmarkCleaning(b *testing.B) {
	p := cleaningProblem(20000, 5000, 784, 10)
	in, out := Constant(benchRho), Constant(benchGamma)
	for _, batch := range []int{64, 1} {
		for _, m := range []bilevel.Method{SOBA{Batch: batch, InnerStep: in, OuterStep: out},
			SABA{Batch: batch, InnerStep: in, OuterStep: out}, SRBA{Batch: batch, InnerStep: in, OuterStep: out},
			StocBiO{Batch: batch,
				InnerStep: in, OuterStep: out}, AmIGO{Batch: batch, InnerStep: in, OuterStep: out}} {
			benchmarkSteps(b, fmt.Sprintf("%s/cleaning/batch=%d", reflect.TypeOf(m).Name(), batch), m, p)
		}
	}
}

func benchmarkSteps(b *testing.B, name string, m bilevel.Method, p *bilevel.Problem) {
	b.Run(name, func(b *testing.B) {
		run, err := m.Start(p, bilevel.Point{}, 1)
		must(err)
		b.ReportAllocs()
		for b.Loop() {
			must(run.Step(context.Background()))
		}
	})
}

// newsgroups is the shape of 20 newsgroups' training half: 5,657 rows of 150 non-zeros among 130,107 features.
func newsgroups(classes int) *bilevel.Problem {
	const n, d, nnz = 5657, 130107, 150
	var losses [2]*model.Loss
	for half := range losses {
		rng := rand.New(rand.NewPCG(1, uint64(half)))
		a := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}
		class, sign := make([]int, n), make([]float64, n)
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
			class[i], sign[i] = rng.IntN(max(classes, 2)), float64(1-2*rng.IntN(2))
		}
		var err error
		if classes > 1 {
			losses[half], err = model.NewSoftmax(a, class, classes, d)
		} else {
			losses[half], err = model.NewLogistic(a, sign, d)
		}
		must(err)
	}
	pen, err := model.NewPenalty(losses[0].Layout(), model.PerFeature,
		model.PenaltyOptions{Scale: 1. / float64(d*classes)})
	must(err)
	g, err := model.Regularize(losses[0], pen)
	must(err)
	return &bilevel.Problem{Inner: g, Outer: losses[1]}
}

// BenchmarkSupport is a step at the shape of 20 newsgroups, batch 64, with and without support reweighting.
func BenchmarkSupport(b *testing.B) {
	for _, classes := range []int{1, 20} {
		p := newsgroups(classes)
		d, q := p.Dims()
		at := bilevel.Point{Z: fill(d, .01), X: fill(q, 0), V: fill(d, -.01)}
		for _, support := range []bool{false, true} {
			for _, m := range []namedMethod{
				{"SOBA", SOBA{InnerStep: Constant(benchRho), OuterStep: Constant(benchGamma), Support: support}},
				{"SABA", SABA{InnerStep: Constant(benchRho), OuterStep: Constant(benchGamma), Support: support}},
			} {
				b.Run(fmt.Sprintf("%s/classes=%d/support=%v", m.name, classes, support), func(b *testing.B) {
					run, err := m.m.Start(p, at, 1)
					must(err)
					b.ReportAllocs()
					for b.Loop() {
						must(run.Step(context.Background()))
					}
				})
			}
		}
	}
}

// heap is the number of bytes in live objects.
func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
