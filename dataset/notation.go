package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// notation is how numbers are written where not as 1234.5: a decimal comma, and what stands between groups of three
// digits; 0 for a point and for nothing. A unit, such as % or €, stands in front of each number or behind it, and
// negative ones may be in brackets.
type notation struct {
	decimal, thousands byte
	unit               string
	brackets           bool
}

// Notation is how the numbers of a column are written, where they are not written as those of its file are.
type Notation struct {
	Decimal   string `json:"decimal,omitempty"`
	Thousands string `json:"thousands,omitempty"`
	Unit      string `json:"unit,omitempty"`     // stands at each number: %, or a currency
	Brackets  bool   `json:"brackets,omitempty"` // (5) is −5
}

// notationOf is n as it is worked with; that of the file where n is nil.
func notationOf(n *Notation, file notation) notation {
	if n == nil {
		return file
	}
	return notation{decimal: first(n.Decimal), thousands: first(n.Thousands), unit: n.Unit, brackets: n.Brackets}
}

// stored is n as a schema has it; nil if it is that of the file.
func (n notation) stored(file notation) *Notation {
	if n == file {
		return nil
	}
	return &Notation{character(n.decimal), character(n.thousands), n.unit, n.brackets}
}

// first is the byte that s has, or 0.
func first(s string) byte {
	if len(s) != 1 {
		return 0
	}
	return s[0]
}

// notation is that of the options, and where they say nothing that of Like.
func (o *Options) notation() notation {
	n := notation{decimal: o.Decimal, thousands: o.Thousands}
	if l := o.Like; l != nil && n == (notation{}) {
		n.decimal, n.thousands = first(l.Decimal), first(l.Thousands)
	}
	return n
}

// character is c, or "" for none.
func character(c byte) string {
	if c == 0 {
		return ""
	}
	return string(rune(c))
}

// notations are those that messages suggest, most usual first.
var notations = []notation{{decimal: ','}, {thousands: ','}, {decimal: ',', thousands: '.'},
	{decimal: ',', thousands: ' '}, {thousands: ' '}, {thousands: '\''}}

// check reports a notation that is none.
func (n notation) check(file string) error {
	switch {
	case n.decimal != 0 && n.decimal != '.' && n.decimal != ',':
		return fail(file, "give a point or a comma", "%q separates no decimals", n.decimal)
	case n.thousands != 0 && !strings.ContainsRune(",. '", rune(n.thousands)):
		return fail(file, "give a comma, a point, a space or an apostrophe", "%q separates no thousands", n.thousands)
	case n.point() == n.thousands:
		return fail(file, "give two", "decimals and thousands are both separated by %q", n.thousands)
	}
	return nil
}

// point is what separates decimals.
func (n notation) point() byte {
	if n.decimal == 0 {
		return '.'
	}
	return n.decimal
}

// flags are what to give for it.
func (n notation) flags() string {
	var words []string
	if n.decimal != 0 {
		words = append(words, "--decimal "+string(n.decimal))
	}
	if t := string(n.thousands); n.thousands != 0 {
		if t == " " || t == "'" {
			t = `"` + t + `"`
		}
		words = append(words, "--thousands "+t)
	}
	return strings.Join(words, " ")
}

var spaces = strings.NewReplacer("\u00a0", " ", "\u202f", " ")

