package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func copyOf(r GP) GP {
	c := GP64()
	MOVQ(r, c)
	return c
}

func params(names ...string) []GP {
	r := make([]GP, len(names))
	for i, name := range names {
		r[i] = param(name)
	}
	return r
}

// stride loads the row stride in bytes.
func stride() GP {
	r := param("stride")
	SHLQ(Imm(3), r)
	return r
}

// chunks splits d ≥ 1 columns into vectors: all but the last are full, the
// last has rem lanes.
func (s *isa) chunks(d GP) (full, rem GP) {
	full, rem = GP64(), copyOf(d)
	LEAQ(Mem{Base: d, Disp: -1}, full)
	ANDQ(I32(int32(-s.w)), full)
	SUBQ(full, rem)
	return full, rem
}

// nextRows ends the signatures of kernels that fetch what comes next.
const nextRows = "next *float64, bytes, lines int)"

// fewChunks is the number of vectors of z the scores keep in registers.
const fewChunks = 4

// scores sets out[q][i] = <a_i, zs[q]> for n rows of d ≥ 1 columns. In a frame
// the outputs are padded and whole vectors are stored. It overwrites out, a, n.
func (s *isa) scores(out []GP, a, str, n GP, zs []GP, d GP, frame bool, f *fetch) {
	end := label("scored")
	if s.evex {
		many := label("many")
		CMPQ(d, imm(fewChunks*s.w))
		JG(LabelRef(many))
		next := ""
		for c := 1; c <= fewChunks; c++ {
			if next != "" {
				Label(next)
			}
			if c < fewChunks {
				next = label("wider")
				CMPQ(d, imm(c*s.w))
				JG(LabelRef(next))
			}
			s.fewScores(c, out, a, str, n, zs, d, frame, f)
			JMP(LabelRef(end))
		}
		Label(many)
	}
	s.manyScores(out, a, str, n, zs, d, frame, f)
	Label(end)
}

// fewScores is scores for d within c vectors, which stay in registers.
func (s *isa) fewScores(c int, out []GP, a, str, n GP, zs []GP, d GP, frame bool, f *fetch) {
	rem := GP64()
	LEAQ(Mem{Base: d, Disp: -(c - 1) * s.w}, rem)
	z := make([][]V, len(zs))
	for q := range zs {
		for i := range c {
			z[q] = append(z[q], s.load(Mem{Base: zs[q], Disp: i * s.bytes()}, only(i == c-1, shortOrFull(rem))))
		}
	}
	dot := func(z []V, p GP) V {
		acc := s.reg()
		for i := range z {
			m := Mem{Base: p, Disp: i * s.bytes()}
			if i == 0 {
				VMULPD(m, z[i], acc)
			} else {
				VFMADD231PD(m, z[i], acc)
			}
		}
		return acc
	}
	top, rest, many, end := label("rows"), label("rest"), label("few"), label("end")
	Label(top)
	SUBQ(imm(s.w), n)
	JL(LabelRef(rest))
	for q := range z {
		p := copyOf(a)
		acc := make([]V, s.w)
		for r := range acc {
			acc[r] = dot(z[q], p)
			ADDQ(str, p)
		}
		s.store(s.sums(acc), Mem{Base: out[q]}, nil)
		ADDQ(imm(s.bytes()), out[q])
		if q == len(z)-1 {
			MOVQ(p, a)
		}
	}
	f.rows(s.w)
	JMP(LabelRef(top))

	Label(rest)
	ADDQ(imm(s.w), n)
	JE(LabelRef(end))
	CMPQ(n, Imm(1))
	JNE(LabelRef(many))
	for q := range z {
		acc := dot(z[q], a)
		s.sum(acc)
		s.storeOne(acc, Mem{Base: out[q]}, frame)
	}
	JMP(LabelRef(end))

	// Pointers that would pass the last row stay at it.
	Label(many)
	zero := GP64()
	XORQ(zero, zero)
	sums := make([]V, len(z))
	for q := range z {
		p, step := copyOf(a), copyOf(str)
		acc := make([]V, s.w)
		for r := range acc {
			acc[r] = dot(z[q], p)
			if r < s.w-1 {
				CMPQ(n, imm(r+1))
				CMOVQLE(zero, step)
				ADDQ(step, p)
			}
		}
		sums[q] = s.sums(acc)
	}
	var m *tail
	if !frame {
		m = short(n)
	}
	for q := range z {
		s.store(sums[q], Mem{Base: out[q]}, m)
	}
	Label(end)
}

