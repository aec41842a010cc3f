package bench

import (
	"context"
	"fmt"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/internal/kernel"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// newsBox bounds |x_j|: strengths that grow without bound make every constant inner step diverge, and with weak ones it
// takes minutes to solve the inner problem.
const newsBox = 2

// newsProducts bound those of a record's adjoint, where strengths are weak.
const newsProducts = 1000

// news is softmax regression on 20 newsgroups with a strength for each word: g the cross entropy of one half of the
// training texts plus ½ mean over the 130,107 words and 20 classes of e^{x_j} z²; f the cross entropy of the other
// half. Texts are word counts of unit length. Runs start at z = 0 and x = 0.
//
// z has 2,602,140 coefficients. Records have h to about three digits, so far as strengths are in the default box, and
// ∇h to two: half a minute far from the record before, seconds close to it. They have the error of the run's own z on
// the 7,532 test texts.
//
// Grazzi, Franceschi, Pontil, Salzo, "On the iteration complexity of hypergradient computation", ICML 2020, section 5.
type news struct {
	// Box bounds every |x_j|.
	Box float64
	// Seed is that of the split of the texts, which all runs share.
	Seed uint64
}

func (news) about() string {
	return "softmax regression on 20 newsgroups, one strength for each of 130,107 words"
}

func (news) sets() []string { return []string{"20newsgroups"} }

func (c news) load(ctx context.Context, from dataset.GetOptions) (*instance, error) {
	if !(c.Box > 0 && c.Box <= 100) {
		return nil, fmt.Errorf("bench: 20news with box %v: strengths are e^x, and |x| is at most a box between 0 and 100",
			c.Box)
	}
	all, test, _, err := dataset.Load(ctx, "20newsgroups", from)
	if err != nil {
		return nil, err
	}
	train, val, err := all.Split(.5, c.Seed, true)
	if err != nil {
		return nil, err
	}
	_, d := train.X.Dims()
	k := len(all.Classes)
	loss, err := model.NewSoftmax(train.X, labels(train.Y), k, d)
	if err != nil {
		return nil, err
	}
	pen, err := model.NewPenalty(loss.Layout(), model.PerFeature, model.PenaltyOptions{Scale: 1 / float64(d*k)})
	if err != nil {
		return nil, err
	}
	g, err := model.Regularize(loss, pen)
	if err != nil {
		return nil, err
	}
	f, err := model.NewSoftmax(val.X, labels(val.Y), k, d)
	if err != nil {
		return nil, err
	}
	a, ok := test.X.(*rows.CSR)
	if !ok {
		return nil, fmt.Errorf("bench: the rows of %s are %T", test.Source, test.X)
	}
	y := labels(test.Y)
	p := &bilevel.Problem{Outer: f, Inner: g}
	p.Lower, p.Upper = bounds(d, c.Box)
	return &instance{
		problem: p,
		start:   func(uint64) bilevel.Point { return bilevel.Point{} },
		evaluator: func() (bilevel.Evaluator, error) {
			e, err := hypergrad.NewEvaluator(p, hypergrad.AID{Inner: inner.Newton{}, Linear: linsolve.CG{MaxIter: newsProducts}})
			if err == nil {
				e.Tol = hypergrad.Effort{Inner: 1e-5, LinearTol: 3e-2}
			}
			return e, err
		},
		testError: func(at bilevel.Point) float64 {
			wrong, score := 0, make([]float64, k)
			for i := range y {
				idx, val := a.Row(i)
				kernel.SparseScores(score, idx, val, at.Z, k)
				top := 0
				for c, s := range score {
					if s > score[top] {
						top = c
					}
				}
				if top != y[i] {
					wrong++
				}
			}
			return float64(wrong) / float64(len(y))
		},
		best: unknown,
	}, nil
}
