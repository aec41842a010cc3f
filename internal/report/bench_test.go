package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

func renderBench(t *testing.T, d BenchData) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteBench(&b, d); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	for _, foreign := range []string{"<link", "<img", "src=", "href=", "@import", "url(\"", "ZgotmplZ"} {
		if strings.Contains(html, foreign) {
			t.Errorf("page contains %q", foreign)
		}
	}
	if n := strings.Count(html, "</script"); n != 2 {
		t.Errorf("%d script elements end, not 2", n)
	}
	if n := strings.Count(html, "<script"); n != 2 {
		t.Errorf("%d script elements start, not 2", n)
	}
	return html
}

var dataOfPage = regexp.MustCompile(`(?s)<script id="data" type="application/json">(.*?)</script>`)

type decodedProblem struct {
	Name   string
	Best   *float64
	Given  bool
	Curves []struct {
		Method, Params string
		Style          int
		Runs           []map[string]json.RawMessage
	}
}

func decodeBench(t *testing.T, html string) []decodedProblem {
	t.Helper()
	m := dataOfPage.FindStringSubmatch(html)
	if m == nil {
		t.Fatal("page has no data")
	}
	var problems []decodedProblem
	if err := json.Unmarshal([]byte(m[1]), &problems); err != nil {
		t.Fatalf("data are not JSON: %v", err)
	}
	return problems
}

func TestBenchErrors(t *testing.T) {
	good := func() BenchData {
		return BenchData{Title: "t", Runs: []BenchRun{
			{Problem: "p", Method: "m", Seed: 0, Status: "done",
				Points: []BenchPoint{{}, {Step: 1, Seconds: 1, Samples: 1, GradCalls: 1, Value: 1}}},
			{Problem: "p", Method: "m", Seed: 1, Status: "failed: no memory"},
		}}
	}
	if err := WriteBench(io.Discard, good()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		spoil func(d *BenchData)
		want  string
	}{
		{"no runs", func(d *BenchData) { d.Runs = nil }, "without runs"},
		{"no problem", func(d *BenchData) { d.Runs[1].Problem = "" }, `run 1 has problem "" and method "m"`},
		{"no method", func(d *BenchData) { d.Runs[0].Method = "" }, `run 0 has problem "p" and method ""`},
		{"status", func(d *BenchData) { d.Runs[1].Status = "lost" }, `run 1 (p, m, seed 1) has status "lost"`},
		{"no status", func(d *BenchData) { d.Runs[1].Status = "" }, `has status ""`},
		{"twice", func(d *BenchData) { d.Runs[1].Seed = 0 }, "run 1 (p, m, seed 0) is there twice, first as run 0"},
		{"time", func(d *BenchData) { d.Runs[0].Points[0].Seconds = 2 },
			"record 1 of run 0 (p, m, seed 0) is at 1 s, after one at 2 s"},
		{"negative time", func(d *BenchData) { d.Runs[0].Points[0].Seconds = -1 }, "record 0 of run 0"},
		{"unknown time", func(d *BenchData) { d.Runs[0].Points[1].Seconds = nan }, "is at NaN s"},
		{"endless", func(d *BenchData) { d.Runs[0].Points[1].Seconds = math.Inf(1) }, "is at +Inf s"},
		{"steps", func(d *BenchData) { d.Runs[0].Points[0].Step = 2 }, "is at 1 in step, after 2"},
		{"samples", func(d *BenchData) { d.Runs[0].Points[1].Samples = -1 }, "is at -1 in samples, after 0"},
		{"gradients", func(d *BenchData) { d.Runs[0].Points[0].GradCalls = 5 }, "is at 1 in gradient calls, after 5"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := good()
			test.spoil(&d)
			var b bytes.Buffer
			err := WriteBench(&b, d)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "report: ") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if b.Len() > 0 {
				t.Error("wrote a page nevertheless")
			}
		})
	}
}

func TestBenchWriteError(t *testing.T) {
	if err := WriteBench(failing{}, Synthetic(1, 1, 3)); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
}

// failing is a writer that cannot.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

const hostile = `</script><script>alert("1")</script><!--<b>&amp;` + "\u2028\x00\xff'`${1}"

func TestBenchEscapes(t *testing.T) {
	d := BenchData{Title: hostile, Subtitle: hostile, Facts: []Fact{{hostile, hostile}}, Runs: []BenchRun{
		{Problem: hostile, Method: hostile, Params: hostile, Status: "failed: " + hostile},
	}}
	html := renderBench(t, d)
	lacks(t, html, "<b>", "alert(\"1\")</", "<!--")
	curve := decodeBench(t, html)[0].Curves[0]
	if want := clean(hostile); curve.Method != want || curve.Params != want {
		t.Errorf("method %q with parameters %q, want %q", curve.Method, curve.Params, want)
	}
}

