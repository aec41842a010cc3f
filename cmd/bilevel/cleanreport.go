package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/report"
	"github.com/bilevel-go/bilevel/rows"
)

// shownSuspects is how many suspicious rows the report shows, and shownValues how many features of one.
const (
	shownSuspects = 120
	shownValues   = 12
)

// writeReport writes the report.
func (d *cleaned) writeReport(w io.Writer) error {
	page := report.Cleaning{
		Title: "bilevel clean: " + d.name,
		Words: d.words(),
		Facts: []report.Fact{
			{Name: "data", Value: d.dataLine()},
			{Name: "method", Value: fmt.Sprintf("%s, %d steps, %s", d.Method, d.Steps, d.Reason)},
			{Name: "kept", Value: fmt.Sprintf("%d rows: the weight is at least one half, "+
				"or a model of such rows gives them their label", d.Kept)},
			{Name: "ridge", Value: fmt.Sprintf("%.3g while weights are learned, %.3g in the final model",
				d.Ridge, d.FinalRidge)},
			{Name: "time", Value: fmt.Sprintf("%.2f s", d.Seconds)},
			{Name: "seed", Value: fmt.Sprint(d.seed)},
		},
	}
	for _, r := range d.Rows {
		page.Weights = append(page.Weights, r.Weight)
	}
	side := pictureSide(d.train)
	for _, i := range d.Suspects()[:min(shownSuspects, d.NTrain-d.Kept)] {
		r := d.Rows[i]
		s := report.Suspect{Row: i + 1, Label: d.Classes[r.Label], Predicted: d.Classes[r.Predicted], Weight: r.Weight}
		switch {
		case side > 0:
			data, err := picture(d.train.X.(*rows.Dense).Row(i), side)
			if err != nil {
				return err
			}
			s.Picture = data
		case d.train.Names != nil:
			s.Values = d.train.Names[i]
		default:
			s.Values = values(d.train, i)
		}
		page.Suspects = append(page.Suspects, s)
	}
	return report.WriteCleaning(w, page)
}

// pictureSide is the side of the square pictures that the rows of s are, or 0: images in IDX, and the embedded digits.
func pictureSide(s *dataset.Set) int {
	if _, ok := s.X.(*rows.Dense); !ok || s.Schema == nil || s.Schema.Format != "idx" && s.FeatureName(0) != "pixel_0_0" {
		return 0
	}
	_, d := s.Dims()
	if side := int(math.Round(math.Sqrt(float64(d)))); side*side == d && side > 1 {
		return side
	}
	return 0
}

// picture is a row as a grey picture, a PNG in base64. Its largest value is white.
func picture(row []float64, side int) (string, error) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range row {
		lo, hi = min(lo, v), max(hi, v)
	}
	img := image.NewGray(image.Rect(0, 0, side, side))
	for j, v := range row {
		if hi > lo {
			img.SetGray(j%side, j/side, color.Gray{Y: uint8(math.Round(255 * (v - lo) / (hi - lo)))})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// values are the first features of row i that are not zero, in words.
func values(s *dataset.Set, i int) string {
	var parts []string
	add := func(j int, v float64) bool {
		if len(parts) == shownValues {
			parts = append(parts, "…")
			return false
		}
		parts = append(parts, s.FeatureName(j)+" "+strconv.FormatFloat(v, 'g', 5, 64))
		return true
	}
	switch x := s.X.(type) {
	case *rows.Dense:
		for j, v := range x.Row(i) {
			if v != 0 && !add(j, v) {
				break
			}
		}
	case *rows.CSR:
		idx, val := x.Row(i)
		for k, j := range idx {
			if !add(int(j), val[k]) {
				break
			}
		}
	}
	return strings.Join(parts, ", ")
}
