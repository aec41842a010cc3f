package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var nan = math.NaN()

// render writes d and checks what holds for every report: well-formed, in one
// piece, with unique ids, and without a number that went wrong.
func render(t *testing.T, d Data) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, d); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	decoder := xml.NewDecoder(strings.NewReader(html))
	ids := map[string]bool{}
	depth := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			depth++
			switch e.Name.Local {
			case "script", "link", "img", "iframe", "object", "use", "image", "a":
				t.Errorf("element <%s>", e.Name.Local)
			}
			for _, a := range e.Attr {
				value := a.Value
				switch key := a.Name.Local; {
				case key == "id" && ids[value]:
					t.Errorf("id %q twice", value)
				case key == "id":
					ids[value] = true
				case strings.HasPrefix(key, "on"), key == "src", key == "href":
					t.Errorf("attribute %s", key)
				case key == "title" || key == "class":
				case strings.Contains(value, "NaN"), strings.Contains(value, "Inf"), strings.Contains(value, "ZgotmplZ"):
					t.Errorf("<%s %s=%q>", e.Name.Local, key, value)
				}
				if a.Name.Local == "aria-labelledby" {
					defer func() {
						for id := range strings.FieldsSeq(value) {
							if !ids[id] {
								t.Errorf("no element with id %q", id)
							}
						}
					}()
				}
			}
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 || !strings.HasPrefix(html, "<!DOCTYPE html>\n<html") {
		t.Errorf("document is not one html element: starts %.40q", html)
	}
	for _, foreign := range []string{"http:", "https:", "@import", "url(\"", "//"} {
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
			t.Errorf("report lacks %q", part)
		}
	}
}

func lacks(t *testing.T, html string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(html, part) {
			t.Errorf("report has %q", part)
		}
	}
}

// classifier is a plausible run with the given count of strengths.
func classifier(nStrengths, nClasses int) Data {
	rng := rand.New(rand.NewPCG(1, 2))
	d := Data{
		Title:    "Digits: softmax regression",
		Subtitle: "1,797 rows, 64 features, 10 classes",
		Words: []string{"Learning one strength per feature lowered the validation loss by 12%.",
			"The test loss fell too."},
		Baseline:     Row{"best shared strength", 0.20712, 0.21944, 0.9533},
		Result:       Row{"one strength per feature", 0.18124, 0.20011, 0.9611},
		Metric:       "test accuracy",
		Share:        true,
		StrengthNote: "One strength for each feature.",
		Facts:        []Fact{{"Data", "digits, split 60 : 20 : 20"}, {"Method", "HOAG, projected L-BFGS"}, {"Seed", "1"}},
	}
	for i := range 45 {
		decay := math.Exp(-float64(i) / 6)
		d.Trace = append(d.Trace, TracePoint{int64(i), 0.031 * float64(i), 0.18124 + 0.5*decay*decay,
			0.4 * decay * (1 + 0.3*rng.Float64())})
	}
	for x := -12.0; x <= 12; x += 2 {
		d.Grid = append(d.Grid, GridPoint{x, 0.20712 + 0.002*(x+4)*(x+4)})
	}
	for i := range nStrengths {
		x := max(-12, min(12, -4+4*rng.NormFloat64()))
		d.Strengths = append(d.Strengths, Strength{fmt.Sprintf("pixel %d", i), x, math.Exp(x)})
	}
	c := &Confusion{On: "test"}
	for i := range nClasses {
		c.Classes = append(c.Classes, fmt.Sprint(i))
		row := make([]int, nClasses)
		row[i] = 30 + rng.IntN(10)
		for range 3 {
			row[rng.IntN(nClasses)]++
		}
		c.Counts = append(c.Counts, row)
	}
	d.Confusion = c
	return d
}

// regression is a plausible run of ridge regression on n rows.
func regression(n int) Data {
	rng := rand.New(rand.NewPCG(3, 4))
	d := Data{
		Title:    "Diabetes: ridge regression",
		Baseline: Row{"grid", 3012.5, nan, 54.886},
		Result:   Row{"result", 2987.1, nan, 55.1},
		Metric:   "RMSE",
	}
	r := &Residuals{On: "validation"}
	for range n {
		y := 150 + 60*rng.NormFloat64()
		r.Observed = append(r.Observed, y+20*rng.NormFloat64())
		r.Predicted = append(r.Predicted, y)
	}
	d.Residuals = r
	for i := range 12 {
		d.Strengths = append(d.Strengths, Strength{fmt.Sprintf("s%d", i), float64(i) / 3, float64(i) / 3})
	}
	return d
}

