package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/internal/numbers"
)

// Dots are estimates with their intervals on a common axis, the numbers beside them.
type Dots struct {
	Title, Hint string
	Rows        []Dot
	Percent     bool // values are shares
	Points      bool // values are changes of shares
	Zero        bool // the axis has zero, and a line there
	Log         bool
	Tight       bool // one line each
	Note        string
}

// Dot is one estimate. Unknown ends of the interval are NaN.
type Dot struct {
	Name, Small      string
	Value, Low, High float64
	Text, Interval   string
	Kind             Kind
	Strong           bool // the result among what it is compared with
}

// Kind is what a mark is: it has its colour, and something else that tells it.
type Kind string

// The kinds.
const (
	Reference Kind = "reference" // what a result is compared with: grey
	Main      Kind = "main"      // the result: blue
	Look      Kind = "look"      // what a person should look at: orange
	Count     Kind = "count"     // how many rows there are: grey bars
	Band      Kind = "band"      // of Main
)

// Chart is a drawing with two axes.
type Chart struct {
	Title, Hint string
	Say         string // what one sees
	X, Y        Axis
	Marks       []Mark
	Labels      []Label
	Height      float64 // in rem; 0 for 12
	Note        string
}

// Axis is that of a chart. It begins at the smallest value and ends at the largest, or at Low and High where they
// differ.
type Axis struct {
	Name      string
	Percent   bool
	Root      bool // heights are square roots
	Zero      bool // begins at zero
	Low, High float64
}

// Mark are points, in one of the shapes.
type Mark struct {
	Shape  Shape
	Kind   Kind
	Points []Point
}

// Shape is how points are drawn.
type Shape int

// The shapes.
const (
	Cloud     Shape = iota // a dot each
	Line                   // joined
	Intervals              // a line from Y to Y2 each
	Bars                   // from zero to Y, from X to X2
)

// Point is a point of a chart.
type Point struct{ X, Y, X2, Y2 float64 }

// Label names something in a chart, at a point: to its left where it lies right.
type Label struct {
	Text string
	Kind Kind
	X, Y float64
}

type tickView struct{ At, Text, Side string }

// dotsView is a Dots as the template reads it.
type dotsView struct {
	Title, Hint, Note string
	Tight             bool
	Rows              []dotView
	Ticks             []tickView
}

type dotView struct {
	Name, Small, Text, Interval    string
	Kind                           Kind
	Strong, Line                   bool
	Zero, At, From, Width, Between string
}

// View is d with all places computed.
func (d *Dots) View() dotsView {
	v := dotsView{Title: d.Title, Hint: d.Hint, Note: d.Note, Tight: d.Tight}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, r := range d.Rows {
		for _, x := range []float64{r.Value, r.Low, r.High} {
			if usable(x) && (!d.Log || x > 0) {
				lo, hi = min(lo, x), max(hi, x)
			}
		}
	}
	if d.Zero {
		lo, hi = min(lo, 0), max(hi, 0)
	}
	s := newSpan(lo, hi, d.Log, 4)
	if d.Zero && lo == 0 {
		s.lo = 0
	}
	if d.Zero && hi == 0 {
		s.hi = 0
	}
	s.pad(.03, d.Zero && lo == 0, d.Zero && hi == 0)
	for _, r := range d.Rows {
		row := dotView{Name: name(r.Name), Small: numbers.Plain(r.Small), Text: r.Text, Interval: r.Interval,
			Kind: r.Kind, Strong: r.Strong}
		if d.Zero && s.lo < 0 {
			row.Zero = place(s.at(0))
		}
		if usable(r.Value) && (!d.Log || r.Value > 0) {
			row.At = place(s.at(r.Value))
		}
		if usable(r.Low) && usable(r.High) && r.High > r.Low {
			from := s.at(r.Low)
			row.Line, row.From, row.Width = true, place(from), place(s.at(r.High)-from)
		}
		v.Rows = append(v.Rows, row)
	}
	for _, t := range s.ticks {
		v.Ticks = append(v.Ticks, tickView{At: place(s.at(t)), Text: s.label(t, d.Percent, d.Points), Side: side(s.at(t))})
	}
	return v
}

// side is where the label of a tick at a share of the axis is: at an end it must not leave the page.
func side(at float64) string {
	switch {
	case at < .03:
		return "left"
	case at > .97:
		return "right"
	}
	return "middle"
}

// chartView is a Chart as the template reads it.
type chartView struct {
	Title, Hint, Note, Say, XName, YName string
	Height                               string
	Inside                               template.HTML
	X, Y                                 []tickView
	Labels                               []labelView
}

type labelView struct {
	Class, Text string
	Place       template.CSS
}

