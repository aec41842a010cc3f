package nonsmooth

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
)

// weights are λ_i = exp(x_{i mod p}), and 0 for the last coefficient.
type weights struct{ d, p int }

func (w weights) Dims() (d, p int) { return w.d, w.p }
func (w weights) Weights(lambda, x []float64) {
	for i := range lambda {
		lambda[i] = math.Exp(x[i%w.p])
	}
	lambda[w.d-1] = 0
}

func (w weights) Pull(cx, x, c []float64) {
	clear(cx)
	for i := range w.d - 1 {
		cx[i%w.p] += math.Exp(x[i%w.p]) * c[i]
	}
}

func (w weights) Push(dst, x, v []float64) {
	for i := range w.d - 1 {
		dst[i] = math.Exp(x[i%w.p]) * v[i%w.p]
	}
	dst[w.d-1] = 0
}

// quartic is the mean over 20 rows of ½s² + s⁴/12 − b_i s with s = a_iᵀz, whose curvature grows away from zero.
func quartic(d, p int) *bilevel.Func {
	rng := rand.New(rand.NewPCG(5, 14))
	const n = 20
	a, b := make([][]float64, n), make([]float64, n)
	for i := range a {
		a[i], b[i] = make([]float64, d), 8*rng.NormFloat64()
		for k := range a[i] {
			a[i][k] = rng.NormFloat64()
		}
	}
	return &bilevel.Func{InnerDim: d, OuterDim: p,
		Eval: func(z, _ []float64, _ bilevel.Batch) float64 {
			sum := 0.0
			for i := range a {
				s := floats.Dot(a[i], z)
				sum += (s*s/2 + s*s*s*s/12 - b[i]*s) / n
			}
			return sum
		},
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
			clear(dz)
			clear(dx)
			for i := range a {
				s := floats.Dot(a[i], z)
				floats.AddScaled(dz, (s+s*s*s/3-b[i])/n, a[i])
			}
		},
		HessVec: func(hv, z, _, v []float64, _ bilevel.Batch) {
			clear(hv)
			for i := range a {
				s := floats.Dot(a[i], z)
				floats.AddScaled(hv, (1+s*s)*floats.Dot(a[i], v)/n, a[i])
			}
		},
		CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { clear(cv) },
	}
}

