package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"pgregory.net/rapid"

	"github.com/bilevel-go/bilevel/internal/palette"
)

// falling is a curve that falls from 1 by a power of x, and ends at floor.
func falling(name string, power, floor float64) Curve {
	c := Curve{Name: name}
	for x := 1.0; x < 1e6; x *= 1.5 {
		y := max(1/(1+math.Pow(x/50, power)), floor)
		c.X, c.Y = append(c.X, x), append(c.Y, y)
		c.Low, c.High = append(c.Low, y/2), append(c.High, y*2)
	}
	return c
}

// many is a figure of n curves, in two panels.
func many(n int) Figure {
	p := Panel{Title: "Against work", X: Axis{Quantity: "terms", Log: true},
		Y: Axis{Quantity: "distance <of h> & more", Log: true, Least: 1e-7}}
	for k := range n {
		p.Curves = append(p.Curves, falling(fmt.Sprintf("method %d", k), 0.5+float64(k%7)/2, math.Pow(10, -float64(k%11))))
	}
	q := p
	q.Title, q.X = "Against time", Axis{Quantity: "time", Log: true, Seconds: true}
	return Figure{Label: "Curves & more", Caption: "Made up.", Panels: []Panel{p, q}}
}

func write(t *testing.T, f Figure, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// parse reads SVG and returns its text elements in order.
func parse(t *testing.T, svg string) (texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for in := false; ; {
		token, err := d.Token()
		switch x := token.(type) {
		case xml.StartElement:
			if x.Name.Local == "text" {
				in, texts = true, append(texts, "")
			}
		case xml.EndElement:
			in = in && x.Name.Local != "text"
		case xml.CharData:
			if in {
				texts[len(texts)-1] += string(x)
			}
		}
		if err == io.EOF {
			return texts
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}

func TestFigure(t *testing.T) {
	f := many(9)
	f.Panels[0].Front = []string{"method 8", "method 2", "nothing"}
	svg := write(t, f, Options{Format: "svg"})
	texts := parse(t, svg)
	for k := range 9 {
		n := 0
		for _, s := range texts {
			if s == fmt.Sprintf("method %d", k) {
				n++
			}
		}
		if n != 2 {
			t.Errorf("method %d is named %d times in two panels", k, n)
		}
	}
	for _, want := range []string{"Against work", "distance <of h> & more", "terms", "10−6", "1,000 s", "Made up."} {
		if !slices.Contains(texts, want) {
			t.Errorf("no %q in %q", want, texts)
		}
	}
	for name, c := range map[string]palette.Colour{"method 8": palette.Blue, "method 2": palette.Orange,
		"method 0": palette.Muted} {
		group := svg[strings.Index(svg, "<title>"+name+"</title>"):]
		group = group[:strings.Index(group, "</g>")]
		if !strings.Contains(group, `stroke="`+palette.Hex(c.Light)+`"`) {
			t.Errorf("%s is not %s: %s", name, c.Name, group)
		}
	}
	for _, o := range []Options{{Format: "svg"}, {Format: "png"}, {Format: "png", Dark: true}} {
		if one, two := write(t, f, o), write(t, many9(f), o); one != two {
			t.Errorf("%+v: the same figure gives other bytes", o)
		}
	}
	if err := f.Write(io.Discard, Options{Format: "gif"}); err == nil || !strings.Contains(err.Error(), "svg or png") {
		t.Error(err)
	}
}

// many9 is f, made again.
func many9(f Figure) Figure {
	g := many(9)
	g.Panels[0].Front = f.Panels[0].Front
	return g
}

// Paper is that of the scheme, and SVG names both.
func TestSchemes(t *testing.T) {
	for dark, want := range map[bool]color.NRGBA{false: palette.Paper.Light, true: palette.Paper.Dark} {
		img, err := png.Decode(strings.NewReader(write(t, many(2), Options{Format: "png", Dark: dark})))
		if err != nil {
			t.Fatal(err)
		}
		if got := color.NRGBAModel.Convert(img.At(1, 1)); got != want {
			t.Errorf("dark %v: paper is %v", dark, got)
		}
	}
	_, dark, ok := strings.Cut(write(t, many(5), Options{Format: "svg"}), "prefers-color-scheme:dark")
	for _, c := range []palette.Colour{palette.Paper, palette.Blue, palette.Quiet} {
		rule := fmt.Sprintf(`[fill="%s"]{fill:%s}`, palette.Hex(c.Light), palette.Hex(c.Dark))
		if !ok || !strings.Contains(dark, rule) {
			t.Errorf("no %s", rule)
		}
	}
}

// Names are never closer than a line to one another, in the diagram or beside it, and no leader goes through one,
// whatever the curves.
func TestNamesNeverOverlap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(r, "curves")
		p := Panel{X: Axis{Log: true}, Y: Axis{Log: true, Least: 1e-6}}
		for k := range n {
			c := falling(strings.Repeat("m", 1+k%9), rapid.Float64Range(0, 4).Draw(r, "power"),
				math.Pow(10, -rapid.Float64Range(0, 9).Draw(r, "floor")))
			length := rapid.IntRange(1, len(c.X)).Draw(r, "length")
			c.X, c.Y, c.Low, c.High = c.X[:length], c.Y[:length], nil, nil
			p.Curves = append(p.Curves, c)
		}
		p.prepare()
		p.measure()
		c := draw.Canvas{Rectangle: vg.Rectangle{Max: vg.Point{X: 300, Y: line * vg.Length(n+1)}}}
		var lines [][]vg.Point
		for _, curve := range p.Curves {
			var points []vg.Point
			for i := range curve.X {
				points = append(points, vg.Point{X: c.X(p.xs.share(p.X, curve.X[i])), Y: c.Y(p.ys.share(p.Y, curve.Y[i]))})
			}
			lines = append(lines, points)
		}
		tags := curves{&p, newSVG("", 300, 300)}.place(c, lines)
		if len(tags) != n {
			r.Fatalf("%d names of %d curves", len(tags), n)
		}
		for i, a := range tags {
			if a.box.Max.Y > c.Max.Y+8+line || a.box.Min.Y < c.Min.Y-line {
				r.Errorf("name %d is at %v", i, a.box)
			}
			for j, b := range tags {
				if crosses(b.leader, a.box) {
					r.Errorf("the leader of %d goes through name %d", j, i)
				}
				if len(a.leader) == 0 && crosses(lines[j], vg.Rectangle{Min: a.box.Min.Add(vg.Point{Y: 2}),
					Max: a.box.Max.Sub(vg.Point{Y: 2})}) {
					r.Errorf("curve %d goes through name %d", j, i)
				}
			}
			for j, b := range tags[:i] {
				a, b := a.box, b.box
				a.Min.Y, a.Max.Y = a.Min.Y+1e-9, a.Max.Y-1e-9 // rounding
				if overlap(a, b) {
					r.Errorf("names %d and %d overlap: %v, %v", i, j, a, b)
				}
			}
		}
	})
}

