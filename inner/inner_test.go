package inner_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// firstOrder hides everything but values and gradients.
type firstOrder struct{ bilevel.Objective }

// secondOrder hides everything but products.
type secondOrder struct{ bilevel.SecondOrder }

// linearized hides the Hessian as a matrix.
type linearized struct {
	bilevel.SecondOrder
	bilevel.Linearizer
}

// counting counts oracle calls, in samples.
type counting struct {
	bilevel.SecondOrder
	got bilevel.Counts
}

func (c *counting) Value(z, x []float64, b bilevel.Batch) float64 {
	c.got.ValueG += int64(b.Len())
	return c.SecondOrder.Value(z, x, b)
}

func (c *counting) Grad(dz, dx, z, x []float64, b bilevel.Batch) {
	c.got.GradG += int64(b.Len())
	c.SecondOrder.Grad(dz, dx, z, x, b)
}

func (c *counting) Products(dz, hv, cv, z, x, v []float64, b bilevel.Batch) {
	c.got.HessG += int64(b.Len())
	c.SecondOrder.Products(dz, hv, cv, z, x, v, b)
}

// logistic is a random problem with one strength per feature.
func logistic(t testing.TB, n, d int, scale float64) *model.Regularized {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), uint64(d)))
	a := rows.NewDense(n, d)
	y := make([]float64, n)
	for i := range n {
		s := 0.0
		for j := range d {
			a.Row(i)[j] = scale * rng.NormFloat64()
			s += a.Row(i)[j] * math.Cos(float64(j))
		}
		y[i] = 1
		if s+rng.NormFloat64() < 0 {
			y[i] = -1
		}
	}
	loss, err := model.NewLogistic(a, y, d)
	if err != nil {
		t.Fatal(err)
	}
	pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Regularize(loss, pen)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

type variant struct {
	name   string
	solver inner.Solver
	hide   func(g *model.Regularized) bilevel.Objective

	firstOrder bool
}

func variants() []variant {
	full := func(g *model.Regularized) bilevel.Objective { return g }
	return []variant{
		{"auto", inner.Auto{}, full, false},
		{"auto, first order", inner.Auto{}, func(g *model.Regularized) bilevel.Objective { return firstOrder{g} }, true},
		{"dense", inner.Newton{}, full, false},
		{"dense by products", inner.Newton{DenseDim: 1000},
			func(g *model.Regularized) bilevel.Objective { return secondOrder{g} }, false},
		{"cg", inner.Newton{DenseDim: -1}, func(g *model.Regularized) bilevel.Objective { return secondOrder{g} }, false},
		{"cg, linearized", inner.Newton{DenseDim: -1},
			func(g *model.Regularized) bilevel.Objective { return linearized{g, g} }, false},
		{"cg, preconditioned", inner.Newton{DenseDim: -1}, full, false},
		{"lbfgs", inner.LBFGS{}, full, true},
	}
}

func fill(n int, v float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = v
	}
	return x
}

func norm(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}

