package hypergrad_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/stochastic"
)

// The records of a resumed run, evaluations included, are bit for bit those of the uninterrupted one; a resumed
// run may also do without the evaluator, or have a new one.
func TestResumeWithEvaluator(t *testing.T) {
	p := bileveltest.Ridge(bileveltest.ExpDiagonal, 60, 40, 5, 1).Problem
	file := filepath.Join(t.TempDir(), "run")
	run := func(steps int64, evaluate, save bool) []bilevel.Record {
		t.Helper()
		s := bilevel.Settings{MaxSteps: steps, RecordEvery: 50, Seed: 3}
		if evaluate {
			e, err := hypergrad.NewEvaluator(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Evaluator = e
		}
		if save {
			s.Checkpoint, s.Resume = file, true
		}
		r, err := bilevel.Minimize(context.Background(), p, stochastic.SABA{Batch: 4}, s)
		if err != nil {
			t.Fatal(err)
		}
		return r.Trace
	}
	want := run(400, true, false)
	run(200, true, true)
	got := run(400, true, true)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Value != want[i].Value || got[i].GradNorm != want[i].GradNorm || got[i].Counts != want[i].Counts {
			t.Errorf("record %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	run(450, false, true)
	run(500, true, true)
}
