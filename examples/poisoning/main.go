// Command poisoning audits a classifier against poisoned training data: how far does its test accuracy fall when
// an attacker may move some training rows, labels unchanged, within a ball?
//
//	go run ./examples/poisoning                      # handwritten digits, embedded
//	go run ./examples/poisoning -set mnist           # MNIST, downloaded or from -data
//	go run ./examples/poisoning -norm l2 -radius 1
//
// The attacker maximises the validation loss of softmax regression fitted to the poisoned rows: the inner problem
// is the fit, the outer variable x the shifts of the rows (s × features), and projected hypergradient ascent moves
// them. Test rows are neither fitted nor attacked with.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

func main() {
	var c config
	flag.StringVar(&c.set, "set", "digits", "digits (embedded) or mnist")
	flag.StringVar(&c.dataDir, "data", "", "folder with copies of public sets (default $BILEVEL_DATA)")
	flag.IntVar(&c.train, "train", 1000, "training rows")
	flag.IntVar(&c.val, "val", 400, "validation rows, which the attacker has")
	flag.Float64Var(&c.share, "share", .1, "share of the training rows that the attacker may move")
	flag.StringVar(&c.norm, "norm", "linf", "ball: linf or l2")
	flag.Float64Var(&c.radius, "radius", .3, "radius of the ball, for pixels between 0 and 1")
	flag.Float64Var(&c.ridge, "ridge", .01, "ridge of the classifier")
	flag.Int64Var(&c.steps, "steps", 60, "hypergradients; 0 for no limit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := audit(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "poisoning:", err)
		os.Exit(1)
	}
	r.print(os.Stdout)
}

type config struct {
	set, dataDir  string
	train, val    int
	share         float64
	norm          string
	radius, ridge float64
	steps         int64
}

// report is validation loss and test accuracy of the classifier fitted to clean rows, to rows moved at random to
// the border of the ball, and to poisoned rows.
type report struct {
	rows, moved             int
	clean, random, poisoned outcome
}

type outcome struct{ loss, accuracy float64 }

func (r report) print(w io.Writer) {
	fmt.Fprintf(w, "%d of %d training rows moved\n", r.moved, r.rows)
	fmt.Fprintf(w, "%-10s %-16s %s\n", "rows", "validation loss", "test accuracy")
	for _, o := range []struct {
		name string
		outcome
	}{{"clean", r.clean}, {"random", r.random}, {"poisoned", r.poisoned}} {
		fmt.Fprintf(w, "%-10s %-16.4f %.1f%%\n", o.name, o.loss, 100*o.accuracy)
	}
}

// audit poisons rows and fits to them.
func audit(ctx context.Context, c config) (report, error) {
	moved := int(math.Round(c.share * float64(c.train)))
	if !(c.share > 0 && c.share <= 1) || c.train > 0 && moved == 0 {
		return report{}, fmt.Errorf("-share %v: choose a share of the %d training rows, above 0 and up to 1",
			c.share, c.train)
	}
	if !(c.radius >= 0) {
		return report{}, fmt.Errorf("-radius %v: a radius is not negative", c.radius)
	}
	s, err := load(ctx, c)
	if err != nil {
		return report{}, err
	}
	loss, err := model.NewSoftmax(s.train.x, s.train.y, s.classes, 0)
	if err != nil {
		return report{}, err
	}
	g, err := model.NewPerturbed(loss, moved, c.ridge)
	if err != nil {
		return report{}, err
	}
	_, p := g.Dims()
	f, err := model.NewSoftmax(s.val.x, s.val.y, s.classes, p)
	if err != nil {
		return report{}, err
	}
	problem := &bilevel.Problem{Inner: g, Outer: model.Negative(f)}
	features := p / moved
	switch c.norm {
	case "linf": // a box, cut to the range of pixels
		problem.Lower, problem.Upper = make([]float64, p), make([]float64, p)
		for i := range moved {
			for j, v := range s.train.x.Row(i) {
				problem.Lower[i*features+j], problem.Upper[i*features+j] = max(-c.radius, -v), min(c.radius, 1-v)
			}
		}
	case "l2": // a ball for each row
		problem.Project = func(x []float64) {
			for i := range moved {
				row := x[i*features : (i+1)*features]
				if n := floats.Norm(row, 2); n > c.radius {
					floats.Scale(c.radius/n, row)
				}
			}
		}
	default:
		return report{}, fmt.Errorf("-norm %s: choose linf or l2", c.norm)
	}

	r := report{rows: c.train, moved: moved}
	none, random := make([]float64, p), make([]float64, p)
	rng := rand.New(rand.NewPCG(1, 1))
	for j := range random {
		random[j] = c.radius * math.Copysign(1, rng.Float64()-.5)
		if c.norm == "l2" {
			random[j] = 1e3 * rng.NormFloat64()
		}
	}
	problem.ProjectX(random)
	if r.clean, err = s.fit(ctx, g, f, none); err != nil {
		return report{}, err
	}
	if r.random, err = s.fit(ctx, g, f, random); err != nil {
		return report{}, err
	}
	res, err := bilevel.Minimize(ctx, problem, hypergrad.HOAG{}, bilevel.Settings{MaxSteps: c.steps})
	if err != nil {
		return report{}, err
	}
	r.poisoned, err = s.fit(ctx, g, f, res.Point.X)
	return r, err
}

