package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func (s *isa) axpy() {
	s.text("axpy", "(y, x *float64, n int, a float64)")
	y, x, n, a := param("y"), param("x"), param("n"), s.bcastParam("a")
	s.narrow(n, func(s *isa, at func(GP) Mem) {
		v, u := s.load(at(x), nil), s.load(at(y), nil)
		VFMADD231PD(v, s.as(a), u)
		s.store(u, at(y), nil)
	})
	ret()
}

func (s *isa) axpby() {
	s.text("axpby", "(y, x *float64, n int, a, b float64)")
	y, x, n, a, b := param("y"), param("x"), param("n"), s.bcastParam("a"), s.bcastParam("b")
	set := label("set")
	CMPQ(paramAddr("b"), Imm(0))
	JE(LabelRef(set))
	s.narrow(n, func(s *isa, at func(GP) Mem) {
		v, u := s.load(at(x), nil), s.load(at(y), nil)
		VMULPD(s.as(a), v, v)
		VFMADD231PD(u, s.as(b), v)
		s.store(v, at(y), nil)
	})
	ret()
	Label(set)
	s.narrow(n, func(s *isa, at func(GP) Mem) {
		v := s.load(at(x), nil)
		VMULPD(s.as(a), v, v)
		s.store(v, at(y), nil)
	})
	ret()
}

func (s *isa) axpy2() {
	s.text("axpy2", "(y, x1, x2 *float64, n int, a float64)")
	y, x1, x2, n, a := param("y"), param("x1"), param("x2"), param("n"), s.bcastParam("a")
	s.narrow(n, func(s *isa, at func(GP) Mem) {
		v, w, u := s.load(at(x1), nil), s.load(at(x2), nil), s.load(at(y), nil)
		VADDPD(w, v, v)
		VFMADD231PD(v, s.as(a), u)
		s.store(u, at(y), nil)
	})
	ret()
}

func (s *isa) scale() {
	s.text("scale", "(x *float64, n int, a float64)")
	x, n, a := param("x"), param("n"), s.bcastParam("a")
	s.narrow(n, func(s *isa, at func(GP) Mem) {
		v := s.load(at(x), nil)
		VMULPD(s.as(a), v, v)
		s.store(v, at(x), nil)
	})
	ret()
}

func (s *isa) sagaStep() {
	s.text("sagaStep", "(y, avg, delta *float64, n int, rho, c, w, keep float64)")
	y, avg, delta, n := param("y"), param("avg"), param("delta"), param("n")
	rho, c, w, keep := s.bcastParam("rho"), s.bcastParam("c"), s.bcastParam("w"), s.bcastParam("keep")
	s.narrow(n, func(s *isa, at func(GP) Mem) {
		v, g, u := s.load(at(delta), nil), s.load(at(avg), nil), s.load(at(y), nil)
		h := s.reg()
		VMOVAPD(g, h)
		VFMADD231PD(v, s.as(c), h)
		VFMADD231PD(v, s.as(w), g)
		VMULPD(s.as(keep), u, u)
		VFNMADD231PD(h, s.as(rho), u)
		s.store(g, at(avg), nil)
		s.store(u, at(y), nil)
	})
	ret()
}

func (s *isa) swapDiff() {
	s.text("swapDiff", "(mem, next *float64, n int)")
	mem, next, n := param("mem"), param("next"), param("n")
	s.narrow(n, func(s *isa, at func(GP) Mem) {
		u, v := s.load(at(mem), nil), s.load(at(next), nil)
		VSUBPD(u, v, u)
		s.store(v, at(mem), nil)
		s.store(u, at(next), nil)
	})
	ret()
}

// dot returns the accumulated lanes of x·z and, if v is given, x·v, for n
// elements: four chains while they last. It overwrites n.
func (s *isa) dot(n, x GP, zs ...GP) []V {
	const chains = 4
	acc := s.zeros(chains * len(zs))
	i := GP64()
	XORQ(i, i)
	term := func(chain int, disp int, t *tail) {
		at := func(p GP) Mem { return Mem{Base: p, Index: i, Scale: 8, Disp: disp} }
		if t == nil && len(zs) == 1 {
			VFMADD231PD(at(zs[0]), s.load(at(x), nil), acc[chain])
			return
		}
		row := s.load(at(x), t)
		for q, z := range zs {
			VFMADD231PD(s.load(at(z), t), row, acc[chain*len(zs)+q])
		}
	}
	many, one, top, rest, end := label("many"), label("one"), label("top"), label("rest"), label("end")
	SUBQ(imm(chains*s.w), n)
	JL(LabelRef(one))
	Label(many)
	for c := range chains {
		term(c, c*s.bytes(), nil)
	}
	ADDQ(imm(chains*s.w), i)
	SUBQ(imm(chains*s.w), n)
	JGE(LabelRef(many))
	Label(one)
	ADDQ(imm((chains-1)*s.w), n)
	JL(LabelRef(rest))
	Label(top)
	term(0, 0, nil)
	ADDQ(imm(s.w), i)
	SUBQ(imm(s.w), n)
	JGE(LabelRef(top))
	Label(rest)
	ADDQ(imm(s.w), n)
	JE(LabelRef(end))
	term(1, 0, s.masked(n))
	Label(end)
	m := len(zs)
	for q := range m {
		VADDPD(acc[m+q], acc[q], acc[q])
		VADDPD(acc[3*m+q], acc[2*m+q], acc[2*m+q])
		VADDPD(acc[2*m+q], acc[q], acc[q])
		s.sum(acc[q])
	}
	return acc[:m]
}