// parse reads all of s as a number that a plain one could not be: it has a decimal comma or thousands.
func (n notation) parse(s string) (v float64, ok bool) {
	s = trimSpace(s)
	point := n.point()
	whole, rest := s, ""
	if i := strings.IndexByte(s, point); i >= 0 {
		whole, rest = s[:i], s[i+1:]
	}
	if i := strings.IndexAny(whole, "eE"); i >= 0 {
		whole, rest = s[:i], "0"+s[i:]
	}
	digits := whole
	if n.thousands != 0 {
		if n.thousands == ' ' { // no-break spaces are usual
			whole = spaces.Replace(whole)
		}
		groups := strings.Split(strings.TrimLeft(whole, "+-"), string(n.thousands))
		first := groups[0]
		if len(groups) > 1 && (len(first) > 3 || first == "" || first[0] == '0' ||
			slices.ContainsFunc(groups[1:], func(g string) bool { return len(g) != 3 })) {
			return 0, false
		}
		digits = strings.ReplaceAll(whole, string(n.thousands), "")
	}
	if digits == s || point == '.' && digits == whole { // a plain number
		return 0, false
	}
	if strings.IndexByte(s, point) >= 0 || rest != "" {
		digits += "." + rest
	}
	return parseFloat(digits)
}

// number reads all of cell as a number. foreign says that a plain one it could not be, decimal comma or thousands apart
// from what stands around it.
func (n notation) number(cell string) (v float64, foreign, ok bool) {
	s := trimSpace(cell)
	var d dress
	if n.unit != "" || n.brackets || strings.HasPrefix(s, minus) {
		if d, ok = undress(s); !ok || d.unit != n.unit && d.unit != "" || d.brackets && !n.brackets {
			return 0, false, false
		}
		s = d.number
	}
	if n.decimal != 0 || n.thousands != 0 {
		v, foreign = n.parse(s)
	}
	if ok = foreign; !ok {
		v, ok = parseFloat(s)
	}
	if d.unit != n.unit && v != 0 { // nothing is nothing in any unit
		return 0, false, false
	}
	if d.negative {
		v = -v
	}
	return v, foreign, ok
}

// minus is the sign that typesetters use, U+2212.
const minus = "\u2212"

// dress is what stands around a number.
type dress struct {
	number             string // without it
	unit               string
	brackets, negative bool
}

// codes are units beside per cent and the currencies that have a sign of their own; longer ones are in front.
var codes = []string{"HK$", "NZ$", "US$", "A$", "C$", "R$", "Rs.", "Rs", "kr.", "kr", "Kč", "zł", "Ft", "AUD", "BRL",
	"CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HUF", "INR", "JPY", "MXN", "NOK", "NZD", "PLN", "SEK", "USD"}

// undress takes signs, brackets, per cent and currencies from around a number, each at most once. ok says that digits
// are left; whether they are a number, a notation tells.
func undress(s string) (d dress, ok bool) {
	signed := false
	for s != "" {
		var rest, unit string
		var sign, brackets bool
		first, n := utf8.DecodeRuneInString(s)
		last, m := utf8.DecodeLastRuneInString(s)
		i, j := -1, -1
		if unicode.IsLetter(first) {
			i = slices.IndexFunc(codes, func(c string) bool { return strings.HasPrefix(s, c) })
		}
		if unicode.IsLetter(last) || last == '.' || last == '$' {
			j = slices.IndexFunc(codes, func(c string) bool { return strings.HasSuffix(s, c) })
		}
		switch {
		case strings.HasPrefix(s, minus), first == '-', first == '+':
			rest, sign = s[n:], true
		case first == '(' && last == ')' && len(s) > 2:
			rest, brackets = s[1:len(s)-1], true
		case i >= 0:
			rest, unit = s[len(codes[i]):], codes[i]
		case j >= 0:
			rest, unit = strings.TrimSuffix(s, codes[j]), codes[j]
		case unicode.Is(unicode.Sc, first), first == '%':
			rest, unit = s[n:], s[:n]
		case unicode.Is(unicode.Sc, last), last == '%', last == '‰':
			rest, unit = s[:len(s)-m], s[len(s)-m:]
		default:
			d.number = s
			return d, '0' <= first && first <= '9' || first == '.' || first == ','
		}
		if d.unit != "" && unit != "" || signed && (sign || brackets) {
			return dress{}, false
		}
		if sign || brackets {
			signed, d.brackets, d.negative = true, brackets, first != '+'
		}
		if unit != "" {
			d.unit = unit
		}
		s = strings.TrimSpace(rest)
	}
	return dress{}, false
}

