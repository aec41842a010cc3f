package bileveltest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// columned is a loss on sparse rows whose Relabel has something wrong.
type columned struct {
	*model.Loss
	bug string
}

func newColumned(t *testing.T, bug string) columned {
	const n, d, k, p = 20, 9, 3, 2
	rng := rand.New(rand.NewPCG(1, 1))
	a := &rows.CSR{N: n, D: d, Ptr: make([]int, 1, n+1)}
	y := make([]int, n)
	for i := range n {
		for j := range d {
			if rng.IntN(4) == 0 && i != 7 {
				a.Idx, a.Val = append(a.Idx, int32(j)), append(a.Val, rng.NormFloat64())
			}
		}
		a.Ptr = append(a.Ptr, len(a.Idx))
		y[i] = rng.IntN(k)
	}
	loss, err := model.NewSoftmax(a, y, k, p)
	if err != nil {
		t.Fatal(err)
	}
	return columned{loss, bug}
}

func (c columned) Relabel(blocks []bilevel.Batch) (bilevel.Linear, [][]int32) {
	local, columns := c.Loss.Relabel(blocks)
	switch c.bug {
	case "columns out of order":
		slices.Reverse(columns[0])
	case "another column":
		for _, c := range columns {
			if len(c) > 0 && c[0] > 0 {
				c[0]--
			}
		}
	case "a list is missing":
		columns = columns[1:]
	case "one part is nil":
		local = nil
	case "other samples":
		local = newWeighted("")
	}
	return local, columns
}

// grouped is a penalty whose Part has something wrong.
type grouped struct {
	*model.Penalty
	bug string
}

func (g grouped) Part(places []int32) (bilevel.SecondOrder, []int32) {
	part, outer := g.Penalty.Part(places)
	switch g.bug {
	case "nil part":
		return nil, outer
	case "the whole":
		return g.Penalty, outer
	case "places repeat":
		outer[0] = outer[len(outer)-1]
	case "other places":
		slices.Reverse(outer)
	}
	return part, outer
}

func (g grouped) Shrink() float64 {
	if g.bug == "shrinks" {
		return 1
	}
	return 0
}

// coupled is ½(Σ z)², which is not separable.
type coupled struct{ *bilevel.Func }

func newCoupled(d int) coupled {
	sum := func(z []float64) (s float64) {
		for _, v := range z {
			s += v
		}
		return s
	}
	set := func(dst []float64, s float64) {
		for i := range dst {
			dst[i] = s
		}
	}
	return coupled{&bilevel.Func{InnerDim: d, OuterDim: 1,
		Eval:     func(z, _ []float64, _ bilevel.Batch) float64 { return sum(z) * sum(z) / 2 },
		Gradient: func(dz, dx, z, _ []float64, _ bilevel.Batch) { set(dz, sum(z)); set(dx, 0) },
		HessVec:  func(hv, _, _, v []float64, _ bilevel.Batch) { set(hv, sum(v)) },
		CrossVec: func(cv, _, _, _ []float64, _ bilevel.Batch) { set(cv, 0) },
	}}
}

func (c coupled) Part(places []int32) (bilevel.SecondOrder, []int32) {
	return newCoupled(len(places)), []int32{0}
}

func (c coupled) Shrink() float64 { return 0 }

func TestSparseChecksFindBugs(t *testing.T) {
	if err := CheckObjective(newColumned(t, ""), ObjectiveOptions{}); err != nil {
		t.Error(err)
	}
	for _, bug := range []string{"columns out of order", "another column", "a list is missing", "one part is nil",
		"other samples"} {
		t.Run(bug, func(t *testing.T) { found(t, CheckObjective(newColumned(t, bug), ObjectiveOptions{}), "Sparse") })
	}
	pen, err := model.NewPenalty(model.Layout{Features: 8, Classes: 3, FeatureMajor: true}, model.PerFeature,
		model.PenaltyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckObjective(grouped{pen, ""}, ObjectiveOptions{}); err != nil {
		t.Error(err)
	}
	for _, bug := range []string{"nil part", "the whole", "places repeat", "other places", "shrinks"} {
		t.Run(bug, func(t *testing.T) { found(t, CheckObjective(grouped{pen, bug}, ObjectiveOptions{}), "Separable") })
	}
	found(t, CheckObjective(newCoupled(5), ObjectiveOptions{}), "Separable")
}
