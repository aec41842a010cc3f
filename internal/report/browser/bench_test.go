// Package browser tests the page of benchmarks in a browser: in a module of its own, for what that needs.
package browser

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	tab "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/bilevel-go/bilevel/internal/report"
)

// browserPath skips the test where there is no browser, or fails it where one is expected.
func browserPath(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("BILEVEL_BROWSER"); path != "" {
		return path
	}
	names := []string{"chromium", "chromium-browser", "google-chrome", "chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := fmt.Sprintf("no browser: none of %s is on the PATH, and BILEVEL_BROWSER does not name one",
		strings.Join(names, ", "))
	if os.Getenv("CI") == "true" || os.Getenv("BILEVEL_NEED_BROWSER") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// browser is one tab, and what went wrong in it.
type browser struct {
	t       *testing.T
	ctx     context.Context
	mu      sync.Mutex
	trouble []string
}

// startBrowser starts a browser that lives as long as the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browserPath(t)),
		chromedp.NoSandbox, // the sandbox does not start for root
		chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WindowSize(1200, 900),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// newTab opens a tab in the browser of ctx; errors, messages on the console, requests and dialogs fail the test.
func newTab(t *testing.T, ctx context.Context) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	b.do()
	if err := chromedp.Listen(ctx, func(event any) {
		what := ""
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			what = "exception: " + e.ExceptionDetails.Text
			if thrown := e.ExceptionDetails.Exception; thrown != nil {
				what += " " + thrown.Description
			}
		case *runtime.EventConsoleAPICalled:
			what = "console: " + string(e.Type)
		case *log.EventEntryAdded:
			what = "log: " + e.Entry.Text
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "data:") && // a picture inside
				(e.Type != network.ResourceTypeDocument || !strings.HasPrefix(e.Request.URL, "file://")) {
				what = "request: " + e.Request.URL
			}
		case *tab.EventJavascriptDialogOpening:
			what = "dialog: " + e.Message
		}
		if what != "" {
			b.mu.Lock()
			b.trouble = append(b.trouble, what)
			b.mu.Unlock()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, what := range b.trouble {
			t.Error(what)
		}
	})
	return b
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open shows the page of d, with a fragment of the address.
func (b *browser) open(d report.BenchData, fragment string) {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "bench.html")
	file, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := errors.Join(report.WriteBench(file, d), file.Close()); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()+"#"+fragment),
		chromedp.WaitVisible(chromedp.CSS("#plot text")))
}

