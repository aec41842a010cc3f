package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// classes runs body for each of the k ≥ 1 classes of the rows at the same place
// of every part of arrays whose classes are step bytes apart.
func classes(k, step GP, body func(), bases ...GP) {
	n, top := copyOf(k), label("class")
	Label(top)
	body()
	for _, b := range bases {
		ADDQ(step, b)
	}
	DECQ(n)
	JNE(LabelRef(top))
}

// softmax holds one vector of rows while it runs over their classes: for the
// largest score, the exponentials with their sum, and the quotients.
func (s *isa) softmax() {
	s.text("softmax", "(t *float64, k, m int)")
	t, k, m := param("t"), param("k"), param("m")
	step := copyOf(m)
	SHLQ(Imm(3), step)
	s.loop(m, func(at func(GP) Mem, tl *tail) {
		q := copyOf(t)
		top := s.load(at(q), tl)
		classes(k, step, func() { VMAXPD(s.load(at(q), tl), top, top) }, q)
		MOVQ(t, q)
		sum := s.zeros(1)[0]
		classes(k, step, func() {
			v := s.load(at(q), tl)
			VSUBPD(top, v, v)
			e := s.exp(v, negative)
			VADDPD(e, sum, sum)
			s.store(e, at(q), tl)
		}, q)
		inv := s.set(1, s.reg())
		VDIVPD(sum, inv, inv)
		MOVQ(t, q)
		classes(k, step, func() {
			v := s.load(at(q), tl)
			VMULPD(inv, v, v)
			s.store(v, at(q), tl)
		}, q)
	})
	ret()
}

func (s *isa) softmaxProduct() {
	s.text("softmaxProduct", "(s, p *float64, k, m int)")
	v, p, k, m := param("s"), param("p"), param("k"), param("m")
	step := copyOf(m)
	SHLQ(Imm(3), step)
	s.loop(m, func(at func(GP) Mem, tl *tail) {
		a, b := copyOf(v), copyOf(p)
		mean := s.zeros(1)[0]
		classes(k, step, func() { VFMADD231PD(s.load(at(a), tl), s.load(at(b), tl), mean) }, a, b)
		MOVQ(v, a)
		MOVQ(p, b)
		classes(k, step, func() {
			u := s.load(at(a), tl)
			VSUBPD(mean, u, u)
			VMULPD(s.load(at(b), tl), u, u)
			s.store(u, at(a), tl)
		}, a, b)
	})
	ret()
}
