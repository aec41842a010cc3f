package bileveltest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
)

// ObjectiveOptions say how to test an objective or a fixed-point map. The zero value suits smooth functions in
// float64 whose values are of the order of one.
type ObjectiveOptions struct {
	// Seed seeds the random points and directions.
	Seed uint64
	// Points are tested instead of random ones. V, where given, is a direction for products.
	Points []bilevel.Point
	// Scale is the standard deviation of random z and x, default 1.
	Scale float64
	// Lower and Upper are the domain of x, where it is not all of Rᵖ: random points lie inside.
	Lower, Upper []float64
	// Tol is the relative error allowed between derivatives and finite differences, default 1e-6, on top of the
	// differences' own estimated error. An objective that computes in float32 needs about 1e-3.
	Tol float64
	// Step is the length of finite differences, relative to 1+|z_i|, default 1e-3. In float32 take 0.05.
	Step float64
	// Round is the relative difference allowed between two ways to compute the same number, default 1e-10.
	Round float64
	// Coordinates is how many coordinates of z and of x are compared with finite differences, default 24;
	// random directions cover the others.
	Coordinates int
	// NoAllocations requires that calls do not allocate once they have been made a first time.
	NoAllocations bool
}

func (o ObjectiveOptions) withDefaults() ObjectiveOptions {
	set := func(p *float64, v float64) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.Scale, 1)
	set(&o.Tol, 1e-6)
	set(&o.Step, 1e-3)
	set(&o.Round, 1e-10)
	if o.Coordinates == 0 {
		o.Coordinates = 24
	}
	return o
}

// procs are the values of GOMAXPROCS that must give the same bits.
var procs = []int{1, 2, 4, 7}

// Objective tests o: derivatives against finite differences; products, where o has them, against differences of
// gradients; batches that add up; nil destinations; overwriting; no writes elsewhere; the same bits when asked
// again and for every GOMAXPROCS; and each optional interface of package bilevel that o has against the general
// path. The parts of a [bilevel.Splitter] are tested like o itself.
//
// An empty batch is a mean of nothing. Objectives may give it any value, but must not panic, write outside the
// destinations or remember it.
func Objective(t *testing.T, o bilevel.Objective, opts ObjectiveOptions) {
	t.Helper()
	if d, p := o.Dims(); d == p && p > 1 {
		if _, err := bilevel.NeedSecondOrder(o); err == nil {
			t.Logf("d = p = %d: an instance with p ≠ d tests more", d)
		}
	}
	subtests(t, objectiveChecks(o, opts, "", 0))
}

// CheckObjective makes the checks of [Objective] and returns what they found, joined.
func CheckObjective(o bilevel.Objective, opts ObjectiveOptions) error {
	return join(objectiveChecks(o, opts, "", 0))
}

// point is where oracles are asked, with two directions in z and one in x.
type point struct{ z, x, v, w, y []float64 }

// probe asks an objective.
type probe struct {
	o       bilevel.Objective
	second  bilevel.SecondOrder // nil if o is not one
	local   bilevel.Local       // nil if o is not one
	d, p, n int
	opts    ObjectiveOptions
	points  []point
	batches []bilevel.Batch // for derivatives: small
	oracles []oracle
}

func (pr *probe) all() bilevel.Batch { return bilevel.Batch{Lo: 0, Hi: pr.n} }

func (pr *probe) rng(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(pr.opts.Seed, 0xb11e7e1+stream))
}

func newProbe(o bilevel.Objective, opts ObjectiveOptions) (*probe, error) {
	if err := bilevel.NeedFirstOrder(o); err != nil {
		return nil, err
	}
	pr := &probe{o: o, opts: opts.withDefaults()}
	pr.second, _ = bilevel.NeedSecondOrder(o)
	pr.local, _ = o.(bilevel.Local)
	pr.d, pr.p = o.Dims()
	pr.n = o.Samples()
	var err error
	pr.points, err = drawPoints(pr.d, pr.p, pr.opts, pr.rng(0))
	if err != nil {
		return nil, err
	}
	if pr.n < 1 {
		return nil, fmt.Errorf("Samples() = %d, less than 1", pr.n)
	}
	pr.batches = drawBatches(pr.n, pr.d+pr.p, pr.rng(1))
	pr.oracles = pr.list()
	return pr, nil
}

