// Package bench computes figures of papers afresh, on the problems and with the methods of this library.
//
// A [Figure] computes a [Table], which is its numbers, and draws it. Nothing is drawn that was not computed.
package bench

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/dataset"
	"github.com/bilevel-go/bilevel/internal/chart"
	"github.com/bilevel-go/bilevel/internal/nearest"
)

// Figure is a figure that can be computed and drawn.
type Figure struct {
	Name  string
	Title string // what it shows, in a line
	Paper string // what it is after
	// Caption says below the drawing what its lines and bands are.
	Caption string
	// Sets are the public data sets that it needs, see dataset.Load.
	Sets []string
	// Labels and Values are the columns of its table.
	Labels, Values []string
	// Repeats is the default of Options.Repeats, 0 where nothing is random.
	Repeats int

	compute func(ctx context.Context, o Options, t *Table) error
	panels  func(t *Table) []chart.Panel
}

// Options of [Figure.Compute]. The zero value works.
type Options struct {
	// Repeats is how many random draws each point is a mean of. The default is the figure's.
	Repeats int
	// Seed seeds all randomness.
	Seed uint64
	// DataDir is a folder with copies of public sets, used first.
	DataDir string
	// Memory bounds what is read; nil is dataset.NewMemory(0).
	Memory *dataset.Memory
	// Progress, if any, is called with the share of the work that is done.
	Progress func(done float64)
}

// from is where public sets come from.
func (o *Options) from() dataset.GetOptions {
	return dataset.GetOptions{DataDir: o.DataDir, Memory: o.Memory}
}

// Figures are all figures.
func Figures() []Figure { return slices.Clone(figures) }

// Lookup finds a figure by its name.
func Lookup(name string) (Figure, error) {
	var names []string
	for _, f := range figures {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Figure{}, fmt.Errorf("bench: no figure is called %q: there are %s%s", name, strings.Join(names, ", "),
		nearest.Hint(name, names))
}

// Compute computes the numbers of f. Cancelling ctx is an error, for half of a figure is none.
func (f Figure) Compute(ctx context.Context, o Options) (*Table, error) {
	if o.Repeats < 0 {
		return nil, fmt.Errorf("bench: %d repeats", o.Repeats)
	}
	if o.Repeats == 0 {
		o.Repeats = f.Repeats
	}
	if o.Progress == nil {
		o.Progress = func(float64) {}
	}
	t := &Table{Labels: f.Labels, Values: f.Values}
	if err := f.compute(ctx, o, t); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // a run that was cut short is no error of bilevel.Minimize
		return nil, err
	}
	return t, nil
}

// Table is the numbers of a figure.
type Table struct {
	Labels, Values []string // names of the columns
	Rows           []Row
}

// Row is a point of a figure.
type Row struct {
	Labels []string
	Values []float64
}

// add appends a row.
func (t *Table) add(labels []string, values ...float64) {
	if len(labels) != len(t.Labels) || len(values) != len(t.Values) {
		panic(fmt.Sprintf("bench: a row of %d labels and %d values in a table of %d and %d", len(labels), len(values),
			len(t.Labels), len(t.Values)))
	}
	t.Rows = append(t.Rows, Row{labels, values})
}

// column is the place of a column of values.
func (t *Table) column(name string) int {
	i := slices.Index(t.Values, name)
	if i < 0 {
		panic("bench: no column " + name)
	}
	return i
}

// WriteCSV writes a header and a line for each row.
func (t *Table) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(append(slices.Clone(t.Labels), t.Values...)); err != nil {
		return err
	}
	for _, r := range t.Rows {
		line := slices.Clone(r.Labels)
		for _, v := range r.Values {
			line = append(line, strconv.FormatFloat(v, 'g', 10, 64))
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// ReadCSV reads the table of f that [Table.WriteCSV] wrote. Errors name the line.
func (f Figure) ReadCSV(r io.Reader) (*Table, error) {
	c := csv.NewReader(r)
	header, err := c.Read()
	if err != nil {
		return nil, err
	}
	if want := append(slices.Clone(f.Labels), f.Values...); !slices.Equal(header, want) {
		return nil, fmt.Errorf("line 1: columns %s, want those of %s: %s", strings.Join(header, ","), f.Name,
			strings.Join(want, ","))
	}
	t := &Table{Labels: f.Labels, Values: f.Values}
	for {
		line, err := c.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		row := Row{Labels: line[:len(f.Labels)]}
		for i, cell := range line[len(f.Labels):] {
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				at, _ := c.FieldPos(len(f.Labels) + i)
				return nil, fmt.Errorf("line %d: %q of column %s is no number", at, cell, f.Values[i])
			}
			row.Values = append(row.Values, v)
		}
		t.Rows = append(t.Rows, row)
	}
	if err := f.draws(t); err != nil {
		return nil, err
	}
	return t, nil
}

// draws says whether t has the rows that the drawing of f needs.
func (f Figure) draws(t *Table) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("rows are missing that %s needs", f.Name)
		}
	}()
	f.panels(t)
	return nil
}

// values are a column of the rows with the given labels, in order.
func (t *Table) values(column string, labels ...string) []float64 {
	i := t.column(column)
	var list []float64
	for _, r := range t.Rows {
		if slices.Equal(r.Labels[:len(labels)], labels) {
			list = append(list, r.Values[i])
		}
	}
	return list
}

// labels are the different values of a column of labels, in order of appearance, among the rows that begin with
// the given ones.
func (t *Table) labels(column int, first ...string) []string {
	var list []string
	for _, r := range t.Rows {
		if slices.Equal(r.Labels[:len(first)], first) && !slices.Contains(list, r.Labels[column]) {
			list = append(list, r.Labels[column])
		}
	}
	return list
}

var figures = []Figure{
	ijcnn1Tuning,
	hypergradRates, sidRates, warmStart,
	bomeCoreset, bomeNoSingleton, bomeAdversarial, bomeKKT,
	minimaxLogistic, minimaxNews, minimaxCleaning,
}

// sentence begins with a capital.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