// View is c, drawn.
func (c *Chart) View() chartView {
	v := chartView{Title: c.Title, Hint: c.Hint, Note: c.Note, Say: numbers.Plain(c.Say), XName: numbers.Plain(c.X.Name),
		YName: numbers.Plain(c.Y.Name), Height: "12"}
	if c.Height > 0 {
		v.Height = short(c.Height)
	}
	x, y := c.spans()
	var b strings.Builder
	for _, t := range y.ticks {
		fmt.Fprintf(&b, `<path class="grid" d="M0 %sH100"/>`, place(1-y.at(t)))
		v.Y = append(v.Y, tickView{At: place(1 - y.at(t)), Text: y.label(t, c.Y.Percent, false)})
	}
	for _, t := range x.ticks {
		v.X = append(v.X, tickView{At: place(x.at(t)), Text: x.label(t, c.X.Percent, false)})
	}
	for _, m := range c.Marks {
		m.draw(&b, x, y)
	}
	v.Inside = template.HTML(b.String())
	for _, l := range c.Labels {
		side, at := "left", x.at(l.X)
		if at > .5 {
			side, at = "right", 1-at
		}
		v.Labels = append(v.Labels, labelView{Class: string(l.Kind), Text: numbers.Plain(l.Text),
			Place: template.CSS(fmt.Sprintf("%s:%s%%;top:%s%%", side, place(at), place(1-y.at(l.Y))))})
	}
	return v
}

// spans are the axes, wide enough for all marks.
func (c *Chart) spans() (x, y span) {
	var lo, hi [2]float64
	for k, a := range []Axis{c.X, c.Y} {
		lo[k], hi[k] = math.Inf(1), math.Inf(-1)
		if a.Low != a.High {
			lo[k], hi[k] = a.Low, a.High
		}
	}
	grow := func(k int, fixed Axis, v float64) {
		if fixed.Low == fixed.High && usable(v) {
			lo[k], hi[k] = min(lo[k], v), max(hi[k], v)
		}
	}
	if c.Y.Zero {
		grow(1, c.Y, 0)
	}
	for _, m := range c.Marks {
		for _, p := range m.Points {
			grow(0, c.X, p.X)
			grow(1, c.Y, p.Y)
			switch m.Shape {
			case Intervals:
				grow(1, c.Y, p.Y2)
			case Bars:
				grow(0, c.X, p.X2)
				grow(1, c.Y, 0)
			}
		}
	}
	x, y = newSpan(lo[0], hi[0], false, 4), newSpan(lo[1], hi[1], false, 4)
	if y.root = c.Y.Root; y.root {
		y.rootTicks()
	}
	if c.X.Low == c.X.High && !slices.ContainsFunc(c.Marks, func(m Mark) bool { return m.Shape == Bars }) {
		x.pad(.02, false, false)
	}
	if c.Y.Low == c.Y.High {
		y.pad(.02, y.lo == 0, false)
	}
	return x, y
}

// draw adds the points to an SVG of 100 × 100.
func (m Mark) draw(b *strings.Builder, x, y span) {
	at := func(px, py float64) string { return place(x.at(px)) + " " + place(1-y.at(py)) }
	class := map[Shape]string{Cloud: "cloud", Line: "line", Intervals: "interval", Bars: "bars"}[m.Shape]
	var d strings.Builder
	first := true
	for _, p := range m.Points {
		if !usable(p.X) || !usable(p.Y) {
			first = true
			continue
		}
		switch m.Shape {
		case Cloud:
			d.WriteString("M" + at(p.X, p.Y) + "h0")
		case Intervals:
			d.WriteString("M" + at(p.X, p.Y) + "V" + place(1-y.at(p.Y2)))
		case Bars:
			d.WriteString("M" + at(p.X, 0) + "V" + place(1-y.at(p.Y)) + "H" + place(x.at(p.X2)) + "V" + place(1-y.at(0)) + "Z")
		case Line:
			if first {
				d.WriteString("M" + at(p.X, p.Y))
			} else {
				d.WriteString("L" + at(p.X, p.Y))
			}
		}
		first = false
	}
	if d.Len() > 0 {
		fmt.Fprintf(b, `<path class="%s %s" d="%s"/>`, class, m.Kind, d.String())
	}
}

// usable says whether v can take part in a drawing; beyond 1e300 the width of an axis would overflow.
func usable(v float64) bool { return math.Abs(v) <= 1e300 }

// span is the range of an axis and its ticks.
type span struct {
	lo, hi   float64
	log      bool
	root     bool
	ticks    []float64
	decimals int
}

