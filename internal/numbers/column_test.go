package numbers

import "testing"

// Years have no thousands, and two values are told apart.
func TestColumn(t *testing.T) {
	for _, c := range []struct {
		column string
		v      float64
		want   string
	}{{"year", 1893, "1893"}, {"YearBuilt", 2005, "2005"}, {"yr_sold", 1999, "1999"}, {"Baujahr", 1950, "1950"},
		{"years", 12000, "12,000"}, {"weight", 1893, "1,893"}, {"year", 1893.5, "1,893.5"}} {
		if got := In(c.column, c.v); got != c.want {
			t.Errorf("%v of %s is %s, want %s", c.v, c.column, got, c.want)
		}
	}
	for _, c := range []struct {
		a, b         float64
		wantA, wantB string
	}{
		{1e12 + .31, 1e12 + 1.72, "1,000,000,000,000.3", "1,000,000,000,001.7"}, {1.5, 2.25, "1.5", "2.25"},
		{-1000.123456, -1000.125456, "−1,000.1235", "−1,000.1255"}, {12345, 12346, "12,345", "12,346"},
		{0.123456789, 0.323456789, "0.1235", "0.3235"},
	} {
		if a, b := Apart("x", c.a, c.b); a != c.wantA || b != c.wantB {
			t.Errorf("%s and %s, want %s and %s", a, b, c.wantA, c.wantB)
		}
	}
}
