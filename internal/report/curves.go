package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// mostDots is the count of points up to which a line shows them one by one.
const mostDots = 60

const timeLabel = "time (s)"

// progress finds what the course of a run is drawn against: steps, or time
// where the steps do not grow, or else the number of the record.
func progress(trace []TracePoint) (at func(i int) float64, label string) {
	last := len(trace) - 1
	step := func(i int) float64 { return float64(trace[i].Step) }
	seconds := func(i int) float64 { return trace[i].Seconds }
	grows := func(at func(int) float64) bool {
		for i := range trace {
			if !drawable(at(i)) || i > 0 && at(i) < at(i-1) {
				return false
			}
		}
		return last == 0 || at(last) > at(0)
	}
	switch {
	case grows(step):
		return step, "step"
	case grows(seconds):
		return seconds, timeLabel
	}
	return func(i int) float64 { return float64(i + 1) }, "record"
}

// progressAxis starts at zero, so that the drawing shows the whole run.
func progressAxis(x extent, label string) axis {
	x.add(0)
	if x.hi == x.lo {
		x.add(1)
	}
	return axis{label: label, scale: fit(x, false, 0.02), whole: label != timeLabel}
}

func drawLoss(trace []TracePoint, baseline Row, loss string) *figure {
	if len(trace) == 0 {
		return nil
	}
	title := sentence(loss)
	at, label := progress(trace)
	var points []point
	var x, y extent
	best := 0
	for i, t := range trace {
		if !drawable(t.Value) {
			continue
		}
		points = append(points, point{at(i), t.Value})
		x.add(at(i))
		y.add(t.Value)
		if t.Value < points[best].y {
			best = len(points) - 1
		}
	}
	if len(points) == 0 {
		return &figure{Title: title, Caption: []string{
			fmt.Sprintf("No finite %s in %s.", loss, counted(len(trace), "record"))}}
	}
	// Values on the way are less exact than the last one, the result.
	if last := len(points) - 1; points[last].y > points[best].y &&
		points[last].y-points[best].y <= 1e-6*math.Abs(points[best].y) {
		best = last
	}
	first, lowest := points[0], points[best]
	caption := []string{course(trace)}
	if missing := len(trace) - len(points); missing > 0 {
		caption = append(caption, fmt.Sprintf("%s without a finite value left out.", counted(missing, "record")))
	}

	y.add(baseline.Validation)
	yScale := fit(y, y.manyDecades(), 0.06)
	if top, zoomed := closeUp(points, lowest.y, baseline.Validation); zoomed {
		yScale = fit(extent{lo: lowest.y, hi: top}, false, 0.06)
		caption = append(caption, fmt.Sprintf("The drawing is cut above %s to show the baseline and the result apart; the "+
			"run started at %s.",
			number(yScale.hi, 4), number(first.y, 4)))
	}
	p := newPlot("loss", progressAxis(x, label), axis{label: loss, scale: yScale})
	legends := []legend{{"run", "run"}}
	desc := fmt.Sprintf("%s against %s: from %s to %s, lowest %s.",
		title, label, number(first.y, 5), number(points[len(points)-1].y, 5), number(lowest.y, 5))
	if drawable(baseline.Validation) {
		p.across("reference", baseline.Validation)
		legends = append(legends, legend{"reference",
			fmt.Sprintf("%s, %s", rowName(baseline, "baseline"), number(baseline.Validation, 5))})
		desc += fmt.Sprintf(" The baseline is %s.", number(baseline.Validation, 5))
	}
	p.clipped(func() { p.polyline("run", thin(points)) })
	if len(points) <= mostDots {
		for _, q := range points {
			if q.y <= yScale.hi {
				p.dot("run", q.x, q.y, 2.5)
			}
		}
	}
	p.dot("best", lowest.x, lowest.y, 6)
	legends = append(legends, legend{"best", fmt.Sprintf("lowest, %s %s", number(lowest.y, 5), moment(lowest.x, label))})
	f := p.figure(title, desc)
	f.Legend, f.Caption = legends, caption
	return f
}