// The leaders of curves that leave together below begin at different heights.
func TestLeadersApart(t *testing.T) {
	c := draw.Canvas{Rectangle: vg.Rectangle{Max: vg.Point{X: 300, Y: 200}}}
	p := Panel{Curves: make([]Curve, 5)}
	lines := make([][]vg.Point, 5)
	for k := range lines {
		p.Curves[k].Name = fmt.Sprint("curve ", k)
		x := vg.Length(100 + 3*k)
		lines[k] = []vg.Point{{X: x, Y: 200}, {X: x + 20, Y: -20}}
	}
	heights := map[vg.Length]bool{}
	led := 0
	for _, tag := range (curves{&p, newSVG("", 300, 200)}).place(c, lines) {
		if len(tag.leader) > 0 {
			led++
			heights[tag.leader[0].Y] = true
		}
	}
	if led < 3 || len(heights) != led {
		t.Errorf("%d leaders begin at %d heights", led, len(heights))
	}
}

func TestSpreadOut(t *testing.T) {
	for _, c := range []struct{ wanted, want []float64 }{
		{nil, nil},
		{[]float64{5}, []float64{5}},
		{[]float64{10, 30, 50}, []float64{10, 30, 50}},
		{[]float64{50, 50, 50}, []float64{40, 50, 60}},
		{[]float64{50, 52, 90}, []float64{46, 56, 90}},
		{[]float64{0, 0}, []float64{0, 10}},       // not below the lower end
		{[]float64{100, 100}, []float64{90, 100}}, // nor above the upper one
	} {
		got := spreadOut(c.wanted, 10, 0, 100)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("%v became %v, want %v", c.wanted, got, c.want)
		}
	}
}

// Boxes of names hold the text in the font it is measured with, and in wider ones.
func TestTextWidth(t *testing.T) {
	for _, s := range []string{"SABA", "MinimaxOPT, momentum", "10⁻³", "‖∇h‖²"} {
		f := style(nil, textSize, true, 0, 0).Font
		width, _, _ := handler.Box(s, f)
		if room := roomFor(s, true) - leaderWidth; room < width*1.15 || room > width*1.25 {
			t.Errorf("%s: %v wide, with room of %v", s, width, room)
		}
	}
	plain, _, _ := handler.Box("103", style(nil, textSize, false, 0, 0).Font)
	raised, _, _ := handler.Box("10³", style(nil, textSize, false, 0, 0).Font)
	if raised >= plain {
		t.Errorf("an exponent is as wide as a digit: %v, %v", raised, plain)
	}
}