// sample is rows with their labels.
type sample struct {
	x *rows.Dense
	y []int
}

type sets struct {
	train, val, test sample
	classes          int
}

// fit trains on rows moved by x.
func (s *sets) fit(ctx context.Context, g *model.Perturbed, f bilevel.Objective, x []float64) (outcome, error) {
	d, _ := g.Dims()
	z := make([]float64, d)
	m, err := inner.Newton{}.Start(g, nil)
	if err != nil {
		return outcome{}, err
	}
	if _, err := m.Minimize(ctx, z, x, 1e-8); err != nil {
		return outcome{}, err
	}
	right := 0
	features := d / s.classes
	for i, y := range s.test.y {
		best, top := 0, math.Inf(-1)
		for c := range s.classes {
			if t := floats.Dot(s.test.x.Row(i), z[c*features:(c+1)*features]); t > top {
				best, top = c, t
			}
		}
		if best == y {
			right++
		}
	}
	return outcome{f.Value(z, x, bilevel.All(f)), float64(right) / float64(len(s.test.y))}, nil
}

// load reads a set and scales pixels to 0 … 1. The rest of the digits, or the test set of MNIST, are test rows.
func load(ctx context.Context, c config) (*sets, error) {
	var train, test *dataset.Set
	var err error
	top := 255.
	switch c.set {
	case "digits":
		top = 16
		if train, err = dataset.Embedded("digits"); err == nil {
			train = train.Shuffle(1)
		}
	case "mnist":
		if train, test, _, err = dataset.Load(ctx, "mnist", dataset.GetOptions{DataDir: c.dataDir}); err == nil {
			train = train.Shuffle(1)
		}
	default:
		return nil, fmt.Errorf("-set %s: choose digits or mnist", c.set)
	}
	if err != nil {
		return nil, err
	}
	n, _ := train.Dims()
	if c.train < 1 || c.val < 1 || c.train+c.val > n || test == nil && c.train+c.val == n {
		return nil, fmt.Errorf("%d training and %d validation rows of %d", c.train, c.val, n)
	}
	s := &sets{classes: 10}
	take := func(from *dataset.Set, lo, hi int) sample {
		var order []int
		for i := lo; i < hi; i++ {
			order = append(order, i)
		}
		part := from.Subset(order)
		x, ok := part.X.(*rows.Dense)
		if !ok {
			x = rows.NewDense(hi-lo, from.X.(*rows.CSR).D)
			for i := range hi - lo {
				idx, val := part.X.(*rows.CSR).Row(i)
				for k, j := range idx {
					x.Row(i)[j] = val[k]
				}
			}
		}
		floats.Scale(1/top, x.Data)
		out := sample{x: x}
		for _, v := range part.Y {
			out.y = append(out.y, int(v))
		}
		return out
	}
	s.train, s.val = take(train, 0, c.train), take(train, c.train, c.train+c.val)
	if test == nil {
		s.test = take(train, c.train+c.val, n)
	} else {
		m, _ := test.Dims()
		s.test = take(test, 0, m)
	}
	return s, nil
}