// eval is the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// choose takes the option of a select element that has this value or text.
func (b *browser) choose(id, option string) {
	b.t.Helper()
	if !eval[bool](b, fmt.Sprintf(`(() => {
		const s = document.getElementById(%q), o = [...s.options].find((o) => o.value === %q || o.text === %[2]q);
		if (!o || o.disabled) return false;
		s.value = o.value;
		s.dispatchEvent(new Event("change", { bubbles: true }));
		return true;
	})()`, id, option)) {
		b.t.Fatalf("%s has no option %q that can be taken", id, option)
	}
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

func (b *browser) hash() url.Values {
	b.t.Helper()
	values, err := url.ParseQuery(strings.TrimPrefix(eval[string](b, "location.hash"), "#"))
	if err != nil {
		b.t.Fatal(err)
	}
	return values
}

// drawing is what the plot shows, as its elements say.
type drawing struct {
	Lines, Bands   map[string]string // by index of the curve: the d of its path
	XTicks, YTicks []struct {
		Text string
		At   float64
	}
}

func (b *browser) drawing() drawing {
	b.t.Helper()
	return eval[drawing](b, `(() => {
		const all = (selector) => [...document.querySelectorAll("#plot " + selector)];
		const paths = (selector) => Object.fromEntries(all(selector).map((p) => [p.dataset.curve, p.getAttribute("d")]));
		const ticks = (selector, at, off) =>
			all(selector).map((t) => ({ Text: t.textContent, At: Number(t.getAttribute(at)) - off }));
		return { Lines: paths("path.curve"), Bands: paths("path.band"),
			XTicks: ticks("text.xtick.middle", "x", 0), YTicks: ticks("text.ytick", "y", 4) };
	})()`)
}

// tickValue reads the label of a tick.
func tickValue(t *testing.T, label string) float64 {
	t.Helper()
	s := strings.NewReplacer(",", "", "−", "-").Replace(label)
	if exponent, ok := strings.CutPrefix(s, "10"); ok && strings.ContainsAny(exponent, "⁻⁰¹²³⁴⁵⁶⁷⁸⁹") {
		s = "1e" + strings.NewReplacer("⁻", "-", "⁰", "0", "¹", "1", "²", "2", "³", "3", "⁴", "4",
			"⁵", "5", "⁶", "6", "⁷", "7", "⁸", "8", "⁹", "9").Replace(exponent)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("tick %q: %v", label, err)
	}
	return v
}

// toPixels is the scale that the outermost ticks of an axis give; all others must lie on it.
func toPixels(t *testing.T, ticks []struct {
	Text string
	At   float64
}, logarithmic bool) func(float64) float64 {
	t.Helper()
	if len(ticks) < 2 {
		t.Fatalf("an axis has the ticks %v, fewer than two", ticks)
	}
	of := func(v float64) float64 {
		if logarithmic {
			return math.Log10(v)
		}
		return v
	}
	first, last := ticks[0], ticks[len(ticks)-1]
	from, to := of(tickValue(t, first.Text)), of(tickValue(t, last.Text))
	scale := func(v float64) float64 { return first.At + (of(v)-from)/(to-from)*(last.At-first.At) }
	for _, tick := range ticks {
		if at := scale(tickValue(t, tick.Text)); math.Abs(at-tick.At) > 0.05 {
			t.Errorf("tick %s is at %v, should be at %v", tick.Text, tick.At, at)
		}
	}
	return scale
}

var pathNumbers = regexp.MustCompile(`[ML](-?[\d.]+) (-?[\d.]+)`)

func pathPoints(t *testing.T, d string) [][2]float64 {
	t.Helper()
	var points [][2]float64
	for _, m := range pathNumbers.FindAllStringSubmatch(d, -1) {
		x, errX := strconv.ParseFloat(m[1], 64)
		y, errY := strconv.ParseFloat(m[2], 64)
		if errX != nil || errY != nil {
			t.Fatalf("path has the point %q", m[0])
		}
		points = append(points, [2]float64{x, y})
	}
	return points
}

// axisOf is one direction of a view: its name on the page and the column of the data.
type axisOf struct {
	option string
	value  func(report.BenchPoint) float64
	log    bool
}

var (
	alongTime      = axisOf{"time", func(p report.BenchPoint) float64 { return p.Seconds }, true}
	alongSamples   = axisOf{"samples", func(p report.BenchPoint) float64 { return float64(p.Samples) }, true}
	alongGradients = axisOf{"gradients", func(p report.BenchPoint) float64 { return float64(p.GradCalls) }, true}
	alongSteps     = axisOf{"steps", func(p report.BenchPoint) float64 { return float64(p.Step) }, true}
	upGradNorm     = axisOf{"gradnorm", func(p report.BenchPoint) float64 { return p.GradNorm2 }, true}
	upError        = axisOf{"error", func(p report.BenchPoint) float64 { return p.TestError }, false}
	upKKT          = axisOf{"kkt", func(p report.BenchPoint) float64 { return p.KKT }, true}
)

func upValue(best float64) axisOf {
	return axisOf{"suboptimality", func(p report.BenchPoint) float64 { return p.Value - best }, true}
}

func onLinear(a axisOf) axisOf { a.log = false; return a }

// sortedQuantile is the quantile of type 7 of Hyndman and Fan; infinities are at the end.
func sortedQuantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	below, above := sorted[int(math.Floor(at+1e-12))], sorted[int(math.Ceil(at-1e-12))]
	if below == above || math.IsInf(above, 1) {
		return above
	}
	return below + (at-math.Floor(at+1e-12))*(above-below)
}

