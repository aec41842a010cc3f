package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/bilevel-go/bilevel/internal/palette"
)

// Cleaning is what the report of a search for wrong labels shows.
type Cleaning struct {
	Title string
	Words []string
	// Weights are those of all training rows, between 0 and 1. Nil leaves the histogram out.
	Weights []float64
	// Suspects are the most suspicious rows, in order.
	Suspects []Suspect
	Facts    []Fact
}

// Suspect is a row whose label may be wrong.
type Suspect struct {
	Row              int // 1-based
	Label, Predicted string
	Weight           float64
	// Picture is a PNG in base64; where it is empty, Values are shown.
	Picture string
	Values  string
}

//go:embed clean.html.tmpl
var cleaningPage string

var cleaningTemplate = template.Must(template.New("cleaning").Parse(cleaningPage))

// weightBar is a bar of the histogram of weights, in the units of its picture.
type weightBar struct {
	X, Y, Height float64
	Count        int
	From, To     float64
}

const (
	weightBins   = 20
	weightHeight = 160
	weightWidth  = 24
)

// WriteCleaning renders d to w as one HTML document without scripts, whose pictures are inside.
func WriteCleaning(w io.Writer, d Cleaning) error {
	v := struct {
		Style         template.CSS
		Title         string
		Words         []string
		Bars          []weightBar
		Width, Height int
		Rows          []suspectView
		Pictures      bool
		Facts         []Fact
	}{
		Style: template.CSS(palette.CSS() + style), Title: clean(d.Title),
		Bars: weightBars(d.Weights), Width: weightBins * weightWidth, Height: weightHeight,
	}
	for _, words := range d.Words {
		v.Words = append(v.Words, clean(words))
	}
	for _, s := range d.Suspects {
		r := suspectView{Row: s.Row, Label: clean(s.Label), Predicted: clean(s.Predicted),
			Weight: fmt.Sprintf("%.3g", s.Weight), Values: clean(s.Values)}
		if s.Picture != "" {
			r.Picture, v.Pictures = template.URL("data:image/png;base64,"+s.Picture), true
		}
		v.Rows = append(v.Rows, r)
	}
	for _, f := range d.Facts {
		v.Facts = append(v.Facts, Fact{clean(f.Name), clean(f.Value)})
	}
	var b bytes.Buffer
	if err := cleaningTemplate.Execute(&b, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// suspectView is a Suspect as the template reads it.
type suspectView struct {
	Row                              int
	Label, Predicted, Weight, Values string
	Picture                          template.URL
}

// weightBars are the bars of the histogram of weights; the highest is as high as the picture.
func weightBars(weights []float64) []weightBar {
	if len(weights) == 0 {
		return nil
	}
	bars, most := make([]weightBar, weightBins), 0
	for _, w := range weights {
		k := max(0, min(weightBins-1, int(w*weightBins)))
		bars[k].Count++
		most = max(most, bars[k].Count)
	}
	for k := range bars {
		b := &bars[k]
		b.X, b.Height = float64(k*weightWidth), weightHeight*float64(b.Count)/float64(most)
		b.Y = weightHeight - b.Height
		b.From, b.To = float64(k)/weightBins, float64(k+1)/weightBins
	}
	return bars
}