// closeUp decides whether the start of the run would press baseline and result
// into one line, and returns the value at which to cut the drawing if so.
func closeUp(points []point, lowest, baseline float64) (top float64, zoomed bool) {
	gain := baseline - lowest
	if !drawable(baseline) || gain <= 1e-3*math.Abs(lowest) {
		return 0, false
	}
	top = baseline + 3*gain
	highest, within := lowest, 0
	for _, q := range points {
		highest = max(highest, q.y)
		if q.y <= top {
			within++
		}
	}
	return top, highest-lowest > 12*gain && 4*within >= len(points)
}

// course says how long the run was.
func course(trace []TracePoint) string {
	last := trace[len(trace)-1]
	s := fmt.Sprintf("%s up to step %s", counted(len(trace), "record"), count(last.Step))
	if drawable(last.Seconds) {
		s += fmt.Sprintf(", %s s", number(last.Seconds, 3))
	}
	return s + "."
}

// moment names a position on the axis of progress.
func moment(v float64, label string) string {
	if label == timeLabel {
		return "after " + number(v, 3) + " s"
	}
	return "at " + label + " " + count(int64(v))
}

// negligible is the norm of a gradient, as a share of the loss, that an e-fold change of the strengths does not show.
const negligible = 1e-4

func drawGradNorm(trace []TracePoint, loss string) *figure {
	if len(trace) == 0 {
		return nil
	}
	at, label := progress(trace)
	var points []point
	var x, y extent
	unknowns, zeros := 0, 0
	for i, t := range trace {
		switch {
		case !drawable(t.GradNorm) || t.GradNorm < 0:
			unknowns++
		case t.GradNorm == 0:
			zeros++
		default:
			points = append(points, point{at(i), t.GradNorm})
			y.add(t.GradNorm)
		}
		x.add(at(i))
	}
	if len(points) == 0 {
		return nil
	}
	p := newPlot("gradient", progressAxis(x, label), axis{label: "‖projected ∇h‖", scale: fit(y, true, 0.06)})
	p.polyline("run", thin(points))
	if len(points) <= mostDots {
		for _, q := range points {
			p.dot("run", q.x, q.y, 2.5)
		}
	}
	first, last := points[0].y, points[len(points)-1].y
	f := p.figure("Norm of the hypergradient",
		fmt.Sprintf("Norm of the projected hypergradient against %s, logarithmic: from %s to %s.", label, number(first, 3),
			number(last, 3)))
	f.Caption = []string{fmt.Sprintf("From %s to %s.", number(first, 3), number(last, 3))}
	if end := trace[len(trace)-1]; end.GradNorm <= negligible*math.Abs(end.Value) {
		f.Caption[0] += " It is negligible at the end: no small change of the strengths lowers the " + loss + "."
	}
	if zeros > 0 {
		f.Caption = append(f.Caption, fmt.Sprintf("%s with norm 0 not on the logarithmic axis.", counted(zeros, "record")))
	}
	if unknowns > 0 {
		f.Caption = append(f.Caption, fmt.Sprintf("Not measured at %s.", counted(unknowns, "record")))
	}
	return f
}

// bestOf returns the grid point of the lowest loss.
func bestOf(grid []GridPoint) (best GridPoint, ok bool) {
	for _, g := range grid {
		if drawable(g.X) && drawable(g.Value) && (!ok || g.Value < best.Value) {
			best, ok = g, true
		}
	}
	return best, ok
}

