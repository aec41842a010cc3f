package bench

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// panel is one diagram of a figure.
type panel struct {
	title, x, y string
	logX, logY  bool
	falling     bool // its lines leave the lower left free for the legend
	series      []series
}

// series is a line, with a band where there is one.
type series struct {
	name   string
	x, y   []float64
	lo, hi []float64 // or nil
	dashed bool
}

// Colours of Okabe and Ito, which can be told apart with most kinds of colour vision.
var palette = []color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff},
	{0xcc, 0x79, 0xa7, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x40, 0x40, 0x40, 0xff},
}

// Solid lines first, then dashes and gaps in points.
var dashes = [][]vg.Length{nil, {4, 3}, {1.5, 2}, {6, 2, 1.5, 2}, {8, 2, 1.5, 2, 1.5, 2}}

// style is the look of line i: colours come again, dashed.
func style(i int) (color.RGBA, []vg.Length) {
	return palette[i%len(palette)], dashes[i/len(palette)%len(dashes)]
}

// Size of a panel.
const (
	panelWidth  = 4.2 * vg.Inch
	panelHeight = 3.2 * vg.Inch
)

// Draw draws the table of f in one of the formats of [Drawings].
func (f Figure) Draw(t *Table, format string, w io.Writer) error {
	panels := f.panels(t)
	cols := min(2, len(panels))
	rows := (len(panels) + cols - 1) / cols
	width, height := vg.Length(cols)*panelWidth, vg.Length(rows)*panelHeight
	canvas, err := newCanvas(format, width, height)
	if err != nil {
		return err
	}
	tiles := draw.Tiles{Rows: rows, Cols: cols, PadX: vg.Points(14), PadY: vg.Points(14),
		PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(12)}
	page := draw.New(canvas)
	for i, p := range panels {
		d, err := p.plot()
		if err != nil {
			return fmt.Errorf("bench: %s: %w", p.title, err)
		}
		d.Draw(tiles.At(page, i%cols, i/cols))
	}
	_, err = canvas.WriteTo(w)
	return err
}

// drawings are the formats of drawings. An entry is all that there is to say about one.
var drawings = []struct {
	format string
	canvas func(width, height vg.Length) vg.CanvasWriterTo
}{
	{"svg", func(width, height vg.Length) vg.CanvasWriterTo { return vgsvg.New(width, height) }},
	{"png", func(width, height vg.Length) vg.CanvasWriterTo {
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(150))}
	}},
}

// Drawings are the formats that figures and charts can be drawn in.
func Drawings() []string {
	var all []string
	for _, d := range drawings {
		all = append(all, d.format)
	}
	return all
}

func newCanvas(format string, width, height vg.Length) (vg.CanvasWriterTo, error) {
	for _, d := range drawings {
		if d.format == format {
			return d.canvas(width, height), nil
		}
	}
	return nil, fmt.Errorf("bench: a drawing is %s, not %q", strings.Join(Drawings(), " or "), format)
}

func (p panel) plot() (*plot.Plot, error) {
	d := plot.New()
	d.Title.Text = p.title
	d.X.Label.Text, d.Y.Label.Text = p.x, p.y
	if p.logX {
		d.X.Scale, d.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if p.logY {
		d.Y.Scale, d.Y.Tick.Marker = plot.LogScale{}, decades{}
	}
	d.Title.TextStyle.Font.Size = vg.Points(12)
	d.X.Label.TextStyle.Font.Size, d.Y.Label.TextStyle.Font.Size = vg.Points(10), vg.Points(10)
	d.Legend.TextStyle.Font.Size = vg.Points(10)
	d.Legend.Top, d.Legend.Left = !p.falling, p.falling
	d.Add(plotter.NewGrid())
	for i, s := range p.series {
		c, dash := style(i)
		if s.dashed {
			dash = dashes[1]
		}
		var line, band plotter.XYs
		for j, x := range s.x {
			if !p.drawable(x, s.y[j]) {
				continue
			}
			line = append(line, plotter.XY{X: x, Y: s.y[j]})
			if s.hi != nil {
				band = append(band, plotter.XY{X: x, Y: s.hi[j]})
			}
		}
		for j := len(s.x) - 1; j >= 0 && s.lo != nil; j-- {
			x := s.x[j]
			if !p.drawable(x, s.y[j]) {
				continue
			}
			band = append(band, plotter.XY{X: x, Y: s.lo[j]})
		}
		if len(line) == 0 {
			continue
		}
		if len(band) > 0 {
			area, err := plotter.NewPolygon(band)
			if err != nil {
				return nil, err
			}
			area.Color = color.NRGBA{c.R, c.G, c.B, 0x30}
			area.LineStyle.Width = 0
			d.Add(area)
		}
		l, err := plotter.NewLine(line)
		if err != nil {
			return nil, err
		}
		l.Color, l.Width = c, vg.Points(1.5)
		l.Dashes = dash
		d.Add(l)
		d.Legend.Add(s.name, l)
	}
	if p.logX {
		widen(&d.X)
	} else {
		d.X.Min = min(0, d.X.Min)
	}
	if p.logY {
		widen(&d.Y)
	}
	return d, nil
}

// widen gives a logarithmic axis a length: the ticks of one without would never end.
func widen(a *plot.Axis) {
	switch {
	case a.Min > a.Max: // nothing is drawn
		a.Min, a.Max = 1, 10
	case a.Min == a.Max:
		a.Min, a.Max = a.Min/2, a.Max*2
	}
}

// What a logarithmic axis shows. Its ticks would reach zero or infinity beyond.
const (
	leastLog = 1e-300
	mostLog  = 1e300
)

// drawable says whether a point has a place on the axes.
func (p panel) drawable(x, y float64) bool {
	within := func(log bool, v float64) bool { return !log || v >= leastLog && v <= mostLog }
	return within(p.logX, x) && within(p.logY, y) && !math.IsNaN(y) && !math.IsInf(y, 0)
}

// decades are the ticks of a logarithmic axis: powers of ten, at most eight of them named.
type decades struct{}

func (decades) Ticks(lo, hi float64) []plot.Tick {
	first, last := int(math.Ceil(math.Log10(lo))), int(math.Floor(math.Log10(hi)))
	every := max(1, (last-first+7)/8)
	var list []plot.Tick
	for e := first; e <= last; e++ {
		t := plot.Tick{Value: math.Pow(10, float64(e))}
		if (e-first)%every == 0 {
			t.Label = fmt.Sprintf("1e%d", e)
		}
		list = append(list, t)
	}
	return list
}