func TestBenchUnknownValues(t *testing.T) {
	inf := math.Inf(1)
	d := BenchData{Title: "t", Best: map[string]float64{"p": nan, "absent": 3}, Runs: []BenchRun{
		{Problem: "p", Method: "m", Status: "diverged", Points: []BenchPoint{
			{Value: 2, GradNorm2: nan, TestError: nan, KKT: nan},
			{Step: 1, Seconds: 1, Value: nan, GradNorm2: nan, TestError: nan, KKT: nan},
			{Step: 2, Seconds: 2, Value: inf, GradNorm2: -inf, TestError: nan, KKT: nan},
		}},
		{Problem: "q", Method: "m", Status: "done", Points: []BenchPoint{{Value: nan, GradNorm2: nan, TestError: 0.5,
			KKT: nan}}},
	}}
	problems := decodeBench(t, renderBench(t, d))
	if p := problems[0]; p.Given || p.Best == nil || *p.Best != 2-1e-10 {
		t.Errorf("h* of p is %v (given %t), want 2 - 1e-10", p.Best, p.Given)
	}
	if p := problems[1]; p.Best != nil {
		t.Errorf("h* of q, which has no values, is %v", *p.Best)
	}
	run := problems[0].Curves[0].Runs[0]
	for column, want := range map[string]string{
		"suboptimality": "[1e-10,null,1e999]", "gradnorm": "[null,null,-1e999]", "error": "", "kkt": "",
		"time": "[0,1,2]", "done": "false", "steps": "[0,1,2]",
	} {
		if got := string(run[column]); got != want {
			t.Errorf("column %s is %s, want %s", column, got, want)
		}
	}
	if run := problems[1].Curves[0].Runs[0]; run["suboptimality"] != nil || string(run["error"]) != "[0.5]" {
		t.Errorf("run of q is %s", run)
	}
}

func TestBenchBest(t *testing.T) {
	d := Synthetic(2, 2, 5)
	problems := decodeBench(t, renderBench(t, d))
	if p := problems[0]; !p.Given || *p.Best != 0.25 {
		t.Errorf("h* is %v (given %t), want the 0.25 given", *p.Best, p.Given)
	}
	lowest := math.Inf(1)
	for _, r := range d.Runs {
		if r.Problem == "ridge & slope" {
			for _, p := range r.Points {
				lowest = min(lowest, p.Value)
			}
		}
	}
	if p := problems[1]; p.Given || *p.Best != lowest-1e-10 {
		t.Errorf("h* is %v (given %t), want the lowest value %v less 1e-10", *p.Best, p.Given, lowest)
	}
}

// A method has the same line on every problem, unless one of them has several curves of a method.
func TestBenchStyles(t *testing.T) {
	d := BenchData{Title: "t", Runs: []BenchRun{
		{Problem: "p", Method: "a", Status: "done"}, {Problem: "p", Method: "b", Status: "done"},
		{Problem: "q", Method: "b", Params: "x", Status: "done"}, {Problem: "q", Method: "a", Status: "done"},
		{Problem: "r", Method: "b", Params: "x", Status: "done"}, {Problem: "r", Method: "b", Params: "y", Status: "done"},
		{Problem: "r", Method: "a", Status: "done"},
	}}
	var got []string
	for _, p := range decodeBench(t, renderBench(t, d)) {
		for _, c := range p.Curves {
			got = append(got, fmt.Sprintf("%s:%s%s=%d", p.Name, c.Method, c.Params, c.Style))
		}
	}
	if want := "p:a=0 p:b=1 q:bx=1 q:a=0 r:bx=0 r:by=1 r:a=2"; strings.Join(got, " ") != want {
		t.Errorf("styles are %v, want %v", got, want)
	}
}

func TestBenchFailures(t *testing.T) {
	d := Synthetic(2, 3, 4)
	lacks(t, renderBench(t, d), "Runs that did not finish")
	d.Runs[0].Status = "failed: step 7: <singular> matrix"
	d.Runs[1].Status, d.Runs[1].Points = "diverged", nil
	html := renderBench(t, d)
	wants(t, html, "2 of 12 runs diverged or failed", "<bdi>failed: step 7: &lt;singular&gt; matrix</bdi>",
		"<bdi>diverged</bdi>",
		`<td class="number">100,000</td>`, `<td class="number">–</td>`, `<details open="">`, "<bdi>batch=16</bdi>")
	for i := range d.Runs {
		d.Runs[i].Params = fmt.Sprint(i)
		for j := range 3 {
			r := d.Runs[i]
			r.Seed, r.Status = uint64(10+j), "diverged"
			d.Runs = append(d.Runs, r)
		}
	}
	wants(t, renderBench(t, d), "<details><summary>38 of 48 runs")
}

func TestBenchSize(t *testing.T) {
	d := Synthetic(15, 10, 60) // on two problems
	html := renderBench(t, d)
	if limit := 3_000_000; len(html) > limit {
		t.Errorf("page of %d runs has %d bytes, more than %d", len(d.Runs), len(html), limit)
	}
	t.Logf("page of %d runs with %d records each: %d bytes", len(d.Runs), 60, len(html))
}