// FISTA step by step (Beck, Teboulle 2009, section 4): z⁺ = S(y − ∇g(y)/L, λ/L), L doubled until g(z⁺) ≤ g(y) +
// ⟨∇g(y), z⁺ − y⟩ + L/2‖z⁺ − y‖², t⁺ = (1 + √(1 + 4t²))/2 and y = z⁺ + (t − 1)/t⁺·(z⁺ − z), with t = 1 and no
// momentum where ⟨y − z⁺, z⁺ − z⟩ > 0.
func TestFISTAStepsAreTheFormula(t *testing.T) {
	const d, p = 7, 3
	c := &Composite{G: quartic(d, p), L1: weights{d, p}}
	all := bilevel.All(c.G)
	x, lambda := []float64{0, -1, .3}, make([]float64, d)
	c.L1.Weights(lambda, x)
	start := []float64{.1, -.2, .3, 0, .2, -.1, .4}
	z, y, tk := start, start, 1.0
	l := 1 / StepSize(c.G, start, x)
	var doubled, restarts, zeros int
	for k := 1; k <= 40; k++ {
		dz := make([]float64, d)
		c.G.Grad(dz, nil, y, x, all)
		next, moved := make([]float64, d), make([]float64, d)
		for {
			for i := range next {
				u := y[i] - dz[i]/l
				next[i] = math.Copysign(math.Max(math.Abs(u)-lambda[i]/l, 0), u)
			}
			floats.SubTo(moved, next, y)
			if c.G.Value(next, x, all) <= c.G.Value(y, x, all)+floats.Dot(dz, moved)+l/2*floats.Dot(moved, moved) {
				break
			}
			l *= 2
			doubled++
		}
		for _, v := range next {
			if v == 0 {
				zeros++
			}
		}
		step := make([]float64, d)
		floats.SubTo(step, next, z)
		momentum := 0.0
		if floats.Dot(moved, step) < 0 {
			tk = 1
			restarts++
		} else {
			after := (1 + math.Sqrt(1+4*tk*tk)) / 2
			momentum, tk = (tk-1)/after, after
		}
		y = make([]float64, d)
		floats.AddScaledTo(y, next, momentum, step)
		z = next
		m, err := FISTA{MaxIter: k}.Start(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := append([]float64(nil), start...)
		_, err = m.Minimize(t.Context(), got, x, 1e-13)
		var unsolved *inner.NotConvergedError
		if !errors.As(err, &unsolved) {
			t.Fatalf("after %d steps: %v", k, err)
		}
		if e := floats.Distance(got, z, math.Inf(1)); !(e < 1e-12) {
			t.Fatalf("after %d steps z is off by %.3g", k, e)
		}
	}
	if doubled == 0 || restarts == 0 || zeros == 0 {
		t.Errorf("L is doubled %d times, the momentum begins again %d times, %d zeros: the test shows little",
			doubled, restarts, zeros)
	}
}

// StepSize is 1/(1.1 L).
func TestStepSizeIsTheFormula(t *testing.T) {
	diagonal := &bilevel.Func{InnerDim: 3, OuterDim: 1,
		Eval:     func(_, _ []float64, _ bilevel.Batch) float64 { return 0 },
		Gradient: func(_, _, _, _ []float64, _ bilevel.Batch) {},
		HessVec: func(hv, z, _, v []float64, _ bilevel.Batch) {
			hv[0], hv[1], hv[2] = (1+z[0])*v[0], v[1]/5, 4*v[2]/(1+z[0])
		},
		CrossVec: func(_, _, _, _ []float64, _ bilevel.Batch) {},
	}
	// The curvature is 4 at z = 0 and 8 at z₀ = 7.
	for z0, want := range map[float64]float64{0: 4, 7: 8} {
		if got := 1 / (1.1 * StepSize(diagonal, []float64{z0, 0, 0}, nil)); math.Abs(got-want) > 1e-6*want {
			t.Errorf("at z₀ = %g L is %g, want %g", z0, got, want)
		}
	}
}

// The step of a block along its line ends at the minimum of ½uᵀHu − bᵀu + Σλ|u|, kinks and all.
func TestLineOfABlockIsMinimised(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 14))
	const n = 5
	crossed := 0
	for range 200 {
		of := []int{0, 1, 2, 3, 4}
		h := make([]float64, n*n)
		for range n + 1 {
			a := make([]float64, n)
			for i := range a {
				a[i] = rng.NormFloat64()
			}
			for i := range n {
				for j := range n {
					h[i*n+j] += a[i] * a[j]
				}
			}
		}
		var b block
		b.form(of, h, n)
		linear := make([]float64, n)
		for i := range n {
			linear[i], b.u[i], b.lambda[i] = 3*rng.NormFloat64(), rng.NormFloat64(), rng.Float64()*2
		}
		b.lambda[n-1] = 0
		value := func(u []float64) float64 {
			s := 0.0
			for i := range n {
				for j := range n {
					s += h[i*n+j] * u[i] * u[j] / 2
				}
				s += b.lambda[i]*math.Abs(u[i]) - linear[i]*u[i]
			}
			return s
		}
		for i := range n {
			b.r[i] = -linear[i]
			for j := range n {
				b.r[i] += h[i*n+j] * b.u[j]
			}
		}
		before := append([]float64(nil), b.u...)
		b.active()
		b.system()
		dir := make([]float64, n)
		floats.SubTo(dir, b.u, before)
		for i := range n {
			r := -linear[i]
			for j := range n {
				r += h[i*n+j] * b.u[j]
			}
			if math.Abs(r-b.r[i]) > 1e-10 {
				t.Errorf("the gradient is %v, want %g at %d", b.r, r, i)
			}
			if before[i]*b.u[i] < 0 {
				crossed++
			}
		}
		// No point of the line is lower.
		at := value(b.u)
		for k := range 1001 {
			u := make([]float64, n)
			floats.AddScaledTo(u, before, float64(k)/500, dir)
			if v := value(u); v < at-1e-9 {
				t.Fatalf("the block's objective is %g at %v, and %g at %v on the line", at, b.u, v, u)
			}
		}
	}
	if crossed < 20 {
		t.Errorf("%d coefficients changed sign: the test shows little", crossed)
	}
}

