package bilevel

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// variables is one of everything that State carries.
type variables struct {
	U     uint64
	I64   int64
	I     int
	B     bool
	F     float64
	S     []float64
	Texts []string
	Fixed [3]float64
	src   *rand.PCG

	Index, Count int
	Count64      int64
	Counts       Counts
	Order        []int32
}

func (v *variables) state(s *State) {
	s.Uint64(&v.U)
	s.Int64(&v.I64)
	s.Int(&v.I)
	s.Bool(&v.B)
	s.Float(&v.F)
	s.Floats(&v.S)
	s.Strings(&v.Texts)
	s.Fixed(v.Fixed[:1], v.Fixed[1:])
	s.Binary(v.src)
	s.Index(&v.Index, 9)
	s.Count(&v.Count)
	s.Count64(&v.Count64)
	s.Counts(&v.Counts)
	s.Permutation(v.Order)
}

func drawVariables(t *rapid.T) *variables {
	bits := rapid.Custom(func(t *rapid.T) float64 { return math.Float64frombits(rapid.Uint64().Draw(t, "bits")) })
	v := &variables{
		U: rapid.Uint64().Draw(t, "u"), I64: rapid.Int64().Draw(t, "i64"), I: rapid.Int().Draw(t, "i"),
		B: rapid.Bool().Draw(t, "b"),
		F: bits.Draw(t, "f"), S: rapid.SliceOfN(bits, 0, 9).Draw(t, "s"),
		Texts: rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "texts"), src: rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2),
	}
	for i := range v.Fixed {
		v.Fixed[i] = bits.Draw(t, "fixed")
	}
	many := rapid.Int64Range(0, maxCount)
	v.Index, v.Count, v.Count64 = rapid.IntRange(0, 8).Draw(t, "index"), int(many.Draw(t, "count")),
		many.Draw(t, "count64")
	v.Counts = Counts{ValueF: many.Draw(t, "values"), CrossG: many.Draw(t, "products")}
	v.Order = rapid.Permutation([]int32{0, 1, 2, 3, 4}).Draw(t, "order")
	return v
}

// bits is v with floats as bit patterns, so that NaN equals itself, and nil for empty slices.
func (v *variables) bits() string {
	var b strings.Builder
	fmt.Fprint(&b, v.U, v.I64, v.I, v.B, math.Float64bits(v.F), len(v.Texts), v.Index, v.Count, v.Count64, v.Counts,
		v.Order)
	for _, t := range v.Texts {
		fmt.Fprintf(&b, "%q", t)
	}
	for _, f := range append(append([]float64{}, v.S...), v.Fixed[:]...) {
		fmt.Fprint(&b, " ", math.Float64bits(f))
	}
	src, err := v.src.MarshalBinary()
	fmt.Fprint(&b, src, err)
	return b.String()
}

func TestStateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawVariables(t)
		save := &State{}
		if save.Loading() {
			t.Fatal("a fresh State is loading")
		}
		want.state(save)
		got := drawVariables(t) // overwritten
		load := &State{buf: append([]byte(nil), save.buf...), loading: true}
		got.state(load)
		if load.err != nil || len(load.buf) != 0 {
			t.Fatalf("%v, %d bytes left", load.err, len(load.buf))
		}
		if got.bits() != want.bits() {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
		// Cut off anywhere, it is an error and not a panic.
		cut := rapid.IntRange(0, len(save.buf)-1).Draw(t, "cut")
		short := &State{buf: append([]byte(nil), save.buf[:cut]...), loading: true}
		got.state(short)
		if short.err == nil {
			t.Fatalf("%d of %d bytes: no error", cut, len(save.buf))
		}
		// Any bytes whatever.
		junk := &State{buf: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "junk"), loading: true}
		got.state(junk)
	})
}

func TestStateKeepsNil(t *testing.T) {
	var f []float64
	var s []string
	all := func(st *State) { st.Floats(&f); st.Strings(&s) }
	save := &State{}
	all(save)
	all(&State{buf: save.buf, loading: true})
	if f != nil || s != nil {
		t.Errorf("nil slices came back as %#v, %#v", f, s)
	}
}

func TestStateFloatsInPlace(t *testing.T) {
	a := []float64{1, 2}
	save := &State{}
	save.Floats(&a)
	b := []float64{0, 0}
	alias := b
	(&State{buf: save.buf, loading: true}).Floats(&b)
	if alias[1] != 2 {
		t.Error("a slice of the saved length is replaced")
	}
}

type failing struct{ marshal, unmarshal error }

func (f failing) MarshalBinary() ([]byte, error) { return []byte("x"), f.marshal }
func (f failing) UnmarshalBinary([]byte) error   { return f.unmarshal }

