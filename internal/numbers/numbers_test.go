package numbers

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestEstimate(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		v, lo, hi float64
		want      string
	}{
		{11589.3, 10712, 12488, "11,600 (10,700 to 12,500)"},
		{0.5978, 0.5733, 0.6251, "0.60 (0.57 to 0.63)"},
		{-23.8, -30.1, -18.9, "−24 (−30 to −19)"},
		{9.96, 9.9, 10.04, "9.96 (9.90 to 10.04)"},
		{0.004, -0.2, 0.21, "0.0 (−0.2 to 0.2)"},
		{-0.004, -0.2, 0.21, "0.0 (−0.2 to 0.2)"},
		{123456789, 1.19e8, 1.29e8, "123 million (119 million to 129 million)"},
		{1234.5, nan, nan, "1,230 (– to –)"},
		{12.345, 12.345, 12.345, "12.3 (12.3 to 12.3)"},
		{5e-9, 1e-9, 9e-9, "5.00 × 10⁻⁹ (1.00 × 10⁻⁹ to 9.00 × 10⁻⁹)"},
	} {
		v, lo, hi := Estimate(c.v, c.lo, c.hi)
		if got := fmt.Sprintf("%s (%s to %s)", v, lo, hi); got != c.want {
			t.Errorf("%v: %s, want %s", c, got, c.want)
		}
	}
}

func TestWriting(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(1234567), "1,234,567"}, {Count(-1000), "−1,000"}, {Count(999), "999"},
		{Of(1, "row"), "1 row"}, {Of(1400, "row"), "1,400 rows"}, {Of(0, "row"), "0 rows"},
		{Value(.35), "0.35"}, {Value(1200), "1,200"}, {Value(-3.5), "−3.5"}, {Value(3e-9), "3 × 10⁻⁹"}, {Value(0), "0"},
		{Value(1e20), "10²⁰"}, {Value(1234.5678), "1,235"}, {Value(10.471801), "10.47"},
		{Value(1234567), "1,234,567"}, {Value(-0.12345), "−0.12345"},
		{Digits(1.24361e8, 3), "124 million"}, {Digits(15771, 3), "15,800"}, {Digits(.999, 2), "1.0"}, {Digits(0, 3), "0"},
		{Digits(9.9996, 3), "10.0"}, {Digits(math.Inf(-1), 3), "−∞"}, {Digits(math.NaN(), 3), "–"},
		{Digits(12.4e9, 3), "12.4 billion"}, {Digits(1.5e12, 3), "1,500 billion"}, {Digits(1e16, 2), "1.0 × 10¹⁶"},
		{Probability(.995), "over 99%"}, {Probability(.99), "99%"}, {Probability(.004), "under 1%"}, {Probability(.5), "50%"},
		{Percent(.6487, 1), "64.9%"}, {Percent(-.01, 0), "−1%"}, {Percent(math.NaN(), 0), "–"},
		{Signed("12"), "+12"}, {Signed("−3"), "−3"}, {Signed("0.0"), "0.0"}, {Signed("0"), "0"},
		{Seconds(.2), "0.2 s"}, {Seconds(12.3), "12 s"}, {Seconds(80), "1 min 20 s"}, {Seconds(.004), "under 0.1 s"},
		{Seconds(119.7), "2 min 0 s"},
		{List([]string{"a", "b", "c"}), "a, b and c"}, {List([]string{"a"}), "a"}, {List(nil), ""},
		{Power(-13), "10⁻¹³"}, {Plain("a\nb\x1b[1m\xff"), "a b\ufffd[1m\ufffd"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// No number of any size is written with an exponent, a hyphen or more than three digits between commas.
func TestNoExponent(t *testing.T) {
	for e := -320; e <= 308; e++ {
		for _, m := range []float64{1, -9.9996, 3.14159} {
			v := m * math.Pow(10, float64(e))
			for _, s := range []string{Value(v), Digits(v, 3)} {
				if strings.ContainsAny(s, "e-+") && !strings.Contains(s, "illion") {
					t.Fatalf("%v is %s", v, s)
				}
			}
		}
	}
}