// only returns t if the condition holds.
func only(cond bool, t *tail) *tail {
	if cond {
		return t
	}
	return nil
}

// storeOne stores a sum that is in all lanes. In a frame the whole vector is
// stored, since loads of vectors wait for narrower stores.
func (s *isa) storeOne(v V, m Mem, frame bool) {
	if frame {
		VMOVUPD(v, m)
	} else {
		VMOVSD(v.AsX(), m)
	}
}

// manyScores is scores for any d: groups of rows, then single rows. A group of one score takes eight rows, so that
// there are as many sums as two units with a latency of four cycles keep in flight.
func (s *isa) manyScores(out []GP, a, str, n GP, zs []GP, d GP, frame bool, f *fetch) {
	full, rem := s.chunks(d)
	t := s.masked(rem)
	end := label("end")
	groups := []int{s.w}
	if len(zs) == 1 && s.w == 4 {
		groups = []int{8, 4}
	}
	for _, rows := range groups {
		top, rest := label("rows"), label("rest")
		Label(top)
		SUBQ(imm(rows), n)
		JL(LabelRef(rest))
		p := thirds(a, str, rows)
		LEAQ(Mem{Base: a, Index: str, Scale: uint8(rows)}, a)
		acc := make([][]V, len(zs))
		for q := range zs {
			acc[q] = s.zeros(rows)
		}
		i := GP64()
		XORQ(i, i)
		chunk := func(t *tail) {
			var z []V
			for _, p := range zs {
				z = append(z, s.load(Mem{Base: p, Index: i, Scale: 8}, t))
			}
			for r := range rows {
				m := spread(p, str, r)
				if len(zs) == 1 {
					VFMADD231PD(m, z[0], acc[0][r])
					continue
				}
				row := s.load(m, nil)
				for q := range zs {
					VFMADD231PD(z[q], row, acc[q][r])
				}
			}
		}
		inner, last := label("columns"), label("last")
		loopLabel(inner)
		CMPQ(i, full)
		JGE(LabelRef(last))
		chunk(nil)
		for _, p := range p {
			ADDQ(imm(s.bytes()), p)
		}
		ADDQ(imm(s.w), i)
		JMP(LabelRef(inner))
		Label(last)
		chunk(t)
		for q := range zs {
			for r := 0; r < rows; r += s.w {
				s.store(s.sums(acc[q][r:r+s.w]), Mem{Base: out[q], Disp: 8 * r}, nil)
			}
			ADDQ(imm(8*rows), out[q])
		}
		f.rows(rows)
		JMP(LabelRef(top))
		Label(rest)
		ADDQ(imm(rows), n)
		JE(LabelRef(end))
	}

	one := label("row")
	Label(one)
	for q, v := range s.dot(copyOf(d), a, zs...) {
		s.storeOne(v, Mem{Base: out[q]}, frame)
		ADDQ(Imm(8), out[q])
	}
	ADDQ(str, a)
	DECQ(n)
	JNE(LabelRef(one))
	Label(end)
}

// A fetch is what a kernel asks for while it works.
type fetch struct {
	// The next batch. Into the second cache, some lines with every four rows, so
	// that of narrow rows there are no more requests at a time than the
	// processor keeps.
	at, end, lines Mem

	// The next block of rows. Into the first cache, what lies so many bytes
	// after a row that has been used for the last time; 0 for nothing.
	ahead Mem
}