// drawPoints takes the user's points or three random ones, and adds directions.
func drawPoints(d, p int, opts ObjectiveOptions, rng *rand.Rand) ([]point, error) {
	for _, b := range [][]float64{opts.Lower, opts.Upper} {
		if b != nil && len(b) != p {
			return nil, fmt.Errorf("options: %d bounds for p = %d", len(b), p)
		}
	}
	normal := func(n int, scale float64) []float64 {
		s := make([]float64, n)
		for i := range s {
			s[i] = scale * rng.NormFloat64()
		}
		return s
	}
	var points []point
	for _, at := range opts.Points {
		if len(at.Z) != d || len(at.X) != p || at.V != nil && len(at.V) != d {
			return nil, fmt.Errorf("options: a point with |z| = %d, |x| = %d, |v| = %d for d = %d, p = %d",
				len(at.Z), len(at.X), len(at.V), d, p)
		}
		pt := point{z: at.Z, x: at.X, v: at.V, w: normal(d, 1), y: normal(p, 1)}
		if pt.v == nil {
			pt.v = normal(d, 1)
		}
		points = append(points, pt)
	}
	if points != nil {
		return points, nil
	}
	for range 3 {
		pt := point{normal(d, opts.Scale), normal(p, opts.Scale), normal(d, 1), normal(d, 1), normal(p, 1)}
		for j := range pt.x {
			lo, hi := bounds(opts, j)
			switch {
			case !math.IsInf(lo, -1) && !math.IsInf(hi, 1):
				pt.x[j] = lo + (0.1+0.8*rng.Float64())*(hi-lo)
			case !math.IsInf(lo, -1):
				pt.x[j] = lo + 0.1*opts.Scale + math.Abs(pt.x[j])
			case !math.IsInf(hi, 1):
				pt.x[j] = hi - 0.1*opts.Scale - math.Abs(pt.x[j])
			}
		}
		points = append(points, pt)
	}
	return points, nil
}

func bounds(opts ObjectiveOptions, j int) (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	if opts.Lower != nil {
		lo = opts.Lower[j]
	}
	if opts.Upper != nil {
		hi = opts.Upper[j]
	}
	return lo, hi
}

// someDraw is a draw that is not the fixed one.
const someDraw = 0x5eed5eed5eed5eed

// drawBatches is one term, a few terms, and all of them or as many as are cheap.
func drawBatches(n, size int, rng *rand.Rand) []bilevel.Batch {
	part := func(k int) bilevel.Batch {
		k = min(k, n)
		lo := rng.IntN(n - k + 1)
		return bilevel.Batch{Lo: lo, Hi: lo + k}
	}
	batches := []bilevel.Batch{part(1), part(7 + rng.IntN(30)), part(max(64, 100_000/max(size, 1)))}
	batches[1].Draw = someDraw
	return batches
}

