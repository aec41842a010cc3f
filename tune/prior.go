package tune

import (
	"fmt"
	"math"
	"strconv"

	"github.com/bilevel-go/bilevel/internal/nearest"
)

// wholeBox is the spread of strengths that only Options.Box bounds.
var wholeBox = math.Inf(1)

// autoSpreads are tried in this order.
var autoSpreads = []float64{.5, 1, 2, wholeBox}

// checkSpread reports a spread that makes no sense.
func (o Options) checkSpread() error {
	if o.Spread == "" || o.Spread == "auto" || o.Spread == "off" {
		return nil
	}
	r, err := strconv.ParseFloat(o.Spread, 64)
	kind := o.Reg.entry()
	switch {
	case err != nil || math.IsNaN(r) || math.IsInf(r, 0):
		return &OptionError{"spread", o.Spread, "write auto, off or a number" +
			nearest.Hint(o.Spread, []string{"auto", "off"})}
	case r <= 0:
		return &OptionError{"spread", o.Spread, "a distance is above zero"}
	case kind != nil && !kind.many():
		return &OptionError{"spread", o.Spread, fmt.Sprintf("with %s no strengths surround a shared one", o.Reg)}
	}
	return nil
}

// spread is how far strengths of a kind may be from the shared one, where that is not left to held-out rows.
func (f *fit) spread(kind Reg) float64 {
	if r, err := strconv.ParseFloat(f.o.Spread, 64); err == nil && kind.entry().many() {
		return r
	}
	return wholeBox
}

// choosesSpread says whether held-out rows choose it: where strengths outnumber the rows that they are learned on.
func (f *fit) choosesSpread(kind Reg) bool {
	n, _ := f.main.train.Dims()
	if f.main.folds() == 0 {
		n, _ = f.main.val.Dims()
	}
	return f.o.Spread == "auto" && !kind.Sparse() && f.strengths(kind) > n
}

// keepWithin bounds the strengths of q by a factor e^r from that of x0.
func (f *fit) keepWithin(q *problem, x0, r float64) {
	lo, hi := f.param().around(x0, r)
	for j := range q.Lower {
		q.Lower[j], q.Upper[j] = max(q.Lower[j], lo), min(q.Upper[j], hi)
	}
}
