package dataset

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Missing says what becomes of cells of tables that are missing or not finite.
type Missing string

// What can become of them. "" is an error, and with Options.Like what was done there.
const (
	DropMissing   Missing = "drop"   // rows with such cells are left out
	ImputeMissing Missing = "impute" // see Filling; rows without a label are left out
)

// Filling is what stands for missing cells of a column: the median of the others, or the most frequent level.
type Filling struct {
	Value     float64 `json:"value,omitempty"`     // of a numeric column
	Level     string  `json:"level,omitempty"`     // of a categorical one
	Indicator bool    `json:"indicator,omitempty"` // a feature more says which cells were missing
}

// hole adds a cell that is missing; at is its place.
func (c *tableColumn) hole(cell string, at int) {
	if c.drop {
		if c.keep {
			c.rowName(strings.Clone(cell))
		}
		return
	}
	if c.kind == Text {
		c.document(cell)
		return
	}
	c.holes++
	if c.missing == 0 {
		c.missing, c.missing1 = at, strings.Clone(cell)
	}
	if c.kind == Categorical {
		c.add(missing)
		return
	}
	k := slices.Index(c.words, cell)
	if k < 0 {
		k = len(c.words)
		c.words = append(c.words, strings.Clone(cell))
	}
	c.add(nanWord(k))
}

// isHole says whether v stands for a missing cell.
func (c *tableColumn) isHole(v float64) bool {
	if c.kind == Categorical {
		return v == missing
	}
	return math.IsNaN(v)
}

// missingError says which cells are missing. The first one is named, and how many there are in which columns.
func (t *table) missingError(columns []*tableColumn, hint string) error {
	first, total := columns[0], 0
	var counts []string
	for _, c := range columns {
		if c.missing < first.missing {
			first = c
		}
		total += c.holes
		if len(counts) < 8 {
			counts = append(counts, fmt.Sprintf("%s %d", quote(c.name), c.holes))
		}
	}
	what := "the cell is empty"
	if cell := first.missing1; cell != "" {
		what = fmt.Sprintf("the cell %s is missing or not finite", quote(cell))
	}
	if first.label {
		what = strings.Replace(what, "cell", "label", 1)
	}
	if total > 1 {
		what += fmt.Sprintf(", one of %d of %d rows (%s)", total, t.n, strings.Join(counts, ", "))
	}
	return first.place(&Error{Err: errors.New(what), Hint: hint}, first.missing)
}

