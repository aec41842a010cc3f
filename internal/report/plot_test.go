package report

import (
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTicks(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		lo := rng.NormFloat64() * math.Pow(10, float64(rng.IntN(30)-15))
		e := extent{lo: lo, hi: lo + math.Pow(10, float64(rng.IntN(30)-15)), filled: true}
		log := e.lo > 0 && rng.IntN(2) == 0
		s := fit(e, log, 0.05)
		ticks := s.ticks(6, false)
		if len(ticks) < 2 || len(ticks) > 13 {
			t.Fatalf("%d ticks from %g to %g, log %v", len(ticks), s.lo, s.hi, log)
		}
		for i, tick := range ticks {
			if slack := 1e-6 * (s.hi - s.lo); tick.value < s.lo-slack || tick.value > s.hi+slack {
				t.Fatalf("tick %g outside %g to %g, log %v", tick.value, s.lo, s.hi, log)
			}
			if i > 0 && (tick.value <= ticks[i-1].value || tick.label == ticks[i-1].label) {
				t.Fatalf("ticks %v from %g to %g, log %v", ticks, s.lo, s.hi, log)
			}
		}
	}
}

func TestTickLabels(t *testing.T) {
	for _, test := range []struct {
		lo, hi float64
		log    bool
		n      int
		want   []string
	}{
		{0, 1, false, 5, []string{"0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		{-12, 12, false, 5, []string{"−10", "−5", "0", "5", "10"}},
		{0, 20000, false, 4, []string{"0", "5,000", "10,000", "15,000", "20,000"}},
		{0, 4e-5, false, 4, []string{"0", "1e−5", "2e−5", "3e−5", "4e−5"}},
		{1e-6, 1, true, 7, []string{"10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"}},
		{1, 50, true, 7, []string{"1", "2", "5", "10", "20", "50"}},
	} {
		var labels []string
		for _, tick := range (scale{lo: test.lo, hi: test.hi, log: test.log}).ticks(test.n, false) {
			labels = append(labels, tick.label)
		}
		if !slices.Equal(labels, test.want) {
			t.Errorf("%g to %g: %q, want %q", test.lo, test.hi, labels, test.want)
		}
	}
}

func TestScale(t *testing.T) {
	linear := scale{lo: -1, hi: 3, from: 100, to: 20}
	logarithmic := scale{lo: 0.01, hi: 100, log: true, from: 0, to: 40}
	for _, test := range []struct {
		s       scale
		v, want float64
	}{
		{linear, -1, 100}, {linear, 3, 20}, {linear, 0, 80},
		{logarithmic, 0.01, 0}, {logarithmic, 1, 20}, {logarithmic, 10, 30},
	} {
		if got := test.s.at(test.v); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%g at %g, want %g", test.v, got, test.want)
		}
	}
}

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

func TestThinKeepsExtremes(t *testing.T) {
	points := make([]point, 100_000)
	for i := range points {
		points[i] = point{float64(i), math.Sin(float64(i))}
	}
	points[31_234].y, points[77_777].y = -9, 9
	kept := thin(points)
	if len(kept) > 1600 {
		t.Errorf("%d points kept", len(kept))
	}
	for _, want := range []point{points[0], points[31_234], points[77_777], points[99_999]} {
		if !slices.Contains(kept, want) {
			t.Errorf("point %v is lost", want)
		}
	}
	if !slices.IsSortedFunc(kept, func(a, b point) int { return int(a.x - b.x) }) {
		t.Error("points out of order")
	}
	if few := thin(points[:1600]); len(few) != 1600 {
		t.Errorf("short line thinned to %d", len(few))
	}
}

// frame is a plot with axes for the values of e, both ways.
func frame(e extent, label string) *plot {
	return newPlot("p", axis{label: label, scale: fit(e, false, 0)}, axis{label: label, scale: fit(e, false, 0)})
}

func TestAxisLabelsAreEscaped(t *testing.T) {
	p := frame(extent{lo: 0, hi: 1}, "a<b")
	if got := strings.Count(p.b.String(), ">a&lt;b</text>"); got != 2 {
		t.Errorf("%d escaped labels, want 2", got)
	}
}

func TestAxisLabelsDoNotTouch(t *testing.T) {
	upright := regexp.MustCompile(`<text class="(middle|end)" x="([0-9.]+)" y="258">([^<]+)</text>`)
	for _, e := range []extent{{lo: 0, hi: 1}, {lo: 1e3, hi: 1e6}, {lo: 1e4, hi: 9.9e6}, {lo: 123, hi: 123456},
		{lo: 1e297, hi: 1e300}, {lo: 1000, hi: 1000.008}} {
		p := frame(e, "")
		labels := upright.FindAllStringSubmatch(p.b.String(), -1)
		if len(labels) < 2 {
			t.Errorf("%v: %d labels", e, len(labels))
		}
		end := 0.0
		for _, l := range labels {
			x, _ := strconv.ParseFloat(l[2], 64)
			width := 7.5 * float64(utf8.RuneCountInString(l[3]))
			left, right := x-width/2, x+width/2
			if l[1] == "end" {
				left, right = x-width, x
			}
			if left < end || right > plotWidth+1 {
				t.Errorf("%v: label %s from %g to %g, the one before ends at %g", e, l[3], left, right, end)
			}
			end = right
		}
	}
}
