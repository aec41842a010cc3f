package bileveltest

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
)

// checkSparse compares the objective on the columns of blocks with the whole one.
func (pr *probe) checkSparse(r *report, o bilevel.Sparse) {
	if pr.second == nil {
		return // a Func is not Sparse; other types have Products
	}
	k := o.Scores()
	for _, size := range []int{1, (pr.n + 2) / 3, pr.n} {
		var blocks []bilevel.Batch
		for lo := 0; lo < pr.n; lo += size {
			blocks = append(blocks, bilevel.Batch{Lo: lo, Hi: min(lo+size, pr.n)})
		}
		local, columns := o.Relabel(blocks)
		if local == nil && columns == nil {
			return // all samples see all columns
		}
		if local == nil || len(columns) != len(blocks) {
			r.errorf("Relabel(%d blocks) gives %T and %d lists of columns", len(blocks), local, len(columns))
			return
		}
		if n, s := local.Samples(), local.Scores(); n != pr.n || s != k {
			r.errorf("the relabelled objective has %d samples and %d scores instead of %d and %d", n, s, pr.n, k)
			return
		}
		for i, b := range blocks {
			last := int32(-1)
			for _, j := range columns[i] {
				if j <= last || int(j) >= pr.d/k {
					r.errorf("block %v has column %d after %d, of %d columns", b, j, last, pr.d/k)
					return
				}
				last = j
			}
			if i < 4 {
				pr.checkColumns(r, local, columns[i], b)
			}
		}
	}
}

// checkColumns compares one block.
func (pr *probe) checkColumns(r *report, local bilevel.Linear, columns []int32, b bilevel.Batch) {
	k := local.Scores()
	gather := func(v []float64) []float64 {
		g := make([]float64, 0, k*len(columns))
		for _, j := range columns {
			g = append(g, v[int(j)*k:(int(j)+1)*k]...)
		}
		return g
	}
	scatter := func(g []float64) []float64 {
		v := make([]float64, pr.d)
		for c, j := range columns {
			copy(v[int(j)*k:], g[c*k:(c+1)*k])
		}
		return v
	}
	room := func() []float64 { return make([]float64, k*len(columns)) }
	for i, at := range pr.points {
		z, v := gather(at.z), gather(at.v)
		dz, hv, cv, dx := room(), room(), make([]float64, pr.p), make([]float64, pr.p)
		got, want := local.Value(z, at.x, b), pr.value(at.z, at.x, b)
		if !(math.Abs(got-want) <= pr.opts.Round*(1+math.Abs(want))) {
			r.errorf("over %v at point %d: value %.10g on the block's columns, %.10g on all", b, i, got, want)
		}
		local.Grad(dz, dx, z, at.x, b)
		wantDz, wantDx := pr.grad(at.z, at.x, b)
		r.compare("Grad on all columns", b, i, pr.opts.Round, "dz", scatter(dz), wantDz, "dx", dx, wantDx)
		local.Products(dz, hv, cv, z, at.x, v, b)
		wantDz, wantHv, wantCv := pr.products(at.z, at.x, at.v, b)
		r.compare("Products on all columns", b, i, pr.opts.Round, "dz", scatter(dz), wantDz, "hv", scatter(hv), wantHv, "cv",
			cv, wantCv)
		cg, ch := make([]float64, k*b.Len()), make([]float64, k*b.Len())
		clear(cv)
		local.Coefs(cg, ch, cv, z, at.x, v, b)
		local.Combine(dz, hv, cg, ch, 1, 0, b)
		r.compare("Products on all columns", b, i, pr.opts.Round, "dz of Coefs and Combine", scatter(dz), wantDz,
			"hv of Coefs and Combine", scatter(hv), wantHv, "cv of Coefs", cv, wantCv)
	}
}

// checkSeparable compares the sum of parts, whose coefficients are interleaved and out of order, with the whole.
func (pr *probe) checkSeparable(r *report, o bilevel.Separable) {
	if pr.second == nil {
		return // a Func is not Separable; other types have Products
	}
	const parts = 3
	for i, at := range pr.points {
		value := 0.0
		dz, hv, cv, dx := make([]float64, pr.d), make([]float64, pr.d), make([]float64, pr.p), make([]float64, pr.p)
		for n := range parts {
			var places []int32
			for j := n; j < pr.d; j += parts {
				places = append(places, int32(j))
			}
			slices.Reverse(places[len(places)/2:])
			part, outer := o.Part(places)
			if part == nil {
				r.errorf("Part(%v) is nil", places)
				return
			}
			if d, p := part.Dims(); d != len(places) || p != len(outer) {
				r.errorf("the part of %d coefficients and %d places of x has dimensions (%d, %d)", len(places), len(outer), d, p)
				return
			}
			seen := map[int32]bool{}
			for _, j := range outer {
				if j < 0 || int(j) >= pr.p || seen[j] {
					r.errorf("Part gives %v as places in x, of length %d", outer, pr.p)
					return
				}
				seen[j] = true
			}
			take := func(places []int32, v []float64) []float64 {
				g := make([]float64, len(places))
				for e, j := range places {
					g[e] = v[j]
				}
				return g
			}
			add := func(dst []float64, places []int32, g []float64) {
				for e, j := range places {
					dst[j] += g[e]
				}
			}
			b := bilevel.All(part)
			z, x, v := take(places, at.z), take(outer, at.x), take(places, at.v)
			pz, ph, px := make([]float64, len(z)), make([]float64, len(z)), make([]float64, len(x))
			value += part.Value(z, x, b)
			part.Grad(pz, px, z, x, b)
			add(dx, outer, px)
			clear(pz)
			part.Products(pz, ph, px, z, x, v, b)
			add(dz, places, pz)
			add(hv, places, ph)
			add(cv, outer, px)
		}
		all := pr.all()
		if want := pr.value(at.z, at.x, all); !(math.Abs(value-want) <= pr.opts.Round*(1+math.Abs(want))) {
			r.errorf("at point %d: the parts' values add up to %.10g, the whole is %.10g", i, value, want)
		}
		_, wantDx := pr.grad(at.z, at.x, all)
		wantDz, wantHv, wantCv := pr.products(at.z, at.x, at.v, all)
		r.compare("the whole", all, i, pr.opts.Round, "dz of parts", dz, wantDz, "hv of parts", hv, wantHv, "cv of parts", cv,
			wantCv, "dx of parts", dx, wantDx)
		if s := o.Shrink(); s != 0 {
			shrunk := append([]float64(nil), at.z...)
			floats.Scale(s, shrunk)
			r.compare("Shrink times z", all, i, pr.opts.Round, "dz", wantDz, shrunk, "dx", wantDx, make([]float64, pr.p))
		}
		// ∇²zz is diagonal: the product with a vector of ones is its diagonal.
		ones, diagonal := make([]float64, pr.d), make([]float64, pr.d)
		floats.AddConst(1, ones)
		o.Products(nil, diagonal, nil, at.z, at.x, ones, all)
		floats.Mul(diagonal, at.v)
		r.compare("a diagonal Hessian", all, i, pr.opts.Round, "hv", wantHv, diagonal)
	}
}
