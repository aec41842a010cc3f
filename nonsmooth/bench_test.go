package nonsmooth_test

import (
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/nonsmooth"
)

// One lasso from z = 0: n = 2,000, d = 500, of which about 40 coefficients are not zero.
func BenchmarkLasso(b *testing.B) {
	k := config{task: "squared", n: 2000, d: 500}
	a, y := k.data(k.n, 1)
	loss := must(model.NewSquared(a, y, 1))(b)
	c := &nonsmooth.Composite{G: loss, L1: must(model.NewL1(loss.Layout(), model.Shared, model.PenaltyOptions{}))(b)}
	x := []float64{-3.2}
	for _, s := range []struct {
		name   string
		solver nonsmooth.Solver
	}{{"ProxNewton", nonsmooth.ProxNewton{}}, {"FISTA", nonsmooth.FISTA{}}} {
		b.Run(s.name, func(b *testing.B) {
			m := must(s.solver.Start(c, &bilevel.Counts{}))(b)
			z := make([]float64, k.d)
			for b.Loop() {
				clear(z)
				if _, err := m.Minimize(z, x, 1e-10); err != nil {
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
}
