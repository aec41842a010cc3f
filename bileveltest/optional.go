package bileveltest

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
)

func (pr *probe) checkValueGrad(r *report, o bilevel.ValueGradienter) {
	for i, at := range pr.points {
		for _, b := range pr.memoryBatches() {
			dz, dx := make([]float64, pr.d), make([]float64, pr.p)
			value := o.ValueGrad(dz, dx, at.z, at.x, b)
			gz, gx := pr.grad(at.z, at.x, b)
			if want := pr.value(at.z, at.x, b); !(math.Abs(value-want) <= pr.opts.Round*(1+math.Abs(want))) {
				r.errorf("over %v at point %d: value %.10g, Value gives %.10g", b, i, value, want)
			}
			r.compare("Grad", b, i, pr.opts.Round, "dz", dz, gz, "dx", dx, gx)
		}
	}
}

// checkColumnNorms looks whether ColumnNorms writes sizes, all of them, and that a column of zeros is one that the
// terms of a [bilevel.Splitter] that are sampled, or else all terms, do not see.
func (pr *probe) checkColumnNorms(r *report, o bilevel.ColumnNormer) {
	norms := make([]float64, pr.d)
	for i := range norms {
		norms[i] = math.NaN()
	}
	o.ColumnNorms(norms)
	var sampled bilevel.Objective = pr.o
	if s, ok := pr.o.(bilevel.Splitter); ok {
		sampled, _ = s.Split()
	}
	for i, c := range norms {
		if !(c >= 0) || math.IsInf(c, 0) {
			r.errorf("the norm of column %d is %v", i, c)
		}
	}
	for _, at := range pr.points {
		dz := make([]float64, pr.d)
		sampled.Grad(dz, nil, at.z, at.x, bilevel.All(sampled))
		for i, g := range dz {
			if norms[i] == 0 && g != 0 {
				r.errorf("the norm of column %d is zero, and the gradient of the sampled terms is %v there", i, g)
			}
		}
	}
}

// checkPair compares PairGrad and PairDescend with Grad at two points.
func (pr *probe) checkPair(r *report, o bilevel.PairGradienter) {
	for i, at := range pr.points {
		for _, b := range pr.memoryBatches() {
			y, z := at.z, at.w
			wantY, wantX := pr.grad(y, at.x, b)
			wantZ, otherX := pr.grad(z, at.x, b)
			// Terms that cancel in dx leave rounding errors of their own size.
			slack := pr.opts.Round * (1 + floats.Norm(wantX, math.Inf(1)) + floats.Norm(otherX, math.Inf(1)))
			floats.Sub(wantX, otherX)
			sameX := func(method string, dx []float64) {
				for j, want := range wantX {
					if !(math.Abs(dx[j]-want) <= slack) {
						r.errorf("over %v at point %d: %s gives dx[%d] = %.10g, the difference of Grad is %.10g",
							b, i, method, j, dx[j], want)
						return
					}
				}
			}
			dy, dz, dx := make([]float64, pr.d), make([]float64, pr.d), make([]float64, pr.p)
			o.PairGrad(dy, dz, dx, y, z, at.x, b)
			r.compare("Grad", b, i, pr.opts.Round, "dy", dy, wantY, "dz", dz, wantZ)
			sameX("PairGrad", dx)
			const a, c = 0.3, 0.7
			dx = make([]float64, pr.p)
			sy, sz := append([]float64(nil), y...), append([]float64(nil), z...)
			o.PairDescend(dx, sy, sz, at.x, at.v, a, c, b)
			sameX("PairDescend", dx)
			floats.AddScaled(wantY, c/a, at.v)
			wantY, wantZ = floats.AddScaledTo(wantY, y, -a, wantY), floats.AddScaledTo(wantZ, z, -a, wantZ)
			r.compare("a step along Grad", b, i, pr.opts.Round, "y", sy, wantY, "z", sz, wantZ)
			if pr.opts.NoAllocations {
				if n := testing.AllocsPerRun(20, func() { o.PairGrad(dy, dz, dx, y, z, at.x, b) }); n > 0 {
					r.errorf("PairGrad allocates %v times a call", n)
				}
			}
		}
	}
}

