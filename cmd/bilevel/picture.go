package main

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/rows"
)

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
	return shades(row, slices.Min(row), slices.Max(row), side)
}

// shades is a picture of values from lo, black, to hi, white.
func shades(row []float64, lo, hi float64, side int) (string, error) {
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

// denseRow is row i of s with all its zeros.
func denseRow(s *dataset.Set, i int) []float64 {
	switch x := s.X.(type) {
	case *rows.Dense:
		return x.Row(i)
	case *rows.CSR:
		row := make([]float64, x.D)
		idx, val := x.Row(i)
		for k, j := range idx {
			row[j] = val[k]
		}
		return row
	}
	return nil
}
