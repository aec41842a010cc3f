package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	// mostBars is how many strengths are all named; of more, as many as
	// mostExtremes are named at each end.
	mostBars     = 40
	mostExtremes = 15
	barHeight    = 22
)

// parametrisation is how strengths depend on x.
type parametrisation int

const (
	unknownParametrisation parametrisation = iota
	exponential
	linear
)

// parametrisationOf looks at the numbers, so that bars are never explained by a
// formula that they do not follow.
func parametrisationOf(all []Strength) parametrisation {
	isExponential, isLinear, finite := true, true, false
	for _, s := range all {
		if !drawable(s.X) || math.IsNaN(s.Value) {
			continue
		}
		finite = true
		if want := math.Exp(s.X); s.Value != want && !(math.Abs(s.Value-want) <= 1e-3*want) {
			isExponential = false
		}
		if math.Abs(s.Value-s.X) > 1e-3*math.Abs(s.X) {
			isLinear = false
		}
	}
	switch {
	case finite && isExponential:
		return exponential
	case finite && isLinear:
		return linear
	}
	return unknownParametrisation
}

func (k parametrisation) axisLabel(what string) string {
	switch k {
	case exponential:
		return "x (" + what + " = eˣ)"
	case linear:
		return "x (" + what + ")"
	}
	return "x of the " + what
}

// strengths is the section on the learned strengths.
type strengths struct {
	Total     string
	Note      []string
	ShowX     bool // x and strength are different numbers
	Blocks    []barBlock
	Axis      template.HTML
	Legend    []legend
	Histogram *figure
}

// barBlock is a run of bars with a heading of its own.
type barBlock struct {
	Heading string
	Bars    []bar
}

type bar struct {
	Name, X, Value string
	Drawing        template.HTML
}

func viewStrengths(all []Strength, grid []GridPoint, note string, kind parametrisation) *strengths {
	if len(all) == 0 {
		return nil
	}
	// Descending by x, unknown last, and by name so that equal runs print alike.
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b Strength) int {
		if c := cmp.Compare(b.X, a.X); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	shared, searched := bestOf(grid)

	v := &strengths{Total: counted(len(all), "strength"), ShowX: kind != linear}
	if note = clean(note); note != "" {
		v.Note = append(v.Note, note)
	}
	origin := 0.0
	switch {
	case kind == exponential && searched:
		origin = shared.X
		v.Note = append(v.Note, fmt.Sprintf("Bars show x, and the strength is eˣ: one unit more multiplies it by 2.72. "+
			"They start at x = %s, the best shared strength: to the right a coefficient is held closer to zero than it was "+
			"there, to the left it is freer.", number(origin, 3)))
		v.Legend = []legend{{"more", "stronger than the best shared strength"}, {"less", "weaker"}}
	case kind == exponential:
		v.Note = append(v.Note, "Bars show x, and the strength is eˣ: one unit more multiplies it by 2.72, and x = 0 is "+
			"the strength 1. The stronger, the closer to zero a coefficient is held.")
		v.Legend = []legend{{"more", "stronger than 1"}, {"less", "weaker than 1"}}
	case kind == linear:
		v.Note = append(v.Note, "Bars show x, which is the strength itself. "+
			"The stronger, the closer to zero a coefficient is held.")
	default:
		v.Note = append(v.Note, "Bars show x. The stronger, the closer to zero a coefficient is held.")
	}
	if kind != exponential && searched {
		v.Legend = append(v.Legend, legend{"reference", fmt.Sprintf("best shared strength, x = %s", number(shared.X, 3))})
	}

	var e extent
	e.add(origin)
	if searched {
		e.add(shared.X)
	}
	for _, s := range all {
		e.add(s.X)
	}
	axis := fit(e, false, 0)
	axis.from, axis.to = 0, 100
	ticks := axis.ticks(4, false)
	draw := func(s Strength) bar {
		b := bar{Name: name(s.Name), X: number(s.X, 3), Value: number(s.Value, 3)}
		var d strings.Builder
		for _, t := range ticks {
			percentLine(&d, "tick", axis.at(t.value))
		}
		if drawable(s.X) {
			from, to, class := axis.at(origin), axis.at(s.X), "more"
			if to < from {
				from, to, class = to, from, "less"
			}
			fmt.Fprintf(&d, `<rect class="%s" x="%s%%" y="4" width="%s%%" height="%d"/>`, class, short(from),
				short(max(to-from, 0.4)), barHeight-8)
		}
		percentLine(&d, "axis", axis.at(origin))
		if kind != exponential && searched {
			percentLine(&d, "reference", axis.at(shared.X))
		}
		b.Drawing = template.HTML(d.String())
		return b
	}
	block := func(heading string, some []Strength) {
		bars := make([]bar, len(some))
		for i, s := range some {
			bars[i] = draw(s)
		}
		v.Blocks = append(v.Blocks, barBlock{heading, bars})
	}
	if len(sorted) <= mostBars {
		block("", sorted)
	} else {
		// Strengths without a number, sorted last, are not the smallest.
		finite := sorted
		for len(finite) > 0 && math.IsNaN(finite[len(finite)-1].X) {
			finite = finite[:len(finite)-1]
		}
		n := min(mostExtremes, len(finite)/2)
		block(fmt.Sprintf("The %d largest", n), finite[:n])
		block(fmt.Sprintf("The %d smallest", n), finite[len(finite)-n:])
		v.Histogram = drawHistogram(sorted, shared, searched, kind)
	}
	v.Axis = axisOfBars(axis, ticks)
	return v
}

