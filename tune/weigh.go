package tune

import (
	"context"
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/numbers"
)

// Weighing says how words are weighted, and what speaks for it.
type Weighing struct {
	Weighting dataset.Weighting
	// Tried are the weightings that were compared on validation rows, in the order in which they were tried, the default
	// first; nil where there was nothing to compare them on.
	Tried []WeightingTried
	// Words are sentences for the reader.
	Words []string
}

// WeightingTried is the mean loss of a weighting on the rows that judge, at the best of a few shared strengths.
type WeightingTried struct {
	Weighting dataset.Weighting
	Loss      float64
	Chosen    bool
}

// DefaultWeighting is that of texts of which nothing else is known.
func DefaultWeighting(grams int) dataset.Weighting {
	return dataset.Weighting{Weight: dataset.LogTFIDF, Power: 1, Grams: grams}
}

// Weigh makes rows of texts that were read with [dataset.AutoWeight]; other data it returns as they are, and nil.
//
// Weightings are compared on the validation rows, or on a held-out part of the training rows where there are none, each
// with the best of a few shared strengths. They are tried one after the other: what is counted, then the power of the
// idf, then sequences of words; each is kept that is better than the best by more than the standard error of the
// difference. A model is fitted loosely, and to some thousand rows at most. Of options it needs what Fit does, and it
// takes a sixth of MaxTime at most.
func Weigh(ctx context.Context, data Data, options Options) (Data, *Weighing, error) {
	if data.Train == nil || data.Train.Schema == nil {
		return data, nil, nil
	}
	is, grams := data.Train.Schema.Unweighed()
	if !is {
		return data, nil, nil
	}
	o, err := options.fill()
	if err != nil {
		return data, nil, err
	}
	if o.MaxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.MaxTime/6)
		defer cancel()
	}
	w := &weigher{ctx: ctx, options: options, grams: grams}
	why := w.divide(data)
	if why == "" {
		w.search()
		if w.best == nil {
			why = "no model could be fitted to compare weightings with in time"
		}
	}
	out := w.weighing(why)
	schema := data.Train.Schema.Weigh(out.Weighting)
	for _, s := range []**dataset.Set{&data.Train, &data.Val, &data.Test} {
		if *s != nil {
			*s = (*s).Weighed(schema)
		}
	}
	return data, out, nil
}

const (
	// weighPass is the most multiplications of a pass over the rows that weightings are compared with.
	weighPass = 1e7
	weighPart = .3 // of the rows that judge, where there are no validation rows

	// Strengths e^x that a weighting is tried with: weaker ones by weighStep, from the top of the box on, until the loss
	// falls by less than weighFall of itself, solved to weighTolerance of the gradient at zero.
	weighStep      = 2
	weighFall      = .01
	weighTolerance = 1e-3
)

// weigher compares weightings.
type weigher struct {
	ctx        context.Context
	options    Options
	grams      int
	train, val *dataset.Set // counts
	tried      []weighed
	best       *weighed
}

type weighed struct {
	weighting dataset.Weighting
	losses    []float64 // of the rows that judge
}

// divide sets the rows that weightings are compared on, or says why there are none.
func (w *weigher) divide(data Data) (why string) {
	const few = "there are too few rows to compare weightings on"
	train, val := data.Train, data.Val
	stratified := train.Classes != nil
	if val == nil {
		f := &fit{o: w.options, table: table{loss: &loss{classes: stratified}, classes: train.Classes}}
		in, out, err := f.holdOut(train, weighPart, data)
		if err != nil {
			return few
		}
		train, val = train.Subset(in), train.Subset(out)
	}
	cut := func(s *dataset.Set) *dataset.Set {
		share := weighPass / (values(s.X) * float64(max(len(train.Classes), 1)))
		if share >= 1 {
			return s
		}
		_, part, err := s.Split(share, w.options.Seed+1, stratified)
		if err != nil { // a class with a single row
			if _, part, err = s.Split(share, w.options.Seed+1, false); err != nil {
				return s
			}
		}
		return part
	}
	w.train, w.val = cut(train), cut(val)
	if n, _ := w.val.Dims(); n < leastHeldOut {
		return few
	}
	return ""
}

// search tries weightings, from the default on.
func (w *weigher) search() {
	at := DefaultWeighting(1)
	if !w.try(at) {
		return
	}
	for _, term := range []dataset.Weight{dataset.BinaryTFIDF, dataset.TFIDF} {
		at.Weight = term
		w.try(at)
	}
	at = w.best.weighting
	for _, powers := range [][]float64{{1.5, 2, 2.5}, {.5}} {
		from := at.Power
		for _, at.Power = range powers {
			if !w.try(at) {
				break
			}
		}
		if at = w.best.weighting; at.Power != from {
			break
		}
	}
	if at.Power < 1 {
		at.Weight, at.Power = withoutIDF[at.Weight], 0
		w.try(at)
		at = w.best.weighting
	}
	for at.Grams = 2; at.Grams <= w.grams; at.Grams++ {
		if !w.try(at) {
			break
		}
	}
}