func TestTicks(t *testing.T) {
	log, seconds, linear := Axis{Log: true}, Axis{Log: true, Seconds: true}, Axis{}
	for _, c := range []struct {
		axis   Axis
		lo, hi float64
		n      int
		want   string
	}{
		{log, 1e-4, 1, 10, "10⁻⁴ 10⁻³ 10⁻² 10⁻¹ 1"},
		{log, 5e-1, 2e3, 10, "1 10 10² 10³"},
		{log, 1e-10, 1e-1, 5, "10⁻¹⁰ 10⁻⁸ 10⁻⁶ 10⁻⁴ 10⁻²"},
		{log, 0.15, 0.8, 5, "0.2 0.5"},
		{log, 0.31, 0.38, 4, "0.32 0.34 0.36 0.38"},
		{seconds, 1e-3, 1e3, 9, "1 ms|10 ms|100 ms|1 s|10 s|100 s|1,000 s"},
		{seconds, 2e-7, 2e-5, 9, "1 µs|10 µs"},
		{seconds, 0.2, 8, 9, "200 ms|500 ms|1 s|2 s|5 s"},
		{linear, 0, 1, 5, "0 0.2 0.4 0.6 0.8 1.0"},
		{linear, -0.5, 0.5, 4, "−0.5 0 0.5"},
		{linear, 0, 20000, 4, "0 5,000 10,000 15,000 20,000"},
		{linear, 0, 3e7, 3, "0 1·10⁷ 2·10⁷ 3·10⁷"},
	} {
		var got []string
		for _, tick := range (ticker{c.axis, c.n}).Ticks(c.lo, c.hi) {
			got = append(got, tick.Label)
		}
		separator := " "
		if strings.Contains(c.want, "|") {
			separator = "|"
		}
		if strings.Join(got, separator) != c.want {
			t.Errorf("%g to %g: %q, want %s", c.lo, c.hi, got, c.want)
		}
	}
}

// The horizontal axis begins where a curve in front moves, the vertical one ends at what is known.
func TestRanges(t *testing.T) {
	f := many(3)
	p := f.Panels[0]
	still := Curve{Name: "still", X: []float64{1e-9, 1e6}, Y: []float64{1, 1}}
	p.Curves = append(p.Curves, still, Curve{Name: "far", X: []float64{1, 10, 100}, Y: []float64{1, 1e6, 1e200}})
	p.Front = []string{"method 2"}
	p.prepare()
	p.measure()
	if p.xs.lo != 10 || p.xs.hi != 1e6 {
		t.Errorf("from %g to %g", p.xs.lo, p.xs.hi)
	}
	p.Curves[0].Y = append(p.Curves[0].Y, 1e-12)
	p.Curves[0].X = append(p.Curves[0].X, 1e6)
	p.measure()
	if p.ys.lo != 1e-7 || p.ys.hi > 1e3 {
		t.Errorf("heights from %g to %g", p.ys.lo, p.ys.hi)
	}
	f.Panels[1].Curves = f.Panels[1].Curves[:1]
	share(f.Panels)
	if a, b := f.Panels[0].ys, f.Panels[1].ys; a != b {
		t.Errorf("panels of the same quantity show %v and %v", a, b)
	}
}

// What has no place ends a curve, and a curve without a place is named below.
func TestNothingToDraw(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	f := Figure{Panels: []Panel{{X: Axis{Log: true}, Y: Axis{Log: true}, Curves: []Curve{
		{Name: "ends", X: []float64{0, 1, 2, 3, 4}, Y: []float64{1, 1, 0.5, inf, 0.1}},
		{Name: "gone", X: []float64{1, 2}, Y: []float64{nan, inf}},
		{Name: "below", X: []float64{1, 2}, Y: []float64{0, -1}},
	}}}}
	texts := parse(t, write(t, f, Options{Format: "svg"}))
	if !slices.Contains(texts, "Nothing to draw of below, gone.") || !slices.Contains(texts, "ends") ||
		slices.Contains(texts, "gone") {
		t.Errorf("%q", texts)
	}
	if c := f.Panels[0].Curves[0].within(f.Panels[0].X, f.Panels[0].Y); !slices.Equal(c.X, []float64{1, 2}) {
		t.Errorf("left of the curve: %v", c.X)
	}
	write(t, Figure{Panels: []Panel{{Curves: []Curve{{Name: "a"}}}}}, Options{Format: "png"})
	write(t, Figure{}, Options{Format: "svg"})
}

// Parts are whole drawings, as many as there are panels.
func TestParts(t *testing.T) {
	f := many(3)
	f.Narrow = true
	svgs, caption := f.Parts()
	if len(svgs) != 2 || caption != "Made up." {
		t.Fatalf("%d, %q", len(svgs), caption)
	}
	for k, title := range []string{"Against work", "Against time"} {
		if texts := parse(t, svgs[k]); texts[0] != title || slices.Contains(texts, "Made up.") {
			t.Errorf("%q", texts)
		}
	}
	if got := write(t, f, Options{Format: "svg"}); !strings.Contains(got, `width="360"`) {
		t.Errorf("a narrow figure begins with %.150s", got)
	}
}
