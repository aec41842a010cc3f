package dataset

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bilevel-go/bilevel/internal/nearest"
	"github.com/bilevel-go/bilevel/rows"
)

const (
	maxLevels = 1000 // most levels of a categorical column: beyond it, it is an identifier
	blockRows = 4096 // rows of a column kept in one slice
)

// tableColumn is one column while a table is read. It is numeric until a cell is no number; from then on
// its values are codes of levels, and the numbers before become levels by their shortest form.
type tableColumn struct {
	mem   *ledger
	name  string
	file  string
	label bool
	drop  bool // read over
	keep  bool // but its cells are kept in names
	n     int
	seen  int // the last row with a cell, where cells come in any order

	blocks [][]float64 // blockRows values each but the last
	text1  string      // the first cell that is no number, and its place
	line1  int
	// Cells like "NA" are a level of a categorical column and missing in a numeric one: which, only the end of the file
	// tells. Until then they are NaNs that carry an index into words, as empty cells are.
	words    []string
	missing  int // place of the first missing cell, and what it holds; 0 if none
	missing1 string
	holes    int      // missing cells
	filling  *Filling // what stands for them; nil if nothing does
	fill     float64  // its value, or the code of its level
	rowNames []string // cells of a column that is kept

	kind   string // Numeric, Categorical, or "" while not known
	fixed  bool   // kind is that of Options.Like or of the file, and stays
	levels map[string]int
	alias  map[string]int // codes of levels in another Unicode form
	zero   bool           // unseen levels are allowed
	asked  bool           // categorical because of Options.Categorical
	byRow  bool           // places are rows, not lines
	like   string         // what Options.Like is of
	huge   float64        // first number beyond maxNumber, and its place
	hugeAt int

	numbers  bool     // a cell that is no number is an error
	notation notation // of numbers, and that of the file
	plain    notation
	fitting  []notation // all that fit the cells so far; nil for notation alone
	odd1     string     // the first number in another notation in an otherwise plain column, and its place
	oddAt    int
	word1    string // the first level that would be missing in a numeric column, and its place
	wordAt   int

	pointAt, commaAt int // the first cell with a decimal point, where commas are, and with a comma; 0 if none

	zeros1 string // the first number with zeros in front, as codes have

	docs  [][]byte    // cells of a column of texts, whose values are their places
	texts *Vectorizer // that they become
	rows  *rows.CSR

	describe *Description // to fill in; nil to read
	problem  bool         // that ended the reading of the column
	distinct bool         // it was that most cells are different
	oddities []string

	early     bool   // more cells follow when levels are read as numbers or dates
	open      string // a date in which day and month may be each other, as they may be in all so far
	dropDates bool   // dates are left out
	dateOrder string
	date      dateForm
	from      *DatePart               // of a column that is made of one of dates
	valueOf   func(v float64) float64 // what that makes of a date
}

// place sets line or row of e.
func (c *tableColumn) place(e *Error, at int) *Error {
	e.File, e.Column = c.file, c.name
	if c.byRow {
		e.Row = at
	} else {
		e.Line = at
	}
	return e
}

// unseen is the code of a level that is not in levels, where that is allowed.
const unseen = -1

// missing is the code of a cell of a categorical column that is missing; in a numeric one it is a NaN.
const missing = -2

// nanWord is a NaN that carries k.
func nanWord(k int) float64 { return math.Float64frombits(0x7ff8_0000_0000_0000 | uint64(k)) }

func wordOf(v float64) int { return int(math.Float64bits(v) & 0xffff) }

func (c *tableColumn) add(v float64) {
	if c.n%blockRows == 0 {
		c.blocks = append(c.blocks, nil)
	}
	last := &c.blocks[len(c.blocks)-1]
	*last = append(c.mem.growBlock(*last), v)
	c.n++
}

// rowName keeps what a row is called.
func (c *tableColumn) rowName(name string) {
	c.mem.take(int64(16 + len(name))) // err says if it is too much
	c.rowNames = append(c.rowNames, name)
}

// text adds a cell of a text file; at is its line.
func (c *tableColumn) text(cell string, at int) error { return c.tolerate(c.addText(cell, at)) }