// A coefficient without a penalty has derivatives also where it is zero: Φ is smooth there.
func TestDerivativesOfAnUnpenalisedZero(t *testing.T) {
	const d, p = 3, 2
	g := &bilevel.Func{InnerDim: d, OuterDim: p,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return floats.Dot(z, z)/2 + x[0]*z[2] },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { copy(dz, z); dz[2] += x[0]; dx[0], dx[1] = z[2], 0 },
		HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { copy(hv, v) },
		CrossVec: func(cv, _, _, v []float64, _ bilevel.Batch) { cv[0], cv[1] = v[2], 0 },
	}
	c := &Composite{G: g, L1: weights{d, p}, Eta: .25}
	z, x, u := []float64{1, .1, 0}, []float64{0, 0}, []float64{0, 0, 1} // λ = (1, 1, 0)
	uz, ux := make([]float64, d), make([]float64, p)
	c.Pull(uz, ux, z, x, u, bilevel.Batch{})
	if uz[2] != .75 || ux[0] != -.25 {
		t.Errorf("∂zΦᵀe₂ = %v, ∂xΦᵀe₂ = %v, want .75 and -.25", uz, ux)
	}
	c.Push(uz, z, x, u, []float64{1, 0}, bilevel.Batch{})
	if uz[2] != .5 {
		t.Errorf("∂zΦe₂ + ∂xΦe₀ = %v, want .5 in the last place", uz)
	}
}

// asked is a solver that records the tolerances it is asked for.
type asked struct {
	inner.Minimizer
	tol []float64
}

func (a *asked) Start(c *Composite, counts *bilevel.Counts) (inner.Minimizer, error) {
	var err error
	a.Minimizer, err = ProxNewton{}.Start(c, counts)
	return a, err
}

func (a *asked) Minimize(ctx context.Context, z, x []float64, tol float64) (inner.Result, error) {
	a.tol = append(a.tol, tol)
	return a.Minimizer.Minimize(ctx, z, x, tol)
}

