// Package chart draws curves the way all figures of this module look: at most four in colour and in front, the others
// thin and grey, every one named where it ends, and no legend. Axes, lines and bands are those of gonum/plot; what that
// has no layer for is here: names that never overlap, and SVG that follows the reader's choice of light or dark.
package chart

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/bilevel-go/bilevel/internal/palette"
)

// Figure is panels side by side with words below. All lengths are pixels of CSS.
type Figure struct {
	Label   string // what one sees, for those who do not
	Caption string
	Panels  []Panel
	// Narrow puts the panels below one another, for narrow screens. Otherwise two are side by side.
	Narrow bool
}

// Panel is one diagram.
type Panel struct {
	Title string
	X, Y  Axis
	// Front are the names of the curves in colour, at most four: blue, orange, green and ink. The default is the first
	// four that are no references.
	Front  []string
	Curves []Curve

	xs, ys extent // what the axes show
}

// Axis says what is drawn in one direction. Panels of a figure whose vertical quantity is the same share its range.
type Axis struct {
	Quantity string // in words
	Log      bool
	Seconds  bool // a logarithmic axis says 1 ms, 10 ms, 1 s
	Zero     bool // a linear axis shows zero
	// Least is the smallest value that a logarithmic axis shows, if any: below it nothing is known.
	Least float64
}

// Curve is a line, with a band between Low and High where these are given. What is not finite has no place, and neither
// has what is not above zero on a logarithmic axis: the line ends there.
type Curve struct {
	Name      string
	X, Y      []float64
	Low, High []float64
	Reference bool // a bound or a border: dashed and grey
}

// MostFront is how many curves have a colour.
const MostFront = 4

// front are the looks of the curves in colour. They differ in dash and end marker too, and the later ones have gaps
// that show the earlier ones where they coincide.
var front = [MostFront]struct {
	colour palette.Colour
	dashes []vg.Length
	marker draw.GlyphDrawer
}{
	{palette.Blue, nil, draw.CircleGlyph{}},
	{palette.Orange, []vg.Length{9, 4}, draw.BoxGlyph{}},
	{palette.Green, []vg.Length{4, 3}, draw.PyramidGlyph{}},
	{palette.Ink, []vg.Length{1.5, 2.5}, draw.CircleGlyph{}},
}

// look is how a curve is drawn.
type look struct {
	colour, text palette.Colour
	width        vg.Length
	dashes       []vg.Length
	marker       draw.GlyphDrawer
	radius       vg.Length
	bold         bool
	rank         int // of a curve in colour; −1 for the others
}

func (p *Panel) look(c Curve) look {
	if i := slices.Index(p.Front, c.Name); i >= 0 {
		f := front[i]
		return look{f.colour, f.colour, 2.2, f.dashes, f.marker, 3, true, i}
	}
	l := look{palette.Muted, palette.Quiet, 1.1, nil, draw.CircleGlyph{}, 1.6, false, -1}
	if c.Reference {
		l.colour, l.dashes, l.marker = palette.Mark, []vg.Length{5, 3}, nil
	}
	return l
}

// Size of the parts of a figure.
const (
	margin      = 14.0
	panelWidth  = 488.0
	narrowWidth = 346.0
	leastPlot   = 220.0 // width without names
	titleHeight = 58.0  // of title and quantity, with the room below
	plotHeight  = 290.0
	axisHeight  = 46.0
	line        = 15.0 // from name to name, and of a caption
	gap         = 6.0  // from a curve to its name
	leaderWidth = 20.0
	textSize    = 12.0
	titleSize   = 15.0
)

// Options say how a figure is written. SVG has light and dark in one file; of the others Dark takes the dark one.
type Options struct {
	Format string // one of [Formats]
	Dark   bool
}

// format is a kind of file.
type format struct {
	name   string
	canvas func(label string, width, height vg.Length, dark bool) canvas
}

