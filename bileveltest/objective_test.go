package bileveltest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/quadratic"
)

// weighted is the mean of σ(x_i)·ℓ_i(⟨a_i,z₁⟩, ⟨a_i,z₂⟩), z = (z₁, z₂), with
//
//	ℓ_i(s, t) = log(1 + e^{−y_i s}) + ½(t − y_i)² + ¼st,
//
// an objective that has every optional interface but Splitter. bug makes one thing wrong.
type weighted struct {
	q, n    int
	rows, y []float64
	bug     string

	scratch    []float64
	fixZ, fixX []float64
	fixed      bilevel.Batch
	calls      int
	cacheAt    *float64
	cached     float64
	prefetched int
}

func newWeighted(bug string) *weighted {
	rng := rand.New(rand.NewPCG(8, 8))
	w := &weighted{q: 3, n: 90, bug: bug}
	for range w.n {
		for range w.q {
			w.rows = append(w.rows, rng.NormFloat64())
		}
		w.y = append(w.y, float64(1-2*rng.IntN(2)))
	}
	return w
}

var (
	_ bilevel.Linear          = (*weighted)(nil)
	_ bilevel.Local           = (*weighted)(nil)
	_ bilevel.Linearizer      = (*weighted)(nil)
	_ bilevel.HessianMatrix   = (*weighted)(nil)
	_ bilevel.HessianBlocks   = (*weighted)(nil)
	_ bilevel.ValueGradienter = (*weighted)(nil)
	_ bilevel.PairGradienter  = (*weighted)(nil)
	_ bilevel.Failer          = (*weighted)(nil)
)

func (w *weighted) row(i int) []float64 { return w.rows[i*w.q : (i+1)*w.q] }

func sigmoid(t float64) float64 { return 1 / (1 + math.Exp(-t)) }

// loss is ℓ_i, its gradient and its Hessian in the scores.
func (w *weighted) loss(i int, z []float64) (value float64, g [2]float64, h [2][2]float64) {
	s, t, y := dot(w.row(i), z[:w.q]), dot(w.row(i), z[w.q:]), w.y[i]
	p := sigmoid(-y * s)
	value = math.Log1p(math.Exp(-y*s)) + (t-y)*(t-y)/2 + s*t/4
	g = [2]float64{-y*p + t/4, t - y + s/4}
	h = [2][2]float64{{p * (1 - p), 0.25}, {0.25, 1}}
	if w.bug == "asymmetric Hessian" {
		h[0][1] = 0.3
	}
	return value, g, h
}

func (w *weighted) Dims() (d, p int) {
	if w.bug == "dimensions change" && w.calls > 0 {
		return 2 * w.q, w.n + 1
	}
	return 2 * w.q, w.n
}
func (w *weighted) Samples() int { return w.n }
func (w *weighted) Scores() int  { return 2 }

func (w *weighted) Err() error {
	if w.bug == "always fails" {
		return errors.New("no connection")
	}
	return nil
}

func (w *weighted) Prefetch(b bilevel.Batch) { w.prefetched++ }

func (w *weighted) Row(i int) []float64 {
	if w.bug == "row of the next" {
		i = (i + 1) % w.n
	}
	return w.row(i)
}

func (w *weighted) OuterRange(b bilevel.Batch) (lo, hi int) {
	switch w.bug {
	case "range too small":
		return b.Lo, b.Hi - 1
	case "range overlaps":
		return b.Lo, min(b.Hi+1, w.n)
	case "range beyond":
		return b.Lo, b.Hi + 1
	}
	return b.Lo, b.Hi
}

func (w *weighted) mean(b bilevel.Batch) float64 {
	if w.bug == "sums instead of means" {
		return 1
	}
	return 1 / float64(b.Len())
}

func (w *weighted) PairGrad(dy, dz, dx, y, z, x []float64, b bilevel.Batch) {
	w.Grad(dy, dx, y, x, b)
	other := make([]float64, w.n)
	w.Grad(dz, other, z, x, b)
	switch w.bug {
	case "PairGrad swaps":
		for i := range dy {
			dy[i], dz[i] = dz[i], dy[i]
		}
	case "PairGrad adds in x":
		floats.Scale(-1, other)
	}
	floats.Sub(dx, other)
}

