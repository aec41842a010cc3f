package tune_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// Two features of 25 matter: kinds with an ℓ1 norm leave most others out, do no worse than their baseline, and are
// kept by a saved model.
func TestSparseKinds(t *testing.T) {
	all := regression(120, 25, 3)
	for _, c := range []struct {
		name   string
		set    *dataset.Set
		reg    tune.Reg
		param  tune.Param
		folds  int
		outer  int
		sparse bool // fewer than half of the coefficients are expected
	}{
		{"lasso", all, tune.L1, tune.Exp, 0, 1, true},
		{"lasso, linear strength", all, tune.L1, tune.Linear, 0, 1, true},
		{"lasso in folds", all, tune.L1, tune.Exp, 3, 1, true},
		{"lasso per feature", all, tune.L1PerFeature, tune.Exp, 0, 25, false},
		{"elastic net", all, tune.ElasticNet, tune.Exp, 0, 2, false},
		{"elastic net in folds", all, tune.ElasticNet, tune.Exp, 3, 2, false},
		{"logistic", classes(all, 2), tune.L1, tune.Exp, 0, 1, true},
		{"logistic elastic net, sparse rows", sparse(classes(all, 2)), tune.ElasticNet, tune.Exp, 0, 2, false},
		{"softmax", classes(all, 3), tune.L1, tune.Exp, 0, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := tune.Data{Train: c.set, Folds: c.folds}
			if c.folds == 0 {
				data.Train, data.Val = halves(t, c.set)
			}
			r, err := tune.Fit(context.Background(), data, tune.Options{Reg: c.reg, Param: c.param})
			if err != nil {
				t.Fatal(err)
			}
			if r.Value > r.BaselineValue*(1+1e-12) || r.OuterDim != c.outer || r.Model.Penalty.Kind != c.reg {
				t.Errorf("h = %v, baseline %v, %d strengths of kind %q", r.Value, r.BaselineValue, r.OuterDim, r.Model.Penalty.Kind)
			}
			if math.Abs(r.Val.Loss-r.Value) > 1e-6*r.Value {
				t.Errorf("h = %v, and the loss of the model is %v", r.Value, r.Val.Loss)
			}
			n, of := r.Model.NonZero()
			if n == 0 || n == of || c.sparse && 2*n > of {
				t.Errorf("%d of %d coefficients are not zero", n, of)
			}
			for k, s := range r.Model.Penalty.Strengths {
				want := s.X
				if c.param == tune.Exp {
					want = math.Exp(s.X)
				}
				if s.Name == "" || s.X != r.X[k] || math.Abs(s.Value-want) > 1e-12*want {
					t.Errorf("strength %d is %+v, x = %v", k, s, r.X[k])
				}
			}
			path := filepath.Join(t.TempDir(), "model.json")
			if err := r.Model.Save(path); err != nil {
				t.Fatal(err)
			}
			m, err := tune.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := m.NonZero(); got != n || m.Penalty.Kind != c.reg {
				t.Errorf("the saved model has %d coefficients and is of kind %q", got, m.Penalty.Kind)
			}
			if _, err := m.Predict(c.set); err != nil {
				t.Error(err)
			}
			// The grid starts at λ_max, where all coefficients are zero: the strongest is the worst here.
			if g := r.Grid; len(g) < 5 || g[0].Value <= r.BaselineValue || g[0].X <= g[len(g)-1].X {
				t.Errorf("grid %v", g)
			}
		})
	}
}

func TestSparseOptions(t *testing.T) {
	var wrong *tune.OptionError
	for _, m := range []tune.Method{tune.SABA, "soba"} {
		if err := (tune.Options{Reg: tune.ElasticNet, Method: m}).Check(); !errors.As(err, &wrong) ||
			wrong.Option != "method" {
			t.Errorf("%s: %v", m, err)
		}
	}
	if err := (tune.Options{Reg: tune.L1PerFeature, Method: tune.HOAG}).Check(); err != nil {
		t.Error(err)
	}
}

// Where no elastic net does better than the best lasso, the model is that lasso and not an elastic net near it.
func TestElasticNetBaseline(t *testing.T) {
	won := false
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const n, d = 40, 200
		x, y := rows.NewDense(n, d), make([]float64, n)
		for i := range n {
			row := x.Row(i)
			for j := range row {
				row[j] = rng.NormFloat64()
			}
			y[i] = row[0] - row[1] + .5*row[2] + .1*rng.NormFloat64()
		}
		set := &dataset.Set{X: x, Y: y, Schema: &dataset.Schema{Width: d}, Features: slices.Repeat([]string{"x"}, d)}
		train, val, err := set.Split(.3, seed, false)
		if err != nil {
			t.Fatal(err)
		}
		r, err := tune.Fit(context.Background(), tune.Data{Train: train, Val: val},
			tune.Options{Reg: tune.ElasticNet, Task: tune.Ridge})
		if err != nil {
			t.Fatal(err)
		}
		won = won || r.BaselineWon
		if r.BaselineWon && (math.Abs(r.Value-r.BaselineValue) > 1e-6*r.Value || r.Model.Penalty.Kind != tune.L1) ||
			r.Value > r.BaselineValue*(1+1e-6) {
			t.Errorf("seed %d: baseline %v, value %v, %s", seed, r.BaselineValue, r.Value, r.Model.Penalty.Kind)
		}
	}
	if !won {
		t.Error("the baseline never won: the test shows nothing")
	}
}
