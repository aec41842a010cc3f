// Command fewshot learns a linear representation on many small classification tasks, so that a classifier of new
// classes can be fitted to a few rows.
//
//	go run ./examples/fewshot                                    # made-up tasks
//	go run ./examples/fewshot -omniglot omniglot28.tar.gz        # characters of alphabets
//	go run ./examples/fewshot -omniglot FOLDER -head softmax -shots 5
//
// The inner problem fits a head (ridge regression or softmax) to the support rows of every task, on top of one
// shared linear map H; the outer problem chooses H so that the heads do well on the query rows. Tasks for testing
// have classes that learning never saw; a representation is as good as the heads on its features are on them.
//
// Omniglot is read as <alphabet>/<character>/<drawing>.png, from a folder or a .tar.gz of one.
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

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/inner"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

func main() {
	c := standard
	flag.StringVar(&c.omniglot, "omniglot", "", "folder or .tar.gz of Omniglot; empty for made-up tasks")
	flag.StringVar(&c.head, "head", c.head, "ridge or softmax")
	flag.IntVar(&c.ways, "ways", c.ways, "classes of a task")
	flag.IntVar(&c.shots, "shots", c.shots, "support rows of a class")
	flag.IntVar(&c.width, "width", c.width, "features of the representation")
	flag.IntVar(&c.tasks, "tasks", c.tasks, "tasks to learn from")
	flag.Int64Var(&c.steps, "steps", c.steps, "outer steps; 0 for no limit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := learn(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fewshot:", err)
		os.Exit(1)
	}
	r.print(os.Stdout)
}

type config struct {
	omniglot                  string
	head                      string
	ways, shots, query, width int
	tasks, testTasks          int
	ridge                     float64
	steps                     int64
}

var standard = config{head: "ridge", ways: 5, shots: 1, query: 10, width: 32,
	tasks: 300, testTasks: 300, ridge: .05, steps: 60}

// report is the accuracy on query rows of new classes.
type report struct {
	config
	raw, random, learned score
	before, after        float64 // query loss of the tasks learned from
}

// score is a mean over tasks and its standard error.
type score struct{ mean, err float64 }

func (r report) print(w io.Writer) {
	fmt.Fprintf(w, "%d-way %d-shot, %s heads, %d tasks of classes that were not learned from\n",
		r.ways, r.shots, r.head, r.testTasks)
	fmt.Fprintf(w, "query loss of the tasks learned from: %.4f, at the start %.4f\n", r.after, r.before)
	for _, s := range []struct {
		name string
		score
	}{{"raw features", r.raw}, {"random map", r.random}, {"learned map", r.learned}} {
		fmt.Fprintf(w, "%-14s accuracy %.1f%% ± %.1f\n", s.name, 100*s.mean, 100*s.err)
	}
}

// learn learns H on tasks of some classes and tries it on tasks of others.
func learn(ctx context.Context, c config) (report, error) {
	var o model.RepresentationOptions
	switch c.head {
	case "ridge":
		o.OneHot = true
	case "softmax":
	default:
		return report{}, fmt.Errorf("-head %s: choose ridge or softmax", c.head)
	}
	o.Width, o.Classes, o.Ridge = c.width, c.ways, c.ridge
	rng := rand.New(rand.NewPCG(1, 1))
	train, test, err := classes(c, rng)
	if err != nil {
		return report{}, err
	}
	support, query, err := draw(train, c, c.tasks, rng)
	if err != nil {
		return report{}, err
	}
	newSupport, newQuery, err := draw(test, c, c.testTasks, rng)
	if err != nil {
		return report{}, err
	}
	g, err := model.NewRepresentation(support, o)
	if err != nil {
		return report{}, err
	}
	o.Ridge = 0
	f, err := model.NewRepresentation(query, o)
	if err != nil {
		return report{}, err
	}
	_, p := g.Dims()
	start := make([]float64, p)
	for i := range start {
		start[i] = rng.NormFloat64() / math.Sqrt(float64(p/c.width))
	}
	res, err := bilevel.Minimize(ctx, &bilevel.Problem{Inner: g, Outer: f}, hypergrad.HOAG{},
		bilevel.Settings{Start: bilevel.Point{X: start}, MaxSteps: c.steps})
	if err != nil {
		return report{}, err
	}
	r := report{config: c, before: res.Trace[1].Value, after: res.Value}
	d := p / c.width
	identity := make([]float64, d*d)
	for j := range d {
		identity[j*d+j] = 1
	}
	for _, s := range []struct {
		dst *score
		h   []float64
	}{{&r.raw, identity}, {&r.random, start}, {&r.learned, res.Point.X}} {
		if *s.dst, err = evaluate(ctx, newSupport, newQuery, s.h, c); err != nil {
			return report{}, err
		}
	}
	return r, nil
}

