package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/bench"
)

// drawingFlags are the flags of commands that draw.
type drawingFlags struct {
	highlight    []string
	dark, narrow bool
}

func (f *drawingFlags) add(p *pflag.FlagSet) {
	f.addHighlight(p)
	p.BoolVar(&f.narrow, "narrow", false, "panels below one another, for narrow screens")
	p.BoolVar(&f.dark, "dark", false, "PNG on dark paper; SVG follows the reader's choice")
}

func (f *drawingFlags) addHighlight(p *pflag.FlagSet) {
	p.StringSliceVar(&f.highlight, "highlight", nil,
		"names of the curves in colour, at most four, separated by commas (default: the figure's choice)")
}

// in is how a figure is drawn in a format.
func (f *drawingFlags) in(format string) bench.Drawing {
	return bench.Drawing{Format: format, Dark: f.dark, Narrow: f.narrow, Front: f.highlight}
}

// check makes an error of a name that no curve has one of usage.
func (f *drawingFlags) check(err error) error {
	if wrong := bench.FrontError(""); errors.As(err, &wrong) {
		return usagef("--highlight: %s", string(wrong))
	}
	return err
}
