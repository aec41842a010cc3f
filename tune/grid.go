package tune

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
)

// gridPoints are the shared strengths to try, from strong to weak, as x in the exponential parametrisation.
func (f *fit) gridPoints(step float64) []float64 {
	exponent := f.param().exponent
	lo, hi := exponent(f.o.Box.Lower), exponent(f.o.Box.Upper)
	a, b := max(lo, f.middleOfGrid()-12), min(hi, f.middleOfGrid()+12)
	if a > b {
		a, b = lo, hi
	}
	step = max(step, (b-a)/24)
	var x []float64
	for i := 0; ; i++ {
		t := math.Floor(b) - float64(i)*step
		if i == 0 && (t < a || t < b-step/2) {
			t = b
		}
		if t <= a+1e-9 {
			return append(x, a)
		}
		x = append(x, t)
	}
}

// middleOfGrid is where the grid is: around e^x = 1 for features of unit size, and lower for documents, where the
// mean square of a feature is about one over the number of words.
func (f *fit) middleOfGrid() float64 {
	if isText(f.schema) {
		return -12
	}
	return 0
}

// shared is a solution with the same strength everywhere.
type shared struct {
	x, value float64
	z        []float64
}

// fromMiddle puts points into the order in which to try them while there is time: coarse from where the best usually
// is, then between those. shift is the middle of the grid.
func fromMiddle(points []float64, shift float64) []float64 {
	left := slices.Clone(points)
	var out []float64
	take := func(t float64) {
		i := 0
		for k, x := range left {
			if math.Abs(x-t) < math.Abs(left[i]-t) {
				i = k
			}
		}
		if len(left) > 0 && math.Abs(left[i]-t) <= .5 {
			out, left = append(out, left[i]), slices.Delete(left, i, i+1)
		}
	}
	for _, t := range []float64{-2, -5, 1, -8, -3, -6, -11, 4, -1, -4, -7, -9, -10, 0} {
		take(t + shift)
	}
	return append(out, left...)
}

// gridded is what a grid of shared strengths found.
type gridded struct {
	points []GridPoint // in units of the target
	best   shared
	all    bool // points were tried, and not only those that there was time for
	q      *problem
}

// grid solves the inner problem for one shared strength after another, each from the solution of the one
// before. Where ctx has a deadline, it takes a share of the time that is left: then the points come in another order,
// see fromMiddle.
func (f *fit) grid(ctx context.Context, s split, step, share float64) (*gridded, error) {
	q, err := f.problem(s, f.base())
	if err != nil {
		return nil, err
	}
	solver, err := f.solver(q)
	if err != nil {
		return nil, err
	}
	d, _ := q.Dims()
	z, x := make([]float64, d), make([]float64, 1)
	tol, err := f.tolerance(q)
	if err != nil {
		return nil, err
	}
	var points []float64
	if q.l1 == nil {
		points = f.gridPoints(step)
	} else if err := f.findTop(q, tol); err != nil {
		return nil, err
	} else {
		points = f.sparsePoints(step)
	}
	slack, enough := 1.0, 1.0 // points are solved to slack times tol, and a weaker strength has to be so much better
	begin, budget := time.Now(), time.Duration(math.MaxInt64)
	if end, limited := ctx.Deadline(); limited {
		if q.l1 == nil { // the weaker an ℓ1 strength, the longer it takes
			points = fromMiddle(points, f.middleOfGrid())
		}
		budget = time.Duration(share * float64(time.Until(end)))
		tol *= coarse(d)
	} else if dear := d > manyCoefficients || f.pass(s) > dearPass; dear || f.pass(s) > costlyPass || q.l1 != nil {
		if slack = 1e3; dear {
			enough = 1 - flatFall
		}
	}
	g := &gridded{q: q}
	var slowest time.Duration
	var last error
	infinite := 0 // points
	for i, t := range points {
		from := time.Now()
		if i > 0 && (ctx.Err() != nil || from.Sub(begin)+slowest > budget) {
			break
		}
		x[0] = min(max(f.param().at(t), f.o.Box.Lower), f.o.Box.Upper) // rounding must not lead out of the box
		accept := slack * tol
		if norm := floats.Norm(z, 2); slack > 1 && norm > 0 {
			// ‖z − z*(x)‖ ≤ ‖∇g‖/e^x ≤ ‖z‖/100
			accept = max(coarse(d)*tol, min(accept, math.Exp(t)*norm/100))
		}
		within := ctx
		if i == 0 {
			within = f.closing // a model there must be
		}
		if solved, err := solve(within, solver, z, x, accept); err != nil {
			return nil, err
		} else if !solved && i > 0 {
			break
		}
		v := f.valueAt(q, x, z)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			infinite++ // as that of counts is where a weak strength foretells too many
			last = fmt.Errorf("tune: the validation loss is %v with the strength %v: are the values of the "+
				"validation rows of another size than those of the training rows?", v, t)
			continue
		}
		g.points = append(g.points, GridPoint{x[0], v * f.units.loss})
		if len(g.points) == 1 || v < enough*g.best.value {
			g.best = shared{x[0], v, slices.Clone(z)}
		}
		slowest = max(slowest, time.Since(from))
		f.at(int64(i+1), float64(i+1)/float64(len(points)), g.best.value)
		if g.all = len(g.points)+infinite == len(points); slack > 1 && pastBest(g.points) || enough < 1 && flat(g.points) {
			g.all = true
			break
		}
	}
	if len(g.points) == 0 {
		return nil, last
	}
	if slack > 1 { // the best point deserves better
		better := slices.Clone(g.best.z)
		x[0] = g.best.x
		if solved, err := solve(ctx, solver, better, x, tol); err != nil {
			return nil, err
		} else if solved {
			g.best.z, g.best.value = better, f.valueAt(q, x, better)
		}
	}
	slices.SortFunc(g.points, func(a, b GridPoint) int { return cmp.Compare(b.X, a.X) })
	return g, nil
}

