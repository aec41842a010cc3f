package dataset

import (
	"strconv"
	"strings"
)

// Cells of formats that store values and not text. What they have in common with text is done as for text, so that
// levels, missing cells and names of rows do not depend on the format.

// literal adds a number; text is how it is written where it names its row.
func (c *tableColumn) literal(v float64, text string, at int) error {
	if c.keep {
		c.rowNames = append(c.rowNames, strings.Clone(text))
	}
	if c.drop {
		return nil
	}
	return c.number(v, at)
}

// integer adds a whole number.
func (c *tableColumn) integer(v int64, at int) error {
	if c.keep { // exactly
		return c.literal(0, strconv.FormatInt(v, 10), at)
	}
	return c.number(float64(v), at)
}

// unsigned adds a whole number.
func (c *tableColumn) unsigned(v uint64, at int) error {
	if c.keep {
		return c.literal(0, strconv.FormatUint(v, 10), at)
	}
	return c.number(float64(v), at)
}

// boolean adds 1 or 0.
func (c *tableColumn) boolean(v bool, at int) error {
	if v {
		return c.number(1, at)
	}
	return c.number(0, at)
}

const hintNames = "give each column a name of its own"

// nameIndices finds the columns without a name, as pandas writes its index, and gives those a name that have none.
func nameIndices(names []string) []index {
	indices := make([]index, len(names))
	for j, n := range names {
		if n = strings.TrimSpace(n); n == "" || strings.HasPrefix(n, "Unnamed: ") {
			indices[j] = nameless
		}
		if n == "" {
			names[j] = "column" + strconv.Itoa(j+1)
		}
	}
	return indices
}