func (c *tableColumn) addText(cell string, at int) error {
	if c.keep {
		c.rowName(strings.Clone(cell))
	}
	if c.drop {
		return nil
	}
	if c.kind == Date && c.dropDates {
		c.add(0)
		return nil
	}
	if c.kind == Date {
		if c.settle(cell) {
			if v, ok := c.date.read(cell); ok {
				c.add(v)
				return nil
			}
		}
	} else if c.kind != Categorical && c.kind != Text {
		if v, ok := c.parse(cell, at); ok {
			if c.zeros1 == "" && len(cell) > 1 && cell[0] == '0' && '0' <= cell[1] && cell[1] <= '9' {
				c.zeros1 = strings.Clone(cell)
			}
			return c.numeric(v, at)
		}
	}
	if !utf8.ValidString(cell) {
		return c.place(&Error{Err: fmt.Errorf("the cell %s is not UTF-8 text", quote(cell)), Hint: hintUTF8}, at)
	}
	if c.kind == Text {
		if err := checkDocument([]byte(cell)); err != nil {
			return c.place(&Error{Err: fmt.Errorf("the text %s %w", quote(cell), err), Hint: hintUTF8}, at)
		}
		c.document(cell)
		return nil
	}
	cell = strings.TrimSpace(cell)
	if cell == "" {
		c.hole(cell, at)
		return nil
	}
	if c.kind == Categorical {
		if isMissing(cell) {
			if _, known := c.levels[cell]; c.fixed && !known {
				c.hole(cell, at)
				return nil
			}
			if c.wordAt == 0 {
				c.word1, c.wordAt = strings.Clone(cell), at
			}
		}
		return c.level(cell, at)
	}
	if isMissing(cell) {
		c.hole(cell, at)
		return nil
	}
	if c.kind == Date {
		return c.notDate(cell, at)
	}
	d, dressed := undress(cell)
	dressed = dressed && d.isNumber() && !c.fixed
	if dressed && d.unit == "" && d.brackets && !c.notation.brackets { // plain numbers may be in front
		c.notation.brackets = true
		if v, _, ok := c.notation.number(cell); ok {
			c.odd1, c.oddAt = strings.Clone(cell), at
			return c.numeric(v, at)
		}
		c.notation.brackets = false
	}
	if c.fixed || c.numbers && !dressed {
		if c.label {
			return c.place(&Error{Err: fmt.Errorf("the label %s is not a number", quote(cell)),
				Hint: "give a number, or train a model for classes"}, at)
		}
		return c.place(&Error{Err: fmt.Errorf("%s is not a number, and the column holds numbers", quote(cell)),
			Hint: c.numberHint(cell)}, at)
	}
	if err := c.categorise(cell, at); err != nil {
		return err
	}
	return c.level(cell, at)
}

// parse reads a number in the notation of the file, or a plain one.
func (c *tableColumn) parse(cell string, at int) (v float64, ok bool) {
	if c.notation == (notation{}) {
		if v, ok = parseFloat(cell); ok {
			return v, ok
		}
	}
	if c.fitting != nil {
		return c.narrow(cell)
	}
	v, foreign, ok := c.notation.number(cell)
	switch {
	case !ok:
		return v, ok
	case foreign && c.commaAt == 0:
		c.commaAt = at
	case !foreign && c.pointAt == 0 && c.notation.confuses(cell):
		c.pointAt = at
	}
	if c.oddAt == 0 && c.notation == c.plain && strings.Contains(cell, minus) {
		c.odd1, c.oddAt = strings.Clone(cell), at
	}
	return v, ok
}

// number adds a cell of a file that stores numbers; at is its row.
func (c *tableColumn) number(v float64, at int) error { return c.tolerate(c.addNumber(v, at)) }

func (c *tableColumn) addNumber(v float64, at int) error {
	switch {
	case c.drop:
		if c.keep {
			c.rowName(formatNumber(v))
		}
		return nil
	case v-v != 0:
		c.hole(fmt.Sprint(v), at)
		return nil
	case c.kind == Categorical:
		return c.level(formatNumber(v), at)
	case c.kind == Date:
		return c.notDate(formatNumber(v), at)
	case c.kind == Text:
		c.document(formatNumber(v))
		return nil
	}
	return c.numeric(v, at)
}

// numeric adds a number to a column that is not categorical so far.
func (c *tableColumn) numeric(v float64, at int) error {
	if tooLarge(v) && c.hugeAt == 0 {
		c.huge, c.hugeAt = v, at
		if c.fixed {
			return c.tooLarge()
		}
	}
	c.add(v)
	return nil
}

// tooLarge is the error of a number beyond maxNumber.
func (c *tableColumn) tooLarge() error {
	what := "the value"
	if c.label {
		what = "the label"
	}
	return c.place(tooLargeError(what, c.huge), c.hugeAt)
}

// numberHint is the remedy for a cell that should be a number.
func (c *tableColumn) numberHint(cell string) string {
	if u := c.notation.unit; u != "" {
		if d, ok := undress(cell); ok && d.unit == u && d.isNumber() {
			return notationFlags(d.number)
		}
		return fmt.Sprintf("numbers of this column are written with %s; write all of them so", u)
	}
	if flags := notationFlags(cell); flags != "" {
		return flags
	}
	return "fill in a number or leave the row out"
}