// fillHoles does with missing cells what o says.
func (t *table) fillHoles(o *Options) error {
	var with []*tableColumn // with missing cells
	for _, j := range t.of {
		if t.columns[j].holes > 0 {
			with = append(with, t.columns[j])
		}
	}
	var label *tableColumn
	if t.label >= 0 && !t.columns[t.label].drop && t.columns[t.label].holes > 0 {
		label = t.columns[t.label]
		if o.OptionalLabel { // a column that waits for predictions
			if label.holes < t.n && o.Like != nil {
				t.note("%d of %d rows have no label: figures are of the other %d.", label.holes, t.n, t.n-label.holes)
			} else {
				label.drop = true
			}
			label = nil
		}
	}
	do := o.Missing
	if do == "" && o.Like != nil {
		do = o.Like.Missing
	}
	if do == DropMissing && o.OptionalLabel { // every row gets a prediction
		do = ""
	}
	switch {
	case do != "" && do != DropMissing && do != ImputeMissing:
		return fail(t.file, "choose drop or impute", "nothing is called %q for missing cells", do)
	case label != nil && len(with) == 0 && do == "":
		return t.missingError([]*tableColumn{label}, "give a label, or leave out the row (--missing drop does)")
	case len(with) > 0 && do == "":
		if label != nil {
			with = append(with, label)
		}
		hint := "fill in a value, or give --missing drop to leave out such rows or --missing impute to fill in medians and " +
			"most frequent levels"
		if c := with[t.emptiest(with)]; c.holes == t.n && t.n > 1 && o.Like == nil {
			hint = fmt.Sprintf("leave out %s, which is empty, with %s; %s", quote(c.name), columnFlag("drop", c.name), hint)
		}
		return t.missingError(with, hint)
	}
	if do == ImputeMissing {
		for _, j := range t.of {
			c := t.columns[j]
			if o.Like == nil {
				if c.holes == t.n {
					return t.missingError([]*tableColumn{c}, "leave the column out: it is empty")
				}
				c.fit()
			} else if c.filling == nil && c.holes > 0 {
				return t.missingError([]*tableColumn{c}, "train with --missing impute, or fill in a value")
			}
			if c.filling != nil {
				if c.fill = c.filling.Value; c.kind == Categorical {
					code, ok := c.levels[c.filling.Level]
					if !ok {
						return fail(t.file, "train again", "%s fills in %s, which is none of the levels", o.likeName(),
							quote(c.filling.Level))
					}
					c.fill = float64(code)
				}
			}
		}
		if n := 0; len(with) > 0 && o.Like == nil {
			for _, c := range with {
				n += c.holes
			}
			cells, columns, are := "missing cells", "columns", "are"
			if n == 1 {
				cells, are = "missing cell", "is"
			}
			if len(with) == 1 {
				columns = "column"
			}
			t.note("%d %s of %d %s %s filled in with medians and most frequent levels, and marked by a column each.", n, cells,
				len(with), columns, are)
		}
		with = nil
	}
	if label != nil {
		with = append(with, label)
	}
	if len(with) == 0 {
		return nil
	}
	return t.leaveOutRows(with)
}

// emptiest is the place of the column with the most missing cells.
func (t *table) emptiest(columns []*tableColumn) (at int) {
	for k, c := range columns {
		if c.holes > columns[at].holes {
			at = k
		}
	}
	return at
}

// leaveOutRows leaves out the rows where one of the columns has no cell.
func (t *table) leaveOutRows(with []*tableColumn) error {
	out := make([]bool, t.n)
	for _, c := range with {
		for b, block := range c.blocks {
			for i, v := range block {
				out[b*blockRows+i] = out[b*blockRows+i] || c.isHole(v)
			}
		}
	}
	n := t.n
	t.rows = nil
	for i, o := range out[:n] {
		if !o {
			t.rows = append(t.rows, i)
		}
	}
	for _, c := range t.columns {
		if c.keep {
			var names []string
			for i, name := range c.rowNames {
				if !out[i] {
					names = append(names, name)
				}
			}
			c.rowNames = names
		}
		if c.drop {
			continue
		}
		blocks, at := c.blocks, 0
		c.blocks, c.n = nil, 0
		for _, block := range blocks {
			for _, v := range block {
				if !out[at] {
					c.add(v)
				}
				at++
			}
		}
		t.n = c.n
	}
	if t.n == 0 {
		return t.missingError(with, "give --missing impute: no row is complete")
	}
	t.note("%d of %d rows were left out, because a cell or the label is missing.", n-t.n, n)
	return nil
}

// fit finds what stands for missing cells, and whether they are marked.
func (c *tableColumn) fit() {
	c.filling = &Filling{Indicator: c.holes > 0}
	if c.kind == Categorical {
		count, most := make([]int, len(c.levels)), 0
		for _, b := range c.blocks {
			for _, v := range b {
				if v != missing {
					count[int(v)]++
				}
			}
		}
		for k, n := range count {
			if n > count[most] {
				most = k
			}
		}
		c.filling.Level = c.names()[most]
		return
	}
	var values []float64
	for _, b := range c.blocks {
		for _, v := range b {
			if !math.IsNaN(v) {
				values = append(values, v)
			}
		}
	}
	slices.Sort(values)
	n := len(values)
	if c.kind == Date { // a day that there is
		c.filling.Value = values[(n-1)/2]
		return
	}
	c.filling.Value = (values[(n-1)/2] + values[n/2]) / 2
}