// solveShared is the solution of s with the shared strength x.
func (f *fit) solveShared(ctx context.Context, s split, x float64) (shared, error) {
	q, err := f.problem(s, f.base())
	if err != nil {
		return shared{}, err
	}
	solver, err := f.solver(q)
	if err != nil {
		return shared{}, err
	}
	tol, err := f.tolerance(q)
	if err != nil {
		return shared{}, err
	}
	d, _ := q.Dims()
	at := shared{x: x, z: make([]float64, d)}
	if solved, err := solve(ctx, solver, at.z, []float64{x}, tol); err != nil {
		return shared{}, err
	} else if !solved {
		return shared{}, errNoTime
	}
	at.value = f.valueAt(q, []float64{x}, at.z)
	return at, nil
}

// valueAt is the outer objective of q.
func (f *fit) valueAt(q *problem, x, z []float64) float64 {
	f.visited.ValueF += int64(q.Outer.Samples())
	return q.Outer.Value(z, x, bilevel.All(q.Outer))
}

// With more coefficients than manyCoefficients, more multiplications in a pass over the rows than costlyPass, or an ℓ1
// norm, the points of the grid are solved to about a hundredth only, and points weaker than the best are left out once
// the loss rises: they are the slowest, and the model is not there. With more than dearPass they are left out where it
// falls by less than the share flatFall of itself from point to point.
const (
	manyCoefficients = 1e5
	costlyPass       = 1e6
	dearPass         = 1e8
	flatFall         = .01
)

// flat says whether the loss fell by less than flatFall over the last three of the points, from strong to weak, after
// it fell at all.
func flat(grid []GridPoint) bool {
	n := len(grid)
	if n < 3 {
		return false
	}
	last := grid[n-1].Value
	return last < .9*grid[0].Value && grid[n-3].Value-last < flatFall*last
}

// pastBest says whether the loss rose over the last three of the points, from strong to weak, and by a twentieth.
func pastBest(grid []GridPoint) bool {
	n := len(grid)
	if n < 4 {
		return false
	}
	least := math.Inf(1)
	for i, g := range grid {
		if i >= n-3 && !(g.Value > grid[i-1].Value) {
			return false
		}
		least = min(least, g.Value)
	}
	return grid[n-1].Value > 1.05*least
}