// newFetch makes a fetch of size bytes at at, so many lines with every four
// rows. It overwrites size.
func newFetch(at, size, lines GP) *fetch {
	f := &fetch{AllocLocal(8), AllocLocal(8), AllocLocal(8), AllocLocal(8)}
	MOVQ(at, f.at)
	ADDQ(at, size)
	MOVQ(size, f.end)
	MOVQ(lines, f.lines)
	MOVQ(I32(0), f.ahead)
	return f
}

// rows asks for the lines that go with n rows, 4 or 8, rounded up, if there
// are any left. A nil fetch has none.
func (f *fetch) rows(n int) {
	if f == nil {
		return
	}
	const atOnce = 4
	top, end := label("ask"), label("asked")
	p, c := GP64(), GP64()
	MOVQ(f.at, p)
	CMPQ(p, f.end)
	JAE(LabelRef(end))
	MOVQ(f.lines, c)
	for ; n > 4; n /= 2 {
		ADDQ(c, c)
	}
	Label(top)
	for i := range atOnce {
		PREFETCHT1(Mem{Base: p, Disp: 64 * i})
	}
	ADDQ(imm(64*atOnce), p)
	SUBQ(imm(atOnce), c)
	JG(LabelRef(top))
	MOVQ(p, f.at)
	Label(end)
}

// combine sets dst[q] (+)= w Σ_i cs[q][i] a_i over n rows of d columns, a
// tile of columns at a time with its sums in registers. It overwrites dst, a, d.
func (s *isa) combine(dst, cs []GP, a, str, n, d GP, f *fetch, w, add Mem) {
	tiles := []int{8, 4, 3, 2, 1}
	switch {
	case !s.evex && len(dst) == 1:
		tiles = []int{12, 6, 3, 2, 1}
	case !s.evex:
		tiles = []int{6, 3, 2, 1}
	}
	ahead := GP64()
	MOVQ(f.ahead, ahead)
	rem := GP64()
	LEAQ(Mem{Base: d, Disp: -1}, rem)
	ANDQ(imm(s.w-1), rem)
	INCQ(rem)
	t := short(rem)
	for ti, c := range tiles {
		tile, next := label("tile"), label("next")
		Label(tile)
		CMPQ(d, imm((c-1)*s.w))
		JLE(LabelRef(next))
		acc := make([][]V, len(dst))
		for q := range dst {
			acc[q] = s.zeros(c)
		}
		p, i := copyOf(a), GP64()
		XORQ(i, i)
		top, end := label("rows"), label("end")
		TESTQ(n, n)
		JE(LabelRef(end))
		loopLabel(top)
		var by []V
		for q := range cs {
			v := s.reg()
			VBROADCASTSD(Mem{Base: cs[q], Index: i, Scale: 8}, v)
			by = append(by, v)
		}
		for k := range c {
			m := Mem{Base: p, Disp: k * s.bytes()}
			if len(cs) == 1 {
				VFMADD231PD(m, by[0], acc[0][k])
				continue
			}
			row := s.load(m, nil)
			for q := range cs {
				VFMADD231PD(row, by[q], acc[q][k])
			}
		}
		none, asked := label("none"), label("asked")
		TESTQ(ahead, ahead)
		JE(LabelRef(none))
		for k := 0; k < c; k += 64 / s.bytes() {
			PREFETCHT0(Mem{Base: p, Index: ahead, Scale: 1, Disp: k * s.bytes()})
		}
		Label(none)
		TESTQ(U32(3), i)
		JNE(LabelRef(asked))
		f.rows(4)
		Label(asked)
		ADDQ(str, p)
		INCQ(i)
		CMPQ(i, n)
		JL(LabelRef(top))
		Label(end)
		factor := s.reg()
		VBROADCASTSD(w, factor)
		for q := range dst {
			for k := range c {
				VMULPD(factor, acc[q][k], acc[q][k])
			}
		}
		set := label("set")
		CMPB(add, Imm(0))
		JE(LabelRef(set))
		for q := range dst {
			for k := range c {
				m := Mem{Base: dst[q], Disp: k * s.bytes()}
				if k < c-1 {
					VADDPD(m, acc[q][k], acc[q][k])
				} else {
					s.addLast(m, acc[q][k], d, c, t)
				}
			}
		}
		Label(set)
		for q := range dst {
			for k := range c {
				m := Mem{Base: dst[q], Disp: k * s.bytes()}
				if k < c-1 {
					s.store(acc[q][k], m, nil)
				} else {
					s.storeLast(acc[q][k], m, d, c, t)
				}
			}
		}
		if ti < len(tiles)-1 {
			for q := range dst {
				ADDQ(imm(c*s.bytes()), dst[q])
			}
			ADDQ(imm(c*s.bytes()), a)
			SUBQ(imm(c*s.w), d)
		}
		if ti == 0 {
			JMP(LabelRef(tile))
		}
		Label(next)
	}
}

