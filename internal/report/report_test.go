package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

var nan = math.NaN()

// render writes p and checks what holds for every page: well-formed, in one piece, and without a number that went
// wrong.
func render(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, p); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	decoder := xml.NewDecoder(strings.NewReader(html))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "script", "link", "iframe", "object", "use", "image", "a":
			t.Errorf("element <%s>", e.Name.Local)
		}
		for _, a := range e.Attr {
			switch key := a.Name.Local; {
			case key == "src" && strings.HasPrefix(a.Value, "data:image/png;base64,"):
			case strings.HasPrefix(key, "on"), key == "src", key == "href":
				t.Errorf("attribute %s", key)
			case key == "aria-label":
			case strings.Contains(a.Value, "NaN"), strings.Contains(a.Value, "Inf"), strings.Contains(a.Value, "ZgotmplZ"):
				t.Errorf("<%s %s=%q>", e.Name.Local, key, a.Value)
			}
		}
	}
	if !strings.HasPrefix(html, "<!DOCTYPE html>\n<html") {
		t.Errorf("document starts %.40q", html)
	}
	for _, foreign := range []string{"http:", "https:", "@import", "url(", "//"} {
		if strings.Contains(html, foreign) {
			t.Errorf("document contains %q", foreign)
		}
	}
	return html
}

func wants(t *testing.T, html string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(html, part) {
			t.Errorf("page lacks %q", part)
		}
	}
}

func lacks(t *testing.T, html string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(html, part) {
			t.Errorf("page has %q", part)
		}
	}
}

func TestPage(t *testing.T) {
	html := render(t, Example())
	wants(t, html, "<h1><b>price</b>, predicted from 11 columns</h1>", "<title>price, predicted from 11 columns</title>",
		`<p class="lead">`, `<div class="dots" role="list">`, `role="img" aria-label="A cloud of points."`,
		"<pre tabindex=\"0\"><code>bilevel predict --model m.json new.csv</code></pre>", "<summary>How it was obtained",
		"<code>--label</code>", `<s><bdi>5</bdi></s> → <b><bdi>2</bdi></b>`, "prefers-color-scheme: dark", "@media print",
		`name="viewport"`, "default-src 'none'", `class="number "><b>11,300</b></td>`)
	if strings.Index(html, "How it was obtained") < strings.Index(html, "What to do now") {
		t.Error("details are not last")
	}
}

func TestNothingIsAPage(t *testing.T) {
	lacks(t, render(t, Page{Title: "t"}), "<section>", "<table", "<figure", "<h2>", "<details>")
	render(t, Page{Sections: []Section{{Parts: []Part{&Dots{}, &Chart{}, &Table{}, &Matrix{}, Cards{}, Facts{}, Side{}}}}})
}

// Texts of files cannot become elements, and control characters of theirs no marks of bold type.
func TestNamesCannotEscape(t *testing.T) {
	hostile := "<script>alert(1)</script>\" onload='x' --> ]]> {{.}} \x00\x1b\x02\x03\x0e\x0f\xff\u202e\uffff äöü 漢字 🙂 " +
		strings.Repeat("long", 1000)
	safe := Name(hostile)
	html := render(t, Page{Title: safe, Above: hostile, Intro: []string{Bold(safe)}, Sections: []Section{{Title: safe,
		Parts: []Part{&Dots{Title: safe, Rows: []Dot{{Name: hostile, Small: hostile, Value: 1, Low: 0, High: 2}}},
			&Chart{Title: safe, Say: hostile, X: Axis{Name: hostile}, Labels: []Label{{Text: hostile}}},
			&Table{Title: safe, Columns: []Column{{Name: safe}}, Rows: [][]string{{safe}}},
			&Matrix{Given: hostile, Classes: []string{hostile}, Counts: [][]int{{1}}}, Cards{{From: safe, To: safe}},
			Command(hostile), Note(safe), Facts{{safe, safe}}}}}})
	lacks(t, html, "<script", "\x00", "\x1b", "\x02", "\x0e", "\uffff", `" onload`)
	wants(t, html, "&lt;script&gt;alert(1)", "漢字", "🙂")
	if Name(" ") != "(no name)" {
		t.Error("a name without letters")
	}
}

