package stochastic

import (
	"fmt"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/sampling"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// supported is SOBA or SABA by support reweighting over vectors of full length, with masks: train and val are the rows
// of g and f, which have k scores. With S and T the features that the blocks of ξ and ζ see and r = 1/P(feature in S),
//
//	D_z = (w/π)δ(∇z g) + 1_S r (avg(∇z g) + ∇z exact)
//	D_v = (w/π)δ(Hv) + (w/π)δ(∇z f) + 1_S r (avg(Hv) + avg(∇z f) + ∇²zz exact·v)
//	D_x = ∇²xz exact·(1_S r v)
//
// where δ is the change of the memory and avg its average, and without a memory the value and zero. Features that no
// block of g sees are dealt out to its blocks of full length in turn. Where features share strengths D_x has a memory
// with weights π too.
func supported(train, val *rows.CSR, k int, remembers, warm, shares bool) func(s *naive) func() {
	return func(s *naive) func() {
		seenBy := func(a *rows.CSR, b bilevel.Batch) []bool {
			seen := make([]bool, a.D)
			for i := b.Lo; i < b.Hi; i++ {
				idx, _ := a.Row(i)
				for _, j := range idx {
					seen[j] = true
				}
			}
			return seen
		}
		// S of every block of g, and r.
		sees := map[int][]bool{}
		var order []bilevel.Batch
		for lo := 0; lo < s.n; lo += s.batch {
			b := bilevel.Batch{Lo: lo, Hi: min(lo+s.batch, s.n)}
			order, sees[b.Lo] = append(order, b), seenBy(train, b)
		}
		turn := 0
		r := make([]float64, train.D)
		for j := range r {
			for _, b := range order {
				if sees[b.Lo][j] {
					r[j] += s.probability(b, s.n)
				}
			}
			if r[j] == 0 {
				b := order[turn%(s.n/min(s.batch, s.n))]
				sees[b.Lo][j], r[j] = true, s.probability(b, s.n)
				turn++
			}
			r[j] = 1 / r[j]
		}
		reweigh := func(b bilevel.Batch, v []float64) []float64 { // 1_S r v
			out := make([]float64, len(v))
			for i := range v {
				if j := i / k; sees[b.Lo][j] {
					out[i] = r[j] * v[i]
				}
			}
			return out
		}
		d, p := len(s.z), len(s.x)
		mz, mh, mf, mx := newMemory(d, s.n), newMemory(d, s.n), newMemory(d, s.m), newMemory(p, s.n)
		g, f, exact := parts{sampled: s.g.sampled}, parts{sampled: s.f.sampled}, parts{sampled: s.g.exact}
		// change is (w/π)δ of a quantity, whose memory it updates.
		change := func(m *memory, now []float64, b bilevel.Batch, pi float64) []float64 {
			if !remembers {
				return plus(make([]float64, d), float64(b.Len())/float64(m.n)/pi, now)
			}
			avg := m.avg
			return plus(m.estimate(now, b, pi), -1, avg)
		}
		cross := func(b bilevel.Batch) []float64 {
			return exact.cross(s.z, s.x, reweigh(b, s.v), sample{sampling.Exactly, 1})
		}
		// learnX is the estimate of D_x from the block b and what it remembers of others.
		learnX := func(b bilevel.Batch) []float64 {
			old := mx.of[b.Lo]
			if old == nil {
				old = make([]float64, p)
			}
			now := cross(b)
			delta := plus(now, -1, old)
			dx := plus(mx.avg, 1, delta)
			mx.of[b.Lo], mx.avg = now, plus(mx.avg, s.probability(b, s.n), delta)
			return dx
		}
		evaluate := func(b bilevel.Batch) (dz, hv []float64) {
			xi := sample{b, 1}
			dz, _ = g.grad(s.z, s.x, xi)
			return dz, g.hess(s.z, s.x, s.v, xi)
		}
		gradF := func(b bilevel.Batch) []float64 {
			fz, _ := f.grad(s.z, s.x, sample{b, 1})
			return fz
		}
		if warm {
			for _, b := range order {
				dz, hv := evaluate(b)
				mz.estimate(dz, b, 1)
				mh.estimate(hv, b, 1)
				learnX(b)
			}
			for lo := 0; lo < s.m; lo += s.batch {
				b := bilevel.Batch{Lo: lo, Hi: min(lo+s.batch, s.m)}
				mf.estimate(gradF(b), b, 1)
			}
		}
		return func() {
			b, c := s.xi().b, s.zeta().b
			pi, pf := s.probability(b, s.n), s.probability(c, s.m)
			ez, _ := exact.grad(s.z, s.x, sample{sampling.Exactly, 1})
			eh := exact.hess(s.z, s.x, s.v, sample{sampling.Exactly, 1})
			avgZ, avgV := plus(mz.avg, 1, ez), plus(plus(mh.avg, 1, mf.avg), 1, eh)
			dx := cross(b)
			if remembers && shares {
				dx = learnX(b)
			}
			dz, hv := evaluate(b)
			dz = plus(change(mz, dz, b, pi), 1, reweigh(b, avgZ))
			dv := plus(plus(change(mh, hv, b, pi), 1, change(mf, gradF(c), c, pf)), 1, reweigh(b, avgV))
			s.z, s.v = plus(s.z, -s.rho(), dz), plus(s.v, -s.rho(), dv)
			s.move(dx)
		}
	}
}

func TestSupportStepsAreTheFormulas(t *testing.T) {
	const n, m, d = 131, 77, 30
	for i, c := range []struct {
		classes   int
		kind      model.Strengths
		intercept bool
	}{
		{1, model.PerFeature, false}, {1, model.Shared, true}, {1, model.PerGroup, false},
		{3, model.PerFeature, true}, {3, model.PerClass, false},
	} {
		train, val := sparseRows(n, d, d-7, c.intercept, 1), sparseRows(m, d, d-3, c.intercept, 2)
		for _, k := range []knobs{
			{batch: 8, in: Constant(.05), out: Decaying(.3, .2)},
			{batch: 8, in: Decaying(.05, .3), out: Constant(.05), shuffle: true},
			{batch: 1, in: Constant(.01), out: Constant(.05)},
		} {
			p := sparseProblem(c.classes, c.kind, c.intercept)
			dim, q := p.Dims()
			at := bilevel.Point{Z: waves(dim, .3), X: plus(fill(q, -2), 1, waves(q, .2)), V: waves(dim, -.2)}
			if i == 0 {
				p.Lower, p.Upper = fill(q, -2.1), fill(q, -1.9)
				p.Upper[5] = math.Inf(1)
			}
			shares := c.kind != model.PerFeature
			for _, f := range []formula{
				{"SOBA", SOBA{Batch: k.batch, InnerStep: k.in, OuterStep: k.out, Shuffle: k.shuffle, Support: true},
					supported(train, val, c.classes, false, false, shares)},
				{"SABA", SABA{Batch: k.batch, InnerStep: k.in, OuterStep: k.out, Shuffle: k.shuffle, Support: true},
					supported(train, val, c.classes, true, false, shares)},
				{"SABA warm", SABA{Batch: k.batch, InnerStep: k.in, OuterStep: k.out, Shuffle: k.shuffle, Support: true,
					Warm: true}, supported(train, val, c.classes, true, true, shares)},
			} {
				name := fmt.Sprintf("%s, %d classes, %v, %+v", f.name, c.classes, c.kind, k)
				follow(t, name, f.m, k, f.plain, p, at, 40)
			}
		}
	}
}
