package hypergrad_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
)

// sample is one hypergradient with everything that it leaves: z, v, ∇h, h, in one vector.
func sample(t *testing.T, p *bilevel.Problem, m hypergrad.SID, at bilevel.Point, effort hypergrad.Effort) []float64 {
	t.Helper()
	h, err := m.Start(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return estimate(t, h, at, effort)
}

func estimate(t *testing.T, h hypergrad.Hypergradient, at bilevel.Point, effort hypergrad.Effort) []float64 {
	t.Helper()
	z, v, grad := slices.Clone(at.Z), slices.Clone(at.V), make([]float64, len(at.X))
	rep, err := h.At(context.Background(), grad, bilevel.Point{Z: z, X: at.X, V: v}, effort)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(z, v, grad, []float64{rep.Value})
}

// somewhere is a point of c away from the solution.
func somewhere(c bileveltest.Case) bilevel.Point {
	d, p := c.Problem.Dims()
	rng := rand.New(rand.NewPCG(uint64(d), uint64(p)))
	draw := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		return x
	}
	return bilevel.Point{Z: draw(d), X: draw(p), V: draw(d)}
}

// The means over many seeds of z_t, v_k and ∇h are those of the deterministic iteration with the same numbers of
// steps: the levels are linear in z and v here, and the draws independent. 101 and 73 terms leave short blocks.
func TestSIDUnbiased(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 101, 73, 3)
	at := somewhere(c)
	rate := hypergrad.Harmonic{Beta: 4, Gamma: 8}
	const seeds = 6000
	for name, p := range map[string]*bilevel.Problem{"objective": c.Problem, "map": c.FixedPoint("", .2).Problem} {
		m := hypergrad.SID{InnerSteps: 3, LinearSteps: 4, Samples: 12, Batch: 5, InnerStep: rate, LinearStep: rate, Scale: .2}
		if p.Fixed != nil {
			m.Scale = 1
		}
		full := m
		full.Batch, full.Samples = 101, 101
		want := sample(t, p, full, at, hypergrad.Effort{})
		want = want[:len(want)-1] // h is not linear in z and v
		sum, square := make([]float64, len(want)), make([]float64, len(want))
		h, err := m.Start(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(seeds) {
			for i, v := range estimate(t, h, at, hypergrad.Effort{Seed: seed})[:len(want)] {
				sum[i] += v - want[i]
				square[i] += (v - want[i]) * (v - want[i])
			}
		}
		for i := range want {
			mean := sum[i] / seeds
			se := math.Sqrt((square[i]/seeds - mean*mean) / seeds)
			if !(se > 0) || math.Abs(mean) > 4.5*se {
				t.Errorf("%s: entry %d of (z, v, ∇h) is off by %.3g on average, %.1f standard errors", name, i, mean, mean/se)
			}
		}
	}
}

// Each draw has its own stream: with one of the four parts sampled alone, the estimate varies, and its mean is
// right; h̄ is unbiased where z and v do not vary.
func TestSIDMeans(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 101, 73, 3)
	at := somewhere(c)
	still := hypergrad.Harmonic{Beta: 1e-300} // leaves z and v as they are
	m := hypergrad.SID{InnerSteps: 1, LinearSteps: 1, Samples: 9, Batch: 4, InnerStep: still, LinearStep: still, Scale: 1}
	h, err := m.Start(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, g := c.Problem.Outer, c.Problem.Inner.(bilevel.SecondOrder)
	dz, dx, cv := make([]float64, 6), make([]float64, 4), make([]float64, 4)
	f.Grad(nil, dx, at.Z, at.X, bilevel.All(f))
	g.Products(dz, nil, cv, at.Z, at.X, at.V, bilevel.All(g))
	want := f.Value(at.Z, at.X, bilevel.All(f)) // h, then ∇h
	for i, v := range at.V {
		want += v * dz[i]
	}
	all := []float64{dx[0] + cv[0], dx[1] + cv[1], dx[2] + cv[2], dx[3] + cv[3], want}
	const seeds = 6000
	sum, square := make([]float64, 5), make([]float64, 5)
	for seed := range uint64(seeds) {
		for i, v := range estimate(t, h, at, hypergrad.Effort{Seed: seed})[12:] {
			sum[i] += v - all[i]
			square[i] += (v - all[i]) * (v - all[i])
		}
	}
	for i := range sum {
		mean := sum[i] / seeds
		se := math.Sqrt((square[i]/seeds - mean*mean) / seeds)
		if !(se > 0) || math.Abs(mean) > 4.5*se {
			t.Errorf("entry %d of (∇h, h) is off by %.3g on average, %.1f standard errors", i, mean, mean/se)
		}
	}
}