// ifFull runs full if d reaches the end of the last of c vectors, else part.
func (s *isa) ifFull(d GP, c int, full, part func()) {
	partial, end := label("partial"), label("end")
	CMPQ(d, imm(c*s.w))
	JL(LabelRef(partial))
	full()
	JMP(LabelRef(end))
	Label(partial)
	part()
	Label(end)
}

func (s *isa) addLast(m Mem, v V, d GP, c int, t *tail) {
	s.ifFull(d, c, func() { VADDPD(m, v, v) }, func() { VADDPD(s.load(m, t), v, v) })
}

// keepLast adds keep times what m holds to v.
func (s *isa) keepLast(m Mem, v, keep V, d GP, c int, t *tail) {
	s.ifFull(d, c, func() { VFMADD231PD(m, keep, v) }, func() { VFMADD231PD(s.load(m, t), keep, v) })
}

func (s *isa) storeLast(v V, m Mem, d GP, c int, t *tail) {
	s.ifFull(d, c, func() { s.store(v, m, nil) }, func() { s.store(v, m, t) })
}

// A linked score: what the logistic loss makes of it. Only what was asked for
// is set.
type linked struct{ cg, ch, loss V }

// coefs are those of cg and ch that are set.
func (l linked) coefs() []V {
	if l.cg == nil {
		return []V{l.ch}
	}
	return []V{l.cg, l.ch}
}

// link computes from scores t (and s of the direction, if not nil) and labels
// y, of which ch alone needs none, with m = -y t and e = e^-|m|:
//
//	cg = -y σ(m)    ch = σ(m) σ(-m) s    loss = log(1+e^m)
//
// σ(m) is e/(1+e) or 1/(1+e), by the sign of m: accurate in both tails.
func (s *isa) link(t, dir, y V, grad, loss bool) (l linked) {
	ny, m, e := s.reg(), t, s.reg()
	if y != nil {
		m = s.reg()
		s.xorSign(y, ny)
		VMULPD(t, ny, m)
	}
	s.orSign(m, e)
	e = s.exp(e, negative)
	switch {
	case grad && loss:
		// One division serves 1/(1+e) and f/(2+f).
		f, k := s.halve(e)
		d, g, inv := s.reg(), s.reg(), s.set(1, s.reg())
		s.addC(1, e, d)
		s.addC(2, f, g)
		p := s.reg()
		VMULPD(d, g, p)
		VDIVPD(p, inv, inv)
		q := s.reg()
		VMULPD(inv, g, q)
		VMULPD(inv, d, d)
		VMULPD(f, d, d)
		l.loss = s.logTail(f, d, k)
		l.cg = s.linkGrad(e, q, m)
		VMULPD(ny, l.cg, l.cg)
	case grad || dir != nil:
		d, q := s.reg(), s.set(1, s.reg())
		s.addC(1, e, d)
		VDIVPD(d, q, q)
		if dir != nil {
			l.ch = s.reg()
			VMULPD(q, e, l.ch)
			VMULPD(q, l.ch, l.ch)
			VMULPD(dir, l.ch, l.ch)
		}
		if grad {
			l.cg = s.linkGrad(e, q, m)
			VMULPD(ny, l.cg, l.cg)
		}
	default:
		l.loss = s.log1p01(e)
	}
	if loss {
		VMAXPD(s.zeros(1)[0], m, m)
		VADDPD(m, l.loss, l.loss)
	}
	return l
}

