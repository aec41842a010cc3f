package tune

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/methods"
)

// entry is the method of that name; none for "auto".
func (m Method) entry() (methods.Entry, bool) { return methods.Lookup(string(m)) }

// checkMethod reports a method that does not exist, or that cannot learn the kind of strengths that is asked for.
func (o Options) checkMethod() error {
	if _, ok := o.Method.entry(); !ok && o.Method != AutoMethod {
		return &OptionError{"method", string(o.Method), "choose one of auto, " + strings.Join(methods.Names(), ", ") +
			nearest.Hint(string(o.Method), methods.Names())}
	}
	return nil
}

// checkLength reports a method that gets nowhere with so many strengths as were asked for.
func (f *fit) checkLength() error {
	m, ok := f.o.Method.entry()
	if !ok || f.o.Reg == AutoReg {
		return nil
	}
	if p := f.strengths(f.o.Reg); !m.Fits(p) {
		return &OptionError{"method", m.Name, fmt.Sprintf("searches for at most %d strengths, and %s has %d: "+
			"choose a method that follows gradients, such as hoag, or fewer strengths, such as shared", m.Longest, f.o.Reg, p)}
	}
	return nil
}

// fittingKinds are those of the kinds that the method can learn. One strength for all is among them.
func (f *fit) fittingKinds(kinds []Reg) []Reg {
	m, ok := f.o.Method.entry()
	return slices.DeleteFunc(kinds, func(k Reg) bool { return ok && !m.Fits(f.strengths(k)) })
}

// course is how the method of a fit is run on one problem.
type course struct {
	method bilevel.Method
	// steps is the most; 0 for no bound.
	steps int64
	// every is the number of steps between looks at a run that does not know h, and least the steps before it may end;
	// 0 for a run that does.
	every, least int64
	// A run that knows h ends when it falls by no more than the share negligible of itself over patience steps.
	patience   int
	negligible float64
	// ended says why a run ended that made all its steps, "" to say so.
	ended string
}

// course is that of the method on q.
func (f *fit) course(q *problem, a aim) course {
	m, _ := f.method().entry()
	c := course{method: m.Method, patience: f.param().patience, negligible: negligible}
	if a == toCompare {
		c.patience, c.negligible = c.patience*comparePatience/patience, compareNegligible
	}
	if d, _ := q.Dims(); d > manyCoefficients {
		c.patience, c.negligible = largePatience, max(c.negligible, largeNegligible)
	}
	switch m.Method.(type) {
	case hypergrad.HOAG:
		c.method = hypergrad.HOAG{Estimator: q.estimator}
	case hypergrad.Descent:
		c.method = hypergrad.Descent{Estimator: q.estimator}
	}
	switch m.Kind {
	case methods.Exact, methods.Search:
		c.steps = maxSteps
		if a != toFinish {
			c.steps = compareSteps
		}
		if m.Kind == methods.Search {
			c.ended = "the search is over"
		}
	case methods.Sampled:
		// A step visits a batch of each level.
		pass := int64(q.Inner.Samples()+q.Outer.Samples())/(2*batch) + 1
		c.every, c.least = max(pass, 64), max(leastPasses*pass, leastSteps)
	case methods.FullBatch:
		c.every, c.least = 1, leastFullSteps
	}
	return c
}

// cheapPass is the most multiplications of a pass with which full-batch methods are the default; less in proportion
// where there is less than a minute.
const cheapPass = 5e8

// stochastic says whether a method that samples rows is used.
func (f *fit) stochastic(s split) bool {
	if f.o.Reg.Sparse() {
		return false
	}
	if m, ok := f.o.Method.entry(); ok {
		return m.Kind == methods.Sampled
	}
	limit := float64(cheapPass)
	if f.o.MaxTime > 0 {
		limit *= min(1, f.o.MaxTime.Seconds()/60)
	}
	return f.pass(s) > limit
}

// method is the method that is used.
func (f *fit) method() Method {
	if f.o.Method != AutoMethod {
		return f.o.Method
	}
	if f.stochastic(f.main) {
		return SABA
	}
	return HOAG
}
