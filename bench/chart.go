package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/internal/chart"
)

// Quantity is what a chart shows of runs.
type Quantity struct {
	Name string // as the command calls it
	axis chart.Axis
	of   func(p Point, best float64) float64
}

// Quantities are h − h*, the squared norm of the projected gradient, the error on test rows, and the KKT loss of BOME,
// which tells of points whose z leans beyond z*(x) and is ‖∇f‖² for all others.
var Quantities = []Quantity{
	{"suboptimality", chart.Axis{Quantity: "distance of h from its minimum, h − h*", Log: true},
		func(p Point, best float64) float64 { return float64(p.Value) - best }},
	{"gradnorm2", chart.Axis{Quantity: "squared norm of the gradient of h", Log: true},
		func(p Point, _ float64) float64 { return float64(p.GradNorm2) }},
	{"test-error", chart.Axis{Quantity: "error on test rows", Zero: true},
		func(p Point, _ float64) float64 { return float64(p.TestError) }},
	{"kkt", chart.Axis{Quantity: "KKT loss", Log: true},
		func(p Point, _ float64) float64 { return float64(p.KKT) }},
}

// Drawing says how a figure is drawn.
type Drawing struct {
	Format string // one of [Drawings]
	// Dark draws on dark paper. SVG is light and dark at once.
	Dark bool
	// Narrow puts the panels below one another, for narrow screens.
	Narrow bool
	// Front are the names of the curves in colour, four at most. The default is the figure's own choice.
	Front []string
}

// Drawings are the formats that figures and charts can be drawn in.
func Drawings() []string { return chart.Formats() }

// FrontError says that Drawing.Front asks for what there is not.
type FrontError string

func (e FrontError) Error() string { return "bench: curves in front: " + string(e) }

// write draws f.
func (d Drawing) write(w io.Writer, f chart.Figure) error {
	f.Narrow = d.Narrow
	if err := d.highlight(f.Panels); err != nil {
		return err
	}
	return f.Write(w, chart.Options{Format: d.Format, Dark: d.Dark})
}

// highlight puts the curves in front that d names. Each must be in a panel.
func (d Drawing) highlight(panels []chart.Panel) error {
	if len(d.Front) == 0 {
		return nil
	}
	if len(d.Front) > chart.MostFront {
		return FrontError(fmt.Sprintf("%d are too many, %d at most have a colour", len(d.Front), chart.MostFront))
	}
	var names []string
	for _, p := range panels {
		for _, c := range p.Curves {
			names = addNew(names, c.Name)
		}
	}
	for _, name := range d.Front {
		if !slices.Contains(names, name) {
			return FrontError(fmt.Sprintf("none is called %q, there are %s", name, strings.Join(names, ", ")))
		}
	}
	for k := range panels {
		panels[k].Front = d.Front
	}
	return nil
}

// curvePoints is the number of places at which seeds are compared.
const curvePoints = 120

// curve is the median over the runs of g of y, and the 20% and 80% quantiles, at places that are spaced
// logarithmically from the first record after the start to the last. Between two records a run's y is on the straight
// line that joins them on the axes drawn, the horizontal one being logarithmic; a run that has ended keeps its last
// one, and one that did not end well counts as +Inf from there on.
func (g Group) curve(y, x func(Point) float64, logarithmic bool) (at []float64, spreads []Spread) {
	first, last := math.Inf(1), 0.0
	for _, t := range g.Traces {
		for _, p := range t.Points {
			if v := x(p); v > 0 {
				first, last = min(first, v), max(last, v)
			}
		}
	}
	if last == 0 {
		return nil, nil
	}
	for k := range curvePoints {
		place := first * math.Pow(last/first, float64(k)/(curvePoints-1))
		var values []float64
		for _, t := range g.Traces {
			i := len(t.Points) - 1
			for i > 0 && x(t.Points[i]) > place*(1+1e-12) {
				i--
			}
			switch {
			case i < 0 || t.Status != Done && i == len(t.Points)-1:
				values = append(values, math.Inf(1))
				continue
			}
			v := y(t.Points[i])
			if i+1 < len(t.Points) {
				v = join(x(t.Points[i]), v, x(t.Points[i+1]), y(t.Points[i+1]), place, logarithmic)
			}
			if !math.IsNaN(v) {
				values = append(values, v)
			}
		}
		at, spreads = append(at, place), append(spreads, spread(values))
	}
	return at, spreads
}

// join is the height at place of the line from (x0, y0) to (x1, y1), on a logarithmic axis x. From a start at x0 = 0,
// which that axis does not show, and to a y1 that is not known, it is level.
func join(x0, y0, x1, y1, place float64, logarithmic bool) float64 {
	if x0 <= 0 || x1 <= x0 || math.IsNaN(y1) || math.IsInf(y1, 0) {
		return y0
	}
	w := min(max(math.Log(place/x0)/math.Log(x1/x0), 0), 1)
	if logarithmic && y0 > 0 && y1 > 0 {
		return y0 * math.Pow(y1/y0, w)
	}
	return y0 + w*(y1-y0)
}

// Chart draws the runs of p: y against the samples visited and against time, medians over seeds and, as bands, the 20%
// and 80% quantiles. In front are the four groups that reach the smallest of [DefaultTargets] first, or else the next
// one, or end lowest. It is an error if no run knows y.
func (p ProblemResults) Chart(w io.Writer, y Quantity, d Drawing) error {
	f, err := p.figure(y)
	if err != nil {
		return err
	}
	return d.write(w, f)
}

