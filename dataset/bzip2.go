package dataset

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"io"
	"math/bits"
	"runtime"
)

// The 48 bits that blocks and the ends of streams start with, at any bit of a file.
const (
	bzip2Block = 0x314159265359
	bzip2End   = 0x177245385090
)

// bzip2Reader decompresses on several cores, which compress/bzip2 does not. Blocks do not depend on each other: the
// file is cut at the marks of blocks and of ends, and each block is decompressed as a stream of its own. A mark may
// stand within a block by chance, so a block that does not decompress is tried together with the next piece.
type bzip2Reader struct {
	in    *bufio.Reader
	inErr error // at the end of in
	marks []uint64
	last  [256]bool // what the last byte but one may be where a mark ends in the last one

	buf    bitString // of the next piece, up to the end of what was read
	mark   uint64    // that it starts with
	window uint64    // the last 64 bits

	ahead []*bzip2Piece // in the order of the file; blocks are being decompressed
	crc   uint32        // of this stream, up to here
	text  []byte        // decompressed
	more  io.Reader     // of the block, behind text; nil for nothing
	err   error
}

// bzip2Piece is what lies between two cuts: a block, or an end and the header of another stream.
type bzip2Piece struct {
	mark uint64 // 0 for the header of the file
	bitString

	done chan struct{}
	text []byte
	long bool // the text is longer than bzip2Text, and was only looked through
	err  error
}

// bzip2Text is the most that is decompressed ahead of a block: runs make up to 46 MB of one. bzip2Packed is more than
// one takes in a file.
const (
	bzip2Text   = 4 << 20
	bzip2Packed = 2 << 20
)

func newBzip2Reader(in io.Reader) *bzip2Reader {
	r := &bzip2Reader{in: bufio.NewReader(in)}
	r.cutAt(bzip2Block)
	r.cutAt(bzip2End)
	return r
}

func (r *bzip2Reader) cutAt(mark uint64) {
	r.marks = append(r.marks, mark)
	for shift := range 8 {
		r.last[byte(mark<<shift>>8)] = true
	}
}