// checkCross compares Cross with its transpose in Products and with differences of gradients.
func (pr *probe) checkCross(r *report, o bilevel.Crosser) {
	if pr.second == nil {
		return // a Func is not a Crosser; other types have Products
	}
	rng := pr.rng(8)
	for i, at := range pr.points {
		for _, b := range pr.batches {
			got := make([]float64, pr.d)
			o.Cross(got, at.z, at.x, at.y, b)
			_, _, cv := pr.products(at.z, at.x, at.v, b)
			left, right := floats.Dot(got, at.v), floats.Dot(cv, at.y)
			scale := floats.Norm(got, 2)*floats.Norm(at.v, 2) + floats.Norm(cv, 2)*floats.Norm(at.y, 2)
			if !(math.Abs(left-right) <= pr.opts.Round*scale) {
				r.errorf("over %v at point %d: ⟨Cross(y), v⟩ = %.10g, ⟨y, cv⟩ of Products %.10g", b, i, left, right)
			}
			for _, dir := range pr.directions(at.x, true, 0, 0, rng) {
				o.Cross(got, at.z, at.x, dir.u, b)
				want, slack := difference(func(s float64) []float64 {
					dz, _ := pr.grad(at.z, along(at.x, dir.u, s), b)
					return dz
				}, dir.h)
				for k := range got {
					if pr.far(got[k], want[k], slack[k]) {
						r.errorf("over %v at point %d: dz[%d] along %s is %.10g, finite differences of Grad %.10g ± %.1g", b, i, k,
							dir.name("x"), got[k], want[k], slack[k])
					}
				}
			}
		}
	}
}

// compare reports where pairs of vectors, given as name, got, want, differ.
func (r *report) compare(with string, b bilevel.Batch, at int, tol float64, triples ...any) {
	for i := 0; i < len(triples); i += 3 {
		got, want := triples[i+1].([]float64), triples[i+2].([]float64)
		if k := firstApart(got, want, tol); k >= 0 {
			r.errorf("over %v at point %d: %v[%d] = %.10g, %s gives %.10g", b, at, triples[i], k, got[k], with, want[k])
		}
	}
}