func (w *weighted) PairDescend(dx, y, z, x, e []float64, a, c float64, b bilevel.Batch) {
	dy, dz := make([]float64, len(y)), make([]float64, len(z))
	w.PairGrad(dy, dz, dx, y, z, x, b)
	floats.AddScaled(z, -a, dz)
	if w.bug == "PairDescend moves z first" {
		w.PairGrad(dy, dz, dx, y, z, x, b)
	}
	floats.AddScaled(y, -a, dy)
	if w.bug != "PairDescend forgets e" {
		floats.AddScaled(y, -c, e)
	}
}

func (w *weighted) Value(z, x []float64, b bilevel.Batch) float64 {
	w.calls++
	if w.bug == "remembers by address" {
		if w.cacheAt == &z[0] {
			return w.cached
		}
		w.cacheAt = &z[0]
	}
	if b.Len() == 0 && w.bug == "empty batch panics" {
		panic("empty batch")
	}
	sum := 0.0
	for i := b.Lo; i < b.Hi; i++ {
		v, _, _ := w.loss(i, z)
		sum += sigmoid(x[i]) * v
	}
	if b.Len() == 0 {
		return 0
	}
	switch w.bug {
	case "first call differs":
		if w.calls == 1 {
			sum *= 1 + 0x1p-52
		}
	case "adds by processor":
		if runtime.GOMAXPROCS(0) > 1 {
			sum *= 1 + 0x1p-52
		}
	case "prefetch changes":
		if w.prefetched > 0 {
			sum *= 1 + 0x1p-52
		}
	case "not finite":
		return math.Inf(1)
	case "batch of one":
		if b.Len() == 1 {
			sum *= 1.1
		}
	}
	w.cached = w.mean(b) * sum
	return w.cached
}

func (w *weighted) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	w.Products(dz, nil, nil, z, x, nil, b)
	m := w.mean(b)
	if w.bug == "Grad forgets 1/n" {
		m = 1
		for j := range dz {
			dz[j] *= float64(b.Len())
		}
	}
	if w.bug == "nil ignored" && b.Len() > 0 {
		dx[b.Lo] = 0
	}
	if dx == nil {
		return
	}
	if w.bug != "leaves dx alone" {
		clear(dx)
	}
	for i := b.Lo; i < b.Hi; i++ {
		v, _, _ := w.loss(i, z)
		s := sigmoid(x[i])
		dx[i] = m * s * (1 - s) * v
		if w.bug == "dx of another weight" {
			dx[i] = m * s * v
		}
	}
	switch w.bug {
	case "dx outside the range":
		if b.Lo > 0 {
			dx[0] = 1e-9
		}
	case "writes past the end":
		if cap(dx) > len(dx) {
			dx[:len(dx)+1][len(dx)] = 0
		}
	case "empty batch writes":
		if b.Len() == 0 && cap(dx) > len(dx) {
			dx[:len(dx)+1][len(dx)] = 0
		}
	}
}

func (w *weighted) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if cv == nil {
		w.LocalProducts(dz, hv, nil, z, x, v, b)
	} else {
		clear(cv)
		w.LocalProducts(dz, hv, cv[b.Lo:b.Hi], z, x, v, b)
	}
	switch {
	case w.bug == "cv of Products" && cv != nil && b.Len() > 0:
		cv[b.Lo] *= 1.01
	case w.bug == "changes x" && cv != nil:
		x[0] += 1
	}
}

func (w *weighted) LocalProducts(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if w.bug == "allocates" {
		w.scratch = make([]float64, 4*b.Len())
	}
	if len(w.scratch) < 4*b.Len() {
		w.scratch = make([]float64, 4*b.Len())
	}
	n := 2 * b.Len()
	var cg, ch []float64
	if dz != nil {
		cg = w.scratch[:n]
	}
	if hv != nil {
		ch = w.scratch[n : 2*n]
	}
	w.Coefs(cg, ch, cv, z, x, v, b)
	w.combine(dz, hv, cg, ch, 1, 0, b)
	switch {
	case w.bug == "cv of the wrong sign":
		for i := range cv {
			cv[i] = -cv[i]
		}
	case w.bug == "affine in v" && hv != nil:
		hv[0] += 1e-3
	case w.bug == "changes an input" && hv != nil:
		v[0] += 1
	case w.bug == "nil changes the rest" && dz == nil && hv != nil:
		hv[0] *= 1.001
	case w.bug == "does not overwrite dz" && hv != nil && dz != nil:
		dz[1] = sentinel
	case w.bug == "dz of Products" && hv != nil && dz != nil:
		dz[1] *= 1.01
	case w.bug == "hv too small" && hv != nil:
		for j := range hv {
			hv[j] *= 0.999
		}
	}
}

