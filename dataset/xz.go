package dataset

import (
	"bufio"
	"encoding/binary"
	"io"
)

// xzWalk hands over the bytes of xz streams and looks at their structure before the decompressor, which makes room for
// the dictionary that a block asks for at once, and takes a stream that ends between two blocks for whole. A dictionary
// beyond most is tooLarge, and an end that is none an error. What it does not know is left to the decompressor, which
// refuses it: nothing else than LZMA2 is decompressed.
type xzWalk struct {
	r        *bufio.Reader
	left     int64                 // bytes of the part that is handed over
	next     func() (int64, error) // the length of the part that follows
	most     int64
	tooLarge error

	check   int64 // size of what is behind each block
	size    int64 // of the compressed block, or of the index, so far
	numbers uint64
}

func newXZWalk(r *bufio.Reader, most int64, tooLarge error) *xzWalk {
	w := &xzWalk{r: r, most: most, tooLarge: tooLarge}
	w.next = w.stream
	return w
}

func (w *xzWalk) Read(p []byte) (n int, err error) {
	for w.left == 0 {
		if w.left, err = w.next(); err != nil {
			return 0, err
		}
	}
	n, err = w.r.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	return n, err
}

// peek is the next n bytes. The end of the file is none of the stream.
func (w *xzWalk) peek(n int) ([]byte, error) {
	b, err := w.r.Peek(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// xzChecks are sizes of the checks of blocks, by the lower half of a byte of the header.
var xzChecks = [...]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}

// stream is the header of a stream, or zeros between two, or the end.
func (w *xzWalk) stream() (int64, error) {
	if _, err := w.r.Peek(1); err != nil {
		return 0, err
	}
	b, err := w.peek(4)
	if err != nil {
		return 0, err
	}
	if binary.LittleEndian.Uint32(b) == 0 {
		return 4, nil
	}
	if b, err = w.peek(12); err != nil {
		return 0, err
	}
	w.check, w.next = xzChecks[b[7]&15], w.block
	return 12, nil
}

// block is the header of a block, or the beginning of the index.
func (w *xzWalk) block() (int64, error) {
	b, err := w.peek(1)
	if err != nil {
		return 0, err
	}
	if b[0] == 0 {
		w.size, w.numbers, w.next = 1, 0, w.records
		return 1, nil
	}
	size := 4 * (int(b[0]) + 1)
	if b, err = w.peek(size); err != nil {
		return 0, err
	}
	if xzDictionary(b[1:]) > w.most {
		return 0, w.tooLarge
	}
	w.size, w.next = 0, w.chunk
	return int64(size), nil
}

// xzDictionary is the size of the dictionary that a header asks for, from its flags on; 0 if that is not clear.
func xzDictionary(header []byte) int64 {
	const lzma2 = 0x21
	flags, b := header[0], header[1:]
	for _, known := range []byte{0x40, 0x80} { // the lengths of the block
		if flags&known != 0 {
			_, n := binary.Uvarint(b)
			if n <= 0 {
				return 0
			}
			b = b[n:]
		}
	}
	if len(b) < 3 || b[0] != lzma2 || b[2] > 40 {
		return 0
	}
	return (2 | int64(b[2]&1)) << (b[2]/2 + 11)
}

// chunk is one of those of LZMA2 that a block consists of, or its end, with what fills it up to a multiple of four and
// the check.
func (w *xzWalk) chunk() (n int64, err error) {
	b, err := w.peek(1)
	if err != nil {
		return 0, err
	}
	switch control := b[0]; {
	case control == 0:
		w.next = w.block
		return 1 + (3 - w.size%4) + w.check, nil
	case control < 3: // as it is
		if b, err = w.peek(3); err != nil {
			return 0, err
		}
		n = 3 + int64(binary.BigEndian.Uint16(b[1:])) + 1
	case control >= 0x80:
		if b, err = w.peek(5); err != nil {
			return 0, err
		}
		if n = 5 + int64(binary.BigEndian.Uint16(b[3:])) + 1; control >= 0xc0 { // with properties
			n++
		}
	default:
		return 1, nil
	}
	w.size += n
	return n, nil
}

// records are the numbers of the index: how many records, and the two of each, and then what fills it up, its check and
// the end of the stream.
func (w *xzWalk) records() (int64, error) {
	const check, footer = 4, 12
	if w.size > 1 && w.numbers == 0 {
		w.next = w.stream
		return (4-w.size%4)%4 + check + footer, nil
	}
	b, err := w.r.Peek(binary.MaxVarintLen64)
	v, n := binary.Uvarint(b)
	if n <= 0 {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	if w.size == 1 { // the first one counts the records
		w.numbers = 2 * v
	} else {
		w.numbers--
	}
	w.size += int64(n)
	return int64(n), nil
}