// statistics is one point of a curve.
type statistics struct{ x, lo, median, hi float64 }

// expected computes the curve of runs with the definition of the documentation, point by point.
func expected(all, runs []report.BenchRun, x, y axisOf) []statistics {
	lowest, highest := math.Inf(1), 0.0
	for _, r := range all {
		for _, p := range r.Points {
			if v := x.value(p); v > 0 {
				lowest, highest = min(lowest, v), max(highest, v)
			}
		}
	}
	start, end := 0.0, 0.0
	for _, r := range runs {
		end = max(end, x.value(r.Points[len(r.Points)-1]))
		for _, p := range r.Points {
			if !math.IsNaN(y.value(p)) {
				start = max(start, x.value(p))
				break
			}
		}
	}
	const n = 160
	var curve []statistics
	for i := range n {
		share := float64(i) / (n - 1)
		at := share * highest
		if x.log {
			at = lowest * math.Pow(highest/lowest, share)
		}
		switch {
		case i == n-1:
			at = highest
		case i == 0 && x.log:
			at = lowest
		}
		if at < start || at > end {
			continue
		}
		var values []float64
		for _, r := range runs {
			v := math.NaN()
			for _, p := range r.Points {
				if x.value(p) <= at && !math.IsNaN(y.value(p)) {
					v = y.value(p)
				}
			}
			if r.Status != "done" && at > x.value(r.Points[len(r.Points)-1]) {
				v = math.Inf(1)
			}
			values = append(values, v)
		}
		slices.Sort(values)
		curve = append(curve, statistics{at, sortedQuantile(values, 0.2), sortedQuantile(values, 0.5),
			sortedQuantile(values, 0.8)})
	}
	return curve
}

// curves groups the runs of a problem as the page does.
func curves(d report.BenchData, problem string) (all []report.BenchRun, grouped [][]report.BenchRun) {
	index := map[string]int{}
	for _, r := range d.Runs {
		if r.Problem != problem {
			continue
		}
		all = append(all, r)
		key := r.Method + "\n" + r.Params
		if _, ok := index[key]; !ok {
			index[key] = len(grouped)
			grouped = append(grouped, nil)
		}
		grouped[index[key]] = append(grouped[index[key]], r)
	}
	return all, grouped
}

