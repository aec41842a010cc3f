package tune

import "testing"

// A spread that is worse than a narrower one by more than noise ends the trials of its kind, and where trials are dear
// any worse one does.
func TestWorse(t *testing.T) {
	of := func(losses ...float64) *trial { return &trial{kind: PerFeature, losses: losses} }
	narrow, shared := of(1, 2, 3, 4), &trial{kind: Shared, losses: []float64{0, 0, 0, 0}}
	for _, c := range []struct {
		last        *trial
		worse, dear bool
	}{
		{of(1, 2, 3, 3), false, false},
		{of(1, 2, 3, 5), false, true},
		{of(1.5, 2.6, 3.5, 4.4), true, true},
		{&trial{kind: PerFeature, dropped: true}, true, true},
	} {
		trials := []*trial{shared, narrow, c.last}
		if cheap, dear := worse(trials, PerFeature, false), worse(trials, PerFeature, true); cheap != c.worse ||
			dear != c.dear {
			t.Errorf("%+v: %t, %t where dear", c.last, cheap, dear)
		}
	}
	if worse([]*trial{shared}, PerFeature, true) {
		t.Error("there is no trial yet")
	}
}
