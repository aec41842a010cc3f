package palette_test

import (
	"image/color"
	"math"
	"strings"
	"testing"

	"github.com/bilevel-go/bilevel/internal/palette"
)

// contrast is the ratio of luminances that guidelines of accessibility speak of.
func contrast(a, b color.NRGBA) float64 {
	luminance := func(c color.NRGBA) float64 {
		linear := func(v uint8) float64 {
			s := float64(v) / 255
			if s <= 0.04045 {
				return s / 12.92
			}
			return math.Pow((s+0.055)/1.055, 2.4)
		}
		return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
	}
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func TestContrast(t *testing.T) {
	for _, c := range []struct {
		colour palette.Colour
		least  float64
	}{
		{palette.Ink, 4.5}, {palette.Quiet, 4.5}, {palette.Blue, 4.5}, {palette.Orange, 4.5}, {palette.Green, 4.5},
		{palette.Mark, 3},
	} {
		for scheme, got := range map[string]float64{
			"light": contrast(c.colour.Light, palette.Paper.Light), "dark": contrast(c.colour.Dark, palette.Paper.Dark),
		} {
			if got < c.least {
				t.Errorf("%s, %s: contrast %.2f, want %g", c.colour.Name, scheme, got, c.least)
			}
		}
	}
}

// A colour can be told from the others by its value alone, and both schemes define it.
func TestColours(t *testing.T) {
	light, dark, ok := strings.Cut(palette.CSS(), "@media")
	seen := map[color.NRGBA]string{}
	for _, c := range palette.All {
		for _, v := range []color.NRGBA{c.Light, c.Dark} {
			if other := seen[v]; other != "" {
				t.Errorf("%s is %s", c.Name, other)
			}
			seen[v] = c.Name
		}
		if !ok || !strings.Contains(light, "--"+c.Name+": "+palette.Hex(c.Light)+";") ||
			!strings.Contains(dark, "--"+c.Name+": "+palette.Hex(c.Dark)+";") {
			t.Errorf("no %s in\n%s", c.Name, palette.CSS())
		}
	}
}
