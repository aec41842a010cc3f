package main

import (
	"math"
	"math/big"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

const precision = 400

func newFloat(x float64) *big.Float { return big.NewFloat(x).SetPrec(precision) }

// interpolate returns the coefficients of the polynomial of the given degree
// through f at the Chebyshev nodes of [a, b]: within a small factor of the
// best uniform approximation.
func interpolate(f func(x *big.Float) *big.Float, a, b float64, degree int) []float64 {
	n := degree + 1
	x, d := make([]*big.Float, n), make([]*big.Float, n)
	for i := range n {
		x[i] = newFloat((a+b)/2 + (b-a)/2*math.Cos(math.Pi*(float64(i)+0.5)/float64(n)))
		d[i] = f(x[i])
	}
	for k := 1; k < n; k++ { // divided differences
		for i := n - 1; i >= k; i-- {
			num := newFloat(0).Sub(d[i], d[i-1])
			d[i] = num.Quo(num, newFloat(0).Sub(x[i], x[i-k]))
		}
	}
	p := make([]*big.Float, n)
	for i := range p {
		p[i] = newFloat(0)
	}
	for k := n - 1; k >= 0; k-- { // p = p (X - x_k) + d_k
		for i := n - 1; i >= 0; i-- {
			v := newFloat(0).Mul(p[i], x[k])
			v.Neg(v)
			if i > 0 {
				v.Add(v, p[i-1])
			}
			p[i] = v
		}
		p[0].Add(p[0], d[k])
	}
	c := make([]float64, n)
	for i := range c {
		c[i], _ = p[i].Float64()
	}
	return c
}

// expCoef approximates (e^r - 1 - r)/r² for |r| ≤ log(2)/2.
var expCoef = interpolate(func(r *big.Float) *big.Float {
	sum, term := newFloat(0), newFloat(0.5)
	for k := 3; k < 60; k++ {
		sum.Add(sum, term)
		term.Mul(term, r)
		term.Quo(term, newFloat(float64(k)))
	}
	return sum
}, -0.3466, 0.3466, 9)

// logCoef approximates (2 atanh(s)/s - 2)/w for w = s² ≤ 0.04.
var logCoef = interpolate(func(w *big.Float) *big.Float {
	sum, power := newFloat(0), newFloat(2)
	for k := 1; k < 120; k++ {
		sum.Add(sum, newFloat(0).Quo(power, newFloat(float64(2*k+1))))
		power.Mul(power, w)
	}
	return sum
}, 0, 0.04, 6)

// ln2Hi has 32 trailing zeros, so that its multiples by exponents are exact.
const (
	ln2Hi = 6.93147180369123816490e-01
	ln2Lo = 1.90821492927058770002e-10
)

// poly evaluates Σ c_i x^i given x and x²; even and odd coefficients go
// through separate chains.
func (s *isa) poly(c []float64, x, x2 V) V {
	chain := func(i int) V {
		p := s.set(c[i], s.reg())
		for i -= 2; i >= 0; i -= 2 {
			s.fmaC(c[i], x2, p)
		}
		return p
	}
	even, odd := chain((len(c)-1)&^1), chain((len(c)-2)|1)
	VFMADD213PD(even, x, odd)
	return odd
}

// The arguments exp has to expect.
type domain int

const (
	anywhere domain = iota
	negative        // ≤ 0, or at most ridgeMax: results below 2^-1022 may be flushed to 0
)

// exp returns e^x. With x = n log 2 + r, e^x = 2^n (1 + (r + r² q(r))); NaN and
// infinities come out right. It overwrites x.
func (s *isa) exp(x V, dom domain) V {
	n, r := s.reg(), x
	if s.evex {
		s.mulC(math.Log2E, x, n)
		VRNDSCALEPD(Imm(8), n, n)
		s.fnmaC(ln2Hi, n, r)
		s.fnmaC(ln2Lo, n, r)
		// Far outside the range r is noise or NaN; any bounded value will do,
		// for VSCALEFPD then sees n, which is huge, infinite or NaN.
		VRANGEPD_BCST(Imm(2), s.f64(0.5), r, r)
		p := s.expPoly(r)
		VSCALEFPD(n, p, p)
		return p
	}
	// The clamps take x as second source: it is the result if it is NaN.
	lo, magic := -746.0, 0x1.8p52
	if dom == negative {
		// The exponent field of 2^n is n + 1023: 0, and with it the result,
		// at the clamp.
		lo, magic = -709.4, magic+1023
	}
	c := s.set(lo, s.reg())
	VMAXPD(x, c, x)
	if dom == anywhere {
		VMINPD(x, s.set(710, c), x)
	}
	// n is rounded by adding a large number, whose low bits then hold n.
	t := s.set(magic, s.reg())
	VFMADD231PD(s.f64(math.Log2E), x, t)
	s.addC(-magic, t, n)
	s.fnmaC(ln2Hi, n, r)
	s.fnmaC(ln2Lo, n, r)
	p := s.expPoly(r)
	if dom == negative {
		VPSLLQ(Imm(52), t, t)
		VMULPD(t, p, p)
		return p
	}
	// 2^n in two factors, for gradual underflow and overflow.
	half := s.reg()
	VPSRAD(Imm(1), t, half)
	VPSUBD(half, t, t)
	for _, f := range []V{half, t} {
		VPADDQ(s.bits(1023), f, f)
		VPSLLQ(Imm(52), f, f)
		VMULPD(f, p, p)
	}
	return p
}

// expPoly returns e^r for |r| ≤ log(2)/2.
func (s *isa) expPoly(r V) V {
	r2 := s.reg()
	VMULPD(r, r, r2)
	q := s.poly(expCoef, r, r2)
	VFMADD213PD(r, r2, q)
	s.addC(1, q, q)
	return q
}

// halve returns f and the mask of the reduction 1+e = 2^k (1+f), k = 0 or 1,
// f in [-1/4, 1/2], for e in [0, 1].
func (s *isa) halve(e V) (f V, k *mask) {
	f = s.reg()
	h := s.reg()
	if s.evex {
		half := s.set(0.5, s.reg())
		m := K()
		VCMPPD(Imm(gt), half, e, m) // e > 1/2
		VFMSUB213PD(half, e, half)
		VMOVAPD(e, f)
		VMOVAPD(half, m, f)
		return f, &mask{k: m}
	}
	s.set(0.5, h)
	m := s.reg()
	VCMPPD(Imm(gt), h, e, m)
	VFMSUB213PD(h, e, h)
	VBLENDVPD(m, h, e, f)
	return f, &mask{v: m}
}

// logTail returns log(2^k (1+f)) given s = f/(2+f).
func (s *isa) logTail(f, q V, k *mask) V {
	w, w2 := s.reg(), s.reg()
	VMULPD(q, q, w)
	VMULPD(w, w, w2)
	p := s.poly(logCoef, w, w2)
	VFNMADD213PD(f, w, p) // f - R
	hi, lo := s.set(ln2Hi, s.reg()), s.set(ln2Lo, s.reg())
	s.keep(hi, k)
	s.keep(lo, k)
	VFMSUB213PD(lo, q, p) // s (f - R) - k ln2Lo
	VSUBPD(p, f, p)
	VADDPD(hi, p, p)
	return p
}

// log1p01 returns log(1+e) for e in [0, 1].
func (s *isa) log1p01(e V) V {
	f, k := s.halve(e)
	q := s.reg()
	s.addC(2, f, q)
	VDIVPD(q, f, q)
	return s.logTail(f, q, k)
}

// log1p returns log(1+x). It keeps x.
func (s *isa) log1p(x V) V {
	// u + c = 1 + x exactly.
	u, c, b := s.reg(), s.reg(), s.reg()
	one := s.set(1, s.reg())
	VADDPD(one, x, u)
	VSUBPD(one, u, b)
	VSUBPD(b, u, c)
	VSUBPD(c, one, c)
	VSUBPD(b, x, b)
	VADDPD(b, c, c)
	// u = 2^k m, m in [3/4, 3/2); f = m - 1 + 2^-k c.
	k, f := s.reg(), s.reg()
	if s.evex {
		e := s.reg()
		VGETMANTPD(Imm(3), u, f)
		VGETEXPPD(u, k)
		VGETEXPPD(f, e)
		VSUBPD(e, k, k)
		s.xorSign(k, e)
		VSCALEFPD(e, c, c)
	} else {
		e, t := s.reg(), s.reg()
		VPSUBD(s.bits(0x3fe8000000000000), u, e)
		VPSRAD(Imm(20), e, e) // k in the high halves
		VPSLLD(Imm(20), e, t)
		VPAND(s.bits(0xffffffff00000000), t, t)
		VPSUBD(t, u, f)
		// The correction vanishes long before its factor leaves the range.
		VPMINSD(s.bits(1000<<32), e, t)
		VPSLLD(Imm(20), t, t)
		VPAND(s.bits(0xffffffff00000000), t, t)
		VMOVUPD(s.f64(1), b)
		VPSUBD(t, b, t)
		VMULPD(t, c, c)
		VPERMILPS(Imm(0xed), e, e)
		VPERMPD(Imm(0x08), e, e)
		VCVTDQ2PD(e.AsX(), k)
	}
	VSUBPD(one, f, f)
	VADDPD(c, f, f)
	q := s.reg()
	s.addC(2, f, q)
	VDIVPD(q, f, q)
	w, w2 := s.reg(), s.reg()
	VMULPD(q, q, w)
	VMULPD(w, w, w2)
	p := s.poly(logCoef, w, w2)
	VFNMADD213PD(f, w, p) // f - R
	VMULPD(q, p, p)
	s.fnmaC(ln2Lo, k, p) // s (f - R) - k ln2Lo
	VSUBPD(p, f, p)
	s.pick(VFMADD231PD_BCST, VFMADD231PD, s.f64(ln2Hi), k, p)
	// Special arguments: ±0 and +∞ are their own logarithms, -1 gives -∞ and
	// what is not ≥ -1 gives NaN.
	s.pickIf(eq, 0, x, x, p)
	s.pickIf(eq, math.Inf(1), x, x, p)
	s.pickIf(eq, -1, x, s.set(math.Inf(-1), s.reg()), p)
	s.pickIf(notGE, -1, x, s.set(math.NaN(), s.reg()), p)
	return p
}

// Predicates of VCMPPD.
const (
	eq    = 0
	notGE = 9
	gt    = 14
)

// pickIf sets dst = v in the lanes where x compares with c.
func (s *isa) pickIf(predicate uint64, c float64, x, v, dst V) {
	m := s.set(c, s.reg())
	if s.evex {
		k := K()
		VCMPPD(Imm(predicate), m, x, k)
		VMOVAPD(v, k, dst)
		return
	}
	VCMPPD(Imm(predicate), m, x, m)
	VBLENDVPD(m, v, dst, dst)
}

// pickSign sets dst = v in the lanes where the sign bit of x is set.
func (s *isa) pickSign(x, v, dst V) {
	if s.evex {
		k := K()
		VPMOVQ2M(x, k)
		VMOVAPD(v, k, dst)
		return
	}
	VBLENDVPD(x, v, dst, dst)
}
