package dataset

import (
	"math"
	"strconv"
	"strings"
)

// pow10 holds the powers of ten that a float64 represents exactly.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
	1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// scanFloat reads the decimal number that starts at b[i] and returns its value and the index behind it.
// The value is correctly rounded, the same bits as strconv.ParseFloat. ok is false where there is no
// number of the form [+-]digits[.digits][e[+-]digits], and for numbers outside the range of float64.
//
// A number of up to 19 digits is collected in an integer m with a decimal exponent e. If m ≤ 2^53 and
// |e| ≤ 22, m and 10^|e| are exact and one multiplication or division rounds correctly (Clinger 1990, How
// to read floating point numbers accurately); everything else goes to strconv.
func scanFloat[T []byte | string](b T, i int) (v float64, next int, ok bool) {
	start := i
	n := len(b)
	neg := false
	if i < n && (b[i] == '-' || b[i] == '+') {
		neg = b[i] == '-'
		i++
	}
	var m uint64
	first := i
	for i < n {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		m = m*10 + uint64(c)
		i++
	}
	digits := i - first
	exp := 0
	if i < n && b[i] == '.' {
		i++
		point := i
		for i < n {
			c := b[i] - '0'
			if c > 9 {
				break
			}
			m = m*10 + uint64(c)
			i++
		}
		exp = point - i
		digits += i - point
	}
	if digits == 0 {
		return 0, start, false
	}
	if i < n && b[i]|0x20 == 'e' {
		i++
		negExp := false
		if i < n && (b[i] == '-' || b[i] == '+') {
			negExp = b[i] == '-'
			i++
		}
		point := i
		e := 0
		for i < n {
			c := b[i] - '0'
			if c > 9 {
				break
			}
			if e < 100000 {
				e = e*10 + int(c)
			}
			i++
		}
		if i == point {
			return 0, start, false
		}
		if negExp {
			e = -e
		}
		exp += e
	}
	// 19 digits cannot overflow m; leading zeros count as digits, which only costs speed.
	if digits <= 19 && m <= 1<<53 {
		f := float64(m)
		switch {
		case exp == 0:
		case exp > 0 && exp <= 22:
			f *= pow10[exp]
		case exp < 0 && exp >= -22:
			f /= pow10[-exp]
		default:
			goto slow
		}
		if neg {
			f = -f
		}
		return f, i, true
	}
slow:
	v, err := strconv.ParseFloat(string(b[start:i]), 64)
	if err != nil {
		return 0, start, false
	}
	return v, i, true
}

// parseFloat reads all of s as a decimal number, with spaces around it allowed.
func parseFloat(s string) (v float64, ok bool) {
	s = trimSpace(s)
	v, next, ok := scanFloat(s, 0)
	return v, ok && next == len(s)
}

// trimSpace is strings.TrimSpace with a fast way out.
func trimSpace(s string) string {
	if len(s) > 0 && s[0] > ' ' && s[0] < 0x80 && s[len(s)-1] > ' ' && s[len(s)-1] < 0x80 {
		return s
	}
	return strings.TrimSpace(s)
}

// isMissing says whether s is a word that stands for a missing or not finite number.
func isMissing(s string) bool {
	s = strings.TrimLeft(s, "+-")
	switch len(s) {
	case 0, 1:
		return s == "" || s == "?" || s == "."
	case 2, 3, 4, 8:
		switch strings.ToLower(s) {
		case "na", "n/a", "nan", "null", "none", "inf", "infinity", "nil", "#n/a":
			return true
		}
	}
	return false
}

// formatNumber is the shortest text that reads as v; -0 is "0".
func formatNumber(v float64) string {
	if v == 0 {
		return "0"
	}
	if a := math.Abs(v); a < 1e15 && a == math.Trunc(a) {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