func TestStateErrors(t *testing.T) {
	save := &State{}
	save.Fixed([]float64{1, 2, 3})
	load := &State{buf: save.buf, loading: true}
	load.Fixed([]float64{1, 2})
	if load.err == nil || !strings.Contains(load.err.Error(), "length 3 where this run has 2") {
		t.Errorf("Fixed of another length: %v", load.err)
	}
	first := load.err
	load.Fail(errors.New("second"))
	if load.err != first {
		t.Error("Fail replaces the first error")
	}
	// After an error, nothing is set.
	u, f, n := uint64(7), []float64{7}, 7
	txt := []string{"seven"}
	load.Uint64(&u)
	load.Floats(&f)
	load.Int(&n)
	load.Count(&n)
	load.Strings(&txt)
	load.Binary(failing{})
	if u != 7 || f[0] != 7 || n != 7 || txt[0] != "seven" {
		t.Error("variables are set after an error")
	}

	bad := errors.New("bad")
	s := &State{}
	s.Binary(failing{marshal: bad})
	if s.err != bad {
		t.Errorf("MarshalBinary fails: %v", s.err)
	}
	s = &State{}
	s.Binary(failing{})
	l := &State{buf: s.buf, loading: true}
	l.Binary(failing{unmarshal: bad})
	if l.err != bad {
		t.Errorf("UnmarshalBinary fails: %v", l.err)
	}
	// A length that nothing can follow does not allocate.
	var huge State
	k := math.MaxInt
	huge.Int(&k)
	l = &State{buf: huge.buf, loading: true}
	var out []float64
	l.Floats(&out)
	if l.err == nil || out != nil {
		t.Error("an absurd length is accepted")
	}
}

// TestStateRanges: what is out of range is an error, and the variable stays as it was.
func TestStateRanges(t *testing.T) {
	words := func(n ...int64) *State {
		s := &State{}
		for _, v := range n {
			s.Int64(&v)
		}
		return &State{buf: s.buf, loading: true}
	}
	for _, n := range []int64{0, 3} {
		i := 7
		s := words(n)
		if s.Index(&i, 4); s.err != nil || i != int(n) {
			t.Errorf("index %d of 4: %d, %v", n, i, s.err)
		}
	}
	for _, n := range []int64{4, -1, math.MinInt64, math.MaxInt64} {
		i := 2
		s := words(n)
		if s.Index(&i, 4); s.err == nil || i != 2 || !strings.Contains(s.err.Error(), fmt.Sprintf("%d where 0 … 3", n)) {
			t.Errorf("index %d of 4: %d, %v", n, i, s.err)
		}
	}
	for n, ok := range map[int64]bool{0: true, maxCount: true, maxCount + 1: false, -1: false, math.MaxInt64: false} {
		i, i64 := 7, int64(7)
		s, s64 := words(n), words(n)
		s.Count(&i)
		s64.Count64(&i64)
		if (s.err == nil) != ok || (s64.err == nil) != ok || (int64(i) == n) != ok || (i64 == n) != ok {
			t.Errorf("count %d: %d, %v and %d, %v", n, i, s.err, i64, s64.err)
		}
		counts := words(0, 0, 0, 0, 0, n)
		var c Counts
		if counts.Counts(&c); (counts.err == nil) != ok || c.Total() < 0 {
			t.Errorf("count %d: %v, %v", n, c, counts.err)
		}
	}
	p := []int32{0, 1, 2}
	good := words(2, 0, 1)
	if good.Permutation(p); good.err != nil || !reflect.DeepEqual(p, []int32{2, 0, 1}) {
		t.Errorf("%v, %v", p, good.err)
	}
	for _, bad := range [][]int64{{2, 0, 3}, {2, 0, 2}, {-1, 0, 1}, {0, 1}, {1 << 32, 1, 2}} {
		s := words(bad...)
		if s.Permutation(p); s.err == nil {
			t.Errorf("%v passes for a permutation", bad)
		}
	}
}

type inner struct{ K int }

type config struct {
	Step   float64
	Solver any
	P      *inner
	Clip   func()
	Names  map[string]int
	List   []*inner
}

func TestDescribe(t *testing.T) {
	text := func(v any) string {
		var b strings.Builder
		describe(&b, reflect.ValueOf(v), 0)
		return b.String()
	}
	make := func(k int) config {
		return config{Step: 0.5, Solver: &inner{k}, P: &inner{2}, Clip: func() {}, Names: map[string]int{"b": 1, "a": 2},
			List: []*inner{{3}, nil}}
	}
	want := "bilevel.config{Step:0.5 Solver:&bilevel.inner{K:1} P:&bilevel.inner{K:2} Clip:func Names:map[a:2 b:1] " +
		"List:[&bilevel.inner{K:3} nil]}"
	if got := text(make(1)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if text(make(1)) == text(make(2)) {
		t.Error("a change behind a pointer in an interface does not show")
	}
	if got := text(config{}); got != "bilevel.config{Step:0 Solver:nil P:nil Clip:nil Names:map[] List:[]}" {
		t.Errorf("zero value: %s", got)
	}
	type node struct{ Next *node }
	loop := &node{}
	loop.Next = loop
	if got := text(loop); !strings.Contains(got, "…") {
		t.Errorf("a cycle: %s", got)
	}
}
