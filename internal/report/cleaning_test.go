package report

import (
	"bytes"
	"strings"
	"testing"
)

func TestCleaning(t *testing.T) {
	var b bytes.Buffer
	err := WriteCleaning(&b, Cleaning{
		Title:    "noisy <1>",
		Words:    []string{"two & two"},
		Weights:  []float64{0, .01, .49, .5, 1, 1, 1},
		Suspects: []Suspect{{Row: 7, Label: "<b>", Predicted: "cat", Weight: .0123, Values: "size 3, \"x\" 4"}},
		Facts:    []Fact{{"seed", "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"<h1>noisy &lt;1&gt;</h1>", "two &amp; two", "<bdi>&lt;b&gt;</bdi>", "0.0123", "size 3",
		"3 rows from 0.95 to 1", "2 rows from 0 to 0.05", "<bdi>seed</bdi>"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, bad := range []string{"<img", "<script", "<b>cat", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}

	b.Reset()
	suspects := []Suspect{{Row: 1, Label: "3", Predicted: "8", Picture: "iVBORw0KGgo="}}
	if err := WriteCleaning(&b, Cleaning{Suspects: suspects}); err != nil {
		t.Fatal(err)
	}
	page = b.String()
	if !strings.Contains(page, `src="data:image/png;base64,iVBORw0KGgo="`) || strings.Contains(page, "<h2>Weights</h2>") ||
		strings.Contains(page, "<h2>How") {
		t.Errorf("%s", page[strings.Index(page, "<main>"):])
	}
}

func TestWeightBars(t *testing.T) {
	bars := weightBars([]float64{0, .5, .5, 1})
	if len(bars) != weightBins || bars[0].Count != 1 || bars[weightBins/2].Count != 2 || bars[weightBins-1].Count != 1 {
		t.Errorf("%+v", bars)
	}
	if b := bars[weightBins/2]; b.Height != weightHeight || b.Y != 0 {
		t.Errorf("the highest bar is %+v", b)
	}
	if weightBars(nil) != nil {
		t.Error("bars of nothing")
	}
}
