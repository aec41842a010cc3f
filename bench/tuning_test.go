package bench

import (
	"context"
	"testing"

	"github.com/bilevel-go/bilevel/internal/realdata"
)

// Learned strengths come to the smallest loss that there is, and below the best shared one on the way.
func TestTuningFigure(t *testing.T) {
	dir := realdata.Folder(t, "ijcnn1")
	f, err := Lookup("ijcnn1")
	if err != nil {
		t.Fatal(err)
	}
	table, err := f.Compute(context.Background(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, f, table)
	curves := f.panels(table)[0].Curves
	learned, shared := curves[0].Y, curves[1].Y
	if first, last := learned[0], learned[len(learned)-1]; first < shared[0] || last > 1e-6 || last < bestMargin/2 {
		t.Errorf("the loss is %.3g above the smallest at first and %.3g at last, %.3g with a shared strength", first, last,
			shared[0])
	}
}
