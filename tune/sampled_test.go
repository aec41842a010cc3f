package tune

import (
	"context"
	"testing"
	"time"
)

// TestSampledBudget checks that a method that samples rows goes on while the validation loss falls, and, where the
// user gives a time, until it is used.
func TestSampledBudget(t *testing.T) {
	data := benchData(t, "digits", 0)
	for _, limit := range []time.Duration{0, time.Second} {
		r, err := Fit(context.Background(), data,
			Options{Reg: PerFeature, Prior: "off", Method: SABA, Start: "random", MaxTime: limit})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%.5g after %d steps, %.2f s: %s", r.Value, r.Steps, r.Seconds, r.Reason)
		if limit == 0 && !(r.Value < .13) { // .15 after 2000 steps
			t.Errorf("value %v after %d steps: %s", r.Value, r.Steps, r.Reason)
		}
		if r.TimedOut != (limit > 0) {
			t.Errorf("limit %v, ended after %.2f s: %s", limit, r.Seconds, r.Reason)
		}
	}
}
