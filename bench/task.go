package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/valuefn"
)

// Budget ends a run; at least one of its parts is set. Seconds are those of the method: records do not count.
type Budget struct {
	Seconds float64 `json:"seconds,omitempty"`
	Steps   int64   `json:"steps,omitempty"`
	Samples int64   `json:"samples,omitempty"`
}

// Task is one run of a bench.
type Task struct {
	Problem string          `json:"problem"` // as tables and figures call it
	Kind    string          `json:"kind"`    // its name in the registry
	Options json.RawMessage `json:"options"` // an object, its keys sorted

	Method    string          `json:"method"`    // as tables and figures call it
	Algorithm string          `json:"algorithm"` // its name in the registry
	Params    json.RawMessage `json:"params"`    // an object, its keys sorted

	Seed      uint64 `json:"seed"`
	Budget    Budget `json:"budget"`
	PerDecade int    `json:"per_decade"`    // records in each factor of ten of the steps
	KKT       int    `json:"kkt,omitempty"` // inner steps of each record's KKT loss; 0 means that it has none
}

// key tells tasks apart: everything but what they are called.
func (t Task) key() string {
	t.Problem, t.Method = "", ""
	text, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("bench: %v of %+v", err, t))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// file is the name of the task's trace.
func (t Task) file() string {
	return fmt.Sprintf("%s-%s-%d-%s.jsonl", t.Kind, t.Algorithm, t.Seed, t.key())
}

// Share is part index of count: every count-th task. The shares of 0 … count−1 are disjoint and hold all tasks.
func Share(tasks []Task, index, count int) []Task {
	var mine []Task
	for i := index; i < len(tasks); i += count {
		mine = append(mine, tasks[i])
	}
	return mine
}

// describeJSON is an object for people: batch=64 inner=0.125.
func describeJSON(object json.RawMessage) string {
	var v any
	if err := json.Unmarshal(object, &v); err != nil {
		return string(object)
	}
	return describePlain(v, true)
}

func describePlain(v any, top bool) string {
	switch x := v.(type) {
	case nil:
		return "-"
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, k+"="+describePlain(x[k], false))
		}
		if top {
			return strings.Join(parts, " ")
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	return fmt.Sprint(v)
}

// loader keeps the problem of the last task: tasks come ordered by problem.
type loader struct {
	dir    string // with copies of public data sets
	memory int64  // bytes that a problem may take, 0 for dataset.DefaultMemory
	key    string
	last   *instance
}

func (l *loader) get(ctx context.Context, t Task) (*instance, error) {
	key := t.Kind + " " + string(t.Options)
	if l.last != nil && l.key == key {
		return l.last, nil
	}
	l.last = nil // so that two problems are never in memory
	options, err := parse(t.Options)
	if err != nil {
		return nil, err
	}
	prototype, ok := problems[t.Kind]
	if !ok {
		return nil, fmt.Errorf("bench: no problem is called %q", t.Kind)
	}
	made, err := configure(prototype, options, t.Kind)
	if err != nil {
		return nil, err
	}
	from := dataset.GetOptions{DataDir: l.dir, Memory: dataset.NewMemory(l.memory)}
	if l.last, err = made.(problem).load(ctx, from); err != nil {
		return nil, err
	}
	l.key = key
	return l.last, nil
}

// run does a task. What goes wrong in a method is a result; nil is that of a run that ctx ended.
func (l *loader) run(ctx context.Context, t Task) (*Trace, error) {
	in, err := l.get(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Problem, err)
	}
	params, err := parse(t.Params)
	if err != nil {
		return nil, err
	}
	prototype, ok := prototypes[t.Algorithm]
	if !ok {
		return nil, fmt.Errorf("bench: no method is called %q", t.Algorithm)
	}
	made, err := configure(prototype, params, t.Algorithm)
	if err != nil {
		return nil, err
	}
	runtime.GC() // what the run before left
	trace := newTrace(t, in.best)
	minimize(ctx, in, made.(bilevel.Method), trace)
	if trace.Status == "" {
		return nil, ctx.Err()
	}
	return trace, nil
}

