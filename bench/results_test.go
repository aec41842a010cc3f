package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/bilevel-go/bilevel"
)

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		values        []float64
		low, mid, top float64
	}{
		{[]float64{3}, 3, 3, 3},
		{[]float64{2, 1}, 1.2, 1.5, 1.8},
		{[]float64{5, 1, 4, 2, 3}, 1.8, 3, 4.2},
		{[]float64{1, inf, 2}, 1.4, 2, inf},
		{[]float64{1, inf}, inf, inf, inf},
		{[]float64{inf, inf}, inf, inf, inf},
		{[]float64{inf, 4, 1, 2, 3, 5}, 2, 3.5, 5},
	} {
		s := spread(slices.Clone(c.values))
		for i, pair := range [][2]float64{{s.Low, c.low}, {s.Median, c.mid}, {s.High, c.top}} {
			if got, want := pair[0], pair[1]; !(got == want || math.Abs(got-want) < 1e-12) {
				t.Errorf("%v: quantile %d is %v, want %v", c.values, i, got, want)
			}
		}
	}
	if s := spread(nil); !math.IsNaN(s.Median) {
		t.Errorf("the median of nothing is %v", s.Median)
	}
}

// made is a run whose values fall from 1 by a factor of ten a step of `pace` seconds, for n records.
func made(method, params string, seed uint64, pace float64, n int, status string) *Trace {
	t := &Trace{Task: Task{Problem: "made", Kind: "quadratic",
		Options: json.RawMessage("{}"), Method: method, Algorithm: "saba", Params: json.RawMessage(params), Seed: seed},
		Known: 2, Status: status, Message: "so it is"}
	for k := range n {
		to := func(base float64) float64 { return math.Pow(base, -float64(k)) }
		t.Points = append(t.Points, Point{Step: int64(k), Seconds: float64(k) * pace,
			Counts: bilevel.Counts{GradF: int64(100 * k), GradG: int64(10 * k), HessG: int64(k)},
			Value:  number(2 + to(10)), GradNorm2: number(to(100)), TestError: number(math.NaN()), KKT: number(to(50))})
	}
	t.Seconds, t.Steps = float64(n-1)*pace, int64(n-1)
	return t
}

func madeResults() *Results {
	var list []*Trace
	for seed := range uint64(3) {
		list = append(list, made("A", `{"batch":1}`, seed, float64(1+seed), 5, Done))
	}
	for seed := range uint64(3) {
		list = append(list, made("A", `{"batch":2}`, seed, .5, 3+int(seed), Done))
	}
	list = append(list, made("B", `{"batch":1,"inner":{"size":0.5}}`, 0, 1, 8, Diverged),
		made("B", `{"batch":1,"inner":{"size":0.5}}`, 1, 1, 0, Failed))
	return NewResults(list)
}

func TestTimeToTarget(t *testing.T) {
	r := madeResults()
	if len(r.Problems) != 1 || len(r.Problems[0].Groups) != 3 {
		t.Fatalf("%+v", r)
	}
	p := r.Problems[0]
	if p.Best != 2-1e-10 {
		t.Errorf("h* = %v", p.Best)
	}
	// 10^-2 is reached at the third record, which is at 2, 4 and 6 seconds.
	to := p.Groups[0].To(p.Best, .011)
	if to.Reached != 3 || to.Runs != 3 || to.Seconds != (Spread{2.8, 4, 5.2}) || to.Samples.Median != 222 {
		t.Errorf("%+v", to)
	}
	// 10^-3 by the second and third seed only, whatever the others took.
	to = p.Groups[1].To(p.Best, .0011)
	if to.Reached != 2 || to.Seconds.Median != 1.5 || !math.IsInf(to.Seconds.High, 1) {
		t.Errorf("%+v", to)
	}
	if to = p.Groups[0].To(p.Best, 1e-9); to.Reached != 0 || !math.IsInf(to.Seconds.Low, 1) {
		t.Errorf("%+v", to)
	}
	// A run that diverged later has reached what it reached, but ends nowhere.
	if to = p.Groups[2].To(p.Best, 1e-3*1.1); to.Reached != 1 || !math.IsInf(p.Groups[2].LastMedian(), 1) {
		t.Errorf("%+v", to)
	}
	if got := p.Groups[0].LastMedian(); got != 2+1e-4 {
		t.Errorf("the last value is %v", got)
	}
}