// Places of dots and intervals are those of their values on the common axis.
func TestDots(t *testing.T) {
	inf := math.Inf(1)
	v := (&Dots{Zero: true, Rows: []Dot{{Name: "a", Value: 50, Low: 0, High: 100, Strong: true},
		{Name: "b", Value: 25, Low: nan, High: nan, Kind: Reference}, {Name: "c", Value: nan, Low: -inf, High: inf}}}).View()
	a, b, c := v.Rows[0], v.Rows[1], v.Rows[2]
	if a.From != "0" || a.Width != "97.09" || a.At != "48.54" || b.At != "24.27" || b.Line || c.At != "" || c.Line ||
		a.Zero != "" || !a.Strong || b.Strong {
		t.Errorf("%+v", v.Rows)
	}
	if n := len(v.Ticks); n < 3 || v.Ticks[0] != (tickView{"0", "0", "left"}) || v.Ticks[n-1].Text != "100" {
		t.Errorf("%+v", v.Ticks)
	}
	both := (&Dots{Zero: true, Points: true, Rows: []Dot{{Value: -.2, Low: -.3, High: -.1}, {Value: .2, Low: .1,
		High: .3}}}).View()
	if both.Rows[0].Zero != "50" || both.Ticks[0].Text != "−20" || both.Ticks[len(both.Ticks)-1].Text != "+20" {
		t.Errorf("%+v", both)
	}
	log := (&Dots{Log: true, Rows: []Dot{{Value: 1e-3, Low: nan, High: nan}, {Value: 1e3, Low: nan, High: nan}}}).View()
	if log.Ticks[0].Text != "10⁻³" || !strings.HasPrefix(log.Rows[0].At, "2.") {
		t.Errorf("%+v", log)
	}
}

// The ticks of an axis are round, within it, and have as many decimals as each other.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		want   string
	}{
		{0, 27000, "0 10,000 20,000"}, {.55, .72, "0.55 0.60 0.65 0.70"}, {-3, 7, "−2.5 0.0 2.5 5.0"}, {5, 5, "4.8 5.0 5.2"},
		{0, 0, "−1.0 −0.5 0.0 0.5 1.0"}, {0, 3e7, "0 10.0 million 20.0 million 30.0 million"}, {1e-9, 4e-9,
			"0.000000001 0.000000002 0.000000003 0.000000004"},
	} {
		s := newSpan(c.lo, c.hi, false, 4)
		var got []string
		for _, v := range s.ticks {
			got = append(got, s.label(v, false, false))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v to %v: %s, want %s", c.lo, c.hi, strings.Join(got, " "), c.want)
		}
	}
	s := span{lo: 0, hi: 437, root: true}
	if s.rootTicks(); !slices.Equal(s.ticks, []float64{0, 50, 200}) {
		t.Errorf("%v", s.ticks)
	}
}

func TestMatrix(t *testing.T) {
	v := (&Matrix{Classes: []string{"no", "yes"}, Counts: [][]int{{3000, 1000}, {0, 50}}}).View()
	hit, miss, none := v.Rows[0].Cells[0], v.Rows[0].Cells[1], v.Rows[1].Cells[0]
	if hit.Class != "hit" || hit.Count != "3,000" || hit.Share != "75%" || miss.Class != "miss" || miss.Share != "25%" ||
		none.Class != "" || none.Count != "0" || v.Rows[0].Total != "4,000" || v.Heads[1] != "says “yes”" {
		t.Errorf("%+v", v)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteErrorIsReturned(t *testing.T) {
	if err := Write(fullDisk{}, Page{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v", err)
	}
}
