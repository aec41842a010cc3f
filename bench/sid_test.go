package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bilevel-go/bilevel/internal/realdata"
)

func TestBiasVariance(t *testing.T) {
	mse, bias, variance := biasVariance([][]float64{{1, 2}, {3, 2}}, []float64{1, 1})
	if math.Abs(mse-3) > 1e-14 || math.Abs(bias-2) > 1e-14 || math.Abs(variance-1) > 1e-14 {
		t.Error(mse, bias, variance)
	}
}

func TestSIDProgress(t *testing.T) {
	p, err := syntheticProblems[0].make(rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	_, q := p.Dims()
	var shares []float64
	o := Options{Repeats: 4, Progress: func(done float64) { shares = append(shares, done) }}
	table := &Table{Labels: sidRates.Labels, Values: sidRates.Values}
	if err := sidErrors(context.Background(), o, table, p, make([]float64, q), []int{2, 6}); err != nil {
		t.Fatal(err)
	}
	if len(shares) != 3*2*4 || !slices.IsSorted(shares) || shares[len(shares)-1] != 1 {
		t.Errorf("not one share for each draw: %v", shares)
	}
}

// On MNIST the mean squared error falls at least like 1/t with decreasing steps, and ends on a plateau with constant
// ones, whose height the step sets.
func TestSIDRates(t *testing.T) {
	dir := realdata.Folder(t, "mnist")
	f, err := Lookup("sid-rates")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Repeats: 40, DataDir: dir, Progress: func(float64) {}}
	p, err := oddEven(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	table := &Table{Labels: f.Labels, Values: f.Values}
	steps := []int{100, 400, 1600}
	if err := sidErrors(context.Background(), o, table, p, []float64{0}, steps); err != nil {
		t.Fatal(err)
	}
	mse := table.values("mse", "decreasing")
	slope := math.Log(mse[2]/mse[1]) / math.Log(4)
	t.Logf("slope %.2f, %v", slope, table.Rows)
	if slope > -.8 || slope < -2 {
		t.Errorf("with decreasing steps the mean squared error falls like t^%.2f", slope)
	}
	half, tenth := table.values("mse", "constant 1/2"), table.values("mse", "constant 1/10")
	if half[2] < half[1]/3 {
		t.Errorf("no plateau with constant steps: %v", half)
	}
	if tenth[2] > half[2]/2 {
		t.Errorf("a smaller step does not end lower: %v and %v", half, tenth)
	}
	for _, r := range table.Rows {
		if e := math.Abs(r.Values[1] - r.Values[2] - r.Values[3]); e > 1e-12*r.Values[1] {
			t.Errorf("mse is not bias² + variance: %v", r)
		}
	}
	checkFiles(t, f, table)
}