// compareDrawing checks the lines and bands of the curves shown against medians and quantiles computed here.
// A pixel is about a hundredth of a decade; lines have to be right to a twentieth of a pixel.
func (b *browser) compareDrawing(d report.BenchData, problem string, x, y axisOf, hidden ...int) {
	b.t.Helper()
	const within = 0.06
	got := b.drawing()
	px, py := toPixels(b.t, got.XTicks, x.log), toPixels(b.t, got.YTicks, y.log)
	// Outside the frame heights are cut.
	frame := eval[[]float64](b, `(() => {
		const r = document.querySelector("#frame rect"), y = Number(r.getAttribute("y"));
		return [y, y + Number(r.getAttribute("height"))];
	})()`)
	same := func(pixel, value float64) bool {
		at := frame[0]
		if !math.IsInf(value, 1) {
			at = py(value)
		}
		if at <= frame[0] {
			return pixel <= frame[0]+within
		}
		if at >= frame[1] {
			return pixel >= frame[1]-within
		}
		return math.Abs(pixel-at) <= within
	}
	all, grouped := curves(d, problem)
	compared := 0
	for i, runs := range grouped {
		line, ok := got.Lines[fmt.Sprint(i)]
		if want := !slices.Contains(hidden, i); ok != want {
			b.t.Errorf("%s, curve %d, %s against %s: drawn: %t, want %t", problem, i, y.option, x.option, ok, want)
		}
		if !ok {
			continue
		}
		curve := expected(all, runs, x, y)
		var medians, band []statistics
		for _, s := range curve {
			if !math.IsInf(s.median, 1) {
				medians = append(medians, s)
			}
			if !math.IsInf(s.lo, 1) {
				band = append(band, s)
			}
		}
		where := fmt.Sprintf("%s, curve %d, %s against %s", problem, i, y.option, x.option)
		points := pathPoints(b.t, line)
		if len(points) != len(medians) {
			b.t.Errorf("%s: line of %d points, want %d", where, len(points), len(medians))
			continue
		}
		for j, p := range points {
			if math.Abs(p[0]-px(medians[j].x)) > within || !same(p[1], medians[j].median) {
				b.t.Errorf("%s: point %d is at %v, want (%.2f, %.2f), the median %.6g at %.6g",
					where, j, p, px(medians[j].x), py(medians[j].median), medians[j].median, medians[j].x)
				break
			}
			compared++
		}
		points = pathPoints(b.t, got.Bands[fmt.Sprint(i)])
		if len(points) != 2*len(band) {
			b.t.Errorf("%s: band of %d points, want %d", where, len(points), 2*len(band))
			continue
		}
		for j, s := range band {
			if hi, lo := points[j], points[len(points)-1-j]; !same(hi[1], s.hi) || !same(lo[1], s.lo) {
				b.t.Errorf("%s: band at %.6g is from %v to %v, want %.6g to %.6g", where, s.x, lo, hi, s.lo, s.hi)
				break
			}
		}
	}
	if len(got.Lines) != len(grouped)-len(hidden) {
		b.t.Errorf("%d lines for %d curves of which %d are hidden", len(got.Lines), len(grouped), len(hidden))
	}
	if compared == 0 {
		b.t.Error("no point was compared")
	}
}

// troubled is a synthetic benchmark with runs that diverge, fail and have gaps.
func troubled() report.BenchData {
	d := report.Synthetic(8, 10, 40)
	_, grouped := curves(d, "valley")
	at := func(curve, seed int) *report.BenchRun {
		for i := range d.Runs {
			r := &d.Runs[i]
			if r.Problem == "valley" && r.Method == grouped[curve][0].Method && r.Seed == uint64(seed) {
				return r
			}
		}
		return nil
	}
	for seed := range 7 { // the median diverges with the sixth
		r := at(1, seed)
		r.Status, r.Points = "diverged", r.Points[:20+2*seed]
		r.Points[len(r.Points)-1].Value = math.Inf(1)
	}
	r := at(2, 3)
	r.Status, r.Points = "failed: step 100: no solution", r.Points[:15]
	r = at(3, 4)
	for i := 5; i < 12; i++ {
		r.Points[i].Value = math.NaN()
	}
	r.Points[0].GradNorm2 = math.NaN() // begins later
	return d
}

func TestBenchInBrowser(t *testing.T) {
	ctx := startBrowser(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *browser)
	}{
		{"curves", browseCurves},
		{"targets", browseTargets},
		{"address", browseAddress},
		{"readout", browseReadout},
		{"grid", browseGrid},
		{"hostile names", browseHostile},
		{"layout", browseLayout},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, newTab(t, ctx)) })
	}
}

