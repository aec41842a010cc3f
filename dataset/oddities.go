package dataset

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// columnFlag is what to type to name a column.
func columnFlag(flag, name string) string {
	switch {
	case strings.ContainsAny(name, `",`): // names in a list
		name = `'"` + strings.ReplaceAll(name, `"`, `""`) + `"'`
	case strings.ContainsAny(name, " '$&|;<>()*?!#~`\\"):
		name = "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return "--" + flag + " " + name
}

// source is the name of the column of the file that c is, or was made of.
func (c *tableColumn) source() string {
	if c.from != nil {
		return c.from.Column
	}
	return c.name
}

// noteOddities says which feature columns are the same in all rows, which repeat others, and which tell the label.
func (t *table) noteOddities(y []float64, classes bool) {
	if t.n < 2 {
		return
	}
	t.noteNumbering()
	for _, j := range t.of {
		if c := t.columns[j]; c.kind == Numeric && c.from == nil {
			t.noteNumber(c)
		}
	}
	var constant, repeat []string
	most := 0 // levels of a categorical column
	for _, j := range t.of {
		if c := t.columns[j]; c.kind == Categorical {
			most = max(most, len(c.levels))
		}
	}
	seen := make(map[[2]uint64]*tableColumn) // by their hash
	for _, j := range t.of {
		c := t.columns[j]
		if c.kind == Text {
			continue
		}
		if c.constant() {
			c.odd("constant")
			constant = append(constant, quote(c.name))
			continue
		}
		hashes := [][2]uint64{{0, c.hash()}}
		if h, ok := c.partition(most); ok && t.n >= fewestRows {
			hashes = append(hashes, [2]uint64{1, h})
		}
		var of *tableColumn
		for _, h := range hashes {
			// Two columns of numbers repeat each other only if the numbers are the same.
			other := seen[h]
			if other == nil {
				seen[h] = c
			} else if alike := h[0] == 0 || c.kind == Categorical || other.kind == Categorical; alike && of == nil &&
				other.source() != c.source() {
				of = other
			}
		}
		if of != nil {
			c.odd("repeats %s", of.name)
			repeat = append(repeat, fmt.Sprintf("%s repeats %s", quote(c.name), quote(of.name)))
		}
	}
	if len(constant) == 1 {
		t.note("The column %s is the same in every row, and tells nothing.", constant[0])
	} else if constant != nil {
		t.note("%d columns are the same in every row, and tell nothing: %s.", len(constant), some(constant))
	}
	if repeat != nil {
		t.note("Columns that repeat others in every row: %s.", some(repeat))
	}
	if y != nil {
		t.noteTelling(y, classes)
	}
}

// identifiers are names of columns that say which row it is.
var identifiers = regexp.MustCompile(`(?i)^(id|index|idx|key|nr|no|row|row_?(id|nr|no|num|number))$|[_ .-]id$|` +
	`(?-i)[a-z]I[Dd]$`)

// noteNumbering says which features number the rows: of whole numbers, no two alike, that have the name of identifiers,
// or count the rows in order.
func (t *table) noteNumbering() {
	for _, j := range t.of {
		c := t.columns[j]
		if c.kind != Numeric || c.from != nil || !c.counts() && !(identifiers.MatchString(c.name) && c.numbersRows()) {
			continue
		}
		c.odd("numbers the rows")
		t.note("The column %s has a whole number of its own in each row, and is a feature: leave it out with %s, or have it "+
			"beside predictions with %s, if it only tells rows apart.", quote(c.name), columnFlag("drop", c.name),
			columnFlag("id", c.name))
	}
}

// noteNumber says that the numbers of c may be something else: codes, dates, or a mark of what is missing.
func (t *table) noteNumber(c *tableColumn) {
	if c.zeros1 != "" {
		c.odd("zeros in front")
		t.note("Numbers of the column %s have zeros in front, such as %s, as codes have: %s takes them for levels.",
			quote(c.name), quote(c.zeros1), columnFlag("categorical", c.name))
	}
	const fewestDates = 10
	days, other, lo, hi := 0, 0, math.Inf(1), math.Inf(-1)
	marks := make(map[float64]int)
	for _, b := range c.blocks {
		for _, v := range b {
			switch whole := v == math.Trunc(v); {
			case math.IsNaN(v):
			case whole && slices.Contains(missingMarks, math.Abs(v)):
				marks[v]++
			default:
				lo, hi = min(lo, v), max(hi, v)
				if whole && isDay(v) {
					days++
				} else {
					other++
				}
			}
		}
	}
	if other == 0 && days >= fewestDates && len(marks) == 0 {
		c.odd("perhaps dates")
		t.note("Numbers of the column %s look like dates, such as %.0f, and are taken for numbers: written as 2021-04-03 "+
			"they become year, month and elapsed days.", quote(c.name), lo)
	}
	const far = 3
	for _, v := range slices.Sorted(maps.Keys(marks)) {
		if n := marks[v]; n > 1 && days+other > n && (v < lo-far*(hi-lo) || v > hi+far*(hi-lo)) {
			c.odd("%d times %v", n, v)
			t.note("The column %s is %v in %d rows, far from all others: if that stands for what is missing, leave such cells "+
				"empty.", quote(c.name), v, n)
		}
	}
}

// missingMarks are what people write for missing numbers, without signs.
var missingMarks = []float64{99, 999, 9999, 99999, 999999, 888, 8888, 7777}

// isDay says that v is a day of the 20th or 21st century as digits of year, month and day.
func isDay(v float64) bool {
	if v < 19000101 || v > 20991231 {
		return false
	}
	y, m, d := int(v)/10000, int(v)/100%100, int(v)%100
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return int(t.Month()) == m && t.Day() == d
}

// counts says that the cells are 0, 1, 2, … or 1, 2, 3, …
func (c *tableColumn) counts() bool {
	const fewestCounted = 100
	next := c.blocks[0][0]
	if c.n < fewestCounted || next != 0 && next != 1 {
		return false
	}
	for _, b := range c.blocks {
		for _, v := range b {
			if v != next {
				return false
			}
			next++
		}
	}
	return true
}

// fewestRows are as many as it takes to say that columns correspond to each other or to the label: in fewer, levels do
// by chance.
const fewestRows = 20

// some is a list of the first few.
func some(items []string) string {
	const most = 8
	if len(items) > most {
		return fmt.Sprintf("%s, … (%d in all)", strings.Join(items[:most], ", "), len(items))
	}
	return strings.Join(items, ", ")
}

// constant says that all cells are alike, and none is missing.
func (c *tableColumn) constant() bool {
	first := c.blocks[0][0]
	for _, b := range c.blocks {
		for _, v := range b {
			if v != first { // as NaN is
				return false
			}
		}
	}
	return true
}

// hash is one of the cells in their order.
func (c *tableColumn) hash() uint64 {
	h := uint64(0)
	if c.kind == Categorical {
		for _, b := range []byte(strings.Join(c.names(), "\x00")) {
			h = mix(h, uint64(b))
		}
	}
	for _, b := range c.blocks {
		for _, v := range b {
			switch {
			case c.isHole(v):
				v = missing
			case v == 0:
				v = 0 // -0
			}
			h = mix(h, math.Float64bits(v))
		}
	}
	return h
}

func mix(h, v uint64) uint64 {
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// partition is a hash of which cells are alike, whatever they are; ok is false if more than most are different.
func (c *tableColumn) partition(most int) (h uint64, ok bool) {
	code := make(map[float64]uint64)
	for _, b := range c.blocks {
		for _, v := range b {
			if c.isHole(v) {
				v = missing
			}
			k, known := code[v]
			if !known {
				if k = uint64(len(code)); len(code) > most {
					return 0, false
				}
				code[v] = k
			}
			h = mix(h, k)
		}
	}
	return h, most > 0
}

// noteTelling says which columns tell the label in every row, as one does that was made from it.
//
// In few rows a rule of one column fits by chance. If labels stood in a random order, the probability that a rule fits
// is at most the number of labellings that it can make, over the number of orders: K^m for m levels and K different
// labels, K! for one range of numbers for each class, 2 for a label that rises or falls with the numbers. A column is
// named if that, times the number of columns, is below 1e-6. What grows with time rises in every row for no other
// reason: that is said of numbers that are no dates, from 100 rows on, or where the label is a linear function of them.
func (t *table) noteTelling(y []float64, classes bool) {
	const fewestRising = 100
	if len(y) < fewestRows {
		return
	}
	for _, j := range t.of {
		c := t.columns[j]
		if c.kind == Text {
			continue
		}
		how := ""
		switch {
		case c.kind == Categorical:
			if c.levelsTell(y) && t.unlikely(c, y, func(labels int) float64 {
				return float64(len(c.levels)) * math.Log(float64(labels))
			}) {
				how = "each of its levels has one label"
			}
		case classes:
			if c.inSamples(y, rangesTell) && t.unlikely(c, y, func(labels int) float64 { return logFactorial(labels) }) {
				how = "each label has a range of its own"
			}
		case c.inSamples(y, linear) && t.unlikely(c, y, func(int) float64 { return math.Ln2 }):
			how = "the label is a linear function of it"
		case c.from == nil && len(y) >= fewestRising && c.inSamples(y, rising) && t.unlikely(c, y, func(int) float64 {
			return math.Ln2
		}):
			how = "the label rises or falls with it throughout"
		}
		if how != "" {
			c.odd("tells the label")
			t.note("The column %s alone tells the label in every row: %s. If it is not known before the label is, leave it out "+
				"with %s.", quote(c.name), how, columnFlag("drop", c.source()))
		}
	}
}

// unlikely says that by chance c would hardly tell y: rule is the logarithm of how many labellings it can make of so
// many different labels.
func (t *table) unlikely(c *tableColumn, y []float64, rule func(labels int) float64) bool {
	count, n := make(map[float64]int), 0
	for i, v := range y {
		if !c.isHole(c.blocks[i/blockRows][i%blockRows]) {
			count[v]++
			n++
		}
	}
	orders := logFactorial(n)
	for _, k := range count {
		orders -= logFactorial(k)
	}
	return len(count) > 1 && rule(len(count))+math.Log(1e6*float64(len(t.of))) < orders
}

func logFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

// levelsTell says that rows of one level have one label.
func (c *tableColumn) levelsTell(y []float64) bool {
	label := make([]float64, len(c.levels))
	known := make([]bool, len(c.levels))
	for i, v := range y {
		k := c.blocks[i/blockRows][i%blockRows]
		if k < 0 { // missing
			continue
		}
		if j := int(k); known[j] && label[j] != v {
			return false
		} else {
			known[j], label[j] = true, v
		}
	}
	return true
}

// cellLabel is a cell and the label of its row.
type cellLabel struct{ x, y float64 }

// inSamples says that rule holds in a few rows, in more, and at last in all rows, those with missing cells apart: most
// columns are through after the first.
func (c *tableColumn) inSamples(y []float64, rule func([]cellLabel) bool) bool {
	for _, size := range []int{64, 4096, len(y)} {
		step := max(1, len(y)/size)
		pairs := make([]cellLabel, 0, len(y)/step+1)
		for i := 0; i < len(y); i += step {
			if v := c.blocks[i/blockRows][i%blockRows]; !math.IsNaN(v) {
				pairs = append(pairs, cellLabel{v, y[i]})
			}
		}
		if !rule(pairs) {
			return false
		}
	}
	return true
}

// rangesTell says that the cells of each label are in a range of their own.
func rangesTell(pairs []cellLabel) bool {
	type span struct{ lo, hi float64 }
	spans := make(map[float64]span)
	for _, p := range pairs {
		s, ok := spans[p.y]
		if !ok {
			s = span{p.x, p.x}
		}
		spans[p.y] = span{min(s.lo, p.x), max(s.hi, p.x)}
	}
	var all []span
	for _, s := range spans {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	for k := 1; k < len(all); k++ {
		if all[k].lo <= all[k-1].hi {
			return false
		}
	}
	return true
}

// rising says that the label never falls as the cells rise, or never rises, and that equal cells have equal labels.
func rising(pairs []cellLabel) bool {
	slices.SortFunc(pairs, func(a, b cellLabel) int { return cmp.Compare(a.x, b.x) })
	up, down := true, true
	for i := 1; i < len(pairs); i++ {
		a, b := pairs[i-1], pairs[i]
		if a.x == b.x && a.y != b.y {
			return false
		}
		up, down = up && a.y <= b.y, down && a.y >= b.y
		if !up && !down {
			return false
		}
	}
	return true
}

// linear says that labels are a line of the cells up to a millionth of their range.
func linear(pairs []cellLabel) bool {
	if len(pairs) == 0 {
		return false
	}
	least := func(a, b cellLabel) int { return cmp.Compare(a.x, b.x) }
	lo, hi := slices.MinFunc(pairs, least), slices.MaxFunc(pairs, least)
	slope := (hi.y - lo.y) / (hi.x - lo.x)
	for _, p := range pairs {
		if !(math.Abs(lo.y+slope*(p.x-lo.x)-p.y) <= 1e-6*math.Abs(hi.y-lo.y)) {
			return false
		}
	}
	return true
}
