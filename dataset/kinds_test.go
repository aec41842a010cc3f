package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// Ordinary columns that would be read wrongly without a word: they are refused with what to type, or read and said.
func TestKinds(t *testing.T) {
	cells := func(cell func(i int) string) string {
		b := strings.Builder{}
		b.WriteString("a,b,y\n")
		for i := range 30 {
			fmt.Fprintf(&b, "%s,%d,%d\n", cell(i), i*i%7, i/7%2)
		}
		return b.String()
	}
	number := func(form string) string {
		return cells(func(i int) string { return fmt.Sprintf(form, i%5+1) })
	}
	for _, c := range []struct{ name, text, refused, noted string }{
		{"unit", number("%d kg"), `f.csv:2: column "a": "1 kg" is a number with a unit; write numbers alone, or`, ""},
		{"thousands", number("%dk"), "number with a unit", ""},
		{"units", cells(func(i int) string { return []string{"3 kg", "4 g", "5 t"}[i%3] }), "", ""},
		{"two levels", cells(func(i int) string { return []string{"2wd", "4wd"}[i%2] }), "", ""},
		{"ordinals", cells(func(i int) string { return []string{"1st", "2nd", "3rd", "4th"}[i%4] }), "", ""},
		{"ranges", cells(func(i int) string { return fmt.Sprintf("%d-%d", i%5, i%5+9) }), "", ""},
		{"hexadecimal", number("0x%d"), "hexadecimal number; write decimal", ""},
		{"spans", number("%d days 12:00:00"), "span of time; write it as a number", ""},
		{"codes", number("%04d"), "", `"a" have zeros in front, such as "0001", as codes have: --categorical a`},
		{"fractions", number("0.%d"), "", ""},
		{"days", number("2021010%d"), "", `"a" look like dates, such as 20210101`},
		{"no days", number("2021130%d"), "", ""},
		{"marks", cells(func(i int) string { return []string{"-999", "5", "7"}[i%3] }), "",
			`"a" is -999 in 10 rows, far from all others`},
		{"no marks", cells(func(i int) string { return []string{"99", "80", "60"}[i%3] }), "", ""},
		{"a comma behind each row", strings.ReplaceAll(number("%d"), "\n", ",\n"), "",
			"Column 4 has no name and no cells, and is left out."},
		{"an empty column", cells(func(int) string { return "" }), `leave out "a", which is empty, with --drop a`, ""},
		{"a title", "My table\n\n" + number("%d"), "f.csv:1: the first line has one cell, and the next ones have more", ""},
		{"another delimiter", strings.ReplaceAll(number("%d"), ",", "~"), "separate columns by commas", ""},
		{"Markdown", "| a | y |\n|---|:-:|\n| 1 | 2 |\n", "f.csv: is a table of Markdown", ""},
	} {
		s, err := ReadFrom(t.Context(), strings.NewReader(c.text), "f.csv", Options{})
		switch {
		case c.refused != "":
			wantError(t, err, c.refused)
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.noted == "" && len(s.Notes) > 0 || !strings.Contains(strings.Join(s.Notes, " "), c.noted):
			t.Errorf("%s: %q", c.name, s.Notes)
		}
	}
	for descr, hint := range map[string]string{"<U3": "numpy.unique", "|S8": "numpy.unique", "|O": "astype"} {
		_, err := ReadFrom(t.Context(), strings.NewReader(string(npyFile(descr, false, "(2,)", []float64{1, 2}))), "y.npy",
			Options{})
		wantError(t, err, hint)
	}
}
