package report

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

// madeBench is a page of two methods, of which the second is slower and reaches less.
func madeBench(seeds int) BenchData {
	inf := math.Inf(1)
	return BenchData{
		Title: "made", Subtitle: "by hand", Runs: 2 * seeds,
		Problems: []BenchProblem{{
			Name: "valley", Levels: []float64{1e-2, 3e-5},
			Charts: []BenchChart{
				{Quantity: "distance", Caption: "Medians.", Wide: []template.HTML{"<svg>wide</svg>"},
					Narrow: []template.HTML{"<svg>narrow</svg>"}},
				{Quantity: "test error", Caption: "Medians too."},
			},
			Rows: []BenchRow{
				{Method: "fast", Params: "batch=64", Last: 4.2e-9, Seeds: seeds, Levels: []BenchLevel{
					{Seconds: 0.002, Samples: 1.3e6, Reached: seeds}, {Seconds: 1.5, Samples: 2e8, Reached: seeds}}},
				{Method: "slow", Last: inf, Seeds: seeds,
					Levels: []BenchLevel{{Seconds: 3e-5, Samples: 640, Reached: seeds}, {Seconds: inf, Samples: inf, Reached: 1}}},
			},
		}},
		Failures: []BenchFailure{{Problem: "valley", Method: "slow", Seed: 3, Step: -1, Message: "failed: no memory"}},
		Facts:    []Fact{{"Machine", "none"}},
	}
}

func renderBench(t *testing.T, d BenchData) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteBench(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var spaces = regexp.MustCompile(`<[^>]*>|\s+`)

func TestBenchPage(t *testing.T) {
	html := renderBench(t, madeBench(10))
	words := strings.Join(strings.Fields(spaces.ReplaceAllString(html, " ")), " ")
	for _, want := range []string{
		"h − h* ≤ 10⁻² h − h* ≤ 3.0·10⁻⁵", // the levels
		"fast batch=64 4.2·10⁻⁹ 2.00 ms 1.3·10⁶ terms, 10 of 10 1.50 s 2.0·10⁸ terms, 10 of 10",
		"slow – 30.0 µs 640 terms, 10 of 10 – 1 of 10",
		"The shortest time is bold.",
		"1 of 20 runs diverged or failed",
		"valley slow 3 – – failed: no memory",
		"Machine none",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, words)
		}
	}
	for _, want := range []string{`<details open=""><summary>distance`, "<details><summary>test error", "<svg>wide</svg>",
		"<svg>narrow</svg>", `class="number fastest">30.0 µs`, `class="number fastest">1.50 s`} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q", want)
		}
	}
	lacks(t, html, "<script", "http://", "https://")
	lacks(t, renderBench(t, madeBench(9)), "fastest\">", "is bold")
}

func TestBenchErrors(t *testing.T) {
	short := madeBench(3)
	short.Problems[0].Rows[1].Levels = nil
	for want, d := range map[string]BenchData{
		"report: a benchmark without runs":         {Title: "t"},
		"report: slow on valley has 0 of 2 levels": short,
	} {
		var b bytes.Buffer
		if err := WriteBench(&b, d); err == nil || err.Error() != want || b.Len() > 0 {
			t.Errorf("error %v after %d bytes, want %s", err, b.Len(), want)
		}
	}
	if err := WriteBench(failing{}, madeBench(1)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
}

// failing is a writer that cannot.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

const hostile = `</script><script>alert("1")</script><!--<b>&amp;` + "\u2028\x00\xff'`${1}"

func TestBenchEscapes(t *testing.T) {
	d := madeBench(2)
	d.Title, d.Subtitle, d.Facts = hostile, hostile, []Fact{{hostile, hostile}}
	p := &d.Problems[0]
	p.Name, p.Charts[0].Quantity, p.Charts[0].Caption = hostile, hostile, hostile
	p.Rows[0].Method, p.Rows[0].Params = hostile, hostile
	d.Failures[0].Problem, d.Failures[0].Method, d.Failures[0].Params, d.Failures[0].Message = hostile, hostile, hostile,
		hostile
	lacks(t, renderBench(t, d), "<b>", "<script", "<!--", "\x00", "\xff'")
}

// Many failures are folded.
func TestBenchFailures(t *testing.T) {
	d := madeBench(10)
	if !d.failures().Open {
		t.Error("one failure is folded")
	}
	for range mostFailures {
		d.Failures = append(d.Failures, BenchFailure{Step: 7, Seconds: 0.5})
	}
	if f := d.failures(); f.Open || f.Rows[1].Step != "7" || f.Rows[1].Seconds != "500 ms" {
		t.Errorf("%+v", f.Rows[1])
	}
	d.Failures = nil
	lacks(t, renderBench(t, d), "did not finish")
	if err := WriteBench(io.Discard, d); err != nil {
		t.Error(err)
	}
}