// minimize fills trace with a run of m. Status stays empty where ctx ended it.
func minimize(ctx context.Context, in *instance, m bilevel.Method, trace *Trace) {
	defer func() {
		if p := recover(); p != nil {
			trace.Status = Failed
			trace.Message = fmt.Sprintf("panic: %v", p)
			trace.Notes = append(trace.Notes, string(debug.Stack()))
		}
	}()
	t := trace.Task
	inner, err := in.evaluator()
	if err != nil {
		trace.Status, trace.Message = Failed, err.Error()
		return
	}
	e := &evaluator{Evaluator: inner}
	without := 0 // records without a KKT loss
	res, err := bilevel.Minimize(ctx, in.problem, m, bilevel.Settings{
		Start: in.start(t.Seed), Seed: t.Seed,
		MaxSteps: t.Budget.Steps, MaxSamples: t.Budget.Samples,
		MaxTime: time.Duration(t.Budget.Seconds * float64(time.Second)), RecordsPerDecade: t.PerDecade, Evaluator: e,
		Recorder: bilevel.RecorderFunc(func(r bilevel.Record, at bilevel.Point) {
			p := newPoint()
			p.Step, p.Seconds, p.Counts, p.Value, p.GradNorm2 = r.Step, r.Time.Seconds(), r.Counts, number(r.Value),
				number(r.GradNorm*r.GradNorm)
			if in.testError != nil {
				p.TestError = number(in.testError(at))
			}
			if t.KKT > 0 {
				if k, err := valuefn.KKTAt(in.problem, at, t.KKT); err == nil {
					p.KKT = number(k.Loss)
				} else if without++; without == 1 {
					trace.Notes = append(trace.Notes, fmt.Sprintf("step %d has no KKT loss: %v", r.Step, err))
				}
			}
			trace.Points = append(trace.Points, p)
			trace.Notes = append(trace.Notes, r.Notes...)
		}),
	})
	if e.inexact > 0 {
		trace.Notes = append(trace.Notes, fmt.Sprintf("%d of %d evaluations of h were not solved to the tolerance: %v",
			e.inexact, len(trace.Points), e.last))
	}
	if without > 1 {
		trace.Notes = append(trace.Notes, fmt.Sprintf("%d records in all have no KKT loss", without))
	}
	if res != nil {
		trace.Steps, trace.Seconds, trace.Counts = res.Steps, res.Time.Seconds(), res.Counts
	}
	var left *bilevel.NonFiniteError
	var far *farError
	switch {
	case errors.As(err, &far) && res != nil:
		trace.Status, trace.Message = Diverged, fmt.Sprintf("after step %d, %v", res.Steps, far)
	case errors.As(err, &left):
		trace.Status, trace.Message = Diverged, fmt.Sprintf("after step %d, %s", left.Step, left.Quantity)
	case err != nil:
		trace.Status, trace.Message = Failed, err.Error()
	case res.Reason != bilevel.Cancelled:
		trace.Status, trace.Message = Done, res.Reason.String()
	}
}

// farther than this from zero, relative to where it began, a run has diverged, finite or not.
const farther = 1e10

// farError is the end of a run that is that far.
type farError struct{ value float64 }

func (e *farError) Error() string { return fmt.Sprintf("h = %.3g", e.value) }

// evaluator takes values that are not solved to the tolerance and counts them; they would end a run.
type evaluator struct {
	bilevel.Evaluator
	far     float64 // the largest |h|; 0 before the first value
	inexact int     // values not solved to the tolerance
	last    error
}

// Evaluate returns an error only if there is no gradient, or h is far away.
func (e *evaluator) Evaluate(ctx context.Context, grad, x []float64) (float64, error) {
	for j := range grad {
		grad[j] = math.NaN()
	}
	h, err := e.Evaluator.Evaluate(ctx, grad, x)
	if e.far == 0 {
		e.far = farther * max(1, math.Abs(h))
	}
	if math.Abs(h) > e.far && !math.IsInf(h, 0) {
		return h, &farError{h}
	}
	if err == nil || len(grad) == 0 || math.IsNaN(grad[0]) {
		return h, err
	}
	e.inexact++
	e.last = err
	return h, nil
}
