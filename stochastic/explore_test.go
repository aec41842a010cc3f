package stochastic

import (
	"fmt"
	"os"
	"testing"

	"github.com/bilevel-go/bilevel"
)

func TestExploreQuad(t *testing.T) {
	if os.Getenv("EXPLORE") == "" {
		t.Skip()
	}
	for _, name := range []string{"SABA", "SABA1", "SABAfull", "SOBA"} {
		for _, scale := range []float64{1e-4, 1, 1e4} {
			for _, far := range []float64{0, 1e-2, 1, 1e3} {
				s := newQuadratic(37, 23, scale, 1)
				var m bilevel.Method
				switch name {
				case "SABA":
					m = SABA{Batch: 4}
				case "SABA1":
					m = SABA{Batch: 1}
				case "SABAfull":
					m = SABA{}
				case "SOBA":
					m = SOBA{Batch: 4}
				}
				at := bilevel.Point{Z: fill(s.d, far), X: fill(s.p, -far)}
				run, err := m.Start(s.problem(), at, 1)
				must(err)
				fmt.Printf("%-8s scale %g far %g:", name, scale, far)
				for k := 1; k <= 40960; k++ {
					must(run.Step())
					if k%2560 == 0 && k&(k-1) == 0 || k == 640 || k == 2560 || k == 10240 || k == 20480 || k == 40960 {
						at := run.Point()
						fmt.Printf("  %.2g", s.value(at.X)/scale-s.h/scale)
					}
				}
				var a *auto
				switch r := run.(type) {
				case *sabaRun:
					a = r.auto
				case *sobaRun:
					a = r.auto
				}
				fmt.Printf("   K=%d rho=%.3g restarts=%d gamma=%.3g\n", a.length, a.rho, a.restarts, a.gamma)
			}
		}
	}
}