// formats are the kinds of files. An entry is all that there is to say about one.
var formats = []format{
	{"svg", func(label string, width, height vg.Length, _ bool) canvas { return newSVG(label, width, height) }},
	{"png", func(_ string, width, height vg.Length, dark bool) canvas {
		return &pixels{vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144))}, dark}
	}},
}

// Formats are the names of all formats.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// canvas is what figures are drawn on.
type canvas interface {
	vg.CanvasWriterTo
	// paint is c with the opacity of bands where faint.
	paint(c palette.Colour, faint bool) color.Color
	// begin opens a part of the figure that is called so, and end closes it.
	begin(name string)
	end()
}

// pixels is a canvas of pixels, which knows no parts.
type pixels struct {
	vgimg.PngCanvas
	dark bool
}

func (p *pixels) paint(c palette.Colour, faint bool) color.Color {
	v, opacity := c.Light, faintLight
	if p.dark {
		v, opacity = c.Dark, faintDark
	}
	if faint {
		v.A = uint8(math.Round(opacity * 255))
	}
	return v
}

func (*pixels) begin(string) {}
func (*pixels) end()         {}

// Opacity of bands.
const (
	faintLight = 0.13
	faintDark  = 0.20
)

// layout is the size of the panels of a figure.
type layout struct {
	width, height vg.Length // of a panel, with all that belongs to it
	names         vg.Length // room at the right for names
}

// arrange prepares the panels and finds their common size. The caption says too what could not be drawn.
func (f *Figure) arrange() layout {
	f.Panels = slices.Clone(f.Panels)
	l := layout{width: panelWidth, height: plotHeight}
	if f.Narrow {
		l.width = narrowWidth
	}
	var missing []string
	for k := range f.Panels {
		p := &f.Panels[k]
		missing = append(missing, p.prepare()...)
		for _, c := range p.Curves {
			l.names = max(l.names, roomFor(c.Name, slices.Contains(p.Front, c.Name)))
		}
		l.height = max(l.height, line*vg.Length(len(p.Curves)+1))
	}
	share(f.Panels)
	if len(missing) > 0 {
		slices.Sort(missing)
		f.Caption = strings.TrimSpace(f.Caption + " Nothing to draw of " + strings.Join(slices.Compact(missing), ", ") + ".")
	}
	l.width = max(l.width, l.names+leastPlot)
	l.height += titleHeight + axisHeight
	return l
}

// Write draws f. The same figure gives the same bytes.
func (f Figure) Write(w io.Writer, o Options) error {
	i := slices.IndexFunc(formats, func(x format) bool { return x.name == o.Format })
	if i < 0 {
		return fmt.Errorf("chart: a drawing is %s, not %q", strings.Join(Formats(), " or "), o.Format)
	}
	l := f.arrange()
	columns := max(1, min(2, len(f.Panels)))
	if f.Narrow {
		columns = 1
	}
	rows := (len(f.Panels) + columns - 1) / columns
	width := margin + vg.Length(columns)*l.width
	caption := wrap(f.Caption, width-2*margin)
	height := margin/2 + vg.Length(rows)*l.height + line*vg.Length(len(caption)) + margin
	c := formats[i].canvas(f.Label, width, height, o.Dark)
	page := draw.New(c)
	page.SetColor(c.paint(palette.Paper, false))
	page.Fill(page.Path())
	for k := range f.Panels {
		f.Panels[k].draw(c, l, margin+vg.Length(k%columns)*l.width, height-margin/2-vg.Length(k/columns)*l.height)
	}
	for k, words := range caption {
		page.FillText(style(c.paint(palette.Quiet, false), textSize, false, draw.XLeft, draw.YTop),
			vg.Point{X: margin, Y: line*vg.Length(len(caption)-k) + margin/2}, words)
	}
	_, err := c.WriteTo(w)
	return err
}

