package hypergrad_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/hypergrad"
	"github.com/bilevel-go/bilevel/internal/realdata"
	"github.com/bilevel-go/bilevel/model"
	"github.com/bilevel-go/bilevel/rows"
)

// ijcnn1Rows are the training and the test rows of ijcnn1, once they have been read.
var ijcnn1Rows [2]struct {
	x *rows.Dense
	y []float64
}

// ijcnn1 is logistic regression with one strength e^{x_j} per feature, on the real data.
func ijcnn1(tb testing.TB) *bilevel.Problem {
	tb.Helper()
	const d = 22
	var losses [2]*model.Loss
	for i, name := range []string{"ijcnn1.trn.bz2", "ijcnn1.tst.bz2"} {
		data := &ijcnn1Rows[i]
		if data.x == nil {
			data.x, data.y = realdata.LIBSVM(tb, d, "ijcnn1", name)
		}
		var err error
		if losses[i], err = model.NewLogistic(data.x, data.y, d); err != nil {
			tb.Fatal(err)
		}
	}
	penalty, err := model.NewPenalty(losses[0].Layout(), model.PerFeature, model.PenaltyOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	g, err := model.Regularize(losses[0], penalty)
	if err != nil {
		tb.Fatal(err)
	}
	p := &bilevel.Problem{Outer: losses[1], Inner: g, Lower: make([]float64, d), Upper: make([]float64, d)}
	for j := range d {
		p.Lower[j], p.Upper[j] = -12, 12
	}
	return p
}

// ijcnn1Starts are start points from which h* = 0.2038937 is reached.
func ijcnn1Starts() map[string][]float64 {
	starts := map[string][]float64{}
	for _, c := range []float64{0, -2, -12} {
		x := make([]float64, 22)
		for j := range x {
			x[j] = c
		}
		starts[fmt.Sprint("x=", c)] = x
	}
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 22))
		x := make([]float64, 22)
		for j := range x {
			x[j] = math.Log(rng.Float64())
		}
		starts[fmt.Sprint("random", seed)] = x
	}
	return starts
}

// learnIJCNN1 returns the steps and the time to h ≤ 0.20390, of one core.
func learnIJCNN1(tb testing.TB, p *bilevel.Problem, x []float64) (steps int64, spent time.Duration) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	res, err := bilevel.Minimize(ctx, p, hypergrad.HOAG{}, bilevel.Settings{
		Start: bilevel.Point{X: x}, MaxSteps: 300,
		Recorder: bilevel.RecorderFunc(func(r bilevel.Record, _ bilevel.Point) {
			if r.Value <= .20390 {
				stop()
			}
		}),
	})
	if err != nil {
		tb.Fatal(err)
	}
	if res.Value > .20390 {
		tb.Errorf("h = %v, %v after %d steps", res.Value, res.Reason, res.Steps)
	}
	return res.Steps, res.Time
}

func TestIJCNN1(t *testing.T) {
	p := ijcnn1(t)
	starts := ijcnn1Starts()
	total := int64(0)
	for _, name := range slices.Sorted(maps.Keys(starts)) {
		steps, spent := learnIJCNN1(t, p, starts[name])
		t.Logf("%s: %d steps, %v", name, steps, spent)
		total += steps
	}
	// An L-BFGS matrix that starts from a multiple of the identity takes about 120 steps each.
	if mean := float64(total) / float64(len(starts)); mean > 75 {
		t.Errorf("%.0f steps on average", mean)
	}
}

// The end of a run is h* and its strengths, known from an independent solver.
func TestIJCNN1Solution(t *testing.T) {
	p := ijcnn1(t)
	x := make([]float64, 22)
	for j := range x {
		x[j] = -2
	}
	res, err := bilevel.Minimize(context.Background(), p, hypergrad.HOAG{},
		bilevel.Settings{Start: bilevel.Point{X: x}, MaxSteps: 400})
	if err != nil {
		t.Fatal(err)
	}
	// All digits: what solves to 1e-15 from seven starts ends there.
	if math.Abs(res.Value-.203893728014) > 2e-12 || res.Reason != bilevel.Done {
		t.Errorf("h = %.13f, %v after %d steps", res.Value, res.Reason, res.Steps)
	}
	want := map[int]float64{1: -7.85, 2: -7.53, 3: -6.46, 7: -6.62, 17: -8.35, 19: -8.77} // counted from 1
	for j, x := range res.Point.X {
		j++
		w, ok := want[j]
		switch {
		case j == 11 && x < 11.5, j != 11 && !ok && x > -11.9, ok && math.Abs(x-w) > .02:
			t.Errorf("x[%d] = %v", j, x)
		}
	}
	t.Logf("h = %.9f after %d steps, projected gradient %.2g, %+v", res.Value, res.Steps, res.GradNorm, res.Counts)
}

func BenchmarkIJCNN1(b *testing.B) {
	p := ijcnn1(b)
	starts := ijcnn1Starts()
	for _, name := range slices.Sorted(maps.Keys(starts)) {
		b.Run(name, func(b *testing.B) {
			steps := int64(0)
			for b.Loop() {
				steps, _ = learnIJCNN1(b, p, starts[name])
			}
			b.ReportMetric(float64(steps), "evaluations/op")
		})
	}
}