func (pr *probe) checkLocal(r *report) {
	at := pr.points[0]
	type span struct {
		b      bilevel.Batch
		lo, hi int
	}
	for _, parts := range partitions(pr.n, pr.rng(5)) {
		var spans []span
		for _, b := range parts {
			lo, hi := pr.local.OuterRange(b)
			if lo < 0 || hi > pr.p || lo > hi {
				r.errorf("OuterRange(%v) = [%d, %d) is not within [0, %d)", b, lo, hi, pr.p)
				return
			}
			if lo < hi {
				spans = append(spans, span{b, lo, hi})
			}
		}
		for i, s := range spans {
			for _, t := range spans[:i] {
				if s.lo < t.hi && t.lo < s.hi {
					r.errorf("disjoint batches %v and %v have overlapping ranges [%d, %d) and [%d, %d)",
						t.b, s.b, t.lo, t.hi, s.lo, s.hi)
				}
			}
		}
	}
	for _, b := range pr.batches {
		lo, hi := pr.local.OuterRange(b)
		// x outside the range must not matter.
		x := append([]float64(nil), at.x...)
		for j := range x {
			if j >= lo && j < hi {
				continue
			}
			l, u := bounds(pr.opts, j)
			x[j] = min(max(x[j]+0.37, l), u)
		}
		moved, value := pr.value(at.z, x, b), pr.value(at.z, at.x, b)
		if !(math.Abs(moved-value) <= pr.opts.Round*(1+math.Abs(value))) {
			r.errorf("Value over %v depends on x outside OuterRange [%d, %d): %.10g became %.10g", b, lo, hi, value, moved)
		}
		dz, _ := pr.grad(at.z, x, b)
		want, _ := pr.grad(at.z, at.x, b)
		if firstApart(dz, want, pr.opts.Round) >= 0 {
			r.errorf("dz over %v depends on x outside OuterRange [%d, %d)", b, lo, hi)
		}
		if pr.second == nil {
			continue
		}
		wantDz, wantHv, cv := pr.products(at.z, at.x, at.v, b)
		_, dx := pr.grad(at.z, at.x, b)
		for j := range cv {
			if (j < lo || j >= hi) && (cv[j] != 0 || dx[j] != 0) {
				r.errorf("over %v dx[%d] = %v and cv[%d] = %v outside OuterRange [%d, %d)", b, j, dx[j], j, cv[j], lo, hi)
				break
			}
		}
		if !bilevel.EntersX(pr.o) {
			continue
		}
		gz, hv, own := make([]float64, pr.d), make([]float64, pr.d), make([]float64, hi-lo)
		pr.local.LocalProducts(gz, hv, own, at.z, at.x, at.v, b)
		r.compare("Products", b, 0, pr.opts.Round, "dz of LocalProducts", gz, wantDz, "hv of LocalProducts", hv, wantHv,
			"cv of LocalProducts", own, cv[lo:hi])
	}
}

func (pr *probe) checkLinearizer(r *report, o bilevel.Linearizer) {
	if pr.second == nil {
		r.errorf("a Linearizer without Products")
		return
	}
	for i, at := range pr.points {
		for _, b := range pr.batches {
			z, x := append([]float64(nil), at.z...), append([]float64(nil), at.x...)
			o.Linearize(z, x, b)
			for k := range z {
				z[k] = math.NaN()
			}
			for k := range x {
				x[k] = math.NaN()
			}
			// Several products at the fixed point, in the middle one of which only half is asked for.
			hv, cv := make([]float64, pr.d), make([]float64, pr.p)
			hw, cw := make([]float64, pr.d), make([]float64, pr.p)
			again := make([]float64, pr.d)
			o.Apply(hv, cv, at.v)
			o.Apply(hw, nil, at.w)
			o.Apply(nil, cw, at.w)
			o.Apply(again, nil, at.v)
			_, wantHv, wantCv := pr.products(at.z, at.x, at.v, b)
			_, wantHw, wantCw := pr.products(at.z, at.x, at.w, b)
			r.compare("Products", b, i, pr.opts.Round, "hv", hv, wantHv, "cv", cv, wantCv, "second hv", hw, wantHw, "second cv",
				cw, wantCw, "hv again", again, wantHv)
			if pr.opts.NoAllocations {
				if n := testing.AllocsPerRun(20, func() { o.Apply(hv, cv, at.v) }); n > 0 {
					r.errorf("Apply allocates %v times a call", n)
				}
			}
		}
	}
}

func (pr *probe) checkHessian(r *report, o bilevel.HessianMatrix) {
	if pr.second == nil {
		r.errorf("a HessianMatrix without Products")
		return
	}
	if pr.d > 1000 {
		return
	}
	dst := make([]float64, pr.d*pr.d)
	for i, at := range pr.points {
		for _, b := range pr.batches {
			o.Hessian(context.Background(), dst, at.z, at.x, b)
			scale := 0.0
			for row := range pr.d {
				for col := range row + 1 {
					scale = max(scale, math.Abs(dst[row*pr.d+col]))
				}
			}
			rng := pr.rng(6)
			for c := range min(pr.d, pr.opts.Coordinates) {
				col := c
				if pr.d > pr.opts.Coordinates {
					col = rng.IntN(pr.d)
				}
				e := make([]float64, pr.d)
				e[col] = 1
				_, hv, _ := pr.products(at.z, at.x, e, b)
				for row := col; row < pr.d; row++ {
					if got := dst[row*pr.d+col]; !(math.Abs(got-hv[row]) <= pr.opts.Round*max(scale, math.Abs(hv[row]))) {
						r.errorf("over %v at point %d: entry (%d, %d) is %.10g, Products gives %.10g", b, i, row, col, got, hv[row])
					}
				}
			}
		}
	}
}

