package stochastic

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// cleaningProblem is data cleaning with a softmax model on random rows, n of them noisy.
func cleaningProblem(n, m, features, classes int) *bilevel.Problem {
	rng := rand.New(rand.NewPCG(4, 4))
	loss := func(n, p int) *model.Loss {
		a, y := rows.NewDense(n, features), make([]int, n)
		for i := range n {
			for j := range features {
				a.Row(i)[j] = rng.NormFloat64()
			}
			y[i] = rng.IntN(classes)
		}
		l, err := model.NewSoftmax(a, y, classes, p)
		must(err)
		return l
	}
	g, err := model.NewCleaning(loss(n, n), model.CleaningOptions{Ridge: .2})
	must(err)
	return &bilevel.Problem{Inner: g, Outer: loss(m, n)}
}

// plainParts hides that the sampled part of an objective can add to vectors, and that the other one shrinks z.
type plainParts struct{ *model.Cleaning }

func (o plainParts) Split() (sampled, exact bilevel.Objective) {
	s, e := o.Cleaning.Split()
	type plain struct {
		bilevel.SecondOrder
		bilevel.Local
	}
	return plain{s.(bilevel.SecondOrder), s.(bilevel.Local)}, plain{e.(bilevel.SecondOrder), e.(bilevel.Local)}
}

// Combinations added to the directions, or to z and v, against sampled parts that are formed and added.
func TestAccumulatedDirectionsAreTheGenericOnes(t *testing.T) {
	small, in, out := Constant(.002), Constant(.02), Constant(.5)
	for _, m := range []bilevel.Method{SOBA{Batch: 8, InnerStep: in, OuterStep: out},
		SRBA{Batch: 8, InnerStep: in, OuterStep: out, Shuffle: true}, SOBA{Batch: 1, InnerStep: small, OuterStep: out},
		SOBA{Batch: 8, InnerStep: in}, SABA{Batch: 8, InnerStep: in, OuterStep: out}, SABA{Batch: 1, InnerStep: small,
			OuterStep: out},
		SABA{Batch: 8}, SABA{Batch: 8, Shuffle: true, InnerStep: Rate{.02, .5}, OuterStep: out},
		StocBiO{Batch: 8, InnerStep: in, OuterStep: out, InnerSteps: 3, Terms: 3}, FSLA{Batch: 8, InnerStep: in,
			OuterStep: out}, AmIGO{Batch: 1, InnerStep: in, OuterStep: out}} {
		p := cleaningProblem(45, 31, 128, 10)
		fast, slow := *p, *p
		slow.Inner = plainParts{p.Inner.(*model.Cleaning)}
		slow.Outer = struct {
			bilevel.Objective
			bilevel.Local
		}{p.Outer, p.Outer.(bilevel.Local)}
		s := bilevel.Settings{MaxSteps: 1000, Seed: 3}
		if m == (SABA{Batch: 8}) {
			s.MaxSteps = 500 // automatic outer steps grow, and differences of rounding with them
		}
		close(t, fmt.Sprintf("%T%+v", m, m), minimize(t, m, &slow, s).Last, minimize(t, m, &fast, s).Last, 1e-12)
	}
}
