package bench

import (
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/methods"
)

// prototypes are what a bench file can name as a method, with their defaults. Every exported field of a plain type is
// a parameter.
var prototypes = func() map[string]bilevel.Method {
	all := make(map[string]bilevel.Method)
	for _, m := range methods.All() {
		all[m.Name] = m.Method
	}
	return all
}()

// problems are what a bench file can name as a problem, with their defaults. The exported fields are options.
var problems = map[string]problem{
	"20news":    news{Box: newsBox},
	"cleaning":  cleaning{Noise: .5, Train: 20_000, Validation: 5_000},
	"covtype":   covtype{},
	"ijcnn1":    ijcnn1{},
	"quadratic": quadratic{Inner: 100, Outer: 10, Terms: 1024, Validation: 1024},
}

// problem is a problem of the registry: a struct whose exported fields are options.
type problem interface {
	// about says in a line what it is.
	about() string
	// sets are the public data sets that it needs, see dataset.Load.
	sets() []string
	// load makes the problem; from says where public sets are, and how much memory they may take.
	load(ctx context.Context, from dataset.GetOptions) (*instance, error)
}

// instance is a problem as runs use it, one after the other.
type instance struct {
	problem *bilevel.Problem
	// start is the start point of a seed.
	start func(seed uint64) bilevel.Point
	// evaluator makes what records h and ∇h, afresh for each run.
	evaluator func() (bilevel.Evaluator, error)
	// testError is the error of z on rows that neither level has seen, or nil.
	testError func(at bilevel.Point) float64
	// best is the smallest h in the domain, NaN if unknown.
	best float64
}

// Entry is a problem or a method of the registry.
type Entry struct {
	Name       string
	About      string // what it is, in a line; "" for a method
	Parameters []Parameter
}

// Parameter is what a bench file can set of a problem or a method.
type Parameter struct{ Name, Default string }

// Methods lists what can be named as a method.
func Methods() []Entry {
	var list []Entry
	for _, name := range sortedKeys(prototypes) {
		e := Entry{Name: name, Parameters: describe(prototypes[name])}
		if hasRatio(reflect.TypeOf(prototypes[name])) {
			e.Parameters = append(e.Parameters, Parameter{Name: "ratio"})
		}
		list = append(list, e)
	}
	return list
}

// Problems lists what can be named as a problem.
func Problems() []Entry {
	var list []Entry
	for _, name := range sortedKeys(problems) {
		p := problems[name]
		list = append(list, Entry{name, p.about(), describe(p)})
	}
	return list
}

// describe lists the parameters of a struct, with defaults where they say something.
func describe(prototype any) []Parameter {
	v := reflect.ValueOf(prototype)
	var list []Parameter
	for _, p := range parameters(v.Type()) {
		d := Parameter{Name: p.name}
		if f := v.FieldByIndex(p.index); !f.IsZero() {
			d.Default = fmt.Sprint(f.Interface())
		}
		list = append(list, d)
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// bounds is the box [−r, r]ⁿ.
func bounds(n int, r float64) (lower, upper []float64) {
	lower, upper = make([]float64, n), make([]float64, n)
	for j := range n {
		lower[j], upper[j] = -r, r
	}
	return lower, upper
}

// evaluateWith makes evaluators of p that solve both levels to 1e-10 by e.
func evaluateWith(p *bilevel.Problem, e hypergrad.Estimator) func() (bilevel.Evaluator, error) {
	return func() (bilevel.Evaluator, error) { return hypergrad.NewEvaluator(p, e) }
}

// unknown is the best value of a problem whose solution nobody knows.
var unknown = math.NaN()