func TestSolversAgree(t *testing.T) {
	for _, size := range []struct{ n, d int }{{200, 7}, {30, 60}, {500, 1}} {
		g := logistic(t, size.n, size.d, 1)
		d := size.d
		x := make([]float64, d)
		for j := range x {
			x[j] = -3 + 2*math.Sin(float64(j))
		}
		var want []float64
		for _, v := range variants() {
			m, err := v.solver.Start(v.hide(g), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, start := range []float64{0, 3, -20} {
				z := fill(d, start)
				res, err := m.Minimize(context.Background(), z, x, 1e-11)
				if err != nil || !res.Converged {
					t.Errorf("%s, %v, from %v: %+v, %v", v.name, size, start, res, err)
					continue
				}
				grad := make([]float64, d)
				g.Grad(grad, nil, z, x, bilevel.All(g))
				if norm(grad) > 1.001e-11 || math.Abs(norm(grad)-res.GradNorm) > 1e-15 ||
					math.Abs(norm(res.Grad)-res.GradNorm) > 1e-15 {
					t.Errorf("%s, %v: gradient %g, says %g", v.name, size, norm(grad), res.GradNorm)
				}
				if want == nil {
					want = append(want, z...)
				}
				for i := range z {
					if math.Abs(z[i]-want[i]) > 1e-8*(1+math.Abs(want[i])) {
						t.Errorf("%s, %v, from %v: z[%d] = %v, want %v", v.name, size, start, i, z[i], want[i])
						break
					}
				}
				// Again from the solution: nothing to do.
				res, err = m.Minimize(context.Background(), z, x, 1e-11)
				if err != nil || res.Iterations != 0 {
					t.Errorf("%s, %v: warm start took %d iterations, %v", v.name, size, res.Iterations, err)
				}
			}
		}
		want = nil
	}
}

// Strengths from e^{−12} to e^{12}, a Hessian of condition 1e10 and more, separable data, many features.
func TestHardConditions(t *testing.T) {
	for _, size := range []struct{ n, d int }{{300, 10}, {20, 60}} {
		g := logistic(t, size.n, size.d, 1)
		for name, strength := range map[string]func(j int) float64{
			"all at the lower end": func(int) float64 { return -12 },
			"all at the upper end": func(int) float64 { return 12 },
			"both ends":            func(j int) float64 { return float64(j%2*24 - 12) },
		} {
			x := make([]float64, size.d)
			for j := range x {
				x[j] = strength(j)
			}
			for _, v := range variants() {
				tol := 1e-9
				m, err := v.solver.Start(v.hide(g), nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, start := range []float64{0, 2} {
					z := fill(size.d, start)
					res, err := m.Minimize(context.Background(), z, x, tol)
					// A first-order method may give up at condition 1e10, but says so.
					var unsolved *inner.NotConvergedError
					if name == "both ends" && v.firstOrder && errors.As(err, &unsolved) {
						continue
					}
					if err != nil || !res.Converged && !res.Rounding {
						t.Errorf("%s, %v, %s, from %v: %v iterations, norm %g: %v",
							name, size, v.name, start, res.Iterations, res.GradNorm, err)
					}
					if testing.Verbose() {
						t.Logf("%s, %v, %s, from %v: %d iterations, %.2g", name, size, v.name, start, res.Iterations, res.GradNorm)
					}
				}
			}
		}
	}
}

// square is ½Σ w_j (z_j − 1)² with products, whose w may be zero.
func square(w ...float64) *bilevel.Func {
	return &bilevel.Func{
		InnerDim: len(w), OuterDim: 1,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			s := 0.0
			for j, c := range w {
				s += c / 2 * (z[j] - 1) * (z[j] - 1)
			}
			return s
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			for j, c := range w {
				dz[j] = c * (z[j] - 1)
			}
			dx[0] = 0
		},
		HessVec: func(hv, z, x, v []float64, _ bilevel.Batch) {
			for j, c := range w {
				hv[j] = c * v[j]
			}
		},
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = 0 },
	}
}

func allSolvers() map[string]inner.Solver {
	return map[string]inner.Solver{"dense": inner.Newton{}, "cg": inner.Newton{DenseDim: -1}, "lbfgs": inner.LBFGS{},
		"gradient descent": inner.GradientDescent{}, "heavy ball": inner.HeavyBall{}, "nesterov": inner.Nesterov{}}
}

func TestSingularHessian(t *testing.T) {
	for name, s := range allSolvers() {
		m, err := s.Start(square(1, 0, 1e-3), nil)
		if err != nil {
			t.Fatal(err)
		}
		z := []float64{5, 7, -3}
		res, err := m.Minimize(context.Background(), z, []float64{0}, 1e-10)
		if err != nil || !res.Converged || math.Abs(z[0]-1) > 1e-9 || z[1] != 7 || math.Abs(z[2]-1) > 1e-6 {
			t.Errorf("%s: z = %v, %+v, %v", name, z, res, err)
		}
	}
}

