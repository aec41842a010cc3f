package linsolve_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/linsolve"
	"gonum.org/v1/gonum/mat"
)

// spread is BᵀB plus a small multiple of the identity, with the condition number n²/1e-3 or so.
func spread(n int) []float64 {
	rng := rand.New(rand.NewPCG(uint64(n), 5))
	b := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			b.Set(i, j, rng.NormFloat64())
		}
	}
	var a mat.Dense
	a.Mul(b.T(), b)
	for i := range n {
		a.Set(i, i, a.At(i, i)+1e-3)
	}
	return a.RawMatrix().Data
}

// Solutions and inverses of every order, blocks of columns that are full and that are not, against those of gonum.
func TestCholeskyOfEveryOrder(t *testing.T) {
	var c linsolve.Cholesky
	for _, n := range []int{1, 2, 7, 8, 31, 32, 33, 40, 64, 96, 97, 130, 225} {
		a := spread(n)
		var want mat.Cholesky
		if !want.Factorize(mat.NewSymDense(n, slices.Clone(a))) {
			t.Fatal("no factor")
		}
		b, x := make([]float64, n), make([]float64, n)
		for i := range b {
			b[i] = math.Cos(float64(i))
		}
		wantX := mat.NewVecDense(n, nil)
		if err := want.SolveVecTo(wantX, mat.NewVecDense(n, b)); err != nil {
			t.Fatal(err)
		}
		if err := c.Factorize(n, a); err != nil {
			t.Fatal(err)
		}
		tol := 1e-15 * want.Cond()
		c.Solve(x, b)
		for i, v := range wantX.RawVector().Data {
			if math.Abs(x[i]-v) > tol*mat.Norm(wantX, 2) {
				t.Fatalf("order %d: x[%d] = %v, want %v", n, i, x[i], v)
			}
		}
		var wantInverse mat.SymDense
		if err := want.InverseTo(&wantInverse); err != nil {
			t.Fatal(err)
		}
		stride := n + 3
		inverse := make([]float64, n*stride)
		c.Inverse(inverse, stride)
		for i := range n {
			for j := range n {
				if v := inverse[i*stride+j]; math.Abs(v-wantInverse.At(i, j)) > tol*mat.Norm(&wantInverse, 2) {
					t.Fatalf("order %d: inverse at (%d, %d) is %v, want %v", n, i, j, v, wantInverse.At(i, j))
				}
			}
		}
		if c.Order() != 0 {
			t.Error("there is a factor after Inverse")
		}
		// A pivot that is not positive, in the first block or the last.
		a[(n-1)*n+n-1] -= 2 * a[(n-1)*n+n-1]
		if err := c.Factorize(n, a); err == nil {
			t.Errorf("order %d: an indefinite matrix has a factor", n)
		}
	}
}

func TestCholeskyHasTheSameBitsOnAnyNumberOfCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const n = 333
	a := spread(n)
	var want []float64
	for _, procs := range []int{1, 2, 3} {
		runtime.GOMAXPROCS(procs)
		var c linsolve.Cholesky
		if err := c.Factorize(n, a); err != nil {
			t.Fatal(err)
		}
		got := make([]float64, n*n)
		c.Inverse(got, n)
		if want == nil {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("%d cores give other bits than one", procs)
		}
	}
}

// BenchmarkCholesky is a factorisation and an inverse, against gonum's.
func BenchmarkCholesky(b *testing.B) {
	for _, n := range []int{22, 100, 400, 785} {
		a := spread(n)
		sym := mat.NewSymDense(n, a)
		var ours linsolve.Cholesky
		var theirs mat.Cholesky
		inverse := make([]float64, n*n)
		var symInverse mat.SymDense
		b.Run(fmt.Sprintf("%d/gonum/factor", n), func(b *testing.B) {
			for b.Loop() {
				theirs.Factorize(sym)
			}
		})
		b.Run(fmt.Sprintf("%d/factor", n), func(b *testing.B) {
			for b.Loop() {
				if err := ours.Factorize(n, a); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/gonum/both", n), func(b *testing.B) {
			for b.Loop() {
				theirs.Factorize(sym)
				if err := theirs.InverseTo(&symInverse); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/both", n), func(b *testing.B) {
			for b.Loop() {
				if err := ours.Factorize(n, a); err != nil {
					b.Fatal(err)
				}
				ours.Inverse(inverse, n)
			}
		})
	}
}

// L⁻¹ takes A to the identity, whether or not the cores are shared.
func TestCholeskyInverseFactor(t *testing.T) {
	for _, n := range []int{1, 8, 33, 130} {
		a := spread(n)
		c := linsolve.Cholesky{Serial: n%2 == 0}
		if err := c.Factorize(n, a); err != nil {
			t.Fatal(err)
		}
		stride := n + 3
		w := slices.Repeat([]float64{7}, n*stride)
		c.InverseFactor(w, stride)
		wide := make([]float64, n*n)
		for i := range n {
			copy(wide[i*n:], w[i*stride:i*stride+n])
			if w[i*stride+n] != 7 {
				t.Fatalf("order %d: something was written behind row %d", n, i)
			}
		}
		l := mat.NewDense(n, n, wide)
		var got mat.Dense
		got.Product(l, mat.NewSymDense(n, slices.Clone(a)), l.T()) // W A Wᵀ
		for i := range n {
			for j := range n {
				want := 0.0
				if i == j {
					want = 1
				}
				if math.Abs(got.At(i, j)-want) > 1e-9 || j > i && wide[i*n+j] != 0 {
					t.Fatalf("order %d: WAWᵀ has %v at %d, %d", n, got.At(i, j), i, j)
				}
			}
		}
	}
}
