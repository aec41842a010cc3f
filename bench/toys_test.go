package bench

import (
	"context"
	"math"
	"strings"
	"testing"
)

// golden is a number of a figure that its authors' code gives, to within half a unit of the last digit.
type golden struct {
	name   string
	step   float64
	column string
	want   float64
	unit   float64
}

func checkGolden(t *testing.T, table *Table, list []golden) {
	t.Helper()
	for _, g := range list {
		found := false
		values := table.values(g.column, g.name)
		for i, step := range table.values("step", g.name) {
			if step != g.step {
				continue
			}
			found = true
			if !(math.Abs(values[i]-g.want) <= g.unit/2*(1+1e-9)) {
				t.Errorf("%s, step %g: %s = %.8g, want %g", g.name, g.step, g.column, values[i], g.want)
			}
		}
		if !found {
			t.Errorf("%s has no step %g", g.name, g.step)
		}
	}
}

func computed(t *testing.T, name string) *Table {
	t.Helper()
	f, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	table, err := f.Compute(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if header := strings.Join(append(f.Labels, f.Values...), ","); !strings.HasPrefix(header, "series,step,f,gap") {
		t.Errorf("%s has the columns %s", name, header)
	}
	checkFiles(t, f, table)
	return table
}

func TestBOMECoreset(t *testing.T) {
	table := computed(t, "bome-coreset")
	checkGolden(t, table, []golden{
		{"T=10 eta=0.5", 5000, "f", .708896, 2e-6},
		{"T=10 eta=0.5", 5000, "z1", 1.81666, 1e-5},
		{"T=10 eta=0.5", 5000, "z2", .38509, 1e-5},
		{"T=10 eta=0.5", 5000, "gap", 9.72e-4, 1e-6},
		{"T=10 eta=0.5 start 2", 5000, "f", .708797, 2e-6},
		{"T=10 eta=0.5 start 3", 5000, "f", .708767, 2e-6},
		{"T=1 eta=0.5", 5000, "f", .729410, 2e-6},
		{"T=100 eta=0.5", 5000, "f", .701089, 2e-6},
		{"T=10 eta=0.1", 5000, "f", .705002, 2e-6},
		{"T=10 eta=0.9", 5000, "f", .708916, 2e-6},
		{"BVFSM", 5000, "f", .4419, 1e-4},
		{"penalty", 5000, "f", .255, 1e-3},
		{"BSG-1", 5000, "f", .9027, 1e-4},
		{"hull", 1, "z1", 3, 0}, {"hull", 1, "z2", 1, 0}, {"hull", 1, "f", .9, 1e-9},
		{"hull", 0, "z1", 1, 0}, {"hull", 4, "z1", 1, 0},
		{"T=10 eta=0.5", 0, "z2", 3, 0},
	})
}

func TestBOMENoSingleton(t *testing.T) {
	checkGolden(t, computed(t, "bome-nosingleton"), []golden{
		{"T=1 eta=0.5", 10, "f", .0760169, 1e-7}, {"T=1 eta=0.5", 100, "f", 1.94287e-8, 1e-13},
		{"T=10 eta=0.5", 10, "f", .0244926, 1e-7}, {"T=10 eta=0.5", 100, "f", 4.16646e-12, 1e-17},
		{"T=10 eta=0.1", 10, "f", .0230558, 1e-7}, {"T=10 eta=0.1", 100, "f", 3.16389e-10, 1e-15},
		{"T=10 eta=0.9", 10, "f", .0212000, 1e-7}, {"T=10 eta=0.9", 100, "f", 1.58808e-12, 1e-17},
		{"T=10 eta=0.5", 1000, "f", 0, 2e-27},
		{"BSG-1", 1000, "f", .5, 0},
		{"penalty", 2000, "f", 3.0e-7, 1e-8},
	})
}

func TestBOMEAdversarial(t *testing.T) {
	table := computed(t, "bome-adversarial")
	checkGolden(t, table, []golden{
		{"T=10 eta=0.5", 0, "f", 16, 0},
		{"T=10 eta=0.5", 10, "f", 5.6136, 1e-4}, {"T=10 eta=0.5", 100, "f", .03704, 1e-5},
		{"T=10 eta=0.5", 200, "f", -7.9e-4, 1e-5}, {"T=10 eta=0.5", 500, "f", -4.0e-9, 1e-10},
		{"T=10 eta=0.1", 500, "f", -5.9e-3, 1e-4}, {"T=10 eta=0.9", 500, "f", -1.7e-10, 1e-11},
	})
	if names := table.labels(0); len(names) != 5 {
		t.Errorf("the series are %v", names)
	}
}

// The loss falls at least as fast as the theorems say where T is large, and no further than T allows where it is 1.
func TestBOMEKKT(t *testing.T) {
	table := computed(t, "bome-kkt")
	for _, c := range kktProblems {
		at := func(innerSteps string, budget float64) float64 {
			name := c.name + " T=" + innerSteps + " eta=0.5"
			for i, k := range table.values("step", name) {
				if k == budget {
					return table.values("kkt", name)[i]
				}
			}
			t.Fatalf("%s has no K = %g", name, budget)
			return 0
		}
		for _, innerSteps := range []string{"10", "100"} {
			slope := math.Log10(at(innerSteps, 10_000) / at(innerSteps, 1000))
			t.Logf("%s, T = %s: K^%.2f from 1,000 to 10,000", c.name, innerSteps, slope)
			if !(slope < c.rate) {
				t.Errorf("%s, T = %s: the loss falls as K^%.2f, the bound as K^%.2f", c.name, innerSteps, slope, c.rate)
			}
		}
		if one, hundred := at("1", 10_000), at("100", 10_000); !(one > 5*hundred) {
			t.Errorf("%s: T = 1 leaves a loss of %.3g, T = 100 one of %.3g", c.name, one, hundred)
		}
	}
}