func browseCurves(t *testing.T, b *browser) {
	d := troubled()
	b.open(d, "")
	value := upValue(0.25)
	b.compareDrawing(d, "valley", alongTime, value)
	if got := b.hash(); len(got) > 0 {
		t.Errorf("the first view has the address %v", got)
	}

	// Methods off and on.
	b.click(`#methods input[data-curve="2"]`)
	b.click(`#methods input[data-curve="5"]`)
	b.compareDrawing(d, "valley", alongTime, value, 2, 5)
	if got := b.hash()["off"]; !slices.Equal(got, []string{`["method 02","batch=64"]`, `["method 05","batch=64"]`}) {
		t.Errorf("the address switches off %q", got)
	}
	if got := eval[string](b, `document.activeElement.dataset.curve || ""`); got != "5" {
		t.Errorf("focus is on curve %q after switching 5", got)
	}
	b.do(chromedp.KeyEvent(" ")) // the box that has the focus
	b.compareDrawing(d, "valley", alongTime, value, 2)
	b.click("#none")
	if got := eval[string](b, `document.getElementById("plot").textContent`); got != "No method is switched on." {
		t.Errorf("without methods the plot says %q", got)
	}
	b.click("#all")
	b.compareDrawing(d, "valley", alongTime, value)

	// Axes.
	for _, x := range []axisOf{alongSamples, alongGradients, alongSteps, alongTime} {
		b.choose("x", x.option)
		b.compareDrawing(d, "valley", x, value)
	}
	b.choose("y", "gradnorm")
	b.compareDrawing(d, "valley", alongTime, upGradNorm)
	b.click("#xlog")
	b.compareDrawing(d, "valley", onLinear(alongTime), upGradNorm)
	b.click("#ylog")
	b.compareDrawing(d, "valley", onLinear(alongTime), onLinear(upGradNorm))
	if got := b.hash(); got.Get("y") != "gradnorm" || got.Get("xlog") != "0" || got.Get("ylog") != "0" {
		t.Errorf("the address is %v", got)
	}
	b.click("#xlog")
	b.choose("y", "suboptimality")
	b.compareDrawing(d, "valley", alongTime, value)

	// Another problem, which has test errors and no known h*.
	if !eval[bool](b, `[...document.getElementById("y").options].find((o) => o.value === "error").disabled`) {
		t.Error("a problem without test errors offers them")
	}
	b.choose("problem", "ridge & slope")
	all, _ := curves(d, "ridge & slope")
	lowest := math.Inf(1)
	for _, r := range all {
		for _, p := range r.Points {
			lowest = min(lowest, p.Value)
		}
	}
	b.compareDrawing(d, "ridge & slope", alongTime, upValue(lowest-1e-10))
	b.choose("y", "kkt")
	b.compareDrawing(d, "ridge & slope", alongTime, upKKT)
	b.choose("y", "error")
	b.compareDrawing(d, "ridge & slope", alongTime, upError)
	b.click("#ylog")
	logError := upError
	logError.log = true
	b.compareDrawing(d, "ridge & slope", alongTime, logError)

	// Another problem does not lose what was chosen for it.
	b.click(`#methods input[data-curve="0"]`)
	b.choose("problem", "valley")
	b.compareDrawing(d, "valley", alongTime, value, 0)
}