var withoutIDF = map[dataset.Weight]dataset.Weight{dataset.LogTFIDF: dataset.Log, dataset.BinaryTFIDF: dataset.Binary,
	dataset.TFIDF: dataset.Count}

// try judges a weighting and says whether it is the best.
func (w *weigher) try(at dataset.Weighting) bool {
	losses := w.judge(at)
	if losses == nil {
		return false
	}
	w.tried = append(w.tried, weighed{at, losses})
	if w.best != nil {
		if gap, err := pairedGap(losses, w.best.losses); !(gap < -err) {
			return false
		}
	}
	last := w.tried[len(w.tried)-1]
	w.best = &last
	return true
}

// judge are the losses of a weighting at the best of some shared strengths; nil if it has no model, or no time.
func (w *weigher) judge(at dataset.Weighting) []float64 {
	if w.options.Progress != nil {
		w.options.Progress(Progress{Stage: "weighing words", Step: int64(len(w.tried) + 1), Value: math.NaN()})
	}
	schema := w.train.Schema.Weigh(at)
	o := w.options
	o.Reg, o.Method = Shared, HOAG
	o, err := documented(o, schema).fill()
	if err != nil {
		return nil
	}
	f, err := prepare(Data{Train: w.train.Weighed(schema), Val: w.val.Weighed(schema)}, o)
	if err != nil {
		return nil
	}
	f.clock = clock{asked: w.ctx, ctx: w.ctx, closing: w.ctx}
	q, err := f.problem(f.main, Shared)
	if err != nil {
		return nil
	}
	solver, err := f.solver(q)
	if err != nil {
		return nil
	}
	tol, err := f.tolerance(q)
	if err != nil {
		return nil
	}
	d, _ := q.Dims()
	tol *= weighTolerance / accuracy(d)
	z, x := make([]float64, d), make([]float64, 1)
	least := math.Inf(1)
	var best []float64
	exponent := f.param().exponent
	lo := exponent(f.o.Box.Lower)
	for t := f.middleOfGrid() + 4; t >= lo; t -= weighStep {
		x[0] = min(max(f.param().at(t), f.o.Box.Lower), f.o.Box.Upper)
		if solved, err := solve(w.ctx, solver, z, x, tol); err != nil || !solved {
			return nil
		}
		v := f.valueAt(q, x, z)
		if !(v < least) {
			break
		}
		fell := least - v
		if least, best = v, f.judge(f.main.val, z).losses; fell < weighFall*v {
			break
		}
	}
	return best
}

// weighing is what was found. why says that nothing was compared.
func (w *weigher) weighing(why string) *Weighing {
	out := &Weighing{Weighting: DefaultWeighting(1)}
	say := func(format string, args ...any) { out.Words = append(out.Words, fmt.Sprintf(format, args...)) }
	if why != "" {
		say("Words are weighted by %s, because %s.", out.Weighting, why)
		return out
	}
	out.Weighting = w.best.weighting
	for i := range w.tried {
		t := &w.tried[i]
		out.Tried = append(out.Tried, WeightingTried{t.weighting, mean(t.losses), t.weighting == out.Weighting})
	}
	if len(w.tried) == 1 {
		say("Words are weighted by %s: there was no time to compare others.", out.Weighting)
		return out
	}
	first := w.tried[0]
	n := len(w.best.losses)
	if first.weighting == out.Weighting {
		say("Words are weighted by %s: none of %d other weightings is better on %s validation rows by more than chance.",
			out.Weighting, len(w.tried)-1, numbers.Count(n))
	} else {
		gap, err := pairedGap(w.best.losses, first.losses)
		say("Words are weighted by %s, the best of %d weightings on %s validation rows: the loss is %s smaller than with "+
			"%s (± %s).", out.Weighting, len(w.tried), numbers.Count(n), numbers.Digits(-gap, 2), first.weighting,
			numbers.Digits(err, 1))
	}
	switch {
	case w.grams > 1 && out.Weighting.Grams > 1:
		say("Sequences of up to %d words have columns too: they lower the loss.", out.Weighting.Grams)
	case w.grams > 1:
		say("Sequences of words were left out: they do not lower the loss.")
	}
	return out
}

// documented is o with the box of documents, where rows are such and nothing else is said.
func documented(o Options, s *dataset.Schema) Options {
	if o.Box != (Box{}) || !isText(s) {
		return o
	}
	if p := or(o.Param, Exp).entry(); p != nil {
		o.Box = p.documentBox
	}
	return o
}
