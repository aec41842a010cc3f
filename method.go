package bilevel

import "context"

// Method is an algorithm's immutable configuration; its zero value works.
type Method interface {
	// Start begins a run on p. It fails when the problem lacks a derivative that the method needs. The
	// caller keeps at; nil parts of it are zeros.
	Start(p *Problem, at Point, seed uint64) (Run, error)
}

// Run is one optimisation in progress. [Minimize] owns loop, budgets, records and checkpoints.
type Run interface {
	// Step makes one outer step. It returns [ErrDone] when no further progress is possible, and [ErrNoDescent] where
	// that is because derivatives must be wrong. A step of more than a few passes over the data looks at ctx between
	// them and returns its error; the run is then in the middle of a step, and is not used any more.
	Step(ctx context.Context) error
	// Point is a copy of the current point. Asking for it never changes the run.
	Point() Point
	// Counts says how many samples oracle calls have visited so far.
	Counts() Counts
}

// Progresser is a run that knows h and the norm of the projected ∇h at its point, to its own tolerance.
type Progresser interface {
	// Progress returns NaN for what is not known yet.
	Progress() (value, gradNorm float64)
}

// Noter is a run with something to report: an automatic step that was halved, a linear system that was not
// solved. Notes returns what has come up since it was last asked.
type Noter interface {
	Notes() []string
}

// Stateful is a run that can be saved and resumed bit for bit.
type Stateful interface {
	// State lists every variable that Step reads and writes, in a fixed order, to s: the same list serves
	// saving and loading.
	State(s *State)
}

// Counts are samples visited by oracle calls: a gradient of f over a batch of 64 adds 64 to GradF.
type Counts struct {
	ValueF, ValueG int64 // values of f and g
	GradF, GradG   int64 // gradients of f and g
	HessG, CrossG  int64 // products with ∇²zz g and with ∇²xz g, the latter even where x enters no sampled term
}

// Total is the sum of all counts: the samples visited.
func (c Counts) Total() int64 {
	return c.ValueF + c.ValueG + c.GradF + c.GradG + c.HessG + c.CrossG
}

// Evaluator gives h(x) and its gradient to a tolerance, for records, tests and reports; see
// hypergrad.Evaluator. One that starts from its last result is [Stateful] too, and part of checkpoints.
type Evaluator interface {
	// Evaluate returns h(x) and, where grad (length p) is not nil, overwrites it with ∇h(x). It returns the error of
	// ctx soon after that is done, and is then as if it had not been asked.
	Evaluate(ctx context.Context, grad, x []float64) (float64, error)
}