// linkGrad returns σ(m) given e = e^-|m| and q = 1/(1+e). It overwrites q.
func (s *isa) linkGrad(e, q, m V) V {
	small := s.reg()
	VMULPD(q, e, small)
	s.pickSign(m, small, q)
	return q
}

// links runs link over n scores at t. Outputs of a frame are padded, like t
// and dir there. It overwrites n.
func (s *isa) links(cg, ch, t, dir []GP, y, n GP, acc V, frame bool, f *fetch) {
	s.loop(n, func(at func(GP) Mem, tl *tail) {
		if tl == nil {
			f.rows(s.w)
		} else if frame || acc != nil {
			tl = s.masked(tl.rem)
		}
		inner := only(!frame, tl)
		var d V
		if len(dir) > 0 {
			d = s.load(at(dir[0]), inner)
		}
		var label V
		if y != nil {
			label = s.load(at(y), tl)
		}
		l := s.link(s.load(at(t[0]), inner), d, label, len(cg) > 0, acc != nil)
		if acc != nil {
			if tl != nil {
				s.keep(l.loss, tl.mask)
			}
			VADDPD(l.loss, acc, acc)
		}
		if len(cg) > 0 {
			s.store(l.cg, at(cg[0]), inner)
		}
		if len(ch) > 0 {
			s.store(l.ch, at(ch[0]), inner)
		}
	})
}

func (s *isa) linkKernels() {
	s.text("logisticLink", "(cg, t, y *float64, n int)")
	s.links(params("cg"), nil, params("t"), nil, param("y"), param("n"), nil, false, nil)
	ret()

	s.text("logisticLink2", "(cg, ch, t, s, y *float64, n int)")
	s.links(params("cg"), params("ch"), params("t"), params("s"), param("y"), param("n"), nil, false, nil)
	ret()

	for _, k := range []struct {
		name, signature string
		out             []string
	}{
		{"logisticLoss", "(t, y *float64, n int) float64", nil},
		{"logisticLossLink", "(cg, t, y *float64, n int) float64", []string{"cg"}},
	} {
		s.text(k.name, k.signature)
		acc := s.zeros(1)[0]
		s.links(params(k.out...), nil, params("t"), nil, param("y"), param("n"), acc, false, nil)
		s.sum(acc)
		Store(acc.AsX(), ReturnIndex(0))
		ret()
	}
}

// next is the fetch of the bytes at a kernel's argument next.
func next() *fetch { return newFetch(param("next"), param("bytes"), param("lines")) }

func (s *isa) rowKernels() {
	s.text("scores", "(t, a *float64, stride int, z *float64, rows, d int)")
	s.scores(params("t"), param("a"), stride(), param("rows"), params("z"), param("d"), false, nil)
	ret()

	s.text("scores2", "(t, s, a *float64, stride int, z, v *float64, rows, d int)")
	s.scores(params("t", "s"), param("a"), stride(), param("rows"), params("z", "v"), param("d"), false, nil)
	ret()

	s.text("combine", "(dz, a *float64, stride int, c *float64, rows, d int, w float64, add bool, "+nextRows)
	s.combine(params("dz"), params("c"), param("a"), stride(), param("rows"), param("d"), next(), paramAddr("w"),
		paramAddr("add"))
	ret()

	s.text("combine2", "(dz, hv, a *float64, stride int, cg, ch *float64, rows, d int, w float64, add bool, "+nextRows)
	s.combine(params("dz", "hv"), params("cg", "ch"), param("a"), stride(), param("rows"), param("d"), next(),
		paramAddr("w"), paramAddr("add"))
	ret()
}

// logisticBlock is the largest number of rows whose scores the logistic
// kernels keep in their frame, as in package kernel.
const logisticBlock = 64