// list has all calls that the objective answers.
func (pr *probe) list() []oracle {
	zx := func(at point, _ bilevel.Batch) [][]float64 { return [][]float64{at.z, at.x} }
	zxv := func(at point, _ bilevel.Batch) [][]float64 { return [][]float64{at.z, at.x, at.v} }
	fixed := func(s ...slot) func(bilevel.Batch) []slot {
		return func(bilevel.Batch) []slot { return s }
	}
	dz, dx := slot{name: "dz", n: pr.d}, slot{name: "dx", n: pr.p}
	hv, cv := slot{name: "hv", n: pr.d}, slot{name: "cv", n: pr.p}
	list := []oracle{
		{"Value", fixed(), zx, func(_, in [][]float64, b bilevel.Batch) float64 {
			return pr.o.Value(in[0], in[1], b)
		}},
		{"Grad", fixed(dz, dx), zx, func(dst, in [][]float64, b bilevel.Batch) float64 {
			pr.o.Grad(dst[0], dst[1], in[0], in[1], b)
			return 0
		}},
	}
	if o, ok := pr.o.(bilevel.ValueGradienter); ok {
		list = append(list, oracle{"ValueGrad", fixed(dz, dx), zx, func(dst, in [][]float64, b bilevel.Batch) float64 {
			return o.ValueGrad(dst[0], dst[1], in[0], in[1], b)
		}})
	}
	if pr.second == nil {
		return list
	}
	list = append(list, oracle{"Products", fixed(dz, hv, cv), zxv, func(dst, in [][]float64, b bilevel.Batch) float64 {
		pr.second.Products(dst[0], dst[1], dst[2], in[0], in[1], in[2], b)
		return 0
	}})
	if o, ok := pr.o.(bilevel.Linearizer); ok {
		list = append(list, oracle{"Linearize and Apply", fixed(hv, cv), zxv,
			func(dst, in [][]float64, b bilevel.Batch) float64 {
				z, x := append([]float64{}, in[0]...), append([]float64{}, in[1]...)
				o.Linearize(z, x, b)
				for i := range z {
					z[i] = sentinel
				}
				for j := range x {
					x[j] = sentinel
				}
				o.Apply(dst[0], dst[1], in[2])
				return 0
			}})
	}
	if o, ok := pr.o.(bilevel.Crosser); ok {
		list = append(list, oracle{"Cross", fixed(dz),
			func(at point, _ bilevel.Batch) [][]float64 { return [][]float64{at.z, at.x, at.y} },
			func(dst, in [][]float64, b bilevel.Batch) float64 {
				if dst[0] != nil {
					o.Cross(dst[0], in[0], in[1], in[2], b)
				}
				return 0
			}})
	}
	own := func(b bilevel.Batch) slot { // the part of cv that a Local objective has over b
		lo, hi := pr.outerRange(b)
		return slot{name: "cv", n: max(hi-lo, 0)}
	}
	if bilevel.EntersX(pr.o) && pr.local != nil {
		list = append(list, oracle{"LocalProducts", func(b bilevel.Batch) []slot { return []slot{dz, hv, own(b)} }, zxv,
			func(dst, in [][]float64, b bilevel.Batch) float64 {
				pr.local.LocalProducts(dst[0], dst[1], dst[2], in[0], in[1], in[2], b)
				return 0
			}})
	}
	if o, ok := pr.o.(bilevel.Linear); ok {
		k := o.Scores()
		list = append(list,
			oracle{"Coefs", func(b bilevel.Batch) []slot {
				return []slot{{name: "cg", n: k * b.Len()}, {name: "ch", n: k * b.Len()}, own(b)}
			}, zxv, func(dst, in [][]float64, b bilevel.Batch) float64 {
				v := in[2]
				if dst[1] == nil && dst[2] == nil {
					v = nil
				}
				o.Coefs(dst[0], dst[1], dst[2], in[0], in[1], v, b)
				return 0
			}},
			oracle{"Combine", fixed(dz, hv), func(at point, b bilevel.Batch) [][]float64 {
				cg, ch := make([]float64, k*b.Len()), make([]float64, k*b.Len())
				for i := range cg {
					cg[i], ch[i] = math.Sin(float64(i+1)), math.Cos(float64(2*i+1))
				}
				return [][]float64{cg, ch}
			}, func(dst, in [][]float64, b bilevel.Batch) float64 {
				cg, ch := in[0], in[1]
				if dst[0] == nil {
					cg = nil
				}
				if dst[1] == nil {
					ch = nil
				}
				o.Combine(dst[0], dst[1], cg, ch, 1, 0, b)
				return 0
			}})
	}
	if o, ok := pr.o.(bilevel.HessianMatrix); ok && pr.d <= 1000 {
		list = append(list, oracle{"Hessian", fixed(slot{name: "dst", n: pr.d * pr.d, lower: max(pr.d, 1)}), zx,
			func(dst, in [][]float64, b bilevel.Batch) float64 {
				if dst[0] != nil {
					o.Hessian(context.Background(), dst[0], in[0], in[1], b)
				}
				return 0
			}})
	}
	return list
}

func full(slots []slot) uint { return 1<<len(slots) - 1 }

// value, grad and products are the numbers that other checks compare.
func (pr *probe) value(z, x []float64, b bilevel.Batch) float64 { return pr.o.Value(z, x, b) }

func (pr *probe) grad(z, x []float64, b bilevel.Batch) (dz, dx []float64) {
	dz, dx = make([]float64, pr.d), make([]float64, pr.p)
	pr.o.Grad(dz, dx, z, x, b)
	return dz, dx
}