// errorOf is the mean squared error of ∇h, and the square of its mean, over seeds.
func errorOf(t *testing.T, c bileveltest.Case, m hypergrad.SID, x []float64, seeds int) (mse, bias float64) {
	t.Helper()
	d, p := c.Problem.Dims()
	want := c.Solve(x).Grad
	h, err := m.Start(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := bilevel.Point{Z: make([]float64, d), X: x, V: make([]float64, d)}
	mean := make([]float64, p)
	for seed := range seeds {
		got := estimate(t, h, at, hypergrad.Effort{Seed: uint64(seed)})[2*d : 2*d+p]
		mse += distance(got, want) * distance(got, want) / float64(seeds)
		for j := range mean {
			mean[j] += (got[j] - want[j]) / float64(seeds)
		}
	}
	return mse, norm(mean) * norm(mean)
}

// With decreasing rates and t = k = J the mean squared error falls like 1/t, also from the automatic rates and
// scale once t is past γ.
func TestSIDRate(t *testing.T) {
	c := bileveltest.Quadratic(4, 3, 5000, 4500, 1)
	x := []float64{.3, -.2, .5}
	for name, v := range map[string]struct {
		m     hypergrad.SID
		steps []int
	}{
		"explicit": {hypergrad.SID{Batch: 2, Scale: .2, InnerStep: hypergrad.Harmonic{Beta: 100, Gamma: 100},
			LinearStep: hypergrad.Harmonic{Beta: 100, Gamma: 100}}, []int{500, 1000, 2000, 4000}},
		"automatic": {hypergrad.SID{Batch: 2}, []int{500, 1000, 2000, 4000}},
	} {
		var logT, logE []float64
		for _, n := range v.steps {
			v.m.InnerSteps, v.m.LinearSteps, v.m.Samples = n, n, n
			mse, _ := errorOf(t, c, v.m, x, 120)
			logT, logE = append(logT, math.Log(float64(n))), append(logE, math.Log(mse))
		}
		slope := leastSquaresSlope(logT, logE)
		t.Logf("%s: slope %.3f, errors %.3g", name, slope, logE)
		if math.Abs(slope+1) > .2 {
			t.Errorf("%s: the mean squared error falls like t^%.3f, not 1/t", name, slope)
		}
	}
}

func leastSquaresSlope(x, y []float64) float64 {
	var mx, my, xy, xx float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(x))
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
	}
	return xy / xx
}

// With constant rates the mean squared error ends at a level that is proportional to the rate, more steps or not,
// and it is variance: the mean is right.
func TestSIDPlateau(t *testing.T) {
	c := bileveltest.Quadratic(4, 3, 2000, 2000, 1)
	x := []float64{.3, -.2, .5}
	level := map[float64]float64{}
	for _, beta := range []float64{.5, .25} {
		for _, more := range []float64{1, 2} {
			n := int(more * 100 / beta)
			m := hypergrad.SID{Batch: 4, Scale: .5, InnerSteps: n, LinearSteps: n, Samples: 2000,
				InnerStep: hypergrad.Harmonic{Beta: beta}, LinearStep: hypergrad.Harmonic{Beta: beta}}
			mse, bias := errorOf(t, c, m, x, 300)
			t.Logf("rate %v, %d steps: mean squared error %.4g, of which %.3g is bias", beta, n, mse, bias)
			if bias > .05*mse {
				t.Errorf("rate %v, %d steps: bias %.3g of a mean squared error of %.3g", beta, n, bias, mse)
			}
			if more > 1 && math.Abs(math.Log(mse/level[beta])) > .3 {
				t.Errorf("rate %v: %.3g after %d steps, %.3g after half as many", beta, mse, n, level[beta])
			}
			level[beta] = mse
		}
	}
	if ratio := level[.5] / level[.25]; math.Abs(math.Log(ratio/2)) > .3 {
		t.Errorf("twice the rate has %.3g times the error", ratio)
	}
}