// The tolerance of an effort is for ‖Φ(z, x) − z‖, that of inner solvers for subgradients, which are larger by 1/η.
func TestToleranceOfImplicit(t *testing.T) {
	const d, p = 7, 3
	for _, c := range []struct{ eta, want float64 }{{.25, 4e-4}, {0, 1e-4}} {
		a := &asked{}
		problem := &bilevel.Problem{Fixed: &Composite{G: quartic(d, p), L1: weights{d, p}, Eta: c.eta},
			Outer: quartic(d, p)}
		h, err := Implicit{Inner: a}.Start(problem, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := bilevel.Point{Z: make([]float64, d), X: []float64{0, -1, .3}, V: make([]float64, d)}
		if _, err := h.At(t.Context(), make([]float64, p), at,
			hypergrad.Effort{Inner: 1e-4, LinearTol: 1e-4}); err != nil {
			t.Fatal(err)
		}
		if len(a.tol) != 1 || math.Abs(a.tol[0]-c.want) > 1e-15 {
			t.Errorf("η = %g: the inner problem is solved to %v, want %g", c.eta, a.tol, c.want)
		}
	}
}

// The report's value corrects for what the inner solver left: it is of second order in z − z*.
func TestCorrectionOfImplicit(t *testing.T) {
	const d, p = 7, 3
	c := &Composite{G: quartic(d, p), L1: weights{d, p}}
	f := &bilevel.Func{InnerDim: d, OuterDim: p,
		Eval: func(z, _ []float64, _ bilevel.Batch) float64 {
			s := 0.0
			for i, v := range z {
				s += math.Sin(v + float64(i))
			}
			return s
		},
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
			clear(dx)
			for i, v := range z {
				dz[i] = math.Cos(v + float64(i))
			}
		},
	}
	x := []float64{0, -1, .3}
	h, err := Implicit{}.Start(&bilevel.Problem{Fixed: c, Outer: f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := bilevel.Point{Z: make([]float64, d), X: x, V: make([]float64, d)}
	exact, err := h.At(t.Context(), make([]float64, p), at, hypergrad.Effort{Inner: 1e-12, LinearTol: 1e-12})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []float64{1e-3, 1e-5} {
		near := bilevel.Point{Z: append([]float64(nil), at.Z...), X: x, V: make([]float64, d)}
		for i := range near.Z {
			near.Z[i] *= 1 + e*math.Cos(float64(i)) // of the same support
		}
		rep, err := h.At(t.Context(), make([]float64, p), near, hypergrad.Effort{Inner: 1e9, LinearTol: 1e-12})
		if err != nil {
			t.Fatal(err)
		}
		off, without := math.Abs(rep.Value-exact.Value), math.Abs(rep.Value-rep.Correction-exact.Value)
		if !(off < 20*e*without) {
			t.Errorf("error %g in z: h is off by %.3g, uncorrected by %.3g", e, off, without)
		}
	}
}

// A warning says that a coefficient is about to enter the support where |∇_i g| is λ_i to 1e-9, and not where it is
// farther.
func TestDistanceOfKinks(t *testing.T) {
	for _, c := range []struct {
		distance float64
		warns    bool
	}{{1e-8, false}, {1e-10, true}} {
		g := &bilevel.Func{InnerDim: 3, OuterDim: 2,
			Eval: func(z, _ []float64, _ bilevel.Batch) float64 {
				return (z[0]-5)*(z[0]-5)/2 + (z[1]-1+c.distance)*(z[1]-1+c.distance)/2 + (z[2]-1)*(z[2]-1)/2
			},
			Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) {
				dz[0], dz[1], dz[2] = z[0]-5, z[1]-1+c.distance, z[2]-1
				clear(dx)
			},
			HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { copy(hv, v) },
			CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { clear(cv) },
		}
		h, err := Implicit{}.Start(&bilevel.Problem{Fixed: &Composite{G: g, L1: weights{3, 2}}, Outer: g}, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := bilevel.Point{Z: make([]float64, 3), X: []float64{0, 0}, V: make([]float64, 3)} // λ = (1, 1, 0)
		rep, err := h.At(t.Context(), make([]float64, 2), at, hypergrad.Effort{Inner: 1e-12, LinearTol: 1e-12})
		if err != nil {
			t.Fatal(err)
		}
		var kink *KinkError
		if warns := errors.As(rep.Warning, &kink); warns != c.warns || warns && kink.Coefficient != 1 {
			t.Errorf("|∇g| is λ but for %g: the warning is %v", c.distance, rep.Warning)
		}
	}
}

func TestDefaultLimits(t *testing.T) {
	c := &Composite{G: quartic(7, 3), L1: weights{7, 3}}
	n, err := ProxNewton{}.Start(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := FISTA{}.Start(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := n.(*whole).m.MaxIter, f.(*fista).m.MaxIter; a != 500 || b != 100000 {
		t.Errorf("limits of %d and %d iterations, want 500 and 100000", a, b)
	}
}