// categorise turns a numeric column into a categorical one because of a cell.
func (c *tableColumn) categorise(cell string, at int) error {
	c.kind = Categorical
	c.text1, c.line1 = strings.Clone(cell), at
	c.levels = make(map[string]int)
	for _, b := range c.blocks {
		for i, v := range b {
			name := formatNumber(v)
			if math.IsNaN(v) {
				if name = c.words[wordOf(v)]; name == "" {
					b[i] = missing
					continue
				}
				c.holes-- // a level like others
			}
			k, ok := c.levels[name]
			if !ok {
				if k = len(c.levels); k == maxLevels {
					return c.slipError(c.n) // so many numbers before the first word
				}
				c.levels[name] = k
			}
			b[i] = float64(k)
		}
	}
	return nil
}

// tooMany is the error of a column with more levels than make sense.
func (c *tableColumn) tooMany() error {
	if c.asked {
		return c.place(&Error{Err: fmt.Errorf("more than %d different values", maxLevels),
			Hint: "it looks like an identifier or free text: " + c.leaveHint()}, 0)
	}
	if err := c.slip(); err != nil {
		return err
	}
	c.distinct = true
	e := &Error{Err: fmt.Errorf("more than %d different values, of which some are not numbers, such as %s",
		maxLevels, quote(c.text1)), Hint: "it looks like an identifier or free text: " + c.leaveHint() +
		", or " + c.numberHint(c.text1)}
	if c.label {
		e.Err = fmt.Errorf("the label has more than %d different values, of which some are not numbers, such as %s",
			maxLevels, quote(c.text1))
		e.Hint = "choose another label column"
		if flags := notationFlags(c.text1); flags != "" {
			e.Hint = flags + ", or " + e.Hint
		}
	}
	return c.place(e, c.line1)
}

// leaveHint is what to do about a column of cells that are all different.
func (c *tableColumn) leaveHint() string {
	return "give " + columnFlag("drop", c.name) + " to remove the column, --id to have it beside predictions, --text to " +
		"take its words"
}

// level adds a cell of a categorical column. A cell that reads as a number is the level of that number's
// shortest form: 1, 1.0 and 01 are one level.
func (c *tableColumn) level(cell string, at int) error {
	name := cell
	k, ok := c.levels[name]
	if !ok {
		if k, ok = c.alias[name]; ok {
			c.add(float64(k))
			return nil
		}
	}
	if !ok {
		if v, isNumber := c.parse(cell, at); isNumber {
			name = formatNumber(v)
			k, ok = c.levels[name]
		}
	}
	if form, changed := composed(cell); changed {
		if err := c.level(form, at); err != nil {
			return err
		}
		if c.alias == nil {
			c.alias = make(map[string]int)
		}
		if last := c.blocks[len(c.blocks)-1]; c.kind == Categorical {
			c.alias[strings.Clone(cell)] = int(last[len(last)-1])
		}
		return nil
	}
	if !ok {
		switch {
		case !c.fixed:
			if k = len(c.levels); k == maxLevels {
				c.early = true
				done, err := c.reread()
				if err != nil {
					return err
				}
				if !done {
					return c.tooMany()
				}
				c.fixed = true // there is no going back
				return c.addText(cell, at)
			}
			c.mem.take(int64(64 + len(name)))
			c.levels[strings.Clone(name)] = k
		case c.label:
			return c.place(&Error{Err: fmt.Errorf("the label %s is none of %s's classes %s",
				quote(cell), c.like, listNames(c.names())), Hint: "label it as one of these, or leave the row out"}, at)
		case c.zero:
			k = unseen
		default:
			return c.place(&Error{Err: fmt.Errorf("the level %s is none of %s's: %s", quote(cell), c.like, listNames(c.names())),
				Hint: "use one of these, leave the row out, train with rows of this level, or give --unknown zero to take it for " +
					"none of them"}, at)
		}
	}
	c.add(float64(k))
	return nil
}

// names are the levels in order of their codes.
func (c *tableColumn) names() []string {
	names := make([]string, len(c.levels))
	for n, k := range c.levels {
		names[k] = n
	}
	return names
}

// finish settles the kind and sorts the levels.
func (c *tableColumn) finish() error {
	if c.open != "" && !c.drop {
		c.early = false
		m, _ := parseMoment(c.open)
		_, err := c.orderOf([]moment{m}, c.open)
		return err
	}
	if c.drop || c.fixed {
		return nil
	}
	if c.kind == Categorical {
		if _, err := c.reread(); err != nil {
			return err
		}
	}
	if c.kind == Date {
		return nil
	}
	if c.kind != Categorical {
		c.kind = Numeric
		if c.pointAt > 0 && c.commaAt > 0 {
			return c.place(&Error{Err: fmt.Errorf("numbers are written with a decimal comma (line %d) and with a decimal point",
				c.commaAt), Hint: "write all numbers of the column alike"}, c.pointAt)
		}
		if c.hugeAt > 0 {
			return c.tooLarge()
		}
		return nil
	}
	if err := c.suspect(); err != nil {
		return err
	}
	old := c.names()
	names := slices.Clone(old)
	sortNames(names)
	for k, n := range names {
		c.levels[n] = k
	}
	for _, b := range c.blocks {
		for i, v := range b {
			if v != missing {
				b[i] = float64(c.levels[old[int(v)]])
			}
		}
	}
	return nil
}