// logistic writes the kernels that take rows from scores to combinations,
// block rows at a time. With fewer outs than dirs the gradient is not among
// them. They overwrite their arguments.
func (s *isa) logistic(name, signature string, outs, dirs []string, value bool) {
	signed := len(outs) == len(dirs) // the curvature does not depend on the sign
	TEXT(name+s.name, 0, "func"+signature)
	Pragma("noescape")
	frames := make([]Mem, len(dirs))
	for q := range frames {
		frames[q] = AllocLocal(8*logisticBlock + 64)
	}
	var acc Mem
	if value {
		acc = AllocLocal(s.bytes())
		s.store(s.zeros(1)[0], acc, nil)
	}
	f := next()
	block, end, done, skip := label("block"), label("end"), label("done"), label("skip")
	if !value {
		s.logisticOne(dirs, signed, block, done, s.combineOne(outs))
	}
	leas := func() []GP {
		p := make([]GP, len(frames))
		for q := range p {
			p[q] = GP64()
			LEAQ(frames[q], p[q])
		}
		return p
	}
	blockSize := func() GP {
		n, size := param("rows"), param("block")
		CMPQ(n, size)
		CMOVQGT(size, n)
		return n
	}
	Label(block)
	// The next block is fetched if it is a whole one, so that nothing is that
	// lies behind the batch.
	two, ahead, whole := param("block"), stride(), label("whole")
	IMULQ(two, ahead)
	ADDQ(two, two)
	CMPQ(two, paramAddr("rows"))
	JLE(LabelRef(whole))
	XORQ(ahead, ahead)
	Label(whole)
	MOVQ(ahead, f.ahead)
	s.scores(leas(), param("a"), stride(), blockSize(), params(dirs...), param("d"), true, f)

	p := leas()
	var sum V
	if value {
		sum = s.load(acc, nil)
	}
	var cg []GP
	var y GP
	if signed {
		cg, y = p[:1], param("y")
	}
	s.links(cg, p[1:], p[:1], p[1:], y, blockSize(), sum, true, f)
	if value {
		s.store(sum, acc, nil)
		CMPQ(paramAddr("dz"), Imm(0))
		JE(LabelRef(skip))
	}
	coefs := leas()[len(dirs)-len(outs):]
	s.combine(params(outs...), coefs, param("a"), stride(), blockSize(), param("d"), f, paramAddr("w"), paramAddr("add"))
	Label(skip)
	rows, size, step := param("rows"), param("block"), stride()
	SUBQ(size, rows)
	JLE(LabelRef(end))
	MOVQ(rows, paramAddr("rows"))
	IMULQ(size, step)
	ADDQ(step, paramAddr("a"))
	if signed {
		SHLQ(Imm(3), size)
		ADDQ(size, paramAddr("y"))
	}
	MOVB(U8(1), paramAddr("add"))
	JMP(LabelRef(block))
	Label(end)
	if value {
		sum := s.load(acc, nil)
		s.sum(sum)
		VMULSD(paramAddr("w"), sum.AsX(), sum.AsX())
		Store(sum.AsX(), ReturnIndex(0))
	}
	Label(done)
	ret()
}

