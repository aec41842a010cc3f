package bench

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/realdata"
)

// MinimaxOPT is ahead of the double loops at every number of calls, and none of them is a straw man.
func TestMinimaxLogistic(t *testing.T) {
	f, err := Lookup("minimax-logistic")
	if err != nil {
		t.Fatal(err)
	}
	table, err := f.Compute(context.Background(), Options{Repeats: 1})
	if err != nil {
		t.Fatal(err)
	}
	ours := table.values("loss_median", "MinimaxOPT")
	for _, m := range table.labels(0) {
		calls, loss := table.values("calls", m), table.values("loss_median", m)
		if len(loss) != minimaxPoints+1 || calls[0] != 0 || calls[minimaxPoints] != minimaxCalls ||
			math.Abs(loss[0]-math.Ln2) > 1e-12 {
			t.Fatalf("%s: %d points from %g to %g calls, the loss at the start is %g", m, len(loss), calls[0],
				calls[len(calls)-1], loss[0])
		}
		end, h := loss[minimaxPoints], table.values("h_end_median", m)[0]
		if math.Abs(end-h) > .005 {
			t.Errorf("%s: the loss is %g, h %g", m, end, h)
		}
		if a := table.values("accuracy_median", m)[minimaxPoints]; !(a > .8 && a < .9) {
			t.Errorf("%s: the test accuracy is %g", m, a)
		}
		if strings.HasPrefix(m, "MinimaxOPT") {
			continue
		}
		if end > .37 {
			t.Errorf("%s ends at %g", m, end)
		}
		for i := range loss {
			if loss[i] < ours[i]-2e-4 {
				t.Errorf("%s: after %g calls the loss is %g, that of MinimaxOPT %g", m, calls[i], loss[i], ours[i])
				break
			}
		}
	}
	checkFiles(t, f, table)
}

func TestMarkAt(t *testing.T) {
	course := []mark{{calls: 0, loss: 3}, {calls: 10, loss: 2}, {calls: 20, loss: 1}}
	for calls, want := range map[float64]float64{0: 3, 9: 3, 10: 2, 19.5: 2, 20: 1, 99: 1} {
		if got := markAt(course, calls).loss; got != want {
			t.Errorf("after %g calls the loss is %g, want %g", calls, got, want)
		}
	}
}

func TestMinimaxFiguresOfSets(t *testing.T) {
	for name, rows := range map[string][]Row{
		"minimax-20news": {{[]string{"a"}, []float64{0, 0, 3, .1}}, {[]string{"a"}, []float64{30, 1, 2, .5}},
			{[]string{"b"}, []float64{40, 2, 2.5, .4}}},
		"minimax-cleaning": {{[]string{"0.1", "a"}, []float64{0, 0, .1}}, {[]string{"0.1", "a"}, []float64{1, 5, .8}},
			{[]string{"0.1", "a"}, []float64{2, 9, .9}},
			{[]string{"0.3", "b"}, []float64{0, 0, .1}}, {[]string{"0.3", "b"}, []float64{1, 3, .8}}},
	} {
		f, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Compute(context.Background(), Options{Repeats: 2}); err == nil ||
			!strings.Contains(err.Error(), "single runs") {
			t.Errorf("%s, two repeats: error %v", name, err)
		}
		checkFiles(t, f, &Table{Labels: f.Labels, Values: f.Values, Rows: rows})
	}
}

func TestNewsProblem(t *testing.T) {
	realdata.Long(t, "reads 11,314 texts")
	dir := realdata.Folder(t, "20news")
	in, err := news{Box: newsBox}.load(context.Background(), dataset.GetOptions{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	p := in.problem
	accuracy := func(z []float64) float64 { return 1 - in.testError(bilevel.Point{Z: z}) }
	if d, q := p.Dims(); d != 20*130107 || q != 130107 || p.Inner.Samples() != 5657 || p.Outer.Samples() != 5657 {
		t.Errorf("d = %d, p = %d, %d and %d texts", d, q, p.Inner.Samples(), p.Outer.Samples())
	}
	d, _ := p.Dims()
	z, dz := make([]float64, d), make([]float64, d)
	if a := accuracy(z); a > .06 {
		t.Errorf("accuracy %g at z = 0", a)
	}
	for range 12 {
		p.Inner.Grad(dz, nil, z, make([]float64, 130107), bilevel.All(p.Inner))
		for i, g := range dz {
			z[i] -= 100 * g
		}
	}
	if a := accuracy(z); a < .35 {
		t.Errorf("accuracy %g after a few steps of gradient descent", a)
	}
}