// reread makes numbers of a column that became categorical by its cells, if these can be read as such. It is an error
// if only some can.
func (c *tableColumn) reread() (done bool, err error) {
	if c.asked {
		return false, nil
	}
	if c.oddAt > 0 {
		return false, c.place(&Error{Err: fmt.Errorf("%s is a number in another notation, and %s, in the same column, is "+
			"none", quote(c.odd1), quote(c.text1)), Hint: "write all cells of the column alike, or " + orLevels}, c.oddAt)
	}
	names := c.names()
	if done, err = c.dressed(names); done || err != nil {
		return done, err
	}
	return c.dates(names)
}

// suspect is an error if a column that became categorical by its cells should not be one.
func (c *tableColumn) suspect() error {
	if c.asked {
		return nil
	}
	if err := c.foreign(); err != nil {
		return err
	}
	if err := c.measured(); err != nil {
		return err
	}
	if err := c.slip(); err != nil {
		return err
	}
	if c.n < 20 || 2*len(c.levels) <= c.n {
		return nil
	}
	c.distinct = true
	e := &Error{Err: fmt.Errorf("%d rows have %d different values, such as %s: it looks like an identifier or free text",
		c.n, len(c.levels), quote(c.text1)), Hint: c.leaveHint() + ", or --categorical if its values are levels"}
	if c.label {
		e.Err = fmt.Errorf("%d rows have %d different labels, such as %s: these are no classes",
			c.n, len(c.levels), quote(c.text1))
		e.Hint = "choose another label column, or give --categorical with its name if its values are classes"
	}
	return c.place(e, c.line1)
}

// foreign is an error if cells that are no plain numbers are numbers in another notation, all of them or most levels.
func (c *tableColumn) foreign() error {
	example, flags, word := "", "", ""
	numbers, words := 0, 0
	for _, name := range c.names() {
		if isMissing(name) {
			continue
		}
		if _, plain := parseFloat(name); plain {
			numbers++
			continue
		}
		f := notationFlags(name)
		if f == "" {
			word = name
			words++
			continue
		}
		numbers++
		if flags == "" || strings.Count(f, " or ") < strings.Count(flags, " or ") { // it leaves less doubt
			example, flags = name, f
		}
	}
	if flags == "" || 3*words > numbers {
		return nil
	}
	what := "the value"
	if c.label {
		what = "the label"
	}
	what = fmt.Sprintf("%s %s is a number in another notation", what, quote(example))
	if words > 0 {
		what += fmt.Sprintf(", and %s, in the same column, is none", quote(word))
	}
	return c.place(&Error{Err: errors.New(what), Hint: flags + "; or give --categorical with the column's name if its " +
		"values are levels"}, c.line1)
}

// measures are forms of cells that are numbers with something that is none, and what to do about them. Where a part is
// in brackets, it is the same in all cells of a column.
var measures = []struct {
	form *regexp.Regexp
	what string
	hint string
}{
	{regexp.MustCompile(`^-?\d+ days?(?:,? [+-]?\d+:\d\d:\d\d(?:\.\d+)?)?$`), "a span of time",
		"write it as a number, such as that of pandas' .dt.total_seconds()"},
	{regexp.MustCompile(`^0[xX][0-9a-fA-F]+$`), "a hexadecimal number", "write decimal ones"},
	{regexp.MustCompile(`^[-+]?\d+(?:[.,]\d+)?\s?(\pL[\pL/²³.]*)$`), "a number with a unit", "write numbers alone"},
}

// measured is an error if all cells, of three different ones at least, are numbers with what people read over.
func (c *tableColumn) measured() error {
	for _, m := range measures {
		count, example, unit := 0, "", ""
		fits := !slices.ContainsFunc(c.names(), func(name string) bool {
			if isMissing(name) {
				return false
			}
			g := m.form.FindStringSubmatch(name)
			if g == nil || count > 0 && g[len(g)-1] != unit && len(g) > 1 {
				return true
			}
			if count++; count == 1 {
				example, unit = name, g[len(g)-1]
			}
			return false
		})
		if fits && count > 2 && !c.label {
			return c.place(&Error{Err: fmt.Errorf("%s is %s", quote(example), m.what), Hint: m.hint + ", or " + orLevels},
				c.line1)
		}
	}
	return nil
}

