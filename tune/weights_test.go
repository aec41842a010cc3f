package tune_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
	"github.com/bilevel-go/bilevel/tune"
)

// counts makes counts of a regression's target.
func counts(s *dataset.Set) *dataset.Set {
	t := *s
	t.Y = make([]float64, len(s.Y))
	for i, y := range s.Y {
		t.Y[i] = math.Floor(math.Exp((y - 900) / 80))
	}
	return &t
}

func mustFit(t *testing.T, data tune.Data, o tune.Options) *tune.Result {
	t.Helper()
	r, err := tune.Fit(context.Background(), data, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func near(a, b, tol float64) bool { return math.Abs(a-b) <= tol*(1+math.Abs(b)) }

// A row of weight two is the row twice, and one of weight zero is none, all the way from the scaler to the figures.
func TestWeightsAreCopies(t *testing.T) {
	weigh := func(s *dataset.Set) (weighed, repeated *dataset.Set) {
		w := *s
		w.Weights = make([]float64, len(s.Y))
		var copies []int
		for i := range w.Weights {
			w.Weights[i] = float64((i*i + 1) % 4)
			for range (i*i + 1) % 4 {
				copies = append(copies, i)
			}
		}
		return &w, s.Subset(copies)
	}
	for task, make := range map[tune.Task]func(*dataset.Set) *dataset.Set{
		tune.Ridge:        func(s *dataset.Set) *dataset.Set { return s },
		tune.Poisson:      counts,
		tune.Logistic:     func(s *dataset.Set) *dataset.Set { return classes(s, 2) },
		tune.SquaredHinge: func(s *dataset.Set) *dataset.Set { return classes(s, 2) },
		tune.Softmax:      func(s *dataset.Set) *dataset.Set { return classes(s, 3) },
	} {
		s := make(regression(240, 4, 1))
		train, val := halves(t, s)
		val, test := halves(t, val)
		var one, two tune.Data
		one.Train, two.Train = weigh(train)
		one.Val, two.Val = weigh(val)
		one.Test, two.Test = weigh(test)
		for _, how := range []string{"", "balanced"} {
			o := tune.Options{Task: task, Reg: tune.PerFeature, Method: tune.HOAG, Prior: "off"}
			if o.ClassWeights = how; how != "" && !task.Classes() {
				continue
			}
			a, b := mustFit(t, one, o), mustFit(t, two, o)
			if !near(a.BaselineValue, b.BaselineValue, 1e-8) || !near(a.Value, b.Value, 1e-4) {
				t.Errorf("%s: losses %v, %v with weights and %v, %v of copies", task, a.Value, a.BaselineValue, b.Value,
					b.BaselineValue)
			}
			if x, y := a.BaselineTest, b.BaselineTest; !near(x.Loss, y.Loss, 1e-7) ||
				!near(task.Score().Of(x), task.Score().Of(y), 1e-7) {
				t.Errorf("%s: test figures %+v with weights and %+v of copies", task, x, y)
			}
			if x, y := mean(a.Unseen.Trivial.Losses), mean(b.Unseen.Trivial.Losses); !near(x, y, 1e-12) {
				t.Errorf("%s: the trivial model loses %v with weights and %v of copies", task, x, y)
			}
			if x := mean(a.Unseen.Model.Losses); !near(x, a.Test.Loss, 1e-12) {
				t.Errorf("%s: rows lose %v on average, and the figure is %v", task, x, a.Test.Loss)
			}
			m, err := a.Model.Judge(must(a.Model.Predict(one.Test))(t), one.Test)
			if err != nil || !near(m.Loss, a.Test.Loss, 1e-12) {
				t.Errorf("%s: the model judges itself by %v, %v, and the figure is %v", task, m, err, a.Test.Loss)
			}
		}
		o := tune.Options{Task: task, Reg: tune.Shared}
		if r := mustFit(t, tune.Data{Train: one.Train, Folds: 3}, o); !near(r.Value, r.Val.Loss, 1e-6) {
			t.Errorf("%s: in folds h is %v, and the rows lose %v", task, r.Value, r.Val.Loss)
		}
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Weights of classes are weights of their rows, in losses and not in other figures.
func TestClassWeights(t *testing.T) {
	train, val := halves(t, classes(regression(200, 4, 1), 4))
	train, val = train.Subset(upTo(90)), val.Subset(upTo(90)) // classes of different sizes
	o := tune.Options{Task: tune.Softmax, Reg: tune.Shared, ClassWeights: "b=3, d=.5"}
	given := mustFit(t, tune.Data{Train: train, Val: val}, o)
	byRow := func(s *dataset.Set) *dataset.Set {
		w := *s
		for _, c := range s.Y {
			w.Weights = append(w.Weights, []float64{1, 3, 1, .5}[int(c)])
		}
		return &w
	}
	o.ClassWeights = ""
	rows := mustFit(t, tune.Data{Train: byRow(train), Val: byRow(val)}, o)
	if !near(given.BaselineValue, rows.BaselineValue, 1e-2) { // but that scales are of weighted rows
		t.Errorf("%v with weights of classes and %v with weights of rows", given.BaselineValue, rows.BaselineValue)
	}
	w, sum := given.Model.ClassWeights.Weights, 0.0
	for _, c := range train.Y {
		sum += w[int(c)]
	}
	if !near(w[1]/w[3], 6, 1e-12) || !near(sum, 90, 1e-12) {
		t.Errorf("weights %v, of sum %v", w, sum)
	}
	o.ClassWeights = "balanced"
	n := train.ClassCounts()
	for c, v := range mustFit(t, tune.Data{Train: train, Val: val}, o).Model.ClassWeights.Weights {
		if want := 90 / (4 * float64(n[c])); !near(v, want, 1e-12) {
			t.Errorf("the balanced weight of class %d is %v, and that of scikit-learn %v", c, v, want)
		}
	}
	right := 0.0
	for i, y := range val.Y {
		if given.Unseen.Model.Predicted[i] == y {
			right++
		}
	}
	if given.Val.Accuracy != right/90 {
		t.Errorf("accuracy %v, and %v of 90 rows are right", given.Val.Accuracy, right)
	}
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// Where a third of one class's training rows have the label of another, weights that are learned make up for it, and
// the loss in which rows do not count by them falls.
func TestLearnedClassWeights(t *testing.T) {
	s := classes(regression(1600, 4, 2), 2)
	train, val := halves(t, s)
	val, test := halves(t, val)
	r := rand.New(rand.NewPCG(1, 1))
	noisy := *train
	noisy.Y = append([]float64{}, train.Y...)
	for i, y := range noisy.Y {
		if y == 1 && r.Float64() < .35 {
			noisy.Y[i] = 0
		}
	}
	o := tune.Options{Reg: tune.Shared, ClassWeights: "learned"}
	res := mustFit(t, tune.Data{Train: &noisy, Val: val, Test: test}, o)
	w := res.Model.ClassWeights
	if w == nil || w.How != "learned" || !(w.Weights[1] > 1.2*w.Weights[0]) {
		t.Fatalf("weights %+v", w)
	}
	if !(res.Value < .97*res.BaselineValue) || !(res.Test.Loss < .98*res.BaselineTest.Loss) {
		t.Errorf("validation loss %v, with equal weights %v; test loss %v and %v", res.Value, res.BaselineValue,
			res.Test.Loss, res.BaselineTest.Loss)
	}
	if !near(res.Value, res.Val.Loss, 1e-6) {
		t.Errorf("h is %v, and the rows lose %v: they do not count by learned weights", res.Value, res.Val.Loss)
	}
	if !strings.Contains(strings.Join(res.Words, " "), "learned for the validation loss") {
		t.Errorf("%q", res.Words)
	}
	folds := mustFit(t, tune.Data{Train: s.Subset(upTo(200)), Folds: 3}, o)
	if folds.Value > folds.BaselineValue*(1+1e-9) || !near(folds.Value, folds.Val.Loss, 1e-6) {
		t.Errorf("in folds %v, baseline %v, rows %v", folds.Value, folds.BaselineValue, folds.Val.Loss)
	}
}

// Predictions have the least expected cost, whatever rows counted by, and a model that is read again says the same.
func TestCosts(t *testing.T) {
	for k, c := range map[int]struct {
		costs, weights string
		cost           []float64
	}{
		2: {"a=3", "", []float64{3, 1}},
		3: {"c=4,b=.5", "a=2", []float64{1, .5, 4}},
	} {
		train, val := halves(t, classes(regression(300, 4, 3), k))
		r := mustFit(t, tune.Data{Train: train, Val: val}, tune.Options{Reg: tune.Shared, Costs: c.costs,
			ClassWeights: c.weights})
		path := filepath.Join(t.TempDir(), "model.json")
		if err := r.Model.Save(path); err != nil {
			t.Fatal(err)
		}
		m := must(tune.Load(path))(t)
		p := must(m.Predict(val))(t)
		plain, cost := 0, 0.0
		for i := range p.Labels {
			best, most, likely := 0, 0.0, 0
			for j := range k {
				q := p.Proba[i*k+j]
				if q > p.Proba[i*k+likely] {
					likely = j
				}
				if m.ClassWeights != nil {
					q /= m.ClassWeights.Weights[j]
				}
				if q*c.cost[j] > most {
					best, most = j, q*c.cost[j]
				}
			}
			if best != likely {
				plain++
			}
			if p.Labels[i] != best || float64(best) != r.Unseen.Model.Predicted[i] {
				t.Fatalf("row %d: predicted %d and %v, and %d has the least expected cost", i, p.Labels[i],
					r.Unseen.Model.Predicted[i], best)
			}
			if p.Labels[i] != int(val.Y[i]) {
				cost += c.cost[int(val.Y[i])]
			}
		}
		if plain == 0 {
			t.Errorf("%d classes: costs change nothing", k)
		}
		if p, ok := m.Cut(); ok != (k == 2) || ok && !near(p, .75, 1e-12) {
			t.Errorf("%d classes: cut at %v", k, p)
		}
	}
}

// With an intercept, predicted counts have the mean of the counts; a model that is read again says the same.
func TestPoisson(t *testing.T) {
	train, val := halves(t, counts(regression(300, 3, 4)))
	for _, s := range []func(*dataset.Set) *dataset.Set{sparse, func(s *dataset.Set) *dataset.Set { return s }} {
		r := mustFit(t, tune.Data{Train: s(train), Val: s(val), Test: s(val)}, tune.Options{Task: tune.Poisson,
			Intercept: tune.On})
		path := filepath.Join(t.TempDir(), "model.json")
		if err := r.Model.Save(path); err != nil {
			t.Fatal(err)
		}
		m := must(tune.Load(path))(t)
		if p := must(m.Predict(s(train)))(t); !near(mean(p.Values), mean(train.Y), 1e-6) {
			t.Errorf("the mean count is %v, and the mean prediction %v", mean(train.Y), mean(p.Values))
		}
		p := must(m.Predict(s(val)))(t)
		half := 0.0
		for i, y := range val.Y {
			half += p.Values[i] - y
			if y > 0 {
				half += y * math.Log(y/p.Values[i])
			}
		}
		if !near(half/float64(len(val.Y)), r.Test.Loss, 1e-9) || !(r.Test.Loss < .5*mean(r.Unseen.Trivial.Losses)) {
			t.Errorf("half the deviance is %v, the loss %v, that of the mean %v", half/float64(len(val.Y)), r.Test.Loss,
				mean(r.Unseen.Trivial.Losses))
		}
		// Without an intercept too.
		mustFit(t, tune.Data{Train: s(train), Val: s(val)}, tune.Options{Task: tune.Poisson, Intercept: tune.Off,
			Reg: tune.Shared})
	}
}

// Huber's delta is 1.345 deviations of normal residuals, in the units of the target, and a few wild rows move neither
// it nor the model as they move ridge's.
func TestHuber(t *testing.T) {
	wild := func(s *dataset.Set) *dataset.Set {
		w := *s
		w.Y = append([]float64{}, s.Y...)
		for i := range w.Y {
			if i%20 == 0 {
				w.Y[i] += 3000
			}
		}
		return &w
	}
	train, val := halves(t, regression(1200, 3, 5))
	val, test := halves(t, val)
	o := tune.Options{Task: tune.Huber, Reg: tune.Shared}
	data := tune.Data{Train: wild(train), Val: wild(val), Test: test}
	r := mustFit(t, data, o)
	if want := 1.345 * 40.; !near(r.Model.Delta, want, .15) {
		t.Errorf("delta %v, want about %v", r.Model.Delta, want)
	}
	o.Task = tune.Ridge
	if ridge := mustFit(t, data, o); !(r.Test.RMSE < .5*ridge.Test.RMSE) || !(r.Test.RMSE < 44) {
		t.Errorf("RMSE %v on rows without wild ones, with ridge %v, and 40 is noise", r.Test.RMSE, ridge.Test.RMSE)
	}
	o.Task = tune.Huber
	large := func(s *dataset.Set) *dataset.Set {
		w := *s
		w.Y = nil
		for _, y := range s.Y {
			w.Y = append(w.Y, 1000*y)
		}
		return &w
	}
	big := mustFit(t, tune.Data{Train: large(data.Train), Val: large(data.Val), Test: large(test)}, o)
	if !near(big.Model.Delta, 1000*r.Model.Delta, 1e-6) || !near(big.Value, 1e6*r.Value, 1e-6) {
		t.Errorf("delta %v and loss %v in another unit, %v and %v in this", big.Model.Delta, big.Value, r.Model.Delta,
			r.Value)
	}
}

func TestLossErrors(t *testing.T) {
	train, val := halves(t, classes(regression(60, 4, 10), 2))
	numbers, others := halves(t, regression(60, 4, 10))
	negative := *numbers
	negative.Y = append([]float64{-1}, numbers.Y[1:]...)
	zero := *numbers
	zero.Y = make([]float64, len(numbers.Y))
	light := *train
	for _, y := range train.Y {
		light.Weights = append(light.Weights, y)
	}
	for _, c := range []struct {
		data tune.Data
		o    tune.Options
		want string
	}{
		{tune.Data{Train: train, Val: val}, tune.Options{ClassWeights: "aa=2"}, `no class "aa": there are a, b`},
		{tune.Data{Train: train, Val: val}, tune.Options{ClassWeights: "a=-2"}, "above zero"},
		{tune.Data{Train: train, Val: val}, tune.Options{ClassWeights: "a=2,a=3"}, "twice"},
		{tune.Data{Train: train, Val: val}, tune.Options{ClassWeights: "balance"}, `did you mean "balanced"?`},
		{tune.Data{Train: train, Val: val}, tune.Options{ClassWeights: "learned", Reg: tune.L1}, "with l1 give weights"},
		{tune.Data{Train: train, Val: val}, tune.Options{Costs: "b"}, "CLASS=NUMBER"},
		{tune.Data{Train: train, Val: val}, tune.Options{Costs: "b=2", Task: tune.SquaredHinge}, "logistic or softmax"},
		{tune.Data{Train: numbers, Val: others}, tune.Options{Costs: "b=2"}, "a ridge model has no classes"},
		{tune.Data{Train: numbers, Val: others}, tune.Options{ClassWeights: "balanced"}, "a ridge model has no classes"},
		{tune.Data{Train: &negative, Val: others}, tune.Options{Task: tune.Poisson}, "the label -1 is negative"},
		{tune.Data{Train: numbers, Val: &negative}, tune.Options{Task: tune.Poisson}, "choose the model ridge or huber"},
		{tune.Data{Train: &zero, Val: others}, tune.Options{Task: tune.Poisson}, "all labels are zero"},
		{tune.Data{Train: &light, Val: val}, tune.Options{}, `all training rows of the class "a" have the weight 0`},
	} {
		_, err := tune.Fit(context.Background(), c.data, c.o)
		var data *dataset.Error
		var option *tune.OptionError
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &data) && !errors.As(err, &option) {
			t.Errorf("%q is not in %v", c.want, err)
		}
	}
}

// A validation row for which weak strengths foretell more than a number can hold does not end the grid.
func TestPoissonOverflow(t *testing.T) {
	train, val := halves(t, counts(regression(100, 3, 4)))
	far := *val
	x := rows.NewDense(val.X.Dims())
	copy(x.Data, val.X.(*rows.Dense).Data)
	x.Row(0)[0] = 1200
	far.X = x
	r := mustFit(t, tune.Data{Train: train, Val: &far}, tune.Options{Task: tune.Poisson, Reg: tune.Shared, Scale: tune.On,
		Intercept: tune.On})
	if len(r.Grid) == 0 || len(r.Grid) == 25 || math.IsInf(r.Value, 0) {
		t.Errorf("%d points, the loss is %v", len(r.Grid), r.Value)
	}
}
