package bench_test

import (
	"context"
	"fmt"
	"os"

	"github.com/bilevel-go/bilevel/bench"
)

// Two methods on a small quadratic, in this process.
func ExampleExecute() {
	config, err := bench.ParseConfig("example.yaml", []byte(`
name: example
problems:
  - {problem: quadratic, name: small, inner: 8, outer: 3, terms: 64, validation: 64}
methods:
  - {name: HOAG, method: hoag}
  - {name: SABA, method: saba, params: {batch: 8, inner: 0.1, ratio: 30}}
seeds: 10
budget: {steps: 20000}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	end, err := bench.Execute(context.Background(), config.Tasks, bench.ExecuteOptions{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of %d runs\n", end.Ended, end.All)
	traces, err := bench.ReadTraces(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range bench.NewResults(traces).Problems {
		for _, g := range p.Groups {
			to := g.To(p.Best, 1e-3)
			fmt.Printf("%s, %s: %d of %d seeds came within %g of the best\n",
				p.Problem, g.Title(), to.Reached, to.Runs, to.Target)
		}
	}
	// Output:
	// 20 of 20 runs
	// small, HOAG: 10 of 10 seeds came within 0.001 of the best
	// small, SABA batch=8 inner=0.1 ratio=30: 10 of 10 seeds came within 0.001 of the best
}
