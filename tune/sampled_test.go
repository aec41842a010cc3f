package tune

import (
	"context"
	"testing"
	"time"
)

// TestSampledBudget checks that a method that samples rows goes on while the validation loss falls, and, where the
// user gives a time, as long as its gradient is not small.
func TestSampledBudget(t *testing.T) {
	data := benchData(t, "digits", 0)
	var steps []int64
	for _, limit := range []time.Duration{0, 2500 * time.Millisecond} {
		r, err := Fit(context.Background(), data, Options{Reg: PerFeature, Method: SABA, Start: "random", MaxTime: limit})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%.5g after %d steps, %.2f s: %s", r.Value, r.Steps, r.Seconds, r.Reason)
		if !(r.Value < .13) { // .15 after 2000 steps
			t.Errorf("value %v after %d steps: %s", r.Value, r.Steps, r.Reason)
		}
		steps = append(steps, r.Steps)
	}
	if steps[1] <= steps[0] {
		t.Errorf("%d steps, with much time %d", steps[0], steps[1])
	}
}