func (pr *probe) checkParts(r *report, o bilevel.Divisible) {
	parts := o.Parts()
	if parts == nil {
		return
	}
	for i, at := range pr.points {
		for _, b := range pr.batches {
			wantDz, wantHv, wantCv := pr.products(at.z, at.x, at.v, b)
			want := []float64{pr.o.Value(at.z, at.x, b)}
			value, cv := []float64{0}, make([]float64, len(wantCv))
			dz, hv := make([]float64, pr.d), make([]float64, pr.d)
			lo := 0
			for _, p := range parts {
				d, outer := p.Dims()
				if outer != len(at.x) || p.Samples() != pr.o.Samples() || lo+d > pr.d {
					r.errorf("a part has %d samples and dimensions d = %d, p = %d", p.Samples(), d, outer)
					return
				}
				part := make([]float64, outer)
				p.Products(dz[lo:lo+d], hv[lo:lo+d], part, at.z[lo:lo+d], at.x, at.v[lo:lo+d], b)
				for j, c := range part {
					cv[j] += c
				}
				value[0] += p.Value(at.z[lo:lo+d], at.x, b)
				lo += d
			}
			if lo != pr.d {
				r.errorf("the parts have %d of %d coefficients", lo, pr.d)
				return
			}
			r.compare("the sum", b, i, pr.opts.Round, "dz", dz, wantDz, "hv", hv, wantHv, "cv", cv, wantCv, "value", value, want)
		}
	}
}

func (pr *probe) checkBlocks(r *report, o bilevel.HessianBlocks) {
	if pr.second == nil {
		r.errorf("a HessianBlocks without Products")
		return
	}
	s := o.BlockSize()
	if s < 1 || pr.d%s != 0 {
		r.errorf("block size %d does not divide d = %d", s, pr.d)
		return
	}
	const guard = 8
	buf := make([]float64, pr.d*s+guard)
	dst := buf[:pr.d*s]
	e := make([]float64, pr.d)
	for i, at := range pr.points {
		for _, b := range pr.batches {
			for k := range buf {
				buf[k] = math.NaN()
			}
			o.Blocks(context.Background(), dst, at.z, at.x, b)
			for _, v := range buf[len(dst):] {
				if !math.IsNaN(v) {
					r.errorf("over %v at point %d: writes past the end of dst", b, i)
					break
				}
			}
			scale := 0.0
			for row := range pr.d {
				for col := range row%s + 1 {
					scale = max(scale, math.Abs(dst[row*s+col]))
				}
			}
			for col := range pr.d {
				e[col] = 1
				_, hv, _ := pr.products(at.z, at.x, e, b)
				e[col] = 0
				for row := col; row < (col/s+1)*s; row++ {
					if got := dst[row*s+col%s]; !(math.Abs(got-hv[row]) <= pr.opts.Round*max(scale, math.Abs(hv[row]))) {
						r.errorf("over %v at point %d: entry (%d, %d) is %.10g, Products gives %.10g", b, i, row, col, got, hv[row])
					}
				}
			}
		}
	}
}

