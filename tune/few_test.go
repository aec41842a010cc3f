package tune_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel/tune"
)

// A few held-out rows do not tell kinds of strengths apart, and of one row nothing is more than chance.
func TestFewHeldOutRows(t *testing.T) {
	for _, reg := range []tune.Reg{tune.AutoReg, tune.PerFeature} {
		for n, compared := range map[int]bool{5: false, 16: false, 40: true} {
			data := tune.Data{Train: wide(20, 60, 1), Val: wide(n, 60, 2)}
			r, err := tune.Fit(context.Background(), data, tune.Options{Reg: reg})
			if err != nil {
				t.Fatal(err)
			}
			words := strings.Join(r.Words, " ")
			if strings.Contains(words, "held-out") != compared || strings.Contains(words, "too few") == compared {
				t.Errorf("%s, %d validation rows: %s", reg, n, words)
			}
		}
	}
}

// No loss is smaller by more than all of it.
func TestChangeOfLoss(t *testing.T) {
	for _, c := range []tune.Candidate{{Loss: .1, Gap: -.05, GapError: .2}, {Loss: .3, Gap: .2, GapError: .3}} {
		if change, low, high := c.Change(); low != -1 || !(low < change && change < high) {
			t.Errorf("%v from %v to %v", change, low, high)
		}
	}
}

// What is interrupted while kinds of strengths are compared, wherever it is, blames no model for it.
func TestInterruptedComparison(t *testing.T) {
	set := classes(regression(16000, 40, 3), 2)
	train, val, err := set.Split(.3, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	for wait := time.Duration(0); wait < 10; wait++ {
		ctx, cancel := context.WithCancel(context.Background())
		var once sync.Once
		r, err := tune.Fit(ctx, tune.Data{Train: train, Val: val}, tune.Options{Progress: func(p tune.Progress) {
			if strings.HasPrefix(p.Stage, "comparing") {
				once.Do(func() { time.AfterFunc(wait*5*time.Millisecond, cancel) })
			}
		}})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if words := strings.Join(r.Words, " "); strings.Contains(words, "accurately") {
			t.Errorf("after %v: %s", wait*5*time.Millisecond, words)
		}
	}
}
