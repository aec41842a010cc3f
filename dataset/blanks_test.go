package dataset

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// Tables as numpy.savetxt, write.table of R, Excel and typists leave them.
func TestBlanks(t *testing.T) {
	want := [][]float64{{1, 20}, {2, -3.5}, {3, 40}}
	for name, text := range map[string]string{
		"a run":      "a   b y\n 1  20 0\n 2  -3.5 1\n 3   40 0\n",
		"end":        "a b y\r\n1 20 0  \r\n2 -3.5 1\r\n3 40 0",
		"savetxt":    "# a b y\n1.0e+00 2.0e+01 0\n2.0e+00 -3.5 1\n3.0e+00 4.0e+01 0\n",
		"glued":      "#a b y\n1 20 0\n2 -3.5 1\n3 40 0\n",
		"comment":    "# made by hand\na b y\n1 20 0\n2 -3.5 1\n3 40 0\n",
		"R":          "\"a\" \"b\" \"y\"\n\"1\" 1 20 0\n\"2\" 2 -3.5 1\n\"3\" 3 40 0\n",
		"Excel":      "sep=;\r\na;b;y\r\n1;20;0\r\n2;-3.5;1\r\n3;40;0\r\n",
		"Excel, tab": "\xef\xbb\xbfsep=\t\na\tb\ty\n1\t20\t0\n2\t-3.5\t1\n3\t40\t0\n",
		"comma":      "\"sep=,\"\na,b,y\n1,20,0\n2,-3.5,1\n3,40,0\n",
	} {
		s, err := ReadFrom(t.Context(), strings.NewReader(text), "x.txt", Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, values(s)); d != "" || s.Schema.Label != "y" || len(s.Y) != 3 {
			t.Errorf("%s: %s, label %q", name, d, s.Schema.Label)
		}
		if said := strings.Contains(strings.Join(s.Notes, " "), "blanks"); said == strings.Contains(text, "sep=") {
			t.Errorf("%s: %q", name, s.Notes)
		}
	}
	s := readString(t, "x.dat", "1 20 0\n2 -3.5 1\n3 40 0\n", Options{NoHeader: true})
	if d := cmp.Diff(want, values(s)); d != "" {
		t.Error(d)
	}
	s = readString(t, "x.txt", "town size y\n\"New  York\" 8 1\n\"a \"\"b\"\" c\" 2 0\nRome 3 1\n", Options{})
	if levels := s.Schema.Columns[0].Levels; !cmp.Equal(levels, []string{"New  York", "Rome", "a \"b\" c"}) {
		t.Errorf("%q", levels)
	}
	for text, says := range map[string]string{
		"a b y\n1 20 0\n2 1\n":        "not recognised",
		"these are words\nand more\n": "not recognised",
		"1 20 0\n2 3 1\n":             "--no-header",
		"sep=;\na;b;y\n1;2\n":         "x.txt:3: the row has 2 cells",
	} {
		_, err := ReadFrom(t.Context(), strings.NewReader(text), "x.txt", Options{})
		wantError(t, err, says)
	}
}

// A byte at a time or all at once is the same.
func TestBlanksReader(t *testing.T) {
	text := " a   b\n\n\"c  d\"  e \r\n\tf\t \"\"\"g \" h\"i  j\n"
	want := "a\tb\n\n\"c  d\"\te\r\nf\t\"\"\"g \"\th\"i\tj\n"
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)),
		iotest.DataErrReader(strings.NewReader(text))} {
		if got, err := io.ReadAll(&blanks{r: r}); string(got) != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}
