// Package browser tests the page of benchmarks in a browser: in a module of its own, for what that needs.
package browser

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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

	"github.com/bilevel-go/bilevel/internal/chart"
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

// open shows the page of d.
func (b *browser) open(d report.BenchData) {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "bench.html")
	file, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := errors.Join(report.WriteBench(file, d), file.Close()); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Navigate((&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()),
		chromedp.WaitReady(chromedp.CSS("main")))
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

// made is a page of runs that never ran, whose names are so called.
func made(methods int, name func(k int) string) report.BenchData {
	panel := chart.Panel{X: chart.Axis{Quantity: "terms of f and g visited", Log: true},
		Y: chart.Axis{Quantity: "distance of h from its minimum, h − h*", Log: true, Least: 1e-7}}
	p := report.BenchProblem{Name: name(0), Levels: []float64{1e-2, 1e-3, 1e-4, 1e-5}}
	for k := range methods {
		c := chart.Curve{Name: name(k)}
		for x := 1e3; x < 1e8; x *= 1.4 {
			y := max(math.Pow(1+x/1e5, -0.2*float64(k%7)), math.Pow(10, -float64(k%11)))
			c.X, c.Y, c.Low, c.High = append(c.X, x), append(c.Y, y), append(c.Low, y/3), append(c.High, y*3)
		}
		panel.Curves = append(panel.Curves, c)
		row := report.BenchRow{Method: name(k), Params: "batch=64 inner=0.5", Last: 1e-4, Seeds: 10}
		for range p.Levels {
			row.Levels = append(row.Levels, report.BenchLevel{Seconds: 0.1 * float64(1+k), Samples: 1e6, Reached: 10})
		}
		p.Rows = append(p.Rows, row)
	}
	right := panel
	right.X = chart.Axis{Quantity: "time on one core", Log: true, Seconds: true}
	f := chart.Figure{Label: name(0), Panels: []chart.Panel{panel, right}}
	for range 2 {
		c := report.BenchChart{Quantity: panel.Y.Quantity, Caption: "Made up."}
		for _, screen := range []*[]template.HTML{&c.Wide, &c.Narrow} {
			f.Narrow = screen == &c.Narrow
			svgs, _ := f.Parts()
			for _, svg := range svgs {
				*screen = append(*screen, template.HTML(svg))
			}
		}
		p.Charts = append(p.Charts, c)
	}
	return report.BenchData{Title: name(0), Problems: []report.BenchProblem{p}, Runs: methods,
		Failures: []report.BenchFailure{{Problem: name(0), Method: name(1), Params: "batch=64",
			Message: "failed: " + strings.Repeat("message-without-an-end", 20)}}}
}

func numbered(k int) string { return fmt.Sprintf("method %02d", k) }

func TestBenchInBrowser(t *testing.T) {
	ctx := startBrowser(t)
	for name, test := range map[string]func(*testing.T, *browser){
		"layout": browseLayout, "figures": browseFigures, "hostile names": browseHostile,
	} {
		t.Run(name, func(t *testing.T) { test(t, newTab(t, ctx)) })
	}
}

// shown are the drawings that are seen, as an expression.
const shown = `[...document.querySelectorAll(".panels svg")].filter((e) => e.checkVisibility())`

func browseLayout(t *testing.T, b *browser) {
	d := made(14, numbered)
	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int64{360, 390, 700, 1200} {
			b.do(chromedp.EmulateViewport(width, 900))
			b.open(d)
			if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s: a window of %d pixels scrolls over %d", scheme, width, wide)
			}
			if n := eval[int](b, shown+".length"); n != 2 {
				t.Errorf("%d drawings are seen at %d pixels", n, width)
			}
			// Text has its size, and no two texts of a drawing overlap in the font of this browser.
			if got := eval[[]string](b, `(() => {
				const wrong = [];
				for (const svg of `+shown+`) {
					const texts = [...svg.querySelectorAll("text")];
					const boxes = texts.map((e) => e.getBoundingClientRect());
					texts.forEach((e, i) => {
						if (parseFloat(getComputedStyle(e).fontSize) * svg.getScreenCTM().a < 11) wrong.push(e.textContent + " is small");
						for (let j = 0; j < i; j++) {
							const [a, b] = [boxes[i], boxes[j]];
							if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0 &&
								Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
								wrong.push(e.textContent + " overlaps " + texts[j].textContent);
						}
					});
				}
				return wrong;
			})()`); len(got) > 0 {
				t.Errorf("%s, %d pixels: %q", scheme, width, got)
			}
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
					if (contrast < least) low.push(e.tagName + " " + colour + " " + contrast.toFixed(2));
				};
				for (const e of document.querySelectorAll("svg g > path")) {
					const { fill, stroke, strokeWidth } = getComputedStyle(e);
					if (parseFloat(strokeWidth) > 1) check(e, stroke === "none" ? fill : stroke, 2);
				}
				for (const e of document.querySelectorAll("svg text")) check(e, getComputedStyle(e).fill, 4.5);
				for (const e of document.querySelectorAll("p, td, th, summary, figcaption"))
					check(e, getComputedStyle(e).color, 4.5);
				return low;
			})()`)
			if len(low) > 0 {
				t.Errorf("%s: contrast too low: %q", scheme, low)
			}
		}
	}
}

// The first figure is open, the others open at a click, and colours are those of the four in front.
func browseFigures(t *testing.T, b *browser) {
	b.do(chromedp.EmulateViewport(1200, 900))
	b.open(made(9, numbered))
	b.do(chromedp.Click(chromedp.CSS("details:not([open]) summary")))
	if n := eval[int](b, shown+".length"); n != 4 {
		t.Errorf("%d drawings are seen after a click", n)
	}
	got := eval[int](b, "new Set([..."+shown+
		`[0].querySelectorAll("g > text")].map((e) => getComputedStyle(e).fill)).size`)
	if got != 5 {
		t.Errorf("names have %d colours, want four and grey", got)
	}
	if got := eval[string](b, shown+`[0].getAttribute("role") + " " + `+shown+`[0].getAttribute("aria-label")`); !strings.
		HasPrefix(got, "img ") || len(got) < 10 {
		t.Errorf("to those who do not see it the drawing is %q", got)
	}
}

func browseHostile(t *testing.T, b *browser) {
	const hostile = `</script><script>alert("1")</script></svg><!--<b>&amp;` + "\u2028\x00\xff'`${1}"
	b.open(made(3, func(k int) string { return fmt.Sprint(k, hostile) }))
	if got := eval[string](b, `document.querySelector("svg g > text").textContent`); !strings.Contains(got,
		"</script><script>alert") {
		t.Errorf("a curve is called %q", got)
	}
	if n := eval[int](b, `document.querySelectorAll("script, b").length`); n > 0 {
		t.Errorf("names have made %d elements", n)
	}
}