// Least squares with more unknowns than rows: the Hessian XᵀX/n is singular, and has a Cholesky factor by
// rounding at times. Steps must not wander off in its null space: damping by its diagonal D leads from z = 0 to
// the solution with the smallest zᵀDz. That is the shortest one in the unknowns D^½z, which L-BFGS finds, whose
// steps are combinations of gradients.
func TestRankDeficient(t *testing.T) {
	for seed := range uint64(30) {
		n := 1 + int(seed%6)
		d := n + 1 + int(seed%5)
		rng := rand.New(rand.NewPCG(seed, 4))
		a, scaled, y := rows.NewDense(n, d), rows.NewDense(n, d), make([]float64, n)
		root := make([]float64, d) // of D, times √n
		for i := range n {
			y[i] = rng.NormFloat64()
			for j := range d {
				v := rng.NormFloat64()
				a.Row(i)[j] = v
				root[j] = math.Hypot(root[j], v)
			}
		}
		for i := range n {
			for j := range d {
				scaled.Row(i)[j] = a.Row(i)[j] / root[j]
			}
		}
		solve := func(a rows.Matrix, s inner.Solver) []float64 {
			g, err := model.NewSquared(a, y, 1)
			if err != nil {
				t.Fatal(err)
			}
			m, err := s.Start(g, nil)
			if err != nil {
				t.Fatal(err)
			}
			z := make([]float64, d)
			if res, err := m.Minimize(context.Background(), z, []float64{0}, 1e-9); err != nil || !res.Converged {
				t.Errorf("%d × %d, %+v: %v", n, d, s, err)
			}
			return z
		}
		solve(a, inner.Newton{DenseDim: -1})
		z, want := solve(a, inner.Newton{}), solve(scaled, inner.LBFGS{})
		for j := range z {
			z[j] = root[j]*z[j] - want[j]
		}
		if norm(z) > 1e-3*norm(want) {
			t.Errorf("%d × %d: off the shortest solution by %.2g of %.2g", n, d, norm(z), norm(want))
		}
	}
}

func TestWrongLengthPanics(t *testing.T) {
	for name, s := range allSolvers() {
		m, err := s.Start(square(1, 2), nil)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if r, ok := recover().(string); !ok || r != "inner: z has the wrong length" {
					t.Errorf("%s: panic %v", name, r)
				}
			}()
			_, _ = m.Minimize(context.Background(), make([]float64, 1), []float64{0}, 1e-9)
		}()
	}
}

// A tolerance below rounding is not an error, and ends.
func TestRounding(t *testing.T) {
	g := logistic(t, 400, 12, 1)
	for _, v := range variants() {
		m, err := v.solver.Start(v.hide(g), nil)
		if err != nil {
			t.Fatal(err)
		}
		z := make([]float64, 12)
		res, err := m.Minimize(context.Background(), z, fill(12, -5), 1e-300)
		if err != nil || !res.Rounding || res.GradNorm > 1e-8 {
			t.Errorf("%s: %+v, %v", v.name, res, err)
		}
	}
}

