package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// spread addresses element q of an array of vectors, stride bytes apart, whose
// multiples of three are in p.
func spread(p []GP, stride GP, q int) Mem {
	m := Mem{Base: p[q/3]}
	if q%3 > 0 {
		m.Index, m.Scale = stride, uint8(q%3)
	}
	return m
}

// thirds returns the pointers spread needs for n vectors from p on.
func thirds(p, stride GP, n int) []GP {
	r := []GP{copyOf(p)}
	for len(r)*3 < n {
		next := GP64()
		LEAQ(Mem{Base: r[len(r)-1], Index: stride, Scale: 2}, next)
		ADDQ(stride, next)
		r = append(r, next)
	}
	return r
}

// sum4 adds the lanes of each of four vectors.
func (s *isa) sum4(v []V) V {
	h := make([]V, 4)
	for r := range h {
		h[r] = s.half(v[r])
	}
	return s.lanes(4).sums(h)
}

// A group of classes is worked on together if that many are left, or at least
// from, but not except: groups of less than eight sums wait for additions.
type group struct{ classes, from, except int }

var (
	fives  = []group{{classes: 5, from: 5}, {classes: 4}, {classes: 3}, {classes: 2}, {classes: 1}}
	fours  = []group{{classes: 4, from: 7, except: 9}, {classes: 3, from: 3}, {classes: 2}, {classes: 1}}
	threes = []group{{classes: 3, from: 5}, {classes: 2, from: 2}, {classes: 1}}
)

// take jumps to next unless the group fits k classes.
func (g group) take(k GP, next string) {
	yes := label("take")
	CMPQ(k, imm(g.classes))
	JE(LabelRef(yes))
	if g.from == 0 {
		JMP(LabelRef(next))
	} else {
		CMPQ(k, imm(g.from))
		JL(LabelRef(next))
	}
	if g.except > 0 {
		CMPQ(k, imm(g.except))
		JE(LabelRef(next))
	}
	Label(yes)
}

// scoresK works on tiles of four rows by a few classes; every loaded vector
// takes part in several products. The rows are the outer loop: they are read
// once, and all of z, of which the caller passes as many columns as fit, stays
// in cache. Every group of classes fetches one of the rows that come after the
// tile. Of a single row two vectors at a time make up for the missing rows.
func (s *isa) scoresK() {
	s.text("scoresK", "(t, a *float64, stride int, z *float64, zstride, k, d, rows int, add bool)")
	add, n := paramAddr("add"), paramAddr("rows")
	full, rem := s.chunks(param("d"))
	var tl *tail
	if s.evex {
		tl = s.masked(rem)
	}
	a, str, t, zs := param("a"), stride(), param("t"), param("zstride")
	SHLQ(Imm(3), zs)
	ts := param("rows")
	SHLQ(Imm(3), ts)
	for _, rows := range []int{4, 1} {
		groups, unroll := fives, 1
		if rows == 1 {
			unroll = 2
		} else if !s.evex {
			groups = threes
		}
		top, rest := label("rows"), label("rest")
		Label(top)
		SUBQ(imm(rows), n)
		JL(LabelRef(rest))
		k, z, out, ahead := param("k"), param("z"), copyOf(t), copyOf(str)
		SHLQ(Imm(2), ahead)
		for _, g := range groups {
			kc, again, next := g.classes, label("classes"), label("fewer")
			Label(again)
			g.take(k, next)
			p, zp := thirds(a, str, rows), thirds(z, zs, kc)
			acc := make([][]V, kc)
			for c := range acc {
				acc[c] = s.zeros(rows * unroll)
			}
			i := copyOf(full)
			chunk := func(u int, tl *tail) {
				at := func(p []GP, stride GP, q int) Mem {
					m := spread(p, stride, q)
					m.Disp = u * s.bytes()
					return m
				}
				var f []V
				for c := range acc {
					f = append(f, s.load(at(zp, zs, c), tl))
				}
				for r := range rows {
					row := s.load(at(p, str, r), nil)
					for c := range acc {
						VFMADD231PD(f[c], row, acc[c][r*unroll+u])
					}
				}
			}
			for u := unroll; u > 0; u-- {
				inner, last := label("columns"), label("last")
				Label(inner)
				SUBQ(imm(u*s.w), i)
				JL(LabelRef(last))
				if rows > 1 {
					PREFETCHT0(Mem{Base: p[0], Index: ahead, Scale: 1})
				}
				for v := range u {
					chunk(v, nil)
				}
				for _, q := range append(p, zp...) {
					ADDQ(imm(u*s.bytes()), q)
				}
				JMP(LabelRef(inner))
				Label(last)
				if u > 1 {
					ADDQ(imm(u*s.w), i)
				}
			}
			if !s.evex { // the mask has no register before
				_, rem := s.chunks(param("d"))
				tl = s.masked(rem)
			}
			chunk(0, tl)
			for c := range acc {
				set := label("set")
				if rows == 4 {
					v := s.sum4(acc[c]).AsY()
					CMPB(add, Imm(0))
					JE(LabelRef(set))
					VADDPD(Mem{Base: out}, v, v)
					Label(set)
					VMOVUPD(v, Mem{Base: out})
				} else {
					VADDPD(acc[c][1], acc[c][0], acc[c][0])
					s.sum(acc[c][0])
					v := acc[c][0].AsX()
					CMPB(add, Imm(0))
					JE(LabelRef(set))
					VADDSD(Mem{Base: out}, v, v)
					Label(set)
					VMOVSD(v, Mem{Base: out})
				}
				ADDQ(ts, out)
			}
			for range kc {
				ADDQ(zs, z)
			}
			ADDQ(str, ahead)
			SUBQ(imm(kc), k)
			JMP(LabelRef(again))
			Label(next)
		}
		ADDQ(imm(8*rows), t)
		for range rows {
			ADDQ(str, a)
		}
		JMP(LabelRef(top))
		Label(rest)
		ADDQ(imm(rows), n)
	}
	ret()
}