func browseTargets(t *testing.T, b *browser) {
	d := troubled()
	b.open(d, "")
	levels := []float64{0.1, 2e-3, 1e-5, 1e-9}
	b.do(chromedp.Evaluate[chromedp.Void](`document.getElementById("levels").select()`),
		chromedp.KeyEvent("0.1, 2e-3 1e-5;1e-9"))
	table := func() [][]string {
		return eval[[][]string](b, `[...document.querySelectorAll("#targets tbody tr")].map((r) =>
			[...r.cells].map((c) => [...c.childNodes].map((n) => n.textContent).join("|")))`)
	}
	duration := func(s float64) string {
		switch {
		case s >= 0.9995:
			return report.Number(s, 3) + " s"
		case s >= 0.9995e-3:
			return report.Number(1e3*s, 3) + " ms"
		}
		return report.Number(1e6*s, 3) + " µs"
	}
	_, grouped := curves(d, "valley")
	var want [][]string
	fastest := make([]float64, len(levels))
	firsts := make([][]float64, len(grouped))
	for l := range levels {
		fastest[l] = math.Inf(1)
	}
	for i, runs := range grouped {
		row := []string{runs[0].Method + "|" + runs[0].Params}
		for l, level := range levels {
			var times, samples []float64
			reached := 0
			for _, r := range runs {
				at := slices.IndexFunc(r.Points, func(p report.BenchPoint) bool { return p.Value-0.25 <= level })
				if at < 0 {
					times, samples = append(times, math.Inf(1)), append(samples, math.Inf(1))
					continue
				}
				reached++
				times, samples = append(times, r.Points[at].Seconds), append(samples, float64(r.Points[at].Samples))
			}
			slices.Sort(times)
			slices.Sort(samples)
			median := sortedQuantile(times, 0.5)
			fastest[l] = min(fastest[l], median)
			firsts[i] = append(firsts[i], median)
			share := fmt.Sprintf("%d/%d", reached, len(runs))
			if math.IsInf(median, 1) {
				row = append(row, "–|"+share)
				continue
			}
			row = append(row, duration(median)+"|"+grouped3(sortedQuantile(samples, 0.5))+" samples, "+share)
		}
		want = append(want, row)
	}
	if got := table(); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("table is\n%q, want\n%q", got, want)
	}
	if marked := eval[int](b, `document.querySelectorAll("#targets .better").length`); marked != 3 {
		t.Errorf("%d fastest are marked, want 3 for the levels that were reached", marked)
	}
	if got := b.hash().Get("levels"); got != "0.1,2e-3,1e-5,1e-9" {
		t.Errorf("the address has the levels %q", got)
	}

	// Sorted by the third level, where several did not arrive.
	b.click("#targets th:nth-child(4) button")
	rows := table()
	previous := 0.0
	for _, row := range rows {
		i := slices.IndexFunc(want, func(w []string) bool { return w[0] == row[0] })
		if firsts[i][2] < previous {
			t.Errorf("row %q is not in order", row)
		}
		previous = firsts[i][2]
	}
	if got := b.hash().Get("sort"); got != "2" || len(rows) != len(want) {
		t.Errorf("sorted by level %q, %d rows", got, len(rows))
	}

	// What is no list of levels is said, and changes nothing.
	b.do(chromedp.SendKeys(chromedp.CSS("#levels"), ", none"))
	if got := eval[string](b, `document.getElementById("levels").getAttribute("aria-invalid")`); got != "true" {
		t.Errorf("wrong levels have aria-invalid %q", got)
	}
	if got := b.hash().Get("levels"); got != "0.1,2e-3,1e-5,1e-9" {
		t.Errorf("wrong levels made the address %q", got)
	}

	// Few seeds are no comparison.
	b.open(report.Synthetic(2, 3, 20), "")
	note := eval[string](b, `document.getElementById("targets-note").textContent`)
	if !strings.Contains(note, "too few to compare") {
		t.Errorf("with three seeds the note is %q", note)
	}
	if marked := eval[int](b, `document.querySelectorAll("#targets .better").length`); marked != 0 {
		t.Errorf("%d are marked as fastest over three seeds", marked)
	}
}

// grouped3 is a number of three digits with the thousands separated, as the page prints it.
func grouped3(v float64) string { return report.Grouped(report.Number(v, 3)) }

func browseAddress(t *testing.T, b *browser) {
	d := troubled()
	q := url.Values{"problem": {"ridge & slope"}, "x": {"samples"}, "y": {"error"}, "ylog": {"1"},
		"off": {`["method 01","batch=32"]`}, "levels": {"0.01,1e-4"}, "sort": {"1"}}
	b.open(d, q.Encode())
	y := upError
	y.log = true
	b.compareDrawing(d, "ridge & slope", alongSamples, y, 1)
	if got := b.hash(); got.Encode() != q.Encode() {
		t.Errorf("the address became %v, was %v", got, q)
	}
	if got := eval[string](b, `document.getElementById("levels").value`); got != "0.01, 1e-4" {
		t.Errorf("levels are %q", got)
	}
	// A changed address changes the view, and what it does not know is left out.
	eval[string](b, `location.hash = "x=gradients&y=nothing&problem=unknown&sort=77&levels=-1"`)
	b.do(chromedp.Poll[chromedp.Void](`document.getElementById("x").value === "gradients"`))
	b.compareDrawing(d, "valley", alongGradients, upValue(0.25))
}

