package tune

import (
	"math"
	"strconv"

	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/model"
)

// free is the width of a prior that leaves strengths to themselves.
var free = math.Inf(1)

// widths are tried in this order, after 0, all strengths alike.
var widths = []float64{.25, .5, 1, 2, free}

// checkPrior reports a prior that makes no sense.
func (o Options) checkPrior() error {
	if o.Prior == "" || o.Prior == "auto" || o.Prior == "off" {
		return nil
	}
	r, err := strconv.ParseFloat(o.Prior, 64)
	kind := o.Reg.entry()
	switch {
	case err != nil || math.IsNaN(r) || math.IsInf(r, 0):
		return &OptionError{"prior", o.Prior, "write auto, off or a number" +
			nearest.Hint(o.Prior, []string{"auto", "off"})}
	case r <= 0:
		return &OptionError{"prior", o.Prior, "a standard deviation is above zero: --reg shared makes all strengths alike"}
	case kind != nil && !kind.many():
		return &OptionError{"prior", o.Prior, "with " + string(o.Reg) + " there are not several strengths of a kind"}
	}
	return nil
}

// width is that of the prior on strengths of a kind, where it is not left to held-out rows.
func (f *fit) width(kind Reg) float64 {
	if r, err := strconv.ParseFloat(f.o.Prior, 64); err == nil && kind.entry().many() {
		return r
	}
	return free
}

// choosesWidth says whether held-out rows choose it.
func (f *fit) choosesWidth(kind Reg) bool {
	return f.o.Prior == "auto" && kind.entry().many() && f.strengths(kind) > 1
}

// near adds the prior of a width to q, whose loss is a mean over so many validation rows. A squared error is a negative
// log likelihood in units of the noise's variance, and half a deviance in those of the dispersion, which are twice the
// loss of the baseline.
func (f *fit) near(q *problem, width float64, base shared) (err error) {
	if math.IsInf(width, 1) {
		return nil
	}
	n, noise := float64(q.rows.judged()), 1.0
	if !f.loss.classes {
		noise = 2 * base.value
	}
	d, p := q.Dims()
	if q.prior, err = model.NewPrior(d, p, noise/(n*width*width), !f.param().logarithmic); err == nil {
		q.Outer, err = model.NewPosterior(q.Outer, q.prior)
	}
	return err
}
