package bench

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// covtype is softmax regression of 7 forest cover types on 54 features with one strength for each class: g the mean
// cross entropy of the training rows plus ½Σ_c e^{x_c}‖z_c‖², f the cross entropy of the validation rows, x in
// [−12, 12]⁷. 64% of the rows are for training, 16% for validation, the others for the test error; features are
// standardised on the training rows. Runs start at z = 0 and x = −2.
//
// Dagréou, Moreau, Vaiter, Ablin, "A lower bound and a near-optimal algorithm for bilevel empirical risk
// minimization", AISTATS 2024, with the regulariser of one strength for each class.
type covtype struct {
	// Rows is how many rows are taken, at random; 0 means all of the file.
	Rows int
}

func (covtype) about() string {
	return "softmax regression on covtype, one strength for each of 7 classes in [−12, 12]"
}

func (covtype) sets() []string { return []string{"covtype"} }

func (c covtype) load(ctx context.Context, from dataset.GetOptions) (*instance, error) {
	all, _, _, err := dataset.Load(ctx, "covtype", from)
	if err != nil {
		return nil, err
	}
	n, _ := all.Dims()
	if c.Rows < 0 || c.Rows > n {
		return nil, fmt.Errorf("bench: covtype with rows: %d, where %s has %d", c.Rows, all.Source, n)
	}
	if c.Rows == 0 {
		c.Rows = n
	}
	all = all.Shuffle(1)
	train, val := 64*c.Rows/100, 16*c.Rows/100
	if train == 0 || val == 0 || train+val == c.Rows {
		return nil, fmt.Errorf("bench: covtype with %d rows: too few for three parts", c.Rows)
	}
	parts := [3][2]int{{0, train}, {train, train + val}, {train + val, c.Rows}}
	var x [3]*rows.Dense
	var y [3][]int
	var scaler *dataset.Scaler
	for i, p := range parts {
		s := all.Subset(span(p[0], p[1]))
		if i == 0 {
			scaler = dataset.FitScaler(s.X)
		}
		a, ok := scaler.Apply(s.X).(*rows.Dense)
		if !ok {
			return nil, fmt.Errorf("bench: the rows of %s are %T", all.Source, s.X)
		}
		x[i], y[i] = a, labels(s.Y)
	}
	k := len(all.Classes)
	loss, err := model.NewSoftmax(x[0], y[0], k, k)
	if err != nil {
		return nil, err
	}
	g, err := regularized(loss, model.PerClass)
	if err != nil {
		return nil, err
	}
	f, err := model.NewSoftmax(x[1], y[1], k, k)
	if err != nil {
		return nil, err
	}
	p := &bilevel.Problem{Outer: f, Inner: g}
	p.Lower, p.Upper = bounds(k, 12)
	return &instance{
		problem: p,
		start: func(uint64) bilevel.Point {
			at := bilevel.Point{X: make([]float64, k)}
			floats.AddConst(-2, at.X)
			return at
		},
		evaluator: evaluateWith(p, hypergrad.AID{}),
		testError: func(at bilevel.Point) float64 { return misclassified(x[2], y[2], at.Z, k) },
		best:      unknown,
	}, nil
}

// span is lo … hi−1.
func span(lo, hi int) []int {
	s := make([]int, hi-lo)
	for i := range s {
		s[i] = lo + i
	}
	return s
}

// labels are classes as whole numbers.
func labels(y []float64) []int {
	s := make([]int, len(y))
	for i, v := range y {
		s[i] = int(v)
	}
	return s
}

// misclassified is the share of rows whose largest of k scores, with class-major coefficients z, is not that of
// their label.
func misclassified(a *rows.Dense, y []int, z []float64, k int) float64 {
	const block = 256
	t := make([]float64, k*block)
	wrong := 0
	for lo := 0; lo < a.N; lo += block {
		m := min(block, a.N-lo)
		kernel.ScoresK(t[:k*m], a.Data[lo*a.Stride:(lo+m)*a.Stride], a.Stride, z, k, a.D, m)
		for i := range m {
			top := 0
			for c := 1; c < k; c++ {
				if t[c*m+i] > t[top*m+i] {
					top = c
				}
			}
			if top != y[lo+i] {
				wrong++
			}
		}
	}
	return float64(wrong) / float64(a.N)
}
