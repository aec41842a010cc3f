package bench

import (
	"fmt"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Quantity is what a chart shows of runs.
type Quantity struct {
	Name  string // as the command calls it
	Label string
	of    func(p Point, best float64) float64
}

// Quantities are h − h*, the squared norm of the projected gradient, the error on test rows, and the KKT loss of BOME,
// which tells of points whose z leans beyond z*(x) and is ‖∇f‖² for all others.
var Quantities = []Quantity{
	{"suboptimality", "h − h*", func(p Point, best float64) float64 { return float64(p.Value) - best }},
	{"gradnorm2", "‖∇h‖²", func(p Point, _ float64) float64 { return float64(p.GradNorm2) }},
	{"test-error", "test error", func(p Point, _ float64) float64 { return float64(p.TestError) }},
	{"kkt", "KKT loss", func(p Point, _ float64) float64 { return float64(p.KKT) }},
}

// curvePoints is the number of places at which seeds are compared.
const curvePoints = 120

// curve is the median over the runs of g of y, and the 20% and 80% quantiles, at places that are spaced
// logarithmically from the first record after the start to the last. A run's y at a place is that of its last record
// before; a run that has ended keeps its last one, and one that did not end well counts as +Inf from there on.
func (g Group) curve(y func(Point) float64, x func(Point) float64) (at []float64, spreads []Spread) {
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
			default:
				if v := y(t.Points[i]); !math.IsNaN(v) {
					values = append(values, v)
				}
			}
		}
		at, spreads = append(at, place), append(spreads, spread(values))
	}
	return at, spreads
}

// Chart draws the runs of p in one of the formats of [Drawings]: y against time and against samples visited, medians
// over seeds and, as bands, the 20% and 80% quantiles. It is an error if no run knows y.
func (p ProblemResults) Chart(w io.Writer, format string, y Quantity) error {
	of := func(at Point) float64 { return y.of(at, p.Best) }
	panels := []panel{
		{title: p.Problem, x: "seconds", y: y.Label, logX: true, logY: true},
		{title: p.Problem, x: "samples visited", y: y.Label, logX: true, logY: true},
	}
	repeated := map[string]int{}
	for _, g := range p.Groups {
		repeated[g.Method]++
	}
	any := false
	for _, g := range p.Groups {
		name := g.Method
		if repeated[name] > 1 {
			name = g.Title()
		}
		for k, x := range []func(Point) float64{
			func(at Point) float64 { return at.Seconds },
			func(at Point) float64 { return float64(at.Counts.Total()) },
		} {
			s := series{name: name}
			var spreads []Spread
			s.x, spreads = g.curve(of, x)
			for _, q := range spreads {
				s.y, s.lo, s.hi = append(s.y, q.Median), append(s.lo, q.Low), append(s.hi, q.High)
			}
			any = any || slices.ContainsFunc(s.y, func(v float64) bool { return v > 0 && !math.IsInf(v, 0) })
			panels[k].series = append(panels[k].series, s)
		}
	}
	if !any {
		return fmt.Errorf("bench: no run on %s knows its %s", p.Problem, y.Name)
	}
	for k := range panels {
		panels[k].closeBands()
	}
	return drawWithLegend(w, format, panels)
}

// closeBands ends at the top of the diagram the bands that have no upper end, and at its bottom those that have no
// lower one.
func (p *panel) closeBands() {
	bottom, top := math.Inf(1), 0.0
	for _, s := range p.series {
		for i, v := range s.y {
			if p.drawable(s.x[i], v) {
				bottom, top = min(bottom, v), max(top, v)
			}
		}
	}
	for _, s := range p.series {
		for i := range s.y {
			if math.IsInf(s.hi[i], 1) {
				s.hi[i] = top
			}
			s.lo[i] = max(s.lo[i], bottom)
		}
	}
}

// drawWithLegend draws panels side by side, and right of them one legend for all.
func drawWithLegend(w io.Writer, format string, panels []panel) error {
	const legendWidth, pad = 2.2 * vg.Inch, vg.Length(8)
	var plots []*plot.Plot
	for _, p := range panels {
		d, err := p.plot()
		if err != nil {
			return fmt.Errorf("bench: %s: %w", p.title, err)
		}
		plots = append(plots, d)
	}
	legend := plots[0].Legend
	legend.Left, legend.Top, legend.Padding = true, true, vg.Points(3)
	height := max(panelHeight, legend.Rectangle(draw.Canvas{}).Size().Y+2*pad)
	canvas, err := newCanvas(format, vg.Length(len(panels))*panelWidth+legendWidth, height)
	if err != nil {
		return err
	}
	page := draw.New(canvas)
	for i, d := range plots {
		d.Legend = plot.NewLegend()
		left := vg.Length(i) * panelWidth
		d.Draw(draw.Crop(page, left+pad, left+panelWidth-page.Max.X-pad, pad, -pad))
	}
	legend.Draw(draw.Crop(page, vg.Length(len(panels))*panelWidth+pad, -pad, pad, -pad))
	_, err = canvas.WriteTo(w)
	return err
}
