package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/bilevel-go/bilevel/internal/nearest"
)

// Kinds of a raw column.
const (
	Numeric     = "numeric"     // one feature
	Categorical = "categorical" // one feature per level, 1 where the cell is that level and 0 elsewhere
	Text        = "text"        // one feature per word
	Date        = "date"        // of a file; in a schema each DatePart of it is a column
)

// Column is a column of a table before it became features.
type Column struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`             // Numeric or Categorical
	Levels []string `json:"levels,omitempty"` // of a categorical column, sorted

	Filling  *Filling  `json:"filling,omitempty"`  // of missing cells; nil where these are errors
	Notation *Notation `json:"notation,omitempty"` // of its numbers; nil for that of the file
	Date     *DatePart `json:"date,omitempty"`     // which it is of a column of dates; nil for other columns

	Text *Vectorizer `json:"text,omitempty"` // of a column of texts: the words
}

// Width is the number of features that the column makes.
func (c *Column) Width() int {
	d := 1
	switch {
	case c.Kind == Categorical:
		d = len(c.Levels)
	case c.Text != nil:
		d = len(c.Text.Words)
	}
	if c.Filling != nil && c.Filling.Indicator {
		d++
	}
	return d
}

// Schema says how a file became features and target, so that another file becomes the same ones:
// pass it as Options.Like. It is plain data for JSON.
type Schema struct {
	Format    string   `json:"format"`               // format of the file that it was made from
	Columns   []Column `json:"columns,omitempty"`    // feature columns of a table, in order
	Width     int      `json:"width"`                // number of features d
	ZeroBased bool     `json:"zero_based,omitempty"` // LIBSVM: indices start at 0
	Label     string   `json:"label,omitempty"`      // name of the label column, where columns have names
	ID        string   `json:"id,omitempty"`         // name of the column that names the rows
	Weight    string   `json:"weight,omitempty"`     // name of the column of weights
	Classes   []string `json:"classes,omitempty"`    // classes in order; nil for a numeric target
	Sparse    bool     `json:"sparse,omitempty"`     // features are stored as CSR
	Missing   Missing  `json:"missing,omitempty"`    // what was done with missing cells
	Decimal   string   `json:"decimal,omitempty"`    // Options.Decimal, and Options.Thousands; "" where not given
	Thousands string   `json:"thousands,omitempty"`

	LabelNotation *Notation `json:"label_notation,omitempty"` // of a numeric label; nil for that of the file

	Text *Vectorizer `json:"text,omitempty"` // of documents: the words; nil for other formats
}

// Features returns one name per feature: the column's name, "column=level" for a level of a categorical column,
// "column: word" for a word of one of texts, "column missing" where cells are filled in, the words of documents, and
// f1, f2, … (f0, f1, … with ZeroBased) for formats without names. It returns nil for more than 1<<16 features without
// names; Set.FeatureName works for those too.
func (s *Schema) Features() []string {
	if s.Text != nil {
		return s.Text.Words
	}
	if s.Columns == nil && s.Width > maxNames {
		return nil
	}
	names := make([]string, 0, s.Width)
	for _, c := range s.Columns {
		if c.Kind == Numeric {
			names = append(names, c.Name)
		}
		if c.Text != nil {
			for _, w := range c.Text.Words {
				names = append(names, c.Name+": "+w)
			}
		}
		for _, l := range c.Levels {
			names = append(names, c.Name+"="+l)
		}
		if c.Filling != nil && c.Filling.Indicator {
			names = append(names, c.Name+" missing")
		}
	}
	if s.Columns == nil {
		for j := range s.Width {
			names = append(names, s.unnamed(j))
		}
	}
	return names
}

// maxNames is the most features without names that get one each: a row of a few bytes can ask for millions.
const maxNames = 1 << 16

// unnamed is the name of feature j of a format without names.
func (s *Schema) unnamed(j int) string {
	if !s.ZeroBased {
		j++
	}
	return "f" + strconv.Itoa(j)
}

// width is the number of features that the columns make.
func width(columns []Column) int {
	d := 0
	for i := range columns {
		d += columns[i].Width()
	}
	return d
}

// Check reports the first thing that makes a schema unusable, such as one read from a damaged file.
func (s *Schema) Check() error {
	if s.Width < 0 || s.Columns != nil && width(s.Columns) != s.Width {
		return fmt.Errorf("dataset: a schema of %d features has columns that make %d", s.Width, width(s.Columns))
	}
	if s.Text != nil {
		if len(s.Text.Words) != s.Width {
			return fmt.Errorf("dataset: a schema of %d features has %d words", s.Width, len(s.Text.Words))
		}
		if err := s.Text.checkFitted(); err != nil {
			return fmt.Errorf("dataset: a schema of documents: %w", err)
		}
	}
	if f := formatNamed(s.Format); f != nil && f.columns && s.Columns == nil {
		return errors.New("dataset: the columns of the schema are missing")
	}
	seen := make(map[string]bool)
	for _, c := range s.Columns {
		switch {
		case seen[c.Name]:
			return fmt.Errorf("dataset: a schema has column %q twice", c.Name)
		case c.Kind != Numeric && c.Kind != Categorical && c.Kind != Text:
			return fmt.Errorf("dataset: column %q of a schema is of kind %q, not %q, %q or %q", c.Name, c.Kind, Numeric,
				Categorical, Text)
		case c.Kind != Categorical && c.Levels != nil:
			return fmt.Errorf("dataset: the %s column %q of a schema has levels", c.Kind, c.Name)
		case (c.Kind == Text) != (c.Text != nil):
			return fmt.Errorf("dataset: the %s column %q of a schema has no words, or words", c.Kind, c.Name)
		}
		if c.Text != nil {
			if err := c.Text.checkFitted(); err != nil {
				return fmt.Errorf("dataset: column %q of a schema: %w", c.Name, err)
			}
		}
		if f := c.Filling; f != nil && (c.Kind == Categorical) != slices.Contains(c.Levels, f.Level) {
			return fmt.Errorf("dataset: a schema fills in %q in the %s column %q", f.Level, c.Kind, c.Name)
		}
		if d := c.Date; d != nil {
			if err := d.check(c); err != nil {
				return err
			}
		}
		seen[c.Name] = true
		if d := firstDuplicate(c.Levels); d != "" {
			return fmt.Errorf("dataset: column %q of a schema has the level %q twice", c.Name, d)
		}
	}
	if d := firstDuplicate(s.Classes); d != "" {
		return fmt.Errorf("dataset: a schema has the class %q twice", d)
	}
	return nil
}

func firstDuplicate(names []string) string {
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if seen[n] {
			return n
		}
		seen[n] = true
	}
	return ""
}

// clone is a copy that shares nothing that is written later.
func (s *Schema) clone() *Schema {
	c := *s
	c.Columns = slices.Clone(s.Columns)
	c.Classes = slices.Clone(s.Classes)
	return &c
}

// match finds the columns, those that Like is made of, among the names of a file's columns, in any order: of[k] is the
// place in names of columns[k]. skip says which of the file's are none, such as the label; line is for messages. A
// column too few is an error; surplus are those too many.
func (o *Options) match(file string, line int, columns []Column, names []string, skip []bool) (of, surplus []int,
	err error) {
	at := make(map[string]int, len(names))
	var places []int // of columns that may be features
	for i, n := range names {
		if !skip[i] {
			at[n] = i
			places = append(places, i)
		}
	}
	of = make([]int, len(columns))
	missing := -1
	for k, c := range columns {
		i, ok := at[c.Name]
		if !ok {
			if missing < 0 {
				missing = k
			}
			continue
		}
		of[k] = i
		delete(at, c.Name)
	}
	for _, i := range at {
		surplus = append(surplus, i)
	}
	slices.Sort(surplus)
	if missing < 0 {
		return of, surplus, nil
	}
	e := &Error{File: file, Line: line, Hint: o.likeHint()}
	if len(places) == len(columns) && len(surplus) == 1 && surplus[0] == places[missing] { // it has another name
		e.Err = fmt.Errorf("column %d is %q where %s has %q", surplus[0]+1, names[surplus[0]], o.likeName(),
			columns[missing].Name)
	} else {
		e.Err = fmt.Errorf("the column %q is missing, which %s has", columns[missing].Name, o.likeName())
		var unknown []string
		for _, i := range surplus {
			unknown = append(unknown, names[i])
		}
		if n, ok := nearest.Name(columns[missing].Name, unknown); ok {
			e.Hint = fmt.Sprintf("rename %s if that is the column", quote(n))
		}
	}
	return nil, nil, e
}