// With all samples in a batch and constant rates, SID is the fixed-point iteration at both levels.
func TestSIDFullBatch(t *testing.T) {
	for _, c := range bileveltest.Cases() {
		d, p := c.Problem.Dims()
		at := somewhere(c)
		const eta, steps, products = .1, 7, 5
		f, g := c.Problem.Outer, c.Problem.Inner.(bilevel.SecondOrder)
		z, v := slices.Clone(at.Z), slices.Clone(at.V)
		dz, hv, b := make([]float64, d), make([]float64, d), make([]float64, d)
		grad, cv := make([]float64, p), make([]float64, p)
		for range steps {
			g.Grad(dz, nil, z, at.X, bilevel.All(g))
			for i := range z {
				z[i] -= eta * dz[i]
			}
		}
		f.Grad(b, grad, z, at.X, bilevel.All(f))
		for range products {
			g.Products(nil, hv, nil, z, at.X, v, bilevel.All(g))
			for i := range v {
				v[i] -= eta * (hv[i] + b[i])
			}
		}
		g.Products(dz, nil, cv, z, at.X, v, bilevel.All(g))
		h := f.Value(z, at.X, bilevel.All(f))
		for i := range v {
			h += v[i] * dz[i]
		}
		for j := range grad {
			grad[j] += cv[j]
		}
		want := slices.Concat(z, v, grad, []float64{h})
		rate := hypergrad.Harmonic{Beta: 1}
		m := hypergrad.SID{Batch: 1000, InnerStep: rate, LinearStep: rate, Scale: eta}
		effort := hypergrad.Effort{InnerSteps: steps, LinearSteps: products}
		got := sample(t, c.Problem, m, at, effort)
		if e := distance(got, want) / norm(want); !(e <= 1e-13) {
			t.Errorf("%s: relative error %.2g", c.Name, e)
		}
		// The same as a map, whose adjoint is u = −v/η.
		u := slices.Clone(at.V)
		for i := range u {
			u[i] /= -eta
		}
		m.Scale = 1
		got = sample(t, c.FixedPoint("", eta).Problem, m, bilevel.Point{Z: at.Z, X: at.X, V: u}, effort)
		for i := range d {
			got[d+i] *= -eta
		}
		if e := distance(got, want) / norm(want); !(e <= 1e-13) {
			t.Errorf("%s as a map: relative error %.2g", c.Name, e)
		}
	}
}

// The same arguments give the same bits, whatever came before; another seed or effort others.
func TestSIDSameBits(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 101, 73, 3)
	at := somewhere(c)
	m := hypergrad.SID{InnerSteps: 9, LinearSteps: 9, Samples: 20, Batch: 4}
	want := sample(t, c.Problem, m, at, hypergrad.Effort{Seed: 5})
	h, err := m.Start(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range []hypergrad.Effort{{Seed: 6}, {Seed: 5, InnerSteps: 8}, {Seed: 5, LinearSteps: 8},
		{Seed: 5, Samples: 16}} {
		if slices.Equal(estimate(t, h, at, e), want) {
			t.Errorf("effort %+v (%d) changes nothing", e, i)
		}
		if !slices.Equal(estimate(t, h, at, hypergrad.Effort{Seed: 5}), want) {
			t.Errorf("other bits after effort %+v", e)
		}
	}
	same := hypergrad.Effort{Seed: 5, InnerSteps: 9, LinearSteps: 9, Samples: 20, Inner: 1, LinearTol: .5}
	if !slices.Equal(sample(t, c.Problem, hypergrad.SID{Batch: 4}, at, same), want) {
		t.Error("numbers of steps in the effort are not those of the configuration")
	}
}

// drawn is an objective that notes the batches of each kind of call.
type drawn struct {
	bilevel.SecondOrder
	gradient, product, mixed []int // first samples
}

