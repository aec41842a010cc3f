package dataset

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sameAsStrconv compares scanFloat with strconv bit for bit.
func sameAsStrconv(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, s string) {
	t.Helper()
	want, err := strconv.ParseFloat(s, 64)
	got, next, ok := scanFloat([]byte(s+" "), 0)
	if ok != (err == nil) {
		t.Fatalf("%q: ok is %v, strconv says %v", s, ok, err)
	}
	if ok && (next != len(s) || math.Float64bits(got) != math.Float64bits(want)) {
		t.Fatalf("%q: %v (%x) up to %d, want %v (%x)", s, got, math.Float64bits(got), next, want, math.Float64bits(want))
	}
}

func TestScanFloatLikeStrconv(t *testing.T) {
	for _, s := range []string{"0", "-0", "+0", "1", "-1.0", "+1", ".5", "5.", "-.5e1", "1e22", "1e23", "1e-22", "1e-23",
		"9007199254740992", "9007199254740993", "9007199254740993e22", "1234567890123456789", "12345678901234567890",
		"99999999999999999999", "0.1", "0.30000000000000004",
		"1e308", "1.8e308", "1e309", "-1e400", "4.9e-324", "2e-324", "1e-400", "2.2250738585072011e-308",
		"1e99999999999999999999", "0e99999999",
		"00000000000000000000000000000001", "0.00000000000000000000000000000000001", "1E5", "1e+5", "18446744073709551616",
		"184467440737095516150.5"} {
		sameAsStrconv(t, s)
	}
	g := rand.New(rand.NewPCG(3, 4))
	for range 100000 {
		var s string
		switch g.IntN(4) {
		case 0: // any bits
			v := math.Float64frombits(g.Uint64())
			if v-v != 0 {
				continue
			}
			s = strconv.FormatFloat(v, "eg"[g.IntN(2)], g.IntN(20)-1, 64)
		case 1: // like data
			s = strconv.FormatFloat(g.NormFloat64()*math.Pow10(g.IntN(12)-6), 'f', g.IntN(18), 64)
		case 2: // integers with a shifted point
			s = strconv.FormatUint(g.Uint64()>>g.IntN(64), 10) + "e" + strconv.Itoa(g.IntN(60)-30)
		case 3: // halfway between two floats
			v := math.Float64frombits(0x3ff0_0000_0000_0000 | g.Uint64()>>12)
			s = strconv.FormatFloat((v+math.Nextafter(v, 2))/2, 'f', 53, 64)
			if g.IntN(2) == 0 {
				s += "1"
			}
		}
		sameAsStrconv(t, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[+-]?([0-9]{1,25}(\.[0-9]{0,25})?|\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?`)
		sameAsStrconv(t, number.Draw(t, "s"))
	})
}

func TestScanFloatRefuses(t *testing.T) {
	for _, s := range []string{"", "+", "-", ".", "-.", "e5", "1e", "1e+", "abc", "nan", "inf", "-inf", "+-1", " 1"} {
		if v, next, ok := scanFloat(s, 0); ok {
			t.Errorf("%q is read as %v up to %d", s, v, next)
		}
	}
	// These stop early, so that what follows can be judged.
	for s, want := range map[string]int{"1:2": 1, "0x10": 1, "1_000": 1, "1.2.3": 3, "1,5": 1, "7\n": 1} {
		if _, next, ok := scanFloat(s, 0); !ok || next != want {
			t.Errorf("%q is read up to %d, want %d", s, next, want)
		}
		if _, ok := parseFloat(strings.TrimSuffix(s, "\n")); ok && s != "7\n" {
			t.Errorf("%q is read as a number", s)
		}
	}
}

func TestIsMissing(t *testing.T) {
	for _, s := range []string{"", "?", ".", "NA", "n/a", "NaN", "-nan", "null", "None", "inf", "-Inf", "+Infinity"} {
		if !isMissing(s) {
			t.Errorf("%q does not count as missing", s)
		}
	}
	for _, s := range []string{"0", "-", "no", "nana", "infinite", "x"} {
		if isMissing(s) != (s == "-") { // a sign alone is nothing
			t.Errorf("isMissing(%q) is %v", s, isMissing(s))
		}
	}
}

func ExampleError() {
	_, err := ReadFrom(context.Background(), strings.NewReader("age,y\n31,0\n38,1\n44,\n"), "people.csv", Options{})
	fmt.Println(err)
	// Output: people.csv:4: column "y": the label is empty; give a label, or leave out the row (--missing drop does)
}
