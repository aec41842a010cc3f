package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An isa is a vector width and the idioms that differ with it. Instructions
// with the same name for both widths are used directly.
type isa struct {
	name string
	w    int  // lanes
	evex bool // AVX-512 instructions, of any width
}

var (
	avx2   = &isa{"AVX2", 4, false}
	avx512 = &isa{"AVX512", 8, true}
)

// lanes returns s with another width.
func (s *isa) lanes(w int) *isa { return &isa{s.name, w, s.evex} }

// bytes of a vector
func (s *isa) bytes() int { return 8 * s.w }

func (s *isa) reg() reg.VecVirtual {
	switch s.w {
	case 8:
		return ZMM()
	case 4:
		return YMM()
	}
	return XMM()
}

// as returns the part of v that s works on.
func (s *isa) as(v V) reg.Register {
	switch s.w {
	case 8:
		return v.AsZ()
	case 4:
		return v.AsY()
	}
	return v.AsX()
}

func (s *isa) regs(n int) []V {
	r := make([]V, n)
	for i := range r {
		r[i] = s.reg()
	}
	return r
}

func (s *isa) zeros(n int) []V {
	r := s.regs(n)
	for _, v := range r {
		VXORPD(v, v, v)
	}
	return r
}

type (
	V  = reg.VecVirtual
	GP = reg.GPVirtual
)

var constants = map[string]Mem{}

// bits returns the constant with the given bit pattern, repeated as often as
// the memory operands of s need: AVX-512 instructions broadcast one element.
func (s *isa) bits(b uint64) Mem {
	n := 1
	if !s.evex {
		n = s.w
	}
	name := fmt.Sprintf("k%dx%016x", n, b)
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, 8|16)
	for i := range n {
		DATA(8*i, U64(b))
	}
	constants[name] = m
	return m
}

func (s *isa) f64(v float64) Mem { return s.bits(math.Float64bits(v)) }

// set broadcasts the constant v to dst.
func (s *isa) set(v float64, dst V) V {
	VBROADCASTSD(s.f64(v), dst)
	return dst
}

// pick calls the form of an instruction that takes a constant.
func (s *isa) pick(bcst, full func(ops ...Op), ops ...Op) {
	if s.evex {
		bcst(ops...)
	} else {
		full(ops...)
	}
}

// mulC sets dst = c x.
func (s *isa) mulC(c float64, x, dst V) {
	s.pick(VMULPD_BCST, VMULPD, s.f64(c), x, dst)
}

// addC sets dst = c + x.
func (s *isa) addC(c float64, x, dst V) {
	s.pick(VADDPD_BCST, VADDPD, s.f64(c), x, dst)
}

// fmaC sets x = x y + c.
func (s *isa) fmaC(c float64, y, x V) {
	s.pick(VFMADD213PD_BCST, VFMADD213PD, s.f64(c), y, x)
}

// fnmaC sets x -= c y.
func (s *isa) fnmaC(c float64, y, x V) {
	s.pick(VFNMADD231PD_BCST, VFNMADD231PD, s.f64(c), y, x)
}

const signBit = 1 << 63

// orSign sets dst = -|x|, xorSign dst = -x.
func (s *isa) orSign(x, dst V)  { s.pick(VORPD_BCST, VORPD, s.bits(signBit), x, dst) }
func (s *isa) xorSign(x, dst V) { s.pick(VXORPD_BCST, VXORPD, s.bits(signBit), x, dst) }

// A tail stands for the first rem lanes of a vector. Loads and stores move it
// in pieces of half the width, a quarter and so on: processors forward stores
// to loads of the same shape, but not masked stores, and the next kernel often
// reads what this one wrote. With a mask, loads go through it.
type tail struct {
	rem  GP
	full bool // rem may be the whole vector
	*mask
}

type mask struct {
	k reg.OpmaskVirtual
	v V
}

func short(rem GP) *tail { return &tail{rem: rem} }

func shortOrFull(rem GP) *tail { return &tail{rem: rem, full: true} }

var tailTable *Mem

// masked returns a tail of rem lanes with a mask. It keeps rem.
func (s *isa) masked(rem GP) *tail {
	if s.evex {
		m, k := GP64(), K()
		MOVQ(I32(-1), m)
		BZHIQ(rem, m, m)
		KMOVW(m.As32(), k)
		return &tail{rem: rem, mask: &mask{k: k}}
	}
	if tailTable == nil {
		m := GLOBL("tails", 8|16)
		for i := range 2 * s.w {
			b := ^uint64(0)
			if i >= s.w {
				b = 0
			}
			DATA(8*i, U64(b))
		}
		tailTable = &m
	}
	p, off := GP64(), copyOf(rem)
	LEAQ(tailTable.Offset(8*s.w), p)
	SHLQ(Imm(3), off)
	SUBQ(off, p)
	v := YMM()
	VMOVUPD(Mem{Base: p}, v)
	return &tail{rem: rem, mask: &mask{v: v}}
}

