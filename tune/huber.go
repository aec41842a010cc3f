package tune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/model"
)

const (
	huberDelta   = 1.345  // of normal residuals of deviation one: with it estimates have 95% of the efficiency of means
	normalMedian = 1.4826 // the deviation of normal residuals over the median of their sizes
	scaleRounds  = 2      // from the scale of the targets to that of the residuals
	scaleRows    = 5000   // that the scale is found on
)

// findDelta finds delta of Huber's loss from residuals of training rows that models were not fitted to: the rows are
// cut into halves, a model of each predicts the other, and of some shared strengths the one with the smallest median
// counts. It starts with delta from the spread of the targets, and goes through this twice.
func (f *fit) findDelta(ctx context.Context, train *dataset.Set) error {
	n, _ := train.Dims()
	rows := make([]int, 0, n)
	for i := range n {
		if train.Weight(i) > 0 {
			rows = append(rows, i)
		}
	}
	few := train.Subset(rows).Shuffle(f.o.Seed)
	if n = len(rows); n > scaleRows {
		n = scaleRows
		few = few.Subset(between(0, n))
	}
	halves := [2]*dataset.Set{few.Subset(between(0, n/2)), few.Subset(between(n/2, n))}
	middle := median(slices.Clone(few.Y))
	sizes := make([]float64, n)
	for i, y := range few.Y {
		sizes[i] = math.Abs(y - middle)
	}
	scale := median(sizes)
	for round := 0; round < scaleRounds && n >= 4 && scale > 0; round++ {
		f.loss.delta = huberDelta * normalMedian * scale * f.units.y.unit
		least := math.Inf(1)
		z := make([][]float64, len(halves))
		for _, x := range []float64{0, -2, -4, -6, -8} {
			for h, half := range halves {
				q, err := f.problem(split{train: half}, Shared)
				if err != nil {
					return err
				}
				if z[h] == nil {
					z[h] = make([]float64, q.layout.Len())
				}
				solver, err := f.solver(q)
				if err != nil {
					return err
				}
				tol, err := f.tolerance(q)
				if err != nil {
					return err
				}
				strength := min(max(f.param().at(x), f.o.Box.Lower), f.o.Box.Upper)
				if _, err := solve(ctx, solver, z[h], []float64{strength}, coarse(len(z[h]))*tol); err != nil {
					return err
				}
				other := halves[1-h]
				from := (1 - h) * (n / 2)
				copy(sizes[from:], model.ScoreRows(other.X, z[h], 1))
				floats.Sub(sizes[from:from+len(other.Y)], other.Y)
			}
			for i, r := range sizes {
				sizes[i] = math.Abs(r)
			}
			least = min(least, median(sizes))
		}
		scale = least
	}
	if scale == 0 { // half of the residuals are zero: any delta that is small beside the targets will do
		scale = 1e-3
	}
	f.loss.delta = huberDelta * normalMedian * scale * f.units.y.unit
	if !(f.loss.delta > 0) || math.IsInf(f.loss.delta, 0) {
		return &dataset.Error{File: train.Source, Err: fmt.Errorf("the residuals have the scale %v", f.loss.delta/huberDelta),
			Hint: "scale the label (choose a larger or smaller unit)"}
	}
	return nil
}

// between are the numbers from lo to hi−1.
func between(lo, hi int) []int {
	out := make([]int, hi-lo)
	for i := range out {
		out[i] = lo + i
	}
	return out
}

// median of v, which it sorts.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	if n == 0 {
		return 0
	}
	return (v[(n-1)/2] + v[n/2]) / 2
}
