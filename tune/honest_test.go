package tune_test

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// modelLoss is the mean logistic loss of the stored coefficients.
func modelLoss(m *tune.Model, s *dataset.Set) float64 {
	c, sum := m.Coefficients[0], 0.0
	for i, y := range s.Y {
		score := c.Intercept
		for j, v := range s.X.(*rows.Dense).Row(i) {
			if m.Scaler != nil {
				v = (v - m.Scaler.Mean[j]) / m.Scaler.Scale[j]
			}
			score += c.Weights[j] * v
		}
		v := score * (1 - 2*y)
		sum += max(v, 0) + math.Log1p(math.Exp(-math.Abs(v)))
	}
	return sum / float64(len(s.Y))
}

func binary(x *rows.Dense, y []float64) *dataset.Set {
	names := []string{"no", "yes"}
	_, d := x.Dims()
	schema := &dataset.Schema{Format: "npy", Width: d, Classes: names}
	return &dataset.Set{X: x, Y: y, Classes: names, Schema: schema, Source: "made up"}
}

// The loss that is reported is that of the model that is stored, and near the one that standardised features reach,
// although one column is in milliseconds since 1970.
func TestColumnOfTimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 70))
	level := func() *dataset.Set {
		x, y := rows.NewDense(150, 4), make([]float64, 150)
		for i := range y {
			r := x.Row(i)
			r[0] = math.Round(1.7e12 + 1e10*rng.NormFloat64())
			for j := 1; j < 4; j++ {
				r[j] = rng.NormFloat64()
			}
			if 2*r[1]-r[2]+.5*r[3]+rng.NormFloat64() > 0 {
				y[i] = 1
			}
		}
		return binary(x, y)
	}
	data := tune.Data{Train: level(), Val: level()}
	for _, o := range []tune.Options{
		{Reg: tune.Shared}, {Reg: tune.PerFeature}, {Reg: tune.Shared, Method: "grid"}, {Reg: tune.L1},
	} {
		loss := map[tune.Switch]float64{}
		for _, o.Scale = range []tune.Switch{tune.On, tune.Off} {
			r, err := tune.Fit(context.Background(), data, o)
			if err != nil {
				t.Fatal(err)
			}
			loss[o.Scale] = r.Value
			if stored := modelLoss(r.Model, data.Val); math.Abs(stored-r.Value) > 1e-6*stored {
				t.Errorf("%s, scale %s: reported %v, the stored model has %v", o.Reg, o.Scale, r.Value, stored)
			}
			if warned := strings.Contains(strings.Join(r.Words, " "), "--scale"); warned != (o.Scale == tune.Off) {
				t.Errorf("%s, scale %s: %q", o.Reg, o.Scale, r.Words)
			}
		}
		if o.Reg != tune.L1 && !(loss[tune.Off] < 1.05*loss[tune.On]) { // one ℓ1 strength can only suit one size
			t.Errorf("%s: the loss is %v, with standardised features %v", o.Reg, loss[tune.Off], loss[tune.On])
		}
	}
}

// Where the data are separable and strengths tiny, the loss is small, not negative, and that of the stored model.
func TestTinyStrengths(t *testing.T) {
	x, y := rows.NewDense(4, 2), []float64{1, 1, 0, 0}
	for i, v := range []float64{0, 0, 2, 1} {
		x.Row(i)[0], x.Row(i)[1] = v, 1
	}
	data := tune.Data{Train: binary(x, y), Val: binary(x, y)}
	for _, box := range []tune.Box{{Lower: 1e-12, Upper: 10}, {Lower: 1e-40, Upper: 1e40}} {
		for _, reg := range []tune.Reg{tune.Shared, tune.PerFeature} {
			r, err := tune.Fit(context.Background(), data, tune.Options{Reg: reg, Param: tune.Linear, Box: box})
			if err != nil {
				t.Fatal(err)
			}
			if stored := modelLoss(r.Model, data.Val); !(r.Value >= 0) || math.Abs(stored-r.Value) > 1e-6*stored+1e-15 {
				t.Errorf("%s in %v: reported %v, the stored model has %v", reg, box, r.Value, stored)
			}
		}
	}
}