// load and store move a vector, with a tail only its lanes: the others are
// zero after a load and untouched by a store.
func (s *isa) load(m Mem, t *tail) V {
	v := s.reg()
	switch {
	case t == nil && s.w == 1:
		VMOVSD(m, v)
	case t == nil:
		VMOVUPD(m, v)
	case t.mask == nil:
		s.ifShort(t, func() { VMOVUPD(m, v) }, func() { s.loadPieces(m, t.rem, v) })
	case s.evex:
		VMOVUPD_Z(m, t.k, v)
	default:
		VMASKMOVPD(m, t.v, v)
	}
	return v
}

func (s *isa) store(v V, m Mem, t *tail) {
	switch {
	case t == nil && s.w == 1:
		VMOVSD(v, m)
	case t == nil:
		VMOVUPD(v, m)
	default:
		s.ifShort(t, func() { VMOVUPD(v, m) }, func() { s.storePieces(v, m, t.rem) })
	}
}

// ifShort runs part, or full if the tail is the whole vector.
func (s *isa) ifShort(t *tail, full, part func()) {
	if !t.full {
		part()
		return
	}
	whole, end := label("whole"), label("end")
	CMPQ(t.rem, imm(s.w))
	JE(LabelRef(whole))
	part()
	JMP(LabelRef(end))
	Label(whole)
	full()
	Label(end)
}

// loadPieces loads the last piece first and moves it up before the next.
func (s *isa) loadPieces(m Mem, rem GP, v V) {
	p, off := GP64(), GP64()
	LEAQ(m, p)
	VXORPD(v, v, v)
	for w := 1; w < s.w; w *= 2 {
		skip := label("skip")
		TESTQ(U32(uint32(w)), rem)
		JE(LabelRef(skip))
		at := Mem{Base: p}
		if rest := s.w - 2*w; rest > 0 {
			MOVQ(rem, off)
			ANDQ(imm(rest), off)
			at.Index, at.Scale = off, 8
		}
		switch w {
		case 1:
			VMOVSD(at, v.AsX())
		case 2:
			y := YMM()
			if s.evex {
				VBROADCASTF64X2(at, y)
				VINSERTF64X2(Imm(1), v.AsX(), y, v.AsY())
			} else {
				VBROADCASTF128(at, y)
				VINSERTF128(Imm(1), v.AsX(), y, v)
			}
		case 4:
			z := ZMM()
			VBROADCASTF64X4(at, z)
			VINSERTF64X4(Imm(1), v.AsY(), z, v)
		}
		Label(skip)
	}
}

// storePieces stores the first piece first and moves the rest down.
func (s *isa) storePieces(v V, m Mem, rem GP) {
	p, u := GP64(), s.reg()
	LEAQ(m, p)
	VMOVAPD(v, u)
	for w := s.w / 2; w > 0; w /= 2 {
		skip := label("skip")
		TESTQ(U32(uint32(w)), rem)
		JE(LabelRef(skip))
		at := Mem{Base: p}
		switch w {
		case 1:
			VMOVSD(u.AsX(), at)
		case 2:
			VMOVUPD(u.AsX(), at)
			if s.evex {
				VEXTRACTF64X2(Imm(1), u.AsY(), u.AsX())
			} else {
				VEXTRACTF128(Imm(1), u, u.AsX())
			}
		case 4:
			VMOVUPD(u.AsY(), at)
			VEXTRACTF64X4(Imm(1), u, u.AsY())
		}
		if w > 1 {
			ADDQ(imm(8*w), p)
		}
		Label(skip)
	}
}

// keep zeroes the lanes of v outside the mask.
func (s *isa) keep(v V, m *mask) {
	if s.evex {
		VMOVAPD_Z(v, m.k, v)
	} else {
		VANDPD(m.v, v, v)
	}
}

// half returns four lanes with the sum of v.
func (s *isa) half(v V) V {
	if s.w == 4 {
		return v
	}
	t := YMM()
	VEXTRACTF64X4(Imm(1), v, t)
	VADDPD(v.AsY(), t, t)
	return t
}

// sum adds the lanes of v into all lanes.
func (s *isa) sum(v V) {
	t := s.reg()
	if s.w == 8 {
		VSHUFF64X2(Imm(0x4e), v, v, t)
		VADDPD(t, v, v)
		VSHUFF64X2(Imm(0xb1), v, v, t)
	} else if s.evex {
		VSHUFF64X2(Imm(1), v, v, t)
	} else {
		VPERM2F128(Imm(1), v, v, t)
	}
	VADDPD(t, v, v)
	VPERMILPD(Imm(s.low(0x55)), v, t)
	VADDPD(t, v, v)
}

