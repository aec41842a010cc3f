package tune_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// wave are rows of three columns, along the first of which the target bends.
func wave(n int, classes bool, seed uint64) *dataset.Set {
	rng := rand.New(rand.NewPCG(seed, 2))
	x := rows.NewDense(n, 3)
	s := &dataset.Set{X: x, Y: make([]float64, n), Features: []string{"wave", "line", "noise"}}
	for i := range n {
		for j := range x.Row(i) {
			x.Row(i)[j] = 5 + 2*rng.NormFloat64()
		}
		s.Y[i] = 10 + 4*math.Sin(x.Row(i)[0]) + .3*x.Row(i)[1] + .2*rng.NormFloat64()
		if classes {
			s.Y[i] = math.Round(1 / (1 + math.Exp(11.5-s.Y[i])))
		}
	}
	if classes {
		s.Classes = []string{"low", "high"}
	}
	return s
}

// A bent target is predicted better than by lines, and the model that is read back says the same.
func TestKernelModel(t *testing.T) {
	for _, classes := range []bool{false, true} {
		train, test := wave(150, classes, 1), wave(100, classes, 2)
		r, err := tune.Fit(context.Background(), tune.Data{Train: train, Test: test}, tune.Options{Kernel: tune.On})
		if err != nil {
			t.Fatal(err)
		}
		if r.Test.Loss > .5*r.BaselineTest.Loss || r.Val.Loss > .6*r.BaselineVal.Loss {
			t.Errorf("test loss %v, linear %v; out of fold %v, linear %v", r.Test.Loss, r.BaselineTest.Loss, r.Val.Loss,
				r.BaselineVal.Loss)
		}
		k := r.Kernel
		if k == nil || k.Lengths[0].Column != "wave" || k.Gap+2*k.GapError > 0 || len(r.Words) < 2 {
			t.Errorf("kernel %+v, words %q", k, r.Words)
		}
		if len(r.Unseen.Rows) != 100 || r.Unseen.On != "test" {
			t.Errorf("judged on %d %s rows", len(r.Unseen.Rows), r.Unseen.On)
		}
		path := filepath.Join(t.TempDir(), "model.json")
		if err := r.Model.Save(path); err != nil {
			t.Fatal(err)
		}
		m, err := tune.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.Predict(test)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Judge(p, test)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got.Loss-r.Test.Loss) > 1e-9*r.Test.Loss {
			t.Errorf("the model that was read has a loss of %v, and had %v", got.Loss, r.Test.Loss)
		}
		m.Kernel.Kernels[0].LogScales = m.Kernel.Kernels[0].LogScales[:1]
		if m.Check() == nil {
			t.Error("a kernel without length scales is not found")
		}
	}
}

// Rows of a group never judge each other, and validation rows that are given judge.
func TestKernelDivisions(t *testing.T) {
	train, val := wave(60, false, 1), wave(40, false, 3)
	groups := make([]string, 60)
	for i := range groups {
		groups[i] = string(rune('a' + i/3))
	}
	r, err := tune.Fit(context.Background(), tune.Data{Train: train, Groups: groups}, tune.Options{Kernel: tune.On})
	if err != nil || r.Unseen.On != "held-out" || len(r.Unseen.Rows) != 60 {
		t.Errorf("%v: judged on %+v", err, r.Unseen)
	}
	r, err = tune.Fit(context.Background(), tune.Data{Train: train, Val: val}, tune.Options{Kernel: tune.On})
	if err != nil || r.Unseen.On != "validation" || len(r.Unseen.Rows) != 40 {
		t.Errorf("%v: judged on %+v", err, r.Unseen)
	}
}

// What has no kernels is refused before anything is learned, and an interruption leaves the linear model.
func TestKernelRefuses(t *testing.T) {
	weights := wave(60, false, 1)
	weights.Weights = make([]float64, 60)
	for i := range weights.Weights {
		weights.Weights[i] = 1
	}
	for name, c := range map[string]struct {
		data tune.Data
		o    tune.Options
	}{
		"few rows": {tune.Data{Train: wave(15, false, 1)}, tune.Options{}},
		"weights":  {tune.Data{Train: weights}, tune.Options{}},
		"times":    {tune.Data{Train: wave(60, false, 1), Times: make([]float64, 60)}, tune.Options{}},
		"task":     {tune.Data{Train: wave(60, false, 1)}, tune.Options{Task: tune.Huber}},
		"reg":      {tune.Data{Train: wave(60, false, 1)}, tune.Options{Reg: tune.PerFeature}},
		"method":   {tune.Data{Train: wave(60, false, 1)}, tune.Options{Method: tune.SABA}},
	} {
		c.o.Kernel = tune.On
		_, err := tune.Fit(context.Background(), c.data, c.o)
		var wrong *dataset.Error
		var option *tune.OptionError
		if !errors.As(err, &wrong) && !errors.As(err, &option) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		data tune.Data
		o    tune.Options
		want bool
	}{
		"a table":    {tune.Data{Train: wave(60, false, 1)}, tune.Options{}, true},
		"few rows":   {tune.Data{Train: wave(15, false, 1)}, tune.Options{}, false},
		"weights":    {tune.Data{Train: weights}, tune.Options{}, false},
		"strengths":  {tune.Data{Train: wave(60, false, 1)}, tune.Options{Reg: tune.PerFeature}, false},
		"validation": {tune.Data{Train: wave(60, false, 1), Val: wave(30, false, 2)}, tune.Options{}, false},
	} {
		c.o.Kernel = tune.Auto
		r, err := tune.Fit(context.Background(), c.data, c.o)
		if err != nil || (r.Kernel != nil) != c.want {
			t.Errorf("%s, left to the rows: %v, a kernel %v", name, err, err == nil && r.Kernel != nil)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := tune.Fit(ctx, tune.Data{Train: wave(400, false, 1)}, tune.Options{Kernel: tune.On,
		Progress: func(p tune.Progress) {
			if p.Stage != "grid" {
				cancel()
			}
		}})
	if err != nil || r.Model.Kernel != nil || !r.Interrupted {
		t.Errorf("an interruption: %v, %+v", err, r)
	}
}
