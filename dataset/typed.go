package dataset

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Cells of formats that store values and not text. What they have in common with text is done as for text, so that
// levels, missing cells and names of rows do not depend on the format.

// literal adds a number; text is how it is written where it names its row.
func (c *tableColumn) literal(v float64, text string, at int) error {
	if c.keep {
		c.rowName(strings.Clone(text))
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

// declareIndices finds the columns that pandas has written its index to, as the text that it adds to a file says.
func declareIndices(indices []index, names []string, text string) {
	var meta struct {
		Columns []any `json:"index_columns"` // a name, or an object for a range that is no column
	}
	if json.Unmarshal([]byte(text), &meta) != nil {
		return
	}
	for _, c := range meta.Columns {
		if j := slices.Index(names, fmt.Sprint(c)); j >= 0 {
			indices[j] = declared
		}
	}
}

// decimal adds n·10^−scale.
func (c *tableColumn) decimal(n *big.Int, scale int32, at int) error {
	text := new(big.Int).Abs(n).String()
	if k := int(scale); k > 0 {
		text = strings.Repeat("0", max(0, k+1-len(text))) + text
		text = text[:len(text)-k] + "." + text[len(text)-k:]
	}
	if n.Sign() < 0 {
		text = "-" + text
	}
	v, ok := parseFloat(text)
	if !ok {
		v = math.Inf(n.Sign())
	}
	return c.literal(v, text, at)
}