func TestWholeReport(t *testing.T) {
	html := render(t, classifier(22, 10))
	wants(t, html,
		"<title>Digits: softmax regression</title>", "1,797 rows, 64 features, 10 classes",
		"The test loss fell too.", `id="loss-title"`, `id="gradient-title"`, `id="grid-title"`,
		"best, 0.20712 at x = −4.00", "One strength for each feature.", "Confusion matrix: test",
		"projected L-BFGS", "prefers-color-scheme: dark", "@media print", `name="viewport"`,
		"default-src 'none'")
	lacks(t, html, `id="histogram-title"`, "Residuals")
}

func TestSectionsWithoutDataAreLeftOut(t *testing.T) {
	html := render(t, Data{Title: "t", Baseline: Row{"", nan, nan, nan}, Result: Row{"", nan, nan, nan}})
	lacks(t, html, "<section>", "<table", "<figure>", "<h2>")
}

func TestEdges(t *testing.T) {
	inf := math.Inf(1)
	trace := func(values ...float64) Data {
		var d Data
		for i, v := range values {
			d.Trace = append(d.Trace, TracePoint{int64(10 * i), float64(i), v, v})
		}
		d.Baseline.Validation = 0.5
		return d
	}
	strengths := func(values ...float64) Data {
		var d Data
		for i, v := range values {
			d.Strengths = append(d.Strengths, Strength{fmt.Sprint("s", i), v, math.Exp(v)})
		}
		return d
	}
	repeat := func(v float64, n int) []float64 {
		values := make([]float64, n)
		for i := range values {
			values[i] = v
		}
		return values
	}
	grid := func(values ...float64) Data {
		var d Data
		for i, v := range values {
			d.Grid = append(d.Grid, GridPoint{float64(i), v})
		}
		return d
	}
	backwards := trace(3, 2, 1)
	for i := range backwards.Trace {
		backwards.Trace[i].Step = 7
	}
	timeless := trace(3, 2, 1)
	for i := range timeless.Trace {
		timeless.Trace[i].Step, timeless.Trace[i].Seconds = 7, nan
	}
	for _, test := range []struct {
		name string
		d    Data
		want []string
	}{
		{"one record", trace(0.25), []string{"lowest, 0.25000 at step 0", "1 record up to step 0"}},
		{"constant", trace(2, 2, 2), []string{"lowest, 2.0000 at step 0"}},
		{"zeros", trace(0, 0), []string{"lowest, 0 at step 0"}},
		{"all NaN", trace(nan, nan), []string{"No finite validation loss in 2 records."}},
		{"gaps", trace(nan, 3, inf, 2, -inf), []string{"3 records without a finite value left out",
			"lowest, 2.0000 at step 30"}},
		{"extreme", trace(5e-324, 1e300, math.MaxFloat64), []string{"1 record without a finite value"}},
		{"negative", trace(-1e300, 1e300), []string{"lowest, −1.0000e300"}},
		{"many decades", trace(1e9, 1e3, 1), []string{">10⁸</text>"}},
		{"same steps", backwards, []string{"after 2.00 s", ">time (s)</text>"}},
		{"neither steps nor time", timeless, []string{"at record 3"}},
		{"gradient sometimes zero", Data{Trace: []TracePoint{{0, 0, 1, 2}, {1, 1, 1, 0}, {2, 2, 1, nan}}},
			[]string{"1 record with norm 0 not on", "Not measured at 1 record."}},
		{"one grid point", grid(0.5), []string{"best, 0.50000 at x = 0", "1 value tried"}},
		{"constant grid", grid(0.5, 0.5, 0.5), []string{"best, 0.50000 at x = 0"}},
		{"all NaN grid", grid(nan, nan), []string{"No finite validation loss at 2 points of the grid."}},
		{"grid with gaps", grid(nan, 0.3, inf), []string{"best, 0.30000 at x = 1.00", "2 points without a finite value"}},
		{"one strength", strengths(-4), []string{"−4.00", "0.0183"}},
		{"equal strengths", strengths(repeat(-12, 100)...), []string{"100 strengths from x = −12.0 to x = −12.0"}},
		{"zero strengths", strengths(repeat(0, 100)...), []string{"100 strengths from x = 0 to x = 0"}},
		{"strengths without a number", strengths(repeat(nan, 100)...), []string{"No finite number among 100 strengths."}},
		{"huge strengths", strengths(append(repeat(700, 30), append(repeat(-745, 30), inf, -inf, nan)...)...),
			[]string{"3 strengths without a finite number"}},
		{"one class", Data{Confusion: &Confusion{"validation", []string{"yes"}, [][]int{{12}}}},
			[]string{"12 of 12 rows are classified correctly, 100.00%", "12<small>100</small>"}},
		{"no rows counted", Data{Confusion: &Confusion{"", []string{"a", "b"}, [][]int{{0, 0}, {0, 0}}}},
			[]string{"No rows were counted."}},
		{"no residuals", Data{Residuals: &Residuals{}}, []string{"No finite residual in 0 rows."}},
		{"one residual", Data{Residuals: &Residuals{"test", []float64{3}, []float64{1}}},
			[]string{"Over 1 row: root mean square 2.000, mean 2.00, largest 2.000."}},
		{"perfect fit", Data{Residuals: &Residuals{"", []float64{1, 1}, []float64{1, 1}}}, []string{"root mean square 0,"}},
		{"residuals of NaN", Data{Residuals: &Residuals{"", []float64{nan, inf, 2}, []float64{1, 1, 1}}},
			[]string{"2 rows without a finite residual left out"}},
	} {
		t.Run(test.name, func(t *testing.T) { wants(t, render(t, test.d), test.want...) })
	}
}