// Read is described at [io.Reader].
func (r *bzip2Reader) Read(p []byte) (int, error) {
	for len(r.text) == 0 {
		if r.more != nil {
			n, err := r.more.Read(p)
			if err != nil { // it is io.EOF: the block was looked through
				r.more = nil
			}
			if n > 0 {
				return n, nil
			}
			continue
		}
		if r.err == nil {
			r.err = r.advance()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

// advance goes on by one piece.
func (r *bzip2Reader) advance() error {
	p := r.take()
	switch {
	case p == nil:
		return r.early()
	case p.mark != bzip2Block:
		return r.header(p)
	}
	<-p.done
	if p.err != nil && len(r.ahead) > 0 {
		whole := &bzip2Piece{mark: p.mark, bitString: join(p.bitString, r.ahead[0].bitString)}
		if whole.decompress(); whole.err == nil {
			r.take()
			p = whole
		}
	}
	switch {
	case p.err == nil:
		r.crc = bits.RotateLeft32(r.crc, 1) ^ uint32(p.at(48, 32))
		if r.text = p.text; p.long {
			r.more = p.stream()
		}
		return nil
	case len(r.ahead) == 0: // no end follows
		return r.early()
	}
	return p.err
}

// header checks the end of a stream, if p is one, and the header of the next.
func (r *bzip2Reader) header(p *bzip2Piece) error {
	last, at := len(r.ahead) == 0, 0
	if p.mark != 0 {
		at = 48 + 32
		if p.len() < at && last {
			return r.early()
		}
		if uint32(p.at(48, 32)) != r.crc {
			return bzip2.StructuralError("file checksum mismatch")
		}
		at += -(p.from + at) & 7 // to a whole byte
		if p.len() <= at && last {
			return r.inErr
		}
		r.crc = 0
	}
	if p.len() < at+32 && last {
		return r.early()
	}
	const start = 'B'<<24 | 'Z'<<16 | 'h'<<8 | '0'
	if level := p.at(at, 32) - start; level < 1 || level > 9 || p.len() > at+32 {
		return bzip2.StructuralError("bad magic value")
	}
	return nil
}

// early is the error of a file that ends within a stream.
func (r *bzip2Reader) early() error {
	if r.inErr != io.EOF {
		return r.inErr
	}
	return io.ErrUnexpectedEOF
}

// take is the next piece, nil at the end of the file. It has as many decompressed ahead as there are cores.
func (r *bzip2Reader) take() *bzip2Piece {
	for len(r.ahead) <= runtime.GOMAXPROCS(0) && r.inErr == nil {
		p := r.cut()
		r.ahead = append(r.ahead, p)
		if p.mark == bzip2Block {
			p.done = make(chan struct{})
			go func() {
				defer close(p.done)
				p.decompress()
			}()
		}
	}
	if len(r.ahead) == 0 {
		return nil
	}
	p := r.ahead[0]
	r.ahead = r.ahead[1:]
	return p
}

// cut reads up to the next mark.
func (r *bzip2Reader) cut() *bzip2Piece {
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			r.inErr = err
			return &bzip2Piece{mark: r.mark, bitString: r.buf}
		}
		if len(r.buf.b) > bzip2Packed {
			r.inErr = bzip2.StructuralError("a block without an end")
			return &bzip2Piece{mark: r.mark, bitString: r.buf}
		}
		r.buf.b = append(r.buf.b, c)
		r.buf.to += 8
		r.window = r.window<<8 | uint64(c)
		if !r.last[byte(r.window>>8)] {
			continue
		}
		for shift := range 8 {
			for _, m := range r.marks {
				from := r.buf.to - shift - 48
				if r.window>>shift&(1<<48-1) != m || from < r.buf.from {
					continue
				}
				p := &bzip2Piece{mark: r.mark, bitString: r.buf}
				p.to = from
				rest := bytes.Clone(r.buf.b[from/8:])
				r.buf, r.mark = bitString{rest, from % 8, 8 * len(rest)}, m
				return p
			}
		}
	}
}

// stream decompresses p.
func (p *bzip2Piece) stream() io.Reader {
	var end [10]byte
	binary.BigEndian.PutUint64(end[:], bzip2End<<16|p.at(48, 16))
	binary.BigEndian.PutUint16(end[8:], uint16(p.at(64, 16)))
	stream := join(wholeBytes([]byte("BZh9")), p.bitString, wholeBytes(end[:]))
	return bzip2.NewReader(bytes.NewReader(stream.b))
}

// decompress sets text, or err.
func (p *bzip2Piece) decompress() {
	r := p.stream()
	var text bytes.Buffer
	text.Grow(1 << 20)
	if _, p.err = text.ReadFrom(io.LimitReader(r, bzip2Text)); p.err != nil {
		return
	}
	rest, err := io.Copy(io.Discard, r)
	if p.err = err; rest > 0 {
		p.long = true
		return
	}
	p.text = text.Bytes()
}

// bitString is the bits [from, to) of b, the first one of a byte being its highest.
type bitString struct {
	b        []byte
	from, to int
}

func (s bitString) len() int { return s.to - s.from }

// at is the n ≤ 48 bits from i on, as far as there are so many.
func (s bitString) at(i, n int) uint64 {
	v := uint64(0)
	for k := s.from + i; k < s.from+i+n && k < s.to; k++ {
		v = v<<1 | uint64(s.b[k/8]>>(7-k%8)&1)
	}
	return v
}

func wholeBytes(b []byte) bitString { return bitString{b, 0, 8 * len(b)} }

// join puts bits one behind the other.
func join(parts ...bitString) bitString {
	total := 0
	for _, s := range parts {
		total += s.len()
	}
	out := make([]byte, 0, total/8+1)
	bits, n := uint(0), 0 // the last n < 8 bits are not in out yet
	for _, s := range parts {
		for i := s.from; i < s.to; {
			k := min(8-i%8, s.to-i)
			bits = bits<<k | uint(s.b[i/8]<<(i%8)>>(8-k))
			i += k
			if n += k; n >= 8 {
				n -= 8
				out = append(out, byte(bits>>n))
			}
		}
	}
	if n > 0 {
		out = append(out, byte(bits<<(8-n)))
	}
	return bitString{out, 0, total}
}
