package dataset

import (
	"fmt"
	"slices"

	"golang.org/x/text/unicode/norm"
)

// Names of columns, levels and classes are compared in one Unicode form, the composed one: é is one character or two,
// by the program that wrote it, and looks the same.

// composed is s in that form, and whether that changed it.
func composed(s string) (string, bool) {
	if norm.NFC.IsNormalString(s) {
		return s, false
	}
	return norm.NFC.String(s), true
}

// forms counts what was in another form.
type forms struct {
	n     int
	first string
}

func (f *forms) add(s string) {
	if f.n++; f.n == 1 {
		f.first = s
	}
}

// compose returns names in the composed form.
func (f *forms) compose(names []string) []string {
	out := names
	for i, n := range names {
		if c, changed := composed(n); changed {
			if f.add(c); &out[0] == &names[0] {
				out = slices.Clone(names)
			}
			out[i] = c
		}
	}
	return out
}

// note is what to say about them, "" where there are none.
func (f *forms) note() string {
	switch f.n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("The name or level %s is in another Unicode form, and is compared in the composed one (NFC).",
			quote(f.first))
	}
	return fmt.Sprintf("%d names and levels, such as %s, are in another Unicode form, and are compared in the composed "+
		"one (NFC).", f.n, quote(f.first))
}

// compose brings the names of columns that o has into the composed form. Nothing is said of these.
func (o *Options) compose() {
	var f forms
	for _, s := range []*string{&o.Label, &o.ID} {
		*s, _ = composed(*s)
	}
	for _, names := range []*[]string{&o.Beside, &o.Drop, &o.Only, &o.Categorical, &o.Texts} {
		*names = f.compose(*names)
	}
}