func drawGrid(grid []GridPoint, result Row, loss string, kind parametrisation) *figure {
	if len(grid) == 0 {
		return nil
	}
	title := sentence(loss) + " of one shared strength"
	var points []point
	var x, y extent
	for _, g := range grid {
		if drawable(g.X) && drawable(g.Value) {
			points = append(points, point{g.X, g.Value})
			x.add(g.X)
			y.add(g.Value)
		}
	}
	if len(points) == 0 {
		return &figure{Title: title, Caption: []string{
			fmt.Sprintf("No finite %s at %s of the grid.", loss, counted(len(grid), "point"))}}
	}
	slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	best, _ := bestOf(grid)
	y.add(result.Validation)

	p := newPlot("grid", axis{label: kind.axisLabel("shared strength"), scale: fit(x, false, 0.03)},
		axis{label: loss, scale: fit(y, y.manyDecades(), 0.06)})
	legends := []legend{{"grid", "shared strength"}}
	desc := fmt.Sprintf("%s at %s of a grid of shared strengths; lowest %s at x = %s.",
		sentence(loss), counted(len(points), "point"), number(best.Value, 5), number(best.X, 3))
	if drawable(result.Validation) {
		p.across("result", result.Validation)
		legends = append(legends, legend{"result",
			fmt.Sprintf("%s, %s", rowName(result, "result"), number(result.Validation, 5))})
		desc += fmt.Sprintf(" The result reaches %s.", number(result.Validation, 5))
	}
	line := thin(points)
	p.polyline("grid", line)
	if len(line) <= mostDots {
		for _, q := range line {
			p.dot("grid", q.x, q.y, 2.5)
		}
	}
	p.dot("best", best.X, best.Value, 6)
	legends = append(legends, legend{"best", fmt.Sprintf("best, %s at x = %s", number(best.Value, 5), number(best.X, 3))})
	f := p.figure(title, desc)
	f.Legend = legends
	f.Caption = []string{fmt.Sprintf("Every coefficient gets the same strength; %s tried.", counted(len(grid), "value"))}
	if missing := len(grid) - len(points); missing > 0 {
		f.Caption = append(f.Caption, fmt.Sprintf("%s without a finite value left out.", counted(missing, "point")))
	}
	return f
}

// mostResiduals is how many residuals are drawn.
const mostResiduals = 5000

func drawResiduals(r *Residuals) *figure {
	if r == nil {
		return nil
	}
	title := "Observed minus predicted"
	if on := clean(r.On); on != "" {
		title += ": " + on
	}
	var points []point
	var sum, squares, largest float64
	for i, observed := range r.Observed {
		predicted := r.Predicted[i]
		if residual := observed - predicted; drawable(predicted) && drawable(residual) {
			points = append(points, point{predicted, residual})
			sum += residual
			squares += residual * residual
			largest = max(largest, math.Abs(residual))
		}
	}
	n := len(points)
	if n == 0 {
		return &figure{Title: title, Caption: []string{fmt.Sprintf("No finite residual in %s.",
			counted(len(r.Observed), "row"))}}
	}
	rmse, mean := math.Sqrt(squares/float64(n)), sum/float64(n)
	drawn := min(n, mostResiduals)
	var x, y extent
	y.add(0)
	for k := range drawn {
		x.add(points[k*n/drawn].x)
		y.add(points[k*n/drawn].y)
	}
	p := newPlot("residuals", axis{label: "predicted value", scale: fit(x, false, 0.03)},
		axis{label: "observed − predicted", scale: fit(y, false, 0.05)})
	p.across("reference", 0)
	radius := 2.5
	if drawn > 1000 {
		radius = 1.8
	}
	p.b.WriteString(`<g class="cloud">` + "\n")
	for k := range drawn {
		p.dot("", points[k*n/drawn].x, points[k*n/drawn].y, radius)
	}
	p.b.WriteString("</g>\n")
	summary := fmt.Sprintf("Over %s: root mean square %s, mean %s, largest %s.",
		counted(n, "row"), number(rmse, 4), number(mean, 3), number(largest, 4))
	f := p.figure(title, "Residuals, observed minus predicted, against the predicted value. "+summary)
	f.Legend = []legend{{"dots", "one row"}, {"reference", "no error"}}
	f.Caption = []string{summary}
	if drawn < n {
		f.Caption = append(f.Caption, fmt.Sprintf("The drawing shows %s of these rows, taken at even distances; the "+
			"largest residual may not be among them.", count(drawn)))
	}
	if missing := len(r.Observed) - n; missing > 0 {
		f.Caption = append(f.Caption, fmt.Sprintf("%s without a finite residual left out.", counted(missing, "row")))
	}
	return f
}