// low keeps the bits of an immediate with one bit per lane.
func (s *isa) low(imm uint64) uint64 { return imm & (1<<s.w - 1) }

// sums adds the lanes of each of w vectors: lane r of the result is the sum of
// v[r].
func (s *isa) sums(v []V) V {
	var pairs []V // lanes of v[2i] and v[2i+1] alternate
	for i := 0; i < len(v); i += 2 {
		a, b := s.reg(), s.reg()
		VUNPCKLPD(v[i+1], v[i], a)
		VUNPCKHPD(v[i+1], v[i], b)
		VADDPD(b, a, a)
		pairs = append(pairs, a)
	}
	fold := func(x, y V) V {
		a, b := s.reg(), s.reg()
		if s.w == 8 {
			VSHUFF64X2(Imm(0x88), y, x, a)
			VSHUFF64X2(Imm(0xdd), y, x, b)
		} else if s.evex {
			VSHUFF64X2(Imm(0), y, x, a)
			VSHUFF64X2(Imm(3), y, x, b)
		} else {
			VPERM2F128(Imm(0x20), y, x, a)
			VPERM2F128(Imm(0x31), y, x, b)
		}
		VADDPD(b, a, a)
		return a
	}
	for len(pairs) > 1 {
		for i := range len(pairs) / 2 {
			pairs[i] = fold(pairs[2*i], pairs[2*i+1])
		}
		pairs = pairs[:len(pairs)/2]
	}
	return pairs[0]
}

var labels int

// label returns a fresh label name.
func label(name string) string {
	labels++
	return fmt.Sprintf("%s%d", name, labels)
}

// loopLabel starts an inner loop at a multiple of 64 bytes, so that its speed
// does not depend on where the linker puts the kernel.
func loopLabel(name string) {
	Instruction(&ir.Instruction{Opcode: "PCALIGN", Operands: []Op{Imm(64)}})
	Label(name)
}

// imm returns an immediate of an arithmetic instruction.
func imm(v int) Op {
	if v < 128 {
		return Imm(uint64(v))
	}
	return U32(uint32(v))
}

func param(name string) GP { return Load(Param(name), GP64()).(GP) }

func paramAddr(name string) Mem {
	c, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return c.Addr
}

// bcastParam broadcasts a float64 parameter.
func (s *isa) bcastParam(name string) V {
	v := s.reg()
	VBROADCASTSD(paramAddr(name), v)
	return v
}

// loop runs body over n elements, full vectors first and then a tail. Body
// addresses element i of an array at base as at(base) and passes the tail to
// load and store. It overwrites n.
func (s *isa) loop(n GP, body func(at func(base GP) Mem, t *tail)) {
	s.fullLoop(n, func(at func(GP) Mem) { body(at, nil) }, func(at func(GP) Mem, _ GP) { body(at, short(n)) })
}

// narrow is loop for bodies so short that they are repeated for narrower
// vectors rather than put up with tails.
func (s *isa) narrow(n GP, body func(s *isa, at func(base GP) Mem)) {
	s.fullLoop(n, func(at func(GP) Mem) { body(s, at) }, func(at func(GP) Mem, i GP) {
		for w := s.w / 2; w > 0; w /= 2 {
			skip := label("skip")
			TESTQ(U32(uint32(w)), n)
			JE(LabelRef(skip))
			body(s.lanes(w), at)
			ADDQ(imm(w), i)
			Label(skip)
		}
	})
}

// fullLoop runs full while whole vectors are left, then rest if elements are,
// with their number in n.
func (s *isa) fullLoop(n GP, full func(at func(GP) Mem), rest func(at func(GP) Mem, i GP)) {
	i := GP64()
	XORQ(i, i)
	at := func(base GP) Mem { return Mem{Base: base, Index: i, Scale: 8} }
	top, last, end := label("full"), label("rest"), label("end")
	SUBQ(imm(s.w), n)
	JL(LabelRef(last))
	loopLabel(top)
	full(at)
	ADDQ(imm(s.w), i)
	SUBQ(imm(s.w), n)
	JGE(LabelRef(top))
	Label(last)
	ADDQ(imm(s.w), n)
	JE(LabelRef(end))
	rest(at, i)
	Label(end)
}

// text starts a function of the tier.
func (s *isa) text(name, signature string) {
	TEXT(name+s.name, NOSPLIT, "func"+signature)
	Pragma("noescape")
}

func ret() {
	VZEROUPPER()
	RET()
}