func TestNamesCannotEscape(t *testing.T) {
	hostile := "<script>alert(1)</script>\" onload='x' --> ]]> {{.}} \x00\x1b\xff\u202e\uffff äöü 漢字 🙂 " +
		strings.Repeat("long", 1000)
	d := classifier(3, 4)
	d.Title, d.Subtitle, d.StrengthNote, d.Metric = hostile, hostile, hostile, hostile
	d.Words = []string{hostile}
	d.Facts = []Fact{{hostile, hostile}}
	d.Baseline.Name, d.Result.Name = hostile, hostile
	d.Strengths[0].Name, d.Strengths[1].Name = hostile, ""
	d.Confusion.On, d.Confusion.Classes[0] = hostile, hostile
	d.Residuals = &Residuals{On: hostile, Observed: []float64{1}, Predicted: []float64{2}}
	html := render(t, d)
	lacks(t, html, "<script", "\x00", "\x1b", "\uffff", `" onload`)
	wants(t, html, "&lt;script&gt;alert(1)", "漢字", "🙂", "(no name)")

	large := classifier(0, 40)
	large.Confusion.Classes[0] = hostile
	large.Confusion.Counts[0][1] = 99
	html = render(t, large)
	wants(t, html, "&lt;script&gt;alert(1)")
	if n := strings.Count(html, "long"); n > longestName {
		t.Errorf("a class name fills the page: %d repetitions", n)
	}
}

func TestComparisonMarksTheBetter(t *testing.T) {
	for _, test := range []struct {
		name             string
		baseline, result Row
		metric           string
		share            bool
		better           []string // marked texts, in order
		change           []string
	}{
		{"lower loss, higher accuracy", Row{"", 0.5, 0.7, 0.9}, Row{"", 0.4, 0.8, 0.95}, "test accuracy", true,
			[]string{"0.70000", "0.40000", "95.00%"}, []string{"−20.00%", "+14.29%", "+5.00 points"}},
		{"lower RMSE", Row{"", 0.5, nan, 12}, Row{"", 0.5, nan, 9}, "RMSE", false, []string{"9.0000"}, []string{"0.00%", "−25.00%"}},
		{"another share", Row{"", 1, 1, 0.3}, Row{"", 1, 1, 0.4}, "F1", true, []string{"40.00%"}, []string{"0.00%", "0.00%", "+10.00 points"}},
		{"no metric", Row{"", 2, 1, 3}, Row{"", 1, 1, 4}, "", false, []string{"1.0000"}, []string{"−50.00%", "0.00%"}},
		{"alike in print", Row{"", 0.2, 1, 0.5}, Row{"", 0.2 - 1e-9, 1, 0.5}, "accuracy", true, nil, []string{"0.00%", "0.00%", "0.00 points"}},
		{"one side unknown", Row{"", nan, nan, nan}, Row{"", 1, nan, nan}, "accuracy", true, nil, []string{"–", "–"}},
		{"from zero", Row{"", 0, 1, 1}, Row{"", 1, 1e9, 1}, "accuracy", true, []string{"0", "1.0000"}, []string{"–", "+1.00e11%", "0.00 points"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := compare(test.baseline, test.result, "validation loss", test.metric, test.share)
			var better []string
			for _, row := range c.Rows {
				for _, v := range row.Values {
					if v.Better {
						better = append(better, v.Text)
					}
				}
			}
			if fmt.Sprint(better) != fmt.Sprint(test.better) {
				t.Errorf("marked %q, want %q", better, test.better)
			}
			if fmt.Sprint(c.Change) != fmt.Sprint(test.change) {
				t.Errorf("changes %q, want %q", c.Change, test.change)
			}
		})
	}
	html := render(t, Data{Baseline: Row{"", 1, nan, nan}, Result: Row{"", 2, nan, nan}})
	wants(t, html, `<bdi>baseline</bdi>`, `<bdi>result</bdi>`, `<span class="better">1.0000</span>`)
	if strings.Contains(html, "Test loss") {
		t.Error("a column for test rows where there are none")
	}
}