func (pr *probe) products(z, x, v []float64, b bilevel.Batch) (dz, hv, cv []float64) {
	dz, hv, cv = make([]float64, pr.d), make([]float64, pr.d), make([]float64, pr.p)
	pr.second.Products(dz, hv, cv, z, x, v, b)
	return dz, hv, cv
}

func objectiveChecks(o bilevel.Objective, opts ObjectiveOptions, prefix string, depth int) []check {
	pr, err := newProbe(o, opts)
	if err != nil {
		return []check{{prefix + "start", func(r *report) { r.errorf("%v", err) }}}
	}
	var list []check
	add := func(name string, run func(r *report)) { list = append(list, check{prefix + name, run}) }
	add("dimensions", pr.checkDimensions)
	add("gradient", pr.checkGradient)
	if pr.second != nil {
		add("products", pr.checkProducts)
		add("Hessian symmetric", pr.checkSymmetric)
		add("linear in v", pr.checkLinearInV)
	}
	add("batches add up", pr.checkBatches)
	add("memory", pr.checkMemory)
	add("nil destinations", pr.checkNil)
	add("empty batch", pr.checkEmpty)
	add("same bits again", pr.checkRepeat)
	add("same bits for every GOMAXPROCS", pr.checkProcs)
	if pr.opts.NoAllocations {
		add("no allocations", pr.checkAllocations)
	}
	if o, ok := o.(bilevel.ValueGradienter); ok {
		add("ValueGradienter", func(r *report) { pr.checkValueGrad(r, o) })
	}
	if o, ok := o.(bilevel.PairGradienter); ok {
		add("PairGradienter", func(r *report) { pr.checkPair(r, o) })
	}
	if o, ok := o.(bilevel.Crosser); ok {
		add("Crosser", func(r *report) { pr.checkCross(r, o) })
	}
	if pr.local != nil {
		add("Local", pr.checkLocal)
	}
	if o, ok := o.(bilevel.Linearizer); ok {
		add("Linearizer", func(r *report) { pr.checkLinearizer(r, o) })
	}
	if o, ok := o.(bilevel.ColumnNormer); ok {
		add("ColumnNormer", func(r *report) { pr.checkColumnNorms(r, o) })
	}
	if o, ok := o.(bilevel.HessianMatrix); ok {
		add("HessianMatrix", func(r *report) { pr.checkHessian(r, o) })
	}
	if o, ok := o.(bilevel.HessianBlocks); ok {
		add("HessianBlocks", func(r *report) { pr.checkBlocks(r, o) })
	}
	if o, ok := o.(bilevel.Divisible); ok && pr.second != nil {
		add("Divisible", func(r *report) { pr.checkParts(r, o) })
	}
	if o, ok := o.(bilevel.Linear); ok {
		add("Linear", func(r *report) { pr.checkLinear(r, o) })
		add("Row", func(r *report) { pr.checkRow(r, o) })
		add("Prefetch", func(r *report) { pr.checkPrefetch(r, o) })
	}
	if o, ok := o.(bilevel.Sparse); ok {
		add("Sparse", func(r *report) { pr.checkSparse(r, o) })
	}
	if o, ok := o.(bilevel.Separable); ok {
		add("Separable", func(r *report) { pr.checkSeparable(r, o) })
	}
	if s, ok := o.(bilevel.Splitter); ok {
		add("Splitter", func(r *report) { pr.checkSplit(r, s) })
		if depth == 0 {
			if sampled, exact := s.Split(); sampled != nil && exact != nil {
				list = append(list, objectiveChecks(sampled, opts, prefix+"sampled part/", depth+1)...)
				list = append(list, objectiveChecks(exact, opts, prefix+"exact part/", depth+1)...)
			}
		}
	}
	if f, ok := o.(bilevel.Failer); ok {
		add("Failer", func(r *report) {
			if err := f.Err(); err != nil {
				r.errorf("Err() after calls at ordinary points: %v", err)
			}
		})
	}
	return list
}

func (pr *probe) checkDimensions(r *report) {
	d, p := pr.o.Dims()
	if d < 0 || p < 0 {
		r.errorf("Dims() = %d, %d", d, p)
	}
	pr.value(pr.points[0].z, pr.points[0].x, pr.all())
	if d2, p2 := pr.o.Dims(); d2 != d || p2 != p || pr.o.Samples() != pr.n {
		r.errorf("dimensions or samples changed from (%d, %d), %d to (%d, %d), %d", d, p, pr.n, d2, p2, pr.o.Samples())
	}
}

