package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/numbers"
)

// cleanExtras are flags of clean about files beside the rows.
type cleanExtras struct {
	cleaned, probabilities string
}

func (e *cleanExtras) registerExtras(p *pflag.FlagSet) {
	p.StringVar(&e.probabilities, "probabilities", "", "probabilities of the classes of the training rows by another "+
		"model, out of fold: a column for each class")
	p.StringVar(&e.cleaned, "cleaned", "", "write the training file without the suspicious rows to this file")
}

// learnsNoise says that the method is the one of the noise.
func (f *cleanFlags) learnsNoise() bool { return f.method == "auto" || f.method == "noise" }

// checkExtras finds contradictions before anything is read.
func (f *cleanFlags) checkExtras(c *cobra.Command) error {
	for _, name := range []string{"cleaned", "probabilities"} {
		switch value := c.Flag(name).Value.String(); {
		case !c.Flags().Changed(name):
		case value == "":
			return usagef("--%s \"\": give a name, or leave the flag out", name)
		case f.train == "":
			return usagef("--%s is about files: give --train", name)
		case value == dash:
			return usagef("--%s -: give a file", name)
		}
	}
	if f.probabilities != "" && !f.learnsNoise() {
		return usagef("--probabilities: method %s learns weights by a model of its own; leave --method out", f.method)
	}
	if f.cleaned == "" {
		return nil
	}
	if f.train == dash {
		return usagef("--cleaned: standard input cannot be read twice; save the rows and give the file as --train")
	}
	if info, err := os.Stat(filepath.Dir(f.cleaned)); err != nil || !info.IsDir() {
		return usagef("--cleaned %s: the folder %s does not exist", f.cleaned, filepath.Dir(f.cleaned))
	}
	if err := checkTarget(f.cleaned, f.train, f.trusted, f.test, f.probabilities); err != nil {
		return usagef("--cleaned %s: %w", f.cleaned, err)
	}
	return nil
}

// checkFormat refuses to write a file in a format that cannot be copied row by row.
func (f *cleanFlags) checkFormat(train *dataset.Set) error {
	if f.cleaned == "" {
		return nil
	}
	if format := train.Schema.Format; isFolder(f.train) || !slices.Contains(dataset.RawFormats(), format) {
		return usagef("--cleaned: rows of the format %s cannot be copied as they stand; leave the flag out and take the "+
			"rows that weights.csv keeps, or save them as CSV", format)
	}
	return nil
}

// writeCleaned writes the training file without the suspicious rows.
func (f *cleanFlags) writeCleaned(d *cleaned, raw *dataset.Raw) error {
	if f.cleaned == "" {
		return nil
	}
	bad := make(map[int]bool)
	for i, r := range d.Rows {
		if !r.Kept {
			bad[d.train.RowNumber(i)-1] = true
		}
	}
	var text bytes.Buffer
	if err := raw.Write(&text, func(i int) bool { return !bad[i] }); err != nil {
		return err
	}
	if err := writeFiles([]outFile{{f.cleaned, text.Bytes()}}); err != nil {
		return usagef("--cleaned %s: %w", f.cleaned, err)
	}
	return nil
}

// readRaw reads the training file as it stands, where something is made of that; else nil.
func (f *cleanFlags) readRaw(ctx context.Context, train *dataset.Set) (*dataset.Raw, error) {
	texts := slices.ContainsFunc(train.Schema.Columns, func(c dataset.Column) bool { return c.Text != nil })
	if f.train == "" || f.train == dash || f.cleaned == "" && !texts ||
		!slices.Contains(dataset.RawFormats(), train.Schema.Format) || isFolder(f.train) {
		return nil, nil
	}
	return dataset.ReadRaw(ctx, f.train, train.Schema.Format, f.read)
}

// number is the number of training row i in its file, or among the rows of a set.
func (d *cleaned) number(i int) int {
	if d.file == "" {
		return i + 1
	}
	return d.train.RowNumber(i)
}

// Probabilities may miss one by so much in sum: those of single precision do.
const sumTolerance = 1e-3