func TestLossIsCutWhereTheStartHidesTheGain(t *testing.T) {
	points := func(first float64) []point {
		all := []point{{0, first}}
		for i := range 20 {
			all = append(all, point{float64(i + 1), 0.18})
		}
		return all
	}
	if top, zoomed := closeUp(points(5), 0.18, 0.2); !zoomed || math.Abs(top-0.26) > 1e-12 {
		t.Errorf("start 5: cut %v at %g, want 0.26", zoomed, top)
	}
	for name, zoomed := range map[string]bool{
		"start near":      second(closeUp(points(0.25), 0.18, 0.2)),
		"no gain":         second(closeUp(points(5), 0.18, 0.18)),
		"worse":           second(closeUp(points(5), 0.18, 0.1)),
		"no baseline":     second(closeUp(points(5), 0.18, nan)),
		"mostly far away": second(closeUp([]point{{0, 9}, {1, 8}, {2, 7}, {3, 6}, {4, 0.18}}, 0.18, 0.2)),
	} {
		if zoomed {
			t.Errorf("%s: cut", name)
		}
	}
	wants(t, render(t, classifier(0, 2)), "the run started at 0.6812")
}

func second(_ float64, b bool) bool { return b }

func TestStrengthsAreSorted(t *testing.T) {
	d := classifier(40, 2)
	html := render(t, d)
	if n := strings.Count(html, `<th scope="row" title="pixel`); n != 40 {
		t.Errorf("%d bars for 40 strengths", n)
	}
	v := viewStrengths(d.Strengths, d.Grid, "", exponential)
	bars := v.Blocks[0].Bars
	x := map[string]float64{}
	for _, s := range d.Strengths {
		x[s.Name] = s.X
	}
	for i := 1; i < len(bars); i++ {
		if x[bars[i].Name] > x[bars[i-1].Name] {
			t.Errorf("bar %d, %s, is after a weaker one", i, bars[i].Name)
		}
	}
	for _, b := range bars {
		// Grid's best is −4: bars of stronger ones carry the other class.
		want := `class="more"`
		if x[b.Name] < -4 {
			want = `class="less"`
		}
		if !strings.Contains(string(b.Drawing), want) {
			t.Errorf("bar of x = %g is not %s", x[b.Name], want)
		}
	}
	d.Strengths[0], d.Strengths[39] = d.Strengths[39], d.Strengths[0]
	if render(t, d) != html {
		t.Error("the report depends on the order of the strengths")
	}
}