// slip is an error if nearly all cells are numbers, so that the first other one looks like a slip.
func (c *tableColumn) slip() error {
	isNumber := make([]bool, len(c.levels))
	isWord := make([]bool, len(c.levels))
	for name, k := range c.levels {
		_, isNumber[k] = parseFloat(name)
		isWord[k] = !isNumber[k] && !isMissing(name)
	}
	numbers, words := 0, 0
	for _, b := range c.blocks {
		for _, v := range b {
			if v == missing {
				continue
			}
			if isNumber[int(v)] {
				numbers++
			} else if isWord[int(v)] {
				words++
			}
		}
	}
	if words == 0 || numbers < 10 || numbers < 9*words {
		return nil
	}
	return c.slipError(numbers)
}

// slipError is the error of the first cell that is no number.
func (c *tableColumn) slipError(numbers int) error {
	cell := "the cell"
	if c.label {
		cell = "the label"
	}
	return c.place(&Error{Err: fmt.Errorf("%s %s is not a number, and %d cells of the column are",
		cell, quote(c.text1), numbers), Hint: c.numberHint(c.text1) +
		"; or give --categorical with the column's name if its values are levels"}, c.line1)
}

// table is a table of columns while it is read.
type table struct {
	file    string
	format  string
	columns []*tableColumn
	id      int    // place of the column of names, -1 if there is none
	beside  []int  // places of those of Options.Beside
	label   int    // place of the label, -1 if there is none
	how     string // it was chosen
	indices []index
	notes   []string
	forms   forms
	of      []int // places of the feature columns, in the order of features
	n       int
	rows    []int // places in the file of the rows that are left; nil for all
}

// note says something of how the table was read.
func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// How a label was chosen.
const (
	labelAsked = "which was asked for"
	labelNamed = "chosen for its name"
	labelLast  = "chosen as the last"
)

// labelNames are the names that mark a label column.
var labelNames = []string{"label", "target", "class", "y"}

// index says that a column is no feature but what rows are called.
type index int

const (
	noIndex  index = iota
	nameless       // in pandas' way to write an index as text; it is one if it holds whole numbers, no two alike
	declared       // by the file
)