// The parameters that reach the smallest target first are chosen; where none do, those of the next one.
func TestChoose(t *testing.T) {
	p := madeResults().Problems[0]
	for targets, want := range map[string]string{"1.1e-4": "batch=1", "1.1e-2": "batch=2", "1.1e-2,1e-12": "batch=2",
		"1e-12": "batch=1"} {
		var list []float64
		for word := range strings.SplitSeq(targets, ",") {
			f, err := strconv.ParseFloat(word, 64)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, f)
		}
		best := p.Choose(list)
		if len(best.Groups) != 2 || best.Groups[0].Params != want || best.Groups[1].Method != "B" {
			t.Errorf("targets %s: %+v", targets, best.Groups)
		}
	}
	var b bytes.Buffer
	best := &Results{Problems: []ProblemResults{p.Choose([]float64{.011})}}
	if err := best.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	want := "# made\nmethods:\n  - {name: \"A\", method: saba, params: {batch: 2}}\n" +
		"  - {name: \"B\", method: saba, params: {batch: 1, inner: {size: 0.5}}}\n"
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
	b.WriteString("name: x\nbudget: {steps: 1}\nproblems: [{problem: quadratic}]")
	if _, err := ParseConfig("f", b.Bytes()); err != nil {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := madeResults().WriteTable(&b, []float64{1e-2 * 1.1, 1e-9}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"made, h* = 2", "batch=1 inner={size=0.5}", "3/3", "4 [2.8, 5.2]", "0/3", "0.0001",
		"too few to compare", "2 runs did not end well", "made, B batch=1 inner={size=0.5}, seed 0: diverged, so it is"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	var list []*Trace
	for seed := range uint64(10) {
		list = append(list, made("A", "{}", seed, 1, 5, Done))
	}
	b.Reset()
	if err := NewResults(list).WriteTable(&b, DefaultTargets); err != nil || strings.Contains(b.String(), "too few") ||
		strings.Contains(b.String(), "did not end well") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// A curve joins the records of a run straight on the axes drawn, and a run that diverged is nowhere.
func TestCurve(t *testing.T) {
	p := madeResults().Problems[0]
	seconds := func(at Point) float64 { return at.Seconds }
	value := func(at Point) float64 { return float64(at.Value) - 2 }
	one := Group{Traces: p.Groups[0].Traces[:1]} // 10^-steps after so many seconds
	for logarithmic, between := range map[bool]float64{true: math.Pow(10, -1.5), false: (.1 + .01) / 2} {
		x, y := one.curve(value, seconds, logarithmic)
		if x[0] != 1 || math.Abs(x[len(x)-1]-4) > 1e-9 {
			t.Errorf("from %v to %v", x[0], x[len(x)-1])
		}
		if a, b := y[0].Median, y[len(y)-1].Median; math.Abs(a-.1) > 1e-12 || math.Abs(b-1e-4) > 1e-12 {
			t.Errorf("from %v to %v", a, b)
		}
		if got := join(1, .1, 4, .01, 2, logarithmic); math.Abs(got-between) > 1e-12 {
			t.Errorf("half way on a logarithmic axis: %v, want %v", got, between)
		}
	}
	if got := join(0, 5, 1, .1, .5, true); got != 5 {
		t.Errorf("before the first record: %v", got)
	}
	_, y := p.Groups[0].curve(value, seconds, true)   // of paces 1, 2 and 3
	if last := y[len(y)-1]; last.Median != last.Low { // all have ended at 10^-4
		t.Errorf("at the end: %+v", last)
	}
	_, y = Group{Traces: p.Groups[2].Traces[:1]}.curve(value, seconds, true)
	if y[0].Median > .1*1.01 || !math.IsInf(y[len(y)-1].Median, 1) {
		t.Errorf("from %+v to %+v", y[0], y[len(y)-1])
	}
}

func TestChart(t *testing.T) {
	p := madeResults().Problems[0]
	for _, q := range Quantities {
		var svg, image bytes.Buffer
		err := p.Chart(&svg, q, Drawing{Format: "svg"})
		if q.Name == "test-error" { // which nothing has
			if err == nil || !strings.Contains(err.Error(), "no run on made knows its test-error") {
				t.Error(err)
			}
			continue
		}
		if err != nil || !strings.Contains(svg.String(), "A batch=2") || !strings.Contains(svg.String(), "terms of f and g") {
			t.Errorf("%s: %v", q.Name, err)
		}
		if err := p.Chart(&image, q, Drawing{Format: "png"}); err != nil {
			t.Error(err)
		}
		if _, err := png.Decode(&image); err != nil {
			t.Error(err)
		}
	}
	if err := p.Chart(&bytes.Buffer{}, Quantities[0], Drawing{Format: "gif"}); err == nil {
		t.Error("no error for a gif")
	}
	for _, front := range [][]string{{"nobody"}, {"A batch=2", "A batch=2", "A batch=2", "A batch=2", "A batch=2"}} {
		err := p.Chart(&bytes.Buffer{}, Quantities[0], Drawing{Format: "svg", Front: front})
		if !errors.As(err, new(FrontError)) {
			t.Errorf("%q: %v", front, err)
		}
	}
}

// Both formats hold the same numbers, those of the traces.
func TestExport(t *testing.T) {
	r := madeResults()
	var text, table bytes.Buffer
	if err := r.WriteCSV(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteParquet(&table); err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.Read[RecordRow](bytes.NewReader(table.Bytes()), int64(table.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if want := 3*5 + 3 + 4 + 5 + 8 + 1; len(rows) != want {
		t.Fatalf("%d rows, want %d", len(rows), want)
	}
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil || len(lines) != 1+len(rows) {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	for i, row := range rows {
		line := lines[1+i]
		for name, want := range map[string]string{"method": row.Method, "params": row.Params, "seed": fmt.Sprint(row.Seed),
			"status": row.Status, "step": fmt.Sprint(row.Step), "samples": fmt.Sprint(row.Samples),
			"grad_calls": fmt.Sprint(row.GradCalls), "hess_g": fmt.Sprint(row.HessG), "test_error": ""} {
			if got := line[column[name]]; got != want {
				t.Errorf("row %d: %s is %s in one file and %s in the other", i, name, got, want)
			}
		}
		for name, want := range map[string]*float64{"value": row.Value, "suboptimality": row.Subopt,
			"gradnorm2": row.GradNorm2, "kkt": row.KKT, "known_minimum": row.Known} {
			got, err := strconv.ParseFloat(line[column[name]], 64)
			if (want == nil) != (err != nil) || want != nil && got != *want {
				t.Errorf("row %d: %s is %v and %v", i, name, line[column[name]], want)
			}
		}
	}
	row := rows[2]
	if row.Method != "A" || row.Step != 2 || row.Seconds != 2 || row.Samples != 222 || row.GradCalls != 220 ||
		*row.Value != 2.01 || *row.GradNorm2 != 1e-4 || *row.KKT != 1./2500 || row.TestError != nil || row.RunSteps != 4 {
		t.Errorf("%+v", row)
	}
	if last := rows[len(rows)-1]; last.Step != -1 || last.Status != Failed || last.Value != nil {
		t.Errorf("%+v", last)
	}
}

func TestParametersAreOrderedByNumber(t *testing.T) {
	want := []string{`{"batch":1}`, `{"batch":8,"inner":1e-3}`, `{"batch":8,"inner":0.02}`,
		`{"batch":8,"inner":0.1,"ratio":1}`, `{"batch":8,"inner":0.1,"ratio":1.5}`, `{"batch":64}`, `{"shuffle":true}`}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareParams)
	if !slices.Equal(got, want) {
		t.Errorf("ordered as %v", got)
	}
}

// Steps with which a run leaves the numbers are not chosen, however early the others came close.
func TestChooseRunsThatEndWell(t *testing.T) {
	run := func(batch int, seed uint64, status string, values ...number) *Trace {
		trace := &Trace{Task: Task{Problem: "made", Method: "A", Algorithm: "saba",
			Params: json.RawMessage(fmt.Sprintf(`{"batch":%d}`, batch)), Seed: seed}, Known: 0, Status: status}
		for i, v := range values {
			trace.Points = append(trace.Points, Point{Step: int64(i), Seconds: float64(i), Value: v})
		}
		return trace
	}
	p := NewResults([]*Trace{
		run(1, 0, Done, 1, .001), run(1, 1, Done, 1, .001), run(1, 2, Diverged, 1, .001),
		run(2, 0, Done, 1, 1, .5), run(2, 1, Done, 1, .5, .5), run(2, 2, Done, 1, 1, .6),
	}).Problems[0]
	if best := p.Choose([]float64{.1}); len(best.Groups) != 1 || best.Groups[0].Params != "batch=2" {
		t.Errorf("%+v", best.Groups)
	}
}

// The groups in front are those that reach the smallest target first; h* is known as well as two methods agree on it.
func TestFigureOfResults(t *testing.T) {
	r := madeResults()
	p := r.Problems[0]
	slices.Reverse(p.Groups)
	f, err := p.figure(Quantities[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"A batch=1", "A batch=2", "B"}; !slices.Equal(f.Panels[0].Front, want) {
		t.Errorf("in front are %q, want %q", f.Panels[0].Front, want)
	}
	if f.Panels[0].Y.Least != 1e-9 {
		t.Errorf("the axis ends at %g", f.Panels[0].Y.Least)
	}
	for _, want := range []string{"made. Medians of 2 to 3 seeds", "h* is known to 10⁻⁹", "from there on: B 2 of 2."} {
		if !strings.Contains(f.Caption, want) {
			t.Errorf("no %q in %s", want, f.Caption)
		}
	}
	for i, g := range p.Groups {
		for _, run := range g.Traces {
			run.Known = number(math.NaN())
			if i == 1 {
				run.Algorithm = "soba"
			}
		}
		p.Groups[i].Algorithm = g.Traces[0].Algorithm
	}
	// The lowest of saba are 2 + 10⁻⁷, those of soba 2 + 10⁻⁴.
	if got, want := p.accuracy(), 1e-4-1e-7; math.Abs(got-want) > 1e-12 {
		t.Errorf("h* is known to %g, want %g", got, want)
	}
	if got := power(p.accuracy()); got != "10⁻⁴" {
		t.Errorf("written as %s", got)
	}
	if best := p.PerAlgorithm(DefaultTargets).Groups; len(best) != 2 || best[1].Params != "batch=2" {
		t.Errorf("%d groups, the second one of %s", len(best), best[1].Params)
	}
	var page bytes.Buffer
	if err := r.WriteReport(&page, "made", DefaultTargets, []string{"B"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"A batch=2", "8 runs on 1 problem", "2 of 8 runs diverged or failed", "KKT loss"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Contains(page.String(), "rror on test rows") {
		t.Error("the page has a figure that no run knows")
	}
	if err := r.WriteReport(&page, "made", DefaultTargets, []string{"C"}); !errors.As(err, new(FrontError)) {
		t.Error(err)
	}
}