func TestNotConverged(t *testing.T) {
	for name, s := range map[string]inner.Solver{
		"dense": inner.Newton{MaxIter: 1}, "cg": inner.Newton{MaxIter: 1, DenseDim: -1}, "lbfgs": inner.LBFGS{MaxIter: 1},
	} {
		m, err := s.Start(logistic(t, 100, 5, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Minimize(context.Background(), make([]float64, 5), fill(5, -4), 1e-10)
		var e *inner.NotConvergedError
		if !errors.As(err, &e) || e.Tol != 1e-10 || e.GradNorm != res.GradNorm || res.Converged || res.Rounding {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
	// A gradient of the wrong sign.
	for name, s := range allSolvers() {
		g := square(1, 2)
		right := g.Gradient
		g.Gradient = func(dz, dx, z, x []float64, b bilevel.Batch) {
			right(dz, dx, z, x, b)
			for i := range dz {
				dz[i] = -dz[i]
			}
		}
		m, err := s.Start(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Minimize(context.Background(), []float64{3, 4}, []float64{0}, 1e-8)
		var e *inner.NotConvergedError
		if !errors.As(err, &e) {
			t.Errorf("%s with a wrong gradient: %v", name, err)
		}
	}
}

func TestNonFinite(t *testing.T) {
	for name, s := range allSolvers() {
		m, err := s.Start(square(1, math.NaN()), nil)
		if err != nil {
			t.Fatal(err)
		}
		var e *inner.NonFiniteError
		if _, err = m.Minimize(context.Background(), []float64{3, 4}, []float64{0}, 1e-8); !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// log(1+z)-like barrier: a long step leaves the domain and is taken back.
	barrier := &bilevel.Func{
		InnerDim: 1, OuterDim: 1,
		Eval:     func(z, x []float64, _ bilevel.Batch) float64 { return z[0] - math.Log(z[0]) },
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) { dz[0], dx[0] = 1-1/z[0], 0 },
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0] = v[0] / (z[0] * z[0]) },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = 0 },
	}
	for name, s := range allSolvers() {
		m, err := s.Start(barrier, nil)
		if err != nil {
			t.Fatal(err)
		}
		z := []float64{30}
		if res, err := m.Minimize(context.Background(), z, []float64{0}, 1e-10); err != nil || math.Abs(z[0]-1) > 1e-9 {
			t.Errorf("%s: z = %v, %+v, %v", name, z, res, err)
		}
	}
}

// Where g is not convex, Newton still goes down.
func TestNonConvex(t *testing.T) {
	g := &bilevel.Func{
		InnerDim: 2, OuterDim: 1,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			return math.Pow(z[0]*z[0]-1, 2)/4 + z[1]*z[1]/2
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0], dz[1], dx[0] = z[0]*(z[0]*z[0]-1), z[1], 0
		},
		HessVec: func(hv, z, x, v []float64, _ bilevel.Batch) {
			hv[0], hv[1] = (3*z[0]*z[0]-1)*v[0], v[1]
		},
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = 0 },
	}
	for name, s := range allSolvers() {
		m, err := s.Start(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		z := []float64{.1, 3}
		if res, err := m.Minimize(context.Background(), z, []float64{0}, 1e-10); err != nil ||
			math.Abs(math.Abs(z[0])-1) > 1e-8 {
			t.Errorf("%s: z = %v, %+v, %v", name, z, res, err)
		}
	}
}