// combineK holds tiles of a few classes by a few vectors of columns in
// registers while it runs over the rows. With every row of a tile it fetches a
// little of the bytes from ahead on, and returns of how many it is done: at the
// pace that memory delivers, or else everything waits.
func (s *isa) combineK() {
	s.text("combineK",
		"(dz, a *float64, stride int, c *float64, k, d, rows int, w, keep float64, ahead *float64, bytes int) int")
	groups, tiles := fives, []int{4, 2, 1}
	if !s.evex {
		groups, tiles = fours, []int{3, 2, 1}
	}
	left, ahead := param("d"), param("ahead")
	end := paramAddr("bytes")
	ADDQ(ahead, end)
	for ti, cols := range tiles {
		tile, nextTile := label("tile"), label("nextTile")
		Label(tile)
		CMPQ(left, imm((cols-1)*s.w))
		JLE(LabelRef(nextTile))
		k, f, dst := param("k"), param("c"), param("dz")
		rs := param("rows")
		SHLQ(Imm(3), rs)
		for _, g := range groups {
			kc, again, next := g.classes, label("classes"), label("fewer")
			Label(again)
			g.take(k, next)
			acc := make([][]V, kc)
			for c := range acc {
				acc[c] = s.zeros(cols)
			}
			p, str, n := param("a"), stride(), param("rows")
			fp := thirds(f, rs, kc)
			top, summed := label("rows"), label("summed")
			TESTQ(n, n)
			JE(LabelRef(summed))
			Label(top)
			row := make([]V, cols)
			for j := range row {
				row[j] = s.load(Mem{Base: p, Disp: j * s.bytes()}, nil)
			}
			for c := range acc {
				v := s.reg()
				VBROADCASTSD(spread(fp, rs, c), v)
				for j := range row {
					VFMADD231PD(v, row[j], acc[c][j])
				}
			}
			fetched := label("fetched")
			CMPQ(ahead, end)
			JAE(LabelRef(fetched))
			PREFETCHT1(Mem{Base: ahead})
			if s.evex {
				PREFETCHT1(Mem{Base: ahead, Disp: 64})
				ADDQ(imm(128), ahead)
			} else {
				ADDQ(imm(32), ahead)
			}
			Label(fetched)
			ADDQ(str, p)
			for _, q := range fp {
				ADDQ(Imm(8), q)
			}
			DECQ(n)
			JNE(LabelRef(top))
			Label(summed)
			_, rem := s.chunks(param("d"))
			tl := short(rem)
			w, keep := s.bcastParam("w"), s.bcastParam("keep")
			for c := range acc {
				for j := range row {
					VMULPD(w, acc[c][j], acc[c][j])
				}
				set := label("set")
				CMPQ(paramAddr("keep"), Imm(0))
				JE(LabelRef(set))
				for j := range row {
					m := Mem{Base: dst, Disp: j * s.bytes()}
					if j < cols-1 {
						VFMADD231PD(m, keep, acc[c][j])
					} else {
						s.keepLast(m, acc[c][j], keep, left, cols, tl)
					}
				}
				Label(set)
				for j := range row {
					m := Mem{Base: dst, Disp: j * s.bytes()}
					if j < cols-1 {
						s.store(acc[c][j], m, nil)
					} else {
						s.storeLast(acc[c][j], m, left, cols, tl)
					}
				}
				ds := param("d")
				LEAQ(Mem{Base: dst, Index: ds, Scale: 8}, dst)
			}
			step := GP64()
			IMUL3Q(imm(kc), rs, step)
			ADDQ(step, f)
			SUBQ(imm(kc), k)
			JMP(LabelRef(again))
			Label(next)
		}
		ADDQ(imm(cols*s.bytes()), paramAddr("a"))
		ADDQ(imm(cols*s.bytes()), paramAddr("dz"))
		SUBQ(imm(cols*s.w), left)
		if ti == 0 {
			JMP(LabelRef(tile))
		}
		Label(nextTile)
	}
	SUBQ(paramAddr("ahead"), ahead)
	Store(ahead, ReturnIndex(0))
	ret()
}