func browseReadout(t *testing.T, b *browser) {
	d := report.Synthetic(3, 10, 40)
	b.open(d, "")
	all, grouped := curves(d, "valley")
	// By keyboard: the first position of all, where each curve has its first value.
	b.do(chromedp.Focus(chromedp.CSS("#plot")), chromedp.KeyEvent(kb.Home))
	read := func() string {
		return eval[string](b, `(({ hidden, innerText }) => hidden ? "" : innerText)(document.getElementById("readout"))`)
	}
	value := func(s statistics) string {
		return report.Number(s.median, 3) + "\t" + report.Number(s.lo, 3) + " … " + report.Number(s.hi, 3)
	}
	for i, runs := range grouped {
		first := expected(all, runs, alongTime, upValue(0.25))[0]
		want := fmt.Sprintf("method %02d %s\t%s", i, runs[0].Params, value(first))
		if got := read(); !strings.Contains(got, want) {
			t.Errorf("readout %q lacks %q", got, want)
		}
	}
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	second := expected(all, grouped[0], alongTime, upValue(0.25))[1]
	if got := read(); !strings.Contains(got, value(second)) {
		t.Errorf("one step on, readout %q lacks %q", got, value(second))
	}
	b.do(chromedp.KeyEvent(kb.Escape))
	if got := read(); got != "" {
		t.Errorf("after escape the readout is %q", got)
	}

	// By mouse, on the 80th point of a curve.
	middle := expected(all, grouped[1], alongTime, upValue(0.25))[80]
	at := eval[[]float64](b, `(() => {
		const path = document.querySelector('#plot path.curve[data-curve="1"]').getAttribute("d");
		const p = path.match(/[ML][\d.]+ [\d.]+/g)[80].slice(1).split(" ").map(Number);
		const box = document.getElementById("plot").getBoundingClientRect();
		return [box.left + p[0], box.top + p[1]];
	})()`)
	b.do(chromedp.MouseEvent("mouseMoved", at[0], at[1]))
	if got := read(); !strings.Contains(got, value(middle)) {
		t.Errorf("under the mouse, readout %q lacks %q", got, value(middle))
	}
	if got := eval[string](b, `document.querySelector("#plot .curve.strong").dataset.curve`); got != "1" {
		t.Errorf("curve %q is brought forward, want 1", got)
	}
	b.do(chromedp.MouseEvent("mouseMoved", 5, 5))
	if got := read(); got != "" {
		t.Errorf("with the mouse away the readout is %q", got)
	}
}

// A grid of parameters begins with the best of each method.
func browseGrid(t *testing.T, b *browser) {
	d := report.BenchData{Title: "Grid", Best: map[string]float64{"p": 0}}
	for m := range 4 {
		for k := range 6 {
			r := report.BenchRun{Problem: "p", Method: fmt.Sprint("m", m), Params: fmt.Sprint("step=", k), Status: "done"}
			for i, value := range []float64{1, 0.1 + math.Abs(float64(k-m)), 0.01 + math.Abs(float64(k-m))} {
				n := int64(10 * i)
				r.Points = append(r.Points, report.BenchPoint{Step: n, Seconds: float64(i), Samples: n, GradCalls: n,
					Value: value, GradNorm2: math.NaN(), TestError: math.NaN(), KKT: math.NaN()})
			}
			d.Runs = append(d.Runs, r)
		}
	}
	b.open(d, "")
	shown := func() string {
		return eval[string](b, `[...document.querySelectorAll("#plot .curve")].map((p) => p.dataset.name).join(", ")`)
	}
	best := "m0 step=0, m1 step=1, m2 step=2, m3 step=3"
	if got := shown(); got != best {
		t.Errorf("the page begins with %s, want %s", got, best)
	}
	b.click("#all")
	if n := len(strings.Split(shown(), ", ")); n != 24 {
		t.Errorf("%d curves after All, want 24", n)
	}
	looks := eval[int](b, `new Set([...document.querySelectorAll("#plot .curve")].map((p) => {
		const s = getComputedStyle(p);
		return s.stroke + s.strokeDasharray;
	})).size`)
	if looks != 24 {
		t.Errorf("24 lines have %d looks", looks)
	}
	b.click("#best")
	if got := shown(); got != best {
		t.Errorf("the best are %s, want %s", got, best)
	}
}