func TestCounts(t *testing.T) {
	for _, s := range []inner.Solver{inner.Newton{}, inner.Newton{DenseDim: -1}, inner.LBFGS{}} {
		g := &counting{SecondOrder: logistic(t, 300, 9, 1)}
		var counts bilevel.Counts
		m, err := s.Start(g, &counts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Minimize(context.Background(), make([]float64, 9), fill(9, -4), 1e-9); err != nil {
			t.Fatal(err)
		}
		if counts != g.got || counts.GradG == 0 {
			t.Errorf("%T: counts %+v, calls %+v", s, counts, g.got)
		}
	}
}

func TestFactor(t *testing.T) {
	g := logistic(t, 300, 9, 1)
	m, err := inner.Newton{}.Start(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	z, x := make([]float64, 9), fill(9, -2)
	for _, when := range []string{"after iterations", "from the solution"} {
		if _, err := m.Minimize(context.Background(), z, x, 1e-10); err != nil {
			t.Fatal(err)
		}
		f, err := m.(inner.Factorer).Factor(context.Background(), z, x)
		if err != nil {
			t.Fatal(err)
		}
		v, hv := fill(9, 1), make([]float64, 9)
		g.Products(nil, hv, nil, z, x, v, bilevel.All(g))
		f.Solve(hv, hv)
		for i := range v {
			if math.Abs(hv[i]-1) > 1e-2 {
				t.Errorf("%s: H⁻¹Hv = %v", when, hv)
				break
			}
		}
	}
}

// Diagonal blocks, one per class of a softmax model and single numbers on sparse rows, save most products of
// conjugate gradients and do not change the answer; their inverse is at hand for the adjoint.
func TestBlocks(t *testing.T) {
	const n, d, k = 300, 12, 4
	rng := rand.New(rand.NewPCG(1, 2))
	dense, csr := rows.NewDense(n, d), &rows.CSR{N: n, D: d, Ptr: []int{0}}
	label := make([]int, n)
	for i := range n {
		common := rng.NormFloat64()
		for j := range d {
			v := math.Exp(float64(j)/2) * (common + rng.NormFloat64()) // badly scaled
			dense.Row(i)[j] = v
			csr.Idx, csr.Val = append(csr.Idx, int32(j)), append(csr.Val, v)
		}
		csr.Ptr = append(csr.Ptr, len(csr.Idx))
		label[i] = rng.IntN(k)
	}
	for _, a := range []rows.Matrix{dense, csr} {
		loss, err := model.NewSoftmax(a, label, k, d)
		if err != nil {
			t.Fatal(err)
		}
		pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		g, err := model.Regularize(loss, pen)
		if err != nil {
			t.Fatal(err)
		}
		x := fill(d, -6)
		solve := func(o bilevel.Objective) ([]float64, inner.Minimizer, int64) {
			var counts bilevel.Counts
			m, err := inner.Newton{DenseDim: -1}.Start(o, &counts)
			if err != nil {
				t.Fatal(err)
			}
			z := make([]float64, d*k)
			if _, err := m.Minimize(context.Background(), z, x, 1e-9); err != nil {
				t.Fatal(err)
			}
			return z, m, counts.HessG / n
		}
		plain, _, without := solve(linearized{g, g})
		z, m, with := solve(g)
		for i := range z {
			if math.Abs(z[i]-plain[i]) > 1e-6 {
				t.Errorf("%T: z[%d] = %v with blocks, %v without", a, i, z[i], plain[i])
				break
			}
		}
		if with*2 > without {
			t.Errorf("%T: %d products with blocks, %d without", a, with, without)
		}
		pre := m.(inner.Preconditioner).Preconditioner(context.Background(), z, x, 1000)
		r, y := make([]float64, d*k), make([]float64, d*k)
		for i := range r {
			r[i] = rng.NormFloat64()
		}
		pre.Precondition(y, r)
		dot := 0.0
		for i := range r {
			dot += r[i] * y[i]
		}
		if !(dot > 0) {
			t.Errorf("%T: the preconditioner is not positive: rᵀM⁻¹r = %v", a, dot)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	g := logistic(t, 300, 9, 1)
	for name, s := range allSolvers() {
		m, err := s.Start(secondOrder{g}, nil)
		if err != nil {
			t.Fatal(err)
		}
		z, x := make([]float64, 9), fill(9, -2)
		solve := func() {
			clear(z)
			if _, err := m.Minimize(context.Background(), z, x, 1e-9); err != nil {
				t.Fatal(err)
			}
		}
		solve()
		if n := testing.AllocsPerRun(5, solve); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestMissingProducts(t *testing.T) {
	g := square(1)
	g.HessVec = nil
	if _, err := (inner.Newton{}).Start(g, nil); err == nil {
		t.Error("Newton accepts an objective without HessVec")
	}
	if _, err := (inner.Newton{}).Start(firstOrder{g}, nil); err == nil {
		t.Error("Newton accepts a first-order objective")
	}
	m, err := inner.Auto{}.Start(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := m.Minimize(context.Background(), []float64{4}, []float64{0}, 1e-9); err != nil || !res.Converged {
		t.Errorf("%+v, %v", res, err)
	}
	g.Gradient = nil
	if _, err := (inner.LBFGS{}).Start(g, nil); err == nil {
		t.Error("LBFGS accepts an objective without Gradient")
	}
}

func ExampleNewton() {
	// g(z, x) = ½(z − x)² + ¼z⁴
	g := &bilevel.Func{
		InnerDim: 1, OuterDim: 1,
		Eval: func(z, x []float64, _ bilevel.Batch) float64 {
			return (z[0]-x[0])*(z[0]-x[0])/2 + math.Pow(z[0], 4)/4
		},
		Gradient: func(dz, dx, z, x []float64, _ bilevel.Batch) {
			dz[0] = z[0] - x[0] + z[0]*z[0]*z[0]
			dx[0] = x[0] - z[0]
		},
		HessVec:  func(hv, z, x, v []float64, _ bilevel.Batch) { hv[0] = (1 + 3*z[0]*z[0]) * v[0] },
		CrossVec: func(cv, z, x, v []float64, _ bilevel.Batch) { cv[0] = -v[0] },
	}
	m, err := inner.Newton{}.Start(g, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	z := []float64{0}
	res, err := m.Minimize(context.Background(), z, []float64{2}, 1e-10)
	fmt.Printf("z = %.6f, converged: %v, %v\n", z[0], res.Converged, err)
	// Output: z = 1.000000, converged: true, <nil>
}