// newTable chooses the label column and, with Options.Like, matches the columns. line is that of the names, and indices
// are of the columns, nil where there are none.
func newTable(file string, line int, names []string, format string, o Options, indices []index) (*table, error) {
	if o.columns != nil {
		*o.columns = slices.Clone(names)
		return nil, errColumns
	}
	t := &table{file: file, format: format, label: -1, indices: indices}
	names = t.forms.compose(names)
	if d := firstDuplicate(names); t.forms.n > 0 && d != "" {
		return nil, &Error{File: file, Line: line, Column: d, Err: errors.New("two columns have this name, in different " +
			"Unicode forms"), Hint: "give each column a name of its own"}
	}
	o.compose()
	if indices == nil {
		t.indices = make([]index, len(names))
	}
	for _, n := range names {
		t.columns = append(t.columns, &tableColumn{mem: o.mem, name: n, file: file, zero: o.UnseenLevels == UnseenZero,
			like: o.likeName(), notation: o.notation(), plain: o.notation(),
			describe: o.describe, dateOrder: o.DateOrder, dropDates: o.Dates == DropDates && o.Like == nil})
	}
	if o.Like == nil {
		for _, n := range o.Categorical {
			j := slices.Index(names, n)
			if j < 0 {
				return nil, &Error{File: file, Line: line, Err: fmt.Errorf("there is no categorical column %q", n),
					Hint: columnsHint(n, names)}
			}
			t.columns[j].kind, t.columns[j].asked = Categorical, true
			t.columns[j].levels = make(map[string]int)
		}
	}
	if err := t.nameRows(line, names, &o); err != nil {
		return nil, err
	}
	if o.Like == nil {
		for _, n := range o.Texts {
			c := t.columns[slices.Index(names, n)]
			c.kind, c.fixed, c.texts = Text, true, &Vectorizer{Weight: TFIDF}
			if o.Text != nil {
				*c.texts = *o.Text
			}
		}
	}
	want := o.Label
	if want == "" && o.Like != nil {
		want = o.Like.Label
	}
	if want != "" {
		t.label = slices.Index(names, want)
		if t.label < 0 && o.Label != "" {
			if k, err := strconv.Atoi(o.Label); err == nil {
				if k < 1 || k > len(names) {
					return nil, &Error{File: file, Line: line, Err: fmt.Errorf("there is no column %d for the label: there are %d", k,
						len(names)), Hint: "columns: " + listNames(names)}
				}
				t.label = k - 1
			}
		}
		if t.label < 0 && !o.NoLabel && !o.OptionalLabel {
			return nil, &Error{File: file, Line: line, Err: fmt.Errorf("there is no label column %q", want),
				Hint: columnsHint(want, names)}
		}
	} else if !o.NoLabel {
		if err := t.guessLabel(line, names, o.Drop, o.OptionalLabel); err != nil {
			if o.describe == nil || o.describe.problem(err) != nil {
				return nil, err
			}
		}
	}
	if o.Label != "" && t.label >= 0 {
		t.how = labelAsked
	}
	if t.label >= 0 {
		c := t.columns[t.label]
		c.label = true
		if c.kind == Text {
			return nil, &Error{File: file, Line: line, Column: c.name, Err: errors.New("the label cannot be a text"),
				Hint: "choose another label with --label"}
		}
		switch {
		case o.NoLabel:
			c.drop = true
		case o.Target == NumericTarget && o.Like == nil:
			c.numbers = true
		case o.Target == NumericTarget:
			c.kind, c.fixed = Numeric, true
		case o.Like != nil && o.Like.Classes != nil:
			c.kind, c.fixed = Categorical, true
			c.levels = make(map[string]int)
			for k, n := range o.Like.Classes {
				c.levels[n] = k
			}
		case o.Like != nil && o.Target == AutoTarget:
			c.kind, c.fixed = Numeric, true
		}
		if o.Like != nil {
			c.notation = notationOf(o.Like.LabelNotation, c.notation)
		}
	}
	switch {
	case o.Like != nil && o.Like.Columns != nil:
		var err error
		columns := o.Like.Sources()
		skip := make([]bool, len(names))
		for j, c := range t.columns {
			known := slices.ContainsFunc(columns, func(l Column) bool { return l.Name == c.name })
			skip[j] = j == t.label || t.isBeside(j) || t.indices[j] != noIndex && !known
			c.drop = c.drop || skip[j] && j != t.label
		}
		var surplus []int
		if t.of, surplus, err = o.match(file, line, columns, names, skip); err != nil {
			return nil, err
		}
		var left []string
		for _, j := range surplus {
			t.columns[j].drop = true
			if o.Only == nil && !slices.Contains(o.Drop, names[j]) { // who asked for it knows
				left = append(left, names[j])
			}
		}
		if left != nil {
			t.note("Columns that %s has not are left out: %s.", o.likeName(), listNames(left))
		}
		for k, j := range t.of {
			c := t.columns[j]
			c.fixed, c.kind, c.filling = true, columns[k].Kind, columns[k].Filling
			c.notation, c.texts = notationOf(columns[k].Notation, c.notation), columns[k].Text
			if d := columns[k].Date; d != nil {
				c.date = dateForm{d.Order, d.Zone, d.Clock}
			}
			if c.kind == Categorical {
				c.levels = make(map[string]int)
				for l, n := range columns[k].Levels {
					c.levels[n] = l
				}
			}
		}
	default:
		for j, c := range t.columns {
			switch {
			case j == t.label, t.isBeside(j):
			case slices.Contains(o.Drop, c.name), o.Only != nil && !slices.Contains(o.Only, c.name) && c.kind != Text:
				c.drop = true
			case t.indices[j] == declared:
				c.drop = true
				c.odd("pandas' index")
				t.note("The column %s is what pandas calls an index, and no feature.", quote(c.name))
			default:
				t.of = append(t.of, j)
			}
		}
		if o.Like != nil { // of a format without names: all columns are numbers
			if len(t.of) != o.Like.Width {
				return nil, o.tooWide(file, len(t.of))
			}
			for _, j := range t.of {
				t.columns[j].kind, t.columns[j].fixed = Numeric, true
			}
		}
	}
	if len(t.of) == 0 {
		return nil, &Error{File: file, Line: line, Err: errors.New("there is no feature column besides the label"),
			Hint: "check the delimiter and the label column"}
	}
	return t, nil
}

// columnsHint says which columns there are where none is called name.
func columnsHint(name string, names []string) string {
	return "columns: " + listNames(names) + nearest.Hint(name, names)
}

// isBeside says whether column j stands beside the rows.
func (t *table) isBeside(j int) bool { return j == t.id || slices.Contains(t.beside, j) }

// nameRows finds the columns that stand beside the rows, and makes sure that columns to leave out and to take exist.
func (t *table) nameRows(line int, names []string, o *Options) error {
	t.id = -1
	id := o.ID
	if id == "" && o.Like != nil {
		id = o.Like.ID
	}
	if o.Like == nil {
		for _, c := range slices.Concat([]string{id}, o.Beside, o.Drop, o.Only, o.Texts) {
			if c != "" && !slices.Contains(names, c) {
				return &Error{File: t.file, Line: line, Err: fmt.Errorf("there is no column %q", c),
					Hint: columnsHint(c, names)}
			}
		}
	}
	for j, c := range t.columns {
		switch {
		case id != "" && names[j] == id:
			t.id = j
		case slices.Contains(o.Beside, names[j]):
			t.beside = append(t.beside, j)
		default:
			continue
		}
		c.drop, c.keep = true, true
	}
	return nil
}