func TestManyStrengths(t *testing.T) {
	d := classifier(100_000, 30)
	for i := range d.Strengths {
		d.Strengths[i].X = float64(i) / 1e4
		d.Strengths[i].Value = d.Strengths[i].X
	}
	for i := range 50_000 {
		d.Trace = append(d.Trace, TracePoint{int64(100 + i), float64(i), 1 / float64(i+1), 1 / float64(i+1)})
	}
	d.Residuals = regression(100_000).Residuals
	start := time.Now()
	var b bytes.Buffer
	if err := Write(&b, d); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if b.Len() > 1<<20 {
		t.Errorf("%d bytes", b.Len())
	}
	html := render(t, d)
	wants(t, html, ">pixel 99999<", ">pixel 99985<", ">pixel 0<", ">pixel 14<", "The 15 largest", "The 15 smallest",
		`id="histogram-title"`, "100,000 strengths from x = 0 to x = 10.0, median 5.00", "x (strength)")
	lacks(t, html, ">pixel 99984<", ">pixel 15<")

	// 20 bins of width 0.5 with 5,000 strengths each: bars of one height.
	histogram := html[strings.Index(html, `id="histogram-desc"`):]
	histogram = histogram[:strings.Index(histogram, "</svg>")]
	bars := regexp.MustCompile(`<rect class="more" .* height="([0-9.]+)"/>`).FindAllStringSubmatch(histogram, -1)
	if len(bars) != 20 {
		t.Errorf("%d bins, want 20", len(bars))
	}
	for _, bar := range bars {
		if bar[1] != bars[0][1] {
			t.Errorf("bins of equal counts with heights %s and %s", bar[1], bars[0][1])
		}
	}
}

