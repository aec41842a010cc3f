package tune_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	if err := (tune.Options{Reg: "none", Prior: "1"}).Check(); !errors.As(err, &wrong) || wrong.Option != "reg" {
		t.Errorf("an unknown kind: %v", err)
	}
	if all := tune.Compared(); len(all) < 2 || all[0] != tune.Shared {
		t.Errorf("%v are compared, which does not begin with the baseline", all)
	}
}

// TestParams: what an entry of the table of parametrisations says of x and strengths fits together.
func TestParams(t *testing.T) {
	for _, p := range tune.Params() {
		if err := (tune.Options{Param: p}).Check(); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		if !strings.Contains(p.Formula(), "x") {
			t.Errorf("%s: a strength is %q", p, p.Formula())
		}
	}
	train, val := halves(t, regression(120, 4, 3))
	for _, p := range tune.Params() { // the grid has the same strengths, whatever x is
		r, err := tune.Fit(context.Background(), tune.Data{Train: train, Val: val},
			tune.Options{Reg: tune.Shared, Param: p, Box: map[tune.Param]tune.Box{
				tune.Exp: {Lower: -6, Upper: 6}, tune.Linear: {Lower: math.Exp(-6), Upper: math.Exp(6)}}[p]})
		if err != nil {
			t.Fatal(err)
		}
		first, last := r.Grid[0].X, r.Grid[len(r.Grid)-1].X
		if p == tune.Exp {
			first, last = math.Exp(first), math.Exp(last)
		}
		if math.Abs(math.Log(first)-6) > 1e-9 || math.Abs(math.Log(last)+6) > 1e-9 {
			t.Errorf("%s: a grid of strengths from %v to %v", p, first, last)
		}
	}
}