// guessLabel chooses a label column that nobody has named, if there is little doubt which it is.
func (t *table) guessLabel(line int, names, drop []string, optional bool) error {
	last := -1
	var called []int // like a label
	for j, n := range names {
		if t.indices[j] == declared || t.isBeside(j) || slices.Contains(drop, n) {
			continue
		}
		if t.indices[j] == noIndex {
			last = j
		}
		if slices.ContainsFunc(labelNames, func(l string) bool { return strings.EqualFold(n, l) }) {
			called = append(called, j)
		}
	}
	choices := func(js ...int) string {
		var words []string
		for _, j := range js {
			words = append(words, "--label "+names[j])
		}
		return "give " + list(words, "or")
	}
	switch {
	case len(called) > 1:
		return &Error{File: t.file, Line: line, Err: fmt.Errorf("columns %s and %s both have the name of a label",
			quote(names[called[0]]), quote(names[called[1]])), Hint: choices(called...)}
	case len(called) == 1:
		t.label, t.how = called[0], labelNamed
		// What is called so may well be a feature: the class of a ship's passenger, a length along an axis.
		certain := strings.EqualFold(names[t.label], "label") || strings.EqualFold(names[t.label], "target")
		if !certain && t.label != last && !optional {
			return &Error{File: t.file, Line: line,
				Err: fmt.Errorf("the label may be the column %s, for its name, or %s, the last",
					quote(names[t.label]), quote(names[last])), Hint: choices(t.label, last)}
		}
	case !optional:
		if t.label = last; last < 0 {
			t.label = len(names) - 1
		}
		t.how = labelLast
	}
	return nil
}

// leaveOutIndices takes nameless columns out of the features that number the rows.
func (t *table) leaveOutIndices() {
	left := len(t.of)
	t.of = slices.DeleteFunc(t.of, func(j int) bool {
		c := t.columns[j]
		empty := c.holes == t.n
		if t.indices[j] != nameless || left == 1 || !empty && !c.numbersRows() {
			return false
		}
		c.drop = true
		left--
		if empty {
			c.odd("empty")
			t.note("Column %d has no name and no cells, and is left out.", j+1)
			return true
		}
		c.odd("numbers the rows")
		t.note("Column %d has no name and a whole number of its own in each row: it numbers the rows, and is no feature.",
			j+1)
		return true
	})
}

// numbersRows says that all cells are whole numbers, no two alike.
func (c *tableColumn) numbersRows() bool {
	if c.kind != Numeric || c.n < 2 {
		return false
	}
	if c.mem.take(int64(8*c.n)) != nil {
		return false // err says so
	}
	defer c.mem.give(int64(8 * c.n))
	all := make([]float64, 0, c.n)
	for _, b := range c.blocks {
		for _, v := range b {
			if v != math.Trunc(v) {
				return false
			}
		}
		all = append(all, b...)
	}
	slices.Sort(all)
	return len(slices.Compact(all)) == c.n
}

// schemaColumn is column j as a schema has it.
func (t *table) schemaColumn(j int) Column {
	c := t.columns[j]
	s := Column{Name: c.name, Kind: c.kind, Filling: c.filling, Notation: c.notation.stored(c.plain), Date: c.from,
		Text: c.texts}
	if c.kind == Categorical {
		s.Levels = c.names()
	}
	return s
}