func TestParametrisation(t *testing.T) {
	for _, test := range []struct {
		name string
		of   []Strength
		want parametrisation
	}{
		{"exponential", []Strength{{"", -4, math.Exp(-4)}, {"", 0, 1}, {"", 800, math.Inf(1)}, {"", -800, 0}}, exponential},
		{"linear", []Strength{{"", 0, 0}, {"", 3, 3}}, linear},
		{"other", []Strength{{"", 2, 4}}, unknownParametrisation},
		{"none", nil, unknownParametrisation},
		{"NaN", []Strength{{"", nan, nan}}, unknownParametrisation},
	} {
		if got := parametrisationOf(test.of); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestConfusionMatrix(t *testing.T) {
	c := &Confusion{"test", []string{"cat", "dog"}, [][]int{{995, 5}, {1000, 3000}}}
	html := render(t, Data{Confusion: c})
	wants(t, html, "3,995 of 5,000 rows are classified correctly, 79.90%",
		`<td class="hit" style="--s:1.00">995<small>&gt;99</small></td>`, "5<small>&lt;1</small>", "1,000<small>25</small>",
		`<td class="miss" style="--s:0.50">`, `<td class="hit" style="--s:0.87">3,000<small>75</small></td>`,
		`<td class="total">4,000</td>`)

	for share, want := range map[float64]string{1: "100", 0.996: ">99", 0.99: "99", 0.5: "50", 0.004: "<1", 0.01: "1"} {
		if got := shareText(share); got != want {
			t.Errorf("share %g is %q, want %q", share, got, want)
		}
	}
	if n := strings.Count(render(t, classifier(0, 30)), `<td class="hit"`); n != 30 {
		t.Errorf("30 classes: %d diagonal cells", n)
	}
}

func TestManyClasses(t *testing.T) {
	d := classifier(0, 1000)
	d.Confusion.Counts[700][3] = 50
	d.Confusion.Counts[3][700] = 60
	html := render(t, d)
	if n := strings.Count(html, "<tr><td><bdi>"); n != mostPairs {
		t.Errorf("%d pairs", n)
	}
	first, next := strings.Index(html, "<td><bdi>3</bdi></td><td><bdi>700</bdi></td>"),
		strings.Index(html, "<td><bdi>700</bdi></td><td><bdi>3</bdi></td>")
	if first < 0 || next < first {
		t.Errorf("most confused pairs at %d and %d", first, next)
	}
	lacks(t, html, `class="matrix`)

	perfect := make([][]int, 50)
	for i := range perfect {
		perfect[i] = make([]int, 50)
		perfect[i][i] = 1
	}
	wants(t, render(t, Data{Confusion: &Confusion{"", make([]string, 50), perfect}}),
		"No pair of the 50 classes is confused.")
}

func TestResidualsAreSampled(t *testing.T) {
	for _, n := range []int{10, mostResiduals, mostResiduals + 1, 20_000} {
		html := render(t, regression(n))
		// One circle is the mark of the legend.
		if got, want := strings.Count(html, "<circle")-1, min(n, mostResiduals); got != want {
			t.Errorf("%d rows: %d points, want %d", n, got, want)
		}
		if said := strings.Contains(html, "The drawing shows 5,000 of these rows"); said != (n > mostResiduals) {
			t.Errorf("%d rows: sampling mentioned: %v", n, said)
		}
	}
}

func TestContradictoryShapes(t *testing.T) {
	for name, d := range map[string]Data{
		"rows":      {Confusion: &Confusion{Classes: []string{"a", "b"}, Counts: [][]int{{1, 2}}}},
		"columns":   {Confusion: &Confusion{Classes: []string{"a", "b"}, Counts: [][]int{{1, 2}, {3}}}},
		"negative":  {Confusion: &Confusion{Classes: []string{"a"}, Counts: [][]int{{-1}}}},
		"residuals": {Residuals: &Residuals{Observed: []float64{1}}},
	} {
		var b bytes.Buffer
		if err := Write(&b, d); err == nil || b.Len() > 0 {
			t.Errorf("%s: error %v after %d bytes", name, err, b.Len())
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteErrorIsReturned(t *testing.T) {
	if err := Write(fullDisk{}, Data{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v", err)
	}
}

func TestReferenceLinesLieOnTheAxis(t *testing.T) {
	line := func(f *figure, class string) (y float64) {
		t.Helper()
		match := regexp.MustCompile(`<line class="` + class +
			`" x1="[0-9.]+" y1="([0-9.]+)" x2="[0-9.]+" y2="([0-9.]+)"/>`).FindStringSubmatch(string(f.Inside))
		if match == nil || match[1] != match[2] {
			t.Fatalf("%s: no level line %q", f.ID, class)
		}
		y, _ = strconv.ParseFloat(match[1], 64)
		return y
	}
	circle := func(f *figure) (y float64) {
		t.Helper()
		match := regexp.MustCompile(`<circle class="best" cx="[0-9.]+" cy="([0-9.]+)"`).FindStringSubmatch(string(f.Inside))
		if match == nil {
			t.Fatalf("%s: no best point", f.ID)
		}
		y, _ = strconv.ParseFloat(match[1], 64)
		return y
	}
	trace := []TracePoint{{0, 0, 3, nan}, {1, 1, 1, nan}}
	grid := []GridPoint{{0, 3}, {1, 2}}
	level := Row{"", 2, nan, nan}

	// Down the page is up in the drawing: smaller losses are at larger y.
	loss := drawLoss(trace, level, "validation loss")
	if reference, best := line(loss, "reference"), circle(loss); best-reference < 50 {
		t.Errorf("best value 1 at %g, baseline 2 at %g", best, reference)
	}
	search := drawGrid(grid, level, "validation loss", exponential)
	if result, best := line(search, "result"), circle(search); result != best {
		t.Errorf("result 2 at %g, best of the grid 2 at %g", result, best)
	}
	for _, f := range []*figure{drawLoss(trace, Row{"", nan, nan, nan}, "validation loss"),
		drawGrid(grid, Row{"", nan, nan, nan}, "validation loss", linear)} {
		if strings.Contains(string(f.Inside), `class="re`) {
			t.Errorf("%s: line for an unknown value", f.ID)
		}
	}
}

// TestLossInWords checks what the loss is called, and that a gradient is called negligible only where it is.
func TestLossInWords(t *testing.T) {
	nan := math.NaN()
	write := func(on string, norm float64) string {
		var b strings.Builder
		err := Write(&b, Data{
			Title: "t", Trace: []TracePoint{{0, 0, 3, 1}, {1, 1, 1, norm}}, Grid: []GridPoint{{0, 3}, {1, 2}},
			Baseline: Row{"", 2, nan, nan}, Result: Row{"", 1, nan, nan},
			Confusion: &Confusion{On: on, Classes: []string{"a"}, Counts: [][]int{{1}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	folds := write("out-of-fold", 1e-6)
	if strings.Contains(folds, "alidation loss") && !strings.Contains(folds, "ross-validation loss") ||
		strings.Contains(folds, "Test loss") || strings.Contains(folds, ">Validation loss") {
		t.Error("the loss of folds is not called cross-validation loss, or there is a column for test rows")
	}
	if !strings.Contains(folds, "It is negligible at the end") {
		t.Error("a negligible gradient is not called so")
	}
	if other := write("validation", .1); strings.Contains(other, "negligible") ||
		strings.Contains(other, "ross-validation") {
		t.Error("a gradient of 0.1 is called negligible, or the validation loss one of folds")
	}
}