// at is where the coefficient of sample i, score j lies.
func (w *weighted) at(i, j int, b bilevel.Batch) int {
	if w.bug == "sample by sample" {
		return (i-b.Lo)*2 + j
	}
	return j*b.Len() + i - b.Lo
}

func (w *weighted) Coefs(cg, ch, cv, z, x, v []float64, b bilevel.Batch) {
	for i := b.Lo; i < b.Hi; i++ {
		_, g, h := w.loss(i, z)
		s := sigmoid(x[i])
		var u [2]float64
		if ch != nil || cv != nil {
			u = [2]float64{dot(w.row(i), v[:w.q]), dot(w.row(i), v[w.q:])}
		}
		for j := range 2 {
			if cg != nil {
				cg[w.at(i, j, b)] = s * g[j]
			}
			if ch != nil {
				ch[w.at(i, j, b)] = s * (h[j][0]*u[0] + h[j][1]*u[1])
			}
		}
		if cv != nil {
			cv[i-b.Lo] = w.mean(b) * s * (1 - s) * (g[0]*u[0] + g[1]*u[1])
		}
	}
	if w.bug == "Coefs uses v for cg" && cg != nil {
		_ = v[0]
	}
}

func (w *weighted) Combine(dz, hv, cg, ch []float64, weight, keep float64, b bilevel.Batch) {
	switch w.bug {
	case "Combine forgets keep":
		keep = 0
	case "Combine forgets the weight":
		weight = 1
	}
	w.combine(dz, hv, cg, ch, weight, keep, b)
	if w.bug == "Combine off" && hv != nil {
		hv[0] *= 1.01
	}
}

func (w *weighted) combine(dz, hv, cg, ch []float64, weight, keep float64, b bilevel.Batch) {
	for k, dst := range [][]float64{dz, hv} {
		if dst == nil {
			continue
		}
		c := [][]float64{cg, ch}[k]
		switch {
		case w.bug == "accumulates":
		case keep == 0:
			clear(dst)
		default:
			floats.Scale(keep, dst)
		}
		if b.Len() == 0 {
			continue
		}
		for i := b.Lo; i < b.Hi; i++ {
			for j := range 2 {
				axpy(weight*w.mean(b)*c[w.at(i, j, b)], w.row(i), dst[j*w.q:(j+1)*w.q])
			}
		}
	}
}

func (w *weighted) Linearize(z, x []float64, b bilevel.Batch) {
	w.fixed = b
	if w.bug == "Linearize keeps z" {
		w.fixZ, w.fixX = z, append(w.fixX[:0], x...)
		return
	}
	w.fixZ, w.fixX = append(w.fixZ[:0], z...), append(w.fixX[:0], x...)
}

func (w *weighted) Apply(hv, cv, v []float64) {
	if w.bug == "Apply halves cv" {
		defer func() {
			for i := w.fixed.Lo; i < w.fixed.Hi && cv != nil; i++ {
				cv[i] /= 2
			}
		}()
	}
	w.Products(nil, hv, cv, w.fixZ, w.fixX, v, w.fixed)
}

func (w *weighted) Hessian(_ context.Context, dst, z, x []float64, b bilevel.Batch) error {
	d := 2 * w.q
	e, col := make([]float64, d), make([]float64, d)
	for c := range d {
		clear(e)
		e[c] = 1
		w.Products(nil, col, nil, z, x, e, b)
		for r := range d {
			switch {
			case r >= c && w.bug != "upper triangle":
				dst[r*d+c] = col[r]
			case r < c && w.bug == "upper triangle":
				dst[r*d+c] = col[r]
			}
		}
	}
	if w.bug == "Hessian off" {
		dst[d] *= 1.01
	}
	return nil
}

func (w *weighted) BlockSize() int {
	if w.bug == "uneven blocks" {
		return w.q + 1
	}
	return w.q
}