// set makes a set of the table, whose blocks it gives up.
func (t *table) set(o Options) (*Set, error) {
	if t.n == 0 {
		return nil, noRows(t.file)
	}
	for _, c := range t.columns {
		for _, form := range slices.Sorted(maps.Keys(c.alias)) {
			t.forms.add(form)
		}
		if err := c.tolerate(c.finish()); err != nil {
			return nil, err
		}
	}
	if note := t.forms.note(); note != "" {
		t.note("%s", note)
	}
	if o.Like == nil {
		t.leaveOutIndices()
		t.noteNotations()
		if o.Dates == DropDates {
			if err := t.leaveOutDates(); err != nil && (o.describe == nil || o.describe.problem(err) != nil) {
				return nil, err
			}
		}
	}
	if err := o.mem.err(); err != nil {
		return nil, err
	}
	if o.describe != nil {
		t.describe(o.describe)
	}
	for _, step := range []func(*Options) error{t.fillHoles, t.divideDates, t.countWords} {
		err := step(&o)
		if err != nil && o.describe != nil {
			err = o.describe.problem(err)
		}
		if err != nil {
			return nil, err
		}
	}
	s := &Set{Rows: t.rows, Schema: &Schema{Format: t.format, Missing: o.Missing, Decimal: character(o.Decimal),
		Thousands: character(o.Thousands)}}
	if t.label >= 0 {
		s.LabelHow = t.how
	}
	if t.id >= 0 {
		s.Names = t.columns[t.id].rowNames
		if o.Like == nil {
			s.Schema.ID = t.columns[t.id].name
		}
	}
	if t.beside != nil {
		s.Beside = make(map[string][]string)
		for _, j := range t.beside {
			s.Beside[t.columns[j].name] = t.columns[j].rowNames
		}
	}
	if o.Like != nil {
		s.Schema = o.Like.clone()
	} else {
		for _, j := range t.of {
			s.Schema.Columns = append(s.Schema.Columns, t.schemaColumn(j))
		}
		s.Schema.Width = width(s.Schema.Columns)
		if t.label >= 0 {
			s.Schema.Label = t.columns[t.label].name
			s.Schema.LabelNotation = t.columns[t.label].notation.stored(t.columns[t.label].plain)
		}
	}
	told := false // the label of each row
	if t.label >= 0 && !t.columns[t.label].drop {
		c := t.columns[t.label]
		s.Y = make([]float64, 0, t.n)
		holes := false // as there are where a table is described
		for _, b := range c.blocks {
			for _, v := range b {
				switch {
				case !c.isHole(v):
					s.Y = append(s.Y, v)
				case o.OptionalLabel:
					s.Y = append(s.Y, math.NaN())
				default:
					holes = true
				}
			}
		}
		told = !holes
		if c.kind == Categorical {
			if o.Like != nil && o.Like.Classes != nil {
				s.Classes = s.Schema.Classes
			} else {
				s.setClasses(c.names())
			}
		} else if o.Target == ClassTarget {
			if err := s.AsClasses(); err != nil {
				return nil, asError(t.file, err)
			}
		}
	}
	if o.Like == nil {
		y := s.Y
		if !told {
			y = nil
		}
		t.noteOddities(y, s.Classes != nil || o.Target != NumericTarget && s.GuessTask() != "ridge")
	}
	if s.Notes = t.notes; o.describe != nil {
		t.describeRest(o.describe)
		return s, nil
	}
	nnz := 0
	for _, j := range t.of {
		if w := t.columns[j].rows; w != nil {
			nnz += len(w.Val)
			continue
		}
		for _, b := range t.columns[j].blocks {
			for _, v := range b {
				if v != 0 || t.columns[j].kind == Categorical {
					nnz++
				}
				if t.columns[j].isHole(v) {
					nnz++ // its indicator
				}
			}
		}
	}
	d := s.Schema.Width
	if err := o.mem.takeEach(t.n, 8*2); err != nil { // targets and ends of rows
		return nil, err
	}
	if s.Schema.Sparse = o.sparse(t.n, d, nnz); s.Schema.Sparse {
		if err := o.mem.takeEach(nnz, 12); err != nil {
			return nil, err
		}
		s.X = t.csr(d, nnz)
	} else {
		if err := o.mem.takeDense(t.n, d); err != nil {
			return nil, err
		}
		s.X = t.dense(d)
	}
	return s, nil
}

// features calls set with the values that are not zero of the features that cell v of c becomes, counted from the
// column's first, and returns how many features it has.
func (c *tableColumn) features(v float64, set func(feature int, value float64)) int {
	if c.rows != nil {
		idx, val := c.rows.Row(int(v))
		for k, j := range idx {
			set(int(j), val[k])
		}
		return c.rows.D
	}
	hole := c.isHole(v)
	if hole {
		v = c.fill
	}
	d := 1
	if c.kind == Categorical {
		if d = len(c.levels); v != unseen {
			set(int(v), 1)
		}
	} else if v != 0 {
		set(0, v)
	}
	if c.filling == nil || !c.filling.Indicator {
		return d
	}
	if hole {
		set(d, 1)
	}
	return d + 1
}

// dense puts the feature columns into a row-major matrix.
func (t *table) dense(d int) *rows.Dense {
	m := rows.NewDense(t.n, d)
	for b := 0; b*blockRows < t.n; b++ {
		first := 0 // feature
		for _, j := range t.of {
			c := t.columns[j]
			at, width := b*blockRows*m.Stride+first, 0
			for _, v := range c.blocks[b] {
				width = c.features(v, func(k int, value float64) { m.Data[at+k] = value })
				at += m.Stride
			}
			first += width
			c.blocks[b] = nil
		}
	}
	return m
}

// csr puts the feature columns into compressed rows.
func (t *table) csr(d, nnz int) *rows.CSR {
	m := &rows.CSR{N: t.n, D: d, Ptr: make([]int, 1, t.n+1), Idx: make([]int32, 0, nnz), Val: make([]float64, 0, nnz)}
	for i := range t.n {
		first := 0
		for _, j := range t.of {
			c := t.columns[j]
			first += c.features(c.blocks[i/blockRows][i%blockRows], func(k int, value float64) {
				m.Idx = append(m.Idx, int32(first+k))
				m.Val = append(m.Val, value)
			})
		}
		m.Ptr = append(m.Ptr, len(m.Idx))
	}
	return m
}
