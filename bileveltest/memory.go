package bileveltest

import (
	"fmt"
	"math"

	"github.com/bilevel-go/bilevel"
)

// guard is the number of sentinels on either side of a slice that an oracle sees.
const guard = 64

// sentinel is a NaN that no arithmetic makes by itself.
var sentinel = math.Float64frombits(0x7ff8_0bad_c0de_beef)

func isSentinel(v float64) bool { return math.Float64bits(v) == math.Float64bits(sentinel) }

// region is a slice v between guard zones. Its capacity reaches into the second one, so that an oracle that
// writes too much is found out instead of stopped.
type region struct{ buf, v []float64 }

// newRegion has n sentinels. The offset varies the alignment of v.
func newRegion(n, offset int) region {
	buf := fill(n+2*guard+offset, sentinel)
	return region{buf, buf[guard+offset : guard+offset+n]}
}

func (g region) intact() bool {
	at := len(g.buf) - guard - len(g.v)
	for i, v := range g.buf {
		if (i < at || i >= at+len(g.v)) && !isSentinel(v) {
			return false
		}
	}
	return true
}

// slot is a destination of an oracle.
type slot struct {
	name  string
	n     int
	lower int // > 0: the lower triangle of a matrix of this order; the rest is unspecified
}

// oracle is one call that an objective answers: any of its destinations may be nil. It returns a value, or 0.
type oracle struct {
	name string
	dst  func(b bilevel.Batch) []slot
	in   func(at point, b bilevel.Batch) [][]float64
	call func(dst, in [][]float64, b bilevel.Batch) float64
}

// answer is what an oracle gave: above a diagonal, zeros.
type answer struct {
	value float64
	dst   [][]float64
}

// ask calls o with sentinels in the destinations whose bits are set in mask, and nil for the others. It reports
// to r, where r is not nil, writes outside a destination or to an input, and parts not written.
func (o oracle) ask(r *report, mask uint, at point, b bilevel.Batch) answer {
	slots := o.dst(b)
	regions := make([]region, len(slots))
	dst := make([][]float64, len(slots))
	for i, s := range slots {
		if mask>>i&1 == 1 {
			regions[i] = newRegion(s.n, i%3)
			dst[i] = regions[i].v
		}
	}
	source := o.in(at, b)
	ins := make([]region, len(source))
	in := make([][]float64, len(source))
	for i, s := range source {
		if s != nil {
			ins[i] = newRegion(len(s), (i+1)%3)
			copy(ins[i].v, s)
			in[i] = ins[i].v
		}
	}
	a := answer{o.call(dst, in, b), dst}
	for i := range ins {
		if source[i] == nil || r == nil {
			continue
		}
		if !ins[i].intact() {
			r.errorf("%s over %v writes beside an input", o.name, b)
		}
		if k := firstDifferentBits(ins[i].v, source[i]); k >= 0 {
			r.errorf("%s over %v changes an input", o.name, b)
		}
	}
	for i, s := range slots {
		if dst[i] == nil {
			continue
		}
		if r != nil && !regions[i].intact() {
			r.errorf("%s over %v writes outside %s%s", o.name, b, s.name, maskText(slots, mask))
		}
		for k, v := range dst[i] {
			switch {
			case s.lower > 0 && k%s.lower > k/s.lower:
				dst[i][k] = 0
			case isSentinel(v) && r != nil && b.Len() > 0:
				r.errorf("%s over %v does not overwrite %s%s", o.name, b, s.name, maskText(slots, mask))
			}
		}
	}
	return a
}

// maskText says which destinations were asked for, unless all were.
func maskText(slots []slot, mask uint) string {
	if mask == 1<<len(slots)-1 {
		return ""
	}
	s := ""
	for i, slot := range slots {
		if mask>>i&1 == 0 {
			s += ", " + slot.name + " = nil"
		}
	}
	return " (with" + s[1:] + ")"
}

// sameBits reports the first difference between two answers, or "".
func (o oracle) sameBits(b bilevel.Batch, got, want answer) string {
	if math.Float64bits(got.value) != math.Float64bits(want.value) {
		return fmt.Sprintf("%s over %v: value %v, then %v", o.name, b, want.value, got.value)
	}
	for i, s := range o.dst(b) {
		if k := firstDifferentBits(got.dst[i], want.dst[i]); k >= 0 {
			return fmt.Sprintf("%s over %v: %s[%d] = %v, then %v", o.name, b, s.name, k, want.dst[i][k], got.dst[i][k])
		}
	}
	return ""
}

// firstDifferentBits is the first index at which a and b differ, or −1.
func firstDifferentBits(a, b []float64) int {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return i
		}
	}
	return -1
}

// firstApart is the first index at which a and b differ by more than tol times the largest entry, or −1.
func firstApart(a, b []float64, tol float64) int {
	scale := 0.0
	for i := range a {
		scale = max(scale, math.Abs(a[i]), math.Abs(b[i]))
	}
	for i := range a {
		if !(math.Abs(a[i]-b[i]) <= tol*scale) {
			return i
		}
	}
	return -1
}