func (o *drawn) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	o.gradient = append(o.gradient, b.Lo)
	o.SecondOrder.Grad(dz, dx, z, x, b)
}

func (o *drawn) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	if hv != nil {
		o.product = append(o.product, b.Lo)
	} else {
		o.mixed = append(o.mixed, b.Lo)
	}
	o.SecondOrder.Products(dz, hv, cv, z, x, v, b)
}

// The four draws are different sequences, and each is uniform over the samples.
func TestSIDDraws(t *testing.T) {
	c := bileveltest.Quadratic(3, 2, 102, 102, 3)
	f, g := &drawn{SecondOrder: c.Problem.Outer.(bilevel.SecondOrder)},
		&drawn{SecondOrder: c.Problem.Inner.(bilevel.SecondOrder)}
	const n = 100 // fewer than there are terms
	m := hypergrad.SID{InnerSteps: n, LinearSteps: n, Samples: n, Batch: 1, Scale: 1e-3}
	sample(t, &bilevel.Problem{Outer: f, Inner: g}, m, somewhere(c), hypergrad.Effort{Seed: 4})
	draws := [][]int{g.gradient, f.gradient, g.product, g.mixed}
	for i, a := range draws {
		mean := 0.0
		for _, lo := range a {
			mean += float64(lo) / n
		}
		if len(a) != n || math.Abs(mean-50.5) > 4*29.4/10 {
			t.Errorf("draw %d: %d batches with the mean %v", i, len(a), mean)
		}
		for j, b := range draws[:i] {
			same := 0
			for k := range a {
				if a[k] == b[k] {
					same++
				}
			}
			if same > 8 { // one is expected
				t.Errorf("draws %d and %d agree in %d of %d batches", j, i, same, n)
			}
		}
	}
}

// Samples visited, without an automatic scale and with.
func TestSIDCounts(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 100, 80, 3)
	for _, v := range []struct {
		m    hypergrad.SID
		want bilevel.Counts
	}{
		{hypergrad.SID{InnerSteps: 7, LinearSteps: 6, Samples: 18, Batch: 5, Scale: .1},
			bilevel.Counts{ValueF: 20, GradF: 20, GradG: 35 + 20, HessG: 30, CrossG: 20}},
		{hypergrad.SID{InnerSteps: 7, LinearSteps: 6, Samples: 90, Batch: 5, Scale: .1},
			bilevel.Counts{ValueF: 80, GradF: 80, GradG: 35 + 90, HessG: 30, CrossG: 90}},
		{hypergrad.SID{InnerSteps: 7, LinearSteps: 6, Samples: 18, Batch: 5},
			bilevel.Counts{ValueF: 20, GradF: 20, GradG: 35 + 20, HessG: 30 + 2*16*4*5, CrossG: 20}},
	} {
		for _, p := range []*bilevel.Problem{c.Problem, c.FixedPoint("", .1).Problem} {
			var counts bilevel.Counts
			h, err := v.m.Start(p, &counts)
			if err != nil {
				t.Fatal(err)
			}
			estimate(t, h, somewhere(c), hypergrad.Effort{})
			if counts != v.want {
				t.Errorf("%+v visits %+v, want %+v", v.m, counts, v.want)
			}
		}
	}
}

func TestSIDErrors(t *testing.T) {
	c := bileveltest.Quadratic(6, 4, 100, 80, 3)
	for _, m := range []hypergrad.SID{
		{InnerSteps: -1}, {LinearSteps: -1}, {Samples: -1}, {Batch: -1}, {Scale: -1}, {Scale: math.Inf(1)},
		{InnerStep: hypergrad.Harmonic{Beta: -1}}, {LinearStep: hypergrad.Harmonic{Beta: 1, Gamma: -1}},
		{LinearStep: hypergrad.Harmonic{Gamma: 1}},
	} {
		if _, err := m.Start(c.Problem, nil); err == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	h, err := hypergrad.SID{Scale: 1e9}.Start(c.Problem, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.At(context.Background(), make([]float64, 4), somewhere(c), hypergrad.Effort{}); err == nil {
		t.Error("no error from steps that diverge")
	}
}
