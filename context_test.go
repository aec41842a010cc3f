package bilevel_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/bileveltest"
)

// slow is walk with steps that wait until they are cut short, or for a while.
type slow struct{ wait time.Duration }

func (m slow) Start(p *bilevel.Problem, at bilevel.Point, seed uint64) (bilevel.Run, error) {
	run, err := walk{}.Start(p, at, seed)
	return &slowRun{run.(*walkRun), m.wait}, err
}

type slowRun struct {
	*walkRun
	wait time.Duration
}

func (r *slowRun) Step(ctx context.Context) error {
	if err := r.walkRun.Step(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err() // in the middle of the step: the point has moved already
	case <-time.After(r.wait):
		return nil
	}
}

// A long step ends with the context or the time, is not counted, and leaves the point, the counts and the checkpoint of
// before.
func TestStepsAreCutShort(t *testing.T) {
	p := bileveltest.Scalar().Problem
	path := filepath.Join(t.TempDir(), "run")
	for _, c := range []struct {
		name   string
		budget time.Duration
		reason bilevel.Reason
	}{{"time", 250 * time.Millisecond, bilevel.TimeBudget}, {"context", 0, bilevel.Cancelled}} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		var points []bilevel.Point
		s := bilevel.Settings{MaxTime: c.budget, MaxSteps: 100, RecordEvery: 1, Checkpoint: path,
			Recorder: bilevel.RecorderFunc(
				func(r bilevel.Record, at bilevel.Point) {
					points = append(points, at)
					if r.Step == 2 && c.budget == 0 {
						time.AfterFunc(10*time.Millisecond, cancel)
					}
				})}
		began := time.Now()
		res, err := bilevel.Minimize(ctx, p, slow{100 * time.Millisecond}, s)
		spent := time.Since(began)
		cancel()
		if err != nil || res.Reason != c.reason || res.Steps != 2 || spent > 30*time.Second {
			t.Fatalf("%s: %v after %d steps and %v, %v", c.name, res.Reason, res.Steps, spent, err)
		}
		if !slices.Equal(res.Last.X, points[2].X) || res.Counts != res.Trace[2].Counts {
			t.Errorf("%s: the last point is %v with %+v, that of step 2 %v with %+v", c.name, res.Last.X, res.Counts,
				points[2].X, res.Trace[2].Counts)
		}
		resumed, err := bilevel.Minimize(context.Background(), p, slow{}, bilevel.Settings{MaxSteps: 5})
		if err != nil {
			t.Fatal(err)
		}
		whole := resumed.Last.X[0]
		s = bilevel.Settings{MaxSteps: 5, Checkpoint: path, Resume: true}
		if resumed, err = bilevel.Minimize(context.Background(), p, slow{100 * time.Millisecond}, s); err != nil {
			t.Fatal(err)
		}
		if resumed.Last.X[0] != whole || resumed.Steps != 5 {
			t.Errorf("%s: x = %v after being resumed, %v without", c.name, resumed.Last.X, whole)
		}
	}
}

// An evaluation of h ends with the context too, and the result is there.
func TestEvaluationIsCutShort(t *testing.T) {
	p := bileveltest.Scalar().Problem
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	ev := evaluatorContext(func(ctx context.Context, grad, x []float64) (float64, error) {
		if calls++; calls == 3 {
			cancel()
			<-ctx.Done()
			return 0, ctx.Err()
		}
		grad[0] = 1
		return float64(10 - calls), nil
	})
	res, err := bilevel.Minimize(ctx, p, walk{}, bilevel.Settings{MaxSteps: 100, Evaluator: ev})
	if err != nil || res.Reason != bilevel.Cancelled || len(res.Trace) != 2 || res.Value != 8 || res.Steps != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

type evaluatorContext func(ctx context.Context, grad, x []float64) (float64, error)

func (f evaluatorContext) Evaluate(ctx context.Context, grad, x []float64) (float64, error) {
	return f(ctx, grad, x)
}

// What recorders and results have is their own.
func TestNothingIsShared(t *testing.T) {
	c := bileveltest.Quadratic(3, 2, 40, 40, 1)
	spoil := func(at bilevel.Point) {
		for _, v := range [][]float64{at.Z, at.X, at.V} {
			for i := range v {
				v[i] = 1e9
			}
		}
	}
	run := func(rec bilevel.Recorder) *bilevel.Result {
		res, err := bilevel.Minimize(context.Background(), c.Problem, walk{Rate: .1, Solve: c.Solve},
			bilevel.Settings{MaxSteps: 20, RecordEvery: 1, Evaluator: c, Recorder: rec})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	want := run(nil)
	got := run(bilevel.RecorderFunc(func(_ bilevel.Record, at bilevel.Point) { spoil(at) }))
	if !slices.Equal(got.Point.X, want.Point.X) || !slices.Equal(got.Last.X, want.Last.X) {
		t.Errorf("a recorder changes the result: %v, %v", got.Point.X, got.Last.X)
	}
	spoil(got.Last)
	if !slices.Equal(got.Point.X, want.Point.X) || !slices.Equal(got.Point.Z, want.Point.Z) {
		t.Errorf("Point and Last share memory")
	}
}