// combineRow is combineK for a single row: bound by dz, which it passes over in
// order.
func (s *isa) combineRow() {
	s.text("combineRow", "(dz, a, c *float64, k, d int, w, keep float64, ahead *float64, bytes int) int")
	const unroll = 4
	dz, f, k, ahead := param("dz"), param("c"), param("k"), param("ahead")
	end := paramAddr("bytes")
	ADDQ(ahead, end)
	keep := s.bcastParam("keep")
	class, done := label("class"), label("done")
	Label(class)
	SUBQ(Imm(1), k)
	JL(LabelRef(done))
	w := s.bcastParam("w")
	v := s.reg()
	VBROADCASTSD(Mem{Base: f}, v)
	VMULPD(v, w, w)
	for _, kept := range []bool{true, false} {
		other := label("other")
		if kept {
			CMPQ(paramAddr("keep"), Imm(0))
			JE(LabelRef(other))
		}
		put := func(s *isa, p, q Mem) {
			v := s.load(p, nil)
			VMULPD(s.as(w), v, v)
			if kept {
				VFMADD231PD(s.load(q, nil), s.as(keep), v)
			}
			s.store(v, q, nil)
		}
		p, n := param("a"), param("d")
		top, rest := label("columns"), label("rest")
		Label(top)
		SUBQ(imm(unroll*s.w), n)
		JL(LabelRef(rest))
		fetched := label("fetched")
		CMPQ(ahead, end)
		JAE(LabelRef(fetched))
		PREFETCHT1(Mem{Base: ahead})
		ADDQ(imm(64), ahead)
		Label(fetched)
		for u := range unroll {
			put(s, Mem{Base: p, Disp: u * s.bytes()}, Mem{Base: dz, Disp: u * s.bytes()})
		}
		ADDQ(imm(unroll*s.bytes()), p)
		ADDQ(imm(unroll*s.bytes()), dz)
		JMP(LabelRef(top))
		Label(rest)
		for v := unroll * s.w / 2; v > 0; v /= 2 {
			skip := label("skip")
			TESTQ(U32(uint32(v)), n)
			JE(LabelRef(skip))
			part := s.lanes(min(v, s.w))
			for u := range v / part.w {
				put(part, Mem{Base: p, Disp: u * part.bytes()}, Mem{Base: dz, Disp: u * part.bytes()})
			}
			ADDQ(imm(8*v), p)
			ADDQ(imm(8*v), dz)
			Label(skip)
		}
		ADDQ(Imm(8), f)
		JMP(LabelRef(class))
		if kept {
			Label(other)
		}
	}
	Label(done)
	SUBQ(paramAddr("ahead"), ahead)
	Store(ahead, ReturnIndex(0))
	ret()
}