// difference is the derivative at 0 of fn by central differences of lengths h and h/2, extrapolated, with an
// estimate of its error.
func difference(fn func(s float64) []float64, h float64) (slope, slack []float64) {
	near, far := [2][]float64{}, [2][]float64{}
	for i, sign := range []float64{1, -1} {
		near[i], far[i] = fn(sign*h/2), fn(sign*h)
	}
	slope, slack = make([]float64, len(near[0])), make([]float64, len(near[0]))
	scale := 1.0
	for k := range slope {
		scale = max(scale, math.Abs(far[0][k]), math.Abs(far[1][k]))
	}
	for k := range slope {
		d1, d2 := (far[0][k]-far[1][k])/(2*h), (near[0][k]-near[1][k])/h
		slope[k] = (4*d2 - d1) / 3
		slack[k] = math.Abs(slope[k]-d2) + 64*0x1p-52*scale/h
	}
	return slope, slack
}

// along is at moved by s in the direction of u.
func along(at, u []float64, s float64) []float64 {
	y := append([]float64(nil), at...)
	floats.AddScaled(y, s, u)
	return y
}

// direction is one in which to differentiate: a coordinate (index ≥ 0) or dense (−1).
type direction struct {
	index int
	u     []float64
	h     float64
}

// directions are two dense ones and up to Coordinates coordinates of at, the first and last among them. For x,
// steps stay in the domain, and half the coordinates lie in [lo, hi).
func (pr *probe) directions(at []float64, outer bool, lo, hi int, rng *rand.Rand) []direction {
	n := len(at)
	if n == 0 {
		return nil
	}
	room := func(j int) float64 {
		h := pr.opts.Step * (1 + math.Abs(at[j]))
		if outer {
			l, u := bounds(pr.opts, j)
			if r := min(at[j]-l, u-at[j]); r > 0 {
				h = min(h, r/2)
			}
		}
		return h
	}
	var list []direction
	for range 2 {
		u, h := make([]float64, n), math.Inf(1)
		for j := range u {
			u[j] = rng.Float64()*2 - 1
			h = min(h, room(j))
		}
		list = append(list, direction{-1, u, h})
	}
	coordinate := func(j int) {
		u := make([]float64, n)
		u[j] = 1
		list = append(list, direction{j, u, room(j)})
	}
	if n <= pr.opts.Coordinates {
		for j := range n {
			coordinate(j)
		}
		return list
	}
	coordinate(0)
	coordinate(n - 1)
	for i := range pr.opts.Coordinates - 2 {
		if i%2 == 0 && hi > lo {
			coordinate(lo + rng.IntN(hi-lo))
		} else {
			coordinate(rng.IntN(n))
		}
	}
	return list
}

func (pr *probe) outerRange(b bilevel.Batch) (lo, hi int) {
	if pr.local == nil {
		return 0, pr.p
	}
	return pr.local.OuterRange(b)
}

func (pr *probe) far(got, want, slack float64) bool {
	return !(math.Abs(got-want) <= pr.opts.Tol*(math.Abs(got)+math.Abs(want))+slack)
}

func (pr *probe) checkGradient(r *report) {
	rng := pr.rng(2)
	for i, at := range pr.points {
		for _, b := range pr.batches {
			if v := pr.value(at.z, at.x, b); math.IsNaN(v) || math.IsInf(v, 0) {
				r.errorf("Value over %v is %v at point %d", b, v, i)
				continue
			}
			dz, dx := pr.grad(at.z, at.x, b)
			compare := func(name string, g []float64, dirs []direction, fn func(u []float64, s float64) float64) {
				for _, dir := range dirs {
					want, slack := difference(func(s float64) []float64 { return []float64{fn(dir.u, s)} }, dir.h)
					if got := floats.Dot(g, dir.u); pr.far(got, want[0], slack[0]) {
						r.errorf("%s over %v at point %d: %s = %.10g, finite differences of Value %.10g ± %.1g", name, b, i,
							dir.name(name), got, want[0], slack[0])
					}
				}
			}
			compare("dz", dz, pr.directions(at.z, false, 0, 0, rng), func(u []float64, s float64) float64 {
				return pr.value(along(at.z, u, s), at.x, b)
			})
			lo, hi := pr.outerRange(b)
			compare("dx", dx, pr.directions(at.x, true, lo, hi, rng), func(u []float64, s float64) float64 {
				return pr.value(at.z, along(at.x, u, s), b)
			})
		}
	}
}