// checkRow makes the scores of each sample from its row, and its gradient from row and coefficients.
func (pr *probe) checkRow(r *report, o bilevel.Linear) {
	at, k := pr.points[0], o.Scores()
	for _, b := range pr.batches {
		for i := b.Lo; i < b.Hi; i++ {
			row := o.Row(i)
			if row == nil {
				continue
			}
			if len(row)*k != pr.d {
				r.errorf("Row(%d) has length %d, z %d and a sample %d scores", i, len(row), pr.d, k)
				return
			}
			single := bilevel.Batch{Lo: i, Hi: i + 1, Draw: b.Draw}
			c, got := make([]float64, k), make([]float64, 0, pr.d)
			o.Coefs(c, nil, nil, at.z, at.x, nil, single)
			for _, cj := range c {
				for _, a := range row {
					got = append(got, cj*a)
				}
			}
			want, _ := pr.grad(at.z, at.x, single)
			r.compare("Grad", single, 0, pr.opts.Round, "coefficients times Row", got, want)
		}
	}
}

func (pr *probe) checkPrefetch(r *report, o bilevel.Linear) {
	at := pr.points[0]
	for _, oracle := range pr.oracles {
		for _, b := range pr.batches {
			mask := full(oracle.dst(b))
			want := oracle.ask(nil, mask, at, b)
			for _, next := range []bilevel.Batch{b, {Lo: 0, Hi: 1}, {Lo: pr.n - 1, Hi: pr.n}, pr.all()} {
				o.Prefetch(next)
				if diff := oracle.sameBits(b, oracle.ask(nil, mask, at, b), want); diff != "" {
					r.errorf("after Prefetch(%v): %s", next, diff)
				}
			}
		}
	}
}

func (pr *probe) checkLinear(r *report, o bilevel.Linear) {
	if pr.second == nil {
		return // a Func is not Linear; other types have Products
	}
	k := o.Scores()
	if k < 1 {
		r.errorf("Scores() = %d", k)
		return
	}
	for i, at := range pr.points {
		for _, b := range pr.batches {
			n := b.Len()
			cg, ch := make([]float64, k*n), make([]float64, k*n)
			lo, hi := pr.outerRange(b)
			cv, dz, hv := make([]float64, hi-lo), make([]float64, pr.d), make([]float64, pr.d)
			o.Coefs(cg, ch, cv, at.z, at.x, at.v, b)
			o.Combine(dz, hv, cg, ch, 1, 0, b)
			wantDz, wantHv, wantCv := pr.products(at.z, at.x, at.v, b)
			r.compare("Products", b, i, pr.opts.Round, "dz of Coefs and Combine", dz, wantDz,
				"hv of Coefs and Combine", hv, wantHv, "cv of Coefs", cv, wantCv[lo:hi])
			// Into vectors that hold something, with a weight.
			for _, keep := range []float64{0, 1, 0.75} {
				const w = -0.5
				gotZ, gotV := append([]float64(nil), at.w...), append([]float64(nil), at.v...)
				if keep == 0 { // whatever was there
					gotZ[0], gotV[0] = math.NaN(), math.Inf(1)
				}
				o.Combine(gotZ, gotV, cg, ch, w, keep, b)
				sumZ, sumV := make([]float64, pr.d), make([]float64, pr.d)
				for l := range sumZ {
					sumZ[l], sumV[l] = keep*at.w[l]+w*dz[l], keep*at.v[l]+w*hv[l]
				}
				r.compare("keep·dst + w·mean", b, i, pr.opts.Round, "dz of Combine", gotZ, sumZ, "hv of Combine", gotV, sumV)
			}
			// Score by score: sample l, score j is at c[j·n+l], as batches of one sample say. And Combine is the
			// mean of what it gives for one sample, with any coefficients.
			any, sum := make([]float64, k*n), make([]float64, pr.d)
			rng := pr.rng(7)
			for c := range any {
				any[c] = rng.NormFloat64()
			}
			one, oneH, oneAny, part := make([]float64, k), make([]float64, k), make([]float64, k), make([]float64, pr.d)
			gather, gatherH := make([]float64, k*n), make([]float64, k*n)
			scale := 0.0
			for l := range n {
				single := bilevel.Batch{Lo: b.Lo + l, Hi: b.Lo + l + 1, Draw: b.Draw}
				o.Coefs(one, oneH, nil, at.z, at.x, at.v, single)
				for j := range k {
					gather[j*n+l], gatherH[j*n+l] = one[j], oneH[j]
					oneAny[j] = any[j*n+l]
				}
				o.Combine(part, nil, oneAny, nil, 1, 0, single)
				floats.AddScaled(sum, 1/float64(n), part)
				scale += floats.Norm(part, math.Inf(1)) / float64(n)
			}
			r.compare("Coefs of its samples one by one", b, i, pr.opts.Round, "cg", cg, gather, "ch", ch, gatherH)
			o.Combine(nil, part, nil, any, 1, 0, b)
			for l := range part {
				if !(math.Abs(part[l]-sum[l]) <= pr.opts.Round*scale) {
					r.errorf("over %v: Combine's hv[%d] = %.10g, the mean over its samples %.10g", b, l, part[l], sum[l])
				}
			}
			o.Combine(part, nil, any, nil, 1, 0, b)
			for l := range part {
				if !(math.Abs(part[l]-sum[l]) <= pr.opts.Round*scale) {
					r.errorf("over %v: Combine's dz[%d] = %.10g, the mean over its samples %.10g", b, l, part[l], sum[l])
				}
			}
		}
	}
}

