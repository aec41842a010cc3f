package tune_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// wide are rows of d features, of which the first 20 matter.
func wide(n, d int, seed uint64) *dataset.Set {
	r := rand.New(rand.NewPCG(seed, 7))
	x := rows.NewDense(n, d)
	y := make([]float64, n)
	for i := range n {
		row := x.Row(i)
		for j := range row {
			row[j] = r.NormFloat64()
			if j < 20 {
				y[i] += row[j]
			}
		}
		y[i] += 3 * r.NormFloat64()
	}
	return &dataset.Set{X: x, Y: y, Schema: &dataset.Schema{Format: "npy", Width: d}, Source: "wide"}
}

// TestSpread learns 150 strengths on 60 validation rows, which they can fit, or by cross-validation of fewer rows.
func TestSpread(t *testing.T) {
	fit := func(data tune.Data, o tune.Options) *tune.Result {
		t.Helper()
		r, err := tune.Fit(context.Background(), data, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("spread %q: %v, value %.4f of %.4f at %v, test loss %.4f of %.4f, %.2f s: %s\n%s", o.Spread, r.Spread, r.Value,
			r.BaselineValue, r.BaselineX, r.Test.Loss, r.BaselineTest.Loss, r.Seconds, r.Reason, strings.Join(r.Words, "\n"))
		return r
	}
	data := tune.Data{Train: wide(200, 150, 1), Val: wide(60, 150, 2), Test: wide(2000, 150, 3)}
	auto, off := fit(data, tune.Options{Reg: tune.PerFeature}),
		fit(data, tune.Options{Reg: tune.PerFeature, Spread: "off"})
	if !(auto.Test.Loss < .8*off.Test.Loss) || !(auto.Test.Loss < auto.BaselineTest.Loss) || auto.Value < off.Value {
		t.Errorf("test loss %v and validation loss %v, %v and %v in the whole box",
			auto.Test.Loss, auto.Value, off.Test.Loss, off.Value)
	}
	if !strings.Contains(auto.Reason, "evaluation") || auto.Steps > 5 {
		t.Errorf("ended after %d steps: %s", auto.Steps, auto.Reason)
	}
	if !math.IsInf(off.Spread, 1) || off.Model.Penalty.Box != (tune.Box{Lower: -12, Upper: 12}) {
		t.Errorf("spread %v, box %v", off.Spread, off.Model.Penalty.Box)
	}
	for _, data := range []tune.Data{
		{Train: classes(data.Train, 2), Val: classes(data.Val, 2), Test: classes(data.Test, 2)},
		{Train: wide(50, 60, 4), Test: wide(2000, 60, 3), Folds: 2},
	} {
		r := fit(data, tune.Options{Reg: tune.PerFeature})
		if math.IsInf(r.Spread, 1) || !(r.Test.Loss < r.BaselineTest.Loss) {
			t.Errorf("spread %v, test loss %v of %v", r.Spread, r.Test.Loss, r.BaselineTest.Loss)
		}
	}
}

func TestSpreadNumber(t *testing.T) {
	data := tune.Data{Train: wide(80, 60, 1), Val: wide(30, 60, 2), Test: wide(100, 60, 3)}
	for _, o := range []tune.Options{
		{Reg: tune.PerFeature, Spread: "0.75"},
		{Reg: tune.PerFeature, Spread: "0.75", Param: tune.Linear, Box: tune.Box{Lower: 1e-5, Upper: 1e3}},
		{Reg: tune.PerFeature, Spread: "0.75", Start: "5"},
		{Reg: tune.PerFeature, Spread: "0.75", Method: tune.SABA},
		{Reg: tune.L1PerFeature, Spread: "0.75"},
	} {
		r, err := tune.Fit(context.Background(), data, o)
		if err != nil {
			t.Fatal(err)
		}
		most := 0.0
		for _, x := range r.X {
			d := x - r.BaselineX
			if o.Param == tune.Linear {
				d = math.Log(x / r.BaselineX)
			}
			most = max(most, math.Abs(d))
		}
		if most > .75+1e-9 || most < .7 || r.Spread != .75 || r.BaselineWon {
			t.Errorf("%+v: up to %v from %v, spread %v, %s", o, most, r.BaselineX, r.Spread, r.Reason)
		}
		if b := r.Model.Penalty.Box; o.Param != tune.Linear &&
			(b.Lower < r.BaselineX-.75-1e-9 || b.Upper > r.BaselineX+.75+1e-9) {
			t.Errorf("the model's box is %v", b)
		}
	}
}

// TestSpreadOff compares the whole box with a spread that reaches beyond it, and with strengths that are fewer than
// the validation rows.
func TestSpreadOff(t *testing.T) {
	value := func(data tune.Data, spread string) [2]float64 {
		r, err := tune.Fit(context.Background(), data, tune.Options{Reg: tune.PerFeature, Spread: spread})
		if err != nil {
			t.Fatal(err)
		}
		return [2]float64{r.Value, r.GradNorm}
	}
	many := tune.Data{Train: wide(80, 60, 1), Val: wide(30, 60, 2)}
	if off, all := value(many, "off"), value(many, "30"); off != all {
		t.Errorf("off %v, 30 %v", off, all)
	}
	// A box that is given is enough, unless held-out rows are asked for.
	box := tune.Box{Lower: -12, Upper: 12}
	for spread, want := range map[string]bool{"": false, "auto": true} {
		r, err := tune.Fit(context.Background(), many, tune.Options{Reg: tune.PerFeature, Spread: spread, Box: box})
		if err != nil {
			t.Fatal(err)
		}
		if chosen := strings.Contains(strings.Join(r.Words, " "), "held-out quarter"); chosen != want {
			t.Errorf("with a box and spread %q: %q", spread, r.Words)
		}
	}
	train, val := halves(t, regression(100, 4, 2))
	few := tune.Data{Train: train, Val: val}
	if off, auto := value(few, "off"), value(few, "auto"); off != auto {
		t.Errorf("off %v, auto %v", off, auto)
	}
}

func TestSpreadErrors(t *testing.T) {
	for _, o := range []tune.Options{{Spread: "-1"}, {Spread: "0"}, {Spread: "NaN"}, {Spread: "inf"}, {Spread: "wide"},
		{Spread: "1", Reg: tune.Shared}, {Spread: "1", Reg: tune.ElasticNet}} {
		var option *tune.OptionError
		if err := o.Check(); !errors.As(err, &option) || option.Option != "spread" {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestSpreadInterrupted cancels on the way: what is there is usable.
func TestSpreadInterrupted(t *testing.T) {
	data := tune.Data{Train: wide(80, 60, 1), Val: wide(30, 60, 2)}
	for stop := 1; ; stop += 9 {
		ctx, cancel := context.WithCancel(context.Background())
		calls := 0
		r, err := tune.Fit(ctx, data, tune.Options{Reg: tune.PerFeature, Progress: func(tune.Progress) {
			if calls++; calls == stop {
				cancel()
			}
		}})
		interrupted := ctx.Err() != nil
		cancel()
		if err != nil {
			t.Fatalf("cancelled at %d: %v", stop, err)
		}
		if err := r.Model.Check(); err != nil || r.Value > r.BaselineValue*(1+1e-9) || r.Interrupted != interrupted ||
			len(r.Words) == 0 {
			t.Fatalf("cancelled at %d: value %v, baseline %v, %v", stop, r.Value, r.BaselineValue, err)
		}
		if !interrupted {
			break
		}
	}
}