func (dir direction) name(quantity string) string {
	if dir.index < 0 {
		return "⟨" + quantity + ", random direction⟩"
	}
	return fmt.Sprintf("%s[%d]", quantity, dir.index)
}

func (pr *probe) checkProducts(r *report) {
	for i, at := range pr.points {
		h := pr.opts.Step / (1 + floats.Norm(at.v, math.Inf(1)))
		for _, b := range pr.batches {
			dz, hv, cv := pr.products(at.z, at.x, at.v, b)
			gz, _ := pr.grad(at.z, at.x, b)
			if k := firstApart(dz, gz, pr.opts.Round); k >= 0 {
				r.errorf("Products over %v at point %d: dz[%d] = %.10g, Grad has %.10g", b, i, k, dz[k], gz[k])
			}
			// Along v in z, dz changes by ∇²zz g·v and dx by ∇²xz g·v.
			both := func(s float64) []float64 {
				dz, dx := pr.grad(along(at.z, at.v, s), at.x, b)
				return append(dz, dx...)
			}
			want, slack := difference(both, h)
			for k, got := range append(append([]float64{}, hv...), cv...) {
				if pr.far(got, want[k], slack[k]) {
					what, index, of := "hv", k, "dz"
					if k >= pr.d {
						what, index, of = "cv", k-pr.d, "dx"
					}
					r.errorf("Products over %v at point %d: %s[%d] = %.10g, finite differences of %s along v %.10g ± %.1g",
						b, i, what, index, got, of, want[k], slack[k])
				}
			}
		}
		// The same cross product from the other side: ⟨cv, y⟩ is the change of ⟨dz, v⟩ along y in x.
		b := pr.batches[len(pr.batches)-1]
		_, _, cv := pr.products(at.z, at.x, at.v, b)
		for _, dir := range pr.directions(at.x, true, 0, 0, pr.rng(3))[:min(2, 2*pr.p)] {
			want, slack := difference(func(s float64) []float64 {
				dz, _ := pr.grad(at.z, along(at.x, dir.u, s), b)
				return []float64{floats.Dot(dz, at.v)}
			}, dir.h)
			if got := floats.Dot(cv, dir.u); pr.far(got, want[0], slack[0]) {
				r.errorf("Products over %v at point %d: ⟨cv, random direction⟩ = %.10g, "+
					"finite differences of ⟨dz, v⟩ along it in x %.10g ± %.1g", b, i, got, want[0], slack[0])
			}
		}
	}
}

func (pr *probe) checkSymmetric(r *report) {
	for i, at := range pr.points {
		for _, b := range pr.batches {
			_, hv, _ := pr.products(at.z, at.x, at.v, b)
			_, hw, _ := pr.products(at.z, at.x, at.w, b)
			vw, wv := floats.Dot(at.v, hw), floats.Dot(at.w, hv)
			scale := floats.Norm(at.v, 2)*floats.Norm(hw, 2) + floats.Norm(at.w, 2)*floats.Norm(hv, 2)
			if !(math.Abs(vw-wv) <= pr.opts.Round*scale) {
				r.errorf("over %v at point %d: vᵀ(Hw) = %.10g, wᵀ(Hv) = %.10g", b, i, vw, wv)
			}
		}
	}
}

func (pr *probe) checkLinearInV(r *report) {
	const a = -1.75
	for i, at := range pr.points {
		for _, b := range pr.batches {
			sum := append([]float64(nil), at.w...)
			floats.AddScaled(sum, a, at.v)
			_, hv, cv := pr.products(at.z, at.x, at.v, b)
			_, hw, cw := pr.products(at.z, at.x, at.w, b)
			_, hs, cs := pr.products(at.z, at.x, sum, b)
			floats.AddScaled(hw, a, hv)
			floats.AddScaled(cw, a, cv)
			if k := firstApart(hs, hw, 100*pr.opts.Round); k >= 0 {
				r.errorf("over %v at point %d: H(w+av)[%d] = %.10g, (Hw+aHv)[%d] = %.10g", b, i, k, hs[k], k, hw[k])
			}
			if k := firstApart(cs, cw, 100*pr.opts.Round); k >= 0 {
				r.errorf("over %v at point %d: C(w+av)[%d] = %.10g, (Cw+aCv)[%d] = %.10g", b, i, k, cs[k], k, cw[k])
			}
		}
	}
}