func short(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// percentLine is an upright line in a drawing whose width only the page knows.
func percentLine(b *strings.Builder, class string, x float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%s%%" x2="%[2]s%%" y1="0" y2="%d"/>`, class, short(x), barHeight)
}

func axisOfBars(s scale, ticks []tick) template.HTML {
	var b strings.Builder
	for _, t := range ticks {
		x, anchor := s.at(t.value), "middle"
		switch {
		case x < 6:
			anchor = "start"
		case x > 94:
			anchor = "end"
		}
		fmt.Fprintf(&b, `<text class="%s" x="%s%%" y="15">%s</text>`, anchor, short(x), template.HTMLEscapeString(t.label))
	}
	return template.HTML(b.String())
}

// drawHistogram shows where all strengths lie; sorted is in descending order.
func drawHistogram(sorted []Strength, shared GridPoint, searched bool, kind parametrisation) *figure {
	const title = "All strengths"
	var xs []float64
	for _, s := range sorted {
		if drawable(s.X) {
			xs = append(xs, s.X)
		}
	}
	if len(xs) == 0 {
		return &figure{Title: title, Caption: []string{fmt.Sprintf("No finite number among %s.",
			counted(len(sorted), "strength"))}}
	}
	largest, median, smallest := xs[0], xs[len(xs)/2], xs[len(xs)-1]

	// Bins of round width, aligned to multiples of it.
	wide := fit(extent{lo: smallest, hi: largest}, false, 0)
	width := niceStep((wide.hi-wide.lo)/40, false)
	first := math.Floor(wide.lo / width)
	counts := make([]int, int(math.Floor(wide.hi/width)-first)+1)
	for _, x := range xs {
		counts[int(math.Floor(x/width)-first)]++
	}
	edge := func(bin int) float64 { return (first + float64(bin)) * width }

	x := extent{lo: edge(0), hi: edge(len(counts)), filled: true}
	if searched {
		x.add(shared.X)
	}
	y := scale{lo: 0, hi: 1.06 * float64(slices.Max(counts))}
	p := newPlot("histogram", axis{label: kind.axisLabel("strength"), scale: fit(x, false, 0.02)},
		axis{label: "count of strengths", scale: y, whole: true})
	for i, n := range counts {
		if n > 0 {
			p.bar("more", edge(i), edge(i+1), float64(n))
		}
	}
	var legends []legend
	if searched {
		p.upright("reference", shared.X)
		legends = []legend{{"more", "strengths"},
			{"reference", fmt.Sprintf("best shared strength, x = %s", number(shared.X, 3))}}
	}
	summary := fmt.Sprintf("%s from x = %s to x = %s, median %s",
		counted(len(xs), "strength"), number(smallest, 3), number(largest, 3), number(median, 3))
	f := p.figure(title, "Histogram of "+summary+".")
	f.Legend = legends
	f.Caption = []string{fmt.Sprintf("%s; bins of width %s.", summary, number(width, 1))}
	if missing := len(sorted) - len(xs); missing > 0 {
		f.Caption = append(f.Caption, fmt.Sprintf("%s without a finite number left out.", counted(missing, "strength")))
	}
	return f
}
