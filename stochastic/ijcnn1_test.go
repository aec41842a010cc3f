package stochastic

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
)

func readIjcnn1(t testing.TB) (train, val linearData) {
	dir := os.Getenv("BILEVEL_DATA")
	if dir == "" {
		t.Skip("BILEVEL_DATA does not say where ijcnn1 is")
	}
	read := func(name string) linearData {
		s, err := dataset.Read(filepath.Join(dir, "ijcnn1", name), dataset.Options{Storage: dataset.Dense, Target: dataset.NumericTarget})
		if err != nil {
			t.Fatal(err)
		}
		a := s.X.(*rows.Dense)
		order := rand.New(rand.NewPCG(1, 2)).Perm(a.N)
		y := make([]float64, a.N)
		for i, o := range order {
			y[i] = s.Y[o]
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

func (e *newton) Evaluate(grad, x []float64) (float64, error) {
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
		g.Hessian(h, e.z, x, bilevel.All(g))
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

func TestExplore(t *testing.T) {
	if os.Getenv("EXPLORE") == "" {
		t.Skip()
	}
	train, val := readIjcnn1(t)
	p := logisticProblem(train, val)
	p.Lower, p.Upper = fill(22, -12), fill(22, 12)
	e := &newton{p: p}
	m := SABA{}
	run, err := m.Start(p, ijcnn1Start(1), 1)
	must(err)
	r := run.(*sabaRun)
	var spent time.Duration
	next := 1000
	for step := 1; step <= 4000000; step++ {
		t0 := time.Now()
		_ = t0
		must(run.Step())
		if step == next {
			next = next * 3 / 2
			at := run.Point()
			h, err := e.Evaluate(nil, at.X)
			must(err)
			a := r.auto
			fmt.Printf("%8d %v h=%.7f f=%.7f rho=%.3g L=%.3g K=%d restarts=%d\n", step, spent, h, p.Outer.Value(at.Z, at.X, bilevel.All(p.Outer)), a.rho, a.curv, a.length, a.restarts)
			fmt.Printf("    x=%.1f\n", at.X)
			fmt.Printf("    last=%.2g\n", a.last)
		}
	}
	_ = context.Background
}
