package dataset

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// The files; embedded/README.md says where they are from.
var (
	//go:embed embedded/digits.csv.gz
	digitsFile []byte
	//go:embed embedded/breast_cancer.csv.gz
	breastCancerFile []byte
)

// embeddedSets are the sets that are part of the library. An entry is all that there is to say about one.
var embeddedSets = []struct {
	name, label string
	file        []byte
	skip        int // lines before the data
	columns     []string
	classes     func(*Set) error // makes classes of the labels
}{
	{
		name: "digits", label: "digit", file: digitsFile, columns: pixelNames(8),
		classes: (*Set).AsClasses,
	},
	{
		name: "breast-cancer", label: "diagnosis", file: breastCancerFile, skip: 1, columns: breastCancerNames,
		classes: func(s *Set) error {
			for i, v := range s.Y {
				s.Y[i] = 1 - v // the file has malignant first
			}
			s.setClasses([]string{"benign", "malignant"})
			return nil
		},
	},
}

// EmbeddedSets are the names of the sets that are part of the library.
func EmbeddedSets() []string {
	var all []string
	for _, e := range embeddedSets {
		all = append(all, e.name)
	}
	return all
}

// Embedded returns a small real set that is part of the library:
//
//	digits          UCI optical digits, 1797 × 64 (8 × 8 pixels, 0 to 16), 10 classes
//	breast-cancer   UCI breast cancer Wisconsin (diagnostic), 569 × 30, benign and malignant
//
// The rows are in the order of the files, which is not random. Both are under CC BY 4.0.
func Embedded(name string) (*Set, error) {
	for _, e := range embeddedSets {
		if e.name != name {
			continue
		}
		s, err := embedded(e.file, e.skip, e.label, e.columns)
		if err != nil {
			return nil, err
		}
		if err := e.classes(s); err != nil {
			return nil, err
		}
		s.Source, s.LabelHow = name, "" // nobody has chosen it
		return s, nil
	}
	return nil, fail("", "there are "+strings.Join(EmbeddedSets(), " and "), "no embedded set is called %s", quote(name))
}

// embedded reads a file without header, after skip lines, whose last column is the label.
func embedded(file []byte, skip int, label string, names []string) (*Set, error) {
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	for range skip {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	head := strings.Join(names, ",") + "," + label + "\n"
	return ReadFrom(context.Background(), io.MultiReader(strings.NewReader(head), bytes.NewReader(text)), label+".csv",
		Options{Format: "csv", Label: label})
}

// rename gives the columns of a file without header their names.
func (s *Set) rename(names []string, label string) {
	if len(names) != len(s.Schema.Columns) {
		panic(fmt.Sprintf("dataset: %d names for %d columns", len(names), len(s.Schema.Columns)))
	}
	for j, name := range names {
		s.Schema.Columns[j].Name = name
	}
	s.Schema.Label = label
	s.Features = s.Schema.Features()
}

// pixelNames are pixel_row_column of a square picture, row by row, counted from 0.
func pixelNames(side int) []string {
	names := make([]string, 0, side*side)
	for r := range side {
		for c := range side {
			names = append(names, fmt.Sprintf("pixel_%d_%d", r, c))
		}
	}
	return names
}

// breastCancerNames are the names of the set's documentation.
var breastCancerNames = func() []string {
	traits := []string{"radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity",
		"concave points", "symmetry", "fractal dimension"}
	names := make([]string, 0, 30)
	for _, form := range []string{"mean %s", "%s error", "worst %s"} {
		for _, t := range traits {
			names = append(names, fmt.Sprintf(form, t))
		}
	}
	return names
}()
