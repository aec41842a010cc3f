package nonsmooth_test

import (
	"context"
	"encoding/binary"
	"os"
	"testing"

	"github.com/bilevel-go/bilevel"
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