// logisticOne is the way of a single short row, whose scores stay in
// registers: finish gets the vectors of the row and its coefficients. It jumps
// to more if there are more rows or columns, or none, and to done.
func (s *isa) logisticOne(dirs []string, signed bool, more, done string,
	finish func(one *isa, l linked, row []V, a, rem GP)) {
	const columns = 32
	CMPQ(paramAddr("rows"), Imm(1))
	JNE(LabelRef(more))
	d := param("d")
	CMPQ(d, imm(columns))
	JG(LabelRef(more))
	for c := 1; c <= columns/s.w; c++ {
		next := label("wider")
		if c < columns/s.w {
			CMPQ(d, imm(c*s.w))
			JG(LabelRef(next))
		}
		rem := GP64()
		LEAQ(Mem{Base: d, Disp: -(c - 1) * s.w}, rem)
		a := param("a")
		row := make([]V, c)
		score := make([]V, len(dirs))
		for i := range row {
			row[i] = s.load(Mem{Base: a, Disp: i * s.bytes()}, nil)
			for q, z := range params(dirs...) {
				f := s.load(Mem{Base: z, Disp: i * s.bytes()}, only(i == c-1, shortOrFull(rem)))
				if i == 0 {
					score[q] = f
					VMULPD(row[i], f, f)
				} else {
					VFMADD231PD(f, row[i], score[q])
				}
			}
		}
		one := s.lanes(4)
		for q, v := range score {
			score[q] = s.half(v)
			one.sum(score[q])
		}
		score = append(score, nil)
		var y V
		if signed {
			y = one.reg()
			VBROADCASTSD(Mem{Base: param("y")}, y)
		}
		finish(one, one.link(score[0], score[1], y, signed, false), row, a, rem)
		JMP(LabelRef(done))
		Label(next)
	}
}

// combineOne finishes logisticOne with the row times its coefficients.
func (s *isa) combineOne(outs []string) func(one *isa, l linked, row []V, a, rem GP) {
	return func(one *isa, l linked, row []V, a, rem GP) {
		w := one.bcastParam("w")
		for q, p := range params(outs...) {
			coef, f := l.coefs()[q], s.reg()
			VMULPD(w, coef, coef)
			VBROADCASTSD(coef.AsX(), f)
			for i := range row {
				v := s.reg()
				if s.evex {
					VMULPD(f, row[i], v)
				} else { // too few registers for the row
					VMULPD(Mem{Base: a, Disp: i * s.bytes()}, f, v)
				}
				s.store(v, Mem{Base: p, Disp: i * s.bytes()}, only(i == len(row)-1, shortOrFull(rem)))
			}
		}
	}
}

// logisticCoefs writes a kernel that takes rows to coefficients.
func (s *isa) logisticCoefs(name, signature string, outs, dirs []string) {
	s.text(name, signature)
	more, done := label("more"), label("done")
	s.logisticOne(dirs, true, more, done, func(_ *isa, l linked, _ []V, _, _ GP) {
		for q, p := range params(outs...) {
			VMOVSD(l.coefs()[q].AsX(), Mem{Base: p})
		}
	})
	Label(more)
	f := next()
	s.scores(params(outs...), param("a"), stride(), param("rows"), params(dirs...), param("d"), false, f)
	p := params(outs...)
	s.links(p[:1], p[1:], params(outs[:1]...), params(outs[1:]...), param("y"), param("rows"), nil, false, f)
	Label(done)
	ret()
}

func (s *isa) logisticKernels() {
	s.logistic("logisticProducts",
		"(dz, hv, a *float64, stride int, y, z, v *float64, rows, d, block int, w float64, add bool, "+nextRows,
		[]string{"dz", "hv"}, []string{"z", "v"}, false)
	s.logistic("logisticHess",
		"(hv, a *float64, stride int, z, v *float64, rows, d, block int, w float64, add bool, "+nextRows,
		[]string{"hv"}, []string{"z", "v"}, false)
	s.logistic("logisticGrad",
		"(dz, a *float64, stride int, y, z *float64, rows, d, block int, w float64, add bool, "+nextRows,
		[]string{"dz"}, []string{"z"}, false)
	s.logistic("logisticValueGrad",
		"(dz, a *float64, stride int, y, z *float64, rows, d, block int, w float64, add bool, "+nextRows+" float64",
		[]string{"dz"}, []string{"z"}, true)
	s.logisticCoefs("logisticCoefs",
		"(cg, a *float64, stride int, y, z *float64, rows, d int, "+nextRows, []string{"cg"}, []string{"z"})
	s.logisticCoefs("logisticCoefs2",
		"(cg, ch, a *float64, stride int, y, z, v *float64, rows, d int, "+nextRows, []string{"cg", "ch"}, []string{"z", "v"})
}