// evaluate fits heads to support rows with the representation h and returns their accuracy on query rows.
func evaluate(ctx context.Context, support, query []model.Task, h []float64, c config) (score, error) {
	o := model.RepresentationOptions{Width: len(h) / support[0].X.D, Classes: c.ways, Ridge: c.ridge,
		OneHot: c.head == "ridge"}
	g, err := model.NewRepresentation(support, o)
	if err != nil {
		return score{}, err
	}
	solver, err := inner.Newton{}.Start(g, nil)
	if err != nil {
		return score{}, err
	}
	d, _ := g.Dims()
	z := make([]float64, d)
	if _, err := solver.Minimize(ctx, z, h, 1e-6); err != nil {
		return score{}, err
	}
	f, err := model.NewRepresentation(query, o)
	if err != nil {
		return score{}, err
	}
	shares := f.Accuracy(z, h)
	var s score
	n := float64(len(shares))
	for _, a := range shares {
		s.mean += a / n
	}
	for _, a := range shares {
		s.err += (a - s.mean) * (a - s.mean) / n
	}
	s.err = math.Sqrt(s.err / n)
	return s, nil
}

// class is the rows of one class.
type class [][]float64

// classes are those to learn from and those to test on.
func classes(c config, rng *rand.Rand) (train, test []class, err error) {
	if c.omniglot == "" {
		train, test = madeUp(rng)
		return train, test, nil
	}
	all, err := omniglot(c.omniglot)
	if err != nil {
		return nil, nil, err
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	cut := len(all) * 3 / 4
	return all[:cut], all[cut:], nil
}

// madeUp draws classes whose means lie in a few of many directions, in noise that is large in the others.
func madeUp(rng *rand.Rand) (train, test []class) {
	const d, signal, n = 40, 6, 20
	basis := make([][]float64, signal)
	for i := range basis {
		basis[i] = make([]float64, d)
		for j := range basis[i] {
			basis[i][j] = rng.NormFloat64() / math.Sqrt(d)
		}
	}
	for k := range 200 {
		mean := make([]float64, d)
		for _, b := range basis {
			a := 4 * rng.NormFloat64()
			for j, v := range b {
				mean[j] += a * v
			}
		}
		var cl class
		for range n {
			row := make([]float64, d)
			for j := range row {
				row[j] = mean[j] + rng.NormFloat64()
			}
			cl = append(cl, row)
		}
		if k < 150 {
			train = append(train, cl)
		} else {
			test = append(test, cl)
		}
	}
	return train, test
}

// draw draws tasks: ways classes each, with shots support rows and query others of every class.
func draw(from []class, c config, n int, rng *rand.Rand) (support, query []model.Task, err error) {
	if len(from) < c.ways || c.ways < 2 || c.shots < 1 || n < 1 {
		return nil, nil, fmt.Errorf("%d tasks of %d classes with %d rows each, from %d classes",
			n, c.ways, c.shots, len(from))
	}
	d := len(from[0][0])
	for range n {
		s := model.Task{X: rows.NewDense(c.ways*c.shots, d)}
		q := model.Task{X: rows.NewDense(c.ways*c.query, d)}
		for label, k := range rng.Perm(len(from))[:c.ways] {
			if len(from[k]) < c.shots+c.query {
				return nil, nil, fmt.Errorf("a class has %d rows, fewer than %d", len(from[k]), c.shots+c.query)
			}
			for i, row := range rng.Perm(len(from[k]))[:c.shots+c.query] {
				if i < c.shots {
					copy(s.X.Row(len(s.Labels)), from[k][row])
					s.Labels = append(s.Labels, label)
				} else {
					copy(q.X.Row(len(q.Labels)), from[k][row])
					q.Labels = append(q.Labels, label)
				}
			}
		}
		support, query = append(support, s), append(query, q)
	}
	return support, query, nil
}