const hostile = `</script><script>alert("1")</script><!--<b>&amp;` + "\u2028\x00\xff'`${1}"

func browseHostile(t *testing.T, b *browser) {
	d := report.BenchData{Title: hostile, Subtitle: hostile, Facts: []report.Fact{{Name: hostile, Value: hostile}},
		Runs: []report.BenchRun{
			{Problem: hostile, Method: hostile, Params: hostile, Status: "done",
				Points: []report.BenchPoint{{Value: 2}, {Step: 1, Seconds: 1, Value: 1}}},
			{Problem: "p", Method: hostile, Status: "failed: " + hostile},
		}}
	b.open(d, "")
	want := report.Clean(hostile) + " " + report.Clean(hostile)
	if got := eval[string](b, `document.querySelector("#plot .curve").dataset.name`); got != want {
		t.Errorf("curve is called %q, want %q", got, want)
	}
	if got := eval[string](b, `document.querySelector("h1").textContent`); got != report.Clean(hostile) {
		t.Errorf("title is %q", got)
	}
	b.choose("problem", "p")
	if got := eval[string](b, `document.getElementById("plot").textContent`); got != "No method has data for these axes." {
		t.Errorf("a problem without records says %q", got)
	}
}

func browseLayout(t *testing.T, b *browser) {
	d := troubled()
	d.Runs[0].Status = "failed: " + strings.Repeat("message-without-an-end", 20)
	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int64{320, 700, 1400} {
			b.do(chromedp.EmulateViewport(width, 900))
			b.open(d, "")
			if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s: a window of %d pixels scrolls over %d", scheme, width, wide)
			}
			high := eval[float64](b, `Math.max(...[...document.querySelectorAll("#targets th:first-child bdi, .pairs th")]
				.map((e) => e.getBoundingClientRect().height))`)
			if high > 60 {
				t.Errorf("%s: in a window of %d pixels a name in a table is %v pixels high", scheme, width, high)
			}
			b.compareDrawing(d, "valley", alongTime, upValue(0.25))
			// The contrast of lines and of text with the page, as WCAG 2 computes it.
			low := eval[[]string](b, `(() => {
				const light = (colour) => {
					const c = colour.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255)
						.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
					return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
				};
				const page = light(getComputedStyle(document.body).backgroundColor), low = [];
				const check = (e, colour, least) => {
					const [a, b] = [light(colour), page].sort((x, y) => x - y), contrast = (b + 0.05) / (a + 0.05);
					if (contrast < least) low.push(e.tagName + " " + e.className.baseVal + " " + colour + " " + contrast.toFixed(2));
				};
				for (const e of document.querySelectorAll("#plot .curve")) check(e, getComputedStyle(e).stroke, 2.5);
				for (const e of document.querySelectorAll("#plot text")) check(e, getComputedStyle(e).fill, 4.5);
				for (const e of document.querySelectorAll("p, td, th, label, button, select, input, summary"))
					check(e, getComputedStyle(e).color, 4.5);
				return low;
			})()`)
			if len(low) > 0 {
				t.Errorf("%s: contrast too low: %q", scheme, low)
			}
		}
	}
}