// Parts draws each panel of f as SVG of its own, without paper, for a page that arranges them and shows the caption.
func (f Figure) Parts() (svgs []string, caption string) {
	l := f.arrange()
	for k := range f.Panels {
		p := &f.Panels[k]
		c := newSVG(p.Title+". "+f.Label, l.width, l.height)
		p.draw(c, l, 0, l.height)
		svgs = append(svgs, c.String())
	}
	return svgs, f.Caption
}

// prepare fills in what p leaves open, keeps of its curves what has a place, and returns the names of those that have
// nothing left.
func (p *Panel) prepare() (missing []string) {
	var curves []Curve
	for _, c := range p.Curves {
		if c = c.within(p.X, p.Y); len(c.X) == 0 {
			missing = append(missing, c.Name)
			continue
		}
		curves = append(curves, c)
	}
	p.Curves = curves
	has := func(name string) bool {
		return slices.ContainsFunc(p.Curves, func(c Curve) bool { return c.Name == name && !c.Reference })
	}
	var chosen []string
	for _, name := range p.Front {
		if has(name) && len(chosen) < MostFront {
			chosen = append(chosen, name)
		}
	}
	if len(p.Front) == 0 {
		for _, c := range p.Curves {
			if !c.Reference && len(chosen) < MostFront && !slices.Contains(chosen, c.Name) {
				chosen = append(chosen, c.Name)
			}
		}
	}
	p.Front = chosen
	return missing
}

// within is the first stretch of c that has a place on the axes.
func (c Curve) within(x, y Axis) Curve {
	fits := func(a Axis, v float64) bool {
		return !math.IsNaN(v) && math.Abs(v) <= most && (!a.Log || v >= least)
	}
	kept := Curve{Name: c.Name, Reference: c.Reference}
	for i := range c.X {
		if !fits(x, c.X[i]) || !fits(y, c.Y[i]) {
			if len(kept.X) == 0 {
				continue
			}
			break
		}
		kept.X, kept.Y = append(kept.X, c.X[i]), append(kept.Y, c.Y[i])
		if len(c.Low) > 0 {
			lo, hi := c.Low[i], c.High[i]
			if !fits(y, lo) { // a band without an end ends with the diagram
				lo = math.Inf(-1)
			}
			if !fits(y, hi) {
				hi = math.Inf(1)
			}
			kept.Low, kept.High = append(kept.Low, lo), append(kept.High, hi)
		}
	}
	return kept
}

// What axes show. Beyond it the ticks of logarithmic ones would reach zero or infinity.
const (
	least = 1e-300
	most  = 1e300
)

// draw draws p with its upper left corner at (left, top).
func (p *Panel) draw(c canvas, l layout, left, top vg.Length) {
	area := draw.Canvas{Canvas: c, Rectangle: vg.Rectangle{
		Min: vg.Point{X: left, Y: top - l.height}, Max: vg.Point{X: left + l.width - margin, Y: top}}}
	text := func(colour palette.Colour, size vg.Length, bold bool, y vg.Length, words string) {
		area.FillText(style(c.paint(colour, false), size, bold, draw.XLeft, draw.YTop), vg.Point{X: area.Min.X, Y: y}, words)
	}
	text(palette.Ink, titleSize, true, top-4, p.Title)
	text(palette.Quiet, textSize, false, top-26, p.Y.Quantity)

	d := plot.New()
	d.BackgroundColor = nil
	quiet := c.paint(palette.Quiet, false)
	for _, a := range []struct {
		of *plot.Axis
		Axis
		align draw.XAlignment
		y     draw.YAlignment
	}{{&d.X, p.X, draw.XCenter, draw.YTop}, {&d.Y, p.Y, draw.XRight, draw.YCenter}} {
		a.of.Padding = 0
		a.of.Label.TextStyle = style(quiet, textSize, false, draw.XCenter, draw.YBottom)
		a.of.Tick.Label = style(quiet, textSize, false, a.align, a.y)
		a.of.LineStyle = draw.LineStyle{Color: c.paint(palette.Mark, false), Width: 0.8}
		a.of.Tick.LineStyle, a.of.Tick.Length = a.of.LineStyle, 4
		if a.Log {
			a.of.Scale = plot.LogScale{}
		}
	}
	d.X.Label.Text, d.X.Label.Padding = p.X.Quantity, 3
	d.Y.LineStyle.Width, d.Y.Tick.Width = 0, 0
	area.Min.Y += 2
	area.Max.Y -= titleHeight
	area.Max.X -= l.names
	d.X.Tick.Marker = apart(p.X, p.xs, area.Max.X-area.Min.X-40) // less the labels of the other axis
	d.Y.Tick.Marker = ticker{p.Y, int((area.Max.Y - area.Min.Y) / 26)}

	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal = draw.LineStyle{Color: c.paint(palette.Rule, false), Width: 0.8}
	d.Add(grid, curves{p, c})
	d.X.Min, d.X.Max, d.Y.Min, d.Y.Max = p.xs.lo, p.xs.hi, p.ys.lo, p.ys.hi
	d.Draw(area)
}

