package model_test

import (
	"math"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// Solutions are those of scikit-learn 1.9.1 at the same objectives, where n = 12 and s = 0.3 multiplies ½z²:
//
//	PoissonRegressor(alpha=s, tol=1e-12, solver="newton-cholesky")
//	HuberRegressor(epsilon=1.35, alpha=.5), whose scale_ σ = 1.0966 is given here: with delta = 1.35 σ, and ½Σz² times
//	  .5 σ/n, as its objective is 2n/σ times that of this package. Its solver ends 6e-6 away: the numbers are those
//	  where scipy.optimize.minimize(_huber_loss_and_gradient, ftol=0, gtol=1e-15) goes on to from there
//	LinearSVC(C=1/(2 n s), loss="squared_hinge", dual=False, fit_intercept=False, tol=1e-14)
//	LogisticRegression(C=1/(n s), tol=1e-14, solver="newton-cholesky")
//
// with sample_weight=w*n/w.sum(), or the class_weight named, divided by its mean over the rows. The last coefficient
// is the intercept.
func TestScikitLearn(t *testing.T) {
	const n, d, s, sigma = 12, 3, .3, 1.096640953433511
	a := rows.NewDense(n, d)
	values, counts, signs, w := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	three := make([]int, n)
	byClass := func(zero, one float64) []float64 {
		w := make([]float64, n)
		for i, v := range signs {
			w[i] = zero
			if v > 0 {
				w[i] = one
			}
		}
		return w
	}
	for i := range n {
		for j := range d {
			a.Row(i)[j] = float64((7*i+5*j*j+i*j*3)%11-5) / 4
		}
		values[i] = float64((5*i*i+3*i)%13-4) / 3
		counts[i] = float64((3*i*i + i) % 7)
		signs[i] = float64(2*((i*i+i/3)%2) - 1)
		three[i] = (i*i + 2*i/3) % 3
		w[i] = float64(i%4) / 2
		if i%3 == 0 {
			w[i] += .5
		}
	}
	values[4] = 25
	ones := a.WithOnes()
	for _, c := range []struct {
		name    string
		loss    func() (*model.Loss, error)
		weights []float64
		s       float64
		want    []float64
	}{
		{"poisson", func() (*model.Loss, error) { return model.NewPoisson(ones, counts, 1) }, nil, s,
			[]float64{-0.03526705605839555, -0.19288967151877365, -0.0064908541354816345, 0.6361252381375972}},
		{"weighed poisson", func() (*model.Loss, error) { return model.NewPoisson(ones, counts, 1) }, w, s,
			[]float64{0.08532456636947164, -0.3417211834566273, 0.4176781072861044, 0.3503364156722242}},
		{"huber", func() (*model.Loss, error) { return model.NewHuber(ones, values, 1.35*sigma, 1) }, nil, .5 * sigma / n,
			[]float64{0.11841952490441633, -0.4684747898620293, -0.2393788539631576, 0.39245985803265526}},
		{"squared hinge", func() (*model.Loss, error) { return model.NewSquaredHinge(a, signs, 1) }, nil, s,
			[]float64{0.1349838289514022, -0.008859320268277146, -0.3257924903445574}},
		{"weighed squared hinge", func() (*model.Loss, error) { return model.NewSquaredHinge(a, signs, 1) }, w, s,
			[]float64{-0.1956978462580174, 0.2839102828139086, -0.4788461880525472}},
		{"weighed logistic", func() (*model.Loss, error) { return model.NewLogistic(ones, signs, 1) }, w, s,
			[]float64{-0.11129521286798341, 0.3011090453597757, -0.43305617282363995, -0.9804218728836547}},
		{"balanced logistic", func() (*model.Loss, error) { return model.NewLogistic(ones, signs, 1) },
			byClass(12./2/8, 12./2/4), s,
			[]float64{0.1648964425175433, -0.011669179574798962, -0.3556500957797136, -0.0036825386994665905}},
		{"logistic with class weights", func() (*model.Loss, error) { return model.NewLogistic(ones, signs, 1) },
			byClass(1, 4), s,
			[]float64{0.16468846140797427, -0.015287372010774295, -0.3297949119926238, 0.6596857544118572}},
		{"weighed softmax", func() (*model.Loss, error) { return model.NewSoftmax(ones, three, 3, 1) }, w, s,
			[]float64{-0.011017336482690699, 0.0656699840609195, 0.05236280249897486, -0.7352584257522413,
				0.12546287375010282, 0.12380407245954696, 0.266779369061031, 0.016264286644472548,
				-0.11444553726741219, -0.1894740565204665, -0.31914217156000585, 0.7189941391077689}},
	} {
		loss := must(c.loss())(t)
		if c.weights != nil {
			loss = must(loss.Weigh(c.weights))(t)
		}
		l := loss.Layout()
		pen := must(model.NewPenalty(l, model.Shared, model.PenaltyOptions{Intercept: l.Features > d}))(t)
		g := must(model.Regularize(loss, pen))(t)
		solver := must(inner.Newton{}.Start(g, &bilevel.Counts{}))(t)
		z := make([]float64, l.Len())
		if _, err := solver.Minimize(t.Context(), z, []float64{math.Log(c.s)}, 1e-12); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if l.Classes > 1 { // intercepts are only known up to a number in common; scikit-learn's have the sum zero
			mean := 0.0
			for k := range l.Classes {
				mean += z[l.Index(k, d)] / float64(l.Classes)
			}
			for k := range l.Classes {
				z[l.Index(k, d)] -= mean
			}
		}
		if e := maxDiff(z, c.want); !(e < 1e-6) || slices.Contains(z, 0) {
			t.Errorf("%s: %v differ from scikit-learn's %v by %g", c.name, z, c.want, e)
		}
	}
}
