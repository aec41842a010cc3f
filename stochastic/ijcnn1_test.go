package stochastic

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/rows"
)

func readIjcnn1(t testing.TB) (train, val linearData) {
	realdata.Long(t, "runs on 140,000 rows")
	read := func(name string) linearData {
		a, stored := realdata.LIBSVM(t, ijcnnDim, "ijcnn1", name)
		order := rand.New(rand.NewPCG(1, 2)).Perm(a.N)
		y := make([]float64, a.N)
		for i, o := range order {
			y[i] = stored[o]
		}
		return linearData{a.Take(order).(*rows.Dense), y}
	}
	return read("ijcnn1.trn.bz2"), read("ijcnn1.tst.bz2")
}

// newton evaluates h by Newton's method on the dense Hessian.
type newton struct {
	p *bilevel.Problem
	z []float64
}

func (e *newton) Evaluate(ctx context.Context, grad, x []float64) (float64, error) {
	d, _ := e.p.Dims()
	g := e.p.Inner.(interface {
		bilevel.SecondOrder
		bilevel.HessianMatrix
	})
	if e.z == nil {
		e.z = make([]float64, d)
	}
	dz, h := make([]float64, d), make([]float64, d*d)
	var chol mat.Cholesky
	for range 50 {
		g.Grad(dz, nil, e.z, x, bilevel.All(g))
		g.Hessian(context.Background(), h, e.z, x, bilevel.All(g))
		for i := range d {
			for j := range i {
				h[j*d+i] = h[i*d+j]
			}
		}
		if !chol.Factorize(mat.NewSymDense(d, h)) {
			return math.NaN(), fmt.Errorf("the Hessian is not positive definite")
		}
		var step mat.VecDense
		if err := chol.SolveVecTo(&step, mat.NewVecDense(d, dz)); err != nil {
			return math.NaN(), err
		}
		t := 1.0
		for at := g.Value(e.z, x, bilevel.All(g)); t > 1e-6; t /= 2 {
			trial := make([]float64, d)
			for i := range trial {
				trial[i] = e.z[i] - t*step.AtVec(i)
			}
			if g.Value(trial, x, bilevel.All(g)) <= at {
				copy(e.z, trial)
				break
			}
		}
		if mat.Norm(&step, 2) < 1e-9 {
			break
		}
	}
	f := e.p.Outer
	if grad != nil {
		f.Grad(dz, nil, e.z, x, bilevel.All(f))
		var v mat.VecDense
		if err := chol.SolveVecTo(&v, mat.NewVecDense(d, dz)); err != nil {
			return math.NaN(), err
		}
		v.ScaleVec(-1, &v)
		g.Products(nil, nil, grad, e.z, x, v.RawVector().Data, bilevel.All(g))
	}
	return f.Value(e.z, x, bilevel.All(f)), nil
}

func fill(n int, v float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func ijcnn1Start(seed uint64) bilevel.Point {
	rng := rand.New(rand.NewPCG(seed, 3))
	at := bilevel.Point{Z: make([]float64, ijcnnDim), X: make([]float64, ijcnnDim)}
	for j := range at.Z {
		at.Z[j] = rng.NormFloat64()
		at.X[j] = math.Log(rng.Float64())
	}
	return at
}

// The published problem from its published start, with no knob: h* = 0.2038937.
func TestIjcnn1(t *testing.T) {
	train, val := readIjcnn1(t)
	p := logisticProblem(train, val)
	p.Lower, p.Upper = fill(ijcnnDim, -12), fill(ijcnnDim, 12)
	e := &newton{p: p}
	for _, c := range []struct {
		m     bilevel.Method
		steps int64
		want  float64
	}{
		{SABA{}, 150000, 0.2039},
		{SABA{Shuffle: true}, 150000, 0.2039},
		{SOBA{}, 400000, 0.2043},
	} {
		for seed := range uint64(2) {
			res := minimize(t, c.m, p, bilevel.Settings{MaxSteps: c.steps, Seed: seed, Start: ijcnn1Start(seed),
				RecordEvery: c.steps})
			h, err := e.Evaluate(context.Background(), nil, res.Last.X)
			must(err)
			t.Logf("%T seed %d: h = %.7f after %v", c.m, seed, h, res.Time)
			if !(h <= c.want) {
				t.Errorf("%+v, seed %d: h = %.7f, want at most %g", c.m, seed, h, c.want)
			}
		}
	}
}
