package chart

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// extent is a range of values.
type extent struct{ lo, hi float64 }

// nothing is the range of no values.
var nothing = extent{math.Inf(1), math.Inf(-1)}

func (e *extent) add(v float64) { e.lo, e.hi = min(e.lo, v), max(e.hi, v) }

// share is the place of v in e, 0 at its lower end and 1 at its upper one.
func (e extent) share(a Axis, v float64) float64 {
	if a.Log {
		return math.Log(v/e.lo) / math.Log(e.hi/e.lo)
	}
	return (v - e.lo) / (e.hi - e.lo)
}

// stretch gives e room of a share of its length, without crossing zero, and a length where it has none.
func (e extent) stretch(a Axis, below, above float64) extent {
	switch {
	case e.lo > e.hi: // no values
		return extent{1, 10}
	case a.Log && e.hi < e.lo*1.01:
		return extent{max(e.lo/2, least), min(e.hi*2, most)}
	case a.Log:
		length := math.Log(e.hi / e.lo)
		return extent{max(e.lo*math.Exp(-below*length), least), min(e.hi*math.Exp(above*length), most)}
	case e.hi-e.lo <= 1e-9*max(math.Abs(e.lo), math.Abs(e.hi)):
		room := max(math.Abs(e.hi)/20, 1e-9)
		return extent{e.lo - room, e.hi + room}
	}
	length := e.hi - e.lo
	lo, hi := e.lo-below*length, e.hi+above*length
	if e.lo >= 0 {
		lo = max(lo, 0)
	}
	return extent{lo, hi}
}

// tops is how far above its start, as a factor, a curve on a logarithmic axis is followed: farther up it leaves for
// infinity, and would press the others into a line.
const tops = 100

// measure finds the ranges of p by its curves alone. The horizontal one begins, on a logarithmic axis, at the decade
// before the first of the curves in front leaves its start by a twentieth of the height; the vertical one ends at what
// Least says.
func (p *Panel) measure() {
	p.xs, p.ys = nothing, p.heights(math.Inf(-1))
	for _, c := range p.Curves {
		for _, v := range c.X {
			p.xs.add(v)
		}
	}
	if p.X.Log {
		first := math.Inf(1)
		for _, c := range p.Curves {
			if p.look(c).rank < 0 {
				continue
			}
			start := p.ys.share(p.Y, c.Y[0])
			for k, v := range c.Y {
				if math.Abs(p.ys.share(p.Y, v)-start) > 0.05 {
					first = min(first, c.X[k])
					break
				}
			}
		}
		if begin := math.Pow(10, math.Floor(math.Log10(first/3))); begin > p.xs.lo && begin < p.xs.hi {
			p.xs.lo = begin
			p.ys = p.heights(begin)
		}
		p.xs = p.xs.stretch(p.X, 0, 0)
	} else if p.X.Zero {
		p.xs.add(0)
		p.xs = p.xs.stretch(p.X, 0, 0)
	} else {
		p.xs = p.xs.stretch(p.X, 0.03, 0.03)
	}
}

// heights is the range of values from a place on.
func (p *Panel) heights(from float64) extent {
	e, start := nothing, nothing
	for _, c := range p.Curves {
		start.add(c.Y[0])
		for k, v := range c.Y {
			if c.X[k] >= from || k == len(c.Y)-1 || c.X[k+1] >= from {
				e.add(v)
			}
		}
	}
	if p.Y.Log {
		e.hi = min(e.hi, tops*start.hi)
		if p.Y.Least > 0 && p.Y.Least < e.hi && p.Y.Least > e.lo {
			e.lo = p.Y.Least
			return e.stretch(p.Y, 0, 0.04)
		}
	}
	if p.Y.Zero {
		e.add(0)
	}
	return e.stretch(p.Y, 0.04, 0.04)
}

// share gives panels of the same quantity the same vertical range.
func share(panels []Panel) {
	common := map[Axis]extent{}
	for i := range panels {
		p := &panels[i]
		p.measure()
		e, ok := common[p.Y]
		if !ok {
			e = nothing
		}
		if len(p.Curves) > 0 {
			e.add(p.ys.lo)
			e.add(p.ys.hi)
			common[p.Y] = e
		}
	}
	for i := range panels {
		if e, ok := common[panels[i].Y]; ok {
			panels[i].ys = e
		}
	}
}

