package browser

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/bilevel-go/bilevel/internal/report"
)

// look says what is wrong with the page, as it is shown: text of a contrast below 4.5 to 1 with its paper, marks below
// 3, things that stick out of the page, letters smaller than 12 pixels, and labels of an axis that overlap.
const look = `(() => {
	const wrong = [];
	const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgb = (c) => {
		context.clearRect(0, 0, 1, 1);
		context.fillStyle = c;
		context.fillRect(0, 0, 1, 1);
		return [...context.getImageData(0, 0, 1, 1).data];
	};
	const paper = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c[3] === 255) return c;
		}
		return [255, 255, 255, 255];
	};
	const luminance = (c) => c.slice(0, 3).map((v) => v / 255)
		.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
	const contrast = (a, b) => {
		const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
		return (x + 0.05) / (y + 0.05);
	};
	const name = (e) => e.tagName.toLowerCase() + "." + (e.getAttribute("class") || "") + " " +
		e.textContent.trim().slice(0, 40);
	const shown = (e) => e.getClientRects().length > 0;
	for (const e of document.querySelectorAll("body *")) {
		const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
		if (!own || !shown(e)) continue;
		const style = getComputedStyle(e), c = contrast(rgb(style.color), paper(e));
		if (c < 4.5) wrong.push(name(e) + ": contrast " + c.toFixed(2));
		if (parseFloat(style.fontSize) < 12) wrong.push(name(e) + ": " + style.fontSize);
	}
	for (const e of document.querySelectorAll(".track .point")) {
		const c = contrast(rgb(getComputedStyle(e).borderTopColor), paper(e));
		if (c < 3) wrong.push(name(e) + ": contrast " + c.toFixed(2));
	}
	const width = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth > width) wrong.push("the page scrolls sideways");
	for (const e of document.querySelectorAll("main *, header *")) {
		if (!shown(e) || e.closest(".wide, pre, svg")) continue;
		const box = e.getBoundingClientRect();
		if (box.right > width + 0.5 || box.left < -0.5) wrong.push(name(e) + ": from " + box.left + " to " + box.right);
	}
	const apart = (all, what) => {
		for (let i = 1; i < all.length; i++) {
			const a = all[i - 1].getBoundingClientRect(), b = all[i].getBoundingClientRect();
			if (a.right > b.left && b.right > a.left && a.bottom > b.top && b.bottom > a.top) {
				wrong.push(what + ": " + all[i - 1].textContent + " and " + all[i].textContent + " overlap");
			}
		}
	};
	for (const p of document.querySelectorAll(".plot")) {
		apart([...p.querySelectorAll(".x")], "x axis");
		apart([...p.querySelectorAll(".y")], "y axis");
	}
	for (const p of document.querySelectorAll(".axis")) apart([...p.children], "axis");
	return wrong;
})()`

// TestPageInBrowser looks at a page with all parts on a wide and on a narrow screen, light and dark, and on paper.
func TestPageInBrowser(t *testing.T) {
	ctx := startBrowser(t)
	path := filepath.Join(t.TempDir(), "page.html")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(report.Write(file, report.Example()), file.Close()); err != nil {
		t.Fatal(err)
	}
	address := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
	for _, width := range []int64{390, 768, 1200} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d %s", width, scheme), func(t *testing.T) {
				b := newTab(t, ctx)
				b.emulate(width, scheme, "screen")
				b.do(chromedp.Navigate(address))
				for _, wrong := range eval[[]string](b, look) {
					t.Error(wrong)
				}
				dark := eval[string](b, "getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
				if dark != (scheme == "dark") {
					t.Errorf("dark: %t", dark)
				}
				if got := eval[bool](b, "document.querySelector('details').open"); got {
					t.Error("the details are open")
				}
				// Closed details open without a script.
				b.click("summary")
				if !eval[bool](b, "document.querySelector('details dl').getClientRects().length > 0") {
					t.Error("the details do not open")
				}
			})
		}
	}
	t.Run("paper", func(t *testing.T) {
		b := newTab(t, ctx)
		b.emulate(700, "dark", "print")
		b.do(chromedp.Navigate(address))
		if got := eval[string](b, "getComputedStyle(document.body).backgroundColor"); got != "rgb(255, 255, 255)" {
			t.Errorf("the paper is %s", got)
		}
		const columns = "getComputedStyle(document.querySelector('.cards')).gridTemplateColumns.split(' ').length"
		if got := eval[int64](b, columns); got != 4 {
			t.Errorf("%d cards a row", got)
		}
	})
}

// emulate makes the tab a screen of this width, or paper.
func (b *browser) emulate(width int64, scheme, media string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media,
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}
