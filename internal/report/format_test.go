package report

import (
	"math"
	"testing"
)

func TestNumber(t *testing.T) {
	for _, test := range []struct {
		v      float64
		digits int
		want   string
	}{
		{0.203884, 5, "0.20388"}, {-12, 3, "−12.0"}, {0, 5, "0"}, {math.NaN(), 3, "–"}, {math.Inf(-1), 3, "−∞"},
		{math.Inf(1), 3, "∞"}, {162754.8, 3, "1.63e5"}, {6.14e-6, 3, "6.14e−6"}, {2988.12, 3, "2988"}, {1e-4, 3, "0.000100"},
		{9.9996, 3, "10.0"}, {-0.99996, 2, "−1.0"},
	} {
		if got := number(test.v, test.digits); got != test.want {
			t.Errorf("%g is %q, want %q", test.v, got, test.want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "−1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
