package report

import (
	"html/template"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Figures are drawn in a box of this size, in pixels, and scaled by the page.
const (
	plotWidth  = 460.0
	plotHeight = 290.0
	glyph      = 8.0 // width of a digit, with room for the larger type of phones
)

// figure is one drawing with the words around it.
type figure struct {
	ID      string
	Title   string
	Desc    string // what the drawing says, for readers who do not see it
	Legend  []legend
	Caption []string
	Inside  template.HTML
	Width   float64
	Height  float64
}

// legend explains one mark, by the CSS class it is drawn with.
type legend struct {
	Mark string
	Text string
}

// drawable reports whether v can take part in a drawing; beyond 1e300 the
// width of an axis would overflow.
func drawable(v float64) bool { return math.Abs(v) <= 1e300 }

// extent is the range of the values added to it.
type extent struct {
	lo, hi float64
	filled bool
}

func (e *extent) add(values ...float64) {
	for _, v := range values {
		switch {
		case !drawable(v):
		case !e.filled:
			*e = extent{v, v, true}
		default:
			e.lo, e.hi = min(e.lo, v), max(e.hi, v)
		}
	}
}

// manyDecades reports whether a linear axis would hide the small values.
func (e extent) manyDecades() bool { return e.lo > 0 && e.hi/20 > e.lo }

// scale maps values lo..hi to pixels from..to, linearly or by logarithm.
type scale struct {
	lo, hi   float64
	log      bool
	from, to float64
}

// fit returns the scale of e with room of the fraction pad at both ends. A
// range without width gets one, so that constant values lie in the middle.
func fit(e extent, log bool, pad float64) scale {
	s := scale{lo: e.lo, hi: e.hi, log: log}
	if log {
		ratio := math.Exp(pad * (math.Log(s.hi) - math.Log(s.lo)))
		if s.hi < s.lo*1.01 {
			ratio = 2
		}
		s.lo, s.hi = max(s.lo/ratio, math.SmallestNonzeroFloat64), min(s.hi*ratio, math.MaxFloat64)
		return s
	}
	room := (s.hi - s.lo) * pad
	if largest := max(math.Abs(s.lo), math.Abs(s.hi)); s.hi-s.lo <= 1e-9*largest {
		if room = largest / 20; room == 0 {
			room = 1
		}
	}
	s.lo, s.hi = s.lo-room, s.hi+room
	return s
}

func (s scale) at(v float64) float64 {
	t := (v - s.lo) / (s.hi - s.lo)
	if s.log {
		t = (math.Log(v) - math.Log(s.lo)) / (math.Log(s.hi) - math.Log(s.lo))
	}
	return s.from + t*(s.to-s.from)
}

type tick struct {
	value float64
	label string
}

// ticks returns about n ticks at round values; whole keeps them integers. On a
// logarithmic scale of less than a decade they are those of a linear one.
func (s scale) ticks(n int, whole bool) []tick {
	if s.log && s.hi/s.lo > 8 {
		return s.logTicks(n)
	}
	step := niceStep((s.hi-s.lo)/float64(n), whole)
	var ticks []tick
	for i := math.Ceil(s.lo/step - 1e-9); i*step <= s.hi+1e-9*step; i++ {
		ticks = append(ticks, tick{i * step, axisLabel(i*step, step, max(math.Abs(s.lo), math.Abs(s.hi)))})
	}
	return ticks
}

// niceStep is the smallest of 1, 2, 5, 10, 20, 50, … that is at least raw.
func niceStep(raw float64, whole bool) float64 {
	if whole && raw <= 1 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*unit*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

// axisLabel writes a multiple of step with the digits that step needs.
func axisLabel(v, step, largest float64) string {
	if v == 0 {
		return "0"
	}
	if largest >= 1e6 || largest < 1e-3 {
		digits := math.Floor(math.Log10(math.Abs(v))+1e-9) - math.Floor(math.Log10(step)+1e-9)
		return signed(strconv.FormatFloat(v, 'e', int(max(digits, 0)), 64))
	}
	decimals := max(-int(math.Floor(math.Log10(step)+1e-9)), 0)
	return grouped(strconv.FormatFloat(v, 'f', decimals, 64))
}

// logTicks are powers of ten, with steps between them where these are few.
func (s scale) logTicks(n int) []tick {
	first, last := int(math.Ceil(math.Log10(s.lo)-1e-9)), int(math.Floor(math.Log10(s.hi)+1e-9))
	var ticks []tick
	if decades := last - first + 1; decades > 2 {
		for k := first; k <= last; k += (decades + n - 1) / n {
			ticks = append(ticks, tick{math.Pow10(k), power(k)})
		}
		return ticks
	}
	for k := first - 1; k <= last; k++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow10(k); v >= s.lo && v <= s.hi {
				ticks = append(ticks, tick{v, number(v, 1)})
			}
		}
	}
	return ticks
}

// axis is what a plot needs to know of one direction.
type axis struct {
	label string
	scale scale
	whole bool // ticks at integers only
}

// plot is a drawing with two axes; marks are added in the order they overlap.
type plot struct {
	id   string
	x, y scale
	b    strings.Builder
}

