package tune

import "testing"

// A prior that is worse than a narrower one by more than noise ends the trials of its kind, and where trials are dear
// any worse one does.
func TestWorse(t *testing.T) {
	of := func(losses ...float64) *trial { return &trial{kind: PerFeature, losses: losses} }
	narrow, shared := of(1, 2, 3, 4), &trial{kind: Shared, losses: []float64{9, 9, 9, 9}}
	cheap, dear := &fit{table: table{d: 1, scores: 1}}, &fit{table: table{d: manyCoefficients + 1, scores: 1}}
	next := of()
	for _, c := range []struct {
		last        *trial
		worse, dear bool
	}{
		{of(1, 2, 3, 3), false, false},
		{of(1, 2, 3, 5), false, true},
		{of(1.5, 2.6, 3.5, 4.4), true, true},
		{&trial{kind: PerFeature, dropped: true}, true, true},
	} {
		before := []*trial{shared, narrow, c.last}
		if is, isDear := cheap.worse(before, next), dear.worse(before, next); is != c.worse || isDear != c.dear {
			t.Errorf("%+v: %t, %t where dear", c.last, is, isDear)
		}
	}
	if cheap.worse([]*trial{shared}, next) {
		t.Error("there is no trial yet")
	}
}