// partitions of [0, n): growing parts with uneven ends, a few random cuts, and single terms if these are few.
func partitions(n int, rng *rand.Rand) [][]bilevel.Batch {
	var growing, random, single []bilevel.Batch
	for lo, k := 0, 1; lo < n; k = k*3/2 + 1 {
		hi := min(lo+k, n)
		growing = append(growing, bilevel.Batch{Lo: lo, Hi: hi, Draw: someDraw})
		lo = hi
	}
	for lo := 0; lo < n; {
		hi := min(lo+1+rng.IntN(n/2+1), n)
		random = append(random, bilevel.Batch{Lo: lo, Hi: hi, Draw: someDraw})
		lo = hi
	}
	list := [][]bilevel.Batch{growing, random}
	if n <= 256 {
		for i := range n {
			single = append(single, bilevel.Batch{Lo: i, Hi: i + 1, Draw: someDraw})
		}
		list = append(list, single)
	}
	return list
}

func (pr *probe) checkBatches(r *report) {
	at := pr.points[0]
	names := []string{"Value", "dz", "dx"}
	quantities := func(b bilevel.Batch) [][]float64 {
		dz, dx := pr.grad(at.z, at.x, b)
		return [][]float64{{pr.value(at.z, at.x, b)}, dz, dx}
	}
	if pr.second != nil {
		first := quantities
		names = append(names, "hv", "cv")
		quantities = func(b bilevel.Batch) [][]float64 {
			_, hv, cv := pr.products(at.z, at.x, at.v, b)
			return append(first(b), hv, cv)
		}
	}
	pr.addUp(r, names, quantities)
}

// addUp compares quantities over all terms with weighted means over parts.
func (pr *probe) addUp(r *report, names []string, quantities func(b bilevel.Batch) [][]float64) {
	all := pr.all()
	all.Draw = someDraw // a draw is one function, however it is cut
	whole := quantities(all)
	for _, parts := range partitions(pr.n, pr.rng(4)) {
		sum := make([][]float64, len(whole))
		scale := make([]float64, len(whole)) // largest entry of any part, weighted
		for i := range sum {
			sum[i] = make([]float64, len(whole[i]))
		}
		for _, b := range parts {
			w := float64(b.Len()) / float64(pr.n)
			for i, q := range quantities(b) {
				floats.AddScaled(sum[i], w, q)
				if len(q) > 0 {
					scale[i] += w * floats.Norm(q, math.Inf(1))
				}
			}
		}
		for i, name := range names {
			for k, want := range whole[i] {
				if got := sum[i][k]; !(math.Abs(got-want) <= pr.opts.Round*(scale[i]+math.Abs(want))) {
					r.errorf("%s[%d] of all %d terms is %.10g, the weighted mean of %d batches %.10g",
						name, k, pr.n, want, len(parts), got)
					break
				}
			}
		}
	}
}

// memoryBatches are those on which writing and nil destinations are tested.
func (pr *probe) memoryBatches() []bilevel.Batch {
	list := append([]bilevel.Batch{pr.all()}, pr.batches...)
	return append(list, bilevel.Batch{Lo: pr.n - 1, Hi: pr.n})
}

func (pr *probe) checkMemory(r *report) {
	for _, o := range pr.oracles {
		for _, b := range pr.memoryBatches() {
			for mask := uint(0); mask <= full(o.dst(b)); mask++ {
				o.ask(r, mask, pr.points[0], b)
			}
		}
	}
}