func (pr *probe) checkSplit(r *report, s bilevel.Splitter) {
	sampled, exact := s.Split()
	if sampled == nil || exact == nil {
		r.errorf("Split() has a nil part")
		return
	}
	if n := exact.Samples(); n != 1 {
		r.errorf("the exact part has %d terms instead of 1", n)
		return
	}
	if n := sampled.Samples(); n != pr.n {
		r.errorf("the sampled part has %d terms instead of %d", n, pr.n)
		return
	}
	parts := make([]*probe, 2)
	for i, o := range []bilevel.Objective{sampled, exact} {
		if d, p := o.Dims(); d != pr.d || p != pr.p {
			r.errorf("Dims() of a part is (%d, %d) instead of (%d, %d)", d, p, pr.d, pr.p)
			return
		}
		pt, err := newProbe(o, pr.opts)
		if err != nil {
			r.errorf("%v", err)
			return
		}
		if pr.second != nil && pt.second == nil {
			r.errorf("%T has Products and its part %T has not", pr.o, o)
			return
		}
		parts[i] = pt
	}
	one := bilevel.All(exact)
	add := func(a, b []float64) []float64 {
		floats.Add(a, b)
		return a
	}
	for i, at := range pr.points {
		for _, b := range pr.memoryBatches() {
			want := pr.value(at.z, at.x, b)
			got := sampled.Value(at.z, at.x, b) + exact.Value(at.z, at.x, one)
			if !(math.Abs(got-want) <= pr.opts.Round*(1+math.Abs(want))) {
				r.errorf("over %v at point %d: the values of the parts add up to %.10g instead of %.10g", b, i, got, want)
			}
			dz, dx := parts[0].grad(at.z, at.x, b)
			ez, ex := parts[1].grad(at.z, at.x, one)
			wantZ, wantX := pr.grad(at.z, at.x, b)
			r.compare("the whole", b, i, pr.opts.Round, "sum of the parts' dz", add(dz, ez), wantZ, "sum of the parts' dx",
				add(dx, ex), wantX)
			if pr.second == nil {
				continue
			}
			_, hv, cv := parts[0].products(at.z, at.x, at.v, b)
			_, eh, ec := parts[1].products(at.z, at.x, at.v, one)
			_, wantH, wantC := pr.products(at.z, at.x, at.v, b)
			r.compare("the whole", b, i, pr.opts.Round, "sum of the parts' hv", add(hv, eh), wantH, "sum of the parts' cv",
				add(cv, ec), wantC)
		}
	}
}