// figure is the chart of y.
func (p ProblemResults) figure(y Quantity) (chart.Figure, error) {
	of := func(at Point) float64 { return y.of(at, p.Best) }
	axis := y.axis
	if y.Name == "suboptimality" {
		axis.Least = p.accuracy()
	}
	sides := []struct {
		title string
		x     chart.Axis
		of    func(Point) float64
	}{
		{"Against work", chart.Axis{Quantity: "terms of f and g visited", Log: true},
			func(at Point) float64 { return float64(at.Counts.Total()) }},
		{"Against time", chart.Axis{Quantity: "time on one core", Log: true, Seconds: true},
			func(at Point) float64 { return at.Seconds }},
	}
	names := p.names()
	var leaders []string
	for _, i := range p.leaders() {
		leaders = append(leaders, names[i])
	}
	f := chart.Figure{Label: fmt.Sprintf("%s on %s against work and time; the first to come far are %s.",
		axis.Quantity, p.Problem, strings.Join(leaders, ", ")), Caption: p.caption(y)}
	any := false
	for _, s := range sides {
		panel := chart.Panel{Title: s.title, X: s.x, Y: axis, Front: leaders}
		for i, g := range p.Groups {
			c := chart.Curve{Name: names[i]}
			var spreads []Spread
			c.X, spreads = g.curve(of, s.of, axis.Log)
			for _, q := range spreads {
				c.Y = append(c.Y, q.Median)
				if len(g.Traces) > 1 {
					c.Low, c.High = append(c.Low, q.Low), append(c.High, q.High)
				}
			}
			any = any || slices.ContainsFunc(c.Y, func(v float64) bool {
				return (v > 0 || !axis.Log) && !math.IsInf(v, 0) && !math.IsNaN(v)
			})
			panel.Curves = append(panel.Curves, c)
		}
		f.Panels = append(f.Panels, panel)
	}
	if !any {
		return f, fmt.Errorf("bench: no run on %s knows its %s", p.Problem, y.Name)
	}
	return f, nil
}

// names are what figures call the groups: the method, with its parameters where there are several.
func (p ProblemResults) names() []string {
	repeated := map[string]int{}
	for _, g := range p.Groups {
		repeated[g.Method]++
	}
	var names []string
	for _, g := range p.Groups {
		if repeated[g.Method] > 1 {
			names = append(names, g.Title())
		} else {
			names = append(names, g.Method)
		}
	}
	return names
}

// leaders are the groups in front, the first one first.
func (p ProblemResults) leaders() []int {
	order := p.order()
	return order[:min(len(order), chart.MostFront)]
}

// order is that of the groups, the best one first.
func (p ProblemResults) order() []int {
	targets := slices.Sorted(slices.Values(DefaultTargets))
	order := make([]int, len(p.Groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p.Groups[a].better(p.Groups[b], p.Best, targets):
			return -1
		case p.Groups[b].better(p.Groups[a], p.Best, targets):
			return 1
		}
		return 0
	})
	return order
}

// accuracy is how exactly h* is known: to ten times what is taken off it, and where only the runs know it, to the
// distance between the lowest h of two methods.
func (p ProblemResults) accuracy() float64 {
	least := max(10*bestMargin, 1e-14*math.Abs(p.Best))
	lowest := map[string]float64{}
	for _, g := range p.Groups {
		for _, t := range g.Traces {
			if t.Known.finite() {
				return least
			}
			for _, at := range t.Points {
				if v, ok := lowest[g.Algorithm]; at.Value.finite() && (!ok || float64(at.Value) < v) {
					lowest[g.Algorithm] = float64(at.Value)
				}
			}
		}
	}
	var all []float64
	for _, v := range lowest {
		all = append(all, v)
	}
	slices.Sort(all)
	if len(all) < 2 {
		return least
	}
	return max(least, all[1]-all[0])
}

// caption says what the curves are, what ends a run, and what failed.
func (p ProblemResults) caption(y Quantity) string {
	least, most := math.MaxInt, 0
	var budgets, failed []string
	names := p.names()
	for i, g := range p.Groups {
		least, most = min(least, len(g.Traces)), max(most, len(g.Traces))
		wrong := 0
		for _, t := range g.Traces {
			budgets = addNew(budgets, t.Budget.String())
			if t.Status != Done {
				wrong++
			}
		}
		if wrong > 0 {
			failed = append(failed, fmt.Sprintf("%s %d of %d", names[i], wrong, len(g.Traces)))
		}
	}
	text := p.Problem + ". "
	switch {
	case most == 1:
		text += "One run for each curve."
	case least == most:
		text += fmt.Sprintf("Medians of %d seeds; bands from the 20%% to the 80%% quantile for the curves in colour.", most)
	default:
		text += fmt.Sprintf("Medians of %d to %d seeds; bands from the 20%% to the 80%% quantile for the curves in colour.",
			least, most)
	}
	text += fmt.Sprintf(" A mark ends a run, after %s.", strings.Join(budgets, " or "))
	if y.Name == "suboptimality" {
		text += " h* is known to " + power(p.accuracy()) + "."
	}
	if len(failed) > 0 {
		text += " Runs that diverged or failed count as infinite from there on: " + strings.Join(failed, ", ") + "."
	}
	return text
}

// power is v with one digit, as 10⁻⁹ and 2·10⁻⁵.
func power(v float64) string {
	digit, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 0, 64), "e")
	e, _ := strconv.Atoi(exponent)
	text := "10" + chart.Superscript(strconv.Itoa(e))
	if digit != "1" {
		text = digit + "·" + text
	}
	return text
}