// gram computes w rows of the lower triangle at a time, up to three vectors of
// columns of them in registers.
func (s *isa) gram() {
	s.text("gram", "(h, a *float64, stride, d int, c *float64, rows int, w float64, add bool)")
	j, d := GP64(), param("d") // first row of the block
	XORQ(j, j)
	tiles := []int{3, 2, 1}
	block, done := label("block"), label("done")
	Label(block)
	CMPQ(j, d)
	JGE(LabelRef(done))
	l := GP64() // first column of the tile
	XORQ(l, l)
	for ti, cols := range tiles {
		tile, next := label("tile"), label("next")
		Label(tile)
		// The tile starts at most (cols-1) vectors left of the diagonal.
		last := GP64()
		LEAQ(Mem{Base: l, Disp: (cols - 1) * s.w}, last)
		CMPQ(last, j)
		JG(LabelRef(next))
		acc := make([][]V, s.w)
		for r := range acc {
			acc[r] = s.zeros(cols)
		}
		p, q, f, str, n := param("a"), GP64(), param("c"), stride(), param("rows")
		LEAQ(Mem{Base: p, Index: j, Scale: 8}, q)
		LEAQ(Mem{Base: p, Index: l, Scale: 8}, p)
		top, end := label("rows"), label("end")
		TESTQ(n, n)
		JE(LabelRef(end))
		Label(top)
		v := s.reg()
		VBROADCASTSD(Mem{Base: f}, v)
		row := s.regs(cols)
		for k := range row {
			VMULPD(Mem{Base: p, Disp: k * s.bytes()}, v, row[k])
		}
		for r := range acc {
			m := Mem{Base: q, Disp: 8 * r}
			if s.evex {
				for k := range row {
					VFMADD231PD_BCST(m, row[k], acc[r][k])
				}
				continue
			}
			b := s.reg()
			VBROADCASTSD(m, b)
			for k := range row {
				VFMADD231PD(b, row[k], acc[r][k])
			}
		}
		ADDQ(str, p)
		ADDQ(str, q)
		ADDQ(Imm(8), f)
		DECQ(n)
		JNE(LabelRef(top))
		Label(end)
		w := s.bcastParam("w")
		_, rem := s.chunks(d)
		t := short(rem)
		out, i := GP64(), copyOf(j)
		MOVQ(j, out)
		IMULQ(d, out)
		ADDQ(l, out)
		h := param("h")
		LEAQ(Mem{Base: h, Index: out, Scale: 8}, out)
		left := copyOf(d)
		SUBQ(l, left)
		stored := label("stored")
		for r := range acc {
			CMPQ(i, d)
			JGE(LabelRef(stored))
			for k := range row {
				VMULPD(w, acc[r][k], acc[r][k])
			}
			set := label("set")
			CMPB(paramAddr("add"), Imm(0))
			JE(LabelRef(set))
			for k := range row {
				m := Mem{Base: out, Disp: k * s.bytes()}
				if k < cols-1 {
					VADDPD(m, acc[r][k], acc[r][k])
				} else {
					s.addLast(m, acc[r][k], left, cols, t)
				}
			}
			Label(set)
			for k := range row {
				m := Mem{Base: out, Disp: k * s.bytes()}
				if k < cols-1 {
					s.store(acc[r][k], m, nil)
				} else {
					s.storeLast(acc[r][k], m, left, cols, t)
				}
			}
			LEAQ(Mem{Base: out, Index: d, Scale: 8}, out)
			INCQ(i)
		}
		Label(stored)
		ADDQ(imm(cols*s.w), l)
		if ti == 0 {
			JMP(LabelRef(tile))
		}
		Label(next)
	}
	ADDQ(imm(s.w), j)
	JMP(LabelRef(block))
	Label(done)
	ret()
}

