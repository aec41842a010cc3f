package chart

import (
	"image/color"
	"strings"
	"unicode/utf8"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// words is gonum's handler of plain text, with exponents: the superscripts of Unicode are drawn as small raised
// figures, for few fonts have all of them. On a canvas that aligns text itself it leaves that to the canvas.
type words struct{ text.Plain }

var handler = words{text.Plain{Fonts: font.NewCache(liberation.Collection())}}

// slack is how much wider than the font that text is measured with a reader's font may be.
const slack = 1.18

// style is that of a line of text.
func style(c color.Color, size vg.Length, bold bool, x draw.XAlignment, y draw.YAlignment) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return text.Style{Color: c, Font: f, XAlign: x, YAlign: y, Handler: handler}
}

// roomFor is the width that a name may take in any font.
func roomFor(name string, bold bool) vg.Length {
	w, _, _ := handler.Box(name, style(nil, textSize, bold, 0, 0).Font)
	return w*slack + leaderWidth
}

// superscripts and what they stand for.
var superscripts = strings.NewReplacer("⁰", "0", "¹", "1", "²", "2", "³", "3", "⁴", "4", "⁵", "5", "⁶", "6", "⁷", "7",
	"⁸", "8", "⁹", "9", "⁻", "−")

// Superscript writes the digits and the minus of s as superscripts.
func Superscript(s string) string {
	const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹"
	var b strings.Builder
	for _, r := range s {
		if r == '-' || r == '−' {
			b.WriteRune('⁻')
			continue
		}
		b.WriteRune([]rune(digits)[r-'0'])
	}
	return b.String()
}

// piece is a part of a line of text.
type piece struct {
	text   string
	raised bool
}

// Raised text is smaller and higher by these shares of the size.
const (
	raisedSize = 0.72
	raisedBy   = 0.38
)

// pieces splits s into what is raised and what is not.
func pieces(s string) []piece {
	var list []piece
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		plain := superscripts.Replace(s[:n])
		raised := plain != s[:n]
		if k := len(list); k > 0 && list[k-1].raised == raised {
			list[k-1].text += plain
		} else {
			list = append(list, piece{plain, raised})
		}
		s = s[n:]
	}
	return list
}

// font is that of p in text of font f.
func (p piece) font(f font.Font) font.Font {
	if p.raised {
		f.Size *= raisedSize
	}
	return f
}

// Box measures the pieces.
func (w words) Box(s string, f font.Font) (width, height, depth vg.Length) {
	_, height, depth = w.Plain.Box("", f)
	for _, p := range pieces(s) {
		part, _, _ := w.Plain.Box(p.text, p.font(f))
		width += part
	}
	return width, height, depth
}

// aligner is a canvas that aligns text itself: x is where it begins, where its middle is, or where it ends.
type aligner interface {
	fillAligned(f font.Font, at vg.Point, x text.XAlignment, s string)
}

// innermost is the canvas that those of gonum, which are parts of one another, draw on.
func innermost(c vg.Canvas) vg.Canvas {
	switch d := c.(type) {
	case *draw.Canvas:
		return innermost(d.Canvas)
	case draw.Canvas:
		return innermost(d.Canvas)
	}
	return c
}

// halfDigit is half the height of a digit, as a share of the size.
const halfDigit = 0.36

// Draw draws one line. As gonum's axes have it, text that is centred has its middle at pt less the descent of the font.
func (w words) Draw(c vg.Canvas, s string, sty text.Style, pt vg.Point) {
	if s == "" {
		return
	}
	c = innermost(c)
	width, height, depth := w.Box(s, sty.Font)
	if sty.YAlign == text.YCenter {
		pt.Y -= depth + halfDigit*sty.Font.Size
	} else {
		pt.Y += (height + depth) * vg.Length(sty.YAlign)
	}
	c.SetColor(sty.Color)
	if a, ok := c.(aligner); ok {
		a.fillAligned(sty.Font, pt, sty.XAlign, s)
		return
	}
	pt.X += width * vg.Length(sty.XAlign)
	for _, p := range pieces(s) {
		at, f := pt, p.font(sty.Font)
		if p.raised {
			at.Y += sty.Font.Size * raisedBy
		}
		face := w.Fonts.Lookup(f, f.Size)
		c.FillString(face, at, p.text)
		pt.X += face.Width(p.text)
	}
}

// wrap breaks s into lines of at most that width.
func wrap(s string, width vg.Length) []string {
	var lines []string
	f := style(nil, textSize, false, 0, 0).Font
	for _, word := range strings.Fields(s) {
		if k := len(lines); k > 0 {
			longer := lines[k-1] + " " + word
			if w, _, _ := handler.Box(longer, f); w*slack <= width {
				lines[k-1] = longer
				continue
			}
		}
		lines = append(lines, word)
	}
	return lines
}
