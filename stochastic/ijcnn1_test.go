package stochastic

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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
	for _, c := range []struct {
		name string
		m    bilevel.Method
		at   bilevel.Point
	}{
		{"SABA 1", SABA{}, ijcnn1Start(1)},
		{"SABA 2", SABA{}, ijcnn1Start(2)},
		{"SABA 3", SABA{}, ijcnn1Start(3)},
		{"SABA shuffle", SABA{Shuffle: true}, ijcnn1Start(3)},
		{"SABA x=0", SABA{}, bilevel.Point{}},
		{"SABA x=-2", SABA{}, bilevel.Point{X: fill(22, -2)}},
		{"SABA x=-12", SABA{}, bilevel.Point{X: fill(22, -12)}},
		{"SABA x=12", SABA{}, bilevel.Point{X: fill(22, 12)}},
		{"SABA batch 1", SABA{Batch: 1}, ijcnn1Start(1)},
		{"SABA batch 1000", SABA{Batch: 1000}, ijcnn1Start(1)},
		{"SOBA 1", SOBA{}, ijcnn1Start(1)},
		{"SOBA 2", SOBA{}, ijcnn1Start(2)},
	} {
		if f := os.Getenv("EXPLORE"); !strings.Contains(c.name, f) {
			continue
		}
		e := &newton{p: p}
		run, err := c.m.Start(p, c.at, 1)
		must(err)
		fmt.Printf("%-14s", c.name)
		t0 := time.Now()
		var spent time.Duration
		next := 31250
		last := 1000000
		if b, ok := c.m.(SABA); ok && b.Batch == 1000 {
			next, last = next/8, last/8
		}
		for step := 1; step <= last; step++ {
			if err := run.Step(); err != nil {
				fmt.Println(err)
				break
			}
			if step == next {
				next *= 2
				spent += time.Since(t0)
				h, err := e.Evaluate(nil, run.Point().X)
				must(err)
				fmt.Printf(" %.1fs:%.6f", spent.Seconds(), h)
				t0 = time.Now()
			}
		}
		fmt.Println("", run.(bilevel.Noter).Notes())
	}
	_ = context.Background
}