// sparse writes the products with a sparse row. Both return false at a column
// not below the limit.
func (s *isa) sparse() {
	column := func(idx, j, base, kb GP, bad string) GP {
		p := GP64()
		MOVL(Mem{Base: idx, Index: j, Scale: 4}, p.As32())
		CMPQ(p, paramAddr("limit"))
		JAE(LabelRef(bad))
		IMULQ(kb, p)
		ADDQ(base, p)
		return p
	}
	tiles := []int{4, 3, 2, 1}
	if !s.evex {
		tiles = []int{5, 4, 3, 2, 1} // 20 classes in one
	}
	// prefetch asks for the part of z that column idx[min(j+ahead, n-1)] reads.
	prefetch := func(idx, j, n, base, kb GP, cols int) {
		const ahead = 24
		p, q := GP64(), GP64()
		LEAQ(Mem{Base: n, Disp: -1}, q)
		LEAQ(Mem{Base: j, Disp: ahead}, p)
		CMPQ(p, q)
		CMOVQGT(q, p)
		MOVL(Mem{Base: idx, Index: p, Scale: 4}, p.As32())
		IMULQ(kb, p)
		for disp := 0; disp < cols*s.bytes(); disp += 64 {
			PREFETCHT0(Mem{Base: base, Index: p, Scale: 1, Disp: disp})
		}
	}
	fail := func(bad string) {
		yes, no := GP8(), GP8()
		MOVB(U8(1), yes)
		Store(yes, ReturnIndex(0))
		ret()
		Label(bad)
		MOVB(U8(0), no)
		Store(no, ReturnIndex(0))
		ret()
	}
	for _, scores := range []bool{true, false} {
		if scores {
			s.text("sparseScores", "(t *float64, idx *int32, val *float64, n int, z *float64, k, limit int) bool")
		} else {
			s.text("sparseCombine", "(z *float64, idx *int32, val *float64, n int, t *float64, k, limit int) bool")
		}
		bad := label("bad")
		t, idx, val, n, z, k := param("t"), param("idx"), param("val"), param("n"), param("z"), param("k")
		kb := copyOf(k)
		SHLQ(Imm(3), kb)
		_, rem := s.chunks(k)
		tl := s.masked(rem)
		for ti, cols := range tiles {
			tile, next, full := label("tile"), label("next"), label("full")
			Label(tile)
			CMPQ(k, imm((cols-1)*s.w))
			JLE(LabelRef(next))
			end := label("end")
			run := func(tl *tail) {
				vec := func(p GP, i int) (Mem, *tail) {
					return Mem{Base: p, Disp: i * s.bytes()}, only(i == cols-1, tl)
				}
				acc := make([]V, cols)
				for i := range acc {
					if scores {
						acc[i] = s.zeros(1)[0]
					} else {
						acc[i] = s.load(vec(t, i))
					}
				}
				j := GP64()
				XORQ(j, j)
				top, out := label("row"), label("out")
				CMPQ(j, n)
				JGE(LabelRef(out))
				Label(top)
				if cols > 2 {
					prefetch(idx, j, n, z, kb, cols)
				}
				p, v := column(idx, j, z, kb, bad), s.reg()
				VBROADCASTSD(Mem{Base: val, Index: j, Scale: 8}, v)
				for i := range acc {
					m, tl := vec(p, i)
					switch u := s.load(m, tl); {
					case scores:
						VFMADD231PD(u, v, acc[i])
					default:
						VFMADD231PD(acc[i], v, u)
						s.store(u, m, tl)
					}
				}
				INCQ(j)
				CMPQ(j, n)
				JL(LabelRef(top))
				Label(out)
				if scores {
					for i := range acc {
						m, tl := vec(t, i)
						s.store(acc[i], m, tl)
					}
				}
			}
			CMPQ(k, imm(cols*s.w))
			JGE(LabelRef(full))
			run(tl)
			JMP(LabelRef(end))
			Label(full)
			run(nil)
			Label(end)
			ADDQ(imm(cols*s.bytes()), t)
			ADDQ(imm(cols*s.bytes()), z)
			SUBQ(imm(cols*s.w), k)
			if ti == 0 {
				JMP(LabelRef(tile))
			}
			Label(next)
		}
		fail(bad)
	}
}