// newSpan is an axis from lo to hi with about n ticks. A range without width gets one.
func newSpan(lo, hi float64, log bool, n int) span {
	s := span{lo: lo, hi: hi, log: log}
	if !(lo <= hi) {
		s.lo, s.hi = 0, 1
		if log {
			s.lo, s.hi = 1, 10
		}
	}
	if log {
		if s.hi < 2*s.lo {
			s.lo, s.hi = s.lo/2, s.hi*2
		}
		first, last := int(math.Ceil(math.Log10(s.lo)-1e-9)), int(math.Floor(math.Log10(s.hi)+1e-9))
		step := max((last-first)/n, 1)
		for k := first; k <= last; k += step {
			s.ticks = append(s.ticks, math.Pow(10, float64(k)))
		}
		return s
	}
	if s.hi-s.lo <= 1e-9*max(math.Abs(s.lo), math.Abs(s.hi)) {
		room := max(math.Abs(s.lo), math.Abs(s.hi)) / 20
		if room == 0 {
			room = 1
		}
		s.lo, s.hi = s.lo-room, s.hi+room
	}
	raw := (s.hi - s.lo) / float64(n)
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, f := range []float64{1, 2, 2.5, 5} {
		if f*unit >= raw*.999 {
			step = f * unit
			break
		}
	}
	for i := math.Ceil(s.lo/step - 1e-9); i*step <= s.hi+1e-9*step; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	s.decimals = decimalsOf(step)
	return s
}

// rootTicks are ticks at 1, 2 and 5 times powers of ten that stand well apart where heights are square roots.
func (s *span) rootTicks() {
	s.ticks = []float64{0}
	least, last := .2, s.at(s.hi)+1
	var down []float64
	for k := math.Floor(math.Log10(max(s.hi, 1))); k >= 0; k-- {
		for _, f := range []float64{5, 2, 1} {
			v := f * math.Pow(10, k)
			if v <= s.hi && last-s.at(v) >= least && s.at(v) >= least {
				down, last = append(down, v), s.at(v)
			}
		}
	}
	slices.Reverse(down)
	s.ticks, s.decimals = append(s.ticks, down...), 0
}

// decimalsOf is how many decimals the multiples of step have.
func decimalsOf(step float64) int {
	text := strconv.FormatFloat(step, 'f', 12, 64)
	_, fraction, _ := strings.Cut(text, ".")
	return len(strings.TrimRight(fraction, "0"))
}

// pad gives the range room at both ends, unless they are fixed.
func (s *span) pad(share float64, lo, hi bool) {
	if s.log {
		room := math.Pow(s.hi/s.lo, share)
		s.lo, s.hi = s.lo/room, s.hi*room
		return
	}
	room := (s.hi - s.lo) * share
	if !lo {
		s.lo -= room
	}
	if !hi {
		s.hi += room
	}
}

// at is where v lies, from 0 to 1.
func (s span) at(v float64) float64 {
	t := (v - s.lo) / (s.hi - s.lo)
	if s.log {
		t = math.Log(v/s.lo) / math.Log(s.hi/s.lo)
	}
	if s.root {
		t = math.Sqrt(max(t, 0))
	}
	return min(max(t, 0), 1)
}

// label is the text of a tick.
func (s span) label(t float64, percent, points bool) string {
	switch {
	case s.log:
		return numbers.Power(int(math.Round(math.Log10(t))))
	case percent:
		return numbers.Percent(t, max(s.decimals-2, 0))
	case points:
		return numbers.Signed(numbers.Fixed(100*t, max(s.decimals-2, 0)))
	case max(math.Abs(s.lo), math.Abs(s.hi)) >= 1e7:
		if t == 0 {
			return "0"
		}
		return numbers.Digits(t, 3)
	}
	return numbers.Fixed(t, s.decimals)
}

// place is a share in per cent.
func place(share float64) string { return short(100 * share) }

func short(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// matrixView is a Matrix as the template reads it.
type matrixView struct {
	Title, Hint, Given string
	Dense              bool
	Heads              []string
	Rows               []matrixRow
}

type matrixRow struct {
	Class, Total string
	Cells        []matrixCell
}

type matrixCell struct{ Class, Shade, Count, Share string }

// View is m with shares and shades.
func (m *Matrix) View() matrixView {
	v := matrixView{Title: m.Title, Hint: m.Hint, Given: numbers.Plain(m.Given), Dense: len(m.Classes) > 4}
	for _, c := range m.Classes {
		head := name(c)
		if !v.Dense {
			head = "says “" + head + "”"
		}
		v.Heads = append(v.Heads, head)
	}
	for i, counts := range m.Counts {
		total := 0
		for _, n := range counts {
			total += n
		}
		row := matrixRow{Class: name(m.Classes[i]), Total: numbers.Count(total)}
		for j, n := range counts {
			cell := matrixCell{}
			if n > 0 || !v.Dense {
				cell.Count = numbers.Count(n)
			}
			if n > 0 {
				share := float64(n) / float64(total)
				cell.Class, cell.Shade = "miss", short(.05+.5*math.Sqrt(share))
				if i == j {
					cell.Class, cell.Shade = "hit", short(.05+.22*share)
				}
				if !v.Dense {
					cell.Share = numbers.Percent(share, 0)
				}
			}
			row.Cells = append(row.Cells, cell)
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}
