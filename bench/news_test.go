package bench

import (
	"context"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel"
	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/realdata"
)

// TestClippedCleaning: the domain of the weights is [0, 1], the start one half, and a weight counts as it is.
func TestClippedCleaning(t *testing.T) {
	realdata.Long(t, "reads 70,000 pictures")
	dir := realdata.Folder(t, "mnist")
	const n = 60
	from := dataset.GetOptions{DataDir: dir}
	in, err := cleaning{Noise: .5, Train: n, Validation: 40, Weights: "clip"}.load(context.Background(), from)
	if err != nil {
		t.Fatal(err)
	}
	p := in.problem
	at, err := p.StartPoint(in.start(0))
	if err != nil {
		t.Fatal(err)
	}
	d, q := p.Dims()
	if q != n || d != 7840 {
		t.Fatalf("d = %d, p = %d", d, q)
	}
	for j := range at.X {
		if at.X[j] != .5 || p.Lower[j] != 0 || p.Upper[j] != 1 {
			t.Fatalf("x[%d] starts at %v in [%v, %v]", j, at.X[j], p.Lower[j], p.Upper[j])
		}
	}
	// At z = 0 the loss of every row is log 10, and the derivative in a weight is that over n.
	dx := make([]float64, q)
	p.Inner.Grad(nil, dx, at.Z, at.X, bilevel.All(p.Inner))
	for j, g := range dx {
		if want := 2.302585092994046 / n; g < want-1e-12 || g > want+1e-12 {
			t.Fatalf("∂g/∂x[%d] = %v, want %v", j, g, want)
		}
	}
}

// TestOptionsRefused: what makes no problem is said before a data set is trained on.
func TestOptionsRefused(t *testing.T) {
	if _, err := (news{Box: -1}).load(context.Background(), dataset.GetOptions{}); err == nil ||
		!strings.Contains(err.Error(), "20news with box -1") {
		t.Errorf("a box of -1: %v", err)
	}
	hard := cleaning{Weights: "hard", Train: 1, Validation: 1}
	if _, err := hard.load(context.Background(), dataset.GetOptions{}); err == nil ||
		!strings.Contains(err.Error(), `weights "hard": choose sigmoid or clip`) {
		t.Errorf("hard weights: %v", err)
	}
}
