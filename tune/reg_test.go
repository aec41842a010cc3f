package tune_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/tune"
)

// TestRegs: strengths of every kind can be told apart by their names, and the words about a kind fit it.
func TestRegs(t *testing.T) {
	train, val := halves(t, classes(regression(120, 4, 3), 3))
	data := tune.Data{Train: train, Val: val}
	for _, reg := range tune.Regs() {
		r, err := tune.Fit(context.Background(), data, tune.Options{Reg: reg})
		if err != nil {
			t.Errorf("%s: %v", reg, err)
			continue
		}
		p := r.Model.Penalty
		names := map[string]bool{"": true}
		for _, s := range p.Strengths {
			if names[s.Name] {
				t.Errorf("%s: two strengths with the name %q", reg, s.Name)
			}
			names[s.Name] = true
		}
		words, n := p.Words(), len(p.Strengths)
		if n > 2 && !strings.HasPrefix(words, fmt.Sprint(n)) || !strings.Contains(words, "strength") {
			t.Errorf("%s: %d strengths are %q", reg, n, words)
		}
		if strings.Contains(words, "ℓ1") != p.Kind.Sparse() || strings.Contains(p.Explain(), "|z|") != p.Kind.Sparse() {
			t.Errorf("%s: %q, %q", reg, words, p.Explain())
		}
	}
	var wrong *tune.OptionError
	if err := (tune.Options{Reg: "none", Spread: "1"}).Check(); !errors.As(err, &wrong) || wrong.Option != "reg" {
		t.Errorf("an unknown kind: %v", err)
	}
	if all := tune.Compared(); len(all) < 2 || all[0] != tune.Shared {
		t.Errorf("%v are compared, which does not begin with the baseline", all)
	}
}
