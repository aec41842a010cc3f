package bench

import (
	"context"
	"testing"
)

// With warm start two steps are enough; from cold starts ‖∇h‖ stops at a level.
func TestWarmStart(t *testing.T) {
	f, err := Lookup("warm-start")
	if err != nil {
		t.Fatal(err)
	}
	table, err := f.Compute(context.Background(), Options{Repeats: 2})
	if err != nil {
		t.Fatal(err)
	}
	last := func(start, schedule string) float64 {
		v := table.values("grad2_median", start, schedule)
		return v[len(v)-1]
	}
	for _, s := range []string{"t = k = 2", "t = k = 10"} {
		if warm, cold := last("warm", s), last("cold", s); warm > cold/30 {
			t.Errorf("%s: ‖∇h‖² is %.3g with warm start and %.3g without", s, warm, cold)
		}
		if v := table.values("grad2_median", "warm", s); v[len(v)-1] > 1e-4*v[1] {
			t.Errorf("%s: with warm start ‖∇h‖² went from %.3g to %.3g", s, v[1], v[len(v)-1])
		}
	}
	for _, s := range table.labels(1, "warm") {
		v := table.values("iterations", "warm", s)
		if end := v[len(v)-1]; end > warmBudget || end < warmBudget-200 {
			t.Errorf("%s: %v iterations", s, end)
		}
	}
	checkFiles(t, f, table)
}
