package tune_test

import (
	"context"
	"math"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/tune"
)

// What is said about unseen rows is about the rows that are named, sums up to the figures, and has odds that go with
// the losses.
func TestUnseenRows(t *testing.T) {
	digits, err := dataset.Embedded("digits")
	if err != nil {
		t.Fatal(err)
	}
	cancer, err := dataset.Embedded("breast-cancer")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		set  *dataset.Set
		o    tune.Options
		on   string
	}{
		{"numbers", regression(300, 4, 1), tune.Options{Task: tune.Ridge, Reg: tune.Shared}, ""},
		{"two classes", cancer, tune.Options{Task: tune.Logistic, Reg: tune.Shared}, ""},
		{"two classes, two scores", cancer, tune.Options{Task: tune.Softmax, Reg: tune.Shared}, ""},
		{"many classes", digits, tune.Options{Task: tune.Softmax, Reg: tune.Shared}, ""},
		{"few rows a step", cancer, tune.Options{Task: tune.Logistic, Reg: tune.Shared, Method: tune.SABA}, ""},
	} {
		classes := c.o.Task.Classes()
		rest, test, err := c.set.Split(.3, 1, classes)
		if err != nil {
			t.Fatal(err)
		}
		train, val, err := rest.Split(.3, 2, classes)
		if err != nil {
			t.Fatal(err)
		}
		for on, data := range map[string]tune.Data{"test": {Train: train, Val: val, Test: test},
			"validation": {Train: train, Val: val}, "out-of-fold": {Train: rest, Folds: 3}} {
			r, err := tune.Fit(context.Background(), data, c.o)
			if err != nil {
				t.Fatal(err)
			}
			of, want, base := rest, r.Val, r.BaselineVal
			switch on {
			case "test":
				of, want, base = test, r.Test, r.BaselineTest
			case "validation":
				of = val
			}
			u := r.Unseen
			if u.On != on || u.ChoseStrengths() != (on != "test") || len(u.Y) != len(of.Y) {
				t.Fatalf("%s: on %s, %d rows, want %s, %d", c.name, u.On, len(u.Y), on, len(of.Y))
			}
			seen := make(map[int]bool)
			for i, at := range u.Rows {
				if seen[at] || math.Abs(u.Y[i]-of.Y[at]) > 1e-9*(1+math.Abs(of.Y[at])) {
					t.Fatalf("%s, %s: row %d has the label %v, and row %d %v", c.name, on, i, u.Y[i], at, of.Y[at])
				}
				seen[at] = true
			}
			for _, s := range []struct {
				said tune.Judged
				want float64
			}{{u.Model, want.Loss}, {u.Baseline, base.Loss}} {
				sum := 0.0
				for i, l := range s.said.Losses {
					sum += l / float64(len(u.Y))
					p := 0.0
					if classes {
						p = 1 / (1 + math.Exp(-s.said.LogOdds[i]))
						if len(r.Model.Classes) == 2 && u.Y[i] == 0 {
							p = 1 - p
						}
					}
					if known := len(r.Model.Classes) == 2 || s.said.Predicted[i] == u.Y[i]; classes && known &&
						math.Abs(p-math.Exp(-l)) > 1e-9 {
						t.Fatalf("%s, %s: row %d has the probability %v, by its loss %v", c.name, on, i, p, math.Exp(-l))
					}
				}
				if math.Abs(sum-s.want) > 1e-9*(1+s.want) {
					t.Errorf("%s, %s: the losses have the mean %v, reported %v", c.name, on, sum, s.want)
				}
			}
			trained := data.Train.Y
			if sum := trivialLoss(trained, u.Y, len(r.Model.Classes)); math.Abs(sum-mean(u.Trivial.Losses)) > 1e-9*(1+sum) {
				t.Errorf("%s, %s: the trivial loss is %v, want %v", c.name, on, mean(u.Trivial.Losses), sum)
			}
		}
	}
}

func mean(s []float64) float64 {
	sum := 0.0
	for _, v := range s {
		sum += v / float64(len(s))
	}
	return sum
}

// trivialLoss is that of the mean, or the shares of the classes, of labels on y.
func trivialLoss(labels, y []float64, classes int) float64 {
	sum := 0.0
	for _, v := range y {
		if classes == 0 {
			sum += (v - mean(labels)) * (v - mean(labels)) / 2
			continue
		}
		n := 0.0
		for _, l := range labels {
			if l == v {
				n++
			}
		}
		sum -= math.Log(n / float64(len(labels)))
	}
	return sum / float64(len(y))
}

// Several strengths are judged by the rows that compared them, with models that were learned without these.
func TestHeldOutRows(t *testing.T) {
	set := regression(2000, 40, 5)
	train, val, err := set.Split(.96, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tune.Fit(context.Background(), tune.Data{Train: train, Val: val}, tune.Options{Task: tune.Ridge})
	if err != nil {
		t.Fatal(err)
	}
	u, c := r.Unseen, r.Chosen()
	if c.Reg != tune.PerFeature || u.On != "held-out" || u.ChoseStrengths() || len(u.Y) != len(val.Y)/4 {
		t.Fatalf("%s on %s, %d of %d rows", c.Reg, u.On, len(u.Y), len(val.Y))
	}
	for i, at := range u.Rows {
		if math.Abs(u.Y[i]-val.Y[at]) > 1e-9*(1+math.Abs(val.Y[at])) {
			t.Fatalf("row %d has the label %v, and row %d of the validation rows %v", i, u.Y[i], at, val.Y[at])
		}
	}
	unit := c.Loss / mean(u.Model.Losses)
	if gap := mean(u.Baseline.Losses) - mean(u.Model.Losses); math.Abs(-c.Gap/unit/gap-1) > 1e-6 {
		t.Errorf("the losses differ by %v, of the candidates by %v of %v", gap, -c.Gap, c.Loss)
	}
}