// curves is the layer of the curves of a panel and of their names.
type curves struct {
	*Panel
	canvas canvas
}

// Plot draws bands first, then the lines: grey ones, and over them those in colour, the first one, which is solid,
// below the dashed ones.
func (l curves) Plot(c draw.Canvas, d *plot.Plot) {
	order := make([]int, len(l.Curves))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return depth(l.look(l.Curves[a])) - depth(l.look(l.Curves[b]))
	})
	x, y := d.Transforms(&c)
	lines := make([][]vg.Point, len(l.Curves))
	for _, i := range order {
		curve, look := l.Curves[i], l.look(l.Curves[i])
		at := func(k int, v float64) vg.Point { return vg.Point{X: x(curve.X[k]), Y: y(v)} }
		for k, v := range curve.Y {
			lines[i] = append(lines[i], at(k, v))
		}
		if look.rank < 0 || len(curve.Low) == 0 {
			continue
		}
		var band []vg.Point
		for k, v := range curve.High {
			band = append(band, at(k, min(max(v, d.Y.Min), d.Y.Max)))
		}
		for k := len(curve.Low) - 1; k >= 0; k-- {
			band = append(band, at(k, min(max(curve.Low[k], d.Y.Min), d.Y.Max)))
		}
		c.FillPolygon(l.canvas.paint(look.colour, true), c.ClipPolygonX(band))
	}
	tags := l.place(c, lines)
	for _, i := range order {
		l.drawCurve(c, l.Curves[i], lines[i], tags[i])
	}
}

// depth orders looks from the back to the front.
func depth(l look) int {
	if l.rank >= 0 {
		return l.rank
	}
	return -rankOf(l)
}

// rankOf orders looks by who chooses the place of its name first: curves in colour, references, grey ones.
func rankOf(l look) int {
	switch {
	case l.rank >= 0:
		return l.rank
	case l.marker == nil:
		return MostFront
	}
	return MostFront + 1
}

// drawCurve draws a line, a marker at its end, its name, and what leads there.
func (l curves) drawCurve(c draw.Canvas, curve Curve, line []vg.Point, t tag) {
	look := l.look(curve)
	colour := l.canvas.paint(look.colour, false)
	l.canvas.begin(curve.Name)
	defer l.canvas.end()
	if len(t.leader) > 0 {
		c.StrokeLines(draw.LineStyle{Color: l.canvas.paint(palette.Mark, false), Width: 0.6}, t.leader)
	}
	style := draw.LineStyle{Color: colour, Width: look.width, Dashes: look.dashes}
	c.StrokeLines(style, c.ClipLinesXY(line)...)
	if !t.exits && look.marker != nil {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: colour, Radius: look.radius, Shape: look.marker}, t.end)
	}
	words := t.style(l.canvas.paint(look.text, false), look.bold)
	c.FillText(words, vg.Point{X: t.at.X, Y: t.at.Y + words.FontExtents().Descent}, curve.Name)
}