// confuses says that a plain number would be another one in this notation.
func (n notation) confuses(s string) bool { return n.decimal == ',' && strings.Contains(s, ".") }

// notationFlags is what to do about s, a number in another notation; "" if it is none in any.
func notationFlags(s string) string {
	var say []string
	seen := map[float64]bool{}
	if rest, ok := strings.CutPrefix(trimSpace(s), minus); ok {
		s = "-" + rest
	}
	for _, n := range notations {
		if v, ok := n.parse(s); ok && !seen[v] {
			seen[v] = true
			say = append(say, fmt.Sprintf("%s to read it as %s", n.flags(), formatNumber(v)))
		}
	}
	if say == nil {
		return ""
	}
	return "give " + strings.Join(say, " or ") + ", or write numbers with a decimal point and without thousands separators"
}

const orLevels = "give --categorical with the column's name if its values are levels, or --drop to leave it out"

// noteNotations says which columns are read as numbers though they are not plain ones.
func (t *table) noteNotations() {
	var says []string
	for _, c := range t.columns {
		cell := cmp.Or(c.odd1, c.text1)
		if c.drop || c.kind != Numeric || c.notation == c.plain && c.oddAt == 0 {
			continue
		}
		if v, _, ok := c.notation.number(cell); ok {
			c.odd("written as %s", cell)
			says = append(says, fmt.Sprintf("%s (%s is %s)", quote(c.name), quote(cell), formatNumber(v)))
		}
	}
	if says != nil {
		t.note("Numbers in another notation are read as numbers: %s.", strings.Join(says, ", "))
	}
}

// dressed makes numbers of a column whose cells, the levels so far, are numbers with a unit or in brackets. done says
// that they are. It is an error if only some are, or if they can be read in more than one way.
func (c *tableColumn) dressed(names []string) (done bool, err error) {
	var ds []dress // of names, the missing ones apart
	var brackets bool
	example, other, units := "", "", make(map[string]string)
	for _, name := range names {
		if isMissing(name) {
			continue
		}
		d := dress{number: name}
		v, _, plain := c.notation.number(name)
		if plain {
			if d.negative = v < 0; d.negative {
				d.number = strings.TrimLeft(name, "-"+minus)
			}
		} else if d, plain = undress(name); !plain || !d.isNumber() {
			other = name
			continue
		} else if d.unit != "" || d.brackets {
			example, brackets = cmp.Or(example, name), brackets || d.brackets
		}
		if !(plain && v == 0 && d.unit == "") {
			units[d.unit] = name
		}
		ds = append(ds, d)
	}
	if example == "" { // nothing is dressed
		return false, nil
	}
	refuse := func(hint, format string, args ...any) error {
		return c.place(&Error{Err: fmt.Errorf(format, args...), Hint: hint}, c.line1)
	}
	if other != "" {
		return false, refuse("write all cells of the column alike, or "+orLevels,
			"%s is a number with what stands around it, and %s, in the same column, is none", quote(example), quote(other))
	}
	var unit string
	for unit = range units {
	}
	if len(units) > 1 {
		var cells []string
		for _, cell := range units {
			cells = append(cells, quote(cell))
		}
		slices.Sort(cells)
		return false, refuse("write all numbers of the column in one unit, or "+orLevels,
			"numbers of one column are in different units: %s", list(cells, "and"))
	}

	// All readings of the digits that fit all cells.
	candidates := []notation{c.plain}
	if c.plain == (notation{}) {
		candidates = append(candidates, notations...)
	}
	type reading struct {
		notation
		values []float64
	}
	var readings []reading
	var fitting []notation
	for _, n := range candidates {
		r := reading{notation: n}
		for _, d := range ds {
			v, ok := n.fits(d.number)
			if !ok {
				break
			}
			r.values = append(r.values, v)
		}
		if len(r.values) < len(ds) {
			continue
		}
		n.unit, n.brackets = unit, true
		fitting = append(fitting, n)
		same := func(o reading) bool { return slices.Equal(o.values, r.values) }
		if !slices.ContainsFunc(readings, same) {
			readings = append(readings, r)
		}
	}
	const alike = "write numbers with a decimal point and without thousands separators, or " + orLevels
	switch {
	case len(readings) == 0:
		return false, refuse(alike, "the numbers of the column are in no single notation: one is %s", quote(example))
	case unit == "" && readings[0].notation != c.plain: // as other numbers with a comma
		i := slices.IndexFunc(ds, func(d dress) bool { _, ok := parseFloat(d.number); return !ok })
		return false, refuse(notationFlags(ds[i].number), "%s is a number in another notation", quote(example))
	case unit != "" && len(readings) > 1: // 1.234 € has no three decimals, as a plain number may have
		var say []string
		for _, r := range readings {
			if r.decimal == 0 && r.thousands == 0 {
				r.decimal = '.'
			}
			v, _, _ := (notation{r.decimal, r.thousands, unit, true}).number(example)
			say = append(say, fmt.Sprintf("%s to read it as %s", r.flags(), formatNumber(v)))
		}
		return false, refuse("give "+list(say, "or")+"; or "+alike, "%s is a number in one of several notations",
			quote(example))
	}
	c.notation = readings[0].notation
	c.notation.unit, c.notation.brackets = unit, brackets || unit != ""
	if unit != "" && len(fitting) > 1 {
		c.fitting = fitting
	}
	return true, c.asNumbers(names, func(name string) (float64, bool) {
		v, _, ok := c.notation.number(name)
		return v, ok
	})
}