// ticker makes about n ticks.
type ticker struct {
	Axis
	n int
}

// apart is a ticker of as many ticks as a horizontal axis of that length has room for.
func apart(a Axis, e extent, length vg.Length) ticker {
	const between = 6
	f := style(nil, textSize, false, 0, 0).Font
	for n := int(length / 40); n > 1; n-- {
		t, end, touch := ticker{a, n}, math.Inf(-1), false
		for _, tick := range t.Ticks(e.lo, e.hi) {
			width, _, _ := handler.Box(tick.Label, f)
			middle, half := e.share(a, tick.Value)*float64(length), float64(width*slack/2)
			touch = touch || middle-half < end+between
			end = middle + half
		}
		if !touch {
			return t
		}
	}
	return ticker{a, 1}
}

// Ticks are powers of ten on logarithmic axes, with steps between them where there are fewer than two, and round values
// with equal decimals on linear ones.
func (t ticker) Ticks(lo, hi float64) []plot.Tick {
	if !t.Log {
		return t.even(lo, hi)
	}
	first, last := int(math.Ceil(math.Log10(lo)-1e-9)), int(math.Floor(math.Log10(hi)+1e-9))
	steps, every := []float64{1}, max(1, (last-first+t.n)/t.n)
	if last-first < 1 {
		steps = []float64{1, 2, 5}
		first--
	}
	var list []plot.Tick
	for e := first; e <= last; e++ {
		for _, m := range steps {
			v, _ := strconv.ParseFloat(fmt.Sprintf("%ge%d", m, e), 64) // exactly
			if e%every == 0 && v >= lo*(1-1e-9) && v <= hi*(1+1e-9) {
				list = append(list, plot.Tick{Value: min(max(v, lo), hi), Label: t.power(m, e)})
			}
		}
	}
	if len(list) < 2 {
		return t.even(lo, hi)
	}
	return list
}

// units of time, by their power of ten.
var units = map[int]string{0: "s", -3: "ms", -6: "µs", -9: "ns"}

// power writes m times ten to the e.
func (t ticker) power(m float64, e int) string {
	if t.Seconds {
		unit := 0
		for unit > -9 && e < unit {
			unit -= 3
		}
		return Fixed(m*math.Pow(10, float64(e-unit)), 0) + " " + units[unit]
	}
	switch {
	case m != 1 || e == 0 || e == 1:
		return Fixed(m*math.Pow(10, float64(e)), max(-e, 0))
	default:
		return "10" + Superscript(strconv.Itoa(e))
	}
}

// even are ticks at equal distances.
func (t ticker) even(lo, hi float64) []plot.Tick {
	raw := (hi - lo) / float64(max(t.n, 1))
	decade := int(math.Floor(math.Log10(raw) + 1e-9))
	step := math.Pow(10, float64(decade))
	for _, m := range []float64{1, 2, 5, 10} {
		if raw <= m*step*(1+1e-9) {
			step *= m
			break
		}
	}
	decade = int(math.Floor(math.Log10(step) + 1e-9))
	scale := 0
	if largest := max(math.Abs(lo), math.Abs(hi)); largest >= 1e7 || largest < 1e-4 {
		scale = int(math.Floor(math.Log10(largest)))
	}
	var list []plot.Tick
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+1e-9*step && len(list) < 100; i++ {
		label := Fixed(i*step/math.Pow(10, float64(scale)), max(scale-decade, 0))
		switch {
		case i == 0:
			label = "0"
		case scale != 0:
			label += "·10" + Superscript(strconv.Itoa(scale))
		}
		if t.Seconds {
			label += " s"
		}
		list = append(list, plot.Tick{Value: i * step, Label: label})
	}
	return list
}

// Fixed is v with so many decimals, commas between thousands, and a minus that is as wide as a plus.
func Fixed(v float64, decimals int) string {
	whole, rest, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'f', decimals, 64), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	if v < 0 && strings.Trim(whole, "0.") != "" {
		return "−" + whole
	}
	return whole
}