func (w *weighted) Blocks(ctx context.Context, dst, z, x []float64, b bilevel.Batch) error {
	d, _ := w.Dims()
	full := make([]float64, d*d)
	if err := w.Hessian(ctx, full, z, x, b); err != nil {
		return err
	}
	for row := range d {
		for col := range row%w.q + 1 {
			dst[row*w.q+col] = full[row*d+row/w.q*w.q+col]
		}
	}
	switch w.bug {
	case "block off":
		dst[w.q*w.q] *= 1.01
	case "blocks past the end":
		dst[:cap(dst)][len(dst)] = 0
	}
	return nil
}

func (w *weighted) ValueGrad(dz, dx, z, x []float64, b bilevel.Batch) float64 {
	w.Grad(dz, dx, z, x, b)
	if w.bug == "ValueGrad off" {
		return w.Value(z, x, b) + 1e-3
	}
	return w.Value(z, x, b)
}

// plain hides the optional interfaces.
type plain struct{ bilevel.SecondOrder }

// ridged adds ½Σ e^{x_j}z_j² to an objective, and can split it off again.
type ridged struct {
	plain
	bug string
}

type exactRidge struct{ d, p, n int }

func (e exactRidge) Dims() (d, p int) { return e.d, e.p }
func (e exactRidge) Samples() int     { return e.n }
func (e exactRidge) Value(z, x []float64, b bilevel.Batch) float64 {
	s := 0.0
	for j, v := range z {
		s += math.Exp(x[j]) * v * v / 2
	}
	return s
}
func (e exactRidge) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	e.Products(dz, nil, nil, z, x, nil, b)
	clear(dx)
	for j, v := range z {
		if dx != nil {
			dx[j] = math.Exp(x[j]) * v * v / 2
		}
	}
}
func (e exactRidge) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(cv)
	for j := range z {
		r := math.Exp(x[j])
		if dz != nil {
			dz[j] = r * z[j]
		}
		if hv != nil {
			hv[j] = r * v[j]
		}
		if cv != nil {
			cv[j] = r * z[j] * v[j]
		}
	}
}

func newRidged(bug string) *ridged {
	w := newWeighted("")
	if bug == "sampled part is not local" {
		w.bug = "range too small"
	}
	return &ridged{plain{w}, bug}
}

func (o *ridged) ridge() exactRidge {
	d, p := o.Dims()
	return exactRidge{d, p, 1}
}

func (o *ridged) Value(z, x []float64, b bilevel.Batch) float64 {
	return o.plain.Value(z, x, b) + o.ridge().Value(z, x, bilevel.Batch{})
}

func (o *ridged) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dx)
	o.plain.Grad(dz, dx, z, x, b)
	for j := range z {
		if dz != nil {
			dz[j] += math.Exp(x[j]) * z[j]
		}
		if dx != nil {
			dx[j] += math.Exp(x[j]) * z[j] * z[j] / 2
		}
	}
}

func (o *ridged) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(cv)
	o.plain.Products(dz, hv, cv, z, x, v, b)
	for j := range z {
		if dz != nil {
			dz[j] += math.Exp(x[j]) * z[j]
		}
		if hv != nil {
			hv[j] += math.Exp(x[j]) * v[j]
		}
		if cv != nil {
			cv[j] += math.Exp(x[j]) * z[j] * v[j]
		}
	}
}

func (o *ridged) Split() (sampled, exact bilevel.Objective) {
	e := o.ridge()
	switch o.bug {
	case "exact part has n terms":
		e.n = o.Samples()
	case "exact part of another size":
		e.p++
	case "ridge in both parts":
		return o, e
	case "nil part":
		return o.SecondOrder, nil
	case "sampled part too small":
		return e, e
	case "exact part without Products":
		return o.SecondOrder, firstOrder{e}
	}
	return o.SecondOrder, e
}