func (pr *probe) checkNil(r *report) {
	at := pr.points[len(pr.points)-1]
	for _, o := range pr.oracles {
		for _, b := range pr.memoryBatches() {
			slots := o.dst(b)
			want := o.ask(nil, full(slots), at, b)
			for mask := range full(slots) {
				got := o.ask(nil, mask, at, b)
				if !(math.Abs(got.value-want.value) <= pr.opts.Round*(1+math.Abs(want.value))) {
					r.errorf("%s over %v%s: value %v instead of %v", o.name, b, maskText(slots, mask), got.value, want.value)
				}
				for i := range slots {
					if got.dst[i] == nil {
						continue
					}
					if k := firstApart(got.dst[i], want.dst[i], pr.opts.Round); k >= 0 {
						r.errorf("%s over %v%s: %s[%d] = %v instead of %v", o.name, b, maskText(slots, mask), slots[i].name, k,
							got.dst[i][k], want.dst[i][k])
					}
				}
			}
		}
	}
}

func (pr *probe) checkEmpty(r *report) {
	at := pr.points[0]
	for _, o := range pr.oracles {
		after := pr.batches[1]
		want := o.ask(nil, full(o.dst(after)), at, after)
		for _, i := range []int{0, pr.n / 2, pr.n} {
			b := bilevel.Batch{Lo: i, Hi: i}
			for mask := uint(0); mask <= full(o.dst(b)); mask++ {
				o.ask(r, mask, at, b)
			}
		}
		if diff := o.sameBits(after, o.ask(nil, full(o.dst(after)), at, after), want); diff != "" {
			r.errorf("after an empty batch: %s", diff)
		}
	}
}

func (pr *probe) checkRepeat(r *report) {
	a, b := pr.points[0], pr.points[len(pr.points)-1]
	batches := []bilevel.Batch{pr.all(), pr.batches[1], pr.batches[0]}
	want := map[string]answer{}
	key := func(o oracle, i int, b bilevel.Batch) string { return fmt.Sprint(o.name, i, b) }
	// Every oracle at two points over several batches; then again in another order, with the same memory for
	// both points, so that something remembered by address shows.
	for i, at := range []point{a, b} {
		for _, batch := range batches {
			for _, o := range pr.oracles {
				want[key(o, i, batch)] = o.ask(nil, full(o.dst(batch)), at, batch)
			}
		}
	}
	reused := point{z: make([]float64, pr.d), x: make([]float64, pr.p), v: make([]float64, pr.d), y: make([]float64, pr.p)}
	for _, batch := range batches {
		for k := len(pr.oracles) - 1; k >= 0; k-- {
			o := pr.oracles[k]
			for _, i := range []int{1, 0, 1} {
				at := []point{a, b}[i]
				copy(reused.z, at.z)
				copy(reused.x, at.x)
				copy(reused.v, at.v)
				copy(reused.y, at.y)
				slots := o.dst(batch)
				got := answer{dst: make([][]float64, len(slots))}
				for l, s := range slots {
					got.dst[l] = make([]float64, s.n)
				}
				got.value = o.call(got.dst, o.in(reused, batch), batch)
				for l, s := range slots {
					for e := range got.dst[l] {
						if s.lower > 0 && e%s.lower > e/s.lower {
							got.dst[l][e] = 0
						}
					}
				}
				if diff := o.sameBits(batch, got, want[key(o, i, batch)]); diff != "" {
					r.errorf("%s", diff)
				}
			}
		}
	}
}

func (pr *probe) checkProcs(r *report) {
	at := pr.points[0]
	for _, o := range pr.oracles {
		for _, b := range []bilevel.Batch{pr.all(), pr.batches[2]} {
			var want answer
			for i, k := range procs {
				runtime.GOMAXPROCS(k)
				got := o.ask(nil, full(o.dst(b)), at, b)
				if i == 0 {
					want = got
				} else if diff := o.sameBits(b, got, want); diff != "" {
					r.errorf("GOMAXPROCS 1, then %d: %s", k, diff)
				}
			}
		}
	}
}

func (pr *probe) checkAllocations(r *report) {
	at := pr.points[0]
	for _, o := range pr.oracles {
		if o.name == "Linearize and Apply" {
			continue // makes copies itself; Linearizer measures Apply
		}
		b := pr.batches[1]
		slots := o.dst(b)
		dst := make([][]float64, len(slots))
		for i, s := range slots {
			dst[i] = make([]float64, s.n)
		}
		in := o.in(at, b)
		if n := testing.AllocsPerRun(20, func() { o.call(dst, in, b) }); n > 0 {
			r.errorf("%s over %v allocates %v times a call", o.name, b, n)
		}
	}
}