// newPlot draws the frame: tick lines, tick labels and the names of the axes.
func newPlot(id string, x, y axis) *plot {
	p := &plot{id: id, x: x.scale, y: y.scale}
	const top, right, bottom = 12.0, 16.0, 52.0
	p.y.from, p.y.to = plotHeight-bottom, top
	yTicks := p.y.ticks(6, y.whole)
	widest := 0
	for _, t := range yTicks {
		widest = max(widest, utf8.RuneCountInString(t.label))
	}
	p.x.from, p.x.to = 36+glyph*float64(widest), plotWidth-right

	// Labels of the horizontal axis must not touch: fewer of them if they are long.
	xTicks := p.x.ticks(8, x.whole)
	for n := 7; n > 1 && crowded(xTicks, p.x); n-- {
		xTicks = p.x.ticks(n, x.whole)
	}
	for _, t := range yTicks {
		p.line("tick", p.x.from, p.y.at(t.value), p.x.to, p.y.at(t.value))
		p.text("end", p.x.from-6, p.y.at(t.value)+4, t.label)
	}
	for _, t := range xTicks {
		p.line("axis", p.x.at(t.value), p.y.from, p.x.at(t.value), p.y.from+5)
		if _, right := labelSpan(t, p.x); right == plotWidth {
			p.text("end", plotWidth, p.y.from+20, t.label)
		} else {
			p.text("middle", p.x.at(t.value), p.y.from+20, t.label)
		}
	}
	p.line("axis", p.x.from, p.y.from, p.x.to, p.y.from)
	p.text("middle", (p.x.from+p.x.to)/2, plotHeight-8, x.label)
	p.b.WriteString(`<text class="middle" transform="translate(15 `)
	p.num((p.y.from + p.y.to) / 2)
	p.b.WriteString(`) rotate(-90)">` + template.HTMLEscapeString(y.label) + "</text>\n")
	return p
}

// labelSpan is where the label of a tick of the horizontal axis lies: centred,
// but for one that would leave the drawing, which ends with it.
func labelSpan(t tick, s scale) (left, right float64) {
	width := glyph * float64(utf8.RuneCountInString(t.label))
	right = min(s.at(t.value)+width/2, plotWidth)
	return right - width, right
}

func crowded(ticks []tick, s scale) bool {
	const gap = 8
	end := math.Inf(-1)
	for _, t := range ticks {
		left, right := labelSpan(t, s)
		if left < end+gap {
			return true
		}
		end = right
	}
	return false
}

func (p *plot) num(v float64) {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	p.b.WriteString(strings.TrimSuffix(s, ".0"))
}

// element writes one empty element with numeric attributes.
func (p *plot) element(tag, class string, names []string, values ...float64) {
	p.b.WriteString("<" + tag)
	if class != "" {
		p.b.WriteString(` class="` + class + `"`)
	}
	for i, v := range values {
		p.b.WriteString(" " + names[i] + `="`)
		p.num(v)
		p.b.WriteString(`"`)
	}
	p.b.WriteString("/>\n")
}

var (
	lineNames   = []string{"x1", "y1", "x2", "y2"}
	circleNames = []string{"cx", "cy", "r"}
	rectNames   = []string{"x", "y", "width", "height"}
)

func (p *plot) line(class string, x1, y1, x2, y2 float64) {
	p.element("line", class, lineNames, x1, y1, x2, y2)
}

func (p *plot) text(class string, x, y float64, s string) {
	p.b.WriteString(`<text class="` + class + `" x="`)
	p.num(x)
	p.b.WriteString(`" y="`)
	p.num(y)
	p.b.WriteString(`">` + template.HTMLEscapeString(s) + "</text>\n")
}

// Below, positions are values on the axes.

func (p *plot) across(class string, y float64) {
	p.line(class, p.x.from, p.y.at(y), p.x.to, p.y.at(y))
}

func (p *plot) upright(class string, x float64) {
	p.line(class, p.x.at(x), p.y.from, p.x.at(x), p.y.to)
}

func (p *plot) dot(class string, x, y, radius float64) {
	p.element("circle", class, circleNames, p.x.at(x), p.y.at(y), radius)
}

func (p *plot) bar(class string, x0, x1, height float64) {
	left, top := p.x.at(x0), p.y.at(height)
	p.element("rect", class, rectNames, left, top, max(p.x.at(x1)-left-1, 1), p.y.from-top)
}

func (p *plot) polyline(class string, points []point) {
	p.b.WriteString(`<path class="` + class + `" d="`)
	for i, q := range points {
		p.b.WriteByte("ML"[min(i, 1)])
		p.num(p.x.at(q.x))
		p.b.WriteByte(' ')
		p.num(p.y.at(q.y))
	}
	p.b.WriteString("\"/>\n")
}

// clipped confines what draw adds to the area between the axes.
func (p *plot) clipped(draw func()) {
	p.b.WriteString(`<clipPath id="` + p.id + `-area">`)
	p.element("rect", "", rectNames, p.x.from, p.y.to-2, p.x.to-p.x.from, p.y.from-p.y.to+2)
	p.b.WriteString(`</clipPath><g clip-path="url(#` + p.id + `-area)">` + "\n")
	draw()
	p.b.WriteString("</g>\n")
}

// figure ends the drawing.
func (p *plot) figure(title, desc string) *figure {
	return &figure{
		ID: p.id, Title: title, Desc: desc,
		Inside: template.HTML(p.b.String()),
		Width:  plotWidth, Height: plotHeight,
	}
}

type point struct{ x, y float64 }

// thin keeps the shape of a long line with at most four points for each of 400
// stretches: the first, the last, the lowest and the highest.
func thin(points []point) []point {
	const stretches = 400
	if len(points) <= 4*stretches {
		return points
	}
	var kept []point
	for s := range stretches {
		part := points[s*len(points)/stretches : (s+1)*len(points)/stretches]
		lowest, highest := 0, 0
		for i, q := range part {
			if q.y < part[lowest].y {
				lowest = i
			}
			if q.y > part[highest].y {
				highest = i
			}
		}
		previous := -1
		for _, i := range []int{0, min(lowest, highest), max(lowest, highest), len(part) - 1} {
			if i > previous {
				kept = append(kept, part[i])
				previous = i
			}
		}
	}
	return kept
}