// readProbabilities reads what another model says of the training rows; nil without a file.
func (f *cleanFlags) readProbabilities(ctx context.Context, train *dataset.Set) ([]float64, error) {
	if f.probabilities == "" {
		return nil, nil
	}
	o := dataset.Options{NoLabel: true, Storage: dataset.Dense, Memory: f.read.Memory}
	p, err := dataset.Read(ctx, f.probabilities, o)
	if err != nil {
		o.NoHeader = true // numbers only
		again, e := dataset.Read(ctx, f.probabilities, o)
		if e != nil {
			return nil, err
		}
		p = again
	}
	wrong := func(hint, format string, args ...any) error {
		return &dataset.Error{File: p.Source, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	n, d := p.Dims()
	k := len(train.Classes)
	column := make([]int, k)
	named := true
	for c, class := range train.Classes {
		column[c] = -1
		for j := range d {
			if p.FeatureName(j) == class {
				column[c] = j
			}
		}
		named = named && column[c] >= 0
	}
	if !named {
		if d != k {
			return nil, wrong("give a column for each class, called as it is or in the order "+classList(train.Classes),
				"there are %d columns, and not one for each of the %d classes", d, k)
		}
		for c := range column {
			column[c] = c
		}
	}
	of, err := rowsOf(train, n)
	if err != nil {
		return nil, wrong("give a row for each row of the training file, in its order", "%w", err)
	}
	out := make([]float64, 0, k*len(of))
	for _, i := range of {
		row := denseRow(p, i)
		sum := 0.0
		for _, j := range column {
			if row[j] < 0 {
				return nil, wrong("give probabilities", "row %d has the negative number %v", i+1, row[j])
			}
			sum += row[j]
		}
		if math.Abs(sum-1) > sumTolerance {
			return nil, wrong("give probabilities, and not scores", "the probabilities of row %d add up to %s, not to 1", i+1,
				numbers.Digits(sum, 4))
		}
		for _, j := range column {
			out = append(out, row[j]/sum)
		}
	}
	return out, nil
}

// classList are classes in order, in a message.
func classList(names []string) string {
	const most = 5
	var out []string
	for _, c := range names[:min(len(names), most)] {
		out = append(out, numbers.Plain(c))
	}
	if len(names) > most {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}

// rowsOf are the places of the training rows among n rows.
func rowsOf(train *dataset.Set, n int) ([]int, error) {
	m, _ := train.Dims()
	of := make([]int, m)
	for i := range of {
		of[i] = i
	}
	if n == m {
		return of, nil
	}
	for i := range of { // rows with missing cells were left out of one of the two
		if of[i] = train.RowNumber(i) - 1; train.Rows == nil || of[i] >= n {
			return nil, fmt.Errorf("there are %d rows, and %d training rows", n, m)
		}
	}
	return of, nil
}

// sources says where the texts of the rows stand.
func (d *cleaned) sources(path string, raw *dataset.Raw) {
	if isFolder(path) {
		d.folder = path
	}
	if d.raw = raw; raw == nil {
		return
	}
	for j, name := range raw.Names {
		text := func(c dataset.Column) bool { return c.Name == name && c.Text != nil }
		if slices.ContainsFunc(d.train.Schema.Columns, text) {
			d.texts = append(d.texts, j)
		}
	}
}

// shownText is how much of a text the report shows.
const shownText = 160

// beginning is how the text of row i begins, "" where rows are no texts.
func (d *cleaned) beginning(i int) string {
	if d.folder != "" && d.train.Names != nil {
		file, err := os.Open(filepath.Join(d.folder, filepath.FromSlash(d.train.Names[i])))
		if err != nil {
			return ""
		}
		defer file.Close()
		text, err := io.ReadAll(io.LimitReader(file, 8*shownText))
		if err != nil && !errors.Is(err, io.EOF) {
			return ""
		}
		return shortened(string(text))
	}
	if d.raw == nil {
		return ""
	}
	place := d.train.RowNumber(i) - 1
	if place >= len(d.raw.Rows) {
		return ""
	}
	cells := d.raw.Cells(place)
	var texts []string
	for _, j := range d.texts {
		if j < len(cells) {
			texts = append(texts, cells[j])
		}
	}
	return shortened(strings.Join(texts, " · "))
}

// shortened is the beginning of a text in one line.
func shortened(text string) string {
	text = strings.Join(strings.Fields(numbers.Plain(strings.ToValidUTF8(text, "�"))), " ")
	if utf8.RuneCountInString(text) <= shownText {
		return text
	}
	return string([]rune(text)[:shownText]) + "…"
}