// fits reads digits that a plain number may be, or not; one with a point is none where there is a decimal comma.
func (n notation) fits(digits string) (v float64, ok bool) {
	if v, ok = n.parse(digits); ok {
		return v, true
	}
	v, ok = parseFloat(digits)
	return v, ok && !n.confuses(digits)
}

// narrow reads a cell in the notations that have fitted all cells so far, which become fewer. It is none if they
// disagree.
func (c *tableColumn) narrow(cell string) (v float64, ok bool) {
	var left []notation
	d, ok := undress(trimSpace(cell))
	for _, n := range c.fitting {
		x, fits := n.fits(d.number)
		if !fits {
			continue
		}
		if !ok || len(left) > 0 && x != v || d.unit != n.unit && (d.unit != "" || x != 0) {
			return 0, false
		}
		v, left = x, append(left, n)
	}
	if left == nil {
		return 0, false
	}
	if d.negative {
		v = -v
	}
	if c.notation, c.fitting = left[0], left; len(left) == 1 {
		c.fitting = nil
	}
	return v, true
}

// isNumber says that the digits of d are a number in some notation.
func (d dress) isNumber() bool {
	_, ok := parseFloat(d.number)
	return ok || slices.ContainsFunc(notations, func(n notation) bool { _, ok := n.parse(d.number); return ok })
}

// asNumbers makes a numeric column of one whose levels are names; those that read does not read are missing.
func (c *tableColumn) asNumbers(names []string, read func(name string) (float64, bool)) error {
	values := make([]float64, len(names))
	for k, name := range names {
		v, ok := read(name)
		if !ok {
			v = nanWord(0)
		}
		if values[k] = v; tooLarge(v) {
			return c.place(tooLargeError("the value", v), c.line1)
		}
	}
	c.kind, c.levels, c.alias, c.words = Numeric, nil, nil, []string{""}
	if c.wordAt > 0 && (c.missing == 0 || c.wordAt < c.missing) {
		c.missing, c.missing1 = c.wordAt, c.word1
	}
	for _, b := range c.blocks {
		for i, v := range b {
			if v == missing {
				b[i] = nanWord(0)
				continue
			}
			if b[i] = values[int(v)]; c.isHole(b[i]) {
				c.holes++
			}
		}
	}
	return nil
}
