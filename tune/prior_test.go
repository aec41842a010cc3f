package tune_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"

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

// TestPrior learns 150 strengths on 60 validation rows, which they can fit, or by cross-validation of fewer rows.
func TestPrior(t *testing.T) {
	fit := func(data tune.Data, o tune.Options) *tune.Result {
		t.Helper()
		r, err := tune.Fit(context.Background(), data, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("prior %q: %v, value %.4f of %.4f at %v, test loss %.4f of %.4f, %.2f s: %s\n%s", o.Prior, r.Prior, r.Value,
			r.BaselineValue, r.BaselineX, r.Test.Loss, r.BaselineTest.Loss, r.Seconds, r.Reason, strings.Join(r.Words, "\n"))
		return r
	}
	data := tune.Data{Train: wide(200, 150, 1), Val: wide(60, 150, 2), Test: wide(2000, 150, 3)}
	auto, off := fit(data, tune.Options{Reg: tune.PerFeature}),
		fit(data, tune.Options{Reg: tune.PerFeature, Prior: "off"})
	if !(auto.Test.Loss < .8*off.Test.Loss) || !(auto.Test.Loss < auto.BaselineTest.Loss) || auto.Value < off.Value {
		t.Errorf("test loss %v and validation loss %v, %v and %v without a prior",
			auto.Test.Loss, auto.Value, off.Test.Loss, off.Value)
	}
	if !math.IsInf(off.Prior, 1) {
		t.Errorf("prior %v", off.Prior)
	}
	for _, data := range []tune.Data{
		{Train: classes(data.Train, 2), Val: classes(data.Val, 2), Test: classes(data.Test, 2)},
		{Train: wide(60, 60, 4), Test: wide(2000, 60, 3), Folds: 2},
	} {
		r := fit(data, tune.Options{Reg: tune.PerFeature})
		one := fit(data, tune.Options{Reg: tune.Shared})
		if math.IsInf(r.Prior, 1) || !(r.Test.Loss < 1.02*one.Test.Loss) {
			t.Errorf("prior %v, test loss %v of %v", r.Prior, r.Test.Loss, one.Test.Loss)
		}
	}
}

// The narrower the prior, the nearer strengths stay to each other, in whatever parametrisation, and the more of the
// validation loss that costs; what is learned is where its pull and that of the loss are in balance.
func TestPriorNumber(t *testing.T) {
	data := tune.Data{Train: wide(80, 30, 1), Val: wide(60, 30, 2)}
	for _, o := range []tune.Options{
		{Reg: tune.PerFeature},
		{Reg: tune.PerFeature, Param: tune.Linear, Box: tune.Box{Lower: 1e-5, Upper: 1e3}},
		{Reg: tune.PerFeature, Method: tune.SABA},
		{Reg: tune.L1PerFeature},
	} {
		last, loss := 0.0, math.Inf(1)
		for _, o.Prior = range []string{"0.1", "0.5", "2"} {
			r, err := tune.Fit(context.Background(), data, o)
			if err != nil {
				t.Fatal(err)
			}
			var logs []float64
			for _, x := range r.X {
				if o.Param == tune.Linear {
					x = math.Log(x)
				}
				logs = append(logs, x)
			}
			sd := stat.StdDev(logs, nil)
			if !(sd > last) || !(r.Value < loss) || sd > r.Prior || fmt.Sprint(r.Prior) != o.Prior {
				t.Errorf("%s, prior %s: standard deviation %v, loss %v; before %v, %v", o.Reg, o.Prior, sd, r.Value, last, loss)
			}
			last, loss = sd, r.Value
		}
	}
}

func TestPriorErrors(t *testing.T) {
	for _, o := range []tune.Options{{Prior: "-1"}, {Prior: "0"}, {Prior: "NaN"}, {Prior: "inf"}, {Prior: "wide"},
		{Prior: "1", Reg: tune.Shared}, {Prior: "1", Reg: tune.ElasticNet}} {
		var option *tune.OptionError
		if err := o.Check(); !errors.As(err, &option) || option.Option != "prior" {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestPriorInterrupted cancels on the way: what is there is usable.
func TestPriorInterrupted(t *testing.T) {
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
		said := r.Interrupted == interrupted || stop == calls // the last call comes when all is done
		if err := r.Model.Check(); err != nil || r.Value > r.BaselineValue*(1+1e-9) || !said || len(r.Words) == 0 {
			t.Fatalf("cancelled at %d: value %v, baseline %v, %v", stop, r.Value, r.BaselineValue, err)
		}
		if !interrupted {
			break
		}
	}
}