func TestObjectivePasses(t *testing.T) {
	t.Run("weighted", func(t *testing.T) { Objective(t, newWeighted(""), ObjectiveOptions{}) })
	t.Run("plain", func(t *testing.T) {
		Objective(t, plain{newPlainWeighted()}, ObjectiveOptions{NoAllocations: true})
	})
	t.Run("ridged", func(t *testing.T) { Objective(t, newRidged(""), ObjectiveOptions{Seed: 3}) })
	t.Run("at a point", func(t *testing.T) {
		w := newWeighted("")
		Objective(t, w, ObjectiveOptions{Points: []bilevel.Point{{Z: fill(6, 0.1), X: fill(90, -0.5)}}, Coordinates: 200})
	})
	t.Run("in a box", func(t *testing.T) {
		for _, o := range []ObjectiveOptions{{Lower: fill(90, 2)}, {Upper: fill(90, -2)},
			{Lower: fill(90, 1), Upper: fill(90, 1.01)}} {
			if err := CheckObjective(newRidged(""), o); err != nil {
				t.Error(err)
			}
		}
	})
}

// newPlainWeighted is weighted made global in x: it fills all of dx.
func newPlainWeighted() bilevel.SecondOrder {
	return globalX{newWeighted("")}
}

type globalX struct{ *weighted }

func (g globalX) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	clear(dx)
	g.weighted.Grad(dz, dx, z, x, b)
}

func (g globalX) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	clear(cv)
	g.weighted.Products(dz, hv, cv, z, x, v, b)
}

// swapped has hv and cv the wrong way round, which d = p allows.
type swapped struct{ bilevel.SecondOrder }

func (s swapped) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	s.SecondOrder.Products(dz, cv, hv, z, x, v, b)
}

// transposed multiplies with the transposed cross matrix, which d = p allows.
type transposed struct{ *quadratic.Objective }

func (s transposed) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	s.Objective.Products(dz, hv, nil, z, x, v, b)
	clear(cv)
	for i := b.Lo; i < b.Hi && cv != nil; i++ {
		axpy(dot(s.RowX(s.C, i), v)/float64(b.Len()), s.RowZ(s.E, i), cv)
	}
}

type noSamples struct{ bilevel.Objective }

func (noSamples) Samples() int { return 0 }

// found checks that err has a finding of the named check.
func found(t *testing.T, err error, check string) {
	t.Helper()
	if err == nil {
		t.Fatal("not noticed")
	}
	if !strings.Contains("\n"+err.Error(), "\n"+check+": ") {
		t.Errorf("noticed by other checks than %q:\n%v", check, err)
	}
}

// Each bug is found by the check that is there for it.
func TestObjectiveFindsBugs(t *testing.T) {
	for _, c := range []struct{ bug, check string }{
		{"dimensions change", "dimensions"},
		{"not finite", "gradient"},
		{"Grad forgets 1/n", "gradient"},
		{"dx of another weight", "gradient"},
		{"cv of the wrong sign", "products"},
		{"dz of Products", "products"},
		{"hv too small", "products"},
		{"asymmetric Hessian", "Hessian symmetric"},
		{"affine in v", "linear in v"},
		{"sums instead of means", "batches add up"},
		{"batch of one", "batches add up"},
		{"writes past the end", "memory"},
		{"leaves dx alone", "memory"},
		{"dx outside the range", "Local"},
		{"cv of Products", "Local"},
		{"Combine forgets keep", "Linear"},
		{"Combine forgets the weight", "Linear"},
		{"row of the next", "Row"},
		{"accumulates", "memory"},
		{"does not overwrite dz", "memory"},
		{"changes an input", "memory"},
		{"changes x", "memory"},
		{"nil ignored", "nil destinations"},
		{"nil changes the rest", "nil destinations"},
		{"empty batch panics", "empty batch"},
		{"empty batch writes", "empty batch"},
		{"first call differs", "same bits again"},
		{"remembers by address", "same bits again"},
		{"adds by processor", "same bits for every GOMAXPROCS"},
		{"allocates", "no allocations"},
		{"range too small", "Local"},
		{"range overlaps", "Local"},
		{"range beyond", "Local"},
		{"sample by sample", "Linear"},
		{"Combine off", "Linear"},
		{"Coefs uses v for cg", "nil destinations"},
		{"Linearize keeps z", "Linearizer"},
		{"Apply halves cv", "Linearizer"},
		{"upper triangle", "HessianMatrix"},
		{"Hessian off", "HessianMatrix"},
		{"uneven blocks", "HessianBlocks"},
		{"block off", "HessianBlocks"},
		{"blocks past the end", "HessianBlocks"},
		{"prefetch changes", "Prefetch"},
		{"ValueGrad off", "ValueGradienter"},
		{"PairGrad swaps", "PairGradienter"},
		{"PairGrad adds in x", "PairGradienter"},
		{"PairDescend moves z first", "PairGradienter"},
		{"PairDescend forgets e", "PairGradienter"},
		{"always fails", "Failer"},
	} {
		t.Run(c.bug, func(t *testing.T) {
			found(t, runCheck(objectiveChecks(newWeighted(c.bug), ObjectiveOptions{NoAllocations: true}, "", 0), c.check),
				c.check)
		})
	}
	for _, c := range []struct{ bug, check string }{
		{"exact part has n terms", "Splitter"},
		{"exact part of another size", "Splitter"},
		{"ridge in both parts", "Splitter"},
		{"nil part", "Splitter"},
		{"sampled part too small", "Splitter"},
		{"exact part without Products", "Splitter"},
		{"sampled part is not local", "sampled part/Local"},
	} {
		t.Run(c.bug, func(t *testing.T) {
			found(t, CheckObjective(newRidged(c.bug), ObjectiveOptions{}), c.check)
		})
	}
	square := Quadratic(4, 4, 40, 40, 1).Problem.Inner.(*quadratic.Objective)
	found(t, CheckObjective(square, ObjectiveOptions{Step: 100, Points: []bilevel.Point{{Z: fill(3, 0), X: fill(4, 0)}}}),
		"start")
	found(t, CheckObjective(square, ObjectiveOptions{Lower: fill(3, 0)}), "start")
	found(t, CheckObjective(swapped{square}, ObjectiveOptions{}), "products")
	found(t, CheckObjective(transposed{square}, ObjectiveOptions{}), "products")
	found(t, CheckObjective(&bilevel.Func{InnerDim: 1, OuterDim: 1}, ObjectiveOptions{}), "start")
	found(t, CheckObjective(noSamples{square}, ObjectiveOptions{}), "start")
	found(t, CheckObjective(nil, ObjectiveOptions{}), "start")
}

