package tune_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// halfRelevant is a problem of n rows whose first half of d features matters and whose second half does not. With
// more than zero classes the label is the largest of so many scores.
func halfRelevant(n, d, classes int, noise float64, seed uint64) *dataset.Set {
	r := rand.New(rand.NewPCG(seed, 17))
	scores := max(classes, 1)
	w := make([]float64, scores*d)
	for c := range scores {
		for j := range d / 2 {
			w[c*d+j] = r.NormFloat64()
		}
	}
	s := &dataset.Set{X: rows.NewDense(n, d), Y: make([]float64, n), Schema: &dataset.Schema{Format: "npy", Width: d},
		Source: "half"}
	for i := range n {
		row := s.X.(*rows.Dense).Row(i)
		for j := range row {
			row[j] = r.NormFloat64()
		}
		top := 0.0
		for c := range scores {
			t := noise * r.NormFloat64()
			for j, v := range row {
				t += w[c*d+j] * v
			}
			switch {
			case classes == 0:
				s.Y[i] = t
			case c == 0 || t > top:
				s.Y[i], top = float64(c), t
			}
		}
	}
	for c := range classes {
		s.Classes = append(s.Classes, string(rune('a'+c)))
	}
	s.Schema.Classes = s.Classes
	return s
}

// TestDefaultStart compares the default start with others, on problems whose best shared strength is so weak that a
// descent from there does not feel the strengths at all.
func TestDefaultStart(t *testing.T) {
	type problem struct {
		name string
		data tune.Data
	}
	var problems []problem
	add := func(name string, set *dataset.Set, train, folds int) {
		n, _ := set.Dims()
		rest := make([]int, n)
		for i := range rest {
			rest[i] = i
		}
		d := tune.Data{Train: set, Folds: folds}
		if folds == 0 {
			d = tune.Data{Train: set.Subset(rest[:train]), Val: set.Subset(rest[train:])}
		}
		problems = append(problems, problem{name, d})
	}
	for seed := range uint64(10) {
		add(fmt.Sprintf("ridge/%d", seed), halfRelevant(250, 10, 0, 2, seed), 150, 0)
		add(fmt.Sprintf("small/%d", seed), halfRelevant(60, 10, 0, 1, seed), 30, 0)
	}
	add("folds", halfRelevant(120, 10, 0, 2, 3), 0, 5)
	for seed := range uint64(2) {
		add(fmt.Sprintf("softmax/%d", seed), halfRelevant(300, 10, 3, .5, seed), 150, 0)
	}
	add("large", halfRelevant(4000, 60, 0, 2, 1), 3000, 0) // too large for several starts
	for _, p := range problems {
		value := func(start string, seed uint64) float64 {
			r, err := tune.Fit(context.Background(), p.data,
				tune.Options{Reg: tune.PerFeature, Prior: "off", Start: start, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			if start == "" {
				t.Logf("%s: grid x=%g, value %.6g (baseline %.6g), %d steps, %.3f s: %s", p.name, r.BaselineX, r.Value,
					r.BaselineValue, r.Steps, r.Seconds, r.Reason)
			}
			return r.Value
		}
		got := value("", 0)
		for _, start := range []string{"0", "-2", "-5", "random"} {
			if other := value(start, 1); got > other*(1+1e-3) {
				t.Errorf("%s: from the default start %.6g, from %s %.6g", p.name, got, start, other)
			}
		}
	}
}

// TestAutoFromWeak checks that the comparison of kinds is not fooled by a best shared strength that is not felt.
func TestAutoFromWeak(t *testing.T) {
	set := halfRelevant(4030, 20, 0, .03, 1)
	index := make([]int, 4030)
	for i := range index {
		index[i] = i
	}
	r, err := tune.Fit(context.Background(), tune.Data{Train: set.Subset(index[:60]), Val: set.Subset(index[60:2000]),
		Test: set.Subset(index[2000:])}, tune.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("x = %v, %+v: %v", r.BaselineX, r.Candidates, r.Words)
	if r.BaselineX > -8 {
		t.Fatalf("the best shared strength is at x = %v: this tests nothing", r.BaselineX)
	}
	if r.Model.Penalty.Kind != tune.PerFeature || !(r.Test.Loss < .95*r.BaselineTest.Loss) {
		t.Errorf("%s: test loss %v, baseline %v", r.Model.Penalty.Kind, r.Test.Loss, r.BaselineTest.Loss)
	}
}
