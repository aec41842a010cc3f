package report

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

const (
	unknown = "–"
	minus   = "−"
	// longestName is where names of features and classes are cut.
	longestName = 120
)

// number formats v with the given count of significant digits.
func number(v float64, digits int) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return unknown
	case math.IsInf(a, 1):
		return signed(strconv.FormatFloat(v, 'g', -1, 64))
	case v == 0:
		return "0"
	case a >= 1e5 || a < 1e-4:
		return signed(strconv.FormatFloat(v, 'e', digits-1, 64))
	}
	// The exponent after rounding: 9.9996 has the decimals of 10.
	scientific := strconv.FormatFloat(v, 'e', digits-1, 64)
	_, exponent, _ := strings.Cut(scientific, "e")
	decade, _ := strconv.Atoi(exponent)
	return signed(strconv.FormatFloat(v, 'f', max(digits-1-decade, 0), 64))
}

// signed gives s the typographic minus, short exponents and ∞.
func signed(s string) string {
	s = strings.TrimPrefix(s, "+")
	s = strings.Replace(s, "Inf", "∞", 1)
	if mantissa, exponent, ok := strings.Cut(s, "e"); ok {
		n, _ := strconv.Atoi(exponent)
		s = mantissa + "e" + strconv.Itoa(n)
	}
	return strings.ReplaceAll(s, "-", minus)
}

// count formats n with thousands separated.
func count[T int | int64](n T) string {
	return grouped(strconv.FormatInt(int64(n), 10))
}

// grouped separates the thousands of a decimal number.
func grouped(s string) string {
	s, negative := strings.CutPrefix(s, "-")
	whole, rest, fraction := strings.Cut(s, ".")
	if fraction {
		rest = "." + rest
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if negative {
		whole = minus + whole
	}
	return whole + rest
}

// clean makes s valid in HTML and XML: valid UTF-8 without control characters.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF:
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// name is clean for the name of a feature or class: never empty, never endless.
func name(s string) string {
	runes := 0
	for i := range s {
		if runes == longestName {
			s = s[:i] + "…"
			break
		}
		runes++
	}
	if s = clean(s); strings.TrimSpace(s) == "" {
		return "(no name)"
	}
	return s
}

// counted is "1 record", "2 records".
func counted(n int, singular string) string {
	if n == 1 {
		return "1 " + singular
	}
	return count(n) + " " + singular + "s"
}
