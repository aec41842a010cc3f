package tune

import (
	"math"

	"github.com/bilevel-go/bilevel/dataset"
)

// units say how the targets and scores that are learned with relate to those of the file. They change neither x nor the
// model, only the size of the numbers that tolerances are compared with, and of the losses that strengths act beside.
type units struct {
	y, t affine  // of targets, and of scores
	loss float64 // of a loss
}

// affine is v ↦ shift + unit·v.
type affine struct{ shift, unit float64 }

func (a affine) at(v float64) float64      { return a.shift + a.unit*v }
func (a affine) inverse(v float64) float64 { return (v - a.shift) / a.unit }

// all are the images of v.
func (a affine) all(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, u := range v {
		out[i] = a.at(u)
	}
	return out
}

var asTheyAre = units{affine{0, 1}, affine{0, 1}, 1}

// standardised centres and scales targets. Without an intercept nothing is centred.
func standardised(s *dataset.Set, intercept bool) units {
	shift := 0.0
	if intercept {
		shift = weighedMean(s, func(y float64) float64 { return y })
	}
	unit := math.Sqrt(weighedMean(s, func(y float64) float64 { return (y - shift) * (y - shift) }))
	if !(unit > 1e-12*math.Abs(shift)) || math.IsInf(unit, 0) {
		unit = 1
	}
	return units{affine{shift, unit}, affine{shift, unit}, unit * unit}
}

// perMean divides counts by their mean, which is the intercept's part of the score.
func perMean(s *dataset.Set, intercept bool) units {
	if !intercept {
		return asTheyAre
	}
	unit := weighedMean(s, func(y float64) float64 { return y })
	return units{affine{0, unit}, affine{math.Log(unit), 1}, unit}
}

// weighedMean is the mean of f over the targets of s, where rows count by their weights.
func weighedMean(s *dataset.Set, f func(y float64) float64) float64 {
	share, sum := 1/s.Mass(), 0.0
	for i, y := range s.Y {
		sum += s.Weight(i) * f(y) * share
	}
	return sum
}
