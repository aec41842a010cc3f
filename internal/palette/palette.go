// Package palette is the colours of reports and figures, on light paper and on dark.
//
// Blue is the result, grey what it is compared with, orange what a person should look at; green and ink are the third
// and the fourth curve of a figure. Text has a contrast of at least 4.5 to 1 with its paper, marks 3 to 1.
package palette

import (
	"fmt"
	"image/color"
	"strings"
)

// Colour is one colour, on light paper and on dark. The colours of this package differ from one another on both.
type Colour struct {
	Name        string // of its CSS variable, without the dashes
	Light, Dark color.NRGBA
}

// The colours.
var (
	Paper  = hex("paper", 0xffffff, 0x14171b)
	Ink    = hex("ink", 0x1a1d21, 0xe7e9ec)
	Quiet  = hex("quiet", 0x59616b, 0xa4adb8) // text beside the matter: labels of axes, captions
	Rule   = hex("rule", 0xdde1e6, 0x333a43)  // lines of tables and grids
	Mark   = hex("mark", 0x7a828c, 0x8b949f)  // what a result is compared with
	Muted  = hex("muted", 0xa9b0b8, 0x5f6873) // curves behind the others
	Blue   = hex("blue", 0x0b62a4, 0x69b3f2)
	Orange = hex("orange", 0xb34a00, 0xf2994f)
	Green  = hex("green", 0x007a5e, 0x4cc4a0)
)

// All are all colours.
var All = []Colour{Paper, Ink, Quiet, Rule, Mark, Muted, Blue, Orange, Green}

// Fonts are the fonts of all text, as CSS has them.
const Fonts = `system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif`

// CSS is a style sheet that defines each colour as a variable, --blue and so on: dark on screens that ask for it, and
// light elsewhere, on printed paper too.
func CSS() string {
	root := func(indent, scheme string, of func(Colour) color.NRGBA) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%s:root {\n%s  color-scheme: %s;\n", indent, indent, scheme)
		for _, c := range All {
			fmt.Fprintf(&b, "%s  --%s: %s;\n", indent, c.Name, Hex(of(c)))
		}
		return b.String() + indent + "}\n"
	}
	return root("", "light", func(c Colour) color.NRGBA { return c.Light }) +
		"@media screen and (prefers-color-scheme: dark) {\n" +
		root("  ", "dark", func(c Colour) color.NRGBA { return c.Dark }) + "}\n"
}

// Hex is c as CSS has it, without its opacity.
func Hex(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func hex(name string, light, dark uint32) Colour {
	of := func(v uint32) color.NRGBA { return color.NRGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 0xff} }
	return Colour{name, of(light), of(dark)}
}
