package model_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
	"gonum.org/v1/gonum/floats"
)

// counts are as many counts as there are rows, with zeros and numbers between the whole ones.
func counts(n int) []float64 {
	rng := rand.New(rand.NewPCG(5, 5))
	y := make([]float64, n)
	for i := range y {
		y[i] = math.Floor(8*rng.Float64()*rng.Float64()) / 2
	}
	return y
}

func TestPoisson(t *testing.T) {
	const n, d = 23, 5
	dense, csr := table(n, d, 8)
	for _, a := range []rows.Matrix{dense, csr, dense.WithOnes()} {
		loss := must(model.NewPoisson(a, counts(n), 1))(t)
		pen := must(model.NewPenalty(loss.Layout(), model.Shared, model.PenaltyOptions{}))(t)
		bileveltest.Objective(t, must(model.Regularize(loss, pen))(t), bileveltest.ObjectiveOptions{})
	}
	// By definition: the loss is e^t − yt up to a number that depends on y alone, and zero where e^t = y.
	one := rows.NewDense(1, 0).WithOnes()
	for _, y := range []float64{0, .5, 1, 7, 4000} {
		loss := must(model.NewPoisson(one, []float64{y}, 0))(t)
		at := func(t float64) float64 { return loss.Value([]float64{t}, nil, bilevel.All(loss)) }
		constant := 0.0
		if y > 0 {
			constant = y*math.Log(y) - y
			if v := at(math.Log(y)); math.Abs(v) > 1e-25*y {
				t.Errorf("y = %v: the loss of the count itself is %v", y, v)
			}
		}
		for _, s := range []float64{-3, 0, .25, 4} {
			want := math.Exp(s) - y*s + constant
			if got := at(s); math.Abs(got-want) > 1e-14*(1+math.Abs(constant)+math.Abs(y*s)+want) {
				t.Errorf("y = %v, t = %v: %v, want %v", y, s, got, want)
			}
		}
	}
}

// Means over rows outside of a fold, and over all, are those of as many copies of each row as its weight says.
func TestWeightsAreCopies(t *testing.T) {
	const n, d = 24, 5
	dense, csr := table(n, d, 8)
	w := make([]float64, n)
	for i := range w {
		w[i] = float64(i * i % 4)
	}
	bounds := []int{0, 7, 15, n}
	rng := rand.New(rand.NewPCG(3, 3))
	for _, c := range lossCases(n) {
		for _, a := range []rows.Matrix{dense, csr} {
			z := normal(3*d*c.k, rng)
			loss := must(c.make(a, 0))(t)
			mean := func(z, dz []float64, which func(i int) bool) (value float64) { // of copies
				clear(dz)
				grad, copies := make([]float64, len(z)), 0.0
				for i := range w {
					one := bilevel.Batch{Lo: i, Hi: i + 1}
					for range int(w[i]) {
						if which(i) {
							loss.Grad(grad, nil, z, nil, one)
							floats.Add(dz, grad)
							value += loss.Value(z, nil, one)
							copies++
						}
					}
				}
				floats.Scale(1/copies, dz)
				return value / copies
			}
			inner, inside := 0.0, 0.0
			dz, want := make([]float64, len(z)), make([]float64, len(z))
			for f := range 3 {
				part := z[f*d*c.k : (f+1)*d*c.k]
				in := func(i int) bool { return bounds[f] <= i && i < bounds[f+1] }
				inner += mean(part, want[f*d*c.k:(f+1)*d*c.k], func(i int) bool { return !in(i) })
				share := floats.Sum(w[bounds[f]:bounds[f+1]]) / floats.Sum(w)
				inside += share * mean(part, make([]float64, len(part)), in)
			}
			weighed := must(loss.Weigh(w))(t)
			folds := must(model.NewFolds(weighed, bounds))(t)
			value := folds.Inner.ValueGrad(dz, nil, z, nil, bilevel.All(folds.Inner))
			if e := max(math.Abs(value-inner), maxDiff(dz, want)); e > 1e-13 {
				t.Errorf("%s, %T: the inner objective differs from that of copies by %g", c.name, a, e)
			}
			if e := math.Abs(folds.Outer.Value(z, nil, bilevel.All(folds.Outer)) - inside); e > 1e-13 {
				t.Errorf("%s, %T: the outer objective differs from that of copies by %g", c.name, a, e)
			}
			value = mean(z[:d*c.k], want[:d*c.k], func(int) bool { return true })
			got := weighed.ValueGrad(dz[:d*c.k], nil, z[:d*c.k], nil, bilevel.All(weighed))
			if e := max(math.Abs(got-value), maxDiff(dz[:d*c.k], want[:d*c.k])); e > 1e-13 {
				t.Errorf("%s, %T: the loss differs from that of copies by %g", c.name, a, e)
			}
		}
	}
}

func TestWeighErrors(t *testing.T) {
	const n = 6
	dense, _ := table(n, 2, 8)
	loss := must(lossCases(n)[1].make(dense, 0))(t)
	for _, c := range []struct {
		w    []float64
		want string
	}{
		{[]float64{1, 1}, "2 weights for 6 rows"},
		{[]float64{1, 1, -1, 1, 1, 1}, "weight 2 is -1"},
		{[]float64{1, 1, 1, math.Inf(1), 1, 1}, "weight 3 is +Inf"},
		{[]float64{1, math.NaN(), 1, 1, 1, 1}, "weight 1 is NaN"},
		{make([]float64, n), "mean 0"},
	} {
		if _, err := loss.Weigh(c.w); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.w, err, c.want)
		}
	}
	light := must(loss.Weigh([]float64{1, 1, 0, 0, 0, 0}))(t)
	_, err := model.NewFolds(light, []int{0, 2, 4, 6})
	if err == nil || !strings.Contains(err.Error(), "outside of fold 0") {
		t.Errorf("folds without weight: %v", err)
	}
	for name, f := range map[string]func() (*model.Loss, error){
		"not negative": func() (*model.Loss, error) { return model.NewPoisson(dense, []float64{0, 1, 2, -1, 0, 0}, 0) },
		"above zero":   func() (*model.Loss, error) { return model.NewHuber(dense, make([]float64, n), 0, 0) },
		"+1 or −1":     func() (*model.Loss, error) { return model.NewSquaredHinge(dense, make([]float64, n), 0) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}