// runCheck runs the named check alone, on an objective that nothing else has used.
func runCheck(checks []check, name string) error {
	for _, c := range checks {
		if c.name == name {
			return c.do()
		}
	}
	return errors.New("no check " + name)
}

// badMap is a gradient map with one thing wrong.
type badMap struct {
	bilevel.GradientMap
	bug string
}

func (m badMap) Samples() int {
	if m.bug == "no samples" {
		return 0
	}
	return m.GradientMap.Samples()
}

func (m badMap) Map(dst, z, x []float64, b bilevel.Batch) {
	m.GradientMap.Map(dst, z, x, b)
	switch m.bug {
	case "short batch":
		if b.Len() < 5 {
			dst[0] += 1
		}
	case "writes before":
		dst[0] = sentinel
	case "GOMAXPROCS":
		dst[0] += 0x1p-40 * float64(runtime.GOMAXPROCS(0))
	}
}

func (m badMap) Pull(uz, ux, z, x, u []float64, b bilevel.Batch) {
	if m.bug == "nil" && uz == nil {
		panic("nil destination")
	}
	m.GradientMap.Pull(uz, ux, z, x, u, b)
	switch {
	case m.bug == "ux of the wrong sign":
		for j := range ux {
			ux[j] = -ux[j]
		}
	case m.bug == "uz without the identity" && uz != nil:
		for i := range uz {
			uz[i] -= u[i]
		}
	}
}

func TestFixedPointFindsBugs(t *testing.T) {
	g := bilevel.GradientMap{G: Quadratic(4, 3, 40, 40, 1).Problem.Inner.(bilevel.SecondOrder), Eta: 0.2}
	if err := CheckFixedPoint(badMap{g, ""}, ObjectiveOptions{}); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ bug, check string }{
		{"ux of the wrong sign", "Pull"},
		{"uz without the identity", "Pull"},
		{"short batch", "batches add up"},
		{"writes before", "memory"},
		{"nil", "nil destinations"},
		{"GOMAXPROCS", "same bits for every GOMAXPROCS"},
		{"no samples", "start"},
	} {
		t.Run(c.bug, func(t *testing.T) { found(t, CheckFixedPoint(badMap{g, c.bug}, ObjectiveOptions{}), c.check) })
	}
	found(t, CheckFixedPoint(g, ObjectiveOptions{Upper: fill(1, 1)}), "start")
}
