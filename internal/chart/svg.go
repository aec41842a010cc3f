package chart

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"

	"github.com/bilevel-go/bilevel/internal/palette"
)

// svg is a canvas that writes SVG: with the colours of light paper in attributes, which every program reads, and a
// style sheet that replaces them where the reader asks for dark. It has what charts need and no more: the canvas that
// it embeds is nil, and stands for turning, scaling and pictures.
type svg struct {
	vg.Canvas
	b             bytes.Buffer
	width, height vg.Length
	pen           pen
	stack         []pen
}

// pen is what the next path is drawn with.
type pen struct {
	colour color.NRGBA
	width  vg.Length
	dashes []vg.Length
}

func newSVG(label string, width, height vg.Length) *svg {
	s := &svg{width: width, height: height}
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s" `+
		`role="img" aria-label="%[3]s" font-family="%[4]s" stroke-linejoin="round">`+"\n<style>%[5]s</style>\n",
		decimal(width), decimal(height), escape(label), escape(palette.Fonts), sheet())
	return s
}

// sheet is the style sheet: colours of dark paper by those of light, and a grey curve that comes forward under the
// pointer. It says the light ones again, so that no sheet of a page that holds the drawing has others.
func sheet() string {
	var b strings.Builder
	colours := func(of func(palette.Colour) color.NRGBA) {
		for _, c := range palette.All {
			fmt.Fprintf(&b, `[fill="%[1]s"]{fill:%[2]s}[stroke="%[1]s"]{stroke:%[2]s}`, palette.Hex(c.Light), palette.Hex(of(c)))
		}
	}
	b.WriteString("text{font-variant-numeric:tabular-nums}")
	colours(func(c palette.Colour) color.NRGBA { return c.Light })
	b.WriteString("@media screen and (prefers-color-scheme:dark){")
	colours(func(c palette.Colour) color.NRGBA { return c.Dark })
	fmt.Fprintf(&b, "[fill-opacity]{fill-opacity:%g}}", faintDark)
	fmt.Fprintf(&b, `g:hover>[stroke="%s"]{stroke-width:3}g:hover>text{font-weight:bold}`,
		palette.Hex(palette.Muted.Light))
	return b.String()
}

func (s *svg) Size() (x, y vg.Length) { return s.width, s.height }

func (s *svg) paint(c palette.Colour, faint bool) color.Color {
	v := c.Light
	if faint {
		v.A = uint8(math.Round(faintLight * 255))
	}
	return v
}

func (s *svg) begin(name string) {
	fmt.Fprintf(&s.b, "<g><title>%s</title>\n", escape(name))
}

func (s *svg) end() { s.b.WriteString("</g>\n") }

func (s *svg) SetLineWidth(w vg.Length)                    { s.pen.width = w }
func (s *svg) SetLineDash(dashes []vg.Length, _ vg.Length) { s.pen.dashes = dashes }
func (s *svg) SetColor(c color.Color)                      { s.pen.colour = color.NRGBAModel.Convert(c).(color.NRGBA) }
func (s *svg) Push()                                       { s.stack = append(s.stack, s.pen) }

func (s *svg) Pop() {
	s.pen, s.stack = s.stack[len(s.stack)-1], s.stack[:len(s.stack)-1]
}

func (s *svg) Stroke(p vg.Path) {
	if s.pen.width <= 0 {
		return
	}
	fmt.Fprintf(&s.b, `<path fill="none" stroke="%s" stroke-width="%s"`, palette.Hex(s.pen.colour), decimal(s.pen.width))
	if len(s.pen.dashes) > 0 {
		var dashes []string
		for _, d := range s.pen.dashes {
			dashes = append(dashes, decimal(d))
		}
		fmt.Fprintf(&s.b, ` stroke-dasharray="%s"`, strings.Join(dashes, " "))
	}
	fmt.Fprintf(&s.b, ` d="%s"/>`+"\n", s.data(p))
}

func (s *svg) Fill(p vg.Path) {
	fmt.Fprintf(&s.b, `<path fill="%s"`, palette.Hex(s.pen.colour))
	if s.pen.colour.A < 0xff {
		fmt.Fprintf(&s.b, ` fill-opacity="%g"`, faintLight)
	}
	fmt.Fprintf(&s.b, ` d="%s"/>`+"\n", s.data(p))
}

// data is a path as SVG has it. Arcs are whole circles.
func (s *svg) data(path vg.Path) string {
	var b strings.Builder
	last := ""
	to := func(command string, p vg.Point) {
		if next := decimal(p.X) + " " + decimal(s.height-p.Y); command == "M" || next != last {
			b.WriteString(command + next)
			last = next
		}
	}
	for _, c := range path {
		switch c.Type {
		case vg.MoveComp:
			to("M", c.Pos)
		case vg.LineComp:
			to("L", c.Pos)
		case vg.ArcComp:
			r := decimal(c.Radius)
			fmt.Fprintf(&b, "M%s %sa%s %s 0 1 0 %s 0a%s %s 0 1 0 -%s 0", decimal(c.Pos.X-c.Radius), decimal(s.height-c.Pos.Y),
				r, r, decimal(2*c.Radius), r, r, decimal(2*c.Radius))
		case vg.CloseComp:
			b.WriteString("Z")
		default:
			panic(fmt.Sprintf("chart: no path of a chart has a part of type %d", c.Type))
		}
	}
	return b.String()
}

// anchors are the names of alignments.
var anchors = map[text.XAlignment]string{text.XLeft: "start", text.XCenter: "middle", text.XRight: "end"}

func (s *svg) fillAligned(f font.Font, at vg.Point, x text.XAlignment, words string) {
	fmt.Fprintf(&s.b, `<text x="%s" y="%s" fill="%s" style="font-size:%spx"`, decimal(at.X), decimal(s.height-at.Y),
		palette.Hex(s.pen.colour), decimal(f.Size))
	if f.Weight == xfont.WeightBold {
		s.b.WriteString(` font-weight="650"`)
	}
	if x != text.XLeft {
		fmt.Fprintf(&s.b, ` text-anchor="%s"`, anchors[x])
	}
	s.b.WriteString(">")
	raised := false
	for _, p := range pieces(words) {
		shift := vg.Length(0)
		switch {
		case p.raised && !raised:
			shift = -raisedBy * f.Size
		case !p.raised && raised:
			shift = raisedBy * f.Size
		}
		raised = p.raised
		if shift == 0 {
			s.b.WriteString(escape(p.text))
			continue
		}
		fmt.Fprintf(&s.b, `<tspan dy="%s"`, decimal(shift))
		if raised {
			fmt.Fprintf(&s.b, ` font-size="%s"`, decimal(f.Size*raisedSize))
		}
		fmt.Fprintf(&s.b, ">%s</tspan>", escape(p.text))
	}
	s.b.WriteString("</text>\n")
}

// String is the whole document.
func (s *svg) String() string { return s.b.String() + "</svg>\n" }

// WriteTo writes the whole document.
func (s *svg) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, s.String())
	return int64(n), err
}

// escape is s as text or an attribute: valid UTF-8 without control characters, which XML has not.
func escape(s string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xfffe || r == 0xffff {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar))))
}

// decimal is a length in pixels, to a tenth.
func decimal(v vg.Length) string {
	text := strings.TrimSuffix(strconv.FormatFloat(float64(v), 'f', 1, 64), ".0")
	if text == "-0" {
		return "0"
	}
	return text
}
