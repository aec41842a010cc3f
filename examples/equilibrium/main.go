// Command equilibrium trains a network whose hidden state is a fixed point, z = tanh(Az + Ba + c) for an image a,
// to tell handwritten digits apart.
//
//	go run ./examples/equilibrium                # embedded digits
//	go run ./examples/equilibrium -set mnist     # MNIST, downloaded or from -data; minutes
//
// The inner problem is the fixed point of all training rows at once, the outer variable the weights A, B, c and
// those of a linear read-out; the hypergradient of the cross entropy comes from T steps of the map and K steps of
// the adjoint one, by implicit differentiation: no step of the iteration is stored. A is kept a contraction by
// projection.
//
// The setting is that of Grazzi et al., On the iteration complexity of hypergradient computation, 2020, section 3.2.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"gonum.org/v1/gonum/floats"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/linsolve"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

func main() {
	c := standard
	flag.StringVar(&c.set, "set", c.set, "digits (embedded) or mnist")
	flag.StringVar(&c.dataDir, "data", "", "folder with copies of public sets (default $BILEVEL_DATA)")
	flag.IntVar(&c.train, "train", c.train, "training rows")
	flag.IntVar(&c.test, "test", c.test, "test rows")
	flag.IntVar(&c.units, "units", c.units, "units")
	flag.IntVar(&c.inner, "inner", c.inner, "steps T = K of the map and of its adjoint; 0 for a tolerance")
	flag.Int64Var(&c.steps, "steps", c.steps, "outer steps; 0 for no limit")
	flag.StringVar(&c.estimator, "estimator", c.estimator, "fixed-point, gmres or itd")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := train(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "equilibrium:", err)
		os.Exit(1)
	}
	r.print(os.Stdout)
}

type config struct {
	set, dataDir string
	train, test  int
	units, inner int
	steps        int64
	step         float64
	estimator    string
	warm         bool
}

var standard = config{set: "digits", train: 1000, test: 700, units: 50, inner: 20, steps: 100, step: .5,
	estimator: "fixed-point", warm: true}

type report struct {
	config
	reason                  bilevel.Reason
	before, after           float64 // training loss
	trainAccuracy, accuracy float64
	residual                float64 // ‖Φ(z) − z‖ of the training rows at the end
	seconds                 float64
}

func (r report) print(w io.Writer) {
	fmt.Fprintf(w, "%d units, %d training rows, %d outer steps of T = K = %d, %s: %.1f s (%s)\n",
		r.units, r.train, r.steps, r.inner, r.estimator, r.seconds, r.reason)
	fmt.Fprintf(w, "training loss %.4f, at the start %.4f; ‖Φ(z) − z‖ = %.1e\n", r.after, r.before, r.residual)
	fmt.Fprintf(w, "training accuracy %.1f%%, test accuracy %.1f%%\n", 100*r.trainAccuracy, 100*r.accuracy)
}

// train learns the weights and tries them on test rows.
func train(ctx context.Context, c config) (report, error) {
	estimators := map[string]hypergrad.Estimator{
		"fixed-point": hypergrad.AID{Iteration: inner.Iteration{Steps: c.inner}, Linear: linsolve.FixedPoint{Steps: c.inner}},
		"gmres":       hypergrad.AID{Iteration: inner.Iteration{Steps: c.inner}, Linear: linsolve.GMRES{Steps: c.inner}},
		"itd":         hypergrad.ITD{Steps: c.inner},
	}
	e, ok := estimators[c.estimator]
	if !ok {
		return report{}, fmt.Errorf("-estimator %s: choose fixed-point, gmres or itd", c.estimator)
	}
	trainX, trainY, testX, testY, err := load(ctx, c)
	if err != nil {
		return report{}, err
	}
	const classes, limit = 10, .99
	network, err := model.NewEquilibrium(trainX, c.units, classes)
	if err != nil {
		return report{}, err
	}
	loss, err := network.Readout(trainY)
	if err != nil {
		return report{}, err
	}
	d, p := network.Dims()
	rng := rand.New(rand.NewPCG(1, 1))
	x := make([]float64, p)
	for i := range x {
		x[i] = .01 * rng.NormFloat64()
	}
	r := report{config: c, before: loss.Value(make([]float64, d), x, bilevel.All(loss))}
	begin := time.Now()
	res, err := bilevel.Minimize(ctx, &bilevel.Problem{
		Outer: loss, Fixed: network,
		Project: func(x []float64) { network.Project(x, limit) },
	}, hypergrad.Descent{Estimator: e, Optimizer: hypergrad.Momentum{Mu: .9}, Step: c.step,
		ColdStart: !c.warm, ColdAdjoint: !c.warm},
		bilevel.Settings{Start: bilevel.Point{X: x}, MaxSteps: c.steps})
	if err != nil {
		return report{}, err
	}
	r.seconds = time.Since(begin).Seconds()
	r.after, r.steps, r.reason = res.Value, res.Steps, res.Reason
	x = res.Point.X
	if r.trainAccuracy, r.residual, err = accuracy(network, loss, x); err != nil {
		return report{}, err
	}
	test, err := model.NewEquilibrium(testX, c.units, classes)
	if err != nil {
		return report{}, err
	}
	testLoss, err := test.Readout(testY)
	if err != nil {
		return report{}, err
	}
	r.accuracy, _, err = accuracy(test, testLoss, x)
	return r, err
}

// accuracy iterates the map until it stands still, and counts.
func accuracy(network *model.Equilibrium, loss *model.Readout, x []float64) (share, residual float64, err error) {
	d, _ := network.Dims()
	z, next := make([]float64, d), make([]float64, d)
	for range 10_000 {
		network.Map(next, z, x, bilevel.Batch{Hi: 1})
		residual = floats.Distance(next, z, 2)
		z, next = next, z
		if residual < 1e-8 {
			return loss.Accuracy(z, x), residual, nil
		}
	}
	return 0, residual, fmt.Errorf("the fixed point was not found: ‖Φ(z) − z‖ = %.1e", residual)
}

// load reads a set and scales pixels to 0 … 1.
func load(ctx context.Context, c config) (trainX *rows.Dense, trainY []int, testX *rows.Dense, testY []int, err error) {
	var all, test *dataset.Set
	top := 255.
	switch c.set {
	case "digits":
		top = 16
		all, err = dataset.Embedded("digits")
	case "mnist":
		all, test, _, err = dataset.Load(ctx, "mnist", dataset.GetOptions{DataDir: c.dataDir})
	default:
		err = fmt.Errorf("-set %s: choose digits or mnist", c.set)
	}
	if err != nil {
		return nil, nil, nil, nil, err
	}
	all = all.Shuffle(1)
	from := c.train
	if test == nil {
		test = all
	} else {
		from = 0
	}
	n, _ := all.Dims()
	m, _ := test.Dims()
	if c.train < 1 || c.test < 1 || c.train > n || from+c.test > m {
		return nil, nil, nil, nil, fmt.Errorf("%d training and %d test rows of %d and %d", c.train, c.test, n, m-from)
	}
	take := func(s *dataset.Set, lo, hi int) (*rows.Dense, []int) {
		var order, y []int
		for i := lo; i < hi; i++ {
			order = append(order, i)
			y = append(y, int(s.Y[i]))
		}
		x := s.X.Take(order).(*rows.Dense)
		floats.Scale(1/top, x.Data)
		return x, y
	}
	trainX, trainY = take(all, 0, c.train)
	testX, testY = take(test, from, from+c.test)
	return trainX, trainY, testX, testY, nil
}
