// Package numbers writes numbers for people: thousands with commas, a minus that is one, no more digits than an
// interval leaves, and no exponents but powers of ten.
package numbers

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

const (
	unknown = "–"
	minus   = "−"
)

// Count is n with its thousands separated.
func Count(n int) string { return decimal(float64(n), 0) }

// Of is a count and what it counts: "1 row", "1,200 rows".
func Of(n int, singular string) string {
	if n == 1 {
		return "1 " + singular
	}
	return Count(n) + " " + singular + "s"
}

// mostDigits is how many digits of a number are shown that is not whole.
const mostDigits = 6

// Value is v as it stands in a file: 0.35, 1,200, and 3 × 10⁻⁹ where zeros would hide it. Of more than six digits after
// which it is not whole four are left.
func Value(v float64) string {
	if s := strconv.FormatFloat(math.Abs(v), 'e', -1, 64); v != math.Trunc(v) && strings.Index(s, "e") > mostDigits+1 {
		return Digits(v, 4)
	}
	if a := math.Abs(v); v != 0 && (a < 1e-4 || a >= 1e15) && !math.IsInf(v, 0) {
		return power(v, -1)
	}
	return decimal(v, -1)
}

// In is v as it stands in a column: years have no thousands.
func In(column string, v float64) string {
	if v == math.Trunc(v) && 1000 <= v && v < 3000 && year.MatchString(column) {
		return strconv.Itoa(int(v))
	}
	return Value(v)
}

// year matches names of columns of years.
var year = regexp.MustCompile(`(?i)year|jahr|(^|_)yr|yr(_|$)`)

// Apart are two values as they stand in a file, with as many digits as it takes to see how far they are apart.
func Apart(column string, a, b float64) (string, string) {
	place := placeOf(b-a) - 1
	if a == b || place < -12 || math.Abs(b-a) > 1e-3*math.Max(math.Abs(a), math.Abs(b)) || a == math.Trunc(a) && b ==
		math.Trunc(b) && math.Max(math.Abs(a), math.Abs(b)) < 1e15 {
		return In(column, a), In(column, b)
	}
	return decimal(round(a, place), max(-place, 0)), decimal(round(b, place), max(-place, 0))
}

// Digits is v with so many significant digits.
func Digits(v float64, n int) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0) || v == 0:
		return decimal(v, 0)
	case a < 1e-4 || a >= 1e15:
		return power(v, n-1)
	}
	place := placeOf(v) - n + 1
	v = round(v, place)
	return words(v, placeOf(v)-n+1)
}

// Estimate is a value and the ends of its interval, all rounded to the place of the first digit of half its width.
// Without an interval the value has three digits.
func Estimate(v, lo, hi float64) (value, from, to string) {
	half := (hi - lo) / 2
	if !(half > 0) || math.IsInf(half, 0) {
		return Digits(v, 3), Digits(lo, 3), Digits(hi, 3)
	}
	place := placeOf(half)
	if place < -5 || placeOf(math.Max(math.Abs(lo), math.Abs(hi))) >= 15 {
		return Digits(v, 3), Digits(lo, 3), Digits(hi, 3)
	}
	return words(round(v, place), place), words(round(lo, place), place), words(round(hi, place), place)
}

// Fixed is v with so many decimals.
func Fixed(v float64, decimals int) string { return decimal(v, decimals) }

// Percent is a share with so many decimals.
func Percent(share float64, decimals int) string {
	if math.IsNaN(share) {
		return unknown
	}
	return decimal(100*share, decimals) + "%"
}

// Probability is p in per cent, with two digits and "over 99%" and "under 1%" at the ends.
func Probability(p float64) string {
	switch {
	case p > .99:
		return "over 99%"
	case p < .01:
		return "under 1%"
	}
	return Percent(p, 0)
}

// Signed is s, the text of a number, as a change: with its sign.
func Signed(s string) string {
	if strings.HasPrefix(s, minus) || s == "0" || s == unknown || !strings.ContainsAny(s, "123456789") {
		return s
	}
	return "+" + s
}

// Seconds is a time: 0.2 s, 12 s, 1 min 20 s.
func Seconds(s float64) string {
	switch {
	case s < 0.05:
		return "under 0.1 s"
	case s < 9.95:
		return decimal(s, 1) + " s"
	case s < 59.5:
		return decimal(s, 0) + " s"
	}
	whole := int(math.Round(s))
	return fmt.Sprintf("%s min %d s", Count(whole/60), whole%60)
}

// List is names in a sentence: "a, b and c".
func List(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// Power is 10^k as it is printed: 10⁻³.
func Power(k int) string {
	return "10" + strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴",
		"5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹").Replace(strconv.Itoa(k))
}

// Plain is text as a terminal and a page can show it: valid UTF-8 in one line, without control characters.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff:
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// placeOf is the power of ten of the first digit of v.
func placeOf(v float64) int {
	_, e, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'e', 15, 64), "e")
	place, _ := strconv.Atoi(e)
	return place
}

// round is v as a multiple of 10^place.
func round(v float64, place int) float64 {
	if place < 0 {
		r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', -place, 64), 64)
		return r
	}
	unit := math.Pow(10, float64(place))
	return math.Round(v/unit) * unit
}

// words are a number with digits down to 10^place, in millions and more where it is that large.
func words(v float64, place int) string {
	for _, big := range []struct {
		power int
		name  string
	}{{12, "trillion"}, {9, "billion"}, {6, "million"}} {
		if math.Abs(v) >= 10*math.Pow(10, float64(big.power)) {
			return decimal(v/math.Pow(10, float64(big.power)), max(min(big.power-place, 3), 0)) + " " + big.name
		}
	}
	return decimal(v, max(-place, 0))
}

// decimal is v with so many decimals, -1 for as many as it takes.
func decimal(v float64, decimals int) string {
	switch {
	case math.IsNaN(v):
		return unknown
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return minus + "∞"
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
	whole, rest, fraction := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction {
		whole += "." + rest
	}
	if v < 0 && strings.ContainsAny(s, "123456789") {
		whole = minus + whole
	}
	return whole
}

// power is v as a number times a power of ten.
func power(v float64, decimals int) string {
	m, e, _ := strings.Cut(strconv.FormatFloat(v, 'e', decimals, 64), "e")
	k, _ := strconv.Atoi(e)
	m = strings.Replace(m, "-", minus, 1)
	if m == "1" {
		return Power(k)
	}
	return m + " × " + Power(k)
}