func (s *isa) dotProduct() {
	s.text("dot", "(x, y *float64, n int) float64")
	r := s.dot(param("n"), param("x"), param("y"))
	Store(r[0].AsX(), ReturnIndex(0))
	ret()
}

func (s *isa) elementwise() {
	unary := func(name string, f func(x V) V) {
		s.text(name, "(dst, x *float64, n int)")
		dst, x, n := param("dst"), param("x"), param("n")
		s.loop(n, func(at func(GP) Mem, t *tail) {
			s.store(f(s.load(at(x), t)), at(dst), t)
		})
		ret()
	}
	unary("exp", func(x V) V { return s.exp(x, anywhere) })
	unary("log1p", s.log1p)
	unary("sigmoid", func(x V) V {
		// e^-|x| / (1 + e^-|x|) on the left, 1 / (1 + e^-|x|) on the right.
		e, d, num := s.reg(), s.reg(), s.set(1, s.reg())
		s.orSign(x, e)
		e = s.exp(e, anywhere)
		s.addC(1, e, d)
		s.pickSign(x, e, num)
		VDIVPD(d, num, num)
		return num
	})
	unary("softplus", func(x V) V {
		e, zero := s.reg(), s.zeros(1)[0]
		s.orSign(x, e)
		l := s.log1p01(s.exp(e, anywhere))
		VMAXPD(zero, x, x)
		VADDPD(x, l, l)
		return l
	})
}

func prefetch() {
	TEXT("prefetch", NOSPLIT, "func(p *float64, lines int)")
	Pragma("noescape")
	p, n := param("p"), param("lines")
	top := label("line")
	Label(top)
	PREFETCHT1(Mem{Base: p}) // two batches of 64 rows and more do not fit the first cache
	ADDQ(Imm(64), p)
	DECQ(n)
	JNE(LabelRef(top))
	RET()
}

func (s *isa) expRidge() {
	s.text("expRidge", "(dz, hv, cv, z, x, v *float64, n int, scale float64, add bool)")
	dz, hv, cv := param("dz"), param("hv"), param("cv")
	z, x, v, n := param("z"), param("x"), param("v"), param("n")
	scale := s.bcastParam("scale")
	add := Load(Param("add"), GP8())
	put := func(u V, p GP, m Mem, t *tail) {
		set := label("set")
		TESTB(add, add)
		JE(LabelRef(set))
		VADDPD(s.load(m, t), u, u)
		Label(set)
		s.store(u, m, t)
	}
	s.loop(n, func(at func(GP) Mem, t *tail) {
		e := s.ridgeExp(s.load(at(x), t))
		VMULPD(scale, e, e)
		ez := s.load(at(z), t)
		VMULPD(e, ez, ez)
		noV, noCV, noHV, noDZ := label("noV"), label("noCV"), label("noHV"), label("noDZ")
		TESTQ(v, v)
		JE(LabelRef(noV))
		vv := s.load(at(v), t)
		TESTQ(cv, cv)
		JE(LabelRef(noCV))
		u := s.reg()
		VMULPD(vv, ez, u)
		s.store(u, at(cv), t)
		Label(noCV)
		TESTQ(hv, hv)
		JE(LabelRef(noHV))
		VMULPD(e, vv, vv)
		put(vv, hv, at(hv), t)
		Label(noHV)
		Label(noV)
		TESTQ(dz, dz)
		JE(LabelRef(noDZ))
		put(ez, dz, at(dz), t)
		Label(noDZ)
	})
	ret()
}

// ridgeMax bounds the exponents of the regulariser, as in package kernel.
const ridgeMax = 709

// ridgeExp returns e^min(x, ridgeMax); x as second source keeps NaN.
func (s *isa) ridgeExp(x V) V {
	VMINPD(x, s.set(ridgeMax, s.reg()), x)
	return s.exp(x, negative)
}

func (s *isa) expRidgeValue() {
	s.text("expRidgeValue", "(z, x *float64, n int) float64")
	z, x, n := param("z"), param("x"), param("n")
	acc := s.zeros(1)[0]
	s.loop(n, func(at func(GP) Mem, t *tail) {
		e, u := s.ridgeExp(s.load(at(x), t)), s.load(at(z), t)
		VMULPD(u, e, e)
		VFMADD231PD(u, e, acc)
	})
	s.sum(acc)
	Store(acc.AsX(), ReturnIndex(0))
	ret()
}
