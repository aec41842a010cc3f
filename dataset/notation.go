package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// notation is how numbers are written where not as 1234.5: a decimal comma, and what stands between groups of three
// digits; 0 for a point and for nothing.
type notation struct{ decimal, thousands byte }

// notation is that of the options, and where they say nothing that of Like.
func (o *Options) notation() notation {
	n := notation{o.Decimal, o.Thousands}
	if l := o.Like; l != nil && n == (notation{}) {
		if len(l.Decimal) == 1 {
			n.decimal = l.Decimal[0]
		}
		if len(l.Thousands) == 1 {
			n.thousands = l.Thousands[0]
		}
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
			whole = strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(whole)
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

// confuses says that a plain number would be another one in this notation.
func (n notation) confuses(s string) bool { return n.decimal == ',' && strings.Contains(s, ".") }

// notationFlags is what to do about s, a number in another notation; "" if it is none in any.
func notationFlags(s string) string {
	var say []string
	seen := map[float64]bool{}
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
