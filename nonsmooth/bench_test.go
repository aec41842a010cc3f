package nonsmooth_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/nonsmooth"
	"github.com/bilevel-go/bilevel/rows"
)

// One lasso and one sparse logistic regression from z = 0: n = 2,000, d = 500, of which few coefficients are not zero.
// LASSO_DATA names a file for docs/baselines/lasso.py to read.
func BenchmarkLasso(b *testing.B) {
	squared := config{task: "squared", n: 2000, d: 500}
	a, y := squared.data(squared.n, 1)
	var file [][]float64
	for i := range squared.n {
		file = append(file, a.(*rows.Dense).Row(i))
	}
	file = append(file, y)
	for _, k := range []config{squared, {task: "logistic", n: 2000, d: 500}} {
		a, y := k.data(k.n, 1)
		loss := k.loss(b, a, y, 1)
		c := &nonsmooth.Composite{G: loss, L1: must(model.NewL1(loss.Layout(), model.Shared, model.PenaltyOptions{}))(b)}
		x := []float64{-3.2}
		if k.task == "logistic" {
			x[0] = -4.6
		}
		z := make([]float64, k.d)
		for _, s := range []struct {
			name   string
			solver nonsmooth.Solver
		}{{"FISTA", nonsmooth.FISTA{}}, {"ProxNewton", nonsmooth.ProxNewton{}}} {
			b.Run(k.task+"/"+s.name, func(b *testing.B) {
				m := must(s.solver.Start(c, &bilevel.Counts{}))(b)
				for b.Loop() {
					clear(z)
					if _, err := m.Minimize(context.Background(), z, x, 1e-10); err != nil {
						b.Fatal(err)
					}
				}
				support := 0
				for _, v := range z {
					if v != 0 {
						support++
					}
				}
				b.ReportMetric(float64(support), "support")
			})
		}
		file = append(file, z)
	}
	if name := os.Getenv("LASSO_DATA"); name != "" {
		f := must(os.Create(name))(b)
		for _, s := range file {
			if err := binary.Write(f, binary.LittleEndian, s); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// The hypergradient of a lasso at λ_max/3, /10 and /30, from z = 0: 1,000 training and 1,000 validation rows × 2,000
// features, of which 100 count.
func BenchmarkHypergradient(b *testing.B) {
	const n, d = 1000, 2000
	rng := rand.New(rand.NewPCG(1, 2))
	truth := make([]float64, d)
	for _, j := range rng.Perm(d)[:100] {
		truth[j] = rng.NormFloat64()
	}
	loss := func() *model.Loss {
		a, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			y[i] = 3 * rng.NormFloat64()
			for j := range d {
				a.Row(i)[j] = rng.NormFloat64()
				y[i] += a.Row(i)[j] * truth[j]
			}
		}
		return must(model.NewSquared(a, y, 1))(b)
	}
	train, val := loss(), loss()
	c := &nonsmooth.Composite{G: train, L1: must(model.NewL1(train.Layout(), model.Shared, model.PenaltyOptions{}))(b)}
	z, grad := make([]float64, d), make([]float64, d)
	train.Grad(grad, nil, z, []float64{0}, bilevel.All(train))
	most := 0.0
	for _, g := range grad {
		most = max(most, math.Abs(g))
	}
	for _, part := range []float64{3, 10, 30} {
		b.Run(fmt.Sprintf("max/%v", part), func(b *testing.B) {
			h := must(nonsmooth.Implicit{}.Start(&bilevel.Problem{Fixed: c, Outer: val}, nil))(b)
			at := bilevel.Point{X: []float64{math.Log(most / part)}, Z: z, V: make([]float64, d)}
			least := time.Hour
			for b.Loop() {
				clear(at.Z)
				clear(at.V)
				start := time.Now()
				if _, err := h.At(context.Background(), make([]float64, 1), at,
					hypergrad.Effort{Inner: 1e-9, LinearTol: 1e-9}); err != nil {
					b.Fatal(err)
				}
				least = min(least, time.Since(start))
			}
			support := 0
			for _, v := range at.Z {
				if v != 0 {
					support++
				}
			}
			b.ReportMetric(float64(support), "support")
			b.ReportMetric(float64(least.Microseconds())/1e3, "least-ms")
		})
	}
}
